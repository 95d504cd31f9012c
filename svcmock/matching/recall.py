"""Routes that are not in memory: which keys they have, and how few of them are kept once they were asked for.

What the routes themselves are read from is nothing to the index: it knows the three questions of `Routes`. What
was read stays for the next request, with the reply that was made of it, as far as KEPT_BYTES go.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from heapq import merge
from itertools import groupby, islice
from typing import Generic, Protocol, TypeVar

from svcmock.protocol import SvcmockError

KEPT_BYTES = 32 << 20
"""What routes that were read may take in memory, about, for each service."""
ROUTE_BYTES = 2048
"""What a route takes in memory beside its document, about: the objects that it and its reply are made of."""
COUNTED_ONCE = 200
"""Keys of one address that are read to count them."""
DOC_COPIES = 2
"""How often a route's body is in memory: in its document, and in its reply."""


class Damaged(SvcmockError):
    """What should hold routes does not hold them any more."""


class Weighed(Protocol):
    """A route: its size matters here, and nothing else."""

    doc: bytes


Route = TypeVar("Route", bound=Weighed)
Slot = TypeVar("Slot")


class Routes(Protocol[Route]):
    """Exact routes of one file. Everything raises Damaged."""

    keys: Sequence[bytes]
    """Each key once, sorted."""

    def find(self, key: bytes, digest: int) -> list[Route]:
        """The routes with this key, whose `digest_of` is given, in file order."""

    def several(self) -> Iterator[bytes]:
        """The keys that several routes have."""


def digest_of(key: bytes) -> int:
    """64 bits that stand for a key in hash tables, the same in every process."""
    return int.from_bytes(blake2b(key, digest_size=8).digest())


class Recall(Generic[Route, Slot]):
    """The routes of several files by key.

    `settle` makes of those with one key what answers; `held`: those of them that this holds on to. What was
    asked for is kept in two generations of half the size: when the young one is full it becomes the old one,
    and the old one is forgotten but for what is asked for again.
    """

    def __init__(
        self,
        files: Sequence[Routes[Route]],
        settle: Callable[[bytes, list[Route]], Slot],
        held: Callable[[Slot], Iterable[Route]],
        most: int = KEPT_BYTES,
    ) -> None:
        self.files = files
        self._settle = settle
        self._held = held
        self._most = most // 2
        self._young: dict[bytes, tuple[Slot, int]] = {}
        self._old: dict[bytes, tuple[Slot, int]] = {}
        self.size = 0
        """About how many bytes the young generation takes."""

    def find(self, key: bytes) -> Slot | None:
        """What answers this key; None if no route has it. Raises Damaged."""
        known = self._young.get(key)
        if known is not None:
            return known[0]
        known = self._old.pop(key, None)
        if known is None:
            routes = self.read(key)
            if not routes:
                return None
            slot = self._settle(key, routes)
            size = len(key) + sum(DOC_COPIES * len(route.doc) + ROUTE_BYTES for route in self._held(slot))
            known = slot, size
        self._young[key] = known
        self.size += known[1]
        if self.size > self._most:
            self._old, self._young, self.size = self._young, {}, 0
        return known[0]

    def read(self, key: bytes) -> list[Route]:
        """The routes with this key, in file order. Raises Damaged."""
        digest = digest_of(key)
        return [route for routes in self.files for route in routes.find(key, digest)]

    def several(self) -> Iterator[bytes]:
        """The keys that several routes have, sorted; of several files, all keys are read. Raises Damaged."""
        found = {key for routes in self.files for key in routes.several()}
        if len(self.files) > 1:
            every = merge(*(routes.keys for routes in self.files))
            found.update(key for key, same in groupby(every) if sum(1 for _ in same) > 1)
        return iter(sorted(found))


def near_keys(sources: Sequence[Sequence[bytes]], key: bytes, most: int) -> Iterator[bytes]:
    """At most `most` keys around `key` in sorted order, those of its address before others.

    `sources` are sorted, and only what stands near is read of them: all that can be among the nearest of all.
    """
    address = key.partition(b"\0")[0] + b"\0"
    near: set[bytes] = set()
    for keys in sources:
        at = bisect_left(keys, key)
        start, end = _range(keys, address)
        near.update(keys[max(start, at - most) : min(end, at + most)])
        if end - start < most:
            near.update(keys[max(0, start - most) : start], keys[end : end + most])
    return islice(_outwards(sorted(near), key, address, most), most)


def _outwards(keys: list[bytes], key: bytes, address: bytes, most: int) -> Iterator[bytes]:
    at = bisect_left(keys, key)
    yield from _around(keys, at, address)
    start, end = _range(keys, address)
    for left, right in zip(range(start - 1, start - 1 - most, -1), range(end, end + most), strict=True):
        for place in (left, right):
            if 0 <= place < len(keys):
                yield keys[place]


def _around(keys: list[bytes], at: int, address: bytes) -> Iterator[bytes]:
    """Outwards from `at`, to both sides in turn, as far as the address goes."""
    left, right = at - 1, at
    while True:
        can_right = right < len(keys) and keys[right].startswith(address)
        can_left = left >= 0 and keys[left].startswith(address)
        if can_right:
            yield keys[right]
            right += 1
        if can_left:
            yield keys[left]
            left -= 1
        if not (can_left or can_right):
            return


def count_keys(sources: Sequence[Sequence[bytes]], address: bytes) -> int:
    """How many keys there are for `address`; of very many, one that several sources have counts for each."""
    ranges = [(keys, *_range(keys, address + b"\0")) for keys in sources]
    count = sum(end - start for _, start, end in ranges)
    if len(sources) == 1 or count > COUNTED_ONCE:
        return count
    return len({key for keys, start, end in ranges for key in keys[start:end]})


def _range(keys: Sequence[bytes], prefix: bytes) -> tuple[int, int]:
    """Where the keys that begin with `prefix`, which ends in NUL, stand in `keys`."""
    return bisect_left(keys, prefix), bisect_left(keys, prefix[:-1] + b"\1")
