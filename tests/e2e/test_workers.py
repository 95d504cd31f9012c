"""`svcmock up --workers N`: several processes that are one to all others, also when some are killed."""

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from svcmock.control import AdminClient
from svcmock.model import Unix
from tests.e2e.processes import Mock, Svcmock, accepts, wait_until
from tests.e2e.projects import configure, get, project, receive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several workers need Linux")

TURNS = "".join(
    f"- request: {{path: /{policy}}}\n  policy: {policy}\n  respond: {{body: '{number}'}}\n"
    for policy in ("once", "sequence", "cycle")
    for number in range(40)
)


def ask(mock: Mock, path: str, **query: Any) -> dict[str, Any]:
    """What the control API tells."""
    return AdminClient(Unix(str(mock.project / ".svcmock/control.sock")), timeout=20).call("GET", path, query)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def workers(mock: Mock) -> list[int]:
    return [worker["pid"] for worker in mock.status()["workers"]]


def journal(mock: Mock, most: int = 1000) -> list[dict[str, Any]]:
    """All of it, page by page."""
    found: list[dict[str, Any]] = []
    cursor = "0"
    while True:
        page = ask(mock, "/journal", since=cursor, limit=most)
        if not page["entries"]:
            return found
        found += page["entries"]
        cursor = page["next"]


