"""SCRAM against scramp's client."""

import pytest
from scramp import ScramClient, ScramException

from svcmock_protocols.postgres.scram import MECHANISM, Scram


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
