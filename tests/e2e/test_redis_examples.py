"""The example project of Redis does what its comments say, over TLS too."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.e2e.processes import Mock, Svcmock

EXAMPLE = Path(__file__).parents[2] / "configs" / "redis"


@pytest.fixture
def serve(svcmock: Svcmock, tmp_path: Path) -> Callable[[str], Mock]:
    """Serves a copy of the example on free ports, with more in each service."""

    def up(more: str = "") -> Mock:
        folder = tmp_path / "redis"
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".svcmock"))
        graph = folder / "svcmock.yaml"
        text = re.sub(r"listen: 127\.0\.0\.1:\d+", f"listen: 127.0.0.1:0{more}", graph.read_text())
        graph.write_text(text)
        return svcmock.up(folder)

    return up


@pytest.mark.parametrize("version", [2, 3])
def test_the_cache(serve: Callable[..., Mock], version: int) -> None:
    mock = serve()
    with redis.Redis(port=mock.ports["cache"], protocol=version) as client:
        assert client.get("user:42") == b'{"id":42,"name":"Ann"}'
        assert client.get("user:7") == b'{"id":7,"name":"Nobody"}'
        assert client.hgetall("session:7") == {b"user": b"42", b"seen": b"2026-01-31"}
        assert client.set("anything", "at all", ex=60) is True
        with pytest.raises(redis.ResponseError, match="no recorded reply"):
            client.set("anything", "at all")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            client.execute_command("INCR", "session:7")
        began = time.monotonic()
        assert client.blpop("jobs", timeout=1) is None
        assert time.monotonic() - began >= 0.25
        with client.pipeline() as pipe:
            pipe.execute_command("INCR", "hits").get("user:42")
            assert pipe.execute() == [8, b'{"id":42,"name":"Ann"}']


def test_the_stock(serve: Callable[..., Mock]) -> None:
    mock = serve()
    with redis.Redis(port=mock.ports["stock"]) as client:
        assert [client.incrby("stock:tea", -1) for _ in range(2)] == [11, 10]
        assert client.rpush("orders", "3") == 3
        assert client.lrange("orders", 0, -1) == [b"1", b"2", b"3"]


def test_the_news(serve: Callable[..., Mock]) -> None:
    mock = serve()
    with (
        redis.Redis(port=mock.ports["news"]) as client,
        client.pubsub(ignore_subscribe_messages=True) as listener,
    ):
        listener.subscribe("news")
        found = []
        while len(found) < 2:
            message = listener.get_message(timeout=5)
            if message is not None:
                found.append(message["data"])
        assert found == [b"good morning", b"good evening"]
        assert client.publish("news", "hello") == 1
        assert listener.get_message(timeout=5)["data"] == b"hello"


def test_over_tls(serve: Callable[..., Mock]) -> None:
    mock = serve("\n    tls: auto")
    trusted = str(mock.project / ".svcmock" / "ca" / "ca.pem")
    with redis.Redis(host="localhost", port=mock.ports["cache"], ssl=True, ssl_ca_certs=trusted) as client:
        assert client.get("user:42") == b'{"id":42,"name":"Ann"}'
