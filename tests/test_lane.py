"""A lane against a journal: the same told, by another process's eyes, after deaths, and within bounds."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import svcmock.lane as lane_module
from svcmock.journal import MAX_ENTRIES, MAX_MISSES, Entry, Fact, Journal, Outcome, Pages
from svcmock.lane import MISSES, Lane
from svcmock.protocol import Spooled
from svcmock_protocols.http.likeness import Likeness
from svcmock_protocols.http.messages import Request

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="anonymous shared files are Linux's")

OUTCOMES = [Outcome(service, route, "200") for service in ("shop", "pay") for route in ("r.yaml:1", None)]
DATA = b"GET /a HTTP/1.1\r\nX-Id: %d\r\n\r\n"
FACTS = [
    *(Fact(Request(b"GET", b"/a"), outcome, 30) for outcome in OUTCOMES),
    Fact(Request(b"GET", b"/a"), OUTCOMES[0], 0, Likeness.request),
]


@pytest.fixture
def file() -> Iterator[int]:
    handle = os.memfd_create("lane")
    yield handle
    os.close(handle)


def told(pages: Pages, ident: int, most: int, count: int = 1, number: int = 0) -> list[Entry]:
    """Entries after the one that a journal by itself calls `ident`, with the ids that it gives them."""
    after = (ident - 1) * count + number + 1
    entries = pages.since(after if ident else 0, most)
    return [msgspec.structs.replace(each, id=(each.id - number - 1) // count + 1) for each in entries]


STEPS = st.lists(
    st.tuples(st.just("add"), st.sampled_from(OUTCOMES))
    | st.tuples(st.just("again"), st.sampled_from(FACTS))
    | st.tuples(st.just("miss"), st.integers(0, 300))
    | st.tuples(st.just("successor"), st.none()),
    max_size=40,
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.integers(1, 4), st.data())
def test_a_lane_tells_what_a_journal_does(steps: list[Any], count: int, data: Any) -> None:
    number = data.draw(st.integers(0, count - 1))
    file = os.memfd_create("lane")
    try:
        journal, writer, reader = Journal(), Lane(file, number, count), Lane(file, number, count)
        for at, (step, what) in enumerate(steps):
            ident = writer.next_id
            if step == "add":
                asked = Request(b"GET", b"/%d" % at)
                assert writer.add(at, asked, what, 20) == ident
                journal.add(at, asked, what, 20)
            elif step == "again":
                for each in (journal, writer):
                    each.again(at, what, DATA % at if what.read else b"")
            elif step == "miss":
                for each in (journal, writer):
                    each.keep_miss(Entry(at, at, Request(b"PUT", b"/m", body=bytes(what)), OUTCOMES[1], what))
            else:
                writer = Lane(file, number, count)
        assert told(reader, 0, 99, count, number) == told(journal, 0, 99)
        assert told(reader, 3, 5, count, number) == told(journal, 3, 5)
        assert (reader.hits, reader.misses) == (journal.hits, journal.misses)
        assert (len(reader), reader.dropped) == (len(journal), journal.dropped)
        assert reader.next_id == writer.next_id == (journal.next_id - 1) * count + number + 1
        assert reader.recent_misses(5) == journal.recent_misses(5)
        assert reader.miss() == journal.miss()
        assert [reader.miss(ident) for ident in range(50)] == [journal.miss(ident) for ident in range(50)]
    finally:
        os.close(file)


def test_any_place_between_ids_is_one_to_go_on_from(file: int) -> None:
    lane = Lane(file, 1, 3)
    ids = [lane.add(0.0, "x", OUTCOMES[0], 1) for _ in range(5)]
    assert ids == [2, 5, 8, 11, 14]
    for ident in range(20):
        assert [entry.id for entry in lane.since(ident, 99)] == [known for known in ids if known > ident]


def test_entries_and_misses_are_bounded_and_counts_are_not(file: int) -> None:
    lane, more = Lane(file, 0, 1), 100
    for number in range(MAX_ENTRIES + more):
        lane.again(0.0, FACTS[0])
        if number < MAX_MISSES + more:
            lane.keep_miss(Entry(number, 0.0, "x", OUTCOMES[1]))
    assert (len(lane), lane.dropped, lane.hits) == (MAX_ENTRIES, more, {"shop": MAX_ENTRIES + more})
    assert [entry.id for entry in lane.since(0, 2)] == [more + 1, more + 2]
    assert len(lane.recent_misses(10**6)) == MAX_MISSES
    assert lane.miss(more - 1) is None
    assert lane.miss(more) is not None


def test_requests_of_a_protocol_come_back_as_they_were(file: int) -> None:
    asked = [
        Request(b"POST", b"/a?b", b"1.0", b"X: \xff\r\n", bytes(range(256)), b"T: 1\r\n"),
        Request(b"PUT", b"/large", body=Spooled(1, 10**9, "0" * 64)),
        "PUT /summary",
    ]
    lane = Lane(file, 0, 1)
    for number, each in enumerate(asked, 1):
        lane.add(0.0, each, OUTCOMES[1], 1)
        lane.keep_miss(Entry(number, 0.0, each, OUTCOMES[1], 1))
    assert [entry.request for entry in lane.since(0, 9)] == asked
    assert [entry.request for entry in lane.recent_misses(9)] == asked[::-1]


def test_a_miss_too_large_to_keep_does_not_push_out_others(file: int) -> None:
    lane = Lane(file, 0, 1)
    lane.keep_miss(Entry(1, 0.0, "x", OUTCOMES[1]))
    lane.keep_miss(Entry(2, 0.0, bytes(MISSES // 2), OUTCOMES[1]))
    assert lane.miss(2) is None
    last = lane.miss()
    assert last is not None
    assert last.id == 1


def test_services_beyond_what_can_be_counted_are_served_all_the_same(
    file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_module, "SERVICES", 2)
    lane = Lane(file, 0, 1)
    names = ["s" * 64, "b", "c", "d", "b"]
    for name in names:
        lane.add(0.0, "x", Outcome(name, "r.yaml:1", "200"), 1)
    assert lane.hits == {"s" * 64: 1, "b": 2}
    assert [entry.outcome.service for entry in lane.since(0, 9)] == names


WRITER = """
import sys
from svcmock.journal import Fact, Outcome
from svcmock.lane import Lane
lane = Lane(int(sys.argv[1]), 1, 2)
facts = [Fact(str(n), Outcome("shop", "r.yaml:1" if n else None, "200"), n) for n in range(2)]
print(flush=True)
while True:
    lane.again(float(lane.next_id), facts[lane.next_id // 2 % 2])
"""


def test_what_a_killed_worker_noted_is_there_and_its_successor_goes_on(file: int) -> None:
    reader = Lane(file, 1, 2)
    for kill in range(8):
        before = reader.next_id
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file)], pass_fds=[file], stdout=subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            process.stdout.readline()
            for _ in range(kill + 1):
                entries = list(reader.since(before, 50))
                ids = [entry.id for entry in entries]
                assert ids == list(range(ids[0], ids[0] + 2 * len(ids), 2)) if ids else True
                assert all(entry.at == entry.id for entry in entries)
        finally:
            process.kill()
            process.communicate()
        entries = list(reader.since(0, MAX_ENTRIES))
        assert [entry.id for entry in entries] == list(range(2 * reader.dropped + 2, reader.next_id, 2))
        assert all(entry.at == entry.id and entry.request == str(entry.id // 2 % 2) for entry in entries)
        counted = reader.hits.get("shop", 0) + reader.misses.get("shop", 0)
        # an entry comes before its count: a killed worker may have made one and not the other
        assert 0 <= reader.next_id // 2 - 1 - counted <= kill + 1
