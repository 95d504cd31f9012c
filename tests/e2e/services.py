"""The store of `store_server.py` as a process, and what it is recorded with."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.e2e import store
from tests.e2e.processes import Mock, Process, Svcmock, wait_until

SCHEMA = "schema.binpb"
"""What a recorder keeps a schema under, that it was told by reflection."""
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


def learned(project: Path) -> None:
    """Wait until the recorder knows the schema: it asks for it when the first call comes."""
    wait_until((project / "recordings/store" / SCHEMA).is_file)


def by_hand(svcmock: Svcmock, folder: Path, routes: str, service: str = "", **options: Any) -> Mock:
    """Serve routes that are written by hand, with the schema of the store."""
    (folder / "routes").mkdir(parents=True)
    shutil.copytree(store.PROTOS, folder / "protos")
    (folder / "routes/a.yaml").write_text(routes)
    told_options = json.dumps({"proto": "protos/", **options})
    line = f"{{listen: 0, routes: routes/, options: {told_options}{service}}}"
    (folder / "svcmock.yaml").write_text(f"version: 1\nservices:\n  store: {line}\n")
    return svcmock.up(folder)
