"""What asyncpg asks the catalog, in its own words."""

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


@pytest.mark.parametrize("sql", ["SELECT 1", "", "SELECT 'typeinfo_tree'"])
def test_other_statements(sql):
    assert described(sql) is None
    assert answer(Request(sql)) is None
