"""Descriptor files: taken out of what holds them, told apart, completed, ordered, and linked into a pool.

A file may come several times: from `protoc`, from a server's reflection, from two folders. Copies that say the
same count as one, even where they differ in what decides nothing: comments, and names that follow from other
names. An import of google/protobuf/*.proto that nobody gave is taken from the protobuf package.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, Final, TypeAlias

from svcmock.protocol import Invalid
from svcmock_protocols.http.grpc import tree

Proto: TypeAlias = Any
"""A google.protobuf.FileDescriptorProto."""

_WELL_KNOWN: Final = re.compile(r"google/protobuf/((?:compiler/)?[a-z_]{1,40})\.proto")


def gather(sets: Iterable[bytes]) -> dict[str, bytes]:
    """The serialized files in FileDescriptorSets and FileDescriptorProtos, by name. Raises Invalid.

    `at` of an Invalid starts with the place of the set among `sets`.
    """
    made: dict[str, bytes] = {}
    for i, data in enumerate(sets):
        for name, raw in _files(data, i):
            other = made.setdefault(name, raw)
            if other != raw:
                made[name] = _settled(name, other, raw, i)
    return made


def _files(data: bytes, i: int) -> Iterator[tuple[str, bytes]]:
    fields = tree.scan(data)
    if not fields:
        raise Invalid((i,), "no descriptor set: it holds no files")
    if all(number == 1 and wire == tree.LENGTH for number, wire, _ in fields):
        named = [(_name(raw), raw) for _, _, raw in fields]
        if all(name for name, _ in named):
            yield from ((name, raw) for name, raw in named if name)
            return
    name = _name(data)
    if name is None:
        raise Invalid((i,), "no descriptor set (as protoc --descriptor_set_out writes it)")
    yield name, data


def _name(raw: bytes) -> str | None:
    """The name of a FileDescriptorProto; None for what is none."""
    proto = parsed(raw)
    # the library gives bytes for a text that is no UTF-8
    if proto is None or not all(isinstance(text, str) for text in (proto.name, *proto.dependency)):
        return None
    name: str = proto.name
    return name if name.isprintable() and name else None


def parsed(raw: bytes) -> Proto | None:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto
    from google.protobuf.message import DecodeError

    try:
        return FileDescriptorProto.FromString(raw)
    except DecodeError:
        return None


def _settled(name: str, one: bytes, other: bytes, i: int) -> bytes:
    """Which of two copies counts, whatever their order."""
    supplied = _supplied(name)
    if supplied is not None:
        return supplied
    if _essence(one) != _essence(other):
        raise Invalid((i,), f"{name} is there twice, with different content")
    return min(one, other)


def _essence(raw: bytes) -> Proto:
    proto = parsed(raw)
    assert proto is not None
    proto.ClearField("source_code_info")
    _drop_names(proto.extension)
    waiting = list(proto.message_type)
    while waiting:
        message = waiting.pop()
        _drop_names(message.field)
        _drop_names(message.extension)
        waiting.extend(message.nested_type)
    return proto


def _drop_names(fields: Iterable[Any]) -> None:
    """protoc writes every json_name, generated code leaves out those that follow from the name."""
    for field in fields:
        name = field.name if isinstance(field.name, str) else ""  # bytes, which will not link
        if field.json_name == re.sub("_+([^_]?)", lambda found: found[1].upper(), name):
            field.ClearField("json_name")


def _supplied(name: str) -> bytes | None:
    """A file that the protobuf package brings along."""
    match = _WELL_KNOWN.fullmatch(name)
    if match is None:
        return None
    try:
        module = import_module(f"google.protobuf.{match[1].replace('/', '.')}_pb2")
    except ModuleNotFoundError:
        return None
    raw: bytes = module.DESCRIPTOR.serialized_pb
    return raw


def completed(files: Mapping[str, bytes]) -> dict[str, Proto]:
    """The files and what they import, each after its imports. Raises Invalid."""
    protos: dict[str, Proto] = {}
    for name in sorted(files):
        _visit(name, files, protos)
    return protos


def _visit(start: str, files: Mapping[str, bytes], protos: dict[str, Proto]) -> None:
    """Adds `start` to `protos`, its imports first."""
    trail: dict[str, tuple[Proto, Iterator[str]]] = {}
    name, importer = start, ""
    while True:
        if name in trail:
            raise Invalid((), f"{name} imports itself, directly or through others")
        if name not in protos:
            proto = _proto(name, files, importer)
            trail[name] = (proto, iter(proto.dependency))
        while trail:
            importer = next(reversed(trail))
            proto, imports = trail[importer]
            following = next(imports, None)
            if following is not None:
                name = following
                break
            protos[importer] = trail.pop(importer)[0]
        else:
            return


def _proto(name: str, files: Mapping[str, bytes], importer: str) -> Proto:
    raw = files.get(name) or _supplied(name)
    proto = parsed(raw) if raw is not None else None
    if proto is None:
        raise Invalid((), f"{importer} imports {name}, which is not there")
    return proto


def linked(files: Mapping[str, bytes], protos: Mapping[str, Proto]) -> Any:
    """A DescriptorPool of its own that holds these files. Raises Invalid."""
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message import DecodeError

    pool = DescriptorPool()
    for name, proto in protos.items():
        raw = files.get(name) or proto.SerializeToString()
        try:
            pool.AddSerializedFile(raw)
        except (TypeError, ValueError, KeyError, DecodeError) as error:
            raise Invalid((), f"{name} does not link: {error}") from None
    return pool


def found(look_up: Callable[[str], Any], name: str) -> Any | None:
    """What a pool has under a name, whatever the name holds."""
    try:
        return look_up(name)
    except (KeyError, ValueError, TypeError):
        return None


def symbols(proto: Proto) -> Iterator[str]:
    """The full names of everything that a file declares."""
    prefix = f"{proto.package}." if proto.package else ""
    for service in proto.service:
        yield prefix + service.name
        yield from (f"{prefix}{service.name}.{method.name}" for method in service.method)
    yield from _enums(prefix, proto.enum_type)
    yield from (prefix + field.name for field in proto.extension)
    for name, message in messages(proto):
        yield name
        yield from _enums(f"{name}.", message.enum_type)
        for part in (message.field, message.oneof_decl, message.extension):
            yield from (f"{name}.{member.name}" for member in part)


def _enums(prefix: str, enums: Iterable[Any]) -> Iterator[str]:
    """The values of an enum are named beside it, as in C++."""
    for enum in enums:
        yield prefix + enum.name
        yield from (prefix + value.name for value in enum.value)


def messages(proto: Proto) -> Iterator[tuple[str, Any]]:
    """Every message type of a file with its full name, nested ones included."""
    prefix = f"{proto.package}." if proto.package else ""
    waiting = [(prefix + message.name, message) for message in proto.message_type]
    while waiting:
        name, message = waiting.pop()
        yield name, message
        waiting.extend((f"{name}.{inner.name}", inner) for inner in message.nested_type)
