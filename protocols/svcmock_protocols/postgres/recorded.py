"""Which runs become exchanges, once the server has said ReadyForQuery.

A statement about the session itself is left out if the server answered what svcmock would (`standing`), so
that the recording holds what the application asked for. What a transaction that had failed refused is left out,
too. A COMMIT that could have failed is kept: it is the one of them whose outcome is the server's to say.

A notification that the server sends is an exchange of its own, which names the statement that it follows, or
the LISTEN if nobody who is recorded has caused it (`causes`).
"""

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from svcmock.protocol import Began, Context, Exchange, Lost, Seen, Timing
from svcmock_protocols.postgres import prepared
from svcmock_protocols.postgres.causes import Following
from svcmock_protocols.postgres.commands import command, notified
from svcmock_protocols.postgres.cursors import Watching
from svcmock_protocols.postgres.facts import DEFAULTS
from svcmock_protocols.postgres.messages import Notification, Reply, Request, Result, Said
from svcmock_protocols.postgres.portals import Statement
from svcmock_protocols.postgres.redact import redact_request
from svcmock_protocols.postgres.shared import State
from svcmock_protocols.postgres.sql import normalise, statements
from svcmock_protocols.postgres.standing import Standing
from svcmock_protocols.postgres.watched import Prepared, Run

ABORTED: Final = "25P02"
MAX_DONE: Final = 1000
"""Runs that wait for the server to be ready before they are written down."""
MAX_CHANNELS: Final = 10_000
"""Channels of a connection whose notifications are counted."""
_READING: Final = frozenset({"SELECT", "SHOW", "FETCH", "DECLARE", "MOVE", "CLOSE", "EXPLAIN", "LISTEN"})
"""By their tags: statements that change nothing, but for the functions that they call."""


