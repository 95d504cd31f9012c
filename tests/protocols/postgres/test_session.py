"""Serving, with literal bytes: what each message is answered with, and what is asked for."""

import pytest

from svcmock.protocol import Ask, Close, Publish, Send, Subscribe, Unsubscribe
from svcmock_protocols.postgres.messages import Column, Options, Raw, Reply, Request, Result, failed, said
from svcmock_protocols.postgres.session import PostgresSession
from svcmock_protocols.postgres.shared import cancelling, channel
from svcmock_protocols.postgres.standing import Standing
from tests.protocols.conformance import check_session_splits, check_session_survives, serve
from tests.protocols.postgres import wire

ANN = Reply((Result((Column("id", 23), Column("name", 25)), (("42", "Ann"),), "SELECT 1"),))
MANY = Reply((Result((Column("id", 23),), (("1",), ("2",), ("3",)), "SELECT 3"),))
T_ANN = wire.columns(("id", 23), ("name", 25))
T_ANN = T_ANN.replace(b"\0\0\0\x17\xff\xff", b"\0\0\0\x17\0\4")
ROW = wire.row(b"42", b"Ann")
MISS = failed("58000", "no route")
NO_TABLE = failed("42P01", "no table")
BY_ZERO = wire.error("22012", "division by zero")
TOKYO = wire.complete("SET") + wire.reported("TimeZone", "Asia/Tokyo") + wire.ready()
COPIED = wire.message(b"d", b"1\n") + wire.message(b"d", b"2\n") + wire.message(b"c")


def session(options: Options = wire.ANYBODY) -> PostgresSession:
    return PostgresSession(options, Standing({"TimeZone": "UTC"}), (7, b"abcd"))


def answer(request: Request):
    """What some routes say; None for what is asked on the off chance."""
    if request.op == "describe":
        return {
            "SELECT d($1)": Reply(ANN.results[:1], types=(23,)),
            "SELECT bad": NO_TABLE,
            "SELECT bad($1)": NO_TABLE,
        }.get(request.sql)
    if request.op == "columns":
        return Reply((Result(MANY.results[0].columns),), types=(20,)) if request.sql == "SELECT many" else None
    known = {
        "SELECT ann": ANN,
        "SELECT d($1)": ANN,
        "SELECT many": MANY,
        "SELECT oops": failed("22012", "division by zero"),
        "SELECT half": Reply(MANY.results[:1], said("22012", "division by zero")),
        "INSERT x": Reply((Result(tag="INSERT 0 1"),)),
        "COPY t FROM STDIN": Reply((Result(tag="COPY 2"),)),
        "COPY t TO STDOUT": Reply((Result(tag="COPY 2", copy=(b"1\n", b"2\n"), width=1),)),
        "SELECT raw": Reply((Result((Column("c", 16421),), ((Raw(b"\0\1"),),), "SELECT 1"),)),
    }
    if request.sql == "COPY t FROM STDIN" and request.copy is None:
        return None
    if request.sql.partition(" ")[0] in {
        "BEGIN",
        "COMMIT",
        "SET",
        "LISTEN",
        "NOTIFY",
        "UNLISTEN",
        "SHOW",
        "DEALLOCATE",
        "PREPARE",
    }:
        return None
    return known.get(request.sql, MISS if ";" not in request.sql else None)


def told(data: bytes, options: Options = wire.ANYBODY) -> bytes:
    return wire.sent(check_session_splits(lambda: session(options), data, answer))


def asked(data: bytes) -> list[Request]:
    return [out.request for out in serve(session(), [data], answer) if isinstance(out, Ask)]


# --- the simple protocol ---


