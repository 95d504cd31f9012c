"""A session: bytes in, bytes out, whatever the cuts; the state of one client; what only routes can answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Ask, Close, Publish, Send, Unsubscribe, Wake
from svcmock_protocols.redis.commands import encode
from svcmock_protocols.redis.facts import Facts
from svcmock_protocols.redis.messages import (
    NULL,
    Array,
    Double,
    Error,
    Map,
    Nil,
    Reply,
    Request,
    Simple,
)
from svcmock_protocols.redis.session import RedisSession
from svcmock_protocols.redis.shared import Shared
from tests.protocols.conformance import check_session_splits, check_session_survives
from tests.protocols.redis.making import Routes, asked, context, drive, follow, sent, talk, wire, words


def new(**more):
    return RedisSession(context(**more))


def say(data, routes=None, session=None):
    return talk(session or new(), data, routes)


# --- answers of routes --------------------------------------------------------------------------------


def test_a_reply_has_the_type_that_was_recorded():
    routes = Routes(
        {"GET a": b"1", "SET a 1": Simple(b"OK"), "INCR a": 2, "GET b": Nil(), "INCR x": Error(b"ERR no")}
    )
    data = wire("GET a", "SET a 1", "INCR a", "GET b", "INCR x")
    assert say(data, routes) == b"$1\r\n1\r\n+OK\r\n:2\r\n$-1\r\n-ERR no\r\n"


def test_pipelined_commands_are_answered_in_order_however_late():
    session = new()
    (ask,) = session.received(wire("GET a", "GET b"))
    assert (session.at_rest, session.idle) == (None, False)
    assert session.held == 20
    assert session.received(wire("GET c")) == ()
    assert session.held == 40
    sent_, ask = session.answered(ask, Reply(b"1"))
    assert sent_ == Send(b"$1\r\n1\r\n")
    assert ask.request == asked("GET b")
    _, ask = session.answered(ask, Reply(b"2"))
    assert session.answered(ask, Reply(b"3")) == [Send(b"$1\r\n3\r\n")]
    assert session.at_rest is not None
    assert session.held == 0


def test_the_size_of_a_request_is_that_of_its_bytes():
    (ask,) = new().received(wire("GET a", "GET b"))
    assert ask == Ask(1, asked("GET a"), 20)


def test_what_is_not_known_here_is_asked_for_as_it_is():
    routes = Routes()
    assert say(wire("JSON.GET a"), routes) == b"-ERR svcmock: miss\r\n"
    assert routes.misses == [asked("JSON.GET a")]


def test_the_version_of_a_client_decides_the_form():
    routes = Routes({"HGETALL a": Map(((b"f", b"1"),)), "ZSCORE a m": Double(b"1.5"), "GET x": NULL})
    asks = wire("HGETALL a", "ZSCORE a m", "GET x")
    assert say(asks, routes) == b"*2\r\n$1\r\nf\r\n$1\r\n1\r\n$3\r\n1.5\r\n$-1\r\n"
    session = new()
    talk(session, wire("HELLO 3"))
    assert talk(session, asks, routes) == b"%1\r\n$1\r\nf\r\n$1\r\n1\r\n,1.5\r\n_\r\n"


def test_nothing_comes_when_the_time_is_up():
    routes = Routes({"BLPOP a 5": [Array((b"a", b"1")), Nil("array")], "BLPOP b 0": NULL})
    session = new(pace=0.5)
    assert talk(session, wire("BLPOP a 5"), routes) == b"*2\r\n$1\r\na\r\n$1\r\n1\r\n"
    outs = drive(session, wire("BLPOP a 5", "PING"), routes, wake=False)
    assert outs[-1] == Wake(2.5, "plan")
    assert (session.at_rest, session.idle) == (None, False)
    assert sent(follow(session, session.woke("plan"), routes)) == b"*-1\r\n+PONG\r\n"
    assert session.woke("plan") == ()
    assert talk(session, wire("BLPOP b 0"), routes) == b"*-1\r\n"
    drive(session, wire("BLPOP a 5"), routes, wake=False)
    assert session.eof() == [Close()]
    drive(hurried := new(pace=0.0), wire("BLPOP a 5"), routes, wake=False)
    assert hurried.at_rest is not None


# --- the connection -----------------------------------------------------------------------------------


def test_hello():
    session = new(schema=Facts(version="6.2.12"))
    told = talk(session, wire("HELLO 3 AUTH ann secret SETNAME app"))
    assert told.startswith(b"%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n6.2.12\r\n")
    assert session.at_rest == (3, 0, b"app")
    assert talk(session, wire("RESET")) == b"+RESET\r\n"
    assert session.at_rest == (2, 0, b"")


def test_of_a_client_with_an_endless_name_nothing_is_remembered():
    session = new()
    drive(session, b"CLIENT SETNAME " + b"x" * 1000 + b"\r\n", Routes())
    assert (session.at_rest, session.idle) == (None, True)


def test_a_server_that_knows_no_hello():
    routes = Routes({"HELLO 3": Error(b"ERR unknown command `HELLO`")})
    session = new()
    assert talk(session, wire("HELLO 3"), routes).startswith(b"-ERR unknown")
    assert session.at_rest == (2, 0, b"")


def test_a_route_may_say_what_the_server_is():
    routes = Routes({"HELLO 3": Map(((b"server", b"other"),))})
    session = new()
    assert talk(session, wire("HELLO 3"), routes) == b"%1\r\n$6\r\nserver\r\n$5\r\nother\r\n"
    assert session.at_rest == (3, 0, b"")


def test_databases():
    session = new()
    routes = Routes({asked("GET a", 2): b"two"})
    assert talk(session, wire("SELECT 2", "GET a"), routes) == b"+OK\r\n$3\r\ntwo\r\n"
    assert session.at_rest == (2, 2, b"")
    for line in ("SELECT x", "SELECT 99999999999"):
        assert talk(session, wire(line)) == b"-ERR value is not an integer or out of range\r\n"
    assert talk(session, wire("SELECT -1")) == b"-ERR DB index is out of range\r\n"
    assert talk(session, wire("SELECT")).startswith(b"-ERR wrong number")


def test_any_credentials_are_taken():
    assert say(wire("AUTH x", "AUTH ann x")) == b"+OK\r\n+OK\r\n"
    assert say(wire("AUTH")).startswith(b"-ERR wrong number")
    assert say(wire("AUTH a b c")) == b"-ERR syntax error\r\n"


def test_small_talk():
    assert say(wire("PING", "PING hi", "ECHO hi", "CLIENT SETNAME a", "CLIENT GETNAME")) == (
        b"+PONG\r\n$2\r\nhi\r\n$2\r\nhi\r\n+OK\r\n$1\r\na\r\n"
    )
    assert say(b"PING\r\n") == b"+PONG\r\n"
    assert say(wire("PING"), Routes({"PING": Error(b"LOADING")})) == b"-LOADING\r\n"


def test_what_only_a_route_can_answer_after_all():
    routes = Routes()
    assert say(wire("SCRIPT EXISTS abc"), routes) == b"-ERR svcmock: miss\r\n"
    assert routes.misses == [asked("SCRIPT EXISTS abc")]
    assert say(wire("PUBLISH a"), routes) == b"-ERR svcmock: miss\r\n"


def test_quit():
    session = new()
    outs = drive(session, wire("QUIT", "PING"), Routes())
    assert outs == [Send(b"+OK\r\n"), Close()]
    assert session.received(wire("PING")) == ()
    assert session.at_rest is None


@pytest.mark.parametrize("line", ["MONITOR", "SYNC"])
def test_what_is_not_served(line):
    assert say(wire(line)) == f"-ERR svcmock: {line} is not served\r\n".encode()


def test_a_web_page_is_not_talked_to():
    assert drive(new(), b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", Routes()) == [Close()]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"*x\r\n", b"invalid multibulk length"),
        (b"*1\r\nx", b"expected '$', got 'x'"),
        (b"*1\r\n$999999999\r\n", b"invalid bulk length"),
        (b"*9999999\r\n", b"invalid multibulk length"),
        (b'"\r\n', b"unbalanced quotes in request"),
    ],
)
def test_what_breaks_the_protocol_ends_the_connection(data, why):
    outs = drive(new(), wire("PING") + data + wire("PING"), Routes())
    assert sent(outs) == b"+PONG\r\n-ERR Protocol error: " + why + b"\r\n"
    assert outs[-1] == Close()


def test_the_limit_of_a_command():
    session = new(options={"max_command": 1024})
    assert talk(session, b"*2\r\n$3\r\nGET\r\n$2000\r\n") == b"-ERR Protocol error: invalid bulk length\r\n"


def test_replies_that_are_not_wanted():
    routes = Routes({"GET a": b"1", "HGETALL a": Map()})
    data = wire(
        "CLIENT REPLY SKIP",
        "GET a",
        "GET a",
        "CLIENT REPLY OFF",
        "GET a",
        "HGETALL a",
        "PING",
        "CLIENT REPLY ON",
        "GET a",
    )
    assert say(data, routes) == b"$1\r\n1\r\n+OK\r\n$1\r\n1\r\n"
    assert say(wire("CLIENT REPLY SKIP", "PING", "PING")) == b"+PONG\r\n"
    assert say(wire("CLIENT REPLY x")) == b"-ERR syntax error\r\n"
    session = new()
    assert talk(session, wire("CLIENT REPLY OFF")) == b""
    assert session.at_rest is None


# --- transactions -------------------------------------------------------------------------------------


def transaction(*lines, db=0):
    return Request((), db, "transaction", tuple(map(words, lines)))


def test_a_transaction_is_asked_for_as_a_whole():
    routes = Routes({transaction("INCR a", "HGETALL h"): Array((1, Map(((b"f", b"1"),))))})
    data = wire("MULTI", "INCR a", "HGETALL h", "EXEC")
    assert say(data, routes) == b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n"
    assert routes.misses == []


def test_between_multi_and_exec_a_session_is_not_at_rest():
    session = new()
    talk(session, wire("MULTI"))
    assert (session.at_rest, session.idle) == (None, True)
    talk(session, wire("DISCARD"))
    assert session.at_rest is not None


def test_an_exec_that_gave_nothing():
    routes = Routes({transaction("INCR a"): Nil("array")})
    assert say(wire("WATCH a", "MULTI", "INCR a", "EXEC"), routes) == b"+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n"
    session = new()
    talk(session, wire("HELLO 3"))
    assert talk(session, wire("MULTI", "INCR a", "EXEC"), routes).endswith(b"_\r\n")


def test_a_command_that_is_refused():
    routes = Routes({Request(words("NOSUCH"), 0, "queued"): Error(b"ERR unknown command")})
    data = wire("MULTI", "NOSUCH", "INCR a", "EXEC", "MULTI", "EXEC")
    assert say(data, routes) == (
        b"+OK\r\n-ERR unknown command\r\n+QUEUED\r\n"
        b"-EXECABORT Transaction discarded because of previous errors.\r\n"
        b"+OK\r\n-ERR svcmock: miss\r\n"
    )
    assert routes.misses == [transaction()]
    assert say(wire("MULTI", "JSON.SET a"), routes) == b"+OK\r\n+QUEUED\r\n"


def test_transactions_that_go_wrong():
    assert say(wire("EXEC")) == b"-ERR EXEC without MULTI\r\n"
    assert say(wire("DISCARD")) == b"-ERR DISCARD without MULTI\r\n"
    assert say(wire("MULTI", "MULTI", "DISCARD")) == b"+OK\r\n-ERR MULTI calls can not be nested\r\n+OK\r\n"
    assert b"-EXECABORT" in say(wire("MULTI", "SUBSCRIBE a", "EXEC"))
    assert say(wire("MULTI", "GET", "EXEC")).endswith(
        b"-ERR wrong number of arguments for 'get' command\r\n"
        b"-EXECABORT Transaction discarded because of previous errors.\r\n"
    )
    assert (
        say(wire("MULTI", "WATCH a", "DISCARD")) == b"+OK\r\n-ERR WATCH inside MULTI is not allowed\r\n+OK\r\n"
    )


def test_a_transaction_has_a_size(monkeypatch):
    from svcmock_protocols.redis import session as sessions

    large = encode((b"SET", b"a", b"v" * 500))
    told = say(
        wire("MULTI") + large * 3 + wire("EXEC", "MULTI", "INCR a"), session=new(options={"max_command": 1024})
    )
    assert told.count(b"+QUEUED") == 2
    assert b"-ERR svcmock: more than 100000 commands, or 1024 bytes, in a transaction\r\n-EXECABORT" in told
    monkeypatch.setattr(sessions, "QUEUE_MAX", 2)
    assert b"-EXECABORT" in say(wire("MULTI", "INCR a", "INCR a", "INCR a", "EXEC"))


def test_the_database_selected_in_a_transaction():
    routes = Routes({transaction("SELECT 3", "GET a"): Array((Simple(b"OK"), b"1"))})
    session = new()
    talk(session, wire("MULTI", "SELECT 3", "GET a", "EXEC"), routes)
    assert session.at_rest == (2, 3, b"")


def test_what_a_transaction_publishes():
    routes = Routes({transaction("PUBLISH news hi"): Array((0,))})
    outs = drive(new(), wire("MULTI", "PUBLISH news hi", "EXEC"), routes)
    assert Publish(("channel", b"news"), (b"news", b"hi")) in outs


# --- clusters -----------------------------------------------------------------------------------------


def test_a_redirection_leads_home():
    routes = Routes({"GET a": [Error(b"MOVED 1 10.0.0.1:6379"), b"1"]})
    session = new(options={"announce": "127.0.0.1:7000"})
    assert talk(session, wire("GET a", "GET a"), routes) == b"-MOVED 1 127.0.0.1:7000\r\n$1\r\n1\r\n"
    assert talk(session, wire("CLUSTER SLOTS")).startswith(b"*1\r\n*3\r\n:0\r\n:16383\r\n")
    assert say(wire("CLUSTER SLOTS"), Routes()) == b"-ERR svcmock: miss\r\n"
    assert talk(session, wire("CLUSTER KEYSLOT a"), Routes({"CLUSTER KEYSLOT a": 5})) == b":5\r\n"


def test_each_node_where_clients_reach_it():
    session = new(options={"nodes": {"10.0.0.1:6379": "here:7001"}})
    moved = Error(b"MOVED 1 10.0.0.1:6379")
    routes = Routes(
        {
            "GET a": moved,
            "CLUSTER SLOTS": Array((Array((0, 9, Array((b"10.0.0.1", 6379, b"id")))),)),
            Request(words("NOSUCH"), 0, "queued"): moved,
        }
    )
    told = talk(session, wire("GET a", "CLUSTER SLOTS", "MULTI", "NOSUCH"), routes)
    slots = b"*1\r\n*3\r\n:0\r\n:9\r\n*3\r\n$4\r\nhere\r\n:7001\r\n$2\r\nid\r\n"
    assert told == b"-MOVED 1 here:7001\r\n" + slots + b"+OK\r\n-MOVED 1 here:7001\r\n"


# --- ends ---------------------------------------------------------------------------------------------


def test_what_is_owed_is_answered_before_the_end():
    session = new()
    (ask,) = session.received(wire("GET a"))
    assert session.eof() == ()
    assert session.answered(ask, Reply(b"1")) == [Send(b"$1\r\n1\r\n"), Close()]
    assert session.answered(ask, Reply(b"1")) == ()
    idle = new()
    assert idle.eof() == [Close()]


def test_draining():
    session = new()
    (ask,) = session.received(wire("GET a"))
    assert session.draining() == ()
    assert session.answered(ask, Reply(b"1"))[-1] == Close()
    assert new().draining() == [Close()]


def test_a_command_that_does_not_arrive():
    session = new()
    session.received(b"*2\r\n$3\r\nGET\r\n")
    assert not session.idle
    assert session.timed_out() == [Close()]
    subscribed = new()
    talk(subscribed, wire("SUBSCRIBE a"))
    assert Unsubscribe(("channel", b"a")) in subscribed.eof()


# --- whatever comes -----------------------------------------------------------------------------------

DATA = b"".join(
    [
        wire(
            "HELLO 3", "SELECT 1", "GET a", "CLIENT SETNAME x", "MULTI", "SET a 1", "NOSUCH", "EXEC", "WATCH a"
        ),
        b"PING\r\nset a 'b c'\r\n",
        wire("SUBSCRIBE a b", "PSUBSCRIBE n*", "UNSUBSCRIBE", "CLIENT REPLY SKIP", "PING", "RESET", "ECHO hi"),
    ]
)


def answer(request):
    return (
        None
        if request.kind in {"queued", "channel", "pattern", "shard"}
        or request.args[:1] in {(b"HELLO",), (b"CLIENT",)}
        else Reply(b"v")
    )


def test_cuts_do_not_matter():
    check_session_splits(new, DATA, answer)


def test_clients_that_are_gone_at_any_byte():
    for at in range(len(DATA)):
        shared = Shared()
        session = RedisSession(context(state=shared))
        outs = drive(session, DATA[:at], Routes(), wake=False)
        outs += [] if outs[-1:] == [Close()] else follow(session, session.eof(), Routes())
        assert outs[-1] == Close()
        session.closed()
        assert shared.patterns(b"news") == []
        assert session.received(DATA[at:]) == ()


@given(st.integers())
def test_damaged_bytes_do_no_harm(seed):
    check_session_survives(new, DATA, answer, seed)


TRACKED = wire(
    *("HELLO 3", "CLIENT TRACKING ON", "GET a", "MGET b c", "SET a 1", "MULTI", "INCR b", "EXEC", "FLUSHDB"),
    *("CLIENT TRACKING ON BCAST PREFIX a", "SET a 1", "BLPOP a 5", "CLUSTER SLOTS", "CLIENT TRACKING OFF"),
)


@given(st.integers())
def test_nor_do_they_where_keys_are_tracked_and_addresses_led(seed):
    def made():
        return new(schema=Facts(tracking=True), options={"nodes": {"a:1": "b:2"}})

    check_session_survives(made, TRACKED, answer, seed)


@pytest.mark.parametrize("line", ["GET a", "PING", "SELECT 0", "MULTI\r\nGET a\r\nEXEC", "AUTH x"])
def test_equal_sessions_do_equal_things(line):
    shared = Shared()
    data = line.encode() + b"\r\n"
    one, other = (RedisSession(context(state=shared)) for _ in range(2))
    routes = Routes({"GET a": b"1", transaction("GET a"): Array((b"1",))})
    assert one.at_rest == other.at_rest
    assert drive(one, data, routes) == drive(other, data, routes)
    assert one.at_rest == other.at_rest


def test_what_tells_one_client_from_another_is_asked_for_first():
    """So that no answer with the number of a client is remembered for the next one."""
    for line in ("HELLO 3", "CLIENT ID", "CLIENT INFO"):
        (ask,) = new().received(wire(line))
        assert ask.optional


@pytest.mark.parametrize(
    "line", ["WATCH", "UNWATCH a", "READONLY a", "RESET a", "MULTI a", "SELECT", "ECHO", "SUBSCRIBE"]
)
def test_arguments_are_counted(line):
    name = line.split()[0].lower()
    assert say(wire(line)) == f"-ERR wrong number of arguments for '{name}' command\r\n".encode()
