"""gRPC with grpcio on both ends: a real store is recorded and switched off, and its clients notice nothing."""

import random
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.rpc import error_details_pb2, status_pb2
from msgspec import Struct
from msgspec.structs import replace

from tests.e2e import calls, projects, store
from tests.e2e.calls import Told, told
from tests.e2e.h2client import Client
from tests.e2e.processes import Mock, Svcmock
from tests.e2e.services import SCHEMA, documents, learned, set_option, store_server
from tests.e2e.store import Watching
from tests.e2e.work import (
    CLIENT_STREAMS,
    GAP_MS,
    SECRET,
    SILENCE,
    SLOW,
    TALKS,
    UNARY,
    WORK,
    add,
    get,
    talk,
    watch,
)

pytestmark = pytest.mark.timeout(120)  # several processes, one after the other, on a machine that may be busy


class Recorded(Struct, frozen=True):
    """A project that was recorded, and what the client was told meanwhile."""

    project: Path
    told: dict[str, Told]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """All the work, recorded from a server without reflection. Copy the project before you serve it."""
    folder = tmp_path_factory.mktemp("recorded")
    cli = Svcmock(folder)
    try:
        server, port = store_server(cli)
        recorder = cli.record(folder / "shop", {"store": f"http://127.0.0.1:{port}"})
        before = told(calls.run(recorder.ports["store"], WORK))
        server.stop()
        recorder.stop()
    finally:
        cli.close()
    return Recorded(folder / "shop", before)


def served(svcmock: Svcmock, recorded: Recorded, folder: Path) -> Mock:
    shutil.copytree(recorded.project, folder)
    return svcmock.up(folder)


def same(after: dict[str, Told], before: dict[str, Told]) -> None:
    """Compared call by call, so that a failure can be read."""
    wrong = {name: (after[name], before[name]) for name in before if after[name] != before[name]}
    text = "\n".join(
        f"{name}:\n  replayed {_short(one)}\n  recorded {_short(two)}" for name, (one, two) in wrong.items()
    )
    assert not wrong, text
    assert after.keys() == before.keys()


def _short(one: Told) -> str:
    sizes = [len(message) for message in one.messages]
    trailing = [(name, value if name.startswith("x-") else len(value)) for name, value in one.trailing]
    return f"{one.code} {one.details[:200]!r} messages of {sizes[:9]} {one.initial} {trailing}"


# --- recorded and replayed ----------------------------------------------------------------------------


@pytest.mark.parametrize("known", ["by reflection", "nowhere", "by a proto", "by a proto that came later"])
def test_a_client_cannot_tell_the_mock_from_the_store(svcmock: Svcmock, tmp_path: Path, known: str) -> None:
    """Whatever is known of the schema, and whenever."""
    project = tmp_path / "shop"
    server, port = store_server(svcmock, *(["reflection"] if known == "by reflection" else []))
    url = f"http://127.0.0.1:{port}"
    if known == "by a proto":
        project.mkdir()
        shutil.copytree(store.PROTOS, project / "protos")
        line = f"{{listen: 0, upstream: '{url}', routes: recordings/store/, options: {{proto: protos/}}}}"
        (project / "svcmock.yaml").write_text(f"version: 1\nservices:\n  store: {line}\n")
    recorder = svcmock.record(project, {"store": url})
    before = calls.run(recorder.ports["store"], WORK)
    server.stop()
    table = recorder.stop()["store"]
    assert table["recorded"] == table["accepted"] == len(WORK), recorder.process.output
    assert table["passed on unread"] == 0

    asked = [document["request"] for document in documents(project)]
    said = [request.get("grpc") or request["path"][1:] for request in asked]
    assert said == [one.how.path[1:] for one in WORK.values()]
    assert [request["path"] for request in asked if "grpc" not in request] == ["/store.v1.Store/Sum"], (
        "the large one"
    )
    by_name = known in ("by reflection", "by a proto")
    assert asked[0]["message"] == ({"id": "tea"} if by_name else {"1": "tea"})
    assert (project / "recordings/store" / SCHEMA).is_file() == (known == "by reflection")
    for file in project.rglob("*"):
        assert not file.is_file() or SECRET not in file.read_bytes(), file

    if known == "by a proto that came later":
        shutil.copy(store.PROTO, project / "store.proto")
        set_option(project, "store", proto="store.proto")
    assert svcmock.run("check", project).stdout.endswith(": 0 errors, 0 warnings\n")
    mock = svcmock.up(project)
    after = calls.run(mock.ports["store"], WORK)
    same(told(after), told(before))
    assert after["slow stream"].took > (SLOW - 1) * GAP_MS / 1000 / 2, "the gaps are not kept"
    assert mock.status()["services"]["store"]["misses"] == 0


