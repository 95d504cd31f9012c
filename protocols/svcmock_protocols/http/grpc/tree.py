"""Protobuf without a schema: the tree of numbers and values that the bytes are, and back.

    {"1": 42, "2": text, "3": {"1": 7}, "4": {fixed32: 1}, "5": {fixed64: 2}, "6": {hex: ff00}, "7": [1, 2]}

A key is a field number, in order of appearance; what occurs several times is a list. The wire tells numbers
from the rest, no more: 42 may be -1, 21 or 42 to its program, and a length-delimited value may be text, bytes,
a message, or packed numbers. It is shown as text where it is printable, else as a message where it is one from
its first byte to its last (and that message gives the same bytes again), else as bytes. All of them encode
alike. The one exception: text that starts with a line feed is taken for a message if it can be, for so does a
message that starts with text in its field 1.

`read` answers for any bytes. `write(read(x))` is x, unless there are padded varints or interleaved repeated
fields in the message itself; what lies deeper is always kept.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from svcmock.payload import HEX_MAX, from_doc, readable
from svcmock.protocol import Blob, Doc, Invalid

MAX_DEPTH: Final = 32
"""Messages inside each other; deeper ones are shown as bytes, and deeper groups are no protobuf."""
MAX_FIELDS: Final = 50_000
"""Values of one tree, guesses that came to nothing included."""
MAX_SIZE: Final = 16 * 1024 * 1024
MAX_NUMBER: Final = 2**29 - 1
RESERVED: Final = range(19000, 20000)

VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)
_BYTE_FORMS: Final = frozenset({"hex", "base64", "file"})
_WIDTHS: Final = {FIXED32: 4, FIXED64: 8}

Field: TypeAlias = tuple[int, int, Any]
"""Number, wire type, value: an int, bytes, or for a group the list of its fields."""


class _UnfitError(Exception):
    """These bytes are no message, or one beyond the limits."""


def shown(data: bytes) -> Doc:
    """Bytes as `svcmock.payload` writes them, never as a file of their own."""
    text = readable(data)
    return _binary(data) if text is None else text


def _binary(data: bytes) -> Doc:
    if len(data) <= HEX_MAX:
        return {"hex": data.hex()}
    return {"base64": base64.b64encode(data).decode()}


# --- reading ------------------------------------------------------------------------------------------


def read(data: bytes) -> Doc | None:
    """The tree of a message; None for what is none."""
    if len(data) > MAX_SIZE:
        return None
    try:
        walk = _Walk()
        fields = walk.scan(data)
        walk.strict = True
        return walk.doc(fields, 1)
    except (_UnfitError, _TooManyError):
        return None


def scan(data: bytes) -> list[Field] | None:
    """The fields of a message as they follow each other; None for what is none."""
    try:
        return _Walk().scan(data)
    except (_UnfitError, _TooManyError):
        return None


def show_fields(fields: Sequence[Field]) -> dict[str, Doc] | None:
    """Fields as `read` shows them; None if they are too many."""
    walk = _Walk()
    walk.strict = True
    walk.left -= _count(fields)
    try:
        return walk.doc(fields, 1) if walk.left >= 0 else None
    except _TooManyError:
        return None


def _count(fields: Sequence[Field]) -> int:
    return sum(1 + (_count(value) if wire == GROUP else 0) for _, wire, value in fields)


class _TooManyError(Exception):
    """More values than a tree may have. Ends all reading, so that no order of fields changes what is seen."""


class _Walk:
    """One reading, with what is left of its budget."""

    __slots__ = ("left", "strict")

    def __init__(self) -> None:
        self.left = MAX_FIELDS
        self.strict = False
        """Takes no varint that is longer than it must be, as where a message is a guess."""

    def scan(self, data: bytes) -> list[Field]:
        try:
            return self._fields(data, 0, None, 0)[0]
        except IndexError:
            raise _UnfitError from None

    def _fields(self, data: bytes, at: int, group: int | None, depth: int) -> tuple[list[Field], int]:
        """The fields from `at` to the end of the data, or of the group with that number; and where that is.

        Tags, lengths and numbers of one byte, as most are, are read in place.
        """
        made: list[Field] = []
        size = len(data)
        while at < size:
            self.left -= 1
            if self.left < 0:
                raise _TooManyError
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = self._varint(data, at - 1)
            number, wire = tag >> 3, tag & 7
            if not wire & 5:  # VARINT or LENGTH
                value = data[at]
                at += 1
                if value > 0x7F:
                    value, at = self._varint(data, at - 1)
                if wire:
                    made.append((number, wire, data[at : at + value]))
                    at += value
                else:
                    made.append((number, wire, value))
            elif wire == GROUP_END and number == group:
                return made, at
            else:
                at = self._rare(data, at, tag, depth, made)
            if number > 18999 or not number:
                _check(number)
        if group is not None or at > size:
            raise _UnfitError
        return made, at

    def _rare(self, data: bytes, at: int, tag: int, depth: int, made: list[Field]) -> int:
        number, wire = tag >> 3, tag & 7
        if wire == GROUP and depth < MAX_DEPTH:
            value, at = self._fields(data, at, number, depth + 1)
            made.append((number, wire, value))
            return at
        if wire not in _WIDTHS:
            raise _UnfitError
        end = at + _WIDTHS[wire]
        made.append((number, wire, int.from_bytes(data[at:end], "little")))
        return end

    def _varint(self, data: bytes, at: int) -> tuple[int, int]:
        value, at = _varint(data, at)
        if self.strict and not data[at - 1]:
            raise _UnfitError
        return value, at

    def doc(self, fields: Iterable[Field], depth: int, *, guess: bool = False) -> dict[str, Doc]:
        """A guess fails that would not give the same bytes again: it may be anything."""
        made: dict[str, Doc] = {}
        lists: set[str] = set()
        last = 0
        for number, wire, value in fields:
            key = str(number)
            if guess and number != last and key in made:
                raise _UnfitError
            last = number
            item = self._value(wire, value, depth, guess) if wire else value
            if key not in made:
                made[key] = item
            elif key in lists:
                made[key].append(item)
            else:
                made[key] = [made[key], item]
                lists.add(key)
        return made

    def _value(self, wire: int, value: Any, depth: int, guess: bool) -> Doc:
        if wire == GROUP:
            return {"group": self.doc(value, depth + 1, guess=guess)}
        if wire != LENGTH:
            return {"fixed32" if wire == FIXED32 else "fixed64": value}
        text = readable(value)
        if text is not None and not value.startswith(b"\n"):
            return text
        if depth < MAX_DEPTH:
            try:
                return self.doc(self.scan(value), depth + 1, guess=True)
            except _UnfitError:
                pass
        return _binary(value) if text is None else text


def _varint(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value = byte & 0x7F
    shift = 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise _UnfitError
    if value >= 1 << 64:
        raise _UnfitError
    return value, at


def _check(number: int) -> None:
    if not 1 <= number <= MAX_NUMBER or number in RESERVED:
        raise _UnfitError


# --- writing ------------------------------------------------------------------------------------------


def write(doc: Doc, at: Sequence[str | int] = ()) -> bytes:
    """The bytes of a tree, fields in the order of the document. Raises Invalid."""
    return _message(doc, tuple(at), 0)


def exact(data: bytes) -> bool:
    """Whether the tree of `data` gives exactly these bytes again."""
    doc = read(data)
    return doc is not None and write(doc) == data


def numbered(doc: Doc) -> bool:
    """Whether this is a mapping with nothing but numbers as keys."""
    return isinstance(doc, dict) and all(is_number(key) for key in doc)


def is_number(key: object) -> bool:
    return isinstance(key, str) and key.isascii() and key.isdigit()


def field_number(key: str, at: Sequence[str | int]) -> int:
    """The number that a key names. Raises Invalid."""
    number = int(key) if is_number(key) and len(key) <= 9 and not key.startswith("0") else 0
    if not 1 <= number <= MAX_NUMBER or number in RESERVED:
        raise Invalid(at, f"expected a field number, such as 1, got {str(key)[:40]!r}")
    return number


def _message(doc: Doc, at: tuple[str | int, ...], depth: int) -> bytes:
    if not isinstance(doc, dict):
        raise Invalid(at, f"expected a mapping of field numbers, got {type(doc).__name__}")
    if depth > 2 * MAX_DEPTH:
        raise Invalid(at, "nested too deep")
    made = []
    for key, value in doc.items():
        where = (*at, key)
        number = field_number(key, where)
        if isinstance(value, list):
            made.extend([_field(number, item, (*where, i), depth) for i, item in enumerate(value)])
        else:
            made.append(_field(number, value, where, depth))
    return b"".join(made)


def _field(number: int, value: Doc, at: tuple[str | int, ...], depth: int) -> bytes:
    if isinstance(value, int):
        return _tag(number, VARINT) + varint(_unsigned(value, 64, at))
    if isinstance(value, dict) and len(value) == 1:
        ((form, inner),) = value.items()
        if form in ("fixed32", "fixed64"):
            return _fixed(number, form, inner, (*at, form))
        if form == "group":
            body = _message(inner, (*at, form), depth + 1)
            return _tag(number, GROUP) + body + _tag(number, GROUP_END)
    data = _payload(value, at, depth)
    return _tag(number, LENGTH) + varint(len(data)) + data


def _payload(value: Doc, at: tuple[str | int, ...], depth: int) -> bytes:
    if isinstance(value, dict) and not (len(value) == 1 and _BYTE_FORMS.issuperset(value)):
        return _message(value, at, depth + 1)
    if isinstance(value, float):
        raise Invalid(
            at, "a float cannot be encoded without a schema; give its bits as {fixed32: } or {fixed64: }"
        )
    return payload(value, at)


def _fixed(number: int, form: str, value: Doc, at: tuple[str | int, ...]) -> bytes:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid(at, f"expected a whole number, got {type(value).__name__}")
    wire, bits = (FIXED32, 32) if form == "fixed32" else (FIXED64, 64)
    return _tag(number, wire) + _unsigned(value, bits, at).to_bytes(bits // 8, "little")


def _unsigned(value: int, bits: int, at: tuple[str | int, ...]) -> int:
    """A negative number is what two's complement makes of it, as in int32 and int64."""
    if not -(1 << (bits - 1)) <= value < 1 << bits:
        raise Invalid(at, f"{value} does not fit in {bits} bits")
    return value & ((1 << bits) - 1)


def _tag(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def varint(value: int) -> bytes:
    """`value`, which is not negative, as a varint."""
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def payload(doc: Doc, at: Sequence[str | int]) -> bytes:
    """The bytes that text, `{hex: }` or `{base64: }` stands for. Raises Invalid."""
    made = from_doc(doc, _NoFiles(tuple(at)), *at)
    assert isinstance(made, bytes)
    return made


class _NoFiles:
    """Inside a message there are no references to files."""

    def __init__(self, at: tuple[str | int, ...]) -> None:
        self._at = at

    def __call__(self, name: str) -> Blob:  # noqa: ARG002  a Files takes it
        raise Invalid((*self._at, "file"), "inside a message bytes are text, {hex: } or {base64: }")

    def read(self, blob: Blob) -> bytes:
        raise Invalid(self._at, f"{blob.path} cannot be read here")
