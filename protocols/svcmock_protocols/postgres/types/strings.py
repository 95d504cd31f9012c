"""Values that are text in both forms, or nearly so: text, JSON, bytes, bits, UUIDs."""

import json
import re
import struct

from svcmock_protocols.postgres.types import numeric
from svcmock_protocols.postgres.types.codec import Codec, codec

_VERSION = b"\1"
"""What jsonb and jsonpath begin with."""


def _text_from(data: bytes) -> str:
    if b"\0" in data:
        raise ValueError("a NUL byte, which no text can hold")
    return data.decode()


def _text_to(text: str) -> bytes:
    return text.encode()


def _itself(text: str) -> str:
    return text


def _without_padding(text: str) -> str:
    return text.rstrip(" ")


def _versioned_from(data: bytes) -> str:
    if data[:1] != _VERSION:
        raise ValueError("not of version 1")
    return _text_from(data[1:])


def _versioned_to(text: str) -> bytes:
    return _VERSION + text.encode()


# Numbers go through the encoder as strings that no JSON text of PostgreSQL holds, and are unwrapped after.
_NUMBER = re.compile(r'"\\u0000([^"]*+)"')


def _number(text: str) -> str:
    return "\0" + numeric.canonical(text)


_DECODER = json.JSONDecoder(parse_int=_number, parse_float=_number)
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _json_canonical(text: str) -> str:
    """Sorted names, one spelling of numbers, no white space; of a name that is there twice, the last."""
    try:
        return _NUMBER.sub(r"\1", _ENCODER.encode(_DECODER.decode(text)))
    except RecursionError:
        raise ValueError("nested too deep") from None


_HEX = "\\x"
_ESCAPE = re.compile(rb"\\(\\|[0-3][0-7]{2})")


def _bytea_from(data: bytes) -> str:
    return _HEX + data.hex()


def _bytea_to(text: str) -> bytes:
    if text.startswith(_HEX):
        return bytes.fromhex(text[2:])
    plain = text.encode()
    if b"\\" not in plain:
        return plain
    if _ESCAPE.sub(b"", plain).count(b"\\"):
        raise ValueError("a backslash that begins no escape")
    return _ESCAPE.sub(lambda match: b"\\" if match[1] == b"\\" else bytes([int(match[1], 8)]), plain)


_OCTAL = re.compile(r"\\[0-3][0-7]{2}")


def _char_from(data: bytes) -> str:
    if len(data) != 1:
        raise ValueError(f"{len(data)} bytes")
    if data == b"\0":
        return ""
    return data.decode() if data < b"\x80" else f"\\{data[0]:03o}"


def _char_to(text: str) -> bytes:
    if _OCTAL.fullmatch(text):
        return bytes([int(text[1:], 8)])
    return text.encode()[:1] or b"\0"


def _uuid_from(data: bytes) -> str:
    if len(data) != 16:
        raise ValueError(f"{len(data)} bytes")
    text = data.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _uuid_to(text: str) -> bytes:
    data = bytes.fromhex(text.strip("{} ").replace("-", ""))
    if len(data) != 16:
        raise ValueError(f"{len(data)} bytes")
    return data


_LENGTH = struct.Struct(">i")


def _bits_from(data: bytes) -> str:
    (length,) = _LENGTH.unpack_from(data)
    size = len(data) - _LENGTH.size
    if length < 0 or (length + 7) // 8 != size:
        raise ValueError(f"{length} bits are announced, {size} bytes are here")
    if not length:
        return ""
    return f"{int.from_bytes(data[_LENGTH.size :]):0{8 * size}b}"[:length]


def _bits_to(text: str) -> bytes:
    bits = text.strip()
    if bits[:1] in {"x", "X"}:
        bits = "".join(f"{int(digit, 16):04b}" for digit in bits[1:])
    elif bits[:1] in {"b", "B"}:
        bits = bits[1:]
    if bits.strip("01"):
        raise ValueError("a character that is no bit")
    size = (len(bits) + 7) // 8
    value = int(bits.ljust(8 * size, "0"), 2) if bits else 0
    return _LENGTH.pack(len(bits)) + value.to_bytes(size)


def _nothing_from(data: bytes) -> str:
    if data:
        raise ValueError("void has no bytes")
    return ""


def _nothing_to(text: str) -> bytes:
    if text:
        raise ValueError("void has no text")
    return b""


TEXT: Codec = codec(_text_from, _text_to, _itself)
BPCHAR: Codec = codec(_text_from, _text_to, _without_padding)
JSON: Codec = codec(_text_from, _text_to, _json_canonical)
JSONB: Codec = codec(_versioned_from, _versioned_to, _json_canonical)
JSONPATH: Codec = codec(_versioned_from, _versioned_to, _itself)
BYTEA: Codec = codec(_bytea_from, _bytea_to)
CHAR: Codec = codec(_char_from, _char_to)
UUID: Codec = codec(_uuid_from, _uuid_to)
BITS: Codec = codec(_bits_from, _bits_to)
VOID: Codec = codec(_nothing_from, _nothing_to)
