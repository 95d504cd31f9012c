"""The daemon inside one process: all or nothing at the start, atomic reloads, an end that leaves nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from svcmock.admin import Refusal
from svcmock.daemon import Daemon, StartError
from svcmock.running import Lock
from tests.routes import PLUGINS, project


def route(status: int, path: str = "/") -> Any:
    return {"request": {"path": path}, "respond": {"status": status}}


@pytest.fixture(autouse=True)
def own_runtime_folder(short_folder: Path, monkeypatch: pytest.MonkeyPatch, clean_logging: None) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_folder))


def daemon(root: Path, work: Callable[[Daemon], Awaitable[Any]]) -> Any:
    """What `work` gives, done with a started daemon."""

    async def run() -> Any:
        lock = Lock(root)
        made = Daemon(root, PLUGINS, lock)
        try:
            await made.start()
            try:
                return await work(made)
            finally:
                await made._end()
        finally:
            lock.release()

    return asyncio.run(asyncio.wait_for(run(), 30))


async def status(where: str, path: str = "/") -> int:
    host, _, port = where.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    return int(line.split()[1])


def test_a_reload_switches_over_without_moving(tmp_path: Path) -> None:
    async def work(served: Daemon) -> list[Any]:
        where = served.addresses()["shop"]
        told: list[Any] = [await status(where)]
        project(tmp_path, route(202), route(204, "/new"))
        told.append(await served.reload())
        assert served.addresses()["shop"] == where
        return [*told, await status(where), await status(where, "/new")]

    assert daemon(project(tmp_path, route(201)), work) == [201, [], 202, 204]


def test_a_reload_of_a_broken_file_changes_nothing_and_says_why(tmp_path: Path) -> None:
    async def work(served: Daemon) -> tuple[int, list[Any], int]:
        where = served.addresses()["shop"]
        before = await status(where)
        project(tmp_path, text="request: {path: /}\nrespond: {stauts: 202}\n")
        problems = await served.reload()
        return before, [str(problem) for problem in problems], await status(where)

    before, problems, after = daemon(project(tmp_path, route(201)), work)
    assert (before, after) == (201, 201)
    assert problems == ["routes/shop.yaml:2:11: unknown key `stauts`; did you mean `status`?"]


def test_a_sequence_goes_on_after_a_reload_that_did_not_touch_it(tmp_path: Path) -> None:
    async def work(served: Daemon) -> list[int]:
        where = served.addresses()["shop"]
        told = [await status(where)]
        project(tmp_path, route(201), route(202), route(203), route(204, "/new"))
        assert await served.reload() == []
        return [*told, await status(where), await status(where)]

    assert daemon(project(tmp_path, route(201), route(202), route(203)), work) == [201, 202, 203]


def test_a_reload_that_nobody_waits_for_any_more_is_done_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(served: Daemon) -> int:
        where = served.addresses()["shop"]
        project(tmp_path, route(202))
        monkeypatch.setattr("svcmock.daemon.RELOAD_SECONDS", 0)
        with pytest.raises(Refusal, match="it goes on"):
            await served._on_reload({})
        monkeypatch.setattr("svcmock.daemon.RELOAD_SECONDS", 10)
        asking = asyncio.create_task(served._on_reload({}))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait((asking,))
        assert asking.cancelled()
        while served._tasks:
            await asyncio.wait(served._tasks)
        assert served._reloads == 2
        return await status(where)

    assert daemon(project(tmp_path, route(201)), work) == 202


def test_a_mistake_while_files_are_read_leaves_what_was_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistake(*_: object) -> None:
        raise ZeroDivisionError

    async def work(served: Daemon) -> int:
        where = served.addresses()["shop"]
        graph = tmp_path / "svcmock.yaml"
        graph.write_text(graph.read_text() + "  more: {listen: 0, protocol: http, routes: routes/}\n")
        with monkeypatch.context() as patch:
            patch.setattr("svcmock.site.Served", mistake)
            with pytest.raises(ZeroDivisionError):
                await served.reload()
        assert await served.reload() == []
        assert await status(served.addresses()["more"]) == 201
        return await status(where)

    assert daemon(project(tmp_path, route(201)), work) == 201


def test_services_come_and_go_with_the_graph(tmp_path: Path) -> None:
    async def work(served: Daemon) -> None:
        first = served.addresses()["shop"]
        graph = tmp_path / "svcmock.yaml"
        graph.write_text(graph.read_text() + "  more: {listen: 0, protocol: http, routes: routes/}\n")
        assert await served.reload() == []
        assert set(served.addresses()) == {"shop", "more"}
        assert await status(served.addresses()["more"]) == 201
        project(tmp_path, route(201), service="pace: 0")
        assert await served.reload() == []
        assert served.addresses() == {"shop": first}

    daemon(project(tmp_path, route(201)), work)


def test_every_reason_is_told_and_nothing_listens(tmp_path: Path) -> None:
    project(tmp_path, text="request: {path: /}\nrespond: {status: x}\n---\nrespond: {}\n")
    with pytest.raises(StartError) as caught:
        daemon(tmp_path, lambda _: asyncio.sleep(0))
    assert caught.value.files
    assert [reason.split(": ")[0] for reason in caught.value.reasons] == [
        "routes/shop.yaml:2:11",
        "routes/shop.yaml:4:1",
    ]


def test_the_end_leaves_no_socket_behind(tmp_path: Path) -> None:
    async def work(served: Daemon) -> str:
        return served.addresses()["shop"]

    host, _, port = daemon(project(tmp_path, route(201)), work).rpartition(":")
    with pytest.raises(OSError):
        asyncio.run(asyncio.open_connection(host, int(port)))
    assert not list((tmp_path / ".svcmock").glob("*.sock"))
