"""The answer to a statement that nothing matches, and PostgreSQL's own errors by name.

A miss is an ERROR like any other, 58000 (system_error): the transaction fails, the connection stays. A driver
must not take it for something that it can mend by trying again or by connecting anew.
"""

from collections.abc import Mapping
from typing import Final

from svcmock.payload import quoted
from svcmock.protocol import Difference, Explanation, Near
from svcmock_protocols.postgres.messages import Reply, failed

CODE: Final = "58000"
QUOTED: Final = 300
"""Characters of a value that a failure repeats."""

_TOLD: Final = ("columns", "describe", "follows", "listen")

FAULTS: Final[Mapping[str, Reply]] = {
    "unique_violation": failed("23505", "duplicate key value violates unique constraint"),
    "foreign_key_violation": failed("23503", "violates foreign key constraint"),
    "serialization_failure": failed("40001", "could not serialize access due to concurrent update"),
    "deadlock": failed("40P01", "deadlock detected"),
    "lock_not_available": failed("55P03", "could not obtain lock"),
    "canceled": failed("57014", "canceling statement due to statement timeout"),
    "too_many_connections": failed("53300", "sorry, too many clients already"),
    "disk_full": failed("53100", "could not extend file: No space left on device"),
    "out_of_memory": failed("53200", "out of memory"),
    "read_only": failed("25006", "cannot execute statement in a read-only transaction"),
    "permission_denied": failed("42501", "permission denied"),
    "undefined_table": failed("42P01", "relation does not exist"),
    "internal_error": failed("XX000", "internal error"),
}
"""By the names of their conditions (the manual, appendix "PostgreSQL Error Codes")."""


def miss(explanation: Explanation) -> Reply:
    """The failure that says what was asked and what came nearest."""
    # that a route tells its columns, too, is nothing that a person could mend
    nearest = [near for near in explanation.nearest if not any(one.at in _TOLD for one in near.failed)]
    detail = [f"Asked: {explanation.request}", *map(_near, nearest)]
    hints = [*explanation.hints, *([f"{explanation.see} tells more."] if explanation.see else [])]
    more = {"D": "\n".join(detail)}
    if hints:
        more["H"] = "\n".join(hints)
    message = f"svcmock: no route of service {explanation.service} answers this statement ({explanation.miss})"
    return failed(CODE, message, **more)


def _near(near: Near) -> str:
    return f"Nearest: {near.route}: {'; '.join(map(_failed, near.failed))}"


def _failed(one: Difference) -> str:
    want, got = repr(one.want), repr(one.got)
    return f"{one.at}: {one.op} {quoted(want, got, QUOTED)}, got {quoted(got, want, QUOTED)}"
