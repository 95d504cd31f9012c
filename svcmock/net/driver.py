"""Serving: one client connection, its session's outs turned into I/O.

A static reply is decided and written inside `data_received`: no task, no queue, no await. Whether a request
gets such a reply depends on its bytes alone, so the driver may remember `(at_rest, bytes) -> wire bytes` and
skip even the decoding, also for bytes that differ only in what decides nothing (`Likeness`). Delays, streams
and files become timers and queued outs.

Back-pressure: what a client does not take is bounded by the transport's high-water mark plus one reply. While
the transport is full, outs wait, the session is not fed, and nothing more is read from the client.
"""

import asyncio
import contextlib
import fcntl
import os
import sys
import termios
from collections import deque
from collections.abc import Callable, Iterable
from time import time
from typing import cast

import structlog

from svcmock.journal import Fact
from svcmock.net.memo import Memo, Memory
from svcmock.net.missed import learn
from svcmock.net.reset import reset
from svcmock.net.serving import Serving
from svcmock.net.spool import Spools
from svcmock.protocol import Ask, Become, Blob, Close, Out, Send, SendFile, Session, Spool, Wake

log = structlog.get_logger()

WRITE_AT_ONCE = 256 * 1024
"""Bytes joined into one write before the transport is asked whether it is full."""
FILE_PIECE = 256 * 1024
"""Bytes read from a body file at a time."""
FILE_JOINED = 64 * 1024
"""Bytes of a slice that is read at once and joined with what stands around it: the head of its frame."""
READ_AHEAD = 64 * 1024
"""Bytes taken from a client while its answer is delayed; then it waits too."""
LINGER = 2.0
"""Seconds that a client we are done with gets to close its side."""


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        responder = serving.responder
        self.context = responder.context
        """What the session was made with, whatever is reloaded: to another one, equal bytes may mean else."""
        self.memo = serving.memo
        self._session: Session = responder.plugin.session(self.context)
        self._recollect()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = _UNCONNECTED
        self._write = self._transport.write
        self._note = serving.journal.again
        self._queue: deque[Out] = deque()
        self._pieces: list[bytes] = []
        self._pieces_size = 0
        self._file: tuple[int, int, int] | None = None
        self._slices: tuple[str, int] | None = None
        """A file that is sent in slices, by its path, and its descriptor."""
        self._spools: Spools | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._full = False
        self._reading = True
        self._closing = False
        self._ended = False
        self._unsent = 0
        """Bytes that the client had not taken when it was last looked at."""
        self._running = False
        self._facts: list[Fact] | None = None
        """While `_learn` watches: what was asked and answered."""
        self._rest: object | None = self._session.at_rest
        """The session's, when nothing of ours is under way; else None."""
        self._farewell = b""
        """What was written last, when the session had the connection end with it."""
        self._moved = False
        """Whether there was progress since `check_idle` looked."""
        self._progress = self._loop.time()

    # --- asyncio calls these ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        serving = self._serving
        if len(serving.connections) >= serving.responder.service.limits.connections:
            if not serving.refused:
                log.warning("the limit of connections is reached", service=serving.responder.service.name)
            serving.refused += 1
            self._end()
            self._transport.abort()
            return
        serving.connections.add(self)
        self._write = self._transport.write
        self._safely(lambda: self._do(self._session.opened()))
        if serving.draining:
            self.drain()

    def data_received(self, data: bytes) -> None:
        self._moved = True
        rest = self._rest
        if rest is None:
            if not self._closing:
                self._safely(lambda: self._do(self._session.received(data)))
            return
        memo = self.memo
        known = memo.known.get((rest, data)) or (memo.revive(rest, data) if memo.old else None)
        if known is not None:
            for fact in known.facts:
                self._note(time(), fact)
            self._write(known.wire)
            if known.ends:
                self._close("flush")
            return
        essence = memo.essence(data)
        alike = None if essence is None else memo.alike(rest, essence, data)
        if alike is not None:
            self._note(time(), alike.fact, data)
            self._write(alike.wire)
            if alike.ends:
                self._close("flush")
            return
        if essence is not None and (missed := memo.missed(rest, essence)) is not None:
            wire = self._serving.miss_again(missed, memo, data)
            if wire is not None:
                self._write(wire)
                return
        self._safely(lambda: self._learn(rest, data, essence))

    def eof_received(self) -> bool:
        self._ended = True
        if self._closing:
            self._transport.close()
        else:
            self._safely(lambda: self._do(self._session.eof()))
        return self._transport.get_extra_info("ssl_object") is None

    def pause_writing(self) -> None:
        self._full = True
        self._hold_reading(True)

    def resume_writing(self) -> None:
        self._full = False
        self._moved = True
        self._safely(lambda: self._do(()))

    def connection_lost(self, _exc: Exception | None) -> None:
        self._end()
        self._serving.connections.discard(self)
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._queue.clear()
        if self._file is not None:
            os.close(self._file[0])
            self._file = None
        if self._spools is not None:
            self._spools.close()

    # --- the daemon calls these ---

    def check_idle(self, now: float, idle: float) -> None:
        """Close a client that makes no progress inside a message, or does not read.

        One that waits for us, or rests between messages, is left alone. Progress counts from the look that
        finds it: whoever calls this looks several times within `idle`.
        """
        unsent = _untaken(self._transport)
        if self._moved or unsent < self._unsent:  # slowly, but it reads
            self._progress = now
        self._moved = False
        self._unsent = unsent
        if now - self._progress < idle:
            return
        if unsent:
            log.info("closed a client that does not read", service=self._serving.responder.service.name)
            self._transport.abort()
        elif not (self._closing or self._timers or self._session.idle):
            self._safely(lambda: self._do(self._session.timed_out()))

    def drain(self) -> None:
        """The daemon stops: finish what is owed, then close."""
        if not self._closing:
            self._safely(lambda: self._do(self._session.draining()))

    def abort(self) -> None:
        self._transport.abort()

    def remember(self, memo: Memo) -> None:
        """Routes have changed: answer from it, and from no other one."""
        self.memo = memo
        self._recollect()

    def _recollect(self) -> None:
        """Let the session know what is remembered, if it is one that wants to."""
        remember = getattr(self._session, "remember", None)  # it is `Remembering`
        if remember is not None:
            remember(Memory(self.memo, self._serving.journal))

    # --- outs become I/O ---

    def _learn(self, rest: object, data: bytes, essence: bytes | None) -> None:
        """The slow path; remembers what it did if the same bytes, or alike ones, will always give the same."""
        memo = self.memo
        again = memo.wants(rest, data)
        like = essence is not None and memo.wants(rest, essence)
        if not (again or like):
            self._do(self._session.received(data))
            return
        facts: list[Fact] = []
        self._facts = facts
        wire = self._do(self._session.received(data)) or self._farewell
        ends = bool(self._farewell)
        if self._facts is facts and wire and (ends or self._rest == rest):
            if again:
                memo.put(rest, data, wire, tuple(facts), ends=ends)
            if like and essence is not None and len(facts) == 1:
                memo.put_alike(rest, essence, data, wire, facts[0], ends=ends)
        elif like and essence is not None and self._rest == rest:
            self._learn_miss(rest, data, essence)
        self._facts = None

    def _learn_miss(self, rest: object, data: bytes, essence: bytes) -> None:
        memo, ident = self.memo, self._serving.journal.next_id
        known = memo.missed(rest, essence)
        if known is None or not known.fits(ident):
            missed = learn(self._serving.responder, self.context, rest, data, ident)
            if missed is not None:
                memo.put_missed(rest, essence, missed)

    def _do(self, outs: Iterable[Out]) -> bytes:
        """Carry out `outs` in order, as far as the client takes them. Gives what the last write wrote."""
        queue = self._queue
        queue.extend(outs)
        if self._running:
            return b""
        self._running = True
        try:
            while queue and not self._full and self._file is None:
                self._step(queue.popleft())
                if self._pieces_size >= WRITE_AT_ONCE:
                    self._forget()
                    self._flush()
                if self._file is not None and not self._full:
                    self._pump_file()
            if self._file is not None and not self._full:
                self._pump_file()
            wire = self._flush()
        finally:
            self._running = False
            if self._slices is not None:
                self._close_slices()
        if queue and not self._full and self._file is None:
            return self._do(())
        busy = self._full or bool(queue) or self._file is not None
        self._hold_reading(busy or self._session.held > READ_AHEAD)
        self._rest = None if busy or self._closing else self._session.at_rest
        if self._spools is not None and self._rest is not None:
            self._spools.close()
        return wire

    def _step(self, out: Out) -> None:
        match out:
            case Send(data):
                self._pieces.append(data)
                self._pieces_size += len(data)
            case Ask():
                self._ask(out)
            case SendFile(blob):
                self._forget()
                if blob.size <= FILE_JOINED:
                    self._join_file(blob)
                else:
                    self._flush()
                    self._open_file(blob)
            case Wake(after, token):
                self._forget()
                self._later(after, lambda: self._do(self._session.woke(token)))
            case Become(session, rest):
                self._forget()
                self._session = session
                self._recollect()
                self._queue.extendleft(reversed((*session.opened(), *session.received(rest))))
            case Spool(token, data):
                self._forget()
                if self._spools is None:
                    self._spools = self._serving.spools()
                self._spools.append(token, data)
            case Close(how):
                if how != "flush" or self._queue:
                    self._forget()
                self._farewell = self._flush()
                self._close(how)
            case _:
                self._forget()
                log.error(
                    "a connection cannot do this",
                    asked=type(out).__name__,
                    protocol=self._serving.responder.plugin.name,
                )
                self._transport.abort()

    def _ask(self, ask: Ask) -> None:
        # bytes that are never alike are not remembered, but what they ask for may be
        decision = self._serving.decide(ask, self.memo if self._rest is None else None)
        if self._spools is not None:
            self._spools.close()  # decided: a client that pipelines on and on may never come to rest
        if decision is None:
            self._forget()
            self._queue.extendleft(reversed(self._session.answered(ask, None)))
            return
        if self._facts is not None:
            if decision.fixed:
                self._facts.append(Fact(ask.request, decision.outcome, ask.size))
            else:
                self._facts = None
        if decision.delay:
            self._later(decision.delay, lambda: self._do(self._session.answered(ask, decision.reply)))
            self._queue.extendleft(reversed(self._session.waiting(ask, decision.delay)))
        else:
            self._queue.extendleft(reversed(self._session.answered(ask, decision.reply)))

    def _safely(self, act: Callable[[], object]) -> None:
        """A mistake in a protocol costs the connection it is made on, and no other."""
        try:
            act()
        except Exception:
            log.exception("a connection was given up", service=self._serving.responder.service.name)
            self._end()
            reset(self._transport)

    def _end(self) -> None:
        """Whatever the client still sends is not answered."""
        self._closing = True
        self._rest = None

    def _forget(self) -> None:
        """What happens now is not a function of the bytes received alone: do not remember it."""
        self._facts = None

    def _flush(self) -> bytes:
        pieces = self._pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._pieces_size = 0
        self._transport.write(data)
        return data

    def _later(self, after: float, act: Callable[[], object]) -> None:
        def fire() -> None:
            self._timers.discard(timer)
            if not self._closing:
                self._moved = True
                self._safely(act)

        timer = self._loop.call_later(after, fire)
        self._timers.add(timer)

    def _open_file(self, blob: Blob) -> None:
        try:
            self._file = (os.open(blob.path, os.O_RDONLY | os.O_CLOEXEC), blob.offset, blob.size)
        except OSError as error:
            # the head with its Content-Length has left: a short body must not look like a whole one
            log.error("a body file cannot be read", path=blob.path, why=error.strerror)  # noqa: TRY400
            self._end()
            reset(self._transport)

    def _join_file(self, blob: Blob) -> None:
        """A slice among many of one file, which stays open until all that is to be done now is done."""
        if self._slices is None or self._slices[0] != blob.path:
            self._close_slices()
            self._open_file(blob)
            if self._file is None:
                return
            self._slices, self._file = (blob.path, self._file[0]), None
        piece = os.pread(self._slices[1], blob.size, blob.offset)
        if len(piece) < blob.size:
            log.error("a body file is shorter than its route says", short_by=blob.size - len(piece))
            self._end()
            reset(self._transport)
            return
        self._pieces.append(piece)
        self._pieces_size += len(piece)

    def _close_slices(self) -> None:
        if self._slices is not None:
            os.close(self._slices[1])
            self._slices = None

    def _pump_file(self) -> None:
        assert self._file is not None
        handle, offset, left = self._file
        while left and not self._full:
            piece = os.pread(handle, min(FILE_PIECE, left), offset)
            if not piece:
                log.error("a body file is shorter than its route says", short_by=left)
                self._end()
                reset(self._transport)
                break
            offset += len(piece)
            left -= len(piece)
            self._transport.write(piece)
        if left and not self._closing:
            self._file = (handle, offset, left)
        else:
            os.close(handle)
            self._file = None

    def _hold_reading(self, hold: bool) -> None:
        if hold is not self._reading or self._transport.is_closing():
            return
        self._reading = not hold
        if hold:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _close(self, how: str) -> None:
        """End our side, then let the client end its own.

        Closing while the client still sends would reset the connection and take the last reply with it
        (RFC 9112 section 9.6).
        """
        self._end()
        self._queue.clear()
        if how == "abort":
            reset(self._transport)
        elif self._ended or not self._transport.can_write_eof():
            self._transport.close()
        else:
            self._transport.write_eof()
            self._hold_reading(False)
            self._timers.add(self._loop.call_later(LINGER, self._linger))

    def _linger(self) -> None:
        """To close over bytes the client still sends resets the connection: not before it has all of ours."""
        if self._transport.get_write_buffer_size():
            self._timers.add(self._loop.call_later(LINGER, self._linger))
        else:
            self._transport.close()


def _untaken(transport: asyncio.Transport) -> int:
    """Bytes that a client has not taken, while some wait here; those that the kernel holds for it count too.

    The kernel asks for more only once much of its own buffer, megabytes perhaps, is free again.
    """
    unsent = transport.get_write_buffer_size()
    if unsent:
        queued = bytearray(4)
        with contextlib.suppress(OSError):  # where the system does not tell
            fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
        unsent += int.from_bytes(queued, sys.byteorder)
    return unsent


class _Unconnected(asyncio.Transport):
    """Stands for the transport before there is one."""


_UNCONNECTED = _Unconnected()
