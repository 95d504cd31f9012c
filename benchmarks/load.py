"""Load on one port: connections that each send the next request when they have the last one's answer.

wrk where it is installed, else autocannon where `make bench` could install it, else `generator.py`: a loop of
our own in a process of its own. All send the same requests to whoever is measured, from the same list of
targets. What was used is part of every result.
"""

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks import packages
from benchmarks.generator import Given, Rate

CONNECTIONS = 32
WRK = "wrk"
AUTOCANNON = "autocannon"
OWN = "generator.py"
TOOLS = (WRK, AUTOCANNON, OWN)
"""Best first."""
SPARE_SECONDS = 30.0
"""What a run may take beyond its duration before it is ended as stuck."""
PATIENCE = 30
"""Seconds that wrk waits for an answer: some servers need seconds for one of 10,000 routes."""

STRIDE = 7919
"""Targets are taken in this step: neighbours in the project are not neighbours in time."""
_RUNS = itertools.count(1)
_PER_RUN = 1_000_000_000
"""Numbers of unique headers that a run has to itself: none is sent twice to one server, even in another round.
Lua writes whole numbers as such below 1e14, which is enough for as many runs as there may be."""

_FIXED = """
wrk.method, wrk.body = %(method)s, %(body)s
for name, value in pairs({%(headers)s}) do wrk.headers[name] = value end
"""
_MADE = """
local targets = {%(targets)s}
local first, fields, last = %(method)s .. " ", %(fields)s, "\\r\\n" .. (%(body)s or "")
local at, count, ids, threads = 0, #targets, %(first)d, 0
setup = function(thread)
  thread:set("own", threads * %(per_thread)d)
  threads = threads + 1
end
init = function() ids = ids + own end
request = function()
  at = at + 1
  return first .. targets[at * %(stride)d %% count + 1] .. fields%(own)s .. last
end
"""
_OWN_FIELD = ' .. "X-Request-Id: " .. (ids + at) .. "\\r\\n"'
_PACED = """
local ffi = require("ffi")
ffi.cdef[[
  typedef struct { long seconds, micros; } moment;
  int gettimeofday(moment *now, void *none);
]]
local now, begun, due = ffi.new("moment"), nil, 0
delay = function()
  ffi.C.gettimeofday(now, nil)
  local ms = tonumber(now.seconds) * 1000 + tonumber(now.micros) / 1000
  begun = begun or ms
  due = due + 1
  return math.max(0, math.floor(begun + due * %(every).9f - ms + math.random()))
end
"""
"""A rate that is held: each request has a time at which it is due. wrk's timers know milliseconds, no less."""
_DONE = """
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\\n@{"per_second": %.3f, "total": %d, "wrong": %d, "p50": %.4f, "p99": %.4f}\\n',
    summary.requests / summary.duration * 1e6, summary.requests,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


class Load(Struct, frozen=True):
    """What is sent: requests of `targets` in turn. `unique`: each carries an X-Request-Id of its own.

    `close`: each on a connection of its own. `rate`: so many requests a second, as long as there is an idle
    connection for each; 0 for as many as are answered. `expect`: a regular expression that every body must
    match; wrk looks at none.
    """

    targets: tuple[str, ...]
    headers: Mapping[str, str] = {}
    unique: bool = False
    method: str = "GET"
    body: str = ""
    close: bool = False
    connections: int = CONNECTIONS
    threads: int = 1
    rate: float = 0.0
    expect: str = ""


def available() -> tuple[str, ...]:
    """The generators that can be used here, best first."""
    here = {
        WRK: shutil.which(WRK) is not None,
        AUTOCANNON: shutil.which("node") is not None and packages.folder(AUTOCANNON) is not None,
        OWN: True,
    }
    return tuple(tool for tool in TOOLS if here[tool])


def version(tool: str) -> str:
    """A generator and its version."""
    if tool == WRK:
        told = subprocess.run([WRK, "--version"], capture_output=True, text=True, check=False).stdout.split()
        return f"{WRK} {told[1]}" if len(told) > 1 else WRK
    return f"{AUTOCANNON} {packages.version(AUTOCANNON)}" if tool == AUTOCANNON else f"benchmarks/{OWN}"


def run(load: Load, port: int, seconds: float, folder: Path, tool: str) -> Rate:
    """Send for so long, which for wrk and autocannon are whole seconds. Raises RuntimeError when they fail."""
    whole = max(1, round(seconds))
    if tool == WRK:
        return _wrk(load, port, whole, folder)
    given = Given(
        load.targets,
        _fields(load, port),
        load.unique,
        port,
        whole if tool == AUTOCANNON else seconds,
        load.connections,
        STRIDE,
        load.method,
        load.body,
        load.close,
        next(_RUNS) * _PER_RUN,
        load.rate,
        load.expect,
    )
    text = msgspec.json.encode(given).decode()
    if tool == OWN:
        told = _call([sys.executable, "-m", "benchmarks.generator"], seconds, text)
    else:
        driver = Path(__file__).with_name("autocannon.cjs")
        told = _call(["node", str(driver), str(packages.folder(AUTOCANNON))], whole, text)
    return msgspec.json.decode(told, type=Rate)


def _headers(load: Load, port: int) -> dict[str, str]:
    length = {"Content-Length": str(len(load.body.encode()))} if load.body else {}
    return {"Host": f"127.0.0.1:{port}", **load.headers, **length}


def _fields(load: Load, port: int) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in _headers(load, port).items())


def script(load: Load, port: int) -> str:
    """What tells wrk to send this. One request that never changes costs wrk no Lua at all."""
    headers = _headers(load, port)
    if load.close:
        headers["Connection"] = "close"
    given = {
        "method": _lua(load.method),
        "body": _lua(load.body) if load.body else "nil",
        "targets": ", ".join(map(_lua, load.targets)),
        "headers": ", ".join(f"[{_lua(name)}] = {_lua(value)}" for name, value in headers.items()),
        "fields": _lua(" HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())),
        "first": next(_RUNS) * _PER_RUN,
        "per_thread": _PER_RUN // 10,
        "stride": STRIDE,
        "own": _OWN_FIELD if load.unique else "",
        "every": 1000 * load.threads / load.rate if load.rate else 0.0,
    }
    fixed = len(load.targets) == 1 and not load.unique
    return (_FIXED if fixed else _MADE) % given + (_PACED % given if load.rate else "") + _DONE


def _lua(text: str) -> str:
    """A string of Lua. JSON's escapes are Lua's, too, but for `\\u` and `\\/`, and ASCII needs neither."""
    if not text.isascii():
        raise ValueError(f"only ASCII can be sent: {text!r}")
    return json.dumps(text)


def _wrk(load: Load, port: int, seconds: int, folder: Path) -> Rate:
    path = folder / f"load-{port}.lua"
    path.write_text(script(load, port))
    command = [
        WRK,
        f"-t{load.threads}",
        f"-c{load.connections}",
        f"-d{seconds}s",
        f"--timeout={PATIENCE}s",
        "-s",
        str(path),
        f"http://127.0.0.1:{port}{load.targets[0]}",
    ]
    told = _call(command, seconds)
    line = next((line for line in told.splitlines() if line.startswith("@")), None)
    if line is None:
        raise RuntimeError(f"wrk said something else:\n{told}")
    return msgspec.json.decode(line[1:], type=Rate)


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
