"""gRPC with grpcio on both ends: a real store is recorded and switched off, and its clients notice nothing."""

import json
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
from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from msgspec import Struct
from msgspec.structs import replace

from tests.e2e import calls, projects, store
from tests.e2e.calls import Call, Told, told
from tests.e2e.h2client import Client
from tests.e2e.processes import Mock, Svcmock, wait_until
from tests.e2e.services import documents, set_option, store_server
from tests.e2e.store import ItemRef, Line, Watching
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

SCHEMA = "schema.binpb"


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


def learned(project: Path) -> None:
    """Wait until the recorder knows the schema: it asks for it when the first call comes."""
    wait_until((project / "recordings/store" / SCHEMA).is_file)


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
    recorder = svcmock.record(tmp_path / "shop", {"store": f"http://127.0.0.1:{port}"})
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


# --- deadlines and cancellation -----------------------------------------------------------------------

SLOWLY = """\
request: {grpc: store.v1.Store/Watch, message: {id: forever}}
respond:
  messages:
    - message: {id: first}
    - {after: 1h, message: {id: never}}
---
request: {grpc: store.v1.Store/Watch, message: {id: soon}}
respond:
  messages:
    - message: {id: first}
    - {after: 300ms, message: {id: second}}
    - {after: 300ms, message: {id: third}}
---
request: {grpc: store.v1.Store/Get, message: {id: later}}
delay: 1h
respond: {message: {id: later}}
"""


def by_hand(svcmock: Svcmock, folder: Path, routes: str, service: str = "", **options: Any) -> Mock:
    """Serve routes that are written by hand, with the schema of the store."""
    (folder / "routes").mkdir(parents=True)
    shutil.copytree(store.PROTOS, folder / "protos")
    (folder / "routes/a.yaml").write_text(routes)
    told_options = json.dumps({"proto": "protos/", **options})
    line = f"{{listen: 0, routes: routes/, options: {told_options}{service}}}"
    (folder / "svcmock.yaml").write_text(f"version: 1\nservices:\n  store: {line}\n")
    return svcmock.up(folder)


def test_a_deadline_passes_inside_a_stream(svcmock: Svcmock, tmp_path: Path) -> None:
    """The mock says so itself, whether or not the client waits for that."""
    port = by_hand(svcmock, tmp_path / "shop", SLOWLY).ports["store"]
    seen = calls.run(port, {"forever": replace(watch("forever", 0), timeout=1.0)})["forever"]
    assert seen.told.code == "DEADLINE_EXCEEDED"
    assert [item.id for item in seen.told.read(watch("forever", 0))] == ["first"]
    with Client(port) as client:
        streams = [
            client.call(
                "/store.v1.Store/Watch", Watching(id="forever").SerializeToString(), grpc_timeout="300m"
            ),
            client.call("/store.v1.Store/Get", ItemRef(id="later").SerializeToString(), grpc_timeout="300m"),
        ]
        stream, delayed = (client.answer(one) for one in streams)
    assert stream.trailers["grpc-status"] == str(grpc.StatusCode.DEADLINE_EXCEEDED.value[0])
    assert b"first" in stream.body
    assert delayed.headers["grpc-status"] == str(grpc.StatusCode.DEADLINE_EXCEEDED.value[0])
    assert delayed.body == b""


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


def test_a_stream_that_is_cancelled_harms_no_other(svcmock: Svcmock, tmp_path: Path) -> None:
    port = by_hand(svcmock, tmp_path / "shop", SLOWLY).ports["store"]
    soon, forever = watch("soon", 0), watch("forever", 0)
    with calls.channel(port) as channel, ThreadPoolExecutor(6) as pool:
        invoke = channel.unary_stream(
            soon.how.path,
            request_serializer=Watching.SerializeToString,
            response_deserializer=soon.how.output.FromString,
        )
        others = [pool.submit(calls.call, channel, soon) for _ in range(6)]
        for _ in range(10):
            stream = invoke(forever.requests[0])
            assert next(stream).id == "first"
            stream.cancel()
            assert stream.code() is grpc.StatusCode.CANCELLED
        read = [[item.id for item in one.result().told.read(soon)] for one in others]
        assert read == [["first", "second", "third"]] * 6
        assert calls.call(channel, soon).told.code == "OK"


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


# --- routes by hand -----------------------------------------------------------------------------------

