"""Recording, with the bytes of both sides."""

import random

import pytest
from msgspec.structs import replace

from svcmock.protocol import Began, Exchange, Forward, Lost, Opaque, Shut, Side, Upstream
from svcmock_protocols.postgres.messages import Column, Notification, Reply, Request, Result, said
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


def test_asyncpg_that_keeps_no_statements():
    """It prepares a statement again right before it binds it, by what it was told of it before."""
    asked = wire.parse("SELECT $1") + wire.describe("S") + wire.FLUSH
    run = wire.parse("SELECT $1") + wire.bind((b"\0\0\0\1",), formats=(1,), wanted=(1,)) + wire.execute()
    rows = wire.PARSED + wire.BOUND + wire.row(b"\0\0\0\1") + wire.complete("SELECT 1") + wire.ready()
    found = exchanges((asked, wire.PARSED + wire.types(23) + IDS), (run + wire.SYNC, rows))
    assert found[1:] == [(Request("SELECT $1", ("1",), (23,)), ONE)]


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
    found = seen((wire.query("SELECT a"), wire.error("57P01", "shutdown", "FATAL")))
    assert found == [Began(1), Lost(1, "the server ended the connection: 57P01 shutdown")]
    left = [Began(1), Lost(1, "the upstream left before it had answered")]
    assert seen((wire.query("SELECT a"), b"")) == left
    assert seen((b"", wire.error("57P01", "shutdown", "FATAL"))) == []


def test_a_failure_that_ends_the_connection_is_nobodys_answer():
    """In a pipeline, too: what it answers at another time is not known. What came before it was answered."""
    one = wire.parse("a") + wire.bind() + wire.execute()
    answer = wire.PARSED + wire.BOUND + wire.complete("A") + wire.PARSED + wire.error("57P01", "bye", "FATAL")
    found = seen((one + one + wire.SYNC, answer))
    assert [(type(out), out.id) for out in found[2:]] == [(Exchange, 1), (Lost, 2)]
    assert found[2].reply == Reply((Result(tag="A"),))


def test_a_connection_that_ends_in_a_transaction_has_no_status_at_its_end():
    found = exchanges(
        (wire.query("BEGIN"), wire.complete("BEGIN") + wire.ready("T")),
        (wire.parse("a") + wire.bind() + wire.execute() + wire.FLUSH,
         wire.PARSED + wire.BOUND + wire.complete("A")),
    )  # fmt: skip
    assert found == [(Request("a"), Reply((Result(tag="A"),)))]


@pytest.mark.parametrize("end", ["terminate", "vanish"])
def test_a_client_that_leaves_in_a_transaction(end):
    """What it was told is recorded, whether or not the server's end is ever seen."""
    one, found = logged_in(), []
    turns = (
        (wire.query("BEGIN"), wire.complete("BEGIN") + wire.ready("T")),
        (wire.query("DECLARE c CURSOR FOR x"), wire.complete("DECLARE CURSOR") + wire.ready("T")),
        (wire.query("FETCH 1 FROM c"), IDS + wire.row(b"1") + wire.complete("FETCH 1") + wire.ready("T")),
        (wire.parse("y") + wire.bind(portal="p") + wire.describe("P", "p") + wire.execute("p", 1) + wire.SYNC,
         wire.PARSED + wire.BOUND + IDS + wire.row(b"2") + wire.SUSPENDED + wire.ready("T")),
    )  # fmt: skip
    for client, server in turns:
        found += [*one.from_client(client, 0.0), *one.from_server(server, 0.0)]
    found += one.from_client(wire.TERMINATE, 0.0) if end == "terminate" else one.eof(Side.CLIENT, 0.0)
    told = {out.request.sql: out.reply.results for out in found if isinstance(out, Exchange)}
    assert told == {
        "DECLARE c CURSOR FOR x": (Result(ID, (("1",),), "DECLARE CURSOR"),),
        "y": (Result(ID, (("2",),), "SELECT 1"),),
    }


# --- names ---


