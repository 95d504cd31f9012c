"""PostgreSQL with drivers of Node, node-postgres and postgres.js: recorded by one driver, replayed to any."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e import nodes
from tests.e2e import postgres_work as work
from tests.e2e.postgres_server import Postgres
from tests.e2e.processes import Mock, Svcmock
from tests.e2e.redis_work import shuffled

pytestmark = pytest.mark.timeout(120)  # several processes, one after the other, on a machine that may be busy

DRIVERS = ["pg", "postgres"]
READS = [
    ["SELECT $1::int * $2::int AS number", [str(one), str(other)]] for one in range(8) for other in range(5)
]


def plain(value: Any) -> Any:
    """A parameter as Node is given it."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return "3 days 00:00:07" if value == work.TOOK else str(value)


COMMON = [[sql, [plain(one) for one in params]] for sql, params in work.COMMON]


def common(driver: str, port: int) -> list[Any]:
    """What any driver, of Node or of Python, is told of the statements that all of them send."""
    if driver in work.DRIVERS:
        return work.DRIVERS[driver](port)
    told: list[Any] = nodes.ask(f"{driver}.cjs", {"common": COMMON}, str(port))["common"]
    return told


def truth(server: Postgres, driver: str) -> list[Any]:
    """What the real server tells it."""
    server.run(*work.SCHEMA)
    return common(driver, server.port)


def missed(mock: Mock) -> int:
    return int(mock.status()["services"]["db"]["misses"])


@pytest.mark.parametrize(
    ("recorder", "others"),
    [("pg", ["postgres", "asyncpg"]), ("postgres", ["pg", "psycopg"]), ("asyncpg", DRIVERS)],
)
def test_what_one_driver_recorded_another_is_told(
    svcmock: Svcmock, tmp_path: Path, postgres: Postgres, recorder: str, others: list[str]
) -> None:
    """node-postgres says no types and never asks for them; postgres.js and asyncpg go by what they are told."""
    real = {driver: truth(postgres, driver) for driver in others}
    postgres.run(*work.SCHEMA)
    recording = svcmock.record(tmp_path / "p", {"db": postgres.url})
    real[recorder] = common(recorder, recording.ports["db"])
    counted = recording.stop()["db"]
    assert counted["failed"] == counted["passed on unread"] == 0, recording.process.output
    postgres.stop()
    assert real[recorder][2] == "23505"
    for driver, told in real.items():
        mock = svcmock.up(tmp_path / "p")
        assert common(driver, mock.ports["db"]) == told, driver
        assert missed(mock) == 0
        mock.down()


@pytest.mark.parametrize("driver", DRIVERS)
def test_much_of_a_driver_and_reads_over_another_pool(
    svcmock: Svcmock, tmp_path: Path, postgres: Postgres, driver: str
) -> None:
    """Transactions, types, portals, channels, copies, pipelines; and statements that come in any order."""
    postgres.run(*work.SCHEMA)
    asked = {"much": True, "reads": READS, "size": 3}
    recording = svcmock.record(tmp_path / "p", {"db": postgres.url})
    told = nodes.ask(f"{driver}.cjs", asked, str(recording.ports["db"]))
    counted = recording.stop()["db"]
    assert counted["failed"] == counted["passed on unread"] == 0, recording.process.output
    postgres.stop()
    assert told["reads"] == [[[{"number": str(int(one) * int(other))}]] for _, (one, other) in READS]
    order = shuffled(range(len(READS)))
    asked |= {"reads": [READS[at] for at in order], "size": 5}
    mock = svcmock.up(tmp_path / "p")
    again = nodes.ask(f"{driver}.cjs", asked, str(mock.ports["db"]))
    assert again.pop("reads") == [told["reads"][at] for at in order]
    for part, what in again.items():
        assert what == told[part], part
    assert missed(mock) == 0
