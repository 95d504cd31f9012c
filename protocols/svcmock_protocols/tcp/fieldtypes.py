"""Single fields of a frame: numbers, texts, bytes, constants, and where they end.

A node decodes bytes at a place to a value and gives where it ended, and encodes a value to bytes. What has no
size of its own has an extent: a length, a field that says it, a mark that ends it, digits before it, or all
that is left. Bytes that do not fit raise LayoutError, values of a document that do not, Invalid.
"""

import codecs
import math
import re
import struct
from collections.abc import Mapping
from typing import Final, Literal, Protocol, TypeAlias

from msgspec import Struct

from svcmock.protocol import Doc, Invalid, ProtocolError
from svcmock_protocols.tcp.checksums import CHECKSUMS

MAX_DIGITS = 19
"""Digits of a length or a number in text."""

Path: TypeAlias = tuple[str | int, ...]
Scope: TypeAlias = Mapping[str, Doc]
"""The fields decoded so far, of the record at hand."""


class LayoutError(ProtocolError):
    """The bytes of a frame are not what `fields:` says."""


class Node(Protocol):
    """A field's bytes to its value, and back."""

    def decode(self, data: bytes, at: int, end: int, scope: Scope) -> tuple[Doc, int]:
        """The value that begins at `at`, and where it ends, at most at `end`. Raises LayoutError."""

    def encode(self, value: Doc, path: Path) -> bytes:
        """The bytes of a value. Raises Invalid."""


class Content(Protocol):
    """What stands in a known number of bytes."""

    def decode(self, data: bytes) -> Doc:
        """Raises LayoutError."""

    def encode(self, value: Doc, path: Path) -> bytes:
        """Raises Invalid."""


# --- numbers ------------------------------------------------------------------------------------------

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"([ui](?:8|16|24|32|40|48|56|64)|f32|f64)(le|be)?")


class Integer(Struct, frozen=True):
    """A number of `size` bytes."""

    size: int
    endian: Literal["big", "little"]
    signed: bool

    def decode(self, data: bytes, at: int, end: int, scope: Scope) -> tuple[Doc, int]:  # noqa: ARG002
        stop = _room(at, self.size, end)
        return int.from_bytes(data[at:stop], self.endian, signed=self.signed), stop

    def encode(self, value: Doc, path: Path) -> bytes:
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise Invalid(path, f"expected a whole number, got {value!r}")
        try:
            return value.to_bytes(self.size, self.endian, signed=self.signed)
        except OverflowError:
            raise Invalid(path, f"{value} does not fit {self.size} byte{'s' * (self.size > 1)}") from None


class Float(Struct, frozen=True):
    """A number of IEEE 754. What YAML and JSON have no number for is text: `nan`, `inf`, `-inf`."""

    form: str

    def decode(self, data: bytes, at: int, end: int, scope: Scope) -> tuple[Doc, int]:  # noqa: ARG002
        stop = _room(at, struct.calcsize(self.form), end)
        value: float = struct.unpack(self.form, data[at:stop])[0]
        return value if math.isfinite(value) else str(value), stop

    def encode(self, value: Doc, path: Path) -> bytes:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise Invalid(path, f"expected a number, got {value!r}")
        try:
            return struct.pack(self.form, float(value))
        except (ValueError, OverflowError, struct.error):
            raise Invalid(
                path, f"expected a number of {struct.calcsize(self.form)} bytes, got {value!r}"
            ) from None


class Digits(Struct, frozen=True):
    """A number as a fixed count of digits in text."""

    width: int
    form: Literal["d", "x", "X"] = "d"

    def decode(self, data: bytes, at: int, end: int, scope: Scope) -> tuple[Doc, int]:  # noqa: ARG002
        stop = _room(at, self.width, end)
        text = data[at:stop].decode("latin-1")
        if not (text.isascii() and text.isalnum()):
            raise LayoutError(f"expected {self.width} digits, got {text!r}")
        try:
            return int(text, 10 if self.form == "d" else 16), stop
        except ValueError:
            raise LayoutError(f"expected {self.width} digits, got {text!r}") from None

    def encode(self, value: Doc, path: Path) -> bytes:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise Invalid(path, f"expected a whole number, got {value!r}")
        text = f"{value:0{self.width}{self.form}}"
        if len(text) > self.width:
            raise Invalid(path, f"{value} has more than {self.width} digits")
        return text.encode()


