"""Operators: one value, one predicate."""

from typing import Any

import pytest

from svcmock.matching.operators import MISSING, Operand, compile_operator, contains, same
from svcmock.protocol import Invalid

UUID = "0b9e7a3c-1f2d-4c5b-8a6e-7d8f9a0b1c2d"


@pytest.mark.parametrize(
    ("want", "got", "data", "text"),
    [
        (1, 1, True, True),
        (1, 1.0, True, True),
        (1, True, False, False),
        (True, 1, False, False),
        (0, False, False, False),
        (True, True, True, True),
        (True, "true", False, True),
        (False, "false", False, True),
        (True, "1", False, False),
        (2, "2", False, True),
        (2, "2.0", False, False),
        (2.0, "2", False, True),
        (1.5, "1.5", False, True),
        ("2", 2, False, False),
        (None, None, True, True),
        (None, "", False, False),
        (None, "null", False, False),
        (None, MISSING, False, False),
        ("a", "a", True, True),
        ("a", "A", False, False),
        ([1, "x"], [1, "x"], True, True),
        ([1, 2], [2, 1], False, False),
        ([1], [1, 2], False, False),
        ([1], ["1"], False, True),
        ({"a": 1}, {"a": 1}, True, True),
        ({"a": 1}, {"a": 1, "b": 2}, False, False),
        ({"a": [True]}, {"a": [1]}, False, False),
        ({}, [], False, False),
        ([], {}, False, False),
        ("[]", [], False, False),
    ],
)
def test_equality(want: Any, got: Any, data: bool, text: bool) -> None:
    assert same(want, got) is data
    assert same(want, got, text=text) is text
    assert compile_operator("equals", Operand(want, text=False))(got) is data


def test_subset() -> None:
    got = {"a": 1, "b": [{"c": 2, "d": 3}, 4]}
    assert contains({}, got)
    assert contains({"b": [{"c": 2}, 4]}, got)
    assert not contains({"b": [{"c": 2}]}, got)
    assert not contains({"a": True}, got)
    assert not contains({"z": None}, got)


