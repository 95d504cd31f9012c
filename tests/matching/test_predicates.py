"""`match:` compiled, evaluated and explained, on fields as the HTTP protocol gives them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock.matching.operators import MISSING
from svcmock.matching.predicates import Matcher, Param, compile_match, differences, evaluate, lookup
from svcmock.protocol import Difference

FIELDS: dict[str, Any] = {
    "method": "POST",
    "path": "/users/42",
    "query": {"page": ["2"], "tag": ["red", "blue"]},
    "headers": {"authorization": ["Bearer abc"], "accept": ["text/html", "application/json"]},
    "cookies": {"sid": "s1"},
    "json": {
        "customer": {"id": 7, "name": "Ann", "tags": ["a", "b"]},
        "items": [{"sku": "x", "n": 1}, {"sku": "y", "n": 2}],
        "in": 3,
        "none": None,
    },
    "body": '{"customer": 1}',
}


def compiled(doc: Any) -> Matcher:
    matcher, problems = compile_match(doc, template_field="path", template_separator="/")
    assert [problem.why for problem in problems] == []
    assert matcher is not None
    return matcher


@pytest.mark.parametrize(
    ("doc", "want"),
    [
        ({}, {}),
        ({"method": "POST", "path": "/users/42"}, {}),
        ({"method": "post"}, None),
        ({"path": "/users/{id}"}, {"id": "42"}),
        ({"path": "/{a}/{b}"}, {"a": "users", "b": "42"}),
        ({"path": "/users/{id}/"}, None),
        ({"path": "/{id}"}, None),
        ({"path": {"equals": "/users/{id}"}}, None),
        ({"path": {"glob": "/users/*"}}, {}),
        ({"path": {"glob": "/*"}}, None),
        ({"path": {"regex": "^/users/(?P<id>[0-9]+)$"}}, {"id": "42"}),
        ({"query": {"page": 2}}, {}),
        ({"query": {"page": "2"}}, {}),
        ({"query": {"page": 3}}, None),
        ({"query": {"page": {"gt": 1, "lt": 3}}}, {}),
        ({"query": {"tag": "blue"}}, {}),
        ({"query": {"tag": ["red", "blue"]}}, {}),
        ({"query": {"tag": ["blue", "red"]}}, None),
        ({"query": {"tag": ["red"]}}, None),
        ({"query": {"tag": [{"prefix": "r"}, {"any": "second"}]}}, {"second": "blue"}),
        ({"query": {"tag": {"not": "green"}}}, {}),
        ({"query": {"tag": {"not": "blue"}}}, None),
        ({"query": {"gone": {"absent": True}}}, {}),
        ({"query": {"page": {"absent": True}}}, None),
        ({"query": {"page": {"absent": False}}}, {}),
        ({"query": {"gone": {"not": "x"}}}, {}),
        ({"headers": {"Authorization": {"regex": "^Bearer "}}}, {}),
        ({"headers": {"ACCEPT": "application/json"}}, {}),
        ({"headers": {"x-gone": "1"}}, None),
        ({"cookies": {"sid": {"string": "session"}}}, {"session": "s1"}),
        ({"json": {"customer": {"id": 7}}}, {}),
        ({"json": {"customer": {"id": {"gt": 3}, "name": {"any_of": ["Ann", "Bob"]}}}}, {}),
        ({"json": {"customer": {"id": "7"}}}, None),
        ({"json": {"customer": {"tags": ["a", "b"]}}}, {}),
        ({"json": {"customer": {"tags": "a"}}}, None),
        ({"json": {"customer": {"tags": {"contains": "a"}}}}, {}),
        ({"json": {"customer": {}}}, {}),
        ({"json": {"items": {}}}, None),
        ({"json": {"items": [{"n": {"gte": 1}}, {"sku": {"any": "sku"}}]}}, {"sku": "y"}),
        ({"json": {"items": [{"n": {"gte": 1}}]}}, None),
        ({"json": {"items": [{"sku": "x"}, {"sku": "y"}]}}, None),
        ({"json": {"items": {"jsonpath": "$[?@.sku == 'y']"}}}, {}),
        ({"json": {"in": 3, "none": None}}, {}),
        ({"json": {"json": {"in": 3}}}, {}),
        ({"json": {"equals": {"in": 3}}}, None),
        ({"json": {"none": {"absent": True}}}, None),
        ({"json": {"gone": None}}, None),
        ({"json": {"schema": {"required": ["customer"]}}}, {}),
        ({"body": {"json": {"customer": 1}}}, {}),
        ({"nothing": {"a": {"b": 1}}}, None),
        ({"any_of": [{"method": "GET"}, {"path": "/users/{id}"}]}, {"id": "42"}),
        ({"any_of": [{"method": "GET"}, {"path": "/x/{id}"}]}, None),
        ({"all_of": [{"method": "POST"}, {"path": "/users/{id}"}]}, {"id": "42"}),
        ({"not": {"method": "POST", "path": "/x"}}, {}),
        ({"not": {"method": "POST"}}, None),
        ({"not": {"any_of": [{"method": "GET"}, {"method": "PUT"}]}}, {}),
        ({"path": {"not": {"prefix": "/admin"}, "suffix": "42"}}, {}),
        ({"path": {"all_of": [{"prefix": "/u"}, {"contains": "ser"}]}}, {}),
        ({"path": {"any_of": ["/x", "/users/{id}"]}}, {"id": "42"}),
    ],
)
def test_what_matches_and_what_it_binds(doc: Any, want: Any) -> None:
    matcher = compiled(doc)
    assert evaluate(matcher, FIELDS) == want
    assert (differences(matcher, FIELDS) == []) is (want is not None)


@pytest.mark.parametrize(
    ("doc", "problems"),
    [
        (None, [((), "expected a mapping of fields to predicates, got null")]),
        ([1], [((), "expected a mapping of fields to predicates, got a list")]),
        (
            {"path": {"regex": "("}, "query": {"page": {"gt": "x", "in": 3}}},
            [
                (("path", "regex"), "not a regular expression: missing ): ("),
                (("query", "page", "gt"), 'expected a number or an RFC 3339 date-time, got "x"'),
                (("query", "page", "in"), "expected a list of values, got 3"),
            ],
        ),
        (
            {"regex": "x"},
            [(("regex",), "the predicate `regex` stands below a field, as in `path: {regex: ...}`")],
        ),
        ({"any_of": {"a": 1}}, [(("any_of",), "expected a list of demands, got a mapping")]),
        ({"any_of": [{"path": {"prefix": 3}}]}, [(("any_of", 0, "path", "prefix"), "expected text, got 3")]),
        ({"not": "x"}, [(("not",), 'expected a mapping of fields to predicates, got "x"')]),
        (
            {"path": "/a/x{id}"},
            [(("path",), "`x{id}`: a template segment is `{name}`, whole; for a literal brace use `equals`")],
        ),
        ({"path": "/{a}/{a}"}, [(("path",), "two segments are called `a`")]),
        ({"path": "/{id}", "cookies": {"x": {"any": "id"}}}, [((), "two captures are called `id`")]),
        (
            {"path": {"not": {"any": "x"}}},
            [(("path", "not"), "a capture inside `not` binds nothing: `x`; write null for the name")],
        ),
    ],
)
def test_every_problem_is_told_with_its_place(doc: Any, problems: Any) -> None:
    matcher, found = compile_match(doc, template_field="path", template_separator="/")
    assert matcher is None
    assert [(problem.at, problem.why) for problem in found] == problems


def test_the_number_of_checks_is_bounded() -> None:
    matcher, (problem,) = compile_match({"json": {f"k{n}": n for n in range(1001)}})
    assert matcher is None
    assert problem.why == "more than 1000 checks"


def test_what_an_index_needs() -> None:
    matcher = compiled(
        {
            "headers": {"Accept": {"regex": "x"}, "X-A": "1"},
            "path": "/users/{id}/posts",
            "query": {"page": 2, "tag": ["a"]},
            "json": {"n": 2, "b": True},
            "any_of": [{"method": "GET"}],
        }
    )
    assert dict(matcher.equalities) == {
        ("headers", "x-a"): "1",
        ("query", "page"): "2",
        ("json", "n"): 2,
        ("json", "b"): True,
    }
    assert matcher.template == ("", "users", Param("id"), "posts")
    assert [check.cost for check in matcher.checks] == sorted(check.cost for check in matcher.checks)


def test_specificity() -> None:
    ranked: list[Any] = [
        {"path": "/a/b/c", "method": "GET"},
        {"path": "/a/b/c"},
        {"path": "/a/b/{x}", "method": "GET"},
        {"path": "/a/b/{x}"},
        {"path": "/a/{x}/{y}", "method": "GET"},
        {"path": {"prefix": "/a/b"}},
        {"path": {"glob": "/a*"}},
        {"path": {"regex": "^/a"}},
        {"method": "GET", "query": {"a": 1}},
        {"method": "GET"},
        {},
    ]
    order = [compiled(doc).specificity for doc in ranked]
    assert order == sorted(order, reverse=True)
    assert len(set(order)) == len(order)


def test_every_difference_is_told() -> None:
    matcher = compiled(
        {
            "path": "/users/42/",
            "method": "post",
            "query": {"page": {"gt": 5}, "gone": "x", "Tag": "red"},
            "json": {"customer": {"id": "7", "name": "Ann"}},
            "body": {"prefix": "{"},
            "any_of": [{"method": "GET"}, {"method": "PUT"}],
        }
    )
    told = {difference.at: difference for difference in differences(matcher, FIELDS)}
    assert told == {
        "path": Difference("path", "equals", "/users/42/", "/users/42", "a trailing slash differs"),
        "method": Difference("method", "equals", "post", "POST", "upper and lower case differ"),
        "query.page": Difference("query.page", "gt", 5, ["2"], None),
        "query.gone": Difference("query.gone", "equals", "x", None, None),
        "query.Tag": Difference(
            "query.Tag", "equals", "red", None, "there is `tag`: upper and lower case differ"
        ),
        "json.customer.id": Difference(
            "json.customer.id", "equals", "7", 7, "one is a number or a boolean, the other is text"
        ),
        "": Difference("", "any_of", [{"method": "GET"}, {"method": "PUT"}], None, None),
    }


def test_a_difference_is_bounded() -> None:
    (difference,) = differences(compiled({"body": "x"}), {"body": "y" * 5000})
    assert len(difference.got) == 1003


def test_fields_may_be_computed_when_they_are_asked_for() -> None:
    class Lazy(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            if name != "json":
                raise KeyError(name)
            return {"a": 1}

    assert evaluate(compiled({"json": {"a": 1}}), Lazy()) == {}
    assert evaluate(compiled({"form": {"a": 1}}), Lazy()) is None


@pytest.mark.parametrize(
    ("at", "want"),
    [
        (("json", "items", "1", "sku"), "y"),
        (("json", "items", "2"), MISSING),
        (("json", "items", "-1"), MISSING),
        (("json", "items", "x"), MISSING),
        (("path", "0"), MISSING),
    ],
)
def test_lookup(at: tuple[str, ...], want: Any) -> None:
    assert lookup(FIELDS, at) is want or lookup(FIELDS, at) == want


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(json_values, json_values)
def test_plain_json_matches_itself_and_explains_everything_else(want: Any, got: Any) -> None:
    matcher = compiled({"json": {"equals": want}})
    assert evaluate(matcher, {"json": want}) == {}
    assert evaluate(compiled({"json": want}), {"json": want}) == {}
    holds = evaluate(compiled({"json": want}), {"json": got}) is not None
    assert holds is (differences(compiled({"json": want}), {"json": got}) == [])


@pytest.mark.parametrize(
    ("doc", "at"),
    [
        ({"heders": {"a": "b"}}, ("heders",)),
        ({"any_of": [{"path": "/a"}, {"heders": {"a": "b"}}]}, ("any_of", 1, "heders")),
        ({"not": {"heders": {"a": "b"}}}, ("not", "heders")),
    ],
)
def test_a_field_that_no_request_has_is_told(doc, at):
    matcher, problems = compile_match(doc, known=("path", "headers"))
    assert matcher is None
    assert [(found.at, found.why) for found in problems] == [
        (at, "unknown key `heders`; did you mean `headers`?")
    ]


def test_any_field_goes_where_none_are_known():
    matcher, problems = compile_match({"heders": {"a": "b"}})
    assert matcher is not None
    assert problems == []


@pytest.mark.parametrize(
    "demand",
    [
        {"regex": "a"},
        {"regex": "(?P<n>.)$"},
        {"glob": "a*"},
        {"jsonpath": "$[?match(@, 'x.*')]"},
        {"xpath": "//a"},
    ],
)
@pytest.mark.parametrize("value", ["\ud800", "\udc80x", ["\ud800"], {"\ud800": "\ud800"}, "<a>\ud800</a>"])
def test_no_text_that_json_can_bring_is_too_odd_to_be_tried(demand: Any, value: Any) -> None:
    matcher, problems = compile_match({"json": {"k": demand}})
    assert matcher is not None
    assert problems == []
    fields = {"json": {"k": value}}
    assert (evaluate(matcher, fields) is None) == bool(differences(matcher, fields))
