"""Caches in clients: what is told of keys that others write. The answers are those of a Redis 7 server."""

import pytest

from svcmock.protocol import Publish, Subscribe, Unsubscribe
from svcmock_protocols.redis import tracking
from svcmock_protocols.redis.messages import NULL, OK, Array, Error, Nil
from svcmock_protocols.redis.shared import Shared
from svcmock_protocols.redis.tracking import Told, Tracking
from tests.protocols.redis.making import replies, sent, words


def on(line="", shared=None, number=1):
    client = Tracking(shared or Shared(), number)
    told = client.command(words(f"CLIENT TRACKING ON {line}"))
    assert told[0] == OK
    return client


def pushed(client, told, version=3):
    return replies(sent(client.published(told, version)))


def invalid(*keys):
    return [Array((b"invalidate", Array(keys)), "push")]


def test_what_was_read_is_invalid_once():
    client = on()
    outs = client.after(words("MGET a b"), Array((b"1", NULL)))
    assert outs == [Subscribe(("key", b"a")), Subscribe(("key", b"b"))]
    assert client.after(words("GET a"), b"1") == []
    outs = client.published(Told(b"a", 2), 3)
    assert outs[0] == Unsubscribe(("key", b"a"))
    assert replies(sent(outs)) == invalid(b"a")
    assert client.after(words("GET a"), b"2") == [Subscribe(("key", b"a"))]


def test_a_client_of_resp2_is_told_nothing():
    client = on()
    client.after(words("GET a"), b"1")
    assert pushed(client, Told(b"a", 2), version=2) == []


def test_who_does_not_track_is_told_nothing():
    client = Tracking(Shared(), 1)
    assert client.after(words("GET a"), b"1") == []
    assert client.published(Told(b"a", 2), 3) == []
    assert client.leave() == []


def test_writes_are_told_of():
    client = Tracking(Shared(), 7)
    for line, value in (("SET a 1", OK), ("INCR a", 5), ("SET a 1 GET", Nil()), ("GETSET a 1", Nil())):
        assert client.after(words(line), value) == [Publish(("key", b"a"), Told(b"a", 7))], line
    for line, value in (("SET a 1 NX", Nil()), ("DEL a", 0), ("INCR a", Error(b"WRONGTYPE")), ("PING", OK)):
        assert client.after(words(line), value) == [], line
    assert client.after(words("MSET a 1 b 2"), OK)[1] == Publish(("key", b"b"), Told(b"b", 7))


def test_all_keys_at_once():
    client = on()
    client.after(words("GET a"), b"1")
    (publish,) = Tracking(Shared(), 2).after(words("FLUSHDB"), OK)
    assert pushed(client, publish.message) == [Array((b"invalidate", NULL), "push")]
    assert client.after(words("GET a"), b"1") == [Subscribe(("key", b"a"))]


def test_what_a_client_writes_itself():
    told = Told(b"a", 1)
    client, silent = on(), on("NOLOOP")
    for one in (client, silent):
        one.after(words("GET a"), b"1")
    assert pushed(client, told) == invalid(b"a")
    assert pushed(silent, told) == []


def test_prefixes():
    shared = Shared()
    client, writer = on("BCAST PREFIX p: PREFIX q:", shared), Tracking(shared, 2)
    assert client.after(words("GET p:1"), b"1") == []
    topics = [publish.topic for publish in writer.after(words("SET p:1 1"), OK)]
    assert topics == [("key", b"p:1"), ("prefix", b"p:")]
    assert [publish.topic for publish in writer.after(words("SET x 1"), OK)] == [("key", b"x")]
    assert pushed(client, Told(b"p:1", 2)) == invalid(b"p:1")
    assert pushed(client, Told(b"p:1", 2)) == invalid(b"p:1")
    assert Unsubscribe(("prefix", b"p:")) in client.leave()
    assert list(shared.prefixes) == []


def test_all_of_them():
    shared = Shared()
    on("BCAST", shared)
    topics = [publish.topic for publish in Tracking(shared, 2).after(words("SET x 1"), OK)]
    assert topics == [("key", b"x"), ("prefix", b"")]


def test_who_says_what_is_tracked():
    client = on("OPTIN")
    assert client.after(words("GET a"), b"1") == []
    assert client.command(words("CLIENT CACHING YES")) == (OK, [])
    assert client.after(words("GET a"), b"1") == [Subscribe(("key", b"a"))]
    assert client.after(words("GET b"), b"1") == []
    client = on("OPTOUT")
    assert client.command(words("CLIENT CACHING NO")) == (OK, [])
    assert client.after(words("GET a"), b"1") == []
    assert client.after(words("GET a"), b"1") == [Subscribe(("key", b"a"))]


def test_an_end_of_it():
    client = on()
    client.after(words("GET a"), b"1")
    value, outs = client.command(words("client tracking off"))
    assert (value, set(outs)) == (OK, {Unsubscribe(("key", b"a")), Unsubscribe(("flush", b""))})
    assert client.after(words("GET a"), b"1") == []
    assert client.command(words("GET a")) is None


def told(line, client):
    return dict(client.command(words(line))[0].pairs)[b"flags"].items


def test_what_is_told_of_it():
    assert told("CLIENT TRACKINGINFO", Tracking(Shared(), 1)) == (b"off",)
    assert told("CLIENT TRACKINGINFO", on()) == (b"on",)
    assert told("CLIENT TRACKINGINFO", on("BCAST NOLOOP REDIRECT 5")) == (b"on", b"bcast", b"noloop")
    assert told("CLIENT TRACKINGINFO", on("OPTIN")) == (b"on", b"optin")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("CLIENT TRACKING", b"wrong number of arguments for 'client|tracking'"),
        ("CLIENT TRACKING x", b"syntax error"),
        ("CLIENT TRACKING OFF x", b"syntax error"),
        ("CLIENT TRACKING ON x", b"syntax error"),
        ("CLIENT TRACKING ON PREFIX a", b"PREFIX option requires BCAST"),
        ("CLIENT TRACKING ON OPTIN OPTOUT", b"both OPTIN mode and OPTOUT"),
        ("CLIENT TRACKING ON BCAST OPTIN", b"not compatible with BCAST"),
        ("CLIENT CACHING YES", b"only when the client is in tracking mode"),
    ],
)
def test_what_is_refused(line, why):
    value, outs = Tracking(Shared(), 1).command(words(line))
    assert why in value.text
    assert outs == []


def test_a_choice_that_fits():
    assert b"OPTIN" in on("OPTOUT").command(words("CLIENT CACHING YES"))[0].text
    assert b"OPTOUT" in on("OPTIN").command(words("CLIENT CACHING NO"))[0].text
    assert on("OPTIN").command(words("CLIENT CACHING x"))[0] == Error(b"ERR syntax error")


def test_there_is_an_end_to_what_is_tracked(monkeypatch):
    monkeypatch.setattr(tracking, "TRACKED_MAX", 2)
    client = on()
    outs = client.after(words("MGET a b c"), Array((b"1",) * 3))
    assert outs[3] == Unsubscribe(("key", b"a"))
    assert replies(sent(outs)) == invalid(b"a")
    monkeypatch.setattr(tracking, "PREFIXES_MAX", 1)
    value, _ = client.command(words("CLIENT TRACKING ON BCAST PREFIX a PREFIX b"))
    assert value == Error(b"ERR svcmock: more than 1 prefixes")
