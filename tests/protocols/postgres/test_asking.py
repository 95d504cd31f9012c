"""How the answer to a statement is found."""

from svcmock.protocol import Ask
from svcmock_protocols.postgres.asking import Asking
from svcmock_protocols.postgres.cursors import Cursors
from svcmock_protocols.postgres.messages import Column, Reply, Request, Result, failed
from svcmock_protocols.postgres.portals import Statement
from svcmock_protocols.postgres.standing import Standing

ANN = Reply((Result((Column("a"),), (("1",),), "SELECT 1"),))
MISS = failed("58000", "no route")


def found(sql: str, *replies: Reply | None, done: tuple[str, ...] = ()) -> tuple[list[Ask], Reply]:
    """What is asked for while these come, and what is found in the end."""
    standing = Standing({})
    for one in done:
        standing.follow(one)
    asking, told = Asking(standing, Cursors()), []

    def then(reply: Reply):
        told.append(reply)
        return ()

    outs = list(asking.resolve(Request(sql), then))
    for reply in replies:
        assert asking.waits
        assert asking.awaits(outs[-1])
        outs += asking.reply(reply)
    assert not asking.waits
    return outs, told[0]


def test_an_exact_route_is_asked_for_first():
    asked, reply = found("SELECT a", ANN)
    assert asked == [Ask(1, Request("SELECT a"), 8, optional=True)]
    assert reply is ANN


def test_then_whether_it_could_be_prepared():
    refused = failed("42P01", "no table")
    assert found("SELECT a", None, refused)[1] is refused
    asked, reply = found("SELECT a", None, ANN, MISS)
    assert [one.optional for one in asked] == [True, True, False]
    assert reply is MISS


def test_statements_about_the_session():
    assert found("BEGIN", None)[1].results[0].tag == "BEGIN"
    assert found("BEGIN", ANN)[1] is ANN
    assert found("ROLLBACK", done=("BEGIN",))[0] == []
    assert found("SHOW wal_level", None, None, MISS)[1] is MISS


def learned(statement: Statement, *replies: Reply | None) -> list[object]:
    asking, told = Asking(Standing({}), Cursors()), []

    def then():
        told.append("known")
        return ()

    def refused(failure):
        told.append(failure)
        return ()

    asking.learn(statement, then, refused)
    for reply in replies:
        asking.reply(reply)
    return told


def test_what_is_known_of_a_statement():
    statement = Statement("SELECT a", ())
    assert learned(statement, ANN) == ["known"]
    assert statement.told is ANN
    assert learned(statement) == ["known"]
    statement = Statement("SELECT a", ())
    assert learned(statement, None, ANN) == ["known"]
    assert statement.told is ANN
    assert learned(Statement("SELECT a", ()), MISS) == [MISS.failure]
    assert learned(Statement("BEGIN", ())) == ["known"]


def test_a_statement_without_parameters_is_answered_to_be_described():
    """Once: the run that follows has that answer."""
    statement = Statement("SELECT a", ())
    assert learned(statement, None, None, None, None, ANN) == ["known"]
    assert (statement.told, statement.columns(None)) == (None, ANN.results[0].columns)
    assert (statement.taken(), statement.taken()) == (ANN, None)
    for other in (Statement("SELECT $1", ()), Statement("SELECT a", (23,)), Statement("DELETE FROM t", ())):
        assert learned(other, None, None) == ["known"]
        assert other.taken() is None
    refused = Statement("SELECT a", ())
    assert learned(refused, None, None, None, None, MISS) == ["known"], "it fails when it is run"
    assert refused.taken() is MISS


def test_an_answer_that_is_not_owed():
    asking = Asking(Standing({}), Cursors())
    assert asking.reply(ANN) == ()
    assert not asking.awaits(Ask(0, Request()))


def test_types_that_were_only_told_of_are_no_condition():
    """What was recorded while nobody knew them is found without."""
    asking, told = Asking(Standing({}), Cursors()), []
    typed, given = Request("SELECT $1", ("12.50",), (1700,)), Request("SELECT $1", ("12.50",), (0,))

    def then(reply: Reply):
        told.append(reply)
        return ()

    (first,) = asking.resolve(typed, then, given)
    (second,) = asking.reply(None)
    assert [first.request, second.request] == [typed, given]
    assert second.optional
    asking.reply(ANN)
    assert told == [ANN]
