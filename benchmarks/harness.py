"""One run: its servers, its rounds and what it found. The cases are in the modules beside this one.

Every case alternates short rounds of all its servers under the same load, so that what else the machine does
hits all of them, and compares medians. Ratios can be read on any machine; the rates themselves only on this.
The load generator shares the cores with the server it measures, as it would on a developer's machine.
"""

import http.client
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from benchmarks import load, peers, projects, servers
from benchmarks.generator import Rate
from benchmarks.load import Load
from benchmarks.peers import Peer, Stub
from benchmarks.report import Against, Goal, Row, warn
from benchmarks.servers import Server

NGINX = "nginx"
RATE = "requests/s"
NOT_ASKED = "it was not asked for"
JVM_ROUNDS = 2
"""Rounds of each case that do not count for a server on the JVM, which compiles what it runs often; else 1."""
ASK_SECONDS = 60.0
FEW_ANSWERS = 10
"""Answers on each connection below which a round says little; rounds are then STRETCH times as long."""
STRETCH = 3


class Size(Struct, frozen=True):
    """How much a run does: seconds of a round, rounds, numbers of routes, seconds of the JVM's warm-up."""

    seconds: float
    rounds: int
    positions: tuple[int, ...]
    routes: int
    scale: int
    warm_up: float
    reloads: int
    requests: int


FULL = Size(
    seconds=2.0,
    rounds=3,
    positions=(10, 300, 10_000, 100_000),
    routes=100_000,
    scale=1_000_000,
    warm_up=30.0,
    reloads=100,
    requests=100_000,
)
QUICK = Size(
    seconds=1.0,
    rounds=1,
    positions=(10, 300, 10_000),
    routes=10_000,
    scale=50_000,
    warm_up=5.0,
    reloads=20,
    requests=20_000,
)


class Side:
    """One of the servers of a case, the load it gets, and what was measured of it.

    `reply`: the body that it must answer with, which is looked at before the first round; None where nothing
    is known of it. `misses`: answers other than 2xx are what is asked for.
    """

    def __init__(
        self,
        server: Server,
        sent: Load,
        reply: str | None = projects.BODY,
        *,
        misses: bool = False,
        goal: Goal | None = None,
        name: str = "",
    ) -> None:
        self.server = server
        self.name = name or server.name
        self.sent = sent
        self.reply = reply
        self.misses = misses
        self.goal = goal
        self.rounds: list[Rate] = []
        self.spent = 0.0
        self.stretch = 1

    @property
    def rates(self) -> tuple[float, ...]:
        return tuple(round_.per_second for round_ in self.rounds)

    @property
    def per_processor(self) -> float:
        """Requests answered per second of processor time; 0 where that is not known."""
        return sum(round_.total for round_ in self.rounds) / self.spent if self.spent else 0.0

    def check(self) -> None:
        """Ask once, and see that it answers what it should. Raises RuntimeError."""
        sent = self.sent
        client = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=ASK_SECONDS)
        try:
            for target in {sent.targets[0], sent.targets[-1]}:
                client.request(sent.method, target, sent.body or None, dict(sent.headers))
                reply = client.getresponse()
                body = reply.read().decode()
                if not self.misses and (reply.status != 200 or self.reply not in (None, body)):
                    raise RuntimeError(f"{target} is answered {reply.status} {body[:200]!r}")
        except (OSError, http.client.HTTPException) as error:
            raise RuntimeError(f"it does not answer: {error}") from None
        finally:
            client.close()

    def rate(self, seconds: float, folder: Path, tool: str) -> Rate:
        """Load for so long. Raises RuntimeError."""
        return load.run(self.sent, self.server.port, seconds, folder, tool)

    def measure(self, seconds: float, folder: Path, tool: str, *, counts: bool) -> Rate:
        """One round. Raises RuntimeError when answers are not what they should be."""
        before = servers.processor_seconds(self.server.pid)
        rate = self.rate(seconds * self.stretch, folder, tool)
        if rate.wrong and not self.misses:
            raise RuntimeError(f"{rate.wrong} of {rate.total} answers were wrong")
        if counts and not rate.total:
            raise RuntimeError(f"no answer in {seconds * self.stretch:g} s")
        if not counts and rate.total < FEW_ANSWERS * self.sent.connections:
            self.stretch = STRETCH
        if counts:
            self.rounds.append(rate)
            self.spent += servers.processor_seconds(self.server.pid) - before
        servers.settle(self.server.pid)
        return rate


