"""Ranges and multiranges of any type.

    range        byte flags, then for each bound that is not infinite int32 length and the bytes
    multirange   int32 count, then for each range int32 length and the range

The text forms are `[1,10)`, `(,"2024-01-01 00:00:00"]`, `empty` and `{[1,3),[5,7)}`.
"""

import re
import struct
from collections.abc import Callable

from msgspec import Struct

from svcmock_protocols.postgres.types.codec import MAX_TEXT, Codec, codec, piece

_EMPTY, _LOWER_IN, _UPPER_IN, _LOWER_OPEN, _UPPER_OPEN = 1, 2, 4, 8, 16
_LENGTH = struct.Struct(">i")

_SPECIAL = re.compile(r'[\s"\\()\[\],]', re.ASCII)
_BOUND = r'((?:"(?:[^"\\]++|\\.|"")*+"|[^"\\,()\[\]]++|\\.)*+)'
_RANGE = re.compile(
    rf"\s*+(?:(empty)|([\[(]){_BOUND},{_BOUND}([\])]))\s*+", re.DOTALL | re.ASCII | re.IGNORECASE
)
_QUOTING = re.compile(r'\\(.)|""|"', re.DOTALL)


class Bounds(Struct, frozen=True):
    """The two ends of a range that is not empty; None where it has none."""

    lower: str | None
    upper: str | None
    lower_in: bool
    upper_in: bool


def bounds_of(data: bytes, to_text: Callable[[bytes], str]) -> Bounds | None:
    """What the binary form says; None for an empty range."""
    if not data:
        raise ValueError("no flags")
    flags = data[0]
    at = 1
    ends: list[str | None] = []
    for infinite in (_LOWER_OPEN, _UPPER_OPEN):
        if flags & (infinite | _EMPTY):
            ends.append(None)
            continue
        (size,) = _LENGTH.unpack_from(data, at)
        ends.append(to_text(piece(data, at + _LENGTH.size, size)))
        at += _LENGTH.size + size
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes too many")
    if flags & _EMPTY:
        return None
    lower, upper = ends
    return Bounds(
        lower,
        upper,
        lower is not None and bool(flags & _LOWER_IN),
        upper is not None and bool(flags & _UPPER_IN),
    )


def write(bounds: Bounds | None) -> str:
    """The range as `range_out` writes it."""
    if bounds is None:
        return "empty"
    left, right = "[" if bounds.lower_in else "(", "]" if bounds.upper_in else ")"
    return f"{left}{_shown(bounds.lower)},{_shown(bounds.upper)}{right}"


def _shown(bound: str | None) -> str:
    if bound is None:
        return ""
    if bound and _SPECIAL.search(bound) is None:
        return bound
    escaped = bound.replace("\\", "\\\\").replace('"', '""')
    return f'"{escaped}"'


def read(text: str) -> Bounds | None:
    """What the text form says; None for an empty range."""
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError("no range")
    return _matched(match)


def _matched(match: re.Match[str]) -> Bounds | None:
    empty, left, low, high, right = match.groups()
    if empty:
        return None
    lower, upper = _plain(low), _plain(high)
    return Bounds(lower, upper, lower is not None and left == "[", upper is not None and right == "]")


def _plain(bound: str) -> str | None:
    if not bound:
        return None
    if bound == '""':
        return ""
    if '"' in bound or "\\" in bound:
        return _QUOTING.sub(lambda match: '"' if match[0] == '""' else match[1] or "", bound)
    return bound


def _binary(bounds: Bounds | None, element: Codec) -> bytes:
    if bounds is None:
        return bytes((_EMPTY,))
    flags = _LOWER_IN * bounds.lower_in | _UPPER_IN * bounds.upper_in
    parts = []
    for bound, infinite in ((bounds.lower, _LOWER_OPEN), (bounds.upper, _UPPER_OPEN)):
        if bound is None:
            flags |= infinite
        else:
            data = element.to_binary(bound)
            parts.append(_LENGTH.pack(len(data)) + data)
    return bytes((flags,)) + b"".join(parts)


def _one_form(bounds: Bounds | None, element: Codec, following: Callable[[str], str] | None) -> Bounds | None:
    """Equal ranges as one: with `following`, which gives the next value, as PostgreSQL itself keeps them."""
    if bounds is None:
        return None
    lower, upper = (None if end is None else element.canonical(end) for end in (bounds.lower, bounds.upper))
    lower_in, upper_in = bounds.lower_in, bounds.upper_in
    if following is not None:
        if lower is not None and not lower_in:
            after = following(lower)
            lower, lower_in = after, after != lower
        if upper is not None and upper_in:
            after = following(upper)
            upper, upper_in = after, after == upper
    if lower is not None and lower == upper and not (lower_in and upper_in):
        return None
    return Bounds(lower, upper, lower_in, upper_in)


def next_integer(text: str) -> str:
    return str(int(text) + 1)


def ranged(element: Codec, following: Callable[[str], str] | None = None) -> tuple[Codec, Codec]:
    """The codecs of ranges, and of multiranges, of what `element` is the codec of."""

    def to_text(data: bytes) -> str:
        return write(bounds_of(data, element.to_text))

    def to_binary(text: str) -> bytes:
        return _binary(read(text), element)

    def canonical(text: str) -> str:
        return write(_one_form(read(text), element, following))

    def many_to_text(data: bytes) -> str:
        return _multirange_text(data, to_text)

    def many_to_binary(text: str) -> bytes:
        ranges = [_binary(bounds, element) for bounds in _members(text)]
        sized = [_LENGTH.pack(len(data)) + data for data in ranges]
        return _LENGTH.pack(len(ranges)) + b"".join(sized)

    def many_canonical(text: str) -> str:
        ranges = [_one_form(bounds, element, following) for bounds in _members(text)]
        return f"{{{','.join([write(bounds) for bounds in ranges if bounds is not None])}}}"

    return codec(to_text, to_binary, canonical), codec(many_to_text, many_to_binary, many_canonical)


def _multirange_text(data: bytes, to_text: Callable[[bytes], str]) -> str:
    (count,) = _LENGTH.unpack_from(data)
    at = _LENGTH.size
    if not 0 <= count <= (len(data) - at) // (_LENGTH.size + 1):
        raise ValueError(f"{count} ranges are announced, {len(data) - at} bytes are here")
    shown = []
    total = 0
    for _ in range(count):
        (size,) = _LENGTH.unpack_from(data, at)
        shown.append(to_text(piece(data, at + _LENGTH.size, size)))
        at += _LENGTH.size + size
        total += len(shown[-1])
        if total > MAX_TEXT:
            raise ValueError(f"more than {MAX_TEXT} characters")
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes too many")
    return f"{{{','.join(shown)}}}"


def _members(text: str) -> list[Bounds]:
    """The ranges of a multirange; empty ones add nothing to it."""
    body = text.strip()
    if not (body.startswith("{") and body.endswith("}")):
        raise ValueError("no multirange")
    body = body[1:-1].strip()
    found = []
    at = 0
    while at < len(body):
        match = _RANGE.match(body, at)
        if match is None:
            raise ValueError("no multirange")
        found.append(_matched(match))
        at = match.end()
        if at < len(body):
            if body[at] != "," or at + 1 == len(body):
                raise ValueError("no multirange")
            at += 1
    return [bounds for bounds in found if bounds is not None]
