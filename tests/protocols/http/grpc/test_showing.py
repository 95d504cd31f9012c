"""Messages as readable data: literal bytes, the values that documents get, and what has no readable form."""

import math
import struct

import pytest

from svcmock_protocols.http.grpc import tree
from svcmock_protocols.http.grpc.showing import MAX_ANY, Showing, UnshownError
from tests.protocols.http.grpc.protos import schema

SHOWING = Showing(schema()._pool, schema()._protos)


def shown(name, data):
    known = SHOWING.named(name)
    return known.show(known.parse(data))


# --- types --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["no.Such", "", "kinds.v3.Color", "kinds.v3.Forest", "kinds.v3.Tree.name", "\ud800"]
)
def test_what_is_no_message_type(name):
    assert SHOWING.named(name) is None


def test_types_are_put_together_once():
    assert SHOWING.named("kinds.v3.Tree") is SHOWING.named("kinds.v3.Tree")
    assert not SHOWING.named("kinds.v3.Tree").special
    assert not SHOWING.named("google.protobuf.Empty").special
    assert SHOWING.named("google.protobuf.Int32Value").special
    assert SHOWING.named("google.protobuf.Any").special


def test_bytes_that_are_no_message_are_a_decode_error():
    with pytest.raises(SHOWING.decode_error):
        shown("kinds.v3.Scalars", b"\x08")


# --- fields -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "doc"),
    [
        ("Scalars", b"", {}),
        ("Scalars", b"\x18\x00", {}),  # an implicit default that was sent all the same
        ("Scalars", b"\xa0\x01\x00", {"maybe_int": 0}),  # one with presence
        ("Scalars", b"\x18\x05\x18\x06", {"int32_value": 6}),
        ("Scalars", b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", {"int32_value": -1}),
        ("Scalars", b"\x38\x01\x40\x02", {"sint32_value": -1, "sint64_value": 1}),
        ("Scalars", b"\x68\x01", {"bool_value": True}),
        ("Scalars", b"\x80\x01\x02\x88\x01\x01", {"color": "DEEP_BLUE", "alias": "FIRST"}),
        ("Scalars", b"\x80\x01\x4d", {"color": 77}),
        ("Scalars", b"\x18\x05\xf8\x07\x01\xf8\x07\x02", {"int32_value": 5, "127": [1, 2]}),
        ("Scalars", b"\x1a\x0242", {"3": "42"}),  # field 3 is no text: it is not known as such
        ("Lists", b"\x18\x01\x1a\x02\x02\x03", {"ints": [1, 2, 3]}),
        ("Lists", b"\x4a\x03\x01\x00\x4d", {"colors": ["RED", "NO_COLOR", 77]}),
        ("Lists", b"\x52\x00\x52\x02\x18\x01", {"messages": [{}, {"int32_value": 1}]}),
        ("Binary", b"\x0a\x01\xff\x12\x00\x12\x02hi", {"data": {"hex": "ff"}, "parts": ["", "hi"]}),
        ("Maps", b"\x0a\x00\x0a\x06\x0a\x01a\x12\x01b", {"texts": {"": "", "a": "b"}}),
        ("Maps", b"\x1a\x02\x08\x01\x1a\x02\x10\x01", {"colors": {"false": "RED", "true": "NO_COLOR"}}),
    ],
)
def test_fields(name, data, doc):
    assert shown("kinds.v3." + name, data) == doc


@pytest.mark.parametrize(
    ("name", "data", "doc"),
    [
        ("v2.Old", b"\x10\x07\x18\x05", {"count": 7, "level": "HIGH"}),  # defaults that are explicit
        ("v2.Old", b"\x18\x02", {"3": 2}),  # a closed enum has no such value
        ("v2.Old", b"\x3b\x42\x01x\x3c\x3b\x3c", {"part": [{"label": "x"}, {}]}),
        ("v2.Old", b"\xa2\x06\x01n\xa8\x06\x01", {"[kinds.v2.note]": "n", "[kinds.v2.marks]": [1]}),
        ("v2.Old", b"\xf0\x06\x05", {"[kinds.v2.Scope.grade]": "HIGH"}),
        ("v2.Old", b"\xf8\x06\x05", {"111": 5}),
        ("e.New", b"\x08\x00\x10\x00\x1b\x0a\x01x\x1c", {"explicit": 0, "delimited": {"text": "x"}}),
    ],
)
def test_fields_of_other_syntaxes(name, data, doc):
    assert shown("kinds." + name, data) == doc


