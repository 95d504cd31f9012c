"""numeric: decimal digits in groups of four, and one way to write any number.

    uint16 groups, int16 weight of the first group, uint16 sign, int16 digits after the point, uint16 group...

A group counts in powers of 10000. NaN and the infinities are signs of their own.
"""

import struct

from svcmock_protocols.postgres.types.codec import Codec, codec

MAX_WHOLE = 131072
"""Digits before the point, a limit of PostgreSQL's."""
MAX_SCALE = 16383
"""Digits after the point, a limit of PostgreSQL's."""
_MAX_EXPONENT = 1_000_000
_SHORT = 100
_MAX_PLAIN = 400
"""Zeros that the canonical form spells out, enough for any float8; beyond it, an exponent."""

_HEAD = struct.Struct(">HhHh")
_NEGATIVE = 0x4000
_SPECIAL = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
_SPECIAL_BINARY = {
    "NaN": _HEAD.pack(0, 0, 0xC000, 0),
    "Infinity": _HEAD.pack(0, 0, 0xD000, 32),
    "-Infinity": _HEAD.pack(0, 0, 0xF000, 32),
}
_SPELLINGS = {
    "nan": "NaN",
    "inf": "Infinity",
    "infinity": "Infinity",
    "+inf": "Infinity",
    "+infinity": "Infinity",
    "-inf": "-Infinity",
    "-infinity": "-Infinity",
}


def special(text: str) -> str | None:
    """NaN or an infinity as PostgreSQL writes it, however it is spelt; None for a plain number."""
    return _SPELLINGS.get(text.strip().lower())


def canonical(text: str) -> str:
    """One text for every way to write a number, of whatever numeric type: `42`, `42.0` and `4.2e1` are `42`."""
    if len(text) < _SHORT and text.isdigit() and text.isascii() and (text[0] != "0" or text == "0"):
        return text
    named = special(text)
    if named is not None:
        return named
    negative, whole, fraction, exponent = _parts(text)
    digits = (whole + fraction).lstrip("0")
    if not digits.strip("0"):
        return "0"
    exponent -= len(fraction)
    kept = digits.rstrip("0")
    exponent += len(digits) - len(kept)
    sign = "-" if negative else ""
    point = len(kept) + exponent
    if 0 <= exponent <= _MAX_PLAIN:
        return sign + kept + "0" * exponent
    if exponent < 0 < point:
        return f"{sign}{kept[:point]}.{kept[point:]}"
    if exponent < 0 and -point <= _MAX_PLAIN:
        return f"{sign}0.{'0' * -point}{kept}"
    return f"{sign}{kept}e{exponent}"


def _parts(text: str) -> tuple[bool, str, str, int]:
    """Whether negative, the digits before and after the point, and the power of ten."""
    body = text.strip()
    negative = body.startswith("-")
    if negative or body.startswith("+"):
        body = body[1:]
    mantissa, _, power = body.lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    if not (digits.isdigit() and digits.isascii()):
        raise ValueError("no number")
    exponent = int(power) if "e" in body or "E" in body else 0
    if abs(exponent) > _MAX_EXPONENT:
        raise ValueError(f"the exponent {exponent} is out of range")
    return negative, whole, fraction, exponent


def to_text(data: bytes) -> str:
    count, weight, sign, scale = _HEAD.unpack_from(data)
    if len(data) != _HEAD.size + 2 * count:
        raise ValueError(f"{count} groups of digits are announced, {len(data) - _HEAD.size} bytes are here")
    if sign in _SPECIAL:
        return _SPECIAL[sign]
    groups = struct.unpack_from(f">{count}H", data, _HEAD.size)
    if sign not in {0, _NEGATIVE} or not 0 <= scale <= MAX_SCALE or (groups and max(groups) > 9999):
        raise ValueError("no sign, scale or digits of a numeric")
    digits = "%04d" * count % groups
    point = 4 * (weight + 1)
    if point > 0:
        text = digits[:point].ljust(point, "0").lstrip("0") or "0"
        fraction = digits[point : point + scale]
    else:
        text = "0"
        fraction = ("0" * min(-point, scale) + digits)[:scale]
    if scale:
        text = f"{text}.{fraction.ljust(scale, '0')}"
    return "-" + text if sign and text.strip("0.") else text


def to_binary(text: str) -> bytes:
    named = special(text)
    if named is not None:
        return _SPECIAL_BINARY[named]
    negative, whole, fraction, exponent = _parts(text)
    scale = max(0, len(fraction) - exponent)
    digits = whole + fraction
    significant = digits.lstrip("0")
    # Where the point stands, counted in digits from the first that is not zero.
    point = len(whole) + exponent - (len(digits) - len(significant))
    significant = significant.rstrip("0")
    if scale > MAX_SCALE or (significant and point > MAX_WHOLE):
        raise ValueError("more digits than a numeric can have")
    if not significant:
        return _HEAD.pack(0, 0, 0, scale)
    lead = -point % 4
    padded = "0" * lead + significant
    padded += "0" * (-len(padded) % 4)
    groups = [int(padded[at : at + 4]) for at in range(0, len(padded), 4)]
    head = _HEAD.pack(len(groups), (point + lead) // 4 - 1, _NEGATIVE if negative else 0, scale)
    return head + struct.pack(f">{len(groups)}H", *groups)


NUMERIC: Codec = codec(to_text, to_binary, canonical)
