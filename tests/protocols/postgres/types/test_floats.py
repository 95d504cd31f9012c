"""The shortest decimals of float4 and float8; thousands more are compared in test_server.py."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres import types
from svcmock_protocols.postgres.types.floats import float8_text
from tests.protocols.postgres.types.forms import both_ways, canonical, is_read_as, no_bytes, no_text


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("float8", "0", "0000000000000000"),
        ("float8", "-0", "8000000000000000"),
        ("float8", "1.5", "3ff8000000000000"),
        ("float8", "0.1", "3fb999999999999a"),
        ("float8", "0.0001", "3f1a36e2eb1c432d"),
        ("float8", "1e-05", "3ee4f8b588e368f1"),
        ("float8", "100000000000000", "42d6bcc41e900000"),
        ("float8", "1e+15", "430c6bf526340000"),
        ("float8", "1.234567890123456e+15", "43118b54f22aeb00"),
        ("float8", "5e-324", "0000000000000001"),
        ("float8", "1.7976931348623157e+308", "7fefffffffffffff"),
        ("float8", "NaN", "7ff8000000000000"),
        ("float8", "Infinity", "7ff0000000000000"),
        ("float8", "-Infinity", "fff0000000000000"),
        ("float4", "0", "00000000"),
        ("float4", "-0", "80000000"),
        ("float4", "0.1", "3dcccccd"),
        ("float4", "100000", "47c35000"),
        ("float4", "1e+06", "49742400"),
        ("float4", "1.2345678e+07", "4b3c614e"),
        ("float4", "1e-45", "00000001"),
        ("float4", "3.4028235e+38", "7f7fffff"),
        ("float4", "0.0001", "38d1b717"),
        ("float4", "1e-05", "3727c5ac"),
        ("float4", "NaN", "7fc00000"),
    ],
)
def test_both_forms(name, text, data):
    both_ways(name, text, data)


def test_a_decimal_halfway_between_two_numbers_is_not_taken():
    assert repr(1e23) == "1e+23"
    assert float8_text(1e23) == "9.999999999999999e+22"
    assert float8_text(-1e23) == "-9.999999999999999e+22"


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("float8", "1e3", "1000"),
        ("float8", " 2.50 ", "2.5"),
        ("float8", "inf", "Infinity"),
        ("float4", "16777217", "1.6777216e+07"),
        ("float4", "0.10000000149011612", "0.1"),
    ],
)
def test_other_spellings(name, text, shown):
    is_read_as(name, text, shown)


@pytest.mark.parametrize(("name", "text"), [("float8", ""), ("float8", "x"), ("float4", "1,5")])
def test_texts_that_are_none(name, text):
    no_text(name, text)


@pytest.mark.parametrize(("oid", "text"), [(701, "1e999"), (701, "-1e999"), (700, "1e39")])
def test_numbers_that_are_too_large(oid, text):
    with pytest.raises(ProtocolError):
        types.to_binary(oid, text)


@pytest.mark.parametrize(("name", "data"), [("float8", ""), ("float8", "00"), ("float4", "0000000000")])
def test_bytes_that_are_none(name, data):
    no_bytes(name, data)


@given(st.floats())
def test_every_float8_reads_back(value):
    data = struct.pack(">d", value)
    text = types.to_text(701, data)
    assert math.isnan(value) or types.to_binary(701, text) == data


@given(st.floats(width=32))
def test_every_float4_reads_back(value):
    data = struct.pack(">f", value)
    text = types.to_text(700, data)
    assert math.isnan(value) or types.to_binary(700, text) == data


def test_a_float_equals_the_other_numbers():
    assert canonical("float4", "0.1") == canonical("float8", "0.1") == canonical("numeric", "0.100")
    assert canonical("float8", "1e+15") == canonical("int8", "1000000000000000")
