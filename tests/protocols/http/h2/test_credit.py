"""The windows that a client is given: when they open again, and what is too much."""

import pytest

from svcmock.protocol import Out, Send
from svcmock_protocols.http.h2 import credit, frames
from svcmock_protocols.http.h2.credit import CREDIT, STREAM_CREDIT, Credit
from svcmock_protocols.http.h2.frames import ConnectionFault, StreamFault
from svcmock_protocols.http.h2.heads import UNREAD
from svcmock_protocols.http.h2.stream import Stream


def opened(left: int = STREAM_CREDIT) -> Stream:
    return Stream(7, UNREAD, 0, left)


def test_the_connection_s_window_opens_when_more_than_half_is_spent() -> None:
    given, outs = Credit(), list[Out]()
    given.spend(CREDIT // 2, outs)
    assert outs == []
    given.spend(1, outs)
    assert outs == [Send(frames.window_update(0, CREDIT // 2 + 1))]
    given.spend(CREDIT // 2, outs)  # it is whole again
    assert len(outs) == 1


def test_all_of_the_connection_s_window_may_be_spent_and_not_more() -> None:
    outs: list[Out] = []
    Credit().spend(CREDIT, outs)
    assert outs == [Send(frames.window_update(0, CREDIT))]
    with pytest.raises(ConnectionFault) as caught:
        Credit().spend(CREDIT + 1, outs)
    assert caught.value.code == frames.FLOW_CONTROL_ERROR
    assert len(outs) == 1


def test_all_of_a_stream_s_window_may_be_spent_and_not_more() -> None:
    stream = opened(10)
    credit.spend(stream, 4)
    credit.spend(stream, 6)
    assert stream.credit == 0
    with pytest.raises(StreamFault) as caught:
        credit.spend(stream, 1)
    assert (caught.value.stream, caught.value.code) == (7, frames.FLOW_CONTROL_ERROR)


def test_a_stream_s_window_opens_when_more_than_half_is_spent() -> None:
    stream, outs = opened(STREAM_CREDIT // 2), list[Out]()
    credit.refill(stream, outs)
    assert outs == []
    stream.credit -= 1
    credit.refill(stream, outs)
    assert outs == [Send(frames.window_update(7, STREAM_CREDIT // 2 + 1))]
    assert stream.credit == STREAM_CREDIT


@pytest.mark.parametrize("why", ["ended", "asked", "replied"])
def test_a_stream_s_window_stays_as_it_is_where_no_more_is_wanted(why: str) -> None:
    stream, outs = opened(0), list[Out]()
    setattr(stream, why, True)
    credit.refill(stream, outs)
    assert (outs, stream.credit) == ([], 0)
    setattr(stream, why, False)
    credit.refill(stream, outs)
    assert outs == [Send(frames.window_update(7, STREAM_CREDIT))]
