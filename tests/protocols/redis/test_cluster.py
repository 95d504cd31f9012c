"""Addresses that servers tell, and where clients are led instead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Invalid
from svcmock_protocols.redis.cluster import Topology
from svcmock_protocols.redis.messages import Array, Error, Map, Nil, Verbatim
from tests.protocols.redis.making import words

ALONE = Topology("127.0.0.1:7000", {})
BOTH = Topology(
    "", {"10.0.0.1:6379": "127.0.0.1:7001", "10.0.0.2:6379": "here:7002", "[::1]:6380": "here:7003"}
)
NONE = Topology("", {})


def test_the_only_node_has_all_slots():
    slots = ALONE.answer(words("CLUSTER SLOTS"))
    assert isinstance(slots, Array)
    assert slots.items[0].items[:2] == (0, 16383)
    assert slots.items[0].items[2].items[:2] == (b"127.0.0.1", 7000)
    shards = ALONE.answer(words("cluster shards"))
    assert isinstance(shards, Array)
    assert isinstance(shards.items[0], Map)
    nodes, ident = ALONE.answer(words("CLUSTER NODES")), ALONE.answer(words("CLUSTER MYID"))
    assert nodes == ident + b" 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-16383\n"
    assert b"cluster_state:ok" in ALONE.answer(words("CLUSTER INFO"))
    assert ALONE.answer(words("CLUSTER KEYSLOT a")) is None
    assert BOTH.answer(words("CLUSTER SLOTS")) is None


def test_redirections():
    assert ALONE.redirected(Error(b"MOVED 3999 10.0.0.7:6381")) == Error(b"MOVED 3999 127.0.0.1:7000")
    assert ALONE.redirected(Error(b"ASK 3999 10.0.0.7:6381")) == Error(b"ASK 3999 127.0.0.1:7000")
    assert BOTH.redirected(Error(b"MOVED 3999 10.0.0.2:6379")) == Error(b"MOVED 3999 here:7002")
    assert BOTH.redirected(Error(b"MOVED 3999 ::1:6380")) == Error(b"MOVED 3999 here:7003")
    assert BOTH.redirected(Error(b"MOVED 3999 :6380")) == Error(b"MOVED 3999 here:7003")
    assert BOTH.redirected(Error(b"REDIRECT 10.0.0.1:6379")) == Error(b"REDIRECT 127.0.0.1:7001")
    for other in (Error(b"MOVED 1 10.9.9.9:1"), Error(b"ERR MOVED"), Error(b"MOVED 1 x"), b"MOVED 1 a:1"):
        assert BOTH.redirected(other) == other
        assert NONE.redirected(other) == other


def node(host=b"10.0.0.1", port=6379):
    return Array((host, port, b"id", Array((b"hostname", b"one.example"))))


def shard_node(port):
    return Map(((b"id", b"x"), (port, 6379), (b"ip", b"10.0.0.1"), (b"endpoint", b"?"), (b"role", b"master")))


def test_slots():
    slots = Array(
        (Array((0, 99, node(), node(b"10.9.9.9"))), Array((100, 200, node(b"", 6380), node(Nil(), 6380))))
    )
    led = BOTH.led(words("CLUSTER SLOTS"), slots)
    here = Array((b"here", 7003, b"id", Array()))
    first = Array((b"127.0.0.1", 7001, b"id", Array()))
    assert led == Array((Array((0, 99, first, node(b"10.9.9.9"))), Array((100, 200, here, here))))


@pytest.mark.parametrize("port", [b"port", b"tls-port"])
def test_shards(port):
    told = Array((Map(((b"slots", Array((0, 99))), (b"nodes", Array((shard_node(port),))))),))
    led = Map(
        ((b"id", b"x"), (port, 7001), (b"ip", b"127.0.0.1"), (b"endpoint", b"127.0.0.1"), (b"role", b"master"))
    )
    assert BOTH.led(words("CLUSTER SHARDS"), told) == Array(
        (Map(((b"slots", Array((0, 99))), (b"nodes", Array((led,))))),)
    )


def test_nodes():
    lines = (
        b"a1 10.0.0.1:6379@16379,one.example,shard-id=1 myself,master - 0 0 1 connected 0-99\n"
        b"b2 10.9.9.9:6379@16379 slave a1 0 0 1 connected\n"
    )
    led = b"a1 127.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-99\n" + lines.splitlines(True)[1]
    assert BOTH.led(words("CLUSTER NODES"), lines) == led
    assert BOTH.led(words("CLUSTER NODES"), Verbatim(b"txt", lines)) == Verbatim(b"txt", led)
    assert BOTH.led(words("CLUSTER REPLICAS a1"), Array((lines,))) == Array((led,))


def test_what_a_sentinel_tells():
    address = Array((b"10.0.0.1", b"6379"))
    led = Array((b"127.0.0.1", b"7001"))
    assert BOTH.led(words("SENTINEL GET-MASTER-ADDR-BY-NAME x"), address) == led
    told = Array((b"name", b"x", b"ip", b"10.0.0.1", b"port", b"6379"))
    to = Map(((b"name", b"x"), (b"ip", b"127.0.0.1"), (b"port", b"7001")))
    assert BOTH.led(words("SENTINEL MASTER x"), told) == to
    assert BOTH.led(words("sentinel masters"), Array((told,))) == Array((to,))
    assert BOTH.led(words("SENTINEL GET-MASTER-ADDR-BY-NAME x"), Nil("array")) == Nil("array")


def test_other_replies_are_as_they_are():
    assert BOTH.led(words("GET a"), b"10.0.0.1:6379") == b"10.0.0.1:6379"
    for line in ("CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER NODES", "SENTINEL MASTER x", "SENTINEL MASTERS"):
        for odd in (b"x", 1, Nil(), Array(), Array((1, b"a", Array((b"a",)))), Map(((1, 2),))):
            assert BOTH.led(words(line), odd) in (odd, Map())


@given(st.binary(max_size=80))
def test_any_lines(data):
    BOTH.led(words("CLUSTER NODES"), data)
    BOTH.redirected(Error(b"MOVED " + data))
    ALONE.led(words("CLUSTER NODES"), data)


def test_what_leads_away_from_what_is_recorded():
    moved = Error(b"MOVED 1 10.0.0.2:6379")
    assert "sent to 10.0.0.2:6379" in ALONE.astray(words("GET a"), moved)
    assert "sent to 10.0.0.2:6379" in NONE.astray(words("GET a"), moved)
    assert BOTH.astray(words("GET a"), moved) == ""
    assert "`nodes`" in BOTH.astray((), Error(b"ASK 1 10.9.9.9:6379"))
    assert "told of nodes" in NONE.astray(words("CLUSTER SLOTS"), Array())
    assert NONE.astray(words("CLUSTER SLOTS"), Error(b"ERR no cluster")) == ""
    assert ALONE.astray(words("CLUSTER SLOTS"), Array()) == ""


@pytest.mark.parametrize("announce", ["localhost", ":7000", "a:b", "a:0", "a:70000", "a b:1"])
def test_an_address_is_host_and_port(announce):
    with pytest.raises(Invalid, match="host:port"):
        Topology(announce, {})
    with pytest.raises(Invalid, match="host:port"):
        Topology("", {announce: "a:1"})
    with pytest.raises(Invalid, match="host:port"):
        Topology("", {"a:1": announce})


def test_one_address_for_all_or_one_for_each():
    with pytest.raises(Invalid, match="not both"):
        Topology("a:1", {"b:1": "a:1"})
