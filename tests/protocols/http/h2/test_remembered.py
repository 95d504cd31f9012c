"""HTTP/2 requests that are answered without being asked for: nobody can tell, but by the time it takes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock.journal import Journal
from svcmock.net.memo import Memo
from svcmock.net.serving import Serving
from svcmock.net.spool import Spools
from svcmock.turns import LocalTurns
from svcmock_protocols.http.h2 import frames
from tests.net.wire import Wire, noted
from tests.protocols.http.h2.sessions import Reader
from tests.routes import responder

ROUTES: list[Any] = [
    {"request": {"path": "/bare"}, "respond": {"status": 200, "body": "bare"}},
    {"request": {"path": "/told", "headers": [["accept", "a"]]}, "respond": {"status": 201}},
    {"request": {"path": "/told", "headers": [["accept", "b"]]}, "respond": {"status": 202}},
    {"match": {"path": "/told", "headers": {"x-tenant": "7"}}, "respond": {"status": 203}},
    {"match": {"path": "/looked/{x}", "headers": {"x-tenant": "7"}}, "respond": {"status": 206}},
    {"match": {"path": "/looked/{x}"}, "respond": {"status": 207, "body": "x" * 300}},
    {"match": {"path": "/made/{x}"}, "template": True, "respond": {"status": 200, "body": "{{ x }}"}},
    {"request": {"path": "/turns"}, "policy": "cycle", "respond": {"status": 200}},
    {"request": {"path": "/turns"}, "policy": "cycle", "respond": {"status": 201}},
    {"request": {"path": "/late"}, "respond": {"status": 200}, "delay": "1ms"},
]
OTHER: list[Any] = [
    {"match": {"path": "/bare", "headers": {"x-request-id": "1"}}, "respond": {"status": 208}},
    {"match": {"path": "/{any}"}, "respond": {"status": 209, "body": "other"}},
]
PATHS = ["/bare", "/told", "/looked/1", "/made/1", "/turns", "/late", "/none"]
FIELDS = {
    "accept": ["a", "b"],
    "x-tenant": ["7", "8"],
    "x-request-id": ["1", "2", "3", "4"],
    "user-agent": ["me/1", "é"],
    "cookie": ["a=1"],
    "te": ["trailers", "gzip"],
    "host": ["shop", "else"],
    "content-length": ["0", "1"],
    "expect": ["100-continue"],
    "connection": ["close"],
    "Upper": ["1"],
}


class Streams:
    """A client's bytes: requests on one connection, by the encoder of another implementation."""

    def __init__(self, window: int = 65535) -> None:
        self._encoder = Encoder()
        self._next = 1
        self.start = frames.PREFACE + frames.settings({frames.INITIAL_WINDOW_SIZE: window})

    def get(self, path: str, fields: list[tuple[str, str]], method: str = "GET") -> bytes:
        control = [(":method", method), (":scheme", "http"), (":authority", "shop"), (":path", path)]
        block = self._encoder.encode([*control, *((name, value.encode()) for name, value in fields)])
        number, self._next = self._next, self._next + 2
        return frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, number, block)


class Forgetful(Memo):
    """A memory that takes nothing: what a daemon without one would do."""

    def wants(self, rest: object, data: object) -> bool:
        return False


async def play(root: Path, steps: list[Any], memory: type[Memo], window: int) -> Any:
    """What each stream was sent, and what the journal has."""
    turns = LocalTurns()
    served = [responder(root / "one", *ROUTES, turns=turns), responder(root / "other", *OTHER, turns=turns)]
    journal = Journal()
    serving = Serving(served[0], journal, lambda: Spools(root / "spool"))
    serving.memo = memory(served[0].likeness())
    wire, client, reader = Wire(serving), Streams(window), Reader()
    await wire.send(client.start)
    for step in steps:
        if isinstance(step, str):
            serving.replace(served[step == "other"])
            if memory is Forgetful:
                wire.connection.remember(Forgetful(serving.memo.likeness))
        elif isinstance(step, int):
            await wire.send(frames.window_update(0, step) + frames.window_update(1, step))
        else:
            await wire.send(b"".join(client.get(*one) for one in step))
    wire.end()
    told: dict[str, list[str]] = {}
    for word in reader.words(wire.written):
        told.setdefault(word.split()[1] if word[:4] != "ping" else "", []).append(word)
    return told, [(e.request, e.outcome, e.size) for e in journal.since(0, 10_000)], noted(serving).hits


LINES = st.sampled_from([(name, value) for name, values in FIELDS.items() for value in values])
USUAL = st.sampled_from([("x-request-id", str(number)) for number in range(5)] + [("accept", "a")])
REQUEST = st.tuples(
    st.sampled_from(PATHS),
    st.lists(USUAL, max_size=3) | st.lists(LINES, max_size=4),
    st.sampled_from(["GET", "GET", "GET", "HEAD", "DELETE"]),
)
AGAIN = st.lists(REQUEST, min_size=1, max_size=2).flatmap(
    lambda few: st.lists(st.sampled_from(few), min_size=1, max_size=6)
)
STEPS = st.lists(AGAIN | st.sampled_from(["same", "other", 100, 5000]), min_size=3, max_size=20)


