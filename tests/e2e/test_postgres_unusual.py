"""What applications do now and then, recorded and replayed: held cursors, large objects, locks, deadlocks."""

import asyncio
import datetime as dt
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
from psycopg.types.json import Jsonb
from psycopg.types.range import Range

from tests.e2e import postgres_work
from tests.e2e.postgres_server import binaries, postgres_server
from tests.e2e.processes import Svcmock

SCHEMA = (
    "CREATE TABLE things (id int PRIMARY KEY, spans int4range, took interval, doc jsonb, key uuid, n numeric)",
    "INSERT INTO jobs (what) SELECT 'job ' || n FROM generate_series(1, 5) AS n",
)


def dsn(port: int) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"


def failing(doing: Callable[[], Any]) -> Any:
    """What it gives, or the code and message of its failure."""
    try:
        return doing()
    except psycopg.Error as error:
        return error.sqlstate, error.diag.message_primary


def cursors(port: int) -> list[Any]:
    told: list[Any] = []
    with psycopg.connect(dsn(port)) as db:
        with db.cursor("kept", withhold=True) as cursor:
            cursor.execute("SELECT id, what FROM jobs ORDER BY id")
            told.append(cursor.fetchmany(2))
            db.commit()
            told.append(cursor.fetchmany(2))
            told.append(cursor.fetchall())
        db.execute("DECLARE c CURSOR FOR SELECT id FROM jobs ORDER BY id")
        told.append(db.execute("FETCH 2 FROM c").fetchall())
        told.append(db.execute("FETCH FORWARD ALL FROM c").fetchall())
        db.execute("CLOSE c")
        told.append(failing(lambda: db.execute("FETCH 1 FROM c")))
        db.rollback()
        db.execute("DECLARE s SCROLL CURSOR FOR SELECT id FROM jobs ORDER BY id")
        told += [db.execute(f"FETCH {how} FROM s").fetchall() for how in ("LAST", "PRIOR", "ABSOLUTE 2")]
        with db.cursor("walks", scrollable=True) as cursor:
            cursor.execute("SELECT id FROM jobs ORDER BY id")
            cursor.scroll(2)
            told.append(cursor.fetchone())
            cursor.scroll(-1)
            told.append(cursor.fetchone())
    return told


