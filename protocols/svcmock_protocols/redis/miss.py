"""The error for what nothing answers, Redis's own errors by name, and requests in a line of a log.

An error of Redis is one line; its first word is the code that client libraries look at. ERR is the one that
says nothing in particular, so that no client goes looking for another server.
"""

import re
from collections.abc import Mapping
from typing import Final

from svcmock.payload import quoted
from svcmock.protocol import Difference, Explanation, Near
from svcmock_protocols.redis.canonical import text
from svcmock_protocols.redis.catalogue import name_of
from svcmock_protocols.redis.credentials import tells
from svcmock_protocols.redis.documents import finished
from svcmock_protocols.redis.messages import Args, Array, Error, Map, Nil, Reply, Request, Simple

SUMMARY_MAX: Final = 200
"""Characters of a request in a line."""
SHOWN_MAX: Final = 60
"""Characters of one argument there, and of a value that differs."""
COMMANDS_SHOWN: Final = 5
"""Commands of a transaction there."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LINE_BREAK = re.compile(rb"[\r\n]+")


def _fault(line: bytes) -> Reply:
    return finished(Reply(Error(line)))


FAULTS: Final[Mapping[str, Reply]] = {
    "busy": _fault(b"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."),
    "clusterdown": _fault(b"CLUSTERDOWN The cluster is down"),
    "loading": _fault(b"LOADING Redis is loading the dataset in memory"),
    "masterdown": _fault(b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
    "misconf": _fault(
        b"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. "
        b"Commands that may modify the data set are disabled."
    ),
    "noauth": _fault(b"NOAUTH Authentication required."),
    "noperm": _fault(b"NOPERM User default has no permissions to run this command"),
    "noscript": _fault(b"NOSCRIPT No matching script. Please use EVAL."),
    "oom": _fault(b"OOM command not allowed when used memory > 'maxmemory'."),
    "readonly": _fault(b"READONLY You can't write against a read only replica."),
    "tryagain": _fault(b"TRYAGAIN Multiple keys request during rehashing of slot"),
    "too_many_clients": _fault(b"ERR max number of clients reached"),
    "wrongtype": _fault(b"WRONGTYPE Operation against a key holding the wrong kind of value"),
}
"""Errors that every server of Redis may give."""


def miss(request: Request, explanation: Explanation) -> Reply:
    """The error that says what is not recorded, what is nearest, and where to read more."""
    near = f"nearest: {_near(explanation.nearest[0])}; " if explanation.nearest else ""
    what = "push" if request.kind in {"channel", "pattern", "shard"} else "reply"
    line = f"ERR svcmock: no recorded {what} for {summary(request)} ({near}see {explanation.see})"
    return Reply(Error(_LINE_BREAK.sub(b" ", line.encode("utf-8", "backslashreplace"))))


def _near(near: Near) -> str:
    failed = "; ".join(map(_difference, near.failed[:2]))
    return f"{near.route}, {failed}" if failed else near.route


def _difference(difference: Difference) -> str:
    want, got = difference.want, difference.got
    # only where they differ tells the two apart: the request stands in the line already
    told = "nothing" if want is None else _clean(quoted(str(want), str(got or ""), SHOWN_MAX))
    word = "has" if difference.op == "equals" else f"wants {difference.op}"
    return f"which {word} {told} at {difference.at}"


def _clean(line: str) -> str:
    return _CONTROL.sub(" ", line)


def _short(line: str) -> str:
    clean = _clean(line)
    return clean if len(clean) <= SHOWN_MAX else clean[:SHOWN_MAX] + "..."


def summary(request: Request) -> str:
    """The request in one line: `GET user:42`. Of commands that hold credentials only the name."""
    match request.kind:
        case "transaction":
            shown = ", ".join(map(_line, request.commands[:COMMANDS_SHOWN]))
            more = len(request.commands) - COMMANDS_SHOWN
            line = f"MULTI {shown}{f' and {more} more' if more > 0 else ''} EXEC"
        case "command":
            line = _line(request.args)
        case "queued":
            line = f"{_line(request.args)} in MULTI"
        case kind:
            line = f"message {request.number} of {kind} {_short(text(request.args[0]))}"
    return line[:SUMMARY_MAX] + (f" (database {request.db})" if request.db else "")


def _line(args: Args) -> str:
    if tells(args):
        return _short(text(name_of(args)))
    return " ".join(_short(text(arg[: 4 * SHOWN_MAX])) or '""' for arg in args[:8]) + (
        " ..." if len(args) > 8 else ""
    )


def outcome(reply: Reply) -> str:
    """The reply in a word: the code of an error, the text of a status, else how much there is."""
    value = reply.value
    match value:
        case Simple(line):
            return _short(text(line[:SHOWN_MAX]))
        case Error(line):
            return _short(text(line[:SHOWN_MAX]).partition(" ")[0])
        case Nil():
            return "nil"
        case bytes():
            return _counted(len(value), "byte")
        case Array(items):
            return _counted(len(items), "item")
        case Map(pairs):
            return _counted(len(pairs), "pair")
        case int():
            return str(value)
    return type(value).__name__.lower()


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
