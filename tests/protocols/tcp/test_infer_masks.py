"""Masks that two recordings of one dialogue suggest: with them, the other one is answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.tcp.infer import Tape, tapes_of
from svcmock_protocols.tcp.infer_masks import Suggestion, masks
from svcmock_protocols.tcp.tape_pattern import fits, pattern_of
from tests.protocols.tcp.tape_cases import steps, token


def tape(*said: bytes) -> Tape:
    (made,) = tapes_of((one.request, one.reply) for one in steps(t=[(each, b"ok") for each in said]))
    return made


def test_what_differs_is_suggested() -> None:
    one = tape(b"HELLO\n", b"\0\1read", b"at 12:30:05 GET a\n")
    other = tape(b"HELLO\n", b"\7\2read", b"at 17:31:06 GET a\n")
    assert masks(one, other) == [
        Suggestion("t", 2, ((0, 2),), ((b"\0\1", b"\7\2"),)),
        Suggestion("t", 3, ((4, 11),), ((b"2:30:05", b"7:31:06"),)),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (tape(b"a"), tape(b"a")),
        (tape(b"GET a\n"), tape(b"GET bb\n")),  # of another length
        (tape(b"abc", b"GET 1\n"), tape(b"xyz", b"GET 2\n")),  # mostly different, and so is all that follows
        (tape(b"a", b"b1xx"), tape(b"a")),
    ],
)
def test_what_is_another_dialogue_suggests_nothing(one: Tape, other: Tape) -> None:
    assert masks(one, other) == []


@given(st.binary(min_size=4, max_size=40), st.lists(st.integers(0, 39), max_size=3))
def test_what_is_suggested_lets_the_other_be_answered(said: bytes, places: list[int]) -> None:
    changed = bytearray(said)
    for place in places:
        if place < len(said):
            changed[place] ^= 0xFF
    found = masks(tape(said), tape(bytes(changed)))
    if found:
        assert fits(pattern_of(said, found[0].mask), bytes(changed), token)
    else:
        assert said == changed or sum(a != b for a, b in zip(said, changed, strict=True)) * 4 >= len(said)
