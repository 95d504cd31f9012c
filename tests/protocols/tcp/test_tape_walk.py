"""Which tape a connection is on: the stream decides, never its cuts."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.tcp.tape import TapeReply
from svcmock_protocols.tcp.tape_library import Library
from svcmock_protocols.tcp.tape_walk import Strayed, Turn, Walk
from tests.protocols.conformance import splits
from tests.protocols.tcp.tape_cases import library, token

Told = list[tuple[str, int, bytes, bytes] | tuple[str, bytes]]
"""(tape, run, said, answered now), or ("strayed", said)."""


def go(tapes: Library, reads: Iterable[bytes], *, ending: bool = False, choose: int = 0) -> Told:
    """Follow a client; of several answers the one with this number is given. Pushes wait for nobody."""
    walk = Walk(tapes, token)
    told: Told = []
    if _on(walk, told, choose):
        for data in reads:
            walk.hear(data)
            if not _on(walk, told, choose):
                return told
        if ending:
            walk.ended = True
            _on(walk, told, choose)
    return told


def _on(walk: Walk, told: Told, choose: int) -> bool:
    while True:
        push = walk.push
        turn = push if push is not None and push.edge.after == 0 else walk.step()
        if turn is None:
            return True
        if isinstance(turn, Strayed):
            told.append(("strayed", turn.said))
            return False
        _answer(walk, turn, told, choose)


def _answer(walk: Walk, turn: Turn, told: Told, choose: int) -> None:
    outcomes = list(turn.edge.outcomes)
    said, then = outcomes[min(choose, len(outcomes) - 1)]
    reply = TapeReply(said, then)
    asked = turn.edge.request
    told.append((asked.tape, asked.run, turn.said, said[len(turn.ahead) :]))
    walk.go(turn, turn.edge.outcome(reply), reply)


TAPES = {
    "a": [(b"LOGIN\n", b"OK\n"), (b"GET x\n", b"1\n"), (b"QUIT\n", b"BYE\n")],
    "b": [(b"LOGIN\n", b"OK\n"), (b"GET yy\n", b"2\n")],
    "c": [(b"HELO\n", b"250\n")],
}


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        (b"LOGIN\n", [("a", 1, b"LOGIN\n", b"OK\n")]),
        (
            b"LOGIN\nGET x\nQUIT\n",
            [
                ("a", 1, b"LOGIN\n", b"OK\n"),
                ("a", 2, b"GET x\n", b"1\n"),
                ("a", 3, b"QUIT\n", b"BYE\n"),
            ],
        ),
        (b"LOGIN\nGET yy\n", [("a", 1, b"LOGIN\n", b"OK\n"), ("b", 2, b"GET yy\n", b"2\n")]),
        (b"LOGIN\nGET z\n", [("a", 1, b"LOGIN\n", b"OK\n"), ("strayed", b"GET z")]),
        (b"HELO\n", [("c", 1, b"HELO\n", b"250\n")]),
        (b"PUT\n", [("strayed", b"P")]),
        (
            b"LOGIN\nGET x\nPUT\n",
            [("a", 1, b"LOGIN\n", b"OK\n"), ("a", 2, b"GET x\n", b"1\n"), ("strayed", b"P")],
        ),
        (b"LOGI", []),
    ],
)
def test_a_stream_is_followed_however_it_is_cut(stream: bytes, told: Told) -> None:
    for reads in splits(stream):
        assert go(library(**TAPES), reads) == told, reads


def test_at_the_end_a_client_may_begin_again() -> None:
    once = [("c", 1, b"HELO\n", b"250\n")]
    login = [("a", 1, b"LOGIN\n", b"OK\n"), ("b", 2, b"GET yy\n", b"2\n")]
    for reads in splits(b"HELO\nHELO\nLOGIN\nGET yy\nHELO\n"):
        assert go(library(**TAPES), reads) == [*once, *once, *login, *once]
        assert go(library("never", **TAPES), reads) == [*once, ("strayed", b"H")]


def test_in_the_middle_a_client_may_not_begin_again() -> None:
    assert go(library(**TAPES), [b"LOGIN\nHELO\n"]) == [
        ("a", 1, b"LOGIN\n", b"OK\n"),
        ("strayed", b"H"),
    ]


def test_where_nothing_is_recorded_every_byte_strays() -> None:
    assert go(library(), [b"ab"]) == [("strayed", b"a")]
    assert go(library(), [], ending=True) == []


def test_a_tape_that_heard_more_at_once_is_followed_too() -> None:
    """One connection was recorded with pauses, one without; the client goes on where only the second does."""
    tapes = library(
        slow=[(b"a", b"1"), (b"b", b"2")],
        fast=[(b"abc", b"123"), (b"d", b"4")],
    )
    for reads in splits(b"abcd"):
        assert go(tapes, reads) == [
            ("slow", 1, b"a", b"1"),
            ("slow", 2, b"b", b"2"),
            ("fast", 1, b"abc", b"3"),
            ("fast", 2, b"d", b"4"),
        ], reads


def test_a_tape_whose_answer_would_be_another_is_left() -> None:
    tapes = library(slow=[(b"a", b"1")], fast=[(b"ab", b"x2")])
    assert go(tapes, [b"ab"]) == [("slow", 1, b"a", b"1"), ("strayed", b"b")]


def test_the_server_may_speak_first_and_more_than_once() -> None:
    tapes = library(one=[(b"", b"220\n"), (b"", b"more\n"), (b"Q\n", b"221\n")])
    for reads in splits(b"Q\n"):
        assert go(tapes, reads) == [
            ("one", 1, b"", b"220\n"),
            ("one", 2, b"", b"more\n"),
            ("one", 3, b"Q\n", b"221\n"),
        ]


def test_who_is_ahead_of_a_pause_gets_at_once_what_comes_before() -> None:
    tapes = library(
        one=[
            (b"SUB\n", b"+\n"),
            (b"", b"1\n", {"after": 1.0}),
            (b"", b"2\n", {"after": 1.0}),
            (b"END\n", b"-\n"),
        ]
    )
    for reads in splits(b"SUB\nEND\n"):
        assert go(tapes, reads) == [
            ("one", 1, b"SUB\n", b"+\n"),
            ("one", 2, b"", b"1\n"),
            ("one", 3, b"", b"2\n"),
            ("one", 4, b"END\n", b"-\n"),
        ], reads


def test_who_speaks_within_a_pause_as_recorded_is_followed_first() -> None:
    tapes = library(
        one=[(b"SUB\n", b"+\n"), (b"", b"1\n", {"after": 1.0}), (b"END\n", b"late\n")],
        two=[(b"SUB\n", b"+\n"), (b"END\n", b"early\n")],
    )
    assert go(tapes, [b"SUB\n", b"END\n"])[1:] == [("two", 2, b"END\n", b"early\n")]


def test_a_push_in_the_middle_of_a_run_loses_nothing_of_it() -> None:
    tapes = library(one=[(b"SUB\n", b"+\n"), (b"", b"1\n", {"after": 1.0}), (b"END\n", b"-\n")])
    walk = Walk(tapes, token)
    told: Told = []
    walk.hear(b"SUB\nEN")
    _on(walk, told, 0)
    push = walk.push
    assert push is not None
    _answer(walk, push, told, 0)
    walk.hear(b"D\n")
    _on(walk, told, 0)
    assert told[1:] == [("one", 2, b"", b"1\n"), ("one", 3, b"END\n", b"-\n")]


def test_an_end_is_a_part_of_what_is_said() -> None:
    tapes = library(
        one=[(b"all", b"got it", {"ends": True})],
        two=[(b"all of it", b"fine")],
    )
    for reads in splits(b"all"):
        assert go(tapes, reads) == []
        assert go(tapes, reads, ending=True) == [("one", 1, b"all", b"got it")]
    for reads in splits(b"all of it"):
        assert go(tapes, reads) == [("two", 1, b"all of it", b"fine")]
    for reads in splits(b"all of you"):
        assert go(tapes, reads) == [("strayed", b"all of y")]
    assert go(tapes, [b"al"], ending=True) == [("strayed", b"al")]


def test_several_answers_lead_to_different_places() -> None:
    tapes = library(one=[(b"a", b"1"), (b"b", b"2")], two=[(b"a", b"x"), (b"c", b"y")])
    assert go(tapes, [b"ab"], choose=0)[1:] == [("one", 2, b"b", b"2")]
    assert go(tapes, [b"ac"], choose=1)[1:] == [("two", 2, b"c", b"y")]
    assert go(tapes, [b"ac"], choose=0)[1:] == [("strayed", b"c")]


def test_thousands_of_tapes_cost_little_each() -> None:
    begin = b"GET /what/all/of/them/begin/with/"
    tapes = library(**{f"t{n}": [(begin + b"%d\n" % n, b"%d\n" % n)] for n in range(3000)})
    assert go(tapes, [begin + b"2999\n"]) == [("t2999", 1, begin + b"2999\n", b"2999\n")]
    assert go(tapes, [begin + b"x\n"]) == [("strayed", begin + b"x")]
    for said in (b"2999\n", b"x\n", b"12\nmore"):
        walk = Walk(tapes, token)
        walk.hear(begin + said)
        walk.step()
        assert len(walk._places) <= 1


_RUN = st.binary(min_size=1, max_size=4).map(lambda data: bytes(byte % 3 + 97 for byte in data))
_TAPE = st.lists(st.tuples(_RUN, _RUN), min_size=1, max_size=4)


@given(st.lists(_TAPE, min_size=1, max_size=4), st.lists(st.integers(0, 40), max_size=6))
def test_what_happens_does_not_depend_on_cuts(
    tapes: Sequence[list[tuple[bytes, bytes]]], cuts: list[int]
) -> None:
    """And of what one tape has, all is answered, if only this tape is there."""
    made = library("turns", **{f"t{n}": tape for n, tape in enumerate(tapes)})
    stream = b"".join(said for said, _ in tapes[-1])
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    reads = [stream[a:b] for a, b in pairwise(places)]
    whole = go(made, [stream])
    assert go(made, reads) == whole
    assert go(made, [stream[at : at + 1] for at in range(len(stream))]) == whole
    alone = go(library("never", only=tapes[-1]), reads)
    assert alone == [("only", run, said, reply) for run, (said, reply) in enumerate(tapes[-1], 1)]


_MORE = st.fixed_dictionaries(
    {}, optional={"ends": st.just(True), "mask": st.sampled_from([((0, 1),), (r"a(b+)c",), (r"[ab]+",)])}
)
_ANY_RUN = st.binary(max_size=6).map(lambda data: bytes(byte % 3 + 97 for byte in data))
_ANY_TAPE = st.lists(st.tuples(_ANY_RUN, _RUN, _MORE), min_size=1, max_size=4)


@given(
    st.lists(_ANY_TAPE, min_size=1, max_size=4),
    _ANY_RUN | st.integers(0, 3),
    st.lists(st.integers(0, 24), max_size=4),
    st.booleans(),
)
def test_nor_with_masks_ends_and_servers_that_speak_on(
    tapes: Sequence[list[tuple[bytes, bytes, dict[str, object]]]],
    said: bytes | int,
    cuts: list[int],
    ending: bool,
) -> None:
    made = library("turns", **{f"t{number}": tape for number, tape in enumerate(tapes)})
    stream = said if isinstance(said, bytes) else b"".join(run for run, _, _ in tapes[said % len(tapes)])
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    whole = go(made, [stream], ending=ending)
    assert go(made, [stream[a:b] for a, b in pairwise(places)], ending=ending) == whole
    assert go(made, [stream[at : at + 1] for at in range(len(stream))], ending=ending) == whole
