"""The journals of the processes that serve a project, read as one.

Of `n` journals, the k-th, counted from 0, gives the ids k + 1, k + 1 + n, k + 1 + 2n and so on: an id is one
entry's alone, and tells whose it is. Entries of several journals are told apart in time by when they were made.
A reader who comes back for more says how far it has read in each: nothing is told twice, and nothing is passed
over because another process was quicker.
"""

from collections.abc import Sequence
from heapq import merge
from itertools import islice

from msgspec import Struct

from svcmock.journal import Entry, Pages
from svcmock.protocol import Invalid

MAX_DIGITS = 18
"""Digits of a number in a cursor."""


class Page(Struct, frozen=True):
    """Entries, oldest first. `cursor`: for the page after this one. `dropped`: entries no longer kept."""

    entries: list[Entry]
    cursor: str
    dropped: int


def page(journals: Sequence[Pages], cursor: str, most: int) -> Page:
    """At most `most` entries after a cursor: an id for each journal, as `17.4`, or one id for all.

    Raises Invalid.
    """
    after = _positions(cursor, len(journals))
    found = [
        [(entry.at, number, entry) for entry in journal.since(ident, most)]
        for number, (journal, ident) in enumerate(zip(journals, after, strict=True))
    ]
    entries = []
    for _, number, entry in islice(merge(*found, key=lambda row: row[:2]), most):
        after[number] = entry.id
        entries.append(entry)
    return Page(entries, ".".join(map(str, after)), sum(journal.dropped for journal in journals))


def _positions(cursor: str, count: int) -> list[int]:
    parts = cursor.split(".")
    if len(parts) not in (1, count) or not all(map(_is_number, parts)):
        raise Invalid((), f"expected a place in the journal, like 17, got `{cursor[:40]}`")
    return [int(part) for part in parts] * (count if len(parts) == 1 else 1)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS


def miss(journals: Sequence[Pages], ident: int | None = None) -> Entry | None:
    """A kept miss by id; without one, the last."""
    if ident is not None:
        return journals[(ident - 1) % len(journals)].miss(ident)
    last = [entry for journal in journals if (entry := journal.miss()) is not None]
    return max(last, key=lambda entry: (entry.at, entry.id), default=None)


def recent_misses(journals: Sequence[Pages], most: int) -> list[Entry]:
    """The last `most` misses that are kept, newest first."""
    found = [entry for journal in journals for entry in journal.recent_misses(most)]
    return sorted(found, key=lambda entry: (-entry.at, -entry.id))[:most]


def counts(journals: Sequence[Pages]) -> tuple[dict[str, int], dict[str, int]]:
    """Hits and misses by service."""
    hits: dict[str, int] = {}
    misses: dict[str, int] = {}
    for journal in journals:
        for total, counted in ((hits, journal.hits), (misses, journal.misses)):
            for service, count in counted.items():
                total[service] = total.get(service, 0) + count
    return hits, misses
