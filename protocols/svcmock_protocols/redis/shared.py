"""What the connections of a service share: numbers of clients, patterns, what was published.

Sessions have one of these and taps another. What grows with what clients send has a limit.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Any, Final

from svcmock_protocols.redis.glob import matches, work

PATTERNS_WORK: Final = 1 << 22
"""Steps that may be taken to find out which patterns a channel matches; those that come later do not."""
PUBLISHED_MAX: Final = 10_000
"""Messages that a recorder remembers to have seen published."""
PUBLISHED_SECONDS: Final = 10.0
"""How long: what is pushed later was published by somebody else."""


class Names:
    """Names, each of which is there as long as somebody has it."""

    def __init__(self) -> None:
        self._counts: Counter[bytes] = Counter()

    def add(self, name: bytes) -> None:
        self._counts[name] += 1

    def drop(self, name: bytes) -> None:
        self._counts[name] -= 1
        if self._counts[name] <= 0:
            del self._counts[name]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)


class Shared:
    """Of one service. `model` is made when it is first needed."""

    def __init__(self) -> None:
        self.clients = 0
        self.model: Any = None
        self.subscribed = Names()
        """Patterns that clients have subscribed to."""
        self.prefixes = Names()
        """Of keys: what clients want to know of all that begin so."""
        self._published: OrderedDict[int, float] = OrderedDict()
        """When, by the hash of channel and message."""

    # --- sessions ---

    def client(self) -> int:
        """The number of a new client."""
        self.clients += 1
        return self.clients

    def patterns(self, channel: bytes) -> list[bytes]:
        """The patterns that clients subscribed to and a channel matches."""
        found, left = [], PATTERNS_WORK
        for pattern in self.subscribed:
            left -= work(pattern, channel)
            if left < 0:
                break
            if matches(pattern, channel):
                found.append(pattern)
        return found

    # --- taps ---

    def publish(self, channel: bytes, message: bytes, at: float) -> None:
        """A client is about to publish this."""
        known = hash((channel, message))
        self._published[known] = at
        self._published.move_to_end(known)
        while len(self._published) > PUBLISHED_MAX:
            self._published.popitem(last=False)

    def was_published(self, channel: bytes, message: bytes, at: float) -> bool:
        """Whether a client of this service published this, a moment ago."""
        seen = self._published.get(hash((channel, message)))
        return seen is not None and at - seen <= PUBLISHED_SECONDS
