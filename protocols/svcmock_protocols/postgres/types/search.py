"""Full text search: documents (tsvector) and queries (tsquery).

tsvector   int32 lexemes, then for each a NUL-terminated text, uint16 positions, and the positions: two
           bits of weight (D C B A), fourteen of place
tsquery    int32 items in prefix order, an operator's right operand before its left one:
           byte 1, byte weights, byte whether a prefix, NUL-terminated text, or
           byte 2, byte operator (1 not, 2 and, 3 or, 4 followed by), and for the last int16 distance
"""

import re
import struct
from typing import TypeAlias

from msgspec import Struct

from svcmock_protocols.postgres.types.codec import Codec, codec

MAX_POSITIONS = 255
"""Of one lexeme, a limit of PostgreSQL's."""
_LAST_POSITION = 16383
MAX_NESTING = 200
"""Operators inside operators. A chain of so many words is one too: each operator holds the chain before it."""
_COUNT = struct.Struct(">i")
_SHORT = struct.Struct(">H")
_WEIGHTS = "DCBA"

_LEXEME = re.compile(r"\s*+(?:'((?:[^'\\]++|''|\\.)*+)'|((?:[^\s':\\|&!<>()*]++|\\.)++))", re.DOTALL)
_PLACES = re.compile(r":([0-9]{1,5}[A-Da-d]?+(?:,[0-9]{1,5}[A-Da-d]?+)*+)")
_PLACE = re.compile(r"([0-9]{1,5})([A-Da-d]?)")
_ESCAPED = re.compile(r"'(')|\\(.)", re.DOTALL)


def _quoted(lexeme: str) -> str:
    escaped = lexeme.replace("'", "''").replace("\\", "\\\\")
    return f"'{escaped}'"


def _lexeme(match: re.Match[str]) -> str:
    quoted, bare = match.groups()
    return _ESCAPED.sub(lambda found: found[1] or found[2], bare if quoted is None else quoted)


def _string(data: bytes, at: int) -> tuple[str, int]:
    end = data.find(b"\0", at)
    if end < 0:
        raise ValueError("a text without an end")
    return data[at:end].decode(), end + 1


def _vector_from(data: bytes) -> str:
    (count,) = _COUNT.unpack_from(data)
    at = _COUNT.size
    if not 0 <= count <= (len(data) - at) // 3:
        raise ValueError(f"{count} lexemes are announced, {len(data) - at} bytes are here")
    shown = []
    for _ in range(count):
        lexeme, at = _string(data, at)
        (places,) = _SHORT.unpack_from(data, at)
        positions = struct.unpack_from(f">{places}H", data, at + 2)
        at += 2 + 2 * places
        text = _quoted(lexeme)
        if positions:
            text += ":" + ",".join(
                [f"{place & 0x3FFF}{_WEIGHTS[place >> 14].strip('D')}" for place in positions]
            )
        shown.append(text)
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes too many")
    return " ".join(shown)


def _vector_to(text: str) -> bytes:
    lexemes: dict[bytes, dict[int, int]] = {}
    body = text.rstrip()
    at = 0
    while at < len(body):
        match = _LEXEME.match(body, at)
        if match is None:
            raise ValueError("no lexeme")
        at = match.end()
        weights = lexemes.setdefault(_lexeme(match).encode(), {})
        places = _PLACES.match(body, at)
        if places is not None:
            at = places.end()
            for place, weight in _PLACE.findall(places[1]):
                where = min(int(place), _LAST_POSITION)
                weights[where] = max(weights.get(where, 0), _WEIGHTS.index(weight.upper() or "D"))
    parts = [_COUNT.pack(len(lexemes))]
    for lexeme, weights in sorted(lexemes.items()):
        kept = sorted(weights.items())[:MAX_POSITIONS]
        packed = struct.pack(f">{len(kept)}H", *(where | weight << 14 for where, weight in kept))
        parts.append(lexeme + b"\0" + _SHORT.pack(len(kept)) + packed)
    return b"".join(parts)


class _Word(Struct, frozen=True):
    text: str
    weights: int
    prefix: bool


class _Operator(Struct, frozen=True):
    kind: int
    left: "_Node | None"
    right: "_Node"
    distance: int = 1


_Node: TypeAlias = _Word | _Operator

_NOT, _AND, _OR, _PHRASE = 1, 2, 3, 4
_PRIORITY = {_NOT: 4, _AND: 2, _OR: 1, _PHRASE: 3}
_SIGNS = {"&": _AND, "|": _OR}
_MAX_DISTANCE = 16384


