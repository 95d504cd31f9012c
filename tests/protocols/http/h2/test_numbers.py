"""Stream numbers: which are idle, which are closed and by whom, and how long that is remembered."""

from collections.abc import Callable

import pytest

from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.frames import ConnectionFault, StreamFault
from svcmock_protocols.http.h2.numbers import MAX_RESET, MAX_SKIPPED, Numbers


def entered(*idents: int) -> Numbers:
    numbers = Numbers()
    for ident in idents:
        numbers.enter(ident)
    return numbers


def verdict(numbers: Numbers, ident: int) -> str:
    """What becomes of a frame on a stream that is not open."""
    try:
        numbers.gone(ident, "DATA")
    except StreamFault as fault:
        return f"{frames.error_name(fault.code)} of stream {fault.stream}"
    except ConnectionFault as fault:
        return {frames.PROTOCOL_ERROR: "never opened", frames.STREAM_CLOSED: "closed"}[fault.code]
    return "ignored"


def test_before_anything_all_streams_are_idle() -> None:
    numbers = entered()
    assert numbers.last == 0
    assert numbers.idle(1)
    assert verdict(numbers, 1) == "never opened"


def test_streams_up_to_the_last_are_not_idle_but_those_with_even_numbers() -> None:
    numbers = entered(1, 3)
    assert numbers.last == 3
    assert [numbers.idle(ident) for ident in range(1, 7)] == [False, True, False, True, True, True]


def test_a_stream_that_has_ended_is_closed() -> None:
    numbers = entered(1, 3)
    assert [verdict(numbers, ident) for ident in (1, 2, 3, 4, 5)] == [
        *("closed", "never opened", "closed", "never opened", "never opened")
    ]


def test_a_number_that_was_skipped_was_never_opened() -> None:
    numbers = entered(5, 7, 13)
    assert [verdict(numbers, ident) for ident in range(1, 16, 2)] == [
        *("never opened", "never opened", "closed", "closed"),
        *("never opened", "never opened", "closed", "never opened"),
    ]


def test_who_reset_a_stream_decides() -> None:
    numbers = entered(1, 3, 5)
    numbers.reset(1)
    numbers.cancelled(3)
    assert [verdict(numbers, ident) for ident in (1, 3, 5)] == [
        "ignored",
        "STREAM_CLOSED of stream 3",
        "closed",
    ]
    numbers.reset(3)  # its client may not know yet
    assert verdict(numbers, 3) == "ignored"


@pytest.mark.parametrize(
    ("how", "word"), [(Numbers.reset, "ignored"), (Numbers.cancelled, "STREAM_CLOSED of stream 3")]
)
def test_resets_are_forgotten_the_oldest_first(how: Callable[[Numbers, int], None], word: str) -> None:
    idents = range(1, 2 * MAX_RESET + 2, 2)
    numbers = entered(*idents)
    for ident in idents[:-1]:
        how(numbers, ident)
    assert verdict(numbers, 1) == word.replace("3", "1")
    how(numbers, idents[-1])
    assert [verdict(numbers, ident) for ident in (1, 3)] == ["closed", word]


def test_a_stream_that_is_reset_again_pushes_nobody_out() -> None:
    numbers = entered(*range(1, 2 * MAX_RESET, 2))
    for ident in range(1, 2 * MAX_RESET, 2):
        numbers.reset(ident)
    numbers.reset(3)
    assert [verdict(numbers, ident) for ident in (1, 3)] == ["ignored", "ignored"]


def test_gaps_are_forgotten_the_oldest_first() -> None:
    idents = range(5, 5 + 4 * MAX_SKIPPED, 4)  # 3, 7, 11 and so on are left out
    numbers = entered(*idents)
    assert verdict(numbers, 3) == "never opened"
    numbers.enter(idents[-1] + 4)
    assert [verdict(numbers, ident) for ident in (3, 7, idents[-1] + 2)] == [
        *("closed", "never opened", "never opened")
    ]
