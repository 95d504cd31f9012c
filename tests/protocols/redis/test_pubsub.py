"""Subscriptions of one client: confirmations, messages, what was recorded."""

from svcmock.protocol import Ask, Send, Subscribe, Unsubscribe, Wake
from svcmock_protocols.redis.messages import Reply, Request
from svcmock_protocols.redis.pubsub import Subscriptions, is_publishing, publishes
from svcmock_protocols.redis.shared import Shared
from tests.protocols.redis.making import words


def new(version=2, pace=1.0, shared=None):
    made = Subscriptions(shared or Shared(), pace)
    made.version = version
    return made


def test_each_name_is_confirmed_with_how_many_there_are():
    one = new()
    outs = one.subscribe(words("SUBSCRIBE a b a"))
    assert outs == [
        Subscribe(("channel", b"a")),
        Send(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"),
        Subscribe(("channel", b"b")),
        Send(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"),
        Send(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n"),
        Ask(2, Request((b"a",), 0, "channel"), 1, optional=True),
        Ask(3, Request((b"b",), 0, "channel"), 1, optional=True),
    ]
    assert one.unsubscribe(words("UNSUBSCRIBE a")) == [
        Unsubscribe(("channel", b"a")),
        Send(b"*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n"),
    ]
    assert one.unsubscribe(words("UNSUBSCRIBE"))[-1] == Send(b"*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n")
    assert one.unsubscribe(words("UNSUBSCRIBE")) == [Send(b"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n")]
    assert one.count == 0


def test_in_resp3_they_are_pushes():
    one = new(3)
    assert one.subscribe(words("PSUBSCRIBE a*"))[1] == Send(b">3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:1\r\n")
    assert one.unsubscribe(words("SUNSUBSCRIBE")) == [Send(b">3\r\n$12\r\nsunsubscribe\r\n_\r\n:0\r\n")]


def test_shards_are_counted_apart():
    one = new()
    one.subscribe(words("SUBSCRIBE a"))
    assert one.subscribe(words("SSUBSCRIBE s"))[1] == Send(b"*3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n")


def test_messages():
    one = new()
    one.subscribe(words("SUBSCRIBE a"))
    one.subscribe(words("PSUBSCRIBE a*"))
    assert one.published(("channel", b"a"), (b"a", b"hi")) == [
        Send(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n")
    ]
    assert one.published(("pattern", b"a*"), (b"ab", b"hi")) == [
        Send(b"*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$2\r\nab\r\n$2\r\nhi\r\n")
    ]
    assert one.published(("channel", b"other"), (b"other", b"hi")) == []


def test_whom_a_publish_reaches():
    shared = Shared()
    new(shared=shared).subscribe(words("PSUBSCRIBE n* x*"))
    kinds = [out.topic for out in publishes(words("PUBLISH news hi"), shared)]
    assert kinds == [("channel", b"news"), ("pattern", b"n*")]
    assert [out.topic for out in publishes(words("SPUBLISH news hi"), shared)] == [("shard", b"news")]
    assert is_publishing(words("PUBLISH a b"))
    assert not is_publishing(words("PUBLISH a"))


def test_patterns_are_forgotten_with_their_client():
    shared = Shared()
    one = new(shared=shared)
    one.subscribe(words("PSUBSCRIBE n*"))
    assert one.leave_all() == [Unsubscribe(("pattern", b"n*"))]
    assert shared.patterns(b"news") == []


def test_recorded_messages_come_in_order_with_the_time_between_them():
    one = new(pace=0.5)
    (*_, ask) = one.subscribe(words("SUBSCRIBE a"))
    assert one.answered(ask, Reply(b"1", after=2.0)) == [Wake(1.0, 2)]
    sent, ask = one.woke(2)
    assert sent == Send(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n")
    assert ask == Ask(2, Request((b"a",), 0, "channel", number=1), 1, optional=True)
    sent, ask = one.answered(ask, Reply(b"2"))
    assert sent.data.endswith(b"$1\r\n2\r\n")
    assert ask.request.number == 2
    assert one.answered(ask, None) == []
    assert one.woke(2) == []


def test_of_a_pattern_the_channel_is_recorded():
    one = new()
    (*_, ask) = one.subscribe(words("PSUBSCRIBE a*"))
    assert one.answered(ask, Reply(b"1", channel=b"ab"))[0] == Send(
        b"*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$2\r\nab\r\n$1\r\n1\r\n"
    )


def test_who_has_left_gets_no_more():
    one = new()
    (*_, ask) = one.subscribe(words("SUBSCRIBE a"))
    one.answered(ask, Reply(b"1", after=1.0))
    one.unsubscribe(words("UNSUBSCRIBE a"))
    assert one.woke(ask.id) == []
    assert one.answered(ask, Reply(b"1")) == []
    (*_, again) = one.subscribe(words("SUBSCRIBE a"))
    assert again.id != ask.id