class _Items:
    """Reads the items of a query in binary form."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        (self.left,) = _COUNT.unpack_from(data)
        self._at = _COUNT.size

    @property
    def at_end(self) -> bool:
        return not self.left and self._at == len(self._data)

    def node(self, depth: int) -> _Node:
        if not self.left or depth > MAX_NESTING:
            raise ValueError("an operand is missing, or operators are nested too deep")
        self.left -= 1
        kind, detail = self._data[self._at], self._data[self._at + 1]
        self._at += 2
        if kind == 1:
            prefix = self._data[self._at]
            text, self._at = _string(self._data, self._at + 1)
            if detail > 0xF or prefix > 1:
                raise ValueError("no weights of a word")
            return _Word(text, detail, bool(prefix))
        if kind != 2 or detail not in _PRIORITY:
            raise ValueError(f"{detail} is no operator")
        distance = 1
        if detail == _PHRASE:
            (distance,) = _SHORT.unpack_from(self._data, self._at)
            self._at += 2
        right = self.node(depth + 1)
        return _Operator(detail, None if detail == _NOT else self.node(depth + 1), right, distance)


def _query_from(data: bytes) -> str:
    items = _Items(data)
    text = _infix(items.node(0), -1, after_phrase=False) if items.left else ""
    if not items.at_end:
        raise ValueError("more than one query")
    return text


def _infix(node: _Node, outer: int, *, after_phrase: bool) -> str:
    if isinstance(node, _Word):
        marks = "".join([letter for letter in "ABCD" if node.weights >> _WEIGHTS.index(letter) & 1])
        marks = "*" * node.prefix + marks
        return _quoted(node.text) + (f":{marks}" if marks else "")
    priority = _PRIORITY[node.kind]
    right = _infix(node.right, priority, after_phrase=node.kind == _PHRASE)
    if node.left is None:
        text = f"!{right}"
    else:
        sign = {_AND: "&", _OR: "|"}.get(node.kind) or ("<->" if node.distance == 1 else f"<{node.distance}>")
        text = f"{_infix(node.left, priority, after_phrase=False)} {sign} {right}"
    if priority < outer or (node.kind == _PHRASE and after_phrase):
        return f"( {text} )"
    return text


_SIGN = re.compile(r"\s*+(?:([&|!()])|<(-|[0-9]{1,5})>)")
_MARKS = re.compile(r":([A-Da-d*]++)")


class _Query:
    """Reads the text form of a query."""

    def __init__(self, text: str) -> None:
        self._text = text.rstrip()
        self._at = 0
        self._count = 0

    def binary(self) -> bytes:
        if not self._text.strip():
            return _COUNT.pack(0)
        items = self._operators(0, 0)
        if self._at != len(self._text):
            raise ValueError("no query")
        return _COUNT.pack(self._count) + items

    def _operators(self, lowest: int, depth: int) -> bytes:
        """An operand, and the operators after it that bind at least so tightly. All bind to the left."""
        left = self._operand(depth)
        while (match := _SIGN.match(self._text, self._at)) is not None:
            sign, distance = match.groups()
            kind = _PHRASE if distance else _SIGNS.get(sign, 0)
            if not kind or _PRIORITY[kind] < lowest:
                break
            self._at = match.end()
            right = self._operators(_PRIORITY[kind] + 1, depth + 1)
            self._count += 1
            head = bytes((2, kind))
            if kind == _PHRASE:
                steps = 1 if distance == "-" else int(distance)
                if steps > _MAX_DISTANCE:
                    raise ValueError("a distance out of range")
                head += _SHORT.pack(steps)
            left = head + right + left
        return left

    def _operand(self, depth: int) -> bytes:
        if depth > MAX_NESTING:
            raise ValueError("operators nested too deep")
        match = _SIGN.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
            if match[1] == "!":
                right = self._operand(depth + 1)
                self._count += 1
                return bytes((2, _NOT)) + right
            if match[1] != "(":
                raise ValueError("an operand is missing")
            inner = self._operators(0, depth + 1)
            closing = _SIGN.match(self._text, self._at)
            if closing is None or closing[1] != ")":
                raise ValueError("a bracket is missing")
            self._at = closing.end()
            return inner
        return self._word()

    def _word(self) -> bytes:
        match = _LEXEME.match(self._text, self._at)
        if match is None:
            raise ValueError("an operand is missing")
        self._at = match.end()
        marks = _MARKS.match(self._text, self._at)
        letters = ""
        if marks is not None:
            self._at = marks.end()
            letters = marks[1].upper()
        weights = sum(1 << _WEIGHTS.index(letter) for letter in set(letters) - {"*"})
        self._count += 1
        return bytes((1, weights, "*" in letters)) + _lexeme(match).encode() + b"\0"


def _query_to(text: str) -> bytes:
    return _Query(text).binary()


TSVECTOR: Codec = codec(_vector_from, _vector_to)
TSQUERY: Codec = codec(_query_from, _query_to)