@pytest.mark.parametrize(
    ("sql", "answered"),
    [
        ("SELECT ann", T_ANN + ROW + wire.complete("SELECT 1") + wire.ready()),
        ("INSERT x", wire.complete("INSERT 0 1") + wire.ready()),
        ("", wire.EMPTY + wire.ready()),
        (" ; ;-- nothing", wire.EMPTY + wire.ready()),
        ("SELECT oops", BY_ZERO + wire.ready()),
        ("BEGIN", wire.complete("BEGIN") + wire.ready("T")),
        ("PREPARE p AS SELECT 1", wire.complete("PREPARE") + wire.ready()),
        ("INSERT x; INSERT x", wire.complete("INSERT 0 1") * 2 + wire.ready()),
        ("BEGIN; INSERT x", wire.complete("BEGIN") + wire.complete("INSERT 0 1") + wire.ready("T")),
        ("INSERT x; SELECT oops; INSERT x", wire.complete("INSERT 0 1") + BY_ZERO + wire.ready()),
        (
            "COPY t TO STDOUT",
            wire.message(b"H", b"\0", wire.i16(1, 0)) + COPIED + wire.complete("COPY 2") + wire.ready(),
        ),
        ("SET timezone = 'Asia/Tokyo'", TOKYO),
    ],
)
def test_queries(sql, answered):
    assert told(wire.query(sql)) == answered


def test_more_sql_than_is_looked_at():
    one = session()
    sql = "SELECT ann " + " " * (4 << 20)
    assert b"C54000\0" in wire.sent(one.received(wire.query(sql)))
    made = one.received(wire.parse(sql) + wire.SYNC)
    assert wire.kinds(wire.sent(made)) == "EZ"


def test_several_statements_are_asked_for_together_first():
    requests = asked(wire.query("INSERT x; SELECT ann"))
    assert [one.sql for one in requests] == ["INSERT x; SELECT ann", "INSERT x", "SELECT ann"]


def test_all_of_several_statements_at_once():
    both = Reply((Result(tag="INSERT 0 1"), ANN.results[0]))
    made = serve(session(), [wire.query("BEGIN; SELECT ann")], lambda request: both)
    assert wire.kinds(wire.sent(made)) == "CTDCZ"
    assert wire.sent(made).endswith(wire.ready("T"))


def test_a_failure_in_the_middle_of_rows():
    assert wire.kinds(told(wire.query("SELECT half"))) == "TDDDCEZ"
    cut = Reply((Result(MANY.results[0].columns, MANY.results[0].rows, ""),), said("22012", "x"))
    assert wire.kinds(wire.sent(serve(session(), [wire.query("x")], lambda _: cut))) == "TDDDEZ"


def test_notices_settings_and_status_are_as_recorded():
    reply = Reply(
        (Result(tag="CALL"),), None, (said("00000", "hi", "NOTICE"),), None, (("TimeZone", "X"),), "T"
    )
    made = wire.sent(serve(session(), [wire.query("CALL p()")], lambda _: reply))
    assert made == wire.error("00000", "hi", "NOTICE", b"N") + wire.complete("CALL") + wire.reported(
        "TimeZone", "X"
    ) + wire.ready("T")


# --- the extended protocol ---


def test_psycopg():
    """Parse, Bind, Describe of the portal, Execute, Sync; later only the last four of a named statement."""
    batch = wire.parse("SELECT ann") + wire.bind() + wire.describe() + wire.execute() + wire.SYNC
    answered = wire.PARSED + wire.BOUND + T_ANN + ROW + wire.complete("SELECT 1") + wire.ready()
    assert told(batch) == answered
    again = wire.parse("SELECT ann", "_pg3_0") + wire.SYNC
    later = wire.bind(statement="_pg3_0") + wire.describe() + wire.execute() + wire.SYNC
    assert told(again + later) == wire.PARSED + wire.ready() + answered[5:]


def test_asyncpg():
    """Parse, Describe of the statement and Flush, without Sync; then Bind, Execute, Sync, all in binary."""
    first = (
        wire.parse("SELECT d($1)", "__asyncpg_stmt_1__") + wire.describe("S", "__asyncpg_stmt_1__") + wire.FLUSH
    )
    then = wire.bind((b"\0\0\0\1",), statement="__asyncpg_stmt_1__", formats=(1,), wanted=(1,))
    made = told(first + then + wire.execute() + wire.SYNC)
    binary = wire.row(b"\0\0\0\x2a", b"Ann")
    assert (
        made
        == wire.PARSED + wire.types(23) + T_ANN + wire.BOUND + binary + wire.complete("SELECT 1") + wire.ready()
    )
    requests = asked(first + then + wire.execute() + wire.SYNC)
    assert requests == [Request("SELECT d($1)", op="describe"), Request("SELECT d($1)", ("1",), (23,))]


