"""Recording HTTP/2 and gRPC between real clients and servers: they hear what they hear without svcmock."""

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import trustme

from tests.e2e.http2 import Answered, Asked, http2_upstream
from tests.e2e.processes import Recorder, Svcmock
from tests.e2e.wire import Heard, ok, upstream

SECRET = "hunter2-hunter2"


def answer(asked: Asked) -> Answered:
    """What was asked, in two pieces, with a cookie and a trailer."""
    said = f"{asked.get(':method')} {asked.get(':path')} {asked.body.decode()}".encode()
    pieces = () if asked.get(":method") == "HEAD" else (said[:5], said[5:])
    fields = ((":status", "200"), ("content-type", "text/plain"), ("set-cookie", f"s={SECRET}; Path=/"))
    return Answered(fields, pieces, (("x-trailer", "1"),))


def curl(*argv: str) -> str:
    found = shutil.which("curl")
    assert found, "curl is needed"
    command = [found, "-sS", "--noproxy", "*", "-o", "-", "-w", "|%{http_version}", *argv]
    return subprocess.run(command, capture_output=True, timeout=30, check=True, text=True).stdout


def recorded(project: Path) -> str:
    """All that was written."""
    files = sorted((project / "recordings").rglob("*.yaml"))
    return "".join(path.read_text() for path in files)


# --- curl and httpx -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["--http2-prior-knowledge", "--http2"])
def test_curl(svcmock: Svcmock, tmp_path: Path, how: str) -> None:
    with http2_upstream(answer) as real:
        recorder = svcmock.record(tmp_path / "p", {"app": real.url})
        url = recorder.urls["app"]
        bearer = f"Authorization: Bearer {SECRET}"
        assert curl(how, "-H", bearer, f"{url}/a?b=1") == "GET /a?b=1 |2"
        assert curl(how, f"{url}/c") == "GET /c |2"
        if how == "--http2-prior-knowledge":
            assert curl(how, "-d", "x=1", f"{url}/form") == "POST /form x=1|2"
            assert curl(how, "-I", f"{url}/head").startswith("HTTP/2 200")
        told = recorder.stop()["app"]
    assert {asked.get(":authority") for asked in real.heard} == {real.url.partition("//")[2]}
    assert real.heard[0].get("authorization") == f"Bearer {SECRET}"
    assert told["recorded"] == told["accepted"] == len(real.heard)
    assert SECRET not in recorded(tmp_path / "p")


def test_a_server_that_does_not_upgrade(svcmock: Svcmock, tmp_path: Path) -> None:
    def plain(heard: Heard, peer: socket.socket) -> bool:
        assert heard.headers["upgrade"] == "h2c"
        peer.sendall(ok(b"hello"))
        return True

    with upstream(plain) as real:
        recorder = svcmock.record(tmp_path / "p", {"app": real.url})
        assert curl("--http2", recorder.urls["app"] + "/a") == "hello|1.1"
        assert recorder.stop()["app"]["recorded"] == 1


class Tls:
    """An authority, and what a server of its leaf speaks TLS with."""

    def __init__(self) -> None:
        self.authority = trustme.CA()

    def server(self, *alpn: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


def record_tls(svcmock: Svcmock, project: Path, url: str, tls: str = ", tls: auto") -> Recorder:
    project.mkdir()
    service = f"  app: {{listen: 0, protocol: http, upstream: '{url}', upstream_verify: false{tls}}}\n"
    (project / "svcmock.yaml").write_text(f"version: 1\nservices:\n{service}")
    return Recorder(svcmock.start("record", project), ["app"])


@contextmanager
def client(project: Path, *, http2: bool = True) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=str(project / ".svcmock/ca/ca.pem"))
    with httpx.Client(http2=http2, verify=context, trust_env=False) as made:
        yield made


def test_httpx_through_tls_on_both_sides(svcmock: Svcmock, tmp_path: Path) -> None:
    with http2_upstream(answer, Tls().server("h2")) as real:
        recorder = record_tls(svcmock, tmp_path / "p", real.url)
        with client(tmp_path / "p") as app:
            url = f"https://127.0.0.1:{recorder.ports['app']}"
            replies = [app.get(f"{url}/a"), app.post(f"{url}/b", content=b"x" * 5000), app.get(f"{url}/c")]
        assert [(one.http_version, one.status_code) for one in replies] == [("HTTP/2", 200)] * 3
        assert [one.text for one in replies] == ["GET /a ", "POST /b " + "x" * 5000, "GET /c "]
        assert recorder.stop()["app"]["recorded"] == 3
    assert {asked.get(":scheme") for asked in real.heard} == {"https"}
    assert SECRET not in recorded(tmp_path / "p")


