"""The project's own certificate authority, and the PEM files it shares a format with.

Decides what a certificate minted by svcmock says. The CA belongs to one project and never leaves it; the user
trusts it once. It signs a leaf for every name a client asks for, and their number is bounded, because the
names come from the network. Certificates follow RFC 5280 (CA: path length 0, only signs; leaf: server
authentication only); leaves live 397 days, what browsers and macOS accept.

`cryptography` is imported when TLS is first configured, not before: it costs 13 MB and 50 ms, which
projects without TLS should not pay.
"""

import ipaddress
import os
import re
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from svcmock.protocol import Invalid

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

CA_DAYS = 3650
LEAF_DAYS = 397
"""The longest life that Apple's and Google's verifiers accept in a server certificate."""
BACKDATED = timedelta(days=1)
"""Validity begins before the minting, so that clients with a slow clock accept it."""
RENEW_BEFORE = timedelta(days=7)
"""A cached leaf this close to its end is minted anew: daemons outlive certificates."""
MAX_LEAVES = 1000
"""Leaves and contexts kept, the least recently used dropped first."""
MAX_PEM = 1 << 20
"""The largest certificate, key or CA file that is read, in bytes."""
DEFAULT_NAMES = ("localhost", "127.0.0.1", "::1")
"""What the leaf shown to a client without (usable) SNI is good for."""

_CERTIFICATE = "ca.pem"
KEY = "ca.key"
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")


class Leaf(Struct, frozen=True):
    """A server certificate followed by its issuer, and its private key, both PEM."""

    chain: bytes
    key: bytes
    expires: datetime


class Ca:
    """One project's certificate authority, and the leaves it has signed since the daemon started.

    All leaves of one daemon share one key, which ends with it: minting is a signature, not a key generation.
    """

    def __init__(self, path: Path, certificate: "x509.Certificate", key: "EllipticCurvePrivateKey") -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        self.path = path
        """The CA certificate's PEM file: what clients are told to trust."""
        self._certificate = certificate
        self._key = key
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._leaves: OrderedDict[tuple[str, ...], Leaf] = OrderedDict()

    def leaf(self, *names: str) -> Leaf:
        """A leaf for these DNS names and IP addresses; the default names where none is usable."""
        wanted = tuple(dict.fromkeys(good for name in names if (good := usable(name)))) or DEFAULT_NAMES
        known = self._leaves.get(wanted)
        now = datetime.now(UTC)
        if known is None or known.expires - now < RENEW_BEFORE:
            known = self._leaves[wanted] = self._mint(wanted, now)
        self._leaves.move_to_end(wanted)
        if len(self._leaves) > MAX_LEAVES:
            self._leaves.popitem(last=False)
        return known

    def fingerprint(self) -> str:
        """SHA-256 of the CA certificate as browsers show it: `AB:CD:...`."""
        from cryptography.hazmat.primitives import hashes

        return self._certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    def _mint(self, names: tuple[str, ...], now: datetime) -> Leaf:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.x509.oid import ExtendedKeyUsageOID

        ends = min(now - BACKDATED + timedelta(days=LEAF_DAYS), self._certificate.not_valid_after_utc)
        issuer_id = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_common_name(names[0] if len(names[0]) <= 64 else "svcmock"))
            .issuer_name(self._certificate.subject)
            .public_key(self._leaf_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(ends)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._leaf_key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        return Leaf(
            chain=certificate.public_bytes(pem) + self._certificate.public_bytes(pem),
            key=_key_pem(self._leaf_key),
            expires=ends,
        )


def usable(name: str) -> str | None:
    """The name as it goes into a certificate, or None: an IP address, or a host name of RFC 1123 letters.

    Underscores are taken too, as in the service names of container networks.
    """
    plain = name.lower().removesuffix(".")
    try:
        return str(ipaddress.ip_address(plain))
    except ValueError:
        return plain if len(plain) <= 253 and _HOST.fullmatch(plain) else None


def load_or_create_ca(folder: Path) -> Ca:
    """The CA kept in `folder` (a project's `.svcmock/ca`), made on first use. Raises Invalid.

    Two processes may call this at once: each prepares a whole folder and renames it into place, and the
    one that comes second takes what the first one made.
    """
    if not (folder / _CERTIFICATE).exists() and not (folder / KEY).exists():
        _create_ca(folder)
    certificate = read_chain(folder / _CERTIFICATE, ("ca",))[0]
    key = read_key(folder / KEY, ("ca",))
    if not belongs(certificate, key):
        raise Invalid(("ca",), f"{folder}: {_CERTIFICATE} and {KEY} do not belong together; {_RENEW}")
    if certificate.not_valid_after_utc - datetime.now(UTC) < RENEW_BEFORE:
        raise Invalid(("ca",), f"{folder / _CERTIFICATE}: expires {day(certificate)}; {_RENEW}")
    from cryptography.hazmat.primitives.asymmetric import ec

    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Invalid(("ca",), f"{folder / KEY}: not an elliptic-curve key; {_RENEW}")
    return Ca(folder / _CERTIFICATE, certificate, key)


_RENEW = "delete the folder, and a new CA is made, to be trusted anew"


def _create_ca(folder: Path) -> None:
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix="ca-", dir=folder.parent))
    except OSError as error:
        raise Invalid(("ca",), f"{folder}: the CA cannot be stored: {error.strerror}") from error
    try:
        certificate, key = _new_ca(folder.absolute().parent.parent.name)
        # Whoever commits a project's folder must not publish a key that machines trust.
        _write(fresh / ".gitignore", b"*\n", 0o644)
        _write(fresh / KEY, key, 0o600)
        _write(fresh / _CERTIFICATE, certificate, 0o644)
        fresh.rename(folder)
    except OSError as error:
        if not (folder / _CERTIFICATE).exists():
            raise Invalid(("ca",), f"{folder}: the CA cannot be stored: {error.strerror}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _new_ca(project: str) -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _common_name(f"svcmock local CA ({project})"[:64])
    own_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    begins = datetime.now(UTC) - BACKDATED
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(own_id, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_id), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key)


