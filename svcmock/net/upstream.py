"""Where a recorded service really is: its URL, and connections to it.

The only place in which svcmock opens an outward socket, and only a recorder calls it.
"""

import asyncio
import os
import secrets
import ssl
from collections.abc import Callable
from typing import cast
from urllib.parse import unquote, urlsplit

from msgspec.structs import replace

from svcmock.capabilities import Credentials, Opening, Vouching
from svcmock.model import Service
from svcmock.net.starttls import Insecure, start_tls
from svcmock.net.tls import client_context
from svcmock.protocol import Plugin, SvcmockError, Upstream

CONNECT_TIMEOUT = 10.0
"""Seconds to reach an upstream, TLS handshake included."""
PROBE_TIMEOUT = 5.0
"""Seconds to find out what an upstream speaks."""
MAX_ANSWER = 4096
"""Bytes of an upstream's answer after which it must be clear what it speaks."""


class UpstreamError(SvcmockError):
    """An `upstream:` that cannot be used, or could not be reached; the message says why."""


def upstream(service: Service, plugin: Plugin) -> tuple[Upstream, str, int]:
    """The upstream of `service`, its host and its port. Raises UpstreamError."""
    if service.upstream is None:
        raise UpstreamError(f"service {service.name} has no `upstream:` to record from")
    parts = urlsplit(service.upstream)
    if parts.scheme not in plugin.schemes:
        known = ", ".join(sorted(plugin.schemes))
        raise UpstreamError(f"{service.upstream}: protocol {plugin.name} takes URLs with {known}")
    default = plugin.schemes[parts.scheme]
    try:
        host, port = parts.hostname, parts.port or default
    except ValueError as error:
        raise UpstreamError(f"{service.upstream}: {error}") from None
    if not host:
        raise UpstreamError(f"{service.upstream}: no host in it")
    shown = f"[{host}]" if ":" in host else host
    found = Upstream(
        url=service.upstream,
        authority=shown if port == default else f"{shown}:{port}",
        tls=parts.scheme in plugin.tls_schemes,
        preserve_host=service.preserve_host,
    )
    return found, host, port


def credentials(service: Service, plugin: Plugin) -> Credentials | None:
    """What a recorder logs in with, where it does that in its clients' place. Raises UpstreamError."""
    if not (isinstance(plugin, Vouching) and plugin.vouches(service.options)):
        return None
    name = service.upstream_password_env
    password = os.environ.get(name) if name else None
    if name and password is None:
        raise UpstreamError(f"there is no environment variable {name}, which `upstream_password_env` names")
    user = urlsplit(service.upstream or "").username
    return Credentials(None if user is None else unquote(user), password, lambda: secrets.token_urlsafe(18))


