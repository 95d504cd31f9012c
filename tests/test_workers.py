"""Several workers taken through changes together: what one of them cannot do, none does."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from svcmock.config import load_graph
from svcmock.model import Graph, Problem
from svcmock.process import LogTo, Process
from svcmock.project import Version
from svcmock.protocol import SvcmockError
from svcmock.workers import Workers, failed
from tests.routes import PLUGINS, project

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
COUNTS = [1, pytest.param(2, marks=on_linux)]


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


def died(workers: Workers, number: int = 0) -> Process:
    """Kill a worker, and let nobody take notice yet."""
    process = workers._slots[number].process
    assert process is not None
    process.kill()
    return process


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def replaced(workers: Workers, restarts: int = 1) -> None:
    """Wait until all are there again; the limit of `together` ends it."""
    while workers.restarts < restarts or len(await workers.reports()) < workers.count:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


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
        await replaced(workers)
        return await statuses(workers)

    if sys.platform == "linux":
        assert together(project(tmp_path, route(201)), 2, work) == {202}


@on_linux
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("step", ["load", "adopt", "commit", "discard"])
def test_a_worker_killed_in_the_middle_of_a_step_does_not_hold_up_the_others(
    tmp_path: Path, step: str, number: int
) -> None:
    """Whichever it is, all of them serve the same in the end."""

    async def work(workers: Workers) -> set[int]:
        await change(workers, tmp_path)
        project(tmp_path, route(202))

        async def take(name: str) -> None:
            done = getattr(workers, name)
            taking = asyncio.ensure_future(done(graph_of(tmp_path)) if name == "load" else done())
            if name == step:
                process = workers._slots[number].process
                assert process is not None
                os.kill(process.pid, signal.SIGSTOP)
                await asyncio.wait((taking,), timeout=0.1)
                assert not taking.done()
                process.kill()
            assert not await taking

        async with workers.changing:
            await take("load")
            await take("adopt")
            if step == "discard":
                await take("discard")
                project(tmp_path, route(201))
            else:
                await take("commit")
        await replaced(workers)
        return await statuses(workers)

    assert together(project(tmp_path, route(201)), 2, work) == {201 if step == "discard" else 202}


@on_linux
def test_a_worker_that_does_not_answer_is_killed_and_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("svcmock.workers.LOOK_SECONDS", 0.1)
    monkeypatch.setattr("svcmock.workers.REPORT_SECONDS", 1.5)

    async def work(workers: Workers) -> set[int]:
        await change(workers, tmp_path)
        project(tmp_path, route(202))
        process = workers._slots[0].process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        await change(workers, tmp_path)
        await replaced(workers)
        return await statuses(workers)

    assert together(project(tmp_path, route(201)), 2, work) == {202}


@on_linux
def test_one_that_has_hung_up_and_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("svcmock.workers.LOOK_SECONDS", 0.1)

    async def work(workers: Workers) -> int:
        await change(workers, tmp_path)
        process = workers._slots[0].process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        process._caller.close()
        code = await process._process.wait()
        await replaced(workers)
        return code

    assert together(project(tmp_path, route(201)), 2, work) == -signal.SIGKILL


@on_linux
def test_a_worker_that_dies_before_anything_is_served_is_replaced(tmp_path: Path) -> None:
    async def work(workers: Workers) -> set[int]:
        died(workers)
        await replaced(workers)
        await change(workers, tmp_path)
        return await statuses(workers)

    assert together(project(tmp_path, route(201)), 2, work) == {201}


@on_linux
@pytest.mark.parametrize("step", ["load", "adopt"])
def test_a_start_is_none_where_all_workers_die(tmp_path: Path, step: str) -> None:
    async def work(workers: Workers) -> None:
        async with workers.changing:
            if step == "adopt":
                assert await workers.load(graph_of(tmp_path)) == []
            for number in range(2):
                await died(workers, number).ended()
            problems = await (workers.load(graph_of(tmp_path)) if step == "load" else workers.adopt())
            assert [str(each) for each in problems] == [
                "svcmock.yaml:1:1: the workers ended before they could serve"
            ]

    together(project(tmp_path, route(201)), 2, work)


@on_linux
def test_files_are_read_before_they_are_taken_over_also_where_no_worker_is_there(tmp_path: Path) -> None:
    async def work(workers: Workers) -> set[int]:
        await change(workers, tmp_path)
        async with workers.changing:
            for number in range(2):
                await died(workers, number).ended()
            project(tmp_path, text="request: {path: /}\nrespond: {stauts: 202}\n")
            assert failed(await workers.load(graph_of(tmp_path)))
            await workers.discard()
        project(tmp_path, route(203))
        await change(workers, tmp_path)
        await replaced(workers, 2)
        return await statuses(workers)

    assert together(project(tmp_path, route(201)), 2, work) == {203}


@on_linux
def test_a_successor_is_tried_at_once_when_other_routes_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("svcmock.workers.FIRST_PAUSE", 300.0)
    monkeypatch.setattr("svcmock.workers.LONGEST_PAUSE", 300.0)

    async def work(workers: Workers) -> None:
        await change(workers, tmp_path)
        await died(workers).ended()
        while workers._slots[0].process is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await change(workers, tmp_path)
        await replaced(workers)

    together(project(tmp_path, route(201)), 2, work)


@on_linux
def test_one_that_reads_long_and_cannot_serve_is_tried_again_after_longer_and_longer_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it took to find out."""
    monkeypatch.setattr("svcmock.workers.SHORT_LIFE", 0.0)
    monkeypatch.setattr("svcmock.workers.FIRST_PAUSE", 0.01)

    async def work(workers: Workers) -> None:
        await change(workers, tmp_path)
        project(tmp_path, text="request: {path: /}\nrespond: {stauts: 202}\n")
        slot = workers._slots[0]
        died(workers)
        while slot.pause < 0.03:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    together(project(tmp_path, route(201)), 2, work)


