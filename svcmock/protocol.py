"""The contract between the daemon and its protocol modules.

A protocol is a folder of pure code: bytes and values in, values out. It opens no socket, reads no clock,
draws no random number, writes no log and no file. Whatever it wants done, it returns as a value, and the
daemon (`svcmock.net`) does it. So every protocol can be tested with literal bytes, and every protocol gets
delays, faults, limits, TLS and back-pressure from the one place that has them.

    serving    bytes ──▶ Session.received ──▶ Ask(request) ──▶ (the daemon finds the reply)
               bytes ◀── Send ◀───────────── Session.answered(ask, reply)

    recording  client bytes ──▶ Tap.from_client ──▶ Forward(to server)
               server bytes ──▶ Tap.from_server ──▶ Forward(to client), Exchange(request, reply)

Requests and replies are the protocol's own frozen values; the daemon passes them on unread and learns what
it must know about them through the functions of `Plugin`. This module imports nothing of svcmock but
`svcmock.noise`, and a protocol module nothing of svcmock but these two and `svcmock.payload`.
"""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from msgspec import Struct, field

from svcmock.noise import Noise

Request: TypeAlias = Any
"""A protocol's own frozen request value. It pickles: several processes that serve share their journals."""
Reply: TypeAlias = Any
"""A protocol's own frozen reply value."""
FACTS = "server.facts"
"""The file beside recordings that has the `Fact`s of their server, as a JSON object."""
Doc: TypeAlias = Any
"""Plain data as YAML holds it: None, bool, int, float, str, list, dict with str keys."""


class SvcmockError(Exception):
    """Base of every error svcmock raises on purpose."""


class ProtocolError(SvcmockError):
    """A peer broke the protocol. The only exception a codec may raise for bad bytes."""


class Invalid(SvcmockError):
    """A document a person wrote cannot mean anything. `at` is the path to the offending node."""

    def __init__(self, at: Sequence[str | int], why: str) -> None:
        super().__init__(why)
        self.at = tuple(at)
        self.why = why


class Spooled(Struct, frozen=True):
    """Bytes of a live message that the daemon wrote to disk, named by the `token` of their `Spool`s.

    `sha256` (hex) is taken over the bytes that decide a match: content-decoded where that is possible.
    """

    token: Hashable
    size: int
    sha256: str


class Blob(Struct, frozen=True):
    """Bytes at rest in a file of the project, or a slice of one."""

    path: str
    size: int
    offset: int = 0
    sha256: str = ""


Payload: TypeAlias = bytes | Spooled | Blob


# --- what a Session asks the daemon to do -------------------------------------------------------------


class Send(Struct, frozen=True, gc=False):
    """Write these bytes to the client. The Sends of one step leave in one write."""

    data: bytes


class SendFile(Struct, frozen=True):
    """Write a file's bytes to the client, read piece by piece as the client takes them."""

    blob: Blob


class Ask(Struct, frozen=True, gc=False):
    """Find the reply to `request`, which took `size` bytes. `id` is the session's own.

    `optional`: only an exact route may answer, and where none does, that is no miss. Nothing is noted, and
    `answered` gets None.
    """

    id: int
    request: Request
    size: int = 0
    optional: bool = False


class Spool(Struct, frozen=True):
    """Append bytes of a large message to a temporary file, known by `token` on this connection."""

    token: Hashable
    data: bytes


class Side(Enum):
    """The two ends of a relayed connection."""

    CLIENT = "client"
    SERVER = "server"


class StartTLS(Struct, frozen=True):
    """Speak TLS with this side from here on, once what was sent to it has left.

    With the client, that is how the service's `tls` says; without it (see `Context.tls`) the connection ends.
    """

    to: Side = Side.CLIENT


class Subscribe(Struct, frozen=True):
    """From now on, be told what is published under `topic` on this service (`svcmock.capabilities.Hearing`)."""

    topic: Hashable


