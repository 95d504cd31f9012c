"""Anonymous records, which go one way only."""

import pytest

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres import types
from svcmock_protocols.postgres.types.codec import MAX_DEPTH, MAX_TEXT
from svcmock_protocols.postgres.types.records import RECORD, RECORD_ARRAY


def record(*fields):
    parts = [len(fields).to_bytes(4)]
    for oid, data in fields:
        parts.append(oid.to_bytes(4))
        parts.append(b"\xff\xff\xff\xff" if data is None else len(data).to_bytes(4) + data)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([], "()"),
        ([(23, b"\0\0\0\1"), (25, b"a")], "(1,a)"),
        ([(25, None), (25, b"")], '(,"")'),
        ([(25, b"a b"), (25, b'"'), (25, b"\\"), (25, b"(,)")], '("a b","""","\\\\","(,)")'),
        ([(RECORD, record((16, b"\1")))], '("(t)")'),
        (
            [(RECORD_ARRAY, b"\0\0\0\1\0\0\0\0\0\0\x08\xc9\0\0\0\1\0\0\0\1\0\0\0\x0d" + record((16, b"\1")))],
            '("{(t)}")',
        ),
    ],
)
def test_a_record_as_text(fields, text):
    assert types.to_text(RECORD, record(*fields)) == text


def test_a_record_in_binary_is_not_made_of_its_text():
    assert not types.known(RECORD)
    for oid in (RECORD, RECORD_ARRAY):
        with pytest.raises(types.Unknown):
            types.to_binary(oid, "(1,a)")
        assert types.canonical(oid, "(1,a)") == "(1,a)"


def test_a_field_of_an_unknown_type_makes_the_record_unknown():
    with pytest.raises(types.Unknown) as caught:
        types.to_text(RECORD, record((16400, b"happy")))
    assert caught.value.oid == 16400


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0\1",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        record((23, b"\0")),
        record((25, b"a"))[:-1],
        record((25, b"a")) + b"\0",
        record((25, b"a")).replace(b"\0\0\0\1a", b"\xff\xff\xff\xfea"),
    ],
)
def test_bytes_that_are_none(data):
    with pytest.raises(ProtocolError):
        types.to_text(RECORD, data)


def test_records_in_records_have_a_limit():
    data = record((25, b"a"))
    for _ in range(MAX_DEPTH):
        data = record((RECORD, data))
    assert types.to_text(RECORD, data).count("(") == MAX_DEPTH + 1
    with pytest.raises(ProtocolError, match="deeper"):
        types.to_text(RECORD, record((RECORD, data)))


def test_few_bytes_do_not_become_too_much_text():
    field = (1700, bytes.fromhex("0001 7fff 0000 0000 0001"))
    with pytest.raises(ProtocolError, match="characters"):
        types.to_text(RECORD, record(*[field] * (MAX_TEXT // (4 * 0x8000) + 1)))
