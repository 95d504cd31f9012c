"""Header values of gRPC: timeouts, status messages, binary metadata."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.http.grpc.metadata import decode_bin, decode_text, encode_bin, encode_text, timeout


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1H", 3600.0),
        (b"2M", 120.0),
        (b"3S", 3.0),
        (b"100m", 0.1),
        (b"5u", 5e-6),
        (b"7n", 7e-9),
        (b"0S", 0.0),
        (b"99999999H", 99999999 * 3600.0),
        (b"00000001S", 1.0),
        (b"", None),
        (b"S", None),
        (b"1", None),
        (b"1s", None),
        (b"123456789S", None),
        (b"-1S", None),
        (b"1.5S", None),
        (b" 1S", None),
        (b"1S\n", None),
        ("\u0661S".encode(), None),
    ],
)
def test_timeout(value, seconds):
    assert timeout(value) == seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", b""),
        ("plain text, ~ and !", b"plain text, ~ and !"),
        ("100%", b"100%25"),
        ("a\nb\tc\x7f", b"a%0Ab%09c%7F"),
        ("é☃", b"%C3%A9%E2%98%83"),
    ],
)
def test_status_messages(text, value):
    assert encode_text(text) == value
    assert decode_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"%c3%a9", "é"),
        (b"100%", "100%"),
        (b"%4", "%4"),
        (b"%zz%41", "%zzA"),
        (b"%ff", "\ufffd"),
        ("é".encode(), "é"),
        (b"\xff", "\ufffd"),
    ],
)
def test_broken_escapes_stand_for_themselves(value, text):
    assert decode_text(value) == text


@given(st.text())
def test_every_text_has_a_value_of_printable_ascii(text):
    value = encode_text(text)
    assert all(0x20 <= byte < 0x7F for byte in value)
    assert decode_text(value) == text.encode(errors="replace").decode()


@given(st.binary())
def test_binary_metadata(data):
    value = encode_bin(data)
    assert b"=" not in value
    assert decode_bin(value) == (data,)
    assert decode_bin(base64.b64encode(data)) == (data,)


@pytest.mark.parametrize(
    ("value", "items"),
    [
        (b"", (b"",)),
        (b"AQ", (b"\x01",)),
        (b"AQ==,Ag, AwM=", (b"\x01", b"\x02", b"\x03\x03")),
        (b"AQ,", (b"\x01", b"")),
        (b"A", None),
        (b"AQ===", None),
        (b"A-_Q", None),
        (b"A Q", None),
        (b"=", None),
        (b"AQ=", None),
        (b"AAAA=", None),
        (b"AAAA====", None),
        (b"AQ=Q", None),
        (b"\xff\xff", None),
    ],
)
def test_lists_and_padding(value, items):
    assert decode_bin(value) == items


@given(st.binary())
def test_any_header_value_is_taken(value):
    timeout(value)
    decode_text(value)
    decode_bin(value)
