"""What is watched, what counts as a change, and that none is missed: real files, the real watcher."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from svcmock.watch import _relevant, _watch, folders, watch

ROUTES = ["routes/*.yaml"]


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        (["a/*.yaml"], {"a"}),
        (["a/b/", "a/*.yaml"], {"a"}),
        (["a/b/*/c.yaml", "d/x.yaml"], {"a/b", "d"}),
        (["a/not/there/"], {"a"}),
        (["not/there/"], set()),
        (["*.yaml"], set()),
        (["ab/", "a/"], {"a", "ab"}),
    ],
)
def test_the_outermost_existing_folders_are_watched(
    tmp_path: Path, routes: list[str], expected: set[str]
) -> None:
    """Never the project's own folder as a whole."""
    for folder in ("a/b", "d", "ab"):
        (tmp_path / folder).mkdir(parents=True)
    assert {str(path.relative_to(tmp_path)) for path in folders(tmp_path, routes)} == expected


async def seen(root: Path, act: Callable[[], object]) -> None:
    """Watch from before all that is there: both watchers tell of it as soon as they work. Then of `act`."""
    told: asyncio.Queue[None] = asyncio.Queue()
    watching = asyncio.create_task(watch(root, ROUTES, 0, lambda: told.put_nowait(None)))
    try:
        async with asyncio.timeout(20):
            await told.get()
            await told.get()
            act()
            await told.get()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


CHANGES: dict[str, Callable[[Path], object]] = {
    "edited": lambda root: (root / "routes/a.yaml").write_text("new"),
    "deleted": lambda root: (root / "routes/a.yaml").unlink(),
    "body beside it": lambda root: (root / "routes/a.png").write_bytes(b"new"),
    "folder below": lambda root: (root / "routes/deep").mkdir(),
    "folder replaced": lambda root: (root / "routes").rename(root / "old"),
    "the graph": lambda root: (root / "svcmock.yaml").write_text("new"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_that_are_told(tmp_path: Path, change: str) -> None:
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes/a.yaml").write_text("old")
    (tmp_path / "svcmock.yaml").write_text("old")
    asyncio.run(seen(tmp_path, lambda: CHANGES[change](tmp_path)))


@pytest.mark.parametrize(
    ("name", "beside_the_graph", "among_routes"),
    [
        ("svcmock.yaml", True, True),
        ("routes", True, True),
        ("body.bin", False, True),
        ("app.py", False, True),
        (".svcmock", False, False),
        (".a.yaml.swp", False, False),
        ("a.yaml~", False, False),
    ],
)
def test_what_counts_where(name: str, beside_the_graph: bool, among_routes: bool) -> None:
    """Editors' drafts never do, and of the application's own files none."""
    assert _relevant(Path("/p", name), deep=False) is beside_the_graph
    assert _relevant(Path("/p/routes", name), deep=True) is among_routes


async def told_at_first(root: Path, since: int, seconds: float) -> bool:
    told = asyncio.Event()
    watching = asyncio.create_task(watch(root, ROUTES, since, told.set))
    try:
        async with asyncio.timeout(seconds):
            await told.wait()
    except TimeoutError:
        return False
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return True


def test_a_change_from_before_the_watching_began_is_told(tmp_path: Path) -> None:
    """A file moved here keeps its old time of writing; a deletion shows in its folder only."""
    (tmp_path / "routes").mkdir()
    old = tmp_path / "old.txt"
    old.write_text("x")
    os.utime(old, (1, 1))
    since = time.time_ns()
    old.rename(tmp_path / "routes/a.yaml")
    assert asyncio.run(told_at_first(tmp_path, since, 20))
    later = time.time_ns() + 10**9
    assert not asyncio.run(told_at_first(tmp_path, later, 1.2))


def test_a_folder_that_went_away_before_it_was_watched(tmp_path: Path) -> None:
    """Whoever is told looks for what is there now; without the project itself there is nothing to look for."""
    told: list[str] = []
    gone = (tmp_path / "gone",)
    asyncio.run(_watch(gone, lambda: False, lambda: told.append("routes"), recursive=True))
    asyncio.run(_watch(gone, lambda: False, lambda: told.append("root"), recursive=False))
    assert told == ["routes"]
    assert folders(tmp_path / "gone", ["routes/"]) == set()
