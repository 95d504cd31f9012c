"""Remembered pure functions of bytes: what a rested session was sent, and the wire bytes that answered it.

Bounded in entries and bytes. Requests that are never sent twice must neither grow it nor push out those
that are: an entry is made at the second sight of its bytes, and first sights are remembered as hashes only.
A full memory takes nothing more, so that many hot requests do not push out one another. When it has turned many
away it sweeps: it forgets what nobody has asked for since the sweep before. Entries are in two generations for
that. A sweep drops the old one and makes the young one old, a hit makes an old entry young again, and a hit on
a young one writes nothing.

Beside whole requests it remembers essences, where the protocol has a `Likeness`: what a request is without
what decides nothing. Such a hit knows the reply; the request for the journal is the one that was sent.
"""

from collections.abc import Hashable
from time import time
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct

from svcmock.capabilities import Likeness
from svcmock.engine import Decision
from svcmock.journal import Fact, Notes
from svcmock.net.missed import Missed
from svcmock.protocol import Reply, Request

MAX_ENTRIES = 16384
MAX_BYTES = 16 * 2**20
MAX_REQUEST = 4096
MAX_REPLY = 128 * 1024
MAX_SIGHTS = 32768
MAX_TURNED_AWAY = 4096
"""Second sights that a full memory turns away before it sweeps."""

MAX_REPLIED = 8192
"""Requests, each of one connection, whose reply is known by their identity, before all are forgotten."""
MAX_DECIDED = 2048
"""Requests of which the decision is remembered apart from their bytes, before the older ones are forgotten."""

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
Key: TypeAlias = tuple[Any, bytes]
"""`at_rest`, and the bytes or the essence that came then."""


class Known(Struct, frozen=True):
    """`facts`: for the journal, each request in the bytes. `ends`: the connection ends with the reply."""

    wire: bytes
    facts: tuple[Fact, ...]
    cost: int
    ends: bool


class Alike(Struct):
    """What all requests with one essence get. `fact` is of one of them; `last` the bytes that came last."""

    wire: bytes
    fact: Fact
    last: bytes
    cost: int
    ends: bool


class Decided(Struct):
    """What all requests that are the same get: None where that is nothing. `last` is the one that came last.

    `fact`: for the journal; None where nothing is noted, and for requests that are not the very same.
    """

    decision: Decision | None
    last: Request
    fact: Fact | None = None


class Replied(Struct, frozen=True):
    """A request that was asked for, what it gets each time, and what is noted then."""

    request: Request
    reply: Reply
    fact: Fact


