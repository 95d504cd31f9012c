"""The recording side of a connection with declared framing: bytes pass at once, frames are paired.

    client frame ──▶ Began ──▶ waiting ──server frames──▶ held ──▶ Exchange

Which request a server's frame belongs to is said by `reply:` in the options: the fields that both have, or
their order; one frame each, all up to one that `until` matches, or `any` number until the next request. What
comes before the first request is the banner. What belongs to none is a push, an exchange of its own.

An exchange is held until something else happens on its connection, because an end of the server's side then is
part of what was answered. A kill loses what was held. Frames are passed on before they are read, all but
those of a client that may ask for TLS: where TLS cannot be spoken with it, that is declined on the spot.
"""

from collections import deque
from typing import Any, Final

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
from svcmock_protocols.tcp.documents import finished
from svcmock_protocols.tcp.fieldtypes import LayoutError
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


class _Asked(Struct, eq=False):
    """A request and what was answered so far. `last`: when something was last said."""

    id: int
    frame: Frame
    kind: Kind
    at: float
    last: float
    number: int = 0
    first: float | None = None
    pieces: list[tuple[Frame, float]] = []
    size: int = 0


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
        self._waiting: deque[_Asked] = deque()
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
        self._how = "close"
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
                self._server_left(out)
            else:
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
        try:
            while not self._blind and (frame := splitter.next(ended=ended)) is not None:
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
        while self._waiting and self._open_ended(self._waiting[0]):
            self._finish(self._waiting.popleft(), out)
        self._asked = True
        asked = self._begin(frame, "frame", at, out)
        self._last = frame, 0
        one_way = self._dialect.one_way
        if one_way is not None and one_way.search(frame.payload):
            self._finish(asked, out)
        else:
            self._waiting.append(asked)

    def _from_server(self, frame: Frame, at: float, out: list[Seen]) -> None:
        if self._securing:
            self._agreed(frame, out)
            return
        if not self._asked and not self._waiting:
            self._waiting.append(self._begin(Frame(b"", b""), "banner", at, out))
            self._last = Frame(b"", b""), 0
        asked = self._answers(frame)
        if asked is None:
            self._push(frame, at, out)
            return
        self._add(asked, frame, at)
        if asked.size > MAX_REPLY or len(asked.pieces) > MAX_REPLY_FRAMES:
            self._give_up("a reply that does not end", out)
        elif asked.kind == "frame" and self._is_last(frame):
            self._waiting.remove(asked)
            self._finish(asked, out)

    def _is_last(self, frame: Frame) -> bool:
        """Whether a frame ends its reply."""
        if self._dialect.until is not None:
            return bool(self._dialect.until.search(frame.payload))
        return self._rules.per_request == "one"

    def _answers(self, frame: Frame) -> _Asked | None:
        """The request that a server's frame belongs to; None: it comes unasked."""
        if not self._waiting:
            return None
        names = self._dialect.correlate
        if not names or self._waiting[0].kind == "banner":
            return self._waiting[0] if self._rules.correlate != "none" else self._waiting[-1]
        ids = _ids(self._dialect.told, frame.payload, names)
        for asked in self._waiting:
            if ids is not None and ids == _ids(self._dialect.asked, asked.frame.payload, names):
                return asked
        return None

    # --- exchanges ------------------------------------------------------------------------------------

    def _begin(self, frame: Frame, kind: Kind, at: float, out: list[Seen]) -> _Asked:
        self._ids += 1
        out.append(Began(self._ids))
        return _Asked(self._ids, frame, kind, at, at)

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
        self._flush(out)
        self._held = asked
        if Side.CLIENT in self._gone:
            self._flush(out)

    def _flush(self, out: list[Seen], then: Any = "") -> None:
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
        self._flush(out)
        while self._waiting and self._waiting[0].pieces and self._open_ended(self._waiting[0]):
            self._finish(self._waiting.popleft(), out)

    def _open_ended(self, asked: _Asked) -> bool:
        """Whether nothing but what comes next tells that a reply is whole."""
        if asked.kind == "banner" or self._rules.correlate == "none":
            return True
        return self._rules.per_request == "any" and self._dialect.until is None

    def _server_left(self, out: list[Seen]) -> None:
        while self._waiting and self._open_ended(self._waiting[0]):
            self._flush(out)
            self._held = self._waiting.popleft()
        self._flush(out, "" if Side.CLIENT in self._gone else self._how)
        self._lose_all("the upstream left before it had answered", out)

    def _lose_all(self, why: str, out: list[Seen]) -> None:
        self._flush(out)
        out.extend(Lost(asked.id, why) for asked in self._waiting)
        self._waiting.clear()

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


def _ids(layout: Layout, payload: bytes, names: tuple[str, ...]) -> list[object] | None:
    """The values that tell which request and reply belong together; None where some are missing."""
    try:
        value = layout.decode(payload)
    except LayoutError:
        return None
    found = [rules.get(value, name) for name in names]
    return None if rules.MISSING in found else found
