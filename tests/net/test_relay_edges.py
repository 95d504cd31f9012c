"""The relay where the two sides do not keep step: slow upstreams, early ends, exchanges that cannot be kept."""

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop

from svcmock.model import Tcp
from svcmock.net.listener import Listener, bind
from svcmock.net.recorder import Recorder
from svcmock.net.relay import Client, Server
from svcmock.net.spool import Spools
from svcmock.net.upstream import Connector
from svcmock.protocol import Documents, Plugin
from svcmock_protocols.http import HttpPlugin, plugin
from svcmock_protocols.postgres import plugin as postgres
from tests.net.wire import Kept
from tests.protocols.postgres import wire
from tests.routes import CONTEXT, SERVICE

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def recorder_of(root: Path, url: str, spoken: Plugin = plugin, **options: Any) -> Recorder:
    service = msgspec.structs.replace(SERVICE, upstream=url)
    context = msgspec.structs.replace(CONTEXT, options=msgspec.structs.replace(CONTEXT.options, **options))
    return Recorder(
        "shop",
        spoken,
        lambda: context,
        Connector(service, spoken),
        root / "rec",
        "r.yaml",
        lambda: Spools(root / "sp"),
    )


def listening(rcvbuf: int = 0) -> socket.socket:
    sock = socket.socket()
    if rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    sock.setblocking(False)
    return sock


async def connected(recorder: Recorder) -> tuple[Listener, asyncio.StreamReader, asyncio.StreamWriter]:
    listener = Listener(bind(Tcp("127.0.0.1", 0)), lambda: Client(recorder))
    await listener.start()
    port = int(listener.address.rpartition(":")[2])
    return listener, *await asyncio.open_connection("127.0.0.1", port)


async def over(recorder: Recorder, listener: Listener, writer: asyncio.StreamWriter) -> None:
    writer.close()
    while recorder.connections:  # noqa: ASYNC110  bounded by the test's timeout
        await asyncio.sleep(0.002)
    await listener.stop()
    recorder.close()


def test_a_client_that_ends_its_side_before_the_upstream_is_reached_ends_it_there_too() -> None:
    async def work() -> Kept:
        upstream = Kept()
        server = Server(None)  # type: ignore[arg-type]  # nothing is said back
        server.write(GET)
        server.shut()
        upstream.protocol = server
        server.connection_made(upstream)
        return upstream

    upstream = asyncio.run(work())
    assert bytes(upstream.written) == GET
    assert upstream.eof


