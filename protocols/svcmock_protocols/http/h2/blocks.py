"""The header blocks that a client of HTTP/2 sends: put together, decoded in their order, and remembered.

A block's frames come one after the other (RFC 9113 section 4.3), and every block is decoded, wanted or not, as
it may change the table. What a block meant is remembered while the table does not change: clients send the same
blocks over and over. Where each has something new, as an id or a trace, what is known of one that differs in
nothing else saves half of the reading. Limits bound a block that never ends.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from svcmock_protocols.http.codec import MAX_FIELDS
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.frames import ConnectionFault
from svcmock_protocols.http.h2.heads import READ, Alike, Opening, alike, likened, opening
from svcmock_protocols.http.h2.hpack import Decoder, Fields, HpackError
from svcmock_protocols.http.h2.replies import Prepared
from svcmock_protocols.http.likeness import Likeness
from svcmock_protocols.http.messages import Reply, Request

MAX_CONTINUATIONS: Final = 64
"""CONTINUATION frames of one header block, beyond those that it needs."""
MAX_OPENINGS: Final = 256
"""Header blocks of which the head is remembered."""
MAX_LIKE: Final = 256
"""Heads that others may be like, and names of fields that decide nothing."""
_REMEMBERED: Final = 2048
"""Bytes of a block whose head is remembered."""


class Block:
    """A header block whose frames are coming."""

    __slots__ = ("ends", "pieces", "size", "stream")

    def __init__(self, stream: int, piece: bytes, *, ends: bool) -> None:
        self.stream = stream
        self.ends = ends
        """Its HEADERS frame ends the stream."""
        self.pieces = [piece]
        self.size = len(piece)


class Ready(Struct, frozen=True, gc=False):
    """What a block that came before asks for, and the reply it gets."""

    request: Request
    opening: Opening
    reply: Reply
    made: Prepared


class Blocks:
    """Of one connection. `coming`: the block that is not whole; no other frame may come before it is."""

    __slots__ = (
        *("_decoder", "_generation", "_heads", "_idle", "_likeness", "_max_head", "_openings", "coming"),
        "ready",
    )

    def __init__(self, max_head: int) -> None:
        self._decoder = Decoder(4096, max_head, MAX_FIELDS)
        self._generation = self._decoder.generation
        self._max_head = max_head
        self._openings: dict[bytes, Opening] = {}
        self.ready: dict[bytes, Ready] = {}
        """Blocks that are whole requests, and get the same reply as before. Read without a call."""
        self._likeness: Likeness | None = None
        self._idle: set[bytes] = set()
        """Names of fields that decide nothing."""
        self._heads: dict[tuple[tuple[bytes, bytes], ...], Alike] = {}
        """By the fields that decide."""
        self.coming: Block | None = None

    def liken(self, likeness: Likeness | None) -> None:
        """Heads that this does not tell apart are alike, and others no more."""
        self._likeness = likeness
        for memory in (self._idle, self._heads, self._openings, self.ready):
            memory.clear()

    def add(self, piece: bytes, *, last: bool) -> bytes | None:
        """A CONTINUATION; gives the whole block after the last. Raises ConnectionFault."""
        block = self.coming
        if block is None:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "CONTINUATION without a header block")
        block.pieces.append(piece)
        block.size += len(piece)
        most = 1 + MAX_CONTINUATIONS + block.size // frames.MAX_FRAME
        if block.size > 2 * self._max_head or len(block.pieces) > most:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "a header block without end")
        if not last:
            return None
        self.coming = None
        return b"".join(block.pieces)

    def opening(self, block: bytes) -> Opening | None:
        """The request's head that a block was before; None if it has to be read."""
        return self._openings.get(block)

    def put_ready(self, block: bytes, known: Opening, reply: Reply, made: Prepared) -> None:
        """Remember the reply to a block, as long as what the block means is remembered."""
        if self._openings.get(block) is known:
            self.ready[block] = Ready(known.head.request, known, reply, made)

    def read_opening(self, block: bytes) -> Opening:
        """The request's head in a block. Raises ConnectionFault, ListTooLarge and Malformed."""
        before = self._generation
        fields = self.decode(block)
        made = self._opening(fields, len(block))
        if self._generation == before and len(block) <= _REMEMBERED:
            if len(self._openings) >= MAX_OPENINGS:
                self._openings.clear()
                self.ready.clear()
            self._openings[block] = made if made.like is None else replace(made, like=None)
        return made

    def _opening(self, fields: Fields, size: int) -> Opening:
        likeness = self._likeness
        if likeness is None or size > _REMEMBERED:
            return opening(fields)
        idle = self._idle
        key = tuple([field for field in fields if field[0] not in idle])
        known = self._heads.get(key)
        if known is not None:
            return alike(known, fields)
        made = opening(fields)
        like = likened(made, fields)
        if like is not None:
            self._learn(like, fields, likeness)
        return made

    def _learn(self, like: Alike, fields: Fields, likeness: Likeness) -> None:
        """Remember a head for others that will be like it, if it has anything that decides nothing."""
        idle, heads = self._idle, self._heads
        for name, _ in fields:
            if len(idle) < MAX_LIKE and name[:1] != b":" and name not in READ and likeness.idle(name):
                idle.add(name)
        key = tuple([field for field in fields if field[0] not in idle])
        if len(key) < len(fields):
            if len(heads) >= MAX_LIKE:
                heads.clear()
            heads[key] = like

    def decode(self, block: bytes) -> Fields:
        """The fields of a block. Raises ConnectionFault, and ListTooLarge."""
        try:
            fields = self._decoder.decode(block)
        except HpackError as error:
            raise ConnectionFault(frames.COMPRESSION_ERROR, str(error)) from None
        finally:
            self._forget()
        return fields

    def _forget(self) -> None:
        """What blocks meant counts no more once the table has changed."""
        if self._decoder.generation != self._generation:
            self._generation = self._decoder.generation
            self._openings.clear()
            self.ready.clear()