@settings(max_examples=60)
@given(STEPS, st.sampled_from([0, 200, 65535]))
def test_nobody_can_tell(tmp_path_factory: pytest.TempPathFactory, steps: list[Any], window: int) -> None:
    root = tmp_path_factory.mktemp("shop")
    with_memory = asyncio.run(play(root, steps, Memo, window))
    without = asyncio.run(play(root, steps, Forgetful, window))
    assert with_memory == without


Fields = list[tuple[str, str]]


def sent(root: Path, *parts: tuple[list[Any], list[Fields]]) -> tuple[list[str], Serving]:
    """GETs of /bare with these fields, one after the other, by these routes: what was said, and who served."""

    async def run() -> tuple[list[str], Serving]:
        served = [responder(root / str(number), *routes) for number, (routes, _) in enumerate(parts)]
        serving = Serving(served[0], Journal(), lambda: Spools(root / "spool"))
        wire, client, reader = Wire(serving), Streams(), Reader()
        await wire.send(client.start)
        for now, (_, requests) in zip(served, parts, strict=True):
            if now is not serving.responder:
                serving.replace(now)
            for fields in requests:
                await wire.send(client.get("/bare", fields))
        wire.end()
        return reader.words(wire.written), serving

    return asyncio.run(run())


def statuses(told: list[str]) -> list[str]:
    return [
        word.split(":status ")[1][:3] if word.startswith("headers") else word.split()[2]
        for word in told
        if word.startswith(("headers", "rst_stream"))
    ]


def ids(*runs: tuple[int, int]) -> list[Fields]:
    """So many requests with this id, and so many with that one."""
    return [[("x-request-id", str(value))] for value, times in runs for _ in range(times)]


@pytest.mark.parametrize("fields", [[], [("x-request-id", "same")], [("accept", "text/html")]])
def test_the_same_request_is_asked_for_until_it_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: Fields
) -> None:
    asked = watched(monkeypatch)
    told, serving = sent(tmp_path, (ROUTES, [fields] * 20))
    assert sum("data" in word for word in told) == 20
    assert 1 < len(asked) < 8
    assert noted(serving).hits == {"shop": 20}


def test_requests_that_are_alike_are_not_asked_for_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = watched(monkeypatch)
    told, serving = sent(tmp_path, (ROUTES, ids(*((number, 1) for number in range(20)))))
    assert sum("data" in word for word in told) == 20
    assert 1 < len(asked) < 8
    blocks = [entry.request.block for entry in noted(serving).since(0, 100)]
    assert blocks == [b"host: shop\r\nx-request-id: %d\r\n" % number for number in range(20)]


@pytest.mark.parametrize("times", [1, 2, 3, 8])
def test_what_routes_look_at_is_never_left_out(tmp_path: Path, times: int) -> None:
    told, _ = sent(tmp_path, (OTHER, ids(*((number % 3, times) for number in range(12)))))
    assert statuses(told) == ["208" if number % 3 == 1 else "209" for number in range(12) for _ in range(times)]


@pytest.mark.parametrize("times", [1, 3, 8])
def test_what_routes_look_at_after_a_reload(tmp_path: Path, times: int) -> None:
    before, after = ids((0, times), (2, times), (3, times)), ids((0, times), (2, times), (1, times))
    told, _ = sent(tmp_path, (ROUTES, before), (OTHER, after), (ROUTES, after))
    assert statuses(told) == ["200"] * 3 * times + ["209"] * 2 * times + ["208"] * times + ["200"] * 3 * times


@pytest.mark.parametrize(
    ("known", "refused"),
    [
        (("te", "trailers"), ("te", "gzip")),
        (("x-a", "1"), ("connection", "close")),
        (("x-a", "1"), ("X-A", "1")),
        (("x-a", "1"), ("x-a", "1\r\nx-b: 2")),
        (("x-a", "1"), ("x-a", " 1")),
        (("x-a", "1"), (":path", "/told")),
        (("x-a", "1"), ("content-length", "1")),
        (("x-a", "1"), ("host", "else")),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_what_is_refused_is_refused_beside_what_is_known(
    tmp_path: Path, known: tuple[str, str], refused: tuple[str, str], place: int
) -> None:
    good, bad = [[("x-request-id", "1"), known]] * 8, [("x-request-id", "1")]
    bad.insert(place, refused)
    told, _ = sent(tmp_path, (ROUTES, [*good, bad, *good]))
    assert statuses(told) == ["200"] * 8 + ["PROTOCOL_ERROR"] + ["200"] * 8


def watched(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    asked: list[object] = []
    decide = Serving.decide

    def noting(self: Serving, ask: Any, memo: Any = None) -> Any:
        asked.append(ask)
        return decide(self, ask, memo)

    monkeypatch.setattr(Serving, "decide", noting)
    return asked
