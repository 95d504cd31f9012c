"""Single fields: each type's bytes and value, both ways; what does not fit is told, in both directions."""

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Invalid
from svcmock_protocols.tcp import fieldtypes as ft
from svcmock_protocols.tcp.layout import compile_layout

CASES: list[tuple[Any, bytes, Any]] = [
    ("u8", b"\x07", 7),
    ("u16", b"\x01\x02", 258),
    ("u16le", b"\x02\x01", 258),
    ("u24", b"\x01\x00\x00", 65536),
    ("i32", b"\xff\xff\xff\xfe", -2),
    ("i64le", b"\xfe" + b"\xff" * 7, -2),
    ("u64", b"\xff" * 8, (1 << 64) - 1),
    ("f32", struct.pack(">f", 1.5), 1.5),
    ("f64le", struct.pack("<d", -0.1), -0.1),
    ("f64", struct.pack(">d", math.inf), "inf"),
    ("digits4", b"0042", 42),
    ({"ascii": 4}, b"PING", "PING"),
    ({"ascii": {"len": 6, "pad": " "}}, b"PING  ", "PING"),
    ({"ascii": {"len": 6, "pad": "0", "align": "right"}}, b"000042", "42"),
    ({"utf8": "rest"}, "gr\u00fcn".encode(), "gr\u00fcn"),
    ({"latin1": 2}, b"\xe9\xe8", "\u00e9\u00e8"),
    ({"ebcdic": 3}, b"\xc1\xc2\xc3", "ABC"),
    ("bytes", b"\x00\xff", "00ff"),
    ({"hex": 2}, b"\x00\xff", "00ff"),
    ({"bcd": 2}, b"\x12\x34", "1234"),
    ({"ascii": {"until": "\n"}}, b"PING\n", "PING"),
    ({"ascii": "llvar"}, b"04PING", "PING"),
    ({"llvar": "ascii"}, b"04PING", "PING"),
    ({"lllvar": "bytes"}, b"002\x01\x02", "0102"),
    ({"ascii": {"var": 1}}, b"4PING", "PING"),
    ({"ascii": {"prefix": "u16le"}}, b"\x04\x00PING", "PING"),
    ({"const": 7, "as": "u16"}, b"\x00\x07", 7),
    ({"const": "MAGIC"}, b"MAGIC", "MAGIC"),
]


def layout(spec: Any) -> Any:
    return compile_layout([{"v": spec}], "client")


@pytest.mark.parametrize(("spec", "data", "value"), CASES, ids=[str(case[0]) for case in CASES])
def test_a_type(spec: Any, data: bytes, value: Any) -> None:
    made = layout(spec)
    assert made.decode(data) == {"v": value}
    assert made.encode({"v": value}, ()) == data
    for cut in range(len(data)):
        try:
            assert made.decode(data[:cut]) != {"v": value}
        except ft.LayoutError:
            continue


@pytest.mark.parametrize(
    ("spec", "data"),
    [
        ("u16", b"\x01"),
        ("u8", b"\x01\x02"),
        ("digits2", b"1x"),
        ("digits2", b"-1"),
        ({"ascii": "rest"}, b"\xe9"),
        ({"utf8": "rest"}, b"\xe9"),
        ({"bcd": 1}, b"\x1a"),
        ({"ascii": {"until": "\n"}}, b"PING"),
        ({"llvar": "ascii"}, b"09PING"),
        ({"llvar": "ascii"}, b"xxPING"),
        ({"ascii": {"prefix": "i8"}}, b"\xffPING"),
        ({"ascii": {"prefix": "f32"}}, struct.pack(">f", 2.5) + b"PING"),
        ({"const": 7, "as": "u8"}, b"\x08"),
    ],
)
def test_bytes_that_do_not_fit(spec: Any, data: bytes) -> None:
    with pytest.raises(ft.LayoutError):
        layout(spec).decode(data)


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ("u8", 256),
        ("u8", -1),
        ("i8", 128),
        ("u8", "x"),
        ("u8", True),
        ("u8", 1.5),
        ("f32", "x"),
        ("f32", 1e300),
        ("f32", None),
        ("digits2", 100),
        ("digits2", -1),
        ({"ascii": 4}, "PINGS"),
        ({"ascii": 4}, "\u00e9abc"),
        ({"ascii": 4}, None),
        ({"ascii": {"len": 4, "pad": " "}}, "PINGS"),
        ({"hex": 2}, "00f"),
        ({"hex": 2}, "zz"),
        ({"hex": 2}, 12),
        ({"bcd": 2}, "123"),
        ({"bcd": 2}, "12a4"),
        ({"ascii": {"until": "\n"}}, "a\nb"),
        ({"llvar": "ascii"}, "x" * 100),
        ({"const": 7, "as": "u8"}, 8),
    ],
)
def test_values_that_do_not_fit(spec: Any, value: Any) -> None:
    with pytest.raises(Invalid) as told:
        layout(spec).encode({"v": value}, ("respond",))
    assert told.value.at == ("respond", "v")


def test_numbers_may_be_written_as_text() -> None:
    """Templates make text of what stands beside text."""
    assert layout("u16").encode({"v": "258"}, ()) == b"\x01\x02"
    assert layout({"ascii": 2}).encode({"v": 42}, ()) == b"42"
    assert layout({"bcd": 2}).encode({"v": 1234}, ()) == b"\x12\x34"


def test_sizes() -> None:
    sizes = {"u24": 3, "f64": 8, "digits4": 4}
    assert {name: ft.size_of(node) for name in sizes if (node := ft.number(name)) is not None} == sizes
    assert ft.number("u12") is None
    assert ft.number("ascii") is None
    assert ft.size_of(ft.Bounded(ft.Hex())) is None


@pytest.mark.parametrize(
    ("scope", "count"), [({"n": 3}, 3), ({"n": "12"}, 12), ({"n": -1}, None), ({}, None), ({"n": "x"}, None)]
)
def test_a_count(scope: dict[str, Any], count: int | None) -> None:
    if count is None:
        with pytest.raises(ft.LayoutError):
            ft.counted(scope, "n")
    else:
        assert ft.counted(scope, "n") == count


def test_text_of_unknown_encoding() -> None:
    assert ft.text_of("\u00e9".encode()) == ft.text_of(b"\xe9") == "\u00e9"


@given(st.sampled_from(["u8", "u16le", "i32", "u64", "i24le"]), st.binary(min_size=8, max_size=8))
def test_integers_are_those_of_the_language(name: str, data: bytes) -> None:
    node = ft.number(name)
    assert node is not None
    size = ft.size_of(node) or 0
    value, at = node.decode(data, 0, len(data), {})
    assert at == size
    assert node.encode(value, ()) == data[:size]
    assert value == int.from_bytes(data[:size], "little" if "le" in name else "big", signed=name[0] == "i")
