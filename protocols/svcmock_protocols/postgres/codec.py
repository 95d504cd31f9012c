"""Messages on the wire, protocol 3.0 and 3.2: bytes to frames, frames to values, and back. Sans I/O.

At first `int32 length, int32 code` without a type; afterwards `byte type, int32 length` (which counts itself).
Types mean different things in the two directions. Every length is checked before anything is made of it.
"""

from collections.abc import Iterable, Sequence
from struct import Struct as Layout
from struct import error as LayoutError  # noqa: N812  it is what struct calls its exception
from typing import Final

from msgspec import Struct

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres.messages import Column, Said

MAX_STARTUP: Final = 10_000
"""Bytes of a message before the startup is over: the server's own limit."""
MAX_PARAMETERS: Final = 65_535
"""Parameters of a statement: they are counted in 16 bits."""
SSL_REQUEST: Final = 80877103
GSSENC_REQUEST: Final = 80877104
CANCEL_REQUEST: Final = 80877102
PROTOCOL_MINORS: Final = (0, 2)
"""Of version 3: what is spoken here."""

_TRIM: Final = 1 << 18
"""Bytes dealt with that a buffer may carry along."""
_INT16, _INT32 = Layout("!h"), Layout("!i")
_NULL: Final = b"\xff\xff\xff\xff"
_COLUMN = Layout("!IhIhih")
_SIZES: Final = {
    16: 1, 18: 1, 19: 64, 20: 8, 21: 2, 23: 4, 24: 4, 26: 4, 27: 6, 28: 4, 29: 4, 600: 16, 601: 32, 603: 32,
    628: 24, 700: 4, 701: 8, 718: 24, 774: 8, 790: 8, 829: 6, 1082: 4, 1083: 8, 1114: 8, 1184: 8, 1186: 16,
    1266: 12, 2202: 4, 2203: 4, 2204: 4, 2205: 4, 2206: 4, 2278: 4, 2950: 16, 3220: 8, 3734: 4, 3769: 4,
    4089: 4, 4096: 4, 4191: 4, 5069: 8,
}  # fmt: skip
"""pg_type.typlen of the types that have a fixed one; -1 for all others."""


