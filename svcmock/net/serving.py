"""What the connections of one listener share: the routes, the memory of answers, the journal.

Decides what becomes of a request beyond its answer: what is noted, and how much a miss may cost.
"""

import os
import ssl
from collections.abc import Callable, Hashable
from time import time
from typing import Any, Protocol

import structlog
from msgspec.structs import replace

from svcmock.capabilities import Likeness, Sharing
from svcmock.engine import Decision, Responder, Unservable
from svcmock.journal import Entry, Notes
from svcmock.net.descriptors import open_body
from svcmock.net.memo import Memo
from svcmock.net.missed import Missed
from svcmock.net.spool import Spools
from svcmock.protocol import Ask, Context, Request

log = structlog.get_logger()

JOURNAL_REQUEST_MAX = 64 * 1024
"""A request larger than this is kept in the journal as its summary."""
EXPLAINED_PER_SECOND = 50
"""Misses whose explanation is worked out at once; beyond it the reply names `svcmock why`."""


_EXACT = object()
"""Sets what only an exact route may answer apart from what any may."""


class Client(Protocol):
    """A connection. `context` is what its session was made with."""

    context: Context

    def tell(self, topic: Hashable, message: Any) -> bool:
        """Something was published under a topic to which it has subscribed; False: it is at its end."""

    def remember(self, memo: Memo) -> None:
        """Answer from it, and from no other one."""

    def check_idle(self, now: float, idle: float) -> None: ...
    def drain(self) -> None: ...
    def abort(self) -> None: ...


