"""The recording side of an HTTP/2 connection (RFC 9113): frames pass as they came, and become exchanges.

Decides what is rewritten on the way, and nothing else is. Header blocks are decoded and written anew, as each
side has a compression state of its own: `:authority` and Host become the upstream's unless `preserve_host`,
`:scheme` is the upstream's, URLs in a reply's head lead home (`recorded`). Of SETTINGS a HEADER_TABLE_SIZE
above what we decode with is lowered, and clients are made to refuse pushes. Everything else keeps its stream,
its size, its padding and its place, so that flow control, pings and errors are between the two ends, as without
us. What is held back is a frame, or a header block, that has not come whole.

What cannot be read is passed on unread (`Opaque`) while no header block was written anew. After that the two
sides could not understand each other any more, so both get GOAWAY, and the connection ends.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from svcmock.protocol import Context, Forward, Opaque, ProtocolError, Seen, Shut, Side, Sight
from svcmock_protocols.http.exchanges import Asked, Exchanges, unreachable_text
from svcmock_protocols.http.h2 import frames, hpack
from svcmock_protocols.http.h2.absent import Absent
from svcmock_protocols.http.h2.frames import ConnectionFault, Frame
from svcmock_protocols.http.h2.recorded import RecordedStreams, When

MAX_TABLE: Final = hpack.DEFAULT_TABLE
"""Bytes of a compression table: the most that either side may use towards the other."""
MAX_LIST: Final = 2 * 1024 * 1024
"""Bytes of a header list as RFC 9113 section 6.5.2 counts them, and of the block that holds it: twice what any
service may be made to take (`max_head`)."""
MAX_FIELDS: Final = 2000
"""Fields of a header list."""
MAX_CONTINUATIONS: Final = 256
"""CONTINUATION frames of one header block."""
MAX_EARLY: Final = 64
"""Frames about the connection that are remembered until the upstream speaks, or turns out not to be there."""

_NO_TABLE: Final = b"\x20"
"""Sets a table's size to nothing: we use none, and a peer may insist on less than the 4096 bytes at first."""
_CONNECTION: Final = frozenset({frames.SETTINGS, frames.PING, frames.WINDOW_UPDATE})


class _Block(Struct):
    """A header block of which more is to come. `raw`: its frames as they came."""

    stream: int
    ends: bool
    pieces: list[bytes]
    raw: list[bytes]
    size: int


class _Leg:
    """One direction: what `side` says to the `other`."""

    __slots__ = ("at", "block", "buffer", "decoder", "most", "other", "side", "spoke", "wrote")

    def __init__(self, side: Side) -> None:
        self.side = side
        self.other = Side.SERVER if side is Side.CLIENT else Side.CLIENT
        self.buffer = bytearray()
        self.at = 0.0
        """When the frame that is being read began."""
        self.decoder = hpack.Decoder(MAX_TABLE, MAX_LIST, MAX_FIELDS)
        self.block: _Block | None = None
        self.most = frames.MAX_FRAME
        """Payload of a frame that the other side takes."""
        self.spoke = False
        """Whether settings came."""
        self.wrote = False
        """Whether a header block was written anew."""

    def held(self) -> bytes:
        """What was not passed on yet, and is not held from here on."""
        raw = b"".join((*(self.block.raw if self.block is not None else ()), self.buffer))
        self.buffer.clear()
        self.block = None
        return raw


