"""What of a reply is made for each request: paths, echo, swap, set; and what is no rule."""

from typing import Any

import msgspec
import pytest

from svcmock.protocol import Invalid
from svcmock_protocols.tcp.layout import compile_layout
from svcmock_protocols.tcp.messages import ReplyRules, Setting
from svcmock_protocols.tcp.rules import MISSING, adapt, compile_settings, correlated, counts, get, put, settings
from tests.protocols.tcp.framed import FIX, MODBUS

TREE = {"a": {"b": [1, {"c": 2}]}, "7": "x"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("7", "x"),
        ("a.b.1.c", 2),
        ("a.b.0", 1),
        ("a.b.2", MISSING),
        ("a.b.x", MISSING),
        ("b", MISSING),
        ("7.x", MISSING),
        ("a.b.\u00b2", MISSING),
    ],
)
def test_a_path(path: str, value: Any) -> None:
    if path.endswith("\u00b2"):
        assert get(TREE, path) is MISSING
    else:
        assert get(TREE, path) == value


def test_what_is_put() -> None:
    tree: Any = {"a": {"b": [1, 2]}}
    put(tree, "a.b.1", 3)
    put(tree, "a.b.9", 3)
    put(tree, "a.c", 3)
    put(tree, "x.c", 3, add=True)
    put(tree, "d", 4, add=True)
    assert tree == {"a": {"b": [1, 3]}, "d": 4}


def rules(**doc: Any) -> ReplyRules:
    return msgspec.convert(doc, ReplyRules)


def test_rules_in_their_order() -> None:
    made = rules(correlate="id", echo=["id", "x"], swap=[["a", "b"]], set={"y": 1, "z": {"req": "x", "add": 2}})
    assert compile_settings(made) == (
        ("id", Setting("id")),
        ("x", Setting("x")),
        ("a", Setting("b")),
        ("b", Setting("a")),
        ("y", Setting(value=1)),
        ("z", Setting("x", 0, 2)),
    )
    assert correlated(made) == ("id",)
    assert correlated(rules(correlate=["a", "b"])) == ("a", "b")
    assert correlated(rules()) == correlated(rules(correlate="none")) == ()
    assert not counts(compile_settings(made))
    assert counts(compile_settings(rules(set={"n": {"count": 1}})))


@pytest.mark.parametrize(
    "spec", [{}, {"req": "a", "count": 1}, {"req": 1}, {"count": "1"}, {"req": "a", "add": "1"}, {"value": 1}]
)
def test_what_is_no_rule(spec: Any) -> None:
    with pytest.raises(Invalid) as told:
        settings({"x": spec}, "reply", "set")
    assert told.value.at == ("reply", "set", "x")


def test_a_transaction_id_is_echoed_and_lengths_follow() -> None:
    told = compile_layout(MODBUS["fields"], "server")
    payload = bytes.fromhex("0001 0000 0005 11 03 02 ae41")
    made = compile_settings(rules(correlate="txid", set={"fn": {"req": "fn", "add": 128}}))
    assert adapt(told, payload, made[:1], {"txid": 0x0203}, 0) == bytes.fromhex("0203 0000 0005 11 03 02 ae41")
    assert adapt(told, payload, made[:1], {}, 0) == payload
    assert adapt(told, payload, made[:1], {"txid": 1 << 20}, 0) == payload
    assert adapt(told, b"?", made, {"txid": 2}, 0) == b"?"


def test_numbers_in_text_keep_their_width() -> None:
    made = settings({"mti": {"req": "mti", "add": 10}}, "set")
    told = compile_layout([{"mti": {"ascii": 4}}], "server")
    assert adapt(told, b"0000", made, {"mti": "0200"}, 0) == b"0210"
    assert adapt(told, b"0000", made, {"mti": "x200"}, 0) == b"x200"


def test_addresses_are_swapped_and_messages_counted() -> None:
    told = compile_layout(FIX["fields"], "server")
    made = compile_settings(rules(**FIX["reply"]))
    payload = told.encode({"8": "F", "35": "0", "49": "B", "56": "A", "34": "9"}, ())
    value = told.plain(told.decode(adapt(told, payload, made, {"49": "X", "56": "Y"}, 4)))
    assert value == {"8": "F", "35": "0", "49": "Y", "56": "X", "34": "5"}


def test_json_keeps_its_layout() -> None:
    made = settings({"id": {"req": "id"}, "ok": True}, "set")
    told = compile_layout(None, "server")
    assert adapt(told, b'{"id": 1}', made, {"id": 7}, 0) == b'{"id": 7, "ok": true}'
