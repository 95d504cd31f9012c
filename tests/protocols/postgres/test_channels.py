"""Channels of a served connection."""

from svcmock.protocol import Ask, Publish, Send, Subscribe, Unsubscribe, Wake
from svcmock_protocols.postgres import channels
from svcmock_protocols.postgres.channels import Channels
from svcmock_protocols.postgres.messages import Notification, Reply, Request
from svcmock_protocols.postgres.shared import State, channel
from tests.protocols.postgres import wire


def test_listening_and_telling():
    one = Channels(7, State())
    assert one.happen([("listen", "a", ""), ("listen", "b", "")]) == [
        Subscribe(channel("a")),
        Ask(-1, Request("a", op="listen"), 1, optional=True),
        Subscribe(channel("b")),
        Ask(-2, Request("b", op="listen"), 1, optional=True),
    ]
    assert one.happen([("notify", "a", "x")]) == [
        Publish(channel("a"), wire.message(b"A", wire.i32(7), b"a\0x\0"))
    ]
    assert one.happen([("unlisten", "*", "")]) == [Unsubscribe(channel("a")), Unsubscribe(channel("b"))]
    assert one.happen([("unlisten", "c", "")]) == [Unsubscribe(channel("c"))]


def test_what_must_wait_is_kept_within_limits(monkeypatch):
    monkeypatch.setattr(channels, "MAX_HEARD", 2)
    monkeypatch.setattr(channels, "MAX_CHANNELS", 1)
    one = Channels(7, State())
    for message in (b"1", b"2", b"3"):
        assert one.tell(message, waits=True) == []
    assert one.tell(b"4", waits=False) == [Send(b"4")]
    assert one.heard() == [Send(b"1"), Send(b"2")]
    assert one.heard() == []
    assert len(one.happen([("listen", "a", ""), ("listen", "b", "")])) == 2


def test_what_was_notified_in_a_recording_comes_in_its_time():
    state = State()
    one = Channels(7, state, 0.5)
    _, ask = one.happen([("listen", "a", "")])
    assert state.listening == 1
    assert one.happen([("listen", "a", "")]) == []
    wake = one.answered(ask, Reply(notifies=(Notification("a", "x"),), after=3.0))
    assert wake == [Wake(1.5, -1)]
    told, ask = one.woke(-1, waits=False)
    assert told == Send(wire.message(b"A", wire.i32(0), b"a\0x\0"))
    assert ask.request == Request("a", op="listen", number=1)
    one.answered(ask, Reply(notifies=(Notification("a", "y"),)))
    assert len(one.woke(-1, waits=True)) == 1
    assert len(one.heard()) == 1
    assert one.answered(ask, None) == []
    assert one.woke(-1, waits=False) == one.answered(ask, Reply()) == one.woke("x", waits=False) == []
    one.closed()
    one.closed()
    assert state.listening == 0


def test_who_listens_no_more_is_told_no_more():
    one = Channels(7, State())
    _, ask = one.happen([("listen", "a", "")])
    one.answered(ask, Reply(notifies=(Notification("a", "x"),), after=3.0))
    one.happen([("unlisten", "a", "")])
    assert one.woke(-1, waits=False) == []
