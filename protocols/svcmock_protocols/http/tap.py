"""The recording side of an HTTP/1 connection: bytes pass, requests are paired with replies in their order.

Decides what is rewritten on the way, and nothing else is: `Host` becomes the upstream's unless
`preserve_host`; an absolute-form target becomes origin-form; a Location or Content-Location that names the
upstream leads back through the recorder, under the name by which the client reached it. Towards an https
upstream such a URL loses its scheme (RFC 3986 section 4.2), as the client came by the scheme it uses.

Heads are passed on when they are complete, all other bytes at once. Replies are paired first in, first out
(RFC 9112 section 9.3.2). An exchange is emitted when both its messages are complete, with its credentials
replaced. A protocol that takes the connection over (CONNECT, Upgrade, HTTP/2) and bytes that cannot be decoded
make the tap opaque: it lets everything through, and the requests under way are lost.
"""

import re
from collections import deque
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from svcmock.protocol import (
    Began,
    Context,
    Exchange,
    Forward,
    Lost,
    Opaque,
    Seen,
    Shut,
    Side,
    Sight,
    Spooled,
    Timing,
    Upstream,
)
from svcmock_protocols.http.body import MAX_BODY, BodyReader, body_reader
from svcmock_protocols.http.codec import (
    MAX_HEAD,
    MessageError,
    ReplyHead,
    RequestHead,
    parse_reply_head,
    parse_request_head,
    values,
    without,
)
from svcmock_protocols.http.coding import MAX_DECODED, accepted, coding_of
from svcmock_protocols.http.credentials import Found, rules
from svcmock_protocols.http.messages import Interim, Options, Reply, Request
from svcmock_protocols.http.redact import (
    TooManyError,
    redact_exchange,
    scaled,
    secrets_of,
    with_length,
)
from svcmock_protocols.http.sieve import Sieve, sieve_of
from svcmock_protocols.http.watched import Body, Cuts, request_body, with_boundary

MAX_PENDING: Final = 1000
"""Requests of one connection under way; a client that pipelines more is no longer recorded."""
MAX_INTERIM: Final = 16
"""Interim replies that are kept for one request."""
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\n"

_HOST = re.compile(rb"^(host:[ \t]*)[^\r\n]*", re.IGNORECASE | re.MULTILINE)
_LOCATION = re.compile(
    rb"^((?:content-)?location:[ \t]*)(?:(https?):)?//([^/?#@\s]*)(?=[/?#\s])", re.IGNORECASE | re.MULTILINE
)
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*")


class _Asked(Struct):
    """A request under way. `request` and `reply` get their bodies when these are complete."""

    id: int
    request: Request
    at: float
    host: bytes
    body: Body
    asked: bool = False
    told: bool = False
    took: float = 0.0
    interim: tuple[Interim, ...] = ()
    reply: Reply = Reply(status=0)
    spooled: Found = {}
    why: str = ""


class _Telling(Struct):
    """A reply whose body is passing."""

    to: _Asked
    reader: BodyReader
    body: Body
    cuts: Cuts


