"""Serves one client that has logged in (the manual, chapter "Frontend/Backend Protocol"). Sans I/O.

A statement is asked for once it is known with its parameters: at Query, or at the first Describe of a portal or
Execute. Until the answer is there, what the client goes on sending waits unread, so answers keep their order.

    Parse, Bind, Close ── noted ──▶ 1, 2, 3         Describe(S) ──▶ Ask what is known of the statement
    Describe(P), Execute ──▶ Ask ──▶ T D... C       Query ──▶ Ask for all of it, else statement by statement
    any failure ──▶ E, then nothing until Sync      Sync ──▶ Z

Statements about the session (`commands`) are asked for, too, and answered by how it stands (`standing`) if no
route does. Names of statements and portals are the client's own and mean nothing beyond its connection.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, ClassVar, Final

from svcmock.protocol import Ask, Close, Out, Outs, ProtocolError, Publish, Reply, Send, Subscribe
from svcmock_protocols.postgres import calls, codec, messages, prepared
from svcmock_protocols.postgres.asking import Asking, Then
from svcmock_protocols.postgres.cells import Unfit
from svcmock_protocols.postgres.channels import Channels
from svcmock_protocols.postgres.commands import copy_binary, copy_width, is_copy_in, notified
from svcmock_protocols.postgres.cursors import Cursors
from svcmock_protocols.postgres.descriptors import Descriptors
from svcmock_protocols.postgres.messages import Options, Said, failed, said
from svcmock_protocols.postgres.portals import (
    MAX_KEPT,
    MAX_NAMED,
    MAX_SQL,
    Copying,
    Portal,
    Statement,
    full,
    in_text,
    no_portal,
    no_statement,
    refused,
    too_long,
)
from svcmock_protocols.postgres.shared import State, cancelling
from svcmock_protocols.postgres.sql import statements
from svcmock_protocols.postgres.standing import ABORTED, Standing
from svcmock_protocols.postgres.types import BUILT_IN, Types

MAX_RESTING: Final = 100
"""Prepared statements of a connection whose requests may be remembered by their bytes."""

_COUNTS: Final = 'bind message supplies %d parameters, but prepared statement "%s" requires %d'
_CANCELED: Final = failed("57014", "canceling statement due to user request")


class PostgresSession:
    """A `svcmock.protocol.Session`."""

    def __init__(
        self,
        options: Options,
        standing: Standing,
        key: tuple[int, bytes],
        state: State | None = None,
        types: Types = BUILT_IN,
        pace: float = 1.0,
    ) -> None:
        self._options = options
        self._standing = standing
        self._key = key
        self._state = state or State()
        self._types = types
        self._frames = codec.Frames(options.max_message)
        self._statements: dict[str, Statement] = {}
        self._portals: dict[str, Portal] = {}
        self._cursors = Cursors()
        self._descriptors = Descriptors()
        self._channels = Channels(key[0], self._state, pace)
        self._asking = Asking(standing, self._cursors, types, self._state, self._statements)
        self._copying: Copying | None = None
        self._skipping = False
        self._busy = False
        """Since the client's first message after a ReadyForQuery."""
        self._draining = self._ended = self._over = False

    # --- the contract ---

    @property
    def at_rest(self) -> Hashable | None:
        if self._busy or self._asking.waits or self._copying is not None or self._frames.held:
            return None
        if self._skipping or self._draining or self._ended or self._over:
            return None
        if not (self._channels.unused and self._cursors.unused):
            return None
        how = self._standing.token()
        if how is None or len(self._statements) > MAX_RESTING:
            return None
        known = frozenset(one.token(name) for name, one in self._statements.items())
        return self._state.rest((how, bool(self._state.listening), known, self._types))

    @property
    def idle(self) -> bool:
        return not self._asking.waits and self._copying is None and not self._frames.held

    @property
    def held(self) -> int:
        return self._frames.held if self._asking.waits else 0

    def opened(self) -> Outs:
        return (Subscribe(cancelling(*self._key)),)

    def waiting(self, ask: Ask, after: float) -> Outs:  # noqa: ARG002  a client that waits no longer cancels
        return ()

    def woke(self, token: Hashable) -> Outs:
        waits = self._busy or self._standing.status != "I"
        return () if self._over else self._channels.woke(token, waits=waits)

    def closed(self) -> None:
        self._channels.closed()

    def received(self, data: bytes) -> Outs:
        if self._over:
            return ()
        self._frames.add(data)
        return () if self._asking.waits else self._go_on([])

    def answered(self, ask: Ask, reply: Reply) -> Outs:
        if ask.id < 0:
            return self._channels.answered(ask, reply)
        return self._reply(reply) if self._asking.awaits(ask) and not self._over else ()

    def published(self, topic: Hashable, message: object) -> Outs:
        if topic == cancelling(*self._key):
            return () if not self._asking.waits or self._over else self._reply(_CANCELED)
        if self._over or not isinstance(message, bytes):
            return ()
        return self._channels.tell(message, waits=self._busy or self._standing.status != "I")

    def heard(self, publish: Publish, times: int) -> Outs:  # noqa: ARG002  NOTIFY does not tell
        return ()

    def timed_out(self) -> Outs:
        return () if self._asking.waits else self._end("08P01", "a message did not arrive in time")

    def draining(self) -> Outs:
        self._draining = True
        return () if self._asking.waits else self._go_on([])

    def eof(self) -> Outs:
        self._ended = True
        return () if self._asking.waits else self._go_on([])

    # --- messages ---

    def _reply(self, reply: Reply) -> Outs:
        try:
            outs = list(self._asking.reply(reply))
        except ProtocolError as error:
            outs = list(self._end("08P01", str(error)))
        return outs if self._asking.waits else self._go_on(outs)

    def _go_on(self, outs: list[Out]) -> Outs:
        """Deal with what is here, until something is asked for."""
        try:
            while not self._asking.waits and not self._over:
                found = self._frames.next()
                if found is None:
                    break
                outs += self._message(*found)
        except ProtocolError as error:
            outs += self._end("08P01", str(error))
        if not self._asking.waits and not self._over:
            if self._draining:
                outs += self._end("57P01", "terminating connection due to administrator command")
            elif self._ended:
                self._over = True
                outs.append(Close())
        return outs

    def _message(self, kind: bytes, body: bytes) -> Outs:
        """Deal with one. Raises ProtocolError where nothing that follows could be understood."""
        if kind == b"X":
            self._over = True
            return (Close(),)
        if self._copying is not None:
            return self._copied(self._copying, kind, body)
        self._busy = True
        if self._skipping and kind != b"S":
            return ()
        act = self._acts.get(kind)
        if act is None:
            raise ProtocolError(f"invalid frontend message type {kind[0]}")
        try:
            return act(self, body)
        except ProtocolError as error:  # in the message: the next one begins where it says
            failure = said("08P01", str(error))
            return self._refuse(failure) if kind in b"QF" else self._fail(failure)

    def _fail(self, failure: Said) -> Outs:
        """Of the extended protocol: nothing more is done until Sync."""
        self._skipping = True
        self._standing.fail()
        return (Send(codec.saying(b"E", failure)),)

    def _end(self, code: str, message: str) -> Outs:
        if self._over:
            return ()
        self._over = True
        return Send(codec.saying(b"E", said(code, message, "FATAL"))), Close()

    # --- the extended protocol ---

    def _parse(self, body: bytes) -> Outs:
        name, sql, types = codec.parse(body)
        own = self._standing.answer(sql)
        refusal = refused(name, sql, self._statements, self._portals)
        if own is not None and own.failure is ABORTED:
            refusal = ABORTED
        if refusal is not None:
            return self._fail(refusal)
        statement, before = Statement(sql, types), self._statements.get(name)
        if before is not None and before.sql == sql:  # what is known of it is known
            statement.asked, statement.told = before.asked, before.told
        self._statements[name] = statement
        parsed = (Send(codec.frame(b"1")),)
        # what is prepared for many executions may have failed to be
        return self._asking.learn(statement, lambda: parsed, self._refused(name)) if name else parsed

    def _refused(self, name: str) -> Callable[[Said], Outs]:
        """What is done when a statement turns out to be one that cannot be prepared."""

        def refused(failure: Said) -> Outs:
            self._statements.pop(name, None)
            return self._fail(failure)

        return refused

    def _bind(self, body: bytes) -> Outs:
        bound = codec.bind(body)
        statement = self._statements.get(bound.statement)
        if statement is None:
            return self._fail(no_statement(bound.statement))
        if bound.portal and bound.portal in self._portals:
            return self._fail(said("42P03", f'cursor "{bound.portal}" already exists'))
        if len(self._portals) >= MAX_NAMED or full(len(body), self._statements, self._portals):
            return self._fail(said("54000", f"more than {MAX_NAMED} portals, or {MAX_KEPT} bytes in them"))
        count = len(bound.values)
        if not statement.takes(count):
            return self._fail(said("08P01", _COUNTS % (count, bound.statement, len(statement.described()))))
        open_ = partial(self._open, statement, bound)
        if statement.untold(bound):
            return self._asking.learn(statement, open_, self._refused(bound.statement))
        return open_()

    def _open(self, statement: Statement, bound: codec.Bind) -> Outs:
        request = statement.request(bound, self._types)
        given = statement.as_given(request)
        portal = self._portals[bound.portal] = Portal(request, bound.wanted, None, given, self._types)
        answer = statement.taken()
        if answer is not None:
            portal.answered(answer)
        return (Send(codec.frame(b"2")),)

    def _describe(self, body: bytes) -> Outs:
        kind, name = codec.target(body)
        if kind == b"P":
            portal, columns = self._portals.get(name), self._cursors.columns(name)
            if portal is None and columns is None:
                return self._fail(no_portal(name))
            if portal is None:
                return (Send(codec.row_description(columns or ())),)
            return self._fetch(portal, partial(self._describe_portal, portal))
        statement = self._statements.get(name)
        if statement is None:
            return self._fail(no_statement(name))
        then = partial(self._describe_statement, statement)
        return self._asking.learn(statement, then, self._refused(name))

    def _describe_statement(self, statement: Statement) -> Outs:
        own = self._standing.answer(statement.sql)
        if own is not None and own.failure is not None:
            return self._fail(own.failure)
        columns = self._cursors.described(statement.sql) or statement.columns(own)
        told = codec.frame(b"n") if columns is None else codec.row_description(columns)
        statement.types = statement.described()  # as its client takes them from now on
        return (Send(codec.parameter_description(statement.types) + told),)

    def _describe_portal(self, portal: Portal) -> Outs:
        result = portal.result
        if result is not None and result.columns is not None:
            return (Send(codec.row_description(result.columns, portal.wanted)),)
        failure = portal.reply.failure if portal.reply is not None else None
        return (Send(codec.frame(b"n")),) if failure is None else self._fail(failure)

    def _fetch(self, portal: Portal, then: Callable[[], Outs], *, running: bool = False) -> Outs:
        """Have the portal's reply, then go on. What is copied in comes first, once it is `running`."""

        def answered(reply: Reply) -> Outs:
            portal.answered(reply)
            return then()

        if portal.reply is not None:
            return then()
        sql = portal.request.sql
        if self._standing.status != "E" and is_copy_in(sql):
            return self._copy_in(portal.request, answered) if running else then()
        return self._asking.resolve(portal.request, answered, portal.given)

    def _execute(self, body: bytes) -> Outs:
        name, limit = codec.execute(body)
        portal = self._portals.get(name)
        if portal is None:
            return self._fail(no_portal(name))
        if portal.done and portal.result is not None and portal.result.columns is None:
            return self._fail(said("55000", f'portal "{name}" cannot be run'))
        return self._fetch(portal, partial(self._run, portal, limit), running=True)

    def _run(self, portal: Portal, limit: int) -> Outs:
        """Send what a portal gives, at most so many rows."""
        reply = portal.reply
        assert reply is not None
        outs: list[Out] = []
        if not portal.begun:
            outs += [Send(codec.saying(b"N", notice)) for notice in reply.notices]
        try:
            rows, more = portal.take(limit)
        except Unfit as unfit:
            return [*outs, *self._fail(said("0A000", f"svcmock: {unfit}"))]
        if rows:
            outs.append(Send(rows))
        if more:
            return [*outs, Send(codec.frame(b"s"))]
        if reply.failure is not None:
            return [*outs, *self._fail(reply.failure)]
        if portal.result is None:
            return [*outs, Send(codec.complete(""))]
        if not portal.done:
            portal.done = True
            self._carried_out(portal.request, portal.result.tag)
            self._assume(reply)
        return [*outs, Send(portal.completion())]

    def _close(self, body: bytes) -> Outs:
        kind, name = codec.target(body)
        if kind == b"S":
            self._statements.pop(name, None)
        else:
            self._portals.pop(name, None)
        return (Send(codec.frame(b"3")),)

    def _sync(self, _body: bytes) -> Outs:
        self._skipping = False
        return self._ready()

    def _flush(self, _body: bytes) -> Outs:
        return ()

    def _call(self, body: bytes) -> Outs:
        if self._standing.status == "E":
            return self._refuse(ABORTED)
        call = calls.called(body)
        return self._asking.ask(self._descriptors.meant(call.request), partial(self._returned, call))

    def _returned(self, call: calls.Call, reply: Reply) -> Outs:
        sent, failure = self._descriptors.answer(call, reply)
        if failure is not None:
            self._standing.fail()
        self._assume(reply)
        return (Send(sent), *self._ready())

    # --- the simple protocol ---

    def _query(self, body: bytes) -> Outs:
        sql = codec.Reader(body).text()
        self._statements.pop("", None)
        self._portals.pop("", None)
        if len(sql) > MAX_SQL:
            return self._refuse(too_long(sql))
        parts = statements(sql)
        if not parts:
            return (Send(codec.complete("")), *self._ready())
        if len(parts) == 1 or self._standing.status == "E":
            return self._each(parts, 0)

        def whole(reply: Reply) -> Outs:
            return self._each(parts, 0) if reply is None else (*self._tell(reply, parts), *self._ready())

        return self._asking.perhaps(messages.Request(sql), whole)

    def _refuse(self, failure: Said) -> Outs:
        """Of the simple protocol: the whole query fails."""
        self._standing.fail()
        return (Send(codec.saying(b"E", failure)), *self._ready())

    def _each(self, parts: Sequence[str], at: int) -> Outs:
        """Statement by statement, from this one on."""
        outs: list[Out] = []
        while at < len(parts):
            sql = parts[at]
            at += 1
            own = self._asking.own(sql)
            if own is None:
                request, then = messages.Request(sql), partial(self._one, parts, at)
                copies = self._standing.status != "E" and is_copy_in(sql)
                return [
                    *outs,
                    *(self._copy_in(request, then) if copies else self._asking.resolve(request, then)),
                ]
            outs += self._tell(own, (sql,))
            if own.failure is not None:
                break
        return [*outs, *self._ready()]

    def _one(self, parts: Sequence[str], at: int, reply: messages.Reply) -> Outs:
        """The reply to the statement before `at`."""
        outs = self._tell(reply, (parts[at - 1],))
        return [*outs, *(self._each(parts, at) if reply.failure is None else self._ready())]

    def _tell(self, reply: messages.Reply, parts: Sequence[str]) -> Outs:
        """All of a reply, as the simple protocol has it, in text."""
        sent = [codec.saying(b"N", notice) for notice in reply.notices]
        try:
            for number, result in enumerate(reply.results):
                sent.append(in_text(result, self._types))
                if reply.failure is not None and not result.tag:
                    break  # the failure cut it off
                sent.append(codec.complete(result.tag))
                self._carried_out(messages.Request(parts[number] if number < len(parts) else ""), result.tag)
        except Unfit as unfit:
            self._standing.fail()
            return (Send(b"".join([*sent, codec.saying(b"E", said("0A000", f"svcmock: {unfit}"))])),)
        if reply.failure is not None:
            sent.append(codec.saying(b"E", reply.failure))
            self._standing.fail()
        self._assume(reply)
        return (Send(b"".join(sent)),)

    # --- what statements do to the session ---

    def _carried_out(self, request: messages.Request, tag: str) -> None:
        sql = request.sql
        self._standing.follow(sql, tag=tag)
        for channel, payload in notified(sql, request.params):
            self._standing.notify(channel, payload)
        self._cursors.closed(sql)
        prepared.follow(sql, self._statements)

    def _assume(self, reply: messages.Reply) -> None:
        for name, value in reply.settings:
            self._standing.assume(name, value)
        if reply.status:
            self._standing.status = reply.status
        for one in reply.notifies:
            self._standing.notify(one.channel, one.payload)

    def _ready(self) -> Outs:
        """What was asked for is done."""
        outs = self._channels.happen(self._standing.due())
        if self._standing.status == "I":
            self._portals.clear()
            self._cursors.end()
            self._descriptors.ended()
            outs += self._channels.heard()
        self._busy = False
        reports = [codec.reported(name, value) for name, value in self._standing.reports()]
        return [*outs, Send(b"".join([*reports, codec.ready(self._standing.status)]))]

    # --- COPY ... FROM STDIN ---

    def _copy_in(self, request: messages.Request, then: Then) -> Outs:
        """Take the data first, unless it was refused before any came."""

        def refused(reply: Reply) -> Outs:
            if reply is not None and reply.failure is not None:
                return then(reply)
            self._copying = Copying(request, then)
            binary = copy_binary(request.sql)
            return (Send(codec.copying(b"G", copy_width(request.sql), binary=binary)),)

        return self._asking.perhaps(request, refused)

    def _copied(self, copying: Copying, kind: bytes, body: bytes) -> Outs:
        taken = copying.take(kind, body, self._options.max_message)
        if taken is None:
            return ()
        self._copying = None
        if isinstance(taken, messages.Request):
            return self._asking.ask(taken, copying.then)
        return copying.then(taken)

    _acts: ClassVar[dict[bytes, Callable[[Any, bytes], Outs]]] = {
        b"P": _parse,
        b"B": _bind,
        b"D": _describe,
        b"E": _execute,
        b"C": _close,
        b"S": _sync,
        b"F": _call,
        b"Q": _query,
        **dict.fromkeys((b"H", b"d", b"c", b"f"), _flush),
    }
