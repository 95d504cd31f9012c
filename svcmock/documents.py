"""The text of a YAML, JSON or JSON Lines file as documents, with a position for everything in them.

The file's ending says what it is: `.json` one object or a list, `.jsonl` and `.ndjson` a value a line, anything
else YAML. The recorder ends each YAML document with a line `...`. A last document that has `recorded:` and no
such end was cut off by a crash: it is skipped with a warning, whatever the cut left of it.
"""

import re
from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from svcmock.jsonin import item_starts, position_json, read_json, read_json_lines
from svcmock.model import Problem
from svcmock.yamlin import MAX_PROBLEMS, Document, Path, compose_one, position_yaml, read_yaml, segment

MAX_FILE = 512 * 1024 * 1024
"""Bytes of one file; 100,000 recorded exchanges with bodies of the largest inline size fit."""

Position: TypeAlias = tuple[int, int]

_JSON_LINES = (".jsonl", ".ndjson")


class Where(Struct, frozen=True):
    """A node of a file, from which problems below it get their position."""

    file: str
    find: Callable[[Path], Position]
    base: tuple[str | int, ...] = ()

    def under(self, *path: str | int) -> "Where":
        return Where(self.file, self.find, (*self.base, *path))

    def problem(self, at: Path, message: str, severity: Literal["error", "warning"] = "error") -> Problem:
        line, column = self.find((*self.base, *at))
        return Problem(self.file, line, column, message, severity)


def read(data: bytes, file: str) -> tuple[list[Document], list[Problem]]:
    """Every document of `data`, in order, and everything that is wrong; `file`'s ending says what it is."""
    if len(data) > MAX_FILE:
        return [], [Problem(file, 1, 1, f"the file has {len(data)} bytes, more than {MAX_FILE}")]
    problems: list[Problem] = []
    if not _is_json(file):
        data, problems = _without_torn_end(data, file)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        return [], [Problem(file, line, column, f"not UTF-8: {error.reason}")]
    if file.endswith((".jsonl", ".ndjson")):
        documents, found = read_json_lines(text, file)
    elif file.endswith(".json"):
        documents, found = read_json(text, file)
    else:
        documents, found = read_yaml(text, file)
    return documents, [*found, *problems][:MAX_PROBLEMS]


def where(data: bytes, file: str, document: Document) -> Where:
    """`document` of that file, to report problems inside it. Parses nothing until it is asked."""
    return finder(data, file)(document)


def finder(data: bytes, file: str) -> Callable[[Document], Where]:
    """Like `where`, for many documents of one file: what they share is worked out once.

    A member of a mapping is found at its key; where a path leads nowhere, its deepest node that exists.
    """
    text = _Text(data, file)
    return lambda document: Where(file, lambda path: text.find(document, path))


class _Text:
    """A file's text, prepared when the first position is asked for."""

    def __init__(self, data: bytes, file: str) -> None:
        self._data = data
        self._file = file
        self._known: tuple[int, Any] = (-1, None)
        """The document that was last looked into, by its line: the next problem is most often in it too."""

    @cached_property
    def text(self) -> str:
        return self._data.decode("utf-8-sig", "replace")

    @cached_property
    def lines(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    @cached_property
    def items(self) -> list[int]:
        return [*item_starts(self.text), len(self.text)]

    def find(self, document: Document, path: Path) -> Position:
        at = self._offset(document, path)
        line = bisect_right(self.lines, at)
        return line, at - self.lines[line - 1] + 1

    def _offset(self, document: Document, path: Path) -> int:
        text, lines = self.text, self.lines
        if self._file.endswith(_JSON_LINES):
            start = lines[document.line - 1]
            return start + position_json(
                text[start : lines[document.line] if document.line < len(lines) else len(text)], path
            )
        if _is_json(self._file):
            if document.lines and path and isinstance(path[0], int) and path[0] < len(document.lines):
                start, end = self.items[path[0]], self.items[path[0] + 1]
                return start + position_json(text[start:end], path[1:])
            return position_json(text, path)
        start, end = segment(text, lines[document.line - 1])
        if self._known[0] != start:
            self._known = (start, compose_one(text[start:end]))
        node = self._known[1]
        return start if node is None else start + position_yaml(node, path)


_END = re.compile(rb"^\.\.\.[ \t]*\r?$", re.MULTILINE)
_START = re.compile(rb"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_TORN = re.compile(
    rb"(?:---[ \t]*\r?\n)?recorded:|---[ \t]*\r?\n(?:r|re|rec|reco|recor|record|recorde|recorded)\Z"
)
_DASHES = re.compile(rb"-{1,3}\s*\Z")


def _without_torn_end(data: bytes, file: str) -> tuple[bytes, list[Problem]]:
    """`data` up to a last document that the recorder began and did not finish."""
    end = 0
    at = data.rfind(b"...")
    while at >= 0:
        found = _END.match(data, at)
        if found is not None:
            end = found.end()
            break
        at = data.rfind(b"...", 0, at)
    start = end
    for marker in _START.finditer(data, end):
        start = marker.start()
    tail = data[start:].lstrip()
    alone = not data[end:start].strip()
    if not _TORN.match(tail) and not (alone and _DASHES.match(tail)):
        return data, []
    begin = len(data) - len(tail)
    line = data.count(b"\n", 0, begin) + 1
    why = "the last recorded document is cut off and was skipped (a whole one ends with a line `...`)"
    return data[:start], [Problem(file, line, 1, why, "warning")]


def _is_json(file: str) -> bool:
    return file.endswith((".json", *_JSON_LINES))
