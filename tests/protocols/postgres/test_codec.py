"""Framing and the forms of messages, against literal bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres import codec
from svcmock_protocols.postgres.messages import Column, said
from tests.protocols.conformance import check_decoder, splits
from tests.protocols.postgres import wire

STREAM = wire.query("SELECT 1") + wire.SYNC + wire.parse("SELECT $1", "s", (23,)) + wire.TERMINATE


def cut(reads, limit=1 << 20):
    frames, found = codec.Frames(limit), []
    for data in reads:
        frames.add(data)
        while (one := frames.next()) is not None:
            found.append(one)
    return found, frames.held


@pytest.mark.parametrize("reads", list(splits(STREAM)))
def test_messages_are_the_same_however_they_come(reads):
    found, held = cut(reads)
    assert [kind for kind, _ in found] == [b"Q", b"S", b"P", b"X"]
    assert found[0][1] == b"SELECT 1\0"
    assert held == 0


def test_what_is_not_whole_is_held():
    assert cut([STREAM[:-1]])[1] == 4
    frames = codec.Frames(100)
    frames.add(wire.SYNC + b"rest")
    frames.next()
    assert frames.rest() == b"rest"
    assert frames.held == 0


@pytest.mark.parametrize(
    "data", [b"Q\0\0\0\3", b"Q\xff\xff\xff\xff", b"Q\x7f\xff\xff\xff", b"Q" + (1005).to_bytes(4)]
)
def test_a_length_that_cannot_be_is_refused_before_anything_is_kept(data):
    """A hole in what is recorded must not become an allocation of gigabytes."""
    with pytest.raises(ProtocolError, match="invalid message length"):
        cut([data], 1000)


@pytest.mark.parametrize("size", [0, 7, 10_001, 1 << 31])
def test_a_startup_message_has_at_most_10000_bytes(size):
    frames = codec.Frames(100)
    frames.add(size.to_bytes(4) + b"\0" * 8)
    with pytest.raises(ProtocolError):
        frames.startup()


def test_startup_parameters():
    frames = codec.Frames(100)
    data = wire.startup(user="ann", database="shop")
    for at in range(len(data) - 1):
        frames.add(data[at : at + 1])
        assert frames.startup() is None
    frames.add(data[-1:])
    code, body = frames.startup()
    assert code == 196608
    assert codec.startup_parameters(body) == {"user": "ann", "database": "shop"}


def test_parse_and_bind():
    assert codec.parse(wire.parse("SELECT $1", "s", (23, 0))[5:]) == ("s", "SELECT $1", (23, 0))
    data = wire.bind((b"1", None), statement="s", portal="p", formats=(1,), wanted=(0, 1))
    assert codec.bind(data[5:]) == codec.Bind("p", "s", (True,), (b"1", None), (False, True))


@pytest.mark.parametrize("formats", [(0, 1), (7,), (2, 0)])
def test_formats_that_do_not_fit_are_refused(formats):
    with pytest.raises(ProtocolError, match="format"):
        codec.bind(wire.bind((b"1", b"2", b"3"), formats=formats)[5:])


@pytest.mark.parametrize(("formats", "made"), [((), [0, 0]), ((True,), [1, 1]), ((False, True), [0, 1])])
def test_one_format_is_for_all(formats, made):
    assert [codec.form_of(formats, number) for number in range(2)] == made


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (codec.parse, wire.parse("SELECT $1", "s", (23, 25))),
        (codec.bind, wire.bind((b"1", None), formats=(1, 0), wanted=(1,))),
        (codec.target, wire.describe("S", "x")),
        (codec.execute, wire.execute("p", 3)),
        (codec.row, wire.row(b"1", None)),
        (codec.row_described, wire.columns(("a", 23), ("b", 25))),
        (codec.parameters_described, wire.types(23, 25)),
        (codec.said_by, wire.error("42P01", "no")),
        (codec.startup_parameters, b"_____" + wire.startup()[8:]),
        (codec.copy_announced, wire.message(b"G", b"\0", wire.i16(2, 0, 0))),
        (codec.mechanisms, b"_____SCRAM-SHA-256\0\0"),
    ],
)
def test_damaged_bodies_raise_nothing_but_protocol_errors(read, data):
    check_decoder(read, data[5:], range(200))


def test_what_is_described_reads_back():
    data = wire.columns(("id", 23), size=4) + b""
    found, forms = codec.row_described(data[5:])
    assert found == (Column("id", 23),)
    assert forms == (False,)
    assert codec.row_description(found) == data
    odd = (Column("x", 1043, modifier=24, size=7, table=16390, attribute=2),)
    assert codec.row_described(codec.row_description(odd, (True,))[5:]) == (odd, (True,))


@given(st.lists(st.none() | st.binary(max_size=20), max_size=5))
def test_rows_read_back(values):
    assert codec.row(codec.data_row(values)[5:]) == tuple(values)


def test_the_other_messages():
    assert codec.saying(b"E", said("42P01", "no")) == wire.error("42P01", "no")
    assert codec.said_by(wire.error("42P01", "no")[5:]) == said("42P01", "no")
    assert codec.complete("SELECT 1") == wire.complete("SELECT 1")
    assert codec.complete("") == wire.EMPTY
    assert codec.ready("T") == wire.ready("T")
    assert codec.parameter_description((23,)) == wire.types(23)
    assert codec.reported("a", "b") == wire.reported("a", "b")
    assert codec.offered(["A", "B"]) == wire.message(b"R", wire.i32(10), b"A\0B\0\0")
    assert codec.copying(b"H", 2, binary=True) == wire.message(b"H", b"\1", wire.i16(2, 1, 1))
    assert codec.notification(7, "c", "p") == wire.message(b"A", wire.i32(7), b"c\0p\0")
    assert codec.untyped(80877103) == wire.SSL


def test_text_that_is_no_utf_8_is_shown():
    assert codec.Reader(b"a\xffb\0").text() == "a\\xffb"
