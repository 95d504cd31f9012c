"""Messages as route files hold them: a document, the bytes where that gives others, and when they are sent.

    - message: {id: 42}
    - {after: 20ms, on: 2, message: {id: 43}, wire: {hex: 08ab8000}, compressed: true}

A message is a document of its type where the service has a schema, else of field numbers. `wire` has its bytes,
as they are sent, where the document gives others or the message is large; it counts as long as it still means
the document beside it.
"""

import json
from typing import Any, Final

from msgspec import UNSET, Struct

from svcmock.payload import to_doc
from svcmock.protocol import Blob, Context, Doc, Files, Invalid
from svcmock_protocols.http import bodies, lines, pieces
from svcmock_protocols.http.coding import MAX_DECODED
from svcmock_protocols.http.grpc import tree, view
from svcmock_protocols.http.grpc.framing import GrpcError, Message, packed, unpacked
from svcmock_protocols.http.grpc.view import Kind

SHOWN_MAX: Final = 64 * 1024
"""Bytes of a message up to which it is written as a document."""
MAX_MESSAGES: Final = 100_000
"""Messages of one document."""
_ENVELOPE: Final = frozenset({"message", "wire", "compressed", "after", "on"})
_NO_SCHEMA: Final = (
    "without a schema a message is written by field numbers, as in {1: 42}. To write names, give the service "
    "`options: {proto: ...}` or `{descriptor_set: ...}`, or record it from a server with reflection"
)


class Types(Struct, frozen=True):
    """What the messages of one direction are made of. `name`: their type; empty where nothing says it."""

    schema: Any = None
    name: str = ""
    why: str = _NO_SCHEMA
    open: bool = False
    """Nobody knows yet what is answered: any document will do."""


class Given(Struct, frozen=True):
    """A message of a document."""

    message: Message
    after: float | None = None
    on: Doc = None

    @property
    def timed(self) -> bool:
        return self.after is not None or self.on is not None


def types_of(context: Context, target: bytes | None, *, output: bool) -> Types:
    """What the messages of a call to `target` are made of, or with `output` those that answer it."""
    schema = context.schema
    if schema is None:
        return Types()
    name = None if target is None else view.name_of(target)
    method = None if name is None else schema.methods.get(f"/{name}")
    if method is None:
        return Types(why=f"the schema has no method {name or 'of this request'}: {_NO_SCHEMA}")
    return Types(schema, method.output if output else method.input)


def read(message: Doc, messages: Doc, types: Types, encoding: bytes, files: Files) -> list[Given]:
    """The messages that `message` or `messages` of a document describe. Raises Invalid."""
    if message is not UNSET:
        if messages is not None:
            raise Invalid(("messages",), "give either `message` or `messages`")
        return [Given(Message(_encoded(message, types, ("message",))))]
    if messages is None:
        return []
    if not isinstance(messages, list):
        raise Invalid(
            ("messages",), "expected a list, such as [{message: {id: 42}}, {after: 20ms, message: {id: 43}}]"
        )
    if len(messages) > MAX_MESSAGES:
        raise Invalid(("messages",), f"more than {MAX_MESSAGES} messages")
    return [_envelope(item, types, encoding, files, ("messages", i)) for i, item in enumerate(messages)]


def _envelope(doc: Doc, types: Types, encoding: bytes, files: Files, at: tuple[str | int, ...]) -> Given:
    if not isinstance(doc, dict):
        raise Invalid(at, "expected a mapping with `message`, as in {message: {id: 42}}")
    unknown = sorted(doc.keys() - _ENVELOPE)
    if unknown:
        raise Invalid((*at, unknown[0]), f"unknown key `{unknown[0]}`; a message stands below `message`")
    if "message" not in doc and "wire" not in doc:
        raise Invalid(at, "expected `message`, or `wire` with its bytes")
    compressed = doc.get("compressed", False)
    if not isinstance(compressed, bool):
        raise Invalid((*at, "compressed"), "expected true or false")
    after = None if doc.get("after") is None else pieces.duration(doc["after"], *at, "after")
    data = _wire(doc, types, encoding if compressed else b"", files, at)
    if data is None:
        data = _encoded(doc["message"], types, (*at, "message"))
        data = _compressed(data, encoding, (*at, "compressed")) if compressed else data
    return Given(Message(data, compressed), after, doc.get("on"))


def _wire(
    doc: dict[str, Doc], types: Types, encoding: bytes, files: Files, at: tuple[str | int, ...]
) -> bytes | None:
    """The bytes that `wire` gives, as long as they mean the document beside them."""
    if "wire" not in doc:
        return None
    found = lines.file_bytes(doc["wire"], files, *at, "wire")
    data = files.read(found) if isinstance(found, Blob) else found
    if "message" not in doc or types.open:
        return data
    try:
        plain = unpacked(Message(data, compressed=True), encoding, MAX_DECODED) if encoding else data
    except GrpcError:
        return None
    return data if _said(_shown(plain, types)) == _said(doc["message"]) else None


def _said(doc: Doc) -> str:
    """Equal for documents that are the same: 1, 1.0 and true are three."""
    return json.dumps(doc, sort_keys=True)


def _compressed(data: bytes, encoding: bytes, at: tuple[str | int, ...]) -> bytes:
    if not encoding:
        raise Invalid(at, "a compressed message needs `grpc-encoding` in `metadata`, such as gzip")
    try:
        return packed(data, encoding)
    except GrpcError as error:
        raise Invalid(at, f"{error.why}: give `wire`") from None


def _encoded(doc: Doc, types: Types, at: tuple[str | int, ...]) -> bytes:
    """The bytes of a message. Raises Invalid."""
    if types.open and not tree.numbered(doc):
        return b""
    if types.schema is not None:
        data: bytes = types.schema.to_bytes(types.name, doc, at)
        return _as_recorded(doc, data, types) if tree.numbered(doc) else data
    if isinstance(doc, dict) and not tree.numbered(doc):
        raise Invalid(at, types.why)
    return tree.write(doc, at)


def _as_recorded(doc: Doc, data: bytes, types: Types) -> bytes:
    """A message that was recorded without a schema: its fields as they stood, where that means the same."""
    try:
        written = tree.write(doc, ())
    except Invalid:
        return data
    meaning = types.schema.canonical
    return written if meaning(types.name, written) == meaning(types.name, data) else data


def _shown(data: bytes, types: Types) -> Doc | None:
    """A message as a document; None where it is none."""
    if types.schema is not None:
        return types.schema.to_doc(types.name, data)
    return tree.read(data)


def show(message: Message, types: Types, kind: Kind, encoding: bytes, files: bodies.FileMap) -> dict[str, Doc]:
    """A message as an envelope: its document, and its bytes where that would give others."""
    shown: dict[str, Doc] = {}
    exact = False
    plain = _plain(message, encoding)
    if plain is not None and len(plain) <= SHOWN_MAX and not kind.codec:
        doc = _shown(plain, types)
        if doc is not None:
            shown["message"] = doc
            exact = _gives(doc, types, message, encoding)
    if not exact:
        shown["wire"] = to_doc(message.data, files)
    if message.compressed:
        shown["compressed"] = True
    return shown


def _plain(message: Message, encoding: bytes) -> bytes | None:
    try:
        return unpacked(message, encoding, MAX_DECODED)
    except GrpcError:
        return None


def _gives(doc: Doc, types: Types, message: Message, encoding: bytes) -> bool:
    try:
        data = _encoded(doc, types, ())
        return (_compressed(data, encoding, ()) if message.compressed else data) == message.data
    except Invalid:
        return False
