"""What a recorder makes of the messages of one statement."""

from svcmock_protocols.postgres import watched
from svcmock_protocols.postgres.codec import Bind
from svcmock_protocols.postgres.messages import Column, Raw, Reply, Request, Result, said
from svcmock_protocols.postgres.watched import Prepared, Run, prepare
from tests.protocols.postgres import wire

ID = (Column("id", 23),)


def body(message: bytes) -> bytes:
    return message[5:]


def run(sql: str = "SELECT $1", *values: bytes | None, types=(23,), formats=(True,), wanted=(True,)) -> Run:
    return Run(Prepared(sql, types), 0.0, bound=Bind("", "", formats, values, wanted))


def test_values_become_text_whatever_their_format():
    one = run("SELECT $1", b"\0\0\0\x2a")
    one.described(ID)
    one.row(body(wire.row(b"\0\0\0\7")))
    one.row(body(wire.row(None)))
    one.completed("SELECT 2")
    assert one.request() == Request("SELECT $1", ("42",), (23,))
    assert one.reply() == Reply((Result(ID, (("7",), (None,)), "SELECT 2"),))


def test_types_that_the_client_did_not_say_are_those_of_the_description():
    one = run("SELECT $1", b"\0\0\0\x2a", types=(0,))
    assert one.request().params == (Raw(b"\0\0\0\x2a"),)
    one.prepared.told = (23,)
    assert one.request() == Request("SELECT $1", ("42",), (23,))


def test_a_query_says_its_formats_itself():
    one = Run(Prepared("FETCH 1 FROM c"), 0.0)
    one.described(ID, (True,))
    one.row(body(wire.row(b"\0\0\0\7")))
    one.completed("FETCH 1")
    one.completed("COMMIT")
    assert one.reply().results == (Result(ID, (("7",),), "FETCH 1"), Result(tag="COMMIT"))


def test_rows_that_nobody_described():
    one = run(wanted=(False,))
    one.described(None)
    one.row(body(wire.row(b"a")))
    one.completed("SELECT 1")
    assert one.reply().results[0].columns == (Column("?column?", 25),)


def test_rows_that_come_some_at_a_time_are_one_result():
    one = run()
    one.described(ID)
    one.row(body(wire.row(b"\0\0\0\7")))
    one.suspended = True
    one.row(body(wire.row(b"\0\0\0\7")))
    one.completed("SELECT 1")
    assert one.reply().results[0].tag == "SELECT 2"


def test_rows_of_which_nobody_asks_for_the_rest():
    one = run()
    one.described(ID)
    one.row(body(wire.row(b"\0\0\0\7")))
    one.broken_off()
    assert one.reply().results[0].tag == "SELECT 1"
    one = run("INSERT INTO t VALUES ($1) RETURNING id")
    one.broken_off()
    assert one.reply().results[0].tag == "INSERT 0 0"


def test_a_failure_after_rows():
    one = run()
    one.described(ID)
    one.row(body(wire.row(b"\0\0\0\7")))
    one.failure = said("22012", "x")
    assert one.reply() == Reply((Result(ID, (("7",),), ""),), said("22012", "x"))


def test_copies():
    one = Run(Prepared("COPY t TO STDOUT"), 0.0)
    one.copies(b"\1" + wire.i16(2, 1, 1), out=True)
    one.piece(b"\xff", out=True)
    one.completed("COPY 1")
    assert one.reply().results == (Result(tag="COPY 1", copy=(b"\xff",), binary=True, width=2),)
    one = Run(Prepared("COPY t FROM STDIN"), 0.0)
    one.copies(b"\0" + wire.i16(1, 0), out=False)
    one.piece(b"1\n", out=False)
    one.piece(b"2\n", out=False)
    one.completed("COPY 2")
    assert one.request() == Request("COPY t FROM STDIN", copy=b"1\n2\n")
    assert one.reply().results == (Result(tag="COPY 2"),)


def test_too_much_is_not_kept(monkeypatch):
    monkeypatch.setattr(watched, "MAX_HELD", 10)
    one = run()
    one.described(ID)
    for _ in range(3):
        one.row(body(wire.row(b"\0\0\0\7")))
    assert one.why == "more than 10 bytes"
    assert one.rows == []


def test_a_row_of_another_width_is_no_row():
    one = run()
    one.described(ID)
    one.row(body(wire.row(b"\0\0\0\7", None)))
    assert "number of columns" in one.why


def test_what_is_prepared_again_is_known():
    before = prepare("SELECT $1", (), None)
    before.told = (23,)
    again = prepare("SELECT $1", (), before, 7)
    assert (again.told, again.batch) == ((23,), 7)
    assert again is not before
    assert prepare("SELECT $1", (25,), before).told is None
    assert prepare("SELECT $2", (), before).told is None


def test_what_has_no_size_of_its_own_is_counted(monkeypatch):
    """A server can send results, rows without columns and notices without end."""
    monkeypatch.setattr(watched, "MAX_HELD", 100)
    for more in (
        lambda one: one.completed(""),
        lambda one: one.row(body(wire.row())),
        lambda one: one.notice(body(wire.error("00000", "n", kind=b"N"))),
    ):
        one = Run(Prepared("SELECT"), 0.0)
        for _ in range(10):
            more(one)
        assert one.why == "more than 100 bytes"
        assert (one.rows, one.results, one.notices) == ([], [], [])


def test_pieces_of_a_copy_that_hold_nothing_count_too(monkeypatch):
    monkeypatch.setattr(watched, "MAX_HELD", 10 * watched.EACH)
    for out in (True, False):
        one = run()
        one.copies(b"\0\0\0", out=out)
        for _ in range(11):
            one.piece(b"", out=out)
        assert one.why == f"more than {watched.MAX_HELD} bytes"
        assert not one.given
        assert one.taken is None