@pytest.mark.parametrize("described", [b"", wire.parse("SELECT d($1)") + wire.describe("S")])
def test_asyncpg_that_keeps_no_statements(described):
    """It prepares a statement again right before it binds it, by the types that it was told before, if ever."""
    data = wire.parse("SELECT d($1)") + wire.bind((b"\0\0\0\1",), formats=(1,)) + wire.execute() + wire.SYNC
    assert asked(described + data)[-1] == Request("SELECT d($1)", ("1",), (23,))
    (known,) = {one for one in asked(described + data) if one.op == "query"}
    assert known.params == ("1",)
    refused = (
        wire.parse("SELECT bad($1)") + wire.bind((b"\0\0\0\1",), formats=(1,)) + wire.execute() + wire.SYNC
    )
    assert wire.kinds(told(refused)) == "1EZ"


def test_psycopg_with_values_that_have_no_type():
    """What the description of the statement says of them counts. It is asked for once."""
    batch = wire.parse("SELECT d($1)") + wire.bind((b"01",)) + wire.describe() + wire.execute() + wire.SYNC
    typed, given = Request("SELECT d($1)", ("01",), (23,)), Request("SELECT d($1)", ("01",), (0,))
    description = Request("SELECT d($1)", op="describe")
    assert asked(batch + batch) == [description, typed, typed]
    none = [
        out.request
        for out in serve(
            session(), [batch], lambda one: answer(one) if one.op != "query" else None if one == typed else ANN
        )
        if isinstance(out, Ask)
    ]
    assert none == [description, typed, given]


def test_pg8000():
    """Three batches of an unnamed statement, each with Flush and Sync."""
    data = wire.parse("SELECT d($1)") + wire.FLUSH + wire.SYNC + wire.describe("S") + wire.FLUSH + wire.SYNC
    data += wire.bind((b"1",)) + wire.FLUSH + wire.execute() + wire.FLUSH + wire.SYNC
    assert wire.kinds(told(data)) == "1ZtTZ2DCZ"


def test_columns_of_a_statement_that_was_only_run():
    made = told(wire.parse("SELECT many", "s") + wire.describe("S", "s") + wire.SYNC)
    assert made == wire.PARSED + wire.types(20) + wire.columns(("id", 23), size=4) + wire.ready()


def test_a_statement_of_which_nothing_is_known():
    made = told(wire.parse("INSERT x", "", (23, 0)) + wire.describe("S") + wire.SYNC)
    assert made == wire.PARSED + wire.types(23, 25) + wire.NO_DATA + wire.ready()


@pytest.mark.parametrize("name", ["", "s"])
def test_a_statement_that_cannot_be_prepared(name):
    made = told(wire.parse("SELECT bad", name) + wire.describe("S", name) + wire.FLUSH + wire.SYNC)
    assert made.endswith(wire.error("42P01", "no table") + wire.ready())
    assert wire.kinds(made) == ("EZ" if name else "1EZ")


def test_rows_some_at_a_time():
    data = wire.parse("SELECT many") + wire.bind(portal="c") + wire.execute("c", 2) + wire.execute("c", 2)
    made = told(wire.query("BEGIN") + data + wire.SYNC + wire.execute("c", 2) + wire.SYNC)
    assert wire.kinds(made) == "CZ12DDsDCZCZ"
    assert made.endswith(wire.complete("SELECT 0") + wire.ready("T"))


def test_portals_end_with_their_transaction():
    data = wire.parse("SELECT many") + wire.bind(portal="c") + wire.SYNC + wire.execute("c") + wire.SYNC
    assert told(data).endswith(wire.error("34000", 'portal "c" does not exist') + wire.ready())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (wire.bind(statement="s"), "26000"),
        (wire.describe("S", "s"), "26000"),
        (wire.describe("P", "c"), "34000"),
        (wire.execute("c"), "34000"),
        (wire.parse("SELECT ann", "s") + wire.parse("SELECT ann", "s"), "42P05"),
        (wire.parse("SELECT ann") + wire.bind(portal="c") + wire.bind(portal="c"), "42P03"),
        (wire.parse("SELECT 1; SELECT 2"), "42601"),
        (wire.parse("SELECT raw") + wire.bind() + wire.execute(), "0A000"),
        (wire.parse("SELECT unknown") + wire.bind() + wire.describe(), "58000"),
    ],
)
def test_failures_skip_to_the_next_sync(data, code):
    made = told(data + wire.execute() + wire.query("SELECT ann") + wire.SYNC + wire.query("SELECT ann"))
    assert b"C" + code.encode() + b"\0" in made
    assert made.count(b"SERROR") == 1
    assert made.endswith(wire.ready() + T_ANN + ROW + wire.complete("SELECT 1") + wire.ready())


