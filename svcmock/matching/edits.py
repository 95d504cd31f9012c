"""The change to a route's document that would make it answer a request; tried before it is suggested.

An edit is `{set: {path: value}, remove: [path]}`, its paths dotted names from the top of the document. Several
are thought of, the one that changes least first; the first that works is given, or none.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from svcmock.matching.answers import Answer
from svcmock.matching.index import Index
from svcmock.matching.operators import MISSING
from svcmock.matching.predicates import compile_match, evaluate, lookup
from svcmock.model import RouteDoc
from svcmock.noise import Noise
from svcmock.protocol import Blob, Context, Difference, Doc, Explanation, Files, Invalid, Request, SvcmockError

MAX_EDIT = 4096
"""Bytes of an edit as JSON."""
MAX_EDITED = 100
"""Failing fields that an edit names one by one."""

Edit = dict[str, Any]


def edit_of(
    index: Index,
    doc: RouteDoc,
    answer: Answer,
    context: Context,
    failed: tuple[Difference, ...],
    request: Request,
    views: tuple[Request, ...],
) -> Doc:
    """What to change in `doc` so that it answers `request`; None where nothing of a bearable size does.

    `request` is redacted, and all that is quoted; predicates are tried on `views`. `context`: the route's own.
    """
    candidates: Iterator[Edit]
    if answer.matcher is not None:
        candidates = _of_match(index, doc, failed, request)
        works = _matches_after(index, doc, views)
    else:
        candidates = _of_request(index, doc, failed, request)
        works = _equals_after(index, doc, context, request)
    try:
        return next((edit for edit in candidates if _tried(edit, works)), None)
    except _FAILURES:  # what cannot be written as a document cannot be suggested
        return None


_FAILURES = (SvcmockError, msgspec.MsgspecError, ValueError, OverflowError, LookupError, RecursionError)


def _tried(edit: Edit, works: Callable[[Edit], bool]) -> bool:
    try:
        return len(msgspec.json.encode(edit)) <= MAX_EDIT and works(edit)
    except _FAILURES:
        return False


# --- routes with predicates ---------------------------------------------------------------------------


def _of_match(index: Index, doc: RouteDoc, failed: tuple[Difference, ...], request: Request) -> Iterator[Edit]:
    fields = index.plugin.fields(request, index.context)
    if len(failed) <= MAX_EDITED and all(d.at for d in failed):
        edit: Edit = {"set": {}, "remove": []}
        for difference in failed:
            at = tuple(difference.at.split("."))
            got = lookup(fields, at)
            path = ".".join(("match", *_spelled(doc.match, at)))
            if got is MISSING:
                edit["remove"].append(path)
            else:
                edit["set"][path] = _equality(got)
        yield {verb: what for verb, what in edit.items() if what}
        yield {"remove": [".".join(("match", *_spelled(doc.match, tuple(d.at.split("."))))) for d in failed]}
    decisive = index.plugin.decisive(request, index.context)
    yield {"set": {"match": {name: {"equals": value} for name, value in decisive.items()}}}


def _spelled(doc: Doc, at: tuple[str, ...]) -> tuple[str, ...]:
    """`at` as the document writes it: names of headers are of any case there."""
    spelled = []
    for step in at:
        names = doc if isinstance(doc, dict) else {}
        name = step if step in names else next((n for n in names if n.lower() == step.lower()), step)
        spelled.append(name)
        doc = names.get(name)
    return tuple(spelled)


def _equality(got: Doc) -> Doc:
    """The demand for exactly this value, bare where that cannot be read as something else."""
    if isinstance(got, list) and len(got) == 1 and isinstance(got[0], str):
        got = got[0]
    plain = not isinstance(got, dict | list) and not (isinstance(got, str) and ("{" in got or "}" in got))
    return got if plain else {"equals": got}


def _matches_after(index: Index, doc: RouteDoc, views: tuple[Request, ...]) -> Callable[[Edit], bool]:
    plugin = index.plugin

    def works(edit: Edit) -> bool:
        match = applied({"match": doc.match}, edit)["match"]
        matcher, _ = compile_match(
            match, template_field=plugin.template_field, template_separator=plugin.template_separator
        )
        return matcher is not None and any(
            evaluate(matcher, plugin.fields(view, index.context)) is not None for view in views
        )

    return works


# --- routes with an exact key -------------------------------------------------------------------------


def _of_request(
    index: Index, doc: RouteDoc, failed: tuple[Difference, ...], request: Request
) -> Iterator[Edit]:
    if len(failed) <= MAX_EDITED:
        if all("." in d.at for d in failed):
            yield {"set": {"ignore": sorted({*doc.ignore, *(d.at for d in failed)})}}
        yield {"set": {f"request.{d.at}": d.got for d in failed if d.got is not None}}
    if all("." in d.at for d in failed):
        yield {"set": {"ignore": sorted({*doc.ignore, *(d.at.partition(".")[0] for d in failed)})}}
    miss = index.plugin.miss(request, Explanation("", "", "", ""), index.context)
    documents = index.plugin.dump(request, miss, index.context)
    if not documents.files:
        yield {"set": {"request": documents.request}}


def _equals_after(index: Index, doc: RouteDoc, context: Context, live: Request) -> Callable[[Edit], bool]:
    plugin = index.plugin
    known = frozenset(context.ignore.patterns)

    def works(edit: Edit) -> bool:
        after = applied({"request": doc.request, "ignore": list(doc.ignore)}, edit)
        typed = msgspec.convert(after["request"], plugin.RequestDoc)
        own = context
        if not known.issuperset(after["ignore"]):
            noise = Noise((*context.ignore.patterns, *after["ignore"]))
            own = msgspec.structs.replace(context, ignore=noise)
        recorded = plugin.redact(plugin.request(typed, _NO_FILES, own), own)
        demanded = plugin.conditions(recorded, own)
        names = tuple(demanded)
        return plugin.key(recorded, own) == plugin.key(live, own) and plugin.present(live, names, own) == tuple(
            demanded.values()
        )

    return works


class _NoFiles:
    """For documents whose bodies are in them: an edit to one with a body of its own is not tried."""

    def __call__(self, name: str) -> Blob:
        raise Invalid((), f"`{name}` is not looked at")

    def read(self, blob: Blob) -> bytes:
        raise Invalid((), f"`{blob.path}` is not looked at")


_NO_FILES: Files = _NoFiles()


# --- applying -----------------------------------------------------------------------------------------


def applied(doc: Mapping[str, Doc], edit: Edit) -> dict[str, Doc]:
    """`doc` with the edit made, itself unchanged. Raises LookupError where a path leads through a value."""
    after: dict[str, Doc] = copy.deepcopy(dict(doc))
    for path in edit.get("remove", ()):
        parent, last = _parent(after, path)
        parent.pop(last, None)
    for path, value in edit.get("set", {}).items():
        parent, last = _parent(after, path)
        parent[last] = value
    return after


def _parent(doc: dict[str, Doc], path: str) -> tuple[dict[str, Doc], str]:
    *steps, last = path.split(".")
    for step in steps:
        below = doc.setdefault(step, {})
        if not isinstance(below, dict):
            raise LookupError(path)  # noqa: TRY004  the path is wrong, not a type
        doc = below
    return doc, last
