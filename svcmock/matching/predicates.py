"""What `match:` of a route demands of a request's fields: compiled once, evaluated, and explained.

A mapping whose keys are all names of predicates is a predicate; any other mapping descends into the value, so
`json: {customer: {id: {gt: 3}}}` demands that much of the JSON and nothing of the rest. A bare value is
equality. A list is equality with the whole list; where it holds predicates, it demands as many items, each
demanded like a field. `equals` and `json` take their operand literally: `json: {equals: {in: 3}}` and
`json: {json: {in: 3}}` ask for a member called `in`.

Fields in MULTIVALUED hold a list of texts for each name: a predicate holds if any of them satisfies it, `not`
if none does, and only equality with a list looks at all of them. Names in CASELESS fields are lower case.
`not` holds for what is missing.

Specificity is (rank of the address, literal parts of it, number of checks), the larger first: an equal address
before a template, a template before any other predicate on it, and that before none.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from svcmock.convert import unknown_key
from svcmock.matching.operators import (
    CAPTURES,
    COMBINERS,
    MISSING,
    NAME,
    OPERATORS,
    PREDICATES,
    Operand,
    as_text,
    compile_operator,
    describe,
)
from svcmock.matching.patterns import Found
from svcmock.payload import quoted
from svcmock.protocol import Difference, Doc, Invalid

MULTIVALUED = frozenset({"query", "headers", "trailers", "form", "metadata"})
CASELESS = frozenset({"headers", "trailers", "metadata"})
DATA = frozenset({"json", "message", "messages"})
"""Fields whose numbers are numbers; in all others a number is compared with the text that it is there."""

MAX_CHECKS = 1000
"""Checks of one route."""
MAX_SHOWN = 1000
"""Characters of a text, and items of a list or mapping, that a difference repeats."""

FieldPath: TypeAlias = tuple[str, ...]
Fields: TypeAlias = Mapping[str, Any]


class Param(Struct, frozen=True):
    """A `{name}` segment of a template: any one segment that is not empty."""

    name: str


class Check(Struct, frozen=True):
    """One demand on the value at `at`. `many`: on any of the texts that stand there. `binds`: its names."""

    at: FieldPath
    op: str
    want: Doc
    test: Callable[[Any], Found]
    many: bool
    cost: int
    binds: tuple[str, ...] = ()


class AnyOf(Struct, frozen=True):
    """One of several sets of demands."""

    at: FieldPath
    branches: tuple[tuple["Demand", ...], ...]
    want: Doc
    cost: int
    op: str = "any_of"


class Not(Struct, frozen=True):
    """Not all of these demands."""

    at: FieldPath
    demands: tuple["Demand", ...]
    want: Doc
    cost: int
    op: str = "not"


Demand: TypeAlias = Check | AnyOf | Not
Template: TypeAlias = tuple[str | Param, ...]


class Matcher(Struct, frozen=True):
    """A compiled `match:`. `equalities`: what must be equal whatever else holds, as an index can look it up."""

    checks: tuple[Demand, ...]
    equalities: tuple[tuple[FieldPath, Hashable], ...] = ()
    template: Template | None = None
    specificity: tuple[int, int, int] = (0, 0, 0)


# --- compiling ----------------------------------------------------------------------------------------


def compile_match(
    doc: Doc, *, template_field: str = "", template_separator: str = "", known: Collection[str] = ()
) -> tuple[Matcher | None, list[Invalid]]:
    """The matcher for `match:`, or everything that is wrong with it. An empty mapping matches everything.

    `known`: the fields that requests can have, where that is known; a demand on another never holds.
    """
    compiler = _Compiler(template_field, template_separator, known)
    if not isinstance(doc, dict):
        return None, [Invalid((), f"expected a mapping of fields to predicates, got {describe(doc)}")]
    demands = compiler.top(doc, ())
    if compiler.count > MAX_CHECKS:
        compiler.problems = [Invalid((), f"more than {MAX_CHECKS} checks")]
    compiler.check_names(demands)
    if compiler.problems:
        return None, compiler.problems
    checks = tuple(sorted(demands, key=lambda demand: demand.cost))
    equalities = tuple(
        (check.at, check.want if check.at[0] in DATA else as_text(check.want))
        for check in checks
        if isinstance(check, Check) and check.op == "equals" and _is_key(check.want)
    )
    template = next((c.want for c in checks if isinstance(c, Check) and c.op == "template"), None)
    parsed = None if template is None else _template(template, template_separator)
    return Matcher(checks, equalities, parsed, _specificity(checks, template_field, template_separator)), []


def _is_key(want: Doc) -> bool:
    return isinstance(want, str | int | float)


def _specificity(checks: tuple[Demand, ...], field: str, separator: str) -> tuple[int, int, int]:
    rank, literal = 0, 0
    for check in checks:
        if check.at != (field,) or not isinstance(check, Check):
            continue
        if check.op == "equals":
            found = (3, len(str(check.want).split(separator)) if separator else 1)
        elif check.op == "template":
            found = (2, sum(isinstance(part, str) for part in _template(check.want, separator)))
        else:
            found = (1, len(check.want) if check.op in {"prefix", "suffix", "glob"} else 0)
        rank, literal = max((rank, literal), found)
    return rank, literal, len(checks)


class _Compiler:
    """Compiles one `match:`; notes problems and goes on."""

    def __init__(self, field: str, separator: str, known: Collection[str]) -> None:
        self._field = field
        self._separator = separator
        self._known = known
        self.problems: list[Invalid] = []
        self.count = 0

    def _wrong(self, path: tuple[str | int, ...], why: str) -> None:
        self.problems.append(Invalid(path, why))

    def top(self, doc: Doc, path: tuple[str | int, ...]) -> list[Demand]:
        """Demands on several fields: `match:` itself, and the operands of the combiners at its top."""
        if not isinstance(doc, dict):
            self._wrong(path, f"expected a mapping of fields to predicates, got {describe(doc)}")
            return []
        demands: list[Demand] = []
        for name, want in doc.items():
            if name in COMBINERS:
                demands += self._combine(name, want, (), (*path, name))
            elif name in OPERATORS and name not in DATA and name != "schema":
                self._wrong(
                    (*path, name), f"the predicate `{name}` stands below a field, as in `path: {{{name}: ...}}`"
                )
            elif self._known and name not in self._known:
                self._wrong((*path, name), unknown_key(name, self._known))
            else:
                demands += self._demand(want, (name,), (*path, name))
        return demands

    def _demand(self, doc: Doc, at: FieldPath, path: tuple[str | int, ...]) -> list[Demand]:
        """What `doc` demands of the value at `at`; `path` is where it stands in `match:`."""
        if len(self.problems) > MAX_CHECKS or self.count > MAX_CHECKS:
            return []
        if isinstance(doc, dict):
            if doc and all(name in PREDICATES for name in doc):
                return [
                    one for name, want in doc.items() for one in self._predicate(name, want, at, (*path, name))
                ]
            return self._descend(doc, at, path)
        if isinstance(doc, list) and _holds_predicates(doc):
            size = self._check(at, "length", len(doc), _has_length(len(doc)), 0)
            parts = [self._demand(item, (*at, str(index)), (*path, index)) for index, item in enumerate(doc)]
            return [size, *(one for part in parts for one in part)]
        if at == (self._field,) and isinstance(doc, str) and ("{" in doc or "}" in doc):
            return self._templated(doc, path)
        return self._predicate("equals", doc, at, path)

    def _descend(self, doc: dict[str, Doc], at: FieldPath, path: tuple[str | int, ...]) -> list[Demand]:
        if not doc:
            return self._predicate("json", doc, at, path)
        demands: list[Demand] = []
        for name, want in doc.items():
            step = name.lower() if len(at) == 1 and at[0] in CASELESS else name
            demands += self._demand(want, (*at, step), (*path, name))
        return demands

    def _predicate(self, name: str, want: Doc, at: FieldPath, path: tuple[str | int, ...]) -> list[Demand]:
        if name in COMBINERS:
            return self._combine(name, want, at, path)
        separator = self._separator if at == (self._field,) else ""
        try:
            test = compile_operator(name, Operand(want, at[0] not in DATA, separator))
        except Invalid as error:
            self._wrong((*path, *error.at), error.why)
            return []
        return [self._check(at, name, want, test, OPERATORS[name][0])]

    def _check(self, at: FieldPath, op: str, want: Doc, test: Callable[[Any], Found], cost: int) -> Check:
        self.count += 1
        whole = op in {"absent", "length"} or (op == "equals" and isinstance(want, list))
        many = len(at) == 2 and at[0] in MULTIVALUED and not whole
        return Check(at, op, want, test, many, cost, (want,) if op in CAPTURES and want is not None else ())

    def _combine(self, name: str, want: Doc, at: FieldPath, path: tuple[str | int, ...]) -> list[Demand]:
        if name == "not":
            demands = self._below(want, at, path)
            bound = sorted(set(_bound(demands)))
            if bound:
                self._wrong(
                    path, f"a capture inside `not` binds nothing: `{bound[0]}`; write null for the name"
                )
            return [Not(at, tuple(demands), want, _cost(demands))]
        if not isinstance(want, list) or not want:
            self._wrong(path, f"expected a list of demands, got {describe(want)}")
            return []
        parts = [self._below(item, at, (*path, index)) for index, item in enumerate(want)]
        if name == "all_of":
            return [demand for part in parts for demand in part]
        branches = tuple(tuple(sorted(part, key=lambda demand: demand.cost)) for part in parts)
        return [AnyOf(at, branches, want, _cost([demand for part in parts for demand in part]))]

    def _below(self, doc: Doc, at: FieldPath, path: tuple[str | int, ...]) -> list[Demand]:
        return self._demand(doc, at, path) if at else self.top(doc, path)

    def _templated(self, doc: str, path: tuple[str | int, ...]) -> list[Demand]:
        try:
            parts = _template(doc, self._separator)
        except Invalid as error:
            self._wrong(path, error.why)
            return []
        self.count += 1
        names = tuple(part.name for part in parts if isinstance(part, Param))
        test = _template_test(parts, self._separator)
        return [Check((self._field,), "template", doc, test, many=False, cost=1, binds=names)]

    def check_names(self, demands: list[Demand]) -> None:
        seen: set[str] = set()
        for name in _bound(demands):
            if name in seen:
                self._wrong((), f"two captures are called `{name}`")
            seen.add(name)


def _bound(demands: list[Demand] | tuple[Demand, ...]) -> Iterator[str]:
    """The names that demands bind, each once for all branches of one `any_of`."""
    for demand in demands:
        if isinstance(demand, AnyOf):
            yield from sorted({name for branch in demand.branches for name in _bound(branch)})
        elif isinstance(demand, Check):
            yield from demand.binds


def looked_at(demands: Iterable[Demand]) -> Iterator[FieldPath]:
    """The fields that demands look at, as far as they name them."""
    for demand in demands:
        if isinstance(demand, AnyOf):
            for branch in demand.branches:
                yield from looked_at(branch)
        elif isinstance(demand, Not):
            yield from looked_at(demand.demands)
        else:
            yield demand.at


def _cost(demands: list[Demand]) -> int:
    return max((demand.cost for demand in demands), default=0)


def _holds_predicates(doc: Doc) -> bool:
    if isinstance(doc, dict):
        return (bool(doc) and all(name in PREDICATES for name in doc)) or any(
            map(_holds_predicates, doc.values())
        )
    return isinstance(doc, list) and any(map(_holds_predicates, doc))


def _has_length(length: int) -> Callable[[Any], Found]:
    return lambda value: isinstance(value, list) and len(value) == length


def _template(text: str, separator: str) -> Template:
    """`/users/{id}` as its segments. Raises Invalid."""
    parts: list[str | Param] = []
    names: set[str] = set()
    for segment in text.split(separator) if separator else [text]:
        if "{" not in segment and "}" not in segment:
            parts.append(segment)
            continue
        name = segment[1:-1]
        if not (segment[0] == "{" and segment[-1] == "}" and NAME.match(name)):
            why = f"`{segment}`: a template segment is `{{name}}`, whole; for a literal brace use `equals`"
            raise Invalid((), why)
        if name in names:
            raise Invalid((), f"two segments are called `{name}`")
        names.add(name)
        parts.append(Param(name))
    return tuple(parts)


def _template_test(parts: Template, separator: str) -> Callable[[Any], Found]:
    def test(value: Any) -> Found:
        segments = value.split(separator) if isinstance(value, str) and separator else [value]
        if len(segments) != len(parts):
            return False
        bound: dict[str, Doc] = {}
        for part, segment in zip(parts, segments, strict=True):
            if isinstance(part, Param):
                if not segment:
                    return False
                bound[part.name] = segment
            elif part != segment:
                return False
        return bound

    return test


# --- evaluating ---------------------------------------------------------------------------------------


def evaluate(matcher: Matcher, fields: Fields) -> dict[str, Doc] | None:
    """What the captures bind, or None where a demand does not hold; stops at the first."""
    return _all(matcher.checks, fields)


def _found(demand: Demand, fields: Fields) -> Found:
    if isinstance(demand, Check):
        value = lookup(fields, demand.at)
        if demand.many and isinstance(value, list):
            return next((found for item in value if (found := demand.test(item)) is not False), False)
        return demand.test(value)
    if isinstance(demand, Not):
        return any(_found(one, fields) is False for one in demand.demands)
    bound = next((bound for branch in demand.branches if (bound := _all(branch, fields)) is not None), None)
    return False if bound is None else bound


def _all(demands: tuple[Demand, ...], fields: Fields) -> dict[str, Doc] | None:
    bound: dict[str, Doc] = {}
    for demand in demands:
        found = _found(demand, fields)
        if found is False:
            return None
        if found is not True:
            bound.update(found)
    return bound


def lookup(fields: Fields, at: FieldPath) -> Any:
    """The value at a field path; list items by index. MISSING where there is none."""
    value: Any = fields
    for step in at:
        if isinstance(value, Mapping):
            try:
                value = value[step]
            except KeyError:
                return MISSING
        elif isinstance(value, list) and step.isascii() and step.isdigit() and len(step) < 10:
            index = int(step)
            if index >= len(value):
                return MISSING
            value = value[index]
        else:
            return MISSING
    return value


# --- explaining ---------------------------------------------------------------------------------------


def differences(matcher: Matcher, fields: Fields) -> list[Difference]:
    """Every demand that does not hold, with what stands there instead."""
    return [_difference(demand, fields) for demand in matcher.checks if _found(demand, fields) is False]


def _difference(demand: Demand, fields: Fields) -> Difference:
    got = lookup(fields, demand.at) if demand.at else MISSING
    hint, single = None, got
    if isinstance(demand, Check):
        single = got[0] if demand.many and isinstance(got, list) and len(got) == 1 else got
        hint = _hint_missing(demand.at, fields) if got is MISSING else hint_at(demand.want, single)
    shown = None if got is MISSING else _shown(got, 4, demand.want)
    return Difference(".".join(demand.at), demand.op, _shown(demand.want, 8, single), shown, hint)


def _hint_missing(at: FieldPath, fields: Fields) -> str | None:
    parent = lookup(fields, at[:-1])
    if not isinstance(parent, Mapping):
        return None
    near = next((name for name in parent if isinstance(name, str) and name.lower() == at[-1].lower()), None)
    return None if near is None else f"there is `{near}`: upper and lower case differ"


def hint_at(want: Doc, got: Any) -> str | None:
    """What makes two values that differ look alike, in words; None where nothing does."""
    if isinstance(want, str) and isinstance(got, str) and want != got:
        if want.rstrip("/") == got.rstrip("/"):
            return "a trailing slash differs"
        if want.casefold() == got.casefold():
            return "upper and lower case differ"
        if "".join(want.split()) == "".join(got.split()):
            return "white space differs"
        return None
    kinds = {isinstance(want, str), isinstance(got, str)}
    if kinds == {True, False} and not isinstance(want, list | dict) and as_text(want) == as_text(got):
        return "one is a number or a boolean, the other is text"
    return None


def _shown(value: Any, depth: int, beside: Any = None) -> Doc:
    """`value` at a bounded size; a text with the place where it differs from `beside`."""
    if isinstance(value, str):
        return quoted(value, beside if isinstance(beside, str) else "", MAX_SHOWN)
    if isinstance(value, Mapping):
        if depth == 0:
            return "{…}"
        return {
            name: _shown(item, depth - 1)
            for _, (name, item) in zip(range(MAX_SHOWN), value.items(), strict=False)
        }
    if isinstance(value, list):
        return "[…]" if depth == 0 else [_shown(item, depth - 1, beside) for item in value[:MAX_SHOWN]]
    return value
