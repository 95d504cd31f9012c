"""Requests under way at a recorder and the exchanges they become: what the taps of HTTP/1 and HTTP/2 share.

Decides what is recorded of a request and its reply once both have passed, what is skipped and why, and which
URLs in a reply lead home. A Location or Content-Location that names the upstream leads back through the
recorder, under the name by which the client reached it; towards an https upstream such a URL loses its scheme
(RFC 3986 section 4.2), as the client came by the scheme it uses.

An exchange is emitted with its credentials replaced. One whose meaning is being asked for (`Inquire`) is held
until that is known, within limits, and never beyond the end of its connection.
"""

import re
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from svcmock.protocol import (
    Began,
    Context,
    Exchange,
    Inquire,
    Lost,
    Seen,
    Spooled,
    Timing,
    Upstream,
)
from svcmock_protocols.http.body import MAX_BODY
from svcmock_protocols.http.codec import without
from svcmock_protocols.http.coding import MAX_DECODED, accepted, coding_of
from svcmock_protocols.http.credentials import Found, rules
from svcmock_protocols.http.messages import Chunk, Interim, Options, Reply, Request
from svcmock_protocols.http.redact import TooManyError, redact_exchange, scaled, secrets_of, with_length
from svcmock_protocols.http.sieve import Sieve, sieve_of
from svcmock_protocols.http.watched import Body, request_body, with_boundary

MAX_PENDING: Final = 1000
"""Requests of one connection under way that are followed."""
MAX_INTERIM: Final = 16
"""Interim replies that are kept for one request."""
MAX_HELD: Final = 1000
"""Exchanges of one connection that wait until it is known what they mean: with so many, none does."""
MAX_HELD_BYTES: Final = 16 * 1024 * 1024
"""Bytes of their bodies: with more, none does either."""

_LOCATION = re.compile(
    rb"^((?:content-)?location:[ \t]*)(?:(https?):)?//([^/?#@\s]*)(?=[/?#\s])", re.IGNORECASE | re.MULTILINE
)


class Asked(Struct):
    """A request under way. `request` and `reply` get their bodies when these are complete.

    `grpc`: its bodies are messages with their lengths before them, so that nothing in a large one may be
    replaced. `foreign`: nobody knows yet what its messages mean.
    """

    id: int
    request: Request
    at: float
    host: bytes
    body: Body
    grpc: bool = False
    foreign: bool = False
    asked: bool = False
    told: bool = False
    took: float = 0.0
    interim: tuple[Interim, ...] = ()
    reply: Reply = Reply(status=0)
    spooled: Found = {}
    why: str = ""


class Told(Struct, frozen=True):
    """What came after the head of a reply, in which pieces, and how many bytes it was. See `Reply.ends_on`."""

    chunks: tuple[Chunk, ...] = ()
    size: int = 0
    trailers: bytes = b""
    ends_on: int = -1


