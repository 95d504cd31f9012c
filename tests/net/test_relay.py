"""The relay between sockets: every byte passed on, every request counted, whatever either side does."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme

from svcmock.model import Tcp
from svcmock.net.listener import Listener, bind
from svcmock.net.recorder import Recorder
from svcmock.net.relay import Client
from svcmock.net.spool import Spools
from svcmock.net.upstream import Connector
from svcmock.protocol import FACTS
from svcmock_protocols.http import plugin
from tests.net.chat import CHAT
from tests.routes import CONTEXT, SERVICE

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
Upstream = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def relayed(
    root: Path,
    upstream: Upstream | int,
    client: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
    speaks: Any = plugin,
    *,
    tls: ssl.SSLContext | None = None,
    verify: bool = True,
) -> tuple[Any, Recorder]:
    """What `client` gives, connected through a relay to `upstream` (or to a port that nobody listens on)."""

    async def run() -> tuple[Any, Recorder]:
        server = None if isinstance(upstream, int) else await asyncio.start_server(upstream, "127.0.0.1", 0)
        port = upstream if isinstance(upstream, int) else server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        service = msgspec.structs.replace(SERVICE, upstream=f"http://127.0.0.1:{port}", upstream_verify=verify)
        recorder = Recorder(
            "shop",
            speaks,
            lambda: CONTEXT,
            Connector(service, speaks),
            root / "rec",
            "r.yaml",
            lambda: Spools(root / "sp"),
        )
        recorder.tls = tls
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


# --- what a tap starts and learns ---------------------------------------------------------------------


def chatted(
    root: Path,
    client: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
    *,
    verify: bool = False,
) -> tuple[Any, Recorder]:
    """What `client` gives, whose lines go through a relay to a server that starts TLS when it is asked to."""
    ca = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for context in (theirs, ours):
        ca.issue_cert("127.0.0.1").configure_cert(context)

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                if line == b"tls\n":
                    writer.write(b"go on\n")
                    await writer.start_tls(theirs)
                else:
                    writer.write(line.upper())
        writer.close()

    return relayed(root, upstream, client, CHAT, tls=ours, verify=verify)


def test_both_sides_go_on_in_tls_when_the_tap_says_so(tmp_path: Path) -> None:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[bytes]:
        told = [await reader.readline()]
        writer.write(b"tls\n")
        told.append(await reader.readline())
        await writer.start_tls(trusting)
        for word in (b"one\n", b"two\n"):
            writer.write(word)
            told.append(await reader.readline())
        return told

    told, recorder = chatted(tmp_path, client)
    assert told == [b"hello\n", b"go on\n", b"ONE\n", b"TWO\n"]
    assert not recorder.connections
    assert (tmp_path / "rec" / FACTS).read_text().split() == ["{", '"greeting":', '"hello\\n"', "}"]


def test_an_upstream_that_is_not_trusted_is_told_to_the_client(tmp_path: Path) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        await reader.readline()
        writer.write(b"tls\n")
        return await reader.read()

    told, _ = chatted(tmp_path, client, verify=True)
    assert told.startswith(b"go on\n")
