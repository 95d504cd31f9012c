"""gRPC calls that pass by a recorder: which messages came when, and what they answered.

Decides in which pieces a call's reply is told: its messages, with the time between them. A server that says
anything, or ends, before its client has ended makes the call a conversation: then each piece also says which
part of the request it answers. The messages themselves are not looked into, nor kept: see `grpc.framing` for
their form.
"""

from typing import Final

from svcmock_protocols.http.grpc.framing import HEAD
from svcmock_protocols.http.messages import Chunk
from svcmock_protocols.http.watched import MIN_GAP, MIN_WHOLE_GAP

MAX_MESSAGES: Final = 65536
"""Pieces of a reply that are told apart; with more, those that came together are one."""


class Lengths:
    """Counts the messages in a stream of bytes."""

    __slots__ = ("_head", "_left", "_limit", "_size", "broken")

    def __init__(self, limit: int) -> None:
        """`limit`: bytes that a message may have."""
        self._limit = limit
        self._head = bytearray()
        self._left = self._size = 0
        self.broken = False
        """Whether these are no messages, or one is larger than the limit. Nothing is counted from there."""

    @property
    def pending(self) -> int:
        """Bytes of a message that has not come whole."""
        return len(self._head) + self._size - self._left if self._left else len(self._head)

    def feed(self, data: bytes) -> list[int]:
        """The sizes of the messages that `data` completes, with their heads."""
        done: list[int] = []
        at, end = 0, len(data)
        while at < end and not self.broken:
            if self._left:
                taken = min(self._left, end - at)
                self._left -= taken
            else:
                taken = min(HEAD - len(self._head), end - at)
                self._head += data[at : at + taken]
                if len(self._head) < HEAD:
                    break
                self._left = self._size = int.from_bytes(self._head[1:])
                self.broken = self._head[0] > 1 or self._size > self._limit
            at += taken
            if not self._left and not self.broken:
                done.append(HEAD + self._size)
                self._head.clear()
        return done


class WatchedCall:
    """One call. Its `parts` are its beginning (0), the client's messages (1 and up), and the client's end."""

    __slots__ = (
        "_answered_at",
        "_asked",
        "_conversation",
        "_ended",
        "_part",
        "_part_at",
        "_pieces",
        "_told",
        "why",
    )

    def __init__(self, at: float, limit: int) -> None:
        self._asked, self._told = Lengths(limit), Lengths(limit)
        self._part = 0
        self._part_at = at
        self._ended = False
        self._conversation: bool | None = None
        self._answered_at = at
        self._pieces: list[Chunk] = []
        self.why = ""
        """Why it cannot be recorded, if it cannot."""

    @property
    def pending(self) -> int:
        """Bytes of a message that the client has begun."""
        return self._asked.pending

    @property
    def readable(self) -> bool:
        """Whether all that was said is whole messages, but for one that a client broke off."""
        halved = self._told.pending or (self._ended and self._asked.pending)
        return not (self._asked.broken or self._told.broken or halved)

    @property
    def ends_on(self) -> int:
        """The part with which the reply ended, once it has; -1 where this was no conversation."""
        return self._part if self._conversation else -1

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """The pieces of the reply; empty for one message, and for none, with nothing to be told of them."""
        pieces = tuple(self._pieces)
        if len(pieces) == 1 and not self._conversation and pieces[0].after < MIN_WHOLE_GAP:
            return ()
        return pieces

    def asks(self, data: bytes, at: float) -> None:
        """The client said something."""
        said = len(self._asked.feed(data))
        if said:
            self._part += said
            self._part_at = at

    def asked(self, at: float) -> None:
        """The client has said all."""
        self._ended = True
        self._part += 1
        self._part_at = at

    def answers(self, at: float) -> None:
        """The head of the reply came."""
        self._answered_at = at

    def tells(self, data: bytes, at: float) -> None:
        """The server said something."""
        for size in self._told.feed(data):
            self._tell(size, at)

    def told(self) -> None:
        """The server has said all."""
        if self._conversation is None:
            self._conversation = not self._ended

    def _tell(self, size: int, at: float) -> None:
        if self._conversation is None:
            self._conversation = not self._ended
        on, since = -1, self._answered_at
        if self._conversation:
            on, since = self._part, max(self._part_at, self._answered_at if self._pieces else 0.0)
        gap = at - since
        gap = round(gap, 6) if gap >= MIN_GAP else 0.0
        self._answered_at = at
        if len(self._pieces) < MAX_MESSAGES:
            self._pieces.append(Chunk(size, gap, on))
            return
        last = self._pieces[-1]
        if gap or on != last.on:
            self.why = f"a call of more than {MAX_MESSAGES} messages with time between them"
        else:
            self._pieces[-1] = Chunk(last.size + size, last.after, on)
