"""What the connections of one recorded service share: where exchanges are written and counted, what is learned.

Every request that began is counted as recorded, skipped or failed when it ends. What messages mean may have to
be asked of the upstream, once; what a server says of itself is kept beside the recordings.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog

from svcmock.capabilities import Inquiring
from svcmock.model import rfc3339
from svcmock.net.inquiry import ask
from svcmock.net.spool import Spools
from svcmock.net.upstream import Connector
from svcmock.protocol import (
    FACTS,
    Context,
    Doc,
    Exchange,
    Invalid,
    Plugin,
    ProtocolError,
    Spooled,
    SvcmockError,
)
from svcmock.recording import Counters, Recording, RecordingError, keep

log = structlog.get_logger()

FAILURES_LOGGED = 20
"""Lost exchanges that are logged one by one; the counters go on."""


class Recorded(Protocol):
    """A client whose connection is recorded. `alpn`: what its upstream was offered."""

    alpn: tuple[str, ...]

    def inform(self) -> None: ...
    def close(self) -> None: ...


class Recorder:
    """What the connections of one recorded service share."""

    def __init__(
        self,
        name: str,
        plugin: Plugin,
        fresh_context: Callable[[], Context],
        connector: Connector,
        folder: Path,
        file: str,
        spools: Callable[[], Spools],
    ) -> None:
        """`fresh_context` is called again when it is known what messages mean. It raises SvcmockError."""
        self.name = name
        self.plugin = plugin
        self.context = fresh_context()
        self.connector = connector
        self.spools = spools
        self.counters = Counters()
        self.connections: set[Recorded] = set()
        self.opened = 0
        self.opaque = 0
        self.tls: ssl.SSLContext | None = None
        """What a tap that starts TLS speaks with clients."""
        self._fresh_context = fresh_context
        self._folder = folder
        self._facts: dict[str, Doc] | None = None
        """What is known of the server; None until something is."""
        self._inquiry: asyncio.Task[None] | None = None
        self._recording = Recording(folder, file, self._adopt)
        self._adopting: Spools | None = None
        self._wall = time.time() - time.monotonic()

    @property
    def path(self) -> Path:
        """Where this run's exchanges are written."""
        return self._recording.path

    def write(self, seen: Exchange, connection: int, spools: Spools | None) -> None:
        """Append one exchange to the recording; counts it."""
        self._adopting = spools
        try:
            documents = self.plugin.dump(seen.request, seen.reply, self.context)
            recorded = {
                "at": rfc3339(self._wall + seen.timing.at),
                "took": f"{seen.timing.took * 1000:.1f}ms",
                "connection": connection,
            }
            doc = {"recorded": recorded, "request": documents.request, "respond": documents.respond}
            self._recording.append(doc, documents.files)
        except (RecordingError, Invalid, ProtocolError, OSError) as error:
            self.lost(self.plugin.summary(seen.request), "failed", f"not written: {error}")
        except Exception:
            log.exception("a mistake in the protocol's code", service=self.name)
            self.lost(f"connection {connection}", "failed", "not written: it could not be put into words")
        else:
            self.counters.settle("recorded")

    def lost(self, what: str, kind: str, why: str) -> None:
        """Count and log an exchange that will not be in the recording."""
        self.counters.settle("skipped" if kind == "skipped" else "failed")
        if kind == "skipped":
            log.info("not recorded", service=self.name, what=what, why=why)
        elif self.counters.failed <= FAILURES_LOGGED:
            log.warning("exchange lost", service=self.name, what=what, why=why)

    def learn(self, name: str, value: Doc) -> None:
        """Keep a fact about the server, with those that were kept before."""
        if self._facts is None:
            self._facts = _kept(self._folder / FACTS)
        if name in self._facts and self._facts[name] == value:
            return
        self._facts[name] = value
        try:
            keep(self._folder, FACTS, msgspec.json.format(msgspec.json.encode(self._facts, order="sorted")))
        except RecordingError as error:
            log.warning("what the server says of itself is not kept", service=self.name, why=str(error))

    def inquire(self, client: Recorded) -> None:
        """Ask the upstream what its messages mean, if nobody has yet; `client` is told, like all others."""
        loop = asyncio.get_running_loop()
        if self._inquiry is None and isinstance(self.plugin, Inquiring):
            self._inquiry = loop.create_task(self._inquire(self.plugin, client.alpn))
        elif self._inquiry is None or self._inquiry.done():
            loop.call_soon(client.inform)

    def close(self) -> None:
        if self._inquiry is not None:
            self._inquiry.cancel()
        self._recording.close()

    async def _inquire(self, plugin: Inquiring, alpn: tuple[str, ...]) -> None:
        """`alpn`: what is spoken on the connection for which this is needed."""
        upstream = self.connector.upstream
        try:
            learned = await ask(plugin.inquiry(upstream), self.connector, alpn)
            for one in learned:
                keep(self._folder, one.name, one.data)
                log.info("learned from the upstream", service=self.name, file=one.name)
            self.context = self._fresh_context()
        except SvcmockError as error:
            log.info("the upstream does not say what messages mean", service=self.name, why=str(error))
        except Exception:
            log.exception("a mistake in the protocol's code", service=self.name)
        for client in tuple(self.connections):
            client.inform()

    def _adopt(self, spooled: Spooled) -> Path:
        if self._adopting is None:
            raise RecordingError("a spooled body came without its file")
        try:
            return Path(self._adopting.take(spooled))
        except OSError as error:
            raise RecordingError(f"a large body was not written: {error}") from None


def _kept(path: Path) -> dict[str, Doc]:
    """The facts of earlier runs."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return {}
