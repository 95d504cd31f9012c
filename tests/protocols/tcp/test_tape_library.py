"""The tree of all tapes: what is the same is one, keys tell histories apart, and where a client may go on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.tcp.tape import TapeReply, TapeRequest
from svcmock_protocols.tcp.tape_library import Library
from tests.protocols.tcp.tape_cases import Step, library, step, steps, token

ANN = [(b"LOGIN ann\n", b"OK\n"), (b"GET a\n", b"1\n")]


def key(tapes: Library, one: Step) -> bytes:
    return tapes.key(one.request, token)


def test_tapes_share_what_they_have_in_common() -> None:
    recorded = steps(one=ANN, two=[ANN[0], (b"GET b\n", b"2\n")])
    tapes = Library(recorded)
    assert len(tapes.root.edges) == 1
    (login,) = tapes.root.edges.values()
    (node,) = login.outcomes.values()
    assert [edge.request.said for edge in node.edges.values()] == [b"GET a\n", b"GET b\n"]
    assert key(tapes, recorded[0]) == key(tapes, recorded[2])
    assert key(tapes, recorded[1]) != key(tapes, recorded[3])


def test_the_same_run_after_another_answer_is_another() -> None:
    recorded = steps(one=ANN, two=[(ANN[0][0], b"HELLO\n"), ANN[1]])
    tapes = Library(recorded)
    assert key(tapes, recorded[0]) == key(tapes, recorded[2])
    assert key(tapes, recorded[1]) != key(tapes, recorded[3])
    (login,) = tapes.root.edges.values()
    assert len(login.outcomes) == 2


def test_a_key_begins_with_the_address_and_holds_one_nul() -> None:
    tapes = library(one=ANN)
    for said in (b"LOGIN ann\n", b"LOGIN \0\n"):
        assert tapes.key(TapeRequest("one", 1, said), token).split(b"\0")[0] == b"tape"


def test_what_is_not_on_the_tape_stands_beside_it() -> None:
    tapes = library(one=ANN)
    known = tapes.key(TapeRequest("one", 2, b"GET a\n"), token)
    other = tapes.key(TapeRequest("one", 2, b"GET x"), token)
    assert known != other
    assert known.split(b"/")[0] == other.split(b"/")[0]
    assert tapes.key(TapeRequest("one", 2, b"GET a\n", ends=True), token) != known
    assert tapes.key(TapeRequest("none", 2, b"GET a\n"), token) != known


def test_masks_do_not_decide() -> None:
    tapes = library(masks=[r"id=(\d+)"], one=[(b"id=1;", b"ok"), (b"\0\1ping", b"pong", {"mask": ((0, 2),)})])
    assert tapes.key(TapeRequest("one", 1, b"id=77;"), token) == tapes.key(
        TapeRequest("one", 1, b"id=1;"), token
    )
    one, other = (TapeRequest("one", 2, said, mask=((0, 2),)) for said in (b"\0\1ping", b"\7\7ping"))
    assert tapes.key(one, token) == tapes.key(other, token)


def test_a_reply_leads_on() -> None:
    tapes = library(one=[(b"a", b"1"), (b"b", b"2")], two=[(b"a", b"x", {"then": "close"})])
    (edge,) = tapes.root.edges.values()
    node = edge.outcome(TapeReply(b"1"))
    assert [edge.request.said for edge in node.edges.values()] == [b"b"]
    assert edge.outcome(TapeReply(b"x", "close")).final
    assert edge.outcome(TapeReply(b"made anew")) is node


def test_the_server_may_speak_first_and_on() -> None:
    tapes = library(one=[(b"", b"220 hi\n"), (b"", b"tick\n", {"after": 1.5})])
    push = tapes.root.push
    assert push is not None
    assert push.after == 0.0
    then = push.outcome(TapeReply(b"220 hi\n")).push
    assert then is not None
    assert then.after == 1.5


def test_an_end_that_is_waited_for_is_no_push() -> None:
    tapes = library(one=[(b"", b"bye", {"ends": True})])
    assert tapes.root.push is None
    assert len(tapes.root.edges) == 1


@pytest.mark.parametrize(
    ("resume", "said"),
    [
        ("never", []),
        ("idle", [b"a", b"c"]),
        ("turns", [b"a", b"b", b"c"]),
    ],
)
def test_where_a_client_may_go_on(resume: str, said: list[bytes]) -> None:
    tapes = library(resume, one=[(b"a", b"1"), (b"b", b"2"), (b"c", b"3", {"thought": 0.3}), (b"", b"x")])
    assert [edge.request.said for edge in tapes.entries.edges] == said


def test_behind_a_gap_a_tape_begins_anew() -> None:
    tapes = Library([step("one", 1, b"a", b"1"), step("one", 3, b"c", b"3", {"thought": 1.0})])
    (edge,) = tapes.root.edges.values()
    after = edge.outcome(TapeReply(b"1"))
    assert after.final
    assert after.edges == {}
    assert [edge.request.said for edge in tapes.entries.edges] == [b"a", b"c"]


def test_several_answers_to_one_run_lead_to_the_same_next_one() -> None:
    recorded = [step("one", 1, b"a", b"1"), step("one", 1, b"a", b"2"), step("one", 2, b"b", b"3")]
    tapes = Library(recorded)
    assert key(tapes, recorded[0]) == key(tapes, recorded[1])
    (edge,) = tapes.root.edges.values()
    for answer in (b"1", b"2"):
        (following,) = edge.outcome(TapeReply(answer)).edges.values()
        assert following.request.said == b"b"
    assert tapes.knows("one", 2)
    assert not tapes.knows("one", 3)


@pytest.mark.parametrize(
    ("first", "fitting"),
    [
        (b"", [b"GET /a very long thing", b"GET", b"GET /b", b"PUT", b"\1any"]),
        (b"G", [b"GET /a very long thing", b"GET", b"GET /b", b"\1any"]),
        (b"GET", [b"GET /a very long thing", b"GET", b"GET /b", b"\1any"]),
        (b"GET /b", [b"GET", b"GET /b", b"\1any"]),
        (b"GET /a very long thing and more", [b"GET /a very long thing", b"GET", b"\1any"]),
        (b"X", [b"\1any"]),
    ],
)
def test_the_first_bytes_rule_edges_out(first: bytes, fitting: list[bytes]) -> None:
    runs: list[tuple[object, ...]] = [
        (b"GET /a very long thing", b""),
        (b"GET", b""),
        (b"GET /b", b""),
        (b"PUT", b""),
        (b"\1any", b"", {"mask": ((0, 4),)}),
    ]
    tapes = library(**{f"t{number}": [run] for number, run in enumerate(runs)})
    assert [edge.request.said for edge in tapes.root.crowd.fitting(first)] == fitting


@pytest.mark.parametrize(
    ("first", "nearest"),
    [
        (b"GET /ax", b"GET /abc"),
        (b"GET /b", b"GET /bcd"),
        (b"GET", b"GET /abc"),
        (b"X", b"PUT"),
        (b"PUT /", b"PUT"),
    ],
)
def test_what_is_on_no_tape_went_furthest_on_one(first: bytes, nearest: bytes) -> None:
    runs = (b"PUT", b"GET /abc", b"GET /abd", b"GET /bcd")
    edge = library(**{f"t{number}": [(said, b"")] for number, said in enumerate(runs)}).root.crowd.nearest(
        first
    )
    assert edge is not None
    assert edge.request.said == nearest
    assert library().root.crowd.nearest(first) is None


@given(st.lists(st.binary(max_size=5).map(lambda data: bytes(byte % 2 + 97 for byte in data)), max_size=12))
def test_of_a_crowd_exactly_those_fit_that_may(runs: list[bytes]) -> None:
    crowd = library(**{f"t{n}": [(said, b"")] for n, said in enumerate(runs) if said}).root.crowd
    for first in (*runs, *(said + b"a" for said in runs), b"ab", b""):
        fitting = [edge for edge in crowd.edges if edge.head.startswith(first) or first.startswith(edge.head)]
        assert crowd.fitting(first) == fitting
