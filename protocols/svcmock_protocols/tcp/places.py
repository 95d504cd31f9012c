"""Fields that stand at the same place in every frame and on which nothing in it depends. For speed alone.

Such a number can be read, and another one put in its place, without decoding the frame: what a transaction id
is for. Nothing may depend on it: no length, no choice of what follows, no checksum.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from svcmock_protocols.tcp.fieldtypes import (
    Bounded,
    Checksum,
    Integer,
    Node,
    SizeField,
    fixed_size,
)
from svcmock_protocols.tcp.messages import Setting
from svcmock_protocols.tcp.records import Record, Repeat, Switch


class Place(Struct, frozen=True):
    """A number of `size` bytes at `at`."""

    at: int
    number: Integer

    @property
    def end(self) -> int:
        return self.at + self.number.size


class Copy(Struct, frozen=True):
    """The bytes of a request from `source` on become those of a reply from `at` on."""

    at: int
    source: int
    size: int


def places(node: Node) -> Mapping[str, Place]:
    """The numbers at fixed places of a record, by their names."""
    if not isinstance(node, Record):
        return {}
    parts = list(_all(node))
    if any(isinstance(part, Checksum) for part in parts):
        return {}
    found: dict[str, Place] = {}
    at = 0
    for name, item in node.items:
        size = fixed_size(item) if name else None
        if size is None:
            break
        if isinstance(item, Integer):
            found[name] = Place(at, item)
        at += size
    needed = {needed for part in parts for needed in _needs(part)}
    return {name: place for name, place in found.items() if name not in needed}


def _all(record: Record) -> Iterator[object]:
    """Every item of a record, and of the cases of its switches."""
    for _, item in record.items:
        yield item
        if isinstance(item, Switch):
            others = (item.otherwise,) if item.otherwise is not None else ()
            for inner in (*(case.record for case in item.cases), *others):
                yield from _all(inner)


def _needs(node: object) -> Iterator[str]:
    """The fields on whose values it depends how this is read."""
    match node:
        case Switch(on=on):
            yield on
        case Repeat(count_field=name):
            yield name
        case Bounded(extent=SizeField(name=name)):
            yield name


def copies(
    told: Mapping[str, Place], asked: Mapping[str, Place], made: tuple[tuple[str, Setting], ...]
) -> tuple[Copy, ...] | None:
    """What a reply's settings come to, if all of them only move numbers; None if they do more."""
    found = []
    for name, setting in made:
        to, source = told.get(name), asked.get(setting.field)
        if to is None or source is None or setting.add or to.number != source.number:
            return None
        found.append(Copy(to.at, source.at, to.number.size))
    return tuple(found)


def copied(payload: bytes, asked: bytes, all_: tuple[Copy, ...]) -> bytes:
    """A reply's payload with the numbers of a request."""
    made = bytearray(payload)
    for one in all_:
        made[one.at : one.at + one.size] = asked[one.source : one.source + one.size]
    return bytes(made)


def blanked(payload: bytes, which: tuple[Place, ...]) -> bytes:
    """A payload with zeros for these numbers; as it is, where it is too short to have them."""
    made = bytearray(payload)
    for place in which:
        if place.end > len(payload):
            return payload
        made[place.at : place.end] = bytes(place.number.size)
    return bytes(made)
