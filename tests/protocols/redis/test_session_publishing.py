"""A session among others: what its client publishes and hears, and what is told of what others write."""

from svcmock.protocol import Publish, Send, Unsubscribe
from svcmock_protocols.redis.facts import Facts
from svcmock_protocols.redis.messages import Array, Reply, Request, Simple
from svcmock_protocols.redis.session import RedisSession
from svcmock_protocols.redis.shared import Shared
from tests.protocols.redis.making import Routes, context, drive, sent, talk, wire, words


def new(**more):
    return RedisSession(context(**more))


def say(data, routes=None):
    return talk(new(), data, routes)


# --- publishing ---------------------------------------------------------------------------------------


def test_a_publish_is_answered_with_how_many_heard_it():
    shared = Shared()
    other = RedisSession(context(state=shared))
    talk(other, wire("PSUBSCRIBE n*"))
    session = RedisSession(context(state=shared))
    (ask,) = session.received(wire("PUBLISH news hi", "PING"))
    assert ask.optional
    first, second = session.answered(ask, None)
    assert (first.topic, second.topic) == (("channel", b"news"), ("pattern", b"n*"))
    assert session.at_rest is None
    assert session.heard(first, 2) == ()
    outs = session.heard(second, 1)
    assert outs[0] == Send(b":3\r\n")
    assert session.heard(second, 1) == ()


def test_a_recorded_publish_says_what_was_recorded():
    outs = drive(new(), wire("PUBLISH news hi"), Routes({"PUBLISH news hi": 5}))
    assert sent(outs) == b":5\r\n"
    assert Publish(("channel", b"news"), (b"news", b"hi")) in outs


def test_a_subscriber_of_resp2_may_do_little_else():
    session = new()
    assert talk(session, wire("SUBSCRIBE a")) == b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
    assert (session.at_rest, session.idle) == (None, True)
    assert talk(session, wire("GET a")).startswith(b"-ERR Can't execute 'get': only (P|S)SUBSCRIBE")
    assert (
        talk(session, wire("PING", "PING hi"))
        == b"*2\r\n$4\r\npong\r\n$0\r\n\r\n*2\r\n$4\r\npong\r\n$2\r\nhi\r\n"
    )
    assert session.published(("channel", b"a"), (b"a", b"x")) == [
        Send(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n")
    ]
    assert talk(session, wire("UNSUBSCRIBE", "PING")).endswith(b"+PONG\r\n")
    assert session.at_rest is not None


def test_a_subscriber_of_resp3_may_do_anything():
    session = new()
    talk(session, wire("HELLO 3"))
    talk(session, wire("SUBSCRIBE a"))
    assert talk(session, wire("GET a"), Routes({"GET a": b"1"})) == b"$1\r\n1\r\n"
    assert session.published(("channel", b"a"), (b"a", b"x"))[0].data.startswith(b">3\r\n")


def test_what_was_pushed_in_a_recording():
    first, second = (Request((b"news",), 0, "channel", number=number) for number in (0, 1))
    routes = Routes({first: Reply(b"1", after=0.5), second: Reply(b"2", after=0.5)})
    told = say(wire("SUBSCRIBE news"), routes)
    assert told.count(b"message") == 2
    assert told.index(b"$1\r\n1") < told.index(b"$1\r\n2")


def test_a_subscription_names_something_and_there_is_an_end_to_them(monkeypatch):
    from svcmock_protocols.redis import pubsub

    assert say(wire("SUBSCRIBE")).startswith(b"-ERR wrong number")
    monkeypatch.setattr(pubsub, "SUBSCRIPTIONS_MAX", 2)
    assert b"more than 2 subscriptions" in say(wire("SUBSCRIBE a b c"))
    monkeypatch.setattr(pubsub, "NAMES_MAX", 3)
    assert b"bytes of names" in say(wire("SUBSCRIBE aa", "SUBSCRIBE bb"))
    assert b"bytes of names" not in say(wire("SUBSCRIBE aa", "UNSUBSCRIBE aa", "SUBSCRIBE bbb"))


def test_who_has_gone_is_subscribed_to_nothing():
    shared = Shared()
    session = RedisSession(context(state=shared))
    talk(session, wire("PSUBSCRIBE n*"))
    session.closed()
    assert shared.patterns(b"news") == []
    assert session.published(("pattern", b"n*"), (b"news", b"x")) == []


# --- caches -------------------------------------------------------------------------------------------


def test_what_others_write_is_told_where_a_recording_asks_for_it():
    shared, facts = Shared(), Facts(tracking=True)
    reader, writer = (RedisSession(context(state=shared, schema=facts)) for _ in range(2))
    assert (reader.at_rest, reader.idle) == (None, True)
    routes = Routes(
        {
            "GET a": b"1",
            "SET a 2": Simple(b"OK"),
            Request((), 0, "transaction", (words("SET a 2"),)): Array((Simple(b"OK"),)),
        }
    )
    talk(reader, wire("HELLO 3"))
    for write in (wire("SET a 2"), wire("MULTI", "SET a 2", "EXEC")):
        assert talk(reader, wire("CLIENT TRACKING ON", "GET a"), routes) == b"+OK\r\n$1\r\n1\r\n"
        outs = drive(writer, write, routes)
        (publish,) = [out for out in outs if isinstance(out, Publish)]
        assert outs.index(publish) > outs.index(Send(b"+OK\r\n"))
        told = reader.published(publish.topic, publish.message)
        assert sent(told) == b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n"
    talk(reader, wire("GET a"), routes)
    assert Unsubscribe(("key", b"a")) in drive(reader, wire("RESET"), routes)
    plain = new()
    assert talk(plain, wire("CLIENT TRACKING ON")) == b"+OK\r\n"
    assert plain.at_rest is not None