def test_statements_that_are_prepared_in_sql():
    """EXECUTE is the statement that its name stands for, whichever way that was prepared."""
    by_sql = wire.query("PREPARE p AS SELECT d($1)") + wire.query("EXECUTE p('7')")
    typed, given = Request("SELECT d($1)", ("7",), (23,)), Request("SELECT d($1)", ("7",), (0,))
    description = Request("SELECT d($1)", op="describe")
    assert asked(by_sql)[1:] == [description, typed]
    assert wire.kinds(told(by_sql)) == "CZTDCZ"
    by_parse = wire.parse("SELECT d($1)", "p") + wire.SYNC + wire.query("EXECUTE p('7')")
    assert asked(by_parse) == [description, typed]
    assert (
        wire.kinds(told(wire.query("PREPARE p AS SELECT d($1)") + wire.bind((b"7",), statement="p"))) == "CZ2"
    )
    described = wire.parse("EXECUTE p('7')", "e") + wire.describe("S", "e") + wire.SYNC
    assert told(by_sql + described).endswith(wire.PARSED + wire.types() + T_ANN + wire.ready())
    text = Request("EXECUTE p('7')")

    def by_text(one: Request):
        return ANN if one == text else answer(one) if one.op != "query" else None

    outs = serve(session(), [by_sql], by_text)
    assert [out.request for out in outs if isinstance(out, Ask)][1:] == [description, typed, given, text]


def test_statements_that_execute_each_other():
    data = wire.parse("EXECUTE q", "p") + wire.parse("EXECUTE p", "q") + wire.describe("S", "p") + wire.SYNC
    assert wire.kinds(told(data + wire.query("EXECUTE p"))) == "11tnZEZ"


def test_a_name_is_prepared_once():
    made = told(wire.query("PREPARE p AS SELECT 1") * 2 + wire.query("DEALLOCATE p; PREPARE p AS SELECT 2"))
    assert wire.kinds(made) == "CZEZCCZ"
    assert b"C42P05\0" in made


def test_names_may_be_used_again_once_closed():
    data = wire.parse("SELECT ann", "s") + wire.close("S", "s") + wire.parse("SELECT many", "s")
    data += wire.bind(statement="s", portal="c") + wire.close("P", "c") + wire.bind(statement="s", portal="c")
    assert wire.kinds(told(data + wire.SYNC)) == "1312" + "32Z"
    assert (
        wire.kinds(told(wire.parse("SELECT ann", "s") + wire.query("DEALLOCATE s") + wire.bind(statement="s")))
        == "1CZE"
    )


def test_pipelining_keeps_the_order():
    one = wire.parse("SELECT ann") + wire.bind() + wire.execute()
    failing = wire.parse("SELECT oops") + wire.bind() + wire.execute()
    assert wire.kinds(told(one * 3 + wire.SYNC + one + wire.SYNC)) == "12DC12DC12DCZ12DCZ"
    assert wire.kinds(told(one + failing + one + wire.SYNC + one + wire.SYNC)) == "12DC12EZ12DCZ"


def test_what_is_asked_for_when_nothing_is_known():
    """An exact route; whether it could be prepared at all; then any route, or it is a miss."""
    told = iter([None, None, MISS])

    def nothing(_: Request):
        return next(told)

    requests = [out for out in serve(session(), [wire.query("SELECT x")], nothing) if isinstance(out, Ask)]
    assert [(one.request, one.optional) for one in requests] == [
        (Request("SELECT x"), True),
        (Request("SELECT x", op="describe"), True),
        (Request("SELECT x"), False),
    ]
    batch = wire.parse("SELECT bad") + wire.bind() + wire.describe() + wire.execute() + wire.SYNC
    bad = {("query", True): None, ("describe", True): failed("42P01", "no table")}
    one, outs = session(), []
    waiting = list(one.received(batch))
    while waiting:
        out = waiting.pop(0)
        outs.append(out)
        if isinstance(out, Ask):
            waiting[:0] = one.answered(out, bad[out.request.op, out.optional])
    assert wire.sent(outs).endswith(wire.error("42P01", "no table") + wire.ready())


