"""How a client of a recorded service logs in, with the bytes of both sides."""

import pytest
from scramp import ScramClient

from svcmock.capabilities import Credentials
from svcmock.protocol import Fact, Forward, Opaque, Shut, Side, StartTLS, Upstream
from svcmock_protocols.postgres import login
from svcmock_protocols.postgres.messages import Options
from svcmock_protocols.postgres.tap import PostgresTap
from tests.protocols.conformance import check_tap_splits, mutate, watch
from tests.protocols.postgres import wire


def tap(url: str = "postgres://db.example", **more) -> PostgresTap:
    return PostgresTap(wire.context(**more), Upstream(url, "db.example"))


def test_tls_of_the_client_is_declined_and_not_passed_on():
    one = tap()
    assert one.from_client(wire.GSSENC + wire.SSL, 0.0) == [Forward(b"N", Side.CLIENT)] * 2
    assert one.from_client(wire.startup(), 0.0) == [Forward(wire.startup(), Side.SERVER)]


def test_tls_of_the_client_where_the_service_has_it():
    one = tap(tls=True)
    assert one.from_client(wire.SSL, 0.0) == [Forward(b"S", Side.CLIENT), StartTLS(Side.CLIENT)]
    assert one.from_client(wire.startup(), 0.0) == [Forward(wire.startup(), Side.SERVER)]


def test_a_hello_of_tls_that_comes_too_early_is_not_passed_on():
    """With the question in one segment: the server must not see in the clear what is meant to begin TLS."""
    one = tap(tls=True)
    told, *shut = one.from_client(wire.SSL + b"\x16\x03\x01\x02\x00", 0.0)
    assert b"unencrypted data after SSL request" in told.data
    assert told.to is Side.CLIENT
    assert shut == [Shut(Side.CLIENT), Shut(Side.SERVER)]
    assert one.from_client(b"more", 0.0) == ()


@pytest.mark.parametrize("mode", ["prefer", "require", "verify-full"])
def test_tls_towards_the_server(mode):
    one = tap(f"postgres://db.example?sslmode={mode}")
    assert one.from_client(wire.startup(), 0.0) == [Forward(wire.SSL, Side.SERVER)]
    assert one.from_client(wire.query("x")[:3], 0.0) == []
    begun = [StartTLS(Side.SERVER), Forward(wire.startup(), Side.SERVER), Forward(b"Q\0\0", Side.SERVER)]
    assert one.from_server(b"S", 0.0) == begun


def test_a_server_without_tls():
    one = tap("postgres://db.example?sslmode=prefer")
    one.from_client(wire.startup(), 0.0)
    assert one.from_server(b"N", 0.0) == [Forward(wire.startup(), Side.SERVER)]
    one = tap("postgres://db.example?sslmode=require")
    one.from_client(wire.startup(), 0.0)
    told, *shut = one.from_server(b"N", 0.0)
    assert b"SFATAL" in told.data
    assert b"does not speak TLS" in told.data
    assert shut == [Shut(Side.CLIENT), Shut(Side.SERVER)]


