"""What a plugin may have beyond the contract, each a protocol class that is looked for at run time.

A plugin that has the members of one of these is one: nothing is registered, and a plugin that has none of them
is whole. With `svcmock.protocol`, what third parties build on.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from svcmock.protocol import (
    Close,
    Context,
    Doc,
    Exchange,
    Fact,
    Outs,
    Publish,
    Reply,
    Request,
    Send,
    Side,
    Sight,
    SvcmockError,
    Upstream,
)

# --- requests that are alike --------------------------------------------------------------------------


class Likeness(Protocol):
    """Tells which requests differ only in what decides nothing: a new id or date in each. For speed alone."""

    def essence(self, data: bytes) -> bytes | None:
        """`data`, received by a session at rest, without what decides nothing; None if nothing can be left out.

        Promise: the session treats both alike, in every out but for what the request of an Ask was left
        without; and `Plugin.key`, `redact`, `summary`, `miss`, and `present` and `fields` as far as `names` go,
        see no difference.
        """

    @staticmethod
    def request(alike: Request, data: bytes) -> Request:
        """The request that `data` holds; `alike` is that of bytes with the same essence.

        Static, so that another process can do it: one that reads the journal.
        """

    def same(self, request: Request) -> Hashable | None:
        """Equal for requests that neither a route nor the protocol tells apart; None if it is like no other.

        For sessions whose bytes are never alike, because each message is numbered.
        """


@runtime_checkable
class Likening(Protocol):
    """A plugin that has this member, too: its clients put new things that mean nothing into each request."""

    def likeness(self, names: frozenset[str], context: Context) -> Likeness:
        """For a service whose routes look at no other fields than these, but for what the key is made of.

        A name is one of `Plugin.conditions`, or the path of a field at most two steps deep: `headers.accept`,
        or `headers` where a predicate looks at all of them.
        """


class Memory(Protocol):
    """What is known of requests that a session has asked for, and that get the same reply each time.

    It knows requests by their identity: a session keeps those that it may ask for again.
    """

    @property
    def likeness(self) -> Likeness | None:
        """The plugin's own, made for the routes that count now; None where nothing is remembered."""

    def again(self, request: Request) -> Reply | None:
        """The reply, and the request is noted as answered with it; None: it must be asked for."""

    def alike(self, known: Request, request: Request, size: int) -> Reply | None:
        """The same for one of `size` bytes that the likeness does not tell from `known`, asked for before."""


@runtime_checkable
class Remembering(Protocol):
    """A session that has this member, too: it need not ask for what it has asked for before.

    For speed alone, where messages are numbered and so their bytes never repeat.
    """

    def remember(self, memory: Memory) -> None:
        """Called before `opened`, and again when routes have changed: what was known before counts no more."""


# --- conversations ------------------------------------------------------------------------------------


@runtime_checkable
class Conversing(Protocol):
    """A plugin with conversations: a route may hold one, whose parts are asked for one by one."""

    def parts(self, request: Request, reply: Reply, context: Context) -> Sequence[Request]:
        """What is asked for in turn, in a conversation; empty for a request with its one reply.

        Each part is found by its own key, so it says what came before it.
        """

    def part(self, request: Request, reply: Reply, number: int) -> Reply:
        """What answers the part of this request with this number."""


@runtime_checkable
class Foretelling(Protocol):
    """A plugin that has this member, too: routes whose answers are not made yet say something before."""

    def ahead(self, request: Doc, match: Doc, respond: Doc) -> tuple[Doc, Doc] | None:
        """`request` and `respond` of the exact route that goes with one which has a template, or `match`.

        The documents are those of a route file, None where it has none, and may be wrong. None: nothing.
        """


# --- sessions that know of each other -----------------------------------------------------------------


@runtime_checkable
class Sharing(Protocol):
    """A plugin that has this member, too: the sessions of a service share something, and so do its taps.

    Of several worker processes, one serves all of such a service's clients.
    """

    def state(self, options: Any) -> Any:
        """What becomes `Context.state`: made once a service, in the process that serves it; kept by a reload.

        Only sessions, or taps, change it. Routes and their index never see it.
        """


@runtime_checkable
class Hearing(Protocol):
    """A session that has these members, too: it can be told what others `Publish`."""

    def published(self, topic: Hashable, message: Any) -> Outs:
        """Something was published under a topic to which it had subscribed."""

    def heard(self, publish: Publish, times: int) -> Outs:
        """So many sessions were told what it published itself."""


@runtime_checkable
class Ending(Protocol):
    """A session that has this member, too: something that it shares is to end with its connection."""

    def closed(self) -> None:
        """The connection is gone, however it ended. Called once, last."""


# --- messages that say when they are sent -------------------------------------------------------------


@runtime_checkable
class Dating(Protocol):
    """A session that has this member, too: it can ask for the time of day, by `svcmock.protocol.Date`.

    What it does then is not remembered: it is done anew for each request.
    """

    def dated(self, token: Hashable, now: float) -> Outs:
        """The time asked for by `Date`, in seconds since 1970-01-01, UTC."""


