"""Statements about the session itself, as far as they are understood: what they are and what they name.

Transactions, settings, prepared statements of SQL, channels; whether a server is there, and whose. They are
housekeeping: drivers and pools send them as they like, so a recording does not decide whether they work.
Everything else is the application's business.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from svcmock_protocols.postgres.messages import Value
from svcmock_protocols.postgres.sql import first_words, normalise, statements

MAX_COMMAND: Final = 2000
"""Characters of a statement that may be one of these."""
MAX_NOTIFIED: Final = 100
"""Calls of `pg_notify` that are understood in one SELECT."""

_NAME = r'("(?:[^"]|"")+"|[^\s"\'(),;=]+)'
_VALUE = r"(.+)"
_ROLLBACK_TO = re.compile(rf"\w+(?: (?:WORK|TRANSACTION))? TO(?: SAVEPOINT)? {_NAME}", re.IGNORECASE)
_SAVEPOINT = re.compile(rf"SAVEPOINT {_NAME}", re.IGNORECASE)
_RELEASE = re.compile(rf"RELEASE(?: SAVEPOINT)? {_NAME}", re.IGNORECASE)
_SET = re.compile(rf"SET(?: (SESSION|LOCAL))? {_NAME} ?(?:=| TO ) ?{_VALUE}", re.IGNORECASE)
_TIME_ZONE = re.compile(rf"SET(?: (SESSION|LOCAL))? TIME ZONE {_VALUE}", re.IGNORECASE)
_OTHER_SET = re.compile(
    r"SET (?:(?:SESSION|LOCAL) )?"
    r"(?:TRANSACTION|CHARACTERISTICS|NAMES|ROLE|AUTHORIZATION|SCHEMA|CONSTRAINTS|XML)\b",
    re.IGNORECASE,
)
_MODE = (
    r"ISOLATION LEVEL (SERIALIZABLE|REPEATABLE READ|READ COMMITTED|READ UNCOMMITTED)"
    r"|READ (ONLY|WRITE)|((?:NOT )?DEFERRABLE)"
)
_A_MODE = re.compile(_MODE, re.IGNORECASE)
_MODES = rf"((?:{_MODE})(?:(?: ?, ?| )(?:{_MODE}))*)"
_BEGIN = re.compile(rf"(?:BEGIN(?: WORK| TRANSACTION)?|START TRANSACTION) {_MODES}", re.IGNORECASE)
_SET_MODES = re.compile(rf"SET (?:(SESSION CHARACTERISTICS AS )|LOCAL )?TRANSACTION {_MODES}", re.IGNORECASE)
_RESET = re.compile(rf"RESET {_NAME}", re.IGNORECASE)
_SHOW = re.compile(rf"SHOW {_NAME}", re.IGNORECASE)
_LISTEN = re.compile(rf"(?:UN)?LISTEN {_NAME}", re.IGNORECASE)
_NOTIFY = re.compile(rf"NOTIFY {_NAME}(?: ?, ?'((?:[^']|'')*)')?", re.IGNORECASE)
_DEALLOCATE = re.compile(rf"DEALLOCATE(?: PREPARE)? {_NAME}", re.IGNORECASE)
_CLOSE = re.compile(rf"CLOSE {_NAME}", re.IGNORECASE)
_PREPARE = re.compile(rf"PREPARE {_NAME}", re.IGNORECASE)
_UNLOCK = re.compile(r"SELECT (?:pg_catalog\.)?pg_advisory_unlock_all ?\( ?\)", re.IGNORECASE)
_CONSTANT = re.compile(r"SELECT ([0-9]{1,9})(?: AS (\w+))?", re.IGNORECASE)
_WHO = re.compile(
    r"SELECT (?:pg_catalog\.)?(?:(version|current_database|pg_is_in_recovery|current_schema) ?\( ?\)"
    r"|(current_schema|current_catalog|current_role|current_user|session_user|user))(?: AS (\w+))?",
    re.IGNORECASE,
)
_LITERAL = r"'((?:[^'\\]|'')*)'"
_CURRENT_SETTING = re.compile(
    rf"SELECT (?:pg_catalog\.)?current_setting ?\( ?{_LITERAL} ?\)( ?:: ?int(?:4|eger)?)?(?: AS (\w+))?",
    re.IGNORECASE,
)
_SET_CONFIG = re.compile(
    rf"SELECT (?:pg_catalog\.)?set_config ?\( ?{_LITERAL} ?, ?{_LITERAL} ?, ?(true|false) ?\)(?: AS (\w+))?",
    re.IGNORECASE,
)
_ARGUMENT = r"('(?:[^']|'')*'|\$[1-9][0-9]{0,4})(?:::[a-z ]+)?"
_CALL = rf"(?:pg_catalog\.)?pg_notify ?\( ?{_ARGUMENT} ?, ?{_ARGUMENT} ?\)(?: AS \w+)?"
_PG_NOTIFY = re.compile(_CALL, re.IGNORECASE)
_PG_NOTIFIES = re.compile(rf"SELECT {_CALL}(?: ?, ?{_CALL}){{0,{MAX_NOTIFIED - 1}}}", re.IGNORECASE)
_CHAIN = re.compile(r"\bAND CHAIN\b", re.IGNORECASE)


class Command(Struct, frozen=True):
    """A statement about the session. `kind`: what it does; `tag`: what the server says when it is done.

    `column`: what its answer is called, where it is a SELECT. `modes`: settings of a transaction.
    """

    kind: str
    tag: str
    name: str = ""
    value: str = ""
    local: bool = False
    column: str = ""
    modes: tuple[tuple[str, str], ...] = ()


def command(sql: str) -> Command | None:
    """What a statement does to its session; None for any other statement."""
    if len(sql) > MAX_COMMAND:
        return None
    return _command(sql)


def is_copy_in(sql: str) -> bool:
    """Whether a statement makes the client send data: COPY ... FROM STDIN."""
    return _copy_in(sql) if len(sql) <= MAX_COMMAND else _copy_in.__wrapped__(sql)


@lru_cache(maxsize=4096)
def _command(sql: str) -> Command | None:
    words = first_words(sql, 2)
    text = normalise(sql)
    if not text:
        return Command("empty", "")
    known = _KNOWN.get(words[0]) if words else None
    if known is None or (";" in text and len(statements(sql)) > 1):
        return None
    return known(text, words[1] if len(words) > 1 else "")


@lru_cache(maxsize=1024)
def _copy_in(sql: str) -> bool:
    if first_words(sql, 1) != ("COPY",):
        return False
    return re.search(r"\bFROM STDIN\b", normalise(sql), re.IGNORECASE) is not None


def copy_binary(sql: str) -> bool:
    """Whether a COPY says that its data is binary."""
    found = re.search(r"\bFORMAT '?BINARY\b|\bBINARY\b", normalise(sql).rpartition("STDIN")[2], re.IGNORECASE)
    return found is not None


def copy_width(sql: str) -> int:
    """How many columns a COPY names; 0 where it names none."""
    head = re.split(r"\bFROM\b", normalise(sql), maxsplit=1, flags=re.IGNORECASE)[0]
    inside = re.search(r"\(([^()]*)\)", head)
    return len(inside[1].split(",")) if inside else 0


def notified(sql: str, params: Sequence[Value]) -> list[tuple[str, str]]:
    """The channels and payloads of `SELECT pg_notify(...), ...`: what a NOTIFY with parameters looks like."""
    if "pg_notify" not in sql[:MAX_COMMAND].lower():
        return []
    text = normalise(sql)
    if _PG_NOTIFIES.fullmatch(text) is None:
        return []
    found = [[_argument(one, params) for one in call.groups()] for call in _PG_NOTIFY.finditer(text)]
    return [(name, payload or "") for name, payload in found if name]


def _argument(argument: str, params: Sequence[Value]) -> str | None:
    if argument.startswith("'"):
        return argument[1:-1].replace("''", "'")
    number = int(argument[1:]) - 1
    value = params[number] if number < len(params) else None
    return value if isinstance(value, str) else None


def identifier(name: str) -> str:
    """A name as the server takes it: folded to lower case unless it is quoted."""
    if name.startswith('"') and name.endswith('"') and len(name) > 1:
        return name[1:-1].replace('""', '"')
    return name.lower()


def literal(value: str) -> str:
    """A value of SET as the server shows it: without quotes, a list with one blank after each comma."""
    parts = [part.strip() for part in re.findall(r"'(?:[^']|'')*'|[^,]+", value)]
    plain = [
        part[1:-1].replace("''", "'") if len(part) > 1 and part[0] == part[-1] == "'" else part
        for part in parts
        if part
    ]
    return ", ".join(plain)


def _begin(text: str, second: str) -> Command | None:
    found = _BEGIN.fullmatch(text)
    modes = _modes(found[1]) if found else ()
    if text[:5].upper() == "START":
        return Command("begin", "START TRANSACTION", modes=modes) if second == "TRANSACTION" else None
    return Command("begin", "BEGIN", modes=modes)


def _modes(text: str) -> tuple[tuple[str, str], ...]:
    """Modes of a transaction as the settings that they are."""
    return tuple([_mode(found) for found in _A_MODE.finditer(text)])


def _mode(found: re.Match[str]) -> tuple[str, str]:
    level, access, deferrable = found.groups()
    if level:
        return "transaction_isolation", level.lower()
    if access:
        return "transaction_read_only", "on" if access.upper() == "ONLY" else "off"
    return "transaction_deferrable", "off" if " " in deferrable else "on"


def _commit(text: str, second: str) -> Command | None:
    if second == "PREPARED":
        return None
    return Command("commit", "COMMIT", value="chain" if _CHAIN.search(text) else "")


def _rollback(text: str, second: str) -> Command | None:
    if second == "PREPARED":
        return None
    to = _ROLLBACK_TO.match(text)
    if to:
        return Command("rollback to", "ROLLBACK", identifier(to[1]))
    return Command("rollback", "ROLLBACK", value="chain" if _CHAIN.search(text) else "")


def _named(pattern: re.Pattern[str], kind: str, tag: str) -> Callable[[str, str], Command | None]:
    def known(text: str, _second: str) -> Command | None:
        found = pattern.fullmatch(text)
        return Command(kind, tag, identifier(found[1])) if found else None

    return known


def _set(text: str, second: str) -> Command | None:
    zone = _TIME_ZONE.fullmatch(text)
    if zone:
        local = (zone[1] or "").upper() == "LOCAL"
        value = "default" if zone[2].upper() in {"LOCAL", "DEFAULT"} else literal(zone[2])
        return Command("set", "SET", "timezone", value, local)
    if modes := _SET_MODES.fullmatch(text):
        return Command("defaults" if modes[1] else "modes", "SET", modes=_modes(modes[2]))
    if _OTHER_SET.match(text):
        tag = "SET CONSTRAINTS" if second == "CONSTRAINTS" else "SET"
        return Command("other", tag)
    found = _SET.fullmatch(text)
    if found is None:
        return None
    return Command(
        "set", "SET", identifier(found[2]), literal(found[3]), local=(found[1] or "").upper() == "LOCAL"
    )


def _show(text: str, _second: str) -> Command | None:
    if text.upper() == "SHOW TRANSACTION ISOLATION LEVEL":
        return Command("show", "SHOW", "transaction_isolation")
    if text.upper() == "SHOW TIME ZONE":
        return Command("show", "SHOW", "timezone")
    found = _SHOW.fullmatch(text)
    return Command("show", "SHOW", identifier(found[1])) if found else None


def _discard(_text: str, second: str) -> Command | None:
    return Command("discard", f"DISCARD {second}", second.lower()) if second else None


def _deallocate(text: str, _second: str) -> Command | None:
    found = _DEALLOCATE.fullmatch(text)
    if found is None:
        return None
    every = found[1].upper() == "ALL"
    return Command(
        "deallocate", "DEALLOCATE ALL" if every else "DEALLOCATE", "" if every else identifier(found[1])
    )


def _close(text: str, _second: str) -> Command | None:
    found = _CLOSE.fullmatch(text)
    if found is None:
        return None
    return Command("other", "CLOSE CURSOR ALL" if found[1].upper() == "ALL" else "CLOSE CURSOR")


def _unlisten(text: str, _second: str) -> Command | None:
    found = _LISTEN.fullmatch(text)
    return Command("unlisten", "UNLISTEN", "*" if found[1] == "*" else identifier(found[1])) if found else None


def _notify(text: str, _second: str) -> Command | None:
    found = _NOTIFY.fullmatch(text)
    if found is None:
        return None
    return Command("notify", "NOTIFY", identifier(found[1]), (found[2] or "").replace("''", "'"))


def _prepare(text: str, second: str) -> Command | None:
    if second == "TRANSACTION":
        return None
    found = _PREPARE.match(text)
    return Command("other", "PREPARE", identifier(found[1])) if found else None


def _select(text: str, _second: str) -> Command | None:
    """Those that pools and drivers send to see whether a server is there, and whose."""
    if _UNLOCK.fullmatch(text):
        return Command("unlock", "SELECT 1", column="pg_advisory_unlock_all")
    if found := _CONSTANT.fullmatch(text):
        return Command("constant", "SELECT 1", value=str(int(found[1])), column=_alias(found[2], "?column?"))
    if found := _WHO.fullmatch(text):
        function = (found[1] or found[2]).lower()
        return Command("who", "SELECT 1", function, column=_alias(found[3], function))
    if found := _CURRENT_SETTING.fullmatch(text):
        name = _unquoted(found[1]).lower()
        cast = "int4" if found[2] else ""
        return Command("setting", "SELECT 1", name, cast, column=_alias(found[3], "current_setting"))
    if found := _SET_CONFIG.fullmatch(text):
        name, value, local = _unquoted(found[1]).lower(), _unquoted(found[2]), found[3].lower() == "true"
        return Command("set", "SELECT 1", name, value, local, _alias(found[4], "set_config"))
    return None


def _alias(name: str | None, otherwise: str) -> str:
    return otherwise if name is None else name.lower()


def _unquoted(text: str) -> str:
    return text.replace("''", "'")


_KNOWN: Final[dict[str, Callable[[str, str], Command | None]]] = {
    "BEGIN": _begin,
    "START": _begin,
    "COMMIT": _commit,
    "END": _commit,
    "ROLLBACK": _rollback,
    "ABORT": _rollback,
    "SAVEPOINT": _named(_SAVEPOINT, "savepoint", "SAVEPOINT"),
    "RELEASE": _named(_RELEASE, "release", "RELEASE"),
    "SET": _set,
    "RESET": _named(_RESET, "reset", "RESET"),
    "SHOW": _show,
    "DISCARD": _discard,
    "DEALLOCATE": _deallocate,
    "LISTEN": _named(_LISTEN, "listen", "LISTEN"),
    "UNLISTEN": _unlisten,
    "NOTIFY": _notify,
    "CLOSE": _close,
    "PREPARE": _prepare,
    "SELECT": _select,
}
