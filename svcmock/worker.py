"""One of the processes of `svcmock up --workers`: serves a site as its supervisor says, until it hangs up.

Started with its settings as JSON in its only argument, and with the descriptors that they name. It takes no
signal: a terminal's and a service manager's are for the supervisor, which tells it to stop.
"""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

import msgspec
import structlog
import uvloop
from msgspec import Struct

from svcmock import log
from svcmock.lane import Lane
from svcmock.net.channel import Handler, answer
from svcmock.registry import installed
from svcmock.site import Site
from svcmock.turns import SharedTurns


class Settings(Struct, frozen=True):
    """What a worker begins with. `channel`, `passing`, `journal` and `turns` are descriptors it was given.

    `number` counts from 0 to `count` - 1; a worker that is replaced hands its number on.
    """

    root: str
    number: int
    count: int
    channel: int
    passing: int
    journal: int
    turns: int
    log_format: log.Format
    log_level: log.Level
    log_file: str | None


async def serve(settings: Settings, sink: log.Sink) -> None:
    """Serve until the supervisor hangs up."""
    site = Site(
        Path(settings.root),
        installed(),
        Lane(settings.journal, settings.number, settings.count),
        SharedTurns(settings.turns),
        number=settings.number,
        count=settings.count,
    )

    async def reopen() -> None:
        sink.reopen()

    handlers: dict[str, Handler] = {
        "load": site.load,
        "version": site.version,
        "adopt": site.adopt,
        "commit": site.commit,
        "sweep": site.sweep,
        "discard": site.discard,
        "report": site.report,
        "explain": site.explain,
        "stop": site.stop,
        "abort": site.abort,
        "reopen": reopen,
    }
    channel, passing = (socket.socket(fileno=handle) for handle in (settings.channel, settings.passing))
    await answer(channel, passing, handlers)
    await site.abort()


def main() -> NoReturn:
    """Run one worker to its end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    path = None if settings.log_file is None else Path(settings.log_file)
    sink = log.configure(settings.log_format, settings.log_level, path)
    structlog.contextvars.bind_contextvars(worker=settings.number)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, sink))
        sys.stderr.flush()
        # Not to wait for routes that are being read: until their thread is done, the addresses are in use.
        os._exit(0)


if __name__ == "__main__":
    main()
