"""What drivers ask the server's catalog when they meet a type, answered for the types that are known.

asyncpg asks about each array type once a connection, in the words below, and turns JIT off meanwhile.
postgres.js asks which types have arrays before it sends anything else, and ends when that fails. SQLAlchemy has
psycopg and psycopg2 ask whether there is `hstore`. What was recorded with another driver has no answer to any
of that. A recorded one wins. Types of the database itself are known if they are declared (`types.declared`);
else asyncpg's question about them is a miss, and by their name there are none.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from svcmock_protocols.postgres.messages import Column, Reply, Request, Result, Value
from svcmock_protocols.postgres.sql import normalise
from svcmock_protocols.postgres.types import BUILT_IN, Types, catalog
from svcmock_protocols.postgres.types.arrays import Shaped, write
from svcmock_protocols.postgres.types.catalog import ARRAYS
from svcmock_protocols.postgres.types.declared import MAX_NESTED, Declared

MAX_ASKED: Final = 1000
"""Types that are asked about at once."""

MAX_FIXED: Final = 600
"""Characters of a question that is always the same, however it is laid out."""

MAX_DIGITS: Final = 10
"""Of an oid."""

_OIDS: Final = 1028
_BOX: Final = 603
_KINDS: Final = {"enum": "e", "domain": "d", "composite": "c", "array": "b", "range": "r", "extension": "b"}
"""As `pg_type.typtype` has them."""
_TREE: Final = "WITH RECURSIVE typeinfo_tree( oid, ns, name, kind, basetype, elemtype, elemdelim,"
_TREE_COLUMNS: Final = (
    Column("oid", 26),
    Column("ns", 19),
    Column("name", 19),
    Column("kind", 18),
    Column("basetype", 26),
    Column("elemtype", 26),
    Column("elemdelim", 18),
    Column("range_subtype", 26),
    Column("attrtypoids", _OIDS),
    Column("attrnames", 1009),
    Column("depth", 23),
    Column("basetype_name", 25),
    Column("elemtype_name", 25),
    Column("range_subtype_name", 25),
)
_FIXED: Final = {
    "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new": Result(
        (Column("cur", 25), Column("new", 25)), (("off", "off"),), "SELECT 1"
    ),
    "select b.oid, b.typarray from pg_catalog.pg_type a left join pg_catalog.pg_type b on b.oid = a.typelem"
    " where a.typcategory = 'A' group by b.oid, b.typarray order by b.oid": Result(
        (Column("oid", 26), Column("typarray", 26)),
        tuple((str(oid), str(array)) for oid, array in sorted((oid, array) for array, oid in ARRAYS.items())),
        f"SELECT {len(ARRAYS)}",
    ),
}
"""Questions without parameters, by their normalised text."""
_BY_NAME: Final = re.compile(
    r"SELECT typname AS name, oid, typarray AS array_oid, oid::regtype::text AS regtype, typdelim AS delimiter"
    r" FROM pg_type t WHERE t\.oid = to_regtype\((?:\$1|'([^']*)')\) ORDER BY t\.oid"
    r"|SELECT t\.oid, typarray FROM pg_type t JOIN pg_namespace ns ON typnamespace = ns\.oid"
    r" WHERE typname = '(hstore)'"
)
"""Questions for a type by its name: psycopg's `TypeInfo.fetch`, psycopg2's for `hstore`."""
_INFO: Final = (
    Column("name", 19),
    Column("oid", 26),
    Column("array_oid", 26),
    Column("regtype", 25),
    Column("delimiter", 18),
)
_ARRAYED: Final = (Column("oid", 26), Column("typarray", 26))


def described(sql: str) -> Reply | None:
    """What such a question takes and gives; None for any other statement."""
    if _asks_for_types(sql):
        return Reply((Result(_TREE_COLUMNS),), types=(_OIDS,))
    if by_name := _named(sql):
        return Reply((Result(_ARRAYED if by_name[2] else _INFO),), types=(25,) if "$1" in by_name[0] else ())
    fixed = _fixed(sql)
    return None if fixed is None else Reply((Result(fixed.columns),), types=())


def answer(request: Request, known: Types = BUILT_IN) -> Reply | None:
    """The answer to such a question, if it is one and the types are known."""
    fixed = _fixed(request.sql)
    if fixed is not None:
        return Reply((fixed,))
    if by_name := _named(request.sql):
        return _by_name(by_name, request, known)
    if not _asks_for_types(request.sql):
        return None
    asked = request.params[0] if request.params else None
    if not isinstance(asked, str):
        return None
    named = asked.strip("{}").split(",", MAX_ASKED)
    oids = [int(one) for one in named if one.isdecimal() and len(one) <= MAX_DIGITS]
    if (
        len(named) > MAX_ASKED
        or len(oids) < len(named)
        or not all(known.known(oid) or oid in known.declared for oid in oids)
    ):
        return None
    rows = tuple(_rows(oids, known, set()))
    return Reply((Result(_TREE_COLUMNS, rows, f"SELECT {len(rows)}"),))


def _fixed(sql: str) -> Result | None:
    return _FIXED.get(normalise(sql)) if len(sql) < MAX_FIXED else None


def _named(sql: str) -> re.Match[str] | None:
    """Whether a type is asked for by its name; which, or what holds its name."""
    return _BY_NAME.fullmatch(normalise(sql)) if len(sql) < MAX_FIXED and "pg_type t" in sql else None


def _by_name(asks: re.Match[str], request: Request, known: Types) -> Reply | None:
    name = asks[2] or asks[1]
    if name is None:
        given = request.params[0] if request.params else None
        name = given if isinstance(given, str) else ""
    if catalog.oid(name) is not None:  # of every server: how it is called there depends on the path
        return None
    own = next((one for one in known.declared.values() if one.name == name.rpartition(".")[2]), None)
    rows: tuple[tuple[Value, ...], ...] = ()
    if own is not None:
        arrays = [
            one.oid for one in known.declared.values() if one.kind == "array" and own.oid in one.made_of()
        ]
        told = (str(own.oid), str(arrays[0] if arrays else 0))
        rows = (told if asks[2] else (own.name, *told, own.name, ","),)
    return Reply((Result(_ARRAYED if asks[2] else _INFO, rows, f"SELECT {len(rows)}"),))


def _asks_for_types(sql: str) -> bool:
    return "typeinfo_tree" in sql[:100] and normalise(sql).startswith(_TREE)


def _rows(oids: Iterable[int], known: Types, done: set[int], depth: int = 0) -> Iterator[tuple[Value, ...]]:
    """First what others are made of, as the question demands."""
    for oid in oids:
        if oid not in done and depth <= MAX_NESTED:
            done.add(oid)
            one = _type(oid, known)
            yield from _rows(one.made_of(), known, done, depth + 1)
            yield _row(one, depth, known)


def _type(oid: int, known: Types) -> Declared:
    """What a type is, also one that every server has."""
    own, element = known.declared.get(oid), ARRAYS.get(oid, 0)
    if own is not None:
        return own
    kind: Literal["array", "extension"] = "array" if element else "extension"
    return Declared(oid, known.name(oid) or "", kind, "pg_catalog", element)


def _row(one: Declared, depth: int, known: Types) -> tuple[Value, ...]:
    made_of = one.made_of()
    fields: tuple[str | None, str | None] = (None, None)
    of: dict[str, int] = {}
    if one.kind == "composite":
        names = Shaped([name for name, _ in one.fields], (len(made_of),), (1,))
        fields = (f"{{{','.join(map(str, made_of))}}}", write(names, ","))
    elif made_of:
        of[one.kind] = made_of[0]
    base, element, bounds = (of.get(kind) for kind in ("domain", "array", "range"))
    delimiter = None if element is None else ";" if element == _BOX else ","
    kind = _KINDS[one.kind]
    made = (_shown(base), _shown(element), delimiter, _shown(bounds), *fields)
    named = [None if oid is None else known.name(oid) for oid in (base, element, bounds)]
    return (str(one.oid), one.schema, one.name, kind, *made, str(depth), *named)


def _shown(oid: int | None) -> str | None:
    return None if oid is None else str(oid)
