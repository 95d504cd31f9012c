"""Metadata in route files: lines that are implied, places, binary values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Invalid
from svcmock_protocols.http.grpc import heads

IMPLIED = {"te": b"te: trailers\r\n", "content-type": b"content-type: application/grpc\r\n"}
BOTH = b"te: trailers\r\ncontent-type: application/grpc\r\n"


@pytest.mark.parametrize(
    ("doc", "block"),
    [
        (None, BOTH),
        ([], BOTH),
        ([["x", "1"]], BOTH + b"x: 1\r\n"),
        ({"x": [1, True], "y": ""}, BOTH + b"x: 1\r\nx: true\r\ny: \r\n"),
        ([["host", "h"], ["x", "1"]], b"host: h\r\n" + BOTH + b"x: 1\r\n"),
        ([["x", "1"], "te"], b"content-type: application/grpc\r\nx: 1\r\nte: trailers\r\n"),
        ([["te", "x"]], b"content-type: application/grpc\r\nte: x\r\n"),
        ([["x-bin", {"hex": "ff00"}]], BOTH + b"x-bin: /wA\r\n"),
        ([["x-bin", "/wA="]], BOTH + b"x-bin: /wA=\r\n"),
        ([{"line": "x-bin: a"}], BOTH + b"x-bin: a\r\n"),
    ],
)
def test_blocks(doc, block):
    assert heads.build(doc, IMPLIED) == block


@pytest.mark.parametrize(
    ("doc", "at"),
    [
        ("x", ()),
        (["x"], (0,)),
        (["te", "te"], (1,)),
        ([["te", "x"], "te"], (1,)),
        ([["a", "b\nc"]], (0,)),
        ([["a b", "c"]], (0,)),
        ([["a-bin", {"hex": "x"}]], (0, 1, "hex")),
        ([[]], (0,)),
        ([7], (0,)),
    ],
)
def test_what_is_no_block(doc, at):
    with pytest.raises(Invalid) as caught:
        heads.build(doc, IMPLIED)
    assert caught.value.at == at


NAMES = st.sampled_from([b"te", b"x", b"x-bin", b"host", b"content-type"])
VALUES = st.sampled_from([b"", b"trailers", b"application/grpc", b"/wA", b"/wA=", b"a b", b"\xff", b"YQ,Yg"])
LINES = st.builds(lambda name, value: name + b": " + value + b"\r\n", NAMES, VALUES)


@given(st.lists(LINES, max_size=5).map(b"".join))
def test_what_is_shown_is_built_again(block):
    implied = {name: line for name, line in IMPLIED.items() if heads.holds(block, line)}
    assert heads.build(heads.show(block, implied), implied) == block


def test_values_as_predicates_see_them():
    assert heads.text_values(b"x", (b"a", b"\xff")) == ["a", "\xff"]
    assert heads.text_values(b"x-bin", (b"aGk,/w", b"a b")) == ["hi", "/w", "a b"]


def test_names_in_lower_case():
    assert heads.lowered(b"X-A: B\r\nc:D\r\n") == b"x-a: B\r\nc:D\r\n"
