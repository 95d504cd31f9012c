"""A load generator for where wrk is not installed: sockets and epoll, nothing else.

Reads what to send as JSON from standard input, writes the rate as JSON to standard output. It knows replies
with Content-Length only, which is what the benchmark asks for; a reply's head is searched for its length
and no further, so it spends on a request little more than its two system calls.
"""

import json
import re
import select
import socket
import sys
import time

_LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d+)")
RECEIVE = 64 * 1024


def measure(given: dict[str, object]) -> dict[str, float]:
    """Send for `seconds`; gives the rate, the total and how many answers were not 2xx."""
    targets = [f"GET {target} HTTP/1.1\r\n{given['fields']}".encode() for target in given["targets"]]
    count, stride, unique = len(targets), int(given["stride"]), bool(given["unique"])
    poll = select.epoll()
    clients: dict[int, socket.socket] = {}
    owed: dict[int, int] = {}
    sent = 0

    def head() -> bytes:
        chosen = targets[sent * stride % count]
        return b"%bX-Request-Id: %d\r\n\r\n" % (chosen, sent) if unique else chosen + b"\r\n"

    for _ in range(int(given["connections"])):
        client = socket.create_connection(("127.0.0.1", int(given["port"])))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        clients[client.fileno()] = client
        poll.register(client.fileno(), select.EPOLLIN)
    total = wrong = 0
    begun = now = time.monotonic()
    deadline = begun + float(given["seconds"])
    for client in clients.values():
        sent += 1
        client.sendall(head())
    while now < deadline:
        for handle, _ in poll.poll(0.2):
            client = clients[handle]
            data = client.recv(RECEIVE)
            if not data:
                raise ConnectionError("the server closed a connection")
            left = owed.get(handle)
            if left is None:
                while b"\r\n\r\n" not in data:
                    data += client.recv(RECEIVE)
                wrong += data[9:10] != b"2"
                end = data.index(b"\r\n\r\n") + 4
                length = _LENGTH.search(data, 0, end)
                left = end + (int(length[1]) if length else 0)
            left -= len(data)
            if left > 0:
                owed[handle] = left
                continue
            owed.pop(handle, None)
            total += 1
            sent += 1
            client.send(head())
        now = time.monotonic()
    return {"per_second": total / (now - begun), "total": total, "wrong": wrong}


if __name__ == "__main__":
    json.dump(measure(json.load(sys.stdin)), sys.stdout)
