"""The daemon as its user sees it: ready when told, every reason told, ended in good order."""

import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from svcmock.running import running
from tests.e2e.processes import Svcmock, accepts, wait_until
from tests.e2e.projects import configure, connect, get, project, receive

SLOW = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"


def test_up_returns_when_every_port_listens(svcmock: Svcmock, tmp_path: Path) -> None:
    """Each of ten services takes the connection that is made at once."""
    services = "\n".join(f"s{i}: {{listen: 0, routes: routes/}}" for i in range(10))
    mock = svcmock.up(project(tmp_path / "shop", services))
    assert len(set(mock.ports.values())) == 10
    assert {get(port) for port in mock.ports.values()} == {(200, b'{"id":42}')}


def test_up_prints_a_table_and_down_waits(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop")
    svcmock._projects.add(shop)
    done = svcmock.run("up", shop, "-d")
    assert done.stdout.startswith("service  address\nshop     127.0.0.1:")
    assert f"serving {shop} (pid " in done.stdout
    port = int(done.stdout.splitlines()[1].rpartition(":")[2])
    told = svcmock.run("down", shop).stdout
    assert told.startswith(f"stopped {shop} (pid ")
    assert not accepts(port)
    assert running(shop) is None
    assert sorted(path.name for path in (shop / ".svcmock").iterdir()) == [
        ".gitignore",
        "control.sock.lock",
        "daemon.log",
    ]


def test_a_port_in_use_is_named_with_its_service(svcmock: Svcmock, tmp_path: Path) -> None:
    """All of them are told, and none of the free ones stays open."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [sock.getsockname()[1] for sock in (one, other)]
        shop = project(
            tmp_path / "shop",
            f"free: {{listen: 0, routes: routes/}}\n"
            f"shop: {{listen: {ports[0]}, routes: routes/}}\ncart: {{listen: {ports[1]}, routes: routes/}}",
        )
        done = svcmock.run("up", shop, "-d", code=4)
        told = svcmock.run("up", shop, "-d", "--json", code=4)
    assert done.stderr.splitlines() == [
        f"svcmock: svcmock.yaml:{line}:1: service {name}: cannot listen on 127.0.0.1:{port}: "
        "the address is in use by another process"
        for line, name, port in ((4, "shop", ports[0]), (5, "cart", ports[1]))
    ]
    assert len(json.loads(told.stdout)["reasons"]) == 2
    assert running(shop) is None


def test_every_problem_in_the_files_is_told_at_once(svcmock: Svcmock, tmp_path: Path) -> None:
    """Two services share the broken route file: its problems are told once."""
    routes = "- request: {path: /a}\n  respond: {statuss: 200}\n- {respond: {status: 200}, mach: {}}\n"
    shop = project(
        tmp_path / "shop", "shop: {listen: 0, routes: routes/}\ncart: {listen: 0, routes: routes/}", routes
    )
    lines = svcmock.run("up", shop, "-d", code=1).stderr.splitlines()
    assert [line.split()[1] for line in lines] == ["routes/a.yaml:2:13:", "routes/a.yaml:3:28:"], lines
    configure(shop, "shop: {listen: x, routes: routes/}\ncart: {listen: 0, rooutes: routes/}")
    lines = svcmock.run("up", shop, "-d", code=1).stderr.splitlines()
    assert [line.split()[1] for line in lines] == ["svcmock.yaml:3:10:", "svcmock.yaml:4:21:"], lines


def test_a_bad_certificate_is_told_with_its_place(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop", "shop: {listen: 0, tls: {cert: a.pem, key: a.key}, routes: routes/}")
    (shop / "a.pem").write_text("no certificate")
    (shop / "a.key").write_text("no key")
    done = svcmock.run("up", shop, "-d", code=4)
    assert done.stderr.startswith(
        f"svcmock: svcmock.yaml:3:1: service shop: tls.cert: {shop}/a.pem: holds no PEM"
    )


def test_a_project_that_is_not_there(svcmock: Svcmock, tmp_path: Path) -> None:
    done = svcmock.run("up", tmp_path / "nowhere", "-d", code=1)
    assert f"there is no svcmock.yaml in {tmp_path}/nowhere" in done.stderr
    assert "svcmock record --out" in done.stderr


def test_a_second_up_says_who_serves(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop")
    mock = svcmock.up(shop)
    for options in (["-d"], []):
        done = svcmock.run("up", shop, *options, code=3)
        assert f"already serves {shop} (pid {mock.pid}); `svcmock down {shop}` ends it" in done.stderr
    assert get(mock.ports["shop"])[0] == 200


def test_after_kill_9_the_next_up_works(svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]) -> None:
    """The pid file and both sockets that it left are recognised as stale."""
    shop = project(
        tmp_path / "shop", f"shop: {{listen: {free_port()}, routes: routes/}}\nu: {{listen: 'unix:u.sock'}}"
    )
    mock = svcmock.up(shop)
    os.kill(mock.pid, signal.SIGKILL)
    wait_until(lambda: running(shop) is None)
    assert (shop / ".svcmock/daemon.pid").read_text() == f"{mock.pid}\n"
    assert "no daemon serves" in svcmock.run("status", shop, code=3).stderr
    again = svcmock.up(shop)
    assert again.pid != mock.pid
    assert get(again.ports["shop"])[0] == 200


def test_a_warning_is_printed_and_does_not_keep_it_from_serving(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop", "shop: {listen: 0, routes: [routes/, more/]}")
    svcmock._projects.add(shop)
    done = svcmock.run("up", shop, "-d")
    assert "svcmock.yaml:3:39: warning: `more/` matches no route file" in done.stderr
    assert "more/" in svcmock.run("status", shop).stdout


@pytest.mark.parametrize("how", ["signal", "down"])
def test_stopping_delivers_what_is_under_way(svcmock: Svcmock, tmp_path: Path, how: str) -> None:
    shop = project(tmp_path / "shop")
    mock = svcmock.up(shop)
    port = mock.ports["shop"]
    with connect(port) as sock, connect(port) as idle:
        sock.sendall(SLOW)
        wait_until(lambda: mock.status()["services"]["shop"]["hits"] == 1)
        if how == "signal":
            os.kill(mock.pid, signal.SIGTERM)
        else:
            threading.Thread(target=svcmock.run, args=("down", shop)).start()
        wait_until(lambda: not accepts(port))
        assert receive(sock).endswith(b"\r\n\r\nslow")
        assert receive(idle) == b""
    wait_until(lambda: running(shop) is None)
    assert "stopping" in (shop / ".svcmock/daemon.log").read_text()


def test_a_second_signal_does_not_wait(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(
        tmp_path / "shop",
        "shop: {listen: 0, routes: routes/, limits: {drain: 600}}",
        "- {request: {path: /slow}, delay: 10m, respond: {status: 200}}",
    )
    mock = svcmock.up(shop)
    with connect(mock.ports["shop"]) as sock:
        sock.sendall(SLOW)
        wait_until(lambda: mock.status()["services"]["shop"]["hits"] == 1)
        os.kill(mock.pid, signal.SIGTERM)
        wait_until(lambda: not accepts(mock.ports["shop"]))
        os.kill(mock.pid, signal.SIGINT)
        assert receive(sock) == b""
    wait_until(lambda: running(shop) is None)


def test_hangup_reloads_and_opens_the_log_again(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop")
    mock = svcmock.up(shop)
    log = shop / ".svcmock/daemon.log"
    follow = svcmock.start("logs", shop, "-f")
    follow.said(r"ready .*shop=127\.0\.0\.1")
    log.rename(log.with_suffix(".1"))
    os.kill(mock.pid, signal.SIGHUP)
    wait_until(lambda: log.exists() and "reloaded" in log.read_text())
    assert "reloaded" not in log.with_suffix(".1").read_text()
    follow.said("reloaded")
    assert follow.stop(signal.SIGINT) == 130


def test_in_the_foreground_until_ctrl_c(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop")
    up = svcmock.start("up", shop)
    port = int(up.said(r"shop +127\.0\.0\.1:(\d+)")[1])
    up.said("serving")
    assert get(port)[0] == 200
    assert up.stop(signal.SIGINT) == 0
    assert not accepts(port)
    assert "Traceback" not in up.output


def test_systemd_is_told_of_every_state(svcmock: Svcmock, tmp_path: Path, short_folder: Path) -> None:
    shop = project(tmp_path / "shop")
    address = short_folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(address))
        told.settimeout(20)
        up = svcmock.start("up", shop, env={"NOTIFY_SOCKET": str(address)})
        assert told.recv(1000) == b"READY=1"
        up.send(signal.SIGHUP)
        state, _, at = told.recv(1000).partition(b"\n")
        assert state == b"RELOADING=1"
        assert at.removeprefix(b"MONOTONIC_USEC=").isdigit()
        assert told.recv(1000) == b"READY=1"
        up.send(signal.SIGTERM)
        assert told.recv(1000) == b"STOPPING=1"
    assert up.wait() == 0


def test_two_daemons_at_once(svcmock: Svcmock, tmp_path: Path) -> None:
    """Found from any folder; a command that needs one of them names both."""
    one, two = (svcmock.up(project(tmp_path / name)) for name in ("one", "two"))
    assert get(one.ports["shop"])[0] == get(two.ports["shop"])[0] == 200
    told = json.loads(svcmock.run("status", "--json").stdout)
    assert {daemon["pid"] for daemon in told} == {one.pid, two.pid}
    done = svcmock.run("down", code=3)
    assert str(one.project) in done.stderr
    assert str(two.project) in done.stderr
    svcmock.run("down", one.project)
    assert json.loads(svcmock.run("status", "--json").stdout)["pid"] == two.pid
    assert svcmock.run("down").stdout.startswith(f"stopped {two.project}")
    assert "no daemon is running" in svcmock.run("status", code=3).stderr


def test_a_project_that_cannot_be_written_to(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop")
    (shop / ".svcmock").write_text("in the way")
    done = svcmock.run("up", shop, "-d", code=1)
    assert f"cannot write to {shop}/.svcmock" in done.stderr
