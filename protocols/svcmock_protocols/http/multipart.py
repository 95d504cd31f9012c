"""Multipart bodies: taking them apart and putting them together (RFC 2046 section 5.1, RFC 7578).

A body is taken apart only when it is well formed: CRLF line ends, a closing delimiter, a header section in
every part. Whatever is not stays the bytes it is. Nested multiparts are a part's bytes like any others.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from svcmock_protocols.http.forms import media_type

MAX_PARTS = 1000
"""A body with more parts is not taken apart."""
MAX_PART_HEAD = 16 * 1024
"""A part's header section may be this long."""
COMMON = b"svcmock-boundary"
"""Stands for the boundary of a body that is too large to be taken apart: clients draw another one each time."""

_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n]*)\r\n")


class Part(Struct, frozen=True):
    """One part: `block` holds its field lines as sent, each with its CRLF."""

    block: bytes
    body: bytes


class Parts(Struct, frozen=True):
    """A whole body. `closing` is what follows the last delimiter: usually CRLF or nothing."""

    parts: tuple[Part, ...]
    closing: bytes = b""


def boundary_of(content_type: bytes) -> bytes | None:
    """The boundary a Content-Type names; None if it is no multipart type."""
    kind, parameters = media_type(content_type)
    boundary = dict(parameters).get(b"boundary")
    return boundary if kind.startswith(b"multipart/") and boundary and len(boundary) <= 70 else None


def parse(body: bytes, boundary: bytes) -> Parts | None:
    """The parts of a body that begins with its first delimiter; None if it is not well formed."""
    delimiter = b"\r\n--" + boundary
    if not body.startswith(delimiter[2:]) or body.count(delimiter) > MAX_PARTS:
        return None
    pieces = (b"\r\n" + body).split(delimiter)
    closing = pieces[-1]
    if not closing.startswith(b"--") or len(closing) > MAX_PART_HEAD:
        return None
    parts = []
    for piece in pieces[1:-1]:
        part = _part(piece)
        if part is None:
            return None
        parts.append(part)
    return Parts(tuple(parts), closing[2:])


def _part(piece: bytes) -> Part | None:
    """What stands between two delimiters: CRLF, field lines, an empty line, the body."""
    if piece.startswith(b"\r\n\r\n"):
        return Part(b"", piece[4:])
    end = piece.find(b"\r\n\r\n", 2, MAX_PART_HEAD)
    if end < 0 or not piece.startswith(b"\r\n"):
        return None
    block = piece[2 : end + 2]
    if b"".join(match[0] for match in _FIELD.finditer(block)) != block:
        return None
    return Part(block, piece[end + 4 :])


class CommonBoundary:
    """A multipart body on its way, with COMMON for its boundary: the same however it was cut on the way."""

    __slots__ = ("_delimiter", "_held")

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"--" + boundary
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The next bytes. What may be the start of a delimiter is held back."""
        *before, last = (self._held + data).split(self._delimiter)
        cut = max(0, len(last) - len(self._delimiter) + 1)
        self._held = last[cut:]
        return (b"--" + COMMON).join([*before, last[:cut]])

    def flush(self) -> bytes:
        """The rest, at the end of the body."""
        held, self._held = self._held, b""
        return held


def with_common_boundary(body: bytes, boundary: bytes) -> bytes:
    """What a CommonBoundary makes of a whole body."""
    return body.replace(b"--" + boundary, b"--" + COMMON)


def write(parts: Parts, boundary: bytes) -> bytes:
    """The body these parts make."""
    pieces = [b"--" + boundary + b"\r\n" + part.block + b"\r\n" + part.body + b"\r\n" for part in parts.parts]
    return b"".join(pieces) + b"--" + boundary + b"--" + parts.closing


def part_fields(part: Part) -> list[tuple[bytes, bytes]]:
    """A part's field lines as (lower-case name, value)."""
    return [(match[1].lower(), match[2].rstrip(b" \t")) for match in _FIELD.finditer(part.block)]


def disposition(part: Part) -> tuple[bytes | None, bytes | None]:
    """The `name` and `filename` of a part's Content-Disposition."""
    for name, value in part_fields(part):
        if name == b"content-disposition":
            parameters = dict(media_type(value)[1])
            return parameters.get(b"name"), parameters.get(b"filename")
    return None, None


def form_block(name: bytes, filename: bytes | None, content_type: bytes | None) -> bytes:
    """The field lines that browsers and client libraries write for a form's part."""
    block = b'Content-Disposition: form-data; name="' + _quoted(name) + b'"'
    if filename is not None:
        block += b'; filename="' + _quoted(filename) + b'"'
    block += b"\r\n"
    return block + b"Content-Type: " + content_type + b"\r\n" if content_type is not None else block


def _quoted(value: bytes) -> bytes:
    return value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def unused_boundary(bodies: Sequence[bytes]) -> bytes:
    """A boundary that none of these bodies holds; always the same for the same bodies."""
    number = 0
    while any(b"svcmock-boundary-%d" % number in body for body in bodies):
        number += 1
    return b"svcmock-boundary-%d" % number
