"""Route files as plain data whose scalars are all text: enough to find the tapes in them, at half the cost.

Follows `svcmock`'s reading of YAML where that matters to a tape: anchors, aliases and `<<`, `!!binary`, what is
null, and a last document that was cut off and is no document. What cannot be read ends what is found: whoever
compiles the routes tells what is wrong.
"""

from typing import Any, Final, cast

import yaml
from yaml._yaml import CParser
from yaml.nodes import MappingNode, ScalarNode, SequenceNode

MAX_DEPTH: Final = 100
"""Collections inside each other."""
SHALLOW: Final = 2048
"""Characters of a document that cannot nest deeper than the C stack bears."""
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BINARY: Final = "tag:yaml.org,2002:binary"


class _Composer(CParser):
    """libyaml's composer, which recurses in C, without PyYAML's resolver."""

    def resolve(self, _kind: Any, _value: Any, _implicit: Any) -> None: ...

    def descend_resolver(self, _node: Any, _index: Any) -> None: ...

    def ascend_resolver(self) -> None: ...


class _Bounded(_Composer):
    """For documents of any length."""

    depth = 0

    def descend_resolver(self, _node: Any, _index: Any) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.YAMLError("nested too deep")

    def ascend_resolver(self) -> None:
        self.depth -= 1


def read(text: str) -> list[Any]:
    """The documents up to the first that is broken, without what was recorded about them."""
    found: list[Any] = []
    shallow = all(len(document) <= SHALLOW for document in text.split("\n---\n"))
    composer: Any = None
    try:
        composer = _Composer(text) if shallow else _Bounded(text)
        while composer.check_node():
            found.append(_plain(composer.get_node(), {}))
    except (yaml.YAMLError, ValueError, RecursionError):
        return found
    finally:
        if composer is not None:
            composer.dispose()
    if found and _torn(found[-1], text):
        found.pop()
    return found


def _torn(last: Any, text: str) -> bool:
    """Whether the last document was recorded and never finished."""
    return isinstance(last, dict) and "recorded" in last and text.rstrip().rpartition("\n")[2] != "..."


def _plain(node: Any, known: dict[int, Any]) -> Any:
    """A node as data. `known`: what collections were made into, since aliases may repeat one time and again."""
    if isinstance(node, ScalarNode):
        if node.tag == _BINARY:
            return {"base64": node.value}
        return None if not node.style and node.value in _NULL else node.value
    made = known.get(id(node))
    if made is None:
        made = known[id(node)] = _collection(node, known)
    return made


def _collection(node: Any, known: dict[int, Any]) -> Any:
    if isinstance(node, SequenceNode):
        return [_plain(item, known) for item in node.value]
    made: dict[str, Any] = {}
    for key, value in cast(MappingNode, node).value:
        name = key.value if isinstance(key, ScalarNode) else ""
        if name == "recorded":
            made[name] = True  # nothing of it concerns a tape
        elif name == "<<" and not key.style:
            several = _plain(value, known)
            for one in several if isinstance(several, list) else [several]:
                made = {**one, **made} if isinstance(one, dict) else made
        else:
            made[name] = _plain(value, known)
    return made
