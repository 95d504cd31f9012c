"""HTTP/2 for the clients that people have: httpx, curl, nghttp, h2load, Node; beside HTTP/1.1 on one port."""

import hashlib
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e import packages
from tests.e2e.h2client import Client
from tests.e2e.processes import Mock, Svcmock, wait_until
from tests.e2e.projects import configure, project

pytestmark = pytest.mark.timeout(120)  # several processes, one after the other, on a machine that may be busy

MIB = 1 << 20
BODY = b'{"id":42}'
ROUTES = """\
- request: {path: /users/42}
  respond: {json: {id: 42}}
- request: {method: POST, path: /orders, json: {item: 42}}
  respond: {status: 201, headers: [[Set-Cookie, a=1], [Set-Cookie, b=2]], json: {order: 1}}
- match: {method: POST, path: /upload, body: {regex: "^x+$"}}
  respond: {body: uploaded}
- match: {method: PUT, path: "/uploads/{name}"}
  respond: {status: 204}
- match: {path: /version, http_version: "2"}
  respond: {body: two}
- match: {path: /version, http_version: "1.1"}
  respond: {body: one}
- match: {path: /only-two, http_version: "2"}
  respond: {body: two}
- request: {path: /events}
  respond:
    headers: {Content-Type: text/event-stream}
    stream: ["data: 1\\n\\n", {after: 20ms, data: "data: 2\\n\\n"}]
    trailers: {X-Count: "2"}
- request: {path: /large}
  respond: {headers: {Content-Type: application/octet-stream}, body: {file: large.bin}}
- request: {path: /medium}
  respond: {headers: {Content-Type: application/octet-stream}, body: {file: medium.bin}}
- request: {path: /missing}
  respond: {status: 404}
"""


def content(size: int) -> bytes:
    """Bytes that differ all along, and are the same each time."""
    return b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(size // 32))


LARGE, MEDIUM = content(10_000_000), content(1_600_000)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    line = "shop: {listen: 0, tls: auto, routes: routes/, limits: {drain: 60}}"
    folder = project(tmp_path / "shop", line, ROUTES)
    (folder / "routes/large.bin").write_bytes(LARGE)
    (folder / "routes/medium.bin").write_bytes(MEDIUM)
    return folder


def trust(mock: Mock) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(mock.project / ".svcmock/ca/ca.pem"))


