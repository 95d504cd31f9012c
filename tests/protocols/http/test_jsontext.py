"""JSON layouts: `show` finds the one that `write` makes the same bytes of."""

import pytest

from svcmock_protocols.http.jsontext import MAX_DEPTH, is_layout, show, write


@pytest.mark.parametrize(
    "layout",
    [
        "",
        "spaced",
        "indent 1",
        "indent 2",
        "indent 4",
        "indent 8",
        "indent tab",
        "ascii",
        "spaced ascii slashes newline",
        "html",
        "indent 2 ascii slashes html newline",
        "html newline",
    ],
)
def test_every_layout_is_found_again(layout):
    value = {"a": [1, "é</a>&", {"b": {}, "c": []}], "d": None}
    written = write(value, layout)
    assert show(written) == (value, layout)
    assert is_layout(layout)


@pytest.mark.parametrize(
    "layout", ["pretty", "indent 9", "indent", "spaced compact", "ascii spaced", "indent 2 x"]
)
def test_no_layout(layout):
    assert not is_layout(layout)


def test_compact_may_be_said():
    assert write([1, 2], "compact") == b"[1,2]"
    assert is_layout("compact newline")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"nope",
        b"NaN",
        b"1e999",
        b'"\\ud800"',
        b'{"a":1,"a":2}',
        b"1.50",
        b"12345678901234567890",
        b"\xff",
        b" 1",
        b'{"a":1 }',
        b'"\\u00E9"',
        b"1E5",
        b"-0",
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    ],
)
def test_what_no_layout_gives_back(text):
    assert show(text) is None


def test_depth():
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert show(deep) is not None
    wide = b"[" + b",".join([b"[]"] * 100) + b"]"
    assert show(wide) is not None


def test_infinity_cannot_be_written():
    with pytest.raises(ValueError, match="JSON"):
        write(float("inf"))
