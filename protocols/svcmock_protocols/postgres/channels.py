"""The channels to which a served connection listens, and what it has heard and not been told yet.

What a client is told unasked comes only while it is not in the middle of something: a notification waits until
the client is ready, and outside a transaction.

Notifications that nobody caused while it was recorded are routes of their own. They are asked for one after the
other as soon as a client listens, and come with the time between them that was recorded.
"""

from collections.abc import Hashable, Iterable
from typing import Final

from msgspec.structs import replace

from svcmock.protocol import Ask, Out, Publish, Send, Subscribe, Unsubscribe, Wake
from svcmock_protocols.postgres.codec import notification
from svcmock_protocols.postgres.messages import Reply, Request
from svcmock_protocols.postgres.shared import State, channel
from svcmock_protocols.postgres.standing import Effect

MAX_CHANNELS: Final = 10_000
"""Channels of a connection."""
MAX_HEARD: Final = 10_000
"""Notifications that wait for the end of what the client asks."""


class Channels:
    """Those of one connection, whose process number is `number`.

    What it asks for has ids below 0, as whatever else a session asks for has not.
    """

    def __init__(self, number: int, state: State, pace: float = 1.0) -> None:
        self._number = number
        self._state = state
        self._pace = pace
        self._names: dict[str, int] = {}
        """Each with the id under which its recorded notifications are asked for."""
        self._heard: list[bytes] = []
        self._next = -1
        self._coming: dict[int, tuple[Request, Reply | None]] = {}
        """By these ids: what is asked for, and the reply once it is there."""

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
                self._leave(gone)
                outs += [Unsubscribe(channel(one)) for one in gone]
            elif name not in self._names and len(self._names) < MAX_CHANNELS:
                ident, self._next = self._next, self._next - 1
                self._names[name] = ident
                self._state.listening += 1
                outs += [Subscribe(channel(name)), self._look(ident, Request(name, op="listen"))]
        return outs

    def answered(self, ask: Ask, reply: Reply | None) -> list[Out]:
        """The notification that comes next; None: there is none."""
        request, _ = self._coming.pop(ask.id, (None, None))
        if request is None or reply is None or not reply.notifies:
            return []
        self._coming[ask.id] = request, reply
        return [Wake(reply.after * self._pace, ask.id)]

    def woke(self, token: Hashable, *, waits: bool) -> list[Out]:
        """A notification comes now, if it need not wait; then the next one is asked for."""
        request, reply = self._coming.pop(token, (None, None)) if isinstance(token, int) else (None, None)
        if request is None or reply is None or not isinstance(token, int):
            return []
        told = [notification(0, one.channel, one.payload) for one in reply.notifies]
        outs = [out for message in told for out in self.tell(message, waits=waits)]
        return [*outs, self._look(token, replace(request, number=request.number + 1))]

    def closed(self) -> None:
        """The connection is gone."""
        self._leave(list(self._names))

    def _look(self, ident: int, request: Request) -> Ask:
        self._coming[ident] = request, None
        return Ask(ident, request, len(request.sql), optional=True)

    def _leave(self, names: Iterable[str]) -> None:
        for name in names:
            ident = self._names.pop(name, None)
            if ident is not None:
                self._state.listening -= 1
                self._coming.pop(ident, None)

    def tell(self, message: bytes, *, waits: bool) -> list[Out]:
        """A notification, which is kept if it must wait."""
        if not waits:
            return [Send(message)]
        if len(self._heard) < MAX_HEARD:
            self._heard.append(message)
        return []

    def heard(self) -> list[Out]:
        """What has waited."""
        heard, self._heard = self._heard, []
        return [Send(message) for message in heard]
