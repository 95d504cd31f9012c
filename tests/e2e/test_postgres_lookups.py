"""What the mock says of types that every server has is what a server says, to each question of the drivers."""

from typing import Any

import psycopg
import pytest

from svcmock_protocols.postgres import lookups
from svcmock_protocols.postgres.messages import Request
from svcmock_protocols.postgres.types import BUILT_IN, catalog
from tests.e2e.postgres_server import Postgres

OIDS = sorted({*catalog.ARRAYS, *catalog.ARRAYS.values(), 2278, 705, 2249})


@pytest.fixture
def db(postgres: Postgres) -> Any:
    with psycopg.connect(f"host=127.0.0.1 port={postgres.port} user=postgres dbname=postgres") as connection:
        yield connection


def ask(db: Any, sql: str, params: tuple[str, ...], types: tuple[int, ...]) -> tuple[Any, Any]:
    """The columns and rows, as text."""
    result = db.pgconn.exec_params(sql.encode(), [param.encode() for param in params], types)
    assert result.status == psycopg.pq.ExecStatus.TUPLES_OK, result.error_message
    columns = [(result.fname(i).decode(), result.ftype(i)) for i in range(result.nfields)]
    rows = [
        tuple(value and value.decode() for value in (result.get_value(row, i) for i in range(result.nfields)))
        for row in range(result.ntuples)
    ]
    return columns, rows


def test_each_question_about_each_type(db: Any) -> None:
    asked = 0
    for sql, lookup in lookups.LOOKUPS.items():
        for oid in OIDS:
            name = catalog.name(oid) or ""
            first = str(oid) if lookup.takes == (26,) else name
            params = (first, "pg_catalog", "t")[: len(lookup.takes)]
            reply = lookups.answer(Request(sql, params, lookup.takes), BUILT_IN)
            if reply is None:
                continue
            (result,) = reply.results
            columns, rows = ask(db, sql, params, lookup.takes)
            assert [(column.name, column.oid) for column in result.columns or ()] == columns, sql
            assert list(result.rows) == rows, (sql, name)
            asked += 1
    assert asked > 7 * len(OIDS), "all but psycopg's, whose answer depends on the path"
