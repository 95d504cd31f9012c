"""Values of PostgreSQL's types: from binary to text, from text to binary, and when two of them are equal.

Text is the server's own output with DateStyle ISO, IntervalStyle postgres, TimeZone UTC, and
extra_float_digits 1, the C locale's money. So a row is kept once, readable, and is sent in whatever format
a client asks for.

What has no codec is refused (`Unknown`), never guessed: types that a database made itself and nobody has
declared, `regclass` and its like, whose names are in the server's catalog, and the binary form of anonymous
records, whose text names no types. `known` tells which types go both ways without loss.
"""

import struct
from collections.abc import Iterable, Mapping

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
from svcmock_protocols.postgres.types.declared import FIRST_OWN, Declared, codecs

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

_UNFIT = (ValueError, struct.error, ArithmeticError, IndexError)
"""What a codec raises for something that is no value of its type."""
_SHOWN = 40


class Types:
    """The types that every server has, and those that a database made itself, as far as they are `declared`."""

    def __init__(self, declared: Iterable[Declared] = ()) -> None:
        self.declared: Mapping[int, Declared] = {one.oid: one for one in declared if one.oid >= FIRST_OWN}
        own = codecs(self.declared, _BOTH_WAYS)
        self._both_ways = {**_BOTH_WAYS, **own}
        record, array = records.record_codecs(self._both_ways.get)
        self._codecs = {**self._both_ways, records.RECORD: record, records.RECORD_ARRAY: array}

    def known(self, oid: int) -> bool:
        """Whether values of this type are converted from text to binary and back, without loss."""
        return oid in self._both_ways

    def name(self, oid: int) -> str | None:
        """The type's name in `pg_type`: `int4`, `_int4` for its array. None for a type that is not known."""
        own = self.declared.get(oid)
        return catalog.name(oid) if own is None else own.name

    def to_text(self, oid: int, data: bytes) -> str:
        """The text of a value that came in binary. Raises Unknown; ProtocolError for what is no value."""
        codec = self._codecs.get(oid)
        if codec is None:
            raise Unknown(oid)
        try:
            return codec.to_text(data)
        except _UNFIT as error:
            raise ProtocolError(f"{len(data)} bytes are no {self.name(oid)}: {error}") from error

    def to_binary(self, oid: int, text: str) -> bytes:
        """The binary form of a value. Raises Unknown; ProtocolError for a text that is no value of the type."""
        codec = self._codecs.get(oid)
        if codec is None:
            raise Unknown(oid)
        try:
            return codec.to_binary(text)
        except _UNFIT as error:
            shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
            raise ProtocolError(f"{shown!r} is no {self.name(oid)}: {error}") from error

    def canonical(self, oid: int, text: str) -> str:
        """One text for all that PostgreSQL takes for equal; numbers are compared over all numeric types.

        A text that is no value of the type, or of a type without a codec, stands for itself.
        """
        codec = self._codecs.get(oid)
        if codec is None:
            return text
        try:
            return codec.canonical(text)
        except (*_UNFIT, ProtocolError):
            return text


def oid(name: str) -> int | None:
    """The type of this name, also one of SQL's (`integer`, `timestamp with time zone`) or an `int4[]`."""
    return catalog.oid(name)


BUILT_IN = Types()
"""Where nothing is declared."""
known, name = BUILT_IN.known, BUILT_IN.name
to_text, to_binary, canonical = BUILT_IN.to_text, BUILT_IN.to_binary, BUILT_IN.canonical
