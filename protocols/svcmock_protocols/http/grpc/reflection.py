"""The messages of grpc.reflection.v1 and v1alpha, which are the same, and a server's answers from a schema.

    ServerReflectionRequest   host 1, one of: file_by_filename 3, file_containing_symbol 4,
                              file_containing_extension 5 {containing_type 1, extension_number 2},
                              all_extension_numbers_of_type 6, list_services 7
    ServerReflectionResponse  valid_host 1, original_request 2, one of: file_descriptor_response 4,
                              all_extension_numbers_response 5, list_services_response 6, error_response 7

They are read and written field by field (grpc/reflection/v1/reflection.proto), without generated code.
Fields that are not known are passed over, as protobuf does; nothing a peer sends raises but GrpcError.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from svcmock_protocols.http.grpc import codes, tree
from svcmock_protocols.http.grpc.framing import GrpcError
from svcmock_protocols.http.grpc.schema import Schema
from svcmock_protocols.http.grpc.tree import LENGTH, VARINT, varint

HOST: Final = 1
BY_FILENAME, CONTAINING_SYMBOL, CONTAINING_EXTENSION, EXTENSION_NUMBERS, LIST_SERVICES = range(3, 8)
"""What a request asks for, by its field."""
FILES, NUMBERS, SERVICES, ERROR = range(4, 8)
"""What a response tells, by its field."""
_VALID_HOST: Final = 1
_ORIGINAL: Final = 2
_SHOWN: Final = 200
"""Characters of a name that an error repeats."""


class Question(Struct, frozen=True):
    """What a request asks for; `kind` is 0 where it asks for nothing. `number` is that of an extension."""

    kind: int
    name: str = ""
    number: int = 0
    host: str = ""


# --- the server's side --------------------------------------------------------------------------------


def answer(data: bytes, schemas: Sequence[Schema], services: Sequence[str]) -> bytes:
    """The response to a request: from the first schema that knows what is asked for. Raises GrpcError.

    `services`: what is listed.
    """
    asked = read_request(data)
    if asked.kind == LIST_SERVICES:
        told = _field(SERVICES, b"".join([_field(1, _text(1, name)) for name in services]))
    elif asked.kind == EXTENSION_NUMBERS:
        told = _told_numbers(asked, schemas)
    elif asked.kind:
        told = _told_files(asked, schemas)
    else:
        told = _error(codes.INVALID_ARGUMENT, "the request asks for nothing")
    return _text(_VALID_HOST, asked.host) + _field(_ORIGINAL, data) + told


def read_request(data: bytes) -> Question:
    """What a ServerReflectionRequest asks for: of several things the last. Raises GrpcError."""
    host, kind, name, number = "", 0, "", 0
    for field, wire, value in _scan(data):
        if wire != LENGTH:
            continue
        if field == HOST:
            host = _decoded(value)
        elif field == CONTAINING_EXTENSION:
            kind, (name, number) = field, _read_extension(value)
        elif BY_FILENAME <= field <= LIST_SERVICES:
            kind, name, number = field, _decoded(value), 0
    return Question(kind, name, number, host)


def _read_extension(data: bytes) -> tuple[str, int]:
    name, number = "", 0
    for field, wire, value in _scan(data):
        if field == 1 and wire == LENGTH:
            name = _decoded(value)
        elif field == 2 and wire == VARINT:
            number = value & 0xFFFFFFFF
    return name, number


def _scan(data: bytes) -> list[tree.Field]:
    fields = tree.scan(data)
    if fields is None:
        raise GrpcError(codes.INVALID_ARGUMENT, "the message is no ServerReflectionRequest")
    return fields


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise GrpcError(codes.INVALID_ARGUMENT, "a name in the request is not UTF-8") from None


def _told_files(asked: Question, schemas: Sequence[Schema]) -> bytes:
    for schema in schemas:
        if asked.kind == BY_FILENAME:
            found = schema.file_by_filename(asked.name)
        elif asked.kind == CONTAINING_SYMBOL:
            found = schema.file_containing_symbol(asked.name)
        else:
            found = schema.file_containing_extension(asked.name, asked.number)
        if found:
            return _field(FILES, b"".join([_field(1, raw) for raw in found]))
    name = repr(asked.name[:_SHOWN])
    if asked.kind == BY_FILENAME:
        return _error(codes.NOT_FOUND, f"there is no file {name}")
    if asked.kind == CONTAINING_SYMBOL:
        return _error(codes.NOT_FOUND, f"no file declares {name}")
    return _error(codes.NOT_FOUND, f"no file extends {name} by a field {asked.number}")


def _told_numbers(asked: Question, schemas: Sequence[Schema]) -> bytes:
    for schema in schemas:
        numbers = schema.extension_numbers(asked.name)
        if numbers is not None:
            packed = b"".join(map(varint, numbers))
            return _field(NUMBERS, _text(1, asked.name) + (_field(2, packed) if packed else b""))
    return _error(codes.NOT_FOUND, f"no file declares {asked.name[:_SHOWN]!r}")


def _error(code: int, why: str) -> bytes:
    return _field(ERROR, varint(1 << 3 | VARINT) + varint(code) + _text(2, why))


# --- the client's side --------------------------------------------------------------------------------


class Told(Struct, frozen=True):
    """What a response tells: both None where it is an error, or nothing that was asked for."""

    services: tuple[str, ...] | None = None
    files: tuple[bytes, ...] | None = None


class File(Struct, frozen=True):
    """What a FileDescriptorProto says of itself; `services` by their full names."""

    name: str
    imports: tuple[str, ...]
    services: tuple[str, ...]


def request(kind: int, name: str) -> bytes:
    """A ServerReflectionRequest."""
    return _field(kind, name.encode())


def read_response(data: bytes) -> Told | None:
    """What a ServerReflectionResponse tells; None for what is none."""
    fields = tree.scan(data)
    if fields is None:
        return None
    told = Told()
    for field, wire, value in fields:
        if wire != LENGTH or not FILES <= field <= ERROR:
            continue
        inner = tree.scan(value)
        if inner is None:
            return None
        told = Told()
        if field == FILES:
            told = Told(files=_values(inner, 1))
        elif field == SERVICES:
            named = [_values(tree.scan(service) or (), 1) for service in _values(inner, 1)]
            names = _texts([one[-1] for one in named if one])
            if names is None:
                return None
            told = Told(services=names)
    return told


def read_file(raw: bytes) -> File | None:
    """What a FileDescriptorProto says of itself; None for what is none."""
    fields = tree.scan(raw)
    if fields is None:
        return None
    name, package = (_texts(_values(fields, number)[-1:]) for number in (1, 2))
    imports = _texts(_values(fields, 3))
    services = _texts([one for each in _values(fields, 6) for one in _values(tree.scan(each) or (), 1)[-1:]])
    if not name or package is None or imports is None or services is None:
        return None
    prefix = f"{package[0]}." if package and package[0] else ""
    return File(name[0], imports, tuple(prefix + service for service in services))


def file_set(files: Sequence[bytes]) -> bytes:
    """A FileDescriptorSet."""
    return b"".join([_field(1, raw) for raw in files])


def _values(fields: Sequence[tree.Field], number: int) -> tuple[bytes, ...]:
    return tuple(value for field, wire, value in fields if field == number and wire == LENGTH)


def _texts(values: Sequence[bytes]) -> tuple[str, ...] | None:
    try:
        return tuple(value.decode() for value in values)
    except UnicodeDecodeError:
        return None


# --- fields -------------------------------------------------------------------------------------------


def _field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | LENGTH) + varint(len(data)) + data


def _text(number: int, text: str) -> bytes:
    """A string outside a oneof: left out where it is empty."""
    return _field(number, text.encode()) if text else b""
