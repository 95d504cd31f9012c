"""Listening sockets: a TCP address or a unix path, plain, TLS, or both on one port.

Whether a client speaks TLS is told by its first byte, looked at without taking it (MSG_PEEK): a TLS record of
a handshake begins with 0x16, which opens no plaintext protocol that a service may share a port with.

Clients that the process has no descriptors for wait in the kernel's queue until there are some. So accepting is
done here: asyncio's servers try again without a pause, uvloop's take such clients and close them.
"""

import asyncio
import errno
import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

import structlog

from svcmock.model import Address, Tcp, Unix
from svcmock.net.descriptors import any_for_clients, for_clients
from svcmock.net.tls import looks_like_tls
from svcmock.protocol import SvcmockError

log = structlog.get_logger()

BACKLOG = 1024
FIRST_BYTE_TIMEOUT = 60.0
"""Seconds a client of a port that takes TLS and plain text may stay silent."""
GREETED_AFTER = 0.3
"""Seconds after which such a client is taken to wait for the server, where that speaks first: in plain text."""
MAX_SILENT = 4096
"""Clients at once that may owe their first byte or their part of a TLS handshake; for one more, the client that
has owed it longest is closed."""
ACCEPT_AT_ONCE = 64
"""Clients accepted before those that are connected have their turn."""
ACCEPT_PAUSE = 0.1
"""Seconds between two looks whether the process has descriptors for new clients again."""
EPISODE = 60.0
"""Seconds without a client that had to wait, or to go, before the next one is logged."""
NO_ROOM = "the process may open no more files for clients, see `ulimit -n`"

_LOST = {
    getattr(errno, name)
    for name in (
        *("ECONNABORTED", "EPERM", "EPROTO", "ENETDOWN", "ENETUNREACH", "EHOSTDOWN", "EHOSTUNREACH"),
        *("ENONET", "ENOPROTOOPT", "EOPNOTSUPP"),
    )
    if hasattr(errno, name)
}
"""What accept(2) says of one client that is lost, and not of the next."""

Factory = Callable[[], asyncio.Protocol]


class ListenError(SvcmockError):
    """An address that cannot be listened on; the message says which and why."""


def bind(address: Address, *, listens: bool = True) -> socket.socket:
    """A listening socket; for TCP, one that is only bound if it is not to listen. Raises ListenError."""
    try:
        return _bind_unix(address) if isinstance(address, Unix) else _bind_tcp(address, listens=listens)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {reason(error)}") from None


def reason(error: OSError) -> str:
    """Why binding failed, in words."""
    match error.errno:
        case errno.EADDRINUSE:
            return "the address is in use by another process"
        case errno.EACCES:
            return "permission denied (ports below 1024 need root)"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address"
    return error.strerror or str(error)


