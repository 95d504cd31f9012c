"""Every endpoint family of httpbin, four clients: the mock tells them what they were told while recording.

Each client names itself in `X-Client`, a header that decides, so that each is answered from its own exchanges.
"""

import asyncio
import contextlib
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import aiohttp
import httpx
import pytest
import requests
import yarl
from msgspec import Struct

from tests.e2e.processes import Svcmock

TOKEN = re.compile(rb"svcmock-[a-z2-7]{24}")
BASIC = "c2FtOnN3b3JkZmlzaC0xMg=="
"""Of sam:swordfish-12."""
CONNECTIONS = 8
STATUSES = (200, 201, 202, 204, 304, 400, 401, 402, 404, 406, 418, 429, 500, 503)
COOKIES = "flavour=chocolate-chip; size=huge-indeed"


class Case(Struct, frozen=True):
    """One request. At most one of `content`, `form` and `files` is given."""

    method: str
    path: str
    headers: Mapping[str, str] = {}
    content: bytes = b""
    form: Mapping[str, str] = {}
    files: Mapping[str, tuple[str, bytes, str]] = {}
    secrets: tuple[bytes, ...] = ()
    """Credentials in the request or its answer, as they are written there."""


class Answer(Struct, frozen=True):
    """What a client was told: headers as it lists them, and the body with its content coding still on."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Client(Protocol):
    def ask(self, base: str, case: Case) -> Answer: ...


JSON = {"Content-Type": "application/json"}
CASES = [
    Case("GET", "/get"),
    Case("GET", "/get?a=1&b=2&a=3&empty=&sp=a+b%20c"),
    Case("POST", "/post", JSON, b'{"id": 42, "name": "Ann", "tags": ["a", "b"]}'),
    Case("POST", "/post", form={"name": "Ann Example", "city": "Z\u00fcrich", "empty": ""}),
    Case("POST", "/post", files={"doc": ("a.txt", b"line one\r\nline two\n", "text/plain")}),
    Case("POST", "/post", files={"img": ("b.bin", bytes(range(256)) * 8, "application/octet-stream")}),
    Case("POST", "/post", {"Content-Type": "application/octet-stream"}, bytes(range(256)) * 20),
    Case("POST", "/post", {"Content-Type": "text/plain; charset=utf-8"}, "gr\u00fc\u00df dich\n".encode()),
    Case("PUT", "/put", JSON, b'{"price": 1.50}'),
    Case("PATCH", "/patch", JSON, b"[1, 2.0, null, true]"),
    Case("DELETE", "/delete"),
    Case("DELETE", "/delete", JSON, b'{"hard": true}'),
    *(Case(method, "/anything/some/path?x=1") for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
    Case("GET", "/anything/%7Euser/a%2Fb/caf%C3%A9"),
    Case("GET", "/gzip"),
    Case("GET", "/deflate"),
    Case("GET", "/brotli"),
    Case("GET", "/stream/1"),
    Case("GET", "/stream/7"),
    Case("GET", "/drip?numbytes=4&duration=0.4&delay=0"),
    Case("GET", "/drip?numbytes=3&duration=0.2&code=500&delay=0.1"),
    Case("GET", "/stream-bytes/5000?seed=3&chunk_size=1000"),
    Case("GET", "/stream-bytes/70000?seed=4"),
    Case("GET", "/bytes/0"),
    Case("GET", "/bytes/2000?seed=5"),
    Case("GET", "/bytes/90000"),
    Case("GET", "/range/1024"),
    Case("GET", "/range/1024", {"Range": "bytes=10-99"}),
    Case("GET", "/range/1024", {"Range": "bytes=1000-"}),
    Case("GET", "/range/1024", {"Range": "bytes=-24"}),
    Case("GET", "/range/1024", {"Range": "bytes=2000-3000"}),
    *(Case("GET", f"/status/{s}") for s in STATUSES),
    *(Case(method, "/status/409") for method in ("POST", "PUT", "PATCH", "DELETE")),
    Case("GET", "/redirect/2"),
    Case("GET", "/relative-redirect/2"),
    Case("GET", "/absolute-redirect/2"),
    Case("GET", "/redirect-to?url=https%3A%2F%2Felsewhere.example%2Fa&status_code=307"),
    Case("GET", "/redirect-to?url=%2Fget&status_code=308"),
    Case("GET", "/status/302"),
    Case("GET", "/cookies"),
    Case("GET", "/cookies", {"Cookie": COOKIES}, secrets=(b"chocolate-chip", b"huge-indeed")),
    Case("GET", "/cookies/set?one=vanilla-bean&two=really-small", secrets=(b"vanilla-bean", b"really-small")),
    Case("GET", "/cookies/delete?flavour"),
    Case("GET", "/basic-auth/sam/swordfish-12"),
    Case("GET", "/basic-auth/sam/swordfish-12", {"Authorization": f"Basic {BASIC}"}, secrets=(BASIC.encode(),)),
    Case("GET", "/hidden-basic-auth/sam/swordfish-12"),
    Case("GET", "/bearer"),
    Case("GET", "/bearer", {"Authorization": "Bearer abcdef-0123456789"}, secrets=(b"abcdef-0123456789",)),
    Case("GET", "/headers", {"X-Api-Key": "k-9876543210", "X-Plain": "seen"}, secrets=(b"k-9876543210",)),
    Case("GET", "/headers", {"X-Multi": "a, b;q=0.5", "Accept": "text/html, */*;q=0.1"}),
    Case("GET", "/ip"),
    Case("GET", "/user-agent"),
    Case("GET", "/uuid"),
    Case("GET", "/response-headers?Freeform=one&Freeform=two&X-Lower=yes"),
    Case("POST", "/response-headers?Freeform=posted"),
    Case("GET", "/etag/abc"),
    Case("GET", "/etag/abc", {"If-None-Match": '"abc"'}),
    Case("GET", "/etag/abc", {"If-Match": '"other"'}),
    Case("GET", "/cache"),
    Case("GET", "/cache", {"If-Modified-Since": "Mon, 23 Nov 2026 00:00:00 GMT"}),
    Case("GET", "/cache/60"),
    Case("GET", "/html"),
    Case("GET", "/json"),
    Case("GET", "/xml"),
    Case("GET", "/robots.txt"),
    Case("GET", "/deny"),
    Case("GET", "/encoding/utf8"),
    Case("GET", "/base64/c3ZjbW9jaw=="),
    Case("GET", "/image/png"),
    Case("GET", "/image/jpeg"),
    Case("GET", "/image/svg"),
    Case("GET", "/image", {"Accept": "image/webp"}),
    Case("GET", "/forms/post"),
    Case("GET", "/links/5/2"),
    Case("GET", "/delay/0.2"),
    Case("POST", "/delay/0.1", form={"a": "1"}),
    Case("GET", "/nothing/here"),
    *(Case("HEAD", path) for path in ("/get", "/gzip", "/bytes/2000?seed=5", "/stream/3", "/status/404")),
    *(Case("OPTIONS", path) for path in ("/get", "/post", "/anything")),
    Case("TRACE", "/anything"),
]  # fmt: skip


class Httpx:
    """With a pool of connections."""

    def __init__(self) -> None:
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=2)
        self._client = httpx.Client(trust_env=False, limits=limits, timeout=30)
        self._client.cookies.jar.set_policy(_NoCookies())

    def ask(self, base: str, case: Case) -> Answer:
        body: dict[str, object] = {"content": case.content} if case.content else {}
        if case.form:
            body = {"data": dict(case.form)}
        if case.files:
            body = {"files": dict(case.files)}
        headers = {**case.headers, "X-Client": "httpx"}
        with self._client.stream(case.method, base + case.path, headers=headers, **body) as reply:  # type: ignore[arg-type]
            raw = b"".join(reply.iter_raw())
        told = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in reply.headers.raw)
        return Answer(reply.status_code, told, raw)

    def close(self) -> None:
        self._client.close()


class Requests:
    """With a session a thread, as its users are told to."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def ask(self, base: str, case: Case) -> Answer:
        body: dict[str, object] = {"data": case.content or dict(case.form) or None}
        if case.files:
            body = {"files": dict(case.files)}
        headers = {**case.headers, "X-Client": "requests"}
        with self._session().request(
            case.method,
            base + case.path,
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=30,
            **body,  # type: ignore[arg-type]
        ) as reply:
            raw = b"".join(reply.raw.stream(decode_content=False))
            return Answer(reply.status_code, tuple(reply.raw.headers.items()), raw)

    def close(self) -> None:
        for session in self._sessions:
            session.close()

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False
            self._local.session.cookies.set_policy(_NoCookies())
            self._sessions.append(self._local.session)
        session: requests.Session = self._local.session
        return session


