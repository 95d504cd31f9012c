"""Names and oids; the real catalog is compared in test_server.py."""

import pytest

from svcmock_protocols.postgres.types import catalog


@pytest.mark.parametrize(
    ("name", "oid"),
    [
        ("int4", 23),
        ("_int4", 1007),
        ("int4[]", 1007),
        ("integer", 23),
        ("INTEGER[]", 1007),
        ("double  precision", 701),
        ("timestamp with time zone", 1184),
        ("timestamp without time zone[]", 1115),
        ("character varying", 1043),
        ("char", 18),
        ('"char"', 18),
        ("character", 1042),
        ("record[]", 2287),
        ("void", 2278),
        ("jsonb", 3802),
    ],
)
def test_names(name, oid):
    assert catalog.oid(name) == oid


@pytest.mark.parametrize("name", ["", "mood", "[]", "mood[]", "void[]", "int4[][]"])
def test_no_names(name):
    assert catalog.oid(name) is None


def test_every_name_is_found_again():
    for array, element in catalog.ARRAYS.items():
        name = catalog.name(element)
        assert name is not None
        assert catalog.oid(name) == element
        assert catalog.name(array) == f"_{name}"
        assert catalog.oid(f"_{name}") == array == catalog.oid(f"{name}[]")


def test_no_oids():
    assert catalog.name(0) is None
    assert catalog.name(16384) is None
