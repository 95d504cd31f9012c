"""The recording side of a connection with declared framing: bytes pass at once, frames are paired.

    client frame ──▶ Began ──▶ waiting ──server frames──▶ held ──▶ Exchange

Which request a server's frame belongs to is said by `reply:` in the options: the fields that both have, or
their order; one frame each, all up to one that `until` matches, or `any` number until the next request. What
comes before the first request is the banner. What belongs to none is a push, an exchange of its own. What only
keeps the connection alive (`auto`) is passed on and left out.

An exchange is held until something else happens on its connection, because an end of the server's side then is
part of what was answered; whether that was a half close is told by what the client does then. In a silence it
is written all the same, so that a kill loses no more. Frames are passed on before they are read, all but those
of a client that may ask for TLS: where TLS cannot be spoken with it, that is declined on the spot.
"""

from collections import OrderedDict, deque
from typing import Final, Literal

import msgspec
from msgspec import Struct

from svcmock.protocol import (
    Began,
    Context,
    Exchange,
    Fact,
    Forward,
    Lost,
    Opaque,
    Seen,
    Shut,
    Side,
    Sight,
    StartTLS,
    Timing,
    Upstream,
)
from svcmock_protocols.tcp import rules
from svcmock_protocols.tcp.canonical import HiddenError, hidden
from svcmock_protocols.tcp.dialect import PUSHES, dialect_of
from svcmock_protocols.tcp.fieldtypes import LayoutError
from svcmock_protocols.tcp.forms import finished
from svcmock_protocols.tcp.framing import Frame, Splitter
from svcmock_protocols.tcp.gaps import gap
from svcmock_protocols.tcp.layout import Layout
from svcmock_protocols.tcp.lengths import FrameError
from svcmock_protocols.tcp.messages import Kind, Piece, Request

MAX_WAITING: Final = 10_000
"""Requests of one connection without a whole reply."""
MAX_REPLY: Final = 64 << 20
"""Bytes of one reply."""
MAX_REPLY_FRAMES: Final = 100_000
"""Frames of one reply."""
SHOWN: Final = 16
"""Bytes of a frame that was cut off that are told."""
LATE: Final = 3.0
"""Seconds after which an end is no part of an answer: the server gave up a connection that nobody used."""


class _Asked(Struct, eq=False):
    """A request and what was answered so far. `last`: when something was last said.

    `names`: what tells which replies are its, where fields do. `auto`: nothing of it is recorded.
    """

    id: int
    frame: Frame
    kind: Kind
    at: float
    last: float
    number: int = 0
    first: float | None = None
    pieces: list[tuple[Frame, float]] = []
    size: int = 0
    names: bytes | None = None
    auto: bool = False


