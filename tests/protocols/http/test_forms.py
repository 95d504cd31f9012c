"""Pairs of queries and forms, and media types."""

import pytest

from svcmock_protocols.http.forms import (
    MAX_PAIRS,
    canonical_pairs,
    is_json,
    media_type,
    parse_pairs,
    text,
    write_pairs,
)


@pytest.mark.parametrize(
    ("encoded", "pairs"),
    [
        (b"", ()),
        (b"a=1&b=2&a=3", ((b"a", b"1"), (b"b", b"2"), (b"a", b"3"))),
        (b"a", ((b"a", b""),)),
        (b"=1", ((b"", b"1"),)),
        (b"a=b=c", ((b"a", b"b=c"),)),
        (b"a+b=%2B%zz%", ((b"a b", b"+%zz%"),)),
        (b"&&a=1&", ((b"a", b"1"),)),
        (b"a=%FF", ((b"a", b"\xff"),)),
    ],
)
def test_parsing(encoded, pairs):
    assert parse_pairs(encoded) == pairs


def test_too_many_pairs():
    assert parse_pairs(b"&" * (MAX_PAIRS - 1)) == ()
    assert parse_pairs(b"&" * MAX_PAIRS) is None


def test_writing_is_what_urlencoders_write():
    assert write_pairs([("a b", "c&d"), ("ü", "~-._/:")]) == b"a+b=c%26d&%C3%BC=~-._%2F%3A"


def test_canonical_form_is_unambiguous():
    assert canonical_pairs(((b"b", b"1"), (b"a", b"2"), (b"b", b"0"))) == b"a=2&b=1&b=0"
    assert canonical_pairs(((b"a", b"1&b=2"),)) != canonical_pairs(((b"a", b"1"), (b"b", b"2")))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", (b"", ())),
        (b"Text/HTML", (b"text/html", ())),
        (b'a/b; Charset=UTF-8 ;x="q;\\"r"', (b"a/b", ((b"charset", b"UTF-8"), (b"x", b'q;"r')))),
        (b"a/b;;; c=d", (b"a/b", ((b"c", b"d"),))),
        (b"a/b; nonsense", (b"a/b", ())),
        (b'a/b; c="open', (b"a/b", ((b"c", b""),))),
    ],
)
def test_media_types(value, expected):
    assert media_type(value) == expected


def test_json_types():
    assert is_json(b"application/json")
    assert is_json(b"application/problem+json")
    assert not is_json(b"application/jsonx")


def test_text_takes_any_bytes():
    assert text("ü".encode()) == "ü"
    assert text(b"\xff") == "\xff"
