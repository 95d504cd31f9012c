"""Messages out of documents: the literal bytes, by name and by number, and the path of what is refused."""

import pytest

from svcmock.protocol import Invalid
from svcmock_protocols.http.grpc.building import Building
from tests.protocols.http.grpc.protos import schema

POOL = schema()._pool
BUILDING = Building(POOL)


def built(name, doc, at=()):
    return BUILDING.build(POOL.FindMessageTypeByName(name), doc, at)


def refused(name, doc):
    with pytest.raises(Invalid) as caught:
        built(name, doc, ("at", 0))
    assert caught.value.at[:2] == ("at", 0)
    return caught.value.at[2:], caught.value.why


# --- by name ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "doc", "data"),
    [
        ("v3.Scalars", {}, b""),
        ("v3.Scalars", {"maybe_int": 5, "int32_value": -1}, b"\x18" + b"\xff" * 9 + b"\x01\xa0\x01\x05"),
        ("v3.Scalars", {"maybeInt": 0, "int32_value": 0}, b"\xa0\x01\x00"),
        ("v3.Scalars", {"sint32_value": -1, "fixed32_value": 1}, b"\x38\x01\x4d\x01\x00\x00\x00"),
        ("v3.Scalars", {"maybe_text": None, "color": None, "bool_value": True}, b"\x68\x01"),
        ("v3.Lists", {"ints": [1, 2], "unpacked": [1, 2]}, b"\x1a\x02\x01\x02\x58\x01\x58\x02"),
        ("v3.Lists", {"ints": [], "messages": [{}]}, b"\x52\x00"),
        ("v3.Lists", {"ints": None, "messages": None}, b""),
        (
            "v3.Maps",
            {"ints": {"10": 1, "-1": 0}},
            b"\x12\x0d\x08" + b"\xff" * 9 + b"\x01\x10\x00\x12\x04\x08\x0a\x10\x01",
        ),
        ("v3.Maps", {"texts": {"b": "", "a": ""}}, b"\x0a\x05\x0a\x01a\x12\x00\x0a\x05\x0a\x01b\x12\x00"),
        ("v3.Maps", {"texts": None}, b""),
        ("v3.Tree", {"left": {}, "leaf": None}, b"\x12\x00"),
        ("v3.Choice", {"any_json": None}, b"\x3a\x02\x08\x00"),
        ("v3.Choice", {"number": None, "text": ""}, b"\x12\x00"),
        ("v3.Choice", {"number": 1, "right": 2}, b"\x08\x01\x48\x02"),
        ("v2.Old", {}, b""),  # what is required is not asked for
        ("v2.Old", {"part": [{"label": "x"}, {}], "count": 7}, b"\x10\x07\x3b\x42\x01x\x3c\x3b\x3c"),
        ("v2.Old", {"levels": ["HIGH", 1]}, b"\x22\x02\x05\x01"),
        ("v2.Old", {"[kinds.v2.note]": "n"}, b"\xa2\x06\x01n"),
        ("v2.Old", {"[kinds.v2.marks]": [1, 2]}, b"\xa8\x06\x01\xa8\x06\x02"),
        ("v2.Old", {"[kinds.v2.deeper]": {"count": 0}}, b"\xb2\x06\x02\x10\x00"),
        ("e.New", {"implicit": 0, "explicit": 0, "delimited": {"text": "x"}}, b"\x10\x00\x1b\x0a\x01x\x1c"),
    ],
)
def test_members_by_name(name, doc, data):
    assert built("kinds." + name, doc) == data


