"""Those who serve a project, as one: this process alone, or several that are started, watched and replaced.

`load`, `adopt`, `commit` and `discard` take all of them through a change of routes together: what one of them
cannot do, none does. The first goes ahead, so that what it compiles is there for the others. A worker that dies
takes its own connections with it and nothing else. The others serve; what it had noted, and how far sequences
had got, is in memory that it shared (`svcmock.lane`, `svcmock.turns`); its successor begins with the routes of
now.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import structlog

from svcmock.journal import Entry, Journal, Pages
from svcmock.lane import Lane
from svcmock.model import FILE, Graph, Problem
from svcmock.net.ca import load_or_create_ca
from svcmock.net.channel import Gone
from svcmock.net.held import SPREADS, Held, Place, place_of
from svcmock.process import LogTo, Process, Shared, start_worker
from svcmock.protocol import Doc, Plugin, SvcmockError
from svcmock.reports import Report
from svcmock.running import PRIVATE
from svcmock.site import Member, Site, about
from svcmock.turns import LocalTurns

log = structlog.get_logger()

REPORT_SECONDS = 5.0
"""How long `svcmock status` waits for a worker."""
STOP_SECONDS = 5.0
"""What a worker gets, beyond the time that its services may drain, before it is killed."""
SHORT_LIFE = 10.0
"""Seconds: a worker that ends sooner is replaced after a pause, a longer one each time."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0

T = TypeVar("T")


