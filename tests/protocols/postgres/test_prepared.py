"""PREPARE and EXECUTE of SQL."""

import pytest
from msgspec.structs import replace

from svcmock.protocol import Exchange, Upstream
from svcmock_protocols.postgres import plugin
from svcmock_protocols.postgres.messages import Options, Request
from svcmock_protocols.postgres.portals import Statement
from svcmock_protocols.postgres.prepared import execution, follow, meant, prepare, taken
from tests.protocols.postgres import wire


@pytest.mark.parametrize(
    ("sql", "made"),
    [
        ("PREPARE p AS SELECT 1", ("p", Statement("SELECT 1", ()))),
        (
            'prepare "P q" (int, numeric(10, 2)) as\n SELECT $1 -- x',
            ("P q", Statement("SELECT $1", (23, 1700))),
        ),
        ("PREPARE p(character varying, mood) AS SELECT $1;", ("p", Statement("SELECT $1", (1043, 0)))),
        ("PREPARE p(int AS SELECT 1", None),
        ("PREPARE p", None),
        ("PREPARE TRANSACTION 'x'", None),
        ("SELECT 'PREPARE p AS SELECT 1'", None),
    ],
)
def test_preparing(sql, made):
    assert prepare(sql) == made


@pytest.mark.parametrize(
    ("sql", "name", "values"),
    [
        ("EXECUTE p", "p", ()),
        ("EXECUTE p()", "p", ()),
        ("execute P (1, -2.5e3, .5)", "p", (b"1", b"-2.5e3", b".5")),
        ("EXECUTE p('it''s, (ok)', NULL, true, False)", "p", (b"it's, (ok)", None, b"t", b"f")),
        ("EXECUTE p('2024-01-01'::date, '{1}' :: int[], 1::numeric(3, 1))", "p", (b"2024-01-01", b"{1}", b"1")),
        ('EXECUTE "p q"(1);', "p q", (b"1",)),
    ],
)
def test_executing(sql, name, values):
    bound = execution(sql)
    assert (bound.statement, bound.values) == (name, values)


@pytest.mark.parametrize(
    "sql",
    ["EXECUTE p(now())", "EXECUTE p(1 + 2)", "EXECUTE p(1", "EXECUTE p(1) x", "EXECUTE p(E'a')", "SELECT 1"],
)
def test_what_is_more_than_constants_is_left_alone(sql):
    assert execution(sql) is None
    assert meant(Request(sql), {"p": Statement("SELECT $1", ())}) == Request(sql)


def test_names_are_what_they_stand_for():
    one, other = {"p": Statement("SELECT a, $1", (23,))}, {"p": Statement("SELECT b, $1", ())}
    asked = Request("EXECUTE p (1)")
    assert meant(asked, one) == Request("SELECT a, $1", ("1",), (23,))
    assert meant(asked, other) == Request("SELECT b, $1", ("1",), (0,))
    assert meant(asked, {}) == asked
    assert meant(Request("EXECUTE p (1, 2)"), one) == Request("EXECUTE p (1, 2)")


def test_what_is_prepared_now():
    statements: dict[str, Statement] = {}
    for sql in ("PREPARE p AS SELECT 1", "PREPARE q AS SELECT 2", "PREPARE p AS SELECT 3", "SELECT 1"):
        follow(sql, statements)
    assert {name: one.sql for name, one in statements.items()} == {"p": "SELECT 1", "q": "SELECT 2"}
    assert taken("PREPARE p AS SELECT 3", statements).failure.get("C") == "42P05"
    assert taken("PREPARE r AS SELECT 3", statements) is None
    follow("DEALLOCATE p", statements)
    assert list(statements) == ["q"]
    follow("DISCARD ALL", statements)
    assert statements == {}


def test_a_recording_names_what_was_run():
    """And not a name that means another statement on the next connection."""
    context = replace(wire.context(), options=Options(inquire=False))
    recorded = []
    for body in ("SELECT a, $1", "SELECT b, $1"):
        tap = plugin.tap(context, Upstream("postgres://db", "db:5432"))
        tap.from_client(wire.startup(), 0.0)
        tap.from_server(wire.HELLO, 0.0)
        tap.from_client(wire.query(f"PREPARE p (int) AS {body}") + wire.query("EXECUTE p(1)"), 0.0)
        rows = wire.columns(("a", 23)) + wire.row(b"1") + wire.complete("SELECT 1")
        outs = tap.from_server(wire.complete("PREPARE") + wire.ready() + rows + wire.ready(), 0.0)
        recorded += [out.request for out in outs if isinstance(out, Exchange)]
    assert recorded == [Request(sql, ("1",), (23,)) for sql in ("SELECT a, $1", "SELECT b, $1")]
