"""What is sent to a client of HTTP/2, and when: flow control, outboxes, gaps (RFC 9113 sections 5.2 and 6.9).

Decides how much of which reply leaves. A stream's reply waits in its outbox until the client's windows take it;
a body is never cut into frames before. Streams wait for windows independently, and take turns when one opens.
"""

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from svcmock.protocol import Blob, Out, Send, SendFile, Spooled, Wake
from svcmock_protocols.http.grpc import codes
from svcmock_protocols.http.grpc.answers import status_reply
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.frames import ConnectionFault
from svcmock_protocols.http.h2.heads import block_fields
from svcmock_protocols.http.h2.hpack import DEFAULT_TABLE, encode
from svcmock_protocols.http.h2.replies import Prepared, prepare
from svcmock_protocols.http.h2.stream import END, Stream
from svcmock_protocols.http.messages import Reply
from svcmock_protocols.http.sending import refused

PIECE: Final = 1 << 20
"""Payload of a DATA frame, for a client that takes as much."""
TURN: Final = 64 * 1024
"""Bytes that one stream sends before the next one that waits has its turn."""
_NO_TABLE: Final = b"\x20"
"""A dynamic table size update to 0 (RFC 7541 section 6.3)."""
GAP: Final = "gap"
"""First part of the token of a Wake in a reply; the second is the stream's number."""