class Unsubscribe(Struct, frozen=True):
    """Be told no more, as at the end of a connection."""

    topic: Hashable


class Publish(Struct, frozen=True):
    """Tell every session of this service that has subscribed to `topic`, this one too if it has."""

    topic: Hashable
    message: Any


class Become(Struct, frozen=True):
    """Another session, or tap, takes over. It is opened, and gets `rest`, which the client has sent."""

    to: Any
    rest: bytes = b""


class Wake(Struct, frozen=True, gc=False):
    """Call `Session.woke(token)` after this many seconds."""

    after: float
    token: Hashable


class Date(Struct, frozen=True):
    """Call `svcmock.capabilities.Dating.dated(token, now)`: what is sent next says when it is sent."""

    token: Hashable


class Close(Struct, frozen=True):
    """End the connection: after what was sent has left (`flush`), or at once with a reset (`abort`).

    `half`: only our side, where there are halves; the session goes on.
    """

    how: Literal["flush", "abort", "half"] = "flush"


_Talk: TypeAlias = Subscribe | Unsubscribe | Publish
Out: TypeAlias = Send | SendFile | Ask | Spool | StartTLS | Become | Wake | Date | _Talk | Close
Outs: TypeAlias = Sequence[Out]


class Session(Protocol):
    """The serving side of one client connection. Every method returns what is to be done, in order.

    A peer's bad bytes never raise out of a session: they become the protocol's own error reply and a `Close`.
    """

    @property
    def at_rest(self) -> Hashable | None:
        """None inside a message or while an answer is owed, else a value with a promise.

        Two sessions of one service with equal `at_rest` turn the same bytes into the same outs.
        """

    @property
    def idle(self) -> bool:
        """Whether nothing of a message is here and no answer is owed: the client may stay as long as it likes.

        True wherever `at_rest` is not None, which may be never so, where bytes mean something else each time.
        """

    @property
    def held(self) -> int:
        """Bytes that were received and wait for an answer to be sent. While they are many, no more is read."""

    def opened(self) -> Outs:
        """The client connected. Protocols in which the server speaks first send their banner here."""

    def received(self, data: bytes) -> Outs: ...

    def answered(self, ask: Ask, reply: Reply) -> Outs:
        """The reply to `ask`, late perhaps: the session keeps wire order. None: optional, and no route."""

    def waiting(self, ask: Ask, after: float) -> Outs:
        """The reply to `ask` will come in so many seconds: the time for a client's deadline."""

    def woke(self, token: Hashable) -> Outs:
        """The time asked for by `Wake` is up."""

    def timed_out(self) -> Outs:
        """Not `idle`, and for too long nothing came, and no answer is delayed. While it sends with gaps: ()."""

    def draining(self) -> Outs:
        """The daemon is shutting down: finish what is owed, then close."""

    def eof(self) -> Outs:
        """The client will send no more."""


# --- what a Tap saw -----------------------------------------------------------------------------------


class Forward(Struct, frozen=True):
    """Pass these bytes on. They are the peer's own, except for what must be rewritten."""

    data: bytes
    to: Side


class Began(Struct, frozen=True):
    """A request was accepted. Exactly one `Exchange` or `Lost` with this id follows."""

    id: int


class Timing(Struct, frozen=True):
    """`at`: seconds on the relay's clock when the request began; `took`: seconds to the reply's first byte."""

    at: float
    took: float


class Exchange(Struct, frozen=True):
    """One thing the application asked and what it was told, credentials already replaced by tokens."""

    id: int
    request: Request
    reply: Reply
    timing: Timing


class Lost(Struct, frozen=True):
    """An accepted request that gives no exchange: `skipped` on purpose, or `failed`."""

    id: int
    why: str
    kind: Literal["skipped", "failed"] = "failed"


class Fact(Struct, frozen=True):
    """Something about the server that serving wants to know. `Schooled.schema` finds it in the file FACTS."""

    name: str
    value: Doc


