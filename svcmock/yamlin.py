"""YAML as plain data: libyaml composes, the nodes are built here by the 1.2 core schema.

Three rules are our own: a plain scalar with a leading zero (`012`) stays text, for it is an id more often
than a number; a mapping key is always the text that stands there (`404:` is "404"); a key that occurs twice
is an error. So `no`, `on`, `12:30` and dates are text, `null` `~` `true` `false` `7` `0x1f` `0o17` `1.5`
`1e3` `.inf` are what they look like, and anything quoted is text. Anchors, aliases and `<<` work and are
bounded; of the tags only !!str !!int !!float !!bool !!null !!binary (which gives `{base64: }`) !!map and
!!seq are known.

`---` and `...` at the start of a line are markers wherever they stand (YAML 1.2.2 section 9.1), so documents
can be told apart without parsing them.
"""

import gc
import re
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import yaml
from msgspec import Struct
from yaml._yaml import CParser
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from svcmock.model import Problem
from svcmock.protocol import Doc

MAX_DEPTH = 100
"""Mappings and lists inside each other; more than anyone reads, few enough for any recursion."""
MAX_ALIASED = 100_000
"""Nodes that aliases and merge keys may add to one document: the bound against "billion laughs"."""
MAX_DIGITS = 1000
"""Digits of one number."""
MAX_PROBLEMS = 100
"""Problems told about one file; what follows is most often the same mistake again."""


Path: TypeAlias = Sequence[str | int]


class Document(Struct, frozen=True):
    """One document. `line` is its first content line, from 1; `lines` those of a list's items."""

    value: Doc
    line: int
    lines: tuple[int, ...] = ()


_MARKER = re.compile(r"^(?:---|\.\.\.)(?=[ \t\r\n]|\Z)", re.MULTILINE)


class _Deep(Exception):
    pass


class _Composer(CParser):
    """libyaml's composer without PyYAML's resolver, which spends two thirds of the time in regexes.

    It recurses in C without a bound, and libyaml takes a million `[`: only for text that is too short to
    overflow the stack.
    """

    def resolve(self, _kind: Any, _value: Any, _implicit: Any) -> None: ...

    def descend_resolver(self, _node: Any, _index: Any) -> None: ...

    def ascend_resolver(self) -> None: ...


class _BoundedComposer(_Composer):
    """For text of any length. Counting costs a quarter of the time of composing."""

    depth = 0

    def descend_resolver(self, _node: Any, _index: Any) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH + 1:
            raise _Deep

    def ascend_resolver(self) -> None:
        self.depth -= 1


_SHALLOW = 2048
"""Characters of a document that cannot nest deeper than the C stack bears."""


def _composer(text: str) -> _Composer:
    shallow = all(len(document) <= _SHALLOW for document in text.split("\n---\n"))
    return _Composer(text) if shallow else _BoundedComposer(text)


def read_yaml(text: str, file: str) -> tuple[list[Document], list[Problem]]:
    """All documents; after one that is broken, reading goes on at the next marker."""
    # Plain data holds no cycles, and looking for some in a million containers takes a fifth of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _read_all(text, file)
    finally:
        if collecting:
            gc.enable()


def _read_all(text: str, file: str) -> tuple[list[Document], list[Problem]]:
    documents: list[Document] = []
    problems: list[Problem] = []
    offset, line = 0, 0
    while len(problems) < MAX_PROBLEMS:
        builder = _Builder(file, line, problems)
        broken = _compose_all(text[offset:], builder, documents)
        if broken is None:
            break
        problem = Problem(file, broken[0] + line + 1, broken[1] + 1, broken[2])
        if problem not in problems:
            problems.append(problem)
        resume = _next_document(text, offset, broken[0])
        if resume is None:
            break
        line += text.count("\n", offset, resume)
        offset = resume
    return documents, problems


