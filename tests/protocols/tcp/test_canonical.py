"""When two frames are the same, what predicates see, and what recordings hide."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Context
from svcmock_protocols.tcp.canonical import (
    MAX_HEX,
    NAMES,
    HiddenError,
    address,
    decisive,
    fields,
    hidden,
    key,
    redact,
)
from svcmock_protocols.tcp.dialect import dialect_of
from svcmock_protocols.tcp.messages import Request
from tests.protocols.tcp.framed import FIX, ISO, LINES, MODBUS, request, service

ASK = bytes.fromhex("0001 0000 0006 11 03 006b 0003")
OTHER = bytes.fromhex("0002 0000 0006 11 03 006b 0003")
ELSE = bytes.fromhex("0001 0000 0006 11 03 006b 0004")


@pytest.mark.parametrize(
    ("context", "one", "other", "same"),
    [
        (service(LINES), b"a", b"a", True),
        (service(LINES), b"a", b"b", False),
        (service(LINES), b'{"a":1,"b":2}', b'{"b": 2.0, "a": 1}', True),
        (service(LINES), b'{"a":1}', b'{"a":true}', False),
        (service(LINES), b'{"a":1}', b'{"a":"1"}', False),
        (service(LINES, noise=["id"]), b'{"id":1,"b":2}', b'{"id":2,"b":2}', True),
        (service(LINES, ignore=("json.items.*.at",)), b'{"items":[{"at":1}]}', b'{"items":[{"at":2}]}', True),
        (service(LINES, ignore=("text",)), b"a", b"b", True),
        (service(LINES, ignore=("hex",)), b"\xff", b"\xfe", True),
        (service(LINES), b"= {}", b"{}", False),
        (service(LINES), b"x" * 5000 + b"a", b"x" * 5000 + b"b", False),
        (service(LINES), b"x" * 5000 + b"a", b"x" * 5000 + b"a", True),
        (service(MODBUS), ASK, OTHER, True),
        (service(MODBUS), ASK, ELSE, False),
        (service(MODBUS), b"?", b"?", True),
    ],
)
def test_the_same(context: Context, one: bytes, other: bytes, same: bool) -> None:
    keys = [key(Request(payload), context) for payload in (one, other)]
    assert (keys[0] == keys[1]) is same
    for found in keys:
        assert found.startswith(address(Request(one)) + b"\0")


def test_banners_and_pushes() -> None:
    context = service(MODBUS, pushes=True)
    banner, push = Request(kind="banner"), Request(ASK, kind="push", number=2)
    assert key(banner, context) == b"banner\0"
    assert key(push, context) == key(Request(OTHER, kind="push", number=2), context)
    assert key(push, context) != key(Request(ASK, kind="push", number=1), context)
    assert fields(banner, context) == decisive(banner, context) == {"kind": "banner"}
    assert decisive(push, context) == {
        "kind": "push",
        "push": 2,
        "fields": {"unit": 17, "fn": 3, "addr": 107, "count": 3},
    }


def test_the_fields_of_a_frame() -> None:
    assert fields(Request(b"PING"), service(LINES)) == {
        "kind": "frame", "size": 4, "text": "PING", "hex": "50494e47",
    }  # fmt: skip
    seen = fields(Request(b'{"a":1}'), service(LINES))
    assert seen["json"] == {"a": 1}
    seen = fields(Request(ASK), service(MODBUS))
    assert seen["fields"] == {"txid": 1, "proto": 0, "len": 6, "unit": 17, "fn": 3, "addr": 107, "count": 3}
    assert seen["text"] == ASK.decode()
    assert "text" not in fields(Request(b"\xff"), service(LINES))
    assert "hex" not in fields(Request(b"x" * (MAX_HEX + 1)), service(LINES))
    assert set(seen) <= set(NAMES)


@pytest.mark.parametrize(
    ("context", "payload", "told"),
    [
        (service(LINES), b"PING", {"kind": "frame", "text": "PING"}),
        (service(LINES), b"\xff", {"kind": "frame", "hex": "ff"}),
        (service(LINES, noise=["a"]), b'{"a":1,"b":2}', {"kind": "frame", "json": {"b": 2}}),
        (service(LINES, ignore=("text",)), b"PING", {"kind": "frame"}),
    ],
)
def test_what_decides_is_said_once(context: Context, payload: bytes, told: dict[str, Any]) -> None:
    assert decisive(Request(payload), context) == told


# --- secrets ------------------------------------------------------------------------------------------

CARD = {"mti": "0200", "2": "4111111111111111", "3": "000000", "52": "0123456789abcdef", "41": "T1"}


def test_why_bytes_are_not_what_was_declared_is_a_field() -> None:
    wrong = bytes.fromhex("0001 0007 0006 11 03 006b 0003")
    context = service(MODBUS)
    assert fields(Request(wrong), context)["why"] == "expected 00 00 at 2, got 00 07"
    assert decisive(Request(wrong), context)["why"] == "expected 00 00 at 2, got 00 07"
    assert "why" not in fields(Request(b"PING"), service(LINES))
    unread = Request(b"\xff", kind="unread", why="too long")
    seen = {"kind": "unread", "size": 1, "hex": "ff", "why": "too long"}
    assert fields(unread, context) == seen
    assert decisive(unread, context) == {"kind": "unread", "hex": "ff", "why": "too long"}
    assert key(unread, context) == b"unread\0"
    assert redact(unread, context) is unread
    assert redact(unread, service(ISO)) == Request(kind="unread", why="too long")


def test_secrets_become_zeros_of_the_same_length() -> None:
    context = service(ISO)
    live = request({"fields": CARD}, context)
    hid = redact(live, context)
    assert fields(hid, context)["fields"] == {**CARD, "2": "0" * 16, "52": "0" * 16}
    assert len(hid.payload) == len(live.payload)
    assert redact(hid, context) == hid
    assert key(hid, context) == key(live, context)
    other = request({"fields": {**CARD, "2": "5500000000000004"}}, context)
    assert key(other, context) == key(live, context)
    assert b"4111" not in key(live, context)


def test_what_has_no_secrets_is_left_alone() -> None:
    context = service(ISO)
    live = request({"fields": {"mti": "0800", "70": "301"}}, context)
    assert redact(live, context) is live
    assert redact(Request(kind="banner"), context).kind == "banner"
    plain = Request(b"a")
    assert redact(plain, service(LINES)) is plain


def test_a_frame_whose_secrets_cannot_be_found_keeps_nothing() -> None:
    context = service(ISO)
    assert redact(Request(b"\xff 4111111111111111"), context) == Request()
    with pytest.raises(HiddenError):
        hidden(dialect_of(context).asked, b"\xff", dialect_of(context))


def test_json_and_pairs_hide_whatever_stands_there() -> None:
    context = service(LINES, redact=["pin", "card"])
    hid = redact(Request(b'{"pin":1234,"card":{"no":"41","ok":true},"b":null}'), context)
    assert hid.payload == b'{"pin":0,"card":{"no":"00","ok":true},"b":null}'
    context = service(FIX, redact=["554"])
    live = request({"fields": {"8": "FIX.4.2", "35": "A", "554": "secret"}}, context)
    assert fields(redact(live, context), context)["fields"]["554"] == "000000"


@given(st.binary(max_size=80))
def test_anything_has_a_key_and_is_redacted_to_the_same_thing_twice(payload: bytes) -> None:
    for context in (service(ISO), service(MODBUS, redact=["unit"]), service(FIX, redact=["1"])):
        live = Request(payload)
        once = redact(live, context)
        assert redact(once, context) == once
        assert key(once, context).startswith(b"frame\0")
        assert fields(once, context)["kind"] == decisive(once, context)["kind"] == "frame"
