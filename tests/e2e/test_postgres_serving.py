"""PostgreSQL served from routes that a person wrote: what clients of all kinds get, misses, TLS, passwords."""

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from tests.e2e.processes import Mock, Svcmock

ROUTES = """
request: {sql: "SELECT name, age FROM users WHERE id = $1", params: ["42"], types: [int4]}
respond: {columns: [name, {name: age, type: int4}], rows: [[Ann, 31]]}
---
request: {sql: "INSERT INTO users (name) VALUES ($1)", params: [Ann]}
respond:
  error: {code: "23505", message: duplicate key, constraint: users_name_key, detail: "Key (name)=(Ann)."}
---
request: {sql: SELECT slow()}
delay: 20s
respond: {columns: [slow], rows: [[done]]}
---
match: {sql: "SELECT * FROM t WHERE id = {id}"}
template: true
respond: {columns: [{name: id, type: int4}], rows: [["{{ id }}"]]}
---
match: {sql: "INSERT INTO ids (id) VALUES ($1) RETURNING id"}
template: true
respond: {columns: [id], rows: [["{{ request.params.0 }}"]]}
---
match: {sql: "SELECT pg_notify($1, $2)"}
respond: {columns: [{name: pg_notify, type: void}], rows: [[""]]}
---
request: {sql: "SELECT count(*) FROM jobs"}
policy: sequence
respond: {columns: [{name: count, type: int8}], rows: [[0]]}
---
request: {sql: "SELECT count(*) FROM jobs"}
respond: {columns: [{name: count, type: int8}], rows: [[1]]}
---
request: {sql: COPY jobs FROM STDIN, copy: "1\\tone\\n2\\ttwo\\n"}
respond: {tag: COPY 2}
"""


def project(folder: Path, service: str = "") -> Path:
    (folder / "p" / "routes").mkdir(parents=True)
    (folder / "p" / "routes" / "db.yaml").write_text(ROUTES)
    (folder / "p" / "svcmock.yaml").write_text(
        f"version: 1\nservices:\n  db:\n    listen: 0\n    protocol: postgres\n    routes: routes/\n{service}"
    )
    return folder / "p"


@pytest.fixture
def mock(svcmock: Svcmock, tmp_path: Path) -> Mock:
    return svcmock.up(project(tmp_path))


def connect(mock: Mock, **more: Any) -> psycopg.Connection[Any]:
    known = {"host": "127.0.0.1", "port": mock.ports["db"], "user": "ann", "dbname": "shop", "autocommit": True}
    return psycopg.connect(**known | more)


BY_ID = "SELECT name, age FROM users WHERE id = $1"


def test_every_client_gets_its_format(mock: Mock) -> None:
    with connect(mock) as db:
        assert psycopg.RawCursor(db).execute(BY_ID, [42]).fetchall() == [("Ann", 31)]
        assert psycopg.RawCursor(db).execute(BY_ID, [42], binary=True).fetchall() == [("Ann", 31)]

    async def work() -> list[Any]:
        db = await asyncpg.connect(user="ann", host="127.0.0.1", port=mock.ports["db"], database="shop")
        try:
            return [tuple(row) for row in await db.fetch(BY_ID, 42)]
        finally:
            await db.close()

    assert asyncio.run(work()) == [("Ann", 31)]


def test_a_failure_is_the_drivers_own(mock: Mock) -> None:
    with connect(mock) as db:
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:
            db.execute("INSERT INTO users (name) VALUES (%s)", ["Ann"])
        assert caught.value.diag.constraint_name == "users_name_key"
        assert caught.value.diag.message_detail == "Key (name)=(Ann)."


def test_a_miss_is_a_failure_and_the_connection_stays(mock: Mock) -> None:
    """A pool must not take the server for dead because one statement was not recorded."""
    with connect(mock) as db:
        with pytest.raises(psycopg.errors.SystemError) as caught:
            psycopg.RawCursor(db).execute(BY_ID, [43])
        assert "no route of service db answers this statement" in str(caught.value)
        assert "params.0: equals '42', got '43'" in (caught.value.diag.message_detail or "")
        assert psycopg.RawCursor(db).execute(BY_ID, [42]).fetchall() == [("Ann", 31)]
        with pytest.raises(psycopg.errors.SystemError), db.transaction():
            db.execute("SELECT unknown")
        assert db.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert mock.status()["services"]["db"]["misses"] == 2


def test_values_of_one_length_are_not_taken_for_each_other(mock: Mock) -> None:
    with connect(mock) as db, pytest.raises(psycopg.errors.SystemError):
        psycopg.RawCursor(db).execute(BY_ID, [24])


def test_tracers_may_put_comments_into_statements(mock: Mock) -> None:
    with connect(mock) as db:
        for trace in ("00-a-1", "00-bcd-22"):
            sql = f"/*dd:traceparent='{trace}'*/ {BY_ID} -- {trace}"
            assert psycopg.RawCursor(db).execute(sql, [42]).fetchone() == ("Ann", 31)


def test_a_template(mock: Mock) -> None:
    with connect(mock, cursor_factory=psycopg.ClientCursor) as db:
        assert db.execute("SELECT * FROM t WHERE id = %s", [7]).fetchall() == [(7,)]


def test_a_value_that_is_made_anew_each_time(mock: Mock) -> None:
    """An id that the application invents: any is taken, and the reply repeats it."""
    with connect(mock) as db:
        for number in ("6f1c1c9e", "c0ffee00"):
            row = psycopg.RawCursor(db).execute("INSERT INTO ids (id) VALUES ($1) RETURNING id", [number])
            assert row.fetchone() == (number,)