class Serving:
    """What the connections of one listener share. `responder` is swapped whole by a reload."""

    def __init__(
        self,
        responder: Responder,
        journal: Notes,
        spool_folder: Callable[[], Spools],
    ) -> None:
        self.responder = responder
        plugin = responder.plugin
        self._state = plugin.state(responder.service.options) if isinstance(plugin, Sharing) else None
        self.journal = journal
        self.spools = spool_folder
        self.memo = Memo(responder.likeness())
        self.connections: set[Client] = set()
        self.context = self._context()
        """What sessions are made with."""
        self._told: dict[Hashable, dict[Client, None]] = {}
        """Who has subscribed to what, in the order in which they did."""
        self._topics: dict[Client, set[Hashable]] = {}
        self.tls: ssl.SSLContext | None = None
        """What a session that starts TLS speaks; None where the service has none."""
        self.refused = 0
        self.draining = False
        self._explained_second = 0
        self._explained = 0

    def replace(self, responder: Responder) -> None:
        """Serve by these routes from the next request on."""
        self.responder = responder
        self.context = self._context()
        self.memo = Memo(responder.likeness())
        others: dict[int, Memo] = {}
        for connection in self.connections:
            made = connection.context
            alike = _reads(made) == _reads(self.context)
            connection.remember(self.memo if alike else others.setdefault(id(made), Memo()))

    @property
    def name(self) -> str:
        return self.responder.service.name

    def _context(self) -> Context:
        return replace(self.responder.context, state=self._state)

    def subscribe(self, client: Client, topic: Hashable) -> None:
        self._told.setdefault(topic, {})[client] = None
        self._topics.setdefault(client, set()).add(topic)

    def unsubscribe(self, client: Client, topic: Hashable) -> None:
        clients, topics = self._told.get(topic, {}), self._topics.get(client, set())
        clients.pop(client, None)
        topics.discard(topic)
        if not clients:
            self._told.pop(topic, None)
        if not topics:
            self._topics.pop(client, None)

    def unsubscribe_all(self, client: Client) -> None:
        for topic in tuple(self._topics.get(client, ())):
            self.unsubscribe(client, topic)

    def publish(self, topic: Hashable, message: Any) -> int:
        """Tell all who have subscribed; gives how many were told."""
        return sum(client.tell(topic, message) for client in tuple(self._told.get(topic, ())))

    def decide(self, ask: Ask, memo: Memo | None = None) -> Decision | None:
        """Decide and enter into the journal; None for an optional request that no route answers.

        With a `memo`, a request that it tells from no other is decided once.
        """
        request, size = ask.request, ask.size
        if memo is None or memo.likeness is None:
            return self._decide(request, size, optional=ask.optional)
        if ask.optional:
            return self._decide_exact(ask, memo, memo.likeness)
        known = memo.decided(request)
        if known is not None and known.fact is not None:
            self.journal.again(time(), known.fact)
            if known.decision is not None:
                memo.put_replied(request, size, known.decision)
            return known.decision
        same = memo.likeness.same(request)
        known = None if same is None else memo.decided_alike(same, request, size)
        if known is not None and known.decision is not None:
            self.journal.add(time(), request, known.decision.outcome, size)
            memo.put_replied(request, size, known.decision)
            return known.decision
        decision = self._decide(request, size, optional=False)
        if same is not None and decision is not None and decision.fixed:
            memo.put_decided(same, request, decision)
        return decision

    def _decide_exact(self, ask: Ask, memo: Memo, likeness: Likeness) -> Decision | None:
        """An optional request: that nothing answers it is worth remembering, too."""
        request, size = ask.request, ask.size
        same = likeness.same(request)
        if same is None:
            return self._decide(request, size, optional=True)
        key = (_EXACT, same)
        known = memo.decided(key)
        if known is None:
            decision = self._decide(request, size, optional=True)
            if decision is None or decision.fixed:
                memo.put_decided(key, request, decision)
            return decision
        if known.decision is not None:
            self.journal.add(time(), request, known.decision.outcome, size)
        return known.decision

    def _decide(self, request: Request, size: int, *, optional: bool) -> Decision | None:
        now = time()
        problem = ""
        try:
            decision = self.responder.decide(request, exact=optional)
            if decision is not None and decision.files:
                _check_files(decision)
        except Unservable as error:
            decision, problem = None, str(error)
        if decision is None:
            return None if optional and not problem else self._miss(request, size, now, problem)
        if size > JOURNAL_REQUEST_MAX:
            request = self.responder.plugin.summary(request)
            size = len(request)
        self.journal.add(now, request, decision.outcome, size)
        return decision

    def miss_again(self, missed: Missed, memo: Memo, data: bytes) -> bytes | None:
        """What a request alike one that missed gets, noted in the journal; None while misses are explained."""
        now, ident = time(), self.journal.next_id
        if memo.likeness is None or not missed.fits(ident) or not self._no_more_explained(now):
            return None
        request, size = memo.likeness.request(missed.request, data), len(data)
        self.journal.add(now, request, missed.outcome, size)
        self.journal.keep_miss(Entry(ident, now, request, missed.outcome, size))
        return missed.wire(ident)

    def _no_more_explained(self, now: float) -> bool:
        """Whether as many misses of this second were explained as may be."""
        if int(now) != self._explained_second:
            self._explained_second, self._explained = int(now), 0
        return self._explained >= EXPLAINED_PER_SECOND

    def _miss(self, request: Request, size: int, now: float, problem: str) -> Decision:
        explained = not self._no_more_explained(now)
        self._explained += 1
        ident = self.journal.next_id
        decision = self.responder.miss(request, ident, explained=explained, problem=problem)
        kept = self.responder.plugin.summary(request) if size > JOURNAL_REQUEST_MAX else request
        self.journal.add(now, kept, decision.outcome, min(size, JOURNAL_REQUEST_MAX))
        # the whole request stays for `svcmock why`, whose own byte limit bounds it
        self.journal.keep_miss(Entry(ident, now, request, decision.outcome, size))
        if explained:
            log.warning(
                "miss",
                service=self.responder.service.name,
                miss=f"m-{ident}",
                request=self.responder.plugin.summary(self.responder.masked(request)),
            )
        return decision


def _reads(context: Context) -> tuple[object, ...]:
    """What a session's reading of bytes depends on."""
    schema = context.schema
    return context.options, context.pace, None if schema is None else schema.digest


def _check_files(decision: Decision) -> None:
    """Before a head promises their size: whether the files of a reply are as they were. Raises Unservable."""
    for blob in decision.files:
        try:
            # opened, not only looked at: a descriptor must be had for it, too
            handle = open_body(blob.path)
            try:
                size = os.fstat(handle).st_size
            finally:
                os.close(handle)
            why = "" if size >= blob.offset + blob.size else "is shorter than when it was loaded"
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
        if why:
            raise Unservable(f"route {decision.outcome.route} cannot answer: {blob.path} {why}")
