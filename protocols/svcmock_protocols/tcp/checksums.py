"""The checksums that frames carry, by the names they have in `fields:`.

`lrc` is the two's complement of the sum (Modbus ASCII), `xor` what payment terminals call LRC. `crc16-ccitt`
starts with FFFF; `crc16-modbus` is reflected and starts with FFFF; `mod10` is Luhn's digit (ISO/IEC 7812-1).
"""

import binascii
import zlib
from collections.abc import Callable, Mapping
from functools import reduce
from operator import xor
from typing import Final


def _sum8(data: bytes) -> int:
    return sum(data) & 0xFF


def _xor(data: bytes) -> int:
    return reduce(xor, data, 0)


def _lrc(data: bytes) -> int:
    return -sum(data) & 0xFF


def _modbus_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1  # noqa: PLW2901
        table.append(value)
    return tuple(table)


_MODBUS: Final = _modbus_table()


def _crc16_modbus(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _MODBUS[(crc ^ byte) & 0xFF]
    return crc


def _crc16_ccitt(data: bytes) -> int:
    return binascii.crc_hqx(data, 0xFFFF)


def _mod10(data: bytes) -> int:
    """The digit that makes the sum a multiple of ten. What is no ASCII digit does not count."""
    total = 0
    for place, byte in enumerate(byte - 48 for byte in reversed(data) if 48 <= byte < 58):
        value = byte * 2 if place % 2 == 0 else byte
        total += value - 9 if value > 9 else value
    return -total % 10


CHECKSUMS: Final[Mapping[str, Callable[[bytes], int]]] = {
    "sum8": _sum8,
    "xor": _xor,
    "lrc": _lrc,
    "crc16-modbus": _crc16_modbus,
    "crc16-ccitt": _crc16_ccitt,
    "crc32": zlib.crc32,
    "mod10": _mod10,
}