BY_HAND = """\
name: by-tenant
match:
  grpc: store.v1.Store/Get
  metadata: {x-tenant: {prefix: eu-}}
  message: {id: {string: id}}
template: true
respond:
  metadata: [[x-region, eu], [x-raw-bin, {base64: AAH+/w==}]]
  message:
    id: "{{ id | upper }}"
    stock: 9007199254740993
    tags: ["{{ request.metadata.x-tenant }}", "{{ request.rpc }} of {{ request.service }}"]
    colour: GREEN
    picture: {base64: AP8=}
    since: "2026-11-23T03:22:10.5Z"
    shelves: {a: -1}
  trailers: {x-cost: "1"}
---
match: {grpc: store.v1.Store/Get, message: {id: {regex: "^t[0-9]+$"}}}
respond: {message: {id: numbered}}
---
request: {grpc: store.v1.Store/Get, message: {id: gone}}
respond:
  status:
    code: FAILED_PRECONDITION
    message: "gone: ☃"
    details:
      - {"@type": type.googleapis.com/google.rpc.ErrorInfo, reason: GONE, domain: shop, metadata: {id: gone}}
      - {"@type": type.googleapis.com/store.v1.Line, text: of its own, number: 7}
---
match: {grpc: store.v1.Store/Watch, message: {count: {gt: 2}}}
respond:
  messages:
    - message: {id: a}
    - {after: 10ms, message: {id: b}}
  status: {code: DATA_LOSS, message: after two}
---
match: {grpc: store.v1.Store/Sum, messages: {jsonpath: "$[?@.id == 'x']"}}
respond: {message: {items: 42}}
---
match: {grpc: store.v1.Store/Talk, message: {text: {prefix: "track "}}}
template: true
respond:
  messages: [{message: {text: "{{ request.message.text | upper }}: in Hamburg"}}, {message: {text: more}}]
---
match: {grpc: store.v1.Store/Talk, message: {text: {contains: refund}}}
respond: {status: {code: PERMISSION_DENIED, message: ask a human}}
"""


def test_routes_by_hand(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = by_hand(svcmock, tmp_path / "shop", BY_HAND)
    assert svcmock.run("check", mock.project).stdout.endswith(": 0 errors, 0 warnings\n")
    work = {
        "tenant": get("tea", ("x-tenant", "eu-1")),
        "regex": get("t12"),
        "gone": get("gone"),
        "watch": watch("x", 3),
        "sum": add(store.Item(id="y"), store.Item(id="x"), store.Item(id="z")),
        "talk": talk("track 1", "track 2", "a refund", turns=(0, 2, 2)),
        "talk to its end": talk("track 1", "track 2"),
        "other tenant": get("tea", ("x-tenant", "us-1")),
    }
    for run in (calls.run, calls.arun):
        seen = told(run(mock.ports["store"], work))
        (tenant,) = seen["tenant"].read(work["tenant"])
        assert (tenant.id, tenant.stock, tenant.picture) == ("TEA", 9007199254740993, b"\0\xff")
        assert list(tenant.tags) == ["eu-1", "Get of store.v1.Store"]
        assert (tenant.since.seconds, tenant.since.nanos) == (1795404130, 500_000_000)
        assert dict(tenant.shelves) == {"a": -1}
        assert seen["tenant"].initial[:2] == (("x-region", "eu"), ("x-raw-bin", b"\x00\x01\xfe\xff"))
        assert seen["tenant"].trailing == (("x-cost", "1"),)
        assert seen["regex"].read(work["regex"])[0].id == "numbered"
        gone = status_pb2.Status.FromString(dict(seen["gone"].trailing)["grpc-status-details-bin"])
        assert (seen["gone"].code, gone.message) == ("FAILED_PRECONDITION", "gone: ☃")
        info, line = error_details_pb2.ErrorInfo(), Line()
        assert gone.details[0].Unpack(info)
        assert gone.details[1].Unpack(line)
        assert (info.reason, dict(info.metadata), line.text) == ("GONE", {"id": "gone"}, "of its own")
        assert [item.id for item in seen["watch"].read(work["watch"])] == ["a", "b"]
        assert (seen["watch"].code, seen["watch"].details) == ("DATA_LOSS", "after two")
        assert seen["sum"].read(work["sum"])[0].items == 42
        lines = ["TRACK 1: in Hamburg", "more", "TRACK 2: in Hamburg", "more"]
        assert [line.text for line in seen["talk"].read(work["talk"])] == lines
        assert (seen["talk"].code, seen["talk"].details) == ("PERMISSION_DENIED", "ask a human")
        assert [line.text for line in seen["talk to its end"].read(work["talk"])] == lines
        assert seen["talk to its end"].code == "OK"
        assert seen["other tenant"].code == "NOT_FOUND"


def test_a_message_that_is_too_large(svcmock: Svcmock, tmp_path: Path) -> None:
    """In calls of all four kinds; what is as large as allowed is taken."""
    mock = by_hand(svcmock, tmp_path / "shop", BY_HAND, max_message=1000)
    large = "x" * 1000
    work: dict[str, Call] = {
        "unary": get(large),
        "server stream": watch(large, 3),
        "client stream": add(store.Item(id="x"), store.Item(id=large)),
        "talk": talk("track 1", large, turns=(0, 2)),
    }
    seen = told(calls.run(mock.ports["store"], work))
    assert {name: one.code for name, one in seen.items()} == dict.fromkeys(work, "RESOURCE_EXHAUSTED")
    allowed = "track " + "1" * (1000 - len(Line(text="track ").SerializeToString()) - 1)
    assert len(Line(text=allowed).SerializeToString()) == 1000
    assert calls.run(mock.ports["store"], {"": talk(allowed)})[""].told.code == "OK"


# --- what the mock answers by itself ------------------------------------------------------------------


def test_health(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = by_hand(svcmock, tmp_path / "shop", BY_HAND)
    serving = health_pb2.HealthCheckResponse.SERVING
    with calls.channel(mock.ports["store"]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", store.SERVICE):
            assert stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=20).status == serving
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="unknown.Service"), timeout=20)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        watching = stub.Watch(health_pb2.HealthCheckRequest(service=store.SERVICE), timeout=20)
        assert next(watching).status == serving
        assert watching.is_active()
        watching.cancel()
    assert mock.status()["services"]["store"]["misses"] == 0