def copies(port: int) -> list[Any]:
    told: list[Any] = []
    with psycopg.connect(dsn(port)) as db, db.cursor() as cursor:
        with cursor.copy("COPY jobs (id, what) TO STDOUT (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "text"])
            told.append(list(copy.rows()))
        with cursor.copy("COPY things (id, key, n) FROM STDIN WITH BINARY") as copy:
            copy.set_types(["int4", "uuid", "numeric"])
            copy.write_row((1, uuid.UUID(int=5), Decimal("1.50")))
            copy.write_row((2, None, None))
        told.append(cursor.rowcount)
        told.append(db.execute("SELECT id, key, n FROM things ORDER BY id").fetchall())
        with cursor.copy("COPY jobs (what) FROM STDIN") as copy:
            for number in range(1000):  # more than stands in a route file
                copy.write_row((f"copied {number}",))
        told.append(cursor.rowcount)
        told.append(failing(lambda: copy_wrongly(cursor)))
        db.rollback()
        told.append(db.execute("SELECT count(*) FROM things").fetchall())
    return told


def copy_wrongly(cursor: psycopg.Cursor[Any]) -> None:
    with cursor.copy("COPY things (id) FROM STDIN") as copy:
        copy.write("x\n")


def parameters(port: int) -> list[Any]:
    told: list[Any] = []
    with psycopg.connect(dsn(port), autocommit=True) as db:
        insert = "INSERT INTO things VALUES (%s, %s, %s, %s, %s, %s) RETURNING *"
        rows = [
            (number, Range(number, number + 5), dt.timedelta(days=number, seconds=7),
             Jsonb({"a": [number, None]}), uuid.UUID(int=number), Decimal(number) / 8)
            for number in range(8)
        ]  # fmt: skip
        cursor = db.cursor()
        cursor.executemany(insert, rows[:3], returning=True)
        told.append([one.fetchall() for one in cursor.results()])
        told += [db.execute(insert, row).fetchall() for row in rows[3:]]
        told.append(db.execute(insert, (9, None, None, None, None, None)).fetchall())
        ask = "SELECT id FROM things WHERE id = ANY(%s) AND (key = %s OR %s::uuid IS NULL) ORDER BY id"
        told += [
            db.execute(ask, ([1, 2, number], None, None), binary=bool(number % 2)).fetchall()
            for number in range(3, 9)
        ]
        told.append(db.execute("SELECT %s::int4range * '[2,9)', %s::interval * 2",
                               [Range(1, 4), dt.timedelta(hours=30)]).fetchall())  # fmt: skip
        told.append(db.execute("SELECT %s::text[], %s::jsonb", [["a", None, 'q"'], Jsonb([1])]).fetchall())
    return told


def large_objects(port: int) -> list[Any]:
    told: list[Any] = []
    with psycopg.connect(dsn(port)) as db:
        (oid,) = db.execute("SELECT lo_from_bytea(90001, %s)", [b"\0large" * 1000]).fetchone() or ()
        told.append(oid)
        (fd,) = db.execute("SELECT lo_open(%s, 131072)", [oid]).fetchone() or ()
        told += [db.execute("SELECT loread(%s, %s)", [fd, size]).fetchone() for size in (10, 20, 100_000)]
        db.execute("SELECT lo_close(%s)", [fd])
        told.append(db.execute("SELECT lo_unlink(%s)", [oid]).fetchone())
    return told


def sessions(port: int) -> list[Any]:
    """Several statements in one query, settings, timeouts, advisory locks, what pools do."""
    told: list[Any] = []
    with psycopg.connect(dsn(port), autocommit=True) as db:
        many = "INSERT INTO jobs (what) VALUES ('m1'); SELECT 1/0; INSERT INTO jobs (what) VALUES ('m2')"
        told.append(failing(lambda: db.execute(many)))
        told.append(db.execute("SELECT count(*) FROM jobs").fetchall())
        told.append(failing(lambda: db.execute("BEGIN; INSERT INTO jobs (what) VALUES ('m3'); SELECT 1/0")))
        told.append(db.info.transaction_status.name)
        told.append(failing(lambda: db.execute("SELECT 1")))
        db.execute("ROLLBACK")
        db.execute("SET statement_timeout = 40")
        told.append(failing(lambda: db.execute("SELECT pg_sleep(5)")))
        told.append(db.execute("SHOW statement_timeout").fetchall())
        db.execute("RESET statement_timeout")
        told.append(db.execute("SHOW statement_timeout").fetchall())
        with db.transaction():
            db.execute("SET LOCAL timezone = 'Asia/Tokyo'")
            told.append(db.execute("SHOW timezone").fetchall())
            told.append(db.info.parameter_status("TimeZone"))
            told.append(db.execute("SELECT timestamptz '2024-01-01 00:00+00'").fetchall())
        told.append(db.info.parameter_status("TimeZone"))
        told.append(db.execute("SELECT set_config('work_mem', '5MB', false)").fetchall())
        told.append(db.execute("SHOW work_mem").fetchall())
        told.append(db.execute("SELECT pg_try_advisory_lock(7), pg_advisory_unlock(7)").fetchall())
        told.append(db.execute("SELECT pg_advisory_unlock(8)").fetchall())
        with psycopg.connect(dsn(port), autocommit=True) as other:
            other.execute("SELECT pg_advisory_lock(9)")
            told.append(db.execute("SELECT pg_try_advisory_lock(9)").fetchall())
            told.append(failing(lambda: locked(db, other)))
        db.execute("LISTEN c1")
        db.execute("DISCARD ALL")
        db.execute("LISTEN c2")
        db.execute("SELECT pg_notify('c1', 'lost')")
        db.execute("SELECT pg_notify('c2', 'heard')")
        told.append([(one.channel, one.payload) for one in db.notifies(timeout=10, stop_after=1)])
        told.append(failing(lambda: db.execute("RELEASE SAVEPOINT x")))
        told.append(failing(lambda: db.execute("SET nothing_known = 1")))
        told.append(failing(lambda: db.execute("SHOW nothing.known")))
        with db.transaction():
            db.execute("SET search_path = a")
            db.execute("SAVEPOINT one")
            db.execute("SET search_path = b")
            db.execute("NOTIFY c2, 'undone'")
            db.execute("ROLLBACK TO one")
            told.append(db.execute("SHOW search_path").fetchall())
            db.execute("NOTIFY c2, 'done'")
        told.append([(one.channel, one.payload) for one in db.notifies(timeout=10, stop_after=1)])
        told.append(db.execute("SHOW search_path").fetchall())
    return told


def locked(db: psycopg.Connection[Any], other: psycopg.Connection[Any]) -> None:
    with other.transaction():
        other.execute("SELECT * FROM jobs WHERE id = 1 FOR UPDATE")
        db.execute("SELECT * FROM jobs WHERE id = 1 FOR UPDATE NOWAIT")


def prepared(port: int) -> list[Any]:
    """One name that means another statement on each connection."""
    told: list[Any] = []
    for column in ("id", "what"):
        with psycopg.connect(dsn(port)) as db:
            db.execute(f"PREPARE p (int) AS SELECT {column} FROM jobs WHERE id = $1")
            told += [db.execute(f"EXECUTE p({number})").fetchall() for number in (1, 2, 9)]
            db.commit()
            told.append(failing(lambda db=db: db.execute("PREPARE p AS SELECT 1")))
            db.rollback()
            db.execute("DEALLOCATE p")
            told.append(failing(lambda db=db: db.execute("EXECUTE p(1)"))[0])
    return told


def deadlocked(port: int) -> list[Any]:
    told: list[Any] = []
    with psycopg.connect(dsn(port)) as one, psycopg.connect(dsn(port)) as other:
        one.execute("SET deadlock_timeout = '60s'")
        other.execute("SET deadlock_timeout = '50ms'")
        one.execute("UPDATE jobs SET what = 'one 1' WHERE id = 1")
        other.execute("UPDATE jobs SET what = 'other' WHERE id = 2")
        waiting = threading.Thread(target=one.execute, args=("UPDATE jobs SET what = 'one 2' WHERE id = 2",))
        waiting.start()
        told.append(failing(lambda: other.execute("UPDATE jobs SET what = 'other' WHERE id = 1"))[0])
        other.rollback()
        waiting.join()
        one.commit()
        told.append(other.execute("SELECT id, what FROM jobs WHERE id < 3 ORDER BY id").fetchall())
    return told


def huge(port: int) -> list[Any]:
    with psycopg.connect(dsn(port), autocommit=True) as db:
        told: list[Any] = [db.execute("SELECT repeat('x', 6000000) AS x").fetchall()]
        told.append(db.execute("SELECT n, repeat('y', 20) FROM generate_series(1, 30000) AS n").fetchall())
        told.append(len(db.execute("SELECT " + ", ".join(f"{n} AS c{n}" for n in range(1600))).fetchall()[0]))
    return told


SCRIPT = r"""
CREATE TYPE mood2 AS ENUM ('sad', 'happy');
CREATE TABLE t (id serial PRIMARY KEY, m mood2, tags text[]);
\copy t (m) from stdin
happy
\.
INSERT INTO t (m, tags) VALUES ('sad', '{a,b}') RETURNING *;
\d t
\dT+ mood2
SELECT id FROM t WHERE m = $1 \bind happy \g
\set FETCH_COUNT 2
SELECT generate_series(1, 5);
\unset FETCH_COUNT
BEGIN; SELECT 1/0; ROLLBACK;
\copy (SELECT id, m FROM t ORDER BY id) to stdout csv header
\du
"""


def with_psql(port: int) -> list[Any]:
    said = subprocess.run(
        [binaries() / "psql", "-X", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-d", "postgres"],
        check=True,
        input=SCRIPT,
        capture_output=True,
        text=True,
    )
    return [said.stdout, said.stderr]


def with_pg8000(port: int) -> list[Any]:
    pg8000.dbapi.paramstyle = "format"
    db = pg8000.dbapi.connect("postgres", "127.0.0.1", port=port, database="postgres")
    cursor = db.cursor()
    told: list[Any] = []
    cursor.execute("INSERT INTO things VALUES (%s, '[1,3)', %s, %s, %s, %s) RETURNING *",
                   (1, dt.timedelta(days=1), '{"a": 1}', uuid.UUID(int=1), Decimal("1.5")))  # fmt: skip
    told.append([str(one) for one in cursor.fetchall()])
    cursor.execute("SELECT * FROM jobs WHERE id = ANY(%s) ORDER BY id", ([1, 3],))
    told.append(cursor.fetchall())
    cursor.executemany("INSERT INTO jobs (what) VALUES (%s)", [("p1",), ("p2",)])
    db.commit()
    cursor.execute("SELECT count(*) FROM jobs")
    told.append(cursor.fetchall())
    db.rollback()
    db.close()
    return told


def with_asyncpg(port: int) -> list[Any]:
    async def work() -> list[Any]:
        told: list[Any] = []
        db = await asyncpg.connect(dsn(port))
        insert = "INSERT INTO things VALUES ($1, $2, $3, $4, $5, $6) RETURNING *"
        span = asyncpg.Range(1, 5)
        row = (1, span, dt.timedelta(days=2, seconds=9), '{"a": 1}', uuid.UUID(int=9), Decimal("2.5"))
        told.append(tuple(await db.fetchrow(insert, *row)))
        told.append(tuple(await db.fetchrow(insert, 2, None, None, None, None, None)))
        made = await db.fetchmany(insert, [(n, None, None, None, None, None) for n in (5, 6)])
        told.append([tuple(one) for one in made])
        told.append([tuple(r) for r in await db.fetch("SELECT id FROM jobs WHERE id = ANY($1)", [1, 3])])
        told.append([tuple(r) for r in await db.fetch("SELECT ROW(1, 'a'), ARRAY[ROW(2, NULL::text)]")])
        async with db.transaction(isolation="serializable", readonly=True):
            told.append(await db.fetchval("SELECT count(*) FROM jobs"))
            ids = db.cursor("SELECT id FROM jobs ORDER BY id", prefetch=2)
            told += [tuple(one) async for one in ids]
        try:
            await db.fetch("SELECT pg_sleep(5)", timeout=0.1)
        except (TimeoutError, asyncpg.QueryCanceledError):
            told.append("timed out")
        told.append(await db.fetchval("SELECT 5"))
        try:
            await db.execute("INSERT INTO jobs (what) VALUES ('a1'); SELECT 1/0")
        except asyncpg.PostgresError as error:
            told.append(error.sqlstate)
        told.append(await db.fetchval("SELECT count(*) FROM jobs"))
        told.append(await db.copy_records_to_table("things", records=[(7, None)], columns=["id", "n"]))
        await db.reset()
        told.append(await db.fetchval("SELECT 6"))
        await db.close()
        return told

    return asyncio.run(work())


WORK: list[Callable[[int], list[Any]]] = [
    cursors,
    copies,
    parameters,
    large_objects,
    sessions,
    prepared,
    deadlocked,
    huge,
    with_psql,
    with_pg8000,
    with_asyncpg,
]


def test_what_is_done_now_and_then(svcmock: Svcmock, tmp_path: Path) -> None:
    """All of it in one recording, each on a database that is as new."""
    told = []
    with tempfile.TemporaryDirectory(prefix="sm-") as name, postgres_server(Path(name)) as server:
        recorder = svcmock.record(tmp_path / "p", {"db": server.url})
        for doing in WORK:
            server.run(*postgres_work.SCHEMA, *SCHEMA)
            told.append(doing(recorder.ports["db"]))
        counted = recorder.stop()["db"]
    assert counted["failed"] == counted["passed on unread"] == 0, recorder.process.output
    mock = svcmock.up(tmp_path / "p")
    for doing, before in zip(WORK, told, strict=True):
        again = doing(mock.ports["db"])
        assert len(again) == len(before)
        for number, (now, then) in enumerate(zip(again, before, strict=True)):
            assert now == then, (doing.__name__, number)
    assert mock.status()["services"]["db"]["misses"] == 0
