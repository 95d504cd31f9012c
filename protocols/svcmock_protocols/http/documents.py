"""HTTP requests and replies as route files hold them: the structs, reading them, writing them.

Losslessness is the law: for every message the codec decodes, `reply(dump(...).respond)` is the message again,
and `request` likewise. So each readable form is written only where reading it gives the same bytes; what it
cannot express is kept verbatim beside it (`target`, `{line: }`, `wire`). What a person leaves out is derived,
in one place for reading and writing: a reply's reason from its status (REASONS), its framing from its headers.
Bodies are in `bodies`, field lines and pairs in `lines`, streamed pieces in `pieces`; calls of gRPC have a form
of their own, in `grpc.documents`.
"""

import re
from typing import Any

from msgspec import UNSET, Struct
from msgspec.structs import replace

from svcmock.protocol import Blob, Context, Doc, Documents, Files, Invalid
from svcmock_protocols.http import bodies, lines, pieces
from svcmock_protocols.http.codec import values, with_head
from svcmock_protocols.http.forms import is_json, media_type, write_pairs
from svcmock_protocols.http.grpc import documents as calls
from svcmock_protocols.http.grpc.documents import Call
from svcmock_protocols.http.grpc.heads import lowered
from svcmock_protocols.http.messages import Chunk, Framing, Interim, Reply, Request
from svcmock_protocols.http.reasons import REASONS

STATUS_MAX = 999
"""RFC 9110 section 15 ends at 599, but servers in the wild answer 999, and what was recorded must load."""
STREAM_SHOWN_MAX = 4096
"""Streamed bodies up to this size are written with their data, longer ones with their sizes."""

_FRAMINGS: dict[str, Framing] = {"length": "length", "chunked": "chunked", "close": "close", "none": "none"}
_NOT_VISIBLE = re.compile(rb"[^!-~]")
_REASON = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_VERSIONS = ("1.0", "1.1", "2")
_PLAIN_REQUEST = (
    "method",
    "path",
    "query",
    "target",
    "headers",
    "json",
    "form",
    "multipart",
    "body",
    "wire",
    "trailers",
)
_PLAIN_REPLY = ("reason", "headers", "json", "body", "wire", "stream", "interim")
_OF_CALLS = ("metadata", "message", "messages")


