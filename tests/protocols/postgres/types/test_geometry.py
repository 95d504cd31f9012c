"""The geometric types."""

import pytest

from tests.protocols.postgres.types.forms import both_ways, canonical, is_read_as, no_bytes, no_text

ONE, TWO, THREE, FOUR = "3ff0000000000000", "4000000000000000", "4008000000000000", "4010000000000000"


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("point", "(1,2)", ONE + TWO),
        ("lseg", "[(1,2),(3,4)]", ONE + TWO + THREE + FOUR),
        ("box", "(3,4),(1,2)", THREE + FOUR + ONE + TWO),
        ("line", "{1,2,3}", ONE + TWO + THREE),
        ("circle", "<(1,2),3>", ONE + TWO + THREE),
        ("path", "((1,2),(3,4))", "01 00000002" + ONE + TWO + THREE + FOUR),
        ("path", "[(1,2)]", "00 00000001" + ONE + TWO),
        ("polygon", "((1,2),(3,4))", "00000002" + ONE + TWO + THREE + FOUR),
    ],
)
def test_both_forms(name, text, data):
    both_ways(name, text, data)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("point", " 1.0 , 2e0 ", "(1,2)"),
        ("box", "((1,4),(3,2))", "(3,4),(1,2)"),
        ("circle", "((1,2),3)", "<(1,2),3>"),
        ("point", "(NaN,-Infinity)", "(NaN,-Infinity)"),
    ],
)
def test_other_spellings(name, text, shown):
    is_read_as(name, text, shown)
    assert canonical(name, text) == shown


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("point", ""),
        ("point", "(1)"),
        ("point", "(1,2,3)"),
        ("box", "(1,2)"),
        ("path", "[(1,2),3]"),
        ("polygon", "x"),
    ],
)
def test_texts_that_are_none(name, text):
    no_text(name, text)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("point", ONE),
        ("circle", ONE + TWO),
        ("path", "01 7fffffff" + ONE + TWO),
        ("path", "01 ffffffff"),
        ("polygon", "00000002" + ONE + TWO),
        ("polygon", "00"),
    ],
)
def test_bytes_that_are_none(name, data):
    no_bytes(name, data)
