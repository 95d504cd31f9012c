"""Every problem of a value at once, each where it stands."""

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct, field

from svcmock.convert import convert_all
from svcmock.documents import read, where


class Part(Struct, forbid_unknown_fields=True):
    x: int
    y: Literal["a", "b"] = "a"


class Whole(Struct, forbid_unknown_fields=True):
    name: str
    port: Annotated[int, Meta(ge=1, le=9)] = 1
    parts: tuple[Part, ...] = ()
    by_name: dict[str, Part] = {}
    text: str | list[str] | None = None
    part: Part | None = None
    quick: bool = field(name="re-q", default=False)


def convert(text: bytes) -> tuple[Whole | None, list[str]]:
    ((document,), _) = read(text, "f.yaml")
    value, problems = convert_all(document.value, Whole, where(text, "f.yaml", document))
    return value, [str(problem) for problem in problems]


def test_what_is_right_is_converted() -> None:
    assert convert(b"{name: a, parts: [{x: 1}], re-q: true}") == (Whole("a", parts=(Part(1),), quick=True), [])


def test_every_problem_is_told_where_it_stands() -> None:
    text = b"""prot: 3
port: 12
parts: [{x: q}, {y: c}, {x: 1}, {x: 2, z: 3}, {x: 1, y: 5}]
by_name: {a: {x: 1}, 'b c': {x: {}}, d.e: 3}
text: 3
part: {x: 1.5}
re-q: [1]
"""
    assert convert(text) == (
        None,
        [
            "f.yaml:1:1: unknown key `prot`; did you mean `port`?",
            "f.yaml:2:1: expected a whole number <= 9",
            "f.yaml:3:10: expected a whole number, got text",
            "f.yaml:3:18: expected `a` or `b`, got `c`",
            "f.yaml:3:17: the key `x` is missing",
            "f.yaml:3:40: unknown key `z`; known here: x, y",
            "f.yaml:3:54: expected `a` or `b`, got `5`",
            "f.yaml:4:30: expected a whole number, got a mapping",
            "f.yaml:4:38: expected a mapping, got a whole number",
            "f.yaml:5:1: expected text or a list or nothing, got a whole number",
            "f.yaml:6:8: expected a whole number, got a number",
            "f.yaml:7:1: expected true or false, got a list",
            "f.yaml:1:1: the key `name` is missing",
        ],
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"[1]", "f.yaml:1:1: expected a mapping, got a list"),
        (b"x", "f.yaml:1:1: expected a mapping, got text"),
        (b"{name: a, '` - at `$.b': 1}", "f.yaml:1:1: Object contains unknown field"),
        (b"{name: a, '': 1}", "f.yaml:1:11: unknown key ``"),
    ],
)
def test_a_problem_alone(text: bytes, problem: str) -> None:
    _, problems = convert(text)
    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_the_value_is_left_as_it_was() -> None:
    value = {"name": 3, "parts": [{"x": "q"}]}
    convert_all(value, Whole, where(b"{}", "f.yaml", read(b"{}", "f.yaml")[0][0]))
    assert value == {"name": 3, "parts": [{"x": "q"}]}


values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("x$.`[] -at", max_size=6),
    lambda v: (
        st.lists(v, max_size=3)
        | st.dictionaries(
            st.sampled_from(["x", "y", "name", "port", "parts", "by_name", "part", "a.b", "$[0]"]),
            v,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=80, deadline=None)
@given(values)
def test_anything_gives_a_value_or_problems(value: Any) -> None:
    data = b"a: 1"
    at = where(data, "f.yaml", read(data, "f.yaml")[0][0])
    converted, problems = convert_all(value, Whole, at)
    assert (converted is not None) or problems