class Exchanges:
    """Those of one recorded connection. `open` are the requests of which the end is not known."""

    def __init__(self, context: Context, upstream: Upstream) -> None:
        self.options = context.options if isinstance(context.options, Options) else Options()
        self.upstream = upstream
        self.open: dict[int, Asked] = {}
        self._context = context
        self._known = rules(self.options.redact, self.options.keep)
        self._endpoint = _endpoint(upstream.authority.encode(), tls=upstream.tls)
        self._next = 1
        self._held: dict[int, Asked] = {}
        self._held_bytes = 0
        self._inquiry = ""
        """Empty until something was to be asked, then `open` or `over`."""

    @property
    def first(self) -> bool:
        """Whether nothing has been asked on this connection."""
        return self._next == 1

    @property
    def full(self) -> bool:
        """Whether as many are under way as are followed."""
        return len(self.open) - len(self._held) >= MAX_PENDING

    # --- requests ---

    def begin(self, request: Request, at: float, host: bytes, out: list[Seen]) -> Asked:
        """A request without its body, made at this time by a client that knows us as `host`."""
        ident, self._next = self._next, self._next + 1
        body = request_body((ident, "request"), request, self.options, self._context.token)
        asked = self.open[ident] = Asked(ident, request, at, host, body)
        if len(request.block) > self.options.max_head:
            asked.why = "the head is larger than this service takes"
        out.append(Began(ident))
        return asked

    def call(self, asked: Asked, out: list[Seen]) -> None:
        """It is a gRPC call. Where its method is not known, the upstream is to be asked about it."""
        asked.grpc = True
        schema = self._context.schema
        method = asked.request.target.decode("ascii", "replace")
        if schema is None or method not in schema.methods:
            asked.foreign = True
            if not self._inquiry:
                self._inquiry = "open"
                out.append(Inquire())

    def pass_over(self, why: str, out: list[Seen], *, skipped: bool = True) -> None:
        """A request that is no exchange."""
        ident, self._next = self._next, self._next + 1
        out += (Began(ident), Lost(ident, why, "skipped" if skipped else "failed"))

    def heard(self, asked: Asked, trailers: bytes, out: list[Seen], *, leave: int = 0) -> None:
        """A request is complete, or will not be; the last `leave` bytes of its body are no message."""
        body, spools = asked.body.end()
        out += spools
        block = asked.request.block
        if isinstance(body, Spooled):
            # without its coding, with tokens and a common boundary in it, it is another size than it was
            block = without(block, b"content-encoding") if asked.body.unfolded else block
            block = with_length(with_boundary(block), body.size)
        elif leave:
            body = body[:-leave]
        asked.request = replace(asked.request, body=body, block=block, trailers=trailers)
        asked.asked = True
        asked.why = asked.why or asked.body.why
        self._settle(asked, out)

    # --- replies ---

    def homeward(self, block: bytes, host: bytes) -> bytes:
        """The block with URLs that name the upstream leading to where the client found us."""

        def turned(match: re.Match[bytes]) -> bytes:
            field, scheme, authority = match.groups()
            tls = self.upstream.tls if scheme is None else scheme.lower() == b"https"
            if tls is not self.upstream.tls or _endpoint(authority, tls=tls) != self._endpoint:
                return match[0]
            kept = b"" if tls or scheme is None else scheme + b":"
            return b"%b%b//%b" % (field, kept, host)

        return _LOCATION.sub(turned, block) if host and b"//" in block else block

    def interim(self, asked: Asked, status: int, reason: bytes, block: bytes) -> None:
        """A 1xx has come. Any server sends 100 by itself."""
        if status != 100 and len(asked.interim) < MAX_INTERIM:
            asked.interim = (*asked.interim, Interim(status, reason, block))

    def answering(self, asked: Asked, reply: Reply, took: float) -> Body:
        """The final head has come: what watches its body."""
        asked.took = took
        coding = coding_of(reply.block)
        asked.reply = replace(
            reply,
            interim=asked.interim,
            self_authority=asked.host if _names(reply.block, asked.host) else b"",
            negotiated=not coding or accepted(asked.request.block, coding),
        )
        token = self._context.token

        def sieve(start: bytes) -> Sieve:
            found = secrets_of(asked.request, token, self._known) | asked.body.found
            return sieve_of(asked.reply, start, token, self._known, found)

        sizes = (self.options.max_body_memory, max(MAX_DECODED, self.options.max_body))
        return Body((asked.id, "reply"), sizes, coding, sieve, unfolds=False)

    @property
    def max_reply(self) -> int:
        """Bytes of a reply's body that are followed."""
        return max(MAX_BODY, self.options.max_body)

    def told(self, asked: Asked, passed: Body, told: Told, out: list[Seen]) -> None:
        """A reply is complete."""
        body, spools = passed.end()
        out += spools
        chunks, reply = told.chunks, asked.reply
        if isinstance(body, Spooled) and body.size != told.size:
            if asked.grpc:
                asked.why = asked.why or "there is a credential inside a large gRPC reply"
            chunks = scaled(chunks, told.size, body.size)
            reply = replace(reply, block=with_length(reply.block, body.size))
        asked.reply = replace(reply, body=body, chunks=chunks, trailers=told.trailers, ends_on=told.ends_on)
        asked.told = True
        asked.spooled = asked.body.found | passed.found
        asked.why = asked.why or passed.why
        self._settle(asked, out)

    # --- their ends ---

    def lose(self, asked: Asked, why: str, out: list[Seen], *, skipped: bool = False) -> None:
        if self.open.pop(asked.id, None) is not None:
            out.append(Lost(asked.id, why, "skipped" if skipped else "failed"))

    def lose_all(self, why: str, out: list[Seen]) -> None:
        """All that are under way; those that only wait to be understood are whole."""
        for asked in tuple(self.open.values()):
            if asked.id not in self._held:
                self.lose(asked, why, out)

    def informed(self, context: Context, out: list[Seen]) -> None:
        """What there is to know is in `context`."""
        self._context = context
        self.release(out)

    def release(self, out: list[Seen]) -> None:
        """From here on no exchange waits to be understood."""
        self._inquiry = "over"
        held, self._held = self._held, {}
        self._held_bytes = 0
        for asked in held.values():
            self._emit(asked, out)

    def _settle(self, asked: Asked, out: list[Seen]) -> None:
        """Both messages are complete, or this was the first of them."""
        if not (asked.asked and asked.told) or asked.id not in self.open:
            return
        if asked.foreign and self._inquiry == "open":
            self._held[asked.id] = asked
            self._held_bytes += _held_size(asked)
            if len(self._held) >= MAX_HELD or self._held_bytes > MAX_HELD_BYTES:
                self.release(out)
            return
        self._emit(asked, out)

    def _emit(self, asked: Asked, out: list[Seen]) -> None:
        if asked.why:
            self.lose(asked, asked.why, out, skipped=True)
            return
        try:
            request, reply = redact_exchange(
                asked.request,
                asked.reply,
                self._context.token,
                self._known,
                asked.spooled,
                self._context.schema,
            )
        except TooManyError:
            self.lose(asked, "more credentials than can be looked for", out, skipped=True)
            return
        del self.open[asked.id]
        out.append(Exchange(asked.id, request, reply, Timing(asked.at, asked.took)))


def unreachable_text(upstream: Upstream, why: str) -> str:
    """What a client is told that there is no upstream for."""
    return f"svcmock: {upstream.authority} cannot be reached: {why}\n"


def _held_size(asked: Asked) -> int:
    return sum(len(body) for body in (asked.request.body, asked.reply.body) if isinstance(body, bytes))


def _endpoint(authority: bytes, *, tls: bool) -> tuple[bytes, bytes]:
    """Host and port of `host[:port]`, the port by its scheme where it is left out."""
    host, colon, port = authority.rpartition(b":")
    if not colon or b"]" in port:
        host, port = authority, b""
    return host.lower(), port or (b"443" if tls else b"80")


def _names(block: bytes, host: bytes) -> bool:
    """Whether a Location leads to `host`, and so to us."""
    return any(match[3] == host for match in _LOCATION.finditer(block)) if host else False
