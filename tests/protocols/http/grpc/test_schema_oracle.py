"""Documents against the protobuf library: random messages, their parse, their bytes, and its JSON."""

import random

import pytest
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock.protocol import Invalid
from svcmock_protocols.http.grpc import tree
from svcmock_protocols.http.grpc.tree import varint
from tests.protocols.conformance import mutate
from tests.protocols.http.grpc.protos import TYPES, message_class, messages, schema

JSON_TYPES = [f"kinds.v3.{name}" for name in ("Scalars", "Lists", "Maps", "Choice", "Known")]


def wire(message):
    return message.SerializePartialToString(deterministic=True)


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=60)
@given(data=st.data())
def test_a_document_stands_for_the_message_to_the_last_byte(name, data):
    message = data.draw(messages(name))
    encoded = wire(message)
    doc = schema().to_doc(name, encoded)
    assert schema().to_bytes(name, doc) == encoded
    assert schema().exact(name, encoded)


@pytest.mark.parametrize("name", JSON_TYPES)
@settings(max_examples=60)
@given(data=st.data())
def test_the_json_of_the_library_is_taken(name, data):
    message = data.draw(messages(name))
    pool = schema()._pool
    for kept in (False, True):
        shown = json_format.MessageToDict(message, preserving_proto_field_name=kept, descriptor_pool=pool)
        assert schema().to_bytes(name, shown) == wire(message)


@pytest.mark.parametrize("name", JSON_TYPES)
@settings(max_examples=60)
@given(data=st.data())
def test_the_library_takes_documents_as_json(name, data):
    message = data.draw(messages(name))
    parsed = message_class(name)()
    json_format.ParseDict(schema().to_doc(name, wire(message)), parsed, descriptor_pool=schema()._pool)
    assert wire(parsed) == wire(message)


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=60)
@given(data=st.data())
def test_the_tree_stands_for_the_message_too(name, data):
    encoded = wire(data.draw(messages(name)))
    assert tree.exact(encoded)
    by_number = schema().to_bytes(name, tree.read(encoded))
    assert schema().canonical(name, by_number) == schema().canonical(name, encoded)
    assert by_number == encoded


def reordered(data, chance):
    """The same message otherwise encoded: fields in another order, varints padded."""
    fields = tree.scan(data)
    by_number = {}
    for number, kind, value in fields:
        by_number.setdefault(number, []).append(encoded_field(number, kind, value, chance))
    numbers = list(by_number)
    chance.shuffle(numbers)
    return b"".join(b"".join(by_number[number]) for number in numbers)


def encoded_field(number, kind, value, chance):
    head = varint(number << 3 | kind)
    if kind == tree.LENGTH:
        return head + padded(len(value), chance) + value
    if kind == tree.VARINT:
        return head + padded(value, chance)
    if kind == tree.GROUP:
        inner = b"".join(encoded_field(*field, chance) for field in value)
        return head + inner + varint(number << 3 | tree.GROUP_END)
    return head + value.to_bytes(4 if kind == tree.FIXED32 else 8, "little")


def padded(value, chance):
    plain = varint(value)
    extra = chance.randrange(min(3, 11 - len(plain)))
    return plain if not extra else plain[:-1] + bytes([plain[-1] | 0x80]) + b"\x80" * (extra - 1) + b"\0"


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=60)
@given(data=st.data(), seed=st.integers())
def test_encodings_of_the_same_message_are_canonically_equal(name, data, seed):
    message = data.draw(messages(name))
    encoded = wire(message)
    other = reordered(encoded, random.Random(seed))
    assert wire(message_class(name).FromString(other)) == encoded
    assert schema().canonical(name, other) == schema().canonical(name, encoded)
    assert tree.read(other) == tree.read(encoded)


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=100)
@given(data=st.data(), seed=st.integers())
def test_mutated_bytes_are_what_the_library_makes_of_them_or_nothing(name, data, seed):
    broken = mutate(wire(data.draw(messages(name))), seed)
    schema().canonical(name, broken)
    schema().exact(name, broken)
    doc = schema().to_doc(name, broken)
    try:
        parsed = message_class(name).FromString(broken)
    except DecodeError:
        assert doc is None
        return
    if doc is not None:
        try:
            again = message_class(name).FromString(schema().to_bytes(name, doc))
        except Invalid:
            return  # a known field of a wrong wire type, among what is not known
        if not unknown(parsed):
            assert str(again) == str(parsed)  # not the bytes, for a NaN is any NaN


def unknown(message):
    kept = wire(message)
    message.DiscardUnknownFields()
    return wire(message) != kept


@settings(max_examples=120)
@given(st.binary(max_size=200))
def test_any_bytes_have_a_canonical_form(data):
    for name in ("kinds.v3.Tree", "kinds.v3.Known", "kinds.v2.Old", "no.Such", None):
        schema().canonical(name, data)
    tree.exact(data)


NUMBERS = ("1", "2", "4", "0", "07", "536870912")
NAMES = (
    "name",
    "left",
    "children",
    "known",
    "value",
    "struct",
    "any",
    "choice",
    "text",
    "number",
    "doubleValue",
)
MARKS = ("@type", "@fields", "hex", "group", "fixed32", "[kinds.v2.note]", "\ud800")
KEYS = st.sampled_from((*NUMBERS, *NAMES, *MARKS))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["RED", "NaN", "1.5s", "2020-01-01T00:00:00Z", "a/kinds.v3.Known", "\ud800", "-1", "1e3"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(st.dictionaries(KEYS, VALUES, max_size=5), st.sampled_from(TYPES))
def test_any_document_is_a_message_or_invalid(doc, name):
    try:
        encoded = schema().to_bytes(name, doc, ("here",))
    except Invalid as error:
        at = error.at
        assert at[0] == "here"
        return
    message_class(name).FromString(encoded)
    assert schema().to_doc(name, encoded) is not None or name == "kinds.v2.Old"
