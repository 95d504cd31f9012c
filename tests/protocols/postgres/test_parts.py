"""A route answers for its columns, too."""

import pytest

from svcmock_protocols.postgres.messages import Column, Reply, Request, Result, failed
from svcmock_protocols.postgres.parts import ahead, part, parts

ASKED = Request("SELECT $1", ("1", "a"), (21, 25))
ROWS = Reply((Result((Column("id", 23),), (("1",),), "SELECT 1"),))


def test_columns_are_found_without_parameters():
    assert parts(ASKED, ROWS) == (ASKED, Request("SELECT $1", op="columns"))
    assert part(ASKED, ROWS, 0) is ROWS
    assert part(ASKED, ROWS, 1) == Reply((Result((Column("id", 23),)),), types=(20, 25))


def test_types_of_parameters_are_found_where_there_are_no_columns():
    done = Reply((Result(tag="INSERT 0 1"),))
    assert parts(ASKED, done)[1] == Request("SELECT $1", op="columns")
    assert part(ASKED, done, 1) == Reply(types=(20, 25))


def test_what_has_none_is_one():
    assert parts(Request("INSERT x"), Reply((Result(tag="INSERT 0 1"),))) == ()
    assert parts(ASKED, failed("1", "m")) == (), "what its columns are it does not say"
    assert parts(Request("SELECT 1", op="describe"), ROWS) == ()
    assert parts(ASKED, Reply((*ROWS.results, *ROWS.results))) == ()


def test_a_failure_of_what_has_no_result_still_tells_the_types():
    asked = Request("INSERT INTO t VALUES ($1, $2)", ("1", "a"), (21, 25))
    assert parts(asked, failed("1", "m")) == (asked, Request(asked.sql, op="columns"))
    assert part(asked, failed("1", "m"), 1) == Reply(types=(20, 25))
    returning = Request("INSERT INTO t VALUES ($1) RETURNING id", ("1",), (21,))
    assert parts(returning, failed("1", "m")) == ()


SELECT = "SELECT a FROM t WHERE b = $1"
COLUMNS = {"columns": ["a"], "rows": [["{{ b }}"]]}


@pytest.mark.parametrize(
    ("request_", "match", "respond", "told"),
    [
        ({"sql": SELECT, "params": [1]}, None, COLUMNS, {"columns": ["a"], "types": [20]}),
        ({"sql": SELECT, "params": ["x"]}, None, COLUMNS, {"columns": ["a"], "types": []}),
        ({"sql": SELECT, "types": ["uuid"]}, None, COLUMNS, {"columns": ["a"], "types": ["uuid"]}),
        (None, {"sql": SELECT, "params": [{"int": "b"}]}, COLUMNS, {"columns": ["a"], "types": []}),
        (None, {"sql": {"equals": SELECT}}, COLUMNS, {"columns": ["a"], "types": []}),
        ({"sql": "DELETE FROM t WHERE b = $1", "params": [True]}, None, {}, {"types": [16]}),
        ({"sql": "DELETE FROM t WHERE b = $1", "params": ["x"]}, None, {}, None),
        ({"sql": SELECT}, None, {"error": {}}, None),
        ({"sql": SELECT}, None, {"columns": ["{{ a }}"]}, None),
        (None, {"sql": "SELECT a FROM t WHERE b = {b}"}, COLUMNS, None),
        (None, {"sql": {"regex": "SELECT"}}, COLUMNS, None),
        (None, {"command": "SELECT"}, COLUMNS, None),
        (None, None, COLUMNS, None),
        ([], "x", 7, None),
    ],
)
def test_what_is_described_before_it_is_made(request_, match, respond, told):
    sql = (request_ or {}).get("sql", SELECT) if isinstance(request_, dict | None) else ""
    assert ahead(request_, match, respond) == (None if told is None else ({"describe": sql}, told))
