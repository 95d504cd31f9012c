"""Edits to a served project: live soon, whole or not at all, and no request is lost over them."""

import http.client
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.processes import Svcmock, accepts, wait_until
from tests.e2e.projects import configure, connect, get, project, talk

TWO = "- {request: {path: /a}, respond: {body: A%d}}\n- {request: {path: /b}, respond: {body: B%d}}\n"


def becomes(port: int, path: str, expected: tuple[int, bytes]) -> None:
    wait_until(lambda: get(port, path) == expected, lambda: str(get(port, path)))


def test_edited_new_and_deleted_files_are_live_soon(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop", routes=TWO % (1, 1))
    port = svcmock.up(shop).ports["shop"]
    routes = shop / "routes"
    (routes / "a.yaml").write_text(TWO % (2, 2))
    becomes(port, "/a", (200, b"A2"))
    (routes / "b.json").write_text('{"request": {"path": "/new"}, "respond": {"body": "new"}}')
    becomes(port, "/new", (200, b"new"))
    (routes / "deep/er").mkdir(parents=True)
    (routes / "deep/er/c.yaml").write_text("{request: {path: /deep}, respond: {body: deep}}")
    becomes(port, "/deep", (200, b"deep"))
    (routes / "b.json").unlink()
    wait_until(lambda: get(port, "/new")[0] == 501)
    (routes / "image.bin").write_bytes(b"1")
    (routes / "a.yaml").write_text("{request: {path: /a}, respond: {body: {file: image.bin}}}")
    becomes(port, "/a", (200, b"1"))
    (routes / "image.bin").write_bytes(b"longer")
    becomes(port, "/a", (200, b"longer"))


def test_a_folder_that_is_replaced_is_still_watched(svcmock: Svcmock, tmp_path: Path) -> None:
    """As a checkout of another branch does it, more than once."""
    shop = project(tmp_path / "shop", routes=TWO % (1, 1))
    port = svcmock.up(shop).ports["shop"]
    for turn in (2, 3, 4):
        shutil.rmtree(shop / "routes")
        (shop / "routes").mkdir()
        (shop / "routes/a.yaml").write_text(TWO % (turn, turn))
        becomes(port, "/a", (200, b"A%d" % turn))


def test_an_edit_right_after_the_start_is_seen(svcmock: Svcmock, tmp_path: Path) -> None:
    """The watching begins after the daemon is ready; what changes in between counts."""
    shop = project(tmp_path / "shop", routes=TWO % (1, 1))
    port = svcmock.up(shop).ports["shop"]
    (shop / "routes/a.yaml").write_text(TWO % (2, 2))
    becomes(port, "/b", (200, b"B2"))


def test_services_are_added_moved_and_removed(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    first, second, third = free_port(), free_port(), free_port()
    line = "%s: {listen: %s, routes: routes/}"
    shop = project(tmp_path / "shop", line % ("stays", 0) + "\n" + line % ("moves", first))
    mock = svcmock.up(shop)
    stays = mock.ports["stays"]
    configure(shop, "\n".join([line % ("stays", 0), line % ("moves", second), line % ("fresh", 0)]))
    wait_until(lambda: accepts(second))
    wait_until(lambda: not accepts(first))
    told = mock.status()["services"]
    fresh = int(told["fresh"]["address"].rpartition(":")[2])
    assert told["stays"]["address"] == f"127.0.0.1:{stays}"
    assert fresh not in (stays, second)
    assert get(fresh)[0] == get(stays)[0] == get(second)[0] == 200
    configure(shop, line % ("moves", third))
    wait_until(lambda: accepts(third) and not accepts(second) and not accepts(stays) and not accepts(fresh))
    assert list(mock.status()["services"]) == ["moves"]


def test_a_unix_socket_outlives_refused_and_accepted_reloads(svcmock: Svcmock, tmp_path: Path) -> None:
    """A service of another name, or another kind, takes over the address; a refused one leaves it alone."""
    shop = project(tmp_path / "shop", "shop: {listen: 'unix:s.sock', routes: routes/}\nb: {listen: 0}")
    mock = svcmock.up(shop)
    taken = mock.ports["b"]
    configure(shop, f"cart: {{listen: 'unix:s.sock'}}\nc: {{listen: {taken}}}\nd: {{listen: 192.0.2.1:1}}")
    assert "cannot listen on 192.0.2.1:1" in svcmock.run("reload", shop, code=1).stdout
    assert (shop / "s.sock").is_socket()
    configure(shop, "cart: {listen: 'unix:s.sock'}")
    assert svcmock.run("reload", shop).stdout.endswith("reloaded\n")
    wait_until(lambda: not accepts(taken))
    assert (shop / "s.sock").is_socket()
    mock.down()
    assert not (shop / "s.sock").exists()


def test_an_invalid_edit_keeps_the_old_routes_and_says_why(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop", routes=TWO % (1, 1))
    mock = svcmock.up(shop)
    port = mock.ports["shop"]
    broken = "- {request: {path: /a}, respond: {body: A2}}\n- {request: {path: /b}, respond: {bodyy: B2}}\n"
    (shop / "routes/a.yaml").write_text(broken)
    where = "routes/a.yaml:2:35:"
    done = svcmock.run("reload", shop, code=1)
    assert where in done.stdout
    assert done.stdout.endswith("not reloaded: the old routes go on serving\n")
    told = svcmock.run("status", shop).stdout
    assert "The files have errors; what was read before them is served:" in told
    assert where in told
    wait_until(lambda: where[:-1] in mock.log() and "reload refused" in mock.log())
    assert (get(port, "/a"), get(port, "/b")) == ((200, b"A1"), (200, b"B1"))
    (shop / "routes/a.yaml").write_text(TWO % (3, 3))
    becomes(port, "/b", (200, b"B3"))
    wait_until(lambda: "have errors" not in svcmock.run("status", shop).stdout)


def test_new_routes_with_errors_are_watched_until_they_are_mended(svcmock: Svcmock, tmp_path: Path) -> None:
    """Their folder is not that of the routes being served."""
    shop = project(tmp_path / "shop")
    port = svcmock.up(shop).ports["shop"]
    (shop / "more").mkdir()
    (shop / "more/m.yaml").write_text("{request: {path: /more}, respond: {bod: x}}")
    configure(shop, "shop: {listen: 0, routes: [routes/, more/]}")
    wait_until(lambda: "more/m.yaml:1:" in svcmock.run("status", shop).stdout)
    (shop / "more/m.yaml").write_text("{request: {path: /more}, respond: {body: x}}")
    becomes(port, "/more", (200, b"x"))


def test_a_control_api_that_moves_is_told_to_wait(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop")
    svcmock.up(shop)
    configure(shop, "shop: {listen: 0, routes: routes/}", "admin: {listen: 'unix:other.sock'}\n")
    assert "stays where it is until the daemon is started again" in svcmock.run("reload", shop).stdout


# --- no request is lost -------------------------------------------------------------------------------


@contextmanager
def hammered(port: int, seen: list[bytes], failed: list[str]) -> Iterator[None]:
    """Ask for `/a` and `/b` in one pipelined write, over kept and over new connections, all the while."""
    over = threading.Event()

    def kept() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        while not over.is_set():
            connection.request("GET", "/a")
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                failed.append(f"{response.status} {body!r}")
            seen.append(body)
        connection.close()

    def new() -> None:
        pair = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        while not over.is_set():
            answer = talk(port, pair)
            bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 ")[1:]]
            if len(bodies) != 2 or bodies[0][1:] != bodies[1][1:]:
                failed.append(repr(answer))

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            failed.append(repr(error))

    clients = [threading.Thread(target=guarded, args=(work,)) for work in (kept, kept, new)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        over.set()
        for client in clients:
            client.join()


def test_fifty_reloads_lose_no_request(svcmock: Svcmock, tmp_path: Path) -> None:
    """Two requests of one write are answered by one state of the files, and the answers only go forward."""
    shop = project(tmp_path / "shop", routes=TWO % (0, 0))
    mock = svcmock.up(shop)
    seen: list[bytes] = []
    failed: list[str] = []
    control = mock.status()["reloads"]
    from svcmock.commands.ask import client
    from svcmock.running import running

    daemon = running(shop)
    assert daemon is not None
    with hammered(mock.ports["shop"], seen, failed):
        for turn in range(1, 51):
            draft = shop / "routes/.a"
            draft.write_text(TWO % (turn, turn))
            draft.replace(shop / "routes/a.yaml")
            assert client(daemon).call("POST", "/reload")["ok"]
        wait_until(lambda: seen[-1] == b"A50" or failed, lambda: str(seen[-1]))
    assert failed == []
    assert len(set(seen)) > 10
    assert mock.status()["reloads"] >= control + 50


def test_a_service_that_changes_to_tls_and_back_loses_no_client(svcmock: Svcmock, tmp_path: Path) -> None:
    """The socket passes from one listener to the other; `plain` stays allowed."""
    shop = project(tmp_path / "shop", routes=TWO % (0, 0))
    mock = svcmock.up(shop)
    port = mock.ports["shop"]
    with connect(port) as early:
        for tls in (", tls: auto", "", ", tls: auto"):
            configure(shop, f"shop: {{listen: 0, routes: routes/{tls}}}")
            assert svcmock.run("reload", shop).returncode == 0
            assert get(port, "/a") == (200, b"A0")
        assert early.recv(1) == b""
    assert mock.status()["services"]["shop"]["tls"] is True
