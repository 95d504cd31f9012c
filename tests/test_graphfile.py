"""Services of the command line in `svcmock.yaml`: added where they are not, never over what is there."""

import re
from pathlib import Path

import pytest

from svcmock.config import load_graph
from svcmock.graphfile import Spec, SpecError, add, parse
from svcmock.registry import discover

PLUGINS = discover().plugins
CATALOG = Spec("catalog", "8081", "http", "http://127.0.0.1:8000")


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("catalog:8081=http://127.0.0.1:8000", CATALOG),
        ("a-b.c_d:0.0.0.0:1=https://x/y?z=1", Spec("a-b.c_d", "0.0.0.0:1", "http", "https://x/y?z=1")),
        ("a:unix:s.sock=http://x", Spec("a", "unix:s.sock", "http", "http://x")),
        ("a:[::1]:0=http://[::1]:80", Spec("a", "[::1]:0", "http", "http://[::1]:80")),
    ],
)
def test_name_port_url(text: str, spec: Spec) -> None:
    assert parse(text, PLUGINS) == spec


@pytest.mark.parametrize(
    "text",
    ["", "a", "a=http://x", "a:1", "a:1=x", ":1=http://x", "-a:1=http://x", "a:1=http://", "a b:1=http://x"],
)
def test_what_is_none_is_told_with_an_example(text: str) -> None:
    with pytest.raises(SpecError, match="is not NAME:PORT=URL, like catalog:8081=http://127"):
        parse(text, PLUGINS)


def test_a_scheme_that_nobody_speaks() -> None:
    schemes = sorted({scheme for plugin in PLUGINS.values() for scheme in plugin.schemes})
    assert {"http", "postgres", "redis", "tcp"} < {*schemes}
    known = re.escape(f"(known: {', '.join(schemes)})")
    with pytest.raises(SpecError, match=r"no protocol is known for gopher:// " + known):
        parse("a:1=gopher://x", PLUGINS)


def test_a_new_project_is_written_and_loads(tmp_path: Path) -> None:
    root = tmp_path / "new/shop"
    assert add(root, [CATALOG, Spec("cart", "unix:s", "http", "https://cart")]) == ["catalog", "cart"]
    graph, problems = load_graph(root, PLUGINS)
    assert graph is not None, problems
    assert [(str(s.listen), s.upstream) for s in graph.services.values()] == [
        ("127.0.0.1:8081", "http://127.0.0.1:8000"),
        (f"unix:{root}/s", "https://cart"),
    ]
    assert sorted(path.name for path in root.iterdir()) == ["svcmock.yaml"]


def test_what_is_there_stays_as_it_was_written(tmp_path: Path) -> None:
    """Comments, order and style; what is there already is not added again, on whatever spelling of the port."""
    before = "# mine\nversion: 1\nservices:\n  cart: {listen: 1}   # first\n"
    (tmp_path / "svcmock.yaml").write_text(before)
    assert add(tmp_path, [CATALOG]) == ["catalog"]
    once = (tmp_path / "svcmock.yaml").read_text()
    assert once.startswith(before + "  catalog:\n    listen: 8081\n")
    assert add(tmp_path, [CATALOG, Spec("catalog", "127.0.0.1:8081", "http", CATALOG.url)]) == []
    assert (tmp_path / "svcmock.yaml").read_text() == once


@pytest.mark.parametrize(
    "spec", [Spec("catalog", "8082", "http", CATALOG.url), Spec("catalog", "8081", "http", "http://other")]
)
def test_what_says_otherwise_is_a_conflict(tmp_path: Path, spec: Spec) -> None:
    add(tmp_path, [CATALOG])
    before = (tmp_path / "svcmock.yaml").read_text()
    with pytest.raises(SpecError, match="service catalog is there and says otherwise"):
        add(tmp_path, [spec])
    assert (tmp_path / "svcmock.yaml").read_text() == before


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nservices:\n  cart: {listen: 1}\nadmin: {listen: 'unix:a'}\n",
        "version: 1\nservices: {cart: {listen: 1}}\n",
        "{version: 1, services: {cart: {listen: 1}}}\n",
    ],
)
def test_where_it_cannot_be_added_safely_the_lines_are_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "svcmock.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        add(tmp_path, [CATALOG])
    assert "svcmock.yaml:" in str(caught.value)
    assert (tmp_path / "svcmock.yaml").read_text() == text


def test_a_broken_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "svcmock.yaml").write_text("services: [")
    with pytest.raises(SpecError, match=r"svcmock.yaml:\d+:\d+: "):
        add(tmp_path, [CATALOG])