def hello(heard: Heard, peer: socket.socket) -> bool:
    peer.sendall(ok(heard.target.encode()))
    return True


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)])
@pytest.mark.parametrize("secure", [True, False])
def test_a_client_is_offered_what_the_upstream_speaks(
    svcmock: Svcmock, tmp_path: Path, alpn: tuple[str, ...], secure: bool
) -> None:
    """A server of HTTP/1 alone, and a client that would rather speak HTTP/2."""
    with upstream(hello, Tls().server(*alpn) if secure else None) as real:
        recorder = record_tls(svcmock, tmp_path / "p", real.url)
        with client(tmp_path / "p") as app:
            reply = app.get(f"https://127.0.0.1:{recorder.ports['app']}/a")
        assert (reply.http_version, reply.text) == ("HTTP/1.1", "/a")
        assert recorder.stop()["app"]["recorded"] == 1


def test_a_client_with_tls_of_an_upstream_without(svcmock: Svcmock, tmp_path: Path) -> None:
    with http2_upstream(answer) as real:
        recorder = record_tls(svcmock, tmp_path / "p", real.url)
        with client(tmp_path / "p") as app:
            reply = app.get(f"https://127.0.0.1:{recorder.ports['app']}/a")
        assert (reply.http_version, reply.text) == ("HTTP/2", "GET /a ")
        assert recorder.stop()["app"]["recorded"] == 1


def test_a_client_without_tls_of_an_upstream_with(svcmock: Svcmock, tmp_path: Path) -> None:
    """What the upstream is offered is what the client's first bytes say."""
    with http2_upstream(answer, Tls().server("h2")) as real:
        recorder = record_tls(svcmock, tmp_path / "p", real.url, tls="")
        assert curl("--http2-prior-knowledge", recorder.urls["app"] + "/a") == "GET /a |2"
        assert recorder.stop()["app"]["recorded"] == 1


def test_an_upstream_that_refuses_what_the_client_speaks(svcmock: Svcmock, tmp_path: Path) -> None:
    with upstream(hello, Tls().server("http/1.1")) as real:
        recorder = record_tls(svcmock, tmp_path / "p", real.url, tls="")
        assert curl("--http1.1", recorder.urls["app"] + "/a") == "/a|1.1"
        told = curl("--http2-prior-knowledge", recorder.urls["app"] + "/a")
        assert "cannot be reached: it does not speak h2 over TLS" in told
        assert told.endswith("|2")
        summary = recorder.stop()["app"]
        assert (summary["recorded"], summary["failed"]) == (1, 1)


def test_an_upstream_that_is_not_there(svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]) -> None:
    recorder = svcmock.record(tmp_path / "p", {"app": f"http://127.0.0.1:{free_port()}"})
    told = curl("--http2-prior-knowledge", recorder.urls["app"] + "/a")
    assert told.startswith("svcmock: 127.0.0.1:")
    assert told.endswith("|2")
    target = f"127.0.0.1:{recorder.ports['app']}"
    with grpc.insecure_channel(target) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/shop.Shop/Get")(b"x", timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "cannot be reached" in caught.value.details()
    assert recorder.stop()["app"]["failed"] == 2


# --- gRPC ---------------------------------------------------------------------------------------------


