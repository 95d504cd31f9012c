"""JSON (RFC 8259) and JSON Lines as plain data: for route files that machines write in bulk.

Of equal keys in one object the last wins, which the RFC leaves open: the fast decoder does not tell.
"""

import re
from collections.abc import Iterator

import msgspec

from svcmock.model import Problem
from svcmock.protocol import Doc
from svcmock.yamlin import MAX_DEPTH, MAX_PROBLEMS, Document, Path

_COMMA = frozenset(",")
_BYTE = re.compile(r"\(byte (\d+)\)")
_TOKEN = re.compile(r'[ \t\r\n]*("(?:[^"\\]|\\.)*"|[][{},:]|[^][{},:" \t\r\n]+)')


def read_json(text: str, file: str) -> tuple[list[Document], list[Problem]]:
    data = text.encode()
    first = _line_of_content(data, 0)
    try:
        if data.lstrip()[:1] != b"[":
            return [Document(_decoded(data), first)], []
        value = _decoded(data)
        lines, line, at = [], 1, 0
        for item in msgspec.json.decode(data, type=list[msgspec.Raw]):
            found = data.find(item, at)
            line += data.count(b"\n", at, found)
            lines.append(line)
            at = found + len(bytes(item))
            line += data.count(b"\n", found, at)
        return [Document(value, first, tuple(lines))], []
    except ValueError as error:
        return [], [_json_problem(data, 0, str(error), file)]


def read_json_lines(text: str, file: str) -> tuple[list[Document], list[Problem]]:
    documents: list[Document] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.isspace():
            continue
        try:
            documents.append(Document(_decoded(line.encode()), number))
        except ValueError as error:
            problems.append(_json_problem(line.encode(), number - 1, str(error), file))
            if len(problems) == MAX_PROBLEMS:
                break
    return documents, problems


def _decoded(data: bytes) -> Doc:
    """JSON as plain data. ValueError: malformed, or nested too deep (msgspec's errors are ValueErrors)."""
    try:
        value = msgspec.json.decode(data)
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} deep") from None
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check_depth(value, MAX_DEPTH)
    return value


def _check_depth(value: Doc, left: int) -> None:
    if isinstance(value, dict | list):
        if left == 0:
            raise ValueError(f"nested more than {MAX_DEPTH} deep")
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, left - 1)


def _json_problem(data: bytes, line: int, why: str, file: str) -> Problem:
    found = _BYTE.search(why)
    at = min(int(found.group(1)), len(data)) if found else len(data) if "truncated" in why else 0
    column = len(data[data.rfind(b"\n", 0, at) + 1 : at].decode("utf-8", "replace")) + 1
    return Problem(file, line + data.count(b"\n", 0, at) + 1, column, _BYTE.sub("", why).strip())


def _line_of_content(data: bytes, at: int) -> int:
    content = len(data) - len(data[at:].lstrip())
    return data.count(b"\n", 0, content) + 1


def item_starts(text: str) -> list[int]:
    """Offsets of the items of a sound JSON list."""
    data = text.encode()
    starts: list[int] = []
    offset, at = 0, 0
    for item in msgspec.json.decode(data, type=list[msgspec.Raw]):
        found = data.find(item, at)
        offset += len(data[at:found].decode())
        starts.append(offset)
        at = found + len(bytes(item))
        offset += len(data[found:at].decode())
    return starts


def position_json(text: str, path: Path) -> int:
    """Offset of the node at `path` in sound JSON, a member at its key."""
    tokens = ((match.group(1), match.start(1)) for match in _TOKEN.finditer(text))
    token, at = next(tokens, ("", 0))
    for step in path:
        found = _json_step(token, tokens, step)
        if found is None:
            break
        token, at = found[0], found[1]
    return at


def _json_step(opened: str, tokens: Iterator[tuple[str, int]], step: str | int) -> tuple[str, int] | None:
    """From just after `opened` to the member `step`: the first token of its value, and where it stands."""
    if opened not in {"{", "["}:
        return None
    index = 0
    for token, at in tokens:
        if token in {"}", "]"}:
            return None
        if token in _COMMA:
            continue
        if opened == "[":
            if index == step:
                return token, at
            index += 1
            value = token
        else:
            next(tokens, None)
            value = next(tokens, ("", 0))[0]
            if msgspec.json.decode(token) == step:
                return value, at
        _skip_json(value, tokens)
    return None


def _skip_json(opened: str, tokens: Iterator[tuple[str, int]]) -> None:
    """Past the rest of the value that `opened` begins."""
    depth = 1 if opened in {"{", "["} else 0
    while depth:
        token = next(tokens, ("", 0))[0]
        if token in {"{", "["}:
            depth += 1
        elif token in {"}", "]", ""}:
            depth -= 1
