"""A reply that lasts until the connection ends is whole only if the upstream ended it."""

import socket
import struct
from pathlib import Path

from tests.e2e.processes import Svcmock, wait_until
from tests.e2e.wire import Heard, connect, get, upstream

START = b"HTTP/1.1 200 OK\r\n\r\nfirst part"


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def receive(peer: socket.socket) -> None:
    """Wait for all of START."""
    seen = b""
    while not seen.endswith(START):
        seen += peer.recv(1000)


def test_the_client_ends_it(svcmock: Svcmock, tmp_path: Path) -> None:
    left = []

    def answer(heard: Heard, peer: socket.socket) -> bool:
        peer.sendall(START)
        left.append(peer.recv(1))
        return False

    with upstream(answer) as real:
        recorder = svcmock.record(tmp_path / "p", {"app": real.url})
        with connect(recorder.ports["app"]) as peer:
            peer.sendall(get("/"))
            receive(peer)
            reset(peer)
        wait_until(lambda: left, lambda: "the upstream was not told")
        told = recorder.stop()["app"]
    assert (told["accepted"], told["failed"], told["file"]) == (1, 1, "-")
