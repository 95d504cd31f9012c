"""Schemas: what links, documents with their short forms, what a person may write, and what is refused."""

import math
from pathlib import Path

import pytest
from google.protobuf import any_pb2, api_pb2, descriptor_pb2, struct_pb2, timestamp_pb2

from svcmock.protocol import Invalid
from svcmock_protocols.http.grpc import tree
from svcmock_protocols.http.grpc.compiler import compile_protos
from svcmock_protocols.http.grpc.schema import Method, Schema, canonical
from svcmock_protocols.http.grpc.showing import MAX_ANY
from tests.protocols.http.grpc.protos import FILES, descriptor_set, message_class, schema

V3 = "kinds.v3."
KNOWN = V3 + "Known"


def bytes_of(doc, name="Known"):
    return schema().to_bytes(name if "." in name else V3 + name, doc, ("message",))


def doc_of(data, name="Known"):
    return schema().to_doc(name if "." in name else V3 + name, data)


# --- documents ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "doc"),
    [
        ("Scalars", {}),
        (
            "Scalars",
            {"int64_value": -(2**63), "uint64_value": 2**64 - 1, "sint32_value": -1, "bool_value": True},
        ),
        ("Scalars", {"double_value": 0.1, "float_value": 0.1, "color": "DEEP_BLUE"}),
        ("Scalars", {"double_value": "NaN", "float_value": "-Infinity"}),
        ("Scalars", {"double_value": 1e300, "float_value": 3.4028235e38}),
        ("Scalars", {"float_value": 1.1754944e-38}),
        ("Scalars", {"float_value": 16777216.0}),
        ("Scalars", {"color": 77, "alias": "FIRST"}),
        ("Scalars", {"string_value": "line\n\x00é", "color": "BELOW"}),
        ("Scalars", {"maybe_int": 0, "maybe_text": "", "maybe_color": "NO_COLOR", "maybe_double": 0.0}),
        ("Scalars", {"maybe_bool": False}),
        ("Scalars", {"color": "RED", "9999": [1, "x", {"fixed32": 7}, {"fixed64": 8}, {"group": {"1": 1}}]}),
        (
            "Lists",
            {"ints": [0, -1], "texts": ["", "a"], "colors": ["RED", 9], "messages": [{}, {"color": "RED"}]},
        ),
        ("Lists", {"floats": [0.5, "NaN"], "bools": [True, False], "unpacked": [1]}),
        (
            "Maps",
            {"texts": {"": "", "a": "b"}, "ints": {"-1": 5, "2": 0}, "colors": {"false": "RED", "true": 9}},
        ),
        ("Maps", {"messages": {"-7": {}, "7": {"color": "RED"}}, "doubles": {"1": "Infinity"}}),
        ("Choice", {"number": 0}),
        ("Choice", {"message": {}, "right": 0}),
        ("Choice", {"nothing": {}}),
        ("Choice", {"any_json": None}),
        ("Binary", {"data": "text", "parts": [{"hex": "00"}, "", {"base64": "A" * 87 + "="}]}),
        ("Binary", {"named": {"k": {"hex": "ff"}}, "wrapped": {"hex": "ff"}, "maybe": ""}),
        ("Known", {"at": "2026-01-02T03:04:05Z", "took": "-1.500s", "mask": "a.bC,d", "empty": {}}),
        ("Known", {"long": 0, "ulong": 2**64 - 1, "double": 0.0, "bool": False, "text": "", "int": -1}),
        ("Known", {"float": "NaN", "uint": 0, "times": ["1970-01-01T00:00:00Z"], "ints": [0, 5]}),
        ("Known", {"struct": {}, "value": None, "list": []}),
        (
            "Known",
            {"struct": {"a": [1, 2.5, None, True, "x", {"b": {}}], "c": -0.0}, "json": [None, 1, [None]]},
        ),
        ("Known", {"values": {"a": None, "b": {"@fields": 1, "x": 2}}}),
        ("Known", {"any": {"@type": "type.googleapis.com/kinds.v3.Choice", "number": 5}}),
        ("Known", {"any": {"@type": "x/kinds.v3.Choice"}}),
        ("Known", {"any": {"@type": "kinds.v3.Choice"}}),
        ("Known", {"any": {"@type": "x/google.protobuf.Duration", "value": "1s"}}),
        ("Known", {"any": {"@type": "x/google.protobuf.Value", "value": None}}),
        (
            "Known",
            {"any": {"@type": "x/google.protobuf.Any", "value": {"@type": "x/kinds.v3.Choice", "text": ""}}},
        ),
        ("Known", {"any": {"@type": "x/google.protobuf.Empty"}}),
        ("Known", {"any": {"@type": "x/no.Such", "value": {"hex": "ff"}}}),
        ("Known", {"any": {"@type": "x/no.Such"}}),
        ("Known", {"any": {"value": "bare"}}),
        ("Known", {"any": {}}),
        ("kinds.v2.Old", {"name": "", "count": 7, "level": "LOWEST", "part": [{}, {"label": ""}]}),
        ("kinds.v2.Old", {"levels": ["HIGH", "LOW"], "by_name": {"a": "HIGH"}, "ratio": 0.0}),
        (
            "kinds.v2.Old",
            {"[kinds.v2.note]": "n", "[kinds.v2.marks]": [1, 2], "[kinds.v2.deeper]": {"name": "d"}},
        ),
        ("kinds.v2.Old", {"[kinds.v2.Scope.grade]": "HIGH"}),
        ("kinds.v2.Old", {"level": "HIGH", "3": 77}),
        ("kinds.e.New", {"implicit": 1, "explicit": 0, "delimited": {"text": "x"}, "expanded": [1, 2]}),
        ("google.protobuf.Timestamp", "2026-01-02T03:04:05Z"),
        ("google.protobuf.Int32Value", 0),
        ("google.protobuf.ListValue", [1, [2]]),
        ("google.protobuf.Empty", {}),
        ("google.protobuf.Value", {"@fields": {"null_value": "NULL_VALUE"}}),
    ],
)
def test_documents_that_are_shown_as_they_are_written(name, doc):
    data = bytes_of(doc, name)
    assert repr(doc_of(data, name)) == repr(doc)
    assert schema().exact(name if "." in name else V3 + name, data)


