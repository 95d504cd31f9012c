"""What a client gets that nothing answers."""

from svcmock.protocol import Explanation
from svcmock_protocols.tcp.messages import Reply, Request
from svcmock_protocols.tcp.miss import miss
from svcmock_protocols.tcp.stated import FAULTS
from tests.protocols.tcp.framed import LINES, MODBUS, service

ASKED = Request(b"PING")
WHY = Explanation("m-7", "app", "tcp", "PING")


def test_it_closes_unless_the_service_says_otherwise() -> None:
    assert miss(ASKED, WHY, service(LINES)) == FAULTS["close"] == Reply(then="close")
    assert miss(ASKED, WHY, service(LINES, on_miss="hang")) == Reply()


def test_a_reply_may_name_the_miss() -> None:
    told = miss(ASKED, WHY, service(LINES, on_miss={"reply": {"text": "ERR {miss}", "then": "close"}}))
    assert (told.wire, told.then) == (b"ERR m-7\n", "close")
    told = miss(
        ASKED, WHY, service({"framing": {"length": {"width": 1}}}, on_miss={"reply": {"text": "{miss}"}})
    )
    assert told.wire == b"\x03m-7"
    told = miss(ASKED, WHY, service({"framing": {"fixed": 6}}, on_miss={"reply": {"text": "{miss}"}}))
    assert told.wire == b"{miss}"


def test_a_reply_in_fields() -> None:
    reply = {
        "fields": {"txid": 0, "unit": 0, "fn": 128, "exception": 2},
        "set": {"fn": {"req": "fn", "add": 128}},
    }
    assert [name for name, _ in miss(ASKED, WHY, service(MODBUS, on_miss={"reply": reply})).settings] == ["fn"]


def test_what_is_no_frame_gets_no_reply() -> None:
    bad = Request(b"x", kind="unread", why="too long")
    assert miss(bad, WHY, service(LINES, on_miss={"reply": {"text": "ERR"}})) == FAULTS["close"]
    assert miss(bad, WHY, service(LINES, on_bad="reset")) == FAULTS["reset"]
