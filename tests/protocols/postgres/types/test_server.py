"""A real PostgreSQL as the oracle: every value is asked for once as text and once in binary."""

import math
import random
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres import types
from svcmock_protocols.postgres.types import catalog
from tests.protocols.postgres.types.samples import CHOSEN
from tests.protocols.postgres.types.server import running


@pytest.fixture(scope="module")
def server() -> Iterator[psycopg.Connection[Any]]:
    with running() as connection:
        yield connection


def asked(
    server: psycopg.Connection[Any], name: str, texts: Sequence[str | None]
) -> list[tuple[str | None, bytes | None]]:
    """What the server makes of the texts: as text, and in binary."""
    query = f"SELECT v::{name} FROM unnest(%s::text[]) WITH ORDINALITY AS given (v, n) ORDER BY n"
    found: list[list[bytes | None]] = []
    for binary in (False, True):
        cursor = server.cursor(binary=binary)
        cursor.execute(query, [list(texts)])
        result = cursor.pgresult
        assert result is not None
        found.append([result.get_value(row, 0) for row in range(result.ntuples)])
    plain, raw = found
    assert len(plain) == len(raw) == len(texts)
    return [(None if text is None else text.decode(), data) for text, data in zip(plain, raw, strict=True)]


def agrees(server: psycopg.Connection[Any], name: str, texts: Sequence[str]) -> None:
    oid = types.oid(name)
    assert oid is not None
    for given_text, (text, data) in zip(texts, asked(server, name, texts), strict=True):
        assert text is not None
        assert data is not None
        assert types.to_text(oid, data) == text, given_text
        assert types.to_binary(oid, text) == data, given_text
        canonical = types.canonical(oid, text)
        assert types.canonical(oid, given_text) == canonical
        assert types.canonical(oid, canonical) == canonical


@pytest.mark.parametrize("name", CHOSEN)
def test_chosen_values(server, name):
    agrees(server, name, CHOSEN[name])


def test_the_names_and_oids_are_those_of_the_catalog(server):
    rows = server.execute(
        "SELECT typname, oid::int8, typarray::int8, typdelim, typsend::oid::int8 FROM pg_type"
        " WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm', 'p') AND oid < 10000"
    ).fetchall()
    found = {name: oid for name, oid, *_ in rows}
    named = {oid: catalog.name(oid) for oid in range(7000) if catalog.name(oid) is not None}
    assert {oid: name for oid, name in named.items() if found.get(name) != oid} == {}
    arrays = {array: oid for _, oid, array, *_ in rows if array}
    assert {array: oid for array, oid in catalog.ARRAYS.items() if arrays[array] != oid} == {}
    assert {name for name, _, _, delimiter, _ in rows if delimiter != ","} <= {"box", "_box"}
    # Types of values, as against those of functions' declarations, that this package has never heard of.
    missing = {name for name, oid, array, _, send in rows if array and send and oid not in named}
    assert {name for name in missing if not name.startswith(("_", "pg_"))} == set()


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [("int2", -(2**15), 2**15 - 1), ("int4", -(2**31), 2**31 - 1), ("int8", -(2**63), 2**63 - 1)],
)
def test_integers(server, name, lowest, highest):
    draw = random.Random(name)
    values = [0, 1, -1, lowest, highest, *(draw.randint(lowest, highest) for _ in range(500))]
    agrees(server, name, [str(value) for value in values])


def hard_floats(count: int) -> Iterator[float]:
    """Random bits, short decimals, powers of two and ten, and the neighbours of all of these."""
    draw = random.Random("floats")
    for _ in range(count):
        yield struct.unpack(">d", draw.randbytes(8))[0]
        yield float(f"{draw.randint(1, 10 ** draw.randint(1, 17))}e{draw.randint(-30, 30)}")
    for power in range(-320, 309):
        yield float(f"1e{power}")
    for power in range(-1074, 1024):
        yield 2.0**power
        yield math.nextafter(2.0**power, 0)
        yield math.nextafter(2.0**power, math.inf)
    # Integers that lie halfway between two decimals of fewer digits, or the other way round.
    for exponent in range(23):
        for odd in range(
            2**53 // 5**exponent | 1, (2**54 // 5**exponent | 1) + 40, 2 ** max(0, 44 - 2 * exponent)
        ):
            yield float(odd * 10**exponent)


