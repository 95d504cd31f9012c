"""A request that is alike one that missed gets the answer it would get, under its own id."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svcmock.journal import Journal
from svcmock.net import serving
from svcmock.net.missed import learn
from svcmock.net.serving import Serving
from svcmock.net.spool import Spools
from svcmock_protocols.http.messages import Request
from tests.net.wire import Wire, noted
from tests.routes import responder

ROUTES: list[Any] = [
    {"request": {"path": "/bare"}, "respond": {"status": 200}},
    {"request": {"path": "/once"}, "respond": {"status": 202}, "policy": "once"},
]
PATHS = ("/none", "/m-%d", "/m%%2D%d", "/none?token=aaaaaaaaaaaaaaaaaaaaaaa%d", "/once", "/bare")


def get(path: str, *lines: str, method: str = "GET") -> bytes:
    return ("\r\n".join((f"{method} {path} HTTP/1.1", "Host: a", *lines)) + "\r\n\r\n").encode()


def play(root: Path, datas: list[bytes], *, alike: bool) -> tuple[list[bytes], list[Any], list[Any]]:
    """What each was answered, the journal, and the misses that are kept."""

    async def run() -> tuple[list[bytes], list[Any], list[Any]]:
        shop = Serving(responder(root, *ROUTES), Journal(), lambda: Spools(root / "spool"))
        if not alike:
            shop.memo.likeness = None
        wire = Wire(shop)
        said = []
        for data in datas:
            before = len(wire.written)
            await wire.send(data)
            said.append(bytes(wire.written[before:]))
        wire.end()
        journal = noted(shop)
        entries = [(e.id, e.request, e.outcome) for e in journal.since(0, 1000)]
        return said, entries, [(e.id, e.request, e.size) for e in journal.recent_misses(1000)]

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def _unexplained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "EXPLAINED_PER_SECOND", 0)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(PATHS), st.integers(1, 12), st.sampled_from(["GET", "HEAD"])),
        min_size=1,
        max_size=5,
    )
)
def test_nobody_can_tell(tmp_path: Path, asked: list[tuple[str, int, str]]) -> None:
    datas = [
        get(path % number if "%d" in path else path, f"N: {turn}", method=method)
        for turn in range(5)
        for path, number, method in asked
    ]
    assert play(tmp_path, datas, alike=True) == play(tmp_path, datas, alike=False)


def learnt(root: Path, data: bytes, ident: int = 7) -> Any:
    served = responder(root, *ROUTES)
    return learn(served, served.context, served.plugin.session(served.context).at_rest, data, ident)


def test_it_is_told_apart_from_what_looks_like_its_id(tmp_path: Path) -> None:
    assert learnt(tmp_path, get("/m-7")) is None
    assert learnt(tmp_path, get("/m%2D7")) is None
    assert learnt(tmp_path, get("/m-8")) is None  # the other id that it is tried under
    known = learnt(tmp_path, get("/m-5"))
    assert b"m-5" in known.wire(9)
    assert known.wire(9).count(b"m-9") == 3
    assert known.fits(9)
    assert not known.fits(10)
    assert isinstance(known.request, Request)


@pytest.mark.parametrize(
    "data",
    [get("/bare"), get("/once"), get("/none")[:-2], get("/none") * 2, get("/none", "Connection: close"), b"x"],
)
def test_what_may_be_answered_otherwise_is_not_learnt(tmp_path: Path, data: bytes) -> None:
    assert learnt(tmp_path, data) is None
