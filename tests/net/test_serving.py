"""What the connections of one listener share: what is noted of a request, and what a miss may cost."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from svcmock.journal import Journal
from svcmock.net import serving as serving_module
from svcmock.net.serving import JOURNAL_REQUEST_MAX, Serving
from svcmock.net.spool import Spools
from tests.net.wire import Wire, noted
from tests.routes import responder


def made(root: Path, *routes: Any) -> Serving:
    return Serving(responder(root, *routes), Journal(), lambda: Spools(root / "spool"))


def said(shop: Serving, *datas: bytes) -> list[bytes]:
    """What each was answered, on a connection of its own."""

    async def run() -> list[bytes]:
        told = []
        for data in datas:
            wire = Wire(shop)
            await wire.send(data)
            wire.end()
            told.append(bytes(wire.written))
        return told

    return asyncio.run(run())


def get(path: str, line: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{line}\r\n".encode()


def test_no_more_misses_are_explained_than_a_second_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_module, "EXPLAINED_PER_SECOND", 2)
    clock = [1000.25]
    monkeypatch.setattr(serving_module, "time", lambda: clock[0])
    shop = made(tmp_path, {"request": {"path": "/a"}, "respond": {"status": 200}})
    first = said(shop, *(get(f"/b{number}") for number in range(4)))
    clock[0] = 1001.0
    second = said(shop, *(get(f"/c{number}") for number in range(3)))
    assert [b'"nearest": [' in told for told in (*first, *second)] == [
        True,
        True,
        False,
        False,
        True,
        True,
        False,
    ]
    assert all(b"svcmock why m-" in told for told in (*first, *second))
    assert [entry.id for entry in noted(shop).recent_misses(9)] == [7, 6, 5, 4, 3, 2, 1]


def test_a_body_file_that_is_gone_is_a_miss_that_says_so(tmp_path: Path) -> None:
    body = tmp_path / "routes" / "body.bin"
    body.parent.mkdir(exist_ok=True)
    body.write_bytes(b"x" * 2_000_000)
    shop = made(tmp_path, {"request": {"path": "/f"}, "respond": {"body": {"file": "body.bin"}}})
    (whole,) = said(shop, get("/f"))
    assert whole.endswith(b"x" * 2_000_000)
    body.unlink()
    (told,) = said(shop, get("/f"))
    assert told.startswith(b"HTTP/1.1 501 ")
    assert b"cannot be read: No such file" in told


def test_a_large_request_is_noted_as_its_summary_and_kept_whole_where_it_missed(tmp_path: Path) -> None:
    shop = made(tmp_path, {"match": {"path": "/a"}, "respond": {"status": 200}})
    body = b"y" * (JOURNAL_REQUEST_MAX + 1)
    head = b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n"
    said(shop, head % b"a" + body, head % b"b" + body)
    assert [isinstance(entry.request, str) for entry in noted(shop).since(0, 9)] == [True, True]
    (missed,) = noted(shop).recent_misses(9)
    assert missed.request.body == body
