"""RESP2 and RESP3 on the wire: replies of a server to values and back (redis.io/docs/reference/protocol-spec).

`ReplyReader` takes bytes as they come and remembers where it is, so that a list of a million items costs the
same in one read and in thousands. `encode` says a value in the version that the client speaks. What RESP2 has
no words for becomes what a Redis server sends instead: a map a flat list, a double a bulk string, true 1.

Streamed strings and lists of RESP3 (`$?`, `*?`) are not read: no server sends them.
"""

import re
from typing import Any, Final

from msgspec import Struct

from svcmock.protocol import ProtocolError
from svcmock_protocols.redis.messages import (
    Array,
    Attributed,
    Big,
    Double,
    Error,
    Map,
    Nil,
    Simple,
    Value,
    Verbatim,
)

MAX_DEPTH: Final = 64
"""Lists in lists."""
SHOWN_MAX: Final = 40
"""Bytes of what is wrong that are shown."""
MAX_LINE: Final = 64 * 1024
"""Bytes of a simple string, an error, or a line that holds a number."""
MAX_ITEMS: Final = 8 * 1024 * 1024
"""Items of one reply, in all of its lists."""
MAX_REPLY: Final = 256 * 1024 * 1024
"""Bytes of one reply."""
INTEGER_MAX: Final = 2**63
"""No integer is as large."""
_TRIM: Final = 1 << 16

_INTEGER = re.compile(rb"[+-]?\d{1,19}")
_LENGTH = re.compile(rb"-?\d{1,10}")
_DOUBLE = re.compile(rb"[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|inf|nan)")
_BIG = re.compile(rb"[+-]?\d+")
_LISTS: Final = b"*~>%|"
_BULKS: Final = b"$=!"


class Malformed(ProtocolError):
    """What a server sent is no reply, or larger than is followed."""


class _Open(Struct):
    """A list of which items are missing. `mark`: its first byte, or `a` for what attributes are about."""

    mark: int
    missing: int
    items: list[Value]


