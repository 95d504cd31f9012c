"""Templates: what expressions give, what they refuse, and that request data stays data."""

from typing import Any

import pytest

from svcmock.templates import TemplateError, compile_template, render

VALUES: dict[str, Any] = {
    "id": "42",
    "n": 7,
    "none": None,
    "request": {
        "path": "/users/42",
        "json": {"items": [{"name": "Ann"}, {"name": "Bob"}], "a b": True, "tags": ["x", "y"], "f": 1.5},
        "query": {"page": ["2", "3"], "empty": []},
        "headers": {"x-request-id": ["r1"]},
    },
}


def result(doc: Any, values: Any = VALUES) -> Any:
    template, problems = compile_template(doc)
    assert [problem.why for problem in problems] == []
    assert template is not None
    return render(template, values)


@pytest.mark.parametrize(
    ("doc", "want"),
    [
        ("plain } { text", "plain } { text"),
        ("{{ id }}", "42"),
        ("{{n}}", 7),
        ("{{ n }}!", "7!"),
        ("user {{ id }} of {{ request.json.items[1].name }}", "user 42 of Bob"),
        ("{{ request.json.items.0.name }}", "Ann"),
        ("{{ request.json['a b'] }}", True),
        ("is {{ request.json['a b'] }}, {{ none }}, {{ request.json.f }}", "is true, null, 1.5"),
        ("{{ request.json.tags }}", ["x", "y"]),
        ("t: {{ request.json.tags }}", 't: ["x","y"]'),
        ("{{ request.query.page }}", "2"),
        ("{{ request.query.page[1] }}", "3"),
        ("{{ request.headers.x-request-id }}", "r1"),
        ("{{ request.query.empty | default('none') }}", "none"),
        ("{{ gone.deep[3] | default(0) }}", 0),
        ("{{ none | default(-1.5) }}", -1.5),
        ('{{ none | default("a}}b") }}', "a}}b"),
        ("{{ none | default(null) }}", None),
        ("{{ request.json.items[0].name | upper }}", "ANN"),
        ("{{ request.path | lower | length }}", 9),
        ("{{ request.json.tags | length }}", 2),
        ("{{ request.json.tags | json }}", '["x","y"]'),
        ("{{ '{{' }}x}}", "{{x}}"),
        (
            {"a": ["{{ id }}", 1, {"b": "x{{ n }}"}], "{{ id }}": None},
            {"a": ["42", 1, {"b": "x7"}], "{{ id }}": None},
        ),
    ],
)
def test_what_a_template_gives(doc: Any, want: Any) -> None:
    got = result(doc)
    assert got == want
    assert type(got) is type(want)


def test_what_a_request_sent_is_not_a_template() -> None:
    hostile = "{{ request.json.secret }}"
    assert result("{{ x }} {{ x | upper }}", {"x": hostile}) == f"{hostile} {hostile.upper()}"
    assert result({"a": "{{ x }}"}, {"x": {"b": hostile}}) == {"a": {"b": hostile}}


def test_what_has_no_expression_is_shared() -> None:
    doc = {"static": [1, {"x": "y"}], "dynamic": "{{ n }}"}
    assert result(doc)["static"] is doc["static"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ }}", "expected a name or a quoted text, got `}}`"),
        ("{{ a", "unexpected the end of the text; an expression ends with `}}`"),
        ("{{ a.}}", "expected a name, got `}}`"),
        ("{{ a b }}", "expected `|` or `}}`, got `b`"),
        ("{{ a | eval }}", "expected a filter (default, upper, lower, length, json), got `eval`"),
        ("{{ a | default }}", "expected `(`, got `}}`"),
        ("{{ a | default(b) }}", "expected a quoted text, a number, true, false or null, got `b`"),
        ("{{ a[b] }}", "expected an index or a quoted name, got `b`"),
        ("{{ a[-1] }}", "expected an index or a quoted name, got `-1`"),
        ("{{ a['x' }}", "expected `]`, got `}}`"),
        ("{{ a + 1 }}", "unexpected `+ 1 }}`"),
        ("{{ 'a }}", "unexpected `'a }}`"),
        ("{{ a" + ".b" * 200 + " }}", "more than 100 steps"),
        ("{{ a" + "|upper" * 20 + " }}", "more than 10 filters"),
    ],
)
def test_what_is_no_expression_is_told_with_its_place(text: str, why: str) -> None:
    template, problems = compile_template({"a": [1, text], "b": "{{ ok }}"})
    assert template is None
    assert [(problem.at, why in problem.why) for problem in problems] == [(("a", 1), True)], problems[0].why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ gone }}", "`gone`: there is no such value; known names: id, n, none, request"),
        ("{{ request.json.items[9].name }}", "there is no such value"),
        ("{{ id.x }}", "there is no such value"),
        ("{{ n | upper }}", "`n | upper`: `upper` does not take a value of type int"),
        ("{{ n | length }}", "`length` does not take a value of type int"),
        ("{{ id.__class__ }}", "there is no such value"),
    ],
)
def test_what_cannot_be_rendered(text: str, why: str) -> None:
    template, _ = compile_template(text)
    assert template is not None
    with pytest.raises(TemplateError) as error:
        render(template, VALUES)
    assert why in str(error.value)


def test_output_is_bounded() -> None:
    template, _ = compile_template(["{{ x }}"] * 200)
    assert template is not None
    with pytest.raises(TemplateError, match="longer than"):
        render(template, {"x": "x" * 100_000})


def test_compiling_is_linear() -> None:
    """Anything worse meets the suite's time limit."""
    compile_template("{{ a }} " * 30_000)
    compile_template("{{ a" + " " * 1_000_000)
    compile_template("{{ a " * 200_000)
