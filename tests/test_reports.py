"""Numbers and names out of queries, which anybody with the socket can send."""

import pytest

from svcmock.protocol import Invalid
from svcmock.reports import miss_id, number


@pytest.mark.parametrize(
    ("text", "expected"), [("m-8", 8), ("8", 8), (8, 8), ("", None), (None, None), ("m-0", 0)]
)
def test_a_miss(text: object, expected: int | None) -> None:
    assert miss_id(text) == expected


@pytest.mark.parametrize(
    "text", ["m-", "m-x", "m--1", "-1", "m-1.5", "m-²", "9" * 5000, True, [], "m-m-1", " 1"]
)
def test_no_miss(text: object) -> None:
    with pytest.raises(Invalid, match="expected a miss, like m-8, got `"):
        miss_id(text)


@pytest.mark.parametrize(("text", "expected"), [(None, 7), ("0", 0), ("12", 12), (12, 12)])
def test_a_count(text: object, expected: int) -> None:
    assert number(text, 7) == expected


@pytest.mark.parametrize("text", ["", "-1", "1e3", "0x1", "1_000", {}])
def test_no_count(text: object) -> None:
    with pytest.raises(Invalid, match="expected a number, got `"):
        number(text, 7)
