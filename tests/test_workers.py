"""Several workers taken through changes together: what one of them cannot do, none does."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from svcmock.config import load_graph
from svcmock.model import Graph
from svcmock.process import LogTo
from svcmock.protocol import SvcmockError
from svcmock.workers import Workers, failed
from tests.routes import PLUGINS, project

COUNTS = [1, pytest.param(2, marks=pytest.mark.skipif(sys.platform != "linux", reason="needs Linux"))]


def route(status: int) -> Any:
    return {"request": {"path": "/"}, "respond": {"status": status}}


def graph_of(root: Path) -> Graph:
    graph, problems = load_graph(root, PLUGINS)
    assert graph is not None, problems
    return graph


def together(root: Path, count: int, work: Callable[[Workers], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        workers = Workers(root, PLUGINS, count, LogTo(file=root / "log"))
        await workers.start()
        try:
            return await work(workers)
        finally:
            await workers.stop()

    return asyncio.run(asyncio.wait_for(run(), 60))


async def change(workers: Workers, root: Path) -> None:
    async with workers.changing:
        assert await workers.load(graph_of(root)) == []
        assert await workers.adopt() == []
        await workers.commit()


async def statuses(workers: Workers) -> set[int]:
    """Of enough clients that each worker has some."""
    host, _, port = workers.addresses()["shop"].rpartition(":")
    found = set()
    for _ in range(16):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        found.add(int((await asyncio.wait_for(reader.readline(), 10)).split()[1]))
        writer.close()
    return found


@pytest.mark.parametrize("count", COUNTS)
def test_all_of_them_change_at_commit(tmp_path: Path, count: int) -> None:
    async def work(workers: Workers) -> list[set[int]]:
        await change(workers, tmp_path)
        told = [await statuses(workers)]
        project(tmp_path, route(202))
        async with workers.changing:
            assert await workers.load(graph_of(tmp_path)) == []
            assert await workers.adopt() == []
            told.append(await statuses(workers))
            await workers.commit()
        assert len(await workers.reports()) == count
        return [*told, await statuses(workers)]

    assert together(project(tmp_path, route(201)), count, work) == [{201}, {201}, {202}]


@pytest.mark.parametrize("count", COUNTS)
def test_problems_are_told_once_and_nothing_changes(tmp_path: Path, count: int) -> None:
    async def work(workers: Workers) -> tuple[list[str], set[int]]:
        await change(workers, tmp_path)
        project(tmp_path, text="request: {path: /}\nrespond: {stauts: 202}\n")
        problems = await workers.load(graph_of(tmp_path))
        assert failed(problems)
        await workers.discard()
        return [str(problem).partition(": ")[0] for problem in problems], await statuses(workers)

    assert together(project(tmp_path, route(201)), count, work) == (["routes/shop.yaml:2:11"], {201})


@pytest.mark.parametrize("count", COUNTS)
def test_an_address_that_was_taken_back_is_free_again(tmp_path: Path, count: int) -> None:
    async def work(workers: Workers) -> None:
        await change(workers, tmp_path)
        text = (tmp_path / "svcmock.yaml").read_text()
        (tmp_path / "svcmock.yaml").write_text(
            text + "  more: {listen: 'unix:more.sock', protocol: http, routes: routes/}\n"
        )
        for last in (False, True):
            assert await workers.load(graph_of(tmp_path)) == []
            assert await workers.adopt() == []
            if last:
                await workers.commit()
            else:
                await workers.discard()
                assert not list(tmp_path.rglob("more.sock"))  # noqa: ASYNC240
        assert set(workers.addresses()) == {"shop", "more"}

    together(project(tmp_path, route(201)), count, work)


def test_a_worker_that_dies_in_the_middle_of_a_change_has_a_successor_that_made_it(tmp_path: Path) -> None:
    async def work(workers: Workers) -> set[int]:
        await change(workers, tmp_path)
        project(tmp_path, route(202))
        async with workers.changing:
            assert await workers.load(graph_of(tmp_path)) == []
            process = workers._slots[0].process
            assert process is not None
            process.kill()
            await process.ended()
            assert await workers.adopt() == []
            await workers.commit()
        while workers.restarts < 1:  # noqa: ASYNC110  bounded by the test's own limit
            await asyncio.sleep(0.01)
        assert len(await workers.reports()) == 2
        return await statuses(workers)

    if sys.platform == "linux":
        assert together(project(tmp_path, route(201)), 2, work) == {202}


def test_where_clients_are_not_spread_several_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("svcmock.workers.SPREADS", False)
    with pytest.raises(SvcmockError, match="need Linux"):
        together(project(tmp_path), 2, lambda _: asyncio.sleep(0))
