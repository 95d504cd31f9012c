"""A service from its bound socket to its end: serving, draining, and clients that outlast the drain."""

import asyncio
import time
from pathlib import Path
from typing import Any

from svcmock.journal import Journal
from svcmock.model import Tcp
from svcmock.net.listener import bind
from svcmock.net.served import Served
from tests.net.wire import connections, noted
from tests.routes import responder

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"


def made(root: Path, *docs: Any, service: str = "") -> Served:
    return Served(responder(root, *docs, service=service), bind(Tcp("127.0.0.1", 0)), Journal(), root, None)


async def dialled(served: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = served.listener.address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


def late(path: str, delay: str) -> Any:
    return {"request": {"path": path}, "respond": {"status": 200, "body": path}, "delay": delay}


def test_answers_under_way_arrive_before_the_end_and_nobody_new_gets_in(tmp_path: Path) -> None:
    async def run() -> tuple[bytes, bytes, bool]:
        served = made(tmp_path, late("/slow", "50ms"))
        await served.start()
        (busy, writer), (idle, other) = await dialled(served), await dialled(served)
        writer.write(GET % b"/slow")
        while not noted(served.serving).hits:  # noqa: ASYNC110  the request is taken
            await asyncio.sleep(0.002)
        stopping = asyncio.create_task(served.stop())
        answers = await asyncio.wait_for(busy.read(), 10), await asyncio.wait_for(idle.read(), 10)
        for one in (writer, other):
            one.close()
        await asyncio.wait_for(stopping, 10)
        return *answers, bool(served.serving.connections)

    answered, nothing, left = asyncio.run(run())
    assert answered.endswith(b"/slow")
    assert nothing == b""
    assert not left


def test_a_client_that_waits_longer_than_the_drain_is_cut_off(tmp_path: Path) -> None:
    async def run() -> bytes:
        served = made(tmp_path, late("/never", "1h"), service="limits: {drain: 0.05}")
        await served.start()
        reader, writer = await dialled(served)
        writer.write(GET % b"/never")
        while not noted(served.serving).hits:  # noqa: ASYNC110  the request is taken
            await asyncio.sleep(0.002)
        await asyncio.wait_for(served.stop(), 10)
        try:
            data = await asyncio.wait_for(reader.read(), 10)
        except ConnectionResetError:
            data = b""
        writer.close()
        return data

    before = time.monotonic()
    assert asyncio.run(run()) == b""
    assert time.monotonic() - before < 3600


def test_idle_clients_are_looked_at_by_the_service_limit(tmp_path: Path) -> None:
    async def run() -> bytes:
        served = made(tmp_path, late("/", "0s"), service="limits: {idle: 5}")
        await served.start()
        reader, writer = await dialled(served)
        writer.write(GET[:10])
        while not any(c._session.at_rest is None for c in connections(served.serving)):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        for later in (0, 6):
            served.check_idle(asyncio.get_running_loop().time() + later)
        data = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await served.stop()
        return data

    assert asyncio.run(run()).startswith(b"HTTP/1.1 408 ")