def run_of(statement: str, tag: str = "X") -> tuple[bytes, bytes]:
    return (
        wire.bind(statement=statement) + wire.execute() + wire.SYNC,
        wire.BOUND + wire.complete(tag) + wire.ready(),
    )


def test_a_name_that_is_taken_means_what_it_meant():
    found = exchanges(
        (wire.parse("a", "s") + wire.SYNC, wire.PARSED + wire.ready()),
        (wire.parse("b", "s") + wire.SYNC, wire.error("42P05", "taken") + wire.ready()),
        run_of("s"),
    )
    assert found[-1] == (Request("a"), Reply((Result(tag="X"),)))


def test_what_is_skipped_does_not_change_names():
    skipped = wire.parse("!") + wire.close("S", "s") + wire.parse("b", "s") + wire.parse("c", "t") + wire.SYNC
    found = exchanges(
        (wire.parse("a", "s") + wire.SYNC, wire.PARSED + wire.ready()),
        (skipped, wire.error("42601", "no") + wire.ready()),
        run_of("s"),
        (wire.parse("d", "t") + wire.SYNC, wire.PARSED + wire.ready()),
        run_of("t"),
    )
    assert [request.sql for request, _ in found if request.op == "query"] == ["a", "d"]


def test_statements_that_sql_drops_are_forgotten(monkeypatch):
    """Drivers that prepare under ever new names drop them by DEALLOCATE: none of that ends the watching."""
    monkeypatch.setattr("svcmock_protocols.postgres.named.MAX_NAMED", 2)
    turns = []
    for number in range(6):
        turns += [
            (wire.parse("a", f"s{number}") + wire.SYNC, wire.PARSED + wire.ready()),
            run_of(f"s{number}"),
            (wire.query(f"DEALLOCATE s{number}"), wire.complete("DEALLOCATE") + wire.ready()),
        ]
    assert len(exchanges(*turns)) == 6


def test_a_statement_that_nobody_saw_prepared():
    """PREPARE of SQL makes one that Bind can name; it is passed on, and what it is is not made up."""
    found = seen((wire.query("PREPARE s AS SELECT 1"), wire.complete("PREPARE") + wire.ready()), run_of("s"))
    assert [type(out) for out in found] == [Began, Lost]
    assert found[1].kind == "skipped"


def test_a_portal_that_is_executed_again_gives_nothing_new():
    found = exchanges(
        (wire.parse("x") + wire.bind(portal="c") + wire.execute("c") + wire.execute("c") + wire.SYNC,
         wire.PARSED + wire.BOUND + wire.complete("X 1") + wire.complete("X 0") + wire.ready()),
        (wire.query("b"), wire.complete("B") + wire.ready()),
    )  # fmt: skip
    assert [reply.results[0].tag for _, reply in found][-1] == "B"


# --- pipelines ---


def test_a_pipeline_with_a_sync_for_each_statement():
    """As postgres.js has it: many are sent before the first is answered, and some of them fail."""
    client, server = b"", b""
    for number in range(30):
        client += wire.parse(f"q{number}") + wire.bind() + wire.describe() + wire.execute() + wire.SYNC
        failed = number % 3 == 1
        server += wire.error("42P01", str(number)) if failed else wire.PARSED + wire.BOUND + IDS
        server += (b"" if failed else wire.row(b"%d" % number) + wire.complete("SELECT 1")) + wire.ready()
    found = [one for one in exchanges((client, server)) if one[0].op == "query"]
    for number, (request, reply) in enumerate(found):
        assert request.sql == f"q{number}"
        assert (reply.failure.get("M") if reply.failure else reply.results[0].rows[0][0]) == str(number)
    assert len(found) == 30


def test_what_is_sent_behind_a_failure_is_paired_again_after_its_sync():
    one = wire.parse("a") + wire.bind() + wire.execute()
    ok = wire.PARSED + wire.BOUND + wire.complete("A") + wire.ready()
    found = seen(
        (one + one, wire.PARSED + wire.error("42P01", "no")),
        (one + wire.query("q") + wire.close("S", "s") + wire.SYNC + one + wire.SYNC, wire.ready() + ok),
    )
    told = [out.reply.failure for out in found if isinstance(out, Exchange)]
    assert told == [said("42P01", "no"), None]


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