class Bench:
    """The run. Peers are started when they are first needed and stay until its end."""

    def __init__(
        self, folder: Path, tool: str, size: Size, stack: ExitStack, without: Collection[str] = ()
    ) -> None:
        self.folder = folder
        self.tool = tool
        self.size = size
        self.rows: list[Row] = []
        self.notes: list[str] = []
        self._stack = stack
        self.without = without
        self._nginx: Server | None = None
        self._peers: dict[str, Peer] | None = None
        self._made = 0

    # --- what is found ---

    def note(self, row: Row) -> None:
        """Keep a row, and show that something happens."""
        self.rows.append(row)
        others = ", ".join(f"{other.server} x{row.ratio(other):.2f}" for other in row.against)
        warn(f"  {row.case}: {row.value:,.2f} {row.unit}{'  ' if others else ''}{others}")

    def leave_out(self, who: str, why: object) -> None:
        """Say once that somebody is not measured, and why."""
        text = f"{who}: {why}"
        if text not in self.notes:
            self.notes.append(text)
            warn(f"  left out: {text}")

    # --- who is measured ---

    def project(self, name: str) -> Path:
        """Where a project of this run may be written; each time another folder."""
        self._made += 1
        return self.folder / f"{name}-{self._made}"

    @contextmanager
    def svcmock(self, project: Path, *options: str, name: str = "svcmock") -> Iterator[Server]:
        """A daemon that serves a project."""
        with servers.daemon(project, self.folder, *options, name=name) as server:
            yield server

    def nginx(self) -> list[Server]:
        """nginx with one worker, which answers all but two paths with the same body; or none."""
        if NGINX in self.without:
            self.leave_out(NGINX, NOT_ASKED)
            return []
        if self._nginx is None and (binary := servers.nginx_binary()) is not None:
            replies = {"/": projects.BODY, "= /short": projects.SHORT.replace("\n", "\\n")}
            folder = self.folder / "nginx"
            self._nginx = self._stack.enter_context(
                servers.nginx(binary, folder, replies, {"/large": projects.LARGE})
            )
        if self._nginx is None:
            self.leave_out(NGINX, "it is not installed (`make bench` does that)")
            return []
        return [self._nginx]

    def peers(self, stubs: Sequence[Stub]) -> list[Server]:
        """The peers that are here, taught these stubs and nothing else."""
        if self._peers is None:
            self._peers = {}
            self._start(peers.WIREMOCK, peers.wiremock)
            self._start(peers.MOUNTEBANK, peers.mountebank)
        taught = []
        for name, peer in self._peers.items():
            try:
                peer.teach(stubs)
                taught.append(peer.server)
            except RuntimeError as error:
                self.leave_out(f"{name} with {len(stubs):,} stubs", error)
        return taught

    def _start(self, name: str, start: Callable[[Path], AbstractContextManager[Peer]]) -> None:
        assert self._peers is not None
        lacking = NOT_ASKED if name in self.without else peers.lacking(name)
        if lacking:
            self.leave_out(name, lacking)
            return
        try:
            peer = self._stack.enter_context(start(self.folder / name))
            peer.teach([Stub("GET", projects.path_of(0), projects.BODY)])
            if name == peers.WIREMOCK and self.size.warm_up:
                warn(f"  {name}: {self.size.warm_up:g} seconds of load to warm up")
                sent = Load((projects.path_of(0),), projects.HEADERS, unique=True)
                load.run(sent, peer.server.port, self.size.warm_up, self.folder, self.tool)
        except RuntimeError as error:
            self.leave_out(name, error)
            return
        self._peers[name] = peer

    # --- measuring ---

    def alternate(self, case: str, sides: Sequence[Side]) -> list[Side]:
        """Rounds of all sides in turn, after some that do not count; gives the sides that could be measured.

        Raises RuntimeError when the first cannot: it is the one that is compared with all others.
        """
        kept = list(sides)
        for number in range(self.size.rounds + 1):
            for side in tuple(kept):
                try:
                    if not number:
                        side.check()
                    for _ in range(self._rounds_of(side, number)):
                        side.measure(self.size.seconds, self.folder, self.tool, counts=number > 0)
                except RuntimeError as error:
                    if side is sides[0]:
                        raise
                    kept.remove(side)
                    self.leave_out(f"{side.name}, {case}", error)
        return kept

    def _rounds_of(self, side: Side, number: int) -> int:
        return JVM_ROUNDS if number == 0 and side.server.name == peers.WIREMOCK else 1

    def compare(self, case: str, sides: Sequence[Side], routes: int = 0) -> None:
        """A row of rates: the first side against each other."""
        ours, *others = self.alternate(case, sides)
        against = tuple(
            Against(
                side.name,
                side.rates,
                ours.per_processor / side.per_processor if side.per_processor else 0.0,
                side.goal,
            )
            for side in others
        )
        self.note(Row(case, RATE, ours.rates, against, routes=routes))

    def everybody(
        self,
        case: str,
        ours: Server,
        others: Sequence[Server],
        sent: Load,
        *,
        reply: str | None = projects.BODY,
        goals: Mapping[str, float] | None = None,
        routes: int = 0,
    ) -> None:
        """A row of rates: svcmock against each of the others under one load. `goals`: least ratios, by name."""
        sides = [Side(ours, sent, reply)]
        for other in others:
            goal = (goals or {}).get(other.name)
            sides.append(Side(other, sent, reply, goal=Goal(goal) if goal else None))
        self.compare(case, sides, routes)
