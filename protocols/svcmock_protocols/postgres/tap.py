"""Records one connection: who owes which answer, and what passes. Sans I/O.

Once a client has logged in (`login`), bytes are passed on as they come, and each message of the client is owed
its own answer (FIFO):

    Q: up to Z      P: 1    B: 2    C: 3    D: [t] T|n    E: C I s, or a copy    S: Z    F: [V] Z
    an E fails the first that waits, and what waits behind it up to the next Sync is never answered
    a Sync that is sent while a COPY ... FROM STDIN takes data is not answered

Notices, reports and notifications come at any time and answer nothing. A failure that is FATAL ends it all.
"""

from collections import deque
from collections.abc import Callable
from itertools import takewhile
from typing import Any, ClassVar, Final

from svcmock.protocol import Context, Forward, Opaque, ProtocolError, Seen, Shut, Side, Sight, Upstream
from svcmock_protocols.postgres import calls, codec
from svcmock_protocols.postgres.commands import is_copy_in
from svcmock_protocols.postgres.descriptors import Descriptors
from svcmock_protocols.postgres.login import Login
from svcmock_protocols.postgres.messages import Said
from svcmock_protocols.postgres.named import Named
from svcmock_protocols.postgres.recorded import ABORTED, Exchanges
from svcmock_protocols.postgres.watched import Expected, Portal, Prepared, Run, leads_to

MAX_MESSAGE: Final = 256 << 20
"""Bytes of a message that is watched."""
MAX_EXPECTED: Final = 1_000_000
"""Messages that wait for their answers. A bulk insert sends as many as fit into the buffers on the way."""
MAX_SETTINGS: Final = 1000
"""Parameters that a server reports as changed until it is ready."""
_PASSED_BY: Final = frozenset({b"p", b"H"})
"""What a client is owed no answer for."""
_OF_COPIES: Final = frozenset({b"d", b"c", b"f", b"S", b"H"})
"""What a client may send while its data is taken."""
_FATAL: Final = frozenset({"FATAL", "PANIC"})


