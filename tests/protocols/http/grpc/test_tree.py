"""The wire tree: what bytes look like without a schema, and that documents give the same bytes again."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock.protocol import Invalid
from svcmock_protocols.http.grpc import tree

READ = [
    (b"", {}),
    (b"\x08\x2a", {"1": 42}),  # field 1, varint
    (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", {"1": 2**64 - 1}),
    (b"\x12\x04text", {"2": "text"}),  # field 2, length-delimited
    (b"\x12\x00", {"2": ""}),
    (b"\x12\x09two\nlines", {"2": "two\nlines"}),
    (b"\x1a\x02\x08\x07", {"3": {"1": 7}}),
    (b"\x1a\x04\x12\x02\x08\x07", {"3": {"2": {"1": 7}}}),
    (b"\x25\x01\x00\x00\x00", {"4": {"fixed32": 1}}),  # field 4, 32 bits
    (b"\x29\x00\x00\x00\x00\x00\x00\xf0\x3f", {"5": {"fixed64": 0x3FF0000000000000}}),  # field 5, 64 bits
    (b"\x32\x02\xff\x00", {"6": {"hex": "ff00"}}),
    (b"\x32\x41" + b"\xff" * 65, {"6": {"base64": "/////" + "/" * 81 + "8="}}),
    (b"\x38\x01\x38\x02\x38\x03", {"7": [1, 2, 3]}),
    (b"\x3a\x01a\x38\x02", {"7": ["a", 2]}),
    (b"\x10\x01\x08\x02", {"2": 1, "1": 2}),
    (b"\x0b\x10\x05\x0c", {"1": {"group": {"2": 5}}}),  # field 1, group: start, field 2, end
    (b"\x0b\x0c", {"1": {"group": {}}}),
    (b"\x0b\x13\x14\x0c\x0b\x0c", {"1": [{"group": {"2": {"group": {}}}}, {"group": {}}]}),
    (b"\xf8\xff\xff\xff\x0f\x01", {"536870911": 1}),
    # text that starts as a message does
    (b"\x1a\x26\n$" + b"a" * 36, {"3": {"1": "a" * 36}}),
    (b"\x1a\x04\nabc", {"3": "\nabc"}),
    # guesses that come to nothing, or would not give the same bytes again
    (b"\x1a\x02\x08\x80", {"3": {"hex": "0880"}}),
    (b"\x1a\x03\x08\x87\x00", {"3": {"hex": "088700"}}),
    (b"\x1a\x06\x08\x01\x10\x01\x08\x01", {"3": {"hex": "080110010801"}}),
    (b"\x1a\x02\x0b\x0b", {"3": {"hex": "0b0b"}}),
    (b"\x1a\x02\x0c\x01", {"3": {"hex": "0c01"}}),
    (b"\x1a\x02\x04\x01", {"3": {"hex": "0401"}}),
    (b"\x1a\x04\xc0\xa3\x09\x01", {"3": {"hex": "c0a30901"}}),  # field 19000 is reserved
]


@pytest.mark.parametrize(("data", "doc"), READ)
def test_read_and_write(data, doc):
    assert tree.read(data) == doc
    assert list(tree.read(data)) == list(doc)
    assert tree.write(doc) == data
    assert tree.exact(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",  # field 0
        b"\x08",
        b"\x08\x80",
        b"\x0a\x05text",
        b"\x0d\x00\x00\x00",
        b"\x09\x00\x00\x00\x00\x00\x00\x00",
        b"\x0e\x00",  # wire type 6
        b"\x0f\x00",
        b"\x0c",  # a group ends that has not begun
        b"\x0b",
        b"\x0b\x14",
        b"\x0b\x08\x01",
        b"\x04",
        b"\xc0\xa3\x09\x01",
        b"\x80\x80\x80\x80\x10\x01",  # field 2**29
        b"\x08" + b"\xff" * 9 + b"\x02",  # 65 bits
        b"\x08" + b"\x80" * 10 + b"\x00",
        b"\x0b" * 40 + b"\x0c" * 40,
    ],
)
def test_what_is_no_message(data):
    assert tree.read(data) is None
    assert tree.scan(data) is None
    assert not tree.exact(data)


@pytest.mark.parametrize(
    "data", [b"\x08\x81\x00", b"\x88\x00\x01", b"\x0a\x81\x00a", b"\x08\x01\x10\x01\x08\x01"]
)
def test_what_is_read_but_not_written_alike(data):
    assert tree.read(data) is not None
    assert not tree.exact(data)


@settings(max_examples=200)
@given(st.binary(max_size=120))
def test_read_answers_for_any_bytes(data):
    doc = tree.read(data)
    assert (doc is None) == (tree.scan(data) is None)
    if doc is not None:
        assert tree.read(tree.write(doc)) == doc


FIELDS = st.recursive(
    st.integers(0, 2**64 - 1)
    | st.text(st.characters(codec="utf-8"), max_size=6)
    | st.builds(lambda value: {"hex": value.hex()}, st.binary(max_size=80))
    | st.builds(lambda value: {"fixed32": value}, st.integers(0, 2**32 - 1))
    | st.builds(lambda value: {"fixed64": value}, st.integers(0, 2**64 - 1)),
    lambda inner: st.dictionaries(
        st.sampled_from(["1", "2", "15", "16", "3000"]), inner | st.lists(inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150)
@given(st.dictionaries(st.integers(1, 20).map(str), FIELDS, max_size=4))
def test_whatever_is_written_is_read_as_the_same_bytes(doc):
    assert tree.exact(tree.write(doc))


# --- documents that people write ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("doc", "data"),
    [
        ({"1": -1}, b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ({"1": True}, b"\x08\x01"),
        ({"1": {"fixed32": -2}}, b"\x0d\xfe\xff\xff\xff"),
        ({"1": {"fixed64": -1}}, b"\x09" + b"\xff" * 8),
        ({"1": []}, b""),
        ({"1": {}}, b"\x0a\x00"),
        ({"1": {"base64": "/w=="}}, b"\x0a\x01\xff"),
        ({"1": {"hex": "FF 00"}}, b"\x0a\x02\xff\x00"),
    ],
)
def test_other_ways_to_say_it(doc, data):
    assert tree.write(doc) == data


@pytest.mark.parametrize(
    ("doc", "at", "why"),
    [
        ("text", (), "expected a mapping of field numbers, got str"),
        (None, (), "got NoneType"),
        ({"name": 1}, ("name",), "expected a field number, such as 1, got 'name'"),
        ({"0": 1}, ("0",), "expected a field number"),
        ({"01": 1}, ("01",), "expected a field number"),
        ({"536870912": 1}, ("536870912",), "expected a field number"),
        ({"9" * 5000: 1}, ("9" * 5000,), "expected a field number"),
        ({"19000": 1}, ("19000",), "expected a field number"),
        ({"²": 1}, ("²",), "expected a field number"),
        ({1: 1}, (1,), "expected a field number"),
        ({"1": 1.5}, ("1",), "a float cannot be encoded without a schema"),
        ({"1": None}, ("1",), "expected a string, or one of"),
        ({"1": 2**64}, ("1",), "does not fit in 64 bits"),
        ({"1": -(2**63) - 1}, ("1",), "does not fit in 64 bits"),
        ({"1": [1, [2]]}, ("1", 1), "expected a string"),
        ({"1": {"fixed32": 2**32}}, ("1", "fixed32"), "does not fit in 32 bits"),
        ({"1": {"fixed64": "1"}}, ("1", "fixed64"), "expected a whole number, got str"),
        ({"1": {"fixed64": True}}, ("1", "fixed64"), "expected a whole number, got bool"),
        ({"1": {"group": 1}}, ("1", "group"), "expected a mapping"),
        ({"1": {"group": {"x": 1}}}, ("1", "group", "x"), "expected a field number"),
        ({"1": {"2": {"hex": "f"}}}, ("1", "2", "hex"), "not hex"),
        ({"1": {"base64": "?"}}, ("1", "base64"), "not base64"),
        ({"1": {"file": "bodies/x"}}, ("1", "file"), "inside a message bytes are text"),
        ({"1": {"hex": "ff", "2": 1}}, ("1", "hex"), "expected a field number"),
        ({"1": "\ud800"}, ("1",), "lone surrogate"),
    ],
)
def test_what_cannot_be_written(doc, at, why):
    with pytest.raises(Invalid, match=why) as caught:
        tree.write(doc, ("message",))
    assert caught.value.at == ("message", *at)


def test_a_document_that_is_too_deep():
    doc = {}
    for _ in range(5000):
        doc = {"1": doc}
    with pytest.raises(Invalid, match="too deep"):
        tree.write(doc)


# --- limits -------------------------------------------------------------------------------------------


def nested(depth):
    data = b"\x08\x01"
    for _ in range(depth):
        data = b"\x12" + tree.varint(len(data)) + data
    return data


def depth_of(doc):
    return 1 + depth_of(doc["2"]) if "2" in doc else 1


def test_depth_is_bounded_and_what_is_deeper_is_kept_as_bytes():
    assert depth_of(tree.read(nested(tree.MAX_DEPTH - 1))) == tree.MAX_DEPTH
    deep = nested(tree.MAX_DEPTH + 5)
    assert tree.exact(deep)
    assert depth_of(tree.read(deep)) == tree.MAX_DEPTH + 1


def test_groups_are_bounded_too():
    for depth, read in ((tree.MAX_DEPTH, True), (tree.MAX_DEPTH + 1, False), (100_000, False)):
        data = b"\x0b" * depth + b"\x0c" * depth
        assert tree.exact(data) == read


def test_fields_are_bounded():
    assert len(tree.read(b"\x08\x01" * tree.MAX_FIELDS)["1"]) == tree.MAX_FIELDS
    assert tree.read(b"\x08\x01" * (tree.MAX_FIELDS + 1)) is None
    assert tree.read(b"\x0a" + tree.varint(2 * tree.MAX_FIELDS) + b"\x08\x01" * tree.MAX_FIELDS) is None
    assert tree.show_fields([(1, tree.LENGTH, b"\x08\x01" * (tree.MAX_FIELDS + 1))]) is None


def test_size_is_bounded():
    assert tree.read(b"\x0a" + tree.varint(tree.MAX_SIZE) + bytes(tree.MAX_SIZE)) is None


def test_bombs_take_no_time():
    """Guesses inside guesses: each byte is looked at once a level."""
    before = time.perf_counter()
    tree.read(nested(5000))
    tree.read(b"\x12" + tree.varint(200_000) + b"\x08\x01" * 99_999 + b"\x08\x80")
    tree.read(b"\x0a\x80\x80\x40" + bytes(1 << 20))
    assert time.perf_counter() - before < 5


def test_names_of_bytes():
    assert tree.shown(b"text\n") == "text\n"
    assert tree.shown(b"") == ""
    assert tree.shown(b"\x00") == {"hex": "00"}
    assert tree.shown(bytes(65)) == {"base64": "A" * 87 + "="}
    assert tree.shown(b"x" * 100_000) == "x" * 100_000


def test_numbered():
    assert tree.numbered({})
    assert tree.numbered({"1": 1, "07": 1})
    assert not tree.numbered({"1": 1, "a": 1})
    assert not tree.numbered([1])
