"""What is asked of PostgreSQL and what it answers: one exchange is one thing that the application asked.

A statement with its parameters, whatever messages carried it: `Query`, or `Parse`, `Bind`, `Execute` in any
order and grouping. Values are PostgreSQL's own text, never a language's numbers: nothing is lost, and any
client gets them in the format that it asks for. Names of statements and portals are of no account.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from svcmock.protocol import Payload
from svcmock_protocols.postgres.types.declared import MAX_DECLARED, Declared

Op: TypeAlias = Literal["query", "describe", "columns", "follows", "listen", "call"]
"""Run a statement; tell of one with this text what it takes and gives; tell its columns, by some run of it.

Or: whom the server notified when it had run this statement; what it notified a channel of, whoever caused it.
Or: call the function that `sql` names, or whose oid it is.
"""


class Raw(Struct, frozen=True):
    """A value that no codec reads: its bytes, and whether they came in the binary format."""

    data: bytes
    binary: bool = True


Value: TypeAlias = str | Raw | None
"""A value in PostgreSQL's text form; None is NULL."""


class Descriptor(Struct, frozen=True, forbid_unknown_fields=True):
    """What a descriptor of a large object stands for: which it is, how it was opened, the position in it."""

    object: Annotated[int, Meta(ge=0, lt=1 << 32)]
    mode: Annotated[int, Meta(ge=0, lt=1 << 31)]
    at: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0


class Request(Struct, frozen=True):
    """`types` are the parameters' oids as far as known; they say how values are compared, and decide nothing.

    `copy` is what a client sends for COPY ... FROM STDIN. `number`: of the notification; with `listen`, `sql`
    is the name of the channel. `descriptor`: what the first argument of a call stood for, which is left out.
    """

    sql: str = ""
    params: tuple[Value, ...] = ()
    types: tuple[int, ...] = ()
    copy: Payload | None = None
    op: Op = "query"
    number: int = 0
    descriptor: Descriptor | None = None


class Column(Struct, frozen=True):
    """A column of a result. `size` None: what its type has. `table` and `attribute`: where it comes from."""

    name: str
    oid: int = 25
    modifier: int = -1
    size: int | None = None
    table: int = 0
    attribute: int = 0


class Said(Struct, frozen=True):
    """An ErrorResponse or NoticeResponse: its fields by their letters, in the order in which they were sent."""

    fields: tuple[tuple[str, str], ...]

    def get(self, letter: str) -> str:
        """The field with this letter, or nothing."""
        return next((value for known, value in self.fields if known == letter), "")


class Result(Struct, frozen=True):
    """What one statement gave. `columns` None: it is none that gives rows. `tag` empty: the statement was.

    `copy`: the pieces of a COPY ... TO STDOUT; `binary`: their format, and that of a COPY ... FROM STDIN;
    `width`: how many columns a copy has.
    """

    columns: tuple[Column, ...] | None = None
    rows: tuple[tuple[Value, ...], ...] = ()
    tag: str = ""
    copy: tuple[bytes, ...] | None = None
    binary: bool = False
    width: int = 0


class Notification(Struct, frozen=True, forbid_unknown_fields=True):
    """What all are told who LISTEN to a channel."""

    channel: str
    payload: str = ""


class Reply(Struct, frozen=True):
    """What was answered: the results, then the failure if there was one.

    `types`: what a description says of the parameters. `settings`: the parameters that the server reported as
    changed. `status`: that of the transaction where it is not what follows from the statement. `notifies`: whom
    the server notifies once the transaction is committed; `after` how many seconds, if nobody caused it.
    """

    results: tuple[Result, ...] = ()
    failure: Said | None = None
    notices: tuple[Said, ...] = ()
    types: tuple[int, ...] | None = None
    settings: tuple[tuple[str, str], ...] = ()
    status: str = ""
    notifies: tuple[Notification, ...] = ()
    after: float = 0.0


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """A service's `options:` in the graph.

    `password`: clients must know it (SCRAM-SHA-256); without it anybody is let in. `max_message`: bytes of a
    message, and of what a client copies in. `types`: what types are that the database made itself. `inquire`:
    whether a recorder may ask the server what they are, and for the types of parameters. `auth`: whether it
    passes on how clients log in, or logs in itself.
    """

    password: str | None = None
    max_message: Annotated[int, Meta(ge=1024, le=1 << 30)] = 64 << 20
    types: Annotated[tuple[Declared, ...], Meta(max_length=MAX_DECLARED)] = ()
    inquire: bool = True
    auth: Literal["relay", "terminate"] = "relay"


def said(code: str, message: str, severity: str = "ERROR", **more: str) -> Said:
    """A failure or a notice. `more`: further fields by their letters."""
    head = (("S", severity), ("V", severity), ("C", code), ("M", message))
    return Said((*head, *more.items()))


def failed(code: str, message: str, severity: str = "ERROR", **more: str) -> Reply:
    """The reply that is this failure."""
    return Reply(failure=said(code, message, severity, **more))
