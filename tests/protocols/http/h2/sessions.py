"""A client of literal frames, and what it gets in words: for tests of the serving session.

What comes back is read by hyperframe and hpack, not by what is tested.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hpack import Decoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from msgspec import convert

from svcmock.noise import Noise
from svcmock.protocol import (
    Ask,
    Become,
    Close,
    Context,
    Out,
    Reply,
    Request,
    Send,
    SendFile,
    Session,
    Spool,
    Wake,
)
from svcmock_protocols.http.codec import with_head
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.session import Http2Session
from svcmock_protocols.http.messages import Options
from svcmock_protocols.http.messages import Reply as HttpReply

Field = tuple[bytes, bytes]
Answer = Callable[[Request], Reply]

HI = with_head(HttpReply(200, b"OK", b"X-a: 1\r\n", b"hi"))
HI_WORDS = ["headers 1 [:status 200, x-a 1, content-length 2]", "data 1 end 'hi'"]
EMPTY = HttpReply(204)


def hi(_: Request) -> HttpReply:
    return HI


def context(schema: Any = None, pace: float = 1.0, **options: Any) -> Context:
    made = convert(options, Options)
    return Context(options=made, ignore=Noise(), token=lambda value: value, pace=pace, schema=schema)


def make(schema: Any = None, pace: float = 1.0, **options: Any) -> Http2Session:
    return Http2Session(context(schema, pace, **options))


# --- what a client sends ------------------------------------------------------------------------------


def block(*fields: Field) -> bytes:
    """A header block of nothing but literals without indexing, by hand."""
    return b"".join([b"\0" + _string(name) + _string(value) for name, value in fields])


def _string(data: bytes) -> bytes:
    size = len(data)
    return (bytes((size,)) if size < 127 else b"\x7f" + _continued(size - 127)) + data


def _continued(number: int) -> bytes:
    made = bytearray()
    while number >= 128:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes((*made, number))


def fields(method: bytes = b"GET", path: bytes = b"/", *more: Field) -> tuple[Field, ...]:
    control = (b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"shop")
    return (*control, *more)


def request(
    stream: int, method: bytes = b"GET", path: bytes = b"/", *more: Field, ends: bool = True, flags: int = 0
) -> bytes:
    """HEADERS that open a stream."""
    flags |= frames.END_HEADERS | (frames.END_STREAM if ends else 0)
    return frames.frame(frames.HEADERS, flags, stream, block(*fields(method, path, *more)))


def post(stream: int, *more: Field, path: bytes = b"/") -> bytes:
    """The same, of a request whose body will come."""
    return request(stream, b"POST", path, *more, ends=False)


def data(stream: int, payload: bytes = b"", *, ends: bool = False) -> bytes:
    return frames.frame(frames.DATA, frames.END_STREAM if ends else 0, stream, payload)


def ping(payload: bytes = b"12345678") -> bytes:
    return frames.frame(frames.PING, 0, 0, payload)


def setting(number: int, value: int) -> bytes:
    return frames.settings({number: value})


def raw(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame by its numbers."""
    return struct.pack(">HBBBL", len(payload) >> 8, len(payload) & 255, kind, flags, stream) + payload


# --- what it gets -------------------------------------------------------------------------------------

_ERRORS = dict(enumerate(frames.ERRORS))


class Reader:
    """Tells a server's bytes in words, frame by frame."""

    def __init__(self) -> None:
        self._buffer = b""
        self._decoder = Decoder()
        self._block = b""

    def words(self, received: bytes) -> list[str]:
        self._buffer += received
        told = []
        while len(self._buffer) >= 9:
            frame, size = Frame.parse_frame_header(memoryview(self._buffer[:9]))
            if len(self._buffer) < 9 + size:
                break
            frame.parse_body(memoryview(self._buffer[9 : 9 + size]))
            self._buffer = self._buffer[9 + size :]
            told.append(self._word(frame))
        return [word for word in told if word]

    @property
    def pending(self) -> bool:
        return bool(self._buffer or self._block)

    def _word(self, frame: Frame) -> str:
        ends = " end" if "END_STREAM" in frame.flags else ""
        match frame:
            case HeadersFrame() | ContinuationFrame():
                self._block += frame.data
                if "END_HEADERS" not in frame.flags:
                    return f"headers {frame.stream_id}{ends} begin"
                listed = ", ".join(
                    f"{_text(name)} {_text(value)}"
                    for name, value in self._decoder.decode(self._block, raw=True)
                )
                self._block = b""
                return f"headers {frame.stream_id}{ends} [{listed}]"
            case DataFrame():
                return f"data {frame.stream_id}{ends} {_shown(frame.data)}"
            case RstStreamFrame():
                return f"rst_stream {frame.stream_id} {_ERRORS[frame.error_code]}"
            case GoAwayFrame():
                return f"goaway {frame.last_stream_id} {_ERRORS[frame.error_code]}"
            case WindowUpdateFrame():
                return f"window_update {frame.stream_id} {frame.window_increment}"
            case PingFrame():
                return f"ping{' ack' if 'ACK' in frame.flags else ''} {_text(frame.opaque_data)}"
            case SettingsFrame():
                return "settings ack" if "ACK" in frame.flags else f"settings {dict(frame.settings)}"
        return repr(frame)


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _shown(payload: bytes) -> str:
    text = payload.decode("latin-1")
    return repr(text) if len(text) <= 40 else f"{len(text)} bytes"


