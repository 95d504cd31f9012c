"""Single values out of documents: what may be written for each type, up to its limits, and what is refused."""

import math
import struct

import pytest

from svcmock.protocol import Invalid
from svcmock_protocols.http.grpc import scalars
from tests.protocols.http.grpc.protos import message_class

AT = ("message", "x")


def field(name, of="kinds.v3.Scalars"):
    return message_class(of).DESCRIPTOR.fields_by_name[name]


def parse(name, doc):
    return scalars.parser(field(name))(doc, AT)


def refused(call):
    with pytest.raises(Invalid) as caught:
        call()
    assert caught.value.at == AT
    return caught.value.why


# --- whole numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "doc", "value"),
    [
        ("int32_value", 2147483647, 2147483647),
        ("int32_value", -2147483648, -2147483648),
        ("sint32_value", "-2147483648", -2147483648),
        ("uint32_value", 4294967295.0, 4294967295),
        ("fixed64_value", "18446744073709551615", 2**64 - 1),
        ("int64_value", "9007199254740993", 9007199254740993),
        ("int64_value", "-9223372036854775808", -(2**63)),
        ("int64_value", -(2.0**63), -(2**63)),
        ("int32_value", "-0", 0),
        ("int32_value", -0.0, 0),
        ("int32_value", "0" * 23 + "5", 5),
        ("int32_value", 1e9, 1000000000),
    ],
)
def test_whole_numbers(name, doc, value):
    made = parse(name, doc)
    assert (made, type(made)) == (value, int)


@pytest.mark.parametrize(
    ("name", "doc", "why"),
    [
        ("int32_value", 2147483648, "expected a number from -2147483648 to 2147483647 (int32), got 2147483648"),
        ("uint32_value", "-1", "expected a number from 0 to 4294967295 (uint32), got '-1'"),
        (
            "int64_value",
            2.0**63,
            "to 9223372036854775807 (int64), got 9.223372036854776e+18",
        ),
        (
            "uint64_value",
            2**64,
            "from 0 to 18446744073709551615 (uint64), got 18446744073709551616",
        ),
        ("uint64_value", 2**128, "got a far larger one"),
        ("uint64_value", 2**128 - 1, "got 340282366920938463463374607431768211455"),
        ("uint64_value", -(2**128), "got a far larger one"),
        ("int32_value", "0" * 24 + "5", "expected a whole number (int32), got the text '0000"),
        ("int32_value", 0.5, "expected a whole number (int32), got 0.5"),
        ("int32_value", math.nan, "expected a whole number (int32), got nan"),
        ("int32_value", -math.inf, "expected a whole number (int32), got -inf"),
        *(
            ("int32_value", text, "expected a whole number (int32), got the text")
            for text in ("+5", " 5", "5 ")
        ),
        *(
            ("int32_value", text, "expected a whole number (int32), got the text")
            for text in ("5.0", "1e3", "1_0")
        ),
        *(
            ("int32_value", text, "expected a whole number (int32), got the text")
            for text in ("٣", "²", "0x1", "5\n")
        ),
        ("int32_value", False, "expected a whole number (int32), got false"),
        ("int32_value", None, "expected a whole number (int32), got null"),
        ("int32_value", [5], "expected a whole number (int32), got a list"),
    ],
)
def test_no_whole_numbers(name, doc, why):
    assert why in refused(lambda: parse(name, doc))


@pytest.mark.parametrize(
    "text", ["", "-", "--5", "+5", " 5", "5 ", "5\n", "5.0", "1e3", "1_0", "0x1", "٣", "²", "\ud800", "five"]
)
def test_texts_of_no_whole_numbers(text):
    assert (
        refused(lambda: parse("int32_value", text)) == f"expected a whole number (int32), got the text {text!r}"
    )


