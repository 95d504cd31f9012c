"""Durations: what a person writes, and what a recording writes is read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Invalid
from svcmock_protocols.tcp.gaps import MAX_GAP, duration, gap, show_duration


@pytest.mark.parametrize(
    ("doc", "seconds"),
    [
        ("20ms", 0.02),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("250us", 0.00025),
        (3, 3.0),
        (0, 0.0),
        ("7", 7.0),
    ],
)
def test_a_duration(doc: object, seconds: float) -> None:
    assert duration(doc) == pytest.approx(seconds, abs=1e-12)


@pytest.mark.parametrize("doc", ["", "x", "-1s", -1, True, None, "25h", 1e300, float("nan"), "1 s", []])
def test_what_is_none(doc: object) -> None:
    with pytest.raises(Invalid):
        duration(doc, "after")


@given(st.integers(0, int(MAX_GAP * 1000)))
def test_what_is_recorded_is_read_back(milliseconds: int) -> None:
    seconds = gap(milliseconds / 1000)
    assert duration(show_duration(seconds)) == pytest.approx(seconds, abs=1e-6)


def test_a_gap_that_the_network_made_is_none() -> None:
    assert gap(0.0019) == gap(-1) == 0.0
    assert gap(0.0204) == 0.02
    assert gap(1e9) == MAX_GAP
