"""Content codings: gzip, deflate, br and zstd, off and on (RFC 9110 section 8.4, RFC 8878, RFC 7932).

Decoding is bounded: a small body that unfolds into gigabytes is given up at MAX_DECODED, and no single step
produces more than a few megabytes. What cannot be decoded, whole and exactly to its last byte, counts as
undecodable: then the bytes as they are decide. Encoding is deterministic for one build of the libraries, with
no time and no name inside. br and zstd are loaded when the first such body comes.
"""

import hashlib
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, Protocol

from svcmock.protocol import ProtocolError
from svcmock_protocols.http.codec import values

MAX_DECODED: Final = 64 * 1024 * 1024
"""Bytes that a body may unfold into."""
MAX_CODINGS: Final = 3
"""Codings on top of each other."""
CODINGS: Final = frozenset({b"gzip", b"x-gzip", b"deflate", b"br", b"zstd"})
"""Those that can be taken off and put on. `identity` is none at all."""
_STEP: Final = 1 << 20
_ZSTD_STEP: Final = 256
"""Compressed bytes per call: one zstd block of 4 bytes may stand for 128 KiB."""


class CodingError(ProtocolError):
    """A body is not what its Content-Encoding says, or unfolds into more than MAX_DECODED."""


class Unfold(Protocol):
    """Takes one coding off, step by step."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` unfolds into. Raises CodingError."""

    def end(self) -> Iterator[bytes]:
        """The last bytes. Raises CodingError when the coded body is incomplete."""


# --- names --------------------------------------------------------------------------------------------


def coding_of(block: bytes) -> bytes:
    """The value of Content-Encoding in a block of fields, lines joined; empty where there is none."""
    return b", ".join(values(block, b"content-encoding"))


def codings(value: bytes) -> tuple[bytes, ...]:
    """The codings of a Content-Encoding in the order in which they were put on, `identity` left out."""
    named = (name.strip(b" \t").lower() for name in value.split(b","))
    return tuple(name for name in named if name not in (b"", b"identity"))


def known(value: bytes) -> bool:
    """Whether every coding of a Content-Encoding can be taken off."""
    names = codings(value)
    return len(names) <= MAX_CODINGS and CODINGS.issuperset(names)


def accepted(block: bytes, value: bytes) -> bool:
    """Whether the sender of these request fields takes a body with this Content-Encoding.

    RFC 9110 section 12.5.3, but for a request without Accept-Encoding: that could take anything, and what a
    server sends it is identity.
    """
    return _takes(values(block, b"accept-encoding"), value)


@lru_cache(maxsize=64)
def _takes(offered: tuple[bytes, ...], value: bytes) -> bool:
    weights = dict(_weight(item) for line in offered for item in line.split(b","))
    any_other = weights.get(b"*", False)
    return all(weights.get(name, any_other) for name in map(_plain_name, codings(value)))


def _weight(item: bytes) -> tuple[bytes, bool]:
    name, _, parameters = item.partition(b";")
    weight = parameters.replace(b" ", b"").replace(b"\t", b"").lower()
    refused = weight.startswith(b"q=0") and not weight[3:].strip(b".0")
    return _plain_name(name.strip(b" \t").lower()), not refused


def _plain_name(name: bytes) -> bytes:
    return b"gzip" if name == b"x-gzip" else name


# --- off ----------------------------------------------------------------------------------------------


class _Zlib:
    """gzip with any number of members (RFC 1952), and deflate with or without the wrapping of zlib.

    It should have that (RFC 9110 section 8.4.1.2); some servers leave it out.
    """

    def __init__(self, coding: bytes) -> None:
        self._gzip = coding != b"deflate"
        self._made: Any = zlib.decompressobj(31) if self._gzip else None
        self._fresh = True
        """Nothing of the current member has come yet."""
        self._first = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._made is None:
            self._first += data
            if len(self._first) < 2:
                return
            data, self._first = self._first, b""
            wrapped = data[0] & 15 == 8 and int.from_bytes(data[:2]) % 31 == 0
            self._made = zlib.decompressobj(15 if wrapped else -15)
        while data:
            if self._made.eof:
                if not self._gzip:
                    raise CodingError("bytes after the end of the compressed body")
                self._made, self._fresh = zlib.decompressobj(31), True
            self._fresh = False
            try:
                piece = self._made.decompress(data, _STEP)
            except zlib.error as error:
                raise CodingError(str(error)) from None
            if piece:
                yield piece
            data = self._made.unused_data if self._made.eof else self._made.unconsumed_tail
            if not data and len(piece) == _STEP:
                yield from self._drain()

    def _drain(self) -> Iterator[bytes]:
        while not self._made.eof and (piece := self._made.decompress(b"", _STEP)):
            yield piece

    def end(self) -> Iterator[bytes]:
        if self._first or (self._made is not None and not self._made.eof and not self._fresh):
            raise CodingError("the compressed body is incomplete")
        return iter(())