def test_what_the_client_is_told_is_what_the_store_says(recorded: Recorded) -> None:
    """So that the other tests compare something."""
    item = recorded.told["item"]
    (read,) = item.read(WORK["item"])
    assert (read.stock, read.price, read.picture, dict(read.shelves)) == (
        1 << 60,
        1234.5,
        b"\0\xff",
        {"a": -1, "b": 2},
    )
    assert item.initial[:3] == (("x-shop", "one"), ("x-shop", "two"), ("x-raw-bin", b"\x00\x01\xfe\xff"))
    assert item.trailing == (("x-cost", "3"), ("x-sum-bin", b"\xff" * 5))
    details = recorded.told["status with details"]
    assert (details.code, details.details) == ("NOT_FOUND", "no item “nothing” 100% sure\n")
    status = status_pb2.Status.FromString(dict(details.trailing)["grpc-status-details-bin"])
    assert [any_.type_url.rpartition("/")[2] for any_ in status.details] == [
        "google.rpc.ErrorInfo",
        "google.rpc.BadRequest",
        "store.v1.Line",
    ]
    assert len(recorded.told["long stream"].messages) == 200
    assert [
        (line.text, line.number) for line in recorded.told["talk that is answered twice"].read(WORK["talk"])
    ] == [
        ("hello", 0),
        ("TWICE", 1),
        ("again", 1),
        ("ONCE", 2),
        ("bye", 2),
    ]
    fails = recorded.told["stream that fails"]
    assert (len(fails.messages), fails.code) == (2, "RESOURCE_EXHAUSTED")
    assert recorded.told["sum that fails"].code == "INVALID_ARGUMENT"
    assert recorded.told["talk that is stopped"].code == "ABORTED"


def test_the_other_client_on_replay(svcmock: Svcmock, tmp_path: Path, recorded: Recorded) -> None:
    """Recorded with the API of threads, one call after the other; replayed with grpc.aio, all at once."""
    mock = served(svcmock, recorded, tmp_path / "shop")
    same(told(calls.arun(mock.ports["store"], WORK)), recorded.told)


def test_the_other_client_on_record(svcmock: Svcmock, tmp_path: Path) -> None:
    """Recorded with grpc.aio, all at once on one connection; replayed one after the other."""
    server, port = store_server(svcmock, "reflection")
    recorder = svcmock.record(tmp_path / "shop", {"store": f"grpc://127.0.0.1:{port}"})
    before = told(calls.arun(recorder.ports["store"], WORK))
    server.stop()
    table = recorder.stop()["store"]
    assert table["recorded"] == table["accepted"] == len(WORK), recorder.process.output
    mock = svcmock.up(tmp_path / "shop")
    same(told(calls.run(mock.ports["store"], WORK)), before)


