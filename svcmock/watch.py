"""Tells when files of a project change, so that routes are live soon after they are saved.

Watches the project's folder itself, for `svcmock.yaml`, and the folders that routes come from with all that
is below them; never the whole tree, which may hold an application and its dependencies. The operating system
tells of changes only from the moment it is asked to, so what changed between reading the files and watching
them is looked for once; and it watches a folder, not its name, so whoever reloads watches anew.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import structlog

from svcmock.model import FILE

log = structlog.get_logger()

SETTLE_MS = 50
"""Changes are waited for until none came for so long: editors save in several steps."""
LOOK_MS = 500
"""When, after watching began, files are looked through for changes made before it did."""
CLOCK_SLACK_NS = 20_000_000
"""A file system's clock may be that far behind the one that `since` is taken from."""

_ENDINGS = frozenset({"", ".yaml", ".yml", ".json", ".jsonl", ".ndjson"})


def folders(root: Path, routes: Iterable[str]) -> set[Path]:
    """The existing folders below `root` that route patterns reach into, outermost only."""
    found = set()
    for pattern in routes:
        fixed = []
        for part in Path(pattern).parts:
            if any(mark in part for mark in "*?["):
                break
            fixed.append(part)
        folder = root.joinpath(*fixed)
        while folder != root and not folder.is_dir():
            folder = folder.parent
        if folder != root:
            found.add(folder)
    return {folder for folder in found if not any(parent in found for parent in folder.parents)}


async def watch(root: Path, routes: Iterable[str], since: int, changed: Callable[[], object]) -> None:
    """Call `changed` after each batch of changes made later than `since` (ns of the epoch), until cancelled."""
    routes = tuple(routes)
    deep = folders(root, routes)

    def missed_at_the_top() -> bool:
        return _any_later([root / FILE], since) or folders(root, routes) != deep

    def missed_below() -> bool:
        return _any_later(_below(deep), since)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_watch((root,), missed_at_the_top, changed, recursive=False))
        if deep:
            tasks.create_task(_watch(tuple(deep), missed_below, changed, recursive=True))


async def _watch(
    paths: tuple[Path, ...],
    missed: Callable[[], bool],
    changed: Callable[[], object],
    *,
    recursive: bool,
) -> None:
    from watchfiles import awatch

    looked = False
    try:
        async for changes in awatch(
            *paths,
            watch_filter=lambda _, path: _relevant(Path(path), deep=recursive),
            step=SETTLE_MS,
            debounce=1000,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,
            recursive=recursive,
        ):
            if changes or (not looked and await asyncio.to_thread(missed)):
                changed()
            looked = True
    except OSError as error:
        if recursive and isinstance(error, FileNotFoundError):
            changed()  # a folder went away before it was watched, and may be there again
            return
        log.warning("files are not watched; `svcmock reload` reads them", why=str(error))


def _relevant(path: Path, *, deep: bool) -> bool:
    """No editor's drafts; beside `svcmock.yaml`, route files and what may be a folder of them."""
    if path.name.startswith(".") or path.name.endswith("~"):
        return False
    return deep or path.suffix in _ENDINGS


def _below(deep: Iterable[Path]) -> Iterator[Path]:
    """Folders and the files in them. Bodies are named by what they hold and never change."""
    for folder in deep:
        for parent, inner, names in os.walk(folder):
            inner[:] = [name for name in inner if name != "bodies" and not name.startswith(".")]
            yield Path(parent)
            yield from (Path(parent, name) for name in names if _relevant(Path(name), deep=True))


def _any_later(files: Iterable[Path], since: int) -> bool:
    """Whether one of these was written, moved here or removed from its folder after `since`."""
    for path in files:
        try:
            if path.stat().st_ctime_ns > since - CLOCK_SLACK_NS:
                return True
        except OSError:
            continue
    return False
