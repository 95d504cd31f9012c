"""gRPC messages without their credentials: found by the names of their fields, and wherever else they occur.

With a schema a field whose name is a credential's is one, text or bytes, and so is an entry of a map. Without
one a message has no names: only what was found elsewhere is replaced in it. A message that is changed is
encoded anew, and compressed again where it was; every other byte stays.
"""

import base64
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

from msgspec import Struct

from svcmock.payload import readable
from svcmock.protocol import Doc, Invalid
from svcmock_protocols.http.coding import MAX_DECODED
from svcmock_protocols.http.credentials import Found, Rules, Token, holds_credential, note
from svcmock_protocols.http.grpc import tree
from svcmock_protocols.http.grpc.framing import HEAD, GrpcError, Message, frame, packed, unpacked
from svcmock_protocols.http.grpc.schema import Schema
from svcmock_protocols.http.grpc.tree import FIXED32, FIXED64, GROUP, GROUP_END, LENGTH, VARINT, varint
from svcmock_protocols.http.grpc.web import TRAILERS

Edit: TypeAlias = tuple[int, int, bytes]
Rewrite: TypeAlias = Callable[[bytes], bytes]
_FORMS: Final = ({"hex"}, {"base64"})
_WIDTHS: Final = {FIXED32: 4, FIXED64: 8}


class Replacing(Protocol):
    """What replaces known bytes in others: `http.redact.Echo`."""

    def occurs(self, data: bytes) -> bool: ...

    def apply(self, data: bytes) -> bytes: ...


class Sense(Struct, frozen=True):
    """What is known about the messages of a call: its schema and its target. Both may be missing."""

    schema: Schema | None = None
    target: bytes = b""

    def type_of(self, *, output: bool) -> str | None:
        """The full name of the messages that it sends, or that answer it."""
        if self.schema is None:
            return None
        method = self.schema.methods.get(self.target.decode("latin-1"))
        return None if method is None else method.output if output else method.input


NO_SENSE: Final = Sense()


# --- bodies -------------------------------------------------------------------------------------------


def edits(body: bytes, encoding: bytes, message: Rewrite, block: Rewrite) -> list[Edit] | None:
    """What `message` makes of the messages of a body, `block` of gRPC-Web's trailers; None if it is none."""
    made: list[Edit] = []
    at = 0
    while at < len(body):
        end = at + HEAD + int.from_bytes(body[at + 1 : at + HEAD])
        flag = body[at]
        if end > len(body) or len(body) - at < HEAD or flag not in (0, 1, TRAILERS):
            return None
        data = body[at + HEAD : end]
        if flag == TRAILERS:
            new = block(data)
            framed = bytes([TRAILERS]) + len(new).to_bytes(4) + new
        else:
            framed = frame(_rewritten(Message(data, flag == 1), encoding, message))
        if framed != body[at:end]:
            made.append((at, end, framed))
        at = end
    return made


def _rewritten(message: Message, encoding: bytes, rewrite: Rewrite) -> Message:
    try:
        plain = unpacked(message, encoding, MAX_DECODED)
        new = rewrite(plain)
        if new == plain:
            return message
        return Message(packed(new, encoding) if message.compressed else new, message.compressed)
    except GrpcError:
        return message


# --- by name ------------------------------------------------------------------------------------------


def hidden(data: bytes, schema: Schema, type_name: str, token: Token, found: Found, known: Rules) -> bytes:
    """A message with tokens in its fields that are credentials, these noted in `found`."""
    hiding = _Hiding(token, found, known)
    return _edited(data, schema, type_name, lambda doc: hiding.value(doc, ""))


def _edited(data: bytes, schema: Schema, type_name: str, edit: Callable[[Doc], Doc]) -> bytes:
    doc = schema.to_doc(type_name, data)
    if doc is None:
        return data
    new = edit(doc)
    if new == doc:
        return data
    try:
        return schema.to_bytes(type_name, new)
    except Invalid:
        return data


class _Hiding:
    def __init__(self, token: Token, found: Found, known: Rules) -> None:
        self._token = token
        self._found = found
        self._known = known

    def value(self, doc: Doc, name: str) -> Doc:
        """`doc`, which stands under `name`, without credentials."""
        if isinstance(doc, list):
            return [self.value(item, name) for item in doc]
        secret = _bytes_of(doc)
        if secret is not None:
            named = name.encode()
            if not name or not self._known.member(named) or not holds_credential(named, secret):
                return doc
            return _like(doc, note(secret, self._token, self._found))
        if isinstance(doc, dict):
            return {key: self.value(item, key) for key, item in doc.items()}
        return doc


def _bytes_of(doc: Doc) -> bytes | None:
    """What a value of text or bytes holds; None for any other."""
    if isinstance(doc, str):
        return doc.encode("utf-8", "surrogatepass")
    if not isinstance(doc, dict) or doc.keys() not in _FORMS:
        return None
    ((form, value),) = doc.items()
    if not isinstance(value, str):
        return None
    try:
        return bytes.fromhex(value) if form == "hex" else base64.b64decode(value, validate=True)
    except ValueError:
        return None


def _like(doc: Doc, data: bytes) -> Doc:
    if isinstance(doc, str):
        return data.decode("utf-8", "replace")
    return {"hex": data.hex()} if "hex" in doc else {"base64": base64.b64encode(data).decode()}


# --- anywhere -----------------------------------------------------------------------------------------


def echoed(data: bytes, schema: Schema | None, type_name: str | None, echo: Replacing) -> bytes:
    """A message in which `echo` has replaced what it knows."""
    if not echo.occurs(data):
        return data
    if schema is not None and type_name is not None:
        data = _edited(data, schema, type_name, lambda doc: _echo_doc(doc, echo))
    return _echo_wire(data, echo) if echo.occurs(data) else data


def _echo_doc(doc: Doc, echo: Replacing) -> Doc:
    if isinstance(doc, list):
        return [_echo_doc(item, echo) for item in doc]
    held = _bytes_of(doc)
    if held is not None:
        return _like(doc, echo.apply(held)) if echo.occurs(held) else doc
    return {key: _echo_doc(item, echo) for key, item in doc.items()} if isinstance(doc, dict) else doc


def _echo_wire(data: bytes, echo: Replacing) -> bytes:
    """Without names: in the fields that it occurs in, whose lengths are made to fit.

    A field that can be read as a message counts as one, unless it would keep what is looked for.
    """
    fields = tree.scan(data)
    if fields is None:
        return echo.apply(data)
    made = b"".join([_field(number, wire, value, echo) for number, wire, value in fields])
    return echo.apply(made) if echo.occurs(made) else made


def _field(number: int, wire: int, value: Any, echo: Replacing) -> bytes:
    tag = varint(number << 3 | wire)
    if wire == VARINT:
        return tag + varint(value)
    if wire == GROUP:
        group = [_field(one, kind, inner, echo) for one, kind, inner in value]
        return tag + b"".join(group) + varint(number << 3 | GROUP_END)
    if wire == LENGTH:
        data = _echo_length(value, echo) if echo.occurs(value) else value
        return tag + varint(len(data)) + data
    width: bytes = value.to_bytes(_WIDTHS[wire], "little")
    return tag + width


def _echo_length(value: bytes, echo: Replacing) -> bytes:
    fields = tree.scan(value)
    if fields is not None:
        made = b"".join([_field(number, wire, inner, echo) for number, wire, inner in fields])
        # text that happens to be a message is damaged by that: it has become shorter or longer as one
        if not echo.occurs(made) and (readable(value) is None or value.startswith(b"\n") or readable(made)):
            return made
    return echo.apply(value)
