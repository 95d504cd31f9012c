"""One stream of a served HTTP/2 connection: what came of its request, and what is to be sent of its reply.

Data, and what concerns one stream alone. Frames, the windows of the connection and all that is said to the
client are the session's (RFC 9113 section 5.1).
"""

from collections import deque
from typing import Final, Literal, TypeAlias

from svcmock.protocol import Blob, Payload, Spooled
from svcmock_protocols.http.credentials import Token
from svcmock_protocols.http.grpc.answers import Gauge
from svcmock_protocols.http.grpc.call import Call
from svcmock_protocols.http.h2.heads import Malformed, Opening
from svcmock_protocols.http.messages import Options, Request
from svcmock_protocols.http.watched import Body, request_body

Item: TypeAlias = (
    tuple[Literal["head"], bytes, bool]
    | tuple[Literal["gap"], float]
    | tuple[Literal["body"], bytes | Blob]
    | tuple[Literal["end"], bytes | None]
)
"""What is to be sent: a header block and whether it ends the stream; a time to wait; bytes; trailers, or the
end."""

END: Final = ("end", None)
BATCH: Final = 128 * 1024
"""Bytes of a large body that are looked at together: DATA frames are small, and each look costs."""


class Stream:
    """A stream that is open, or half-closed by its client."""

    __slots__ = (
        *("asked", "batch", "body", "call", "credit", "ended", "first", "gauge", "got", "headed", "id"),
        *("opening", "outbox", "paused", "replied", "timed", "trailers", "waited", "window"),
    )

    def __init__(self, ident: int, opening: Opening, window: int, credit: int) -> None:
        self.id = ident
        self.opening = opening
        self.window = window
        """Bytes that the client takes on this stream."""
        self.credit = credit
        """Bytes that the client may still send on it."""
        self.got = 0
        """Bytes of the body that came."""
        self.first = b""
        """The body, while it is a single piece."""
        self.body: Body | None = None
        """The body, once it has come in more pieces."""
        self.batch: bytearray
        """The last of them, which are looked at together."""
        self.gauge: Gauge | None = None
        """Of the messages of a gRPC call, in such a body."""
        self.call: Call | None = None
        """A gRPC call that may be a conversation."""
        self.trailers = b""
        self.ended = False
        """The client has said all."""
        self.asked = False
        """An answer is owed."""
        self.headed = False
        """The head of the reply was queued."""
        self.replied = False
        """All of the reply was queued."""
        self.outbox: deque[Item] = deque()
        self.paused = False
        """A gap in the reply is running."""
        self.timed = False
        """The client's deadline is watched."""
        self.waited = 0.0
        """Seconds by which answers were delayed, while it is not."""

    @property
    def resting(self) -> bool:
        """Whether it is our turn, or a conversation in which the client may take its time."""
        if self.outbox and not self.paused:
            return False
        return self.ended or self.asked or (self.call is not None and not self.call.pending)

    def whole(self) -> Payload:
        """The body, once all of it has come."""
        if self.body is None:
            return self.first
        self.body.add(bytes(self.batch))
        body, _ = self.body.end()  # what it would spool is not kept: the digest is all that decides
        return body

    def request(self) -> Request:
        """The whole request. Raises Malformed where its Content-Length says otherwise."""
        self.check_length()
        sent = self.opening.head.request
        body = self.whole()
        if not body and not self.trailers and not isinstance(body, Spooled):
            return sent
        return Request(sent.method, sent.target, sent.version, sent.block, body, self.trailers)

    def take(self, payload: bytes, options: Options, token: Token) -> None:
        """Some bytes of a body that is to be asked for as a whole. Raises GrpcError."""
        if self.body is None:
            if not self.first and len(payload) <= options.max_body_memory:
                self.first = payload
                return
            if not payload:
                return
            self.body = request_body(self.id, self.opening.head.request, options, token)
            self.batch, self.first = bytearray(self.first), b""
            if self.opening.grpc and self.call is None:
                self.gauge = Gauge(options.max_message)
                self.gauge.feed(bytes(self.batch))
        self.batch += payload
        if len(self.batch) >= BATCH:
            self.body.add(bytes(self.batch))
            self.batch.clear()
        if self.gauge is not None:
            self.gauge.feed(payload)

    def give_up_body(self) -> None:
        """Nobody will ask for the body as a whole."""
        self.body, self.first = None, b""

    def check_length(self) -> None:
        """RFC 9113 section 8.1.1. Raises Malformed."""
        length = self.opening.length
        if length >= 0 and (self.got > length or (self.ended and self.got != length)):
            raise Malformed(f"the Content-Length is {length}, and the body has other bytes")
