"""Bodies of HTTP/1 messages, decoded as they arrive (RFC 9112 sections 6 and 7).

A reader takes all that belongs to its body from each read and keeps nothing of it but an unfinished line, so
that a body costs the same whether it comes whole or byte by byte. Chunk extensions are checked and dropped.
"""

import re
from typing import Final, Protocol

from svcmock_protocols.http.codec import MAX_FIELDS, MessageError, is_field_line
from svcmock_protocols.http.messages import Framing

MAX_BODY: Final = 1 << 30
"""Bytes of a body, transfer-decoded, where the service's options say nothing else."""
MAX_CHUNK_LINE: Final = 256
"""Bytes of a chunk's size line with its extension and CRLF."""
MAX_TRAILERS: Final = 16 * 1024
"""Bytes of the trailer section."""

Piece = tuple[bytes, bool]
"""Bytes of a body, and whether a chunk ends with them."""


class BodyReader(Protocol):
    """Reads one body. When `done`, the next message starts where `feed` stopped."""

    done: bool
    size: int
    """Bytes of body seen so far."""
    trailers: bytes
    """Trailer field lines as sent, each with its CRLF."""

    def feed(self, data: bytes | bytearray, start: int = 0) -> tuple[int, list[Piece]]:
        """Take what belongs to the body from `data[start:]`: where it stopped, and the pieces.

        Raises MessageError; then no further byte of this connection means anything.
        """

    def end(self) -> None:
        """The connection ended. Raises MessageError when that leaves the body incomplete."""


def body_reader(
    framing: Framing, length: int = 0, max_body: int = MAX_BODY, *, padded: bool = False
) -> BodyReader:
    """The reader for a framing. `padded`: take whitespace after a chunk's size, as some servers send it.

    Raises MessageError when `length` alone is too much.
    """
    if framing == "chunked":
        return ChunkedBody(max_body, padded=padded)
    if framing == "close":
        return CloseBody(max_body)
    if length > max_body:
        raise MessageError("body-too-large")
    return LengthBody(length)


class LengthBody:
    """A body of a known length; 0 for none."""

    __slots__ = ("_left", "done", "size", "trailers")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0
        self.size = 0
        self.trailers = b""

    def feed(self, data: bytes | bytearray, start: int = 0) -> tuple[int, list[Piece]]:
        piece = bytes(data[start : start + self._left])
        self._left -= len(piece)
        self.size += len(piece)
        self.done = not self._left
        return start + len(piece), [(piece, self.done)] if piece else []

    def end(self) -> None:
        if not self.done:
            raise MessageError("incomplete")


class CloseBody:
    """A reply's body that ends with the connection."""

    __slots__ = ("_max", "done", "size", "trailers")

    def __init__(self, max_body: int = MAX_BODY) -> None:
        self._max = max_body
        self.done = False
        self.size = 0
        self.trailers = b""

    def feed(self, data: bytes | bytearray, start: int = 0) -> tuple[int, list[Piece]]:
        piece = bytes(data[start:])
        self.size += len(piece)
        if self.size > self._max:
            raise MessageError("body-too-large")
        return len(data), [(piece, False)] if piece else []

    def end(self) -> None:
        self.done = True


_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*+)?+\r\n")
_PADDED_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*+(?:;[\t\x20-\x7e\x80-\xff]*+)?+\r\n")
_OF_THE_HEAD = frozenset({b"content-length", b"transfer-encoding", b"host"})


class ChunkedBody:
    """A chunked body with its trailers.

    size line ──▶ data ──▶ CRLF ─┐
        ▲ └─ size 0 ─▶ trailer lines ──▶ empty line: done
        └────────────────────────┘
    """

    __slots__ = (
        "_ending",
        "_fields",
        "_left",
        "_line",
        "_max",
        "_pattern",
        "_trailing",
        "done",
        "size",
        "trailers",
    )

    def __init__(self, max_body: int = MAX_BODY, *, padded: bool = False) -> None:
        self._max = max_body
        self._pattern = _PADDED_SIZE_LINE if padded else _SIZE_LINE
        self._left = 0
        self._ending = b""
        """What is still to come of the CRLF after a chunk's data."""
        self._line = b""
        self._trailing = False
        self._fields = 0
        self.done = False
        self.size = 0
        self.trailers = b""

    def feed(self, data: bytes | bytearray, start: int = 0) -> tuple[int, list[Piece]]:
        pieces: list[Piece] = []
        at, stop = start, len(data)
        while at < stop and not self.done:
            if self._left:
                piece = bytes(data[at : at + self._left])
                at += len(piece)
                self._left -= len(piece)
                pieces.append((piece, not self._left))
                self._ending = b"" if self._left else b"\r\n"
            elif self._ending:
                if data[at] != self._ending[0]:
                    raise MessageError("chunk-end")
                self._ending = self._ending[1:]
                at += 1
            elif self._trailing:
                at = self._trailer(data, at)
            else:
                at = self._size(data, at)
        return at, pieces

    def end(self) -> None:
        if not self.done:
            raise MessageError("incomplete")

    def _take_line(self, data: bytes | bytearray, at: int, room: int, fault: str) -> tuple[int, bytes]:
        """Where the line that starts or goes on at `at` ends, and the line; empty while it is incomplete."""
        found = data.find(b"\n", at, at + room - len(self._line))
        end = found + 1 if found >= 0 else len(data)
        if found < 0 and len(self._line) + end - at >= room:
            raise MessageError(fault)
        line = self._line + bytes(data[at:end])
        self._line = b"" if found >= 0 else line
        return end, line if found >= 0 else b""

    def _size(self, data: bytes | bytearray, at: int) -> int:
        at, line = self._take_line(data, at, MAX_CHUNK_LINE, "chunk-line-too-long")
        if line:
            match = self._pattern.fullmatch(line)
            if match is None:
                raise MessageError("chunk-line")
            self._left = int(match[1], 16)
            self.size += self._left
            if self.size > self._max:
                raise MessageError("body-too-large")
            self._trailing = not self._left
        return at

    def _trailer(self, data: bytes | bytearray, at: int) -> int:
        room = MAX_TRAILERS - len(self.trailers)
        at, line = self._take_line(data, at, room, "trailers-too-large")
        if line == b"\r\n":
            self.done = True
        elif line:
            self._add_trailer(line)
        return at

    def _add_trailer(self, line: bytes) -> None:
        if not is_field_line(line):
            raise MessageError(_trailer_fault(line))
        if line.partition(b":")[0].lower() in _OF_THE_HEAD:
            raise MessageError("trailer-framing")
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise MessageError("trailers-too-large")
        self.trailers += line


def _trailer_fault(line: bytes) -> str:
    if not line.endswith(b"\r\n"):
        return "bare-lf"
    if line[:1] in (b" ", b"\t"):
        return "obs-fold"
    return "control-byte" if re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", line[:-2]) else "trailer"
