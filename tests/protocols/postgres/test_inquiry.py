"""Questions to a recorded server, and what comes of the answers. The server itself: tests/e2e."""

import pytest

from svcmock_protocols.postgres import codec, inquiry
from svcmock_protocols.postgres.types.declared import Declared
from tests.protocols.postgres import wire


def row(*values: bytes | None) -> bytes:
    return wire.row(*values)[5:]


def test_names_without_a_name_are_the_clients():
    """Its statement and its portal without a name live on, whatever is asked."""
    for asked in (inquiry.describing("SELECT $1", (0, 23)), inquiry.looking_up([16400, 16401])):
        kinds = wire.kinds(asked)
        assert kinds.endswith("CS")
        named = [one[5:] for one in wire.split(asked) if one[:1] in b"PDBEC"]
        assert all(one.lstrip(b"S").startswith(b"_svcmock\0") for one in named)
    name, sql, types = codec.parse(wire.split(inquiry.describing("SELECT $1", (0, 23)))[0][5:])
    assert (name, sql, types) == ("_svcmock", "SELECT $1", (0, 23))


@pytest.mark.parametrize(
    ("values", "declared"),
    [
        ((b"16400", b"public", b"mood", b"e", None, None, None), Declared(16400, "mood", "enum")),
        ((b"16400", b"s", b"p", b"d", b"1700", None, None), Declared(16400, "p", "domain", "s", "numeric")),
        ((b"16400", b"s", b"_m", b"b", b"16399", None, None), Declared(16400, "_m", "array", "s", 16399)),
        ((b"16400", b"s", b"r", b"r", b"701", None, None), Declared(16400, "r", "range", "s", "float8")),
        ((b"16400", b"s", b"r", b"r", None, None, None), Declared(16400, "r", "extension", "s")),
        ((b"16400", b"s", b"citext", b"b", None, None, None), Declared(16400, "citext", "extension", "s")),
        (
            (b"16400", b"s", b"c", b"c", None, b'{a,"b c"}', b"{23,16399}"),
            Declared(16400, "c", "composite", "s", fields=(("a", "int4"), ("b c", 16399))),
        ),
        ((b"16400", b"s", b"c", b"c", None, None, None), Declared(16400, "c", "composite", "s")),
        ((None, b"s", b"c", b"c", None, None, None), None),
        ((b"x", b"s", b"c", b"c", None, None, None), None),
        ((b"1", b"s", b"c", b"c", None, b"{a}", b"{}"), None),
        ((b"1", b"\xff", b"c", b"c", None, None, None), None),
        ((b"1",), None),
    ],
)
def test_types_of_the_catalog(values, declared):
    assert inquiry.told(row(*values)) == declared


def test_a_row_that_is_none():
    assert inquiry.told(b"\0") is None
    assert inquiry.own([23, 16384, 16383]) == {16384}
