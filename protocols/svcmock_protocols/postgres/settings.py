"""Settings as the server shows them: their names, their values as they were set, what a new server says.

SHOW repeats most values as they were given. Some it writes in its own way (the manual, chapter "Setting
Parameters"): truth as on and off, times and sizes in the largest unit that leaves a whole number.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

_SPELLED: Final = {"timezone": "TimeZone", "datestyle": "DateStyle", "intervalstyle": "IntervalStyle"}
"""Names that the server does not spell in lower case."""
_STYLES: Final = {"iso", "sql", "postgres", "german"}
_TRUTH: Final = {"true": "on", "yes": "on", "1": "on", "false": "off", "no": "off", "0": "off"}
_TIMES: Final = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1))
_SIZES: Final = (("TB", 1 << 30), ("GB", 1 << 20), ("MB", 1 << 10), ("kB", 1))
_UNITS: Final[Mapping[str, Sequence[tuple[str, int]]]] = {
    "deadlock_timeout": _TIMES,
    "idle_in_transaction_session_timeout": _TIMES,
    "idle_session_timeout": _TIMES,
    "lock_timeout": _TIMES,
    "statement_timeout": _TIMES,
    "transaction_timeout": _TIMES,
    "maintenance_work_mem": _SIZES,
    "work_mem": _SIZES,
}
_NUMBER: Final = re.compile(r"([0-9]{1,12}) *([A-Za-z]*)")

UNREPORTED: Final[Mapping[str, str]] = {
    "transaction_isolation": "read committed",
    "transaction_read_only": "off",
    "transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "max_identifier_length": "63",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "search_path": '"$user", public',
}
"""What SHOW says of settings that are not reported, as a new server has them."""

OF_TRANSACTION: Final = frozenset({"transaction_isolation", "transaction_read_only", "transaction_deferrable"})
"""Settings that each transaction begins with anew, from those of the same names behind `default_`."""
_VERSION: Final = re.compile(r"([0-9]{1,4})(?:\.([0-9]{1,4}))?(?:\.([0-9]{1,4}))?")


def spelled(name: str) -> str:
    """The name as the server spells it."""
    return _SPELLED.get(name, name)


def version_number(version: str) -> str | None:
    """`server_version_num` of a `server_version`; until 10 a version had three numbers."""
    found = _VERSION.match(version)
    if found is None:
        return None
    major, minor, patch = (int(part or 0) for part in found.groups())
    return str(major * 10_000 + (minor if major >= 10 else minor * 100 + patch))


def shown(name: str, value: str, before: str) -> str:
    """What SHOW says of the setting with this value. `before`: what it said until now."""
    if name == "DateStyle":
        return _date_style(value, before or "ISO, MDY")
    if name in _UNITS:
        return _measured(value, _UNITS[name])
    if before in {"on", "off"} or UNREPORTED.get(name) in {"on", "off"}:
        return _TRUTH.get(value.lower(), value)
    return value.lower() if name.endswith("transaction_isolation") else value


def _date_style(value: str, before: str) -> str:
    style, _, order = before.partition(", ")
    for part in value.replace(",", " ").split():
        if part.lower() in _STYLES:
            style = part.upper() if part.lower() in {"iso", "sql"} else part.capitalize()
        else:
            order = part.upper()
    return f"{style}, {order}"


def _measured(value: str, units: Sequence[tuple[str, int]]) -> str:
    found = _NUMBER.fullmatch(value)
    factor = None if found is None else dict(units).get(found[2] or units[-1][0])
    if found is None or factor is None:
        return value
    whole = int(found[1]) * factor
    return next((f"{whole // size}{unit}" for unit, size in units if whole and whole % size == 0), str(whole))
