"""What psycopg, psycopg2 and pgjdbc ask about a type, by its name or its oid."""

import pytest

from svcmock_protocols.postgres.lookups import answer, described
from svcmock_protocols.postgres.messages import Request
from svcmock_protocols.postgres.types import BUILT_IN
from tests.protocols.postgres.test_introspection import KNOWN

INFO = (
    "SELECT\n typname AS name, oid, typarray AS array_oid,\n oid::regtype::text AS regtype,"
    " typdelim AS delimiter\nFROM pg_type t\nWHERE t.oid = to_regtype({})\nORDER BY t.oid\n"
)
HSTORE = (
    "SELECT t.oid, typarray\nFROM pg_type t JOIN pg_namespace ns\n    ON typnamespace = ns.oid\n"
    "WHERE typname = 'hstore';\n"
)


@pytest.mark.parametrize(
    ("sql", "params", "known", "rows"),
    [
        (INFO.format("$1"), ("hstore",), BUILT_IN, ()),
        (INFO.format("'hstore'"), (), BUILT_IN, ()),
        (HSTORE, (), BUILT_IN, ()),
        (HSTORE, (), KNOWN, (("16404", "0"),)),
        (INFO.format("$1"), ("mood",), KNOWN, (("mood", "16400", "16401", "mood", ","),)),
        (INFO.format("'shop.mood'"), (), KNOWN, (("mood", "16400", "16401", "mood", ","),)),
        (INFO.format("$1"), (None,), KNOWN, ()),
    ],
)
def test_types_by_their_names(sql, params, known, rows):
    (result,) = answer(Request(sql, params, (25,) * len(params)), known).results
    assert (result.rows, result.tag) == (rows, f"SELECT {len(rows)}")
    told = described(sql)
    assert told.results[0].columns == result.columns
    assert told.types == (25,) * len(params)


def test_a_type_of_every_server_and_other_questions_are_not_answered():
    assert answer(Request(INFO.format("$1"), ("int4",)), BUILT_IN) is None
    assert answer(Request(INFO.format("$1 || 'x'"), ("a",)), BUILT_IN) is None
    assert described(HSTORE.replace("typarray", "typname")) is None
    assert described("SELECT 1 FROM pg_type" + " " * 1000) is None


ARRAY = (
    "SELECT e.typdelim FROM pg_catalog.pg_type t, pg_catalog.pg_type e WHERE t.oid = $1 and t.typelem = e.oid"
)


def test_what_is_not_known_by_its_oid_is_not_said():
    assert answer(Request(ARRAY, ("16500",), (26,)), BUILT_IN) is None
    assert answer(Request(ARRAY, (None,), (26,)), BUILT_IN) is None
    assert answer(Request(ARRAY, ("9" * 20,), (26,)), BUILT_IN) is None
    assert answer(Request(ARRAY, ("16401",), (26,)), KNOWN).results[0].rows == ((",",),)
    assert answer(Request(ARRAY, ("1020",), (26,)), BUILT_IN).results[0].rows == ((";",),)
    assert answer(Request(ARRAY, ("23",), (26,)), BUILT_IN).results[0].rows == ()
