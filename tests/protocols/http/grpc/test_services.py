"""What the mock answers by itself, read with the messages that grpcio's packages generated."""

import gzip
import subprocess
import sys

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from svcmock.noise import Noise
from svcmock.protocol import Context, Spooled
from svcmock_protocols.http.grpc.framing import Message, frame, split
from svcmock_protocols.http.grpc.services import BUILTIN, HEALTH, REFLECTION, builtin
from svcmock_protocols.http.messages import Options, Reply, Request
from tests.protocols.conformance import mutate
from tests.protocols.http.grpc.protos import schema
from tests.protocols.http.grpc.test_reflection import strip

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
V1 = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
V1ALPHA = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
BLOCK = b"host: a\r\ncontent-type: application/grpc\r\nte: trailers\r\n"
SERVING, UNKNOWN = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def context(known=None, **options) -> Context:
    return Context(options=Options(**options), ignore=Noise(), token=lambda value: value, schema=known)


def ask(path: str, data: bytes = b"", said: bytes = b"1 ", known=None, block: bytes = BLOCK) -> Reply | None:
    body = data if said[:1] in (b"e", b"o") else frame(Message(data))
    return builtin(Request(b"POST", path.encode(), b"2", block, body, b"", said), context(known))


def told(reply: Reply | None) -> bytes:
    """The one message of a reply after which the call goes on."""
    assert reply is not None
    assert isinstance(reply.body, bytes)
    assert (reply.status, reply.version, reply.framing, reply.more) == (200, b"2", "chunked", False)
    assert (reply.block, reply.trailers) == (b"content-type: application/grpc\r\n", b"grpc-status: 0\r\n")
    (message,) = split(reply.body)
    assert not message.compressed
    return message.data


def status(reply: Reply | None) -> bytes:
    """The status of a reply that ends the call, and has nothing else."""
    assert reply is not None
    assert (reply.body, reply.trailers, reply.more) == (b"", b"", False)
    return reply.block.partition(b"grpc-status: ")[2].partition(b"\r\n")[0]


def test_these_are_answered():
    assert {CHECK, WATCH, V1, V1ALPHA} == BUILTIN


@pytest.mark.parametrize("path", ["/shop.Catalog/GetItem", "/grpc.health.v1.Health/check", "/", "*", "\u00ff"])
def test_nothing_else_is(path):
    assert ask(path) is None


@pytest.mark.parametrize("path", sorted(BUILTIN))
def test_the_beginning_is_not(path):
    assert ask(path, said=b"open") is None


@pytest.mark.parametrize("content", [b"application/json", b"application/grpc+json", b"application/grpc-web"])
def test_other_encodings_are_not(content):
    assert ask(CHECK, block=b"content-type: %b\r\n" % content) is None


@pytest.mark.parametrize("path", sorted(BUILTIN - {WATCH}))
def test_at_the_end_there_is_nothing_to_say(path):
    assert ask(path, said=b"end 0123") is None


def test_a_watch_stays_open():
    reply = ask(WATCH, said=b"end 0123")
    assert reply is not None
    assert (reply.more, reply.body, reply.trailers) == (True, b"", b"")


def whole(path: str, *messages: bytes, known=None) -> Reply | None:
    """The answer to a call that is asked for as a whole."""
    body = b"".join(frame(Message(data)) for data in messages)
    return builtin(Request(b"POST", path.encode(), b"2", BLOCK, body), context(known))


def test_a_whole_call_is_answered_too():
    assert state(whole(CHECK, check(""))) == SERVING
    assert status(whole(CHECK, check("a.B"), known=schema())) == b"5"
    watching = whole(WATCH, check("a.B"), known=schema())
    assert watching is not None
    assert (watching.body, watching.more, watching.trailers) == (b"\0\0\0\0\2\x08\3", True, b"")
    reply = whole(V1, b"\x3a\0", b"\x32\1a")
    assert reply is not None
    assert isinstance(reply.body, bytes)
    assert len(split(reply.body)) == 2
    assert reply.trailers == b"grpc-status: 0\r\n"


