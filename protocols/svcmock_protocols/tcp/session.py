"""Serves one client of a service with declared framing. Sans I/O.

One frame at a time: from its Ask until its reply has been sent, what the client goes on sending waits, so
answers keep the order of their requests, and a slow client is held back by the daemon. Only where fields tell
which answer belongs to which request are several owed at once, and one that is late is overtaken.

    opened ──▶ Ask(banner, optional) ──▶ reading ──▶ Ask(frame) ──▶ sending (with gaps: Wake) ──▶ reading
                                            │                           └─▶ Close, where the reply says so
                                            ├─▶ STARTTLS: Send, StartTLS, reading
                                            ├─▶ `auto`: sending, without an Ask
                                            └─▶ no frame: Ask(unread) ──▶ Close

Where a server spoke unasked, each reply that has been sent is followed by Asks for what came after it, one push
after the other, each with its gap. They go on beside the requests that follow, and so does what is said again
and again (`auto`). A frame is made when it is sent, so that its number and time are those of its place.
"""

from collections.abc import Hashable
from typing import Final

from msgspec import Struct

from svcmock.protocol import Ask, Close, Context, Date, Doc, Out, Outs, Send, StartTLS, Wake
from svcmock_protocols.tcp.dialect import Dialect, dialect_of
from svcmock_protocols.tcp.fieldtypes import LayoutError
from svcmock_protocols.tcp.framing import Frame, Splitter
from svcmock_protocols.tcp.lengths import FrameError
from svcmock_protocols.tcp.messages import Piece, Reply, Request, Setting
from svcmock_protocols.tcp.places import blanked, copied
from svcmock_protocols.tcp.rules import Moment, adapt, dates
from svcmock_protocols.tcp.stated import Auto, Every

BANNER: Final = 0
REQUEST: Final = 1
PUSH: Final = 2
"""The ids of Asks: equal sessions must do equal things, so they do not count up."""
AUTO: Final = 3
AGAIN: Final = 4
UNREAD: Final = 5
"""The id of an Ask about bytes that are no frame: it is answered like others, and the connection ends."""
"""What stands for them where nobody is asked: an answer of `auto`, and what it says again and again."""
MAX_UNREAD: Final = 1024
"""Bytes of such that are told."""
MAX_OWED: Final = 1000
"""Requests that are answered at once, where answers may overtake each other."""
MAX_PUSHING: Final = 16
"""Requests whose pushes are awaited at once; those of the oldest are given up for more."""


class _Sending(Struct):
    """A reply on its way. `request`: what its frames are made for, or the one before a push.

    `asked`: the fields of that. `now`: the time, once that is known which `dated` frames need.
    """

    ask: int
    request: Request
    reply: Reply
    settings: tuple[tuple[str, Setting], ...]
    asked: Doc
    dated: bool
    at: int = 0
    waited: bool = False
    now: float | None = None
    every: Every | None = None


