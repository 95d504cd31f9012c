"""Many clients that hardly speak, and clients that break off: each ends by itself, and others are served."""

import socket
import struct
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.e2e.processes import Mock, Svcmock, wait_until
from tests.e2e.projects import connect, get, project
from tests.e2e.wire import Reading

MANY = 1000
GET = b"GET /users/42 HTTP/1.1\r\nHost: a\r\n\r\n"


def connections(mock: Mock) -> int:
    return sum(service["connections"] for service in mock.status()["services"].values())


def test_a_thousand_that_send_a_byte_now_and_then(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "shop"))
    port = mock.ports["shop"]
    with ExitStack() as clients:
        slow = [clients.enter_context(connect(port)) for _ in range(MANY)]
        for at in range(len(GET)):
            for client in slow:
                client.sendall(GET[at : at + 1])
            assert get(port) == (200, b'{"id":42}')
        for client in slow:
            assert Reading(client).reply().endswith(b'{"id":42}')
        assert connections(mock) == MANY
    wait_until(lambda: connections(mock) == 0)


def test_a_thousand_that_stop_inside_a_request_are_told_so_and_closed(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "shop", "shop: {listen: 0, routes: routes/, limits: {idle: 0.4}}"))
    port = mock.ports["shop"]
    with ExitStack() as clients:
        slow = [clients.enter_context(connect(port)) for _ in range(MANY)]
        for client in slow:
            with suppress(OSError):  # the first may be timed out before the last has begun
                client.sendall(GET[:9])
        assert get(port) == (200, b'{"id":42}')
        for client in slow:
            assert client.recv(1000).startswith(b"HTTP/1.1 408 ")
    wait_until(lambda: connections(mock) == 0)


def test_handshakes_that_stop_and_clients_that_only_connect_keep_nobody_out(
    svcmock: Svcmock, tmp_path: Path
) -> None:
    mock = svcmock.up(project(tmp_path / "shop", "shop: {listen: 0, tls: auto, routes: routes/}"))
    port = mock.ports["shop"]
    with ExitStack() as clients:
        for number in range(MANY):
            client = clients.enter_context(connect(port))
            client.sendall((b"", b"\x16", b"\x16\x03\x01\x02\x00\x01")[number % 3])
        assert get(port) == (200, b'{"id":42}')
    assert get(port) == (200, b'{"id":42}')


def test_resets_in_the_middle_of_pipelined_replies(svcmock: Svcmock, tmp_path: Path) -> None:
    """The daemon learns of it while it writes, or while it waits until it can."""
    mock = svcmock.up(project(tmp_path / "shop"))
    port = mock.ports["shop"]
    for _ in range(20):
        with connect(port) as client:
            client.settimeout(0.2)
            with suppress(TimeoutError):
                client.sendall(GET * 50_000)
            client.settimeout(20)
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert get(port) == (200, b'{"id":42}')
    wait_until(lambda: connections(mock) == 0)
    assert "Traceback" not in mock.log()
