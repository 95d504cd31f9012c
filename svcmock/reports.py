"""What the control API tells, as plain data: status, journal entries, explanations."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from svcmock import __version__, journals
from svcmock.engine import Responder
from svcmock.journal import Entry, Pages
from svcmock.model import Graph, Problem, rfc3339
from svcmock.project import context_of
from svcmock.protocol import Context, Doc, Invalid, Plugin
from svcmock.recording import load_key, tokenizer
from svcmock.running import PRIVATE

MAX_DIGITS = 18
"""Digits of a number in a query."""


class Facts(Struct, frozen=True):
    """One service in one process."""

    routes: int
    connections: int
    refused: int


class Report(Struct, frozen=True):
    """One process that serves: its memory in MiB, None where that is not told, and its services by name."""

    pid: int
    resident: float | None
    services: Mapping[str, Facts]


class Life(Struct, frozen=True):
    """What a daemon has been through. `problems`: of the files as they were last read.

    `processes`: how many are to serve.
    """

    started: float
    reloads: int
    restarts: int
    problems: Sequence[Problem]
    processes: int = 1


def status(
    graph: Graph,
    addresses: Mapping[str, str],
    life: Life,
    workers: Sequence[Report],
    kept: Sequence[Pages],
) -> Doc:
    """The daemon, which is this process, and its services. `refused`: what was read before is served.

    `workers`: one for each process that serves; where that is the daemon itself, there is just it. `absent`:
    how many do not, because they ended and are not replaced yet, or do not answer.
    """
    hits, misses = journals.counts(kept)
    memory = {worker.pid: worker.resident for worker in workers} | {os.getpid(): resident_mib()}
    return {
        "version": __version__,
        "project": graph.root,
        "started": rfc3339(life.started),
        "reloads": life.reloads,
        "refused": any(problem.severity == "error" for problem in life.problems),
        "problems": [str(problem) for problem in life.problems],
        "resident_mib": _sum(memory.values()),
        "workers": [{"pid": worker.pid, "resident_mib": worker.resident} for worker in workers],
        "absent": life.processes - len(workers),
        "restarts": life.restarts,
        "journal": {
            "entries": sum(map(len, kept)),
            "dropped": sum(journal.dropped for journal in kept),
            "last": max(journal.next_id for journal in kept) - len(kept),
        },
        "services": {
            name: {
                "address": addresses[name],
                "protocol": service.protocol,
                "tls": service.tls is not None,
                "routes": max((facts.routes for facts in _facts_of(workers, name)), default=0),
                "connections": sum(facts.connections for facts in _facts_of(workers, name)),
                "refused": sum(facts.refused for facts in _facts_of(workers, name)),
                "hits": hits.get(name, 0),
                "misses": misses.get(name, 0),
            }
            for name, service in graph.services.items()
        },
    }


def _sum(memory: Iterable[float | None]) -> float | None:
    known = [each for each in memory if each is not None]
    return round(sum(known), 1) if known else None


def _facts_of(workers: Sequence[Report], service: str) -> list[Facts]:
    return [worker.services[service] for worker in workers if service in worker.services]


class Speaker(Struct, frozen=True):
    """A service's protocol and how it is configured: what is needed to say a request in a line."""

    plugin: Plugin
    context: Context


def speakers(graph: Graph, plugins: Mapping[str, Plugin]) -> dict[str, Speaker]:
    """Those of a project, by service."""
    token = tokenizer(load_key(Path(graph.root) / PRIVATE / "redaction.key"))
    found = {}
    for service in graph.services.values():
        plugin = plugins[service.protocol]
        found[service.name] = Speaker(plugin, context_of(service, plugin, token))
    return found


def entry(noted: Entry, speakers: Mapping[str, Speaker]) -> Doc:
    """One journal entry; credentials in it are tokens."""
    request = noted.request
    speaker = speakers.get(noted.outcome.service)
    if not isinstance(request, str) and speaker is not None:
        request = speaker.plugin.summary(speaker.plugin.redact(request, speaker.context))
    return {
        "id": noted.id,
        "at": rfc3339(noted.at),
        "service": noted.outcome.service,
        "request": request if isinstance(request, str) else "",
        "route": noted.outcome.route,
        "reply": noted.outcome.reply,
    }


def why(responder: Responder, noted: Entry) -> Doc:
    """The explanation of a miss, by the routes that are served now."""
    explanation = msgspec.to_builtins(responder.explain(noted.request, noted.id))
    return {**explanation, "at": rfc3339(noted.at), "answered_now": responder.answers(noted.request)}


def miss_id(text: Doc) -> int | None:
    """`m-8`, `8` or nothing, as a journal id. Raises Invalid."""
    return None if text is None or text == "" else number(str(text).removeprefix("m-"), 0, "a miss, like m-8")


def number(text: Doc, default: int, expected: str = "a number") -> int:
    """A count from a query. Raises Invalid."""
    if text is None:
        return default
    digits = str(text)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS):
        raise Invalid((), f"expected {expected}, got `{digits[:40]}`")
    return int(digits)


def resident_mib() -> float | None:
    """The memory of this process, where the system tells."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return round(int(line.split()[1]) / 1024, 1)
    except OSError:
        return None
    return None
