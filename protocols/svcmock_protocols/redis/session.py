"""Serves one client of Redis, in RESP2 or RESP3. Sans I/O.

One command at a time, as a server does it: what the client goes on sending waits unread until the reply has
been sent. So pipelined commands are answered in order, and SELECT, MULTI and HELLO count from the next command
on.

    reading ──▶ answered here (HELLO, SELECT, SUBSCRIBE ...)           ──▶ reading
       │  └───▶ Ask, optional where the mock has an answer of its own  ──▶ answered ──▶ reading
       │  └───▶ the model's plan: looks (optional Asks) and pauses     ──▶ its answer ──▶ reading
       └──────▶ a protocol error, Close

Between MULTI and EXEC commands are only queued; EXEC asks for all of them at once.
"""

import re
from collections.abc import Hashable
from typing import Any, Final

from svcmock.protocol import Ask, Close, Context, Out, Outs, Publish, Send, Wake
from svcmock_protocols.redis import catalogue, local, pubsub
from svcmock_protocols.redis.blocking import BLOCKING, patience
from svcmock_protocols.redis.cluster import Topology
from svcmock_protocols.redis.codec import encode
from svcmock_protocols.redis.commands import CommandReader, Malformed
from svcmock_protocols.redis.facts import Facts
from svcmock_protocols.redis.local import Client
from svcmock_protocols.redis.messages import (
    MODEL_DATABASES,
    OK,
    QUEUE_MAX,
    QUEUED,
    Args,
    Array,
    Error,
    Nil,
    Reply,
    Request,
    Simple,
    Value,
    options_of,
)
from svcmock_protocols.redis.owed import Owed, Planned, Telling, Waiting, comes_soon
from svcmock_protocols.redis.shapes import SHAPED, fit, fit_all
from svcmock_protocols.redis.shared import Shared
from svcmock_protocols.redis.tracking import Told, Tracking

_ID: Final = 1
"""The id of every Ask for a command: there is one at a time, and equal sessions must do equal things."""
_PLAN: Final = "plan"
DATABASES: Final = 1 << 31
"""That may be selected, as requests only name them. A model has fewer, as it has them all."""
NAME_MAX: Final = 256
"""Bytes of the name of a client of which answers are remembered."""

_NUMBER = re.compile(rb"-?\d{1,10}")
_UNSERVED: Final = frozenset(b"MONITOR SYNC PSYNC".split())
_HTTP: Final = frozenset({b"POST", b"HOST:"})
_OWN: Final = frozenset(
    {
        *pubsub.SUBSCRIBING,
        *pubsub.UNSUBSCRIBING,
        *b"MULTI EXEC DISCARD SELECT AUTH QUIT RESET".split(),
        *_UNSERVED,
        *_HTTP,
    }
)
"""Commands that no route answers."""

_UNQUEUEABLE: Final = frozenset({*pubsub.SUBSCRIBING, *pubsub.UNSUBSCRIBING, *_UNSERVED})
_UNQUEUED: Final = frozenset(b"EXEC DISCARD RESET QUIT MULTI".split())
"""Commands that count at once between MULTI and EXEC."""
_SUBSCRIBED: Final = (
    b"ERR Can't execute '%b': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed "
    b"in this context"
)
_EXECABORT: Final = Error(b"EXECABORT Transaction discarded because of previous errors.")


