"""Messages of a known type out of readable data: what `showing` shows, and what a person writes instead.

A field goes by its name in the .proto file, by its camelCase name in JSON, or by its number. By its number it
has the value that the wire tree shows (`tree`): so a document that was recorded without a schema means the same
with one. Only where a value cannot be meant so (a nested mapping with names, an enum's name) is it read as the
field's type has it.

Whatever cannot be meant is refused, with the path of the member and what was expected there.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from svcmock.protocol import Doc, Invalid
from svcmock_protocols.http.grpc import kinds, tree
from svcmock_protocols.http.grpc.linking import found
from svcmock_protocols.http.grpc.scalars import At, double, hint, kind, map_key, parser, string
from svcmock_protocols.http.grpc.wellknown import parse_duration, parse_mask, parse_timestamp

Put: TypeAlias = Callable[[Any, Doc, At], None]


class Member(NamedTuple):
    """A field, ready to be set."""

    field: Any
    put: Put
    null: bool
    """Takes a null for a value of its own; to all others it means that they are absent."""


class Shape(NamedTuple):
    """A message type, ready to be filled."""

    name: str
    members: Mapping[str, Member]
    """By proto name and by JSON name."""
    numbers: Mapping[int, Member]


class Building:
    """The setters of one pool."""

    def __init__(self, pool: Any) -> None:
        from google.protobuf.message import DecodeError, EncodeError
        from google.protobuf.message_factory import GetMessageClass

        self._decode_error = DecodeError
        self._encode_error = EncodeError
        self._class = GetMessageClass
        self._pool = pool
        self._shapes: dict[str, Shape] = {}

    def build(self, descriptor: Any, doc: Doc, at: At) -> bytes:
        """The serialized message of this type; map entries in order. Raises Invalid."""
        message = self._class(descriptor)()
        try:
            self._fill(message, doc, at)
            made: bytes = message.SerializePartialToString(deterministic=True)
        except (self._encode_error, RecursionError):
            raise Invalid(at, "nested too deep") from None
        return made

    def _fill(self, message: Any, doc: Doc, at: At) -> None:
        descriptor = message.DESCRIPTOR
        if kinds.is_well_known(descriptor):
            special = _SPECIAL.get(descriptor.full_name, Building._wrapper)
            if special(self, message, doc, at):
                return
        self._plain(message, doc, at)

    # --- members --------------------------------------------------------------------------------------

    def _plain(self, message: Any, doc: Doc, at: At) -> None:
        if not isinstance(doc, dict):
            raise Invalid(at, f"expected a mapping ({message.DESCRIPTOR.full_name}), got {kind(doc)}")
        shape = self._shape(message.DESCRIPTOR)
        given: dict[str, str] = {}
        numbered: list[str] = []
        for key, value in doc.items():
            if tree.is_number(key):
                numbered.append(key)
                continue
            member = shape.members.get(key) or self._extension(shape, key, (*at, key))
            if value is None and not member.null:
                continue
            _once(member.field, given, key, (*at, key))
            member.put(message, value, (*at, key))
        for key in numbered:
            self._numbered(message, shape, key, doc[key], given, (*at, key))

    def _numbered(
        self, message: Any, shape: Shape, key: str, value: Doc, given: dict[str, str], at: At
    ) -> None:
        number = tree.field_number(key, at)
        member = shape.numbers.get(number) or self._extension_by_number(message.DESCRIPTOR, number)
        data = self._tree(member, key, value, at)
        if member is not None and not _is_closed(member.field):
            _once(member.field, given, key, at)
        if data is None:
            assert member is not None
            one = member.field.is_repeated and not (isinstance(value, list) or kinds.is_map(member.field))
            member.put(message, [value] if one else value, at)
            return
        try:
            message.MergeFromString(data)
        except self._decode_error:
            name = member.field.name if member is not None else key
            raise Invalid(at, f"these bytes are no value of {name}") from None

    def _tree(self, member: Member | None, key: str, value: Doc, at: At) -> bytes | None:
        """What the wire tree makes of a numbered member; None if it must be read as its field's type has it."""
        try:
            data = tree.write({key: value}, at[:-1])
        except Invalid:
            if member is None:
                raise
            return None
        return data if member is None or _belongs(member.field, data) else None

    def _shape(self, descriptor: Any) -> Shape:
        shape = self._shapes.get(descriptor.full_name)
        if shape is None:
            by_name = {field.name: self._member(field) for field in descriptor.fields}
            by_json = {member.field.json_name: member for member in by_name.values()}
            numbers = {member.field.number: member for member in by_name.values()}
            shape = Shape(descriptor.full_name, {**by_json, **by_name}, numbers)
            self._shapes[descriptor.full_name] = shape
        return shape

    def _extension(self, shape: Shape, key: str, at: At) -> Member:
        if key.startswith("[") and key.endswith("]"):
            field = found(self._pool.FindExtensionByName, key[1:-1])
            if field is None:
                raise Invalid(at, f"the schema knows no extension {key}")
            if field.containing_type.full_name == shape.name:
                return self._member(field)
            raise Invalid(at, f"{key} extends {field.containing_type.full_name}, not {shape.name}")
        names = [member.field.name for member in shape.numbers.values()]
        raise Invalid(at, f"{shape.name} has no field {key[:60]!r}{hint(key, names)}")

    def _extension_by_number(self, descriptor: Any, number: int) -> Member | None:
        if not descriptor.is_extendable:
            return None
        try:
            return self._member(self._pool.FindExtensionByNumber(descriptor, number))
        except KeyError:
            return None

    def _member(self, field: Any) -> Member:
        null = field.message_type is not None and field.message_type.full_name == kinds.VALUE
        if kinds.is_map(field):
            return Member(field, self._map(field), null=False)
        if field.is_repeated:
            return Member(field, self._repeated(field), null=False)
        if field.message_type is not None:
            return Member(field, self._message(field), null)
        parse = parser(field)
        if field.is_extension:

            def put(message: Any, doc: Doc, at: At) -> None:
                message.Extensions[field] = parse(doc, at)
        else:

            def put(message: Any, doc: Doc, at: At) -> None:
                setattr(message, field.name, parse(doc, at))

        return Member(field, put, null)

    def _message(self, field: Any) -> Put:
        def put(message: Any, doc: Doc, at: At) -> None:
            inner = _get(message, field)
            inner.SetInParent()
            self._fill(inner, doc, at)

        return put

    def _repeated(self, field: Any) -> Put:
        parse = None if field.message_type is not None else parser(field)

        def put(message: Any, doc: Doc, at: At) -> None:
            if not isinstance(doc, list):
                raise Invalid(at, f"expected a list ({kinds.label(field)}), got {kind(doc)}")
            items = _get(message, field)
            for i, item in enumerate(doc):
                if parse is None:
                    self._fill(items.add(), item, (*at, i))
                else:
                    items.append(parse(item, (*at, i)))

        return put

    def _map(self, field: Any) -> Put:
        key_field, value_field = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        parse = None if value_field.message_type is not None else parser(value_field)

        def put(message: Any, doc: Doc, at: At) -> None:
            if not isinstance(doc, dict):
                raise Invalid(at, f"expected a mapping ({kinds.label(field)}), got {kind(doc)}")
            items = _get(message, field)
            for text, value in doc.items():
                key = map_key(key_field, text, (*at, text))
                if key in items:
                    raise Invalid((*at, text), "this key is there twice")
                if parse is None:
                    self._fill(items[key], value, (*at, text))
                else:
                    items[key] = parse(value, (*at, text))

        return put

    # --- well-known types: whether the document was the short form, and is dealt with -------------------

    def _wrapper(self, message: Any, doc: Doc, at: At) -> bool:
        field = message.DESCRIPTOR.fields[0]
        if isinstance(doc, dict) and (field.type != kinds.BYTES or not _is_payload(doc)):
            return False
        message.value = parser(field)(doc, at)
        return True

    def _timestamp(self, message: Any, doc: Doc, at: At) -> bool:
        if isinstance(doc, dict):
            return False
        time = parse_timestamp(doc) if isinstance(doc, str) else None
        if time is None:
            raise Invalid(at, "expected a time such as 2026-01-31T12:30:00.5Z")
        message.seconds, message.nanos = time
        return True

    def _duration(self, message: Any, doc: Doc, at: At) -> bool:
        if isinstance(doc, dict):
            return False
        time = parse_duration(doc) if isinstance(doc, str) else None
        if time is None:
            raise Invalid(at, "expected a duration in seconds, such as 1.5s")
        message.seconds, message.nanos = time
        return True

    def _mask(self, message: Any, doc: Doc, at: At) -> bool:
        if isinstance(doc, dict):
            return False
        if not isinstance(doc, str):
            raise Invalid(at, "expected field names such as `title,author.firstName`")
        message.paths.extend(parse_mask(string(doc, at)))
        return True

    def _struct(self, message: Any, doc: Doc, at: At) -> bool:
        if self._told_by_fields(message, doc, at):
            return True
        if not isinstance(doc, dict):
            raise Invalid(at, f"expected a mapping, got {kind(doc)}")
        for key, value in doc.items():
            self._fill(message.fields[string(key, (*at, key))], value, (*at, key))
        return True

    def _list(self, message: Any, doc: Doc, at: At) -> bool:
        if self._told_by_fields(message, doc, at):
            return True
        if not isinstance(doc, list):
            raise Invalid(at, f"expected a list, got {kind(doc)}")
        for i, item in enumerate(doc):
            self._fill(message.values.add(), item, (*at, i))
        return True

    def _value(self, message: Any, doc: Doc, at: At) -> bool:
        if self._told_by_fields(message, doc, at):
            return True
        if doc is None:
            message.null_value = 0
        elif isinstance(doc, bool):
            message.bool_value = doc
        elif isinstance(doc, int | float):
            message.number_value = double(doc, at)
        elif isinstance(doc, str):
            message.string_value = string(doc, at)
        elif isinstance(doc, list):
            message.list_value.SetInParent()
            self._fill(message.list_value, doc, at)
        else:
            message.struct_value.SetInParent()
            self._fill(message.struct_value, doc, at)
        return True

    def _told_by_fields(self, message: Any, doc: Doc, at: At) -> bool:
        if not isinstance(doc, dict) or doc.keys() != {kinds.FIELDS}:
            return False
        self._plain(message, doc[kinds.FIELDS], (*at, kinds.FIELDS))
        return True

    def _any(self, message: Any, doc: Doc, at: At) -> bool:
        if not isinstance(doc, dict) or "@type" not in doc:
            return False
        url = string(doc["@type"], (*at, "@type"))
        rest = {key: value for key, value in doc.items() if key != "@type"}
        name = url.rpartition("/")[2]
        message.type_url = url
        descriptor = found(self._pool.FindMessageTypeByName, name)
        if descriptor is None:
            message.value = _unknown_any(name, rest, at)
            return True
        if not kinds.is_well_known(descriptor):
            message.value = self.build(descriptor, rest, at)
        elif rest.keys() == {"value"}:
            message.value = self.build(descriptor, rest["value"], (*at, "value"))
        else:
            raise Invalid(at, f"expected `@type` and `value`, for {name} is written as one value")
        return True


