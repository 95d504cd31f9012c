"""Intervals."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.postgres import types
from tests.protocols.postgres.types.forms import both_ways, canonical, is_read_as, no_bytes, no_text


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("00:00:00", "0000000000000000 00000000 00000000"),
        ("1 day", "0000000000000000 00000001 00000000"),
        ("-1 days", "0000000000000000 ffffffff 00000000"),
        ("1 year 2 mons", "0000000000000000 00000000 0000000e"),
        ("-1 years -2 mons", "0000000000000000 00000000 fffffff2"),
        ("1 mon -1 days", "0000000000000000 ffffffff 00000001"),
        ("-1 mons +1 day", "0000000000000000 00000001 ffffffff"),
        ("-1 days +00:00:01", "00000000000f4240 ffffffff 00000000"),
        ("1 day -00:00:01.5", "ffffffffffe91ca0 00000001 00000000"),
        ("100:00:00", "00000053d1ac1000 00000000 00000000"),
        ("infinity", "7fffffffffffffff 7fffffff 7fffffff"),
        ("-infinity", "8000000000000000 80000000 80000000"),
    ],
)
def test_both_forms(text, data):
    both_ways("interval", text, data)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1 day, 2:03:04", "1 day 02:03:04"),
        ("-1 day, 23:59:59", "-1 days +23:59:59"),
        ("0:00:00.000001", "00:00:00.000001"),
        ("3 hours 5 min", "03:05:00"),
        ("1.5 hours", "01:30:00"),
        ("1.5 days", "1 day 12:00:00"),
        ("2 weeks", "14 days"),
        ("1.5 years", "1 year 6 mons"),
        ("1 century", "100 years"),
        ("@ 1 year 2 mons ago", "-1 years -2 mons"),
        ("1.5s", "00:00:01.5"),
        ("10 milliseconds 3us", "00:00:00.010003"),
        ("1 day 5 seconds 7 microseconds", "1 day 00:00:05.000007"),
        ("1:02", "01:02:00"),
        ("P1Y2M3DT4H5M6.7S", "1 year 2 mons 3 days 04:05:06.7"),
        ("P-1W", "-7 days"),
        ("PT0S", "00:00:00"),
        ("0", "00:00:00"),
        ("  1 DAY ", "1 day"),
    ],
)
def test_other_spellings(text, shown):
    is_read_as("interval", text, shown)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "ago",
        "soon",
        "1 fortnight",
        "1.3 mons",
        "P",
        "PT",
        "P1",
        "P1H",
        "PT1Y",
        "P1DT",
        "1 day x",
        "5",
        "9999999999 days",
        "9" * 1_000_000 + " days",
        "9" * 400 + " hours",
        "1:2:3:4",
    ],
)
def test_texts_that_are_none(text):
    no_text("interval", text)


@pytest.mark.parametrize("data", ["", "00", "0000000000000000 00000000 0000000000"])
def test_bytes_that_are_none(data):
    no_bytes("interval", data)


def test_a_day_is_not_24_hours():
    assert canonical("interval", "1 day") != canonical("interval", "24 hours")
    assert canonical("interval", "1 mon") != canonical("interval", "30 days")
    assert canonical("interval", "P1D") == canonical("interval", "1 day")


@given(st.timedeltas())
def test_the_intervals_of_python(delta):
    shown = types.to_text(1186, types.to_binary(1186, str(delta)))
    binary = types.to_binary(1186, shown)
    assert types.to_text(1186, binary) == shown
    microseconds, days = int.from_bytes(binary[:8], signed=True), int.from_bytes(binary[8:12], signed=True)
    assert timedelta(days, 0, microseconds) == delta
