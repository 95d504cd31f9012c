"""The channels to which a served connection listens, and what it has heard and not been told yet.

What a client is told unasked comes only while it is not in the middle of something: a notification waits until
the client is ready, and outside a transaction.
"""

from collections.abc import Iterable
from typing import Final

from svcmock.protocol import Out, Publish, Send, Subscribe, Unsubscribe
from svcmock_protocols.postgres.codec import notification
from svcmock_protocols.postgres.shared import channel
from svcmock_protocols.postgres.standing import Effect

MAX_CHANNELS: Final = 10_000
"""Channels of a connection."""
MAX_HEARD: Final = 10_000
"""Notifications that wait for the end of what the client asks."""


class Channels:
    """Those of one connection, whose process number is `number`."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._names: set[str] = set()
        self._heard: list[bytes] = []

    @property
    def unused(self) -> bool:
        """Whether nothing is listened to, and nothing waits to be told."""
        return not (self._names or self._heard)

    def happen(self, effects: Iterable[Effect]) -> list[Out]:
        """What LISTEN, UNLISTEN and NOTIFY do."""
        outs: list[Out] = []
        for effect, name, payload in effects:
            if effect == "notify":
                outs.append(Publish(channel(name), notification(self._number, name, payload)))
            elif effect == "unlisten":
                gone = sorted(self._names) if name == "*" else [name]
                self._names.difference_update(gone)
                outs += [Unsubscribe(channel(one)) for one in gone]
            elif len(self._names) < MAX_CHANNELS:
                self._names.add(name)
                outs.append(Subscribe(channel(name)))
        return outs

    def hear(self, message: bytes) -> None:
        """A notification that must wait."""
        if len(self._heard) < MAX_HEARD:
            self._heard.append(message)

    def heard(self) -> list[Out]:
        """What has waited."""
        heard, self._heard = self._heard, []
        return [Send(message) for message in heard]
