"""Statements, portals and copies of a served connection."""

import pytest

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres.codec import Bind
from svcmock_protocols.postgres.messages import Column, Raw, Reply, Request, Result
from svcmock_protocols.postgres.portals import Copying, Portal, Statement, in_text, no_portal, no_statement
from tests.protocols.postgres import wire

ROWS = Result((Column("id", 23),), (("1",), ("2",), ("3",)), "SELECT 3")


def portal(result: Result = ROWS) -> Portal:
    return Portal(Request("SELECT id FROM t"), (), Reply((result,)))


def test_types_that_nobody_has_said():
    """Nobody has said them: they are what the statement's description said, or would have said."""
    binary, text = Bind("", "", (True,), (b"\0\0\0\7", None), ()), Bind("", "", (), (b"7", None), ())
    one = Statement("SELECT $1, $2", ())
    assert one.untold(binary)
    assert one.untold(text)
    assert not one.untold(Bind("", "", (), (None, None), ()))
    assert not Statement("SELECT $1, $2", (23, 23)).untold(binary)
    one.asked, one.told = True, Reply((ROWS,), types=(23, 0))
    assert not one.untold(binary)
    assert one.request(binary) == Request("SELECT $1, $2", ("7", None), (23, 25))
    typed = Request("SELECT $1, $2", ("7", None), (23, 0))
    assert one.request(text) == typed
    assert one.as_given(typed) == Request("SELECT $1, $2", ("7", None), (0, 0))
    assert Statement("SELECT $1, $2", (23, 0)).as_given(typed) is None


def test_all_rows_at_once():
    one = portal()
    assert one.take(0) == (wire.row(b"1") + wire.row(b"2") + wire.row(b"3"), False)
    assert one.completion() == wire.complete("SELECT 3")


def test_some_rows_at_a_time():
    """A server that has found as many as it was asked for does not look whether there are more."""
    one = portal()
    assert one.take(2) == (wire.row(b"1") + wire.row(b"2"), True)
    assert one.take(1) == (wire.row(b"3"), True)
    assert one.take(1) == (b"", False)
    assert one.completion() == wire.complete("SELECT 0")


def test_the_last_tag_counts_the_last_rows():
    one = portal()
    one.take(2)
    assert one.take(2) == (wire.row(b"3"), False)
    assert one.completion() == wire.complete("SELECT 1")


def test_without_rows():
    one = portal(Result(tag="INSERT 0 1"))
    assert one.take(1) == (b"", False)
    assert one.completion() == wire.complete("INSERT 0 1")
    assert Portal(Request(), ()).take(0) == (b"", False)
    assert Portal(Request(), ()).result is None


def test_a_copy_comes_once():
    one = portal(Result(tag="COPY 2", copy=(b"1\n", b"2\n"), width=1))
    copied, more = one.take(0)
    assert wire.kinds(copied) == "Hddc"
    assert not more
    assert one.take(0) == (b"", False)


def test_types_of_parameters():
    """The client's own count; then what is known of the statement; then text, for as many as the SQL names."""
    told = Reply((Result((Column("a"),)),), types=(23, 1043))
    assert Statement("SELECT $1, $2", (0, 20)).types_for(2) == (0, 20)
    assert Statement("SELECT $1, $2", (0, 20), told=told).types_for(2) == (23, 20)
    assert Statement("SELECT $1, $2", (), told=told).described() == (23, 1043)
    assert Statement("SELECT $2", ()).described() == (25, 25)
    assert Statement("SELECT 1", ()).described() == ()
    assert Statement("SELECT $3, $1::text[], $2::mood, $4::int", (0, 0, 0, 20)).described() == (
        1009,
        25,
        25,
        20,
    )
    assert Statement("SELECT $99999", ()).described() == (25,) * 65535
    assert Statement("SELECT 1", (), told=told).columns(None) == (Column("a"),)
    assert Statement("SELECT 1", (), told=told).columns(Reply((Result(tag="BEGIN"),))) is None
    assert Statement("SELECT 1", ()).columns(None) is None


def test_sizes_of_parameters():
    """Whatever they are kept as."""
    assert Portal(Request("x", ("four", None, Raw(b"seven_7"))), ()).size == 11


def test_copying_in():
    one, other = Copying(Request("x"), lambda _: ()), Copying(Request("x"), lambda _: ())
    assert one.take(b"d", b"1\n", 4) is None
    assert one.take(b"S", b"", 4) is None
    assert one.take(b"d", b"2\n", 4) is None
    assert one.take(b"c", b"", 4) == Request("x", copy=b"1\n2\n")
    assert other.take(b"c", b"", 4) == Request("x", copy=b"")
    assert one.take(b"d", b"3", 4).failure.get("C") == "54000"
    assert one.take(b"f", b"why\0", 4).failure.get("M") == "COPY from stdin failed: why"
    with pytest.raises(ProtocolError):
        one.take(b"Q", b"", 4)


def test_results_as_the_simple_protocol_has_them():
    assert in_text(ROWS) == wire.columns(("id", 23), size=4) + portal().take(0)[0]
    assert in_text(Result(tag="BEGIN")) == b""
    assert wire.kinds(in_text(Result(tag="COPY 1", copy=(b"1\n",)))) == "Hdc"
    assert no_portal("p").get("C") == "34000"
    assert no_statement("").get("M") == "unnamed prepared statement does not exist"
