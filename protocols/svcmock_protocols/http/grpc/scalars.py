"""Numbers, texts, bytes and enum values of a message out of readable data.

Whole numbers may be given as text, as JSON has those beyond 2^53, and as `5.0`. A whole number that a double
cannot hold is refused, and so is all else that would mean something near to what was written.
"""

import math
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from struct import Struct as Layout
from typing import Any, Final, TypeAlias

from svcmock.protocol import Doc, Invalid
from svcmock_protocols.http.grpc import kinds, tree

At: TypeAlias = tuple[str | int, ...]
Parse: TypeAlias = Callable[[Doc, At], Any]

_FLOAT: Final = Layout("<f")
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
"""Less than `float` takes: no underscores, no white space, no digits of other scripts."""
_NOT_NUMBERS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def parser(field: Any) -> Parse:
    """What makes a value of this field out of a document; it raises Invalid."""
    if field.enum_type is not None:
        return _enum(field.enum_type)
    if field.type in kinds.INTEGERS:
        return _integer(kinds.NAMES[field.type], *kinds.INTEGERS[field.type])
    return _PARSERS[field.type]


def _integer(name: str, low: int, high: int) -> Parse:
    def parse(doc: Doc, at: At) -> int:
        value = _whole(doc)
        if value is None:
            raise Invalid(at, f"expected a whole number ({name}), got {kind(doc)}")
        if not low <= value <= high:
            raise Invalid(at, f"expected a number from {low} to {high} ({name}), got {_brief(doc)}")
        return value

    return parse


def _whole(doc: Doc) -> int | None:
    """The whole number that a number or the text of one is."""
    if isinstance(doc, bool):
        return None
    if isinstance(doc, int):
        return doc
    if isinstance(doc, float):
        return int(doc) if doc.is_integer() else None
    if not isinstance(doc, str) or len(doc) > 24:
        return None
    digits = doc.removeprefix("-")
    return int(doc) if digits.isascii() and digits.isdigit() else None


def _enum(enum: Any) -> Parse:
    numbers = {value.name: value.number for value in enum.values}

    def parse(doc: Doc, at: At) -> int:
        number = numbers.get(doc) if isinstance(doc, str) else None
        if number is None:
            number = _whole(doc)
        if number is None:
            got = f"has no value {_brief(doc)}{hint(doc, numbers)}" if isinstance(doc, str) else ""
            raise Invalid(at, f"{enum.full_name} {got or f'takes a name or a number, not {kind(doc)}'}")
        if not -(2**31) <= number < 2**31 or (enum.is_closed and number not in numbers.values()):
            raise Invalid(at, f"{enum.full_name} has no value {number}")
        return number

    return parse


def _bool(doc: Doc, at: At) -> bool:
    if not isinstance(doc, bool):
        raise Invalid(at, f"expected true or false, got {kind(doc)}")
    return doc


def string(doc: Doc, at: At) -> str:
    if not isinstance(doc, str):
        raise Invalid(at, f"expected text, got {kind(doc)}")
    try:
        doc.encode()
    except UnicodeEncodeError:
        raise Invalid(at, "a lone surrogate, which JSON can name, has no bytes") from None
    return doc


def double(doc: Doc, at: At) -> float:
    value = _number(doc)
    if value is None:
        raise Invalid(at, f"expected a number, got {kind(doc)}")
    try:
        made = float(value)
    except OverflowError:
        made = math.nan
    if isinstance(value, int) and made != value:
        raise Invalid(at, f"{_brief(doc)} cannot be told apart from its neighbours as a double")
    return made


def _float(doc: Doc, at: At) -> float:
    value = double(doc, at)
    if math.isfinite(value):
        try:
            _FLOAT.pack(value)
        except OverflowError:
            raise Invalid(at, f"{_brief(doc)} does not fit in a float") from None
    return value


def _number(doc: Doc) -> int | float | None:
    if isinstance(doc, int | float) and not isinstance(doc, bool):
        return doc
    if not isinstance(doc, str) or len(doc) > 40:
        return None
    if doc in _NOT_NUMBERS:
        return _NOT_NUMBERS[doc]
    if _NUMBER.fullmatch(doc) is None:
        return None
    value = float(doc)
    if not math.isfinite(value):
        return None
    # as text, too, a whole number is one that a double must hold
    return int(doc) if _WHOLE.fullmatch(doc) and int(doc) != value else value


def _bytes(doc: Doc, at: At) -> bytes:
    return tree.payload(doc, at)


_PARSERS: Final[dict[int, Parse]] = {
    kinds.BOOL: _bool,
    kinds.BYTES: _bytes,
    kinds.DOUBLE: double,
    kinds.FLOAT: _float,
    kinds.STRING: string,
}


def map_key(field: Any, text: str, at: At) -> Any:
    """The key of a map that a text stands for. Raises Invalid."""
    if field.type != kinds.BOOL:
        return parser(field)(text, at)
    if text not in ("true", "false"):
        raise Invalid(at, f"expected true or false, got {text[:40]!r}")
    return text == "true"


def kind(doc: Doc) -> str:
    """What a document is, in a person's words."""
    if isinstance(doc, str):
        return f"the text {_brief(doc)}"
    if isinstance(doc, dict | list):
        return "a mapping" if isinstance(doc, dict) else "a list"
    if doc is None or isinstance(doc, bool):
        return "null" if doc is None else str(doc).lower()
    return _brief(doc)


def _brief(doc: Doc) -> str:
    if isinstance(doc, int) and abs(doc) >= 1 << 128:
        return "a far larger one"
    text = repr(doc)
    return text if len(text) <= 60 else text[:57] + "..."


def hint(name: str, names: Iterable[str]) -> str:
    """What else might have been meant, for the end of a message."""
    known = list(names)
    near = get_close_matches(name[:60], known, 1) or get_close_matches(name[:60].lower(), known, 1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; it has {', '.join(known[:8])}{', ...' if len(known) > 8 else ''}" if known else ""
