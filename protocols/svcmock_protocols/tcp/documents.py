"""Exchanges of frames as route files hold them: the structs, reading them, writing them.

    request: {text: PING}                     respond: {text: PONG}
    request: {fields: {fn: 3, addr: 0}}       respond: {frames: [a, {text: b, after: 20ms}], then: close}
    request: {banner: true}                   respond: {text: 220 ready}
    request: {push: 1, after: {text: SUB a}}  respond: {frames: [{text: news, after: 1.2s}]}

Losslessness is the law: each readable form is written only where reading it gives the recorded bytes. A frame
that its framing would make otherwise is written `raw`, with all of its bytes.
"""

import re
from typing import Any, Final

from msgspec import Struct

from svcmock.payload import INLINE_MAX, to_doc
from svcmock.protocol import Context, Doc, Documents, Files, Invalid, Spooled
from svcmock_protocols.tcp.dialect import dialect_of
from svcmock_protocols.tcp.fieldtypes import LayoutError
from svcmock_protocols.tcp.forms import (
    FrameDoc,
    ReplyDoc,
    Side,
    check_whole,
    frame_of,
    given,
    mapping,
    payload_of,
    reply_of,
)
from svcmock_protocols.tcp.gaps import show_duration
from svcmock_protocols.tcp.jsontext import json_form
from svcmock_protocols.tcp.kinds import Framing
from svcmock_protocols.tcp.layout import Layout
from svcmock_protocols.tcp.lengths import FrameError
from svcmock_protocols.tcp.messages import Reply, Request

MAX_PUSHES = 1_000_000
"""The highest number of a push."""
JSON_SHOWN: Final = 64 * 1024
"""Bytes of JSON that is shown as such; more of it is a file."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_UNWRITABLE = re.compile("[\x00\x80-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


class RequestDoc(FrameDoc, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`request:` of a route file."""

    banner: bool = False
    push: int | None = None
    after: Any = None
    tape: Any = None


# --- reading ------------------------------------------------------------------------------------------


def request(doc: RequestDoc, files: Files, context: Context) -> Request:
    """The request that a document describes. Raises Invalid with the path of the member at fault."""
    if doc.tape is not None:
        raise Invalid(("tape",), "belongs to a service without `framing`")
    dialect = dialect_of(context)
    side = Side(dialect.client, dialect.asked, files)
    said = given(doc)
    if doc.banner:
        if said or doc.push is not None or doc.after is not None:
            raise Invalid(("banner",), "is asked for by connecting: it stands alone")
        return Request(kind="banner")
    if doc.push is not None:
        if not dialect.pushes:
            raise Invalid(("push",), "nobody asks for it: set `pushes: true` in the service's options")
        if said or not 1 <= doc.push <= MAX_PUSHES:
            raise Invalid(("push",), "is a number from 1 on, beside `after`, the frame that it follows")
        if doc.after is None:
            return Request(kind="push", number=doc.push)
        payload, wire = frame_of(mapping(doc.after, "after"), side, "after")
        return Request(payload, wire, "push", doc.push)
    if doc.after is not None:
        raise Invalid(("after",), "goes with `push`: the frame that it follows")
    payload, wire = frame_of(said, side)
    check_whole(side.framing, payload, wire, next(iter(said)))
    return Request(payload, wire)


def reply(doc: ReplyDoc, files: Files, context: Context) -> Reply:
    """The reply that a document describes. Raises Invalid with the path of the member at fault."""
    dialect = dialect_of(context)
    return reply_of(doc, Side(dialect.server, dialect.told, files))


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
        if frames or not reply.then:
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
        return framing.wrap(payload) == wire and payload_of(framing, wire) == payload
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