def test_shuffled_over_several_channels(svcmock: Svcmock, tmp_path: Path, recorded: Recorded) -> None:
    port = served(svcmock, recorded, tmp_path / "shop").ports["store"]
    random_ = random.Random(11)
    names = [name for name in WORK for _ in range(3)]
    random_.shuffle(names)
    with ThreadPoolExecutor(12) as pool:
        channels = [grpc.insecure_channel(f"127.0.0.1:{port}", options=calls.OPTIONS) for _ in range(4)]
        work = [(name, pool.submit(calls.call, channels[i % 4], WORK[name])) for i, name in enumerate(names)]
        after = [(name, one.result().told) for name, one in work]
        for channel in channels:
            channel.close()
    for name, one in after:
        same({name: one}, {name: recorded.told[name]})


def test_a_talk_is_the_same_for_a_client_that_does_not_wait(
    svcmock: Svcmock, tmp_path: Path, recorded: Recorded
) -> None:
    """It was recorded line by line; here all lines are sent at once."""
    port = served(svcmock, recorded, tmp_path / "shop").ports["store"]
    eager = {name: replace(one, turns=()) for name, one in TALKS.items()}
    before = {name: recorded.told[name] for name in TALKS}
    same(told(calls.run(port, eager)), before)
    same(told(calls.arun(port, eager)), before)


def test_talks_in_which_nobody_waits(svcmock: Svcmock, tmp_path: Path) -> None:
    """All lines are sent at once while it is recorded, too. With and without a schema."""
    eager = {name: replace(one, turns=()) for name, one in TALKS.items()}
    eager["silence"] = SILENCE
    for number, how in enumerate((["reflection"], [])):
        project = tmp_path / f"shop{number}"
        server, port = store_server(svcmock, *how)
        recorder = svcmock.record(project, {"store": f"http://127.0.0.1:{port}"})
        before = told(calls.run(recorder.ports["store"], eager))
        if how:
            learned(project)
        server.stop()
        assert recorder.stop()["store"]["recorded"] == len(eager)
        port = svcmock.up(project).ports["store"]
        same(told(calls.run(port, eager)), before)
        same(told(calls.arun(port, eager)), before)


@pytest.mark.parametrize("reflected", [True, False])
def test_a_talk_in_which_only_the_store_speaks(svcmock: Svcmock, tmp_path: Path, reflected: bool) -> None:
    """Beside one that begins in the same way, and is recorded line by line."""
    work = {"talk": TALKS["talk"], "silence": SILENCE}
    server, port = store_server(svcmock, *(["reflection"] if reflected else []))
    recorder = svcmock.record(tmp_path / "shop", {"store": f"http://127.0.0.1:{port}"})
    before = told(calls.run(recorder.ports["store"], work))
    if reflected:
        learned(tmp_path / "shop")
    server.stop()
    assert recorder.stop()["store"]["recorded"] == len(work)
    port = svcmock.up(tmp_path / "shop").ports["store"]
    same(told(calls.run(port, work)), before)


TWO_TALKS = """\
request: {grpc: store.v1.Store/Talk, messages: [{message: {"1": one}}, {message: {"1": two}}]}
respond:
  messages:
    - message: {"1": hello}
    - message: {"1": ONE, "2": 1}
    - message: {"1": TWO, "2": 2}
    - message: {"1": bye, "2": 2}
---
request: {grpc: store.v1.Store/Talk, messages: [{message: {"1": one}}, {message: {"1": four}}]}
respond:
  messages:
    - {"on": 0, message: {"1": hello}}
    - {"on": 1, message: {"1": ONE, "2": 1}}
    - {"on": 2, message: {"1": FOUR, "2": 2}}
    - {"on": end, message: {"1": bye, "2": 2}}
"""


def test_a_talk_recorded_as_a_whole_beside_one_that_begins_like_it(svcmock: Svcmock, tmp_path: Path) -> None:
    """Without a schema, of a client that does not wait: now it is faster than the store, now slower."""
    port = svcmock.up(projects.project(tmp_path / "shop", routes=TWO_TALKS)).ports["shop"]
    work = {"whole": talk("one", "two"), "in parts": talk("one", "four")}
    for run in (calls.run, calls.arun):
        seen = told(run(port, work))
        lines = {name: [line.text for line in one.read(work[name])] for name, one in seen.items()}
        assert lines == {"whole": ["hello", "ONE", "TWO", "bye"], "in parts": ["hello", "ONE", "FOUR", "bye"]}
        assert {one.code for one in seen.values()} == {"OK"}


