"""Commands that wait for what others write, and how long they do.

A server says nothing (nil) when the time is up. So does the mock, for a recording or a route that says so: an
application that waits again and again would keep it, and itself, busy otherwise.
"""

import re
from typing import Final

from svcmock_protocols.redis.messages import Args, Error

STREAMS: Final = frozenset(b"XREAD XREADGROUP".split())
"""They block if they are told to."""
LISTS: Final = frozenset(b"BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN".split())
"""They always do."""
BLOCKING: Final = STREAMS | LISTS
_TIMEOUT_FIRST: Final = frozenset(b"BLMPOP BZMPOP".split())

_MILLISECONDS: Final = re.compile(rb"-?\d{1,15}")
_SECONDS: Final = re.compile(rb"-?\d{1,15}(?:\.\d{0,15})?")


def patience(args: Args) -> float | Error | None:
    """Seconds that a command waits, 0 for ever; None for one that does not; what a server says of no time."""
    if args[0] in STREAMS:
        at = block(args)
        if at < 0:
            return None
        if _MILLISECONDS.fullmatch(args[at + 1]) is None:
            return Error(b"ERR timeout is not an integer or out of range")
        seconds = int(args[at + 1]) / 1000.0
    elif args[0] in LISTS:
        said = args[1] if args[0] in _TIMEOUT_FIRST and len(args) > 1 else args[-1]
        if _SECONDS.fullmatch(said) is None:
            return Error(b"ERR timeout is not a float or out of range")
        seconds = float(said)
    else:
        return None
    return Error(b"ERR timeout is negative") if seconds < 0 else seconds


def block(args: Args) -> int:
    """Where BLOCK stands in a read of streams; -1 for none."""
    for at, arg in enumerate(args):
        if arg.upper() == b"BLOCK" and at + 1 < len(args):
            return at
        if arg.upper() == b"STREAMS":
            break
    return -1
