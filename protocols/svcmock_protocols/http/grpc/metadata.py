"""What gRPC writes into header fields: grpc-timeout, the percent-encoding of grpc-message, `-bin` values.

The grammar is that of grpc/doc/PROTOCOL-HTTP2.md. Values come from a peer: whatever they hold, nothing here
raises.
"""

import base64
import binascii
import re
from typing import Final

_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNIT: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e3, b"u": 1e6, b"n": 1e9}
_ESCAPED: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNSAFE: Final = re.compile(rb"[^ -$&-~]")


def timeout(value: bytes) -> float | None:
    """Seconds of a grpc-timeout; None for what is none."""
    match = _TIMEOUT.fullmatch(value)
    if match is None:
        return None
    number, unit = int(match[1]), match[2]
    # a division by the power of ten, not a product with its inverse: 100m is 0.1 exactly
    return number / _UNIT[unit] if unit in b"mun" else number * _UNIT[unit]


def encode_text(text: str) -> bytes:
    """`text` as the value of grpc-message."""
    return _UNSAFE.sub(lambda found: b"%%%02X" % found[0][0], text.encode(errors="replace"))


def decode_text(value: bytes) -> str:
    """The text of a grpc-message. A broken escape stands for itself, as the specification wants it."""
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), value).decode(errors="replace")


def encode_bin(data: bytes) -> bytes:
    """`data` as the value of a header that ends in -bin."""
    return base64.b64encode(data).rstrip(b"=")


def decode_bin(value: bytes) -> tuple[bytes, ...] | None:
    """What a `-bin` header holds, several values being joined by commas; None for what is no base64."""
    try:
        return tuple(_decode(item.strip(b" \t")) for item in value.split(b","))
    except binascii.Error:
        return None


def _decode(item: bytes) -> bytes:
    if item.endswith(b"===") or (item.endswith(b"=") and len(item) % 4):
        raise binascii.Error("padding out of place")
    padding = b"" if item.endswith(b"=") else b"=" * (-len(item) % 4)
    return binascii.a2b_base64(item + padding, strict_mode=True)
