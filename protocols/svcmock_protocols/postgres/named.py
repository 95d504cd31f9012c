"""Prepared statements and portals of a recorded connection, by their names, as its client has asked for them.

What a client asks for counts at once, as it goes on without waiting. If the server refuses, or skips it because
something before has failed, the names mean again what they meant before (`restore`).

Everything that is answered with ReadyForQuery ends a batch. Portals end with the transaction, so at its end
those go that were bound in that batch or before; those that were bound since are under way.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres import codec
from svcmock_protocols.postgres.commands import command
from svcmock_protocols.postgres.watched import Expected, Portal, Prepared, prepare

MAX_NAMED: Final = 10_000
"""Prepared statements, and portals, of a connection that are followed."""

_UNKNOWN: Final = "its statement was not prepared by a Parse of this connection"


class Named:
    """Those of one connection."""

    def __init__(self) -> None:
        self.batch = 0
        """The number of the batch that the client is sending."""
        self._statements: dict[str, Prepared] = {}
        self._portals: dict[str, Portal] = {}

    def parse(self, body: bytes) -> Expected:
        """Raises ProtocolError, like all that take a message."""
        name, sql, types = codec.parse(body)
        if len(self._statements) >= MAX_NAMED and name not in self._statements:
            raise ProtocolError(f"more than {MAX_NAMED} prepared statements")
        before = self._statements.get(name)
        prepared = self._statements[name] = prepare(sql, types, before, self.batch)
        return Expected(b"P", prepared=prepared, name=name, before=before)

    def bind(self, body: bytes) -> Expected:
        """Raises ProtocolError. A portal of this name must have been dropped."""
        bound = codec.bind(body)
        if len(self._portals) >= MAX_NAMED:
            raise ProtocolError(f"more than {MAX_NAMED} portals")
        portal = self._portals[bound.portal] = Portal(self.statement(bound.statement), bound, batch=self.batch)
        return Expected(b"B", portal=portal)

    def close(self, name: str) -> Expected:
        """Of a statement."""
        return Expected(b"C", name=name, before=self._statements.pop(name, None))

    def restore(self, skipped: Sequence[Expected]) -> None:
        """None of this took place."""
        for one in reversed(skipped):
            if one.kind == b"C" and one.before is not None:
                self._statements.setdefault(one.name, one.before)
            elif one.kind == b"P" and self._statements.get(one.name) is one.prepared:
                if one.before is not None:
                    self._statements[one.name] = one.before
                else:
                    del self._statements[one.name]

    def deallocated(self, sqls: Iterable[str], batch: int) -> None:
        """These statements were carried out in this batch; some of them may have dropped others."""
        for sql in sqls:
            known = command(sql)
            if known is None:
                continue
            every = known.tag in {"DISCARD ALL", "DEALLOCATE ALL"}
            names = tuple(self._statements) if every else (known.name,) if known.kind == "deallocate" else ()
            for name in names:
                if name in self._statements and self._statements[name].batch <= batch:
                    del self._statements[name]

    def statement(self, name: str) -> Prepared:
        """The one of this name; if there is none, one of which nothing can be recorded."""
        return self._statements.get(name) or Prepared("", why=_UNKNOWN)

    def portal(self, name: str) -> Portal | None:
        """The one of this name."""
        return self._portals.get(name)

    def drop(self, name: str) -> Portal | None:
        """The one of this name, which is gone now."""
        return self._portals.pop(name, None)

    def drop_until(self, batch: int) -> list[Portal]:
        """Those that were bound in this batch or before, which are gone now."""
        over = [name for name, portal in self._portals.items() if portal.batch <= batch]
        return [self._portals.pop(name) for name in over]
