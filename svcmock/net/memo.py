"""Remembered pure functions of bytes: what a rested session was sent, and the wire bytes that answered it.

Bounded in entries and bytes. Requests that are never sent twice must neither grow it nor push out those
that are: an entry is made at the second sight of its bytes, and first sights are remembered as hashes only.
"""

from typing import Any

from msgspec import Struct

from svcmock.journal import Outcome
from svcmock.protocol import Request

MAX_ENTRIES = 4096
MAX_BYTES = 16 * 2**20
MAX_REQUEST = 4096
MAX_REPLY = 128 * 1024
MAX_SIGHTS = 16384


class Known(Struct, frozen=True):
    """`facts`: for the journal, each request that the bytes held, its outcome and its size."""

    wire: bytes
    facts: tuple[tuple[Request, Outcome, int], ...]


class Memo:
    """One listener's memory. Emptied, by being replaced, when routes change."""

    __slots__ = ("_bytes", "_known", "_sights")

    def __init__(self) -> None:
        self._known: dict[tuple[Any, bytes], Known] = {}
        self._sights: set[int] = set()
        self._bytes = 0

    def get(self, rest: object, data: bytes) -> Known | None:
        return self._known.get((rest, data))

    def wants(self, rest: object, data: bytes) -> bool:
        """Whether the outcome of these bytes, seen now, is worth remembering."""
        if len(data) > MAX_REQUEST:
            return False
        sight = hash((rest, data))
        if sight in self._sights:
            return True
        if len(self._sights) >= MAX_SIGHTS:
            self._sights.clear()
        self._sights.add(sight)
        return False

    def put(
        self, rest: object, data: bytes, wire: bytes, facts: tuple[tuple[Request, Outcome, int], ...]
    ) -> None:
        if len(wire) > MAX_REPLY:
            return
        self._known[rest, data] = Known(wire, facts)
        self._bytes += len(data) + len(wire)
        while len(self._known) > MAX_ENTRIES or self._bytes > MAX_BYTES:
            oldest = next(iter(self._known))
            self._bytes -= len(oldest[1]) + len(self._known.pop(oldest).wire)
