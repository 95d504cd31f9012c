"""Accepting when it goes wrong: clients lost before they were taken, no room, too many that stay silent."""

import asyncio
import errno
import os
import socket
import ssl
from typing import Any

import pytest
import structlog
import trustme

from svcmock.model import Tcp
from svcmock.net import listener as listener_module
from svcmock.net.listener import Listener, bind
from tests.net.wire import Run


@pytest.fixture
def context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("shop.test").configure_cert(made)
    return made


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)  # type: ignore[attr-defined]


class Failing(socket.socket):
    """A listening socket on which accept(2) first fails so."""

    def __init__(self, *errors: int) -> None:
        super().__init__(fileno=bind(Tcp("127.0.0.1", 0)).detach())
        self.setblocking(False)
        self.errors = list(errors)

    def accept(self) -> tuple[socket.socket, Any]:
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, os.strerror(number))
        return super().accept()


async def echoed(address: str) -> bytes:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET")
    try:
        return await reader.readexactly(3)
    finally:
        writer.close()


@pytest.mark.parametrize("secure", [False, True])
def test_a_client_that_is_lost_costs_the_next_one_nothing(
    run: Run, context: ssl.SSLContext, secure: bool
) -> None:
    async def work() -> list[Any]:
        sock = Failing(errno.ECONNABORTED, errno.EPROTO, errno.EPERM)
        listener = Listener(sock, Echo, context if secure else None)
        await listener.start()
        with structlog.testing.capture_logs() as told:
            assert await echoed(listener.address) == b"GET"
        assert not sock.errors
        await listener.stop()
        return told

    assert run(work) == []


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_without_room_it_rests_and_goes_on_and_says_so_once(
    run: Run, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(listener_module, "ACCEPT_PAUSE", 0.001)

    async def work() -> list[Any]:
        sock = Failing(*[number] * 5)
        listener = Listener(sock, Echo)
        await listener.start()
        with structlog.testing.capture_logs() as told:
            assert await echoed(listener.address) == b"GET"
        assert not sock.errors
        await listener.stop()
        return told

    (line,) = run(work)
    assert line["event"] == "new clients have to wait"
    assert line["why"] == os.strerror(number)
    assert line["log_level"] == "warning"


def test_it_can_be_stopped_while_it_rests(run: Run) -> None:
    async def work() -> None:
        listener = Listener(Failing(errno.EMFILE), Echo)
        await listener.start()
        host, _, port = listener.address.rpartition(":")
        with structlog.testing.capture_logs() as told, socket.create_connection((host, int(port))):
            while not told:  # noqa: ASYNC110  bounded by the runner
                await asyncio.sleep(0)
            await listener.stop()

    run(work)


def test_one_more_silent_client_than_may_be_closes_the_one_that_is_silent_longest(
    run: Run, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "MAX_SILENT", 3)

    async def work() -> list[Any]:
        listener = Listener(bind(Tcp("127.0.0.1", 0)), Echo, context)
        await listener.start()
        host, _, port = listener.address.rpartition(":")
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
        silent[1][1].write(b"\x16\x03\x01")  # a handshake that goes no further
        with structlog.testing.capture_logs() as told:
            for reader, _ in silent[:2]:
                assert await echoed(listener.address) == b"GET"
                later = await asyncio.open_connection(host, int(port))
                assert await reader.read() == b""
                silent.append(later)
        silent[2][1].write(b"POST")
        assert await silent[2][0].readexactly(4) == b"POST"
        for _, writer in silent:
            writer.close()
        await listener.stop()
        return [line["event"] for line in told]

    assert run(work) == ["silent clients have to go"]


def test_who_was_accepted_before_a_stop_is_served(run: Run) -> None:
    async def work() -> None:
        listener = Listener(bind(Tcp("127.0.0.1", 0)), Echo)
        host, _, port = listener.address.rpartition(":")
        loop = asyncio.get_running_loop()
        with socket.create_connection((host, int(port))) as client:
            client.setblocking(False)
            await listener.start()
            while not listener._opening:  # noqa: ASYNC110  bounded by the runner
                await asyncio.sleep(0)
            await listener.stop()
            await loop.sock_sendall(client, b"GET")
            assert await loop.sock_recv(client, 10) == b"GET"

    run(work)


def test_a_client_sends_small_writes_at_once(run: Run) -> None:
    nodelay = []

    class Looks(Echo):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            sock = transport.get_extra_info("socket")
            nodelay.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async def work() -> None:
        listener = Listener(bind(Tcp("127.0.0.1", 0)), Looks)
        await listener.start()
        assert await echoed(listener.address) == b"GET"
        await listener.stop()

    run(work)
    assert nodelay[0] != 0
