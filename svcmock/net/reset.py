"""Ending a connection so that the peer cannot take what it got for all there was.

A transport's `abort` closes the socket, and the peer sees the end of a stream like any other: a reply that
lasts until the connection ends (RFC 9112 section 6.3) would look whole. With no time to linger (SO_LINGER,
socket(7)) the close is a reset (RST, RFC 9293 section 3.5.2), which reading peers get to see as an error.
"""

import asyncio
import contextlib
import socket
import struct

_NO_LINGER = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """End the connection at once with a reset. What was written and has not left is dropped."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):  # it is closed already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
