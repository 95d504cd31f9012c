"""A worker process as its supervisor sees it: how it is started, asked, and ended."""

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from svcmock.journal import Entry
from svcmock.log import Format, Level
from svcmock.model import Graph, Problem
from svcmock.net.channel import Caller
from svcmock.net.held import Place
from svcmock.project import Version
from svcmock.protocol import Doc
from svcmock.reports import Report
from svcmock.worker import Settings


class LogTo(Struct, frozen=True):
    """How a daemon logs, for its workers to do the same. Without a `file`, to standard error."""

    style: Format = "auto"
    level: Level = "info"
    file: Path | None = None


class Shared(Struct, frozen=True):
    """Descriptors of memory that worker `number` of `count` shares with the supervisor, and with the others."""

    number: int
    count: int
    journal: int
    turns: int


class Process:
    """Running worker `number`: a `Member` whose site is elsewhere. Every call raises Gone once it has ended."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, caller: Caller) -> None:
        self.number = number
        self._process = process
        self._call = caller.call
        self._caller = caller
        self.pid = process.pid

    async def open(self) -> None:
        """Ready to be asked."""
        await self._caller.open()

    async def load(self, graph: Graph) -> list[Problem]:
        problems: list[Problem] = await self._call("load", graph)
        return problems

    async def adopt(self, places: Sequence[Place], sockets: Sequence[socket.socket] = ()) -> list[Problem]:
        try:
            problems: list[Problem] = await self._call("adopt", places, sockets=sockets)
        finally:
            for sock in sockets:
                sock.close()  # while a copy were open here, the kernel would give it clients
        return problems

    async def version(self) -> Version:
        version: Version = await self._call("version")
        return version

    async def commit(self) -> None:
        await self._call("commit")

    async def sweep(self) -> None:
        await self._call("sweep")

    async def discard(self) -> None:
        await self._call("discard")

    async def report(self) -> Report:
        report: Report = await self._call("report")
        return report

    async def explain(self, entry: Entry) -> Doc | None:
        return await self._call("explain", entry)

    async def stop(self) -> None:
        await self._call("stop")

    async def abort(self) -> None:
        await self._call("abort")

    async def reopen(self) -> None:
        """Follow a log file that was rotated away."""
        await self._call("reopen")

    async def ended(self) -> int:
        """Wait for its end; gives its exit code, -n where signal n ended it."""
        code = await self._process.wait()
        self._caller.close()
        return code

    async def end(self, seconds: float) -> None:
        """Hang up, which ends it; kill it if it does not in so many seconds."""
        self._caller.close()
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        if self._process.returncode is None:
            self._process.kill()


async def start_worker(root: Path, shared: Shared, log_to: LogTo) -> Process:
    """Start a worker that waits to be told what to serve. Raises OSError."""
    ours, theirs = socket.socketpair()
    passing, receiving = socket.socketpair()
    settings = Settings(
        root=str(root),
        number=shared.number,
        count=shared.count,
        channel=theirs.fileno(),
        passing=receiving.fileno(),
        journal=shared.journal,
        turns=shared.turns,
        log_format=log_to.style,
        log_level=log_to.level,
        log_file=None if log_to.file is None else str(log_to.file),
    )
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # not to import from the folder we happen to be in
            "-m",
            "svcmock.worker",
            msgspec.json.encode(settings).decode(),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(settings.channel, settings.passing, settings.journal, settings.turns),
            start_new_session=True,  # a terminal's Ctrl-C is for the supervisor
            env=_environment(),
        )
    except BaseException:
        ours.close()
        passing.close()
        raise
    finally:
        theirs.close()
        receiving.close()
    started = Process(shared.number, process, Caller(ours, passing))
    try:
        await started.open()
    except BaseException:
        started.kill()
        ours.close()
        passing.close()
        raise
    return started


def _environment() -> dict[str, str]:
    """Ours, and the places that we import from: a worker must find the same svcmock and the same protocols."""
    found: dict[str, Any] = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return found
