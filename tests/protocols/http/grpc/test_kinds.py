"""What the descriptors of fields say: ranges, wire types, labels, and which types have a form of their own."""

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from svcmock_protocols.http.grpc import kinds, tree
from tests.protocols.http.grpc.protos import message_class


def field(path):
    name, _, member = path.rpartition(".")
    return message_class(f"kinds.{name}").DESCRIPTOR.fields_by_name[member]


@pytest.mark.parametrize(
    ("path", "low", "high"),
    [
        ("v3.Scalars.int32_value", -2147483648, 2147483647),
        ("v3.Scalars.sint32_value", -2147483648, 2147483647),
        ("v3.Scalars.sfixed32_value", -2147483648, 2147483647),
        ("v3.Scalars.int64_value", -9223372036854775808, 9223372036854775807),
        ("v3.Scalars.sint64_value", -9223372036854775808, 9223372036854775807),
        ("v3.Scalars.sfixed64_value", -9223372036854775808, 9223372036854775807),
        ("v3.Scalars.uint32_value", 0, 4294967295),
        ("v3.Scalars.fixed32_value", 0, 4294967295),
        ("v3.Scalars.uint64_value", 0, 18446744073709551615),
        ("v3.Scalars.fixed64_value", 0, 18446744073709551615),
    ],
)
def test_the_ranges_are_what_the_library_takes(path, low, high):
    one = field(path)
    assert kinds.INTEGERS[one.type] == (low, high)
    message = message_class("kinds.v3.Scalars")()
    for value in (low, high):
        setattr(message, one.name, value)
        assert getattr(message, one.name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match="out of range"):
            setattr(message, one.name, value)


def test_the_numbers_are_those_of_descriptor_proto():
    theirs = descriptor_pb2.FieldDescriptorProto.Type.items()
    assert {name.removeprefix("TYPE_"): number for name, number in theirs} == {
        name: number for name, number in vars(kinds).items() if name.isupper() and isinstance(number, int)
    }
    assert {number: name.removeprefix("TYPE_").lower() for name, number in theirs} == {
        **kinds.NAMES,
        kinds.GROUP: "group",
        kinds.MESSAGE: "message",
        kinds.ENUM: "enum",
    }


@pytest.mark.parametrize(
    ("path", "wires"),
    [
        ("v3.Scalars.double_value", {tree.FIXED64}),
        ("v3.Scalars.fixed64_value", {tree.FIXED64}),
        ("v3.Scalars.sfixed64_value", {tree.FIXED64}),
        ("v3.Scalars.sfixed32_value", {tree.FIXED32}),
        ("v3.Scalars.float_value", {tree.FIXED32}),
        ("v3.Scalars.fixed32_value", {tree.FIXED32}),
        ("v3.Scalars.sint64_value", {tree.VARINT}),
        ("v3.Scalars.bool_value", {tree.VARINT}),
        ("v3.Scalars.color", {tree.VARINT}),
        ("v3.Scalars.string_value", {tree.LENGTH}),
        ("v3.Binary.data", {tree.LENGTH}),
        ("v3.Tree.left", {tree.LENGTH}),
        ("v3.Maps.texts", {tree.LENGTH}),
        ("v3.Lists.texts", {tree.LENGTH}),
        ("v3.Lists.messages", {tree.LENGTH}),
        ("v3.Lists.doubles", {tree.FIXED64, tree.LENGTH}),
        ("v3.Lists.fixed", {tree.FIXED32, tree.LENGTH}),
        ("v3.Lists.colors", {tree.VARINT, tree.LENGTH}),
        ("v3.Lists.unpacked", {tree.VARINT, tree.LENGTH}),
        ("v2.Old.loose", {tree.VARINT, tree.LENGTH}),
        ("v2.Old.part", {tree.GROUP}),
        ("e.New.delimited", {tree.GROUP}),
    ],
)
def test_wire_types_that_fit(path, wires):
    assert {wire for wire in range(8) if kinds.fits(field(path), wire)} == wires


@pytest.mark.parametrize(
    ("path", "label", "is_map"),
    [
        ("v3.Scalars.sfixed64_value", "sfixed64", False),
        ("v3.Scalars.maybe_text", "string", False),
        ("v3.Scalars.color", "kinds.v3.Color", False),
        ("v3.Binary.parts", "repeated bytes", False),
        ("v3.Lists.messages", "repeated kinds.v3.Scalars", False),
        ("v3.Maps.flags", "map<uint64, bool>", True),
        ("v3.Maps.messages", "map<sint64, kinds.v3.Scalars>", True),
        ("v2.Old.by_name", "map<string, kinds.v2.Level>", True),
        ("v2.Old.part", "repeated kinds.v2.Old.Part", False),
        ("v3.Known.values", "map<string, google.protobuf.Value>", True),
    ],
)
def test_labels(path, label, is_map):
    assert kinds.label(field(path)) == label
    assert kinds.is_map(field(path)) is is_map


@pytest.mark.parametrize(
    ("name", "is_known"),
    [
        *((name, True) for name in sorted(kinds.WRAPPERS)),
        *((name, True) for name in (kinds.ANY, kinds.DURATION, kinds.FIELD_MASK, kinds.LIST_VALUE)),
        *((name, True) for name in (kinds.STRUCT, kinds.TIMESTAMP, kinds.VALUE)),
        ("google.protobuf.Empty", False),
        ("kinds.v3.Scalars", False),
    ],
)
def test_types_with_a_form_of_their_own(name, is_known):
    assert kinds.is_well_known(message_class(name).DESCRIPTOR) is is_known
    assert len(kinds.WRAPPERS) == 9


@pytest.mark.parametrize(
    ("fields", "is_known"),
    [
        ({"seconds": 1, "nanos": 2}, True),
        ({"nanos": 2, "seconds": 1}, True),
        ({"seconds": 1, "nanos": 3}, False),
        ({"seconds": 1, "nano": 2}, False),
        ({"seconds": 1}, False),
        ({"seconds": 1, "nanos": 2, "zone": 3}, False),
        ({}, False),
    ],
)
def test_a_namesake_is_told_by_its_fields(fields, is_known):
    parts = [
        descriptor_pb2.FieldDescriptorProto(name=name, number=number, label=1, type=kinds.INT64)
        for name, number in fields.items()
    ]
    message = descriptor_pb2.DescriptorProto(name="Timestamp", field=parts)
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="a", package="google.protobuf", message_type=[message])
    pool.AddSerializedFile(file.SerializeToString())
    assert kinds.is_well_known(pool.FindMessageTypeByName(kinds.TIMESTAMP)) is is_known
