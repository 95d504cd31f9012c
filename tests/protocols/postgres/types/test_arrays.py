"""Arrays and vectors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres import types
from svcmock_protocols.postgres.types.arrays import MAX_DIMENSIONS
from svcmock_protocols.postgres.types.codec import MAX_TEXT
from tests.protocols.postgres.types.forms import both_ways, canonical, is_read_as, no_bytes, no_text

INT4, TEXT = "00000017", "00000019"
WORDS = "00000003 612062 00000001 7b 00000001 22 00000001 5c 00000003 612c62"
BOXES = """
    00000020 4000000000000000 4000000000000000 3ff0000000000000 3ff0000000000000
    00000020 4010000000000000 4010000000000000 4008000000000000 4008000000000000
"""


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("_int4", "{}", f"00000000 00000000 {INT4}"),
        ("_int4", "{1,2}", f"00000001 00000000 {INT4} 00000002 00000001 00000004 00000001 00000004 00000002"),
        ("_int4", "{NULL}", f"00000001 00000001 {INT4} 00000001 00000001 ffffffff"),
        ("_int4", "[0:0]={7}", f"00000001 00000000 {INT4} 00000001 00000000 00000004 00000007"),
        (
            "_int4",
            "[-1:0]={7,8}",
            f"00000001 00000000 {INT4} 00000002 ffffffff 00000004 00000007 00000004 00000008",
        ),
        (
            "_int4",
            "{{1},{2}}",
            f"00000002 00000000 {INT4} 00000002 00000001 00000001 00000001 00000004 00000001 00000004 00000002",
        ),
        (
            "_int4",
            "[1:1][2:3]={{1,NULL}}",
            f"00000002 00000001 {INT4} 00000001 00000001 00000002 00000002 00000004 00000001 ffffffff",
        ),
        (
            "_text",
            '{a,"",NULL,"NULL"}',
            f"00000001 00000001 {TEXT} 00000004 0000000100000001 61 00000000 ffffffff 00000004 4e554c4c",
        ),
        (
            "_text",
            r'{"a b","{","\"","\\","a,b"}',
            f"00000001 00000000 {TEXT} 00000005 00000001 {WORDS}",
        ),
        (
            "_box",
            "{(2,2),(1,1);(4,4),(3,3)}",
            f"00000001 00000000 0000025b 00000002 00000001 {BOXES}",
        ),
        ("int2vector", "1 -2", "00000001 00000000 00000015 00000002 00000000 00000002 0001 00000002 fffe"),
        ("oidvector", "", "00000001 00000000 0000001a 00000000 00000000"),
    ],
)
def test_both_forms(name, text, data):
    both_ways(name, text, data)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("_int4", " { 1 , 2 } ", "{1,2}"),
        ("_int4", "[1:2]={1,2}", "{1,2}"),
        ("_int4", "[2] = {1,2}", "{1,2}"),
        ("_int4", "{{},{}}", "{}"),
        ("_int4", '{"1",null}', "{1,NULL}"),
        ("_int4", "{ {1} , { 2 } }", "{{1},{2}}"),
        ("_text", r"{a\,b, c d ,\"}", r'{"a,b","c d","\""}'),
        ("_text", '{"a" , "b"}', "{a,b}"),
        ("_text", r'{{"{}","}"}}', '{{"{}","}"}}'),
    ],
)
def test_other_spellings(name, text, shown):
    is_read_as(name, text, shown)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "{",
        "}",
        "{1",
        "1}",
        "{1}}",
        "{{1}",
        "{1,}",
        "{,1}",
        "{1,,2}",
        "{}{}",
        "{1}{2}",
        "{1 2}",
        "{1,{2}}",
        "{{1},2}",
        "{{1},{2,3}}",
        "{{1}{2}}",
        '{"1"2}',
        '{"1}',
        "{1\\",
        "[0:0]{1}",
        "[0:0]",
        "[0:1]={1}",
        "[a]={1}",
        "[1:1][1:1]={1}",
        "{x}",
        "{" * 7 + "1" + "}" * 7,
        "[1]" * 7 + "={1}",
        "{1},{2}",
    ],
)
def test_texts_that_are_none(text):
    no_text("_int4", text)


@pytest.mark.parametrize(
    "data",
    [
        "",
        f"00000000 00000000 {TEXT}",
        f"00000000 00000000 {INT4} 00",
        f"00000007 00000000 {INT4}" + "00000001 00000001" * 7,
        f"ffffffff 00000000 {INT4}",
        f"00000001 00000000 {INT4} 7fffffff 00000001",
        f"00000006 00000000 {INT4}" + "7fffffff 00000001" * 6,
        f"00000001 00000000 {INT4} ffffffff 00000001",
        f"00000001 00000000 {INT4} 00000002 7fffffff 00000004 00000001 00000004 00000001",
        f"00000001 00000000 {INT4} 00000001 00000001 00000004 0000",
        f"00000001 00000000 {INT4} 00000001 00000001 fffffffe 00000000",
        f"00000001 00000000 {INT4} 00000001 00000001 7fffffff 00000000",
        f"00000001 00000000 {INT4} 00000001 00000001 00000003 000000",
        f"00000001 00000000 {INT4} 00000001 00000001 00000004 00000001 00",
    ],
)
def test_bytes_that_are_none(data):
    no_bytes("_int4", data)


def test_few_bytes_do_not_become_too_much_text():
    digits = bytes.fromhex("0001 7fff 0000 0000 0001")
    count = MAX_TEXT // (4 * 0x8000) + 1
    element = len(digits).to_bytes(4) + digits
    data = b"".join(part.to_bytes(4) for part in (1, 0, 1700, count, 1)) + element * count
    with pytest.raises(ProtocolError, match="characters"):
        types.to_text(1231, data)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("_int2", "{1,2}"), ("_int8", "{ 1, 2 }")),
        (("_int4", "{1,NULL}"), ("_numeric", "{1.0,null}")),
        (("_float8", "{0.5}"), ("_numeric", "{5e-1}")),
        (("_bool", "{true,f}"), ("_bool", "{t,no}")),
        (("_timestamptz", '{"2024-01-01 00:00:00+00"}'), ("_timestamptz", "{2024-01-01T01:00:00+01:00}")),
        (("_int4", "[1:2]={1,2}"), ("_int4", "{1,2}")),
    ],
)
def test_arrays_are_compared_element_by_element(one, other):
    assert canonical(*one) == canonical(*other)


def test_bounds_and_nulls_make_a_difference():
    assert canonical("_int4", "[0:0]={1}") != canonical("_int4", "{1}")
    assert canonical("_text", "{NULL}") != canonical("_text", '{"NULL"}')


def nested(element):
    """Arrays of one to MAX_DIMENSIONS dimensions, each with equally many elements in all its parts."""

    def shape(sizes):
        found = element
        for size in sizes:
            found = st.lists(found, min_size=size, max_size=size)
        return found

    return st.lists(st.integers(1, 3), min_size=1, max_size=MAX_DIMENSIONS).flatmap(shape)


def written(value):
    """An array with every element in quotes, every character escaped."""
    if isinstance(value, list):
        return "{" + ",".join(map(written, value)) + "}"
    if value is None:
        return "NULL"
    return '"' + "".join("\\" + letter for letter in value) + '"'


@given(
    nested(st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5))
)
def test_any_text_survives_in_an_array(value):
    text = written(value)
    shown = types.canonical(1009, text)
    assert types.to_binary(1009, shown) == types.to_binary(1009, text)
    assert types.to_text(1009, types.to_binary(1009, text)) == shown


@given(st.text('{}[]"\\,;= \n1aN:', max_size=30))
def test_any_text_is_an_array_or_an_error(text):
    try:
        data = types.to_binary(1009, text)
    except ProtocolError:
        return
    assert types.to_binary(1009, types.to_text(1009, data)) == data
