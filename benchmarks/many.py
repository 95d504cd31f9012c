"""Cases: many routes. What their number costs a request, how long they take to load, and their memory."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import projects, servers
from benchmarks.harness import Bench, Side
from benchmarks.load import Load
from benchmarks.peers import WIREMOCK, Stub
from benchmarks.report import Against, Goal, Row
from benchmarks.servers import Server

KINDS = ("yaml", "jsonl")
SPREAD = 1000
"""Routes that are asked for in turn, where it is not one alone."""
FEW = 10
PEERS_MOST = 10_000
"""Routes that the peers are taught. They try one after the other: with more, too little is left to measure."""
BODY_KB = len(projects.BODY) / 1024


def last(routes: int) -> Load:
    """A GET of the last of so many routes, with a header that differs."""
    return Load((projects.path_of(routes - 1),), projects.HEADERS, unique=True)


def spread(routes: int) -> Load:
    """The same of a thousand of them in turn."""
    paths = tuple(projects.path_of(number * routes // SPREAD) for number in range(SPREAD))
    return Load(paths, projects.HEADERS, unique=True)


def position(bench: Bench) -> None:
    """The last of ever more routes, and a thousand of them in turn.

    The peers are asked for the last that they try, up to as many stubs as they can bear; what they do with the
    most of them is what svcmock's larger projects are compared with.
    """
    one = projects.write(bench.project("one"), 1, headers=projects.HEADERS)
    peers: list[Server] = []
    held = 0
    with bench.svcmock(one, name="svcmock, 1 route") as single:
        for routes in bench.size.positions:
            if routes <= PEERS_MOST:
                stubs = [Stub("GET", projects.path_of(number), projects.BODY) for number in range(routes)]
                peers, held = bench.peers(stubs), routes
            project = projects.write(bench.project("position"), routes, headers=projects.HEADERS, kind="jsonl")
            with bench.svcmock(project) as ours:
                _at(bench, ours, single, peers, routes, held)


def _at(bench: Bench, ours: Server, single: Server, peers: list[Server], routes: int, held: int) -> None:
    """The cases of one number of routes, of which the peers hold `held`."""
    many = routes >= bench.size.routes
    alone = [Side(single, last(1), goal=Goal(0.95))] if many else []
    with_nginx = [Side(server, last(routes)) for server in bench.nginx()]
    other = [
        Side(
            peer,
            last(held),
            goal=Goal(20) if many and peer.name == WIREMOCK else None,
            name=peer.name if held == routes else f"{peer.name}, {held:,} stubs",
        )
        for peer in peers
        if held == routes or peer.name == WIREMOCK
    ]
    bench.compare(
        f"the last of {routes:,} routes", [Side(ours, last(routes)), *with_nginx, *alone, *other], routes
    )
    if routes > SPREAD:
        sides = [Side(ours, spread(routes)), Side(single, last(1))]
        sides += [Side(peer, spread(routes)) for peer in peers if held == routes]
        bench.compare(f"{SPREAD:,} of {routes:,} routes in turn", sides)


def loading(bench: Bench) -> None:
    """A large recording: how long it takes to load and the memory it needs."""
    routes = bench.size.routes
    for kind in KINDS:
        project = projects.write(bench.project(f"many-{kind}"), routes, headers=projects.HEADERS, kind=kind)
        _load(bench, project, f"{routes:,} routes of {kind}", bench.size.rounds, cold=10, warm=1.5)


def _load(bench: Bench, project: Path, named: str, times: int, *, cold: float, warm: float) -> None:
    first = [server.seconds for server, _ in _starts(bench, project, 1)]
    later, resident, own = [], [], []
    for server, taken in _starts(bench, project, times):
        later.append(server.seconds)
        resident.append(taken.resident)
        own.append(taken.anonymous)
    goals = [Goal(most, most=True, of="value") if most else None for most in (cold, warm)]
    bench.note(Row(f"{named}, first start", "s", tuple(first), goal=goals[0]))
    bench.note(Row(f"{named}, later starts", "s", tuple(later), goal=goals[1]))
    bench.note(Row(f"{named}, resident", "MB", tuple(resident)))
    bench.note(Row(f"{named}, of that anonymous", "MB", tuple(own)))


def _starts(bench: Bench, project: Path, times: int) -> Iterator[tuple[Server, servers.Memory]]:
    for _ in range(times):
        with bench.svcmock(project) as server:
            yield server, servers.memory(server.pid)


def scale(bench: Bench) -> None:
    """A million recorded exchanges on one service, against ten."""
    routes = bench.size.scale
    few = projects.write(bench.project("few"), FEW, headers=projects.HEADERS)
    many = projects.write(bench.project("scale"), routes, headers=projects.HEADERS)
    _load(bench, many, f"{routes:,} routes of yaml", 1, cold=0, warm=10)
    with ExitStack() as stack:
        ours = stack.enter_context(bench.svcmock(many))
        ten = stack.enter_context(bench.svcmock(few, name=f"svcmock, {FEW} routes"))
        all_of, own_of = _each(ours, ten, routes)
        kilobyte = Goal(1, most=True, of="value")
        bench.note(Row(f"{routes:,} routes, resident for each, less its body", "KB", (all_of,), goal=kilobyte))
        bench.note(Row(f"{routes:,} routes, of that anonymous", "KB", (own_of,)))
        same = Load(last(routes).targets, projects.HEADERS)
        cases = (
            ("the same GET each time", same, Load(last(FEW).targets, projects.HEADERS)),
            ("the last one, a header that differs", last(routes), last(FEW)),
        )
        for case, mine, theirs in cases:
            sides = [Side(ours, mine), Side(ten, theirs, goal=Goal(0.9))]
            _rate_and_wait(bench, f"{routes:,} routes: {case}", sides, routes if mine.unique else 0)
        few_in_turn = Load(
            tuple(projects.path_of(number) for number in range(FEW)), projects.HEADERS, unique=True
        )
        sides = [Side(ours, spread(routes)), Side(ten, few_in_turn)]
        _rate_and_wait(bench, f"{routes:,} routes: {SPREAD:,} in turn, a header that differs", sides, 0)
        _, own_of = _each(ours, ten, routes)
        bench.note(Row(f"{routes:,} routes, anonymous for each after that", "KB", (own_of,)))


def _each(ours: Server, ten: Server, routes: int) -> tuple[float, float]:
    """KB of memory for each route above what few routes take: resident without the bodies, and anonymous."""
    much, little = servers.memory(ours.pid), servers.memory(ten.pid)
    whole = (much.resident - little.resident) * 1024 / routes
    return max(0.0, whole - BODY_KB), max(0.0, (much.anonymous - little.anonymous) * 1024 / routes)


def _rate_and_wait(bench: Bench, case: str, sides: list[Side], routes: int) -> None:
    """A row of rates, and one of how long 99 in 100 clients waited meanwhile."""
    bench.compare(case, sides, routes)
    ours, other = sides
    waited, theirs = (tuple(one.p99 for one in side.rounds) for side in (ours, other))
    if ours.rounds and other.rounds:
        against = (Against(other.name, theirs),)
        bench.note(Row(f"{case}, 99 in 100 wait less than", "ms", waited, against))