class FramedTap:
    """A `svcmock.protocol.Tap`."""

    def __init__(self, context: Context, upstream: Upstream) -> None:  # noqa: ARG002  nothing of it is rewritten
        self._dialect = dialect_of(context)
        self._rules = self._dialect.options.reply
        self._context = context
        self._splitters = {
            Side.CLIENT: Splitter(self._dialect.client),
            Side.SERVER: Splitter(self._dialect.server),
        }
        self._heard = {Side.CLIENT: 0.0, Side.SERVER: 0.0}
        """When a side last said something."""
        self._waiting: OrderedDict[int, _Asked] = OrderedDict()
        """Requests without a whole reply, in their order, by their ids."""
        self._named: dict[bytes, deque[_Asked]] = {}
        """The same by what tells their replies."""
        self._held: _Asked | None = None
        self._last: tuple[Frame, int] | None = None
        """The last request, or the banner, and how many pushes followed it."""
        self._asked = False
        self._ids = 0
        self._pushed = False
        self._securing = False
        """The client has asked for TLS, and the server has not said yet whether it agrees."""
        self._secured = False
        self._gone: set[Side] = set()
        self._how: Literal["close", "reset"] = "close"
        """How the server's side ends."""
        self._blind = False
        self._down = ""

    # --- the contract ---------------------------------------------------------------------------------

    def from_client(self, data: bytes, at: float) -> Sight:
        if self._blind:
            return (Forward(data, Side.SERVER),)
        if self._down:
            return ()
        out: list[Seen] = []
        if Side.SERVER in self._gone:
            self._flush(out, "half_close")
        by_frame = self._may_secure()
        if not by_frame:
            out.append(Forward(data, Side.SERVER))
        self._settle_silence(Side.CLIENT, at, out)
        self._read(Side.CLIENT, data, at, out)
        return out

    def from_server(self, data: bytes, at: float) -> Sight:
        if self._blind:
            return (Forward(data, Side.CLIENT),)
        out: list[Seen] = [Forward(data, Side.CLIENT)]
        self._settle_silence(Side.SERVER, at, out)
        self._read(Side.SERVER, data, at, out)
        return out

    def eof(self, side: Side, at: float) -> Sight:
        out: list[Seen] = []
        self._gone.add(side)
        if not self._blind:
            self._read(side, b"", at, out, ended=True)
        if not self._blind:
            if side is Side.SERVER:
                self._server_left(at, out)
            else:
                if not self._holds(side):
                    self._pass_rest(out)
                self._client_left(out)
        out.append(Shut(Side.SERVER if side is Side.CLIENT else Side.CLIENT))
        return out

    def broken(self, side: Side, at: float) -> Sight:
        """See `svcmock.capabilities.Breaking`."""
        if side is Side.SERVER:
            self._how = "reset"
        return self.eof(side, at)

    def unreachable(self, why: str, at: float) -> Sight:  # noqa: ARG002  what it means does not depend on time
        self._down = why
        out: list[Seen] = []
        self._lose_all(f"the upstream cannot be reached: {why}", out)
        out.append(Shut(Side.CLIENT))
        return out

    @property
    def rest(self) -> float:
        """See `svcmock.capabilities.Resting`."""
        return LATE

    def rested(self, at: float) -> Sight:  # noqa: ARG002  an end that comes now is no part of the last answer
        out: list[Seen] = []
        if Side.SERVER not in self._gone:
            self._flush(out)
        return out

    def informed(self, context: Context) -> Sight:  # noqa: ARG002  nothing is asked of an upstream
        return ()

    # --- frames ---------------------------------------------------------------------------------------

    def _settle_silence(self, side: Side, at: float, out: list[Seen]) -> None:
        """Where silence ends frames, it is noticed by what comes after it, from either side."""
        for one, splitter in self._splitters.items():
            quiet = splitter.framing.idle
            if quiet and splitter.pending and (one is not side or at - self._heard[one] >= quiet):
                self._read(one, b"", self._heard[one], out, ended=True)
        self._heard[side] = at

    def _read(self, side: Side, data: bytes, at: float, out: list[Seen], *, ended: bool = False) -> None:
        splitter = self._splitters[side]
        if data:
            splitter.feed(data)
        if self._holds(side) and splitter.pending > self._dialect.options.max_frame:
            self._give_up("more than a frame is said before the server has agreed to TLS", out)
        try:
            while not (self._blind or self._holds(side)) and (frame := splitter.next(ended=ended)) is not None:
                if side is Side.CLIENT:
                    self._from_client(frame, at, out)
                else:
                    self._from_server(frame, at, out)
        except FrameError as error:
            self._give_up(f"the {side.value}'s bytes are no frames: {error}", out)

    def _from_client(self, frame: Frame, at: float, out: list[Seen]) -> None:
        if self._may_secure() and self._secure(frame, out):
            return
        if len(self._waiting) >= MAX_WAITING:
            self._give_up(f"more than {MAX_WAITING} requests under way", out)
            return
        self._flush(out)
        while (first := self._first()) is not None and self._open_ended(first):
            self._finish(first, out)
        self._asked = True
        auto = next((one for one in self._dialect.auto if one.fits(self._dialect.asked, frame.payload)), None)
        if auto is None:
            self._last = frame, 0
        asked = self._begin(frame, "frame", at, out, auto=auto is not None)
        one_way = self._dialect.one_way
        if Side.SERVER in self._gone:
            self._lose(asked, "the upstream had ended its side", out, "skipped")
        elif one_way is not None and one_way.search(frame.payload):
            self._finish(asked, out)
        elif auto is not None and not auto.reply.frames:
            self._drop(asked)

    def _from_server(self, frame: Frame, at: float, out: list[Seen]) -> None:
        if self._securing:
            self._agreed(frame, out)
            self._read(Side.CLIENT, b"", at, out)
            return
        asked = self._answers(frame)
        if any(auto.fits(self._dialect.told, frame.payload) for auto in self._dialect.auto):
            if asked is not None and asked.auto:
                self._drop(asked)
            return
        if asked is None and not self._asked:
            asked = self._begin(Frame(b"", b""), "banner", at, out)
            self._last = Frame(b"", b""), 0
        if asked is None:
            self._push(frame, at, out)
            return
        self._add(asked, frame, at)
        if asked.size > MAX_REPLY or len(asked.pieces) > MAX_REPLY_FRAMES:
            self._give_up("a reply that does not end", out)
        elif asked.kind == "frame" and (asked.auto or self._is_last(frame)):
            self._finish(asked, out)

    def _is_last(self, frame: Frame) -> bool:
        """Whether a frame ends its reply."""
        if self._dialect.until is not None:
            return bool(self._dialect.until.search(frame.payload))
        return self._rules.per_request == "one"

    def _answers(self, frame: Frame) -> _Asked | None:
        """The request that a server's frame belongs to; None: it comes unasked."""
        first = self._first()
        if first is None:
            return None
        names = self._dialect.correlate
        if not names or first.kind == "banner":
            return first if self._rules.correlate != "none" else self._waiting[next(reversed(self._waiting))]
        found = _ids(self._dialect.told, frame.payload, names)
        several = self._named.get(found) if found is not None else None
        return several[0] if several else None

    # --- exchanges ------------------------------------------------------------------------------------

    def _first(self) -> _Asked | None:
        """The oldest request without a whole reply."""
        return next(iter(self._waiting.values()), None)

    def _begin(self, frame: Frame, kind: Kind, at: float, out: list[Seen], *, auto: bool = False) -> _Asked:
        """A request, or what stands for one, waits for its reply from here on."""
        self._ids += 1
        if not auto:
            out.append(Began(self._ids))
        asked = self._waiting[self._ids] = _Asked(self._ids, frame, kind, at, at, auto=auto)
        if self._dialect.correlate and kind == "frame":
            asked.names = _ids(self._dialect.asked, frame.payload, self._dialect.correlate)
            if asked.names is not None:
                self._named.setdefault(asked.names, deque()).append(asked)
        return asked

    def _drop(self, asked: _Asked) -> None:
        """It waits no more."""
        self._waiting.pop(asked.id, None)
        several = self._named.get(asked.names) if asked.names is not None else None
        if asked.names is not None and several is not None:
            several.remove(asked)
            if not several:
                del self._named[asked.names]

    def _add(self, asked: _Asked, frame: Frame, at: float) -> None:
        opening = asked.first is None and asked.kind != "push"
        asked.pieces.append((frame, 0.0 if opening else gap(at - asked.last)))
        asked.first = at if asked.first is None else asked.first
        asked.last = at
        asked.size += len(frame.wire)

    def _push(self, frame: Frame, at: float, out: list[Seen]) -> None:
        """The server spoke unasked."""
        before = self._held
        since = before.last if before is not None else self._heard[Side.CLIENT]
        self._flush(out)
        last, number = self._last or (Frame(b"", b""), 0)
        self._last = last, number + 1
        if not self._pushed:
            self._pushed = True
            out.append(Fact(PUSHES, value=True))
        asked = self._begin(last, "push", since, out)
        asked.number = number + 1
        self._add(asked, frame, at)
        self._finish(asked, out)

    def _finish(self, asked: _Asked, out: list[Seen]) -> None:
        """All of a reply is here, but for the end of the connection, if that follows."""
        self._drop(asked)
        self._flush(out)
        if not asked.auto:
            self._held = asked
        if Side.CLIENT in self._gone:
            self._flush(out)

    def _flush(self, out: list[Seen], then: Literal["", "close", "half_close", "reset"] = "") -> None:
        asked, self._held = self._held, None
        if asked is None:
            return
        dialect = self._dialect
        frame = asked.frame
        try:
            request = Request(kind=asked.kind, number=asked.number)
            if frame.wire:
                payload = hidden(dialect.asked, frame.payload, dialect)
                wire = frame.wire if payload is frame.payload else b""
                request = Request(payload, wire, asked.kind, asked.number)
            pieces = tuple(self._piece(told, after) for told, after in asked.pieces)
        except HiddenError as error:
            out.append(Lost(asked.id, str(error)))
            return
        took = 0.0 if asked.first is None else max(0.0, asked.first - asked.at)
        out.append(Exchange(asked.id, request, finished(pieces, then), Timing(asked.at, took)))

    def _piece(self, frame: Frame, after: float) -> Piece:
        payload = hidden(self._dialect.told, frame.payload, self._dialect)
        if payload is frame.payload:
            return Piece(payload, frame.wire, after)
        try:
            return Piece(payload, self._dialect.server.wrap(payload), after)
        except FrameError as error:
            raise HiddenError(str(error)) from None

    # --- ends -----------------------------------------------------------------------------------------

    def _client_left(self, out: list[Seen]) -> None:
        """It may only have said all that it has to say, and wait for answers."""
        self._flush(out, self._how if Side.SERVER in self._gone else "")
        while (first := self._first()) is not None and first.pieces and self._open_ended(first):
            self._finish(first, out)

    def _open_ended(self, asked: _Asked) -> bool:
        """Whether nothing but what comes next tells that a reply is whole."""
        if asked.kind == "banner" or self._rules.correlate == "none":
            return True
        return self._rules.per_request == "any" and self._dialect.until is None

    def _server_left(self, at: float, out: list[Seen]) -> None:
        """The last reply is held until it is known whether that was all of the connection, or only a half."""
        if self._held is not None and at - self._held.last > LATE:
            self._flush(out)
        while (first := self._first()) is not None and self._open_ended(first):
            self._finish(first, out)
        rest = self._splitters[Side.SERVER].rest()
        middle = f", in the middle of a frame that begins with {rest[:SHOWN].hex(' ')} ({len(rest)} bytes)"
        self._lose_waiting(f"the upstream left before it had answered{middle if rest else ''}", out)
        if self._how == "reset":
            self._flush(out, self._how)

    def _lose(
        self, asked: _Asked, why: str, out: list[Seen], kind: Literal["skipped", "failed"] = "failed"
    ) -> None:
        self._drop(asked)
        if not asked.auto:
            out.append(Lost(asked.id, why, kind))

    def _lose_waiting(self, why: str, out: list[Seen]) -> None:
        for asked in tuple(self._waiting.values()):
            self._lose(asked, why, out)

    def _lose_all(self, why: str, out: list[Seen]) -> None:
        self._flush(out)
        self._lose_waiting(why, out)

    def _give_up(self, why: str, out: list[Seen]) -> None:
        """From here on nothing is read."""
        self._lose_all(why, out)
        self._pass_rest(out)
        self._blind = True
        out.append(Opaque(why))

    def _pass_rest(self, out: list[Seen]) -> None:
        """What was held back of the client, while it may ask for TLS."""
        splitter = self._splitters[Side.CLIENT]
        if self._may_secure() and splitter.pending:
            out.append(Forward(splitter.rest(), Side.SERVER))
            splitter.clear()

    # --- TLS in the middle ----------------------------------------------------------------------------

    def _holds(self, side: Side) -> bool:
        """Whether it is not known yet if what this side says is the beginning of TLS: then it goes nowhere."""
        return self._securing and side is Side.CLIENT

    def _may_secure(self) -> bool:
        return self._dialect.starttls is not None and not self._secured

    def _secure(self, frame: Frame, out: list[Seen]) -> bool:
        """Passes a frame on, unless it asks for TLS that cannot be spoken with this client."""
        how = self._dialect.starttls
        wanted = how is not None and frame.payload.strip().upper() == how.on
        if wanted and how is not None and how.decline and not self._context.tls:
            out.append(Forward(how.decline, Side.CLIENT))
            return True
        out.append(Forward(frame.wire, Side.SERVER))
        if wanted and self._context.tls:
            self._flush(out)
            self._securing = True
            return True
        return False

    def _agreed(self, frame: Frame, out: list[Seen]) -> None:
        """The server's answer to a client that asked for TLS; it has been passed on."""
        how = self._dialect.starttls
        self._securing = False
        if how is not None and frame.wire == how.reply:
            self._secured = True
            for splitter in self._splitters.values():
                splitter.clear()
            out += (StartTLS(Side.SERVER), StartTLS(Side.CLIENT))


def _ids(layout: Layout, payload: bytes, names: tuple[str, ...]) -> bytes | None:
    """The values that tell which request and reply belong together; None where some are missing."""
    try:
        value = layout.decode(payload)
    except LayoutError:
        return None
    found = [rules.get(value, name) for name in names]
    return None if rules.MISSING in found else msgspec.json.encode(found)
