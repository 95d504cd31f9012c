"""A recorder of PostgreSQL that is killed, clients that pipeline or vanish: what is in the recording."""

import asyncio
import signal
import threading
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import yaml

from tests.e2e.postgres_server import Postgres
from tests.e2e.processes import Svcmock, wait_until

TABLE = "CREATE TABLE numbers (id int PRIMARY KEY, name text)"
ADD = "INSERT INTO numbers VALUES ($1, $2) RETURNING id * 10"


def dsn(port: int) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"


def recorded(root: Path) -> list[dict[str, Any]]:
    (file,) = (root / "recordings" / "db").glob("*.yaml")
    return [one for one in yaml.safe_load_all(file.read_text()) if one]


def test_a_recorder_that_is_killed_loses_what_was_under_way(
    svcmock: Svcmock, tmp_path: Path, postgres: Postgres
) -> None:
    """Whatever a client was told before is there, and is served: all but the last answer of each connection."""
    root = tmp_path / "p"
    postgres.run(TABLE)
    recorder = svcmock.record(root, {"db": postgres.url})
    port = recorder.ports["db"]
    told: list[dict[int, Any]] = [{} for _ in range(4)]
    began = threading.Event()

    def work(first: int) -> None:
        try:
            with psycopg.connect(dsn(port)) as db:
                for number in range(first, 1_000_000, 4):
                    rows = psycopg.RawCursor(db).execute(ADD, [number, "é" * (number % 50)]).fetchall()
                    told[first][number] = rows
                    if number % 3:
                        db.commit()
                    if len(told[first]) > 50:
                        began.set()
        except psycopg.OperationalError:
            began.set()

    workers = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for worker in workers:
        worker.start()
    assert began.wait(60)
    recorder.process.send(signal.SIGKILL)
    recorder.process.wait()
    for worker in workers:
        worker.join()
    postgres.stop()
    mock = svcmock.up(root)
    with psycopg.connect(dsn(mock.ports["db"])) as db:
        for number, rows in [pair for each in told for pair in list(each.items())[:-1]]:
            assert psycopg.RawCursor(db).execute(ADD, [number, "é" * (number % 50)]).fetchall() == rows
    assert mock.status()["services"]["db"]["misses"] == 0
    assert svcmock.run("check", root).returncode == 0


def pipelines(port: int) -> list[Any]:
    """Many statements before the first answer, some of which fail, over both ways that drivers have for it."""
    told: list[Any] = []
    with psycopg.connect(dsn(port), autocommit=True) as db:
        for fails in (None, 3):
            cursors = []
            try:
                with db.pipeline() as pipeline:
                    for number in range(8):
                        divisor = 0 if number == fails else 1
                        cursor = psycopg.RawCursor(db)
                        cursor.execute("SELECT $1::int / $2::int", [number, divisor], prepare=number % 2 == 0)
                        cursors.append(cursor)
                        if number == 5:
                            pipeline.sync()
            except psycopg.Error as error:
                told.append(error.sqlstate)
            for cursor in cursors:
                try:
                    told.append(cursor.fetchone())
                except psycopg.Error as error:
                    told.append(type(error).__name__)
        with db.cursor() as cursor:
            cursor.executemany("SELECT %s::int", [(1,), (2,), (3,)], returning=True)
            told.append(cursor.fetchall())
            for rows in ("1\tone\n2\ttwo\n", "3\tthree\n2\tagain\n"):
                try:
                    with cursor.copy("COPY numbers FROM STDIN") as copy:
                        copy.write(rows)
                    told.append(cursor.rowcount)
                except psycopg.Error as error:
                    told.append(error.sqlstate)
            told.append(cursor.execute("SELECT count(*) FROM numbers").fetchone())

    async def work() -> None:
        db = await asyncpg.connect(dsn(port))
        await db.executemany("INSERT INTO numbers VALUES ($1, $2)", [(n, str(n)) for n in range(10, 40)])
        told.append([tuple(row) for row in await db.fetch("SELECT * FROM numbers WHERE id >= 10 ORDER BY id")])
        try:
            await db.executemany("INSERT INTO numbers VALUES ($1, $2)", [(50, "a"), (10, "b"), (51, "c")])
        except asyncpg.UniqueViolationError as error:
            told.append(error.sqlstate)
        try:
            await db.copy_records_to_table("numbers", records=[(60, "a"), (10, "b"), (61, "c")])
        except asyncpg.UniqueViolationError as error:
            told.append(error.sqlstate)
        told.append(await db.fetchval("SELECT count(*) FROM numbers WHERE id >= 10"))
        await db.close()

    asyncio.run(work())
    return told


def test_pipelines_are_paired_exactly(svcmock: Svcmock, tmp_path: Path, postgres: Postgres) -> None:
    postgres.run(TABLE)
    recorder = svcmock.record(tmp_path / "p", {"db": postgres.url})
    told = pipelines(recorder.ports["db"])
    counted = recorder.stop()["db"]
    assert counted["failed"] == counted["passed on unread"] == 0, recorder.process.output
    postgres.stop()
    mock = svcmock.up(tmp_path / "p")
    assert pipelines(mock.ports["db"]) == told
    assert mock.status()["services"]["db"]["misses"] == 0


def test_clients_that_vanish_and_servers_that_end_connections(
    svcmock: Svcmock, tmp_path: Path, postgres: Postgres
) -> None:
    """In a transaction, in a cursor, before an answer: what they were told is recorded, nothing else is."""
    root = tmp_path / "p"
    recorder = svcmock.record(root, {"db": postgres.url})
    port = recorder.ports["db"]
    vanishing = psycopg.connect(dsn(port))
    with vanishing.cursor("walking") as cursor:
        cursor.execute("SELECT generate_series(1, 9)")
        assert cursor.fetchmany(2) == [(1,), (2,)]
        pid = vanishing.info.backend_pid
        vanishing.pgconn.finish()
    with psycopg.connect(dsn(port), autocommit=True) as ended:
        postgres.run(f"SELECT pg_terminate_backend({ended.info.backend_pid})")
        with pytest.raises(psycopg.OperationalError):
            ended.execute("SELECT 'never answered'")

    def gone() -> bool:
        with psycopg.connect(dsn(postgres.port), autocommit=True) as db:
            return db.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() is None

    wait_until(gone)
    counted = recorder.stop()["db"]
    assert counted["passed on unread"] == 0
    documents = {one["request"]["sql"]: one["respond"] for one in recorded(root)}
    (walked,) = [sql for sql in documents if "generate_series" in sql]
    assert documents[walked]["rows"] == [["1"], ["2"]]
    assert "SELECT 'never answered'" not in documents