class FramedSession:
    """A `svcmock.protocol.Session`."""

    __slots__ = (
        "_asking",
        "_bad",
        "_context",
        "_dialect",
        "_draining",
        "_ended",
        "_every",
        "_listens",
        "_most",
        "_mute",
        "_opening",
        "_over",
        "_owed",
        "_pace",
        "_quiet",
        "_reading",
        "_sendings",
        "_sent",
        "_serial",
        "_splitter",
        "_tls",
    )  # fmt: skip

    def __init__(self, context: Context) -> None:
        dialect = dialect_of(context)
        self._context = context
        self._dialect = dialect
        self._pace = context.pace
        self._splitter = Splitter(dialect.client)
        self._asking = 0
        """Pushes that were asked for, and may not be there."""
        self._opening = False
        """It is not known yet whether there is a banner, or it is being sent."""
        self._owed = 0
        """Requests whose reply has not been sent to its end; up to `_most`, more is read."""
        self._most = MAX_OWED if dialect.correlate else 1
        self._bad = ""
        """Why what came is no frame: the connection ends when nothing is owed any more."""
        self._sendings: dict[int, _Sending] = {}
        """Replies on their way, by the tokens of their Wakes."""
        self._serial = 0
        self._sent = 0
        """Frames sent, where they are numbered."""
        self._quiet = 0
        """Counts what came, so that only the last of the Wakes that silence is waited with means it."""
        self._listens = False
        """Silence is waited with: a Wake is to come."""
        self._every: tuple[int, Request, Every] | None = None
        """What is said again and again, by the token of its sending, and the request that began it."""
        self._reading = False
        """Frames are being read: whoever is called meanwhile need not."""
        self._tls = False
        self._draining = False
        self._ended = False
        self._mute = False
        """Our side has ended: what is answered is noted, and not sent."""
        self._over = False

    @property
    def at_rest(self) -> Hashable | None:
        if self._owed or self._opening or self._sendings or self._asking or self._splitter.pending:
            return None
        if (
            self._ended
            or self._mute
            or self._over
            or self._draining
            or self._dialect.numbers
            or self._splitter.framing.idle
        ):
            return None
        return self._tls

    @property
    def idle(self) -> bool:
        return not (self._owed or self._opening or self._splitter.pending)

    @property
    def held(self) -> int:
        return 0 if self._reads else self._splitter.pending

    @property
    def _reads(self) -> bool:
        return self._owed < self._most and not self._opening

    def opened(self) -> Outs:
        self._opening = True
        return (Ask(BANNER, Request(kind="banner"), optional=True),)

    def received(self, data: bytes) -> Outs:
        if self._over or self._bad:
            return ()
        self._splitter.feed(data)
        return self._read() if self._reads else ()

    def answered(self, ask: Ask, reply: Reply | None) -> Outs:
        if self._over:
            return ()
        request: Request = ask.request
        if ask.id == UNREAD:
            said = [Send(piece.wire) for piece in ([] if reply is None else reply.frames)]
            return [*said, *self._close(self._dialect.options.on_bad == "reset")]
        if ask.id == PUSH:
            self._asking -= 1
            if reply is not None:
                return self._push(request, reply)
            return self._no_frame() if self._ended else ()
        if reply is None:
            self._settle(ask.id)
            return self._read()
        if reply.wire and not (reply.then or self._mute or self._dialect.pushes):
            settings = self._settings(reply)
            if not settings or not self._dated(reply):
                self._settle(ask.id)
                sent = Send(self._wire(request, reply, settings) if settings else reply.wire)
                return (sent, *self._read()) if self._splitter.pending or self._leaves else (sent,)
        return self._send(self._begin(ask.id, request, reply))

    def waiting(self, ask: Ask, after: float) -> Outs:  # noqa: ARG002  no deadline is known here
        return ()

    def woke(self, token: Hashable) -> Outs:
        if self._over:
            return ()
        if isinstance(token, int):
            return self._send(token) if token in self._sendings else ()
        if self._every is not None and token == ("again", self._every[0]):
            _, request, every = self._every
            return self._send(self._begin(AGAIN, request, every.reply, every))
        if token == ("quiet", self._quiet):
            self._listens = False
            return self._read(ended=True) if self._reads and self._splitter.pending else ()
        return ()

    def timed_out(self) -> Outs:
        if self._over or self._owed or self._opening or self._listens:
            return ()
        return self._unread("the client stopped in the middle of a frame")

    def draining(self) -> Outs:
        self._draining = True
        return () if self._over or self._splitter.pending else self._no_frame()

    def eof(self) -> Outs:
        self._ended = True
        return () if self._over else self._read()

    def dated(self, token: Hashable, now: float) -> Outs:
        """See `svcmock.capabilities.Dating`."""
        if not isinstance(token, int) or token not in self._sendings or self._over:
            return ()
        self._sendings[token].now = now
        return self._send(token)

    # --- reading --------------------------------------------------------------------------------------

    def _read(self, *, ended: bool = False) -> Outs:
        """Read what is buffered, as far as more may be owed."""
        if self._reading:
            return ()
        outs: list[Out] = []
        self._reading = True
        while self._reads and not (self._bad or self._over):
            try:
                frame = self._splitter.next(ended=ended or self._ended)
            except FrameError as error:
                self._bad = str(error)
                break
            if frame is None:
                break
            if not self._starts_tls(frame, outs):
                outs += self._frame(frame)
        self._reading = False
        return outs if self._over else [*outs, *self._no_frame(silent=ended)]

    def _frame(self, frame: Frame) -> Outs:
        """A frame asks for its reply, unless that is the session's to say."""
        self._owed += 1
        request = Request(frame.payload)
        for auto in self._dialect.auto:
            if auto.fits(self._dialect.asked, frame.payload):
                return self._answer(auto, request)
        # when our side has ended nothing can be answered: that there is no route for it is no miss
        return (Ask(REQUEST, request, len(frame.wire), optional=self._mute),)

    def _answer(self, auto: Auto, request: Request) -> Outs:
        return self._send(self._begin(AUTO, request, auto.reply, auto.every))

    def _no_frame(self, *, silent: bool = False) -> Outs:
        """Nothing more can be read now: that may be the end."""
        if self._owed or self._opening:
            return ()
        if self._bad:
            return self._unread(self._bad)
        if self._ended and (self._sendings or self._asking):
            return ()
        if self._ended:
            rest = self._splitter.pending
            return self._unread("the client left in the middle of a frame") if rest else self._close()
        if self._draining and not self._splitter.pending:
            return self._close()
        if self._splitter.framing.idle and self._splitter.pending and not silent:
            self._quiet += 1
            self._listens = True
            return (Wake(self._splitter.framing.idle, ("quiet", self._quiet)),)
        return ()

    def _unread(self, why: str) -> Outs:
        """What came is no frame: told as what nothing answers is, unless it is not even read on purpose."""
        if self._mute:
            return self._close(self._dialect.options.on_bad == "reset")
        rest = self._splitter.rest()
        self._splitter.clear()
        self._bad = why
        self._owed += 1
        return (Ask(UNREAD, Request(rest[:MAX_UNREAD], b"", "unread", why=why), len(rest)),)

    def _starts_tls(self, frame: Frame, outs: list[Out]) -> bool:
        """Deals with a frame that asks for TLS. What came with it, in the clear, is forgotten (RFC 3207)."""
        how = self._dialect.starttls
        if how is None or self._tls or frame.payload.strip().upper() != how.on:
            return False
        if self._context.tls:
            self._tls = True
            self._splitter.clear()
            outs += (Send(how.reply), StartTLS())
            return True
        if how.decline:
            outs.append(Send(how.decline))
        return bool(how.decline)

    # --- sending --------------------------------------------------------------------------------------

    @property
    def _leaves(self) -> bool:
        """Whether the connection ends when nothing is owed."""
        return self._ended or self._draining or bool(self._bad)

    def _settle(self, ask: int) -> None:
        """A reply, or the banner, has been sent to its end."""
        if ask == BANNER:
            self._opening = False
        elif ask in (REQUEST, AUTO):
            self._owed -= 1

    def _settings(self, reply: Reply) -> tuple[tuple[str, Setting], ...]:
        return (*self._dialect.settings, *reply.settings) if reply.settings else self._dialect.settings

    def _dated(self, reply: Reply) -> bool:
        return self._dialect.dates or (bool(reply.settings) and dates(reply.settings))

    def _wire(self, request: Request, reply: Reply, settings: tuple[tuple[str, Setting], ...]) -> bytes:
        """The bytes of a reply without gaps and times."""
        asked = self._asked(request, settings)
        return b"".join([self._made(piece, settings, request, asked) for piece in reply.frames])

    def _begin(self, ask: int, request: Request, reply: Reply, every: Every | None = None) -> int:
        """Note a reply that is to be sent; gives its token."""
        settings = self._settings(reply)
        asked, dated = self._asked(request, settings), self._dated(reply)
        self._serial += 1
        self._sendings[self._serial] = _Sending(ask, request, reply, settings, asked, dated, every=every)
        return self._serial

    def _asked(self, request: Request, settings: tuple[tuple[str, Setting], ...]) -> Doc:
        """The fields of a request, if frames are made of them; none of one that has none."""
        return _fields(self._dialect, request) if settings and not self._only_moves(settings) else {}

    def _only_moves(self, settings: tuple[tuple[str, Setting], ...]) -> bool:
        """Whether all that they come to is that numbers are moved."""
        return self._dialect.copies is not None and settings is self._dialect.settings

    def _made(
        self,
        piece: Piece,
        settings: tuple[tuple[str, Setting], ...],
        request: Request,
        asked: Doc,
        now: float = 0.0,
    ) -> bytes:
        """A frame with its fields for this request."""
        dialect = self._dialect
        if self._only_moves(settings):
            payload = _moved(dialect, piece.payload, request.payload)
        elif settings:
            payload = adapt(dialect.told, piece.payload, settings, asked, Moment(self._sent, now))
        else:
            payload = piece.payload
        self._sent += dialect.numbers
        if payload == piece.payload:
            return piece.wire
        try:
            return dialect.server.wrap(payload)
        except FrameError:
            return piece.wire

    def _send(self, token: int) -> Outs:
        """Go on with a reply up to its next gap, or to where the time must be known."""
        sending = self._sendings[token]
        outs: list[Out] = []
        frames = sending.reply.frames
        while sending.at < len(frames) and not self._mute:
            piece = frames[sending.at]
            after = piece.after * self._pace
            if after > 0 and not sending.waited:
                sending.waited, sending.now = True, None
                return [*outs, Wake(after, token)]
            if sending.dated and sending.now is None:
                return [*outs, Date(token)]
            sending.waited = False
            sending.at += 1
            now = sending.now or 0.0
            outs.append(Send(self._made(piece, sending.settings, sending.request, sending.asked, now)))
        del self._sendings[token]
        return [*outs, *self._sent_all(sending)]

    def _sent_all(self, sending: _Sending) -> Outs:
        """A reply has been sent to its end."""
        if sending.reply.then == "half_close":
            self._mute = True
            self._settle(sending.ask)
            return [Close("half"), *self._read()]
        if sending.reply.then:
            return self._close(sending.reply.then == "reset")
        if sending.ask == PUSH:
            return (self._ask_push(sending.request, sending.request.number + 1),)
        outs = self._again(sending)
        if sending.ask == AGAIN:
            return [*outs, *(self._no_frame() if self._ended else ())]
        self._settle(sending.ask)
        if self._dialect.pushes and sending.ask != AUTO:
            outs.append(self._ask_push(sending.request if sending.ask == REQUEST else Request(), 1))
        return [*outs, *self._read()]

    def _again(self, sending: _Sending) -> list[Out]:
        """Have said again what is said again and again, if this was it, or began it."""
        every = sending.every
        seconds = 0.0 if every is None else every.seconds(_fields(self._dialect, sending.request))
        if every is None or not seconds:
            return []
        self._every = self._serial, sending.request, every
        return [Wake(seconds, ("again", self._serial))]

    def _push(self, request: Request, reply: Reply) -> Outs:
        pushing = [token for token, sending in self._sendings.items() if sending.ask == PUSH]
        if len(pushing) >= MAX_PUSHING:
            del self._sendings[pushing[0]]
        return self._send(self._begin(PUSH, request, reply))

    def _ask_push(self, follows: Request, number: int) -> Ask:
        """Asks for what came unasked after a request. There need not be anything."""
        self._asking += 1
        return Ask(PUSH, Request(follows.payload, b"", "push", number), optional=True)

    def _close(self, reset: bool = False) -> Outs:
        self._over = True
        self._splitter.clear()
        self._sendings.clear()
        return (Close("abort" if reset else "flush"),)


def _fields(dialect: Dialect, request: Request) -> Doc:
    """The fields of a request; none of one that has none."""
    try:
        return dialect.asked.decode(request.payload)
    except LayoutError:
        return {}


def _moved(dialect: Dialect, payload: bytes, asked: bytes) -> bytes:
    """A reply's payload with the numbers of a request, as far as both are what the fields say."""
    try:
        dialect.told.decode(payload)
        dialect.asked.decode(blanked(asked, tuple(dialect.asked.places.values())))  # it is remembered
    except LayoutError:
        return payload
    return copied(payload, asked, dialect.copies or ())
