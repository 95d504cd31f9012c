"""What one client is sent for one reply: pure functions from a reply and its request to outs.

A recorded reply goes out as it was, but for what this client's request makes impossible: a client of HTTP/1.0
gets no chunks and no interim replies, one that does not take a content coding gets the body decoded, one that
asked with HEAD gets no body, and one that must reconnect is told so. A redirect that led back to the service
leads to where this client reached it.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from svcmock.protocol import Blob, Out, Send, SendFile, Spooled, Wake
from svcmock_protocols.http.codec import (
    RequestHead,
    bodiless,
    connection_options,
    reply_head,
    values,
    with_head,
    without,
)
from svcmock_protocols.http.coding import accepted, coding_of, codings, decode
from svcmock_protocols.http.grpc import fitting
from svcmock_protocols.http.messages import Chunk, Interim, Reply

GAP: Final = "gap"
"""The token of a Wake between two pieces of a streamed reply."""

_REASONS: Final = {
    400: b"Bad Request",
    408: b"Request Timeout",
    413: b"Content Too Large",
    414: b"URI Too Long",
    417: b"Expectation Failed",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    505: b"HTTP Version Not Supported",
}


def refused(status: int, why: str) -> Reply:
    """The reply to a client whose request cannot be served, where the connection goes on."""
    block = b"Content-Type: text/plain; charset=utf-8\r\n"
    return with_head(Reply(status, _REASONS[status], block, why.encode() + b"\n"))


def refusal(status: int, why: str) -> Send:
    """The whole reply to a client whose request cannot be served; the connection ends after it."""
    body = why.encode() + b"\n"
    head = b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
    return Send(head % (status, _REASONS[status], len(body)) + b"Connection: close\r\n\r\n" + body)


def deliver(reply: Reply, asked: RequestHead, pace: float, *, closing: bool) -> tuple[bool, Iterator[Out]]:
    """Whether the connection ends after this reply, and what to send.

    A Wake with the token GAP means: go on when it is up. `pace` multiplies recorded gaps; `closing` says that
    the connection ends whatever the two sides want. A reply without `head` is as good as one with.
    """
    if isinstance(reply.body, Spooled):
        return True, iter((refusal(500, "this reply is still being recorded and cannot be served yet"),))
    method, version = asked.request.method, asked.request.version
    fit = _for_http1(fitted(reply, asked))
    if version == b"1.0" and fit.framing == "chunked":
        block = without(fit.block, b"transfer-encoding", b"trailer")
        fit = replace(fit, block=block, framing="close", trailers=b"", head=b"")
    closing = closing or not asked.keep_alive or not _lasting(fit, method)
    fit = _connection(fit, version, asked_to_stay=asked.keep_alive, closing=closing)
    head = fit.head or reply_head(fit)
    if version == b"1.1" and fit.interim:
        head = b"".join(map(_interim, fit.interim)) + head
    if bodiless(method, fit.status) or fit.framing == "none":
        return closing, iter((Send(head),))
    return closing, _stream(head, fit, pace)


def _interim(interim: Interim) -> bytes:
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (interim.status, interim.reason, interim.block)


# --- fitting a reply to its client --------------------------------------------------------------------


def fitted(reply: Reply, asked: RequestHead) -> Reply:
    """The reply as this client can read it, whatever version of HTTP it speaks; the very same if it can."""
    return fitting.fitted(_rewritten(_decoded(reply, asked), asked), asked.request)


def _for_http1(reply: Reply) -> Reply:
    """A reply that was recorded over HTTP/2 as HTTP/1.1 says it."""
    if reply.version != b"2":
        return reply
    block = reply.block if reply.framing != "chunked" else without(reply.block, b"transfer-encoding")
    return replace(reply, version=b"1.1", block=block, head=b"", plain=False)


def _decoded(reply: Reply, asked: RequestHead) -> Reply:
    """Without its content coding where this client does not take it. Gaps inside the body are lost then."""
    coding = coding_of(reply.block)
    if not coding or not reply.negotiated or not isinstance(reply.body, bytes) or not reply.body:
        return reply
    if not codings(coding) or accepted(asked.request.block, coding):
        return reply
    body = decode(reply.body, coding)
    if body is None:
        return reply
    block = without(reply.block, b"content-encoding", b"content-length")
    return with_head(replace(reply, block=block, body=body, chunks=()))


def _rewritten(reply: Reply, asked: RequestHead) -> Reply:
    """With a Location that names the service under the name by which this client reached it."""
    hosts = values(asked.request.block, b"host")
    if not reply.self_authority or not hosts or not hosts[0] or hosts[0] == reply.self_authority:
        return reply
    pattern = rb"(?im)^(location:[ \t]*(?:[a-z][a-z0-9+.\-]*:)?//)%b(?=[/?#\r \t])"
    block = re.sub(pattern % re.escape(reply.self_authority), lambda found: found[1] + hosts[0], reply.block)
    return reply if block == reply.block else replace(reply, block=block, head=b"")


def _lasting(reply: Reply, method: bytes) -> bool:
    """Whether the connection can be used again after this reply (RFC 9112 section 9.3)."""
    options = connection_options(values(reply.block, b"connection"))
    if b"close" in options or (reply.version == b"1.0" and b"keep-alive" not in options):
        return False
    if bodiless(method, reply.status):
        return reply.status >= 200
    if reply.framing == "length":
        size = len(reply.body) if isinstance(reply.body, bytes) else reply.body.size
        return values(reply.block, b"content-length") in ((), (b"%d" % size,))
    return reply.framing == "chunked"


def _connection(reply: Reply, version: bytes, *, asked_to_stay: bool, closing: bool) -> Reply:
    """With the Connection field that this client needs in order to know what becomes of the connection."""
    options = connection_options(values(reply.block, b"connection"))
    if closing:
        old = b"1.0" in (version, reply.version)
        told = b"close" in options or not asked_to_stay or old or reply.framing == "close"
        if b"keep-alive" not in options and told:
            return reply
        block = without(reply.block, b"connection", b"keep-alive") + b"Connection: close\r\n"
    elif version == b"1.0" and b"keep-alive" not in options:
        block = reply.block + b"Connection: keep-alive\r\n"
    else:
        return reply
    return replace(reply, block=block, head=b"")


# --- bodies -------------------------------------------------------------------------------------------


def _stream(head: bytes, reply: Reply, pace: float) -> Iterator[Out]:
    """Head and body, in as few Sends as gaps and files allow."""
    chunked = reply.framing == "chunked"
    waiting = [head]
    for after, piece in pieces(reply.body, reply.chunks):
        if after * pace > 0:
            if waiting:
                yield Send(b"".join(waiting))
                waiting = []
            yield Wake(after * pace, GAP)
        size = len(piece) if isinstance(piece, bytes) else piece.size
        if chunked:
            waiting.append(b"%x\r\n" % size)
        if isinstance(piece, bytes):
            waiting.append(piece)
        else:
            yield from _sent(waiting)
            yield SendFile(piece)
            waiting = []
        if chunked:
            waiting.append(b"\r\n")
    if chunked:
        waiting.append(b"0\r\n%b\r\n" % reply.trailers)
    yield from _sent(waiting)


def _sent(waiting: list[bytes]) -> Iterator[Out]:
    if waiting:
        yield Send(b"".join(waiting))


def pieces(
    body: bytes | Blob | Spooled, chunks: Iterable[Chunk], start: int = 0, upto: int = -1
) -> Iterator[tuple[float, bytes | Blob]]:
    """The body from `start` up to `upto`, cut as `chunks` say, each piece with the seconds before it.

    What they leave is one more.
    """
    if isinstance(body, Spooled):
        return
    total = len(body) if isinstance(body, bytes) else body.size
    total = total if upto < 0 else min(upto, total)
    at = 0
    for chunk in chunks:
        end = min(at + chunk.size, total)
        if end > max(at, start):
            first = max(at, start)
            yield chunk.after if first == at else 0.0, _cut(body, first, end - first)
        at = end
    at = max(at, start)
    if at < total:
        yield 0.0, _cut(body, at, total - at)


def _cut(body: bytes | Blob, at: int, size: int) -> bytes | Blob:
    if isinstance(body, bytes):
        return body[at : at + size]
    return body if size == body.size else Blob(path=body.path, size=size, offset=body.offset + at)
