"""The journal: order, pages, bounds, and misses that are kept apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.journal import MAX_MISSES, OVERHEAD, Entry, Fact, Journal, Outcome

HIT = Outcome("shop", "r.yaml:1", "200")
MISS = Outcome("shop", None, "501")


def test_entries_are_given_in_order_from_any_id() -> None:
    journal = Journal()
    assert [journal.add(float(n), f"GET /{n}", HIT, 10) for n in range(5)] == [1, 2, 3, 4, 5]
    assert [entry.request for entry in journal.since(0, 100)] == [f"GET /{n}" for n in range(5)]
    assert [entry.id for entry in journal.since(3, 100)] == [4, 5]
    assert [entry.id for entry in journal.since(1, 2)] == [2, 3]
    assert list(journal.since(5, 100)) == []
    assert list(journal.since(99, 100)) == []
    assert list(Journal().since(0, 1)) == []


def test_the_oldest_are_dropped_by_count_and_counted_for_ever() -> None:
    journal = Journal(max_entries=3)
    for number in range(10):
        journal.add(0.0, "x", HIT if number % 2 else MISS, 1)
    assert [entry.id for entry in journal.since(0, 100)] == [8, 9, 10]
    assert [entry.id for entry in journal.since(8, 100)] == [9, 10]
    assert (len(journal), journal.dropped) == (3, 7)
    assert (journal.hits, journal.misses) == ({"shop": 5}, {"shop": 5})


def test_the_oldest_are_dropped_by_bytes() -> None:
    journal = Journal(max_bytes=10 * (OVERHEAD + 100))
    for _ in range(50):
        journal.add(0.0, "x", HIT, 100)
    assert len(journal) == 10
    journal.add(0.0, "large", HIT, 10**6)
    assert len(journal) == 0
    assert journal.next_id == 52
    journal.add(0.0, "x", HIT, 1)
    assert [entry.id for entry in journal.since(0, 9)] == [52]


def keep(journal: Journal, ident: int, size: int = 10) -> None:
    journal.keep_miss(Entry(ident, 0.0, f"GET /{ident}", MISS, size))


def test_misses_are_found_by_id_and_the_last_without() -> None:
    journal = Journal()
    assert journal.miss() is None
    for ident in (3, 5, 9):
        keep(journal, ident)
    last, third = journal.miss(), journal.miss(3)
    assert last is not None
    assert last.id == 9
    assert third is not None
    assert third.request == "GET /3"
    assert journal.miss(4) is None
    assert [entry.id for entry in journal.recent_misses(2)] == [9, 5]


def test_misses_are_bounded_by_count() -> None:
    journal = Journal()
    for ident in range(MAX_MISSES + 10):
        keep(journal, ident)
    assert journal.miss(9) is None
    assert journal.miss(10) is not None
    assert len(journal.recent_misses(10**6)) == MAX_MISSES


@pytest.mark.parametrize("size", [51, 10**9])
def test_misses_are_bounded_by_bytes_and_the_last_is_always_kept(size: int) -> None:
    journal = Journal(max_bytes=100)
    keep(journal, 1, 50)
    keep(journal, 2, size)
    assert journal.miss(1) is None
    assert journal.miss(2) is not None
    keep(journal, 3, 50)
    assert [entry.id for entry in journal.recent_misses(9)] == [3]


class Plain:
    """What a journal keeps and counts, one entry after the other: as slow as it is simple."""

    def __init__(self, most: int, size: int) -> None:
        self.most, self.size = most, size
        self.kept: list[tuple[int, int]] = []
        self.hits = self.noted = 0

    def add(self, size: int) -> None:
        self.noted += 1
        self.hits += 1
        self.kept.append((self.noted, size + OVERHEAD))
        while len(self.kept) > self.most or sum(size for _, size in self.kept) > self.size:
            del self.kept[0]


@given(
    st.lists(st.tuples(st.sampled_from([0, 10, 3000, 9000]), st.integers(1, 700), st.booleans()), max_size=12),
    st.sampled_from([1, 3, 255, 256, 300, 1000]),
    st.sampled_from([3000, 100_000, 10**7]),
)
def test_a_journal_keeps_what_a_simple_one_does(
    runs: list[tuple[int, int, bool]], most: int, size: int
) -> None:
    """Runs of entries of one fact, or of one fact each, looked at in between."""
    journal, plain = Journal(most, size), Plain(most, size)
    for bytes_, times, alike in runs:
        fact = Fact("x", HIT, bytes_)
        for _ in range(times):
            if alike:
                journal.again(0.0, fact)
            else:
                journal.add(0.0, "x", HIT, bytes_)
            plain.add(bytes_)
        assert journal.next_id == plain.noted + 1
        assert [(entry.id, entry.size) for entry in journal.since(0, 10**6)] == plain.kept
        assert (len(journal), journal.dropped) == (len(plain.kept), plain.noted - len(plain.kept))
        assert journal.hits.get("shop", 0) == plain.hits
