"""A load generator for where wrk is not installed: sockets and epoll, nothing else.

Reads what to send as JSON from standard input, writes the rate as JSON to standard output. It knows replies
with Content-Length only, which is what the benchmark asks for; of a reply it reads no more than the status and
that length, so a request costs it little beyond its two system calls.
"""

import re
import select
import socket
import sys
import time

import msgspec
from msgspec import Struct

RECEIVE = 64 * 1024

_LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d+)")


class Given(Struct, frozen=True):
    """What to send. `fields`: the header lines. Targets are taken in steps of `stride`."""

    targets: tuple[str, ...]
    fields: str
    unique: bool
    port: int
    seconds: float
    connections: int
    stride: int


class Rate(Struct, frozen=True):
    """Requests per second, and how many were answered with something other than 2xx or not at all."""

    per_second: float
    total: int
    wrong: int


class _Heads:
    """The requests in the order in which they are sent."""

    def __init__(self, given: Given) -> None:
        self._heads = [f"GET {target} HTTP/1.1\r\n{given.fields}".encode() for target in given.targets]
        self._stride = given.stride
        self._unique = given.unique
        self._sent = 0

    def __call__(self) -> bytes:
        self._sent = sent = self._sent + 1
        head = self._heads[sent * self._stride % len(self._heads)]
        return b"%bX-Request-Id: %d\r\n\r\n" % (head, sent) if self._unique else head + b"\r\n"


def measure(given: Given) -> Rate:
    """Send for so long on all connections at once, one request each. Raises OSError."""
    poll = select.epoll()
    clients: dict[int, socket.socket] = {}
    for _ in range(given.connections):
        client = socket.create_connection(("127.0.0.1", given.port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        clients[client.fileno()] = client
        poll.register(client.fileno(), select.EPOLLIN)
    try:
        return _drive(poll, clients, _Heads(given), given.seconds)
    finally:
        for client in clients.values():
            client.close()
        poll.close()


def _drive(poll: select.epoll, clients: dict[int, socket.socket], head: _Heads, seconds: float) -> Rate:
    owed: dict[int, int] = {}
    total = wrong = 0
    begun = now = time.monotonic()
    for client in clients.values():
        client.sendall(head())
    while now < begun + seconds:
        for handle, _ in poll.poll(0.2):
            client = clients[handle]
            data = _receive(client)
            left = owed.pop(handle, 0)
            if not left:
                while b"\r\n\r\n" not in data:
                    data += _receive(client)
                wrong += data[9:10] != b"2"
                end = data.index(b"\r\n\r\n") + 4
                length = _LENGTH.search(data, 0, end)
                left = end + (int(length[1]) if length else 0)
            left -= len(data)
            if left > 0:
                owed[handle] = left
                continue
            total += 1
            client.sendall(head())
        now = time.monotonic()
    return Rate(total / (now - begun), total, wrong)


def _receive(client: socket.socket) -> bytes:
    data = client.recv(RECEIVE)
    if not data:
        raise ConnectionError("the server closed a connection")
    return data


if __name__ == "__main__":
    print(msgspec.json.encode(measure(msgspec.json.decode(sys.stdin.read(), type=Given))).decode())
