"""Requests that are alike are answered from memory, and nobody can tell but by the time it takes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from svcmock.journal import Journal
from svcmock.net.serving import Serving
from svcmock.net.spool import Spools
from svcmock_protocols.http.messages import Request
from tests.net.wire import Wire, noted
from tests.routes import responder

ROUTES: list[Any] = [
    {"request": {"path": "/bare"}, "respond": {"status": 200}},
    {"request": {"path": "/told", "headers": [["Accept", "a"]]}, "respond": {"status": 201}},
    {"request": {"path": "/told", "headers": [["Accept", "b"]]}, "respond": {"status": 202}},
    {"match": {"path": "/told", "headers": {"x": "7"}}, "respond": {"status": 203}},
    {"match": {"path": "/looked/{x}", "headers": {"x": "7"}}, "respond": {"status": 206}},
    {"match": {"path": "/looked/{x}"}, "respond": {"status": 207}},
    {"match": {"path": "/made/{x}"}, "template": True, "respond": {"status": 200, "body": "{{ x }}"}},
    {"request": {"path": "/late"}, "respond": {"status": 200}, "delay": "1ms"},
]


def get(path: str, *lines: str) -> bytes:
    return ("\r\n".join((f"GET {path} HTTP/1.1", "Host: a", *lines)) + "\r\n\r\n").encode()


def play(
    root: Path, datas: list[bytes], routes: list[Any] = ROUTES, service: str = ""
) -> tuple[list[bytes], list[Request], Serving]:
    """The first line of each answer, and the requests of the journal."""

    async def run() -> tuple[list[bytes], list[Request], Serving]:
        serving = Serving(responder(root, *routes, service=service), Journal(), lambda: Spools(root / "spool"))
        wire = Wire(serving)
        said = []
        for data in datas:
            before = len(wire.written)
            await wire.send(data)
            said.append(wire.written[before:][9:12])
        wire.end()
        return said, [entry.request for entry in noted(serving).since(0, 1000)], serving

    return asyncio.run(run())


def test_the_journal_has_each_request_as_it_was_sent(tmp_path: Path) -> None:
    datas = [get("/bare", f"X-Request-Id: {number}") for number in range(6)]
    said, requests, serving = play(tmp_path, datas)
    assert said == [b"200"] * 6
    assert [request.block for request in requests] == [
        b"Host: a\r\nX-Request-Id: %d\r\n" % number for number in range(6)
    ]
    assert len(serving.memo) == 1
    assert noted(serving).hits == {"shop": 6}


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


@pytest.mark.parametrize(
    ("path", "known"), [("/late", 0), ("/none", 1), ("/made/1", 0), ("/bare", 1), ("/looked/1", 1)]
)
def test_only_answers_that_stay_the_same_are_known_by_their_essence(
    tmp_path: Path, path: str, known: int
) -> None:
    _, _, serving = play(tmp_path, [get(path, f"N: {number}") for number in range(5)])
    assert len(serving.memo) == known


@pytest.mark.parametrize(
    "match",
    [
        {"headers": {"jsonpath": "$.n[?@ == '1']"}},
        {"headers": {"n": "1"}},
        {"any_of": [{"headers": {"n": "1"}}, {"path": "/nowhere"}]},
        {"not": {"headers": {"n": {"not": "1"}}}},
        {"headers": {"not": {"n": {"not": "1"}}}},
    ],
)
def test_a_predicate_sees_every_header_it_looks_at(tmp_path: Path, match: Any) -> None:
    routes = [{"match": match, "respond": {"status": 203}}, {"match": {}, "respond": {"status": 200}}]
    others = [get("/a", f"N: {number}") for number in range(2, 8)]
    said, _, _ = play(tmp_path, [*others, get("/a", "N: 1"), *others, get("/a", "N: 1")], routes)
    assert said == [*[b"200"] * 6, b"203"] * 2


@pytest.mark.parametrize(
    ("match", "line"),
    [
        ({"cookies": {"n": "1"}}, "Cookie: n=%d"),
        ({"host": "1"}, "Host: %d"),
    ],
)
def test_a_predicate_sees_fields_that_are_made_of_headers(tmp_path: Path, match: Any, line: str) -> None:
    routes = [{"match": match, "respond": {"status": 203}}, {"match": {}, "respond": {"status": 200}}]
    host = "" if line.startswith("Host") else "Host: a\r\n"
    datas = [
        f"GET /a HTTP/1.1\r\n{host}{line % n}\r\n\r\n".encode() for n in (2, 3, 4, 2, 3, 4, 1, 1, 1, 4, 3, 2)
    ]
    service = "options: {keep: [headers.cookie]}"
    said, _, _ = play(tmp_path, datas, routes, service)
    assert said == [b"200"] * 6 + [b"203"] * 3 + [b"200"] * 3


def test_alike_bytes_that_come_again_are_remembered_whole(tmp_path: Path) -> None:
    _, requests, serving = play(
        tmp_path, [get("/bare", "N: 1"), get("/bare", "N: 2")] + [get("/bare", "N: 3")] * 3
    )
    assert serving.memo.known.get((0, get("/bare", "N: 3"))) is not None
    assert serving.memo.known.get((0, get("/bare", "N: 2"))) is None
    assert serving.memo.known.get((0, get("/bare"))) is None
    assert requests[-1].block == b"Host: a\r\nN: 3\r\n"


def test_an_invalid_request_is_refused_however_well_its_like_is_known(tmp_path: Path) -> None:
    warm = [get("/bare", f"N: {number}") for number in range(4)]
    said, _, _ = play(tmp_path, [*warm, get("/bare", "N: \x01")])
    assert said == [b"200"] * 4 + [b"400"]
    said, _, _ = play(tmp_path, [*warm, b"N: 5\r\n" + get("/bare")])
    assert said == [b"200"] * 4 + [b"400"]
