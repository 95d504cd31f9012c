"""A client that asks on and on and reads nothing: bounded, alone with it, and answered in full later."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from tests.e2e.processes import Svcmock, resident, wait_until
from tests.e2e.projects import ROUTES, connect, project
from tests.e2e.wire import Reading

MANY = 25_000
FEW = 2_000
GROWTH = 64 << 20
"""Bytes that a daemon may grow by meanwhile: far below what all answers are together, 100 MB and more."""
PAD = "x" * 4000
WEIGHT = f"X-Weight: {'w' * 100}\r\n"
"""So that what is asked for is more than the kernel keeps."""
LARGE = 100_000
GET = b"GET /users/42 HTTP/1.1\r\nHost: a\r\n\r\n"

ROUTES_HERE = ROUTES + (
    f"- {{request: {{path: /same}}, respond: {{body: 'same {PAD}'}}}}\n"
    f"- {{match: {{path: '/turn/{{n}}'}}, respond: {{body: '{{{{n}}}} {PAD}'}}, template: true}}\n"
    f"- {{request: {{path: /inline}}, respond: {{body: '{'y' * LARGE}'}}}}\n"
    "- {request: {path: /file}, respond: {body: {file: big.bin}}}\n"
)


def asked(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n".encode()


KINDS: dict[str, tuple[int, Callable[[int], bytes], Callable[[int], bytes]]] = {
    "remembered": (MANY, lambda n: asked("/same", WEIGHT), lambda n: f"same {PAD}".encode()),
    "alike": (
        MANY,
        lambda n: asked("/same", f"X-Request-Id: {n}\r\n" + WEIGHT),
        lambda n: f"same {PAD}".encode(),
    ),
    "template": (MANY, lambda n: asked(f"/turn/{n}", WEIGHT), lambda n: f"{n} {PAD}".encode()),
    "inline": (FEW, lambda n: asked("/inline"), lambda n: b"y" * LARGE),
    "file": (FEW, lambda n: asked("/file"), lambda n: b"z" * LARGE),
    "in turn": (
        FEW,
        lambda n: asked(("/file", "/inline", f"/turn/{n}")[n % 3]),
        lambda n: (b"z" * LARGE, b"y" * LARGE, f"{n} {PAD}".encode())[n % 3],
    ),
}
"""How many, the request by its number, and the body that answers it."""


class Replies:
    """Replies with a Content-Length, read one after the other."""

    def __init__(self, client: socket.socket) -> None:
        self._file = client.makefile("rb", 1 << 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def next(self) -> tuple[int, bytes]:
        """Status and body."""
        status = int(self._file.readline().split(b" ")[1])
        size = 0
        while (line := self._file.readline()) != b"\r\n":
            assert line
            name, _, value = line.partition(b":")
            size = int(value) if name.lower() == b"content-length" else size
        return status, self._file.read(size)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_reads_nothing_until_it_has_asked_for_everything(
    svcmock: Svcmock, tmp_path: Path, kind: str
) -> None:
    count, request, body = KINDS[kind]
    shop = project(tmp_path / "shop", routes=ROUTES_HERE)
    (shop / "routes/big.bin").write_bytes(b"z" * LARGE)
    mock = svcmock.up(shop)
    everything = b"".join(map(request, range(count)))
    with connect(mock.ports["shop"]) as greedy, connect(mock.ports["shop"]) as other:
        others = Reading(other)
        greedy.settimeout(60)
        before = resident(mock.pid)
        sender = threading.Thread(target=greedy.sendall, args=(everything,))
        sender.start()
        try:
            greedy.recv(1, socket.MSG_PEEK)
            for _ in range(20):
                other.sendall(GET)
                assert b'{"id":42}' in others.reply()
            most = 0
            with Replies(greedy) as replies:
                for number in range(count):
                    assert replies.next() == (200, body(number)), number
                    if number % (count // 50) == 0:
                        most = max(most, resident(mock.pid))
                        other.sendall(GET)
                        assert b'{"id":42}' in others.reply()
        finally:
            greedy.shutdown(socket.SHUT_RDWR)  # where a reply was wrong, the sender still waits
            sender.join()
    assert most - before < GROWTH


def test_misses_are_answered_each_in_its_place(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "shop"))
    with connect(mock.ports["shop"]) as greedy:
        greedy.settimeout(60)
        everything = b"".join(asked(f"/none/{n}") for n in range(FEW * 2))
        sender = threading.Thread(target=greedy.sendall, args=(everything,))
        sender.start()
        with Replies(greedy) as replies:
            for number in range(FEW * 2):
                status, body = replies.next()
                assert status == 501
                assert f"/none/{number}".encode() in body or b"svcmock why" in body
        sender.join()
    assert mock.status()["services"]["shop"]["misses"] == FEW * 2


@pytest.mark.parametrize("path", ["/same", "/turn/1", "/file"])
def test_one_that_never_reads_is_closed(svcmock: Svcmock, tmp_path: Path, path: str) -> None:
    service = "shop: {listen: 0, routes: routes/, limits: {idle: 0.4}}"
    shop = project(tmp_path / "shop", service, ROUTES_HERE)
    (shop / "routes/big.bin").write_bytes(b"z" * LARGE)
    mock = svcmock.up(shop)
    with connect(mock.ports["shop"]) as greedy:
        with pytest.raises(OSError):  # noqa: PT012  whenever the daemon has had enough of it
            while True:
                greedy.sendall(asked(path) * 1000)
        wait_until(lambda: mock.status()["services"]["shop"]["connections"] == 0)
    assert "closed a client that does not read" in mock.log()
