"""The little that must be known of SQL text: where its quotes and comments begin and end.

Statements are never parsed. They are compared by their text, after what cannot change their meaning is taken
out: comments (tracers put another into every call; optimizer hints `/*+ ... */` stay) and white space. So a
lexer is all there is, after section 4.1 of PostgreSQL's manual with `standard_conforming_strings` on.

One regular expression finds the next token, without backtracking into it. What it cannot do by itself, nested
comments and dollar quotes, is searched for from where it stopped. A quote that is never closed reaches to the
end of the text.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, wraps
from typing import TypeVar

MAX_SHORT = 8 * 1024
"""Texts up to here are remembered by the thousand, of longer ones the last few: one request asks often."""
_SHORT_CACHE, _LONG_CACHE = 2048, 4
MAX_DIGITS = 5
"""Of the number of a parameter: there are 65,535 at most."""

_Found = TypeVar("_Found")

_LETTER = r"A-Za-z_\x80-\U0010ffff"
_TOKEN = re.compile(
    rf"""
      (?P<space>[ \t\n\r\f\v]++|--[^\r\n]*+)
    | (?P<comment>/\*)
    | (?P<text>
          (?:[bBxXnN]|[uU]&)?+'(?:[^']++|'')*+(?:'|\Z)
        | [eE]'(?:[^'\\]++|''|\\.|\\\Z)*+(?:'|\Z)
      )
    | (?P<name>(?:[uU]&)?+"(?:[^"]++|"")*+(?:"|\Z))
    | (?P<word>[{_LETTER}][{_LETTER}0-9$]*+)
    | (?P<parameter>\$[0-9]++)
    | (?P<dollar>\$(?:[{_LETTER}][{_LETTER}0-9]*+)?+\$)
    | (?P<number>(?:
          0[xX][0-9A-Fa-f_]++|0[oO][0-7_]++|0[bB][01_]++
        | (?:[0-9][0-9_]*+(?:\.(?!\.)[0-9_]*+)?+|(?<!\.)\.[0-9][0-9_]*+)(?:[eE][+-]?+[0-9]++)?+
      ))
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_DOLLAR = re.compile(r"\$[^0-9]")
_LITERALS = frozenset(["text", "dollar", "number"])


def _tokens(sql: str) -> Iterator[tuple[str, int, int]]:
    """The kind of each token, and where it begins and ends. A hint is a `hint`, another comment `space`."""
    match = _TOKEN.match
    at, length = 0, len(sql)
    while at < length:
        found = match(sql, at)
        assert found is not None
        kind, end = found.lastgroup or "", found.end()
        if kind == "comment":
            kind, end = "hint" if sql.startswith("+", end) else "space", _comment_end(sql, end)
        elif kind == "dollar":
            close = sql.find(found[0], end)
            end = length if close < 0 else close + end - at
        yield kind, at, end
        at = end


def _comment_end(sql: str, at: int) -> int:
    """Where the comment ends that is open at `at`. Comments nest."""
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(sql, at)
        if edge is None:
            return len(sql)
        depth += 1 if edge[0] == "/*" else -1
        at = edge.end()
    return at


def _remembered(find: Callable[[str], _Found]) -> Callable[[str], _Found]:
    short, long = lru_cache(_SHORT_CACHE)(find), lru_cache(_LONG_CACHE)(find)

    @wraps(find)
    def remembered(sql: str) -> _Found:
        return short(sql) if len(sql) <= MAX_SHORT else long(sql)

    return remembered


@_remembered
def normalise(sql: str) -> str:
    """The statement without comments, its white space one blank each, and without a `;` at its end."""
    if _is_plain(sql):
        return " ".join(sql.split()).rstrip("; ")
    kept: list[str] = []
    gap = False
    for kind, start, end in _tokens(sql):
        if kind == "space":
            gap = True
            continue
        if gap and kept:
            kept.append(" ")
        gap = False
        kept.append(sql[start:end])
    while kept and kept[-1] in {";", " "}:
        kept.pop()
    return "".join(kept)


def _is_plain(sql: str) -> bool:
    """Whether nothing in it is quoted or a comment."""
    return (
        "'" not in sql
        and '"' not in sql
        and "--" not in sql
        and "/*" not in sql
        and ("$" not in sql or _DOLLAR.search(sql) is None)
        and sql.isascii()
    )


def statements(sql: str) -> list[str]:
    """The statements of a simple query, as they are written, empty ones left out.

    A `;` in brackets (rules) or between BEGIN ATOMIC and END (functions) ends none.
    """
    return list(_statements(sql))


@_remembered
def _statements(sql: str) -> tuple[str, ...]:
    if ";" not in sql and _is_plain(sql):
        return (sql.strip(),) if sql.strip() else ()
    found: list[str] = []
    nesting = _Nesting()
    first = last = -1
    for kind, start, end in _tokens(sql):
        if kind == "space":
            continue
        seen = sql[start:end] if kind in {"word", "other"} else ""
        if seen == ";" and not nesting.inside:
            if first >= 0:
                found.append(sql[first:last])
            first = -1
            nesting = _Nesting()
            continue
        if seen:
            nesting.saw(seen)
        if first < 0:
            first = start
        last = end
    if first >= 0:
        found.append(sql[first:last])
    return tuple(found)


class _Nesting:
    """How deep in brackets, and in the body of a routine, a statement is."""

    _ROUTINES = (
        ("create", "function"),
        ("create", "procedure"),
        ("create", "or", "replace", "function"),
        ("create", "or", "replace", "procedure"),
    )

    def __init__(self) -> None:
        self._brackets = 0
        self._blocks = 0
        self._words: tuple[str, ...] = ()
        self._previous = ""

    @property
    def inside(self) -> bool:
        return self._brackets > 0 or self._blocks > 0

    def saw(self, sign: str) -> None:
        if sign == "(":
            self._brackets += 1
        elif sign == ")":
            self._brackets = max(0, self._brackets - 1)
        elif sign[0].isalpha() and not self._brackets:
            self._word(sign.lower())

    def _word(self, word: str) -> None:
        if self._blocks:
            self._blocks += (word == "case") - (word == "end")
        elif word == "atomic" and self._previous == "begin":
            self._blocks = int(any(self._words[: len(start)] == start for start in self._ROUTINES))
        if len(self._words) < 4:
            self._words += (word,)
        self._previous = word


def first_words(sql: str, n: int = 2) -> tuple[str, ...]:
    """The first words in upper case, at most `n`, up to what is none: `SET search_path = x` gives two."""
    found: list[str] = []
    for kind, start, end in _tokens(sql):
        if kind == "word":
            found.append(sql[start:end].upper())
            if len(found) == n:
                break
        elif kind not in {"space", "hint"} and (found or sql[start] not in "(;"):
            break
    return tuple(found)


_CAST = re.compile(
    r"\s*+::\s*+((?:time|timestamp)(?=(?:\s*+\([0-9]\))?+\s++with)"
    r"|double\s++precision|character\s++varying|bit\s++varying|[A-Za-z_][A-Za-z0-9_]*+)"
    r"(?:\s*+\([0-9, ]*+\))?+((?:\s++with(?:out)?+\s++time\s++zone)?+(?:\[\])?+)",
    re.IGNORECASE,
)
_OWN_PARAMETERS = frozenset(["CREATE", "ALTER", "PREPARE"])
_QUERIES = frozenset(["SELECT", "WITH", "VALUES", "TABLE", "SHOW", "EXPLAIN"])
_RETURNING = re.compile(r"\bRETURNING\b", re.IGNORECASE)


@_remembered
def gives_rows(sql: str) -> bool:
    """Whether a statement has a result with columns, as far as its words say."""
    words = first_words(sql, 1)
    return (bool(words) and words[0] in _QUERIES) or _RETURNING.search(normalise(sql)) is not None


@_remembered
def parameters(sql: str) -> int | None:
    """How many parameters a statement has: the highest `$n`. None where `$1` may be that of what it creates."""
    if "$" not in sql:
        return 0
    if not _OWN_PARAMETERS.isdisjoint(first_words(sql, 1)):
        return None
    named = [
        int(sql[start + 1 : end])
        for kind, start, end in _tokens(sql)
        if kind == "parameter" and end - start < 7
    ]
    return max(named, default=0)


@_remembered
def casts(sql: str) -> Mapping[int, str]:
    """The types to which a statement casts its parameters, by their numbers: `$1::text[]`."""
    found: dict[int, str] = {}
    if "::" not in sql:
        return found
    for kind, start, end in _tokens(sql):
        cast = _CAST.match(sql, end) if kind == "parameter" and end - start <= MAX_DIGITS + 1 else None
        if cast is not None:
            found.setdefault(int(sql[start + 1 : end]), f"{cast[1]}{cast[2] or ''}")
    return found


def bracketed(sql: str) -> tuple[list[str], str] | None:
    """The parts of the list in brackets with which a text begins, and what follows: `(1, 'a, b') AS x`.

    None if it begins with no such list.
    """
    parts: list[str] = []
    depth, first = 0, 1
    for kind, start, end in _tokens(sql):
        sign = sql[start:end] if kind == "other" else ""
        depth += (sign in ("(", "[")) - (sign in (")", "]"))
        if depth == 0 or (depth == 1 and sign == ","):
            parts.append(sql[first:start].strip())
            first = end
        if depth == 0:
            return None if sign != ")" else ([], sql[end:]) if parts == [""] else (parts, sql[end:])
    return None


def masked(sql: str) -> tuple[str, list[str]]:
    """The normalised statement with a `?` for each literal, and the literals as they were written."""
    literals: list[str] = []
    kept: list[str] = []
    plain = normalise(sql)
    for kind, start, end in _tokens(plain):
        if kind in _LITERALS:
            literals.append(plain[start:end])
            kept.append("?")
        else:
            kept.append(plain[start:end])
    return "".join(kept), literals
