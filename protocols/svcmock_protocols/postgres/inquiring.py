"""A recorder that asks the server what it must know, on the client's connection and between its requests.

What a client says does not tell all that another one needs: psycopg leaves the types of strings and lists to
the server, and no message says that the type 16385 is an enum. So, when the server is ready and outside a
transaction and the client has asked for nothing, the recorder asks (`inquiry`) and keeps the answers to
itself. Exchanges with something in them that is not known yet, and all behind them, wait for that, so that the
recording says it:

    exchange ──▶ all known ──▶ out
    exchange ──▶ something is not ──▶ held ──▶ at peace: asked ──▶ answered, or refused ──▶ out, in their order

Nothing is asked twice, by any connection of the service. What cannot wait goes out as it is.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from svcmock.protocol import Context, Exchange, Forward, Opaque, ProtocolError, Seen, Side, Sight
from svcmock_protocols.postgres import codec, inquiry
from svcmock_protocols.postgres.cells import read
from svcmock_protocols.postgres.facts import type_fact, types_of
from svcmock_protocols.postgres.messages import Raw, Result, Value
from svcmock_protocols.postgres.shared import State
from svcmock_protocols.postgres.sql import normalise
from svcmock_protocols.postgres.tap import MAX_MESSAGE, PostgresTap
from svcmock_protocols.postgres.types import Types

MAX_HELD: Final = 200
"""Exchanges that wait for an answer."""
MAX_ROWS: Final = 20_000
"""Rows in them."""
MAX_ASKED: Final = 20_000
"""Statements and types of a service that are asked for."""
_ENDS: Final = frozenset({"FATAL", "PANIC"})


class InquiringTap:
    """A `svcmock.protocol.Tap` around the one that records."""

    def __init__(self, tap: PostgresTap, context: Context) -> None:
        self._tap = tap
        self._state = context.state if isinstance(context.state, State) else State()
        self._state.school(types_of(context.schema))
        self._frames = codec.Frames(MAX_MESSAGE)
        self._asked: deque[tuple[str, tuple[int, ...]]] = deque()
        """What is being asked: statements with the types that are known, or "" for the catalog, with oids."""
        self._held: list[Exchange] = []
        self._rows = 0
        self._open = False
        """Whether something about those that are held has never been asked."""
        self._given_up = False

    # --- the contract ---

    def from_client(self, data: bytes, at: float) -> Sight:
        return self._passed(self._tap.from_client(data, at))

    def from_server(self, data: bytes, at: float) -> Sight:
        if not self._asked:
            return self._passed(self._tap.from_server(data, at))
        self._frames.add(data)
        out: list[Seen] = []
        try:
            while self._asked and (found := self._frames.next()) is not None:
                out += self._answer(*found, at)
        except ProtocolError:
            self._asked.clear()
            self._given_up = True
        if not self._asked:  # what is left is the client's
            out += self._passed(self._tap.from_server(self._frames.rest(), at))
        return out

    def eof(self, side: Side, at: float) -> Sight:
        if side is Side.SERVER:
            self._stop()
        out = self._passed(self._tap.eof(side, at))
        return out if self._asked else [*self._released(), *out]

    def unreachable(self, why: str, at: float) -> Sight:
        return self._passed(self._tap.unreachable(why, at))

    def gone(self) -> Sight:
        self._stop()
        return self._released()

    def informed(self, context: Context) -> Sight:
        return self._passed(self._tap.informed(context))

    # --- what is held ---

    def _passed(self, sight: Sight) -> Sight:
        """What the recorder has seen, with exchanges held where they must wait."""
        if not self._held and not any(isinstance(one, Exchange | Opaque) for one in sight):
            return sight
        out: list[Seen] = []
        for one in sight:
            if isinstance(one, Opaque):
                self._stop()
                out += self._released()
            if isinstance(one, Exchange):
                self._hold(one)
            else:
                out.append(one)
        return [*out, *self._settled()]

    def _hold(self, one: Exchange) -> None:
        self._held.append(one)
        self._rows += sum(len(result.rows) for result in one.reply.results)
        self._open = self._open or bool(_statement(one, self._state) or _types(one, self._state))

    def _settled(self) -> Sequence[Seen]:
        """What goes out now: questions, if this is the time, or all that waits no longer for an answer."""
        if self._asked:
            return ()
        if self._open and not self._given_up and self._tap.at_peace:
            questions = self._questions()
            if questions:
                return (Forward(questions, Side.SERVER),)
            self._open = False  # another connection has asked meanwhile
        if self._open and not self._given_up and len(self._held) <= MAX_HELD and self._rows <= MAX_ROWS:
            return ()
        return self._released()

    def _released(self) -> Sequence[Seen]:
        held, self._held, self._rows, self._open = self._held, [], 0, False
        return [_known(one, self._state) for one in held]

    def _stop(self) -> None:
        """Nothing more is asked on this connection."""
        self._asked.clear()
        self._frames.rest()
        self._given_up = True

    # --- what is asked ---

    def _questions(self) -> bytes:
        """What is not known of the exchanges that are held. Whatever is asked now is never asked again."""
        statements: dict[str, tuple[int, ...]] = {}
        oids: set[int] = set()
        for one in self._held:
            sql = _statement(one, self._state)
            if sql and len(statements) < inquiry.MAX_STATEMENTS:
                statements[sql] = one.request.types
            oids |= _types(one, self._state)
        types = tuple(sorted(oids)[: inquiry.MAX_TYPES])
        self._state.asked.update(statements, types)
        self._asked.extend(statements.items())
        sent = [inquiry.describing(sql, given) for sql, given in statements.items()]
        if types:
            self._asked.append(("", types))
            sent.append(inquiry.looking_up(types))
        return b"".join(sent)

    def _answer(self, kind: bytes, body: bytes, at: float) -> Sight:
        """A message of the server while it is asked. What it says unasked is the client's."""
        if kind in (b"A", b"S") or (kind == b"E" and _is_last(body)):
            return self._passed(self._tap.from_server(codec.frame(kind, body), at))
        sql, given = self._asked[0]
        if kind == b"t":
            told = codec.parameters_described(body)
            if len(told) >= len(given):
                self._state.types(normalise(sql), told)
        elif kind == b"D" and not sql:
            one = inquiry.told(body)
            if one is not None and self._state.declare(one):
                return (type_fact(one),)
        elif kind == b"Z":
            self._asked.popleft()
            if not self._asked:
                held, self._held, self._rows, self._open = self._held, [], 0, False
                for exchange in held:
                    self._hold(_known(exchange, self._state))
                return self._settled()
        return ()


