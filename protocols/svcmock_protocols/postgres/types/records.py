"""Records: anonymous ones, `SELECT ROW(1, 'a')`, and those of composite types.

    int32 fields, then for each uint32 oid, int32 length (-1: null) and the bytes

The text form `(1,a)` names no types. It can be made of the binary one; the other way only where a composite
type says what its fields are.
"""

import re
import struct
from collections.abc import Callable, Sequence
from typing import Never, TypeAlias

from svcmock_protocols.postgres.types import arrays
from svcmock_protocols.postgres.types.codec import MAX_DEPTH, MAX_TEXT, Codec, ToText, Unknown, codec, piece

RECORD, RECORD_ARRAY = 2249, 2287
_COUNT = struct.Struct(">i")
_FIELD = struct.Struct(">Ii")
_SPECIAL = re.compile(r'[\s"\\(),]', re.ASCII)
_FIELD_TEXT = re.compile(r'((?:"(?:[^"\\]++|\\.|"")*+"|[^"\\,()]++|\\.)*+)([,)])', re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]++|\\.|"")*+)"|\\(.)', re.DOTALL)
_INSIDE = re.compile(r'\\(.)|""', re.DOTALL)

Find: TypeAlias = Callable[[int], Codec | None]


def record_codecs(find: Find) -> tuple[Codec, Codec]:
    """The codecs of records and of arrays of them. `find` gives the codec of a field by its type."""
    record, array = _readers(find, 0)
    return Codec(record, _one_way(RECORD), str), Codec(array, _one_way(RECORD_ARRAY), str)


def composite(fields: Sequence[tuple[int, Codec]], find: Find) -> Codec:
    """The codec of a composite type with fields of these types."""
    record, _ = _readers(find, 0)

    def to_binary(text: str) -> bytes:
        return _to_binary(_split(text) if fields else [], fields)

    return codec(record, to_binary)


def _one_way(oid: int) -> Callable[[str], Never]:
    def to_binary(_: str) -> Never:
        raise Unknown(oid)

    return to_binary


def _readers(find: Find, depth: int) -> tuple[ToText, ToText]:
    def record(data: bytes) -> str:
        return _to_text(data, find, depth)

    def array(data: bytes) -> str:
        return arrays.write(arrays.read_binary(data, RECORD, record), ",")

    return record, array


def _to_text(data: bytes, find: Find, depth: int) -> str:
    if depth > MAX_DEPTH:
        raise ValueError(f"records inside records, deeper than {MAX_DEPTH}")
    (count,) = _COUNT.unpack_from(data)
    at = _COUNT.size
    if not 0 <= count <= (len(data) - at) // _FIELD.size:
        raise ValueError(f"{count} fields are announced, {len(data) - at} bytes are here")
    shown = []
    total = 0
    for _ in range(count):
        oid, size = _FIELD.unpack_from(data, at)
        at += _FIELD.size
        if size == -1:
            shown.append("")
            continue
        text = _field(oid, piece(data, at, size), find, depth)
        at += size
        shown.append(_quoted(text))
        total += len(text)
        if total > MAX_TEXT:
            raise ValueError(f"more than {MAX_TEXT} characters")
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes too many")
    return f"({','.join(shown)})"


def _field(oid: int, data: bytes, find: Find, depth: int) -> str:
    if oid in {RECORD, RECORD_ARRAY}:
        record, array = _readers(find, depth + 1)
        return record(data) if oid == RECORD else array(data)
    found = find(oid)
    if found is None:
        raise Unknown(oid)
    return found.to_text(data)


def _split(text: str) -> list[str | None]:
    """The fields of a record's text; one of which nothing is written is null."""
    body = text.strip()
    if not body.startswith("("):
        raise ValueError("a bracket is missing")
    fields: list[str | None] = []
    at, end = 1, ","
    while end == ",":
        found = _FIELD_TEXT.match(body, at)
        if found is None:
            raise ValueError("a record without an end")
        written, end = found.groups()
        fields.append(_QUOTED.sub(_plain, written) if written else None)
        at = found.end()
    if at != len(body):
        raise ValueError(f"{len(body) - at} characters too many")
    return fields


def _plain(part: re.Match[str]) -> str:
    """What a quoted part, or an escaped character, stands for."""
    return str(part[2]) if part[1] is None else _INSIDE.sub(lambda mark: mark[1] or '"', part[1])


def _to_binary(values: list[str | None], fields: Sequence[tuple[int, Codec]]) -> bytes:
    parts = [_COUNT.pack(len(fields))]
    for value, (oid, of) in zip(values, fields, strict=True):
        data = None if value is None else of.to_binary(value)
        parts.append(_FIELD.pack(oid, -1 if data is None else len(data)) + (data or b""))
    return b"".join(parts)


def _quoted(text: str) -> str:
    if text and _SPECIAL.search(text) is None:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '""')
    return f'"{escaped}"'
