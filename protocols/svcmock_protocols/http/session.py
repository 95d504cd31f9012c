"""Serves one client connection of HTTP/1.0 or HTTP/1.1 (RFC 9112), until it goes over to HTTP/2. Sans I/O.

One request at a time: from its Ask until its reply has been sent, what the client goes on sending waits unread,
so pipelined requests are answered in order and a slow client is held back by the daemon.

    reading a head ──▶ reading a body ──▶ Ask ──▶ sending (with gaps: Wake) ──▶ reading a head
          │                  │                                └─▶ Close, where either side wants it
          └──────────────────┴──▶ refused: an error reply that names the fault, Close

A refused request ends the connection: after a fault nobody knows where the next message starts.
"""

from collections.abc import Hashable, Iterator
from typing import Final

from msgspec.structs import replace

from svcmock.protocol import Ask, Become, Close, Context, Out, Outs, Send, Spooled, Wake
from svcmock_protocols.http.body import BodyReader, body_reader
from svcmock_protocols.http.codec import MessageError, RequestHead, parse_request_head
from svcmock_protocols.http.messages import Options, Reply, Request
from svcmock_protocols.http.sending import GAP, deliver, refusal
from svcmock_protocols.http.watched import Body, request_body

_CONTINUE: Final = Send(b"HTTP/1.1 100 Continue\r\n\r\n")
_SWITCHING: Final = Send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
_PRIOR: Final = b"PRI * HTTP/2.0\r\n\r\n"
"""The head that only a client of HTTP/2 sends (RFC 9113 section 3.4)."""
_ID: Final = 1
"""The id of every Ask: there is one at a time, and equal sessions must do equal things."""
_TRIM: Final = 1 << 18
"""Bytes dealt with that a buffer may carry along."""


