"""Recording, with the bytes of both sides."""

import pytest

from svcmock.protocol import Began, Exchange, Fact, Forward, Lost, Opaque, Shut, Side, StartTLS, Upstream
from svcmock_protocols.postgres.messages import Column, Reply, Request, Result, said
from svcmock_protocols.postgres.tap import PostgresTap
from tests.protocols.conformance import check_tap_splits, mutate, watch
from tests.protocols.postgres import wire

ID = (Column("id", 23),)
IDS = wire.columns(("id", 23), size=4)
ONE = Reply((Result(ID, (("1",),), "SELECT 1"),))


def tap(url: str = "postgres://db.example", **more) -> PostgresTap:
    return PostgresTap(wire.context(**more), Upstream(url, "db.example"))


def logged_in() -> PostgresTap:
    one = tap()
    one.from_client(wire.startup(), 0.0)
    one.from_server(wire.HELLO, 0.0)
    return one


def seen(*turns: tuple[bytes, bytes]) -> list:
    """What is recorded of these turns: what the client says, and what the server answers."""
    one, found = logged_in(), []
    for client, server in turns:
        found += one.from_client(client, 1.0)
        found += one.from_server(server, 3.0)
    found += [*one.eof(Side.CLIENT, 4.0), *one.eof(Side.SERVER, 4.0)]
    return [out for out in found if not isinstance(out, Forward | Shut)]


def exchanges(*turns: tuple[bytes, bytes]) -> list[tuple[Request, Reply]]:
    found = seen(*turns)
    assert not [out for out in found if isinstance(out, Opaque | Lost)], found
    assert sum(isinstance(out, Began) for out in found) == sum(isinstance(out, Exchange) for out in found)
    return [(out.request, out.reply) for out in found if isinstance(out, Exchange)]


# --- the login ---


def test_tls_of_the_client_is_declined_and_not_passed_on():
    one = tap()
    assert one.from_client(wire.GSSENC + wire.SSL, 0.0) == [Forward(b"N", Side.CLIENT)] * 2
    assert one.from_client(wire.startup(), 0.0) == [Forward(wire.startup(), Side.SERVER)]


def test_tls_of_the_client_where_the_service_has_it():
    one = tap(tls=True)
    assert one.from_client(wire.SSL, 0.0) == [Forward(b"S", Side.CLIENT), StartTLS(Side.CLIENT)]
    assert one.from_client(wire.startup(), 0.0) == [Forward(wire.startup(), Side.SERVER)]


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


# --- statements ---


def test_a_query():
    answer = IDS + wire.row(b"1") + wire.complete("SELECT 1") + wire.ready()
    assert exchanges((wire.query("SELECT 1;"), answer)) == [(Request("SELECT 1;"), ONE)]
    (exchange,) = [out for out in seen((wire.query("SELECT 1"), answer)) if isinstance(out, Exchange)]
    assert (exchange.timing.at, exchange.timing.took) == (1.0, 2.0)


def test_several_statements_at_once_are_one_exchange():
    answer = wire.complete("INSERT 0 1") + IDS + wire.row(b"1") + wire.complete("SELECT 1")
    reply = Reply((Result(tag="INSERT 0 1"), *ONE.results))
    assert exchanges((wire.query("a; b"), answer + wire.ready())) == [(Request("a; b"), reply)]
    failed = wire.complete("INSERT 0 1") + wire.error("42P01", "no") + wire.ready()
    reply = Reply((Result(tag="INSERT 0 1"),), said("42P01", "no"))
    assert exchanges((wire.query("a; b"), failed)) == [(Request("a; b"), reply)]


BATCH = wire.bind((b"1",)) + wire.describe() + wire.execute() + wire.SYNC
ROWS = IDS + wire.row(b"1") + wire.complete("SELECT 1") + wire.ready()


def test_psycopg():
    first = (wire.parse("SELECT $1", "", (21,)) + BATCH, wire.PARSED + wire.BOUND + ROWS)
    assert exchanges(first) == [(Request("SELECT $1", ("1",), (21,)), ONE)]


def test_asyncpg():
    """Of a statement prepared before, only Bind and Execute come; its rows are those of its description."""
    asked = wire.parse("SELECT $1", "s1") + wire.describe("S", "s1") + wire.FLUSH
    run = wire.bind((b"\0\0\0\1",), statement="s1", formats=(1,), wanted=(1,)) + wire.execute() + wire.SYNC
    rows = wire.BOUND + wire.row(b"\0\0\0\1") + wire.complete("SELECT 1") + wire.ready()
    found = exchanges((asked, wire.PARSED + wire.types(23) + IDS), (run, rows), (run, rows))
    known = Reply((Result(ID),), types=(23,))
    again = (Request("SELECT $1", ("1",), (23,)), ONE)
    assert found == [(Request("SELECT $1", op="describe"), known), again, again]


