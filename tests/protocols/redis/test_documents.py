"""Route files: what they mean, what is wrong with them, and that a recording is read back as it was."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Invalid
from svcmock_protocols.redis import documents
from svcmock_protocols.redis.codec import encode
from svcmock_protocols.redis.documents import ReplyDoc, RequestDoc, duration, show_duration
from svcmock_protocols.redis.messages import NULL, Array, Attributed, Error, Map, Nil, Reply, Request, Simple
from tests.protocols.redis.test_codec import values
from tests.protocols.redis.test_writing import Bodies


def request(doc, files=()):
    return documents.request(msgspec.convert(doc, RequestDoc), Bodies(files))


def reply(doc, files=()):
    return documents.reply(msgspec.convert(doc, ReplyDoc), Bodies(files))


REQUESTS = [
    ({"command": "GET user:42"}, Request((b"GET", b"user:42"))),
    ({"command": "GET user:42", "db": 2}, Request((b"GET", b"user:42"), 2)),
    ({"command": ["SET", "a", "hello world"]}, Request((b"SET", b"a", b"hello world"))),
    ({"command": ["SET", "a", {"hex": "ff"}]}, Request((b"SET", b"a", b"\xff"))),
    ({"command": ["SET", "a", ""]}, Request((b"SET", b"a", b""))),
    ({"command": ["SET", "a", 'say "hi"']}, Request((b"SET", b"a", b'say "hi"'))),
    ({"transaction": ["GET", ["X", "y z"]]}, Request((), 0, "transaction", ((b"GET",), (b"X", b"y z")))),
    ({"transaction": [], "db": 1}, Request((), 1, "transaction")),
    ({"refused": "NOSUCH a"}, Request((b"NOSUCH", b"a"), 0, "queued")),
    ({"pushed": "news", "number": 0}, Request((b"news",), 0, "channel")),
    ({"pushed": {"pattern": "n*"}, "number": 3}, Request((b"n*",), 0, "pattern", number=3)),
    ({"pushed": {"shard": "s"}, "number": 0}, Request((b"s",), 0, "shard")),
    ({"pushed": {"channel": {"hex": "ff"}}, "number": 0}, Request((b"\xff",), 0, "channel")),
]  # fmt: skip
REPLIES = [
    ({"status": "OK"}, Simple(b"OK")),
    ({"value": None}, NULL),
    ({"nil": "array"}, Nil("array")),
    ({"value": 5}, 5),
    ({"error": "ERR no"}, Error(b"ERR no")),
    ({"map": {"a": 1}}, Map(((b"a", 1),))),
    ({"attributes": {"ttl": 5}, "value": "a"}, Attributed(((b"ttl", 5),), b"a")),
    ({"attributes": {"ttl": 5}, "set": ["a"]}, Attributed(((b"ttl", 5),), Array((b"a",), "set"))),
]


@pytest.mark.parametrize(("doc", "value"), REQUESTS)
def test_requests(doc, value):
    assert request(doc) == value
    shown = documents.dump(value, Reply(b"x") if value.kind in {"channel", "pattern", "shard"} else Reply(1))
    assert shown.request == doc


@pytest.mark.parametrize(("doc", "value"), REPLIES)
def test_replies(doc, value):
    assert reply(doc).value == value
    assert documents.dump(Request((b"GET",)), Reply(value)).respond == doc


def test_other_ways_to_write_a_request():
    assert request({"command": 'set a "x y"'}) == Request((b"SET", b"a", b"x y"))
    assert request({"command": ["incrby", "a", 5]}) == Request((b"INCRBY", b"a", b"5"))
    assert request({"pushed": {"channel": "a"}}) == request({"pushed": "a", "number": 0})


def test_messages():
    asked = Request((b"n*",), 0, "pattern")
    doc = {"message": "hi", "channel": "news", "after": "20ms"}
    made = reply(doc)
    assert made == Reply(b"hi", after=0.02, channel=b"news")
    assert documents.dump(asked, made).respond == doc
    assert documents.dump(Request((b"n",), 0, "channel"), Reply(b"hi")).respond == {"message": "hi"}


def test_nothing_is_said_in_the_form_of_its_command():
    assert documents.dump(Request((b"GET", b"a")), Reply(Nil("bulk"))).respond == {"value": None}
    assert documents.dump(Request((b"BLPOP", b"a", b"1")), Reply(Nil("bulk"))).respond == {"nil": "bulk"}


def test_wire_bytes_are_made_where_they_are_the_same_for_all():
    assert reply({"value": ["a", 1]}).wire == b"*2\r\n$1\r\na\r\n:1\r\n"
    assert reply({"value": None}).wire == b""
    assert reply({"map": {}}).wire == b""


def test_large_arguments_are_files():
    asked, answered = Request((b"SET", b"a", b"x" * 5000)), Reply(b"y" * 6000)
    made = documents.dump(asked, answered)
    assert len(made.files) == 2
    assert request(made.request, made.files) == asked
    assert reply(made.respond, made.files).value == answered.value


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=5), st.integers(0, 20))
def test_no_argument_is_lost(args, db):
    asked = Request((args[0].upper(), *args[1:]), db)
    if not asked.args[0]:
        return
    assert request(documents.dump(asked, Reply(1)).request) == asked


@given(values)
def test_no_reply_is_lost(value):
    made = documents.dump(Request((b"X",)), Reply(value))
    back = reply(made.respond, made.files)
    assert back.value == value
    assert encode(back.value, 3) == encode(value, 3)
    assert back.wire in (b"", encode(value, 2))


@pytest.mark.parametrize(
    ("doc", "at", "why"),
    [
        ({}, (), "has one of"),
        ({"command": "GET a", "transaction": []}, ("transaction",), "has one of"),
        ({"command": ""}, ("command",), "a name"),
        ({"command": []}, ("command",), "a name"),
        ({"command": 'GET "a'}, ("command",), "quotes"),
        ({"command": 5}, ("command",), "expected a command"),
        ({"command": ["GET", 1.5]}, ("command", 1), "in quotes"),
        ({"command": ["GET", None]}, ("command", 1), "in quotes"),
        ({"command": ["GET", True]}, ("command", 1), "in quotes"),
        ({"command": "GET a", "db": -1}, ("db",), "from 0"),
        ({"command": "GET a", "number": 1}, ("number",), "pushed"),
        ({"pushed": "a", "number": -1}, ("number",), "from 0"),
        ({"pushed": {"x": "a"}}, ("pushed",), "channel"),
        ({"transaction": ["GET a", ""]}, ("transaction", 1), "a name"),
    ],
)
def test_requests_that_mean_nothing(doc, at, why):
    with pytest.raises(Invalid, match=why) as told:
        request(doc)
    assert told.value.at == at


@pytest.mark.parametrize(
    ("doc", "at", "why"),
    [
        ({}, (), "has one of"),
        ({"status": "OK", "value": 1}, ("status",), "has one of"),
        ({"value": 1, "after": "1s"}, ("after",), "delay"),
        ({"value": 1, "channel": "a"}, ("channel",), "message"),
        ({"message": "a", "value": 1}, ("value",), "nothing else"),
        ({"message": "a", "after": "soon"}, ("after",), "duration"),
        ({"message": "a", "after": -1}, ("after",), "duration"),
        ({"value": [{"x": 1}]}, ("value", 0), "names one type"),
        ({"map": {"a": {"x": 1}}}, ("map", "a"), "names one type"),
    ],
)
def test_replies_that_mean_nothing(doc, at, why):
    with pytest.raises(Invalid, match=why) as told:
        reply(doc)
    assert told.value.at == at


@given(st.floats(0, 1000))
def test_durations_are_read_as_they_are_shown(seconds):
    once = duration(show_duration(seconds))
    assert abs(once - seconds) < 1e-6
    assert duration(show_duration(once)) == once


def test_durations():
    assert [duration(text) for text in ("20ms", "1.5s", "2m", "1h", "250us", 3, "4")] == [
        0.02,
        1.5,
        120,
        3600,
        0.00025,
        3,
        4,
    ]
