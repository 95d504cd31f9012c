"""What the mock answers by itself where no route does: health checks and reflection.

Health (grpc/doc/health-checking.md): the server, which is the empty name, is SERVING; so is every service of
the schema, and what is answered here. Check says NOT_FOUND of any other, Watch SERVICE_UNKNOWN. Where there is
no schema, every name is SERVING: nobody knows which services there are, and a client that checks the health of
its channels would never send the calls for which there are routes. Watch stays open until its client leaves.

Reflection (grpc/doc/server-reflection.md), v1 and v1alpha: the schema's services, and these, with their files,
for a client that lists services wants to see each of them. Where the schema has a file or symbol, that is told.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from msgspec.structs import replace

from svcmock.protocol import Context
from svcmock_protocols.http.grpc import codes, reflection, tree
from svcmock_protocols.http.grpc.answers import status_reply
from svcmock_protocols.http.grpc.framing import GrpcError, Message, frame, split, unpacked
from svcmock_protocols.http.grpc.schema import Schema
from svcmock_protocols.http.grpc.view import encoding, kind, max_message
from svcmock_protocols.http.messages import Reply, Request

HEALTH: Final = "grpc.health.v1.Health"
REFLECTION: Final = (
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)
_CHECK: Final = f"/{HEALTH}/Check"
_WATCH: Final = f"/{HEALTH}/Watch"
BUILTIN: Final = frozenset({_CHECK, _WATCH, *(f"/{name}/ServerReflectionInfo" for name in REFLECTION)})
"""The paths of the methods that are answered here."""

_BLOCK: Final = b"content-type: application/grpc\r\n"
_STAYS: Final = Reply(200, block=_BLOCK, framing="chunked", version=b"2", more=True)
"""Nothing, and the call is not over."""
_SERVING: Final = b"\x08\x01"
_SERVICE_UNKNOWN: Final = b"\x08\x03"


def builtin(request: Request, context: Context) -> Reply | None:
    """What answers a call, or a part of one (`Request.said`); None where nothing is to be said, or not by us.

    To a part: a reply with grpc-status 0 is one message, after which the call goes on; another status ends it.
    """
    path = request.target.decode("latin-1")
    said = kind(request.block) if path in BUILTIN else None
    if said is None or said.web or said.codec:
        return None
    if request.said.startswith(b"end"):
        return _STAYS if path == _WATCH else None
    number = request.said.partition(b" ")[0]
    if request.said and not number.isdigit():
        return None
    try:
        messages = _messages(request, context)
        if path not in (_CHECK, _WATCH):
            return _told([_reflected(data, context.schema) for data in messages])
        if len(messages) != 1 or number not in (b"", b"1"):
            # grpc/doc/statuscodes.md: "Request cardinality violation"
            return status_reply(codes.UNIMPLEMENTED, "this method takes one message")
        reply = _health(messages[0], context.schema, watched=path == _WATCH)
    except GrpcError as error:
        return status_reply(error.code, error.why)
    return replace(reply, trailers=b"", more=True) if path == _WATCH and not number else reply


def _messages(request: Request, context: Context) -> list[bytes]:
    """The messages of a call, or the one of a part, without their compression. Raises GrpcError."""
    limit = max_message(context.options)
    if not isinstance(request.body, bytes):
        raise GrpcError(codes.RESOURCE_EXHAUSTED, "the messages of this call are too large")
    made = [unpacked(message, encoding(request.block), limit) for message in split(request.body, limit)]
    if request.said and len(made) != 1:
        raise GrpcError(codes.INVALID_ARGUMENT, "expected one message")
    return made


def _told(messages: Sequence[bytes]) -> Reply:
    return Reply(
        status=200,
        block=_BLOCK,
        body=b"".join([frame(Message(data)) for data in messages]),
        framing="chunked",
        version=b"2",
        trailers=b"grpc-status: 0\r\n",
    )


def _health(data: bytes, schema: Schema | None, *, watched: bool) -> Reply:
    """The answer to a HealthCheckRequest. Raises GrpcError."""
    fields = tree.scan(data)
    if fields is None:
        raise GrpcError(codes.INVALID_ARGUMENT, "the message is no HealthCheckRequest")
    named = [value for number, wire, value in fields if number == 1 and wire == tree.LENGTH]
    try:
        service = named[-1].decode() if named else ""
    except UnicodeDecodeError:
        raise GrpcError(codes.INVALID_ARGUMENT, "the name of the service is not UTF-8") from None
    if not service or schema is None or service in schema.services or service in (HEALTH, *REFLECTION):
        return _told([_SERVING])
    if watched:
        return _told([_SERVICE_UNKNOWN])
    raise GrpcError(codes.NOT_FOUND, f"the schema has no service {service[:200]!r}")


def _reflected(data: bytes, schema: Schema | None) -> bytes:
    """The answer to a ServerReflectionRequest. Raises GrpcError."""
    schemas = (_own(),) if schema is None else (schema, _own())
    services = {HEALTH, *REFLECTION, *(schema.services if schema is not None else ())}
    return reflection.answer(data, schemas, sorted(services))


# --- the files that declare these services ------------------------------------------------------------

_HEALTH_MESSAGES: Final = {
    "HealthCheckRequest": ("string service = 1",),
    "HealthCheckResponse": ("ServingStatus status = 1",),
}
_HEALTH_STATES: Final = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_REFLECTION_MESSAGES: Final = {
    "ServerReflectionRequest": (
        "string host = 1",
        "string file_by_filename = 3 of message_request",
        "string file_containing_symbol = 4 of message_request",
        "ExtensionRequest file_containing_extension = 5 of message_request",
        "string all_extension_numbers_of_type = 6 of message_request",
        "string list_services = 7 of message_request",
    ),
    "ExtensionRequest": ("string containing_type = 1", "int32 extension_number = 2"),
    "ServerReflectionResponse": (
        "string valid_host = 1",
        "ServerReflectionRequest original_request = 2",
        "FileDescriptorResponse file_descriptor_response = 4 of message_response",
        "ExtensionNumberResponse all_extension_numbers_response = 5 of message_response",
        "ListServiceResponse list_services_response = 6 of message_response",
        "ErrorResponse error_response = 7 of message_response",
    ),
    "FileDescriptorResponse": ("repeated bytes file_descriptor_proto = 1",),
    "ExtensionNumberResponse": ("string base_type_name = 1", "repeated int32 extension_number = 2"),
    "ListServiceResponse": ("repeated ServiceResponse service = 1",),
    "ServiceResponse": ("string name = 1",),
    "ErrorResponse": ("int32 error_code = 1", "string error_message = 2"),
}
_FIELD: Final = re.compile(r"(repeated )?(\w+) (\w+) = (\d+)(?: of (\w+))?")
_SCALARS: Final = {"int32": 5, "string": 9, "bytes": 12}
"""google.protobuf.FieldDescriptorProto.Type"""
_MESSAGE, _ENUM = 11, 14


@cache
def _own() -> Schema:
    """The schema of what is answered here. Of Health only the methods that are."""
    health = _file("grpc.health.v1", "health", _HEALTH_MESSAGES)
    status = health.message_type[1].enum_type.add(name="ServingStatus")
    for number, name in enumerate(_HEALTH_STATES):
        status.value.add(name=name, number=number)
    field = health.message_type[1].field[0]
    field.type, field.type_name = _ENUM, ".grpc.health.v1.HealthCheckResponse.ServingStatus"
    messages = [f".{health.package}.{name}" for name in _HEALTH_MESSAGES]
    service = health.service.add(name="Health")
    service.method.add(name="Check", input_type=messages[0], output_type=messages[1])
    service.method.add(name="Watch", input_type=messages[0], output_type=messages[1], server_streaming=True)
    files = [health]
    for package in ("grpc.reflection.v1", "grpc.reflection.v1alpha"):
        file = _file(package, "reflection", _REFLECTION_MESSAGES)
        file.service.add(name="ServerReflection").method.add(
            name="ServerReflectionInfo",
            input_type=f".{package}.ServerReflectionRequest",
            output_type=f".{package}.ServerReflectionResponse",
            client_streaming=True,
            server_streaming=True,
        )
        files.append(file)
    return Schema.of([file.SerializeToString() for file in files])


def _file(package: str, name: str, messages: Mapping[str, tuple[str, ...]]) -> Any:
    """A FileDescriptorProto of these messages, named as grpc-proto names it."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    path = f"{package.replace('.', '/')}/{name}.proto"
    file = FileDescriptorProto(name=path, package=package, syntax="proto3")
    for message_name, lines in messages.items():
        message = file.message_type.add(name=message_name)
        for line in lines:
            _add_field(message, package, line)
    return file


def _add_field(message: Any, package: str, line: str) -> None:
    said = _FIELD.fullmatch(line)
    assert said is not None
    repeated, type_name, name, number, oneof = said.groups()
    field = message.field.add(name=name, number=int(number), label=3 if repeated else 1)
    field.type = _SCALARS.get(type_name, _MESSAGE)
    if type_name not in _SCALARS:
        field.type_name = f".{package}.{type_name}"
    if oneof:
        if not message.oneof_decl:
            message.oneof_decl.add(name=oneof)
        field.oneof_index = 0
