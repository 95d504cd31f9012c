"""How often each group of answers was asked: what decides whose turn it is.

A count only grows, and one request gets each number: `take` gives the count and adds one to it. Policies read
everything from it, so there is one operation that must be exact among all who serve, and it is this one.

`LocalTurns` is for one process. `SharedTurns` is one table for several processes, in anonymous memory that
they have all mapped; any of them may be killed at any instruction. Three things make that safe. The lock is a
POSIX record lock: the kernel releases it with its process, and unlike flock's it does not live on in a child
that inherited the file. Every change is one aligned store of eight bytes: what comes before it is not looked
at until it is there. And nothing moves: a full table gets another one of twice its size behind it.
"""

import fcntl
import mmap
import os
import struct
from collections.abc import Container, Iterator
from hashlib import blake2b
from typing import Final, Protocol

LEVELS: Final = 12
"""Tables that there may be, the first one of FIRST slots, each other one twice as large as the one before."""
FIRST: Final = 1024
SLOT: Final = 3
"""Words of a slot: an identity's two, and its count. A count of 0: free, and no search goes past it."""
HEAD: Final = 8
"""Words before the first slot. The first holds the last table's number and how many of its slots are used."""
SIZE: Final = 8 * (HEAD + SLOT * FIRST * (2**LEVELS - 1))
"""Bytes of address space; only pages that were written to are memory."""
GONE: Final = 2**64 - 1
"""The count of a slot that was given up: free for a new identity, but searches go on behind it."""
SWEPT_AT_ONCE: Final = 512
"""Slots that are looked at while others wait for the lock."""

_identity = struct.Struct("QQ").unpack


class Turns(Protocol):
    """Counts by `Group.identity`, 16 bytes that are a digest."""

    def take(self, identity: bytes) -> int:
        """How many turns were taken before; this one is the caller's alone."""

    def peek(self, identity: bytes) -> int:
        """How many turns were taken."""

    def keep(self, live: Container[bytes]) -> Iterator[None]:
        """Forget all others, piece by piece: let something else run after each.

        Where several processes share the table, those that still serve other groups start these anew.
        """


def draw(seed: int, identity: bytes, turn: int, stop: int) -> int:
    """A number below `stop` that looks random, and is the same for the same arguments everywhere."""
    digest = blake2b(b"%d %d " % (seed, turn) + identity, digest_size=8).digest()
    return int.from_bytes(digest, "little") % stop


class LocalTurns:
    """Turns of one process."""

    def __init__(self) -> None:
        self.taken: dict[bytes, int] = {}

    def take(self, identity: bytes) -> int:
        turn = self.taken.get(identity, 0)
        self.taken[identity] = turn + 1
        return turn

    def peek(self, identity: bytes) -> int:
        return self.taken.get(identity, 0)

    def keep(self, live: Container[bytes]) -> Iterator[None]:
        self.taken = {identity: turn for identity, turn in self.taken.items() if identity in live}
        return iter(())


class SharedTurns:
    """Turns of all processes that have the same file, made by memfd_create: an empty one is an empty table.

    Not for several threads of a process: the lock is the process's. A table that is full, at two million
    groups that were asked, starts anew.
    """

    def __init__(self, file: int) -> None:
        os.ftruncate(file, SIZE)
        self._file = file
        self._map = mmap.mmap(file, SIZE)
        self._words = memoryview(self._map).cast("Q")

    def take(self, identity: bytes) -> int:
        first, second = _identity(identity)
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            place, turn = self._find(first, second)
            if turn:
                self._words[place + 2] = turn + 1
            else:
                self._enter(place or self._room(first), first, second)
            return turn
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def peek(self, identity: bytes) -> int:
        """Without the lock: a count is read before its identity, which is written before the count."""
        return self._find(*_identity(identity))[1]

    def keep(self, live: Container[bytes]) -> Iterator[None]:
        words = self._words
        end = _start((words[0] >> 32) + 1)
        for piece in range(HEAD, end, SLOT * SWEPT_AT_ONCE):
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                for place in range(piece, min(piece + SLOT * SWEPT_AT_ONCE, end), SLOT):
                    if 0 < words[place + 2] < GONE and words[place : place + 2].tobytes() not in live:
                        words[place + 2] = GONE
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
            yield

    def _find(self, first: int, second: int) -> tuple[int, int]:
        """Its place and count. If it is not there: that of a slot on its way that was given up or 0, and 0."""
        words = self._words
        given_up = 0
        for level in range(words[0] >> 32, -1, -1):
            start, mask = _start(level), (FIRST << level) - 1
            at = first & mask
            while True:
                place = start + SLOT * at
                turn = words[place + 2]
                if not turn:
                    break
                if turn == GONE:
                    given_up = place
                elif words[place] == first and words[place + 1] == second:
                    # again: without the lock, the slot may have had another's count when that was read
                    turn = words[place + 2]
                    return place, 0 if turn == GONE else turn
                at = (at + 1) & mask
        return given_up, 0

    def _room(self, first: int) -> int:
        """A free slot for an identity that begins so. Counts it first: a count too high does no harm."""
        words = self._words
        level, used = words[0] >> 32, words[0] & 0xFFFFFFFF
        if used >= FIRST << level >> 1:
            level, used = level + 1, 0
            if level == LEVELS:
                self._map.madvise(mmap.MADV_REMOVE)
                level = 0
        words[0] = level << 32 | used + 1
        start, mask = _start(level), (FIRST << level) - 1
        at = first & mask
        while words[start + SLOT * at + 2]:
            at = (at + 1) & mask
        return start + SLOT * at

    def _enter(self, place: int, first: int, second: int) -> None:
        """Until its count is there, the last store, the slot is free."""
        words = self._words
        words[place] = first
        words[place + 1] = second
        words[place + 2] = 1


def _start(level: int) -> int:
    """The first word of a table."""
    return HEAD + SLOT * FIRST * ((1 << level) - 1)
