"""TLS over real sockets: whom a client trusts, which name it is shown, who is let in, and what changes live."""

import re
import shutil
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
import trustme

from tests.e2e.processes import Svcmock, wait_until
from tests.e2e.projects import configure, connect, get, project, receive, talk

BODY = b'{"id":42}'
REQUEST = b"GET /users/42 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def ask(port: int, context: ssl.SSLContext, name: str = "localhost") -> tuple[bytes, str | None, str | None]:
    """The whole reply to one request, the protocol agreed on by ALPN, and the version of TLS."""
    with connect(port) as raw, context.wrap_socket(raw, server_hostname=name) as sock:
        sock.sendall(REQUEST)
        return receive(sock), sock.selected_alpn_protocol(), sock.version()


def trusting(authority: Path | trustme.CA, *alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority) if isinstance(authority, Path) else None)
    if isinstance(authority, trustme.CA):
        authority.configure_trust(context)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def own(folder: Path, authority: trustme.CA, *names: str) -> None:
    """A certificate and its key, as files of the project."""
    leaf = authority.issue_cert(*names)
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_auto_shows_each_name_its_leaf_to_who_trusts_the_ca(svcmock: Svcmock, tmp_path: Path) -> None:
    """Two SNI names, and an address without SNI; by ssl, httpx and curl, trusting what `svcmock ca` names."""
    shop = project(tmp_path / "shop", "shop: {listen: 0, tls: auto, routes: routes/}")
    port = svcmock.up(shop).ports["shop"]
    told = svcmock.run("ca").stdout
    found = re.search(r"^CA certificate +(\S+)$", told, re.MULTILINE)
    assert found
    ca = Path(found[1])
    assert ca == shop / ".svcmock/ca/ca.pem"
    context = trusting(ca, "http/1.1")
    for name in ("catalog.internal", "orders.example.com", "127.0.0.1"):
        reply, alpn, version = ask(port, context, name)
        assert (reply[-len(BODY) :], alpn, version) == (BODY, "http/1.1", "TLSv1.3")
    assert ask(port, trusting(ca, "http/1.1", "h2"), "catalog.internal")[1] == "h2"
    with httpx.Client(verify=context, trust_env=False) as client:
        assert client.get(f"https://localhost:{port}/users/42").content == BODY
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(port, ssl.create_default_context())
    curl = shutil.which("curl")
    assert curl, "curl is needed"
    argv = [curl, "-sS", "--noproxy", "*", "--cacert", str(ca), f"https://127.0.0.1:{port}/users/42"]
    assert subprocess.run(argv, capture_output=True, timeout=30, check=True).stdout == BODY


def test_the_variables_of_env_make_a_client_trust_it(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop", "shop: {listen: 0, tls: auto, routes: routes/}")
    done = svcmock.run("run", shop, "--", "sh", "-c", 'curl -sS --noproxy "*" "$SHOP_URL/users/42"')
    assert done.stdout == BODY.decode()


def test_plain_and_tls_on_one_port(svcmock: Svcmock, tmp_path: Path) -> None:
    both = "both: {listen: 0, tls: auto, routes: routes/}"
    strict = "strict: {listen: 0, tls: {auto: true, plain: false}, routes: routes/}"
    shop = project(tmp_path / "shop", f"{both}\n{strict}")
    ports = svcmock.up(shop).ports
    context = trusting(shop / ".svcmock/ca/ca.pem")
    assert get(ports["both"]) == (200, BODY)
    assert ask(ports["both"], context)[0].endswith(BODY)
    assert ask(ports["strict"], context)[0].endswith(BODY)
    try:
        refused = talk(ports["strict"], REQUEST)
    except ConnectionResetError:
        refused = b""
    assert not refused.startswith(b"HTTP/")


def test_tls_1_1_is_refused(svcmock: Svcmock, tmp_path: Path) -> None:
    """A ClientHello that offers no more than TLS 1.1 gets no ServerHello; TLS 1.2 is served."""
    shop = project(tmp_path / "shop", "shop: {listen: 0, tls: auto, routes: routes/}")
    port = svcmock.up(shop).ports["shop"]
    hello = b"\x03\x02" + bytes(32) + b"\x00" + b"\x00\x02\xc0\x14" + b"\x01\x00"
    record = b"\x16\x03\x01" + (len(hello) + 4).to_bytes(2) + b"\x01" + len(hello).to_bytes(3) + hello
    assert talk(port, record)[:1] in (b"", b"\x15")
    context = trusting(shop / ".svcmock/ca/ca.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    reply, _, version = ask(port, context)
    assert (reply[-len(BODY) :], version) == (BODY, "TLSv1.2")


def test_own_certificates_and_a_reload_to_new_ones(
    svcmock: Svcmock, tmp_path: Path, authority: trustme.CA
) -> None:
    """New connections see the new certificate; those that were made go on; a broken one is refused and told."""
    shop = project(tmp_path / "shop", "shop: {listen: 0, tls: {cert: cert.pem, key: key.pem}, routes: routes/}")
    own(shop, authority, "old.example")
    port = svcmock.up(shop).ports["shop"]
    context = trusting(authority)
    with connect(port) as raw, context.wrap_socket(raw, server_hostname="old.example") as early:
        own(shop, authority, "new.example")
        svcmock.run("reload", shop)
        wait_until(lambda: shown(port, context, "new.example"))
        assert not shown(port, context, "old.example")
        (shop / "key.pem").write_text("broken")
        refused = svcmock.run("reload", shop, code=1).stdout
        assert "svcmock.yaml:3:1: service shop: tls.key: " in refused
        assert shown(port, context, "new.example")
        early.sendall(REQUEST)
        assert receive(early).endswith(BODY)


def shown(port: int, context: ssl.SSLContext, name: str) -> bool:
    try:
        return ask(port, context, name)[0].endswith(BODY)
    except ssl.SSLCertVerificationError:
        return False


def turned_away(port: int, context: ssl.SSLContext) -> bool:
    """In TLS 1.3 a client learns it only after its own part of the handshake (RFC 8446, 4.4)."""
    try:
        return ask(port, context)[0] == b""
    except (ssl.SSLError, ConnectionResetError):
        return True


@pytest.mark.parametrize("client", ["required", "optional"])
def test_client_certificates(svcmock: Svcmock, tmp_path: Path, authority: trustme.CA, client: str) -> None:
    tls = f"{{auto: true, client_ca: clients.pem, client: {client}}}"
    shop = project(tmp_path / "shop", "shop: {listen: 0}")
    authority.cert_pem.write_to_path(str(shop / "clients.pem"))
    configure(shop, f"shop: {{listen: 0, tls: {tls}, routes: routes/}}")
    mock = svcmock.up(shop)
    port = mock.ports["shop"]
    ca = shop / ".svcmock/ca/ca.pem"
    known, stranger = trusting(ca), trusting(ca)
    authority.issue_cert("client@example.org").configure_cert(known)
    trustme.CA().issue_cert("client@example.org").configure_cert(stranger)
    assert ask(port, known)[0].endswith(BODY)
    assert turned_away(port, stranger)
    if client == "optional":
        assert ask(port, trusting(ca))[0].endswith(BODY)
    else:
        assert turned_away(port, trusting(ca))
        wait_until(lambda: "peer did not return a certificate" in mock.log().lower(), mock.log)
