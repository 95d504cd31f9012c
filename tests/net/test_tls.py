"""Handshakes between our contexts and Python's own client, in memory: no socket, no thread."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from msgspec import Struct

from svcmock.model import Tls
from svcmock.net import tls as tls_module
from svcmock.net.ca import Ca, load_or_create_ca
from svcmock.net.tls import certificate_warnings, client_context, looks_like_tls, server_context
from svcmock.protocol import Invalid


class Shaken(Struct):
    """What both sides know after a handshake."""

    names: set[str]
    alpn: str | None
    version: str | None
    client: str | None


def shake(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None) -> Shaken:
    """A whole handshake. Raises what the client, or else the server, raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname=name)
    refused: ssl.SSLError | None = None
    open_sides = {ours, theirs}
    for _ in range(10):
        for side in [side for side in (theirs, ours) if side in open_sides]:
            try:
                side.do_handshake()
                open_sides.discard(side)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                if side is theirs:
                    raise
                refused = error
                open_sides.discard(side)
    if refused is not None:
        raise refused
    assert not open_sides
    shown = theirs.getpeercert() or {}
    sent = ours.getpeercert() or {}
    organization = {key: value for part in sent.get("subject", ()) for key, value in part}  # type: ignore[misc, union-attr]
    return Shaken(
        {str(value) for _, value in shown.get("subjectAltName", ())},  # type: ignore[misc]
        theirs.selected_alpn_protocol(),
        theirs.version(),
        organization.get("organizationalUnitName"),
    )


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    return load_or_create_ca(tmp_path / ".svcmock" / "ca")


@pytest.fixture
def trusting(ca: Ca) -> Callable[..., ssl.SSLContext]:
    def make(*alpn: str) -> ssl.SSLContext:
        return client_context(verify=True, ca_file=ca.path, alpn=alpn)

    return make


@pytest.fixture
def own(tmp_path: Path) -> trustme.CA:
    """A certificate of the user's own, `cert.pem` and `key.pem`, signed by `own.pem`."""
    authority = trustme.CA()
    leaf = authority.issue_cert("own.test")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    for number, blob in enumerate(leaf.cert_chain_pems):
        blob.write_to_path(tmp_path / "cert.pem", append=number > 0)
    authority.cert_pem.write_to_path(tmp_path / "own.pem")
    return authority


# --- sniffing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "is_tls"),
    [
        (b"\x16", True),
        (b"\x16\x03\x01\x02\x00", True),
        (b"\x16\x02", False),
        (b"GET / HTTP/1.1\r\n", False),
        (b"", False),
        (b"\x80\x2e\x01", False),
    ],
)
def test_the_first_byte_tells(head: bytes, is_tls: bool) -> None:
    assert looks_like_tls(head) is is_tls


# --- tls: auto ----------------------------------------------------------------------------------------


def test_each_name_is_shown_a_leaf_of_its_own(
    tmp_path: Path, ca: Ca, trusting: Callable[..., ssl.SSLContext]
) -> None:
    server = server_context(Tls(auto=True), tmp_path, ("http/1.1",), ca)
    assert shake(server, trusting(), "api.test").names == {"api.test"}
    assert shake(server, trusting(), "Shop.Test").names == {"shop.test"}
    assert shake(server, trusting(), "localhost").names == {"localhost", "127.0.0.1", "0:0:0:0:0:0:0:1"}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_client_without_sni_sees_the_loopback(
    tmp_path: Path, ca: Ca, trusting: Callable[..., ssl.SSLContext], address: str
) -> None:
    server = server_context(Tls(auto=True), tmp_path, (), ca)
    assert "127.0.0.1" in shake(server, trusting(), address).names


def test_the_default_leaf_covers_the_address_listened_on(
    tmp_path: Path, ca: Ca, trusting: Callable[..., ssl.SSLContext]
) -> None:
    server = server_context(Tls(auto=True), tmp_path, (), ca, ["192.0.2.7"])
    assert shake(server, trusting(), "192.0.2.7").names >= {"192.0.2.7", "127.0.0.1"}


