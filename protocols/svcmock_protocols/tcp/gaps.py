"""Durations as a person writes them: `20ms`, `1.5s`, `2m`, or a number of seconds; and how gaps are written."""

import math
import re

from svcmock.protocol import Doc, Invalid

MAX_GAP = 24 * 3600.0
"""Seconds between two frames."""
SMALL = 0.002
"""A gap below this is how the network cut a reply, not what the server meant: it is not kept."""

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,12})?)(us|ms|s|m|h)?")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


def duration(doc: Doc, *at: str | int) -> float:
    """Seconds. Raises Invalid."""
    if isinstance(doc, int | float) and not isinstance(doc, bool):
        value = float(doc) if abs(doc) <= MAX_GAP else math.inf
    else:
        match = _DURATION.fullmatch(doc) if isinstance(doc, str) else None
        if match is None:
            raise Invalid(at, f"expected a duration such as 20ms or 1.5s, got {doc!r}")
        value = round(float(match[1]) * _SECONDS[match[2] or ""], 9)
    if not 0 <= value <= MAX_GAP:
        raise Invalid(at, "expected a duration between 0 and 24h")
    return value


def show_duration(seconds: float) -> str:
    """What `duration` reads as these seconds, to the microsecond: `20ms`, `1.5s`."""
    if seconds >= 1:
        return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"
    return f"{seconds * 1000:.3f}".rstrip("0").rstrip(".") + "ms"


def gap(seconds: float) -> float:
    """A measured gap as it is recorded: to the millisecond, and none where it is too small to be meant."""
    return 0.0 if seconds < SMALL else min(round(seconds, 3), MAX_GAP)
