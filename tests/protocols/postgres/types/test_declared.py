"""Types that a database made itself, once they are declared."""

import pytest

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres.types import Types, Unknown
from svcmock_protocols.postgres.types.declared import MAX_NESTED, Declared

MOOD, MOODS, PRICE, PRICES, PLACE, SPAN, OTHER = range(16400, 16407)
KNOWN = Types(
    [
        Declared(MOODS, "_mood", "array", of=MOOD),  # before what it is made of
        Declared(MOOD, "mood", "enum"),
        Declared(PRICE, "price", "domain", of="numeric"),
        Declared(PRICES, "_price", "array", of=PRICE),
        Declared(PLACE, "place", "composite", fields=(("name", "text"), ("moods", MOODS), ("paid", PRICE))),
        Declared(SPAN, "span", "range", of="float8"),
        Declared(OTHER, "hstore", "extension"),
    ]
)


def i32(*numbers: int) -> bytes:
    return b"".join([number.to_bytes(4, signed=number < 0) for number in numbers])


TWELVE = bytes.fromhex("0002 0000 0000 0002 000c 1388")
HAPPY = i32(1, 0, MOOD, 1, 1, 5) + b"happy"


@pytest.mark.parametrize(
    ("oid", "text", "binary"),
    [
        (MOOD, "happy", b"happy"),
        (MOODS, "{happy}", HAPPY),
        (PRICE, "12.50", TWELVE),
        (PRICES, "{12.50}", i32(1, 0, PRICE, 1, 1, 12) + TWELVE),
        (PLACE, "(a,{happy},)", i32(3, 25, 1) + b"a" + i32(MOODS, len(HAPPY)) + HAPPY + i32(PRICE, -1)),
        (
            PLACE,
            '("a ""(b)\\\\, c",,12.50)',
            i32(3, 25, 10) + b'a "(b)\\, c' + i32(MOODS, -1, PRICE, 12) + TWELVE,
        ),
        (PLACE, '("",,)', i32(3, 25, 0, MOODS, -1, PRICE, -1)),
        (SPAN, "[1.5,2)", bytes.fromhex("02 00000008 3ff8000000000000 00000008 4000000000000000")),
        (2249, "(happy)", None),
    ],
)
def test_both_forms(oid, text, binary):
    if binary is None:
        assert KNOWN.to_text(oid, i32(1, MOOD, 5) + b"happy") == text
        return
    assert KNOWN.to_binary(oid, text) == binary
    assert KNOWN.to_text(oid, binary) == text
    assert KNOWN.known(oid)


def test_elements_may_be_called_by_what_a_domain_is_made_of():
    """asyncpg does, as it knows of no values of the domain's own."""
    assert KNOWN.to_text(PRICES, i32(1, 0, 1700, 1, 1, 12) + TWELVE) == "{12.50}"
    with pytest.raises(ProtocolError):
        KNOWN.to_text(PRICES, i32(1, 0, 23, 1, 1, 12) + TWELVE)


@pytest.mark.parametrize(
    "text", ["", "a,b", "(a", "(a,b)", "(a,{happy},1,2)", "(a,{happy},x)", '("a,,)', "(a,,)x"]
)
def test_what_is_no_composite(text):
    with pytest.raises(ProtocolError):
        KNOWN.to_binary(PLACE, text)
    assert KNOWN.canonical(PLACE, text) == text


def test_equal_values():
    assert KNOWN.canonical(PRICE, "12.500") == KNOWN.canonical(1700, "12.5")
    assert KNOWN.canonical(PLACE, '( "a" ,,)') != KNOWN.canonical(PLACE, "(a,,)")
    assert KNOWN.canonical(PLACE, '("a",,)') == "(a,,)"


def test_a_composite_without_fields():
    known = Types([Declared(PLACE, "nothing", "composite")])
    assert known.to_binary(PLACE, "()") == i32(0)
    assert known.to_text(PLACE, i32(0)) == "()"


def test_an_extensions_type_has_a_name_and_no_codec():
    assert KNOWN.name(OTHER) == "hstore"
    assert not KNOWN.known(OTHER)
    with pytest.raises(Unknown):
        KNOWN.to_binary(OTHER, "x")


@pytest.mark.parametrize(
    "wrong",
    [
        [Declared(MOOD, "a", "domain", of=MOOD)],
        [Declared(MOOD, "a", "array", of=MOODS), Declared(MOODS, "b", "domain", of=MOOD)],
        [Declared(MOOD, "a", "composite", fields=(("x", MOOD),))],
        [Declared(MOOD, "a", "domain", of="nothing")],
        [Declared(MOOD, "a", "range")],
        [Declared(16400 + n, "a", "domain", of=16401 + n) for n in range(MAX_NESTED + 10)],
    ],
)
def test_what_is_made_of_nothing_that_is_known(wrong):
    assert not Types(wrong).known(MOOD)


def test_what_every_server_has_stays_what_it_is():
    assert Types([Declared(23, "int4", "enum")]).to_binary(23, "1") == i32(1)
