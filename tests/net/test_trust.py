"""What a user and a client are told about trusting the project's CA."""

import re
import ssl
from pathlib import Path

from svcmock.net.ca import load_or_create_ca
from svcmock.net.trust import ADDING, REPLACING, trust_environment, trust_text


def test_variables_that_replace_name_a_bundle_of_the_system_and_ours(tmp_path: Path) -> None:
    ca = load_or_create_ca(tmp_path / "ca")
    environment = trust_environment(ca)
    bundle = str(tmp_path / "ca" / "bundle.pem")
    assert environment == dict.fromkeys(REPLACING, bundle) | dict.fromkeys(ADDING, str(ca.path))
    context = ssl.create_default_context(cafile=bundle)
    system = ssl.get_default_verify_paths().openssl_cafile
    before = ssl.create_default_context(cafile=system) if Path(system).is_file() else None
    expected = 1 + (len(before.get_ca_certs()) if before else 0)
    assert len(context.get_ca_certs()) == expected
    assert any("svcmock" in str(found["subject"]) for found in context.get_ca_certs())


def test_the_bundle_is_made_anew_not_added_to(tmp_path: Path) -> None:
    ca = load_or_create_ca(tmp_path / "ca")
    trust_environment(ca)
    once = (tmp_path / "ca" / "bundle.pem").read_bytes()
    trust_environment(ca)
    assert (tmp_path / "ca" / "bundle.pem").read_bytes() == once


def test_the_words(tmp_path: Path) -> None:
    ca = load_or_create_ca(tmp_path / "ca")
    text = trust_text(ca)
    for word in (
        *(f"export {name}={path}" for name, path in trust_environment(ca).items()),
        str(ca.path),
        ca.fingerprint(),
        "keytool",
        "update-ca-certificates",
        "update-ca-trust",
        "add-trusted-cert",
        "Firefox",
    ):
        assert word in text
    assert re.fullmatch("(?:[0-9A-F]{2}:){31}[0-9A-F]{2}", ca.fingerprint())


def test_a_path_with_a_space_is_quoted(tmp_path: Path) -> None:
    ca = load_or_create_ca(tmp_path / "my shop" / ".svcmock" / "ca")
    bundle = ca.path.with_name("bundle.pem")
    assert f"export SSL_CERT_FILE='{bundle}'" in trust_text(ca)
