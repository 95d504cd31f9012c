"""Regular expressions over bytes."""

import pytest

from svcmock.protocol import Invalid
from svcmock_protocols.tcp.patterns import MAX_PATTERN, compile_pattern


def test_a_byte_is_a_character() -> None:
    assert compile_pattern("^\xff.$").search(b"\xff\x80") is not None
    assert compile_pattern("a") is compile_pattern("a", "elsewhere")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "not a regular expression"),
        ("(?=a)", "not a regular expression"),
        ("\u0100", "over bytes"),
        ("a" * (MAX_PATTERN + 1), "more than"),
    ],
)
def test_a_pattern_that_is_none_is_told_with_its_place(pattern: str, why: str) -> None:
    for place in (("reply", "until"), ()):  # what is remembered is told again, wherever it stands
        with pytest.raises(Invalid, match=why) as told:
            compile_pattern(pattern, *place)
        assert told.value.at == place
