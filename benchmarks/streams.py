"""A load generator for HTTP/2 and gRPC: many streams on few connections, requests encoded before they are sent.

Reads what to send as JSON from standard input, writes what came of it as JSON to standard output. Of a reply
it reads frame headers, so that a request costs it a few look-ups, and it can load a server that answers from
memory. Header blocks are made as nghttp2 makes them: the path is a literal, every other field goes into the
connection's table when it is first sent, and is an index from then on (RFC 7541 section 6). So a header that
differs in each request goes into the table each time, moves all other indices, and pushes fields out that must
be sent anew.

With `gaps` it opens all streams at once, and tells how far the times between their messages are off.
"""

import base64
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks.generator import Rate

RECEIVE = 256 * 1024
WINDOW = (1 << 31) - 1
CREDIT = 1 << 28
"""Bytes of DATA after which the window of a connection is opened again."""
FIRST_ADDED = 62
"""Index of the newest field in the table, after the static ones."""
TABLE = 4096
OVERHEAD = 32
PATIENCE = 30.0
"""Seconds for a stream with gaps to end."""
_HEADER = struct.Struct(">HBBBL")
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Streams(Struct, frozen=True):
    """What to send. `body`: of every request, as base64. `streams`: on each connection at once.

    `unique`: the name of a header that has another value in each request. `messages`: replies counted for each
    stream that ends. `gaps`: seconds between the messages of a stream.
    """

    port: int
    seconds: float
    connections: int
    streams: int
    path: str
    headers: tuple[tuple[str, str], ...]
    body: str = ""
    unique: str = ""
    messages: int = 1
    gaps: tuple[float, ...] = ()


class Gaps(Struct, frozen=True):
    """Milliseconds by which gaps were off: half of them by less than `p50`, 95 in 100 by less than `p95`."""

    streams: int
    messages: int
    p50: float
    p95: float


def string(value: bytes) -> bytes:
    """A string literal of HPACK, not Huffman-coded, of at most 126 bytes."""
    return bytes([len(value)]) + value


class Blocks:
    """The header blocks of one connection's requests."""

    def __init__(self, given: Streams) -> None:
        first = b"\x83\x86" if given.body else b"\x82\x86"
        self._prefix = first + b"\x04" + string(given.path.encode())
        fields = {":authority": "shop", **dict(given.headers)}
        self._fields = [(name.encode(), value.encode()) for name, value in fields.items()]
        self._unique = given.unique.encode()
        self._table: deque[tuple[bytes, int]] = deque()
        self._size = 0
        self._added = 0
        self._places: dict[bytes, int] = {}
        self._settled = b""
        """The block of all further requests, once everything in it is in the table."""

    def next(self, number: int) -> bytes:
        """The block of a request; `number` tells its unique header from all others."""
        if self._settled:
            return self._settled
        made, fresh = [self._prefix], False
        for name, value in self._fields:
            place = self._places.get(name)
            if place is None:
                fresh = True
                made.append(self._add(name, value))
            else:
                made.append(bytes([0x80 | FIRST_ADDED + self._added - place]))
        if self._unique:
            made.append(self._add(self._unique, b"%036d" % number))
        elif not fresh:
            self._settled = b"".join(made)
        return b"".join(made)

    def _add(self, name: bytes, value: bytes) -> bytes:
        """A literal that goes into the table; its name is an index where it stands there."""
        place = self._places.get(name)
        index = 0 if place is None else FIRST_ADDED + self._added - place
        head = bytes([0x40 | index]) if 0 < index < 0x3F else b"\x40" + string(name)
        size = len(name) + len(value) + OVERHEAD
        self._table.append((name, size))
        self._size += size
        self._added += 1
        while self._size > TABLE:
            gone, size = self._table.popleft()
            self._size -= size
            if self._places.get(gone) == self._added - len(self._table):
                del self._places[gone]
        self._places[name] = self._added
        return head + string(value)


def opening() -> bytes:
    """What a client says first: no push, and windows that are wide open."""
    settings = struct.pack(">HIHI", 2, 0, 4, WINDOW)
    return _PREFACE + frame(4, 0, 0, settings) + frame(8, 0, 0, struct.pack(">I", WINDOW - 65535))


