"""Bytes that a client has not taken yet: those that wait here, and those that the kernel holds for it."""

import asyncio
import contextlib
import fcntl
import sys
import termios


def unsent(transport: asyncio.Transport) -> int:
    """How many, while some wait here; the kernel is not asked where none does.

    It asks for more only once much of its own buffer, megabytes perhaps, is free again.
    """
    waiting = transport.get_write_buffer_size()
    if waiting:
        queued = bytearray(4)
        with contextlib.suppress(
            OSError, ValueError
        ):  # where the system does not tell, or the socket is closed
            fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
        waiting += int.from_bytes(queued, sys.byteorder)
    return waiting
