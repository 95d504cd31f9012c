"""Patterns of PSUBSCRIBE: `*`, `?`, `[a-z]`, `[^a]`, and a backslash before what is meant itself.

As `stringmatchlen` of Redis (util.c) has them. Of several `*` only the last one is moved, so that no pattern
takes more steps than it has bytes times the text has.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from msgspec import Struct

WORK_MAX: Final = 1 << 18
"""What `work` says, beyond which there is no match."""
REMEMBERED: Final = 1024
"""Patterns that are taken apart once,"""
REMEMBERED_LENGTH: Final = 256
"""if they are no longer than this."""


class _One(Struct, frozen=True):
    """One byte: any, or one of these."""

    bytes_: frozenset[int]


_STAR: Final = None
_ANY: Final = _One(frozenset(range(256)))


def work(pattern: bytes, text: bytes) -> int:
    """The steps that it may take to find out."""
    return (len(pattern) + 1) * (len(text) + 1)


def matches(pattern: bytes, text: bytes) -> bool:
    """Whether all of the text is what the pattern says."""
    if work(pattern, text) > WORK_MAX:
        return False
    parts = _parts(pattern) if len(pattern) <= REMEMBERED_LENGTH else tuple(_read(pattern))
    at = part = 0
    star, mark = -1, 0
    while at < len(text):
        here = parts[part] if part < len(parts) else None
        if part < len(parts) and here is _STAR:
            star, mark = part, at
            part += 1
        elif here is not None and text[at] in here.bytes_:
            at += 1
            part += 1
        elif star >= 0:
            mark += 1
            at, part = mark, star + 1
        else:
            return False
    return all(one is _STAR for one in parts[part:])


_SINGLE: Final = tuple(_One(frozenset({byte})) for byte in range(256))


@lru_cache(maxsize=REMEMBERED)
def _parts(pattern: bytes) -> tuple[_One | None, ...]:
    return tuple(_read(pattern))


def _read(pattern: bytes) -> Iterator[_One | None]:
    at = 0
    while at < len(pattern):
        byte = pattern[at]
        at += 1
        if byte == 0x2A:  # *
            yield _STAR
        elif byte == 0x3F:  # ?
            yield _ANY
        elif byte == 0x5B:  # [
            one, at = _class(pattern, at)
            yield one
        else:
            if byte == 0x5C and at < len(pattern):  # backslash
                byte = pattern[at]
                at += 1
            yield _SINGLE[byte]


def _class(pattern: bytes, at: int) -> tuple[_One, int]:
    """What stands in brackets that open before `at`, and where they end, or the pattern does."""
    negated = pattern[at : at + 1] == b"^"
    at += negated
    members: set[int] = set()
    while at < len(pattern) and pattern[at] != 0x5D:  # ]
        if pattern[at] == 0x5C and at + 1 < len(pattern):
            members.add(pattern[at + 1])
            at += 2
        elif pattern[at + 1 : at + 2] == b"-" and at + 2 < len(pattern):
            low, high = sorted((pattern[at], pattern[at + 2]))
            members.update(range(low, high + 1))
            at += 3
        else:
            members.add(pattern[at])
            at += 1
    return _One(frozenset(range(256)) - members if negated else frozenset(members)), at + 1
