"""Bytes of a tape as text, and where patterns are in them.

Decides how a run is written: as text wherever it mostly is text, line ends and control characters as JSON
writes them; else as `svcmock.payload` writes binary.
"""

from typing import Final

from svcmock.payload import INLINE_MAX, to_doc
from svcmock.protocol import Doc, Spooled
from svcmock_protocols.tcp.patterns import compile_pattern

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


def spans(pattern: str, data: bytes) -> list[tuple[int, int, bytes, bytes]]:
    """Where a pattern, or its first group, is in `data`; with what the pattern matched before and after it."""
    regex = compile_pattern(pattern)
    group = 1 if regex.groups else 0
    found = []
    for match in regex.finditer(data):
        start, end = match.span(group)
        if 0 <= start < end:
            begin, finish = match.span()
            found.append((start, end, data[begin:start], data[end:finish]))
    return found
