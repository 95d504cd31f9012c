"""Prepared statements and portals by their names."""

import pytest

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres import named
from svcmock_protocols.postgres.named import Named
from tests.protocols.postgres import wire


def prepared(*pairs: tuple[str, str]) -> Named:
    known = Named()
    for name, sql in pairs:
        known.parse(wire.parse(sql, name)[5:])
    return known


def test_the_last_one_of_a_name_counts():
    known = prepared(("s", "a"), ("s", "b"), ("", "c"))
    assert [known.statement(name).sql for name in ("s", "", "t")] == ["b", "c", ""]
    assert known.statement("t").why


def test_what_did_not_take_place():
    known = prepared(("s", "a"), ("t", "b"))
    steps = [known.close("s"), known.parse(wire.parse("c", "s")[5:]), known.parse(wire.parse("d", "s")[5:])]
    known.restore(steps)
    assert known.statement("s").sql == "a"
    known.restore([known.parse(wire.parse("e", "u")[5:])])
    assert known.statement("u").why


def test_what_came_after_it_stays():
    known = prepared(("s", "a"))
    refused = known.parse(wire.parse("b", "s")[5:])
    closed = known.close("s")
    known.parse(wire.parse("c", "s")[5:])
    known.restore([refused, closed])
    assert known.statement("s").sql == "c"


@pytest.mark.parametrize(
    ("sql", "left"),
    [
        ("DEALLOCATE s", ["t"]),
        ("DEALLOCATE PREPARE S", ["t"]),
        ("DEALLOCATE ALL", []),
        ("DISCARD ALL", []),
        ("DISCARD PLANS", ["s", "t"]),
        ("CLOSE s", ["s", "t"]),
        ("SELECT 1", ["s", "t"]),
    ],
)
def test_what_sql_drops(sql, left):
    known = prepared(("s", "a"), ("t", "b"))
    known.batch = 5
    known.parse(wire.parse("c", "later")[5:])
    known.deallocated([sql], 4)
    assert [name for name in ("s", "t", "later") if not known.statement(name).why] == [*left, "later"]


def test_portals_end_with_their_batch():
    known = prepared(("", "a"))
    first = known.bind(wire.bind(portal="p")[5:]).portal
    known.batch += 1
    second = known.bind(wire.bind(portal="q")[5:]).portal
    assert known.drop_until(0) == [first]
    assert known.portal("p") is None
    assert known.drop("q") is second


def test_there_is_a_limit(monkeypatch):
    monkeypatch.setattr(named, "MAX_NAMED", 2)
    known = prepared(("s", "a"), ("t", "b"), ("t", "c"))
    with pytest.raises(ProtocolError):
        known.parse(wire.parse("d", "u")[5:])
    known.bind(wire.bind(portal="p")[5:])
    known.bind(wire.bind(portal="q")[5:])
    with pytest.raises(ProtocolError):
        known.bind(wire.bind(portal="r")[5:])