# --- other numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("doc", "value"),
    [
        (0.1, 0.1),
        (5, 5.0),
        (-0.0, -0.0),
        ("-0", -0.0),
        ("1.50", 1.5),
        ("-2.5e-3", -0.0025),
        ("+5", 5.0),
        (".5", 0.5),
        ("5.", 5.0),
        (2**53, 9007199254740992.0),
        ("9007199254740992", 9007199254740992.0),
        ("9007199254740994", 9007199254740994.0),
        ("9007199254740993.0", 9007199254740992.0),  # not written as a whole number
        (2**1023, 2.0**1023),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        (math.inf, math.inf),
        ("0" * 39 + "5", 5.0),
    ],
)
def test_doubles(doc, value):
    made = parse("double_value", doc)
    assert (repr(made), type(made)) == (repr(value), float)
    assert math.isnan(parse("double_value", "NaN"))
    assert math.isnan(parse("float_value", math.nan))


@pytest.mark.parametrize(
    ("doc", "why"),
    [
        (2**53 + 1, "9007199254740993 cannot be told apart from its neighbours as a double"),
        ("9007199254740993", "'9007199254740993' cannot be told apart from its neighbours as a double"),
        ("-9007199254740993", "cannot be told apart"),
        ("123456789012345678901234567890", "cannot be told apart"),
        (2**1024, "a far larger one cannot be told apart"),
        ("1.8e308", "expected a number, got the text '1.8e308'"),
        ("0" * 40 + "5", "expected a number, got the text"),
        *(
            (text, "expected a number, got the text")
            for text in ("", ".", "-", "e5", "1e", "0x1", "1,5", "1.2.3")
        ),
        *(
            (text, "expected a number, got the text")
            for text in ("inf", "nan", "-NaN", "+Infinity", "infinity")
        ),
        (True, "expected a number, got true"),
        (None, "expected a number, got null"),
        ({"a": 1}, "expected a number, got a mapping"),
    ],
)
def test_no_doubles(doc, why):
    assert why in refused(lambda: parse("double_value", doc))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ".",
            "-",
            "e5",
            "1e",
            "0x1",
            "1,5",
            "1.2.3",
            "1.8e308",
            "inf",
            "nan",
            "-NaN",
            "+Infinity",
            "infinity",
        ),
        *("1_0", " 1", "1 ", "1\n", "٣", "\ud800"),
    ],
)
@pytest.mark.parametrize("name", ["double_value", "float_value"])
def test_texts_of_no_doubles(name, text):
    assert refused(lambda: parse(name, text)) == f"expected a number, got the text {text!r}"


def test_the_largest_float_and_what_is_rounded_to_it():
    largest = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
    beyond = largest + 2.0**103  # half a step: there it would become infinite
    assert parse("float_value", largest) == largest
    assert parse("float_value", math.nextafter(beyond, 0)) < beyond
    for value in (beyond, -beyond, 1e308):
        assert refused(lambda value=value: parse("float_value", value)) == f"{value} does not fit in a float"
    assert parse("float_value", "-Infinity") == -math.inf


# --- the rest -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "doc", "value"),
    [
        ("color", "DEEP_BLUE", 2),
        ("color", "BELOW", -3),
        ("color", "-3", -3),
        ("color", 2.0, 2),
        ("color", 77, 77),
        ("color", -(2**31), -(2**31)),
        ("color", 2**31 - 1, 2**31 - 1),
        ("alias", "AGAIN", 1),
    ],
)
def test_enums(name, doc, value):
    assert parse(name, doc) == value


@pytest.mark.parametrize(
    ("doc", "why"),
    [
        ("DEEP BLUE", "kinds.v3.Color has no value 'DEEP BLUE'; did you mean DEEP_BLUE?"),
        ("", "kinds.v3.Color has no value ''; it has NO_COLOR, RED, DEEP_BLUE, BELOW"),
        ("RED\n", "kinds.v3.Color has no value 'RED\\n'; did you mean RED?"),
        (2**31, "kinds.v3.Color has no value 2147483648"),
        (-(2**31) - 1, "kinds.v3.Color has no value -2147483649"),
        (0.5, "kinds.v3.Color takes a name or a number, not 0.5"),
        (None, "kinds.v3.Color takes a name or a number, not null"),
        (True, "kinds.v3.Color takes a name or a number, not true"),
    ],
)
def test_no_enums(doc, why):
    assert refused(lambda: parse("color", doc)) == why


