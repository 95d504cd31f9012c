"""Lengths as frames say them: binary, in decimal or hex digits, BCD, or a varint as Protocol Buffers has it."""

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from svcmock.protocol import ProtocolError

MAX_VARINT = 5
"""Bytes of a varint."""


class FrameError(ProtocolError):
    """The bytes are no frame. Where the next one begins nobody knows."""


Read: TypeAlias = Callable[[bytes], tuple[int, int] | None]
"""The length that bytes begin with, and how many of them say it; None: more must come. Raises FrameError."""
Write: TypeAlias = Callable[[int], bytes]
"""The bytes of a length. Raises FrameError for one that does not fit."""


def _binary(width: int, endian: Any) -> tuple[Read, Write]:
    def read(data: bytes) -> tuple[int, int] | None:
        return (int.from_bytes(data, endian), width) if len(data) == width else None

    def write(length: int) -> bytes:
        try:
            return length.to_bytes(width, endian)
        except OverflowError:
            raise FrameError(f"a length of {length} does not fit {width} bytes") from None

    return read, write


def _digits(width: int, base: int, pack: Callable[[str], bytes], unpack: Callable[[bytes], str]) -> Any:
    """Lengths written in digits, two to a byte or one."""
    count = len(unpack(bytes(width)))
    legal = re.compile(f"[{'0-9a-fA-F' if base == 16 else '0-9'}]+")

    def read(data: bytes) -> tuple[int, int] | None:
        if len(data) < width:
            return None
        text = unpack(data)
        if legal.fullmatch(text) is None:
            raise FrameError(f"a length is written in digits, not {data.hex(' ')}")
        return int(text, base), width

    def write(length: int) -> bytes:
        text = f"{length:0{count}{'x' if base == 16 else 'd'}}"
        if len(text) > count or length < 0:
            raise FrameError(f"a length of {length} does not fit {width} bytes")
        return pack(text)

    return read, write


def _varint(width: int, _endian: Any) -> tuple[Read, Write]:
    def read(data: bytes) -> tuple[int, int] | None:
        value = 0
        for place, byte in enumerate(data):
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value, place + 1
        if len(data) == width:
            raise FrameError(f"a length of more than {width} bytes")
        return None

    def write(length: int) -> bytes:
        if not 0 <= length < 1 << 7 * width:
            raise FrameError(f"a length of {length} does not fit {width} bytes")
        out = bytearray()
        while length > 0x7F:
            out.append(length & 0x7F | 0x80)
            length >>= 7
        out.append(length)
        return bytes(out)

    return read, write


def _latin(data: bytes) -> str:
    return data.decode("latin-1")


CODINGS: Final[dict[str, Callable[[int, Any], tuple[Read, Write]]]] = {
    "binary": _binary,
    "ascii": lambda width, _: _digits(width, 10, str.encode, _latin),
    "hex": lambda width, _: _digits(width, 16, str.encode, _latin),
    "bcd": lambda width, _: _digits(width, 10, bytes.fromhex, bytes.hex),
    "varint": _varint,
}
