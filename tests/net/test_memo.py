"""The memory of pure functions of bytes: what it takes, its bounds, and that nobody can tell it is there."""

import asyncio
import random
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svcmock.journal import Fact, Journal, Outcome
from svcmock.net import memo as memo_module
from svcmock.net.memo import MAX_BYTES, MAX_ENTRIES, MAX_REPLY, MAX_REQUEST, MAX_SIGHTS, Memo
from svcmock.net.serving import Serving
from svcmock.net.spool import Spools
from svcmock.turns import LocalTurns
from tests.net.wire import Wire
from tests.routes import responder

FACTS = (Fact("GET /", Outcome("shop", "r.yaml:1", "200"), 10),)


def test_the_second_sight_is_worth_remembering_and_the_first_is_not() -> None:
    memo = Memo()
    assert not memo.wants(0, b"a")
    assert memo.wants(0, b"a")
    assert not memo.wants(1, b"a")
    assert not memo.wants(0, b"x" * (MAX_REQUEST + 1))
    assert not memo.wants(0, b"x" * (MAX_REQUEST + 1))
    memo.put(0, b"a", b"wire", FACTS)
    known = memo.known.get((0, b"a"))
    assert known is not None
    assert (known.wire, known.facts) == (b"wire", FACTS)
    assert memo.known.get((1, b"a")) is None


def test_requests_that_never_come_again_leave_nothing_but_bounded_hashes() -> None:
    memo = Memo()
    for number in range(3 * MAX_SIGHTS):
        assert not memo.wants(0, b"%d" % number)
    assert len(memo) == 0
    assert len(memo._sights) <= MAX_SIGHTS


def test_it_is_bounded_in_entries_and_bytes() -> None:
    memo = Memo()
    memo.put(0, b"large", b"x" * (MAX_REPLY + 1), FACTS)
    assert len(memo) == 0
    for number in range(MAX_ENTRIES + 100):
        memo.put(0, b"%d" % number, b"wire", FACTS)
    assert len(memo) == MAX_ENTRIES
    memo = Memo()
    for number in range(1000):
        memo.put(0, b"%d" % number, b"x" * MAX_REPLY, FACTS)
    assert 0 < len(memo) <= MAX_BYTES // MAX_REPLY


def test_more_hot_requests_than_fit_do_not_push_out_one_another() -> None:
    memo = Memo()
    hits = 0
    for _round in range(4):
        for number in range(MAX_ENTRIES + 500):
            data = b"%d" % number
            if memo.known.get((0, data)):
                hits += 1
            elif memo.wants(0, data):
                memo.put(0, data, b"wire", FACTS)
    assert hits >= 2 * MAX_ENTRIES


def ask(memo: Memo, data: bytes, wire: bytes = b"wire") -> bool:
    """One request as the driver handles it; gives whether it was remembered."""
    if (0, data) in memo.known or memo.revive(0, data) is not None:
        return True
    if memo.wants(0, data):
        memo.put(0, data, wire, FACTS)
    return False


def test_a_full_memory_forgets_what_nobody_asks_for_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo_module, "MAX_TURNED_AWAY", 100)
    memo = Memo()
    for number in range(MAX_ENTRIES + 1):
        memo.put(0, b"old %d" % number, b"wire", FACTS)
    for number in range(300):
        assert ask(memo, b"old 7")
        for _ in range(2):
            ask(memo, b"new %d" % number)
    assert ask(memo, b"new 299")
    assert ask(memo, b"old 7")
    assert not ask(memo, b"old 8")


def _once() -> Iterator[bytes]:
    return (b"attack %d" % number for number in count())


