"""How a session with the model answers: what was recorded first, what was written since before that.

Before the first command on a key it is asked what was recorded of the key as a whole, and that is loaded. From
the first write on, or once it was loaded, the model answers everything of that key; until then a read is
answered by its own recording, if it has one. Pure, but for what `model` does.
"""

from collections.abc import Generator, Iterator
from typing import Final, TypeAlias

from msgspec import Struct

from svcmock_protocols.redis import catalogue
from svcmock_protocols.redis.blocking import STREAMS, block, patience
from svcmock_protocols.redis.messages import (
    MODEL_DATABASES,
    Args,
    Array,
    Error,
    Map,
    Nil,
    Reply,
    Request,
    Value,
)
from svcmock_protocols.redis.model import Connection, Store
from svcmock_protocols.redis.shapes import fit

POLL: Final = 0.02
"""Seconds after which a command that blocks looks again."""
LOOKED_MAX: Final = 1_000_000
"""Keys of which it is known that nothing was recorded; then they are looked for again."""
LOAD_KEYS_MAX: Final = 1000
"""Keys of one command of which it is asked what was recorded."""


class Look(Struct, frozen=True):
    """Look for what was recorded of this; the reply is sent back into the plan, or None."""

    request: Request


class Pause(Struct, frozen=True):
    """Come back after so many seconds."""

    seconds: float


Plan: TypeAlias = Generator[Look | Pause, Reply | None, Value | None]
"""What must be known before an answer can be given; returns the answer, None if the model has none."""

_UNCHANGING: Final = catalogue.READS | {b"WATCH", b"UNWATCH"}
_WHOLE: Final = frozenset(b"DBSIZE FLUSHALL FLUSHDB KEYS RANDOMKEY SCAN SWAPDB".split())
"""Commands about a whole database."""
_FOREIGN: Final = frozenset(
    b"EVAL EVALSHA EVAL_RO EVALSHA_RO FCALL FCALL_RO DUMP RESTORE OBJECT MEMORY".split()
)
"""Commands that the model does not have, or not as a server has them.

No script may come to it: where lupa is installed, fakeredis runs scripts that can do all that Python can.
"""


