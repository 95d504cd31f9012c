"""One service while it is served: its listening socket, its TLS, and what its connections share."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from svcmock.engine import Responder
from svcmock.journal import Notes
from svcmock.model import Service
from svcmock.net.ca import Ca
from svcmock.net.driver import Connection
from svcmock.net.listener import Listener
from svcmock.net.serving import Serving
from svcmock.net.spool import Spools
from svcmock.net.tls import service_context


class Served:
    """Made with a bound socket; serves from `start` to `stop`."""

    def __init__(
        self, responder: Responder, sock: socket.socket, journal: Notes, root: Path, ca: Ca | None
    ) -> None:
        spool = root / ".svcmock" / "spool"
        self.serving = Serving(responder, journal, lambda: Spools(spool))
        self._root = root
        tls, plain = service_context(responder.service, root, responder.plugin.alpn, ca)
        self.serving.tls = tls
        greets = responder.plugin.server_first
        self.listener = Listener(sock, lambda: Connection(self.serving), tls, plain=plain, greets=greets)

    @property
    def service(self) -> Service:
        return self.serving.responder.service

    async def start(self) -> None:
        await self.listener.start()

    def can_become(self, new: Service) -> bool:
        """Whether `prepare` can do it: same socket, same protocol, TLS or none as now."""
        old = self.service
        same_tls = (new.tls is None) is (old.tls is None) and _plain(new) is _plain(old)
        return (new.listen, new.protocol) == (old.listen, old.protocol) and same_tls

    def prepare(self, responder: Responder, ca: Ca | None) -> Callable[[], None]:
        """Read the certificates again, all that can fail; gives what then switches over. Raises Invalid.

        Connections that were made go on. They keep the protocol options that they began with.
        """
        tls, _ = service_context(responder.service, self._root, responder.plugin.alpn, ca)

        def switch() -> None:
            if tls is not None:
                self.listener.secure(tls)
                self.serving.tls = tls
            self.serving.replace(responder)

        return switch

    def check_idle(self, now: float) -> None:
        idle = self.service.limits.idle
        for connection in tuple(self.serving.connections):
            connection.check_idle(now, idle)

    async def stop(self) -> None:
        """Accept no more, let answers under way finish, then end every connection."""
        self.serving.draining = True
        await self.listener.stop()
        connections = self.serving.connections
        for connection in tuple(connections):
            connection.drain()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.service.limits.drain
        while connections and loop.time() < deadline:  # noqa: ASYNC110  connections end on their own
            await asyncio.sleep(0.01)
        self.abort()

    def abort(self) -> None:
        """End every connection at once."""
        for connection in tuple(self.serving.connections):
            connection.abort()


def _plain(service: Service) -> bool:
    return service.tls is None or service.tls.plain
