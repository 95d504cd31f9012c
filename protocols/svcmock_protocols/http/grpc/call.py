"""How a gRPC call is asked for: as a whole, or part by part where it is a conversation.

Decides what is asked next, as the client's messages come in. A method that streams both ways by the schema is a
conversation: its beginning, each message and its end are asked for in turn, each message with a digest of those
before it. A method that the schema does not know may be one, and one whose client streams may be answered
before the client has said all; their parts are asked for on trial. If no route has answered any of them when
the client has said all, or none answers the end of what began as a conversation, the whole call is asked for
like any other.
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
        *("_over", "_own", "_reader", "_waiting", "_whole", "stalled", "told"),
    )

    def __init__(self, head: Request, context: Context, limit: int, *, known: bool, own: bool = False) -> None:
        """`known`: the schema says that it is a conversation. `limit`: bytes of a message.

        `own`: what no route answers is answered here, so nothing of it is ever a miss.
        """
        self._head = head
        self._context = context
        self._known = known
        self._own = own
        self._reader = Reader(limit)
        self._waiting: deque[bytes] = deque()
        self._opened = self._ended = self._over = False
        self._answered = False
        self._goes_on = False
        """The last answer was one of a recorded conversation that has not come to its end."""
        self._whole = False
        """The whole call is to be asked for."""
        self._count = 0
        self._before = b""
        self.stalled: Request | None = None
        """A message that no recording has here; if the client is to say all soon, it may be of a whole call."""
        self.told = 0
        """Bytes of a recorded conversation that the client was sent, from whichever of its recordings."""

    @property
    def keeps_body(self) -> bool:
        """Whether it may come to be asked for as a whole."""
        return not (self._known or self._own)

    @property
    def over(self) -> bool:
        """Whether its end was asked for, and nothing is left to be."""
        return self._over and not self._whole

    @property
    def pending(self) -> bool:
        """Whether something is here that was not asked for, or part of a message."""
        return bool(self._waiting or self._reader.pending)

    @property
    def on_trial(self) -> bool:
        """Whether nothing tells yet that it is a conversation."""
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
            return self._part(said, message), self._own or self.keeps_body
        if not self._ended or self.over:
            return None
        if self._whole or (self.on_trial and not self._own):
            self._over, self._whole = True, False
            return None, False
        self._over = True
        settled = self._answered and not self._goes_on
        return self._part(said_end(self._before)), self.keeps_body or self._own or settled

    def answered(self, asked: Request, reply: Reply | None) -> None:
        """What became of the last `ask`."""
        if reply is not None:
            self._answered = self._answered or not self._own
            self._goes_on = reply.more
            self.stalled = None
        elif self._over:
            self._whole = self.keeps_body and self._goes_on
            self._goes_on = False
        elif self._answered and self.keeps_body:
            self.stalled = asked

    def _part(self, said: bytes, body: bytes = b"") -> Request:
        head = self._head
        return Request(head.method, head.target, head.version, head.block, body, b"", said)


def _framed(message: Message) -> bytes:
    return frame(message)
