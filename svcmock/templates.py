"""Reply documents with `{{ expressions }}`: compiled once, rendered for each request. Pure and bounded.

An expression is a path into the values (`id`, `request.json.items[0].name`, `request.headers.x-id`) or a
quoted text, then filters: `| default(0)`, `| upper`, `| lower`, `| length`, `| json`. There are no loops, no
conditions, no calls. A text that is one expression and nothing else keeps the value's type; elsewhere a value
is written into the text, what is no text as JSON. Only values of the document are templates, never its keys.
What a request sent is data: it is put in and not looked at again. Fields that hold several texts to a name
(`request.query.page`) give the first; `request.query.page[1]` gives the second. A literal `{{` is written
`{{ '{{' }}`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from svcmock.matching.operators import MISSING
from svcmock.matching.predicates import MULTIVALUED, lookup
from svcmock.protocol import Doc, Invalid, SvcmockError

MAX_OUTPUT = 8 * 1024 * 1024
"""Characters that the expressions of one reply may put in."""
MAX_FILTERS = 10
"""Filters of one expression."""
MAX_STEPS = 100
"""Steps of one path."""

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^']*'|\"[^\"]*\")|(?P<number>-?(?:0|[1-9]\d*)(?:\.\d+)?)(?![\w.-])"
    r"|(?P<name>[A-Za-z0-9_][A-Za-z0-9_-]*)|(?P<sign>[.|()\[\]]))"
)
_NUMERIC_STEP = re.compile(r"\d{1,9}\Z")


class TemplateError(SvcmockError):
    """A template that cannot be rendered with the values of this request."""


class Default(Struct, frozen=True):
    """`default(x)`: what stands in for a value that is missing or null."""

    value: Doc


Filter: TypeAlias = str | Default


class Expression(Struct, frozen=True):
    """`literal`, or the value at `path`, through `filters`. `source`: as it was written."""

    source: str
    path: tuple[str, ...]
    literal: Doc
    filters: tuple[Filter, ...]


class Whole(Struct, frozen=True):
    """A text that is one expression: the value keeps its type."""

    expression: Expression


class Mixed(Struct, frozen=True):
    """A text with expressions in it."""

    parts: tuple[str | Expression, ...]


class Branch(Struct, frozen=True):
    """A mapping or list with expressions somewhere below; everything else is shared as it is."""

    value: dict[str, Any] | list[Any]


class Template(Struct, frozen=True):
    """A compiled reply document."""

    root: Any


# --- compiling ----------------------------------------------------------------------------------------


def compile_template(doc: Doc) -> tuple[Template | None, list[Invalid]]:
    """The template that `doc` is, or everything that is wrong with it."""
    problems: list[Invalid] = []
    root = _compile(doc, (), problems)
    return (None, problems) if problems else (Template(root), [])


def _compile(doc: Doc, at: tuple[str | int, ...], problems: list[Invalid]) -> Any:
    if isinstance(doc, str):
        if "{{" not in doc:
            return doc
        try:
            return _compile_text(doc)
        except TemplateError as error:
            problems.append(Invalid(at, str(error)))
            return doc
    if isinstance(doc, dict):
        built: Any = {name: _compile(item, (*at, name), problems) for name, item in doc.items()}
        parts = built.values()
    elif isinstance(doc, list):
        built = parts = [_compile(item, (*at, index), problems) for index, item in enumerate(doc)]
    else:
        return doc
    return Branch(built) if any(isinstance(part, Whole | Mixed | Branch) for part in parts) else doc


def _compile_text(text: str) -> Whole | Mixed:
    parts: list[str | Expression] = []
    at = 0
    while (start := text.find("{{", at)) >= 0:
        expression, end = _parse(text, start + 2)
        if start > at:
            parts.append(text[at:start])
        parts.append(expression)
        at = end
    if at < len(text):
        parts.append(text[at:])
    only = parts[0]
    return Whole(only) if len(parts) == 1 and isinstance(only, Expression) else Mixed(tuple(parts))


class _Tokens:
    """The tokens of one expression, up to its `}}`."""

    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self._start = at
        self._at = at
        self.kind = ""
        self.token = ""
        self.next()

    def next(self) -> str:
        """Moves on; gives the token that was current."""
        before = self.token
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            rest = self._text[self._at :].lstrip()
            if not rest.startswith("}}"):
                what = f"`{rest[:20]}`" if rest else "the end of the text"
                raise TemplateError(f"`{self.source()}`: unexpected {what}; an expression ends with `}}}}`")
            self._at = len(self._text) - len(rest)
            self.kind, self.token = "end", "}}"
        else:
            self._at = match.end()
            self.kind, self.token = str(match.lastgroup), match.group(match.lastgroup or 0)
        return before

    def end(self) -> int:
        return self._at + 2

    def source(self) -> str:
        stop = self._text.find("}}", self._at)
        source = self._text[self._start : stop if stop >= 0 else len(self._text)].strip()
        return source if len(source) <= 100 else f"{source[:100]}…"

    def wrong(self, expected: str) -> TemplateError:
        return TemplateError(f"`{self.source()}`: expected {expected}, got `{self.token}`")

    def take(self, sign: str) -> bool:
        if self.kind == "sign" and self.token == sign:
            self.next()
            return True
        return False


def _parse(text: str, at: int) -> tuple[Expression, int]:
    """The expression that begins at `at`, and where the text goes on behind its `}}`. Raises TemplateError."""
    tokens = _Tokens(text, at)
    path: list[str] = []
    literal: Doc = MISSING
    if tokens.kind == "text":
        literal = tokens.next()[1:-1]
    elif tokens.kind == "name":
        path.append(tokens.next())
        _parse_steps(tokens, path)
    else:
        raise tokens.wrong("a name or a quoted text")
    filters: list[Filter] = []
    while tokens.take("|"):
        filters.append(_parse_filter(tokens))
    if tokens.kind != "end":
        raise tokens.wrong("`|` or `}}`")
    if len(filters) > MAX_FILTERS:
        raise TemplateError(f"`{tokens.source()}`: more than {MAX_FILTERS} filters")
    return Expression(tokens.source(), tuple(path), literal, tuple(filters)), tokens.end()


def _parse_steps(tokens: _Tokens, path: list[str]) -> None:
    while True:
        if tokens.take("."):
            if tokens.kind not in {"name", "number"}:
                raise tokens.wrong("a name")
            # `a.0.1` reads as the number 0.1: it is two steps
            path.extend(tokens.next().split("."))
        elif tokens.take("["):
            if tokens.kind == "text":
                path.append(tokens.next()[1:-1])
            elif tokens.kind == "number" and _NUMERIC_STEP.match(tokens.token):
                path.append(tokens.next())
            else:
                raise tokens.wrong("an index or a quoted name")
            if not tokens.take("]"):
                raise tokens.wrong("`]`")
        else:
            return
        if len(path) > MAX_STEPS:
            raise TemplateError(f"`{tokens.source()}`: more than {MAX_STEPS} steps")


def _parse_filter(tokens: _Tokens) -> Filter:
    if tokens.kind != "name":
        raise tokens.wrong("a filter")
    name = tokens.token
    if name != "default" and name not in _FILTERS:
        raise tokens.wrong(f"a filter (default, {', '.join(_FILTERS)})")
    tokens.next()
    if name != "default":
        return name
    if not tokens.take("("):
        raise tokens.wrong("`(`")
    if tokens.kind == "text":
        value: Doc = tokens.next()[1:-1]
    elif tokens.kind == "number" and len(tokens.token) <= 100:
        value = msgspec.json.decode(tokens.next())
    elif tokens.token in _LITERALS:
        value = _LITERALS[tokens.next()]
    else:
        raise tokens.wrong("a quoted text, a number, true, false or null")
    if not tokens.take(")"):
        raise tokens.wrong("`)`")
    return Default(value)


_LITERALS: dict[str, Doc] = {"true": True, "false": False, "null": None}


# --- rendering ----------------------------------------------------------------------------------------


def render(template: Template, values: Mapping[str, Any]) -> Doc:
    """The document with every expression replaced. Raises TemplateError: an unknown name, too much output."""
    return _render(template.root, values, [MAX_OUTPUT])


def _render(node: Any, values: Mapping[str, Any], left: list[int]) -> Doc:
    if isinstance(node, Whole):
        value = _evaluate(node.expression, values)
        _spend(value if isinstance(value, str) else _json(value), left)
        return value
    if isinstance(node, Mixed):
        return "".join(part if isinstance(part, str) else _written(part, values, left) for part in node.parts)
    if isinstance(node, Branch):
        if isinstance(node.value, dict):
            return {name: _render(item, values, left) for name, item in node.value.items()}
        return [_render(item, values, left) for item in node.value]
    return node


def _written(expression: Expression, values: Mapping[str, Any], left: list[int]) -> str:
    value = _evaluate(expression, values)
    return _spend(value if isinstance(value, str) else _json(value), left)


def _spend(text: str, left: list[int]) -> str:
    left[0] -= len(text)
    if left[0] < 0:
        raise TemplateError(f"the reply would be longer than {MAX_OUTPUT} characters")
    return text


def _evaluate(expression: Expression, values: Mapping[str, Any]) -> Doc:
    value = _find(expression.path, values) if expression.path else expression.literal
    for step in expression.filters:
        if isinstance(step, Default):
            value = step.value if value is MISSING or value is None else value
        elif value is not MISSING:
            value = _filtered(step, value, expression)
    if value is MISSING:
        known = ", ".join(sorted(str(name) for name in values)[:20])
        raise TemplateError(f"`{expression.source}`: there is no such value; known names: {known}")
    return value


def _find(path: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    value = lookup(values, path)
    many = len(path) == 3 and path[0] == "request" and path[1] in MULTIVALUED
    if many and isinstance(value, list):
        return value[0] if value else MISSING
    return value


def _filtered(name: str, value: Doc, expression: Expression) -> Doc:
    try:
        return _FILTERS[name](value)
    except TypeError:
        kind = type(value).__name__
        raise TemplateError(f"`{expression.source}`: `{name}` does not take a value of type {kind}") from None


def _json(value: Doc) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TemplateError(f"a value that JSON cannot write: {error}") from None


def _upper(value: Doc) -> Doc:
    return str.upper(value)


def _lower(value: Doc) -> Doc:
    return str.lower(value)


_FILTERS: dict[str, Callable[[Doc], Doc]] = {"upper": _upper, "lower": _lower, "length": len, "json": _json}
