"""Plain data as YAML, laid out the way a person would write it.

Decides the layout: what fits in WIDTH columns is written in flow style (`{status: 200, headers: [[A, b]]}`),
anything longer in block style; text of several lines as a literal block where that is exact; other text plain
where every reader agrees on it, else in double quotes with JSON's escapes. Follows YAML 1.2.2 and keeps to
what a YAML 1.1 reader takes for the same value: a string that either version would read as something else
(`no`, `1e3`, `012`, `1:20`, a date, `=`, `<<`) is quoted, and every float has a point and a signed exponent.
"""

import json
import re
from functools import lru_cache

from svcmock.protocol import Doc, SvcmockError

WIDTH = 110
"""Columns that a flow collection may reach."""
MAX_DEPTH = 100
"""Collections inside each other; deeper data is refused, and so is reading it."""
MAX_SIMPLE_KEY = 1000
"""YAML readers look 1024 characters ahead for the colon of a `key: value`; longer keys are written `? key`."""
_CACHED = 64
"""Scalars up to this length are remembered: header names and values come back in every exchange."""


class UnwritableError(SvcmockError):
    """Data that no YAML reader would give back: a lone surrogate, a key that is no string, too deep."""


_PLAIN = re.compile(
    r"(?![-+]?(?:\.?[0-9][0-9_.]*(?::[0-9_.]*)*(?:[eE][-+]?[0-9_]*)?|0[bBoOxX][0-9a-fA-F_]*|\.(?i:inf|nan))\Z)"
    r"(?![0-9]{4}-[0-9])"
    r"(?!(?i:y|yes|n|no|on|off|true|false|null)\Z)"
    r"[A-Za-z0-9_/.$^(+À-ÖØ-öø-ɏ-]"
    r"(?:[A-Za-z0-9_/.$^()+*;=~@%&!|<>'\"?\\`À-ÖØ-öø-ɏ#-]|:(?=[A-Za-z0-9/_])| (?![ #]|\Z))*"
)
"""Text that YAML 1.1 and 1.2 both read as itself, in block and in flow context. Narrower than the grammar."""
_INDICATED = re.compile(r"[-.](?:[ ]|\Z)|---|\.\.\.")
"""Plain by its characters, but a sequence entry or a document marker by its place."""
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
"""Characters JSON leaves alone that YAML takes for line breaks or does not allow."""
_NOT_LITERAL = re.compile("[^\t\n -~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")

_quoted = json.JSONEncoder(ensure_ascii=False).encode


def emit(doc: Doc) -> str:
    """`doc` as one YAML document without markers, ending in a line break. Raises UnwritableError.

    The outermost collection has one item a line; everything below is laid out as the module says. Time and
    space are linear in the document: whether something fits is found out by writing at most a line of it.
    """
    out: list[str] = []
    if type(doc) is dict and doc:
        _mapping(doc, "\n", 1, out)
    elif type(doc) is list and doc:
        _list(doc, "\n", 1, out)
    else:
        return f"{_one_line(doc)}\n"
    out[0] = ""
    out.append("\n")
    return "".join(out)


def scalar(text: str) -> str:
    """`text` as a YAML scalar on one line, plain or quoted. Raises UnwritableError."""
    return _remembered(text) if len(text) <= _CACHED else _scalar(text)


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and not _INDICATED.match(text):
        return text
    quoted = _quoted(text)
    return _ESCAPED.sub(_escape, quoted) if _ESCAPED.search(quoted) else quoted


_remembered = lru_cache(maxsize=4096)(_scalar)


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    if 0xD800 <= code <= 0xDFFF:
        raise UnwritableError(f"a lone surrogate (U+{code:04X}) is no character of any YAML document")
    return f"\\u{code:04x}"


