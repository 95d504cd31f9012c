"""Reply values as a person writes them in a route file, and back.

Text is a bulk string, a whole number an integer, a list an array, `null` nothing, `true` and `false` booleans.
Every other type is a mapping with one key that names it: `{status: OK}`, `{map: {...}}`. So nothing is lost:
what is read back has the types and the bytes that it had.
"""

from collections.abc import Callable, Mapping
from typing import Final

from svcmock.payload import from_doc, to_doc
from svcmock.protocol import Blob, Doc, Files, Invalid, Spooled
from svcmock_protocols.redis.codec import INTEGER_MAX, MAX_DEPTH, scalar
from svcmock_protocols.redis.messages import (
    Array,
    Attributed,
    Big,
    Double,
    Error,
    Map,
    Nil,
    Simple,
    Value,
    Verbatim,
)

_FORMATS: Final = {b"txt": "text", b"mkd": "markdown"}

FileMap = dict[str, bytes | Spooled]
Path = tuple[str | int, ...]


class Pen:
    """Reads documents; `files` has the bytes that they refer to."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def value(self, doc: Doc, at: Path) -> Value:
        """The value that a document stands for. Raises Invalid."""
        if len(at) > 3 * MAX_DEPTH:
            raise Invalid(at, f"lists in more than {MAX_DEPTH} lists")
        match doc:
            case None:
                return Nil("null")
            case bool():
                return doc
            case int():
                if not -INTEGER_MAX <= doc < INTEGER_MAX:
                    raise Invalid(at, "an integer has 64 bits: write {big: '...'}")
                return doc
            case float():
                return Double(repr(doc).encode())
            case list():
                return Array(self.items(doc, at))
            case dict():
                return self._mapping(doc, at)
        return self.data(doc, at)

    def form(self, name: str, doc: Doc, at: Path) -> Value:
        """The value of the type `name`."""
        return _FORMS[name](self, doc, at)

    def data(self, doc: Doc, at: Path) -> bytes:
        """The bytes that text, `{hex: }`, `{base64: }` or `{file: }` stands for."""
        found = from_doc(doc, self._files, *at)
        return self._files.read(found) if isinstance(found, Blob) else found

    def attributed(self, value: Value, doc: Doc, at: Path) -> Value:
        return Attributed(self.pairs(doc, at), value)

    def _mapping(self, doc: dict[str, Doc], at: Path) -> Value:
        if set(doc) == {"attributes", "value"}:
            return self.attributed(
                self.value(doc["value"], (*at, "value")), doc["attributes"], (*at, "attributes")
            )
        if len(doc) == 1:
            ((name, inner),) = doc.items()
            if name in _FORMS:
                return self.form(name, inner, (*at, name))
            if name in {"hex", "base64", "file"}:
                return self.data(doc, at)
        known = ", ".join(sorted(_FORMS))
        raise Invalid(at, f"a mapping names one type: {known}, hex, base64 or file; a map is {{map: ...}}")

    def items(self, doc: Doc, at: Path) -> tuple[Value, ...]:
        """The values of a list."""
        if not isinstance(doc, list):
            raise Invalid(at, "expected a list")
        return tuple(self.value(item, (*at, index)) for index, item in enumerate(doc))

    def pairs(self, doc: Doc, at: Path) -> tuple[tuple[Value, Value], ...]:
        """Keys and values of a mapping, or of a list of twos."""
        if isinstance(doc, dict):
            return tuple(
                (self.data(name, (*at, name)), self.value(item, (*at, name))) for name, item in doc.items()
            )
        if not isinstance(doc, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in doc):
            raise Invalid(at, "expected a mapping, or a list of [key, value] pairs")
        return tuple(
            (self.value(name, (*at, index, 0)), self.value(item, (*at, index, 1)))
            for index, (name, item) in enumerate(doc)
        )

    def line(self, doc: Doc, at: Path) -> bytes:
        """Text without a line break."""
        data = self.data(doc, at)
        if b"\r" in data or b"\n" in data:
            raise Invalid(at, "this stands in one line: it holds no line break")
        return data

    def verbatim(self, doc: Doc, at: Path) -> Value:
        """Text with its format."""
        if not isinstance(doc, list) or len(doc) != 2:
            raise Invalid(at, "expected [format, text]")
        form = self.data(doc[0], (*at, 0))
        if len(form) != 3:
            raise Invalid((*at, 0), "a format has three characters")
        return Verbatim(form, self.data(doc[1], (*at, 1)))


_FORMS: Final[Mapping[str, Callable[[Pen, Doc, Path], Value]]] = {
    "status": lambda pen, doc, at: Simple(pen.line(doc, at)),
    "error": lambda pen, doc, at: Error(pen.line(doc, at)),
    "bulk_error": lambda pen, doc, at: Error(pen.data(doc, at), bulk=True),
    "map": lambda pen, doc, at: Map(pen.pairs(doc, at)),
    "set": lambda pen, doc, at: Array(pen.items(doc, at), "set"),
    "push": lambda pen, doc, at: Array(pen.items(doc, at), "push"),
    "nil": lambda _pen, doc, at: _nil(doc, at),
    "double": lambda _pen, doc, at: _number(",", doc, at),
    "big": lambda _pen, doc, at: _number("(", doc, at),
    "markdown": lambda pen, doc, at: Verbatim(b"mkd", pen.data(doc, at)),
    "text": lambda pen, doc, at: Verbatim(b"txt", pen.data(doc, at)),
    "verbatim": Pen.verbatim,
}
"""Types by the names that they have in documents."""


def _nil(doc: Doc, at: Path) -> Value:
    match doc:
        case "bulk" | "array" | "null" as kind:
            return Nil(kind)
    raise Invalid(at, "expected bulk, array or null")


def _number(mark: str, doc: Doc, at: Path) -> Value:
    given = str(doc) if isinstance(doc, str | int | float) and not isinstance(doc, bool) else ""
    found = scalar(ord(mark), given.encode(errors="replace"))
    if found is None:
        raise Invalid(at, "expected a number")
    return found


# --- showing --------------------------------------------------------------------------------------------------


def show(value: Value, files: FileMap) -> Doc:
    """A value as plain data. What belongs in a file of its own is added to `files`."""
    match value:
        case bytes():
            return to_doc(value, files)
        case bool() | int():
            return value
        case Nil("bulk" | "null"):
            return None
        case Array(items, "array"):
            return [show(item, files) for item in items]
        case Attributed(attributes, inner):
            return {"attributes": show_pairs(attributes, files), "value": show(inner, files)}
    name, inner_doc = named(value, files)
    return {name: inner_doc}


def named(value: Value, files: FileMap) -> tuple[str, Doc]:
    """A value as the name of its type and what is below it; `value` for one that needs no name."""
    match value:
        case Simple(text):
            return "status", to_doc(text, files)
        case Error(text, bulk):
            return ("bulk_error" if bulk else "error"), to_doc(text, files)
        case Nil("array"):
            return "nil", "array"
        case Double(text) | Big(text):
            return ("double" if isinstance(value, Double) else "big"), text.decode("ascii", "replace")
        case Verbatim(form, text):
            known = _FORMATS.get(form)
            shown = to_doc(text, files)
            return (known, shown) if known else ("verbatim", [to_doc(form, files), shown])
        case Map(pairs):
            return "map", show_pairs(pairs, files)
        case Array(items, "set" | "push" as kind):
            return kind, [show(item, files) for item in items]
    return "value", show(value, files)


def show_pairs(pairs: tuple[tuple[Value, Value], ...], files: FileMap) -> Doc:
    """A mapping where every key is text and comes once, else pairs."""
    keys = [to_doc(name, {}) if isinstance(name, bytes) else None for name, _ in pairs]
    if all(isinstance(name, str) for name in keys) and len(set(map(str, keys))) == len(keys):
        return {str(name): show(item, files) for name, (_, item) in zip(keys, pairs, strict=True)}
    return [[show(name, files), show(item, files)] for name, item in pairs]
