"""date, time and timestamp, with and without time zone, in ISO style.

Days count from 2000-01-01, microseconds from its midnight (UTC where there is a zone); the lowest and the
highest integer are the infinities. `datetime` does the years it knows; for others the Gregorian calendar is
moved by whole cycles of 400 years. A timestamptz is written in UTC, whatever zone its session had.
"""

import re
import struct
from datetime import date, datetime, timedelta

from svcmock_protocols.postgres.types.codec import Codec, codec

_DAY = struct.Struct(">i")
_MOMENT = struct.Struct(">q")
_ZONED_TIME = struct.Struct(">qi")

_CYCLE_YEARS, _CYCLE_DAYS = 400, 146097
_ORDINAL = date(2000, 1, 1).toordinal()
_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - a zone would be written too
_DAY_SIZE = len("2000-01-01")
_SECOND = 1_000_000
_DAY_LONG = 86_400 * _SECOND

_DAY_INFINITIES = {-(2**31): "-infinity", 2**31 - 1: "infinity"}
_MOMENT_INFINITIES = {-(2**63): "-infinity", 2**63 - 1: "infinity"}
_FIRST_DAY, _LAST_DAY = -2_451_545, 2_145_031_948
_FIRST_MOMENT, _AFTER_MOMENTS = -211_813_488_000_000_000, 9_223_371_331_200_000_000
_ZONE_LIMIT = 16 * 3600

_TEXT = re.compile(
    r"\s*+(?:([0-9]{1,7})-([0-9]{1,2})-([0-9]{1,2}))?+"
    r"(?:(?:T|\s*+)([0-9]{1,2}):([0-9]{1,2})(?::([0-9]{1,2})(?:\.([0-9]*+))?+)?+)?+"
    r"\s*+(Z|UTC|GMT|[+-][0-9]{1,2}(?::?[0-9]{2}(?::?[0-9]{2})?+)?+)?+\s*+(BC|AD)?+\s*+",
    re.IGNORECASE,
)


def parts_of_day(days: int) -> tuple[int, int, int]:
    """Year (0 is 1 BC), month and day."""
    cycles, rest = divmod(days, _CYCLE_DAYS)
    day = date.fromordinal(_ORDINAL + rest)
    return day.year + cycles * _CYCLE_YEARS, day.month, day.day


def day_of(year: int, month: int, day: int) -> int:
    cycles, rest = divmod(year - 2000, _CYCLE_YEARS)
    return date(2000 + rest, month, day).toordinal() - _ORDINAL + cycles * _CYCLE_DAYS


def _day_text(days: int) -> tuple[str, str]:
    """The date, and ` BC` to be put at the end of it all."""
    year, month, day = parts_of_day(days)
    if year > 0:
        return f"{year:04d}-{month:02d}-{day:02d}", ""
    return f"{1 - year:04d}-{month:02d}-{day:02d}", " BC"


def time_text(microseconds: int) -> str:
    """Hours (as many as there are), minutes and seconds of a length of time that is not negative."""
    seconds, fraction = divmod(microseconds, _SECOND)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    if fraction:
        return f"{hour:02d}:{minute:02d}:{second:02d}.{fraction:06d}".rstrip("0")
    return f"{hour:02d}:{minute:02d}:{second:02d}"


def microseconds_of(hour: str, minute: str, second: str | None, fraction: str | None) -> int:
    """The length of time that these digits mean. Digits beyond the sixth of a fraction are rounded away."""
    whole = (int(hour) * 60 + int(minute)) * 60 + int(second or 0)
    if not fraction:
        return whole * _SECOND
    return whole * _SECOND + int(fraction[:6].ljust(6, "0")) + (fraction[6:7] >= "5")


def _zone_text(east: int) -> str:
    sign = "+" if east >= 0 else "-"
    minutes, second = divmod(abs(east), 60)
    hour, minute = divmod(minutes, 60)
    if second:
        return f"{sign}{hour:02d}:{minute:02d}:{second:02d}"
    return f"{sign}{hour:02d}:{minute:02d}" if minute else f"{sign}{hour:02d}"


def _zone_of(text: str) -> int:
    """Seconds east of Greenwich."""
    if text[0] not in "+-":
        return 0
    digits = text[1:].replace(":", "")
    if len(digits) % 2:
        digits = "0" + digits
    hour, minute, second = int(digits[:2]), int(digits[2:4] or 0), int(digits[4:6] or 0)
    east = (hour * 60 + minute) * 60 + second
    if minute > 59 or second > 59 or east >= _ZONE_LIMIT:
        raise ValueError("no time zone")
    return -east if text[0] == "-" else east


class _Read:
    """What a text said of the day, the microseconds of the day and the seconds east; None where nothing."""

    def __init__(self, text: str) -> None:
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError("no date or time in ISO style")
        year, month, day, hour, minute, second, fraction, zone, era = match.groups()
        self.days: int | None = None
        self.time: int | None = None
        if year is not None:
            before = era is not None and era.upper() == "BC"
            if not int(year):
                raise ValueError("there is no year 0")
            self.days = day_of(1 - int(year) if before else int(year), int(month), int(day))
        if hour is not None:
            self.time = microseconds_of(hour, minute, second, fraction)
            if int(minute) > 59 or int(second or 0) > 60 or self.time > _DAY_LONG:
                raise ValueError("no time of a day")
        self.east = None if zone is None else _zone_of(zone)


