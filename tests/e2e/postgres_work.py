"""What applications do with PostgreSQL, through the drivers that they use. Each gives all that it was told."""

import asyncio
import datetime as dt
import io
import re
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2
import psycopg2.extras
import sqlalchemy
from sqlalchemy import text

_USERS = (
    "CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, age smallint, paid numeric(10, 2), born date,"
    " seen timestamptz, tags text[], key uuid, raw bytea, score float8, active bool, mood mood, extra jsonb,"
    " code varchar(5), took interval)"
)
SCHEMA = (
    "DROP SCHEMA public CASCADE",
    "CREATE SCHEMA public",
    "CREATE TYPE mood AS ENUM ('sad', 'happy')",
    _USERS,
    "CREATE TABLE jobs (id serial PRIMARY KEY, what text UNIQUE)",
)
BORN = dt.date(1990, 5, 17)
SEEN = dt.datetime(2024, 2, 29, 23, 59, 58, 123456, tzinfo=dt.UTC)
KEY = uuid.UUID("6f1c1c9e-7f5a-4a43-8d3a-1d2f3c4b5a69")
TOOK = dt.timedelta(days=3, seconds=7)
INSERT = (
    "INSERT INTO users (id, name, age, paid, born, seen, key, raw, score, active, code, took)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
)
ANN = (
    1,
    "Ann",
    33,
    Decimal("12.50"),
    BORN,
    SEEN,
    KEY,
    b"\x00\xffx",
    0.1,
    True,
    "abcde",
    TOOK,
)
BOB = (2, "Bob ☃", None, Decimal("-0.01"), None, None, None, b"", -1.5e300, False, None, None)
COLUMNS = "id, name, age, paid, born, seen, key, raw, score, active, code, took"

COMMON: Sequence[tuple[str, tuple[Any, ...]]] = [
    (INSERT, ANN),
    (INSERT, BOB),
    (INSERT, ANN),
    (f"SELECT {COLUMNS} FROM users ORDER BY id", ()),
    (f"SELECT {COLUMNS} FROM users WHERE id = $1", (1,)),
    (f"SELECT {COLUMNS} FROM users WHERE id = $1", (2,)),
    (f"SELECT {COLUMNS} FROM users WHERE id = $1", (3,)),
    *[("SELECT name FROM users WHERE id = $1", (1 + number % 2,)) for number in range(9)],
    ("SELECT count(*), sum(paid), max(seen) FROM users WHERE born = $1 OR born IS NULL", (BORN,)),
    ("UPDATE users SET age = $1 WHERE id = $2", (34, 1)),
    ("SELECT age FROM users WHERE id = $1", (1,)),
    ("SELECT 1 / (id - 1) FROM users WHERE id = $1", (1,)),
    ("SELECT nothing FROM users", ()),
    ("SELECT 'still here'", ()),
    (
        "SELECT string_to_array($1, '|'), ARRAY[1, NULL], '{}'::text[], $2::numeric(6, 3)",
        ('a|b "c", d', Decimal(1)),
    ),
    ("DELETE FROM users WHERE id = $1", (2,)),
    ("SELECT id FROM users ORDER BY id", ()),
]
"""Statements with parameters that all drivers send as they stand here."""


def with_psycopg(port: int) -> list[Any]:
    """Their results, or the codes of their failures."""
    told: list[Any] = []
    with psycopg.connect(_dsn(port), autocommit=True) as db:
        cursor = psycopg.RawCursor(db)
        for sql, params in COMMON:
            try:
                cursor.execute(sql, params)
                told.append([tuple(row) for row in cursor] if cursor.description else cursor.rowcount)
            except psycopg.Error as error:
                told.append(error.sqlstate)
    return told


def with_asyncpg(port: int) -> list[Any]:
    """The same. Its statements are described before their parameters are known, all values are binary."""

    async def work() -> list[Any]:
        told: list[Any] = []
        db = await asyncpg.connect(_dsn(port))
        try:
            for sql, params in COMMON:
                try:
                    prepared = await db.prepare(sql)
                    rows = await prepared.fetch(*params)
                    status = prepared.get_statusmsg()
                    told.append([tuple(row) for row in rows] if prepared.get_attributes() else _count(status))
                except asyncpg.PostgresError as error:
                    told.append(error.sqlstate)
        finally:
            await db.close()
        return told

    return asyncio.run(work())


def with_pg8000(port: int) -> list[Any]:
    """The same. Its statements are unnamed, in three batches, its parameters text."""
    told: list[Any] = []
    pg8000.dbapi.paramstyle = "numeric"
    db = pg8000.dbapi.connect("postgres", "127.0.0.1", port=port, database="postgres")
    db.autocommit = True
    cursor = db.cursor()
    for sql, params in COMMON:
        try:
            cursor.execute(sql.replace("$", ":"), params)
            told.append([tuple(row) for row in cursor.fetchall()] if cursor.description else cursor.rowcount)
        except pg8000.dbapi.Error as error:
            told.append(error.args[0]["C"])
    db.close()
    return told