class PostgresTap:
    """One recorded connection, as `svcmock.protocol.Tap` asks for it."""

    def __init__(self, context: Context, upstream: Upstream) -> None:
        self._login = Login(context, upstream)
        self._exchanges = Exchanges(context)
        self._client = codec.Frames(MAX_MESSAGE)
        self._server = codec.Frames(MAX_MESSAGE)
        self._blind = False
        self._settings: list[tuple[str, str]] = []
        self._queue: deque[Expected] = deque()
        self._named = Named()
        self._descriptors = Descriptors()
        self._discarding = False
        """The server skips what the client sends until its next Sync."""
        self._copy: Expected | None = None
        """The Execute of a COPY ... FROM STDIN for which the client sends data."""
        self._at = 0.0
        self._peace = False

    @property
    def at_peace(self) -> bool:
        """Whether the server is ready and outside a transaction, and the client has asked for nothing since."""
        return self._peace and not self._blind and not self._client.held and not self._server.held

    # --- the contract ---

    def from_client(self, data: bytes, at: float) -> Sight:
        if self._login.refused:
            return ()
        if self._blind:
            return (Forward(data, Side.SERVER),)
        out: list[Seen] = []
        self._at = at
        try:
            if self._login.passes:
                self._said(data, out)
            else:
                self._login.from_client(data, out)
                self._passed(out)
        except ProtocolError as error:
            self._give_up(f"the client's bytes are no PostgreSQL: {error}", out)
        return out

    def from_server(self, data: bytes, at: float) -> Sight:
        if self._login.refused:
            return ()
        if self._blind:
            return (Forward(data, Side.CLIENT),)
        out: list[Seen] = []
        self._at = at
        try:
            if not self._login.ready:
                self._login.from_server(data, out)
                if self._login.ready:
                    self._exchanges.logged_in(self._login.parameters, self._login.pid)
                self._passed(out)
                if not self._login.ready:
                    return out
                data = self._login.late()
            if data:
                out.append(Forward(data, Side.CLIENT))
                self._watch_server(data, out)
        except ProtocolError as error:
            self._give_up(f"the server's bytes are no PostgreSQL: {error}", out)
        return out

    def eof(self, side: Side, at: float) -> Sight:
        out: list[Seen] = []
        self._at = at
        if side is Side.CLIENT:
            self._left(out)
            self._exchanges.left()
            if not self._login.refused:
                out.append(Shut(Side.SERVER))
            return out
        self._lost("the upstream left before it had answered", out)
        self._release(out)
        out.append(Shut(Side.CLIENT))
        return out

    def unreachable(self, why: str, at: float) -> Sight:  # noqa: ARG002  it does not depend on time
        out: list[Seen] = []
        self._login.unreachable(why, out)
        self._exchanges.lose_all(f"the upstream cannot be reached: {why}", out)
        return out

    def informed(self, context: Context) -> Sight:  # noqa: ARG002  nothing was asked
        return ()

    # --- what the client asks ---

    def _passed(self, out: list[Seen]) -> None:
        """What the client has said behind its login, as soon as that passes."""
        early = self._login.early()
        if self._login.cancels and self._login.passes:
            self._release(out)
        if early:
            self._said(early, out)

    def _said(self, data: bytes, out: list[Seen]) -> None:
        out.append(Forward(data, Side.SERVER))
        if not self._blind:
            self._watch_client(data, out)

    def _watch_client(self, data: bytes, out: list[Seen]) -> None:
        self._client.add(data)
        while not self._blind and (found := self._client.next()) is not None:
            kind, body = found
            if self._discarding and kind not in (b"S", b"X"):
                continue
            if len(self._queue) >= MAX_EXPECTED:
                self._give_up(f"more than {MAX_EXPECTED} messages wait for an answer", out)
                return
            self._asked(kind, body, out)

    def _asked(self, kind: bytes, body: bytes, out: list[Seen]) -> None:
        self._peace = False
        if kind not in _OF_COPIES:
            self._copy = None
        act = self._acts.get(kind)
        if act is not None:
            act(self, body, out)
        elif kind not in _PASSED_BY:
            raise ProtocolError(f"a message of type {kind!r}")

    def _query(self, body: bytes, out: list[Seen]) -> None:
        run = Run(Prepared(codec.Reader(body).text()), self._at)
        self._drop_portal("")
        self._exchanges.begin(run, out)
        self._ends_batch(Expected(b"Q", run=run))

    def _parse(self, body: bytes, _out: list[Seen]) -> None:
        self._queue.append(self._named.parse(body))

    def _bind(self, body: bytes, _out: list[Seen]) -> None:
        self._drop_portal(codec.bind(body).portal)
        self._queue.append(self._named.bind(body))

    def _describe(self, body: bytes, _out: list[Seen]) -> None:
        kind, name = codec.target(body)
        if kind == b"S":
            self._queue.append(Expected(b"d", prepared=self._named.statement(name), name=name))
        else:
            self._queue.append(Expected(b"D", portal=self._named.portal(name), name=name))

    def _execute(self, body: bytes, out: list[Seen]) -> None:
        name, _ = codec.execute(body)
        portal = self._named.portal(name)
        if portal is None or (portal.run is not None and portal.run.over):
            self._queue.append(Expected(b"E"))  # there is none, or no more of it: the server will say so
            return
        if portal.run is None:
            portal.run = Run(portal.prepared, self._at, bound=portal.bound, why=portal.prepared.why)
            self._exchanges.begin(portal.run, out)
        self._queue.append(Expected(b"E", portal=portal, run=portal.run))
        if is_copy_in(portal.prepared.sql):
            self._copy = self._queue[-1]

    def _close(self, body: bytes, _out: list[Seen]) -> None:
        kind, name = codec.target(body)
        if kind == b"S":
            self._queue.append(self._named.close(name))
        else:
            self._drop_portal(name)
            self._queue.append(Expected(b"C"))

    def _sync(self, _body: bytes, _out: list[Seen]) -> None:
        self._discarding = False
        copy = self._copy
        if copy is None or copy.run is None or not copy.run.copying:
            self._ends_batch(Expected(b"S", copy=copy))

    def _call(self, body: bytes, out: list[Seen]) -> None:
        run = calls.watched(body, self._at)
        if run is not None:
            self._exchanges.begin(run, out)
        self._ends_batch(Expected(b"F", run=run))

    def _ends_batch(self, expected: Expected) -> None:
        self._exchanges.asked()
        expected.batch = self._named.batch
        self._named.batch += 1
        self._queue.append(expected)

    def _copied(self, body: bytes, _out: list[Seen]) -> None:
        """Data of a COPY ... FROM STDIN. Some clients send it without having been told to."""
        waiting = self._copy or next((one for one in reversed(self._queue) if one.run is not None), None)
        if waiting is not None and waiting.run is not None:
            waiting.run.piece(body, out=False)

    def _copy_ended(self, _body: bytes, _out: list[Seen]) -> None:
        self._copy = None

    def _terminated(self, _body: bytes, out: list[Seen]) -> None:
        self._left(out)

    def _drop_portal(self, name: str) -> None:
        portal = self._named.drop(name)
        if portal is not None:
            self._dropped(portal)

    def _dropped(self, portal: Portal) -> None:
        if portal.run is not None:
            portal.run.dropped = True
            self._break_off(portal.run)

    def _break_off(self, run: Run) -> None:
        """Record what there is of a run, if nothing more of it is to come."""
        if run.dropped and run.suspended and not run.over and not any(one.run is run for one in self._queue):
            run.broken_off()
            self._exchanges.finish(run)

    # --- what the server answers ---

    def _watch_server(self, data: bytes, out: list[Seen]) -> None:
        self._server.add(data)
        while not self._blind and (found := self._server.next()) is not None:
            self._told(*found, out)
        self._exchanges.relieve(out)

    def _told(self, kind: bytes, body: bytes, out: list[Seen]) -> None:
        head = self._queue[0] if self._queue else None
        if head is not None and head.run is not None and head.run.took < 0:
            head.run.took = self._at - head.run.at
        match kind:
            case b"S":
                self._reported(body)
            case b"N":
                self._noticed(head, body)
            case b"A":
                self._exchanges.notified(*codec.notified(body), self._at, out)
            case b"E":
                self._failed(codec.said_by(body), out)
            case b"W":
                self._give_up("replication", out)
            case b"Z":
                self._is_ready(head, body, out)
            case _ if head is not None:
                self._answer(head, kind, body, out)
            case _:
                raise ProtocolError(f"a message of type {kind!r} that nobody asked for")

    def _reported(self, body: bytes) -> None:
        """A parameter has changed: by what is asked, or because the server was told to read its files again."""
        reader = codec.Reader(body)
        name, value = reader.text(), reader.text()
        if not self._queue:
            self._exchanges.reported(name, value)
        elif len(self._settings) < MAX_SETTINGS:
            self._settings.append((name, value))

    def _noticed(self, head: Expected | None, body: bytes) -> None:
        """What is noticed while a statement is parsed or planned is its run's, too, if one was asked for."""
        if head is None:
            return
        run = head.run
        if run is None and head.kind == b"S":
            run = self._exchanges.done[-1] if self._exchanges.done else None
        elif run is None:
            batch = takewhile(lambda one: one.kind != b"S", self._queue)
            run = next((one.run for one in batch if one.run and leads_to(head, one.run)), None)
        if run is not None:
            run.notice(body)

    def _answer(self, head: Expected, kind: bytes, body: bytes, out: list[Seen]) -> None:
        if head.kind in _SIMPLE and _SIMPLE[head.kind] == kind:
            self._queue.popleft()
        elif head.kind in (b"d", b"D") and kind in (b"t", b"T", b"n"):
            self._described(head, kind, body, out)
        elif head.kind == b"F" and kind == b"V":
            if isinstance(head.run, calls.Called):
                head.run.returned(body)
        elif head.run is not None and head.kind != b"F":
            self._ran(head, head.run, kind, body)
        elif head.kind == b"E":  # nothing is known of it
            if kind in (b"C", b"I", b"s"):
                self._queue.popleft()
        else:
            raise ProtocolError(f"{kind!r} is no answer to {head.kind!r}")

    def _described(self, head: Expected, kind: bytes, body: bytes, out: list[Seen]) -> None:
        if kind == b"t":
            if head.prepared is not None:
                head.prepared.told = codec.parameters_described(body)
            return
        columns = codec.row_described(body)[0] if kind == b"T" else None
        if head.kind == b"d" and head.prepared is not None:
            head.prepared.columns = columns
            self._exchanges.described(head.prepared, None, self._at, out)
        elif head.portal is not None:
            head.portal.columns = head.portal.prepared.columns = columns
        else:
            self._exchanges.cursors.described(head.name, columns)
        self._queue.popleft()

    def _ran(self, head: Expected, run: Run, kind: bytes, body: bytes) -> None:
        simple = head.kind == b"Q"
        if run.columns is None and not simple and head.portal is not None:
            run.described(head.portal.columns or head.portal.prepared.columns)
        match kind:
            case b"T" if simple:
                run.described(*codec.row_described(body))
            case b"D":
                run.row(body)
            case b"C" | b"I":
                run.completed(codec.Reader(body).text() if kind == b"C" else "")
                if not simple:
                    self._queue.popleft()
                    self._exchanges.finish(run)
            case b"s" if not simple:
                run.suspended = True
                self._queue.popleft()
                self._break_off(run)
            case b"G" | b"H":
                if kind == b"G" and not run.copying:  # a Sync that came before the data is not answered
                    self._queue = deque([one for one in self._queue if one.copy is not head])
                run.copies(body, out=kind == b"H")
            case b"d":
                run.piece(body, out=True)
            case b"c":
                pass
            case _:
                raise ProtocolError(f"{kind!r} is no answer to {head.kind!r}")

    def _returned(self, run: calls.Called) -> None:
        run.asked = self._descriptors.meant(run.call.request)
        if run.failure is None:
            self._descriptors.follow(run.call.request, run.value)

    def _is_ready(self, head: Expected | None, body: bytes, out: list[Seen]) -> None:
        if head is None or head.kind not in (b"Q", b"S", b"F"):
            raise ProtocolError("ReadyForQuery that nobody asked for")
        if body not in (b"I", b"T", b"E"):
            raise ProtocolError(f"there is no status {body[:10]!r} of a transaction")
        self._queue.popleft()
        if isinstance(head.run, calls.Called):
            self._returned(head.run)
        if head.run is not None:
            self._exchanges.finish(head.run)
        carried_out = [run.prepared.sql for run in self._exchanges.done if run.failure is None]
        self._named.deallocated(carried_out, head.batch)
        status = body.decode()
        if status == "I":
            self._descriptors.ended()
            for portal in self._named.drop_until(head.batch):
                self._dropped(portal)
            self._exchanges.ended()
        self._peace = status == "I" and not self._queue
        settings, self._settings = self._settings, []
        self._exchanges.settle(status, settings, out, self._at)

    # --- failures ---

    def _failed(self, failure: Said, out: list[Seen]) -> None:
        if (failure.get("V") or failure.get("S")) in _FATAL:
            self._lost(f"the server ended the connection: {failure.get('C')} {failure.get('M')}", out)
            return
        head = self._queue[0] if self._queue else None
        if head is None:
            return
        if head.kind in (b"Q", b"F"):
            if head.run is not None:
                head.run.failure = failure
            return
        if head.kind == b"S":  # what was deferred until the end of the transaction
            if self._exchanges.done:
                self._exchanges.done[-1].failure = failure
            return
        if head is self._copy:  # a Sync that comes from now on is answered
            self._copy = None
        skipped: list[Expected] = []
        while self._queue and self._queue[0].kind != b"S":
            skipped.append(self._queue.popleft())
        self._discarding = not self._queue
        self._skipped(head, skipped, failure, out)
        self._named.restore(skipped)

    def _skipped(self, head: Expected, skipped: list[Expected], failure: Said, out: list[Seen]) -> None:
        """The failure is that of the first run that the failed message led to; others did not take place."""
        runs = {id(one.run): one.run for one in skipped if one.run is not None and not one.run.over}
        own = next((run for run in runs.values() if leads_to(head, run)), None)
        prepared = head.prepared
        again = own is None or bool(head.name)  # under a name, it may be used again
        if prepared is not None and failure.get("C") != ABORTED and again:
            self._exchanges.described(prepared, failure, self._at, out)
        for run in runs.values():
            if run is own:
                if head.kind == b"E" and head.portal is not None and run.columns is None:
                    run.described(head.portal.columns or head.portal.prepared.columns)
                run.failure = failure
                self._exchanges.finish(run)
            else:
                run.over = True
                self._exchanges.lose(run, "not carried out: what was sent before it failed", out, skipped=True)

    # --- the end ---

    def _left(self, out: list[Seen]) -> None:
        """The client will ask for nothing more. Without what it is still owed, all there is can be recorded."""
        if self._blind or self._queue:
            return
        for portal in self._named.drop_until(self._named.batch):
            self._dropped(portal)
        self._exchanges.ended(whole=True)
        self._exchanges.settle(None, [], out, self._at)

    def _lost(self, why: str, out: list[Seen]) -> None:
        """Nothing more is answered, for this reason."""
        self._queue.clear()
        self._left(out)
        self._exchanges.lose_all(why, out)
        self._exchanges.left()

    def _give_up(self, why: str, out: list[Seen]) -> None:
        """From here on nothing is read."""
        self._exchanges.lose_all(why, out)
        self._exchanges.left()
        self._release(out)
        if not self._login.refused:
            out.append(Opaque(why))

    def _release(self, out: list[Seen]) -> None:
        if not self._blind:
            self._blind = True
            self._login.release(out)

    _acts: ClassVar[dict[bytes, Callable[[Any, bytes, list[Seen]], None]]] = {
        b"Q": _query,
        b"P": _parse,
        b"B": _bind,
        b"D": _describe,
        b"E": _execute,
        b"C": _close,
        b"S": _sync,
        b"F": _call,
        b"d": _copied,
        b"c": _copy_ended,
        b"f": _copy_ended,
        b"X": _terminated,
    }


_SIMPLE: Final = {b"P": b"1", b"B": b"2", b"C": b"3"}
"""The answers that say nothing."""