COPYING = wire.message(b"G", b"\0", wire.i16(1, 0))
DATA, DONE, FAIL = wire.message(b"d", b"1\n"), wire.message(b"c"), wire.message(b"f", b"no\0")
COPY = wire.parse("COPY t FROM STDIN") + wire.bind() + wire.execute() + wire.SYNC
READY = wire.PARSED + wire.BOUND
NO = wire.error("23505", "twice")


@pytest.mark.parametrize(
    ("turns", "given"),
    [
        pytest.param([(COPY, READY + COPYING), (DATA, NO), (DATA + DONE + wire.SYNC, b"")], b"1\n", id="early"),
        pytest.param([(COPY, READY + COPYING), (DATA + DONE + wire.SYNC, NO)], b"1\n", id="at its end"),
        pytest.param([(COPY, READY + COPYING), (DATA + FAIL + wire.SYNC, NO)], b"1\n", id="by the client"),
        pytest.param([(COPY, READY + COPYING), (DATA + wire.SYNC + DONE + wire.SYNC, NO)], b"1\n", id="sync"),
        pytest.param([(COPY + DATA + DONE + wire.SYNC, READY + COPYING + NO)], b"1\n", id="untold"),
        pytest.param([(COPY + DATA + DONE, NO + wire.ready()), (wire.SYNC, b"")], None, id="refused"),
        pytest.param([(COPY + DATA + DONE + wire.SYNC, NO + wire.ready())], None, id="refused, untold"),
    ],
)
def test_a_copy_that_fails_and_its_syncs(turns, given):
    """As many are answered as the server answers: what comes next is paired with its own answer."""
    after = (wire.query("SELECT 1"), wire.ready() + wire.complete("SELECT 1") + wire.ready())
    found = [one for one in exchanges(*turns, after) if one[0].op == "query"]
    assert found == [
        (Request("COPY t FROM STDIN", copy=given), Reply(failure=said("23505", "twice"))),
        (Request("SELECT 1"), Reply((Result(tag="SELECT 1"),))),
    ]


# --- what is said unasked ---


def test_notices_and_reports():
    noise = wire.error("00000", "hi", "NOTICE", b"N")
    found = exchanges(
        (b"", noise),
        (wire.query("CALL p()"), noise + wire.complete("CALL") + wire.reported("x", "y") + wire.ready("T")),
    )
    reply = Reply((Result(tag="CALL"),), None, (said("00000", "hi", "NOTICE"),), None, (("x", "y"),), "T")
    assert found == [(Request("CALL p()"), reply)]


def test_what_is_noticed_before_a_statement_runs_is_its_own():
    notice = wire.error("42622", "cut off", "NOTICE", b"N")
    last = wire.error("01000", "deferred", "WARNING", b"N")
    answer = notice + wire.PARSED + wire.BOUND + wire.complete("A") + last + wire.ready()
    ((_, reply),) = exchanges((wire.parse("a") + wire.bind() + wire.execute() + wire.SYNC, answer))
    assert reply.notices == (said("42622", "cut off", "NOTICE"), said("01000", "deferred", "WARNING"))


def test_what_changes_unasked_is_no_statements():
    """A server that reads its configuration again reports what has changed to all."""
    found = exchanges(
        (b"", wire.reported("TimeZone", "CET")),
        (wire.query("SELECT 1"), wire.complete("SELECT 1") + wire.ready()),
    )
    assert found == [(Request("SELECT 1"), Reply((Result(tag="SELECT 1"),)))]


# --- notifications ---


