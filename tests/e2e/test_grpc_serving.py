"""gRPC served to clients of grpcio: routes by hand, deadlines, limits, and what the mock answers by itself."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from msgspec.structs import replace

from tests.e2e import calls, store
from tests.e2e.calls import Call, told
from tests.e2e.h2client import Client
from tests.e2e.processes import Svcmock, wait_until
from tests.e2e.services import by_hand, learned, store_server
from tests.e2e.store import ItemRef, Line, Watching
from tests.e2e.work import WORK, add, get, talk, watch

pytestmark = pytest.mark.timeout(120)  # several processes, one after the other, on a machine that may be busy

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