def test_pg8000():
    found = exchanges(
        (wire.parse("SELECT $1") + wire.FLUSH + wire.SYNC, wire.PARSED + wire.ready()),
        (wire.describe("S") + wire.FLUSH + wire.SYNC, wire.types(25) + IDS + wire.ready()),
        (wire.bind((b"1",)) + wire.FLUSH, wire.BOUND),
        (wire.execute() + wire.FLUSH + wire.SYNC, wire.row(b"1") + wire.complete("SELECT 1") + wire.ready()),
    )
    assert found[1] == (Request("SELECT $1", ("1",), (25,)), ONE)


def test_rows_some_at_a_time_are_one_exchange():
    found = exchanges(
        (wire.query("BEGIN"), wire.complete("BEGIN") + wire.ready("T")),
        (wire.parse("x") + wire.bind(portal="c") + wire.describe("P", "c") + wire.execute("c", 1) + wire.SYNC,
         wire.PARSED + wire.BOUND + IDS + wire.row(b"1") + wire.SUSPENDED + wire.ready("T")),
        (wire.execute("c", 2) + wire.SYNC, wire.row(b"2") + wire.complete("SELECT 1") + wire.ready("T")),
    )  # fmt: skip
    assert found == [(Request("x"), Reply((Result(ID, (("1",), ("2",)), "SELECT 2"),)))]


@pytest.mark.parametrize("after", [wire.SYNC, wire.close("P", "") + wire.SYNC, wire.bind() + wire.SYNC])
def test_rows_of_which_the_rest_is_not_asked_for(after):
    told = wire.CLOSED if after[:1] == b"C" else wire.BOUND if after[:1] == b"B" else b""
    found = exchanges(
        (wire.parse("x") + wire.bind() + wire.describe() + wire.execute("", 1) + after,
         wire.PARSED + wire.BOUND + IDS + wire.row(b"1") + wire.SUSPENDED + told + wire.ready()),
    )  # fmt: skip
    assert found == [(Request("x"), ONE)]


# --- failures ---


def test_a_failure_skips_to_the_next_sync():
    one = wire.parse("a") + wire.bind() + wire.execute()
    two = wire.parse("b") + wire.bind() + wire.execute()
    answer = (
        wire.PARSED + wire.BOUND + wire.complete("X") + wire.PARSED + wire.error("22012", "zero") + wire.ready()
    )
    later = (one + wire.SYNC, wire.PARSED + wire.BOUND + wire.complete("X") + wire.ready())
    found = seen((one + two + one + wire.SYNC, answer), later)
    assert [(o.request.sql, o.reply.failure) for o in found if isinstance(o, Exchange)] == [
        ("a", None),
        ("b", said("22012", "zero")),
        ("a", None),
    ]
    assert [out.kind for out in found if isinstance(out, Lost)] == ["skipped"]


def test_a_failure_before_the_sync_was_sent():
    found = exchanges(
        (wire.parse("a") + wire.describe("S") + wire.FLUSH, wire.error("42P01", "no")),
        (wire.bind() + wire.execute() + wire.SYNC, wire.ready()),
        (wire.query("b"), wire.complete("B") + wire.ready()),
    )
    assert found == [
        (Request("a", op="describe"), Reply(failure=said("42P01", "no"))),
        (Request("b"), Reply((Result(tag="B"),))),
    ]


def test_a_statement_that_cannot_be_prepared_was_still_asked_for():
    found = exchanges((wire.parse("a", "", (23,)) + BATCH, wire.error("42P01", "no") + wire.ready()))
    assert found == [(Request("a", ("1",), (23,)), Reply(failure=said("42P01", "no")))]


def test_a_failure_at_the_end_of_the_transaction():
    one = wire.parse("a") + wire.bind() + wire.execute() + wire.SYNC
    answer = wire.PARSED + wire.BOUND + wire.complete("A") + wire.error("23503", "no") + wire.ready()
    assert exchanges((one, answer)) == [(Request("a"), Reply((Result(tag="A"),), said("23503", "no")))]


def test_a_server_that_goes_away():
    found = seen((wire.query("SELECT 1"), wire.error("57P01", "shutdown", "FATAL")))
    assert found == [Began(1), Lost(1, "the upstream left before it had answered")]
    assert seen((b"", wire.error("57P01", "shutdown", "FATAL"))) == []


# --- copies ---


def test_copies():
    data = wire.message(b"d", b"1\n")
    out = wire.message(b"H", b"\0", wire.i16(1, 0))
    end = wire.message(b"c") + wire.complete("COPY 1") + wire.ready()
    found = exchanges(
        (wire.query("COPY t FROM STDIN"), wire.message(b"G", b"\0", wire.i16(1, 0))),
        (data + data + wire.message(b"c"), wire.complete("COPY 2") + wire.ready()),
        (wire.query("COPY t TO STDOUT"), out + data + end),
    )  # fmt: skip
    assert found == [
        (Request("COPY t FROM STDIN", copy=b"1\n1\n"), Reply((Result(tag="COPY 2"),))),
        (Request("COPY t TO STDOUT"), Reply((Result(tag="COPY 1", copy=(b"1\n",), width=1),))),
    ]