@pytest.mark.parametrize(
    ("op", "want", "value", "text", "found"),
    [
        ("prefix", "ab", "abc", True, True),
        ("prefix", "ab", "xab", True, False),
        ("prefix", "a", 3, True, False),
        ("suffix", "bc", "abc", True, True),
        ("contains", "b", "abc", True, True),
        ("contains", "z", "abc", True, False),
        ("contains", 2, [1, 2], False, True),
        ("contains", 2, ["2"], False, False),
        ("contains", {"a": 1}, [{"a": 1}], False, True),
        ("contains", 2, "123", True, False),
        ("contains", "a", {"a": 1}, False, False),
        ("in", [1, "x", None], "x", False, True),
        ("in", [1, 2], "2", True, True),
        ("in", [1, 2], "2", False, False),
        ("gt", 3, 4, False, True),
        ("gt", 3, 3, False, False),
        ("gte", 3, 3.0, False, True),
        ("lt", 3, "2", True, True),
        ("lt", 3, "2", False, False),
        ("lte", 3, True, False, False),
        ("gt", 3, "0x9", True, False),
        ("gt", 3, "1e2", True, True),
        ("gt", 0, "1" * 401, True, False),
        ("lt", 3, "nan", True, False),
        ("gt", "2026-01-01T00:00:00Z", "2026-01-01T01:30:00+01:00", True, True),
        ("lt", "2026-01-01T00:00:00Z", "2026-01-01T00:30:00+01:00", True, True),
        ("gt", "2026-01-01T00:00:00Z", "2026-13-41T00:00:00Z", True, False),
        ("gt", "2026-01-01T00:00:00Z", "soon", True, False),
        ("absent", True, MISSING, True, True),
        ("absent", True, None, True, False),
        ("absent", False, "", True, True),
        ("absent", False, MISSING, True, False),
        ("json", {"a": 1}, '{"a": 1, "b": 2}', True, True),
        ("json", {"a": 1}, {"a": 1, "b": 2}, False, True),
        ("json", {"a": 1}, "{broken", True, False),
        ("json", {"in": [1]}, {"in": [1]}, False, True),
        ("json", {}, "[]", True, False),
        ("json_exact", {"a": 1}, '{"a": 1, "b": 2}', True, False),
        ("json_exact", {"a": 1}, '{"a":1.0}', True, True),
        ("json_exact", [], "[" * 100_000, True, False),
        ("regex", "^a", "ab", True, True),
        ("glob", "a*", "ab", True, True),
        ("jsonpath", "$.a", '{"a": null}', True, True),
        ("jsonpath", "$.b", {"a": 1}, False, False),
        ("jsonpath", "$", "x{", True, False),
        ("xpath", "//a", "<a/>", True, True),
        ("xpath", {"path": "//s:a", "namespaces": {"s": "u"}}, '<a xmlns="u"/>', True, True),
        ("schema", {"type": "integer"}, "5", True, True),
        ("schema", {"type": "integer"}, "x", True, False),
        ("schema", {"type": "object"}, {"a": 1}, False, True),
        ("schema", True, "{", True, False),
        ("uuid", "u", UUID, True, {"u": UUID}),
        ("uuid", "u", UUID[:-1], True, False),
        ("uuid", None, UUID, True, {}),
        ("int", "i", "42", True, {"i": 42}),
        ("int", "i", "042", True, False),
        ("int", "i", "4.0", True, False),
        ("int", "i", 42, False, {"i": 42}),
        ("int", "i", "42", False, False),
        ("int", "i", True, False, False),
        ("int", "i", 4.5, False, False),
        ("number", "n", "4.5", True, {"n": 4.5}),
        ("number", "n", 4.5, False, {"n": 4.5}),
        ("number", "n", "x", True, False),
        ("string", "s", "x", True, {"s": "x"}),
        ("string", "s", 3, False, False),
        ("datetime", "d", "2026-01-01T00:00:00Z", True, {"d": "2026-01-01T00:00:00Z"}),
        ("datetime", "d", "2026-01-01", True, False),
        ("any", "a", None, False, {"a": None}),
        ("any", "a", [1], False, {"a": [1]}),
        ("any", "a", MISSING, True, False),
    ],
)
def test_what_holds(op: str, want: Any, value: Any, text: bool, found: Any) -> None:
    got = compile_operator(op, Operand(want, text))(value)
    assert got == found
    assert type(got) is type(found)


@pytest.mark.parametrize(
    "op", ["prefix", "contains", "in", "gt", "equals", "regex", "glob", "json", "jsonpath", "xpath", "schema"]
)
def test_what_is_missing_satisfies_nothing(op: str) -> None:
    wants: dict[str, Any] = {
        "in": [None, 1],
        "gt": 0,
        "schema": True,
        "json": None,
        "equals": None,
        "jsonpath": "$",
        "contains": None,
    }
    assert compile_operator(op, Operand(wants.get(op, "a"), text=True))(MISSING) is False


@pytest.mark.parametrize(
    ("op", "want", "at", "why"),
    [
        ("prefix", 3, (), "expected text, got 3"),
        ("in", "a", (), 'expected a list of values, got "a"'),
        ("in", [], (), "expected a list of values, got a list"),
        ("gt", "soon", (), 'expected a number or an RFC 3339 date-time, got "soon"'),
        ("gt", True, (), "expected a number"),
        ("absent", "yes", (), 'expected true or false, got "yes"'),
        ("regex", "(?=a)", (), "no lookaround"),
        ("regex", "", (), 'expected a pattern, got ""'),
        ("jsonpath", "a", (), "not a JSONPath"),
        (
            "xpath",
            {"path": "//a", "namespaces": {"s": 1}},
            ("namespaces",),
            "expected a mapping of prefixes to URIs",
        ),
        ("schema", [1], (), "expected a JSON Schema, got a list"),
        ("uuid", "a b", (), 'expected a name to bind, got "a b"; a plain value is compared with `equals`'),
        ("number", 5, (), "expected a name to bind, got 5"),
    ],
)
def test_an_operand_that_cannot_be(op: str, want: Any, at: tuple[str, ...], why: str) -> None:
    with pytest.raises(Invalid) as error:
        compile_operator(op, Operand(want, text=True))
    assert error.value.at == at
    assert why in error.value.why
