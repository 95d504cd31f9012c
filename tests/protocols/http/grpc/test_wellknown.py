"""Text forms of times, durations and masks; the library's own are the oracle in test_schema_oracle."""

import pytest

from svcmock_protocols.http.grpc.wellknown import (
    parse_duration,
    parse_mask,
    parse_timestamp,
    show_duration,
    show_mask,
    show_timestamp,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((0, 0), "1970-01-01T00:00:00Z"),
        ((-1, 500_000_000), "1969-12-31T23:59:59.500Z"),
        ((1, 1_000), "1970-01-01T00:00:01.000001Z"),
        ((1, 1), "1970-01-01T00:00:01.000000001Z"),
        ((-62135596800, 0), "0001-01-01T00:00:00Z"),
        ((253402300799, 999_999_999), "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_timestamps(value, text):
    assert show_timestamp(*value) == text
    assert parse_timestamp(text) == value


@pytest.mark.parametrize("value", [(-62135596801, 0), (253402300800, 0), (0, -1), (0, 10**9), (2**62, 0)])
def test_times_without_a_text(value):
    assert show_timestamp(*value) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2020-01-01t00:00:00z", (1577836800, 0)),
        ("2020-01-01 00:00:00Z", (1577836800, 0)),
        ("2020-01-01T02:00:00+02:00", (1577836800, 0)),
        ("2019-12-31T18:30:00.5-05:30", (1577836800, 500_000_000)),
        ("2020-01-01", None),
        ("2020-01-01T00:00:00", None),
        ("2020-13-01T00:00:00Z", None),
        ("2020-02-30T00:00:00Z", None),
        ("2020-01-01T00:00:60Z", None),
        ("2020-01-01T00:00:00.Z", None),
        ("2020-01-01T00:00:00.1234567890Z", None),
        ("2020-01-01T00:00:00+25:00", None),
        ("0000-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("٢٠٢٠-01-01T00:00:00Z", None),
    ],
)
def test_times_as_people_write_them(text, value):
    assert parse_timestamp(text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((0, 0), "0s"),
        ((1, 500_000_000), "1.500s"),
        ((0, -500_000_000), "-0.500s"),
        ((-3, -1), "-3.000000001s"),
        ((315_576_000_000, 0), "315576000000s"),
    ],
)
def test_durations(value, text):
    assert show_duration(*value) == text
    assert parse_duration(text) == value


@pytest.mark.parametrize("value", [(1, -1), (-1, 1), (0, 10**9), (315_576_000_001, 0)])
def test_durations_without_a_text(value):
    assert show_duration(*value) is None


@pytest.mark.parametrize(
    "text", ["", "1", "s", "1.s", "1.0000000000s", "1m", "+1s", "1e3s", "315576000001s", "٣s"]
)
def test_no_durations(text):
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("paths", "text"),
    [
        ([], ""),
        (["name"], "name"),
        (["user.first_name", "age", "a.b_c.d"], "user.firstName,age,a.bC.d"),
        (["line_1", "a_"], "line_1,a_"),
    ],
)
def test_masks(paths, text):
    assert show_mask(paths) == text
    assert parse_mask(text) == paths


@pytest.mark.parametrize("paths", [[""], ["firstName"], ["a_b", "C"], ["a,b"]])
def test_masks_without_a_text(paths):
    assert show_mask(paths) is None
