"""Those who serve a project, as one: this process alone, or several that are started, watched and replaced.

`load`, `adopt`, `commit` and `discard` take all of them through a change of routes together: what one of them
cannot do, none does. The first goes ahead, so that what it compiles is there for the others. A worker that dies
takes its own connections with it and nothing else. The others serve; what it had noted, and how far sequences
had got, is in memory that it shared (`svcmock.lane`, `svcmock.turns`); its successor begins with the routes of
now. One that lives and does not answer is killed: its clients would wait for ever, and so would every reload.
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

from svcmock.journal import Entry, Journal, Notes, Pages
from svcmock.lane import Lane
from svcmock.model import FILE, Graph, Problem, Service
from svcmock.net.ca import load_or_create_ca
from svcmock.net.channel import Gone
from svcmock.net.held import SPREADS, Held, Place, place_of
from svcmock.process import LogTo, Process, Shared, start_worker
from svcmock.project import Version
from svcmock.protocol import Doc, Plugin, SvcmockError
from svcmock.reports import Report
from svcmock.running import PRIVATE
from svcmock.site import Member, Site, about, members_of
from svcmock.turns import LocalTurns

log = structlog.get_logger()

REPORT_SECONDS = 5.0
"""How long `svcmock status`, and whoever looks whether a worker is there, waits for it to answer."""
LOOK_SECONDS = 5.0
"""From one look whether a worker answers to the next."""
SILENCES = 3
"""Looks in a row without an answer after which a worker is killed: half a minute.

