"""Frames as route files hold them: the structs, reading them, writing them.

    request: {text: PING}                     respond: {text: PONG}
    request: {fields: {fn: 3, addr: 0}}       respond: {frames: [a, {text: b, after: 20ms}], then: close}
    request: {banner: true}                   respond: {text: 220 ready}
    request: {push: 1, after: {text: SUB a}}  respond: {frames: [{text: news, after: 1.2s}]}

Losslessness is the law: each readable form is written only where reading it gives the recorded bytes. A frame
that its framing would make otherwise is written `raw`, with all of its bytes.
"""

import re
from typing import Any, Final

from msgspec import UNSET, Struct

from svcmock.payload import INLINE_MAX, from_doc, to_doc
from svcmock.protocol import Blob, Context, Doc, Documents, Files, Invalid, Spooled
from svcmock_protocols.tcp import rules
from svcmock_protocols.tcp.dialect import dialect_of
from svcmock_protocols.tcp.fieldtypes import LayoutError
from svcmock_protocols.tcp.gaps import duration, show_duration
from svcmock_protocols.tcp.jsontext import JSON_FORMS, json_form, write_json
from svcmock_protocols.tcp.kinds import Framing
from svcmock_protocols.tcp.layout import Layout
from svcmock_protocols.tcp.lengths import FrameError
from svcmock_protocols.tcp.messages import Piece, Reply, Request

MAX_FRAMES = 100_000
"""Frames of one reply."""
MAX_PUSHES = 1_000_000
"""The highest number of a push."""
JSON_SHOWN: Final = 64 * 1024
"""Bytes of JSON that is shown as such; more of it is a file."""

