"""Dates and times."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.postgres import types
from svcmock_protocols.postgres.types.dates import day_of, parts_of_day
from tests.protocols.postgres.types.forms import both_ways, canonical, is_read_as, no_bytes, no_text


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("date", "2000-01-01", "00000000"),
        ("date", "1999-12-31", "ffffffff"),
        ("date", "2024-02-29", "00002279"),
        ("date", "0001-01-01", "fff4dbf9"),
        ("date", "0001-12-31 BC", "fff4dbf8"),
        ("date", "4714-11-24 BC", "ffda97a7"),
        ("date", "10000-01-01", "002c95d4"),
        ("date", "5874897-12-31", "7fda970c"),
        ("date", "infinity", "7fffffff"),
        ("date", "-infinity", "80000000"),
        ("time", "00:00:00", "0000000000000000"),
        ("time", "24:00:00", "000000141dd76000"),
        ("time", "12:34:56.7", "0000000a8be4ca60"),
        ("timetz", "00:00:00+00", "0000000000000000 00000000"),
        ("timetz", "04:05:06.789-08", "000000036c97ca88 00007080"),
        ("timetz", "00:00:00+05:30", "0000000000000000 ffffb2a8"),
        ("timetz", "00:00:00+15:59:59", "0000000000000000 ffff1f01"),
        ("timestamp", "2000-01-01 00:00:00", "0000000000000000"),
        ("timestamp", "1999-12-31 23:59:59.999999", "ffffffffffffffff"),
        ("timestamp", "2000-01-01 00:00:00.5", "000000000007a120"),
        ("timestamp", "infinity", "7fffffffffffffff"),
        ("timestamp", "-infinity", "8000000000000000"),
        ("timestamptz", "2000-01-01 00:00:01+00", "00000000000f4240"),
    ],
)
def test_both_forms(name, text, data):
    both_ways(name, text, data)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("date", "2024-1-5", "2024-01-05"),
        ("date", "2024-01-05 10:00:00", "2024-01-05"),
        ("date", "2024-01-05 AD", "2024-01-05"),
        ("time", "4:05", "04:05:00"),
        ("time", "04:05:06.1234567", "04:05:06.123457"),
        ("time", "04:05:06+02", "04:05:06"),
        ("timetz", "04:05:06Z", "04:05:06+00"),
        ("timetz", "04:05:06-0330", "04:05:06-03:30"),
        ("timestamp", "2024-01-01T10:00:00", "2024-01-01 10:00:00"),
        ("timestamp", "2024-01-01 10:00:00+05", "2024-01-01 10:00:00"),
        ("timestamp", "2024-01-01", "2024-01-01 00:00:00"),
        ("timestamp", "2024-01-01 24:00:00", "2024-01-02 00:00:00"),
        ("timestamp", "2024-01-01 10:00", "2024-01-01 10:00:00"),
        ("timestamp", "0044-03-15 12:00:00.25 BC", "0044-03-15 12:00:00.25 BC"),
        ("timestamp", "294276-12-31 23:59:59.999999", "294276-12-31 23:59:59.999999"),
        ("timestamptz", "2024-01-01T10:00:00Z", "2024-01-01 10:00:00+00"),
        ("timestamptz", "2024-01-01 10:00:00.5+02:00", "2024-01-01 08:00:00.5+00"),
        ("timestamptz", "2024-01-01 10:00:00-05:30", "2024-01-01 15:30:00+00"),
        ("timestamptz", "2024-01-01 10:00:00 UTC", "2024-01-01 10:00:00+00"),
        ("timestamptz", "1883-01-01 00:00:00-04:56:02", "1883-01-01 04:56:02+00"),
        ("timestamptz", "0044-03-15 12:00:00+00 BC", "0044-03-15 12:00:00+00 BC"),
    ],
)
def test_other_spellings(name, text, shown):
    is_read_as(name, text, shown)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("date", ""),
        ("date", "today"),
        ("date", "2024-13-01"),
        ("date", "2023-02-29"),
        ("date", "0000-01-01"),
        ("date", "5874898-01-01"),
        ("date", "4715-01-01 BC"),
        ("date", "12:00"),
        ("time", "25:00"),
        ("time", "12:60"),
        ("time", "2024-01-01"),
        ("timetz", "12:00+17"),
        ("timetz", "12:00+01:99"),
        ("timestamp", "12:00"),
        ("timestamp", "2024-01-01 10"),
        ("timestamp", "294277-01-01"),
        ("timestamptz", "2024-01-01 10:00:00 Europe/Berlin"),
        ("timestamptz", "01/02/2024"),
        ("timestamp", "9" * 5000),
    ],
)
def test_texts_that_are_none(name, text):
    no_text(name, text)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("date", "00"),
        ("date", "80000001"),
        ("date", "7ffffffe"),
        ("time", "ffffffffffffffff"),
        ("time", "000000141dd76001"),
        ("time", ""),
        ("timetz", "0000000000000000"),
        ("timetz", "0000000000000000 0000e100"),
        ("timestamp", "8000000000000001"),
        ("timestamp", "7ffffffffffffffe"),
        ("timestamptz", "00"),
    ],
)
def test_bytes_that_are_none(name, data):
    no_bytes(name, data)


def test_an_instant_is_one_whatever_its_zone():
    assert canonical("timestamptz", "2024-01-01 01:00:00+01") == canonical(
        "timestamptz", "2024-01-01T00:00:00Z"
    )
    assert canonical("timestamp", "2024-01-01T00:00:00.000") == "2024-01-01 00:00:00"
    assert canonical("timestamptz", "yesterday") == "yesterday"


@given(st.integers(-2_451_545, 2_145_031_948))
def test_a_day_is_the_sum_of_its_parts(days):
    assert day_of(*parts_of_day(days)) == days


@given(st.dates())
def test_the_days_of_python(day):
    days = day.toordinal() - date(2000, 1, 1).toordinal()
    assert parts_of_day(days) == (day.year, day.month, day.day)
    assert types.to_text(1082, types.to_binary(1082, day.isoformat())) == day.isoformat()


@given(st.datetimes())
def test_the_moments_of_python(moment):
    text = types.to_text(1114, types.to_binary(1114, str(moment)))
    assert datetime.fromisoformat(text) == moment
    zoned = types.to_text(1184, types.to_binary(1184, f"{moment.isoformat()}+00:00"))
    assert datetime.fromisoformat(zoned) == moment.replace(tzinfo=UTC)
