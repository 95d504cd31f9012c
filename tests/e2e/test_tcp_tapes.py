"""Connections of which nobody knows what they mean: recorded from real servers, and had again without them."""

import json
import os
import signal
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import Mock, Recorder, Svcmock, wait_until

Talk = Callable[[socket.socket], None]
"""A client's or a server's part of a connection."""


@contextmanager
def serving(talk: Talk) -> Iterator[str]:
    """A server of the loopback that has this part in each connection; gives its URL."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(20)
            talk(self.request)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"tcp://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def connect(port: int) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port), timeout=20)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def everything(peer: socket.socket) -> bytes:
    """What comes until the other side has ended; a reset is written as one."""
    pieces = []
    try:
        while piece := peer.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pieces.append(b"<reset>")
    return b"".join(pieces)


def exactly(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = peer.recv(size - len(data))
        assert piece, f"the connection ended after {data!r}"
        data += piece
    return data


def line(peer: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        piece = peer.recv(1)
        if not piece:
            return data
        data += piece
    return data


def project(folder: Path, url: str = "", **tape: Any) -> Path:
    """A project with one service, `raw`."""
    folder.mkdir(exist_ok=True)
    service: dict[str, Any] = {
        "listen": 0,
        "protocol": "tcp",
        "routes": "recordings/raw/",
        "limits": {"idle": 2},
    }
    if url:
        service["upstream"] = url
    if tape:
        service["options"] = {"tape": tape}
    (folder / "svcmock.yaml").write_text(json.dumps({"version": 1, "services": {"raw": service}}))
    (folder / "recordings" / "raw").mkdir(parents=True, exist_ok=True)
    return folder


def record(svcmock: Svcmock, folder: Path) -> Recorder:
    return Recorder(svcmock.start("record", folder), ["raw"])


def recording(folder: Path) -> Path:
    (path,) = (folder / "recordings" / "raw").glob("*.yaml")
    return path


def shop(peer: socket.socket) -> None:
    """Greets, answers lines, and speaks on unasked to who watches."""
    peer.sendall(b"+ready\r\n")
    while said := line(peer):
        match said.split():
            case [b"GET", name]:
                peer.sendall(b"$%d\r\n%b\r\n" % (len(name), name[::-1]))
            case [b"BLOB"]:
                peer.sendall(bytes(range(256)) * 1024)
            case [b"LOG", *_]:
                pass
            case [b"WATCH"]:
                for number in range(3):
                    peer.sendall(b"tick %d\r\n" % number)
                    if number < 2:
                        threading.Event().wait(0.12)
            case [b"QUIT"]:
                peer.sendall(b"+bye\r\n")
                return
            case _:
                peer.sendall(b"-what?\r\n")


SCRIPT: list[tuple[bytes, int]] = [
    (b"", 8),
    (b"GET abc\r\n", 9),
    (b"LOG something happened\r\nGET \xff\x00\r\n", 8),
    (b"BLOB\r\n", 256 * 1024),
    (b"WATCH\r\n", 24),
    (b"QUIT\r\n", 6),
]
"""What a client says, and how many bytes it gets."""


def shopping(port: int) -> list[bytes]:
    """All that the client of the script gets."""
    with connect(port) as peer:
        got = []
        for said, size in SCRIPT:
            peer.sendall(said)
            got.append(exactly(peer, size))
        return [*got, everything(peer)]


@pytest.fixture
def replayed(svcmock: Svcmock, tmp_path: Path) -> tuple[Mock, list[bytes]]:
    """The shop, recorded and served again; and what its client got."""
    with serving(shop) as url:
        folder = project(tmp_path / "p", url)
        recorder = record(svcmock, folder)
        got = shopping(recorder.ports["raw"])
        told = recorder.stop()["raw"]
    assert told["failed"] == 0
    assert told["recorded"] == told["accepted"] >= 8
    return svcmock.up(folder), got


def test_a_conversation_is_had_again(replayed: tuple[Mock, list[bytes]]) -> None:
    mock, got = replayed
    for _ in range(2):
        assert shopping(mock.ports["raw"]) == got


def test_it_is_had_again_by_many_at_once(replayed: tuple[Mock, list[bytes]]) -> None:
    mock, got = replayed
    results: list[list[bytes]] = []
    threads = [threading.Thread(target=lambda: results.append(shopping(mock.ports["raw"]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [got] * 8


def test_cut_at_every_byte_it_is_the_same(replayed: tuple[Mock, list[bytes]]) -> None:
    mock, got = replayed
    stream = SCRIPT[1][0] + SCRIPT[2][0]
    for at in range(1, len(stream)):
        with connect(mock.ports["raw"]) as peer:
            peer.sendall(stream[:at])
            peer.sendall(stream[at:])
            assert exactly(peer, 25) == b"".join(got[:3])


def test_what_was_not_recorded_is_refused_and_explained(
    replayed: tuple[Mock, list[bytes]], svcmock: Svcmock
) -> None:
    mock, _ = replayed
    with connect(mock.ports["raw"]) as peer:
        peer.sendall(b"GET abd\r\n")
        assert everything(peer) == b"+ready\r\n"
    why = svcmock.run("why", "-p", mock.project).stdout
    assert "GET abc" in why
    assert "GET abd" in why


def test_a_client_that_stops_in_the_middle_is_a_miss(
    replayed: tuple[Mock, list[bytes]], svcmock: Svcmock
) -> None:
    mock, _ = replayed
    with connect(mock.ports["raw"]) as peer:
        peer.sendall(b"GET a")
        assert everything(peer) == b"+ready\r\n"
    assert "GET a" in svcmock.run("why", "-p", mock.project).stdout


def test_a_recording_can_be_edited(replayed: tuple[Mock, list[bytes]]) -> None:
    mock, _ = replayed
    path = recording(mock.project)
    text = path.read_text()
    assert "cba" in text
    path.write_text(text.replace("cba", "xyz"))

    def changed() -> bool:
        with connect(mock.ports["raw"]) as peer:
            peer.sendall(b"GET abc\r\n")
            return exactly(peer, 17) == b"+ready\r\n$3\r\nxyz\r\n"

    wait_until(changed, mock.log)


def test_what_is_killed_loses_its_last_run_alone(svcmock: Svcmock, tmp_path: Path) -> None:
    with serving(shop) as url:
        folder = project(tmp_path / "p", url, idle="60s")
        recorder = record(svcmock, folder)
        with connect(recorder.ports["raw"]) as peer:
            assert exactly(peer, 8) == b"+ready\r\n"
            for name in (b"one", b"two", b"three"):
                peer.sendall(b"GET %b\r\n" % name)
                assert line(peer).startswith(b"$")
                assert line(peer) == name[::-1] + b"\r\n"
            wait_until(lambda: "eno" in recording(folder).read_text())
            os.kill(recorder.process.pid, signal.SIGKILL)
            recorder.process.wait()
    text = recording(folder).read_text()
    assert "owt" in text
    assert "eerht" not in text
    mock = svcmock.up(folder)
    with connect(mock.ports["raw"]) as peer:
        peer.sendall(b"GET one\r\nGET two\r\n")
        assert exactly(peer, 26) == b"+ready\r\n$3\r\neno\r\n$3\r\nowt\r\n"


def test_masks_and_echoes(svcmock: Svcmock, tmp_path: Path) -> None:
    """A transaction's number, another in each run of the application, comes back as it was sent."""

    def talk(peer: socket.socket) -> None:
        while head := peer.recv(4):
            number, size = struct.unpack(">HH", head)
            peer.sendall(struct.pack(">HH", number, size) + exactly(peer, size)[::-1])

    def ask(port: int, first: int) -> list[bytes]:
        with connect(port) as peer:
            got = []
            for number, said in enumerate((b"read 1", b"read 22"), first):
                peer.sendall(struct.pack(">HH", number, len(said)) + said)
                head = exactly(peer, 4)
                assert struct.unpack(">HH", head) == (number, len(said))
                got.append(exactly(peer, len(said)))
            return got

    with serving(talk) as url:
        folder = project(tmp_path / "p", url, mask=[r"^(..)\x00"])
        recorder = record(svcmock, folder)
        got = ask(recorder.ports["raw"], 1)
        recorder.stop()
    mock = svcmock.up(folder)
    assert ask(mock.ports["raw"], 1) == got
    assert ask(mock.ports["raw"], 40_000) == got


