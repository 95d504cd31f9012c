"""A route answers for its columns, too."""

from svcmock_protocols.postgres.messages import Column, Reply, Request, Result, failed
from svcmock_protocols.postgres.parts import part, parts

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
    assert parts(ASKED, failed("1", "m")) == ()
    assert parts(Request("SELECT 1", op="describe"), ROWS) == ()
    assert parts(ASKED, Reply((*ROWS.results, *ROWS.results))) == ()
