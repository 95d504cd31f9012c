"""What a recording promises, with real connections: all is counted, nothing leaks, nothing is held up."""

import base64
import gzip
import hashlib
import json
import os
import resource
import signal
import socket
import ssl
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import trustme

from tests.e2e.processes import Svcmock, resident, wait_until
from tests.e2e.replay import record_and_replay, replayed
from tests.e2e.wire import Heard, Reading, ask, connect, get, ok, upstream

MIB = 1024 * 1024


def hang_up(peer: socket.socket) -> None:
    """End a connection with a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


# --- counting -----------------------------------------------------------------------------------------


def test_every_request_is_counted_once(svcmock: Svcmock, tmp_path: Path) -> None:
    """240 answered, 40 left while they wait, 19 left in their body, one that becomes a WebSocket."""

    def answer(heard: Heard, peer: socket.socket) -> bool:
        if heard.target == "/wait":
            peer.recv(1)
            return False
        if "upgrade" in heard.headers:
            peer.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            )
            peer.sendall(peer.recv(100)[::-1])
            return False
        peer.sendall(ok(heard.target.encode()))
        return True

    def client(number: int) -> bytes:
        port = recorder.ports["app"]
        together.wait()
        if number < 240:
            return ask(port, get(f"/{number}"))
        with connect(port) as peer:
            if number < 280:
                peer.sendall(get("/wait"))
                wait_until(lambda: sum(heard.target == "/wait" for heard in tuple(real.heard)) == 40)
                hang_up(peer)
            elif number < 299:
                peer.sendall(b"POST /half HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf")
                if number % 2:
                    hang_up(peer)
            else:
                peer.sendall(get("/ws", "Upgrade: websocket", "Connection: Upgrade"))
                head = Reading(peer).reply(interim=False)
                peer.sendall(b"\x00abc\xff")
                return head + peer.recv(100)
        return b""

    together = threading.Barrier(300)
    with upstream(answer) as real:
        recorder = svcmock.record(tmp_path / "p", {"app": real.url})
        with ThreadPoolExecutor(300) as pool:
            answers = list(pool.map(client, range(300)))
        told = recorder.stop()["app"]
    assert answers[:240] == [ok(f"/{number}".encode()) for number in range(240)]
    assert answers[299].endswith(b"\r\n\r\n\xffcba\x00")
    assert told["recorded"] == 240
    assert told["skipped"] == 1
    assert told["failed"] <= 59
    assert told["accepted"] == told["recorded"] + told["skipped"] + told["failed"]
    assert replayed(svcmock, tmp_path / "p", [get("/17"), get("/239")]) == [answers[17], answers[239]]


# --- secrets ------------------------------------------------------------------------------------------

NAMES = "bearer cookie setcookie apikey query form json multipart basic reply large coded trailer"
SECRETS = {
    name: f"{name}-s3cr3t/{number}+={'x' * 6}{number * 7919}" for number, name in enumerate(NAMES.split())
}


def leaky(heard: Heard, peer: socket.socket) -> bool:
    """Hands out credentials, and gives back those it was given, in every way there is."""
    path = heard.target.partition("?")[0]
    secret = SECRETS["reply"]
    told = json.dumps({"access_token": secret, "user": "ann", "echo": heard.headers}).encode()
    if path == "/login":
        location = f"Location: /home?access_token={secret.replace('/', '%2F').replace('+', '%2B')}"
        peer.sendall(ok(told, f"Set-Cookie: session={SECRETS['setcookie']}; Path=/; HttpOnly", location))
    elif path == "/gzip":
        peer.sendall(ok(gzip.compress(told, 1), "Content-Encoding: gzip", "Content-Type: application/json"))
    elif path == "/chunks":
        cut = [told[at : at + 5] for at in range(0, len(told), 5)]
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Auth-Token\r\n\r\n")
        for piece in cut:
            peer.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        peer.sendall(b"0\r\nX-Auth-Token: %b\r\n\r\n" % SECRETS["trailer"].encode())
    elif path == "/large":
        peer.sendall(
            ok(
                told
                + b" " * 1500 * 1024
                + heard.body[-100:]
                + heard.headers.get("authorization", "").encode() * 5
            )
        )
    elif path == "/coded":
        noise = os.urandom(1200 * 1024)
        body = gzip.compress(noise + b'{"access_token": "%b"}' % SECRETS["coded"].encode() + noise)
        peer.sendall(ok(body, "Content-Encoding: gzip"))
    else:
        peer.sendall(ok(heard.body + b"\x00\xff" + str(heard.headers).encode()))
    return True


def leaky_requests() -> list[bytes]:
    basic = base64.b64encode(f"sam:{SECRETS['basic']}".encode()).decode()
    form = f"user=ann&password={quote(SECRETS['form'], safe='')}".encode()
    posted = json.dumps({"user": "ann", "password": SECRETS["json"]}).encode()
    parts = (
        b'--B\r\nContent-Disposition: form-data; name="password"\r\n\r\n%b\r\n--B--\r\n'
        % SECRETS["multipart"].encode()
    )
    large = posted[:-1] + b', "pad": "' + b"p" * 1500 * 1024 + b'", "secret": "%b"}' % SECRETS["large"].encode()

    def post(path: str, body: bytes, kind: str) -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    bearer = f"Authorization: Bearer {SECRETS['bearer']}"
    return [
        get("/login", bearer, f"Cookie: session={SECRETS['cookie']}; theme=dark"),
        get("/gzip", f"X-Api-Key: {SECRETS['apikey']}"),
        get(f"/echo?access_token={quote(SECRETS['query'], safe='')}&page=2"),
        get("/echo", f"Authorization: Basic {basic}"),
        get("/chunks", bearer),
        get("/large", bearer),
        get("/coded"),
        post("/echo", form, "application/x-www-form-urlencoded"),
        post("/echo", posted, "application/json"),
        post("/echo", parts, "multipart/form-data; boundary=B"),
        post("/large", large, "application/json"),
    ]


def test_no_credential_is_found_below_the_project(svcmock: Svcmock, tmp_path: Path) -> None:
    project = tmp_path / "p"
    requests = leaky_requests()
    with upstream(leaky) as real:
        recorder = svcmock.record(project, {"app": real.url})
        answers = [ask(recorder.ports["app"], request) for request in requests]
        told = recorder.stop()["app"]
    assert told["accepted"] == len(requests)
    assert told["skipped"] == 1, "a credential inside a large compressed body cannot be taken out"
    assert told["recorded"] == len(requests) - 1
    files = [path for path in project.rglob("*") if path.is_file()]
    assert any(path.stat().st_size > MIB for path in files), "a large body is among what is looked into"
    texts = {str(path): path.read_bytes() for path in files}
    mock = svcmock.up(project)
    for request, answer in zip(requests, answers, strict=True):
        again = ask(mock.ports["app"], request)
        if b" /coded " not in request:
            assert again[:12] == answer[:12]
        texts[request.split(b"\r\n")[0].decode()] = again
        head, _, body = again.partition(b"\r\n\r\n")
        if b"gzip" in head:
            texts["gzip"] = gzip.decompress(body)
    texts["log"] = recorder.process.output.encode()
    for name, secret in SECRETS.items():
        plain = secret.encode()
        for where, text in texts.items():
            for form in (plain, plain.replace(b"/", b"%2F").replace(b"+", b"%2B").replace(b"=", b"%3D")):
                assert form not in text, f"{name} is in {where}"
            for offset in range(3):
                inner = base64.b64encode(plain[offset:])[4:-4]
                assert inner not in text, f"{name} is in {where}, in base64"


# --- crashes and full disks ---------------------------------------------------------------------------


def count(heard: Heard, peer: socket.socket) -> bool:
    peer.sendall(ok(b"you are %b" % heard.target.encode(), "Content-Type: text/plain"))
    return True


def test_what_was_recorded_before_a_kill_is_served(svcmock: Svcmock, tmp_path: Path) -> None:
    project = tmp_path / "p"
    answered: list[str] = []

    def client(name: int) -> None:
        with connect(recorder.ports["app"]) as peer:
            replies = Reading(peer)
            for number in range(100_000):
                path = f"/{name}/{number}"
                try:
                    peer.sendall(get(path))
                    assert replies.reply() == ok(f"you are {path}".encode(), "Content-Type: text/plain")
                except OSError:
                    return
                answered.append(path)

    with upstream(count) as real:
        recorder = svcmock.record(project, {"app": real.url})
        with ThreadPoolExecutor(8) as pool:
            working = [pool.submit(client, name) for name in range(8)]
            wait_until(lambda: len(answered) > 300)
            recorder.process.send(signal.SIGKILL)
            for work in working:
                work.result()
    assert recorder.process.wait() == -signal.SIGKILL
    mock = svcmock.up(project)
    lost = [path for path in answered if b" 200 " not in ask(mock.ports["app"], get(path))[:20]]
    assert len(lost) <= 8, "each connection may lose the exchange in flight"
    mock.down()

    (recording,) = (project / "recordings" / "app").glob("*.yaml")
    recording.write_bytes(recording.read_bytes()[:-9])
    cut = svcmock.up(project)
    assert any("truncated" in problem or "cut" in problem for problem in cut.status()["problems"]), cut.status()
    assert ask(cut.ports["app"], get("/0/0")).endswith(b"you are /0/0")


def test_a_full_disk_stops_the_recording_and_not_the_relay(svcmock: Svcmock, tmp_path: Path) -> None:
    """No file of the recorder may grow beyond 100 kB: the recording fills up, and so does a spooled body."""
    project = tmp_path / "p"
    limit = 100_000

    def answer(heard: Heard, peer: socket.socket) -> bool:
        peer.sendall(ok(b"x" * 2 * MIB if heard.target == "/large" else heard.target.encode() * 100))
        return True

    with upstream(answer) as real:
        recorder = svcmock.record(
            project,
            {"app": real.url},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
        port = recorder.ports["app"]
        assert len(ask(port, get("/large"))) > 2 * MIB
        answers = [ask(port, get(f"/{number}")) for number in range(300)]
        told = recorder.stop()["app"]
    assert answers == [ok(f"/{number}".encode() * 100) for number in range(300)]
    assert told["accepted"] == 301
    assert told["recorded"] + told["failed"] == 301
    assert 10 < told["recorded"] < 300
    assert "File too large" in recorder.process.output
    assert list((project / ".svcmock" / "spool").iterdir()) == []
    kept = told["recorded"]
    assert replayed(svcmock, project, [get(f"/{number}") for number in range(kept - 1)]) == answers[: kept - 1]


# --- the wire -----------------------------------------------------------------------------------------


def test_an_https_upstream_is_recorded_through_a_plain_port(svcmock: Svcmock, tmp_path: Path) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def answer(heard: Heard, peer: socket.socket) -> bool:
        here = f"https://{heard.headers['host']}"
        if heard.target == "/old":
            peer.sendall(
                b"HTTP/1.1 301 Moved Permanently\r\nLocation: %b/new\r\nContent-Length: 0\r\n\r\n"
                % here.encode()
            )
        else:
            peer.sendall(ok(b"secure " + b"s" * 3 * MIB))
        return True

    requests = [get("/old"), get("/new")]
    with upstream(answer, context) as real:
        recorder = svcmock.record(tmp_path / "p", {"app": real.url}, env={"SSL_CERT_FILE": str(bundle)})
        answers = [ask(recorder.ports["app"], request) for request in requests]
        assert recorder.stop()["app"]["recorded"] == 2
        assert real.heard[0].headers["host"] == f"127.0.0.1:{real.port}"
    assert b"\r\nLocation: //h/new\r\n" in answers[0]
    assert replayed(svcmock, tmp_path / "p", requests) == answers


def test_an_upstream_that_is_not_trusted_is_a_502_that_says_so(svcmock: Svcmock, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with upstream(count, context) as real:
        recorder = svcmock.record(tmp_path / "p", {"app": real.url})
        answer = ask(recorder.ports["app"], get("/"))
        assert recorder.stop()["app"]["failed"] == 1
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"certificate is not trusted" in answer
    assert "certificate is not trusted" in recorder.process.output


def test_a_streamed_reply_is_not_held_back(svcmock: Svcmock, tmp_path: Path) -> None:
    """The upstream sends each chunk only when the client has the one before."""
    taken = [threading.Event() for _ in range(3)]

    def answer(heard: Heard, peer: socket.socket) -> bool:
        peer.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for number, event in enumerate(taken):
            peer.sendall(b"8\r\ndata: %d\n\r\n" % number)
            assert event.wait(20)
        peer.sendall(b"0\r\n\r\n")
        return True

    with upstream(answer) as real:
        recorder = svcmock.record(tmp_path / "p", {"app": real.url})
        with connect(recorder.ports["app"]) as peer:
            peer.sendall(get("/events"))
            seen = b""
            for number, event in enumerate(taken):
                while b"8\r\ndata: %d\n\r\n" % number not in seen:
                    seen += peer.recv(1000)
                event.set()
            while not seen.endswith(b"0\r\n\r\n"):
                seen += peer.recv(1000)
        assert recorder.stop()["app"]["recorded"] == 1
    assert replayed(svcmock, tmp_path / "p", [get("/events")]) == [seen]


def test_bodies_framed_in_every_way_come_back_byte_for_byte(svcmock: Svcmock, tmp_path: Path) -> None:
    start = b"HTTP/1.1 200 OK\r\n"
    wire = {
        "/until-close": b"HTTP/1.1 200 Fine\r\ncontent-TYPE:  text/plain\r\nX-A: 1\r\nX-A: 2\r\n\r\n" + b"end",
        "/old-close": b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold",
        "/large-until-close": b"HTTP/1.1 200 OK\r\n\r\n" + os.urandom(2 * MIB),
        "/hints": b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n" + ok(b"ok"),
        "/trailers": start + b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\nx-other: \xe4\r\n\r\n",
        "/empty-chunked": start + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "/binary": ok(bytes(range(256))),
        "/yaml": ok(b"---\n...\nyes: no\n\r\n# \xc2\x85\xe2\x80\xa8 \t end\r\n..  \n...\n"),
        "/no-reason": b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
        "/teapot": b"HTTP/1.1 418 I'm \xe4 pot\r\nContent-Length: 0\r\n\r\n",
    }  # fmt: skip

    def answer(heard: Heard, peer: socket.socket) -> bool:
        peer.sendall(wire[heard.target])
        return "close" not in heard.target

    with upstream(answer) as real:
        answers = record_and_replay(svcmock, tmp_path / "p", real, [get(path) for path in wire])
    assert answers == list(wire.values())


def test_expect_100_continue_with_a_large_upload(svcmock: Svcmock, tmp_path: Path) -> None:
    body = os.urandom(2 * MIB)

    def agree(heard: Heard, peer: socket.socket) -> None:
        if heard.headers.get("expect") == "100-continue":
            peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def answer(heard: Heard, peer: socket.socket) -> bool:
        peer.sendall(ok(hashlib.sha256(heard.body).hexdigest().encode()))
        return True

    def upload(port: int) -> tuple[bytes, bytes]:
        head = b"PUT /up HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
        with connect(port) as peer:
            replies = Reading(peer)
            peer.sendall(head)
            agreed = replies.reply(interim=False)
            peer.sendall(body)
            return agreed, replies.reply("PUT")

    with upstream(answer, before_body=agree) as real:
        recorder = svcmock.record(tmp_path / "p", {"app": real.url})
        recorded = upload(recorder.ports["app"])
        assert recorder.stop()["app"]["recorded"] == 1
    assert recorded == (b"HTTP/1.1 100 Continue\r\n\r\n", ok(hashlib.sha256(body).hexdigest().encode()))
    mock = svcmock.up(tmp_path / "p")
    assert upload(mock.ports["app"]) == recorded
    spools = tmp_path / "p" / ".svcmock" / "spool"
    wait_until(lambda: not list(spools.iterdir()), lambda: f"left in {spools}")


def test_a_huge_body_needs_little_memory(svcmock: Svcmock, tmp_path: Path) -> None:
    piece = os.urandom(MIB)

    def answer(heard: Heard, peer: socket.socket) -> bool:
        if heard.target == "/huge":
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
            for _ in range(64):
                peer.sendall(piece)
        else:
            peer.sendall(ok(b"small"))
        return True

    def digest(port: int, path: str) -> tuple[str, int]:
        with connect(port) as peer:
            peer.sendall(get(path))
            hashed, size = hashlib.sha256(), 0
            while size < 64 * MIB and (data := peer.recv(1 << 16)):
                hashed.update(data)
                size += len(data)
            return hashed.hexdigest(), size

    with upstream(answer) as real:
        recorder = svcmock.record(tmp_path / "p", {"app": real.url})
        ask(recorder.ports["app"], get("/small"))
        before = resident(recorder.process.pid)
        recorded = digest(recorder.ports["app"], "/huge")
        assert resident(recorder.process.pid) - before < 30 * MIB
        assert recorder.stop()["app"]["recorded"] == 2
    mock = svcmock.up(tmp_path / "p")
    ask(mock.ports["app"], get("/small"))
    before = resident(mock.pid)
    assert digest(mock.ports["app"], "/huge") == recorded
    assert resident(mock.pid) - before < 30 * MIB