def test_what_a_pool_does_between_its_clients_needs_no_route(mock: Mock) -> None:
    async def work() -> list[Any]:
        dsn = f"postgresql://ann@127.0.0.1:{mock.ports['db']}/shop"
        async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
            return [(await pool.fetchrow(BY_ID, 42))["name"] for _ in range(3)]

    assert asyncio.run(work()) == ["Ann"] * 3
    with connect(mock, autocommit=False) as db:
        db.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        db.execute("SET search_path TO shop, public")
        assert db.execute("SHOW search_path").fetchone() == ("shop, public",)
        assert db.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
        db.execute("DISCARD TEMP")
        db.rollback()
        db.execute("DEALLOCATE ALL")
        db.commit()
    assert mock.status()["services"]["db"]["misses"] == 0


def test_more_connections_than_anybody_recorded(mock: Mock) -> None:
    def one(_: int) -> Any:
        with connect(mock) as db:
            return psycopg.RawCursor(db).execute(BY_ID, [42]).fetchone()

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(one, range(60))) == [("Ann", 31)] * 60


def test_answers_take_turns_whoever_asks(mock: Mock) -> None:
    with connect(mock) as one, connect(mock) as other:
        told = [db.execute("SELECT count(*) FROM jobs").fetchone() for db in (one, other, one)]
    assert told == [(0,), (1,), (1,)]


def test_copies_are_matched_by_their_data(mock: Mock) -> None:
    with connect(mock) as db, db.cursor() as cursor:
        with cursor.copy("COPY jobs FROM STDIN") as copy:
            copy.write_row((1, "one"))
            copy.write_row((2, "two"))
        assert cursor.rowcount == 2
        with pytest.raises(psycopg.errors.SystemError), cursor.copy("COPY jobs FROM STDIN") as copy:
            copy.write_row((3, "three"))


def test_channels_reach_across_connections(mock: Mock) -> None:
    with connect(mock) as one, connect(mock) as other:
        one.execute("LISTEN jobs")
        with other.transaction():
            other.execute("NOTIFY jobs, 'go'")
        (heard,) = one.notifies(timeout=10, stop_after=1)
        assert (heard.channel, heard.payload, heard.pid) == ("jobs", "go", other.info.backend_pid)
        other.execute("SELECT pg_notify(%s, %s)", ["jobs", "again"])
        (heard,) = one.notifies(timeout=10, stop_after=1)
        assert heard.payload == "again"


def test_a_cancel_request_ends_what_takes_too_long(mock: Mock) -> None:
    with connect(mock) as db:
        timer = threading.Timer(0.3, db.cancel)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            db.execute("SELECT slow()")
        timer.join()
        assert psycopg.RawCursor(db).execute(BY_ID, [42]).fetchone() == ("Ann", 31)


@pytest.mark.parametrize("version", ["3.0", "3.2"])
def test_protocol_versions(mock: Mock, version: str) -> None:
    with connect(mock, max_protocol_version=version) as db:
        assert psycopg.RawCursor(db).execute(BY_ID, [42]).fetchone() == ("Ann", 31)


def test_a_password_is_verified_by_both_sides(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path, "    options: {password: pencil}\n"))
    with connect(mock, password="pencil", require_auth="scram-sha-256") as db:
        assert psycopg.RawCursor(db).execute(BY_ID, [42]).fetchone() == ("Ann", 31)
    with pytest.raises(psycopg.OperationalError, match='password authentication failed for user "ann"'):
        connect(mock, password="pen")

    async def work() -> Any:
        dsn = f"postgresql://ann:pencil@127.0.0.1:{mock.ports['db']}/shop"
        db = await asyncpg.connect(dsn)
        await db.close()
        return True

    assert asyncio.run(work())


def test_tls(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path, "    tls: auto\n    options: {password: pencil}\n"))
    for negotiation in ("postgres", "direct"):
        with connect(mock, sslmode="require", sslnegotiation=negotiation, password="pencil") as db:
            assert db.pgconn.ssl_in_use
            assert psycopg.RawCursor(db).execute(BY_ID, [42]).fetchone() == ("Ann", 31)
    with connect(mock, sslmode="disable", password="pencil") as db:
        assert not db.pgconn.ssl_in_use


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x08\x04\xd2\x16/" * 50, b"\xff" * 5000, b"\0" * 9]
)
def test_hostile_bytes_end_their_connection_and_no_other(mock: Mock, data: bytes) -> None:
    with connect(mock) as db:
        with socket.create_connection(("127.0.0.1", mock.ports["db"]), 10) as peer:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(4096):
                pass
        assert psycopg.RawCursor(db).execute(BY_ID, [42]).fetchone() == ("Ann", 31)


def test_a_stopping_daemon_tells_its_clients(mock: Mock) -> None:
    with connect(mock) as db:
        mock.down()
        with pytest.raises(psycopg.OperationalError, match=r"administrator command|closed"):
            db.execute("SELECT 1")


def test_a_project_is_checked(svcmock: Svcmock, tmp_path: Path) -> None:
    root = project(tmp_path)
    assert "0 errors" in svcmock.run("check", root).stdout or svcmock.run("check", root).returncode == 0
    (root / "routes" / "bad.yaml").write_text(
        "request: {sql: SELECT 1, params: [1.5]}\nrespond: {columns: [{name: a, type: strange}], rows: [[1]]}\n"
    )
    told = svcmock.run("check", root, code=None)
    assert told.returncode != 0
    assert "a fraction in quotes" in told.stdout + told.stderr
    assert "expected the name of a type" in told.stdout + told.stderr