class _Brotli:
    def __init__(self) -> None:
        import brotli

        self._error = brotli.error
        self._made = brotli.Decompressor()
        self._any = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._any = self._any or bool(data)
        while data or not self._made.can_accept_more_data():
            if self._made.is_finished():
                if data:
                    raise CodingError("bytes after the end of the compressed body")
                return
            try:
                piece = self._made.process(data, output_buffer_limit=_STEP)
            except self._error as error:
                raise CodingError(str(error)) from None
            data = b""
            if piece:
                yield piece

    def end(self) -> Iterator[bytes]:
        if self._any and not self._made.is_finished():
            raise CodingError("the compressed body is incomplete")
        return iter(())


class _Zstd:
    def __init__(self) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        self._make = zstandard.ZstdDecompressor(max_window_size=1 << 23).decompressobj
        self._made = self._make()
        self._fresh = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), _ZSTD_STEP):
            step = data[at : at + _ZSTD_STEP]
            while step:
                if self._made.eof:
                    self._made = self._make()
                try:
                    piece = self._made.decompress(step)
                except self._error as error:
                    raise CodingError(str(error)) from None
                self._fresh = False
                step = self._made.unused_data if self._made.eof else b""
                if piece:
                    yield piece

    def end(self) -> Iterator[bytes]:
        if not self._fresh and not self._made.eof:
            raise CodingError("the compressed body is incomplete")
        return iter(())


def unfold(coding: bytes) -> Unfold:
    """What takes one of CODINGS off."""
    if coding == b"br":
        return _Brotli()
    return _Zstd() if coding == b"zstd" else _Zlib(coding)


def decode(body: bytes, coding: bytes, limit: int = MAX_DECODED) -> bytes | None:
    """`body` without its Content-Encoding `coding` (as the header has it, lists included).

    None where a coding is unknown, the body is not so coded, or it unfolds into more than `limit` bytes.
    A body without coding is returned as it is.
    """
    if not known(coding):
        return None
    try:
        for name in reversed(codings(coding)):
            body = _decode_one(body, name, limit)
    except CodingError:
        return None
    return body


def _decode_one(body: bytes, name: bytes, limit: int) -> bytes:
    if not body:
        return b""
    pieces: list[bytes] = []
    size = 0
    for piece in _through(unfold(name), iter((body,)), ending=True):
        size += len(piece)
        if size > limit:
            raise CodingError("the body unfolds into too much")
        pieces.append(piece)
    return b"".join(pieces)


class BodyHash:
    """The SHA-256 of a body that comes in pieces, by the rule of `Spooled.sha256`.

    Taken of what the body decodes to, or of the body as it is where that does not work within MAX_DECODED.
    """

    __slots__ = ("_decoded", "_decoding", "_layers", "_raw", "_size")

    def __init__(self, coding: bytes) -> None:
        self._raw = hashlib.sha256()
        self._decoded = hashlib.sha256()
        self._size = 0
        self._layers = [unfold(name) for name in reversed(codings(coding))] if known(coding) else []
        self._decoding = bool(self._layers)

    def update(self, data: bytes) -> None:
        self._raw.update(data)
        if self._decoding and data:
            self._unfold(data, ending=False)

    def hexdigest(self) -> str:
        """After the last piece, once."""
        if self._decoding:
            self._unfold(b"", ending=True)
        return (self._decoded if self._decoding else self._raw).hexdigest()

    def _unfold(self, data: bytes, *, ending: bool) -> None:
        pieces = iter((data,))
        for layer in self._layers:
            pieces = _through(layer, pieces, ending=ending)
        try:
            for piece in pieces:
                self._size += len(piece)
                self._decoded.update(piece)
                if self._size > MAX_DECODED:
                    self._decoding = False
                    return
        except CodingError:
            self._decoding = False


def _through(layer: Unfold, pieces: Iterator[bytes], *, ending: bool) -> Iterator[bytes]:
    for piece in pieces:
        yield from layer.feed(piece)
    if ending:
        yield from layer.end()


# --- on -----------------------------------------------------------------------------------------------


def encode(body: bytes, coding: bytes) -> bytes | None:
    """`body` with a Content-Encoding put on; None where a coding is unknown.

    The same bytes for the same build of the libraries, and those of zlib's own defaults, which many servers
    send. Another build may compress otherwise, and what it gives decodes to the same.
    """
    if not known(coding):
        return None
    for name in codings(coding):
        body = _encode_one(body, name)
    return body


def _encode_one(body: bytes, name: bytes) -> bytes:
    if name == b"br":
        import brotli

        made: bytes = brotli.compress(body, quality=5)
        return made
    if name == b"zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=3).compress(body)
    packer = zlib.compressobj(6, zlib.DEFLATED, 15 if name == b"deflate" else 31)
    return packer.compress(body) + packer.flush()
