"""What was asked, answered and missed, in the order it happened; bounded in entries and bytes.

An entry is made before the reply's last byte is sent, so whoever has the answer can already find it here.
Requests stay the protocol's values: nothing is formatted until somebody looks. Those too large to keep are
kept as their one-line summary. Counting, and dropping what is too much, is put off and done for many entries
at a time: an entry of a remembered request costs one tuple.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
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
        self._rows: deque[tuple[float, Fact, bytes]] = deque()
        self._settled = 0
        """How many of the rows, from the oldest, have been counted."""
        self._settle_at = UNSETTLED
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
        return self._dropped + len(self._rows)

    def again(self, at: float, fact: Fact, data: bytes = b"") -> None:
        """Note a request that is remembered, `data` its bytes where `fact.read` needs them. Keep it lean."""
        rows = self._rows
        rows.append((at, fact, data))
        if len(rows) >= self._settle_at:
            self._settle()

    def _settle(self) -> None:
        rows = self._rows
        for _, fact, data in islice(rows, self._settled, None):
            self._bytes += len(data) + fact.size + OVERHEAD
            outcome = fact.outcome
            counts = self._misses if outcome.route is None else self._hits
            counts[outcome.service] = counts.get(outcome.service, 0) + 1
        while self._bytes > self._max_bytes or len(rows) > self._max_entries:
            _, fact, data = rows.popleft()
            self._bytes -= len(data) + fact.size + OVERHEAD
            self._dropped += 1
        self._settled = len(rows)
        self._settle_at = len(rows) + UNSETTLED

    @property
    def next_id(self) -> int:
        """What the next entry will have as its id."""
        return self._dropped + len(self._rows) + 1

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
        for place, (at, fact, data) in enumerate(islice(self._rows, start, start + most), first + start):
            request = fact.request if fact.read is None else fact.read(fact.request, data)
            yield Entry(place, at, request, fact.outcome, len(data) + fact.size + OVERHEAD)

    def __len__(self) -> int:
        self._settle()
        return len(self._rows)
