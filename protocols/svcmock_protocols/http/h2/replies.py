"""What a client of HTTP/2 is sent for a reply: header blocks, pieces of a body and gaps, made once each.

Pure: stream numbers, windows and time are the session's. A reply whose bytes depend on nothing else is `whole`:
all its frames lie ready but for the number of the stream, which stands in each of their headers.
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from svcmock.protocol import Blob
from svcmock_protocols.http.codec import bodiless, values
from svcmock_protocols.http.grpc.fitting import is_grpc
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.heads import Opening, block_fields, reply_fields
from svcmock_protocols.http.h2.hpack import encode
from svcmock_protocols.http.messages import Reply
from svcmock_protocols.http.sending import fitted, pieces

WHOLE_MAX: Final = frames.MAX_FRAME
"""Bytes of a body up to which its reply is made whole: what every peer takes in one frame."""
_REMEMBERED: Final = 1024
_REMEMBERED_BODY: Final = 64 * 1024


class Prepared(Struct, frozen=True):
    """A reply as frames without their stream. `trailers`: the block that ends the stream, None without one.

    `whole`: all of it, to be joined by the stream's number in four bytes; empty where that is not all. `size`
    is that of the body in it.
    """

    reply: Reply
    block: bytes
    interim: tuple[bytes, ...] = ()
    trailers: bytes | None = None
    whole: tuple[bytes, ...] = ()
    size: int = 0
    bodiless: bool = False
    grpc: bool = False

    def body(self, pace: float, told: int = 0) -> Iterator[tuple[float, bytes | Blob]]:
        """The pieces of the body after its first `told` bytes, each with the seconds before it."""
        reply = self.reply
        for after, piece in () if self.bodiless else pieces(reply.body, reply.chunks, told, reply.upto):
            yield after * pace, piece


_remembered: dict[int, Prepared] = {}
"""By the identity of the reply, which is kept alive by being in there."""


def prepare(reply: Reply, asked: Opening) -> Prepared:
    """The reply as this client gets it."""
    head = asked.head
    known = _remembered.get(id(reply))
    if known is not None and known.reply is reply and head.plain and (asked.grpc or not known.grpc):
        return known
    fit = fitted(reply, head)
    made = _prepared(fit, head.request.method)
    if fit is reply and head.plain and (asked.grpc or not made.grpc) and _lasting(reply):
        if len(_remembered) >= _REMEMBERED:
            _remembered.clear()
        _remembered[id(reply)] = made
    return made


def _lasting(reply: Reply) -> bool:
    """Whether all clients of one kind that did not ask with HEAD get the same, and it is small."""
    if reply.self_authority or not isinstance(reply.body, bytes) or len(reply.body) > _REMEMBERED_BODY:
        return False
    return not values(reply.block, b"content-encoding") and not values(reply.block, b"grpc-encoding")


def _prepared(reply: Reply, method: bytes) -> Prepared:
    block = encode(reply_fields(reply, method))
    interim = tuple(
        encode([(b":status", b"%d" % one.status), *block_fields(one.block)])
        for one in reply.interim
        if one.status != 101  # there is nothing to switch to (section 8.6)
    )
    bare = bodiless(method, reply.status) or reply.framing == "none"
    trailers = encode(block_fields(reply.trailers)) if reply.trailers and not bare else None
    grpc = is_grpc(reply.block)
    made = Prepared(reply, block, interim, trailers, bodiless=bare, grpc=grpc)
    body = b"" if bare else reply.body
    timed = any(chunk.after or chunk.on >= 0 for chunk in reply.chunks)
    if interim or timed or reply.more or not isinstance(body, bytes) or len(body) > WHOLE_MAX:
        return made
    if len(block) > frames.MAX_FRAME or len(trailers or b"") > frames.MAX_FRAME:
        return made
    return Prepared(reply, block, (), trailers, _whole(block, body, trailers), len(body), bare, grpc)


def _whole(block: bytes, body: bytes, trailers: bytes | None) -> tuple[bytes, ...]:
    """The frames of a reply, cut where the number of their stream belongs."""
    ended = frames.END_STREAM
    if not body and trailers is None:
        return _cut(frames.HEADERS, frames.END_HEADERS | ended, block), block
    made = [_cut(frames.HEADERS, frames.END_HEADERS, block), block]
    if body:
        made[-1] += _cut(frames.DATA, 0 if trailers is not None else ended, body)
        made.append(body)
    if trailers is not None:
        made[-1] += _cut(frames.HEADERS, frames.END_HEADERS | ended, trailers)
        made.append(trailers)
    return tuple(made)


def _cut(kind: int, flags: int, payload: bytes) -> bytes:
    return frames.head(kind, flags, 0, len(payload))[:5]
