"""What the connections of one service share: numbers for their keys, and what has been described."""

from collections.abc import Hashable
from hashlib import blake2b
from typing import Final

MAX_DESCRIBED: Final = 10_000
"""Statements of which a recorder remembers that it has written down their description."""

MAX_RESTS: Final = 10_000
"""Ways in which sessions stand that are told apart."""


class State:
    """Of one service."""

    def __init__(self) -> None:
        self._number = 0
        self._described: dict[str, Hashable] = {}
        self._rests: dict[Hashable, int] = {}
        self._types: dict[str, tuple[int, ...]] = {}

    def key(self) -> tuple[int, bytes]:
        """A process number and the secret that cancels what it does. No two connections get the same."""
        self._number += 1
        return self._number, blake2b(self._number.to_bytes(8), digest_size=4, person=b"svcmock-cancel").digest()

    def types(self, sql: str, types: tuple[int, ...]) -> tuple[int, ...]:
        """The types of a statement's parameters; those that are not known (0) as they were before."""
        known = self._types.get(sql, ())
        if len(known) != len(types):
            known = types
        filled = tuple([oid or before for oid, before in zip(types, known, strict=True)])
        if len(self._types) < MAX_DESCRIBED or sql in self._types:
            self._types[sql] = filled
        return filled

    def rest(self, how: Hashable) -> int | None:
        """A number for how sessions stand that stand alike; None if there are too many ways."""
        known = self._rests.get(how)
        if known is None and len(self._rests) < MAX_RESTS:
            known = self._rests[how] = len(self._rests)
        return known

    def news(self, sql: str, told: Hashable) -> bool:
        """Whether a statement is described for the first time, or otherwise than the last time."""
        before = self._described.get(sql)
        if before == told or (before is None and len(self._described) >= MAX_DESCRIBED):
            return False
        self._described[sql] = told
        return True


def cancelling(number: int, secret: bytes) -> Hashable:
    """The topic of a connection's cancel requests."""
    return "cancel", number, secret


def channel(name: str) -> Hashable:
    """The topic of a channel of LISTEN and NOTIFY."""
    return "channel", name
