"""The recording side of one connection: bytes pass at once, commands are paired with replies in order.

Decides what is an exchange. Talk about the connection is none (HELLO, AUTH, SELECT, CLIENT, SUBSCRIBE ...): the
mock has its own. A transaction is one, from MULTI to EXEC, and so is each message that somebody else published.
What a client of this service published itself reaches its subscribers again when it is replayed, so that is
none.

Replies are paired first in, first out. Two things come in between: pushes of RESP3, and the messages of a RESP2
client that has subscribed. A SUBSCRIBE has as many replies as it names channels; after CLIENT REPLY OFF there
are none.
"""

from collections import deque
from typing import Final

from msgspec import Struct

from svcmock.protocol import (
    Began,
    Context,
    Exchange,
    Forward,
    Lost,
    Opaque,
    Seen,
    Shut,
    Side,
    Sight,
    Timing,
    Upstream,
)
from svcmock_protocols.redis import catalogue, codec, commands, credentials, local, pubsub
from svcmock_protocols.redis.cluster import Topology
from svcmock_protocols.redis.documents import duration, show_duration
from svcmock_protocols.redis.facts import TRACKING, fact
from svcmock_protocols.redis.messages import (
    MIB,
    QUEUE_MAX,
    Args,
    Array,
    Error,
    Map,
    Reply,
    Request,
    Simple,
    Source,
    Value,
    options_of,
)
from svcmock_protocols.redis.shared import Shared

MAX_PENDING: Final = 100_000
"""Commands of one connection under way that are followed."""
MAX_KEPT: Final = 256 * MIB
"""Their bytes, with those of the transaction that the client is sending."""

_OPAQUE: Final = frozenset(b"MONITOR SYNC PSYNC".split())
_SESSION: Final = frozenset(b"AUTH SELECT CLIENT HELLO QUIT RESET MULTI EXEC DISCARD".split())
"""Commands that are about the connection."""
_UNQUEUED: Final = frozenset(b"MULTI EXEC DISCARD RESET QUIT WATCH".split())
"""Commands that count at once between MULTI and EXEC."""
_PASSING: Final = {
    b"NOSCRIPT": "the script was not loaded: its EVAL is recorded",
    b"NOAUTH": "the client had not logged in",
    b"LOADING": "the server was loading its data",
    b"EXECABORT": "the transaction was discarded",
}
"""Errors that tell of a moment, not of the data."""
_KINDS: Final[dict[bytes, Source]] = {word: kind for kind, word in pubsub.MESSAGES.items()}
_CONFIRMING: Final = {name.lower(): name for name in (*pubsub.SUBSCRIBING, *pubsub.UNSUBSCRIBING)}


class _Pending(Struct):
    """A command without its reply. `id`: 0 for one that is no exchange, as far as is known.

    `replies`: how many are missing, 0: as many as there are subscriptions to end. `queued`: it stands in a
    transaction. `commands`: it is the EXEC of these.
    """

    args: Args
    at: float
    size: int
    id: int = 0
    replies: int = 1
    queued: bool = False
    commands: tuple[Args, ...] | None = None


class _Heard(Struct):
    """A subscription: when it was last heard of, and how many messages of others came."""

    at: float
    number: int = 0


