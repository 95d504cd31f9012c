"""One application of Redis with all that such have: recorded from a real server, and the same from the mock.

Locks by a script, a rate limiter by a transaction, a stream with a group of consumers, messages, SCAN, a cache
in the client that the server invalidates.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.e2e import redis_work
from tests.e2e.processes import Svcmock
from tests.e2e.redis_server import redis_server

UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end"


async def locking(client: redis.asyncio.Redis) -> list[Any]:
    """Take a lock, see that it is taken, give it back by a script that looks at who has it."""
    unlock = client.register_script(UNLOCK)
    return [
        await client.set("lock:a", "me", nx=True, px=60_000),
        await client.set("lock:a", "you", nx=True, px=60_000),
        await unlock(keys=["lock:a"], args=["you"]),
        await unlock(keys=["lock:a"], args=["me"]),
        await unlock(keys=["lock:a"], args=["me"]),
    ]


async def limiting(client: redis.asyncio.Redis) -> list[Any]:
    """So many requests in a window: counted, with an end, in one transaction."""
    found = []
    for _ in range(4):
        async with client.pipeline(transaction=True) as pipe:
            found.append(await pipe.incr("rate:u1").expire("rate:u1", 60).execute())
    async with client.pipeline(transaction=True) as pipe:
        await pipe.watch("rate:u1")
        await client.incr("rate:u1")
        pipe.multi()
        pipe.delete("rate:u1")
        try:
            found.append(await pipe.execute())
        except redis.WatchError as error:
            found.append(type(error).__name__)
    return found


async def streaming(client: redis.asyncio.Redis) -> list[Any]:
    """A worker of a group that waits for jobs, and a producer that lets it."""
    await client.xgroup_create("jobs", "workers", "$", mkstream=True)
    found: list[Any] = []

    async def worker() -> None:
        while len(found) < 3:
            for _, entries in _pairs(await client.xreadgroup("workers", "w1", {"jobs": ">"}, 1, block=20_000)):
                for ident, fields in entries:
                    found.append((ident, fields, await client.xack("jobs", "workers", ident)))

    working = asyncio.create_task(worker())
    for number in (1, 2, 3):
        await client.xadd("jobs", {"n": str(number)}, id=f"{number}-0")
    await working
    return [*found, await client.xpending("jobs", "workers"), await client.xlen("jobs")]


def _pairs(told: Any) -> list[Any]:
    """Streams with their entries; of RESP3 they come as a map, of lists of lists."""
    if isinstance(told, dict):
        return [(name, [entry for part in parts for entry in part]) for name, parts in told.items()]
    return list(told)


async def listening(client: redis.asyncio.Redis) -> list[Any]:
    """What is published while one listens to a channel and to a pattern."""
    async with client.pubsub() as listener:
        await listener.subscribe("news")
        await listener.psubscribe("weather.*")
        found = [await _next(listener), await _next(listener)]
        for channel, text in (("news", "one"), ("weather.eu", "rain"), ("news", "two")):
            await client.publish(channel, text)
            found.append(await _next(listener))
    return [(one["type"], one["pattern"], one["channel"], one["data"]) for one in found]


async def _next(listener: Any) -> Any:
    while (found := await listener.get_message(timeout=20)) is None:
        pass
    return found


async def scanning(client: redis.asyncio.Redis) -> list[Any]:
    await client.mset({f"scan:{number}": number for number in range(50)})
    keys = [key async for key in client.scan_iter("scan:*", count=7)]
    await client.hset("scan:hash", mapping={f"f{number}": number for number in range(20)})
    fields = [name async for name, _ in client.hscan_iter("scan:hash", count=5)]
    return [sorted(keys), sorted(fields)]


async def work_async(port: int, **how: Any) -> dict[str, Any]:
    client = redis.asyncio.Redis(port=port, socket_timeout=30, **how)
    try:
        steps = (locking, limiting, streaming, listening, scanning)
        return {step.__name__: redis_work.seen(await step(client)) for step in steps}
    finally:
        await client.aclose()


def caching(port: int) -> list[Any]:
    """A client that keeps what it has read, and is told when another one has changed it."""
    reader, stale = redis.Connection(port=port, protocol=3), list[Any]()
    reader.connect()
    reader._parser.set_invalidation_push_handler(lambda told: stale.append(told[1]))

    def ask(*args: str) -> Any:
        reader.send_command(*args)
        return reader.read_response()

    found = [ask("CLIENT", "TRACKING", "ON")]
    with redis.Redis(port=port) as writer:
        for value in ("one", "two", "three"):
            writer.set("cached", value)
            found += [ask("PING"), list(stale), ask("GET", "cached")]
        writer.set("cached", "one")
        found += [ask("PING"), list(stale)]
    reader.disconnect()
    return found


@pytest.mark.parametrize("protocol", [2, 3])
def test_an_application(svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int], protocol: int) -> None:
    port = free_port()
    server = redis_server(svcmock, port, tmp_path / "data")
    recorder = svcmock.record(tmp_path / "p", {"db": f"redis://127.0.0.1:{port}"})
    told = asyncio.run(work_async(recorder.ports["db"], protocol=protocol))
    cached = caching(recorder.ports["db"])
    server.stop()
    counted = recorder.stop()["db"]
    assert counted["failed"] == 0
    mock = svcmock.up(tmp_path / "p")
    assert asyncio.run(work_async(mock.ports["db"], protocol=protocol)) == told
    assert caching(mock.ports["db"]) == cached
    assert mock.status()["services"]["db"]["misses"] == 0
