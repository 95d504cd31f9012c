"""Which runs become exchanges, once the server has said ReadyForQuery.

A statement about the session itself is left out if the server answered what svcmock would (`standing`), so
that the recording holds what the application asked for. What a transaction that had failed refused is left out,
too. A COMMIT that could have failed is kept: it is the one of them whose outcome is the server's to say.
"""

from typing import Final

from msgspec.structs import replace

from svcmock.protocol import Began, Context, Exchange, Lost, Seen, Timing
from svcmock_protocols.postgres.commands import command
from svcmock_protocols.postgres.cursors import Watching
from svcmock_protocols.postgres.facts import DEFAULTS
from svcmock_protocols.postgres.messages import Reply, Request, Result, Said
from svcmock_protocols.postgres.redact import redact_request
from svcmock_protocols.postgres.shared import State
from svcmock_protocols.postgres.sql import normalise, statements
from svcmock_protocols.postgres.standing import Standing
from svcmock_protocols.postgres.watched import Prepared, Run

ABORTED: Final = "25P02"


class Exchanges:
    """Those of one recorded connection. `open` are the runs that are counted and not settled."""

    def __init__(self, context: Context) -> None:
        self.open: dict[int, Run] = {}
        self.done: list[Run] = []
        self.cursors = Watching()
        self._context = context
        self._state = context.state if isinstance(context.state, State) else State()
        self._standing = Standing(DEFAULTS)
        self._next = 1

    def logged_in(self, parameters: dict[str, str]) -> None:
        """The server has said what it is."""
        self._standing = Standing(parameters)

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

    def settle(self, status: str | None, settings: list[tuple[str, str]], out: list[Seen]) -> None:
        """Write down what is done. `settings`: what the server reported meanwhile.

        `status`: what it said when it was ready; None: the connection has ended before.
        """
        done, self.done = self.done, []
        told: list[tuple[Run, Reply, bool]] = []
        for run in done:
            reply = run.reply()
            told.append((run, reply, self._worth(run, reply)))
            self._follow(run, reply)
        predicted = self._standing.reports()
        for name, value in settings:
            self._standing.assume(name, value)
        self._standing.reports()
        if told:
            run, reply, worth = told[-1]
            if sorted(settings) != sorted(predicted) and settings:
                reply, worth = replace(reply, settings=tuple(settings)), True
            if status is not None and self._standing.status != status:
                reply, worth = replace(reply, status=status), True
            told[-1] = run, reply, worth
        self._standing.status = status or self._standing.status
        for run, reply, worth in told:
            self._emit(run, reply, worth, out)

    def _worth(self, run: Run, reply: Reply) -> bool:
        """Whether the recording is to have it."""
        if reply.failure is not None and reply.failure.get("C") == ABORTED:
            return False
        known = command(run.prepared.sql)
        if known is None or run.why:
            return True
        own = self._standing.answer(run.prepared.sql)
        if known.kind == "commit" and self._standing.status == "T":
            return True
        return own is None or not _same(own, reply)

    def _follow(self, run: Run, reply: Reply) -> None:
        sql = run.prepared.sql
        parts = [sql] if len(reply.results) <= 1 else statements(sql)
        for part, result in zip(parts, reply.results, strict=False):
            self._standing.follow(part, tag=result.tag)
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
        request = redact_request(run.request(), self._context.token)
        if request.types:
            request = replace(request, types=self._state.types(normalise(request.sql), request.types))
        out.append(Exchange(run.id, request, reply, Timing(run.at, max(run.took, 0.0))))

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