def test_a_credential_does_not_reach_the_disk(svcmock: Svcmock, tmp_path: Path) -> None:
    def talk(peer: socket.socket) -> None:
        secret = line(peer)
        peer.sendall(b"welcome " + secret)
        peer.sendall(b"again: " + line(peer))

    def log_in(port: int, secret: bytes) -> bytes:
        with connect(port) as peer:
            peer.sendall(b"PASS " + secret + b"\n")
            got = line(peer)
            peer.sendall(b"more\n")
            return got + everything(peer)

    with serving(talk) as url:
        folder = project(tmp_path / "p", url, redact=[r"PASS (\S+)"])
        recorder = record(svcmock, folder)
        got = log_in(recorder.ports["raw"], b"s3cr3t-word")
        recorder.stop()
    assert got == b"welcome PASS s3cr3t-word\nagain: more\n"
    assert "s3cr3t" not in recording(folder).read_text()
    mock = svcmock.up(folder)
    assert log_in(mock.ports["raw"], b"s3cr3t-word") == got
    assert log_in(mock.ports["raw"], b"wrong-word") == b""


def test_an_end_that_the_server_waits_for(svcmock: Svcmock, tmp_path: Path) -> None:
    def talk(peer: socket.socket) -> None:
        peer.sendall(b"%d bytes" % len(everything(peer)))

    def send(port: int, data: bytes) -> bytes:
        with connect(port) as peer:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            return everything(peer)

    with serving(talk) as url:
        folder = project(tmp_path / "p", url)
        recorder = record(svcmock, folder)
        got = [send(recorder.ports["raw"], data) for data in (b"abc", b"abcdef")]
        recorder.stop()
    mock = svcmock.up(folder)
    assert got == [b"3 bytes", b"6 bytes"]
    assert [send(mock.ports["raw"], data) for data in (b"abc", b"abcdef")] == got