@pytest.mark.parametrize("reflected", [True, False])
def test_a_client_stream_that_is_refused_before_its_end(
    svcmock: Svcmock, tmp_path: Path, reflected: bool
) -> None:
    """The client sends one item, and does not say whether there are more until it hears of the refusal."""

    def refused(port: int) -> tuple[str, str]:
        over = threading.Event()

        def items() -> Iterator[Any]:
            yield store.Item(id="b", stock=-1)
            over.wait(30)

        with calls.channel(port) as channel:
            rpc = store.methods(store.SERVICE)["Sum"].callable(channel).future(items(), timeout=15)
            try:
                return rpc.code().name, rpc.details()
            finally:
                over.set()

    server, port = store_server(svcmock, *(["reflection"] if reflected else []))
    recorder = svcmock.record(tmp_path / "shop", {"store": f"http://127.0.0.1:{port}"})
    before = refused(recorder.ports["store"])
    if reflected:
        learned(tmp_path / "shop")
    server.stop()
    assert before == ("INVALID_ARGUMENT", "item b has a stock of -1")
    assert recorder.stop()["store"]["recorded"] == 1
    assert refused(svcmock.up(tmp_path / "shop").ports["store"]) == before


def test_compression_both_ways(svcmock: Svcmock, tmp_path: Path) -> None:
    """The messages of client and store are compressed; on replay also for clients without compression."""
    work = {**WORK, "long name": get("tea" * 300)}
    packed = {name: replace(one, compression=grpc.Compression.Gzip) for name, one in work.items()}
    server, port = store_server(svcmock, "gzip", "reflection")
    recorder = svcmock.record(tmp_path / "shop", {"store": f"http://127.0.0.1:{port}"})
    before = told(calls.run(recorder.ports["store"], packed))
    server.stop()
    table = recorder.stop()["store"]
    assert table["recorded"] == table["accepted"] == len(packed), recorder.process.output
    named = documents(tmp_path / "shop")[-1]
    assert named["request"]["messages"] == [{"message": {"id": "tea" * 300}, "compressed": True}]
    assert named["respond"]["messages"][0]["compressed"] is True
    assert named["respond"]["messages"][0]["message"]["id"] == "tea" * 300
    port = svcmock.up(tmp_path / "shop").ports["store"]
    same(told(calls.run(port, packed)), before)
    same(told(calls.run(port, work)), before)
    only_identity = (*calls.OPTIONS, ("grpc.compression_enabled_algorithms_bitset", 1))
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=only_identity) as channel:
        same({name: calls.call(channel, one).told for name, one in work.items()}, before)


def test_over_tls_on_both_legs(svcmock: Svcmock, tmp_path: Path) -> None:
    """A store with TLS, recorded through a port with TLS; replayed with the project's own CA."""
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "leaf.pem"))
    leaf.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    server, port = store_server(svcmock, "reflection", str(tmp_path / "leaf.pem"), str(tmp_path / "key.pem"))
    project = tmp_path / "shop"
    project.mkdir()
    line = f"{{listen: 0, upstream: 'https://127.0.0.1:{port}', routes: recordings/store/, tls: auto}}"
    (project / "svcmock.yaml").write_text(f"version: 1\nservices:\n  store: {line}\n")
    env = {"SSL_CERT_FILE": str(tmp_path / "authority.pem")}
    process = svcmock.start("record", project, env=env)
    recorder_port = int(process.said(r"recording store: 127.0.0.1:(\d+) -> ")[1])
    process.said("Ctrl-C stops")
    trusted = grpc.ssl_channel_credentials((project / ".svcmock/ca/ca.pem").read_bytes())
    with calls.channel(recorder_port, trusted) as channel:
        before = {name: calls.call(channel, one).told for name, one in WORK.items()}
    assert before["item"].code == "OK", process.output
    server.stop()
    process.stop()
    assert (project / "recordings/store" / SCHEMA).is_file(), process.output
    port = svcmock.up(project).ports["store"]
    with calls.channel(port, trusted) as channel:
        same({name: calls.call(channel, one).told for name, one in WORK.items()}, before)
    same(told(calls.run(port, UNARY)), {name: before[name] for name in UNARY})