class Connections:
    """Several recorded connections of one service, whose servers have the process numbers 1, 2, ..."""

    def __init__(self, count: int) -> None:
        context = wire.context()
        self.taps = [PostgresTap(context, Upstream("postgres://db", "db")) for _ in range(count)]
        self.seen: list = []
        for number, one in enumerate(self.taps):
            one.from_client(wire.startup(), 0.0)
            one.from_server(wire.HELLO.replace(wire.i32(7), wire.i32(number + 1)), 0.0)

    def turn(self, number: int, client: bytes, server: bytes, at: float = 1.0) -> None:
        tap = self.taps[number - 1]
        self.seen += [*tap.from_client(client, at), *tap.from_server(server, at)]

    @property
    def told(self) -> list[tuple[Request, Reply]]:
        """The notifications that are recorded."""
        exchanged = [(one.request, one.reply) for one in self.seen if isinstance(one, Exchange)]
        return [(request, reply) for request, reply in exchanged if request.op in ("follows", "listen")]


def heard(pid: int, payload: str) -> bytes:
    return wire.message(b"A", wire.i32(pid), wire.z("jobs"), wire.z(payload))


def notifies(payload: str, after: float = 0.0) -> Reply:
    return Reply(notifies=(Notification("jobs", payload),), after=after)


INSERT = wire.query("INSERT INTO t VALUES (1)")
INSERTED = wire.complete("INSERT 0 1")
FOLLOWS = Request("INSERT INTO t VALUES (1)", op="follows")


def listening(count: int = 2) -> Connections:
    """The first one listens."""
    made = Connections(count)
    made.turn(1, wire.query("LISTEN jobs"), wire.complete("LISTEN") + wire.ready())
    return made


def test_a_notification_follows_what_another_connection_has_done():
    made = listening()
    made.turn(2, INSERT, INSERTED + wire.ready())
    made.turn(1, b"", heard(2, "a"))
    assert made.told == [(FOLLOWS, notifies("a"))]


def test_a_notification_that_comes_before_what_it_follows_is_answered():
    made = listening()
    made.turn(2, INSERT, b"")
    made.turn(1, b"", heard(2, "a") + heard(2, "b"))
    assert made.told == []
    made.turn(2, b"", INSERTED + wire.ready())
    assert made.told == [(FOLLOWS, notifies("a")), (replace(FOLLOWS, number=1), notifies("b"))]


def test_a_notification_follows_the_last_change_of_its_transaction():
    made = listening()
    made.turn(2, wire.query("BEGIN"), wire.complete("BEGIN") + wire.ready("T"))
    made.turn(2, wire.query("UPDATE u SET v = 1"), wire.complete("UPDATE 1") + wire.ready("T"))
    made.turn(2, INSERT, INSERTED + wire.ready("T"))
    made.turn(2, wire.query("SELECT 1"), IDS + wire.row(b"1") + wire.complete("SELECT 1") + wire.ready("T"))
    made.turn(2, wire.query("COMMIT"), wire.complete("COMMIT") + wire.ready())
    made.turn(1, b"", heard(2, "a"))
    assert made.told == [(FOLLOWS, notifies("a"))]


def test_what_was_rolled_back_notified_nobody():
    made = listening()
    made.turn(2, INSERT, INSERTED + wire.ready())
    made.turn(2, wire.query("BEGIN"), wire.complete("BEGIN") + wire.ready("T"))
    made.turn(2, wire.query("UPDATE u SET v = 1"), wire.complete("UPDATE 1") + wire.ready("T"))
    made.turn(2, wire.query("ROLLBACK"), wire.complete("ROLLBACK") + wire.ready())
    made.turn(1, b"", heard(2, "a"))
    assert made.told == [(FOLLOWS, notifies("a"))]


def test_what_clients_notify_themselves_is_no_exchange():
    made = listening()
    made.turn(2, wire.query("NOTIFY jobs, 'a'"), wire.complete("NOTIFY") + wire.ready())
    made.turn(1, b"", heard(2, "a"))
    run = wire.parse("SELECT pg_notify($1, $2)") + wire.bind((b"jobs", b"b")) + wire.execute() + wire.SYNC
    made.turn(2, run, b"")
    made.turn(1, b"", heard(2, "b"))
    void = wire.row(b"") + wire.complete("SELECT 1") + wire.ready()
    made.turn(2, b"", wire.PARSED + wire.BOUND + void)
    made.turn(1, wire.query("NOTIFY jobs, 'c'"), wire.complete("NOTIFY") + heard(1, "c") + wire.ready())
    assert made.told == []


