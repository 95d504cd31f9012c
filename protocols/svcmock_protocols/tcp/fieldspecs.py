"""`fields:` as a person writes it, made into nodes. What is wrong with a declaration is told with its path.

A declaration is a list of {name: type}, where two items, `switch` and `bitmap`, stand for several fields; or it
is one type: a name, a mapping with one, a list of fields. The README has every type.
"""

import re
from collections.abc import Collection
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from svcmock.protocol import Doc, Invalid
from svcmock_protocols.tcp.checksums import CHECKSUMS
from svcmock_protocols.tcp.fieldtypes import (
    TEXTS,
    Bcd,
    Bounded,
    Checksum,
    Const,
    Content,
    Digits,
    Extent,
    Hex,
    Integer,
    LengthOf,
    Node,
    Path,
    Prefixed,
    Rest,
    Size,
    SizeField,
    Text,
    Until,
    fixed_size,
    number,
    size_of,
)
from svcmock_protocols.tcp.framing import literal
from svcmock_protocols.tcp.groups import Pairs, Parts, Tagged, Total
from svcmock_protocols.tcp.records import Bitmap, Case, Nested, Record, Repeat, Switch, names_of

MAX_SPEC_DEPTH = 16
"""Types inside each other."""
MAX_FIELDS = 1000
"""Fields of one record."""

Side: TypeAlias = Literal["client", "server"]


class Spot(Struct, frozen=True):
    """Where in the declaration something stands, and for which side it is compiled."""

    at: Path
    side: Side
    depth: int = 0

    def under(self, *steps: str | int) -> "Spot":
        if self.depth >= MAX_SPEC_DEPTH:
            raise Invalid(self.at, f"more than {MAX_SPEC_DEPTH} types inside each other")
        return Spot((*self.at, *steps), self.side, self.depth + 1)

    def wrong(self, why: str) -> Invalid:
        return Invalid(self.at, why)


def record_of(spec: list[Doc], place: Spot, around: Collection[str] = frozenset()) -> Record:
    """Fields. `around`: those before the switch of which this is a case; they stand in one record with its."""
    if not 0 < len(spec) <= MAX_FIELDS:
        raise place.wrong(f"expected 1 to {MAX_FIELDS} fields")
    items: list[tuple[str, Any]] = []
    seen = set(around)
    for index, item in enumerate(spec):
        here = place.under(index)
        if not isinstance(item, dict) or len(item) != 1:
            raise here.wrong("expected {name: type}")
        ((name, inner),) = item.items()
        if name == "switch":
            made: tuple[str, Any] = "", _switch(inner, here.under(name), seen)
        elif name == "bitmap":
            made = "", _bitmap(inner, here.under(name))
        else:
            if not name or name in seen or "." in name:
                raise here.wrong(f"`{name}` is no name: each field has its own, without a dot")
            made = name, node_of(inner, here.under(name))
        _check_reference(*made, seen, here)
        items.append(made)
        seen |= {name} if made[0] else set(names_of(Record((made,))))
    return Record(tuple(items), _tails(items, place))


def _tails(items: list[tuple[str, Any]], place: Spot) -> tuple[int, ...]:
    """See Record. What takes all that is left can only stand before what has a certain size."""
    tails: list[int] = []
    after: int | None = 0
    for index, (name, node) in reversed(list(enumerate(items))):
        endless = isinstance(node.extent, Rest) if isinstance(node, Bounded) else _to_the_end(node)
        if after is None and endless:
            why = f"{name} takes all that is left, so what follows must have a certain size"
            raise place.under(index).wrong(why)
        tails.append(after or 0)
        size = fixed_size(node)
        after = None if after is None or size is None else after + size
    return tuple(reversed(tails))


def _to_the_end(node: Any) -> bool:
    return isinstance(node, Repeat) and node.count is None and not node.count_field


def _check_reference(name: str, node: Any, before: Collection[str], place: Spot) -> None:
    """What a field depends on must stand before it."""
    wanted = ""
    if isinstance(node, Bounded) and isinstance(node.extent, SizeField):
        wanted = node.extent.name
    elif isinstance(node, Repeat):
        wanted = node.count_field
    elif isinstance(node, Switch):
        wanted = node.on
    if wanted and wanted not in before:
        raise place.wrong(f"`{wanted}` is no field before {name or 'the switch'}")


