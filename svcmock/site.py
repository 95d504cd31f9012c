"""What one process serves: the services of a project, by routes that are replaced whole.

A change of routes has four steps, so that several processes can take each of them together: `load` reads and
compiles beside the running routes, `adopt` gets ready all that can fail, `commit` switches over, and `discard`
takes it back. What fails before `commit` leaves everything as it was.

Several processes serve a service together, or one of them does where its connections share something: what a
client wrote or published must be there for a client that another process would have accepted.
"""

import asyncio
import gc
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol
from zlib import crc32

from msgspec import Struct

from svcmock import reports
from svcmock.capabilities import Sharing
from svcmock.engine import Responder
from svcmock.journal import Entry, Notes
from svcmock.model import FILE, Graph, Problem, Service
from svcmock.net.ca import Ca, load_or_create_ca
from svcmock.net.held import Place, place_of
from svcmock.net.served import Served
from svcmock.project import Loaded, Loader, Version
from svcmock.protocol import Doc, Invalid, Plugin, SvcmockError
from svcmock.running import PRIVATE
from svcmock.turns import Turns

IDLE_CHECKS = 4
"""How often connections are looked at within one idle limit."""


def members_of(service: Service, plugin: Plugin, count: int) -> Sequence[int]:
    """Which of `count` processes serve a service. One goes by its name: a reload leaves it where it is."""
    if isinstance(plugin, Sharing):
        return (crc32(service.name.encode()) % count,)
    return range(count)


class Member(Protocol):
    """A site: here, or in another process. `number`: which of them it is, from 0 on."""

    number: int

    async def load(self, graph: Graph) -> list[Problem]: ...
    async def version(self) -> Version: ...
    async def adopt(self, places: Sequence[Place], sockets: Sequence[socket.socket] = ()) -> list[Problem]: ...
    async def commit(self) -> None: ...
    async def sweep(self) -> None: ...
    async def discard(self) -> None: ...
    async def report(self) -> reports.Report: ...
    async def explain(self, entry: Entry) -> Doc | None: ...
    async def stop(self) -> None: ...
    async def abort(self) -> None: ...


class _Next(Struct):
    """Routes that are loaded and not served yet; once adopted, what they need to be.

    `mine`: the services that this process serves.
    """

    loaded: Loaded
    mine: list[str] = []
    prepared: dict[str, Served] = {}
    switches: list[Callable[[], None]] = []


