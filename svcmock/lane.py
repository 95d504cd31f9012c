"""The journal of one of several processes, in memory that it shares with whoever reads it.

A worker writes its lane and nobody else does; the supervisor reads all of them, also when a worker is dead, and
a worker that takes the place of another goes on in its lane. Entries and misses are two rings (`svcmock.ring`),
the counts of each service two words. Values are pickled: the memory is anonymous and these processes' own, so
what is read was written by the same code. What a remembered request has in common with all alike is pickled
once.

Of `count` lanes the one with `number` k gives the ids k + 1, k + 1 + count, and so on (`svcmock.journals`).
"""

import mmap
import os
import pickle
import struct
from collections.abc import Iterator
from typing import Final

from svcmock.journal import MAX_ENTRIES, MAX_MISSES, OVERHEAD, Entry, Fact, Outcome
from svcmock.protocol import Request
from svcmock.ring import HEAD, Ring

ENTRIES: Final = 8 * 2**20
"""Bytes for entries; the last MAX_ENTRIES of those that fit are told."""
MISSES: Final = 16 * 2**20
"""Bytes for whole requests that missed. One of more than half of it is not kept."""
SERVICES: Final = 4096
"""Names that are counted; what comes after so many is in no count."""
NAME: Final = 64
"""Bytes of a service's name, at most."""
COUNTED: Final = NAME + 16
"""Bytes of a service: name, hits, misses."""
COUNTS: Final = 80 * 4096 + 4096
"""Bytes for the number of names, in the first word, and the services."""
SIZE: Final = COUNTS + ENTRIES + MISSES + 2 * HEAD
"""Bytes of address space; only pages that were written to are memory."""
REMEMBERED: Final = 16384
"""Facts whose pickled form is kept."""

_at = struct.Struct("d").pack
_head = struct.Struct("dI")
_length = struct.Struct("I").pack
_ident = struct.Struct("Q")


class Lane:
    """`Notes` and `Pages` of the process `number` of `count`, in a file made by memfd_create."""

    def __init__(self, file: int, number: int, count: int) -> None:
        os.ftruncate(file, SIZE)
        self._number = number
        self._count = count
        memory = memoryview(mmap.mmap(file, SIZE))
        self._counts = memory[:COUNTS]
        self._words = self._counts.cast("Q")
        self._entries = Ring(memory[COUNTS : COUNTS + HEAD + ENTRIES])
        self._kept = Ring(memory[COUNTS + HEAD + ENTRIES :])
        self._places: dict[str, int] = {}
        self._facts: dict[int, tuple[Fact, bytes, int]] = {}
        """By the id of a fact, which is its own as long as it is here."""

    # --- written by its worker ---

    def add(self, at: float, request: Request, outcome: Outcome, size: int) -> int:
        """Note one request of `size` bytes; gives its id."""
        _, packed, place = self._pack(Fact(request, outcome, size))
        number = self._entries.append(_at(at) + packed)
        self._words[place] += 1
        return self._id(number)

    def again(self, at: float, fact: Fact, data: bytes = b"") -> None:
        """Note a request that is remembered, `data` its bytes where `fact.read` needs them. Keep it lean."""
        known = self._facts.get(id(fact))
        if known is None:
            if len(self._facts) >= REMEMBERED:
                self._facts.clear()
            known = self._facts[id(fact)] = self._pack(fact)
        self._entries.append(_at(at) + known[1] + data)
        self._words[known[2]] += 1

    def keep_miss(self, entry: Entry) -> None:
        """Keep a miss for `svcmock why`."""
        record = _ident.pack(entry.id) + pickle.dumps(entry, pickle.HIGHEST_PROTOCOL)
        if len(record) <= self._kept.most:
            self._kept.append(record)

    def _pack(self, fact: Fact) -> tuple[Fact, bytes, int]:
        """Also what an entry has behind its time, and the word that counts it."""
        packed = pickle.dumps(fact, pickle.HIGHEST_PROTOCOL)
        place = self._place(fact.outcome.service) + (fact.outcome.route is None)
        return fact, _length(len(packed)) + packed, place

    def _place(self, service: str) -> int:
        """The word of a service's hits; behind it that of its misses."""
        place = self._places.get(service)
        if place is None:
            self._places = {name: at for at, name in self._services()}
            place = self._places.get(service)
        if place is None:
            number = min(self._words[0], SERVICES)
            at = 8 + number * COUNTED
            name = service.encode()
            self._counts[at : at + NAME] = name[:NAME].ljust(NAME, b"\0")
            place = self._places[service] = at + NAME >> 3
            if number < SERVICES:
                self._words[0] = number + 1  # from here on it counts, and its name is there
        return place

    # --- read by anyone ---

    @property
    def next_id(self) -> int:
        """What the next entry will have as its id."""
        return self._id(self._entries.next)

    @property
    def dropped(self) -> int:
        """How many entries are not kept any more."""
        ring = self._entries
        return max(ring.first, ring.next - MAX_ENTRIES)

    @property
    def hits(self) -> dict[str, int]:
        """Requests that were answered, by service."""
        return self._counted(0)

    @property
    def misses(self) -> dict[str, int]:
        """Requests that no route answered, by service."""
        return self._counted(1)

    def miss(self, ident: int | None = None) -> Entry | None:
        """A kept miss by id; without one, the last."""
        found: Entry | None = None
        for record in self._last_misses():
            if ident is None or _ident.unpack_from(record)[0] == ident:
                found = _entry(record)
                break
        return found

    def recent_misses(self, most: int) -> list[Entry]:
        """The last `most` misses that are kept, newest first."""
        return [_entry(record) for record in self._last_misses()[:most]]

    def since(self, ident: int, most: int) -> Iterator[Entry]:
        """Up to `most` entries with an id above `ident`, oldest first."""
        after = max((ident - self._number - 1) // self._count + 1, self._entries.next - MAX_ENTRIES, 0)
        for told, (number, record) in enumerate(self._entries.records(after)):
            if told == most:
                return
            at, length = _head.unpack_from(record)
            fact: Fact = pickle.loads(record[_head.size :])  # noqa: S301  our own processes wrote it
            data = record[_head.size + length :]
            request = fact.request if fact.read is None else fact.read(fact.request, data)
            yield Entry(self._id(number), at, request, fact.outcome, len(data) + fact.size + OVERHEAD)

    def __len__(self) -> int:
        return self._entries.next - self.dropped

    def _id(self, number: int) -> int:
        return number * self._count + self._number + 1

    def _last_misses(self) -> list[bytes]:
        records = self._kept.records(max(self._kept.next - MAX_MISSES, 0))
        return [record for _, record in records][::-1]

    def _services(self) -> Iterator[tuple[int, str]]:
        """The word of its hits, and the name, of each service."""
        for number in range(self._words[0]):
            at = 8 + number * COUNTED
            yield at + NAME >> 3, self._counts[at : at + NAME].tobytes().rstrip(b"\0").decode()

    def _counted(self, which: int) -> dict[str, int]:
        return {name: count for place, name in self._services() if (count := self._words[place + which])}


def _entry(record: bytes) -> Entry:
    entry: Entry = pickle.loads(record[_ident.size :])  # noqa: S301  our own processes wrote it
    return entry