def test_a_closed_enum_has_its_values_and_no_others():
    level = scalars.parser(field("level", "kinds.v2.Old"))
    assert [level(doc, AT) for doc in ("HIGH", 5, "1", 0)] == [5, 5, 1, 0]
    assert refused(lambda: level(2, AT)) == "kinds.v2.Level has no value 2"
    assert refused(lambda: level("2", AT)) == "kinds.v2.Level has no value 2"


def test_booleans_texts_and_bytes():
    assert (parse("bool_value", True), parse("bool_value", False)) == (True, False)
    for doc, got in ((1, "1"), (0, "0"), ("true", "the text 'true'"), (None, "null")):
        assert refused(lambda doc=doc: parse("bool_value", doc)) == f"expected true or false, got {got}"
    assert parse("string_value", "\x00é\U0001f600") == "\x00é\U0001f600"
    assert refused(lambda: parse("string_value", 7)) == "expected text, got 7"
    assert "lone surrogate" in refused(lambda: parse("string_value", "a\udc80"))
    data = scalars.parser(field("data", "kinds.v3.Binary"))
    assert [data(doc, AT) for doc in ("é", {"hex": "00 FF"}, {"base64": "AP8="}, "")] == [
        b"\xc3\xa9",
        b"\x00\xff",
        b"\x00\xff",
        b"",
    ]
    assert "expected a string" in refused(lambda: data(None, AT))


@pytest.mark.parametrize(
    ("member", "text", "key"),
    [
        ("texts", "", ""),
        ("texts", "1", "1"),
        ("ints", "-2147483648", -2147483648),
        ("doubles", "18446744073709551615", 2**64 - 1),
        ("colors", "true", True),
        ("colors", "false", False),
    ],
)
def test_keys_of_maps(member, text, key):
    key_field = field(member, "kinds.v3.Maps").message_type.fields_by_name["key"]
    made = scalars.map_key(key_field, text, AT)
    assert (made, type(made)) == (key, type(key))


@pytest.mark.parametrize(
    ("member", "text", "why"),
    [
        ("texts", "\ud800", "lone surrogate"),
        ("ints", "2147483648", "from -2147483648 to 2147483647 (int32)"),
        ("ints", "1.0", "expected a whole number (int32)"),
        ("doubles", "-1", "from 0 to 18446744073709551615 (fixed64)"),
        ("colors", "True", "expected true or false, got 'True'"),
        ("colors", "", "expected true or false, got ''"),
        ("colors", "x" * 41, "expected true or false, got '" + "x" * 40 + "'"),
    ],
)
def test_no_keys_of_maps(member, text, why):
    key_field = field(member, "kinds.v3.Maps").message_type.fields_by_name["key"]
    assert why in refused(lambda: scalars.map_key(key_field, text, AT))


# --- words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("doc", "said"),
    [
        ("x", "the text 'x'"),
        ("x" * 58, "the text '" + "x" * 58 + "'"),
        ("x" * 59, "the text '" + "x" * 56 + "..."),
        ({}, "a mapping"),
        ([], "a list"),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        (1 << 128, "a far larger one"),
    ],
)
def test_what_a_document_is_in_words(doc, said):
    assert scalars.kind(doc) == said


@pytest.mark.parametrize(
    ("name", "names", "said"),
    [
        ("colour", ["color", "size"], "; did you mean color?"),
        ("COLOR", ["color", "size"], "; did you mean color?"),
        ("zzz", ["a", "b"], "; it has a, b"),
        ("zzz", list("abcdefgh"), "; it has a, b, c, d, e, f, g, h"),
        ("zzz", list("abcdefghi"), "; it has a, b, c, d, e, f, g, h, ..."),
        ("zzz", [], ""),
        ("name" + "x" * 100_000, ["name"], "; it has name"),
    ],
)
def test_hints(name, names, said):
    assert scalars.hint(name, iter(names)) == said
