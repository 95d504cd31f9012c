"""The model in a session: what was recorded comes first, what was written counts from then on."""

import pytest

from svcmock.protocol import Close, Wake
from svcmock_protocols.redis.messages import NULL, Array, Map, Options, Request, Simple
from svcmock_protocols.redis.model import Store
from svcmock_protocols.redis.modelled import POLL, Modelled
from svcmock_protocols.redis.session import RedisSession
from svcmock_protocols.redis.shared import Shared
from tests.protocols.redis.making import Routes, context, follow, sent, talk, wire, words


@pytest.fixture
def shared():
    return Shared()


@pytest.fixture
def client(shared):
    made = []

    def connect():
        session = RedisSession(context(options={"model": True}, state=shared))
        made.append(session)
        return session

    yield connect
    for session in made:
        session.closed()


def test_what_is_written_is_read_by_everybody(client):
    one, other = client(), client()
    assert talk(one, wire("SET a 1", "INCR a")) == b"+OK\r\n:2\r\n"
    assert talk(other, wire("GET a", "TTL a")) == b"$1\r\n2\r\n:-1\r\n"
    assert one.at_rest is None
    assert one.idle


def test_what_was_recorded_of_a_key_is_where_it_begins(client):
    routes = Routes(
        {"GET stock": b"12", "TTL stock": 100, "HGETALL h": Map(((b"f", b"1"),)), "GET other": b"x"}
    )
    session = client()
    assert (
        talk(session, wire("INCRBY stock -1", "GET stock", "TTL stock"), routes)
        == b":11\r\n$2\r\n11\r\n:100\r\n"
    )
    assert talk(session, wire("HGET h f", "HSET h g 2", "HLEN h"), routes) == b"$1\r\n1\r\n:1\r\n:2\r\n"
    assert routes.misses == []


@pytest.mark.parametrize(
    ("recorded", "value", "line", "told"),
    [
        ("LRANGE k 0 -1", Array((b"a", b"b")), "LLEN k", b":2\r\n"),
        ("SMEMBERS k", Array((b"a", b"b"), "set"), "SCARD k", b":2\r\n"),
        ("ZRANGE k 0 -1 WITHSCORES", Array((b"a", b"1.5")), "ZSCORE k a", b"$3\r\n1.5\r\n"),
        ("HGETALL k", Array((b"f", b"1")), "HGET k f", b"$1\r\n1\r\n"),
        ("GET k", b"abc", "STRLEN k", b":3\r\n"),
    ],
)
def test_every_kind_of_key_is_loaded(client, recorded, value, line, told):
    assert talk(client(), wire(line), Routes({recorded: value})) == told


def test_a_read_that_was_recorded_counts_until_the_first_write(client):
    routes = Routes({"HGET h f": b"1"})
    session = client()
    assert talk(session, wire("HGET h f", "HGET h g"), routes) == b"$1\r\n1\r\n$-1\r\n"
    assert talk(session, wire("HSET h g 2", "HGET h f", "HGET h g"), routes) == b":1\r\n$-1\r\n$1\r\n2\r\n"


def test_after_a_flush_nothing_was_recorded(client):
    routes = Routes({"GET a": b"1", "KEYS *": Array((b"a",))})
    session = client()
    assert talk(session, wire("KEYS *"), routes) == b"*1\r\n$1\r\na\r\n"
    assert talk(session, wire("FLUSHDB", "GET a", "DBSIZE", "KEYS *"), routes) == b"+OK\r\n$-1\r\n:0\r\n*0\r\n"
    assert talk(session, wire("SELECT 1", "SET a 5", "FLUSHALL", "GET a"), routes).endswith(b"+OK\r\n$-1\r\n")


def test_transactions(client):
    routes = Routes({"GET a": b"5"})
    one, other = client(), client()
    assert talk(one, wire("MULTI", "INCR a", "GET a", "EXEC"), routes).endswith(b"*2\r\n:6\r\n$1\r\n6\r\n")
    assert talk(one, wire("WATCH a"), routes) == b"+OK\r\n"
    talk(other, wire("SET a 1"), routes)
    assert talk(one, wire("MULTI", "INCR a", "EXEC"), routes).endswith(b"*-1\r\n")


def test_what_the_model_does_not_know_is_asked_for(client):
    transaction = Request((), 0, "transaction", (words("EVAL x 0"), words("GET a")))
    routes = Routes({"EVAL x 0": 5, transaction: Array((5, NULL))})
    session = client()
    assert talk(session, wire("EVAL x 0", "TIME"), routes) == b":5\r\n-ERR svcmock: miss\r\n"
    assert talk(session, wire("MULTI", "EVAL x 0", "GET a", "EXEC"), routes).endswith(b"*2\r\n:5\r\n$-1\r\n")


def test_a_command_that_blocks_waits_for_others(client):
    one, other = client(), client()
    routes = Routes()
    outs = follow(one, one.received(wire("BLPOP jobs 5", "PING")), routes, wake=False)
    assert outs[-1] == Wake(POLL, "plan")
    assert not one.idle
    assert follow(one, one.woke("plan"), routes, wake=False) == [Wake(POLL, "plan")]
    talk(other, wire("RPUSH jobs a"))
    assert sent(follow(one, one.woke("plan"), routes)) == b"*2\r\n$4\r\njobs\r\n$1\r\na\r\n+PONG\r\n"