CURSOR = Reply((Result(MANY.results[0].columns, MANY.results[0].rows, "DECLARE CURSOR"),))


def test_cursors():
    def known(request: Request):
        return CURSOR if request.sql.startswith("DECLARE") else answer(request)

    data = wire.query("BEGIN") + wire.query("DECLARE c CURSOR FOR SELECT id FROM t") + wire.describe("P", "c")
    data += wire.query("FETCH FORWARD 2 FROM c") + wire.query('FETCH ALL FROM "c"') + wire.query("FETCH c")
    made = check_session_splits(
        session, data + wire.query("COMMIT") + wire.describe("P", "c") + wire.SYNC, known
    )
    assert wire.kinds(wire.sent(made)) == "CZ" + "CZ" + "T" + "TDDCZ" + "TDCZ" + "TCZ" + "CZ" + "EZ"
    sent = wire.sent(made)
    assert [f"FETCH {count}".encode() in sent for count in (2, 1, 0)] == [True] * 3
    assert b"DECLARE CURSOR\0" in sent


def test_what_comes_while_an_answer_is_owed_waits():
    one = session()
    outs = one.received(wire.query("SELECT ann") + wire.query("SELECT many"))
    (ask,) = outs
    assert ask == Ask(1, Request("SELECT ann"), 10, optional=True)
    assert not one.idle
    assert one.held == len(wire.query("SELECT many"))
    assert one.received(wire.SYNC) == ()
    outs = one.answered(ask, ANN)
    assert outs[-1] == Ask(2, Request("SELECT many"), 11, optional=True)
    assert one.answered(ask, ANN) == ()
    outs = one.answered(outs[-1], MANY)
    assert wire.kinds(wire.sent(outs)) == "TDDDCZZ"
    assert one.idle


# --- transactions, the session ---


def test_a_failed_transaction():
    data = wire.query("BEGIN") + wire.query("SELECT oops") + wire.query("SELECT ann") + wire.query("COMMIT")
    made = told(data + wire.query("SELECT ann"))
    aborted = "current transaction is aborted, commands ignored until end of transaction block"
    assert made == b"".join(
        [
            wire.complete("BEGIN") + wire.ready("T"),
            BY_ZERO + wire.ready("E"),
            wire.error("25P02", aborted) + wire.ready("E"),
            wire.complete("ROLLBACK") + wire.ready("I"),
            T_ANN + ROW + wire.complete("SELECT 1") + wire.ready("I"),
        ]
    )
    assert [one.sql for one in asked(data)] == ["BEGIN", "SELECT oops"]


def test_a_failed_transaction_refuses_what_is_prepared():
    batch = wire.parse("SELECT ann") + wire.bind() + wire.describe() + wire.execute() + wire.SYNC
    made = told(wire.query("BEGIN") + wire.query("SELECT oops") + batch + wire.query("ROLLBACK") + batch)
    assert wire.kinds(made) == "CZEZEZCZ12TDCZ"


def test_what_a_route_says_of_the_session_counts():
    made = serve(session(), [wire.query("SET x = 1")], lambda _: failed("22023", "no"))
    assert wire.kinds(wire.sent(made)) == "EZ"
    (ask,) = session().received(wire.query("SET x = 1"))
    assert ask.optional


def test_show():
    assert wire.kinds(told(wire.query("SHOW timezone"))) == "TDCZ"
    made = told(
        wire.parse("SHOW timezone")
        + wire.describe("S")
        + wire.bind()
        + wire.describe()
        + wire.execute()
        + wire.SYNC
    )
    assert wire.kinds(made) == "1tT2TDCZ"


