"""Serves one client connection of HTTP/1.0 or HTTP/1.1 (RFC 9112). Sans I/O.

One request at a time: from its Ask until its reply has been sent, what the client goes on sending waits unread,
so pipelined requests are answered in order and a slow client is held back by the daemon.

    reading a head ──▶ reading a body ──▶ Ask ──▶ sending (with gaps: Wake) ──▶ reading a head
          │                  │                                └─▶ Close, where either side wants it
          └──────────────────┴──▶ refused: an error reply that names the fault, Close

A refused request ends the connection: after a fault nobody knows where the next message starts.
"""

from collections.abc import Hashable, Iterator
from typing import Final

from svcmock.protocol import Ask, Close, Context, Out, Outs, Send, Spool, Spooled, Wake
from svcmock_protocols.http.body import BodyReader, body_reader
from svcmock_protocols.http.codec import MessageError, RequestHead, parse_request_head
from svcmock_protocols.http.coding import BodyHash, coding_of
from svcmock_protocols.http.messages import Options, Reply, Request
from svcmock_protocols.http.sending import GAP, deliver, refusal

_CONTINUE: Final = Send(b"HTTP/1.1 100 Continue\r\n\r\n")
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
        "_draining",
        "_ended",
        "_hash",
        "_held",
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
        self._options: Options = options if isinstance(options, Options) else Options()
        self._pace = context.pace
        self._buffer: bytes | bytearray = b""
        """What the client has sent; up to `_at` it is dealt with, up to `_scanned` it holds no whole head."""
        self._at = 0
        self._scanned = 0
        self._reading: RequestHead | None = None
        """The head of a request whose body is being read."""
        self._body: BodyReader | None = None
        self._held = bytearray()
        self._hash: BodyHash | None = None
        """Set while the body goes to disk, under `_token`."""
        self._token = 0
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

    def opened(self) -> Outs:
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
            if head.length > self._options.max_body_memory:
                self._start_spooling(head)
        self._reading, self._body = head, body
        self._size = end - start
        self._at = end
        if end == len(self._buffer):
            return (_CONTINUE,) if head.expect else ()
        return self._go_on(body)

    def _go_on(self, body: BodyReader) -> Outs:
        at, pieces = body.feed(self._buffer, self._at)
        self._size += at - self._at
        self._at = at
        outs = self._keep(b"".join([piece for piece, _ in pieces]))
        head = self._reading
        if not body.done or head is None:
            return outs
        sent = head.request
        request = Request(sent.method, sent.target, sent.version, sent.block, self._take(body), body.trailers)
        self._reading = self._body = None
        return [*outs, *self._ask(head, request, self._size, at)]

    def _keep(self, data: bytes) -> list[Out]:
        """Hold a piece of a body, or have it written to disk."""
        if self._hash is None:
            self._held += data
            if len(self._held) <= self._options.max_body_memory or self._reading is None:
                return []
            self._hash = self._start_spooling(self._reading)
            data = bytes(self._held)
            self._held = bytearray()
        if not data:
            return []
        self._hash.update(data)
        return [Spool(self._token, data)]

    def _start_spooling(self, head: RequestHead) -> BodyHash:
        self._spools += 1
        self._token = self._spools
        self._hash = BodyHash(coding_of(head.request.block))
        return self._hash

    def _take(self, body: BodyReader) -> bytes | Spooled:
        """The whole body, which is complete."""
        if self._hash is not None:
            spooled = Spooled(self._token, body.size, self._hash.hexdigest())
            self._hash = None
            return spooled
        held = bytes(self._held)
        self._held = bytearray()
        return held

    def _ask(self, head: RequestHead, request: Request, size: int, end: int) -> Outs:
        self._asked = head
        if end == len(self._buffer):
            self._buffer, self._at = b"", 0
        else:
            self._at = end
        return (Ask(_ID, request, size),)

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
        self._held = bytearray()
        self._asked = self._reading = self._body = self._rest = self._hash = None
        return (Close("flush"),)
