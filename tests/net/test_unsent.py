"""How much a client has not taken: what waits here, and what the kernel holds."""

import asyncio
import socket

from svcmock.net.unsent import unsent


class Waiting(asyncio.Transport):
    def __init__(self, waiting: int, sock: socket.socket) -> None:
        super().__init__({"socket": sock})
        self._waiting = waiting

    def get_write_buffer_size(self) -> int:
        return self._waiting


def test_what_the_kernel_holds_counts_while_some_waits_here() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        peer, _ = listening.accept()
        with client, peer:
            assert unsent(Waiting(0, peer)) == 0
            assert unsent(Waiting(10, peer)) == 10
            peer.setblocking(False)
            sent = 0
            try:
                while True:
                    sent += peer.send(bytes(65536))
            except BlockingIOError:
                pass
            assert unsent(Waiting(0, peer)) == 0
            assert 10 < unsent(Waiting(10, peer)) <= 10 + sent


def test_where_the_system_does_not_tell() -> None:
    sock = socket.socket()
    sock.close()
    assert unsent(Waiting(10, sock)) == 10