class _Client:
    """One connection."""

    def __init__(self, given: Streams) -> None:
        self.socket = socket.create_connection(("127.0.0.1", given.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(PATIENCE)
        self._blocks = Blocks(given)
        self._body = base64.b64decode(given.body)
        self._rest = b""
        self._next = 1
        self._taken = 0
        self.open = 0
        self.ended = 0
        self.wrong = 0
        self.arrivals: dict[int, list[float]] = {}
        self.timed = bool(given.gaps)
        self.socket.sendall(opening())

    def send(self, count: int, number: int) -> int:
        """Open so many streams; `number` counts unique headers, and is given back increased."""
        made = []
        ended = 5 if not self._body else 4
        for _ in range(count):
            number += 1
            made.append(frame(1, ended, self._next, self._blocks.next(number)))
            if self._body:
                made.append(frame(0, 1, self._next, self._body))
            self._next += 2
        self.open += count
        self.socket.sendall(b"".join(made))
        return number

    def receive(self) -> None:
        """Read what is there, and count the streams that ended. Raises ConnectionError at the server's end."""
        came = self.socket.recv(RECEIVE)
        if not came:
            raise ConnectionError("the server closed the connection")
        data = self._rest + came
        now = time.perf_counter() if self.timed else 0.0
        at, size_of = 0, len(data)
        answers = []
        while size_of - at >= 9:
            high, low, kind, flags, stream = _HEADER.unpack_from(data, at)
            end = at + 9 + (high << 8 | low)
            if end > size_of:
                break
            if kind < 2:
                if kind == 0:
                    self._taken += end - at - 9
                    if self.timed and end > at + 9:
                        self.arrivals.setdefault(stream, []).append(now)
                if flags & 1:
                    self.ended += 1
                    self.open -= 1
            elif kind == 4 and not flags & 1:
                answers.append(frame(4, 1, 0))
            elif kind == 6 and not flags & 1:
                answers.append(frame(6, 1, 0, data[at + 9 : end]))
            elif kind in (3, 7):
                self.wrong += 1
                self.open -= 1 if kind == 3 else 0
            at = end
        self._rest = data[at:]
        if self._taken > CREDIT:
            answers.append(frame(8, 0, 0, struct.pack(">I", self._taken)))
            self._taken = 0
        if answers:
            self.socket.sendall(b"".join(answers))


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    size = len(payload)
    return _HEADER.pack(size >> 8, size & 255, kind, flags, stream) + payload


@contextmanager
def _connected(given: Streams) -> Iterator[list[_Client]]:
    with ExitStack() as stack:
        clients = []
        for _ in range(given.connections):
            clients.append(_Client(given))
            stack.callback(clients[-1].socket.close)
        yield clients


def run(given: Streams) -> Rate:
    """Keep all streams busy for so long."""
    with _connected(given) as clients, select.epoll() as poll:
        by_number = {client.socket.fileno(): client for client in clients}
        number = time.time_ns() % 10**9 * 10**9
        for client in clients:
            poll.register(client.socket.fileno(), select.EPOLLIN)
            number = client.send(given.streams, number)
        begun = time.perf_counter()
        until = begun + given.seconds
        while (now := time.perf_counter()) < until:
            for handle, _ in poll.poll(until - now):
                client = by_number[handle]
                client.receive()
                if client.open < given.streams:
                    number = client.send(given.streams - client.open, number)
        took = time.perf_counter() - begun
    ended = sum(client.ended for client in clients)
    wrong = sum(client.wrong for client in clients)
    return Rate(ended * given.messages / took, ended * given.messages, wrong)


def measure_gaps(given: Streams) -> Gaps:
    """All streams once, and the times between their messages."""
    with _connected(given) as clients, select.epoll() as poll:
        by_number = {client.socket.fileno(): client for client in clients}
        for client in clients:
            poll.register(client.socket.fileno(), select.EPOLLIN)
            client.send(given.streams, 0)
        deadline = time.perf_counter() + PATIENCE + sum(given.gaps)
        while any(client.open for client in clients) and time.perf_counter() < deadline:
            for handle, _ in poll.poll(1.0):
                client = by_number[handle]
                client.receive()
                if not client.open:  # its server may close it
                    poll.unregister(handle)
    off = []
    streams = 0
    for client in clients:
        for times in client.arrivals.values():
            streams += 1
            seen = [after - before for before, after in pairwise(times)]
            off += [abs(one - due) * 1000 for one, due in zip(seen, given.gaps, strict=False)]
    if not off:
        return Gaps(streams, 0, 0.0, 0.0)
    off.sort()
    return Gaps(streams, len(off), off[len(off) // 2], off[int(len(off) * 0.95)])


def main() -> None:
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Streams)
    result: Any = measure_gaps(given) if given.gaps else run(given)
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
