"""Load on one port: 32 connections that each send the next request when they have the last one's answer.

wrk where it is installed, else `generator.py`: a loop of our own in a process of its own. Both send the same
bytes to whoever is measured, from the same list of targets. What was used is part of every result.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

CONNECTIONS = 32
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


class Rate(Struct, frozen=True):
    """Requests per second, and how many were answered with something other than 2xx or not at all."""

    per_second: float
    total: int
    wrong: int


def tool() -> str:
    """Which generator `run` uses."""
    return "wrk" if shutil.which("wrk") else "generator.py"


def run(load: Load, port: int, seconds: float, folder: Path) -> Rate:
    """Send for so long. Raises RuntimeError when the generator fails."""
    if tool() == "wrk":
        return _wrk(load, port, seconds, folder)
    given = {
        "targets": load.targets,
        "fields": _fields(load, port),
        "unique": load.unique,
        "port": port,
        "seconds": seconds,
        "connections": CONNECTIONS,
        "stride": _STRIDE,
    }
    told = _call([sys.executable, str(Path(__file__).with_name("generator.py"))], seconds, json.dumps(given))
    return Rate(**json.loads(told))


def _fields(load: Load, port: int) -> str:
    return "".join(f"{k}: {v}\r\n" for k, v in {"Host": f"127.0.0.1:{port}", **load.headers}.items())


def _wrk(load: Load, port: int, seconds: float, folder: Path) -> Rate:
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
    whole = max(1, round(seconds))  # wrk counts in seconds
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{whole}s", "-s", str(script), f"http://127.0.0.1:{port}/"]
    told = _call(command, whole)
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
        command, input=given, capture_output=True, text=True, timeout=seconds + SPARE_SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