def node_of(spec: Doc, place: Spot) -> Node:
    """A type: a name, a mapping with one, or a list of fields."""
    if isinstance(spec, list):
        return Bounded(Nested(record_of(spec, place.under())))
    if isinstance(spec, str):
        found = number(spec)
        return found if found is not None else Bounded(_content(spec, {}, place))
    if not isinstance(spec, dict) or not spec:
        raise place.wrong("expected a type, such as u16 or {ascii: 4}")
    for name, compiled in _SPECIAL.items():
        if name in spec:
            made: Node = compiled(spec, place)
            return made
    kind = next((name for name in spec if name in _CONTENTS), None)
    if kind is None:
        raise place.wrong(f"no such type: {', '.join(map(str, spec))}; types are {', '.join(sorted(KNOWN))}")
    return _bounded(kind, spec, place)


def _bounded(kind: str, spec: dict[str, Doc], place: Spot) -> Node:
    """`{ascii: 4}`, `{ascii: {len_field: n}}`, `{ascii: rest}`, `{split: ","}`."""
    if len(spec) != 1:
        raise place.wrong(f"expected only `{kind}` here; its options go inside it")
    inner = spec[kind]
    here = place.under(kind)
    if isinstance(inner, int) and not isinstance(inner, bool):
        options: dict[str, Doc] = {"len": inner}
    elif isinstance(inner, dict):
        options = dict(inner)
    elif inner in {"llvar", "lllvar"}:
        options = {"var": len(str(inner)) - 3}
    elif kind == "split" and isinstance(inner, str) and inner:
        options = {"by": inner}
    elif kind == "fields" and isinstance(inner, list):
        options = {"of": inner}
    elif inner in {"rest", None}:
        options = {}
    else:
        raise here.wrong(f"expected a length, rest, llvar, lllvar, or a mapping; got {inner!r}")
    extent = _extent(options, here)
    return Bounded(_content(kind, options, here), extent)


def _extent(options: dict[str, Doc], place: Spot) -> Extent:
    """Takes what says where a field ends out of its options."""
    given = [name for name in ("len", "len_field", "until", "var", "prefix") if name in options]
    if len(given) > 1:
        raise place.wrong(f"either {' or '.join(given)}")
    if not given:
        return Rest()
    value = options.pop(given[0])
    match given[0]:
        case "len" if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1 << 26:
            return Size(value)
        case "len_field" if isinstance(value, str) and value:
            return SizeField(value)
        case "until" if isinstance(value, str | dict) and value:
            return Until(literal(value, *place.at, "until"))
        case "var" if isinstance(value, int) and 1 <= value <= 9:
            return Prefixed(Digits(value))
        case "prefix" if isinstance(value, str) and (prefix := number(value)) is not None:
            return Prefixed(prefix)
    raise place.under(given[0]).wrong(f"not understood: {value!r}")


def _take(options: dict[str, Doc], place: Spot, known: dict[str, Any]) -> list[Any]:
    """The options by their names, with defaults. Raises Invalid for others, and for other kinds of values."""
    unknown = [name for name in options if name not in known]
    if unknown:
        raise place.wrong(f"unknown key `{unknown[0]}`; known here: {', '.join(known) or 'none'}")
    found = []
    for name, default in known.items():
        value = options.get(name, default)
        if default is not None and not isinstance(value, type(default)):
            raise place.under(name).wrong(f"expected {type(default).__name__}, got {value!r}")
        found.append(value)
    return found


def _text(kind: str, options: dict[str, Doc], place: Spot) -> Content:
    pad, align = _take(options, place, {"pad": "", "align": "left"})
    if len(pad) > 1 or align not in {"left", "right"}:
        raise place.wrong("`pad` is one character, `align` left or right")
    return Text(TEXTS[kind], pad, align == "right")


def _hex(_kind: str, options: dict[str, Doc], place: Spot) -> Content:
    _take(options, place, {})
    return Hex()


def _bcd(_kind: str, options: dict[str, Doc], place: Spot) -> Content:
    _take(options, place, {})
    return Bcd()


def _separator(value: Doc, place: Spot) -> bytes:
    data = literal(value, *place.at) if isinstance(value, str | dict) else b""
    if not data:
        raise place.wrong("expected a separator")
    return data


def _inner(spec: Doc, place: Spot) -> Content:
    """A type that fills what it stands in."""
    node = node_of(spec, place)
    if not isinstance(node, Bounded) or not isinstance(node.extent, Rest):
        raise place.wrong("expected a type without a length of its own, such as ascii or {split: }")
    return node.content


