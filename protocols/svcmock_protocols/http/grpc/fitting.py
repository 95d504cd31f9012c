"""What a client of gRPC or gRPC-Web gets of a gRPC reply: pure functions from a reply and a request to a reply.

Decides that a client of gRPC-Web has the trailers in the body, as base64 if it asked for text, whatever the
recorded client spoke; and that one that does not take the encoding of the messages gets them without it
(grpc/doc/PROTOCOL-WEB.md, compression.md). A reply that cannot be read as messages stays as it is, and so does
one whose body is in a file.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from svcmock_protocols.http.codec import field_of, values, without
from svcmock_protocols.http.grpc.framing import GrpcError, Message, frame, join, split, unpacked
from svcmock_protocols.http.grpc.view import Kind, encoding, kind
from svcmock_protocols.http.grpc.web import TextReader, encode_text_body, split_web, trailer_frame
from svcmock_protocols.http.messages import Chunk, Reply, Request

MAX_UNPACKED: Final = 64 << 20
"""Bytes of a recorded message that is sent without its compression."""


class _Piece(Struct, frozen=True):
    """Some bytes of a body, and when they come: see `Chunk`."""

    data: bytes
    after: float = 0.0
    on: int = -1


def is_grpc(block: bytes) -> bool:
    """Whether a block has the Content-Type of gRPC, or of one of its forms for the web."""
    return kind(block) is not None


def fitted(reply: Reply, request: Request) -> Reply:
    """The reply as this client reads it; the very same where it is no gRPC, or fits as it is."""
    have = kind(reply.block)
    if have is None or not isinstance(reply.body, bytes):
        return reply
    want = kind(request.block)
    if want is None:
        return reply
    packed = encoding(reply.block)
    unpack = packed not in (b"", b"identity") and not _takes(request.block, packed)
    if not unpack and (have.web, have.text) == (want.web, want.text):
        return reply
    if reply.upto >= 0:
        reply = replace(reply, body=reply.body[: reply.upto], upto=-1)
    try:
        plain = _from_web(reply, have) if have.web else reply
        plain = _unpacked(plain, packed) if unpack else plain
    except GrpcError:
        return reply
    content_type = values(request.block, b"content-type")[0]
    if want.web:
        return _for_web(plain, content_type, want)
    return _typed(plain, content_type) if have.web else plain


def _takes(block: bytes, coding: bytes) -> bool:
    offered = b",".join(values(block, b"grpc-accept-encoding"))
    return coding in [item.strip(b" \t") for item in offered.split(b",")]


def _pieces(reply: Reply) -> list[_Piece]:
    """The body cut as its chunks say; what they leave is one more."""
    assert isinstance(reply.body, bytes)
    made, at = [], 0
    for chunk in reply.chunks:
        data = reply.body[at : at + chunk.size]
        at += chunk.size
        if data:
            made.append(_Piece(data, chunk.after, chunk.on))
    if at < len(reply.body):
        made.append(_Piece(reply.body[at:]))
    return made


def _with_pieces(reply: Reply, pieces: list[_Piece]) -> Reply:
    timed = any(piece.after or piece.on >= 0 for piece in pieces)
    chunks = tuple(Chunk(len(piece.data), piece.after, piece.on) for piece in pieces) if timed else ()
    return replace(reply, body=b"".join([piece.data for piece in pieces]), chunks=chunks, head=b"", plain=False)


def _typed(reply: Reply, content_type: bytes) -> Reply:
    """With the Content-Type by which this client asked."""
    block = b"content-type: %b\r\n%b" % (content_type, without(reply.block, b"content-type"))
    return replace(reply, block=block, head=b"", plain=False)


def _unpacked(reply: Reply, coding: bytes) -> Reply:
    """With all messages as they are without compression. Raises GrpcError where they cannot be read."""
    assert isinstance(reply.body, bytes)
    messages = split(reply.body, MAX_UNPACKED)
    plain = [frame(Message(unpacked(message, coding, MAX_UNPACKED))) for message in messages]
    pieces = _pieces(reply)
    if [len(piece.data) for piece in pieces] == [len(frame(message)) for message in messages]:
        pieces = [replace(piece, data=data) for piece, data in zip(pieces, plain, strict=True)]
    else:  # when which message came is not known
        pieces = [_Piece(b"".join(plain))]
    return _with_pieces(replace(reply, block=without(reply.block, b"grpc-encoding")), pieces)


def _from_web(reply: Reply, have: Kind) -> Reply:
    """A reply of gRPC-Web as gRPC has it. Raises GrpcError."""
    pieces = _pieces(reply)
    if have.text:
        reader = TextReader()
        pieces = [replace(piece, data=reader.feed(piece.data)) for piece in pieces]
        reader.end()
    messages, trailers = split_web(b"".join([piece.data for piece in pieces]), MAX_UNPACKED)
    left = len(join(messages))
    kept = []
    for piece in pieces:
        if piece.data[:left]:
            kept.append(replace(piece, data=piece.data[:left]))
        left -= len(piece.data[:left])
    block = without(reply.block, b"content-length", b"transfer-encoding")
    fields = b"".join([b"%b: %b\r\n" % field for field in trailers or ()])
    plain = replace(reply, block=block, trailers=fields, framing="chunked", version=b"2")
    return _with_pieces(plain, kept)


def _for_web(reply: Reply, content_type: bytes, want: Kind) -> Reply:
    block = without(reply.block, b"content-length", b"trailer")
    fields = [field_of(line) for line in reply.trailers.split(b"\r\n")[:-1]]
    pieces = _pieces(reply)
    if fields:
        last = trailer_frame((lower, value) for _, value, lower in fields)
        pieces.append(_Piece(last, on=reply.ends_on))
    if want.text:
        pieces = [replace(piece, data=encode_text_body(piece.data)) for piece in pieces]
    made = replace(reply, block=block, trailers=b"", framing="chunked", version=b"1.1")
    return _typed(_with_pieces(made, pieces), content_type)
