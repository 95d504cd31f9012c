"""Patterns of PSUBSCRIBE, with an oracle made of regular expressions."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.redis.glob import WORK_MAX, matches

TABLE = [
    (b"news", b"news", True),
    (b"news", b"news2", False),
    (b"news.*", b"news.eu", True),
    (b"news.*", b"news.", True),
    (b"news.*", b"new.eu", False),
    (b"*", b"", True),
    (b"**a*", b"xxaxx", True),
    (b"h?llo", b"hello", True),
    (b"h?llo", b"hllo", False),
    (b"h[ae]llo", b"hallo", True),
    (b"h[ae]llo", b"hillo", False),
    (b"h[^e]llo", b"hello", False),
    (b"h[a-c]llo", b"hbllo", True),
    (b"h[c-a]llo", b"hbllo", True),
    (rb"h\*llo", b"h*llo", True),
    (rb"h\*llo", b"hallo", False),
    (rb"[\]]", b"]", True),
    (b"[a", b"a", True),
    (b"[", b"", False),
    (b"a\\", b"a\\", True),
    (b"", b"", True),
    (b"", b"a", False),
]


@pytest.mark.parametrize(("pattern", "text", "expected"), TABLE)
def test_patterns(pattern, text, expected):
    assert matches(pattern, text) is expected


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_stars_and_marks(pattern, text):
    oracle = re.compile(pattern.replace("*", ".*").replace("?", "."))
    assert matches(pattern.encode(), text.encode()) is (oracle.fullmatch(text) is not None)


def test_no_pattern_takes_long():
    assert not matches(b"*a" * 200 + b"b", b"a" * 600)
    assert not matches(b"*" * WORK_MAX, b"aa")
    assert not matches(b"*" * WORK_MAX, b"")
