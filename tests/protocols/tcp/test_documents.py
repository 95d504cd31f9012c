"""Route documents: what a person writes becomes frames; recordings are readable, and read again."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.documents import read
from svcmock.protocol import Context, Invalid
from svcmock.yamlout import emit
from svcmock_protocols.tcp.dialect import dialect_of
from svcmock_protocols.tcp.documents import RequestDoc, dump
from svcmock_protocols.tcp.forms import finished
from svcmock_protocols.tcp.framing import split
from svcmock_protocols.tcp.lengths import FrameError
from svcmock_protocols.tcp.messages import Piece, Reply, Request
from tests.protocols.tcp.framed import FIX, ISO, LINES, MODBUS, Stored, reply, request, service

PREFIXED = {"framing": {"length": {"width": 4}}}
MLLP = {"framing": {"envelope": {"start": "\x0b", "end": "\x1c\r"}}}


@pytest.mark.parametrize(
    ("doc", "context", "payload"),
    [
        ({"text": "PING"}, service(LINES), b"PING"),
        ({"hex": "00 ff"}, service(LINES), b"\x00\xff"),
        ({"base64": "AP8="}, service(LINES), b"\x00\xff"),
        ({"json": {"a": [1, None]}}, service(PREFIXED), b'{"a":[1,null]}'),
        ({"json": {"a": 1}, "json_format": "spaced"}, service(PREFIXED), b'{"a": 1}'),
        ({"json": None}, service(PREFIXED), b"null"),
        ({"raw": "PING\n"}, service(LINES), b"PING"),
        (
            {"fields": {"txid": 1, "unit": 17, "fn": 3, "addr": 107, "count": 3}},
            service(MODBUS),
            bytes.fromhex("0001 0000 0006 11 03 006b 0003"),
        ),
    ],
)
def test_a_request(doc: dict[str, Any], context: Context, payload: bytes) -> None:
    made = request(doc, context)
    assert (made.payload, made.kind) == (payload, "frame")


def test_a_banner_and_a_push() -> None:
    context = service(LINES, pushes=True)
    assert request({"banner": True}, context) == Request(kind="banner")
    assert request({"push": 1}, context) == Request(kind="push", number=1)
    assert request({"push": 2, "after": "SUB a"}, context) == Request(b"SUB a", b"", "push", 2)
    assert request({"push": 2, "after": {"hex": "ff"}}, context) == Request(b"\xff", b"", "push", 2)


@pytest.mark.parametrize(
    ("doc", "context", "at"),
    [
        ({}, service(LINES), ""),
        ({"text": "a", "hex": "00"}, service(LINES), ""),
        ({"text": 3}, service(LINES), "text"),
        ({"text": "a\nb"}, service(LINES), "text"),
        ({"raw": "a\nb\n"}, service(LINES), "raw"),
        ({"raw": "a"}, service(LINES), "raw"),
        ({"hex": "0"}, service(LINES), "hex"),
        ({"base64": "?"}, service(LINES), "base64"),
        ({"file": "bodies/x"}, service(LINES), ""),
        ({"text": "a", "json_format": "spaced"}, service(LINES), "json_format"),
        ({"json": {}, "json_format": "pretty"}, service(LINES), "json_format"),
        ({"json": {"a": "\ud800"}}, service(LINES), "json"),
        ({"fields": {"txid": 1}}, service(MODBUS), "fields"),
        ({"fields": {"txid": -1, "unit": 1, "fn": 3, "addr": 1, "count": 1}}, service(MODBUS), "fields.txid"),
        ({"hex": "0001"}, service(MODBUS), "hex"),
        ({"banner": True, "text": "a"}, service(LINES), "banner"),
        ({"push": 1}, service(LINES), "push"),
        ({"push": 0}, service(LINES, pushes=True), "push"),
        ({"push": 1, "text": "a"}, service(LINES, pushes=True), "push"),
        ({"push": 1, "after": 3}, service(LINES, pushes=True), "after"),
        ({"push": 1, "after": {"txt": "a"}}, service(LINES, pushes=True), "after.txt"),
        ({"text": "a", "after": "b"}, service(LINES), "after"),
        ({"tape": {}}, service(LINES), "tape"),
    ],
)
def test_what_no_request_can_be(doc: dict[str, Any], context: Context, at: str) -> None:
    with pytest.raises(Invalid) as told:
        request(doc, context)
    assert ".".join(map(str, told.value.at)) == at
    assert told.value.why


# --- writing ------------------------------------------------------------------------------------------


def again(made: Request, told: Reply, context: Context) -> tuple[Any, Any]:
    """What is written down; asserts that it is read back, through YAML, to the same bytes."""
    documents = dump(made, told, context)
    text = emit({"request": documents.request, "respond": documents.respond})
    found, problems = read(text.encode(), "a.yaml")
    assert problems == []
    value: Any = found[0].value
    files = Stored(documents)
    asked = request(value["request"], context, files)
    answered = reply(value["respond"], context, files)
    assert (asked.kind, asked.number, asked.payload) == (made.kind, made.number, made.payload)
    assert answered == told
    return documents.request, documents.respond


def one(payload: bytes, context: Context) -> Reply:
    return finished((Piece(payload, dialect_of(context).server.wrap(payload)),))


@pytest.mark.parametrize(
    ("context", "payload", "shown"),
    [
        (service(LINES), b"PING", {"text": "PING"}),
        (service(LINES), b"", {"text": ""}),
        (service(LINES), b"PING\r", {"text": "PING\r"}),
        (service(LINES), b"\x00\xff", {"hex": "00ff"}),
        (service(LINES), b"\x01\x02", {"hex": "0102"}),
        (service(LINES), b"\xff" * 100, {"base64": "/" * 133 + "w=="}),
        (service(LINES), "\u20ac\u2028".encode(), {"text": "\u20ac\u2028"}),
        (service(PREFIXED), b'{"a":1}', {"json": {"a": 1}}),
        (service(PREFIXED), b'{"a": 1}', {"json": {"a": 1}, "json_format": "spaced"}),
        (service(PREFIXED), b'{"a" :1}', {"text": '{"a" :1}'}),
        (service(PREFIXED), b'{"a":1.0,"b":1e3}', {"text": '{"a":1.0,"b":1e3}'}),
        (service(PREFIXED), b"a\nb\n", {"text": "a\nb\n"}),
        (service(MLLP), b"MSH|^~\\&|A\rPID|1\r", {"text": "MSH|^~\\&|A\rPID|1\r"}),
    ],
)
def test_a_frame_is_written_readably(context: Context, payload: bytes, shown: Any) -> None:
    asked, told = again(
        Request(payload, dialect_of(context).client.wrap(payload)), one(payload, context), context
    )
    assert asked == told == shown


def test_fields_are_written_without_what_follows_from_them() -> None:
    context = service(MODBUS)
    ask, tell = bytes.fromhex("0001 0000 0006 11 03 006b 0003"), bytes.fromhex("0001 0000 0005 11 03 02 ae41")
    asked, told = again(Request(ask, ask), one(tell, context), context)
    assert asked == {"fields": {"txid": 1, "unit": 17, "fn": 3, "addr": 107, "count": 3}}
    assert told == {"fields": {"txid": 1, "unit": 17, "fn": 3, "regs": [0xAE41]}}
    wrong = bytes.fromhex("0001 0000 0005 11 03 03 ae41")  # its count is another one
    assert again(Request(ask, ask), one(wrong, context), context)[1] == {
        "fields": {"txid": 1, "proto": 0, "len": 5, "unit": 17, "fn": 3, "n": 3, "regs": [0xAE41]}
    }
    context = service(FIX)
    wire = dialect_of(context).asked.encode({"8": "FIX.4.2", "35": "0", "49": "A"}, ())
    assert again(Request(wire, wire), one(wire, context), context)[0] == {
        "fields": {"8": "FIX.4.2", "35": "0", "49": "A"}
    }


def test_what_its_framing_would_make_otherwise_is_raw() -> None:
    context = service({"framing": {"length": {"width": 4, "encoding": "hex"}}})
    again(Request(b"0123456789", b"000A0123456789"), one(b"a", context), context)
    documents = dump(Request(b"0123456789", b"000A0123456789"), one(b"a", context), context)
    assert documents.request == {"raw": "000A0123456789"}


def test_large_frames_are_files() -> None:
    context = service(PREFIXED)
    data = b"x" * 5000
    asked, told = again(Request(data, b""), one(data, context), context)
    assert asked == told
    assert list(asked) == ["file"]


def test_gaps_ends_banners_and_pushes() -> None:
    context = service(LINES, pushes=True)
    told = finished((Piece(b"a", b"a\n"), Piece(b"b", b"b\n", 0.25)), "close")
    assert again(Request(kind="banner"), told, context) == (
        {"banner": True},
        {"frames": [{"text": "a"}, {"after": "250ms", "text": "b"}], "then": "close"},
    )
    late = finished((Piece(b"a", b"a\n", 1.5),))
    assert again(Request(b"SUB a", b"SUB a\n", "push", 2), late, context) == (
        {"push": 2, "after": {"text": "SUB a"}},
        {"frames": [{"after": "1.5s", "text": "a"}]},
    )
    end = Reply(then="close")
    assert again(Request(b"quit", b"quit\n"), end, context) == ({"text": "quit"}, {"then": "close"})
    assert again(Request(b"", b"", "push", 1), Reply(), context) == ({"push": 1}, {"frames": []})


@given(st.lists(st.binary(max_size=60) | st.text(max_size=30).map(str.encode), max_size=4), st.integers(0, 4))
def test_anything_comes_back(payloads: list[bytes], which: int) -> None:
    context = [service(PREFIXED), service(MLLP), service(ISO), service(MODBUS), service(LINES)][which]
    framing = dialect_of(context).server
    frames = []
    for payload in payloads:
        try:
            wire = framing.wrap(payload)
        except FrameError:
            continue
        if split(framing, wire) is not None and len(split(framing, wire) or []) == 1:
            frames.append(Piece(wire if wire == payload else payload, wire))
    made = Request(frames[0].payload, frames[0].wire) if frames else Request(kind="banner")
    again(made, finished(tuple(frames)), context)


def test_the_struct_refuses_what_it_does_not_know() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"txt": "a"}, RequestDoc)