def number(name: str) -> Node | None:
    """`u16`, `i32le`, `f64`, `digits4`: a number by its name. None: it is no number's name."""
    match = _NUMBER.fullmatch(name)
    if match is None:
        digits = re.fullmatch(r"digits([1-9]|1[0-9])", name)
        return Digits(int(digits[1])) if digits else None
    kind, endian = match[1], match[2] or "be"
    if kind[0] == "f":
        return Float((">" if endian == "be" else "<") + ("f" if kind == "f32" else "d"))
    return Integer(int(kind[1:]) // 8, "big" if endian == "be" else "little", kind[0] == "i")


def size_of(node: Node) -> int | None:
    """The bytes that a number always takes; None for what is none."""
    match node:
        case Integer(size=size):
            return size
        case Float(form=form):
            return struct.calcsize(form)
        case Digits(width=width):
            return width
    return None


def _room(at: int, size: int, end: int) -> int:
    if at + size > end:
        raise LayoutError(f"{size} bytes are needed at {at}, and {end - at} are left")
    return at + size


# --- texts and bytes ----------------------------------------------------------------------------------


class Text(Struct, frozen=True):
    """Text of one encoding. `pad` fills it up to the length that it must have; before it, if `right`."""

    codec: str
    pad: str = ""
    right: bool = False

    def decode(self, data: bytes) -> Doc:
        try:
            text, _ = codecs.lookup(self.codec).decode(data)
        except UnicodeError:
            raise LayoutError(f"{data[:40]!r} is no {self.codec}") from None
        if self.pad:
            text = text.lstrip(self.pad) if self.right else text.rstrip(self.pad)
        return text

    def encode(self, value: Doc, path: Path) -> bytes:
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise Invalid(path, f"expected text, got {value!r}")
        try:
            data, _ = codecs.lookup(self.codec).encode(value)
        except UnicodeError:
            raise Invalid(path, f"{value!r} is no {self.codec}") from None
        return bytes(data)


class Hex(Struct, frozen=True):
    """Bytes, written in hex digits."""

    def decode(self, data: bytes) -> Doc:
        return data.hex()

    def encode(self, value: Doc, path: Path) -> bytes:
        try:
            return bytes.fromhex(value if isinstance(value, str) else "?")
        except ValueError:
            raise Invalid(path, f"expected hex digits in a text, got {value!r}") from None


class Bcd(Struct, frozen=True):
    """Decimal digits, two to a byte."""

    def decode(self, data: bytes) -> Doc:
        text = data.hex()
        if text and not text.isdecimal():
            raise LayoutError(f"{text} is no BCD")
        return text

    def encode(self, value: Doc, path: Path) -> bytes:
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(text, str) or len(text) % 2 or (text and not (text.isascii() and text.isdecimal())):
            raise Invalid(path, f"expected an even number of decimal digits, got {value!r}")
        return bytes.fromhex(text)


TEXTS: Final = {"ascii": "ascii", "utf8": "utf-8", "latin1": "latin-1", "ebcdic": "cp500"}
"""Encodings of text by their names in `fields:`."""


def text_of(data: bytes) -> str:
    """Text where nothing says its encoding: UTF-8 where it is, else Latin-1."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


# --- extents ------------------------------------------------------------------------------------------


class Rest(Struct, frozen=True):
    """All that is left, but for fields of a certain size that follow."""


class Size(Struct, frozen=True):
    """So many bytes."""

    size: int


class SizeField(Struct, frozen=True):
    """As many bytes as another field says."""

    name: str


class Until(Struct, frozen=True):
    """Up to a mark, which follows."""

    mark: bytes


class Prefixed(Struct, frozen=True):
    """As many bytes as a number before them says."""

    prefix: Node


Extent: TypeAlias = Rest | Size | SizeField | Until | Prefixed


class Bounded(Struct, frozen=True):
    """Content and where it ends."""

    content: Content
    extent: Extent = Rest()

    def decode(self, data: bytes, at: int, end: int, scope: Scope) -> tuple[Doc, int]:
        start, stop, after = self._region(data, at, end, scope)
        return self.content.decode(data[start:stop]), after

    def _region(self, data: bytes, at: int, end: int, scope: Scope) -> tuple[int, int, int]:
        match self.extent:
            case Size(size):
                stop = _room(at, size, end)
                return at, stop, stop
            case SizeField(name):
                stop = _room(at, counted(scope, name), end)
                return at, stop, stop
            case Until(mark):
                stop = data.find(mark, at, end)
                if stop < 0:
                    raise LayoutError(f"no {mark!r} ends what begins at {at}")
                return at, stop, stop + len(mark)
            case Prefixed(prefix):
                size, start = prefix.decode(data, at, end, scope)
                if not isinstance(size, int) or size < 0:
                    raise LayoutError(f"{size!r} is no length")
                stop = _room(start, size, end)
                return start, stop, stop
            case _:
                return at, end, end

    def encode(self, value: Doc, path: Path) -> bytes:
        data = self.content.encode(value, path)
        match self.extent:
            case Size(size):
                return self._sized(data, size, path)
            case Until(mark):
                if (data + mark).find(mark) != len(data):
                    raise Invalid(path, f"holds the mark {mark!r} that ends it")
                return data + mark
            case Prefixed(prefix):
                return prefix.encode(len(data), path) + data
            case _:
                return data

    def _sized(self, data: bytes, size: int, path: Path) -> bytes:
        content = self.content
        if len(data) < size and isinstance(content, Text) and content.pad:
            fill = content.encode(content.pad, path) * (size - len(data))
            data = fill[: size - len(data)] + data if content.right else data + fill[: size - len(data)]
        if len(data) != size:
            raise Invalid(path, f"takes {size} bytes, this has {len(data)}")
        return data


def counted(scope: Scope, name: str) -> int:
    """The count that a field before this one said. Raises LayoutError."""
    value = scope.get(name)
    if isinstance(value, str) and _INTEGER.fullmatch(value) and len(value) <= MAX_DIGITS:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise LayoutError(f"the field {name} says no length: {value!r}")
    return value


# --- constants and what is computed -------------------------------------------------------------------


class Const(Struct, frozen=True):
    """A value that never changes."""

    value: Doc
    data: bytes

    def decode(self, data: bytes, at: int, end: int, scope: Scope) -> tuple[Doc, int]:  # noqa: ARG002
        stop = _room(at, len(self.data), end)
        if data[at:stop] != self.data:
            raise LayoutError(f"expected {self.data.hex(' ')} at {at}, got {data[at:stop].hex(' ')}")
        return self.value, stop

    def encode(self, value: Doc, path: Path) -> bytes:
        if value != self.value:
            raise Invalid(path, f"is always {self.value!r}")
        return self.data


class LengthOf(Struct, frozen=True):
    """The bytes of `what`: `rest` of the record, all of the `frame`, or a field; plus `adjust`."""

    what: str
    number: Node
    adjust: int = 0

    def decode(self, data: bytes, at: int, end: int, scope: Scope) -> tuple[Doc, int]:
        return self.number.decode(data, at, end, scope)

    def encode(self, value: Doc, path: Path) -> bytes:
        return self.number.encode(value, path)


class Checksum(Struct, frozen=True):
    """A checksum over the fields from `first` to `last`; over all before it where they are not given."""

    algorithm: str
    number: Node
    first: str = ""
    last: str = ""

    def decode(self, data: bytes, at: int, end: int, scope: Scope) -> tuple[Doc, int]:
        return self.number.decode(data, at, end, scope)

    def encode(self, value: Doc, path: Path) -> bytes:
        return self.number.encode(value, path)

    def over(self, data: bytes) -> int:
        """The checksum of these bytes."""
        return CHECKSUMS[self.algorithm](data)


def fixed_size(node: object) -> int | None:
    """The bytes that a field always takes; None where they depend on something."""
    match node:
        case Const(data=data):
            return len(data)
        case LengthOf(number=number) | Checksum(number=number):
            return size_of(number)
        case Bounded(extent=Size(size=size)):
            return size
        case Integer() | Float() | Digits():
            return size_of(node)
    return None
