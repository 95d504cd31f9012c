"""Listening sockets: a TCP address or a unix path, plain, TLS, or both on one port.

Whether a client speaks TLS is told by its first byte, looked at without taking it (MSG_PEEK): a TLS record of
a handshake begins with 0x16, which opens no plaintext protocol that a service may share a port with.
"""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from svcmock.model import Address, Tcp, Unix
from svcmock.net.tls import looks_like_tls
from svcmock.protocol import SvcmockError

log = structlog.get_logger()

BACKLOG = 1024
FIRST_BYTE_TIMEOUT = 60.0
"""Seconds a client of a port that takes TLS and plain text may stay silent."""
MAX_SILENT = 4096
"""Clients waited for at once before the first byte has come; beyond it, new ones are closed."""
ACCEPT_PAUSE = 0.1
"""Seconds to wait when the process has no file descriptor left for a new client."""

Factory = Callable[[], asyncio.Protocol]


class ListenError(SvcmockError):
    """An address that cannot be listened on; the message says which and why."""


def bind(address: Address) -> socket.socket:
    """A listening socket. Raises ListenError."""
    try:
        return _bind_unix(address) if isinstance(address, Unix) else _bind_tcp(address)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the address is in use by another process"
        case errno.EACCES:
            return "permission denied (ports below 1024 need root)"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address"
    return error.strerror or str(error)


def _bind_tcp(address: Tcp) -> socket.socket:
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, proto, _, where = found[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
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


class Listener:
    """One bound address and what serves it."""

    def __init__(
        self, sock: socket.socket, factory: Factory, tls: ssl.SSLContext | None = None, *, plain: bool = True
    ) -> None:
        self._sock = sock
        self._factory = factory
        self._tls = tls
        self._plain = plain
        self._server: asyncio.Server | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._silent: set[asyncio.Task[None]] = set()
        self._path = sock.getsockname() if sock.family == socket.AF_UNIX else None

    @property
    def address(self) -> str:
        """What clients connect to: host:port as bound, or unix:path."""
        if self._path is not None:
            return f"unix:{self._path}"
        host, port = self._sock.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def duplicate(self) -> socket.socket:
        """The same listening socket for another listener, which takes over when this one stops."""
        return self._sock.dup()

    def secure(self, tls: ssl.SSLContext) -> None:
        """Clients that come from now on see this context's certificates. Only for a listener that has TLS."""
        self._tls = tls

    async def start(self) -> None:
        """Accept clients from now on."""
        loop = asyncio.get_running_loop()
        if self._tls is None:
            self._server = await self._serve_plain(loop)
        else:
            self._accepting = loop.create_task(self._accept())

    async def _serve_plain(self, loop: asyncio.AbstractEventLoop) -> asyncio.Server:
        if self._path is None:
            return await loop.create_server(self._factory, sock=self._sock, backlog=BACKLOG)
        # From 3.13 on a closed server removes its path, which another listener may have inherited.
        kept: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        return await loop.create_unix_server(self._factory, sock=self._sock, backlog=BACKLOG, **kept)

    async def stop(self, *, inherited: bool = False) -> None:
        """Accept no more; connections that were made go on. `inherited`: another listens here."""
        if self._server is not None:
            self._server.close()
        if self._accepting is not None:
            self._accepting.cancel()
        for task in self._silent:
            task.cancel()
        self._sock.close()
        if self._path is not None and not inherited:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)  # noqa: PTH108  as quick as the close above it

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(self._sock)
            except OSError as error:
                if error.errno in (errno.EBADF, errno.EINVAL):
                    return
                log.warning("cannot accept a client", address=self.address, why=error.strerror)
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            client.setblocking(False)
            if len(self._silent) >= MAX_SILENT:
                client.close()
                continue
            task = loop.create_task(self._open(client))
            self._silent.add(task)
            task.add_done_callback(self._silent.discard)

    async def _open(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            tls: ssl.SSLContext | None = self._tls
            if self._plain and tls is not None:
                async with asyncio.timeout(FIRST_BYTE_TIMEOUT):
                    head = await _peek(loop, client)
                if not looks_like_tls(head):
                    tls = None
            await loop.connect_accepted_socket(self._factory, client, ssl=tls)
        except asyncio.CancelledError:
            client.close()
            raise
        except (OSError, TimeoutError) as error:
            client.close()
            log.info("a client did not get through", address=self.address, why=str(error) or "it said nothing")


async def _peek(loop: asyncio.AbstractEventLoop, client: socket.socket) -> bytes:
    ready = loop.create_future()
    handle = os.dup(client.fileno())
    loop.add_reader(handle, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(handle)
        os.close(handle)
    return client.recv(1, socket.MSG_PEEK)
