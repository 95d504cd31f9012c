"""Route documents as entries: their keys, their problems, and the bytes they are kept as."""

from typing import Any

import pytest

from svcmock.compile import AHEAD, CompiledFile, compile_file, packed, route_of, unpacked
from svcmock.model import RouteDoc
from svcmock.protocol import Blob, Invalid
from svcmock_protocols.http import plugin
from svcmock_protocols.postgres import plugin as postgres
from tests.routes import CONTEXT


class OneFile:
    def __call__(self, name: str) -> Blob:
        if name != "b.bin":
            raise Invalid((), f"there is no file `{name}`")
        return Blob("p/b.bin", 4, 0, "aa")

    def read(self, blob: Blob) -> bytes:
        return b"body"


def compiled(text: str, name: str = "r.yaml") -> tuple[CompiledFile, list[str]]:
    made, problems = compile_file(text.encode(), name, plugin, lambda _: CONTEXT, OneFile())
    return made, [str(problem) for problem in problems]


def test_an_exact_route_has_a_key_and_its_conditions() -> None:
    made, problems = compiled(
        "request: {path: /a, headers: [[X-B, '2'], [X-A, '1']]}\nrespond: {status: 204}\n"
    )
    assert problems == []
    (entry,) = made.entries
    assert entry.key == b"/a\0GET\0\0"
    assert (entry.names, entry.values) == (("headers.x-a", "headers.x-b"), (b"1", b"2"))
    assert (entry.line, entry.match, made.tokens) == (1, b"", False)
    assert route_of(entry.doc).respond == {"status": 204}


def test_a_route_with_predicates_has_its_demand_whatever_the_order_of_its_keys() -> None:
    made, problems = compiled(
        "match: {path: /a, method: GET}\nrespond: {}\n---\n"
        "match: {method: GET, path: /a}\nrespond: {status: 404}\n"
    )
    assert problems == []
    first, second = made.entries
    assert first.match == second.match
    assert first.key == b""
    assert (first.line, second.line) == (1, 4)


def test_files_that_are_referred_to_are_noted() -> None:
    made, _ = compiled("request: {path: /a}\nrespond: {body: {file: b.bin}}\n")
    assert made.files == [("p/b.bin", 4)]


def test_tokens_are_noticed() -> None:
    made, _ = compiled(
        "request: {path: /a, headers: [[X-Api-Key, svcmock-aaaaaaaaaaaaaaaaaaaaaaaa]]}\nrespond: {}\n"
    )
    assert made.tokens


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("respond: {}\n", ["r.yaml:1:1: a route needs `request`, or `match` with predicates"]),
        (
            "request: {path: /a}\nrespond: {stauts: 200}\n",
            ["r.yaml:2:11: unknown key `stauts`; did you mean `status`?"],
        ),
        ("request: {path: /a}\nrespond: {body: {file: no}}\n", ["r.yaml:2:18: there is no file `no`"]),
        (
            "request: {path: /a}\nrespond: {json: '{{'}\ntemplate: true\n",
            ["r.yaml:2:11: "],
        ),
        ("match: {path: {gt: x}}\nrespond: {status: x}\n", ["r.yaml:1:", "r.yaml:2:11: "]),
    ],
)
def test_every_problem_has_its_place(text: str, problems: list[str]) -> None:
    made, found = compiled(text)
    assert made.entries == []
    assert len(found) >= len(problems)
    for start in problems:
        assert any(problem.startswith(start) for problem in found), found


def test_one_broken_route_leaves_the_others() -> None:
    made, found = compiled("request: {path: /a}\nrespond: {}\n---\nrespond: {}\n---\nmatch: {}\nrespond: {}\n")
    assert [entry.line for entry in made.entries] == [1, 6]
    assert len(found) == 1


@pytest.mark.parametrize("value", [{"n": 10**30}, {"t": "\ud800"}, {"a": 1, "b": [None, 1.5, True]}, {}])
def test_any_plain_data_can_be_packed(value: Any) -> None:
    assert unpacked(packed(value)) == value
    route = RouteDoc(respond=value, name="n", ignore=("json.x",))
    assert route_of(packed(route)) == route


def test_equal_mappings_are_packed_alike_and_values_of_other_types_not() -> None:
    for big in (1, 10**30):
        assert packed({"a": big, "b": 2}) == packed({"b": 2, "a": big})
    assert len({packed({"a": value}) for value in (1, True, "1", 1.5)}) == 4


def test_routes_that_answer_the_same_are_told_by_what_clients_would_see() -> None:
    def said(text: str, name: str = "a/r.yaml") -> bytes:
        (entry,) = compiled(text, name)[0].entries
        return entry.said

    plain = "request: {path: /a}\nrespond: {json: {a: 1, b: 2}}\n"
    assert said(plain) == said(f"name: other\n{plain}") == said(plain.replace("/a", "/b")) != b""
    assert said(plain) == said("match: {path: {prefix: /}}\nrespond: {json: {a: 1, b: 2}}\n")
    others = {
        said(plain.replace("a: 1, b: 2", "b: 2, a: 1")),
        said(plain.replace("1", "true")),
        said(f"delay: 1s\n{plain}"),
        said(plain, "b/r.yaml"),
    }
    assert len(others | {said(plain)}) == 5
    assert said(f"template: true\n{plain}") == b""


def test_what_a_route_says_before_it_answers_is_a_route_of_its_own() -> None:
    """Only where that is right: it must not make a problem of what clients may never ask."""

    def entries(text: str) -> list[tuple[int, int, bytes]]:
        found, problems = compile_file(text.encode(), "r.yaml", postgres, lambda _: CONTEXT, OneFile())
        assert problems == []
        return [(entry.line, entry.part, entry.key) for entry in found.entries]

    made = "template: true\nrespond: {columns: [{name: a, type: int4}], rows: [['{{ request.sql }}']]}\n"
    (whole, ahead) = entries(f"request: {{sql: SELECT a}}\n{made}")
    assert whole == (1, -1, b"SELECT a\0query\0\0")
    assert ahead == (1, AHEAD, b"SELECT a\0describe\0\0")
    assert [part for _, part, _ in entries(f"match: {{sql: SELECT a}}\n{made}")] == [-1, AHEAD]
    assert len(entries("match: {sql: SELECT a}\nrespond: {rows: []}\ntemplate: true\n")) == 1
    templated = made.replace("int4", "'{{ request.sql }}'")
    assert len(entries(f"match: {{sql: SELECT a}}\n{templated}")) == 1
    wrong = "match: {sql: SELECT a}\ntemplate: true\nrespond: {columns: [{name: a, type: unheard_of}]}\n"
    assert len(entries(wrong)) == 1
