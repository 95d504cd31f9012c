"""The error for a miss, errors by name, and lines of a log."""

import pytest

from svcmock.protocol import Difference, Explanation, Near
from svcmock_protocols.redis.messages import Array, Double, Error, Map, Nil, Reply, Request, Simple
from svcmock_protocols.redis.miss import FAULTS, SUMMARY_MAX, miss, outcome, summary
from tests.protocols.redis.making import asked, words

EXPLAINED = Explanation("m-1", "cache", "redis", "GET user:42", see="svcmock why m-1")


def test_a_miss_says_where_to_look():
    line = miss(asked("GET user:42"), EXPLAINED).value.text
    assert line == b"ERR svcmock: no recorded reply for GET user:42 (see svcmock why m-1)"


def test_a_miss_says_what_is_nearest():
    failed = Difference("args.0", "equals", "user:43\r\n", "user:42")
    near = Near("routes/a.yaml:3", 2, 3, (failed, Difference("db", "equals", 1, 0)))
    known = Explanation("m-1", "cache", "redis", "GET user:42", nearest=(near,), see="svcmock why m-1")
    line = miss(asked("GET user:42"), known).value.text
    assert line == (
        b"ERR svcmock: no recorded reply for GET user:42 "
        b"(nearest: routes/a.yaml:3, which has user:43  at args.0; "
        b"which has 1 at db; see svcmock why m-1)"
    )


def test_a_long_value_is_quoted_where_it_differs():
    failed = Difference("args.1", "equals", "x" * 150 + "a\n" + "y" * 90, "x" * 150 + "b")
    near = Near("routes/a.yaml:3", 2, 3, (failed,))
    known = Explanation("m-1", "cache", "redis", "SET a", nearest=(near,), see="svcmock why m-1")
    shown = b"..." + b"x" * 20 + b"a " + b"y" * 38 + b"... at args.1"
    assert shown in miss(asked("GET a"), known).value.text


def test_a_miss_is_one_line_whatever_was_asked():
    line = miss(Request((b"GET", b"a\r\n+OK\r\n" + b"x" * 9000)), EXPLAINED).value.text
    assert b"\r" not in line
    assert b"\n" not in line
    assert len(line) < 600


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (asked("GET user:42"), "GET user:42"),
        (asked("GET user:42", 3), "GET user:42 (database 3)"),
        (asked("AUTH secret"), "AUTH"),
        (asked("CONFIG SET requirepass secret"), "CONFIG SET"),
        (Request((b"SET", b"a", b"")), 'SET a ""'),
        (Request((b"SET", b"a", b"\xff\n" + b"x" * 100)), "SET a \\xff " + "x" * 55 + "..."),
        (Request((b"MSET", *[b"a"] * 10)), "MSET a a a a a a a ..."),
        (Request((), 0, "transaction", (words("INC"),) * 7), "MULTI " + "INC, " * 4 + "INC and 2 more EXEC"),
        (Request((b"X",), 0, "queued"), "X in MULTI"),
        (Request((b"news",), 0, "channel", number=2), "message 2 of channel news"),
    ],
)  # fmt: skip
def test_summaries(request_, line):
    assert summary(request_) == line


def test_a_summary_has_an_end():
    assert len(summary(Request((b"MSET", *[b"x" * 1000] * 100)))) <= SUMMARY_MAX + 30


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (Simple(b"OK"), "OK"),
        (Error(b"WRONGTYPE no"), "WRONGTYPE"),
        (Nil(), "nil"),
        (b"abc", "3 bytes"),
        (b"a", "1 byte"),
        (7, "7"),
        (Array((1, 2)), "2 items"),
        (Map(), "0 pairs"),
        (Double(b"1"), "double"),
        (True, "True"),
    ],
)
def test_outcomes(value, word):
    assert outcome(Reply(value)) == word


def test_faults_are_errors_of_one_line():
    for fault in FAULTS.values():
        assert isinstance(fault.value, Error)
        assert fault.wire == b"-%b\r\n" % fault.value.text
    assert FAULTS["loading"].value.text.startswith(b"LOADING ")
