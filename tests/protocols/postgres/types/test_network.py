"""Addresses."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.postgres import types
from tests.protocols.postgres.types.forms import both_ways, canonical, is_read_as, no_bytes, no_text


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("inet", "192.168.0.1", "02 20 00 04 c0a80001"),
        ("inet", "192.168.0.1/24", "02 18 00 04 c0a80001"),
        ("inet", "0.0.0.0/0", "02 00 00 04 00000000"),
        ("inet", "::1", "03 80 00 10 00000000000000000000000000000001"),
        ("inet", "::", "03 80 00 10 00000000000000000000000000000000"),
        ("inet", "2001:db8::1/64", "03 40 00 10 20010db8000000000000000000000001"),
        ("inet", "::ffff:1.2.3.4", "03 80 00 10 00000000000000000000ffff01020304"),
        ("inet", "::1.2.3.4", "03 80 00 10 00000000000000000000000001020304"),
        ("cidr", "10.0.0.0/8", "02 08 01 04 0a000000"),
        ("cidr", "10.1.2.3/32", "02 20 01 04 0a010203"),
        ("cidr", "2001:db8::/32", "03 20 01 10 20010db8000000000000000000000000"),
        ("macaddr", "08:00:2b:01:02:03", "08002b010203"),
        ("macaddr8", "08:00:2b:01:02:03:04:05", "08002b0102030405"),
    ],
)
def test_both_forms(name, text, data):
    both_ways(name, text, data)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("inet", " 10.0.0.1/32 ", "10.0.0.1"),
        ("inet", "2001:DB8:0:0::1", "2001:db8::1"),
        ("cidr", "10.1.2.3", "10.1.2.3/32"),
        ("macaddr", "08002B-010203", "08:00:2b:01:02:03"),
        ("macaddr", "0800.2b01.0203", "08:00:2b:01:02:03"),
        ("macaddr8", "08:00:2b:01:02:03", "08:00:2b:ff:fe:01:02:03"),
    ],
)
def test_other_spellings(name, text, shown):
    is_read_as(name, text, shown)
    assert canonical(name, text) == canonical(name, shown)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("inet", ""),
        ("inet", "1.2.3"),
        ("inet", "1.2.3.4/33"),
        ("inet", "1.2.3.4/-1"),
        ("inet", "1.2.3.4/"),
        ("inet", ":::"),
        ("inet", "fe80::1%eth0"),
        ("cidr", "10.0.0.1/8"),
        ("macaddr", "08:00"),
        ("macaddr8", "08"),
        ("macaddr", "zz:00:2b:01:02:03"),
    ],
)
def test_texts_that_are_none(name, text):
    no_text(name, text)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("inet", ""),
        ("inet", "02 21 00 04 c0a80001"),
        ("inet", "02 20 00 04 c0a800"),
        ("inet", "02 20 00 10 c0a80001"),
        ("inet", "04 20 00 04 c0a80001"),
        ("cidr", "02 08 01 04 0a000001"),
        ("macaddr", "08002b0102"),
        ("macaddr8", "08002b0102"),
    ],
)
def test_bytes_that_are_none(name, data):
    no_bytes(name, data)


@given(st.ip_addresses())
def test_every_address(address):
    text = types.to_text(869, types.to_binary(869, str(address)))
    assert ip_address(text) == address