def _kv(_kind: str, options: dict[str, Doc], place: Spot) -> Content:
    known: dict[str, Any] = {"pair_sep": None, "kv_sep": "=", "value": None, "trailing": False}
    known |= {"first": [], "last": [], "computed": {}}
    pair, sign, value, trailing, first, last, computed = _take(options, place, known)
    totals = {}
    for name, spec in computed.items():
        totals[str(name)] = _total(spec, place.under("computed", name))
    return Pairs(
        _separator(pair, place.under("pair_sep")),
        _separator(sign, place.under("kv_sep")),
        **({} if value is None else {"value": _inner(value, place.under("value"))}),
        trailing=trailing,
        first=tuple(map(str, first)),
        last=tuple(map(str, last)),
        totals=totals,
    )


def _total(spec: Doc, place: Spot) -> Total:
    options = dict(spec) if isinstance(spec, dict) else {}
    until, algorithm, form = _take(options, place, {"length_until": "", "checksum": "", "format": ""})
    if bool(until) == bool(algorithm) or (algorithm and algorithm not in CHECKSUMS):
        raise place.wrong(f"expected {{length_until: NAME}} or {{checksum: }} of {', '.join(CHECKSUMS)}")
    return Total(_format(form, place) if form else None, until, algorithm)


def _format(form: str, place: Spot) -> Digits:
    match = re.fullmatch(r"%?0?([1-9]|1[0-9])([dxX])", form)
    if match is None:
        raise place.wrong(f"expected a format such as %03d or %04X, got {form!r}")
    letter: Any = match[2]
    return Digits(int(match[1]), letter)


def _split(_kind: str, options: dict[str, Doc], place: Spot) -> Content:
    by, names, each = _take(options, place, {"by": None, "names": [], "each": None})
    separator = _separator(by, place.under("by"))
    if len(set(names)) != len(names) or not all(isinstance(name, str) for name in names):
        raise place.under("names").wrong("expected a list of names, each of its own")
    if each is None:
        return Parts(separator, tuple(names))
    return Parts(separator, tuple(names), _inner(each, place.under("each")))


def _tlv(_kind: str, options: dict[str, Doc], place: Spot) -> Content:
    tag, length, endian = _take(options, place, {"tag": 1, "length": 1, "endian": "big"})
    if not (1 <= tag <= 8 and 1 <= length <= 8 and endian in {"big", "little"}):
        raise place.wrong("`tag` and `length` are 1 to 8 bytes, `endian` is big or little")
    return Tagged(tag, Integer(length, endian, signed=False))


def _fields(_kind: str, options: dict[str, Doc], place: Spot) -> Content:
    (of,) = _take(options, place, {"of": []})
    return Nested(record_of(of, place.under("of")))


def _content(kind: str, options: dict[str, Doc], place: Spot) -> Content:
    compiled = _CONTENTS.get(kind)
    if compiled is None:
        raise place.wrong(f"no such type: {kind}; types are {', '.join(sorted(KNOWN))}")
    made: Content = compiled(kind, options, place)
    return made


_CONTENTS: Final[dict[str, Any]] = {
    **dict.fromkeys(TEXTS, _text),
    "hex": _hex,
    "bytes": _hex,
    "bcd": _bcd,
    "kv": _kv,
    "split": _split,
    "tlv": _tlv,
    "fields": _fields,
}


# --- types that are no content ------------------------------------------------------------------------


def _number_as(spec: dict[str, Doc], place: Spot) -> Node:
    name, form = spec.get("as"), spec.get("format")
    if isinstance(form, str) and name is None:
        return _format(form, place.under("format"))
    found = number(name) if isinstance(name, str) and form is None else None
    if found is None or size_of(found) is None:
        raise place.wrong("expected `as: u16` or the like, or `format: %03d`")
    return found


def _only(spec: dict[str, Doc], place: Spot, *known: str) -> None:
    unknown = [name for name in spec if name not in known]
    if unknown:
        raise place.wrong(f"unknown key `{unknown[0]}`; known here: {', '.join(known)}")


def _const(spec: dict[str, Doc], place: Spot) -> Node:
    _only(spec, place, "const", "as")
    value = spec["const"]
    node = node_of(spec["as"], place.under("as")) if "as" in spec else Bounded(Text("utf-8"))
    return Const(value, node.encode(value, (*place.at, "const")))


