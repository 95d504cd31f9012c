"""Messages of a known type as readable data: names instead of numbers, an enum by its name, times as text.

What the library makes of the bytes is walked by converters that are put together once per type. A field at its
implicit default is left out, one with presence is kept; what the schema does not know stays under its number,
as `tree` shows it. Whatever is shown here `building` takes; where the short form of a well-known type would
lose something, the fields of that type are shown instead.
"""

import math
from collections.abc import Callable, Mapping
from operator import itemgetter
from struct import Struct as Layout
from typing import Any, Final, NamedTuple, TypeAlias

from svcmock.protocol import Doc
from svcmock_protocols.http.grpc import kinds, tree
from svcmock_protocols.http.grpc.linking import found
from svcmock_protocols.http.grpc.wellknown import show_duration, show_mask, show_timestamp

Show: TypeAlias = Callable[[Any], Doc]

MAX_ANY: Final = 8
"""An Any inside an Any, and so on, up to here; then its bytes are shown."""
_WHOLE: Final = 2.0**53
_FLOAT: Final = Layout("<f")


class UnshownError(Exception):
    """The message has no readable form."""


class Type(NamedTuple):
    """A message type, ready to be read."""

    parse: Callable[[bytes], Any]
    show: Show
    special: bool
    """Shown as something else than its fields."""


class Showing:
    """The converters of one pool. `protos` are its files, by name."""

    def __init__(self, pool: Any, protos: Mapping[str, Any]) -> None:
        from google.protobuf.message import DecodeError
        from google.protobuf.message_factory import GetMessageClass
        from google.protobuf.unknown_fields import UnknownFieldSet

        self.decode_error = DecodeError
        self._class = GetMessageClass
        self._unknown: Callable[[Any], Any] = UnknownFieldSet
        self._pool = pool
        self._protos = protos
        self._types: dict[str, Type] = {}
        self._anys = 0

    def named(self, name: str) -> Type | None:
        """The type of this full name, if the pool has it."""
        known = self._types.get(name)
        if known is not None:
            return known
        descriptor = found(self._pool.FindMessageTypeByName, name)
        return None if descriptor is None else self._type(descriptor)

    def _type(self, descriptor: Any) -> Type:
        known = self._types.get(descriptor.full_name)
        if known is None:
            show = plain = self._plain()
            special = kinds.is_well_known(descriptor)
            if special:
                make = _SPECIAL.get(descriptor.full_name, Showing._wrapper)
                show = make(self, descriptor, plain)
            known = Type(self._class(descriptor).FromString, show, special)
            self._types[descriptor.full_name] = known
        return known

    # --- fields ---------------------------------------------------------------------------------------

    def _plain(self) -> Show:
        table: dict[Any, tuple[str, Show | None]] = {}
        unknown_fields = self._unknown

        def show(message: Any) -> Doc:
            made: dict[str, Doc] = {}
            for field, value in message.ListFields():
                known = table.get(field)
                if known is None:
                    known = table[field] = self._field(field)
                name, convert = known
                made[name] = value if convert is None else convert(value)
            unknown = unknown_fields(message)
            if len(unknown):
                made.update(_show_unknown(unknown))
            return made

        return show

    def _field(self, field: Any) -> tuple[str, Show | None]:
        name = f"[{field.full_name}]" if field.is_extension else field.name
        if kinds.is_map(field):
            return name, self._map(field.message_type)
        one = self._one(field)
        if not field.is_repeated:
            return name, one
        return name, _whole_list if one is None else lambda values: [one(value) for value in values]

    def _map(self, entry: Any) -> Show:
        """In order of the keys: on the wire a map has none."""
        key, value = (entry.fields_by_name[name] for name in ("key", "value"))
        shown: Callable[[Any], str] = _bool_key if key.type == kinds.BOOL else str
        keys = _text_keys if self._is_unchecked(key) else sorted
        one = self._one(value)
        if one is None:
            return lambda items: {shown(key): items[key] for key in keys(items)}
        return lambda items: {shown(key): one(items[key]) for key in keys(items)}

    def _one(self, field: Any) -> Show | None:
        """What a single value of the field needs; None for what is readable as it is."""
        if field.message_type is not None:
            return self._type(field.message_type).show
        if field.enum_type is not None:
            names = {value.number: value.name for value in reversed(field.enum_type.values)}
            return lambda number: names.get(number, number)
        return _text if self._is_unchecked(field) else _SCALARS.get(field.type)

    def _is_unchecked(self, field: Any) -> bool:
        """Whether the library may give bytes for a string: proto2 does not check that it is UTF-8."""
        return bool(field.type == kinds.STRING and self._protos[field.file.name].syntax != "proto3")

    # --- well-known types -----------------------------------------------------------------------------

    def _known(self, message: Any) -> bool:
        return not len(self._unknown(message))

    def _wrapper(self, descriptor: Any, plain: Show) -> Show:
        one = self._one(descriptor.fields[0])

        def show(message: Any) -> Doc:
            if not self._known(message):
                return plain(message)
            return message.value if one is None else one(message.value)

        return show

    def _short(self, plain: Show, text_of: Callable[[Any], str | None]) -> Show:
        def show(message: Any) -> Doc:
            text = text_of(message)
            return text if text is not None and self._known(message) else plain(message)

        return show

    def _timestamp(self, _: Any, plain: Show) -> Show:
        return self._short(plain, lambda message: show_timestamp(message.seconds, message.nanos))

    def _duration(self, _: Any, plain: Show) -> Show:
        return self._short(plain, lambda message: show_duration(message.seconds, message.nanos))

    def _mask(self, _: Any, plain: Show) -> Show:
        return self._short(plain, lambda message: show_mask(message.paths))

    def _struct(self, descriptor: Any, plain: Show) -> Show:
        value = descriptor.fields[0].message_type.fields_by_name["value"].message_type

        def show(message: Any) -> Doc:
            fields = message.fields
            if not self._known(message) or (len(fields) == 1 and kinds.FIELDS in fields):
                return {kinds.FIELDS: plain(message)}
            one = self._type(value).show
            return {key: one(fields[key]) for key in sorted(fields)}

        return show

    def _list(self, descriptor: Any, plain: Show) -> Show:
        def show(message: Any) -> Doc:
            if not self._known(message):
                return {kinds.FIELDS: plain(message)}
            one = self._type(descriptor.fields[0].message_type).show
            return [one(value) for value in message.values]

        return show

    def _value(self, _: Any, plain: Show) -> Show:
        def show(message: Any) -> Doc:
            kind = message.WhichOneof("kind")
            value: Any = getattr(message, kind) if kind else None
            if not _is_json(kind, value) or not self._known(message):
                return {kinds.FIELDS: plain(message)}
            if kind in ("struct_value", "list_value"):
                return self._type(value.DESCRIPTOR).show(value)
            if kind == "number_value":
                return _number(value)
            return None if kind == "null_value" else value

        return show

    def _any(self, _: Any, plain: Show) -> Show:
        def show(message: Any) -> Doc:
            url = message.type_url
            if not url or self._anys >= MAX_ANY or not self._known(message):
                return plain(message)
            inner = self.named(url.rpartition("/")[2])
            if inner is None:
                return {"@type": url, **({"value": tree.shown(message.value)} if message.value else {})}
            try:
                packed = inner.parse(message.value)
            except self.decode_error:
                return plain(message)
            self._anys += 1
            try:
                doc = inner.show(packed)
            finally:
                self._anys -= 1
            return {"@type": url, "value": doc} if inner.special else {"@type": url, **doc}

        return show