def test_float8(server):
    values = [value for value in hard_floats(3000) if math.isfinite(value)]
    agrees(server, "float8", [repr(value) for value in values[:40_000]])
    agrees(server, "float8", ["NaN", "Infinity", "-Infinity", "-0", "1e23", "-1e23", "8.5e22", "5e-324"])


def test_float4(server):
    draw = random.Random("float4")
    values = [struct.unpack(">f", draw.randbytes(4))[0] for _ in range(5000)]
    values += [struct.unpack(">f", struct.pack(">f", 10.0**power))[0] for power in range(-44, 39)]
    values += [2.0**power for power in range(-149, 128)]
    values += [float(f"{draw.randint(1, 99999999)}e{draw.randint(-20, 20)}") for _ in range(5000)]
    agrees(server, "float4", [repr(value) for value in values if math.isfinite(value)])
    agrees(server, "float4", ["NaN", "Infinity", "-Infinity", "-0", "16777217", "33554432", "8388608.5"])


def test_numeric(server):
    draw = random.Random("numeric")
    texts = []
    for _ in range(3000):
        whole = "".join(draw.choices("0123456789", k=draw.randint(1, 25)))
        fraction = "".join(draw.choices("0009", k=draw.randint(0, 20)))
        texts.append(f"{draw.choice(['', '-'])}{whole}{'.' if fraction else ''}{fraction}")
        texts.append(f"{draw.randint(-999, 999)}e{draw.randint(-60, 60)}")
    agrees(server, "numeric", texts)


def test_moments(server):
    draw = random.Random("moments")
    days = [draw.randint(-2_451_545, 2_145_031_948) for _ in range(2000)]
    days += [draw.randint(-800_000, 800_000) for _ in range(2000)]
    agrees(server, "date", [types.to_text(1082, struct.pack(">i", day)) for day in days])
    lowest, highest = -211_813_488_000_000_000, 9_223_371_331_199_999_999
    moments = [draw.randint(lowest, highest) for _ in range(2000)]
    moments += [draw.randint(-(10**17), 10**17) for _ in range(2000)]
    moments += [second * 1_000_000 for second in range(-100, 100)]
    packed = [struct.pack(">q", moment) for moment in moments]
    agrees(server, "timestamp", [types.to_text(1114, data) for data in packed])
    agrees(server, "timestamptz", [types.to_text(1184, data) for data in packed])
    agrees(
        server,
        "time",
        [types.to_text(1083, struct.pack(">q", abs(moment) % 86_400_000_000)) for moment in moments],
    )


def test_intervals(server):
    draw = random.Random("intervals")
    packed = []
    for _ in range(4000):
        time = draw.choice([0, draw.randint(-(2**62), 2**62), draw.randint(-(10**11), 10**11)])
        days = draw.choice([0, 1, -1, draw.randint(-(2**31) + 1, 2**31 - 1)])
        months = draw.choice([0, 1, -1, 12, -12, draw.randint(-(2**31) + 1, 2**31 - 1), draw.randint(-40, 40)])
        packed.append(struct.pack(">qii", time, days, months))
    agrees(server, "interval", [types.to_text(1186, data) for data in packed])


def test_addresses(server):
    draw = random.Random("addresses")
    words = ["0", "0", "0", "1", "ffff", "a0b0"]
    texts = [":".join(draw.choices(words, k=8)) for _ in range(2000)]
    texts += [f"{text}/{draw.randint(0, 128)}" for text in texts[:300]]
    texts += [".".join(str(draw.randint(0, 255)) for _ in range(4)) for _ in range(300)]
    agrees(server, "inet", texts)


LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
ITEMS = st.lists(
    st.none() | st.text(LETTERS, max_size=6) | st.sampled_from(["NULL", "nuLl", "{}", ""]), max_size=6
)


@given(ITEMS)
def test_arrays_of_any_text(server, items):
    results = []
    for binary in (False, True):
        cursor = server.cursor(binary=binary)
        cursor.execute("SELECT %s::text[]", [items])
        assert cursor.pgresult is not None
        results.append(cursor.pgresult.get_value(0, 0))
    text, data = results
    assert types.to_text(1009, data) == text.decode()
    assert types.to_binary(1009, text.decode()) == data