def test_what_binds_to_tls_is_taken_out_of_the_offer():
    one = tap()
    one.from_client(wire.startup(), 0.0)
    offer = wire.message(b"R", wire.i32(10), b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")
    kept = wire.message(b"R", wire.i32(10), b"SCRAM-SHA-256\0\0")
    assert one.from_server(offer, 0.0) == [Forward(kept, Side.CLIENT)]
    secret = wire.message(b"p", b"SCRAM-SHA-256\0", wire.value(b"n,,n=,r=abc"))
    assert one.from_client(secret, 0.0) == [Forward(secret, Side.SERVER)]


def test_what_the_server_is_becomes_facts():
    one = tap()
    one.from_client(wire.startup(user="ann", timezone="UTC"), 0.0)
    told = wire.reported("server_version", "18.1") + wire.reported("TimeZone", "UTC")
    out = one.from_server(told + wire.reported("application_name", "x"), 0.0)
    assert [one for one in out if isinstance(one, Fact)] == [Fact("server_version", "18.1")]


def test_a_cancel_request_is_passed_on():
    one = tap()
    request = wire.i32(16, 80877102, 7) + b"abcd"
    assert one.from_client(request, 0.0) == [Forward(request, Side.SERVER)]
    assert one.eof(Side.SERVER, 0.0) == [Shut(Side.CLIENT)]


def test_an_upstream_that_is_not_there():
    one = tap()
    one.from_client(wire.startup(), 0.0)
    told, shut = one.unreachable("refused", 0.0)
    assert b"C08006\0Msvcmock: db.example cannot be reached: refused\0" in told.data
    assert shut == Shut(Side.CLIENT)
    assert one.from_client(b"x", 0.0) == ()
    assert one.eof(Side.CLIENT, 0.0) == []


def test_an_upstream_that_is_not_there_before_the_client_has_spoken():
    """A client that asks for TLS first would not read the reason if it came as the answer to that."""
    one = tap()
    assert one.unreachable("refused", 0.0) == []
    assert one.from_client(wire.SSL, 0.0) == [Forward(b"N", Side.CLIENT)]
    told, shut = one.from_client(wire.startup(), 0.0)
    assert b"cannot be reached: refused" in told.data
    assert shut == Shut(Side.CLIENT)


def test_a_server_that_reports_without_end():
    """What is not understood is passed on as it came, and nothing grows."""
    one = tap()
    one.from_client(wire.startup(), 0.0)
    told = b"".join([wire.reported(f"p{number}", "x") for number in range(login.MAX_PARAMETERS + 1)])
    out = one.from_server(told, 0.0)
    assert isinstance(out[-1], Opaque)
    assert one.from_server(b"more", 0.0) == (Forward(b"more", Side.CLIENT),)
    assert isinstance(tap_after(b"R\x7f\0\0\0")[-1], Opaque)


def tap_after(told: bytes) -> list:
    one = tap()
    one.from_client(wire.startup(), 0.0)
    return list(one.from_server(told, 0.0))


# --- the recorder logs in itself ---


def own(password: str | None = "pencil", user: str | None = "app", url: str = "") -> PostgresTap:
    known = Credentials(user, password, lambda: "nonce")
    upstream = Upstream(f"postgres://db.example{url}", "db.example", credentials=known)
    return PostgresTap(wire.context(Options(auth="terminate")), upstream)


def test_the_client_is_let_in_when_the_server_has_let_in_the_recorder():
    one = own()
    begun = wire.startup(user="app", database="shop", timezone="UTC")
    assert one.from_client(wire.startup(user="ann", database="shop", timezone="UTC"), 0.0) == [
        Forward(begun, Side.SERVER)
    ]
    assert one.from_client(wire.query("SELECT 1")[:9], 0.0) == []  # said too early: it waits
    asked = wire.message(b"R", wire.i32(5), b"salt")
    (answer,) = one.from_server(asked, 0.0)
    assert answer.to is Side.SERVER
    assert answer.data.startswith(b"p")
    hello = wire.message(b"R", wire.i32(0))
    assert one.from_server(hello, 0.0) == [Forward(hello, Side.CLIENT)]
    early = Forward(wire.query("SELECT 1")[:9], Side.SERVER)
    assert one.from_server(wire.ready(), 0.0) == [Forward(wire.ready(), Side.CLIENT), early]


def test_the_users_database_stays_its_own():
    one = own()
    (out,) = one.from_client(wire.startup(user="ann"), 0.0)
    assert out == Forward(wire.startup(user="app", database="ann"), Side.SERVER)
    (out,) = own(user=None).from_client(wire.startup(user="ann", database="x"), 0.0)
    assert out == Forward(wire.startup(user="ann", database="x"), Side.SERVER)


def test_tls_comes_first():
    one = own(url="?sslmode=require")
    assert one.from_client(wire.startup(user="ann", database="x"), 0.0) == [Forward(wire.SSL, Side.SERVER)]
    begun = Forward(wire.startup(user="app", database="x"), Side.SERVER)
    assert one.from_server(b"S", 0.0) == [StartTLS(Side.SERVER), begun]


def test_the_servers_own_failure_reaches_the_client():
    one = own()
    one.from_client(wire.startup(), 0.0)
    refused = wire.error("28P01", "password authentication failed", "FATAL")
    assert one.from_server(refused, 0.0) == [Forward(refused, Side.CLIENT)]
    assert one.eof(Side.SERVER, 0.0) == [Shut(Side.CLIENT)]


def failure(out: list) -> bytes:
    """What the client is told; the server is told no more."""
    told, *shut = out
    assert told.to is Side.CLIENT
    assert shut == [Shut(Side.CLIENT), Shut(Side.SERVER)]
    return told.data


def test_what_the_recorder_cannot_answer():
    one = own(password=None)
    one.from_client(wire.startup(), 0.0)
    told = failure(one.from_server(wire.message(b"R", wire.i32(3)), 0.0))
    assert b"db.example: it asks for a password, and none is known" in told
    assert one.from_client(b"more", 0.0) == one.from_server(b"more", 0.0) == ()


@pytest.mark.parametrize("bytes_", [b"R\0\0\0\3", b"R\0\0\0\6\0\0", b"HTTP/1.1 400"])
def test_a_server_that_speaks_something_else(bytes_):
    """Nothing is passed on: the client's login is not the server's."""
    one = own()
    one.from_client(wire.startup(), 0.0)
    assert b"there is no login at db.example" in failure(one.from_server(bytes_, 0.0))


def test_a_server_that_leaves():
    one = own()
    one.from_client(wire.startup(), 0.0)
    told, *_ = one.eof(Side.SERVER, 0.0)
    assert b"there is no login at db.example" in told.data


def test_a_server_that_speaks_first():
    one = own(password="pencil")
    assert b"there is no login" in failure(one.from_server(wire.message(b"R", wire.i32(0)), 0.0))
    one = own()
    one.from_client(wire.startup(), 0.0)
    hello = wire.message(b"R", wire.i32(0))
    first, *rest = one.from_server(hello + hello, 0.0)
    assert first == Forward(hello, Side.CLIENT)
    assert b"there is no login" in failure(rest)


def guarded(password: str) -> PostgresTap:
    upstream = Upstream("postgres://db", "db.example", credentials=Credentials("app", "x", lambda: "nonce"))
    return PostgresTap(wire.context(Options(auth="terminate", password=password)), upstream)


def responding(one: PostgresTap, tried: str) -> list:
    """A client that is asked for the password that the service has."""
    (offer,) = one.from_client(wire.startup(), 0.0)
    assert offer == Forward(wire.message(b"R", wire.i32(10), b"SCRAM-SHA-256\0\0"), Side.CLIENT)
    client = ScramClient(["SCRAM-SHA-256"], "ann", tried)
    first = client.get_client_first().encode()
    (told,) = one.from_client(wire.message(b"p", b"SCRAM-SHA-256\0", wire.value(first)), 0.0)
    client.set_server_first(told.data[9:].decode())
    return list(one.from_client(wire.message(b"p", client.get_client_final().encode()), 0.0))


def test_clients_may_need_a_password_of_their_own():
    final, begun = responding(guarded("theirs"), "theirs")
    assert final.data.startswith(b"R")
    assert begun == Forward(wire.startup(user="app", database="shop"), Side.SERVER)
    told = failure(responding(guarded("theirs"), "guessed"))
    assert b'password authentication failed for user "ann"' in told


def test_a_client_that_gives_up_its_login():
    one = guarded("theirs")
    one.from_client(wire.startup(), 0.0)
    assert one.from_client(wire.TERMINATE, 0.0) == [Shut(Side.CLIENT), Shut(Side.SERVER)]
    one = guarded("theirs")
    one.from_client(wire.startup(), 0.0)
    assert b"there is no login" in failure(one.from_client(wire.query("SELECT 1"), 0.0))


LOGIN = b"".join(
    [
        wire.message(b"R", wire.i32(10), b"SCRAM-SHA-256\0\0") + wire.message(b"R", wire.i32(5), b"salt"),
        wire.HELLO[:9] + wire.reported("server_version", "18.1") + wire.HELLO[9:],
    ]
)


@pytest.mark.parametrize("seed", range(100))
def test_damaged_bytes_show_nobody_the_password(seed):
    """Nothing raises; what is not the server's own word reaches no client before it is let in."""
    one = own(password="pencil")
    found = watch(one, [(Side.CLIENT, wire.startup()), (Side.SERVER, mutate(LOGIN, seed))])
    to_client = b"".join(out.data for out in found if isinstance(out, Forward) and out.to is Side.CLIENT)
    assert b"pencil" not in to_client
    assert b"SCRAM" not in to_client or b"cannot be followed" in to_client or b"asks for" in to_client


def test_reads_of_a_login_do_not_matter():
    asked = LOGIN[LOGIN.index(b"salt") - 9 :]
    found = check_tap_splits(own, wire.startup(user="ann") + wire.query("x"), asked)
    assert Forward(wire.query("x"), Side.SERVER) in found


# --- what is not understood ---


@pytest.mark.parametrize(
    "told",
    [
        wire.message(b"S", b"no end"),
        wire.message(b"K", b"abc"),
        wire.message(b"R", wire.i32(10), b"SCRAM-SHA-256"),
        b"R\0\0\0\1" + b"x" * 20,
        b"\xff" * 30,
    ],
)
def test_all_of_it_reaches_the_client_as_it_came(told):
    one = tap()
    one.from_client(wire.startup(), 0.0)
    out = [*one.from_server(wire.HELLO[:9] + told, 0.0), *one.from_server(b"more", 0.0)]
    assert sum(isinstance(each, Opaque) for each in out) == 1
    assert b"".join(each.data for each in out if isinstance(each, Forward)) == wire.HELLO[:9] + told + b"more"


@pytest.mark.parametrize("begun", [wire.i32(16, 196608) + b"user\0ann", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 9])
def test_all_of_it_reaches_the_server_as_it_came(begun):
    one = tap()
    out = [*one.from_client(begun, 0.0), *one.from_client(b"more", 0.0)]
    assert sum(isinstance(each, Opaque) for each in out) == 1
    assert b"".join(each.data for each in out if isinstance(each, Forward)) == begun + b"more"
