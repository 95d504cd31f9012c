"""Arrays of any type, and the two vectors that are arrays with a text form of their own.

    int32 dimensions, int32 whether there are nulls, uint32 oid of the elements,
    per dimension int32 size and int32 lower bound, per element int32 length (-1: null) and the bytes

The text form is `{1,NULL,"a b"}`, with `[0:2]=` before it where a lower bound is not 1.
"""

import math
import re
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache

from msgspec import Struct

from svcmock_protocols.postgres.types.codec import MAX_TEXT, Codec, codec, piece

MAX_DIMENSIONS = 6
"""A limit of PostgreSQL's."""
_HEAD = struct.Struct(">iiI")
_LENGTH = struct.Struct(">i")
_NULL = _LENGTH.pack(-1)
_MAX_BOUND = 2**31

_SPACE = " \t\n\r\v\f"
_BOUNDS = re.compile(r"\[([+-]?[0-9]{1,11})(?::([+-]?[0-9]{1,11}))?+\]")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Shaped(Struct, frozen=True):
    """The elements in one row, and the sizes and lower bounds of the dimensions they stand in."""

    items: Sequence[str | None]
    sizes: Sequence[int]
    bounds: Sequence[int]


def array(element: Codec, oid: int, delimiter: str = ",", base: int = 0) -> Codec:
    """The codec of arrays of what `element` is the codec of. `base`: what else clients call its type."""

    def to_text(data: bytes) -> str:
        return write(read_binary(data, oid, element.to_text, base), delimiter)

    def to_binary(text: str) -> bytes:
        return _binary(read(text, delimiter), oid, element)

    def canonical(text: str) -> str:
        found = read(text, delimiter)
        items = [None if item is None else element.canonical(item) for item in found.items]
        return write(Shaped(items, found.sizes, found.bounds), delimiter)

    return codec(to_text, to_binary, canonical)


def vector(element: Codec, oid: int) -> Codec:
    """int2vector and oidvector: one dimension that begins at 0, written as numbers with blanks between."""

    def to_text(data: bytes) -> str:
        return " ".join(item or "" for item in read_binary(data, oid, element.to_text).items)

    def to_binary(text: str) -> bytes:
        items = text.split()
        return _binary(Shaped(items, (len(items),), (0,)), oid, element)

    return codec(to_text, to_binary)


def read_binary(data: bytes, oid: int, to_text: Callable[[bytes], str], base: int = 0) -> Shaped:
    """The elements as text. ValueError for bytes that are no array of this type."""
    dimensions, _, element_oid = _HEAD.unpack_from(data)
    if element_oid not in (oid, base or oid) or not 0 <= dimensions <= MAX_DIMENSIONS:
        raise ValueError(f"{dimensions} dimensions of type {element_oid}")
    shape = struct.unpack_from(f">{2 * dimensions}i", data, _HEAD.size)
    sizes, bounds = shape[::2], shape[1::2]
    at = _HEAD.size + 8 * dimensions
    count = math.prod(sizes) if dimensions else 0
    if any(size < 0 or low + size > _MAX_BOUND for size, low in zip(sizes, bounds, strict=True)):
        raise ValueError("a dimension of no size, or beyond the last index")
    if count > (len(data) - at) // _LENGTH.size:
        raise ValueError(f"{count} elements are announced, {len(data) - at} bytes are here")
    items: list[str | None] = []
    total = 0
    for _ in range(count):
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if size == -1:
            items.append(None)
            continue
        item = to_text(piece(data, at, size))
        items.append(item)
        at += size
        total += len(item)
        if total > MAX_TEXT:
            raise ValueError(f"more than {MAX_TEXT} characters")
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes too many")
    return Shaped(items, sizes, bounds)


def _binary(found: Shaped, oid: int, element: Codec) -> bytes:
    dimensions = len(found.sizes)
    shape = [number for pair in zip(found.sizes, found.bounds, strict=True) for number in pair]
    parts = [b"", struct.pack(f">{2 * dimensions}i", *shape)]
    for item in found.items:
        if item is None:
            parts.append(_NULL)
        else:
            data = element.to_binary(item)
            parts.append(_LENGTH.pack(len(data)))
            parts.append(data)
    parts[0] = _HEAD.pack(dimensions, None in found.items, oid)
    return b"".join(parts)


# --- the text form ------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _special(delimiter: str) -> re.Pattern[str]:
    return re.compile(rf'[\s"\\{{}}{delimiter}]', re.ASCII)


def write(found: Shaped, delimiter: str) -> str:
    """The array as `array_out` writes it."""
    if not found.items:
        return "{}"
    special = _special(delimiter).search
    shown = [_shown(item, special) for item in found.items]
    for size in reversed(found.sizes[1:]):
        shown = [f"{{{delimiter.join(shown[at : at + size])}}}" for at in range(0, len(shown), size)]
    bounds = ""
    if any(low != 1 for low in found.bounds):
        pairs = zip(found.bounds, found.sizes, strict=True)
        bounds = "".join([f"[{low}:{low + size - 1}]" for low, size in pairs]) + "="
    return f"{bounds}{{{delimiter.join(shown)}}}"


