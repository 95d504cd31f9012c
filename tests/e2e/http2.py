"""An HTTP/2 upstream by the h2 library, over real sockets: prior knowledge, `Upgrade: h2c`, or TLS."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from msgspec import Struct

TIMEOUT = 30.0


class Asked(Struct):
    """A request as the upstream got it."""

    fields: list[tuple[str, str]]
    body: bytes = b""

    def get(self, name: str) -> str | None:
        """The value of a field."""
        return dict(self.fields).get(name)


class Answered(Struct, frozen=True):
    """What the upstream says. Of `pieces` each is a DATA frame."""

    fields: tuple[tuple[str, str], ...] = ((":status", "200"),)
    pieces: tuple[bytes, ...] = (b"",)
    trailers: tuple[tuple[str, str], ...] = ()


Answer = Callable[[Asked], Answered]


class Http2Upstream:
    """A server with a thread for each connection."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.heard: list[Asked] = []
        self._peers: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more, and end every connection."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(TIMEOUT)
        for peer in self._peers:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listening.accept()
            except OSError:
                return
            peer.settimeout(TIMEOUT)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with suppress(OSError, h2.exceptions.ProtocolError):
            if self._tls is not None:
                peer = self._tls.wrap_socket(peer, server_side=True)
            self._peers.append(peer)
            with peer:
                _Connection(self, peer).run()

    def answer(self, asked: Asked) -> Answered:
        self.heard.append(asked)
        return self._answer(asked)


class _Connection:
    def __init__(self, upstream: Http2Upstream, peer: socket.socket) -> None:
        self._upstream = upstream
        self._peer = peer
        self._http = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self._open: dict[int, Asked] = {}

    def run(self) -> None:
        data = self._peer.recv(65536)
        if data.startswith(b"PRI"):
            self._http.initiate_connection()
        else:
            data = self._upgrade(data)
        while True:
            self._peer.sendall(self._http.data_to_send())
            for event in self._http.receive_data(data):
                self._on(event)
            self._peer.sendall(self._http.data_to_send())
            data = self._peer.recv(65536)
            if not data:
                return

    def _upgrade(self, data: bytes) -> bytes:
        while b"\r\n\r\n" not in data:
            data += self._peer.recv(65536)
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        self._http.initiate_upgrade_connection(fields["http2-settings"].encode())
        method, target, _ = first.split(" ")
        control = [(":method", method), (":path", target), (":authority", fields["host"])]
        self._send(1, self._upstream.answer(Asked([*control, *fields.items()])))
        return rest

    def _on(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                self._open[event.stream_id] = Asked([(str(n), str(v)) for n, v in event.headers or ()])
            case h2.events.DataReceived():
                self._open[event.stream_id].body += event.data or b""
                self._http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
            case h2.events.StreamEnded():
                self._send(event.stream_id, self._upstream.answer(self._open.pop(event.stream_id)))

    def _send(self, stream: int, said: Answered) -> None:
        """What is sent is smaller than any window."""
        self._http.send_headers(stream, said.fields)
        for piece in said.pieces:
            self._http.send_data(stream, piece)
        if said.trailers:
            self._http.send_headers(stream, said.trailers, end_stream=True)
        else:
            self._http.end_stream(stream)


@contextmanager
def http2_upstream(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Http2Upstream]:
    """Run one, and end it."""
    running = Http2Upstream(answer, tls)
    try:
        yield running
    finally:
        running.close()
