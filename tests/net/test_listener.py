"""Listening: addresses as asked for, reasons when not, stale sockets, and handing a socket over."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from svcmock.model import Tcp, Unix
from svcmock.net import listener as listener_module
from svcmock.net.listener import Listener, ListenError, bind


class Hello(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(b"hello")  # type: ignore[attr-defined]
        transport.close()


async def greeted(address: str) -> bytes:
    if address.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(address[5:])
    else:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
    data = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return data


def test_port_zero_picks_one_that_is_told() -> None:
    async def run() -> tuple[str, bytes]:
        listener = Listener(bind(Tcp("127.0.0.1", 0)), Hello)
        await listener.start()
        data = await greeted(listener.address)
        address = listener.address
        await listener.stop()
        return address, data

    address, data = asyncio.run(run())
    assert data == b"hello"
    assert address.startswith("127.0.0.1:")
    assert not address.endswith(":0")


def test_a_stale_unix_socket_is_replaced_and_a_live_one_is_not(short_folder: Path) -> None:
    path = short_folder / "s.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))

    async def run() -> bytes:
        listener = Listener(bind(Unix(str(path))), Hello)
        await listener.start()
        assert listener.address == f"unix:{path}"
        data = await greeted(listener.address)
        with pytest.raises(ListenError, match="in use by another process"):
            bind(Unix(str(path)))
        await listener.stop()
        return data

    assert asyncio.run(run()) == b"hello"


def test_what_is_no_socket_is_left_alone(short_folder: Path) -> None:
    (short_folder / "file").write_text("precious")
    with pytest.raises(ListenError, match="in use"):
        bind(Unix(str(short_folder / "file")))
    assert (short_folder / "file").read_text() == "precious"


def test_why_an_address_cannot_be_listened_on_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1:{port}: the address is in use"):
            bind(Tcp("127.0.0.1", port))
    with pytest.raises(ListenError, match=r"192\.0\.2\.1:0: this machine has no such address"):
        bind(Tcp("192.0.2.1", 0))
    with pytest.raises(ListenError, match=r"no\.such\.host\.invalid"):
        bind(Tcp("no.such.host.invalid", 1))


def test_a_socket_that_is_handed_over_goes_on_without_a_gap() -> None:
    async def run() -> list[bytes]:
        held = bind(Tcp("127.0.0.1", 0))
        first = Listener(held.dup(), Hello)
        await first.start()
        second = Listener(held, Hello)
        await second.start()
        assert first.address == second.address
        await first.stop()
        told = [await greeted(second.address) for _ in range(3)]
        await second.stop()
        return told

    assert asyncio.run(run()) == [b"hello"] * 3


def test_a_client_that_waits_to_be_greeted_is_and_one_that_speaks_tls_gets_tls() -> None:
    """On a port that takes both, of a protocol in which the server may speak first."""
    ca = trustme.CA()
    ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ca.issue_cert("127.0.0.1").configure_cert(ours)
    ca.configure_trust(theirs)

    async def run() -> tuple[bytes, bytes]:
        listener = Listener(bind(Tcp("127.0.0.1", 0)), Hello, ours, greets=True)
        await listener.start()
        plain = await greeted(listener.address)
        host, _, port = listener.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=theirs)
        secure = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await listener.stop()
        return plain, secure

    assert asyncio.run(run()) == (b"hello", b"hello")


def test_a_silent_client_is_not_greeted_where_the_client_speaks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "FIRST_BYTE_TIMEOUT", 0.2)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    async def run() -> bytes:
        listener = Listener(bind(Tcp("127.0.0.1", 0)), Hello, context)
        await listener.start()
        data = await greeted(listener.address)
        await listener.stop()
        return data

    assert asyncio.run(run()) == b""
