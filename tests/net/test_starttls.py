"""TLS in the middle of a connection: what comes through, and that every failure is told once."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trustme

from svcmock.net.starttls import Insecure, start_tls
from tests.net.wire import Run


class Kept(asyncio.Protocol):
    """Notes what it is told; starts TLS as soon as it is connected."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.told: list[object] = []
        self.done: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        transport.write(b"go on\n")
        self.task = asyncio.get_running_loop().create_task(self.secure(transport))

    async def secure(self, transport: Any) -> None:
        try:
            self.transport, early = await start_tls(transport, self, self.context)
        except Insecure as error:
            self.done.set_result(str(error))
            return
        if early:
            self.data_received(early)
        self.transport.write(b"welcome\n")

    def data_received(self, data: bytes) -> None:
        self.told.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set_result("lost")


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's, and that of a client who trusts it."""
    ca = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ca.issue_cert("127.0.0.1").configure_cert(server)
    ca.configure_trust(client)
    return server, client


async def met(
    server: ssl.SSLContext, act: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]]
) -> tuple[Any, list[object], object]:
    """What the client makes of it, what the server's protocol was told, and how it ended."""
    made: list[Kept] = []

    def factory() -> Kept:
        made.append(Kept(server))
        return made[-1]

    listening = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname()[:2])
    assert await reader.readline() == b"go on\n"
    got = await act(reader, writer)
    writer.close()
    (one,) = made
    ended = await one.done
    await one.task
    listening.close()
    return got, one.told, ended


def test_what_is_said_after_the_handshake_arrives(run: Run) -> None:
    server, client = contexts()

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        await writer.start_tls(client, server_hostname="127.0.0.1")
        writer.write(b"early")  # with the end of the handshake, perhaps
        return await reader.readline()

    got, told, ended = run(lambda: met(server, act))
    assert (got, ended) == (b"welcome\n", "lost")
    assert b"".join(told) in (b"early", b"")  # type: ignore[arg-type]


def test_a_client_that_does_not_trust_us_is_told_of_once(run: Run) -> None:
    server, _ = contexts()

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with pytest.raises(ssl.SSLError):
            await writer.start_tls(ssl.create_default_context(), server_hostname="127.0.0.1")

    _, told, ended = run(lambda: met(server, act))
    assert told == []
    assert ended not in ("lost", "")


@pytest.mark.parametrize("said", [b"", b"plain text, no handshake\n", b"\x16\x03\x01\x00\x05abcde"])
def test_no_handshake_at_all(run: Run, said: bytes) -> None:
    server, _ = contexts()

    async def act(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.write_eof()

    _, told, ended = run(lambda: met(server, act))
    assert told == []
    assert ended not in ("lost", "")