def _common_name(name: str) -> "x509.Name":
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: "EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)


# --- PEM files ------------------------------------------------------------------------------------------


def read_chain(path: Path, at: Sequence[str]) -> list["x509.Certificate"]:
    """The certificates of a PEM file, at least one. Raises Invalid at `at`, naming the file and the reason."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(_read(path, at))
    except ValueError:
        raise Invalid(at, f"{path}: holds no PEM certificate (-----BEGIN CERTIFICATE-----)") from None


def read_key(path: Path, at: Sequence[str]) -> "PrivateKeyTypes":
    """The private key of a PEM file that may hold certificates too. Raises Invalid at `at`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pem = _read(path, at)
    begin = pem.find(b"PRIVATE KEY-----")
    # A file may hold the certificate as well: the key is the block that says so.
    block = pem[max(pem.rfind(b"-----BEGIN", 0, max(begin, 0)), 0) :]
    try:
        return load_pem_private_key(block, password=None)
    except TypeError:
        raise Invalid(at, f"{path}: the key is encrypted; store it without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Invalid(at, f"{path}: holds no PEM private key (-----BEGIN PRIVATE KEY-----)") from None


def _read(path: Path, at: Sequence[str]) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PEM + 1)
    except OSError as error:
        raise Invalid(at, f"{path}: {error.strerror}") from None
    if len(data) > MAX_PEM:
        raise Invalid(at, f"{path}: larger than {MAX_PEM} bytes")
    return data


def belongs(certificate: "x509.Certificate", key: "PrivateKeyTypes") -> bool:
    """Whether the certificate was issued for this key."""
    return _spki(certificate.public_key()) == _spki(key.public_key())


def _spki(key: "PublicKeyTypes") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def day(certificate: "x509.Certificate") -> str:
    """The day a certificate ends, for messages."""
    return f"{certificate.not_valid_after_utc:%Y-%m-%d}"