class Aiohttp:
    """On an event loop of its own, all requests of all threads together."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._session = self._call(self._open())

    def ask(self, base: str, case: Case) -> Answer:
        return self._call(self._ask(base, case))

    def close(self) -> None:
        self._call(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())

    async def _ask(self, base: str, case: Case) -> Answer:
        data: object = case.content or dict(case.form) or None
        if case.files:
            form = aiohttp.FormData()
            for name, (filename, content, kind) in case.files.items():
                form.add_field(name, content, filename=filename, content_type=kind)
            data = form
        url = yarl.URL(base + case.path, encoded=True)
        headers = {**case.headers, "X-Client": "aiohttp"}
        async with self._session.request(
            case.method, url, headers=headers, data=data, allow_redirects=False
        ) as reply:
            raw = await reply.read()
        told = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in reply.raw_headers)
        return Answer(reply.status, told, raw)

    def _call(self, work):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


class Curl:
    """A process and a connection for each request; prints the head as it came."""

    def ask(self, base: str, case: Case) -> Answer:
        argv = ["curl", "-q", "-sS", "-i", "--http1.1", "--noproxy", "*", "--path-as-is", "--max-time", "30"]
        argv += ["--head"] if case.method == "HEAD" else ["--request", case.method]
        for name, value in {**case.headers, "X-Client": "curl"}.items():
            argv += ["--header", f"{name}: {value}"]
        for name, value in case.form.items():
            argv += ["--data-urlencode", f"{name}={value}"]
        for name, (filename, _, kind) in case.files.items():
            argv += ["--form", f"{name}=@-;filename={filename};type={kind}"]
        stdin = case.content
        if case.content:
            argv += ["--data-binary", "@-"]
        for _, content, _ in case.files.values():
            stdin = content
        done = subprocess.run([*argv, base + case.path], input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 1"):
            head, _, body = body.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        return Answer(int(status.split()[1]), tuple(_field(line) for line in lines), body)

    def close(self) -> None:
        pass


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip()


class _NoCookies:
    """A policy that keeps no cookie: what is sent is what the case says."""

    netscape, rfc2965, hide_cookie2 = True, False, True

    def set_ok(self, cookie: object, request: object) -> bool:
        return False

    def return_ok(self, cookie: object, request: object) -> bool:
        return False

    def domain_return_ok(self, domain: str, request: object) -> bool:
        return False

    def path_return_ok(self, path: str, request: object) -> bool:
        return False


@pytest.fixture
def clients() -> Iterator[list[Client]]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: its replay is not tested")
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(make())) for make in (Httpx, Requests, Aiohttp, Curl)]


@pytest.fixture
def httpbin(svcmock: Svcmock, free_port: Callable[[], int]) -> Iterator[str]:
    """httpbin under gunicorn; gives its URL."""
    port = free_port()
    server = svcmock.spawn(
        [
            sys.executable,
            "-m",
            "gunicorn",
            "-k",
            "gthread",
            "--threads",
            "16",
            "-b",
            f"127.0.0.1:{port}",
            "httpbin:app",
        ]
    )
    server.listens(port)
    yield f"http://127.0.0.1:{port}"
    server.stop()


def ask_all(
    clients: Sequence[Client], base: str, jobs: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], Answer]:
    """Every job's answer, many at a time; a job is the numbers of a client and a case."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = pool.map(lambda job: clients[job[0]].ask(base, CASES[job[1]]), jobs)
        return dict(zip(jobs, answers, strict=True))


