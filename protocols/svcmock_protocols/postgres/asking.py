"""What a session asks the daemon for, one thing at a time, and how it finds the answer to a statement.

a FETCH from a cursor that is open, a ROLLBACK ──▶ answered by how the session stands
an exact route ──▶ its reply; a statement about the session without one ──▶ by how the session stands
a description that is a failure: it could not be prepared when it was recorded ──▶ that failure
any route, or it is a miss
"""

from collections.abc import Callable
from typing import TypeAlias

from svcmock.protocol import Ask, Outs
from svcmock_protocols.postgres import introspection
from svcmock_protocols.postgres.cursors import Cursors
from svcmock_protocols.postgres.messages import Reply, Request, Said
from svcmock_protocols.postgres.portals import Statement
from svcmock_protocols.postgres.standing import Standing

Then: TypeAlias = Callable[[Reply], Outs]
Perhaps: TypeAlias = Callable[[Reply | None], Outs]


class Asking:
    """Of one session. What is to be done with a reply is kept until it comes."""

    def __init__(self, standing: Standing, cursors: Cursors) -> None:
        self._standing = standing
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
        return self._cursors.fetch(sql)

    def resolve(self, request: Request, then: Then) -> Outs:
        """Find the reply to a statement."""
        sql = request.sql
        alone = self.own(sql)
        if alone is not None:
            return then(alone)
        own = self._standing.answer(sql) or introspection.answer(request)

        def found(reply: Reply) -> Outs:
            return then(self._cursors.declare(sql, reply))

        def prepared(reply: Reply | None) -> Outs:
            failed = reply is not None and reply.failure is not None
            return then(reply) if failed and reply is not None else self.ask(request, found)

        def exact(reply: Reply | None) -> Outs:
            known = own if reply is None else reply
            if known is not None:
                return found(known)
            return self.perhaps(Request(sql, op="describe"), prepared)

        return self.perhaps(request, exact)

    def learn(self, statement: Statement, then: Callable[[], Outs], refused: Callable[[Said], Outs]) -> Outs:
        """Find out what is known of a statement without its parameters."""
        if statement.asked or self._standing.answer(statement.sql) is not None:
            return then()

        def told(reply: Reply | None) -> Outs:
            statement.asked = True
            statement.told = introspection.described(statement.sql) if reply is None else reply
            return then() if reply is None or reply.failure is None else refused(reply.failure)

        def described(reply: Reply | None) -> Outs:
            if reply is not None:
                return told(reply)
            return self.perhaps(Request(statement.sql, op="columns"), told)

        return self.perhaps(Request(statement.sql, op="describe"), described)

    def _ask(self, request: Request, then: Then | Perhaps, *, optional: bool) -> Outs:
        self._number += 1
        self._then = then
        size = len(request.sql) + sum(len(value) for value in request.params if isinstance(value, str))
        return (Ask(self._number, request, size, optional),)
