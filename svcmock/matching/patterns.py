"""The pattern languages of predicates, compiled to tests: regex, glob, JSONPath, XPath, JSON Schema.

Every test is bounded whatever the request holds. Regular expressions run in RE2 (linear time, no backtracking;
lookaround and backreferences do not exist there and are refused). JSONPath is strict RFC 9535 with `match` and
`search` on RE2, and a budget of visited nodes. XPath sees neither network nor entities nor EXSLT's regexes.
JSON Schema resolves no reference outside of itself. What exceeds a bound does not match. The libraries are
imported when a route file first asks for them: together they cost more memory than all the rest.
"""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, TypeAlias

from svcmock.protocol import Doc

MAX_PATTERN = 10_000
"""Characters of one pattern."""
MAX_PROGRAM = 1024 * 1024
"""Bytes that one compiled regular expression may take (RE2 itself bounds only its cache by default)."""
MAX_SUBJECT = 4 * 1024 * 1024
"""Characters of a text that is searched: a route file must not make one request cost seconds."""
MAX_XML = 1024 * 1024
"""Bytes of a document that an XPath is evaluated on."""
MAX_ELEMENTS = 20_000
"""Elements of such a document: an expression may visit all of them from each of them."""
MAX_VISITS = 20_000
"""Nodes that one JSONPath may visit: `$..*..*` is polynomial in what the request holds."""

Found: TypeAlias = bool | dict[str, Doc]
"""Whether a value satisfies a predicate, and if so what it binds."""
Test: TypeAlias = Callable[[Any], Found]


class BadPatternError(ValueError):
    """A pattern that cannot be compiled; the message says why."""


def compile_regex(pattern: str) -> Test:
    """Searches text, anchored only where the pattern says so; named groups bind. Raises BadPatternError."""
    regex = _re2(pattern)
    if not regex.groupindex:
        return lambda value: isinstance(value, str) and regex.search(_subject(value)) is not None

    def test(value: Any) -> Found:
        found = regex.search(_subject(value)) if isinstance(value, str) else None
        if found is None:
            return False
        return {name: _text(text) for name, text in found.groupdict().items()}

    return test


def compile_glob(pattern: str, separator: str = "") -> Test:
    """`*` any run of characters and `?` one, except `separator`; `**` any run. Raises BadPatternError."""
    inside = f"[^{_escape(separator)}]" if separator else "."
    parts = []
    for index, piece in enumerate(pattern.split("**")):
        if index:
            parts.append(".*")
        quoted = "".join(f"{inside}*" if c == "*" else inside if c == "?" else _escape(c) for c in piece)
        parts.append(quoted)
    regex = _re2(f"(?s)^(?:{''.join(parts)})$")
    return lambda value: isinstance(value, str) and regex.search(_subject(value)) is not None


def _escape(text: str) -> str:
    return "".join(
        c if c.isalnum() or ord(c) > 127 else f"\\{c}" if ord(c) > 31 else f"\\x{ord(c):02x}" for c in text
    )


def _subject(value: str) -> bytes:
    """What RE2 searches. Beyond MAX_SUBJECT, a byte that no pattern over text can match."""
    if len(value) > MAX_SUBJECT:
        return b"\xff"
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # JSON may bring lone surrogates that stand for no byte
        return value.encode("utf-8", "surrogatepass")


def _text(found: Any) -> str | None:
    return found.decode("utf-8", "surrogateescape") if isinstance(found, bytes) else found


@lru_cache(maxsize=1024)
def _re2(pattern: str) -> Any:
    import re2

    if len(pattern) > MAX_PATTERN:
        raise BadPatternError(f"a pattern of more than {MAX_PATTERN} characters")
    options = re2.Options()
    options.max_mem = MAX_PROGRAM
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        backtracks = "invalid perl operator" in why or "invalid escape sequence: \\" in why
        hint = "; expressions are RE2: no lookaround, no backreferences" if backtracks else ""
        raise BadPatternError(f"not a regular expression: {why}{hint}") from None


# --- JSONPath -----------------------------------------------------------------------------------------


class _TooMany(Exception):
    pass


def compile_jsonpath(path: str) -> Test:
    """Holds when the path selects anything. Raises BadPatternError."""
    from jsonpath.exceptions import JSONPathError

    if len(path) > MAX_PATTERN:
        raise BadPatternError(f"a path of more than {MAX_PATTERN} characters")
    environment, budget = _jsonpath()
    try:
        compiled = environment.compile(path)
    except (JSONPathError, RecursionError, ValueError) as error:
        raise BadPatternError(f"not a JSONPath: {str(error).splitlines()[0]}") from None
    _put_on_budget(compiled)

    def test(value: Any) -> Found:
        if not isinstance(value, dict | list):
            return False
        budget[0] = MAX_VISITS
        try:
            return next(iter(compiled.finditer(value)), None) is not None
        except (_TooMany, JSONPathError, RecursionError, UnicodeError):
            return False

    return test


