"""Fields that are many: pairs of name and value, parts between separators, tag-length-value.

Each stands in a known number of bytes. A name that occurs several times has a list of values; where that would
lose their order among others, encoding gives other bytes, which whoever writes documents notices.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from svcmock.protocol import Doc, Invalid
from svcmock_protocols.tcp.checksums import CHECKSUMS
from svcmock_protocols.tcp.fieldtypes import Content, Digits, Integer, LayoutError, Path, text_of

MAX_PARTS = 10_000
"""Pairs, parts or elements of one frame."""


class Free(Struct, frozen=True):
    """Text of any encoding."""

    def decode(self, data: bytes) -> Doc:
        return text_of(data)

    def encode(self, value: Doc, path: Path) -> bytes:
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise Invalid(path, f"expected text, got {value!r}")
        return value.encode("utf-8", "surrogatepass")


FREE: Final = Free()


def too_many(count: int) -> None:
    """Raises LayoutError for more parts than a frame may have."""
    if count > MAX_PARTS:
        raise LayoutError(f"more than {MAX_PARTS} parts")


# --- pairs --------------------------------------------------------------------------------------------


class Total(Struct, frozen=True):
    """A pair whose value is made: the bytes between it and the pair `until`, or a checksum of all before it."""

    number: Digits | None = None
    until: str = ""
    algorithm: str = ""


class Pairs(Struct, frozen=True):
    """`name=value` pairs. `trailing`: a separator follows the last one, too.

    `first` and `last`: names that come first and last, whatever the order of a document. `totals`: see Total.
    """

    pair: bytes
    sign: bytes
    value: Content = FREE
    trailing: bool = False
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    totals: Mapping[str, Total] = {}

    def decode(self, data: bytes) -> Doc:
        too_many(data.count(self.pair))
        parts = data.split(self.pair) if data else []
        if self.trailing and parts and parts.pop():
            raise LayoutError(f"the last pair does not end with {self.pair!r}")
        found: dict[str, list[Doc]] = {}
        for part in parts:
            name, sign, value = part.partition(self.sign)
            if not sign:
                raise LayoutError(f"{part[:40]!r} is no pair: it has no {self.sign!r}")
            found.setdefault(text_of(name), []).append(self.value.decode(value))
        self._verify(data, found)
        return {name: values[0] if len(values) == 1 else values for name, values in found.items()}

    def encode(self, value: Doc, path: Path) -> bytes:
        if not isinstance(value, dict):
            raise Invalid(path, f"expected a mapping of names and values, got {value!r}")
        made = [(name, self._pairs(name, value, path)) for name in self._order(value)]
        for place, (name, data) in enumerate(made):
            total = self.totals.get(name)
            if total is not None and total.until and not data:
                size = self._size_until(made[place + 1 :], total.until)
                made[place] = name, self._pair(name, _shown(total, size))
        for place, (name, data) in enumerate(made):
            total = self.totals.get(name)
            if total is not None and total.algorithm and not data:
                before = b"".join(piece for _, piece in made[:place])
                made[place] = name, self._pair(name, _shown(total, CHECKSUMS[total.algorithm](before)))
        joined = b"".join(data for _, data in made)
        return joined if self.trailing else joined.removesuffix(self.pair)

    def plain(self, value: Doc) -> Doc:
        """Without what is computed."""
        if not isinstance(value, dict) or not self.totals:
            return value
        return {name: item for name, item in value.items() if name not in self.totals}

    def _order(self, value: Mapping[str, Doc]) -> list[str]:
        lacking = [name for name in self.totals if name not in value]
        first = [name for name in self.first if name in value or name in lacking]
        last = [name for name in self.last if name in value or name in lacking]
        middle = [name for name in (*value, *lacking) if name not in first and name not in last]
        return list(dict.fromkeys([*first, *middle, *last]))

    def _pairs(self, name: str, value: Mapping[str, Doc], path: Path) -> bytes:
        if name not in value:
            return b""  # it is computed
        item = value[name]
        several = isinstance(item, list) and (self.value is FREE or all(isinstance(one, list) for one in item))
        values = [self.value.encode(one, (*path, name)) for one in (item if several and item else [item])]
        if self.sign in name.encode("utf-8", "surrogatepass") or any(self.pair in value for value in values):
            raise Invalid((*path, name), f"a name holds no {self.sign!r}, a value no {self.pair!r}")
        return b"".join(self._pair(name, value) for value in values)

    def _pair(self, name: str, data: bytes) -> bytes:
        return name.encode("utf-8", "surrogatepass") + self.sign + data + self.pair

    def _size_until(self, made: list[tuple[str, bytes]], until: str) -> int:
        size = 0
        for name, data in made:
            if name == until:
                break
            size += len(data)
        return size

    def _verify(self, data: bytes, found: Mapping[str, list[Doc]]) -> None:
        """Raises LayoutError for a checksum that is wrong."""
        for name, total in self.totals.items():
            if total.algorithm and name in found:
                mark = (self.pair + name.encode() + self.sign) if data else b""
                at = data.rfind(mark)
                want = _shown(total, CHECKSUMS[total.algorithm](data[: at + len(self.pair)]))
                if at >= 0 and found[name] != [want.decode()]:
                    raise LayoutError(f"the checksum {name} is {want.decode()}, not {found[name]}")


def _shown(total: Total, value: int) -> bytes:
    return str(value).encode() if total.number is None else total.number.encode(value, ())


# --- parts between separators -------------------------------------------------------------------------


class Parts(Struct, frozen=True):
    """What stands between separators: a list, or a mapping where the parts have names."""

    by: bytes
    names: tuple[str, ...] = ()
    each: Content = FREE

    def decode(self, data: bytes) -> Doc:
        too_many(data.count(self.by))
        parts = [self.each.decode(part) for part in data.split(self.by)]
        if not self.names:
            return parts
        if len(parts) > len(self.names):
            raise LayoutError(f"{len(parts)} parts, and only {len(self.names)} have names")
        return dict(zip(self.names, parts, strict=False))

    def encode(self, value: Doc, path: Path) -> bytes:
        items: list[tuple[str | int, Any]]
        if self.names:
            if not isinstance(value, dict):
                raise Invalid(path, f"expected a mapping of {', '.join(self.names)}, got {value!r}")
            unknown = [name for name in value if name not in self.names]
            if unknown:
                raise Invalid((*path, unknown[0]), f"no such part; there are {', '.join(self.names)}")
            count = max((self.names.index(name) + 1 for name in value), default=0)
            items = [(name, value.get(name, "")) for name in self.names[:count]]
        else:
            if not isinstance(value, list):
                raise Invalid(path, f"expected a list, got {value!r}")
            items = list(enumerate(value))
        parts = [self.each.encode(item, (*path, step)) for step, item in items]
        for (step, _), part in zip(items, parts, strict=True):
            if self.by in part:
                raise Invalid((*path, step), f"holds the separator {self.by!r}")
        return self.by.join(parts)


# --- tag, length, value -------------------------------------------------------------------------------


class Tagged(Struct, frozen=True):
    """Tag-length-value: a mapping from tags to values, both in hex digits."""

    tag: int
    length: Integer

    def decode(self, data: bytes) -> Doc:
        found: dict[str, list[Doc]] = {}
        at = count = 0
        while at < len(data):
            count += 1
            too_many(count)
            start = at + self.tag
            if start > len(data):
                raise LayoutError("a tag is cut off")
            size, begin = self.length.decode(data, start, len(data), {})
            stop = begin + int(size)
            if stop > len(data):
                raise LayoutError(f"the value of tag {data[at:start].hex()} is cut off")
            name, value = data[at:start].hex(), data[begin:stop].hex()
            found.setdefault(name, []).append(value)
            at = stop
        return {name: values[0] if len(values) == 1 else values for name, values in found.items()}

    def encode(self, value: Doc, path: Path) -> bytes:
        if not isinstance(value, dict):
            raise Invalid(path, f"expected a mapping of tags, got {value!r}")
        out = []
        for name, item in value.items():
            for one in item if isinstance(item, list) else [item]:
                at = (*path, name)
                try:
                    tag, data = bytes.fromhex(name), bytes.fromhex(one)
                except (ValueError, TypeError):
                    raise Invalid(at, "tags and values are hex digits in a text") from None
                if len(tag) != self.tag:
                    raise Invalid(at, f"a tag has {self.tag} byte{'s' * (self.tag > 1)}")
                out.append(tag + self.length.encode(len(data), at) + data)
        return b"".join(out)
