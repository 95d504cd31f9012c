"""What the connections of one service share: numbers for their keys, what has been described, who listens."""

from collections.abc import Hashable, Iterable
from hashlib import blake2b
from typing import Final

from svcmock_protocols.postgres.causes import Causes
from svcmock_protocols.postgres.types import BUILT_IN, Types
from svcmock_protocols.postgres.types.declared import FIRST_OWN, MAX_DECLARED, Declared

MAX_DESCRIBED: Final = 10_000
"""Statements of which a recorder remembers that it has written down their description."""

MAX_GIVEN: Final = 10_000
"""Notifications that a statement caused of which it is known that they have been told."""
MAX_RESTS: Final = 10_000
"""Ways in which sessions stand that are told apart."""


class State:
    """Of one service."""

    def __init__(self) -> None:
        self._number = 0
        self._described: dict[str, Hashable] = {}
        self._rests: dict[Hashable, int] = {}
        self._types: dict[str, tuple[int, ...]] = {}
        self.asked: set[Hashable] = set()
        """The statements and types of which a recorder has asked the server."""
        self._declared: dict[int, Declared] = {}
        self._known: Types | None = BUILT_IN
        self.causes = Causes()
        """What makes a recorded server notify."""
        self.listening = 0
        self._given: dict[int, object] = {}
        """How many channels connections of the mock listen to, each counted by itself."""

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

    @property
    def known(self) -> Types:
        """The types of the service, as far as a recorder knows them."""
        if self._known is None:
            self._known = Types(self._declared.values())
        return self._known

    def school(self, types: Types) -> None:
        """These were known before."""
        if types.declared and not self._declared:
            self._declared, self._known = dict(types.declared), types

    def declare(self, one: Declared) -> bool:
        """The server says what a type is. False: it is known, or there are too many."""
        if self._declared.get(one.oid) == one or len(self._declared) >= MAX_DECLARED:
            return False
        self._declared[one.oid] = one
        self._known = None
        return True

    def made_of(self, oids: Iterable[int]) -> set[int]:
        """Those of these types, and of all that they are made of, which the database made itself."""
        found: set[int] = set()
        left = [oid for oid in oids if oid >= FIRST_OWN]
        while left:
            oid = left.pop()
            if oid not in found:
                found.add(oid)
                one = self._declared.get(oid)
                left += [part for part in one.made_of() if part >= FIRST_OWN] if one is not None else []
        return found

    def first(self, reply: object) -> bool:
        """Whether this very reply, not one that is equal, is given for the first time."""
        if id(reply) in self._given:
            return False
        if len(self._given) < MAX_GIVEN:
            self._given[id(reply)] = reply
        return True

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
