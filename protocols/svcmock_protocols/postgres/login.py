"""How a client of a recorded service logs in: message by message, as some of it is changed. Sans I/O.

    the client's SSLRequest, GSSENCRequest ──▶ answered here: N, or S where the service has TLS
    the upstream's `sslmode` ──▶ an SSLRequest of our own, then TLS towards the server
    SCRAM-SHA-256-PLUS ──▶ taken out of the offer: it binds to a TLS connection that does not reach the client

The login is relayed and never recorded. It is over when the server is ready for the first time.
"""

from typing import Final
from urllib.parse import parse_qs, urlsplit

from svcmock.protocol import Context, Fact, Forward, ProtocolError, Seen, Shut, Side, StartTLS, Upstream
from svcmock_protocols.postgres import codec
from svcmock_protocols.postgres.facts import OF_THE_CLIENT
from svcmock_protocols.postgres.messages import said

MAX_LOGIN: Final = 1 << 20
"""Bytes of a server's message before it is ready."""
MAX_PARAMETERS: Final = 1000
"""Parameters that a server reports before it is ready."""
_DEMANDS_TLS: Final = frozenset({"require", "verify-ca", "verify-full"})
_SASL: Final = 10


class Login:
    """That of one connection. `pid`: the number of the server's process; 0 while it is not known."""

    def __init__(self, context: Context, upstream: Upstream) -> None:
        self.passes = False
        """What the client says goes to the server."""
        self.ready = False
        """The server has said so: the login is over."""
        self.cancels = False
        """The connection cancels what another one does, and has no login."""
        self.refused = False
        """The client was told that there is no server, and nothing follows."""
        self.parameters: dict[str, str] = {}
        self.pid = 0
        self._tls = context.tls
        self._upstream = upstream
        self._client = codec.Frames(codec.MAX_STARTUP)
        self._server = codec.Frames(MAX_LOGIN)
        self._opening: bytes | None = None
        """What the client opened with, while TLS towards the server is not agreed on."""
        self._startup: dict[str, str] = {}
        self._down = ""

    def from_client(self, data: bytes, out: list[Seen]) -> None:
        """What it says while it does not pass. Raises ProtocolError."""
        self._client.add(data)
        while not (self.passes or self.refused) and self._opening is None:
            found = self._client.startup()
            if found is None:
                return
            self._open(*found, out)

    def from_server(self, data: bytes, out: list[Seen]) -> None:
        """What it says while it is not ready. Raises ProtocolError."""
        if self._opening is not None:
            data = self._agree(data, out)
        self._server.add(data)
        while not (self.ready or self.refused) and (found := self._server.next()) is not None:
            self._told(*found, out)

    def early(self) -> bytes:
        """What the client has said behind its login, once that passes; given once."""
        return self._client.rest() if self.passes else b""

    def late(self) -> bytes:
        """What the server has said behind its login; given once."""
        return self._server.rest() if self.ready else b""

    def release(self, out: list[Seen]) -> None:
        """What was held back goes out as it came: nothing is read any more."""
        held = (self._opening or b"") + self._client.rest()
        if held:
            out.append(Forward(held, Side.SERVER))
        held = self._server.rest()
        if held:
            out.append(Forward(held, Side.CLIENT))
        self._opening = None

    def unreachable(self, why: str, out: list[Seen]) -> None:
        """There is no server. A client that has yet to hear whether there is TLS would not read the reason."""
        self._down = why
        if self.passes or self._opening is not None:
            self.refuse("08006", f"{self._upstream.authority} cannot be reached: {why}", out)

    def refuse(self, code: str, why: str, out: list[Seen]) -> None:
        """Tell the client why there is nothing for it."""
        if not self.refused:
            self.refused = True
            told = said(code, f"svcmock: {why}", "FATAL")
            out += [Forward(codec.saying(b"E", told), Side.CLIENT), Shut(Side.CLIENT)]

    # --- the client ---

    def _open(self, code: int, body: bytes, out: list[Seen]) -> None:
        if code == codec.GSSENC_REQUEST or (code == codec.SSL_REQUEST and not self._tls):
            out.append(Forward(b"N", Side.CLIENT))
        elif code == codec.SSL_REQUEST:
            if self._client.held:  # as a server says it; what came is neither read nor passed on
                self.refuse("08P01", "received unencrypted data after SSL request", out)
                out.append(Shut(Side.SERVER))
                return
            self._tls = False
            out += (Forward(b"S", Side.CLIENT), StartTLS(Side.CLIENT))
        else:
            self.cancels = code == codec.CANCEL_REQUEST
            if not self.cancels:
                self._startup = codec.startup_parameters(body)
            self._opening = codec.untyped(code, body)
            self._reach(out)

    # --- towards the server ---

    def _reach(self, out: list[Seen]) -> None:
        """Begin with the server."""
        if self._down:
            self.unreachable(self._down, out)
        elif self._sslmode in ("", "disable", "allow"):
            self._start(out)
        else:
            out.append(Forward(codec.untyped(codec.SSL_REQUEST), Side.SERVER))

    @property
    def _sslmode(self) -> str:
        return parse_qs(urlsplit(self._upstream.url).query).get("sslmode", [""])[0]

    def _agree(self, data: bytes, out: list[Seen]) -> bytes:
        """The server's answer to our SSLRequest; gives what came after it."""
        answer, rest = data[:1], data[1:]
        if answer == b"S" and not rest:
            out.append(StartTLS(Side.SERVER))
            self._start(out)
        elif answer == b"N" and self._sslmode not in _DEMANDS_TLS:
            self._start(out)
        else:
            self.unreachable("it does not speak TLS, which `sslmode` of its URL demands", out)
            out.append(Shut(Side.SERVER))
            return b""
        return rest

    def _start(self, out: list[Seen]) -> None:
        """Pass on what the client opened with."""
        opening, self._opening = self._opening, None
        assert opening is not None
        out.append(Forward(opening, Side.SERVER))
        self.passes = True

    # --- the server ---

    def _told(self, kind: bytes, body: bytes, out: list[Seen]) -> None:
        raw = codec.frame(kind, body)
        if kind == b"R" and int.from_bytes(body[:4]) == _SASL:
            names = codec.mechanisms(body[4:])
            kept = [name for name in names if not name.endswith("-PLUS")]
            raw = codec.offered(kept) if kept else raw
        elif kind == b"S":
            self._reported(body, out)
        elif kind == b"K":
            self.pid = codec.Reader(body).int32()
        elif kind == b"Z":
            self.ready = True
        out.append(Forward(raw, Side.CLIENT))

    def _reported(self, body: bytes, out: list[Seen]) -> None:
        reader = codec.Reader(body)
        name, value = reader.text(), reader.text()
        if len(self.parameters) >= MAX_PARAMETERS:
            raise ProtocolError(f"more than {MAX_PARAMETERS} parameters")
        self.parameters[name] = value
        if name not in OF_THE_CLIENT and name.lower() not in map(str.lower, self._startup):
            out.append(Fact(name, value))
