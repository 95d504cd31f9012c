"""The messages of reflection: literal bytes, and the generated ones and the servicer of grpcio as judges."""

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha._base import BaseReflectionServicer
from grpc_reflection.v1alpha.reflection import ReflectionServicer
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.http.grpc import reflection
from svcmock_protocols.http.grpc.framing import GrpcError
from svcmock_protocols.http.grpc.reflection import File, Question, Told
from svcmock_protocols.http.grpc.schema import Schema
from tests.protocols.conformance import mutate
from tests.protocols.http.grpc.protos import descriptor_set, schema

SERVICES = ("kinds.v3.Forest", "kinds.v3.Idle")

REQUESTS = [
    (b"\x3a\x01*", Question(reflection.LIST_SERVICES, "*")),
    (b"\x3a\x00", Question(reflection.LIST_SERVICES)),  # a member of a oneof is there even if it is empty
    (b"\x1a\x03a.b", Question(reflection.BY_FILENAME, "a.b")),
    (b"\x22\x03a.B\x0a\x01h", Question(reflection.CONTAINING_SYMBOL, "a.B", host="h")),
    (b"\x2a\x06\x0a\x02a.\x10\x64", Question(reflection.CONTAINING_EXTENSION, "a.", 100)),
    (b"\x2a\x00", Question(reflection.CONTAINING_EXTENSION)),
    (b"\x32\x01M", Question(reflection.EXTENSION_NUMBERS, "M")),
    (b"\x32\x01M\x1a\x01f", Question(reflection.BY_FILENAME, "f")),  # the last member of a oneof counts
    (b"", Question(0)),
    (b"\x48\x07\x3a\x00", Question(reflection.LIST_SERVICES)),  # a field nobody knows
    (b"\x38\x07", Question(0)),  # a known one of another type
]


@pytest.mark.parametrize(("data", "question"), REQUESTS)
def test_a_request_is_read(data, question):
    assert reflection.read_request(data) == question


@pytest.mark.parametrize(
    "data", [b"\x3a\x05a", b"\x07", b"\x22\x01\xff", b"\x0a\x01\xff", b"\x2a\x01\xff", b"\x2a\x03\x0a\x01\xff"]
)
def test_what_is_no_request_is_refused(data):
    with pytest.raises(GrpcError) as raised:
        reflection.read_request(data)
    assert raised.value.code == 3


def test_what_a_client_asks_is_what_protobuf_writes():
    made = reflection.request(reflection.CONTAINING_SYMBOL, "a.B")
    assert (
        made == pb.ServerReflectionRequest(file_containing_symbol="a.B").SerializeToString() == b"\x22\x03a.B"
    )
    assert reflection.request(reflection.LIST_SERVICES, "*") == b"\x3a\x01*"


# --- answers ---


def pool_of(data):
    pool = DescriptorPool()
    for name in ("any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers"):
        module = __import__(f"google.protobuf.{name}_pb2", fromlist=["DESCRIPTOR"])
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for file in FileDescriptorSet.FromString(data).file:
        if not file.name.startswith("google/protobuf/"):
            pool.AddSerializedFile(file.SerializeToString())
    return pool


@pytest.fixture(scope="module")
def judge() -> BaseReflectionServicer:
    return ReflectionServicer(SERVICES, pool=pool_of(descriptor_set()))


def plain(response):
    """A response in which the files have no order, and an error has no words."""
    files = sorted(
        (strip(raw) for raw in response.file_descriptor_response.file_descriptor_proto), key=lambda f: f.name
    )
    said = pb.ServerReflectionResponse.FromString(response.SerializeToString())
    said.error_response.ClearField("error_message")
    said.file_descriptor_response.ClearField("file_descriptor_proto")
    return said, files


def strip(raw):
    """A file without what generated code leaves out."""
    file = FileDescriptorProto.FromString(raw)
    file.ClearField("source_code_info")
    waiting = list(file.message_type)
    fields = list(file.extension)
    while waiting:
        message = waiting.pop()
        fields += [*message.field, *message.extension]
        waiting += message.nested_type
    for field in fields:
        field.ClearField("json_name")
    return file


def answered(request, schemas=None) -> pb.ServerReflectionResponse:
    data = reflection.answer(request.SerializeToString(), schemas or [schema()], SERVICES)
    return pb.ServerReflectionResponse.FromString(data)


Request = pb.ServerReflectionRequest
EXTENSION = pb.ExtensionRequest
QUESTIONS = [
    Request(list_services="*"),
    Request(list_services=""),
    Request(file_by_filename="kinds/v3.proto"),
    Request(file_by_filename="kinds/v2.proto"),
    Request(file_by_filename="google/protobuf/struct.proto"),
    Request(file_by_filename="kinds/none.proto"),
    Request(file_by_filename=""),
    Request(file_containing_symbol="kinds.v3.Forest"),
    Request(file_containing_symbol="kinds.v3.Tree.Leaf"),
    Request(file_containing_symbol="kinds.v3.Color"),
    Request(file_containing_symbol="kinds.v2.note"),
    Request(file_containing_symbol="kinds.v2.Scope.grade"),
    Request(file_containing_symbol="google.protobuf.Any"),
    Request(file_containing_symbol="kinds.v3.Forest.Fell"),
    Request(file_containing_symbol="\u00fc"),
    Request(file_containing_extension=EXTENSION(containing_type="kinds.v2.Old", extension_number=110)),
    Request(file_containing_extension=EXTENSION(containing_type="kinds.v2.Old", extension_number=111)),
    Request(file_containing_extension=EXTENSION(containing_type="kinds.v2.Old", extension_number=-1)),
    Request(file_containing_extension=EXTENSION(containing_type="kinds.v2.New", extension_number=1)),
    Request(all_extension_numbers_of_type="kinds.v2.Old"),
    Request(all_extension_numbers_of_type="kinds.v3.Tree"),
    Request(all_extension_numbers_of_type="kinds.v3.Color"),
    Request(all_extension_numbers_of_type="nothing"),
]


