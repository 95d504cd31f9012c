"""What a daemon opens and to whom: the control API is its owner's, and nothing goes outward."""

import http.client
import shutil
import stat
from pathlib import Path

import pytest

from tests.e2e.processes import Svcmock
from tests.e2e.projects import configure, get, project

TOKEN = "0123456789abcdef0123456789abcdef"


def asked(port: int, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/status", headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_what_the_daemon_writes_is_its_owners(svcmock: Svcmock, tmp_path: Path) -> None:
    """The control socket, the log, the CA's key: nobody else's to read."""
    shop = project(tmp_path / "shop", "shop: {listen: 0, tls: auto, routes: routes/}")
    svcmock.up(shop)
    private = shop / ".svcmock"
    assert stat.S_ISSOCK((private / "control.sock").stat().st_mode)
    for name in ("control.sock", "daemon.log", "daemon.pid", "ca/ca.key"):
        assert stat.S_IMODE((private / name).stat().st_mode) == 0o600, name
    for folder in (private, private / "ca"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


def test_a_control_api_on_tcp_wants_its_token_and_its_own_name(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop")
    (shop / "token").write_text(TOKEN)
    (shop / "token").chmod(0o600)
    more = "admin: {listen: 127.0.0.1:0, token_file: token}\n"
    configure(shop, "shop: {listen: 0, routes: routes/}", more)
    mock = svcmock.up(shop)
    from svcmock.running import running

    daemon = running(shop)
    assert daemon is not None
    port = int(daemon.admin.rpartition(":")[2])
    bearer = f"Bearer {TOKEN}"
    assert asked(port) == 401
    assert asked(port, Authorization=f"Bearer {TOKEN[:-1]}x") == 401
    assert asked(port, Authorization=bearer, Host="attacker.example") == 403
    assert asked(port, Authorization=bearer) == 200
    assert mock.status()["services"]["shop"]["hits"] == 0
    assert svcmock.run("down", shop).stdout.startswith("stopped")


def test_a_token_that_others_can_read_is_refused(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop")
    (shop / "token").write_text(TOKEN)
    (shop / "token").chmod(0o644)
    configure(shop, "shop: {listen: 0}", "admin: {listen: 127.0.0.1:0, token_file: token}\n")
    done = svcmock.run("up", shop, "-d", code=4)
    assert "others can read this token; chmod 600 it" in done.stderr


def test_mock_mode_opens_no_socket_outward(svcmock: Svcmock, tmp_path: Path) -> None:
    """Every connect of the daemon, as the kernel sees it, while it serves hits, misses and a reload."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not on this machine")
    shop = project(
        tmp_path / "shop", "shop: {listen: 0, upstream: 'http://127.0.0.1:9', tls: auto, routes: routes/}"
    )
    trace = tmp_path / "trace"
    command = svcmock.start("--version").argv[:-1]
    process = svcmock.spawn(
        [strace, "-f", "-qq", "-e", "trace=connect,sendto,bind", "-o", str(trace), *command, "up", str(shop)]
    )
    port = int(process.said(r"shop +127\.0\.0\.1:(\d+)")[1])
    process.said("serving")
    assert get(port)[0] == 200
    assert get(port, "/unknown")[0] == 501
    svcmock.run("reload", shop)
    svcmock.run("why", shop, code=None)
    svcmock.run("down", shop)
    process.wait()
    calls = trace.read_text()
    assert "bind(" in calls
    assert [line for line in calls.splitlines() if "connect(" in line and "AF_UNIX" not in line] == []
