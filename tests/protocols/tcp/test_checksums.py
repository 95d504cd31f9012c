"""Checksums: the check values of their definitions."""

import pytest

from svcmock_protocols.tcp.checksums import CHECKSUMS


@pytest.mark.parametrize(
    ("name", "data", "value"),
    [
        ("sum8", b"123456789", 0xDD),
        ("xor", b"123456789", 0x31),
        ("lrc", b"123456789", 0x23),
        ("crc16-modbus", b"123456789", 0x4B37),
        ("crc16-ccitt", b"123456789", 0x29B1),
        ("crc32", b"123456789", 0xCBF43926),
        ("mod10", b"7992739871", 3),
        ("mod10", b"0", 0),
        ("sum8", b"", 0),
        ("xor", b"", 0),
        ("lrc", b"", 0),
    ],
)
def test_the_check_value(name: str, data: bytes, value: int) -> None:
    assert CHECKSUMS[name](data) == value


def test_a_frame_and_its_lrc_sum_up_to_nothing() -> None:
    data = bytes(range(200))
    assert (sum(data) + CHECKSUMS["lrc"](data)) & 0xFF == 0
