"""TLS for both sides of a service: server contexts by SNI name, contexts towards upstreams.

Decides what certificate a client is shown and what is asked of it. With `tls: auto` that is a leaf for the
name in the client's SNI (RFC 6066 section 3); a name nobody could own gets the default leaf. TLS is 1.2 or
newer on both sides. Every context of a service has the same ALPN names and client rules, since the one
swapped in during a handshake brings its own.
"""

import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from svcmock.model import Service, Tcp, Tls
from svcmock.net.ca import DEFAULT_NAMES, MAX_LEAVES, Ca, Leaf, belongs, day, read_chain, read_key, usable
from svcmock.protocol import Invalid

_Make: TypeAlias = Callable[[], ssl.SSLContext]


def looks_like_tls(head: bytes) -> bool:
    """Whether a connection's first byte (more is welcome) opens a TLS handshake record: RFC 8446, 5.1."""
    return head[:1] == b"\x16" and head[1:2] in (b"", b"\x03")


# --- server contexts ----------------------------------------------------------------------------------


def server_context(
    tls: Tls, root: Path, alpn: Sequence[str], ca: Ca | None, names: Sequence[str] = ()
) -> ssl.SSLContext:
    """What a listener speaks TLS with. `root` resolves file names; `ca` is needed by `auto` only.

    `names` are further names and addresses of the default leaf: clients that connect to an address send
    no SNI, so a service that listens on 192.0.2.7 needs that in its default leaf. Raises Invalid, its
    `at` starting with "tls".
    """
    if tls.auto == (tls.cert is not None):
        raise Invalid(("tls",), "needs either `auto: true` or a `cert`")
    trusted = _client_ca(tls, root)
    if tls.cert is not None:
        _check_own(tls, root)
        context = _new_context(alpn, trusted, tls)
        context.load_cert_chain(root / tls.cert, root / tls.key if tls.key else None, password=_no_password)
        return context
    if ca is None:
        raise Invalid(("tls", "auto"), "there is no project CA to sign certificates with")
    return _minting_context(ca, lambda: _new_context(alpn, trusted, tls), (*DEFAULT_NAMES, *names))


def service_context(
    service: Service, root: Path, alpn: Sequence[str], ca: Ca | None
) -> tuple[ssl.SSLContext | None, bool]:
    """What a service's listener speaks TLS with, and whether it takes clients without. Raises Invalid."""
    if service.tls is None:
        return None, True
    names = (service.listen.host,) if isinstance(service.listen, Tcp) else ()
    return server_context(service.tls, root, alpn, ca, names), service.tls.plain


class _Contexts:
    """One service's contexts by SNI name. A context is what the `ssl` module can swap in a handshake."""

    def __init__(self, ca: Ca, make: _Make) -> None:
        self._ca = ca
        self._make = make
        self._known: OrderedDict[tuple[str, ...], tuple[Leaf, ssl.SSLContext]] = OrderedDict()

    def get(self, *names: str) -> ssl.SSLContext:
        """A context that shows a leaf for these names, made when they are first asked for."""
        leaf = self._ca.leaf(*names)
        known = self._known.get(names)
        if known is None or known[0] is not leaf:
            context = self._make()
            _load(context, leaf)
            known = self._known[names] = (leaf, context)
        self._known.move_to_end(names)
        if len(self._known) > MAX_LEAVES:
            self._known.popitem(last=False)
        return known[1]


def _minting_context(ca: Ca, make: _Make, default: tuple[str, ...]) -> ssl.SSLContext:
    contexts = _Contexts(ca, make)

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        wanted = usable(name or "")
        try:
            connection.context = contexts.get(*(default if wanted in (None, *default) else (wanted,)))
        except OSError:
            # No room for a leaf: the client sees the default one, and says that the name is wrong.
            return

    context = make()
    _load(context, ca.leaf(*default))
    context.sni_callback = choose
    return context


def _new_context(alpn: Sequence[str], trusted: str | None, tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if trusted is not None:
        context.load_verify_locations(cadata=trusted)
        context.verify_mode = ssl.CERT_OPTIONAL if tls.client == "optional" else ssl.CERT_REQUIRED
    return context


def _load(context: ssl.SSLContext, leaf: Leaf) -> None:
    """Give a context its certificate. The `ssl` module takes it from a file only; this one is short-lived."""
    with tempfile.NamedTemporaryFile(prefix="svcmock-", suffix=".pem") as file:
        file.write(leaf.key + leaf.chain)
        file.flush()
        context.load_cert_chain(file.name)


def _client_ca(tls: Tls, root: Path) -> str | None:
    """The PEM text that client certificates are checked against. With a `client_ca` alone, one is required."""
    if tls.client_ca is None:
        if tls.client is not None:
            raise Invalid(("tls", "client"), "needs `client_ca`: the CA that signs the clients' certificates")
        return None
    path = root / tls.client_ca
    read_chain(path, ("tls", "client_ca"))
    return path.read_text("ascii", "replace")


# --- certificates of the user's own -------------------------------------------------------------------


def certificate_warnings(tls: Tls, root: Path, now: datetime) -> list[str]:
    """What a client will find wrong with certificates that can be served all the same. Raises Invalid."""
    found = []
    for field, name in (("cert", tls.cert), ("client_ca", tls.client_ca)):
        if name is None:
            continue
        first = read_chain(root / name, ("tls", field))[0]
        if first.not_valid_after_utc < now:
            found.append(f"{name}: expired {day(first)}")
        elif first.not_valid_before_utc > now:
            found.append(f"{name}: not valid before {first.not_valid_before_utc:%Y-%m-%d}")
    return found


def _check_own(tls: Tls, root: Path) -> None:
    cert = tls.cert or ""
    certificate = read_chain(root / cert, ("tls", "cert"))[0]
    key_name, at = (tls.key, ("tls", "key")) if tls.key else (cert, ("tls", "cert"))
    key = read_key(root / key_name, at)
    if not belongs(certificate, key):
        raise Invalid(at, f"{key_name}: this key does not belong to the certificate in {cert}")


def _no_password() -> bytes:
    """Answers for the terminal that OpenSSL would otherwise ask for a passphrase."""
    return b""


# --- towards upstreams --------------------------------------------------------------------------------


def client_context(*, verify: bool, ca_file: Path | None = None, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """What an upstream is spoken to with. It must prove its name, unless `verify` is off.

    Trusted are the system's CAs, or those in `ca_file` instead. Raises Invalid.
    """
    if ca_file is not None:
        read_chain(ca_file, ("upstream",))
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context