class HttpTap:
    """One recorded connection, as `svcmock.protocol.Tap` asks for it."""

    def __init__(self, context: Context, upstream: Upstream) -> None:
        options = context.options if isinstance(context.options, Options) else Options()
        self._options = options
        self._known = rules(options.redact, options.keep)
        self._token = context.token
        self._upstream = upstream
        self._endpoint = _endpoint(upstream.authority.encode(), tls=upstream.tls)
        self._client, self._server = bytearray(), bytearray()
        self._client_seen = self._server_seen = 0
        self._client_at = self._server_at = 0.0
        self._asking: tuple[_Asked, BodyReader] | None = None
        self._telling: _Telling | None = None
        self._queue: deque[_Asked] = deque()
        self._open: dict[int, _Asked] = {}
        self._next = 1
        self._blind = False
        self._down = ""
        self._answered = False

    # --- the contract ---

    def from_client(self, data: bytes, at: float) -> Sight:
        if self._blind:
            return (Forward(data, Side.SERVER),)
        if self._answered:
            return ()
        out: list[Seen] = []
        if not self._client and self._asking is None:
            self._client_at = at
        self._client += data
        try:
            while self._request_bytes(at, out):
                pass
        except MessageError as error:
            self._give_up(f"the client's bytes are no HTTP/1: {error.why}", out)
        return out

    def from_server(self, data: bytes, at: float) -> Sight:
        if self._blind:
            return (Forward(data, Side.CLIENT),)
        out: list[Seen] = []
        if not self._server and self._telling is None:
            self._server_at = at
        self._server += data
        try:
            while self._reply_bytes(at, out):
                pass
        except MessageError as error:
            self._give_up(f"the server's bytes are no HTTP/1: {error.why}", out)
        return out

    def eof(self, side: Side, at: float) -> Sight:  # noqa: ARG002  what an end means does not depend on time
        out: list[Seen] = []
        if side is Side.CLIENT:
            self._client_left(out)
        else:
            self._server_left(out)
        return out

    def unreachable(self, why: str, at: float) -> Sight:  # noqa: ARG002  as above
        out: list[Seen] = []
        self._down = why
        if self._queue:
            self._answer(self._queue[0].request.method, out)
        return out

    # --- requests ---

    def _request_bytes(self, at: float, out: list[Seen]) -> bool:
        """Take a head, or what is there of a body. False: no more can be done with what is there."""
        if not self._client or self._blind or self._answered:
            return False
        if self._asking is None:
            return self._begin(at, out)
        asked, reader = self._asking
        end, pieces = reader.feed(self._client)
        for piece, _ in pieces:
            out += asked.body.add(piece)
        out.append(Forward(bytes(self._client[:end]), Side.SERVER))
        del self._client[:end]
        if reader.done:
            self._asked(asked, reader, out)
            self._client_at = at
        return reader.done

    def _begin(self, at: float, out: list[Seen]) -> bool:
        if self._client.startswith(PREFACE):
            self._pass_over("HTTP/2 with prior knowledge", out)
            return False
        try:
            found = parse_request_head(self._client, 0, self._options.max_head, self._client_seen)
        except MessageError:
            if not self._down:
                raise
            self._answer(b"", out)
            return False
        if found is None:
            self._client_seen = len(self._client)
            return False
        head, end = found
        if head.request.method == b"CONNECT":
            self._pass_over("CONNECT", out)
            return False
        if len(self._open) >= MAX_PENDING:
            self._give_up(f"more than {MAX_PENDING} requests under way", out)
            return False
        asked = self._open_one(head, out)
        self._client_seen = 0
        if self._down:
            self._answer(head.request.method, out)
            return False
        out.append(Forward(self._outgoing(head.request), Side.SERVER))
        del self._client[:end]
        reader = body_reader(head.framing, head.length, self._options.max_body)
        if reader.done:
            self._asked(asked, reader, out)
            self._client_at = at
        else:
            self._asking = (asked, reader)
        return True

    def _open_one(self, head: RequestHead, out: list[Seen]) -> _Asked:
        request = head.request
        ident, self._next = self._next, self._next + 1
        body = request_body((ident, "request"), request, self._options, self._token)
        hosts = values(request.block, b"host")
        asked = _Asked(ident, request, self._client_at, hosts[0] if hosts else b"", body)
        self._open[ident] = asked
        self._queue.append(asked)
        out.append(Began(ident))
        return asked

    def _outgoing(self, request: Request) -> bytes:
        """The head as the upstream gets it."""
        target, block = request.target, request.block
        absolute = _ABSOLUTE.match(target)
        if absolute:
            rest = target[absolute.end() :]
            if not rest.startswith(b"/"):
                rest = b"*" if not rest and request.method == b"OPTIONS" else b"/" + rest
            target = rest
        if not self._upstream.preserve_host:
            authority = self._upstream.authority.encode()
            block = _HOST.sub(lambda match: match[1] + authority, block, count=1)
        return b"%b %b HTTP/%b\r\n%b\r\n" % (request.method, target, request.version, block)

    def _asked(self, asked: _Asked, reader: BodyReader, out: list[Seen]) -> None:
        """A request is complete."""
        body, spools = asked.body.end()
        out += spools
        block = asked.request.block
        if isinstance(body, Spooled):
            # without its coding, with tokens and a common boundary in it, it is another size than it was
            block = without(block, b"content-encoding") if asked.body.unfolded else block
            block = with_length(with_boundary(block), body.size)
        asked.request = replace(asked.request, body=body, block=block, trailers=reader.trailers)
        asked.asked = True
        asked.why = asked.why or asked.body.why
        self._asking = None
        self._emit(asked, out)

    # --- replies ---

    def _reply_bytes(self, at: float, out: list[Seen]) -> bool:
        """Take a head, or what is there of a body. False: no more can be done with what is there."""
        if not self._server or self._blind:
            return False
        telling = self._telling
        if telling is None:
            return self._reply_head(at, out)
        end, pieces = telling.reader.feed(self._server)
        for piece, ends in pieces:
            telling.cuts.add(len(piece), at, ends=ends)
            out += telling.body.add(piece)
        out.append(Forward(bytes(self._server[:end]), Side.CLIENT))
        del self._server[:end]
        if telling.reader.done:
            self._told(telling, out)
            self._server_at = at
        return telling.reader.done

    def _reply_head(self, at: float, out: list[Seen]) -> bool:
        if not self._queue:
            self._give_up("the server spoke unasked", out)
            return False
        asked = self._queue[0]
        found = parse_reply_head(self._server, asked.request.method, 0, MAX_HEAD, self._server_seen)
        if found is None:
            self._server_seen = len(self._server)
            return False
        head, end = found
        self._server_seen = 0
        raw = bytes(self._server[:end])
        block = self._homeward(head.reply.block, asked.host)
        out.append(Forward(raw[: -2 - len(head.reply.block)] + block + b"\r\n", Side.CLIENT))
        del self._server[:end]
        reply = replace(head.reply, block=block)
        if reply.status >= 200:
            self._tell(asked, replace(head, reply=reply), at, out)
        elif reply.status == 101:
            self._lose(asked, "the connection went over to another protocol", out, skipped=True)
            self._give_up("the connection went over to another protocol", out)
        elif reply.status != 100 and len(asked.interim) < MAX_INTERIM:
            asked.interim = (*asked.interim, Interim(reply.status, reply.reason, reply.block))
        if reply.status < 200:
            self._server_at = at
        return True

    def _homeward(self, block: bytes, host: bytes) -> bytes:
        """The block with URLs that name the upstream leading to where the client found us."""

        def turned(match: re.Match[bytes]) -> bytes:
            field, scheme, authority = match.groups()
            tls = self._upstream.tls if scheme is None else scheme.lower() == b"https"
            if tls is not self._upstream.tls or _endpoint(authority, tls=tls) != self._endpoint:
                return match[0]
            kept = b"" if tls or scheme is None else scheme + b":"
            return b"%b%b//%b" % (field, kept, host)

        return _LOCATION.sub(turned, block) if host and b"//" in block else block

    def _tell(self, asked: _Asked, head: ReplyHead, at: float, out: list[Seen]) -> None:
        """The final head has come: watch the body."""
        reply = head.reply
        asked.took = self._server_at - asked.at
        coding = coding_of(reply.block)
        asked.reply = replace(
            reply,
            interim=asked.interim,
            self_authority=asked.host if _names(reply.block, asked.host) else b"",
            negotiated=not coding or accepted(asked.request.block, coding),
        )

        def sieve(start: bytes) -> Sieve:
            found = secrets_of(asked.request, self._token, self._known) | asked.body.found
            return sieve_of(asked.reply, start, self._token, self._known, found)

        sizes = (self._options.max_body_memory, max(MAX_DECODED, self._options.max_body))
        self._telling = _Telling(
            asked,
            body_reader(reply.framing, head.length, max(MAX_BODY, self._options.max_body), padded=True),
            Body((asked.id, "reply"), sizes, coding, sieve, unfolds=False),
            Cuts(at, chunked=reply.framing == "chunked"),
        )
        if reply.framing == "none" or self._telling.reader.done:
            self._told(self._telling, out)
            self._server_at = at

    def _told(self, telling: _Telling, out: list[Seen]) -> None:
        """A reply is complete."""
        asked = telling.to
        body, spools = telling.body.end()
        out += spools
        chunks = telling.cuts.chunks()
        reply = asked.reply
        if isinstance(body, Spooled) and body.size != telling.reader.size:
            chunks = scaled(chunks, telling.reader.size, body.size)
            reply = replace(reply, block=with_length(reply.block, body.size))
        asked.reply = replace(reply, body=body, chunks=chunks, trailers=telling.reader.trailers)
        asked.told = True
        asked.spooled = asked.body.found | telling.body.found
        asked.why = asked.why or telling.body.why
        self._telling = None
        self._queue.popleft()
        self._emit(asked, out)

    # --- exchanges and their ends ---

    def _emit(self, asked: _Asked, out: list[Seen]) -> None:
        """Both messages are complete, or this was the first of them."""
        if not (asked.asked and asked.told) or asked.id not in self._open:
            return
        if asked.why:
            self._lose(asked, asked.why, out, skipped=True)
            return
        try:
            request, reply = redact_exchange(
                asked.request, asked.reply, self._token, self._known, asked.spooled
            )
        except TooManyError:
            self._lose(asked, "more credentials than can be looked for", out, skipped=True)
            return
        del self._open[asked.id]
        out.append(Exchange(asked.id, request, reply, Timing(asked.at, asked.took)))

    def _lose(self, asked: _Asked, why: str, out: list[Seen], *, skipped: bool = False) -> None:
        if self._open.pop(asked.id, None) is not None:
            out.append(Lost(asked.id, why, "skipped" if skipped else "failed"))

    def _lose_all(self, why: str, out: list[Seen]) -> None:
        for asked in tuple(self._open.values()):
            self._lose(asked, why, out)

    def _pass_over(self, why: str, out: list[Seen]) -> None:
        """A request that is no exchange: it counts as skipped, and its protocol passes unread."""
        ident, self._next = self._next, self._next + 1
        out += (Began(ident), Lost(ident, why, "skipped"))
        if self._down:
            self._answer(b"", out)
        else:
            self._give_up(why, out)

    def _give_up(self, why: str, out: list[Seen]) -> None:
        """From here on nothing is read, and what was held back goes out as it came."""
        self._lose_all(why, out)
        self._release(out)
        out.append(Opaque(why))

    def _release(self, out: list[Seen]) -> None:
        self._blind = True
        self._asking = self._telling = None
        self._queue.clear()
        for held, to in ((self._client, Side.SERVER), (self._server, Side.CLIENT)):
            if held:
                out.append(Forward(bytes(held), to))
                held.clear()

    def _client_left(self, out: list[Seen]) -> None:
        if self._answered:
            return
        if self._asking is not None:
            self._lose(self._asking[0], "the client left in the middle of its request", out)
            self._asking = None
        if self._client:
            out.append(Forward(bytes(self._client), Side.SERVER))
            self._client.clear()
        out.append(Shut(Side.SERVER))

    def _server_left(self, out: list[Seen]) -> None:
        telling = self._telling
        if telling is not None and telling.to.reply.framing == "close":
            telling.reader.end()
            self._told(telling, out)
        if not self._answered and not self._blind:
            middle = self._telling is not None or bool(self._server)
            where = "in the middle of a reply" if middle else "before it had answered"
            self._lose_all(f"the upstream left {where}", out)
            self._release(out)
        out.append(Shut(Side.CLIENT))

    def _answer(self, method: bytes, out: list[Seen]) -> None:
        """There is no upstream: say so to the client, and that was all."""
        said = f"svcmock: {self._upstream.authority} cannot be reached: {self._down}\n".encode()
        head = (
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(said)
        )
        out.append(Forward(head if method == b"HEAD" else head + said, Side.CLIENT))
        self._lose_all(f"the upstream cannot be reached: {self._down}", out)
        self._queue.clear()
        self._client.clear()
        self._asking = None
        self._answered = True
        out.append(Shut(Side.CLIENT))


def _endpoint(authority: bytes, *, tls: bool) -> tuple[bytes, bytes]:
    """Host and port of `host[:port]`, the port by its scheme where it is left out."""
    host, colon, port = authority.rpartition(b":")
    if not colon or b"]" in port:
        host, port = authority, b""
    return host.lower(), port or (b"443" if tls else b"80")


def _names(block: bytes, host: bytes) -> bool:
    """Whether a Location leads to `host`, and so to us."""
    return any(match[3] == host for match in _LOCATION.finditer(block)) if host else False
