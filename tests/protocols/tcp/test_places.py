"""Numbers at fixed places: which there are, and that nothing depends on them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.tcp.canonical import key
from svcmock_protocols.tcp.fieldtypes import Bounded, Hex, Integer, LayoutError
from svcmock_protocols.tcp.layout import compile_layout
from svcmock_protocols.tcp.messages import ReplyRules, Request, Setting
from svcmock_protocols.tcp.places import Copy, Place, blanked, copied, copies, places
from svcmock_protocols.tcp.rules import adapt, compile_settings
from tests.protocols.tcp.framed import ISO, MODBUS, service

U16 = Integer(2, "big", signed=False)
U8 = Integer(1, "big", signed=False)


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (MODBUS["fields"], {"txid": Place(0, U16), "unit": Place(6, U8)}),
        (ISO["fields"], {}),
        ([{"a": {"ascii": 2}}, {"b": "u8"}, {"c": {"ascii": "llvar"}}, {"d": "u8"}], {"b": Place(2, U8)}),
        ([{"a": "u8"}, {"crc": {"checksum": "sum8", "as": "u8"}}], {}),
        ([{"n": "u8"}, {"b": "u8"}, {"d": {"bytes": {"len_field": "n"}}}], {"b": Place(1, U8)}),
        ([{"n": "u8"}, {"b": "u8"}, {"d": {"repeat": "u8", "count_field": "n"}}], {"b": Place(1, U8)}),
        (
            [
                {"n": "u8"},
                {"t": "u8"},
                {"switch": {"on": "t", "cases": {"1": [{"d": {"bytes": {"len_field": "n"}}}]}}},
            ],
            {},
        ),
        (
            [
                {"n": "u8"},
                {"t": "u8"},
                {"switch": {"on": "t", "cases": {"default": [{"c": {"checksum": "xor", "as": "u8"}}]}}},
            ],
            {},
        ),
        ({"kv": {"pair_sep": "&"}}, {}),
        (None, {}),
    ],
)
def test_which_there_are(spec: Any, found: dict[str, Place]) -> None:
    assert dict(compile_layout(spec, "client").places) == found


def test_only_records_have_places() -> None:
    assert places(Bounded(Hex())) == {}


@pytest.mark.parametrize(
    ("rules", "made"),
    [
        ({}, ()),
        ({"correlate": "txid"}, (Copy(0, 0, 2),)),
        ({"correlate": "txid", "echo": ["unit"]}, (Copy(0, 0, 2), Copy(6, 6, 1))),
        ({"echo": ["fn"]}, None),
        ({"swap": [["txid", "unit"]]}, None),
        ({"set": {"unit": 3}}, None),
        ({"set": {"unit": {"req": "unit", "add": 1}}}, None),
        ({"set": {"txid": {"count": 1}}}, None),
    ],
)
def test_which_settings_only_move_numbers(rules: dict[str, Any], made: tuple[Copy, ...] | None) -> None:
    asked, told = (compile_layout(MODBUS["fields"], side).places for side in ("client", "server"))  # type: ignore[arg-type]
    typed = compile_settings(ReplyRules(**rules)) if "swap" not in rules else (("txid", Setting("unit")),)
    assert copies(told, asked, typed) == made


def test_what_is_too_short_stays_as_it_is() -> None:
    assert blanked(b"\x01", (Place(0, U16),)) == b"\x01"
    assert blanked(b"\x01\x02\x03", (Place(0, U16),)) == b"\x00\x00\x03"
    assert copied(b"\x01\x02\x03", b"\x07\x08\x09", (Copy(0, 1, 2),)) == b"\x08\x09\x03"


@given(st.binary(min_size=2, max_size=2), st.sampled_from([3, 6, 99]), st.binary(min_size=4, max_size=4))
def test_moving_is_what_decoding_and_encoding_does(txid: bytes, function: int, body: bytes) -> None:
    context = service(MODBUS, reply={"correlate": "txid", "echo": ["unit"]})
    dialect = context.schema
    asked = txid + b"\x00\x00\x00\x06\x11" + bytes([function]) + body
    told = bytes.fromhex("0001 0000 0005 10 03 02 ae41")
    assert dialect.copies is not None
    try:
        fields = dialect.asked.decode(asked)
    except LayoutError:
        assert key(Request(asked), context) == b"frame\0: " + asked
        return
    assert copied(told, asked, dialect.copies) == adapt(dialect.told, told, dialect.settings, fields, 0)
    assert key(Request(asked), context) == key(Request(b"\x00\x00" + asked[2:]), context)
