"""Field lines and pairs as documents hold them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Invalid
from svcmock_protocols.http.forms import write_pairs
from svcmock_protocols.http.lines import MAX_LINES, block, pairs, scalar, show_block, show_pairs, value_bytes

VALUE = st.binary(max_size=12).map(lambda raw: bytes(b for b in raw if b == 9 or 0x20 <= b != 0x7F))
LINE = st.builds(
    lambda name, value: name + b":" + value + b"\r\n", st.sampled_from([b"A", b"x-B", b"!"]), VALUE
)


@given(st.lists(LINE, max_size=5).map(b"".join))
def test_every_block_is_read_back(sent):
    assert block(show_block(sent)) == sent


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"A: b\r\n", ["A", "b"]),
        (b"A: b  c\td\r\n", ["A", "b  c\td"]),
        ("A: grün\r\n".encode(), ["A", "grün"]),
        (b"A: \xff\r\n", ["A", {"hex": "ff"}]),
        (b"A: " + b"\xff" * 65 + b"\r\n", ["A", {"base64": "/" * 86 + "8="}]),
        (b"A:b\r\n", {"line": "A:b"}),
        (b"A: \r\n", {"line": "A: "}),
        (b"A: b \r\n", {"line": "A: b "}),
    ],
)
def test_lines(line, shown):
    assert show_block(line) == [shown]


def test_nothing_is_no_lines():
    assert block(None) == block([]) == block({}) == b""


def test_an_empty_value_may_be_written():
    assert block({"A": ""}) == b"A: \r\n"


def test_too_many_lines():
    assert block([["A", "b"]] * MAX_LINES)
    with pytest.raises(Invalid):
        block([["A", "b"]] * (MAX_LINES + 1))


@pytest.mark.parametrize(
    "value", [" b", "b ", "a\rb", "a\nb", "a\0b", "a\x7fb", {"file": "x"}, {"base64": "DQo="}, None, [1]]
)
def test_values_that_would_break_a_message(value):
    with pytest.raises(Invalid):
        block([["A", value]])


def test_plain_values_as_text():
    assert [scalar(value, ()) for value in (1, 1.5, True, False, "x")] == ["1", "1.5", "true", "false", "x"]
    assert value_bytes({"hex": "00"}, ()) == b"\0"


@pytest.mark.parametrize(
    ("encoded", "shown"),
    [
        (b"a=1", {"a": "1"}),
        (b"a=1&a=2&b=", {"a": ["1", "2"], "b": ""}),
        (b"a=1&b=2&a=3", [["a", "1"], ["b", "2"], ["a", "3"]]),
        (b"", None),
        (b"a", None),
        (b"a=%20", None),
        (b"a=%ff", None),
        (b"a=1&", None),
    ],
)
def test_pairs(encoded, shown):
    assert show_pairs(encoded) == shown
    assert shown is None or write_pairs(pairs(shown)) == encoded


@pytest.mark.parametrize("doc", ["a=1", 5, [["a"]], [["a", None]], {"a": {"b": 1}}, {"a": None}])
def test_no_pairs(doc):
    with pytest.raises(Invalid):
        pairs(doc, "query")