class Exchanges:
    """Those of one recorded connection. `open` are the runs that are counted and not settled."""

    def __init__(self, context: Context) -> None:
        self.open: dict[int, Run] = {}
        self.done: list[Run] = []
        self.cursors = Watching()
        self._prepared: dict[str, Statement] = {}
        """By PREPARE."""
        self._context = context
        self._state = context.state if isinstance(context.state, State) else State()
        self._standing = Standing(DEFAULTS)
        self._next = 1
        self._pid = 0
        self._gone = False
        self._cause: tuple[bool, Request] | None = None
        """What is the cause of what this transaction notifies so far, and whether it changes anything."""
        self._last: dict[str, tuple[float, int]] = {}
        """When a channel was heard of last that nobody who is known notified, and how many times it was."""

    def logged_in(self, parameters: dict[str, str], pid: int) -> None:
        """The server has said what it is, and the number of the process that serves."""
        self._standing = Standing(parameters)
        self._pid = pid
        self._state.causes.joined(pid)

    def left(self) -> None:
        """The connection is no more, or is not read any more."""
        self._gone = True
        self._state.causes.left(self._pid)

    def asked(self) -> None:
        """Something is asked that may commit a transaction."""
        self._state.causes.busy(self._pid)

    def begin(self, run: Run, out: list[Seen]) -> None:
        """A statement is asked for."""
        fetches, over = self.cursors.asked(run)
        if over is not None:
            self._finish(over)
        if not fetches and (run.why or command(run.prepared.sql) is None):
            run.id = self._number(out)
            self.open[run.id] = run

    def described(self, prepared: Prepared, failure: Said | None, at: float, out: list[Seen]) -> None:
        """A statement was described, or could not be prepared."""
        results = () if prepared.columns is None else (Result(prepared.columns),)
        reply = Reply(results, types=prepared.told or ()) if failure is None else Reply(failure=failure)
        if command(prepared.sql) is not None or not self._state.news(normalise(prepared.sql), reply):
            return
        request = redact_request(Request(prepared.sql, op="describe"), self._context.token)
        out.append(Exchange(self._number(out), request, reply, Timing(at, 0.0)))

    def lose(self, run: Run, why: str, out: list[Seen], *, skipped: bool = False) -> None:
        if self.open.pop(run.id, None) is not None:
            out.append(Lost(run.id, why, "skipped" if skipped else "failed"))

    def lose_all(self, why: str, out: list[Seen]) -> None:
        for run in tuple(self.open.values()):
            self.lose(run, why, out)

    def notified(self, pid: int, channel: str, payload: str, at: float, out: list[Seen]) -> None:
        """The server tells the client of this connection that somebody has notified a channel."""
        if self._gone:
            return
        notification = Notification(channel, payload)
        found = self._state.causes.heard(self._pid, pid, notification)
        if found is not None:
            self._follows(found, at, out)
        elif channel in self._last or len(self._last) < MAX_CHANNELS:
            before, number = self._last.get(channel, (at, 0))
            self._last[channel] = at, number + 1
            request = Request(channel, op="listen", number=number)
            reply = Reply(notifies=(notification,), after=at - before)
            out.append(Exchange(self._number(out), request, reply, Timing(at, 0.0)))

    def _follows(self, following: list[Following], at: float, out: list[Seen]) -> None:
        for request, notification in following:
            reply = Reply(notifies=(notification,))
            out.append(Exchange(self._number(out), request, reply, Timing(at, 0.0)))

    def finish(self, run: Run) -> None:
        """All of a run has come."""
        if not run.over and self.cursors.finished(run):
            self._finish(run)
        elif not run.id:  # it has fetched
            run.over = True

    def _finish(self, run: Run) -> None:
        run.over = True
        self.done.append(run)

    def ended(self, *, whole: bool = False) -> None:
        """The transaction, or the `whole` connection, has ended, and cursors with it."""
        for run in self.cursors.end(all_=whole):
            self._finish(run)

    def reported(self, name: str, value: str) -> None:
        """A parameter has changed, whatever the client does."""
        self._standing.assume(name, value)
        self._standing.reports()

    def settle(self, status: str | None, settings: list[tuple[str, str]], out: list[Seen], at: float) -> None:
        """Write down what is done. `settings`: what the server reported meanwhile.

        `status`: what it said when it was ready; None: the connection has ended before.
        """
        last = self.done.pop() if self.done else None
        self._write(self.done, out)
        self.done = []
        reply, worth = Reply(), False
        if last is not None:
            reply, worth = self._told(last)
        predicted = self._standing.reports()
        for name, value in settings:
            self._standing.assume(name, value)
        self._standing.reports()
        if settings and sorted(settings) != sorted(predicted):
            reply, worth = replace(reply, settings=tuple(settings)), True
        if status is not None and self._standing.status != status:
            reply, worth = replace(reply, status=status), True
        self._standing.status = status or self._standing.status
        if last is not None:
            self._emit(last, reply, worth, out)
        self._ended_with(reply, at, out)

    def relieve(self, out: list[Seen]) -> None:
        """Write down what is done, if that is much: some clients do all their work before they say Sync.

        But for the last: it is to say how the transaction ends.
        """
        if len(self.done) > MAX_DONE:
            last = self.done.pop()
            self._write(self.done, out)
            self.done = [last]

    def _write(self, runs: Iterable[Run], out: list[Seen]) -> None:
        for run in runs:
            self._emit(run, *self._told(run), out)

    def _told(self, run: Run) -> tuple[Reply, bool]:
        """What was answered, and whether the recording is to have it. It has taken effect."""
        reply = run.reply()
        worth = self._worth(run, reply)
        self._follow(run, reply)
        return reply, worth

    def _ended_with(self, last: Reply, at: float, out: list[Seen]) -> None:
        """The server is ready: a transaction may be over, and this was its last reply."""
        causes = self._state.causes
        if self._standing.status != "I":
            self._follows(causes.ready(self._pid), at, out)
            return
        cause, self._cause = self._cause, None
        own = []
        for effect, channel, payload in self._standing.due():
            if effect == "notify":
                own.append(Notification(channel, payload))
            elif effect == "listen":
                causes.listens(self._pid, channel)
                self._last.setdefault(channel, (at, 0))
            else:
                causes.unlistens(self._pid, channel)
        if last.failure is not None or (last.results and last.results[-1].tag == "ROLLBACK"):
            self._follows(causes.ready(self._pid), at, out)
        else:
            done = None if cause is None else cause[1]
            self._follows(causes.committed(self._pid, done, own), at, out)

    def _worth(self, run: Run, reply: Reply) -> bool:
        """Whether the recording is to have it."""
        if reply.failure is not None and reply.failure.get("C") == ABORTED:
            return False
        known = command(run.prepared.sql)
        if known is None or run.why:
            return True
        own = prepared.taken(run.prepared.sql, self._prepared) or self._standing.answer(run.prepared.sql)
        if known.kind == "commit" and self._standing.status == "T":
            return True
        return own is None or not _same(own, reply)

    def _follow(self, run: Run, reply: Reply) -> None:
        sql = run.prepared.sql
        parts = [sql] if len(reply.results) <= 1 else statements(sql)
        for part, result in zip(parts, reply.results, strict=False):
            self._standing.follow(part, tag=result.tag)
            prepared.follow(part, self._prepared)
            for channel, payload in notified(part, run.params()) if result.tag else ():
                self._standing.notify(channel, payload)
        if reply.failure is not None:
            self._standing.fail()

    def _emit(self, run: Run, reply: Reply, worth: bool, out: list[Seen]) -> None:
        if not worth:
            self.lose(run, "its transaction had failed: svcmock says so by itself", out, skipped=True)
            return
        if run.why:
            self.lose(run, run.why, out, skipped=True)
            return
        if not run.id:
            run.id = self._number(out)
        self.open.pop(run.id, None)
        request = redact_request(prepared.meant(run.request(), self._prepared), self._context.token)
        if request.types and request.op == "query":
            request = replace(request, types=self._state.types(normalise(request.sql), request.types))
        out.append(Exchange(run.id, request, reply, Timing(run.at, max(run.took, 0.0))))
        if reply.failure is None and request.op == "query" and command(request.sql) is None:
            self._may_cause(request, reply)

    def _may_cause(self, request: Request, reply: Reply) -> None:
        """A trigger may have notified somebody; more likely of a statement that changes something."""
        changes = not reply.results or reply.results[-1].tag.partition(" ")[0] not in _READING
        if changes or self._cause is None or not self._cause[0]:
            self._cause = changes, request

    def _number(self, out: list[Seen]) -> int:
        number, self._next = self._next, self._next + 1
        out.append(Began(number))
        return number


def _same(own: Reply, reply: Reply) -> bool:
    """Whether svcmock would have said the same, but for where in its source the server says so."""
    return _shape(own) == _shape(reply)


def _shape(reply: Reply) -> tuple[object, ...]:
    return (
        reply.failure.get("C") if reply.failure is not None else "",
        [notice.get("C") for notice in reply.notices],
        [(result.tag, result.rows, [one.name for one in result.columns or ()]) for result in reply.results],
    )
