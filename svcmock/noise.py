"""What never decides a match: field paths with wildcards, and how they cut values down.

Paths come from a person, values from any client, so both the test of a path and the pruning of a value take
time that is linear in what they are given.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeAlias

MEMO_PATH = 256
"""Characters of a field path up to which `Noise` remembers what it decided."""


Tests: TypeAlias = tuple[Callable[[str], object], ...]
"""One for each segment of a pattern."""


class Noise:
    """Field paths that never decide a match, such as `headers.traceparent` or `json.items.*.seen_at`.

    Segments are separated by dots; inside a segment `*` stands for any run of characters, so a segment
    `*` is any key or list index. A path covers everything below it.
    """

    __slots__ = ("_roots", "covers", "patterns")

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self.patterns = tuple(sorted(set(patterns)))
        compiled: dict[str, list[Tests]] = {}
        for pattern in self.patterns:
            root, tests = (_compiled if len(pattern) <= MEMO_PATH else _compiled.__wrapped__)(pattern)
            compiled.setdefault(root, []).append(tests)
        self._roots = frozenset(pattern.split(".", 1)[0] for pattern in self.patterns)
        anywhere = compiled.pop("*", [])

        def decide(*path: str) -> bool:
            return any(
                len(pattern) <= len(path) and all(want(got) for want, got in zip(pattern, path, strict=False))
                for pattern in (*compiled.get(path[0], ()), *anywhere)
            )

        remembered = lru_cache(maxsize=4096)(decide)

        def covers(*path: str) -> bool:
            """Names come from the network: only short ones are remembered, so that memory stays bounded."""
            return remembered(*path) if sum(map(len, path)) <= MEMO_PATH else decide(*path)

        self.covers = covers

    def concerns(self, root: str) -> bool:
        """Could any pattern cover a path that starts with `root`? Cheap; False lets `prune` be skipped."""
        return root in self._roots or any("*" in known for known in self._roots)

    def prune(self, value: Any, *path: str) -> Any:
        """`value`, which stands at `path`, without what is covered. Shares what it does not change."""
        if not self.concerns(path[0]):
            return value
        if isinstance(value, dict):
            return {k: self.prune(v, *path, str(k)) for k, v in value.items() if not self.covers(*path, str(k))}
        if isinstance(value, list):
            return [self.prune(v, *path, str(i)) for i, v in enumerate(value) if not self.covers(*path, str(i))]
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Noise) and self.patterns == other.patterns

    def __hash__(self) -> int:
        return hash(self.patterns)

    def __repr__(self) -> str:
        return f"Noise({list(self.patterns)!r})"


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> tuple[str, Tests]:
    """The root of the paths that a pattern may cover, or `*`, and its tests. Remembered: many share most."""
    parts = pattern.split(".")
    return "*" if "*" in parts[0] else parts[0], tuple(map(_segment, parts))


def _segment(pattern: str) -> Callable[[str], object]:
    """A test for one segment. Linear in the segment: a pattern with many `*` must not be a weapon."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern.__eq__
    *middle, last = rest

    def matches(segment: str) -> bool:
        end = len(segment) - len(last)
        at = len(first)
        if at > end or not segment.startswith(first) or not segment.endswith(last):
            return False
        for part in middle:
            at = segment.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True

    return matches


def noise_of(known: Iterable[str], ignore: Iterable[str]) -> Noise:
    """`known` and what `ignore` adds; `!x` in it takes the pattern x away."""
    listed = list(ignore)
    kept = {pattern[1:] for pattern in listed if pattern.startswith("!")}
    return Noise((set(known) - kept) | {pattern for pattern in listed if not pattern.startswith("!")})
