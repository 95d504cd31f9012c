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

TRANSACTIONS = """\
SHOW transaction_isolation
SHOW default_transaction_isolation
SHOW transaction_read_only
SHOW default_transaction_read_only
SHOW transaction_deferrable
SHOW default_transaction_deferrable
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE
SHOW transaction_isolation
SHOW default_transaction_isolation
SHOW transaction_read_only
SHOW default_transaction_read_only
SHOW default_transaction_deferrable
BEGIN ISOLATION LEVEL REPEATABLE READ, READ WRITE
SHOW transaction_isolation
SHOW default_transaction_isolation
SHOW transaction_read_only
SHOW transaction_deferrable
COMMIT
SHOW transaction_isolation
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE NOT DEFERRABLE
SHOW transaction_isolation
SHOW transaction_read_only
BEGIN
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE
SHOW transaction_isolation
SHOW default_transaction_isolation
ROLLBACK
SHOW default_transaction_isolation
BEGIN
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY
SHOW transaction_isolation
SHOW transaction_read_only
COMMIT AND CHAIN
SHOW transaction_isolation
SHOW transaction_read_only
COMMIT
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE
SHOW transaction_isolation
SET TRANSACTION READ ONLY
SHOW transaction_read_only
SET default_transaction_isolation = 'REPEATABLE READ'
SHOW default_transaction_isolation
SHOW transaction_isolation
SHOW TRANSACTION ISOLATION LEVEL
SET default_transaction_isolation TO serializable
SHOW default_transaction_isolation
BEGIN
SHOW transaction_isolation
SET default_transaction_isolation TO DEFAULT
SHOW transaction_isolation
SHOW default_transaction_isolation
SAVEPOINT a
SET TRANSACTION READ ONLY
SHOW transaction_read_only
ROLLBACK TO a
SHOW transaction_read_only
SET transaction_read_only = 1
SHOW transaction_read_only
ROLLBACK
BEGIN
SET LOCAL default_transaction_isolation = 'serializable'
SHOW transaction_isolation
SHOW default_transaction_isolation
SET LOCAL TRANSACTION ISOLATION LEVEL SERIALIZABLE
SHOW transaction_isolation
COMMIT
SHOW default_transaction_isolation
BEGIN READ ONLY
SHOW transaction_read_only
BEGIN ISOLATION LEVEL SERIALIZABLE
SHOW transaction_isolation
ROLLBACK AND CHAIN
SHOW transaction_read_only
SHOW transaction_isolation
ROLLBACK
START TRANSACTION ISOLATION LEVEL READ UNCOMMITTED, READ ONLY, NOT DEFERRABLE
SHOW transaction_isolation
SHOW transaction_read_only
END
SET transaction_isolation = 'serializable'
SHOW transaction_isolation
SET default_transaction_read_only = 1
SHOW default_transaction_read_only
SHOW transaction_read_only
RESET default_transaction_read_only
SHOW transaction_read_only
RESET ALL
SHOW transaction_isolation
BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE
SHOW transaction_deferrable
COMMIT
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, ISOLATION LEVEL REPEATABLE READ, READ WRITE
SHOW default_transaction_isolation
SHOW default_transaction_read_only
BEGIN
RESET ALL
SHOW transaction_isolation
SELECT current_setting('default_transaction_isolation')
COMMIT
SELECT current_setting('transaction_isolation')""".splitlines()
"""What a transaction says of itself: ORMs set it in one way and look in another."""


@pytest.fixture
def mock(svcmock: Svcmock, tmp_path: Path) -> Mock:
    return svcmock.up(project(tmp_path / "shop", SERVICE, USERS))


def told(port: int, statements: list[str], parameter: str) -> list[Any]:
    """What is said to each, with the columns and their types; once as text, once in binary.

    And what `parameter` is reported to be then.
    """
    found: list[Any] = []
    for binary in (False, True):
        dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        with psycopg.connect(dsn, autocommit=True, connect_timeout=20) as db:
            for asked in statements:
                cursor = db.execute(asked, binary=binary)
                columns = [(column.name, column.type_code) for column in cursor.description or ()]
                found.append((asked, cursor.statusmessage, columns, cursor.fetchall() if columns else None))
                found.append((db.info.parameter_status(parameter) or "").removeprefix("Etc/"))
    return found


def test_it_is_answered_as_a_server_would(mock: Mock, postgres: Postgres) -> None:
    for statements, parameter in ((ASKED, "TimeZone"), (TRANSACTIONS, "default_transaction_read_only")):
        assert told(mock.ports["db"], statements, parameter) == told(postgres.port, statements, parameter)
    assert mock.status()["services"]["db"]["misses"] == 0


def test_the_version_is_one_however_it_is_asked_for(mock: Mock, postgres: Postgres) -> None:
    for port in (mock.ports["db"], postgres.port):
        with psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", connect_timeout=20) as db:
            number = db.info.server_version
            assert db.execute("SHOW server_version_num").fetchall() == [(str(number),)]
            assert db.execute("SELECT current_setting('server_version_num')::int").fetchall() == [(number,)]


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
