"""Warnings about routes that are right by themselves: hidden ones, unsaid turns, lost bodies."""

import hashlib
from pathlib import Path

import pytest

from svcmock.checks import MAX_WARNINGS, cross_check
from svcmock.project import load
from svcmock.registry import discover

GET = "{request: {path: /a}, respond: {body: a}%s}"


def warnings(root: Path, *routes: str, protocol: str = "http") -> list[str]:
    (root / "routes").mkdir(exist_ok=True)
    (root / "routes/a.yaml").write_text("".join(f"- {route}\n" for route in routes))
    graph = f"version: 1\nservices:\n  shop: {{listen: 0, protocol: {protocol}, routes: routes/}}\n"
    (root / "svcmock.yaml").write_text(graph)
    loaded = load(root, discover().plugins)
    assert loaded.problems == []
    return [str(problem) for problem in cross_check(root, loaded.responders["shop"])]


def test_routes_that_take_turns_without_saying_so(tmp_path: Path) -> None:
    """Said, or recorded, it is meant."""
    turns = "demands the same as routes/a.yaml:1; they take turns (policy: sequence)"
    assert warnings(tmp_path, GET % "", GET % "") == [f"routes/a.yaml:2:1: warning: {turns}"]
    assert warnings(tmp_path, GET % ", policy: cycle", GET % ", policy: cycle") == []
    recorded = ", recorded: {took: 1ms}"
    assert warnings(tmp_path, GET % recorded, GET % recorded) == []
    assert warnings(tmp_path, GET % "", "{request: {path: /b}, respond: {}}") == []


def test_routes_of_one_statement_that_differ_in_parameters_take_no_turns(tmp_path: Path) -> None:
    """Though any of them says what the columns are, where the statement is described without parameters."""
    routes = [
        f"{{request: {{sql: 'SELECT $1', params: [{number}]}}, respond: {{columns: [n], rows: [[x{number}]]}}}}"
        for number in (1, 2, 2)
    ]
    assert warnings(tmp_path, *routes[:2], protocol="postgres") == []
    turns = "demands the same as routes/a.yaml:2; they take turns (policy: sequence)"
    assert warnings(tmp_path, *routes, protocol="postgres") == [f"routes/a.yaml:3:1: warning: {turns}"]


def test_patterns_that_take_turns(tmp_path: Path) -> None:
    route = "{match: {path: '/u/{id}'}, respond: {}}"
    assert len(warnings(tmp_path, route, route)) == 1


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("{path: {prefix: /b}}", "its `match` does not hold for its own `request`"),
        ("{path: {prefix: /}}", "its own `request` is answered by routes/a.yaml:1"),
    ],
)
def test_routes_that_another_one_hides(tmp_path: Path, match: str, expected: str) -> None:
    found = warnings(tmp_path, GET % "", f"{{request: {{path: /a}}, match: {match}, respond: {{}}}}")
    assert found == [f"routes/a.yaml:2:1: warning: {expected}"]


def test_a_match_that_holds_for_its_request(tmp_path: Path) -> None:
    assert warnings(tmp_path, "{request: {path: /a}, match: {path: {prefix: /a}}, respond: {}}") == []


def test_bodies_that_are_not_what_their_name_says(tmp_path: Path) -> None:
    bodies = tmp_path / "routes/bodies"
    bodies.mkdir(parents=True)
    right, wrong = hashlib.sha256(b"right").hexdigest(), hashlib.sha256(b"wrong").hexdigest()
    (bodies / right).write_bytes(b"right")
    (bodies / wrong).write_bytes(b"edited")
    (bodies / "notes").write_bytes(b"no hash")
    expected = f"routes/bodies/{wrong}:1:1: warning: its bytes do not have the hash that its name says"
    assert warnings(tmp_path, GET % "") == [expected]


def test_the_list_ends(tmp_path: Path) -> None:
    assert len(warnings(tmp_path, *[GET % ""] * (MAX_WARNINGS + 10))) == MAX_WARNINGS