Several, because this process may be the one that was stopped: then the answer comes after the time is over.
"""
LOADS = 3
"""How often files are read anew that changed while the workers, one after the other, were reading them."""
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
        self.since = 0.0
        """When `process` came."""
        self.restarts = 0
        self.pause = 0.0
        self.again = asyncio.Event()
        """Set to try at once, and not after the pause."""

    def fill(self, process: Process) -> None:
        self.process = process
        self.since = time.monotonic()


class Workers:
    """Serves one project with `count` processes, from the first `commit` to `stop`."""

    def __init__(self, root: Path, plugins: Mapping[str, Plugin], count: int, log_to: LogTo) -> None:
        self._root = root
        self._plugins = plugins
        self._log_to = log_to
        self._held: dict[Place, Held] = {}
        self._fresh: dict[Place, Held] = {}
        """Addresses that what is loaded needs, and what is served does not."""
        self._given: dict[Place, Sequence[int]] = {}
        """Which processes have a socket there."""
        self.count = count
        """How many processes serve when all are there."""
        self._addresses: dict[str, str] = {}
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
            self._site = self._alone(journal)
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
        slot.fill(await self._start(slot))

    def _alone(self, journal: Notes) -> Site:
        """A site in this process."""
        return Site(self._root, self._plugins, journal, LocalTurns())

    # --- changes of routes ---

    async def load(self, graph: Graph) -> list[Problem]:
        """Read and compile the routes of `graph`; gives what is wrong with them.

        All of them have read the same when nothing is wrong.
        """
        self._loading = graph
        for _ in range(LOADS):
            problems = await self._one_by_one(lambda member: member.load(graph))
            if problems is None:
                # whoever comes next must find what it can load
                return self._nobody() or await self._alone(Journal()).load(graph)
            if failed(problems) or _agree(await self._all(lambda member: member.version())):
                return problems
        return [Problem(FILE, 1, 1, "the route files change while they are read; try again")]

    def _nobody(self) -> list[Problem]:
        """What it means that no worker is there: at a start, that there will be none."""
        return [] if self._graph else [Problem(FILE, 1, 1, "the workers ended before they could serve")]

    async def adopt(self) -> list[Problem]:
        """Make ready to serve what was loaded; gives what cannot be."""
        assert self._loading is not None
        if self._slots and any(service.tls and service.tls.auto for service in self._loading.services.values()):
            load_or_create_ca(self._root / PRIVATE / "ca")  # by one, not by each worker
        sockets, problems = self._hold(self._loading)

        def adopt(member: Member) -> Awaitable[list[Problem]]:
            own = sockets.pop(member.number)
            return member.adopt(list(own), list(own.values()))

        try:
            if not problems:
                found = await self._one_by_one(adopt)
                problems = self._nobody() if found is None else found
        finally:
            for left in (sock for own in sockets.values() for sock in own.values()):
                left.close()
        return problems

    def _hold(self, graph: Graph) -> tuple[dict[int, dict[Place, socket.socket]], list[Problem]]:
        """Bind what is not bound yet; gives the sockets that each process needs and does not have."""
        sockets: dict[int, dict[Place, socket.socket]] = {number: {} for number in range(self.count)}
        problems = []
        for service in graph.services.values():
            place = place_of(service)
            try:
                held = self._held.get(place) or self._fresh.get(place)
                if held is None:
                    held = self._fresh[place] = Held(service.listen, self.count)
                for number in self._serving(service):
                    if number not in self._given.get(place, ()) and place not in sockets[number]:
                        sockets[number][place] = held.socket()
            except SvcmockError as error:
                problems.append(about(service, error))
        return sockets, problems

    def _serving(self, service: Service) -> Sequence[int]:
        """The processes that serve it."""
        return members_of(service, self._plugins[service.protocol], self.count)

    async def commit(self) -> None:
        """Serve by what was adopted, from the next request on."""
        await self._all(_commit)
        graph = self._graph = self._loading
        assert graph is not None
        self._held |= self._fresh
        self._fresh.clear()
        services = graph.services.values()
        self._addresses = {service.name: self._held[place_of(service)].address for service in services}
        self._given = {place_of(service): self._serving(service) for service in services}
        for place in self._held.keys() - {place_of(service) for service in services}:
            self._held.pop(place).close()
        for slot in self._slots:
            slot.again.set()
        await self._all(lambda member: member.sweep(), self._members()[:1])

    async def discard(self) -> None:
        """Go on as before."""
        await self._all(lambda member: member.discard())
        for held in self._fresh.values():
            held.close()
        self._fresh.clear()

    def addresses(self) -> dict[str, str]:
        """Where each service is to be found, also while they stop."""
        return dict(self._addresses)

    # --- while they serve ---

    async def reports(self) -> list[Report]:
        """One of each that answers."""

        async def report(member: Member) -> Report | None:
            with contextlib.suppress(TimeoutError, SvcmockError):
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

        async def reopen(process: Process) -> None:
            with contextlib.suppress(Gone):  # its successor opens the new one
                await process.reopen()

        await asyncio.gather(*(reopen(slot.process) for slot in self._slots if slot.process is not None))

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
        code = await self._end_of(slot, process)
        if self._stopping:
            return
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        log.error("a worker ended", worker=slot.shared.number, pid=process.pid, how=how)
        # one that never came to serve has had a short life, however long it took to read the routes
        short = slot.process is not process or time.monotonic() - slot.since < SHORT_LIFE
        slot.process = None
        slot.pause = min(max(2 * slot.pause, FIRST_PAUSE), LONGEST_PAUSE) if short else 0.0
        successor: Process | None = None
        while successor is None and not self._stopping:
            slot.again.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(slot.pause):
                    await slot.again.wait()
            async with self._changing:
                try:
                    successor = await self._start(slot)
                except OSError as error:
                    log.error("a worker cannot be started", worker=slot.shared.number, why=str(error))  # noqa: TRY400
                    slot.pause = LONGEST_PAUSE
                else:
                    await self._instruct(slot, successor)

    async def _end_of(self, slot: _Slot, process: Process) -> int:
        """Wait for its end, and bring it about if it does not answer any more; gives its exit code."""
        ended = asyncio.ensure_future(process.ended())
        silences = 0
        try:
            while not (await asyncio.wait({ended}, timeout=LOOK_SECONDS))[0]:
                try:
                    async with asyncio.timeout(REPORT_SECONDS):
                        await process.report()
                    silences = 0
                except (TimeoutError, Gone):  # hung up and still there: it is to end, and does not
                    silences += 1
                except SvcmockError:
                    silences = 0
                if silences == SILENCES and not ended.done():
                    log.error("a worker does not answer", worker=slot.shared.number, pid=process.pid)
                    process.kill()
            return ended.result()
        finally:
            ended.cancel()

    async def _instruct(self, slot: _Slot, process: Process) -> None:
        """Let a successor serve what the others do. One that cannot is ended, which its own watch sees."""
        graph = self._graph
        try:
            problems: list[Problem] = []
            if graph is not None:  # else nobody serves yet: it is taken along with the others
                problems = await self._teach(process, graph)
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
        slot.fill(process)
        slot.restarts += 1
        log.info("a worker was replaced", worker=slot.shared.number, pid=process.pid)

    async def _teach(self, process: Process, graph: Graph) -> list[Problem]:
        """Take one through the steps that all others have behind them; gives why it could not be."""
        problems = await process.load(graph)
        if not failed(problems):
            places = [place for place, given in self._given.items() if process.number in given]
            problems = await process.adopt(places, [self._held[place].socket() for place in places])
        if not failed(problems):
            await process.commit()
        return problems

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

    async def _one_by_one(self, act: Callable[[Member], Awaitable[list[Problem]]]) -> list[Problem] | None:
        """The problems of the first; where it has none that forbid going on, of all, each once.

        None where nobody is there.
        """

        async def tried(member: Member) -> list[Problem]:
            try:
                return await act(member)
            except Gone:
                raise
            except SvcmockError as error:  # a mistake of ours must not leave some of them changed
                return [Problem(FILE, 1, 1, str(error))]

        members = self._members()
        told: list[list[Problem]] = []
        while members and not told:
            told = await self._all(tried, [members.pop(0)])
        if told and not failed(told[0]):
            told += await self._all(tried, members)
        return list(dict.fromkeys(problem for problems in told for problem in problems)) if told else None


def _agree(versions: Sequence[Version]) -> bool:
    """Whether all have read the same, as far as that can be told: not of those with other code."""
    return len(set(versions)) == len({version.how for version in versions})


async def _commit(member: Member) -> None:
    """All others switch over in any case: one that fails to is ended, and its successor begins with the new."""
    try:
        await member.commit()
    except SvcmockError as error:
        if not isinstance(member, Process) or isinstance(error, Gone):
            raise
        log.error("a worker cannot switch over", pid=member.pid, why=str(error))  # noqa: TRY400
        member.kill()


def failed(problems: Sequence[Problem]) -> bool:
    """Whether there are errors among them."""
    return any(problem.severity == "error" for problem in problems)