def tool(name: str, *argv: str | Path) -> str:
    """What a command line says, which has to succeed; the test is skipped where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run(
        [found, *map(str, argv)], capture_output=True, timeout=60, check=False, text=True, errors="replace"
    )
    assert done.returncode == 0, (
        f"{name} {argv} gave {done.returncode}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
    )
    return done.stdout


def curl(*argv: str | Path) -> str:
    """The body, and after a bar the version and the status."""
    return tool("curl", "-sS", "--noproxy", "*", "-o", "-", "-w", "|%{http_version} %{http_code}", *argv)


@contextmanager
def clients(mock: Mock, port: int) -> Iterator[dict[str, httpx.Client]]:
    """httpx over HTTP/2 and HTTP/1.1, with TLS and without."""
    plain, secure = f"http://localhost:{port}", f"https://localhost:{port}"
    more: dict[str, Any] = {"verify": trust(mock), "trust_env": False, "timeout": 30}
    with (
        httpx.Client(http1=False, http2=True, base_url=plain, **more) as two,
        httpx.Client(http2=True, base_url=secure, **more) as two_secure,
        httpx.Client(base_url=plain, **more) as one,
        httpx.Client(base_url=secure, **more) as one_secure,
    ):
        yield {"2": two, "2 by ALPN": two_secure, "1.1": one, "1.1 by ALPN": one_secure}


# --- one port, both versions --------------------------------------------------------------------------


def test_httpx_gets_the_same_over_both_versions(svcmock: Svcmock, shop: Path) -> None:
    mock = svcmock.up(shop)
    seen: dict[str, list[tuple[Any, ...]]] = {}
    with clients(mock, mock.ports["shop"]) as all_:
        for name, client in all_.items():
            replies = [
                client.get("/users/42"),
                client.post("/orders", json={"item": 42}),
                client.post("/orders", json={"item": 43}),
                client.get("/events"),
                client.get("/missing"),
                client.get("/large"),
            ]
            assert {reply.http_version for reply in replies} == {f"HTTP/{name.split()[0]}"}
            told = replies[2].json()
            assert (replies[2].status_code, told["miss"]) == (501, replies[2].headers["x-svcmock-miss"])
            assert replies[0].content == BODY
            assert replies[1].headers.get_list("set-cookie") == ["a=1", "b=2"]
            assert replies[5].content == LARGE
            del replies[2]
            seen[name] = [(reply.status_code, reply.content, _plain(reply.headers)) for reply in replies]
    first = seen["2"]
    for name, one in seen.items():
        assert one == first, name
    assert mock.status()["services"]["shop"]["misses"] == 4


def _plain(headers: httpx.Headers) -> list[tuple[str, str]]:
    """Without what is a matter of HTTP/1.1 only."""
    framing = ("transfer-encoding", "connection", "trailer")
    return sorted((name, value) for name, value in headers.multi_items() if name not in framing)


def test_routes_that_demand_a_version(svcmock: Svcmock, shop: Path) -> None:
    mock = svcmock.up(shop)
    with clients(mock, mock.ports["shop"]) as all_:
        said = {name: client.get("/version").text for name, client in all_.items()}
        only = {name: client.get("/only-two").status_code for name, client in all_.items()}
        why = all_["1.1"].get("/only-two").json()
    assert said == {"2": "two", "2 by ALPN": "two", "1.1": "one", "1.1 by ALPN": "one"}
    assert only == {"2": 200, "2 by ALPN": 200, "1.1": 501, "1.1 by ALPN": 501}
    assert "http_version" in json.dumps(why)


def test_curl(svcmock: Svcmock, shop: Path, tmp_path: Path) -> None:
    """Prior knowledge, Upgrade, ALPN; a request body beyond every first window, with Upgrade, too."""
    mock = svcmock.up(shop)
    port = mock.ports["shop"]
    url, secure = f"http://127.0.0.1:{port}", f"https://127.0.0.1:{port}"
    ca = shop / ".svcmock/ca/ca.pem"
    upload = tmp_path / "upload"
    upload.write_bytes(b"x" * MIB)
    for how, where in (
        (["--http2-prior-knowledge"], url),
        (["--http2"], url),
        (["--http2", "--cacert", str(ca)], secure),
    ):
        assert curl(*how, f"{where}/users/42") == f"{BODY.decode()}|2 200", how
        assert curl(*how, "--json", '{"item": 42}', f"{where}/orders") == '{"order":1}|2 201', how
        assert curl(*how, f"{where}/events") == "data: 1\n\ndata: 2\n\n|2 200", how
        version = "one" if (how, where) == (["--http2"], url) else "two"  # what asks for an upgrade is HTTP/1.1
        assert curl(*how, f"{where}/version") == f"{version}|2 200", how
        assert curl(*how, "--data-binary", f"@{upload}", f"{where}/upload") == "uploaded|2 200", how
        assert curl(*how, "-T", upload, f"{where}/uploads/a") == "|2 204", how
        large = tmp_path / "large"
        assert tool("curl", "-sS", "--noproxy", "*", *how, "-o", large, f"{where}/large") == ""
        assert large.read_bytes() == LARGE, how
        if how != [
            "--http2-prior-knowledge"
        ]:  # curl 7.88 cannot do that twice on one connection, with any server
            both = tool("curl", "-sS", "--noproxy", "*", *how, f"{where}/users/42", f"{where}/users/42")
            assert both == BODY.decode() * 2
    assert curl("--http1.1", f"{url}/version") == "one|1.1 200"
    assert mock.status()["services"]["shop"]["misses"] == 0


def test_nghttp(svcmock: Svcmock, shop: Path) -> None:
    port = svcmock.up(shop).ports["shop"]
    for how, scheme in (((), "http"), (("--upgrade",), "http"), (("--no-verify-peer",), "https")):
        url = f"{scheme}://127.0.0.1:{port}"
        said = tool("nghttp", *how, f"{url}/users/42", f"{url}/events", f"{url}/version")
        assert all(part in said for part in (BODY.decode(), "data: 1\n\n", "data: 2\n\n", "two")), said
        large = f"{url}/large"
        assert tool("nghttp", *how, "--stat", "--null-out", large).count(" 200 ") == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_h2load(svcmock: Svcmock, shop: Path, scheme: str) -> None:
    mock = svcmock.up(shop)
    url = f"{scheme}://127.0.0.1:{mock.ports['shop']}"
    for path, count in (("/users/42", 2000), ("/large", 20)):
        said = tool("h2load", "-c", "4", "-m", "10", "-n", str(count), f"{url}{path}")
        expected = (
            f"{count} total, {count} started, {count} done, {count} succeeded, 0 failed, 0 errored, 0 timeout"
        )
        assert f"requests: {expected}" in said, said
        assert f"status codes: {count} 2xx, 0 3xx, 0 4xx, 0 5xx" in said, said
    shop_ = mock.status()["services"]["shop"]
    assert (shop_["hits"], shop_["misses"]) == (2020, 0)


def test_node(svcmock: Svcmock, shop: Path) -> None:
    """Node's http2 client: many requests at once on one session, trailers, a large body, a cancelled one."""
    script = Path(__file__).with_name("node") / "http2.cjs"
    mock = svcmock.up(shop)
    for scheme in ("http", "https"):
        argv = [
            packages.node(),
            str(script),
            f"{scheme}://localhost:{mock.ports['shop']}",
            str(shop / ".svcmock/ca/ca.pem"),
        ]
        done = subprocess.run(argv, capture_output=True, timeout=60, check=False, text=True)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["users"] == [[200, BODY.decode()]] * 50
        assert told["order"] == [201, '{"order":1}', ["a=1", "b=2"]]
        assert told["events"] == [200, "data: 1\n\ndata: 2\n\n", "2"]
        assert told["large"] == hashlib.sha256(LARGE).hexdigest()
        assert told["cancelled"] == http2_cancel()
        assert told["after"] == [200, BODY.decode()]


