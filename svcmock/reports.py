"""What the control API tells, as plain data: status, journal entries, explanations."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from svcmock import __version__
from svcmock.engine import Responder
from svcmock.journal import Entry, Journal
from svcmock.model import Problem, rfc3339
from svcmock.net.served import Served
from svcmock.protocol import Doc, Invalid

MAX_DIGITS = 18
"""Digits of a number in a query."""


def status(
    *,
    root: Path,
    started: float,
    reloads: int,
    problems: Sequence[Problem],
    services: Sequence[Served],
    journal: Journal,
) -> Doc:
    """The daemon and its services.

    `problems` are of the files as they were last read; `refused`: for them, what was read before is served.
    """
    return {
        "version": __version__,
        "project": str(root),
        "started": rfc3339(started),
        "reloads": reloads,
        "refused": any(problem.severity == "error" for problem in problems),
        "problems": [str(problem) for problem in problems],
        "resident_mib": _resident_mib(),
        "journal": {"entries": len(journal), "dropped": journal.dropped, "last": journal.next_id - 1},
        "services": {served.service.name: _service(served, journal) for served in services},
    }


def _service(served: Served, journal: Journal) -> Doc:
    service = served.service
    return {
        "address": served.listener.address,
        "protocol": service.protocol,
        "tls": service.tls is not None,
        "routes": served.serving.responder.index.size,
        "connections": len(served.serving.connections),
        "refused": served.serving.refused,
        "hits": journal.hits.get(service.name, 0),
        "misses": journal.misses.get(service.name, 0),
    }


def entry(noted: Entry, services: Mapping[str, Served]) -> Doc:
    """One journal entry; credentials in it are tokens."""
    request = noted.request
    served = services.get(noted.outcome.service)
    if not isinstance(request, str) and served is not None:
        responder = served.serving.responder
        request = responder.plugin.summary(responder.plugin.redact(request, responder.context))
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


def _resident_mib() -> float | None:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return round(int(line.split()[1]) / 1024, 1)
    except OSError:
        return None
    return None
