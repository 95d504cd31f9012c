"""TLS that begins in the middle of a connection.

Until the handshake is done the protocol of the connection hears nothing: not a byte of it, and not its own
end, of which the event loops tell in some cases and not in others. Whoever starts TLS is told of failure by
`Insecure` alone, and ends what it has.
"""

import asyncio
import ssl

from svcmock.protocol import SvcmockError

HANDSHAKE_TIMEOUT = 60.0
"""Seconds for the handshake."""


class Insecure(SvcmockError):
    """There is no TLS, and no connection any more; the message says why."""


class _Between(asyncio.Protocol):
    """Has the connection during the handshake, and keeps what comes right behind it."""

    def __init__(self) -> None:
        self.early = b""
        self.ended = False
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.early += data

    def eof_received(self) -> bool:
        self.ended = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  however it ended
        self.lost = True


async def start_tls(
    transport: asyncio.Transport,
    protocol: asyncio.Protocol,
    context: ssl.SSLContext,
    *,
    server_name: str | None = None,
) -> tuple[asyncio.Transport, bytes]:
    """Speak TLS from here on; as the server, unless it is given a name. Raises Insecure.

    Gives the transport, with `protocol` on it, and what the peer has already said in TLS.
    """
    transport.pause_reading()
    between = _Between()
    try:
        secure = await asyncio.get_running_loop().start_tls(
            transport,
            between,
            context,
            server_side=server_name is None,
            server_hostname=server_name,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
        )
    except (OSError, ssl.SSLError) as error:
        transport.abort()
        raise Insecure(_why(error)) from None
    if secure is None or between.lost or between.ended:
        transport.abort()
        raise Insecure("the connection ended")
    secure.set_protocol(protocol)
    return secure, between.early


def _why(error: OSError | ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message} (`upstream_verify: false` takes it)"
    return error.strerror or str(error) or type(error).__name__
