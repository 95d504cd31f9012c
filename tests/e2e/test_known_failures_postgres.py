"""What goes wrong with recordings of databases elsewhere, held against a recording of a real PostgreSQL.

One recording is made, of connections that have long been in use. Each test replays it to clients that are in
another state than the recorded ones: new connections, other drivers, other pools, tracers. See
docs/known-failures.md.
"""

import asyncio
import datetime as dt
import json
import math
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
import pytest
import sqlalchemy
import yaml

from tests.e2e.postgres_server import postgres_server
from tests.e2e.processes import Mock, Svcmock

SCHEMA = (
    "CREATE TABLE accounts (id text PRIMARY KEY, owner text, balance numeric)",
    "INSERT INTO accounts VALUES ('acc-01', 'Alice', 1000), ('acc-02', 'Brian', -5), ('acc-03', 'Clara', 70)",
    "CREATE TABLE measured (name text, small float4, large float8)",
    "CREATE TABLE audit (at timestamptz, what text)",
    "CREATE TABLE orders (id uuid PRIMARY KEY, item text)",
    "CREATE SEQUENCE numbers",
)
BALANCE = "SELECT owner, balance FROM accounts WHERE id = $1"
OWNER = "SELECT owner FROM accounts WHERE id = $1"
UNNAMED = "SELECT id FROM accounts WHERE id = $1"
IDS = ("acc-01", "acc-02", "acc-03")
FLOATS = (0.1, -0.0, 1e-7, 1.5, 2.0, 3.4028235e38, math.inf, -math.inf, math.nan)
SMALL = "SELECT $1::float4 = 0.1::float4, $1::float4"
LARGE = "SELECT $1::float8 * 2"
AUDIT = "INSERT INTO audit (at, what) VALUES ($1::timestamptz, $2)"
ORDER = "INSERT INTO orders (id, item) VALUES ($1::uuid, $2) RETURNING id, item"
ORDERED = "SELECT item, id FROM orders WHERE id = $1::uuid"
SECOND_ORDER = uuid.UUID("00000000-0000-4000-8000-0000000000ff")
FIRST_ORDER = uuid.UUID("6f1c1c9e-7f5a-4a43-8d3a-1d2f3c4b5a69")
NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 250_000, tzinfo=dt.UTC)
Row = tuple[Any, ...]


@contextmanager
def psycopg_at(port: int, **more: Any) -> Iterator[Callable[..., list[Row]]]:
    """Runs statements with `$1` on one connection of psycopg."""
    with psycopg.connect(
        host="127.0.0.1", port=port, user="postgres", dbname="postgres", **{"autocommit": True, **more}
    ) as db:

        def ask(sql: str, *params: Any, **how: Any) -> list[Row]:
            cursor = psycopg.RawCursor(db)
            cursor.execute(sql, params or None, **how)
            return cursor.fetchall() if cursor.description else []

        yield ask


def asyncpg_at(port: int, *asked: tuple[Any, ...], **more: Any) -> list[list[Row]]:
    """What one connection of asyncpg is told, statement by statement."""

    async def work() -> list[list[Row]]:
        db = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", **more)
        try:
            return [[tuple(row) for row in await db.fetch(*one)] for one in asked]
        finally:
            await db.close()

    return asyncio.run(work())


def pg8000_at(port: int, *asked: tuple[Any, ...]) -> list[list[Row]]:
    """The same with pg8000."""
    pg8000.dbapi.paramstyle = "numeric"
    db = pg8000.dbapi.connect("postgres", "127.0.0.1", port=port, database="postgres")
    db.autocommit = True
    cursor = db.cursor()
    told = []
    for sql, *params in asked:
        cursor.execute(sql.replace("$", ":"), params)
        told.append([tuple(row) for row in cursor.fetchall()])
    db.close()
    return told


@contextmanager
def engine_at(port: int, driver: str, **more: Any) -> Iterator[sqlalchemy.Connection]:
    """A connection of SQLAlchemy's pool, which asks the server some things first."""
    engine = sqlalchemy.create_engine(f"postgresql+{driver}://postgres@127.0.0.1:{port}/postgres", **more)
    with engine.connect() as db:
        yield db
    engine.dispose()