@pytest.mark.parametrize(
    ("name", "doc", "same"),
    [
        ("Scalars", {"int32Value": 1, "maybeText": "x"}, {"int32_value": 1, "maybe_text": "x"}),
        ("Scalars", {"int64_value": "-5", "uint32_value": 3.0}, {"int64_value": -5, "uint32_value": 3}),
        (
            "Scalars",
            {"double_value": math.nan, "float_value": math.inf},
            {"double_value": "NaN", "float_value": "Infinity"},
        ),
        (
            "Scalars",
            {"double_value": 3, "float_value": 16777217},
            {"double_value": 3.0, "float_value": 16777216.0},
        ),
        ("Scalars", {"color": 1, "alias": "AGAIN"}, {"color": "RED", "alias": "FIRST"}),
        ("Scalars", {"color": "1"}, {"color": "RED"}),
        ("Scalars", {"int32_value": 0, "string_value": "", "color": "NO_COLOR", "bool_value": False}, {}),
        ("Scalars", {"int32_value": None, "maybe_int": None, "color": None}, {}),
        ("Scalars", {"3": 5, "14": "x", "16": 1}, {"int32_value": 5, "string_value": "x", "color": "RED"}),
        ("Scalars", {"3": 2**64 - 1, "7": 1}, {"int32_value": -1, "sint32_value": -1}),
        ("Scalars", {"3": -1}, {"int32_value": -1}),
        ("Scalars", {"1": {"fixed64": 0x3FF0000000000000}}, {"double_value": 1.0}),
        (
            "Scalars",
            {"1": 1.5, "16": "RED", "13": True},
            {"double_value": 1.5, "color": "RED", "bool_value": True},
        ),
        ("Lists", {"3": {"hex": "0102"}, "11": [7, 8]}, {"ints": [1, 2], "unpacked": [7, 8]}),
        ("Lists", {"10": {"color": "RED"}}, {"messages": [{"color": "RED"}]}),
        ("Maps", {"1": {"k": "v"}}, {"texts": {"k": "v"}}),
        ("Lists", {"10": [{"3": 1}, {}]}, {"messages": [{"int32_value": 1}, {}]}),
        ("Lists", {"10": [{"color": "RED"}]}, {"messages": [{"color": "RED"}]}),
        ("Choice", {"3": {"color": "RED"}}, {"message": {"color": "RED"}}),
        ("Choice", {"anyJson": None}, {"any_json": None}),
        ("Maps", {"1": {"1": "k", "2": "v"}}, {"texts": {"k": "v"}}),
        ("Maps", {"1": [{"1": "k"}, {"2": "v"}]}, {"texts": {"k": "", "": "v"}}),
        ("Known", {"at": {"seconds": 1}}, {"at": "1970-01-01T00:00:01Z"}),
        ("Known", {"at": "1970-01-01T01:00:01+01:00"}, {"at": "1970-01-01T00:00:01Z"}),
        ("Known", {"long": {"value": 5}, "1": {"1": 1}}, {"at": "1970-01-01T00:00:01Z", "long": 5}),
        ("Known", {"mask": "first_name,last_name"}, {"mask": "firstName,lastName"}),
        (
            "Known",
            {"any": {"@type": "x/no.Such", "1": 5}},
            {"any": {"@type": "x/no.Such", "value": {"hex": "0805"}}},
        ),
        (
            "Known",
            {"any": {"@type": "x/kinds.v3.Choice", "1": 5}},
            {"any": {"@type": "x/kinds.v3.Choice", "number": 5}},
        ),
        ("kinds.v2.Old", {"100": "n", "101": [1, 2]}, {"[kinds.v2.note]": "n", "[kinds.v2.marks]": [1, 2]}),
        ("kinds.v2.Old", {"7": {"group": {"8": "x"}}}, {"part": [{"label": "x"}]}),
        ("google.protobuf.Value", None, {"@fields": {"null_value": "NULL_VALUE"}}),
    ],
)
def test_other_ways_to_say_it(name, doc, same):
    assert doc_of(bytes_of(doc, name), name) == same