def test_channels():
    one = session()
    assert one.opened() == (Subscribe(cancelling(7, b"abcd")),)
    outs = serve(one, [wire.query("LISTEN jobs")], answer)
    assert Subscribe(channel("jobs")) in outs
    outs = serve(one, [wire.query("NOTIFY jobs, 'x'")], answer)
    (publish,) = [out for out in outs if isinstance(out, Publish)]
    heard = wire.message(b"A", wire.i32(7), b"jobs\0x\0")
    assert publish == Publish(channel("jobs"), heard)
    assert one.published(channel("jobs"), heard) == [Send(heard)]
    assert one.heard(publish, 1) == ()
    serve(one, [wire.query("BEGIN")], answer)
    assert one.published(channel("jobs"), heard) == []
    made = serve(one, [wire.query("COMMIT")], answer)
    assert wire.kinds(wire.sent(made)) == "CAZ"
    assert Unsubscribe(channel("jobs")) in serve(one, [wire.query("UNLISTEN *")], answer)


def test_a_function_that_notifies():
    void = Reply((Result((Column("pg_notify", 2278),), (("",),), "SELECT 1"),))
    data = wire.parse("SELECT pg_notify($1, $2)") + wire.bind((b"jobs", b"x")) + wire.execute() + wire.SYNC
    outs = serve(session(), [data], lambda _: void)
    heard = wire.message(b"A", wire.i32(7), b"jobs\0x\0")
    assert Publish(channel("jobs"), heard) in outs


def test_functions_that_notify_several():
    both = Reply((Result((Column("a", 2278), Column("b", 2278)), (("", ""),), "SELECT 1"),))
    outs = serve(session(), [wire.query("SELECT pg_notify('a', '1'), pg_notify('b', '2')")], lambda _: both)
    told = [out for out in outs if isinstance(out, Publish)]
    assert told == [
        Publish(channel("a"), wire.message(b"A", wire.i32(7), b"a\0001\0")),
        Publish(channel("b"), wire.message(b"A", wire.i32(7), b"b\0002\0")),
    ]


def test_statements_and_parameters_have_an_end():
    one, large = session(Options(max_message=1 << 27)), b"x" * (1 << 26)
    made = b"".join(
        wire.sent(serve(one, [wire.parse("SELECT $1") + wire.bind((large,), portal=str(number))], answer))
        for number in range(5)
    )
    assert b"C54000\0" in made


def test_a_cancel_request_ends_what_is_waited_for():
    one = session()
    (ask,) = one.received(wire.query("SELECT ann"))
    outs = one.published(cancelling(7, b"abcd"), None)
    assert wire.sent(outs) == wire.error("57014", "canceling statement due to user request") + wire.ready()
    assert one.answered(ask, ANN) == ()
    assert one.published(cancelling(7, b"abcd"), None) == ()


# --- COPY ... FROM STDIN ---

DATA = wire.message(b"d", b"1\n") + wire.message(b"d", b"2\n")
COPY_IN = wire.message(b"G", b"\0", wire.i16(0))


def test_data_is_part_of_what_is_asked():
    data = wire.query("COPY t FROM STDIN") + DATA + wire.message(b"c")
    assert told(data) == COPY_IN + wire.complete("COPY 2") + wire.ready()
    first = Request("COPY t FROM STDIN")  # it may have been refused before anything was sent
    assert asked(data) == [first, Request("COPY t FROM STDIN", copy=b"1\n2\n")]
    refused = serve(session(), [wire.query("COPY t FROM STDIN")], lambda _: failed("42P01", "no table"))
    assert wire.kinds(wire.sent(refused)) == "EZ"


def test_copies_of_the_extended_protocol():
    """The Sync that came with the Execute is ignored: the client sends another when all is copied."""
    data = wire.parse("COPY t FROM STDIN") + wire.bind() + wire.describe() + wire.execute() + wire.SYNC
    made = told(data + DATA + wire.message(b"c") + wire.SYNC)
    assert made == wire.PARSED + wire.BOUND + wire.NO_DATA + COPY_IN + wire.complete("COPY 2") + wire.ready()


def test_a_copy_that_the_client_gives_up():
    data = wire.query("COPY t FROM STDIN") + DATA + wire.message(b"f", b"no\0") + wire.query("SELECT ann")
    made = told(data)
    assert made.startswith(COPY_IN + wire.error("57014", "COPY from stdin failed: no") + wire.ready())
    assert wire.kinds(made) == "GEZTDCZ"