def _quick_day(text: str) -> int | None:
    """A date of four digits of year, two of month and two of day; None for any other."""
    if len(text) != _DAY_SIZE or text[4] != "-" or text[7] != "-":
        return None
    return date.fromisoformat(text).toordinal() - _ORDINAL


def _quick_moment(text: str, *, zoned: bool) -> int | None:
    """The same with a time and, if there are any, up to six digits of fraction and a numeric zone."""
    if text[10:11] not in {" ", "T"} or text[13:14] != ":" or text[16:17] != ":" or text[26:27].isdigit():
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    since = read.replace(tzinfo=None) - _EPOCH
    east = read.utcoffset() if zoned else None
    if east is not None:
        since -= east
    return (since.days * 86_400 + since.seconds) * _SECOND + since.microseconds


def _infinity(text: str) -> int:
    """-1 or 1 for an infinity, else 0."""
    word = text.strip().lower()
    if word == "-infinity":
        return -1
    return 1 if word in {"infinity", "+infinity"} else 0


def day_from(data: bytes) -> str:
    days: int = _DAY.unpack(data)[0]
    if days in _DAY_INFINITIES:
        return _DAY_INFINITIES[days]
    if not _FIRST_DAY <= days <= _LAST_DAY:
        raise ValueError("date out of range")
    return "".join(_day_text(days))


def day_to(text: str) -> bytes:
    days = _quick_day(text)
    if days is None:
        sign = _infinity(text)
        if sign:
            return _DAY.pack(-(2**31) if sign < 0 else 2**31 - 1)
        days = _Read(text).days
    if days is None or not _FIRST_DAY <= days <= _LAST_DAY:
        raise ValueError("no date, or one out of range")
    return _DAY.pack(days)


def next_day(text: str) -> str:
    """The day after; an infinity has none, and stays."""
    (days,) = _DAY.unpack(day_to(text))
    return text if days in _DAY_INFINITIES else day_from(_DAY.pack(days + 1))


def _moment_text(moment: int, zone: str) -> str:
    if moment in _MOMENT_INFINITIES:
        return _MOMENT_INFINITIES[moment]
    if not _FIRST_MOMENT <= moment < _AFTER_MOMENTS:
        raise ValueError("timestamp out of range")
    try:
        text = (_EPOCH + timedelta(0, 0, moment)).isoformat(" ")
    except OverflowError:
        days, rest = divmod(moment, _DAY_LONG)
        day, era = _day_text(days)
        return f"{day} {time_text(rest)}{zone}{era}"
    return (text.rstrip("0") if len(text) > 19 else text) + zone


def _moment_of(text: str, *, zoned: bool) -> int:
    quick = _quick_moment(text, zoned=zoned)
    if quick is not None:
        return quick
    sign = _infinity(text)
    if sign:
        return -(2**63) if sign < 0 else 2**63 - 1
    read = _Read(text)
    if read.days is None:
        raise ValueError("no date")
    moment = read.days * _DAY_LONG + (read.time or 0)
    if zoned and read.east:
        moment -= read.east * _SECOND
    if not _FIRST_MOMENT <= moment < _AFTER_MOMENTS:
        raise ValueError("timestamp out of range")
    return moment


def _timestamp_from(data: bytes) -> str:
    return _moment_text(_MOMENT.unpack(data)[0], "")


def _timestamp_to(text: str) -> bytes:
    return _MOMENT.pack(_moment_of(text, zoned=False))


def _timestamptz_from(data: bytes) -> str:
    return _moment_text(_MOMENT.unpack(data)[0], "+00")


def _timestamptz_to(text: str) -> bytes:
    return _MOMENT.pack(_moment_of(text, zoned=True))


def _time_from(data: bytes) -> str:
    moment: int = _MOMENT.unpack(data)[0]
    if not 0 <= moment <= _DAY_LONG:
        raise ValueError("time out of range")
    return time_text(moment)


def _time_to(text: str) -> bytes:
    time = _Read(text).time
    if time is None:
        raise ValueError("no time")
    return _MOMENT.pack(time)


def _timetz_from(data: bytes) -> str:
    moment, west = _ZONED_TIME.unpack(data)
    if not (0 <= moment <= _DAY_LONG and -_ZONE_LIMIT < west < _ZONE_LIMIT):
        raise ValueError("time or its zone out of range")
    return time_text(moment) + _zone_text(-west)


def _timetz_to(text: str) -> bytes:
    read = _Read(text)
    if read.time is None:
        raise ValueError("no time")
    return _ZONED_TIME.pack(read.time, -(read.east or 0))


DATE: Codec = codec(day_from, day_to)
TIME: Codec = codec(_time_from, _time_to)
TIMETZ: Codec = codec(_timetz_from, _timetz_to)
TIMESTAMP: Codec = codec(_timestamp_from, _timestamp_to)
TIMESTAMPTZ: Codec = codec(_timestamptz_from, _timestamptz_to)