@pytest.mark.parametrize("request_", QUESTIONS, ids=lambda one: str(one).strip().replace("\n", " ")[:60])
def test_answers_are_those_of_grpcio(judge, request_):
    (theirs,) = judge.ServerReflectionInfo(iter([request_]), None)
    assert plain(answered(request_)) == plain(theirs)


def test_a_method_is_a_symbol():
    """As reflection.proto says; protobuf's pool for Python does not find it."""
    asked = Request(file_containing_symbol="kinds.v3.Forest.Plant")
    assert (
        plain(answered(asked))[1] == plain(answered(Request(file_containing_symbol="kinds.v3.Forest")))[1] != []
    )


def test_what_was_asked_is_repeated():
    request_ = Request(host="shop:50051", file_by_filename="kinds/v2.proto")
    response = answered(request_)
    assert response.valid_host == "shop:50051"
    assert response.original_request == request_
    assert len(response.file_descriptor_response.file_descriptor_proto) > 2


def test_a_field_that_nobody_knows_is_repeated_too():
    data = b"\x48\x07\x3a\x00"
    assert b"\x12\x04" + data in reflection.answer(data, [schema()], SERVICES)


def test_a_request_for_nothing_is_an_error():
    assert answered(Request()).error_response.error_code == 3


def test_an_error_says_what_is_not_there():
    told = answered(Request(file_containing_symbol="kinds.v3.Tee")).error_response
    assert (told.error_code, told.error_message) == (5, "no file declares 'kinds.v3.Tee'")
    told = answered(Request(file_by_filename="x" * 300)).error_response
    assert told.error_message == f"there is no file {'x' * 200!r}"


def test_the_first_schema_that_knows_answers():
    other = Schema.of([FileDescriptorProto(name="o.proto", package="o").SerializeToString()])
    both = [other, schema()]
    assert answered(Request(file_by_filename="o.proto"), both).file_descriptor_response.file_descriptor_proto
    assert answered(Request(file_containing_symbol="kinds.v3.Tree"), both).HasField("file_descriptor_response")
    numbers = answered(
        Request(all_extension_numbers_of_type="kinds.v2.Old"), both
    ).all_extension_numbers_response
    assert list(numbers.extension_number) == [100, 101, 102, 110]


WIRE = [one.SerializeToString() for one in QUESTIONS]


@given(st.binary(max_size=60) | st.builds(mutate, st.sampled_from(WIRE), st.integers(0, 1 << 32)))
def test_no_bytes_make_it_raise_anything_else(data):
    try:
        made = reflection.answer(data, [schema()], SERVICES)
    except GrpcError:
        return
    pb.ServerReflectionResponse.FromString(made)


# --- responses, as a client reads them ---


def told(**response) -> Told | None:
    return reflection.read_response(pb.ServerReflectionResponse(**response).SerializeToString())


def test_services_are_read():
    listed = pb.ListServiceResponse(service=[pb.ServiceResponse(name="a.B"), pb.ServiceResponse()])
    assert told(list_services_response=listed) == Told(services=("a.B",))
    assert told(list_services_response=pb.ListServiceResponse()) == Told(services=())


def test_files_are_read():
    files = pb.FileDescriptorResponse(file_descriptor_proto=[b"one", b"two"])
    assert told(file_descriptor_response=files, valid_host="h") == Told(files=(b"one", b"two"))


def test_an_error_tells_nothing():
    assert told(error_response=pb.ErrorResponse(error_code=5)) == Told()
    assert told(all_extension_numbers_response=pb.ExtensionNumberResponse(base_type_name="a")) == Told()
    assert told() == Told()


@pytest.mark.parametrize("data", [b"\x22", b"\x22\x02\x0a\x05", b"\x32\x05\x0a\x03\x0a\x01\xff"])
def test_nonsense_is_no_response(data):
    assert reflection.read_response(data) is None


def test_a_file_says_what_it_is():
    file = FileDescriptorProto(name="a.proto", package="p.q", dependency=["b.proto", "c.proto"])
    file.service.add(name="S")
    file.service.add(name="T").method.add(name="M")
    assert reflection.read_file(file.SerializeToString()) == File(
        "a.proto", ("b.proto", "c.proto"), ("p.q.S", "p.q.T")
    )
    file.ClearField("package")
    read = reflection.read_file(file.SerializeToString())
    assert read is not None
    assert read.services == ("S", "T")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"\x0a\x01\xff",
        b"\x0a\x01a\x12\x01\xff",
        b"\x0a\x01a\x1a\x01\xff",
        b"\x0a\x01a\x32\x03\x0a\x01\xff",
    ],
)
def test_what_is_no_file_is_refused(raw):
    assert reflection.read_file(raw) is None


@given(st.binary(max_size=80))
def test_no_bytes_make_a_client_raise(data):
    reflection.read_response(data)
    reflection.read_file(data)