def test_maps_come_in_order_of_their_keys_not_of_their_texts():
    data = b"".join(b"\x12\x02\x08" + bytes([key]) for key in (10, 9, 1))
    assert list(shown("kinds.v3.Maps", data)["ints"]) == ["1", "9", "10"]
    texts = b"".join(b"\x0a\x03\x0a\x01" + key for key in (b"b", b"a", b"Z"))
    assert list(shown("kinds.v3.Maps", texts)["texts"]) == ["Z", "a", "b"]
    old = b"".join(b"\x52\x03\x0a\x01" + key for key in (b"b", b"a"))
    assert list(shown("kinds.v2.Old", old)["by_name"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("kinds.v2.Old", b"\x0a\x01\xff"),
        ("kinds.v2.Old", b"\x52\x03\x0a\x01\xff"),
        ("kinds.v2.Old", b"\xa2\x06\x01\xff"),
        ("kinds.e.New", b"\x2a\x01\xff"),
        ("kinds.v3.Scalars", b"\xf8\x07\x01" * 50_001),
    ],
)
def test_what_has_no_readable_form(name, data):
    with pytest.raises(UnshownError):
        shown(name, data)


def test_as_many_unknown_fields_as_a_tree_may_have_are_shown():
    assert shown("kinds.v3.Scalars", b"\xf8\x07\x01" * 50_000) == {"127": [1] * 50_000}


# --- numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (0x3DCCCCCD, "0.1"),
        (0x3F800000, "1.0"),
        (0x4B800000, "16777216.0"),
        (0x3F800001, "1.0000001"),
        (0x3988EC51, "0.0002611601"),
        (0x3764E943, "1.36441695e-05"),
        (0x3F7FFFFF, "0.99999994"),
        (0x7F7FFFFF, "3.4028235e+38"),
        (0x00800000, "1.1754944e-38"),
        (0x80000000, "-0.0"),
        (0x7F800000, "'Infinity'"),
        (0xFF800000, "'-Infinity'"),
        (0x7FC00000, "'NaN'"),
        (0xFFC00001, "'NaN'"),
        (0x4E6E6B28, "1000000000.0"),
        (0x501502F9, "10000000000.0"),
    ],
)
def test_a_float_is_the_shortest_number_that_it_is(bits, text):
    raw = bits.to_bytes(4, "little")
    (made,) = shown("kinds.v3.Lists", b"\x12\x04" + raw)["floats"]
    assert repr(made) == text
    if isinstance(made, float):
        assert struct.pack("<f", made) == raw


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3"),
        (-3.0, "-3"),
        (0.0, "0"),
        (-0.0, "-0.0"),
        (2.0**53 - 1, "9007199254740991"),
        (2.0**53, "9007199254740992.0"),
        (-(2.0**53), "-9007199254740992.0"),
        (0.5, "0.5"),
        (1e300, "1e+300"),
        (math.inf, "{'@fields': {'number_value': 'Infinity'}}"),
        (math.nan, "{'@fields': {'number_value': 'NaN'}}"),
    ],
)
def test_numbers_of_json(value, text):
    assert repr(shown("google.protobuf.Value", b"\x11" + struct.pack("<d", value))) == text


