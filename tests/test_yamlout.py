"""What the emitter writes, and that YAML 1.1 and 1.2 readers both read back what was meant."""

import math

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcmock.documents import read as read_core
from svcmock.yamlout import MAX_DEPTH, UnwritableError, emit, scalar

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
AWKWARD = st.text(st.sampled_from("ab1 0-.:?#,[]{}&*!|>'\"%@`~=<\n\t\r\\_eEx+/\x85\u2028\ufeff"), max_size=12)
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT, AWKWARD)
DATA = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(AWKWARD | TEXT, inner, max_size=5),
    max_leaves=25,
)

WORDS = [
    "y",
    "n",
    "yes",
    "NO",
    "on",
    "Off",
    "true",
    "null",
    "~",
    "1e3",
    "012",
    "0o7",
    "0x1F",
    "0b11",
    "1:20",
    "1:20:30.5",
    "1_000",
    "1.5",
    ".5",
    "5.",
    "+1",
    "-1",
    ".inf",
    "-.INF",
    ".nan",
    "2026-11-23",
    "2026-1-2T10:00:00Z",
    "=",
    "<<",
    "-",
    "-a?",
    "---",
    "...",
    "?",
    ":",
    "a:",
    "#a",
    "a#:",
    "&a",
    "*a",
    "!a",
    "|a",
    ">a",
    "'a",
    '"a',
    "%a",
    "@a",
    "`a",
    "[a",
    "a,b",
    "{a",
    "}a",
    "12e03",
]
SPACED = ["", " a", "a ", "a: b", "a #b", "- a", "? a", "a\tb", "a\r\nb", "\u2028", "\x85", "1 2", "\ufeffa"]


def read(text: str) -> object:
    return yaml.load(text, Loader=yaml.CSafeLoader)


def same(left: object, right: object) -> bool:
    """Equal in value and type: 1, 1.0 and True are three things."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


@settings(max_examples=80, deadline=None)
@given(DATA)
@example(["a\nb", {"k": "x\n\n"}, [["\n"]], {"": [{}]}])
@example({"k" * 1200: {"long": "v" * 3000}, "": "y" * 111})
def test_a_yaml_1_1_reader_reads_the_same_value(data: object) -> None:
    assert same(read(emit(data)), data)


@settings(max_examples=80, deadline=None)
@given(DATA)
@example({"e": [1e16, 1e-7, 12345678901234567890, -0.5, 1.0]})
def test_a_yaml_1_2_reader_reads_the_same_value(data: object) -> None:
    (found,), problems = read_core(emit(data).encode(), "x.yaml")
    assert not problems
    assert same(found.value, data)


def test_the_documents_of_a_recording_are_laid_out_as_a_person_would() -> None:
    document = {
        "recorded": {"at": "2026-11-23T03:22:10.123Z", "took": "1.9ms", "connection": 3},
        "request": {"method": "GET", "path": "/users/42", "headers": [["Accept", "application/json"]]},
        "respond": {
            "status": 200,
            "headers": [["Content-Type", "text/html; charset=utf-8"], ["Set-Cookie", "a=b; Path=/; HttpOnly"]],
            "body": "<html>\n  <p>it is   late</p>\n</html>\n",
        },
    }
    assert (
        emit(document)
        == """\
recorded: {at: "2026-11-23T03:22:10.123Z", took: 1.9ms, connection: 3}
request: {method: GET, path: /users/42, headers: [[Accept, application/json]]}
respond:
  status: 200
  headers: [[Content-Type, text/html; charset=utf-8], [Set-Cookie, a=b; Path=/; HttpOnly]]
  body: |
    <html>
      <p>it is   late</p>
    </html>
"""
    )


def test_lists_of_collections_start_on_the_line_of_their_dash() -> None:
    long = "v" * 120
    assert emit({"a": [{"b": long, "c": 1}, [long]]}) == f"a:\n  - b: {long}\n    c: 1\n  - - {long}\n"


@pytest.mark.parametrize("text", [*WORDS, *SPACED])
def test_what_readers_disagree_about_or_cannot_read_plain_is_read_back_as_text(text: str) -> None:
    for data in (text, [text], {text: text}, [[text, text]]):
        assert read(emit(data)) == data


@pytest.mark.parametrize(
    "text", ["no", "1e3", "012", "0o7", "1:20", "1_000", "~", "null", "2026-11-23", ".inf", "=", "y"]
)
def test_ambiguous_text_is_quoted(text: str) -> None:
    assert scalar(text) == f'"{text}"'


@pytest.mark.parametrize(
    "text", ["/a/b?c=d&e=f", "text/html; charset=utf-8", "http://a.b:80/", "1.9ms", "v1.2.3", "a-b"]
)
def test_harmless_text_stays_plain(text: str) -> None:
    assert scalar(text) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e16, "1.0e+16"),
        (1.5e-7, "1.5e-07"),
        (0.1, "0.1"),
        (-0.0, "-0.0"),
        (math.inf, ".inf"),
        (-math.inf, "-.inf"),
    ],
)
def test_floats_are_written_as_floats_for_every_reader(number: float, text: str) -> None:
    assert emit(number) == f"{text}\n"
    assert same(read(text), number)


def test_not_a_number_is_read_back() -> None:
    found = read(emit([math.nan]))
    assert isinstance(found, list)
    assert math.isnan(found[0])


@pytest.mark.parametrize("data", ["\ud800", {1: 2}, b"a", {"a": (1,)}, pytest.param(10**5000, id="huge")])
def test_what_no_reader_would_give_back_is_refused(data: object) -> None:
    with pytest.raises(UnwritableError):
        emit(data)


def nested(depth: int, leaf: object) -> object:
    for _ in range(depth):
        leaf = [leaf]
    return leaf


@pytest.mark.parametrize("leaf", ["short", "x" * 200])
def test_depth_is_limited(leaf: str) -> None:
    assert read(emit(nested(MAX_DEPTH, leaf))) == nested(MAX_DEPTH, leaf)
    with pytest.raises(UnwritableError):
        emit(nested(MAX_DEPTH + 1, leaf))
    with pytest.raises(UnwritableError):
        emit(nested(100_000, leaf))


def test_cost_is_linear_in_the_document() -> None:
    """Anything worse meets the suite's time limit."""
    assert len(emit(nested(60, ["value of some length"] * 300_000))) > 300_000
