"""psycopg's own binary dumpers and loaders as an oracle: what one side writes, the other reads."""

from datetime import UTC
from ipaddress import ip_network

import psycopg
from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer
from psycopg.types.json import Jsonb
from psycopg.types.range import DateRange, Int8Range

from svcmock_protocols.postgres import types

LONG = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)

values = st.one_of(
    st.booleans(),
    LONG,
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False, allow_infinity=False),
    TEXT,
    st.binary(max_size=20),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.ip_addresses(),
    st.builds(lambda address: ip_network(address), st.ip_addresses()),
    st.lists(LONG, min_size=1, max_size=4),
    st.lists(TEXT | st.none(), min_size=1, max_size=4).filter(any),
    st.lists(st.lists(st.dates(), min_size=2, max_size=2), min_size=1, max_size=3),
    st.builds(Jsonb, st.dictionaries(TEXT, st.integers() | TEXT | st.none(), max_size=3)),
    st.tuples(st.integers(-(2**62), 2**62), st.integers(1, 9)).map(
        lambda ends: Int8Range(ends[0] - ends[1], ends[0], "[)")
    ),
    st.dates().map(lambda day: DateRange(day, None, "[)")),
)


@given(values)
def test_psycopg_and_the_codecs_read_each_other(value):
    reader = Transformer()
    dumper = reader.get_dumper(value, PyFormat.BINARY)
    data = bytes(dumper.dump(value) or b"")
    text = types.to_text(dumper.oid, data)

    binary = reader.get_loader(dumper.oid, psycopg.pq.Format.BINARY)
    loaded = binary.load(data)
    assert reader.get_loader(dumper.oid, psycopg.pq.Format.TEXT).load(text.encode()) == loaded
    assert binary.load(types.to_binary(dumper.oid, text)) == loaded
    assert types.to_text(dumper.oid, types.to_binary(dumper.oid, text)) == text


@given(st.integers(-(2**15), 2**15 - 1))
def test_a_parameter_is_the_same_whatever_type_the_driver_chose(number):
    reader = Transformer()
    seen = set()
    for value in (number, float(number)):
        for form in (PyFormat.BINARY, PyFormat.TEXT):
            dumper = reader.get_dumper(value, form)
            data = bytes(dumper.dump(value) or b"")
            text = types.to_text(dumper.oid, data) if form == PyFormat.BINARY else data.decode()
            seen.add(types.canonical(dumper.oid, text))
    assert seen == {str(number)}
