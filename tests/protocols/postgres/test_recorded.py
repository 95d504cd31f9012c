"""Which runs become exchanges."""

import pytest

from svcmock.protocol import Began, Exchange, Lost, Timing
from svcmock_protocols.postgres import recorded
from svcmock_protocols.postgres.messages import Column, Reply, Request, Result, said
from svcmock_protocols.postgres.recorded import Exchanges
from svcmock_protocols.postgres.watched import Prepared, Run
from tests.protocols.postgres.wire import context, token


def made(*told: tuple[str, str] | tuple[str, str, str], settings=(), before=()):
    """What is seen of these statements, each with its tag or its failure's code; then comes the status."""
    exchanges, out = Exchanges(context()), []
    exchanges.logged_in({"TimeZone": "UTC", "application_name": ""}, 7)
    for batch in (*before, told):
        out.clear()
        for sql, tag, *code in batch[:-1]:
            run = Run(Prepared(sql), 1.0)
            exchanges.begin(run, out)
            if code:
                run.failure = said(code[0], "m")
            else:
                run.completed(tag)
            exchanges.finish(run)
            exchanges.finish(run)
        exchanges.settle(batch[-1], list(settings) if batch is told else [], out, 2.0)
    assert exchanges.open == {}
    return out


def requests(seen) -> list[str]:
    return [one.request.sql for one in seen if isinstance(one, Exchange)]


BEGUN = ((("BEGIN", "BEGIN"), "T"),)


def test_what_the_application_asked_for():
    assert made(("SELECT 1", "SELECT 1"), "I") == [
        Began(1),
        Exchange(1, Request("SELECT 1"), Reply((Result(tag="SELECT 1"),)), Timing(1.0, 0.0)),
    ]


@pytest.mark.parametrize(
    ("told", "before"),
    [
        ((("BEGIN", "BEGIN"), "T"), ()),
        ((("SET x = 1", "SET"), "I"), ()),
        ((("ROLLBACK", "ROLLBACK"), "I"), BEGUN),
        ((("SAVEPOINT a", "SAVEPOINT"), "T"), BEGUN),
        ((("DISCARD ALL", "DISCARD ALL"), "I"), ()),
        ((("ROLLBACK TO a", "", "3B001"), "E"), BEGUN),
        ((("LISTEN a", "LISTEN"), "I"), ()),
        ((("", ""), "I"), ()),
    ],
)
def test_what_svcmock_answers_the_same_by_itself_is_left_out(told, before):
    assert made(*told, before=before) == []


@pytest.mark.parametrize(
    ("told", "before"),
    [
        ((("COMMIT", "COMMIT"), "I"), BEGUN),
        ((("COMMIT", "", "40001"), "I"), BEGUN),
        ((("SET x = 1", "", "42704"), "I"), ()),
        ((("SHOW wal_level", "SHOW"), "I"), ()),
        ((("BEGIN; SELECT 1", "BEGIN"), "T"), ()),
    ],
)
def test_what_is_the_servers_to_say_is_kept(told, before):
    assert requests(made(*told, before=before)) == [told[0][0]]


def test_what_a_failed_transaction_refuses_is_left_out():
    seen = made(("SELECT a", "", "25P02"), "E", before=(*BEGUN, (("SELECT 2", "", "42P01"), "E")))
    assert [type(one) for one in seen] == [Began, Lost]
    assert seen[1].kind == "skipped"


def test_what_contradicts_the_rules_is_written_down():
    (_, exchange) = made(("CALL p()", "CALL"), "T")
    assert exchange.reply.status == "T"
    (_, exchange) = made(("SELECT shift('X')", "SELECT 1"), "I", settings=(("TimeZone", "X"),))
    assert exchange.reply.settings == (("TimeZone", "X"),)


def test_settings_that_follow_are_not():
    assert made(("SET TimeZone = 'X'", "SET"), "I", settings=(("TimeZone", "X"),)) == []
    assert requests(made(("SET TimeZone = 'x'", "SET"), "I", settings=(("TimeZone", "X"),))) == [
        "SET TimeZone = 'x'"
    ]


def test_descriptions_that_change_are_written_again():
    """The columns of a table are not the same after a migration."""
    exchanges, out = Exchanges(context()), []
    for columns in ((Column("a"),), (Column("a"), Column("b")), (Column("a"), Column("b"))):
        exchanges.described(Prepared("SELECT * FROM t", (), (), columns), None, 0.0, out)
    assert [len(one.reply.results[0].columns) for one in out if isinstance(one, Exchange)] == [1, 2]


def test_descriptions_are_written_once():
    exchanges, out = Exchanges(context()), []
    known = Prepared("SELECT $1", (), (23,), (Column("a"),))
    for _ in range(2):
        exchanges.described(known, None, 0.0, out)
        exchanges.described(Prepared("BEGIN"), None, 0.0, out)
    request, reply = Request("SELECT $1", op="describe"), Reply((Result((Column("a"),)),), types=(23,))
    assert out == [Began(1), Exchange(1, request, reply, Timing(0.0, 0.0))]
    exchanges.described(Prepared("SELECT x"), said("42703", "m"), 0.0, out)
    assert out[3].reply == Reply(failure=said("42703", "m"))


def test_passwords_are_tokens():
    seen = made(("ALTER USER ann PASSWORD 's3cret'", "ALTER ROLE"), "I")
    assert requests(seen) == [f"ALTER USER ann PASSWORD '{token(b's3cret').decode()}'"]


def test_losing():
    exchanges, out = Exchanges(context()), []
    for why in ("", "too large"):
        run = Run(Prepared("SELECT a"), 0.0, why=why)
        exchanges.begin(run, out)
    exchanges.finish(run)
    exchanges.settle("I", [], out, 2.0)
    exchanges.lose_all("gone", out)
    assert out == [Began(1), Began(2), Lost(2, "too large", "skipped"), Lost(1, "gone")]


def test_what_is_much_is_written_before_the_server_is_ready(monkeypatch):
    """All but the last, which says how the transaction ends."""
    monkeypatch.setattr(recorded, "MAX_DONE", 3)
    exchanges, out = Exchanges(context()), []
    for number in range(6):
        run = Run(Prepared(f"INSERT {number}"), 0.0)
        exchanges.begin(run, out)
        run.completed("INSERT 0 1")
        exchanges.finish(run)
        exchanges.relieve(out)
    assert requests(out) == ["INSERT 0", "INSERT 1", "INSERT 2"]
    exchanges.settle("T", [], out, 2.0)
    assert requests(out) == [f"INSERT {number}" for number in range(6)]
    assert [one.reply.status for one in out if isinstance(one, Exchange)] == [""] * 5 + ["T"]