def test_what_others_notify_follows_the_listen():
    made = listening()
    made.turn(1, b"", heard(99, "a"), 3.5)
    made.turn(1, b"", heard(99, "b"), 4.0)
    first = Request("jobs", op="listen")
    assert made.told == [(first, notifies("a", 2.5)), (replace(first, number=1), notifies("b", 0.5))]


def test_one_that_is_gone_hears_nothing():
    """Another one that listens is heard in its place."""
    made = listening(3)
    made.turn(3, wire.query("LISTEN jobs"), wire.complete("LISTEN") + wire.ready())
    made.turn(2, INSERT, INSERTED + wire.ready())
    made.turn(3, b"", heard(2, "a"))
    made.turn(1, b"", heard(2, "a"))
    made.taps[0].eof(Side.CLIENT, 2.0)
    made.turn(1, b"", heard(2, "b"))
    made.turn(3, b"", heard(2, "b"))
    assert made.told == [(FOLLOWS, notifies("a")), (replace(FOLLOWS, number=1), notifies("b"))]


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
        (wire.SYNC, wire.message(b"Z")),
        (b"", wire.message(b"A", b"\0\0\0\1no end")),
        (wire.SYNC, wire.ready("X")),
        (wire.SYNC, wire.ready() + wire.ready()),
        (wire.query("x"), wire.complete("X") + wire.ready() + wire.complete("Y")),
        (wire.bind() + wire.SYNC, wire.BOUND + wire.row(b"1")),
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


TALK = [
    (wire.query("LISTEN jobs"), wire.complete("LISTEN") + wire.ready()),
    (INSERT, INSERTED + heard(7, "a") + wire.ready() + heard(99, "b")),
    (COPY, READY + COPYING),
    (DATA + DONE + wire.SYNC, wire.complete("COPY 1") + wire.ready()),
    (wire.parse("a", "s", (23,)) + BATCH + wire.close("S", "s") + wire.SYNC,
     wire.PARSED + wire.error("22012", "zero") + wire.ready() + wire.CLOSED + wire.ready()),
    (wire.query("BEGIN"), wire.complete("BEGIN") + wire.ready("T")),
    (wire.query("DECLARE c CURSOR FOR x"), wire.complete("DECLARE CURSOR") + wire.ready("T")),
    (wire.query("FETCH 1 FROM c"), IDS + wire.row(b"1") + wire.complete("FETCH 1") + wire.ready("T")),
    (wire.parse("y") + wire.bind(portal="p") + wire.describe("P", "p") + wire.execute("p", 1) + wire.SYNC,
     wire.PARSED + wire.BOUND + IDS + wire.row(b"2") + wire.SUSPENDED + wire.ready("T")),
    (wire.query("COMMIT; x"), wire.complete("COMMIT") + wire.error("57P01", "bye", "FATAL")),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(150))
def test_a_damaged_talk_survives(seed):
    """The same, once the client has logged in: every byte is passed on, whatever comes of it."""
    dice = random.Random(seed)
    one, found, said_, told = logged_in(), [], b"", b""
    for client, server in TALK:
        client, server = (mutate(data, seed) if not dice.randrange(4) else data for data in (client, server))
        found += [*one.from_client(client, 1.0), *one.from_server(server, 1.0)]
        said_, told = said_ + client, told + server
    found += [*one.eof(Side.CLIENT, 2.0), *one.eof(Side.SERVER, 2.0)]
    began = [out.id for out in found if isinstance(out, Began)]
    assert sorted(began) == sorted(out.id for out in found if isinstance(out, Exchange | Lost))
    passed = {side: b"".join(o.data for o in found if isinstance(o, Forward) and o.to is side) for side in Side}
    assert passed == {Side.SERVER: said_, Side.CLIENT: told}