def test_a_deadline_passes_inside_a_recorded_stream(
    svcmock: Svcmock, tmp_path: Path, recorded: Recorded
) -> None:
    """Paced slowly, so that the deadline is sure to pass between two messages."""
    shutil.copytree(recorded.project, tmp_path / "shop")
    graph = tmp_path / "shop/svcmock.yaml"
    graph.write_text(graph.read_text().rstrip("\n") + "\n    pace: 1000\n")
    port = svcmock.up(tmp_path / "shop").ports["store"]
    asked = Watching(id="slow", count=SLOW, gap=GAP_MS).SerializeToString()
    with Client(port) as client:
        answer = client.answer(client.call("/store.v1.Store/Watch", asked, grpc_timeout="500m"))
    assert answer.trailers["grpc-status"] == str(grpc.StatusCode.DEADLINE_EXCEEDED.value[0])
    assert len(answer.body) == 5 + int.from_bytes(answer.body[1:5]), "one message, and the next after a minute"


# --- misses -------------------------------------------------------------------------------------------


def explained(one: Told) -> tuple[str, error_details_pb2.DebugInfo]:
    """The message of a miss, and its explanation."""
    status = status_pb2.Status.FromString(dict(one.trailing)["grpc-status-details-bin"])
    assert status.message == one.details
    (detail,) = status.details
    info = error_details_pb2.DebugInfo()
    assert detail.Unpack(info)
    return status.message, info


@pytest.mark.parametrize("named", [True, False])
def test_a_miss_explains_itself(svcmock: Svcmock, tmp_path: Path, recorded: Recorded, named: bool) -> None:
    shutil.copytree(recorded.project, tmp_path / "shop")
    if named:
        shutil.copy(store.PROTO, tmp_path / "shop/store.proto")
        set_option(tmp_path / "shop", "store", proto="store.proto")
    mock = svcmock.up(tmp_path / "shop")
    field = "message.id" if named else "message.1"
    work = {
        "unary": get("coffee"),
        "server stream": watch("coffee", 3),
        "client stream": add(*CLIENT_STREAMS["sum"].requests[:2]),
        "talk": talk("one", "five", turns=(1, 1)),
        "tenant": get("tenant", ("x-tenant", "c")),
    }
    missed = told(calls.run(mock.ports["store"], work))
    for name, one in missed.items():
        assert one.code == "NOT_FOUND", (name, one)
        message, info = explained(one)
        assert "svcmock" in message
        assert work[name].how.path[1:] in message
        assert info.detail
    assert [line.text for line in missed["talk"].read(work["talk"])] == ["hello", "ONE"]
    assert field in explained(missed["unary"])[1].detail
    assert "x-tenant" in explained(missed["tenant"])[1].detail
    why = svcmock.run("why", "m-1").stdout
    assert all(text in why for text in ("gRPC store.v1.Store/Get", field, "coffee")), why
    with calls.channel(mock.ports["store"]) as channel:
        for path in ("/store.v1.Store/Unknown", "/unknown.Service/Get"):
            rpc = channel.unary_unary(path).future(b"")
            assert rpc.code() is grpc.StatusCode.UNIMPLEMENTED, rpc
            assert path[1:] in rpc.details()
