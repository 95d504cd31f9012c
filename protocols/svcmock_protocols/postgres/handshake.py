"""Serving, until a client has logged in: TLS, the startup message, authentication. Sans I/O.

    SSLRequest ──▶ S, TLS where the service has it, else N      GSSENCRequest ──▶ N
    CancelRequest ──▶ told to the connection with that key      StartupMessage ──▶ SCRAM, or at once:
    AuthenticationOk, ParameterStatus..., BackendKeyData, ReadyForQuery ──▶ `session`

Anybody is let in unless the service has a password. Protocol 3.0 and 3.2 are spoken; of a newer one or of
options nobody knows, a client is told with NegotiateProtocolVersion.
"""

from collections.abc import Hashable, Mapping
from typing import Final

from svcmock.protocol import (
    Ask,
    Become,
    Close,
    Context,
    Out,
    Outs,
    ProtocolError,
    Publish,
    Reply,
    Send,
    Side,
    StartTLS,
)
from svcmock_protocols.postgres import codec, facts, scram
from svcmock_protocols.postgres.messages import Options, said
from svcmock_protocols.postgres.session import PostgresSession
from svcmock_protocols.postgres.shared import State, cancelling
from svcmock_protocols.postgres.standing import Standing

_SPOKEN: Final = "unsupported frontend protocol %d.%d: 3.0 and 3.2 are spoken"


class HandshakeSession:
    """A `svcmock.protocol.Session`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._options = context.options if isinstance(context.options, Options) else Options()
        self._state = context.state if isinstance(context.state, State) else State()
        self._frames = codec.Frames(codec.MAX_STARTUP)
        self._startup: dict[str, str] | None = None
        self._scram: scram.Scram | None = None
        self._secure = False
        self._over = False
        self._key = (0, b"")

    @property
    def at_rest(self) -> Hashable | None:
        return None

    @property
    def idle(self) -> bool:
        return False

    @property
    def held(self) -> int:
        return 0

    def opened(self) -> Outs:
        return ()

    def answered(self, ask: Ask, reply: Reply) -> Outs:  # noqa: ARG002  nothing is asked for yet
        return ()

    def waiting(self, ask: Ask, after: float) -> Outs:  # noqa: ARG002  as above
        return ()

    def woke(self, token: Hashable) -> Outs:  # noqa: ARG002  no time is asked for
        return ()

    def timed_out(self) -> Outs:
        return self._end("08P01", "the startup did not arrive in time")

    def draining(self) -> Outs:
        return self._end("57P03", "the database system is shutting down")

    def eof(self) -> Outs:
        if self._over:
            return ()
        self._over = True
        return (Close(),)

    def received(self, data: bytes) -> Outs:
        if self._over:
            return ()
        self._frames.add(data)
        outs: list[Out] = []
        try:
            while self._step(outs):
                pass
        except ProtocolError as error:
            outs += self._end("08P01", str(error))
        return outs

    def _step(self, outs: list[Out]) -> bool:
        """Deal with one message. False: none is whole, or it was the last."""
        if self._over:
            return False
        if self._startup is not None:
            found = self._frames.next()
            if found is not None:
                outs += self._authenticate(*found)
            return found is not None
        begun = self._frames.startup()
        if begun is None:
            return False
        outs += self._begin(*begun)
        return True

    def _begin(self, code: int, body: bytes) -> Outs:
        match code:
            case codec.SSL_REQUEST:
                return self._secured()
            case codec.GSSENC_REQUEST:
                return (Send(b"N"),)
            case codec.CANCEL_REQUEST:
                reader = codec.Reader(body)
                self._over = True
                return Publish(cancelling(reader.int32(), reader.rest()), None), Close()
        major, minor = code >> 16, code & 0xFFFF
        if major != 3:
            return self._end("0A000", _SPOKEN % (major, minor))
        startup = codec.startup_parameters(body)
        if not startup.get("user"):
            return self._end("28000", "no PostgreSQL user name specified in startup packet")
        if startup.get("replication", "false") not in {"false", "off", "no", "0"}:
            return self._end("0A000", "svcmock does not serve replication")
        self._startup = startup
        self._key = self._state.key()
        return *_negotiated(minor, startup), *self._challenge()

    def _secured(self) -> Outs:
        if not self._context.tls or self._secure:
            return (Send(b"N"),)
        if self._frames.held:  # said before TLS, it would be taken for said within it
            return self._end("08P01", "received unencrypted data after SSL request")
        self._secure = True
        return Send(b"S"), StartTLS(to=Side.CLIENT)

    # --- authentication ---

    def _challenge(self) -> Outs:
        if self._options.password is None:
            return self._welcome()
        self._scram = scram.Scram(self._options.password, self._key[0])
        return (Send(codec.offered([scram.MECHANISM])),)

    def _authenticate(self, kind: bytes, body: bytes) -> Outs:
        if kind == b"X":
            self._over = True
            return (Close(),)
        if kind != b"p" or self._scram is None:
            raise ProtocolError(f"expected SASL response, got message type {kind!r}")
        try:
            told = Send(self._scram.take(body))
            return (told, *self._welcome()) if self._scram.proven else (told,)
        except ValueError:
            user = (self._startup or {}).get("user", "")
            return self._end("28P01", f'password authentication failed for user "{user}"')

    def _welcome(self) -> Outs:
        self._over = True
        told = facts.parameters(self._context.schema, self._startup or {})
        number, secret = self._key
        hello = b"".join(
            [
                codec.authentication(0),
                *[codec.reported(name, value) for name, value in told.items()],
                codec.frame(b"K", number.to_bytes(4) + secret),
                codec.ready("I"),
            ]
        )
        session = PostgresSession(
            self._options,
            Standing(told, _database(self._startup or {})),
            self._key,
            self._state,
            facts.types_of(self._context.schema),
            self._context.pace,
        )
        return Send(hello), Become(session, self._frames.rest())

    def _end(self, code: str, message: str) -> Outs:
        if self._over:
            return ()
        self._over = True
        return Send(codec.saying(b"E", said(code, message, "FATAL"))), Close()


def _database(startup: Mapping[str, str]) -> str:
    """The one that is asked for; without a name the user's."""
    return startup.get("database") or startup.get("user", "")


def _negotiated(minor: int, startup: dict[str, str]) -> Outs:
    """What of the client's version and options is not known, if anything."""
    unknown = [name for name in startup if name.startswith("_pq_.")]
    spoken = max(known for known in codec.PROTOCOL_MINORS if known <= minor)
    if spoken == minor and not unknown:
        return ()
    body = (3 << 16 | spoken).to_bytes(4) + len(unknown).to_bytes(4) + b"".join(map(codec.text, unknown))
    return (Send(codec.frame(b"v", body)),)
