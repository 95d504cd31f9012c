"""`request:` and `respond:` of route files, and exchanges as such documents.

A command is written as one would type it (`GET user:42`), or as a list where that would not say it. What
README.md says of the members is what is read here.
"""

import re
from collections.abc import Sequence
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from svcmock.payload import to_doc
from svcmock.protocol import Doc, Documents, Files, Invalid
from svcmock_protocols.redis.codec import encode, is_plain
from svcmock_protocols.redis.commands import MAX_ARGS, split
from svcmock_protocols.redis.messages import Args, Attributed, Nil, Reply, Request, Source
from svcmock_protocols.redis.shapes import says_no_list
from svcmock_protocols.redis.writing import FileMap, Pen, named, show_pairs

MAX_AFTER: Final = 24 * 3600.0
"""Seconds before a message."""
TYPED_MAX: Final = 200
"""Characters of a command that is written as one would type it."""

_TYPED = re.compile(rb"[!#-&(-\[\]-~]+(?: [!#-&(-\[\]-~]+)*")
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(us|ms|s|m|h)?")
_SCALE: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SOURCES: Final[tuple[Source, ...]] = ("channel", "pattern", "shard")


class RequestDoc(Struct, frozen=True, forbid_unknown_fields=True):
    """`request:` of a route file. One of `command`, `transaction`, `refused` and `pushed`."""

    command: Doc = None
    db: int = 0
    transaction: list[Doc] | None = None
    refused: Doc = None
    pushed: Doc = None
    number: int = 0


class ReplyDoc(Struct, frozen=True, forbid_unknown_fields=True):
    """`respond:` of a route file. One of the types; or `message` and what goes with it."""

    value: Doc | UnsetType = UNSET
    status: Doc | UnsetType = UNSET
    error: Doc | UnsetType = UNSET
    bulk_error: Doc | UnsetType = UNSET
    map: Doc | UnsetType = UNSET
    set: Doc | UnsetType = UNSET
    push: Doc | UnsetType = UNSET
    nil: Doc | UnsetType = UNSET
    double: Doc | UnsetType = UNSET
    big: Doc | UnsetType = UNSET
    text: Doc | UnsetType = UNSET
    markdown: Doc | UnsetType = UNSET
    verbatim: Doc | UnsetType = UNSET
    attributes: Doc | UnsetType = UNSET
    message: Doc | UnsetType = UNSET
    channel: Doc | UnsetType = UNSET
    after: Doc | UnsetType = UNSET


_TYPES: Final = tuple(
    name for name in ReplyDoc.__struct_fields__ if name not in {"attributes", "message", "channel", "after"}
)


# --- requests -------------------------------------------------------------------------------------------------


def request(doc: RequestDoc, files: Files) -> Request:
    """The request that a document describes. Raises Invalid."""
    given = [name for name in ("command", "transaction", "refused", "pushed") if getattr(doc, name) is not None]
    if len(given) != 1:
        raise Invalid(tuple(given[1:2]), "a request has one of command, transaction, refused and pushed")
    if doc.db < 0:
        raise Invalid(("db",), "a database is a number from 0")
    if doc.number < 0:
        raise Invalid(("number",), "messages are counted from 0")
    pen = Pen(files)
    if doc.pushed is not None:
        kind, name = _source(doc.pushed, pen)
        return Request((name,), 0, kind, number=doc.number)
    if doc.number:
        raise Invalid(("number",), "only messages that were `pushed` are counted")
    if doc.transaction is not None:
        commands = [_command(item, pen, ("transaction", at)) for at, item in enumerate(doc.transaction)]
        return Request((), doc.db, "transaction", tuple(commands))
    if doc.refused is not None:
        return Request(_command(doc.refused, pen, ("refused",)), doc.db, "queued")
    return Request(_command(doc.command, pen, ("command",)), doc.db)


def _source(doc: Doc, pen: Pen) -> tuple[Source, bytes]:
    if isinstance(doc, dict) and len(doc) == 1:
        for kind in _SOURCES:
            if kind in doc:
                return kind, pen.data(doc[kind], ("pushed", kind))
    if isinstance(doc, str):
        return "channel", pen.data(doc, ("pushed",))
    raise Invalid(("pushed",), "expected the name of a channel, or {channel: }, {pattern: } or {shard: }")


def _command(doc: Doc, pen: Pen, at: tuple[str | int, ...]) -> Args:
    args: Sequence[bytes] | None
    if isinstance(doc, str):
        args = split(pen.data(doc, at))
        if args is None:
            raise Invalid(at, "quotes that do not end")
    elif isinstance(doc, list):
        args = [_argument(item, pen, (*at, index)) for index, item in enumerate(doc)]
    else:
        raise Invalid(at, "expected a command such as GET user:42, or a list of its words")
    if not args or len(args) > MAX_ARGS:
        raise Invalid(at, "a command has a name")
    return (args[0].upper(), *args[1:])