class RequestDoc(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`request:` of a route file. The README describes every member."""

    method: str | None = None
    path: str | None = None
    query: Any = None
    target: Any = None
    version: str | None = None
    grpc: str | None = None
    metadata: Any = None
    message: Any = UNSET
    messages: Any = None
    headers: Any = None
    json: Any = UNSET
    json_format: str = ""
    form: Any = None
    multipart: Any = None
    body: Any = None
    wire: Any = None
    trailers: Any = None


class ReplyDoc(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`respond:` of a route file. The README describes every member."""

    status: Any = 200
    reason: Any = None
    version: str | None = None
    grpc: bool = False
    metadata: Any = None
    message: Any = UNSET
    messages: Any = None
    trailers_only: bool | None = None
    headers: Any = None
    json: Any = UNSET
    json_format: str = ""
    body: Any = None
    wire: Any = None
    stream: Any = None
    chunks: Any = None
    framing: str | None = None
    trailers: Any = None
    interim: Any = None
    self_authority: str = ""
    negotiated: bool = True


# --- requests -----------------------------------------------------------------------------------------


def request(doc: RequestDoc, files: Files, context: Context) -> Request:
    """The request that a document describes. Raises Invalid with the path of the member at fault."""
    if doc.grpc is not None:
        _refuse(doc, _PLAIN_REQUEST, "a gRPC call has `metadata`, and `message` or `messages`")
        call = Call(
            metadata=doc.metadata,
            message=doc.message,
            messages=doc.messages,
            version=_version(doc.version, "2").decode(),
        )
        return calls.request(doc.grpc, call, files, context)
    _refuse(doc, _OF_CALLS, "belongs to a call: name its method, as in `grpc: package.Service/Method`")
    method = "GET" if doc.method is None else doc.method
    if lines.TOKEN.fullmatch(method.encode()) is None:
        raise Invalid(("method",), f"not a method: {method!r}")
    version = _version(doc.version, "1.1")
    given = bodies.Given(
        body=doc.body,
        json=doc.json,
        json_format=doc.json_format,
        form=doc.form,
        multipart=doc.multipart,
        wire=doc.wire,
    )
    built = bodies.build(given, lines.block(doc.headers, "headers"), files)
    bodies.check_length(built.body, built.block)
    if isinstance(built.body, Blob) and not built.body.sha256:
        raise Invalid(("body",), "a request cannot be matched by a file whose digest is not known")
    body = bodies.with_common_boundary(built.body, built.block, files)
    return Request(
        method=method.encode(),
        target=_target(doc),
        version=version,
        block=_cased(built.block, version),
        body=body,
        trailers=_cased(lines.block(doc.trailers, "trailers"), version),
    )


def _refuse(doc: RequestDoc | ReplyDoc, names: tuple[str, ...], why: str) -> None:
    """Raise Invalid for a member that has no place beside the others."""
    for name in names:
        value = getattr(doc, name)
        if value is not UNSET and (value is not None or name in {"json", "message"}):
            raise Invalid((name,), why)


def _cased(block: bytes, version: bytes) -> bytes:
    """HTTP/2 has its names in lower case (RFC 9113 section 8.2.1), however a person writes them."""
    return lowered(block) if version == b"2" else block


def _target(doc: RequestDoc) -> bytes:
    if doc.target is not None:
        if doc.path is not None or doc.query is not None:
            raise Invalid(("target",), "give either the verbatim target, or path and query")
        target = lines.value_bytes(doc.target, ("target",))
        if not target or _NOT_VISIBLE.search(target):
            raise Invalid(("target",), "a target is visible ASCII characters")
        return target
    if doc.path is None or not doc.path.startswith("/"):
        raise Invalid(("path",), "a request needs a path, which starts with `/`")
    path = _NOT_VISIBLE.sub(lambda byte: b"%%%02X" % byte[0][0], doc.path.encode())
    if not doc.query:
        return path
    if b"?" in path:
        raise Invalid(("query",), "the path has a query already")
    return path + b"?" + write_pairs(lines.pairs(doc.query, "query"))


def _version(version: str | None, usual: str) -> bytes:
    if version is None:
        return usual.encode()
    if version not in _VERSIONS:
        raise Invalid(("version",), f'expected "1.0", "1.1" or "2", got {version!r}')
    return version.encode()


def _show_request(message: Request, files: bodies.FileMap, context: Context) -> dict[str, Doc]:
    call = calls.show_request(message, files, context)
    if call is not None:
        return call
    shown: dict[str, Doc] = {"method": message.method.decode(), **_show_target(message.target)}
    if message.version != b"1.1":
        shown["version"] = message.version.decode()
    if message.block:
        shown["headers"] = lines.show_block(message.block)
    shown |= bodies.show(message.body, message.block, files, request=True)
    if message.trailers:
        shown["trailers"] = lines.show_block(message.trailers)
    return shown


def _show_target(target: bytes) -> dict[str, Doc]:
    if not target.startswith(b"/"):
        return {"target": lines.show_bytes(target)}
    path, mark, query = target.partition(b"?")
    pairs = lines.show_pairs(query)
    if mark and pairs is None:
        return {"path": target.decode()}
    return {"path": path.decode(), "query": pairs} if mark else {"path": path.decode()}


# --- replies ------------------------------------------------------------------------------------------


def is_call(doc: ReplyDoc) -> bool:
    """Whether a document describes the reply to a gRPC call."""
    if doc.grpc or doc.trailers_only is not None or doc.metadata is not None or doc.messages is not None:
        return True
    return doc.message is not UNSET or isinstance(doc.status, str | dict)


def tied(doc: ReplyDoc) -> bool:
    """Whether a reply has messages whose type is that of its request's method, or answers its parts."""
    messages = doc.messages if isinstance(doc.messages, list) else []
    talks = isinstance(doc.status, dict) and "on" in doc.status
    return (
        doc.message is not UNSET
        or talks
        or any(isinstance(item, dict) and not item.keys().isdisjoint({"message", "on"}) for item in messages)
    )


def reply(doc: ReplyDoc, files: Files, context: Context, asked: Request | None) -> Reply:
    """The reply that a document describes, its head made. Raises Invalid with the path of the member."""
    if is_call(doc):
        return _reply_to_call(doc, files, context, asked)
    version = _version(doc.version, "1.1")
    _check_status(doc.status)
    built, chunks = _reply_body(doc, files)
    streamed = doc.stream is not None or bool(chunks or doc.trailers)
    framing = _framing(doc, built.block, version, streamed=streamed)
    _check_reply_body(doc, built, framing, version)
    made = Reply(
        status=doc.status,
        reason=_reason(doc.status, doc.reason, version, "reason"),
        block=_cased(built.block, version),
        body=built.body,
        framing=framing,
        chunks=chunks,
        trailers=_cased(lines.block(doc.trailers, "trailers"), version),
        interim=_interim(doc.interim, version),
        version=version,
        self_authority=_authority(doc.self_authority),
        negotiated=doc.negotiated,
    )
    return finished(made)


def _check_status(status: Doc) -> None:
    if not isinstance(status, int) or isinstance(status, bool):
        raise Invalid(("status",), "expected a status such as 200, or the name of a gRPC status")
    if not 200 <= status <= STATUS_MAX:
        raise Invalid(("status",), f"a final status is 200 to {STATUS_MAX}; a 1xx belongs in `interim`")


def finished(reply: Reply) -> Reply:
    """The reply with its head made, where that can be done once: HTTP/2 packs it anew each time."""
    return replace(reply, head=b"", plain=False) if reply.version == b"2" else with_head(reply)


def _reply_to_call(doc: ReplyDoc, files: Files, context: Context, asked: Request | None) -> Reply:
    _refuse(doc, _PLAIN_REPLY, "the reply to a call has `metadata`, `message` or `messages`, and `trailers`")
    if isinstance(doc.status, int) and doc.status != 200:
        raise Invalid(("status",), "the status of a gRPC reply is a name, such as NOT_FOUND")
    if not doc.negotiated:
        raise Invalid(("negotiated",), "the reply to a call has no content coding")
    version = _version(doc.version, "2")
    call = Call(
        metadata=doc.metadata,
        message=doc.message,
        messages=doc.messages,
        trailers=doc.trailers,
        status=None if doc.status == 200 else doc.status,
        trailers_only=doc.trailers_only,
        chunks=doc.chunks,
        version=version.decode(),
    )
    made = calls.reply(call, files, context, asked)
    framing = _framing(doc, made.block, version, streamed=bool(made.chunks or made.trailers))
    return finished(replace(made, framing=framing, self_authority=_authority(doc.self_authority)))


def _reply_body(doc: ReplyDoc, files: Files) -> tuple[bodies.Built, tuple[Chunk, ...]]:
    block = lines.block(doc.headers, "headers")
    if doc.stream is not None:
        if doc.json is not UNSET or not (doc.body is doc.wire is doc.chunks is None):
            raise Invalid(("stream",), "gives the whole body: remove json, body, wire and chunks")
        if bodies.content_coding(block):
            raise Invalid(("stream",), "cannot have a Content-Encoding: give body and chunks")
        data, cut = pieces.stream(doc.stream, files, "stream")
        return bodies.Built(data, block), cut
    given = bodies.Given(body=doc.body, json=doc.json, json_format=doc.json_format, wire=doc.wire)
    built = bodies.build(given, block, files)
    chunks = () if doc.chunks is None else pieces.chunks(doc.chunks, "chunks")
    size, total = _size(built), sum(chunk.size for chunk in chunks)
    if chunks and total != size:
        if built.recoded:
            return built, ()
        raise Invalid(("chunks",), f"cut {total} bytes, the body has {size}: correct or remove them")
    return built, chunks


def _size(built: bodies.Built) -> int:
    return len(built.body) if isinstance(built.body, bytes) else built.body.size


def _framing(doc: ReplyDoc, block: bytes, version: bytes, *, streamed: bool) -> Framing:
    if doc.framing is None:
        status = doc.status if isinstance(doc.status, int) else 200
        return derived_framing(status, block, streamed=streamed or version == b"2")
    if doc.framing not in _FRAMINGS:
        raise Invalid(("framing",), f"expected one of {', '.join(_FRAMINGS)}")
    return _FRAMINGS[doc.framing]


def derived_framing(status: int, block: bytes, *, streamed: bool) -> Framing:
    """How a body ends when the document does not say.

    As the headers say, else by length, or in chunks if it is `streamed` in pieces or has trailers. In HTTP/2 it
    is always `streamed`: frames say where a body ends, and a Content-Length only what it comes to.
    """
    if status in {204, 304}:
        return "none"
    if values(block, b"transfer-encoding"):
        return "chunked"
    return "chunked" if streamed and not values(block, b"content-length") else "length"


def _check_reply_body(doc: ReplyDoc, built: bodies.Built, framing: Framing, version: bytes) -> None:
    if framing == "none":
        if _size(built):
            member = next(name for name in ("body", "wire", "stream", "json") if _is_given(doc, name))
            why = f"a {doc.status} has no body" if doc.status in {204, 304} else "`framing: none` means no body"
            raise Invalid((member,), why)
        return
    if framing == "length":
        bodies.check_length(built.body, built.block)
    elif values(built.block, b"content-length"):
        raise Invalid(("headers",), f"a reply framed by {framing!r} has no Content-Length")
    if version == b"2":
        if values(built.block, b"transfer-encoding"):
            raise Invalid(("headers",), "HTTP/2 has no Transfer-Encoding")
        return
    if doc.trailers and framing != "chunked":
        raise Invalid(("trailers",), "only a chunked body has trailers")
    for value in values(built.block, b"transfer-encoding"):
        if framing != "chunked" or value.lower() != b"chunked":
            raise Invalid(("headers",), "the only Transfer-Encoding is chunked, for a chunked body")


def _is_given(doc: ReplyDoc, name: str) -> bool:
    value = getattr(doc, name)
    return value is not UNSET and (value is not None or name == "json")


def _reason(status: int, given: Doc, version: bytes, *at: str | int) -> bytes:
    if version == b"2":
        if given is not None:
            raise Invalid(at, "HTTP/2 has no reason")
        return b""
    if given is None:
        return REASONS.get(status, "").encode()
    reason = lines.value_bytes(given, at)
    if _REASON.fullmatch(reason) is None:
        raise Invalid(at, "a reason may hold no line break and no control character")
    return reason


def _authority(text: str) -> bytes:
    authority = text.encode()
    if _NOT_VISIBLE.search(authority):
        raise Invalid(("self_authority",), "expected host[:port]")
    return authority


def _interim(doc: Doc, version: bytes) -> tuple[Interim, ...]:
    if doc is None:
        return ()
    if not isinstance(doc, list):
        raise Invalid(("interim",), "expected a list of replies with status 100 to 199")
    return tuple(_one_interim(item, version, i) for i, item in enumerate(doc))


def _one_interim(item: Doc, version: bytes, i: int) -> Interim:
    if not isinstance(item, dict) or not item.keys() <= {"status", "reason", "headers"}:
        raise Invalid(("interim", i), "expected a mapping with status, reason, headers")
    status = item.get("status")
    if not isinstance(status, int) or not 100 <= status < 200 or status == 101:
        raise Invalid(("interim", i, "status"), "expected 100 or 102 to 199")
    reason = _reason(status, item.get("reason"), version, "interim", i, "reason")
    block = _cased(lines.block(item.get("headers"), "interim", i, "headers"), version)
    return Interim(status, reason, block)


def _show_reply(message: Reply, files: bodies.FileMap, context: Context, asked: Request) -> dict[str, Doc]:
    call = calls.show_reply(message, files, context, asked)
    shown = _show_plain(message, files) if call is None else call
    streamed = message.version == b"2" or bool(message.chunks or message.trailers)
    if message.framing != derived_framing(message.status, message.block, streamed=streamed):
        shown["framing"] = message.framing
    if message.trailers and call is None:
        shown["trailers"] = lines.show_block(message.trailers)
    if message.interim:
        shown["interim"] = [_show_interim(interim, message.version) for interim in message.interim]
    if message.self_authority:
        shown["self_authority"] = message.self_authority.decode("latin-1")
    if not message.negotiated:
        shown["negotiated"] = False
    return shown


def _show_plain(message: Reply, files: bodies.FileMap) -> dict[str, Doc]:
    shown: dict[str, Doc] = {
        "status": message.status,
        **_show_reason(message.status, message.reason, message.version),
    }
    if message.version != b"1.1":
        shown["version"] = message.version.decode()
    if message.block:
        shown["headers"] = lines.show_block(message.block)
    return shown | _show_reply_body(message, files)


def _show_reason(status: int, reason: bytes, version: bytes) -> dict[str, Doc]:
    usual = b"" if version == b"2" else REASONS.get(status, "").encode()
    return {} if reason == usual else {"reason": lines.show_bytes(reason)}


def _show_interim(interim: Interim, version: bytes) -> Doc:
    shown: dict[str, Doc] = {"status": interim.status, **_show_reason(interim.status, interim.reason, version)}
    return {**shown, "headers": lines.show_block(interim.block)} if interim.block else shown


def _show_reply_body(message: Reply, files: bodies.FileMap) -> dict[str, Doc]:
    """The body, and its pieces: with their data where time passed between them, else their sizes."""
    body, chunks = message.body, message.chunks
    timed = any(chunk.after for chunk in chunks)
    if timed and isinstance(body, bytes) and len(body) <= STREAM_SHOWN_MAX:
        stream = None
        if not bodies.content_coding(message.block):
            stream = pieces.show_stream(body, chunks, lines=_holds_json_lines(message.block))
        if stream is not None:
            return {"stream": stream}
    shown = bodies.show(body, message.block, files, request=False)
    return {**shown, "chunks": pieces.show_chunks(chunks)} if chunks else shown


def _holds_json_lines(block: bytes) -> bool:
    kind = media_type(b"".join(values(block, b"content-type")[:1]))[0]
    return is_json(kind) or kind.rpartition(b"/")[2] in {b"x-ndjson", b"ndjson", b"jsonl", b"x-jsonlines"}


# --- both ---------------------------------------------------------------------------------------------


def dump(asked: Request, answered: Reply, context: Context) -> Documents:
    """An exchange as plain data, in the order in which a person would write it."""
    files: bodies.FileMap = {}
    respond = _show_reply(answered, files, context, asked)
    return Documents(_show_request(asked, files, context), respond, files)


def same(one: Reply, other: Reply) -> bool:
    """Whether two replies are the same on the wire, whether or not their heads are made yet."""
    return finished(one) == finished(other)
