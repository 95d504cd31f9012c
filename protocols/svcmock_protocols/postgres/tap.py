"""Records one connection: who owes which answer, and what passes. Sans I/O.

Bytes are passed on as they come once a client has logged in; before, message by message, as some are changed:

    the client's SSLRequest, GSSENCRequest ──▶ answered here: N, or S where the service has TLS
    the upstream's `sslmode` ──▶ an SSLRequest of our own, then TLS towards the server
    SCRAM-SHA-256-PLUS ──▶ taken out of the offer: it binds to a TLS connection that does not reach the client

The login is relayed and never recorded. Afterwards each message of the client is owed its own answer (FIFO):

    Q: up to Z      P: 1    B: 2    C: 3    D: [t] T|n    E: C I s, or a copy    S: Z    F: Z
    an E fails the first that waits, and what waits behind it up to the next Sync is never answered
"""

from collections import deque
from typing import Final
from urllib.parse import parse_qs, urlsplit

from svcmock.protocol import (
    Context,
    Fact,
    Forward,
    Opaque,
    ProtocolError,
    Seen,
    Shut,
    Side,
    Sight,
    StartTLS,
    Upstream,
)
from svcmock_protocols.postgres import codec
from svcmock_protocols.postgres.facts import OF_THE_CLIENT
from svcmock_protocols.postgres.messages import Said, said
from svcmock_protocols.postgres.recorded import ABORTED, Exchanges
from svcmock_protocols.postgres.watched import Expected, Portal, Prepared, Run, leads_to

MAX_MESSAGE: Final = 256 << 20
"""Bytes of a message that is watched."""
MAX_EXPECTED: Final = 100_000
"""Messages that wait for their answers."""
MAX_NAMED: Final = 10_000
"""Prepared statements and portals of a connection that are followed."""
_DEMANDS_TLS: Final = frozenset({"require", "verify-ca", "verify-full"})
_PASSED_BY: Final = frozenset({b"p", b"H", b"X"})
"""What a client is owed no answer for."""


