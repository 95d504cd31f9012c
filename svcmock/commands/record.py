"""`svcmock record`: relays to real services and writes down what is said."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

import uvloop

from svcmock import graphfile, log
from svcmock.commands import CANNOT_START, OK, PROBLEMS, USAGE
from svcmock.commands.output import complain, table
from svcmock.commands.serve import known_protocols
from svcmock.config import load_graph
from svcmock.recorder import Recorded, RecordError
from svcmock.recorder import record as run


def record(root: Path, specs: list[str], only: frozenset[str], style: str, level: str) -> int:
    """Record until Ctrl-C or SIGTERM; then tell what was recorded."""
    log.configure(cast("Literal['auto', 'text', 'json']", style), cast("log.Level", level))
    plugins = known_protocols()
    if specs:
        try:
            parsed = [graphfile.parse(spec, plugins) for spec in specs]
            graphfile.add(root, parsed)
        except graphfile.SpecError as error:
            complain(str(error))
            return USAGE
        only = only or frozenset(spec.name for spec in parsed)
    graph, problems = load_graph(root, plugins)
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    if graph is None:
        complain(*errors)
        return PROBLEMS
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            told = runner.run(run(graph, plugins, only, _started))
    except RecordError as error:
        complain(*error.reasons)
        return CANNOT_START
    _summary(root, told)
    return OK


def _started(relayed: Mapping[str, tuple[str, str]]) -> None:
    for name, (address, url) in relayed.items():
        print(f"recording {name}: {address} -> {url}", flush=True)
    print("Ctrl-C stops.", flush=True)


def _summary(root: Path, told: Mapping[str, Recorded]) -> None:
    rows = [
        (
            name,
            one.counters.accepted,
            one.counters.recorded,
            one.counters.skipped,
            one.counters.failed,
            one.opaque,
            one.file or "-",
        )
        for name, one in told.items()
    ]
    print()
    table(("service", "accepted", "recorded", "skipped", "failed", "passed on unread", "file"), rows)
    if any(one.file for one in told.values()):
        print(f"\nServe it: svcmock up {root} -d")
