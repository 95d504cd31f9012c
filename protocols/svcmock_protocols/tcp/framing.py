"""`framing:` compiled, and cutting a stream of bytes by it.

A person names one kind of framing, or a list of them of which the first that fits counts, or one for each
direction. `Splitter` holds the bytes of one direction of a connection.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from svcmock.protocol import Invalid
from svcmock_protocols.tcp.gaps import duration
from svcmock_protocols.tcp.kinds import (
    MAX_HEADER,
    Buffer,
    Choice,
    Counted,
    Delimited,
    Enveloped,
    Fixed,
    Framing,
    Headed,
    Silent,
)
from svcmock_protocols.tcp.lengths import CODINGS, MAX_VARINT, FrameError
from svcmock_protocols.tcp.messages import Bytes, Delimiter, Envelope, FramingDoc, Length, Regex
from svcmock_protocols.tcp.patterns import compile_pattern

MAX_KINDS = 16
"""Framings of one list."""
_TRIM: Final = 1 << 18
"""Bytes dealt with that a buffer may carry along."""


def literal(doc: Bytes, *at: str | int) -> bytes:
    """The bytes that a text or `{hex: }` stands for. Raises Invalid."""
    if isinstance(doc, str):
        return doc.encode("utf-8", "surrogatepass")
    if doc.keys() != {"hex"}:
        raise Invalid(at, "expected a text, or {hex: }")
    try:
        return bytes.fromhex(doc["hex"])
    except ValueError as error:
        raise Invalid((*at, "hex"), f"not hex: {error}") from None


def _some(doc: Bytes, *at: str | int) -> bytes:
    data = literal(doc, *at)
    if not data:
        raise Invalid(at, "expected at least one byte")
    return data


def compile_sides(doc: FramingDoc | Sequence[FramingDoc], limit: int) -> tuple[Framing, Framing]:
    """How the client and how the server frames. Raises Invalid, `at` a path in the options."""
    if isinstance(doc, FramingDoc) and (doc.client is not None or doc.server is not None):
        if doc.client is None or doc.server is None:
            raise Invalid(("framing",), "give both `client` and `server`, or one framing for both")
        if _kinds(doc):
            raise Invalid(("framing",), "give either one framing, or `client` and `server`")
        client = compile_framing(doc.client, limit, "framing", "client")
        return client, compile_framing(doc.server, limit, "framing", "server")
    framing = compile_framing(doc, limit, "framing")
    return framing, framing


def compile_framing(doc: FramingDoc | Sequence[FramingDoc], limit: int, *at: str | int) -> Framing:
    """A framing, or a list of them of which the first that fits counts. Raises Invalid."""
    if isinstance(doc, FramingDoc):
        return _compile(doc, limit, at)
    if not 0 < len(doc) <= MAX_KINDS:
        raise Invalid(at, f"expected 1 to {MAX_KINDS} framings")
    for index, one in enumerate(doc[:-1]):
        if one.regex is not None and not one.starts:
            why = 'in a list a regex needs `starts`: "...", or what has no such header would be waited for'
            raise Invalid((*at, index, "regex"), why)
    return Choice(tuple(_compile(one, limit, (*at, index)) for index, one in enumerate(doc)))


def _kinds(doc: FramingDoc) -> list[str]:
    names = ("delimiter", "fixed", "length", "envelope", "regex", "idle")
    return [name for name in names if getattr(doc, name) is not None] + ["until_close"] * doc.until_close


def _compile(doc: FramingDoc, limit: int, at: tuple[str | int, ...]) -> Framing:
    kinds = _kinds(doc)
    if len(kinds) != 1 or doc.client is not None or doc.server is not None:
        given = f", not {' and '.join(kinds)}" if kinds else ""
        raise Invalid(
            at, f"expected one of delimiter, fixed, length, envelope, regex, until_close, idle{given}"
        )
    starts = literal(doc.starts, *at, "starts")
    if len(starts) > MAX_HEADER:
        raise Invalid((*at, "starts"), f"more than {MAX_HEADER} bytes")
    at = (*at, kinds[0])
    if doc.delimiter is not None:
        return _delimiter(doc.delimiter, limit, starts, at)
    if doc.length is not None:
        return _length(doc.length, limit, starts, at)
    if doc.envelope is not None:
        return _envelope(doc.envelope, limit, starts, at)
    if doc.regex is not None:
        return Headed(limit, starts, header=_header(doc.regex, at), trailer=doc.regex.trailer)
    if doc.fixed is not None:
        if doc.fixed > limit:
            raise Invalid(at, f"`max_frame` is {limit}")
        return Fixed(limit, starts, size=doc.fixed)
    quiet = 0.0 if doc.idle is None else duration(doc.idle, *at)
    if doc.idle is not None and not quiet:
        raise Invalid(at, "expected a duration such as 50ms")
    return Silent(limit, starts, quiet=quiet)


def _delimiter(doc: str | Delimiter, limit: int, starts: bytes, at: tuple[str | int, ...]) -> Framing:
    if not isinstance(doc, Delimiter):
        return Delimited(limit, starts, end=_some(doc, *at))
    if doc.hex and doc.end:
        raise Invalid((*at, "hex"), "give either `end` or `hex`")
    end = literal({"hex": doc.hex}, *at) if doc.hex else _some(doc.end, *at, "end")
    escape, line = literal(doc.escape, *at, "escape"), b""
    if len(escape) > 1 or (escape and escape in end):
        raise Invalid((*at, "escape"), "an escape is one byte that the end does not hold")
    if doc.dots:
        line = end[: (len(end) - 1) // 2]
        if not line or end != line + b"." + line or escape:
            raise Invalid((*at, "dots"), 'goes with an end such as "\\r\\n.\\r\\n", and with no escape')
    if doc.keep and (escape or line):
        raise Invalid((*at, "keep"), "what is escaped, or has its dots doubled, is not kept as it is")
    return Delimited(limit, starts, end=end, keep=doc.keep, escape=escape, line=line)


def _envelope(doc: Envelope, limit: int, starts: bytes, at: tuple[str | int, ...]) -> Framing:
    if starts:
        raise Invalid((*at[:-1], "starts"), "an envelope has its own `start`")
    start = _some(doc.start, *at, "start")
    if len(start) > MAX_HEADER:
        raise Invalid((*at, "start"), f"more than {MAX_HEADER} bytes")
    return Enveloped(limit, start, end=_some(doc.end, *at, "end"), trailer=doc.trailer)


def _header(doc: Regex, at: tuple[str | int, ...]) -> Any:
    header = compile_pattern(doc.header, *at, "header")
    if b"len" not in header.groupindex:
        raise Invalid((*at, "header"), r"has no group `(?P<len>\d+)` that says the length")
    return header


def _length(doc: Length, limit: int, starts: bytes, at: tuple[str | int, ...]) -> Framing:
    width = MAX_VARINT if doc.encoding == "varint" else doc.width
    keep = doc.offset > 0 if doc.keep is None else doc.keep
    if doc.encoding == "varint" and (doc.width or doc.counts == "frame"):
        raise Invalid((*at, "encoding"), "a varint has no width, and counts the payload")
    if not width or (doc.encoding == "binary" and width > 8):
        raise Invalid((*at, "width"), "expected the bytes of the length: 1 to 8, or 1 to 16 digits")
    if doc.offset and not keep:
        raise Invalid((*at, "keep"), "what stands before the length would be lost")
    read, write = CODINGS[doc.encoding](width, doc.endian)
    return Counted(
        limit,
        starts,
        offset=doc.offset,
        width=width,
        read=read,
        write=write,
        whole=doc.counts == "frame",
        adjust=doc.adjust,
        keep=keep,
    )


# --- cutting ------------------------------------------------------------------------------------------


class Frame(Struct, frozen=True, gc=False):
    """A frame: what it holds, and all of its bytes."""

    payload: bytes
    wire: bytes


def split(framing: Framing, data: bytes) -> list[Frame] | None:
    """The frames that `data` consists of, to its last byte; None if it does not."""
    splitter = Splitter(framing)
    splitter.feed(data)
    frames = []
    try:
        while (frame := splitter.next(ended=True)) is not None:
            frames.append(frame)
    except FrameError:
        return None
    return None if splitter.pending else frames


class Splitter:
    """The bytes of one direction that are not cut into frames yet."""

    __slots__ = ("_at", "_buffer", "_scanned", "framing")

    def __init__(self, framing: Framing) -> None:
        self.framing = framing
        self._buffer: Buffer = b""
        self._at = 0
        self._scanned = 0

    @property
    def pending(self) -> int:
        """Bytes that wait."""
        return len(self._buffer) - self._at

    def feed(self, data: bytes) -> None:
        """Add what came, at a cost that does not depend on how much waits."""
        if self._at == len(self._buffer):
            self._buffer, self._at, self._scanned = data, 0, 0
            return
        if isinstance(self._buffer, bytes) or self._at > _TRIM:
            self._buffer = bytearray(memoryview(self._buffer)[self._at :])
            self._scanned = max(0, self._scanned - self._at)
            self._at = 0
        self._buffer += data

    def next(self, *, ended: bool = False) -> Frame | None:
        """The next frame, if it is here. Raises FrameError; then nothing more can be cut."""
        buffer, at = self._buffer, self._at
        if at == len(buffer):
            return None
        cut = self.framing.cut(buffer, at, scanned=self._scanned, ended=ended)
        if cut is None:
            self._scanned = len(buffer)
            return None
        end = cut.end
        wire = buffer if at == 0 and end == len(buffer) and isinstance(buffer, bytes) else bytes(buffer[at:end])
        self._at = self._scanned = end
        if end == len(buffer):
            self.clear()
        return Frame(wire if cut.payload is None else cut.payload, wire)

    def rest(self) -> bytes:
        """What waits."""
        return bytes(self._buffer[self._at :])

    def clear(self) -> None:
        """Forget what waits."""
        self._buffer, self._at, self._scanned = b"", 0, 0
