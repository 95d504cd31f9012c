"""What a recorder answers a server that asks who it is (the manual, "Message Flow"), in its clients' place.

    3 ──▶ the password      5 ──▶ md5(md5(password user) salt)      10, 11, 12 ──▶ SCRAM-SHA-256, unbound

scramp does the sums of SCRAM. A server that asks for it must know the password, too: else nothing of it counts.
"""

from collections.abc import Callable
from hashlib import md5
from typing import Any, Final

from scramp import ScramClient, ScramException  # type: ignore[import-untyped]

from svcmock.capabilities import Credentials
from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres import codec
from svcmock_protocols.postgres.scram import MECHANISM

MAX_ITERATIONS: Final = 1_000_000
"""Rounds of hashing that a server may ask for: everybody waits for them."""

OK: Final = 0
_CLEARTEXT, _MD5, _SASL, _CONTINUE, _FINAL = 3, 5, 10, 11, 12


class Unable(Exception):
    """There is no answer to what the server asks for; the message says why."""


class Authentication:
    """Of one connection to a server. `done`: the server, too, has shown what it should know."""

    def __init__(self, user: str, credentials: Credentials) -> None:
        self._user = user
        self._password = credentials.password
        self._nonce: Callable[[], str] = credentials.nonce
        self._scram: Any = None
        self.done = True

    def answer(self, body: bytes) -> bytes:
        """What is answered to an Authentication message, if anything. Raises Unable and ProtocolError."""
        reader = codec.Reader(body)
        kind = reader.int32()
        if kind == OK:
            if not self.done:
                raise Unable("it lets anybody in who has not heard whether it knows the password")
            return b""
        if kind not in (_CLEARTEXT, _MD5, _SASL, _CONTINUE, _FINAL):
            raise Unable(f"it asks for authentication of type {kind}, which the recorder does not speak")
        if self._password is None:
            raise Unable(
                "it asks for a password, and none is known: `upstream_password_env` names its variable"
            )
        if kind == _CLEARTEXT:
            return codec.frame(b"p", codec.text(self._password))
        if kind == _MD5:
            return codec.frame(b"p", codec.text(_hashed(self._user, self._password, reader.take(4))))
        return self._speak(kind, reader.rest(), self._password)

    def _speak(self, kind: int, message: bytes, password: str) -> bytes:
        """SCRAM."""
        try:
            if kind == _SASL:
                return self._begin(codec.mechanisms(message), password)
            if self._scram is None:
                raise ProtocolError("SASL goes on that has not begun")
            if kind == _CONTINUE:
                told = message.decode()
                _check_rounds(told)
                self._scram.set_server_first(told)
                return codec.frame(b"p", self._scram.get_client_final().encode())
            self._scram.set_server_final(message.decode())
        except (ScramException, ValueError) as error:
            raise Unable(f"its SCRAM cannot be followed: {error}") from None
        self.done = True
        return b""

    def _begin(self, offered: list[str], password: str) -> bytes:
        if MECHANISM not in offered:
            raise Unable(f"it asks for {', '.join(offered) or 'nothing'}, and the recorder speaks {MECHANISM}")
        self.done = False
        # the server knows the name from the startup message
        self._scram = ScramClient([MECHANISM], "*", password, c_nonce=self._nonce())
        first = self._scram.get_client_first().encode()
        return codec.frame(b"p", codec.text(MECHANISM) + len(first).to_bytes(4) + first)


def _hashed(user: str, password: str, salt: bytes) -> str:
    inner = md5((password + user).encode(), usedforsecurity=False).hexdigest()
    return "md5" + md5(inner.encode() + salt, usedforsecurity=False).hexdigest()


def _check_rounds(first: str) -> None:
    """Of the server's first message. Raises ValueError."""
    asked = next((part[2:] for part in first.split(",") if part.startswith("i=")), "")
    if not (asked.isascii() and asked.isdigit() and 0 < int(asked[:9]) <= MAX_ITERATIONS and len(asked) < 9):
        raise ValueError(f"{asked[:20] or 'no'} rounds, at most {MAX_ITERATIONS}")
