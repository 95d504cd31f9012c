"""The text forms of google.protobuf's Timestamp, Duration and FieldMask, as proto JSON has them.

`show_*` gives None for a value that has no such form or would not come back the same; `parse_*` for a text that
means nothing.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  all arithmetic here is in UTC
_FIRST: Final = -62135596800
"""0001-01-01T00:00:00Z"""
_LAST: Final = 253402300799
"""9999-12-31T23:59:59Z"""
_MAX_DURATION: Final = 315_576_000_000
_NANOS: Final = 1_000_000_000

_TIMESTAMP: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_DURATION: Final = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?s", re.ASCII)


def show_timestamp(seconds: int, nanos: int) -> str | None:
    if not (_FIRST <= seconds <= _LAST and 0 <= nanos < _NANOS):
        return None
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()}{_fraction(nanos)}Z"


def parse_timestamp(text: str) -> tuple[int, int] | None:
    """Seconds and nanoseconds of a date and time as RFC 3339 has it."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
        past = moment - _EPOCH.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    seconds = past.days * 86400 + past.seconds
    return (seconds, _nanos(fraction)) if _FIRST <= seconds <= _LAST else None


def show_duration(seconds: int, nanos: int) -> str | None:
    if abs(seconds) > _MAX_DURATION or abs(nanos) >= _NANOS or seconds * nanos < 0:
        return None
    sign = "-" if seconds < 0 or nanos < 0 else ""
    return f"{sign}{abs(seconds)}{_fraction(abs(nanos))}s"


def parse_duration(text: str) -> tuple[int, int] | None:
    """Seconds and nanoseconds of `-1.5s`."""
    match = _DURATION.fullmatch(text)
    if match is None or int(match[2]) > _MAX_DURATION:
        return None
    sign = -1 if match[1] else 1
    return sign * int(match[2]), sign * _nanos(match[3])


def _fraction(nanos: int) -> str:
    if not nanos:
        return ""
    digits = f"{nanos:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return "." + digits


def _nanos(digits: str | None) -> int:
    return int((digits or "").ljust(9, "0"))


def show_mask(paths: Sequence[str]) -> str | None:
    """`["user.first_name", "age"]` as `user.firstName,age`."""
    shown = [re.sub("_([a-z])", lambda found: found[1].upper(), path) for path in paths]
    text = ",".join(shown)
    return text if parse_mask(text) == list(paths) else None


def parse_mask(text: str) -> list[str]:
    if not text:
        return []
    return [re.sub("[A-Z]", lambda found: "_" + found[0].lower(), path) for path in text.split(",")]
