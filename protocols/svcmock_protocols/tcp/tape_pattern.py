"""What a client has to say to be on a tape: a recorded run, and the places in it that decide nothing.

A run is made of literal bytes and holes. A hole that a range of bytes names has the length that was recorded.
One that a regular expression found may have another: it ends where the literal after it begins, at the first
place where that stands. So whatever comes decides itself byte by byte, however it is cut, and there is never a
choice. A token in a recorded run is a hole for the credential that it stands for.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Final, TypeAlias

from msgspec import Struct

from svcmock_protocols.tcp.patterns import compile_pattern
from svcmock_protocols.tcp.tape_bytes import spans

MAX_HOLE: Final = 4096
"""Bytes that a hole of no certain length may have."""
MAX_HOLES: Final = 256
"""Holes of one run."""
_UNTIL: Final = 8
"""Bytes of the literal after a hole that tell where it ends."""
_TOKEN: Final = re.compile(rb"svcmock-[a-z2-7]{24}")
"""What stands for a credential in a recording."""

Token: TypeAlias = Callable[[bytes], bytes]


class Hole(Struct, frozen=True, gc=False):
    """`was` is what was recorded there, `at` where. `until` is empty where only as many bytes may come.

    With a `pattern`, what comes must match it between `before` and `behind`. `secret`: it must be the
    credential of which `was` is the token.
    """

    was: bytes
    at: int
    until: bytes = b""
    pattern: str = ""
    before: bytes = b""
    behind: bytes = b""
    secret: bool = False

    def takes(self, data: bytes, token: Token) -> bool:
        """Whether this may stand in the hole."""
        if self.secret:
            return token(data) == token(self.was)
        if not self.pattern:
            return True
        return compile_pattern(self.pattern).fullmatch(self.before + data + self.behind) is not None


Segment: TypeAlias = bytes | Hole
Mask: TypeAlias = tuple[int, int] | str


class Pattern(Struct, frozen=True, gc=False):
    """A run as a sequence of segments. `least[i]`: bytes that segments from the i-th on need at least."""

    segments: tuple[Segment, ...]
    least: tuple[int, ...]
    digest: bytes
    """Equal for patterns that take the same."""


def pattern_of(said: bytes, masks: Iterable[Mask] = ()) -> Pattern:
    """The pattern of a recorded run, which takes that run."""
    found: list[Hole] = [Hole(match[0], match.start(), secret=True) for match in _TOKEN.finditer(said)]
    masks = tuple(masks)
    for mask in masks:
        if isinstance(mask, str):
            found += [
                Hole(said[a:b], a, b"", mask, before, behind) for a, b, before, behind in spans(mask, said)
            ]
    found += [Hole(said[a:b], a) for a, b in _joined(masks) if b <= len(said)]
    segments: list[Segment] = []
    end = 0
    # one that was found by its token goes before others at the same place
    for hole in sorted(found, key=lambda hole: (hole.at, not hole.secret, -len(hole.was)))[:MAX_HOLES]:
        if hole.at < end:
            continue
        if hole.at > end:
            segments.append(said[end : hole.at])
        segments.append(hole)
        end = hole.at + len(hole.was)
    if end < len(said):
        segments.append(said[end:])
    return _sealed(_bounded(segments))


def _joined(masks: Iterable[Mask]) -> list[tuple[int, int]]:
    """The ranges among masks, those that touch made one."""
    made: list[tuple[int, int]] = []
    for start, end in sorted(mask for mask in masks if not isinstance(mask, str) and mask[0] < mask[1]):
        if made and start <= made[-1][1]:
            made[-1] = (made[-1][0], max(end, made[-1][1]))
        else:
            made.append((start, end))
    return made


def _bounded(segments: Sequence[Segment]) -> list[Segment]:
    """Holes of no certain length get to know where they end."""
    made = list(segments)
    for i, hole in enumerate(made[:-1]):
        after = made[i + 1]
        if isinstance(hole, Hole) and (hole.pattern or hole.secret) and isinstance(after, bytes):
            until = after[:_UNTIL]
            if len(hole.was) <= MAX_HOLE and (hole.was + until).find(until) == len(hole.was):
                made[i] = Hole(hole.was, hole.at, until, hole.pattern, hole.before, hole.behind, hole.secret)
    return made


def _sealed(segments: Sequence[Segment]) -> Pattern:
    least = [0]
    digest = blake2b(digest_size=8)
    for segment in reversed(segments):
        if isinstance(segment, bytes):
            need = len(segment)
            digest.update(b"%d:%b" % (need, segment))
        else:
            need = 0 if segment.until else len(segment.was)
            kept = segment.was if segment.secret else b""
            parts = (segment.until, segment.pattern.encode(), segment.before, segment.behind, kept)
            digest.update(b"hole%d:" % need + b"".join(b"%d:%b" % (len(part), part) for part in parts))
        least.append(least[-1] + need)
    return Pattern(tuple(segments), tuple(reversed(least)), digest.digest())


class Filled(Struct, frozen=True, gc=False):
    """What stood in a hole, and what was recorded there."""

    hole: Hole
    data: bytes


class Progress:
    """How far what a client says has come in a pattern. Fed piece by piece, never beyond `least`."""

    __slots__ = ("_at", "_hole", "_index", "_pattern", "_token", "dead", "filled", "size")

    def __init__(self, pattern: Pattern, token: Token) -> None:
        self._pattern = pattern
        self._token = token
        self._index = 0
        self._at = 0
        self._hole = bytearray()
        self.filled: list[Filled] = []
        self.size = 0
        """Bytes taken; of a dead one, up to the first that does not fit."""
        self.dead = False

    @property
    def complete(self) -> bool:
        return self._index == len(self._pattern.segments) and not self.dead

    @property
    def least(self) -> int:
        """The fewest bytes after which it may be complete; 0 where it is."""
        if self._index == len(self._pattern.segments):
            return 0
        segment, need = self._pattern.segments[self._index], self._pattern.least[self._index]
        if isinstance(segment, bytes):
            return need - self._at
        if not segment.until:
            return need - len(self._hole)
        # some of what ends the hole may be here already
        return max(1, need - len(segment.until) + 1)

    def feed(self, data: bytes) -> None:
        """More of what the client says. What is left of `data` when it is complete is not taken."""
        at = 0
        segments = self._pattern.segments
        while at < len(data) and not self.dead and self._index < len(segments):
            segment = segments[self._index]
            if isinstance(segment, bytes):
                taken = self._literal(segment, data, at)
            elif segment.until:
                taken = self._until(segment, data, at)
            else:
                taken = self._counted(segment, data, at)
            at += taken
            self.size += taken

    def _literal(self, literal: bytes, data: bytes, at: int) -> int:
        want = literal[self._at : self._at + len(data) - at]
        if not data.startswith(want, at):
            self.dead = True
            return next(i for i, byte in enumerate(want) if byte != data[at + i]) + 1
        self._at += len(want)
        if self._at == len(literal):
            self._next()
        return len(want)

    def _counted(self, hole: Hole, data: bytes, at: int) -> int:
        piece = data[at : at + len(hole.was) - len(self._hole)]
        self._hole += piece
        if len(self._hole) == len(hole.was):
            self._fill(hole, bytes(self._hole))
        return len(piece)

    def _until(self, hole: Hole, data: bytes, at: int) -> int:
        had = len(self._hole)
        limit = MAX_HOLE + len(hole.until)
        self._hole += data[at : at + limit - had]
        end = self._hole.find(hole.until, max(0, had - len(hole.until)))
        if end < 0:
            self.dead = len(self._hole) >= limit
            return len(self._hole) - had
        self._fill(hole, bytes(self._hole[:end]))
        if not self.dead:
            self._at = len(hole.until)
            literal = self._pattern.segments[self._index]
            if self._at == len(literal):  # type: ignore[arg-type]  # `until` is the beginning of a literal
                self._next()
        return end + len(hole.until) - had

    def _fill(self, hole: Hole, data: bytes) -> None:
        self.filled.append(Filled(hole, data))
        if hole.takes(data, self._token):
            self._next()
        else:
            self.dead = True

    def _next(self) -> None:
        self._index += 1
        self._at = 0
        self._hole = bytearray()


def fits(pattern: Pattern, said: bytes, token: Token) -> bool:
    """Whether a whole run is what the pattern asks for, no more and no less."""
    progress = Progress(pattern, token)
    progress.feed(said)
    return progress.complete and progress.size == len(said)