class ReplyReader:
    """Cuts what a server sends into replies."""

    __slots__ = ("_at", "_buffer", "_bulk", "_items", "_most", "_open", "_scanned", "_seen")

    def __init__(self, most: int = MAX_REPLY) -> None:
        """`most`: bytes of one reply."""
        self._most = most
        self._buffer: bytes | bytearray = b""
        self._at = 0
        self._scanned = 0
        self._bulk: tuple[int, int] | None = None
        """First byte and length of a bulk of which the line has been read."""
        self._open: list[_Open] = []
        self._items = 0
        self._seen = 0
        """Bytes and items of the reply at hand."""

    @property
    def empty(self) -> bool:
        """Whether nothing of a reply is here."""
        return self._at >= len(self._buffer) and not self._open and self._bulk is None

    @property
    def unread(self) -> int:
        """Bytes of what came last that have not been looked at."""
        return len(self._buffer) - self._at

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        if self._at >= len(self._buffer):
            self._buffer, self._at, self._scanned = data, 0, 0
            return
        if isinstance(self._buffer, bytes) or self._at > _TRIM:
            self._buffer = bytearray(memoryview(self._buffer)[self._at :])
            self._scanned = max(0, self._scanned - self._at)
            self._at = 0
        self._buffer += data

    def next(self) -> Value | None:
        """The next whole reply; None until there is one. Raises Malformed."""
        while self._at < len(self._buffer):
            before = self._at
            found = self._bulk_value() if self._bulk is not None else self._line_value()
            self._seen += self._at - before
            waits = len(self._buffer) - self._at if found is None else 0
            if self._seen + waits > self._most + MAX_LINE:
                raise Malformed(f"a reply of more than {self._most} bytes")
            if found is None:
                return None
            value = self._place(found[0]) if found else None
            if value is not None:
                self._items = self._seen = 0
                return value
        return None

    def _line_value(self) -> tuple[()] | tuple[Value] | None:
        """The value that a line is; nothing in it where only a list or a bulk begins; None: more must come."""
        start = self._at
        end = self._buffer.find(b"\r\n", max(start, self._scanned))
        if (len(self._buffer) if end < 0 else end) - start > MAX_LINE:
            raise Malformed(f"a line of more than {MAX_LINE} bytes")
        if end < 0:
            self._scanned = max(start, len(self._buffer) - 1)
            return None
        mark, text = self._buffer[start], bytes(self._buffer[start + 1 : end])
        self._at = self._scanned = end + 2
        if mark in _BULKS:
            return self._begin_bulk(mark, text)
        if mark in _LISTS:
            return self._begin_list(mark, text)
        return (_scalar(mark, text),)

    def _begin_bulk(self, mark: int, text: bytes) -> tuple[()] | tuple[Value]:
        length = _length(text)
        if length == -1 and mark == 0x24:
            return (Nil("bulk"),)
        if length < 0 or length > self._most:
            raise Malformed(f"a bulk string of {length} bytes")
        self._bulk = (mark, length)
        return ()

    def _begin_list(self, mark: int, text: bytes) -> tuple[()] | tuple[Value]:
        length = _length(text)
        if length == -1 and mark == 0x2A:
            return (Nil("array"),)
        if length < 0:
            raise Malformed(f"a list of {length} items")
        length *= 2 if mark in b"%|" else 1
        self._items += length
        if self._items > MAX_ITEMS:
            raise Malformed(f"a reply of more than {MAX_ITEMS} items")
        if len(self._open) >= MAX_DEPTH:
            raise Malformed(f"lists in more than {MAX_DEPTH} lists")
        self._open.append(_Open(mark, length, []))
        if not length:
            return self._closed()
        return ()

    def _closed(self) -> tuple[()] | tuple[Value]:
        """The innermost list is whole: its value. Of attributes, what they are about must come yet."""
        done = self._open.pop()
        items = done.items
        if done.mark == 0x7C:  # |
            self._open.append(_Open(0x61, 1, [Map(_pairs(items))]))
            return ()
        return (_listed(done.mark, items),)

    def _bulk_value(self) -> tuple[Value] | None:
        assert self._bulk is not None
        mark, length = self._bulk
        end = self._at + length
        if end + 2 > len(self._buffer):
            return None
        if self._buffer[end : end + 2] != b"\r\n":
            raise Malformed(f"a bulk string of {length} bytes that does not end there")
        data = bytes(self._buffer[self._at : end])
        self._at = self._scanned = end + 2
        self._bulk = None
        return (_bulk(mark, data),)

    def _place(self, value: Value) -> Value | None:
        """Put a value where it belongs; gives the reply that is whole by it."""
        while self._open:
            inner = self._open[-1]
            inner.items.append(value)
            inner.missing -= 1
            if inner.missing:
                return None
            closed = self._closed()
            if not closed:
                return None
            value = closed[0]
        return value


def _shown(data: bytes) -> str:
    """What can stand in a line of a log."""
    return repr(data[:SHOWN_MAX])[1:] + ("..." if len(data) > SHOWN_MAX else "")


def _length(text: bytes) -> int:
    if _LENGTH.fullmatch(text) is None:
        raise Malformed(f"a length of {_shown(text)}")
    return int(text)


def _scalar(mark: int, text: bytes) -> Value:
    if b"\n" in text or b"\r" in text:
        raise Malformed("a line break in a line")
    match chr(mark):
        case "+":
            return Simple(text)
        case "-":
            return Error(text)
        case ":" if _INTEGER.fullmatch(text) and -INTEGER_MAX <= int(text) < INTEGER_MAX:
            return int(text)
        case "_" if not text:
            return Nil("null")
        case "," if _DOUBLE.fullmatch(text):
            return Double(text)
        case "#" if text in (b"t", b"f"):
            return text == b"t"
        case "(" if _BIG.fullmatch(text):
            return Big(text)
    raise Malformed(f"no reply is {_shown(bytes([mark]) + text)}")


def _bulk(mark: int, data: bytes) -> Value:
    if mark == 0x24:
        return data
    if mark == 0x21:
        return Error(data, bulk=True)
    if data[3:4] != b":":
        raise Malformed("verbatim text without its format")
    return Verbatim(data[:3], data[4:])


