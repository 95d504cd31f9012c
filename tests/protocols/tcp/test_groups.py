"""Pairs, parts and tag-length-value: both ways, with what is computed, and what is none of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Invalid
from svcmock_protocols.tcp.fieldtypes import Digits, Integer, LayoutError
from svcmock_protocols.tcp.groups import FREE, MAX_PARTS, Pairs, Parts, Tagged, Total

QUERY = Pairs(b"&", b"=")
FIX = Pairs(
    b"|",
    b"=",
    trailing=True,
    first=("8", "9", "35"),
    last=("10",),
    totals={"9": Total(until="10"), "10": Total(Digits(3), algorithm="sum8")},
)
LINES = Pairs(b"\r", b"|", value=Parts(b"|"), trailing=True)


@pytest.mark.parametrize(
    ("content", "data", "value"),
    [
        (QUERY, b"a=1&b=2", {"a": "1", "b": "2"}),
        (QUERY, b"a=1&a=2&b=", {"a": ["1", "2"], "b": ""}),
        (QUERY, b"", {}),
        (LINES, b"MSH|^~|A\rPID|1\r", {"MSH": ["^~", "A"], "PID": ["1"]}),
        (LINES, b"OBX|1|a\rOBX|2|b\r", {"OBX": [["1", "a"], ["2", "b"]]}),
        (Parts(b","), b"a,,b", ["a", "", "b"]),
        (Parts(b",", ("x", "y")), b"1,2", {"x": "1", "y": "2"}),
        (Parts(b",", ("x", "y")), b"1", {"x": "1"}),
        (Parts(b"|", each=Parts(b"^")), b"a^b|c", [["a", "b"], ["c"]]),
        (
            Tagged(1, Integer(1, "big", signed=False)),
            b"\x01\x02ab\x02\x00\x01\x01c",
            {"01": ["6162", "63"], "02": ""},
        ),
        (FREE, b"\xe9", "\u00e9"),
    ],
)
def test_both_ways(content: Any, data: bytes, value: Any) -> None:
    assert content.decode(data) == value
    if value not in ("\u00e9", {"01": ["6162", "63"], "02": ""}):  # order, or an encoding, is not kept
        assert content.encode(value, ()) == data


def test_what_is_computed() -> None:
    data = FIX.encode({"35": "0", "49": "A"}, ())
    with pytest.raises(Invalid):
        FIX.encode([], ())
    data = FIX.encode({"49": "A", "8": "FIX.4.2", "35": "0"}, ())
    assert data.startswith(b"8=FIX.4.2|9=10|35=0|49=A|10=")
    assert data.endswith(b"10=%03d|" % (sum(data[:-7]) & 0xFF))
    value = FIX.decode(data)
    assert isinstance(value, dict)
    assert FIX.plain(value) == {"8": "FIX.4.2", "35": "0", "49": "A"}
    assert FIX.encode(FIX.plain(value), ()) == FIX.encode(value, ()) == data


def test_a_wrong_checksum_is_told() -> None:
    data = FIX.encode({"8": "FIX.4.2", "35": "0"}, ())
    with pytest.raises(LayoutError, match="checksum 10"):
        FIX.decode(data.replace(b"35=0", b"35=1"))


def test_what_is_given_is_not_computed() -> None:
    assert FIX.encode({"8": "F", "9": "99", "10": "000"}, ()) == b"8=F|9=99|10=000|"


@pytest.mark.parametrize(
    ("content", "data"),
    [
        (QUERY, b"a"),
        (FIX, b"8=F|9=1"),
        (Parts(b",", ("x",)), b"1,2"),
        (Tagged(1, Integer(1, "big", signed=False)), b"\x01"),
        (Tagged(2, Integer(1, "big", signed=False)), b"\x01"),
        (Tagged(1, Integer(1, "big", signed=False)), b"\x01\x02a"),
        (QUERY, b"a=1&" * (MAX_PARTS + 1)),
        (Parts(b","), b"," * (MAX_PARTS + 1)),
        (Tagged(1, Integer(1, "big", signed=False)), b"\x01\x00" * (MAX_PARTS + 1)),
    ],
)
def test_what_is_none(content: Any, data: bytes) -> None:
    with pytest.raises(LayoutError):
        content.decode(data)


@pytest.mark.parametrize(
    ("content", "value", "at"),
    [
        (QUERY, "a", ()),
        (QUERY, {"a": None}, ("a",)),
        (Parts(b","), {"a": "b"}, ()),
        (Parts(b","), ["a", "b,c"], (1,)),
        (Parts(b",", ("x",)), ["a"], ()),
        (Parts(b",", ("x",)), {"y": "a"}, ("y",)),
        (Tagged(1, Integer(1, "big", signed=False)), [], ()),
        (Tagged(1, Integer(1, "big", signed=False)), {"01": 3}, ("01",)),
        (Tagged(1, Integer(1, "big", signed=False)), {"0102": "00"}, ("0102",)),
        (Tagged(1, Integer(1, "big", signed=False)), {"01": "00" * 256}, ("01",)),
        (FREE, None, ()),
        (Pairs(b"&", b"="), {"a": "1&b=2"}, ("a",)),
        (Pairs(b"&", b"="), {"a": ["1", "2&"]}, ("a",)),
        (Pairs(b"&", b"="), {"a=b": "1"}, ("a=b",)),
    ],
)
def test_values_that_do_not_fit(content: Any, value: Any, at: tuple[Any, ...]) -> None:
    with pytest.raises(Invalid) as told:
        content.encode(value, ())
    assert told.value.at == at


_WORDS = st.text("abc123", min_size=1, max_size=5)


@given(st.dictionaries(_WORDS, _WORDS, max_size=10))
def test_pairs_are_those_of_a_query(value: dict[str, str]) -> None:
    from urllib.parse import parse_qsl, urlencode

    data = urlencode(value).encode()
    assert QUERY.decode(data) == dict(parse_qsl(data.decode())) == value
    assert QUERY.encode(value, ()) == data


@given(st.binary(max_size=100))
def test_any_bytes_are_tags_or_a_fault(data: bytes) -> None:
    tagged = Tagged(1, Integer(1, "big", signed=False))
    try:
        value = tagged.decode(data)
    except LayoutError:
        return
    assert len(tagged.encode(value, ())) == len(data)
