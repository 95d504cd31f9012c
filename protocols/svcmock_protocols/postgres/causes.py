"""What made a server notify: the statements of one recorded connection cause what another one is told.

A notification names the process of whoever caused it, and comes when that one's transaction is committed:
before or after the recorder has seen that it is. It is put down to the last statement of the transaction that
changes something, or to the last one where none does. Two kinds are nobody's to record: what a client notified
itself by NOTIFY or pg_notify, as it does so again when it is served, and what another one that listens hears.

    heard while its cause is idle, or thinks ──▶ it follows the transaction before
    heard while its cause is answered ──▶ it follows that transaction if that is over then, else the one before
    of a process that nobody recorded ──▶ it follows the LISTEN
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from svcmock_protocols.postgres.messages import Notification, Request

MAX_BACKENDS: Final = 1000
"""Recorded connections, of now and of before, whose statements are known as causes."""
MAX_WAITING: Final = 10_000
"""Notifications of one connection that are waited for, or wait for their cause."""
MAX_CAUSE: Final = 1 << 20
"""Bytes of what a statement copies in, if it is to be known as a cause."""

Following: TypeAlias = tuple[Request, Notification]


class _Backend(Struct):
    """A connection by its process number. `own`: what its client notified itself and nobody has heard yet.

    `early`: what was heard of it while it was `busy`.
    """

    cause: Request | None = None
    count: int = 0
    busy: bool = False
    own: list[Notification] = []
    early: list[Notification] = []


class Causes:
    """Those of one recorded service."""

    def __init__(self) -> None:
        self._backends: dict[int, _Backend] = {}
        self._ears: dict[str, list[int]] = {}
        """Who listens to a channel. The first one is heard."""

    def joined(self, pid: int) -> None:
        """A connection has this process number. 0 is none: what it is cannot be known."""
        self._backends.pop(pid, None)
        while len(self._backends) >= MAX_BACKENDS:
            del self._backends[next(iter(self._backends))]
        if pid:
            self._backends[pid] = _Backend()

    def left(self, pid: int) -> None:
        """It listens no more. It may still be heard of."""
        for channel in [name for name, pids in self._ears.items() if pid in pids]:
            self.unlistens(pid, channel)

    def listens(self, pid: int, channel: str) -> None:
        """From now on, it is told of this channel."""
        pids = self._ears.setdefault(channel, [])
        if pid not in pids:
            pids.append(pid)

    def unlistens(self, pid: int, channel: str) -> None:
        """It is told of this channel, or all (`*`), no more."""
        if channel == "*":
            self.left(pid)
            return
        pids = self._ears.get(channel, [])
        if pid in pids:
            pids.remove(pid)
        if not pids:
            self._ears.pop(channel, None)

    def busy(self, pid: int) -> None:
        """Something is asked of it, which may be committed at any time."""
        backend = self._backends.get(pid)
        if backend is not None:
            backend.busy = True

    def ready(self, pid: int) -> list[Following]:
        """It is not any more, and nothing was committed; what was heard meanwhile was caused before."""
        return self._settle(pid, (), None)

    def committed(self, pid: int, cause: Request | None, own: Sequence[Notification]) -> list[Following]:
        """Its transaction was. `cause`: what did it, if it did anything. `own`: what it notified itself."""
        backend = self._backends.get(pid)
        if backend is None:
            return []
        if cause is not None and isinstance(cause.copy, bytes) and len(cause.copy) > MAX_CAUSE:
            cause = None
        return self._settle(pid, own, cause)

    def heard(self, ear: int, pid: int, notification: Notification) -> list[Following] | None:
        """What is to be recorded of what a connection was told; None: it was caused by nobody who is known."""
        self.listens(ear, notification.channel)
        backend = self._backends.get(pid)
        if backend is None:
            return None
        if self._ears[notification.channel][0] != ear:
            return []
        if backend.busy:
            if len(backend.early) < MAX_WAITING:
                backend.early.append(notification)
            return []
        if backend.cause is None and notification not in backend.own:
            return None
        return self._follow(backend, [notification])

    def _settle(self, pid: int, own: Sequence[Notification], cause: Request | None) -> list[Following]:
        backend = self._backends.get(pid)
        if backend is None:
            return []
        early, backend.early, backend.busy = backend.early, [], False
        if own:  # the server folds what is equal within a transaction
            heard = [one for one in dict.fromkeys(own) if one.channel in self._ears]
            backend.own = [*backend.own, *heard][-MAX_WAITING:]
        if cause is not None:
            backend.cause, backend.count = cause, 0
        return self._follow(backend, early)

    def _follow(self, backend: _Backend, notifications: Sequence[Notification]) -> list[Following]:
        found = []
        for notification in notifications:
            if notification in backend.own:
                backend.own.remove(notification)
            elif backend.cause is not None:
                request = replace(backend.cause, op="follows", number=backend.count)
                backend.count += 1
                found.append((request, notification))
        return found
