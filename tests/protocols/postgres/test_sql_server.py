"""A real PostgreSQL about SQL text: what is taken out changes no result, and statements end where they end."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.postgres import sql
from tests.protocols.postgres.types.server import running


@pytest.fixture(scope="module")
def server() -> Iterator[psycopg.Connection[Any]]:
    with running() as connection:
        yield connection


def results(server: psycopg.Connection[Any], text: str) -> list[list[bytes | None]]:
    """The rows of all of a simple query's statements."""
    found = []
    server.pgconn.send_query(text.encode())
    while (result := server.pgconn.get_result()) is not None:
        assert not result.error_message, result.error_message
        if result.status != psycopg.pq.ExecStatus.EMPTY_QUERY:
            found.append([result.get_value(row, 0) for row in range(result.ntuples)])
    return found


LITERALS = st.sampled_from(
    [
        "1",
        "'a  b'",
        "'it''s; -- x'",
        "E'\\'  ;'",
        "$$ '  ; /* $$",
        "$a$ $$ $b$ ; $a$",
        '1 AS "a  ;  b"',
        "U&'\\0061  b'",
        "'a'\n'b'",
        "B'01'",
        "x'f0'",
        ".5e1",
        "1_000",
        "0xff",
        "'back\\'",
        "'é  ☃'",
        "N'n'",
        "'/*' || '*/'",
    ]
)
GAPS = st.lists(
    st.sampled_from([" ", "\n", "\t\t", "/* c ; */", "-- c ; '\n", "/* /* ' */ \" */", "/*+ h */"]),
    min_size=1,
    max_size=3,
).map(lambda parts: " " + "".join(parts))
STATEMENT = st.tuples(GAPS, LITERALS, GAPS).map(lambda part: f"SELECT{part[0]}{part[1]}{part[2]}")


@given(STATEMENT)
def test_the_normal_form_means_the_same(server, text):
    if "'a'\n'b'" not in text:
        assert results(server, sql.normalise(text)) == results(server, text)


@given(st.lists(STATEMENT | st.just(" ") | st.just("-- x\n"), max_size=4).map(";".join))
def test_the_server_finds_as_many_statements(server, text):
    parts = sql.statements(text)
    assert [rows for part in parts for rows in results(server, part)] == results(server, text)


def test_routines_and_rules_with_statements_inside(server):
    text = """
        CREATE TABLE t (a int); CREATE TABLE log (a int);
        CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO log VALUES (1); INSERT INTO log VALUES (2));
        CREATE OR REPLACE PROCEDURE p(x int) LANGUAGE sql BEGIN ATOMIC
            INSERT INTO t VALUES (CASE WHEN x > 1 THEN 1 ELSE 2 END); INSERT INTO t VALUES (x); END;
        CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END; $$;
        SELECT f()
    """
    parts = sql.statements(text)
    assert [sql.first_words(part)[1:] for part in parts] == [
        ("TABLE",),
        ("TABLE",),
        ("RULE",),
        ("OR",),
        ("FUNCTION",),
        ("F",),
    ]
    assert len(results(server, text)) == len(parts)
