"""Prepared statements, portals and copies of a served connection: what each knows, what it gives next.

A portal gives its rows in the formats that were bound, at most as many as are wanted at a time; the last of
them come with the tag. The count in the tag is that of the rows since the portal was suspended last, as the
server has it.
"""

import re
from collections.abc import Callable, Hashable, Mapping
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from svcmock.protocol import Outs, ProtocolError
from svcmock_protocols.postgres import codec
from svcmock_protocols.postgres.cells import data_rows, read
from svcmock_protocols.postgres.messages import Column, Raw, Reply, Request, Result, Said, failed, said
from svcmock_protocols.postgres.sql import casts, gives_rows, parameters, statements
from svcmock_protocols.postgres.types import BUILT_IN, Types, catalog

MAX_NAMED: Final = 10_000
"""Prepared statements, and portals, of a connection."""
MAX_KEPT: Final = 256 << 20
"""Bytes of a connection's statements and parameters, but for small ones."""
SMALL: Final = 16 << 10
MAX_SQL: Final = 4 << 20
"""Characters of a statement, or of several in one query: they are looked through while all others wait."""
TEXT: Final = 25
"""The oid of `text`: what a parameter is taken for of which nothing is known."""
_COUNT = re.compile(r"(SELECT|FETCH|MOVE) [0-9]+\Z")


class Statement(Struct):
    """A prepared statement. `types`: those that its client gave. `told`: what is known of it, once `asked`.

    `answer`: its reply, where nothing else told what its columns are. It is for the next run.
    """

    sql: str
    types: tuple[int, ...]
    asked: bool = False
    told: Reply | None = None
    answer: Reply | None = None

    def token(self, name: str) -> Hashable:
        """Equal for statements with this name that are answered alike."""
        return name, self.sql, self.types, self.asked, self.told, self.answer

    @property
    def decided(self) -> bool:
        """Whether its result depends on nothing that is still to come."""
        return not self.types and parameters(self.sql) == 0 and gives_rows(self.sql)

    def taken(self) -> Reply | None:
        """The answer that is there already, once."""
        answer, self.answer = self.answer, None
        return answer

    def types_for(self, count: int) -> tuple[int, ...]:
        """The types of so many parameters, as their client wrote them; 0 where nobody knows."""
        known = self.told.types if self.told is not None and self.told.types is not None else ()
        return tuple(
            [
                (self.types[number] if number < len(self.types) else 0)
                or (known[number] if number < len(known) else 0)
                for number in range(count)
            ]
        )

    def untold(self, bound: codec.Bind) -> bool:
        """Whether values come whose types nobody has said, as nobody has asked for them yet.

        psycopg leaves those of strings and lists to the server. asyncpg, if it keeps no statements, prepares
        one again right before it binds it, and goes by what it was told before: its values are binary.
        """
        if self.asked or (len(self.types) >= len(bound.values) and 0 not in self.types):
            return False
        types = self.types_for(len(bound.values))
        return any(not oid and value is not None for oid, value in zip(types, bound.values, strict=True))

    def request(self, bound: codec.Bind, known: Types = BUILT_IN) -> Request:
        """That it is run with these values."""
        binary = [codec.form_of(bound.formats, number) for number in range(len(bound.values))]
        types = self.types_for(len(binary))
        if 0 in types and True in binary:
            # of the type that its client was told, perhaps of a statement like this before
            believed = (*self.described(), *[TEXT] * len(binary))
            told = zip(types, binary, believed, strict=False)
            types = tuple([oid or (other if form else 0) for oid, form, other in told])
        params = [
            read(value, oid, binary=form, exact=False, known=known)
            for value, oid, form in zip(bound.values, types, binary, strict=True)
        ]
        return Request(self.sql, tuple(params), types)

    def as_given(self, request: Request) -> Request | None:
        """The request as it was recorded where nothing but its client's own types was known, if it differs."""
        if self.types == request.types:
            return None
        types = (*self.types, *(0 for _ in request.types))[: len(request.types)]
        return None if types == request.types else replace(request, types=types)

    def described(self) -> tuple[int, ...]:
        """The types of its parameters: as they were told, or as the statement casts them, or text."""
        known = self.told.types if self.told is not None and self.told.types is not None else ()
        named = 0 if known else parameters(self.sql) or 0
        count = min(max(len(self.types), len(known), named), codec.MAX_PARAMETERS)
        cast = {number: catalog.oid(name) or TEXT for number, name in casts(self.sql).items()}
        return tuple([oid or cast.get(number, TEXT) for number, oid in enumerate(self.types_for(count), 1)])

    def takes(self, count: int) -> bool:
        """Whether it can be run with so many parameters, as far as its text says."""
        named = parameters(self.sql)
        return named is None or count == max(named, len(self.types))

    def columns(self, own: Reply | None) -> tuple[Column, ...] | None:
        """Those of its result; `own`: what the session itself would answer."""
        told = own or self.told or self.answer
        return told.results[0].columns if told is not None and told.results else None


