"""A recorded answer for a client that did not say quite what was recorded.

Where a masked place held other bytes than now, and the recorded answer repeats those bytes, the client's are
put in their stead: at the same offset as in the client's run, however few they are, and anywhere if they are
long enough not to be there by chance. Nothing else of an answer is ever changed.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from svcmock_protocols.tcp.tape_pattern import Filled

LEAST: Final = 4
"""Bytes from which on a repetition is no chance."""
MAX_KNOWN: Final = 64
"""Masked places of earlier runs that are remembered for later answers."""


def echoed(
    said: bytes, here: Sequence[Filled], before: Iterable[tuple[bytes, bytes]], skipped: int = 0
) -> bytes:
    """`said`, which stands `skipped` bytes into its run, with the client's own bytes.

    `here`: what the client put into the holes of this run; `before`: the same of earlier ones, as recorded and
    now.
    """
    found: list[tuple[int, bytes, bytes]] = []
    for filled in here:
        at = filled.hole.at - skipped
        if at >= 0 and filled.hole.was != filled.data and said.startswith(filled.hole.was, at):
            found.append((at, filled.hole.was, filled.data))
    for was, now in (*((filled.hole.was, filled.data) for filled in here), *before):
        if len(was) < LEAST or was == now:
            continue
        at = said.find(was)
        while at >= 0:
            found.append((at, was, now))
            at = said.find(was, at + len(was))
    if not found:
        return said
    made, end = [], 0
    for at, was, now in sorted(found, key=lambda one: one[0]):
        if at >= end:
            made += [said[end:at], now]
            end = at + len(was)
    return b"".join([*made, said[end:]])