def _atom(value: Doc) -> str:
    """A scalar that is no string."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        try:
            return str(value)
        except ValueError:
            raise UnwritableError("an integer of thousands of digits") from None
    if isinstance(value, float):
        return _float(repr(float(value)))
    raise UnwritableError(f"a {type(value).__name__} has no YAML form")


def _float(text: str) -> str:
    mantissa, mark, exponent = text.partition("e")
    if mark and "." not in mantissa:
        return f"{mantissa}.0e{exponent}"  # YAML 1.1 reads 1e+16 as a string
    if text[-1] in "fn":
        return {"inf": ".inf", "-inf": "-.inf"}.get(text, ".nan")
    return text


def _literal(text: str) -> bool:
    """Whether `text` has several lines and a literal block gives it back exactly.

    A block finds its indentation from its first line, so that one must not begin with white space.
    """
    return 0 <= text.find("\n") < len(text) - 1 and text[0] not in " \t\n" and not _NOT_LITERAL.search(text)


def _flow(value: Doc, room: int, depth: int) -> str | None:
    """`value` in flow style in at most `room` columns, or None where it does not fit or deserves a block."""
    kind = type(value)
    if kind is str:
        if len(value) > room or ("\n" in value and _literal(value)):
            return None
        text = scalar(value)
    elif kind is dict or kind is list:
        if depth >= MAX_DEPTH:
            raise UnwritableError(f"more than {MAX_DEPTH} collections inside each other")
        return _flow_mapping(value, room - 2, depth) if kind is dict else _flow_list(value, room - 2, depth)
    else:
        text = _atom(value)
    return text if len(text) <= room else None


def _flow_list(value: list[Doc], room: int, depth: int) -> str | None:
    parts = []
    for item in value:
        part = _flow(item, room, depth + 1)
        if part is None:
            return None
        parts.append(part)
        room -= len(part) + 2
    return f"[{', '.join(parts)}]" if room >= -2 else None


def _flow_mapping(value: dict[str, Doc], room: int, depth: int) -> str | None:
    parts = []
    for key, item in value.items():
        name = _key(key)
        part = _flow(item, room - len(name) - 2, depth + 1)
        if part is None:
            return None
        parts.append(f"{name}: {part}")
        room -= len(name) + len(part) + 4
    return "{" + ", ".join(parts) + "}" if room >= -2 else None


def _key(key: object) -> str:
    if type(key) is not str:
        raise UnwritableError(f"a key must be a string, not {type(key).__name__}")
    return scalar(key)


def _mapping(value: dict[str, Doc], lead: str, depth: int, out: list[str]) -> None:
    """One key a line. `lead` begins a line: the line break and the indentation."""
    for key, item in value.items():
        name = _key(key)
        if len(name) > MAX_SIMPLE_KEY:
            out += (lead, "? ", name, lead, ":")
            _below(item, lead, len(lead), depth, out)
        else:
            out += (lead, name, ":")
            _below(item, lead, len(lead) + len(name), depth, out)


def _list(value: list[Doc], lead: str, depth: int, out: list[str]) -> None:
    """One item a line; an item that is itself in block style starts on the line of its dash."""
    inner = lead + "  "
    for item in value:
        out += (lead, "-")
        at = len(out)
        _below(item, lead, len(lead), depth, out, inner)
        if out[at] is inner:
            out[at] = " "


def _below(value: Doc, lead: str, column: int, depth: int, out: list[str], inner: str = "") -> None:
    """What follows `key:` or `-`: in the same line where it fits, else as a block indented below it."""
    flow = _flow(value, max(WIDTH - column - 1, 0), depth)
    if flow is not None:
        out += (" ", flow)
        return
    inner = inner or lead + "  "
    kind = type(value)
    if kind is dict and value:
        _mapping(value, inner, depth + 1, out)
    elif kind is list and value:
        _list(value, inner, depth + 1, out)
    elif kind is str and _literal(value):
        _block(value, inner, out)
    else:
        out += (" ", _one_line(value))


def _one_line(value: Doc) -> str:
    if type(value) is str:
        return scalar(value)
    return "{}" if value == {} else "[]" if value == [] else _atom(value)


def _block(text: str, lead: str, out: list[str]) -> None:
    """A literal block; the chomping mark says which of its last line breaks belong to the text."""
    body = text[:-1] if text[-1] == "\n" else text
    out.append(" |-" if body is text else " |+" if body[-1] == "\n" else " |")
    lines = body.split("\n")
    out += [lead + line if line else "\n" for line in lines]
