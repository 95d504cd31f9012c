"""Serves one client connection of HTTP/2 (RFC 9113), and the gRPC calls on it. Sans I/O.

The frame loop and the state of the connection: what frames mean, and in which order they may come. What becomes
of a stream's request is said by `answering`; streams are answered independently, in any order. Errors are told
apart as section 5.4 does: a fault of the connection ends it with GOAWAY, a fault of one stream resets that
stream alone, a fault of gRPC is a status.

Header blocks that repeat while the client's table is unchanged are read once. Replies are made of frames that
lie ready (`replies`). So a request that came before costs a few look-ups.
"""

import struct
from collections.abc import Callable, Hashable
from typing import ClassVar, Final, TypeAlias

from svcmock.capabilities import Memory
from svcmock.protocol import Ask, Close, Context, Out, Outs, Send
from svcmock_protocols.http.codec import RequestHead
from svcmock_protocols.http.h2 import credit, frames
from svcmock_protocols.http.h2.answering import Answering
from svcmock_protocols.http.h2.blocks import Block, Blocks
from svcmock_protocols.http.h2.calm import RESTED, Calm
from svcmock_protocols.http.h2.credit import CREDIT, STREAM_CREDIT, Credit
from svcmock_protocols.http.h2.frames import ConnectionFault, StreamFault
from svcmock_protocols.http.h2.heads import UNREAD, Malformed, Opening
from svcmock_protocols.http.h2.hpack import ListTooLarge
from svcmock_protocols.http.h2.numbers import Numbers
from svcmock_protocols.http.h2.remembered import MAX_STREAMS, Remembered
from svcmock_protocols.http.h2.replies import prepare
from svcmock_protocols.http.h2.stream import Stream
from svcmock_protocols.http.messages import Options, Reply

_WHOLE: Final = frames.END_STREAM | frames.END_HEADERS
_HEADER = struct.Struct(">HBBBL")
_Handler: TypeAlias = "Callable[[Http2Session, int, int, bytes, list[Out]], None]"


