"""Which requests are the same, and what predicates see of them."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.redis import canonical
from svcmock_protocols.redis.messages import Request
from tests.protocols.redis.making import asked, context

SHA = hashlib.sha1(b"return 1").hexdigest()


def key(request, *ignore):
    return canonical.key(request, context(*ignore))


SAME = [
    (Request((b"CONFIG", b"get", b"a")), Request((b"CONFIG", b"GET", b"a"))),
    (Request((b"EVAL", b"return 1", b"0")), Request((b"EVALSHA", SHA.encode(), b"0"))),
    (Request((b"EVALSHA", SHA.upper().encode(), b"0")), Request((b"EVALSHA", SHA.encode(), b"0"))),
]
OTHERS = [
    asked("GET a"),
    asked("GET a", 1),
    asked("GET b"),
    asked("GET"),
    asked("GET a 0"),
    asked("GET A"),
    asked("GETDEL a"),
    Request((b"GET", b"a\0" + b"0")),
    Request((b"GET", b"a", b"")),
    Request((b"GET", b"a\1")),
    Request((b"GET", b"a\1\2")),
    Request((b"GET", b"a\0")),
    Request((b"GET\0A",)),
    Request((b"GET", b"a"), 0, "queued"),
    Request((), 0, "transaction", ((b"GET", b"a"),)),
    Request((), 0, "transaction", ((b"GET", b"a"), (b"GET", b"b"))),
    Request((), 0, "transaction", ((b"GET", b"a", b"GET", b"b"),)),
    Request((), 0, "transaction"),
    Request((b"a",), 0, "channel"),
    Request((b"a",), 0, "channel", number=1),
    Request((b"a",), 0, "pattern"),
    Request((b"CHANNEL", b"a", b"0")),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_is_the_same(one, other):
    assert key(one) == key(other)
    assert canonical.decisive(one, context()) == canonical.decisive(other, context())


def test_what_is_not():
    assert len({key(request) for request in OTHERS}) == len(OTHERS)


def test_a_key_begins_with_its_address():
    for request in OTHERS:
        address = canonical.address(request)
        assert b"\0" not in address
        assert key(request).startswith(address + b"\0")


@given(st.lists(st.lists(st.binary(max_size=3), min_size=1, max_size=4), min_size=2, max_size=2))
def test_other_arguments_are_another_key(lists):
    one, other = (Request((b"X", *args)) for args in lists)
    assert (key(one) == key(other)) is (one == other)


def test_noise_does_not_decide():
    one, other = asked("SET a 1 EX 5"), asked("SET a 1 EX 9")
    assert key(one, "args.3") == key(other, "args.3")
    assert key(one, "args.3") != key(asked("SET a 2 EX 5"), "args.3")
    assert key(one, "args.3") != key(asked("SET a 1 EX"), "args.3")
    assert key(asked("GET a", 3), "db") == key(asked("GET a"), "db")
    assert key(asked("GET a b"), "args") == key(asked("GET"), "args")
    assert canonical.decisive(one, context("args.3")) == {"command": "SET", "args": ["a", "1", "EX"], "db": 0}


def test_fields():
    assert canonical.fields(asked("MGET user:1 user:2", 3)) == {
        "command": "MGET",
        "args": ["user:1", "user:2"],
        "key": "user:1",
        "keys": ["user:1", "user:2"],
        "db": 3,
    }
    assert canonical.fields(Request((b"PING", b"\xff\n"))) == {"command": "PING", "args": ["\\xff\n"], "db": 0}
    transaction = Request((), 1, "transaction", ((b"GET", b"a"),))
    assert canonical.fields(transaction) == {"command": "EXEC", "transaction": [["GET", "a"]], "db": 1}
    assert canonical.fields(Request((b"n",), 0, "pattern", number=2)) == {
        "pushed": {"pattern": "n"},
        "number": 2,
        "db": 0,
    }
    assert canonical.fields(Request((b"X",), 0, "queued"))["refused"] is True
    seen = {name for request in OTHERS for name in canonical.fields(request)}
    assert seen == set(canonical.NAMES)
