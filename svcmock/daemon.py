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
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import TypeVar

import structlog

from svcmock import journals, reports
from svcmock.admin import AdminServer, Refusal
from svcmock.capabilities import Schooled
from svcmock.config import load_graph
from svcmock.control import read_token
from svcmock.journal import Entry
from svcmock.log import Sink
from svcmock.model import FILE, Address, Admin, Graph, Problem
from svcmock.net.spool import sweep
from svcmock.process import LogTo
from svcmock.protocol import Doc, Plugin, SvcmockError
from svcmock.running import PRIVATE, Lock, Running
from svcmock.watch import watch
from svcmock.workers import Workers, failed

log = structlog.get_logger()

T = TypeVar("T")

RELOAD_SECONDS = 50.0
"""How long whoever asks for a reload waits for it: less than `svcmock.admin.HANDLER_SECONDS`."""
MAX_PAGE = 1000
"""Journal entries given in one page."""


class StartError(SvcmockError):
    """The daemon cannot start. `reasons` has one line for each thing that is wrong; `files`: in its files."""

    def __init__(self, reasons: list[str], *, files: bool = False) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = reasons
        self.files = files


class Daemon:
    """Serves one project from `start` until `stop` is asked for."""

    def __init__(
        self,
        root: Path,
        plugins: Mapping[str, Plugin],
        lock: Lock,
        sink: Sink | None = None,
        *,
        workers: int = 1,
        log_to: LogTo | None = None,
    ) -> None:
        self._root = root
        self._plugins = plugins
        self._lock = lock
        self._sink = sink
        self._workers = Workers(root, plugins, workers, log_to or LogTo())
        self._graph: Graph | None = None
        self.problems: list[Problem] = []
        """What was wrong with the files when they were last read."""
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[object]] = set()
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
        graph, problems = load_graph(self._root, self._plugins)
        if graph is None:
            self._tell(problems)
            raise _files_wrong(problems)
        try:
            await self._begin(graph, problems)
        except BaseException:
            await self._workers.stop()
            await self._admin.close()
            raise
        self._watch_files(since, graph)
        addresses = self.addresses()
        log.info("ready", project=str(self._root), pid=os.getpid(), **addresses)
        return addresses

    async def _begin(self, graph: Graph, problems: list[Problem]) -> None:
        workers = self._workers
        try:
            await workers.start()
        except SvcmockError as error:
            raise StartError([str(error)]) from None
        async with workers.changing:
            self.problems = problems + await workers.load(graph)
            self._tell(self.problems)
            if failed(self.problems):
                raise _files_wrong(self.problems)
            wrong = await workers.adopt() or await self._listen_admin(graph)
            if wrong:
                raise StartError([str(problem) for problem in wrong])
            await workers.commit()
            self._graph = graph

    def addresses(self) -> dict[str, str]:
        """Where each service really listens."""
        return self._workers.addresses()

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
        for task in self._tasks:
            task.cancel()
        if self._watching is not None:
            self._watching.cancel()
        await self._workers.stop()
        await self._admin.close()
        hits, misses = (sum(counted.values()) for counted in journals.counts(self._workers.journals))
        log.info("stopped", hits=hits, misses=misses)

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
        async with self._workers.changing:
            notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            since = time.time_ns()
            graph, problems = load_graph(self._root, self._plugins)
            if graph is not None:
                problems += await self._change(graph)
            # anew each time: a folder that was replaced by another of its name is not watched any more
            self._watch_files(since, graph)
            self._tell(problems)
            self.problems = problems
            wrong = sum(problem.severity == "error" for problem in problems)
            if wrong:
                log.error("reload refused, the old routes go on serving", problems=wrong)
            else:
                self._reloads += 1
                log.info("reloaded")
            notify("READY=1")
            return problems

    async def _change(self, graph: Graph) -> list[Problem]:
        """Switch over. All that can fail comes first, so that a failure leaves everything as it was."""
        workers = self._workers
        try:
            problems = await workers.load(graph)
            if not failed(problems):
                problems += await workers.adopt()
        except Exception:
            await workers.discard()
            raise
        if failed(problems):
            await workers.discard()
            return problems
        await workers.commit()
        self._graph = graph
        if graph.admin != self._admin_as:
            why = "the control API stays where it is until the daemon is started again"
            problems.append(Problem(FILE, 1, 1, why, "warning"))
        return problems

    def _watch_files(self, since: int, graph: Graph | None) -> None:
        """Watch from now on; changes after `since` (ns) count too. `graph`: as read, served or not."""
        if self._watching is not None:
            self._watching.cancel()
        graph = graph or self._graph
        assert graph is not None
        routes = [pattern for service in graph.services.values() for pattern in service.routes]
        for service in graph.services.values():
            plugin = self._plugins[service.protocol]
            routes += plugin.sources(service.options) if isinstance(plugin, Schooled) else ()
        watching = watch(self._root, routes, since, lambda: self._spawn(self._reload_quietly()))
        self._watching = asyncio.get_running_loop().create_task(_logged(watching))

    async def _reload_quietly(self) -> None:
        """For changes that come while a reload runs: one more reload sees them all."""
        if self._pending:
            return
        self._pending = True
        async with self._workers.changing:
            self._pending = False
        await self.reload()

    def _on_stop_signal(self) -> None:
        if self._stopping.is_set():
            log.warning("told twice to stop: answers under way are broken off")
            self._spawn(self._workers.abort())
        self._stopping.set()

    def _on_hangup(self) -> None:
        if self._sink is not None:
            self._sink.reopen()
        self._spawn(self._workers.reopen())
        self._spawn(self._reload_quietly())

    # --- the rest of its life ---

    def _spawn(self, work: Coroutine[object, object, object]) -> None:
        self._keep(asyncio.get_running_loop().create_task(_logged(work)))

    def _keep(self, task: asyncio.Task[T]) -> asyncio.Task[T]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _tell(self, problems: list[Problem]) -> None:
        for problem in problems:
            say = log.error if problem.severity == "error" else log.warning
            say(problem.message, at=f"{problem.file}:{problem.line}:{problem.column}")

    # --- the control API ---

    async def _on_status(self, _asked: dict[str, Doc]) -> Doc:
        assert self._graph is not None
        workers = self._workers
        life = reports.Life(self._started, self._reloads, workers.restarts, self.problems, workers.count)
        serving = await self._workers.reports()
        return reports.status(self._graph, self.addresses(), life, serving, self._workers.journals)

    async def _on_reload(self, _asked: dict[str, Doc]) -> Doc:
        # a task of its own: a change must not be broken off in the middle when whoever asked gives up waiting
        reloading = self._keep(asyncio.get_running_loop().create_task(self.reload()))
        done, _ = await asyncio.wait((reloading,), timeout=RELOAD_SECONDS)
        if not done:
            raise Refusal(504, "this takes long; it goes on, and `svcmock status` tells what came of it")
        problems = reloading.result()
        failed = any(problem.severity == "error" for problem in problems)
        return {"ok": not failed, "problems": [str(problem) for problem in problems]}

    def _on_stop(self, _asked: dict[str, Doc]) -> Doc:
        # the reply must leave before the control API closes
        asyncio.get_running_loop().call_soon(self._stopping.set)
        return {"ok": True, "pid": os.getpid()}

    async def _on_why(self, asked: dict[str, Doc]) -> Doc:
        entry = journals.miss(self._workers.journals, reports.miss_id(asked.get("id")))
        if entry is None:
            raise Refusal(404, "no such miss is kept" if asked.get("id") else "nothing has missed so far")
        explained = await self._workers.explain(entry)
        if explained is None:
            raise Refusal(404, f"service {entry.outcome.service} is not served any more")
        return explained

    def _on_misses(self, _asked: dict[str, Doc]) -> Doc:
        return {"misses": self._told(journals.recent_misses(self._workers.journals, MAX_PAGE))}

    def _on_journal(self, asked: dict[str, Doc]) -> Doc:
        limit = min(reports.number(asked.get("limit"), MAX_PAGE), MAX_PAGE)
        page = journals.page(self._workers.journals, str(asked.get("since") or 0), limit)
        return {"entries": self._told(page.entries), "next": page.cursor, "dropped": page.dropped}

    def _told(self, entries: list[Entry]) -> list[Doc]:
        assert self._graph is not None
        speakers = reports.speakers(self._graph, self._plugins)
        return [reports.entry(entry, speakers) for entry in entries]


def _files_wrong(problems: list[Problem]) -> StartError:
    return StartError([str(problem) for problem in problems], files=True)


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