@pytest.mark.parametrize(
    ("set_", "doc"),
    [
        (lambda known: setattr(known.at, "nanos", -1), {"at": {"nanos": -1}}),
        (lambda known: setattr(known.took, "seconds", 2**62), {"took": {"seconds": 2**62}}),
        (lambda known: known.mask.paths.append("aB"), {"mask": {"paths": ["aB"]}}),
        (lambda known: known.value.SetInParent(), {"value": {"@fields": {}}}),
        (
            lambda known: setattr(known.value, "number_value", math.nan),
            {"value": {"@fields": {"number_value": "NaN"}}},
        ),
        (lambda known: setattr(known.value, "null_value", 3), {"value": {"@fields": {"null_value": 3}}}),
        (
            lambda known: known.struct.fields["@fields"].__setattr__("bool_value", True),
            {"struct": {"@fields": {"fields": {"@fields": True}}}},
        ),
        (lambda known: known.list.values.add(), {"list": [{"@fields": {}}]}),
        (lambda known: known.any.MergeFromString(b"\n\x11x/kinds.v3.Choice\x12\x01\xff"), None),
        (lambda known: known.at.MergeFromString(b"\x28\x07"), {"at": {"5": 7}}),
        (lambda known: known.text.MergeFromString(b"\x28\x07"), {"text": {"5": 7}}),
        (
            lambda known: known.value.MergeFromString(b"\x20\x01\x40\x07"),
            {"value": {"@fields": {"bool_value": True, "8": 7}}},
        ),
        (lambda known: known.list.MergeFromString(b"\x28\x07"), {"list": {"@fields": {"5": 7}}}),
        (lambda known: known.any.MergeFromString(b"\x28\x07"), {"any": {"5": 7}}),
    ],
)
def test_where_the_short_form_would_lose_something_the_fields_are_shown(set_, doc):
    message = message_class(KNOWN)()
    set_(message)
    data = message.SerializeToString(deterministic=True)
    shown = doc_of(data)
    assert shown == (doc or {"any": {"type_url": "x/kinds.v3.Choice", "value": {"hex": "ff"}}})
    assert bytes_of(shown) == data


def test_numbers_that_are_whole_in_json_stay_so():
    data = bytes_of({"struct": {"a": 3.0, "b": 2.0**53, "c": -0.0}})
    assert repr(doc_of(data)) == "{'struct': {'a': 3, 'b': 9007199254740992.0, 'c': -0.0}}"


