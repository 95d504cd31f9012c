"""The parts of a conversation: what is asked for in turn, and what answers each of them.

A conversation is a call whose replies wait for the client's messages (`Reply.ends_on`). Its parts are its
beginning, where something answers that, each message of the client, and its end. A part is a request of its own
that says, besides its message, which number it has and what came before it: a digest over the meaning of all
earlier messages. So a client that says something else is told that there is no answer, from there on.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from msgspec.structs import replace

from svcmock.protocol import Context
from svcmock_protocols.http.grpc import codes, view
from svcmock_protocols.http.grpc.framing import GrpcError, frame
from svcmock_protocols.http.grpc.meaning import Memo, of
from svcmock_protocols.http.messages import Chunk, Reply, Request


def said_open() -> bytes:
    """`Request.said` of the part in which a conversation begins."""
    return b"open"


def said_at(number: int, before: bytes) -> bytes:
    """That of its message with this number, from 1; `before` is the `chain` of those before it."""
    return b"%d %b" % (number, before)


def said_end(before: bytes) -> bytes:
    """That of its end."""
    return b"end %b" % before


def chain(before: bytes, message: bytes, head: Request, context: Context) -> bytes:
    """The digest of a conversation so far, which is empty at first, and one more message, with its prefix.

    `head`: any part of it, for its method and its encoding.
    """
    known = view.head(head.block)
    if known is None or known.kind.web:
        known = _NATIVE
    meaning = _meaning(Request(head.method, head.target, body=message), known, context)
    return blake2b(before + meaning, digest_size=16).hexdigest().encode()


_NATIVE: Final = view.Head(view.Kind(), b"")
_meaning: Final = Memo(of)


def parts(request: Request, reply: Reply, context: Context) -> Sequence[Request]:
    """What is asked for in turn; empty where the reply is one to the whole request."""
    kind = view.kind(request.block)
    if kind is None or not isinstance(request.body, bytes):
        return ()
    if reply.ends_on < 0 and not _streams_both_ways(request, context):
        return ()
    try:
        messages = view.body(request.body, kind).messages
    except GrpcError:
        return ()
    reply = _tied(reply, len(messages))
    made = [_part(request, said_open())] if _opens(reply) else []
    before = b""
    for number, message in enumerate(messages, 1):
        if number > reply.ends_on:
            break
        data = frame(message)
        made.append(_part(request, said_at(number, before), data))
        before = chain(before, data, request, context)
    if reply.ends_on > len(messages):
        made.append(_part(request, said_end(before)))
    return made


def _part(request: Request, said: bytes, body: bytes = b"") -> Request:
    return replace(request, said=said, body=body, trailers=b"")


def _opens(reply: Reply) -> bool:
    """Whether something answers the beginning."""
    return reply.ends_on == 0 or any(chunk.on == 0 for chunk in reply.chunks)


def _streams_both_ways(request: Request, context: Context) -> bool:
    """Whether the schema says so; whoever serves asks for such a call part by part."""
    methods = {} if context.schema is None else context.schema.methods
    method = methods.get(request.target.decode("ascii", "replace"))
    return method is not None and method.client_streaming and method.server_streaming


def _tied(reply: Reply, messages: int) -> Reply:
    """A reply that says nothing of parts as the answer to the last message, and its status to the end.

    An error comes with the last message: a client may wait for it before it says more.
    """
    if reply.ends_on >= 0:
        return reply
    on = messages or 1
    ends_on = messages + 1 if view.status_of(reply) in (None, codes.OK) else on
    size = len(reply.body) if isinstance(reply.body, bytes) else 0
    chunks = reply.chunks or ((Chunk(size),) if size else ())
    return replace(reply, chunks=tuple(replace(chunk, on=on) for chunk in chunks), ends_on=ends_on)


def part(request: Request, reply: Reply, number: int) -> Reply:
    """What answers the part that has this place among the `parts` of this request."""
    kind = view.kind(request.block)
    if reply.ends_on < 0 and kind is not None and isinstance(request.body, bytes):
        reply = _tied(reply, len(view.body(request.body, kind).messages))
    on = number if _opens(reply) else number + 1
    chunks = tuple(replace(chunk, on=-1) for chunk in reply.chunks if chunk.on <= on)
    last = on >= reply.ends_on
    alone = not reply.body and not reply.trailers
    return replace(
        reply,
        # a head that ends the reply is not sent before the end
        block=reply.block if last or not alone else b"",
        chunks=chunks,
        trailers=reply.trailers if last else b"",
        more=not last,
        upto=sum(chunk.size for chunk in chunks),
    )
