"""SCRAM against scramp's client."""

import pytest
from scramp import ScramClient, ScramException

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres.scram import MECHANISM, Scram
from tests.protocols.postgres import wire


def login(known: str, tried: str) -> None:
    server = Scram(known, 1)
    client = ScramClient([MECHANISM], "ann", tried)
    client.set_server_first(server.first(client.get_client_first().encode()).decode())
    client.set_server_final(server.final(client.get_client_final().encode()).decode())


def test_both_sides_believe_each_other():
    login("pencil", "pencil")
    login("pässwörd", "pässwörd")


def test_a_wrong_password_is_refused():
    with pytest.raises((ValueError, ScramException)):
        login("pencil", "pen")


@pytest.mark.parametrize("message", [b"", b"\xff", b"n,,n=,r=", b"n,,x", b"p=tls-unique,,n=,r=abc"])
def test_what_is_no_scram_is_refused(message):
    with pytest.raises(ValueError):
        Scram("pencil", 1).first(message)


def test_no_two_connections_have_the_same_nonce():
    made = {Scram("pencil", number).first(b"n,,n=,r=abc") for number in range(1, 5)}
    assert len(made) == 4


def test_a_client_may_leave_its_name_to_the_startup_message():
    """As libpq does. What it signs is what it sent."""
    server = Scram("pencil", 1)
    client = ScramClient([MECHANISM], "ann", "pencil")
    first = client.get_client_first().replace("n=ann", "n=")
    client.client_first_bare = client.client_first_bare.replace("n=ann", "n=")
    client.set_server_first(server.first(first.encode()).decode())
    client.set_server_final(server.final(client.get_client_final().encode()).decode())


def test_the_messages_of_a_login():
    server, client = Scram("pencil", 1), ScramClient([MECHANISM], "ann", "pencil")
    first = client.get_client_first().encode()
    told = server.take(wire.z(MECHANISM) + wire.value(first))
    assert told[:9] == wire.message(b"R", wire.i32(11), told[9:])[:9]
    assert not server.proven
    client.set_server_first(told[9:].decode())
    told = server.take(client.get_client_final().encode())
    client.set_server_final(told[9:].decode())
    assert server.proven


def test_another_mechanism_is_refused():
    with pytest.raises(ValueError, match="invalid SASL authentication mechanism"):
        Scram("pencil", 1).take(wire.z("SCRAM-SHA-256-PLUS") + wire.value(b"p=tls-server-end-point,,n=,r=x"))
    with pytest.raises(ProtocolError):
        Scram("pencil", 1).take(b"SCRAM-SHA-256")
