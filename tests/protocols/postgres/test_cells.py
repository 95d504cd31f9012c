"""Values between the wire and text."""

import pytest

from svcmock_protocols.postgres.cells import Unfit, data_rows, read, written
from svcmock_protocols.postgres.messages import Column, Raw, Result
from svcmock_protocols.postgres.types import Types
from svcmock_protocols.postgres.types.declared import Declared
from tests.protocols.postgres import wire

ENUM = 16421


@pytest.mark.parametrize(
    ("oid", "text", "binary"),
    [
        (23, b"42", b"\0\0\0\x2a"),
        (16, b"t", b"\1"),
        (25, b"Ann", b"Ann"),
        (1700, b"1.50", b"\0\2\0\0\0\0\0\2\0\1\x13\x88"),
        (1700, b"NaN", b"\0\0\0\0\xc0\0\0\0"),
        (17, b"\\x00ff", b"\0\xff"),
        (1184, b"2000-01-01 00:00:00+00", b"\0" * 8),
        (1007, b"{1,NULL}", b"\0\0\0\1\0\0\0\1\0\0\0\x17\0\0\0\2\0\0\0\1\0\0\0\4\0\0\0\1\xff\xff\xff\xff"),
    ],
)
def test_a_value_recorded_in_either_format_is_had_in_both(oid, text, binary):
    for recorded, form in ((text, False), (binary, True)):
        value = read(recorded, oid, binary=form)
        assert value == text.decode()
        assert written(value, oid, binary=False) == text
        assert written(value, oid, binary=True) == binary


def test_null_is_null():
    assert read(None, 23, binary=True) is None
    assert written(None, 23, binary=True) is None


@pytest.mark.parametrize(("oid", "data"), [(ENUM, b"\0\1"), (23, b"\0\0\0"), (0, b"\0\0\0\1")])
def test_what_no_codec_reads_stays_as_it_came(oid, data):
    value = read(data, oid, binary=True)
    assert value == Raw(data)
    assert written(value, oid, binary=True) == data


def test_text_that_is_no_utf_8_stays_as_it_came():
    assert read(b"\xff", 25, binary=False) == Raw(b"\xff", binary=False)
    assert written(Raw(b"\xff", binary=False), 25, binary=False) == b"\xff"


@pytest.mark.parametrize(
    ("value", "oid", "binary", "why"),
    [
        ("red", ENUM, True, "asked for in the binary format.*16421 has no codec"),
        (Raw(b"\0\1"), ENUM, False, "recorded in the binary format.*16421"),
        (Raw(b"red", binary=False), ENUM, True, "recorded in the text format"),
        ("x", 23, True, "is no int4"),
    ],
)
def test_the_other_format_is_refused_aloud(value, oid, binary, why):
    """Clients decode by what they asked for, whatever is announced: they would take one value for another."""
    with pytest.raises(Unfit, match=why):
        written(value, oid, binary=binary)


def test_rows_in_the_formats_that_are_wanted():
    result = Result((Column("id", 23), Column("name", 25)), (("1", "Ann"), ("2", None)), "SELECT 2")
    assert data_rows(result, (), 0, 2) == wire.row(b"1", b"Ann") + wire.row(b"2", None)
    assert data_rows(result, (True,), 1, 2) == wire.row(b"\0\0\0\2", None)
    assert data_rows(result, (True, False), 0, 1) == wire.row(b"\0\0\0\1", b"Ann")
    with pytest.raises(Unfit, match='column "id" is no int4'):
        data_rows(Result((Column("id", 23),), (("x",),)), (True,), 0, 1)


def test_types_of_the_database_are_converted_once_they_are_declared():
    known = Types([Declared(ENUM, "mood", "enum")])
    assert read(b"happy", ENUM, binary=True, known=known) == "happy"
    assert written("happy", ENUM, binary=True, known=known) == b"happy"
    assert written(Raw(b"happy"), ENUM, binary=False, known=known) == b"happy"
    result = Result((Column("m", ENUM),), (("happy",),))
    assert data_rows(result, (True,), 0, 1, known) == wire.row(b"happy")
    with pytest.raises(Unfit, match="options: types"):
        data_rows(result, (True,), 0, 1)
