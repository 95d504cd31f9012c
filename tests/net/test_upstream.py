"""Where an upstream is, by its URL, and what is said when it cannot be reached."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import trustme

from svcmock.model import Tls
from svcmock.net.tls import server_context
from svcmock.net.upstream import Connector, UpstreamError, upstream
from svcmock_protocols.http import plugin
from tests.routes import SERVICE


def service(url: str | None, **more: object) -> object:
    return msgspec.structs.replace(SERVICE, upstream=url, **more)


@pytest.mark.parametrize(
    ("url", "authority", "host", "port", "tls"),
    [
        ("http://shop.example", "shop.example", "shop.example", 80, False),
        ("http://shop.example:80/", "shop.example", "shop.example", 80, False),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", "127.0.0.1", 8000, False),
        ("https://shop.example/base", "shop.example", "shop.example", 443, True),
        ("https://[::1]:8443", "[::1]:8443", "::1", 8443, True),
        ("http://user:secret@shop.example", "shop.example", "shop.example", 80, False),
    ],
)
def test_a_url_names_host_port_and_authority(url: str, authority: str, host: str, port: int, tls: bool) -> None:
    found, where, at = upstream(service(url), plugin)  # type: ignore[arg-type]
    assert (found.authority, where, at, found.tls) == (authority, host, port, tls)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (None, "has no `upstream:`"),
        ("postgres://db", "takes URLs with http, https"),
        ("shop.example:80", "takes URLs with"),
        ("http://", "no host in it"),
        ("http://a:99999", "[Pp]ort"),
        ("http://a:b", "[Pp]ort"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str | None, why: str) -> None:
    with pytest.raises(UpstreamError, match=why):
        upstream(service(url), plugin)  # type: ignore[arg-type]


def attempt(url: str, **more: object) -> None:
    connector = Connector(service(url, **more), plugin)  # type: ignore[arg-type]
    asyncio.run(asyncio.wait_for(connector.connect(asyncio.Protocol), 20))


def test_nobody_there_is_told(free_port: Callable[[], int]) -> None:
    with pytest.raises(UpstreamError, match=r"[Rr]efused|[Cc]onnect"):
        attempt(f"http://127.0.0.1:{free_port()}")


def test_a_certificate_that_is_not_trusted_is_told_with_the_way_out(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    context = server_context(Tls(cert="cert.pem", key="key.pem"), tmp_path, plugin.alpn, None, ())

    async def run(verify: bool) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=context)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        made: list[asyncio.BaseTransport] = []

        class Probe(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                made.append(transport)

        try:
            await Connector(service(url, upstream_verify=verify), plugin).connect(Probe)  # type: ignore[arg-type]
        finally:
            for transport in made:
                transport.abort()  # type: ignore[attr-defined]
            server.close()
            await asyncio.sleep(0)

    with pytest.raises(UpstreamError, match=r"is not trusted.*upstream_verify: false"):
        asyncio.run(run(verify=True))
    asyncio.run(run(verify=False))