class RedisSession:
    """A `svcmock.protocol.Session`, with `svcmock.capabilities.Hearing` and `Ending`."""

    def __init__(self, context: Context) -> None:
        options = options_of(context.options)
        self._shared = context.state if isinstance(context.state, Shared) else Shared()
        self._reader = CommandReader(options.max_command)
        facts = context.schema if isinstance(context.schema, Facts) else Facts()
        self._client = Client(self._shared.client(), facts)
        self._subscriptions = pubsub.Subscriptions(self._shared, context.pace)
        self._pace = context.pace
        self._topology = Topology(options.announce, options.nodes)
        self._model = self._modelled() if options.model else None
        tracks = facts.tracking or options.model
        self._tracking = Tracking(self._shared, self._client.number) if tracks else None
        self._queue: list[Args] | None = None
        """The commands of a transaction, between MULTI and EXEC,"""
        self._queue_size = 0
        """and their bytes."""
        self._max_command = options.max_command
        self._aborted = False
        self._owed: Owed = None
        """What there is no answer to yet."""
        self._draining = False
        self._ended = False
        self._over = False

    # --- the contract ---

    @property
    def at_rest(self) -> Hashable | None:
        client = self._client
        if self._owed is not None or self._queue is not None or not self._reader.empty:
            return None
        if client.quiet or client.skip or self._subscriptions.count or self._tracking is not None:
            return None
        gone = self._over or self._draining or self._ended
        return None if gone or len(client.name) > NAME_MAX else (client.version, client.db, client.name)

    @property
    def idle(self) -> bool:
        return self._owed is None and self._reader.empty

    @property
    def held(self) -> int:
        return self._reader.waiting if self._owed is not None else 0

    def opened(self) -> Outs:
        return ()

    def waiting(self, ask: Ask, after: float) -> Outs:  # noqa: ARG002  a client of Redis has no deadline
        return ()

    def received(self, data: bytes) -> Outs:
        if self._over:
            return ()
        self._reader.feed(data)
        return self._read([]) if self._owed is None else ()

    def answered(self, ask: Ask, reply: Reply | None) -> Outs:
        if self._over:
            return ()
        if ask.id != _ID:
            return self._subscriptions.answered(ask, reply)
        owed = self._owed
        if isinstance(owed, Request):
            self._owed = None
            return self._read(self._settle(owed, reply))
        return self._read(self._go_on(owed, reply)) if isinstance(owed, Planned) else ()

    def woke(self, token: Hashable) -> Outs:
        if self._over:
            return ()
        if token != _PLAN:
            return self._subscriptions.woke(token)
        owed = self._owed
        if isinstance(owed, Waiting):
            self._owed = None
            return self._read(self._finish(owed.args, owed.value))
        return self._read(self._go_on(owed, None)) if isinstance(owed, Planned) else ()

    def published(self, topic: Hashable, message: Any) -> Outs:
        if self._over:
            return ()
        if self._tracking is not None and isinstance(message, Told):
            return self._tracking.published(message, self._client.version)
        return self._subscriptions.published(topic, message)

    def heard(self, publish: Publish, times: int) -> Outs:  # noqa: ARG002  all tellings of a PUBLISH count alike
        """All are told: how many they are is the answer, where none was recorded."""
        owed = self._owed
        if not isinstance(owed, Telling):
            return ()
        owed.left, owed.told = owed.left - 1, owed.told + times
        if owed.left:
            return ()
        self._owed = None
        return self._read(self._say(owed.told))

    def closed(self) -> None:
        """The connection is gone."""
        self._leave_all()
        if self._model is not None:
            self._model.close()

    def timed_out(self) -> Outs:
        return () if self._owed is not None or self._over else self._close()

    def draining(self) -> Outs:
        self._draining = True
        return () if comes_soon(self._owed) or self._over or not self._reader.empty else self._close()

    def eof(self) -> Outs:
        self._ended = True
        return () if comes_soon(self._owed) or self._over else self._close()

    # --- reading ---

    def _read(self, outs: list[Out]) -> list[Out]:
        """Deal with what is here, up to the next command that has to be asked for."""
        while not self._over:
            if self._owed is not None:
                return outs
            try:
                args = self._reader.next()
            except Malformed as error:
                outs.append(Send(b"-ERR Protocol error: %b\r\n" % str(error).encode()))
                return [*outs, *self._close()]
            if args is None:
                break
            outs += self._command(args)
        if not self._over and (self._ended or (self._draining and self._reader.empty)):
            outs += self._close()
        return outs

    def _command(self, args: Args) -> list[Out]:
        client, name = self._client, args[0]
        if self._subscriptions.count and client.version == 2 and name not in pubsub.ALLOWED:
            return self._say(Error(_SUBSCRIBED % local.shown(name.lower())))
        if self._queue is not None and name not in _UNQUEUED:
            return self._enqueue(args, self._queue)
        if name in _OWN:
            return self._own(args)
        if name == b"CLIENT" and catalogue.name_of(args) == b"CLIENT REPLY":
            return self._reply_mode(args)
        if name == b"CLUSTER":
            known = self._topology.answer(args)
            if known is not None:
                return self._say(known)
        if self._model is not None and self._model.answers(args):
            return self._begin(self._model.command(args, client.db), Request(args, client.db))
        optional = name in local.LOCAL or pubsub.is_publishing(args)
        if (client.quiet or client.skip) and not optional:
            return self._say(OK)  # nobody sees it
        return self._ask(Request(args, client.db), optional=optional)

    def _ask(self, request: Request, *, optional: bool = False) -> list[Out]:
        self._owed = request
        return [Ask(_ID, request, self._reader.size, optional=optional)]

    def _settle(self, asked: Request, reply: Reply | None) -> list[Out]:
        """What was asked for is answered, or is not to be had."""
        if asked.kind == "queued":
            return self._queued(asked.args, reply)
        args = asked.args
        if asked.kind == "command" and pubsub.is_publishing(args):
            return self._publish(args, reply)
        if reply is None:
            return self._by_itself(args)
        if asked.kind == "transaction":
            return self._executed(asked.commands, reply)
        if args[0] == b"HELLO" and not isinstance(reply.value, Error):
            # a route may say what the server is; the version counts all the same
            local.hello(args, self._client)
            self._subscriptions.version = self._client.version
        if reply.wire and args[0] not in SHAPED and not self._topology.given and self._tracking is None:
            return [] if self._mute() else [Send(reply.wire)]
        if args[0] in BLOCKING and isinstance(reply.value, Nil):
            wait = patience(args)
            if isinstance(wait, float) and wait * self._pace > 0:
                self._owed = Waiting(args, reply.value)
                return [Wake(wait * self._pace, _PLAN)]
        return self._finish(args, self._topology.led(args, reply.value))

    def _finish(self, args: Args, value: Value) -> list[Out]:
        """This answers a command."""
        outs = self._say(fit(value, args, self._client.version))
        return outs if self._tracking is None else [*outs, *self._tracking.after(args, value)]

    def _by_itself(self, args: Args) -> list[Out]:
        """No route answers what the mock can answer."""
        if args[0] == b"PING" and self._subscriptions.count and self._client.version == 2:
            return self._say(Array((b"pong", args[1] if len(args) > 1 else b"")))
        told = None if self._tracking is None else self._tracking.command(args)
        if told is not None:
            return [*self._say(told[0]), *told[1]]
        value = local.answer(args, self._client)
        self._subscriptions.version = self._client.version
        if value is not None:
            return self._say(value)
        return self._ask(Request(args, self._client.db))

    def _say(self, value: Value) -> list[Out]:
        if self._mute():
            return []
        value = self._topology.redirected(value)
        return [Send(encode(value, self._client.version))]

    def _mute(self) -> bool:
        """Whether the client wants no reply to this one."""
        client = self._client
        skip, client.skip = client.skip, False
        return skip or client.quiet

    # --- what no route answers ---

    def _own(self, args: Args) -> list[Out]:
        name = args[0]
        if catalogue.is_miscounted(args):
            return self._say(local.wrong_arguments(args))
        if name in pubsub.SUBSCRIBING or name in pubsub.UNSUBSCRIBING:
            return self._subscribe(args)
        match name:
            case b"MULTI" | b"EXEC" | b"DISCARD":
                return self._transact(name)
            case b"SELECT":
                return self._say(self._select(args))
            case b"AUTH":
                return self._say(local.auth(args))
            case b"QUIT":
                return [*self._say(OK), *self._close()]
            case b"RESET":
                return self._reset()
        if name in _HTTP:
            return self._close()  # a web page that tries to talk to a server of Redis
        return self._say(Error(b"ERR svcmock: %b is not served" % name))

    def _subscribe(self, args: Args) -> list[Out]:
        if args[0] in pubsub.UNSUBSCRIBING:
            return self._subscriptions.unsubscribe(args)
        if self._subscriptions.are_too_many_with(args[1:]):
            line = b"ERR svcmock: more than %d subscriptions, or %d bytes of names"
            return self._say(Error(line % (pubsub.SUBSCRIPTIONS_MAX, pubsub.NAMES_MAX)))
        return self._subscriptions.subscribe(args)

    def _select(self, args: Args) -> Value:
        if len(args) != 2:  # in a transaction
            return local.wrong_arguments(args)
        if _NUMBER.fullmatch(args[1]) is None:
            return Error(b"ERR value is not an integer or out of range")
        if not 0 <= int(args[1]) < (DATABASES if self._model is None else MODEL_DATABASES):
            return Error(b"ERR DB index is out of range")
        self._client.db = int(args[1])
        return OK

    def _reset(self) -> list[Out]:
        """Everything is as it was when the client connected."""
        outs = self._leave_all()
        client = self._client
        client.version, client.db, client.name = 2, 0, b""
        client.quiet = client.skip = False
        self._subscriptions.version = 2
        self._queue, self._aborted = None, False
        return [*outs, Send(encode(Simple(b"RESET"), 2))]

    def _reply_mode(self, args: Args) -> list[Out]:
        value = local.answer(args, self._client)
        if isinstance(value, Error) or not (self._client.quiet or self._client.skip):
            return self._say(OK if value is None else value)
        return []

    # --- transactions ---

    def _transact(self, name: bytes) -> list[Out]:
        queue = self._queue
        if name == b"MULTI":
            if queue is not None:
                return self._say(Error(b"ERR MULTI calls can not be nested"))
            self._queue, self._queue_size, self._aborted = [], 0, False
            return self._say(OK)
        if queue is None:
            return self._say(Error(b"ERR %b without MULTI" % name))
        aborted, self._queue = self._aborted, None
        if name == b"DISCARD":
            return self._say(OK)
        if aborted:
            return self._say(_EXECABORT)
        commands, db = tuple(queue), self._client.db
        request = Request((), db, "transaction", commands)
        if self._model is not None:
            return self._begin(self._model.transaction(commands, db), request)
        return self._ask(request)

    def _enqueue(self, args: Args, queue: list[Args]) -> list[Out]:
        if args[0] == b"WATCH":
            return self._say(Error(b"ERR WATCH inside MULTI is not allowed"))
        if args[0] in _UNQUEUEABLE:
            self._aborted = True
            return self._say(Error(b"ERR svcmock: %b is not served in a transaction" % args[0]))
        self._queue_size += self._reader.size
        if len(queue) >= QUEUE_MAX or self._queue_size > self._max_command:
            self._aborted = True
            line = b"ERR svcmock: more than %d commands, or %d bytes, in a transaction"
            return self._say(Error(line % (QUEUE_MAX, self._max_command)))
        if catalogue.is_doubtful(args):
            return self._ask(Request(args, self._client.db, "queued"), optional=True)
        queue.append(args)
        return self._say(QUEUED)

    def _queued(self, args: Args, reply: Reply | None) -> list[Out]:
        """A command that a server may have refused to queue."""
        if reply is not None or args[0] in catalogue.ARITY:
            self._aborted = True
            return self._say(local.wrong_arguments(args) if reply is None else reply.value)
        if self._queue is not None:
            self._queue.append(args)
        return self._say(QUEUED)

    def _executed(self, commands: tuple[Args, ...], reply: Reply) -> list[Out]:
        value = reply.value
        said = self._say(fit_all(value, commands, self._client.version))
        outs: list[Out] = []
        for args in commands if isinstance(value, Array) else ():
            if args[0] == b"SELECT":
                self._select(args)
            elif pubsub.is_publishing(args):
                outs += pubsub.publishes(args, self._shared)
        if self._tracking is not None and isinstance(value, Array):
            for args, one in zip(commands, value.items, strict=False):
                said += self._tracking.after(args, one)
        return [*outs, *said]

    # --- publishing ---

    def _publish(self, args: Args, reply: Reply | None) -> list[Out]:
        outs = pubsub.publishes(args, self._shared)
        if reply is not None:
            return [*outs, *self._say(reply.value)]
        self._owed = Telling(len(outs))
        return list(outs)

    # --- the model ---

    def _modelled(self) -> Any:
        """Imported where it is needed: it brings a whole server along."""
        from svcmock_protocols.redis.model import Store
        from svcmock_protocols.redis.modelled import Modelled

        if self._shared.model is None:
            self._shared.model = Store()
        return Modelled(self._shared.model)

    def _begin(self, plan: Any, request: Request) -> list[Out]:
        self._owed = planned = Planned(request, plan)
        return self._go_on(planned, None)

    def _go_on(self, planned: Planned, reply: Reply | None) -> list[Out]:
        """Let the model go on, up to what it must know or wait for next."""
        from svcmock_protocols.redis.modelled import Look

        try:
            step = planned.plan.send(reply)
        except StopIteration as done:
            self._owed = None
            return self._modelled_answer(planned.request, done.value)
        planned.paused = not isinstance(step, Look)
        if isinstance(step, Look):
            return [Ask(_ID, step.request, 0, optional=True)]
        return [Wake(step.seconds, _PLAN)]

    def _modelled_answer(self, request: Request, value: Value | None) -> list[Out]:
        if value is None:
            return self._ask(request)
        if request.kind == "transaction":
            return self._executed(request.commands, Reply(value))
        return self._finish(request.args, value)

    def _close(self) -> list[Out]:
        self._over = True
        self._reader.clear()
        self._owed = self._queue = None
        return [*self._leave_all(), Close("flush")]

    def _leave_all(self) -> list[Out]:
        """Hear of nothing any more."""
        tracked = [] if self._tracking is None else self._tracking.leave()
        return [*self._subscriptions.leave_all(), *tracked]
