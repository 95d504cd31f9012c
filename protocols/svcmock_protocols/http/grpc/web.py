"""gRPC-Web: trailers as the last message of the body, and the whole in base64 for old browsers.

The trailer frame has flag 0x80 and holds lines of `name: value` (grpc/doc/PROTOCOL-WEB.md). In the text
variant each flush of the sender is base64 with padding of its own, so padding may end any group of four.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Final

from svcmock_protocols.http.grpc import codes
from svcmock_protocols.http.grpc.framing import HEAD, MAX_MESSAGE, GrpcError, Message, Reader

TRAILERS: Final = 0x80
"""The flag of a trailer frame."""
_COMPRESSED: Final = 0x81

Fields = tuple[tuple[bytes, bytes], ...]


def trailer_frame(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """These trailers as the frame that ends a body."""
    block = b"".join([name.lower() + b": " + value + b"\r\n" for name, value in fields])
    return bytes([TRAILERS]) + len(block).to_bytes(4) + block


def parse_trailers(block: bytes) -> Fields:
    """The fields of a trailer frame without its head. Raises GrpcError."""
    made = []
    for line in block.replace(b"\r\n", b"\n").split(b"\n"):
        name, colon, value = line.partition(b":")
        if line and not (colon and name.strip()):
            raise GrpcError(codes.INTERNAL, "a line of the trailers is no `name: value`")
        if line:
            made.append((name.strip().lower(), value.strip(b" \t")))
    return tuple(made)


def split_web(body: bytes, limit: int = MAX_MESSAGE) -> tuple[tuple[Message, ...], Fields | None]:
    """The messages of a whole body and its trailers, None where those are missing. Raises GrpcError."""
    start = _trailers_at(body)
    reader = Reader(limit)
    messages = tuple(reader.feed(body[:start]))
    reader.end()
    if start == len(body):
        return messages, None
    size = int.from_bytes(body[start + 1 : start + HEAD])
    block = body[start + HEAD :]
    if body[start] == _COMPRESSED or len(body) < start + HEAD or len(block) != size:
        raise GrpcError(codes.INTERNAL, "the trailers are cut short, compressed, or not at the end")
    return messages, parse_trailers(block)


def _trailers_at(body: bytes) -> int:
    """Where the trailer frame starts; the end of the body where there is none."""
    at = 0
    while at < len(body) and body[at] < TRAILERS:
        at += HEAD + int.from_bytes(body[at + 1 : at + HEAD])
    return at if at < len(body) and body[at] in (TRAILERS, _COMPRESSED) else len(body)


def encode_text_body(data: bytes) -> bytes:
    """One flush of the text variant."""
    return base64.b64encode(data)


class TextReader:
    """Takes the base64 of the text variant off, as it comes."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """The bytes that `data` completes. Raises GrpcError."""
        text = self._rest + data
        whole = len(text) - len(text) % 4
        self._rest = text[whole:]
        made = []
        at = 0
        while at < whole:
            padding = text.find(b"=", at, whole)
            end = whole if padding < 0 else (padding // 4 + 1) * 4
            if padding >= 0 and padding % 4 < 2:
                raise GrpcError(codes.INTERNAL, "the body is not base64: padding out of place")
            made.append(_decoded(text[at:end]))
            at = end
        return b"".join(made)

    def end(self) -> None:
        """No more will come. Raises GrpcError inside a group of four."""
        if self._rest:
            raise GrpcError(codes.INTERNAL, "the base64 body is cut short")


def _decoded(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise GrpcError(codes.INTERNAL, f"the body is not base64: {error}") from None
