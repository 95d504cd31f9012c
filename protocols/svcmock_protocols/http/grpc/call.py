"""How a gRPC call is asked for: as a whole, or part by part where it is a conversation.

Decides what is asked next, as the client's messages come in. A method that streams both ways by the schema is a
conversation: its beginning, each message and its end are asked for in turn, each message with a digest of those
before it. A method that the schema does not know may be one; its parts are asked for on trial, and if no route
has answered any of them when the client has said all, the whole call is asked for like any other.
"""

from collections import deque

from svcmock.protocol import Context
from svcmock_protocols.http.grpc.framing import Message, Reader, frame
from svcmock_protocols.http.grpc.parts import chain, said_at, said_end, said_open
from svcmock_protocols.http.messages import Reply, Request


class Call:
    """One call that is, or may be, a conversation. `feed`, `end`, then `ask` and `answered` in turn."""

    __slots__ = (
        *("_answered", "_before", "_context", "_count", "_ended", "_goes_on", "_head", "_known", "_opened"),
        *("_over", "_reader", "_waiting"),
    )

    def __init__(self, head: Request, context: Context, limit: int, *, known: bool) -> None:
        """`known`: the schema says that it is a conversation. `limit`: bytes of a message."""
        self._head = head
        self._context = context
        self._known = known
        self._reader = Reader(limit)
        self._waiting: deque[bytes] = deque()
        self._opened = self._ended = self._over = False
        self._answered = False
        self._goes_on = False
        """The last answer was one of a recorded conversation that has not come to its end."""
        self._count = 0
        self._before = b""

    @property
    def pending(self) -> bool:
        """Whether something is here that was not asked for, or part of a message."""
        return bool(self._waiting or self._reader.pending)

    @property
    def on_trial(self) -> bool:
        """Whether it may have to be asked for as a whole, so that its body is to be kept."""
        return not (self._known or self._answered)

    def feed(self, data: bytes) -> None:
        """More bytes of the body. Raises GrpcError."""
        self._waiting.extend(map(_framed, self._reader.feed(data)))

    def end(self) -> None:
        """The client has said all. Raises GrpcError inside a message."""
        self._reader.end()
        self._ended = True

    def ask(self) -> tuple[Request | None, bool] | None:
        """What is to be asked now, and whether it may stay unanswered; None while there is nothing.

        No request: the call as a whole, with its body.
        """
        if not self._opened:
            self._opened = True
            return self._part(said_open()), True
        if self._waiting:
            message = self._waiting.popleft()
            self._count += 1
            said = said_at(self._count, self._before)
            self._before = chain(self._before, message, self._head, self._context)
            return self._part(said, message), self.on_trial
        if not self._ended or self._over:
            return None
        self._over = True
        if self.on_trial:
            return None, False
        return self._part(said_end(self._before)), self._answered and not self._goes_on

    def answered(self, reply: Reply | None) -> None:
        """What became of the last `ask`."""
        if reply is not None:
            self._answered = True
            self._goes_on = reply.more

    def _part(self, said: bytes, body: bytes = b"") -> Request:
        head = self._head
        return Request(head.method, head.target, head.version, head.block, body, b"", said)


def _framed(message: Message) -> bytes:
    return frame(message)
