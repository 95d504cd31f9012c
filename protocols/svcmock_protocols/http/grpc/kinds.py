"""The field types of protobuf by the numbers that descriptor.proto gives them, and the well-known types."""

from typing import Any, Final

from svcmock_protocols.http.grpc import tree

DOUBLE: Final = 1
FLOAT: Final = 2
INT64: Final = 3
UINT64: Final = 4
INT32: Final = 5
FIXED64: Final = 6
FIXED32: Final = 7
BOOL: Final = 8
STRING: Final = 9
GROUP: Final = 10
MESSAGE: Final = 11
BYTES: Final = 12
UINT32: Final = 13
ENUM: Final = 14
SFIXED32: Final = 15
SFIXED64: Final = 16
SINT32: Final = 17
SINT64: Final = 18

NAMES: Final = {
    DOUBLE: "double",
    FLOAT: "float",
    INT64: "int64",
    UINT64: "uint64",
    INT32: "int32",
    FIXED64: "fixed64",
    FIXED32: "fixed32",
    BOOL: "bool",
    STRING: "string",
    BYTES: "bytes",
    UINT32: "uint32",
    SFIXED32: "sfixed32",
    SFIXED64: "sfixed64",
    SINT32: "sint32",
    SINT64: "sint64",
}

INTEGERS: Final = {
    **dict.fromkeys((INT32, SINT32, SFIXED32), (-(2**31), 2**31 - 1)),
    **dict.fromkeys((INT64, SINT64, SFIXED64), (-(2**63), 2**63 - 1)),
    **dict.fromkeys((UINT32, FIXED32), (0, 2**32 - 1)),
    **dict.fromkeys((UINT64, FIXED64), (0, 2**64 - 1)),
}
"""The range of each integer type."""

_WIRES: Final = {
    **dict.fromkeys((DOUBLE, FIXED64, SFIXED64), tree.FIXED64),
    **dict.fromkeys((FLOAT, FIXED32, SFIXED32), tree.FIXED32),
    **dict.fromkeys((STRING, BYTES, MESSAGE), tree.LENGTH),
    GROUP: tree.GROUP,
}

_PREFIX: Final = "google.protobuf."
_WRAPPERS: Final = ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
WRAPPERS: Final = frozenset(f"{_PREFIX}{name}Value" for name in _WRAPPERS)
ANY: Final = _PREFIX + "Any"
DURATION: Final = _PREFIX + "Duration"
FIELD_MASK: Final = _PREFIX + "FieldMask"
LIST_VALUE: Final = _PREFIX + "ListValue"
STRUCT: Final = _PREFIX + "Struct"
TIMESTAMP: Final = _PREFIX + "Timestamp"
VALUE: Final = _PREFIX + "Value"

FIELDS: Final = "@fields"
"""Stands before the fields of a Struct, Value or ListValue that has no JSON form: `{"@fields": {...}}`."""

_SHAPES: Final[dict[str, dict[str, int]]] = {
    **{name: {"value": 1} for name in WRAPPERS},
    ANY: {"type_url": 1, "value": 2},
    DURATION: {"seconds": 1, "nanos": 2},
    FIELD_MASK: {"paths": 1},
    LIST_VALUE: {"values": 1},
    STRUCT: {"fields": 1},
    TIMESTAMP: {"seconds": 1, "nanos": 2},
    VALUE: {
        "null_value": 1,
        "number_value": 2,
        "string_value": 3,
        "bool_value": 4,
        "struct_value": 5,
        "list_value": 6,
    },
}


def is_well_known(descriptor: Any) -> bool:
    """Whether this message type has a form of its own, and is no namesake with other fields."""
    shape = _SHAPES.get(descriptor.full_name)
    return shape is not None and shape == {field.name: field.number for field in descriptor.fields}


def is_map(field: Any) -> bool:
    entry = field.message_type
    return bool(field.is_repeated and entry is not None and entry.GetOptions().map_entry)


def fits(field: Any, wire: int) -> bool:
    """Whether a value of this wire type can belong to the field. Repeated numbers may come packed."""
    own = _WIRES.get(field.type, tree.VARINT)
    packable = own not in (tree.LENGTH, tree.GROUP)
    return wire == own or (wire == tree.LENGTH and packable and bool(field.is_repeated))


def label(field: Any) -> str:
    """The type of a field as a .proto file says it."""
    if is_map(field):
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        return f"map<{label(key)}, {label(value)}>"
    named = field.message_type or field.enum_type
    name = named.full_name if named is not None else NAMES[field.type]
    return f"repeated {name}" if field.is_repeated else name
