"""What is known of commands: their keys, and whether a server would take them."""

import pytest

from svcmock_protocols.redis.catalogue import ARITY, READS, flags, is_doubtful, keys, name_of, span
from tests.protocols.redis.making import words

KEYS = {
    "GET a": "a",
    "SET a 1 EX 5": "a",
    "MGET a b": "a b",
    "DEL a b c": "a b c",
    "MSET a 1 b 2": "a b",
    "BLPOP a b 0": "a b",
    "RENAME a b": "a b",
    "SMOVE a b m": "a b",
    "COPY a b REPLACE": "a b",
    "BITOP AND d a b": "d a b",
    "ZUNION 2 a b WITHSCORES": "a b",
    "ZUNIONSTORE d 2 a b": "d a b",
    "LMPOP 2 a b LEFT": "a b",
    "BLMPOP 0 1 a LEFT": "a",
    "EVAL return 2 a b c": "a b",
    "EVALSHA abc 0": "",
    "EVALSHA abc x": "",
    "XREAD COUNT 2 STREAMS a b 0 0": "a b",
    "XREADGROUP GROUP g c streams a >": "a",
    "XREAD COUNT 2": "",
    "SORT a BY STORE store d": "a d",
    "SORT a": "a",
    "SORT a STORE": "a",
    "GEORADIUS a 1 2 3 m STORE b STOREDIST c": "a c",
    "OBJECT ENCODING a": "a",
    "object encoding a": "a",
    "XINFO STREAM a": "a",
    "MEMORY USAGE a": "a",
    "CONFIG GET save": "",
    "CONFIG": "",
    "PING": "",
    "PUBLISH c m": "",
    "SCAN 0": "",
    "JSON.GET a": "",
    "GET": "",
}


@pytest.mark.parametrize(("line", "expected"), KEYS.items())
def test_keys(line, expected):
    assert keys(words(line)) == tuple(expected.encode().split())


def test_names():
    assert name_of(words("GET a")) == b"GET"
    assert name_of(words("config get a")) == b"CONFIG GET"
    assert name_of(words("CONFIG")) == b"CONFIG"


@pytest.mark.parametrize("line", ["GET", "GET a b", "SET a", "NOSUCH a", "JSON.GET a"])
def test_what_a_server_may_refuse(line):
    assert is_doubtful(words(line))


@pytest.mark.parametrize("line", ["GET a", "SET a b EX 1", "PING", "EXEC", "MGET a b c", "INCR a"])
def test_what_it_takes(line):
    assert not is_doubtful(words(line))


def test_what_only_reads_is_known_at_all():
    assert READS - set(ARITY) == set()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GET", (1, 1, 1)),
        ("MGET", (1, -1, 1)),
        ("MSET", (1, -1, 2)),
        ("BLPOP", (1, -2, 1)),
        ("RENAME", (1, 2, 1)),
        ("SMOVE", (1, 2, 1)),
        ("BITOP", (2, -1, 1)),
        ("EVAL", (0, 0, 0)),
        ("ZUNION", (0, 0, 0)),
        ("ZUNIONSTORE", (1, 1, 1)),
        ("PING", (0, 0, 0)),
        ("CONFIG", (0, 0, 0)),
    ],
)
def test_where_keys_are(name, expected):
    assert span(name.encode()) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GET", "readonly"),
        ("SET", "write"),
        ("XREAD", "readonly movablekeys"),
        ("XREADGROUP", "write movablekeys"),
        ("EVAL_RO", "readonly movablekeys"),
        ("SCAN", "readonly"),
        ("SUBSCRIBE", "pubsub"),
        ("PING", ""),
        ("CONFIG", ""),
    ],
)
def test_what_command_says_of_them(name, expected):
    assert flags(name.encode()) == tuple(expected.encode().split())
