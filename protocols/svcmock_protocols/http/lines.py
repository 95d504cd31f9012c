"""Field lines, queries and forms as a person writes them, and back to the bytes they are on the wire.

A line is a pair `[Name, value]`. A value that is no printable text is `{hex: }` or `{base64: }`. A line whose
white space is not the usual one space after the colon is `{line: ...}`: the whole line without its CRLF. People
may also write a mapping `{Name: value}`, with a list of values for a name that occurs several times, and plain
numbers. What could end a line early or split a message (CR, LF, NUL, RFC 9110 section 5.5) is refused.
"""

import base64
import re
from typing import Any

from svcmock.payload import from_doc, readable
from svcmock.protocol import Blob, Doc, Files, Invalid
from svcmock_protocols.http.forms import parse_pairs, write_pairs

MAX_LINES = 1000
"""Field lines in one section of a document."""

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"(?:[!-~\x80-\xff]+(?:[ \t]+[!-~\x80-\xff]+)*)?")
_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_USUAL = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([!-~\x80-\xff]+(?:[ \t]+[!-~\x80-\xff]+)*)")


def show_block(block: bytes) -> list[Doc]:
    """A block's lines as a document holds them."""
    return [_show_line(line) for line in block.split(b"\r\n")[:-1]]


def _show_line(line: bytes) -> Doc:
    usual = _USUAL.fullmatch(line)
    if usual is None:
        return {"line": show_bytes(line)}
    return [usual[1].decode(), show_bytes(usual[2])]


def show_bytes(data: bytes) -> Doc:
    """Text where it is printable, else hex or base64, whatever the length."""
    text = readable(data)
    if text is not None:
        return text
    return {"hex": data.hex()} if len(data) <= 64 else {"base64": base64.b64encode(data).decode()}


def block(doc: Doc, *at: str | int) -> bytes:
    """The block that a document's `headers` or `trailers` stand for. Raises Invalid."""
    if not doc:
        return b""
    if isinstance(doc, dict):
        lines = [line for name, value in doc.items() for line in _named(name, value, (*at, name))]
    elif isinstance(doc, list):
        lines = [line(item, (*at, i)) for i, item in enumerate(doc)]
    else:
        raise Invalid(at, f"expected a list of [name, value] pairs or a mapping, got {type(doc).__name__}")
    if len(lines) > MAX_LINES:
        raise Invalid(at, f"more than {MAX_LINES} lines")
    return b"".join(lines)


def _named(name: str, value: Doc, at: tuple[Any, ...]) -> list[bytes]:
    if isinstance(value, list):
        return [_pair(name, each, (*at, i)) for i, each in enumerate(value)]
    return [_pair(name, value, at)]


def line(item: Doc, at: tuple[Any, ...]) -> bytes:
    """The line that one item of a list stands for. Raises Invalid."""
    if isinstance(item, dict) and item.keys() == {"line"}:
        verbatim = value_bytes(item["line"], (*at, "line"))
        if _LINE.fullmatch(verbatim) is None:
            raise Invalid((*at, "line"), "not a field line: expected `Name: value` without control characters")
        return verbatim + b"\r\n"
    if not isinstance(item, list) or len(item) != 2:
        raise Invalid(at, "expected a pair [name, value]")
    return _pair(item[0], item[1], at)


def _pair(name: Doc, value: Doc, at: tuple[Any, ...]) -> bytes:
    if not (isinstance(name, str) and name.isascii()) or TOKEN.fullmatch(name.encode()) is None:
        raise Invalid(at, f"not a field name: {name!r}")
    data = value_bytes(value, at)
    if _VALUE.fullmatch(data) is None:
        why = "a value may hold no line break, NUL or other control character, and no space around it"
        raise Invalid(at, f"{name}: {why}")
    return name.encode() + b": " + data + b"\r\n"


def value_bytes(value: Doc, at: tuple[Any, ...]) -> bytes:
    """The bytes of text, a number, a truth value, `{hex: }` or `{base64: }`. Raises Invalid."""
    data = from_doc(scalar(value, at) if not isinstance(value, dict) else value, NO_FILES, *at)
    if isinstance(data, Blob):
        raise Invalid(at, "this cannot be kept in a file")
    return data


def file_bytes(doc: Doc, files: Files, *at: str | int) -> bytes | Blob:
    """As `svcmock.payload.from_doc`, with a file that is not there reported where the document names it."""
    try:
        return from_doc(doc, files, *at)
    except Invalid as error:
        if error.at:
            raise
        raise Invalid((*at, "file"), error.why) from None


def scalar(value: Doc, at: tuple[Any, ...]) -> str:
    """The text that a plain YAML value means where only text can stand. Raises Invalid."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return value
    raise Invalid(at, f"expected text, got {'nothing' if value is None else type(value).__name__}")


class _NoFiles:
    """Stands where no file may be referred to: what it names cannot be read."""

    def __call__(self, name: str) -> Blob:
        return Blob(name, 0)

    def read(self, blob: Blob) -> bytes:
        raise Invalid((), f"{blob.path}: this cannot be kept in a file")


NO_FILES: Files = _NoFiles()


# --- pairs: queries and forms -------------------------------------------------------------------------


def show_pairs(encoded: bytes) -> Doc | None:
    """A query or form as a mapping, or as a list of pairs where only that keeps the order.

    None if what `pairs` and `write_pairs` make of it would not be exactly `encoded`.
    """
    found = parse_pairs(encoded)
    if not found:
        return None
    try:
        texts = [(name.decode(), value.decode()) for name, value in found]
    except UnicodeDecodeError:
        return None
    if write_pairs(texts) != encoded:
        return None
    grouped: dict[str, list[str]] = {}
    for name, value in texts:
        grouped.setdefault(name, []).append(value)
    if [(name, value) for name, values in grouped.items() for value in values] != texts:
        return [list(pair) for pair in texts]
    return {name: values[0] if len(values) == 1 else values for name, values in grouped.items()}


def pairs(doc: Doc, *at: str | int) -> list[tuple[str, str]]:
    """The pairs that a mapping or a list of [name, value] pairs stands for. Raises Invalid.

    In a mapping, a name that occurs several times has a list of values.
    """
    if isinstance(doc, dict):
        return [
            (name, scalar(each, (*at, name)))
            for name, value in doc.items()
            for each in (value if isinstance(value, list) else [value])
        ]
    if not isinstance(doc, list):
        raise Invalid(at, f"expected a mapping or a list of [name, value] pairs, got {type(doc).__name__}")
    made = []
    for i, item in enumerate(doc):
        if not isinstance(item, list) or len(item) != 2:
            raise Invalid((*at, i), "expected a pair [name, value]")
        made.append((scalar(item[0], (*at, i, 0)), scalar(item[1], (*at, i, 1))))
    return made
