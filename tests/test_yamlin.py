"""YAML as plain data: the core schema with its three exceptions, and every bound."""

import math

import pytest

from svcmock.yamlin import read_yaml


def value(text: str) -> object:
    (document,), problems = read_yaml(text, "a.yaml")
    assert problems == []
    return document.value


def told(text: str) -> list[str]:
    return [str(problem) for problem in read_yaml(text, "a.yaml")[1]]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a: ", None),
        ("a: ~", None),
        ("a: null", None),
        ("a: Null", None),
        ("a: nULL", "nULL"),
        ("a: true", True),
        ("a: FALSE", False),
        ("a: yes", "yes"),
        ("a: no", "no"),
        ("a: on", "on"),
        ("a: y", "y"),
        ("a: 0", 0),
        ("a: -7", -7),
        ("a: +7", 7),
        ("a: 012", "012"),
        ("a: -012", "-012"),
        ("a: 1_000", "1_000"),
        ("a: 0x1F", 31),
        ("a: 0o17", 15),
        ("a: 0b1", "0b1"),
        ("a: 1:20", "1:20"),
        ("a: 2026-11-23", "2026-11-23"),
        ("a: 1.5", 1.5),
        ("a: 1e3", 1000.0),
        ("a: .5", 0.5),
        ("a: 1.", 1.0),
        ("a: -.inf", -math.inf),
        ("a: 00.5", "00.5"),
        ("a: .", "."),
        ("a: +", "+"),
        ("a: 1.2.3", "1.2.3"),
        ("a: 7up", "7up"),
        ("a: '7'", "7"),
        ('a: "true"', "true"),
        ("a: ''", ""),
        ("a: |\n  7\n", "7\n"),
        ("a: >-\n  null\n", "null"),
        ("a: !!str 7", "7"),
        ("a: !!int '7'", 7),
        ("a: !!float 7", 7.0),
        ("a: !!bool 'true'", True),
        ("a: !!null ''", None),
        ("a: !!binary |\n  aGk=\n", {"base64": "aGk="}),
        ("a: !!map {}", {}),
        ("a: !!seq []", []),
        ("a: {b: &x v, c: *x}", {"b": "v", "c": "v"}),
    ],
)
def test_scalars(text: str, want: object) -> None:
    got = value(text)
    assert got == {"a": want}
    assert type(got["a"]) is type(want)


def test_keys_are_the_text_that_stands_there() -> None:
    assert value("404: a\ntrue: b\n1.0: c\n'': d\n~: e") == {
        "404": "a",
        "true": "b",
        "1.0": "c",
        "": "d",
        "~": "e",
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "a.yaml:3:1: the key `a` occurs twice"),
        ("{[1]: 2}", "a.yaml:1:2: a key must be text, not a mapping or a list"),
        (
            "a: !!python/object:os.system x",
            "a.yaml:1:4: unknown tag `tag:yaml.org,2002:python/object:os.system`",
        ),
        ("a: !foo [1]", "a.yaml:1:4: unknown tag `!foo`"),
        ("a: !!int x", "a.yaml:1:4: `x` is no int"),
        ("a: !!bool 1", "a.yaml:1:4: `1` is no bool"),
        ("a: 1\n<<: 3", "a.yaml:2:5: `<<` takes a mapping or a list of mappings"),
        ("a: *x", "a.yaml:1:4: found undefined alias"),
        (
            "a: 1\n\tb: 2",
            "a.yaml:2:1: found a tab character that violates indentation while scanning a plain scalar",
        ),
        ("a: 1\nb: \x07", "a.yaml:2:4: control characters are not allowed"),
        ("a: " + "9" * 1001, "a.yaml:1:4: a number of more than 1000 digits; quote it if it is text"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, problem: str) -> None:
    documents, problems = read_yaml(text, "a.yaml")
    assert [str(p) for p in problems] == [problem]
    assert documents == []


def test_all_problems_of_a_document_are_told() -> None:
    assert len(told("{a: !x 1, a: 2, b: !!int q}\n---\nc: *no")) == 4


@pytest.mark.parametrize("unit", ["[", "{a: ", "- ", "? "])
@pytest.mark.parametrize("times", [101, 1500, 1_000_000])
def test_depth_is_bounded(unit: str, times: int) -> None:
    assert told(unit * times) != []


def test_a_hundred_levels_are_read_and_one_more_is_named() -> None:
    assert told("[" * 100 + "]" * 100) == []
    assert "nested more than 100 deep" in told("[" * 101 + "]" * 101)[0]
    assert "nested more than 100 deep" in told(" " * 3000 + "[" * 101 + "]" * 101)[0]


def test_aliases_cannot_multiply() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert ["aliases add more than 100000 nodes" in problem for problem in told("\n".join(rows))] == [True]
    long = "a: &a '" + "x" * 100_000 + "'\nb: [" + ", ".join(["*a"] * 1000) + "]"
    assert "aliases add more" in told(long)[0]


def test_an_alias_that_holds_itself_ends() -> None:
    assert told("&a [*a]") != []
    assert told("&a [*a, *a, *a]") != []
    assert told("&a {<<: *a, b: 1}") != []


def test_many_broken_documents_are_bounded() -> None:
    assert len(told("a: }\n---\n" * 200_000)) == 100
