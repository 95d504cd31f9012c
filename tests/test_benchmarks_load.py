"""The load generators of the benchmarks: what they send, and what they count."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import generator, load
from benchmarks.generator import Given, Rate
from benchmarks.load import Load

Reply = Callable[[int], list[bytes]]


class Seen:
    """What a server saw: requests, and how many connections there were."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0


@contextlib.contextmanager
def serving(reply: Reply, *, close: bool = False) -> Iterator[tuple[int, Seen]]:
    """A server that sends the pieces of `reply` to each request, one connection after the other."""
    seen = Seen()
    over = threading.Event()

    def serve(listening: socket.socket) -> None:
        while not over.is_set():
            client, _ = listening.accept()
            seen.connections += 1
            with client, contextlib.suppress(ConnectionError):
                while data := client.recv(4096):
                    seen.requests.append(data)
                    for piece in reply(len(seen.requests)):
                        client.sendall(piece)
                    if close:
                        break

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        try:
            yield listening.getsockname()[1], seen
        finally:
            over.set()
            with contextlib.suppress(OSError), socket.create_connection(listening.getsockname()):
                pass
            thread.join(10)


def ok(_number: int) -> list[bytes]:
    return [b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 4\r\n\r\nab", b"cd"]


def asked(port: int, **more: object) -> Given:
    base = {"targets": ("/a", "/b"), "fields": "Host: x\r\n", "unique": True, "port": port, "seconds": 0.05}
    return Given(**{**base, "connections": 1, "stride": 1, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(("status", "wrong"), [(b"200 OK", False), (b"501 Not Implemented", True)])
def test_it_counts_answers_in_pieces_and_wrong_ones(status: bytes, wrong: bool) -> None:
    def reply(number: int) -> list[bytes]:
        return [piece.replace(b"200 OK", status) for piece in ok(number)]

    with serving(reply) as (port, seen):
        rate = generator.measure(asked(port, first=100))
    assert rate.total > 0
    assert rate.wrong in ((rate.total, rate.total + 1) if wrong else (0,))
    assert 0 < rate.p50 <= rate.p99
    assert seen.requests[0] == b"GET /b HTTP/1.1\r\nHost: x\r\nX-Request-Id: 101\r\n\r\n"
    assert seen.requests[1] == b"GET /a HTTP/1.1\r\nHost: x\r\nX-Request-Id: 102\r\n\r\n"


def test_bodies_that_are_not_as_expected_are_wrong() -> None:
    def every_third(number: int) -> list[bytes]:
        return [piece.replace(b"cd", b"cx") for piece in ok(number)] if number % 3 == 0 else ok(number)

    with serving(every_third) as (port, _):
        rate = generator.measure(asked(port, expect="abc[d-f]"))
    assert rate.total >= 3
    assert rate.wrong == rate.total // 3


def test_a_post_and_a_connection_for_each_request() -> None:
    with serving(ok, close=True) as (port, seen):
        rate = generator.measure(asked(port, unique=False, method="POST", body="{}", close=True))
    assert rate.total > 1
    assert seen.connections > rate.total  # one more to end with
    assert seen.requests[0] == b"POST /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n{}"


def test_with_a_rate_nothing_is_sent_before_it_is_due() -> None:
    with serving(ok) as (port, seen):
        rate = generator.measure(asked(port, rate=0.001, seconds=0.1, connections=1))
    assert rate.total == len(seen.requests) == 1


def test_a_server_that_closes_ends_it() -> None:
    with serving(ok, close=True) as (port, _), pytest.raises(ConnectionError):
        generator.measure(asked(port, seconds=5.0))


@given(st.lists(st.floats(0, 100), min_size=1), st.sampled_from([0.5, 0.99]))
def test_quantiles(values: list[float], part: float) -> None:
    got = generator._quantile(values, part)
    assert got in values
    assert sum(value <= got for value in values) >= part * len(values)
    assert sum(value < got for value in values) <= part * len(values)


def test_no_latency_of_nothing() -> None:
    assert generator._quantile([], 0.5) == 0


# --- the tools ----------------------------------------------------------------------------------------


def test_our_own_generator_is_always_there() -> None:
    assert load.available()[-1] == load.OWN
    assert load.version(load.OWN) == "benchmarks/generator.py"


@pytest.mark.parametrize("tool", load.available())
def test_every_tool_that_is_here_sends_the_same(tool: str, tmp_path: Path) -> None:
    body = '{"a": "\\"b\\""}'
    sent = Load(("/a?b=c",), {"X-Quoted": 'a "b" \\c'}, unique=True, method="POST", body=body, connections=1)
    with serving(ok) as (port, seen):
        rate = load.run(sent, port, 1 if tool != load.OWN else 0.05, tmp_path, tool)
    assert rate.total > 0
    assert rate.wrong == 0
    numbers = []
    for request in seen.requests[1:10]:
        head, _, got = request.decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        assert (first, got) == ("POST /a?b=c HTTP/1.1", body)
        assert (fields["host"], fields["x-quoted"]) == (f"127.0.0.1:{port}", 'a "b" \\c')
        assert fields["content-length"] == str(len(body))
        numbers.append(int(fields["x-request-id"]))
    assert len(set(numbers)) == len(numbers)


def test_no_two_runs_send_the_same_unique_header() -> None:
    scripts = [load.script(Load(("/a",), unique=True), 80) for _ in range(2)]
    assert scripts[0] != scripts[1]


def test_one_request_that_never_changes_needs_no_lua() -> None:
    assert "request =" not in load.script(Load(("/a",)), 80)
    assert "request =" in load.script(Load(("/a", "/b")), 80)
    assert "delay =" not in load.script(Load(("/a",)), 80)
    assert "delay =" in load.script(Load(("/a",), rate=5), 80)


def test_what_lua_would_read_otherwise_is_refused() -> None:
    with pytest.raises(ValueError, match="only ASCII"):
        load.script(Load(("/ä",)), 80)


def test_a_generator_that_fails_is_told(free_port: Callable[[], int], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="refused"):
        load.run(Load(("/a",)), free_port(), 0.05, tmp_path, load.OWN)


def test_the_generator_is_a_program_that_reads_and_writes_json() -> None:
    with serving(ok) as (port, _):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.generator"],
            input=msgspec.json.encode(asked(port)),
            capture_output=True,
            timeout=30,
            check=True,
            cwd=Path(__file__).parents[1],
        )
    assert msgspec.convert(json.loads(done.stdout), Rate).total > 0
