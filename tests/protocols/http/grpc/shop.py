"""A service whose calls the tests make: its schema, and its messages as the protobuf library makes them."""

from functools import cache

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass

from svcmock.noise import Noise
from svcmock.protocol import Blob, Context, Invalid
from svcmock_protocols.http import plugin
from svcmock_protocols.http.grpc.compiler import compile_protos
from svcmock_protocols.http.grpc.framing import Message, frame
from svcmock_protocols.http.grpc.schema import Schema
from svcmock_protocols.http.messages import Options, Reply, Request

PROTO = b"""syntax = "proto3";
package shop;

message Id { int64 id = 1; string note = 2; }
message Item {
  int64 id = 1; string name = 2; double price = 3; repeated string tags = 4; map<string, int32> stock = 5;
  Item like = 6; bytes picture = 7; string api_key = 8; bytes secret = 9;
}

service Catalog {
  rpc GetItem(Id) returns (Item);
  rpc List(Id) returns (stream Item);
  rpc Add(stream Item) returns (Id);
  rpc Watch(stream Id) returns (stream Item);
}
"""
TYPE = b"content-type: application/grpc\r\n"
USUAL = b"te: trailers\r\n" + TYPE


@cache
def descriptor_set():
    return compile_protos({"shop.proto": PROTO}, ["shop.proto"])


@cache
def schema():
    return Schema.of([descriptor_set()])


@cache
def kind(name):
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set()).file:
        pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"shop.{name}"))


def encoded(name, /, **members):
    return kind(name)(**members).SerializeToString(deterministic=True)


def body(*messages):
    return b"".join(frame(one if isinstance(one, Message) else Message(one)) for one in messages)


def call(*messages, rpc="GetItem", block=USUAL, **more):
    return Request(b"POST", f"/shop.Catalog/{rpc}".encode(), b"2", block, body(*messages), **more)


def answer(*messages, block=TYPE, trailers=b"grpc-status: 0\r\n", **more):
    return Reply(
        200, block=block, body=body(*messages), framing="chunked", trailers=trailers, version=b"2", **more
    )


def token(secret):
    return (
        secret
        if secret.startswith(b"svcmock-")
        else b"svcmock-" + (secret.hex()[:24] + "a" * 24)[:24].translate(str.maketrans("0189", "gh23")).encode()
    )


def context(*ignore, known=True, **options):
    noise = Noise((*plugin.noise, *ignore))
    return Context(Options(**options), noise, token, schema=schema() if known else None)


class Files:
    """A project's files in memory."""

    def __init__(self, held=None):
        self.held = dict(held or {})

    def __call__(self, name):
        if name not in self.held:
            raise Invalid((), f"no file {name}")
        return Blob(name, len(self.held[name]))

    def read(self, blob):
        return self.held[blob.path]