def many(port: int, paths: list[str]) -> list[tuple[int, bytes]]:
    """Each path on a connection of its own, sixteen at a time."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda path: get(port, path), paths))


def test_they_share_the_port_and_are_one_to_the_commands(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "shop"), "--workers", "3")
    port = mock.ports["shop"]
    answers = many(port, ["/users/42"] * 60 + ["/nothing"] * 6)
    assert Counter(status for status, _ in answers) == {200: 60, 501: 6}
    told = mock.status()
    shop = told["services"]["shop"]
    assert (shop["hits"], shop["misses"], shop["routes"], shop["address"]) == (60, 6, 2, f"127.0.0.1:{port}")
    assert len(set(workers(mock))) == 3
    assert mock.pid not in workers(mock)
    entries = journal(mock, 7)
    assert len(entries) == len({entry["id"] for entry in entries}) == 66
    assert len({entry["id"] % 3 for entry in entries}) > 1, "one worker had all"
    misses = {json.loads(body)["miss"] for status, body in answers if status == 501}
    assert len(misses) == 6
    for miss in misses:
        assert f"{miss}  shop  GET /nothing" in svcmock.run("why", miss).stdout
    assert len(ask(mock, "/misses")["misses"]) == 6
    text = svcmock.run("status", mock.project).stdout
    assert f"pid {mock.pid}, 3 workers, up since" in text


def test_a_reply_is_in_the_journal_when_it_has_arrived(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "shop"), "--workers", "2")
    for number in range(1, 21):
        get(mock.ports["shop"])
        assert mock.status()["services"]["shop"]["hits"] == number


def test_each_element_of_a_sequence_goes_to_one_of_all_requests(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "shop", routes=TURNS), "--workers", "4")
    port = mock.ports["shop"]
    every = sorted(str(number).encode() for number in range(40))
    once = many(port, ["/once"] * 64)
    assert sorted(body for status, body in once if status == 200) == every
    assert Counter(status for status, _ in once)[501] == 24
    sequence = Counter(body for _, body in many(port, ["/sequence"] * 64))
    assert sequence == {body: 25 if body == b"39" else 1 for body in every}
    assert set(Counter(body for _, body in many(port, ["/cycle"] * 120)).values()) == {3}


def test_a_reload_is_everywhere_when_it_is_done(svcmock: Svcmock, tmp_path: Path) -> None:
    """For clients that were connected before, too."""
    mock = svcmock.up(project(tmp_path / "shop"), "--workers", "3")
    clients = [http.client.HTTPConnection("127.0.0.1", mock.ports["shop"], timeout=20) for _ in range(12)]

    def bodies() -> set[bytes]:
        found = set()
        for client in clients:
            client.request("GET", "/users/42")
            found.add(client.getresponse().read())
        return found

    assert bodies() == {b'{"id":42}'}
    routes = mock.project / "routes/a.yaml"
    for version in range(5):
        routes.write_text(f"- request: {{path: /users/42}}\n  respond: {{body: 'version {version}'}}\n")
        svcmock.run("reload", mock.project)
        assert bodies() == {b"version %d" % version}
    routes.write_text("- request: {path: /users/42}\n  respond: {boddy: x}\n")
    assert "unknown key `boddy`" in svcmock.run("reload", mock.project, code=1).stdout
    assert bodies() == {b"version 4"}
    assert mock.status()["refused"]
    for client in clients:
        client.close()


def test_what_clients_of_a_service_share_is_the_same_for_all_of_them(svcmock: Svcmock, tmp_path: Path) -> None:
    """They are served by one worker, and another one begins anew when that ends."""
    caches = "".join(
        f"cache{number}: {{listen: 0, protocol: redis, options: {{model: true}}, routes: routes/none/}}\n"
        for number in range(4)
    )
    mock = svcmock.up(
        project(tmp_path / "shop", f"shop: {{listen: 0, routes: routes/}}\n{caches}"), "--workers", "3"
    )
    served = {}
    for number in range(4):
        port = mock.ports[f"cache{number}"]
        clients = [Redis(port=port, single_connection_client=True, socket_timeout=20) for _ in range(8)]
        news = clients[0].pubsub()
        news.subscribe("news")
        assert news.get_message(timeout=20)["type"] == "subscribe"
        for count, client in enumerate(clients, 1):
            assert client.incr("hits") == count
        assert clients[-1].publish("news", "hello") == 1
        assert news.get_message(timeout=20)["data"] == b"hello"
        for client in clients:
            client.close()
        news.close()
        served[port] = holders(mock, port)
    assert all(len(workers) == 1 for workers in served.values())
    assert len(holders(mock, mock.ports["shop"])) == 3
    for _ in range(2):
        assert get(mock.ports["shop"])[0] == 200
    port, (owner,) = next(iter(served.items()))
    os.kill(owner, signal.SIGKILL)
    wait_until(lambda: accepts(port) and owner not in workers(mock))
    with Redis(port=port, socket_timeout=20) as client:
        assert client.incr("hits") == 1


def holders(mock: Mock, port: int) -> set[int]:
    """The workers that listen on a port."""
    listening = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].rpartition(":")[2], 16) == port
    }
    wanted = {f"socket:[{inode}]" for inode in listening}
    return {pid for pid in workers(mock) if wanted & set(open_files(pid))}


def open_files(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            yield str(link.readlink())


def test_a_port_changes_between_protocols_that_are_spread_and_such_as_are_not(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    spread = f"one: {{listen: {port}, routes: routes/}}"
    single = f"one: {{listen: {port}, protocol: redis, options: {{model: true}}, routes: routes/none/}}"
    mock = svcmock.up(project(tmp_path / "shop", spread), "--workers", "3")
    for _ in range(2):
        assert {get(port)[0] for _ in range(8)} == {200}
        configure(mock.project, single)
        svcmock.run("reload", mock.project)
        assert len(holders(mock, port)) == 1
        for count in range(1, 9):
            with Redis(port=port, socket_timeout=20) as client:
                assert client.incr("hits") == count
        configure(mock.project, spread)
        svcmock.run("reload", mock.project)
        assert len(holders(mock, port)) == 3


def test_services_come_and_go_and_follow_each_other(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    shop = free_port()
    mock = svcmock.up(
        project(tmp_path / "shop", f"shop: {{listen: {shop}, routes: routes/}}"), "--workers", "2"
    )
    configure(mock.project, f"store: {{listen: {shop}, routes: routes/}}\nmore: {{listen: 0, routes: routes/}}")
    svcmock.run("reload", mock.project)
    services = mock.status()["services"]
    more = int(services["more"]["address"].rpartition(":")[2])
    assert {status for status, _ in many(more, ["/users/42"] * 8) + many(shop, ["/users/42"] * 8)} == {200}
    configure(mock.project, "more: {listen: 0, routes: routes/}")
    svcmock.run("reload", mock.project)
    wait_until(lambda: not accepts(shop))
    assert get(more)[0] == 200
    configure(mock.project, f"more: {{listen: 0, routes: routes/}}\nshop: {{listen: {more}, routes: routes/}}")
    assert "in use by another process" in svcmock.run("reload", mock.project, code=1).stdout
    assert {status for status, _ in many(more, ["/users/42"] * 8)} == {200}


def test_unix_sockets_and_tls(svcmock: Svcmock, tmp_path: Path, short_folder: Path) -> None:
    path = short_folder / "s"
    services = f"u: {{listen: 'unix:{path}', routes: routes/}}\nt: {{listen: 0, tls: auto, routes: routes/}}"
    mock = svcmock.up(project(tmp_path / "shop", services), "--workers", "3")
    for _ in range(6):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /users/42 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert receive(client).startswith(b"HTTP/1.1 200 ")
    trust = ssl.create_default_context(cafile=str(mock.project / ".svcmock/ca/ca.pem"))
    for _ in range(6):
        secure = http.client.HTTPSConnection("localhost", mock.ports["t"], timeout=20, context=trust)
        secure.request("GET", "/users/42")
        assert secure.getresponse().status == 200
        secure.close()
    mock.down()
    assert not path.exists()


class Hammer:
    """Clients that ask on and on, and connect again when they are cut off. `answered` counts whole answers."""

    def __init__(self, port: int, count: int = 8) -> None:
        self._port = port
        self._over = threading.Event()
        self.answered = 0
        self.cut_off = 0
        self.wrong: list[object] = []
        self._count = threading.Lock()
        self._threads = [threading.Thread(target=self._work) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._over.is_set():
            try:
                client.request("GET", "/users/42")
                reply = client.getresponse()
                if (reply.status, reply.read()) != (200, b'{"id":42}'):
                    self.wrong.append(reply.status)
                with self._count:
                    self.answered += 1
            except (OSError, http.client.HTTPException):
                client.close()
                with self._count:
                    self.cut_off += 1
        client.close()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)


def test_a_worker_killed_under_load_is_replaced_and_takes_only_its_connections(
    svcmock: Svcmock, tmp_path: Path
) -> None:
    mock = svcmock.up(project(tmp_path / "shop"), "--workers", "3")
    hammer = Hammer(mock.ports["shop"])
    try:
        for round_ in range(1, 4):
            wait_until(lambda mark=hammer.answered: hammer.answered > mark + 200)  # type: ignore[misc]
            victim = workers(mock)[round_ % len(workers(mock))]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda n=round_: mock.status()["restarts"] == n)  # type: ignore[misc]
            assert len(workers(mock)) == 3
            assert victim not in workers(mock)
        wait_until(lambda mark=hammer.answered: hammer.answered > mark + 200)  # type: ignore[misc]
    finally:
        hammer.stop()
    assert hammer.wrong == []
    assert hammer.cut_off <= 3 * 8
    hits = mock.status()["services"]["shop"]["hits"]
    assert hammer.answered <= hits <= hammer.answered + hammer.cut_off
    entries = journal(mock)
    assert len({entry["id"] for entry in entries}) == len(entries)
    assert len(entries) == hits - ask(mock, "/journal", limit=0)["dropped"]
    assert "killed by signal 9" in mock.log()
    assert "Workers that ended and were replaced: 3" in svcmock.run("status", mock.project).stdout


def test_what_a_killed_worker_had_noted_and_counted_stays(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "shop", routes=TURNS), "--workers", "2")
    port = mock.ports["shop"]
    firsts = {body for _, body in many(port, ["/once"] * 20)}
    answers = many(port, [f"/nothing/{number}" for number in range(20)])
    for pid in workers(mock):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: mock.status()["restarts"] == 2)
    for number, (_, body) in enumerate(answers):
        miss = json.loads(body)["miss"]
        assert f"{miss}  shop  GET /nothing/{number} " in svcmock.run("why", miss).stdout
    rest = [body for _, body in many(port, ["/once"] * 20)]
    assert sorted([*firsts, *rest]) == sorted(str(number).encode() for number in range(40))
    shop = mock.status()["services"]["shop"]
    assert (shop["hits"], shop["misses"]) == (40, 20)
    assert len({entry["id"] for entry in journal(mock)}) == 60


def test_a_worker_that_cannot_be_replaced_is_when_the_files_are_mended(
    svcmock: Svcmock, tmp_path: Path
) -> None:
    mock = svcmock.up(project(tmp_path / "shop"), "--workers", "2")
    routes = mock.project / "routes/a.yaml"
    good = routes.read_text()
    routes.write_text("- request: {path: /users/42}\n  respond: {boddy: x}\n")
    svcmock.run("reload", mock.project, code=1)
    os.kill(workers(mock)[0], signal.SIGKILL)
    wait_until(lambda: "a worker cannot serve" in mock.log())
    assert {status for status, _ in many(mock.ports["shop"], ["/users/42"] * 16)} == {200}
    assert mock.status()["absent"] == 1
    text = svcmock.run("status", mock.project).stdout
    assert ", 1 of 2 workers, up since" in text
    assert "Some workers have ended and are not replaced yet" in text
    routes.write_text(good)
    wait_until(lambda: mock.status()["restarts"] == 1)
    assert len(workers(mock)) == 2
    assert mock.status()["absent"] == 0


def test_commands_say_what_is_when_no_worker_is_there(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "shop"), "--workers", "2")
    assert get(mock.ports["shop"], "/nothing")[0] == 501
    routes = mock.project / "routes/a.yaml"
    good = routes.read_text()
    routes.write_text("- request: {path: /users/42}\n  respond: {boddy: x}\n")
    svcmock.run("reload", mock.project, code=1)
    for pid in workers(mock):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: mock.status()["absent"] == 2)
    assert ", 0 of 2 workers, up since" in svcmock.run("status", mock.project).stdout
    assert "no worker is there to explain it" in svcmock.run("why", code=None).stderr
    assert "GET /nothing" in ask(mock, "/journal")["entries"][0]["request"]
    assert "unknown key `boddy`" in svcmock.run("reload", mock.project, code=1).stdout
    assert "killed by signal 9" in svcmock.run("logs", mock.project).stdout
    routes.write_text(good)
    svcmock.run("reload", mock.project)
    wait_until(lambda: mock.status()["absent"] == 0)
    assert {status for status, _ in many(mock.ports["shop"], ["/users/42"] * 16)} == {200}
    for pid in workers(mock):
        os.kill(pid, signal.SIGSTOP)
    mock.down()


def test_nobody_is_left_when_it_ends(svcmock: Svcmock, tmp_path: Path) -> None:
    """Told to by `down`, by Ctrl-C, or killed at once."""
    shop = project(tmp_path / "shop")
    mock = svcmock.up(shop, "--workers", "2")
    first = workers(mock)
    mock.down()
    assert not any(map(alive, first))
    assert not accepts(mock.ports["shop"])

    mock = svcmock.up(shop, "--workers", "2")
    second = workers(mock)
    os.kill(mock.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(alive, second)))
    wait_until(lambda: not accepts(mock.ports["shop"]))  # the kernel closes what the killed one held

    process = svcmock.start("up", shop, "--workers", "2")
    process.said(r"serving ")
    third = workers(Mock(shop, {"pid": process.pid, "services": {}}))
    assert len(third) == 2
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 0, process.output
    assert not any(map(alive, third))
    assert "Traceback" not in process.output


def test_answers_under_way_are_finished_before_the_end(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "shop"), "--workers", "2")
    with ThreadPoolExecutor(8) as pool:
        slow = [pool.submit(get, mock.ports["shop"], "/slow") for _ in range(8)]
        wait_until(lambda: mock.status()["services"]["shop"]["hits"] == 8)
        mock.down()
        assert {one.result() for one in slow} == {(200, b"slow")}


def test_a_port_in_use_is_told_and_nobody_is_left(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    shop = project(tmp_path / "shop", f"shop: {{listen: {free_port()}, routes: routes/}}")
    mock = svcmock.up(shop, "--workers", "2")
    other = project(tmp_path / "other", f"shop: {{listen: {mock.ports['shop']}, routes: routes/}}")
    for count in ("1", "2"):
        done = svcmock.run("up", other, "-d", "--workers", count, code=4)
        assert "the address is in use by another process" in done.stderr
    assert {status for status, _ in many(mock.ports["shop"], ["/users/42"] * 16)} == {200}


@pytest.mark.parametrize("count", ["0", "-1", "x", "65", "1e1", ""])
def test_a_number_that_is_none(svcmock: Svcmock, tmp_path: Path, count: str) -> None:
    assert "expected a number from 1 to 64" in svcmock.run("up", tmp_path, f"--workers={count}", code=2).stderr
