"""The model's store: typed answers, errors in the words of a server, nothing that blocks."""

import pytest

from svcmock_protocols.redis.messages import NULL, OK, Array, Double, Error, Map, Simple
from svcmock_protocols.redis.model import Store
from tests.protocols.redis.making import words


def run(*lines):
    connection = Store().connect()
    try:
        return [connection.run(words(line)) for line in lines]
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        (["SET a 1"], OK),
        (["SET a OK", "GET a"], b"OK"),
        (["GET a"], NULL),
        (["SET a 1", "SET a 2 GET"], b"1"),
        (["INCR a", "INCRBY a 5"], 6),
        (["SET a 1", "TYPE a"], Simple(b"string")),
        (["HSET h f 1", "HGETALL h"], Map(((b"f", b"1"),))),
        (["SADD s m", "SMEMBERS s"], Array((b"m",), "set")),
        (["ZADD z 1.5 m", "ZSCORE z m"], Double(b"1.5")),
        (["ZADD z 2 m", "ZRANGE z 0 -1 WITHSCORES"], Array((Array((b"m", Double(b"2"))),))),
        (["RPUSH l a b", "LRANGE l 0 -1"], Array((b"a", b"b"))),
        (["RPUSH l a", "RENAME l k"], OK),
        (["SET a 1 EX 100", "TTL a"], 100),
        (["MGET a b"], Array((NULL, NULL))),
    ],
)
def test_answers_have_types(lines, value):
    assert run(*lines)[-1] == value


@pytest.mark.parametrize(
    ("lines", "start"),
    [
        (["RPUSH l a", "INCR l"], b"WRONGTYPE "),
        (["SET a x", "INCR a"], b"ERR value is not an integer"),
        (["GET"], b"ERR wrong number of arguments"),
        (["NOSUCH a"], b"ERR unknown command"),
        (["SUBSCRIBE a"], b""),
    ],
)
def test_errors_are_those_of_a_server(lines, start):
    value = run(*lines)[-1]
    assert start == b"" or isinstance(value, Error)
    assert start == b"" or value.text.startswith(start)


def test_connections_share_a_store_and_not_a_database():
    store = Store()
    one, other = store.connect(), store.connect()
    one.run(words("SET a 1"))
    assert other.run(words("GET a")) == b"1"
    other.select(1)
    assert other.run(words("GET a")) == NULL
    other.select(0)
    assert other.run(words("GET a")) == b"1"
    one.close()
    other.close()


def test_transactions_and_what_is_watched():
    store = Store()
    one, other = store.connect(), store.connect()
    assert one.transaction([words("SET a 1"), words("INCR a")]) == Array((OK, 2))
    assert one.run(words("WATCH a")) == OK
    other.run(words("SET a 5"))
    assert one.transaction([words("INCR a")]) == NULL
    assert one.transaction([words("INCR a")]) == Array((6,))
    one.close()
    other.close()


def test_nothing_blocks():
    connection = Store().connect()
    assert connection.run_unblocked(words("BLPOP l 0")) == NULL
    connection.run(words("RPUSH l a"))
    assert connection.run_unblocked(words("BLPOP l 0")) == Array((b"l", b"a"))
    connection.close()
