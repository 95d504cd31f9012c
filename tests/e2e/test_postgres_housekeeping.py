"""What drivers, pools and frameworks ask before and between an application's statements: no route is needed."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pg8000.native
import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from tests.e2e.postgres_server import Postgres
from tests.e2e.processes import Mock, Svcmock
from tests.e2e.projects import project

SERVICE = "db: {listen: 0, protocol: postgres, routes: routes/}"
USERS = """\
request: {sql: SELECT name FROM users}
respond: {columns: [name], rows: [[Ann]]}
"""
ASKED = [
    "SELECT 1",
    "select 2 as alive;",
    "SELECT current_schema()",
    "select current_schema as s",
    "SELECT current_database()",
    "SELECT current_catalog",
    "SELECT current_user",
    "SELECT session_user",
    "SELECT user",
    "SELECT pg_catalog.pg_is_in_recovery()",
    "SHOW search_path",
    "SELECT set_config('TimeZone', 'Europe/Berlin', false)",
    "SELECT current_setting('TIMEZONE')",
    "SHOW TimeZone",
    "BEGIN",
    "SELECT set_config('timezone', 'Asia/Tokyo', true)",
    "SHOW TimeZone",
    "ROLLBACK",
    "SELECT current_setting('TimeZone') AS zone",
    "SELECT set_config('statement_timeout', '90s', false)",
    "SHOW statement_timeout",
]


@pytest.fixture
def mock(svcmock: Svcmock, tmp_path: Path) -> Mock:
    return svcmock.up(project(tmp_path / "shop", SERVICE, USERS))


def told(port: int) -> list[Any]:
    """What is said to each, with the columns and their types; once as text, once in binary."""
    found = []
    for binary in (False, True):
        dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        with psycopg.connect(dsn, autocommit=True, connect_timeout=20) as db:
            for asked in ASKED:
                cursor = db.execute(asked, binary=binary)
                columns = [(column.name, column.type_code) for column in cursor.description or ()]
                found.append((asked, cursor.statusmessage, columns, cursor.fetchall() if columns else None))
            found.append(db.info.parameter_status("TimeZone"))
    return found


def test_it_is_answered_as_a_server_would(mock: Mock, postgres: Postgres) -> None:
    assert told(mock.ports["db"]) == told(postgres.port)
    assert mock.status()["services"]["db"]["misses"] == 0


def engines(port: int, dialect: str) -> None:
    engine = sa.create_engine(
        f"postgresql+{dialect}://shop@127.0.0.1:{port}/shop", pool_pre_ping=True, pool_size=1
    )
    for _ in range(3):
        with engine.connect() as connection:
            assert connection.execute(sa.text("SELECT name FROM users")).all() == [("Ann",)]
    engine.dispose()


async def asynchronous(port: int) -> None:
    engine = create_async_engine(f"postgresql+asyncpg://shop@127.0.0.1:{port}/shop", pool_pre_ping=True)
    for _ in range(3):
        async with engine.connect() as connection:
            assert (await connection.execute(sa.text("SELECT name FROM users"))).all() == [("Ann",)]
    await engine.dispose()


async def alone(port: int) -> None:
    db = await asyncpg.connect(host="127.0.0.1", port=port, user="shop", database="shop", timeout=20)
    assert await db.fetchval("SELECT 1") == 1
    assert await db.fetchval("SELECT current_database()") == "shop"
    assert (await db.fetchval("SELECT version()")).startswith("PostgreSQL ")
    assert await db.fetchval("SELECT pg_is_in_recovery()") is False
    assert await db.fetch("SELECT name FROM users") == [("Ann",)]
    await db.close()


def natively(port: int) -> None:
    db = pg8000.native.Connection("shop", host="127.0.0.1", port=port, timeout=20)
    assert db.run("SELECT 1") == [[1]]
    assert db.run("SELECT current_user") == [["shop"]]
    assert db.run("SELECT name FROM users") == [["Ann"]]
    db.close()


WORK: dict[str, Callable[[int], Any]] = {
    "SQLAlchemy, psycopg": lambda port: engines(port, "psycopg"),
    "SQLAlchemy, psycopg2": lambda port: engines(port, "psycopg2"),
    "SQLAlchemy, pg8000": lambda port: engines(port, "pg8000"),
    "SQLAlchemy, asyncpg": lambda port: asyncio.run(asynchronous(port)),
    "asyncpg": lambda port: asyncio.run(alone(port)),
    "pg8000": natively,
}


def test_a_route_by_hand_is_enough_for_any_of_them(mock: Mock) -> None:
    for name, work in WORK.items():
        work(mock.ports["db"])
        assert mock.status()["services"]["db"]["misses"] == 0, name
