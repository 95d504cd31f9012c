"""Cursors of SQL: DECLARE, and the FETCHes that take rows from it some at a time. For serving and for watching.

All that is fetched from a cursor is one result, recorded as that of its DECLARE, so that it does not matter how
many rows are asked for at a time. Only going forward is understood: a FETCH that scrolls is a statement as any.
"""

import re
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from svcmock_protocols.postgres.commands import identifier
from svcmock_protocols.postgres.messages import Column, Reply, Result, Value
from svcmock_protocols.postgres.sql import normalise
from svcmock_protocols.postgres.watched import Run

MAX_CURSORS: Final = 1000
"""Cursors of a connection that are known at a time."""
DECLARED: Final = "DECLARE CURSOR"

_NAME = r'("(?:[^"]|"")+"|[^\s"\'(),;=]+)'
_DECLARE = re.compile(rf"DECLARE {_NAME} (?:[A-Z]+ )*?CURSOR (WITH HOLD )?", re.IGNORECASE)
_FETCH = re.compile(
    rf"FETCH (?:(?:FORWARD )?([0-9]{{1,9}}|ALL)|NEXT|FORWARD)?(?: ?(?:FROM|IN) | ?){_NAME}", re.IGNORECASE
)
_CLOSE = re.compile(rf"CLOSE {_NAME}", re.IGNORECASE)
_EXISTS = re.compile(r"SELECT 1 FROM pg_catalog\.pg_cursors WHERE name = '((?:[^']|'')+)'")
"""What psycopg asks before it closes a cursor that it has not read from, so also where DECLARE has failed."""


class Fetch(Struct, frozen=True):
    """So many rows of a cursor; `count` None: all."""

    name: str
    count: int | None


def declared(sql: str) -> str | None:
    """The name of the cursor that a statement declares."""
    found = _DECLARE.match(normalise(sql))
    return identifier(found[1]) if found else None


def fetched(sql: str) -> Fetch | None:
    """What a statement takes from a cursor; None if it takes nothing, or does more than go forward."""
    found = _FETCH.fullmatch(normalise(sql))
    if found is None:
        return None
    count = None if (found[1] or "").upper() == "ALL" else int(found[1] or 1)
    return Fetch(identifier(found[2]), count)


def nameless(plain: str) -> str:
    """A normalised statement without the name of the cursor that it declares.

    A client makes that up: Django of the number of a thread, another one in each process.
    """
    found = _DECLARE.match(plain) if plain[:8].upper() == "DECLARE " else None
    return plain if found is None else f"{plain[: found.start(1)]}_{plain[found.end(1) :]}"


def _holds(sql: str) -> bool:
    found = _DECLARE.match(normalise(sql))
    return found is not None and found[2] is not None


class _Open(Struct):
    result: Result
    holds: bool
    at: int = 0


class Cursors:
    """Those of a served connection."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    @property
    def unused(self) -> bool:
        """Whether none is open."""
        return not self._open

    def declare(self, sql: str, reply: Reply) -> Reply:
        """The reply to a statement; if that declares a cursor, its rows are kept for later."""
        name = declared(sql)
        if name is None or reply.failure is not None or not reply.results or len(self._open) >= MAX_CURSORS:
            return reply
        self._open[name] = _Open(reply.results[0], _holds(sql))
        return replace(reply, results=(Result(tag=DECLARED),))

    def fetch(self, sql: str) -> Reply | None:
        """The next rows, if the statement asks for them and the cursor is known."""
        wanted = fetched(sql)
        cursor = self._open.get(wanted.name) if wanted is not None else None
        if wanted is None or cursor is None:
            return None
        rows = cursor.result.rows
        end = len(rows) if wanted.count is None else min(len(rows), cursor.at + wanted.count)
        taken, cursor.at = rows[cursor.at : end], end
        return Reply((Result(cursor.result.columns or (), taken, f"FETCH {len(taken)}"),))

    def exists(self, sql: str) -> Reply | None:
        """Whether there is a cursor, if the statement asks for that as psycopg does."""
        found = _EXISTS.fullmatch(normalise(sql)) if "pg_cursors" in sql else None
        if found is None:
            return None
        rows = (("1",),) if found[1].replace("''", "'") in self._open else ()
        return Reply((Result((Column("?column?", 23),), rows, f"SELECT {len(rows)}"),))

    def columns(self, name: str) -> tuple[Column, ...] | None:
        """Those of the cursor with this name."""
        cursor = self._open.get(name)
        return None if cursor is None else cursor.result.columns or ()

    def described(self, sql: str) -> tuple[Column, ...] | None:
        """Those that a FETCH will give."""
        wanted = fetched(sql)
        return None if wanted is None else self.columns(wanted.name)

    def closed(self, sql: str) -> None:
        """A statement was carried out."""
        if not self._open:
            return
        plain = normalise(sql)
        found = _CLOSE.fullmatch(plain)
        if plain.upper() in ("CLOSE ALL", "DISCARD ALL"):
            self._open.clear()
        elif found:
            self._open.pop(identifier(found[1]), None)

    def end(self) -> None:
        """The transaction has ended, and with it all cursors but those WITH HOLD."""
        self._open = {name: cursor for name, cursor in self._open.items() if cursor.holds}


class _Seen(Struct, eq=False):
    run: Run
    holds: bool
    columns: tuple[Column, ...] | None = None
    rows: list[tuple[Value, ...]] = []


class Watching:
    """Those of a recorded connection."""

    def __init__(self) -> None:
        self._open: dict[str, _Seen] = {}
        self._fetching: dict[int, _Seen] = {}

    def asked(self, run: Run) -> tuple[bool, Run | None]:
        """A statement is asked for: whether it fetches from a known cursor, and the run that it ends."""
        sql = run.prepared.sql
        wanted = fetched(sql)
        if wanted is not None and wanted.name in self._open:
            self._fetching[id(run)] = self._open[wanted.name]
            return True, None
        name = declared(sql)
        if name is None or len(self._open) >= MAX_CURSORS:
            return False, None
        before = self._open.pop(name, None)
        self._open[name] = _Seen(run, _holds(sql))
        return False, None if before is None else self._whole(before)

    def described(self, name: str, columns: tuple[Column, ...] | None) -> None:
        """A cursor was described, as a portal of its name."""
        if name in self._open:
            self._open[name].columns = columns

    def finished(self, run: Run) -> bool:
        """A run is complete. False: it is not to be recorded by itself, or not yet."""
        cursor = self._fetching.pop(id(run), None)
        if cursor is not None and run.failure is None:
            for result in run.results:
                cursor.columns = result.columns or cursor.columns
                cursor.rows.extend(result.rows)
            cursor.run.why = cursor.run.why or run.why
            if not cursor.run.fits(run.size):
                cursor.rows = []
            return False
        for name, seen in tuple(self._open.items()):
            if seen.run is run:
                if run.failure is None:
                    return False
                del self._open[name]
        return True

    def end(self, *, all_: bool = False) -> list[Run]:
        """A transaction has ended: the runs of cursors that are whole now."""
        over = [name for name, seen in self._open.items() if all_ or not seen.holds]
        return [self._whole(self._open.pop(name)) for name in over]

    def _whole(self, seen: _Seen) -> Run:
        seen.run.results = [Result(seen.columns, tuple(seen.rows), DECLARED)]
        return seen.run
