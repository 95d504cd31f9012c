"""A tap: what becomes an exchange, what does not, and that bytes pass whatever they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import (
    Began,
    Exchange,
    Fact,
    Forward,
    Lost,
    Opaque,
    Shut,
    Side,
    Timing,
    Upstream,
)
from svcmock_protocols.redis import pubsub, tap
from svcmock_protocols.redis.messages import Array, Error, Map, Nil, Reply, Request, Simple
from svcmock_protocols.redis.shared import Shared
from svcmock_protocols.redis.tap import RedisTap
from tests.protocols.conformance import check_tap_splits, mutate, splits, watch
from tests.protocols.redis.making import asked, context, replies, token, wire, words

UPSTREAM = Upstream("redis://db:6379", "db:6379")


def new(shared=None, **options):
    return RedisTap(context(state=shared or Shared(), options=options), UPSTREAM)


def exchanges(client, server):
    """What a recording has of this, and what is lost."""
    seen = check_tap_splits(new, client, server)
    assert {one.id for one in seen if isinstance(one, Began)} == {
        one.id for one in seen if isinstance(one, Exchange | Lost)
    }
    found = [(one.request, one.reply.value) for one in seen if isinstance(one, Exchange)]
    return found, [one.why for one in seen if isinstance(one, Lost)]


def recorded(client, server):
    found, lost = exchanges(client, server)
    assert lost == []
    return found


def test_commands_are_paired_with_replies_in_order():
    found = recorded(wire("GET a", "incr b", "GET c"), b"$1\r\n1\r\n:2\r\n$-1\r\n")
    assert found == [(asked("GET a"), b"1"), (asked("INCR b"), 2), (asked("GET c"), Nil())]


def test_times():
    relay = new()
    relay.from_client(wire("GET a"), 1.0)
    relay.from_client(wire("GET b"), 2.0)
    seen = [*relay.from_server(b"$1\r\n1\r\n", 3.0), *relay.from_server(b":1\r\n", 4.5)]
    assert [one.timing for one in seen if isinstance(one, Exchange)] == [Timing(1.0, 2.0), Timing(2.0, 2.5)]


def test_bytes_pass_at_once():
    relay = new()
    assert relay.from_client(b"*1\r\n$4\r\nPI", 0.0) == [Forward(b"*1\r\n$4\r\nPI", Side.SERVER)]
    assert relay.from_server(b"+PO", 0.0) == [Forward(b"+PO", Side.CLIENT)]


def test_the_database_is_the_one_that_was_selected():
    found = recorded(
        wire("GET a", "SELECT 2", "GET a", "SELECT 99", "GET a"),
        b"$1\r\n1\r\n+OK\r\n$1\r\n2\r\n-ERR\r\n$1\r\n2\r\n",
    )
    assert [request.db for request, _ in found] == [0, 2, 2]


def test_talk_about_the_connection_is_no_exchange():
    client = wire(
        "HELLO 3 AUTH ann secret",
        "CLIENT SETNAME a",
        "AUTH x",
        "PING",
        "WATCH a",
        "READONLY",
        "SCRIPT LOAD x",
        "QUIT",
    )
    server = (
        b"%1\r\n+proto\r\n:3\r\n+OK\r\n+OK\r\n+PONG\r\n"
        b"+OK\r\n+OK\r\n$40\r\n11f6ad8ec52a2984abaafd7c3b516503785c2072\r\n+OK\r\n"
    )
    assert recorded(client, server) == []


def test_what_a_server_says_of_itself_is_a_fact():
    seen = watch(
        new(), [(Side.CLIENT, wire("HELLO 3")), (Side.SERVER, b"%1\r\n$7\r\nversion\r\n$3\r\n6.2\r\n")]
    )
    assert [one for one in seen if isinstance(one, Fact)] == [Fact("redis", {"version": "6.2"})]


def test_that_keys_are_tracked_is_one_too():
    seen = watch(
        new(),
        [
            (Side.CLIENT, wire("CLIENT TRACKING ON", "CLIENT TRACKING OFF", "CLIENT TRACKING ON x")),
            (Side.SERVER, b"+OK\r\n+OK\r\n-ERR syntax error\r\n"),
        ],
    )
    assert [one for one in seen if isinstance(one, Fact)] == [Fact("redis.tracking", True)]


def test_unusual_answers_to_small_talk_are():
    found = recorded(wire("PING", "SCRIPT EXISTS a", "COMMAND COUNT"), b"-MASTERDOWN x\r\n*1\r\n:0\r\n:240\r\n")
    assert found == [
        (asked("PING"), Error(b"MASTERDOWN x")),
        (asked("SCRIPT EXISTS a"), Array((0,))),
        (asked("COMMAND COUNT"), 240),
    ]


def test_a_server_that_knows_no_hello():
    found = recorded(wire("HELLO 3 AUTH ann secret", "GET a"), b"-ERR unknown command\r\n:1\r\n")
    assert found[0] == (Request((b"HELLO", b"3", b"AUTH", b"ann", token(b""))), Error(b"ERR unknown command"))
    assert recorded(wire("HELLO 3"), b"-WRONGPASS no\r\n") == []


def test_errors_of_the_moment_are_not_recorded():
    client = wire("EVALSHA abc 0", "GET a", "EVAL x 0")
    found, lost = exchanges(client, b"-NOSCRIPT no\r\n-NOAUTH no\r\n:1\r\n")
    assert found == [(asked("EVAL x 0"), 1)]
    assert lost == ["the script was not loaded: its EVAL is recorded", "the client had not logged in"]


def test_credentials_do_not_come_out():
    found = recorded(
        wire("CONFIG SET requirepass s3cret", "CONFIG GET *"),
        b"+OK\r\n*2\r\n$11\r\nrequirepass\r\n$6\r\ns3cret\r\n",
    )
    assert found == [
        (Request((b"CONFIG", b"SET", b"requirepass", token(b""))), Simple(b"OK")),
        (asked("CONFIG GET *"), Array((b"requirepass", token(b"")))),
    ]


# --- transactions -------------------------------------------------------------------------------------


def test_a_transaction_is_one_exchange():
    client = wire("WATCH a", "MULTI", "INCR a", "SELECT 2", "EXEC", "GET a")
    server = b"+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n+OK\r\n$1\r\n1\r\n"
    commands = (words("INCR a"), words("SELECT 2"))
    assert recorded(client, server) == [
        (Request((), 0, "transaction", commands), Array((1, Simple(b"OK")))),
        (asked("GET a", 2), b"1"),
    ]


def test_one_that_gave_nothing_is_one_too():
    found = recorded(wire("MULTI", "INCR a", "EXEC"), b"+OK\r\n+QUEUED\r\n*-1\r\n")
    assert found == [(Request((), 0, "transaction", (words("INCR a"),)), Nil("array"))]


def test_a_command_that_was_refused():
    found, lost = exchanges(
        wire("MULTI", "NOSUCH", "INCR a", "EXEC"), b"+OK\r\n-ERR unknown\r\n+QUEUED\r\n-EXECABORT x\r\n"
    )
    assert found == [(Request(words("NOSUCH"), 0, "queued"), Error(b"ERR unknown"))]
    assert lost == ["the transaction was discarded"]


def test_what_counts_at_once_is_not_in_the_transaction():
    found = recorded(
        wire("MULTI", "WATCH a", "INCR a", "EXEC"), b"+OK\r\n-ERR WATCH\r\n+QUEUED\r\n*1\r\n:1\r\n"
    )
    assert found == [(Request((), 0, "transaction", (words("INCR a"),)), Array((1,)))]


def test_what_was_discarded_is_nothing():
    assert recorded(wire("MULTI", "INCR a", "DISCARD", "GET a"), b"+OK\r\n+QUEUED\r\n+OK\r\n:1\r\n") == [
        (asked("GET a"), 1)
    ]
    assert recorded(wire("EXEC", "MULTI", "MULTI", "RESET"), b"-ERR a\r\n+OK\r\n-ERR b\r\n+RESET\r\n") == []


# --- messages -----------------------------------------------------------------------------------------

SUBSCRIBED = b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
UNSUBSCRIBED = b"*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n"


def message(text, channel=b"a"):
    return b"*3\r\n$7\r\nmessage\r\n$1\r\n%b\r\n$%d\r\n%b\r\n" % (channel, len(text), text)


def test_messages_of_others_are_exchanges():
    relay = new()
    seen = [*relay.from_client(wire("SUBSCRIBE a b", "UNSUBSCRIBE", "GET a"), 0.0)]
    seen += relay.from_server(SUBSCRIBED, 1.0)
    seen += relay.from_server(message(b"x"), 3.0)
    seen += relay.from_server(message(b"y"), 3.5)
    seen += relay.from_server(UNSUBSCRIBED + b":1\r\n", 4.0)
    assert [(one.request, one.reply) for one in seen if isinstance(one, Exchange)] == [
        (Request((b"a",), 0, "channel", number=0), Reply(b"x", after=2.0)),
        (Request((b"a",), 0, "channel", number=1), Reply(b"y", after=0.5)),
        (asked("GET a"), Reply(1)),
    ]
    assert not any(isinstance(one, Lost) for one in seen)


def test_messages_of_resp3_and_of_patterns():
    client = wire("HELLO 3", "PSUBSCRIBE n*", "GET a", "PUNSUBSCRIBE", "UNSUBSCRIBE")
    server = (
        b"%1\r\n+proto\r\n:3\r\n>3\r\n$10\r\npsubscribe\r\n$2\r\nn*\r\n:1\r\n"
        b">4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$2\r\nhi\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n"
        b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n"  # a list that only looks like a message
        b">3\r\n$12\r\npunsubscribe\r\n$2\r\nn*\r\n:0\r\n>3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n"
    )
    assert recorded(client, server) == [
        (Request((b"n*",), 0, "pattern"), b"hi"),
        (asked("GET a"), Array((b"message", b"a", b"b"))),
    ]


def test_a_message_of_a_client_of_this_service_is_not():
    shared = Shared()
    publisher, subscriber = new(shared), new(shared)
    subscriber.from_client(wire("SUBSCRIBE a b"), 0.0)
    subscriber.from_server(SUBSCRIBED, 0.0)
    publisher.from_client(wire("PUBLISH a x", "MULTI", "PUBLISH b y", "EXEC"), 1.0)
    seen = [*subscriber.from_server(message(b"x") + message(b"y", b"b"), 1.1)]
    assert not any(isinstance(one, Exchange) for one in seen)
    assert any(isinstance(one, Exchange) for one in subscriber.from_server(message(b"x"), 20.0))


# --- what has no reply --------------------------------------------------------------------------------


def test_replies_that_are_not_wanted():
    client = wire(
        "CLIENT REPLY SKIP", "GET a", "GET b", "CLIENT REPLY OFF", "GET c", "CLIENT REPLY ON", "GET d"
    )
    found, lost = exchanges(client, b":2\r\n+OK\r\n:4\r\n")
    assert found == [(asked("GET b"), 2), (asked("GET d"), 4)]
    assert lost == ["the client wanted no reply"] * 2


# --- clusters -----------------------------------------------------------------------------------------

NODES = {"nodes": {"10.0.0.1:6379": "127.0.0.1:7001", "10.0.0.2:6379": "127.0.0.1:7002"}}
SLOTS = b"*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$%d\r\n%b\r\n:%d\r\n$2\r\nid\r\n"


def passed(seen, to=Side.CLIENT):
    return b"".join(one.data for one in seen if isinstance(one, Forward) and one.to is to)


def test_addresses_lead_to_what_is_recorded_and_are_recorded_as_they_were():
    client = wire("GET a", "CLUSTER SLOTS", "GET b", "MULTI", "GET b")
    told = SLOTS % (8, b"10.0.0.1", 6379)
    server = b"$1\r\nx\r\n" + told + b"-MOVED 3300 10.0.0.2:6379\r\n+OK\r\n-MOVED 3300 10.0.0.2:6379\r\n"
    seen = check_tap_splits(lambda: new(**NODES), client, server)
    led = server.replace(b"10.0.0.2:6379", b"127.0.0.1:7002").replace(told, SLOTS % (9, b"127.0.0.1", 7001))
    assert passed(seen) == led
    values = [one.reply.value for one in seen if isinstance(one, Exchange)]
    moved = Error(b"MOVED 3300 10.0.0.2:6379")
    assert values == [b"x", *replies(told), moved, moved]


def test_what_is_led_comes_reply_by_reply():
    relay = new(announce="127.0.0.1:7000")
    relay.from_client(wire("GET a", "GET b"), 0.0)
    assert passed(relay.from_server(b"$1\r\nx\r\n$1\r", 0.0)) == b"$1\r\nx\r\n"
    assert passed(relay.eof(Side.SERVER, 0.0)) == b"$1\r"


def test_what_cannot_be_read_passes_where_addresses_are_led_too():
    client, server = wire("GET a", "GET b"), b":1\r\n?\r\n:1\r\n"
    seen = check_tap_splits(lambda: new(announce="127.0.0.1:7000"), client, server)
    assert passed(seen) == server
    assert [type(one) for one in seen if isinstance(one, Exchange | Lost | Opaque)] == [Exchange, Lost, Opaque]


def test_who_is_led_away_is_told_of():
    client, server = wire("GET a", "CLUSTER SLOTS"), b"-MOVED 1 10.0.0.2:6379\r\n*0\r\n"
    seen = check_tap_splits(new, client, server)
    assert passed(seen) == server
    lost = [one for one in seen if isinstance(one, Lost)]
    assert [one.kind for one in lost] == ["failed", "failed"]
    assert "10.0.0.2:6379" in lost[0].why
    assert "`announce`" in lost[1].why


# --- what is not read ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "server", "why"),
    [
        (wire("GET a", "MONITOR", "GET b"), b"+OK\r\n+1.2 [0] x\r\n", "MONITOR"),
        (wire("GET a") + b"*x\r\n", b":1\r\n", "the client's bytes are no commands: invalid multibulk length"),
        (wire("GET a"), b"?\r\n:1\r\n", "the server's bytes are no replies: no reply is '?'"),
        (b"", b":1\r\n", "the server spoke unasked"),
    ],
)
def test_what_cannot_be_read_passes(client, server, why):
    seen = check_tap_splits(new, client, server)
    assert [one.why for one in seen if isinstance(one, Opaque)] == [why]
    for side, data in ((Side.SERVER, client), (Side.CLIENT, server)):
        assert b"".join(one.data for one in seen if isinstance(one, Forward) and one.to is side) == data


@given(st.integers())
def test_damaged_bytes_do_no_harm(seed):
    client = mutate(wire("HELLO 3", "GET a", "MULTI", "INCR a", "EXEC", "SUBSCRIBE a"), seed)
    server = mutate(
        b"%0\r\n:1\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", seed + 1
    )
    for to, back in zip(splits(client, rounds=1), splits(server, rounds=1), strict=True):
        seen = watch(new(), [(Side.CLIENT, one) for one in to] + [(Side.SERVER, one) for one in back])
        begun = [one.id for one in seen if isinstance(one, Began)]
        ended = [one.id for one in seen if isinstance(one, Exchange | Lost)]
        assert sorted(begun) == sorted(ended)
        for side, data in ((Side.SERVER, client), (Side.CLIENT, server)):
            assert b"".join(one.data for one in seen if isinstance(one, Forward) and one.to is side) == data


@given(st.integers())
def test_damaged_addresses_do_no_harm(seed):
    client = wire("CLUSTER SLOTS", "CLUSTER NODES", "GET a", "CLUSTER SHARDS", "SENTINEL MASTER x")
    nodes = b"$44\r\nx 10.0.0.1:6379@16379 myself,master - 0 0 1 co\r\n"
    told = b"*4\r\n$2\r\nip\r\n$8\r\n10.0.0.1\r\n$4\r\nport\r\n$4\r\n6379\r\n"
    shards = b"*1\r\n*2\r\n$5\r\nnodes\r\n*1\r\n" + told
    slots = SLOTS % (8, b"10.0.0.1", 6379)
    server = mutate(slots + nodes + b"-MOVED 1 10.0.0.2:6379\r\n" + shards + told, seed)
    for back in splits(server, rounds=1):
        seen = watch(new(**NODES), [(Side.CLIENT, client)] + [(Side.SERVER, one) for one in back])
        begun = [one.id for one in seen if isinstance(one, Began)]
        assert sorted(begun) == sorted(one.id for one in seen if isinstance(one, Exchange | Lost))


# --- ends ---------------------------------------------------------------------------------------------


def test_what_has_no_answer_is_lost():
    found, lost = exchanges(wire("GET a", "GET b"), b":1\r\n")
    assert found == [(asked("GET a"), 1)]
    assert lost == ["the server ended the connection"]


CLIENT = wire("HELLO 3", "GET a", "MULTI", "INCR a", "EXEC", "SUBSCRIBE a b", "UNSUBSCRIBE", "BLPOP a 0")
SERVER = (
    b"%1\r\n+proto\r\n:3\r\n$1\r\n1\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n"
    b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
    b">3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n"
    b"*2\r\n$1\r\na\r\n$1\r\n1\r\n"
)


def settled(relay, client, server):
    """Everything that began came to an end, and all bytes have passed."""
    seen = watch(relay, [(Side.CLIENT, client), (Side.SERVER, server)])
    begun = [one.id for one in seen if isinstance(one, Began)]
    assert sorted(one.id for one in seen if isinstance(one, Exchange | Lost)) == begun
    assert passed(seen, Side.SERVER) == client
    assert passed(seen) == server


def test_ends_at_any_byte():
    for at in range(len(CLIENT)):
        settled(new(), CLIENT[:at], SERVER)
    for at in range(len(SERVER)):
        settled(new(), CLIENT, SERVER[:at])
        settled(new(announce="127.0.0.1:1"), CLIENT, SERVER[:at])


def test_without_a_server_the_client_is_told():
    relay = new()
    relay.from_client(wire("GET a"), 0.0)
    assert relay.unreachable("refused", 0.0) == [
        Lost(1, "the server cannot be reached: refused"),
        Forward(b"-ERR svcmock: db:6379 cannot be reached: refused\r\n", Side.CLIENT),
        Shut(Side.CLIENT),
    ]
    assert relay.from_client(wire("GET a"), 0.0) == ()
    assert relay.informed(context()) == ()


def test_maps_are_recorded_as_maps():
    found = recorded(wire("HELLO 3", "HGETALL a"), b"%0\r\n%1\r\n$1\r\nf\r\n$1\r\n1\r\n")
    assert found == [(asked("HGETALL a"), Map(((b"f", b"1"),)))]


# --- limits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "most", "client", "why"),
    [
        ("MAX_PENDING", 3, wire(*["GET a"] * 4), "commands"),
        ("MAX_KEPT", 100, wire(*["GET a"] * 6), "bytes of them"),
        ("MAX_KEPT", 100, wire("MULTI", *["SET a 1"] * 6), "bytes of them"),
        ("QUEUE_MAX", 3, wire("MULTI", *["SET a 1"] * 4), "commands"),
    ],
)
def test_more_than_is_followed(monkeypatch, name, most, client, why):
    monkeypatch.setattr(tap, name, most)
    seen = watch(new(), [(Side.CLIENT, client)])
    (opaque,) = [one for one in seen if isinstance(one, Opaque)]
    assert why in opaque.why
    assert passed(seen, Side.SERVER) == client


def test_what_is_settled_counts_no_more(monkeypatch):
    monkeypatch.setattr(tap, "MAX_KEPT", 200)
    one = new()
    for _ in range(20):
        one.from_client(wire("GET a", "MULTI", "SET a 1", "EXEC", "CLIENT REPLY SKIP", "GET a"), 0.0)
        one.from_client(wire("MULTI", "SET a 1", "DISCARD", "SUBSCRIBE a"), 0.0)
        seen = one.from_server(b":1\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n+OK\r\n+QUEUED\r\n+OK\r\n", 0.0)
        seen += one.from_server(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", 0.0)
        assert not any(isinstance(out, Opaque) for out in seen)


def test_more_subscriptions_than_are_followed(monkeypatch):
    monkeypatch.setattr(pubsub, "SUBSCRIPTIONS_MAX", 1)
    seen = check_tap_splits(new, wire("SUBSCRIBE a b"), SUBSCRIBED)
    assert [one.why for one in seen if isinstance(one, Opaque)] == ["more than 1 subscriptions"]
