"""The recording side of an HTTP/1 connection: bytes pass, requests are paired with replies in their order.

Decides what is rewritten on the way, and nothing else is: `Host` becomes the upstream's unless
`preserve_host`; an absolute-form target becomes origin-form; URLs in a reply's head lead home (`exchanges`).

Heads are passed on when they are complete, all other bytes at once. Replies are paired first in, first out
(RFC 9112 section 9.3.2). An exchange is emitted when both its messages are complete, with its credentials
replaced. Another protocol that takes the connection over (CONNECT, Upgrade) and bytes that cannot be decoded
make the tap opaque: it lets everything through, and the requests under way are lost.

HTTP/2 is recorded by a tap of its own, which takes over from this one: after its preface, with which a client
with prior knowledge begins, and after a 101 that agrees to `Upgrade: h2c` (RFC 7540 section 3.2), where the
request has become the first stream.
"""

import base64
import binascii
import re
from collections import deque
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from svcmock.protocol import Become, Context, Forward, Opaque, Seen, Shut, Side, Sight, Upstream
from svcmock_protocols.http.body import BodyReader, body_reader
from svcmock_protocols.http.codec import (
    MAX_HEAD,
    MessageError,
    ReplyHead,
    RequestHead,
    connection_options,
    parse_reply_head,
    parse_request_head,
    values,
    without,
)
from svcmock_protocols.http.exchanges import Asked, Exchanges, Told, unreachable_text
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.tap import H2Tap, toned_down
from svcmock_protocols.http.messages import Request
from svcmock_protocols.http.watched import Body, Cuts

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\n"
"""What of HTTP/2's preface looks like a head."""
H2C_SETTINGS: Final = b"http2-settings"
UPGRADE_FIELDS: Final = (b"connection", b"upgrade", H2C_SETTINGS)
"""Fields of a request that became a stream: they were about the connection, and are not recorded."""

_HOST = re.compile(rb"^(host:[ \t]*)[^\r\n]*", re.IGNORECASE | re.MULTILINE)
_H2C_SETTINGS = re.compile(rb"^(http2-settings:[ \t]*)([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*")


class _Telling(Struct):
    """A reply whose body is passing."""

    to: Asked
    reader: BodyReader
    body: Body
    cuts: Cuts