class HttpSession:
    """A `svcmock.protocol.Session`."""

    __slots__ = (
        "_asked",
        "_at",
        "_body",
        "_buffer",
        "_closing",
        "_context",
        "_draining",
        "_ended",
        "_kept",
        "_options",
        "_over",
        "_pace",
        "_reading",
        "_rest",
        "_scanned",
        "_size",
        "_spools",
        "_token",
    )  # fmt: skip

    def __init__(self, context: Context) -> None:
        options = context.options
        self._context = context
        self._options: Options = options if isinstance(options, Options) else Options()
        self._pace = context.pace
        self._buffer: bytes | bytearray = b""
        """What the client has sent; up to `_at` it is dealt with, up to `_scanned` it holds no whole head."""
        self._at = 0
        self._scanned = 0
        self._reading: RequestHead | None = None
        """The head of a request whose body is being read."""
        self._body: BodyReader | None = None
        self._kept: Body | None = None
        """Its bytes, as a recording of it would hold them."""
        self._token = context.token
        self._size = 0
        self._spools = 0
        self._asked: RequestHead | None = None
        """The request whose reply is owed or being sent."""
        self._rest: Iterator[Out] | None = None
        """What is still to be sent of the reply, and in `_closing` whether the connection ends then."""
        self._closing = False
        self._draining = False
        self._ended = False
        self._over = False

    @property
    def at_rest(self) -> Hashable | None:
        if self._asked or self._body or self._at < len(self._buffer):
            return None
        return None if self._over or self._draining or self._ended else self._spools

    @property
    def idle(self) -> bool:
        return not (self._asked or self._body or self._at < len(self._buffer))

    @property
    def held(self) -> int:
        return len(self._buffer) - self._at if self._asked else 0

    def opened(self) -> Outs:
        return ()

    def waiting(self, ask: Ask, after: float) -> Outs:  # noqa: ARG002  a client of HTTP/1 has no deadline
        return ()

    def received(self, data: bytes) -> Outs:
        if self._over:
            return ()
        if self._at == len(self._buffer):
            self._buffer, self._at, self._scanned = data, 0, 0
        else:
            self._add(data)
        return () if self._asked else self._read()

    def answered(self, ask: Ask, reply: Reply) -> Outs:
        asked = self._asked
        if asked is None or self._rest is not None or ask.id != _ID:
            return ()
        body = reply.body
        if reply.plain and asked.plain and not self._draining and isinstance(body, bytes):
            self._asked = None
            sent = Send(reply.head + body)
            if self._at == len(self._buffer) and not self._ended:
                return (sent,)
            return (sent, *self._read())
        self._closing, self._rest = deliver(reply, asked, self._pace, closing=self._draining)
        return self._send()

    def woke(self, token: Hashable) -> Outs:
        return self._send() if token == GAP else ()

    def timed_out(self) -> Outs:
        if self._asked or self._over:
            return ()
        if self._body is None and self._at == len(self._buffer):
            return self._close()
        return [refusal(408, "the request did not arrive in time"), *self._close()]

    def draining(self) -> Outs:
        self._draining = True
        busy = self._asked or self._body or self._at < len(self._buffer)
        return () if busy or self._over else self._close()

    def eof(self) -> Outs:
        self._ended = True
        return () if self._asked or self._over else self._close()

    # --- reading --------------------------------------------------------------------------------------

    def _add(self, data: bytes) -> None:
        """Append to what waits, at a cost that does not depend on how much waits already."""
        if isinstance(self._buffer, bytes) or self._at > _TRIM:
            self._buffer = bytearray(memoryview(self._buffer)[self._at :])
            self._scanned = max(0, self._scanned - self._at)
            self._at = 0
        self._buffer += data

    def _read(self) -> Outs:
        """Read what is buffered, up to the next whole request."""
        try:
            outs = self._begin() if self._body is None else self._go_on(self._body)
        except MessageError as error:
            outs = self._refuse(error.status, error.why)
        if self._ended and not self._asked and not self._over:
            return [*outs, *self._close()]
        return outs

    def _begin(self) -> Outs:
        buffer, start = self._buffer, self._at
        if start == len(buffer):
            return ()
        if buffer.startswith(_PRIOR, start):
            return self._become(None, bytes(buffer[start:]))
        parsed = parse_request_head(buffer, start, self._options.max_head, self._scanned)
        if parsed is None:
            self._scanned = len(buffer)
            return ()
        head, end = parsed
        request = head.request
        if request.method == b"CONNECT":
            return self._refuse(501, "this is a stand-in for a service, not a proxy: CONNECT is not served")
        if head.expect not in (b"", b"100-continue"):
            return self._refuse(417, "the only expectation met here is 100-continue")
        if head.framing == "none":
            return self._ask(head, request, end - start, end)
        return self._begin_body(head, start, end)

    def _begin_body(self, head: RequestHead, start: int, end: int) -> Outs:
        body = body_reader(head.framing, head.length, self._options.max_body)
        if head.framing == "length":
            stop = end + head.length
            if stop <= len(self._buffer) and head.length <= self._options.max_body_memory:
                sent = head.request
                request = Request(
                    sent.method, sent.target, sent.version, sent.block, bytes(self._buffer[end:stop])
                )
                return self._ask(head, request, stop - start, stop)
        self._reading, self._body = head, body
        self._kept = request_body(self._spools + 1, head.request, self._options, self._token)
        self._size = end - start
        self._at = end
        if end == len(self._buffer):
            return (_CONTINUE,) if head.expect else ()
        return self._go_on(body)

    def _go_on(self, body: BodyReader) -> Outs:
        at, pieces = body.feed(self._buffer, self._at)
        self._size += at - self._at
        self._at = at
        head, kept = self._reading, self._kept
        outs: list[Out] = [] if kept is None else [*kept.add(b"".join([piece for piece, _ in pieces]))]
        if not body.done or head is None or kept is None:
            return outs
        whole, rest = kept.end()
        if isinstance(whole, Spooled):
            self._spools += 1
        sent = head.request
        request = Request(sent.method, sent.target, sent.version, sent.block, whole, body.trailers)
        self._reading = self._body = self._kept = None
        return [*outs, *rest, *self._ask(head, request, self._size, at)]

    def _ask(self, head: RequestHead, request: Request, size: int, end: int) -> Outs:
        if head.upgrade is not None and not isinstance(request.body, Spooled):
            return self._become(replace(head, request=request), bytes(self._buffer[end:]))
        self._asked = head
        if end == len(self._buffer):
            self._buffer, self._at = b"", 0
        else:
            self._at = end
        return (Ask(_ID, request, size),)

    def _become(self, upgraded: RequestHead | None, rest: bytes) -> Outs:
        """Go over to HTTP/2: by its preface, or because a request asked for it (RFC 7540 section 3.2)."""
        from svcmock_protocols.http.h2.session import Http2Session

        self._over = True
        self._buffer, self._at = b"", 0
        self._reading = self._body = self._kept = None
        if upgraded is None:
            return (Become(Http2Session(self._context), rest),)
        return _SWITCHING, Become(Http2Session(self._context, upgraded), rest)

    # --- sending --------------------------------------------------------------------------------------

    def _send(self) -> Outs:
        """Go on with the reply up to its next gap; after it, with the next request."""
        outs: list[Out] = []
        rest = self._rest
        if rest is None or self._over:
            return ()
        for out in rest:
            outs.append(out)
            if isinstance(out, Wake):
                return outs
        self._rest = self._asked = None
        if self._closing or self._draining:
            return [*outs, *self._close()]
        return [*outs, *self._read()]

    def _refuse(self, status: int, why: str) -> Outs:
        return [refusal(status, why), *self._close()]

    def _close(self) -> Outs:
        self._over = True
        self._buffer, self._at = b"", 0
        self._asked = self._reading = self._body = self._rest = self._kept = None
        return (Close("flush"),)
