"""The header blocks that a client of HTTP/2 sends: put together, decoded in their order, and remembered.

A block's frames come one after the other (RFC 9113 section 4.3), and every block is decoded, wanted or not, as
it may change the table. What a block meant is remembered while the table does not change: clients send the same
blocks over and over. Limits bound a block that never ends.
"""

from typing import Final

from svcmock_protocols.http.codec import MAX_FIELDS
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.frames import ConnectionFault
from svcmock_protocols.http.h2.heads import Opening, opening
from svcmock_protocols.http.h2.hpack import Decoder, Fields, HpackError

MAX_CONTINUATIONS: Final = 64
"""CONTINUATION frames of one header block, beyond those that it needs."""
MAX_OPENINGS: Final = 256
"""Header blocks of which the head is remembered."""
_REMEMBERED: Final = 2048
"""Bytes of one of them."""


class Block:
    """A header block whose frames are coming."""

    __slots__ = ("ends", "pieces", "size", "stream")

    def __init__(self, stream: int, piece: bytes, *, ends: bool) -> None:
        self.stream = stream
        self.ends = ends
        """Its HEADERS frame ends the stream."""
        self.pieces = [piece]
        self.size = len(piece)


class Blocks:
    """Of one connection. `coming`: the block that is not whole; no other frame may come before it is."""

    __slots__ = ("_decoder", "_generation", "_max_head", "_openings", "coming")

    def __init__(self, max_head: int) -> None:
        self._decoder = Decoder(4096, max_head, MAX_FIELDS)
        self._generation = self._decoder.generation
        self._max_head = max_head
        self._openings: dict[bytes, Opening] = {}
        self.coming: Block | None = None

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

    def read_opening(self, block: bytes) -> Opening:
        """The request's head in a block. Raises ConnectionFault, ListTooLarge and Malformed."""
        before = self._generation
        made = opening(self.decode(block))
        if self._generation == before and len(block) <= _REMEMBERED:
            if len(self._openings) >= MAX_OPENINGS:
                self._openings.clear()
            self._openings[block] = made
        return made

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
