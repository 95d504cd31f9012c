"""What drivers ask the server's catalog when they meet a type, answered for the types that every server has.

asyncpg asks about each array type once a connection, in the words below, and turns JIT off meanwhile.
postgres.js asks which types have arrays before it sends anything else, and ends when that fails. What was
recorded with another driver has no answer to either. A recorded one wins; types of the database itself are not
known here, so asyncpg's question about those is a miss.
"""

from collections.abc import Iterator
from typing import Final

from svcmock_protocols.postgres import types
from svcmock_protocols.postgres.messages import Column, Reply, Request, Result, Value
from svcmock_protocols.postgres.sql import normalise
from svcmock_protocols.postgres.types.catalog import ARRAYS

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
    return None if fixed is None else Reply((Result(fixed.columns),), types=())


def answer(request: Request) -> Reply | None:
    """The answer to such a question, if it is one and the types are known."""
    fixed = _fixed(request.sql)
    if fixed is not None:
        return Reply((fixed,))
    if not _asks_for_types(request.sql):
        return None
    asked = request.params[0] if request.params else None
    if not isinstance(asked, str):
        return None
    named = asked.strip("{}").split(",", MAX_ASKED)
    if not all(one.isdecimal() and types.known(int(one)) for one in named):
        return None
    oids = [int(one) for one in named]
    rows = tuple(_rows(oids))
    return Reply((Result(_TREE_COLUMNS, rows, f"SELECT {len(rows)}"),))


def _fixed(sql: str) -> Result | None:
    return _FIXED.get(normalise(sql)) if len(sql) < MAX_FIXED else None


def _asks_for_types(sql: str) -> bool:
    return "typeinfo_tree" in sql[:100] and normalise(sql).startswith(_TREE)


def _rows(oids: list[int]) -> Iterator[tuple[Value, ...]]:
    """First what others are made of, as the question demands."""
    elements = dict.fromkeys(ARRAYS[oid] for oid in oids if oid in ARRAYS)
    for oid in elements:
        yield _row(oid, 1)
    for oid in oids:
        yield _row(oid, 0)


def _row(oid: int, depth: int) -> tuple[Value, ...]:
    element = ARRAYS.get(oid)
    delimiter = None if element is None else ";" if types.name(element) == "box" else ","
    name = None if element is None else types.name(element)
    shown = None if element is None else str(element)
    head = (str(oid), "pg_catalog", types.name(oid), "b", None, shown, delimiter)
    return (*head, None, None, None, str(depth), None, name, None)
