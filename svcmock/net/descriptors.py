"""File descriptors that clients may have, and those that are kept for the daemon's own work.

A process out of descriptors can do nothing about it: no control API, no reload, no log. So clients get all but
a reserve. How many are in use need not be counted: the system gives out the lowest number that is free
(open(2)), so who was given the number n knows that at least n are taken.
"""

import errno
import os
import resource
import sys

RESERVE = 32
"""Descriptors kept: half of them for body files and large requests, half for the control API, reloads and the
log. Fewer where the process may have only few."""
RESERVE_SHARE = 4
"""The reserve is at most one part in so many of all."""


def for_clients() -> int:
    """Descriptors numbered from this on are the reserve. Asked anew each time: prlimit(1) moves the limit."""
    limit, reserve = _limits()
    return limit - reserve


def any_for_clients(known: int) -> bool:
    """Whether one outside the reserve is free. `known`: any descriptor that is open."""
    try:
        lowest = os.dup(known)
    except OSError:
        return False
    os.close(lowest)
    return lowest < for_clients()


def open_body(path: str) -> int:
    """A file to be read for a client. Raises OSError, also where only half of the reserve would be left."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    limit, reserve = _limits()
    if handle < limit - reserve // 2:
        return handle
    os.close(handle)
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)


def _limits() -> tuple[int, int]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize, 0
    return soft, min(RESERVE, soft // RESERVE_SHARE)
