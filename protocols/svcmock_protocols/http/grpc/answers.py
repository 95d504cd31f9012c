"""What a session says to a gRPC client by itself: a status, and whether a call is well formed.

Real servers answer bytes that are no message with a status, not by ending the connection
(grpc/doc/PROTOCOL-HTTP2.md, compression.md).
"""

from svcmock_protocols.http.grpc.framing import HEAD, MAX_MESSAGE, Reader, split, unpacked
from svcmock_protocols.http.grpc.metadata import encode_bin, encode_text
from svcmock_protocols.http.grpc.view import encoding
from svcmock_protocols.http.messages import Reply, Request


def status_reply(code: int, why: str, details: bytes = b"", kind: bytes = b"application/grpc") -> Reply:
    """A reply that has nothing but a status (Trailers-Only); `details` are a google.rpc.Status."""
    block = b"content-type: %b\r\ngrpc-status: %d\r\n" % (kind, code)
    if why:
        block += b"grpc-message: %b\r\n" % encode_text(why)
    if details:
        block += b"grpc-status-details-bin: %b\r\n" % encode_bin(details)
    return Reply(200, block=block, framing="chunked", version=b"2")


def check(request: Request, limit: int) -> None:
    """Refuse a call whose body is not whole messages, or not compressed as it says. Raises GrpcError."""
    body = request.body
    assert isinstance(body, bytes)
    if body[:1] == b"\0" and int.from_bytes(body[1:5]) == len(body) - 5 <= limit:
        return
    for message in split(body, limit):
        if message.compressed:
            unpacked(message, encoding(request.block), limit)


class Gauge:
    """Measures the messages of a body that is too large to be kept."""

    __slots__ = ("_head", "_left", "_limit")

    def __init__(self, limit: int = MAX_MESSAGE) -> None:
        self._limit = limit
        self._head = b""
        self._left = 0

    def feed(self, data: bytes) -> None:
        """More bytes of the body. Raises GrpcError."""
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
            else:
                step = min(HEAD - len(self._head), len(data) - at)
                self._head += data[at : at + step]
                if len(self._head) == HEAD:
                    Reader(self._limit).feed(self._head)  # says whether it is the head of a message
                    self._left = int.from_bytes(self._head[1:])
                    self._head = b""
            at += step

    def end(self) -> None:
        """No more bytes will come. Raises GrpcError inside a message."""
        reader = Reader(self._limit)
        reader.feed(self._head or b"\0" * bool(self._left))
        reader.end()
