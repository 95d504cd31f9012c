"""Fields one after another: counts, lengths, checksums, switches and bitmaps, both ways."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Invalid
from svcmock_protocols.tcp.fieldtypes import LayoutError
from svcmock_protocols.tcp.layout import compile_layout
from svcmock_protocols.tcp.records import Case, Record, names_of
from tests.protocols.tcp.framed import ISO, MODBUS


def layout(*spec: Any, side: Any = "client") -> Any:
    return compile_layout(list(spec), side)


COUNTED = ({"n": "u8"}, {"data": {"bytes": {"len_field": "n"}}}, {"tail": "u8"})
TIMES = ({"n": "u8"}, {"items": {"repeat": [{"a": "u8"}, {"b": "u8"}], "count_field": "n"}})
SUMMED = (
    {"len": {"length_of": "frame", "as": "u16"}},
    {"x": "u8"},
    {"crc": {"checksum": "crc16-modbus", "as": "u16le"}},
)
TERMINAL = (
    {"stx": {"const": 2, "as": "u8"}},
    {"text": {"ascii": {"until": "\x03"}}},
    {"lrc": {"checksum": "xor", "as": "u8", "over": ["text", "text"]}},
)


@pytest.mark.parametrize(
    ("spec", "data", "value", "plain"),
    [
        (COUNTED, b"\x02ab\x07", {"n": 2, "data": "6162", "tail": 7}, {"data": "6162", "tail": 7}),
        (
            TIMES,
            b"\x02\x01\x02\x03\x04",
            {"n": 2, "items": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]},
            {"items": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]},
        ),
        (({"x": {"repeat": "u8"}},), b"\x01\x02", {"x": [1, 2]}, {"x": [1, 2]}),
        (({"x": {"repeat": "u8", "count": 2}},), b"\x01\x02", {"x": [1, 2]}, {"x": [1, 2]}),
        (
            ({"head": [{"a": {"length_of": "rest", "as": "u8"}}, {"b": "u8"}]},),
            b"\x01\x02",
            {"head": {"a": 1, "b": 2}},
            {"head": {"b": 2}},
        ),
        (TERMINAL, b"\x02AB\x03\x00", {"stx": 2, "text": "AB", "lrc": 0x41 ^ 0x42 ^ 3}, {"text": "AB"}),
    ],
)
def test_both_ways(spec: Any, data: bytes, value: Any, plain: Any) -> None:
    made = layout(*spec)
    data = made.encode(plain, ())
    assert made.decode(data) == value
    assert made.plain(value) == plain
    assert made.encode(value, ()) == data


def test_a_length_and_a_checksum_over_all_before_it() -> None:
    made = layout(*SUMMED)
    data = made.encode({"x": 7}, ())
    assert data[:3] == b"\x00\x05\x07"
    assert made.decode(data)["len"] == 5
    with pytest.raises(LayoutError, match="crc16-modbus"):
        made.decode(data[:-1] + bytes([data[-1] ^ 1]))


def test_what_is_given_is_not_computed() -> None:
    made = layout(*SUMMED)
    assert made.encode({"len": 9, "x": 7, "crc": 0}, ()) == b"\x00\x09\x07\x00\x00"
    assert layout(*COUNTED).encode({"n": 9, "data": "00", "tail": 1}, ()) == b"\x09\x00\x01"


@pytest.mark.parametrize(
    ("spec", "value", "at"),
    [
        (COUNTED, {"data": "00"}, ("tail",)),
        (COUNTED, {"data": "00", "tail": 1, "tial": 2}, ("tial",)),
        (COUNTED, [], ()),
        (TIMES, {"items": {}}, ("items",)),
        (TIMES, {"items": [{"a": 1}]}, ("items", 0, "b")),
        (({"x": {"repeat": "u8", "count": 2}},), {"x": [1]}, ("x",)),
        (COUNTED, {"data": "00" * 256, "tail": 1}, ("n",)),
    ],
)
def test_values_that_do_not_fit(spec: Any, value: Any, at: tuple[Any, ...]) -> None:
    with pytest.raises(Invalid) as told:
        layout(*spec).encode(value, ())
    assert told.value.at == at


@pytest.mark.parametrize(
    ("spec", "data"),
    [
        (COUNTED, b""),
        (COUNTED, b"\xffab"),
        (COUNTED, b"\x02ab\x07\x00"),
        (TIMES, b"\x02\x01"),
        (({"x": {"repeat": {"ascii": 0}}}, {"y": "u8"}), b"ab"),
        (({"n": "u16"}, {"x": {"repeat": {"ascii": 0}, "count_field": "n"}}), b"\xff\xff"),
        (({"x": [{"a": "u8"}]},), b"\x01\x02"),
    ],
)
def test_bytes_that_do_not_fit(spec: Any, data: bytes) -> None:
    with pytest.raises(LayoutError):
        layout(*spec).decode(data)


# --- switches -----------------------------------------------------------------------------------------


def test_modbus_asks_and_answers() -> None:
    asked = compile_layout(MODBUS["fields"], "client")
    told = compile_layout(MODBUS["fields"], "server")
    ask = bytes.fromhex("0001 0000 0006 11 03 006b 0003")
    assert asked.decode(ask) == {
        "txid": 1, "proto": 0, "len": 6, "unit": 17, "fn": 3, "addr": 107, "count": 3,
    }  # fmt: skip
    assert asked.plain(asked.decode(ask)) == {"txid": 1, "unit": 17, "fn": 3, "addr": 107, "count": 3}
    assert asked.encode({"txid": 1, "unit": 17, "fn": 3, "addr": 107, "count": 3}, ()) == ask
    tell = bytes.fromhex("0001 0000 0009 11 03 06 ae41 5652 4340")
    plain = {"txid": 1, "unit": 17, "fn": 3, "regs": [0xAE41, 0x5652, 0x4340]}
    assert told.plain(told.decode(tell)) == plain
    assert told.encode(plain, ()) == tell
    write = {"txid": 1, "unit": 1, "fn": 16, "addr": 1, "count": 1, "data": "000a"}
    assert asked.encode(write, ()) == bytes.fromhex("0001 0000 0009 01 10 0001 0001 02 000a")
    assert told.encode({"txid": 1, "unit": 17, "fn": 0x83, "exception": 2}, ()) == bytes.fromhex(
        "0001000000031183 02"
    )
    for data in (bytes.fromhex("0001 0000 0002 11 63"), bytes.fromhex("0001 0001 0006 11 03 006b 0003")):
        with pytest.raises(LayoutError):
            asked.decode(data)
    with pytest.raises(Invalid):
        asked.encode({"txid": 1, "unit": 17}, ())
    with pytest.raises(Invalid):
        asked.encode({"txid": 1, "unit": 17, "fn": 99}, ())


@pytest.mark.parametrize(
    ("value", "holds"), [(3, True), (5, False), ("3", False), ("1..4", True), (True, False)]
)
def test_a_case(value: Any, holds: bool) -> None:
    assert Case(Record(()), 1, 4, "1..4").holds(value) is holds


def test_cases_by_text_and_the_others() -> None:
    made = layout(
        {"kind": {"ascii": 1}},
        {"switch": {"on": "kind", "cases": {"A": [{"a": "u8"}], "default": [{"b": "u16"}]}}},
    )
    assert made.decode(b"A\x01") == {"kind": "A", "a": 1}
    assert made.decode(b"B\x00\x01") == {"kind": "B", "b": 1}
    assert made.encode({"kind": "B", "b": 1}, ()) == b"B\x00\x01"


# --- bitmaps ------------------------------------------------------------------------------------------


def test_iso_8583() -> None:
    made = compile_layout(ISO["fields"], "client")
    value = {
        "mti": "0200",
        "2": "4111111111111111",
        "3": "000000",
        "4": "000000001000",
        "11": "000001",
        "41": "T1",
    }
    data = made.encode(value, ())
    assert (
        data
        == b"0200" + bytes.fromhex("7020000000800000") + b"164111111111111111000000000000001000000001T1      "
    )
    assert made.decode(data) == value
    wide = {"mti": "0800", "11": "000001", "70": "301"}
    data = made.encode(wide, ())
    assert data == b"0800" + bytes.fromhex("80200000000000000400000000000000") + b"000001301"
    assert made.decode(data) == wide
    for broken in (b"0200\x70\x20", b"0200" + bytes.fromhex("0800000000000000"), b"0200" + b"\x80" + bytes(7)):
        with pytest.raises(LayoutError):
            made.decode(broken)


def test_a_bitmap_in_hex_digits() -> None:
    made = layout({"bitmap": {"bits": 8, "encoding": "hex", "fields": {"1": "u8", "8": "u8"}}})
    assert made.decode(b"81\x05\x06") == {"1": 5, "8": 6}
    assert made.encode({"8": 6}, ()) == b"01\x06"
    with pytest.raises(LayoutError):
        made.decode(b"8x\x05")


def test_all_names() -> None:
    node = compile_layout(MODBUS["fields"], "server")._node
    assert {"txid", "regs", "exception"} <= set(names_of(node))
    assert set(names_of(compile_layout(ISO["fields"], "client")._node)) >= {"mti", "2", "70"}


@given(st.binary(max_size=60))
def test_any_bytes_are_fields_or_a_fault(data: bytes) -> None:
    """What decodes with nothing computed wrong is encoded to the same bytes."""
    for spec in (ISO["fields"], MODBUS["fields"]):
        for side in ("client", "server"):
            made = compile_layout(spec, side)  # type: ignore[arg-type]
            try:
                value = made.decode(data)
            except LayoutError:
                continue
            with contextlib.suppress(Invalid):
                made.encode(value, ())