def _listed(mark: int, items: list[Value]) -> Value:
    match chr(mark):
        case "%":
            return Map(_pairs(items))
        case "~":
            return Array(tuple(items), "set")
        case ">":
            return Array(tuple(items), "push")
        case "a":
            about, value = items
            assert isinstance(about, Map)
            return Attributed(about.pairs, value)
    return Array(tuple(items))


def _pairs(items: list[Value]) -> tuple[tuple[Value, Value], ...]:
    return tuple(zip(items[::2], items[1::2], strict=True))


# --- encoding -------------------------------------------------------------------------------------------------


def encode(value: Value, version: int) -> bytes:
    """A value's bytes for a client that speaks RESP2 or RESP3."""
    out: list[bytes] = []
    (_three if version == 3 else _two)(value, out)
    return out[0] if len(out) == 1 else b"".join(out)


def _common(value: Value) -> bytes | None:
    """What is the same in both versions, and no list."""
    plain: Any = value
    kind = plain.__class__
    if kind is bytes:
        return b"$%d\r\n%b\r\n" % (len(plain), plain)
    if kind is int:
        return b":%d\r\n" % plain
    if isinstance(value, Simple):
        return b"+%b\r\n" % value.text
    if isinstance(value, Error) and not value.bulk:
        return b"-%b\r\n" % value.text
    return None


def _two(value: Value, out: list[bytes]) -> None:
    plain = _common(value)
    if plain is not None:
        out.append(plain)
        return
    match value:
        case bool():
            out.append(b":1\r\n" if value else b":0\r\n")
        case Nil(kind):
            out.append(b"*-1\r\n" if kind == "array" else b"$-1\r\n")
        case Double(text) | Big(text) | Verbatim(_, text):
            out.append(b"$%d\r\n%b\r\n" % (len(text), text))
        case Error(text):
            out.append(b"-%b\r\n" % text.replace(b"\r", b" ").replace(b"\n", b" "))
        case Attributed(_, inner):
            _two(inner, out)
        case Map(pairs):
            out.append(b"*%d\r\n" % (2 * len(pairs)))
            for pair in pairs:
                for item in pair:
                    _two(item, out)
        case Array(items):
            out.append(b"*%d\r\n" % len(items))
            for item in items:
                _two(item, out)


_MARKS: Final = {"array": b"*", "set": b"~", "push": b">"}


def _three(value: Value, out: list[bytes]) -> None:
    plain = _common(value)
    if plain is not None:
        out.append(plain)
        return
    match value:
        case bool():
            out.append(b"#t\r\n" if value else b"#f\r\n")
        case Nil():
            out.append(b"_\r\n")
        case Double(text):
            out.append(b",%b\r\n" % text)
        case Big(text):
            out.append(b"(%b\r\n" % text)
        case Verbatim(form, text):
            out.append(b"=%d\r\n%b:%b\r\n" % (len(text) + 4, form, text))
        case Error(text):
            out.append(b"!%d\r\n%b\r\n" % (len(text), text))
        case Attributed(attributes, inner):
            out.append(b"|%d\r\n" % len(attributes))
            _three_pairs(attributes, out)
            _three(inner, out)
        case Map(pairs):
            out.append(b"%%%d\r\n" % len(pairs))
            _three_pairs(pairs, out)
        case Array(items, kind):
            out.append(b"%b%d\r\n" % (_MARKS[kind], len(items)))
            for item in items:
                _three(item, out)


def _three_pairs(pairs: tuple[tuple[Value, Value], ...], out: list[bytes]) -> None:
    for pair in pairs:
        for item in pair:
            _three(item, out)


def is_plain(value: Value) -> bool:
    """Whether a value is said in the same bytes in both versions."""
    if isinstance(value, Array):
        return value.kind == "array" and all(map(is_plain, value.items))
    return (
        isinstance(value, bytes | Simple)
        or value.__class__ is int
        or (isinstance(value, Error) and not value.bulk)
    )


def scalar(mark: int, text: bytes) -> Value | None:
    """The value that a line begins with `mark` and holds `text` stands for; None for none."""
    try:
        return _scalar(mark, text)
    except Malformed:
        return None