def test_it_waits_no_longer_than_it_says(client):
    assert talk(client(), wire("BLPOP jobs 0.1")) == b"*-1\r\n"
    assert talk(client(), wire("XREAD BLOCK 50 STREAMS s $")) == b"*-1\r\n"
    assert talk(client(), wire("BLPOP jobs x")).startswith(b"-ERR timeout")


def test_a_client_that_leaves_while_it_waits(client):
    one = client()
    follow(one, one.received(wire("BLPOP jobs 0")), Routes(), wake=False)
    assert one.eof()[-1].how == "flush"
    assert one.woke("plan") == ()


def test_there_is_an_end_to_databases(client):
    assert talk(client(), wire("SELECT 255", "SELECT 256")) == b"+OK\r\n-ERR DB index is out of range\r\n"


def test_without_the_option_there_is_no_model():
    session = RedisSession(context())
    assert talk(session, wire("SET a 1")) == b"-ERR svcmock: miss\r\n"
    assert not Options().model


def test_what_it_has_an_answer_to():
    one = Modelled(Store())
    assert one.answers(words("GET a"))
    assert one.answers(words("DBSIZE"))
    assert not one.answers(words("EVAL x 1 a"))
    assert not one.answers(words("TIME"))
    one.close()


def wakes(outs):
    return [out for out in outs if isinstance(out, Wake)]


@pytest.mark.parametrize(
    "line", ["XREAD BLOCK 0 STREAMS s none $ 0", "XREADGROUP GROUP g c COUNT 1 BLOCK 9000 STREAMS s >"]
)
def test_a_stream_is_waited_for_from_now_on(client, line):
    one, other = client(), client()
    talk(other, wire("XADD s 1-1 f old", "XGROUP CREATE s g $"))
    assert wakes(follow(one, one.received(wire(line)), Routes(), wake=False)) == [Wake(POLL, "plan")]
    assert wakes(follow(one, one.woke("plan"), Routes(), wake=False)) == [Wake(POLL, "plan")]
    talk(other, wire("XADD s * f new"))
    told = sent(follow(one, one.woke("plan"), Routes(), wake=False))
    assert b"new" in told
    assert b"old" not in told


def test_streams_in_which_there_is_nothing(client):
    assert talk(client(), wire("XREAD BLOCK 10 STREAMS s $", "XREAD STREAMS s 0")) == b"*-1\r\n*-1\r\n"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("XREAD BLOCK -1 STREAMS s $", b"timeout is negative"),
        ("XREAD BLOCK 1.5 STREAMS s $", b"timeout is not an integer"),
        ("BLPOP l -1", b"timeout is negative"),
        ("BLPOP l nan", b"timeout is not a float"),
        ("BLMPOP inf 1 l LEFT", b"timeout is not a float"),
    ],
)
def test_times_that_are_none(client, line, why):
    assert why in talk(client(), wire(line))


def test_who_leaves_while_it_waits_is_not_waited_for(client):
    """Nothing may ever come: the connection ends, as it does when the daemon is to end."""
    for end in (RedisSession.eof, RedisSession.draining):
        session = client()
        follow(session, session.received(wire("BLPOP jobs 0")), Routes(), wake=False)
        assert end(session) == [Close()]


def test_scripts_are_not_the_models(client):
    routes = Routes()
    lines = ("EVAL x 1 a", "EVALSHA x 1 a", "EVAL_RO x 1 a", "FCALL f 1 a", "SCRIPT EXISTS x")
    told = talk(client(), wire(*lines, "MULTI", "EVAL x 1 a", "EXEC"), routes)
    assert told.count(b"-ERR svcmock: miss") == len(routes.misses) == 6


def test_what_the_model_calls_by_another_name_or_says_in_another_type(client):
    session = client()
    talk(
        session,
        wire("RPUSH l 2 1", "XADD s 1-1 f v", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c STREAMS s >"),
    )
    assert talk(session, wire("TOUCH l none", "SORT_RO l")) == b":1\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n"
    assert talk(session, wire("MULTI", "TOUCH l", "EXEC")).endswith(b"*1\r\n:1\r\n")
    assert talk(session, wire("XPENDING s g")).endswith(b"*1\r\n*2\r\n$1\r\nc\r\n$1\r\n1\r\n")
    talk(session, wire("GEOADD geo 13.361389 38.115556 P 15.087269 37.502669 C"))
    told = talk(session, wire("HELLO 3", "GEODIST geo P C", "GEODIST geo P none"))
    assert b"\r\n$11\r\n166274." in told
    assert told.endswith(b"_\r\n")


def test_a_command_that_fakeredis_does_not_know_is_asked_for(client):
    routes = Routes({"XSETID s 2-0": Simple(b"OK")})
    assert talk(client(), wire("XADD s 1-1 f v", "XSETID s 2-0"), routes).endswith(b"+OK\r\n")