# --- by number ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "doc", "data"),
    [
        ("v3.Scalars", {"3": 5, "9999": 1}, b"\x18\x05\xf8\xf0\x04\x01"),
        ("v3.Scalars", {"9999": {"fixed32": 1}, "14": "x"}, b"\x72\x01x\xfd\xf0\x04\x01\x00\x00\x00"),
        ("v3.Scalars", {"7": 1}, b"\x38\x01"),  # the number on the wire, which means -1
        ("v3.Scalars", {"sint32_value": 1}, b"\x38\x02"),
        ("v3.Scalars", {"7": -1}, b"\x38" + b"\xff" * 4 + b"\x0f"),
        ("v3.Scalars", {"9": 5}, b"\x4d\x05\x00\x00\x00"),  # no varint can be meant: as the type has it
        ("v3.Scalars", {"9": {"fixed32": 5}}, b"\x4d\x05\x00\x00\x00"),
        ("v3.Scalars", {"2": 0.5, "16": "RED"}, b"\x15\x00\x00\x00\x3f\x80\x01\x01"),
        ("v3.Lists", {"3": {"hex": "0102"}}, b"\x1a\x02\x01\x02"),
        ("v3.Lists", {"3": [1, {"hex": "0203"}]}, b"\x1a\x03\x01\x02\x03"),
        ("v3.Lists", {"9": "RED"}, b"\x4a\x03RED"),  # on the wire, three packed numbers
        ("v3.Lists", {"1": 0.5}, b"\x0a\x08\x00\x00\x00\x00\x00\x00\xe0\x3f"),
        ("v3.Lists", {"10": {"color": "RED"}}, b"\x52\x03\x80\x01\x01"),
        ("v3.Tree", {"2": [{"1": "a"}, {"3": {}}]}, b"\x12\x05\x0a\x01a\x1a\x00"),  # one message in two pieces
        ("v3.Maps", {"2": {"1": 5, "2": 6}}, b"\x12\x04\x08\x05\x10\x06"),
        ("v3.Maps", {"1": {"k": "v"}}, b"\x0a\x06\x0a\x01k\x12\x01v"),
        ("v3.Known", {"1": {"1": 5}}, b"\x0a\x02\x08\x05"),
        ("v2.Old", {"7": {"group": {"8": "x"}}}, b"\x3b\x42\x01x\x3c"),
        ("v2.Old", {"100": "n"}, b"\xa2\x06\x01n"),
        ("v2.Old", {"110": "HIGH"}, b"\xf0\x06\x05"),
        ("v2.Old", {"111": "n"}, b"\xfa\x06\x01n"),
        ("v2.Old", {"level": "HIGH", "3": 77}, b"\x18\x05\x18\x4d"),
        ("v2.Old", {"12": {"hex": "0102"}}, b"\x60\x01\x60\x02"),
    ],
)
def test_members_by_number(name, doc, data):
    assert built("kinds." + name, doc) == data


def test_the_entries_of_a_map_are_in_order_whatever_theirs_was():
    keys = [f"{i * 7919 % 100:02}" for i in range(100)]
    made = built("kinds.v3.Maps", {"texts": dict.fromkeys(keys, "")})
    assert made == b"".join(b"\x0a\x06\x0a\x02%02d\x12\x00" % i for i in range(100))


def test_members_by_number_come_after_those_by_name():
    assert built("kinds.v3.Lists", {"4": 3, "ints": [1]}) == built("kinds.v3.Lists", {"ints": [1], "4": 3})


