"""Regular expressions over bytes: RE2, so that no text of a peer makes one slow; each byte is one character."""

from functools import lru_cache
from typing import Any, Final

from svcmock.protocol import Invalid

MAX_PATTERN: Final = 1024
"""Characters of a pattern."""
_MAX_PROGRAM: Final = 1 << 20
"""Bytes of memory that a compiled one may take."""


def compile_pattern(pattern: str, *at: str | int) -> Any:
    """A pattern. Raises Invalid."""
    made = _compiled(pattern)
    if isinstance(made, str):
        raise Invalid(at, made)
    return made


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    """A pattern, or why it is none."""
    import re2

    if len(pattern) > MAX_PATTERN:
        return f"a pattern of more than {MAX_PATTERN} characters"
    options = re2.Options()
    options.max_mem = _MAX_PROGRAM
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1
    try:
        return re2.compile(pattern.encode("latin-1"), options)
    except UnicodeEncodeError:
        return "a pattern over bytes: write other than ASCII characters as \\xNN"
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        return f"not a regular expression: {why}"