_SPECIAL: Final[dict[str, Callable[[Building, Any, Doc, At], bool]]] = {
    kinds.ANY: Building._any,  # noqa: SLF001  a table of this class's own methods
    kinds.DURATION: Building._duration,  # noqa: SLF001
    kinds.FIELD_MASK: Building._mask,  # noqa: SLF001
    kinds.LIST_VALUE: Building._list,  # noqa: SLF001
    kinds.STRUCT: Building._struct,  # noqa: SLF001
    kinds.TIMESTAMP: Building._timestamp,  # noqa: SLF001
    kinds.VALUE: Building._value,  # noqa: SLF001
}


def _unknown_any(name: str, rest: dict[str, Doc], at: At) -> bytes:
    if not rest:
        return b""
    if rest.keys() == {"value"}:
        return tree.payload(rest["value"], (*at, "value"))
    if tree.numbered(rest):
        return tree.write(rest, at)
    raise Invalid((*at, "@type"), f"the schema knows no message {name[:80]!r}: give its bytes as `value`")


def _get(message: Any, field: Any) -> Any:
    return message.Extensions[field] if field.is_extension else getattr(message, field.name)


def _once(field: Any, given: dict[str, str], key: str, at: At) -> None:
    """Refuses a field that is there by two of its names, and a second member of a oneof."""
    other = given.setdefault(field.full_name, key)
    if other != key:
        raise Invalid(at, f"this is the same field as {other!r}")
    oneof = field.containing_oneof
    if oneof is None:
        return
    other = given.setdefault(f"oneof {oneof.full_name}", key)
    if other != key:
        raise Invalid(at, f"only one of the oneof {oneof.name!r} can be set, and {other!r} is")


def _belongs(field: Any, data: bytes) -> bool:
    """Whether everything in `data` has a wire type that the field takes."""
    return all(kinds.fits(field, wire) for _, wire, _ in tree.scan(data) or ())


def _is_closed(field: Any) -> bool:
    """Whether the library keeps values that the enum lacks among the unknown fields: both may be there."""
    return field.enum_type is not None and bool(field.enum_type.is_closed)


def _is_payload(doc: dict[str, Doc]) -> bool:
    return len(doc) == 1 and not doc.keys().isdisjoint(("hex", "base64", "file"))
