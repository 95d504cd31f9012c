"""A recorder that logs in to PostgreSQL itself, where passing on what its clients say cannot work.

With TLS on both sides SCRAM binds each of them to another connection; or the application has no password.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
import pytest

from tests.e2e.postgres_server import Postgres
from tests.e2e.processes import Recorder, Svcmock
from tests.e2e.test_postgres import known_as_secure

WHO = "SELECT current_user::text, 1 + 1"


def with_psycopg(port: int) -> tuple[Any, ...]:
    dsn = f"postgresql://ann:guessed@127.0.0.1:{port}/postgres?sslmode=require"
    with psycopg.connect(dsn, autocommit=True) as db:
        assert db.pgconn.ssl_in_use
        return db.execute(WHO).fetchone() or ()


def with_asyncpg(port: int) -> tuple[Any, ...]:
    async def work() -> tuple[Any, ...]:
        dsn = f"postgresql://ann:guessed@127.0.0.1:{port}/postgres"
        db = await asyncpg.connect(dsn, ssl=_anybody())
        try:
            return tuple(await db.fetchrow(WHO))
        finally:
            await db.close()

    return asyncio.run(work())


def with_pg8000(port: int) -> tuple[Any, ...]:
    db = pg8000.dbapi.connect(
        "ann", "127.0.0.1", port=port, database="postgres", password="guessed", ssl_context=_anybody()
    )
    try:
        cursor = db.cursor()
        cursor.execute(WHO)
        return tuple(cursor.fetchone())
    finally:
        db.close()


DRIVERS = (with_psycopg, with_asyncpg, with_pg8000)


def _anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture
def secure(postgres: Postgres) -> Iterator[int]:
    """A port that speaks TLS on behalf of the server."""
    with contextlib.contextmanager(known_as_secure)(postgres, []) as port:
        yield port


def recorder(svcmock: Svcmock, root: Path, url: str, password: str, options: str = "") -> Recorder:
    root.mkdir()
    (root / "svcmock.yaml").write_text(
        "version: 1\nservices:\n  db:\n    listen: 0\n    protocol: postgres\n    tls: auto\n"
        f"    upstream: {url}\n    upstream_verify: false\n    upstream_password_env: DB_PASSWORD\n"
        f"    options: {{auth: terminate{options}}}\n    routes: recordings/db/\n"
    )
    return Recorder(svcmock.start("record", root, env={"DB_PASSWORD": password}), ["db"])


def test_tls_on_both_sides(svcmock: Svcmock, tmp_path: Path, postgres: Postgres, secure: int) -> None:
    """Any client is let in, and is to the server whom the recorder says; nothing of that is written."""
    root = tmp_path / "p"
    url = f"postgres://{postgres.guarded}@127.0.0.1:{secure}?sslmode=require"
    recording = recorder(svcmock, root, url, postgres.password)
    told = [doing(recording.ports["db"]) for doing in DRIVERS]
    counted = recording.stop()["db"]
    assert told == [(postgres.guarded, 2)] * len(DRIVERS)
    assert counted["failed"] == counted["passed on unread"] == 0, recording.process.output
    postgres.stop()
    mock = svcmock.up(root)
    assert [doing(mock.ports["db"]) for doing in DRIVERS] == told
    written = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    for secret in (postgres.password, "guessed"):
        assert not any(secret.encode() in data for data in [*written, recording.process.output.encode()])


@pytest.mark.parametrize("doing", DRIVERS)
def test_a_wrong_password_is_told_in_the_servers_words(
    svcmock: Svcmock, tmp_path: Path, postgres: Postgres, doing: Callable[[int], Any]
) -> None:
    recording = recorder(
        svcmock, tmp_path / "p", f"postgres://{postgres.guarded}@127.0.0.1:{postgres.port}", "wrong"
    )
    with pytest.raises(Exception, match=f'password authentication failed for user "{postgres.guarded}"'):
        doing(recording.ports["db"])
    recording.stop()


def test_clients_may_have_a_password_of_their_own(svcmock: Svcmock, tmp_path: Path, postgres: Postgres) -> None:
    url = f"postgres://{postgres.guarded}@127.0.0.1:{postgres.port}"
    recording = recorder(svcmock, tmp_path / "p", url, postgres.password, ", password: guessed")
    for doing in DRIVERS:
        assert doing(recording.ports["db"]) == (postgres.guarded, 2)
    dsn = f"postgresql://ann:other@127.0.0.1:{recording.ports['db']}/postgres"
    with pytest.raises(psycopg.OperationalError, match='password authentication failed for user "ann"'):
        psycopg.connect(dsn)
    recording.stop()
