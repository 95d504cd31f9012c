"""A recording run: relays every service of a project that has an upstream, until it is told to stop."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog
from msgspec import Struct
from msgspec.structs import replace

from svcmock.capabilities import Sharing
from svcmock.model import Graph, Service
from svcmock.net.ca import load_or_create_ca
from svcmock.net.listener import Listener, bind
from svcmock.net.recorder import Recorder
from svcmock.net.relay import Client
from svcmock.net.spool import Spools, sweep
from svcmock.net.tls import service_context
from svcmock.net.upstream import Connector
from svcmock.project import context_of, schema_for
from svcmock.protocol import Context, Invalid, Plugin, SvcmockError
from svcmock.recording import Counters, load_or_create_key, tokenizer
from svcmock.running import private_folder

log = structlog.get_logger()

LEAVE_SECONDS = 1.0
"""How long connections under way get to come to their end after a stop."""


class Recorded(Struct, frozen=True):
    """What one service's run gave: `file` relative to the project, None if nothing was written."""

    counters: Counters
    opaque: int
    file: str | None


class RecordError(SvcmockError):
    """The run cannot start. `reasons` has one line for each thing that is wrong."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = reasons


async def record(
    graph: Graph,
    plugins: Mapping[str, Plugin],
    names: frozenset[str],
    started: Callable[[Mapping[str, tuple[str, str]]], object],
) -> dict[str, Recorded]:
    """Record `names` (empty: every service with an upstream) until SIGINT or SIGTERM.

    `started` is told, once all of them listen, where each does and what it relays to. Raises RecordError.
    """
    root = Path(graph.root)
    sweep(private_folder(root) / "spool")
    services = [s for s in graph.services.values() if (s.name in names if names else s.upstream is not None)]
    reasons = [f"there is no service {name} in {root}" for name in sorted(names - set(graph.services))]
    if not services and not reasons:
        reasons = ["no service has an `upstream:` to record from"]
    key = load_or_create_key(root / ".svcmock" / "redaction.key")
    stamp = f"{datetime.fromtimestamp(time.time(), UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}.yaml"
    running: list[tuple[Recorder, Listener]] = []
    preparing = [_prepare(service, plugins[service.protocol], root, key, stamp) for service in services]
    made = await asyncio.gather(*preparing, return_exceptions=True)
    for service, one in zip(services, made, strict=True):
        match one:
            case Invalid():
                reasons.append(f"{service.name}: {'.'.join(map(str, one.at))}: {one.why}")
            case SvcmockError():
                reasons.append(f"{service.name}: {one}")
            case BaseException():
                raise one
            case _:
                running.append(one)
    if reasons:
        for _, listener in running:
            await listener.stop()
        raise RecordError(reasons)
    await _run(running, started)
    return {
        recorder.name: Recorded(
            recorder.counters,
            recorder.opaque,
            str(recorder.path.relative_to(root)) if recorder.path.exists() else None,
        )
        for recorder, _ in running
    }


async def _prepare(
    service: Service, plugin: Plugin, root: Path, key: bytes, stamp: str
) -> tuple[Recorder, Listener]:
    """Raises Invalid and SvcmockError."""
    connector = Connector(service, plugin)
    auto = service.tls is not None and service.tls.auto
    ca = load_or_create_ca(root / ".svcmock" / "ca") if auto else None
    # a client must not be offered what the upstream does not speak
    alpn = plugin.alpn if service.tls is None else await connector.spoken()
    tls, plain = service_context(service, root, alpn, ca)
    recorder = Recorder(
        service.name,
        plugin,
        _contexts(service, plugin, root, key),
        connector,
        root / "recordings" / service.name,
        stamp,
        lambda: Spools(root / ".svcmock" / "spool"),
    )
    recorder.tls = tls
    greets = plugin.server_first
    return recorder, Listener(bind(service.listen), lambda: Client(recorder), tls, plain=plain, greets=greets)


def _contexts(service: Service, plugin: Plugin, root: Path, key: bytes) -> Callable[[], Context]:
    """Makes the service's context anew, with the schema that the project's files give at that time."""
    token = tokenizer(key)
    state = plugin.state(service.options) if isinstance(plugin, Sharing) else None

    def fresh_context() -> Context:
        schema, problems = schema_for(root, service, plugin)
        for problem in problems:
            log.warning(
                "the schema cannot be used", service=service.name, why=f"{problem.file}: {problem.message}"
            )
        return replace(context_of(service, plugin, token, schema), state=state)

    return fresh_context


async def _run(
    running: list[tuple[Recorder, Listener]], started: Callable[[Mapping[str, tuple[str, str]]], object]
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    for _, listener in running:
        await listener.start()
    started({r.name: (listener.address, r.connector.upstream.url) for r, listener in running})
    await stopping.wait()
    for _, listener in running:
        await listener.stop()
    deadline = loop.time() + LEAVE_SECONDS
    while any(r.counters.in_flight for r, _ in running) and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    for recorder, _ in running:
        for connection in tuple(recorder.connections):
            connection.close()
    while any(r.connections for r, _ in running) and loop.time() < deadline + LEAVE_SECONDS:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    for recorder, _ in running:
        recorder.close()
