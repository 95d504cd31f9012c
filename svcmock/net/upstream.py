"""Where a recorded service really is: its URL, and connections to it.

The only place in which svcmock opens an outward socket, and only a recorder calls it.
"""

import asyncio
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

from svcmock.model import Service
from svcmock.net.tls import client_context
from svcmock.protocol import Plugin, SvcmockError, Upstream

CONNECT_TIMEOUT = 10.0
"""Seconds to reach an upstream, TLS handshake included."""


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


class Connector:
    """Opens connections to one service's upstream."""

    def __init__(self, service: Service, plugin: Plugin) -> None:
        self.upstream, self._host, self._port = upstream(service, plugin)
        self._tls: ssl.SSLContext | None = None
        if self.upstream.tls:
            self._tls = client_context(verify=service.upstream_verify, alpn=plugin.alpn)

    async def connect(self, factory: Callable[[], asyncio.Protocol]) -> None:
        """Connect and hand the connection to `factory`'s protocol. Raises UpstreamError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await loop.create_connection(
                    factory,
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls is not None else None,
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
