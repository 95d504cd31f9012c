"""How a session stands: its transaction, its settings, its channels; and what it answers by that alone.

The same rules serve and watch. A mock answers statements about the session by them where no route does; a
recorder leaves such a statement out if the server answered what the mock would.

    I ──BEGIN──▶ T ──error──▶ E        COMMIT, ROLLBACK ──▶ I (of E both answer ROLLBACK)
                 ▲            │        ROLLBACK TO a savepoint ──▶ T
                 └─ROLLBACK TO┘        in E anything else fails with 25P02

What a transaction did to settings and channels counts when it ends (SET and LISTEN in the manual), and what it
did since a savepoint is taken back with that. Its own settings (SET TRANSACTION) end with it.
"""

from collections.abc import Hashable, Mapping
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from svcmock_protocols.postgres.commands import Command, command
from svcmock_protocols.postgres.messages import Column, Reply, Result, Said, failed, said
from svcmock_protocols.postgres.settings import OF_TRANSACTION, UNREPORTED, shown, spelled, version_number

MAX_SAVEPOINTS: Final = 10_000
"""Savepoints of a transaction that are told apart."""
MAX_SETTINGS: Final = 1000
"""Settings of a session that are remembered."""
MAX_PENDING: Final = 10_000
"""Notifications that a transaction holds back."""
MAX_PAYLOAD: Final = 7999
"""Characters of a notification: the server's own limit, in bytes. Longer ones are told to nobody."""

Effect: TypeAlias = tuple[Literal["listen", "unlisten", "notify"], str, str]
"""What happens to a channel, and with what payload."""

_IN_TRANSACTION: Final = {
    "savepoint": "SAVEPOINT",
    "release": "RELEASE SAVEPOINT",
    "rollback to": "ROLLBACK TO SAVEPOINT",
}
_ENDINGS: Final = frozenset({"commit", "rollback", "rollback to", "empty"})
_BOOL, _NAME, _INT4, _TEXT, _VOID = 16, 19, 23, 25, 2278
ABORTED: Final = said(
    "25P02", "current transaction is aborted, commands ignored until end of transaction block"
)


class _Savepoint(Struct, frozen=True):
    """How things stood when it was made."""

    name: str
    settings: Mapping[str, str]
    local: Mapping[str, str | None]
    pending: int
    modes: Mapping[str, str]


