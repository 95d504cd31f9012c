"""How clients come to trust a project's CA: the variables they read, and the words for people.

Most of the variables replace the system's CAs instead of adding to them, so they name a bundle of both: an
application under test that also talks to the outside goes on verifying it.
"""

import os
import ssl
from pathlib import Path
from shlex import quote

from svcmock.net.ca import KEY, Ca

REPLACING = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
)
"""OpenSSL (Python, Ruby, PHP, Go on Linux); requests; curl; git; the AWS command line and SDKs."""
ADDING = ("NODE_EXTRA_CA_CERTS",)

_TRUST = """\
CA certificate  {path}
SHA-256         {fingerprint}

For one process, and the best choice for tests. The bundle holds the system's CAs too:
{exports}

Java
    keytool -importcert -noprompt -alias svcmock -file {quoted} -keystore truststore.jks -storepass changeit
    java -Djavax.net.ssl.trustStore=truststore.jks -Djavax.net.ssl.trustStorePassword=changeit ...

The whole system (as root)
    Debian, Ubuntu, Alpine
        cp {quoted} /usr/local/share/ca-certificates/svcmock.crt && update-ca-certificates
    Fedora, RHEL
        cp {quoted} /etc/pki/ca-trust/source/anchors/svcmock.pem && update-ca-trust
    macOS
        security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {quoted}

Firefox keeps its own store: Settings, Privacy & Security, Certificates, View Certificates, Authorities, Import.

Whoever holds {key} can impersonate any server to those who trust this CA. Never share or commit it.
"""


def trust_environment(ca: Ca) -> dict[str, str]:
    """The variables that make common clients trust the project's CA; writes the bundle they name."""
    bundle = str(trust_bundle(ca))
    return dict.fromkeys(REPLACING, bundle) | dict.fromkeys(ADDING, str(ca.path.absolute()))


def trust_bundle(ca: Ca) -> Path:
    """The system's CAs and the project's in one file beside the CA. Raises OSError."""
    system = ssl.get_default_verify_paths().openssl_cafile
    known = Path(system).read_bytes() if Path(system).is_file() else b""
    path = ca.path.absolute().with_name("bundle.pem")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(known + (b"" if known.endswith(b"\n") or not known else b"\n") + ca.path.read_bytes())
    draft.replace(path)
    return path


def trust_text(ca: Ca) -> str:
    """How to trust the project's CA, by kind of client, with the lines to copy."""
    exports = "\n".join(f"    export {name}={quote(path)}" for name, path in trust_environment(ca).items())
    path = str(ca.path.absolute())
    return _TRUST.format(
        path=path,
        quoted=quote(path),
        key=ca.path.absolute().with_name(KEY),
        fingerprint=ca.fingerprint(),
        exports=exports,
    )
