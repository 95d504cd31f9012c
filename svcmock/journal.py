"""What was asked, answered and missed, in the order it happened; bounded in entries and bytes.

An entry is made before the reply's last byte is sent, so whoever has the answer can already find it here.
Requests stay the protocol's values: nothing is formatted until somebody looks. Those too large to keep are
kept as their one-line summary. Counting, and dropping what is too much, is put off and done for many entries
at a time: an entry of a remembered request costs one tuple.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Protocol, TypeAlias

from msgspec import Struct

from svcmock.protocol import Request

MAX_ENTRIES = 8192
MAX_BYTES = 8 * 2**20
MAX_MISSES = 256
"""Misses are kept apart, so that a busy service does not push out what `svcmock why` is asked for."""
OVERHEAD = 512
"""What an entry costs beyond the request's own bytes; counted against MAX_BYTES."""
UNSETTLED = 256
"""Entries that may wait to be counted and to push out others."""
SMALL = 4096
"""Bytes of a request above which its entry does not wait."""


class Outcome(Struct, frozen=True):
    """How a request was answered: `route` is its file:line, or None for a miss; `reply` in a word."""

    service: str
    route: str | None
    reply: str


class Entry(Struct, frozen=True):
    """`at`: seconds since the epoch. `request`: the protocol's value, or its summary if it was too large."""

    id: int
    at: float
    request: Request
    outcome: Outcome
    size: int = 0


Read: TypeAlias = Callable[[Request, bytes], Request]
"""The request that bytes hold, given one that is alike: `svcmock.protocol.Likeness.request`."""


class Fact(Struct, frozen=True, gc=False):
    """A request of `size` bytes and its outcome. With `read`, each entry has its own request, in its bytes."""

    request: Request
    outcome: Outcome
    size: int
    read: Read | None = None


_Row: TypeAlias = tuple[float, Fact, bytes]


class _Page:
    """Rows that were counted together; `cost`: the bytes that all of them count for."""

    __slots__ = ("cost", "rows")

    def __init__(self, rows: list[_Row], cost: int) -> None:
        self.rows = rows
        self.cost = cost


class Notes(Protocol):
    """A journal as those who serve write it."""

    @property
    def next_id(self) -> int: ...
    def add(self, at: float, request: Request, outcome: Outcome, size: int) -> int: ...
    def again(self, at: float, fact: Fact, data: bytes = b"") -> None: ...
    def keep_miss(self, entry: Entry) -> None: ...