class Frames:
    """What one side has sent, cut into messages. `limit`: bytes of one."""

    __slots__ = ("_at", "_buffer", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._at = 0

    @property
    def held(self) -> int:
        """Bytes that have come and are no message yet, or are not looked at."""
        return len(self._buffer) - self._at

    def add(self, data: bytes) -> None:
        self._buffer += data

    def rest(self) -> bytes:
        """All that is left; it is taken out."""
        left = bytes(self._buffer[self._at :])
        self._buffer.clear()
        self._at = 0
        return left

    def next(self) -> tuple[bytes, bytes] | None:
        """The type and the body of the next message, None while it is not whole. Raises ProtocolError."""
        at, buffer = self._at, self._buffer
        if len(buffer) - at < 5:
            return None
        size = int.from_bytes(buffer[at + 1 : at + 5])
        kind = bytes(buffer[at : at + 1])
        if not 4 <= size <= self.limit + 4:
            most, shown = self.limit + 4, kind.decode("latin-1")
            raise ProtocolError(f"invalid message length: {size} of type {shown!r}, where 4 to {most} can be")
        end = at + 1 + size
        if len(buffer) < end:
            return None
        body = bytes(buffer[at + 5 : end])
        self._moved(end)
        return kind, body

    def startup(self) -> tuple[int, bytes] | None:
        """The code and the rest of a message before the startup is over. Raises ProtocolError."""
        at, buffer = self._at, self._buffer
        if len(buffer) - at < 4:
            return None
        size = int.from_bytes(buffer[at : at + 4])
        if not 8 <= size <= MAX_STARTUP:
            raise ProtocolError(f"invalid length of startup packet: {size}, where 8 to {MAX_STARTUP} can be")
        end = at + size
        if len(buffer) < end:
            return None
        code, body = int.from_bytes(buffer[at + 4 : at + 8]), bytes(buffer[at + 8 : end])
        self._moved(end)
        return code, body

    def _moved(self, end: int) -> None:
        if end == len(self._buffer):
            self._buffer.clear()
            self._at = 0
        elif end > _TRIM:
            del self._buffer[:end]
            self._at = 0
        else:
            self._at = end


class Reader:
    """Takes a body apart. Raises ProtocolError where it ends too soon."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def int16(self) -> int:
        return int(self._unpack(_INT16)[0])

    def int32(self) -> int:
        return int(self._unpack(_INT32)[0])

    def count(self) -> int:
        """How many things follow, unsigned."""
        return self.int16() & 0xFFFF

    def oid(self) -> int:
        return self.int32() & 0xFFFFFFFF

    def byte(self) -> bytes:
        return self.take(1)

    def take(self, size: int) -> bytes:
        end = self._at + size
        if size < 0 or end > len(self._data):
            raise ProtocolError("a message ends too soon")
        self._at, taken = end, self._data[self._at : end]
        return taken

    def text(self) -> str:
        """What stands before the next NUL byte. Bytes that are no UTF-8 are shown escaped."""
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise ProtocolError("a text in a message does not end")
        self._at, taken = end + 1, self._data[self._at : end]
        return taken.decode("utf-8", "backslashreplace")

    def value(self) -> bytes | None:
        """`int32 length` and so many bytes; -1 is NULL."""
        size = self.int32()
        return None if size == -1 else self.take(size)

    def rest(self) -> bytes:
        return self._data[self._at :]

    def column(self) -> tuple[Column, bool]:
        """A column, and whether its values are binary."""
        name = self.text()
        table, attribute, oid, size, modifier, form = self._unpack(_COLUMN)
        known = size_of(oid)
        return Column(name, oid, modifier, None if size == known else size, table, attribute), form == 1

    def _unpack(self, layout: Layout) -> tuple[int, ...]:
        try:
            taken: tuple[int, ...] = layout.unpack_from(self._data, self._at)
        except LayoutError:
            raise ProtocolError("a message ends too soon") from None
        self._at += layout.size
        return taken


# --- what clients send --------------------------------------------------------------------------------


class Bind(Struct, frozen=True):
    """A Bind message. `formats` and `wanted` hold none, one for all or one for each: True is binary."""

    portal: str
    statement: str
    formats: tuple[bool, ...]
    values: tuple[bytes | None, ...]
    wanted: tuple[bool, ...]


def startup_parameters(body: bytes) -> dict[str, str]:
    """The pairs of a StartupMessage. Raises ProtocolError."""
    reader, found = Reader(body), {}
    while (name := reader.text()) != "":
        found[name] = reader.text()
    return found


def parse(body: bytes) -> tuple[str, str, tuple[int, ...]]:
    """Name, SQL and the oids that are given. Raises ProtocolError."""
    reader = Reader(body)
    name, sql, count = reader.text(), reader.text(), reader.count()
    return name, sql, tuple([reader.oid() for _ in range(count)])


def bind(body: bytes) -> Bind:
    """Raises ProtocolError."""
    reader = Reader(body)
    portal, statement = reader.text(), reader.text()
    formats = _formats(reader)
    values = tuple([reader.value() for _ in range(reader.count())])
    if len(formats) not in (0, 1, len(values)):
        raise ProtocolError(f"bind message has {len(formats)} parameter formats but {len(values)} parameters")
    return Bind(portal, statement, formats, values, _formats(reader))


def _formats(reader: Reader) -> tuple[bool, ...]:
    found = [reader.int16() for _ in range(reader.count())]
    if any(form not in (0, 1) for form in found):
        raise ProtocolError(f"unsupported format code: {max(found)}")
    return tuple([form == 1 for form in found])


def form_of(formats: Sequence[bool], number: int) -> bool:
    """Whether the value with this number is binary."""
    if len(formats) <= 1:
        return bool(formats) and formats[0]
    return number < len(formats) and formats[number]


def target(body: bytes) -> tuple[bytes, str]:
    """Of Describe and Close: `S` or `P`, and a name. Raises ProtocolError."""
    reader = Reader(body)
    kind, name = reader.byte(), reader.text()
    if kind not in (b"S", b"P"):
        raise ProtocolError(f"there is no {kind!r} to describe or close")
    return kind, name


def execute(body: bytes) -> tuple[str, int]:
    """The portal's name and how many rows are wanted; 0 is all. Raises ProtocolError."""
    reader = Reader(body)
    return reader.text(), max(0, reader.int32())


# --- what servers send --------------------------------------------------------------------------------


def frame(kind: bytes, body: bytes = b"") -> bytes:
    """A message with its type."""
    return kind + _INT32.pack(len(body) + 4) + body


def untyped(code: int, body: bytes = b"") -> bytes:
    """A message of the startup."""
    return _INT32.pack(len(body) + 8) + code.to_bytes(4) + body


def text(value: str) -> bytes:
    """With its NUL byte. Reverses `Reader.text` as far as that is possible."""
    return value.replace("\0", "").encode("utf-8", "replace") + b"\0"


def size_of(oid: int) -> int:
    """pg_type.typlen."""
    return _SIZES.get(oid, -1)


def row_description(columns: Sequence[Column], formats: Sequence[bool] = ()) -> bytes:
    """Columns as `T`, with the formats in which their values will come."""
    parts = [_INT16.pack(len(columns))]
    for number, column in enumerate(columns):
        size = size_of(column.oid) if column.size is None else column.size
        form = form_of(formats, number)
        parts.append(text(column.name))
        parts.append(_COLUMN.pack(column.table, column.attribute, column.oid, size, column.modifier, int(form)))
    return frame(b"T", b"".join(parts))


def row_described(body: bytes) -> tuple[tuple[Column, ...], tuple[bool, ...]]:
    """The columns of a `T` and their formats. Raises ProtocolError."""
    reader = Reader(body)
    found = [reader.column() for _ in range(reader.count())]
    return tuple([column for column, _ in found]), tuple([binary for _, binary in found])


def parameter_description(types: Sequence[int]) -> bytes:
    """The oids of a statement's parameters as `t`."""
    return frame(b"t", len(types).to_bytes(2) + b"".join([oid.to_bytes(4) for oid in types]))


def parameters_described(body: bytes) -> tuple[int, ...]:
    """Raises ProtocolError."""
    reader = Reader(body)
    return tuple([reader.oid() for _ in range(reader.count())])


def data_row(values: Sequence[bytes | None]) -> bytes:
    """A row as `D`."""
    cells = [_NULL if value is None else _INT32.pack(len(value)) + value for value in values]
    return frame(b"D", _INT16.pack(len(values)) + b"".join(cells))


def row(body: bytes) -> tuple[bytes | None, ...]:
    """The values of a `D`. Raises ProtocolError."""
    reader = Reader(body)
    return tuple([reader.value() for _ in range(reader.count())])


def saying(kind: bytes, told: Said) -> bytes:
    """A failure (`E`) or a notice (`N`)."""
    fields = [letter.encode("ascii", "replace")[:1] + text(value) for letter, value in told.fields]
    return frame(kind, b"".join(fields) + b"\0")


def said_by(body: bytes) -> Said:
    """The fields of an `E` or `N`. Raises ProtocolError."""
    reader, fields = Reader(body), []
    while (letter := reader.byte()) != b"\0":
        fields.append((letter.decode("ascii", "replace"), reader.text()))
    return Said(tuple(fields))


def notified(body: bytes) -> tuple[int, str, str]:
    """Of an `A`: who it was, the channel and the payload. Raises ProtocolError."""
    reader = Reader(body)
    return reader.int32(), reader.text(), reader.text()


def complete(tag: str) -> bytes:
    """`C` with a tag; `I` for a statement that was empty."""
    return frame(b"C", text(tag)) if tag else frame(b"I")


def ready(status: str) -> bytes:
    """`Z`: I outside a transaction, T in one, E in one that has failed."""
    return frame(b"Z", status.encode("ascii", "replace")[:1])


def reported(name: str, value: str) -> bytes:
    """A ParameterStatus."""
    return frame(b"S", text(name) + text(value))


def copying(kind: bytes, width: int, *, binary: bool) -> bytes:
    """`G`: send it; `H`: here it comes."""
    form = int(binary)
    return frame(kind, bytes((form,)) + _INT16.pack(width) + form.to_bytes(2) * width)


def copy_announced(body: bytes) -> tuple[bool, int]:
    """Of a `G` or `H`: whether it is binary, and how many columns. Raises ProtocolError."""
    reader = Reader(body)
    return reader.byte() == b"\x01", reader.count()


def mechanisms(body: bytes) -> list[str]:
    """The SASL mechanisms that are offered. Raises ProtocolError."""
    reader, found = Reader(body), []
    while (name := reader.text()) != "":
        found.append(name)
    return found


def authentication(code: int, body: bytes = b"") -> bytes:
    """An `R` message."""
    return frame(b"R", _INT32.pack(code) + body)


def offered(names: Iterable[str]) -> bytes:
    """AuthenticationSASL with these mechanisms."""
    return authentication(10, b"".join(map(text, names)) + b"\0")


def notification(pid: int, channel: str, payload: str) -> bytes:
    """An `A` message."""
    return frame(b"A", _INT32.pack(pid) + text(channel) + text(payload))