def test_maps_are_in_order():
    assert list(doc_of(bytes_of({"ints": {"10": 1, "-1": 1, "9": 1}}, "Maps"), "Maps")["ints"]) == [
        "-1",
        "9",
        "10",
    ]


# --- bytes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("Scalars", b"\x72\x01\xff"),  # a string that is no UTF-8
        ("Scalars", b"\x08"),
        ("Scalars", b"\xff"),
        ("Maps", b"\x0a\x03\x0a\x01\xff"),
        ("kinds.v2.Old", b"\x0a\x01\xff"),  # proto2 leaves it to its users
        ("kinds.v2.Old", b"\x52\x03\x0a\x01\xff"),
        ("kinds.e.New", b"\x2a\x01\xff"),
        ("Tree", b"\x12\x80\x80\x80\x80\x08"),
        ("no.Such", b""),
        ("", b""),
        ("no\x00such", b""),
        ("\ud800", b""),
        ("kinds.v3.Forest", b""),
    ],
)
def test_bytes_that_are_no_such_message(name, data):
    assert doc_of(data, name) is None
    assert not schema().exact(name, data)
    assert schema().canonical(name, data) == canonical(data)


def test_what_matching_compares():
    one, other = b"\x18\x05\x72\x01x", b"\x72\x01x\x18\x01\x18\x85\x00\x20\x00"
    assert schema().canonical(V3 + "Scalars", one) == schema().canonical(V3 + "Scalars", other)
    assert schema().canonical(V3 + "Scalars", one) == {"int32_value": 5, "string_value": "x"}
    assert schema().canonical(V3 + "Scalars", b"\x72\x01\xff") == {"14": {"hex": "ff"}}
    assert schema().canonical(None, one) == {"3": 5, "14": "x"}
    assert schema().canonical(None, b"\xff") == {"bytes": "ff"}
    packed, single = b"\x1a\x02\x01\x02", b"\x18\x01\x18\x02"
    assert schema().canonical(V3 + "Lists", packed) == schema().canonical(V3 + "Lists", single)


def test_exact_tells_what_a_document_does_not_give_again():
    assert schema().exact(V3 + "Scalars", b"\x18\x05")
    assert not schema().exact(V3 + "Scalars", b"\x18\x85\x00")
    assert not schema().exact(V3 + "Scalars", b"\x18\x00")
    assert not schema().exact(V3 + "Scalars", b"\x72\x01x\x18\x05")
    assert not schema().exact(V3 + "Scalars", b"\x1a\x0242")  # field 3 is no text
    assert not schema().exact(V3 + "Scalars", b"\x1a\x01x")
    assert not schema().exact("no.Such", b"")


def deep(levels):
    data = b""
    for _ in range(levels):
        data = b"\x12" + tree.varint(len(data)) + data
    return data


def test_depth_is_bounded():
    assert schema().exact(V3 + "Tree", deep(90))
    for levels in (200, 5000):
        assert doc_of(deep(levels), "Tree") is None
        schema().canonical(V3 + "Tree", deep(levels))
    doc = {}
    for _ in range(20_000):
        doc = {"left": doc}
    with pytest.raises(Invalid, match="too deep") as caught:
        bytes_of(doc, "Tree")
    assert caught.value.at == ("message",)


def test_an_any_in_an_any_is_bounded():
    url = "x/google.protobuf.Any"
    data = b""
    for _ in range(2000):
        data = any_pb2.Any(type_url=url, value=data).SerializeToString()
    shown = doc_of(data, "google.protobuf.Any")
    for _ in range(MAX_ANY):
        assert shown["@type"] == url
        shown = shown["value"]
    assert shown.keys() == {"type_url", "value"}
    assert schema().exact("google.protobuf.Any", data)
    assert doc_of(bytes_of({"any": {"@type": url, "value": {}}})) == {"any": {"@type": url, "value": {}}}