def _compose_all(text: str, builder: "_Builder", documents: list[Document]) -> tuple[int, int, str] | None:
    """Adds the documents of `text`; returns line and column (from 0) and cause where it is broken."""
    composer = None
    try:
        composer = _composer(text)
        while composer.check_node():
            document = builder.document(cast(Node, composer.get_node()), text)
            if document is not None:
                documents.append(document)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = " ".join(part for part in (error.problem, error.context) if part)
        return (mark.line, mark.column, why) if mark else (0, 0, why)
    except yaml.reader.ReaderError as error:
        before = text.encode()[: error.position].decode("utf-8", "replace")
        return before.count("\n"), len(before) - before.rfind("\n") - 1, str(error.reason)
    except _Deep:
        return _deep_line(text), 0, f"nested more than {MAX_DEPTH} deep"
    finally:
        if composer is not None:
            composer.dispose()
    return None


def segment(text: str, offset: int) -> tuple[int, int]:
    """The part of `text` between the document markers around `offset`."""
    after = _MARKER.search(text, offset + 3)
    end = after.start() if after else len(text)
    start = text.rfind("---", 0, offset + 3)
    while start > 0 and not (text[start - 1] == "\n" and _MARKER.match(text, start)):
        start = text.rfind("---", 0, start)
    return max(start, 0), end


def compose_one(text: str) -> Node | None:
    """The node of the one document of `text`; None where it is broken."""
    composer = _composer(text)
    try:
        return composer.get_node() if composer.check_node() else None
    except (yaml.YAMLError, _Deep):
        return None
    finally:
        composer.dispose()


def position_yaml(node: Any, path: Path) -> int:
    """Offset, in the text that `node` was composed from, of what stands at `path` below it."""
    at = node.start_mark.index
    for step in path:
        if isinstance(node, MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if found is None:
                break
            key, node = found
            at = key.start_mark.index
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            at = node.start_mark.index
        else:
            break
    return int(at)


def _deep_line(text: str) -> int:
    """The line at which events first go deeper than MAX_DEPTH; libyaml's parser does not recurse."""
    parser, depth = CParser(text), 0
    try:
        while parser.check_event():
            event: Any = parser.get_event()
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                return int(event.start_mark.line)
    finally:
        parser.dispose()
    return 0


def _next_document(text: str, offset: int, line: int) -> int | None:
    """Where the document after the one that broke at `line` (counted from `offset`) begins."""
    at = offset
    for _ in range(line):
        at = text.find("\n", at) + 1
        if at == 0:
            return None
    # An unfinished node is noticed at the next marker, which then begins a sound document.
    marker = _MARKER.search(text, at if at > offset else offset + 3)
    while marker is not None and marker.group() == "...":
        marker = _MARKER.search(text, marker.end())
    return None if marker is None else marker.start()


_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".inf": float("inf"), ".Inf": float("inf"), ".INF": float("inf"),
    "+.inf": float("inf"), "+.Inf": float("inf"), "+.INF": float("inf"),
    "-.inf": float("-inf"), "-.Inf": float("-inf"), "-.INF": float("-inf"),
    ".nan": float("nan"), ".NaN": float("nan"), ".NAN": float("nan"),
}  # fmt: skip
_NUMERIC = frozenset("0123456789+-.")
_SPECIAL = _NUMERIC | frozenset("~nNtTfF")
"""What a plain scalar that is not text begins with."""
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_BASED = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")


