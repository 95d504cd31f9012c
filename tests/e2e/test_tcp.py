"""Framed TCP end to end: recorded from a real server, which is then gone, and replayed to real clients."""

import os
import signal
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest
import trustme
import yaml

from tests.e2e.processes import Mock, Recorder, Svcmock, wait_until

TIMEOUT = 20.0


@contextmanager
def server(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server with a thread for each connection, while the block runs; gives its port."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)

    def serve(peer: socket.socket) -> None:
        peer.settimeout(TIMEOUT)
        with peer, suppress(OSError):
            handle(peer)

    def accept() -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(peer,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(TIMEOUT)


def project(folder: Path, options: Any, upstream: int = 0, **more: Any) -> Path:
    """A project with one service, `app`."""
    service = {"listen": 0, "protocol": "tcp", "options": options, "routes": "recordings/app/", **more}
    if upstream:
        service["upstream"] = f"tcp://127.0.0.1:{upstream}"
    (folder / "recordings/app").mkdir(parents=True)
    (folder / "svcmock.yaml").write_text(yaml.safe_dump({"version": 1, "services": {"app": service}}))
    return folder


def by_hand(svcmock: Svcmock, folder: Path, options: Any, routes: str, **more: Any) -> Mock:
    """Serves routes that a person wrote."""
    project(folder, options, **more)
    (folder / "recordings/app/a.yaml").write_text(routes)
    return svcmock.up(folder)


def record(svcmock: Svcmock, folder: Path) -> Recorder:
    return Recorder(svcmock.start("record", folder), ["app"])


def documents(folder: Path) -> list[Any]:
    """What was recorded: request and reply of each exchange."""
    found = []
    for file in sorted((folder / "recordings/app").glob("*.yaml")):
        found += [(one["request"], one["respond"]) for one in yaml.safe_load_all(file.read_text()) if one]
    return found


class Client:
    """A client that reads exactly what it expects."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, data: bytes, size: int) -> bytes:
        """Say this, and give so many bytes of what comes back."""
        self.socket.sendall(data)
        return self.hear(size)

    def hear(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (piece := self.socket.recv(size - len(data))):
            data += piece
        return data

    def end(self) -> bytes:
        """All that still comes."""
        data = b""
        while piece := self.socket.recv(65536):
            data += piece
        return data


# --- what keeps a connection alive, and its halves ----------------------------------------------------

ALIVE = {
    "framing": {"delimiter": "\n"},
    "auto": [
        {"when": "^LOGON", "reply": {"text": "WELCOME"}, "every": {"send": {"text": "BEAT"}, "after": "50ms"}},
        {"when": "^PING$", "reply": {"text": "PONG"}},
        {"when": "^(BEAT|PONG)$"},
    ],
}


def upload(peer: socket.socket) -> None:
    """A server that beats, and ends its side before its client has ended its own."""
    lines = peer.makefile("rb")
    while line := lines.readline():
        if line == b"LOGON me\n":
            peer.sendall(b"WELCOME\nBEAT\n")
        elif line == b"PING\n":
            peer.sendall(b"BEAT\nPONG\n")
        elif line == b"PUT\n":
            peer.sendall(b"BEAT\nGO ON\nBEAT\n")
            peer.shutdown(socket.SHUT_WR)
            while lines.readline():
                pass
            return
        else:
            peer.sendall(b"BEAT\nGOT " + line)


def uploaded(port: int) -> list[bytes]:
    """What a client gets, without beats; it goes on to speak when nothing more can come."""
    with Client(port) as client:
        lines, told = client.socket.makefile("rb"), []
        for said in (b"LOGON me\n", b"PING\n", b"a\n", b"PUT\n"):
            client.socket.sendall(said)
            while (line := lines.readline()) == b"BEAT\n":
                pass
            told.append(line)
        rest = lines.read().replace(b"BEAT\n", b"")
        client.socket.sendall(b"data\n")
        client.socket.sendall(b"more\n")
        return [*told, rest]


def test_heartbeats_and_a_half_close(svcmock: Svcmock, tmp_path: Path) -> None:
    with server(upload) as port:
        folder = project(tmp_path / "p", ALIVE, port)
        recorder = record(svcmock, folder)
        told = uploaded(recorder.ports["app"])
        assert told == [b"WELCOME\n", b"PONG\n", b"GOT a\n", b"GO ON\n", b""]
        wait_until(lambda: "half_close" in "".join(map(str, documents(folder))))
        assert recorder.stop()["app"]["failed"] == 0, recorder.process.output
    assert documents(folder) == [
        ({"text": "a"}, {"text": "GOT a"}),
        ({"text": "PUT"}, {"text": "GO ON", "then": "half_close"}),
    ]
    mock = svcmock.up(folder)
    assert uploaded(mock.ports["app"]) == told
    with Client(mock.ports["app"]) as client:
        assert client.ask(b"LOGON\n", 18) == b"WELCOME\nBEAT\nBEAT\n"
    assert mock.status()["services"]["app"]["misses"] == 0


@pytest.mark.parametrize("framing", [{"framing": {"delimiter": "\r\n"}}, {}], ids=["frames", "tape"])
def test_what_is_killed_in_a_silence_loses_nothing(svcmock: Svcmock, tmp_path: Path, framing: Any) -> None:
    with server(mail) as port:
        folder = project(tmp_path / "p", framing, port)
        recorder = record(svcmock, folder)
        with Client(recorder.ports["app"]) as client:
            client.hear(16)
            assert client.ask(b"MAIL x\r\n", 12) == b"250 MAIL x\r\n"
            wait_until(lambda: len(documents(folder)) == 2)
            os.kill(recorder.process.pid, signal.SIGKILL)
            recorder.process.wait()


# --- lines --------------------------------------------------------------------------------------------

LINES = {"framing": {"delimiter": "\r\n"}, "reply": {"until": "^[0-9]{3} "}}


def mail(peer: socket.socket) -> None:
    """A server of lines: a banner, replies of several lines, an end."""
    peer.sendall(b"220 mail ready\r\n")
    lines = peer.makefile("rb")
    while line := lines.readline():
        word = line.split()[0].upper()
        if word == b"EHLO":
            peer.sendall(b"250-mail\r\n")
            time.sleep(0.05)  # a gap that is to be recorded
            peer.sendall(b"250-SIZE 1000\r\n250 HELP\r\n")
        elif word == b"QUIT":
            peer.sendall(b"221 bye\r\n")
            return
        else:
            peer.sendall(b"250 " + line)


TALK = [
    (b"", b"220 mail ready\r\n"),
    (b"EHLO me\r\n", b"250-mail\r\n250-SIZE 1000\r\n250 HELP\r\n"),
    (b"MAIL FROM:<a@b>\r\n", b"250 MAIL FROM:<a@b>\r\n"),
    (b"QUIT\r\n", b"221 bye\r\n"),
]


def talk(port: int, pieces: Callable[[bytes], list[bytes]] = lambda data: [data]) -> None:
    with Client(port) as client:
        for said, told in TALK:
            for piece in pieces(said):
                client.socket.sendall(piece)
            assert client.hear(len(told)) == told
        assert client.end() == b""


def test_a_server_of_lines_is_recorded_and_replayed(svcmock: Svcmock, tmp_path: Path) -> None:
    with server(mail) as port:
        folder = project(tmp_path / "p", LINES, port)
        recorder = record(svcmock, folder)
        talk(recorder.ports["app"])
        told = recorder.stop()["app"]
        assert told["recorded"] == told["accepted"] == 4, recorder.process.output
    (banner, ehlo, mail_from, quit_) = documents(folder)
    assert banner == ({"banner": True}, {"text": "220 mail ready"})
    assert ehlo[0] == {"text": "EHLO me"}
    assert [frame["text"] for frame in ehlo[1]["frames"]] == ["250-mail", "250-SIZE 1000", "250 HELP"]
    assert "after" in ehlo[1]["frames"][1]
    assert mail_from[0] == {"text": "MAIL FROM:<a@b>"}
    assert quit_ == ({"text": "QUIT"}, {"text": "221 bye", "then": "close"})
    mock = svcmock.up(folder)
    for _ in range(2):
        talk(mock.ports["app"])
    assert mock.status()["services"]["app"]["misses"] == 0


def test_it_does_not_matter_where_bytes_are_cut(svcmock: Svcmock, tmp_path: Path) -> None:
    with server(mail) as port:
        folder = project(tmp_path / "p", LINES, port, pace=0)
        recorder = record(svcmock, folder)
        talk(recorder.ports["app"], lambda data: [data[at : at + 1] for at in range(len(data))])
        assert recorder.stop()["app"]["recorded"] == 4
    mock = svcmock.up(folder)
    said = b"".join(said for said, _ in TALK)
    told = b"".join(told for _, told in TALK)
    talk(mock.ports["app"], lambda data: [data[at : at + 1] for at in range(len(data))])
    for cut in range(len(said) + 1):
        with Client(mock.ports["app"]) as client:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.socket.sendall(said[:cut])
            client.socket.sendall(said[cut:])
            assert client.end() == told, cut
    assert mock.status()["services"]["app"]["misses"] == 0


# --- ids ----------------------------------------------------------------------------------------------

DEVICE = {
    "framing": {"length": {"offset": 4, "width": 2}},
    "fields": [{"id": "u32"}, {"len": {"length_of": "rest", "as": "u16"}}, {"body": "bytes"}],
    "reply": {"correlate": "id"},
}


def frame(ident: int, body: bytes) -> bytes:
    return struct.pack(">IH", ident, len(body)) + body


def device(peer: socket.socket) -> None:
    """Answers requests in pairs, the second one first."""
    file = peer.makefile("rb")
    while head := file.read(6):
        first, size = struct.unpack(">IH", head)
        one = file.read(size)
        second, size = struct.unpack(">IH", file.read(6))
        peer.sendall(frame(second, file.read(size) * 2) + frame(first, one * 2))


def test_answers_that_overtake_are_told_apart_and_ids_are_echoed(svcmock: Svcmock, tmp_path: Path) -> None:
    with server(device) as port:
        folder = project(tmp_path / "p", DEVICE, port)
        recorder = record(svcmock, folder)
        with Client(recorder.ports["app"]) as client:
            both = frame(2, b"\x02\x02") + frame(1, b"\x01\x01")
            assert client.ask(frame(1, b"\x01") + frame(2, b"\x02"), len(both)) == both
        assert recorder.stop()["app"]["recorded"] == 2
    assert documents(folder)[0] == ({"fields": {"id": 2, "body": "02"}}, {"fields": {"id": 2, "body": "0202"}})
    mock = svcmock.up(folder)
    with Client(mock.ports["app"]) as client:
        for ident in (7, 8, 1 << 31):
            for body in (b"\x01", b"\x02"):
                assert client.ask(frame(ident, body), 8) == frame(ident, body * 2)
    assert mock.status()["services"]["app"]["misses"] == 0


def test_a_late_answer_is_overtaken(svcmock: Svcmock, tmp_path: Path) -> None:
    routes = """
request: {fields: {id: 0, body: "01"}}
delay: 300ms
respond: {fields: {id: 0, body: "0101"}}
---
request: {fields: {id: 0, body: "02"}}
respond: {fields: {id: 0, body: "0202"}}
"""
    mock = by_hand(svcmock, tmp_path / "p", DEVICE, routes)
    with Client(mock.ports["app"]) as client:
        both = frame(8, b"\x02\x02") + frame(7, b"\x01\x01")
        assert client.ask(frame(7, b"\x01") + frame(8, b"\x02"), len(both)) == both


# --- what comes unasked -------------------------------------------------------------------------------


def news(peer: socket.socket) -> None:
    """Confirms a subscription, and has two things to say later."""
    lines = peer.makefile("rb")
    while line := lines.readline():
        peer.sendall(b"OK\n")
        if line.startswith(b"SUB"):
            for text in (b"one\n", b"two\n"):
                time.sleep(0.1)  # a gap that is to be recorded
                peer.sendall(text)


def test_what_a_server_says_unasked_comes_again_with_its_gaps(svcmock: Svcmock, tmp_path: Path) -> None:
    with server(news) as port:
        folder = project(tmp_path / "p", {"framing": {"delimiter": "\n"}}, port)
        recorder = record(svcmock, folder)
        with Client(recorder.ports["app"]) as client:
            assert client.ask(b"SUB a\n", 11) == b"OK\none\ntwo\n"
            assert client.ask(b"PING\n", 3) == b"OK\n"
        assert recorder.stop()["app"]["recorded"] == 4
    assert [asked for asked, _ in documents(folder)] == [
        {"text": "SUB a"},
        {"push": 1, "after": {"text": "SUB a"}},
        {"push": 2, "after": {"text": "SUB a"}},
        {"text": "PING"},
    ]
    assert (folder / "recordings/app/server.facts").is_file()
    mock = svcmock.up(folder)
    with Client(mock.ports["app"]) as client:
        begin = time.monotonic()
        assert client.ask(b"SUB a\n", 3) == b"OK\n"
        assert client.ask(b"PING\n", 3) == b"OK\n"
        assert client.hear(8) == b"one\ntwo\n"
        assert 0.15 < time.monotonic() - begin < 5
    assert mock.status()["services"]["app"]["misses"] == 0


# --- peers that misbehave -----------------------------------------------------------------------------

PREFIXED = {"framing": {"length": {"width": 4}}}
ROUTES = """
request: {text: a}
respond: {text: b}
---
request: {text: reset}
respond: {frames: [], then: reset}
---
request: {text: slow}
respond: {frames: [one, {after: 100ms, text: two}]}
"""


def prefixed(*texts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(text)) + text for text in texts)


def test_a_lie_about_a_length_ends_a_connection_and_no_other(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = by_hand(svcmock, tmp_path / "p", PREFIXED, ROUTES)
    with Client(mock.ports["app"]) as good, Client(mock.ports["app"]) as bad:
        bad.socket.sendall(prefixed(b"a") + b"\x7f\xff\xff\xffxxx")
        assert bad.end() == prefixed(b"b")
        assert good.ask(prefixed(b"a"), 5) == prefixed(b"b")


def test_a_reset_and_who_resets(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = by_hand(svcmock, tmp_path / "p", PREFIXED, ROUTES)
    with Client(mock.ports["app"]) as client:
        client.socket.sendall(prefixed(b"reset"))
        with pytest.raises(ConnectionResetError):
            client.hear(1)
    for _ in range(20):
        with Client(mock.ports["app"]) as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.socket.sendall(prefixed(b"slow", b"a")[:-2])
    with Client(mock.ports["app"]) as client:
        assert client.ask(prefixed(b"a"), 5) == prefixed(b"b")


def test_a_client_that_says_no_more_gets_what_it_is_owed(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = by_hand(svcmock, tmp_path / "p", PREFIXED, ROUTES)
    with Client(mock.ports["app"]) as client:
        client.socket.sendall(prefixed(b"slow", b"a"))
        client.socket.shutdown(socket.SHUT_WR)
        assert client.end() == prefixed(b"one", b"two", b"b")


def test_a_miss_closes_hangs_or_is_answered(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = by_hand(svcmock, tmp_path / "close", PREFIXED, ROUTES)
    with Client(mock.ports["app"]) as client:
        client.socket.sendall(prefixed(b"?"))
        assert client.end() == b""
    why = svcmock.run("why", "-p", tmp_path / "close", "m-1").stdout
    assert "text" in why
    assert "?" in why
    mock = by_hand(svcmock, tmp_path / "hang", {**PREFIXED, "on_miss": "hang"}, ROUTES)
    with Client(mock.ports["app"]) as client:
        assert client.ask(prefixed(b"?", b"a"), 5) == prefixed(b"b")
    mock = by_hand(
        svcmock, tmp_path / "told", {**PREFIXED, "on_miss": {"reply": {"text": "no: {miss}"}}}, ROUTES
    )
    with Client(mock.ports["app"]) as client:
        assert client.ask(prefixed(b"?"), 11).startswith(prefixed(b"no: m-1")[:10])


def test_what_is_no_frame_passes_the_recorder_unread(svcmock: Svcmock, tmp_path: Path) -> None:
    def echo(peer: socket.socket) -> None:
        while data := peer.recv(100):
            peer.sendall(data)

    with server(echo) as port:
        folder = project(tmp_path / "p", {**PREFIXED, "max_frame": 100}, port)
        recorder = record(svcmock, folder)
        with Client(recorder.ports["app"]) as client:
            assert client.ask(prefixed(b"a"), 5) == prefixed(b"a")
            assert client.ask(b"\xff" * 50, 50) == b"\xff" * 50
            assert client.ask(b"more", 4) == b"more"
        told = recorder.stop()["app"]
    assert (told["accepted"], told["recorded"], told["passed on unread"]) == (1, 1, 1)


def test_a_server_that_is_not_there(svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]) -> None:
    recorder = record(svcmock, project(tmp_path / "p", PREFIXED, free_port()))
    with Client(recorder.ports["app"]) as client:
        client.socket.sendall(prefixed(b"a"))
        assert client.end() == b""
    told = recorder.stop()["app"]
    assert (told["accepted"], told["recorded"], told["failed"]) == (1, 0, 1)


def test_secrets_do_not_reach_the_disk(svcmock: Svcmock, tmp_path: Path) -> None:
    def login(peer: socket.socket) -> None:
        lines = peer.makefile("rb")
        while line := lines.readline():
            peer.sendall(b'{"ok":true,"session":"s3cr3t-session","for":' + line.strip() + b"}\n")

    options = {"framing": {"delimiter": "\n"}, "redact": ["password", "session", "for.password"]}
    asked = b'{"user":"ann","password":"s3cr3t-password"}\n'
    with server(login) as port:
        folder = project(tmp_path / "p", options, port)
        recorder = record(svcmock, folder)
        with Client(recorder.ports["app"]) as client:
            client.socket.sendall(asked)
            assert b"s3cr3t-session" in client.hear(85)
        assert recorder.stop()["app"]["recorded"] == 1
    for path in folder.rglob("*"):
        assert not path.is_file() or b"s3cr3t" not in path.read_bytes(), path
    mock = svcmock.up(folder)
    with Client(mock.ports["app"]) as client:
        assert b'"ok":true' in client.ask(asked, 20)
    assert b"s3cr3t" not in mock.log().encode()


def test_many_clients_at_once(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = by_hand(svcmock, tmp_path / "p", PREFIXED, ROUTES)
    clients = [Client(mock.ports["app"]) for _ in range(100)]
    for client in clients:
        client.socket.sendall(prefixed(b"slow", b"a"))
    for client in clients:
        assert client.hear(19) == prefixed(b"one", b"two", b"b")
        client.socket.close()
    wait_until(lambda: mock.status()["services"]["app"]["connections"] == 0)


# --- TLS ----------------------------------------------------------------------------------------------

SECURE = {"framing": {"delimiter": "\n"}, "starttls": {"on": "STARTTLS", "reply": "OK", "decline": "NO"}}
HELLO = "request: {text: hello}\nrespond: {text: there}\n"


def test_tls_starts_in_the_middle(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = by_hand(svcmock, tmp_path / "p", SECURE, HELLO, tls="auto")
    trust = ssl.create_default_context(cafile=str(tmp_path / "p/.svcmock/ca/ca.pem"))
    with Client(mock.ports["app"]) as client:
        assert client.ask(b"hello\n", 6) == b"there\n"
        assert client.ask(b"starttls\n", 3) == b"OK\n"
        client.socket = trust.wrap_socket(client.socket, server_hostname="localhost")
        for _ in range(3):
            assert client.ask(b"hello\n", 6) == b"there\n"


def test_tls_is_declined_by_a_service_without_it(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = by_hand(svcmock, tmp_path / "p", SECURE, HELLO)
    with Client(mock.ports["app"]) as client:
        assert client.ask(b"STARTTLS\n", 3) == b"NO\n"
        assert client.ask(b"hello\n", 6) == b"there\n"


def test_tls_from_the_first_byte(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = by_hand(svcmock, tmp_path / "p", PREFIXED, ROUTES, tls="auto")
    trust = ssl.create_default_context(cafile=str(tmp_path / "p/.svcmock/ca/ca.pem"))
    with Client(mock.ports["app"]) as client:
        client.socket = trust.wrap_socket(client.socket, server_hostname="localhost")
        assert client.ask(prefixed(b"a", b"a"), 10) == prefixed(b"b", b"b")


def test_tls_on_both_sides_of_a_recorder(svcmock: Svcmock, tmp_path: Path) -> None:
    ca = trustme.CA()
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(certificate)

    def line(peer: socket.socket) -> bytes:
        data = b""
        while not data.endswith(b"\n") and (piece := peer.recv(1)):
            data += piece
        return data

    def secure(peer: socket.socket) -> None:
        """Speaks lines, and TLS when it is asked to."""
        while line(peer) != b"STARTTLS\n":
            peer.sendall(b"clear\n")
        peer.sendall(b"OK\n")
        with certificate.wrap_socket(peer, server_side=True) as safe:
            while line(safe):
                safe.sendall(b"secure\n")

    with server(secure) as port:
        folder = project(tmp_path / "p", SECURE, port, tls="auto", upstream_verify=False)
        recorder = record(svcmock, folder)
        trust = ssl.create_default_context(cafile=str(folder / ".svcmock/ca/ca.pem"))
        with Client(recorder.ports["app"]) as client:
            assert client.ask(b"one\n", 6) == b"clear\n"
            assert client.ask(b"STARTTLS\n", 3) == b"OK\n"
            client.socket = trust.wrap_socket(client.socket, server_hostname="localhost")
            assert client.ask(b"two\n", 7) == b"secure\n"
        told = recorder.stop()["app"]
        assert (told["recorded"], told["passed on unread"]) == (2, 0), recorder.process.output
    assert documents(folder) == [({"text": "one"}, {"text": "clear"}), ({"text": "two"}, {"text": "secure"})]