_SPECIAL: Final[dict[str, Callable[[Showing, Any, Show], Show]]] = {
    kinds.ANY: Showing._any,  # noqa: SLF001  a table of this class's own methods
    kinds.DURATION: Showing._duration,  # noqa: SLF001
    kinds.FIELD_MASK: Showing._mask,  # noqa: SLF001
    kinds.LIST_VALUE: Showing._list,  # noqa: SLF001
    kinds.STRUCT: Showing._struct,  # noqa: SLF001
    kinds.TIMESTAMP: Showing._timestamp,  # noqa: SLF001
    kinds.VALUE: Showing._value,  # noqa: SLF001
}


# --- single values ------------------------------------------------------------------------------------


_whole_list: Final[Show] = itemgetter(slice(None))
"""A container of the library as a list, at half the time that `list` takes."""


def _bool_key(key: bool) -> str:
    return "true" if key else "false"


def _text_keys(items: Any) -> list[str]:
    return sorted(map(_text, items))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise UnshownError
    return value


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _float(value: float) -> float | str:
    """The shortest number that is this one in 32 bits: 0.1, not 0.10000000149011612."""
    if not math.isfinite(value):
        return _double(value)
    for digits in (6, 7, 8):
        short = float(f"{value:.{digits}g}")
        if short == value or _FLOAT.unpack(_FLOAT.pack(short))[0] == value:
            return short
    return float(f"{value:.9g}")


_SCALARS: Final[dict[int, Show]] = {
    kinds.BYTES: tree.shown,
    kinds.DOUBLE: _double,
    kinds.FLOAT: _float,
}


def _is_json(kind: str | None, value: Any) -> bool:
    if kind == "number_value":
        return math.isfinite(value)
    return kind is not None and (kind != "null_value" or value == 0)


def _number(value: float) -> int | float:
    """A number of JSON: 3 rather than 3.0."""
    whole = abs(value) < _WHOLE and value.is_integer() and (value != 0 or math.copysign(1, value) > 0)
    return int(value) if whole else value


def _show_unknown(unknown: Any) -> dict[str, Doc]:
    made = tree.show_fields(_fields(unknown))
    if made is None:
        raise UnshownError
    return made


def _fields(unknown: Any) -> list[tree.Field]:
    return [
        (
            field.field_number,
            field.wire_type,
            _fields(field.data) if field.wire_type == tree.GROUP else field.data,
        )
        for field in unknown
    ]