DRIVERS: dict[str, Callable[[int], list[Any]]] = {
    "psycopg": with_psycopg,
    "asyncpg": with_asyncpg,
    "pg8000": with_pg8000,
}


def _dsn(port: int, user: str = "postgres") -> str:
    return f"postgresql://{user}@127.0.0.1:{port}/postgres"


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])


# --- what is particular to each driver ---


def much_of_psycopg(port: int) -> list[Any]:
    """Transactions, savepoints, prepared statements, cursors, pipelines, copies, binary results, notices."""
    told: list[Any] = []
    with psycopg.connect(_dsn(port)) as db:
        db.add_notice_handler(lambda notice: told.append(("notice", notice.message_primary)))
        db.execute("INSERT INTO jobs (what) VALUES (%s), (%s)", ["a", "b"])
        with db.transaction():
            told.append(db.execute("INSERT INTO jobs (what) VALUES (%s) RETURNING id", ["c"]).fetchall())
            try:
                with db.transaction():
                    db.execute("INSERT INTO jobs (what) VALUES (%s)", ["a"])
            except psycopg.errors.UniqueViolation as error:
                told.append((error.sqlstate, error.diag.constraint_name, error.diag.message_detail))
            told.append(db.execute("SELECT what FROM jobs ORDER BY id").fetchall())
        db.commit()
        try:
            db.execute("SELECT * FROM nowhere")
        except psycopg.Error as error:
            told.append((error.sqlstate, error.diag.statement_position))
        try:
            db.execute("SELECT 1")
        except psycopg.Error as error:
            told.append(error.sqlstate)
        db.rollback()
        told.append(db.info.transaction_status)
        told += [db.execute("SELECT %s + 1", [number], prepare=number > 5).fetchone() for number in range(8)]
        with db.cursor("walking") as cursor:
            cursor.execute("SELECT generate_series(1, 7)")
            told += [cursor.fetchmany(3), cursor.fetchmany(3), cursor.fetchmany(3)]
        with db.cursor(binary=True) as cursor:
            told.append(cursor.execute("SELECT 1::int8, now() > '2020-01-01', '{1,2}'::int[]").fetchall())
        db.commit()
        with db.pipeline():
            cursors = [db.execute("SELECT %s::text", [text_]) for text_ in ("x", "y", "z")]
            told += [cursor.fetchall() for cursor in cursors]
        db.commit()
        with db.cursor() as cursor:
            with cursor.copy("COPY jobs (what) FROM STDIN") as copy:
                for what in ("d", "tab\there", "line\nbreak"):
                    copy.write_row((what,))
            told.append(cursor.rowcount)
            with cursor.copy("COPY (SELECT id, what FROM jobs ORDER BY id) TO STDOUT") as copy:
                told.append(list(copy.rows()))
            cursor.executemany("UPDATE jobs SET what = %s WHERE id = %s", [("A", 1), ("B", 2)])
            told.append(cursor.rowcount)
        db.execute("DO $$ BEGIN RAISE NOTICE 'hello'; END $$")
        db.execute("SET application_name = 'work'")
        told.append(db.info.parameter_status("application_name"))
        told.append(db.execute("SHOW application_name").fetchone())
        told.append(db.info.server_version)
    with psycopg.connect(_dsn(port), autocommit=True) as db:
        told.append([tuple(r) for r in db.execute("SELECT 1; SELECT 2, 'x'", prepare=False)])
    return told


def much_of_psycopg2(port: int) -> list[Any]:
    """What it writes into statements itself, however they are quoted; transactions, cursors, copies."""
    told: list[Any] = []
    db = psycopg2.connect(_dsn(port))
    db.autocommit = True
    with db.cursor() as cursor:
        for sql, params in COMMON:
            try:
                cursor.execute(re.sub(r"\$\d+", "%s", sql), [str(one) if one == KEY else one for one in params])
                told.append(_whole(cursor.fetchall()) if cursor.description else cursor.rowcount)
            except psycopg2.Error as error:
                told.append(error.pgcode)
        sql = "SELECT %s, %s, %s::text[], %s::bytea, %s::date, %s, %s"
        values = ("it's 100% \\ ☃", 'a"b', ["x", "o'y", None], b"\0'\\\xff", BORN, [1, 2], float("nan"))
        cursor.execute(sql, values)
        told.append(repr(_whole(cursor.fetchall())))
    db.autocommit = False
    with db, db.cursor() as cursor:
        rows = psycopg2.extras.execute_values(
            cursor,
            "INSERT INTO jobs (what) VALUES %s RETURNING id",
            [(f"v{one}",) for one in range(5)],
            fetch=True,
        )
        told.append(rows)
        cursor.execute("SAVEPOINT one")
        try:
            cursor.execute("INSERT INTO jobs (what) VALUES (%s)", ["v1"])
        except psycopg2.errors.UniqueViolation as error:
            told.append((error.pgcode, error.diag.constraint_name, error.diag.message_detail))
        cursor.execute("ROLLBACK TO SAVEPOINT one")
        with db.cursor("walking") as walking:
            walking.itersize = 2
            walking.execute("SELECT what FROM jobs ORDER BY id")
            told.append(list(walking))
        cursor.copy_expert("COPY jobs (what) FROM STDIN", io.StringIO("c1\nc\\t2\n"))
        copied = io.StringIO()
        cursor.copy_expert("COPY (SELECT what FROM jobs ORDER BY id) TO STDOUT", copied)
        told.append(copied.getvalue())
    db.close()
    return told