class _Slot:
    """The place of one worker among several; `process` is None from an end to its replacement."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.process: Process | None = None
        self.restarts = 0
        self.pause = 0.0


class Workers:
    """Serves one project with `count` processes, from the first `commit` to `stop`."""

    def __init__(self, root: Path, plugins: Mapping[str, Plugin], count: int, log_to: LogTo) -> None:
        self._root = root
        self._log_to = log_to
        self._held: dict[Place, Held] = {}
        self._fresh: dict[Place, Held] = {}
        """Addresses that what is loaded needs, and what is served does not."""
        self._count = count
        self._slots: list[_Slot] = []
        self._watching: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()
        """Held while a worker is replaced, and by whoever changes routes."""
        self._stopping = False
        self._graph: Graph | None = None
        self._loading: Graph | None = None
        self._site: Site | None = None
        self.journals: Sequence[Pages]
        """What was asked and answered: by this process, or by each worker."""
        if count == 1:
            journal = Journal()
            self.journals = (journal,)
            self._site = Site(root, plugins, journal, LocalTurns())
        else:
            turns = os.memfd_create("svcmock-turns")
            lanes = [os.memfd_create("svcmock-journal") for _ in range(count)]
            self.journals = tuple(Lane(lane, number, count) for number, lane in enumerate(lanes))
            self._slots = [_Slot(Shared(number, count, lane, turns)) for number, lane in enumerate(lanes)]

    @property
    def changing(self) -> asyncio.Lock:
        """To be held from `load` to `commit` or `discard`."""
        return self._changing

    async def start(self) -> None:
        """Start the processes. Raises SvcmockError."""
        if self._slots and not SPREADS:
            raise SvcmockError("several workers need Linux: nothing else spreads clients over them")
        try:
            async with asyncio.TaskGroup() as starting:
                for slot in self._slots:
                    starting.create_task(self._hire(slot))
        except* OSError as errors:
            raise SvcmockError(f"a worker cannot be started: {errors.exceptions[0]}") from None

    async def _start(self, slot: _Slot) -> Process:
        process = await start_worker(self._root, slot.shared, self._log_to)
        task = asyncio.get_running_loop().create_task(self._watch(slot, process))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        return process

    async def _hire(self, slot: _Slot) -> None:
        slot.process = await self._start(slot)

    # --- changes of routes ---

    async def load(self, graph: Graph) -> list[Problem]:
        """Read and compile the routes of `graph`; gives what is wrong with them."""
        self._loading = graph
        return await self._one_by_one(lambda member: member.load(graph))

    async def adopt(self) -> list[Problem]:
        """Make ready to serve what was loaded; gives what cannot be."""
        assert self._loading is not None
        if self._slots and any(service.tls and service.tls.auto for service in self._loading.services.values()):
            load_or_create_ca(self._root / PRIVATE / "ca")  # by one, not by each worker
        sockets, problems = self._hold(self._loading)
        try:
            if not problems:
                places = list(sockets)
                problems = await self._one_by_one(
                    lambda member: member.adopt(places, [sockets[place].pop() for place in places])
                )
        finally:
            for left in (sock for several in sockets.values() for sock in several):
                left.close()
        return problems

    def _hold(self, graph: Graph) -> tuple[dict[Place, list[socket.socket]], list[Problem]]:
        """Bind what is not bound yet; gives sockets for each process."""
        sockets, problems = {}, []
        for service in graph.services.values():
            place = place_of(service)
            if place in self._held or place in self._fresh:
                continue
            try:
                held = self._fresh[place] = Held(service.listen, self._count)
                sockets[place] = [held.socket() for _ in range(self._count)]
            except SvcmockError as error:
                problems.append(about(service, error))
        return sockets, problems

    async def commit(self) -> None:
        """Serve by what was adopted, from the next request on."""
        await self._all(lambda member: member.commit())
        await self._all(lambda member: member.sweep(), self._members()[:1])
        graph = self._graph = self._loading
        assert graph is not None
        self._held |= self._fresh
        self._fresh.clear()
        needed = {place_of(service) for service in graph.services.values()}
        for place in self._held.keys() - needed:
            self._held.pop(place).close()

    async def discard(self) -> None:
        """Go on as before."""
        await self._all(lambda member: member.discard())
        for held in self._fresh.values():
            held.close()
        self._fresh.clear()

    def addresses(self) -> dict[str, str]:
        """Where each service is to be found."""
        if self._graph is None:
            return {}
        services = self._graph.services.values()
        return {service.name: self._held[place_of(service)].address for service in services}

    # --- while they serve ---

    async def reports(self) -> list[Report]:
        """One of each that answers."""

        async def report(member: Member) -> Report | None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPORT_SECONDS):
                    return await member.report()
            return None

        return [found for found in await self._all(report) if found is not None]

    @property
    def restarts(self) -> int:
        """How often a worker was replaced."""
        return sum(slot.restarts for slot in self._slots)

    async def explain(self, entry: Entry) -> Doc | None:
        """Why a request missed, by the routes that are served now; None where its service is not."""
        for member in self._members():
            with contextlib.suppress(Gone):
                return await member.explain(entry)
        raise SvcmockError("no worker is there to explain it; try again")

    async def reopen(self) -> None:
        """Follow a log file that was rotated away."""
        await asyncio.gather(*(slot.process.reopen() for slot in self._slots if slot.process is not None))

    async def abort(self) -> None:
        """End every connection at once."""
        await self._all(lambda member: member.abort())

    async def stop(self) -> None:
        """Accept no more, let answers under way finish, then end."""
        self._stopping = True
        for task in self._watching:
            task.cancel()
        for held in (*self._held.values(), *self._fresh.values()):
            held.close()
        self._held.clear()
        self._fresh.clear()
        services = () if self._graph is None else self._graph.services.values()
        patience = STOP_SECONDS + max((service.limits.drain for service in services), default=0.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._all(lambda member: member.stop())
        await asyncio.gather(*(slot.process.end(STOP_SECONDS) for slot in self._slots if slot.process))

    # --- supervision ---

    async def _watch(self, slot: _Slot, process: Process) -> None:
        """Replace `process` when it ends, once."""
        code = await process.ended()
        if self._stopping:
            return
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        log.error("a worker ended", worker=slot.shared.number, pid=process.pid, how=how)
        slot.process = None
        short = time.monotonic() - process.born < SHORT_LIFE
        slot.pause = min(max(2 * slot.pause, FIRST_PAUSE), LONGEST_PAUSE) if short else 0.0
        successor: Process | None = None
        while successor is None and not self._stopping:
            await asyncio.sleep(slot.pause)
            async with self._changing:
                try:
                    successor = await self._start(slot)
                except OSError as error:
                    log.error("a worker cannot be started", worker=slot.shared.number, why=str(error))  # noqa: TRY400
                    slot.pause = LONGEST_PAUSE
                else:
                    await self._instruct(slot, successor)

    async def _instruct(self, slot: _Slot, process: Process) -> None:
        """Let a successor serve what the others do. One that cannot is ended, which its own watch sees."""
        graph = self._graph
        assert graph is not None
        try:
            problems = await process.load(graph)
            if not failed(problems):
                sockets = [held.socket() for held in self._held.values()]
                problems = await process.adopt(list(self._held), sockets)
            if not failed(problems):
                await process.commit()
        except SvcmockError as error:
            problems = [Problem(FILE, 1, 1, str(error))]
        except BaseException:  # we are to stop
            process.kill()
            raise
        if failed(problems):
            why = next(str(problem) for problem in problems if problem.severity == "error")
            log.error("a worker cannot serve", worker=slot.shared.number, pid=process.pid, why=why)
            process.kill()
            return
        slot.process = process
        slot.restarts += 1
        log.info("a worker was replaced", worker=slot.shared.number, pid=process.pid)

    # --- one of them, and all ---

    def _members(self) -> list[Member]:
        if self._site is not None:
            return [self._site]
        return [slot.process for slot in self._slots if slot.process is not None]

    async def _all(
        self, act: Callable[[Member], Awaitable[T]], members: Iterable[Member] | None = None
    ) -> list[T]:
        """What each of them gives that has not ended."""

        async def one(member: Member) -> list[T]:
            with contextlib.suppress(Gone):
                return [await act(member)]
            return []

        return [
            given
            for each in await asyncio.gather(*map(one, self._members() if members is None else members))
            for given in each
        ]

    async def _one_by_one(self, act: Callable[[Member], Awaitable[list[Problem]]]) -> list[Problem]:
        """The problems of the first; where it has none that forbid going on, of all, each once."""
        members = iter(self._members())
        problems: list[Problem] = []
        for first in members:
            with contextlib.suppress(Gone):
                problems = await act(first)
                break
        if not failed(problems):
            for more in await self._all(act, members):
                problems += more
        return list(dict.fromkeys(problems))


def failed(problems: Sequence[Problem]) -> bool:
    """Whether there are errors among them."""
    return any(problem.severity == "error" for problem in problems)
