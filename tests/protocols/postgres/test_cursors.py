"""Cursors of SQL, served and watched."""

import pytest

from svcmock_protocols.postgres import watched
from svcmock_protocols.postgres.cursors import Cursors, Fetch, Watching, declared, fetched, nameless
from svcmock_protocols.postgres.messages import Column, Reply, Result, failed, said
from svcmock_protocols.postgres.watched import Prepared, Run

ID = (Column("id", 23),)
DECLARE = "DECLARE c CURSOR FOR SELECT id FROM t"
ROWS = Reply((Result(ID, (("1",), ("2",), ("3",)), "DECLARE CURSOR"),))


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        (DECLARE, "c"),
        ('declare "C d" no scroll cursor with hold for select 1', "C d"),
        ("DECLARE c BINARY CURSOR FOR SELECT 1", "c"),
        ("SELECT 'DECLARE c CURSOR '", None),
        (f"/* {'trace ' * 100} */ {DECLARE}", "c"),
    ],
)
def test_declaring(sql, name):
    assert declared(sql) == name


@pytest.mark.parametrize(
    ("sql", "made"),
    [
        ("FETCH c", Fetch("c", 1)),
        ("FETCH NEXT FROM c", Fetch("c", 1)),
        ("FETCH NEXT c", Fetch("c", 1)),
        ('FETCH FORWARD 3 FROM "c"', Fetch("c", 3)),
        ("FETCH 3 IN C", Fetch("c", 3)),
        ("fetch forward all from c", Fetch("c", None)),
        ("FETCH ALL FROM c", Fetch("c", None)),
        ("FETCH FORWARD FROM c", Fetch("c", 1)),
        ("FETCH BACKWARD 3 FROM c", None),
        ("FETCH ABSOLUTE 3 FROM c", None),
        ("FETCH -3 FROM c", None),
        ("FETCH PRIOR FROM c", None),
        ("SELECT 1", None),
    ],
)
def test_fetching(sql, made):
    assert fetched(sql) == made


def test_rows_come_in_turn():
    one = Cursors()
    assert one.declare(DECLARE, ROWS) == Reply((Result(tag="DECLARE CURSOR"),))
    assert one.columns("c") == one.described("FETCH 2 FROM c") == ID
    assert one.fetch("FETCH 2 FROM c") == Reply((Result(ID, (("1",), ("2",)), "FETCH 2"),))
    assert one.fetch("FETCH ALL FROM c") == Reply((Result(ID, (("3",),), "FETCH 1"),))
    assert one.fetch("FETCH c") == Reply((Result(ID, (), "FETCH 0"),))
    assert one.fetch("FETCH d") is None
    assert one.fetch("SELECT 1") is None


@pytest.mark.parametrize("closing", ["CLOSE c", "CLOSE ALL", 'close "c"', "DISCARD ALL"])
def test_closing(closing):
    one = Cursors()
    one.declare(DECLARE, ROWS)
    one.closed(closing)
    assert one.fetch("FETCH c") is None
    assert one.columns("c") is None


def test_psycopg_asks_whether_there_is_a_cursor():
    one = Cursors()
    sql = "SELECT 1 FROM pg_catalog.pg_cursors WHERE name = 'it''s'"
    assert one.exists(sql).results[0].rows == ()
    one.declare('DECLARE "it\'s" CURSOR FOR SELECT id FROM t', ROWS)
    assert one.exists(sql).results[0].rows == (("1",),)
    assert one.exists("SELECT * FROM pg_cursors") is None
    assert one.exists("SELECT 1") is None


@pytest.mark.parametrize(
    ("sql", "made"),
    [
        (
            'DECLARE "_django_curs_1_sync_1" NO SCROLL CURSOR WITH HOLD FOR SELECT "a"',
            'DECLARE _ NO SCROLL CURSOR WITH HOLD FOR SELECT "a"',
        ),
        (DECLARE, DECLARE.replace("c", "_", 1)),
        ("SELECT 'DECLARE c CURSOR '", "SELECT 'DECLARE c CURSOR '"),
        ("DECLARE c", "DECLARE c"),
    ],
)
def test_the_name_of_a_cursor_decides_nothing(sql, made):
    assert nameless(sql) == made


def test_cursors_end_with_their_transaction_unless_they_hold():
    one = Cursors()
    one.declare(DECLARE, ROWS)
    one.declare("DECLARE d CURSOR WITH HOLD FOR SELECT 1", ROWS)
    one.end()
    assert one.columns("c") is None
    assert one.columns("d") == ID


def test_other_replies_stay():
    one = Cursors()
    assert one.declare(DECLARE, failed("1", "m")) == failed("1", "m")
    assert one.declare("SELECT 1", ROWS) is ROWS
    assert one.columns("c") is None


def run(sql: str, *results: Result) -> Run:
    return Run(Prepared(sql), 0.0, results=list(results))


def test_what_is_fetched_is_that_of_the_declaration():
    one, declaring = Watching(), run(DECLARE, Result(tag="DECLARE CURSOR"))
    assert one.asked(declaring) == (False, None)
    assert not one.finished(declaring)
    one.described("c", ID)
    for rows in ((("1",), ("2",)), (("3",),)):
        fetching = run("FETCH 2 FROM c", Result(ID, rows, "FETCH 2"))
        assert one.asked(fetching) == (True, None)
        assert not one.finished(fetching)
    assert one.end() == [declaring]
    assert declaring.results == list(ROWS.results)
    assert one.end() == []


def test_a_name_that_is_used_again_ends_the_cursor_before():
    one, first = Watching(), run(DECLARE, Result(tag="DECLARE CURSOR"))
    one.asked(first)
    assert one.asked(run(DECLARE)) == (False, first)
    assert one.asked(run("FETCH d")) == (False, None)


def test_failures_are_recorded_where_they_happened():
    one, declaring = Watching(), run(DECLARE)
    one.asked(declaring)
    fetching = run("FETCH c")
    one.asked(fetching)
    fetching.failure = said("22012", "by zero")
    assert one.finished(fetching)
    declaring.failure = said("42P01", "no table")
    assert one.finished(declaring)
    assert one.end() == []


def test_cursors_with_hold_end_with_the_connection():
    one, holding = Watching(), run("DECLARE c CURSOR WITH HOLD FOR SELECT 1")
    one.asked(holding)
    assert one.end() == []
    assert one.end(all_=True) == [holding]


def test_what_is_fetched_has_a_limit_together(monkeypatch):
    monkeypatch.setattr(watched, "MAX_HELD", 100)
    one, declaring = Watching(), run(DECLARE, Result(tag="DECLARE CURSOR"))
    one.asked(declaring)
    for _ in range(3):
        fetching = run("FETCH 1 FROM c", Result(ID, (("1",),), "FETCH 1"))
        fetching.size = 40
        one.asked(fetching)
        one.finished(fetching)
    assert one.end() == [declaring]
    assert (declaring.why, declaring.results[0].rows) == ("more than 100 bytes", ())