def test_a_server_that_ends_its_side_alone(svcmock: Svcmock, tmp_path: Path) -> None:
    heard: list[bytes] = []

    def talk(peer: socket.socket) -> None:
        exactly(peer, 4)
        peer.sendall(b"go\n")
        peer.shutdown(socket.SHUT_WR)
        heard.append(everything(peer))

    def upload(port: int) -> bytes:
        with connect(port) as peer:
            peer.sendall(b"put\n")
            told = everything(peer)
            peer.sendall(b"some")
            peer.sendall(b"thing")
            return told

    with serving(talk) as url:
        folder = project(tmp_path / "p", url)
        recorder = record(svcmock, folder)
        assert upload(recorder.ports["raw"]) == b"go\n"
        wait_until(lambda: heard == [b"something"])
        recorder.stop()
    assert "then: half_close" in recording(folder).read_text()
    mock = svcmock.up(folder)
    assert upload(mock.ports["raw"]) == b"go\n"
    assert mock.status()["services"]["raw"]["misses"] == 0


@pytest.mark.parametrize(
    ("on_miss", "got"),
    [
        ("close", b"+ready\r\n"),
        ("reset", b"+ready\r\n<reset>"),
        ({"reply": "-ERR not recorded\r\n"}, b"+ready\r\n-ERR not recorded\r\n"),
    ],
)
def test_a_miss_is_what_the_options_say(svcmock: Svcmock, tmp_path: Path, on_miss: Any, got: bytes) -> None:
    folder = project(tmp_path / "p", on_miss=on_miss)
    (folder / "recordings" / "raw" / "a.yaml").write_text(
        "- request: {tape: {of: hello, run: 1}}\n"
        '  respond: {tape: {said: "+ready\\r\\n"}}\n'
        '- request: {tape: {of: hello, run: 2, said: "PING\\r\\n"}}\n'
        "  respond: {tape: {then: reset}}\n"
    )
    svcmock.run("check", folder)
    mock = svcmock.up(folder)
    with connect(mock.ports["raw"]) as peer:
        assert exactly(peer, 8) == b"+ready\r\n"
        peer.sendall(b"PONG\r\n")
        assert b"+ready\r\n" + everything(peer) == got
    with connect(mock.ports["raw"]) as peer:
        peer.sendall(b"PING\r\n")
        assert everything(peer).endswith(b"<reset>")


def test_a_kept_connection_goes_on_where_another_began(svcmock: Svcmock, tmp_path: Path) -> None:
    """Recorded with a connection for each request, replayed by a client that keeps its connection."""

    def talk(peer: socket.socket) -> None:
        while said := line(peer):
            peer.sendall(said.upper())

    with serving(talk) as url:
        folder = project(tmp_path / "p", url)
        recorder = record(svcmock, folder)
        for said in (b"one\n", b"two\n", b"three\n"):
            with connect(recorder.ports["raw"]) as peer:
                peer.sendall(said)
                assert line(peer) == said.upper()
        recorder.stop()
    mock = svcmock.up(folder)
    with connect(mock.ports["raw"]) as peer:
        for said in (b"three\n", b"one\n", b"two\n", b"one\n"):
            peer.sendall(said)
            assert line(peer) == said.upper()
