"""JSON positions: the walker must find what a person would point at."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock.jsonin import position_json, read_json

leaves = st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5)
trees = st.recursive(
    leaves,
    lambda t: st.lists(t, max_size=3) | st.dictionaries(st.text(max_size=3), t, max_size=3),
    max_leaves=12,
)


def paths(value: Any) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [(), *((k, *p) for k, v in value.items() for p in paths(v))]
    if isinstance(value, list):
        return [(), *((i, *p) for i, v in enumerate(value) for p in paths(v))]
    return [()]


@settings(max_examples=100, deadline=None)
@given(trees, st.sampled_from([None, 1]), st.booleans())
def test_every_node_is_found_where_it_stands(tree: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(tree, indent=indent, ensure_ascii=ascii_only)
    decoder = json.JSONDecoder()
    for path in paths(tree):
        at = position_json(text, path)
        node = tree
        for step in path:
            node = node[step]
        found, _ = decoder.raw_decode(text, at)
        assert found == (path[-1] if path and isinstance(path[-1], str) else node)


def test_lines_of_items_are_counted_past_equal_items() -> None:
    (document,), _ = read_json('[\n1,\n1,1,\n\n"1",\n[1\n],1]', "a.json")
    assert document.lines == (2, 3, 3, 5, 6, 7)
