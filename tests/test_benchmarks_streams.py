"""The load generator of HTTP/2 and gRPC, what it is checked with, and the gRPC server that we stand beside."""

import base64
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import grpc
import h2.config
import h2.connection
import h2.events
import hpack
import msgspec
import pytest

from benchmarks import http2, projects, servers, streams
from benchmarks.generator import Rate
from benchmarks.grpc_server import MESSAGE, MESSAGES, STREAM, UNARY
from benchmarks.streams import Blocks, Gaps, Streams

ROOT = Path(__file__).parents[1]
REQUESTS = 300
HEADERS = (("accept", "application/json"), ("user-agent", "bench/1.0"))
CALL = base64.b64encode(http2.framed(http2.ASKED)).decode()

pytestmark = pytest.mark.timeout(60)


def sending(port: int = 0, **more: object) -> Streams:
    base = {"port": port, "seconds": 0.2, "connections": 2, "streams": 3, "path": "/a?b=c", "headers": HEADERS}
    return msgspec.convert({**base, **more}, Streams)


# --- header blocks ------------------------------------------------------------------------------------


def decoded(sent: Streams, count: int) -> tuple[list[bytes], list[list[tuple[str, str]]], hpack.Decoder]:
    blocks, decoder = Blocks(sent), hpack.Decoder()
    made = [blocks.next(number) for number in range(count)]
    return made, [[(str(name), str(value)) for name, value in decoder.decode(one)] for one in made], decoder


@pytest.mark.parametrize("name", ["x-request-id", "x-r", "x-" + "long-" * 20])
def test_blocks_with_a_unique_header_are_read_by_another_implementation(name: str) -> None:
    made, lists, decoder = decoded(sending(unique=name), REQUESTS)
    control = [(":method", "GET"), (":scheme", "http"), (":path", "/a?b=c"), (":authority", "shop")]
    assert lists == [[*control, *HEADERS, (name, f"{number:036}")] for number in range(REQUESTS)]
    entry = len(name) + 36 + 32
    assert entry * REQUESTS > 4096 >= decoder.header_table._current_size > 4096 - 2 * entry
    # the other fields are pushed out, and sent anew, now and then
    again = [number for number, one in enumerate(made) if b"bench/1.0" in one]
    assert 1 < len(again) < REQUESTS / 10


def test_blocks_that_are_all_the_same_are_indexes_after_the_first() -> None:
    made, lists, _ = decoded(sending(body="eA=="), 3)
    assert lists[0] == lists[1] == lists[2]
    assert lists[0][0] == (":method", "POST")
    assert len(made[0]) > len(made[1])
    assert made[1] == made[2] == b"\x83\x86\x04\x06/a?b=c\xc0\xbf\xbe"


# --- a server that is watched -------------------------------------------------------------------------

Answer = Callable[[h2.connection.H2Connection, int], None]


@contextlib.contextmanager
def serving(
    answer: Answer, *, most: float = 1e9, gaps: tuple[float, ...] = ()
) -> Iterator[tuple[int, list[str]]]:
    """A server by the h2 library. It closes its connections after `most` requests on them.

    `gaps`: after each of them, every stream that is open gets another byte, with the last its end. What the
    clients' requests had in x-id is collected.
    """
    seen: list[str] = []
    threads: list[threading.Thread] = []

    def serve(peer: socket.socket) -> None:
        engine = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        engine.initiate_connection()
        opened: list[int] = []
        # h2 has no state for what a client says after a GOAWAY
        with peer, contextlib.suppress(OSError, KeyError):
            peer.sendall(engine.data_to_send())
            while len(opened) < most and (data := peer.recv(65536)):
                events = engine.receive_data(data)
                if any(isinstance(event, h2.events.ConnectionTerminated) for event in events):
                    break  # the client is done: h2 lets nobody answer any more
                for event in events:
                    if isinstance(event, h2.events.RequestReceived):
                        seen.append(dict(event.headers).get(b"x-id", b"").decode())
                    elif isinstance(event, h2.events.StreamEnded):
                        opened.append(event.stream_id)
                        answer(engine, event.stream_id)
                peer.sendall(engine.data_to_send())
                if gaps and len(opened) == 3:  # the client says no more, but that it has our settings
                    for place, gap in enumerate(gaps):
                        time.sleep(gap)
                        for stream in opened:
                            engine.send_data(stream, b"x", end_stream=place == len(gaps) - 1)
                        peer.sendall(engine.data_to_send())
                    break

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                thread = threading.Thread(target=serve, args=(listening.accept()[0],))
                thread.start()
                threads.append(thread)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listening.getsockname()[1], seen
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *threads):
                thread.join(10)
                assert not thread.is_alive()


