"""Remembered pure functions of bytes: what a rested session was sent, and the wire bytes that answered it.

Bounded in entries and bytes. Requests that are never sent twice must neither grow it nor push out those
that are: an entry is made at the second sight of its bytes, and first sights are remembered as hashes only.
A full memory takes nothing more, so that many hot requests do not push out one another; it starts anew when
so many others were sent twice that what it holds is probably of yesterday.

Beside whole requests it remembers essences, where the protocol has a `Likeness`: what a request is without
what decides nothing. Such a hit knows the reply; the request for the journal is the one that was sent.
"""

from typing import Any

from msgspec import Struct

from svcmock.journal import Fact
from svcmock.protocol import Likeness

MAX_ENTRIES = 4096
MAX_BYTES = 16 * 2**20
MAX_REQUEST = 4096
MAX_REPLY = 128 * 1024
MAX_SIGHTS = 16384
MAX_TURNED_AWAY = 65536
"""Second sights that a full memory turns away before it starts anew."""


class Known(Struct, frozen=True):
    """`facts`: for the journal, each request that the bytes held."""

    wire: bytes
    facts: tuple[Fact, ...]


class Alike(Struct):
    """What all requests with one essence get. `fact` is of one of them; `last` the bytes that came last."""

    wire: bytes
    fact: Fact
    last: bytes


class Memo:
    """One listener's memory. Emptied, by being replaced, when routes change."""

    __slots__ = ("_alike", "_bytes", "_full", "_sights", "_turned_away", "known", "likeness")

    def __init__(self, likeness: Likeness | None = None) -> None:
        self.likeness = likeness
        self.known: dict[tuple[Any, bytes], Known] = {}
        """By `(at_rest, bytes)`. Read on the path of every request, so without a call."""
        self._alike: dict[tuple[Any, bytes], Alike] = {}
        self._sights: set[int] = set()
        self._bytes = 0
        self._full = False
        self._turned_away = 0

    def essence(self, data: bytes) -> bytes | None:
        """What `alike` and `put_alike` go by; None where only the bytes themselves count."""
        if self.likeness is None or len(data) > MAX_REQUEST:
            return None
        return self.likeness.essence(data)

    def alike(self, rest: object, essence: bytes, data: bytes) -> Alike | None:
        """What is known of these bytes from others with the same essence."""
        found = self._alike.get((rest, essence))
        if found is not None:
            if found.last != data:
                found.last = data
            elif self.likeness is not None and self._takes_more():
                request = self.likeness.request(found.fact.request, data)
                self.put(rest, data, found.wire, (Fact(request, found.fact.outcome, len(data)),))
        return found

    def wants(self, rest: object, data: bytes) -> bool:
        """Whether the outcome of these bytes, seen now, is worth remembering."""
        if len(data) > MAX_REQUEST:
            return False
        sight = hash((rest, data))
        if sight in self._sights:
            return self._takes_more()
        if len(self._sights) >= MAX_SIGHTS:
            self._sights.clear()
        self._sights.add(sight)
        return False

    def put(self, rest: object, data: bytes, wire: bytes, facts: tuple[Fact, ...]) -> None:
        """Remember, unless it is too large or there is no room."""
        if self._has_room(len(data) + len(wire), wire):
            self.known[rest, data] = Known(wire, facts)

    def put_alike(self, rest: object, essence: bytes, data: bytes, wire: bytes, fact: Fact) -> None:
        """Remember of one request, `data`, what holds for all with this essence."""
        if self.likeness is not None and self._has_room(len(essence) + len(data) + len(wire), wire):
            known = Fact(fact.request, fact.outcome, 0, self.likeness.request)
            self._alike[rest, essence] = Alike(wire, known, data)

    def _has_room(self, cost: int, wire: bytes) -> bool:
        if len(wire) > MAX_REPLY or self._full:
            return False
        if len(self) >= MAX_ENTRIES or self._bytes + cost > MAX_BYTES:
            self._full = True
            return False
        self._bytes += cost
        return True

    def _takes_more(self) -> bool:
        if not self._full:
            return True
        self._turned_away += 1
        if self._turned_away < MAX_TURNED_AWAY:
            return False
        self.known.clear()
        self._alike.clear()
        self._bytes = self._turned_away = 0
        self._full = False
        return True

    def __len__(self) -> int:
        return len(self.known) + len(self._alike)
