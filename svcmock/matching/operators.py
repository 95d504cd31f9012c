"""What a single predicate means: its operand checked and compiled to a test of one value.

A test gets the value that stands at the field, or MISSING, and answers whether it holds, or what it binds.
Fields that are text on the wire (`text=True`) compare numbers with text that reads as that number; JSON does
not: there 2 and "2" differ. Equality of numbers is by value (1 and 1.0 are equal), of booleans only with
booleans. Nothing but `absent: true` holds for what is missing.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from svcmock.matching.patterns import (
    BadPatternError,
    Found,
    Test,
    compile_glob,
    compile_jsonpath,
    compile_regex,
    compile_schema,
    compile_xpath,
)
from svcmock.protocol import Doc, Invalid


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
"""What a field path leads to where there is nothing."""
MAX_JSON = 4 * 1024 * 1024
"""Characters of a text that is parsed as JSON for a predicate."""
MAX_NUMBER = 400
"""Characters of a text that is read as a number."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z")
_DATETIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[-+]\d\d:\d\d)\Z")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z")
_INT = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
"""What a capture may be called: a template must be able to name it."""


class Operand(Struct, frozen=True):
    """The operand of a predicate, and what its meaning depends on."""

    want: Doc
    text: bool
    separator: str = ""
    """Where the field is one of segments (a path), what separates them."""


Compile: TypeAlias = Callable[[Operand], Test]
"""Raises Invalid, its path below the operand, or BadPatternError."""


# --- equality and order -------------------------------------------------------------------------------


def same(want: Doc, got: Any, *, text: bool = False) -> bool:
    """Equality as the module's head defines it, through lists and mappings."""
    if isinstance(want, bool) or isinstance(got, bool):
        return want is got or bool(text and isinstance(want, bool) and as_text(want) == got)
    if isinstance(want, Mapping):
        return (
            isinstance(got, Mapping)
            and len(want) == len(got)
            and all(name in got and same(item, got[name], text=text) for name, item in want.items())
        )
    if isinstance(want, list):
        return (
            isinstance(got, list)
            and len(want) == len(got)
            and all(same(one, other, text=text) for one, other in zip(want, got, strict=True))
        )
    if text and isinstance(want, int | float) and isinstance(got, str):
        return bool(as_text(want) == got)
    return bool(want == got) and (want is None) == (got is None)


