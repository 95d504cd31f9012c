"""A compiled route file that stays on disk: how it is laid out, found in, and known to be undamaged.

The heap holds some 45 bytes for a route, whatever its size; the rest is read when the route is asked for. It is
read with `pread`, not mapped: what shortens a file under a map kills the process that looks at it. The file is
kept open, so it may be replaced or removed meanwhile.

Layout: a header, one row for each route (a `Compiled` as MessagePack) in file order, then the contents. The
header holds a hash of the contents, which are checked when the file is opened. They hold a hash of each row,
which is checked whenever the row is read. So a damaged file answers nothing wrong, and opening it does not
read it.
"""

import contextlib
import os
import struct
import sys
import weakref
from array import array
from collections.abc import Iterator, Sequence
from hashlib import blake2b, sha256
from pathlib import Path
from typing import overload

import msgspec
from msgspec import Struct

from svcmock.compile import Compiled
from svcmock.matching.answers import Answer
from svcmock.matching.recall import Damaged, digest_of
from svcmock.model import Problem

MAGIC = b"svcmock" + sys.byteorder[:1].encode()
_HEADER = struct.Struct("=8sQQ32s")
"""Magic, where the contents begin, their size, their SHA-256."""
_ROW = (1 << 32) - 1
MAX_ROUTES = _ROW - 1
"""Routes of one file: their numbers have 32 bits."""


class Rows(Struct, frozen=True, array_like=True):
    """Some routes of a file, compiled and in order. `keys`: of each, empty for one that is not found by it.

    `routes`: how many are found by key, conversations counted once for all their parts.
    """

    routes: int
    data: bytes
    sizes: bytes
    checks: bytes
    keys: list[bytes]
    names: list[tuple[str, ...]]


class About(Struct, frozen=True, array_like=True):
    """What is to be known of a compiled file as a whole, as `CompiledFile` has it. `place`: its cache key."""

    place: str
    files: list[tuple[str, int]]
    tokens: bool
    warnings: list[Problem]


class _Contents(Struct, frozen=True, array_like=True):
    """What is kept in the heap. Tables are arrays in the machine's own format.

    `ends`: of each row. `order`: row numbers by key, then by number; `starts`: where in it each key begins.
    `slots`: an open hash table of keys, 32 bits of a key's digest and its place in `starts` plus one.
    `others`: rows that are not found by key.
    """

    about: About
    ends: memoryview
    checks: memoryview
    order: memoryview
    starts: memoryview
    slots: memoryview
    others: list[int]
    names: list[tuple[str, ...]]
    routes: int


def rows_of(entries: Sequence[Compiled]) -> Rows:
    """Routes as they are stored. Those with noise of their own or predicates are not found by their key."""
    data = [msgspec.msgpack.encode(entry) for entry in entries]
    keys = [b"" if entry.ignore else entry.key for entry in entries]
    return Rows(
        sum(entry.first and key != b"" for entry, key in zip(entries, keys, strict=True)),
        b"".join(data),
        array("I", map(len, data)).tobytes(),
        array("Q", map(_check, data)).tobytes(),
        keys,
        list({entry.names: None for entry in entries}),
    )