def ok(engine: h2.connection.H2Connection, stream: int) -> None:
    engine.send_headers(stream, [(":status", "200")])
    engine.send_data(stream, b"hi", end_stream=True)


def head(engine: h2.connection.H2Connection, stream: int) -> None:
    engine.send_headers(stream, [(":status", "204")], end_stream=True)


def begun(engine: h2.connection.H2Connection, stream: int) -> None:
    engine.send_headers(stream, [(":status", "200")])
    engine.send_data(stream, b"x")


def broken(engine: h2.connection.H2Connection, stream: int) -> None:
    engine.reset_stream(stream, 2)


def pinging(engine: h2.connection.H2Connection, stream: int) -> None:
    engine.ping(b"12345678")
    ok(engine, stream)


def gone(engine: h2.connection.H2Connection, _: int) -> None:
    engine.close_connection(11)


# --- runs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "body"), [(ok, ""), (head, ""), (pinging, ""), (ok, "YWJj")])
def test_it_counts_the_streams_that_end(answer: Answer, body: str) -> None:
    with serving(answer) as (port, seen):
        rate = streams.run(sending(port, unique="x-id", body=body))
    assert 0 < rate.total <= len(seen)
    assert len(seen) - rate.total <= 2 * 2 * 3  # what was open at the end
    assert (rate.wrong, rate.per_second > 0) == (0, True)
    assert len(set(seen)) == len(seen)


def test_messages_are_counted_by_the_stream() -> None:
    with serving(ok) as (port, seen):
        rate = streams.run(sending(port, messages=7))
    assert rate.total % 7 == 0
    assert 0 < rate.total <= 7 * len(seen)


def test_streams_that_are_reset_are_wrong() -> None:
    with serving(broken) as (port, _):
        rate = streams.run(sending(port))
    assert (rate.total, rate.wrong > 6) == (0, True)  # more than those that were opened at first


def test_a_server_that_says_goodbye_is_no_rate() -> None:
    with serving(gone, most=1) as (port, _), pytest.raises(ConnectionError):
        streams.run(sending(port, connections=1, streams=1, seconds=5.0))


def test_a_server_that_closes_is_no_rate() -> None:
    with serving(ok, most=20) as (port, _), pytest.raises(ConnectionError):
        streams.run(sending(port, seconds=5.0))


def test_the_window_opens_again_after_much_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CREDIT", 10)
    windows: list[int] = []

    def noting(engine: h2.connection.H2Connection, stream: int) -> None:
        windows.append(engine.outbound_flow_control_window)
        ok(engine, stream)

    with serving(noting) as (port, _):
        rate = streams.run(sending(port, connections=1))
    assert rate.wrong == 0
    assert any(after > before for before, after in pairwise(windows))


# --- gaps ---------------------------------------------------------------------------------------------


def test_gaps_that_are_kept_and_gaps_that_are_not() -> None:
    with serving(begun, gaps=(0.05, 0.1)) as (port, _):
        kept = streams.measure_gaps(sending(port, gaps=(0.05, 0.1)))
    assert (kept.streams, kept.messages) == (6, 12)
    assert 0 < kept.p50 <= kept.p95
    with serving(begun, gaps=(0.05, 0.1)) as (port, _):
        other = streams.measure_gaps(sending(port, gaps=(0.45, 0.5)))
    assert other.messages == 12
    assert kept.p50 < 200 < other.p50 < 600


