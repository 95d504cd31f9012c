"""gRPC with grpcio on both ends: a real store is recorded and switched off, and its clients notice nothing."""

import sys
from pathlib import Path
from collections.abc import Callable

import pytest

from tests.e2e import calls, store
from tests.e2e.calls import Call, told
from tests.e2e.processes import Process, Recorder, Svcmock
from tests.e2e.store import Item, ItemRef, Line, Watching

GAP = 0.06
"""Seconds between two items of the slow stream."""


def get(name: str, *metadata: tuple[str, str | bytes]) -> Call:
    return Call("Get", (ItemRef(id=name),), metadata)


def talk(*texts: str, turns: tuple[int, ...] = ()) -> Call:
    return Call("Talk", tuple(Line(text=text) for text in texts), turns=turns)


WORK = {
    "item": get("tea"),
    "nested": get("part"),
    "every byte": get("picture"),
    "no field at all": get("empty"),
    "large": get("large"),
    "by tenant a": get("tenant", ("x-tenant", "a")),
    "by tenant b": get("tenant", ("x-tenant", "b")),
    "binary metadata": get("tea", ("x-key-bin", b"\x00\xff\x80")),
    "a credential": get("tea", ("authorization", "Bearer s3cr3t-k3y")),
    "status with details": get("nothing"),
    "status without message": get("quiet"),
    "status with a message": get("broken"),
    "stream": Call("Watch", (Watching(id="tea", count=5),)),
    "slow stream": Call("Watch", (Watching(id="slow", count=4, gap=int(GAP * 1000)),)),
    "empty stream": Call("Watch", (Watching(id="tea"),)),
    "stream that fails": Call("Watch", (Watching(id="tea", count=5, fail_after=2),)),
    "sum": Call("Sum", tuple(Item(id=f"i{n}", stock=n << 40, price=n / 4) for n in range(5))),
    "sum of one": Call("Sum", (Item(id="one", stock=1),)),
    "sum of nothing": Call("Sum", ()),
    "sum that fails": Call("Sum", (Item(id="a", stock=1), Item(id="b", stock=-1))),
    "talk": talk("one", "two", "three", turns=(1, 1, 1)),
    "talk that is answered twice": talk("twice", "once", turns=(1, 2)),
    "talk that is stopped": talk("one", "stop", turns=(1, 1)),
    "talk of nothing": talk(),
}


def started(svcmock: Svcmock, port: int, *how: str) -> Process:
    process = svcmock.spawn(
        [sys.executable, "-m", "tests.e2e.store_server", str(port), *how], {"PYTHONPATH": str(Path(__file__).parents[2])}
    )
    process.listens(port)
    return process


def record(svcmock: Svcmock, project: Path, port: int) -> Recorder:
    return svcmock.record(project, {"store": f"http://127.0.0.1:{port}"})


def test_recorded_and_replayed(svcmock, tmp_path, free_port):
    port = free_port()
    server = started(svcmock, port)
    recorder = record(svcmock, tmp_path / "shop", port)
    before = calls.run(recorder.ports["store"], WORK)
    for k, v in before.items():
        print(k, v)
    server.stop()
    print(recorder.stop())
    for f in (tmp_path/"shop/recordings/store").iterdir(): print(f); print(f.read_text() if f.suffix==".yaml" else "")
    mock = svcmock.up(tmp_path / "shop")
    after = calls.run(mock.ports["store"], WORK)
    print(recorder.process.output)
    print(svcmock.run("check", tmp_path/"shop", code=None).stdout)
    assert told(after) == told(before)
