"""Load on one port: 32 connections that each send the next request when they have the last one's answer.

wrk where it is installed, else `generator.py`: a loop of our own in a process of its own. Both send the same
bytes to whoever is measured, from the same list of targets. What was used is part of every result.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.generator import Given, Rate

CONNECTIONS = 32
OWN = "generator.py"
SPARE_SECONDS = 20.0
"""What a run may take beyond its duration before it is ended as stuck."""

_LUA = """
local targets = {%(targets)s}
local first, rest = "%(method)s ", %(rest)s
local at, count = 0, #targets
request = function()
  at = at + 1
  return first .. targets[(at * %(stride)d) %% count + 1] .. rest(at)
end
"""
_UNIQUE = 'function(at) return " HTTP/1.1\\r\\n%(fields)sX-Request-Id: " .. at .. "\\r\\n\\r\\n" end'
_SAME = 'function(at) return " HTTP/1.1\\r\\n%(fields)s\\r\\n" end'
_STRIDE = 7919
"""Targets are taken in this step: neighbours in the project are not neighbours in time."""


class Load(Struct, frozen=True):
    """What is sent: GETs of `targets` in turn. `unique`: each carries an X-Request-Id of its own."""

    targets: tuple[str, ...]
    headers: Mapping[str, str] = {}
    unique: bool = False


def best_tool() -> str:
    """wrk where there is one."""
    return "wrk" if shutil.which("wrk") else OWN


def run(load: Load, port: int, seconds: float, folder: Path, tool: str) -> Rate:
    """Send for so long; wrk counts in whole seconds. Raises RuntimeError when the generator fails."""
    if tool != OWN:
        return _wrk(load, port, max(1, round(seconds)), folder)
    given = Given(load.targets, _fields(load, port), load.unique, port, seconds, CONNECTIONS, _STRIDE)
    command = [sys.executable, "-m", "benchmarks.generator"]
    return msgspec.json.decode(_call(command, seconds, msgspec.json.encode(given).decode()), type=Rate)


def _fields(load: Load, port: int) -> str:
    return "".join(f"{k}: {v}\r\n" for k, v in {"Host": f"127.0.0.1:{port}", **load.headers}.items())


def _wrk(load: Load, port: int, seconds: int, folder: Path) -> Rate:
    fields = _fields(load, port).replace("\r\n", "\\r\\n").replace('"', '\\"')
    script = folder / "load.lua"
    script.write_text(
        _LUA
        % {
            "targets": ",".join(f'"{target}"' for target in load.targets),
            "method": "GET",
            "rest": (_UNIQUE if load.unique else _SAME) % {"fields": fields},
            "stride": _STRIDE,
        }
    )
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "-s",
        str(script),
        f"http://127.0.0.1:{port}/",
    ]
    told = _call(command, seconds)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", told)
    total = re.search(r"(\d+) requests in", told)
    if rate is None or total is None:
        raise RuntimeError(f"wrk said something else:\n{told}")
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", told)
    wrong = int(other[1]) if other else 0
    return Rate(float(rate[1]), int(total[1]), wrong + (sum(map(int, broken.groups())) if broken else 0))


def _call(command: list[str], seconds: float, given: str = "") -> str:
    done = subprocess.run(
        command,
        input=given,
        capture_output=True,
        text=True,
        timeout=seconds + SPARE_SECONDS,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
