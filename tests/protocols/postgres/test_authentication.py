"""What a recorder answers a server that asks who it is; the server's side of SCRAM is scramp's."""

from hashlib import md5

import pytest
from scramp import ScramMechanism

from svcmock.capabilities import Credentials
from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres import codec
from svcmock_protocols.postgres.authentication import MAX_ITERATIONS, Authentication, Unable
from tests.protocols.postgres import wire


def known(password: str | None = "pencil") -> Authentication:
    return Authentication("ann", Credentials("ann", password, lambda: "nonce"))


def asks(kind: int, *parts: bytes) -> bytes:
    return wire.i32(kind) + b"".join(parts)


OFFER = asks(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")


def test_nothing_is_asked():
    one = known(None)
    assert one.answer(asks(0)) == b""
    assert one.done


def test_a_password_in_the_clear():
    assert known().answer(asks(3)) == wire.message(b"p", b"pencil\0")


def test_a_password_that_is_hashed():
    inner = md5(b"pencilann").hexdigest().encode()
    told = b"md5" + md5(inner + b"salt").hexdigest().encode() + b"\0"
    assert known().answer(asks(5, b"salt")) == wire.message(b"p", told)


def scram(password: str, tried: str, rounds: int = 4096) -> Authentication:
    """A whole login."""
    mechanism = ScramMechanism("SCRAM-SHA-256")
    made = mechanism.make_auth_info(password, iteration_count=rounds)
    server = mechanism.make_server(lambda _user: made)
    one = known(tried)
    reader = codec.Reader(one.answer(OFFER)[5:])
    assert reader.text() == "SCRAM-SHA-256"
    server.set_client_first((reader.value() or b"").decode())
    with pytest.raises(Unable, match="lets anybody in"):
        one.answer(asks(0))
    final = one.answer(asks(11, server.get_server_first().encode()))[5:].decode()
    if tried == password:
        server.set_client_final(final)
        assert one.answer(asks(12, server.get_server_final().encode())) == b""
    return one


def test_scram():
    assert scram("pencil", "pencil").done
    assert scram("pässwörd", "pässwörd", 10_000).done


def test_a_server_that_does_not_know_the_password_is_not_believed():
    with pytest.raises(Unable, match="cannot be followed"):
        scram("pencil", "pen").answer(asks(12, b"v=AAAA"))


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (b"r=nonce2,s=AAAA,i=%d" % (MAX_ITERATIONS + 1), "at most"),
        (b"r=nonce2,s=AAAA,i=99999999999999999999999", "at most"),
        (b"r=nonce2,s=AAAA,i=0", "at most"),
        (b"r=nonce2,s=AAAA,i=-5", "at most"),
        (b"r=nonce2,s=AAAA", "no rounds"),
        (b"r=other,s=AAAA,i=4096", "cannot be followed"),
        (b"\xff\xff", "cannot be followed"),
        (b"", "no rounds"),
    ],
)
def test_a_server_that_speaks_no_scram(first, why):
    one = known()
    one.answer(OFFER)
    with pytest.raises(Unable, match=why):
        one.answer(asks(11, first))


@pytest.mark.parametrize("kind", [2, 6, 7, 8, 9, 13, -1])
def test_what_is_not_spoken(kind):
    with pytest.raises(Unable, match=f"type {kind}"):
        known().answer(asks(kind))


def test_what_cannot_be_answered():
    with pytest.raises(Unable, match="none is known: `upstream_password_env`"):
        known(None).answer(asks(3))
    with pytest.raises(Unable, match="asks for SCRAM-SHA-512"):
        known().answer(asks(10, b"SCRAM-SHA-512\0\0"))
    for body in (b"", asks(5, b"s"), asks(10, b"SCRAM"), asks(11, b"r=x"), asks(12, b"v=x")):
        with pytest.raises(ProtocolError):
            known().answer(body)


def test_a_password_is_shown_to_nobody():
    assert "pencil" not in repr(Credentials("ann", "pencil", lambda: ""))
