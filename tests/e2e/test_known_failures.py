"""What goes wrong with recordings of connections elsewhere, tried with every protocol.

See docs/known-failures.md.
"""

import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.e2e.h2client import Client as Http2
from tests.e2e.processes import Recorder, Svcmock, resident
from tests.e2e.redis_server import redis_server
from tests.e2e.wire import Reading, get
from tests.protocols.postgres import wire as postgres
from tests.protocols.redis.making import wire as redis

TIMEOUT = 30.0
MIB = 1 << 20
Talk = Callable[[socket.socket], None]


@contextmanager
def server(talk: Talk) -> Iterator[int]:
    """A server of the loopback that has this part in each connection; gives its port."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    threads: list[threading.Thread] = []

    def serve(peer: socket.socket) -> None:
        peer.settimeout(TIMEOUT)
        with peer, suppress(OSError):
            talk(peer)

    def accept() -> None:
        with suppress(OSError):
            while True:
                thread = threading.Thread(target=serve, args=(listening.accept()[0],))
                threads.append(thread)
                thread.start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for thread in (accepting, *threads):
            thread.join(TIMEOUT)


def connect(port: int) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def hear(peer: socket.socket, size: int) -> bytes:
    """So many bytes, or as many as come."""
    data = b""
    while len(data) < size and (piece := peer.recv(size - len(data))):
        data += piece
    return data


def end(peer: socket.socket) -> bytes:
    """All that still comes; a reset is an end as well."""
    data = b""
    with suppress(ConnectionResetError):
        while piece := peer.recv(MIB):
            data += piece
    return data


def project(folder: Path, routes: dict[str, str] | None = None, **services: dict[str, Any]) -> Path:
    """A project with these services and their routes."""
    graph = {name: {"listen": 0, "routes": f"routes/{name}/", **one} for name, one in services.items()}
    for name in services:
        (folder / "routes" / name).mkdir(parents=True)
        if routes is not None:
            (folder / "routes" / name / "a.yaml").write_text(routes[name])
    (folder / "svcmock.yaml").write_text(yaml.safe_dump({"version": 1, "services": graph}))
    return folder


def record(svcmock: Svcmock, folder: Path, *names: str) -> Recorder:
    """Record into the folders of these services' routes."""
    graph = yaml.safe_load((folder / "svcmock.yaml").read_text())
    for name in names:
        graph["services"][name]["routes"] = f"recordings/{name}/"
        (folder / "recordings" / name).mkdir(parents=True)
    (folder / "svcmock.yaml").write_text(yaml.safe_dump(graph))
    return Recorder(svcmock.start("record", folder), names)


# --- a miss ends no connection ------------------------------------------------------------------------

LINES = {"framing": {"delimiter": "\n"}, "on_miss": {"reply": {"text": "ERR {miss}"}}}
KNOWN = {
    "web": "request: {path: /known}\nrespond: {body: known}\n---\n"
    'request: {grpc: a.B/Known, message: {"1": 1}}\nrespond: {message: {"1": 2}}\n',
    "cache": "request: {command: GET known}\nrespond: {value: known}\n",
    "db": "request: {sql: SELECT known}\nrespond: {columns: [known], rows: [[known]]}\n",
    "lines": "request: {text: known}\nrespond: {text: KNOWN}\n",
}


def http_1(port: int) -> list[Any]:
    with connect(port) as peer:
        replies = Reading(peer)
        told = []
        for path in ("/known", "/unknown", "/known"):
            peer.sendall(get(path))
            told.append(replies.reply())
    return [int(one.split()[1]) for one in told]


def http_2(port: int) -> list[Any]:
    with Http2(port) as client:
        told = [client.answer(client.ask(path)) for path in ("/known", "/unknown", "/known")]
        assert client.goaway is None
    assert [one.reset for one in told] == [None] * 3
    return [int(one.headers[":status"]) for one in told]