class Opaque(Struct, frozen=True):
    """From here on the bytes are passed on unread, for this reason."""

    why: str


class Shut(Struct, frozen=True):
    """Send no more to this side."""

    to: Side


class Inquire(Struct, frozen=True):
    """Ask the upstream what its messages mean (`svcmock.capabilities.Inquiring`), then call `Tap.informed`."""


Seen: TypeAlias = Forward | Spool | Began | Exchange | Lost | Fact | StartTLS | Become | Opaque | Shut | Inquire
Sight: TypeAlias = Sequence[Seen]


class Tap(Protocol):
    """The recording side of one proxied connection. It sees both directions and passes the bytes on.

    `at` is a monotonic time in seconds. A tap never raises for bytes it cannot decode: it returns `Opaque`
    and forwards everything from there, so that what svcmock does not understand still works.
    """

    def from_client(self, data: bytes, at: float) -> Sight: ...

    def from_server(self, data: bytes, at: float) -> Sight: ...

    def eof(self, side: Side, at: float) -> Sight:
        """`side` will send no more. When both have ended, nothing may be left pending."""

    def unreachable(self, why: str, at: float) -> Sight:
        """There is no upstream: answer the client in the protocol's own error form."""

    def informed(self, context: "Context") -> Sight:
        """What an `Inquire` asked for is in `context.schema`, as far as it is to be had."""


# --- the miss -----------------------------------------------------------------------------------------


class Stage(Struct, frozen=True):
    """One step of the funnel: how many routes came in, how many were left."""

    stage: str
    routes_in: int = field(name="in")
    routes_out: int = field(name="out")


class Difference(Struct, frozen=True):
    """One field that kept a route from matching. `op` is the predicate; ABSENT values are left out."""

    at: str
    op: str
    want: Doc = None
    got: Doc = None
    hint: str | None = None


class Near(Struct, frozen=True, omit_defaults=True):
    """A route that nearly matched, every field that failed, and an edit that would make it match."""

    route: str
    passed: int
    of: int
    failed: tuple[Difference, ...]
    edit: Doc = None
    would_answer: str | None = None


class Explanation(Struct, frozen=True, omit_defaults=True):
    """Why nothing answered. `nearest` is empty when the budget for explanations was spent: see `see`."""

    miss: str
    service: str
    protocol: str
    request: str
    funnel: tuple[Stage, ...] = ()
    nearest: tuple[Near, ...] = ()
    hints: tuple[str, ...] = ()
    see: str = ""


# --- a protocol module --------------------------------------------------------------------------------


class Context(Struct, frozen=True):
    """What one service's configuration means to its protocol.

    `token` turns a credential into the stable token that stands for it in recordings. It is applied to
    the recorded and to the live value alike before they are compared, and maps a token to itself.
    `pace` multiplies recorded gaps inside a streamed reply: 1 as recorded, 0 none.
    `schema` and `state`: what `svcmock.capabilities.Schooled` and `Sharing` made; None without them.
    `tls`: whether `StartTLS` can be carried out on the client's side.
    """

    options: Any
    ignore: Noise
    token: Callable[[bytes], bytes]
    pace: float = 1.0
    schema: Any = None
    state: Any = None
    tls: bool = False


class Upstream(Struct, frozen=True):
    """Where a recorded service is: `url` as the user wrote it, `authority` host[:port]; maybe `credentials`."""

    url: str
    authority: str
    tls: bool = False
    preserve_host: bool = False
    credentials: Any = None


class Files(Protocol):
    """The bytes that route files refer to by name. All of them lie inside the project."""

    def __call__(self, name: str) -> Blob:
        """The file a reference names, with its `size`; `bodies/<sha256>` says its `sha256`. Raises Invalid."""

    def read(self, blob: Blob) -> bytes:
        """The blob's bytes, for a protocol that must look into them; raises Invalid if they are gone."""


