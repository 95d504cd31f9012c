"""An application with PostgreSQL, Redis and an HTTP dependency: recorded in one run, served from one graph."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.postgres_server import Postgres
from tests.e2e.processes import Process, Svcmock
from tests.e2e.redis_server import redis_server

pytestmark = pytest.mark.timeout(150)  # three servers, the application twice, on a machine that may be busy

ROOT = Path(__file__).parents[2]
ORDERS: list[dict[str, Any]] = [
    {"country": "de", "lines": {"tea": 3}},
    {"country": "fr", "lines": {"tea": 1, "pot": 2}},
    {"country": "de", "lines": {"pot": 0}},
    {"country": "de", "lines": {"cup": 1}},
    {"country": "xx", "lines": {"pot": 1}},
    {"country": "de", "lines": {"tea": 3}},
]


def application(svcmock: Svcmock, ports: Mapping[str, int], port: int) -> tuple[Process, httpx.Client]:
    """The warehouse, which knows its dependencies by these ports."""
    env = {
        "DATABASE_URL": f"postgresql+psycopg://postgres@127.0.0.1:{ports['db']}/postgres",
        "REDIS_URL": f"redis://127.0.0.1:{ports['cache']}/0",
        "TARIFFS_URL": f"http://127.0.0.1:{ports['tariffs']}",
    }
    env["PYTHONPATH"] = str(ROOT)
    process = svcmock.spawn([sys.executable, "-m", "tests.e2e.warehouse", str(port)], env)
    process.said("listening")
    return process, httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30)


def use(client: httpx.Client) -> list[tuple[int, Any]]:
    """The application's own tests: what it answers."""
    told = [client.get("/articles")]
    told += [client.post("/orders", content=json.dumps(order)) for order in ORDERS]
    told += [client.get(f"/orders/{number}") for number in (1, 2, 99)]
    told += [client.get("/articles"), client.get("/report")]
    return [(one.status_code, one.json()) for one in told]


def test_recorded_in_one_run_and_served_from_one_graph(
    svcmock: Svcmock, tmp_path: Path, short_folder: Path, free_port: Callable[[], int]
) -> None:
    project = tmp_path / "warehouse"
    tariffs_port = free_port()
    tariffs = svcmock.spawn(
        [sys.executable, "-m", "tests.e2e.tariffs", str(tariffs_port)], {"PYTHONPATH": str(ROOT)}
    )
    tariffs.said("listening")
    database = Postgres(short_folder, free_port())
    database.start()
    cache_port = free_port()
    cache = redis_server(svcmock, cache_port, tmp_path / "cache")
    try:
        services = {
            "db": database.url,
            "cache": f"redis://127.0.0.1:{cache_port}",
            "tariffs": f"http://127.0.0.1:{tariffs_port}",
        }
        recorder = svcmock.record(project, services)
        process, client = application(svcmock, recorder.ports, free_port())
        with client:
            before = use(client)
        process.stop()
        table = recorder.stop()
    finally:
        database.stop()
    cache.stop()
    tariffs.stop()
    assert [status for status, _ in before] == [200, 201, 201, 409, 404, 201, 201, 200, 200, 404, 200, 200]
    for counted in table.values():
        assert counted["accepted"] == counted["recorded"] > 0, recorder.process.output

    mock = svcmock.up(project)
    process, client = application(svcmock, mock.ports, free_port())
    with client:
        assert use(client) == before
    assert {name: one["misses"] for name, one in mock.status()["services"].items()} == {
        "db": 0,
        "cache": 0,
        "tariffs": 0,
    }