class Modelled:
    """One client of the model."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._connection: Connection = store.connect()

    def close(self) -> None:
        self._connection.close()

    def answers(self, args: Args) -> bool:
        """Whether the model has an answer to such a command."""
        name = args[0]
        return (
            name in _WHOLE
            or name in {b"WATCH", b"UNWATCH"}
            or (name not in _FOREIGN and bool(catalogue.keys(args)))
        )

    def command(self, args: Args, db: int) -> Plan:
        """One command."""
        if args[0] in _WHOLE:
            return (yield from self._whole(args, db))
        keys = catalogue.keys(args)
        yield from self._load(keys, db)
        here = any((db, key) in self._store.known for key in keys)
        if not here and db not in self._store.emptied and args[0] in catalogue.READS:
            recorded = yield Look(Request(args, db))
            if recorded is not None:
                return recorded.value
        self._connection.select(db)
        value = yield from self._run(args)
        if isinstance(value, Error) and value.text.startswith(b"ERR unknown command"):
            return None
        if args[0] not in _UNCHANGING and not isinstance(value, Error):
            self._store.known.update((db, key) for key in keys)
        return value

    def transaction(self, commands: tuple[Args, ...], db: int) -> Plan:
        """What EXEC runs, if the model has an answer to all of it."""
        if not all(self.answers(args) or args[0] in {b"PING", b"ECHO"} for args in commands):
            return None
        for args in commands:
            keys = catalogue.keys(args)
            yield from self._load(keys, db)
        self._connection.select(db)
        value = self._connection.transaction(commands)
        if isinstance(value, Array):
            for args in commands:
                self._note(args, db)
        return value

    def _note(self, args: Args, db: int) -> None:
        """A command was run."""
        if args[0] == b"FLUSHALL":
            self._store.emptied.update(range(MODEL_DATABASES))
        elif args[0] == b"FLUSHDB":
            self._store.emptied.add(db)
        elif args[0] not in _UNCHANGING:
            self._store.known.update((db, key) for key in catalogue.keys(args))

    def _whole(self, args: Args, db: int) -> Plan:
        written = any(one == db for one, _ in self._store.known) or db in self._store.emptied
        if not written and args[0] in {b"DBSIZE", b"KEYS", b"RANDOMKEY", b"SCAN"}:
            recorded = yield Look(Request(args, db))
            if recorded is not None:
                return recorded.value
        self._connection.select(db)
        value = self._connection.run(args)
        self._note(args, db)
        return value

    # --- what was recorded ---

    def _load(self, keys: Args, db: int) -> Generator[Look | Pause, Reply | None, None]:
        """Load what was recorded of these keys, each once a service."""
        for key in keys[:LOAD_KEYS_MAX]:
            if (db, key) in self._store.known or db in self._store.emptied or (db, key) in self._store.looked:
                continue
            if len(self._store.looked) >= LOOKED_MAX:
                self._store.looked.clear()
            self._store.looked.add((db, key))
            for args in _snapshots(key):
                recorded = yield Look(Request(args, db))
                written = None if recorded is None else _writes(args, recorded.value)
                if written is None or (db, key) in self._store.known:
                    continue
                self._connection.select(db)
                self._connection.run(written)
                self._store.known.add((db, key))
                remaining = yield Look(Request((b"TTL", key), db))
                if remaining is not None and isinstance(remaining.value, int) and remaining.value > 0:
                    self._connection.select(db)
                    self._connection.run((b"EXPIRE", key, b"%d" % remaining.value))
                break

    # --- blocking ---

    def _run(self, args: Args) -> Generator[Look | Pause, Reply | None, Value]:
        wait = patience(args)
        if wait is None:
            return self._connection.run(args)
        if isinstance(wait, Error):
            return wait
        streams = args[0] in STREAMS
        asked = self._from_now_on(args) if streams else args
        waited = 0.0
        while True:
            value = self._connection.run(asked) if streams else self._connection.run_unblocked(asked)
            if not isinstance(value, Nil) or 0 < wait <= waited:
                return value
            yield Pause(POLL)
            waited += POLL

    def _from_now_on(self, args: Args) -> Args:
        """A read of streams that waits for nothing, `$` said as what it is now."""
        at = block(args)
        asked = [*args[:at], *args[at + 2 :]]
        keys = catalogue.keys(args)
        for back in range(1, len(keys) + 1):
            if asked[-back] == b"$":
                last = self._connection.run((b"XREVRANGE", keys[-back], b"+", b"-", b"COUNT", b"1"))
                asked[-back] = _first_id(last)
        return tuple(asked)


def _first_id(entries: Value) -> bytes:
    """The id of the first of these entries of a stream."""
    entry = entries.items[0] if isinstance(entries, Array) and entries.items else None
    ident = entry.items[0] if isinstance(entry, Array) and entry.items else None
    return ident if isinstance(ident, bytes) else b"0-0"


def _snapshots(key: bytes) -> Iterator[Args]:
    """What is asked to learn all of a key."""
    yield b"GET", key
    yield b"HGETALL", key
    yield b"LRANGE", key, b"0", b"-1"
    yield b"SMEMBERS", key
    yield b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"


def _writes(asked: Args, value: Value) -> Args | None:
    """The command that makes a key what the answer to a snapshot says it is; None if it says nothing."""
    key = asked[1]
    flat = _flat(fit(value, asked, 2))
    match asked[0], value:
        case b"GET", bytes():
            return b"SET", key, value
        case b"HGETALL", _ if flat:
            return b"HSET", key, *flat
        case b"LRANGE", _ if flat:
            return b"RPUSH", key, *flat
        case b"SMEMBERS", _ if flat:
            return b"SADD", key, *flat
        case b"ZRANGE", _ if flat:
            swapped = [one for pair in zip(flat[1::2], flat[::2], strict=False) for one in pair]
            return b"ZADD", key, *swapped
    return None


def _flat(value: Value) -> Args:
    """The members of a reply; empty for one that has other things in it."""
    items: tuple[object, ...] = ()
    if isinstance(value, Map):
        items = tuple(one for pair in value.pairs for one in pair)
    elif isinstance(value, Array):
        items = value.items
    flat: list[bytes] = []
    for item in items:
        data = getattr(item, "text", item)
        if not isinstance(data, bytes):
            return ()
        flat.append(data)
    return tuple(flat)
