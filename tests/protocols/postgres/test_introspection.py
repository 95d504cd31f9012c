"""What asyncpg and postgres.js ask the catalog, in their own words."""

import pytest
from asyncpg.introspection import INTRO_LOOKUP_TYPES, INTRO_LOOKUP_TYPES_13

from svcmock_protocols.postgres.introspection import answer, described
from svcmock_protocols.postgres.messages import Request
from svcmock_protocols.postgres.types import Types
from svcmock_protocols.postgres.types.declared import Declared

JIT = "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new"


@pytest.mark.parametrize("sql", [INTRO_LOOKUP_TYPES, INTRO_LOOKUP_TYPES_13])
def test_types_that_every_server_has(sql):
    told = described(sql)
    assert told.types == (1028,)
    (result,) = answer(Request(sql, ("{1009,1007}",), (1028,))).results
    assert result.columns == told.results[0].columns
    assert [row[0] for row in result.rows] == ["25", "1009", "23", "1007"]
    assert result.rows[1] == (
        *("1009", "pg_catalog", "_text", "b", None, "25", ","),
        *(None, None, None, "0", None, "text", None),
    )
    assert result.tag == "SELECT 4"


MOOD, MOODS, PRICE, PLACE, OTHER = range(16400, 16405)
KNOWN = Types(
    [
        Declared(MOOD, "mood", "enum", "shop"),
        Declared(MOODS, "_mood", "array", "shop", MOOD),
        Declared(PRICE, "price", "domain", "shop", "numeric"),
        Declared(PLACE, "place", "composite", "shop", fields=(("a b", "text"), ("moods", MOODS))),
        Declared(OTHER, "hstore", "extension"),
        Declared(16405, "span", "range", "shop", "float8"),
    ]
)


def test_types_that_are_declared():
    (result,) = answer(Request(INTRO_LOOKUP_TYPES, ("{16403,16402,16404,16405}",)), KNOWN).results
    assert [row[:9] for row in result.rows] == [
        ("25", "pg_catalog", "text", "b", None, None, None, None, None),
        ("16400", "shop", "mood", "e", None, None, None, None, None),
        ("16401", "shop", "_mood", "b", None, "16400", ",", None, None),
        ("16403", "shop", "place", "c", None, None, None, None, "{25,16401}"),
        ("1700", "pg_catalog", "numeric", "b", None, None, None, None, None),
        ("16402", "shop", "price", "d", "1700", None, None, None, None),
        ("16404", "public", "hstore", "b", None, None, None, None, None),
        ("701", "pg_catalog", "float8", "b", None, None, None, None, None),
        ("16405", "shop", "span", "r", None, None, None, "701", None),
    ]
    assert result.rows[3][9] == '{"a b",moods}'
    assert [row[10] for row in result.rows] == ["1", "2", "1", "0", "1", "0", "0", "1", "0"]


@pytest.mark.parametrize("asked", ["{" + "25," * 1000 + "25}", "{x}", "{}", "{99999999999}", "{-1}"])
def test_what_is_no_list_of_types(asked):
    assert answer(Request(INTRO_LOOKUP_TYPES, (asked,)), KNOWN) is None


def test_types_of_the_database_are_not_known():
    assert answer(Request(INTRO_LOOKUP_TYPES, ("{1009,16421}",))) is None
    assert answer(Request(INTRO_LOOKUP_TYPES, (None,))) is None
    assert answer(Request(INTRO_LOOKUP_TYPES)) is None


def test_jit():
    assert described(JIT.replace(", ", ",\n                        ")).types == ()
    assert answer(Request(JIT)).results[0].rows == (("off", "off"),)


def test_which_types_have_arrays():
    """Elements in the order of their oids, as they are in the statement of postgres.js: with blank lines."""
    sql = """
      select b.oid, b.typarray
      from pg_catalog.pg_type a
      left join pg_catalog.pg_type b on b.oid = a.typelem
      where a.typcategory = 'A'
      group by b.oid, b.typarray
      order by b.oid
    """
    (shape,) = described(sql).results
    assert [column.name for column in shape.columns] == ["oid", "typarray"]
    (result,) = answer(Request(sql)).results
    assert result.columns == shape.columns
    assert result.rows[0] == ("16", "1000")
    assert ("23", "1007") in result.rows
    assert list(result.rows) == sorted(result.rows, key=lambda row: int(row[0]))
    assert result.tag == f"SELECT {len(result.rows)}"


@pytest.mark.parametrize("sql", ["SELECT 1", "", "SELECT 'typeinfo_tree'"])
def test_other_statements(sql):
    assert described(sql) is None
    assert answer(Request(sql)) is None
