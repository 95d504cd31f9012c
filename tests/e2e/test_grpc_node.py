"""gRPC with @grpc/grpc-js as a client and as a server: recorded with one language, replayed to any."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.e2e import calls, nodes, packages, store
from tests.e2e.calls import Told, told
from tests.e2e.processes import Svcmock
from tests.e2e.services import documents, set_option, store_server
from tests.e2e.work import WORK

pytestmark = pytest.mark.timeout(120)  # several processes, one after the other, on a machine that may be busy


def same(after: dict[str, Any], before: dict[str, Any]) -> None:
    """Compared call by call, so that a failure can be read."""
    wrong = [
        f"{name}:\n  replayed {str(after[name])[:600]}\n  recorded {str(before[name])[:600]}"
        for name in before
        if after[name] != before[name]
    ]
    assert not wrong, "\n".join(wrong)
    assert after.keys() == before.keys()


def test_the_packages_are_pinned_and_their_list_names_no_place() -> None:
    text = packages.PACKAGES.wanted.read_text()
    pins = json.loads(text)["dependencies"]
    assert set(pins) == {"@grpc/grpc-js", "@grpc/proto-loader", "ioredis", "pg", "postgres", "redis"}
    assert all(part.isdigit() for pin in pins.values() for part in pin.split("."))
    assert "://" not in text


@pytest.mark.parametrize("reflected", [True, False])
def test_a_client_in_node_of_a_store_in_python(svcmock: Svcmock, tmp_path: Path, reflected: bool) -> None:
    server, port = store_server(svcmock, *(["reflection"] if reflected else []))
    recorder = svcmock.record(tmp_path / "shop", {"store": f"http://127.0.0.1:{port}"})
    before = nodes.run(recorder.ports["store"], WORK)
    server.stop()
    table = recorder.stop()["store"]
    assert table["recorded"] == table["accepted"] == len(WORK), recorder.process.output
    assert before["item"]["messages"][0]["stock"] == str(1 << 60)
    assert before["status with details"]["code"] == 5
    assert [line["text"] for line in before["talk"]["messages"]] == ["hello", "ONE", "TWO", "THREE", "bye"]
    mock = svcmock.up(tmp_path / "shop")
    same(nodes.run(mock.ports["store"], WORK), before)
    assert mock.status()["services"]["store"]["misses"] == 0


def dateless(seen: dict[str, Told]) -> dict[str, Told]:
    """Without the date that a server in Node sends: talks that begin alike may be opened with each other's."""
    return {
        name: replace(one, initial=tuple(pair for pair in one.initial if pair[0] != "date"))
        for name, one in seen.items()
    }


@pytest.mark.parametrize("known", [True, False])
def test_a_client_in_python_of_a_store_in_node(svcmock: Svcmock, tmp_path: Path, known: bool) -> None:
    """With a schema from a file, and without: it has no reflection."""
    project = tmp_path / "shop"
    server, port = nodes.server(svcmock)
    url = f"http://127.0.0.1:{port}"
    if known:
        project.mkdir()
        shutil.copytree(store.PROTOS, project / "protos")
        line = f"{{listen: 0, upstream: '{url}', routes: recordings/store/, options: {{proto: protos/}}}}"
        (project / "svcmock.yaml").write_text(f"version: 1\nservices:\n  store: {line}\n")
    recorder = svcmock.record(project, {"store": url})
    before = dateless(told(calls.run(recorder.ports["store"], WORK)))
    server.stop()
    table = recorder.stop()["store"]
    assert table["recorded"] == table["accepted"] == len(WORK), recorder.process.output
    assert before["item"].initial[:2] == (("x-shop", "one"), ("x-shop", "two"))
    assert before["status with details"].code == "NOT_FOUND"
    assert documents(project)[0]["request"]["message"] == ({"id": "tea"} if known else {"1": "tea"})
    mock = svcmock.up(project)
    same(dateless(told(calls.run(mock.ports["store"], WORK))), before)
    same(dateless(told(calls.arun(mock.ports["store"], WORK))), before)
    assert mock.status()["services"]["store"]["misses"] == 0


def test_recorded_in_python_and_replayed_to_node(svcmock: Svcmock, tmp_path: Path) -> None:
    """What Node is told by the mock is what it is told by the store itself, whoever recorded it."""
    server, port = nodes.server(svcmock)
    before = nodes.run(port, WORK)
    recorder = svcmock.record(tmp_path / "shop", {"store": f"http://127.0.0.1:{port}"})
    calls.run(recorder.ports["store"], WORK)
    server.stop()
    recorder.stop()
    shutil.copy(store.PROTO, tmp_path / "shop/store.proto")
    set_option(tmp_path / "shop", "store", proto="store.proto")
    mock = svcmock.up(tmp_path / "shop")
    after = nodes.run(mock.ports["store"], WORK)
    for one in (*after.values(), *before.values()):  # the date is when it was recorded
        one["initial"] = [pair for pair in one["initial"] if pair[0] != "date"]
        one["trailing"] = [pair for pair in one["trailing"] if pair[0] != "date"]
    same(after, before)