def test_what_is_too_much_to_show_is_not_shown():
    data = b"\xf8\x07\x01" * (tree.MAX_FIELDS + 1)
    assert doc_of(data, "Scalars") is None
    assert schema().canonical(V3 + "Scalars", data) == {"bytes": data.hex()}


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "doc", "at", "why"),
    [
        ("Scalars", [], (), "expected a mapping (kinds.v3.Scalars), got a list"),
        ("Scalars", "x", (), "expected a mapping (kinds.v3.Scalars), got the text 'x'"),
        ("Scalars", None, (), "got null"),
        ("Scalars", {"int32_valeu": 1}, ("int32_valeu",), "no field 'int32_valeu'; did you mean int32_value?"),
        ("Scalars", {"COLOR": 1}, ("COLOR",), "did you mean color?"),
        (
            "Tree",
            {"xyz": 1},
            ("xyz",),
            "has no field 'xyz'; it has name, left, right, children, leaf, lists, maps, choice, ...",
        ),
        ("google.protobuf.Empty", {"x": 1}, ("x",), "google.protobuf.Empty has no field 'x'"),
        (
            "Scalars",
            {"int32_value": 2**31},
            ("int32_value",),
            "from -2147483648 to 2147483647 (int32), got 2147483648",
        ),
        ("Scalars", {"uint32_value": -1}, ("uint32_value",), "from 0 to 4294967295 (uint32), got -1"),
        ("Scalars", {"uint64_value": 1 << 300}, ("uint64_value",), "got a far larger one"),
        ("Scalars", {"int32_value": 1.5}, ("int32_value",), "expected a whole number (int32), got 1.5"),
        (
            "Scalars",
            {"int32_value": "1.5"},
            ("int32_value",),
            "expected a whole number (int32), got the text '1.5'",
        ),
        ("Scalars", {"int32_value": True}, ("int32_value",), "got true"),
        ("Scalars", {"int32_value": "٣"}, ("int32_value",), "expected a whole number"),
        ("Scalars", {"int32_value": math.inf}, ("int32_value",), "expected a whole number"),
        ("Scalars", {"int32_value": {}}, ("int32_value",), "got a mapping"),
        ("Scalars", {"bool_value": "true"}, ("bool_value",), "expected true or false, got the text 'true'"),
        ("Scalars", {"string_value": 5}, ("string_value",), "expected text, got 5"),
        ("Scalars", {"string_value": "\ud800"}, ("string_value",), "lone surrogate"),
        ("Scalars", {"double_value": "x"}, ("double_value",), "expected a number, got the text 'x'"),
        ("Scalars", {"double_value": False}, ("double_value",), "expected a number, got false"),
        ("Scalars", {"double_value": "1e999"}, ("double_value",), "expected a number"),
        ("Scalars", {"double_value": 2**53 + 1}, ("double_value",), "cannot be told apart"),
        ("Scalars", {"double_value": 10**400}, ("double_value",), "cannot be told apart"),
        ("Scalars", {"float_value": 1e39}, ("float_value",), "does not fit in a float"),
        ("Scalars", {"color": "REED"}, ("color",), "kinds.v3.Color has no value 'REED'; did you mean RED?"),
        ("Scalars", {"color": "red"}, ("color",), "it has NO_COLOR, RED, DEEP_BLUE, BELOW"),
        ("Scalars", {"color": 1.5}, ("color",), "kinds.v3.Color takes a name or a number, not 1.5"),
        ("Scalars", {"color": 2**31}, ("color",), "no value 2147483648"),
        ("Scalars", {"maybe_int": 1, "maybeInt": 1}, ("maybeInt",), "the same field as 'maybe_int'"),
        ("Scalars", {"maybe_int": 1, "20": 1}, ("20",), "the same field as 'maybe_int'"),
        ("Scalars", {"0": 1}, ("0",), "expected a field number"),
        ("Scalars", {"14": {"hex": "ff"}}, ("14",), "these bytes are no value of string_value"),
        ("Scalars", {"3": "x"}, ("3",), "expected a whole number (int32), got the text 'x'"),
        ("Scalars", {"77": 1.5}, ("77",), "a float cannot be encoded"),
        (
            "Scalars",
            {"[kinds.v2.note]": "x"},
            ("[kinds.v2.note]",),
            "extends kinds.v2.Old, not kinds.v3.Scalars",
        ),
        ("kinds.v2.Old", {"[kinds.v2.no]": "x"}, ("[kinds.v2.no]",), "knows no extension [kinds.v2.no]"),
        ("kinds.v2.Old", {"level": 77}, ("level",), "kinds.v2.Level has no value 77"),
        ("Lists", {"ints": 1}, ("ints",), "expected a list (repeated int32), got 1"),
        ("Lists", {"ints": [1, "x"]}, ("ints", 1), "expected a whole number"),
        ("Lists", {"ints": [None]}, ("ints", 0), "got null"),
        ("Lists", {"messages": [{}, {"color": "X"}]}, ("messages", 1, "color"), "has no value"),
        ("Maps", {"ints": []}, ("ints",), "expected a mapping (map<int32, int64>), got a list"),
        ("Maps", {"ints": {"x": 1}}, ("ints", "x"), "expected a whole number"),
        ("Maps", {"ints": {"1": 1, "01": 2}}, ("ints", "01"), "there twice"),
        ("Maps", {"colors": {"yes": 1}}, ("colors", "yes"), "expected true or false"),
        ("Maps", {"messages": {"1": {"x": 1}}}, ("messages", "1", "x"), "no field 'x'"),
        (
            "Choice",
            {"number": 1, "text": "x"},
            ("text",),
            "only one of the oneof 'choice' can be set, and 'number' is",
        ),
        ("Choice", {"number": 1, "2": "x"}, ("2",), "only one of the oneof 'choice'"),
        ("Choice", {"1": 1, "2": "x"}, ("2",), "only one of the oneof 'choice'"),
        ("Binary", {"data": 5}, ("data",), "expected a string, or one of"),
        ("Binary", {"data": {"hex": "f"}}, ("data", "hex"), "not hex"),
        ("Binary", {"data": {"file": "x"}}, ("data", "file"), "inside a message"),
        ("Known", {"at": "yesterday"}, ("at",), "expected a time such as"),
        ("Known", {"at": 5}, ("at",), "expected a time such as"),
        ("Known", {"took": 5}, ("took",), "such as 1.5s"),
        ("Known", {"mask": ["a"]}, ("mask",), "expected field names"),
        ("Known", {"long": "x"}, ("long",), "expected a whole number (int64)"),
        ("Known", {"text": {"hex": "ff"}}, ("text", "hex"), "has no field 'hex'"),
        ("Known", {"struct": []}, ("struct",), "expected a mapping, got a list"),
        ("Known", {"list": {}}, ("list",), "expected a list, got a mapping"),
        ("Known", {"struct": {"a": {"b": 2**60 + 1}}}, ("struct", "a", "b"), "cannot be told apart"),
        ("Known", {"struct": {"a": {"@fields": {"x": 1}}}}, ("struct", "a", "@fields", "x"), "no field 'x'"),
        ("Known", {"any": {"@type": 5}}, ("any", "@type"), "expected text"),
        ("Known", {"any": {"@type": "x/no.Such", "a": 1}}, ("any", "@type"), "knows no message 'no.Such'"),
        ("Known", {"any": {"@type": "x/kinds.v3.Choice", "a": 1}}, ("any", "a"), "no field 'a'"),
        ("Known", {"any": {"@type": "x/google.protobuf.Duration"}}, ("any",), "expected `@type` and `value`"),
        ("Known", {"any": 5}, ("any",), "expected a mapping"),
        ("no.Such", {"a": 1}, (), "the schema knows no message 'no.Such'"),
        ("kinds.v3.Tre", {"a": 1}, (), "did you mean kinds.v3.Tree?"),
    ],
)
def test_what_is_refused(name, doc, at, why):
    with pytest.raises(Invalid) as caught:
        bytes_of(doc, name)
    assert why in caught.value.why
    assert caught.value.at == ("message", *at)


