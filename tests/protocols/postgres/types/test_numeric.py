"""numeric, and the one way to write a number of any type."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.postgres import types
from svcmock_protocols.postgres.types import numeric
from tests.protocols.postgres.types.forms import both_ways, is_read_as, no_bytes, no_text


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("0", "0000 0000 0000 0000"),
        ("0.00", "0000 0000 0000 0002"),
        ("1", "0001 0000 0000 0000 0001"),
        ("-1.10", "0002 0000 4000 0002 0001 03e8"),
        ("10000", "0001 0001 0000 0000 0001"),
        ("12345.6789", "0003 0001 0000 0004 0001 0929 1a85"),
        ("0.00001", "0001 fffe 0000 0005 03e8"),
        ("0.0000", "0000 0000 0000 0004"),
        ("NaN", "0000 0000 c000 0000"),
        ("Infinity", "0000 0000 d000 0020"),
        ("-Infinity", "0000 0000 f000 0020"),
    ],
)
def test_both_forms(text, data):
    both_ways("numeric", text, data)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1e3", "1000"),
        ("1.50E-2", "0.0150"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-0.00", "0.00"),
        ("+7", "7"),
        (" 7 ", "7"),
        ("nan", "NaN"),
        ("-inf", "-Infinity"),
        ("00012.30", "12.30"),
    ],
)
def test_other_spellings(text, shown):
    is_read_as("numeric", text, shown)


@pytest.mark.parametrize(
    "text",
    ["", "-", ".", "e5", "1e", "1.2.3", "--1", "1 2", "twelve", "1e131072", "1e-16384", "1e9999999", "٣"],
)
def test_texts_that_are_none(text):
    no_text("numeric", text)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "0001 0000 0000 0000",
        "7fff 0000 0000 0000 0001",
        "ffff 0000 0000 0000",
        "0001 0000 1234 0000 0001",
        "0001 0000 0000 4000 0001",
        "0001 0000 0000 0000 2710",
    ],
)
def test_bytes_that_are_none(data):
    no_bytes("numeric", data)


def test_digits_beyond_the_scale_are_cut_off():
    assert numeric.to_text(bytes.fromhex("0002 0000 0000 0001 0001 04d2")) == "1.1"
    assert numeric.to_text(bytes.fromhex("0001 ffff 4000 0001 0001")) == "0.0"
    assert numeric.to_text(bytes.fromhex("0001 8000 0000 0002 0001")) == "0.00"


def test_the_largest_and_the_smallest():
    largest = "9" * numeric.MAX_WHOLE + "." + "9" * numeric.MAX_SCALE
    assert numeric.to_text(numeric.to_binary(largest)) == largest
    smallest = "0." + "0" * (numeric.MAX_SCALE - 1) + "1"
    assert numeric.to_text(numeric.to_binary(smallest)) == smallest


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12) | st.decimals(allow_nan=False))
def test_there_and_back_again(value):
    text = f"{value:f}" if value.is_finite() else str(value)
    shown = numeric.to_text(numeric.to_binary(text))
    assert Decimal(shown) == value
    if value.is_finite():
        assert Decimal(shown).as_tuple().exponent == min(0, int(value.as_tuple().exponent))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("42", "42.0"),
        ("42", "4.2e1"),
        ("0", "-0.000"),
        ("0.1", "1e-1"),
        ("-7", "-7.00"),
        ("1e20", "100000000000000000000"),
        ("1e1000", "10e999"),
        ("1e-1000", "0.1e-999"),
        ("NaN", "nan"),
        ("inf", "Infinity"),
    ],
)
def test_equal_numbers(one, other):
    assert numeric.canonical(one) == numeric.canonical(other)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("42.50", "42.5"), ("1200", "1200"), ("0.0010", "0.001"), ("-0", "0"), ("007", "7"), ("1e500", "1e500")],
)
def test_the_one_text(text, canonical):
    assert numeric.canonical(text) == canonical


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False),
    st.integers(0, 5),
)
def test_equal_numbers_have_equal_texts(value, zeros):
    exact = Decimal(str(value))
    canonical = numeric.canonical(str(value))
    assert Decimal(canonical) == exact
    assert numeric.canonical(canonical) == canonical
    plain = f"{exact:f}"
    point = "" if "." in plain else "."
    assert numeric.canonical(plain + point + "0" * zeros) == canonical


def test_the_number_types_share_their_texts():
    one = {
        types.canonical(oid, text)
        for oid, text in [(21, "1"), (23, "1"), (20, "1"), (1700, "1.0"), (701, "1e0")]
    }
    assert one == {"1"}
