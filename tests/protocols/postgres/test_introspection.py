"""What asyncpg and postgres.js ask the catalog, in their own words."""

import pytest
from asyncpg.introspection import INTRO_LOOKUP_TYPES, INTRO_LOOKUP_TYPES_13

from svcmock_protocols.postgres.introspection import answer, described
from svcmock_protocols.postgres.messages import Request

JIT = "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new"


@pytest.mark.parametrize("sql", [INTRO_LOOKUP_TYPES, INTRO_LOOKUP_TYPES_13])
def test_types_that_every_server_has(sql):
    told = described(sql)
    assert told.types == (1028,)
    (result,) = answer(Request(sql, ("{1009,1007}",), (1028,))).results
    assert result.columns == told.results[0].columns
    assert [row[0] for row in result.rows] == ["25", "23", "1009", "1007"]
    assert result.rows[2] == (
        *("1009", "pg_catalog", "_text", "b", None, "25", ","),
        *(None, None, None, "0", None, "text", None),
    )
    assert result.tag == "SELECT 4"


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