def http2_cancel() -> int:
    """The code of a stream that its client has cancelled (RFC 9113, section 7)."""
    return 8


def test_large_bodies_of_many_streams_at_once(svcmock: Svcmock, shop: Path) -> None:
    """All streams share one window of the connection; none starves, and all are whole."""
    mock = svcmock.up(shop)
    with Client(mock.ports["shop"]) as client:
        streams = [client.ask("/medium") for _ in range(5)] + [client.ask("/users/42") for _ in range(5)]
        bodies = [client.answer(stream).body for stream in streams]
        assert client.answers[streams[0]].headers["content-length"] == str(len(MEDIUM))
    assert [hashlib.sha256(body).digest() for body in bodies[:5]] == [hashlib.sha256(MEDIUM).digest()] * 5
    assert bodies[5:] == [BODY] * 5


# --- the daemon's life --------------------------------------------------------------------------------


class Hammer:
    """Clients of HTTP/2 that ask on and on, several streams at a time on each connection."""

    def __init__(self, port: int, connections: int = 4, streams: int = 8) -> None:
        self._port = port
        self._streams = streams
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.bodies: Counter[bytes] = Counter()
        self.last = b""
        self.wrong: list[object] = []
        self.cut_off = 0
        """Connections that ended."""
        self._threads = [threading.Thread(target=self._work) for _ in range(connections)]
        for thread in self._threads:
            thread.start()

    @property
    def answered(self) -> int:
        return self.bodies.total()

    def _work(self) -> None:
        while not self._over.is_set():
            try:
                client = Client(self._port)
            except OSError as error:
                self.wrong.append(error)
                return
            with client:
                self._ask(client)
            with self._lock:
                self.cut_off += client.closed

    def _ask(self, client: Client) -> None:
        while not (self._over.is_set() or client.closed):
            streams = [client.ask("/users/42") for _ in range(self._streams)]
            for stream in streams:
                answer = client.answer(stream)
                with self._lock:
                    if answer.ended and answer.headers[":status"] == "200":
                        self.bodies[answer.body] += 1
                        self.last = answer.body
                    elif not client.closed:
                        self.wrong.append(answer)
                del client.answers[stream]

    def more(self, count: int = 300) -> None:
        """Wait for so many answers."""
        mark = self.answered
        wait_until(lambda: self.answered > mark + count or self.wrong, lambda: f"{self.answered} answers")

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)


def reloading(shop: Path) -> Callable[[], Any]:
    """What `svcmock reload` does, without a process of its own."""
    from svcmock.commands.ask import client
    from svcmock.running import running

    daemon = running(shop)
    assert daemon is not None
    return lambda: client(daemon).call("POST", "/reload")