class Site:
    """The services of one project in this process, from the first `commit` to `stop`.

    `number`: which of `count` processes it is.
    """

    def __init__(
        self,
        root: Path,
        plugins: Mapping[str, Plugin],
        journal: Notes,
        turns: Turns,
        *,
        number: int = 0,
        count: int = 1,
    ) -> None:
        self._root = root
        self._plugins = plugins
        self.number = number
        self._count = count
        self._loader = Loader(root, plugins)
        self._journal = journal
        self._turns = turns
        self._served: dict[str, Served] = {}
        self._responders: Mapping[str, Responder] = {}
        """Of every service, whoever serves it."""
        self._sockets: dict[Place, socket.socket] = {}
        """One for each address; listeners that follow each other there get copies."""
        self._next: _Next | None = None
        self._ca: Ca | None = None
        self._ending: set[asyncio.Task[None]] = set()
        """Services that the routes of now do not have, while they finish their answers."""
        self._checking: asyncio.Task[None] | None = None

    async def load(self, graph: Graph) -> list[Problem]:
        """Read and compile the routes; gives what is wrong with them."""
        loaded = await asyncio.to_thread(self._loader.load, self._turns, graph, time.time_ns())
        self._next = None if loaded.errors else _Next(loaded)
        return loaded.problems

    async def version(self) -> Version:
        """What was loaded, in a word."""
        return Version() if self._next is None else self._next.loaded.version

    async def adopt(self, places: Sequence[Place], sockets: Sequence[socket.socket] = ()) -> list[Problem]:
        """Make ready to serve what was loaded; gives what cannot be.

        `sockets` are for the places where it served nothing before, and belong to the site from here on.
        """
        self._sockets.update(zip(places, sockets, strict=True))
        made = self._next
        assert made is not None
        problems = []
        for name, responder in made.loaded.responders.items():
            service, old = responder.service, self._served.get(name)
            if self.number not in members_of(service, self._plugins[service.protocol], self._count):
                continue
            made.mine.append(name)
            try:
                ca = self._ca_for(service)
                if old is not None and old.can_become(service):
                    made.switches.append(old.prepare(responder, ca))
                else:
                    own = self._sockets[place_of(service)].dup()
                    try:
                        made.prepared[name] = Served(responder, own, self._journal, self._root, ca)
                    except BaseException:
                        own.close()
                        raise
            except SvcmockError as error:
                problems.append(about(service, error))
        return problems

    async def commit(self) -> None:
        """Serve by what was adopted, from the next request on."""
        made, before = self._next, self._served
        assert made is not None
        self._next = None
        for switch in made.switches:
            switch()
        for served in made.prepared.values():
            await served.start()
        self._served = {name: made.prepared.get(name) or before[name] for name in made.mine}
        self._responders = made.loaded.responders
        for name, served in before.items():
            if self._served.get(name) is not served:
                task = asyncio.get_running_loop().create_task(served.stop())
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
        self._release()
        # What was loaded stays until the next reload, and holds no cycles: a full collection need not walk it.
        gc.freeze()
        if self._checking is None:
            self._checking = asyncio.get_running_loop().create_task(self._check_idle())

    async def sweep(self) -> None:
        """Forget the turns of what is not served any more. For one of several sites, after all committed."""
        indexes = [responder.index for responder in self._responders.values()]
        if any(index.stored is not None for index in indexes):
            return  # which groups routes on disk have would have to be read; turns of none of them do no harm
        live = {turn for index in indexes for turn in index.turns}
        for _ in self._turns.keep(live):
            await asyncio.sleep(0)

    async def discard(self) -> None:
        """Forget what was loaded and adopted."""
        made, self._next = self._next, None
        if made is not None:
            for served in made.prepared.values():
                await served.listener.stop()
        self._release()

    def _release(self) -> None:
        """Close the sockets at addresses where no service is."""
        needed = {place_of(served.service) for served in self._served.values()}
        for place in self._sockets.keys() - needed:
            self._sockets.pop(place).close()

    def _ca_for(self, service: Service) -> Ca | None:
        if service.tls is not None and service.tls.auto and self._ca is None:
            self._ca = load_or_create_ca(self._root / PRIVATE / "ca")
        return self._ca

    # --- while it serves ---

    async def report(self) -> reports.Report:
        """What `svcmock status` tells of this process."""
        services = {
            name: reports.Facts(
                routes=served.serving.responder.index.size,
                connections=len(served.serving.connections),
                refused=served.serving.refused,
            )
            for name, served in self._served.items()
        }
        return reports.Report(os.getpid(), reports.resident_mib(), services)

    async def explain(self, entry: Entry) -> Doc | None:
        """Why a request missed, by the routes that are served now; None where its service is not."""
        responder = self._responders.get(entry.outcome.service)
        return None if responder is None else reports.why(responder, entry)

    async def _check_idle(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            shortest = min((served.service.limits.idle for served in self._served.values()), default=60.0)
            await asyncio.sleep(shortest / IDLE_CHECKS)
            for served in tuple(self._served.values()):
                served.check_idle(loop.time())

    async def stop(self) -> None:
        """Accept no more, let answers under way finish, then end every connection."""
        if self._checking is not None:
            self._checking.cancel()
        await self.discard()
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()
        async with asyncio.TaskGroup() as ending:
            for served in self._served.values():
                ending.create_task(served.stop())
            if self._ending:
                ending.create_task(_all_ended(self._ending))

    async def abort(self) -> None:
        """End every connection at once."""
        for served in self._served.values():
            served.abort()


async def _all_ended(tasks: set[asyncio.Task[None]]) -> None:
    await asyncio.wait(tuple(tasks))


def about(service: Service, error: SvcmockError) -> Problem:
    """What is wrong with a service, at its place in svcmock.yaml."""
    at = f"{'.'.join(map(str, error.at))}: " if isinstance(error, Invalid) and error.at else ""
    why = error.why if isinstance(error, Invalid) else str(error)
    return Problem(FILE, service.line, 1, f"service {service.name}: {at}{why}")
