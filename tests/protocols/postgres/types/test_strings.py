"""Text and what is nearly text."""

import pytest

from tests.protocols.postgres.types.forms import both_ways, canonical, is_read_as, no_bytes, no_text


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("text", "", ""),
        ("text", "Zürich", "5ac3bc72696368"),
        ("varchar", "a b ", "61206220"),
        ("bpchar", "ab  ", "61622020"),
        ("name", "users", "7573657273"),
        ("unknown", "x", "78"),
        ("xml", "<a/>", "3c612f3e"),
        ("refcursor", "c1", "6331"),
        ("cstring", "x", "78"),
        ("json", '{"b": 1 }', "7b2262223a2031207d"),
        ("jsonb", '{"b": 1}', "01 7b2262223a20317d"),
        ("jsonpath", '$."a"', "01 242e226122"),
        ("bytea", "\\x", ""),
        ("bytea", "\\x00ff", "00ff"),
        ("char", "a", "61"),
        ("char", "", "00"),
        ("char", "\\377", "ff"),
        ("uuid", "00112233-4455-6677-8899-aabbccddeeff", "00112233445566778899aabbccddeeff"),
        ("bit", "101", "00000003 a0"),
        ("varbit", "", "00000000"),
        ("varbit", "0000000011", "0000000a 00c0"),
        ("void", "", ""),
    ],
)
def test_both_forms(name, text, data):
    both_ways(name, text, data)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("bytea", "\\xAB cd", "\\xabcd"),
        ("bytea", "a\\\\b\\001", "\\x615c6201"),
        ("bytea", "plain", "\\x706c61696e"),
        ("uuid", "{00112233445566778899AABBCCDDEEFF}", "00112233-4455-6677-8899-aabbccddeeff"),
        ("bit", "B101", "101"),
        ("bit", "xA", "1010"),
        ("char", "abc", "a"),
    ],
)
def test_other_spellings(name, text, shown):
    is_read_as(name, text, shown)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bytea", "\\xabc"),
        ("bytea", "\\xzz"),
        ("bytea", "a\\b"),
        ("uuid", "0011"),
        ("uuid", ""),
        ("bit", "12"),
        ("bit", "x_"),
        ("void", "x"),
        ("text", "\ud800"),
    ],
)
def test_texts_that_are_none(name, text):
    no_text(name, text)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("text", "ff"),
        ("text", "610062"),
        ("jsonb", ""),
        ("jsonb", "02 7b7d"),
        ("jsonb", "01 ff"),
        ("char", ""),
        ("char", "6162"),
        ("uuid", "00"),
        ("bit", "0000"),
        ("bit", "00000009 ff"),
        ("bit", "00000001 ffff"),
        ("bit", "ffffffff"),
        ("void", "00"),
    ],
)
def test_bytes_that_are_none(name, data):
    no_bytes(name, data)


@pytest.mark.parametrize("name", ["json", "jsonb"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1, "b": [true, null]}', '{"b":[true,null],"a":1.0}'),
        ('{"a": 1, "a": 2}', '{"a":2}'),
        ("1e2", "100"),
        ('"\\u00e9"', '"é"'),
        ('{"a": 0.10}', ' {"a" : 1e-1 } '),
    ],
)
def test_equal_json(name, one, other):
    assert canonical(name, one) == canonical(name, other)


def test_json_is_readable_in_its_one_form():
    assert canonical("jsonb", '{"b": -1.50, "a": "x\\"1"}') == '{"a":"x\\"1","b":-1.5}'
    assert canonical("jsonb", "12345678901234567890123") == "12345678901234567890123"


@pytest.mark.parametrize("text", ["{", "", "{'a': 1}", "[" * 100_000, '{"a": 1e99999999}'])
def test_no_json_stands_for_itself(text):
    assert canonical("json", text) == text


def test_blanks_at_the_end_of_a_character_do_not_count():
    assert canonical("bpchar", "ab  ") == "ab"
    assert canonical("text", "ab  ") == "ab  "