# --- well-known types ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "doc"),
    [
        ("Timestamp", b"", "1970-01-01T00:00:00Z"),
        ("Timestamp", b"\x08\xff\x91\xb8\xc3\x98\xfe\xff\xff\xff\x01", {"seconds": -62135596801}),
        ("Duration", b"\x08\x01\x10\x80\xca\xb5\xee\x01", "1.500s"),
        ("Duration", b"\x08\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", {"seconds": 1, "nanos": -1}),
        ("FieldMask", b"\x0a\x03a_b\x0a\x01c", "aB,c"),
        ("FieldMask", b"\x0a\x00", {"paths": [""]}),
        ("FieldMask", b"", ""),
        ("BytesValue", b"\x0a\x01\xff", {"hex": "ff"}),
        ("BytesValue", b"\x0a\x01\xff\x10\x01", {"value": {"hex": "ff"}, "2": 1}),
        ("FloatValue", b"\x0d\xcd\xcc\xcc\x3d", 0.1),
        ("BoolValue", b"", False),
        ("Value", b"\x08\x00", None),
        ("Value", b"\x08\x01", {"@fields": {"null_value": 1}}),
        ("Value", b"", {"@fields": {}}),
        ("Value", b"\x20\x00", False),
        ("Value", b"\x2a\x00", {}),
        ("Value", b"\x32\x00", []),
        ("ListValue", b"\x0a\x02\x08\x00\x0a\x00", [None, {"@fields": {}}]),
        (
            "Struct",
            b"\x0a\x07\x0a\x01b\x12\x02\x20\x01\x0a\x07\x0a\x01a\x12\x02\x08\x00",
            {"a": None, "b": True},
        ),
        ("Struct", b"\x0a\x0d\x0a\x07@fields\x12\x02\x20\x01", {"@fields": {"fields": {"@fields": True}}}),
        ("Struct", b"\x10\x01", {"@fields": {"2": 1}}),
        ("Empty", b"\x08\x01", {"1": 1}),
    ],
)
def test_well_known_types(name, data, doc):
    assert shown("google.protobuf." + name, data) == doc


def any_of(url, value=b""):
    fields = [b"\x0a" + tree.varint(len(url)) + url]
    fields += [b"\x12" + tree.varint(len(value)) + value] if value else []
    return b"".join(fields)


@pytest.mark.parametrize(
    ("data", "doc"),
    [
        (any_of(b"x/kinds.v3.Choice", b"\x08\x05"), {"@type": "x/kinds.v3.Choice", "number": 5}),
        (any_of(b"a/b/kinds.v3.Choice"), {"@type": "a/b/kinds.v3.Choice"}),
        (any_of(b"kinds.v3.Choice"), {"@type": "kinds.v3.Choice"}),
        (any_of(b"x/google.protobuf.Value", b"\x08\x00"), {"@type": "x/google.protobuf.Value", "value": None}),
        (any_of(b"x/google.protobuf.Empty"), {"@type": "x/google.protobuf.Empty"}),
        (any_of(b"x/no.Such", b"\xff"), {"@type": "x/no.Such", "value": {"hex": "ff"}}),
        (any_of(b"x/no.Such"), {"@type": "x/no.Such"}),
        (any_of(b"x/kinds.v3.Color", b"hi"), {"@type": "x/kinds.v3.Color", "value": "hi"}),
        (any_of(b"x/"), {"@type": "x/"}),
        (any_of(b"", b"hi"), {"value": "hi"}),
        (any_of(b"x/kinds.v3.Choice", b"\xff"), {"type_url": "x/kinds.v3.Choice", "value": {"hex": "ff"}}),
        (any_of(b"x/kinds.v3.Choice") + b"\x18\x01", {"type_url": "x/kinds.v3.Choice", "3": 1}),
    ],
)
def test_any(data, doc):
    assert shown("google.protobuf.Any", data) == doc


@pytest.mark.parametrize(("around", "inner"), [(MAX_ANY - 1, {"@type": "x"}), (MAX_ANY, {"type_url": "x"})])
def test_an_any_is_followed_so_far_and_no_farther(around, inner):
    url = "google.protobuf.Any"
    data, doc = any_of(b"x"), inner
    for _ in range(around):
        data, doc = any_of(url.encode(), data), {"@type": url, "value": doc}
    assert shown(url, data) == doc


def test_a_message_that_cannot_be_shown_leaves_the_next_one_its_depth():
    bad = any_of(b"kinds.v2.Old", b"\x0a\x01\xff")
    for _ in range(MAX_ANY + 1):
        with pytest.raises(UnshownError):
            shown("google.protobuf.Any", bad)
    assert shown("google.protobuf.Any", any_of(b"kinds.v3.Choice")) == {"@type": "kinds.v3.Choice"}
