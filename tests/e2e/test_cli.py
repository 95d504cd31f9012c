"""The commands, as scripts and people call them: what they print, where, and the code they end with."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from svcmock.running import running
from tests.e2e.processes import Svcmock, accepts, wait_until
from tests.e2e.projects import ROUTES, configure, get, project

PRINT = "import os; print(os.environ['SHOP_URL'], os.environ['SHOP_HOST'], os.environ['SHOP_PORT'])"


def test_a_miss_is_explained(svcmock: Svcmock, tmp_path: Path) -> None:
    """The last one without a name, any by its name, from any folder; for people and for programs."""
    template = "- {match: {path: /made/of}, template: true, respond: {body: '{{ request.path }}'}}\n"
    mock = svcmock.up(project(tmp_path / "shop", routes=ROUTES + template))
    port = mock.ports["shop"]
    assert "nothing has missed so far" in svcmock.run("why", code=1).stderr
    status, body = get(port, "/users/43")
    assert status == 501
    first = json.loads(body)["miss"]
    get(port, "/userz/42")
    told = svcmock.run("why", first).stdout
    assert told.startswith(f"{first}  shop  GET /users/43  at ")
    assert "routes/a.yaml:1" in told
    assert "    want  '/users/42'\n    got   '/users/43'\n" in told
    assert "  to make it match:\n" in told
    assert "  3 routes > address: 0\n" in told
    assert "routes/a.yaml:1  (1 of 2 fields match, would answer 200)\n" in told
    assert "routes/a.yaml:6  (0 of 1 fields match)\n" in told
    last = json.loads(svcmock.run("why", "--json").stdout)
    assert (last["request"], last["answered_now"]) == ("GET /userz/42", False)
    assert "no such miss is kept" in svcmock.run("why", "m-999", code=1).stderr
    for wrong in ("m-x", "-p nowhere", "m--1"):
        assert "Traceback" not in svcmock.run("why", *wrong.split(), code=None).stderr
    assert "expected a miss, like m-8, got `x`" in svcmock.run("why", "m-x", code=1).stderr


def test_status_for_people_and_programs(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "shop"))
    get(mock.ports["shop"])
    get(mock.ports["shop"], "/no")
    head, columns, row = svcmock.run("status", mock.project).stdout.splitlines()
    assert head.startswith(f"{mock.project}  pid {mock.pid}, up since ")
    assert columns.split() == ["service", "address", "protocol", "routes", "connections", "hits", "misses"]
    assert row.split() == ["shop", mock.addresses["shop"], "http", "2", row.split()[4], "1", "1"]
    told = json.loads(svcmock.run("status", "--json").stdout)
    assert (told["services"]["shop"]["hits"], told["services"]["shop"]["misses"]) == (1, 1)


def test_commands_without_a_daemon_say_how_to_start_one(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop")
    for command in ("status", "reload", "down", "why"):
        assert "no daemon is running" in svcmock.run(command, code=3).stderr
    for command in ("status", "reload", "down"):
        assert f"`svcmock up {shop} -d` starts one" in svcmock.run(command, shop, code=3).stderr
    assert "the ports of shop are known only while they are served" in svcmock.run("env", shop, code=3).stderr
    assert "there is no log yet" in svcmock.run("logs", shop, code=3).stderr


def test_check_is_clean_or_not(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop")
    assert svcmock.run("check", shop).stdout == "2 routes in 1 service: 0 errors, 0 warnings\n"
    (shop / "routes/b.yaml").write_text("- request: {path: /users/42}\n  respond: {status: 200, boddy: x}\n")
    told = json.loads(svcmock.run("check", shop, "--json", code=1).stdout)
    assert told["ok"] is False
    assert [(p["file"], p["line"], p["severity"]) for p in told["problems"]] == [("routes/b.yaml", 2, "error")]


def test_env_before_and_while_it_is_served(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """A shell takes the output as it is; names become what variables may be called."""
    port = free_port()
    shop = project(
        tmp_path / "shop", f"my-shop.v2: {{listen: {port}, routes: routes/}}\nu: {{listen: 'unix:u'}}"
    )
    expected = {
        "MY_SHOP_V2_URL": f"http://127.0.0.1:{port}",
        "MY_SHOP_V2_HOST": "127.0.0.1",
        "MY_SHOP_V2_PORT": str(port),
        "U_SOCKET": f"{shop}/u",
    }
    assert json.loads(svcmock.run("env", shop, "--json").stdout) == expected
    svcmock.up(shop)
    text = svcmock.run("env").stdout
    shell = subprocess.run(
        ["sh", "-c", f'{text}\necho "$MY_SHOP_V2_URL $U_SOCKET"'], capture_output=True, text=True
    )
    assert shell.stdout == f"http://127.0.0.1:{port} {shop}/u\n"


def test_run_gives_the_commands_code_and_leaves_nothing(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop")
    done = svcmock.run("run", shop, "--", sys.executable, "-c", PRINT + "; raise SystemExit(7)", code=7)
    url, host, port = done.stdout.split()
    assert url == f"http://{host}:{port}"
    assert not accepts(int(port))
    assert running(shop) is None
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    svcmock.run("run", shop, "--", sys.executable, "-c", killed, code=128 + signal.SIGKILL)
    assert "cannot run no-such-command" in svcmock.run("run", shop, "--", "no-such-command", code=127).stderr
    assert "run needs a command" in svcmock.run("run", shop, code=2).stderr
    assert running(shop) is None


def test_run_uses_a_daemon_that_runs_already_and_leaves_it(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "shop"))
    done = svcmock.run("run", mock.project, "--", sys.executable, "-c", PRINT)
    assert done.stdout.split()[2] == str(mock.ports["shop"])
    assert get(mock.ports["shop"])[0] == 200


def test_run_twice_in_a_row(svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]) -> None:
    """The first is over when it returns: the second finds the port free and no daemon that is about to go."""
    shop = project(tmp_path / "shop", f"shop: {{listen: {free_port()}, routes: routes/}}")
    fetch = "import os, urllib.request as r; print(r.urlopen(os.environ['SHOP_URL'] + '/users/42').status)"
    for _ in range(3):
        done = svcmock.run("run", shop, "--", sys.executable, "-c", fetch, no_proxy="*")
        assert done.stdout == "200\n"


def test_a_signal_for_run_ends_command_and_daemon(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop")
    ready = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5));"
        "print('ready', flush=True); signal.pause()"
    )
    process = svcmock.start("run", shop, "--", sys.executable, "-c", ready)
    process.said("ready")
    assert process.stop(signal.SIGTERM) == 5
    assert running(shop) is None
    early = svcmock.start("run", shop, "--", sys.executable, "-c", ready)
    early.send(signal.SIGTERM)
    assert early.wait() in (5, 143, -signal.SIGTERM)
    wait_until(lambda: running(shop) is None)


def test_run_of_a_broken_project_runs_nothing(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop", "shop: {listen: 0, routez: x}")
    done = svcmock.run("run", shop, "--", "echo", "ran", code=1)
    assert "did you mean `routes`?" in done.stderr
    assert "ran" not in done.stdout


def test_logs_are_there_after_the_end(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "shop"), "--log-format", "json")
    mock.down()
    lines = [json.loads(line) for line in svcmock.run("logs", mock.project).stdout.splitlines()]
    assert [line["event"] for line in lines] == ["ready", "stopping", "stopped"]


def test_output_that_nobody_reads_to_its_end(svcmock: Svcmock, tmp_path: Path) -> None:
    """As `svcmock logs | head -1` does."""
    shop = project(tmp_path / "shop")
    (shop / ".svcmock").mkdir()
    (shop / ".svcmock/daemon.log").write_text("line\n" * 200_000)
    script = shutil.which("svcmock", path=str(Path(sys.executable).parent))
    done = subprocess.run(
        ["sh", "-c", f'"{script}" logs "{shop}" | head -1'], capture_output=True, text=True, env=svcmock.env
    )
    assert (done.stdout, done.stderr) == ("line\n", "")


def test_the_running_one_is_meant_from_any_folder(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "shop"))
    assert "2 routes in 1 service" in svcmock.run("check").stdout
    assert f"{mock.project}/.svcmock/ca/ca.pem" in svcmock.run("ca").stdout
    assert json.loads(svcmock.run("reload", "--json").stdout) == {"ok": True, "problems": []}
    assert "reloaded" in svcmock.run("logs").stdout
    assert json.loads(svcmock.run("down", "--json").stdout) == {
        "ok": True,
        "pid": mock.pid,
        "project": str(mock.project),
    }


def test_a_daemon_killed_under_a_command_that_asks_it(svcmock: Svcmock, tmp_path: Path) -> None:
    """A stopped process keeps its lock and answers nothing: status says so, for this one and not the other."""
    stuck, well = (svcmock.up(project(tmp_path / name)) for name in ("stuck", "well"))
    os.kill(stuck.pid, signal.SIGSTOP)
    try:
        process = svcmock.start("status", "--json")
        os.kill(stuck.pid, signal.SIGKILL)
        assert process.wait() == 0
        assert f'"pid": {well.pid}' in process.output
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(stuck.pid, signal.SIGKILL)


def test_services_none(svcmock: Svcmock, tmp_path: Path) -> None:
    shop = project(tmp_path / "shop")
    configure(shop, "{}")
    assert svcmock.run("check", shop).returncode == 0
