"""Bodies as a person reads them, and back to the bytes that were sent.

Decides in which form a body is written: `json` where a layout gives exactly its bytes, a request's `form` and
`multipart` likewise, else `body`. All of these are without the content coding. Where the coding cannot be put
back exactly by coding the readable form again, `wire` holds the coded bytes too; they are sent as long as they
still decode to the readable form, so that an edited body wins. A body that cannot be decoded, or that is on
disk with its coding on, has only `wire`.
"""

import hashlib
from typing import Any

from msgspec import UNSET, Struct
from msgspec.structs import replace

from svcmock.payload import INLINE_MAX, named, to_doc
from svcmock.protocol import Blob, Doc, Files, Invalid, Payload, Spooled
from svcmock_protocols.http import coding, jsontext, lines, multipart
from svcmock_protocols.http.codec import values
from svcmock_protocols.http.forms import is_json, media_type, write_pairs
from svcmock_protocols.http.pieces import json_bytes

IN_MEMORY_MAX = 1 << 20
"""A file up to this size is read when its route is loaded; a larger one is served from disk."""
FORM = b"application/x-www-form-urlencoded"
_CLOSING = b"\r\n"
"""What follows the last delimiter of a multipart body in nearly every client; others are written as bytes."""

FileMap = dict[str, bytes | Spooled]


class Given(Struct, frozen=True):
    """The body-describing members of a document, as they stand there."""

    body: Doc = None
    json: Doc = UNSET
    json_format: str = ""
    form: Doc = None
    multipart: Doc = None
    wire: Doc = None


class Built(Struct, frozen=True):
    """A body with its coding on, the block that describes it, and whether the coding was put on anew."""

    body: Payload
    block: bytes
    recoded: bool = False


# --- writing ------------------------------------------------------------------------------------------


def show(body: Payload, block: bytes, files: FileMap, *, request: bool) -> dict[str, Doc]:
    """The members of a document that describe `body`; none for an empty one."""
    codings = content_coding(block)
    member = "wire" if codings else "body"
    if isinstance(body, Blob):
        return {member: {"file": body.path}}
    if isinstance(body, Spooled):
        return {member: to_doc(body, files)}
    if not body:
        return {}
    if not codings:
        return _show_plain(body, block, files, request=request)
    plain = coding.decode(body, codings)
    if plain is None:
        return {"wire": to_doc(body, files)}
    shown = _show_plain(plain, block, files, request=request)
    if len(plain) > IN_MEMORY_MAX or coding.encode(plain, codings) != body:
        shown["wire"] = to_doc(body, files)
    return shown


def _show_plain(data: bytes, block: bytes, files: FileMap, *, request: bool) -> dict[str, Doc]:
    content_types = values(block, b"content-type")
    if len(content_types) == 1 and len(data) <= INLINE_MAX:
        kind = media_type(content_types[0])[0]
        if is_json(kind) and (found := jsontext.show(data)):
            value, layout = found
            return {"json": value, "json_format": layout} if layout else {"json": value}
        if request and kind == FORM and (form := lines.show_pairs(data)) is not None:
            return {"form": form}
        if request and (parts := _show_parts(data, content_types[0], files)) is not None:
            return {"multipart": parts}
    return {"body": to_doc(data, files)}


def _show_parts(data: bytes, content_type: bytes, files: FileMap) -> list[Doc] | None:
    boundary = multipart.boundary_of(content_type)
    found = multipart.parse(data, boundary) if boundary else None
    if found is None or found.closing != _CLOSING:
        return None
    shown = [_show_part(part, files) for part in found.parts]
    try:
        same = boundary is not None and multipart.write(_parts(shown, lines.NO_FILES, ()), boundary) == data
    except Invalid:
        return None
    return shown if same else None


def _show_part(part: multipart.Part, files: FileMap) -> Doc:
    name, filename = multipart.disposition(part)
    kind = dict(multipart.part_fields(part)).get(b"content-type")
    shown: dict[str, Doc] = {"headers": lines.show_block(part.block)}
    if name is not None and multipart.form_block(name, filename, kind) == part.block:
        named = {"name": name, "filename": filename, "content_type": kind}
        shown = {key: lines.show_bytes(value) for key, value in named.items() if value is not None}
    shown["body"] = to_doc(part.body, files)
    return shown


# --- reading ------------------------------------------------------------------------------------------


def build(given: Given, block: bytes, files: Files) -> Built:
    """The body that a document describes. Raises Invalid with the path of the member at fault.

    `json`, `form` and `multipart` bring their Content-Type where the document gives none.
    """
    plain, block = _plain(given, block, files)
    wire = None if given.wire is None else _in_memory(lines.file_bytes(given.wire, files, "wire"), files)
    codings = content_coding(block)
    if plain is None:
        return Built(wire if wire is not None else b"", block)
    if not codings:
        if wire is not None:
            raise Invalid(("wire",), "only a body with a Content-Encoding has other bytes on the wire")
        return Built(plain, block)
    if wire is not None and _decodes_to(wire, codings, plain, files):
        return Built(wire, block)
    coded = coding.encode(_bytes(plain, files), codings)
    if coded is None:
        raise Invalid(
            ("headers",), f"cannot apply the Content-Encoding {codings.decode('latin-1')!r}: give `wire`"
        )
    return Built(coded, _with_length(block, len(coded)), recoded=True)