def as_text(value: Doc) -> Doc:
    """A number or boolean as it is written in a query or a header; anything else as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int | float) else value


def contains(want: Doc, got: Any) -> bool:
    """`got` holds `want`: mappings may hold more keys, lists as many items, the rest is equal."""
    if isinstance(want, Mapping):
        return isinstance(got, Mapping) and all(k in got and contains(v, got[k]) for k, v in want.items())
    if isinstance(want, list):
        return (
            isinstance(got, list)
            and len(want) == len(got)
            and all(contains(one, other) for one, other in zip(want, got, strict=True))
        )
    return same(want, got)


def number(value: Any, *, text: bool) -> int | float | None:
    """`value` as a number; a text only where `text` says that numbers are written as text."""
    if isinstance(value, int | float):
        return None if isinstance(value, bool) else value
    if text and isinstance(value, str) and len(value) <= MAX_NUMBER and _NUMBER.match(value):
        return int(value) if _INT.match(value) else float(value)
    return None


def moment(value: Any) -> datetime | None:
    """`value` as an RFC 3339 date-time."""
    if not isinstance(value, str) or len(value) > 40 or not _DATETIME.match(value):
        return None
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        return None


def as_json(value: Any) -> Any:
    """A text parsed as JSON, MISSING where it is none; plain data as it is."""
    if not isinstance(value, str):
        return value
    if len(value) > MAX_JSON:
        return MISSING
    try:
        return msgspec.json.decode(value)
    except (ValueError, RecursionError):
        return MISSING


# --- operators ----------------------------------------------------------------------------------------


def _equals(operand: Operand) -> Test:
    want, text = operand.want, operand.text
    if isinstance(want, str):
        return lambda value: value.__class__ is str and value == want
    return lambda value: same(want, value, text=text)


def _text_test(test: Callable[[str, str], bool]) -> Compile:
    def compile_(operand: Operand) -> Test:
        want = operand.want
        if not isinstance(want, str):
            raise Invalid((), f"expected text, got {describe(want)}")
        return lambda value: isinstance(value, str) and test(value, want)

    return compile_


def _contains(operand: Operand) -> Test:
    want, text = operand.want, operand.text

    def test(value: Any) -> Found:
        if isinstance(value, str):
            return isinstance(want, str) and want in value
        return isinstance(value, list) and any(same(want, item, text=text) for item in value)

    return test


def _in(operand: Operand) -> Test:
    want, text = operand.want, operand.text
    if not isinstance(want, list) or not want:
        raise Invalid((), f"expected a list of values, got {describe(want)}")
    return lambda value: any(same(item, value, text=text) for item in want)


def _ordered(holds: Callable[[Any, Any], bool]) -> Compile:
    def compile_(operand: Operand) -> Test:
        want, text = operand.want, operand.text
        limit: Any = number(want, text=False)
        if limit is not None:

            def numeric(value: Any) -> Found:
                got = number(value, text=text)
                return got is not None and holds(got, limit)

            return numeric
        since = moment(want)
        if since is None:
            raise Invalid((), f"expected a number or an RFC 3339 date-time, got {describe(want)}")

        def temporal(value: Any) -> Found:
            got = moment(value)
            return got is not None and holds(got, since)

        return temporal

    return compile_


def _absent(operand: Operand) -> Test:
    want = operand.want
    if not isinstance(want, bool):
        raise Invalid((), f"expected true or false, got {describe(want)}")
    return lambda value: (value is MISSING) is want


def _json(operand: Operand) -> Test:
    want = operand.want
    return lambda value: contains(want, as_json(value))


def _json_exact(operand: Operand) -> Test:
    want = operand.want
    return lambda value: same(want, as_json(value))


def _regex(operand: Operand) -> Test:
    return compile_regex(_pattern(operand.want))


def _glob(operand: Operand) -> Test:
    return compile_glob(_pattern(operand.want), operand.separator)


def _jsonpath(operand: Operand) -> Test:
    test = compile_jsonpath(_pattern(operand.want))
    return lambda value: test(as_json(value))


def _xpath(operand: Operand) -> Test:
    want = operand.want
    if isinstance(want, dict) and set(want) == {"path", "namespaces"}:
        namespaces = want["namespaces"]
        if not isinstance(namespaces, dict) or not all(isinstance(uri, str) for uri in namespaces.values()):
            raise Invalid(("namespaces",), "expected a mapping of prefixes to URIs")
        return compile_xpath(_pattern(want["path"]), namespaces)
    return compile_xpath(_pattern(want))


def _schema(operand: Operand) -> Test:
    if not isinstance(operand.want, dict | bool):
        raise Invalid((), f"expected a JSON Schema, got {describe(operand.want)}")
    test = compile_schema(operand.want)

    def on_json(value: Any) -> Found:
        parsed = as_json(value)
        return parsed is not MISSING and test(parsed)

    return on_json


def _pattern(want: Doc) -> str:
    if not isinstance(want, str) or not want:
        raise Invalid((), f"expected a pattern, got {describe(want)}")
    return want


# --- captures -----------------------------------------------------------------------------------------


def _capture(holds: Callable[[Any, bool], Doc]) -> Compile:
    """`holds` gives the value to bind, or MISSING; it is told whether numbers are written as text."""

    def compile_(operand: Operand) -> Test:
        name, text = operand.want, operand.text
        if name is not None and not (isinstance(name, str) and NAME.match(name)):
            raise Invalid(
                (), f"expected a name to bind, got {describe(name)}; a plain value is compared with `equals`"
            )

        def test(value: Any) -> Found:
            bound = MISSING if value is MISSING else holds(value, text)
            if bound is MISSING:
                return False
            return {} if name is None else {name: bound}

        return test

    return compile_


def _number(value: Any, text: bool) -> Doc:
    found = number(value, text=text)
    return MISSING if found is None else found


def _whole(value: Any, text: bool) -> Doc:
    found = number(value, text=text and isinstance(value, str) and _INT.match(value) is not None)
    return found if isinstance(found, int) else MISSING


CAPTURES: dict[str, Compile] = {
    "uuid": _capture(lambda value, _: value if isinstance(value, str) and _UUID.match(value) else MISSING),
    "int": _capture(_whole),
    "number": _capture(_number),
    "string": _capture(lambda value, _: value if isinstance(value, str) else MISSING),
    "datetime": _capture(lambda value, _: value if moment(value) else MISSING),
    "any": _capture(lambda value, _: value),
}
"""Hold for a value of their kind and bind it to the name they are given; null binds nothing."""

OPERATORS: dict[str, tuple[int, Compile]] = {
    "absent": (0, _absent),
    "equals": (0, _equals),
    "prefix": (1, _text_test(str.startswith)),
    "suffix": (1, _text_test(str.endswith)),
    "contains": (1, _contains),
    "in": (1, _in),
    "gt": (1, _ordered(lambda got, limit: got > limit)),
    "gte": (1, _ordered(lambda got, limit: got >= limit)),
    "lt": (1, _ordered(lambda got, limit: got < limit)),
    "lte": (1, _ordered(lambda got, limit: got <= limit)),
    **{name: (1, compile_) for name, compile_ in CAPTURES.items()},
    "glob": (2, _glob),
    "regex": (2, _regex),
    "json": (3, _json),
    "json_exact": (3, _json_exact),
    "jsonpath": (4, _jsonpath),
    "schema": (4, _schema),
    "xpath": (4, _xpath),
}
"""Name to cost and meaning. Checks are made cheapest first."""

COMBINERS = frozenset({"not", "any_of", "all_of"})
PREDICATES = frozenset(OPERATORS) | COMBINERS


def compile_operator(name: str, operand: Operand) -> Test:
    """The test of one predicate. Raises Invalid, its path below the operand."""
    try:
        return OPERATORS[name][1](operand)
    except BadPatternError as error:
        raise Invalid((), str(error)) from None


def describe(value: Doc) -> str:
    """A value in a message: what kind of thing it is, and itself where that is short."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    shown = msgspec.json.encode(value).decode() if not isinstance(value, float) else str(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
