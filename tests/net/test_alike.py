"""Requests that are alike are answered from memory, and nobody can tell but by the time it takes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from svcmock.journal import Journal
from svcmock.net.driver import Serving
from svcmock.net.spool import Spools
from svcmock_protocols.http.messages import Request
from tests.net.wire import Wire
from tests.routes import responder

ROUTES: list[Any] = [
    {"request": {"path": "/bare"}, "respond": {"status": 200}},
    {"request": {"path": "/told", "headers": [["Accept", "a"]]}, "respond": {"status": 201}},
    {"request": {"path": "/told", "headers": [["Accept", "b"]]}, "respond": {"status": 202}},
    {"match": {"path": "/told", "headers": {"x": "7"}}, "respond": {"status": 203}},
    {"match": {"path": "/looked/{x}", "headers": {"x": "7"}}, "respond": {"status": 206}},
    {"match": {"path": "/looked/{x}"}, "respond": {"status": 207}},
    {"request": {"path": "/late"}, "respond": {"status": 200}, "delay": "1ms"},
]


def get(path: str, *lines: str) -> bytes:
    return ("\r\n".join((f"GET {path} HTTP/1.1", "Host: a", *lines)) + "\r\n\r\n").encode()


def play(root: Path, datas: list[bytes]) -> tuple[list[bytes], list[Request], Serving]:
    """The first line of each answer, and the requests of the journal."""

    async def run() -> tuple[list[bytes], list[Request], Serving]:
        serving = Serving(responder(root, *ROUTES), Journal(), lambda: Spools(root / "spool"))
        wire = Wire(serving)
        said = []
        for data in datas:
            before = len(wire.written)
            await wire.send(data)
            said.append(wire.written[before:][9:12])
        wire.end()
        return said, [entry.request for entry in serving.journal.since(0, 1000)], serving

    return asyncio.run(run())


def test_the_journal_has_each_request_as_it_was_sent(tmp_path: Path) -> None:
    datas = [get("/bare", f"X-Request-Id: {number}") for number in range(6)]
    said, requests, serving = play(tmp_path, datas)
    assert said == [b"200"] * 6
    assert [request.block for request in requests] == [
        b"Host: a\r\nX-Request-Id: %d\r\n" % number for number in range(6)
    ]
    assert len(serving.memo) == 1
    assert serving.journal.hits == {"shop": 6}


@pytest.mark.parametrize(
    ("path", "lines", "status"),
    [
        ("/told", ["Accept: a"], b"201"),
        ("/told", ["Accept: b"], b"202"),
        ("/told", ["X: 7"], b"203"),
        ("/told", ["X: 8"], b"501"),
        ("/looked/1", ["X: 7"], b"206"),
        ("/looked/1", ["X: 8"], b"207"),
    ],
)
def test_what_routes_demand_goes_on_to_decide(
    tmp_path: Path, path: str, lines: list[str], status: bytes
) -> None:
    others = [
        get("/told", "Accept: a"),
        get("/told", "X: 7"),
        get("/looked/1", "X: 7"),
        get("/looked/1", "X: 9"),
    ]
    warm = [get("/told", "Accept: a", f"N: {n}") for n in range(3)]
    datas = [
        *others * 3,
        *warm,
        get(path, *lines, "N: 1"),
        get(path, *lines, "N: 2"),
        get(path, *lines, "N: 3"),
    ]
    said, _, _ = play(tmp_path, datas)
    assert said[-3:] == [status] * 3


@pytest.mark.parametrize("path", ["/late", "/looked/1", "/none"])
def test_only_what_exact_routes_answer_at_once_is_known_by_its_essence(tmp_path: Path, path: str) -> None:
    _, _, serving = play(tmp_path, [get(path, f"N: {number}") for number in range(5)])
    assert len(serving.memo) == 0


def test_alike_bytes_that_come_again_are_remembered_whole(tmp_path: Path) -> None:
    _, requests, serving = play(
        tmp_path, [get("/bare", "N: 1"), get("/bare", "N: 2")] + [get("/bare", "N: 3")] * 3
    )
    assert serving.memo.get(0, get("/bare", "N: 3")) is not None
    assert serving.memo.get(0, get("/bare", "N: 2")) is None
    assert serving.memo.get(0, get("/bare")) is None
    assert requests[-1].block == b"Host: a\r\nN: 3\r\n"


def test_an_invalid_request_is_refused_however_well_its_like_is_known(tmp_path: Path) -> None:
    warm = [get("/bare", f"N: {number}") for number in range(4)]
    said, _, _ = play(tmp_path, [*warm, get("/bare", "N: \x01")])
    assert said == [b"200"] * 4 + [b"400"]
    said, _, _ = play(tmp_path, [*warm, b"N: 5\r\n" + get("/bare")])
    assert said == [b"200"] * 4 + [b"400"]
