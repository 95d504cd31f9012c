"""Channels of a served connection."""

from svcmock.protocol import Publish, Send, Subscribe, Unsubscribe
from svcmock_protocols.postgres import channels
from svcmock_protocols.postgres.channels import Channels
from svcmock_protocols.postgres.shared import channel
from tests.protocols.postgres import wire


def test_listening_and_telling():
    one = Channels(7)
    assert one.happen([("listen", "a", ""), ("listen", "b", "")]) == [
        Subscribe(channel("a")),
        Subscribe(channel("b")),
    ]
    assert one.happen([("notify", "a", "x")]) == [
        Publish(channel("a"), wire.message(b"A", wire.i32(7), b"a\0x\0"))
    ]
    assert one.happen([("unlisten", "*", "")]) == [Unsubscribe(channel("a")), Unsubscribe(channel("b"))]
    assert one.happen([("unlisten", "c", "")]) == [Unsubscribe(channel("c"))]


def test_what_must_wait_is_kept_within_limits(monkeypatch):
    monkeypatch.setattr(channels, "MAX_HEARD", 2)
    monkeypatch.setattr(channels, "MAX_CHANNELS", 1)
    one = Channels(7)
    for message in (b"1", b"2", b"3"):
        one.hear(message)
    assert one.heard() == [Send(b"1"), Send(b"2")]
    assert one.heard() == []
    assert len(one.happen([("listen", "a", ""), ("listen", "b", "")])) == 1
