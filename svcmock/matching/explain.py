"""Why nothing matched: the funnel, the nearest routes with every field that fails, an edit that would match.

Uses the matcher's own checks, so that an explanation cannot disagree with the decision. It looks at a
bounded set of candidates - the address's own routes, its neighbours in sorted order, the predicate routes
that share most - and quotes values at a bounded length.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TypeAlias

import msgspec
from msgspec import Struct

from svcmock.matching.index import Answer, Group, Index, Shapes
from svcmock.matching.predicates import differences
from svcmock.model import RouteDoc
from svcmock.protocol import Context, Difference, Doc, Explanation, Near, Request, Stage, SvcmockError

MAX_CANDIDATES = 64
MAX_NEAREST = 3
MAX_DIFFERENCES = 20
MAX_QUOTED = 200
"""Characters of a value that an explanation repeats."""
MAX_EDIT = 4096

Read: TypeAlias = Callable[[Answer], tuple[RouteDoc, Request]]


class Weighed(Struct, frozen=True):
    """A candidate and what keeps it from matching. `here`: a route of the request's own address."""

    cost: float
    answer: Answer
    failed: tuple[Difference, ...]
    checks: int
    here: bool


def explain(
    index: Index, request: Request, head: Explanation, read: Read, hints: tuple[str, ...] = ()
) -> Explanation:
    """`head` with funnel, nearest routes and hints. `request` has its credentials already redacted."""
    address = index.plugin.address(request)
    live = dict(index.plugin.decisive(request, index.context))
    weighed = []
    for answer, context, here in islice(_candidates(index, address), MAX_CANDIDATES):
        failed, checks = _failures(index, answer, context, request, read)
        if failed:
            cost = sum(_cost(difference, live) for difference in failed)
            weighed.append(Weighed(cost, answer, tuple(failed), checks, here))
    weighed.sort(key=lambda candidate: candidate.cost)
    best = weighed[:MAX_NEAREST]
    return msgspec.structs.replace(
        head,
        funnel=_funnel(index.size, weighed),
        nearest=tuple(_near(index, candidate, request, read) for candidate in best),
        hints=hints + _hints(best),
    )


def _answers(slot: Answer | Shapes | Group) -> Iterator[Answer]:
    """One answer per demand: those of a group demand the same."""
    if isinstance(slot, Answer):
        yield slot
    elif isinstance(slot, Group):
        yield slot.answers[0]
    else:
        for _, by_values in slot.by_names:
            for found in by_values.values():
                yield from _answers(found)


