"""Cases: requests per second of a few routes, under different loads, against nginx and other mock servers."""

from contextlib import ExitStack

from benchmarks import projects, servers
from benchmarks.harness import NGINX, Bench, Side
from benchmarks.load import Load
from benchmarks.peers import MOUNTEBANK, WIREMOCK, Stub
from benchmarks.report import Goal

FIRST = (projects.path_of(0),)
SEEN = projects.HEADERS
ONE = (Stub("GET", FIRST[0], projects.BODY),)
MISSED_AMONG = 300
"""Routes, none of which answers, in the case of a miss."""


def rates(bench: Bench) -> None:
    """One route."""
    bare = projects.write(bench.project("bare"), 1)
    told = projects.write(bench.project("told"), 1, headers=SEEN)
    secret = projects.write(bench.project("secret"), 1, headers=SEEN, credential=True)
    matched = projects.write_matched(bench.project("matched"))
    nginx = bench.nginx()
    both = [*nginx, *bench.peers(ONE)]
    with bench.svcmock(bare) as ours:
        goals = {NGINX: 1.0, WIREMOCK: 8.0, MOUNTEBANK: 10.0}
        bench.everybody("the same GET each time", ours, both, Load(FIRST), goals=goals)
        sent = Load(FIRST, unique=True)
        bench.everybody("a GET with a header that differs", ours, both, sent, goals={NGINX: 0.6})
    with bench.svcmock(told) as ours:
        sent = Load(FIRST, SEEN, unique=True)
        bench.everybody("a header that differs, 3 recorded", ours, nginx, sent, goals={NGINX: 0.5})
    with bench.svcmock(secret) as ours:
        sent = Load(FIRST, {**SEEN, "Authorization": projects.SECRET}, unique=True)
        bench.everybody("the same, and a credential recorded", ours, nginx, sent, goals={NGINX: 0.5})
    with bench.svcmock(matched) as ours:
        sent = Load(FIRST, SEEN, unique=True)
        bench.everybody("a route with `match`, a header that differs", ours, nginx, sent)
    closing(bench)
    post(bench)
    miss(bench)


def closing(bench: Bench) -> None:
    """A connection for each request."""
    others = [*bench.nginx(), *bench.peers([Stub("GET", FIRST[0], projects.BODY, keep=False)])]
    with bench.svcmock(projects.write(bench.project("closing"), 1)) as ours:
        bench.everybody("the same GET, each on a new connection", ours, others, Load(FIRST, close=True))


def post(bench: Bench) -> None:
    """A JSON document that is compared by value; nginx does not look at it."""
    route = projects.answering(projects.ORDERS, projects.BODY, projects.ORDER)
    stub = Stub("POST", projects.ORDERS, projects.BODY, projects.ORDER)
    others = [*bench.nginx(), *bench.peers([stub])]
    headers = {"Content-Type": "application/json"}
    sent = Load((projects.ORDERS,), headers, unique=True, method="POST", body=projects.ORDER)
    with bench.svcmock(projects.write_routes(bench.project("post"), [route])) as ours:
        bench.everybody("a POST of JSON, a header that differs", ours, others, sent)


def miss(bench: Bench) -> None:
    """A request that nothing answers, against the same server's hits and the other servers' misses."""
    stubs = [Stub("GET", projects.path_of(number), projects.BODY) for number in range(MISSED_AMONG)]
    nothing = Load(("/nothing/here",), SEEN, unique=True)
    project = projects.write(bench.project("miss"), MISSED_AMONG, headers=SEEN)
    with bench.svcmock(project) as ours:
        sides = [
            Side(ours, nothing, None, misses=True),
            Side(ours, Load(FIRST, SEEN, unique=True), goal=Goal(0.3), name="its own hit"),
            *(Side(peer, nothing, None, misses=True) for peer in bench.peers(stubs)),
        ]
        bench.compare(f"a miss among {MISSED_AMONG} routes, a header that differs", sides)


def connections(bench: Bench) -> None:
    """One connection, and a thousand."""
    project = projects.write(bench.project("connections"), 1)
    others = [*bench.nginx(), *bench.peers(ONE)]
    with bench.svcmock(project) as ours:
        for count, named in ((1, "1 connection"), (1000, "1,000 connections")):
            sent = Load(FIRST, unique=True, connections=count)
            bench.everybody(f"a GET with a header that differs, {named}", ours, others, sent)


def bodies(bench: Bench) -> None:
    """100 bytes, and 100 KB: written into the route, and in a file beside it."""
    routes = [
        projects.answering("/short", projects.SHORT),
        projects.answering("/large", projects.LARGE),
        projects.answering("/file", {"file": "large.txt"}),
    ]
    project = projects.write_routes(bench.project("bodies"), routes, {"large.txt": projects.LARGE})
    nginx = bench.nginx()
    others = [*nginx, *bench.peers([Stub("GET", "/large", projects.LARGE)])]
    with bench.svcmock(project) as ours:
        short, large = Load(("/short",), unique=True), Load(("/large",), unique=True)
        bench.everybody("a body of 100 B, a header that differs", ours, nginx, short, reply=projects.SHORT)
        bench.everybody(
            "a body of 100 KB, a header that differs",
            ours,
            others,
            large,
            reply=projects.LARGE,
            goals={NGINX: 0.8},
        )
        sides = [Side(ours, Load(("/file",), unique=True), projects.LARGE)]
        sides += [Side(other, large, projects.LARGE, goal=Goal(0.8)) for other in nginx]
        bench.compare("a body of 100 KB as a file of the project, a header that differs", sides)


def workers(bench: Bench) -> None:
    """One process and two, of svcmock and of nginx; connections enough to be dealt out evenly."""
    binary = servers.nginx_binary()
    project = projects.write(bench.project("workers"), 1)
    for count in (1, 2):
        sent = Load(FIRST, unique=True, connections=128, threads=count)
        with ExitStack() as stack:
            try:
                ours = stack.enter_context(bench.svcmock(project, "--workers", str(count)))
            except RuntimeError as error:
                bench.leave_out("several workers", error)
                return
            others = []
            if binary is not None:
                folder = bench.folder / f"nginx-workers-{count}"
                peer = servers.nginx(binary, folder, {"/": projects.BODY}, {}, count)
                others.append(stack.enter_context(peer))
            named = "1 worker" if count == 1 else f"{count} workers"
            bench.everybody(f"{named}, a GET with a header that differs", ours, others, sent)
