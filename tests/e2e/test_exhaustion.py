"""A daemon that may open few files and has more clients than that: they wait, and everybody else is served."""

import os
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.processes import Process, Svcmock
from tests.e2e.projects import ROUTES, connect, project, receive

FILES = 64
FLOOD = 100
GET = b"GET /users/42 HTTP/1.1\r\nHost: a\r\n\r\n"
BIG = b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b'{"id":42}'
SIZE = 8 << 20
KINDS = {"tcp": "listen: 0", "unix": "listen: 'unix:s.sock'", "tls": "listen: 0, tls: auto"}


@contextmanager
def served(svcmock: Svcmock, shop: Path) -> Iterator[Process]:
    """A daemon in the foreground that may open no more than FILES."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))  # noqa: E731
    process = svcmock.start("up", shop, "--log-format", "json", preexec_fn=limit)
    process.said(r"serving .* \(pid")
    yield process
    assert process.stop() == 0, process.output
    assert "Traceback" not in process.output


def port_of(process: Process) -> int:
    return int(process.said(r"127\.0\.0\.1:(\d+)")[1])


def ask(client: socket.socket, request: bytes = GET, end: bytes = ANSWER) -> bytes:
    client.sendall(request)
    return answer(client, end)


def answer(client: socket.socket, end: bytes = ANSWER) -> bytes:
    got = b""
    while not got.endswith(end):
        piece = client.recv(1 << 16)
        assert piece, f"closed after {got!r}"
        got += piece
    return got


def full(process: Process) -> None:
    """Wait until the daemon has said that clients have to wait."""
    process.said("new clients have to wait")


def processor(process: Process) -> float:
    """Seconds of processor time that it has had."""
    words = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("kind", KINDS)
def test_clients_beyond_the_files_wait_and_are_served_when_others_leave(
    svcmock: Svcmock, tmp_path: Path, short_folder: Path, kind: str
) -> None:
    path = short_folder / "s.sock"
    shop = project(tmp_path / "shop", f"shop: {{{KINDS[kind].replace('s.sock', str(path))}, routes: routes/}}")
    context = ssl._create_unverified_context()

    def come() -> socket.socket:
        if kind == "unix":
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(20)
            client.connect(str(path))
            return client
        return connect(port_of(process))

    with served(svcmock, shop) as process, ExitStack() as clients:
        flood = [clients.enter_context(come()) for _ in range(FLOOD)]
        if kind != "tls":
            for client in flood:
                client.sendall(GET)
        full(process)
        # one after the other: each that leaves makes room for one that waits, and none was turned away
        for number, client in enumerate(flood):
            secure = context.wrap_socket(client, server_hostname="a") if kind == "tls" else client
            assert b"200 OK" in (ask(secure) if kind == "tls" else answer(secure)), number
            if number or kind == "tls":
                secure.close()
        if kind != "tls":
            assert b"200 OK" in ask(flood[0])
        assert process.output.count("new clients have to wait") == 1


def test_while_clients_wait_the_daemon_rests_and_can_be_asked_reloaded_and_stopped(
    svcmock: Svcmock, tmp_path: Path
) -> None:
    shop = project(tmp_path / "shop")
    with served(svcmock, shop) as process, ExitStack() as clients:
        port = port_of(process)
        first = clients.enter_context(connect(port))
        assert b"200 OK" in ask(first)
        for _ in range(FLOOD):
            clients.enter_context(connect(port))
        full(process)
        before = processor(process)
        looks = 0
        while processor(process) - before < 0.05 and looks < 100:
            assert b"200 OK" in ask(first)
            looks += 1
        (shop / "routes/a.yaml").write_text(ROUTES.replace('"id":42', '"id":43'))
        svcmock.run("reload", shop)
        assert svcmock.run("status", shop, "--json").stdout
        assert b'{"id":43}' in ask(first, end=b'{"id":43}')
        assert process.output.count("new clients have to wait") == 1


def test_a_body_file_that_cannot_be_opened_is_an_answer_or_a_whole_body(
    svcmock: Svcmock, tmp_path: Path
) -> None:
    """Each client takes a second descriptor while its file is sent: there are too few for all."""
    routes = ROUTES + "- {request: {path: /big}, respond: {body: {file: big.bin}}}\n"
    shop = project(tmp_path / "shop", routes=routes)
    with (shop / "routes/big.bin").open("wb") as file:
        file.truncate(SIZE)
    with served(svcmock, shop) as process, ExitStack() as clients:
        port = port_of(process)
        many = [clients.enter_context(connect(port)) for _ in range(FLOOD)]
        full(process)
        for client in many:
            client.sendall(BIG.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        statuses = set()
        for client in many:
            told = receive(client)
            head, _, body = told.partition(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            statuses.add(status)
            length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            assert len(body) == int(length.split(b":")[1])
            client.close()
        assert 200 in statuses
        assert statuses <= {200, 501}
        with connect(port) as again:
            assert b"200 OK" in ask(again)
