"""Cases: HTTP/2 beside nginx, gRPC beside grpc.aio."""

import base64
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import msgspec

from benchmarks import projects, servers
from benchmarks.generator import Rate
from benchmarks.grpc_server import MESSAGE, MESSAGES, STREAM, UNARY
from benchmarks.harness import NGINX, Bench, Side
from benchmarks.load import Load
from benchmarks.report import Goal, Row
from benchmarks.servers import Server
from benchmarks.streams import Blocks, Gaps, Streams

CONNECTIONS = 8
STREAMS = 10
AIO = "grpc.aio"
GAPS = (0.05, 0.02, 0.1, 0.03, 0.05, 0.02, 0.08, 0.05, 0.02, 0.05)
"""Seconds between the messages of a recorded stream."""
GAPPED = 200
"""Such streams at once."""
CALL = (("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", "grpc-c/1.0"))
PROTO = """syntax = "proto3";
package shop;
message Asked { string id = 1; }
message Item { string id = 1; string name = 2; int32 cents = 3; }
service Catalog {
  rpc GetItem(Asked) returns (Item);
  rpc Watch(Asked) returns (stream Item);
  rpc Slow(Asked) returns (stream Item);
}
"""
ASKED = b"\n\x07tea-100"
SPARE_SECONDS = 60.0
H2LOAD = "h2load"
_RATE = re.compile(r"finished in .*?, ([0-9.]+) req/s")
_COUNTS = re.compile(r"([0-9]+) succeeded, ([0-9]+) failed, ([0-9]+) errored")


def framed(message: bytes) -> bytes:
    """A message as it stands in a body."""
    return b"\0" + len(message).to_bytes(4) + message


class StreamSide(Side):
    """A server under load over HTTP/2. `body`: what it must answer to the first request."""

    def __init__(self, server: Server, streams: Streams, body: bytes, *, goal: Goal | None = None) -> None:
        super().__init__(server, Load(("/",), connections=streams.connections), goal=goal)
        self._streams = msgspec.structs.replace(streams, port=server.port)
        self._body = body

    def check(self) -> None:
        got = ask(self._streams)
        if got != self._body:
            raise RuntimeError(f"it answers {got[:200]!r}")

    def rate(self, seconds: float, folder: Path, tool: str) -> Rate:  # noqa: ARG002  tools of HTTP/1
        given = msgspec.structs.replace(self._streams, seconds=seconds)
        if not given.unique and shutil.which(H2LOAD) is not None:
            return h2load(given, folder)
        return msgspec.json.decode(generate(given), type=Rate)


def h2load(given: Streams, folder: Path) -> Rate:
    """The same load by nghttp2's generator, which sends the same headers each time. Raises RuntimeError."""
    command = [H2LOAD, "-t", "1", "-c", str(given.connections), "-m", str(given.streams)]
    command += ["-D", str(max(1, round(given.seconds)))]
    for name, value in given.headers:
        command += ["-H", f"{name}: {value}"]
    if given.body:
        sent = folder / "h2load.body"
        sent.write_bytes(base64.b64decode(given.body))
        command += ["-d", str(sent)]
    command.append(f"http://127.0.0.1:{given.port}{given.path}")
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=given.seconds + SPARE_SECONDS, check=False
    )
    rate, counts = _RATE.search(done.stdout), _COUNTS.search(done.stdout)
    if done.returncode or rate is None or counts is None:
        raise RuntimeError(f"h2load: {(done.stderr or done.stdout).strip()[-200:]}")
    answered, failed = int(counts[1]), int(counts[2]) + int(counts[3])
    return Rate(float(rate[1]) * given.messages, answered * given.messages, failed)


def generate(given: Streams) -> bytes:
    """What the generator, in a process of its own, has to say. Raises RuntimeError."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.streams"],
        input=msgspec.json.encode(given),
        capture_output=True,
        timeout=given.seconds + SPARE_SECONDS,
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace").strip().splitlines()[-1])
    return done.stdout


def ask(streams: Streams) -> bytes:
    """The body that one request is answered, read by another implementation. Raises RuntimeError."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    client.initiate_connection()
    body = base64.b64decode(streams.body)
    first = client.data_to_send()
    block = Blocks(streams).next(0)
    frame = len(block).to_bytes(3) + bytes([1, 4 if body else 5]) + (1).to_bytes(4) + block
    if body:
        frame += len(body).to_bytes(3) + bytes([0, 1]) + (1).to_bytes(4) + body
    # h2 is to read the reply, and so has to know of the request; its own encoding of it is not sent
    pseudo = {":method": "POST" if body else "GET", ":scheme": "http", ":path": "/", ":authority": "x"}
    client.send_headers(1, list(pseudo.items()), end_stream=True)
    client.data_to_send()
    with socket.create_connection(("127.0.0.1", streams.port), SPARE_SECONDS) as peer:
        try:
            peer.sendall(first + frame)
            return _body(peer, client)
        except ConnectionError as error:
            raise RuntimeError(f"it closed the connection: {error}") from None


