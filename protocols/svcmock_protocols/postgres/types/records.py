"""Anonymous records: `SELECT ROW(1, 'a')`.

    int32 fields, then for each uint32 oid, int32 length (-1: null) and the bytes

The text form `(1,a)` names no types: it can be made of the binary one, but not the other way.
"""

import re
import struct
from collections.abc import Callable
from typing import Never, TypeAlias

from svcmock_protocols.postgres.types import arrays
from svcmock_protocols.postgres.types.codec import MAX_DEPTH, MAX_TEXT, Codec, ToText, Unknown, piece

RECORD, RECORD_ARRAY = 2249, 2287
_COUNT = struct.Struct(">i")
_FIELD = struct.Struct(">Ii")
_SPECIAL = re.compile(r'[\s"\\(),]', re.ASCII)

Find: TypeAlias = Callable[[int], Codec | None]


def record_codecs(find: Find) -> tuple[Codec, Codec]:
    """The codecs of records and of arrays of them. `find` gives the codec of a field by its type."""
    record, array = _readers(find, 0)
    return Codec(record, _one_way(RECORD), str), Codec(array, _one_way(RECORD_ARRAY), str)


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


def _quoted(text: str) -> str:
    if text and _SPECIAL.search(text) is None:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '""')
    return f'"{escaped}"'
