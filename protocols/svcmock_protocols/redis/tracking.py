"""Caching in clients: which keys one client has read, and that it is told when others write them. Sans I/O.

As CLIENT TRACKING of Redis has it, for clients of RESP3: what a client of the mock writes invalidates what
others have read on the mock. A recording holds no invalidations, as their causes are recorded. Whether a write
changed something is told from its reply: nothing and 0 say that it did not.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import Struct

from svcmock.protocol import Out, Publish, Send, Subscribe, Unsubscribe
from svcmock_protocols.redis import catalogue
from svcmock_protocols.redis.codec import encode
from svcmock_protocols.redis.local import wrong_arguments
from svcmock_protocols.redis.messages import NULL, OK, Args, Array, Error, Map, Nil, Value
from svcmock_protocols.redis.shared import Shared

TRACKED_MAX: Final = 100_000
"""Keys of one client. For more of them, the first ones are said to have changed."""
PREFIXES_MAX: Final = 1000
"""Prefixes of all clients."""
_EVERYTHING: Final = ("flush", b"")
_FLUSHES: Final = frozenset({b"FLUSHALL", b"FLUSHDB"})
_SYNTAX: Final = Error(b"ERR syntax error")


class Told(Struct, frozen=True):
    """What is published of a write: the key, None for all of them, and the number of the client."""

    key: bytes | None
    by: int


class Mode(Struct, frozen=True):
    """What a client asked for. `broadcast`: all keys with these prefixes; else those that it has read."""

    broadcast: bool = False
    prefixes: tuple[bytes, ...] = ()
    choice: Literal["", "optin", "optout"] = ""
    noloop: bool = False


class Tracking:
    """Of one client."""

    def __init__(self, shared: Shared, number: int) -> None:
        self._shared = shared
        self._number = number
        self._mode: Mode | None = None
        self._read: dict[bytes, None] = {}
        self._caching = False
        """CLIENT CACHING has chosen for the next command."""

    def command(self, args: Args) -> tuple[Value, list[Out]] | None:
        """The answer to CLIENT TRACKING, CACHING and TRACKINGINFO; None for any other."""
        match catalogue.name_of(args):
            case b"CLIENT TRACKING":
                return self._switch(args)
            case b"CLIENT CACHING":
                return self._choose(args), []
            case b"CLIENT TRACKINGINFO":
                return self._told(), []
        return None

    def after(self, args: Args, value: Value) -> list[Out]:
        """A command was answered: what it read is tracked, and what it wrote is told to who has read it."""
        caching, self._caching = self._caching, False
        if isinstance(value, Error):
            return []
        if args[0] in _FLUSHES:
            return [Publish(_EVERYTHING, Told(None, self._number))]
        keys = catalogue.keys(args)
        if args[0] in catalogue.READS:
            return self._track(keys) if self._tracks(chosen=caching) else []
        if value == 0 or (isinstance(value, Nil) and not _tells_what_was(args)):
            return []
        return [out for key in keys for out in self._written(key)]

    def published(self, told: Told, version: int) -> list[Out]:
        """Somebody wrote."""
        mode = self._mode
        if mode is None or (mode.noloop and told.by == self._number):
            return []
        outs: list[Out] = []
        if told.key is None:
            outs += self._forget(tuple(self._read))
        elif not mode.broadcast:
            outs += self._forget((told.key,))
        return [*outs, *_invalidate(None if told.key is None else (told.key,), version)]

    def leave(self) -> list[Out]:
        """Track nothing any more."""
        mode, self._mode = self._mode, None
        outs = self._forget(tuple(self._read))
        if mode is not None:
            outs.append(Unsubscribe(_EVERYTHING))
            for prefix in mode.prefixes:
                self._shared.prefixes.drop(prefix)
                outs.append(Unsubscribe(("prefix", prefix)))
        return outs

    # --- commands ---

    def _switch(self, args: Args) -> tuple[Value, list[Out]]:
        mode = _mode(args[2:]) if len(args) > 2 else wrong_arguments(args)
        if isinstance(mode, Error):
            return mode, []
        left = self.leave()
        if mode is None:
            return OK, left
        if len(self._shared.prefixes) + len(mode.prefixes) > PREFIXES_MAX:
            return Error(b"ERR svcmock: more than %d prefixes" % PREFIXES_MAX), left
        self._mode = mode
        outs: list[Out] = [Subscribe(_EVERYTHING)]
        for prefix in mode.prefixes:
            self._shared.prefixes.add(prefix)
            outs.append(Subscribe(("prefix", prefix)))
        return OK, [*left, *outs]

    def _choose(self, args: Args) -> Value:
        word = args[2].upper() if len(args) == 3 else b""
        choice = "" if self._mode is None else self._mode.choice
        if not choice:
            return Error(
                b"ERR CLIENT CACHING can be called only when the client is in tracking mode "
                b"with OPTIN or OPTOUT mode enabled"
            )
        if word == b"YES" and choice != "optin":
            return Error(b"ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
        if word == b"NO" and choice != "optout":
            return Error(b"ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
        if word not in {b"YES", b"NO"}:
            return _SYNTAX
        self._caching = True
        return OK

    def _told(self) -> Value:
        mode = self._mode
        flags = [b"off"] if mode is None else [b"on"]
        if mode is not None:
            named = {b"bcast": mode.broadcast, mode.choice.encode(): bool(mode.choice), b"noloop": mode.noloop}
            flags += [name for name, on in named.items() if on]
        prefixes = () if mode is None else tuple(prefix for prefix in mode.prefixes if prefix)
        return Map(
            (
                (b"flags", Array(tuple(flags), "set")),
                (b"redirect", -1 if mode is None else 0),
                (b"prefixes", Array(prefixes)),
            )
        )

    # --- keys ---

    def _tracks(self, *, chosen: bool) -> bool:
        mode = self._mode
        if mode is None or mode.broadcast:
            return False
        return chosen if mode.choice == "optin" else not (chosen and mode.choice == "optout")

    def _track(self, keys: Args) -> list[Out]:
        outs: list[Out] = []
        for key in keys:
            if key not in self._read:
                self._read[key] = None
                outs.append(Subscribe(("key", key)))
        many = len(self._read) - TRACKED_MAX
        if many > 0:
            first = tuple(self._read)[:many]
            outs += [*self._forget(first), *_invalidate(first, 3)]
        return outs

    def _written(self, key: bytes) -> list[Publish]:
        told = Told(key, self._number)
        prefixes = [prefix for prefix in self._shared.prefixes if key.startswith(prefix)]
        return [Publish(("key", key), told), *(Publish(("prefix", prefix), told) for prefix in prefixes)]

    def _forget(self, keys: Iterable[bytes]) -> list[Out]:
        outs: list[Out] = []
        for key in keys:
            if key in self._read:
                del self._read[key]
                outs.append(Unsubscribe(("key", key)))
        return outs


def _tells_what_was(args: Args) -> bool:
    """Whether the reply is what a key held before, so that nothing does not mean that nothing was written."""
    return args[0] == b"GETSET" or (args[0] == b"SET" and any(arg.upper() == b"GET" for arg in args[3:]))


def _mode(options: Args) -> Mode | Error | None:
    """What CLIENT TRACKING asks for; None for OFF."""
    switch = options[0].upper()
    if switch == b"OFF" and len(options) == 1:
        return None
    words, prefixes, at = set[bytes](), list[bytes](), 1
    while at < len(options):
        word = options[at].upper()
        if word in {b"PREFIX", b"REDIRECT"} and at + 1 < len(options):
            prefixes += options[at + 1 : at + 2] if word == b"PREFIX" else ()
            at += 1
        elif word not in {b"BCAST", b"OPTIN", b"OPTOUT", b"NOLOOP"}:
            return _SYNTAX
        words.add(word)
        at += 1
    broadcast = b"BCAST" in words
    if switch != b"ON":
        return _SYNTAX
    if prefixes and not broadcast:
        return Error(b"ERR PREFIX option requires BCAST mode to be enabled")
    if b"OPTIN" in words and b"OPTOUT" in words:
        return Error(b"ERR You can't specify both OPTIN mode and OPTOUT mode")
    if broadcast and words & {b"OPTIN", b"OPTOUT"}:
        return Error(b"ERR OPTIN and OPTOUT are not compatible with BCAST")
    choice: Literal["", "optin", "optout"] = "optin" if b"OPTIN" in words else ""
    choice = "optout" if b"OPTOUT" in words else choice
    return Mode(
        broadcast, tuple(dict.fromkeys(prefixes or [b""])) if broadcast else (), choice, b"NOLOOP" in words
    )


def _invalidate(keys: Sequence[bytes] | None, version: int) -> list[Out]:
    """What a client is told of keys that have changed: all of them for None. In RESP2 there is no way to."""
    if version != 3:
        return []
    return [Send(encode(Array((b"invalidate", NULL if keys is None else Array(tuple(keys))), "push"), 3))]
