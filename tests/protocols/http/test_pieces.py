"""Durations, chunk sizes and streams as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Invalid
from svcmock_protocols.http.messages import Chunk
from svcmock_protocols.http.pieces import MAX_GAP, chunks, duration, show_chunks, show_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02),
        ("1.5s", 1.5),
        ("1.9ms", 0.0019),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("3", 3.0),
        (0.25, 0.25),
        (2, 2.0),
        ("250us", 0.00025),
        ("1e-05s", 1e-05),
    ],
)
def test_durations(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "ms", "-1s", "1 s", "1d", "nan", "25h", float("inf"), float("nan"), -1, True, None, [], 10**400],
)
def test_no_durations(text):
    with pytest.raises(Invalid):
        duration(text, "after")


@given(st.floats(0, MAX_GAP))
def test_every_duration_is_read_back_exactly(seconds):
    assert duration(show_duration(seconds)) == seconds


def test_durations_are_short():
    assert [show_duration(s) for s in (0.02, 1.5, 0.0019, 61.0)] == ["20ms", "1.5s", "1.9ms", "61s"]


@given(st.lists(st.builds(Chunk, st.integers(1, 3), st.sampled_from([0.0, 0.5])), max_size=12).map(tuple))
def test_every_cut_is_read_back(cut):
    assert chunks(show_chunks(cut)) == cut


def test_a_million_pieces_are_one_line_but_not_more():
    assert show_chunks((Chunk(8192),) * 1000) == ["8192 x 1000"]
    with pytest.raises(Invalid):
        chunks(["1 x 1000000", 1])
