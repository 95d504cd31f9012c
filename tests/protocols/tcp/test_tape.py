"""The options of tapes: what is wrong with them is told when the project is read."""

import msgspec
import pytest

from svcmock_protocols.tcp.tape import MissReply, TapeOptions, miss_bytes


def test_the_options_have_defaults() -> None:
    options = msgspec.convert({}, TapeOptions)
    assert options.pause == 0.05
    assert (options.resume, options.on_miss, options.echo) == ("idle", "close", True)


@pytest.mark.parametrize(("idle", "pause"), [("20ms", 0.02), (0.5, 0.5), ("2s", 2.0), (0, 0.0)])
def test_a_pause_is_a_duration(idle: object, pause: float) -> None:
    assert msgspec.convert({"idle": idle}, TapeOptions).pause == pause


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"idle": "soon"}, "expected a duration"),
        ({"mask": ["("]}, "not a regular expression"),
        ({"redact": ["é" + "\u0100"]}, "over bytes"),
        ({"on_miss": {"reply": {"hex": "0"}}}, "not hex"),
        ({"on_miss": {"reply": {"file": "x"}}}, "no file is read here"),
        ({"on_miss": "best"}, "best"),
        ({"idel": 1}, "idel"),
    ],
)
def test_what_is_wrong_is_told(options: object, why: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=why):
        msgspec.convert(options, TapeOptions)


def test_a_miss_may_have_bytes() -> None:
    assert miss_bytes(TapeOptions(on_miss=MissReply("-ERR\r\n"))) == b"-ERR\r\n"
    assert miss_bytes(TapeOptions(on_miss=MissReply({"hex": "00ff"}))) == b"\x00\xff"
    assert miss_bytes(TapeOptions()) == b""
