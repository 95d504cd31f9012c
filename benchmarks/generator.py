"""A load generator for where no better one is installed: sockets and epoll, nothing else.

Reads what to send as JSON from standard input, writes what came of it as JSON to standard output. It knows
replies with Content-Length only, which is what the benchmark asks for; of a reply it reads no more than the
status and that length unless it is told what bodies to expect, so a request costs it little beyond its two
system calls.

With a `rate` it sends when a request is due, not when the last one is answered, and counts the latency from
then: a server that stalls does not hide the requests that it kept from being sent.
"""

import re
import select
import socket
import sys
import time
from collections import deque
from typing import Any

import msgspec
from msgspec import Struct

RECEIVE = 64 * 1024

_LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d+)")


class Given(Struct, frozen=True):
    """What to send. `fields`: the header lines. Targets are taken in steps of `stride`.

    `first`: where the count of a unique header begins. `rate`: requests a second; 0 for as many as are
    answered. `expect`: a regular expression that every body must match.
    """

    targets: tuple[str, ...]
    fields: str
    unique: bool
    port: int
    seconds: float
    connections: int
    stride: int
    method: str = "GET"
    body: str = ""
    close: bool = False
    first: int = 0
    rate: float = 0.0
    expect: str = ""


class Rate(Struct, frozen=True):
    """Requests per second, and how many were answered with something other than 2xx, wrongly or not at all.

    `p50`, `p99`: milliseconds until an answer.
    """

    per_second: float
    total: int
    wrong: int
    p50: float = 0.0
    p99: float = 0.0


class _Heads:
    """The requests in the order in which they are sent."""

    def __init__(self, given: Given) -> None:
        fields = given.fields + ("Connection: close\r\n" if given.close else "")
        self._heads = [f"{given.method} {target} HTTP/1.1\r\n{fields}".encode() for target in given.targets]
        self._body = b"\r\n" + given.body.encode()
        self._stride = given.stride
        self._unique = given.unique
        self._sent = 0
        self._first = given.first

    def __call__(self) -> bytes:
        self._sent = sent = self._sent + 1
        head = self._heads[sent * self._stride % len(self._heads)]
        if self._unique:
            return b"%bX-Request-Id: %d\r\n%b" % (head, self._first + sent, self._body)
        return head + self._body


class _Client:
    """One connection: when its request was due, and what it still owes of its answer."""

    __slots__ = ("body", "due", "owed", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self.owed = 0
        self.body: list[bytes] = []


class _Run:
    """All connections at once, one request each."""

    def __init__(self, given: Given) -> None:
        self._given = given
        self._heads = _Heads(given)
        self._expect = re.compile(given.expect.encode()) if given.expect else None
        self._poll = select.epoll()
        self._clients: dict[int, _Client] = {}
        self._idle: deque[_Client] = deque(self._connect() for _ in range(given.connections))
        self._latencies: list[float] = []
        self._wrong = 0
        self._due = 0

    def _connect(self) -> _Client:
        client = _Client(self._given.port)
        self._clients[client.socket.fileno()] = client
        self._poll.register(client.socket.fileno(), select.EPOLLIN)
        return client

    def __call__(self) -> Rate:
        begun = now = time.monotonic()
        end = begun + self._given.seconds
        try:
            while now < end:
                self._send(begun, now)
                for handle, _ in self._poll.poll(0.001 if self._given.rate else 0.2):
                    self._read(self._clients[handle])
                now = time.monotonic()
        finally:
            for client in self._clients.values():
                client.socket.close()
            self._poll.close()
        return self._result(now - begun)

    def _send(self, begun: float, now: float) -> None:
        """What is due: with a rate, what its clock says; else whatever the idle connections can take."""
        idle, rate = self._idle, self._given.rate
        while idle:
            due = begun + self._due / rate if rate else now
            if due > now:
                return
            self._due += 1
            client = idle.popleft()
            client.due = due
            client.socket.sendall(self._heads())

    def _read(self, client: _Client) -> None:
        data = _receive(client)
        left = client.owed
        if not left:
            while b"\r\n\r\n" not in data:
                data += _receive(client)
            self._wrong += data[9:10] != b"2"
            end = data.index(b"\r\n\r\n") + 4
            length = _LENGTH.search(data, 0, end)
            left = end + (int(length[1]) if length else 0)
            if self._expect is not None:
                client.body = [b"", data[end:]]
        elif self._expect is not None:
            client.body.append(data)
        client.owed = left - len(data)
        if client.owed <= 0:
            self._answered(client)

    def _answered(self, client: _Client) -> None:
        client.owed = 0
        self._latencies.append(time.monotonic() - client.due)
        if self._expect is not None:
            self._wrong += self._expect.fullmatch(b"".join(client.body)) is None
        if self._given.close:
            self._poll.unregister(client.socket.fileno())
            del self._clients[client.socket.fileno()]
            client.socket.close()
            client = self._connect()
        self._idle.append(client)

    def _result(self, seconds: float) -> Rate:
        taken = self._latencies
        p50, p99 = (1000 * _quantile(taken, part) for part in (0.5, 0.99))
        return Rate(len(taken) / seconds, len(taken), self._wrong, p50, p99)


def _quantile(values: list[float], part: float) -> float:
    """The value that this part of them is below or at; 0 of none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def _receive(client: _Client) -> bytes:
    data = client.socket.recv(RECEIVE)
    if not data:
        raise ConnectionError("the server closed a connection")
    return data


def measure(given: Given) -> Rate:
    """Send for so long. Raises OSError."""
    return _Run(given)()


def main() -> int:
    given: Any = msgspec.json.decode(sys.stdin.read(), type=Given)
    print(msgspec.json.encode(measure(given)).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
