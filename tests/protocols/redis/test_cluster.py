"""A service that stands for a cluster."""

import pytest

from svcmock.protocol import Invalid
from svcmock_protocols.redis.cluster import Node
from svcmock_protocols.redis.messages import Array, Error, Map
from tests.protocols.redis.making import words

NODE = Node("127.0.0.1:7000")


def test_it_has_all_slots():
    slots = NODE.answer(words("CLUSTER SLOTS"))
    assert slots == Array((Array((0, 16383, Array((b"127.0.0.1", 7000, NODE.ident, Array())))),))
    shards = NODE.answer(words("cluster shards"))
    assert isinstance(shards, Array)
    assert isinstance(shards.items[0], Map)
    nodes = NODE.answer(words("CLUSTER NODES"))
    assert isinstance(nodes, bytes)
    assert nodes == NODE.ident + b" 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-16383\n"
    assert NODE.answer(words("CLUSTER MYID")) == NODE.ident
    assert b"cluster_state:ok" in NODE.answer(words("CLUSTER INFO"))
    assert NODE.answer(words("CLUSTER KEYSLOT a")) is None


def test_redirections_lead_here():
    assert NODE.redirected(Error(b"MOVED 3999 10.0.0.7:6381")) == Error(b"MOVED 3999 127.0.0.1:7000")
    assert NODE.redirected(Error(b"ASK 3999 10.0.0.7:6381")) == Error(b"ASK 3999 127.0.0.1:7000")
    assert NODE.redirected(Error(b"ERR MOVED")) == Error(b"ERR MOVED")
    assert NODE.redirected(b"MOVED 1 a:1") == b"MOVED 1 a:1"


@pytest.mark.parametrize("announce", ["localhost", ":7000", "a:b", "a:0", "a:70000", "a b:1"])
def test_an_address_is_host_and_port(announce):
    with pytest.raises(Invalid, match="host:port"):
        Node(announce)
