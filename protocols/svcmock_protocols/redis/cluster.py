"""Where the nodes of a cluster are, for the clients of this service. Sans I/O.

A server tells its clients where other nodes are: in MOVED and ASK, in CLUSTER SLOTS, SHARDS, NODES and
REPLICAS; and a Sentinel tells where masters are. Clients that took such an address would leave the recorder, or
the mock. So it is replaced by the address at which they reach the same node here, on its way to them;
recordings keep what the server said.

`announce` is for a cluster of one shard: whatever node is named, it is this service, and the mock has all
slots. `nodes` says of each node which listener stands for it. What it does not name is left as it is.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

from svcmock.protocol import Invalid
from svcmock_protocols.redis.catalogue import name_of
from svcmock_protocols.redis.messages import Args, Array, Error, Map, Value, Verbatim
from svcmock_protocols.redis.shapes import below, each, paired

SLOTS: Final = 16384
"""Slots of a cluster."""
BUS: Final = 10000
"""Added to its port, where a node talks to others."""
_REDIRECTIONS: Final = (b"MOVED ", b"ASK ", b"REDIRECT ")
_UNKNOWN_HOSTS: Final = frozenset({b"", b"?"})
"""What a node says that does not know its own host: the one to which the client is connected."""

_TELLING: Final = frozenset(
    [b"CLUSTER " + name for name in b"NODES REPLICAS SHARDS SLAVES SLOTS".split()]
    + [b"SENTINEL " + name for name in b"MASTER MASTERS REPLICAS SENTINELS SLAVES".split()]
    + [b"SENTINEL GET-MASTER-ADDR-BY-NAME"]
)
"""Commands whose replies have addresses."""
_ADVICE: Final = "the options `announce` and `nodes` say where it reaches what is recorded"

Address = tuple[bytes, int]


def address(text: str, *at: str) -> Address:
    """`host:port`. Raises Invalid."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536 or " " in text:
        raise Invalid(at, f"expected host:port, got {text!r}")
    return host.strip("[]").encode(), int(port)


