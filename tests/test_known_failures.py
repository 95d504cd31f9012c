"""The page of known failures: what it names as a test is one, and readers find the page."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "known-failures.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def named() -> list[tuple[str, str]]:
    return TEST.findall(PAGE.read_text("utf-8"))


def functions(path: Path) -> set[str]:
    """Those at the top of a module."""
    body = ast.parse(path.read_text("utf-8")).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_that_is_named_exists() -> None:
    missing = []
    for file, function in sorted(set(named())):
        path = ROOT / file
        if not path.is_file() or not function.startswith("test_") or function not in functions(path):
            missing.append(f"{file}::{function}")
    assert missing == []


def test_every_row_names_a_test() -> None:
    rows = [
        line
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("| ---", "| what goes wrong"))
    ]
    assert rows
    assert [row for row in rows if not TEST.search(row.rstrip(" |").rpartition("|")[2])] == []
    assert [row for row in rows if row.rstrip(" |").count(" | ") != 3] == []


@pytest.mark.parametrize("suffix", [".py::test_", "`tests/"])
def test_no_name_is_written_so_that_it_is_not_looked_for(suffix: str) -> None:
    assert PAGE.read_text("utf-8").count(suffix) == len(named())


def test_readers_find_the_page() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    links = [page.name for page in pages if page != PAGE and "known-failures.md)" in page.read_text("utf-8")]
    assert links
