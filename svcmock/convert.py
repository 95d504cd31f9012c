"""Plain data as structs, with every problem instead of the first.

msgspec stops at its first error. So the error is noted with its place, the offending node is taken out of a
copy, and the rest is converted again, until it converts or what is left cannot. Nothing is repaired: a result
that came with problems is only good for looking for further problems.
"""

import copy
import difflib
import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from svcmock.documents import Where
from svcmock.model import Problem
from svcmock.protocol import Doc

T = TypeVar("T")

MAX_ROUNDS = 50
"""Problems told about one value; each costs one conversion."""

_PLACE = re.compile(r" - at `(?:key in )?\$(.*)`\Z", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `")
_TYPE = re.compile(r"`([^`]*)`")
_NAMES = {
    "object": "a mapping", "array": "a list", "str": "text", "int": "a whole number", "float": "a number",
    "bool": "true or false", "null": "nothing",
}  # fmt: skip


def convert_all(value: Doc, kind: type[T], where: Where) -> tuple[T | None, list[Problem]]:
    """`value` as `kind` and every problem in it. None when what is left without them makes no `kind`."""
    try:
        return msgspec.convert(value, kind), []
    except msgspec.ValidationError:
        return _Pruning(value, kind, where).run()


def unknown_key(name: str, known: Iterable[str]) -> str:
    """The message for a key nobody knows, with the one that was probably meant."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"unknown key `{name}`; did you mean `{near[0]}`?"
    return f"unknown key `{name}`; known here: {', '.join(names)}" if names else f"unknown key `{name}`"


class _Pruning:
    """A value on its way to convert: what was taken out, and where what is left stood before."""

    def __init__(self, value: Doc, kind: Any, where: Where) -> None:
        self._value = copy.deepcopy(value)
        self._kind = kind
        self._info = inspect.type_info(kind)
        self._where = where
        self._problems: list[Problem] = []
        self._indexes: dict[int, list[int]] = {}
        self._removed: set[tuple[int, str]] = set()

    def run(self) -> tuple[Any, list[Problem]]:
        for _ in range(MAX_ROUNDS):
            try:
                return msgspec.convert(self._value, self._kind), self._problems
            except msgspec.ValidationError as error:
                if not self._prune(str(error)):
                    break
        return None, self._problems

    def _prune(self, message: str) -> bool:
        """Notes the problem and takes its cause out. False when that would take everything."""
        place = _PLACE.search(message)
        why = message[: place.start()] if place else message
        unknown = _UNKNOWN.match(why)
        try:
            path = self._path(place.group(1) if place else "", message)
            self._node((*path, unknown.group(1)) if unknown else path)
        except (LookupError, TypeError):  # a key with quotes and dots of its own
            self._problems.append(self._where.problem((), why))
            return False
        if unknown is not None:
            name = unknown.group(1)
            self._tell((*path, name), unknown_key(name, _fields(_at_type(self._info, path))))
            path = (*path, name)
        elif _MISSING.match(why):
            self._tell_missing(path)
        else:
            self._tell(path, _expectation(why, self._node(path), _at_type(self._info, path)))
        if not path:
            return False
        self._remove(path)
        return True

    def _tell(self, path: tuple[str | int, ...], message: str) -> None:
        """`path` is one of the pruned value; the reader knows the value he wrote."""
        original: list[str | int] = []
        node = self._value
        for step in path:
            known = self._indexes.get(id(node))
            original.append(known[step] if known is not None and isinstance(step, int) else step)
            node = node[step]
        self._problems.append(self._where.problem(original, message))

    def _tell_missing(self, path: tuple[str | int, ...]) -> None:
        node = self._node(path)
        for name, required in _fields(_at_type(self._info, path)).items():
            if required and name not in node and (id(node), name) not in self._removed:
                self._tell(path, f"the key `{name}` is missing")

    def _node(self, path: tuple[str | int, ...]) -> Doc:
        node = self._value
        for step in path:
            node = node[step]
        return node

    def _remove(self, path: tuple[str | int, ...]) -> None:
        parent, last = self._node(path[:-1]), path[-1]
        if isinstance(parent, list) and isinstance(last, int):
            self._indexes.setdefault(id(parent), list(range(len(parent)))).pop(last)
            parent.pop(last)
        else:
            del parent[last]
            self._removed.add((id(parent), str(last)))

    def _path(self, place: str, message: str) -> tuple[str | int, ...]:
        """msgspec's path as steps. It writes `[...]` for a mapping's key: the key is found by trying."""
        path: list[str | int] = []
        for match in _STEP.finditer(place):
            name, index = match.groups()
            if name is not None:
                path.append(name)
            elif index != "...":
                path.append(int(index))
            else:
                path.append(self._culprit(path, message))
        return tuple(path)

    def _culprit(self, path: list[str | int], message: str) -> str:
        mapping: dict[str, Doc] = self._node(tuple(path))
        whole = dict(mapping)
        found = next(iter(whole))
        for name, value in whole.items():
            mapping.clear()
            mapping[name] = value
            try:
                msgspec.convert(self._value, self._kind)
            except msgspec.ValidationError as error:
                if str(error) == message:
                    found = name
                    break
        mapping.clear()
        mapping.update(whole)
        return found


def _at_type(info: Any, path: Iterable[str | int]) -> Any:
    """The type that stands at `path` below `info`; None where it is not known."""
    for step in path:
        if isinstance(info, inspect.UnionType):
            info = next((t for t in info.types if isinstance(t, _CONTAINERS)), None)
        if isinstance(info, inspect.StructType):
            info = next((field.type for field in info.fields if field.encode_name == step), None)
        elif isinstance(info, inspect.DictType):
            info = info.value_type
        elif isinstance(info, inspect.ListType | inspect.VarTupleType):
            info = info.item_type
        else:
            return None
    return info


_CONTAINERS = (inspect.StructType, inspect.DictType, inspect.ListType, inspect.VarTupleType)


def _fields(info: Any) -> dict[str, bool]:
    """The keys of a struct type, and whether each is required."""
    if isinstance(info, inspect.UnionType):
        info = next((t for t in info.types if isinstance(t, inspect.StructType)), None)
    if not isinstance(info, inspect.StructType):
        return {}
    return {field.encode_name: field.required for field in info.fields}


def _expectation(why: str, node: Doc, info: Any) -> str:
    """msgspec's sentence in the words of someone who writes YAML."""
    types = info.types if isinstance(info, inspect.UnionType) else (info,)
    literals = [str(value) for t in types if isinstance(t, inspect.LiteralType) for value in t.values]
    if literals:
        shown = node if isinstance(node, str | int | float) else _kind_of(node)
        return f"expected {' or '.join(f'`{text}`' for text in literals)}, got `{shown}`"
    words = _TYPE.sub(
        lambda match: " or ".join(_NAMES.get(t, f"`{t}`") for t in match.group(1).split(" | ")), why
    )
    return words[:1].lower() + words[1:]


def _kind_of(node: Doc) -> str:
    return {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(node), "something else")