class Portal(Struct):
    """A statement with its parameters. `given`: the same without types that were only told of, if any were.

    `begun`: some of it was sent; `done`: all was, and it took effect.
    """

    request: Request
    wanted: tuple[bool, ...]
    reply: Reply | None = None
    given: Request | None = None
    types: Types = BUILT_IN
    at: int = 0
    begun: bool = False
    suspended: bool = False
    sent: int = 0
    done: bool = False

    @property
    def size(self) -> int:
        """Bytes of its parameters, roughly."""
        return sum(len(one.data if isinstance(one, Raw) else one or "") for one in self.request.params)

    def answered(self, reply: Reply) -> None:
        """This is its reply, unless it was bound with formats for another number of columns."""
        self.reply = reply
        columns = None if self.result is None else self.result.columns
        if columns is not None and len(self.wanted) not in (0, 1, len(columns)):
            counts = f"{len(self.wanted)} result formats but query has {len(columns)} columns"
            self.reply = failed("08P01", f"bind message has {counts}")

    @property
    def result(self) -> Result | None:
        """What it gives; None for nothing but a failure, or while nobody knows."""
        return self.reply.results[0] if self.reply is not None and self.reply.results else None

    def take(self, limit: int) -> tuple[bytes, bool]:
        """The next rows as messages, at most `limit` unless that is 0; and whether it is suspended then."""
        result, first = self.result, not self.begun
        self.begun = True
        if result is None:
            return b"", False
        if result.copy is not None:
            return (copied(result) if first else b""), False
        left = len(result.rows) - self.at
        self.sent = min(limit, left) if limit else left
        rows = data_rows(result, self.wanted, self.at, self.at + self.sent, self.types)
        self.at += self.sent
        # a server that has found as many as are wanted does not know yet whether there are more
        more = bool(limit) and self.sent == limit
        self.suspended = self.suspended or more
        return rows, more

    def completion(self) -> bytes:
        """Its CommandComplete."""
        result = self.result
        tag = "" if result is None else result.tag
        if (self.suspended or self.done) and (found := _COUNT.match(tag)):
            tag = f"{found[1]} {self.sent}"
        return codec.complete(tag)


class Copying(Struct):
    """Data that a client sends for `request`; `then` takes the reply."""

    request: Request
    then: Callable[[Reply], Outs]
    data: bytearray = msgspec.field(default_factory=bytearray)

    def take(self, kind: bytes, body: bytes, limit: int) -> Request | Reply | None:
        """A message of the client. The whole request, a failure, or None: there is more to come.

        Raises ProtocolError for what is no part of a copy.
        """
        if kind == b"d":
            self.data += body
            if len(self.data) > limit:
                return failed("54000", f"svcmock: more than {limit} bytes are copied")
            return None
        if kind in (b"S", b"H"):
            return None  # clients send them without having noticed what they do
        if kind == b"c":
            return replace(self.request, copy=bytes(self.data))
        if kind == b"f":
            return failed("57014", f"COPY from stdin failed: {codec.Reader(body).text()}")
        raise ProtocolError(f"unexpected message type {kind!r} during COPY from stdin")


def copied(result: Result) -> bytes:
    """The messages of a COPY ... TO STDOUT but the last."""
    pieces = [codec.frame(b"d", piece) for piece in result.copy or ()]
    head = codec.copying(b"H", result.width, binary=result.binary)
    return b"".join([head, *pieces, codec.frame(b"c")])


def in_text(result: Result, known: Types = BUILT_IN) -> bytes:
    """All of a result as the simple protocol has it, but its tag. Raises Unfit."""
    if result.columns is not None:
        return codec.row_description(result.columns) + data_rows(result, (), 0, len(result.rows), known)
    return b"" if result.copy is None else copied(result)


def no_statement(name: str) -> Said:
    """There is no prepared statement of this name."""
    shown = f'prepared statement "{name}"' if name else "unnamed prepared statement"
    return said("26000", f"{shown} does not exist")


def no_portal(name: str) -> Said:
    """There is no portal of this name."""
    return said("34000", f'portal "{name}" does not exist')


def full(size: int, statements_: Mapping[str, Statement], portals: Mapping[str, Portal]) -> bool:
    """Whether there is no room for so many bytes more. Small ones are bounded by their number."""
    if size <= SMALL:
        return False
    kept = sum(len(one.sql) for one in statements_.values()) + sum(one.size for one in portals.values())
    return kept + size > MAX_KEPT


def refused(name: str, sql: str, known: Mapping[str, Statement], portals: Mapping[str, Portal]) -> Said | None:
    """Why a statement cannot be prepared under this name beside these, if it cannot."""
    if name and name in known:
        return said("42P05", f'prepared statement "{name}" already exists')
    if len(sql) > MAX_SQL:
        return too_long(sql)
    if len(known) >= MAX_NAMED or full(len(sql), known, portals):
        return said("54000", f"more than {MAX_NAMED} prepared statements, or {MAX_KEPT} bytes in them")
    if ";" in sql and len(statements(sql)) > 1:
        return said("42601", "cannot insert multiple commands into a prepared statement")
    return None


def too_long(sql: str) -> Said:
    """A query has more text than is looked at."""
    return said("54000", f"svcmock: {len(sql)} characters of SQL, at most {MAX_SQL} are looked at")
