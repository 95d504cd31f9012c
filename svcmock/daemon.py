"""The daemon: starts what a project describes, keeps it true to its files, and ends in good order.

A start is all or nothing: every service listens, or none does and every reason is told. A reload is atomic:
files are read and compiled beside the running routes, and only a project without errors replaces them;
otherwise the old routes go on serving and the problems are logged and reported.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Coroutine
from pathlib import Path

import structlog

from svcmock import reports
from svcmock.admin import AdminServer, Refusal
from svcmock.control import read_token
from svcmock.engine import Responder
from svcmock.journal import Journal
from svcmock.log import Sink
from svcmock.model import FILE, Address, Admin, Graph, Problem, Service, Tcp
from svcmock.net.ca import Ca, load_or_create_ca
from svcmock.net.listener import bind
from svcmock.net.served import Served
from svcmock.net.spool import sweep
from svcmock.project import Loaded, load
from svcmock.protocol import Doc, Invalid, Plugin, SvcmockError
from svcmock.running import PRIVATE, Lock, Running
from svcmock.watch import watch

log = structlog.get_logger()

MAX_PAGE = 1000
"""Journal entries given in one page."""
IDLE_CHECKS = 4
"""How often connections are looked at within one idle limit."""


class StartError(SvcmockError):
    """The daemon cannot start. `reasons` has one line for each thing that is wrong; `files`: in its files."""

    def __init__(self, reasons: list[str], *, files: bool = False) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = reasons
        self.files = files


class Daemon:
    """Serves one project from `start` until `stop` is asked for."""

    def __init__(self, root: Path, plugins: dict[str, Plugin], lock: Lock, sink: Sink | None = None) -> None:
        self._root = root
        self._plugins = plugins
        self._lock = lock
        self._sink = sink
        self._journal = Journal()
        self._served: dict[str, Served] = {}
        self._graph: Graph | None = None
        self._ca: Ca | None = None
        self.problems: list[Problem] = []
        """What was wrong with the files when they were last read."""
        self._stopping = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None
        self._pending = False
        self._admin_as: Admin | None = None
        self._started = time.time()
        self._reloads = 0
        self._admin = AdminServer(
            {
                ("GET", "/status"): self._on_status,
                ("POST", "/reload"): self._on_reload,
                ("POST", "/stop"): self._on_stop,
                ("GET", "/why"): self._on_why,
                ("GET", "/misses"): self._on_misses,
                ("GET", "/journal"): self._on_journal,
            }
        )

    async def start(self) -> dict[str, str]:
        """Listen everywhere; gives each service's address. Raises StartError and leaves nothing behind."""
        sweep(self._root / PRIVATE / "spool")
        since = time.time_ns()
        loaded = load(self._root, self._plugins)
        self._tell(loaded.problems)
        if loaded.errors or loaded.graph is None:
            raise StartError([str(problem) for problem in loaded.problems], files=True)
        self.problems = loaded.problems
        self._graph = loaded.graph
        self._served, problems = self._prepare_all(list(loaded.responders.values()))
        if not problems:
            problems = await self._listen_admin(loaded.graph)
        if problems:
            for served in self._served.values():
                await served.listener.stop()
            await self._admin.close()
            raise StartError([str(problem) for problem in problems])
        for served in self._served.values():
            await served.start()
        self._spawn(self._check_idle())
        self._watch_files(since, loaded.graph)
        addresses = self.addresses()
        log.info("ready", project=str(self._root), pid=os.getpid(), **addresses)
        return addresses

    def addresses(self) -> dict[str, str]:
        """Where each service really listens."""
        return {name: served.listener.address for name, served in self._served.items()}

    async def run(self) -> None:
        """Serve until told to stop by a signal or the control API; then drain."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop_signal)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        notify("READY=1")
        await self._stopping.wait()
        notify("STOPPING=1")
        log.info("stopping", project=str(self._root))
        await self._end()

    async def _end(self) -> None:
        await asyncio.sleep(0)  # a service that a reload has just left begins to stop: its socket closes
        for task in self._tasks:
            task.cancel()
        if self._watching is not None:
            self._watching.cancel()
        async with asyncio.TaskGroup() as ending:
            for served in self._served.values():
                ending.create_task(served.stop())
        await self._admin.close()
        log.info("stopped", hits=sum(self._journal.hits.values()), misses=sum(self._journal.misses.values()))

    # --- listening ---

    def _prepare(self, responder: Responder) -> Served:
        """A service ready to start, on a new socket or on the one that an old service has at its address."""
        service = responder.service
        ca = self._ca_for(service)
        held = next((old for old in self._served.values() if _holds(old, service)), None)
        sock = held.listener.duplicate() if held else bind(service.listen)
        try:
            return Served(responder, sock, self._journal, self._root, ca)
        except BaseException:
            sock.close()
            raise

    def _prepare_all(self, responders: list[Responder]) -> tuple[dict[str, Served], list[Problem]]:
        prepared, problems = {}, []
        for responder in responders:
            service = responder.service
            try:
                prepared[service.name] = self._prepare(responder)
            except SvcmockError as error:
                problems.append(_about(service, error))
        return prepared, problems

    def _ca_for(self, service: Service) -> Ca | None:
        if service.tls is not None and service.tls.auto and self._ca is None:
            self._ca = load_or_create_ca(self._root / PRIVATE / "ca")
        return self._ca

    async def _listen_admin(self, graph: Graph) -> list[Problem]:
        try:
            token = None
            if graph.admin.token_file is not None:
                token = read_token(self._root / graph.admin.token_file)
            address: Address = await self._admin.start(graph.admin.listen, token)
        except SvcmockError as error:
            return [Problem(FILE, 1, 1, f"the control API cannot start: {error}")]
        self._admin_as = graph.admin
        running = Running(os.getpid(), str(self._root), str(address), self._started, graph.admin.token_file)
        self._lock.announce(running)
        return []

    # --- reloading ---

    async def reload(self) -> list[Problem]:
        """Read the files again; gives what is wrong. With errors nothing changes."""
        async with self._reloading:
            notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            since = time.time_ns()
            turns = {name: served.serving.responder.turns for name, served in self._served.items()}
            loaded = await asyncio.to_thread(load, self._root, self._plugins, turns)
            problems = list(loaded.problems)
            if not loaded.errors:
                problems += await self._apply(loaded)
            # anew each time: a folder that was replaced by another of its name is not watched any more
            self._watch_files(since, loaded.graph)
            self._tell(problems)
            self.problems = problems
            failed = sum(problem.severity == "error" for problem in problems)
            if failed:
                log.error("reload refused, the old routes go on serving", problems=failed)
            else:
                self._reloads += 1
                routes = sum(served.serving.responder.index.size for served in self._served.values())
                log.info("reloaded", routes=routes)
            notify("READY=1")
            return problems

    async def _apply(self, loaded: Loaded) -> list[Problem]:
        """Switch over. All that can fail comes first, so that a failure leaves everything as it was."""
        before = dict(self._served)
        switches, moved, problems = [], [], []
        for name, responder in loaded.responders.items():
            old = before.get(name)
            if old is None or not old.can_become(responder):
                moved.append(responder)
                continue
            try:
                switches.append(old.prepare(responder, self._ca_for(responder.service)))
            except SvcmockError as error:
                problems.append(_about(responder.service, error))
        prepared, more = self._prepare_all(moved)
        problems += more
        if problems:
            for served in prepared.values():
                await served.listener.stop(
                    inherited=any(_holds(old, served.service) for old in before.values())
                )
            return problems
        for switch in switches:
            switch()
        for served in prepared.values():
            await served.start()
        self._served = {name: prepared.get(name) or before[name] for name in loaded.responders}
        for name, served in before.items():
            if self._served.get(name) is not served:
                inherited = any(_holds(served, new.service) for new in prepared.values())
                self._spawn(served.stop(inherited=inherited))
        assert loaded.graph is not None
        self._graph = loaded.graph
        if loaded.graph.admin == self._admin_as:
            return []
        why = "the control API stays where it is until the daemon is started again"
        return [Problem(FILE, 1, 1, why, "warning")]

    def _watch_files(self, since: int, graph: Graph | None) -> None:
        """Watch from now on; changes after `since` (ns) count too. `graph`: as read, served or not."""
        if self._watching is not None:
            self._watching.cancel()
        graph = graph or self._graph
        assert graph is not None
        routes = [pattern for service in graph.services.values() for pattern in service.routes]
        watching = watch(self._root, routes, since, lambda: self._spawn(self._reload_quietly()))
        self._watching = asyncio.get_running_loop().create_task(_logged(watching))

    async def _reload_quietly(self) -> None:
        """For changes that come while a reload runs: one more reload sees them all."""
        if self._pending:
            return
        self._pending = True
        async with self._reloading:
            self._pending = False
        await self.reload()

    def _on_stop_signal(self) -> None:
        if self._stopping.is_set():
            log.warning("told twice to stop: answers under way are broken off")
            for served in self._served.values():
                served.abort()
        self._stopping.set()

    def _on_hangup(self) -> None:
        if self._sink is not None:
            self._sink.reopen()
        self._spawn(self._reload_quietly())

    # --- the rest of its life ---

    def _spawn(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.get_running_loop().create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _check_idle(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            shortest = min((s.service.limits.idle for s in self._served.values()), default=60.0)
            await asyncio.sleep(shortest / IDLE_CHECKS)
            for served in tuple(self._served.values()):
                served.check_idle(loop.time())

    def _tell(self, problems: list[Problem]) -> None:
        for problem in problems:
            say = log.error if problem.severity == "error" else log.warning
            say(problem.message, at=f"{problem.file}:{problem.line}:{problem.column}")

    # --- the control API ---

    def _on_status(self, _asked: dict[str, Doc]) -> Doc:
        return reports.status(
            root=self._root,
            started=self._started,
            reloads=self._reloads,
            problems=self.problems,
            services=list(self._served.values()),
            journal=self._journal,
        )

    async def _on_reload(self, _asked: dict[str, Doc]) -> Doc:
        problems = await self.reload()
        failed = any(problem.severity == "error" for problem in problems)
        return {"ok": not failed, "problems": [str(problem) for problem in problems]}

    def _on_stop(self, _asked: dict[str, Doc]) -> Doc:
        # the reply must leave before the control API closes
        asyncio.get_running_loop().call_soon(self._stopping.set)
        return {"ok": True, "pid": os.getpid()}

    def _on_why(self, asked: dict[str, Doc]) -> Doc:
        entry = self._journal.miss(reports.miss_id(asked.get("id")))
        if entry is None:
            raise Refusal(404, "no such miss is kept" if asked.get("id") else "nothing has missed so far")
        served = self._served.get(entry.outcome.service)
        if served is None:
            raise Refusal(404, f"service {entry.outcome.service} is not served any more")
        return reports.why(served.serving.responder, entry)

    def _on_misses(self, _asked: dict[str, Doc]) -> Doc:
        return {"misses": [reports.entry(e, self._served) for e in self._journal.recent_misses(MAX_PAGE)]}

    def _on_journal(self, asked: dict[str, Doc]) -> Doc:
        since = reports.number(asked.get("since"), 0)
        limit = min(reports.number(asked.get("limit"), MAX_PAGE), MAX_PAGE)
        entries = [reports.entry(entry, self._served) for entry in self._journal.since(since, limit)]
        return {"entries": entries, "dropped": self._journal.dropped}


def _holds(old: Served, service: Service) -> bool:
    """Whether `old` has the socket that `service` is to listen on. Port 0 is another port for each service."""
    listen = service.listen
    any_port = isinstance(listen, Tcp) and listen.port == 0
    return old.service.listen == listen and (not any_port or old.service.name == service.name)


def _about(service: Service, error: SvcmockError) -> Problem:
    at = f"{'.'.join(map(str, error.at))}: " if isinstance(error, Invalid) and error.at else ""
    why = error.why if isinstance(error, Invalid) else str(error)
    return Problem(FILE, service.line, 1, f"service {service.name}: {at}{why}")


async def _logged(work: Coroutine[object, object, object]) -> None:
    try:
        await work
    except Exception:
        log.exception("background work failed")


def notify(state: str) -> None:
    """Tell systemd, where it started us (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.connect("\0" + path[1:] if path.startswith("@") else path)
        sock.sendall(state.encode())
