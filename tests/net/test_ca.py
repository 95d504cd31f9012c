import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from svcmock.net import ca as ca_module
from svcmock.net.ca import load_or_create_ca, usable
from svcmock.protocol import Invalid


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shop" / ".svcmock" / "ca"


def certificates(pem: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem)


def names_of(certificate: x509.Certificate) -> list[str]:
    value = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in value]


def test_the_ca_says_what_it_is_and_can_only_sign_leaves(folder: Path) -> None:
    ca = load_or_create_ca(folder)
    (certificate,) = certificates(ca.path.read_bytes())
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "svcmock local CA (shop)"
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.digital_signature) == (True, False)
    own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert own == issuer
    life = certificate.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=3648) < life < timedelta(days=3650)


def test_the_key_is_its_owners_only_and_never_committed(folder: Path) -> None:
    load_or_create_ca(folder)
    assert (folder / "ca.key").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"
    assert [entry.name for entry in folder.parent.iterdir()] == ["ca"]


def test_it_is_made_once(folder: Path) -> None:
    assert load_or_create_ca(folder).fingerprint() == load_or_create_ca(folder).fingerprint()


def test_several_that_make_it_at_once_get_the_same(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: load_or_create_ca(folder).fingerprint(), range(8)))
    assert len(set(made)) == 1
    assert [entry.name for entry in folder.parent.iterdir()] == ["ca"]


def test_a_leaf_is_good_for_its_name_only(folder: Path) -> None:
    ca = load_or_create_ca(folder)
    leaf, issuer = certificates(ca.leaf("API.example.com.").chain)
    assert names_of(leaf) == ["api.example.com"]
    assert issuer == certificates(ca.path.read_bytes())[0]
    leaf.verify_directly_issued_by(issuer)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=397)
    extensions = leaf.extensions
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    issuer_id = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert issuer_id == issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def test_leaves_have_serials_of_their_own_and_are_kept(folder: Path) -> None:
    ca = load_or_create_ca(folder)
    assert ca.leaf("a.test") is ca.leaf("a.test")
    serials = {certificates(ca.leaf(name).chain)[0].serial_number for name in ("a.test", "b.test", "c.test")}
    assert len(serials) == 3


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("localhost", "localhost"),
        ("Catalog_Db", "catalog_db"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("", None),
        (".", None),
        ("a..b", None),
        ("-a.test", None),
        ("a-.test", None),
        ("*.test", None),
        ("a b", None),
        ("a\x00b", None),
        ("b\u00fccher.example", None),
        ("x" * 64 + ".test", None),
        (".".join(["x" * 63] * 4), None),
    ],
)
def test_usable_names(asked: str, given: str | None) -> None:
    assert usable(asked) == given


def test_unusable_names_get_the_default_leaf(folder: Path) -> None:
    ca = load_or_create_ca(folder)
    assert names_of(certificates(ca.leaf("no such name").chain)[0]) == ["localhost", "127.0.0.1", "::1"]
    assert ca.leaf("..") is ca.leaf()


def test_a_name_longer_than_a_common_name_is_minted(folder: Path) -> None:
    name = ".".join(["x" * 60] * 4)
    assert names_of(certificates(load_or_create_ca(folder).leaf(name).chain)[0]) == [name]


def test_the_number_of_leaves_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ca_module, "MAX_LEAVES", 3)
    ca = load_or_create_ca(folder)
    kept = ca.leaf("keep.test")
    dropped = ca.leaf("drop.test")
    for number in range(2):
        ca.leaf(f"n{number}.test")
        assert ca.leaf("keep.test") is kept
    assert ca.leaf("drop.test") is not dropped


def test_a_leaf_near_its_end_is_minted_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = load_or_create_ca(folder)
    old = ca.leaf("a.test")
    monkeypatch.setattr(ca_module, "RENEW_BEFORE", timedelta(days=398))
    assert ca.leaf("a.test") is not old


def test_a_key_that_is_not_the_certificates_is_refused(folder: Path, tmp_path: Path) -> None:
    load_or_create_ca(folder)
    load_or_create_ca(tmp_path / "other" / ".svcmock" / "ca")
    (folder / "ca.key").write_bytes((tmp_path / "other" / ".svcmock" / "ca" / "ca.key").read_bytes())
    with pytest.raises(Invalid, match="do not belong together; delete the folder"):
        load_or_create_ca(folder)


@pytest.mark.parametrize(
    ("name", "why"), [("ca.pem", "holds no PEM certificate"), ("ca.key", "no PEM private key")]
)
def test_a_damaged_file_is_named(folder: Path, name: str, why: str) -> None:
    load_or_create_ca(folder)
    (folder / name).write_bytes(b"-----BEGIN NONSENSE-----\n")
    with pytest.raises(Invalid, match=rf"{re.escape(name)}: .*{why}"):
        load_or_create_ca(folder)


def test_half_a_ca_is_not_replaced(folder: Path) -> None:
    load_or_create_ca(folder)
    (folder / "ca.key").unlink()
    with pytest.raises(Invalid, match=r"ca\.key: No such file"):
        load_or_create_ca(folder)


def test_a_ca_near_its_end_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_or_create_ca(folder)
    monkeypatch.setattr(ca_module, "RENEW_BEFORE", timedelta(days=4000))
    with pytest.raises(Invalid, match=r"expires \d{4}-\d\d-\d\d; delete the folder"):
        load_or_create_ca(folder)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / ".svcmock").write_text("a file")
    with pytest.raises(Invalid, match="cannot be stored"):
        load_or_create_ca(tmp_path / ".svcmock" / "ca")


def test_nothing_of_cryptography_is_imported_before_it_is_needed() -> None:
    code = "import sys, svcmock.net.tls; sys.exit(any(name.startswith('cryptography') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=20).returncode == 0
