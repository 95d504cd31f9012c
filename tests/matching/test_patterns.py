"""Pattern languages: what they mean, and that neither routes nor requests make them slow or reach outside.

A pattern that backtracks does not come back: it meets the suite's time limit.
"""

import socket
from typing import Any

import pytest

from svcmock.matching.patterns import (
    BadPatternError,
    compile_glob,
    compile_jsonpath,
    compile_regex,
    compile_schema,
    compile_xpath,
)


def test_regex_searches_and_named_groups_bind() -> None:
    assert compile_regex("^Bearer ")("Bearer x") is True
    assert compile_regex("^Bearer ")("bearer x") is False
    assert compile_regex("b")(3) is False
    assert compile_regex(r"/u/(?P<id>\d+)/(?P<opt>z)?")("/u/42/") == {"id": "42", "opt": None}
    assert compile_regex("^é.$")("éü") is True
    assert compile_regex("x")("\udcff x") is True


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(?=a)b", "no lookaround"),
        ("(?<!a)b", "no lookaround"),
        (r"(a)\1", "no backreferences"),
        ("(a", "missing )"),
        ("((a{100}){100}){100}", "repetition"),
        ("(((a{30}){30}){30}b){30}", "not a regular expression"),
        ("a" * 10_001, "more than 10000 characters"),
    ],
)
def test_regex_that_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(BadPatternError) as error:
        compile_regex(pattern)
    assert why in str(error.value)


def test_regex_cannot_backtrack() -> None:
    assert compile_regex("^(a+)+$")("a" * 50_000 + "!") is False
    assert compile_regex("(x+x+)+y")("x" * 50_000) is False


def test_regex_on_more_than_is_searched_does_not_match() -> None:
    assert compile_regex("a")("a" * (4 * 1024 * 1024 + 1)) is False


@pytest.mark.parametrize(
    ("pattern", "separator", "value", "want"),
    [
        ("/a/*", "/", "/a/b", True),
        ("/a/*", "/", "/a/b/c", False),
        ("/a/**", "/", "/a/b/c", True),
        ("/a/?.js", "/", "/a/b.js", True),
        ("/a/?.js", "/", "/a//.js", False),
        ("*.b", "", "a/\n.b", True),
        ("a.b", "", "axb", False),
        ("[a](b)", "", "[a](b)", True),
        ("*", "", "", True),
        ("a", "", "xa", False),
        ("é*", "", "éé", True),
        ("*", "", 3, False),
    ],
)
def test_glob(pattern: str, separator: str, value: Any, want: bool) -> None:
    assert compile_glob(pattern, separator)(value) is want


def test_glob_is_linear() -> None:
    assert compile_glob("*a" * 40 + "b")("a" * 50_000) is False


def test_jsonpath_selects() -> None:
    data = {"a": [{"id": 3, "n": "Ann"}]}
    assert compile_jsonpath("$.a[?@.id == 3]")(data) is True
    assert compile_jsonpath("$.a[?@.id == 4]")(data) is False
    assert compile_jsonpath("$..n")(data) is True
    assert compile_jsonpath("$.a[?match(@.n, 'A.*')]")(data) is True
    assert compile_jsonpath("$.a[?match(@.n, 'n')]")(data) is False
    assert compile_jsonpath("$.a[?search(@.n, 'n')]")(data) is True
    assert compile_jsonpath("$.a[?search(@.n, '(?=n)')]")(data) is False
    assert compile_jsonpath("$")("text") is False


@pytest.mark.parametrize("path", ["a.b", "$.a[?@ =~ /x/]", "$[", "$.a[?nope(@)]", "$[?" + "!" * 5000 + "@.a]"])
def test_jsonpath_that_is_refused(path: str) -> None:
    with pytest.raises(BadPatternError, match="not a JSONPath"):
        compile_jsonpath(path)


@pytest.mark.parametrize(
    "path", ["$..*..*..*..[?@.zz]", "$..[?count($..*) == 3]", "$..[?count(@..*) == 3]", "$..[?$..[?$..zz]]"]
)
def test_jsonpath_has_a_budget(path: str) -> None:
    data = {"a": [[[list(range(10))] * 10] * 10] * 10}
    test = compile_jsonpath(path)
    assert test(data) is False


def test_jsonpath_does_not_search_with_the_regexes_of_python() -> None:
    test = compile_jsonpath("$[?search(@, '(x+x+)+y')]")
    assert test(["x" * 10_000]) is False


def test_xpath() -> None:
    assert compile_xpath("//a[@k='1']")("<r><a k='1'/></r>") is True
    assert compile_xpath("//a[@k='1']")("<r><a k='2'/></r>") is False
    assert compile_xpath("count(//a) = 2")("<r><a/><a/></r>") is True
    assert compile_xpath("0 div 0")("<r/>") is False
    assert compile_xpath("//s:a", {"s": "urn:x"})('<r xmlns="urn:x"><a/></r>') is True
    assert compile_xpath("//é")('<?xml version="1.0" encoding="utf-8"?><é/>') is True
    assert compile_xpath("//a")("<r") is False
    assert compile_xpath("//a")(3) is False


@pytest.mark.parametrize(
    "expression", ["//a[", "//s:a", "nope(//a)", "re:test(//a, 'x')", "document('file:///x')"]
)
def test_xpath_that_is_refused(expression: str) -> None:
    with pytest.raises(BadPatternError, match="not an XPath"):
        compile_xpath(expression)


def test_xml_entities_are_not_resolved() -> None:
    external = '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]><r>&x;</r>'
    assert compile_xpath("string-length(/r) > 0")(external) is False
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE r [<!ENTITY a0 "x">{laughs}]><r>&a11;</r>'
    assert compile_xpath("string-length(/r) > 0")(bomb) is False


def test_xml_is_bounded() -> None:
    assert compile_xpath("/r")("<r>" + "<a/>" * 20_000 + "</r>") is False
    assert compile_xpath("/r")("<r>" + "x" * 1024 * 1024 + "</r>") is False


def test_schema() -> None:
    test = compile_schema({"type": "object", "required": ["id"], "properties": {"id": {"pattern": "^[0-9]+$"}}})
    assert test({"id": "42"}) is True
    assert test({"id": "x"}) is False
    assert test({}) is False
    assert compile_schema({"$ref": "#/$defs/a", "$defs": {"a": {"const": 1}}})(1) is True
    assert compile_schema({"pattern": "^(a+)+$"})("a" * 10_000 + "!") is False


@pytest.mark.parametrize("schema", [{"type": 5}, {"pattern": "(?=a)"}, {"$ref": "#/gone"}, {"$schema": "x:y"}])
def test_schema_that_is_refused(schema: Any) -> None:
    with pytest.raises(BadPatternError, match="not a JSON Schema"):
        compile_schema(schema)


def test_schema_opens_no_socket_and_no_file() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        for reference in (f"http://127.0.0.1:{port}/a.json", "file:///etc/hostname"):
            with pytest.raises(BadPatternError, match="not a JSON Schema"):
                compile_schema({"$ref": reference})
        with pytest.raises(TimeoutError):
            server.accept()
