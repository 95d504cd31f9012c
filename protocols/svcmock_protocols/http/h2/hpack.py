"""Header blocks: bytes to fields and back (RFC 7541). Sans I/O.

Decides which bytes are a header block, and which list of fields is too large to be answered. It must never
hold more than its limits say, whatever a peer sends, nor lose the peer's table because of a list it refuses.

    first byte   1ddddddd  a field of the table                     static fields, then added ones, newest first
                 01dddddd  a literal, added to the table
                 001ddddd  a new size of the table                  at most two, before all fields
                 0000dddd  a literal
                 0001dddd  a literal that nobody is to index

Decoding is per connection and remembers: fields stand in the table as the pairs that are given out, and a
block that changed nothing gives the same tuple again for one look-up, until a block does change something.

Encoding is stateless: no table but the static one is used, so equal fields are equal bytes on any connection,
and replies can be made before they are asked for. It costs a few bytes of each reply; loopback has them.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

from svcmock.protocol import ProtocolError
from svcmock_protocols.http.credentials import HEADERS
from svcmock_protocols.http.h2 import huffman
from svcmock_protocols.http.h2.hpack_static import STATIC_TABLE

Fields: TypeAlias = tuple[tuple[bytes, bytes], ...]

DEFAULT_TABLE: Final = 4096
"""Bytes of a table about which nobody said anything (RFC 9113 section 6.5.2)."""
OVERHEAD: Final = 32
"""What a field counts beyond its name and value, in a table (section 4.1) and in a list (RFC 9113)."""
MAX_CONTINUED: Final = 5
"""Bytes of an integer after its first: 35 bits, as in hpack 4.2."""
_MEMO_BLOCKS: Final = 256
_MEMO_BYTES: Final = 2048
_MEMO_FIELDS: Final = 1024
_MEMO_FIELD: Final = 256
_MEMO_NAME: Final = 64
_MEMO_STRINGS: Final = 512
_MEMO_STRING: Final = 1024
_TABLE: Final = [(b"", b""), *STATIC_TABLE]
"""Index 0 is refused before it is looked up."""
_SIZES: Final = [len(name) + len(value) + OVERHEAD for name, value in _TABLE]
_FIRST_ADDED: Final = len(_TABLE)


class HpackError(ProtocolError):
    """Bytes that are no header block: a connection error COMPRESSION_ERROR, as the tables may differ now."""


class ListTooLarge(ProtocolError):
    """A well-formed block whose fields are too many or too large. The table is up to date all the same."""


# --- decoding -----------------------------------------------------------------------------------------

_remembered_string = lru_cache(maxsize=_MEMO_STRINGS)(huffman.decode)


class Decoder:
    """Reads the header blocks of one direction of one connection, in their order.

    `max_table` is the SETTINGS_HEADER_TABLE_SIZE that was announced; the table has 4096 bytes until the peer
    sets its size. After an HpackError the decoder is of no further use.
    """

    __slots__ = (
        "_capacity",
        "_max_fields",
        "_max_list",
        "_max_table",
        "_memo",
        "_overdue",
        "_size",
        "_sizes",
        "_table",
        "generation",
    )

    def __init__(self, max_table: int = 4096, max_list: int = 65536, max_fields: int = 200) -> None:
        self.generation = 0
        """Another number whenever the table has changed, in its content or its size."""
        self._max_table = max_table
        self._max_list = max_list
        self._max_fields = max_fields
        self._table = _TABLE.copy()
        self._sizes = _SIZES.copy()
        self._size = 0
        self._capacity = DEFAULT_TABLE
        self._overdue = False
        self._memo: dict[bytes, Fields] = {}

    def decode(self, block: bytes) -> Fields:
        """The fields of a whole header block. Raises HpackError, or ListTooLarge if nothing else is wrong."""
        known = self._memo.get(block)
        if known is not None:
            return known
        if self._overdue and not b"\x20" <= block[:1] < b"\x40":
            raise HpackError(f"no new size of the table, though it has more than {self._max_table} bytes")
        before = self.generation
        try:
            fields = self._read(block)
        except IndexError:
            raise HpackError("an index beyond the table, or a block that ends inside a field") from None
        if self.generation == before and len(block) <= _MEMO_BYTES:
            if len(self._memo) >= _MEMO_BLOCKS:
                self._memo.clear()
            self._memo[block] = fields
        return fields

    def acknowledged(self) -> None:
        """The peer has acknowledged `max_table`: a larger table's next block must begin with a new size.

        RFC 9113 section 4.3.1. Where this is never called, a peer may go on with a table of 4096 bytes.
        """
        if self._capacity > self._max_table:
            self._overdue = True
            self._memo.clear()

    def _read(self, block: bytes) -> Fields:
        end = len(block)
        at = 0
        table, sizes, max_list = self._table, self._sizes, self._max_list
        fields: list[tuple[bytes, bytes]] = []
        size = 0
        while at < end:
            first = block[at]
            at += 1
            if first > 0x80:
                index = first & 0x7F
                if index == 0x7F:
                    index, at = _continued(block, at, index)
                fields.append(table[index])
                size += sizes[index]
            elif first == 0x80:
                raise HpackError("index 0")
            elif 0x20 <= first < 0x40:
                if at > 1:
                    raise HpackError("a new size of the table after a field, or a third")
                at = self._resized(block)
            else:
                mask = 0x3F if first >= 0x40 else 0x0F
                index = first & mask
                if index == mask:
                    index, at = _continued(block, at, index)
                # What is added to the table is an index when it comes again. What is not comes again as it is.
                remembered = first < 0x40
                if index:
                    name = table[index][0]
                else:
                    name, at = _string(block, at, remembered)
                value, at = _string(block, at, remembered)
                field = (name, value)
                fields.append(field)
                counts = len(name) + len(value) + OVERHEAD
                size += counts
                if not remembered:
                    self._add(field, counts)
            if size > max_list:
                fields.clear()
        if size > max_list or len(fields) > self._max_fields:
            raise ListTooLarge(f"more than {self._max_fields} fields, or fields of more than {max_list} bytes")
        return tuple(fields)

    def _add(self, field: tuple[bytes, bytes], size: int) -> None:
        """Section 4.4. What is larger than the table pushes out all others and then itself."""
        self.generation += 1
        self._memo.clear()
        # This moves the fields added before: not many, as each counts 32 bytes or more of a table of 4096.
        self._table.insert(_FIRST_ADDED, field)
        self._sizes.insert(_FIRST_ADDED, size)
        self._size += size
        if self._size > self._capacity:
            self._evict()

    def _evict(self) -> None:
        while self._size > self._capacity:
            self._table.pop()
            self._size -= self._sizes.pop()

    def _resized(self, block: bytes) -> int:
        """Set the sizes of the table that a block begins with (section 4.2); where its fields begin."""
        self._overdue = False
        at = 0
        for _ in range(2):
            if at == len(block) or not 0x20 <= block[at] < 0x40:
                break
            capacity = block[at] & 0x1F
            at += 1
            if capacity == 0x1F:
                capacity, at = _continued(block, at, capacity)
            if capacity > self._max_table:
                raise HpackError(f"a table of {capacity} bytes, where {self._max_table} were announced")
            if capacity != self._capacity:
                self._capacity = capacity
                self.generation += 1
                self._memo.clear()
                self._evict()
        return at


def _continued(block: bytes, at: int, number: int) -> tuple[int, int]:
    """An integer whose prefix was all ones, `number`, and where it ends (section 5.1)."""
    for shift in range(0, 7 * MAX_CONTINUED, 7):
        byte = block[at]
        at += 1
        number += (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise HpackError("an integer of too many bytes")


def _string(block: bytes, at: int, remembered: bool) -> tuple[bytes, int]:
    """A string, and where it ends (section 5.2)."""
    first = block[at]
    at += 1
    length = first & 0x7F
    if length == 0x7F:
        length, at = _continued(block, at, length)
    end = at + length
    data = block[at:end]
    if len(data) < length:
        raise HpackError("a string that is longer than its block")
    if first < 0x80:
        return data, end
    string = _remembered_string(data) if remembered and length <= _MEMO_STRING else huffman.decode(data)
    if string is None:
        raise HpackError("a string whose Huffman code has EOS in it, or no proper end")
    return string, end


# --- encoding -----------------------------------------------------------------------------------------

_INDEX: Final = {field: bytes((0x80 | index,)) for index, field in enumerate(STATIC_TABLE, 1)}
_NAME_INDEX: Final = {name: index for index, (name, _) in reversed(list(enumerate(STATIC_TABLE, 1)))}


def encode(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The fields as a header block that leaves every table as it is.

    Credentials are marked as never to be indexed by whoever passes them on (section 7.1.3).
    """
    return b"".join(
        [
            _known_field(name, value) if len(name) + len(value) <= _MEMO_FIELD else _field(name, value)
            for name, value in fields
        ]
    )


def _field(name: bytes, value: bytes) -> bytes:
    indexed = _INDEX.get((name, value))
    if indexed is not None:
        return indexed
    return (_known_name(name) if len(name) <= _MEMO_NAME else _name(name)) + _text(value)


def _name(name: bytes) -> bytes:
    """A literal without its value."""
    index = _NAME_INDEX.get(name, 0)
    kind = 0x10 if name in HEADERS else 0
    return _number(index, kind, 0x0F) + (b"" if index else _text(name))


_known_field = lru_cache(maxsize=_MEMO_FIELDS)(_field)
_known_name = lru_cache(maxsize=_MEMO_FIELDS)(_name)


def _text(string: bytes) -> bytes:
    size = huffman.size(string)
    if size < len(string):
        return _number(size, 0x80, 0x7F) + huffman.encode(string)
    return _number(len(string), 0, 0x7F) + string


def _number(number: int, first: int, mask: int) -> bytes:
    if number < mask:
        return bytes((first | number,))
    number -= mask
    found = bytearray((first | mask,))
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