def _twice() -> Iterator[bytes]:
    return (b"attack %d" % (number // 2) for number in count())


def _long() -> Iterator[bytes]:
    return (b"%0*d" % (MAX_REQUEST, number // 2) for number in count())


@pytest.mark.parametrize("first", [0, 100_000])
@pytest.mark.parametrize("attack", [_once, _twice, _long])
def test_attackers_neither_push_out_what_is_hot_nor_keep_it_from_being_remembered(
    attack: Callable[[], Iterator[bytes]], first: int
) -> None:
    memo, attacks, chance = Memo(), attack(), random.Random(7)
    for data in islice(attacks, first):
        ask(memo, data, b"w" * 2000)
    for part in range(6):
        hits = 0
        for data in islice(attacks, 10_000):
            ask(memo, data, b"w" * 2000)
            hits += ask(memo, b"hot %d" % chance.randrange(500))
        assert len(memo) <= MAX_ENTRIES
        assert memo._bytes <= MAX_BYTES
        if part >= 3:  # those that are hot have come twice since there was room again
            assert hits >= 9_500


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from([1, 5, MAX_REPLY // 2, MAX_REPLY + 1]))))
def test_its_bytes_are_those_of_its_entries(asked: list[tuple[int, int]]) -> None:
    memo = Memo()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(memo_module, "MAX_ENTRIES", 6)
        patched.setattr(memo_module, "MAX_TURNED_AWAY", 3)
        for number, size in asked:
            ask(memo, b"%d" % number, b"w" * size)
            entries = [*memo.known.items(), *memo.old.items()]
            assert memo._bytes == sum(len(data) + len(known.wire) for (_, data), known in entries)
            assert len(memo) == len(entries) <= 6


# --- what is remembered through a connection ----------------------------------------------------------

ROUTES: list[Any] = [
    {"request": {"path": "/fixed"}, "respond": {"status": 200, "json": {"n": 1}}},
    {"request": {"path": "/turns"}, "respond": {"status": 201}},
    {"request": {"path": "/turns"}, "respond": {"status": 202}},
    {"request": {"path": "/cycle"}, "respond": {"status": 203}, "policy": "cycle"},
    {"request": {"path": "/cycle"}, "respond": {"status": 206}},
    {"request": {"path": "/once"}, "respond": {"status": 200}, "policy": "once"},
    {"request": {"path": "/late"}, "respond": {"status": 200}, "delay": "1ms"},
    {"match": {"path": "/t/{x}"}, "respond": {"status": 200, "json": "{{x}}"}, "template": True},
    {"match": {"path": "/m/{x}"}, "respond": {"status": 204}},
]
OTHER: list[Any] = [{"request": {"path": "/fixed"}, "respond": {"status": 404}}, *ROUTES[1:]]


def get(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n".encode()


def remembered(serving: Serving, data: bytes, times: int = 3) -> int:
    async def run() -> int:
        wire = Wire(serving)
        for _ in range(times):
            await wire.send(data)
        wire.end()
        return len(serving.memo)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("data", "entries"),
    [
        (get("/fixed"), 1),
        (get("/m/1"), 1),
        (get("/fixed") + get("/m/2"), 1),
        (get("/cycle"), 0),
        (get("/once"), 0),
        (get("/late"), 0),
        (get("/t/1"), 0),
        (get("/fixed") + get("/t/1"), 0),
        (get("/none"), 0),
        (get("/fixed", "Connection: close\r\n"), 0),
        (get("/fixed")[:-2], 0),
        (get("/fixed", f"X: {'x' * MAX_REQUEST}\r\n"), 0),
    ],
)
def test_only_what_depends_on_the_bytes_alone_is_remembered(tmp_path: Path, data: bytes, entries: int) -> None:
    serving = Serving(responder(tmp_path, *ROUTES), Journal(), lambda: Spools(tmp_path / "spool"))
    assert remembered(serving, data) == entries


def test_a_sequence_is_remembered_from_its_last_answer_on(tmp_path: Path) -> None:
    serving = Serving(responder(tmp_path, *ROUTES), Journal(), lambda: Spools(tmp_path / "spool"))
    assert remembered(serving, get("/turns"), 1) == 0
    assert remembered(serving, get("/turns"), 3) == 1
    (known,) = serving.memo.known.values()
    assert known.wire.startswith(b"HTTP/1.1 202 ")


def test_spooled_bodies_are_never_remembered(tmp_path: Path) -> None:
    served = responder(
        tmp_path, {"match": {"path": "/up"}, "respond": {}}, service="options: {max_body_memory: 4}"
    )
    serving = Serving(served, Journal(), lambda: Spools(tmp_path / "spool"))
    data = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789"
    assert remembered(serving, data) == 0


def test_a_reload_forgets(tmp_path: Path) -> None:
    serving = Serving(responder(tmp_path, *ROUTES), Journal(), lambda: Spools(tmp_path / "spool"))
    assert remembered(serving, get("/fixed")) == 1
    serving.replace(responder(tmp_path, *OTHER))
    assert len(serving.memo) == 0


def test_a_connection_of_before_shares_nothing_with_those_of_other_options(tmp_path: Path) -> None:
    data = get("/fixed", f"X: {'x' * 2000}\r\n")

    async def run() -> tuple[list[bytes], list[bytes]]:
        serving = Serving(responder(tmp_path, *ROUTES), Journal(), lambda: Spools(tmp_path / "spool"))
        before = Wire(serving)
        serving.replace(responder(tmp_path, *ROUTES, service="options: {max_head: 1024}"))
        for _ in range(3):
            await before.send(data)
        after = Wire(serving)
        await after.send(data)
        return [before.written[:12]], [after.written[:12]]

    before, after = asyncio.run(run())
    assert before == [b"HTTP/1.1 200"]
    assert after == [b"HTTP/1.1 431"]


# --- with and without ---------------------------------------------------------------------------------

DATA = st.sampled_from(
    [get(path) for path in ("/fixed", "/turns", "/cycle", "/once", "/late", "/t/1", "/m/1", "/none")]
    + [get("/fixed") * 3, get("/fixed") + get("/turns"), get("/m/1") + get("/fixed")[:20], b"\r\n\r\n"]
    + [get("/fixed", "Connection: close\r\n"), b"HEAD /fixed HTTP/1.1\r\nHost: a\r\n\r\n", b"BAD\r\n\r\n"]
    + [b"POST /fixed HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"]
)
STEPS = st.lists(
    st.tuples(st.integers(0, 2), DATA) | st.sampled_from(["reload", "other", "new"]), min_size=4, max_size=25
)


class Forgetful(Memo):
    """A memory that takes nothing: what a daemon without one would do."""

    def wants(self, rest: object, data: bytes) -> bool:
        return False


async def play(served: list[Any], folder: Path, steps: list[Any], memory: type[Memo]) -> Any:
    for one in served:
        one.turns.taken.clear()
    journal = Journal()
    serving = Serving(served[0], journal, lambda: Spools(folder / "spool"))
    serving.memo = memory()
    wires = [Wire(serving) for _ in range(3)]
    gone = []
    for step in steps:
        if step == "new":
            gone.append(wires.pop(0))
            wires.append(Wire(serving))
        elif isinstance(step, str):
            serving.replace(served[step == "other"])
            if memory is Forgetful:
                serving.memo = Forgetful()
                for connection in serving.connections:
                    connection.memo = serving.memo
        else:
            await wires[step[0]].send(step[1])
    everything = [(wire.written, wire.transport.eof, wire.transport.closed) for wire in (*gone, *wires)]
    for wire in (*gone, *wires):
        wire.end()
    noted = [(e.id, e.request, e.outcome, e.size) for e in journal.since(0, 10_000)]
    return everything, noted, journal.hits, journal.misses


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    turns = LocalTurns()
    return [responder(tmp_path_factory.mktemp("a"), *docs, turns=turns) for docs in (ROUTES, OTHER)]


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_nobody_can_tell_whether_there_is_a_memory(served: list[Any], tmp_path: Path, steps: list[Any]) -> None:
    # every step twice and again, so that there is something to remember
    steps = [step for step in steps for _ in range(3 if isinstance(step, tuple) else 1)]
    with_memory = asyncio.run(play(served, tmp_path, steps, Memo))
    assert with_memory == asyncio.run(play(served, tmp_path, steps, Forgetful))
