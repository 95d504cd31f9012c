"""gRPC calls as route files hold them: reading them, and writing those that can be written so.

    request: {grpc: shop.Catalog/GetItem, metadata: [[x-tenant, a]], message: {id: 42}}
    respond: {message: {id: 42, name: Tea}}

Losslessness as in `http.documents`, whose halves these are: whatever is written here was read back and found to
be the same, byte for byte; any other message is written as the HTTP that it is. Messages are in `envelopes`,
metadata in `heads`, the status in `status`. What a reply's messages mean depends on the request they answer.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Struct

from svcmock.protocol import Blob, Context, Doc, Files, Invalid
from svcmock_protocols.http import bodies, pieces
from svcmock_protocols.http.codec import values
from svcmock_protocols.http.grpc import codes, envelopes, heads, status, view
from svcmock_protocols.http.grpc.framing import HEAD, GrpcError
from svcmock_protocols.http.grpc.heads import Implied
from svcmock_protocols.http.grpc.view import Body, Kind
from svcmock_protocols.http.messages import Chunk, Reply, Request

_TYPE: Final = b"content-type: application/grpc\r\n"
_CALL: Final[Implied] = {"te": b"te: trailers\r\n", "content-type": _TYPE}
_ANSWER: Final[Implied] = {"content-type": _TYPE}


class Call(Struct, frozen=True):
    """The members of a document that make it one of gRPC, as they stand there."""

    metadata: Doc = None
    message: Doc = UNSET
    messages: Doc = None
    trailers: Doc = None
    status: Doc = None
    trailers_only: bool | None = None
    chunks: Doc = None
    version: str = ""


# --- requests -----------------------------------------------------------------------------------------


def request(path: str, given: Call, files: Files, context: Context) -> Request:
    """The request that a document with `grpc:` describes. Raises Invalid with the path of the member."""
    target = f"/{path}".encode()
    if view.name_of(target) is None:
        raise Invalid(("grpc",), "expected package.Service/Method")
    block = _block(given.metadata, _CALL, given.version, "metadata")
    kind = view.kind(block)
    if kind is None:
        raise Invalid(("metadata",), "the content-type of a call is application/grpc or one of its forms")
    made = envelopes.read(
        given.message,
        given.messages,
        envelopes.types_of(context, target, output=False),
        view.encoding(block),
        files,
    )
    body = view.write(Body(tuple(one.message for one in made)), kind)
    bodies.check_length(body, block)
    return Request(b"POST", target, given.version.encode(), block, body)


def _block(doc: Doc, implied: Implied, version: str, *at: str) -> bytes:
    if heads.names(doc) & {"content-type"}:
        implied = {}
    made = heads.build(doc, implied, *at)
    return heads.lowered(made) if version == "2" else made


def show_request(message: Request, files: bodies.FileMap, context: Context) -> dict[str, Doc] | None:
    """The members that describe a call; None for what is no call, or has to be written as HTTP."""
    kind, name = view.kind(message.block), view.name_of(message.target)
    if kind is None or name is None or message.method != b"POST" or message.said or message.trailers:
        return None
    held = _held(message.body, kind)
    if held is None or held.trailers:
        return None
    own: bodies.FileMap = {}
    shown: dict[str, Doc] = {"grpc": name, **_show_version(message.version)}
    shown |= _show_metadata(message.block, _CALL)
    types = envelopes.types_of(context, message.target, output=False)
    given = [envelopes.show(one, types, kind, view.encoding(message.block), own) for one in held.messages]
    if _is_one(given):
        shown |= given[0]
    elif given:
        shown["messages"] = given
    try:
        again = request(name, _call(shown), _Files(own), context)
    except Invalid:
        return None
    files |= own
    return shown if again == message else None


def _call(shown: dict[str, Doc]) -> Call:
    members = {name: value for name, value in shown.items() if name in Call.__struct_fields__}
    return Call(**{"version": "2", **members})


def _held(body: object, kind: Kind) -> Body | None:
    if not isinstance(body, bytes):
        return None
    try:
        held = view.body(body, kind)
    except GrpcError:
        return None
    return held if len(held.messages) <= envelopes.MAX_MESSAGES else None


def _show_version(version: bytes) -> dict[str, Doc]:
    return {} if version == b"2" else {"version": version.decode()}


def _show_metadata(block: bytes, usual: Implied) -> dict[str, Doc]:
    whole = all(heads.holds(block, line) for line in usual.values())
    once = len(values(block, b"content-type")) == 1
    shown = heads.show(block, usual if whole and once else {})
    return {"metadata": shown} if shown else {}


def _is_one(given: Sequence[Doc]) -> bool:
    return len(given) == 1 and given[0].keys() == {"message"}


# --- replies ------------------------------------------------------------------------------------------


def reply(given: Call, files: Files, context: Context, asked: Request | None) -> Reply:
    """The reply that a document describes. Raises Invalid with the path of the member at fault."""
    said = status.Status() if given.status is None else status.read(given.status, context.schema, "status")
    ends = _ends(given, said)
    only = _trailers_only(given, said)
    types = (
        envelopes.Types(open=True) if asked is None else envelopes.types_of(context, asked.target, output=True)
    )
    if only:
        return _only_trailers(given, _closing(given, said), ends, asked)
    block = _block(given.metadata, _ANSWER, given.version, "metadata")
    kind = view.kind(block)
    if kind is None:
        raise Invalid(("metadata",), "the content-type of a reply is application/grpc or one of its forms")
    made = envelopes.read(given.message, given.messages, types, view.encoding(block), files)
    trailers = heads.build(given.trailers, _closing(given, said), "trailers")
    trailers = heads.lowered(trailers) if given.version == "2" else trailers
    count = _count(asked)
    body = view.write(Body(tuple(one.message for one in made), trailers if kind.web else b""), kind)
    bodies.check_length(body, block)
    return Reply(
        status=200,
        block=block,
        body=body,
        chunks=_chunks(given, made, body, count),
        trailers=b"" if kind.web else trailers,
        version=given.version.encode(),
        ends_on=_ends_on(ends, made, count),
    )


def _closing(given: Call, said: status.Status) -> Implied:
    """The lines that end the reply, but for those that the trailers have themselves."""
    listed = heads.names(given.trailers)
    if status.CODE in listed and given.status is not None and said.code >= 0:
        raise Invalid(("trailers",), f"give the status by `status`, or by {status.CODE} among the trailers")
    for name, value in ((status.MESSAGE, said.message), (status.DETAILS, said.details)):
        if name in listed and value is not None:
            raise Invalid(("trailers",), f"`status` gives {name} already")
    return {name: line for name, line in status.implied(said).items() if name not in listed}


def _trailers_only(given: Call, said: status.Status) -> bool:
    bare = given.message is UNSET and not given.messages and not given.metadata
    if given.trailers_only is None:
        return bare and said.code > codes.OK
    if given.trailers_only and not bare:
        raise Invalid(("trailers_only",), "such a reply has no message and no metadata but its trailers")
    return given.trailers_only


def _only_trailers(given: Call, closing: Implied, ends: Doc, asked: Request | None) -> Reply:
    implied = closing if "content-type" in heads.names(given.trailers) else {**_ANSWER, **closing}
    block = heads.build(given.trailers, implied, "trailers")
    block = heads.lowered(block) if given.version == "2" else block
    if given.chunks:
        raise Invalid(("chunks",), "there is no body")
    return Reply(
        status=200, block=block, version=given.version.encode(), ends_on=_ends_on(ends, [], _count(asked))
    )


def _count(asked: Request | None) -> int:
    """How many messages the client sent; -1 where that is not known."""
    kind = None if asked is None else view.kind(asked.block)
    held = None if asked is None or kind is None else _held(asked.body, kind)
    return -1 if held is None else len(held.messages)


def _ends(given: Call, said: status.Status) -> Doc:
    """With which part a conversation ends; None if this is none."""
    if said.on is not None:
        return said.on
    talks = isinstance(given.messages, list) and any(
        isinstance(item, dict) and item.get("on") is not None for item in given.messages
    )
    return status.END if talks else None


def _ends_on(ends: Doc, made: Sequence[envelopes.Given], count: int) -> int:
    if ends is None:
        return -1
    last = _part(ends, count, ("status", "on"))
    for i, one in enumerate(made):
        if one.on is not None and _part(one.on, count, ("messages", i, "on")) > last:
            raise Invalid(("status", "on"), "the reply ends before its last message")
    return last


def _part(doc: Doc, count: int, at: tuple[str | int, ...]) -> int:
    """The number of a part of a conversation: 0 its beginning, `end` one more than it has messages."""
    most = count + 1 if count >= 0 else envelopes.MAX_MESSAGES + 1
    if doc == status.END:
        return most
    if not isinstance(doc, int) or isinstance(doc, bool) or doc < 0:
        raise Invalid(at, "expected 0, the number of a message of the request, or `end`")
    if doc > most:
        raise Invalid(at, f"the request has {count} messages: expected at most {most}, which is `end`")
    return doc


def _chunks(given: Call, made: Sequence[envelopes.Given], body: bytes, count: int) -> tuple[Chunk, ...]:
    if given.chunks is not None:
        if any(one.timed for one in made):
            raise Invalid(("chunks",), "give the times either here or with the messages")
        cut = pieces.chunks(given.chunks, "chunks")
        total = sum(chunk.size for chunk in cut)
        if cut and total != len(body):
            raise Invalid(("chunks",), f"cut {total} bytes, the body has {len(body)}: correct or remove them")
        return cut
    if given.messages is None or not made or (len(made) == 1 and not made[0].timed):
        return ()
    talks = any(one.on is not None for one in made)
    at = 0 if talks else -1
    cut_: list[Chunk] = []
    for i, one in enumerate(made):
        part = at if one.on is None else _part(one.on, count, ("messages", i, "on"))
        if part < at:
            raise Invalid(
                ("messages", i, "on"), "a message answers no part before that of the message before it"
            )
        at = part
        cut_.append(Chunk(HEAD + len(one.message.data), one.after or 0.0, part))
    return tuple(cut_)


def show_reply(
    message: Reply, files: bodies.FileMap, context: Context, asked: Request | None
) -> dict[str, Doc] | None:
    """The members that describe the reply to a call; None for one that has to be written as HTTP."""
    kind = view.kind(message.block)
    if kind is None or message.status != 200 or message.interim or message.more or not message.negotiated:
        return None
    held = _held(message.body, kind)
    if held is None:
        return None
    own: bodies.FileMap = {}
    trailers = held.trailers if kind.web else message.trailers
    only = not message.body and not message.trailers
    shown = _show_status(message.block if only else trailers, context, only=only)
    closing = shown.pop("trailers", None)
    shown = {**_show_version(message.version), **shown}
    if not only:
        shown |= _show_answer(message, held, kind, own, context, asked)
    shown |= _show_end(message, shown, asked)
    if closing:
        shown["trailers"] = closing
    _name_form(shown, only=only)
    try:
        again = reply(_call(shown), _Files(own), context, asked)
    except Invalid:
        return None
    if again != plainly(message):
        return None
    files |= own
    return _ordered(shown)


def plainly(message: Reply) -> Reply:
    """The reply without what its headers and the way to the service say."""
    return msgspec.structs.replace(message, framing="length", self_authority=b"", head=b"", plain=False)


def _show_status(block: bytes, context: Context, *, only: bool) -> dict[str, Doc]:
    """`status` and `trailers`."""
    said, implied = status.found(block, context.schema)
    if "code" not in said:
        said, implied = {"code": status.NONE}, {}
    usual = {**_ANSWER, **implied} if only and heads.holds(block, _TYPE) else implied
    trailers = heads.show(block, usual)
    if said == {"code": codes.NAMES[codes.OK]}:
        return {"trailers": trailers}
    return {"status": said if said.keys() > {"code"} else _bare(said["code"]), "trailers": trailers}


def _bare(code: Doc) -> Doc:
    return code if isinstance(code, str) else {"code": code}


def _show_answer(
    message: Reply, held: Body, kind: Kind, files: bodies.FileMap, context: Context, asked: Request | None
) -> dict[str, Doc]:
    types = envelopes.Types() if asked is None else envelopes.types_of(context, asked.target, output=True)
    encoding = view.encoding(message.block)
    given = [envelopes.show(one, types, kind, encoding, files) for one in held.messages]
    shown = _show_metadata(message.block, _ANSWER)
    sizes = [HEAD + len(one.data) for one in held.messages]
    if not message.chunks:
        if _is_one(given):
            return {**shown, **given[0]}
        shown |= {"messages": given} if given else {}
        return {**shown, "chunks": []} if len(given) > 1 else shown
    if [chunk.size for chunk in message.chunks] == sizes and not kind.text and _talks_or_not(message.chunks):
        end = _end_of(asked)
        timed = [_show_time(chunk, end) for chunk in message.chunks]
        if len(given) == 1 and not timed[0]:
            timed = [{"after": "0s"}]
        return {**shown, "messages": [{**time, **one} for time, one in zip(timed, given, strict=True)]}
    return {**shown, "messages": given, "chunks": pieces.show_chunks(message.chunks)}


def _talks_or_not(chunks: tuple[Chunk, ...]) -> bool:
    """Whether all pieces answer some part, each none before that of the one before it; or none does."""
    parts = [chunk.on for chunk in chunks]
    return all(part < 0 for part in parts) or (parts[0] >= 0 and parts == sorted(parts))


def _end_of(asked: Request | None) -> int:
    count = _count(asked)
    return -2 if count < 0 else count + 1


def _show_time(chunk: Chunk, end: int) -> dict[str, Doc]:
    shown: dict[str, Doc] = {"after": pieces.show_duration(chunk.after)} if chunk.after else {}
    if chunk.on >= 0:
        shown["on"] = status.END if chunk.on == end else chunk.on
    return shown


def _show_end(message: Reply, shown: dict[str, Doc], asked: Request | None) -> dict[str, Doc]:
    """`status` with the part that the reply ends on, where that does not follow."""
    if message.ends_on < 0:
        return {}
    end = _end_of(asked)
    messages = shown.get("messages", [])
    if message.ends_on == end and any("on" in item for item in messages):
        return {}
    said = shown.get("status", codes.NAMES[codes.OK])
    said = said if isinstance(said, dict) else {"code": said}
    return {"status": {**said, "on": status.END if message.ends_on == end else message.ends_on}}


def _name_form(shown: dict[str, Doc], *, only: bool) -> None:
    """Say what the other members do not: that this is gRPC, and whether all of it is in one head."""
    said = shown.get("status")
    code = said.get("code", codes.NAMES[codes.OK]) if isinstance(said, dict) else said
    failed = code is not None and code not in (codes.NAMES[codes.OK], status.NONE)
    bare = "message" not in shown and "messages" not in shown and "metadata" not in shown
    if only != (bare and failed):
        shown["trailers_only"] = only
    if said is None and bare and "trailers_only" not in shown:
        shown["grpc"] = True


_ORDER: Final = (
    "version",
    "grpc",
    "metadata",
    "message",
    "messages",
    "chunks",
    "status",
    "trailers_only",
    "trailers",
)


def _ordered(shown: dict[str, Doc]) -> dict[str, Doc]:
    return {name: shown[name] for name in _ORDER if name in shown}


class _Files:
    """The files of a document that is being written."""

    def __init__(self, files: bodies.FileMap) -> None:
        self._files = files

    def __call__(self, name: str) -> Blob:
        data = self._files.get(name)
        if not isinstance(data, bytes):
            raise Invalid((), f"no file {name}")
        return Blob(name, len(data))

    def read(self, blob: Blob) -> bytes:
        data = self._files[blob.path]
        assert isinstance(data, bytes)
        return data