def test_a_copy_that_is_too_large():
    data = wire.query("COPY t FROM STDIN") + wire.message(b"d", b"x" * 1000) * 3 + wire.message(b"c")
    made = told(data, Options(max_message=1024))
    assert wire.kinds(made) == "GEZ"
    assert b"C54000\0" in made


# --- ends ---


@pytest.mark.parametrize(
    "data",
    [
        b"!\0\0\0\4",
        b"Q\0\0\0\3",
        b"Q\x7f\xff\xff\xff",
        b"Q\x80\0\0\0",
        b"Q\xff\xff\xff\xff",
        b"P\0\0\0\0",
        wire.query("COPY t FROM STDIN") + wire.query("SELECT ann"),
    ],
)
def test_what_is_no_message_ends_the_connection_with_a_reason(data):
    made = check_session_splits(session, data + wire.query("SELECT ann"), answer)
    assert b"SFATAL\0VFATAL\0C08P01\0" in wire.sent(made)
    assert made[-1] == Close()


LIES = [
    wire.message(b"P", b"\0SELECT 1\0", wire.i16(2), wire.i32(23)),
    wire.message(b"P", b"\0SELECT 1\0", wire.i16(-1)),
    wire.message(b"P", b"\0SELECT 1"),
    wire.message(b"B", b"\0"),
    wire.message(b"B", b"\0\0", wire.i16(-1)),
    wire.message(b"B", b"\0\0", wire.i16(0, 2), wire.value(b"1")),
    wire.message(b"B", b"\0\0", wire.i16(0, 1), wire.i32(100), b"short"),
    wire.message(b"B", b"\0\0", wire.i16(0, 1), wire.i32(-2)),
    wire.message(b"B", b"\0\0", wire.i16(0, 1), wire.i32(0x7FFFFFFF)),
    wire.message(b"B", b"\0\0", wire.i16(0, 0, 2, 0)),
    wire.message(b"B", b"\0\0", wire.i16(2, 0, 0, 1), wire.value(b"1"), wire.i16(0)),
    wire.bind(formats=(7,)),
    wire.bind(wanted=(2,)),
    wire.message(b"D", b"Xx\0"),
    wire.message(b"D", b"S"),
    wire.message(b"D"),
    wire.message(b"E", b"\0\0"),
    wire.message(b"C", b"Z\0"),
]


@pytest.mark.parametrize("lie", LIES)
def test_a_message_that_lies_of_itself_fails_and_the_next_one_is_read(lie):
    """As the server does: the message's end is known, so nothing is out of step."""
    made = told(wire.parse("SELECT ann") + lie + wire.execute() + wire.SYNC + wire.query("SELECT ann"))
    assert wire.kinds(made) == "1EZTDCZ"
    assert b"SERROR\0VERROR\0C08P01\0" in made


def test_a_query_without_an_end_fails():
    assert wire.kinds(told(wire.message(b"Q", b"no end") + wire.query("SELECT ann"))) == "EZTDCZ"


@pytest.mark.parametrize(
    ("sql", "given", "values", "told_of"),
    [
        ("SELECT $1", (), (), 'bind message supplies 0 parameters, but prepared statement "" requires 1'),
        (
            "SELECT $1",
            (),
            (b"1", b"2"),
            'bind message supplies 2 parameters, but prepared statement "" requires 1',
        ),
        (
            "SELECT 1",
            (23, 23),
            (b"1",),
            'bind message supplies 1 parameters, but prepared statement "" requires 2',
        ),
        (
            "SELECT '$1' -- $2",
            (),
            (b"1",),
            'bind message supplies 1 parameters, but prepared statement "" requires 0',
        ),
    ],
)
def test_another_number_of_parameters_than_the_statement_has(sql, given, values, told_of):
    made = told(wire.parse(sql, types=given) + wire.bind(values) + wire.execute() + wire.SYNC)
    assert made == wire.PARSED + wire.error("08P01", told_of) + wire.ready()


