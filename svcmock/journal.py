"""What was asked, answered and missed, in the order it happened; bounded in entries and bytes.

An entry is made before the reply's last byte is sent, so whoever has the answer can already find it here.
Requests stay the protocol's values: nothing is formatted until somebody looks. Those too large to keep are
kept as their one-line summary.
"""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeAlias

from msgspec import Struct

from svcmock.protocol import Request

MAX_ENTRIES = 8192
MAX_BYTES = 8 * 2**20
MAX_MISSES = 256
"""Misses are kept apart, so that a busy service does not push out what `svcmock why` is asked for."""
OVERHEAD = 512
"""What an entry costs beyond the request's own bytes; counted against MAX_BYTES."""


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

_Row: TypeAlias = tuple[int, float, Request, Outcome, int, Read | None, bytes]


class Journal:
    """The entries of one daemon, newest last, with counts that never forget."""

    def __init__(self, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._rows: deque[_Row] = deque()
        self._bytes = 0
        self._misses: dict[int, Entry] = {}
        self._miss_bytes = 0
        self.next_id = 1
        self.dropped = 0
        self.hits: dict[str, int] = {}
        self.misses: dict[str, int] = {}

    def add(
        self,
        at: float,
        request: Request,
        outcome: Outcome,
        size: int,
        read: Read | None = None,
        data: bytes = b"",
    ) -> int:
        """Note one request of `size` bytes; gives its id. Called once per request: keep it lean.

        With `read`, the request is the one in `data`, to be read when somebody looks.
        """
        ident = self.next_id
        self.next_id = ident + 1
        cost = size + OVERHEAD
        rows = self._rows
        rows.append((ident, at, request, outcome, cost, read, data))
        self._bytes += cost
        while self._bytes > self._max_bytes or len(rows) > self._max_entries:
            self._bytes -= rows.popleft()[4]
            self.dropped += 1
        counts = self.misses if outcome.route is None else self.hits
        counts[outcome.service] = counts.get(outcome.service, 0) + 1
        return ident

    def keep_miss(self, entry: Entry) -> None:
        """Keep a miss for `svcmock why`."""
        self._misses[entry.id] = entry
        self._miss_bytes += entry.size
        while len(self._misses) > MAX_MISSES or (
            self._miss_bytes > self._max_bytes and len(self._misses) > 1  # the last is what `why` is about
        ):
            oldest = next(iter(self._misses))
            self._miss_bytes -= self._misses.pop(oldest).size

    def miss(self, ident: int | None = None) -> Entry | None:
        """A kept miss by id; without one, the last."""
        if ident is not None:
            return self._misses.get(ident)
        return self._misses[next(reversed(self._misses))] if self._misses else None

    def recent_misses(self, most: int) -> list[Entry]:
        """The last `most` misses that are kept, newest first."""
        return [self._misses[key] for key in list(reversed(self._misses))[:most]]

    def since(self, ident: int, most: int) -> Iterator[Entry]:
        """Up to `most` entries with an id above `ident`, oldest first."""
        rows = self._rows
        start = max(0, ident + 1 - rows[0][0]) if rows else 0
        for row in islice(rows, start, start + most):
            ident, at, request, outcome, cost, read, data = row
            yield Entry(ident, at, request if read is None else read(request, data), outcome, cost)

    def __len__(self) -> int:
        return len(self._rows)
