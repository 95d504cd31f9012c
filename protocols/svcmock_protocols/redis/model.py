"""The opt-in model: what clients write changes what they read, as fakeredis has it.

The one module of this protocol that runs foreign code, which reads the clock: keys expire in real time. It is
made only for services with `model: true`. A store belongs to a service, a connection to a client, so that WATCH
and MULTI work as they do between clients of a server.

fakeredis gives Python values. What type a server would have sent is told from the command: bytes are a status
where the command answers with one.
"""

import contextlib
from collections.abc import Iterable
from typing import Any, Final

import redis
from fakeredis import FakeRedisConnection, FakeServer
from redis.connection import DefaultParser

from svcmock_protocols.redis.blocking import STREAMS
from svcmock_protocols.redis.catalogue import name_of
from svcmock_protocols.redis.messages import (
    NULL,
    Args,
    Array,
    Double,
    Error,
    Map,
    Simple,
    Value,
)
from svcmock_protocols.redis.shapes import fit

VERSION: Final = (7, 4)
"""Of Redis, whose semantics the model has."""

_STATUS: Final = frozenset(
    b"""FLUSHALL FLUSHDB HMSET LSET LTRIM MSET PFMERGE PSETEX RENAME RESTORE SELECT SET SETEX SWAPDB TYPE WATCH
    UNWATCH MULTI DISCARD""".split()
) | {b"XGROUP CREATE", b"XGROUP SETID", b"CONFIG SET"}
"""Commands that answer with a status. SET does unless it is told to GET."""
_ALIASES: Final = {b"TOUCH": b"EXISTS", b"SORT_RO": b"SORT"}
"""What fakeredis does not know, by the name of what does the same."""
_CODES: Final = {
    kind: code
    for code, kind in DefaultParser.EXCEPTION_CLASSES.items()
    if isinstance(kind, type) and code != "ERR"
}
_SPOKEN: Final = frozenset(
    [
        "BUSYGROUP",
        "BUSYKEY",
        "CROSSSLOT",
        "INVALIDOBJ",
        "MISCONF",
        "NOGROUP",
        "NOPROTO",
        "NOTBUSY",
        "UNKILLABLE",
        "WRONGPASS",
        "WRONGTYPE",
    ]
)
"""Codes that redis-py leaves in an error's text."""


class Store:
    """What a service's model holds. `known`: database and key of all that it answers for."""

    def __init__(self) -> None:
        self._server = FakeServer(version=VERSION)
        self.known: set[tuple[int, bytes]] = set()
        self.looked: set[tuple[int, bytes]] = set()
        """Database and key of all of which it was asked what was recorded."""
        self.emptied: set[int] = set()
        """Databases that were flushed: nothing that was recorded is in them any more."""

    def connect(self) -> "Connection":
        return Connection(self._server)


class Connection:
    """One client of the model. Calls return at once: a command that would block says that nothing came."""

    def __init__(self, server: FakeServer) -> None:
        self._connection: Any = FakeRedisConnection(server=server, protocol=3)
        self._connection.connect()
        self._db = 0

    def select(self, db: int) -> None:
        if db != self._db:
            self._ask((b"SELECT", b"%d" % db))
            self._db = db

    def run(self, args: Args) -> Value:
        """The answer to one command."""
        return _typed(self._ask(_said(args)), args)

    def run_unblocked(self, args: Args) -> Value:
        """The answer to a command that may block, if there were no time: inside a transaction nothing does."""
        answers = self.transaction((args,))
        return answers.items[0] if isinstance(answers, Array) and answers.items else answers

    def transaction(self, commands: Iterable[Args]) -> Value:
        """The answer to EXEC."""
        commands = tuple(commands)
        self._ask((b"MULTI",))
        for args in commands:
            self._ask(_said(args))
        answers = self._ask((b"EXEC",))
        if isinstance(answers, list):
            return Array(tuple(_typed(one, args) for one, args in zip(answers, commands, strict=False)))
        return _typed(answers, (b"EXEC",))

    def close(self) -> None:
        """The client is gone, and what it watched with it."""
        with contextlib.suppress(redis.RedisError, OSError):
            self._connection.disconnect()

    def _ask(self, args: Args) -> object:
        try:
            self._connection.send_command(*args)
            if not self._connection.can_read(0):
                return redis.ResponseError("svcmock: the model has no answer to this")
            return self._connection.read_response(disable_decoding=True, disconnect_on_error=False)
        except redis.ResponseError as error:
            return error
        except Exception as error:  # noqa: BLE001  whatever goes wrong in there is an error of this command alone
            return redis.ResponseError(f"svcmock: the model failed: {type(error).__name__}")


def _said(args: Args) -> Args:
    """A command by a name that fakeredis knows."""
    return (_ALIASES.get(args[0], args[0]), *args[1:])


def _typed(answer: object, args: Args) -> Value:
    """What a server would have sent for a Python value."""
    if args[0] == b"GEODIST" and isinstance(answer, float):
        return b"%.4f" % answer
    if args[0] == b"XPENDING" and len(args) == 3 and isinstance(answer, list) and len(answer) == 4:
        answer = [*answer[:3], _each_text(answer[3])]
    if isinstance(answer, bytes):
        return Simple(answer) if _is_status(args) else answer
    if args[0] in STREAMS and not answer:
        return NULL  # fakeredis gives an empty map where a server gives nothing
    return fit(_value(answer), args, 3)


def _each_text(consumers: object) -> object:
    """Consumers of a group with how much they have, which a server says as text."""
    if not isinstance(consumers, list):
        return consumers
    return [[name, str(count)] for name, count in consumers]


def _is_status(args: Args) -> bool:
    if args[0] == b"SET":
        return not any(arg.upper() == b"GET" for arg in args[3:])
    return args[0] in _STATUS or name_of(args) in _STATUS


def _value(answer: object) -> Value:
    match answer:
        case None:
            return NULL
        case bool() | int() | bytes():
            return answer
        case float():
            return Double(_number(answer))
        case str():
            return answer.encode()
        case dict():
            return Map(tuple((_value(name), _value(item)) for name, item in answer.items()))
        case set() | frozenset():
            return Array(tuple(map(_value, answer)), "set")
        case list() | tuple():
            return Array(tuple(map(_value, answer)))
        case Exception():
            return Error(_error(answer).encode("utf-8", "backslashreplace"))
    return Error(b"ERR svcmock: the model gave what is no reply")


def _number(value: float) -> bytes:
    """A double as a server writes it: the shortest text, whole numbers without a point."""
    if value.is_integer() and abs(value) < 1e17:
        return b"%d" % int(value)
    return repr(value).encode()


def _error(error: Exception) -> str:
    """The line that redis-py made this exception of."""
    text = " ".join(str(error).split())
    code = _CODES.get(type(error))
    if code is not None:
        return f"{code} {text}"
    return text if text.partition(" ")[0] in _SPOKEN else f"ERR {text}"
