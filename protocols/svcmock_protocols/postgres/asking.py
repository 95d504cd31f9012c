"""What a session asks the daemon for, one thing at a time, and how it finds the answer to a statement.

a FETCH from a cursor that is open, a ROLLBACK ──▶ answered by how the session stands
an EXECUTE of a prepared statement ──▶ what that statement is answered with
an exact route, by the types that are told or by those that are given ──▶ its reply
a statement about the session without one ──▶ by how the session stands
a description that is a failure: it could not be prepared when it was recorded ──▶ that failure
any route, or it is a miss

While somebody listens, what the server notified when it had run the statement is asked for, too.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeAlias

from msgspec.structs import replace

from svcmock.protocol import Ask, Outs
from svcmock_protocols.postgres import introspection, prepared
from svcmock_protocols.postgres.codec import Bind
from svcmock_protocols.postgres.cursors import Cursors
from svcmock_protocols.postgres.messages import Reply, Request, Said
from svcmock_protocols.postgres.portals import Statement
from svcmock_protocols.postgres.shared import State
from svcmock_protocols.postgres.standing import Standing
from svcmock_protocols.postgres.types import BUILT_IN, Types

MAX_FOLLOWING: Final = 10_000
"""Notifications that follow one statement."""

Then: TypeAlias = Callable[[Reply], Outs]
Perhaps: TypeAlias = Callable[[Reply | None], Outs]


class Asking:
    """Of one session. What is to be done with a reply is kept until it comes."""

    def __init__(
        self,
        standing: Standing,
        cursors: Cursors,
        types: Types = BUILT_IN,
        state: State | None = None,
        statements: Mapping[str, Statement] | None = None,
    ) -> None:
        """`statements`: those that are prepared, as the session keeps them."""
        self._standing = standing
        self._statements = {} if statements is None else statements
        self._state = state or State()
        self._types = types
        self._cursors = cursors
        self._then: Callable[[Reply], Outs] | Perhaps | None = None
        self._number = 0

    @property
    def waits(self) -> bool:
        """Whether an answer is owed."""
        return self._then is not None

    def awaits(self, ask: Ask) -> bool:
        """Whether it is the answer to this that is owed."""
        return self._then is not None and ask.id == self._number

    def ask(self, request: Request, then: Then) -> Outs:
        """Ask for the reply; there is one for every request."""
        return self._ask(request, then, optional=False)

    def perhaps(self, request: Request, then: Perhaps) -> Outs:
        """Ask for the reply of an exact route, if there is one."""
        return self._ask(request, then, optional=True)

    def reply(self, reply: Reply) -> Outs:
        """It is here; what happens then may ask for the next thing."""
        then, self._then = self._then, None
        return () if then is None else then(reply)

    def own(self, sql: str) -> Reply | None:
        """What the session answers by itself, if it is alone in that."""
        if self._standing.decides(sql):
            return self._standing.answer(sql)
        return self._cursors.fetch(sql) or self._cursors.exists(sql)

    def resolve(self, request: Request, then: Then, given: Request | None = None) -> Outs:
        """Find the reply to a statement. `given`: the same with fewer types, as it may have been recorded."""
        alone = self.own(request.sql)
        if alone is not None:
            return then(alone)
        bound = prepared.execution(request.sql) if not request.params else None
        statement = self._named(bound)
        if bound is None or statement is None or not statement.takes(len(bound.values)):
            return self._find(request, then, given)
        known = partial(self._execute, statement, bound, request, then)
        return self.learn(statement, known, lambda failure: then(Reply(failure=failure)))

    def _named(self, bound: Bind | None) -> Statement | None:
        """The prepared statement that an EXECUTE names, unless it is one itself."""
        statement = None if bound is None else self._statements.get(bound.statement)
        return None if statement is None or prepared.execution(statement.sql) is not None else statement

    def _execute(self, statement: Statement, bound: Bind, request: Request, then: Then) -> Outs:
        """A prepared statement, run by an EXECUTE; that may have been recorded by its text."""
        meant = statement.request(bound, self._types)
        return self._find(meant, then, statement.as_given(meant), request)

    def _find(self, request: Request, then: Then, *others: Request | None) -> Outs:
        """The reply to the first of these that an exact route answers, else to the first of them."""
        sql = request.sql
        own = prepared.taken(sql, self._statements) or self._standing.answer(sql)
        own = own or introspection.answer(request, self._types)
        left = [one for one in others if one is not None]

        def found(reply: Reply) -> Outs:
            return then(self._cursors.declare(sql, reply))

        def described(reply: Reply | None) -> Outs:
            failed = reply is not None and reply.failure is not None
            return then(reply) if failed and reply is not None else self.ask(request, found)

        def exact(reply: Reply | None) -> Outs:
            if reply is None and left:
                return self.perhaps(left.pop(0), exact)
            known = own if reply is None else reply
            if known is not None:
                return found(known)
            return self.perhaps(Request(sql, op="describe"), described)

        return self.perhaps(request, exact)

    def learn(self, statement: Statement, then: Callable[[], Outs], refused: Callable[[Said], Outs]) -> Outs:
        """Find out what is known of a statement without its parameters."""
        if statement.asked or self._standing.answer(statement.sql) is not None:
            return then()
        named = self._named(prepared.execution(statement.sql))
        if named is None:
            return self._learn(statement, then, refused)

        def known() -> Outs:
            if named.told is None:
                return self._learn(statement, then, refused)
            statement.asked, statement.told = True, replace(named.told, types=())
            return then()

        return self.learn(named, known, refused)

    def _learn(self, statement: Statement, then: Callable[[], Outs], refused: Callable[[Said], Outs]) -> Outs:
        def answered(reply: Reply) -> Outs:
            statement.answer = reply
            return then()

        def told(reply: Reply | None) -> Outs:
            statement.asked = True
            statement.told = introspection.described(statement.sql) if reply is None else reply
            if statement.told is None and statement.decided and self._standing.status != "E":
                return self.resolve(Request(statement.sql), answered)
            return then() if reply is None or reply.failure is None else refused(reply.failure)

        def described(reply: Reply | None) -> Outs:
            if reply is not None:
                return told(reply)
            return self.perhaps(Request(statement.sql, op="columns"), told)

        return self.perhaps(Request(statement.sql, op="describe"), described)

    def _followed(self, request: Request, then: Then | Perhaps, reply: Reply | None) -> Outs:
        """Whom the server notified when it had run this statement: that is a part of the reply."""
        if reply is None:
            return then(reply)  # type: ignore[arg-type]  # only what is optional has none
        return then(reply) if reply.failure is not None else self._follow(request, then, reply, 0, new=False)

    def _follow(self, request: Request, then: Then | Perhaps, reply: Reply, number: int, *, new: bool) -> Outs:
        """`new`: the first of them has never been told before, so none that has is of the same run."""
        if number >= MAX_FOLLOWING:
            return then(reply)

        def told(more: Reply | None) -> Outs:
            if more is None and not number and any(request.types):  # the recorder may not have known them yet
                return self._follow(replace(request, types=()), then, reply, 0, new=False)
            first = more is not None and self._state.first(more)
            if more is None or (new and not first):
                return then(reply)
            both = replace(reply, notifies=(*reply.notifies, *more.notifies))
            return self._follow(request, then, both, number + 1, new=new if number else first)

        return self.perhaps(replace(request, op="follows", number=number), told)

    def _ask(self, request: Request, then: Then | Perhaps, *, optional: bool) -> Outs:
        if self._state.listening and request.op == "query":
            then = partial(self._followed, request, then)
        self._number += 1
        self._then = then
        size = len(request.sql) + sum(len(value) for value in request.params if isinstance(value, str))
        return (Ask(self._number, request, size, optional),)
