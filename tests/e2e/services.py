"""The store of `store_server.py` as a process, and what it is recorded with."""

import sys
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.processes import Process, Svcmock

ROOT = Path(__file__).parents[2]


def program(svcmock: Svcmock, module: str, *argv: str, **env: str) -> Process:
    """A module of these tests as a process."""
    return svcmock.spawn([sys.executable, "-m", f"tests.e2e.{module}", *argv], {"PYTHONPATH": str(ROOT), **env})


def store_server(svcmock: Svcmock, *how: str) -> tuple[Process, int]:
    """The store, and the port on which it listens."""
    process = program(svcmock, "store_server", *how)
    return process, int(process.said(r"listening on (\d+)")[1])


def documents(project: Path, service: str = "store") -> list[dict[str, Any]]:
    """All that was recorded of a service."""
    found = []
    for file in sorted((project / "recordings" / service).glob("*.yaml")):
        found += [one for one in yaml.safe_load_all(file.read_text()) if one]
    return found


def set_option(project: Path, service: str, **options: Any) -> None:
    """Give a service of `svcmock.yaml` options."""
    file = project / "svcmock.yaml"
    graph = yaml.safe_load(file.read_text())
    graph["services"][service].setdefault("options", {}).update(options)
    file.write_text(yaml.safe_dump(graph))
