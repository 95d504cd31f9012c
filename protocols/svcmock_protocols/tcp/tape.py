"""Tapes: what was said on a connection of which nobody knows what it means, as values.

A tape is a connection, run by run: what the client said until the server answered, and what the server said
then. A run holds no claim about messages; how bytes were cut into reads is not kept. Where the server speaks on
after a pause, that is a run of its own to which the client said nothing. Each run is one exchange, so that a
recording that is cut off has lost no more than what was under way.
"""

from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from svcmock.protocol import Invalid
from svcmock_protocols.tcp.gaps import duration
from svcmock_protocols.tcp.nofiles import NO_FILES
from svcmock_protocols.tcp.patterns import compile_pattern

NAMES: Final = ("tape", "run", "said", "ends")
"""Field names of a run, beside those of a frame."""
MAX_RUN: Final = 1 << 20
"""Bytes of one run; a longer one is kept as several."""
MAX_ANSWER: Final = 32 << 20
"""Bytes of one that a person writes for the server."""

Then: TypeAlias = Literal["", "close", "half_close", "reset"]
"""What the server does when it has said a run: it ends its side, perhaps to listen on, or resets."""


class MissReply(Struct, frozen=True, forbid_unknown_fields=True):
    """What a client is told that says what is on no tape, and what becomes of its connection."""

    reply: Any
    then: Literal["close", "reset", "hang"] = "close"


class TapeOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """How tapes are recorded and replayed.

    `idle`: a pause longer than this ends a run of the server, and is kept. `resume`: where a client that has
    come to the end of a tape may go on: where its like paused before it spoke, wherever it began to speak, or
    nowhere. `mask`: regular expressions (RE2) over what the client says; what they match, or their first group,
    decides nothing. `redact`: the same over both directions for what must not reach the disk. `echo`: masked
    bytes that the recorded answer repeats are replaced by those of the client.
    """

    idle: float | str = "50ms"
    resume: Literal["idle", "turns", "never"] = "idle"
    on_miss: Literal["close", "reset", "hang"] | MissReply = "close"
    mask: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    echo: bool = True

    def __post_init__(self) -> None:
        try:
            _ = self.pause
            for pattern in (*self.mask, *self.redact):
                compile_pattern(pattern)
            miss_bytes(self)
        except Invalid as invalid:
            raise ValueError(invalid.why) from None

    @property
    def pause(self) -> float:
        """`idle` in seconds."""
        return duration(self.idle, "idle")


def miss_bytes(options: TapeOptions) -> bytes:
    """What `on_miss` has the server say. Raises Invalid."""
    from svcmock.payload import from_doc

    if not isinstance(options.on_miss, MissReply):
        return b""
    data = from_doc(options.on_miss.reply, NO_FILES, "on_miss", "reply")
    assert isinstance(data, bytes)
    return data


class TapeRequest(Struct, frozen=True, gc=False):
    """A client's run. `tape` is the recorded connection's name, `run` counts from 1.

    `said` is empty where the server speaks unasked. `ends`: the server answered only when the client had ended
    its side. `after`: seconds for which nobody had spoken before, if that was a pause. `mask`: ranges of bytes,
    or regular expressions, that decide nothing in this run alone. `cut`: a live client left every tape with the
    last byte of `said`; how its run goes on was not looked at.
    """

    tape: str
    run: int
    said: bytes = b""
    ends: bool = False
    after: float = 0.0
    mask: tuple[tuple[int, int] | str, ...] = ()
    cut: bool = False


class TapeReply(Struct, frozen=True, gc=False):
    """The server's run, `after` so many seconds. `lost`: it is none, the client left every tape."""

    said: bytes = b""
    then: Then = ""
    after: float = 0.0
    lost: bool = False
    hang: bool = False
