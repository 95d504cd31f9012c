"""What the messages of a call mean: documents for predicates, and the bytes by which calls are compared.

Two messages mean the same where their documents do, without noise: by the schema whatever the order of fields
and however defaults are written, without one field by field. Neither compression nor the form of gRPC-Web plays
a part. What cannot be read as messages, or has a codec other than protobuf, counts as the bytes that it is.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import msgspec

from svcmock.protocol import Context, Doc
from svcmock_protocols.http.grpc import view
from svcmock_protocols.http.grpc.framing import GrpcError, unpacked
from svcmock_protocols.http.grpc.schema import Schema, canonical
from svcmock_protocols.http.grpc.view import Head
from svcmock_protocols.http.messages import Request

MAX_UNPACKED: Final = 4 << 20
"""Bytes of all messages of a call without their compression; more counts as the bytes on the wire."""
FIELD: Final = "message"
FIELDS: Final = "messages"
_SMALL: Final = 512
"""Bytes of a body up to which it is remembered: what is remembered is bounded, whatever clients send."""
_KNOWN: Final = 2048
"""Requests that are remembered."""

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


def of(request: Request, head: Head, context: Context) -> bytes:
    """16 bytes that stand for what the body means, which is in memory."""
    assert isinstance(request.body, bytes)
    return _digest(request.body, head, request.target, context)


class Memo:
    """Remembers what is worked out of small requests, by all that it depends on."""

    def __init__(self, work: Callable[[Request, Head, Context], bytes]) -> None:
        self._work = work
        self._known: dict[tuple[object, ...], tuple[bytes, Head, Context]] = {}

    def __call__(self, request: Request, head: Head, context: Context) -> bytes:
        body = request.body
        if body.__class__ is not bytes or len(body) > _SMALL:
            return self._work(request, head, context)
        # an object that is part of a value stays alive, so no other one has its id
        place = (body, request.target, request.said, id(head), id(context))
        found = self._known.get(place)
        if found is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            made = self._work(request, head, context)
            found = self._known[place] = made, head, context
        return found[0]


def _digest(body: bytes, head: Head, target: bytes, context: Context) -> bytes:
    docs = documents(body, head, target, context.schema)
    if docs is None:
        return blake2b(b"grpc bytes\0" + head.kind.codec + b"\0" + body, digest_size=16).digest()
    noise = context.ignore
    if noise.concerns(FIELD):
        docs = [noise.prune(doc, FIELD) for doc in docs]
    if noise.concerns(FIELDS):
        docs = noise.prune(docs, FIELDS)
    return blake2b(b"grpc\0" + _encode(docs), digest_size=16).digest()


def documents(body: bytes, head: Head, target: bytes, schema: Schema | None) -> list[Doc] | None:
    """The messages of a body as documents; None where they cannot be read."""
    if head.kind.codec:
        return None
    try:
        messages = view.body(body, head.kind).messages
        left = MAX_UNPACKED
        plain: list[bytes] = []
        for message in messages:
            plain.append(unpacked(message, head.encoding, left))
            left -= len(plain[-1])
            if left < 0:
                return None
    except GrpcError:
        return None
    if schema is None:
        return [canonical(data) for data in plain]
    method = schema.methods.get(_text(target))
    type_name = None if method is None else method.input
    return [schema.canonical(type_name, data) for data in plain]


@lru_cache(maxsize=1024)
def _text(target: bytes) -> str:
    return target.decode("latin-1")
