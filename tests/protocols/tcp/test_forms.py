"""Replies and frames as route files and options say them: what they come to, and what none can be."""

from typing import Any

import msgspec
import pytest

from svcmock.protocol import Invalid
from svcmock_protocols.tcp.dialect import dialect_of
from svcmock_protocols.tcp.forms import ReplyDoc, Side, check_whole, finished, frame_of, payload_of, reply_of
from svcmock_protocols.tcp.messages import Piece, Reply, Setting
from tests.protocols.tcp.framed import LINES, MODBUS, Stored, service

LINE = dialect_of(service(LINES))
SIDE = Side(LINE.server, LINE.told, Stored())


def reply(doc: dict[str, Any], _context: object = None) -> Reply:
    return reply_of(msgspec.convert(doc, ReplyDoc), SIDE)


@pytest.mark.parametrize(
    ("doc", "made"),
    [
        ({"text": "PONG"}, Reply((Piece(b"PONG", b"PONG\n"),), "", (), b"PONG\n")),
        ({}, Reply()),
        ({"frames": []}, Reply()),
        ({"then": "close"}, Reply(then="close")),
        (
            {"frames": ["a", {"text": "b", "after": "5ms"}], "then": "reset"},
            Reply((Piece(b"a", b"a\n"), Piece(b"b", b"b\n", 0.005)), "reset"),
        ),
        (
            {"frames": ["a", {"raw": "cut"}]},
            Reply((Piece(b"a", b"a\n"), Piece(b"cut", b"cut")), "", (), b"a\ncut"),
        ),
    ],
)
def test_a_reply(doc: dict[str, Any], made: Reply) -> None:
    assert reply(doc) == made


@pytest.mark.parametrize(
    ("doc", "at"),
    [
        ({"text": "a\nb"}, "text"),
        ({"then": "stay"}, "then"),
        ({"text": "a", "frames": []}, "frames"),
        ({"frames": {"text": "a"}}, "frames"),
        ({"frames": [3]}, "frames.0"),
        ({"frames": ["a", {"text": "b", "after": "x"}]}, "frames.1.after"),
        ({"frames": [{"after": "5ms"}]}, "frames.0"),
        ({"set": {"x": {}}}, "set.x"),
        ({"set": {"x": {"count": 1}}}, "set"),
        ({"tape": {}}, "tape"),
    ],
)
def test_what_no_reply_can_be(doc: dict[str, Any], at: str) -> None:
    with pytest.raises(Invalid) as told:
        reply(doc)
    assert ".".join(map(str, told.value.at)) == at


def test_the_struct_refuses_what_it_does_not_know() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"txt": "a"}, ReplyDoc)


def test_fields_of_one_reply_may_be_made_when_it_is_sent() -> None:
    made = reply({"text": "a", "set": {"id": {"req": "id"}, "at": {"now": "unix"}}})
    assert made.settings == (("id", Setting("id")), ("at", Setting(now="unix")))


def test_gaps_leave_no_bytes_that_could_be_sent_at_once() -> None:
    assert finished((Piece(b"a", b"a\n"), Piece(b"b", b"b\n", 0.5))).wire == b""
    assert finished((Piece(b"a", b"a\n"), Piece(b"b", b"b\n"))).wire == b"a\nb\n"


def test_a_frame_is_its_payload_or_all_of_its_bytes() -> None:
    modbus = dialect_of(service(MODBUS))
    side = Side(modbus.client, modbus.asked, Stored())
    wire = bytes.fromhex("0001 0000 0006 11 03 006b 0003")
    fields = {"txid": 1, "unit": 17, "fn": 3, "addr": 107, "count": 3}
    assert frame_of({"fields": fields}, side) == (wire, b"")
    assert frame_of({"raw": {"hex": wire.hex()}}, side) == (wire, wire)
    assert payload_of(LINE.client, b"PING\n") == b"PING"
    assert payload_of(LINE.client, b"PING") == b"PING"
    check_whole(LINE.client, b"PING", b"", "text")
    with pytest.raises(Invalid, match="ends after 2 of 4 bytes"):
        check_whole(LINE.client, b"", b"a\nb\n", "raw")
