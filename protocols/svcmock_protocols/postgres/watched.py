"""What a recorder knows of one connection's statements and portals, and what their runs become.

A run is a statement that is being carried out: a Query, or the Executes of one portal, which belong together
however many they are. What it gives is read as it passes, within a limit.
"""

import re
from typing import Final

from msgspec import Struct

from svcmock_protocols.postgres import codec
from svcmock_protocols.postgres.cells import read
from svcmock_protocols.postgres.messages import Column, Reply, Request, Result, Said, Value
from svcmock_protocols.postgres.sql import first_words

MAX_HELD: Final = 64 << 20
"""Bytes of what a statement gives, or is given, that are recorded."""
EACH: Final = 32
"""Bytes for which a row, a piece of a copy, a result or a notice counts beside its own."""

_COUNT = re.compile(r"(SELECT|FETCH|MOVE) [0-9]+\Z")
_CHANGING: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
_UNNAMED: Final = "?column?"


class Prepared(Struct, eq=False):
    """A statement as a client prepared it. `told`: the parameters' types by the server's description.

    `batch`: see `named`. `why`: what keeps its runs from being recorded.
    """

    sql: str
    types: tuple[int, ...] = ()
    told: tuple[int, ...] | None = None
    columns: tuple[Column, ...] | None = None
    batch: int = 0
    why: str = ""

    def types_for(self, count: int) -> tuple[int, ...]:
        """The parameters' types, as their client wrote them; 0 where nobody knows."""
        told = self.told or ()
        return tuple(
            [
                (self.types[number] if number < len(self.types) else 0)
                or (told[number] if number < len(told) else 0)
                for number in range(count)
            ]
        )


def prepare(sql: str, types: tuple[int, ...], before: Prepared | None, batch: int = 0) -> Prepared:
    """A statement is prepared; `before`: under the same name. What was told of the same one still holds.

    asyncpg, if it keeps no statements, prepares one again right before it binds it, and goes by that.
    """
    prepared = Prepared(sql, types, batch=batch)
    if before is not None and (before.sql, before.types) == (sql, types):
        prepared.told, prepared.columns = before.told, before.columns
    return prepared


class Run(Struct, eq=False):
    """A statement under way. `id` 0: it is not counted, as svcmock would answer it the same by itself.

    `results` are those that are complete; the fields below are of the one that is coming.
    """

    prepared: Prepared
    at: float
    id: int = 0
    bound: codec.Bind | None = None
    took: float = -1.0
    size: int = 0
    why: str = ""
    notices: list[Said] = []
    results: list[Result] = []
    failure: Said | None = None
    over: bool = False

    columns: tuple[Column, ...] | None = None
    forms: tuple[bool, ...] = ()
    rows: list[tuple[Value, ...]] = []
    given: list[bytes] = []
    copying: bool = False
    taken: list[bytes] | None = None
    binary: bool = False
    width: int = 0
    suspended: bool = False
    dropped: bool = False

    def described(self, columns: tuple[Column, ...] | None, forms: tuple[bool, ...] = ()) -> None:
        """These columns come; in these formats unless a Bind said which."""
        self.columns = columns
        self.forms = forms if self.bound is None else self.bound.wanted

    def row(self, body: bytes) -> None:
        """A DataRow."""
        values = codec.row(body)
        if not self.fits(len(body) + EACH):
            return
        if self.columns is None:  # nobody has asked for them
            binary = [codec.form_of(self.forms, number) for number in range(len(values))]
            self.columns = tuple([Column(_UNNAMED, 0 if form else 25) for form in binary])
        columns = self.columns
        if len(values) != len(columns):
            self.why = "a row has another number of columns than was announced"
            return
        self.rows.append(
            tuple(
                [
                    read(value, columns[number].oid, binary=codec.form_of(self.forms, number))
                    for number, value in enumerate(values)
                ]
            )
        )

    def copies(self, body: bytes, *, out: bool) -> None:
        """A copy begins: to the client, or from it."""
        self.binary, self.width = codec.copy_announced(body)
        if out:
            self.taken = []
        else:
            self.copying = True

    def piece(self, data: bytes, *, out: bool) -> None:
        """Data that is copied."""
        pieces = self.taken if out else self.given
        if pieces is not None and self.fits(len(data) + EACH):
            pieces.append(data)

    def notice(self, body: bytes) -> None:
        """A NoticeResponse."""
        said = codec.said_by(body)
        if self.fits(len(body) + EACH):
            self.notices.append(said)

    def completed(self, tag: str) -> None:
        """The result that was coming is whole."""
        if not self.fits(len(tag) + EACH):
            return
        count = _COUNT.match(tag)
        if self.suspended and count:
            tag = f"{count[1]} {len(self.rows)}"
        copies = self.taken is not None
        self.results.append(
            Result(
                self.columns,
                tuple(self.rows),
                tag,
                tuple(self.taken) if self.taken is not None else None,
                self.binary and copies,
                self.width if copies else 0,
            )
        )
        self.rows, self.taken, self.columns = [], None, None

    def broken_off(self) -> None:
        """Nobody asks for the rest."""
        words = first_words(self.prepared.sql, 1)
        verb = words[0] if words and words[0] in _CHANGING else "SELECT"
        self.completed(f"{'INSERT 0' if verb == 'INSERT' else verb} {len(self.rows)}")

    def fits(self, size: int) -> bool:
        """Whether so many bytes more may be held. Once they may not, nothing is."""
        self.size += size
        if self.size > MAX_HELD:
            self.why = self.why or f"more than {MAX_HELD} bytes"
            self.rows, self.given, self.taken, self.results, self.notices = [], [], None, [], []
        return not self.why

    def request(self) -> Request:
        """What was asked."""
        copy = b"".join(self.given or ()) if self.copying else None
        types = () if self.bound is None else self.prepared.types_for(len(self.bound.values))
        return Request(self.prepared.sql, self.params(), types, copy)

    def params(self) -> tuple[Value, ...]:
        """Those that were bound."""
        if self.bound is None:
            return ()
        values, formats = self.bound.values, self.bound.formats
        types = self.prepared.types_for(len(values))
        return tuple(
            [
                read(value, oid, binary=codec.form_of(formats, number), exact=False)
                for number, (value, oid) in enumerate(zip(values, types, strict=True))
            ]
        )

    def reply(self) -> Reply:
        """What was answered, a result that failure cut off included."""
        if self.failure is not None and (self.rows or self.columns is not None):
            self.completed("")
        return Reply(tuple(self.results), self.failure, tuple(self.notices))


class Portal(Struct, eq=False):
    """A statement with its parameters, and its run once it is executed. `batch`: see `named`."""

    prepared: Prepared
    bound: codec.Bind
    columns: tuple[Column, ...] | None = None
    run: Run | None = None
    batch: int = 0


class Expected(Struct, eq=False):
    """A client's message that is owed an answer, by the letter of its type; `D` of a statement is `d`.

    `name`: what it names. `before`: what that was until then. `batch`: the one that it ends.
    `copy`: the Execute of a COPY ... FROM STDIN whose data had not ended when this Sync was sent.
    """

    kind: bytes
    prepared: Prepared | None = None
    portal: Portal | None = None
    run: Run | None = None
    name: str = ""
    before: Prepared | None = None
    batch: int = 0
    copy: "Expected | None" = None


def leads_to(head: Expected, run: Run) -> bool:
    """Whether what the client asked with this message was to be carried out by that run."""
    if head.run is not None:
        return head.run is run
    if head.portal is not None:
        return run.bound is head.portal.bound
    return run.prepared is head.prepared
