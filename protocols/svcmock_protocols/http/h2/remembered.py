"""Requests of HTTP/2 that came before, answered without being asked for (`svcmock.capabilities.Memory`).

For speed alone: what is sent and noted is what it would be without. A request that is a single HEADERS frame
(RFC 9113 section 8.1), and so most of what is under load, then costs no stream, no Ask and no write of its own.
It never overtakes one that is asked for: what is noted keeps the order in which it came.
"""

from typing import Final

from svcmock.capabilities import Memory
from svcmock.protocol import Out, Send
from svcmock_protocols.http.h2.answering import Answering
from svcmock_protocols.http.h2.blocks import Blocks
from svcmock_protocols.http.h2.credit import STREAM_CREDIT
from svcmock_protocols.http.h2.heads import Opening
from svcmock_protocols.http.h2.numbers import Numbers
from svcmock_protocols.http.h2.replies import Prepared, prepare
from svcmock_protocols.http.h2.stream import Stream
from svcmock_protocols.http.likeness import Likeness
from svcmock_protocols.http.messages import Reply

MAX_STREAMS: Final = 1000
"""Streams that a client may have open: SETTINGS_MAX_CONCURRENT_STREAMS. nginx has 128, grpcio no limit."""


class Remembered:
    """Of one connection."""

    __slots__ = ("_answering", "_blocks", "_memory", "_numbers", "_sender", "_streams", "_wires")

    def __init__(self, blocks: Blocks, numbers: Numbers, answering: Answering) -> None:
        self._blocks = blocks
        self._numbers = numbers
        self._answering = answering
        self._sender = answering.sender
        self._streams = answering.streams
        self._memory: Memory | None = None
        self._wires: list[bytes] = []
        """Replies that leave together."""

    def begin(self, memory: Memory) -> None:
        """Answer by this memory, and by nothing that was known before it."""
        self._memory = memory
        likeness = memory.likeness
        self._blocks.liken(likeness if isinstance(likeness, Likeness) else None)

    def end(self) -> None:
        """From now on, all is asked for."""
        self._memory = None

    def again(self, ident: int, block: bytes, outs: list[Out]) -> bool:
        """Answer a whole request in a block that came before, on a new stream; False: it is to be read."""
        ready, memory, numbers = self._blocks.ready.get(block), self._memory, self._numbers
        if ready is None or memory is None or ident != numbers.last + 2:
            return False
        if self._answering.asks or len(self._streams) >= MAX_STREAMS:
            return False
        reply = memory.again(ready.request)
        if reply is None:
            return False
        numbers.last = ident
        made = ready.made if reply is ready.reply else prepare(reply, ready.opening)
        wire = self._sender.at_once(ident, self._sender.first_window, made)
        if wire is not None:
            self._wires.append(wire)
        else:
            self._open(ident, ready.opening, made, outs)
        return True

    def answer(self, ident: int, block: bytes, known: Opening, outs: list[Out]) -> bool:
        """Answer a whole request whose block was read, and whose stream may be opened; False: ask for it."""
        if not known.plain or known.length > 0:
            return False
        reply = self._reply(known, len(block))
        if reply is None:
            return False
        made = prepare(reply, known)
        self._blocks.put_ready(block, known, reply, made)
        wire = self._sender.at_once(ident, self._sender.first_window, made)
        if wire is not None:
            self._wires.append(wire)
        else:
            self._open(ident, known, made, outs)
        return True

    def flush(self, outs: list[Out]) -> None:
        """Send what lies ready: before anything else is done, and at the end."""
        if self._wires:
            outs.append(Send(b"".join(self._wires)))
            self._wires.clear()

    def _reply(self, known: Opening, size: int) -> Reply | None:
        memory, request, like = self._memory, known.head.request, known.like
        if memory is None or self._answering.asks:
            return None
        if like is None:
            return memory.again(request)
        reply = memory.alike(like.request, request, size)
        if reply is None:
            like.request = request  # which is asked for now
        return reply

    def _open(self, ident: int, known: Opening, made: Prepared, outs: list[Out]) -> None:
        """The reply does not leave at once: its stream waits for a window."""
        self._streams[ident] = stream = Stream(ident, known, self._sender.first_window, STREAM_CREDIT)
        stream.ended = True
        self._answering.reply(stream, made, outs)