class Connector:
    """Opens connections to one service's upstream."""

    def __init__(self, service: Service, plugin: Plugin) -> None:
        where, self._host, self._port = upstream(service, plugin)
        self.upstream = replace(where, credentials=credentials(service, plugin))
        self._plugin = plugin
        self._verify = service.upstream_verify
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}
        if self.upstream.tls:
            self._context(plugin.alpn)

    async def connect(self, factory: Callable[[], asyncio.Protocol], alpn: tuple[str, ...] = ()) -> None:
        """Connect and hand the connection to `factory`'s protocol. Raises UpstreamError.

        `alpn`: what is to be spoken, of an upstream with TLS; empty: what it likes best.
        """
        if not self.upstream.tls:
            await self._connect(factory, None)
            return
        gates: list[_Gate] = []

        def gate() -> _Gate:
            gates.append(_Gate(lambda name: self._speaks(name, alpn), factory))
            return gates[-1]

        await self._connect(gate, self._context(alpn or self._plugin.alpn))
        if gates and not gates[-1].passed:
            raise UpstreamError(f"it does not speak {' or '.join(alpn)} over TLS")

    async def start_tls(
        self, transport: asyncio.Transport, protocol: asyncio.Protocol
    ) -> tuple[asyncio.Transport, bytes]:
        """Speak TLS from here on, on a connection that began without; see `starttls`. Raises UpstreamError."""
        try:
            return await start_tls(transport, protocol, self._context(()), server_name=self._host)
        except Insecure as error:
            raise UpstreamError(str(error)) from None

    async def spoken(self) -> tuple[str, ...]:
        """Those names of the plugin's ALPN that the upstream speaks, asked for each; best first.

        Of one with TLS that cannot be reached, all of them; of one without, the last, which needs no asking.
        """
        names = self._plugin.alpn
        if self.upstream.tls:
            found = await asyncio.gather(*(self._ask(name) for name in names))
            if all(one is None for one in found):
                return names
            return tuple(name for name, one in zip(names, found, strict=True) if one) or names[-1:]
        found = await asyncio.gather(*(self._knock(name) for name in names[:-1]))
        return (*(name for name, one in zip(names, found, strict=False) if one), *names[-1:])

    async def _connect(self, factory: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await loop.create_connection(
                    factory,
                    self._host,
                    self._port,
                    ssl=tls,
                    server_hostname=self._host if tls is not None else None,
                )
        except TimeoutError:
            raise UpstreamError(f"no answer in {CONNECT_TIMEOUT:.0f} s") from None
        except ssl.SSLCertVerificationError as error:
            why = f"its certificate is not trusted: {error.verify_message}"
            raise UpstreamError(f"{why} (`upstream_verify: false` takes it)") from None
        except UnicodeError:
            raise UpstreamError(f"{self._host} cannot be a host's name") from None
        except OSError as error:
            raise UpstreamError(error.strerror or str(error)) from None

    def _context(self, alpn: tuple[str, ...]) -> ssl.SSLContext:
        context = self._contexts.get(alpn)
        if context is None:
            context = self._contexts[alpn] = client_context(verify=self._verify, alpn=alpn)
        return context

    def _speaks(self, selected: str | None, alpn: tuple[str, ...]) -> bool:
        """Whether what was agreed on is what was asked for."""
        return not alpn or (selected or self._plugin.alpn[-1]) in alpn

    async def _ask(self, name: str) -> bool | None:
        """Whether an upstream with TLS agrees on `name`; None: it could not be asked."""
        agreed: list[str | None] = []

        def note(selected: str | None) -> bool:
            agreed.append(selected)
            return False

        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                await self._connect(lambda: _Gate(note, asyncio.Protocol), self._context((name,)))
        except (UpstreamError, TimeoutError):
            return None
        return agreed == [name]

    async def _knock(self, name: str) -> bool:
        """Whether an upstream without TLS answers in this protocol."""
        if not isinstance(self._plugin, Opening):
            return False
        knocking = _Knocking(self._plugin, name)
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                await self._connect(lambda: knocking, None)
                return await knocking.answered
        except (UpstreamError, TimeoutError):
            return False
        finally:
            knocking.close()


class _Gate(asyncio.Protocol):
    """Looks at what TLS agreed on, and lets the connection through to its protocol or ends it."""

    def __init__(self, lets: Callable[[str | None], bool], factory: Callable[[], asyncio.Protocol]) -> None:
        self._lets = lets
        self._factory = factory
        self.passed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self.passed = self._lets(made.get_extra_info("ssl_object").selected_alpn_protocol())
        if self.passed:
            protocol = self._factory()
            made.set_protocol(protocol)
            protocol.connection_made(made)
        else:
            made.abort()


class _Knocking(asyncio.Protocol):
    """Says what a client may say, and listens to what comes back."""

    def __init__(self, plugin: Opening, name: str) -> None:
        self.answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._plugin = plugin
        self._name = name
        self._head = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # as above
        self._transport.write(self._plugin.knock(self._name))

    def data_received(self, data: bytes) -> None:
        self._head += data
        speaks = self._plugin.answered(self._name, self._head)
        if not self.answered.done() and (speaks is not None or len(self._head) > MAX_ANSWER):
            self.answered.set_result(bool(speaks))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  however it ended
        if not self.answered.done():
            self.answered.set_result(False)

    def close(self) -> None:
        self.answered.cancel()
        if self._transport is not None:
            self._transport.abort()