def _whole(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows whose bytes are bytes."""
    return [tuple(bytes(one) if isinstance(one, memoryview) else one for one in row) for row in rows]


def much_of_asyncpg(port: int) -> list[Any]:
    """Types of the database's own, cursors, copies, executemany, a pool, channels."""

    async def work() -> list[Any]:
        told: list[Any] = []
        db = await asyncpg.connect(_dsn(port))
        await db.execute(
            "INSERT INTO users (id, name, mood, extra) VALUES (7, 'Eve', 'happy', '{\"a\": [1, null]}')"
        )
        told.append(tuple(await db.fetchrow("SELECT id, mood, extra FROM users WHERE mood = $1", "happy")))
        told.append(await db.fetchval("SELECT $1::mood[]", ["sad", "happy"]))
        async with db.transaction():
            cursor = await db.cursor("SELECT generate_series(1, $1::int)", 5)
            told += [[tuple(r) for r in await cursor.fetch(2)] for _ in range(3)]
        try:
            async with db.transaction():
                await db.execute("INSERT INTO users (id, name) VALUES ($1, $2)", 7, "again")
        except asyncpg.UniqueViolationError as error:
            told.append((error.sqlstate, error.constraint_name))
        told.append(await db.copy_records_to_table("jobs", records=[("r1",), ("r2",)], columns=["what"]))
        await db.executemany("INSERT INTO jobs (what) VALUES ($1)", [("m1",), ("m2",)])
        told.append([tuple(row) for row in await db.fetch("SELECT what FROM jobs ORDER BY what")])
        copied = bytearray()

        async def keep(data: bytes) -> None:
            copied.extend(data)

        told.append(await db.copy_from_query("SELECT what FROM jobs ORDER BY what", output=keep, format="csv"))
        told.append(bytes(copied))
        heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        await db.add_listener("jobs", lambda _db, _pid, channel, payload: heard.put_nowait((channel, payload)))
        await db.execute("NOTIFY jobs, 'go'")
        told.append(await asyncio.wait_for(heard.get(), 10))
        await db.close()
        async with asyncpg.create_pool(_dsn(port), min_size=1, max_size=2) as pool:
            for number in range(3):
                told.append(await pool.fetchval("SELECT $1::int * 2", number))
        return told

    return asyncio.run(work())


def much_of_sqlalchemy(driver: str) -> Callable[[int], list[Any]]:
    """Through SQLAlchemy's engine, which asks the server what it is when it connects first."""

    def work(port: int) -> list[Any]:
        told: list[Any] = []
        engine = sqlalchemy.create_engine(f"postgresql+{driver}://postgres@127.0.0.1:{port}/postgres")
        jobs = sqlalchemy.Table("jobs", sqlalchemy.MetaData(), autoload_with=engine)
        told.append([column.name for column in jobs.columns])
        with engine.begin() as db:
            told.append(
                db.execute(jobs.insert().returning(jobs.c.id), [{"what": "s1"}, {"what": "s2"}]).fetchall()
            )
        with engine.connect() as db:
            told.append(db.execute(sqlalchemy.select(jobs).order_by(jobs.c.id)).fetchall())
            told.append(db.execute(text("SELECT :a + 1"), {"a": 41}).scalar())
            try:
                db.execute(jobs.insert(), {"what": "s1"})
            except sqlalchemy.exc.IntegrityError:
                told.append("twice")
            db.rollback()
            told.append(
                db.execute(sqlalchemy.select(jobs.c.what).where(jobs.c.what.in_(["s1", "x"]))).fetchall()
            )
        engine.dispose()
        return [
            [tuple(row) for row in one]
            if isinstance(one, list) and one and not isinstance(one[0], str)
            else one
            for one in told
        ]

    return work


def at_once(port: int, works: Sequence[Callable[[int], Any]]) -> list[Any]:
    """Several of them, each in a thread and on connections of its own."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(lambda work: work(port), works))