def _is_last(body: bytes) -> bool:
    failure = codec.said_by(body)
    return (failure.get("V") or failure.get("S")) in _ENDS


# --- exchanges ---


def _statement(one: Exchange, state: State) -> str:
    """The statement, if it has parameters of which nobody has said a type, or been asked for one."""
    request = one.request
    untyped = request.op == "query" and 0 in request.types and len(state.asked) < MAX_ASKED
    return request.sql if untyped and request.sql not in state.asked else ""


def _types(one: Exchange, state: State) -> set[int]:
    """The types that the database made itself, are not known, and of which nobody has been asked yet."""
    if len(state.asked) >= MAX_ASKED:
        return set()
    columns = [column.oid for result in one.reply.results for column in result.columns or ()]
    oids = inquiry.own([*columns, *one.request.types, *(one.reply.types or ())])
    known = state.known.declared
    return {oid for oid in state.made_of(oids) if oid not in state.asked and oid not in known}


def _known(one: Exchange, state: State) -> Exchange:
    """The exchange with all that has become known."""
    request, reply = one.request, one.reply
    if request.op in ("query", "follows") and 0 in request.types:
        request = replace(request, types=state.types(normalise(request.sql), request.types))
    types = state.known
    if types.declared:
        pairs = zip(request.params, request.types, strict=False)
        params = tuple([_value(value, oid, types) for value, oid in pairs])
        request = replace(request, params=params + request.params[len(params) :])
        reply = replace(reply, results=tuple([_result(result, types) for result in reply.results]))
    return replace(one, request=request, reply=reply)


def _result(result: Result, types: Types) -> Result:
    oids = [column.oid for column in result.columns or ()]
    if not any(oid in types.declared for oid in oids):
        return result
    rows = [
        tuple([_value(value, oid, types) for value, oid in zip(row, oids, strict=True)]) for row in result.rows
    ]
    return replace(result, rows=tuple(rows))


def _value(value: Value, oid: int, types: Types) -> Value:
    if not isinstance(value, Raw) or oid not in types.declared:
        return value
    return read(value.data, oid, binary=value.binary, known=types)
