"""Which HTTP messages are gRPC, and what they hold: the method, the messages, the encoding.

A message is gRPC by its Content-Type (grpc/doc/PROTOCOL-HTTP2.md, PROTOCOL-WEB.md): `application/grpc`, then
`-web` or `-web-text` for browsers, then `+proto` or another codec. gRPC-Web has its trailers in the body; its
text variant is base64 altogether. What these are called on the wire tells no two calls apart.
"""

import re
from functools import lru_cache
from typing import Final

from msgspec import Struct

from svcmock_protocols.http.codec import values
from svcmock_protocols.http.grpc import codes, framing, web
from svcmock_protocols.http.grpc.framing import GrpcError, Message
from svcmock_protocols.http.messages import Options, Reply, Request

_NAME: Final = b"application/grpc"
_TYPE = re.compile(rb"application/grpc(-web(?:-text)?)?(?:\+([A-Za-z0-9._-]+))?[ \t]*(?:;.*)?", re.DOTALL)
_FIELD: Final = b"content-type: "
_METHOD = re.compile(rb"/([!-\"$-.0->@-~]+(?:/[!-\"$-.0->@-~]+)*)/([!-\"$-.0->@-~]+)")
_SMALL: Final = 2048
"""Bytes of a block up to which it is remembered: what is remembered is bounded, whatever clients send."""
WHOLE: Final = 1 << 40
"""A limit that is none, for bodies that are in memory anyway."""


class Kind(Struct, frozen=True):
    """What a Content-Type says. `codec` is empty for protobuf."""

    web: bool = False
    text: bool = False
    codec: bytes = b""

    @property
    def usual(self) -> bytes:
        """The Content-Type by which all calls with this codec are compared."""
        return _NAME + b"+" + self.codec if self.codec else _NAME


def kind(block: bytes) -> Kind | None:
    """What the Content-Type of these fields says; None if the message is no gRPC."""
    at = block.find(_NAME)
    if at < 0:
        return None
    if block[at - 14 : at].lower() == _FIELD and (at == 14 or block[at - 15] == 10):
        return kind_of(block[at : block.find(b"\r", at)])
    found = values(block, b"content-type")
    return kind_of(found[0]) if len(found) == 1 else None


@lru_cache(maxsize=256)
def kind_of(content_type: bytes) -> Kind | None:
    """The same for the value of a Content-Type."""
    match = _TYPE.fullmatch(content_type)
    if match is None:
        return None
    codec = match[2] or b""
    return Kind(
        web=match[1] is not None,
        text=match[1] == b"-web-text",
        codec=b"" if codec == b"proto" else codec,
    )


class Head(Struct, frozen=True):
    """What the fields of a call say about its body."""

    kind: Kind
    encoding: bytes


def head(block: bytes) -> Head | None:
    """The same, and how messages are compressed. Remembered: clients repeat themselves."""
    if _NAME not in block:
        return None
    return _head(block) if len(block) <= _SMALL else _head.__wrapped__(block)


@lru_cache(maxsize=1024)
def _head(block: bytes) -> Head | None:
    found = kind(block)
    return None if found is None else Head(found, encoding(block))


def is_call(request: Request) -> bool:
    """Whether a request is a gRPC call, or part of one."""
    return request.method == b"POST" and kind(request.block) is not None


def name_of(target: bytes) -> str | None:
    """`shop.Catalog/GetItem`, of the target of a call; None for a target that names no method."""
    return target[1:].decode("ascii") if _METHOD.fullmatch(target) else None


def encoding(block: bytes) -> bytes:
    """The value of grpc-encoding; empty where there is none."""
    if b"grpc-encoding" not in block and b"Grpc-Encoding" not in block:
        return b""
    found = values(block, b"grpc-encoding")
    return found[0] if found else b""


def max_message(options: object) -> int:
    """The largest message that a service takes."""
    return options.max_message if isinstance(options, Options) else framing.MAX_MESSAGE


class Body(Struct, frozen=True):
    """The messages of a body; of gRPC-Web the trailers, too, as lines."""

    messages: tuple[Message, ...]
    trailers: bytes = b""


def body(data: bytes, kind: Kind, limit: int = WHOLE) -> Body:
    """What a body holds. Raises GrpcError."""
    if not kind.web:
        return Body(framing.split(data, limit))
    if kind.text:
        data = _untexted(data)
    messages, trailers = web.split_web(data, limit)
    return Body(messages, b"".join([b"%b: %b\r\n" % field for field in trailers or ()]))


def write(held: Body, kind: Kind) -> bytes:
    """The body that holds this."""
    made = framing.join(held.messages)
    if not kind.web:
        return made
    if held.trailers:
        fields = [line.partition(b": ")[::2] for line in held.trailers.split(b"\r\n")[:-1]]
        made += web.trailer_frame((name, value) for name, value in fields)
    return texted(made) if kind.text else made


def texted(data: bytes) -> bytes:
    """A body of gRPC-Web in its text variant."""
    return web.encode_text_body(data)


def untexted(data: bytes) -> bytes | None:
    """A body of the text variant as bytes; None if it is none."""
    try:
        return _untexted(data)
    except GrpcError:
        return None


def _untexted(data: bytes) -> bytes:
    reader = web.TextReader()
    made = reader.feed(data)
    reader.end()
    return made


def status_of(reply: Reply) -> int | None:
    """The status code of a reply, wherever it stands; None where there is none."""
    for block in (reply.trailers, reply.block):
        found = values(block, b"grpc-status") if b"grpc-status" in block.lower() else ()
        if found:
            return int(found[0]) if found[0].isdigit() and len(found[0]) < 10 else codes.UNKNOWN
    said = kind(reply.block)
    if said is None or not said.web or not isinstance(reply.body, bytes):
        return None
    try:
        held = body(reply.body, said)
    except GrpcError:
        return None
    return status_of(Reply(200, trailers=held.trailers)) if held.trailers else None