def _bind_tcp(address: Tcp, *, listens: bool) -> socket.socket:
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, proto, _, where = found[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        if listens:
            sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_unix(address: Unix) -> socket.socket:
    path = Path(address.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)
        _clear_stale(path)
        sock.bind(str(path))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _clear_stale(path: Path) -> None:
    """Remove a socket nobody listens on; a live one stays, and binding it fails as it should."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()


def address_of(sock: socket.socket) -> str:
    """What clients connect to: host:port as bound, or unix:path."""
    if sock.family == socket.AF_UNIX:
        return f"unix:{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Listener:
    """One bound address and what serves it."""

    def __init__(
        self,
        sock: socket.socket,
        factory: Factory,
        tls: ssl.SSLContext | None = None,
        *,
        plain: bool = True,
        greets: bool = False,
    ) -> None:
        """`plain`: clients without TLS are taken, too; `greets`: they may wait for the server to begin."""
        self._sock = sock
        self._factory = factory
        self._tls = tls
        self._plain = plain
        self._greets = greets
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: dict[asyncio.Task[None], None] = {}
        """Clients that were accepted and have no connection yet, longest first."""
        self._resting: asyncio.TimerHandle | None = None
        self._last_told: dict[str, float] = {}
        self._path = sock.getsockname() if sock.family == socket.AF_UNIX else None

    @property
    def address(self) -> str:
        """What clients connect to."""
        return address_of(self._sock) if self._path is None else f"unix:{self._path}"

    def secure(self, tls: ssl.SSLContext) -> None:
        """Clients that come from now on see this context's certificates. Only for a listener that has TLS."""
        self._tls = tls

    async def start(self) -> None:
        """Accept clients from now on."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._sock, self._accept, self._loop)

    async def stop(self) -> None:
        """Accept no more; connections that were made go on. The address stays held (`svcmock.net.held`)."""
        if self._loop is not None:
            self._loop.remove_reader(self._sock)
        if self._resting is not None:
            self._resting.cancel()
        if self._tls is not None:
            for task in self._opening:
                task.cancel()
        if self._opening:  # who was accepted becomes a connection
            await asyncio.wait(self._opening)
        self._sock.close()

    def _accept(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the clients that wait, as far as there are descriptors for them."""
        last = for_clients() - 1
        for _ in range(ACCEPT_AT_ONCE):
            try:
                client, _address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _LOST:
                    continue
                self._rest(loop, error.strerror or str(error))
                return
            self._admit(loop, client)
            if client.fileno() >= last:
                self._rest(loop, NO_ROOM)
                return

    def _rest(self, loop: asyncio.AbstractEventLoop, why: str) -> None:
        """Accept nobody until there are descriptors again."""
        self._tell(loop, "new clients have to wait", why)
        loop.remove_reader(self._sock)
        self._resting = loop.call_later(ACCEPT_PAUSE, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if any_for_clients(self._sock.fileno()):
            self._resting = None
            loop.add_reader(self._sock, self._accept, loop)
        else:
            self._rest(loop, NO_ROOM)

    def _tell(self, loop: asyncio.AbstractEventLoop, event: str, why: str) -> None:
        """Log the first of many alike."""
        now = loop.time()
        if now - self._last_told.get(event, -EPISODE) >= EPISODE:
            log.warning(event, address=self.address, why=why)
        self._last_told[event] = now

    def _admit(self, loop: asyncio.AbstractEventLoop, client: socket.socket) -> None:
        client.setblocking(False)
        if len(self._opening) >= MAX_SILENT and self._tls is not None:
            longest = next(iter(self._opening))
            del self._opening[longest]
            longest.cancel()
            self._tell(loop, "silent clients have to go", f"more than {MAX_SILENT} have not begun to speak")

        def opened(task: asyncio.Task[None]) -> None:
            self._opening.pop(task, None)
            if task.cancelled():
                client.close()

        task = loop.create_task(self._open(loop, client))
        self._opening[task] = None
        task.add_done_callback(opened)

    async def _open(self, loop: asyncio.AbstractEventLoop, client: socket.socket) -> None:
        tls = self._tls
        try:
            if self._plain and tls is not None:
                head = await self._first_byte(loop, client)
                if not looks_like_tls(head):
                    tls = None
            await loop.connect_accepted_socket(self._factory, client, ssl=tls)
        except (OSError, TimeoutError) as error:
            client.close()
            log.info("a client did not get through", address=self.address, why=str(error) or "it said nothing")

    async def _first_byte(self, loop: asyncio.AbstractEventLoop, client: socket.socket) -> bytes:
        """What a client begins with; nothing if it waits to be greeted. Raises TimeoutError."""
        try:
            async with asyncio.timeout(GREETED_AFTER if self._greets else FIRST_BYTE_TIMEOUT):
                return await _peek(loop, client)
        except TimeoutError:
            if self._greets:
                return b""
            raise


async def _peek(loop: asyncio.AbstractEventLoop, client: socket.socket) -> bytes:
    """The first byte of what a client says, left where it is; nothing at its end."""
    ready = loop.create_future()
    loop.add_reader(client, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(client)
    return client.recv(1, socket.MSG_PEEK)