@pytest.mark.parametrize("path", [CHECK, WATCH])
@pytest.mark.parametrize("messages", [(), (b"", b"")])
def test_a_call_of_health_has_one_message(path, messages):
    assert status(whole(path, *messages)) == b"12"


def test_a_call_of_reflection_may_have_none():
    reply = whole(V1)
    assert reply is not None
    assert (reply.body, reply.trailers) == (b"", b"grpc-status: 0\r\n")


def test_a_call_that_is_not_in_memory_is_refused():
    body = Spooled(1, 1 << 30, "")
    assert status(builtin(Request(b"POST", CHECK.encode(), b"2", BLOCK, body), context())) == b"8"


# --- health ---


def check(service: str) -> bytes:
    return health_pb2.HealthCheckRequest(service=service).SerializeToString()


def state(reply: Reply | None) -> int:
    return health_pb2.HealthCheckResponse.FromString(told(reply)).status


@pytest.mark.parametrize("path", [CHECK, WATCH])
@pytest.mark.parametrize("service", ["", "kinds.v3.Forest", "kinds.v3.Idle", HEALTH, *REFLECTION])
def test_a_service_of_the_schema_is_serving(path, service):
    assert state(ask(path, check(service), known=schema())) == SERVING


def test_another_is_not():
    reply = ask(CHECK, check("kinds.v3.Forrest"), known=schema())
    assert status(reply) == b"5"
    assert reply is not None
    assert b"grpc-message: the schema has no service 'kinds.v3.Forrest'\r\n" in reply.block
    assert state(ask(WATCH, check("kinds.v3.Forrest"), known=schema())) == UNKNOWN


@pytest.mark.parametrize("path", [CHECK, WATCH])
@pytest.mark.parametrize("service", ["", "any.Thing", HEALTH])
def test_without_a_schema_all_are(path, service):
    assert state(ask(path, check(service))) == SERVING


@pytest.mark.parametrize("path", sorted(BUILTIN))
@pytest.mark.parametrize("data", [b"\x0a\x05a", b"\x0a\x01\xff", b"\xff"])
def test_a_malformed_message_is_an_invalid_argument(path, data):
    assert status(ask(path, data)) == b"3"


@pytest.mark.parametrize("body", [b"", frame(Message(b"")) * 2, b"\0\0\0"])
def test_a_part_is_one_message(body):
    request = Request(b"POST", CHECK.encode(), b"2", BLOCK, body, b"", b"1 ")
    assert status(builtin(request, context())) in (b"3", b"13")


@pytest.mark.parametrize("path", [CHECK, WATCH])
def test_a_second_message_is_one_too_many(path):
    assert status(ask(path, said=b"2 0123")) == b"12"


def test_a_compressed_message_is_unpacked():
    body = frame(Message(gzip.compress(check("kinds.v3.Idle")), compressed=True))
    block = BLOCK + b"grpc-encoding: gzip\r\n"
    request = Request(b"POST", CHECK.encode(), b"2", block, body, b"", b"1 ")
    assert state(builtin(request, context(schema()))) == SERVING
    without = Request(b"POST", CHECK.encode(), b"2", BLOCK, body, b"", b"1 ")
    assert status(builtin(without, context(schema()))) == b"13"


def test_a_message_that_unfolds_too_far_is_refused():
    body = frame(Message(gzip.compress(check("a" * 10_000)), compressed=True))
    request = Request(b"POST", CHECK.encode(), b"2", BLOCK + b"grpc-encoding: gzip\r\n", body, b"", b"1 ")
    assert status(builtin(request, context(max_message=1000))) == b"8"


# --- reflection ---


def reflect(known=None, path=V1, said=b"1 ", **request) -> pb.ServerReflectionResponse:
    data = pb.ServerReflectionRequest(**request).SerializeToString()
    return pb.ServerReflectionResponse.FromString(told(ask(path, data, said, known)))


def listed(response) -> list[str]:
    return [service.name for service in response.list_services_response.service]


OWN = ["grpc.health.v1.Health", *REFLECTION]


