"""The large objects that a transaction has open, and how far each has been read or written.

A descriptor is a number that the server gives, and the next transaction gets the same ones. What is asked of it
is therefore not "read ten bytes of 0" but "read ten bytes of this object, opened so, at this position": that
means the same on every connection, in any order. A recorder and a mock follow the same calls with the same
results, so they say the same position.
"""

from typing import Final

from msgspec.structs import replace

from svcmock_protocols.postgres import codec
from svcmock_protocols.postgres.calls import Call, response, value_of
from svcmock_protocols.postgres.cells import Unfit
from svcmock_protocols.postgres.messages import Descriptor, Raw, Reply, Request, Said, Value, said

MAX_OPEN: Final = 1000
"""Large objects that a transaction has open at a time."""
_USING: Final = frozenset(
    {"lo_close", "loread", "lowrite", "lo_lseek", "lo_lseek64", "lo_tell", "lo_tell64"}
    | {"lo_truncate", "lo_truncate64"}
)
"""Functions whose first argument is a descriptor."""
_INT4, _OID, _INT8 = (1 << 31) - 1, (1 << 32) - 1, (1 << 63) - 1


class Descriptors:
    """Those of one connection."""

    def __init__(self) -> None:
        self._open: dict[int, Descriptor] = {}

    @property
    def full(self) -> bool:
        """Whether no more can be opened."""
        return len(self._open) >= MAX_OPEN

    def meant(self, asked: Request) -> Request:
        """The call by what its descriptor stands for, if it has one that was opened by such a call."""
        of = self._open.get(_number(asked, 0)) if asked.sql in _USING else None
        if of is None:
            return asked
        return replace(asked, params=asked.params[1:], types=asked.types[1:], descriptor=of)

    def given(self, asked: Request, value: Value) -> Value:
        """The result, where it is a descriptor: the recorded number if that is free, else the first that is."""
        number = _whole(value)
        if asked.sql != "lo_open" or number < 0 or number not in self._open:
            return value
        return str(next(free for free in range(len(self._open) + 1) if free not in self._open))

    def follow(self, asked: Request, value: Value) -> None:
        """This was called, and gave this."""
        if asked.sql == "lo_open":
            self._opened(asked, _whole(value))
            return
        number = _number(asked, 0)
        of = self._open.get(number) if asked.sql in _USING else None
        if of is None:
            return
        match asked.sql:
            case "lo_close":
                del self._open[number]
            case "loread":
                self._move(number, of.at + _size(value))
            case "lowrite":
                self._move(number, of.at + max(0, _whole(value)))
            case "lo_lseek" | "lo_lseek64":
                self._move(number, max(0, _whole(value)))

    def answer(self, call: Call, reply: Reply) -> tuple[bytes, Said | None]:
        """What a client is sent for a reply, and the failure that this is."""
        sent = b"".join([codec.saying(b"N", notice) for notice in reply.notices])
        failure = reply.failure
        if failure is None and call.request.sql == "lo_open" and self.full:
            failure = said("54000", f"more than {MAX_OPEN} large objects are open")
        if failure is None:
            value = self.given(call.request, value_of(reply))
            try:
                sent += response(call, value)
            except Unfit as unfit:
                failure = said("0A000", f"svcmock: {unfit}")
            else:
                self.follow(call.request, value)
        return (sent, None) if failure is None else (sent + codec.saying(b"E", failure), failure)

    def ended(self) -> None:
        """The transaction is over: all are closed."""
        self._open.clear()

    def _opened(self, asked: Request, number: int) -> None:
        """What no server would have opened is not known."""
        large, mode = _number(asked, 0), _number(asked, 1)
        known = 0 <= number <= _INT4 and 0 <= large <= _OID and 0 <= mode <= _INT4
        if known and (number in self._open or not self.full):
            self._open[number] = Descriptor(large, mode)

    def _move(self, number: int, at: int) -> None:
        self._open[number] = replace(self._open[number], at=min(at, _INT8))


def _number(asked: Request, place: int) -> int:
    return _whole(asked.params[place]) if place < len(asked.params) else -1


def _whole(value: Value) -> int:
    """A whole number, -1 for anything else."""
    plain = isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdigit()
    return int(value) if plain and isinstance(value, str) else -1


def _size(value: Value) -> int:
    """Bytes of a bytea in PostgreSQL's text."""
    if isinstance(value, Raw):
        return len(value.data)
    if value is None:
        return 0
    return (len(value) - 2) // 2 if value.startswith("\\x") else len(value)