def test_a_channel_that_checks_health_by_itself(svcmock: Svcmock, tmp_path: Path) -> None:
    """The client sends no call until its health check is answered, and stays subscribed to it."""
    port = by_hand(svcmock, tmp_path / "shop", BY_HAND).ports["store"]
    config = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": store.SERVICE}}
    options = (*calls.OPTIONS, ("grpc.service_config", json.dumps(config)))
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        for _ in range(3):
            assert calls.call(channel, get("t1")).told.code == "OK"


@pytest.mark.parametrize("source", ["a proto", "a recording"])
def test_reflection(svcmock: Svcmock, tmp_path: Path, source: str) -> None:
    """v1alpha with grpcio's own client, v1 by hand; the schema is a file's, or was learned while recording."""
    if source == "a proto":
        mock = by_hand(svcmock, tmp_path / "shop", BY_HAND)
    else:
        server, port = store_server(svcmock, "reflection")
        recorder = svcmock.record(tmp_path / "shop", {"store": f"http://127.0.0.1:{port}"})
        calls.run(recorder.ports["store"], {"item": WORK["item"]})
        learned(tmp_path / "shop")
        server.stop()
        recorder.stop()
        mock = svcmock.up(tmp_path / "shop")
    with calls.channel(mock.ports["store"]) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert store.SERVICE in database.get_services()
        file = database.FindFileContainingSymbol(store.SERVICE)
        assert [method.name for method in file.service[0].method] == ["Get", "Watch", "Sum", "Talk"]
        assert database.FindFileByName("google/protobuf/timestamp.proto").message_type[0].name == "Timestamp"
        with pytest.raises(KeyError):
            database.FindFileContainingSymbol("unknown.Service")

        ask = channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        questions = [
            reflection_pb2.ServerReflectionRequest(list_services="*"),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="store.v1.Item"),
        ]
        listed, told_file = ask(iter(questions), timeout=20)
        assert store.SERVICE in [one.name for one in listed.list_services_response.service]
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(data)
            for data in told_file.file_descriptor_response.file_descriptor_proto
        ]
        assert "Item" in [message.name for file in files for message in file.message_type]
    assert mock.status()["services"]["store"]["misses"] == 0


def test_a_reload_while_streams_run(svcmock: Svcmock, tmp_path: Path) -> None:
    """A stream that runs goes on as it began; the next call gets what the files say now."""
    mock = by_hand(svcmock, tmp_path / "shop", SLOWLY)
    soon = watch("soon", 0)
    with calls.channel(mock.ports["store"]) as channel:
        invoke = channel.unary_stream(
            soon.how.path,
            request_serializer=Watching.SerializeToString,
            response_deserializer=soon.how.output.FromString,
        )
        running = invoke(soon.requests[0], timeout=30)
        assert next(running).id == "first"
        routes = mock.project / "routes/a.yaml"
        routes.write_text(SLOWLY.replace("second", "changed"))
        assert svcmock.run("reload", mock.project).returncode == 0
        assert [item.id for item in running] == ["second", "third"]
        wait_until(lambda: [item.id for item in invoke(soon.requests[0], timeout=30)][1:2] == ["changed"])
