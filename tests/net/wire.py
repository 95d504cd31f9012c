"""A transport that keeps what is written, and a connection on it: the driver without a network."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from svcmock.journal import Journal
from svcmock.net.driver import Connection
from svcmock.net.serving import Serving

HIGH = 64 * 1024
Run = Callable[[Callable[[], Awaitable[Any]]], Any]
"""Runs a coroutine function to its end: the fixture `run`."""


class _NoSocket:
    """What asks the kernel about it gets an OSError."""

    def fileno(self) -> int:
        return 2**30

    def setsockopt(self, *_: object) -> None:
        raise OSError


class Kept(asyncio.Transport):
    """Takes everything and keeps it. With `room`, says that it is full once so many bytes wait unread."""

    def __init__(self, room: int | None = None) -> None:
        super().__init__()
        self.protocol: Any = None
        self.written = bytearray()
        self.room = room
        self.waiting = 0
        self.most_waiting = 0
        self.full = False
        self.reading = True
        self.closed = ""
        self.eof = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written += data
        if self.room is not None:
            self.waiting += len(data)
            self.most_waiting = max(self.most_waiting, self.waiting)
            if self.waiting > self.room and not self.full:
                self.full = True
                self.protocol.pause_writing()

    def take(self, size: int) -> None:
        """The client reads up to `size` bytes."""
        self.waiting = max(0, self.waiting - size)
        if self.full and self.waiting <= (self.room or 0) // 4:
            self.full = False
            self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return _NoSocket() if name == "socket" else default

    def is_closing(self) -> bool:
        return bool(self.closed)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def close(self) -> None:
        self._end("close")

    def abort(self) -> None:
        self._end("abort")

    def _end(self, how: str) -> None:
        if not self.closed:
            self.closed = how
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


class Wire:
    """A client's view of a connection."""

    def __init__(self, serving: Serving, room: int | None = None) -> None:
        self.transport = Kept(room)
        self.connection = Connection(serving)
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)

    @property
    def written(self) -> bytes:
        return bytes(self.transport.written)

    async def send(self, data: bytes, wait: bool = True) -> None:
        """Send, and wait until nothing is under way any more."""
        if not self.transport.closed:
            self.connection.data_received(data)
        while wait and self.connection._timers and not self.transport.eof:  # noqa: ASYNC110  timers
            await asyncio.sleep(0)

    def end(self) -> None:
        if not self.transport.closed:
            self.transport.closed = "lost"
            self.connection.connection_lost(None)


def noted(serving: Serving) -> Journal:
    """What a serving writes into, to be read."""
    assert isinstance(serving.journal, Journal)
    return serving.journal


def connections(serving: Serving) -> list[Connection]:
    """Its clients as what they are."""
    return [client for client in serving.connections if isinstance(client, Connection)]
