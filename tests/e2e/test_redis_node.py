"""Redis with the clients of Node, ioredis and node-redis: recorded by one client, replayed to any."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.e2e import nodes, redis_work
from tests.e2e.processes import Svcmock
from tests.e2e.redis_server import VERSIONS, redis_server

pytestmark = pytest.mark.timeout(120)  # several processes, one after the other, on a machine that may be busy

LIBRARIES = ["ioredis", "redis"]
STEPS = list(range(8))


def commands(number: int) -> list[list[Any]]:
    """The commands that clients in Python send, for Node."""
    return [
        [{"bytes": word.hex()} if isinstance(word, bytes) else word for word in words]
        for words in redis_work.commands(number)
    ]


def ask(library: str, port: int, order: list[int], size: int) -> dict[str, Any]:
    """What a client is told."""
    asked = {"commands": commands(0), "order": order, "size": size}
    return nodes.ask("redis.cjs", asked, library, str(port))


def flush(port: int) -> None:
    with redis.Redis(port=port) as client:
        client.flushall()


@VERSIONS
@pytest.mark.parametrize("library", LIBRARIES)
def test_recorded_and_served_in_another_order_over_other_connections(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int], program: str, library: str
) -> None:
    port = free_port()
    server = redis_server(svcmock, port, tmp_path / "data", program=program)
    recorder = svcmock.record(tmp_path / "p", {"db": f"redis://127.0.0.1:{port}"})
    told = ask(library, recorder.ports["db"], STEPS, 2)
    assert server.stop() == 0
    counted = recorder.stop()["db"]
    assert counted["failed"] == counted["passed on unread"] == 0, recorder.process.output

    mock = svcmock.up(tmp_path / "p")
    again = ask(library, mock.ports["db"], redis_work.shuffled(STEPS), 5)
    assert again["commands"] == told["commands"]
    assert again["published"] == told["published"]
    for number in map(str, STEPS):
        assert again["steps"][number] == told["steps"][number], number
    assert mock.status()["services"]["db"]["misses"] == 0


def test_what_one_client_recorded_another_is_told(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """In Node and in Python: each sees what the server itself would tell it."""
    clients: dict[str, Callable[[int], Any]] = {
        "ioredis": lambda port: ask("ioredis", port, [], 0)["commands"],
        "redis": lambda port: ask("redis", port, [], 0)["commands"],
        "2": lambda port: redis_work.take(port, ["one_by_one-0"], protocol=2),
        "3": lambda port: redis_work.take(port, ["one_by_one-0"], protocol=3),
    }
    port = free_port()
    server = redis_server(svcmock, port, tmp_path / "data")
    real = {}
    for name, client in clients.items():
        flush(port)
        real[name] = client(port)
    server.stop()
    for recorder, others in (("ioredis", ["redis", "3"]), ("2", ["redis", "ioredis"])):
        server = redis_server(svcmock, port, tmp_path / "data")
        recording = svcmock.record(tmp_path / recorder, {"db": f"redis://127.0.0.1:{port}"})
        clients[recorder](recording.ports["db"])
        recording.stop()
        server.stop()
        for other in others:
            mock = svcmock.up(tmp_path / recorder)
            assert clients[other](mock.ports["db"]) == real[other], (recorder, other)
            assert mock.status()["services"]["db"]["misses"] == 0
            mock.down()