def test_reloads_under_load_fail_no_request(svcmock: Svcmock, tmp_path: Path) -> None:
    route = "- {request: {path: /users/42}, respond: {body: 'version %d'}}\n"
    shop = project(tmp_path / "shop", routes=route % 0)
    mock = svcmock.up(shop)
    reload = reloading(shop)
    hammer = Hammer(mock.ports["shop"])
    try:
        for version in range(1, 16):
            draft = shop / "routes/.a"
            draft.write_text(route % version)
            draft.replace(shop / "routes/a.yaml")
            assert reload()["ok"]
            hammer.more(20)
        wait_until(lambda: hammer.last == b"version 15" or hammer.wrong)
    finally:
        hammer.stop()
    assert hammer.wrong == []
    assert hammer.cut_off == 0
    assert set(hammer.bodies) == {b"version %d" % version for version in range(16)}


def test_h2load_while_the_files_change(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop")
    mock = svcmock.up(shop)
    said: list[str] = []
    if shutil.which("h2load") is None:
        pytest.skip("h2load is not installed")
    url = f"http://127.0.0.1:{mock.ports['shop']}/users/42"
    load = threading.Thread(
        target=lambda: said.append(tool("h2load", "-c", "4", "-m", "10", "-n", "50000", url))
    )
    reload = reloading(shop)
    load.start()
    reloads = 0
    while load.is_alive():
        (shop / "routes/b.yaml").write_text(f"- {{request: {{path: /{reloads}}}, respond: {{status: 204}}}}\n")
        assert reload()["ok"]
        reloads += 1
    load.join()
    assert reloads > 1
    assert "50000 succeeded, 0 failed, 0 errored, 0 timeout" in said[0], said


def test_down_sends_goaway_and_answers_what_is_under_way(svcmock: Svcmock, shop: Path) -> None:
    mock = svcmock.up(shop)
    port = mock.ports["shop"]
    with Client(port) as client, Client(port) as resting:
        assert resting.answer(resting.ask("/users/42")).body == BODY
        client.holding = True
        quick, slow = client.ask("/users/42"), client.ask("/medium")
        assert client.answer(quick).body == BODY
        going = threading.Thread(target=mock.down)
        going.start()
        client.until(lambda: client.goaway is not None)
        assert client.goaway is not None
        assert (client.goaway.error_code, client.goaway.last_stream_id) == (0, slow)
        assert not client.answers[slow].ended
        client.release()
        assert client.answer(slow).body == MEDIUM
        client.until(lambda: False)
        resting.until(lambda: False)
        assert client.closed
        assert resting.closed
        assert resting.goaway is not None
        going.join(30)


def test_a_worker_that_is_killed_leaves_the_others(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "shop"), "--workers", "2")
    workers = [one["pid"] for one in mock.status()["workers"]]
    assert len(set(workers)) == 2
    hammer = Hammer(mock.ports["shop"], connections=8)
    try:
        hammer.more()
        os.kill(workers[0], signal.SIGKILL)
        wait_until(lambda: mock.status()["restarts"] == 1)
        hammer.more()
    finally:
        hammer.stop()
    assert hammer.wrong == []
    assert set(hammer.bodies) == {BODY}
    assert 1 <= hammer.cut_off < 8, "those of one worker, and no others"
    assert workers[1] in [one["pid"] for one in mock.status()["workers"]]


def test_both_versions_after_a_service_has_changed_to_tls(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop")
    mock = svcmock.up(shop)
    port = mock.ports["shop"]
    with httpx.Client(http1=False, http2=True, trust_env=False) as client:
        assert client.get(f"http://localhost:{port}/users/42").content == BODY
    configure(shop, "shop: {listen: 0, routes: routes/, tls: {auto: true, plain: false}}")
    svcmock.run("reload", shop)
    with httpx.Client(http2=True, verify=trust(mock), trust_env=False) as client:
        reply = client.get(f"https://localhost:{port}/users/42")
        assert (reply.http_version, reply.content) == ("HTTP/2", BODY)
    with Client(port) as refused:
        refused.until(lambda: False)
        assert refused.closed
    secure = http.client.HTTPSConnection("localhost", port, timeout=20, context=trust(mock))
    secure.request("GET", "/users/42")
    assert secure.getresponse().read() == BODY
    secure.close()
