"""Where a request's time goes, in nanoseconds a stage, without sockets: `make bench-stages`.

Stages are measured in turn, round after round, and the fastest round of each counts: what else the machine does
only ever adds. The column "spread" says how far half of the rounds were above it; less is no difference.

Two checkouts are compared best with `--tree`: both are measured in processes that take turns. `--save` and
`--against` compare with what was measured before; the stage "yardstick", which is none of svcmock's code, tells
whether the machine was as fast then.
"""

import argparse
import asyncio
import gc
import itertools
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import structlog
import uvloop
from msgspec import Struct

from benchmarks import projects, streams
from svcmock.engine import Responder
from svcmock.journal import Fact, Journal
from svcmock.net import serving as serving_module
from svcmock.net.driver import Connection
from svcmock.net.memo import Memo
from svcmock.net.serving import Serving
from svcmock.project import load
from svcmock.protocol import Ask
from svcmock.registry import discover

ROUNDS = 15
CALLS = 5000
"""Of each stage in a round: some 10 ms, which is less than the machine leaves a process alone for."""
SLOW_CALLS = 200
STREAMS = 10
"""Requests of HTTP/2 in what is received at a time."""
TURNS = 4
"""Processes of each checkout that take turns."""

Run = Callable[[], None]
"""The calls of one round, all that they need being there already."""


class Stage(Struct, frozen=True):
    """`prepare` makes what a round needs, which does not count, and gives its calls."""

    prepare: Callable[[], Run]
    calls: int = CALLS


class Measured(Struct, frozen=True):
    """Of one stage: nanoseconds a call in the fastest round, and how far half of the rounds were above it."""

    least: float
    spread: float


class _Transport(asyncio.Transport):
    """A client that takes everything at once."""

    def write(self, data: Any) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        return default


def _fields(headers: Mapping[str, str]) -> bytes:
    return b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())


def _requests(
    path: str, headers: Mapping[str, str], first: int, count: int = CALLS, body: str = ""
) -> list[bytes]:
    """Requests that differ in one header."""
    length = f"Content-Length: {len(body)}\r\n".encode() if body else b""
    method = "POST" if body else "GET"
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n".encode() + _fields(headers) + length
    tail = b"\r\n\r\n" + body.encode()
    return [b"%bX-Request-Id: %d%b" % (head, first + number, tail) for number in range(count)]


class _Service:
    """One service of a project, and what stages need of it."""

    def __init__(self, project: Path) -> None:
        loaded = load(project, discover().plugins)
        (self.responder,) = loaded.responders.values()
        self.plugin = self.responder.plugin
        self.context = self.responder.context
        self._sent = 0

    def connection(self) -> Connection:
        """A client's connection to it."""
        serving = Serving(self.responder, Journal(), _no_spools)
        connection = Connection(serving)
        connection.connection_made(_Transport())
        return connection

    def fresh(self, path: str, headers: Mapping[str, str], count: int = CALLS, body: str = "") -> list[bytes]:
        """Requests that differ from each other and from all before."""
        self._sent += count
        return _requests(path, headers, 10**9 + self._sent, count, body)

    def ask(self, data: bytes) -> Ask:
        """What a session makes of a request."""
        out = next(iter(self.plugin.session(self.context).received(data)))
        assert isinstance(out, Ask)
        return out


def _no_spools() -> Any:
    raise AssertionError("no request is that large")


def _each(call: Callable[[Any], object], values: list[Any]) -> Run:
    def run() -> None:
        for value in values:
            call(value)

    return run