def test_a_type_that_is_not_known_is_written_by_its_numbers():
    assert bytes_of({"1": 5, "2": "x"}, "no.Such") == b"\x08\x05\x12\x01x"


# --- schemas ------------------------------------------------------------------------------------------


def test_methods_and_services():
    path = "/kinds.v3.Forest/"
    assert schema().services == ("kinds.v3.Forest", "kinds.v3.Idle")
    assert schema().methods == {
        path + "Plant": Method(path + "Plant", "kinds.v3.Tree", "kinds.v3.Tree.Leaf"),
        path + "Watch": Method(path + "Watch", "kinds.v3.Choice", "kinds.v3.Tree", server_streaming=True),
        path + "Sow": Method(path + "Sow", "kinds.v3.Tree", "google.protobuf.Empty", client_streaming=True),
        path + "Talk": Method(path + "Talk", "kinds.v3.Tree", "kinds.v3.Tree", True, True),
    }


def test_describe():
    assert schema().describe("kinds.v3.Tree.Leaf") == {"name": "string", "size": "int32"}
    assert schema().describe("kinds.v3.Maps")["messages"] == "map<sint64, kinds.v3.Scalars>"
    assert schema().describe("kinds.v3.Lists")["colors"] == "repeated kinds.v3.Color"
    assert schema().describe("no.Such") is None
    assert schema().has("kinds.v3.Tree")
    assert not schema().has("kinds.v3.Forest")