class Documents(Struct, frozen=True):
    """The two halves of a route file as plain data, and the large bodies they refer to.

    `files` maps the name a document uses (`bodies/<sha256>`) to the payload that must be stored there.
    """

    request: Doc
    respond: Doc
    files: Mapping[str, bytes | Spooled] = {}


class Plugin(Protocol):
    """A protocol. Found through the entry-point group `svcmock.protocols`; stateless."""

    name: str
    aliases: tuple[str, ...]
    schemes: Mapping[str, int]
    """URL schemes an upstream may have, and their default ports: {"http": 80, "https": 443}."""
    tls_schemes: frozenset[str]
    """Those of `schemes` that mean TLS from the first byte."""
    alpn: tuple[str, ...]
    """Best first. The last is what is spoken with a peer that knows no ALPN."""
    server_first: bool
    noise: tuple[str, ...]
    """Field paths that never decide unless the user says so; documented in the protocol's README."""
    field_names: Collection[str]
    """Every name that `fields` may give; a predicate or noise path on another is a slip, and is told."""
    template_field: str
    """The field whose patterns may hold `{name}` segments and by which routes are indexed ("path")."""
    template_separator: str
    faults: Mapping[str, Reply]
    """The protocol's native errors by name."""

    Options: ClassVar[type[Struct]]
    """The service's `options:` in the graph."""
    RequestDoc: ClassVar[type[Struct]]
    """`request:` of a route file."""
    ReplyDoc: ClassVar[type[Struct]]
    """`respond:` of a route file."""

    def sniff(self, head: bytes) -> bool:
        """Whether a client of this protocol could open with these bytes."""

    def session(self, context: Context) -> Session: ...

    def tap(self, context: Context, upstream: Upstream) -> Tap: ...

    def request(self, doc: Any, files: Files, context: Context) -> Request:
        """The request that a RequestDoc describes. Raises Invalid."""

    def reply(self, doc: Any, files: Files, context: Context, asked: Request | None) -> Reply:
        """The reply that a ReplyDoc describes. Raises Invalid.

        `asked`: the request that it answers, where one is known; else what depends on it need not be right.
        """

    def tied(self, doc: Any) -> bool:
        """Whether what `reply` makes of this depends on the `address` of the request that it answers."""

    def dump(self, request: Request, reply: Reply, context: Context) -> Documents:
        """Readable and lossless: `session` encodes `reply(dump(...).respond)` to the recorded bytes."""

    def key(self, request: Request, context: Context) -> bytes:
        """The canonical exact key: equal for requests that are the same but for noise and `conditions`.

        It starts with `address(request)` and a NUL byte, and no address holds a NUL byte.
        """

    def address(self, request: Request) -> bytes:
        """The part of the key that names what is asked for: the path, the command, the statement."""

    def conditions(self, request: Request, context: Context) -> Mapping[str, bytes]:
        """Fields that decide only where the recorded request has them (HTTP: its headers), by field path."""

    def present(self, request: Request, names: tuple[str, ...], context: Context) -> tuple[bytes | None, ...]:
        """A live request's canonical values of those fields; None where it has none."""

    def fields(self, request: Request, context: Context) -> Mapping[str, Doc]:
        """What predicates, noise and templates see: plain and JSON-like, by the names the README documents."""

    def decisive(self, request: Request, context: Context) -> Mapping[str, Doc]:
        """Those of `fields` that the key is made of, noise removed and each said once.

        HTTP says a JSON body as `json`, not as `body` too. Explanations compare them; no hit does.
        """

    def redact(self, request: Request, context: Context) -> Request:
        """The request with its credentials replaced by tokens, as a recording of it would hold them."""

    def miss(self, request: Request, explanation: Explanation, context: Context) -> Reply:
        """The protocol's own error for a request that nothing answers."""

    def summary(self, request: Request) -> str:
        """The request in one line of a log: `GET /users/42`."""

    def outcome(self, reply: Reply) -> str:
        """The reply in a word of a log: `200`."""
