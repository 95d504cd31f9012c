"""What payloads mean: each side has its own declaration, a type for all of a payload, what is remembered."""

from typing import Any

import pytest

from svcmock_protocols.tcp.fieldtypes import LayoutError
from svcmock_protocols.tcp.layout import compile_layout


def test_each_side_has_its_own() -> None:
    spec = {"client": {"ascii": "rest"}, "server": [{"n": "u8"}]}
    assert compile_layout(spec, "client").decode(b"a") == "a"
    assert compile_layout(spec, "server").decode(b"a") == {"n": 97}
    assert compile_layout({"client": "ascii"}, "server").root == "json"
    assert compile_layout(spec, "client").root == "fields"


def test_without_a_declaration_json_counts() -> None:
    made = compile_layout(None, "client")
    assert made.root == "json"
    assert made.decode(b'{"a":1}') == {"a": 1}


@pytest.mark.parametrize(
    ("spec", "payload", "value"),
    [
        ({"kv": {"pair_sep": "&"}}, b"a=1&b=2", {"a": "1", "b": "2"}),
        ({"kv": {"pair_sep": "&", "value": {"split": ","}}}, b"a=1,2", {"a": ["1", "2"]}),
        ({"split": "|"}, b"a|b", ["a", "b"]),
        (
            {"split": {"by": "|", "names": ["x", "y"], "each": {"split": "^"}}},
            b"a^b|c",
            {"x": ["a", "b"], "y": ["c"]},
        ),
        ({"tlv": {"tag": 2, "length": 1}}, b"\x9f\x01\x01a", {"9f01": "61"}),
        (
            [{"n": "u8"}, {"rest": {"kv": {"pair_sep": ";", "len_field": "n"}}}],
            b"\x03a=1",
            {"n": 3, "rest": {"a": "1"}},
        ),
        (
            [{"x": {"fields": {"of": [{"a": "u8"}], "len": 1}}}, {"b": "u8"}],
            b"\x01\x02",
            {"x": {"a": 1}, "b": 2},
        ),
        (
            [{"n": "u8"}, {"switch": {"on": "n", "cases": {"1": [{"a": {"bytes": {"len_field": "n"}}}]}}}],
            b"\x01\x02",
            {"n": 1, "a": "02"},
        ),
        (
            [{"fn": "u8"}, {"data": "bytes"}, {"crc": {"checksum": "crc16-modbus", "as": "u16le"}}],
            bytes.fromhex("03 0064 802b"),
            {"fn": 3, "data": "0064", "crc": 0x2B80},
        ),
        (
            [
                {"n": "u8"},
                {"switch": {"on": "n", "cases": {"1": [{"a": {"repeat": "u8"}}], "default": []}}},
                {"end": "u8"},
            ],
            b"\1\2\3\4",
            {"n": 1, "a": [2, 3], "end": 4},
        ),
        ("utf8", b"hello", "hello"),
    ],
)
def test_types_of_a_whole_payload(spec: Any, payload: bytes, value: Any) -> None:
    made = compile_layout(spec, "client")
    assert made.decode(payload) == value
    assert made.encode(value, ()) == payload
    assert made.encode(made.plain(value), ()) == payload


def test_what_was_decoded_is_remembered() -> None:
    made = compile_layout([{"a": "u8"}], "client")
    assert made.decode(b"a") is made.decode(b"a")
    with pytest.raises(LayoutError):
        made.decode(b"ab")