def _plain(text: str) -> Doc:
    """A plain scalar by the core schema (YAML 1.2.2 section 10.3.2). ValueError: a number too long."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    if len(text) > MAX_DIGITS and (_FLOAT.match(text) or _BASED.match(text)):
        raise ValueError(f"a number of more than {MAX_DIGITS} digits; quote it if it is text")
    if _INT.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    return int(text, 0) if _BASED.match(text) else text


_TAG = "tag:yaml.org,2002:"


def _tagged(node: ScalarNode) -> Doc:
    """A scalar with an explicit tag. ValueError: an unknown tag, or not of that type."""
    kind = node.tag.removeprefix(_TAG)
    if kind == "str" or node.tag == "!":
        return node.value
    if kind == "binary":
        return {"base64": "".join(node.value.split())}
    if kind not in {"int", "float", "bool", "null"}:
        raise ValueError(f"unknown tag `{node.tag}`")
    value = _plain(node.value)
    if kind == "float" and type(value) is int:
        return float(value)
    if {"int": int, "float": float, "bool": bool, "null": type(None)}[kind] is not type(value):
        raise ValueError(f"`{node.value}` is no {kind}")
    return value


class _Builder:
    """Builds plain data from the nodes of one file; notes problems and builds on."""

    def __init__(self, file: str, line: int, problems: list[Problem]) -> None:
        self._file = file
        self._line = line
        self._problems = problems
        self._anchored = False
        self._seen: set[int] = set()
        self._aliased = 0

    def document(self, node: Node, text: str) -> Document | None:
        """None when something in it is wrong, which is then among the problems."""
        known = len(self._problems)
        start = node.start_mark
        # Only a document with an anchor can hold more than its text; the rest is spared the counting.
        self._anchored = text.find("&", start.index, node.end_mark.index) >= 0
        if self._anchored:
            self._seen, self._aliased = set(), 0
        value = self._build(node, 0)
        if len(self._problems) > known:
            return None
        lines: tuple[int, ...] = ()
        if type(node) is SequenceNode:
            lines = tuple(item.start_mark.line + self._line + 1 for item in node.value)
        return Document(value, start.line + self._line + 1, lines)

    def _wrong(self, node: Node, why: str) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            mark = node.start_mark
            self._problems.append(Problem(self._file, mark.line + self._line + 1, mark.column + 1, why))

    def _build(self, node: Any, depth: int) -> Doc:
        if self._anchored and not self._may_enter(node):
            return None
        kind = type(node)
        if kind is ScalarNode:
            if node.tag is None:
                text = node.value
                if node.style or (text and text[0] not in _SPECIAL):
                    return text
            return self._scalar(node)
        if depth >= MAX_DEPTH:
            self._wrong(node, f"nested more than {MAX_DEPTH} deep")
            return None
        if node.tag is not None and node.tag not in _COLLECTIONS[kind]:
            self._wrong(node, f"unknown tag `{node.tag}`")
        if kind is MappingNode:
            return self._mapping(node, depth + 1)
        build = self._build
        return [build(item, depth + 1) for item in node.value]

    def _scalar(self, node: ScalarNode) -> Doc:
        try:
            return _tagged(node) if node.tag else _plain(node.value)
        except ValueError as error:
            self._wrong(node, str(error))
            return None

    def _mapping(self, node: MappingNode, depth: int) -> dict[str, Doc]:
        built: dict[str, Doc] = {}
        merged: list[tuple[Node, Doc]] = []
        for key, item in node.value:
            value = self._build(item, depth)
            if type(key) is not ScalarNode:
                self._wrong(key, "a key must be text, not a mapping or a list")
                continue
            name = key.value
            if name == "<<" and not key.style:
                merged.append((item, value))
            elif name in built:
                self._wrong(key, f"the key `{name}` occurs twice")
            else:
                built[name] = value
        return self._merge(built, merged) if merged else built

    def _merge(self, built: dict[str, Doc], merged: list[tuple[Node, Doc]]) -> dict[str, Doc]:
        """`<<`: what the mapping says itself wins, then the earlier of the merged mappings."""
        result: dict[str, Doc] = {}
        for node, value in merged:
            for part in value if isinstance(value, list) else [value]:
                if not isinstance(part, dict):
                    self._wrong(node, "`<<` takes a mapping or a list of mappings")
                    continue
                result.update({key: item for key, item in part.items() if key not in result})
        return result | built

    def _may_enter(self, node: Node) -> bool:
        """Counts what stands here because of an alias: nodes, and the text they hold."""
        if id(node) not in self._seen:
            self._seen.add(id(node))
            return True
        known = self._aliased > MAX_ALIASED
        self._aliased += 1 + len(node.value) // (100 if type(node) is ScalarNode else 1)
        if self._aliased > MAX_ALIASED and not known:
            self._wrong(node, f"aliases add more than {MAX_ALIASED} nodes to the document")
        return self._aliased <= MAX_ALIASED


_COLLECTIONS = {MappingNode: (f"{_TAG}map", "!"), SequenceNode: (f"{_TAG}seq", "!")}
