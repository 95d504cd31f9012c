"""A client of HTTP/2 by the h2 library, for what httpx does not show: trailers, GOAWAY, resets. Blocking."""

import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Self

import h2.config
import h2.connection
import h2.events
from msgspec import Struct, field

TIMEOUT = 30.0


class Answer(Struct):
    """What came on a stream."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    reset: int | None = None
    ended: bool = False


class Client:
    """One connection to a port of the loopback."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._peer: socket.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        if tls is not None:
            self._peer = tls.wrap_socket(self._peer, server_hostname="localhost")
        config = h2.config.H2Configuration(header_encoding="utf-8")
        self._http = h2.connection.H2Connection(config)
        self.answers: dict[int, Answer] = {}
        self.goaway: h2.events.ConnectionTerminated | None = None
        self.closed = False
        """The server has closed the connection."""
        self.holding = False
        """What comes is not acknowledged, so that the server may send no more than the first window."""
        self._held: list[tuple[int, int]] = []
        self._unread = b""
        self._http.initiate_connection()
        self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> int:
        """Send a request; gives its stream. A body must fit into the first window."""
        stream = self._http.get_next_available_stream_id()
        method = "GET" if body is None else "POST"
        control = {":method": method, ":scheme": "http", ":path": path, ":authority": "localhost"}
        self._http.send_headers(stream, [*control.items(), *(headers or {}).items()], end_stream=body is None)
        if body is not None:
            self._http.send_data(stream, body, end_stream=True)
        self.answers[stream] = Answer()
        self._flush()
        return stream

    def call(self, path: str, message: bytes, **metadata: str) -> int:
        """Send a gRPC call with one message."""
        headers = {"content-type": "application/grpc", "te": "trailers"}
        headers |= {name.replace("_", "-"): value for name, value in metadata.items()}
        return self.ask(path, headers, b"\0" + len(message).to_bytes(4) + message)

    def answer(self, stream: int) -> Answer:
        """Wait for all of an answer."""
        self.until(lambda: self.answers[stream].ended)
        return self.answers[stream]

    def until(self, done: Callable[[], bool]) -> None:
        """Read until this is true, or the server has closed the connection."""
        while not done() and not self.closed:
            try:
                data = self._peer.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                self.closed = True
                return
            self._unread += data
            while (frame := self._frame()) is not None:
                for event in self._http.receive_data(frame):
                    self._on(event)
            self._flush()

    def release(self) -> None:
        """Hold no more."""
        self.holding = False
        for size, stream in self._held:
            self._http.acknowledge_received_data(size, stream)
        self._held.clear()
        self._flush()

    def close(self) -> None:
        self._peer.close()

    def _frame(self) -> bytes | None:
        """The next frame, once all of it is here: each is looked at before h2 gets the next."""
        size = 9 + int.from_bytes(self._unread[:3])
        if len(self._unread) < max(size, 9):
            return None
        frame, self._unread = self._unread[:size], self._unread[size:]
        return frame

    def _on(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self.answers[event.stream_id].headers = _named(event.headers)
            case h2.events.TrailersReceived():
                self.answers[event.stream_id].trailers = _named(event.headers)
            case h2.events.DataReceived():
                self.answers[event.stream_id].body += event.data or b""
                size = event.flow_controlled_length or 0
                if self.holding:
                    self._held.append((size, event.stream_id))
                else:
                    self._http.acknowledge_received_data(size, event.stream_id)
            case h2.events.StreamEnded():
                self.answers[event.stream_id].ended = True
            case h2.events.StreamReset():
                self.answers[event.stream_id].ended = True
                self.answers[event.stream_id].reset = int(event.error_code)
            case h2.events.ConnectionTerminated():
                self.goaway = event
                # h2 takes it for the end; by RFC 9113, section 6.8, streams up to the last one named go on
                self._http.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN

    def _flush(self) -> None:
        try:
            self._peer.sendall(self._http.data_to_send())
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True


def _named(headers: object) -> dict[str, str]:
    return {str(name): str(value) for name, value in headers or ()}  # type: ignore[attr-defined]
