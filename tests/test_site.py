"""What one process serves, step by step: nothing shows before `commit`, and `discard` leaves no trace."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from svcmock.config import load_graph
from svcmock.files import ProjectFiles
from svcmock.journal import Entry, Journal, Outcome
from svcmock.model import Graph
from svcmock.net.held import Held, Place, place_of
from svcmock.site import Site
from svcmock.turns import LocalTurns
from tests.routes import PLUGINS, project


def graph_of(root: Path) -> Graph:
    graph, problems = load_graph(root, PLUGINS)
    assert graph is not None, problems
    return graph


def route(status: int, path: str = "/") -> Any:
    return {"request": {"path": path}, "respond": {"status": status}}


class Stage:
    """A site and the addresses it is given."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.site = Site(root, PLUGINS, Journal(), LocalTurns())
        self.held: dict[Place, Held] = {}
        self.stopped = False

    async def prepare(self) -> None:
        graph = graph_of(self.root)
        assert await self.site.load(graph) == []
        new = {place_of(s): s.listen for s in graph.services.values() if place_of(s) not in self.held}
        self.held |= {place: Held(listen) for place, listen in new.items()}
        assert await self.site.adopt(list(new), [self.held[place].socket() for place in new]) == []

    async def change(self) -> None:
        await self.prepare()
        await self.site.commit()

    async def status(self) -> int:
        (held, *_) = self.held.values()
        host, _, port = held.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        line = await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        return int(line.split()[1])


def staged(root: Path, work: Callable[[Stage], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        stage = Stage(root)
        try:
            return await work(stage)
        finally:
            if not stage.stopped:
                await stage.site.stop()
            for held in stage.held.values():
                held.close()

    return asyncio.run(asyncio.wait_for(run(), 30))


def test_nothing_shows_before_commit(tmp_path: Path) -> None:
    async def work(stage: Stage) -> list[int]:
        await stage.change()
        project(tmp_path, route(202))
        await stage.prepare()
        told = [await stage.status()]
        await stage.site.commit()
        return [*told, await stage.status()]

    assert staged(project(tmp_path, route(201)), work) == [201, 202]


def test_what_is_discarded_leaves_no_trace(tmp_path: Path) -> None:
    async def work(stage: Stage) -> tuple[int, list[str]]:
        await stage.change()
        graph = tmp_path / "svcmock.yaml"
        graph.write_text(graph.read_text() + "  more: {listen: 0, protocol: http, routes: routes/}\n")
        await stage.prepare()
        await stage.site.discard()
        assert list(stage.site._sockets) == list(stage.held)[:1]
        return await stage.status(), list((await stage.site.report()).services)

    assert staged(project(tmp_path, route(201)), work) == (201, ["shop"])


def test_problems_are_given_and_what_runs_goes_on(tmp_path: Path) -> None:
    async def work(stage: Stage) -> tuple[list[str], int]:
        await stage.change()
        project(tmp_path, text="request: {path: /}\nrespond: {stauts: 202}\n")
        problems = await stage.site.load(graph_of(tmp_path))
        await stage.site.discard()
        return [str(problem).partition(": ")[0] for problem in problems], await stage.status()

    assert staged(project(tmp_path, route(201)), work) == (["routes/shop.yaml:2:11"], 201)


def test_a_report_and_an_explanation(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.change()
        await stage.status()
        report = await stage.site.report()
        facts = report.services["shop"]
        assert (facts.routes, facts.refused) == (2, 0)
        served = stage.site._served["shop"].serving.responder
        files = ProjectFiles(tmp_path, "routes/shop.yaml")
        request = served.plugin.request(served.plugin.RequestDoc(path="/nowhere"), files, served.context)
        explained = await stage.site.explain(Entry(7, 0.0, request, Outcome("shop", None, "501")))
        assert explained is not None
        assert (explained["miss"], explained["answered_now"]) == ("m-7", False)
        assert await stage.site.explain(Entry(7, 0.0, request, Outcome("gone", None, "501"))) is None

    staged(project(tmp_path, route(201), route(202, "/more")), work)


def test_nobody_is_accepted_while_it_drains(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.change()
        (held,) = stage.held.values()
        host, _, port = held.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        while not stage.site._journal.next_id > 1:  # noqa: ASYNC110  the request is taken
            await asyncio.sleep(0.002)
        held.close()
        stage.stopped = True
        stopping = asyncio.create_task(stage.site.stop())
        await asyncio.sleep(0)
        with suppress(ConnectionError):
            await asyncio.open_connection(host, int(port))
            raise AssertionError("somebody listens")
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 200")
        writer.close()
        await stopping

    slow = {"request": {"path": "/slow"}, "delay": "200ms", "respond": {"status": 200}}
    staged(project(tmp_path, slow), work)
