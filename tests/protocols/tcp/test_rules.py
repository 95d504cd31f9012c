"""What of a reply is made for each request: paths, echo, swap, set; and what is no rule."""

from typing import Any

import msgspec
import pytest

from svcmock.protocol import Invalid
from svcmock_protocols.tcp.layout import compile_layout
from svcmock_protocols.tcp.messages import ReplyRules, Setting
from svcmock_protocols.tcp.rules import (
    MAX_TIME_FORM,
    MISSING,
    Moment,
    adapt,
    compile_settings,
    correlated,
    counts,
    dates,
    get,
    put,
    settings,
    time_in,
)
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
        ("id", Setting("id", there=True)),
        ("x", Setting("x", there=True)),
        ("a", Setting("b", there=True)),
        ("b", Setting("a", there=True)),
        ("y", Setting(value=1)),
        ("z", Setting("x", add=2)),
    )
    assert correlated(made) == ("id",)
    assert correlated(rules(correlate=["a", "b"])) == ("a", "b")
    assert correlated(rules()) == correlated(rules(correlate="none")) == ()
    assert not counts(compile_settings(made))
    assert counts(compile_settings(rules(set={"n": {"count": 1}})))


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"req": "a", "count": 1},
        {"req": 1},
        {"count": "1"},
        {"req": "a", "add": "1"},
        {"value": 1},
        {"now": "unix", "req": "a"},
    ],
)
def test_what_is_no_rule(spec: Any) -> None:
    with pytest.raises(Invalid) as told:
        settings({"x": spec}, "reply", "set")
    assert told.value.at == ("reply", "set", "x")


def test_a_transaction_id_is_echoed_and_lengths_follow() -> None:
    told = compile_layout(MODBUS["fields"], "server")
    payload = bytes.fromhex("0001 0000 0005 11 03 02 ae41")
    made = compile_settings(rules(correlate="txid", set={"fn": {"req": "fn", "add": 128}}))
    assert adapt(told, payload, made[:1], {"txid": 0x0203}, Moment()) == bytes.fromhex(
        "0203 0000 0005 11 03 02 ae41"
    )
    assert adapt(told, payload, made[:1], {}, Moment()) == payload
    assert adapt(told, payload, made[:1], {"txid": 1 << 20}, Moment()) == payload
    assert adapt(told, b"?", made, {"txid": 2}, Moment()) == b"?"


def test_numbers_in_text_keep_their_width() -> None:
    made = settings({"mti": {"req": "mti", "add": 10}}, "set")
    told = compile_layout([{"mti": {"ascii": 4}}], "server")
    assert adapt(told, b"0000", made, {"mti": "0200"}, Moment()) == b"0210"
    assert adapt(told, b"0000", made, {"mti": "x200"}, Moment()) == b"x200"


def test_addresses_are_swapped_and_messages_counted() -> None:
    told = compile_layout(FIX["fields"], "server")
    made = compile_settings(rules(**FIX["reply"]))
    payload = told.encode({"8": "F", "35": "0", "49": "B", "56": "A", "34": "9"}, ())
    value = told.plain(told.decode(adapt(told, payload, made, {"49": "X", "56": "Y"}, Moment(4))))
    assert value == {"8": "F", "35": "0", "49": "Y", "56": "X", "34": "5"}


def test_only_set_adds_what_a_reply_lacks() -> None:
    told = compile_layout(None, "server")
    made = compile_settings(rules(echo=["id"], swap=[["a", "b"]]))
    assert adapt(told, b"{}", made, {"id": 1, "a": 2, "b": 3}, Moment()) == b"{}"
    made = compile_settings(rules(set={"id": {"req": "id"}}))
    assert adapt(told, b"{}", made, {"id": 1}, Moment()) == b'{"id":1}'


def test_json_keeps_its_layout() -> None:
    made = settings({"id": {"req": "id"}, "ok": True}, "set")
    told = compile_layout(None, "server")
    assert adapt(told, b'{"id": 1}', made, {"id": 7}, Moment()) == b'{"id": 7, "ok": true}'


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("unix", 1_700_000_000),
        ("unix_ms", 1_700_000_000_125),
        ("%Y%m%d-%H:%M:%S.%3f", "20231114-22:13:20.125"),
        ("%Y%m%d%H%M%S", "20231114221320"),
        ("%H:%M:%S.%f %1f%%", "22:13:20.125000 1%"),
    ],
)
def test_the_time_in_a_form(form: str, told: Any) -> None:
    made = settings({"at": {"now": form}}, "set")
    assert dates(made)
    assert time_in(form, 1_700_000_000.125) == told
    layout = compile_layout(None, "server")
    payload = adapt(layout, b'{"id":1}', made, {}, Moment(0, 1_700_000_000.125))
    assert layout.decode(payload) == {"id": 1, "at": told}


@pytest.mark.parametrize("form", ["", "now", "%", "%Q", "%Y%", "%7f", "%s", 3, "%Y\0", "%Y" * MAX_TIME_FORM])
def test_what_is_no_form_of_time(form: Any) -> None:
    with pytest.raises(Invalid) as told:
        settings({"at": {"now": form}}, "set")
    assert told.value.at == ("set", "at", "now")
    with pytest.raises(Invalid):
        settings({"at": {"now": "unix", "add": 1}}, "set")
