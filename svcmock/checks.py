"""What `svcmock check` finds beyond single documents.

Routes that never answer, routes that share a request without saying so, body files that are not what their
name says. All of these are warnings: the project serves.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from svcmock.compile import route_of
from svcmock.engine import Responder
from svcmock.matching.answers import STANDING, Answer
from svcmock.matching.predicates import evaluate
from svcmock.model import Problem, RouteDoc
from svcmock.protocol import SvcmockError

MAX_WARNINGS = 200
READ_PIECE = 1 << 20


def cross_check(root: Path, responder: Responder) -> list[Problem]:
    """Warnings about one service's routes as a whole, at most MAX_WARNINGS."""
    found: list[Problem] = []
    for problem in (*_shared(responder), *_hidden(responder), *_bodies(root, responder)):
        found.append(problem)
        if len(found) == MAX_WARNINGS:
            break
    return found


def _warning(answer: Answer, message: str) -> Problem:
    return Problem(answer.file, answer.line, 1, message, "warning")


def _doc(answer: Answer) -> RouteDoc:
    return route_of(answer.doc)


def _shared(responder: Responder) -> Iterator[Problem]:
    """Hand-written routes that take turns without saying so: most often a slip."""
    for group in responder.index.groups():
        first = group.answers[0]
        if first.part not in STANDING:
            continue  # as when statements with other parameters are described: their routes differ
        for answer in group.answers[1:]:
            doc = _doc(answer)
            if doc.recorded is None and doc.policy is None and _doc(first).policy is None:
                why = f"demands the same as {first.file}:{first.line}; they take turns (policy: {group.policy})"
                yield _warning(answer, why)


def _hidden(responder: Responder) -> Iterator[Problem]:
    """Routes with predicates whose own `request` another route answers."""
    for _, _, found in responder.index.predicates.all:
        for answer in (found,) if isinstance(found, Answer) else found.answers:
            doc = _doc(answer)
            if doc.request is None:
                continue
            try:
                _, request = responder.read(answer)
            except SvcmockError:
                continue
            fields = responder.plugin.fields(request, responder.context)
            if answer.matcher is not None and evaluate(answer.matcher, fields) is None:
                yield _warning(answer, "its `match` does not hold for its own `request`")
                continue
            taken = responder.index.find(request)
            if taken is not None and taken is not found:
                other = taken if isinstance(taken, Answer) else taken.answers[0]
                yield _warning(answer, f"its own `request` is answered by {other.file}:{other.line}")


def _bodies(root: Path, responder: Responder) -> Iterator[Problem]:
    """`bodies/<sha256>` files whose bytes have another hash. Read piece by piece, each once."""
    for pattern in responder.service.routes:
        folder = root / pattern
        for path in sorted(folder.glob("bodies/*")) if folder.is_dir() else ():
            if len(path.name) != 64:
                continue
            where = str(path.relative_to(root))
            try:
                if _sha256(path) != path.name:
                    yield Problem(where, 1, 1, "its bytes do not have the hash that its name says", "warning")
            except OSError as error:
                yield Problem(where, 1, 1, f"cannot be read: {error.strerror}", "warning")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(READ_PIECE):
            digest.update(piece)
    return digest.hexdigest()
