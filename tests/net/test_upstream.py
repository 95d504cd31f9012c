"""Where an upstream is, by its URL, and what is said when it cannot be reached."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import trustme
import uvloop

from svcmock.model import Tls
from svcmock.net import upstream as upstreams
from svcmock.net.tls import server_context
from svcmock.net.upstream import Connector, UpstreamError, upstream
from svcmock_protocols.http import plugin
from svcmock_protocols.postgres import plugin as postgres
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
        ("postgres://db", "takes URLs with grpc, grpcs, http, https"),
        ("shop.example:80", "takes URLs with"),
        ("http://", "no host in it"),
        ("http://a:99999", "[Pp]ort"),
        ("http://a:b", "[Pp]ort"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str | None, why: str) -> None:
    with pytest.raises(UpstreamError, match=why):
        upstream(service(url), plugin)  # type: ignore[arg-type]


def test_a_recorder_that_logs_in_itself_reads_the_password_from_its_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = postgres.Options(auth="terminate")
    named = service("postgres://an%40n@db", options=options, upstream_password_env="DB_PASSWORD")
    with pytest.raises(UpstreamError, match="no environment variable DB_PASSWORD"):
        Connector(named, postgres)  # type: ignore[arg-type]
    monkeypatch.setenv("DB_PASSWORD", "pencil")
    known = Connector(named, postgres).upstream.credentials  # type: ignore[arg-type]
    assert (known.user, known.password) == ("an@n", "pencil")
    assert known.nonce() != known.nonce()
    plain = Connector(service("postgres://db", options=options), postgres)  # type: ignore[arg-type]
    assert (plain.upstream.credentials.user, plain.upstream.credentials.password) == (None, None)
    relayed = Connector(service("postgres://db", options=postgres.Options()), postgres)  # type: ignore[arg-type]
    assert relayed.upstream.credentials is None


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


# --- which protocol -----------------------------------------------------------------------------------

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


class Talkative(asyncio.Protocol):
    """Says something at once, and counts who comes."""

    said = b""
    came = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        type(self).came += 1
        self.transport = transport
        if self.said:
            transport.write(self.said)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"PRI"):
            self.transport.write(self.answer)  # type: ignore[attr-defined]

    answer = b""


def talking(said: bytes = b"", answer: bytes = b"") -> type[Talkative]:
    return type("Talking", (Talkative,), {"said": said, "answer": answer})


@pytest.fixture(scope="module")
def leaf() -> trustme.LeafCert:
    return trustme.CA().issue_cert("127.0.0.1")


def tls_of(leaf: trustme.LeafCert, alpn: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def with_server(
    work: Callable[[Connector], Awaitable[object]],
    server: type[asyncio.Protocol],
    tls: ssl.SSLContext | None = None,
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> object:
    """What `work` gives, of a connector to such a server."""

    async def run() -> object:
        listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=tls)
        scheme = "http" if tls is None else "https"
        url = f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        try:
            return await work(Connector(service(url, upstream_verify=False), plugin))  # type: ignore[arg-type]
        finally:
            listening.close()
            await asyncio.sleep(0.05)

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(asyncio.wait_for(run(), 20))


@pytest.mark.parametrize("factory", LOOPS)
@pytest.mark.parametrize(
    ("server", "spoken"),
    [
        (("h2", "http/1.1"), ("h2", "http/1.1")),
        (("http/1.1", "h2"), ("h2", "http/1.1")),
        (("h2",), ("h2",)),
        (("http/1.1",), ("http/1.1",)),
        (("other",), ("http/1.1",)),
        ((), ("http/1.1",)),
    ],
)
def test_an_upstream_with_tls_is_asked_for_each_protocol(
    leaf: trustme.LeafCert,
    factory: Callable[[], asyncio.AbstractEventLoop],
    server: tuple[str, ...],
    spoken: tuple[str, ...],
) -> None:
    assert with_server(lambda one: one.spoken(), talking(), tls_of(leaf, server), factory) == spoken


SETTINGS = b"\0\0\0\x04\0\0\0\0\0"


@pytest.mark.parametrize("factory", LOOPS)
@pytest.mark.parametrize(
    ("said", "answer", "spoken"),
    [
        (b"", SETTINGS, ("h2", "http/1.1")),
        (SETTINGS, b"", ("h2", "http/1.1")),
        (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", ("http/1.1",)),
        (b"220 mail\r\n", b"", ("http/1.1",)),
        (b"", b"", ("http/1.1",)),
    ],
)
def test_an_upstream_without_tls_is_knocked_at(
    monkeypatch: pytest.MonkeyPatch,
    factory: Callable[[], asyncio.AbstractEventLoop],
    said: bytes,
    answer: bytes,
    spoken: tuple[str, ...],
) -> None:
    monkeypatch.setattr(upstreams, "PROBE_TIMEOUT", 5.0 if said or answer else 0.2)
    assert with_server(lambda one: one.spoken(), talking(said, answer), None, factory) == spoken


@pytest.mark.parametrize(("scheme", "spoken"), [("https", plugin.alpn), ("http", plugin.alpn[-1:])])
def test_what_an_upstream_that_is_not_there_speaks(
    free_port: Callable[[], int], scheme: str, spoken: tuple[str, ...]
) -> None:
    connector = Connector(service(f"{scheme}://127.0.0.1:{free_port()}"), plugin)  # type: ignore[arg-type]
    assert asyncio.run(asyncio.wait_for(connector.spoken(), 20)) == spoken


class Reached(asyncio.Protocol):
    def __init__(self) -> None:
        self.got = b""
        self.alpn: str | None = None
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.alpn = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += data
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@pytest.mark.parametrize("factory", LOOPS)
@pytest.mark.parametrize(
    ("server", "wanted", "agreed"),
    [(("h2",), ("h2",), "h2"), (("h2", "http/1.1"), ("http/1.1",), "http/1.1"), ((), ("http/1.1",), None)],
)
def test_what_was_agreed_on_is_spoken(
    leaf: trustme.LeafCert,
    factory: Callable[[], asyncio.AbstractEventLoop],
    server: tuple[str, ...],
    wanted: tuple[str, ...],
    agreed: str | None,
) -> None:
    """And what the server says at once is not lost."""

    async def work(connector: Connector) -> tuple[bytes, str | None]:
        reached = Reached()
        await connector.connect(lambda: reached, wanted)
        await reached.lost
        return reached.got, reached.alpn

    assert with_server(work, talking(b"hello"), tls_of(leaf, server), factory) == (b"hello", agreed)


@pytest.mark.parametrize("factory", LOOPS)
@pytest.mark.parametrize("server", [("http/1.1",), ()])
def test_what_cannot_be_agreed_on_is_told(
    leaf: trustme.LeafCert, factory: Callable[[], asyncio.AbstractEventLoop], server: tuple[str, ...]
) -> None:
    made: list[Reached] = []

    def make() -> Reached:
        made.append(Reached())
        return made[-1]

    with pytest.raises(UpstreamError, match=r"^it does not speak h2 over TLS$"):
        with_server(lambda one: one.connect(make, ("h2",)), talking(b"hello"), tls_of(leaf, server), factory)
    assert not made