@pytest.mark.parametrize("path", [V1, V1ALPHA])
def test_services_are_listed(path):
    assert listed(reflect(schema(), path, list_services="*")) == [*OWN, "kinds.v3.Forest", "kinds.v3.Idle"]
    assert listed(reflect(None, path, list_services="*")) == OWN


def test_a_later_message_is_answered_like_the_first():
    assert listed(reflect(said=b"7 0123", list_services="")) == OWN


@pytest.mark.parametrize("known", [None, schema])
def test_whatever_is_listed_has_a_file(known):
    known = known and known()
    for name in listed(reflect(known, list_services="*")):
        files = reflect(known, file_containing_symbol=name).file_descriptor_response.file_descriptor_proto
        first = FileDescriptorProto.FromString(files[0])
        assert name in [f"{first.package}.{service.name}" for service in first.service]


def test_the_files_of_the_schema_are_told():
    files = reflect(schema(), file_by_filename="kinds/v2.proto").file_descriptor_response.file_descriptor_proto
    assert FileDescriptorProto.FromString(files[0]).name == "kinds/v2.proto"


def test_what_is_not_there_is_said():
    assert reflect(schema(), file_containing_symbol="kinds.v3.Tee").error_response.error_code == 5
    assert reflect(None, file_containing_symbol="kinds.v3.Tree").error_response.error_code == 5


def own_file(name: str) -> FileDescriptorProto:
    (raw,) = reflect(None, file_by_filename=name).file_descriptor_response.file_descriptor_proto
    return FileDescriptorProto.FromString(raw)


def generated(module, path: str) -> FileDescriptorProto:
    """The file of a generated module, without what its options tell compilers."""
    file = strip(module.DESCRIPTOR.serialized_pb)
    file.name = path
    file.ClearField("options")
    return file


def test_the_file_of_reflection_is_the_real_one():
    real = generated(pb, "grpc/reflection/v1alpha/reflection.proto")
    assert own_file("grpc/reflection/v1alpha/reflection.proto") == real
    assert str(own_file("grpc/reflection/v1/reflection.proto")) == str(real).replace("v1alpha", "v1")


def test_the_file_of_health_has_what_is_answered_of_the_real_one():
    real = generated(health_pb2, "grpc/health/v1/health.proto")
    for name in ("HealthListRequest", "HealthListResponse"):
        real.message_type.remove(next(one for one in real.message_type if one.name == name))
    real.service[0].method.remove(next(one for one in real.service[0].method if one.name == "List"))
    assert own_file("grpc/health/v1/health.proto") == real


# --- whatever comes ---


@given(
    path=st.sampled_from(sorted(BUILTIN)),
    said=st.sampled_from([b"", b"open", b"1 ", b"2 00", b"end ", b"x"]),
    body=st.binary(max_size=40)
    | st.builds(
        mutate,
        st.sampled_from([frame(Message(check("kinds.v3.Idle"))), frame(Message(b"\x3a\x01*"))]),
        st.integers(0, 1 << 32),
    ),
    known=st.booleans(),
)
def test_no_bytes_make_it_raise(path, said, body, known):
    request = Request(b"POST", path.encode(), b"2", BLOCK + b"grpc-encoding: gzip\r\n", body, b"", said)
    builtin(request, context(schema() if known else None))


def test_protobuf_is_imported_when_it_is_needed():
    code = "import sys; import svcmock_protocols.http.grpc.services; sys.exit('google.protobuf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_schema_that_has_these_services_tells_its_own():
    file = FileDescriptorProto(name="mine/health.proto", package="grpc.health.v1", syntax="proto3")
    file.message_type.add(name="HealthCheckRequest")
    file.service.add(name="Health").method.add(
        name="Check",
        input_type=".grpc.health.v1.HealthCheckRequest",
        output_type=".grpc.health.v1.HealthCheckRequest",
    )
    known = type(schema()).of([file.SerializeToString()])
    (raw,) = reflect(known, file_containing_symbol=HEALTH).file_descriptor_response.file_descriptor_proto
    assert FileDescriptorProto.FromString(raw).name == "mine/health.proto"
    assert listed(reflect(known, list_services="")) == OWN
