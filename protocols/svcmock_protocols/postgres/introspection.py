"""What drivers ask the server's catalog when they meet a type, answered for the types that are known.

asyncpg asks about each array type once a connection, in the words below, and turns JIT off meanwhile.
postgres.js asks which types have arrays before it sends anything else, and ends when that fails. Others ask for
one type at a time (`lookups`). What was recorded with another driver has no answer to any of that. A recorded
one wins. Types of the database itself are known if they are declared (`types.declared`); else asyncpg's
question about them is a miss.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from svcmock_protocols.postgres import lookups
from svcmock_protocols.postgres.messages import Column, Reply, Request, Result, Value
from svcmock_protocols.postgres.sql import normalise
from svcmock_protocols.postgres.types import BUILT_IN, Types
from svcmock_protocols.postgres.types.arrays import Shaped, write
from svcmock_protocols.postgres.types.catalog import ARRAYS
from svcmock_protocols.postgres.types.declared import MAX_NESTED, Declared

MAX_ASKED: Final = 1000
"""Types that are asked about at once."""

MAX_FIXED: Final = 600
"""Characters of a question that is always the same, however it is laid out."""

_OIDS: Final = 1028
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


def described(sql: str) -> Reply | None:
    """What such a question takes and gives; None for any other statement."""
    if _asks_for_types(sql):
        return Reply((Result(_TREE_COLUMNS),), types=(_OIDS,))
    fixed = _fixed(sql)
    return lookups.described(sql) if fixed is None else Reply((Result(fixed.columns),), types=())


def answer(request: Request, known: Types = BUILT_IN) -> Reply | None:
    """The answer to such a question, if it is one and the types are known."""
    fixed = _fixed(request.sql)
    if fixed is not None:
        return Reply((fixed,))
    if not _asks_for_types(request.sql):
        return lookups.answer(request, known)
    asked = request.params[0] if request.params else None
    if not isinstance(asked, str):
        return None
    named = asked.strip("{}").split(",", MAX_ASKED)
    oids = [int(one) for one in named if one.isdecimal() and len(one) <= lookups.MAX_DIGITS]
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


def _asks_for_types(sql: str) -> bool:
    return "typeinfo_tree" in sql[:100] and normalise(sql).startswith(_TREE)


def _rows(oids: Iterable[int], known: Types, done: set[int], depth: int = 0) -> Iterator[tuple[Value, ...]]:
    """First what others are made of, as the question demands."""
    for oid in oids:
        if oid not in done and depth <= MAX_NESTED:
            done.add(oid)
            one = lookups.type_of(oid, known)
            if one is not None:
                yield from _rows(one.made_of(), known, done, depth + 1)
                yield _row(one, depth, known)


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
    delimiter = None if element is None else lookups.delimiter(element)
    kind = lookups.KINDS[one.kind]
    made = (_shown(base), _shown(element), delimiter, _shown(bounds), *fields)
    named = [None if oid is None else known.name(oid) for oid in (base, element, bounds)]
    return (str(one.oid), one.schema, one.name, kind, *made, str(depth), *named)


def _shown(oid: int | None) -> str | None:
    return None if oid is None else str(oid)
