"""The relay between sockets: every byte passed on, every request counted, whatever either side does."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from svcmock.model import Tcp
from svcmock.net.listener import Listener, bind
from svcmock.net.relay import Client, Recorder
from svcmock.net.spool import Spools
from svcmock.net.upstream import Connector
from svcmock_protocols.http import plugin
from tests.routes import CONTEXT, SERVICE

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
Upstream = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def relayed(
    root: Path, upstream: Upstream | int, client: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]
) -> tuple[Any, Recorder]:
    """What `client` gives, connected through a relay to `upstream` (or to a port that nobody listens on)."""

    async def run() -> tuple[Any, Recorder]:
        server = None if isinstance(upstream, int) else await asyncio.start_server(upstream, "127.0.0.1", 0)
        port = upstream if isinstance(upstream, int) else server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        service = msgspec.structs.replace(SERVICE, upstream=f"http://127.0.0.1:{port}")
        recorder = Recorder(
            "shop",
            plugin,
            lambda: CONTEXT,
            Connector(service, plugin),
            root / "rec",
            "r.yaml",
            lambda: Spools(root / "sp"),
        )
        listener = Listener(bind(Tcp("127.0.0.1", 0)), lambda: Client(recorder))
        await listener.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", int(listener.address.rpartition(":")[2]))
        try:
            told = await client(reader, writer)
        finally:
            writer.close()
            while recorder.connections:  # noqa: ASYNC110  bounded below
                await asyncio.sleep(0.002)
            await listener.stop()
            recorder.close()
            if server is not None:
                server.close()
        return told, recorder

    return asyncio.run(asyncio.wait_for(run(), 30))


def counted(recorder: Recorder) -> tuple[int, int, int, int]:
    counters = recorder.counters
    return counters.accepted, counters.recorded, counters.skipped, counters.failed


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(REPLY)


async def quietly(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await upstream(reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def test_requests_are_passed_on_answered_and_written_down(tmp_path: Path) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(GET * 3)
        return await reader.readexactly(len(REPLY) * 3)

    told, recorder = relayed(tmp_path, lambda r, w: quietly(answer, r, w), client)
    assert told == REPLY * 3
    assert counted(recorder) == (3, 3, 0, 0)
    text = (tmp_path / "rec" / "r.yaml").read_text()
    assert text.count("path: /a") == 3
    assert text.count("\n...\n") == 3


def test_nobody_upstream_is_answered_and_counted(tmp_path: Path, free_port: Callable[[], int]) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(GET)
        return await reader.readuntil(b"\r\n")

    told, recorder = relayed(tmp_path, free_port(), client)
    assert told.startswith(b"HTTP/1.1 502 ")
    accepted, recorded, skipped, failed = counted(recorder)
    assert (accepted, recorded) == (1, 0)
    assert skipped + failed == 1
    assert not (tmp_path / "rec" / "r.yaml").exists()


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"])
def test_an_upstream_that_leaves_early_costs_its_exchange_only(tmp_path: Path, sent: bytes) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(REPLY)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(GET * 2)
        return await reader.read()

    told, recorder = relayed(tmp_path, lambda r, w: quietly(leave, r, w), client)
    assert told == REPLY + sent
    accepted, recorded, skipped, failed = counted(recorder)
    assert (accepted, recorded, skipped + failed) == (2, 1, 1)


def test_what_is_not_understood_is_passed_on_all_the_same(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data[::-1])

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"\x00\x01\x02 not HTTP at all\r\n\r\n")
        return await reader.readexactly(20)

    told, recorder = relayed(tmp_path, lambda r, w: quietly(echo, r, w), client)
    assert told == b"\n\r\n\rlla ta PTTH ton \x02"[:20]
    assert recorder.opaque == 1
    assert counted(recorder)[1] == 0


def test_a_client_that_reads_nothing_holds_the_upstream_back(tmp_path: Path) -> None:
    size = 64 * 2**20
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(b"x" * 2**18)
            await writer.drain()
            sent += 2**18

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        while before != sent:  # the upstream comes to a stop by itself
            before = sent
            await asyncio.sleep(0.2)
        return sent

    stopped_at, _ = relayed(tmp_path, lambda r, w: quietly(pour, r, w), client)
    assert stopped_at < size // 2