def test_an_upstream_that_reads_nothing_from_the_start_holds_the_client_back(tmp_path: Path) -> None:
    size = 128 * 2**20

    async def work() -> int:
        sent = 0
        with listening(rcvbuf=4096) as upstream:
            recorder = recorder_of(tmp_path, f"http://127.0.0.1:{upstream.getsockname()[1]}")
            listener, _, writer = await connected(recorder)
            writer.write(b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n" % size)
            try:
                while sent < size:
                    writer.write(b"x" * 2**20)
                    async with asyncio.timeout(1):
                        await writer.drain()
                    sent += 2**20
            except TimeoutError:
                pass
            writer.transport.abort()
        await over(recorder, listener, writer)
        return sent

    assert asyncio.run(asyncio.wait_for(work(), 20)) < size // 4


def test_an_upstream_whose_name_cannot_be_one_is_answered_like_any_other(tmp_path: Path) -> None:
    async def work() -> bytes:
        recorder = recorder_of(tmp_path, f"http://{'a' * 64}.test")
        listener, reader, writer = await connected(recorder)
        writer.write(GET)
        told = await reader.read()
        await over(recorder, listener, writer)
        assert recorder.counters.failed == 1
        return told

    assert asyncio.run(asyncio.wait_for(work(), 20)).startswith(b"HTTP/1.1 502 ")


def test_a_large_body_that_is_not_recorded_leaves_no_file_while_the_connection_lasts(tmp_path: Path) -> None:
    """It holds more credentials than can be looked for, which is found out after some of it was spooled."""
    secrets = b",".join(b'{"password":"%040d"}' % i for i in range(20_000))
    body = b"[" + b"1," * 150_000 + secrets + b"]"

    async def work() -> list[Path]:
        with listening() as upstream:
            recorder = recorder_of(
                tmp_path, f"http://127.0.0.1:{upstream.getsockname()[1]}", max_body_memory=1000
            )
            listener, reader, writer = await connected(recorder)
            peer, _ = await asyncio.get_running_loop().sock_accept(upstream)
            with peer:
                writer.write(b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n" % len(body))
                writer.write(body)
                left = len(body)
                while left > 0:
                    left -= len(await asyncio.get_running_loop().sock_recv(peer, 2**20))
                await asyncio.get_running_loop().sock_sendall(peer, REPLY)
                assert await reader.readexactly(len(REPLY)) == REPLY
                while not recorder.counters.skipped:  # noqa: ASYNC110  bounded below
                    await asyncio.sleep(0.002)
                spooled = list((tmp_path / "sp").iterdir())
            await over(recorder, listener, writer)
        return spooled

    assert asyncio.run(asyncio.wait_for(work(), 20)) == []


def test_what_a_tap_holds_back_is_written_when_its_client_vanishes(tmp_path: Path) -> None:
    """PostgreSQL's asks the server about what it has seen; the client need not stay for that."""
    ran = wire.columns(("n", 1700)) + wire.row(b"12.50") + wire.complete("SELECT 1") + wire.ready()
    turns = [
        (wire.startup(), wire.HELLO),
        (wire.parse("SELECT $1") + wire.bind((b"12.50",)) + wire.describe() + wire.execute() + wire.SYNC,
         wire.PARSED + wire.BOUND + ran),
    ]  # fmt: skip

    async def work() -> tuple[int, int, int]:
        loop = asyncio.get_running_loop()
        with listening() as upstream:
            service = msgspec.structs.replace(SERVICE, upstream=f"postgres://127.0.0.1:{_port(upstream)}")
            recorder = Recorder(
                "db", postgres, wire.context, Connector(service, postgres), tmp_path / "rec", "r.yaml",
                lambda: Spools(tmp_path / "sp"),
            )  # fmt: skip
            listener, reader, writer = await connected(recorder)
            peer, _ = await loop.sock_accept(upstream)
            with peer:
                for asked, told in turns:
                    writer.write(asked)
                    assert await loop.sock_recv(peer, 1000) == asked
                    await loop.sock_sendall(peer, told)
                    assert await reader.readexactly(len(told)) == told
                assert b"_svcmock" in await loop.sock_recv(peer, 1000)
                _reset_at_its_end(writer.get_extra_info("socket"))
                writer.transport.abort()
                await over(recorder, listener, writer)
        counters = recorder.counters
        return counters.accepted, counters.recorded, counters.failed

    assert asyncio.run(asyncio.wait_for(work(), 20)) == (1, 1, 0)


def _port(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


class _Forgetful(HttpPlugin):
    """A protocol with a mistake in what writes its recordings."""

    def dump(self, request: Any, reply: Any, context: Any) -> Documents:
        mistake: Mapping[str, Documents] = {}
        return mistake["dump"]


def test_a_mistake_in_a_protocol_costs_the_exchange_and_not_the_connection(tmp_path: Path) -> None:
    async def work() -> bytes:
        with listening() as upstream:
            recorder = recorder_of(
                tmp_path, f"http://127.0.0.1:{upstream.getsockname()[1]}", spoken=_Forgetful()
            )
            listener, reader, writer = await connected(recorder)
            loop = asyncio.get_running_loop()
            peer, _ = await loop.sock_accept(upstream)
            told = b""
            with peer:
                for _ in range(2):
                    writer.write(GET)
                    await loop.sock_recv(peer, 1000)
                    await loop.sock_sendall(peer, REPLY)
                    told += await reader.readexactly(len(REPLY))
            await over(recorder, listener, writer)
        assert (recorder.counters.accepted, recorder.counters.failed) == (2, 2)
        return told

    assert asyncio.run(asyncio.wait_for(work(), 20)) == REPLY * 2


def _vanish(peer: socket.socket) -> None:
    """Close with a reset."""
    _reset_at_its_end(peer)
    peer.close()


def _reset_at_its_end(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_reply_that_an_upstream_broke_off_does_not_look_whole(
    tmp_path: Path, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    part = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nthe first half"

    async def work() -> tuple[bytes, Recorder]:
        loop = asyncio.get_running_loop()
        with listening() as upstream:
            recorder = recorder_of(tmp_path, f"http://127.0.0.1:{upstream.getsockname()[1]}")
            listener, reader, writer = await connected(recorder)
            writer.write(GET)
            peer, _ = await loop.sock_accept(upstream)
            await loop.sock_recv(peer, 1000)
            await loop.sock_sendall(peer, part)
            told = await reader.readexactly(len(part))
            _vanish(peer)
            with pytest.raises(ConnectionResetError):
                await reader.read()
        await over(recorder, listener, writer)
        return told, recorder

    with asyncio.Runner(loop_factory=factory) as runner:
        told, recorder = runner.run(asyncio.wait_for(work(), 20))
    assert told == part
    assert (recorder.counters.recorded, recorder.counters.failed) == (0, 1)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_whole_reply_reaches_a_slow_client_though_the_upstream_vanished(
    tmp_path: Path, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """What waits for the client when the upstream resets is all of the reply; it must not be thrown away."""
    size = 64 * 1024
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size

    async def work() -> int:
        loop = asyncio.get_running_loop()
        with listening() as upstream, socket.socket() as client:
            recorder = recorder_of(tmp_path, f"http://127.0.0.1:{upstream.getsockname()[1]}")
            listener, _, writer = await connected(recorder)
            writer.close()  # this test's client is one that takes little at a time
            first, _ = await loop.sock_accept(upstream)
            first.close()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", int(listener.address.rpartition(":")[2])))
            await loop.sock_sendall(client, GET)
            peer, _ = await loop.sock_accept(upstream)
            await loop.sock_recv(peer, 1000)
            await loop.sock_sendall(peer, reply)
            while not recorder.counters.recorded:  # noqa: ASYNC110  bounded below
                await asyncio.sleep(0.002)
            _vanish(peer)
            got = 0
            while piece := await loop.sock_recv(client, 4096):
                got += len(piece)
                await asyncio.sleep(0)
        await over(recorder, listener, writer)
        return got

    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(asyncio.wait_for(work(), 20)) == len(reply)
