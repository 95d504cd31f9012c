"""A worker process from outside: that it serves, and that it always ends."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from svcmock.config import load_graph
from svcmock.net.channel import Gone
from svcmock.net.held import Held, place_of
from svcmock.process import LogTo, Process, Shared, start_worker
from tests.routes import PLUGINS, project

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several workers need Linux")


def with_worker(root: Path, work: Callable[[Process], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        journal, turns = os.memfd_create("journal"), os.memfd_create("turns")
        log = root / "worker.log"
        process = await start_worker(root, Shared(0, 1, journal, turns), LogTo("json", "info", log))
        try:
            return await work(process)
        finally:
            await process.end(10)
            os.close(journal)
            os.close(turns)

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_it_serves_what_it_is_told_to(tmp_path: Path) -> None:
    async def work(process: Process) -> bytes:
        graph, _ = load_graph(tmp_path, PLUGINS)
        assert graph is not None
        (service,) = graph.services.values()
        held = Held(service.listen, 2)
        assert await process.load(graph) == []
        assert await process.adopt([place_of(service)], [held.socket()]) == []
        await process.commit()
        report = await process.report()
        assert (report.pid, report.services["shop"].routes) == (process.pid, 1)
        host, _, port = held.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        line = await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        held.close()
        await process.stop()
        return line

    project(tmp_path, {"request": {"path": "/"}, "respond": {"status": 207}})
    assert with_worker(tmp_path, work).startswith(b"HTTP/1.1 207 ")


def test_problems_come_back_whole(tmp_path: Path) -> None:
    async def work(process: Process) -> list[str]:
        graph, _ = load_graph(tmp_path, PLUGINS)
        assert graph is not None
        return [str(problem) for problem in await process.load(graph)]

    project(tmp_path, text="request: {path: /}\nrespond: {stauts: 202}\n")
    assert with_worker(tmp_path, work) == [
        "routes/shop.yaml:2:11: unknown key `stauts`; did you mean `status`?"
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_not_for_it(tmp_path: Path, number: int) -> None:
    async def work(process: Process) -> int:
        await process.report()
        os.kill(process.pid, number)
        return (await process.report()).pid

    assert with_worker(project(tmp_path), work) > 0


def test_whoever_waits_for_a_killed_one_is_told(tmp_path: Path) -> None:
    async def work(process: Process) -> int:
        await process.report()
        process.kill()
        code = await process.ended()
        with pytest.raises(Gone):
            await process.report()
        return code

    assert with_worker(project(tmp_path), work) == -signal.SIGKILL


def test_one_that_is_hung_up_on_while_it_reads_routes_does_not_wait_for_them(tmp_path: Path) -> None:
    """A file that never ends keeps its thread."""

    async def work(process: Process) -> int:
        graph, _ = load_graph(tmp_path, PLUGINS)
        assert graph is not None
        loading = asyncio.create_task(process.load(graph))
        await process.report()
        await process.report()
        process._caller.close()
        with pytest.raises(Gone):
            await loading
        return await process.ended()

    project(tmp_path)
    (tmp_path / "routes" / "shop.yaml").unlink()
    os.mkfifo(tmp_path / "routes" / "shop.yaml")
    graph = tmp_path / "svcmock.yaml"
    graph.write_text(graph.read_text().replace("routes/", "routes/shop.yaml"))
    assert with_worker(tmp_path, work) == 0


def test_one_that_does_not_react_is_killed(tmp_path: Path) -> None:
    async def work(process: Process) -> int:
        await process.report()
        os.kill(process.pid, signal.SIGSTOP)
        await process.end(0.05)
        return await process.ended()

    assert with_worker(project(tmp_path), work) == -signal.SIGKILL
