"""Tells when files of a project change, so that routes are live soon after they are saved.

Watches the project's folder itself, for `svcmock.yaml`, and the folders that routes come from with all that
is below them; never the whole tree, which may hold an application and its dependencies.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

log = structlog.get_logger()

SETTLE_MS = 50
"""Changes are waited for until none came for so long: editors save in several steps."""


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
        while not folder.is_dir():
            folder = folder.parent
        if folder != root:
            found.add(folder)
    return {folder for folder in found if not any(parent in found for parent in folder.parents)}


async def watch(root: Path, deep: set[Path], changed: Callable[[], object]) -> None:
    """Call `changed` after each batch of changes, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_watch((root,), changed, recursive=False))
        if deep:
            tasks.create_task(_watch(tuple(deep), changed, recursive=True))


async def _watch(paths: tuple[Path, ...], changed: Callable[[], object], *, recursive: bool) -> None:
    from watchfiles import awatch

    def relevant(_change: object, path: str) -> bool:
        name = Path(path)
        return name.suffix in {".yaml", ".yml", ".json", ".jsonl", ".ndjson"} or "bodies" in name.parts

    try:
        async for _ in awatch(
            *paths, watch_filter=relevant, step=SETTLE_MS, debounce=1000, recursive=recursive
        ):
            changed()
    except OSError as error:
        log.warning("files are not watched; `svcmock reload` reads them", why=str(error))
