"""How a client of a recorded service logs in: message by message, as some of it is changed. Sans I/O.

    the client's SSLRequest, GSSENCRequest ──▶ answered here: N, or S where the service has TLS
    the upstream's `sslmode` ──▶ an SSLRequest of our own, then TLS towards the server
    SCRAM-SHA-256-PLUS ──▶ taken out of the offer: it binds to a TLS connection that does not reach the client

The login is relayed and never recorded. It is over when the server is ready for the first time.

With `auth: terminate` two logins take its place: the client is let in as it would be by the mock, then the
recorder says to the server who it is (`authentication`). The client hears of that one only how it ends.
"""

from hashlib import blake2b
from typing import Final
from urllib.parse import parse_qs, urlsplit

from svcmock.capabilities import Credentials
from svcmock.protocol import Context, Fact, Forward, ProtocolError, Seen, Shut, Side, StartTLS, Upstream
from svcmock_protocols.postgres import codec, scram
from svcmock_protocols.postgres.authentication import OK, Authentication, Unable
from svcmock_protocols.postgres.facts import OF_THE_CLIENT
from svcmock_protocols.postgres.messages import Options, said

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
        options = context.options if isinstance(context.options, Options) else Options()
        self._credentials: Credentials | None = None
        """The recorder's own, where it logs in itself."""
        if options.auth == "terminate":
            self._credentials = upstream.credentials or Credentials(None, None, str)
        self._password = options.password
        self._challenge: scram.Scram | None = None
        self._authentication: Authentication | None = None
        self._let_in = False
        """The server is content with it."""
        self._reaching = False
        """The client has said all that is needed to begin with the server."""
        self._tls = context.tls
        self._upstream = upstream
        self._client = codec.Frames(codec.MAX_STARTUP)
        self._server = codec.Frames(MAX_LOGIN)
        self._opening: bytes | None = None
        """What the client opened with, while TLS towards the server is not agreed on."""
        self._startup: dict[str, str] = {}
        self._down = ""
        self._failed = False
        """The server has said that it lets nobody in."""

    def from_client(self, data: bytes, out: list[Seen]) -> None:
        """What it says while it does not pass. Raises ProtocolError."""
        self._client.add(data)
        while not (self._reaching or self.refused):
            if self._challenge is not None:
                response = self._client.next()
                if response is None:
                    return
                self._prove(self._challenge, *response, out)
            else:
                found = self._client.startup()
                if found is None:
                    return
                self._open(*found, out)

    def from_server(self, data: bytes, out: list[Seen]) -> None:
        """What it says while it is not ready. Raises ProtocolError."""
        if not self._reaching:
            raise ProtocolError("it speaks first")
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
        """What was held back goes out as it came: nothing is read any more.

        Without a login that the recorder has to make, there is nothing that it could pass on to whom.
        """
        if self._credentials is not None and not self.passes:
            if not self._failed:
                self._refuse_both("08P01", f"there is no login at {self._upstream.authority}", out)
            self.refused = True
            return
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

    def _refuse_both(self, code: str, why: str, out: list[Seen]) -> None:
        """Nor is there anything more for the server."""
        self.refuse(code, why, out)
        out.append(Shut(Side.SERVER))

    # --- the client ---

    def _open(self, code: int, body: bytes, out: list[Seen]) -> None:
        if code == codec.GSSENC_REQUEST or (code == codec.SSL_REQUEST and not self._tls):
            out.append(Forward(b"N", Side.CLIENT))
        elif code == codec.SSL_REQUEST:
            if self._client.held:  # as a server says it; what came is neither read nor passed on
                self._refuse_both("08P01", "received unencrypted data after SSL request", out)
                return
            self._tls = False
            out += (Forward(b"S", Side.CLIENT), StartTLS(Side.CLIENT))
        else:
            self._opening = codec.untyped(code, body)
            self.cancels = code == codec.CANCEL_REQUEST
            if not self.cancels:
                self._startup = codec.startup_parameters(body)
            if self.cancels or self._credentials is None:
                self._reach(out)
            else:
                self._greet(code, self._credentials, out)

    def _greet(self, code: int, own: Credentials, out: list[Seen]) -> None:
        """The recorder logs in itself: let the client in, and introduce ourselves to the server."""
        user = self._startup.get("user", "")
        asked = {**self._startup, "user": own.user or user}
        asked.setdefault("database", user)  # what a server takes where a client says none
        pairs = [codec.text(name) + codec.text(value) for name, value in asked.items()]
        self._opening = codec.untyped(code, b"".join(pairs) + b"\0")
        self._authentication = Authentication(asked["user"], own)
        if self._password is None:
            self._reach(out)
        else:
            seed = int.from_bytes(blake2b(own.nonce().encode(), digest_size=7).digest())
            self._challenge = scram.Scram(self._password, seed)
            out.append(Forward(codec.offered([scram.MECHANISM]), Side.CLIENT))

    def _prove(self, challenge: scram.Scram, kind: bytes, body: bytes, out: list[Seen]) -> None:
        """The client says that it knows the password."""
        if kind == b"X":
            self.refused = True
            out += [Shut(Side.CLIENT), Shut(Side.SERVER)]
            return
        if kind != b"p":
            raise ProtocolError(f"expected SASL response, got message type {kind!r}")
        try:
            out.append(Forward(challenge.take(body), Side.CLIENT))
        except ValueError:
            user = self._startup.get("user", "")
            self._refuse_both("28P01", f'password authentication failed for user "{user}"', out)
            return
        if challenge.proven:
            self._challenge = None
            self._reach(out)

    # --- towards the server ---

    def _reach(self, out: list[Seen]) -> None:
        """Begin with the server."""
        self._reaching = True
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
        self.passes = self._authentication is None

    # --- the server ---

    def _told(self, kind: bytes, body: bytes, out: list[Seen]) -> None:
        if kind == b"R" and self._authentication is not None:
            self._authenticate(self._authentication, body, out)
            return
        raw = codec.frame(kind, body)
        try:
            if kind == b"R" and int.from_bytes(body[:4]) == _SASL:
                names = codec.mechanisms(body[4:])
                kept = [name for name in names if not name.endswith("-PLUS")]
                raw = codec.offered(kept) if kept else raw
            elif kind == b"S":
                self._reported(body, out)
            elif kind == b"K":
                self.pid = codec.Reader(body).int32()
            elif kind == b"Z":
                self.ready = self.passes = True
            elif kind == b"E":
                self._failed = True
        finally:  # what is not understood is passed on, too
            out.append(Forward(raw, Side.CLIENT))

    def _authenticate(self, known: Authentication, body: bytes, out: list[Seen]) -> None:
        """The server asks the recorder who it is, or is content."""
        if self._let_in:
            raise ProtocolError("it asks who it has let in")
        try:
            answer = known.answer(body)
        except Unable as why:
            self._refuse_both("28000", f"{self._upstream.authority}: {why}", out)
            return
        if answer:
            out.append(Forward(answer, Side.SERVER))
        elif int.from_bytes(body[:4]) == OK:
            self._let_in = True
            out.append(Forward(codec.authentication(OK), Side.CLIENT))

    def _reported(self, body: bytes, out: list[Seen]) -> None:
        reader = codec.Reader(body)
        name, value = reader.text(), reader.text()
        if len(self.parameters) >= MAX_PARAMETERS:
            raise ProtocolError(f"more than {MAX_PARAMETERS} parameters")
        self.parameters[name] = value
        if name not in OF_THE_CLIENT and name.lower() not in map(str.lower, self._startup):
            out.append(Fact(name, value))
