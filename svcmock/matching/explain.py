"""Why nothing matched: the funnel, the nearest routes with every field that fails, an edit that would match.

Uses the matcher's own checks, so that an explanation cannot disagree with the decision. It looks at a
bounded set of candidates - the routes whose keys stand beside the request's, the predicate routes that agree
with it on most - and quotes values at a bounded length. `request` is the redacted one: nothing else is quoted.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TypeAlias

import msgspec
from msgspec import Struct

from svcmock.matching.answers import Answer, Shapes
from svcmock.matching.edits import edit_of
from svcmock.matching.index import Index
from svcmock.matching.predicates import differences, evaluate, hint_at
from svcmock.matching.recall import count_keys, near_keys
from svcmock.model import RouteDoc
from svcmock.payload import quoted
from svcmock.protocol import Context, Difference, Doc, Explanation, Near, Request, Stage, SvcmockError

MAX_CANDIDATES = 64
MAX_NEAREST = 3
MAX_DIFFERENCES = 20
"""Failing fields that are shown of one route."""
MAX_COMPARED = 1000
"""Failing fields that are looked for in one route."""
MAX_QUOTED = 200
"""Characters of a value that an explanation repeats."""

Read: TypeAlias = Callable[[Answer], tuple[RouteDoc, Request]]
Demand: TypeAlias = Callable[[Answer, Context], Mapping[str, Doc]]
Tell: TypeAlias = Callable[[Answer], str | None]


class Asked(Struct, frozen=True):
    """A request that misses: redacted, and in the `views` of it that predicates are tried on."""

    request: Request
    views: tuple[Request, ...]


class Weighed(Struct, frozen=True):
    """A candidate and what keeps it from matching. `here`: a route of the request's own address."""

    cost: float
    answer: Answer
    context: Context
    failed: tuple[Difference, ...]
    checks: int
    here: bool


def explain(
    index: Index,
    asked: Asked,
    head: Explanation,
    read: Read,
    demand: Demand,
    tell: Tell,
    hints: tuple[str, ...] = (),
) -> Explanation:
    """`head` with funnel, nearest routes and hints.

    `demand`: what an exact route demands, as `Plugin.decisive` has it. `tell`: what a route would answer, in a
    word.
    """
    search = _Search(index, asked, demand)
    weighed = _once_each(sorted(search.run(), key=lambda candidate: candidate.cost))
    best = weighed[:MAX_NEAREST]
    return msgspec.structs.replace(
        head,
        funnel=_funnel(index, asked.request, weighed),
        nearest=tuple(_near(index, candidate, asked, read, tell) for candidate in best),
        hints=hints + _hints(best),
    )


def _once_each(weighed: list[Weighed]) -> list[Weighed]:
    """Of a route whose parts are answered for themselves, the part that comes nearest."""
    seen: dict[tuple[str, int], Weighed] = {}
    for candidate in weighed:
        seen.setdefault((candidate.answer.file, candidate.answer.line), candidate)
    return list(seen.values())


class _Search:
    """The candidates for one request, weighed. What many of them are compared with is worked out once."""

    def __init__(self, index: Index, asked: Asked, demand: Demand) -> None:
        self._index = index
        self._asked = asked
        self._demand = demand
        self._shown = index.plugin.fields(asked.request, index.context)
        self._views = [index.plugin.fields(view, index.context) for view in asked.views]
        self._live: dict[int, Mapping[str, Doc]] = {}

    def run(self) -> Iterator[Weighed]:
        for answer, context, here in islice(self._candidates(), MAX_CANDIDATES):
            failed, checks = self._failures(answer, context)
            if failed:
                # a template field that fails puts a route with predicates at another address
                away = any(d.at == self._index.plugin.template_field for d in failed)
                cost = sum(_cost(difference) for difference in failed)
                yield Weighed(cost, answer, context, tuple(failed), checks, here and not away)

    def _candidates(self) -> Iterator[tuple[Answer, Context, bool]]:
        index = self._index
        keys = index.sorted_keys()
        half = MAX_CANDIDATES // 2 if keys else MAX_CANDIDATES
        for _, _matcher, found in index.predicates.near(self._views[0], half):
            yield (found if isinstance(found, Answer) else found.answers[0]), index.context, True
        address = index.plugin.address(self._asked.request)
        for key in near_keys(keys, index.plugin.key(self._asked.request, index.context), MAX_CANDIDATES):
            own = key.partition(b"\0")[0]
            for context, slot in index.at(key):
                several = slot.found() if isinstance(slot, Shapes) else (slot,)
                for found in islice(several, MAX_CANDIDATES):
                    # those of a group demand the same
                    yield (found if isinstance(found, Answer) else found.answers[0]), context, own == address

    def _failures(self, answer: Answer, context: Context) -> tuple[list[Difference], int]:
        """Every failing field of a route, and how many fields it was compared on."""
        if answer.matcher is None:
            return self._exact_failures(answer, context)
        matcher = answer.matcher
        if any(evaluate(matcher, view) is not None for view in self._views):
            return [], 0
        # what fails in the view that comes nearest, quoted from the redacted request
        failing = min((differences(matcher, view) for view in self._views), key=len)
        shown = {(d.at, d.op): d for d in differences(matcher, self._shown)}
        told = [shown.get((d.at, d.op)) or Difference(d.at, d.op, d.want) for d in failing]
        return told, len(matcher.checks)

    def _exact_failures(self, answer: Answer, context: Context) -> tuple[list[Difference], int]:
        plugin, request = self._index.plugin, self._asked.request
        try:
            want = self._demand(answer, context)
        except SvcmockError:
            return [], 0
        live = self._live.get(id(context))
        if live is None:
            live = self._live[id(context)] = plugin.decisive(request, context)
        if not want.keys() & live.keys():
            return [], 0  # what is asked for is of another kind altogether
        failed = list(islice(_compare(want, live, ()), MAX_COMPARED))
        present = plugin.present(request, answer.names, context) if answer.names else ()
        for name, value, got in zip(answer.names, answer.values, present, strict=True):
            if got != value:
                failed.append(_condition(name, value, got))
        return failed, len(want) + len(answer.names)