def test_the_sync_that_a_copy_swallows():
    data = wire.message(b"d", b"1\n") + wire.message(b"c") + wire.SYNC
    found = exchanges(
        (wire.parse("COPY t FROM STDIN") + wire.bind() + wire.execute() + wire.SYNC,
         wire.PARSED + wire.BOUND + wire.message(b"G", b"\0", wire.i16(1, 0))),
        (data, wire.complete("COPY 1") + wire.ready()),
        (wire.query("SELECT 1"), wire.complete("SELECT 1") + wire.ready()),
    )  # fmt: skip
    assert len(found) == 2


# --- what is said unasked ---


def test_notices_notifications_and_reports():
    noise = wire.error("00000", "hi", "NOTICE", b"N") + wire.message(b"A", wire.i32(1), b"c\0p\0")
    found = exchanges(
        (b"", noise),
        (wire.query("CALL p()"), noise + wire.complete("CALL") + wire.reported("x", "y") + wire.ready("T")),
    )
    reply = Reply((Result(tag="CALL"),), None, (said("00000", "hi", "NOTICE"),), None, (("x", "y"),), "T")
    assert found == [(Request("CALL p()"), reply)]


# --- what is not understood ---


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (b"!\0\0\0\4", b""),
        (b"Q\0\0\0\1", b""),
        (wire.message(b"Q", b"no end"), b""),
        (b"", wire.ready()),
        (b"", b"D\0\0\0\1"),
        (b"", wire.row(b"1")),
        (wire.query("x"), b"D\x7f\xff\xff\xff"),
        (wire.query("x"), wire.message(b"D", b"\0\3")),
        (wire.query("x"), wire.message(b"W", b"\0\0\0")),
        (wire.SYNC, wire.message(b"T", b"\0\0")),
    ],
)
def test_it_is_passed_on_unread_from_there(client, server):
    """A hole in what is seen must not become wrong recordings, nor an allocation of gigabytes."""
    one = logged_in()
    out = [*one.from_client(client, 0.0), *one.from_server(server, 0.0)]
    assert sum(isinstance(each, Opaque) for each in out) == 1
    passed = [each for each in out if isinstance(each, Forward)]
    assert b"".join(each.data for each in passed if each.to is Side.SERVER) == client
    assert b"".join(each.data for each in passed if each.to is Side.CLIENT) == server
    assert one.from_client(b"more", 0.0) == (Forward(b"more", Side.SERVER),)
    assert one.from_server(b"more", 0.0) == (Forward(b"more", Side.CLIENT),)


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
    assert one.unreachable("refused", 0.0) == ()
    assert one.from_client(wire.SSL, 0.0) == [Forward(b"N", Side.CLIENT)]
    told, shut = one.from_client(wire.startup(), 0.0)
    assert b"cannot be reached: refused" in told.data
    assert shut == Shut(Side.CLIENT)


def test_a_function_call_is_followed():
    found = exchanges(
        (wire.message(b"F", b"x"), wire.message(b"V", wire.i32(-1)) + wire.ready()),
        (wire.query("b"), wire.complete("B") + wire.ready()),
    )
    assert len(found) == 1


# --- however it comes ---

CLIENT = b"".join(
    [
        wire.SSL + wire.startup() + wire.query("SELECT 1"),
        wire.parse("SELECT $1", "s") + wire.describe("S", "s") + wire.FLUSH,
        wire.bind((b"1",), statement="s") + wire.execute() + wire.SYNC + wire.TERMINATE,
    ]
)
SERVER = b"".join(
    [
        wire.HELLO + ROWS + wire.PARSED + wire.types(23) + IDS,
        wire.BOUND + wire.row(b"1") + wire.complete("SELECT 1") + wire.ready(),
    ]
)


def test_reads_do_not_matter():
    found = check_tap_splits(tap, CLIENT, SERVER)
    assert sum(isinstance(out, Exchange) for out in found) == 3
    assert not any(isinstance(out, Lost | Opaque) for out in found)


@pytest.mark.parametrize("seed", range(150))
def test_damaged_bytes_survive(seed):
    """Nothing raises, every statement that began comes to one end, and what is passed on is what came."""
    client, server = mutate(CLIENT[8:], seed), mutate(SERVER, seed + 1)
    found = watch(tap(), [(Side.CLIENT, client), (Side.SERVER, server)])
    began = [out.id for out in found if isinstance(out, Began)]
    ended = [out.id for out in found if isinstance(out, Exchange | Lost)]
    assert sorted(began) == sorted(ended)
    forwarded = b"".join(out.data for out in found if isinstance(out, Forward) and out.to is Side.CLIENT)
    assert forwarded.endswith(server) or server.startswith(forwarded) or forwarded[:1] == b"N"
