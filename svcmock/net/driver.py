"""Serving: one client connection, its session's outs turned into I/O.

A static reply is decided and written inside `data_received`: no task, no queue, no await. Whether a request
gets such a reply depends on its bytes alone, so the driver may remember `(at_rest, bytes) -> wire bytes` and
skip even the decoding, also for bytes that differ only in what decides nothing (`Likeness`). Delays, streams
and files become timers and queued outs.

Back-pressure: what a client does not take is bounded by the transport's high-water mark plus one reply. While
the transport is full, outs wait, the session is not fed, and nothing more is read from the client.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from time import time
from typing import Any, cast

import structlog

from svcmock.capabilities import Dating, Hearing
from svcmock.journal import Fact
from svcmock.net.memo import Memo, Memory
from svcmock.net.missed import learn
from svcmock.net.outgoing import FILE_JOINED, Outgoing, Unsendable
from svcmock.net.reset import reset
from svcmock.net.serving import Serving
from svcmock.net.spool import Spools
from svcmock.net.starttls import Insecure, start_tls
from svcmock.net.unsent import unsent
from svcmock.protocol import (
    Ask,
    Become,
    Blob,
    Close,
    Date,
    Out,
    Publish,
    Send,
    SendFile,
    Session,
    Side,
    Spool,
    StartTLS,
    Subscribe,
    Unsubscribe,
    Wake,
)

log = structlog.get_logger()

WRITE_AT_ONCE = 256 * 1024
"""Bytes joined into one write before the transport is asked whether it is full."""
READ_AHEAD = 64 * 1024
"""Bytes taken from a client while its answer is delayed; then it waits too."""
MAX_HEARD = 4096
"""Outs that may wait for a client which does not read what others publish."""
LINGER = 2.0
"""Seconds that a client we are done with gets to close its side."""


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        responder = serving.responder
        self.context = serving.context
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
        self._files = Outgoing()
        self._spools: Spools | None = None
        self._timers: dict[asyncio.TimerHandle, bool] = {}
        """And whether the client waits for what happens then."""
        self._full = False
        self._reading = True
        self._closing = False
        self._ended = False
        self._securing: asyncio.Task[None] | None = None
        """TLS is being agreed on: until then the transport takes nothing, and gives nothing."""
        self._unsent = 0
        """Bytes that the client had not taken at the last look."""
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
                log.warning("the limit of connections is reached", service=serving.name)
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
        self._full = self._securing is not None
        self._moved = True
        self._safely(lambda: self._do(()))

    def connection_lost(self, _exc: Exception | None) -> None:
        self._end()
        self._serving.connections.discard(self)
        self._leave()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._queue.clear()
        self._files.end()
        if self._spools is not None:
            self._spools.close()

    # --- the daemon calls these ---

    def check_idle(self, now: float, idle: float) -> None:
        """Close a client that makes no progress inside a message, or does not read.

        One that rests between messages is left alone, and one that waits for us; what we say unasked is no
        progress of it. Progress counts from the look that finds it: there are several within `idle`.
        """
        waiting = unsent(self._transport)
        ours = not waiting and self._session.held > 0  # what it has sent waits for us
        if self._moved or ours or waiting < self._unsent:  # slowly, but it reads
            self._progress = now
        self._moved, self._unsent = False, waiting
        if now - self._progress < idle:
            return
        if waiting:
            log.info("closed a client that does not read", service=self._serving.name)
            self._transport.abort()
        elif not (self._closing or any(self._timers.values()) or self._session.idle):
            self._safely(lambda: self._do(self._session.timed_out()))

    def drain(self) -> None:
        """The daemon stops: finish what is owed, then close."""
        if not self._closing:
            self._safely(lambda: self._do(self._session.draining()))

    def abort(self) -> None:
        self._transport.abort()

    def tell(self, topic: Hashable, message: Any) -> bool:
        """Something was published; False: the session does not hear any more."""
        if self._closing or not isinstance(self._session, Hearing):
            return False
        if len(self._queue) > MAX_HEARD:
            log.warning("closed a client that does not read", service=self._serving.name)
            self.abort()
            return False
        session = self._session
        self._safely(lambda: self._do(session.published(topic, message)))
        return True

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
        queue, files = self._queue, self._files
        queue.extend(outs)
        if self._running:
            return b""
        self._running = True
        try:
            while queue and not self._full and not files.active:
                self._step(queue.popleft())
                if self._pieces_size >= WRITE_AT_ONCE:
                    self._forget()
                    self._flush()
                if files.active:
                    self._pump_file()
            if files.active:
                self._pump_file()
            wire = self._flush()
        finally:
            self._running = False
            files.close_slices()
        if queue and not self._full and not files.active:
            return self._do(())
        busy = self._full or bool(queue) or files.active
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
                self._send_file(blob)
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
            case Close("half") if self._transport.can_write_eof():
                self._forget()
                self._flush()
                self._transport.write_eof()
            case Close(how):
                if how != "flush" or self._queue:
                    self._forget()
                self._farewell = self._flush()
                self._close(how)
            case _:
                self._forget()
                self._step_seldom(out)

    def _step_seldom(self, out: Out) -> None:
        match out:
            case Date(token) if isinstance(self._session, Dating):
                self._queue.extendleft(reversed(self._session.dated(token, time())))
            case StartTLS(Side.CLIENT):
                self._flush()
                self._start_tls()
            case Subscribe(topic):
                self._serving.subscribe(self, topic)
            case Unsubscribe(topic):
                self._serving.unsubscribe(self, topic)
            case Publish(topic, message):
                times = self._serving.publish(topic, message)
                if isinstance(self._session, Hearing):
                    self._queue.extendleft(reversed(self._session.heard(out, times)))
            case _:
                log.error("a connection cannot do this", service=self._serving.name, asked=type(out).__name__)
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
            self._later(decision.delay, lambda: self._do(self._session.answered(ask, decision.reply)), True)
            self._queue.extendleft(reversed(self._session.waiting(ask, decision.delay)))
        else:
            self._queue.extendleft(reversed(self._session.answered(ask, decision.reply)))

    def _leave(self) -> None:
        """The connection is gone: nobody may go on to count on it."""
        self._serving.unsubscribe_all(self)
        closed = getattr(self._session, "closed", None)  # it is `Ending`
        if closed is not None:
            self._safely(closed)

    def _start_tls(self) -> None:
        """What comes next is a handshake: not a byte of it may reach the session."""
        context = self._serving.tls
        if context is None:
            log.error("a protocol starts TLS, and the service has none", service=self._serving.name)
            self._close("abort")
            return
        self._full, self._reading = True, False
        self._transport.pause_reading()
        self._securing = self._loop.create_task(self._secure(context))

    async def _secure(self, context: ssl.SSLContext) -> None:
        try:
            secure, early = await start_tls(self._transport, self, context)
        except Insecure as error:
            log.info("no TLS with a client", service=self._serving.name, why=str(error))
            self.connection_lost(None)
            return
        self._transport, self._write = secure, secure.write
        self._securing, self._full, self._reading = None, False, True
        self._safely(lambda: self._do(self._session.received(early) if early else ()))

    def _safely(self, act: Callable[[], object]) -> None:
        """A mistake in a protocol costs the connection it is made on, and no other."""
        try:
            act()
        except Exception:
            log.exception("a connection was given up", service=self._serving.name)
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
        self._pieces, self._pieces_size = [], 0
        self._transport.write(data)
        return data

    def _later(self, after: float, act: Callable[[], object], owed: bool = False) -> None:
        def fire() -> None:
            self._timers.pop(timer, None)
            if not self._closing:
                self._moved |= unsent(self._transport) > 0  # with more to come, nobody sees whether it reads
                self._safely(act)

        timer = self._loop.call_later(after, fire)
        self._timers[timer] = owed

    def _send_file(self, blob: Blob) -> None:
        try:
            if blob.size <= FILE_JOINED:
                piece = self._files.slice(blob)
                self._pieces.append(piece)
                self._pieces_size += len(piece)
            else:
                self._flush()
                self._files.begin(blob)
        except Unsendable as error:
            self._break_off(error)

    def _pump_file(self) -> None:
        try:
            while not self._full and not self._closing and (piece := self._files.piece()):
                self._transport.write(piece)
        except Unsendable as error:
            self._break_off(error)
        if self._closing:
            self._files.end()

    def _break_off(self, error: Unsendable) -> None:
        """The head with its Content-Length has left: a short body must not look like a whole one."""
        log.error("a reply is broken off", service=self._serving.name, why=str(error))
        self._end()
        reset(self._transport)

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
            self._timers[self._loop.call_later(LINGER, self._linger)] = False

    def _linger(self) -> None:
        """To close over bytes the client still sends resets the connection: not before it has all of ours."""
        if self._transport.get_write_buffer_size():
            self._timers[self._loop.call_later(LINGER, self._linger)] = False
        else:
            self._transport.close()


class _Unconnected(asyncio.Transport):
    """Stands for the transport before there is one."""


_UNCONNECTED = _Unconnected()
