"""Types that a database made itself: enums, domains, composites, ranges, and the arrays of all of them.

Their oids differ from database to database, so what they are must be told: by the recorder, which learns it
from the server, or by the user. An enum is its label in both formats and a domain is what it is made of; a
composite is a record whose text can be read, since the types of its fields are known.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from svcmock_protocols.postgres.types import arrays, catalog, ranges, records, strings
from svcmock_protocols.postgres.types.codec import Codec

FIRST_OWN: Final = 16384
"""The first oid that a database gives to what it makes itself (FirstNormalObjectId)."""
MAX_DECLARED: Final = 10_000
"""Types of a service."""
MAX_NESTED: Final = 32
"""Types made of types."""

Oid: TypeAlias = Annotated[int, Meta(ge=0, lt=1 << 32)]


class Declared(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of them. `of`: what a domain, array or range is made of; `fields`: names and types in a composite.

    Types that it is made of are named, if every server has them (`int4`), or given by their oid. An `extension`
    has a form of its own, which is known to nobody here.
    """

    oid: Oid
    name: str
    kind: Literal["enum", "domain", "composite", "array", "range", "extension"]
    schema: str = "public"
    of: Oid | str = 0
    fields: tuple[tuple[str, Oid | str], ...] = ()

    def made_of(self) -> tuple[int, ...]:
        """The oids of the types that it is made of; 0 for a name that nothing has."""
        parts = [of for _, of in self.fields] if self.kind == "composite" else [self.of] if self.of else []
        return tuple([catalog.oid(one) or 0 if isinstance(one, str) else one for one in parts])


def codecs(declared: Mapping[int, Declared], built_in: Mapping[int, Codec]) -> dict[int, Codec]:
    """Those of these types that can be converted, as what they are made of can be."""
    made: dict[int, Codec] = {}

    def find(oid: int) -> Codec | None:
        return made.get(oid) or built_in.get(oid)

    def build(oid: int, depth: int) -> Codec | None:
        found, one = find(oid), declared.get(oid)
        if found is not None or one is None or depth > MAX_NESTED:
            return found
        codec = _codec(one, [build(part, depth + 1) for part in one.made_of()], find, declared)
        if codec is not None:
            made[oid] = codec
        return codec

    for oid in declared:
        build(oid, 0)
    return made


def _base(oid: int, declared: Mapping[int, Declared]) -> int:
    """What a domain is a domain over, in the end; any other type itself. asyncpg names elements so."""
    for _ in range(MAX_NESTED):
        one = declared.get(oid)
        if one is None or one.kind != "domain":
            return oid
        (oid,) = one.made_of() or (0,)
    return 0


def _codec(
    one: Declared,
    parts: list[Codec | None],
    find: Callable[[int], Codec | None],
    declared: Mapping[int, Declared],
) -> Codec | None:
    """Of a type that is made of types with these codecs."""
    known = [part for part in parts if part is not None]
    if one.kind == "enum":
        return strings.TEXT
    if len(known) != len(parts) or not (parts or one.kind == "composite"):
        return None
    match one.kind:
        case "domain":
            return known[0]
        case "array":
            (of,) = one.made_of()
            return arrays.array(known[0], of, base=_base(of, declared))
        case "range":
            return ranges.ranged(known[0])[0]
        case "composite":
            return records.composite(tuple(zip(one.made_of(), known, strict=True)), find)
    return None