def test_streams_without_a_message_have_no_gaps() -> None:
    with serving(head) as (port, _):
        assert streams.measure_gaps(sending(port, gaps=(1.0,))) == Gaps(0, 0, 0.0, 0.0)


# --- asking -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["", "YWJj"])
def test_one_request_is_read_by_another_implementation(body: str) -> None:
    with serving(ok) as (port, seen):
        assert http2.ask(sending(port, unique="x-id", body=body)) == b"hi"
    assert seen == ["0" * 36]


def test_a_reply_larger_than_the_windows_is_read() -> None:
    def large(engine: h2.connection.H2Connection, stream: int) -> None:
        engine.send_headers(stream, [(":status", "200")])
        for _ in range(4):
            engine.send_data(stream, b"x" * 16000)
        engine.end_stream(stream)

    with serving(large) as (port, _):
        assert http2.ask(sending(port)) == b"x" * 64000


@pytest.mark.parametrize(
    ("answer", "most", "why"),
    [(broken, 9, "StreamReset"), (gone, 9, "ConnectionTerminated"), (begun, 1, "it closed the connection")],
)
def test_a_request_without_a_reply_is_told(answer: Answer, most: int, why: str) -> None:
    with serving(answer, most=most) as (port, _), pytest.raises(RuntimeError, match=why):
        http2.ask(sending(port))


def test_a_side_that_answers_otherwise_is_not_measured(tmp_path: Path) -> None:
    with serving(ok) as (port, _):
        server = servers.Server("h2", 0.0, 0, port)
        http2.StreamSide(server, sending(), b"hi").check()
        with pytest.raises(RuntimeError, match="it answers b'hi'"):
            http2.StreamSide(server, sending(), b"ho").check()
        rate = http2.StreamSide(server, sending(), b"hi").rate(0.1, tmp_path, "")
    assert (rate.total > 0, rate.wrong) == (True, 0)


def test_a_generator_that_fails_is_told(free_port: Callable[[], int]) -> None:
    with pytest.raises(RuntimeError, match="refused"):
        http2.generate(sending(free_port()))


# --- the servers that are compared --------------------------------------------------------------------


def test_svcmock_under_load(tmp_path: Path) -> None:
    project = projects.write(tmp_path / "project", 1)
    with servers.daemon(project, tmp_path) as server:
        sent = sending(server.port, path=projects.path_of(0), unique="x-request-id")
        assert http2.ask(sent) == projects.BODY.encode()
        rate = msgspec.json.decode(http2.generate(sent), type=Rate)
    assert (rate.total > 0, rate.wrong) == (True, 0)


def test_recorded_gaps_of_svcmock(tmp_path: Path) -> None:
    call = http2._call("/shop.Catalog/Slow", 0)
    project = tmp_path / "project"
    projects.write_routes(project, [call])
    with servers.daemon(project, tmp_path) as server:
        slow = sending(server.port, path="/shop.Catalog/Slow", headers=http2.CALL, body=CALL, gaps=http2.GAPS)
        found = msgspec.json.decode(http2.generate(slow), type=Gaps)
    assert (found.streams, found.messages) == (6, 6 * len(http2.GAPS))


def test_the_server_of_grpc_answers_what_is_asked_and_nothing_else(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.grpc_server", str(port)]
    with (
        servers.started(command, port, http2.AIO, tmp_path, cwd=ROOT),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        assert channel.unary_unary(UNARY)(b"", timeout=20) == MESSAGE
        assert list(channel.unary_stream(STREAM)(b"", timeout=20)) == [MESSAGE] * MESSAGES
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/shop.Catalog/Other")(b"", timeout=20)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
        call = sending(port, path=UNARY, headers=http2.CALL, body=CALL)
        assert http2.ask(call) == http2.framed(MESSAGE)
        rate = streams.run(call)
    assert (rate.total > 0, rate.wrong) == (True, 0)


def test_what_every_server_answers_is_a_message_of_protobuf() -> None:
    fields = (b"\x0a\x07tea-100", b"\x12\x0fTea from Assam.", bytes((0x18, 1234 & 127 | 128, 1234 >> 7)))
    assert b"".join(fields) == MESSAGE
