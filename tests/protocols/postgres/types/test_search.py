"""Documents and queries of full text search."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres import types
from svcmock_protocols.postgres.types.search import MAX_NESTING
from tests.protocols.postgres.types.forms import both_ways, is_read_as, no_bytes, no_text


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("tsvector", "", "00000000"),
        ("tsvector", "'a' 'b'", "00000002 6100 0000 6200 0000"),
        ("tsvector", "'a':1A,2 'it''s\\\\':3C", "00000002 6100 0002 c001 0002 69742773 5c 00 0001 4003"),
        ("tsquery", "", "00000000"),
        ("tsquery", "'a'", "00000001 01 00 00 6100"),
        ("tsquery", "'a':*AB", "00000001 01 0c 01 6100"),
        ("tsquery", "!'a'", "00000002 02 01 01 00 00 6100"),
        ("tsquery", "'a' & 'b'", "00000003 02 02 01 00 00 6200 01 00 00 6100"),
        ("tsquery", "'a' <-> 'b'", "00000003 02 04 0001 01 00 00 6200 01 00 00 6100"),
        ("tsquery", "'a' <3> 'b'", "00000003 02 04 0003 01 00 00 6200 01 00 00 6100"),
        ("tsquery", "'a' & ( 'b' | 'c' )", "00000005 02 02 02 03 01 00 00 6300 01 00 00 6200 01 00 00 6100"),
        ("tsquery", "!( 'a' | 'b' )", "00000004 02 01 02 03 01 00 00 6200 01 00 00 6100"),
        (
            "tsquery",
            "'a' <-> ( 'b' <-> 'c' )",
            "00000005 02 04 0001 02 04 0001 01 00 00 6300 01 00 00 6200 01 00 00 6100",
        ),
    ],
)
def test_both_forms(name, text, data):
    both_ways(name, text, data)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("tsvector", " b:2 a  b:1b,2a ", "'a' 'b':1B,2A"),
        ("tsvector", "'a''b' c\\ d", "'a''b' 'c d'"),
        ("tsvector", "a:20000", "'a':16383"),
        ("tsquery", "a&b|c", "'a' & 'b' | 'c'"),
        ("tsquery", "a & b & c", "'a' & 'b' & 'c'"),
        ("tsquery", "((a))", "'a'"),
        ("tsquery", "!!a", "!!'a'"),
        ("tsquery", "a:b*", "'a':*B"),
    ],
)
def test_other_spellings(name, text, shown):
    is_read_as(name, text, shown)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tsvector", "'a"),
        ("tsvector", ":1"),
        ("tsquery", "a &"),
        ("tsquery", "& a"),
        ("tsquery", "(a"),
        ("tsquery", "a)"),
        ("tsquery", "a b"),
        ("tsquery", "!"),
        ("tsquery", "a <20000> b"),
        ("tsquery", "(" * 5000 + "a" + ")" * 5000),
        ("tsquery", "!" * 5000 + "a"),
    ],
)
def test_texts_that_are_none(name, text):
    no_text(name, text)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("tsvector", "00000001"),
        ("tsvector", "7fffffff 6100 0000"),
        ("tsvector", "00000001 61626364"),
        ("tsvector", "00000001 6100 ffff"),
        ("tsvector", "00000001 6100 0000 00"),
        ("tsquery", "00000001"),
        ("tsquery", "00000001 01 00 00 61"),
        ("tsquery", "00000001 01 10 00 6100"),
        ("tsquery", "00000001 03 00"),
        ("tsquery", "00000001 02 09"),
        ("tsquery", "00000001 02 02"),
        ("tsquery", "00000002 01 00 00 6100 01 00 00 6200"),
        ("tsquery", "7fffffff" + "0201" * 1000),
    ],
)
def test_bytes_that_are_none(name, data):
    no_bytes(name, data)


def test_a_long_chain_of_words_is_no_deep_nesting_too_early():
    text = " & ".join(f"'w{number}'" for number in range(MAX_NESTING))
    assert types.to_text(3615, types.to_binary(3615, text)) == text


queries = st.recursive(
    st.sampled_from(["a", "'b c'", "d:A", "e:*"]),
    lambda inner: st.one_of(
        inner.map(lambda one: f"!{one}"),
        inner.map(lambda one: f"({one})"),
        st.tuples(inner, st.sampled_from(["&", "|", "<->", "<2>"]), inner).map(" ".join),
    ),
    max_leaves=12,
)


@given(queries)
def test_a_query_keeps_its_meaning(text):
    """As text: how `a & (b & c)` is nested in binary says nothing more, and is lost as at the server."""
    shown = types.to_text(3615, types.to_binary(3615, text))
    assert types.to_text(3615, types.to_binary(3615, shown)) == shown
    assert sorted(re.findall(r"\w+", shown)) == sorted(re.findall(r"\w+", text))


@given(st.binary(max_size=40), st.sampled_from([3614, 3615]))
def test_any_bytes_are_a_value_or_an_error(tail, oid):
    try:
        types.to_text(oid, b"\0\0\0\2" + tail)
    except ProtocolError:
        return
