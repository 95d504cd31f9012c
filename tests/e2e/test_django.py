"""An application in Django with PostgreSQL, a cache in Redis and an HTTP dependency, served from one graph.

Its migrations and its own test requests are recorded in one run; then all that it depends on is stopped.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.postgres_server import Postgres, with_versions
from tests.e2e.processes import Svcmock
from tests.e2e.redis_server import redis_server

pytestmark = pytest.mark.timeout(150)  # three servers, the application twice, on a machine that may be busy

ROOT = Path(__file__).parents[2]
MIGRATED = """
match: {sql: {glob: 'INSERT INTO "django_migrations" **'}}
respond: {columns: [{name: id, type: int8}], rows: [["1"]]}
"""
"""That a migration is done is told with the time of the application's clock: in each run another statement."""


def use(svcmock: Svcmock, ports: Mapping[str, int], driver: str) -> list[Any]:
    """What the application's own tests are told."""
    where = {f"{name.upper()}_PORT": str(port) for name, port in ports.items()}
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.box_office"],
        env={**svcmock.env, **where, "DB_DRIVER": driver, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=100,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told: list[Any] = json.loads(done.stdout)
    return told


@with_versions("driver", ["psycopg", "bound", "psycopg2"], all_with="psycopg")
def test_recorded_in_one_run_and_served_from_one_graph(
    svcmock: Svcmock,
    tmp_path: Path,
    postgres: Postgres,
    free_port: Callable[[], int],
    driver: str,
) -> None:
    tariffs_port, cache_port = free_port(), free_port()
    tariffs = svcmock.spawn(
        [sys.executable, "-m", "tests.e2e.tariffs", str(tariffs_port)], {"PYTHONPATH": str(ROOT)}
    )
    tariffs.said("listening")
    cache = redis_server(svcmock, cache_port, tmp_path / "cache")
    services = {
        "db": postgres.url,
        "cache": f"redis://127.0.0.1:{cache_port}",
        "tariffs": f"http://127.0.0.1:{tariffs_port}",
    }
    project = tmp_path / "box_office"
    recorder = svcmock.record(project, services)
    before = use(svcmock, recorder.ports, driver)
    table = recorder.stop()
    postgres.stop()
    cache.stop()
    tariffs.stop()
    assert [status for status, _ in before] == [200, 200, 201, 409, 201, 201, 404, *[200] * 10]
    for counted in table.values():
        assert counted["accepted"] == counted["recorded"] + counted["skipped"], recorder.process.output
        assert counted["recorded"] > 0

    (project / "recordings" / "db" / "migrated.yaml").write_text(MIGRATED)
    mock = svcmock.up(project)
    assert use(svcmock, mock.ports, driver) == before
    assert {name: one["misses"] for name, one in mock.status()["services"].items()} == {
        "db": 0,
        "cache": 0,
        "tariffs": 0,
    }
