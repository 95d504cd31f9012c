"""Upstreams and clients that say exactly what a test wants on the wire, over real sockets.

An upstream answers with the bytes its test gives, when the test wants it to. A client sends a request as bytes
and gives the reply as bytes; only h11 decides where the reply ends.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import h11
from msgspec import Struct

TIMEOUT = 30.0
"""Seconds after which a peer that says nothing has failed the test."""
READ = 1 << 18


class Heard(Struct, frozen=True):
    """A request as the upstream got it. Header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Upstream:
    """A server with a thread for each connection. `answer(request, peer)` sends the reply; false ends it.

    `before_body` is called with the head of a request that has a body, before the body is read.
    """

    def __init__(
        self,
        answer: Callable[[Heard, socket.socket], object],
        tls: ssl.SSLContext | None = None,
        before_body: Callable[[Heard, socket.socket], object] | None = None,
    ) -> None:
        self._answer = answer
        self._before_body = before_body
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = int(self._listening.getsockname()[1])
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.heard: list[Heard] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Listen no more, and end every connection. Once is enough."""
        if self._listening.fileno() < 0:
            return
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join(TIMEOUT)
        for peer in tuple(self._open):
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        peer.settimeout(TIMEOUT)
        try:
            if self._tls is not None:
                peer = self._tls.wrap_socket(peer, server_side=True)
            self._open.add(peer)
            with peer, peer.makefile("rb") as lines:
                while (heard := self._hear(lines, peer)) is not None:
                    self.heard.append(heard)
                    if not self._answer(heard, peer):
                        return
        except (OSError, ValueError):
            return
        finally:
            self._open.discard(peer)

    def _hear(self, lines, peer: socket.socket) -> Heard | None:  # type: ignore[no-untyped-def]
        words = lines.readline().decode("latin-1").split()
        if len(words) != 3:
            return None
        headers: dict[str, str] = {}
        while (line := lines.readline().decode("latin-1").rstrip("\r\n")) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if self._before_body is not None and {"content-length", "transfer-encoding"} & headers.keys():
            self._before_body(Heard(words[0], words[1], headers, b""), peer)
        if "transfer-encoding" in headers:
            body = b""
            while size := int(lines.readline().split(b";")[0], 16):
                body += lines.read(size)
                lines.readline()
            while lines.readline().strip():
                pass
        else:
            body = lines.read(int(headers.get("content-length", 0)))
        return Heard(words[0], words[1], headers, body)


@contextmanager
def upstream(
    answer: Callable[[Heard, socket.socket], object],
    tls: ssl.SSLContext | None = None,
    before_body: Callable[[Heard, socket.socket], object] | None = None,
) -> Iterator[Upstream]:
    """An Upstream while the block runs."""
    made = Upstream(answer, tls, before_body)
    try:
        yield made
    finally:
        made.close()


def connect(port: int) -> socket.socket:
    """A connection to this port of the loopback."""
    return socket.create_connection(("127.0.0.1", port), TIMEOUT)


class Reading:
    """Replies read from a connection, one after the other, as the bytes they came in."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._rest = b""

    def reply(self, method: str = "GET", *, interim: bool = True) -> bytes:
        """The next reply; with `interim` false, an informational reply alone is enough.

        Raises ConnectionError where the peer leaves before its end.
        """
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("host", "h"), ("upgrade", "any")]))
        client.send(h11.EndOfMessage())
        raw = bytearray()
        while True:
            try:
                event = client.next_event()
            except h11.RemoteProtocolError as error:
                raise ConnectionError(f"{error} after {bytes(raw[:200])!r}") from error
            if event is h11.NEED_DATA:
                data = self._rest or self._peer.recv(READ)
                self._rest = b""
                client.receive_data(data)
                raw += data
                continue
            done = isinstance(event, h11.EndOfMessage) or (
                not interim and isinstance(event, h11.InformationalResponse)
            )
            if done:
                self._rest = bytes(client.trailing_data[0])
                return bytes(raw[: len(raw) - len(self._rest)])


def ask(port: int, request: bytes) -> bytes:
    """The reply to a request on a connection of its own, with all of its bytes."""
    with connect(port) as peer:
        peer.sendall(request)
        return Reading(peer).reply(request.split(b" ", 1)[0].decode())


def get(path: str, *headers: str) -> bytes:
    """A GET as bytes."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: h", *headers, "", ""]).encode("latin-1")


def ok(body: bytes, *headers: str) -> bytes:
    """A 200 with this body as bytes."""
    lines = ["HTTP/1.1 200 OK", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