def _argument(doc: Doc, pen: Pen, at: tuple[str | int, ...]) -> bytes:
    if isinstance(doc, int) and not isinstance(doc, bool):
        return str(doc).encode()
    if isinstance(doc, str | dict):
        return pen.data(doc, at)
    raise Invalid(
        at, "an argument is text, a whole number or {hex: }, {base64: }, {file: }; put others in quotes"
    )


def _show_command(args: Args, files: FileMap) -> Doc:
    typed = b" ".join(args)
    if len(typed) <= TYPED_MAX and _TYPED.fullmatch(typed) and split(typed) == args:
        return typed.decode("ascii")
    return [to_doc(arg, files) for arg in args]


def _show_request(asked: Request, files: FileMap) -> dict[str, Doc]:
    if asked.kind in {"channel", "pattern", "shard"}:
        name = to_doc(asked.args[0], files)
        plain = asked.kind == "channel" and isinstance(name, str)
        return {"pushed": name if plain else {asked.kind: name}, "number": asked.number}
    shown: dict[str, Doc]
    if asked.kind == "transaction":
        shown = {"transaction": [_show_command(args, files) for args in asked.commands]}
    else:
        shown = {"command" if asked.kind == "command" else "refused": _show_command(asked.args, files)}
    return {**shown, "db": asked.db} if asked.db else shown


# --- replies --------------------------------------------------------------------------------------------------


def reply(doc: ReplyDoc, files: Files) -> Reply:
    """The reply that a document describes, its wire bytes made where one form does for all. Raises Invalid."""
    pen = Pen(files)
    if doc.message is not UNSET:
        return _message(doc, pen)
    given = [name for name in _TYPES if getattr(doc, name) is not UNSET]
    if len(given) != 1:
        raise Invalid(tuple(given[1:2]), f"a reply has one of {', '.join(_TYPES)}; or message")
    for name in ("channel", "after"):
        if getattr(doc, name) is not UNSET:
            raise Invalid((name,), "belongs to a `message`; for the time before a reply, a route has `delay`")
    name = given[0]
    inner = getattr(doc, name)
    value = pen.value(inner, ("value",)) if name == "value" else pen.form(name, inner, (name,))
    if doc.attributes is not UNSET:
        value = pen.attributed(value, doc.attributes, ("attributes",))
    return finished(Reply(value))


def finished(made: Reply) -> Reply:
    """The reply with its wire bytes, where they are the same for everybody."""
    return Reply(made.value, encode(made.value, 2)) if is_plain(made.value) else made


def _message(doc: ReplyDoc, pen: Pen) -> Reply:
    for name in (*_TYPES, "attributes"):
        if getattr(doc, name) is not UNSET:
            raise Invalid((name,), "a message has `channel` and `after`, nothing else")
    channel = b"" if doc.channel is UNSET else pen.data(doc.channel, ("channel",))
    after = 0.0 if doc.after is UNSET else duration(doc.after, "after")
    return Reply(pen.data(doc.message, ("message",)), after=after, channel=channel)


def duration(doc: Doc, *at: str | int) -> float:
    """Seconds, from `20ms`, `1.5s` or a number of seconds. Raises Invalid."""
    seconds = -1.0
    if isinstance(doc, int | float) and not isinstance(doc, bool):
        seconds = float(doc)
    elif isinstance(doc, str) and (found := _DURATION.fullmatch(doc)):
        seconds = float(found[1]) * _SCALE[found[2] or "s"]
    if not 0 <= seconds <= MAX_AFTER:
        raise Invalid(at, f"expected a duration such as 20ms or 1.5s, got {doc!r}")
    return seconds


def show_duration(seconds: float) -> str:
    """Milliseconds, to the microsecond."""
    return f"{round(seconds * 1000, 3):.12g}ms"


def _show_reply(asked: Request, answered: Reply, files: FileMap) -> dict[str, Doc]:
    if asked.kind in {"channel", "pattern", "shard"}:
        assert isinstance(answered.value, bytes)
        shown: dict[str, Doc] = {"message": to_doc(answered.value, files)}
        if answered.channel:
            shown["channel"] = to_doc(answered.channel, files)
        return {**shown, "after": show_duration(answered.after)} if answered.after else shown
    value = answered.value
    if value == Nil("bulk") and asked.kind == "command" and says_no_list(asked.args):
        return {"nil": "bulk"}
    if isinstance(value, Attributed):
        name, inner = named(value.value, files)
        return {"attributes": show_pairs(value.attributes, files), name: inner}
    name, inner = named(value, files)
    return {name: inner}


def dump(asked: Request, answered: Reply) -> Documents:
    """An exchange as plain data, in the order in which a person would write it."""
    files: FileMap = {}
    respond = _show_reply(asked, answered, files)
    return Documents(_show_request(asked, files), respond, files)
