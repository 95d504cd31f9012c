"""Bytes of a tape as text, and regular expressions over bytes.

Decides how a run is written: as text wherever it mostly is text, line ends and control characters as JSON
writes them; else as `svcmock.payload` writes binary. Patterns are RE2 and take each byte for one character.
"""

from functools import lru_cache
from typing import Any, Final

from svcmock.payload import INLINE_MAX, to_doc
from svcmock.protocol import Doc, Invalid, Spooled

MAX_PATTERN: Final = 1024
"""Characters of a pattern."""
_MAX_PROGRAM: Final = 1 << 20
_CONTROL_SHARE: Final = 4
"""At most one character in so many is a control character where bytes are still called text."""
_PLAIN: Final = frozenset("\t\r\n")


def shown(data: bytes, files: dict[str, bytes | Spooled]) -> Doc:
    """`data` as a route file has it, for `svcmock.payload.from_doc`; what is too long is added to `files`."""
    text = as_text(data) if len(data) <= INLINE_MAX else None
    return to_doc(data, files) if text is None else text


def as_text(data: bytes) -> str | None:
    """`data` as text where a person would call it that; it encodes to the same bytes."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    control = sum(1 for c in text if (c < " " and c not in _PLAIN) or "\x7f" <= c < "\xa0")
    return text if control * _CONTROL_SHARE <= len(text) else None


@lru_cache(maxsize=1024)
def compile_bytes(pattern: str) -> Any:
    """A pattern over bytes. Raises Invalid."""
    import re2

    if len(pattern) > MAX_PATTERN:
        raise Invalid((), f"a pattern of more than {MAX_PATTERN} characters")
    options = re2.Options()
    options.max_mem = _MAX_PROGRAM
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1
    try:
        return re2.compile(pattern.encode("latin-1"), options)
    except UnicodeEncodeError:
        raise Invalid((), "a pattern over bytes: write other than ASCII characters as \\xNN") from None
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise Invalid((), f"not a regular expression: {why}") from None


def spans(pattern: str, data: bytes) -> list[tuple[int, int, bytes, bytes]]:
    """Where a pattern, or its first group, is in `data`; with what the pattern matched before and after it."""
    regex = compile_bytes(pattern)
    group = 1 if regex.groups else 0
    found = []
    for match in regex.finditer(data):
        start, end = match.span(group)
        if 0 <= start < end:
            begin, finish = match.span()
            found.append((start, end, data[begin:start], data[end:finish]))
    return found