class Shop(grpc.GenericRpcHandler):
    """All four kinds of calls, on bytes."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return {
            "/shop.Shop/Get": grpc.unary_unary_rpc_method_handler(self.get),
            "/shop.Shop/Watch": grpc.unary_stream_rpc_method_handler(self.watch),
            "/shop.Shop/Sum": grpc.stream_unary_rpc_method_handler(self.sum),
            "/shop.Shop/Chat": grpc.stream_stream_rpc_method_handler(self.chat),
        }.get(details.method)

    def get(self, asked: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata(
            (("x-key", dict(context.invocation_metadata()).get("authorization", "")),)
        )
        if asked == b"nothing":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: käse")
        return asked * 2

    def watch(self, asked: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        for number in range(3):
            time.sleep(0.02)
            yield asked + b"%d" % number

    def sum(self, asked: Iterable[bytes], context: grpc.ServicerContext) -> bytes:
        return b"+".join(asked)

    def chat(self, asked: Iterable[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"welcome"
        for one in asked:
            yield one + b"?"
            if one == b"enough":
                return


@contextmanager
def shop(*more: Callable[[Any], object], tls: grpc.ServerCredentials | None = None) -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((Shop(),))
    for add in more:
        add(server)
    address = "127.0.0.1:0"
    port = server.add_insecure_port(address) if tls is None else server.add_secure_port(address, tls)
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait(20)


def calls(port: int) -> list[object]:
    """What an application hears of one call of each kind, and of an error."""
    heard: list[object] = []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        secret = (("authorization", f"Bearer {SECRET}"),)
        got, call = channel.unary_unary("/shop.Shop/Get").with_call(b"one", metadata=secret, timeout=20)
        heard += [got, call.code(), call.trailing_metadata()]
        try:
            channel.unary_unary("/shop.Shop/Get")(b"nothing", timeout=20)
        except grpc.RpcError as error:
            heard += [error.code(), error.details()]
        heard.append(list(channel.unary_stream("/shop.Shop/Watch")(b"w", timeout=20)))
        heard.append(channel.stream_unary("/shop.Shop/Sum")(iter([b"1", b"2", b"x" * 100_000]), timeout=20))
        heard.append(list(channel.stream_stream("/shop.Shop/Chat")(iter([b"a", b"b"]), timeout=20)))
        heard.append(chatted(channel, [b"hi", b"enough"]))
        try:
            channel.unary_unary("/shop.Shop/Unknown")(b"", timeout=20)
        except grpc.RpcError as error:
            heard += [error.code(), error.details()]
    return heard


def chatted(channel: grpc.Channel, says: Sequence[bytes]) -> list[bytes]:
    """Say each only when the last was answered, and never that this was all."""
    from queue import SimpleQueue

    queue: SimpleQueue[bytes] = SimpleQueue()
    replies = channel.stream_stream("/shop.Shop/Chat")(iter(queue.get, None), timeout=20)
    heard = [next(replies)]
    for one in says:
        queue.put(one)
        heard.append(next(replies))
    return [*heard, *replies]


def test_all_kinds_of_calls(svcmock: Svcmock, tmp_path: Path) -> None:
    with shop() as port:
        alone = calls(port)
        recorder = svcmock.record(tmp_path / "p", {"shop": f"http://127.0.0.1:{port}"})
        assert calls(recorder.ports["shop"]) == alone
        told = recorder.stop()["shop"]
    assert (told["accepted"], told["recorded"]) == (7, 7), recorder.process.output
    assert recorded(tmp_path / "p").count("\n...\n") == 7
    assert SECRET not in recorded(tmp_path / "p")


def test_calls_through_tls_on_both_sides(svcmock: Svcmock, tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("127.0.0.1")
    chain = b"".join(one.bytes() for one in leaf.cert_chain_pems)
    with shop(tls=grpc.ssl_server_credentials([(leaf.private_key_pem.bytes(), chain)])) as port:
        recorder = record_tls(svcmock, tmp_path / "p", f"https://127.0.0.1:{port}")
        trusted = grpc.ssl_channel_credentials((tmp_path / "p/.svcmock/ca/ca.pem").read_bytes())
        with grpc.secure_channel(f"127.0.0.1:{recorder.ports['app']}", trusted) as channel:
            assert channel.unary_unary("/shop.Shop/Get")(b"one", timeout=20) == b"oneone"
            assert chatted(channel, [b"hi", b"enough"]) == [b"welcome", b"hi?", b"enough?"]
        assert recorder.stop()["app"]["recorded"] == 2


def test_many_calls_at_once_on_many_connections(svcmock: Svcmock, tmp_path: Path) -> None:
    with shop() as port:
        recorder = svcmock.record(tmp_path / "p", {"shop": f"http://127.0.0.1:{port}"})
        with ThreadPoolExecutor(8) as pool:
            heard = list(pool.map(calls, [recorder.ports["shop"]] * 16))
        assert all(one == heard[0] for one in heard)
        told = recorder.stop()["shop"]
    assert (told["accepted"], told["recorded"]) == (112, 112), recorder.process.output


def test_what_messages_mean_is_asked_of_the_upstream(svcmock: Svcmock, tmp_path: Path) -> None:
    """By a client that has gone before the answer is there."""
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection

    def add(server: Any) -> None:
        health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
        reflection.enable_server_reflection(("grpc.health.v1.Health", reflection.SERVICE_NAME), server)

    with shop(add) as port:
        recorder = svcmock.record(tmp_path / "p", {"shop": f"http://127.0.0.1:{port}"})
        with grpc.insecure_channel(f"127.0.0.1:{recorder.ports['shop']}") as channel:
            reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
        assert recorder.stop()["shop"]["recorded"] == 1
    schema = tmp_path / "p/recordings/shop/schema.binpb"
    assert schema.stat().st_mode & 0o777 == 0o600
    assert b"grpc.health.v1" in schema.read_bytes()
    assert "SERVING" in recorded(tmp_path / "p")
