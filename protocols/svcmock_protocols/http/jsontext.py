"""JSON bodies as native data, and the layout that gives the same bytes back.

Serialisers differ in white space, in what they escape and in a closing newline. A layout names those choices
in words: `compact` (the default; no white space), `spaced` (`", "` and `": "`), `indent 2` (any width 1-8, or
`indent tab`), then any of `ascii` (`\\u00e9` for `é`), `slashes` (`\\/`), `html` (`\\u003c` for `<`, `>`, `&`)
and `newline` (one at the end). A body is shown as data only if some layout gives exactly its bytes, and if YAML
can hold it: no number beyond 64 bits, no lone surrogate, no name twice, not too deep.
"""

import json
import re
from functools import lru_cache

from svcmock.protocol import Doc

MAX_DEPTH = 40
"""Deeper data is kept as text: it would sit too deep in a route file."""
_MAX_DIGITS = 18

_LAYOUT = re.compile(r"(?:compact|spaced|indent (?:[1-8]|tab))?(?: ?\b(?:ascii|slashes|html|newline)\b)*")
_INDENT = re.compile(rb"[\[{]\n(\t| {1,8})[^ \t]")
_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


class _UnfitError(ValueError):
    """Data that a route file cannot show as it is."""


def is_layout(layout: str) -> bool:
    return _LAYOUT.fullmatch(layout) is not None


def write(value: Doc, layout: str = "") -> bytes:
    """`value` as JSON text in this layout. ValueError for what JSON cannot hold (NaN, infinities)."""
    words = layout.split()
    text = _encoder(layout).encode(value)
    if "slashes" in words:
        text = text.replace("/", "\\/")
    if "html" in words:
        text = re.sub("[<>&]", lambda match: _HTML[match[0]], text)
    if "newline" in words:
        text += "\n"
    return text.encode()


@lru_cache(maxsize=64)
def _encoder(layout: str) -> json.JSONEncoder:
    words = layout.split()
    indent: int | str | None = None
    if "indent" in words:
        width = words[words.index("indent") + 1]
        indent = "\t" if width == "tab" else int(width)
    separators = (", ", ": ") if "spaced" in words else (",", ":") if indent is None else (",", ": ")
    return json.JSONEncoder(
        ensure_ascii="ascii" in words, allow_nan=False, separators=separators, indent=indent
    )


def show(body: bytes) -> tuple[Doc, str] | None:
    """The data and the layout ("" for the default) that `write` makes exactly `body` of; None if none does."""
    try:
        value = _DECODER.decode(body.decode())
        if "\\u" in (text := body.decode()):
            json.dumps(value, ensure_ascii=False).encode()
        if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
            return None
        for layout in _guesses(body):
            if write(value, layout) == body:
                return value, layout
    except (ValueError, RecursionError):
        return None
    return None


def _guesses(body: bytes) -> list[str]:
    """The layouts worth trying: what the text shows decides all but how a list or a mapping is spaced."""
    indent = _INDENT.match(body)
    shapes = ["", "spaced"]
    if indent is not None:
        shapes = ["indent tab" if indent[1] == b"\t" else f"indent {len(indent[1])}"]
    flags = []
    if b"\\u" in body and body.isascii():
        flags.append("ascii")
    if b"\\/" in body:
        flags.append("slashes")
    if b"\\u003c" in body or b"\\u003e" in body or b"\\u0026" in body:
        flags.append("html")
    if body.endswith(b"\n"):
        flags.append("newline")
    return [" ".join([*([shape] if shape else []), *marks]) for marks in _flag_sets(flags) for shape in shapes]


def _flag_sets(flags: list[str]) -> list[list[str]]:
    """Escapes of `html` look like those of `ascii`: with both in sight, the one is tried without the other."""
    if "ascii" in flags and "html" in flags:
        return [flags[1:], flags]
    return [flags]


def _int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise _UnfitError(text)
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _UnfitError(text)
    return value


def _constant(text: str) -> float:
    raise _UnfitError(text)


def _object(pairs: list[tuple[str, Doc]]) -> dict[str, Doc]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _UnfitError("a name twice")
    return made


_DECODER = json.JSONDecoder(
    parse_int=_int, parse_float=_float, parse_constant=_constant, object_pairs_hook=_object
)


def _depth(value: Doc) -> int:
    deepest = 0
    waiting = [(value, 1)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(node, dict):
            waiting.extend((child, depth + 1) for child in node.values())
        elif isinstance(node, list):
            waiting.extend((child, depth + 1) for child in node)
    return deepest
