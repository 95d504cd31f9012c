"""What a service's messages mean: the types and methods of its descriptor files; bytes as documents, and back.

A Schema never changes. Reading answers for any bytes a peer sends (None: no such message); writing refuses what
a person wrote wrongly, with the path of the member at fault.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from msgspec import Struct

from svcmock.protocol import Doc, Invalid
from svcmock_protocols.http.grpc import kinds, linking, tree
from svcmock_protocols.http.grpc.building import Building
from svcmock_protocols.http.grpc.showing import Showing, UnshownError


class Method(Struct, frozen=True):
    """A method of a service; `input` and `output` are full names of messages."""

    path: str
    input: str
    output: str
    client_streaming: bool = False
    server_streaming: bool = False


class Schema:
    """Linked descriptor files. Made by `Schema.of`."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._protos = linking.completed(files)
        self._pool = linking.linked(files, self._protos)
        self._files = files
        self._showing = Showing(self._pool, self._protos)
        self._building = Building(self._pool)
        self.digest = _digest(files)
        self.methods: Mapping[str, Method] = {
            method.path: method for proto in self._protos.values() for method in _methods(proto)
        }
        self.services = tuple(sorted(name for proto in self._protos.values() for name, _ in _services(proto)))

    @classmethod
    def of(cls, sets: Iterable[bytes]) -> "Schema":
        """The schema of serialized FileDescriptorSets or FileDescriptorProtos.

        Raises Invalid. For a set that is none, `at` is its place among `sets`; where files do not link, `at` is
        empty.
        """
        return cls(linking.gather(sets))

    # --- bytes as documents ---------------------------------------------------------------------------

    def has(self, type_name: str) -> bool:
        return self._showing.named(type_name) is not None

    def to_doc(self, type_name: str, data: bytes) -> Doc | None:
        """The message as a document; None where `data` is no such message, or the type is not known."""
        known = self._showing.named(type_name)
        if known is None:
            return None
        try:
            doc = known.show(known.parse(data))
        except (self._showing.decode_error, UnshownError, RecursionError):
            return None
        # a Value that is null, alone: the one message whose document would be None
        return {kinds.FIELDS: {"null_value": "NULL_VALUE"}} if doc is None else doc

    def to_bytes(self, type_name: str, doc: Doc, at: Sequence[str | int] = ()) -> bytes:
        """The message that a document describes. Raises Invalid."""
        where = tuple(at)
        descriptor = linking.found(self._pool.FindMessageTypeByName, type_name)
        if descriptor is not None:
            return self._building.build(descriptor, doc, where)
        if tree.numbered(doc):
            return tree.write(doc, where)
        near = get_close_matches(type_name, self._messages, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise Invalid(where, f"the schema knows no message {type_name!r}{hint}")

    def exact(self, type_name: str, data: bytes) -> bool:
        """Whether the document of `data` gives exactly these bytes again."""
        doc = self.to_doc(type_name, data)
        if doc is None:
            return False
        try:
            return self.to_bytes(type_name, doc) == data
        except Invalid:
            return False

    def canonical(self, type_name: str | None, data: bytes) -> Doc:
        """What matching compares: equal documents for encodings of the same message."""
        doc = self.to_doc(type_name, data) if type_name is not None else None
        return canonical(data) if doc is None else doc

    def describe(self, type_name: str) -> dict[str, str] | None:
        """The fields of a message with their types as a .proto file says them; None where it is not known."""
        descriptor = linking.found(self._pool.FindMessageTypeByName, type_name)
        if descriptor is None:
            return None
        return {field.name: kinds.label(field) for field in descriptor.fields}

    # --- files, as reflection asks for them -----------------------------------------------------------

    def file_by_filename(self, name: str) -> list[bytes]:
        """The serialized file and all that it imports, the file first; empty where there is none."""
        found: dict[str, bytes] = {}
        waiting = [name] if name in self._protos else []
        while waiting:
            current = waiting.pop(0)
            if current not in found:
                found[current] = self._files.get(current) or self._protos[current].SerializeToString()
                waiting.extend(self._protos[current].dependency)
        return list(found.values())

    def file_containing_symbol(self, name: str) -> list[bytes]:
        """Likewise, of the file that declares a service, method, message, field, enum or extension."""
        return self.file_by_filename(self._symbols.get(name, ""))

    def file_containing_extension(self, type_name: str, number: int) -> list[bytes]:
        """Likewise, of the file that declares the extension of this message with this number."""
        return self.file_by_filename(self._extensions.get(type_name, {}).get(number, ""))

    def extension_numbers(self, type_name: str) -> list[int] | None:
        """The numbers of all extensions of a message; None where it is not known."""
        return sorted(self._extensions.get(type_name, ())) if self.has(type_name) else None

    @cached_property
    def _symbols(self) -> dict[str, str]:
        return {name: file for file, proto in self._protos.items() for name in linking.symbols(proto)}

    @cached_property
    def _messages(self) -> list[str]:
        return [name for proto in self._protos.values() for name, _ in linking.messages(proto)]

    @cached_property
    def _extensions(self) -> dict[str, dict[int, str]]:
        made: dict[str, dict[int, str]] = {}
        for file, proto in self._protos.items():
            inner = [field for _, message in linking.messages(proto) for field in message.extension]
            for field in (*proto.extension, *inner):
                made.setdefault(field.extendee.removeprefix("."), {})[field.number] = file
        return made


def canonical(data: bytes) -> Doc:
    """What matching compares where there is no schema, or the bytes do not follow it."""
    doc = tree.read(data)
    return {"bytes": data.hex()} if doc is None else doc


def _digest(files: Mapping[str, bytes]) -> bytes:
    made = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name]):
            made.update(len(part).to_bytes(8) + part)
    return made.digest()


def _services(proto: Any) -> Iterator[tuple[str, Any]]:
    prefix = f"{proto.package}." if proto.package else ""
    return ((prefix + service.name, service) for service in proto.service)


def _methods(proto: Any) -> Iterator[Method]:
    for name, service in _services(proto):
        for method in service.method:
            yield Method(
                f"/{name}/{method.name}",
                method.input_type.removeprefix("."),
                method.output_type.removeprefix("."),
                method.client_streaming,
                method.server_streaming,
            )