class Sender:
    """Of one connection. `done(stream, outs)` is called when all of a reply was sent."""

    __slots__ = ("_done", "_frame_size", "_pace", "_resize", "_shrunk", "blocked", "first_window", "window")

    def __init__(self, pace: float, done: Callable[[Stream, list[Out]], None]) -> None:
        self._pace = pace
        self._done = done
        self._frame_size = frames.MAX_FRAME
        self._resize = b""
        """What the next header block must begin with."""
        self._shrunk = False
        self.window = frames.FIRST_WINDOW
        """Bytes that the client takes on all streams."""
        self.first_window = frames.FIRST_WINDOW
        """What it takes on a stream that is new."""
        self.blocked: dict[int, Stream] = {}
        """Streams that wait for a window to open."""

    def at_once(self, ident: int, window: int, made: Prepared) -> bytes | None:
        """All frames of a reply that leaves whole, on a stream with this window; None where it cannot."""
        size = made.size
        if not made.whole or size > self.window or size > window or self._resize:
            return None
        self.window -= size
        return ident.to_bytes(4).join(made.whole)

    def headers(self, stream: Stream, block: bytes, *, ends: bool) -> Send:
        """A header block as frames."""
        if self._resize:
            block, self._resize = self._resize + block, b""
        return Send(frames.header_block(stream.id, block, ends=ends))

    def queue(self, stream: Stream, made: Prepared, *, ends: bool = True, told: int = 0) -> None:
        """Put a reply, or a part of one, into a stream's outbox; `ends`: the stream ends with it.

        `told`: so many bytes of its body were sent before.
        """
        if isinstance(made.reply.body, Spooled):
            made = prepare(_unserved(stream), stream.opening)
        outbox = stream.outbox
        body = list(made.body(self._pace, told))
        stream.replied = ends
        if not (ends or made.reply.block or body):
            return  # all that this reply has is a head, which comes with its end
        if not stream.headed:
            only = ends and not body and made.trailers is None
            outbox.extend(("head", block, False) for block in made.interim)
            outbox.append(("head", made.block, only))
            stream.headed = True
            if only:
                return
        elif ends and made.trailers is None and made.grpc:
            made = replace(made, trailers=_trailers_in_head(made.reply) or None)
        for after, piece in body:
            if after > 0:
                outbox.append(("gap", after))
            outbox.append(("body", piece))
        if ends:
            outbox.append(("end", made.trailers))

    def pump(self, stream: Stream, outs: list[Out], most: int = frames.MAX_WINDOW) -> None:
        """Send of a stream what may be sent now, with at most so many bytes of its body."""
        outbox = stream.outbox
        while outbox and not stream.paused:
            item = outbox[0]
            if item[0] == "body":
                most = self._send_body(stream, item[1], outs, most)
                if most < 0:
                    self.blocked[stream.id] = stream
                    return
                continue
            outbox.popleft()
            if item[0] == "gap":
                stream.paused = True
                outs.append(Wake(item[1], (GAP, stream.id)))
            elif item[0] == "head":
                outs.append(self.headers(stream, item[1], ends=item[2]))
                if item[2]:
                    self._done(stream, outs)
            else:
                block = item[1]
                if block is None:
                    outs.append(Send(frames.frame(frames.DATA, frames.END_STREAM, stream.id)))
                else:
                    outs.append(self.headers(stream, block, ends=True))
                self._done(stream, outs)
        self.blocked.pop(stream.id, None)

    def pump_all(self, outs: list[Out]) -> None:
        """A window opened: streams take turns with what they have to send."""
        before = -1
        while self.blocked and 0 < self.window != before:
            before = self.window
            for stream in tuple(self.blocked.values()):
                self.pump(stream, outs, TURN)

    def settings(self, values: list[tuple[int, int]], streams: dict[int, Stream]) -> None:
        """Settings of the client that concern what it is sent. Raises ConnectionFault (section 6.9.2)."""
        for name, value in values:
            if name == frames.INITIAL_WINDOW_SIZE:
                more, self.first_window = value - self.first_window, value
                for stream in streams.values():
                    stream.window += more
                    if stream.window > frames.MAX_WINDOW:
                        raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "a window of more than 31 bits")
            elif name == frames.MAX_FRAME_SIZE:
                self._frame_size = min(value, PIECE)
            elif name == frames.HEADER_TABLE_SIZE and value < DEFAULT_TABLE and not self._shrunk:
                # the client may insist to be told so (section 4.3.1); a table that we do not use can be empty
                self._shrunk, self._resize = True, _NO_TABLE

    def open_window(self, more: int) -> None:
        """The client takes more on all streams. Raises ConnectionFault."""
        self.window += more
        if self.window > frames.MAX_WINDOW:
            raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "a window of more than 31 bits")

    def forget(self, stream: Stream) -> None:
        """Nothing more is sent of it."""
        stream.outbox.clear()
        self.blocked.pop(stream.id, None)

    def _send_body(self, stream: Stream, piece: bytes | Blob, outs: list[Out], most: int) -> int:
        """Send of the piece at the head of the outbox what the windows take; what is left of `most`, or -1.

        Minus one says that not all of the piece was sent.
        """
        size = len(piece) if isinstance(piece, bytes) else piece.size
        outbox = stream.outbox
        last = len(outbox) > 1 and outbox[1] == END
        at = 0
        while at < size:
            room = min(size - at, self.window, stream.window, self._frame_size, most)
            if room <= 0:
                break
            flags = frames.END_STREAM if last and at + room == size else 0
            head = frames.head(frames.DATA, flags, stream.id, room)
            if isinstance(piece, bytes):
                outs.append(Send(head + piece[at : at + room]))
            else:
                outs += (Send(head), SendFile(Blob(piece.path, room, piece.offset + at)))
            self.window -= room
            stream.window -= room
            most -= room
            at += room
        if at < size:
            if at:
                outbox[0] = ("body", _rest(piece, at))
            return -1
        outbox.popleft()
        if last:
            outbox.popleft()
            self._done(stream, outs)
        return most


def _rest(piece: bytes | Blob, at: int) -> bytes | Blob:
    return piece[at:] if isinstance(piece, bytes) else Blob(piece.path, piece.size - at, piece.offset + at)


def _unserved(stream: Stream) -> Reply:
    why = "this reply is still being recorded and cannot be served yet"
    return status_reply(codes.INTERNAL, why) if stream.opening.grpc else refused(500, why)


def _trailers_in_head(reply: Reply) -> bytes:
    """The status of a reply that has nothing but a head, as trailers."""
    return encode([(name, value) for name, value in block_fields(reply.block) if name != b"content-type"])