def stages(folder: Path) -> dict[str, Stage]:
    """All stages. Must be called where an event loop runs."""
    told = _Service(projects.write(folder / "told", 300, headers=projects.HEADERS))
    route = projects.answering(projects.ORDERS, projects.BODY, projects.ORDER)
    posted = _Service(projects.write_routes(folder / "posted", [route]))
    path, missing, seen = projects.path_of(0), "/nothing/here", projects.HEADERS
    as_json = {"Content-Type": "application/json"}
    (same,) = told.fresh(path, seen, 1)
    asked = told.ask(same).request
    responder, plugin, context = told.responder, told.plugin, told.context
    decision = responder.decide(asked)
    assert decision is not None
    journal, fact = Journal(), Fact(asked, decision.outcome, len(same))

    def on_each(where: str, call: Callable[[Any], object], calls: int = CALLS) -> Stage:
        """Requests that nobody has looked at: they may remember what was once worked out of them."""
        return Stage(
            lambda: _each(call, [told.ask(data).request for data in told.fresh(where, seen, calls)]), calls
        )

    def remembered(data: Callable[[], list[bytes]]) -> Callable[[], Run]:
        connection = told.connection()
        for first in told.fresh(path, seen, 3):
            connection.data_received(first)
        return lambda: _each(connection.data_received, data())

    def decoded(service: _Service, data: Callable[[], list[bytes]]) -> Callable[[], Run]:
        """With a memory that knows no likeness and no request twice, so that each takes the whole way."""
        connection = service.connection()

        def prepare() -> Run:
            connection.memo = Memo()
            return _each(connection.data_received, data())

        return prepare

    def multiplexed(unique: str = "") -> Callable[[], Run]:
        """Requests of HTTP/2 on one connection, ten of them in what is received at a time."""
        connection = told.connection()
        fields = tuple((name.lower(), value) for name, value in seen.items())
        blocks = streams.Blocks(streams.Streams(0, 0, 1, 1, path, fields, unique=unique))
        connection.data_received(streams.opening())
        numbers = itertools.count()

        def received() -> bytes:
            return b"".join(
                streams.frame(1, 5, 2 * number + 1, blocks.next(number))
                for number in itertools.islice(numbers, STREAMS)
            )

        for _ in range(10):  # until all that a client says once has been said
            connection.data_received(received())

        return lambda: _each(connection.data_received, [received() for _ in range(CALLS // STREAMS)])

    def encode() -> Run:
        owing = []
        for data in told.fresh(path, seen):
            session = plugin.session(context)
            (out,) = session.received(data)
            assert isinstance(out, Ask)
            owing.append((session, out))
        reply = decision.reply

        def run() -> None:
            for session, ask in owing:
                session.answered(ask, reply)

        return run

    def decode() -> Run:
        pairs = [(plugin.session(context), data) for data in told.fresh(path, seen)]

        def run() -> None:
            for session, data in pairs:
                session.received(data)

        return run

    def note_again() -> Run:
        data = told.fresh(path, seen)
        return _each(lambda one: journal.again(1.5, fact, one), data)

    return {
        "yardstick: no code of svcmock": Stage(_yardstick),
        "hit, the same bytes again": Stage(remembered(lambda: [same] * CALLS)),
        "hit, alike but for a header": Stage(remembered(lambda: told.fresh(path, seen))),
        "hit, HTTP/2, the same block again": Stage(multiplexed()),
        "hit, HTTP/2, alike but for a header": Stage(multiplexed("x-request-id")),
        "hit, decoded": Stage(decoded(told, lambda: told.fresh(path, seen))),
        "hit, decoded, a POST of JSON": Stage(
            decoded(posted, lambda: posted.fresh(projects.ORDERS, as_json, CALLS, projects.ORDER))
        ),
        "miss, beyond those explained": Stage(decoded(told, lambda: told.fresh(missing, seen))),
        "  of a hit: decode": Stage(decode),
        "  of a hit: key": on_each(path, lambda one: plugin.key(one, context)),
        "  of a hit: key and look-up": on_each(path, responder.index.find),
        "  of a hit: decide, with both": on_each(path, responder.decide),
        "  of a hit: journal": on_each(path, lambda one: journal.add(1.5, one, decision.outcome, len(same))),
        "  of a hit: journal, remembered": Stage(note_again),
        "  of a hit: encode": Stage(encode),
        "  of a miss: decide": on_each(missing, responder.decide),
        "  of a miss: reply": on_each(missing, _misser(responder, explained=False)),
        "  of a miss: explained reply": on_each(missing, _misser(responder, explained=True), SLOW_CALLS),
    }


def _misser(responder: Responder, *, explained: bool) -> Callable[[Any], object]:
    return lambda request: responder.miss(request, 1, explained=explained)


def _yardstick() -> Run:
    lines = [b"GET /shop/items/%d HTTP/1.1" % number for number in range(CALLS)]
    known = {line: line.split() for line in lines}
    return _each(lambda line: known[b" ".join(line.split(b" "))], lines)


def measure(rounds: int) -> dict[str, Measured]:
    """All stages in turn, so many times."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    taken: dict[str, list[float]] = {}

    def all_rounds(found: dict[str, Stage]) -> None:
        for number in range(rounds + 1):
            for name, stage in found.items():
                run = stage.prepare()
                begun = time.perf_counter_ns()
                run()
                spent = (time.perf_counter_ns() - begun) / stage.calls
                if number:
                    taken.setdefault(name, []).append(spent)

    async def main() -> None:
        with tempfile.TemporaryDirectory(prefix="stages-") as folder:
            found = stages(Path(folder))
            gc.collect()
            gc.disable()
            all_rounds(found)

    # which misses are explained depends on the clock: measured apart, as a stage of its own
    explained, serving_module.EXPLAINED_PER_SECOND = serving_module.EXPLAINED_PER_SECOND, 0
    try:
        uvloop.run(main())
    finally:
        serving_module.EXPLAINED_PER_SECOND = explained
        gc.enable()
    return {name: Measured(min(all_), median(all_) / min(all_) - 1) for name, all_ in taken.items()}


def merged(runs: list[dict[str, Measured]]) -> dict[str, Measured]:
    """Of several runs the fastest; the spread is that of the runs' fastest rounds."""
    all_of = {name: [run[name].least for run in runs if name in run] for name in runs[0]}
    return {name: Measured(min(each), median(each) / min(each) - 1) for name, each in all_of.items()}


_IN_TREE = """
import sys, benchmarks
benchmarks.__path__ = list(benchmarks.__path__)
sys.path[:0] = sys.argv[2:]
from benchmarks import stages
sys.exit(stages.main(["--plain", "--rounds", sys.argv[1]]))
"""
"""These benchmarks on a checkout's svcmock: this package's path is settled before the other comes first."""


def in_tree(tree: Path, rounds: int) -> dict[str, Measured]:
    """Measure the svcmock of a checkout, in a process of its own. Raises RuntimeError."""
    command = [sys.executable, "-c", _IN_TREE, str(rounds), str(tree), str(tree / "protocols")]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{tree}: {done.stderr.strip()[-2000:]}")
    return msgspec.json.decode(done.stdout, type=dict[str, Measured])


def compared(now: Mapping[str, Measured], before: Mapping[str, Measured] | None) -> str:
    """A table; with `before`, the ratio of each stage's times: below 1 is faster now."""
    width = max(map(len, now))
    lines = [f"{'stage':{width}}  {'ns':>9}  spread" + ("     before  spread  ratio" if before else "")]
    for name, got in now.items():
        line = f"{name:{width}}  {got.least:>9,.0f}  {got.spread:>6.1%}"
        old = (before or {}).get(name)
        if old is not None:
            line += f"  {old.least:>9,.0f}  {old.spread:>6.1%}  {got.least / old.least:>5.2f}"
        lines.append(line)
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--save", type=Path, metavar="PATH", help="keep what is measured")
    parser.add_argument("--against", type=Path, metavar="PATH", help="compare with what was kept")
    parser.add_argument(
        "--tree", type=Path, metavar="FOLDER", help="compare with the svcmock of another checkout"
    )
    parser.add_argument("--plain", action="store_true", help="print JSON")
    given = parser.parse_args(argv)
    before: dict[str, Measured] | None = None
    if given.tree is not None:
        here, there = [], []
        for _ in range(TURNS):
            there.append(in_tree(given.tree.resolve(), given.rounds))
            here.append(in_tree(Path(__file__).resolve().parents[1], given.rounds))
        now, before = merged(here), merged(there)
    else:
        now = measure(given.rounds)
    if given.against is not None:
        before = msgspec.json.decode(given.against.read_bytes(), type=dict[str, Measured])
    if given.save is not None:
        given.save.write_bytes(msgspec.json.encode(now))
    print(json.dumps(msgspec.to_builtins(now)) if given.plain else compared(now, before))
    return 0


if __name__ == "__main__":
    sys.exit(main())
