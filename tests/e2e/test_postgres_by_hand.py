"""Routes of PostgreSQL that a person wrote answer every driver, however it asks."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from tests.e2e.processes import Mock, Svcmock
from tests.e2e.projects import project

ROUTES = """\
request: {sql: "SELECT id, name FROM users WHERE id = $1", params: [42]}
respond: {columns: [{name: id, type: int4}, name], rows: [[42, Ann]]}
---
match: {sql: "SELECT name, city FROM users WHERE city = $1"}
template: true
respond: {columns: [name, city], rows: [[Bo, "{{ request.params[0] }}"]]}
---
match: {sql: "SELECT name FROM users WHERE id = {id}"}
template: true
respond: {columns: [{name: name, type: varchar}], rows: [["user {{ id }}"]]}
---
request: {sql: "INSERT INTO users (id, name) VALUES ($1, $2)", params: [42, Eve]}
respond: {error: {code: "23505", message: duplicate key value violates unique constraint "users_pkey"}}
---
match: {sql: "UPDATE users SET active = $1"}
template: true
respond: {tag: UPDATE 3}
---
request: {sql: SELECT now_and_then()}
policy: cycle
respond: {columns: [n], rows: [[first]]}
---
request: {sql: SELECT now_and_then()}
policy: cycle
respond: {columns: [n], rows: [[second]]}
"""
CITY = "SELECT name, city FROM users WHERE city = $1"
INSERT = "INSERT INTO users (id, name) VALUES ($1, $2)"
EXPECTED = [
    [(42, "Ann")],
    [(42, "Ann")],
    [("Bo", "Oslo")],
    [("Bo", "Rome")],
    [("user 7",)],
    "23505",
    "UPDATE 3",
    [("first",)],
    [("second",)],
    [("first",)],
]


@pytest.fixture
def mock(svcmock: Svcmock, tmp_path: Path) -> Mock:
    return svcmock.up(
        project(tmp_path / "shop", "db: {listen: 0, protocol: postgres, routes: routes/}", ROUTES)
    )


async def with_asyncpg(port: int) -> list[Any]:
    db = await asyncpg.connect(host="127.0.0.1", port=port, user="shop", database="shop", timeout=20)

    async def rows(sql: str, *params: Any) -> list[Any]:
        return [tuple(row) for row in await db.fetch(sql, *params)]

    found: list[Any] = [await rows("SELECT id, name FROM users WHERE id = $1", 42) for _ in range(2)]
    found += [await rows(CITY, city) for city in ("Oslo", "Rome")]
    found.append(await rows("SELECT name FROM users WHERE id = 7"))
    with pytest.raises(asyncpg.UniqueViolationError) as failure:
        await db.execute(INSERT, 42, "Eve")
    found += [failure.value.sqlstate, await db.execute("UPDATE users SET active = $1", "t")]
    found += [await rows("SELECT now_and_then()") for _ in range(3)]
    await db.close()
    return found


def with_psycopg(port: int, *, prepared: bool) -> list[Any]:
    with psycopg.connect(f"postgresql://shop@127.0.0.1:{port}/shop", autocommit=True, connect_timeout=20) as db:

        def rows(sql: str, *params: Any) -> list[Any]:
            return db.execute(sql, params or None, prepare=prepared).fetchall()

        found: list[Any] = [rows("SELECT id, name FROM users WHERE id = %s", 42) for _ in range(2)]
        found += [rows(CITY.replace("$1", "%s"), city) for city in ("Oslo", "Rome")]
        found.append(rows("SELECT name FROM users WHERE id = 7"))
        with pytest.raises(psycopg.errors.UniqueViolation) as failure:
            db.execute("INSERT INTO users (id, name) VALUES (%s, %s)", (42, "Eve"))
        found.append(failure.value.sqlstate)
        found.append(db.execute("UPDATE users SET active = %s", (True,)).statusmessage)
        return found + [rows("SELECT now_and_then()") for _ in range(3)]


def with_pg8000(port: int) -> list[Any]:
    pg8000.dbapi.paramstyle = "format"
    with closing(pg8000.dbapi.connect("shop", host="127.0.0.1", port=port, timeout=20)) as db:
        db.autocommit = True
        return _asked(db.cursor())


def _asked(cursor: Any) -> list[Any]:

    def rows(sql: str, *params: Any) -> list[Any]:
        cursor.execute(sql, params)
        return [tuple(row) for row in cursor.fetchall()]

    found: list[Any] = [rows("SELECT id, name FROM users WHERE id = %s", 42) for _ in range(2)]
    found += [rows(CITY.replace("$1", "%s"), city) for city in ("Oslo", "Rome")]
    found.append(rows("SELECT name FROM users WHERE id = 7"))
    with pytest.raises(pg8000.dbapi.DatabaseError) as failure:
        cursor.execute("INSERT INTO users (id, name) VALUES (%s, %s)", (42, "Eve"))
    found.append(failure.value.args[0]["C"])
    cursor.execute("UPDATE users SET active = %s", (True,))
    found.append(f"UPDATE {cursor.rowcount}")
    return found + [rows("SELECT now_and_then()") for _ in range(3)]


async def with_sqlalchemy(port: int) -> list[Any]:
    engine = create_async_engine(f"postgresql+asyncpg://shop@127.0.0.1:{port}/shop")
    async with engine.connect() as db:

        async def rows(sql: str, **params: Any) -> list[Any]:
            return [tuple(row) for row in (await db.execute(sa.text(sql), params)).all()]

        found: list[Any] = [await rows("SELECT id, name FROM users WHERE id = :id", id=42) for _ in range(2)]
        found += [await rows(CITY.replace("$1", ":city"), city=city) for city in ("Oslo", "Rome")]
        found.append(await rows("SELECT name FROM users WHERE id = 7"))
        with pytest.raises(sa.exc.IntegrityError) as failure:
            await db.execute(
                sa.text(INSERT.replace("$1", ":id").replace("$2", ":name")), {"id": 42, "name": "Eve"}
            )
        found.append(getattr(failure.value.orig, "sqlstate", ""))
        await db.rollback()
        changed = await db.execute(sa.text("UPDATE users SET active = :active"), {"active": "t"})
        found.append(f"UPDATE {changed.rowcount}")
        found += [await rows("SELECT now_and_then()") for _ in range(3)]
    await engine.dispose()
    return found


DRIVERS: dict[str, Callable[[int], list[Any]]] = {
    "asyncpg": lambda port: asyncio.run(with_asyncpg(port)),
    "psycopg": lambda port: with_psycopg(port, prepared=False),
    "psycopg, prepared": lambda port: with_psycopg(port, prepared=True),
    "pg8000": with_pg8000,
    "SQLAlchemy": lambda port: asyncio.run(with_sqlalchemy(port)),
}


def test_all_drivers_get_the_same(mock: Mock, svcmock: Svcmock) -> None:
    told = {}
    for name, work in DRIVERS.items():
        told[name] = work(mock.ports["db"])
        svcmock.run("reload", mock.project)
    assert mock.status()["services"]["db"]["misses"] == 0
    for name, found in told.items():
        first, later = found[:-3], found[-3:]
        assert (name, first) == (name, EXPECTED[:-3])
        assert (name, {row for rows in later for row in rows}) == (name, {("first",), ("second",)})
    assert mock.status()["services"]["db"]["routes"] == 7