# --- what messages mean -------------------------------------------------------------------------------


class Folder(Protocol):
    """The project's files as a protocol may read them for its schema. Names are relative to the project."""

    def find(self, pattern: str) -> Sequence[str]:
        """The files that a file name, a folder (all below it) or a glob stands for, sorted; Invalid if none."""

    def beside(self, suffix: str) -> Sequence[str]:
        """The files with this suffix that lie where the service's routes do, sorted."""

    def routes(self) -> Sequence[str]:
        """The service's route files, sorted."""

    def read(self, name: str) -> bytes:
        """A file's bytes. Raises Invalid."""


class Unreadable(SvcmockError):
    """Files that say what messages mean are wrong: (file, line, column, message) for each fault."""

    def __init__(self, faults: Sequence[tuple[str, int, int, str]]) -> None:
        super().__init__("; ".join(message for _, _, _, message in faults))
        self.faults = tuple(faults)


@runtime_checkable
class Schooled(Protocol):
    """A plugin that has this member, too: what its messages mean is said by files of the project."""

    def sources(self, options: Any) -> Sequence[str]:
        """The files, folders and globs of the project in which `schema` looks, as the options name them."""

    def schema(self, options: Any, folder: Folder) -> Any:
        """What becomes `Context.schema`; its attribute `digest` (bytes) tells one from another.

        Raises Invalid, `at` a path in the options, and Unreadable.
        """


# --- one plugin, several protocols -------------------------------------------------------------------


@runtime_checkable
class Opening(Protocol):
    """A plugin that has these members, too: which of its `alpn` a peer speaks is told by its first bytes.

    Without TLS, or where nothing was agreed on, that may be any of them.
    """

    def alpn_for(self, head: bytes) -> tuple[str, ...] | None:
        """What a client that begins so needs from an upstream; None: more must be seen."""

    def knock(self, name: str) -> bytes:
        """What a client may say to find out whether a server speaks this one without TLS."""

    def answered(self, name: str, data: bytes) -> bool | None:
        """Whether it does, by what it says first; None: more must be seen."""


# --- recordings ---------------------------------------------------------------------------------------


@runtime_checkable
class Breaking(Protocol):
    """A tap that has this member, too: a reset is something else than an end."""

    def broken(self, side: Side, at: float) -> Sight:
        """`side` has reset the connection. In place of its `eof`."""


@runtime_checkable
class Withholding(Protocol):
    """A tap that has this member, too: it may hold back what it has seen until it knows more."""

    def gone(self) -> Sight:
        """Both sides are gone, however they ended: what was held back. Called once, last."""


@runtime_checkable
class Resting(Protocol):
    """A tap that has these members, too: that nobody speaks for a while tells it that something is whole."""

    @property
    def rest(self) -> float:
        """Seconds of silence that mean something."""

    def rested(self, at: float) -> Sight:
        """Nobody has said anything for so long. Called once in each such silence."""


class Inferred(Struct, frozen=True):
    """Options under which recordings would mean more. `why` is for people."""

    options: Doc
    why: str


@runtime_checkable
class Inferring(Protocol):
    """A plugin that has these members, too: it can tell what recordings would be like with other options."""

    def infer(self, options: Any, folder: Folder) -> Sequence[Inferred]:
        """What suits the recordings of a service with these options, the most telling first."""

    def retold(self, context: Context, upstream: Upstream, folder: Folder) -> Sequence[Exchange | Fact]:
        """The same recordings, as a tap with this context would have made them."""


@runtime_checkable
class Parametric(Protocol):
    """A plugin that has this member, too: the URL of an upstream may say more than where it is."""

    upstream_parameters: frozenset[str]
    """Names in the query of the URL, which a tap reads in `Upstream.url`: {"sslmode"}."""


# --- logins -------------------------------------------------------------------------------------------


class Credentials(Struct, frozen=True):
    """What a recorder logs in to an upstream with: `svcmock.protocol.Upstream.credentials`.

    `user`, `password`: None for what nobody has said. `nonce`: printable text that nobody can guess, each time.
    """

    user: str | None
    password: str | None
    nonce: Callable[[], str]

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})"  # a password must not get into a log


@runtime_checkable
class Vouching(Protocol):
    """A plugin that has this member, too: a recorder can log in to an upstream in its clients' place."""

    def vouches(self, options: Any) -> bool:
        """Whether it does, with these options of a service: then it gets `Credentials`."""


# --- inquiries ----------------------------------------------------------------------------------------


class Learned(Struct, frozen=True):
    """What an inquiry gave: bytes to be kept under `name` where the service's recordings are."""

    name: str
    data: bytes


class Inquiry(Protocol):
    """Asks an upstream, over a connection of its own, what its messages mean. Gives Send, Learned and Close."""

    def opened(self) -> Sequence[Send | Learned | Close]: ...

    def received(self, data: bytes) -> Sequence[Send | Learned | Close]: ...


@runtime_checkable
class Inquiring(Protocol):
    """A plugin that has this member, too: an upstream can be asked for a schema while it is recorded."""

    def inquiry(self, upstream: Upstream) -> Inquiry: ...
