"""What a client gets that nothing answers."""

from typing import Any

import pytest

from svcmock.protocol import Explanation, Invalid
from svcmock_protocols.tcp.messages import Reply
from svcmock_protocols.tcp.miss import FAULTS, check, miss
from tests.protocols.tcp.framed import LINES, MODBUS, service

WHY = Explanation("m-7", "app", "tcp", "PING")


def test_it_closes_unless_the_service_says_otherwise() -> None:
    assert miss(WHY, service(LINES)) == FAULTS["close"] == Reply(then="close")
    assert miss(WHY, service(LINES, on_miss="hang")) == Reply()
    assert miss(WHY, service(LINES, on_miss="reset")) == Reply(then="reset")
    assert FAULTS["reset"].then == "reset"


def test_a_reply_may_name_the_miss() -> None:
    told = miss(WHY, service(LINES, on_miss={"reply": {"text": "ERR {miss}", "then": "close"}}))
    assert (told.wire, told.then) == (b"ERR m-7\n", "close")
    told = miss(WHY, service({"framing": {"length": {"width": 1}}}, on_miss={"reply": {"text": "{miss}"}}))
    assert told.wire == b"\x03m-7"
    told = miss(WHY, service({"framing": {"fixed": 6}}, on_miss={"reply": {"text": "{miss}"}}))
    assert told.wire == b"{miss}"


def test_a_reply_in_fields() -> None:
    reply = {
        "fields": {"txid": 0, "unit": 0, "fn": 128, "exception": 2},
        "set": {"fn": {"req": "fn", "add": 128}},
    }
    context = service(MODBUS, on_miss={"reply": reply})
    check(context)
    assert [name for name, _ in miss(WHY, context).settings] == ["fn"]


@pytest.mark.parametrize(
    ("on_miss", "at"),
    [
        ("ignore", "on_miss"),
        ({"text": "a"}, "on_miss"),
        ({"reply": {"txt": "a"}}, "on_miss.reply"),
        ({"reply": {"text": "a\nb"}}, "on_miss.reply.text"),
        ({"reply": {"file": "bodies/x"}}, "on_miss.reply"),
        ({"reply": 3}, "on_miss.reply"),
    ],
)
def test_what_it_cannot_be(on_miss: Any, at: str) -> None:
    with pytest.raises(Invalid) as told:
        check(service(LINES, on_miss=on_miss))
    assert ".".join(map(str, told.value.at)) == at