@given(st.text('{}[]"\\,;= \n1aN:', max_size=12))
def test_what_is_no_array_for_the_server_is_none_here(server, text):
    """The other way round too, but for a few spellings that nothing writes."""
    try:
        ((shown, data),) = asked(server, "text[]", [text])
    except psycopg.Error:
        with pytest.raises(ProtocolError):
            types.to_binary(1009, text)
        return
    assert shown is not None
    assert types.to_text(1009, data or b"") == shown
    assert types.to_binary(1009, text) == data


def test_a_query_whose_text_does_not_tell_how_it_was_nested(server):
    ((text, data),) = asked(server, "tsquery", ["a & (b & c)"])
    assert text == types.to_text(3615, data or b"") == "'a' & 'b' & 'c'"


def test_records(server):
    for query in (
        "SELECT ROW(1, 'a b', NULL, '', 1.50, ARRAY[1,2], ROW('x', '\"', '\\'))",
        "SELECT ARRAY[ROW(1, ROW('a, b')), ROW(2, ROW('c'))]",
        "SELECT ROW()",
        "SELECT ROW(ROW(ROW(now() - now(), 'epoch'::timestamptz)))",
    ):
        shown, raw = server.cursor().execute(query), server.cursor(binary=True).execute(query)
        assert shown.pgresult is not None
        assert raw.pgresult is not None
        text, data = shown.pgresult.get_value(0, 0), raw.pgresult.get_value(0, 0)
        assert text is not None
        assert data is not None
        assert types.to_text(shown.pgresult.ftype(0), data) == text.decode()


def test_equality_is_that_of_the_server(server):
    """Of two texts of one type, the canonical forms are equal exactly if the server calls the values equal."""
    pairs = {
        "numeric": ["1", "1.0", "1.00", "-1", "0", "-0", "1e2", "100", "NaN", "nan", "Infinity"],
        "float8": ["1", "1.0", "-0", "0", "1e2", "100", "NaN", "inf", "0.1", "0.10000000000000001"],
        "timestamptz": [
            "2024-01-01 00:00:00+00",
            "2024-01-01 01:00:00+01",
            "2024-01-01T00:00:00Z",
            "2024-01-02",
        ],
        "timestamp": ["2024-01-01", "2024-01-01 00:00:00", "2024-01-01T00:00:00.0", "2024-01-01 00:00:01"],
        "bool": ["t", "true", "yes", "1", "f", "false", "0"],
        "uuid": ["00112233-4455-6677-8899-aabbccddeeff", "{00112233445566778899AABBCCDDEEFF}"],
        "jsonb": ['{"a": 1, "b": 2}', '{"b":2.0,"a":1}', '{"a": 1}', "1", "1.0", '"1"', "[1]", "[1.00]"],
        "bytea": ["\\x41", "A", "\\101", "B"],
        "inet": ["1.2.3.4", "1.2.3.4/32", "1.2.3.4/24", "::1", "0:0::1"],
        "int4[]": ["{1,2}", "{ 1 , 2 }", "[1:2]={1,2}", "[0:1]={1,2}", "{1,NULL}", "{}"],
        "int4range": ["[1,5]", "[1,6)", "(0,6)", "empty", "[2,2)", "(,)"],
        "numrange": ["[1,2]", "[1.0,2.0]", "[1,2)", "empty", "(1,1)"],
        "bpchar": ["a", "a ", "a  ", "b"],
        "text": ["a", "a ", "A"],
        "date": ["2024-01-05", "2024-1-5", "2024-01-05 BC"],
        "time": ["4:05", "04:05:00", "04:05:00.0", "04:05:01"],
        "bit varying": ["101", "1010"],
    }
    for name, texts in pairs.items():
        oid = types.oid(name)
        assert oid is not None
        rows = server.execute(
            f"SELECT a, b, a::{name} = b::{name} FROM unnest(%s::text[]) a, unnest(%s::text[]) b",
            [texts, texts],
        ).fetchall()
        for one, other, equal in rows:
            assert (types.canonical(oid, one) == types.canonical(oid, other)) is equal, (name, one, other)
