"""SCRAM-SHA-256 (RFC 5802, RFC 7677) towards a client, for a service with a password. scramp does the sums.

Without a password anybody is let in: a client that insists on SCRAM verifies the server, and cannot be fooled.
Salt and nonce are made from the password and the connection's number, so that equal bytes give equal bytes.
"""

import base64
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Any, Final

from scramp import ScramException, ScramMechanism  # type: ignore[import-untyped]

from svcmock_protocols.postgres import codec

MECHANISM: Final = "SCRAM-SHA-256"


class Scram:
    """One login. Raises ValueError for a client that does not know the password, or does not speak SCRAM."""

    def __init__(self, password: str, number: int) -> None:
        known = _known(password)
        nonce = blake2b(number.to_bytes(8), key=sha256(password.encode()).digest(), digest_size=18).digest()
        self.proven = False
        """The client knows the password."""
        self._begun = False
        self._server: Any = ScramMechanism(MECHANISM).make_server(
            lambda _user: known, s_nonce=base64.b64encode(nonce).decode()
        )

    def take(self, body: bytes) -> bytes:
        """The answer to a SASLInitialResponse or SASLResponse, as a message. Raises ProtocolError, too."""
        if self._begun:
            told = codec.authentication(12, self.final(body))
            self.proven = True
            return told
        self._begun = True
        reader = codec.Reader(body)
        mechanism, message = reader.text(), reader.value()
        if mechanism != MECHANISM:
            raise ValueError("client selected an invalid SASL authentication mechanism")
        return codec.authentication(11, self.first(message or b""))

    def first(self, message: bytes) -> bytes:
        """The answer to the client's first message."""
        try:
            text = message.decode()
            # libpq leaves its name to the startup message; scramp wants one here, and signs what it was given
            head, nameless, rest = text.partition(",n=,")
            self._server.set_client_first(f"{head},n=*,{rest}" if nameless else text)
            if nameless:
                self._server.client_first_bare = f"n=,{rest}"
            return str(self._server.get_server_first()).encode()
        except (ScramException, UnicodeDecodeError) as error:
            raise ValueError(str(error)) from None

    def final(self, message: bytes) -> bytes:
        """The answer to the client's final message, by which it knows us in its turn."""
        try:
            self._server.set_client_final(message.decode())
            return str(self._server.get_server_final()).encode()
        except (ScramException, UnicodeDecodeError) as error:
            raise ValueError(str(error)) from None


@lru_cache(maxsize=16)
def _known(password: str) -> tuple[bytes, bytes, bytes, int]:
    """What a server keeps of a password; costly on purpose."""
    salt = sha256(b"svcmock salt" + password.encode()).digest()[:16]
    made: tuple[bytes, bytes, bytes, int] = ScramMechanism(MECHANISM).make_auth_info(password, salt=salt)
    return made
