"""Commands and replies as values: what the codec decodes, routes hold and recordings describe.

A reply keeps its type, so that `+OK` and a bulk string OK are two things (the RESP specification, versions 2
and 3). What is one type in both versions is one here; what only one of them has is kept as it came, and the
codec says it in the other version's words.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

MIB = 1024 * 1024
QUEUE_MAX = 100_000
"""Commands of a transaction."""
MODEL_DATABASES = 256
"""Of a service with a model."""

# --- values ---------------------------------------------------------------------------------------------------


class Simple(Struct, frozen=True):
    """A simple string, `+OK`."""

    text: bytes


class Error(Struct, frozen=True):
    """An error, `-ERR no such key`. `bulk`: with its length before it, as RESP3 may send it."""

    text: bytes
    bulk: bool = False


class Nil(Struct, frozen=True):
    """Nothing: `$-1`, `*-1` (`array`), or `_`, which is all that RESP3 has (`null`)."""

    kind: Literal["bulk", "array", "null"] = "bulk"


class Double(Struct, frozen=True):
    """A floating-point number of RESP3, as it was written: `1.50` stays that."""

    text: bytes


class Big(Struct, frozen=True):
    """An integer of any size, as it was written."""

    text: bytes


class Verbatim(Struct, frozen=True):
    """Text with its format: `txt` or `mkd`."""

    form: bytes
    text: bytes


class Array(Struct, frozen=True):
    """A list. As a push it is a message that answers no command."""

    items: "tuple[Value, ...]" = ()
    kind: Literal["array", "set", "push"] = "array"


class Map(Struct, frozen=True):
    """Keys and values, in order; a key may be anything and may come twice."""

    pairs: "tuple[tuple[Value, Value], ...]" = ()


class Attributed(Struct, frozen=True):
    """A value that the server said something about. Who speaks RESP2 gets the value alone."""

    attributes: "tuple[tuple[Value, Value], ...]"
    value: "Value"


Value: TypeAlias = (
    bytes | int | bool | Simple | Error | Nil | Double | Big | Verbatim | Array | Map | Attributed
)
"""bytes: a bulk string."""

OK = Simple(b"OK")
QUEUED = Simple(b"QUEUED")
NULL = Nil("null")

# --- requests and replies -------------------------------------------------------------------------------------

Args: TypeAlias = tuple[bytes, ...]
"""A command: its name in capitals, then its arguments."""

Kind: TypeAlias = Literal["command", "transaction", "queued", "channel", "pattern", "shard"]
Source: TypeAlias = Literal["channel", "pattern", "shard"]
"""What one subscribes to: a channel, all that match a pattern, a channel of a cluster's shard."""


class Request(Struct, frozen=True, gc=False):
    """What one asks: a command, with the number of the database that is selected.

    `kind`: `transaction`: `commands` is the list that EXEC runs. `queued`: a command that was refused when it
    was to be queued. `channel`, `pattern`, `shard`: nothing was asked, but `args` names what was subscribed to,
    and `number` is how many messages came before.
    """

    args: Args = ()
    db: int = 0
    kind: Kind = "command"
    commands: tuple[Args, ...] = ()
    number: int = 0


class Reply(Struct, frozen=True):
    """What the server says. `wire`: its bytes, where they are the same in both versions and for every command.

    Of a message that was pushed, `value` is what was published, `after` the seconds since the message before it
    or the subscription, and `channel` where it was published if a pattern was subscribed to.
    """

    value: Value
    wire: bytes = b""
    after: float = 0.0
    channel: bytes = b""


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """A service's `options:` in the graph.

    `model`: what clients write changes what they read. `announce`: the `host:port` at which clients of a
    cluster of one shard reach this service. `nodes`: where they reach each node, by its own `host:port`.
    `max_command`: bytes of a larger one are refused.
    """

    model: bool = False
    announce: str = ""
    nodes: dict[str, str] = {}
    max_command: Annotated[int, Meta(ge=1024, le=512 * MIB)] = 64 * MIB


def options_of(options: object) -> Options:
    """The options of a context, which are nothing where a service has none."""
    return options if isinstance(options, Options) else Options()
