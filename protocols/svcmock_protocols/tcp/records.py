"""Fields one after another, and what makes a frame's fields depend on one another.

A record is a list of named nodes. Some of its items stand for several: a switch for the fields of one of its
cases, a bitmap for those that it says are there. `flat` gives the fields that a document's values call for.

    encoding: what has a value ──▶ counts of later fields ──▶ lengths ──▶ checksums

What is counted or computed need not be in a document; where it is, it is taken as it stands.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol, TypeAlias

from msgspec import Struct

from svcmock.protocol import Doc, Invalid
from svcmock_protocols.tcp.fieldtypes import (
    Bounded,
    Checksum,
    Const,
    LayoutError,
    LengthOf,
    Node,
    Path,
    Scope,
    SizeField,
    counted,
    size_of,
)
from svcmock_protocols.tcp.groups import too_many

Flat: TypeAlias = list[tuple[str, Node | bytes]]
"""Fields in their order; bytes, without a name, of what has no value of its own."""
NO_SCOPE: Final[Scope] = {}
_MADE: Final = (LengthOf, Checksum, Const)
"""What encoding makes by itself."""


class Inline(Protocol):
    """An item of a record that stands for several fields."""

    def decode_into(self, data: bytes, at: int, end: int, values: dict[str, Doc]) -> int:
        """Adds its fields to the values so far; gives where they end. Raises LayoutError."""

    def flat(self, values: Mapping[str, Doc], path: Path) -> Flat:
        """The fields that these values call for. Raises Invalid."""


class Record(Struct, frozen=True):
    """Fields one after another: a node under its name, or what stands for several, without one.

    `tails`: for each, the bytes that those after it always take; 0 where that is not certain.
    """

    items: tuple[tuple[str, Any], ...]
    tails: tuple[int, ...] = ()

    def decode(self, data: bytes, at: int, end: int, scope: Scope) -> tuple[Doc, int]:  # noqa: ARG002
        values: dict[str, Doc] = {}
        return values, self.decode_into(data, at, end, values)

    def decode_into(self, data: bytes, at: int, end: int, values: dict[str, Doc]) -> int:
        begin = at
        places: dict[str, tuple[int, int]] = {}
        for place, (name, node) in enumerate(self.items):
            stop = max(at, end - self.tails[place]) if self.tails else end
            if not name:
                at = node.decode_into(data, at, stop, values)
                continue
            start = at
            values[name], at = node.decode(data, at, stop, values)
            places[name] = start, at
            if isinstance(node, Checksum):
                first, last = places.get(node.first), places.get(node.last)
                over = data[first[0] if first else begin : last[1] if last else start]
                if node.over(over) != values[name]:
                    raise LayoutError(
                        f"the {node.algorithm} in {name} is {values[name]}, not {node.over(over)}"
                    )
        return at

    def flat(self, values: Mapping[str, Doc], path: Path) -> Flat:
        flat: Flat = []
        for name, node in self.items:
            if name:
                flat.append((name, node))
            else:
                flat += node.flat(values, path)
        return flat

    def encode(self, value: Doc, path: Path) -> bytes:
        if not isinstance(value, dict):
            raise Invalid(path, f"expected a mapping of fields, got {value!r}")
        flat = self.flat(value, path)
        names = {name for name, _ in flat}
        for name in value:
            if name not in names:
                raise Invalid((*path, name), f"no such field; there are {', '.join(sorted(names - {''}))}")
        return b"".join(_parts(flat, value, path))

    def plain(self, value: Doc) -> Doc:
        """Without what encoding makes by itself."""
        if not isinstance(value, dict):
            return value
        try:
            flat = self.flat(value, ())
        except Invalid:
            return value
        nodes = dict(flat)
        made = {name for name, node in flat if isinstance(node, _MADE)}
        made = (made | counts_of(flat).keys()) - self._chosen_by()
        return {name: _plain_below(nodes[name], item) for name, item in value.items() if name not in made}

    def _chosen_by(self) -> set[str]:
        """Fields that a switch looks at: they say what the rest is."""
        return {node.on for name, node in self.items if not name and isinstance(node, Switch)}


def _plain_below(node: Node | bytes, value: Doc) -> Doc:
    inner = node.content if isinstance(node, Bounded) else node
    plain = getattr(inner, "plain", None)
    return value if plain is None else plain(value)


def counts_of(flat: Flat) -> dict[str, int]:
    """The fields that say the length or count of a later one, and the place of that."""
    found = {}
    for place, (_, node) in enumerate(flat):
        if isinstance(node, Bounded) and isinstance(node.extent, SizeField):
            found[node.extent.name] = place
        elif isinstance(node, Repeat) and node.count_field:
            found[node.count_field] = place
    return found


def _parts(flat: Flat, values: Mapping[str, Doc], path: Path) -> list[bytes]:
    """The bytes of each field. Raises Invalid."""
    counts = counts_of(flat)
    parts: list[bytes | None] = []
    for name, node in flat:
        if isinstance(node, bytes):
            parts.append(node)
        elif name in values:
            parts.append(node.encode(values[name], (*path, name)))
        elif isinstance(node, Const):
            parts.append(node.data)
        elif name in counts or isinstance(node, LengthOf | Checksum):
            parts.append(None)
        else:
            raise Invalid((*path, name), f"the field {name} is missing")
    for place, (name, node) in enumerate(flat):
        if parts[place] is None and name in counts and not isinstance(node, bytes | LengthOf | Checksum):
            parts[place] = node.encode(_count(flat, counts[name], parts, values), (*path, name))
    return _computed(flat, parts, path) if None in parts else [part for part in parts if part is not None]


def _count(flat: Flat, at: int, parts: list[bytes | None], values: Mapping[str, Doc]) -> int:
    name, node = flat[at]
    value = values.get(name)
    if isinstance(node, Repeat) and isinstance(value, list):
        return len(value)
    return len(parts[at] or b"")


def _computed(flat: Flat, parts: list[bytes | None], path: Path) -> list[bytes]:
    sizes = []
    for (_, node), part in zip(flat, parts, strict=True):
        number = node.number if isinstance(node, LengthOf | Checksum) else None
        sizes.append(len(part) if part is not None else (size_of(number) or 0) if number is not None else 0)
    for place, (name, node) in enumerate(flat):
        if parts[place] is None and isinstance(node, LengthOf):
            parts[place] = node.encode(_length(flat, node, sizes, place) + node.adjust, (*path, name))
    for place, (name, node) in enumerate(flat):
        if parts[place] is None and isinstance(node, Checksum):
            first = _place(flat, node.first, 0)
            last = _place(flat, node.last, place - 1)
            data = b"".join(part or b"" for part in parts[first : last + 1])
            parts[place] = node.encode(node.over(data), (*path, name))
    return [part or b"" for part in parts]


def _place(flat: Flat, name: str, otherwise: int) -> int:
    return next((place for place, (known, _) in enumerate(flat) if name and known == name), otherwise)


def _length(flat: Flat, node: LengthOf, sizes: list[int], place: int) -> int:
    if node.what == "rest":
        return sum(sizes[place + 1 :])
    if node.what == "frame":
        return sum(sizes)
    return sum(size for (name, _), size in zip(flat, sizes, strict=True) if name == node.what)


class Nested(Struct, frozen=True):
    """A record that stands in a known number of bytes, and fills them."""

    record: Record

    def decode(self, data: bytes) -> Doc:
        value, at = self.record.decode(data, 0, len(data), NO_SCOPE)
        if at != len(data):
            raise LayoutError(f"{len(data) - at} bytes more than the fields take")
        return value

    def encode(self, value: Doc, path: Path) -> bytes:
        return self.record.encode(value, path)

    def plain(self, value: Doc) -> Doc:
        """Without what encoding makes by itself."""
        return self.record.plain(value)


class Repeat(Struct, frozen=True):
    """A field several times: `count` times, as often as another field says, or to the end."""

    node: Node
    count: int | None = None
    count_field: str = ""

    def decode(self, data: bytes, at: int, end: int, scope: Scope) -> tuple[Doc, int]:
        count = counted(scope, self.count_field) if self.count_field else self.count
        values: list[Doc] = []
        while len(values) != count if count is not None else at < end:
            too_many(len(values) + 1)
            before = at
            value, at = self.node.decode(data, at, end, scope)
            values.append(value)
            if at == before:  # a count that lies would cost nothing
                raise LayoutError("what is repeated takes no bytes")
        return values, at

    def encode(self, value: Doc, path: Path) -> bytes:
        if not isinstance(value, list):
            raise Invalid(path, f"expected a list, got {value!r}")
        if self.count is not None and len(value) != self.count:
            raise Invalid(path, f"expected {self.count} of them, got {len(value)}")
        return b"".join(self.node.encode(item, (*path, index)) for index, item in enumerate(value))


class Case(Struct, frozen=True):
    """The fields for some values: whole numbers from `low` to `high`, or one `text`."""

    record: Record
    low: int = 0
    high: int = -1
    text: str | None = None

    def holds(self, value: Doc) -> bool:
        if isinstance(value, int) and not isinstance(value, bool):
            return self.low <= value <= self.high
        return isinstance(value, str) and value == self.text


class Switch(Struct, frozen=True):
    """The fields that follow depend on the value of the field `on`. Inline."""

    on: str
    cases: tuple[Case, ...]
    otherwise: Record | None = None

    def _pick(self, value: Doc) -> Record | None:
        return next((case.record for case in self.cases if case.holds(value)), self.otherwise)

    def decode_into(self, data: bytes, at: int, end: int, values: dict[str, Doc]) -> int:
        value = values.get(self.on)
        record = self._pick(value)
        if record is None:
            raise LayoutError(f"no case for {self.on} {value!r}")
        return record.decode_into(data, at, end, values)

    def flat(self, values: Mapping[str, Doc], path: Path) -> Flat:
        if self.on not in values:
            raise Invalid(path, f"the field {self.on} is missing, which says what follows")
        record = self._pick(values[self.on])
        if record is None:
            raise Invalid((*path, self.on), f"no case for {values[self.on]!r}")
        return record.flat(values, path)


class Bitmap(Struct, frozen=True):
    """A bit for each field that is there. Inline. `more`: the bit that says that as many follow; 0: none."""

    bits: int
    in_hex: bool
    fields: Mapping[int, Node]
    more: int = 0

    @property
    def _size(self) -> int:
        return self.bits // (4 if self.in_hex else 8)

    def decode_into(self, data: bytes, at: int, end: int, values: dict[str, Doc]) -> int:
        bits, at = self._read(data, at, end)
        present = [place + 1 for place, bit in enumerate(bits) if bit == "1"]
        if self.more in present:
            second, at = self._read(data, at, end)
            present += [self.bits + place + 1 for place, bit in enumerate(second) if bit == "1"]
        for number in present:
            if number == self.more:
                continue
            node = self.fields.get(number)
            if node is None:
                raise LayoutError(f"bit {number} is set, and no field {number} is declared")
            values[str(number)], at = node.decode(data, at, end, values)
        return at

    def _read(self, data: bytes, at: int, end: int) -> tuple[str, int]:
        stop = at + self._size
        if stop > end:
            raise LayoutError("a bitmap is cut off")
        piece = data[at:stop]
        if self.in_hex:
            if re.fullmatch(rb"[0-9A-Fa-f]+", piece) is None:
                raise LayoutError(f"{piece!r} is no bitmap in hex digits")
            piece = bytes.fromhex(piece.decode())
        return f"{int.from_bytes(piece):0{self.bits}b}", stop

    def flat(self, values: Mapping[str, Doc], path: Path) -> Flat:  # noqa: ARG002
        present = [number for number in sorted(self.fields) if str(number) in values]
        wide = self.more > 0 and any(number > self.bits for number in present)
        size = self.bits * (2 if wide else 1)
        mask = sum(1 << size - number for number in present)
        if wide:
            mask |= 1 << size - self.more
        piece = mask.to_bytes(size // 8)
        head: Flat = [("", piece.hex().upper().encode() if self.in_hex else piece)]
        return head + [(str(number), self.fields[number]) for number in present]


def names_of(record: Record) -> Iterator[str]:
    """Every name that a record's fields may have."""
    for name, node in record.items:
        if name:
            yield name
        elif isinstance(node, Switch):
            others = (node.otherwise,) if node.otherwise is not None else ()
            for inner in (*(case.record for case in node.cases), *others):
                yield from names_of(inner)
        else:
            yield from map(str, node.fields)
