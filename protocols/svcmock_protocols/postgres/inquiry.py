"""Questions to a recorded server about what its messages mean: the types of parameters, and types themselves.

    a statement of which a client did not give all types ──▶ Parse, Describe, Close, Sync, under our own name
    types that the database made itself ──▶ the same with Bind and Execute, of a question to the catalog

A Query would end the statement and the portal without a name, which are the client's: pg8000 keeps them in use
from one Sync to the next.

Pure: what to send, and what comes of the answers. When they may be asked is said in `inquiring`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres import codec
from svcmock_protocols.postgres.types import arrays, catalog
from svcmock_protocols.postgres.types.declared import FIRST_OWN, Declared

_NAMED: Final = b"_svcmock\0"
"""The statement that is asked for, and its portal."""
MAX_STATEMENTS: Final = 20
"""That are described at one time: the client's next request waits for the answers."""
MAX_TYPES: Final = 500
"""Types in one query."""

_QUESTION: Final = """\
SELECT t.oid, n.nspname, t.typname, t.typtype, CASE WHEN t.typtype = 'd' THEN t.typbasetype
 WHEN t.typtype = 'r' THEN (SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid
 AND r.rngcanonical = 0) WHEN t.typcategory = 'A' THEN t.typelem END,
 (SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
 (SELECT pg_catalog.array_agg(a.atttypid ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
 FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.oid IN (%s)"""
_KINDS: Final[Mapping[str, Literal["enum", "domain", "composite"]]] = {
    "e": "enum",
    "d": "domain",
    "c": "composite",
}


def describing(sql: str, types: Sequence[int]) -> bytes:
    """What asks for the types of a statement's parameters."""
    return _batch(sql, types, (b"D", b"S" + _NAMED))


def looking_up(oids: Iterable[int]) -> bytes:
    """What asks the catalog for these types."""
    bind = _NAMED + _NAMED + b"\0\0" * 3
    return _batch(_QUESTION % ", ".join(map(str, oids)), (), (b"B", bind), (b"E", _NAMED + b"\0\0\0\0"))


def _batch(sql: str, types: Sequence[int], *asked: tuple[bytes, bytes]) -> bytes:
    """A statement is prepared, something is asked of it, and it is closed. Its portal ends with the Sync."""
    given = len(types).to_bytes(2) + b"".join([oid.to_bytes(4) for oid in types])
    frames = ((b"P", _NAMED + codec.text(sql) + given), *asked, (b"C", b"S" + _NAMED), (b"S", b""))
    return b"".join([codec.frame(kind, body) for kind, body in frames])


def own(oids: Iterable[int]) -> set[int]:
    """Those of types that a database made itself."""
    return {oid for oid in oids if oid >= FIRST_OWN}


def told(body: bytes) -> Declared | None:
    """The type of a row that answers `looking_up`; None for one that is not understood."""
    try:
        values = [None if value is None else value.decode() for value in codec.row(body)]
        oid, schema, name, kind, of, names, types = values
        if oid is None or schema is None or name is None or kind is None:
            return None
        return _declared(int(oid), schema, name, kind, int(of or 0), _fields(names, types))
    except (ProtocolError, ValueError):
        return None


def _fields(names: str | None, types: str | None) -> tuple[tuple[str, int | str], ...]:
    listed = zip(arrays.read(names or "{}", ",").items, arrays.read(types or "{}", ",").items, strict=True)
    return tuple([(name or "", _named(int(oid or 0))) for name, oid in listed])


def _declared(
    oid: int, schema: str, name: str, kind: str, of: int, fields: tuple[tuple[str, int | str], ...]
) -> Declared:
    known = _KINDS.get(kind)
    if known == "composite":
        return Declared(oid, name, known, schema, fields=fields)
    if known == "domain" or (of and kind in ("b", "r")):
        return Declared(oid, name, known or ("array" if kind == "b" else "range"), schema, _named(of))
    return Declared(oid, name, known or "extension", schema)


def _named(oid: int) -> int | str:
    """A type as a person would write it."""
    return catalog.name(oid) or oid