def _candidates(index: Index, address: bytes) -> Iterator[tuple[Answer, Context, bool]]:
    predicates = index.predicates.all[: MAX_CANDIDATES // 2 if index.keys else MAX_CANDIDATES]
    exact = MAX_CANDIDATES - len(predicates)
    for _, _matcher, found in predicates:
        yield (found if isinstance(found, Answer) else found.answers[0]), index.context, True
    for key in index.near_keys(address, exact):
        own = key.partition(b"\0")[0]
        tables = [(index.context, index.exact), *index.ignoring.get(own, ())]
        for context, table in tables:
            slot = table.get(key)
            for answer in islice(_answers(slot), exact) if slot is not None else ():
                yield answer, context, own == address


def _failures(
    index: Index, answer: Answer, context: Context, request: Request, read: Read
) -> tuple[list[Difference], int]:
    """Every failing field of a route, and how many fields it was compared on."""
    plugin = index.plugin
    if answer.matcher is not None:
        return differences(answer.matcher, plugin.fields(request, context)), len(answer.matcher.checks)
    try:
        _, recorded = read(answer)
    except SvcmockError:
        return [], 0
    want = plugin.decisive(recorded, context)
    failed = list(_compare(want, plugin.decisive(request, context), ()))
    for name, value in zip(answer.names, answer.values, strict=True):
        (got,) = plugin.present(request, (name,), context)
        if got != value:
            failed.append(Difference(name, "equals", _text(value), None if got is None else _text(got)))
    return failed, len(want) + len(answer.names)


def _compare(want: Doc, got: Doc, at: tuple[str, ...]) -> Iterator[Difference]:
    if isinstance(want, Mapping) and isinstance(got, Mapping):
        for name in {**want, **got}:
            yield from _compare(want.get(name, _MISSING), got.get(name, _MISSING), (*at, str(name)))
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for position, (one, other) in enumerate(zip(want, got, strict=True)):
            yield from _compare(one, other, (*at, str(position)))
    elif want is _MISSING:
        yield Difference(".".join(at), "absent", None, got)
    elif got is _MISSING:
        yield Difference(".".join(at), "equals", want, None)
    elif want != got or isinstance(want, bool) != isinstance(got, bool):
        yield Difference(".".join(at), "equals", want, got, _hint(want, got))


_MISSING = object()


def _hint(want: Doc, got: Doc) -> str | None:
    if not (isinstance(want, str) and isinstance(got, str)):
        return f"{type(want).__name__} against {type(got).__name__}" if type(want) is not type(got) else None
    if want.rstrip("/") == got.rstrip("/"):
        return "differs only by a trailing slash"
    if want.lower() == got.lower():
        return "differs only by upper and lower case"
    if want.split() == got.split():
        return "differs only by white space"
    return None


def _cost(difference: Difference, live: Mapping[str, Doc]) -> float:
    """How far one failing field is from passing: a near value weighs less than another thing altogether."""
    if difference.hint:
        return 0.5
    want, got = difference.want, difference.got
    if isinstance(want, str) and isinstance(got, str) and difference.at in live:
        wants, gots = want.strip("/").split("/"), got.strip("/").split("/")
        same = sum(one == other for one, other in zip(wants, gots, strict=False))
        return 1 + 4 * (1 - same / max(len(wants), len(gots), 1))
    return 1.0


def _near(index: Index, candidate: Weighed, request: Request, read: Read) -> Near:
    answer, failed = candidate.answer, candidate.failed
    doc, _ = read(answer)
    status = doc.respond.get("status") if isinstance(doc.respond, dict) else None
    return Near(
        route=f"{answer.file}:{answer.line}" + (f"#{doc.name}" if doc.name else ""),
        passed=max(0, candidate.checks - len(failed)),
        of=max(candidate.checks, len(failed)),
        failed=tuple(_quoted(difference) for difference in failed[:MAX_DIFFERENCES]),
        edit=_edit(index, doc, answer, failed, request),
        would_answer=None if status is None else str(status),
    )


def _edit(index: Index, doc: RouteDoc, answer: Answer, failed: tuple[Difference, ...], request: Request) -> Doc:
    """What to change in the route's document so that it answers this request."""
    edit: Doc
    if answer.matcher is not None:
        edit = {
            "set": {f"match.{d.at}": d.got for d in failed if d.got is not None},
            "remove": [f"match.{d.at}" for d in failed if d.got is None],
        }
        edit = {verb: what for verb, what in edit.items() if what}
    elif all("." in d.at for d in failed):
        edit = {"set": {"ignore": sorted({*doc.ignore, *(d.at for d in failed)})}}
    else:
        miss = index.plugin.miss(request, Explanation("", "", "", ""), index.context)
        edit = {"set": {"request": index.plugin.dump(request, miss).request}}
    return edit if len(msgspec.json.encode(edit)) <= MAX_EDIT else None


def _hints(best: list[Weighed]) -> tuple[str, ...]:
    hints = []
    for candidate in best:
        where = f"{candidate.answer.file}:{candidate.answer.line}"
        hints += [f"{d.at} {d.hint} ({where})" for d in candidate.failed if d.hint]
        if len(candidate.failed) == 1 and not candidate.failed[0].hint:
            hints.append(f"only {candidate.failed[0].at} keeps {where} from answering")
    return tuple(dict.fromkeys(hints))[:MAX_NEAREST]


def _funnel(routes: int, weighed: list[Weighed]) -> tuple[Stage, ...]:
    """How the routes thin out: all, those of the address, then one stage for each part that fails."""
    here = [candidate for candidate in weighed if candidate.here]
    stages = [Stage("address", routes, len(here))]
    while here:
        part = here[0].failed[0].at.split(".")[0]
        left = [candidate for candidate in here if candidate.failed[0].at.split(".")[0] != part]
        stages.append(Stage(part, len(here), len(left)))
        here = left
    return tuple(stages)


def _quoted(difference: Difference) -> Difference:
    return msgspec.structs.replace(difference, want=_short(difference.want), got=_short(difference.got))


def _short(value: Doc) -> Doc:
    if isinstance(value, str):
        return value if len(value) <= MAX_QUOTED else value[:MAX_QUOTED] + "..."
    if isinstance(value, dict | list):
        text = msgspec.json.encode(value).decode()
        return value if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "..."
    return value


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
