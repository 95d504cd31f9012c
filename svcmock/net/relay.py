"""Recording: bytes are passed on as they come, a tap watches, and what it saw is written down.

The relay never waits for the tap to have understood anything, so nothing is buffered that was not buffered
before: what a client does not take stops the upstream, and the other way round. Opaque connections are passed
on all the same. What becomes of what a tap saw is the recorder's.

An upstream with TLS is offered what the client speaks: what TLS agreed on with it, or else what its first bytes
say. What messages mean may have to be asked of the upstream (`Inquire`); exchanges that wait for that outlive
their connection by a moment.
"""

import asyncio
import ssl
import time
from typing import cast

import structlog

from svcmock.capabilities import Breaking, Opening, Resting, Withholding
from svcmock.net.recorder import Recorder
from svcmock.net.reset import reset
from svcmock.net.spool import Spools
from svcmock.net.starttls import Insecure, start_tls
from svcmock.net.upstream import Connector, UpstreamError
from svcmock.protocol import (
    Become,
    Began,
    Exchange,
    Fact,
    Forward,
    Inquire,
    Lost,
    Opaque,
    Shut,
    Side,
    Sight,
    Spool,
    StartTLS,
    Tap,
)

log = structlog.get_logger()


class Client(asyncio.Protocol):
    """The client's side of a relayed connection; owns the tap."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._tap: Tap = recorder.plugin.tap(recorder.context, recorder.connector.upstream)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._server = Server(self)
        self._spools: Spools | None = None
        self._began: set[int] = set()
        self._connecting: asyncio.Task[None] | None = None
        self._head: bytes | None = None
        """What the client has said, while that does not yet tell what the upstream is to speak."""
        self.alpn: tuple[str, ...] = ()
        """What an upstream with TLS is offered."""
        self._ended: set[Side] = set()
        self._inquiring = False
        """Whether the tap waits to be informed."""
        self._late: Side | None = None
        """The side that ended last, meanwhile: when it is told of that, a tap holds nothing back any more."""
        self._waiting: list[bytes] | None = None
        """What is to be sent to the client once TLS with it is agreed on."""
        self._securing: asyncio.Task[None] | None = None
        self._said = 0.0
        """When somebody said something, last."""
        self._silence: asyncio.TimerHandle | None = None
        self._unread = False
        """The tap reads no more, so nobody knows what is under way."""
        recorder.opened += 1
        self._number = recorder.opened

    # --- asyncio calls these ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._recorder.connections.add(self)
        alpn = self._agreed(self._transport)
        if alpn is None:
            self._head = b""
        else:
            self._open(alpn)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            alpn = cast("Opening", self._recorder.plugin).alpn_for(self._head)
            if alpn is not None:
                self._head = None
                self._open(alpn)
        if self._connecting is not None:
            # one read's worth may wait for the upstream, not more
            self.hold()
        self._see(self._tap.from_client(data, self._heard()))

    def eof_received(self) -> bool:
        self._end(Side.CLIENT)
        return self._transport is not None and self._transport.get_extra_info("ssl_object") is None

    def pause_writing(self) -> None:
        self._server.hold()

    def resume_writing(self) -> None:
        self._server.go_on()

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        self._transport = None
        self._end(Side.CLIENT)
        # it is us who end the upstream's side now: a reply that lasts until its end is not whole
        self._ended.add(Side.SERVER)
        self._server.close()
        self._finish()

    # --- the server's side calls these ---

    def from_server(self, data: bytes) -> None:
        self._see(self._tap.from_server(data, self._heard()))

    def no_upstream(self, why: str) -> None:
        url = self._recorder.connector.upstream.url
        log.warning("upstream unreachable", service=self._recorder.name, upstream=url, why=why)
        self._see(self._tap.unreachable(why, time.monotonic()))

    def server_eof(self) -> None:
        self._end(Side.SERVER)

    def server_lost(self, *, broken: bool) -> None:
        """The upstream's side is gone; `broken` by a reset, which a client that waits gets to see as one.

        One that has all of its replies gets them to their last byte.
        """
        waits = bool(self._began or self._unread)
        if broken and Side.SERVER not in self._ended:
            self._ended.add(Side.SERVER)
            if isinstance(self._tap, Breaking):
                self._see(self._tap.broken(Side.SERVER, time.monotonic()))
        self._end(Side.SERVER)
        if self._transport is not None and broken and waits:
            reset(self._transport)
        elif self._transport is not None:
            self._transport.close()
        self._finish()

    def hold(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def go_on(self) -> None:
        if self._transport is None or self._waiting is not None:
            return
        if not self._transport.is_closing() and not self._server.full:
            self._transport.resume_reading()

    # --- the daemon calls these ---

    def inform(self) -> None:
        """What messages mean is known, as far as it is to be had."""
        self._inquiring = False
        self._see(self._tap.informed(self._recorder.context))
        late, self._late = self._late, None
        if late is not None:
            self._see(self._tap.eof(late, time.monotonic()))
        self._finish()

    def close(self) -> None:
        """End the connection; what was under way is lost and counted."""
        if self._inquiring:
            self.inform()
        if self._transport is not None and self._began:
            reset(self._transport)
        elif self._transport is not None:
            self._transport.abort()

    def _heard(self) -> float:
        """Somebody speaks: the tap is to be told when that was all for a while."""
        self._said = time.monotonic()
        if self._silence is None and isinstance(self._tap, Resting):
            self._silence = self._loop.call_later(self._tap.rest, self._rested)
        return self._said

    def _rested(self) -> None:
        self._silence = None
        now, tap = time.monotonic(), self._tap
        if self._transport is None or not isinstance(tap, Resting):
            return
        left = self._said + tap.rest - now
        if left > 0:
            self._silence = self._loop.call_later(left, self._rested)
        else:
            self._see(tap.rested(now))

    def _agreed(self, transport: asyncio.Transport) -> tuple[str, ...] | None:
        """What to offer the upstream; None: the client's first bytes will tell."""
        plugin = self._recorder.plugin
        if not self._recorder.connector.upstream.tls:
            return ()
        tls = transport.get_extra_info("ssl_object")
        selected = tls.selected_alpn_protocol() if tls is not None else None
        if selected:
            return (selected,)
        return None if isinstance(plugin, Opening) and not plugin.server_first else plugin.alpn

    def _open(self, alpn: tuple[str, ...]) -> None:
        self.alpn = alpn
        self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await self._recorder.connector.connect(lambda: self._server, self.alpn)
        except UpstreamError as error:
            self.no_upstream(str(error))
        self._connecting = None
        self.go_on()
        self._settle()

    def _end(self, side: Side) -> None:
        if side not in self._ended:
            self._ended.add(side)
            if self._inquiring and len(self._ended) == len(Side):
                self._late = side
            else:
                self._see(self._tap.eof(side, time.monotonic()))
            self._settle()

    def _settle(self) -> None:
        """Close, after what is still to be sent, once no side can say anything more."""
        silent = Side.SERVER in self._ended or not self._server.connected
        if Side.CLIENT in self._ended and self._connecting is None and silent:
            if self._transport is not None:
                self._transport.close()
            self._server.close()

    def _see(self, sight: Sight) -> None:
        for seen in sight:
            match seen:
                case Forward(data, Side.SERVER):
                    self._server.write(data)
                case Forward(data, _):
                    self._write(data)
                case Began(ident):
                    self._began.add(ident)
                    self._recorder.counters.accept()
                case Exchange():
                    self._began.discard(seen.id)
                    self._recorder.write(seen, self._number, self._spools)
                    self._drop_spools()
                case Lost(ident, why, kind):
                    self._began.discard(ident)
                    self._recorder.lost(f"connection {self._number}", kind, why)
                    self._drop_spools()
                case Spool(token, data):
                    if self._spools is None:
                        self._spools = self._recorder.spools()
                    self._spools.append(token, data)
                case Shut(to):
                    self._shut(to)
                case Become(tap, rest):
                    self._become(tap, rest)
                case _:
                    self._note(seen)

    def _become(self, tap: Tap, rest: bytes) -> None:
        self._tap = tap
        self._see(tap.from_client(rest, time.monotonic()))
        for side in self._ended:
            self._see(tap.eof(side, time.monotonic()))

    def _note(self, seen: Opaque | Fact | StartTLS | Inquire) -> None:
        match seen:
            case Inquire():
                self._inquiring = True
                self._recorder.inquire(self)
            case Opaque(why):
                self._recorder.opaque += 1
                self._unread = True
                log.warning("passed on unread", service=self._recorder.name, why=why)
            case Fact(name, value):
                self._recorder.learn(name, value)
            case StartTLS(Side.SERVER):
                self._server.start_tls(self._recorder.connector)
            case StartTLS():
                self._start_tls()

    def _write(self, data: bytes) -> None:
        if self._waiting is not None:
            self._waiting.append(data)
        elif self._transport is not None:
            self._transport.write(data)

    def _start_tls(self) -> None:
        """With the client: what it says next is a handshake, and not for the tap."""
        if self._transport is None or self._recorder.tls is None:
            log.error("a protocol starts TLS that the service has not", service=self._recorder.name)
            self.close()
            return
        self._transport.pause_reading()
        self._waiting = []
        self._securing = self._loop.create_task(self._secure(self._transport, self._recorder.tls))

    async def _secure(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        try:
            self._transport, early = await start_tls(transport, self, context)
        except Insecure as error:
            log.warning("no TLS with a client", service=self._recorder.name, why=str(error))
            self.connection_lost(None)
            return
        waiting, self._waiting = self._waiting, None
        for data in waiting or ():
            self._write(data)
        if early:
            self.data_received(early)

    def _shut(self, to: Side) -> None:
        if to is Side.SERVER:
            self._server.shut()
        elif self._transport is not None:
            _say_no_more(self._transport)

    def _drop_spools(self) -> None:
        """While nothing is under way, no spooled body is waited for: that of a lost exchange would stay."""
        if self._spools is not None and not self._began:
            self._spools.close()

    def _finish(self) -> None:
        """Both sides are gone: nothing may be left pending."""
        if self._transport is not None or self._server.connected or self._inquiring:
            return
        self._end(Side.SERVER)
        if isinstance(self._tap, Withholding) and self in self._recorder.connections:
            self._see(self._tap.gone())
        self._recorder.connections.discard(self)
        if self._silence is not None:
            self._silence.cancel()
        for _ in range(len(self._began)):
            self._recorder.lost(f"connection {self._number}", "failed", "the connection ended")
        self._began.clear()
        if self._spools is not None:
            self._spools.close()
            self._spools = None


class Server(asyncio.Protocol):
    """The upstream's side of a relayed connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] | None = []
        """What the client said before the upstream was reached; None once it was, or is gone."""
        self._shut = False
        self._securing: asyncio.Task[None] | None = None
        self.full = False
        """The upstream does not take what was written: the client is not read until it does."""

    @property
    def connected(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._transport.writelines(self._early or ())
        self._early = None
        if self._shut:
            self.shut()

    def data_received(self, data: bytes) -> None:
        self._client.from_server(data)

    def eof_received(self) -> bool:
        self._client.server_eof()
        return self._transport is not None and self._transport.get_extra_info("ssl_object") is None

    def pause_writing(self) -> None:
        self.full = True
        self._client.hold()

    def resume_writing(self) -> None:
        self.full = False
        self._client.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._client.server_lost(broken=exc is not None)

    def start_tls(self, connector: Connector) -> None:
        """With the upstream: what it says next is a handshake, and not for the tap."""
        if self._transport is None:
            return
        self._transport.pause_reading()
        self._early = []
        self._securing = asyncio.get_running_loop().create_task(self._secure(self._transport, connector))

    async def _secure(self, transport: asyncio.Transport, connector: Connector) -> None:
        try:
            secure, early = await connector.start_tls(transport, self)
        except UpstreamError as error:
            self._client.no_upstream(str(error))
            self.connection_lost(None)
            return
        self.connection_made(secure)
        if early:
            self.data_received(early)

    def write(self, data: bytes) -> None:
        if self._early is not None:
            self._early.append(data)
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def shut(self) -> None:
        """Say no more to the upstream; once it is reached, where it is not yet."""
        self._shut = True
        if self._transport is not None:
            _say_no_more(self._transport)

    def hold(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def go_on(self) -> None:
        if self._transport is not None and self._early is None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        self._early = None
        if self._transport is not None:
            self._transport.close()


def _say_no_more(transport: asyncio.Transport) -> None:
    """End our side of a connection; all of it where TLS knows no half."""
    if transport.is_closing():
        return
    if transport.can_write_eof():
        transport.write_eof()
    else:
        transport.close()
