"""A schema with every kind of field, and random messages of it that the protobuf library builds."""

import struct
from functools import cache

from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from svcmock_protocols.http.grpc.compiler import compile_protos
from svcmock_protocols.http.grpc.schema import Schema

KINDS3 = b"""syntax = "proto3";
package kinds.v3;

import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

enum Color { NO_COLOR = 0; RED = 1; DEEP_BLUE = 2; BELOW = -3; }
enum Alias { option allow_alias = true; NOTHING = 0; FIRST = 1; AGAIN = 1; }

message Scalars {
  double double_value = 1; float float_value = 2; int32 int32_value = 3; int64 int64_value = 4;
  uint32 uint32_value = 5; uint64 uint64_value = 6; sint32 sint32_value = 7; sint64 sint64_value = 8;
  fixed32 fixed32_value = 9; fixed64 fixed64_value = 10; sfixed32 sfixed32_value = 11;
  sfixed64 sfixed64_value = 12; bool bool_value = 13; string string_value = 14; Color color = 16;
  Alias alias = 17;
  optional int32 maybe_int = 20; optional string maybe_text = 21; optional Color maybe_color = 22;
  optional double maybe_double = 23; optional bool maybe_bool = 24;
}

message Lists {
  repeated double doubles = 1; repeated float floats = 2; repeated int32 ints = 3; repeated int64 longs = 4;
  repeated sint64 zigzags = 5; repeated fixed32 fixed = 6; repeated bool bools = 7; repeated string texts = 8;
  repeated Color colors = 9; repeated Scalars messages = 10; repeated int32 unpacked = 11 [packed = false];
}

message Maps {
  map<string, string> texts = 1; map<int32, int64> ints = 2; map<bool, Color> colors = 3;
  map<sint64, Scalars> messages = 4; map<fixed64, double> doubles = 5; map<uint64, bool> flags = 6;
}

message Choice {
  oneof choice {
    int32 number = 1; string text = 2; Scalars message = 3; Color color = 4; bool flag = 5;
    google.protobuf.Empty nothing = 6; google.protobuf.Value any_json = 7;
  }
  oneof second { int64 left = 8; int64 right = 9; }
}

message Known {
  google.protobuf.Timestamp at = 1; google.protobuf.Duration took = 2; google.protobuf.FieldMask mask = 3;
  google.protobuf.Struct struct = 4; google.protobuf.Value value = 5; google.protobuf.ListValue list = 6;
  google.protobuf.Empty empty = 7; google.protobuf.Int64Value long = 8; google.protobuf.UInt64Value ulong = 9;
  google.protobuf.DoubleValue double = 10; google.protobuf.FloatValue float = 11;
  google.protobuf.BoolValue bool = 12; google.protobuf.StringValue text = 13;
  google.protobuf.Int32Value int = 14; google.protobuf.UInt32Value uint = 15;
  repeated google.protobuf.Timestamp times = 17;
  map<string, google.protobuf.Value> values = 18; repeated google.protobuf.Value json = 19;
  repeated google.protobuf.Int32Value ints = 20; google.protobuf.Any any = 21;
}

message Binary {
  bytes data = 1; repeated bytes parts = 2; map<string, bytes> named = 3;
  google.protobuf.BytesValue wrapped = 4; optional bytes maybe = 5;
}

message Tree {
  message Leaf { string name = 1; int32 size = 2; }
  string name = 1; Tree left = 2; Tree right = 3; repeated Tree children = 4; Leaf leaf = 5; Lists lists = 6;
  Maps maps = 7; Choice choice = 8; Known known = 9; Binary binary = 10; Scalars scalars = 11;
}

service Forest {
  rpc Plant(Tree) returns (Tree.Leaf);
  rpc Watch(Choice) returns (stream Tree);
  rpc Sow(stream Tree) returns (google.protobuf.Empty);
  rpc Talk(stream Tree) returns (stream Tree);
}
service Idle {}
"""

KINDS2 = b"""syntax = "proto2";
package kinds.v2;

import "kinds/v3.proto";

enum Level { LOWEST = 0; LOW = 1; HIGH = 5; }

message Old {
  required string name = 1; optional int32 count = 2 [default = 7]; optional Level level = 3 [default = HIGH];
  repeated Level levels = 4 [packed = true]; optional bytes raw = 5 [default = "x"]; optional Old inner = 6;
  repeated group Part = 7 { optional string label = 8; } optional kinds.v3.Color color = 9;
  map<string, Level> by_name = 10; optional float ratio = 11; repeated int32 loose = 12;
  extensions 100 to 199;
}

extend Old {
  optional string note = 100; repeated int32 marks = 101; optional Old deeper = 102;
}
message Scope { extend Old { optional Level grade = 110; } }
"""

EDITION = b"""edition = "2023";
package kinds.e;
option features.field_presence = IMPLICIT;

message New {
  int32 implicit = 1;
  int32 explicit = 2 [features.field_presence = EXPLICIT];
  Inner delimited = 3 [features.message_encoding = DELIMITED];
  repeated int32 expanded = 4 [features.repeated_field_encoding = EXPANDED];
  string loose = 5 [features.utf8_validation = NONE];
  message Inner { string text = 1; }
}
"""