class Client:
    """Sends to a session, and answers what it asks: at once with `answer`, or by `reply` where that is None."""

    def __init__(
        self,
        session: Session | None = None,
        answer: Answer | None = hi,
        *,
        settings: Mapping[int, int] | None = None,
        files: Mapping[str, bytes] | None = None,
        start: bytes | None = None,
    ) -> None:
        self.session: Session = make() if session is None else session
        self.answer = answer
        self._files = files or {}
        self.reader = Reader()
        self.asks: list[Ask] = []
        self.wakes: list[Wake] = []
        self.got = b""
        """All bytes that came."""
        self.closed = False
        self.greeting = self._settle(self.session.opened())
        first = frames.PREFACE + frames.settings(dict(settings or {})) if start is None else start
        self.greeting += self.send(first)

    def send(self, *sent: bytes) -> list[str]:
        """What comes back, in words; `closed` when the session ends the connection."""
        return self._settle(self.session.received(b"".join(sent)))

    def reply(self, reply: Reply, number: int = 0) -> list[str]:
        """Answer the ask with this place among those that wait."""
        return self._settle(self.session.answered(self.asks.pop(number), reply))

    def delay(self, after: float, number: int = 0) -> list[str]:
        """Say that the answer will come later."""
        return self._settle(self.session.waiting(self.asks[number], after))

    def wake(self, number: int = 0) -> list[str]:
        """The time of the Wake with this place is up."""
        return self._settle(self.session.woke(self.wakes.pop(number).token))

    def drain(self) -> list[str]:
        return self._settle(self.session.draining())

    def eof(self) -> list[str]:
        return self._settle(self.session.eof())

    def time_out(self) -> list[str]:
        return self._settle(self.session.timed_out())

    def _settle(self, outs: Sequence[Out]) -> list[str]:
        told: list[str] = []
        waiting = list(outs)
        while waiting:
            out = waiting.pop(0)
            assert not self.closed, f"{out} after Close"
            match out:
                case Send(sent):
                    told += self._told(sent)
                case SendFile(blob):
                    piece = self._files[blob.path][blob.offset : blob.offset + blob.size]
                    assert len(piece) == blob.size
                    told += self._told(piece)
                case Ask():
                    self.asks.append(out)
                    if self.answer is not None:
                        self.asks.pop()
                        waiting[:0] = self.session.answered(out, self.answer(out.request))
                case Wake():
                    self.wakes.append(out)
                case Become(session, rest):
                    self.session = session
                    waiting[:0] = [*session.opened(), *session.received(rest)]
                case Close(how):
                    self.closed = True
                    told.append("closed" if how == "flush" else how)
                case Spool():
                    pass
                case _:
                    raise AssertionError(out)
        return told

    def _told(self, sent: bytes) -> list[str]:
        self.got += sent
        return self.reader.words(sent)


def words(received: bytes) -> list[str]:
    """All of a server's bytes in words."""
    reader = Reader()
    told = reader.words(received)
    assert not reader.pending
    return told


def body_of(told: Iterable[str]) -> int:
    """How many bytes of DATA there are in these words."""
    total = 0
    for word in told:
        if word.startswith("data "):
            shown = word.split(" ", 2)[2].removeprefix("end ")
            total += int(shown.split()[0]) if shown.endswith(" bytes") else len(eval(shown))
    return total
