"""float4 and float8, and the shortest decimal that reads back as the same number.

PostgreSQL (since 12, `extra_float_digits` of 1 or more) writes the shortest decimal strictly inside the
interval that rounds to the number. Python's `repr` also takes one on the interval's very edge (1e23); those
few are found and written with more digits. From 1e15 (float8) or 1e6 (float4) on, and below 1e-4, there is
an exponent.
"""

import math
import struct
from decimal import Decimal

from svcmock_protocols.postgres.types.codec import Codec, codec
from svcmock_protocols.postgres.types.numeric import canonical, special

_FLOAT4 = struct.Struct(">f")
_FLOAT8 = struct.Struct(">d")
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

_FIXED4 = 1e6
_SUBNORMAL4 = 2.0**-126
_MANTISSA4 = 0x7FFFFF
_FIXED8 = 1e15
# Only between these can a decimal of at most 9 digits lie exactly halfway between two float4, and one of at
# most 17 between two float8.
_HALFWAY4_FROM = 2.0**22
_HALFWAY4_TO = 1e20
_HALFWAY_FROM = 2.0**54
_HALFWAY_TO = 1e40


def float8_text(value: float) -> str:
    """The number as `float8out` writes it."""
    text = repr(value)
    size = abs(value)
    if size < _FIXED8:
        return text.removesuffix(".0")
    if not math.isfinite(value):
        return _named(value)
    if _HALFWAY_FROM <= size < _HALFWAY_TO:
        return _inside(value, text)
    return _scientific(text)


def number(text: str) -> float:
    """The float8 that this text means; ValueError for none, or one that is out of range."""
    named = special(text)
    if named is not None:
        return _SPECIAL[named]
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("out of range")
    return value


def _named(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _scientific(text: str) -> str:
    """The same digits with one of them before the point, and an exponent of two digits or more."""
    if "e" in text:
        return text
    sign = "-" if text[0] == "-" else ""
    whole, _, fraction = text.removeprefix("-").partition(".")
    digits = (whole + fraction).rstrip("0")
    mantissa = f"{digits[0]}.{digits[1:]}".removesuffix(".")
    return f"{sign}{mantissa}e+{len(whole) - 1:02d}"


def _inside(value: float, text: str) -> str:
    exact = int(value)
    above = int(math.ulp(value))
    below = above // 2 if math.frexp(value)[0] in {0.5, -0.5} else above
    if value < 0:
        above, below = below, above
    places = len(text.partition("e")[0].removeprefix("-").replace(".", "")) - 1
    while places < 17 and not -below < 2 * (int(Decimal(text)) - exact) < above:
        text = f"{value:.{places}e}"
        places += 1
    mantissa, mark, power = text.partition("e")
    if mark and "." in mantissa:
        text = f"{mantissa.rstrip('0').removesuffix('.')}e{power}"
    return _scientific(text)


def _float8_from(data: bytes) -> str:
    return float8_text(_FLOAT8.unpack(data)[0])


def _float8_to(text: str) -> bytes:
    return _FLOAT8.pack(number(text))


def _float4_from(data: bytes) -> str:
    value: float = _FLOAT4.unpack(data)[0]
    size = abs(value)
    if size < _FIXED4 and value.is_integer():
        return f"{value:.0f}"
    if not math.isfinite(value):
        return _named(value)
    shown, places = _shortest4(value, data)
    mantissa, _, power = shown.partition("e")
    if -4 <= int(power) < 6:
        shown = f"{float(shown):.{max(0, places - int(power))}f}"
        return shown.rstrip("0").removesuffix(".") if "." in shown else shown
    mantissa = mantissa.rstrip("0").removesuffix(".")
    return f"{mantissa}e{power}"


def _shortest4(value: float, data: bytes) -> tuple[str, int]:
    """The shortest decimal, and how many of its digits stand after the point."""
    shown = ""
    for places in range(0 if abs(value) < _SUBNORMAL4 else 5, 9):
        shown = f"{value:.{places}e}"
        if _reads_as(shown, value, data):
            break
        if not int.from_bytes(data) & _MANTISSA4:
            # The numbers below a power of two lie closer together: the decimal beyond it may do.
            unit = 10.0 ** (int(shown.partition("e")[2]) - places)
            beyond = f"{float(shown) + math.copysign(unit, value):.{places}e}"
            if _reads_as(beyond, value, data):
                return beyond, places
    return shown, places


def _reads_as(shown: str, value: float, data: bytes) -> bool:
    """Whether the decimal lies strictly between the midpoints to the two neighbours of this float4."""
    if not _HALFWAY4_FROM <= abs(value) < _HALFWAY4_TO:
        return _FLOAT4.pack(float(shown)) == data
    bits = int.from_bytes(data)
    neighbours: list[float] = [_FLOAT4.unpack((bits + step).to_bytes(4))[0] for step in (-1, 1)]
    low, high = sorted([(value + neighbour) / 2 for neighbour in neighbours])
    return low < float(shown) < high


def _float4_to(text: str) -> bytes:
    return _FLOAT4.pack(number(text))


def _float4_canonical(text: str) -> str:
    return canonical(_float4_from(_float4_to(text)))


def _float8_canonical(text: str) -> str:
    return canonical(float8_text(number(text)))


FLOAT4: Codec = codec(_float4_from, _float4_to, _float4_canonical)
FLOAT8: Codec = codec(_float8_from, _float8_to, _float8_canonical)
