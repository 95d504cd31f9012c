"""Recording a tape: what both sides of a connection say, run by run, passed on as it comes.

A run of the client ends when the server speaks, one of the server when the client speaks, or pauses for longer
than the option `idle`. It becomes an exchange when what follows it begins, or after that pause; so a recording
that is killed loses what was said within it, and nothing before. A client's end is kept where the server
answers it, a server's end always, and its reset where the relay tells of one (`broken`). That it had ended only
its side is known when the client speaks on; what it says then nobody can answer, and it is not kept.
"""

from hashlib import blake2b
from typing import Final

from svcmock.protocol import Began, Context, Exchange, Forward, Lost, Seen, Shut, Side, Sight, Timing, Upstream
from svcmock_protocols.tcp.gaps import MAX_GAP
from svcmock_protocols.tcp.tape import MAX_RUN, TapeReply, TapeRequest, Then
from svcmock_protocols.tcp.tape_documents import redacted

PAUSE_OVER: Final = 0.002
"""Seconds more than a pause, since times are rounded."""
_NAME: Final = 6
"""Bytes of the digest that names a tape."""


class _Run:
    """What is under way: what the client said, and what the server has answered so far."""

    __slots__ = ("after", "answered", "at", "ends", "ident", "number", "replied", "said", "thought")

    def __init__(self, ident: int, number: int, at: float) -> None:
        self.ident = ident
        self.number = number
        self.at = at
        self.thought = 0.0
        """Seconds of silence before the client spoke."""
        self.after = 0.0
        """Seconds of silence before the server spoke on."""
        self.said = bytearray()
        self.replied = bytearray()
        self.answered: float | None = None
        """When the server spoke first."""
        self.ends = False


class TapeTap:
    """The recording side of one connection: a `svcmock.protocol.Tap`."""

    def __init__(self, context: Context, upstream: Upstream) -> None:
        self._context = context
        self._upstream = upstream
        self._pause: float = context.options.tape.pause
        self._run: _Run | None = None
        self._runs = 0
        self._name = ""
        self._last: float | None = None
        """When somebody spoke last."""
        self._client_ended = False
        self._end_told = False
        """Whether a run says that the client had ended."""
        self._over = False

    def from_client(self, data: bytes, at: float) -> Sight:
        seen: list[Seen] = [Forward(data, Side.SERVER)]
        if self._over:
            return [*seen, *self._settle_last("half_close")]
        run = self._run
        if run is not None and run.answered is not None:
            seen += self._settle(run)
            run = None
        if run is None:
            run = self._begin(seen, at, data)
            run.thought = self._silence(at)
        run.said += data
        while len(run.said) > MAX_RUN:
            rest = _beyond(run.said)
            seen += self._settle(run)
            run = self._begin(seen, at, data)
            run.said += rest
        self._last = at
        return seen

    def from_server(self, data: bytes, at: float) -> Sight:
        seen: list[Seen] = [Forward(data, Side.CLIENT)]
        if self._over:
            return seen
        run = self._run
        if run is not None and run.answered is not None and self._silence(at) > 0:
            seen += self._settle(run)
            run = None
        if run is None:
            run = self._begin(seen, at, data)
            run.after = self._silence(at)
        self._answer(run, at)
        run.replied += data
        while len(run.replied) > MAX_RUN:
            rest = _beyond(run.replied)
            seen += self._settle(run)
            run = self._begin(seen, at, data)
            self._answer(run, at)
            run.replied += rest
        self._last = at
        return seen

    def eof(self, side: Side, at: float) -> Sight:
        run = self._run
        if side is Side.CLIENT:
            self._client_ended = True
            seen: list[Seen] = [Shut(Side.SERVER)]
            if self._over:
                seen += self._settle_last("close")
            elif run is not None and run.answered is not None:
                seen += self._settle(run)
            return seen
        seen = [Shut(Side.CLIENT)]
        if self._over:
            return seen
        self._over = True
        if self._client_ended:
            return [*seen, *self._settle_last("")]
        return [*seen, *self._end(at)]

    def broken(self, side: Side, at: float) -> Sight:
        """`side` ended with a reset."""
        if self._over or side is Side.CLIENT:
            return self.eof(side, at)
        self._over = True
        return [*self._end(at), *self._settle_last("reset")]

    def _settle_last(self, then: Then) -> Sight:
        """It is known how the server has ended, if there is a run that it has ended with."""
        return () if self._run is None else self._settle(self._run, then)

    def _end(self, at: float) -> list[Seen]:
        """The server ends with the run that is under way, or after a pause with a run of its own."""
        seen: list[Seen] = []
        run = self._run
        if run is not None and run.answered is not None and self._silence(at) > 0:
            seen += self._settle(run)
            run = None
        if run is None:
            run = self._begin(seen, at, b"")
            run.after = self._silence(at)
        return seen

    def unreachable(self, why: str, at: float) -> Sight:  # noqa: ARG002
        self._over = True
        run, self._run = self._run, None
        lost = () if run is None else (Lost(run.ident, why),)
        return [Shut(Side.CLIENT), *lost]

    @property
    def rest(self) -> float:
        """See `svcmock.capabilities.Resting`."""
        return self._pause + PAUSE_OVER

    def rested(self, at: float) -> Sight:  # noqa: ARG002  whatever comes now begins a run of its own
        run = self._run
        return () if self._over or run is None or run.answered is None else self._settle(run)

    def informed(self, context: Context) -> Sight:  # noqa: ARG002
        return ()

    def _begin(self, seen: list[Seen], at: float, data: bytes) -> _Run:
        if not self._name:
            salt = f"{self._upstream.authority} {at!r} ".encode()
            self._name = blake2b(salt + data, digest_size=_NAME).hexdigest()
        self._runs += 1
        self._run = run = _Run(self._runs, self._runs, at)
        seen.append(Began(run.ident))
        return run

    def _answer(self, run: _Run, at: float) -> None:
        """The server speaks, for the first time in this run or not."""
        if run.answered is None:
            run.answered = at
            run.ends = self._client_ended and not self._end_told
            self._end_told = self._client_ended

    def _settle(self, run: _Run, then: Then = "") -> Sight:
        self._run = None
        took = 0.0 if run.answered is None else run.answered - run.at
        said = redacted(bytes(run.said), self._context)
        request = TapeRequest(self._name, run.number, said, run.ends, run.thought)
        reply = TapeReply(redacted(bytes(run.replied), self._context), then, run.after)
        return (Exchange(run.ident, request, reply, Timing(run.at, took)),)

    def _silence(self, at: float) -> float:
        """Seconds since somebody spoke, if that is a pause; to the millisecond."""
        gap = 0.0 if self._last is None else at - self._last
        return min(round(gap, 3), MAX_GAP) if gap > self._pause else 0.0


def _beyond(said: bytearray) -> bytes:
    """Takes away what is more than one run may have."""
    rest = bytes(said[MAX_RUN:])
    del said[MAX_RUN:]
    return rest
