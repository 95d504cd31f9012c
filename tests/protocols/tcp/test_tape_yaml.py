"""Route files read for their tapes: the same as the loader of routes reads there, with all scalars as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.documents import read as read_routes
from svcmock.yamlout import emit
from svcmock_protocols.tcp.tape_yaml import MAX_DEPTH, SHALLOW, read


def test_documents_are_read() -> None:
    text = "a: 1\n---\n- {b: yes, c: [x, '', ~]}\n...\n---\nd: |\n  two\n  lines\n"
    assert read(text) == [{"a": "1"}, [{"b": "yes", "c": ["x", "", None]}], {"d": "two\nlines\n"}]


@pytest.mark.parametrize("null", ["~", "null", "Null", ""])
def test_nothing_is_nothing_unless_it_is_quoted(null: str) -> None:
    assert read(f"a: {null}\nb: '{null}'\n") == [{"a": None, "b": null}]


def test_aliases_and_merges_are_followed() -> None:
    text = "x: &x {a: 1, b: 2}\ny: {<<: *x, a: 3}\nz: *x\nw: {<<: [*x, {c: 4}]}\nv: {<<: 5, '<<': 6}\n"
    (made,) = read(text)
    assert made["y"] == {"a": "3", "b": "2"}
    assert made["z"] == {"a": "1", "b": "2"}
    assert made["w"] == {"a": "1", "b": "2", "c": "4"}
    assert made["v"] == {"<<": "6"}


def test_a_bomb_is_none() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    (made,) = read("\n".join(lines))
    assert len(made) == 60


def test_binary_is_base64() -> None:
    assert read("a: !!binary AAEC\n") == [{"a": {"base64": "AAEC"}}]


def test_what_was_recorded_is_left_out() -> None:
    assert read("recorded: {at: x}\nrequest: 1\n...\n") == [{"recorded": True, "request": "1"}]


def test_what_is_broken_ends_what_is_found() -> None:
    assert read("a: 1\n---\nb: [\n---\nc: 3\n") == [{"a": "1"}]
    assert read("a: &x [*x]\n") == read("a: *none\n") == []


@pytest.mark.parametrize("pad", [0, 2 * SHALLOW])
def test_depth_is_bounded(pad: int) -> None:
    deep = "[" * 1000 + "]" * 1000
    assert read("a: " + "[" * 50 + "]" * 50 + " " * pad)
    assert read(deep + " " * pad + "\n" + "x" * (SHALLOW - 1000)) == []
    assert len(read("[" * MAX_DEPTH + "]" * MAX_DEPTH)) == 1


_TEXT = st.text(max_size=20).filter(lambda text: text != "recorded") | st.sampled_from(
    ["no", "1e3", "~", "null", "012", "<<", "a: b", "\r\n", "...", "---"]
)
_DATA = st.recursive(
    _TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3), max_leaves=8
)


@given(st.lists(st.dictionaries(_TEXT, _DATA, min_size=1, max_size=4), min_size=1, max_size=4))
def test_what_is_emitted_is_read_as_the_loader_reads_it(docs: list[dict[str, object]]) -> None:
    text = "".join(f"---\n{emit(doc)}...\n" for doc in docs)
    loaded, problems = read_routes(text.encode(), "a.yaml")
    assert problems == []
    assert read(text) == [document.value for document in loaded]
