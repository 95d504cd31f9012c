"""A load generator for protocols without HTTP: the same bytes time and again, and the same expected back.

Reads what to send as JSON from standard input, writes what came of it as JSON to standard output. A connection
sends when the last answer is whole; several requests in what it sends are in flight at once, as a client with
pipelining has them. Every answer is compared with what is expected.
"""

import base64
import select
import socket
import sys
import time

import msgspec
from msgspec import Struct

from benchmarks.generator import Rate

RECEIVE = 256 * 1024
PATIENCE = 20.0
"""Seconds for an answer."""


class Exchanges(Struct, frozen=True):
    """What to send, and what must come back, as base64. `units`: requests in it, each counted."""

    port: int
    seconds: float
    connections: int
    sent: str
    expected: str
    units: int = 1


class _Client:
    """One connection, and what has come of its answer."""

    def __init__(self, given: Exchanges) -> None:
        self.socket = socket.create_connection(("127.0.0.1", given.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(PATIENCE)
        self.got = b""

    def receive(self) -> bytes:
        data = self.socket.recv(RECEIVE)
        if not data:
            raise ConnectionError("the server closed a connection")
        return data


def run(given: Exchanges) -> Rate:
    """Send for so long. Raises OSError."""
    sent, expected = base64.b64decode(given.sent), base64.b64decode(given.expected)
    clients = [_Client(given) for _ in range(given.connections)]
    poll = select.epoll()
    try:
        by_handle = {client.socket.fileno(): client for client in clients}
        for handle in by_handle:
            poll.register(handle, select.EPOLLIN)
        answered = wrong = 0
        begun = now = time.monotonic()
        for client in clients:
            client.socket.sendall(sent)
        while now < begun + given.seconds:
            events = poll.poll(PATIENCE)
            if not events:
                raise TimeoutError(f"no answer in {PATIENCE:.0f} s")
            for handle, _ in events:
                client = by_handle[handle]
                client.got = client.got + client.receive() if client.got else client.receive()
                if len(client.got) >= len(expected):
                    answered += 1
                    wrong += client.got != expected
                    client.got = b""
                    client.socket.sendall(sent)
            now = time.monotonic()
    finally:
        poll.close()
        for client in clients:
            client.socket.close()
    total = answered * given.units
    return Rate(total / (now - begun), total, wrong * given.units)


def main() -> int:
    given = msgspec.json.decode(sys.stdin.read(), type=Exchanges)
    print(msgspec.json.encode(run(given)).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