def test_a_name_that_nobody_can_own_gets_the_default_leaf(tmp_path: Path, ca: Ca) -> None:
    server = server_context(Tls(auto=True), tmp_path, (), ca)
    careless = client_context(verify=False)
    shake(server, careless, "*" * 60)
    trusting = client_context(verify=True, ca_file=ca.path)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(server, trusting, "*" * 60)


def test_the_swapped_context_speaks_the_same_protocols(
    tmp_path: Path, ca: Ca, trusting: Callable[..., ssl.SSLContext]
) -> None:
    server = server_context(Tls(auto=True), tmp_path, ("h2", "http/1.1"), ca)
    assert shake(server, trusting("http/1.1", "h2"), "api.test").alpn == "h2"
    assert shake(server, trusting("http/1.1"), "127.0.0.1").alpn == "http/1.1"
    assert shake(server, trusting("smtp"), "api.test").alpn is None


def test_tls_1_2_is_spoken_and_1_1_is_not(
    tmp_path: Path, ca: Ca, trusting: Callable[..., ssl.SSLContext]
) -> None:
    server = server_context(Tls(auto=True), tmp_path, (), ca)
    older = trusting()
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shake(server, older, "api.test").version == "TLSv1.2"
    assert server.minimum_version is ssl.TLSVersion.TLSv1_2
    assert shake(server, trusting(), "api.test").version == "TLSv1.3"