def hidden(answer: Answer, case: Case, authority: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """The answer with credentials and tokens alike, and redirects to whoever answered alike."""

    def plain(text: bytes) -> bytes:
        for secret in case.secrets:
            text = text.replace(secret, b"<credential>")
        return TOKEN.sub(b"<credential>", text)

    body = plain(answer.body)
    headers = []
    for name, value in answer.headers:
        shown = plain(value.encode("latin-1")).decode("latin-1")
        if name.lower() == "content-length" and body != answer.body:
            assert int(value) == len(answer.body)
            shown = "fits"
        elif name.lower() == "location":
            shown = value.replace(authority, "<me>")
        headers.append((name, shown))
    return answer.status, headers, body


def test_every_client_is_told_the_same_again(
    svcmock: Svcmock, tmp_path: Path, httpbin: str, clients: list[Client]
) -> None:
    project = tmp_path / "project"
    recorder = svcmock.record(project, {"bin": httpbin})
    jobs = [(client, case) for case in range(len(CASES)) for client in range(len(clients))]
    recorded = ask_all(clients, recorder.urls["bin"], jobs)
    told = recorder.stop()["bin"]
    assert told["accepted"] == told["recorded"] == len(jobs), recorder.process.output
    assert told["passed on unread"] == 0

    mock = svcmock.up(project)
    shuffled = random.Random(7).sample(jobs, len(jobs))
    replayed = ask_all(clients, mock.urls["bin"], shuffled)
    status = mock.status()
    wrong = []
    for client, case in jobs:
        for secret in CASES[case].secrets:
            assert secret not in replayed[client, case].body
            assert secret.decode() not in str(replayed[client, case].headers)
        before = hidden(recorded[client, case], CASES[case], f"127.0.0.1:{recorder.ports['bin']}")
        after = hidden(replayed[client, case], CASES[case], f"127.0.0.1:{mock.ports['bin']}")
        if before != after:
            wrong.append((type(clients[client]).__name__, CASES[case], before, after))
    assert not wrong, f"{len(wrong)} of {len(jobs)} differ: {wrong[:3]}"
    assert status["services"]["bin"]["misses"] == 0


def test_a_session_with_redirects_cookies_and_credentials_goes_the_same_way(
    svcmock: Svcmock, tmp_path: Path, httpbin: str
) -> None:
    project = tmp_path / "project"
    recorder = svcmock.record(project, {"bin": httpbin})
    recorded = browse(recorder.urls["bin"])
    assert recorder.stop()["bin"]["failed"] == 0
    assert [status for _, status, _ in recorded] == [200] * len(recorded)
    mock = svcmock.up(project)
    assert browse(mock.urls["bin"]) == recorded
    assert mock.status()["services"]["bin"]["misses"] == 0


def browse(base: str) -> list[tuple[list[str], int, object]]:
    """For each step the paths it was led along, the last status, and what was said in the end."""
    steps: list[tuple[list[str], int, object]] = []
    with httpx.Client(base_url=base, follow_redirects=True, trust_env=False, timeout=30) as client:

        def go(path: str, auth: httpx.Auth | tuple[str, str] | None = None) -> None:
            reply = client.get(path, auth=auth)
            assert str(reply.url).startswith(f"{base}/"), "led away from where it was asked"
            way = [step.url.path for step in [*reply.history, reply]]
            steps.append((way, reply.status_code, sorted(reply.json())))

        go("/redirect/3")
        go("/absolute-redirect/3")
        go("/cookies/set/flavour/chocolate-chip")
        assert set(client.cookies) == {"flavour"}
        go("/cookies")
        go("/basic-auth/sam/swordfish-12", ("sam", "swordfish-12"))
        go("/digest-auth/auth/sam/swordfish-12/MD5", httpx.DigestAuth("sam", "swordfish-12"))
        go("/digest-auth/auth/sam/swordfish-12/SHA-256", httpx.DigestAuth("sam", "swordfish-12"))
        go("/cookies/delete?flavour")
    return steps
