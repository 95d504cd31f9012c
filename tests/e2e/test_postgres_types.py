"""Types that a database made itself, parameters without a type: recorded with one driver, replayed by all."""

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
import pytest

from tests.e2e.postgres_server import Postgres, postgres_server
from tests.e2e.processes import Svcmock

_GOODS = (
    "CREATE TABLE goods (id int PRIMARY KEY, name text, mood mood, paid price, moods mood[], prices price[],"
    " place place, span span)"
)
_OLD = """
    INSERT INTO goods
    VALUES (7, 'old', 'sad', 2, '{}', NULL, ROW('a "b", c', 1.5, '{happy}', NULL), '[1.5,2)')
"""
SCHEMA = (
    "DROP SCHEMA public CASCADE",
    "CREATE SCHEMA public",
    "CREATE TYPE mood AS ENUM ('sad', 'happy')",
    "CREATE DOMAIN price AS numeric(10, 2) CHECK (VALUE >= 0)",
    "CREATE TYPE place AS (name text, size float8, moods mood[], paid price)",
    "CREATE TYPE span AS RANGE (subtype = float8)",
    _GOODS,
    _OLD,
)
WORK: list[tuple[str, tuple[Any, ...]]] = [
    ("INSERT INTO goods VALUES ($1, $2, $3, $4, $5, $6)",
     (1, "a (b)", "happy", Decimal("12.50"), ["sad", "happy"], [Decimal("1.5"), None])),
    ("SELECT mood, paid, moods, prices FROM goods WHERE mood = $1", ("happy",)),
    ("SELECT mood FROM goods WHERE moods @> $1 AND name = $2", (["sad"], "a (b)")),
    ("SELECT id, name FROM goods WHERE id = ANY($1) ORDER BY id", ([1, 7],)),
    ("SELECT id FROM goods WHERE name = ANY($1)", (["old", "x"],)),
    ("SELECT id FROM goods WHERE paid = $1", (Decimal("12.50"),)),
    ("SELECT place, span FROM goods WHERE id = $1", (7,)),
    ("UPDATE goods SET mood = $1 WHERE paid > $2", ("sad", Decimal(5))),
    ("SELECT count(*) FROM goods WHERE mood = $1", ("sad",)),
]  # fmt: skip


def with_psycopg(port: int) -> list[Any]:
    told: list[Any] = []
    with psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", autocommit=True) as db:
        cursor = psycopg.RawCursor(db)
        for sql, params in WORK:
            cursor.execute(sql, params)
            told.append(cursor.fetchall() if cursor.description else cursor.rowcount)
    return told


def with_asyncpg(port: int) -> list[Any]:
    async def work() -> list[Any]:
        db = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres")
        told = [[tuple(row) for row in await db.fetch(sql, *params)] for sql, params in WORK]
        await db.close()
        return told

    return asyncio.run(work())


def with_pg8000(port: int) -> list[Any]:
    told: list[Any] = []
    pg8000.dbapi.paramstyle = "numeric"
    db = pg8000.dbapi.connect("postgres", "127.0.0.1", port=port, database="postgres")
    db.autocommit = True
    cursor = db.cursor()
    for sql, params in WORK:
        cursor.execute(sql.replace("$", ":"), params)
        told.append(cursor.fetchall() if cursor.description else cursor.rowcount)
    db.close()
    return told


DRIVERS: dict[str, Callable[[int], list[Any]]] = {
    "psycopg": with_psycopg,
    "asyncpg": with_asyncpg,
    "pg8000": with_pg8000,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="sm-") as name, postgres_server(Path(name)) as made:
        yield made


@pytest.fixture(scope="module")
def real(server: Postgres) -> dict[str, list[Any]]:
    """What each driver is told by the server itself."""
    told = {}
    for name, driver in DRIVERS.items():
        server.run(*SCHEMA)
        told[name] = driver(server.port)
    return told


@pytest.mark.parametrize("recorder", DRIVERS)
def test_every_driver_gets_what_any_driver_recorded(
    svcmock: Svcmock, tmp_path: Path, server: Postgres, real: dict[str, list[Any]], recorder: str
) -> None:
    server.run(*SCHEMA)
    project = tmp_path / "p"
    recording = svcmock.record(project, {"db": server.url})
    assert DRIVERS[recorder](recording.ports["db"]) == real[recorder]
    counted = recording.stop()["db"]
    assert counted["failed"] == counted["passed on unread"] == 0, recording.process.output
    facts = json.loads((project / "recordings" / "db" / "server.facts").read_text())
    assert {"mood", "place", "_mood"} <= {one["name"] for key, one in facts.items() if key.startswith("type ")}
    mock = svcmock.up(project)
    for name, driver in DRIVERS.items():
        assert driver(mock.ports["db"]) == real[name], name
    assert mock.status()["services"]["db"]["misses"] == 0
    mock.down()


DECLARED = """
version: 1
services:
  db:
    listen: 0
    protocol: postgres
    routes: routes/
    options:
      types:
        - {oid: 16400, name: mood, kind: enum}
        - {oid: 16401, name: place, kind: composite, fields: [[name, text], [mood, 16400]]}
"""
ROUTES = """
request: {sql: "SELECT mood, place FROM goods WHERE mood = $1", params: [happy], types: [16400]}
respond:
  columns: [{name: mood, type: 16400}, {name: place, type: 16401}]
  rows: [[happy, '(x,sad)'], [null, null]]
"""


def test_types_that_a_person_declares(svcmock: Svcmock, tmp_path: Path) -> None:
    project = tmp_path / "p"
    (project / "routes").mkdir(parents=True)
    (project / "svcmock.yaml").write_text(DECLARED)
    (project / "routes" / "db.yaml").write_text(ROUTES)
    port = svcmock.up(project).ports["db"]
    sql = "SELECT mood, place FROM goods WHERE mood = $1"

    async def work() -> Any:
        db = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres")
        told = [tuple(row) for row in await db.fetch(sql, "happy")]
        await db.close()
        return told

    assert asyncio.run(work()) == [("happy", ("x", "sad")), (None, None)]
    with psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", autocommit=True) as db:
        assert psycopg.RawCursor(db).execute(sql, ["happy"]).fetchone() == ("happy", "(x,sad)")
    (project / "svcmock.yaml").write_text(DECLARED.replace("kind: enum", "kind: mood"))
    told = svcmock.run("check", project, code=None)
    assert told.returncode != 0
    assert "svcmock.yaml:10:36: expected `array` or `composite`" in told.stdout