def test_the_number_of_contexts_is_bounded(
    tmp_path: Path, ca: Ca, trusting: Callable[..., ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_module, "MAX_LEAVES", 2)
    made: list[ssl.SSLContext] = []

    def make() -> ssl.SSLContext:
        made.append(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        return made[-1]

    contexts = tls_module._Contexts(ca, make)
    first = contexts.get("a.test")
    assert contexts.get("a.test") is first
    for name in ("b.test", "c.test"):
        contexts.get(name)
    assert len(made) == 3
    assert contexts.get("a.test") is not first


def test_without_a_ca_there_is_no_auto(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        server_context(Tls(auto=True), tmp_path, (), None)
    assert caught.value.at == ("tls", "auto")


@pytest.mark.parametrize("tls", [Tls(), Tls(auto=True, cert="cert.pem")])
def test_auto_or_a_certificate(tmp_path: Path, tls: Tls) -> None:
    with pytest.raises(Invalid, match="either `auto: true` or a `cert`"):
        server_context(tls, tmp_path, (), None)


# --- own certificates ---------------------------------------------------------------------------------


def test_an_own_certificate_is_shown_to_everyone(tmp_path: Path, own: trustme.CA) -> None:
    server = server_context(Tls(cert="cert.pem", key="key.pem"), tmp_path, ("http/1.1",), None)
    client = client_context(verify=True, ca_file=tmp_path / "own.pem", alpn=["http/1.1"])
    shaken = shake(server, client, "own.test")
    assert (shaken.names, shaken.alpn) == ({"own.test"}, "http/1.1")


def test_key_and_certificate_may_share_a_file(tmp_path: Path, own: trustme.CA) -> None:
    for order in (("key.pem", "cert.pem"), ("cert.pem", "key.pem")):
        (tmp_path / "both.pem").write_bytes(b"".join((tmp_path / name).read_bytes() for name in order))
        server = server_context(Tls(cert="both.pem"), tmp_path, (), None)
        assert shake(server, client_context(verify=True, ca_file=tmp_path / "own.pem"), "own.test").names


def encrypted(folder: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), None)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (folder / "key.pem").write_bytes(pem)


def other_key(folder: Path) -> None:
    trustme.CA().issue_cert("own.test").private_key_pem.write_to_path(folder / "key.pem")


def swapped(folder: Path) -> None:
    (folder / "key.pem").write_bytes((folder / "cert.pem").read_bytes())


@pytest.mark.parametrize(
    ("spoil", "at", "why"),
    [
        (encrypted, "key", r"key\.pem: the key is encrypted; store it without a passphrase"),
        (other_key, "key", r"key\.pem: this key does not belong to the certificate in cert\.pem"),
        (swapped, "key", r"key\.pem: holds no PEM private key"),
        (lambda folder: (folder / "key.pem").unlink(), "key", r"key\.pem: No such file"),
        (lambda folder: (folder / "cert.pem").unlink(), "cert", r"cert\.pem: No such file"),
        (lambda folder: (folder / "cert.pem").write_bytes(b"\x30\x82\x01"), "cert", "holds no PEM certificate"),
        (lambda folder: (folder / "cert.pem").write_bytes(b""), "cert", "holds no PEM certificate"),
        (lambda folder: (folder / "cert.pem").write_bytes(b"x" * (1 << 20) + b"y"), "cert", "larger than"),
    ],
)
def test_bad_files_are_named_with_the_reason(
    tmp_path: Path, own: trustme.CA, spoil: Callable[[Path], object], at: str, why: str
) -> None:
    spoil(tmp_path)
    with pytest.raises(Invalid, match=why) as caught:
        server_context(Tls(cert="cert.pem", key="key.pem"), tmp_path, (), None)
    assert caught.value.at == ("tls", at)


def test_an_expired_certificate_is_served_with_a_warning(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("own.test", not_before=datetime(2020, 1, 1), not_after=datetime(2021, 1, 1))  # noqa: DTZ001
    leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    own = Tls(cert="both.pem")
    server_context(own, tmp_path, (), None)
    assert certificate_warnings(own, tmp_path, datetime.now(UTC)) == ["both.pem: expired 2021-01-01"]
    assert certificate_warnings(own, tmp_path, datetime(2020, 6, 1, tzinfo=UTC)) == []
    early = certificate_warnings(own, tmp_path, datetime(2020, 1, 1, tzinfo=UTC) - timedelta(days=1))
    assert early == ["both.pem: not valid before 2020-01-01"]


# --- client certificates ------------------------------------------------------------------------------


@pytest.mark.parametrize("auto", [True, False])
@pytest.mark.parametrize(("client", "needed"), [("required", True), ("optional", False), (None, True)])
def test_client_certificates(
    tmp_path: Path, ca: Ca, own: trustme.CA, auto: bool, client: str | None, needed: bool
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "clients.pem")
    files = {"auto": True} if auto else {"cert": "cert.pem", "key": "key.pem"}
    tls = Tls(**files, client_ca="clients.pem", client=client)  # type: ignore[arg-type]
    server = server_context(tls, tmp_path, (), ca)
    trusted = ca.path if auto else tmp_path / "own.pem"

    def caller(*issuers: trustme.CA) -> ssl.SSLContext:
        context = client_context(verify=True, ca_file=trusted)
        for issuer in issuers:
            issuer.issue_cert("caller@own.test", organization_unit_name="callers").configure_cert(context)
        return context

    assert shake(server, caller(authority), "own.test").client == "callers"
    with pytest.raises(ssl.SSLError, match="verify failed"):
        shake(server, caller(trustme.CA()), "own.test")
    if needed:
        with pytest.raises(ssl.SSLError, match="did not return a certificate"):
            shake(server, caller(), "own.test")
    else:
        assert shake(server, caller(), "own.test").client is None


def test_a_client_rule_needs_a_ca_and_a_good_one(tmp_path: Path, ca: Ca) -> None:
    with pytest.raises(Invalid, match="needs `client_ca`"):
        server_context(Tls(auto=True, client="required"), tmp_path, (), ca)
    (tmp_path / "clients.pem").write_text("nonsense")
    with pytest.raises(Invalid, match=r"clients\.pem: holds no PEM certificate") as caught:
        server_context(Tls(auto=True, client_ca="clients.pem"), tmp_path, (), ca)
    assert caught.value.at == ("tls", "client_ca")


# --- towards upstreams --------------------------------------------------------------------------------


def test_an_upstream_must_prove_its_name(tmp_path: Path, own: trustme.CA) -> None:
    server = server_context(Tls(cert="cert.pem", key="key.pem"), tmp_path, (), None)
    trusting = client_context(verify=True, ca_file=tmp_path / "own.pem")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(server, trusting, "other.test")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"unable to get local issuer|self-signed"):
        shake(server, client_context(verify=True), "own.test")
    assert shake(server, client_context(verify=False), "other.test").version == "TLSv1.3"


def test_a_bad_ca_file_for_upstreams_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"none\.pem: No such file"):
        client_context(verify=True, ca_file=tmp_path / "none.pem")