def grpc(port: int) -> list[Any]:
    """The status of a miss stands in its trailers, or alone, never in a body or beside one."""
    with Http2(port) as client:
        told = [client.answer(client.call("/a.B/Known", bytes([8, number]))) for number in (1, 7, 1)]
        assert client.goaway is None
    known, missed, _ = told
    assert (known.body, known.trailers["grpc-status"]) == (b"\0\0\0\0\2\x08\2", "0")
    assert missed.headers[":status"] == "200"
    assert missed.headers["content-type"].startswith("application/grpc")
    assert missed.body == b""
    return [int((one.trailers or one.headers)["grpc-status"]) for one in told]


def of_redis(port: int) -> list[Any]:
    with connect(port) as peer:
        peer.sendall(redis("GET known", "GET unknown", "GET known"))
        lines = peer.makefile("rb")
        told = [lines.readline() for _ in range(5)]
        lines.close()
    return [one[:1] for one in (told[0], told[2], told[3])]


def of_postgres(port: int) -> list[Any]:
    told: list[Any] = []
    with psycopg.connect(host="127.0.0.1", port=port, user="a", dbname="b", autocommit=True) as db:
        for sql in ("SELECT known", "SELECT unknown", "SELECT known"):
            try:
                told.append(db.execute(sql).fetchone())
            except psycopg.Error as error:
                told.append(error.sqlstate)
    return told


def of_lines(port: int) -> list[Any]:
    with connect(port) as peer, peer.makefile("rb") as lines:
        peer.sendall(b"known\nunknown\nknown\n")
        return [lines.readline().split()[0] for _ in range(3)]


def test_a_miss_ends_no_connection(svcmock: Svcmock, tmp_path: Path) -> None:
    """It is an error of the protocol, and the connection goes on: a pool must not take the server for dead."""
    services: dict[str, Any] = {
        "web": {},
        "cache": {"protocol": "redis"},
        "db": {"protocol": "postgres"},
        "lines": {"protocol": "tcp", "options": LINES},
    }
    mock = svcmock.up(project(tmp_path / "p", KNOWN, **services))
    assert http_1(mock.ports["web"]) == [200, 501, 200]
    assert http_2(mock.ports["web"]) == [200, 501, 200]
    assert grpc(mock.ports["web"]) == [0, 5, 0]
    assert of_redis(mock.ports["cache"]) == [b"$", b"-", b"$"]
    assert of_postgres(mock.ports["db"]) == [("known",), "58000", ("known",)]
    assert of_lines(mock.ports["lines"]) == [b"KNOWN", b"ERR", b"KNOWN"]
    told = mock.status()["services"]
    assert {name: one["misses"] for name, one in told.items()} == {"web": 3, "cache": 1, "db": 1, "lines": 1}


# --- TLS that starts later ----------------------------------------------------------------------------

SECURE = {"framing": {"delimiter": "\n"}, "starttls": {"on": "STARTTLS", "reply": "OK", "decline": "NO"}}
ASKING = {"db": postgres.SSL, "lines": b"STARTTLS\n"}


class Hasty:
    """A client of TLS that does not wait for the answer to its question whether TLS is spoken."""

    def __init__(self) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        self.tls = trust.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        self.hello = self.outgoing.read()


def hasty(port: int, asking: bytes, *, apart: bool) -> tuple[bytes, bytes]:
    """What it begins TLS with, in one segment with its question or right after it; and all that it is told."""
    client = Hasty()
    with connect(port) as peer:
        for piece in (asking, client.hello) if apart else (asking + client.hello,):
            peer.sendall(piece)
        peer.shutdown(socket.SHUT_WR)
        return client.hello, end(peer)


@pytest.mark.parametrize("service", ["db", "lines"])
def test_a_hello_of_tls_that_comes_too_early_is_never_taken_for_text(
    svcmock: Svcmock, tmp_path: Path, service: str
) -> None:
    """Neither does the real server see it in the clear, nor is a route looked for."""
    heard = bytearray()

    def talk(peer: socket.socket) -> None:
        """Agrees to all that it is asked."""
        while data := peer.recv(MIB):
            heard.extend(data)
            peer.sendall(b"OK\n")

    with server(talk) as port:
        services: dict[str, Any] = {
            "db": {"protocol": "postgres", "tls": "auto", "upstream": f"postgres://127.0.0.1:{port}"},
            "lines": {
                "protocol": "tcp",
                "tls": "auto",
                "options": SECURE,
                "upstream": f"tcp://127.0.0.1:{port}",
            },
        }
        folder = project(tmp_path / "p", **services)
        recorder = record(svcmock, folder, service)
        told = [hasty(recorder.ports[service], ASKING[service], apart=apart) for apart in (False, True)]
        assert recorder.stop()[service]["recorded"] == 0
    mock = svcmock.up(folder)
    told += [hasty(mock.ports[service], ASKING[service], apart=apart) for apart in (False, True)]
    for hello, answer in told:
        assert hello[11:43] not in heard  # the random number that tells it from the recorder's own
        assert re.match(rb"OK\n" if service == "lines" else rb"S|E.*unencrypted data", answer, re.DOTALL)
    assert mock.status()["services"][service]["misses"] == 0


