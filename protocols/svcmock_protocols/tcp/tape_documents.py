"""Runs of tapes as documents, and what the daemon asks about them: `svcmock.protocol.Plugin`, for tapes.

    request: {tape: {of: 5f0c91ab2d3e, run: 2, said: "GET a\r\n"}}
    respond: {tape: {said: "1\r\n"}}

`of` names the recorded connection, any text will do; `run` counts from 1. Runs of one tape stand in one file,
in any order. `said` is missing where nothing is said; README.md has the other members.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from svcmock.capabilities import Folder
from svcmock.payload import from_doc
from svcmock.protocol import Blob, Context, Doc, Documents, Explanation, Files, Invalid, Spooled
from svcmock_protocols.tcp.gaps import duration, show_duration
from svcmock_protocols.tcp.patterns import compile_pattern
from svcmock_protocols.tcp.tape import MAX_ANSWER, MAX_RUN, MissReply, TapeReply, TapeRequest, Then, miss_bytes
from svcmock_protocols.tcp.tape_bytes import as_text, shown, spans
from svcmock_protocols.tcp.tape_library import ADDRESS, Library

MAX_NAME: Final = 200
"""Characters of a tape's name."""
MAX_MASKS: Final = 256
"""Masks of one run."""
T = TypeVar("T")
_SHOWN_MAX: Final = 4096
"""Bytes of a run that are shown as a field; of a longer one, its beginning."""