def _body(peer: socket.socket, client: h2.connection.H2Connection) -> bytes:
    """The body of the first reply. Raises RuntimeError and OSError."""
    got = b""
    while data := peer.recv(1 << 16):
        for event in client.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                got += event.data
                client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                return got
            elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                raise RuntimeError(f"it answers with {event!r}")  # noqa: TRY004  no type is wrong here
        peer.sendall(client.data_to_send())
    raise RuntimeError("it closed the connection")


def http2(bench: Bench) -> None:
    """HTTP/2 beside nginx, gRPC beside grpc.aio."""
    path = projects.path_of(0)
    headers = (("accept", "application/json"), ("user-agent", "bench/1.0"))
    same = Streams(0, 0, CONNECTIONS, STREAMS, path, headers)
    differing = msgspec.structs.replace(same, unique="x-request-id")
    body = projects.BODY.encode()
    with bench.svcmock(projects.write(bench.project("http2"), 1)) as ours, nginx(bench) as others:
        for case, sent, goal in (
            ("HTTP/2: the same GET, 8 connections with 10 streams", same, 3.0),
            ("HTTP/2: a GET with a header that differs", differing, 0.6),
        ):
            sides = [StreamSide(ours, sent, body)]
            sides += [StreamSide(other, sent, body, goal=Goal(goal)) for other in others]
            bench.compare(case, sides)
    grpc(bench)


@contextmanager
def nginx(bench: Bench) -> Iterator[list[Server]]:
    """nginx with one worker, and with HTTP/2; or none."""
    binary = None if NGINX in bench.without else servers.nginx_binary()
    if binary is None:
        bench.leave_out(f"{NGINX} with HTTP/2", "it is not installed, or was not asked for")
        yield []
        return
    folder = bench.folder / "nginx-http2"
    with servers.nginx(binary, folder, {"/": projects.BODY}, {}, http2=True) as server:
        yield [server]


def grpc(bench: Bench) -> None:
    folder = bench.project("grpc")
    calls = [_call(UNARY, 1), _call(STREAM, MESSAGES), _call("/shop.Catalog/Slow", 0)]
    projects.write_routes(folder, calls, {"shop.proto": PROTO})
    graph = folder / "svcmock.yaml"
    graph.write_text(graph.read_text() + "    options: {proto: shop.proto}\n")
    request = base64.b64encode(framed(ASKED)).decode()

    def streams(path: str, *headers: tuple[str, str], **more: object) -> Streams:
        made = Streams(0, 0, CONNECTIONS, STREAMS, path, (*CALL, *headers), request)
        return msgspec.structs.replace(made, **more)

    same = streams(UNARY)
    differing = streams(UNARY, ("grpc-timeout", "9S"), unique="x-request-id")
    many = streams(STREAM, streams=2, messages=MESSAGES)
    cases = (
        ("gRPC: a unary call", same, framed(MESSAGE), 10.0),
        ("gRPC: a unary call, a timeout, metadata that differ", differing, framed(MESSAGE), 4.0),
        (f"gRPC: messages of streams of {MESSAGES:,}", many, framed(MESSAGE) * MESSAGES, 5.0),
    )
    port = servers.free_port()
    command = [sys.executable, "-m", "benchmarks.grpc_server", str(port)]
    where = Path(__file__).parent.parent
    with bench.svcmock(folder) as ours, servers.started(command, port, AIO, bench.folder, cwd=where) as aio:
        for case, sent, body, goal in cases:
            sides = [StreamSide(ours, sent, body), StreamSide(aio, sent, body, goal=Goal(goal))]
            bench.compare(case, sides)
        slow = streams("/shop.Catalog/Slow", streams=GAPPED // CONNECTIONS, gaps=GAPS, port=ours.port)
        gaps(bench, slow)
    without = projects.write_routes(bench.project("no-schema"), [_call(UNARY, 1)])
    with bench.svcmock(without) as ours, servers.started(command, port, AIO, bench.folder, cwd=where) as aio:
        sides = [StreamSide(ours, same, framed(MESSAGE)), StreamSide(aio, same, framed(MESSAGE))]
        bench.compare("gRPC: a unary call, without a schema", sides)


def gaps(bench: Bench, slow: Streams) -> None:
    """How exactly recorded gaps are kept while many streams run."""
    found = [msgspec.json.decode(generate(slow), type=Gaps) for _ in range(bench.size.rounds)]
    short = [one for one in found if one.messages != GAPPED * len(GAPS)]
    if short:
        raise RuntimeError(f"{short[0].messages} gaps were seen, of {GAPPED * len(GAPS)}")
    goal = Goal(5.0, most=True, of="value")
    case = f"gRPC: recorded gaps of {GAPPED} streams at once, 95 in 100 are off by less than"
    bench.note(Row(case, "ms", tuple(one.p95 for one in found), goal=goal))


def _call(path: str, messages: int) -> dict[str, object]:
    """A route as it is recorded without a schema: messages by their field numbers."""
    item = {"1": "tea-100", "2": "Tea from Assam.", "3": 1234}
    respond: dict[str, object] = {"message": item}
    if messages > 1:
        respond = {"messages": [{"message": item}] * messages}
    elif not messages:
        respond = {"messages": [{"message": item}, *({"after": f"{gap}s", "message": item} for gap in GAPS)]}
    return {"request": {"grpc": path[1:], "message": {"1": "tea-100"}}, "respond": respond}