# --- replies that are more than one read, or more than one reply -----------------------------------------

BURST = 70_000
"""Bytes of each of the three bursts of a reply: more than a read."""
PUSHED = b"\0\0\0\x04news"
TALK = ((b"GET 1\nGET 2\n", 2), (b"GET 3\n", 1))
"""What a client sends, and how many replies it waits for."""
FRAMED = {"framing": {"client": {"delimiter": "\n"}, "server": {"length": {"width": 4}}}}


def bursts(peer: socket.socket) -> None:
    """Answers each line in three bursts, and says one thing that nobody has asked for."""
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    gap = threading.Event()
    with peer.makefile("rb") as lines:
        while line := lines.readline():
            peer.sendall(struct.pack(">I", BURST * 3))
            for burst in range(3):
                peer.sendall(bytes([line[4], burst]) * (BURST // 2))
                gap.wait(0.03)  # a gap that ends a reply wherever time is taken for its end
            if line[4:5] == b"3":
                peer.sendall(PUSHED)


def burst_talk(port: int) -> bytes:
    with connect(port) as peer:
        told = []
        for said, replies in TALK:
            peer.sendall(said)
            told.append(hear(peer, replies * (4 + BURST * 3)))
        return b"".join([*told, hear(peer, len(PUSHED))])


def test_replies_that_come_in_bursts_are_whole_and_never_anothers(svcmock: Svcmock, tmp_path: Path) -> None:
    """By frames that are declared, and without anything that is known of them."""
    with server(bursts) as port:
        upstream = {"protocol": "tcp", "upstream": f"tcp://127.0.0.1:{port}"}
        folder = project(tmp_path / "p", framed={**upstream, "options": FRAMED}, tape=upstream)
        recorder = record(svcmock, folder, "framed", "tape")
        told = burst_talk(recorder.ports["framed"])
        assert burst_talk(recorder.ports["tape"]) == told
        recorder.stop()
    assert told.endswith(b"3\2" * (BURST // 2) + PUSHED)
    mock = svcmock.up(folder)
    for port in mock.ports.values():
        assert burst_talk(port) == told
        with connect(port) as peer:
            peer.sendall(b"GET 4\n")
            peer.shutdown(socket.SHUT_WR)
            assert end(peer) == b""


def test_several_replies_to_one_request_of_redis(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """And a message in the middle: in RESP3 they come on the connection of the commands."""
    port = free_port()
    real = redis_server(svcmock, port, tmp_path / "data")

    def talk(port: int, publish: Callable[[], object]) -> list[bytes]:
        with connect(port) as peer, peer.makefile("rb") as lines:

            def told(count: int) -> list[bytes]:
                return [lines.readline() for _ in range(count)]

            peer.sendall(redis("HELLO 3"))
            while lines.readline() != b"$7\r\n" or lines.readline() != b"modules\r\n":
                pass
            assert lines.readline() == b"*0\r\n"
            peer.sendall(redis("SUBSCRIBE a b c", "SET key 1", "UNSUBSCRIBE b", "INCR key"))
            found = told(3 * 6 + 1 + 6 + 1)
            publish()
            found += told(7)
            peer.sendall(redis("GET key", "UNSUBSCRIBE"))
            return found + told(2) + sorted(told(2 * 6))

    def by_another() -> None:
        with connect(port) as other:
            other.sendall(redis("PUBLISH a hello"))
            assert hear(other, 4) == b":1\r\n"

    recorder = svcmock.record(tmp_path / "p", {"db": f"redis://127.0.0.1:{port}"})
    told = talk(recorder.ports["db"], by_another)
    assert real.stop() == 0
    counted = recorder.stop()["db"]
    assert counted["failed"] == counted["passed on unread"] == 0
    mock = svcmock.up(tmp_path / "p")
    assert talk(mock.ports["db"], lambda: None) == told
    assert mock.status()["services"]["db"]["misses"] == 0


# --- servers that speak first -------------------------------------------------------------------------


def greeting(peer: socket.socket) -> None:
    peer.sendall(b"220 ready\n")
    with peer.makefile("rb") as lines:
        for line in lines:
            peer.sendall(b"250 " + line)


def test_a_server_that_speaks_first_is_let_speak(svcmock: Svcmock, tmp_path: Path) -> None:
    """Even where the client's first byte would tell whether it speaks TLS: one that waits is in plain text."""

    def talk(port: int) -> list[bytes]:
        with connect(port) as peer:
            banner = hear(peer, 10)
            peer.sendall(b"hello\n")
            return [banner, hear(peer, 10)]

    with server(greeting) as port:
        upstream = {"protocol": "tcp", "upstream": f"tcp://127.0.0.1:{port}", "tls": "auto"}
        lines = {"framing": {"delimiter": "\n"}}
        folder = project(tmp_path / "p", lines={**upstream, "options": lines}, tape=upstream)
        recorder = record(svcmock, folder, "lines", "tape")
        for port in recorder.ports.values():
            assert talk(port) == [b"220 ready\n", b"250 hello\n"]
        recorder.stop()
    mock = svcmock.up(folder)
    for port in mock.ports.values():
        assert talk(port) == [b"220 ready\n", b"250 hello\n"]


# --- lengths that cannot be true ----------------------------------------------------------------------

JUNK = bytes(range(256)) * (4 * MIB // 256)
PIECES = 8
GROWTH = 24 * MIB
"""Of 32 MiB that pass, less than that may be held at any time."""
LIES: dict[str, list[tuple[bytes, bytes]]] = {
    # what the client says, and what it is told; the last of it is the lie
    "cache": [(redis("GET a"), b"$2147483647\r\n")],
    "db": [
        (postgres.startup(), postgres.HELLO),
        (postgres.query("SELECT a FROM t"), b"D\x7f\xff\xff\xff"),
    ],
    "device": [(b"\0\0\0\1a", b"\x7f\xff\xff\xff")],
    "web": [(get("/"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff0\r\n")],
}


def lying(turns: list[tuple[bytes, bytes]]) -> Talk:
    def talk(peer: socket.socket) -> None:
        for _, told in turns:
            peer.recv(MIB)
            peer.sendall(told)
        for _ in range(PIECES):
            peer.sendall(JUNK)

    return talk


@pytest.mark.parametrize("service", LIES)
def test_a_length_that_cannot_be_true_costs_no_memory(svcmock: Svcmock, tmp_path: Path, service: str) -> None:
    """All of it passes the recorder, unread, and the recorder says so."""
    turns = LIES[service]
    protocols = {"cache": "redis", "db": "postgres", "device": "tcp", "web": "http"}
    with server(lying(turns)) as port:
        options = {"options": {"framing": {"length": {"width": 4}}}} if service == "device" else {}
        scheme = protocols[service]
        one = {"protocol": scheme, "upstream": f"{scheme}://127.0.0.1:{port}", **options}
        recorder = record(svcmock, project(tmp_path / "p", None, **{service: one}), service)
        before = most = resident(recorder.process.pid)
        with connect(recorder.ports[service]) as peer:
            for said, answer in turns:
                peer.sendall(said)
                assert hear(peer, len(answer)) == answer
            size = 0
            while piece := peer.recv(MIB):
                size += len(piece)
                most = max(most, resident(recorder.process.pid))
        counted = recorder.stop()[service]
    assert size == PIECES * len(JUNK)
    assert most - before < GROWTH
    assert (counted["recorded"], counted["failed"], counted["passed on unread"]) == (0, 1, 1), (
        recorder.process.output
    )
    assert "passed on unread" in recorder.process.output
