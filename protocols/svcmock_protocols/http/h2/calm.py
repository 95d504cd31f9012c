"""How much a client of HTTP/2 may ask for without wanting anything (RFC 9113 section 10.5).

Frames that give us work and no request are counted. Who sends too many of them within a time is told to calm
down, and disconnected.
"""

from typing import Final

from svcmock.protocol import Out, Wake
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.frames import ConnectionFault

CALM: Final = 10_000
"""Frames that ask for work and give none (PING, SETTINGS, PRIORITY, empty DATA, resets) within SECONDS."""
SECONDS: Final = 10.0
RESTED: Final = "rested"
"""The token of the Wake after which all is forgotten."""


class Calm:
    """Of one connection."""

    __slots__ = ("_left", "_resting")

    def __init__(self) -> None:
        self._left = CALM
        self._resting = False

    def spend(self, outs: list[Out]) -> None:
        """One such frame. Raises ConnectionFault when there were too many."""
        self._left -= 1
        if self._left < 0:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "too many frames that ask for nothing")
        if self._left < CALM // 2 and not self._resting:
            self._resting = True
            outs.append(Wake(SECONDS, RESTED))

    def rested(self) -> None:
        self._left = CALM
        self._resting = False