class TapeRequestDoc(Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """`request: {tape: ...}`."""

    of: str
    run: int
    after: Any = None
    said: Any = None
    ends: bool = False
    mask: tuple[tuple[int, int] | str, ...] = ()


class TapeReplyDoc(Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """`respond: {tape: ...}`."""

    after: Any = None
    said: Any = None
    then: Literal["close", "half_close", "reset"] | None = None


# --- documents ----------------------------------------------------------------------------------------


def request(doc: Any, files: Files, context: Context | None) -> TapeRequest:
    """The run that a document with `tape` describes. Raises Invalid."""
    typed = _typed(doc, TapeRequestDoc, "request: {tape: {of: login, run: 1, said: hello}}")
    made = run_of(typed, files, "tape")
    library = None if context is None else context.schema
    if isinstance(library, Library) and not library.knows(made.tape, made.run):
        why = "tapes are read where `routes:` says, and not in folders below that"
        raise Invalid(("tape", "of"), f"this run is not among the service's tapes: {why}")
    return made


def run_of(doc: TapeRequestDoc, files: Files, *at: str | int) -> TapeRequest:
    """The run that a document describes. Raises Invalid."""
    if not doc.of or len(doc.of) > MAX_NAME:
        raise Invalid((*at, "of"), f"a tape is named by 1 to {MAX_NAME} characters")
    if not 1 <= doc.run < 2**31:
        raise Invalid((*at, "run"), "runs are counted from 1")
    said = _bytes(doc.said, MAX_RUN, files, *at, "said")
    _check_masks(doc, len(said), *at, "mask")
    after = 0.0 if doc.after is None else duration(doc.after, *at, "after")
    return TapeRequest(doc.of, doc.run, said, doc.ends, after, doc.mask)


def reply(doc: Any, files: Files, context: Context | None, asked: Any) -> TapeReply:  # noqa: ARG001
    """The answer that a document with `tape` describes. Raises Invalid."""
    typed = _typed(doc, TapeReplyDoc, "respond: {tape: {said: hello}}")
    return answer_of(typed, files, "tape")


def answer_of(doc: TapeReplyDoc, files: Files, *at: str | int) -> TapeReply:
    """The answer that a document describes. Raises Invalid."""
    after = 0.0 if doc.after is None else duration(doc.after, *at, "after")
    return TapeReply(_bytes(doc.said, MAX_ANSWER, files, *at, "said"), doc.then or "", after)


def dump(request: TapeRequest, reply: TapeReply, context: Context) -> Documents:  # noqa: ARG001
    """A run and its answer, readable and lossless."""
    files: dict[str, bytes | Spooled] = {}
    asked: dict[str, Doc] = {"of": request.tape, "run": request.run}
    if request.after:
        asked["after"] = show_duration(request.after)
    if request.said:
        asked["said"] = shown(request.said, files)
    if request.ends:
        asked["ends"] = True
    if request.cut:
        asked["cut"] = True  # no document that is read may say so: nobody knows how the run goes on
    if request.mask:
        asked["mask"] = [mask if isinstance(mask, str) else list(mask) for mask in request.mask]
    answer: dict[str, Doc] = {}
    if reply.after:
        answer["after"] = show_duration(reply.after)
    if reply.said:
        answer["said"] = shown(reply.said, files)
    if reply.then:
        answer["then"] = reply.then
    return Documents({"tape": asked}, {"tape": answer}, files)


def _typed(doc: Any, kind: type[T], form: str) -> T:
    """The inside of `tape`, which stands alone: the other members are for frames. Raises Invalid."""
    if doc.tape is None or msgspec.structs.replace(doc, tape=None) != type(doc)():
        raise Invalid((), f"a service without `framing` replays tapes, whose routes have the form `{form}`")
    try:
        return msgspec.convert(doc.tape, kind)
    except msgspec.ValidationError as error:
        raise Invalid(("tape",), str(error)) from None


def _bytes(doc: Doc, limit: int, files: Files, *at: str | int) -> bytes:
    if doc is None:
        return b""
    data = from_doc(doc, files, *at)
    size = data.size if isinstance(data, Blob) else len(data)
    if size > limit:
        raise Invalid(at, f"a run has at most {limit} bytes, this has {size}: make it several")
    return files.read(data) if isinstance(data, Blob) else data


def _check_masks(doc: TapeRequestDoc, size: int, *at: str | int) -> None:
    if len(doc.mask) > MAX_MASKS:
        raise Invalid(at, f"at most {MAX_MASKS} masks")
    for i, mask in enumerate(doc.mask):
        if isinstance(mask, str):
            compile_pattern(mask, *at, i)
        elif not 0 <= mask[0] < mask[1] <= size:
            raise Invalid((*at, i), f"a range [from, to) of the {size} bytes of `said`, counted from 0")


# --- what the daemon asks -----------------------------------------------------------------------------


def key(request: TapeRequest, context: Context) -> bytes:
    """Equal for what is said after the same history, but for what is masked."""
    library = context.schema if isinstance(context.schema, Library) else _NONE
    return library.key(request, context.token)


_NONE: Final = Library()


def address(request: TapeRequest) -> bytes:  # noqa: ARG001
    """All runs have one; which tape they are of decides nothing."""
    return ADDRESS


def fields(request: TapeRequest, context: Context) -> Mapping[str, Doc]:  # noqa: ARG001
    """What predicates and templates see."""
    return {
        "tape": request.tape,
        "run": request.run,
        "said": _said(request),
        "size": len(request.said),
        "ends": request.ends,
    }


def decisive(request: TapeRequest, context: Context) -> Mapping[str, Doc]:  # noqa: ARG001
    """Those that explanations compare."""
    ends = {"ends": True} if request.ends else {}
    return {"run": request.run, "said": _said(request), **ends}


def _said(request: TapeRequest) -> str:
    """As text, or as hex digits where it is none; with a mark where it was not heard to its end."""
    head = request.said[:_SHOWN_MAX]
    text = as_text(head)
    told = head.hex() if text is None else text
    return told + "\u2026" if request.cut or len(request.said) > _SHOWN_MAX else told


def redact(request: TapeRequest, context: Context) -> TapeRequest:
    """The run as a recording would hold it."""
    said = redacted(request.said, context)
    if said == request.said:
        return request
    return msgspec.structs.replace(request, said=said)


def redacted(data: bytes, context: Context) -> bytes:
    """`data` with tokens for what the option `redact` finds."""
    for pattern in context.options.tape.redact:
        made, end = [], 0
        for start, stop, _, _ in spans(pattern, data):
            made += [data[end:start], context.token(data[start:stop])]
            end = stop
        data = b"".join([*made, data[end:]])
    return data


def miss(request: TapeRequest, explanation: Explanation, context: Context) -> TapeReply:  # noqa: ARG001
    """What the option `on_miss` says; raw bytes have no form for an error."""
    options = context.options.tape
    how = options.on_miss.then if isinstance(options.on_miss, MissReply) else options.on_miss
    then: Then = "" if how == "hang" else how
    return TapeReply(miss_bytes(options), then, lost=True, hang=how == "hang")


def summary(request: TapeRequest) -> str:
    """The run in one line; what was said may hold credentials."""
    what = f"{len(request.said)} bytes" if request.said else "the server's turn"
    return f"tape {request.tape or '-'}, run {request.run}: {what}{', end' if request.ends else ''}"


def outcome(reply: TapeReply) -> str:
    """The answer in a word or two."""
    if reply.lost:
        return "miss"
    return f"{len(reply.said)} bytes" + (f", {reply.then}" if reply.then else "")


# --- the tapes of a service ---------------------------------------------------------------------------


def sources(options: Any) -> Sequence[str]:  # noqa: ARG001
    """Tapes stand in route files; no option names others."""
    return ()


def schema(options: Any, folder: Folder) -> Library:
    """All tapes of a service."""
    from svcmock_protocols.tcp.tape_files import library

    return library(options.tape, folder)
