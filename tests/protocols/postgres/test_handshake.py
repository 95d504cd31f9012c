"""Until a client has logged in."""

import pytest
from scramp import ScramClient

from svcmock.protocol import Become, Close, Publish, Send, Side, StartTLS
from svcmock_protocols.postgres.handshake import HandshakeSession
from svcmock_protocols.postgres.messages import Options
from svcmock_protocols.postgres.shared import cancelling
from tests.protocols.conformance import check_session_splits, check_session_survives
from tests.protocols.postgres import wire


def opened(data: bytes, options: Options = wire.ANYBODY, **more):
    return list(HandshakeSession(wire.context(options, **more)).received(data))


def test_anybody_is_let_in():
    outs = opened(wire.startup())
    hello = wire.split(wire.sent(outs))
    assert hello[0] == wire.message(b"R", wire.i32(0))
    assert wire.kinds(wire.sent(outs)) == "R" + "S" * (len(hello) - 3) + "KZ"
    assert wire.reported("session_authorization", "ann") in hello
    assert hello[-2][:9] == wire.message(b"K", wire.i32(1), b"abcd")[:9]
    assert isinstance(outs[-1], Become)


@pytest.mark.parametrize("asked", [wire.SSL, wire.GSSENC, wire.GSSENC + wire.SSL])
def test_encryption_is_declined_without_tls(asked):
    outs = check_session_splits(
        lambda: HandshakeSession(wire.context()), asked + wire.startup() + wire.TERMINATE, None
    )
    assert wire.sent(outs).startswith(b"N" * (len(asked) // 8) + b"R")
    assert isinstance(outs[-1], Close)


def test_tls_is_begun_where_the_service_has_it():
    assert opened(wire.SSL, tls=True) == [Send(b"S"), StartTLS(Side.CLIENT)]


def test_nothing_may_be_said_before_tls_has_begun():
    """What a man in the middle puts before the handshake must not be taken for said within TLS."""
    outs = opened(wire.SSL + wire.startup(), tls=True)
    assert b"unencrypted data after SSL request" in wire.sent(outs)
    assert outs[-1] == Close()


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        (3 << 16, b""),
        (3 << 16 | 2, b""),
        (3 << 16 | 1, wire.message(b"v", wire.i32(3 << 16, 0))),
        (3 << 16 | 9, wire.message(b"v", wire.i32(3 << 16 | 2, 0))),
    ],
)
def test_versions(version, answer):
    assert wire.sent(opened(wire.startup(version))).startswith(answer + b"R")


def test_options_that_nobody_knows_are_told():
    outs = opened(wire.startup(**{"user": "ann", "_pq_.x": "1"}))
    assert wire.sent(outs).startswith(wire.message(b"v", wire.i32(3 << 16, 1), b"_pq_.x\0"))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (wire.startup(2 << 16), "0A000"),
        (wire.startup(database="x"), "28000"),
        (wire.startup(user="ann", replication="true"), "0A000"),
        (b"\0\0\0\7", "08P01"),
        (b"GET / HTTP/1.1\r\n\r\n", "08P01"),
        (wire.i32(12, 196608) + b"user", "08P01"),
    ],
)
def test_refusals(data, code):
    outs = check_session_splits(lambda: HandshakeSession(wire.context()), data, None)
    told = wire.sent(outs)
    assert told[:1] == b"E"
    assert b"SFATAL\0" in told
    assert b"C" + code.encode() + b"\0" in told
    assert outs[-1] == Close()


def test_a_cancel_request_is_told_to_the_connection_with_that_key():
    outs = opened(wire.i32(16, 80877102, 7) + b"abcd")
    assert outs == [Publish(cancelling(7, b"abcd"), None), Close()]


def logged_in(tried: str) -> bytes:
    session = HandshakeSession(wire.context(Options(password="pencil")))
    told = wire.sent(session.received(wire.startup()))
    assert told == wire.message(b"R", wire.i32(10), b"SCRAM-SHA-256\0\0")
    client = ScramClient(["SCRAM-SHA-256"], "ann", tried)
    first = client.get_client_first().encode()
    initial = wire.message(b"p", b"SCRAM-SHA-256\0", wire.value(first))
    told = wire.sent(session.received(initial))
    assert told[5:9] == wire.i32(11)
    client.set_server_first(told[9:].decode())
    told = wire.sent(session.received(wire.message(b"p", client.get_client_final().encode())))
    if told[:1] == b"R":
        final = wire.split(told)[0]
        client.set_server_final(final[9:].decode())
    return told


def test_scram_lets_in_who_knows_the_password():
    assert wire.kinds(logged_in("pencil")).startswith("RRS")
    assert b'C28P01\0Mpassword authentication failed for user "ann"\0' in logged_in("pen")


@pytest.mark.parametrize(
    "data", [wire.query("SELECT 1"), wire.message(b"p", b"PLAIN\0", wire.value(b"x")), wire.message(b"p")]
)
def test_what_is_no_login_is_refused(data):
    outs = opened(wire.startup() + data, Options(password="pencil"))
    assert b"SFATAL\0" in wire.sent(outs)
    assert outs[-1] == Close()


def test_ends():
    session = HandshakeSession(wire.context())
    assert not session.idle
    assert session.at_rest is None
    assert session.held == 0
    assert b"08P01" in wire.sent(session.timed_out())
    assert session.received(wire.startup()) == ()
    assert b"57P03" in wire.sent(HandshakeSession(wire.context()).draining())
    assert HandshakeSession(wire.context()).eof() == (Close(),)


@pytest.mark.parametrize("seed", range(60))
def test_damaged_logins_survive(seed):
    check_session_survives(
        lambda: HandshakeSession(wire.context(Options(password="pencil"))),
        wire.SSL + wire.startup() + wire.message(b"p", b"SCRAM-SHA-256\0", wire.value(b"n,,n=,r=abc")),
        None,
        seed,
    )
