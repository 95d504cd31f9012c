"""A service that stands for a whole cluster: one node that has all slots, at an announced address.

A recorder relays one node, and a client that was sent to another went there by itself. With the option
`announce` the mock is all of them: it says so to who asks for the nodes, and a recorded MOVED or ASK leads to
it. A session knows no address of its own, so without the option redirections lead where they led when they were
recorded.
"""

import hashlib
from typing import Final

from svcmock.protocol import Invalid
from svcmock_protocols.redis.catalogue import name_of
from svcmock_protocols.redis.messages import Args, Array, Error, Map, Value

SLOTS: Final = 16384
"""Slots of a cluster."""
_REDIRECTIONS: Final = (b"MOVED ", b"ASK ")


class Node:
    """The only one."""

    def __init__(self, announce: str) -> None:
        """`announce`: `host:port`. Raises Invalid."""
        host, colon, port = announce.rpartition(":")
        if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536 or " " in announce:
            raise Invalid(("announce",), f"expected host:port, got {announce!r}")
        self.host = host.strip("[]").encode()
        self.port = int(port)
        self.ident = hashlib.sha1(announce.encode(), usedforsecurity=False).hexdigest().encode()

    def answer(self, args: Args) -> Value | None:
        """What it says of the cluster; None where it has nothing to say of its own."""
        match name_of(args):
            case b"CLUSTER SLOTS":
                node = Array((self.host, self.port, self.ident, Array()))
                return Array((Array((0, SLOTS - 1, node)),))
            case b"CLUSTER SHARDS":
                return Array((self._shard(),))
            case b"CLUSTER NODES":
                at = b"%b %b:%d@%d" % (self.ident, self.host, self.port, self.port + 10000)
                return at + b" myself,master - 0 0 1 connected 0-%d\n" % (SLOTS - 1)
            case b"CLUSTER MYID":
                return self.ident
            case b"CLUSTER INFO":
                return (
                    b"cluster_state:ok\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\n" % (SLOTS, SLOTS)
                    + b"cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\n"
                    + b"cluster_known_nodes:1\r\ncluster_size:1\r\n"
                )
        return None

    def redirected(self, value: Value) -> Value:
        """A redirection, leading here; anything else as it is."""
        if not isinstance(value, Error) or not value.text.startswith(_REDIRECTIONS):
            return value
        word, _, rest = value.text.partition(b" ")
        slot = rest.partition(b" ")[0]
        return Error(b"%b %b %b:%d" % (word, slot, self.host, self.port))

    def _shard(self) -> Value:
        node = Map(
            (
                (b"id", self.ident),
                (b"port", self.port),
                (b"ip", self.host),
                (b"endpoint", self.host),
                (b"role", b"master"),
                (b"replication-offset", 0),
                (b"health", b"online"),
            )
        )
        return Map(((b"slots", Array((0, SLOTS - 1))), (b"nodes", Array((node,)))))
