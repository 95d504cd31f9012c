"""Patterns of runs: what they take, however it is cut, and where they say no."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.tcp.tape_pattern import MAX_HOLE, Pattern, Progress, fits, pattern_of
from tests.protocols.conformance import splits
from tests.protocols.tcp.tape_cases import token

SECRET = token(b"hunter2")


def feed(pattern: Pattern, reads: list[bytes]) -> Progress:
    """What becomes of these reads; each is given so that no end is passed by."""
    progress = Progress(pattern, token)
    for data in reads:
        at = 0
        while at < len(data) and not progress.dead and not progress.complete:
            size = progress.least
            progress.feed(data[at : at + size])
            at += size
    return progress


@pytest.mark.parametrize(
    ("recorded", "masks", "live", "taken"),
    [
        (b"GET a\r\n", (), b"GET a\r\n", True),
        (b"GET a\r\n", (), b"GET b\r\n", False),
        (b"GET a\r\n", (), b"GET a\r", False),
        (b"\0\1abc", ((0, 2),), b"\xff\xffabc", True),
        (b"\0\1abc", ((0, 2),), b"\xffabc", False),
        (b"\0\1abc", ((0, 9),), b"\xff\xffabc", False),
        (b"\0\1abc", ((0, 1), (1, 2)), b"\xff\xffabc", True),
        (b"id=12;go", (r"id=(\d+)",), b"id=7;go", True),
        (b"id=12;go", (r"id=(\d+)",), b"id=12345;go", True),
        (b"id=12;go", (r"id=(\d+)",), b"id=x;go", False),
        (b"id=12;go", (r"id=(\d+)",), b"id=;go", False),
        (b"id=12", (r"id=(\d+)",), b"id=34", True),
        (b"id=12", (r"id=(\d+)",), b"id=345", False),
        (b"a1b2c", (r"\d",), b"a9b8c", True),
        (b"PASS " + SECRET + b"\r\n", (), b"PASS hunter2\r\n", True),
        (b"PASS " + SECRET + b"\r\n", (), b"PASS hunter3\r\n", False),
        (b"PASS " + SECRET + b"\r\n", (), b"PASS " + SECRET + b"\r\n", True),
        (b"PASS hunter2\r\n", (r"PASS (\S+)",), b"PASS x\r\n", True),
        (b"", (), b"", True),
        (b"", (), b"x", False),
    ],
)
def test_what_a_recorded_run_takes(
    recorded: bytes, masks: tuple[object, ...], live: bytes, taken: bool
) -> None:
    pattern = pattern_of(recorded, masks)  # type: ignore[arg-type]
    assert fits(pattern, live, token) is taken
    assert fits(pattern, recorded, token)
    for reads in splits(live) if live else ():
        progress = feed(pattern, reads)
        assert (progress.complete and progress.size == len(live)) is taken


@pytest.mark.parametrize(
    ("recorded", "masks"),
    [(b"abcdef", ()), (b"abcdef", ((1, 4),)), (b"a12;b345;c", (r"\d+",)), (b"abc", ((0, 3),))],
)
def test_the_end_of_a_run_is_never_passed_by(recorded: bytes, masks: tuple[tuple[int, int] | str, ...]) -> None:
    pattern = pattern_of(recorded, masks)
    for cut in range(len(recorded)):
        progress = feed(pattern, [recorded[:cut]])
        assert 0 < progress.least <= len(recorded) - cut
    assert feed(pattern, [recorded]).least == 0


def test_a_run_that_does_not_fit_says_where() -> None:
    for reads in ([b"GET ab\r\n"], [b"GE", b"T ", b"ab", b"\r\n"]):
        progress = feed(pattern_of(b"GET xb\r\n"), reads)
        assert progress.dead
        assert progress.size == 5


def test_what_stood_in_a_hole_is_known() -> None:
    progress = feed(pattern_of(b"id=12;id=34;", (r"id=(\d+)",)), [b"id=5;id=678;"])
    assert [(one.hole.was, one.hole.at, one.data) for one in progress.filled] == [
        (b"12", 3, b"5"),
        (b"34", 9, b"678"),
    ]


def test_a_hole_is_bounded() -> None:
    pattern = pattern_of(b"id=1;", (r"id=(\d+)",))
    assert fits(pattern, b"id=" + b"1" * MAX_HOLE + b";", token)
    progress = feed(pattern, [b"id=" + b"1" * (MAX_HOLE + 9)])
    assert progress.dead
    assert progress.size == 3 + MAX_HOLE + 1


def test_a_hole_whose_end_stands_in_it_has_the_recorded_length() -> None:
    pattern = pattern_of(b"<a>b>", (r"<(.*)>",))
    assert fits(pattern, b"<a>b>", token)
    assert fits(pattern, b"<x>y>", token)
    assert not fits(pattern, b"<xy>", token)


def test_ranges_that_overlap_are_one() -> None:
    pattern = pattern_of(b"abcdef", ((0, 4), (2, 6)))
    assert [one for one in pattern.segments if isinstance(one, bytes)] == []
    assert fits(pattern, b"uvwxyz", token)


def test_patterns_that_take_the_same_are_equal() -> None:
    one = pattern_of(b"id=12;", (r"id=(\d+)",))
    assert one.digest == pattern_of(b"id=3;", (r"id=(\d+)",)).digest
    assert one.digest != pattern_of(b"id=3;").digest
    assert one.digest != pattern_of(b"id=3;", (r"id=(\w+)",)).digest
    assert pattern_of(b"ab").digest != pattern_of(b"ac").digest


@given(st.binary(min_size=1, max_size=60), st.data())
def test_ranges_take_any_bytes_of_their_length(recorded: bytes, data: st.DataObject) -> None:
    ranges = data.draw(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=4))
    pattern = pattern_of(recorded, [mask for mask in ranges if mask[0] < mask[1]])
    holes = [segment for segment in pattern.segments if not isinstance(segment, bytes)]
    live = bytearray(recorded)
    for hole in holes:
        live[hole.at : hole.at + len(hole.was)] = random.Random(hole.at).randbytes(len(hole.was))
    assert fits(pattern, bytes(live), token)
    fixed = [at for at in range(len(live)) if not any(h.at <= at < h.at + len(h.was) for h in holes)]
    for at in fixed:
        live[at] ^= 1
        assert not fits(pattern, bytes(live), token)
        live[at] ^= 1