@cache
def _jsonpath() -> tuple[Any, list[int]]:
    """The environment of every path, and the visits that the evaluation under way has left."""
    import jsonpath
    from jsonpath.function_extensions import ExpressionType, FilterFunction
    from jsonpath.match import JSONPathMatch

    budget = [0]

    class Visit(JSONPathMatch):
        __slots__ = ()

        def __init__(self, **about: Any) -> None:
            budget[0] -= 1
            if budget[0] < 0:
                raise _TooMany
            super().__init__(**about)

    class Regex(FilterFunction):
        arg_types = [ExpressionType.VALUE, ExpressionType.VALUE]  # noqa: RUF012  the base's attribute
        return_type = ExpressionType.LOGICAL

        def __init__(self, form: str) -> None:
            self.form = form

        def __call__(self, value: object, pattern: object) -> bool:
            # RFC 9535 section 2.4.6: what is no text, or no regular expression, does not match.
            if not isinstance(value, str) or not isinstance(pattern, str):
                return False
            try:
                return _re2(self.form.format(pattern)).search(_subject(value)) is not None
            except BadPatternError:
                return False

    class Environment(jsonpath.JSONPathEnvironment):
        match_class = Visit

        def setup_function_extensions(self) -> None:
            super().setup_function_extensions()
            self.function_extensions["match"] = Regex("^(?:{})$")
            self.function_extensions["search"] = Regex("{}")

    return Environment(strict=True), budget


def _put_on_budget(path: Any) -> None:
    """Makes `path`, and every path in its filters, start from a match that counts: children are like it."""
    from jsonpath.filter import FilterQuery, walk
    from jsonpath.selectors import Filter

    path.__class__ = _counting_path()
    for segment in path.segments:
        for selector in segment.selectors:
            if isinstance(selector, Filter):
                for expression in walk(selector.expression):
                    if isinstance(expression, FilterQuery):
                        expression.path.__class__ = _counting_path()


@cache
def _counting_path() -> Any:
    from jsonpath.path import JSONPath

    class Counting(JSONPath):
        """The library honours `match_class` only when it iterates asynchronously."""

        __slots__ = ()

        def finditer(self, data: Any, *, filter_context: Any = None) -> Any:
            matches: Any = [
                self.env.match_class(
                    filter_context=filter_context or {}, obj=data, parent=None, path="$", parts=(), root=data
                )
            ]
            for segment in self.segments:
                matches = segment.resolve(matches)
            return matches

    return Counting


# --- XPath --------------------------------------------------------------------------------------------


def compile_xpath(expression: str, namespaces: Mapping[str, str] | None = None) -> Test:
    """Holds when the XPath 1.0 expression, as `boolean()` takes it, is true. Raises BadPatternError."""
    from lxml import etree

    if len(expression) > MAX_PATTERN:
        raise BadPatternError(f"an expression of more than {MAX_PATTERN} characters")
    try:
        compiled = etree.XPath(expression, namespaces=dict(namespaces or {}), regexp=False, smart_strings=False)
        compiled(etree.fromstring("<x/>"))  # unknown prefixes and functions show only when it runs
    except (etree.XPathError, TypeError, ValueError) as error:
        raise BadPatternError(f"not an XPath: {error}") from None

    def test(value: Any) -> Found:
        if not isinstance(value, str) or len(value) > MAX_XML:
            return False
        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
        )
        try:
            document = etree.fromstring(value.encode("utf-8", "surrogateescape"), parser)
            if sum(1 for _ in document.iter()) > MAX_ELEMENTS:
                return False
            found = compiled(document)
        except (etree.XMLSyntaxError, etree.XPathError, ValueError):
            return False
        return found == found and bool(found)  # noqa: PLR0124  boolean(NaN) is false

    return test


# --- JSON Schema --------------------------------------------------------------------------------------


def compile_schema(schema: Doc) -> Test:
    """Holds when the value satisfies the schema; 2020-12 unless `$schema` says else. Raises BadPatternError."""
    import jsonschema_rs

    def refuse(uri: str) -> Any:
        raise ValueError(f"a schema may not refer to {uri}: nothing is fetched")

    try:
        validator = jsonschema_rs.validator_for(
            schema,
            retriever=refuse,
            pattern_options=jsonschema_rs.RegexOptions(size_limit=MAX_PROGRAM, dfa_size_limit=MAX_PROGRAM),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError) as error:
        raise BadPatternError(f"not a JSON Schema: {str(error).splitlines()[0]}") from None

    def test(value: Any) -> Found:
        try:
            return validator.is_valid(value)
        except (ValueError, TypeError, jsonschema_rs.ValidationError):
            return False

    return test
