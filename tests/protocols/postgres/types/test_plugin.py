"""The package's own functions: dispatch by type, and nothing but a ProtocolError for what is no value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres import types
from svcmock_protocols.postgres.types import catalog
from tests.protocols.postgres.types.samples import CHOSEN

OIDS = [oid for oid in range(6200) if catalog.name(oid) is not None]
KNOWN = [oid for oid in OIDS if types.known(oid)]
CONVERTED = [*KNOWN, 2249, 2287]


def test_these_have_no_codec():
    without = {types.name(oid) for oid in OIDS if not types.known(oid)}
    assert {name.removeprefix("_") for name in without if name is not None} == {
        "aclitem",
        "gtsvector",
        "record",
        "regclass",
        "regcollation",
        "regconfig",
        "regdictionary",
        "regnamespace",
        "regoper",
        "regoperator",
        "regproc",
        "regprocedure",
        "regrole",
        "regtype",
    }


@pytest.mark.parametrize("oid", [0, 2205, 16384, -1, 2**40])
def test_a_type_without_a_codec(oid):
    assert not types.known(oid)
    with pytest.raises(types.Unknown):
        types.to_text(oid, b"\0\0\0\1")
    with pytest.raises(types.Unknown):
        types.to_binary(oid, "1")
    assert types.canonical(oid, "01") == "01"


def test_names():
    assert types.oid("integer") == 23
    assert types.name(1007) == "_int4"
    assert types.name(16384) is None


def test_an_error_tells_the_type_and_the_value():
    with pytest.raises(ProtocolError, match="3 bytes are no int4: unpack requires a buffer of 4 bytes"):
        types.to_text(23, b"abc")
    with pytest.raises(ProtocolError, match=r"'x{40}\.\.\.' is no int4"):
        types.to_binary(23, "x" * 1000)


@given(st.sampled_from(CONVERTED), st.binary(max_size=64))
def test_any_bytes_are_a_value_or_an_error(oid, data):
    try:
        text = types.to_text(oid, data)
    except ProtocolError:
        return
    assert isinstance(text, str)


@given(st.sampled_from(CONVERTED), st.text(max_size=40))
def test_any_text_is_a_value_or_an_error(oid, text):
    assert types.canonical(oid, types.canonical(oid, text)) == types.canonical(oid, text)
    try:
        data = types.to_binary(oid, text)
    except ProtocolError:
        return
    if oid in KNOWN and "\0" not in text:
        types.to_text(oid, data)


SAMPLES = [
    (oid, types.to_binary(oid, text))
    for name, texts in CHOSEN.items()
    for text in texts
    if (oid := types.oid(name))
]


def test_every_type_has_samples():
    assert {types.name(oid) for oid in KNOWN} - {types.name(oid) for oid, _ in SAMPLES} <= {
        types.name(oid) for oid in catalog.ARRAYS
    } | {"xml", "unknown", "cstring", "void", "pg_node_tree"}


@given(
    st.sampled_from(SAMPLES),
    st.lists(
        st.tuples(st.integers(0, 80), st.integers(0, 3), st.binary(min_size=1, max_size=5)),
        min_size=1,
        max_size=3,
    ),
)
def test_damaged_values_are_values_or_errors(sample, changes):
    """Bytes put in, taken out or written over anywhere in a real value."""
    oid, data = sample
    for at, gone, put in changes:
        data = data[:at] + put + data[at + gone :]
    try:
        text = types.to_text(oid, data)
        types.canonical(oid, text)
        types.to_binary(oid, text)
    except ProtocolError:
        return
