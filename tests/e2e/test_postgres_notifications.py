"""Notifications of PostgreSQL: recorded with what caused them, and told again when that is done again."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from tests.e2e.postgres_server import Postgres
from tests.e2e.processes import DEADLINE, Svcmock

_TELL = "BEGIN PERFORM pg_notify('jobs', TG_OP || ' ' || NEW.what); RETURN NEW; END"
SCHEMA = (
    "CREATE TABLE jobs (id serial PRIMARY KEY, what text UNIQUE)",
    f"CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ {_TELL} $$",
    "CREATE TRIGGER tell AFTER INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION tell()",
)
INSERT = "INSERT INTO jobs (what) VALUES ($1)"


def dsn(port: int) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"


def with_psycopg(port: int) -> list[Any]:
    """One connection listens, another one changes a table; each waits for the other."""
    told: list[Any] = []
    with psycopg.connect(dsn(port), autocommit=True) as ear, psycopg.connect(dsn(port)) as db:
        ear.execute("LISTEN jobs")

        def hear(count: int) -> None:
            heard = list(ear.notifies(timeout=DEADLINE, stop_after=count))
            told.append([(one.channel, one.payload, one.pid == db.info.backend_pid) for one in heard])

        run = psycopg.RawCursor(db).execute
        for what in ("a", "b"):
            run(INSERT, [what])
            db.commit()
            hear(1)
        run(INSERT, ["lost"])
        db.rollback()
        run(INSERT, ["c"])
        run("UPDATE jobs SET what = what || $1", ["!"])
        run("SELECT count(*) FROM jobs")
        db.commit()
        hear(4)
        db.execute("NOTIFY jobs, 'mine'")
        run("SELECT pg_notify($1, $2)", ["jobs", "mine, too"])
        db.commit()
        hear(2)
    return told


def with_asyncpg(port: int) -> list[Any]:
    """The same connection listens and changes; then it is another one."""

    async def work() -> list[Any]:
        told: list[Any] = []
        heard: asyncio.Queue[Any] = asyncio.Queue()
        ear, db = await asyncpg.connect(dsn(port)), await asyncpg.connect(dsn(port))
        await ear.add_listener("jobs", lambda _db, _pid, channel, payload: heard.put_nowait((channel, payload)))
        for one, what in ((ear, "x"), (db, "y"), (ear, "z")):
            await one.execute(INSERT, what)
            told.append(await asyncio.wait_for(heard.get(), DEADLINE))
        await db.executemany(INSERT, [("1",), ("2",), ("3",)])
        told += [await asyncio.wait_for(heard.get(), DEADLINE) for _ in range(3)]
        await ear.close()
        await db.close()
        return told

    return asyncio.run(work())


@pytest.mark.parametrize("doing", [with_psycopg, with_asyncpg])
def test_what_triggers_notify(
    svcmock: Svcmock, tmp_path: Path, postgres: Postgres, doing: Callable[[int], list[Any]]
) -> None:
    postgres.run(*SCHEMA)
    recorder = svcmock.record(tmp_path / "p", {"db": postgres.url})
    told = doing(recorder.ports["db"])
    counted = recorder.stop()["db"]
    assert counted["failed"] == counted["passed on unread"] == 0, recorder.process.output
    postgres.stop()
    mock = svcmock.up(tmp_path / "p")
    assert doing(mock.ports["db"]) == told
    assert mock.status()["services"]["db"]["misses"] == 0


def test_what_others_notify(svcmock: Svcmock, tmp_path: Path, postgres: Postgres) -> None:
    """Of those that are not recorded: it comes again to who listens, in its order."""

    def listen(port: int, then: Callable[[], object]) -> list[str]:
        with psycopg.connect(dsn(port), autocommit=True) as ear:
            ear.execute("LISTEN news")
            then()
            return [one.payload for one in ear.notifies(timeout=DEADLINE, stop_after=2)]

    recorder = svcmock.record(tmp_path / "p", {"db": postgres.url})
    told = listen(recorder.ports["db"], lambda: postgres.run("NOTIFY news, 'one'", "NOTIFY news, 'two'"))
    recorder.stop()
    postgres.stop()
    mock = svcmock.up(tmp_path / "p")
    assert listen(mock.ports["db"], lambda: None) == told == ["one", "two"]


ROUTES = """
request: {sql: "INSERT INTO jobs (what) VALUES ($1)", params: [a]}
respond: {notifies: [{channel: jobs, payload: made}, {channel: other}]}
---
request: {sql: "DELETE FROM jobs"}
respond: {tag: DELETE 1}
---
request: {follows: {sql: "DELETE FROM jobs"}}
respond: {notifies: [{channel: jobs, payload: gone}]}
---
request: {listen: ticks}
respond: {notifies: [{channel: ticks, payload: "1"}], after: 1ms}
---
request: {listen: ticks, number: 1}
respond: {notifies: [{channel: ticks, payload: "2"}], after: 1ms}
"""


def test_what_routes_say(svcmock: Svcmock, tmp_path: Path) -> None:
    """A person writes it into the reply of a statement, or as a route of its own."""
    root = tmp_path / "p"
    (root / "routes").mkdir(parents=True)
    (root / "routes" / "db.yaml").write_text(ROUTES)
    (root / "svcmock.yaml").write_text(
        "version: 1\nservices:\n  db: {listen: 0, protocol: postgres, routes: routes/}\n"
    )
    mock = svcmock.up(root)
    with psycopg.connect(dsn(mock.ports["db"])) as db, psycopg.connect(dsn(mock.ports["db"])) as ear:
        ear.autocommit = True
        for channel in ("jobs", "ticks"):
            ear.execute(f"LISTEN {channel}")
        ticks = [one.payload for one in ear.notifies(timeout=DEADLINE, stop_after=2)]
        assert ticks == ["1", "2"]
        psycopg.RawCursor(db).execute(INSERT, ["a"])
        db.rollback()
        psycopg.RawCursor(db).execute(INSERT, ["a"])
        db.commit()
        db.execute("DELETE FROM jobs")
        db.commit()
        heard = [one.payload for one in ear.notifies(timeout=DEADLINE, stop_after=2)]
        assert heard == ["made", "gone"]
    assert mock.status()["services"]["db"]["misses"] == 0
