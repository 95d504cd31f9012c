"""Node as a client and as a server of the store, and as a client of whatever else."""

import base64
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from tests.e2e import packages, store
from tests.e2e.calls import Call
from tests.e2e.processes import Process, Svcmock

SCRIPTS = Path(__file__).with_name("node")


def server(svcmock: Svcmock) -> tuple[Process, int]:
    """The store as a service of @grpc/grpc-js, and its port."""
    node, env = packages.node_with_packages()
    process = svcmock.spawn([node, str(SCRIPTS / "store.cjs"), str(store.PROTOS)], env)
    return process, int(process.said(r"listening on (\d+)")[1])


def run(port: int, calls: Mapping[str, Call]) -> dict[str, Any]:
    """What a client of @grpc/grpc-js is told, one call after the other."""
    return ask("calls.cjs", [_plain(name, one) for name, one in calls.items()], str(store.PROTOS), str(port))


def ask(script: str, asked: Any, *argv: str) -> dict[str, Any]:
    """Run a script that reads what is asked as JSON, and prints what it was told."""
    node, env = packages.node_with_packages()
    done = subprocess.run(
        [node, str(SCRIPTS / script), *argv],
        env=env,
        input=json.dumps(asked),
        capture_output=True,
        timeout=100,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _plain(name: str, one: Call) -> dict[str, Any]:
    metadata = [
        [key, base64.b64encode(value).decode() if isinstance(value, bytes) else value]
        for key, value in one.metadata
    ]
    requests = [MessageToDict(request, preserving_proto_field_name=True) for request in one.requests]
    return {"name": name, "method": one.method, "requests": requests, "metadata": metadata, "turns": one.turns}
