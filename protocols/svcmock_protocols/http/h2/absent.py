"""What an HTTP/2 client is told that there is no upstream for: each of its requests is answered, then GOAWAY.

The recording tap understands the client; this speaks for the server that is not there, on a well-formed
connection (RFC 9113 section 3.4): own settings first, the client's acknowledged, its pings answered. A gRPC
call gets status UNAVAILABLE in trailers alone, anything else a 502 with a text, if the client's windows leave
room for one.
"""

from svcmock_protocols.http.exchanges import Asked
from svcmock_protocols.http.grpc import codes
from svcmock_protocols.http.grpc.metadata import encode_text
from svcmock_protocols.http.h2 import frames, hpack


class Absent:
    """The server's side of one connection. What is returned is for the client."""

    def __init__(self, text: str) -> None:
        """`text` says why there is no upstream."""
        self._text = text
        self._room = frames.FIRST_WINDOW
        self._room_each = frames.FIRST_WINDOW
        self.gone = False
        """Whether it was said that no more requests are taken."""

    @staticmethod
    def opened() -> bytes:
        return frames.settings({})

    def received(self, got: frames.Frame) -> bytes:
        """The connection's part of what the client said."""
        match got.kind:
            case frames.SETTINGS if not got.flags & frames.ACK:
                for name, value in frames.read_settings(got.payload):
                    if name == frames.INITIAL_WINDOW_SIZE:
                        self._room_each = value
                return frames.SETTINGS_ACK
            case frames.PING if not got.flags & frames.ACK:
                return frames.frame(frames.PING, frames.ACK, 0, got.payload)
            case frames.DATA if got.payload:
                return frames.window_update(0, len(got.payload))
            case frames.WINDOW_UPDATE if not got.stream:
                self._room += int.from_bytes(got.payload) & frames.MAX_WINDOW
        return b""

    def refuse(self, stream: int, asked: Asked) -> bytes:
        """The answer to a request."""
        if asked.grpc:
            said = encode_text(self._text.strip())
            status = ((b"grpc-status", b"%d" % codes.UNAVAILABLE), (b"grpc-message", said))
            head: hpack.Fields = ((b":status", b"200"), (b"content-type", b"application/grpc"), *status)
            return self._answer(stream, head, b"", asked)
        body = self._text.encode()
        plain = (b"content-type", b"text/plain; charset=utf-8")
        head = ((b":status", b"502"), plain, (b"content-length", b"%d" % len(body)))
        if asked.request.method == b"HEAD":
            body = b""
        elif len(body) > min(self._room, self._room_each):
            head, body = ((b":status", b"502"), (b"content-length", b"0")), b""
        self._room -= len(body)
        return self._answer(stream, head, body, asked)

    def goodbye(self, last: int) -> bytes:
        """No more streams after this one: who connects again may find an upstream."""
        self.gone = True
        return frames.goaway(last, frames.NO_ERROR, self._text.strip())

    @staticmethod
    def _answer(stream: int, head: hpack.Fields, body: bytes, asked: Asked) -> bytes:
        made = frames.header_block(stream, hpack.encode(head), ends=not body)
        if body:
            made += frames.frame(frames.DATA, frames.END_STREAM, stream, body)
        return made if asked.asked else made + frames.rst_stream(stream, frames.NO_ERROR)
