"""Turns: each number once, in one process and in several, also when some of them are killed."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

import svcmock.turns as turns_module
from svcmock.turns import LocalTurns, SharedTurns, Turns, draw

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="anonymous shared files are Linux's")


def identity(number: int) -> bytes:
    return blake2b(b"%d" % number, digest_size=16).digest()


@contextmanager
def table() -> Iterator[int]:
    file = os.memfd_create("turns")
    try:
        yield file
    finally:
        os.close(file)


STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "peek"]), st.integers(0, 40), st.integers(0, 1))
    | st.tuples(st.just("keep"), st.sets(st.integers(0, 40)), st.integers(0, 1)),
    max_size=150,
)


@given(STEPS)
def test_tables_count_as_a_dictionary_does(steps: list[tuple[str, int | set[int], int]]) -> None:
    with table() as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns_module, "FIRST", 4)
        patch.setattr(turns_module, "SWEPT_AT_ONCE", 3)
        local = LocalTurns()
        shared = [SharedTurns(file), SharedTurns(file)]
        counts: dict[bytes, int] = {}
        for name, about, who in steps:
            both: list[Turns] = [local, shared[who]]
            if isinstance(about, set):
                live = {identity(number) for number in about}
                counts = {known: count for known, count in counts.items() if known in live}
                for each in both:
                    for _ in each.keep(live):
                        pass
                continue
            known = identity(about)
            before = counts.get(known, 0)
            if name == "take":
                assert [each.take(known) for each in both] == [before, before]
                counts[known] = before + 1
            else:
                assert [each.peek(known) for each in both] == [before, before]
        assert local.taken == counts


@pytest.mark.parametrize(("swept", "levels"), [(True, range(4)), (False, range(6, 8))])
def test_a_sweep_makes_room_that_is_used_again(
    monkeypatch: pytest.MonkeyPatch, swept: bool, levels: range
) -> None:
    monkeypatch.setattr(turns_module, "FIRST", 16)
    with table() as file:
        shared = SharedTurns(file)
        for reload in range(200):
            live = {identity(10 * reload + number) for number in range(5)}
            for each in live:
                shared.take(each)
            for _ in shared.keep(live) if swept else ():
                pass
            assert {shared.peek(each) for each in live} == {1}
        assert shared._words[0] >> 32 in levels


def test_a_table_that_is_full_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "FIRST", 4)
    monkeypatch.setattr(turns_module, "LEVELS", 2)
    with table() as file:
        shared = SharedTurns(file)
        assert [shared.take(identity(number)) for number in range(6)] == [0] * 6
        assert shared.take(identity(0)) == 1
        assert shared.take(identity(6)) == 0
        assert [shared.peek(identity(number)) for number in range(7)] == [0] * 6 + [1]


class Swept:
    """The words of a table in which, once a count was read, its slot goes to another group."""

    def __init__(self, words: memoryview, place: int, identity: bytes) -> None:
        self._words = words
        self._place = place
        self._identity = identity

    def __getitem__(self, at: int) -> int:
        value = self._words[at]
        if at == self._place + 2:
            first, second = memoryview(self._identity).cast("Q")
            for offset, word in enumerate((first, second, 1)):
                self._words[self._place + offset] = word
        return value


def test_a_count_that_is_read_while_its_slot_changes_hands_is_not_the_one_before() -> None:
    with table() as file:
        shared = SharedTurns(file)
        for _ in range(7):
            shared.take(identity(1))
        first, second = memoryview(identity(1)).cast("Q")
        place, _ = shared._find(first, second)
        # another with the same way through the table
        other = identity(1)[:8] + identity(2)[8:]
        shared._words = Swept(shared._words, place, other)  # type: ignore[assignment]
        assert shared.peek(other) == 1


TAKER = """
import sys
from hashlib import blake2b
from svcmock.turns import SharedTurns
shared = SharedTurns(int(sys.argv[1]))
groups, times, group = int(sys.argv[2]), int(sys.argv[3]), 0
print(flush=True)
sys.stdin.readline()
for _ in range(times):
    group = (group + 1) % groups
    taken = shared.take(blake2b(b"%d" % group, digest_size=16).digest())
    print(group, taken)
"""


@contextmanager
def takers(file: int, count: int, groups: int, times: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that have begun, and take turns."""
    command = [sys.executable, "-c", TAKER, str(file), str(groups), str(times)]
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(command, pass_fds=[file], stdin=pipe, stdout=pipe, text=True) for _ in range(count)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        for process in started:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("groups", [1, 3000])
def test_two_processes_take_every_turn_exactly_once(groups: int) -> None:
    times = 10_000
    with table() as file:
        with takers(file, 2, groups, times) as (one, other):
            told = one.communicate(timeout=50)[0] + other.communicate(timeout=50)[0]
        taken = Counter(tuple(map(int, line.split())) for line in told.splitlines())
        shared = SharedTurns(file)
        counts = {group: shared.peek(identity(group)) for group in range(groups)}
        assert taken == Counter((group, turn) for group in counts for turn in range(counts[group]))
        assert sum(counts.values()) == 2 * times


def test_whoever_is_killed_keeps_no_lock_and_loses_one_turn_at_most() -> None:
    with table() as file:
        shared = SharedTurns(file)
        own: list[tuple[int, int]] = []
        told = ""
        for kill in range(12):
            with takers(file, 1, 700, 10**6) as (process,):
                # a different number each time, so that it dies elsewhere
                own += [(turn % 700, shared.take(identity(turn % 700))) for turn in range(50 * kill)]
                process.kill()
                told += process.communicate()[0].rpartition("\n")[0] + "\n"
            own.append((1, shared.take(identity(1))))
        printed = [tuple(map(int, line.split())) for line in told.splitlines() if line.count(" ") == 1]
        assert len(set(printed + own)) == len(printed + own)
        for group in range(700):
            assert all(turn < shared.peek(identity(group)) for known, turn in own if known == group)


def test_a_draw_is_repeatable_and_everything_counts_in_it() -> None:
    drawn = [draw(1, identity(1), turn, 6) for turn in range(600)]
    assert drawn == [draw(1, identity(1), turn, 6) for turn in range(600)]
    assert drawn != [draw(2, identity(1), turn, 6) for turn in range(600)]
    assert drawn != [draw(1, identity(2), turn, 6) for turn in range(600)]
    assert set(drawn) == set(range(6))
    assert min(Counter(drawn).values()) > 60
    assert 0 <= draw(-(10**30), identity(1), 2**63, 3) < 3