class Http2Session:
    """A `svcmock.protocol.Session`. The connection begins with the client's preface."""

    def __init__(self, context: Context, upgraded: RequestHead | None = None) -> None:
        """`upgraded`: the request of HTTP/1.1 that asked for HTTP/2, and is its stream 1."""
        self._options: Options = context.options if isinstance(context.options, Options) else Options()
        self._buffer = b""
        """Less than a frame, between reads."""
        self._preface = frames.PREFACE
        self._settled = False
        """The client's first SETTINGS have come."""
        self._blocks = Blocks(self._options.max_head)
        self._numbers = Numbers()
        self._answering = Answering(context, self._options, self._numbers)
        self._sender = self._answering.sender
        self._streams = self._answering.streams
        self._calm = Calm()
        self._credit = Credit()
        self._pinged = -1
        self._promised = frames.MAX_WINDOW
        """The last stream that is served, as a GOAWAY has said."""
        self._draining = False
        self._ended = False
        self._over = False
        self._upgraded = upgraded
        self._remembered = Remembered(self._blocks, self._numbers, self._answering)

    # --- the contract ---

    @property
    def at_rest(self) -> Hashable | None:
        return None

    @property
    def idle(self) -> bool:
        if self._buffer or self._blocks.coming is not None or not self._settled:
            return False
        return all(stream.resting for stream in self._streams.values())

    @property
    def held(self) -> int:
        return 0

    def remember(self, memory: Memory) -> None:
        """See `svcmock.capabilities.Remembering`."""
        if not self._draining:
            self._remembered.begin(memory)

    def opened(self) -> Outs:
        settings = {
            frames.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            frames.INITIAL_WINDOW_SIZE: STREAM_CREDIT,
            frames.MAX_HEADER_LIST_SIZE: self._options.max_head,
        }
        more = frames.window_update(0, CREDIT - frames.FIRST_WINDOW)
        outs: list[Out] = [Send(frames.settings(settings) + more)]
        upgraded = self._upgraded
        if upgraded is None:
            return outs
        try:
            self._sender.settings(frames.read_settings(upgraded.upgrade or b""), self._streams)
        except ConnectionFault as fault:
            return self._fail(fault, outs)
        self._numbers.enter(1)
        self._streams[1] = stream = Stream(1, Opening(upgraded), self._sender.first_window, 0)
        stream.ended = True
        return outs

    def received(self, data: bytes) -> Outs:
        if self._over:
            return ()
        self._buffer = self._buffer + data if self._buffer else data
        outs: list[Out] = []
        self._answering.asks = False
        try:
            if self._preface:
                if not self._greeted():
                    return ()
                self._ask_upgraded(outs)
            self._frames(outs)
        except ConnectionFault as fault:
            return self._fail(fault, outs)
        return self._finished(outs)

    def _ask_upgraded(self, outs: list[Out]) -> None:
        """Now that the client has gone over, too: curl has no room for much behind the 101."""
        stream = self._streams.get(1)
        if self._upgraded is not None and stream is not None:
            request = self._upgraded.request
            self._answering.ask(stream, Ask(1, request, len(request.block)), outs)

    def answered(self, ask: Ask, reply: Reply | None) -> Outs:
        stream = self._streams.get(ask.id)
        if stream is None or not stream.asked:
            return ()
        outs: list[Out] = []
        whole = stream.call is None or not (ask.request.said or stream.headed)
        if reply is not None and whole:
            wire = self._sender.at_once(stream.id, stream.window, prepare(reply, stream.opening))
            if wire is not None:
                del self._streams[ask.id]
                if not (self._draining or self._ended):
                    return (Send(wire),)
                outs.append(Send(wire))
                return self._finished(outs)
        self._answering.answered(stream, ask, reply, outs)
        credit.refill(stream, outs)
        return self._finished(outs)

    def waiting(self, ask: Ask, after: float) -> Outs:
        stream = self._streams.get(ask.id)
        return () if stream is None else self._answering.waiting(stream, after)

    def woke(self, token: Hashable) -> Outs:
        if token == RESTED:
            self._calm.rested()
        if self._over or not isinstance(token, tuple):
            return ()
        what, ident = token
        stream = self._streams.get(ident)
        if stream is None:
            return ()
        outs: list[Out] = []
        self._answering.woke(what, stream, outs)
        return self._finished(outs)

    def timed_out(self) -> Outs:
        if self._over:
            return ()
        return self._fail(ConnectionFault(frames.NO_ERROR, "no progress for too long"), [])

    def draining(self) -> Outs:
        if self._over or self._draining:
            return ()
        self._draining = True
        self._remembered.end()
        return self._finished([self._goaway(frames.NO_ERROR, "the server is shutting down")])

    def eof(self) -> Outs:
        self._ended = True
        # a client that ends its side in the middle of a request will never complete it
        for stream in [one for one in self._streams.values() if not one.ended]:
            self._answering.forget(stream)
        return self._finished([])

    # --- reading ---

    def _greeted(self) -> bool:
        """Whether the whole preface has come. Raises ConnectionFault for other bytes."""
        size = min(len(self._buffer), len(self._preface))
        if self._buffer[:size] != self._preface[:size]:
            raise ConnectionFault(
                frames.PROTOCOL_ERROR, "the connection does not start with the preface of HTTP/2"
            )
        if size < len(self._preface):
            return False
        self._buffer = self._buffer[size:]
        self._preface = b""
        return True

    def _frames(self, outs: list[Out]) -> None:
        """Deal with every whole frame that is here. Raises ConnectionFault."""
        buffer, at, size_of = self._buffer, 0, len(self._buffer)
        handlers, blocks, again = self._HANDLERS, self._blocks, self._remembered.again
        try:
            while size_of - at >= 9:
                high, low, kind, flags, ident = _HEADER.unpack_from(buffer, at)
                size = high << 8 | low
                if size > frames.MAX_FRAME:
                    raise ConnectionFault(frames.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
                end = at + 9 + size
                if end > size_of:
                    break
                payload = buffer[at + 9 : end]
                at = end
                ident &= frames.MAX_WINDOW
                if blocks.coming is not None or not self._settled:
                    self._check_order(kind, flags, ident)
                try:
                    if kind == frames.HEADERS and flags == _WHOLE and again(ident, payload, outs):
                        continue
                    self._remembered.flush(outs)
                    if kind < len(handlers):
                        handlers[kind](self, flags, ident, payload, outs)
                    else:
                        self._calm.spend(outs)
                except StreamFault as fault:
                    self._reset(ident, fault.code, outs)
                except Malformed:
                    self._reset(ident, frames.PROTOCOL_ERROR, outs)
        finally:
            self._remembered.flush(outs)
            if at:
                self._buffer = b"" if at == size_of else buffer[at:]

    def _check_order(self, kind: int, flags: int, ident: int) -> None:
        """Raises ConnectionFault for a frame that may not come in the middle of a header block, or first."""
        coming = self._blocks.coming
        if coming is not None and (kind != frames.CONTINUATION or ident != coming.stream):
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a header block was interrupted")
        if not self._settled and (kind != frames.SETTINGS or flags & frames.ACK):
            raise ConnectionFault(frames.PROTOCOL_ERROR, "the first frame is not SETTINGS")

    def _on_data(self, flags: int, ident: int, payload: bytes, outs: list[Out]) -> None:
        if ident == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "DATA on stream 0")
        size = len(payload)
        self._credit.spend(size, outs)
        if flags & frames.PADDED:
            payload = frames.unpadded(frames.Frame(frames.DATA, flags, ident, payload))
        stream = self._streams.get(ident)
        if stream is None:
            self._numbers.gone(ident, "DATA")
            return
        if stream.ended:
            raise StreamFault(ident, frames.STREAM_CLOSED, "DATA after the end of the stream")
        credit.spend(stream, size)
        ends = bool(flags & frames.END_STREAM)
        if not payload and not ends:
            self._calm.spend(outs)
        self._answering.body(stream, payload, outs, ends=ends)
        credit.refill(stream, outs)

    def _on_headers(self, flags: int, ident: int, payload: bytes, outs: list[Out]) -> None:
        if ident == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "HEADERS on stream 0")
        if flags & (frames.PADDED | frames.PRIORITIZED):
            bare = frames.unpadded(frames.Frame(frames.HEADERS, flags, ident, payload))
            if flags & frames.PRIORITIZED:
                at = 1 if flags & frames.PADDED else 0
                self._check_dependency(ident, payload[at : at + 4])
            payload = bare
        ends = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            self._head(ident, payload, outs, ends=ends)
        else:
            self._blocks.coming = Block(ident, payload, ends=ends)

    def _on_continuation(self, flags: int, ident: int, payload: bytes, outs: list[Out]) -> None:
        coming = self._blocks.coming
        whole = self._blocks.add(payload, last=bool(flags & frames.END_HEADERS))
        if whole is not None and coming is not None:
            self._head(ident, whole, outs, ends=coming.ends)

    def _head(self, ident: int, block: bytes, outs: list[Out], *, ends: bool) -> None:
        """A whole header block: a request's head, or its trailers."""
        numbers = self._numbers
        if ident <= numbers.last or not ident & 1:
            self._late_head(ident, block, outs, ends=ends)
            return
        numbers.enter(ident)
        known = self._blocks.opening(block) or self._read_opening(block)
        if self._draining:
            numbers.reset(ident)  # as GOAWAY told the client
            return
        streams = self._streams
        if len(streams) >= MAX_STREAMS:
            raise StreamFault(ident, frames.REFUSED_STREAM, "too many streams")
        if ends and known is not None and self._remembered.answer(ident, block, known, outs):
            return
        stream = Stream(ident, known or UNREAD, self._sender.first_window, STREAM_CREDIT)
        stream.ended = ends
        if known is None:
            streams[ident] = stream
            self._answering.refuse(stream, 431, "the head is larger than this service takes", outs)
            return
        if ends and known.length > 0:
            raise Malformed("a Content-Length, and no body")
        streams[ident] = stream
        if ends and known.plain:
            self._answering.ask(stream, Ask(ident, known.head.request, len(block)), outs)
        else:
            self._answering.opened(stream, known, outs)

    def _read_opening(self, block: bytes) -> Opening | None:
        """The head in a block that was not seen before; None for one that is too large."""
        try:
            return self._blocks.read_opening(block)
        except ListTooLarge:
            return None

    def _late_head(self, ident: int, block: bytes, outs: list[Out], *, ends: bool) -> None:
        """A header block that opens no stream: trailers, or a fault."""
        try:
            fields = self._blocks.decode(block)
        except ListTooLarge:
            fields = None
        stream = self._streams.get(ident)
        if stream is None:
            self._numbers.gone(ident, "HEADERS")
            return
        if stream.ended:
            raise StreamFault(ident, frames.STREAM_CLOSED, "HEADERS after the end of the stream")
        if not ends:
            raise Malformed("a second head on one stream")
        if fields is None:
            stream.ended = True
            if not stream.replied:
                self._answering.refuse(stream, 431, "the trailers are larger than this service takes", outs)
            return
        self._answering.trailers(stream, fields, outs)

    def _on_priority(self, _flags: int, ident: int, payload: bytes, outs: list[Out]) -> None:
        if ident == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            why = "PRIORITY has five bytes"
            if self._numbers.idle(ident):  # on which no stream error is possible
                raise ConnectionFault(frames.FRAME_SIZE_ERROR, why)
            raise StreamFault(ident, frames.FRAME_SIZE_ERROR, why)
        self._check_dependency(ident, payload[:4])
        self._calm.spend(outs)

    def _check_dependency(self, ident: int, field: bytes) -> None:
        """RFC 9113 ignores priorities; RFC 7540 section 5.3.1 has this one error, and suites test for it."""
        if int.from_bytes(field) & frames.MAX_WINDOW == ident:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a stream that depends on itself")

    def _on_rst_stream(self, _flags: int, ident: int, payload: bytes, outs: list[Out]) -> None:
        if len(payload) != 4:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "RST_STREAM has four bytes")
        if self._numbers.idle(ident):
            raise ConnectionFault(frames.PROTOCOL_ERROR, "RST_STREAM on an idle stream")
        self._calm.spend(outs)
        stream = self._streams.get(ident)
        if stream is not None:
            self._answering.forget(stream)
            self._numbers.cancelled(ident)

    def _on_settings(self, flags: int, ident: int, payload: bytes, outs: list[Out]) -> None:
        if ident:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "SETTINGS on a stream")
        if self._settled:
            self._calm.spend(outs)
        if flags & frames.ACK:
            if payload:
                raise ConnectionFault(frames.FRAME_SIZE_ERROR, "an acknowledgement with settings in it")
            return
        values = frames.read_settings(payload)
        self._settled = True
        self._sender.settings(values, self._streams)
        outs.append(Send(frames.SETTINGS_ACK))
        self._sender.pump_all(outs)

    def _on_push_promise(self, _flags: int, _ident: int, _payload: bytes, _outs: list[Out]) -> None:
        raise ConnectionFault(frames.PROTOCOL_ERROR, "a client does not push")

    def _on_ping(self, flags: int, ident: int, payload: bytes, outs: list[Out]) -> None:
        if ident:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "PING has eight bytes")
        if self._sender.window == self._pinged:  # clients of gRPC measure with PINGs what they have just got
            self._calm.spend(outs)
        self._pinged = self._sender.window
        if not flags & frames.ACK:
            outs.append(Send(frames.frame(frames.PING, frames.ACK, 0, payload)))

    def _on_goaway(self, _flags: int, ident: int, payload: bytes, outs: list[Out]) -> None:
        if ident:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "GOAWAY has at least eight bytes")
        self._calm.spend(outs)

    def _on_window_update(self, _flags: int, ident: int, payload: bytes, outs: list[Out]) -> None:
        if len(payload) != 4:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "WINDOW_UPDATE has four bytes")
        more = int.from_bytes(payload) & frames.MAX_WINDOW
        if ident == 0:
            if not more:
                raise ConnectionFault(frames.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
            self._sender.open_window(more)
            self._sender.pump_all(outs)
            return
        stream = self._streams.get(ident)
        if stream is None:
            if self._numbers.idle(ident):
                raise ConnectionFault(frames.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
            return
        if not more:
            raise StreamFault(ident, frames.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
        stream.window += more
        if stream.window > frames.MAX_WINDOW:
            raise StreamFault(ident, frames.FLOW_CONTROL_ERROR, "a window of more than 31 bits")
        if stream.id in self._sender.blocked:
            self._sender.pump(stream, outs)

    _HANDLERS: ClassVar[tuple[_Handler, ...]] = (
        _on_data,
        _on_headers,
        _on_priority,
        _on_rst_stream,
        _on_settings,
        _on_push_promise,
        _on_ping,
        _on_goaway,
        _on_window_update,
        _on_continuation,
    )
    """By frame type."""

    def _reset(self, ident: int, code: int, outs: list[Out]) -> None:
        """A fault of one stream (section 5.4.2)."""
        stream = self._streams.get(ident)
        if stream is not None:
            self._answering.forget(stream)
        self._numbers.reset(ident)
        outs.append(Send(frames.rst_stream(ident, code)))
        self._calm.spend(outs)

    # --- the connection's end ---

    def _finished(self, outs: list[Out]) -> Outs:
        """What is to be done, and the connection's end where nothing more will come of it."""
        if self._over or not (self._draining or self._ended):
            return outs
        if self._ended:  # no window will open any more
            for stream in tuple(self._sender.blocked.values()):
                self._answering.forget(stream)
        if not self._streams:
            self._over = True
            outs.append(Close("flush"))
        return outs

    def _fail(self, fault: ConnectionFault, outs: list[Out]) -> Outs:
        """A fault of the connection (section 5.4.1). What was asked before it may still be answered."""
        outs.append(self._goaway(fault.code, fault.why))
        outs.append(Close("flush"))
        self._over = True
        self._buffer = b""
        return outs

    def _goaway(self, code: int, why: str) -> Send:
        self._promised = min(self._promised, self._numbers.last)  # section 6.8: it never grows
        return Send(frames.goaway(self._promised, code, why))
