"""The numbers of a client's streams: which one is new, idle or closed, and by whom (RFC 9113 section 5.1).

Decides what a frame means on a stream that is not open. A stream that we reset may still get what its client
sent before it knew; one that its client reset, or that has ended on both sides, may not. Memory is bounded: of
very old streams only their number tells that they are closed.
"""

from typing import Final

from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.frames import ConnectionFault, StreamFault

MAX_RESET: Final = 1000
"""Streams reset by one side of which that is remembered."""
MAX_SKIPPED: Final = 100
"""Gaps in a client's numbers that are remembered."""


class Numbers:
    """Of one connection. `last`: the highest number that the client has used."""

    __slots__ = ("_ours", "_skipped", "_theirs", "last")

    def __init__(self) -> None:
        self.last = 0
        self._skipped: list[tuple[int, int]] = []
        self._ours: dict[int, None] = {}
        self._theirs: dict[int, None] = {}

    def enter(self, ident: int) -> None:
        """A new stream: its number counts from now on (section 5.1.1)."""
        if ident != self.last + 2 and ident != 1:
            self._skipped.append((self.last + 1, ident - 1))
            if len(self._skipped) > MAX_SKIPPED:
                del self._skipped[0]
        self.last = ident

    def idle(self, ident: int) -> bool:
        """Whether a stream was never opened. Those with even numbers would be ours, and we open none."""
        return ident > self.last or not ident & 1

    def reset(self, ident: int) -> None:
        """We have reset a stream."""
        _remember(self._ours, ident)

    def cancelled(self, ident: int) -> None:
        """Its client has."""
        _remember(self._theirs, ident)

    def gone(self, ident: int, what: str) -> None:
        """A frame that opens nothing, on a stream that is not open: to be ignored, or else this raises."""
        if ident in self._ours:
            return
        if self.idle(ident) or any(first <= ident <= last for first, last in self._skipped):
            raise ConnectionFault(frames.PROTOCOL_ERROR, f"{what} on a stream that was never opened")
        if ident in self._theirs:
            raise StreamFault(ident, frames.STREAM_CLOSED, f"{what} on a stream that its client has reset")
        raise ConnectionFault(frames.STREAM_CLOSED, f"{what} on a closed stream")


def _remember(known: dict[int, None], ident: int) -> None:
    if len(known) >= MAX_RESET and ident not in known:
        del known[next(iter(known))]
    known[ident] = None
