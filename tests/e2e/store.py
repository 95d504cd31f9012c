"""The store of `protos/store.proto`: its messages, and its calls by name. No code is generated into the tree.

Importing this compiles the proto into the default pool, where grpcio's reflection finds it.
"""

import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from google.protobuf.message import Message
from grpc_tools import protoc
from msgspec import Struct

PROTOS = Path(__file__).with_name("protos")
PROTO = PROTOS / "store.proto"
SERVICE = "store.v1.Store"


def compiled(proto: Path) -> descriptor_pb2.FileDescriptorSet:
    """A proto and all that it imports."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "set")
        google = Path(protoc.__file__).with_name("_proto")
        argv = [
            "protoc",
            f"-I{proto.parent}",
            f"-I{google}",
            "--include_imports",
            f"--descriptor_set_out={out}",
        ]
        assert protoc.main([*argv, proto.name]) == 0
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


@cache
def pool() -> Any:
    """The default pool, with the protos of these tests in it."""
    found = descriptor_pool.Default()
    assert timestamp_pb2.DESCRIPTOR.pool is found, "what it imports is there"
    for proto in sorted(PROTOS.glob("*.proto")):
        for file in compiled(proto).file:
            if not file.name.startswith("google/protobuf/"):
                found.AddSerializedFile(file.SerializeToString())
    return found


def message(name: str) -> type[Message]:
    """The class of a message."""
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(name))


class Method(Struct, frozen=True):
    """A method as a client and a server need it."""

    path: str
    kind: str
    """As grpcio names its handlers: unary_unary, unary_stream, stream_unary or stream_stream."""
    input: type[Message]
    output: type[Message]

    def callable(self, channel: Any) -> Any:
        """What a channel, of either API, calls it by."""
        make = getattr(channel, self.kind)
        return make(
            self.path,
            request_serializer=self.input.SerializeToString,
            response_deserializer=self.output.FromString,
        )

    def handler(self, behaviour: Callable[..., Any]) -> Any:
        make = getattr(grpc, f"{self.kind}_rpc_method_handler")
        return make(
            behaviour,
            request_deserializer=self.input.FromString,
            response_serializer=self.output.SerializeToString,
        )


@cache
def methods(service: str) -> dict[str, Method]:
    """The methods of a service, by name."""
    found = {}
    for method in pool().FindServiceByName(service).methods:
        streams = (method.client_streaming, method.server_streaming)
        kind = "_".join("stream" if one else "unary" for one in streams)
        path = f"/{service}/{method.name}"
        found[method.name] = Method(
            path,
            kind,
            message_factory.GetMessageClass(method.input_type),
            message_factory.GetMessageClass(method.output_type),
        )
    return found


def serve(server: Any, service: str, behaviours: Any) -> None:
    """Add a service to a server; `behaviours` has a method for each, in small letters."""
    handlers = {
        name: method.handler(getattr(behaviours, name.lower())) for name, method in methods(service).items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def listening(port: int) -> None:
    """Tell whoever started this server."""
    sys.stdout.write(f"listening on {port}\n")
    sys.stdout.flush()


pool()
ItemRef: Any = message("store.v1.ItemRef")
Item: Any = message("store.v1.Item")
Watching: Any = message("store.v1.Watching")
Total: Any = message("store.v1.Total")
Line: Any = message("store.v1.Line")
