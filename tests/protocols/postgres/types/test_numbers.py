"""Booleans, integers and what is sent as such."""

import pytest

from tests.protocols.postgres.types.forms import both_ways, canonical, is_read_as, no_bytes, no_text


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("bool", "t", "01"),
        ("bool", "f", "00"),
        ("int2", "0", "0000"),
        ("int2", "-32768", "8000"),
        ("int4", "42", "0000002a"),
        ("int4", "-1", "ffffffff"),
        ("int8", "9223372036854775807", "7fffffffffffffff"),
        ("oid", "4294967295", "ffffffff"),
        ("xid", "3", "00000003"),
        ("cid", "0", "00000000"),
        ("xid8", "18446744073709551615", "ffffffffffffffff"),
        ("money", "$1,234.56", "000000000001e240"),
        ("money", "-$0.05", "fffffffffffffffb"),
        ("money", "-$92,233,720,368,547,758.08", "8000000000000000"),
        ("pg_lsn", "16/B374D848", "00000016b374d848"),
        ("pg_lsn", "0/0", "0000000000000000"),
        ("tid", "(7,1)", "000000070001"),
        (
            "pg_snapshot",
            "10:20:10,14,15",
            "00000003 000000000000000a 0000000000000014000000000000000a 000000000000000e 000000000000000f",
        ),
        ("txid_snapshot", "10:20:", "00000000 000000000000000a 0000000000000014"),
    ],
)
def test_both_forms(name, text, data):
    both_ways(name, text, data)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("bool", " TRUE ", "t"),
        ("bool", "yes", "t"),
        ("bool", "on", "t"),
        ("bool", "1", "t"),
        ("bool", "n", "f"),
        ("bool", "off", "f"),
        ("int4", " 7 ", "7"),
        ("int4", "+7", "7"),
        ("int4", "007", "7"),
        ("money", "1234.5", "$1,234.50"),
        ("money", "$-3", "-$3.00"),
        ("money", "($3.00)", "-$3.00"),
    ],
)
def test_other_spellings(name, text, shown):
    is_read_as(name, text, shown)


def test_any_byte_but_zero_is_true():
    assert canonical("bool", "on") == canonical("bool", "t") == "t"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bool", "o"),
        ("bool", ""),
        ("int2", "32768"),
        ("int4", "2147483648"),
        ("int4", "1.5"),
        ("int4", "one"),
        ("int8", "9" * 5000 + "x"),
        ("xid8", "-1"),
        ("money", ""),
        ("money", "$"),
        ("money", "1.234"),
        ("money", "99999999999999999999"),
        ("pg_lsn", "16"),
        ("tid", "7"),
        ("pg_snapshot", "1:2"),
    ],
)
def test_texts_that_are_none(name, text):
    no_text(name, text)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("bool", ""),
        ("bool", "0101"),
        ("int2", "00"),
        ("int4", "0000000000"),
        ("int8", ""),
        ("money", "00"),
        ("pg_lsn", "00"),
        ("tid", "00"),
        ("pg_snapshot", "7fffffff 000000000000000a 0000000000000014"),
        ("pg_snapshot", "ffffffff 000000000000000a 0000000000000014"),
    ],
)
def test_bytes_that_are_none(name, data):
    no_bytes(name, data)