def _shown(item: str | None, special: Callable[[str], object]) -> str:
    if item is None:
        return "NULL"
    if item and special(item) is None and (len(item) != 4 or item.upper() != "NULL"):
        return item
    escaped = item.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@lru_cache(maxsize=8)
def _tokens(delimiter: str) -> re.Pattern[str]:
    """A bracket or delimiter, a quoted element, or a bare one, with the white space before it."""
    return re.compile(
        rf'[{_SPACE}]*+(?:([{{}}{delimiter}])|"((?:[^"\\]++|\\.)*+)"|((?:[^"\\{{}}{delimiter}]++|\\.)++))',
        re.DOTALL,
    )


def read(text: str, delimiter: str) -> Shaped:
    """What the text form says. ValueError for one that is no array."""
    body = text.strip(_SPACE)
    bounds: list[tuple[int, int]] = []
    if body.startswith("["):
        head, equals, body = body.partition("=")
        bounds = _declared(head.rstrip(_SPACE))
        body = body.lstrip(_SPACE)
        if not equals:
            raise ValueError("bounds without an array")
    if body[:1] == "{" and body[-1:] == "}" and not any(mark in body[1:-1] for mark in '"\\{}'):
        sizes, items = _read_flat(body[1:-1], delimiter)
    else:
        sizes, items = _read_nested(body, delimiter)
    if not items:
        return Shaped((), (), ())
    if bounds and [high - low + 1 for low, high in bounds] != sizes:
        raise ValueError("the bounds do not fit the elements")
    return Shaped(items, sizes, [low for low, _ in bounds] or [1] * len(sizes))


def _declared(head: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(head):
        match = _BOUNDS.match(head, at)
        if match is None or len(found) == MAX_DIMENSIONS:
            raise ValueError("no bounds of an array")
        low, high = match.groups()
        found.append((1, int(low)) if high is None else (int(low), int(high)))
        at = match.end()
    return found


def _bare(text: str) -> str | None:
    item = text.strip(_SPACE)
    if not item:
        raise ValueError("an element is missing")
    if len(item) == 4 and item.upper() == "NULL":
        return None
    return _ESCAPED.sub(r"\1", item) if "\\" in item else item


def _read_flat(body: str, delimiter: str) -> tuple[list[int], list[str | None]]:
    if not body.strip(_SPACE):
        return [], []
    items = [_bare(part) for part in body.split(delimiter)]
    return [len(items)], items


class _Nesting:
    """Counts what stands in each pair of brackets: all of one depth must hold equally many."""

    def __init__(self) -> None:
        self.depth = 0
        self.leaf = 0
        self.sizes: list[int] = []
        self._counts: list[int] = []

    def open(self) -> None:
        self.depth += 1
        if self.depth > MAX_DIMENSIONS or (self.leaf and self.depth > self.leaf):
            raise ValueError("brackets too deep")
        self._counts.append(0)

    def close(self) -> None:
        if not self.depth:
            raise ValueError("a bracket too many")
        count = self._counts.pop()
        while len(self.sizes) < self.depth:
            self.sizes.append(-1)
        if self.sizes[self.depth - 1] not in {-1, count}:
            raise ValueError("parts of different sizes")
        self.sizes[self.depth - 1] = count
        self.depth -= 1
        if self._counts:
            self._counts[-1] += 1

    def element(self) -> None:
        if not self.depth or (self.leaf and self.leaf != self.depth):
            raise ValueError("an element beside brackets")
        self.leaf = self.depth
        self._counts[-1] += 1


def _read_nested(body: str, delimiter: str) -> tuple[list[int], list[str | None]]:
    nesting = _Nesting()
    items: list[str | None] = []
    match = _tokens(delimiter).match
    at = 0
    before = ""
    while at < len(body):
        token = match(body, at)
        if token is None or (before and not nesting.depth):
            raise ValueError("no array")
        mark, quoted, bare = token.groups()
        # A value or an opening bracket follows an opening bracket or a delimiter; all else follows a value.
        due = before in {"", "{", delimiter}
        if mark is None or mark == "{":
            fits = due and bool(before or mark)
        else:
            fits = not due or (mark == "}" and before == "{")
        if not fits:
            raise ValueError("an element or a delimiter is missing")
        if mark == "{":
            nesting.open()
        elif mark == "}":
            nesting.close()
        elif mark is None:
            nesting.element()
            items.append(_bare(bare) if quoted is None else _ESCAPED.sub(r"\1", quoted))
        before = mark or "value"
        at = token.end()
    if nesting.depth or not before:
        raise ValueError("a bracket is missing")
    return nesting.sizes, items