class Standing:
    """Of one session. Settings are made anew when they change: what was before can be gone back to."""

    def __init__(self, parameters: Mapping[str, str], database: str = "") -> None:
        """`parameters`: those that the server reports when a client has logged in. `database`: if known."""
        self.status = "I"
        self._database = database
        self._savepoints: list[_Savepoint] = []
        self._told = dict(parameters)
        self._first = dict(parameters)
        self._settings: Mapping[str, str] = self._first
        self._before: Mapping[str, str] | None = None
        self._local: Mapping[str, str | None] = {}
        """What SET LOCAL has hidden; None: there was nothing."""
        self._modes: Mapping[str, str] = {}
        """The settings that are this transaction's own."""
        self._pending: list[Effect] = []

    # --- what it says ---

    def answer(self, sql: str) -> Reply | None:
        """What is said to this statement by how the session stands; None if that is not all that counts."""
        known = command(sql)
        if self.status == "E" and (known is None or known.kind not in _ENDINGS):
            return Reply(failure=ABORTED)
        return None if known is None else self._answer(known)

    def decides(self, sql: str) -> bool:
        """Whether nothing else counts: the transaction has failed, or is being thrown away."""
        known = command(sql)
        return self.status == "E" or (known is not None and known.kind in {"rollback", "rollback to"})

    def _answer(self, known: Command) -> Reply | None:
        inside = self.status != "I"
        match known.kind:
            case "begin" if inside:
                return _done(known.tag, said("25001", "there is already a transaction in progress", "WARNING"))
            case "commit" if self.status == "E":
                return _done("ROLLBACK")
            case "commit" | "rollback" if not inside:
                return _done(known.tag, said("25P01", "there is no transaction in progress", "WARNING"))
            case "savepoint" | "release" | "rollback to" if not inside:
                words = _IN_TRANSACTION[known.kind]
                return failed("25P01", f"{words} can only be used in transaction blocks")
            case "release" | "rollback to" if self._savepoint(known.name) is None:
                return failed("3B001", f'savepoint "{known.name}" does not exist')
            case "discard" if inside and known.name == "all":
                return failed("25001", "DISCARD ALL cannot run inside a transaction block")
            case "show":
                return _one(spelled(known.name), _TEXT, self._setting(known.name), known.tag)
        return self._select(known) if known.column else _done(known.tag)

    def _select(self, known: Command) -> Reply | None:
        match known.kind:
            case "unlock":
                return _one(known.column, _VOID, "")
            case "constant":
                return _one(known.column, _INT4, known.value)
            case "setting":
                value = self._setting(known.name)
                if known.value:  # cast to a number
                    return _one(known.column, _INT4, value if _is_int4(value) else None)
                return _one(known.column, _TEXT, value)
            case "set":
                return _one(known.column, _TEXT, self._made(known))
        return self._who(known)

    def _who(self, known: Command) -> Reply | None:
        """Who is connected to what. A recording says it in the server's own words."""
        if known.name == "version":
            version = self._first.get("server_version")
            return _one(known.column, _TEXT, version and f"PostgreSQL {version} (svcmock)")
        if known.name == "pg_is_in_recovery":
            return _one(known.column, _BOOL, "t" if self._first.get("in_hot_standby") == "on" else "f")
        if known.name == "current_schema":
            first = self._setting("search_path") == UNREPORTED["search_path"]
            return _one(known.column, _NAME, "public" if first else None)
        if known.name in {"current_database", "current_catalog"}:
            return _one(known.column, _NAME, self._database or None)
        return _one(known.column, _NAME, self._first.get("session_authorization") or None)

    def _setting(self, name: str) -> str | None:
        name = spelled(name)
        if name in OF_TRANSACTION:
            return self._mode(name)
        if name == "server_version_num":
            return version_number(self._first.get("server_version", ""))
        return self._settings.get(name, UNREPORTED.get(name))

    def _mode(self, name: str) -> str | None:
        """A setting of the transaction, or of one that began now."""
        if name == "transaction_read_only" and self._first.get("in_hot_standby") == "on":
            return "on"
        if self.status != "I" and name in self._modes:
            return self._modes[name]
        return self._setting(f"default_{name}")

    def _made(self, known: Command) -> str:
        """What a SET makes of a setting, as it is shown then."""
        name = spelled(known.name)
        return shown(name, known.value, self._setting(name) or "")

    # --- what happens to it ---

    def follow(self, sql: str, *, tag: str = "") -> None:
        """This statement was carried out, and the server said `tag`."""
        known = command(sql)
        if known is not None:
            self._follow(known, tag)

    def notify(self, channel: str, payload: str) -> None:
        """A function has told a channel something."""
        self._note("notify", channel, payload)

    def fail(self) -> None:
        """A statement failed."""
        if self.status == "T":
            self.status = "E"

    def assume(self, name: str, value: str) -> None:
        """The server says that a parameter has this value now."""
        if len(self._settings) < MAX_SETTINGS or name in self._settings:
            self._settings = {**self._settings, name: value}
            self._told.setdefault(name, "")

    def reports(self) -> list[tuple[str, str]]:
        """The parameters that have changed since a client was last told, in their order."""
        changed = [
            (n, self._settings.get(n, v)) for n, v in self._told.items() if self._settings.get(n, v) != v
        ]
        self._told.update(changed)
        return changed

    def token(self) -> Hashable | None:
        """Equal for sessions that stand alike; None inside a transaction."""
        if self.status != "I" or self._pending or self._local:
            return None
        return tuple(self._settings.items()), tuple(self._told.items()), tuple(self._first.items())

    def due(self) -> list[Effect]:
        """What is to happen to channels now that no transaction holds it back."""
        if self.status != "I" or not self._pending:
            return []
        due, self._pending = self._pending, []
        return due

    def _follow(self, known: Command, tag: str) -> None:
        match known.kind:
            case "begin":
                self._begin(known)
            case "modes" if self.status != "I":
                self._modes = {**self._modes, **dict(known.modes)}
            case "defaults":
                for name, value in known.modes:
                    self._set(Command("set", known.tag, f"default_{name}", value))
            case "commit" | "rollback":
                self._end(kept=known.kind == "commit" and tag != "ROLLBACK", chain=bool(known.value))
            case "savepoint" | "release" | "rollback to":
                self._mark(known)
            case "set":
                self._set(known)
            case "reset":
                self._reset(known.name)
            case "discard" if known.name == "all":
                self._reset("all")
                self._note("unlisten", "*", "")
            case "listen" | "unlisten" | "notify":
                self._note(known.kind, known.name, known.value)

    def _begin(self, known: Command) -> None:
        if self.status == "I":
            self._modes = {name: self._mode(name) or "" for name in OF_TRANSACTION}
            self.status, self._before = "T", self._settings
        self._modes = {**self._modes, **dict(known.modes)}

    def _end(self, *, kept: bool, chain: bool) -> None:
        if not kept:
            self._pending.clear()
            if self._before is not None:
                self._settings = self._before
        elif self._local:
            both = {**self._settings, **self._local}
            self._settings = {name: value for name, value in both.items() if value is not None}
        self._local = {}
        self._savepoints.clear()
        self._before = self._settings if chain and self.status != "I" else None
        self.status = "T" if self._before is not None else "I"
        if self.status == "I":
            self._modes = {}

    def _mark(self, known: Command) -> None:
        """A savepoint is made, forgotten or gone back to."""
        number = self._savepoint(known.name)
        if known.kind == "savepoint":
            if len(self._savepoints) < MAX_SAVEPOINTS:
                now = _Savepoint(known.name, self._settings, self._local, len(self._pending), self._modes)
                self._savepoints.append(now)
        elif number is not None and known.kind == "release":
            del self._savepoints[number:]
        elif number is not None:
            self._go_back(number)

    def _savepoint(self, name: str) -> int | None:
        """The number of the last one with this name."""
        numbers = reversed(range(len(self._savepoints)))
        return next((number for number in numbers if self._savepoints[number].name == name), None)

    def _go_back(self, number: int) -> None:
        """To the savepoint with this number, which stays."""
        before = self._savepoints[number]
        self._settings, self._local, self._modes = before.settings, before.local, before.modes
        del self._pending[before.pending :]
        del self._savepoints[number + 1 :]
        self.status = "T"

    def _set(self, known: Command) -> None:
        name = spelled(known.name)
        if name == "client_encoding" or len(self._settings) >= MAX_SETTINGS:
            return  # UTF-8 is all that is spoken here
        if (known.local or name in OF_TRANSACTION) and self.status == "I":
            return
        if name in OF_TRANSACTION:
            self._modes = {**self._modes, name: self._made(known)}
            return
        if known.local:
            self._local = {name: self._settings.get(name), **self._local}
        else:
            self._local = {other: value for other, value in self._local.items() if other != name}
        if known.value.lower() == "default" and not known.column:
            self._reset(known.name)
        else:
            self._settings = {**self._settings, name: self._made(known)}

    def _reset(self, name: str) -> None:
        if name == "all":
            self._settings = self._first
            return
        name = spelled(name)
        others = {one: value for one, value in self._settings.items() if one != name}
        self._settings = {**others, name: self._first[name]} if name in self._first else others

    def _note(self, kind: str, channel: str, payload: str) -> None:
        if kind == "notify" and len(payload) > MAX_PAYLOAD:
            return
        if len(self._pending) < MAX_PENDING and kind in ("listen", "unlisten", "notify"):
            self._pending.append((kind, channel, payload))  # type: ignore[arg-type]


def _one(column: str, kind: int, value: str | None, tag: str = "SELECT 1") -> Reply | None:
    """One value; None where it is not known."""
    return Reply((Result((Column(column, kind),), ((value,),), tag),)) if value is not None else None


def _is_int4(value: str | None) -> bool:
    return value is not None and value.isdecimal() and value.isascii() and int(value) < 1 << 31


def _done(tag: str, *notices: Said) -> Reply:
    return Reply((Result(tag=tag),), notices=notices)
