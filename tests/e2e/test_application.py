"""An application's sessions with a shop, recorded on many connections and replayed in another order."""

import random
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from msgspec import Struct

from tests.e2e.processes import Svcmock
from tests.e2e.wire import connect, get

USERS = [f"user-{number}" for number in range(12)]
TOGETHER = 6
"""Users at a time."""
SECRETS = re.compile(r"(?<=sid=)[^;]+|(?<=theme=)[^;]+|(?<=csrf_token\": \")[^\"]+")


class Told(Struct, frozen=True):
    """One request and its answer, as the application saw them."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    status: int
    answer_headers: list[tuple[str, str]]
    answer: bytes


class Buyer:
    """The application: what a user of the shop does, on connections of their own."""

    def __init__(self, base: str, user: str) -> None:
        self._user = user
        self._client = httpx.Client(
            base_url=base, follow_redirects=True, verify=False, trust_env=False, timeout=30
        )
        self.told: list[Told] = []

    def go(self) -> list[Told]:
        with self._client:
            assert self._ask("GET", "/cart", params={"before": self._user}).status_code == 401
            wrong = self._ask("POST", "/login", data={"user": self._user, "password": "guess-" + self._user})
            assert wrong.status_code == 403
            known = self._ask(
                "POST", "/login", data={"user": self._user, "password": f"pass-word-of-{self._user}"}
            )
            csrf = {"X-CSRF-Token": known.json()["csrf_token"]}
            number = USERS.index(self._user)
            for page in (1, number + 1):
                listed = self._ask("GET", "/products", params={"page": page, "q": self._user})
            tag = {"If-None-Match": listed.headers["ETag"]}
            assert self._ask("GET", "/products", params={"q": self._user}, headers=tag).status_code == 304
            for item in (number + 3, number + 5):
                self._ask("POST", "/cart", json={"id": item, "amount": 2.50, "note": "für Ann"}, headers=csrf)
                assert self._ask("GET", "/cart").json()["items"]
            self._ask("DELETE", f"/cart/{number + 3}", headers=csrf)
            assert len(self._ask("GET", "/cart").json()["items"]) == 1
            picture = bytes(range(256)) * (40 * number)
            self._ask("POST", "/avatar", files={"picture": ("me.png", picture, "image/png")}, headers=csrf)
            bought = self._ask("POST", "/checkout", headers=csrf)
            assert bought.json()["seen_by"] == self._user
            events = self._ask("GET", f"{bought.url.path}/events")
            assert events.text.count("data: ") == 4
        return self.told

    def _ask(self, method: str, path: str, **more: object) -> httpx.Response:
        request = self._client.build_request(method, path, **more)  # type: ignore[arg-type]
        request.read()
        reply = self._client.send(request)
        for step in [*reply.history, reply]:
            sent = step.request
            told = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in step.headers.raw]
            keep = ("cookie", "content-type", "accept", "x-csrf-token", "if-none-match")
            headers = {name: value for name, value in sent.headers.items() if name in keep}
            path_ = sent.url.raw_path.decode()
            self.told.append(
                Told(sent.method, path_, headers, sent.content, step.status_code, told, step.content)
            )
        return reply


def alike(told: Told, base: str) -> tuple[object, ...]:
    """An answer with its credentials hidden, and redirects relative to who was asked."""
    body = SECRETS.sub("<hidden>", told.answer.decode("utf-8"))
    hidden = body != told.answer.decode("utf-8")
    headers = [
        (name, "fits" if hidden and name.lower() == "content-length" else SECRETS.sub("<hidden>", value))
        for name, value in told.answer_headers
    ]
    moved = [(name, value.replace(base, "<me>")) for name, value in headers]
    return told.method, told.url, told.status, moved, body


def buy(base: str, users: list[str]) -> dict[str, list[Told]]:
    """What each user was told; several of them at a time."""
    with ThreadPoolExecutor(TOGETHER) as pool:
        return dict(zip(users, pool.map(lambda user: Buyer(base, user).go(), users), strict=True))


@pytest.fixture
def shop(svcmock: Svcmock, free_port: Callable[[], int]) -> tuple[str, Callable[[], object]]:
    """The shop's URL, and what ends it."""
    port = free_port()
    server = svcmock.spawn([sys.executable, str(Path(__file__).with_name("shop.py")), str(port)])
    server.listens(port)
    return f"http://127.0.0.1:{port}", server.stop