@pytest.mark.parametrize("wanted", [(0, 0, 0), (1, 1, 1, 1)])
@pytest.mark.parametrize("describe", [b"", wire.describe()])
def test_formats_for_another_number_of_columns(wanted, describe):
    made = told(wire.parse("SELECT ann") + wire.bind(wanted=wanted) + describe + wire.execute() + wire.SYNC)
    told_of = f"bind message has {len(wanted)} result formats but query has 2 columns"
    assert made == wire.PARSED + wire.BOUND + wire.error("08P01", told_of) + wire.ready()


def test_a_portal_runs_once_unless_it_gives_rows():
    again = wire.execute() + wire.execute() + wire.SYNC
    assert wire.kinds(told(wire.parse("INSERT x") + wire.bind() + again)) == "12CEZ"
    made = told(wire.parse("SELECT ann") + wire.bind() + again)
    assert wire.kinds(made) == "12DCCZ"
    assert made.endswith(wire.complete("SELECT 0") + wire.ready())


MISSED = [
    wire.query("SELECT never_seen"),
    wire.parse("SELECT never_seen") + wire.bind() + wire.describe() + wire.execute() + wire.SYNC,
    wire.parse("SELECT never_seen") + wire.bind() + wire.execute() + wire.SYNC,
]


@pytest.mark.parametrize("missed", MISSED)
def test_a_miss_in_a_transaction_fails_it_and_the_connection_lives(missed):
    made = told(
        wire.query("BEGIN")
        + missed
        + wire.query("SELECT ann")
        + wire.query("ROLLBACK")
        + wire.query("SELECT ann")
    )
    failures = [one for one in wire.split(made) if one[:1] == b"E"]
    assert [b"C58000\0" in failures[0], b"C25P02\0" in failures[1]] == [True, True]
    assert made.endswith(
        wire.complete("ROLLBACK") + wire.ready() + T_ANN + ROW + wire.complete("SELECT 1") + wire.ready()
    )
    assert [one for one in wire.split(made) if one[:1] == b"Z"] == [wire.ready(how) for how in "TEEII"]


@pytest.mark.parametrize("cut", range(len(wire.query("SELECT ann"))))
def test_a_client_that_disappears_in_a_transaction_is_forgotten(cut):
    """Wherever in a message it does."""
    outs = serve(session(), [wire.query("BEGIN") + wire.query("SELECT ann")[:cut]], answer, ending=True)
    assert outs[-1] == Close()
    assert wire.kinds(wire.sent(outs)) == "CZ"


def test_calls_of_functions_are_refused():
    assert wire.kinds(told(wire.message(b"F", b"x") + wire.query("SELECT ann"))) == "EZTDCZ"


def test_leaving():
    assert serve(session(), [wire.TERMINATE + wire.query("SELECT ann")], answer)[-1] == Close()
    one = session()
    (ask,) = one.received(wire.query("SELECT ann"))
    assert one.eof() == ()
    assert one.answered(ask, ANN)[-1] == Close()


def test_draining_finishes_what_is_owed():
    one = session()
    (ask,) = one.received(wire.query("SELECT ann"))
    assert one.draining() == ()
    made = one.answered(ask, ANN)
    assert wire.kinds(wire.sent(made)) == "TDCZE"
    assert made[-1] == Close()
    assert b"57P01" in wire.sent(session().draining())


def test_a_message_that_does_not_end():
    one = session()
    assert one.at_rest is not None
    assert one.received(b"Q\0\0") == []
    assert not one.idle
    assert one.at_rest is None
    assert b"08P01" in wire.sent(one.timed_out())
    assert not one.woke("x")


WORK = b"".join(
    [
        wire.query("BEGIN") + wire.query("SELECT ann; INSERT x"),
        wire.parse("SELECT d($1)", "s", (23,)) + wire.describe("S", "s") + wire.FLUSH,
        wire.bind((b"1",), statement="s", portal="c", wanted=(1,)) + wire.execute("c", 1) + wire.SYNC,
        wire.query("COPY t FROM STDIN") + DATA + wire.message(b"c") + wire.query("COMMIT") + wire.TERMINATE,
    ]
)


@pytest.mark.parametrize("seed", range(150))
def test_damaged_bytes_survive(seed):
    check_session_survives(session, WORK, answer, seed)
