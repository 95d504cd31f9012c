"""What drivers ask the catalog of a single type, by its name or by its oid, in their own words.

SQLAlchemy has psycopg and psycopg2 ask whether there is `hstore`, and pgjdbc asks about each type that it does
not know by itself, once a connection. Types of the database itself are known if they are declared
(`types.declared`): by a name that nobody has declared there is none, and of an oid nothing is said.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from svcmock_protocols.postgres.messages import Column, Reply, Request, Result, Value
from svcmock_protocols.postgres.sql import normalise
from svcmock_protocols.postgres.types import Types, catalog
from svcmock_protocols.postgres.types.declared import Declared

MAX_LOOKUP: Final = 800
"""Characters of such a question, however it is laid out."""
MAX_DIGITS: Final = 10
"""Of an oid."""

_BOOL, _CHAR, _NAME, _TEXT, _OID = 16, 18, 19, 25, 26
_BOX: Final = 603
_RECORDS: Final = frozenset({2249, 2287})
_PSEUDO: Final = frozenset({705, 2275, 2278}) | _RECORDS
_SUBSCRIPTED: Final = {19: 18, 22: 21, 30: 26, 600: 701, 601: 600, 603: 600, 628: 701}
"""Types that are no arrays, and of which a part can be asked for like an element."""
_RANGES: Final = frozenset({3904, 3906, 3908, 3910, 3912, 3926})
_MULTIRANGES: Final = frozenset({4451, 4532, 4533, 4534, 4535, 4536})
KINDS: Final = {"enum": "e", "domain": "d", "composite": "c", "array": "b", "range": "r", "extension": "b"}
"""As `pg_type.typtype` has them."""

Row: TypeAlias = tuple[Value, ...]


class _Lookup(Struct, frozen=True):
    """A question. `takes`: the types of its parameters.

    `find`: the type that is meant, by the first one; `row`: what is said of it, if there is such a thing.
    """

    columns: tuple[Column, ...]
    takes: tuple[int, ...]
    find: Callable[[str, Types], Declared | None]
    row: Callable[[Declared, Types], Row | None]


def type_of(oid: int, known: Types) -> Declared | None:
    """What a type is, also one that every server has; None for one that is not known."""
    own, element, name = known.declared.get(oid), catalog.ARRAYS.get(oid, 0), catalog.name(oid)
    if own is not None or name is None:
        return own
    kind: Literal["array", "extension"] = "array" if element else "extension"
    return Declared(oid, name, kind, "pg_catalog", element)


def letter(one: Declared) -> str:
    """Its kind, as `pg_type.typtype` has it."""
    special = ((_PSEUDO, "p"), (_RANGES, "r"), (_MULTIRANGES, "m"))
    return next((kind for oids, kind in special if one.oid in oids), KINDS[one.kind])


def delimiter(oid: int) -> str:
    """What stands between values of a type in an array."""
    return ";" if oid == _BOX else ","


def _by_oid(text: str, known: Types) -> Declared | None:
    return type_of(int(text), known) if text.isdecimal() and len(text) <= MAX_DIGITS else None


def _by_name(name: str, known: Types) -> Declared | None:
    built_in = catalog.oid(name)
    if built_in is not None and catalog.name(built_in) == name:
        return type_of(built_in, known)
    plain = name.rpartition(".")[2]
    return next((one for one in known.declared.values() if one.name == plain), None)


def _array(one: Declared, known: Types) -> Declared | None:
    """The type of arrays of it."""
    for oid in (*known.declared, *catalog.ARRAYS):
        other = type_of(oid, known)
        if other is not None and other.kind == "array" and one.oid in other.made_of():
            return other
    return None


def _element(one: Declared, known: Types) -> Declared | None:
    of = _SUBSCRIPTED.get(one.oid) or (one.made_of()[0] if one.kind == "array" and one.made_of() else 0)
    return type_of(of, known)


def _array_oid(one: Declared, known: Types) -> str:
    array = _array(one, known)
    return "0" if array is None else str(array.oid)


def _info(one: Declared, known: Types) -> Row | None:
    if catalog.name(one.oid) is not None:
        return None  # how it is called there depends on the path
    return (one.name, str(one.oid), _array_oid(one, known), one.name, delimiter(one.oid))


def _array_of(one: Declared, known: Types) -> Row | None:
    array = _array(one, known)
    return None if array is None else (str(array.oid), array.name)


def _element_of(one: Declared, known: Types) -> Row | None:
    element = _element(one, known)
    return None if element is None else (str(element.oid), "t", one.schema, element.name)


def _delimiter_of(one: Declared, known: Types) -> Row | None:
    element = _element(one, known)
    return None if element is None else (delimiter(element.oid),)


def _columns(*named: tuple[str, int]) -> tuple[Column, ...]:
    return tuple([Column(name, oid) for name, oid in named])


_IN_PATH: Final = "?column?", _BOOL
_NAMED: Final = "typname", _NAME
_NUMBERED: Final = "oid", _OID
_SCHEMA: Final = "nspname", _NAME
_PARTS: Final = {
    "SCHEMAS": """LEFT JOIN (select ns.oid as nspoid, ns.nspname, r.r from pg_namespace as ns
        join ( select s.r, (current_schemas(false))[s.r] as nspname
        from generate_series(1, array_upper(current_schemas(false), 1)) as s(r) ) as r
        using ( nspname ) ) as sp ON sp.nspoid = typnamespace""",
    "JOINED": "FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid",
    "VISIBLE": "(n.nspname = $2 OR $3 AND n.nspname = ANY (current_schemas(true)))",
}


def _text(sql: str) -> str:
    """A question as it is looked up, with the parts that several have."""
    for name, part in _PARTS.items():
        sql = sql.replace(name, part)
    return normalise(sql)


_PSYCOPG: Final = {
    # TypeInfo.fetch
    """SELECT typname AS name, oid, typarray AS array_oid, oid::regtype::text AS regtype, typdelim AS delimiter
    FROM pg_type t WHERE t.oid = to_regtype($1) ORDER BY t.oid""": _Lookup(
        _columns(("name", _NAME), _NUMBERED, ("array_oid", _OID), ("regtype", _TEXT), ("delimiter", _CHAR)),
        (_TEXT,),
        _by_name,
        _info,
    ),
    # HstoreAdapter.get_oids of psycopg2
    """SELECT t.oid, typarray FROM pg_type t JOIN pg_namespace ns ON typnamespace = ns.oid
    WHERE typname = $1""": _Lookup(
        _columns(_NUMBERED, ("typarray", _OID)),
        (_NAME,),
        _by_name,
        lambda one, known: (str(one.oid), _array_oid(one, known)),
    ),
}
_PGJDBC: Final = {
    """SELECT pg_type.oid, typname FROM pg_catalog.pg_type SCHEMAS
    WHERE typname = $1 ORDER BY sp.r, pg_type.oid DESC LIMIT 1""": _Lookup(
        _columns(_NUMBERED, _NAMED), (_NAME,), _by_name, lambda one, _: (str(one.oid), one.name)
    ),
    """SELECT typinput='pg_catalog.array_in'::regproc as is_array, typtype, typname, pg_type.oid
    FROM pg_catalog.pg_type SCHEMAS WHERE pg_type.oid = $1 ORDER BY sp.r, pg_type.oid DESC""": _Lookup(
        _columns(("is_array", _BOOL), ("typtype", _CHAR), _NAMED, _NUMBERED),
        (_OID,),
        _by_oid,
        lambda one, _: ("t" if one.kind == "array" else "f", letter(one), one.name, str(one.oid)),
    ),
    """SELECT n.nspname = ANY(current_schemas(true)), n.nspname, t.typname
    JOINED WHERE t.oid = $1""": _Lookup(
        _columns(_IN_PATH, _SCHEMA, _NAMED), (_OID,), _by_oid, lambda one, _: ("t", one.schema, one.name)
    ),
    """SELECT e.typdelim FROM pg_catalog.pg_type t, pg_catalog.pg_type e
    WHERE t.oid = $1 and t.typelem = e.oid""": _Lookup(
        _columns(("typdelim", _CHAR)), (_OID,), _by_oid, _delimiter_of
    ),
    """SELECT e.oid, n.nspname = ANY(current_schemas(true)), n.nspname, e.typname
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_type e ON t.typelem = e.oid
    JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid WHERE t.oid = $1""": _Lookup(
        _columns(_NUMBERED, _IN_PATH, _SCHEMA, _NAMED), (_OID,), _by_oid, _element_of
    ),
    """SELECT t.typarray, arr.typname JOINED JOIN pg_catalog.pg_type arr ON arr.oid = t.typarray
    WHERE t.typname = $1 AND VISIBLE ORDER BY t.oid DESC LIMIT 1""": _Lookup(
        _columns(("typarray", _OID), _NAMED), (_NAME, _NAME, _BOOL), _by_name, _array_of
    ),
    """SELECT t.oid, t.typname JOINED WHERE t.typname = $1 AND VISIBLE
    ORDER BY t.oid DESC LIMIT 1""": _Lookup(
        _columns(_NUMBERED, _NAMED),
        (_NAME, _NAME, _BOOL),
        _by_name,
        lambda one, _: (str(one.oid), one.name),
    ),
}
"""Of its TypeInfoCache."""
LOOKUPS: Final = {_text(sql): lookup for sql, lookup in (_PSYCOPG | _PGJDBC).items()}
"""By their text, normalised."""
_LITERAL: Final = re.compile(r"'([^']*)'")
"""Where a driver has put the name into the statement."""


def described(sql: str) -> Reply | None:
    """What such a question takes and gives; None for any other statement."""
    found = _lookup(sql)
    if found is None:
        return None
    lookup, name = found
    return Reply((Result(lookup.columns),), types=lookup.takes if name is None else ())


def answer(request: Request, known: Types) -> Reply | None:
    """The answer to such a question; None for any other, and where it is not known."""
    found = _lookup(request.sql)
    if found is None:
        return None
    lookup, name = found
    if name is None:
        name = _first(request.params)
    one = lookup.find(name, known)
    if one is None and lookup.find is _by_oid:
        return None
    row = None if one is None else lookup.row(one, known)
    if one is not None and row is None and lookup.row is _info:
        return None
    rows = () if row is None else (row,)
    return Reply((Result(lookup.columns, rows, f"SELECT {len(rows)}"),))


def _first(params: Sequence[Value]) -> str:
    first = params[0] if params else None
    return first if isinstance(first, str) else ""


def _lookup(sql: str) -> tuple[_Lookup, str | None] | None:
    """Which question it is, and the name if that is a part of it."""
    if len(sql) > MAX_LOOKUP or "pg_type" not in sql:
        return None
    text = normalise(sql)
    lookup = LOOKUPS.get(text)
    if lookup is not None:
        return lookup, None
    named = _LITERAL.search(text)
    lookup = None if named is None else LOOKUPS.get(text[: named.start()] + "$1" + text[named.end() :])
    return None if lookup is None or named is None else (lookup, named[1])