def _length_of(spec: dict[str, Doc], place: Spot) -> Node:
    _only(spec, place, "length_of", "as", "format", "adjust")
    what, adjust = spec["length_of"], spec.get("adjust", 0)
    if not isinstance(what, str) or not isinstance(adjust, int):
        raise place.wrong("expected {length_of: rest, frame or a field, as: u16, adjust: 0}")
    return LengthOf(what, _number_as(spec, place), adjust)


def _checksum(spec: dict[str, Doc], place: Spot) -> Node:
    _only(spec, place, "checksum", "as", "format", "over")
    algorithm, over = spec["checksum"], spec.get("over", ["", ""])
    if algorithm not in CHECKSUMS:
        raise place.wrong(f"no such checksum: {algorithm!r}; there are {', '.join(CHECKSUMS)}")
    if not isinstance(over, list) or len(over) != 2:
        raise place.under("over").wrong("expected the first and the last field that it is over: [a, b]")
    return Checksum(str(algorithm), _number_as(spec, place), str(over[0]), str(over[1]))


def _repeat(spec: dict[str, Doc], place: Spot) -> Node:
    _only(spec, place, "repeat", "count", "count_field")
    count, field = spec.get("count"), spec.get("count_field", "")
    if (count is not None and (not isinstance(count, int) or count < 0)) or not isinstance(field, str):
        raise place.wrong("`count` is a whole number, `count_field` the name of a field")
    inner = spec["repeat"]
    here = place.under("repeat")
    return Repeat(record_of(inner, here) if isinstance(inner, list) else node_of(inner, here), count, field)


def _var(spec: dict[str, Doc], place: Spot) -> Node:
    """`{llvar: ascii}`: two digits before it say its length."""
    name = next(iter(spec))
    _only(spec, place, name)
    return Bounded(_inner(spec[name], place.under(name)), Prefixed(Digits(len(name) - 3)))


def _switch(spec: Doc, place: Spot, before: Collection[str]) -> Switch:
    options = dict(spec) if isinstance(spec, dict) else {}
    known: dict[str, Any] = {"on": "", "cases": {}, "client": {}, "server": {}}
    on, cases, client, server = _take(options, place, known)
    chosen = {**cases, **(client if place.side == "client" else server)}
    if not on or not chosen:
        raise place.wrong("expected {on: FIELD, cases: {...}}, or `client` and `server` instead of `cases`")
    made, otherwise = [], None
    for name, inner in chosen.items():
        here = place.under(str(name))
        record = record_of(inner, here, before) if inner else Record(())
        if name == "default":
            otherwise = record
        else:
            made.append(_case(str(name), record))
    return Switch(on, tuple(made), otherwise)


_RANGE = re.compile(r"(0x[0-9a-fA-F]{1,16}|-?\d{1,19})(?:\.\.(0x[0-9a-fA-F]{1,16}|-?\d{1,19}))?")


def _case(name: str, record: Record) -> Case:
    match = _RANGE.fullmatch(name)
    if match is None:
        return Case(record, text=name)
    low, high = (int(end, 16) if end.startswith("0x") else int(end) for end in (match[1], match[2] or match[1]))
    return Case(record, low, high, name)


def _bitmap(spec: Doc, place: Spot) -> Bitmap:
    options = dict(spec) if isinstance(spec, dict) else {}
    known: dict[str, Any] = {"bits": 64, "encoding": "binary", "extends_if": 0, "fields": {}}
    bits, encoding, more, fields = _take(options, place, known)
    if bits % 8 or not 8 <= bits <= 256 or encoding not in {"binary", "hex"} or not 0 <= more <= bits:
        raise place.wrong("`bits` is 8 to 256 in whole bytes, `encoding` is binary or hex")
    made = {}
    for name, inner in fields.items():
        here = place.under("fields", str(name))
        if not str(name).isdecimal() or not 1 <= int(name) <= bits * (2 if more else 1) or int(name) == more:
            raise here.wrong("a field is named by its bit")
        made[int(name)] = node_of(inner, here)
    if not made:
        raise place.wrong("expected `fields`, by the numbers of their bits")
    return Bitmap(bits, encoding == "hex", made, more)


_SPECIAL: Final[dict[str, Any]] = {
    "const": _const,
    "length_of": _length_of,
    "checksum": _checksum,
    "repeat": _repeat,
    "llvar": _var,
    "lllvar": _var,
}
KNOWN: Final = frozenset({*_CONTENTS, *_SPECIAL, "u8..u64", "i8..i64", "f32", "f64", "digits1..19"})
"""What a type may be called."""
