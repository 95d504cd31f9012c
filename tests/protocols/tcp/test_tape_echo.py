"""Answers in which the client's own bytes stand where the recorded client's stood."""

import pytest

from svcmock_protocols.tcp.tape_echo import echoed
from svcmock_protocols.tcp.tape_pattern import Filled, Hole


@pytest.mark.parametrize(
    ("said", "at", "was", "now", "echo"),
    [
        (b"\0\1pong", 0, b"\0\1", b"\xab\xcd", b"\xab\xcdpong"),  # at the same offset, however short
        (b"x\0\1pong", 0, b"\0\1", b"\xab\xcd", b"x\0\1pong"),
        (b"id=1234 and 1234", 40, b"1234", b"98765", b"id=98765 and 98765"),  # long enough to be no chance
        (b"id=123 and 123", 40, b"123", b"987", b"id=123 and 123"),
        (b"same", 0, b"same", b"same", b"same"),
        (b"", 0, b"abcd", b"efgh", b""),
    ],
)
def test_what_is_repeated_is_replaced(said: bytes, at: int, was: bytes, now: bytes, echo: bytes) -> None:
    assert echoed(said, [Filled(Hole(was, at), now)], []) == echo


def test_what_earlier_runs_held_is_replaced_too() -> None:
    assert echoed(b"hello session-1!", [], [(b"session-1", b"session-2")]) == b"hello session-2!"


def test_offsets_count_from_the_beginning_of_a_run() -> None:
    filled = [Filled(Hole(b"\0\1", 4), b"\xff\xff")]
    assert echoed(b"\0\1", filled, [], skipped=4) == b"\xff\xff"
    assert echoed(b"\0\1", filled, [], skipped=5) == b"\0\1"


def test_replacements_do_not_overlap_or_repeat() -> None:
    here = [Filled(Hole(b"abab", 0), b"abcd"), Filled(Hole(b"baba", 4), b"wxyz")]
    assert echoed(b"ababab", here, []) == b"abcdab"
