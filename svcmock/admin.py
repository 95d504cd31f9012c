"""The control API: how `svcmock status`, `reload`, `why` and `down` reach a running daemon.

Decides who may talk to the daemon and in what form; what can be asked is the daemon's to say (`handlers`).
HTTP/1.1 by h11, JSON in and out. On a unix socket the file system keeps others away (mode 0600). On TCP a
token is demanded before anything is looked up, and the Host header must name the loopback or the address
that was connected to, so that no web page can reach the API through a name of its own (DNS rebinding).
There is no CORS, and a POST must say `application/json`, which a foreign page cannot without asking first.

An error is `{"error": "..."}` with a status: 400 bad input, 401 no token, 403 foreign Host, 404 and 405 no
such thing, 409 the daemon refuses, 413 and 415 and 431 bad form, 500 our mistake, 504 it takes too long.
"""

import asyncio
import contextlib
import fcntl
import hmac
import inspect
import ipaddress
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import IO, TypeAlias, cast
from urllib.parse import parse_qsl, urlsplit

import h11
import msgspec
import structlog

from svcmock.control import AdminError
from svcmock.model import Address, Tcp, Unix
from svcmock.net.unix import short_path
from svcmock.protocol import Doc, Invalid, SvcmockError

Handler: TypeAlias = Callable[[dict[str, Doc]], Awaitable[Doc] | Doc]
"""Gets the query of a GET, or the JSON object a POST carried over its query; returns what JSON can hold."""

MAX_HEAD = 16 * 1024
"""Request line and headers, in bytes; beyond it 431."""
MAX_BODY = 1 << 20
"""A request body, in bytes; beyond it 413. (A reply may be of any size.)"""
MAX_CONNECTIONS = 64
"""Beyond it, new connections are closed at once."""
MAX_FIELDS = 100
"""Fields of a query."""
REQUEST_SECONDS = 15.0
"""From the first to the last byte of a request, from one request to the next, and to take a reply."""
HANDLER_SECONDS = 60.0
"""What a handler may take; beyond it 504."""
LINGER_SECONDS = 2.0
"""How long a refused client may go on sending before the connection is reset."""
CLOSE_SECONDS = 2.0
"""What `close` waits for replies that are under way."""

log = structlog.get_logger()