@on_linux
@pytest.mark.parametrize("once", [True, False])
def test_all_have_read_the_same_also_where_files_change_meanwhile(tmp_path: Path, once: bool) -> None:
    async def work(workers: Workers) -> Any:
        await change(workers, tmp_path)
        second = workers._slots[1].process
        assert second is not None
        read, edits = second.load, count(202)

        async def after_an_edit(graph: Graph) -> list[Problem]:
            if (edit := next(edits)) == 202 or not once:
                project(tmp_path, route(edit))
            return await read(graph)

        second.load = after_an_edit  # type: ignore[method-assign]
        async with workers.changing:
            problems = await workers.load(graph_of(tmp_path))
            if problems:
                await workers.discard()
                return [str(each) for each in problems], await statuses(workers)
            assert await workers.adopt() == []
            await workers.commit()
        return await statuses(workers)

    told = together(project(tmp_path, route(201)), 2, work)
    why = "svcmock.yaml:1:1: the route files change while they are read; try again"
    assert told == ({202} if once else ([why], {201}))


@on_linux
def test_a_successor_with_other_code_does_not_hold_up_changes(tmp_path: Path) -> None:
    """svcmock may be upgraded while it runs: what it reads is not told by the same hash then."""

    async def work(workers: Workers) -> set[int]:
        await change(workers, tmp_path)
        second = workers._slots[1].process
        assert second is not None

        async def version() -> Version:
            return Version(b"another way", b"another hash")

        second.version = version  # type: ignore[method-assign]
        project(tmp_path, route(202))
        await change(workers, tmp_path)
        return await statuses(workers)

    assert together(project(tmp_path, route(201)), 2, work) == {202}


@on_linux
@pytest.mark.parametrize("step", ["load", "adopt", "commit"])
def test_a_mistake_of_one_worker_leaves_all_of_them_alike(tmp_path: Path, step: str) -> None:
    async def work(workers: Workers) -> set[int]:
        await change(workers, tmp_path)
        project(tmp_path, route(202))
        second = workers._slots[1].process
        assert second is not None

        async def mistake(*_: object) -> None:
            raise SvcmockError("internal error: ZeroDivisionError")

        setattr(second, step, mistake)
        async with workers.changing:
            problems = await workers.load(graph_of(tmp_path))
            if not problems:
                problems = await workers.adopt()
            if problems:
                assert [each.message for each in problems] == ["internal error: ZeroDivisionError"]
                await workers.discard()
                return await statuses(workers)
            await workers.commit()
        await replaced(workers)
        return await statuses(workers)

    assert together(project(tmp_path, route(201)), 2, work) == {202 if step == "commit" else 201}


@on_linux
def test_a_log_that_was_rotated_is_followed_by_whoever_is_there(tmp_path: Path) -> None:
    async def work(workers: Workers) -> None:
        await change(workers, tmp_path)
        await died(workers).ended()
        (tmp_path / "log").unlink()
        await workers.reopen()
        assert (tmp_path / "log").exists()

    together(project(tmp_path, route(201)), 2, work)


@pytest.mark.parametrize("count", COUNTS)
def test_addresses_are_told_while_they_stop(tmp_path: Path, count: int) -> None:
    async def work(workers: Workers) -> None:
        await change(workers, tmp_path)
        before = workers.addresses()
        stopping = asyncio.create_task(workers.stop())
        await asyncio.sleep(0)
        assert workers.addresses() == before
        await stopping
        workers._slots, workers._site = [], None  # stopped once

    together(project(tmp_path, route(201)), count, work)


@on_linux
def test_reloads_and_restarts_leave_no_descriptor_behind(tmp_path: Path) -> None:
    async def work(workers: Workers) -> list[int]:
        counted = []
        await change(workers, tmp_path)
        for turn in range(1, 4):
            for status in range(210, 214):
                project(tmp_path, route(status), service=f"pace: {turn}")
                await change(workers, tmp_path)
            died(workers, turn % 2)
            await replaced(workers, turn)
            counted.append(descriptors())
        return counted

    assert len(set(together(project(tmp_path, route(201)), 2, work))) == 1


def test_where_clients_are_not_spread_several_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("svcmock.workers.SPREADS", False)
    with pytest.raises(SvcmockError, match="need Linux"):
        together(project(tmp_path), 2, lambda _: asyncio.sleep(0))
