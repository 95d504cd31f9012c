"""Several journals read as one: nothing twice, nothing passed over, whatever the order things happen in."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.journal import Entry, Journal, Outcome
from svcmock.journals import counts, miss, page, recent_misses
from svcmock.protocol import Invalid

HIT = Outcome("shop", "r.yaml:1", "200")
MISS = Outcome("shop", None, "501")


class Lane(Journal):
    """A journal whose ids are those of the k-th of n."""

    def __init__(self, number: int, count: int) -> None:
        super().__init__(max_entries=50)
        self._number, self._of = number, count

    def since(self, ident, most):  # type: ignore[no-untyped-def]
        own = max(0, (ident - self._number - 1) // self._of + 1)
        for entry in super().since(own, most):
            ident = (entry.id - 1) * self._of + self._number + 1
            yield Entry(ident, entry.at, entry.request, entry.outcome, entry.size)


@given(st.integers(1, 4), st.lists(st.one_of(st.integers(0, 3), st.none()), max_size=80), st.integers(1, 7))
def test_pages_have_every_entry_once_and_in_the_order_of_each_journal(
    count: int, script: list[int | None], most: int
) -> None:
    """The script: whose entry is next, or that a page is read."""
    journals = [Lane(number, count) for number in range(count)]
    clock = itertools.count(1.0)
    made: list[list[str]] = [[] for _ in journals]
    read: list[Entry] = []
    cursor = "0"
    for step in [*script, *[None] * (len(script) + 1)]:
        if step is None:
            found = page(journals, cursor, most)
            assert len(found.entries) <= most
            assert [entry.at for entry in found.entries] == sorted(entry.at for entry in found.entries)
            read += found.entries
            cursor = found.cursor
        else:
            who = step % count
            name = f"{who}: {len(made[who])}"
            made[who].append(name)
            journals[who].add(next(clock), name, HIT, 1)
    for who, names in enumerate(made):
        if len(names) <= 50:
            assert [entry.request for entry in read if entry.request.startswith(f"{who}:")] == names
    assert len({entry.id for entry in read}) == len(read)


def test_one_id_is_a_place_in_all_of_them() -> None:
    journals = [Lane(number, 2) for number in range(2)]
    for at in range(6):
        journals[at % 2].add(float(at), f"{at}", HIT, 1)
    assert [entry.id for entry in page(journals, "2", 10).entries] == [3, 4, 5, 6]
    assert page(journals, "2", 10).cursor == "5.6"
    assert page(journals, "5.6", 10).entries == []


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.2.3", "1.", ".", "²", "9" * 19, "1.x"])
def test_a_cursor_that_is_none(cursor: str) -> None:
    with pytest.raises(Invalid, match="expected a place in the journal"):
        page([Journal(), Journal()], cursor, 10)


def test_misses_are_found_where_their_id_says() -> None:
    journals = [Journal(), Journal(), Journal()]
    for ident, at in ((4, 1.0), (2, 5.0), (9, 3.0)):
        journals[(ident - 1) % 3].keep_miss(Entry(ident, at, f"GET /{ident}", MISS, 1))
    last, named = miss(journals), miss(journals, 9)
    assert (last.id if last else None, named.request if named else None) == (2, "GET /9")
    assert miss(journals, 5) is None
    assert miss(journals, 0) is None
    assert miss([Journal()]) is None
    assert [entry.id for entry in recent_misses(journals, 2)] == [2, 9]


def test_counts_are_summed() -> None:
    journals = [Journal(), Journal()]
    for number, (journal, outcome) in enumerate(itertools.product(journals, (HIT, MISS, HIT))):
        journal.add(float(number), "x", outcome, 1)
    assert counts(journals) == ({"shop": 4}, {"shop": 2})