class RedisTap:
    """A `svcmock.protocol.Tap`."""

    def __init__(self, context: Context, upstream: Upstream) -> None:
        self._context = context
        self._upstream = upstream
        self._shared = context.state if isinstance(context.state, Shared) else Shared()
        options = options_of(context.options)
        self._commands = commands.CommandReader(options.max_command)
        self._replies = codec.ReplyReader()
        self._topology = Topology(options.announce, options.nodes)
        self._held = bytearray()
        """What came of a reply that may have to be passed on with other addresses."""
        self._pending: deque[_Pending] = deque()
        self._queue: list[Args] | None = None
        """The commands of a transaction that the client is sending."""
        self._queue_size = 0
        """Bytes of them, while they are not EXEC's,"""
        self._kept = 0
        """and of all that is pending or queued."""
        self._subscribed: dict[Source, dict[bytes, _Heard]] = {"channel": {}, "pattern": {}, "shard": {}}
        self._db = 0
        self._version = 2
        self._silent = False
        self._skip = False
        self._told = False
        """Whether the server said what it is."""
        self._next = 1
        self._blind = False
        self._down = ""

    # --- the contract ---

    def from_client(self, data: bytes, at: float) -> Sight:
        if self._down:
            return ()
        out: list[Seen] = [Forward(data, Side.SERVER)]
        if self._blind:
            return out
        self._commands.feed(data)
        try:
            while (args := self._commands.next()) is not None:
                self._command(args, at, out)
        except commands.Malformed as error:
            self._give_up(f"the client's bytes are no commands: {error}", out)
        return out

    def from_server(self, data: bytes, at: float) -> Sight:
        if self._blind:
            return [Forward(data, Side.CLIENT)]
        out: list[Seen] = []
        if self._topology.given:
            self._held += data
        else:
            out.append(Forward(data, Side.CLIENT))
        self._replies.feed(data)
        try:
            while (value := self._replies.next()) is not None:
                if self._topology.given:
                    out.append(self._led(value))
                self._value(value, at, out)
        except codec.Malformed as error:
            self._give_up(f"the server's bytes are no replies: {error}", out)
        return out

    def _led(self, value: Value) -> Forward:
        """A whole reply as it is passed on: as it came, but for addresses."""
        size = len(self._held) - self._replies.unread
        data = bytes(self._held[:size])
        del self._held[:size]
        pushed = isinstance(value, Array) and self._is_pushed(value)
        args = self._pending[0].args if self._pending and not pushed else ()
        if not args or self._topology.astray(args, value):
            return Forward(data, Side.CLIENT)
        led = self._topology.redirected(self._topology.led(args, value))
        return Forward(data if led == value else codec.encode(led, self._version), Side.CLIENT)

    def eof(self, side: Side, at: float) -> Sight:  # noqa: ARG002  what an end means does not depend on time
        if side is Side.CLIENT:
            return (Shut(Side.SERVER),)
        out: list[Seen] = [Forward(bytes(self._held), Side.CLIENT)] if self._held else []
        self._held.clear()
        self._lose_all("the server ended the connection", out)
        return [*out, Shut(Side.CLIENT)]

    def unreachable(self, why: str, at: float) -> Sight:  # noqa: ARG002  as above
        self._down = why
        out: list[Seen] = []
        self._lose_all(f"the server cannot be reached: {why}", out)
        return self._refuse(out)

    def informed(self, context: Context) -> Sight:  # noqa: ARG002  nothing is asked
        return ()

    # --- commands ---

    def _command(self, args: Args, at: float, out: list[Seen]) -> None:
        name = args[0]
        if name in _OPAQUE:
            self._give_up(name.decode(), out)
            return
        pending = _Pending(args, at, self._commands.size)
        self._kept += pending.size
        if len(self._pending) >= MAX_PENDING or len(self._queue or ()) >= QUEUE_MAX or self._kept > MAX_KEPT:
            self._give_up(f"more than {MAX_PENDING} commands, or {MAX_KEPT} bytes of them, under way", out)
            return
        silent = self._is_silent(args)
        if self._queue is not None and name not in _UNQUEUED:
            self._queue.append(args)
            self._queue_size += pending.size
            pending.queued = True
        elif name == b"MULTI":
            self._queue = [] if self._queue is None else self._queue
        elif name in {b"EXEC", b"DISCARD", b"RESET"} and self._queue is not None:
            if name == b"EXEC":
                pending.commands = tuple(self._queue)
                pending.id = self._begin(out)
                self._note(pending.commands, at)
            self._queue = None
            pending.size, self._queue_size = pending.size + self._queue_size, 0
        elif name in pubsub.SUBSCRIBING:
            pending.replies = max(1, len(args) - 1)
        elif name in pubsub.UNSUBSCRIBING:
            pending.replies = len(args) - 1
        elif name not in _SESSION and name not in local.LOCAL:
            pending.id = self._begin(out)
            self._note((args,), at)
        if not silent:
            self._pending.append(pending)
            return
        self._settled(pending)
        if pending.id:
            out.append(Lost(pending.id, "the client wanted no reply", "skipped"))

    def _settled(self, pending: _Pending) -> None:
        """It is over, but for one that a transaction goes on to hold."""
        if not pending.queued:
            self._kept -= pending.size

    def _begin(self, out: list[Seen]) -> int:
        ident, self._next = self._next, self._next + 1
        out.append(Began(ident))
        return ident

    def _is_silent(self, args: Args) -> bool:
        """Whether the client wants no reply to this, by a CLIENT REPLY that came before or is this."""
        if args[0] == b"CLIENT" and catalogue.name_of(args) == b"CLIENT REPLY" and len(args) == 3:
            mode = args[2].upper()
            if mode in {b"ON", b"OFF", b"SKIP"}:
                self._silent, self._skip = mode == b"OFF", mode == b"SKIP"
                return mode != b"ON"
        skip, self._skip = self._skip, False
        return skip or self._silent

    def _note(self, all_args: tuple[Args, ...], at: float) -> None:
        """Remember what a client is about to publish."""
        for args in all_args:
            if pubsub.is_publishing(args):
                self._shared.publish(args[1], args[2], at)

    # --- replies ---

    def _value(self, value: Value, at: float, out: list[Seen]) -> None:
        if isinstance(value, Array) and self._is_pushed(value):
            word = value.items[0] if value.items else b""
            if word in _KINDS:
                self._message(value.items, at, out)
            elif word in _CONFIRMING:
                self._confirmed(value.items, at)
                if sum(map(len, self._subscribed.values())) > pubsub.SUBSCRIPTIONS_MAX:
                    self._give_up(f"more than {pubsub.SUBSCRIPTIONS_MAX} subscriptions", out)
            return
        if not self._pending:
            self._give_up("the server spoke unasked", out)
            return
        pending = self._pending.popleft()
        self._settled(pending)
        if pending.commands is not None:
            self._executed(pending, value, at, out)
        elif pending.queued:
            self._queued(pending, value, at, out)
        elif pending.id:
            self._settle(pending, Request(pending.args, self._db), value, at, out)
        else:
            self._about_connection(pending, value, at, out)

    def _is_pushed(self, value: Array) -> bool:
        """Whether this answers no command, or confirms a subscription."""
        if value.kind == "push":
            return True
        word = value.items[0] if value.items else None
        if self._version != 2 or not isinstance(word, bytes):
            return False
        if word in _CONFIRMING:
            head = self._pending[0].args[0] if self._pending else b""
            return head == _CONFIRMING[word] or (not head and any(self._subscribed.values()))
        return word in _KINDS and any(self._subscribed.values()) and len(value.items) in {3, 4}

    def _executed(self, pending: _Pending, value: Value, at: float, out: list[Seen]) -> None:
        assert pending.commands is not None
        self._settle(pending, Request((), self._db, "transaction", pending.commands), value, at, out)
        if isinstance(value, Array):
            for args, item in zip(pending.commands, value.items, strict=False):
                self._selected(args, item)

    def _queued(self, pending: _Pending, value: Value, at: float, out: list[Seen]) -> None:
        """A command in a transaction is queued, or is refused; then that is an exchange."""
        if isinstance(value, Error):
            pending.id = self._begin(out)
            self._settle(pending, Request(pending.args, self._db, "queued"), value, at, out)

    def _settle(self, pending: _Pending, request: Request, value: Value, at: float, out: list[Seen]) -> None:
        passing = _PASSING.get(value.text.partition(b" ")[0]) if isinstance(value, Error) else None
        if passing is not None:
            out.append(Lost(pending.id, passing, "skipped"))
            return
        astray = self._topology.astray(request.args, value)
        if astray:
            out.append(Lost(pending.id, astray))
            return
        token = self._context.token
        reply = credentials.redact_reply(request, Reply(value), token)
        request = credentials.redact_request(request, token)
        out.append(Exchange(pending.id, request, reply, Timing(pending.at, at - pending.at)))

    def _about_connection(self, pending: _Pending, value: Value, at: float, out: list[Seen]) -> None:
        args = pending.args
        self._selected(args, value)
        if args[0] == b"HELLO" and isinstance(value, Map | Array):
            if len(args) > 1:
                self._version = 3 if args[1] == b"3" else 2
            known = None if self._told else fact(value)
            if known is not None:
                self._told = True
                out.append(known)
        elif args[0] == b"HELLO" and isinstance(value, Error):
            # a server that knows no HELLO: its clients speak RESP2, and so they do with the mock
            if value.text.startswith((b"ERR unknown command", b"NOPROTO")):
                self._settle_late(pending, value, at, out)
        elif catalogue.name_of(args) == b"CLIENT TRACKING" and isinstance(value, Simple):
            if args[2:3] != (b"OFF",):
                out.append(TRACKING)
        elif args[0] in local.LOCAL and args[0] not in _SESSION and not local.is_usual(args, value):
            self._settle_late(pending, value, at, out)
        elif args[0] == b"RESET" and isinstance(value, Simple):
            self._db, self._version = 0, 2
            for names in self._subscribed.values():
                names.clear()

    def _settle_late(self, pending: _Pending, value: Value, at: float, out: list[Seen]) -> None:
        """By its reply, this is an exchange."""
        pending.id = self._begin(out)
        self._settle(pending, Request(pending.args, self._db), value, at, out)

    def _selected(self, args: Args, value: Value) -> None:
        if args[0] == b"SELECT" and len(args) == 2 and args[1].isdigit() and isinstance(value, Simple):
            self._db = int(args[1])

    # --- messages ---

    def _confirmed(self, items: tuple[Value, ...], at: float) -> None:
        """A channel more, or less."""
        verb, name = items[0], items[1] if len(items) > 1 else None
        assert isinstance(verb, bytes)
        command = _CONFIRMING[verb]
        kind = pubsub.SUBSCRIBING.get(command)
        if kind is not None and isinstance(name, bytes):
            self._subscribed[kind].setdefault(name, _Heard(at))
        leaving = pubsub.UNSUBSCRIBING.get(command)
        head = self._pending[0] if self._pending and self._pending[0].args[0] == command else None
        if leaving is not None:
            if head is not None and not head.replies:
                head.replies = max(1, len(self._subscribed[leaving]))
            if isinstance(name, bytes):
                self._subscribed[leaving].pop(name, None)
        if head is None:
            return
        head.replies -= 1
        if not head.replies:
            self._settled(self._pending.popleft())

    def _message(self, items: tuple[Value, ...], at: float, out: list[Seen]) -> None:
        """Somebody published something. It is an exchange, unless it was a client of this service."""
        word, *rest = items
        assert isinstance(word, bytes)
        kind = _KINDS[word]
        texts = [item for item in rest if isinstance(item, bytes)]
        if len(texts) != (3 if kind == "pattern" else 2):
            return
        name, payload, channel = texts[0], texts[-1], texts[-2]
        heard = self._subscribed[kind].get(name)
        if heard is None or self._shared.was_published(channel, payload, at):
            return
        after = duration(show_duration(max(0.0, at - heard.at)))
        request = Request((name,), 0, kind, number=heard.number)
        reply = Reply(payload, after=after, channel=channel if kind == "pattern" else b"")
        heard.number, heard.at = heard.number + 1, at
        ident = self._begin(out)
        out.append(Exchange(ident, request, reply, Timing(at, 0.0)))

    # --- ends ---

    def _give_up(self, why: str, out: list[Seen]) -> None:
        """From here on nothing is read."""
        self._blind = True
        if self._held:
            out.append(Forward(bytes(self._held), Side.CLIENT))
            self._held.clear()
        self._lose_all(why, out)
        self._commands.clear()
        self._replies = codec.ReplyReader()
        out.append(Opaque(why))

    def _lose_all(self, why: str, out: list[Seen]) -> None:
        out += [Lost(pending.id, why) for pending in self._pending if pending.id]
        self._pending.clear()

    def _refuse(self, out: list[Seen]) -> Sight:
        """There is no server: say so to the client, and that was all."""
        said = f"-ERR svcmock: {self._upstream.authority} cannot be reached: {self._down}"
        line = said.replace("\r", " ").replace("\n", " ").encode("utf-8", "backslashreplace")
        return [*out, Forward(line + b"\r\n", Side.CLIENT), Shut(Side.CLIENT)]
