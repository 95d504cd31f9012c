"""Calls between a supervisor and its worker processes, over a pair of unix sockets that both were born with.

One side calls by name, the other answers: frames of a length and a pickle, which both may use because nobody
else has the sockets. Listening sockets travel beside the frames, on a second pair (SCM_RIGHTS, unix(7)): they
are sent before the call that tells how many there are.
"""

import asyncio
import pickle
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from svcmock.protocol import SvcmockError

log = structlog.get_logger()

SOCKETS_AT_ONCE = 200
"""Descriptors in one message; Linux takes 253 (SCM_MAX_FD)."""

NO_ROOM = "a worker may open no more files, see `ulimit -n`"

_LENGTH = struct.Struct("!I")

Handler = Callable[..., Awaitable[object]]


class Gone(SvcmockError):
    """The process at the other end has ended."""


class Caller:
    """The calling side of a channel. `sock` and `passing` are its ends of the two pairs."""

    def __init__(self, sock: socket.socket, passing: socket.socket) -> None:
        passing.setblocking(False)  # a process that takes none is as good as gone
        self._sock = sock
        self._passing = passing
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._calls = 0
        self._gone = False

    async def open(self) -> None:
        """Ready to call."""
        reader, self._writer = await asyncio.open_connection(sock=self._sock)
        self._reading = asyncio.get_running_loop().create_task(self._read(reader))

    async def call(self, name: str, *arguments: object, sockets: Sequence[socket.socket] = ()) -> Any:
        """What `name` gives at the other end. Raises SvcmockError as it did there; Gone when there is none."""
        if self._writer is None or self._gone:
            raise Gone("the process has ended")
        self._calls += 1
        answer = self._waiting[self._calls] = asyncio.get_running_loop().create_future()
        try:
            for at in range(0, len(sockets), SOCKETS_AT_ONCE):
                socket.send_fds(
                    self._passing, [b"\0"], [s.fileno() for s in sockets[at : at + SOCKETS_AT_ONCE]]
                )
        except OSError:
            self.close()  # it may have some of them: what came next would be taken for the others
        else:
            self._writer.write(_frame((self._calls, name, arguments, len(sockets))))
        return await answer

    def close(self) -> None:
        """Hang up: the other end ends."""
        self._lost()
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.close()
        self._passing.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                number, fine, value = await _received(reader)
                answer = self._waiting.pop(number, None)
                if answer is None or answer.done():
                    continue
                if fine:
                    answer.set_result(value)
                else:
                    answer.set_exception(SvcmockError(value))
        except (asyncio.IncompleteReadError, OSError):
            self._lost()

    def _lost(self) -> None:
        self._gone = True
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Gone("the process has ended"))
        self._waiting.clear()


async def answer(sock: socket.socket, passing: socket.socket, handlers: Mapping[str, Handler]) -> None:
    """The answering side: until the caller hangs up, or has ended.

    A handler is called with the arguments of the call, and with `sockets=` where some came with it. Calls are
    handled side by side. Errors other than SvcmockError are logged, and told in a word.
    """
    passing.setblocking(False)  # what is not here already does not come
    reader, writer = await asyncio.open_connection(sock=sock)
    tasks: set[asyncio.Task[None]] = set()

    async def handle(number: int, name: str, arguments: Sequence[object], given: Mapping[str, object]) -> None:
        try:
            reply = _frame((number, True, await handlers[name](*arguments, **given)))
        except SvcmockError as error:
            reply = _frame((number, False, str(error)))
        except Exception as error:
            log.exception("a call failed", call=name)
            reply = _frame((number, False, f"internal error: {type(error).__name__}: {error}"))
        writer.write(reply)

    try:
        while True:
            number, name, arguments, count = await _received(reader)
            passed = _passed(passing, count)
            if len(passed) < count:
                for each in passed:
                    each.close()
                writer.write(_frame((number, False, NO_ROOM)))
                continue
            given = {"sockets": passed} if passed else {}
            task = asyncio.get_running_loop().create_task(handle(number, name, arguments, given))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    except (asyncio.IncompleteReadError, OSError):
        return
    finally:
        writer.close()
        passing.close()


def _passed(passing: socket.socket, count: int) -> list[socket.socket]:
    """The sockets that were sent before the call that tells of them; so they are here already.

    Fewer where this process may open no more: the system leaves the rest out (MSG_CTRUNC, unix(7)).
    """
    found: list[socket.socket] = []
    for _ in range(0, count, SOCKETS_AT_ONCE):
        _, handles, _, _ = socket.recv_fds(passing, 1, SOCKETS_AT_ONCE)
        found += [socket.socket(fileno=handle) for handle in handles]
    return found


def _frame(value: object) -> bytes:
    data = pickle.dumps(value)
    return _LENGTH.pack(len(data)) + data


async def _received(reader: asyncio.StreamReader) -> Any:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return pickle.loads(await reader.readexactly(length))  # noqa: S301  from our own process