def protos_of(data):
    return {file.name: file for file in descriptor_pb2.FileDescriptorSet.FromString(data).file}


def test_the_digest_does_not_depend_on_order_or_on_copies():
    whole = descriptor_set()
    single = [file.SerializeToString() for file in protos_of(whole).values()]
    assert Schema.of([whole]).digest == schema().digest
    assert (
        Schema.of(single).digest == Schema.of(reversed(single)).digest == Schema.of([*single, *single]).digest
    )
    assert Schema.of([single[0]]).digest != schema().digest
    assert Schema.of([]).digest != schema().digest
    assert len(schema().digest) == 32


def test_copies_that_differ_in_comments_and_json_names_are_one():
    """What a server's reflection says is what its generated code holds: without either."""
    bare = protos_of(descriptor_set())["kinds/v3.proto"]
    bare.ClearField("source_code_info")
    for message in bare.message_type:
        for field in message.field:
            field.ClearField("json_name")
    one, other = (
        Schema.of([descriptor_set(), bare.SerializeToString()]),
        Schema.of([bare.SerializeToString(), descriptor_set()]),
    )
    assert one.digest == other.digest
    assert one.methods == schema().methods


def test_files_that_differ_are_refused():
    changed = protos_of(descriptor_set())["kinds/v3.proto"]
    changed.message_type[0].field[0].number = 500
    with pytest.raises(Invalid, match=r"kinds/v3\.proto is there twice, with different content") as caught:
        Schema.of([descriptor_set(), changed.SerializeToString()])
    assert caught.value.at == (1,)


def test_well_known_files_of_other_versions_are_no_conflict():
    old = descriptor_pb2.FileDescriptorProto.FromString(timestamp_pb2.DESCRIPTOR.serialized_pb)
    old.options.go_package = "somewhere/else"
    for sets in ([descriptor_set(), old.SerializeToString()], [old.SerializeToString(), descriptor_set()]):
        assert Schema.of(sets).to_doc("google.protobuf.Timestamp", b"") == "1970-01-01T00:00:00Z"


def test_well_known_imports_need_not_be_given():
    protos = protos_of(descriptor_set())
    made = Schema.of([protos["kinds/v3.proto"].SerializeToString()])
    assert made.to_doc(KNOWN, b"\x0a\x00") == {"at": "1970-01-01T00:00:00Z"}
    assert made.methods == schema().methods
    api = Schema.of([api_pb2.DESCRIPTOR.serialized_pb])
    assert api.has("google.protobuf.Api")
    assert api.has("google.protobuf.SourceContext")


NO_SETS = [
    b"",
    b"\xff",
    b"nonsense",
    b"\x0a\x00",
    b"\x0a\x02\x0a\x00",
    b"\x08\x01",
    b"\x0a\x01\xff",
    b"\x0a\x03a\nb",
]


@pytest.mark.parametrize("data", [*NO_SETS, b"PK\x03\x04", struct_pb2.DESCRIPTOR.serialized_pb[:-1]])
def test_what_is_no_descriptor_set(data):
    with pytest.raises(Invalid, match="no descriptor set") as caught:
        Schema.of([descriptor_set(), data])
    assert caught.value.at == (1,)


def file(name, *imports, **parts):
    return descriptor_pb2.FileDescriptorProto(name=name, dependency=imports, **parts).SerializeToString()


