"""How much a client may send: the windows that it is given (RFC 9113 sections 5.2 and 6.9).

Decides when it may send more. What came on the connection is dealt with at once, as it is kept for its stream
or thrown away; a stream's window opens when its request can take more.
"""

from typing import Final

from svcmock.protocol import Out, Send
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.frames import ConnectionFault, StreamFault
from svcmock_protocols.http.h2.stream import Stream

STREAM_CREDIT: Final = 1 << 20
"""Bytes that a client may send on a stream before we have dealt with them: SETTINGS_INITIAL_WINDOW_SIZE."""
CREDIT: Final = 1 << 24
"""The same for all streams together."""


class Credit:
    """Of one connection."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = CREDIT

    def spend(self, size: int, outs: list[Out]) -> None:
        """The client sent so many bytes, wanted or not. Raises ConnectionFault."""
        self._left -= size
        if self._left < 0:
            raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
        if self._left < CREDIT // 2:
            outs.append(Send(frames.window_update(0, CREDIT - self._left)))
            self._left = CREDIT


def spend(stream: Stream, size: int) -> None:
    """So many of them on one stream. Raises StreamFault."""
    stream.credit -= size
    if stream.credit < 0:
        raise StreamFault(stream.id, frames.FLOW_CONTROL_ERROR, "more DATA than the stream's window")


def refill(stream: Stream, outs: list[Out]) -> None:
    """Let the client send more, unless what it said in a conversation waits for an answer."""
    if stream.ended or stream.asked or stream.replied or stream.credit >= STREAM_CREDIT // 2:
        return
    outs.append(Send(frames.window_update(stream.id, STREAM_CREDIT - stream.credit)))
    stream.credit = STREAM_CREDIT
