"""Cases: how soon a daemon is there, its memory, how long its clients wait, and what reloads do to them."""

import threading
import time
import urllib.request
from pathlib import Path

import msgspec

from benchmarks import load, projects, servers
from benchmarks.generator import Rate
from benchmarks.harness import Bench, Side
from benchmarks.load import Load
from benchmarks.report import Against, Goal, Row

ROUTES = 20
PACED_CONNECTIONS = 128
"""Of the load that holds a rate: enough that none waits for its pause while a request is due."""
CHECKED_CONNECTIONS = 2


def start(bench: Bench) -> None:
    """Time to be ready and memory, with a project of twenty routes."""
    project = projects.write(bench.project("small"), ROUTES, headers=projects.HEADERS)
    with bench.svcmock(project):
        pass  # a first start writes byte code, as installing a package does
    back, front, resident, own = [], [], [], []
    after: list[float] = []
    requests = 0
    for _ in range(bench.size.rounds):
        front.append(servers.foreground_seconds(project, bench.folder))
        with bench.svcmock(project) as server:
            back.append(server.seconds)
            taken = servers.memory(server.pid)
            resident.append(taken.resident)
            own.append(taken.anonymous)
            if not after:
                requests = _hammer(bench, server.port)
                after.append(servers.memory(server.pid).resident)
    half, sixty = (Goal(most, most=True, of="value") for most in (0.5, 60))
    bench.note(Row("ready, `svcmock up -d` has returned", "s", tuple(back), goal=half))
    bench.note(Row("ready, `svcmock up` has said so", "s", tuple(front), goal=half))
    bench.note(Row("resident when ready", "MB", tuple(resident), goal=sixty))
    bench.note(Row("of that anonymous, the rest is mapped files", "MB", tuple(own)))
    bench.note(Row(f"resident after {requests:,} requests", "MB", tuple(after), goal=sixty))


def _hammer(bench: Bench, port: int) -> int:
    """Many requests, half of them never seen before; in a short run, as many as there is time for."""
    paths = tuple(projects.path_of(number) for number in range(ROUTES))
    total = 0
    deadline = time.monotonic() + 60 * bench.size.seconds
    while total < bench.size.requests and time.monotonic() < deadline:
        for unique in (False, True):
            sent = Load(paths, projects.HEADERS, unique=unique)
            total += load.run(sent, port, bench.size.seconds, bench.folder, bench.tool).total
        if bench.size.seconds < 1:
            break
    return total


# --- waiting ------------------------------------------------------------------------------------------


def latency(bench: Bench) -> None:
    """How long clients wait at half of what the slower server can do, the same rate for both."""
    project = projects.write(bench.project("latency"), 1, headers=projects.HEADERS)
    sent = Load((projects.path_of(0),), projects.HEADERS, unique=True, connections=PACED_CONNECTIONS)
    with bench.svcmock(project) as ours:
        sides = [Side(server, sent) for server in (ours, *bench.nginx())]
        for side in sides:
            side.check()
            side.measure(bench.size.seconds, bench.folder, bench.tool, counts=True)
        target = min(side.rounds[0].per_second for side in sides) / 2
        for side in sides:
            side.sent = msgspec.structs.replace(sent, rate=target)
            side.rounds.clear()
        for _ in range(bench.size.rounds):
            for side in sides:
                side.measure(bench.size.seconds, bench.folder, bench.tool, counts=True)
    mine, *others = sides
    at = f"at {target:,.0f} requests/s"

    def row(case: str, unit: str, of: str, goal: Goal | None = None) -> Row:
        against = tuple(Against(side.name, _all(side.rounds, of), goal=goal) for side in others)
        return Row(case, unit, _all(mine.rounds, of), against)

    bench.note(row(f"{at}: half of the clients wait less than", "ms", "p50"))
    bench.note(row(f"{at}: 99 in 100 wait less than", "ms", "p99", Goal(1, most=True, of="difference")))
    bench.note(row(f"{at}: the rate that was held", "requests/s", "per_second"))


def _all(rounds: list[Rate], of: str) -> tuple[float, ...]:
    return tuple(float(getattr(one, of)) for one in rounds)


# --- reloading ----------------------------------------------------------------------------------------


def reloads(bench: Bench) -> None:
    """Routes rewritten and `svcmock reload` run, again and again under load.

    The generator of the run sends as fast as it is answered. wrk does not tell of connections that are closed
    on it, so our own generator looks at each body beside it, on connections that must stay open.
    """
    project = projects.write_routes(bench.project("reloads"), _version(0))
    run = _Reloads(bench, project)
    with bench.svcmock(project) as ours:
        under = [
            threading.Thread(target=run.send, args=(Load(_PATHS, unique=True), ours.port, bench.tool)),
            threading.Thread(target=run.send, args=(_CHECKED, ours.port, load.OWN)),
        ]
        for thread in under:
            thread.start()
        try:
            run.reload(ours.port)
        finally:
            run.over.set()
            for thread in under:
                thread.join()
    if run.problems:
        raise RuntimeError("; ".join(run.problems))
    none = Goal(0, most=True, of="value")
    count = bench.size.reloads
    bench.note(
        Row(f"{count} reloads under load: failed of {run.total:,} requests", "", (run.wrong,), goal=none)
    )
    bench.note(Row(f"{count} reloads: old answers after `reload` returned", "", (run.stale,), goal=none))
    bench.note(Row("a reload of 10 routes under load", "s", tuple(run.took)))


_PATHS = tuple(projects.path_of(number) for number in range(10))
_CHECKED = Load(_PATHS, unique=True, connections=CHECKED_CONNECTIONS, expect=r'\{"version": \d+\}')


def _version(number: int) -> list[dict[str, object]]:
    return [projects.answering(path, f'{{"version": {number}}}') for path in _PATHS]


class _Reloads:
    """What happens meanwhile: requests that are sent until it is over, and those that went wrong."""

    def __init__(self, bench: Bench, project: Path) -> None:
        self._bench = bench
        self._project = project
        self._lock = threading.Lock()
        self.over = threading.Event()
        self.total = 0
        self.wrong = 0.0
        self.stale = 0.0
        self.took: list[float] = []
        self.problems: list[str] = []

    def send(self, sent: Load, port: int, tool: str) -> None:
        """Rounds of load until it is over. A generator that gives up is a problem, not a thread's end."""
        while not self.over.is_set():
            try:
                rate = load.run(sent, port, self._bench.size.seconds, self._bench.folder, tool)
            except RuntimeError as error:
                self.problems.append(str(error))
                return
            with self._lock:
                self.total += rate.total
                self.wrong += rate.wrong

    def reload(self, port: int) -> None:
        """Another version each time, which must be what is answered when the command has returned."""
        for number in range(1, self._bench.size.reloads + 1):
            projects.put_routes(self._project, _version(number))
            begun = time.perf_counter()
            done = servers.svcmock("reload", str(self._project), folder=self._bench.folder)
            self.took.append(time.perf_counter() - begun)
            if done.returncode:
                self.problems.append(f"svcmock reload: {done.stdout}{done.stderr}")
                return
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{_PATHS[0]}", timeout=30) as reply:
                self.stale += reply.read() != f'{{"version": {number}}}'.encode()