def _plain(given: Given, block: bytes, files: Files) -> tuple[bytes | Blob | None, bytes]:
    """The body without its coding (None: the document has none), and the block with its Content-Type."""
    named = {"body": given.body, "form": given.form, "multipart": given.multipart}
    members = [name for name, value in named.items() if value is not None]
    if given.json is not UNSET:
        members.append("json")
    if len(members) > 1:
        raise Invalid((members[1],), f"a message has one body: `{members[0]}` gives it already")
    if given.json_format and not jsontext.is_layout(given.json_format):
        raise Invalid(
            ("json_format",), "expected compact, spaced or indent N, then ascii, slashes, html, newline"
        )
    match members:
        case []:
            return None, block
        case ["json"]:
            data = json_bytes(given.json, given.json_format, ("json",))
            return data, _typed(block, b"application/json")
        case ["form"]:
            return write_pairs(lines.pairs(given.form, "form")), _typed(block, FORM)
        case ["multipart"]:
            return _multipart(given.multipart, block, files)
        case _:
            return _in_memory(lines.file_bytes(given.body, files, "body"), files), block


def _typed(block: bytes, content_type: bytes) -> bytes:
    return block if values(block, b"content-type") else block + b"Content-Type: " + content_type + b"\r\n"


def _multipart(doc: Doc, block: bytes, files: Files) -> tuple[bytes, bytes]:
    parts = _parts(doc, files, ("multipart",))
    if not values(block, b"content-type"):
        boundary = multipart.unused_boundary([part.body for part in parts.parts])
        block = _typed(block, b"multipart/form-data; boundary=" + boundary)
    found = multipart.boundary_of(values(block, b"content-type")[0])
    if found is None:
        raise Invalid(
            ("multipart",), "the Content-Type must be a multipart type with a boundary, or be left out"
        )
    return multipart.write(parts, found), block


def _parts(doc: Doc, files: Files, at: tuple[Any, ...]) -> multipart.Parts:
    if not isinstance(doc, list):
        raise Invalid(at, "expected a list of parts")
    return multipart.Parts(tuple(_part(item, files, (*at, i)) for i, item in enumerate(doc)), _CLOSING)


def _part(item: Doc, files: Files, at: tuple[Any, ...]) -> multipart.Part:
    if not isinstance(item, dict) or not item.keys() <= {"name", "filename", "content_type", "headers", "body"}:
        raise Invalid(at, "expected a mapping with name, filename, content_type, or headers; and body")
    body = _bytes(lines.file_bytes(item.get("body", ""), files, *at, "body"), files)
    if "headers" in item:
        if "name" in item or "filename" in item or "content_type" in item:
            raise Invalid((*at, "headers"), "give either headers, or name, filename and content_type")
        return multipart.Part(lines.block(item["headers"], *at, "headers"), body)
    name, filename, kind = (
        None if item.get(key) is None else _part_text(item[key], (*at, key))
        for key in ("name", "filename", "content_type")
    )
    if name is None:
        raise Invalid(at, "a part has a name, or headers")
    return multipart.Part(multipart.form_block(name, filename, kind), body)


def _part_text(value: Doc, at: tuple[Any, ...]) -> bytes:
    data = lines.value_bytes(value, at)
    if any(byte in data for byte in (b"\r", b"\n", b"\0")):
        raise Invalid(at, "may hold no line break and no NUL")
    return data


# --- codings and files --------------------------------------------------------------------------------


def content_coding(block: bytes) -> bytes:
    """The value of Content-Encoding; empty if that leaves the body as it is."""
    found = coding.coding_of(block)
    return found if coding.codings(found) else b""


def _in_memory(data: bytes | Blob, files: Files) -> bytes | Blob:
    """Small files are read now; large ones stay where they are, named by their content."""
    if isinstance(data, bytes):
        return data
    return _bytes(data, files) if data.size <= IN_MEMORY_MAX else named(data)


def _bytes(data: bytes | Blob, files: Files) -> bytes:
    if isinstance(data, bytes):
        return data
    if data.size > coding.MAX_DECODED:
        raise Invalid((), f"{data.path}: too large to be read whole")
    return files.read(data)


def _decodes_to(wire: bytes | Blob, codings: bytes, plain: bytes | Blob, files: Files) -> bool:
    decoded = coding.decode(_bytes(wire, files), codings)
    if decoded is None or isinstance(plain, bytes):
        return decoded == plain
    return hashlib.sha256(decoded).hexdigest() == (
        plain.sha256 or hashlib.sha256(files.read(plain)).hexdigest()
    )


def with_common_boundary(body: Payload, block: bytes, files: Files) -> Payload:
    """A large request body; with the digest that `watched` gives it if it has a boundary of its own."""
    boundary = multipart.boundary_of(b", ".join(values(block, b"content-type")))
    if not isinstance(body, Blob) or not boundary or boundary == multipart.COMMON or content_coding(block):
        return body
    data = multipart.with_common_boundary(_bytes(body, files), boundary)
    return replace(body, sha256=hashlib.sha256(data).hexdigest())


def _with_length(block: bytes, size: int) -> bytes:
    """The block with its Content-Length, where it has one, made true."""
    said = values(block, b"content-length")
    if not said or set(said) == {b"%d" % size}:
        return block
    kept = block.split(b"\r\n")[:-1]
    for i, line in enumerate(kept):
        name = line.partition(b":")[0]
        if name.lower() == b"content-length":
            kept[i] = name + b": %d" % size
    return b"\r\n".join(kept) + b"\r\n"


def check_length(body: Payload, block: bytes) -> None:
    """Refuse a Content-Length that is not the body's, and one beside Transfer-Encoding. Raises Invalid."""
    said = values(block, b"content-length")
    if not said:
        return
    if values(block, b"transfer-encoding"):
        raise Invalid(("headers",), "a message has Content-Length or Transfer-Encoding, not both")
    size = len(body) if isinstance(body, bytes) else body.size
    if any(not value.isdigit() or int(value[:20]) != size for value in said):
        shown = said[0][:40].decode("latin-1")
        raise Invalid(
            ("headers",), f"Content-Length is {shown}, the body has {size} bytes: correct or remove it"
        )
