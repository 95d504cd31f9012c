"""What an application does with a Redis server, as steps that do not depend on each other's order.

Each step is a function of a client that gives what the application would see, so that the same steps can be
taken with the real server and with the mock, by one client library and by another.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import redis
import redis.asyncio

SCRIPT = "return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}"
Step = Callable[[Any], list[Any]]


def seen(value: Any) -> Any:
    """A result as it can be compared: errors by their text, sets and maps by what is in them."""
    if isinstance(value, Exception):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, list | tuple):
        return [seen(item) for item in value]
    if isinstance(value, dict):
        return {"map": sorted((repr(seen(name)), seen(item)) for name, item in value.items())}
    if isinstance(value, set | frozenset):
        return {"set": sorted(map(repr, value))}
    return value


def commands(number: int) -> list[tuple[Any, ...]]:
    """Commands on keys that only this step touches."""
    key = f"k{number}"
    return [
        ("SET", key, "v", "EX", 1000),
        ("GET", key),
        ("GET", f"{key}:none"),
        ("APPEND", key, b"\x00\xff\r\n"),
        ("GET", key),
        ("TYPE", key),
        ("INCR", f"{key}:n"),
        ("INCRBYFLOAT", f"{key}:n", "1.5"),
        ("LPUSH", f"{key}:l", "a", "b", "c"),
        ("LRANGE", f"{key}:l", 0, -1),
        ("LPOP", f"{key}:l", 2),
        ("INCR", f"{key}:l"),
        ("HSET", f"{key}:h", "f", "1", "g", "2"),
        ("HGETALL", f"{key}:h"),
        ("HGETALL", f"{key}:none"),
        ("HMGET", f"{key}:h", "f", "x"),
        ("SADD", f"{key}:s", "m"),
        ("SMEMBERS", f"{key}:s"),
        ("SISMEMBER", f"{key}:s", "m"),
        ("ZADD", f"{key}:z", "1.5", "m", "2", "n"),
        ("ZSCORE", f"{key}:z", "m"),
        ("ZRANGE", f"{key}:z", 0, -1, "WITHSCORES"),
        ("ZPOPMIN", f"{key}:z"),
        ("XADD", f"{key}:x", "1-1", "f", "v"),
        ("XREAD", "COUNT", 5, "STREAMS", f"{key}:x", "0"),
        ("XRANGE", f"{key}:x", "-", "+"),
        ("XINFO", "STREAM", f"{key}:x"),
        ("BLPOP", f"{key}:none", "0.01"),
        ("SETBIT", f"{key}:b", 7, 1),
        ("MGET", key, f"{key}:none"),
        ("EXISTS", key, f"{key}:l"),
        ("NOSUCHCOMMAND", key),
        ("SET", f"{key}:big", "x" * 20_000),
        ("GET", f"{key}:big"),
        ("EVAL", SCRIPT, 1, f"{key}:e", "arg"),
        ("DEL", key),
    ]


def tried(call: Callable[[], Any]) -> Any:
    try:
        return seen(call())
    except redis.RedisError as error:
        return seen(error)


def one_by_one(number: int) -> Step:
    def step(client: Any) -> list[Any]:
        return [tried(partial(client.execute_command, *args)) for args in commands(number)]

    return step


def pipelined(number: int) -> Step:
    def step(client: Any) -> list[Any]:
        pipe = client.pipeline(transaction=False)
        for args in commands(number):
            pipe.execute_command(*args)
        return [seen(one) for one in pipe.execute(raise_on_error=False)]

    return step


def transactions(number: int) -> Step:
    def step(client: Any) -> list[Any]:
        key = f"t{number}"
        found = []
        with client.pipeline(transaction=True) as pipe:
            pipe.set(key, 1).incr(key).hset(f"{key}:h", mapping={"a": "b"}).hgetall(f"{key}:h").lpush(key, 1)
            found.append([seen(one) for one in pipe.execute(raise_on_error=False)])
        with client.pipeline(transaction=True) as pipe:
            pipe.watch(key)
            found.append(seen(pipe.get(key)))
            client.set(key, 7)
            pipe.multi()
            pipe.incr(key)
            found.append(tried(pipe.execute))
        with client.pipeline(transaction=True) as pipe:
            pipe.execute_command("NOSUCHCOMMAND").get(key)
            found.append(tried(pipe.execute))
        return found

    return step


def scripts(number: int) -> Step:
    def step(client: Any) -> list[Any]:
        script = client.register_script(SCRIPT)
        key = f"s{number}"
        return [tried(lambda: script(keys=[key], args=["x"])), tried(lambda: script(keys=[key], args=["y"]))]

    return step


def databases(number: int) -> Step:
    def step(client: Any) -> list[Any]:
        with client.client() as own:
            found = [tried(lambda: own.execute_command("SELECT", 1 + number % 3))]
            found.append(tried(lambda: own.execute_command("SET", f"d{number}", number)))
            found.append(tried(lambda: own.execute_command("GET", f"d{number}")))
            found.append(tried(lambda: own.execute_command("SELECT", 0)))
            found.append(tried(lambda: own.execute_command("GET", f"d{number}")))
            return found

    return step


def steps() -> dict[str, Step]:
    """All there is to do, by name."""
    made = {}
    for kind in (one_by_one, pipelined, transactions, scripts, databases):
        for at in range(3):
            number = 1000 * len(made) + at
            made[f"{kind.__name__}-{at}"] = kind(number)
    return made


def take(port: int, names: Iterable[str], *, at_once: int = 1, **how: Any) -> dict[str, list[Any]]:
    """Take steps with redis-py, several connections at once."""
    known, names = steps(), list(names)
    client = redis.Redis(port=port, socket_timeout=20, **how)
    try:
        with ThreadPoolExecutor(at_once) as pool:
            return dict(zip(names, pool.map(lambda name: known[name](client), names), strict=True))
    finally:
        client.close()


def shuffled(names: Iterable[str], seed: int = 7) -> list[str]:
    mixed = list(names)
    random.Random(seed).shuffle(mixed)
    return mixed


def take_async(port: int, numbers: Iterable[int], **how: Any) -> list[list[Any]]:
    """The commands of some steps with redis-py's asyncio client, each step on a task of its own."""

    async def tried_async(client: Any, args: tuple[Any, ...]) -> Any:
        try:
            return seen(await client.execute_command(*args))
        except redis.RedisError as error:
            return seen(error)

    async def work(client: Any, number: int) -> list[Any]:
        found = [await tried_async(client, args) for args in commands(number)]
        async with client.pipeline(transaction=True) as pipe:
            pipe.set(f"a{number}", 1).incr(f"a{number}")
            found.append(seen(await pipe.execute()))
        return found

    async def run() -> list[list[Any]]:
        client = redis.asyncio.Redis(port=port, socket_timeout=20, **how)
        try:
            return list(await asyncio.gather(*(work(client, number) for number in numbers)))
        finally:
            await client.aclose()

    return asyncio.run(run())