_FORMS: Final = ("text", "hex", "base64", "file", "json", "fields", "raw")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_UNWRITABLE = re.compile("[\x00\x80-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


class RequestDoc(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`request:` of a route file. The README describes every member."""

    text: Any = UNSET
    hex: Any = UNSET
    base64: Any = UNSET
    file: Any = UNSET
    json: Any = UNSET
    json_format: str = "compact"
    fields: Any = UNSET
    raw: Any = UNSET
    banner: bool = False
    push: int | None = None
    after: Any = None
    tape: Any = None


class ReplyDoc(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`respond:` of a route file. The README describes every member."""

    text: Any = UNSET
    hex: Any = UNSET
    base64: Any = UNSET
    file: Any = UNSET
    json: Any = UNSET
    json_format: str = "compact"
    fields: Any = UNSET
    raw: Any = UNSET
    frames: Any = None
    set: dict[str, Any] = {}
    then: str = ""
    tape: Any = None


class _Side(Struct, frozen=True):
    """How one side's frames are made."""

    framing: Framing
    layout: Layout
    files: Files


# --- reading ------------------------------------------------------------------------------------------


def request(doc: RequestDoc, files: Files, context: Context) -> Request:
    """The request that a document describes. Raises Invalid with the path of the member at fault."""
    if doc.tape is not None:
        raise Invalid(("tape",), "belongs to a service without `framing`")
    dialect = dialect_of(context)
    side = _Side(dialect.client, dialect.asked, files)
    given = _given(doc)
    if doc.banner:
        if given or doc.push is not None or doc.after is not None:
            raise Invalid(("banner",), "is asked for by connecting: it stands alone")
        return Request(kind="banner")
    if doc.push is not None:
        if not dialect.pushes:
            raise Invalid(("push",), "nobody asks for it: set `pushes: true` in the service's options")
        if given or not 1 <= doc.push <= MAX_PUSHES:
            raise Invalid(("push",), "is a number from 1 on, beside `after`, the frame that it follows")
        if doc.after is None:
            return Request(kind="push", number=doc.push)
        payload, wire = _frame(_mapping(doc.after, "after"), side, "after")
        return Request(payload, wire, "push", doc.push)
    if doc.after is not None:
        raise Invalid(("after",), "goes with `push`: the frame that it follows")
    payload, wire = _frame(given, side)
    _check_whole(side.framing, payload, wire, next(iter(given)))
    return Request(payload, wire)


def reply(doc: ReplyDoc, files: Files, context: Context) -> Reply:
    """The reply that a document describes. Raises Invalid with the path of the member at fault."""
    if doc.tape is not None:
        raise Invalid(("tape",), "belongs to a service without `framing`")
    dialect = dialect_of(context)
    side = _Side(dialect.server, dialect.told, files)
    if doc.then not in ("", "close", "half_close", "reset"):
        raise Invalid(("then",), f"expected close, half_close or reset, got {doc.then!r}")
    given = _given(doc)
    if doc.frames is None:
        frames: tuple[Piece, ...] = (_piece(given, side),) if given else ()
    else:
        if given or not isinstance(doc.frames, list) or len(doc.frames) > MAX_FRAMES:
            raise Invalid(
                ("frames",), "is a list of all of the frames, such as [{text: a}, {text: b, after: 5ms}]"
            )
        frames = tuple(
            _piece(_mapping(item, "frames", index), side, "frames", index)
            for index, item in enumerate(doc.frames)
        )
    then: Any = doc.then
    made = rules.settings(doc.set, "set")
    if rules.counts(made):
        raise Invalid(("set",), "{count: } is for the service's `reply.set`: it goes on from frame to frame")
    return finished(frames, then, made)


def finished(frames: tuple[Piece, ...], then: Any = "", settings: tuple[Any, ...] = ()) -> Reply:
    """A reply with its bytes put together, where nothing stands between its frames."""
    plain = not any(piece.after for piece in frames)
    return Reply(frames, then, settings, b"".join(piece.wire for piece in frames) if plain else b"")


def _given(doc: RequestDoc | ReplyDoc) -> dict[str, Doc]:
    """The members that say a frame."""
    given = {name: value for name in _FORMS if (value := getattr(doc, name)) is not UNSET}
    if doc.json_format != "compact":
        given["json_format"] = doc.json_format
    return given


def _mapping(doc: Doc, *at: str | int) -> dict[str, Doc]:
    """A frame inside another document: a mapping, or its text."""
    if isinstance(doc, str):
        return {"text": doc}
    if not isinstance(doc, dict):
        raise Invalid(at, "expected a frame, such as {text: hello, after: 5ms}")
    for name in doc:
        if name not in (*_FORMS, "json_format", "after"):
            raise Invalid(
                (*at, name), f"unknown key `{name}`; a frame has one of {', '.join(_FORMS)}, and after"
            )
    return doc


def _piece(given: dict[str, Doc], side: _Side, *at: str | int) -> Piece:
    after = duration(given["after"], *at, "after") if "after" in given else 0.0
    payload, wire = _frame({name: value for name, value in given.items() if name != "after"}, side, *at)
    if not wire:
        wire = _wrap(side.framing, payload, (*at, next(iter(given))))
        if "raw" not in given:
            _check_whole(side.framing, payload, wire, *at, next(iter(given)))
    return Piece(wire if payload == wire else payload, wire, after)


def _frame(given: dict[str, Doc], side: _Side, *at: str | int) -> tuple[bytes, bytes]:
    """Payload and wire bytes; those are empty where they follow from the payload."""
    form = given.get("json_format", "compact")
    forms = [name for name in given if name in _FORMS]
    if len(forms) != 1 or "after" in given:
        either = " and ".join(forms) if forms else "none of them"
        raise Invalid(at, f"expected one of {', '.join(_FORMS)}; here is {either}")
    name = forms[0]
    value = given[name]
    here = (*at, name)
    if form != "compact" and (name != "json" or form not in JSON_FORMS):
        raise Invalid((*at, "json_format"), f"is one of {', '.join(JSON_FORMS)}, beside `json`")
    match name:
        case "json":
            return write_json(value, str(form), here), b""
        case "fields":
            return side.layout.encode(value, here), b""
        case "raw":
            wire = _bytes(value, side.files, *here)
            return _payload_of(side.framing, wire), wire
        case "text":
            return _bytes(value, side.files, *here), b""
        case _:
            return _bytes({name: value}, side.files, *at), b""


def _bytes(doc: Doc, files: Files, *at: str | int) -> bytes:
    data = from_doc(doc, files, *at)
    return files.read(data) if isinstance(data, Blob) else data


def _payload_of(framing: Framing, wire: bytes) -> bytes:
    """What is in a frame that is given with all of its bytes; these, where they are no frame."""
    try:
        cut = framing.cut(wire, 0, ended=True)
    except FrameError:
        return wire
    return wire if cut is None or cut.payload is None or cut.end != len(wire) else cut.payload


def _wrap(framing: Framing, payload: bytes, at: tuple[str | int, ...]) -> bytes:
    try:
        return framing.wrap(payload)
    except FrameError as error:
        raise Invalid(at, str(error)) from None


def _check_whole(framing: Framing, payload: bytes, wire: bytes, *at: str | int) -> None:
    """Raises Invalid for what its framing would not cut out again."""
    wire = wire or _wrap(framing, payload, at)
    try:
        cut = framing.cut(wire, 0, ended=True)
    except FrameError as error:
        raise Invalid(at, f"is no frame: {error}") from None
    if cut is None or cut.end != len(wire):
        more = "more comes" if cut is None else f"it ends after {cut.end} of {len(wire)} bytes"
        raise Invalid(at, f"is not one whole frame: by its framing {more}")


# --- writing ------------------------------------------------------------------------------------------


def dump(request: Request, reply: Reply, context: Context) -> Documents:
    """Readable and lossless."""
    dialect = dialect_of(context)
    files: dict[str, bytes | Spooled] = {}
    client = _Show(dialect.client, dialect.asked, files)
    server = _Show(dialect.server, dialect.told, files)
    return Documents(_show_request(request, client), _show_reply(reply, server), files)


class _Show(Struct, frozen=True):
    """How one side's frames are written."""

    framing: Framing
    layout: Layout
    files: dict[str, bytes | Spooled]


def _show_request(request: Request, show: _Show) -> Doc:
    if request.kind == "banner":
        return {"banner": True}
    if request.kind == "push" and not request.payload and not request.wire:
        return {"push": request.number}
    shown = _show_frame(request.payload, request.wire, show)
    return {"push": request.number, "after": shown} if request.kind == "push" else shown


def _show_reply(reply: Reply, show: _Show) -> Doc:
    shown: dict[str, Doc] = {}
    if len(reply.frames) == 1 and not reply.frames[0].after:
        shown = _show_frame(reply.frames[0].payload, reply.frames[0].wire, show)
    else:
        frames = []
        for piece in reply.frames:
            after: dict[str, Doc] = {"after": show_duration(piece.after)} if piece.after else {}
            frames.append({**after, **_show_frame(piece.payload, piece.wire, show)})
        shown["frames"] = frames
    if reply.then:
        shown["then"] = reply.then
    return shown


def _show_frame(payload: bytes, wire: bytes, show: _Show) -> dict[str, Doc]:
    """A frame in the most readable form that gives its bytes again. `wire`: empty where it follows."""
    if wire and not _follows(payload, wire, show.framing):
        return {"raw": to_doc(wire, show.files)}
    if show.layout.root == "fields":
        fields = _fields(payload, show.layout)
        if fields is not None:
            return {"fields": fields}
    elif len(payload) <= JSON_SHOWN and (form := json_form(payload)) is not None:
        more = {} if form == "compact" else {"json_format": form}
        return {"json": show.layout.decode(payload), **more}
    text = _text(payload)
    if text is not None:
        return {"text": text}
    doc = to_doc(payload, show.files)
    return {"text": doc} if isinstance(doc, str) else doc


def _follows(payload: bytes, wire: bytes, framing: Framing) -> bool:
    try:
        return framing.wrap(payload) == wire and _payload_of(framing, wire) == payload
    except FrameError:
        return False


def _fields(payload: bytes, layout: Layout) -> Doc:
    """The fields, without those that encoding makes, where these give the payload; else all; else None."""
    try:
        value = layout.decode(payload)
    except LayoutError:
        return None
    for shown in (layout.plain(value), value):
        try:
            if layout.encode(shown, ()) == payload and _writable(shown):
                return shown
        except Invalid:
            continue
    return None


def _writable(value: Doc) -> bool:
    """Whether a route file can hold it: text of which every YAML reader gives the same back."""
    if isinstance(value, str):
        return _UNWRITABLE.search(value) is None
    if isinstance(value, dict):
        return all(_writable(name) and _writable(item) for name, item in value.items())
    if isinstance(value, list):
        return all(map(_writable, value))
    return True


def _text(payload: bytes) -> str | None:
    """Text with few control characters, which YAML has escapes for. Others are for `to_doc` to decide."""
    if len(payload) > INLINE_MAX:
        return None
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return None
    if _UNWRITABLE.search(text) or len(_CONTROL.findall(text)) * 4 > len(text):
        return None
    return text