class H2Tap:
    """One recorded connection from its first byte of HTTP/2 on, as `svcmock.protocol.Tap` asks for it."""

    def __init__(self, exchanges: Exchanges, upgraded: Asked | None = None, settings: bytes = b"") -> None:
        """`upgraded`: the request of HTTP/1 that has become the first stream; it brought these `settings`."""
        self._exchanges = exchanges
        self._streams = RecordedStreams(exchanges)
        self._client, self._server = _Leg(Side.CLIENT), _Leg(Side.SERVER)
        self._greeted = False
        self._blind = self._over = False
        self._ended: set[Side] = set()
        self._early: list[Frame] | None = []
        self._down = ""
        self._absent: Absent | None = None
        self._about: dict[int, Callable[[_Leg, Frame, When, list[Seen]], bytes | None]] = {
            frames.DATA: self._data,
            frames.HEADERS: self._headers,
            frames.RST_STREAM: self._reset,
            frames.SETTINGS: self._settings,
            frames.PUSH_PROMISE: self._misplaced,
            frames.GOAWAY: self._goaway,
            frames.CONTINUATION: self._misplaced,
        }
        if upgraded is not None:
            self._streams.upgraded(upgraded)
            self._grow(self._server, settings)

    # --- the contract ---

    def from_client(self, data: bytes, at: float) -> Sight:
        return self._from(self._client, data, at)

    def from_server(self, data: bytes, at: float) -> Sight:
        self._early = None
        return self._from(self._server, data, at)

    def eof(self, side: Side, at: float) -> Sight:  # noqa: ARG002  what an end means does not depend on time
        out: list[Seen] = []
        leg = self._client if side is Side.CLIENT else self._server
        self._ended.add(side)
        if not self._over:
            if not (self._client.wrote or self._server.wrote):
                _pass(leg, leg.held(), out)
            if side is Side.CLIENT:
                self._streams.client_left(out)
            else:
                self._streams.server_left(out)
        if len(self._ended) == 2:
            self._streams.lose_all("the connection ended", out)
            self._exchanges.release(out)
        out.append(Shut(leg.other))
        return out

    def unreachable(self, why: str, at: float) -> Sight:  # noqa: ARG002  as above
        out: list[Seen] = []
        self._down = why
        if self._greeted:
            self._refuse(self._stand_in(out), out)
        return out

    def informed(self, context: Context) -> Sight:
        out: list[Seen] = []
        self._exchanges.informed(context, out)
        return out

    # --- bytes ---

    def _from(self, leg: _Leg, data: bytes, at: float) -> Sight:
        if self._over:
            return (Forward(data, leg.other),) if self._blind else ()
        out: list[Seen] = []
        passed: list[bytes | bytearray] = []
        if not leg.buffer and leg.block is None:
            leg.at = at
        leg.buffer += data
        fault: ProtocolError | None = None
        try:
            self._read(leg, at, passed, out)
        except ProtocolError as error:
            fault = error
        if self._absent is None:
            _pass(leg, b"".join(passed), out, first=True)
        elif fault is None:
            self._refuse(self._absent, out)
        if fault is not None:
            self._fail(leg, fault, out)
        return out

    def _read(self, leg: _Leg, at: float, passed: list[bytes | bytearray], out: list[Seen]) -> None:
        """Take the whole frames that are here. Raises ProtocolError; what was not taken then is still there."""
        buffer = leg.buffer
        run = place = 0
        if leg is self._client and not self._greeted:
            place = self._greet(out)
            if not self._greeted:
                return
        try:
            while (found := frames.read(buffer, place, leg.most)) is not None:
                got, end = found
                raw = bytes(buffer[place:end]) if leg.block is not None or got.kind == frames.HEADERS else b""
                instead = self._frame(leg, got, raw, When(leg.at, at), out)
                if instead is not None:
                    passed += (buffer[run:place], instead)
                    run = end
                place = end
                if leg.block is None:
                    leg.at = at
        finally:
            passed.append(buffer[run:place])
            del buffer[:place]

    def _greet(self, out: list[Seen]) -> int:
        """Take the preface, which passes as it is. Where the frames begin."""
        size = len(frames.PREFACE)
        if not frames.PREFACE.startswith(bytes(self._client.buffer[:size])):
            raise ConnectionFault(frames.PROTOCOL_ERROR, "they do not begin with its preface")
        if len(self._client.buffer) < size:
            return 0
        self._greeted = True
        if self._down:
            self._stand_in(out)
        return size

    def _fail(self, leg: _Leg, error: ProtocolError, out: list[Seen]) -> None:
        """These bytes mean nothing, and none after them on this connection does."""
        who = "client" if leg is self._client else "server"
        why = f"the {who}'s bytes are no HTTP/2 that can be followed: {error}"
        code = error.code if isinstance(error, ConnectionFault) else frames.INTERNAL_ERROR
        if leg.buffer.startswith(b"HTTP/1."):
            why, code = "the upstream answers in HTTP/1", frames.HTTP_1_1_REQUIRED
        self._over = True
        if not (self._client.wrote or self._server.wrote or self._absent):
            self._blind = True
            self._streams.lose_all(why, out)
            for each in (self._client, self._server):
                _pass(each, each.held(), out)
            out.append(Opaque(why))
            return
        if self._streams.recorded:
            self._streams.lose_all(why, out)
        else:
            self._exchanges.pass_over(why, out, skipped=False)
        for side, last in ((Side.CLIENT, self._streams.last), (Side.SERVER, 0)):
            if side is Side.CLIENT or self._absent is None:
                out.append(Forward(frames.goaway(last, code, f"svcmock: {why}"), side))
            out.append(Shut(side))

    # --- frames ---

    def _frame(self, leg: _Leg, got: Frame, raw: bytes, when: When, out: list[Seen]) -> bytes | None:
        """What is passed on instead of a frame; None: the frame itself. Raises ProtocolError."""
        block = leg.block
        if block is not None:
            if got.kind != frames.CONTINUATION or got.stream != block.stream:
                raise ConnectionFault(frames.PROTOCOL_ERROR, "a frame in the middle of a header block")
            return self._continued(leg, block, got, raw, when, out)
        about = self._about.get(got.kind)
        instead = about(leg, got, when, out) if about is not None else None
        if leg.block is not None:
            leg.block.raw.append(raw)
        if leg is self._client:
            self._note(got, out)
        return instead

    def _data(self, leg: _Leg, got: Frame, when: When, out: list[Seen]) -> bytes | None:
        take = self._streams.asks_more if leg is self._client else self._streams.answers_more
        take(got.stream, frames.unpadded(got), when, out, ends=bool(got.flags & frames.END_STREAM))
        return None

    def _reset(self, leg: _Leg, got: Frame, when: When, out: list[Seen]) -> bytes | None:  # noqa: ARG002
        self._streams.reset(got.stream, leg.side, int.from_bytes(got.payload), out)
        return None

    def _goaway(self, leg: _Leg, got: Frame, when: When, out: list[Seen]) -> bytes | None:  # noqa: ARG002
        if leg is self._server:
            self._streams.refused(int.from_bytes(got.payload[:4]) & frames.MAX_WINDOW, out)
        return None

    def _settings(self, leg: _Leg, got: Frame, when: When, out: list[Seen]) -> bytes | None:  # noqa: ARG002
        if got.flags & frames.ACK:
            return None
        first, leg.spoke = not leg.spoke, True
        self._grow(self._server if leg is self._client else self._client, got.payload)
        return frames.frame(got.kind, got.flags, got.stream, toned_down(got.payload, leg.side, first=first))

    @staticmethod
    def _grow(leg: _Leg, settings: bytes) -> None:
        """The other side takes frames of another size. Never less: larger ones may be under way."""
        for name, value in frames.read_settings(settings):
            if name == frames.MAX_FRAME_SIZE:
                leg.most = max(leg.most, value)

    def _misplaced(self, leg: _Leg, got: Frame, when: When, out: list[Seen]) -> bytes | None:  # noqa: ARG002
        pushed = got.kind == frames.PUSH_PROMISE
        why = "a push, which the settings do not allow" if pushed else "CONTINUATION without a header block"
        raise ConnectionFault(frames.PROTOCOL_ERROR, why)

    # --- header blocks ---

    def _headers(self, leg: _Leg, got: Frame, when: When, out: list[Seen]) -> bytes | None:
        piece = frames.unpadded(got)
        block = _Block(got.stream, bool(got.flags & frames.END_STREAM), [piece], [], len(piece))
        if got.flags & frames.END_HEADERS:
            return self._anew(leg, block, when, out)
        leg.block = block
        return b""

    def _continued(
        self, leg: _Leg, block: _Block, got: Frame, raw: bytes, when: When, out: list[Seen]
    ) -> bytes:
        block.size += len(got.payload)
        if block.size > MAX_LIST or len(block.pieces) > MAX_CONTINUATIONS:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "a header block larger than any that is followed")
        block.pieces.append(got.payload)
        if not got.flags & frames.END_HEADERS:
            block.raw.append(raw)
            return b""
        made = self._anew(leg, block, when, out)
        leg.block = None
        return made

    def _anew(self, leg: _Leg, block: _Block, when: When, out: list[Seen]) -> bytes:
        """A whole header block as the other side gets it."""
        try:
            fields = leg.decoder.decode(b"".join(block.pieces))
        except hpack.HpackError as error:
            raise ConnectionFault(frames.COMPRESSION_ERROR, f"a header block is none: {error}") from None
        except hpack.ListTooLarge as error:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, f"a header list of {error}") from None
        asking = leg is self._client
        known = self._streams.last
        take = self._streams.asks if asking else self._streams.answers
        fields = take(block.stream, fields, when, out, ends=block.ends)
        if asking and self._absent is not None and known < block.stream not in self._streams.recorded:
            out.append(Forward(frames.rst_stream(block.stream, frames.CONNECT_ERROR), Side.CLIENT))
        prefix = b"" if leg.wrote else _NO_TABLE
        leg.wrote = True
        return frames.header_block(block.stream, prefix + hpack.encode(fields), ends=block.ends)

    # --- without an upstream ---

    def _stand_in(self, out: list[Seen]) -> Absent:
        """Be the server from here on."""
        absent = self._absent = Absent(unreachable_text(self._exchanges.upstream, self._down))
        said = absent.opened() + b"".join([absent.received(got) for got in self._early or ()])
        self._early = None
        out.append(Forward(said, Side.CLIENT))
        return absent

    def _note(self, got: Frame, out: list[Seen]) -> None:
        """What a server would have to answer, should there be none."""
        if self._absent is not None:
            said = self._absent.received(got)
            if said:
                out.append(Forward(said, Side.CLIENT))
        elif self._early is not None and got.kind in _CONNECTION and len(self._early) < MAX_EARLY:
            self._early.append(got)

    def _refuse(self, absent: Absent, out: list[Seen]) -> None:
        """Answer the requests that were made."""
        for number, stream in self._streams.recorded.items():
            out.append(Forward(absent.refuse(number, stream.asked), Side.CLIENT))
        if self._streams.last and not absent.gone:
            out.append(Forward(absent.goodbye(self._streams.last), Side.CLIENT))
        self._streams.lose_all(f"the upstream cannot be reached: {self._down}", out)


def toned_down(payload: bytes, side: Side, *, first: bool) -> bytes:
    """Settings of `side` as the other side gets them; `first`: they are the first. Raises ConnectionFault."""
    made = []
    for name, value in frames.read_settings(payload):
        if name == frames.HEADER_TABLE_SIZE:
            made.append((name, min(value, MAX_TABLE)))
        elif name == frames.ENABLE_PUSH and side is Side.CLIENT:
            made.append((name, 0))
        elif name == frames.GRPC_TRUE_BINARY:
            continue  # bytes in a header, which is text to everybody but gRPC's core
        else:
            made.append((name, value))
    if first and side is Side.CLIENT and (frames.ENABLE_PUSH, 0) not in made:
        made.append((frames.ENABLE_PUSH, 0))
    return frames.pack_settings(made)


def _pass(leg: _Leg, data: bytes, out: list[Seen], *, first: bool = False) -> None:
    """Pass bytes on to the other side, `first` before all else that was seen."""
    if data:
        out.insert(0 if first else len(out), Forward(data, leg.other))
