"""How many frames that ask for nothing a client may send, and when they are forgotten."""

import pytest

from svcmock.protocol import Out, Wake
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.calm import CALM, RESTED, SECONDS, Calm
from svcmock_protocols.http.h2.frames import ConnectionFault


def spent(calm: Calm, count: int) -> list[Out]:
    outs: list[Out] = []
    for _ in range(count):
        calm.spend(outs)
    return outs


def test_a_client_is_watched_from_half_of_what_it_may() -> None:
    calm = Calm()
    assert spent(calm, CALM // 2) == []
    assert spent(calm, 1) == [Wake(SECONDS, RESTED)]
    assert spent(calm, CALM - CALM // 2 - 1) == []


def test_one_more_than_it_may_is_too_many() -> None:
    calm = Calm()
    spent(calm, CALM)
    with pytest.raises(ConnectionFault) as caught:
        spent(calm, 1)
    assert caught.value.code == frames.ENHANCE_YOUR_CALM


def test_after_a_rest_all_is_as_at_first() -> None:
    calm = Calm()
    for _ in range(3):
        assert spent(calm, CALM) == [Wake(SECONDS, RESTED)]
        calm.rested()