FILES = {"kinds/v3.proto": KINDS3, "kinds/v2.proto": KINDS2, "kinds/edition.proto": EDITION}
TYPES3 = ("Scalars", "Lists", "Maps", "Choice", "Known", "Binary", "Tree")
TYPES = (*(f"kinds.v3.{name}" for name in TYPES3), "kinds.v2.Old", "kinds.e.New")


@cache
def descriptor_set() -> bytes:
    return compile_protos(FILES, FILES)


@cache
def schema() -> Schema:
    return Schema.of([descriptor_set()])


@cache
def message_class(name):
    return GetMessageClass(schema()._pool.FindMessageTypeByName(name))


# --- random messages ----------------------------------------------------------------------------------


def _float32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


INTS = {
    **dict.fromkeys((5, 15, 17), st.integers(-(2**31), 2**31 - 1)),
    **dict.fromkeys((3, 16, 18), st.integers(-(2**63), 2**63 - 1)),
    **dict.fromkeys((13, 7), st.integers(0, 2**32 - 1)),
    **dict.fromkeys((4, 6), st.integers(0, 2**64 - 1)),
}
NAN = float("nan")
MAX_FLOAT = _float32(3.4028235e38)
DOUBLES = st.floats(allow_nan=False) | st.just(NAN)
# without the greatest of them: the library's JSON writes it as a number that it does not read
FLOATS = st.floats(width=32, allow_nan=False).filter(lambda value: abs(value) != MAX_FLOAT) | st.just(NAN)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
SCALARS = {**INTS, 1: DOUBLES, 2: FLOATS, 8: st.booleans(), 9: TEXTS, 12: st.binary(max_size=80)}

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def messages(draw, name, depth=2):
    made = message_class(name)()
    fill(draw, made, depth)
    return made


def fill(draw, message, depth):
    """Sets some of the fields, whatever their kind, by nothing but the library's own interface."""
    fields = list(message.DESCRIPTOR.fields)
    for field in draw(st.lists(st.sampled_from(fields), max_size=5)) if fields else ():
        set_field(draw, message, field, depth)
    for field in fields:
        if field.is_required:
            set_field(draw, message, field, depth)


def set_field(draw, message, field, depth):
    target = getattr(message, field.name)
    inner = field.message_type
    if inner is None:
        value = scalar(field)
        if field.is_repeated:
            target.extend(draw(st.lists(value, max_size=4)))
        else:
            setattr(message, field.name, draw(value))
    elif inner.GetOptions().map_entry:
        set_map(draw, target, inner, depth)
    elif depth:
        for _ in range(draw(st.integers(0, 2)) if field.is_repeated else 1):
            one = target.add() if field.is_repeated else target
            one.SetInParent()
            set_message(draw, one, depth - 1)


def set_map(draw, target, entry, depth):
    key, value = (entry.fields_by_name[name] for name in ("key", "value"))
    for item in draw(st.lists(scalar(key), max_size=3)):
        if value.message_type is None:
            target[item] = draw(scalar(value))
        else:
            set_message(draw, target[item], depth)


def scalar(field):
    if field.enum_type is None:
        return SCALARS[field.type]
    known = st.sampled_from([value.number for value in field.enum_type.values])
    return known if field.enum_type.is_closed else known | st.integers(-(2**31), 2**31 - 1)


def set_message(draw, message, depth):
    match message.DESCRIPTOR.full_name.removeprefix("google.protobuf."):
        case "Timestamp":
            message.seconds = draw(st.integers(-62135596800, 253402300799))
            message.nanos = draw(st.sampled_from([0, 0, 10**6, 123_456_000]) | st.integers(0, 10**9 - 1))
        case "Duration":
            sign = draw(st.sampled_from([1, -1]))
            message.seconds = sign * draw(st.integers(0, 315_576_000_000))
            message.nanos = sign * draw(st.sampled_from([0, 0, 10**6]) | st.integers(0, 10**9 - 1))
        case "FieldMask":
            message.paths.extend(draw(st.lists(st.from_regex(r"[a-z]+(_[a-z]+)?(\.[a-z]+)?", fullmatch=True))))
        case "Struct":
            message.update(draw(st.dictionaries(TEXTS, JSON, max_size=3)))
        case "ListValue":
            message.extend(draw(st.lists(JSON, max_size=3)))
        case "Value":
            set_value(message, draw(JSON))
        case "Any":
            inner = message_class("kinds.v3.Choice")()
            fill(draw, inner, depth)
            message.Pack(inner, deterministic=True)
        case _:
            fill(draw, message, depth)


def set_value(message, doc):
    match doc:
        case None:
            message.null_value = 0
        case bool():
            message.bool_value = doc
        case float():
            message.number_value = doc
        case str():
            message.string_value = doc
        case list():
            message.list_value.SetInParent()
            message.list_value.extend(doc)
        case dict():
            message.struct_value.SetInParent()
            message.struct_value.update(doc)
