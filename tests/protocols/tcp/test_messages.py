"""The options of a service, as `svcmock.yaml` gives them: they convert, are frozen, and survive a process."""

import msgspec
import pytest

from svcmock_protocols.tcp.messages import FramingDoc, Options, Piece, Reply, Request
from tests.protocols.tcp.framed import FIX, ISO, MODBUS


@pytest.mark.parametrize("doc", [{}, MODBUS, FIX, ISO], ids=["none", "modbus", "fix", "iso"])
def test_options_survive_a_process(doc: dict[str, object]) -> None:
    options = msgspec.convert(doc, Options)
    assert msgspec.convert(msgspec.to_builtins(options), Options) == options


def test_without_framing_there_is_none() -> None:
    assert Options().framing is None


@pytest.mark.parametrize(
    ("doc", "where"),
    [
        ({"framing": {"delimeter": "\n"}}, "framing"),
        ({"framing": {"fixed": 0}}, "framing"),
        ({"framing": {"length": {"width": 17}}}, "framing.length"),
        ({"reply": {"per_request": "two"}}, "reply"),
        ({"on_bad": "ignore"}, "on_bad"),
        ({"max_frame": 0}, "max_frame"),
    ],
)
def test_what_is_refused(doc: object, where: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=where.replace(".", r"\.")):
        msgspec.convert(doc, Options)


def test_values_are_frozen_and_equal_by_value() -> None:
    assert Request(b"a") == Request(b"a", b"", "frame", 0)
    assert Reply((Piece(b"a", b"a\n"),)) == Reply((Piece(b"a", b"a\n", 0.0),), "", ())
    assert FramingDoc(fixed=3) == msgspec.convert({"fixed": 3}, FramingDoc)
    with pytest.raises(AttributeError):
        Request(b"a").payload = b"b"  # type: ignore[misc]
