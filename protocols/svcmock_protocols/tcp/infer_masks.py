"""What decides nothing in a tape, told by two recordings of the same dialogue.

Where a client said the same thing twice and a few bytes were others, these are a counter, a time, an id: a mask
over them lets a third run be answered. Two recordings of *different* dialogues tell nothing; whoever asks knows
that they are the same, and a person decides what becomes of a suggestion.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

from svcmock_protocols.tcp.tape import TapeReply, TapeRequest

NEAR: Final = 3
"""Ranges with fewer equal bytes between them are one: some digits of a time are the same by chance."""
MOST_DIFFERENT: Final = 0.5
"""Share of a run's bytes that may differ in what is still the same run."""


class Suggestion(Struct, frozen=True):
    """Ranges of bytes, from and to, that a `mask` in the request of this run would name; and what they held."""

    tape: str
    run: int
    mask: tuple[tuple[int, int], ...]
    seen: tuple[tuple[bytes, bytes], ...]


def masks(
    one: Sequence[tuple[TapeRequest, TapeReply]], other: Sequence[tuple[TapeRequest, TapeReply]]
) -> list[Suggestion]:
    """What differs between two tapes of one dialogue, for the runs of the first, as far as they go together."""
    return list(_aligned(one, other))


def _aligned(
    one: Sequence[tuple[TapeRequest, TapeReply]], other: Sequence[tuple[TapeRequest, TapeReply]]
) -> Iterator[Suggestion]:
    for (first, _), (second, _) in zip(one, other, strict=False):
        if first.said == second.said:
            continue
        ranges = _ranges(first.said, second.said)
        different = sum(end - start for start, end in ranges)
        if len(first.said) != len(second.said) or different > MOST_DIFFERENT * len(first.said):
            return  # from here on it is another dialogue
        seen = tuple((first.said[start:end], second.said[start:end]) for start, end in ranges)
        yield Suggestion(first.tape, first.run, tuple(ranges), seen)


def _ranges(one: bytes, other: bytes) -> list[tuple[int, int]]:
    places = [at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b]
    if not places:
        return []
    starts = [places[0], *(b for a, b in pairwise(places) if b - a > NEAR)]
    ends = [*(a + 1 for a, b in pairwise(places) if b - a > NEAR), places[-1] + 1]
    return list(zip(starts, ends, strict=True))