def _condition(name: str, value: bytes, got: bytes | None) -> Difference:
    want = _text(value)
    if got is None:
        return Difference(name, "equals", want)
    return Difference(name, "equals", want, _text(got), hint_at(want, _text(got)))


_MISSING = object()


def _compare(want: object, got: object, at: tuple[str, ...]) -> Iterator[Difference]:
    """The leaves at which two values differ; of a field that one side has not at all, those of the other."""
    if len(at) == 1:
        want = {} if want is _MISSING and isinstance(got, Mapping) and got else want
        got = {} if got is _MISSING and isinstance(want, Mapping) and want else got
    if isinstance(want, Mapping) and isinstance(got, Mapping):
        for name in dict.fromkeys((*want, *got)):
            one, other = want.get(name, _MISSING), got.get(name, _MISSING)
            if one.__class__ is str and one == other:
                continue
            yield from _compare(one, other, (*at, str(name)))
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got) and at[0] != "query":
        for position, (one, other) in enumerate(zip(want, got, strict=True)):
            yield from _compare(one, other, (*at, str(position)))
    elif want is _MISSING:
        yield Difference(".".join(at), "absent", None, got)
    elif got is _MISSING:
        yield Difference(".".join(at), "equals", want, None)
    elif want != got or isinstance(want, bool) != isinstance(got, bool):
        yield Difference(".".join(at), "equals", want, got, hint_at(_single(want), _single(got)))


def _single(value: object) -> object:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _cost(difference: Difference) -> float:
    """How far one failing field is from passing: a near value weighs less than another thing altogether."""
    if difference.hint:
        return 0.5
    want, got = difference.want, difference.got
    if "." not in difference.at and isinstance(want, str) and isinstance(got, str):
        wants, gots = want.strip("/").split("/"), got.strip("/").split("/")
        same = sum(one == other for one, other in zip(wants, gots, strict=False))
        return 1 + 4 * (1 - same / max(len(wants), len(gots), 1))
    return 1.0


def _near(index: Index, candidate: Weighed, asked: Asked, read: Read, tell: Tell) -> Near:
    answer, failed = candidate.answer, candidate.failed
    doc, _ = read(answer)
    return Near(
        route=answer.source + (f"#{doc.name}" if doc.name else ""),
        passed=max(0, candidate.checks - len(failed)),
        of=max(candidate.checks, len(failed)),
        failed=tuple(_quoted(difference) for difference in failed[:MAX_DIFFERENCES]),
        edit=edit_of(index, doc, answer, candidate.context, failed, asked.request, asked.views),
        would_answer=tell(answer),
    )


def _hints(best: list[Weighed]) -> tuple[str, ...]:
    hints = []
    for candidate in best:
        where = f"{candidate.answer.file}:{candidate.answer.line}"
        hints += [f"{_short(d.at)}: {d.hint} ({where})" for d in candidate.failed[:MAX_DIFFERENCES] if d.hint]
        alone = len(candidate.failed) == 1 < candidate.checks
        if alone and not candidate.failed[0].hint:
            hints.append(f"only {_short(candidate.failed[0].at)} keeps {where} from answering")
    return tuple(dict.fromkeys(hints))[:MAX_NEAREST]


def _funnel(index: Index, request: Request, weighed: list[Weighed]) -> tuple[Stage, ...]:
    """How the routes thin out: all, those of the address, then one stage for each part that fails."""
    here = [candidate for candidate in weighed if candidate.here]
    # a route has several keys where its parts are answered for themselves
    keys = min(index.size, count_keys(index.sorted_keys(), index.plugin.address(request)))
    known = max(len(here), keys)
    stages = [Stage("address", index.size, known)]
    if known > len(here):
        stages.append(Stage("nearest", known, len(here)))
    while here:
        part = here[0].failed[0].at.split(".")[0]
        left = [candidate for candidate in here if candidate.failed[0].at.split(".")[0] != part]
        stages.append(Stage(part or here[0].failed[0].op, len(here), len(left)))
        here = left
    return tuple(stages)


def _quoted(difference: Difference) -> Difference:
    want, got = difference.want, difference.got
    return Difference(
        str(_short(difference.at)),
        difference.op,
        _short(want, _single(got)),
        _short(got, _single(want)),
        difference.hint,
    )


def _short(value: Doc, beside: object = None) -> Doc:
    """`value` at a bounded size, as any encoder takes it: JSON may bring lone surrogates and huge numbers.

    A long text with the place where it differs from `beside`.
    """
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else f"{str(value)[:MAX_QUOTED]}"
    beside = beside if isinstance(beside, str) else ""
    if isinstance(value, str):
        return _encodable(quoted(value, beside, MAX_QUOTED))
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return [_encodable(quoted(value[0], beside, MAX_QUOTED))]
    try:
        text = msgspec.json.encode(value).decode()
        msgspec.msgpack.encode(value)
    except (ValueError, OverflowError, RecursionError):
        text = _encodable(repr(value))
    else:
        if len(text) <= MAX_QUOTED:
            return value
    return quoted(text, beside, MAX_QUOTED)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