MESSAGE = descriptor_pb2.DescriptorProto(name="M")
UNTYPED = descriptor_pb2.DescriptorProto(
    name="M",
    field=[descriptor_pb2.FieldDescriptorProto(name="f", number=1, label=1, type=11, type_name=".no.Such")],
)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([file("a.proto", "b.proto")], "a.proto imports b.proto, which is not there"),
        ([file("a.proto", "google/protobuf/nonsense.proto")], "which is not there"),
        ([file("a.proto", "google/protobuf/__init__.proto")], "which is not there"),
        ([file("a.proto", "b.proto"), file("b.proto", "a.proto")], "imports itself"),
        ([file("a.proto", "a.proto")], "a.proto imports itself"),
        ([file("a.proto", message_type=[UNTYPED])], "a.proto does not link"),
        (
            [file("a.proto", message_type=[MESSAGE]), file("b.proto", message_type=[MESSAGE])],
            "b.proto does not link",
        ),
    ],
)
def test_what_does_not_link(files, why):
    with pytest.raises(Invalid) as caught:
        Schema.of(files)
    assert why in caught.value.why
    assert caught.value.at == ()


def test_many_files_in_a_row_are_linked():
    files = [file("f0.proto"), *(file(f"f{n}.proto", f"f{n - 1}.proto") for n in range(1, 1500))]
    made = Schema.of(reversed(files))
    assert len(made.file_by_filename("f1499.proto")) == 1500


def test_a_namesake_of_a_well_known_type_has_no_short_form():
    field = descriptor_pb2.FieldDescriptorProto(name="other", number=1, label=1, type=9)
    message = descriptor_pb2.DescriptorProto(name="Timestamp", field=[field])
    made = Schema.of([file("a.proto", package="google.protobuf", message_type=[message])])
    assert made.to_doc("google.protobuf.Timestamp", b"\x0a\x01x") == {"other": "x"}


# --- reflection ---------------------------------------------------------------------------------------


def names_of(found):
    return [descriptor_pb2.FileDescriptorProto.FromString(raw).name for raw in found]


def test_files_come_with_their_imports():
    names = names_of(schema().file_by_filename("kinds/v2.proto"))
    assert names[:2] == ["kinds/v2.proto", "kinds/v3.proto"]
    assert "google/protobuf/any.proto" in names
    assert len(names) == len(set(names))
    assert schema().file_by_filename("no.proto") == []
    assert schema().file_by_filename("") == []


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("kinds.v3.Forest", "kinds/v3.proto"),
        ("kinds.v3.Forest.Plant", "kinds/v3.proto"),
        ("kinds.v3.Tree.Leaf", "kinds/v3.proto"),
        ("kinds.v3.Tree.name", "kinds/v3.proto"),
        ("kinds.v3.Choice.choice", "kinds/v3.proto"),
        ("kinds.v3.Color", "kinds/v3.proto"),
        ("kinds.v3.RED", "kinds/v3.proto"),
        ("kinds.v2.note", "kinds/v2.proto"),
        ("kinds.v2.Scope.grade", "kinds/v2.proto"),
        ("google.protobuf.Any", "google/protobuf/any.proto"),
    ],
)
def test_files_by_what_they_declare(symbol, name):
    assert names_of(schema().file_containing_symbol(symbol))[0] == name


def test_what_is_declared_nowhere():
    assert schema().file_containing_symbol("kinds.v3.No") == []
    assert schema().file_containing_symbol("") == []


def test_extensions():
    old = "kinds.v2.Old"
    assert schema().extension_numbers(old) == [100, 101, 102, 110]
    assert schema().extension_numbers("kinds.v3.Tree") == []
    assert schema().extension_numbers("no.Such") is None
    assert names_of(schema().file_containing_extension(old, 110))[0] == "kinds/v2.proto"
    assert schema().file_containing_extension(old, 111) == []
    assert schema().file_containing_extension("no.Such", 1) == []


def test_what_reflection_hands_out_makes_the_same_schema():
    handed = schema().file_containing_symbol("kinds.v3.Forest")
    assert Schema.of(handed).methods == schema().methods


def test_real_descriptors_link():
    """Whatever googleapis-common-protos brings along."""
    import google.rpc

    root = Path(next(iter(google.rpc.__path__))).parents[1]
    files = {str(path.relative_to(root)): path.read_bytes() for path in (root / "google").rglob("*.proto")}
    made = Schema.of([compile_protos(files, files)])
    assert made.has("google.rpc.Status")
    assert len(files) > 20


def test_the_sources_of_these_tests_are_all_there():
    assert {name for name in FILES if schema().file_by_filename(name)} == set(FILES)
