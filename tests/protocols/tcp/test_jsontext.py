"""JSON payloads: what counts as JSON, and its text written again as it was."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Invalid
from svcmock_protocols.tcp.fieldtypes import LayoutError
from svcmock_protocols.tcp.jsontext import JSON, JSON_FORMS, MAX_JSON_DEPTH, json_form, write_json


@pytest.mark.parametrize(
    ("payload", "form"),
    [
        (b'{"a":1}', "compact"),
        (b'{"a": 1, "b": [1, 2]}', "spaced"),
        ('{"a":"\u00e9"}'.encode(), "compact"),
        (b'{"a":"\\u00e9"}', "compact ascii"),
        (b'{"a": "\\u00e9"}', "spaced ascii"),
        (b'{\n  "a": 1\n}', "indent 2"),
        (b"[]", "compact"),
        (b'{"a":1 }', None),
        (b'{"a":1.0e0}', None),
        (b"1", None),
    ],
)
def test_a_form(payload: bytes, form: str | None) -> None:
    assert json_form(payload) == form
    if form is not None:
        assert JSON.encode(JSON.decode(payload), (), payload) == payload


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"1",
        b'"a"',
        b"{",
        b'{"a":1}x',
        b'{"a":1,"a":2}',
        b"[NaN]",
        b"[1e999]x",
        b"\xff{}",
        b'{"a":"\xff"}',
        b"[" * (MAX_JSON_DEPTH + 2) + b"]" * (MAX_JSON_DEPTH + 2),
        b"[" * 100_000,
        b"[" + b"9" * 5000 + b"]",
    ],
)
def test_what_is_no_json(payload: bytes) -> None:
    with pytest.raises(LayoutError):
        JSON.decode(payload)


@pytest.mark.parametrize("value", [{"a": b""}, {1: object()}, "\ud800"])
def test_what_cannot_be_written(value: Any) -> None:
    with pytest.raises(Invalid) as told:
        write_json(value, "compact", ("json",))
    assert told.value.at == ("json",)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), _VALUES, max_size=4), st.sampled_from(sorted(JSON_FORMS)))
def test_it_reads_as_the_library_does(value: dict[str, Any], form: str) -> None:
    payload = write_json(value, form, ()) if _encodes(value) else b"{}"
    assert JSON.decode(payload) == json.loads(payload)
    assert JSON.plain(value) is value


def _encodes(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
