"""Clients and upstreams that do what HTTP allows and few expect: relayed untouched, and replayed."""

import gzip
import hashlib
import random
import socket
from pathlib import Path

import pytest

from tests.e2e.processes import Recorder, Svcmock, wait_until
from tests.e2e.replay import record_and_replay, replayed
from tests.e2e.wire import Heard, Reading, ask, connect, get, ok, upstream


def echo(heard: Heard, peer: socket.socket) -> bool:
    """What was asked, and the digest of its body."""
    said = f"{heard.method} {heard.target} {hashlib.sha256(heard.body).hexdigest()}".encode()
    peer.sendall(ok(b"" if heard.method == "HEAD" else said))
    return True


def talk(port: int, data: bytes, methods: list[str], *, ends: bool = False) -> list[bytes]:
    """Everything at once on one connection, then the replies; `ends`: say first that nothing more comes."""
    with connect(port) as peer:
        peer.sendall(data)
        if ends:
            peer.shutdown(socket.SHUT_WR)
        replies = Reading(peer)
        return [replies.reply(method) for method in methods]


@pytest.mark.parametrize("ends", [False, True])
def test_pipelined_requests(svcmock: Svcmock, tmp_path: Path, ends: bool) -> None:
    post = b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
    chunked = b"PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    data = get("/a") + post + chunked + b"HEAD /d HTTP/1.1\r\nHost: h\r\n\r\n" + get("/e")
    methods = ["GET", "POST", "PUT", "HEAD", "GET"]
    with upstream(echo) as real:
        recorder = svcmock.record(tmp_path / "p", {"app": real.url})
        recorded = talk(recorder.ports["app"], data, methods, ends=ends)
        assert recorder.stop()["app"]["recorded"] == 5
    mock = svcmock.up(tmp_path / "p")
    assert talk(mock.ports["app"], data, methods, ends=ends) == recorded


def test_a_client_of_1_0_and_one_that_uses_a_proxy(svcmock: Svcmock, tmp_path: Path) -> None:
    requests = [
        b"GET /old HTTP/1.0\r\n\r\n",
        b"GET http://h/absolute?x=1 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        b"get /lower HTTP/1.1\r\nhost:h\r\n\r\n",
    ]
    with upstream(echo) as real:
        record_and_replay(svcmock, tmp_path / "p", real, requests)
        assert [heard.target for heard in real.heard] == ["/old", "/absolute?x=1", "*", "/lower"]


def test_large_uploads_in_every_framing_and_coding(svcmock: Svcmock, tmp_path: Path) -> None:
    plain = random.Random(2).randbytes(3 << 19) + b'{"password": "hunter2-hunter2"}' + bytes(1 << 19)
    packed = gzip.compress(plain, 1)
    piece = b"%x\r\n%b\r\n" % (len(plain), plain)
    requests = [
        b"PUT /plain HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (len(plain), plain),
        b"PUT /chunked HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % piece,
        b"PUT /gzip HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
        % (len(packed), packed),
    ]
    with upstream(echo) as real:
        record_and_replay(svcmock, tmp_path / "p", real, requests)
    for path in (tmp_path / "p").rglob("*"):
        assert not path.is_file() or b"hunter2-hunter2" not in path.read_bytes()
    other = requests[0].replace(b"\x00" * 10, b"\x01" * 10, 1)
    svcmock.run("down", tmp_path / "p")
    assert ask(svcmock.up(tmp_path / "p").ports["app"], other).startswith(b"HTTP/1.1 501 ")


def test_an_upstream_that_answers_before_it_has_heard_all(svcmock: Svcmock, tmp_path: Path) -> None:
    refused = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno\n"

    def refuse(_heard: Heard, peer: socket.socket) -> None:
        peer.sendall(refused)

    with upstream(lambda _heard, _peer: False, before_body=refuse) as real:
        recorder = svcmock.record(tmp_path / "p", {"app": real.url})
        with connect(recorder.ports["app"]) as peer:
            peer.sendall(b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n")
            assert Reading(peer).reply("POST") == refused
            peer.sendall(b"0123456789")
            assert peer.recv(1) == b""
        assert recorder.stop()["app"]["recorded"] == 1
    request = b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789"
    assert replayed(svcmock, tmp_path / "p", [request]) == [refused]


def test_an_upstream_that_leaves_in_the_middle(svcmock: Svcmock, tmp_path: Path) -> None:
    """The client sees it leave, and what was not whole is not recorded."""

    def half(heard: Heard, peer: socket.socket) -> bool:
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf" if heard.target == "/half" else b"")
        return False

    with upstream(half) as real:
        recorder = svcmock.record(tmp_path / "p", {"app": real.url})
        for path in ("/half", "/nothing"):
            with pytest.raises(ConnectionError):
                ask(recorder.ports["app"], get(path))
        told = recorder.stop()["app"]
    assert (told["accepted"], told["failed"], told["file"]) == (2, 2, "-")


def test_an_upstream_that_is_not_there(svcmock: Svcmock, tmp_path: Path) -> None:
    with upstream(echo) as real:
        url = real.url
    recorder = svcmock.record(tmp_path / "p", {"app": url})
    answer = ask(recorder.ports["app"], get("/"))
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"cannot be reached" in answer
    assert recorder.stop()["app"]["failed"] == 1


def test_a_second_recording_adds_to_the_first(svcmock: Svcmock, tmp_path: Path) -> None:
    told = [b"first"]

    def answer(heard: Heard, peer: socket.socket) -> bool:
        peer.sendall(ok(told[-1] + heard.target.encode()))
        return True

    with upstream(answer) as real:
        first = svcmock.record(tmp_path / "p", {"app": real.url})
        answers = [ask(first.ports["app"], get(path)) for path in ("/same", "/first")]
        first.stop()
        told.append(b"second")
        second = Recorder(svcmock.start("record", tmp_path / "p"), ["app"])
        answers += [ask(second.ports["app"], get(path)) for path in ("/same", "/second")]
        second.stop()
    assert len(list((tmp_path / "p" / "recordings" / "app").glob("*.yaml"))) == 2
    asked = [get("/same"), get("/first"), get("/same"), get("/second"), get("/same")]
    assert replayed(svcmock, tmp_path / "p", asked) == [*answers, answers[2]]


def test_a_recorder_ends_with_connections_open(svcmock: Svcmock, tmp_path: Path) -> None:
    """One that waits for its answer is lost, and counted."""

    def answer(heard: Heard, peer: socket.socket) -> bool:
        if heard.target == "/wait":
            return bool(peer.recv(1))
        peer.sendall(ok(b"x"))
        return True

    with upstream(answer) as real:
        recorder = svcmock.record(tmp_path / "p", {"app": real.url})
        with connect(recorder.ports["app"]) as idle, connect(recorder.ports["app"]) as waiting:
            idle.sendall(get("/"))
            Reading(idle).reply()
            waiting.sendall(get("/wait"))
            wait_until(lambda: len(real.heard) == 2)
            told = recorder.stop()["app"]
        assert (told["accepted"], told["recorded"], told["failed"]) == (2, 1, 1)
