"""interval: months, days and microseconds, which are three different things, in style `postgres`.

    1 year 2 mons -3 days +04:05:06.789

Read are also the other output styles, Python's `1 day, 2:03:04`, and ISO 8601 (`P1Y2M3DT4H5M6S`): clients
send all of these. One month is not taken for thirty days, nor one day for 24 hours: added to a date they
are not.
"""

import re
import struct
from decimal import Decimal

from svcmock_protocols.postgres.types.codec import Codec, codec
from svcmock_protocols.postgres.types.dates import microseconds_of, time_text

_FORM = struct.Struct(">qii")
_LOWEST, _HIGHEST = (-(2**63), -(2**31), -(2**31)), (2**63 - 1, 2**31 - 1, 2**31 - 1)

_MAX_DIGITS = 40
_SECOND = 1_000_000
_HOUR = 3600 * _SECOND
_DAY = 24 * _HOUR
_MONTHS = {
    "year": 12,
    "mon": 1,
    "decade": 120,
    "century": 1200,
    "centurie": 1200,
    "millennium": 12000,
    "millennia": 12000,
    "month": 1,
    "yr": 12,
    "y": 12,
}
_DAYS = {"day": 1, "d": 1, "week": 7, "w": 7}
_MICROSECONDS = {
    "hour": _HOUR,
    "hr": _HOUR,
    "h": _HOUR,
    "minute": 60 * _SECOND,
    "min": 60 * _SECOND,
    "m": 60 * _SECOND,
    "second": _SECOND,
    "sec": _SECOND,
    "s": _SECOND,
    "millisecond": 1000,
    "ms": 1000,
    "microsecond": 1,
    "us": 1,
}
_ISO_DATE = {"Y": "year", "M": "mon", "W": "week", "D": "day"}
_ISO_TIME = {"H": "hour", "M": "minute", "S": "second"}

_NUMBER = r"[+-]?[0-9]++(?:\.[0-9]*+)?+|[+-]?\.[0-9]++"
_CLOCK = re.compile(r"([+-]?)([0-9]++):([0-9]++)(?::([0-9]++)(?:\.([0-9]*+))?+)?+,?")
_AMOUNT = re.compile(rf"({_NUMBER})\s*+([a-z]++),?")
_ISO = re.compile(rf"({_NUMBER})([YMWDHS])")
_GAP = re.compile(r"\s*+")


def to_text(data: bytes) -> str:
    time, days, months = form = _FORM.unpack(data)
    if form == _HIGHEST:
        return "infinity"
    if form == _LOWEST:
        return "-infinity"
    years, rest = divmod(abs(months), 12)
    if months < 0:
        years, rest = -years, -rest
    parts: list[str] = []
    after_negative = False
    for count, unit in ((years, "year"), (rest, "mon"), (days, "day")):
        if count:
            sign = "+" if after_negative and count > 0 else ""
            parts.append(f"{sign}{count} {unit}{'' if count == 1 else 's'}")
            after_negative = count < 0
    if time or not parts:
        sign = "-" if time < 0 else "+" if after_negative else ""
        parts.append(sign + time_text(abs(time)))
    return " ".join(parts)


class _Sum:
    """The three counts, and how one amount of a unit adds to them."""

    def __init__(self) -> None:
        self.months = 0
        self.days = 0
        self.microseconds = 0

    def add(self, number: str, unit: str) -> None:
        if len(number) > _MAX_DIGITS:
            raise ValueError("more digits than an interval can have")
        amount = Decimal(number)
        singular = unit if unit in _MICROSECONDS else unit.removesuffix("s")
        if singular in _MONTHS:
            self.months += _whole(amount * _MONTHS[singular])
        elif singular in _DAYS:
            days = amount * _DAYS[singular]
            self.days += int(days)
            self.microseconds += round((days - int(days)) * _DAY)
        elif singular in _MICROSECONDS:
            self.microseconds += round(amount * _MICROSECONDS[singular])
        else:
            raise ValueError(f"{unit} is no unit of time")

    def binary(self, sign: int) -> bytes:
        return _FORM.pack(sign * self.microseconds, sign * self.days, sign * self.months)


def _whole(amount: Decimal) -> int:
    if amount != int(amount):
        raise ValueError("a part of a month")
    return int(amount)


def to_binary(text: str) -> bytes:
    plain = text.strip()
    if plain[:1] == "P":
        return _from_iso(plain[1:])
    plain = plain.lower().removeprefix("@")
    if plain in {"infinity", "-infinity"}:
        return _FORM.pack(*(_LOWEST if plain[0] == "-" else _HIGHEST))
    backwards = plain.endswith("ago")
    body = plain.removesuffix("ago").strip()
    if not body:
        raise ValueError("no interval")
    found = _Sum()
    at = 0
    while at < len(body):
        at = _read(body, at, found)
    return found.binary(-1 if backwards else 1)


def _read(body: str, at: int, found: _Sum) -> int:
    """Adds the next part of the text; where the one after it begins."""
    clock = _CLOCK.match(body, at)
    if clock is not None:
        sign, hour, minute, second, fraction = clock.groups()
        time = microseconds_of(hour, minute, second, fraction)
        found.microseconds += -time if sign == "-" else time
        end = clock.end()
    else:
        amount = _AMOUNT.match(body, at)
        if amount is None:
            return _read_zero(body, at)
        found.add(amount[1], amount[2])
        end = amount.end()
    gap = _GAP.match(body, end)
    assert gap is not None
    return gap.end()


def _read_zero(body: str, at: int) -> int:
    """Style `sql_standard` writes nothing as a lone 0."""
    if body[at:] != "0":
        raise ValueError("no interval")
    return len(body)


def _from_iso(body: str) -> bytes:
    found = _Sum()
    date, mark, time = body.partition("T")
    if not (date or time) or (mark and not time):
        raise ValueError("no interval of ISO 8601")
    for part, units in ((date, _ISO_DATE), (time, _ISO_TIME)):
        at = 0
        while at < len(part):
            amount = _ISO.match(part, at)
            if amount is None or amount[2] not in units:
                raise ValueError("no interval of ISO 8601")
            found.add(amount[1], units[amount[2]])
            at = amount.end()
    return found.binary(1)


INTERVAL: Codec = codec(to_text, to_binary)
