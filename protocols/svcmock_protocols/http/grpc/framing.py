"""Messages in a gRPC body: one byte that says whether it is compressed, four of length, then the message.

    +------------+--------------+-----------------+
    | u8: 0 or 1 | u32: length  | length bytes    |   grpc/doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message"
    +------------+--------------+-----------------+

Messages need not align with DATA frames. A length above the limit is refused as soon as its five bytes are
there, and a compressed message unfolds into no more than the limit either: nothing a peer sends makes us hold
more than that.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from svcmock.protocol import ProtocolError
from svcmock_protocols.http.coding import CodingError, Unfold, encode, unfold
from svcmock_protocols.http.grpc import codes

HEAD: Final = 5
"""Bytes before each message."""
MAX_MESSAGE: Final = 4 * 1024 * 1024
"""What a gRPC peer takes unless told otherwise."""
ENCODINGS: Final = (b"identity", b"gzip", b"deflate", b"zstd")
"""What `unpacked` and `packed` know, as grpc-accept-encoding lists it."""


class GrpcError(ProtocolError):
    """A peer broke gRPC; `code` is the status that tells it so."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class Message(Struct, frozen=True):
    """One message as it is on the wire: `data` is still compressed where `compressed` says so."""

    data: bytes
    compressed: bool = False


class Reader:
    """Cuts a stream of bytes into messages. After a GrpcError it is of no more use."""

    __slots__ = ("_buffer", "_limit", "_need")

    def __init__(self, limit: int = MAX_MESSAGE) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._need = HEAD
        """Bytes that the buffer must hold before there is anything to do."""

    @property
    def pending(self) -> int:
        """Bytes of a message that has not come whole."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes. Raises GrpcError."""
        if not self._buffer and (message := _single(data, self._limit)) is not None:
            return [message]
        self._buffer += data
        if len(self._buffer) < self._need:
            return []
        return self._cut()

    def _cut(self) -> list[Message]:
        buffer = self._buffer
        made: list[Message] = []
        at = 0
        need = HEAD
        while len(buffer) - at >= need:
            need = HEAD + _size(buffer[at], int.from_bytes(buffer[at + 1 : at + HEAD]), self._limit)
            if len(buffer) - at < need:
                break
            made.append(Message(bytes(buffer[at + HEAD : at + need]), buffer[at] == 1))
            at += need
            need = HEAD
        self._need = need
        del buffer[:at]
        return made

    def end(self) -> None:
        """No more bytes will come. Raises GrpcError inside a message."""
        if self._buffer:
            raise _cut_short()


def _single(data: bytes, limit: int) -> Message | None:
    """What `data` holds if it is exactly one message, as nearly always."""
    size = len(data) - HEAD
    if 0 <= size <= limit and data[0] < 2 and int.from_bytes(data[1:HEAD]) == size:
        return Message(data[HEAD:], data[0] == 1)
    return None


def _size(flag: int, size: int, limit: int) -> int:
    """The length of a message, once its head is found to be in order."""
    if flag > 1:
        raise GrpcError(codes.INTERNAL, f"a message starts with flag {flag}, which is neither 0 nor 1")
    if size > limit:
        raise GrpcError(codes.RESOURCE_EXHAUSTED, f"a message of {size} bytes, with {limit} allowed")
    return size


def _cut_short() -> GrpcError:
    return GrpcError(codes.INTERNAL, "the body ends inside a message")


def split(body: bytes, limit: int = MAX_MESSAGE) -> tuple[Message, ...]:
    """The messages of a whole body. Raises GrpcError."""
    message = _single(body, limit)
    if message is not None:
        return (message,)
    reader = Reader(limit)
    made = reader.feed(body)
    reader.end()
    return tuple(made)


def join(messages: Iterable[Message]) -> bytes:
    """The body that holds these messages."""
    return b"".join([frame(message) for message in messages])


def frame(message: Message) -> bytes:
    """One message with its head."""
    head = b"\1" if message.compressed else b"\0"
    return head + len(message.data).to_bytes(4) + message.data


# --- compression --------------------------------------------------------------------------------------


def unpacked(message: Message, encoding: bytes, limit: int = MAX_MESSAGE) -> bytes:
    """The message without its compression; `encoding` is the value of grpc-encoding, empty where there is none.

    Raises GrpcError, with the codes of grpc/doc/compression.md.
    """
    if not message.compressed:
        return message.data
    name = encoding.strip(b" \t").lower()
    if name in (b"", b"identity"):
        raise GrpcError(codes.INTERNAL, "a message is marked as compressed, without a grpc-encoding")
    if name not in ENCODINGS:
        raise GrpcError(codes.UNIMPLEMENTED, f"grpc-encoding {name[:40].decode('latin-1')!r} is not known")
    return _unfolded(message.data, name, limit)


def _unfolded(data: bytes, name: bytes, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in _steps(unfold(name), data):
            size += len(piece)
            if size > limit:
                why = f"a message unfolds into more than {limit} bytes"
                raise GrpcError(codes.RESOURCE_EXHAUSTED, why)
            pieces.append(piece)
    except CodingError as error:
        raise GrpcError(codes.INTERNAL, f"a message is not {name.decode()}: {error}") from None
    return b"".join(pieces)


def _steps(layer: Unfold, data: bytes) -> Iterator[bytes]:
    yield from layer.feed(data)
    yield from layer.end()


def packed(data: bytes, encoding: bytes) -> bytes:
    """`data` compressed; the same bytes each time. Raises GrpcError for an encoding that is not known."""
    name = encoding.strip(b" \t").lower()
    if name in (b"", b"identity"):
        return data
    made = encode(data, name) if name in ENCODINGS else None
    if made is None:
        raise GrpcError(codes.UNIMPLEMENTED, f"grpc-encoding {name[:40].decode('latin-1')!r} is not known")
    return made
