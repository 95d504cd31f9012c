"""Real processes for end-to-end tests: svcmock itself, and the services and clients around it.

Every process belongs to the test that started it and ends with it. Nothing waits by sleeping: `wait_until` asks
again until a deadline, and a deadline that passes shows what the process said.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from svcmock.commands.ask import client, stop
from svcmock.running import running

DEADLINE = 30.0
"""Seconds after which something that should have happened has not."""
KILL_AFTER = 10.0
"""Seconds that a process gets to end when it is told to."""

_T = TypeVar("_T")
_RECORDING = re.compile(r"recording ([^:]+): (\S+) -> ")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def wait_until(ask: Callable[[], _T], why: Callable[[], str] = lambda: "", deadline: float = DEADLINE) -> _T:
    """The first true value that `ask` gives."""
    end = time.monotonic() + deadline
    while not (value := ask()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s; {why()}")
        time.sleep(0.01)
    return value


def accepts(port: int) -> bool:
    """Whether something listens on this port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def resident(pid: int) -> int:
    """Bytes of memory that a process has in use."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Process:
    """A process whose output is collected while it runs, so that it never waits for a reader."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, **more: Any) -> None:
        self.argv = argv
        self._popen = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            **more,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def output(self) -> str:
        """Standard output and standard error so far."""
        return "".join(self._lines)

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs; minus the signal that killed it."""
        return self._popen.poll()

    def said(self, pattern: str) -> re.Match[str]:
        """Wait for this in its output."""

        def found() -> re.Match[str] | None:
            ended = self.code is not None
            if ended:
                self._reader.join(KILL_AFTER)
            match = re.search(pattern, self.output)
            assert match or not ended, f"{self.argv} ended with {self.code}, no {pattern!r}:\n{self.output}"
            return match

        match = wait_until(found, lambda: self.output)
        assert match is not None
        return match

    def listens(self, port: int) -> None:
        """Wait until something accepts connections on this port."""

        def ready() -> bool:
            assert self.code is None, f"{self.argv} ended with {self.code}:\n{self.output}"
            return accepts(port)

        wait_until(ready, lambda: self.output)

    def send(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.code is None:
            self._popen.send_signal(number)

    def wait(self, seconds: float = DEADLINE) -> int:
        """Wait for its end; gives the exit code."""
        code = self._popen.wait(seconds)
        self._reader.join(KILL_AFTER)
        return code

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Tell it to end and wait; gives the exit code. Does nothing to one that has ended."""
        self.send(number)
        try:
            return self.wait(KILL_AFTER)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self.wait(KILL_AFTER)
            raise AssertionError(f"{self.argv} did not end when told to:\n{self.output}") from None

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as stdout:
            for line in stdout:
                self._lines.append(line)


class Recorder:
    """A running `svcmock record`. `urls` and `ports` are by service."""

    def __init__(self, process: Process, names: Sequence[str]) -> None:
        self.process = process
        for name in names:
            process.said(rf"recording {re.escape(name)}: ")
        process.said("Ctrl-C stops")
        where = dict(_RECORDING.findall(process.output))
        self.ports = {name: int(address.rpartition(":")[2]) for name, address in where.items()}
        self.urls = {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}

    def stop(self) -> dict[str, dict[str, Any]]:
        """End it with Ctrl-C; gives the table it prints, by service and column."""
        assert self.process.stop(signal.SIGINT) == 0, self.process.output
        return self.summary()

    def summary(self) -> dict[str, dict[str, Any]]:
        lines = self.process.output.splitlines()
        head = next(i for i, line in enumerate(lines) if line.startswith("service "))
        names = re.split(r" {2,}", lines[head].strip())
        table = {}
        for line in lines[head + 1 :]:
            cells = re.split(r" {2,}", line.strip())
            if len(cells) != len(names):
                break
            table[cells[0]] = {n: int(c) if c.isdigit() else c for n, c in zip(names, cells, strict=True)}
        return table


class Mock:
    """A daemon that `svcmock up -d` started."""

    def __init__(self, project: Path, told: Mapping[str, Any]) -> None:
        self.project = project
        self.pid = int(told["pid"])
        self.addresses: dict[str, str] = told["services"]
        self.ports = {
            name: int(address.rpartition(":")[2])
            for name, address in self.addresses.items()
            if not address.startswith("unix:")
        }
        self.urls = {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}

    def status(self) -> dict[str, Any]:
        """As `svcmock status --json` tells it, without a process for that."""
        daemon = running(self.project)
        assert daemon is not None, self.log()
        return {"pid": daemon.pid, **client(daemon).call("GET", "/status")}

    def log(self) -> str:
        return (self.project / ".svcmock" / "daemon.log").read_text(errors="replace")

    def down(self) -> None:
        """As `svcmock down` does it, without a process for that."""
        daemon = running(self.project)
        assert daemon is not None, self.log()
        assert stop(daemon), self.log()


class Svcmock:
    """The command line as a user has it, with a runtime folder of its own; ends what it started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        runtime = folder / "run"
        runtime.mkdir()
        self.env = {name: value for name, value in os.environ.items() if name.lower() not in _PROXIES}
        self.env["XDG_RUNTIME_DIR"] = str(runtime)
        self._started: list[Process] = []
        self._projects: set[Path] = set()

    def run(
        self, *argv: str | Path, code: int | None = 0, timeout: float = 60, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a svcmock command to its end; `code` is the exit code it must have, None for any."""
        done = subprocess.run(
            self._argv(argv),
            env={**self.env, **env},
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        assert code is None or done.returncode == code, (
            f"{argv} gave {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def start(self, *argv: str | Path, env: Mapping[str, str] | None = None, **more: Any) -> Process:
        """Start a svcmock command that goes on until it is stopped."""
        return self.spawn(self._argv(argv), env=env, **more)

    def spawn(self, argv: Sequence[str], env: Mapping[str, str] | None = None, **more: Any) -> Process:
        """Start any other program under the same care."""
        process = Process(argv, {**self.env, **(env or {})}, self._folder, **more)
        self._started.append(process)
        return process

    def record(self, project: Path, services: Mapping[str, str], **more: Any) -> Recorder:
        """Start to record `services`, name to URL, each on a port of its own."""
        specs = [f"{name}:0={url}" for name, url in services.items()]
        return Recorder(self.start("record", "--out", project, *specs, **more), list(services))

    def up(self, project: Path, *options: str, **env: str) -> Mock:
        """Serve a project in the background; it is ended with the test."""
        self._projects.add(project)
        return Mock(project, json.loads(self.run("up", project, "-d", "--json", *options, **env).stdout))

    def close(self) -> None:
        """End everything."""
        for project in self._projects:
            if (daemon := running(project)) is not None:
                stop(daemon)
        for process in self._started:
            if process.code is None:
                process.send(signal.SIGKILL)
                process.wait(KILL_AFTER)

    def _argv(self, argv: Sequence[str | Path]) -> list[str]:
        script = shutil.which("svcmock", path=str(Path(sys.executable).parent))
        return [*([script] if script else [sys.executable, "-m", "svcmock"]), *map(str, argv)]