class Writer:
    """Writes a file from start to end. Until `finish` is done it is no stored file."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._at = os.lseek(file, _HEADER.size, os.SEEK_SET)
        self._ends = array("Q")
        self._checks = array("Q")
        self._keys: list[bytes] = []
        self._names: dict[tuple[str, ...], None] = {}
        self._routes = 0

    def add(self, rows: Rows) -> None:
        """More routes. Raises OSError when the disk is full."""
        _write(self._file, rows.data)
        for size in array("I", rows.sizes):
            self._at += size
            self._ends.append(self._at)
        self._checks.frombytes(rows.checks)
        self._keys += rows.keys
        self._names.update(dict.fromkeys(rows.names))
        self._routes += rows.routes

    def finish(self, about: About) -> None:
        """Write what makes the file complete, its header last."""
        keys = self._keys
        if len(keys) > MAX_ROUTES:
            raise OSError(f"more than {MAX_ROUTES} routes")
        plain = sorted((number for number, key in enumerate(keys) if key), key=keys.__getitem__)
        starts = array("I")
        before = b""
        for place, number in enumerate(plain):
            if keys[number] != before:
                starts.append(place)
                before = keys[number]
        contents = msgspec.msgpack.encode(
            _Contents(
                about,
                memoryview(self._ends),
                memoryview(self._checks),
                memoryview(array("I", plain)),
                memoryview(starts),
                memoryview(_slots(keys[plain[start]] for start in starts)),
                [number for number, key in enumerate(keys) if not key],
                list(self._names),
                self._routes,
            )
        )
        _write(self._file, contents)
        header = _HEADER.pack(MAGIC, self._at, len(contents), sha256(contents).digest())
        os.pwrite(self._file, header, 0)


def _slots(keys: Iterator[bytes]) -> "array[int]":
    """A hash table of these, at most half full: so most look-ups for what is not there meet an empty slot."""
    digests = [digest_of(key) for key in keys]
    size = 8
    while size < 2 * len(digests):
        size *= 2
    slots = array("Q", bytes(8 * size))
    for number, digest in enumerate(digests, 1):
        at = digest & (size - 1)
        while slots[at]:
            at = (at + 1) & (size - 1)
        slots[at] = digest & ~_ROW | number
    return slots


def _check(row: bytes) -> int:
    return int.from_bytes(blake2b(row, digest_size=8).digest())


def _write(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


class Stored:
    """An open stored file; read only, so services and threads may share one.

    `path` is where it lies, if it has a name: it is removed from there when damage is found, so that the next
    load compiles anew.
    """

    def __init__(self, file: int, contents: _Contents, path: Path | None) -> None:
        weakref.finalize(self, os.close, file)
        self._file = file
        self._path = path
        self.about = contents.about
        self.names = contents.names
        self._ends = contents.ends.cast("Q")
        self._checks = contents.checks.cast("Q")
        self._order = contents.order.cast("I")
        self._starts = contents.starts.cast("I")
        self._slots = contents.slots.cast("Q")
        self._others = contents.others
        self._size = os.fstat(file).st_size
        self.rows = len(self._ends)
        self.routes = contents.routes
        self.keys = len(self._starts)
        self.damaged = False

    @property
    def sound(self) -> bool:
        """Whether nobody has found damage: not here, and no other process, which takes the name away."""
        seen = os.fstat(self._file)
        named = self._path is None or seen.st_nlink > 0
        return named and not self.damaged and seen.st_size == self._size

    def find(self, key: bytes, digest: int) -> list[tuple[int, Compiled]]:
        """The routes with this key, and their numbers, in file order. Raises Damaged."""
        slots = self._slots
        mask = len(slots) - 1
        at, mark = digest & mask, digest >> 32
        while slot := slots[at]:
            if slot >> 32 == mark:
                place = (slot & _ROW) - 1
                first, *more = self._numbers(place)
                row = self.row(first)
                if row.key == key:
                    return [(first, row), *((number, self.row(number)) for number in more)]
            at = (at + 1) & mask
        return []

    def key(self, place: int) -> bytes:
        """The key at a place in their order. Raises Damaged."""
        return self.row(self._order[self._starts[place]]).key

    def several(self) -> Iterator[bytes]:
        """The keys that several routes have. Raises Damaged."""
        for place in range(self.keys):
            if len(self._numbers(place)) > 1:
                yield self.key(place)

    def others(self) -> Iterator[tuple[int, Compiled]]:
        """The routes that are not found by key, and their numbers. Raises Damaged."""
        return ((number, self.row(number)) for number in self._others)

    def row(self, number: int) -> Compiled:
        """A route by its place in the file. Raises Damaged."""
        start = self._ends[number - 1] if number else _HEADER.size
        try:
            data = os.pread(self._file, self._ends[number] - start, start)
        except OSError:  # a disk that fails, a server that is gone
            data = b""
        if _check(data) != self._checks[number]:
            self.damaged = True
            if self._path is not None:
                with contextlib.suppress(OSError):
                    self._path.unlink(missing_ok=True)
            raise Damaged("the compiled routes on disk were damaged; `svcmock reload` compiles them anew")
        return msgspec.msgpack.decode(data, type=Compiled)

    def _numbers(self, place: int) -> memoryview:
        end = self._starts[place + 1] if place + 1 < self.keys else len(self._order)
        return self._order[self._starts[place] : end]


def open_stored(file: int, place: str, path: Path | None) -> Stored | None:
    """The stored file of this place, or None when it is another's or damaged; `file` is closed then."""
    try:
        contents = _contents(file)
    except (OSError, ValueError, msgspec.MsgspecError):
        contents = None
    if contents is None or contents.about.place != place:
        os.close(file)
        return None
    return Stored(file, contents, path)


def _contents(file: int) -> _Contents | None:
    head = os.pread(file, _HEADER.size, 0)
    if len(head) < _HEADER.size:
        return None
    magic, start, size, seal = _HEADER.unpack(head)
    # a size that is damaged must not be allocated
    if magic != MAGIC or start + size != os.fstat(file).st_size:
        return None
    data = bytearray(size)
    if os.preadv(file, [data], start) != size or sha256(data).digest() != seal:
        return None
    return msgspec.msgpack.decode(data, type=_Contents)


class _Keys(Sequence[bytes]):
    """The distinct keys of a stored file in order, read one by one."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    def __len__(self) -> int:
        return self._stored.keys

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> list[bytes]: ...
    def __getitem__(self, at: int | slice) -> bytes | list[bytes]:
        if isinstance(at, slice):
            return [self._stored.key(place) for place in range(*at.indices(len(self)))]
        return self._stored.key(at)


class StoredRoutes:
    """A stored file among the routes of a service: `file` is its name there, `first` its first order."""

    def __init__(self, stored: Stored, file: str, first: int) -> None:
        self._stored = stored
        self._file = file
        self._first = first
        self.keys: Sequence[bytes] = _Keys(stored)

    def find(self, key: bytes, digest: int) -> list[Answer]:
        """The exact routes with this key, in file order. Raises Damaged."""
        return [self.answer(number, row) for number, row in self._stored.find(key, digest)]

    def several(self) -> Iterator[bytes]:
        """The keys that several of these routes have. Raises Damaged."""
        return self._stored.several()

    def answer(self, number: int, row: Compiled) -> Answer:
        """A route of the file as the index has it."""
        return row.answer(self._file, self._first + number)
