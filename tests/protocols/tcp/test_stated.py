"""Replies that options state: where nothing answers, and what keeps a connection alive."""

from typing import Any

import msgspec
import pytest

from svcmock.protocol import Invalid
from svcmock_protocols.tcp.dialect import compile_dialect
from svcmock_protocols.tcp.messages import Options, Reply
from svcmock_protocols.tcp.stated import FAULTS, LEAST_EVERY, MAX_AUTO, Auto, Every
from tests.protocols.tcp.framed import FIX, LINES


def dialect(options: dict[str, Any] = LINES, **more: Any) -> Any:
    return compile_dialect(msgspec.convert({**options, **more}, Options))


def rule(options: dict[str, Any] = FIX, **more: Any) -> Auto:
    (made,) = dialect(options, auto=[more]).auto
    assert isinstance(made, Auto)
    return made


def message(**fields: str) -> bytes:
    made = dialect(FIX).asked.encode({"8": "F", **{name[1:]: value for name, value in fields.items()}}, ())
    assert isinstance(made, bytes)
    return made


def test_what_nothing_answers() -> None:
    assert dialect().missed == FAULTS["close"] == Reply(then="close")
    assert dialect(on_miss="reset").missed == FAULTS["reset"]
    assert dialect(on_miss="hang").missed == Reply()
    assert dialect(on_miss={"reply": {"text": "ERR"}}).missed.wire == b"ERR\n"


@pytest.mark.parametrize(
    ("more", "at"),
    [
        ({"on_miss": "ignore"}, "on_miss"),
        ({"on_miss": {"text": "a"}}, "on_miss"),
        ({"on_miss": {"reply": {"txt": "a"}}}, "on_miss.reply"),
        ({"on_miss": {"reply": {"text": "a\nb"}}}, "on_miss.reply.text"),
        ({"on_miss": {"reply": {"file": "bodies/x"}}}, "on_miss.reply"),
        ({"on_miss": {"reply": 3}}, "on_miss.reply"),
        ({"auto": [{"when": ""}]}, "auto.0.when"),
        ({"auto": [{"when": {}}]}, "auto.0.when"),
        ({"auto": [{"when": "("}]}, "auto.0.when"),
        ({"auto": [{"when": "a", "reply": {"then": "stay"}}]}, "auto.0.reply.then"),
        ({"auto": [{"when": "a", "every": {"send": {"text": "x"}}}]}, "auto.0.every"),
        ({"auto": [{"when": "a", "every": {"send": {}, "after": "1s", "req": "x"}}]}, "auto.0.every"),
        ({"auto": [{"when": "a", "every": {"send": {}, "after": "soon"}}]}, "auto.0.every.after"),
        ({"auto": [{"when": "a", "every": {"send": {}, "after": "1ms"}}]}, "auto.0.every.after"),
        ({"auto": [{"when": "a", "every": {"send": {"text": 3}, "after": 1}}]}, "auto.0.every.send.text"),
        ({"auto": [{"when": "a"}] * (MAX_AUTO + 1)}, "auto"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(more: dict[str, Any], at: str) -> None:
    with pytest.raises(Invalid) as told:
        dialect(**more)
    assert ".".join(map(str, told.value.at)) == at


def test_a_rule_is_for_frames_with_these_values() -> None:
    asked = dialect(FIX).asked
    test = rule(when={"35": 1, "112": "a"})
    assert test.fits(asked, message(_35="1", _112="a"))
    assert not test.fits(asked, message(_35="1", _112="b"))
    assert not test.fits(asked, message(_35="1"))
    assert not test.fits(asked, b"no fields")
    assert rule(LINES, when="^PING").fits(asked, b"PING 1")
    assert not rule(LINES, when="^PING").fits(asked, b"a PING")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("30", 30.0), (2, 2.0), ("0.001", LEAST_EVERY), ("0", 0.0), ("-1", 0.0), ("x", 0.0), (None, 0.0),
     ("nan", 0.0), ("inf", 24 * 3600.0), ({"a": 1}, 0.0)],
)  # fmt: skip
def test_a_request_says_how_often(value: Any, seconds: float) -> None:
    assert Every(Reply(), field="108").seconds({"108": value}) == seconds
    assert Every(Reply(), field="108").seconds({}) == 0.0
    assert Every(Reply(), 2.5).seconds({}) == 2.5
