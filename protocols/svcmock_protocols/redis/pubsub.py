"""What one client has subscribed to: confirmations, the messages it gets, and what was pushed in a recording.

A message that a client publishes on the mock reaches all who have subscribed there. Messages that came from
elsewhere while it was recorded are exchanges of their own: they are asked for one after the other as soon as a
client has subscribed, and come with the time between them that was recorded.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from svcmock.protocol import Ask, Out, Publish, Send, Subscribe, Unsubscribe, Wake
from svcmock_protocols.redis.codec import encode
from svcmock_protocols.redis.messages import MIB, NULL, Args, Array, Reply, Request, Source, Value
from svcmock_protocols.redis.shared import Shared

SUBSCRIPTIONS_MAX: Final = 100_000
"""Of one client,"""
NAMES_MAX: Final = 64 * MIB
"""and the bytes of their names."""

SUBSCRIBING: Final[dict[bytes, Source]] = {
    b"SUBSCRIBE": "channel",
    b"PSUBSCRIBE": "pattern",
    b"SSUBSCRIBE": "shard",
}
UNSUBSCRIBING: Final[dict[bytes, Source]] = {
    b"UNSUBSCRIBE": "channel",
    b"PUNSUBSCRIBE": "pattern",
    b"SUNSUBSCRIBE": "shard",
}
PUBLISHING: Final[dict[bytes, Source]] = {b"PUBLISH": "channel", b"SPUBLISH": "shard"}
MESSAGES: Final[dict[Source, bytes]] = {"channel": b"message", "pattern": b"pmessage", "shard": b"smessage"}
ALLOWED: Final = frozenset({*SUBSCRIBING, *UNSUBSCRIBING, b"PING", b"QUIT", b"RESET"})
"""What a client that has subscribed may send, if it speaks RESP2."""

Name = tuple[Source, bytes]


class _Replaying(Struct):
    """What was pushed to a subscriber in a recording: the message that is asked for, or waited for."""

    name: Name
    number: int = 0
    due: Reply | None = None


class Subscriptions:
    """Of one client. Ids of its Asks, and tokens of its Wakes, are those of the recordings that it replays."""

    def __init__(self, shared: Shared, pace: float) -> None:
        self._shared = shared
        self._pace = pace
        self._names: dict[Source, dict[bytes, int]] = {"channel": {}, "pattern": {}, "shard": {}}
        """Each with the id of what is replayed to it."""
        self._replaying: dict[int, _Replaying] = {}
        self._next = 2
        self._size = 0
        """Bytes of all names."""
        self.version = 2
        self.count = 0

    def are_too_many_with(self, names: Args) -> bool:
        """Whether these are more than a client may have."""
        return self.count + len(names) > SUBSCRIPTIONS_MAX or self._size + sum(map(len, names)) > NAMES_MAX

    def subscribe(self, args: Args) -> list[Out]:
        """A confirmation for each name; then what was recorded for it is looked for."""
        kind = SUBSCRIBING[args[0]]
        outs: list[Out] = []
        asks: list[Out] = []
        for name in args[1:]:
            if name not in self._names[kind]:
                ident, self._next = self._next, self._next + 1
                self._names[kind][name] = ident
                self.count += 1
                self._size += len(name)
                self._replaying[ident] = _Replaying((kind, name))
                outs.append(Subscribe((kind, name)))
                asks.append(self._look(ident))
                if kind == "pattern":
                    self._shared.subscribed.add(name)
            outs.append(self._confirm(args[0].lower(), name, kind))
        return [*outs, *asks]

    def unsubscribe(self, args: Args) -> list[Out]:
        """A confirmation for each name, of all without any; one without a name if there are none."""
        kind = UNSUBSCRIBING[args[0]]
        verb = args[0].lower()
        names = args[1:] or tuple(self._names[kind])
        outs: list[Out] = []
        for name in names:
            outs += self._leave(kind, name)
            outs.append(self._confirm(verb, name, kind))
        return outs or [self._confirm(verb, NULL, kind)]

    def leave_all(self) -> list[Out]:
        """Of RESET, and at the end of a connection."""
        return [
            out
            for kind, names in self._names.items()
            for name in tuple(names)
            for out in self._leave(kind, name)
        ]

    def published(self, topic: Any, message: Any) -> list[Out]:
        """A client of this service published something."""
        kind, name = topic
        channel, payload = message
        if name not in self._names[kind]:
            return []
        return [self._message(kind, name, channel, payload)]

    # --- what was recorded ---

    def answered(self, ask: Ask, reply: Reply | None) -> list[Out]:
        """What was pushed next in the recording; None: nothing was."""
        known = self._replaying.get(ask.id)
        if known is None:
            return []
        if reply is None:
            del self._replaying[ask.id]
            return []
        known.due = reply
        after = reply.after * self._pace
        return [Wake(after, ask.id)] if after > 0 else self._deliver(ask.id, known)

    def woke(self, token: Any) -> list[Out]:
        known = self._replaying.get(token) if isinstance(token, int) else None
        return self._deliver(token, known) if known is not None else []

    def _deliver(self, ident: int, known: _Replaying) -> list[Out]:
        reply, known.due = known.due, None
        if reply is None or not isinstance(reply.value, bytes):
            return []
        kind, name = known.name
        known.number += 1
        return [self._message(kind, name, reply.channel or name, reply.value), self._look(ident)]

    def _look(self, ident: int) -> Ask:
        known = self._replaying[ident]
        kind, name = known.name
        return Ask(ident, Request((name,), 0, kind, number=known.number), len(name), optional=True)

    # --- what is sent ---

    def _leave(self, kind: Source, name: bytes) -> Sequence[Out]:
        ident = self._names[kind].pop(name, None)
        if ident is None:
            return ()
        self.count -= 1
        self._size -= len(name)
        self._replaying.pop(ident, None)
        if kind == "pattern":
            self._shared.subscribed.drop(name)
        return (Unsubscribe((kind, name)),)

    def _confirm(self, verb: bytes, name: Value, kind: Source) -> Send:
        """With how many subscriptions there are: those of shards count for themselves."""
        shards = len(self._names["shard"])
        return self._push(verb, name, shards if kind == "shard" else self.count - shards)

    def _message(self, kind: Source, name: bytes, channel: bytes, payload: bytes) -> Send:
        if kind == "pattern":
            return self._push(MESSAGES[kind], name, channel, payload)
        return self._push(MESSAGES[kind], channel, payload)

    def _push(self, *items: Value) -> Send:
        return Send(encode(Array(items, "push"), self.version))


def is_publishing(args: Args) -> bool:
    """Whether this is a whole PUBLISH or SPUBLISH."""
    return args[0] in PUBLISHING and len(args) == 3


def publishes(args: Args, shared: Shared) -> list[Publish]:
    """What such a command tells whom: who subscribed to the channel, and to each pattern that it matches."""
    kind = PUBLISHING[args[0]]
    channel, payload = args[1], args[2]
    outs = [Publish((kind, channel), (channel, payload))]
    if kind == "channel":
        outs += [Publish(("pattern", pattern), (channel, payload)) for pattern in shared.patterns(channel)]
    return outs
