"""Records in shared memory: one process appends, others read while it does, and the oldest give way.

The state of a ring (how many records there were, where they end, which is the oldest kept and where it stands)
has two places in the ring's head, used in turn. A generation number, one aligned store of eight bytes, says
which of them counts; so a state is taken over whole or not at all, also from a writer that was killed at any
instruction. A record is written where nothing that counts stands, then the state that has it; old records are
first left out of the state, then written over. A reader copies, then looks at the state again: what the state
still has was not touched. Its successor goes on from the last state.

Readers trust that stores become visible in the order they were made in, as x86-64 keeps them.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

HEAD: Final = 128
"""Bytes before the first record: the generation, and the two states."""
DROPPED_AT_ONCE: Final = 16
"""Room is made for a part of the ring's size at a time, one in so many, so that most records cost one state."""
_STATES: Final = (32, 64)
_SKIP: Final = 2**64 - 1
"""In place of a length: the next record is at the start of the buffer."""

_state = struct.Struct("4Q")
_length = struct.Struct("Q")


class Ring:
    """A ring in `buffer`, writable memory whose size is a multiple of eight. All zeros is an empty one.

    Records are numbered from 0. Any number of objects may read a ring, one at a time may append.
    """

    def __init__(self, buffer: Any) -> None:
        self._bytes = memoryview(buffer).cast("B")
        self._words = self._bytes.cast("Q")
        self._size = len(self._bytes) - HEAD
        self.most = self._size // 2 - 8
        """Bytes that a record may have."""
        self._writing = False
        self._generation = self._next = self._end = self._first = self._start = 0
        self._room = 0
        """Bytes that can be written at the end without dropping a record or going round."""

    def append(self, record: bytes) -> int:
        """Add a record; gives its number. Raises ValueError if it is larger than `most`."""
        if not self._writing:
            self.resume()
        length = len(record)
        if length > self.most:
            raise ValueError(f"a record of {length} bytes is too large for a ring of {self._size}")
        taken = _taken(length)
        if taken > self._room:
            self._make_room(taken)
        at = HEAD + self._end % self._size
        self._words[at >> 3] = length
        self._bytes[at + 8 : at + 8 + length] = record
        number = self._next
        self._next = number + 1
        self._end += taken
        self._room -= taken
        self._publish()
        return number

    def _publish(self) -> None:
        generation = self._generation = self._generation + 1
        _state.pack_into(self._bytes, _STATES[generation & 1], self._next, self._end, self._first, self._start)
        self._words[0] = generation

    def _make_room(self, taken: int) -> None:
        size = self._size
        ahead = size - self._end % size
        skipped = ahead if ahead < taken else 0
        start = min(self._end + skipped + taken + size // DROPPED_AT_ONCE - size, self._end)
        if self._start < start:
            while self._start < start:
                at, length = self._record(self._start)
                self._start = at + _taken(length)
                self._first += 1
            self._publish()
        if skipped:
            self._words[HEAD + self._end % size >> 3] = _SKIP
            self._end += skipped
        self._room = min(size - self._end % size, self._start + size - self._end)

    def _record(self, position: int) -> tuple[int, int]:
        """Where the record to which `position` leads is, and its length."""
        size = self._size
        length = self._words[HEAD + position % size >> 3]
        if length == _SKIP:
            return position - position % size + size, self._words[HEAD >> 3]
        return position, length

    def _now(self) -> tuple[int, ...]:
        """The state: next number, end, first number that is kept, where it stands."""
        while True:
            generation = self._words[0]
            state = _state.unpack_from(self._bytes, _STATES[generation & 1])
            if self._words[0] == generation:
                return state

    @property
    def next(self) -> int:
        """The number of the record that comes next."""
        return self._next if self._writing else self._now()[0]

    @property
    def first(self) -> int:
        """The number of the oldest record that is kept; `next` if none is."""
        return self._now()[2]

    def resume(self) -> None:
        """Be the one who appends, where the one before has ended."""
        self._generation = self._words[0]
        self._next, self._end, self._first, self._start = self._now()
        self._room = 0
        self._writing = True

    def records(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """The records from number `after` on that are kept, with their numbers, oldest first."""
        size = self._size
        following, end, _, start = self._now()
        if following <= after:
            return
        at, length = HEAD + start % size, end - start
        copy = self._bytes[at : min(at + length, HEAD + size)].tobytes()
        copy += self._bytes[HEAD : HEAD + length - len(copy)].tobytes()
        # what was dropped meanwhile may have been written over while it was copied
        _, _, number, position = self._now()
        while number < following:
            (length,) = _length.unpack_from(copy, position - start)
            if length == _SKIP:
                position += size - position % size
                (length,) = _length.unpack_from(copy, position - start)
            if number >= after:
                at = position - start + 8
                yield number, copy[at : at + length]
            position += _taken(length)
            number += 1


def _taken(length: int) -> int:
    """Bytes that a record takes: its length, and itself up to a multiple of eight."""
    return length + 15 & ~7
