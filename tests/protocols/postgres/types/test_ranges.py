"""Ranges and multiranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres import types
from svcmock_protocols.postgres.types import ranges, strings
from tests.protocols.postgres.types.forms import both_ways, canonical, is_read_as, no_bytes, no_text

ONE_TO_THREE = "00000011 02 00000004 00000001 00000004 00000003"
FIVE_TO_SEVEN = "00000011 02 00000004 00000005 00000004 00000007"


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("int4range", "empty", "01"),
        ("int4range", "[1,10)", "02 00000004 00000001 00000004 0000000a"),
        ("int4range", "(,5)", "08 00000004 00000005"),
        ("int4range", "[5,)", "12 00000004 00000005"),
        ("int8range", "(,)", "18"),
        ("numrange", "(1.50,2]", "04 0000000c 0002 0000 0000 0002 0001 1388 0000000a 0001 0000 0000 0000 0002"),
        (
            "tsrange",
            '["2000-01-01 00:00:00","2000-01-01 00:00:01"]',
            "06 00000008 0000000000000000 00000008 00000000000f4240",
        ),
        ("daterange", "[2000-01-01,2000-01-02)", "02 00000004 00000000 00000004 00000001"),
        ("int4multirange", "{}", "00000000"),
        (
            "int4multirange",
            "{[1,3),[5,7)}",
            "00000002 " + ONE_TO_THREE + FIVE_TO_SEVEN,
        ),
        ("tsmultirange", '{(,"2000-01-01 00:00:00")}', "00000001 0000000d 08 00000008 0000000000000000"),
    ],
)
def test_both_forms(name, text, data):
    both_ways(name, text, data)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("int4range", " [ 1 , 5 ] ", "[1,5]"),
        ("int4range", "EMPTY", "empty"),
        ("int4range", "[,]", "(,)"),
        ("int4range", '["1","5")', "[1,5)"),
        ("int4range", "[\\1,5)", "[1,5)"),
        ("int4multirange", "{ }", "{}"),
        ("int4multirange", "{ [1,2) , empty , [3,4) }", "{[1,2),[3,4)}"),
    ],
)
def test_other_spellings(name, text, shown):
    is_read_as(name, text, shown)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("int4range", ""),
        ("int4range", "[1,2"),
        ("int4range", "1,2)"),
        ("int4range", "[1)"),
        ("int4range", "[1,2,3)"),
        ("int4range", "[x,y)"),
        ("int4range", "[1,2) x"),
        ("int4range", "[1,\\"),
        ("int4multirange", "[1,2)"),
        ("int4multirange", "{[1,2)"),
        ("int4multirange", "{[1,2),}"),
        ("int4multirange", "{[1,2)[3,4)}"),
        ("int4multirange", "{,[1,2)}"),
        ("int4multirange", "{1}"),
    ],
)
def test_texts_that_are_none(name, text):
    no_text(name, text)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("int4range", ""),
        ("int4range", "02"),
        ("int4range", "02 00000004 00000001"),
        ("int4range", "02 7fffffff 00000001 00000004 00000002"),
        ("int4range", "02 ffffffff 00000004 00000002"),
        ("int4range", "01 00"),
        ("int4multirange", ""),
        ("int4multirange", "7fffffff"),
        ("int4multirange", "ffffffff"),
        ("int4multirange", "00000001 00000002 01"),
        ("int4multirange", "00000001 00000001 01 00"),
    ],
)
def test_bytes_that_are_none(name, data):
    no_bytes(name, data)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("int4range", "[1,5]", "(0,6)"),
        ("int4range", "[1,1)", "empty"),
        ("int4range", "(1,2)", "empty"),
        ("daterange", "[2024-02-28,2024-02-29]", "[2024-02-28,2024-03-01)"),
        ("numrange", "[1.0,2)", "[1,2.00)"),
        ("numrange", "[1,1)", "empty"),
        ("tstzrange", '["2024-01-01 00:00:00+00",)', '["2024-01-01 01:00:00+01",]'),
        ("int4multirange", "{[1,5],(7,8)}", "{[1,6)}"),
    ],
)
def test_equal_ranges(name, one, other):
    assert canonical(name, one) == canonical(name, other)


def test_ranges_that_differ():
    assert canonical("numrange", "[1,2]") != canonical("numrange", "[1,2)")
    assert canonical("daterange", "[2024-01-01,infinity]") != canonical("daterange", "[2024-01-01,infinity)")


TEXT_RANGE, _ = ranges.ranged(strings.TEXT)
bounds = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


@given(bounds, bounds, st.booleans(), st.booleans())
def test_any_bound_survives(lower, upper, lower_in, upper_in):
    value = ranges.Bounds(lower, upper, lower_in and lower is not None, upper_in and upper is not None)
    text = ranges.write(value)
    assert ranges.read(text) == value
    assert TEXT_RANGE.to_text(TEXT_RANGE.to_binary(text)) == text


@given(st.text('[](),"\\ 1e{}', max_size=20))
def test_any_text_is_a_range_or_an_error(text):
    for oid in (3904, 4451):
        try:
            data = types.to_binary(oid, text)
        except ProtocolError:
            continue
        assert types.to_binary(oid, types.to_text(oid, data)) == data
