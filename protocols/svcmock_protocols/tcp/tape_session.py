"""Serving tapes: the other end of a connection of which nobody knows what it means.

The session follows its client through the tapes (`tape_walk`), asks the engine for the answer at each of the
server's turns, and says what it is given. What the server was recorded to say after a pause is said after that
pause, scaled by the service's pace, or at once when the client turns out to be ahead of it. A client that has
said what is on no tape gets what the option `on_miss` says, and nothing more on this connection.
"""

from collections.abc import Hashable, Sequence
from typing import Any, Final

from svcmock.protocol import Ask, Close, Context, Out, Outs, Reply, Send, Wake
from svcmock_protocols.tcp.tape import TapeReply, TapeRequest
from svcmock_protocols.tcp.tape_echo import MAX_KNOWN, echoed
from svcmock_protocols.tcp.tape_library import Library
from svcmock_protocols.tcp.tape_walk import Strayed, Turn, Walk

_NOTHING: Final = Library()
_END: Final = "end"
"""`at_rest` at the end of a tape, whichever: what comes next is looked for in all of them."""


class TapeSession:
    """The serving side of one connection: a `svcmock.protocol.Session`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        library = context.schema if isinstance(context.schema, Library) else _NOTHING
        self._walk = Walk(library, context.token)
        self._asked: Turn | Strayed | None = None
        self._asks = 0
        self._waits = False
        """Whether it was asked to be woken at the node where it is."""
        self._wakes = 0
        self._over = False
        """Nothing more is said, whatever the client says."""
        self._closed = False
        self._leaving = False
        self._known: list[tuple[bytes, bytes]] = []
        """What masked places held when they were recorded, and hold now, where that is not the same."""

    @property
    def at_rest(self) -> Hashable | None:
        """What bytes mean depends on all that was said before, but for who is at the end of a tape."""
        quiet = self._asked is None and not (self._over or self._known)
        return _END if quiet and self._walk.at_end else None

    @property
    def idle(self) -> bool:
        return self._over or (self._asked is None and not self._walk.partial)

    @property
    def held(self) -> int:
        return self._walk.unread if self._asked is not None else 0

    def opened(self) -> Outs:
        return self._go_on()

    def received(self, data: bytes) -> Outs:
        if self._over:
            return ()
        self._walk.hear(data)
        return self._go_on()

    def answered(self, ask: Ask, reply: Reply) -> Outs:  # noqa: ARG002  one is under way at a time
        turn, self._asked = self._asked, None
        if self._over or turn is None:
            return ()
        if isinstance(turn, Strayed) or reply.lost:
            return self._stray(reply)
        outs: list[Out] = []
        data = self._answer(turn, reply)
        if data:
            outs.append(Send(data))
        if reply.then == "half_close" and not self._leaving and not self._walk.ended:
            self._over = True  # whatever the client says now, nothing can answer it
            return [*outs, Close("half")]
        if reply.then or self._leaving:
            return [*outs, *self._close(reply.then)]
        self._walk.go(turn, turn.edge.outcome(reply), reply)
        self._waits = False
        return [*outs, *self._go_on()]

    def waiting(self, ask: Ask, after: float) -> Outs:  # noqa: ARG002
        return ()

    def woke(self, token: Any) -> Outs:
        push = self._walk.push
        if self._over or self._asked is not None or token != self._wakes or not self._waits or push is None:
            return ()
        return self._ask(push)

    def timed_out(self) -> Outs:
        """The client stopped in the middle of a run; that is told as a miss before it is left.

        Where it is answered, or something is said unasked, it may wait for that.
        """
        return () if self._asked is not None or self._waits else self._leave()

    def draining(self) -> Outs:
        if self._asked is None:
            return self._close()
        self._leaving = True
        return ()

    def eof(self) -> Outs:
        self._walk.ended = True
        if self._over:
            return self._close()
        return self._go_on()

    def _go_on(self) -> Outs:
        """Whatever is to be done next, as far as is known."""
        if self._asked is not None or self._over:
            return ()
        push = self._walk.push
        if push is not None and push.edge.after * self._context.pace <= 0:
            return self._ask(push)
        turn = self._walk.step()
        if turn is not None:
            return self._ask(turn)
        if push is not None:
            return self._wait(push)
        return self._close() if self._walk.ended else ()

    def _wait(self, push: Turn) -> Outs:
        if self._waits:
            return ()
        self._waits = True
        self._wakes += 1
        return (Wake(push.edge.after * self._context.pace, self._wakes),)

    def _ask(self, turn: Turn | Strayed) -> Outs:
        self._asked = turn
        self._asks += 1
        where = TapeRequest("", 0) if turn.edge is None else turn.edge.request
        request = TapeRequest(where.tape, where.run, turn.said, where.ends)
        if isinstance(turn, Strayed):
            request = TapeRequest(where.tape, where.run, turn.said, self._walk.ended, cut=turn.cut)
        return (Ask(self._asks, request, len(turn.said)),)

    def _answer(self, turn: Turn, reply: TapeReply) -> bytes:
        """What is left to say of a reply, with the client's own bytes in it."""
        data = reply.said[len(turn.ahead) :]
        if not self._context.options.tape.echo:
            return data
        data = echoed(data, turn.filled, self._known, len(turn.ahead))
        changed = [(one.hole.was, one.data) for one in turn.filled if one.hole.was != one.data]
        self._known = [*changed, *self._known][:MAX_KNOWN]
        return data

    def _stray(self, reply: TapeReply) -> Outs:
        outs: Sequence[Out] = (Send(reply.said),) if reply.said else ()
        self._over = True
        if reply.hang and not self._walk.ended and not self._leaving:
            return outs
        return (*outs, *self._close(reply.then))

    def _leave(self) -> Outs:
        self._leaving = True
        if self._over or self._asked is not None or not self._walk.partial:
            return self._close() if self._asked is None else ()
        return self._ask(self._walk.stray())

    def _close(self, how: str = "") -> Outs:
        if self._closed:
            return ()
        self._over = self._closed = True
        return (Close("abort" if how == "reset" else "flush"),)