def test_sessions_go_the_same_way_in_another_order(
    svcmock: Svcmock, tmp_path: Path, shop: tuple[str, Callable[[], object]]
) -> None:
    url, stop = shop
    project = tmp_path / "project"
    recorder = svcmock.record(project, {"shop": url})
    base = recorder.urls["shop"]
    recorded = buy(base, USERS)
    stop()
    counted = recorder.stop()["shop"]
    assert counted["accepted"] == counted["recorded"] == sum(map(len, recorded.values()))

    mock = svcmock.up(project)
    there = mock.urls["shop"]
    replayed = buy(there, random.Random(3).sample(USERS, len(USERS)))
    for user in USERS:
        assert [alike(t, there) for t in replayed[user]] == [alike(t, base) for t in recorded[user]]
    assert mock.status()["services"]["shop"]["misses"] == 0
    mock.down()

    one_by_one(svcmock.up(project).urls["shop"], base, [told for each in recorded.values() for told in each])


def one_by_one(there: str, base: str, recorded: list[Told]) -> None:
    """Every request that was made once, in any order and each on a connection of its own."""
    asked = [(told.method, told.url, str(sorted(told.headers.items())), told.body) for told in recorded]
    single = [told for told, key in zip(recorded, asked, strict=True) if asked.count(key) == 1]
    assert len(single) > len(recorded) // 2

    def ask(told: Told) -> Told:
        headers = [*told.headers.items(), ("connection", "close")]
        reply = httpx.request(
            told.method, there + told.url, headers=headers, content=told.body, trust_env=False, verify=False
        )
        raw = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in reply.headers.raw]
        without = [(name, value) for name, value in raw if (name, value) != ("Connection", "close")]
        return Told(told.method, told.url, told.headers, told.body, reply.status_code, without, reply.content)

    shuffled = random.Random(5).sample(single, len(single))
    with ThreadPoolExecutor(TOGETHER) as pool:
        for told, again in zip(shuffled, pool.map(ask, shuffled), strict=True):
            assert alike(again, there) == alike(told, base)


def test_events_come_one_by_one(
    svcmock: Svcmock, tmp_path: Path, shop: tuple[str, Callable[[], object]]
) -> None:
    """The chunks are the recorded ones, and the first is here when the last is not yet due: for an hour."""
    url, stop = shop
    project = tmp_path / "project"
    recorder = svcmock.record(project, {"shop": url})
    bought = Buyer(recorder.urls["shop"], "user-0").go()
    path = bought[-1].url
    with connect(recorder.ports["shop"]) as peer:
        peer.sendall(get(f"{path}?again"))
        recorded = b""
        while not recorded.endswith(b"\r\n0\r\n\r\n"):
            recorded += peer.recv(1 << 16)
    stop()
    recorder.stop()
    assert recorded.count(b"\r\nid: ") == 4

    (file,) = (project / "recordings" / "shop").glob("*.yaml")
    documents = file.read_text().split("---\n")
    mine = next(at for at, text in enumerate(documents) if "again" in text)
    before, after, rest = documents[mine].rpartition("after: ")
    documents[mine] = before + after + re.sub(r"\A[^,}\n]+", "1h", rest)
    mock = svcmock.up(project)
    with connect(mock.ports["shop"]) as peer:
        peer.sendall(get(f"{path}?again"))
        whole = b""
        while not whole.endswith(b"\r\n0\r\n\r\n"):
            whole += peer.recv(1 << 16)
    assert whole == recorded
    mock.down()

    file.write_text("---\n".join(documents))
    slow = svcmock.up(project)
    with connect(slow.ports["shop"]) as peer:
        peer.sendall(get(f"{path}?again"))
        seen = b""
        while b"received" not in seen:
            seen += peer.recv(1 << 16)
    assert b"delivered" not in seen
    assert recorded.startswith(seen)