class Refusal(SvcmockError):
    """Raised by a handler to answer with this status: `Refusal(404, "no miss has the id 7")`."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class AdminServer:
    """One daemon's control API. `start` once, `close` once."""

    def __init__(self, handlers: Mapping[tuple[str, str], Handler]) -> None:
        self.handlers = dict(handlers)
        self.token: bytes | None = None
        self.connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._empty: asyncio.Event | None = None
        self._lock: IO[bytes] | None = None
        self._path: Path | None = None

    async def start(self, address: Address, token: str | None = None) -> Address:
        """Listen, and return the address with the port the system picked. Raises AdminError.

        A unix socket left by a daemon that was killed is replaced; one that is in use is not.
        """
        if isinstance(address, Tcp) and token is None:
            raise AdminError(f"the control API listens on {address} only with a `token_file`")
        self.token = None if token is None else token.encode()
        loop = asyncio.get_running_loop()
        try:
            if isinstance(address, Unix):
                self._server = await loop.create_unix_server(
                    lambda: _Connection(self), sock=self._bind(address)
                )
                return address
            self._server = await loop.create_server(lambda: _Connection(self), address.host, address.port)
        except AdminError:
            self._unlock()
            raise
        except OSError as error:
            self._unlock()
            raise AdminError(f"the control API cannot listen on {address}: {error.strerror or error}") from None
        return Tcp(address.host, int(self._server.sockets[0].getsockname()[1]))

    async def close(self) -> None:
        """Take no more requests, let replies under way leave, then end every connection."""
        if self._server is None:
            return
        self._server.close()
        busy = [connection.task for connection in self.connections if connection.task is not None]
        if busy:
            await asyncio.wait(busy, timeout=CLOSE_SECONDS)
        for connection in tuple(self.connections):
            connection.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._all_gone()
        for connection in tuple(self.connections):
            connection.abort()
        self._unlock()

    def left(self, connection: "_Connection") -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        if not self.connections and self._empty is not None:
            self._empty.set()

    async def _all_gone(self) -> None:
        if self.connections:
            self._empty = asyncio.Event()
            await self._empty.wait()

    def _bind(self, address: Unix) -> socket.socket:
        path = Path(address.path)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The lock ends with the process, however it ends, and two daemons that start at once cannot both
        # take the other's fresh socket for a stale one.
        self._lock = path.with_name(path.name + ".lock").open("ab")
        Path(self._lock.name).chmod(0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._unlock()
            raise AdminError(f"a daemon of this project is running already ({address})") from None
        with short_path(path) as short:
            _remove_stale(path, short)
            listener = socket.socket(socket.AF_UNIX)
            before = os.umask(0o177)
            try:
                listener.bind(short)
            except OSError:
                listener.close()
                raise
            finally:
                os.umask(before)
        self._path = path
        return listener

    def _unlock(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _remove_stale(path: Path, short: str) -> None:
    """Remove a socket nobody listens on. Raises AdminError for anything else that is in the way."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise AdminError(f"{path}: is in the way of the control socket, and is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(short)
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise AdminError(f"{path}: something else listens there")


class _Request(msgspec.Struct):
    """What has come of one request."""

    method: str
    path: str
    query: str
    json: bool
    body: bytearray = msgspec.field(default_factory=bytearray)


class _Connection(asyncio.Protocol):
    """One client. Requests are answered one after the other; reading rests while one is worked on."""

    def __init__(self, server: AdminServer) -> None:
        self.task: asyncio.Task[None] | None = None
        self._server = server
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._request: _Request | None = None
        self._full = False
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(REQUEST_SECONDS, self.abort)
        if len(self._server.connections) >= MAX_CONNECTIONS:
            self.abort()
        self._server.connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        # A handler that is at work goes on: half a reload is worse than a reload nobody waits for.
        self._timer.cancel()
        self._server.left(self)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self.task is None:
            self._next()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._http.receive_data(data)
        if self.task is None:
            self._read()

    def eof_received(self) -> bool:
        if self._refused:
            return False
        self._http.receive_data(b"")
        if self.task is None:
            self._read()
        return True

    def end(self) -> None:
        """Close once what was written has left."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _read(self) -> None:
        try:
            while self._step(self._http.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint, str(error))
        except Refusal as refusal:
            self._refuse(refusal.status, str(refusal))

    def _step(self, event: object) -> bool:
        """Take one event in; whether there may be more."""
        match event:
            case h11.Request():
                self._request = self._admit(event)
                if self._http.they_are_waiting_for_100_continue:
                    self._send(h11.InformationalResponse(status_code=100, headers=[]))
            case h11.Data() if self._request is not None:
                self._request.body += event.data
                if len(self._request.body) > MAX_BODY:
                    raise Refusal(413, f"a request body holds at most {MAX_BODY} bytes")
            case h11.EndOfMessage() if self._request is not None:
                self._timer.cancel()
                self._transport.pause_reading()
                self.task = self._loop.create_task(self._work(self._request))
                return False
            case h11.ConnectionClosed():
                self.end()
                return False
            case h11.NEED_DATA | h11.PAUSED:
                return False
        return True

    def _admit(self, event: h11.Request) -> _Request:
        # h11 bounds only what is incomplete: a head that came in one piece passes it.
        if len(event.target) + sum(len(name) + len(value) for name, value in event.headers) > MAX_HEAD:
            raise Refusal(431, f"a request's head holds at most {MAX_HEAD} bytes")
        headers = dict(event.headers)
        local = self._transport.get_extra_info("sockname")
        if isinstance(local, tuple) and not _own_host(headers.get(b"host", b""), str(local[0])):
            raise Refusal(403, "the Host header names neither the loopback nor the address connected to")
        token = self._server.token
        if token is not None and not hmac.compare_digest(
            headers.get(b"authorization", b""), b"Bearer " + token
        ):
            raise Refusal(401, "needs `Authorization: Bearer` with the daemon's token")
        method = event.method.decode("ascii")
        target = urlsplit(event.target.decode("ascii", "replace"))
        json = headers.get(b"content-type", b"").split(b";")[0].strip().lower() == b"application/json"
        if method == "POST" and not json:
            raise Refusal(415, "a POST needs `Content-Type: application/json`")
        return _Request(method, target.path, target.query, json)

    async def _work(self, request: _Request) -> None:
        status, body = await _answer(self._server.handlers, request)
        if self._transport.is_closing():
            return
        self._reply(status, body, _allowed(self._server.handlers, request.path) if status == 405 else ())
        self.task = None
        self._timer = self._loop.call_later(REQUEST_SECONDS, self.abort)
        if not self._full:
            self._next()

    def _next(self) -> None:
        """Go on with what the client sent meanwhile."""
        if self._transport.is_closing():
            return
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            self.end()
            return
        self._http.start_next_cycle()
        self._request = None
        self._transport.resume_reading()
        self._read()

    def _refuse(self, status: int, why: str) -> None:
        """Answer what cannot be worked on, and close: how much of it is still to come is unknown.

        What does come is thrown away for a moment. To close over unread bytes would reset the connection,
        and the client would not see why.
        """
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._reply(status, _error(why), [("Connection", "close")])
        self._refused = True
        self._timer.cancel()
        self._timer = self._loop.call_later(LINGER_SECONDS, self.abort)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _reply(self, status: int, body: bytes, extra: Iterable[tuple[str, str]]) -> None:
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            *extra,
        ]
        self._send(
            h11.Response(status_code=status, headers=headers, reason=HTTPStatus(status).phrase.encode()),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )

    def _send(self, *events: h11.Event) -> None:
        self._transport.write(b"".join(self._http.send(event) or b"" for event in events))


async def _answer(handlers: Mapping[tuple[str, str], Handler], request: _Request) -> tuple[int, bytes]:
    """Status and JSON for a whole request. Never raises: the daemon outlives its handlers' mistakes."""
    handler = handlers.get((request.method, request.path))
    if handler is None:
        if _allowed(handlers, request.path):
            return 405, _error(f"{request.path} does not take {request.method}")
        return 404, _error(f"there is no {request.path}")
    try:
        given = _given(request)
        async with asyncio.timeout(HANDLER_SECONDS):
            result = handler(given)
            doc = await result if inspect.isawaitable(result) else result
        return 200, msgspec.json.encode(doc, enc_hook=str) + b"\n"
    except Exception as error:
        status = next(status for kind, status in _STATUSES if isinstance(error, kind))
        if status != 500:
            return _status_of(error, status), _error(str(error) or "this takes too long")
        log.exception("a control request failed", method=request.method, path=request.path)
        return 500, _error(f"internal error: {type(error).__name__}: {error}")


def _error(why: str) -> bytes:
    return msgspec.json.encode({"error": why}) + b"\n"


_STATUSES: tuple[tuple[type[BaseException], int], ...] = (
    (Refusal, 400),
    (Invalid, 400),
    (SvcmockError, 409),
    (TimeoutError, 504),
    (BaseException, 500),
)
"""What an error of a handler means to the client; a Refusal brings its own status."""


def _status_of(error: Exception, default: int) -> int:
    return error.status if isinstance(error, Refusal) else default


def _given(request: _Request) -> dict[str, Doc]:
    """The query, and over it the body's members. Raises Refusal."""
    try:
        given: dict[str, Doc] = dict(
            parse_qsl(request.query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
        )
    except ValueError:
        raise Refusal(400, f"a query has at most {MAX_FIELDS} fields") from None
    if request.body:
        try:
            given |= msgspec.json.decode(bytes(request.body), type=dict[str, object])
        except (msgspec.DecodeError, RecursionError) as error:
            raise Refusal(400, f"the body is not a JSON object: {error}") from None
    return given


def _allowed(handlers: Mapping[tuple[str, str], Handler], path: str) -> list[tuple[str, str]]:
    """The Allow header (RFC 9110, 15.5.6) of a path that exists."""
    methods = sorted(method for method, known in handlers if known == path)
    return [("Allow", ", ".join(methods))] if methods else []


def _own_host(host: bytes, local: str) -> bool:
    """Whether a Host header names the loopback or `local`, the address this connection was made to."""
    try:
        name = urlsplit(f"//{host.decode('ascii')}").hostname or ""
        if name == "localhost":
            return True
        address = ipaddress.ip_address(name)
        return address.is_loopback or address == ipaddress.ip_address(local.partition("%")[0])
    except ValueError:
        return False