class Topology:
    """What is told of addresses. `given`: something is; `alone`: this service is the only node there is."""

    def __init__(self, announce: str, nodes: Mapping[str, str]) -> None:
        """The options of a service. Raises Invalid."""
        if announce and nodes:
            raise Invalid(("announce",), "one address for all nodes, or `nodes` with one for each: not both")
        self.given = bool(announce or nodes)
        self.alone = bool(announce)
        self._here = address(announce, "announce") if announce else (b"", 0)
        self._nodes = {address(name, "nodes", name): address(to, "nodes", name) for name, to in nodes.items()}
        self._ident = hashlib.sha1(announce.encode(), usedforsecurity=False).hexdigest().encode()

    def answer(self, args: Args) -> Value | None:
        """What the only node says of the cluster; None where it has nothing to say of its own."""
        if not self.alone:
            return None
        host, port = self._here
        match name_of(args):
            case b"CLUSTER SLOTS":
                return Array((Array((0, SLOTS - 1, Array((host, port, self._ident, Array())))),))
            case b"CLUSTER SHARDS":
                return Array((self._shard(),))
            case b"CLUSTER NODES":
                line = b"%b %b:%d@%d myself,master - 0 0 1 connected 0-%d\n"
                return line % (self._ident, host, port, port + BUS, SLOTS - 1)
            case b"CLUSTER MYID":
                return self._ident
            case b"CLUSTER INFO":
                return (
                    b"cluster_state:ok\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\n" % (SLOTS, SLOTS)
                    + b"cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\n"
                    + b"cluster_known_nodes:1\r\ncluster_size:1\r\n"
                )
        return None

    def led(self, args: Args, value: Value) -> Value:
        """The reply to a command, with addresses that lead to where clients reach the nodes."""
        match name_of(args):
            case b"CLUSTER SLOTS":
                return each(self._slots)(value)
            case b"CLUSTER SHARDS":
                return each(below(b"nodes", each(self._told)))(value)
            case b"CLUSTER NODES":
                return self._lines(value)
            case b"CLUSTER REPLICAS" | b"CLUSTER SLAVES":
                return each(self._lines)(value)
            case b"SENTINEL GET-MASTER-ADDR-BY-NAME":
                return self._pair(value)
            case b"SENTINEL MASTER":
                return self._told(value)
            case b"SENTINEL MASTERS" | b"SENTINEL REPLICAS" | b"SENTINEL SLAVES" | b"SENTINEL SENTINELS":
                return each(self._told)(value)
        return value

    def redirected(self, value: Value) -> Value:
        """The reply to any command: a redirection leads to where clients reach the node."""
        found = _redirection(value)
        to = None if found is None else self._lead(found[1])
        return value if found is None or to is None else Error(b"%b %b:%d" % (found[0], *to))

    def astray(self, args: Args, value: Value) -> str:
        """Why this reply of a server leads the client away from all that is recorded; empty if it does not."""
        told = bool(args) and name_of(args) in _TELLING and isinstance(value, Array | Map | bytes | Verbatim)
        if told and not self.given:
            return f"the client is told of nodes, and goes to them directly: {_ADVICE}"
        found = _redirection(value)
        # a server that is alone redirects nobody: this one is one of several
        if found is None or (not self.alone and self._lead(found[1]) is not None):
            return ""
        host, port = found[1]
        where = f"{host.decode('utf-8', 'backslashreplace')}:{port}"
        return f"the client is sent to {where}, and goes there directly: {_ADVICE}"

    # --- addresses ---

    def _lead(self, known: Address) -> Address | None:
        """Where clients reach that node."""
        if self.alone:
            return self._here
        if known[0] in _UNKNOWN_HOSTS:
            return next((to for (_, port), to in self._nodes.items() if port == known[1]), None)
        return self._nodes.get(known)

    def _slots(self, value: Value) -> Value:
        """A range of slots: its ends, then nodes."""
        if not isinstance(value, Array):
            return value
        return Array((*value.items[:2], *map(self._pair, value.items[2:])))

    def _pair(self, value: Value) -> Value:
        """A list that begins with a host and a port. More names of the host are left out."""
        if not isinstance(value, Array) or len(value.items) < 2:
            return value
        host, port, *more = value.items
        to = self._lead((_text(host), _number(port)))
        if to is None:
            return value
        rest = [Array() if isinstance(one, Array | Map) else one for one in more]
        return Array((to[0], to[1] if isinstance(port, int) else b"%d" % to[1], *rest))

    def _told(self, value: Value) -> Value:
        """What is told of a node by names: its hosts and ports."""
        value = paired(value)
        if not isinstance(value, Map):
            return value
        said = {_text(name): item for name, item in value.pairs}
        hosts = [_text(said[name]) for name in (b"endpoint", b"ip", b"hostname") if name in said]
        ports = [_number(said[name]) for name in (b"port", b"tls-port") if name in said]
        to = next((to for host in hosts for port in ports if (to := self._lead((host, port)))), None)
        if to is None:
            return value
        new: dict[bytes, Value] = {b"endpoint": to[0], b"ip": to[0], b"hostname": b""}
        for name in (b"port", b"tls-port"):
            new[name] = to[1] if isinstance(said.get(name), int) else b"%d" % to[1]
        return Map(tuple((name, new.get(_text(name), item)) for name, item in value.pairs))

    def _lines(self, value: Value) -> Value:
        """Lines that say of a node: its id, `host:port@port,names`, more."""
        match value:
            case bytes():
                return b"\n".join(map(self._line, value.split(b"\n")))
            case Verbatim(form, text):
                return Verbatim(form, b"\n".join(map(self._line, text.split(b"\n"))))
        return value

    def _line(self, line: bytes) -> bytes:
        ident, _, rest = line.partition(b" ")
        where, space, more = rest.partition(b" ")
        known = _address(where.partition(b"@")[0])
        to = None if known is None else self._lead(known)
        return line if to is None else b"%b %b:%d@%d%b%b" % (ident, *to, to[1] + BUS, space, more)

    def _shard(self) -> Value:
        host, port = self._here
        node = Map(
            (
                (b"id", self._ident),
                (b"port", port),
                (b"ip", host),
                (b"endpoint", host),
                (b"role", b"master"),
                (b"replication-offset", 0),
                (b"health", b"online"),
            )
        )
        return Map(((b"slots", Array((0, SLOTS - 1))), (b"nodes", Array((node,)))))


def _redirection(value: Value) -> tuple[bytes, Address] | None:
    """What stands before the address of a redirection, and the address."""
    if not isinstance(value, Error) or not value.text.startswith(_REDIRECTIONS):
        return None
    before, _, where = value.text.rpartition(b" ")
    known = _address(where)
    return None if known is None else (before, known)


def _address(text: bytes) -> Address | None:
    host, colon, port = text.rpartition(b":")
    return (host.strip(b"[]"), _number(port)) if colon and _number(port) else None


def _text(value: Value) -> bytes:
    return value if isinstance(value, bytes) else b""


def _number(value: Value) -> int:
    """A port; 0 for what is none."""
    if isinstance(value, bytes):
        return int(value) if value.isdigit() and len(value) < 6 else 0
    return value if isinstance(value, int) else 0
