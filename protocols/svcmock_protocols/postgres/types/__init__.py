"""Values of PostgreSQL's types: from binary to text, from text to binary, and when two of them are equal.

Text is the server's own output with DateStyle ISO, IntervalStyle postgres, TimeZone UTC, and
extra_float_digits 1, the C locale's money. So a row is kept once, readable, and is sent in whatever format
a client asks for.

What has no codec is refused (`Unknown`), never guessed: types that a database made itself, `regclass` and its
like, whose names are in the server's catalog, and the binary form of anonymous records, whose text names
no types. `known` tells which types go both ways without loss.
"""

import struct
from collections.abc import Mapping

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres.types import (
    arrays,
    catalog,
    dates,
    floats,
    geometry,
    intervals,
    network,
    numbers,
    numeric,
    ranges,
    records,
    search,
    strings,
)
from svcmock_protocols.postgres.types.codec import Codec, Unknown

_BOX = 603
_RANGES = {
    # oid of the range: oid of the multirange, codec of the bounds, the value after another
    3904: (4451, numbers.INT4, ranges.next_integer),
    3926: (4536, numbers.INT8, ranges.next_integer),
    3906: (4532, numeric.NUMERIC, None),
    3908: (4533, dates.TIMESTAMP, None),
    3910: (4534, dates.TIMESTAMPTZ, None),
    3912: (4535, dates.DATE, dates.next_day),
}
_SCALARS: Mapping[int, Codec] = {
    16: numbers.BOOL,
    17: strings.BYTEA,
    18: strings.CHAR,
    19: strings.TEXT,
    20: numbers.INT8,
    21: numbers.INT2,
    22: arrays.vector(numbers.INT2, 21),
    23: numbers.INT4,
    25: strings.TEXT,
    26: numbers.OID,
    27: numbers.TID,
    28: numbers.OID,
    29: numbers.OID,
    30: arrays.vector(numbers.OID, 26),
    114: strings.JSON,
    142: strings.TEXT,
    194: strings.TEXT,
    600: geometry.POINT,
    601: geometry.LSEG,
    602: geometry.PATH,
    603: geometry.BOX,
    604: geometry.POLYGON,
    628: geometry.LINE,
    650: network.CIDR,
    700: floats.FLOAT4,
    701: floats.FLOAT8,
    705: strings.TEXT,
    718: geometry.CIRCLE,
    774: network.MACADDR8,
    790: numbers.MONEY,
    829: network.MACADDR,
    869: network.INET,
    1042: strings.BPCHAR,
    1043: strings.TEXT,
    1082: dates.DATE,
    1083: dates.TIME,
    1114: dates.TIMESTAMP,
    1184: dates.TIMESTAMPTZ,
    1186: intervals.INTERVAL,
    1266: dates.TIMETZ,
    1560: strings.BITS,
    1562: strings.BITS,
    1700: numeric.NUMERIC,
    1790: strings.TEXT,
    2275: strings.TEXT,
    2278: strings.VOID,
    2950: strings.UUID,
    2970: numbers.SNAPSHOT,
    3220: numbers.LSN,
    3614: search.TSVECTOR,
    3615: search.TSQUERY,
    3802: strings.JSONB,
    4072: strings.JSONPATH,
    5038: numbers.SNAPSHOT,
    5069: numbers.XID8,
}


def _all() -> dict[int, Codec]:
    found = dict(_SCALARS)
    for oid, (many, element, following) in _RANGES.items():
        found[oid], found[many] = ranges.ranged(element, following)
    for array, oid in catalog.ARRAYS.items():
        if oid in found:
            found[array] = arrays.array(found[oid], oid, ";" if oid == _BOX else ",")
    return found


_BOTH_WAYS = _all()
_RECORD, _RECORD_ARRAY = records.record_codecs(_BOTH_WAYS.get)
_CODECS = {**_BOTH_WAYS, records.RECORD: _RECORD, records.RECORD_ARRAY: _RECORD_ARRAY}

_UNFIT = (ValueError, struct.error, ArithmeticError, IndexError)
"""What a codec raises for something that is no value of its type."""
_SHOWN = 40


def known(oid: int) -> bool:
    """Whether values of this type are converted between text and binary in both directions, without loss."""
    return oid in _BOTH_WAYS


def name(oid: int) -> str | None:
    """The type's name in `pg_type`: `int4`, `_int4` for its array. None for a type that is not built in."""
    return catalog.name(oid)


def oid(name: str) -> int | None:
    """The type of this name, also one of SQL's (`integer`, `timestamp with time zone`) or an `int4[]`."""
    return catalog.oid(name)


def to_text(oid: int, data: bytes) -> str:
    """The text of a value that came in binary. Raises Unknown, or ProtocolError for bytes that are no value."""
    codec = _CODECS.get(oid)
    if codec is None:
        raise Unknown(oid)
    try:
        return codec.to_text(data)
    except _UNFIT as error:
        raise ProtocolError(f"{len(data)} bytes are no {name(oid)}: {error}") from error


def to_binary(oid: int, text: str) -> bytes:
    """The binary form of a value. Raises Unknown, or ProtocolError for a text that is no value of the type."""
    codec = _CODECS.get(oid)
    if codec is None:
        raise Unknown(oid)
    try:
        return codec.to_binary(text)
    except _UNFIT as error:
        shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
        raise ProtocolError(f"{shown!r} is no {name(oid)}: {error}") from error


def canonical(oid: int, text: str) -> str:
    """One text for all that PostgreSQL takes for equal; numbers are compared over all numeric types.

    A text that is no value of the type, or of a type without a codec, stands for itself.
    """
    codec = _CODECS.get(oid)
    if codec is None:
        return text
    try:
        return codec.canonical(text)
    except _UNFIT:
        return text