class HttpTap:
    """One recorded connection, as `svcmock.protocol.Tap` asks for it."""

    def __init__(self, context: Context, upstream: Upstream) -> None:
        self._exchanges = Exchanges(context, upstream)
        self._upstream = upstream
        self._client, self._server = bytearray(), bytearray()
        self._client_seen = self._server_seen = 0
        self._client_at = self._server_at = 0.0
        self._asking: tuple[Asked, BodyReader] | None = None
        self._telling: _Telling | None = None
        self._queue: deque[Asked] = deque()
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

    def informed(self, context: Context) -> Sight:
        out: list[Seen] = []
        self._exchanges.informed(context, out)
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
            self._preface(at, out)
            return False
        try:
            found = parse_request_head(self._client, 0, self._exchanges.options.max_head, self._client_seen)
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
        if self._exchanges.full:
            self._give_up(f"more than {len(self._exchanges.open)} requests under way", out)
            return False
        asked = self._open_one(head, out)
        self._client_seen = 0
        if self._down:
            self._answer(head.request.method, out)
            return False
        out.append(Forward(self._outgoing(head.request), Side.SERVER))
        del self._client[:end]
        reader = body_reader(head.framing, head.length, self._exchanges.options.max_body)
        if reader.done:
            self._asked(asked, reader, out)
            self._client_at = at
        else:
            self._asking = (asked, reader)
        return True

    def _open_one(self, head: RequestHead, out: list[Seen]) -> Asked:
        hosts = values(head.request.block, b"host")
        asked = self._exchanges.begin(head.request, self._client_at, hosts[0] if hosts else b"", out)
        self._queue.append(asked)
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
        if _offers_h2c(request):
            block = _H2C_SETTINGS.sub(lambda match: match[1] + _settings_field(match[2]), block, count=1)
        return b"%b %b HTTP/%b\r\n%b\r\n" % (request.method, target, request.version, block)

    def _asked(self, asked: Asked, reader: BodyReader, out: list[Seen]) -> None:
        """A request is complete."""
        self._asking = None
        self._exchanges.heard(asked, reader.trailers, out)

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
            # servers of HTTP/2 alone send their settings to whoever connects
            if not (self._exchanges.first and frames.may_be_settings(self._server)):
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
        block = self._exchanges.homeward(head.reply.block, asked.host)
        out.append(Forward(raw[: -2 - len(head.reply.block)] + block + b"\r\n", Side.CLIENT))
        del self._server[:end]
        reply = replace(head.reply, block=block)
        if reply.status >= 200:
            self._tell(asked, replace(head, reply=reply), at, out)
            return True
        self._server_at = at
        if reply.status == 101:
            self._switched(asked, block, at, out)
        else:
            self._exchanges.interim(asked, reply.status, reply.reason, reply.block)
        return True

    def _tell(self, asked: Asked, head: ReplyHead, at: float, out: list[Seen]) -> None:
        """The final head has come: watch the body."""
        framing = head.reply.framing
        self._telling = _Telling(
            asked,
            body_reader(framing, head.length, self._exchanges.max_reply, padded=True),
            self._exchanges.answering(asked, head.reply, self._server_at - asked.at),
            Cuts(at, chunked=framing == "chunked"),
        )
        if framing == "none" or self._telling.reader.done:
            self._told(self._telling, out)
            self._server_at = at

    def _told(self, telling: _Telling, out: list[Seen]) -> None:
        """A reply is complete."""
        self._telling = None
        self._queue.popleft()
        told = Told(telling.cuts.chunks(), telling.reader.size, telling.reader.trailers)
        self._exchanges.told(telling.to, telling.body, told, out)

    # --- HTTP/2 takes over ---

    def _preface(self, at: float, out: list[Seen]) -> None:
        """The client speaks HTTP/2. It cannot change its mind in the middle of a connection."""
        if not self._exchanges.first:
            self._give_up("HTTP/2 in the middle of an HTTP/1 connection", out)
            return
        tap = H2Tap(self._exchanges)
        if self._down:
            out += tap.unreachable(self._down, at)
        self._hand_over(tap, at, out)

    def _switched(self, asked: Asked, block: bytes, at: float, out: list[Seen]) -> None:
        """The server agreed to another protocol."""
        others = len(self._queue) > 1 or not asked.asked
        to_h2 = [value.lower() for value in values(block, b"upgrade")] == [b"h2c"]
        if others or not to_h2 or not _offers_h2c(asked.request):
            why = "the connection went over to another protocol"
            self._exchanges.lose(asked, why, out, skipped=True)
            self._give_up(why, out)
            return
        settings = values(asked.request.block, H2C_SETTINGS)[0]
        asked.request = replace(asked.request, block=without(asked.request.block, *UPGRADE_FIELDS))
        self._queue.clear()
        self._hand_over(H2Tap(self._exchanges, asked, _settings_of(settings) or b""), at, out)

    def _hand_over(self, tap: H2Tap, at: float, out: list[Seen]) -> None:
        if self._server:
            out += tap.from_server(bytes(self._server), at)
        out.append(Become(tap, bytes(self._client)))
        self._server.clear()
        self._client.clear()
        self._blind = True

    # --- ends ---

    def _pass_over(self, why: str, out: list[Seen]) -> None:
        """A request that is no exchange: it counts as skipped, and its protocol passes unread."""
        self._exchanges.pass_over(why, out)
        if self._down:
            self._answer(b"", out)
        else:
            self._give_up(why, out)

    def _give_up(self, why: str, out: list[Seen]) -> None:
        """From here on nothing is read, and what was held back goes out as it came."""
        self._exchanges.lose_all(why, out)
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
            self._exchanges.lose(self._asking[0], "the client left in the middle of its request", out)
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
            self._exchanges.lose_all(f"the upstream left {where}", out)
            self._release(out)
        out.append(Shut(Side.CLIENT))

    def _answer(self, method: bytes, out: list[Seen]) -> None:
        """There is no upstream: say so to the client, and that was all."""
        said = unreachable_text(self._upstream, self._down).encode()
        head = (
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(said)
        )
        out.append(Forward(head if method == b"HEAD" else head + said, Side.CLIENT))
        self._exchanges.lose_all(f"the upstream cannot be reached: {self._down}", out)
        self._queue.clear()
        self._client.clear()
        self._asking = None
        self._answered = True
        out.append(Shut(Side.CLIENT))


def _offers_h2c(request: Request) -> bool:
    """Whether the server may answer in HTTP/2: RFC 7540 section 3.2."""
    if request.version != b"1.1" or b"h2c" not in request.block.lower():
        return False
    offered = connection_options(values(request.block, b"upgrade"))
    named = connection_options(values(request.block, b"connection"))
    settings = values(request.block, H2C_SETTINGS)
    return b"h2c" in offered and {b"upgrade", H2C_SETTINGS} <= named and len(settings) == 1


def _settings_of(value: bytes) -> bytes | None:
    """The payload of a SETTINGS frame in an HTTP2-Settings field; None for what is none."""
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), b"-_", validate=True)
    except binascii.Error:
        return None


def _settings_field(value: bytes) -> bytes:
    """The field with what we ask of every client's settings."""
    payload = _settings_of(value)
    if payload is None:
        return value
    try:
        return base64.urlsafe_b64encode(toned_down(payload, Side.CLIENT, first=True)).rstrip(b"=")
    except frames.ConnectionFault:
        return value
