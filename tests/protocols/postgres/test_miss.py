"""The answer to a statement that nothing matches."""

from svcmock.protocol import Difference, Explanation, Near
from svcmock_protocols.postgres.miss import FAULTS, miss

TOLD = Explanation(
    "m-7",
    "db",
    "postgres",
    "SELECT 1",
    nearest=(Near("routes/db.yaml:3", 1, 2, (Difference("params.0", "equals", "42", "x" * 1000),)),),
    hints=("a hint",),
    see="svcmock why m-7",
)


def test_it_says_what_was_asked_and_what_came_nearest():
    failure = miss(TOLD).failure
    assert failure.get("S") == "ERROR"
    assert failure.get("C") == "58000"
    assert failure.get("M") == "svcmock: no route of service db answers this statement (m-7)"
    assert failure.get("D").startswith(
        "Asked: SELECT 1\nNearest: routes/db.yaml:3: params.0: equals '42', got 'xxx"
    )
    assert len(failure.get("D")) < 500
    assert failure.get("H") == "a hint\nsvcmock why m-7 tells more."


def test_long_statements_are_quoted_where_they_differ():
    long = "SELECT " + "a, " * 300
    near = Near("routes/db.yaml:3", 1, 2, (Difference("sql", "equals", long + "b", long + "c"),))
    told = miss(Explanation("m-1", "db", "postgres", "SELECT", nearest=(near,))).failure.get("D")
    assert f"{'a, ' * 20}b', got ..." in told
    assert told.endswith(f"{'a, ' * 20}c'")


def test_that_columns_are_told_too_is_not():
    near = Near("routes/db.yaml:3", 1, 2, (Difference("columns", "equals", "SELECT 1"),))
    failure = miss(Explanation("m-1", "db", "postgres", "SELECT 1", nearest=(near,))).failure
    assert "Nearest" not in failure.get("D")


def test_without_anything_near():
    failure = miss(Explanation("m-1", "db", "postgres", "SELECT 1")).failure
    assert failure.get("D") == "Asked: SELECT 1"
    assert failure.get("H") == ""


def test_faults_are_failures():
    assert all(len(reply.failure.get("C")) == 5 for reply in FAULTS.values())
