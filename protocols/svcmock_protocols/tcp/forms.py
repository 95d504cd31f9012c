"""Frames and replies as documents say them: `{text: PONG}`, `{frames: [a, {text: b, after: 20ms}]}`.

Route files hold them (`documents`), and options do (`stated`): here is what both read. The README describes
every member.
"""

from typing import Any, Final

from msgspec import UNSET, Struct

from svcmock.payload import from_doc
from svcmock.protocol import Blob, Doc, Files, Invalid
from svcmock_protocols.tcp import rules
from svcmock_protocols.tcp.gaps import duration
from svcmock_protocols.tcp.jsontext import JSON_FORMS, write_json
from svcmock_protocols.tcp.kinds import Framing
from svcmock_protocols.tcp.layout import Layout
from svcmock_protocols.tcp.lengths import FrameError
from svcmock_protocols.tcp.messages import Piece, Reply

MAX_FRAMES = 100_000
"""Frames of one reply."""

FORMS: Final = ("text", "hex", "base64", "file", "json", "fields", "raw")
"""The members that say what a frame holds; one of them does."""


class FrameDoc(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A frame."""

    text: Any = UNSET
    hex: Any = UNSET
    base64: Any = UNSET
    file: Any = UNSET
    json: Any = UNSET
    json_format: str = "compact"
    fields: Any = UNSET
    raw: Any = UNSET


class ReplyDoc(FrameDoc, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`respond:` of a route file."""

    frames: Any = None
    set: dict[str, Any] = {}
    then: str = ""
    tape: Any = None


class Side(Struct, frozen=True):
    """How one side's frames are made."""

    framing: Framing
    layout: Layout
    files: Files


def reply_of(doc: ReplyDoc, side: Side) -> Reply:
    """The reply that a document describes. Raises Invalid with the path of the member at fault."""
    if doc.tape is not None:
        raise Invalid(("tape",), "belongs to a service without `framing`")
    if doc.then not in ("", "close", "half_close", "reset"):
        raise Invalid(("then",), f"expected close, half_close or reset, got {doc.then!r}")
    said = given(doc)
    if doc.frames is None:
        frames: tuple[Piece, ...] = (_piece(said, side),) if said else ()
    else:
        if said or not isinstance(doc.frames, list) or len(doc.frames) > MAX_FRAMES:
            raise Invalid(
                ("frames",), "is a list of all of the frames, such as [{text: a}, {text: b, after: 5ms}]"
            )
        frames = tuple(
            _piece(mapping(item, "frames", index), side, "frames", index)
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


def given(doc: FrameDoc) -> dict[str, Doc]:
    """The members that say a frame."""
    given = {name: value for name in FORMS if (value := getattr(doc, name)) is not UNSET}
    if doc.json_format != "compact":
        given["json_format"] = doc.json_format
    return given


def mapping(doc: Doc, *at: str | int) -> dict[str, Doc]:
    """A frame inside another document: a mapping, or its text."""
    if isinstance(doc, str):
        return {"text": doc}
    if not isinstance(doc, dict):
        raise Invalid(at, "expected a frame, such as {text: hello, after: 5ms}")
    for name in doc:
        if name not in (*FORMS, "json_format", "after"):
            raise Invalid(
                (*at, name), f"unknown key `{name}`; a frame has one of {', '.join(FORMS)}, and after"
            )
    return doc


def _piece(given: dict[str, Doc], side: Side, *at: str | int) -> Piece:
    after = duration(given["after"], *at, "after") if "after" in given else 0.0
    payload, wire = frame_of({name: value for name, value in given.items() if name != "after"}, side, *at)
    if not wire:
        wire = _wrap(side.framing, payload, (*at, next(iter(given))))
        if "raw" not in given:
            check_whole(side.framing, payload, wire, *at, next(iter(given)))
    return Piece(wire if payload == wire else payload, wire, after)


def frame_of(given: dict[str, Doc], side: Side, *at: str | int) -> tuple[bytes, bytes]:
    """Payload and wire bytes; those are empty where they follow from the payload."""
    form = given.get("json_format", "compact")
    forms = [name for name in given if name in FORMS]
    if len(forms) != 1 or "after" in given:
        either = " and ".join(forms) if forms else "none of them"
        raise Invalid(at, f"expected one of {', '.join(FORMS)}; here is {either}")
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
            return payload_of(side.framing, wire), wire
        case "text":
            return _bytes(value, side.files, *here), b""
        case _:
            return _bytes({name: value}, side.files, *at), b""


def _bytes(doc: Doc, files: Files, *at: str | int) -> bytes:
    data = from_doc(doc, files, *at)
    return files.read(data) if isinstance(data, Blob) else data


def payload_of(framing: Framing, wire: bytes) -> bytes:
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


def check_whole(framing: Framing, payload: bytes, wire: bytes, *at: str | int) -> None:
    """Raises Invalid for what its framing would not cut out again."""
    wire = wire or _wrap(framing, payload, at)
    try:
        cut = framing.cut(wire, 0, ended=True)
    except FrameError as error:
        raise Invalid(at, f"is no frame: {error}") from None
    if cut is None or cut.end != len(wire):
        more = "more comes" if cut is None else f"it ends after {cut.end} of {len(wire)} bytes"
        raise Invalid(at, f"is not one whole frame: by its framing {more}")
