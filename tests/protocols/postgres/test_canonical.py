"""What decides a match."""

import pytest
from msgspec.structs import replace

from svcmock.protocol import Blob
from svcmock_protocols.postgres.canonical import address, decisive, fields, key, value_of
from svcmock_protocols.postgres.facts import Facts
from svcmock_protocols.postgres.messages import Raw, Request
from svcmock_protocols.postgres.types import Types
from svcmock_protocols.postgres.types.declared import Declared
from tests.protocols.postgres.wire import context

SQL = "SELECT name FROM users WHERE id = $1"


def same(one: Request, other: Request, ignore: tuple[str, ...] = ()) -> bool:
    return key(one, context(ignore=ignore)) == key(other, context(ignore=ignore))


@pytest.mark.parametrize(
    "sql",
    [
        f"{SQL};",
        f"  {SQL} ",
        SQL.replace(" ", "\n\t"),
        f"{SQL} /*dd:traceparent='00-abc',route='%2Fx'*/",
        f"-- app:shop\n{SQL}",
    ],
)
def test_comments_and_layout_decide_nothing(sql):
    assert same(Request(sql, ("1",)), Request(SQL, ("1",)))


def test_names_of_cursors_decide_nothing():
    one, other = [Request(f'DECLARE "{name}" CURSOR FOR {SQL}', ("1",)) for name in ("curs_1", "curs_2")]
    assert same(one, other)
    assert decisive(one, context()) == decisive(other, context())
    assert not same(one, Request(one.sql, ("2",)))


@pytest.mark.parametrize("sql", [SQL.lower(), f"/*+ SeqScan(users) */ {SQL}", SQL.replace("$1", "' $1'")])
def test_what_may_mean_something_else_decides(sql):
    assert not same(Request(sql, ("1",)), Request(SQL, ("1",)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("42", 23), ("42", 21)),
        (("42", 23), ("42", 20)),
        (("42", 23), ("42.0", 1700)),
        (("42", 0), ("42", 23)),
        (("2024-01-01 02:00:00+02", 1184), ("2024-01-01 00:00:00+00", 1184)),
        (("true", 16), ("t", 16)),
        (("0.1", 700), ("0.1", 701)),
        (("Ann", 25), ("Ann", 0)),
    ],
)
def test_equal_values_of_different_types_are_the_same(one, other):
    """Drivers choose the type of a parameter by its value, and a fraction never equals itself as a float."""
    requests = [Request(SQL, (text,), (oid,)) for text, oid in (one, other)]
    assert same(*requests)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Charlie", "Alice!!"),
        ("1", "2"),
        ("1", None),
        ("", None),
        ("a", Raw(b"\xff")),
        (Raw(b"\xfe"), Raw(b"\xff")),
    ],
)
def test_other_values_decide_however_long_they_are(one, other):
    assert not same(Request(SQL, (one,), (25,)), Request(SQL, (other,), (25,)))


def test_noise_by_position():
    one, other = Request(SQL, ("1", "now"), (23, 25)), Request(SQL, ("1", "then"), (23, 25))
    assert not same(one, other)
    assert same(one, other, ("params.1",))
    assert not same(one, Request(SQL, ("2", "now")), ("params.1",))
    assert decisive(one, context(ignore=("params.1",))) == {"sql": SQL, "params": ["1", ""]}


def test_what_is_asked_of_a_statement_decides():
    made = {key(Request(SQL, op=op), context()) for op in ("query", "describe", "columns")}
    assert len(made) == 3
    assert all(one.startswith(address(Request(SQL)) + b"\0") for one in made)
    assert b"\0" not in address(Request("a\0b"))


def test_what_is_copied_decides():
    assert not same(Request("COPY t FROM STDIN", copy=b"1\n"), Request("COPY t FROM STDIN", copy=b"2\n"))
    digest = "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"
    blob = Blob("x", 2, sha256=digest)
    assert same(Request("COPY t FROM STDIN", copy=b"1\n"), Request("COPY t FROM STDIN", copy=blob))
    assert decisive(Request("x", copy=blob), context())["copy"] == {"sha256": digest}


def test_fields():
    request = Request(f"{SQL} ;", ("042",), (23,), b"1\n")
    told = dict(fields(request, context()))
    assert told == {"sql": SQL, "params": ["42"], "command": "SELECT", "copy": "1\n"}
    told = dict(fields(Request(SQL, op="describe"), context()))
    assert told == {"params": [], "command": "SELECT", "describe": SQL}
    assert len(fields(Request(SQL), context())) == 3
    with pytest.raises(KeyError):
        fields(request, context())["colour"]
    assert decisive(Request(SQL, op="columns"), context()) == {"columns": SQL}


def test_values():
    assert value_of(None, 23) is None
    assert value_of(Raw(b"\0"), 23) == {"binary": "00"}
    assert [value_of(Raw(data), 0) for data in (b"", b"a", b"\xff")] == ["", "a", {"binary": "ff"}]
    assert value_of(Raw(b"\0", binary=False), 23) == {"text": "00"}


def test_a_value_of_a_type_that_is_declared_is_its_text():
    known = Types([Declared(16400, "mood", "enum")])
    declared = replace(context(), schema=Facts(types=known))
    text, binary = (Request(SQL, (value,), (16400,)) for value in ("happy", Raw(b"happy")))
    assert key(text, declared) == key(binary, declared)
    assert key(text, context()) != key(binary, context())
    assert fields(binary, declared)["params"] == decisive(binary, declared)["params"] == ["happy"]
