"""PostgreSQL recorded from a real server and replayed without it, with the drivers that applications use."""

import asyncio
import contextlib
import queue
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import psycopg2
import pytest
import trustme

from tests.e2e import postgres_work as work
from tests.e2e.postgres_server import VERSIONS, Postgres, with_versions
from tests.e2e.processes import Mock, Recorder, Svcmock


@pytest.fixture
def server(postgres: Postgres) -> Postgres:
    """It runs, and its database is as new."""
    postgres.run(*work.SCHEMA)
    return postgres


def recorded(
    svcmock: Svcmock, project: Path, server: Postgres, doing: Callable[[int], Any], query: str = ""
) -> tuple[Any, Mock]:
    """What was told while it was recorded, and the mock; the server is gone."""
    recorder = svcmock.record(project, {"db": server.url + query})
    told = doing(recorder.ports["db"])
    counted = recorder.stop()["db"]
    assert counted["failed"] == 0, recorder.process.output
    assert counted["passed on unread"] == 0, recorder.process.output
    server.stop()
    return told, svcmock.up(project)


def known_as_secure(server: Postgres, heard: list[bytes]) -> Iterator[int]:
    """A port that speaks TLS as servers do, once it is asked, and passes on to `server`."""
    issued = trustme.CA().issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()

    async def serve(peer: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        heard.append(await peer.readexactly(8))
        answers.write(b"S")
        try:
            await answers.start_tls(context)
            real, asks = await asyncio.open_connection("127.0.0.1", server.port)
        except OSError:
            answers.close()
            return
        await asyncio.gather(pump(peer, asks), pump(real, answers))

    async def run(started: Callable[[int], None], ending: asyncio.Event) -> None:
        front = await asyncio.start_server(serve, "127.0.0.1", 0)
        started(front.sockets[0].getsockname()[1])
        await ending.wait()
        front.close()

    loop, ending = asyncio.new_event_loop(), asyncio.Event()
    port: queue.SimpleQueue[int] = queue.SimpleQueue()
    running = threading.Thread(target=lambda: loop.run_until_complete(run(port.put, ending)))
    running.start()
    yield port.get(timeout=30)
    loop.call_soon_threadsafe(ending.set)
    running.join()
    loop.close()


def missed(mock: Mock) -> int:
    return int(mock.status()["services"]["db"]["misses"])


@with_versions("recorder", list(work.DRIVERS), all_with="asyncpg")
def test_every_driver_gets_what_any_driver_recorded(
    svcmock: Svcmock, tmp_path: Path, server: Postgres, recorder: str
) -> None:
    """Row for row and type for type, although formats, batches and the way to describe differ."""
    told, mock = recorded(svcmock, tmp_path / "p", server, work.DRIVERS[recorder])
    assert told[2] == "23505"
    assert told[3] == [work.ANN, work.BOB]
    assert told[-1] == [(1,)]
    for name, driver in work.DRIVERS.items():
        again = driver(mock.ports["db"])
        if name == recorder:
            assert again == told
        mock.down()
        mock = svcmock.up(tmp_path / "p")
        assert [type(one) for one in again] == [type(one) for one in told], name
        assert again == told, name
    assert missed(mock) == 0


@VERSIONS
@pytest.mark.parametrize("doing", [work.much_of_psycopg, work.much_of_psycopg2, work.much_of_asyncpg])
def test_much_of_a_driver(
    svcmock: Svcmock, tmp_path: Path, server: Postgres, doing: Callable[[int], Any]
) -> None:
    told, mock = recorded(svcmock, tmp_path / "p", server, doing)
    again = doing(mock.ports["db"])
    assert again == told
    assert missed(mock) == 0


@pytest.mark.parametrize("driver", ["psycopg", "pg8000"])
def test_sqlalchemy(svcmock: Svcmock, tmp_path: Path, server: Postgres, driver: str) -> None:
    doing = work.much_of_sqlalchemy(driver)
    told, mock = recorded(svcmock, tmp_path / "p", server, doing)
    assert doing(mock.ports["db"]) == told
    assert missed(mock) == 0


def test_tls_towards_the_server(svcmock: Svcmock, tmp_path: Path, server: Postgres) -> None:
    """The client speaks plain text, the recorder TLS, as `sslmode` says; a server without TLS is refused."""
    heard: list[bytes] = []
    secured = contextlib.contextmanager(known_as_secure)
    with secured(server, heard) as port:
        project = tmp_path / "p"
        project.mkdir()
        (project / "svcmock.yaml").write_text(
            "version: 1\nservices:\n"
            f"  db: {{listen: 0, protocol: postgres, upstream: 'postgres://127.0.0.1:{port}?sslmode=require',"
            " upstream_verify: false, routes: recordings/db/}\n"
            f"  plain: {{listen: 0, protocol: postgres, upstream: '{server.url}?sslmode=require'}}\n"
        )
        recorder = Recorder(svcmock.start("record", project), ["db", "plain"])
        told = work.with_psycopg(recorder.ports["db"])
        with pytest.raises(psycopg.OperationalError, match="does not speak TLS"):
            work.with_psycopg(recorder.ports["plain"])
        counted = recorder.stop()["db"]
    assert heard[0] == b"\0\0\0\x08\x04\xd2\x16/"
    assert (counted["failed"], counted["passed on unread"]) == (0, 0), recorder.process.output
    server.stop()
    assert work.with_psycopg(svcmock.up(project).ports["db"]) == told


def test_a_login_with_a_password_is_relayed_and_never_recorded(
    svcmock: Svcmock, tmp_path: Path, server: Postgres
) -> None:
    def doing(port: int) -> Any:
        dsn = f"postgresql://{server.guarded}:{server.password}@127.0.0.1:{port}/postgres"
        with psycopg.connect(dsn, autocommit=True) as db:
            told = [db.execute("SELECT current_user").fetchone()]
            db.execute(f"ALTER ROLE {server.guarded} PASSWORD '{server.password}'")
        return told

    told, mock = recorded(svcmock, tmp_path / "p", server, doing)
    assert told == [("scram",)]
    assert doing(mock.ports["db"]) == told
    written = b"".join(
        path.read_bytes() for path in (tmp_path / "p" / "recordings").rglob("*") if path.is_file()
    )
    assert server.password.encode() not in written
    assert b"svcmock-" in written
    assert missed(mock) == 0


def test_many_at_once_then_in_another_order(svcmock: Svcmock, tmp_path: Path, server: Postgres) -> None:
    """Connections, their number and their order do not matter."""

    def reading(number: int) -> Callable[[int], Any]:
        def doing(port: int) -> Any:
            with psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", autocommit=True) as db:
                ask = psycopg.RawCursor(db).execute
                return [ask("SELECT $1::int * $2::int", (number, other)).fetchone() for other in range(20)]

        return doing

    def writing(number: int) -> Callable[[int], Any]:
        """With the numbers in the statement itself."""

        def doing(port: int) -> Any:
            told = []
            with psycopg2.connect(host="127.0.0.1", port=port, user="postgres") as db, db.cursor() as cursor:
                for other in range(10):
                    cursor.execute("SELECT %s * %s, %s", (number, other, f"it's {number}"))
                    told += cursor.fetchall()
            db.close()
            return told

        return doing

    works = [kind(number) for number in range(8) for kind in (reading, writing)]
    told, mock = recorded(svcmock, tmp_path / "p", server, lambda port: work.at_once(port, works))
    again = work.at_once(mock.ports["db"], works[::-1] * 2)
    assert again == told[::-1] * 2
    assert missed(mock) == 0


def test_a_server_that_is_not_there(svcmock: Svcmock, tmp_path: Path, server: Postgres) -> None:
    server.stop()
    recorder = svcmock.record(tmp_path / "p", {"db": server.url})
    with pytest.raises(psycopg.OperationalError, match="cannot be reached"):
        work.with_psycopg(recorder.ports["db"])
    recorder.stop()
