"""google.rpc: the Status that carries the details of an error, and the details that most services send.

The types are those of google/rpc/error_details.proto, built here so that they need no package and no file. A
type that a service's own schema has is read by that one.
"""

from functools import cache
from typing import Any, Final

from svcmock.payload import from_doc, to_doc
from svcmock.protocol import Doc, Invalid
from svcmock_protocols.http.grpc import tree
from svcmock_protocols.http.grpc.tree import LENGTH, VARINT, varint
from svcmock_protocols.http.lines import NO_FILES

PREFIX: Final = "type.googleapis.com/"
_PACKAGE: Final = "google.rpc"

_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "ErrorInfo": ("reason", "domain", "metadata{}"),
    "RetryInfo": ("retry_delay:Duration",),
    "DebugInfo": ("stack_entries*", "detail"),
    "QuotaFailure": ("violations*:QuotaFailure.Violation",),
    "QuotaFailure.Violation": ("subject", "description"),
    "PreconditionFailure": ("violations*:PreconditionFailure.Violation",),
    "PreconditionFailure.Violation": ("type", "subject", "description"),
    "BadRequest": ("field_violations*:BadRequest.FieldViolation",),
    "BadRequest.FieldViolation": ("field", "description", "reason", "localized_message:LocalizedMessage"),
    "RequestInfo": ("request_id", "serving_data"),
    "ResourceInfo": ("resource_type", "resource_name", "owner", "description"),
    "Help": ("links*:Help.Link",),
    "Help.Link": ("description", "url"),
    "LocalizedMessage": ("locale", "message"),
}
"""The fields of each type by their numbers: text unless it says `:Type`; `*` repeated, `{}` a map."""


@cache
def known() -> Any:
    """The Schema of these types."""
    from google.protobuf import descriptor_pb2, duration_pb2

    from svcmock_protocols.http.grpc.schema import Schema

    file = descriptor_pb2.FileDescriptorProto(
        name="google/rpc/error_details.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=["google/protobuf/duration.proto"],
    )
    messages: dict[str, Any] = {}
    for name in sorted(_TYPES, key=lambda one: one.count(".")):
        outer, _, own = name.rpartition(".")
        messages[name] = messages[outer].nested_type.add(name=own) if outer else file.message_type.add(name=own)
    for name, members in _TYPES.items():
        for number, member in enumerate(members, 1):
            _add_field(messages[name], name, member, number)
    duration = descriptor_pb2.FileDescriptorProto()
    duration_pb2.DESCRIPTOR.CopyToProto(duration)
    return Schema.of([descriptor_pb2.FileDescriptorSet(file=[duration, file]).SerializeToString()])


def _add_field(message: Any, owner: str, member: str, number: int) -> None:
    name, _, kind = member.partition(":")
    field = message.field.add(
        name=name.rstrip("*{}"), number=number, label=3 if name[-1] in "*}" else 1, type=9
    )
    if kind:
        field.type = 11
        field.type_name = ".google.protobuf.Duration" if kind == "Duration" else f".{_PACKAGE}.{kind}"
    if name.endswith("{}"):
        entry = message.nested_type.add(name="MetadataEntry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=1, type=9)
        entry.field.add(name="value", number=2, label=1, type=9)
        field.type, field.type_name = 11, f".{_PACKAGE}.{owner}.MetadataEntry"


# --- Any and Status -----------------------------------------------------------------------------------


def status(code: int, message: str, details: list[bytes]) -> bytes:
    """A google.rpc.Status."""
    made = varint(1 << 3 | VARINT) + varint(code) if code else b""
    made += _length(2, message.encode()) if message else b""
    return made + b"".join(_length(3, detail) for detail in details)


def debug_info(text: str) -> bytes:
    """A google.protobuf.Any that holds a DebugInfo with this detail."""
    return _any(f"{PREFIX}{_PACKAGE}.DebugInfo", _length(2, text.encode()) if text else b"")


def _any(type_url: str, value: bytes) -> bytes:
    return (_length(1, type_url.encode()) if type_url else b"") + (_length(2, value) if value else b"")


def _length(number: int, data: bytes) -> bytes:
    return varint(number << 3 | LENGTH) + varint(len(data)) + data


def any_of(doc: Doc, schema: Any, at: tuple[str | int, ...]) -> bytes:
    """The google.protobuf.Any that a document stands for. Raises Invalid."""
    if isinstance(doc, dict) and isinstance(doc.get("@type"), str):
        type_url: str = doc["@type"]
        rest = {name: value for name, value in doc.items() if name != "@type"}
        owner = _owner(type_url, schema)
        if owner is None:
            raise Invalid((*at, "@type"), "this type is not known: give {type_url: , value: } with its bytes")
        return _any(type_url, owner.to_bytes(_type_name(type_url), rest, at))
    if not isinstance(doc, dict) or not doc.keys() <= {"type_url", "value"}:
        raise Invalid(
            at, 'expected a mapping with "@type" and the fields of that type, or {type_url: , value: }'
        )
    type_url = doc.get("type_url", "")
    if not isinstance(type_url, str):
        raise Invalid((*at, "type_url"), "expected text")
    value = from_doc(doc.get("value", ""), NO_FILES, *at, "value")
    if not isinstance(value, bytes):
        raise Invalid((*at, "value"), "this cannot be kept in a file")
    return _any(type_url, value)


def show_any(data: bytes, schema: Any) -> Doc:
    """A google.protobuf.Any as a document. Whoever needs the very same bytes again compares."""
    fields = tree.scan(data) or []
    said = {number: value for number, wire, value in fields if wire == LENGTH}
    type_url = said.get(1, b"").decode("utf-8", "replace")
    value = said.get(2, b"")
    owner = _owner(type_url, schema)
    if owner is not None:
        doc = owner.to_doc(_type_name(type_url), value)
        if isinstance(doc, dict) and "@type" not in doc and _gives(doc, type_url, schema, data):
            return {"@type": type_url, **doc}
    return {"type_url": type_url, "value": to_doc(value, {}) if len(value) <= 4096 else {"hex": value.hex()}}


def _gives(doc: dict[str, Doc], type_url: str, schema: Any, data: bytes) -> bool:
    try:
        return any_of({"@type": type_url, **doc}, schema, ()) == data
    except Invalid:
        return False


def _type_name(type_url: str) -> str:
    return type_url.rpartition("/")[2]


def _owner(type_url: str, schema: Any) -> Any:
    """The schema that has this type; None if none has."""
    name = _type_name(type_url)
    if schema is not None and schema.has(name):
        return schema
    own = name.removeprefix(_PACKAGE + ".") if name.startswith(_PACKAGE + ".") else ""
    return known() if own in _TYPES else None