# --- well-known types ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "doc", "data"),
    [
        ("Int32Value", 0, b""),
        ("Int32Value", {"value": 5}, b"\x08\x05"),
        ("Int32Value", {"1": 5, "2": 6}, b"\x08\x05\x10\x06"),
        ("StringValue", "x", b"\x0a\x01x"),
        ("BytesValue", {"hex": "ff"}, b"\x0a\x01\xff"),
        ("BytesValue", {"value": {"hex": "ff"}}, b"\x0a\x01\xff"),
        ("BytesValue", {}, b""),
        ("Timestamp", "1970-01-01T00:00:01.5Z", b"\x08\x01\x10\x80\xca\xb5\xee\x01"),
        ("Timestamp", {"nanos": -1}, b"\x10" + b"\xff" * 9 + b"\x01"),
        ("Duration", "-0s", b""),
        ("Duration", "1.5s", b"\x08\x01\x10\x80\xca\xb5\xee\x01"),
        ("FieldMask", "aB,c", b"\x0a\x03a_b\x0a\x01c"),
        ("FieldMask", "", b""),
        ("FieldMask", {"paths": [""]}, b"\x0a\x00"),
        ("Value", None, b"\x08\x00"),
        ("Value", True, b"\x20\x01"),
        ("Value", 3, b"\x11\x00\x00\x00\x00\x00\x00\x08\x40"),
        ("Value", "3", b"\x1a\x013"),
        ("Value", [], b"\x32\x00"),
        ("Value", {}, b"\x2a\x00"),
        ("Value", {"@fields": {}}, b""),
        ("Value", {"@fields": {"number_value": "NaN"}}, b"\x11\x00\x00\x00\x00\x00\x00\xf8\x7f"),
        (
            "Struct",
            {"b": None, "a": True},
            b"\x0a\x07\x0a\x01a\x12\x02\x20\x01\x0a\x07\x0a\x01b\x12\x02\x08\x00",
        ),
        ("Struct", {"@fields": {"fields": {"@fields": True}}}, b"\x0a\x0d\x0a\x07@fields\x12\x02\x20\x01"),
        ("Struct", {"@fields": 1, "a": True}, None),
        ("ListValue", [None, {"@fields": {}}], b"\x0a\x02\x08\x00\x0a\x00"),
        ("ListValue", {"@fields": {"2": 1}}, b"\x10\x01"),
    ],
)
def test_well_known_types(name, doc, data):
    made = built("google.protobuf." + name, doc)
    assert made == data if data is not None else b"@fields" in made