class Memo:
    """One listener's memory. Emptied, by being replaced, when routes change."""

    __slots__ = (
        *("_alike", "_bytes", "_decided", "_missed", "_old_alike", "_old_decided", "_old_missed"),
        *("_sights", "_turned_away", "known", "likeness", "missing", "old", "replied"),
    )

    def __init__(self, likeness: Likeness | None = None) -> None:
        self.likeness = likeness
        self.known: dict[Key, Known] = {}
        """By bytes. Read on the path of every request, so without a call."""
        self.old: dict[Key, Known] = {}
        """What was not asked for since the last sweep; `revive` is for one that is now."""
        self._alike: dict[Key, Alike] = {}
        self._old_alike: dict[Key, Alike] = {}
        self._missed: dict[Key, Missed] = {}
        self._old_missed: dict[Key, Missed] = {}
        self._decided: dict[Hashable, Decided] = {}
        """By what `Likeness.same` gives, and by the request itself where that came time and again."""
        self._old_decided: dict[Hashable, Decided] = {}
        self.replied: dict[int, Replied] = {}
        """By the identity of the request, which is kept alive by being in there."""
        self.missing: Request | None = None
        """The one that was looked for in there last, in vain: it will be asked for, and then again."""
        self._sights: set[int] = set()
        self._bytes = 0
        self._turned_away = 0

    def revive(self, rest: object, data: bytes) -> Known | None:
        """What is known of these bytes, if it is old; young from now on."""
        return _revive((rest, data), self.old, self.known)

    def essence(self, data: bytes) -> bytes | None:
        """What `alike`, `missed` and what puts them go by; None where only the bytes themselves count."""
        if self.likeness is None or len(data) > MAX_REQUEST:
            return None
        return self.likeness.essence(data)

    def alike(self, rest: object, essence: bytes, data: bytes) -> Alike | None:
        """What is known of these bytes from others with the same essence."""
        found = self._alike.get((rest, essence)) or _revive((rest, essence), self._old_alike, self._alike)
        if found is not None:
            if found.last != data:
                found.last = data
            elif self.likeness is not None and self._takes_more():
                request = self.likeness.request(found.fact.request, data)
                fact = Fact(request, found.fact.outcome, len(data))
                self.put(rest, data, found.wire, (fact,), ends=found.ends)
        return found

    def missed(self, rest: object, essence: bytes) -> Missed | None:
        """What bytes with this essence get, if they miss."""
        return self._missed.get((rest, essence)) or _revive((rest, essence), self._old_missed, self._missed)

    def decided(self, request: Hashable) -> Decided | None:
        """What is known of this very request, or under this key."""
        return self._decided.get(request) or _revive(request, self._old_decided, self._decided)

    def decided_alike(self, same: Hashable, request: Request, size: int) -> Decided | None:
        """What is known of a request from others that are the same."""
        found = self._decided.get(same) or _revive(same, self._old_decided, self._decided)
        if found is not None:
            if found.last == request:
                decision = found.decision
                fact = None if decision is None else Fact(request, decision.outcome, size)
                self._decide(request, Decided(decision, request, fact))
            found.last = request
        return found

    def put_decided(self, same: Hashable, request: Request, decision: Decision | None) -> None:
        """Remember at the second sight what every request that is the same will get."""
        if self.wants(None, same):
            self._decide(same, Decided(decision, request))

    def put_replied(self, request: Request, size: int, decision: Decision) -> None:
        """Remember what a `missing` request gets, unless there is more to do than to send the reply."""
        if request is not self.missing:
            return
        self.missing = None
        if decision.fixed and not decision.delay and not decision.files:
            if len(self.replied) >= MAX_REPLIED:
                self.replied.clear()
            fact = Fact(request, decision.outcome, size)
            self.replied[id(request)] = Replied(request, decision.reply, fact)

    def _decide(self, key: Hashable, entry: Decided) -> None:
        if len(self._decided) >= MAX_DECIDED:
            self._old_decided, self._decided = self._decided, {}
        self._decided[key] = entry

    def wants(self, rest: object, data: Hashable) -> bool:
        """Whether the outcome of these bytes, or what tells a request, seen now, is worth remembering."""
        if isinstance(data, bytes) and len(data) > MAX_REQUEST:
            return False
        sight = hash((rest, data))
        if sight in self._sights:
            return self._takes_more()
        if len(self._sights) >= MAX_SIGHTS:
            self._sights.clear()
        self._sights.add(sight)
        return False

    def put(
        self, rest: object, data: bytes, wire: bytes, facts: tuple[Fact, ...], *, ends: bool = False
    ) -> None:
        """Remember, unless it is too large or there is no room."""
        cost = len(data) + len(wire)
        if self._has_room(cost, wire):
            self.known[rest, data] = Known(wire, facts, cost, ends)

    def put_alike(
        self, rest: object, essence: bytes, data: bytes, wire: bytes, fact: Fact, *, ends: bool = False
    ) -> None:
        """Remember of one request, `data`, what holds for all with this essence."""
        cost = len(essence) + len(data) + len(wire)
        if self.likeness is not None and self._has_room(cost, wire):
            known = Fact(fact.request, fact.outcome, 0, self.likeness.request)
            self._alike[rest, essence] = Alike(wire, known, data, cost, ends)

    def put_missed(self, rest: object, essence: bytes, missed: Missed) -> None:
        """Remember what misses, and so does all with this essence."""
        before = self._missed.pop((rest, essence), None)
        self._bytes -= 0 if before is None else before.cost
        if self._has_room(missed.cost, b""):
            self._missed[rest, essence] = missed

    def _has_room(self, cost: int, wire: bytes) -> bool:
        if len(wire) > MAX_REPLY or len(self) >= MAX_ENTRIES or self._bytes + cost > MAX_BYTES:
            return False
        self._bytes += cost
        return True

    def _takes_more(self) -> bool:
        if len(self) < MAX_ENTRIES and self._bytes <= MAX_BYTES - MAX_REPLY - 2 * MAX_REQUEST:
            return True
        self._turned_away += 1
        if self._turned_away < MAX_TURNED_AWAY:
            return False
        self._turned_away = 0
        self._sweep()
        return len(self) < MAX_ENTRIES

    def _sweep(self) -> None:
        """Forget what is old, and make old what is young."""
        for dropped in (self.old, self._old_alike, self._old_missed):
            self._bytes -= sum(entry.cost for entry in dropped.values())
        self.old, self.known = self.known, {}
        self._old_alike, self._alike = self._alike, {}
        self._old_missed, self._missed = self._missed, {}

    def __len__(self) -> int:
        young = len(self.known) + len(self._alike) + len(self._missed)
        return young + len(self.old) + len(self._old_alike) + len(self._old_missed)


class Memory:
    """A memo as a session sees it: a `svcmock.capabilities.Memory`."""

    __slots__ = ("_memo", "_note", "_replied", "likeness")

    def __init__(self, memo: Memo, journal: Notes) -> None:
        self.likeness = memo.likeness
        self._memo = memo
        self._replied = memo.replied
        self._note = journal.again

    def again(self, request: Request) -> Reply | None:
        known = self._replied.get(id(request))
        if known is None or known.request is not request:
            self._memo.missing = request
            return None
        self._note(time(), known.fact)
        return known.reply

    def alike(self, known: Request, request: Request, size: int) -> Reply | None:
        replied = self._replied.get(id(known))
        if replied is None or replied.request is not known:
            self._memo.missing = request
            return None
        self._note(time(), Fact(request, replied.fact.outcome, size))
        return replied.reply


def _revive(key: K, old: dict[K, T], young: dict[K, T]) -> T | None:
    found = old.pop(key, None) if old else None
    if found is not None:
        young[key] = found
    return found