class Pages(Protocol):
    """A journal as it is read. Ids grow; those of one journal are its own."""

    @property
    def next_id(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def hits(self) -> Mapping[str, int]: ...
    @property
    def misses(self) -> Mapping[str, int]: ...
    def miss(self, ident: int | None = None) -> Entry | None: ...
    def recent_misses(self, most: int) -> list[Entry]: ...
    def since(self, ident: int, most: int) -> Iterable[Entry]: ...
    def __len__(self) -> int: ...


class Journal:
    """The entries of one daemon, newest last, with counts that never forget."""

    def __init__(self, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._fresh: list[_Row] = []
        """The newest rows, which are not counted yet."""
        self._pages: deque[_Page] = deque()
        self._length = 0
        """Rows of all pages."""
        self._bytes = 0
        self._dropped = 0
        self._hits: dict[str, int] = {}
        self._misses: dict[str, int] = {}
        self._kept: dict[int, Entry] = {}
        self._kept_bytes = 0

    def add(self, at: float, request: Request, outcome: Outcome, size: int) -> int:
        """Note one request of `size` bytes; gives its id."""
        self.again(at, Fact(request, outcome, size))
        if size > SMALL:
            self._settle()
        return self.next_id - 1

    def again(self, at: float, fact: Fact, data: bytes = b"") -> None:
        """Note a request that is remembered, `data` its bytes where `fact.read` needs them. Keep it lean."""
        fresh = self._fresh
        fresh.append((at, fact, data))
        if len(fresh) >= UNSETTLED:
            self._settle()

    def _settle(self) -> None:
        """Count what is fresh, and drop what is too much."""
        fresh, pages = self._fresh, self._pages
        cost = 0
        begin, last = 0, fresh[0][1] if fresh else None
        for place, (_, fact, data) in enumerate(fresh):
            if data:
                cost += len(data)
            if fact is not last:  # of a request that is remembered there are many in a row
                cost += self._count(last, place - begin)
                begin, last = place, fact
        cost += self._count(last, len(fresh) - begin)
        self._length += len(fresh)
        self._bytes += cost
        if pages and len(pages[-1].rows) + len(fresh) <= UNSETTLED:
            pages[-1].rows += fresh
            pages[-1].cost += cost
            fresh.clear()
        elif fresh:
            pages.append(_Page(fresh, cost))
            self._fresh = []
        while pages and (self._bytes > self._max_bytes or self._length > self._max_entries):
            self._drop(pages[0])

    def _count(self, fact: Fact | None, times: int) -> int:
        """Count so many entries of a fact, and give the bytes that they count for beside their own."""
        if fact is None:
            return 0
        outcome = fact.outcome
        counts = self._misses if outcome.route is None else self._hits
        counts[outcome.service] = counts.get(outcome.service, 0) + times
        return times * (fact.size + OVERHEAD)

    def _drop(self, page: "_Page") -> None:
        """The oldest page, or as many of its rows as are too many."""
        rows = page.rows
        if self._length - len(rows) >= self._max_entries or self._bytes - page.cost >= self._max_bytes:
            gone, cost = len(rows), page.cost
            self._pages.popleft()
        else:
            gone = cost = 0
            while self._bytes - cost > self._max_bytes or self._length - gone > self._max_entries:
                _, fact, data = rows[gone]
                cost += len(data) + fact.size + OVERHEAD
                gone += 1
            del rows[:gone]
            page.cost -= cost
        self._length -= gone
        self._bytes -= cost
        self._dropped += gone

    @property
    def next_id(self) -> int:
        """What the next entry will have as its id."""
        return self._dropped + self._length + len(self._fresh) + 1

    @property
    def dropped(self) -> int:
        """How many entries are not kept any more."""
        self._settle()
        return self._dropped

    @property
    def hits(self) -> dict[str, int]:
        """Requests that were answered, by service."""
        self._settle()
        return self._hits

    @property
    def misses(self) -> dict[str, int]:
        """Requests that no route answered, by service."""
        self._settle()
        return self._misses

    def keep_miss(self, entry: Entry) -> None:
        """Keep a miss for `svcmock why`."""
        self._kept[entry.id] = entry
        self._kept_bytes += entry.size
        while len(self._kept) > MAX_MISSES or (
            self._kept_bytes > self._max_bytes and len(self._kept) > 1  # the last is what `why` is about
        ):
            oldest = next(iter(self._kept))
            self._kept_bytes -= self._kept.pop(oldest).size

    def miss(self, ident: int | None = None) -> Entry | None:
        """A kept miss by id; without one, the last."""
        if ident is not None:
            return self._kept.get(ident)
        return self._kept[next(reversed(self._kept))] if self._kept else None

    def recent_misses(self, most: int) -> list[Entry]:
        """The last `most` misses that are kept, newest first."""
        return [self._kept[key] for key in list(reversed(self._kept))[:most]]

    def since(self, ident: int, most: int) -> Iterator[Entry]:
        """Up to `most` entries with an id above `ident`, oldest first."""
        self._settle()
        first = self._dropped + 1
        start = max(0, ident + 1 - first)
        rows = list(islice(chain.from_iterable(page.rows for page in self._pages), start, start + most))
        for place, (at, fact, data) in enumerate(rows, first + start):
            request = fact.request if fact.read is None else fact.read(fact.request, data)
            yield Entry(place, at, request, fact.outcome, len(data) + fact.size + OVERHEAD)

    def __len__(self) -> int:
        self._settle()
        return self._length
