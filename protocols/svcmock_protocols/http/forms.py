"""Name-value pairs as URLs and HTML forms carry them, and media types.

Follows the URL standard's application/x-www-form-urlencoded (its parser and its serialiser) for pairs and
RFC 9110 section 8.3.1 for media types. Pairs are read without loss of order or duplicates. They are written
in one way only, so whoever records compares what was written with what was seen and keeps the original where
they differ.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote_plus, unquote_to_bytes

MAX_PAIRS = 10_000
"""More pairs than this are not taken apart: the text counts as it stands."""

Pairs = tuple[tuple[bytes, bytes], ...]

_PARAMETER = re.compile(
    rb';[ \t]*(?:([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^";]*)))?', re.DOTALL
)


def parse_pairs(data: bytes) -> Pairs | None:
    """The pairs of a query or an urlencoded form, percent-decoded; None if there are too many."""
    if not data:
        return ()
    if data.count(b"&") >= MAX_PAIRS:
        return None
    pairs = []
    for piece in data.split(b"&"):
        if piece:
            name, _, value = piece.partition(b"=")
            pairs.append((_decoded(name), _decoded(value)))
    return tuple(pairs)


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" ")) if b"%" in text or b"+" in text else text


def write_pairs(pairs: Iterable[tuple[str, str]]) -> bytes:
    """The pairs in the one form this module writes: everything but `A-Za-z0-9-._~` escaped, space as `+`."""
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs).encode()


def canonical_pairs(pairs: Pairs) -> bytes:
    """Equal for multimaps that are equal: names in any order, the values of one name in theirs.

    It holds no NUL byte.
    """
    ordered = sorted(pairs, key=lambda pair: pair[0])
    return b"&".join([_escaped(name) + b"=" + _escaped(value) for name, value in ordered])


def _escaped(part: bytes) -> bytes:
    """Only what would be ambiguous: quoting everything takes a hundred times as long for a large form."""
    return part.replace(b"%", b"%25").replace(b"&", b"%26").replace(b"=", b"%3D").replace(b"\0", b"%00")


def text(data: bytes) -> str:
    """Bytes as text that any encoder takes: UTF-8 where valid, else a character for each byte (Latin-1)."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


@lru_cache(maxsize=256)
def media_type(value: bytes) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
    """A Content-Type as its lower-case type and its parameters, names in lower case, values unquoted."""
    kind, semicolon, _ = value.partition(b";")
    found = []
    at = len(kind)
    while semicolon and (match := _PARAMETER.match(value, at)):
        at = match.end()
        name, quoted, plain = match.groups()
        if name is not None:
            found.append((name.lower(), _unquoted(quoted) if quoted is not None else plain.strip()))
    return kind.strip().lower(), tuple(found)


def _unquoted(quoted: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", quoted, flags=re.DOTALL)


def is_json(kind: bytes) -> bool:
    """Whether a media type says JSON: `application/json`, `text/json` or any `+json` (RFC 6839)."""
    return kind in {b"application/json", b"text/json"} or kind.endswith(b"+json")
