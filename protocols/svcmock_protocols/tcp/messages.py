"""Framed TCP as values: frames, what is asked, what is answered, and the options of a service.

A frame has the bytes that were on the wire and its payload, which is what is left of them without delimiter,
length or envelope. Both are the same object where the framing keeps all of a frame. What the payload means is
said by the layouts that `fields:` declares (`layout`).
"""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from svcmock_protocols.tcp.tape import TapeOptions

Kind: TypeAlias = Literal["frame", "banner", "push", "unread"]
"""What asks: a frame; the opening of a connection, which a banner answers; what a server says unasked; and what
is no frame, or no whole one."""


class Request(Struct, frozen=True, gc=False):
    """What is asked. `wire` is empty where it follows from the payload.

    Of a push, the `number`th after a request, payload and wire are those of that request; they are empty for
    one that follows the banner. Of what is unread they are its beginning, and `why` says what is wrong with it.
    """

    payload: bytes = b""
    wire: bytes = b""
    kind: Kind = "frame"
    number: int = 0
    why: str = ""


class Piece(Struct, frozen=True, gc=False):
    """One frame of a reply, `after` seconds after what was sent before it. `wire` is complete."""

    payload: bytes
    wire: bytes
    after: float = 0.0


class Setting(Struct, frozen=True):
    """A field of a reply that is made when it is sent, by `rules`.

    It is the request's `field`, or `value`, or, if `count`, a number that grows by one with each frame of a
    connection, beginning with `value`; a number has `add` added. With `now` it is the time, in this form.
    `there`: only where the reply has it.
    """

    field: str = ""
    value: Any = None
    add: int = 0
    count: bool = False
    now: str = ""
    there: bool = False


class Reply(Struct, frozen=True):
    """What is answered: frames, perhaps none; `then` the connection ends, with a reset for `reset`.

    `settings`: fields of this reply alone, by their names, beside those of the service.
    `wire`: all of its bytes, where nothing stands between them but their order.
    """

    frames: tuple[Piece, ...] = ()
    then: Literal["", "close", "half_close", "reset"] = ""
    settings: tuple[tuple[str, Setting], ...] = ()
    wire: bytes = b""


Bytes: TypeAlias = str | dict[str, str]
"""A text, or `{hex: }`, in the options."""


class Delimiter(Struct, frozen=True, forbid_unknown_fields=True):
    """A frame ends with `end`, or with the bytes `hex`. `keep`: it belongs to the payload.

    `escape`: before the end or itself it takes away their meaning. `dots`: as in SMTP, a line that begins with
    a dot has another one before it.
    """

    end: Bytes = ""
    hex: str = ""
    keep: bool = False
    escape: Bytes = ""
    dots: bool = False


class Length(Struct, frozen=True, forbid_unknown_fields=True):
    """`width` bytes at `offset` say how long a frame is: its payload, or all of it; plus `adjust`.

    `keep`: what stands before the payload belongs to it; without it only where `offset` is 0.
    """

    offset: Annotated[int, Meta(ge=0, le=4096)] = 0
    width: Annotated[int, Meta(ge=0, le=16)] = 0
    endian: Literal["big", "little"] = "big"
    encoding: Literal["binary", "ascii", "hex", "bcd", "varint"] = "binary"
    counts: Literal["payload", "frame"] = "payload"
    adjust: Annotated[int, Meta(ge=-65536, le=65536)] = 0
    keep: bool | None = None


class Envelope(Struct, frozen=True, forbid_unknown_fields=True):
    """A payload stands between `start` and `end`. With a `trailer` of so many bytes it is all of these."""

    start: Bytes
    end: Bytes
    trailer: Annotated[int, Meta(ge=0, le=64)] = 0


class Regex(Struct, frozen=True, forbid_unknown_fields=True):
    """A frame begins with what `header` matches, whose group `len` counts what follows, and `trailer` more."""

    header: str
    trailer: Annotated[int, Meta(ge=0, le=65536)] = 0


class FramingDoc(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`framing:`, one kind of it. `client` and `server`: another one in each direction.

    `starts`: in a list, this one is for frames that begin so.
    """

    delimiter: str | Delimiter | None = None
    fixed: Annotated[int, Meta(ge=1, le=1 << 26)] | None = None
    length: Length | None = None
    envelope: Envelope | None = None
    regex: Regex | None = None
    until_close: bool = False
    idle: str | float | None = None
    starts: Bytes = ""
    client: "FramingDoc | tuple[FramingDoc, ...] | None" = None
    server: "FramingDoc | tuple[FramingDoc, ...] | None" = None


class StartTlsDoc(Struct, frozen=True, forbid_unknown_fields=True):
    """The frame `on` asks for TLS and `reply` agrees to it. `decline` refuses where there is no TLS."""

    on: str
    reply: str
    decline: str = ""


class EveryDoc(Struct, frozen=True, forbid_unknown_fields=True):
    """`send`, a reply as routes have it, is said again and again: `after` so long, or as a field `req` says."""

    send: dict[str, Any]
    after: str | float | None = None
    req: str = ""


class AutoDoc(Struct, frozen=True, forbid_unknown_fields=True):
    """What a session answers by itself: frames with these values at these paths, or that this text matches."""

    when: str | dict[str, Any]
    reply: dict[str, Any] = {}
    every: EveryDoc | None = None


class ReplyRules(Struct, frozen=True, forbid_unknown_fields=True):
    """How replies belong to requests, and what of them is made for each request.

    `correlate`: `fifo`, `none`, or the fields that both have. `per_request`: `one` reply each, or `any` number
    of frames until the next request; `until`: a frame whose text it matches is the last one of a reply.
    `one_way`: requests whose text it matches get no reply.
    """

    correlate: str | tuple[str, ...] = "fifo"
    per_request: Literal["one", "any"] = "one"
    until: str = ""
    one_way: str = ""
    echo: tuple[str, ...] = ()
    set: dict[str, Any] = {}
    swap: tuple[tuple[str, str], ...] = ()


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """A service's `options:` in the graph. Without `framing` it records and replays tapes.

    `noise`: fields that never decide. `redact`: fields that recordings hold as zeros; they do not decide
    either. `on_miss`: `close`, `reset`, `hang`, or `{reply: }` with a reply as routes have it. `pushes`: there
    are routes for what the server says unasked (a recorder notes that by itself). `auto`: frames that keep a
    connection alive, for which no route is asked and of which none is recorded.
    """

    framing: FramingDoc | tuple[FramingDoc, ...] | None = None
    fields: Any = None
    noise: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    reply: ReplyRules = ReplyRules()
    on_miss: Any = "close"
    on_bad: Literal["close", "reset"] = "close"
    auto: tuple[AutoDoc, ...] = ()
    starttls: StartTlsDoc | None = None
    pushes: bool = False
    max_frame: Annotated[int, Meta(ge=1, le=1 << 26)] = 1 << 20
    tape: TapeOptions = TapeOptions()
