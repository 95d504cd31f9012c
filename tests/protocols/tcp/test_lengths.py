"""Lengths in each of their codings: bytes to numbers and back, and what is no length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.tcp.lengths import CODINGS, MAX_VARINT, FrameError

CASES = [
    ("binary", 2, "big", 258, b"\x01\x02"),
    ("binary", 4, "little", 258, b"\x02\x01\x00\x00"),
    ("binary", 3, "big", 0, b"\x00\x00\x00"),
    ("ascii", 4, "big", 42, b"0042"),
    ("hex", 4, "big", 0xBEEF, b"beef"),
    ("bcd", 2, "big", 1234, b"\x12\x34"),
    ("varint", MAX_VARINT, "big", 1, b"\x01"),
    ("varint", MAX_VARINT, "big", 300, b"\xac\x02"),
]


@pytest.mark.parametrize(("coding", "width", "endian", "length", "data"), CASES)
def test_a_length(coding: str, width: int, endian: str, length: int, data: bytes) -> None:
    read, write = CODINGS[coding](width, endian)
    assert read(data + (b"rest" if coding == "varint" else b"")) == (length, len(data))
    assert write(length) == data
    for cut in range(len(data)):
        assert read(data[:cut]) is None


def test_capitals_are_read() -> None:
    assert CODINGS["hex"](4, "big")[0](b"BEEF") == (0xBEEF, 4)


@pytest.mark.parametrize(
    ("coding", "width", "data"),
    [
        ("ascii", 4, b"00x2"),
        ("ascii", 2, b" 1"),
        ("ascii", 2, b"-1"),
        ("ascii", 2, "\u0661".encode()),
        ("hex", 2, b"0g"),
        ("bcd", 1, b"\x1a"),
        ("varint", MAX_VARINT, b"\xff" * MAX_VARINT),
    ],
)
def test_what_is_no_length(coding: str, width: int, data: bytes) -> None:
    with pytest.raises(FrameError):
        CODINGS[coding](width, "big")[0](data)


@pytest.mark.parametrize(
    ("coding", "width", "length"),
    [
        ("binary", 1, 256),
        ("binary", 2, -1),
        ("ascii", 2, 100),
        ("ascii", 2, -1),
        ("bcd", 1, 100),
        ("varint", 5, 1 << 35),
    ],
)
def test_what_does_not_fit(coding: str, width: int, length: int) -> None:
    with pytest.raises(FrameError):
        CODINGS[coding](width, "big")[1](length)


@given(st.integers(0, (1 << 35) - 1))
def test_a_varint_is_that_of_protocol_buffers(length: int) -> None:
    from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[attr-defined]

    read, write = CODINGS["varint"](MAX_VARINT, "big")
    assert write(length) == _VarintBytes(length)
    assert read(write(length)) == (length, len(write(length)))
