"""The options of a service compiled, and what a recorder noted of its server."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from svcmock.noise import Noise
from svcmock.protocol import Context, Invalid
from svcmock_protocols.tcp.dialect import compile_dialect, dialect_of, learned, noise_of
from svcmock_protocols.tcp.messages import Options
from tests.protocols.tcp.framed import FIX, LINES, MODBUS, service


@pytest.mark.parametrize(
    ("more", "at"),
    [
        ({"framing": None}, "framing"),
        ({"framing": {}}, "framing"),
        ({"fields": "u9"}, "fields"),
        ({"reply": {"until": "("}}, "reply.until"),
        ({"reply": {"one_way": "\u20ac"}}, "reply.one_way"),
        ({"reply": {"set": {"x": {}}}}, "reply.set.x"),
        ({"starttls": {"on": "a\nb", "reply": "ok"}}, "starttls"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(more: dict[str, Any], at: str) -> None:
    with pytest.raises(Invalid) as told:
        compile_dialect(msgspec.convert({**LINES, **more}, Options))
    assert ".".join(map(str, told.value.at)) == at


def test_a_context_without_a_schema_has_its_dialect_all_the_same() -> None:
    options = msgspec.convert(MODBUS, Options)
    context = Context(options, Noise(), bytes)
    assert dialect_of(context) is dialect_of(Context(options, Noise(("text",)), bytes))
    assert dialect_of(service(MODBUS)).correlate == ("txid",)


def test_what_never_decides() -> None:
    noise = noise_of(service(MODBUS, noise=["unit"], redact=["addr"], ignore=("fields.fn",)))
    assert {"fields.unit", "fields.addr", "fields.fn", "fields.txid"} == set(noise.patterns)
    assert noise_of(service(LINES, ignore=("text",))).patterns == ("text",)
    assert noise_of(service(LINES, noise=["id"])).patterns == ("json.id",)


def test_numbered_replies_are_known() -> None:
    assert compile_dialect(msgspec.convert(FIX, Options)).numbers
    assert not compile_dialect(msgspec.convert(MODBUS, Options)).numbers


class Beside:
    """The files beside a service's routes."""

    def __init__(self, **files: bytes) -> None:
        self._files = files

    def find(self, pattern: str) -> Sequence[str]:
        return [name for name in self._files if name.endswith(pattern)]

    def routes(self) -> Sequence[str]:
        return ()

    def beside(self, suffix: str) -> Sequence[str]:
        return list(self._files) if suffix == ".facts" else []

    def read(self, name: str) -> bytes:
        return self._files[name]


@pytest.mark.parametrize(
    ("data", "known"),
    [
        (b'{"pushes": true}', True),
        (b'{"pushes": 1}', False),
        (b"[]", False),
        (b"x", False),
        (b"[" * 100_000, False),
    ],
)
def test_what_a_recorder_noted(data: bytes, known: bool) -> None:
    assert learned(Beside(server=data)) is known
    assert not learned(Beside())


def test_a_dialect_with_pushes_is_another_one() -> None:
    options = msgspec.convert(LINES, Options)
    assert compile_dialect(options).digest != compile_dialect(options, pushes=True).digest
    assert json.loads(msgspec.json.encode(options))["framing"] == {"delimiter": "\n"}