class PostgresTap:
    """One recorded connection, as `svcmock.protocol.Tap` asks for it."""

    def __init__(self, context: Context, upstream: Upstream) -> None:
        self._tls = context.tls
        self._upstream = upstream
        self._exchanges = Exchanges(context)
        self._client = codec.Frames(codec.MAX_STARTUP)
        self._server = codec.Frames(MAX_MESSAGE)
        self._opening: bytes | None = None
        """What the client opened with, while TLS towards the server is not agreed on."""
        self._started = self._ready = self._blind = self._answered = False
        self._down = ""
        self._startup: dict[str, str] = {}
        self._parameters: dict[str, str] = {}
        self._settings: list[tuple[str, str]] = []
        self._queue: deque[Expected] = deque()
        self._prepared: dict[str, Prepared] = {}
        self._portals: dict[str, Portal] = {}
        self._discarding = False
        """The server skips what the client sends until its next Sync."""
        self._at = 0.0

    # --- the contract ---

    def from_client(self, data: bytes, at: float) -> Sight:
        if self._answered:
            return ()
        if self._blind:
            return (Forward(data, Side.SERVER),)
        out: list[Seen] = []
        self._at = at
        try:
            if not self._started:
                self._client.add(data)
                self._open(out)
            else:
                out.append(Forward(data, Side.SERVER))
                self._watch_client(data, out)
        except ProtocolError as error:
            self._give_up(f"the client's bytes are no PostgreSQL: {error}", out)
        return out

    def from_server(self, data: bytes, at: float) -> Sight:
        if self._blind:
            return (Forward(data, Side.CLIENT),)
        out: list[Seen] = []
        self._at = at
        try:
            if self._opening is not None:
                data = self._agree(data, out)
            if self._ready:
                out.append(Forward(data, Side.CLIENT))
            self._server.add(data)
            self._watch_server(out)
        except ProtocolError as error:
            self._give_up(f"the server's bytes are no PostgreSQL: {error}", out)
        return out

    def eof(self, side: Side, at: float) -> Sight:  # noqa: ARG002  what an end means does not depend on time
        out: list[Seen] = []
        if side is Side.CLIENT:
            if not self._answered:
                out.append(Shut(Side.SERVER))
            return out
        if not self._blind:
            self._end_portals()
            self._exchanges.ended(whole=True)
            self._exchanges.settle("I", [], out)
        self._exchanges.lose_all("the upstream left before it had answered", out)
        self._release(out)
        out.append(Shut(Side.CLIENT))
        return out

    def unreachable(self, why: str, at: float) -> Sight:  # noqa: ARG002  as above
        self._down = why
        # a client that has yet to hear whether there is TLS would not read the reason
        return self._refuse() if self._started or self._opening is not None else ()

    def _refuse(self) -> list[Seen]:
        self._answered = True
        told = said("08006", f"svcmock: {self._upstream.authority} cannot be reached: {self._down}", "FATAL")
        out: list[Seen] = [Forward(codec.saying(b"E", told), Side.CLIENT)]
        self._exchanges.lose_all(f"the upstream cannot be reached: {self._down}", out)
        return [*out, Shut(Side.CLIENT)]

    def informed(self, context: Context) -> Sight:  # noqa: ARG002  nothing was asked
        return ()

    # --- before the client has logged in ---

    def _open(self, out: list[Seen]) -> None:
        while not self._started and self._opening is None:
            found = self._client.startup()
            if found is None:
                return
            code, body = found
            if code == codec.GSSENC_REQUEST or (code == codec.SSL_REQUEST and not self._tls):
                out.append(Forward(b"N", Side.CLIENT))
            elif code == codec.SSL_REQUEST:
                if self._client.held:
                    raise ProtocolError("something was sent before TLS")
                self._tls = False
                out += (Forward(b"S", Side.CLIENT), StartTLS(Side.CLIENT))
            else:
                if code != codec.CANCEL_REQUEST:
                    self._startup = codec.startup_parameters(body)
                self._opening = codec.untyped(code, body)
                if self._down:
                    out += self._refuse()
                elif self._sslmode in ("", "disable", "allow"):
                    self._start(out)
                else:
                    out.append(Forward(codec.untyped(codec.SSL_REQUEST), Side.SERVER))

    @property
    def _sslmode(self) -> str:
        return parse_qs(urlsplit(self._upstream.url).query).get("sslmode", [""])[0]

    def _agree(self, data: bytes, out: list[Seen]) -> bytes:
        """The server's answer to our SSLRequest; gives what came after it."""
        answer, rest = data[:1], data[1:]
        if answer == b"S" and not rest:
            out.append(StartTLS(Side.SERVER))
            self._start(out)
        elif answer == b"N" and self._sslmode not in _DEMANDS_TLS:
            self._start(out)
        else:
            self._down = "it does not speak TLS, which `sslmode` of its URL demands"
            out += [*self._refuse(), Shut(Side.SERVER)]
            return b""
        return rest

    def _start(self, out: list[Seen]) -> None:
        """Pass on what the client opened with, and what it has said since."""
        opening, self._opening = self._opening, None
        assert opening is not None
        out.append(Forward(opening, Side.SERVER))
        self._started = True
        rest = self._client.rest()
        self._client.limit = MAX_MESSAGE
        if opening[4:8] == codec.CANCEL_REQUEST.to_bytes(4):
            self._release(out)
        if rest:
            out.append(Forward(rest, Side.SERVER))
            if not self._blind:
                self._watch_client(rest, out)

    def _logging_in(self, kind: bytes, body: bytes, out: list[Seen]) -> None:
        raw = codec.frame(kind, body)
        if kind == b"R" and body[:4] == b"\0\0\0\x0a":
            names = codec.mechanisms(body[4:])
            kept = [name for name in names if not name.endswith("-PLUS")]
            raw = codec.offered(kept) if kept else raw
        elif kind == b"S":
            reader = codec.Reader(body)
            name, value = reader.text(), reader.text()
            self._parameters[name] = value
            if name not in OF_THE_CLIENT and name.lower() not in map(str.lower, self._startup):
                out.append(Fact(name, value))
        elif kind == b"Z":
            self._ready = True
            self._exchanges.logged_in(self._parameters)
            rest = self._server.rest()
            raw += rest  # passed on as it comes, from here on
            self._server.add(rest)
        out.append(Forward(raw, Side.CLIENT))

    # --- what the client asks ---

    def _watch_client(self, data: bytes, out: list[Seen]) -> None:
        self._client.add(data)
        while not self._blind and (found := self._client.next()) is not None:
            kind, body = found
            if self._discarding and kind != b"S":
                continue
            if len(self._queue) >= MAX_EXPECTED:
                self._give_up(f"more than {MAX_EXPECTED} messages wait for an answer", out)
                return
            self._asked(kind, body, out)

    def _asked(self, kind: bytes, body: bytes, out: list[Seen]) -> None:
        match kind:
            case b"Q":
                self._query(body, out)
            case b"P":
                self._parse(body)
            case b"B":
                self._bind(body)
            case b"D":
                self._describe(body)
            case b"E":
                self._execute(body, out)
            case b"C":
                self._close(body)
            case b"S":
                self._discarding = False
                self._queue.append(Expected(b"S"))
            case b"F":
                self._queue.append(Expected(b"F"))
            case b"d" | b"c" | b"f":
                self._copied(kind, body)
            case _ if kind not in _PASSED_BY:
                raise ProtocolError(f"a message of type {kind!r}")

    def _query(self, body: bytes, out: list[Seen]) -> None:
        run = Run(Prepared(codec.Reader(body).text()), self._at)
        self._drop_portal("")
        self._exchanges.begin(run, out)
        self._queue.append(Expected(b"Q", run=run))

    def _parse(self, body: bytes) -> None:
        name, sql, types = codec.parse(body)
        prepared = Prepared(sql, types)
        if len(self._prepared) >= MAX_NAMED:
            raise ProtocolError(f"more than {MAX_NAMED} prepared statements")
        self._prepared[name] = prepared
        self._queue.append(Expected(b"P", prepared=prepared))

    def _bind(self, body: bytes) -> None:
        bound = codec.bind(body)
        self._drop_portal(bound.portal)
        if len(self._portals) >= MAX_NAMED:
            raise ProtocolError(f"more than {MAX_NAMED} portals")
        prepared = self._prepared.get(bound.statement) or Prepared("")
        portal = self._portals[bound.portal] = Portal(prepared, bound)
        self._queue.append(Expected(b"B", portal=portal))

    def _describe(self, body: bytes) -> None:
        kind, name = codec.target(body)
        if kind == b"S":
            self._queue.append(Expected(b"d", prepared=self._prepared.get(name) or Prepared("")))
        else:
            self._queue.append(Expected(b"D", portal=self._portals.get(name), name=name))

    def _execute(self, body: bytes, out: list[Seen]) -> None:
        name, _ = codec.execute(body)
        portal = self._portals.get(name)
        if portal is None:  # the server will say so
            self._queue.append(Expected(b"E"))
            return
        if portal.run is None or portal.run.over:
            portal.run = Run(portal.prepared, self._at, bound=portal.bound)
            self._exchanges.begin(portal.run, out)
        self._queue.append(Expected(b"E", portal=portal, run=portal.run))

    def _close(self, body: bytes) -> None:
        kind, name = codec.target(body)
        if kind == b"S":
            self._prepared.pop(name, None)
        else:
            self._drop_portal(name)
        self._queue.append(Expected(b"C"))

    def _copied(self, kind: bytes, body: bytes) -> None:
        """Data of a COPY ... FROM STDIN, or its end. A Sync that was sent before that end is not answered."""
        waiting = next((one for one in reversed(self._queue) if one.run is not None), None)
        if waiting is None or waiting.run is None:
            return
        if kind == b"d":  # some clients send it without having been told to
            waiting.run.piece(body, out=False)
            return
        while waiting.kind == b"E" and self._queue[-1].kind == b"S":
            self._queue.pop()

    def _drop_portal(self, name: str) -> None:
        portal = self._portals.pop(name, None)
        if portal is not None and portal.run is not None:
            portal.run.dropped = True
            self._break_off(portal.run)

    def _break_off(self, run: Run) -> None:
        """Record what there is of a run, if nothing more of it is to come."""
        if run.dropped and run.suspended and not run.over and not any(one.run is run for one in self._queue):
            run.broken_off()
            self._exchanges.finish(run)

    def _end_portals(self) -> None:
        for name in tuple(self._portals):
            self._drop_portal(name)

    # --- what the server answers ---

    def _watch_server(self, out: list[Seen]) -> None:
        while not self._blind and (found := self._server.next()) is not None:
            if self._ready:
                self._told(*found, out)
            else:
                self._logging_in(*found, out)

    def _told(self, kind: bytes, body: bytes, out: list[Seen]) -> None:
        head = self._queue[0] if self._queue else None
        if head is not None and head.run is not None and head.run.took < 0:
            head.run.took = self._at - head.run.at
        match kind:
            case b"S":
                reader = codec.Reader(body)
                self._settings.append((reader.text(), reader.text()))
            case b"N":
                if head is not None and head.run is not None:
                    head.run.notices.append(codec.said_by(body))
            case b"A":
                pass
            case b"E":
                self._failed(codec.said_by(body), out)
            case b"W":
                self._give_up("replication", out)
            case b"Z":
                self._is_ready(head, body, out)
            case _ if head is not None:
                self._answer(head, kind, body, out)
            case _:
                raise ProtocolError(f"a message of type {kind!r} that nobody asked for")

    def _answer(self, head: Expected, kind: bytes, body: bytes, out: list[Seen]) -> None:
        if head.kind in _SIMPLE and _SIMPLE[head.kind] == kind:
            self._queue.popleft()
        elif head.kind in (b"d", b"D") and kind in (b"t", b"T", b"n"):
            self._described(head, kind, body, out)
        elif head.run is not None:
            self._ran(head, head.run, kind, body)
        elif head.kind in (b"E", b"F"):  # nothing is known of it
            if head.kind == b"E" and kind in (b"C", b"I", b"s"):
                self._queue.popleft()
        else:
            raise ProtocolError(f"{kind!r} is no answer to {head.kind!r}")

    def _described(self, head: Expected, kind: bytes, body: bytes, out: list[Seen]) -> None:
        if kind == b"t":
            if head.prepared is not None:
                head.prepared.told = codec.parameters_described(body)
            return
        columns = codec.row_described(body)[0] if kind == b"T" else None
        if head.kind == b"d" and head.prepared is not None:
            head.prepared.columns = columns
            self._exchanges.described(head.prepared, None, self._at, out)
        elif head.portal is not None:
            head.portal.columns = head.portal.prepared.columns = columns
        else:
            self._exchanges.cursors.described(head.name, columns)
        self._queue.popleft()

    def _ran(self, head: Expected, run: Run, kind: bytes, body: bytes) -> None:
        simple = head.kind == b"Q"
        if run.columns is None and not simple and head.portal is not None:
            run.described(head.portal.columns or head.portal.prepared.columns)
        match kind:
            case b"T" if simple:
                run.described(*codec.row_described(body))
            case b"D":
                run.row(body)
            case b"C" | b"I":
                run.completed(codec.Reader(body).text() if kind == b"C" else "")
                if not simple:
                    self._queue.popleft()
                    self._exchanges.finish(run)
            case b"s" if not simple:
                run.suspended = True
                self._queue.popleft()
                self._break_off(run)
            case b"G" | b"H":
                run.copies(body, out=kind == b"H")
            case b"d":
                run.piece(body, out=True)
            case b"c":
                pass
            case _:
                raise ProtocolError(f"{kind!r} is no answer to {head.kind!r}")

    def _is_ready(self, head: Expected | None, body: bytes, out: list[Seen]) -> None:
        if head is None or head.kind not in (b"Q", b"S", b"F"):
            raise ProtocolError("ReadyForQuery that nobody asked for")
        self._queue.popleft()
        if head.run is not None:
            self._exchanges.finish(head.run)
        status = body[:1].decode("ascii", "replace")
        if status == "I":
            self._end_answered_portals()
            self._exchanges.ended()
        settings, self._settings = self._settings, []
        self._exchanges.settle(status, settings, out)

    def _end_answered_portals(self) -> None:
        """A transaction has ended, and its portals with it; those that were bound since are in the queue."""
        coming = {id(one.portal) for one in self._queue if one.portal is not None}
        for name, portal in tuple(self._portals.items()):
            if id(portal) not in coming:
                self._drop_portal(name)

    def _failed(self, failure: Said, out: list[Seen]) -> None:
        head = self._queue[0] if self._queue else None
        if head is None or head.kind == b"F":
            return
        if head.kind == b"Q":
            if head.run is not None:
                head.run.failure = failure
            return
        if head.kind == b"S":  # what was deferred until the end of the transaction
            if self._exchanges.done:
                self._exchanges.done[-1].failure = failure
            return
        skipped: list[Expected] = []
        while self._queue and self._queue[0].kind != b"S":
            skipped.append(self._queue.popleft())
        self._discarding = not self._queue
        self._skipped(head, skipped, failure, out)

    def _skipped(self, head: Expected, skipped: list[Expected], failure: Said, out: list[Seen]) -> None:
        """The failure is that of the first run that the failed message led to; others did not take place."""
        runs = {id(one.run): one.run for one in skipped if one.run is not None and not one.run.over}
        own = next((run for run in runs.values() if leads_to(head, run)), None)
        prepared = head.prepared
        if prepared is not None and failure.get("C") != ABORTED:
            named = any(known is prepared for name, known in self._prepared.items() if name)
            if own is None or named:
                self._exchanges.described(prepared, failure, self._at, out)
        for run in runs.values():
            if run is own:
                if head.kind == b"E" and head.portal is not None and run.columns is None:
                    run.described(head.portal.columns or head.portal.prepared.columns)
                run.failure = failure
                self._exchanges.finish(run)
            else:
                run.over = True
                self._exchanges.lose(run, "not carried out: what was sent before it failed", out, skipped=True)

    # --- giving up ---

    def _give_up(self, why: str, out: list[Seen]) -> None:
        """From here on nothing is read."""
        self._exchanges.lose_all(why, out)
        self._release(out)
        out.append(Opaque(why))

    def _release(self, out: list[Seen]) -> None:
        """What was held back goes out as it came."""
        if not self._blind:
            self._blind = True
            if self._opening is not None:
                out.append(Forward(self._opening, Side.SERVER))
                self._opening = None
            held = self._client.rest() if not self._started else b""
            if held:
                out.append(Forward(held, Side.SERVER))
            held = self._server.rest() if not self._ready else b""
            if held:
                out.append(Forward(held, Side.CLIENT))


_SIMPLE: Final = {b"P": b"1", b"B": b"2", b"C": b"3"}
"""The answers that say nothing."""