@pytest.mark.parametrize(
    ("doc", "data"),
    [
        ({"@type": "x/kinds.v3.Choice", "number": 5}, b"\x0a\x11x/kinds.v3.Choice\x12\x02\x08\x05"),
        ({"@type": "x/kinds.v3.Choice", "1": 5}, b"\x0a\x11x/kinds.v3.Choice\x12\x02\x08\x05"),
        ({"@type": "kinds.v3.Choice"}, b"\x0a\x0fkinds.v3.Choice"),
        (
            {"@type": "x/google.protobuf.BoolValue", "value": True},
            b"\x0a\x1bx/google.protobuf.BoolValue\x12\x02\x08\x01",
        ),
        ({"@type": "x/no.Such", "value": {"hex": "ff"}}, b"\x0a\x09x/no.Such\x12\x01\xff"),
        ({"@type": "x/no.Such", "1": 5}, b"\x0a\x09x/no.Such\x12\x02\x08\x05"),
        ({"@type": "x/no.Such"}, b"\x0a\x09x/no.Such"),
        ({"type_url": "x/kinds.v3.Choice", "value": {"hex": "ff"}}, b"\x0a\x11x/kinds.v3.Choice\x12\x01\xff"),
        ({"value": "bare"}, b"\x12\x04bare"),
        ({}, b""),
    ],
)
def test_any(doc, data):
    assert built("google.protobuf.Any", doc) == data


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "doc", "at", "why"),
    [
        ("v3.Scalars", [], (), "expected a mapping (kinds.v3.Scalars), got a list"),
        ("v3.Scalars", {"": 1}, ("",), "kinds.v3.Scalars has no field ''; it has double_value, float_value, "),
        ("v3.Scalars", {"x" * 61: 1}, ("x" * 61,), "has no field '" + "x" * 60 + "'"),
        ("v3.Scalars", {"no_such": None}, ("no_such",), "has no field 'no_such'"),
        ("v3.Scalars", {"[": 1}, ("[",), "has no field '['"),
        ("v3.Scalars", {"[]": 1}, ("[]",), "the schema knows no extension []"),
        ("v3.Scalars", {"[kinds.v3.Scalars]": 1}, ("[kinds.v3.Scalars]",), "the schema knows no extension"),
        ("v2.Old", {"[kinds.v2.Old.name]": "x"}, ("[kinds.v2.Old.name]",), "the schema knows no extension"),
        (
            "v3.Scalars",
            {"[kinds.v2.note]": None},
            ("[kinds.v2.note]",),
            "extends kinds.v2.Old, not kinds.v3.Scalars",
        ),
        ("v3.Scalars", {"03": 1}, ("03",), "expected a field number, such as 1, got '03'"),
        ("v3.Scalars", {"19000": 1}, ("19000",), "expected a field number"),
        ("v3.Scalars", {"536870912": 1}, ("536870912",), "expected a field number"),
        ("v3.Scalars", {"9999": None}, ("9999",), "expected a string"),
        ("v3.Scalars", {"14": {"hex": "ff"}}, ("14",), "these bytes are no value of string_value"),
        ("v3.Lists", {"3": {"hex": "80"}}, ("3",), "these bytes are no value of ints"),
        ("v3.Scalars", {"16": "REED"}, ("16",), "kinds.v3.Color has no value 'REED'"),
        ("v3.Known", {"1": "1970-01-01T00:00:05Z"}, ("1",), "these bytes are no value of at"),
        ("v3.Lists", {"ints": [1], "3": 2}, ("3",), "this is the same field as 'ints'"),
        (
            "v3.Lists",
            {"messages": [{}, None]},
            ("messages", 1),
            "expected a mapping (kinds.v3.Scalars), got null",
        ),
        ("v3.Maps", {"texts": {"a": None}}, ("texts", "a"), "expected text, got null"),
        ("v3.Maps", {"messages": {"1": None}}, ("messages", "1"), "got null"),
        ("v3.Maps", {"flags": {"1": True, "1.0": True}}, ("flags", "1.0"), "expected a whole number (uint64)"),
        ("v3.Maps", {"messages": {"1": {}, "01": {}}}, ("messages", "01"), "this key is there twice"),
        (
            "v3.Choice",
            {"text": "", "any_json": None},
            ("any_json",),
            "only one of the oneof 'choice' can be set",
        ),
        ("v3.Choice", {"left": 1, "9": 1}, ("9",), "only one of the oneof 'second' can be set, and 'left' is"),
        (
            "v3.Known",
            {"list": {"@fields": []}},
            ("list", "@fields"),
            "expected a mapping (google.protobuf.ListValue)",
        ),
        ("v3.Known", {"mask": "\ud800"}, ("mask",), "lone surrogate"),
        ("v3.Known", {"struct": {"\ud800": 1}}, ("struct", "\ud800"), "lone surrogate"),
        ("v3.Known", {"took": "315576000000.1m"}, ("took",), "expected a duration in seconds, such as 1.5s"),
        ("v3.Known", {"any": {"@type": None}}, ("any", "@type"), "expected text, got null"),
        (
            "v3.Known",
            {"any": {"@type": "a/google.protobuf.Duration", "value": "1s", "x": 1}},
            ("any",),
            "expected `@type` and `value`, for google.protobuf.Duration is written as one value",
        ),
        (
            "v3.Known",
            {"any": {"@type": "a/google.protobuf.Duration", "value": 5}},
            ("any", "value"),
            "expected a duration",
        ),
        ("v3.Known", {"any": {"@type": "a/no.Such", "value": 5}}, ("any", "value"), "expected a string"),
        ("v3.Known", {"any": {"@type": "a/no.Such", "1": 1.5}}, ("any", "1"), "a float cannot be encoded"),
    ],
)
def test_what_is_refused(name, doc, at, why):
    where, said = refused("kinds." + name, doc)
    assert where == at
    assert why in said


@pytest.mark.parametrize("member", ["left", "2"])
def test_a_document_that_is_nested_too_deep_is_refused_where_it_begins(member):
    doc = {}
    for _ in range(5000):
        doc = {member: doc}
    assert refused("kinds.v3.Tree", doc) == ((), "nested too deep")


def test_a_refusal_leaves_the_next_message_alone():
    refused("kinds.v3.Scalars", {"int32_value": 5, "color": "REED"})
    assert built("kinds.v3.Scalars", {"bool_value": True}) == b"\x68\x01"