def work_of_the_application(port: int) -> None:
    """Connections that keep what they have prepared: all but the first use of a statement only bind it."""
    with psycopg_at(port, prepare_threshold=0) as ask:
        for account in IDS[:2] * 2:
            ask(BALANCE, account)
        ask("SELECT owner FROM accounts WHERE id = 'acc-01'")
        ask("/*+ IndexScan(numbers) */ SELECT nextval('numbers')")
        ask("SELECT /* traceparent='00-aaaa-01-01' */ nextval('numbers') -- job:1")
        for value in FLOATS:
            ask(LARGE, value)
        ask(AUDIT, NOON, "opened")
        ask(ORDER, FIRST_ORDER, "tea")
        ask(ORDERED, FIRST_ORDER)
        ask("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        ask("SHOW transaction_read_only")
    asyncpg_at(port, *[(OWNER, account) for account in IDS[:2] * 2], *[(SMALL, value) for value in FLOATS])
    asyncpg_at(port, (UNNAMED, "acc-02"), (UNNAMED, "acc-01"), statement_cache_size=0)
    asyncpg_at(port, (ORDER, SECOND_ORDER, "tea"), (ORDERED, SECOND_ORDER))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What that gave; the server is gone."""
    folder = tmp_path_factory.mktemp("known")
    svcmock = Svcmock(folder)
    with tempfile.TemporaryDirectory(prefix="sm-") as name, postgres_server(Path(name)) as server:
        server.run(*SCHEMA)
        recorder = svcmock.record(folder / "p", {"db": server.url})
        work_of_the_application(recorder.ports["db"])
        counted = recorder.stop()["db"]
    assert counted["failed"] == counted["passed on unread"] == 0, recorder.process.output
    yield folder / "p"
    svcmock.close()


@pytest.fixture(scope="module")
def mock(recorded: Path) -> Iterator[Mock]:
    """A mock of it that no test changes."""
    (recorded.parent / "serving").mkdir()
    svcmock = Svcmock(recorded.parent / "serving")
    yield svcmock.up(recorded)
    svcmock.close()


@pytest.fixture
def port(mock: Mock) -> int:
    return mock.ports["db"]


def test_recorded_warm_and_replayed_cold(port: int) -> None:
    """A new connection, whose driver parses, binds, describes and executes, gets the row that it asks for."""
    brian, alice = ("Brian", -5), ("Alice", 1000)
    for account, row in (("acc-02", brian), ("acc-01", alice), ("acc-02", brian)):
        with psycopg_at(port, prepare_threshold=None) as ask:
            assert ask(BALANCE, account) == [row]
        assert asyncpg_at(port, (BALANCE, account), statement_cache_size=0) == [[row]]
        assert pg8000_at(port, (OWNER, account)) == [[row[:1]]]
        assert pg8000_at(port, (UNNAMED, account)) == [[(account,)]]


@pytest.mark.parametrize(
    "asked", [(BALANCE, "acc-03"), (OWNER, "acc-03"), ("SELECT owner FROM accounts WHERE id = 'acc-02'",)]
)
def test_what_was_not_recorded_gets_nobody_elses_rows(port: int, asked: tuple[str, ...]) -> None:
    """The value is as long as the recorded ones, and so is the statement: that says nothing."""
    with psycopg_at(port) as ask:
        with pytest.raises(psycopg.errors.SystemError, match=r"acc-0[12]"):
            ask(*asked)
        assert ask(BALANCE, "acc-01") == [("Alice", 1000)]


def test_a_statement_that_was_prepared_before_it_was_recorded(port: int) -> None:
    """The connection in the mock has prepared nothing: what it prepares itself counts, recorded or not."""
    with psycopg_at(port) as ask:
        ask("PREPARE never (int) AS SELECT $1 + 1")
        with pytest.raises(psycopg.errors.SystemError, match="no route"):
            ask("EXECUTE never (1)")
        assert ask(BALANCE, "acc-02") == [("Brian", -5)]


def test_names_of_statements_are_each_connections_own(port: int) -> None:
    """Two connections give one name to two statements, and the recorded name to a third."""
    with psycopg_at(port, prepare_threshold=0) as one, psycopg_at(port, prepare_threshold=0) as other:
        for _ in range(2):
            assert one(BALANCE, "acc-01") == [("Alice", 1000)]
            assert other(OWNER, "acc-01") == [("Alice",)]
            assert other(BALANCE, "acc-02") == [("Brian", -5)]
            assert one(OWNER, "acc-02") == [("Brian",)]


def test_housekeeping_of_other_pools_and_drivers(mock: Mock, port: int) -> None:
    """None of this was recorded: pools and drivers say it between the application's own statements."""
    missed = mock.status()["services"]["db"]["misses"]

    async def pooled() -> list[Any]:
        dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
            return [await pool.fetchval(OWNER, "acc-02") for _ in range(2)]

    assert asyncio.run(pooled()) == ["Brian"] * 2
    for driver in ("psycopg", "pg8000"):
        with engine_at(port, driver, pool_pre_ping=True, isolation_level="REPEATABLE READ") as db:
            for _ in range(2):
                told = db.exec_driver_sql("SELECT owner FROM accounts WHERE id = 'acc-01'").scalar()
                assert told == "Alice"
                db.rollback()
    with psycopg_at(port) as ask:
        for statement in (
            "",  # a check of psycopg's pool, and of JDBC
            "SET extra_float_digits = 3",
            "SET application_name = 'PostgreSQL JDBC Driver'",
            "SHOW TRANSACTION ISOLATION LEVEL",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            "BEGIN READ ONLY",
            "ROLLBACK",
            "DISCARD ALL",  # pgbouncer
            "RESET ALL",
            "CLOSE ALL",
            "UNLISTEN *",
        ):
            ask(statement)
    assert mock.status()["services"]["db"]["misses"] == missed


def test_settings_are_answered_by_their_name(port: int) -> None:
    """The recorded one was read-only, by a name of the same length as others. A new connection is not."""
    with psycopg_at(port) as ask:
        assert ask("SHOW transaction_isolation") == [("read committed",)]
        assert ask("SHOW server_version")[0][0]
        ask("SET default_transaction_isolation = 'serializable'")
        assert ask("SHOW default_transaction_isolation") == [("serializable",)]


@pytest.mark.parametrize(
    "comment",
    [
        "/*dd:traceparent='00-0123456789abcdef-{}-01',dddbs='shop'*/ {}",
        "{1} /*application='shop',traceparent='00-{0}-1'*/",
        "-- request {}\n{}",
    ],
)
def test_comments_of_tracers_are_no_part_of_a_statement(port: int, comment: str) -> None:
    with psycopg_at(port) as ask:
        for trace in ("1", "22", "55555"):
            assert ask(comment.format(trace, BALANCE), "acc-02") == [("Brian", -5)]


def test_hints_are_a_part_of_a_statement(port: int) -> None:
    """They decide how a statement is run: with one and without are two statements, and come in any order."""
    with psycopg_at(port) as ask:
        assert ask("SELECT nextval('numbers')") == [(2,)]
        assert ask("/*+ IndexScan(numbers) */ SELECT nextval('numbers')") == [(1,)]


@pytest.mark.parametrize("binary", [False, True])
def test_floats_of_one_driver_are_those_of_another(port: int, binary: bool) -> None:
    """Recorded as text and as eight bytes, asked for as four bytes and as text, and the other way round."""
    with psycopg_at(port) as ask:
        doubled = [ask(LARGE, value, binary=binary)[0][0] for value in FLOATS]
        same = [ask(SMALL, value, binary=binary)[0] for value in FLOATS]
    assert list(map(repr, doubled)) == [repr(value * 2) for value in FLOATS]
    assert [one[0] for one in same] == [True, *[False] * (len(FLOATS) - 1)]
    others = (
        asyncpg_at(port, *[(LARGE, value) for value in FLOATS]),
        asyncpg_at(port, *[(LARGE, value) for value in FLOATS], statement_cache_size=0),
        pg8000_at(port, *[(LARGE, value) for value in FLOATS]),
    )
    for other in others:
        assert [repr(rows[0][0]) for rows in other] == list(map(repr, doubled))
    assert [rows[0][0] for rows in pg8000_at(port, *[(SMALL, value) for value in FLOATS])] == [
        one[0] for one in same
    ]


def test_fifty_connections_of_what_one_recorded(port: int) -> None:
    """All open at the same time; each is logged in and told what it asks for."""
    together = threading.Barrier(50)

    def one(number: int) -> list[Row]:
        with psycopg_at(port) as ask:
            together.wait(30)
            return ask(BALANCE, IDS[number % 2])

    with ThreadPoolExecutor(50) as pool:
        told = list(pool.map(one, range(50)))
    assert told == [[("Alice", 1000)], [("Brian", -5)]] * 25


def test_any_password_will_do_and_no_recorded_proof_is_needed(port: int) -> None:
    """Challenges differ with each login, so a recorded one could not be answered again."""
    for password in (None, "pencil", "another"):
        with psycopg_at(port, password=password) as ask:
            assert ask(OWNER, "acc-01") == [("Alice",)]


def edited(recorded: Path, folder: Path, service: str = "", edit: Callable[[Any], None] | None = None) -> Path:
    """The project with other lines of its service, and with its recorded routes edited."""
    found = sorted((recorded / "recordings/db").glob("*.yaml"))
    (folder / "routes").mkdir(parents=True)
    (folder / "svcmock.yaml").write_text(
        f"version: 1\nservices:\n  db:\n    listen: 0\n    protocol: postgres\n    routes: routes/\n{service}"
    )
    for file in found:
        routes = [one for one in yaml.safe_load_all(file.read_text()) if one]
        for route in routes:
            if edit is not None:
                edit(route)
        lines = "".join(f"{json.dumps(route)}\n" for route in routes)
        (folder / "routes" / file.with_suffix(".jsonl").name).write_text(lines)
    return folder


def test_a_time_in_a_parameter_is_noise_where_that_is_said(
    svcmock: Svcmock, recorded: Path, tmp_path: Path, port: int
) -> None:
    """It is told as what differs, and `ignore` leaves it out: in all routes, or in the one that has it."""
    later = NOON + dt.timedelta(days=400, microseconds=7)
    with psycopg_at(port) as ask, pytest.raises(psycopg.errors.SystemError, match=r"params\.0"):
        ask(AUDIT, later, "opened")

    def ignoring(route: Any) -> None:
        if route["request"].get("sql") == AUDIT:
            route["ignore"] = ["params.0"]

    mocks = [
        svcmock.up(edited(recorded, tmp_path / "all", "    ignore: [params.0]\n")),
        svcmock.up(edited(recorded, tmp_path / "one", edit=ignoring)),
    ]
    for mock in mocks:
        with psycopg_at(mock.ports["db"]) as ask:
            assert ask(AUDIT, later, "opened") == []
            with pytest.raises(psycopg.errors.SystemError):
                ask(AUDIT, later, "closed")
        assert asyncpg_at(mock.ports["db"], (AUDIT, later, "opened")) == [[]]


def test_an_id_that_the_application_makes_anew(svcmock: Svcmock, recorded: Path, tmp_path: Path) -> None:
    """A recorded INSERT, and the SELECT after it, for any id: the reply repeats the one that was sent."""

    def any_id(route: Any) -> None:
        sql = route["request"].get("sql")
        if sql in (ORDER, ORDERED):
            text = json.dumps(route["respond"])
            for recorded_id in (FIRST_ORDER, SECOND_ORDER):
                text = text.replace(str(recorded_id), "{{ request.params[0] }}")
            route |= {"ignore": ["params.0"], "template": True, "respond": json.loads(text)}

    port = svcmock.up(edited(recorded, tmp_path / "p", edit=any_id)).ports["db"]
    for _ in range(2):
        made = uuid.uuid4()
        with psycopg_at(port) as ask:
            assert ask(ORDER, made, "tea") == [(made, "tea")]
            assert ask(ORDERED, made) == [("tea", made)]
            with pytest.raises(psycopg.errors.SystemError):
                ask(ORDER, made, "milk")
        assert asyncpg_at(port, (ORDERED, made)) == [[("tea", made)]]


INVENTED = """
match: {sql: "INSERT INTO orders (id, item) VALUES ($1::uuid, $2) RETURNING id, item", params: {contains: tea}}
template: true
respond:
  columns: [{name: id, type: uuid}, item]
  rows: [["{{ request.params[0] }}", "{{ request.params[1] }}"]]
"""


def test_a_template_for_a_driver_that_asks_first(svcmock: Svcmock, recorded: Path, tmp_path: Path) -> None:
    """asyncpg has a statement described before it sends its parameters, which the template is made of."""
    folder = edited(recorded, tmp_path / "p")
    for file in (folder / "routes").iterdir():
        file.unlink()
    (folder / "routes" / "a.yaml").write_text(INVENTED)
    port = svcmock.up(folder).ports["db"]
    made = uuid.uuid4()
    assert asyncpg_at(port, (ORDER, made, "tea")) == [[(made, "tea")]]
    assert asyncpg_at(port, (ORDER, made, "tea"), statement_cache_size=0) == [[(made, "tea")]]
    with psycopg_at(port) as ask:
        assert ask(ORDER, made, "tea") == [(made, "tea")]
