"""What becomes of a stream, from its request's head to the end of its reply: HTTP, and gRPC calls.

Decides when a request is asked for, what is refused and in which words, and when a client's deadline has
passed. Frames, and what may be sent of a reply, are the session's and the `Sender`'s. A gRPC call that is, or
may be, a conversation is asked for part by part (`grpc.call`).

    head ──▶ body ──▶ Ask ──▶ reply queued ──▶ sent, and the stream forgotten
     │        │       ▲ └─▶ a part answered: ask for the next
     └────────┴──▶ refused: a reply of our own, or a status of gRPC
"""

from typing import Final

from svcmock.protocol import Ask, Context, Out, Outs, Send, Wake
from svcmock_protocols.http.grpc import codes
from svcmock_protocols.http.grpc.answers import check, status_reply
from svcmock_protocols.http.grpc.call import Call
from svcmock_protocols.http.grpc.framing import GrpcError
from svcmock_protocols.http.grpc.services import BUILTIN, HEALTH, builtin
from svcmock_protocols.http.grpc.view import kind, max_message, status_of
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.heads import Opening, trailer_block
from svcmock_protocols.http.h2.hpack import Fields, encode
from svcmock_protocols.http.h2.numbers import Numbers
from svcmock_protocols.http.h2.replies import Prepared, prepare
from svcmock_protocols.http.h2.sender import GAP, Sender
from svcmock_protocols.http.h2.stream import Stream
from svcmock_protocols.http.messages import Options, Reply, Request
from svcmock_protocols.http.sending import refused

DEADLINE: Final = "deadline"
STALLED: Final = "stalled"
STALL: Final = 1.0
"""Seconds in which a client may say all, before what it said in the middle of a conversation is a miss."""
"""First part of the token of a Wake at a client's deadline; the second is the stream's number."""
_WHOLE: Final = frozenset(path for path in BUILTIN if path.startswith(f"/{HEALTH}/"))
"""Methods that take one message, whether or not there is a schema to say so."""
_CONTINUE: Final = encode([(b":status", b"100")])


class Answering:
    """Of one connection. `streams`: those that are open, by number."""

    __slots__ = ("_context", "_limit", "_numbers", "_options", "asks", "sender", "streams")

    def __init__(self, context: Context, options: Options, numbers: Numbers) -> None:
        self._context = context
        self._options = options
        self._limit = max_message(options)
        self._numbers = numbers
        self.sender = Sender(context.pace, self._done)
        self.streams: dict[int, Stream] = {}
        self.asks = False
        """Something is asked for in what is to be done now: what comes after it is not to overtake it."""

    # --- the request ---

    def opened(self, stream: Stream, known: Opening, outs: list[Out]) -> None:
        """A request's head that is more than a plain GET's."""
        request = known.head.request
        if request.method == b"CONNECT":
            why = "this is a stand-in for a service, not a proxy: CONNECT is not served"
            self.refuse(stream, 501, why, outs)
            return
        if known.head.expect not in (b"", b"100-continue"):
            self.refuse(stream, 417, "the only expectation met here is 100-continue", outs)
            return
        if known.head.expect and not stream.ended:
            outs.append(self.sender.headers(stream, _CONTINUE, ends=False))
        if known.grpc:
            stream.call = self._call(request)
        if stream.ended:
            self._complete(stream, outs)
        elif stream.call is not None:
            self._ask_part(stream, stream.call, outs)

    def _call(self, request: Request) -> Call | None:
        """None for a call that is no conversation: its method takes, or gives, one message."""
        path, schema = _path(request), self._context.schema
        method = None if schema is None else schema.methods.get(path)
        if path in _WHOLE or (method is not None and not method.client_streaming):
            return None
        own = _own(request)
        known = method is not None and method.server_streaming and not own
        return Call(request, self._context, self._limit, known=known, own=own)

    def body(self, stream: Stream, payload: bytes, outs: list[Out], *, ends: bool) -> None:
        """Some bytes of a request's body. Raises Malformed."""
        stream.ended = ends
        if stream.replied:
            return  # it was refused, and the refusal waits for the client's window
        stream.got += len(payload)
        stream.check_length()
        if stream.got > self._options.max_body:
            self.refuse(stream, 413, "the body is larger than this service takes", outs)
            return
        call = stream.call
        try:
            if call is not None:
                call.feed(payload)
            if call is None or call.keeps_body:
                stream.take(payload, self._options, self._context.token)
        except GrpcError as error:
            self._end_with(stream, error.code, error.why, outs)
            return
        if ends:
            self._complete(stream, outs)
        elif call is not None:
            self._ask_part(stream, call, outs)

    def trailers(self, stream: Stream, fields: Fields, outs: list[Out]) -> None:
        """The fields that end a request. Raises Malformed."""
        stream.ended = True
        if not stream.replied:
            stream.trailers = trailer_block(fields)
            self._complete(stream, outs)

    def _complete(self, stream: Stream, outs: list[Out]) -> None:
        """The client has said all on this stream. Raises Malformed."""
        stream.check_length()
        try:
            if stream.call is not None:
                stream.call.end()
                self._ask_part(stream, stream.call, outs)
            else:
                self._ask_whole(stream, outs)
        except GrpcError as error:
            self._end_with(stream, error.code, error.why, outs)

    def _ask_whole(self, stream: Stream, outs: list[Out]) -> None:
        """Raises GrpcError, and Malformed."""
        request = stream.request()
        if stream.opening.grpc:
            if isinstance(request.body, bytes):
                check(request, self._limit)
            elif stream.gauge is not None:
                stream.gauge.end()
        self.ask(stream, Ask(stream.id, request, len(request.block) + stream.got, _own(request)), outs)

    def _ask_part(self, stream: Stream, call: Call, outs: list[Out]) -> None:
        """Raises GrpcError where all is asked for, and is not in order."""
        if stream.asked or stream.replied:
            return
        asked = call.ask()
        if asked is None:
            return
        request, optional = asked
        if request is None:
            self._ask_whole(stream, outs)
            return
        assert isinstance(request.body, bytes)
        self.ask(stream, Ask(stream.id, request, len(request.block) + len(request.body), optional), outs)

    def ask(self, stream: Stream, ask: Ask, outs: list[Out]) -> None:
        stream.asked = self.asks = True
        outs.append(ask)

    # --- the reply ---

    def answered(self, stream: Stream, ask: Ask, reply: Reply | None, outs: list[Out]) -> None:
        """The reply to what was asked; None for a call, or a part of one, that no route answers."""
        stream.asked = False
        if stream.call is not None and ask.optional and reply is not None and not _converses(reply):
            reply = None
        if reply is None:
            reply = builtin(ask.request, self._context)
        if reply is None and not ask.request.said:
            reply = status_reply(codes.UNIMPLEMENTED, "no route answers this call")
        if stream.call is not None:
            self._part_answered(stream, stream.call, ask.request, reply, outs)
        elif reply is not None:
            self.reply(stream, prepare(reply, stream.opening), outs)

    def reply(self, stream: Stream, made: Prepared, outs: list[Out]) -> None:
        """The reply to all that the client said on a stream."""
        self.sender.queue(stream, made, ends=not made.reply.more)
        self._pump(stream, outs)

    def _part_answered(
        self, stream: Stream, call: Call, asked: Request, reply: Reply | None, outs: list[Out]
    ) -> None:
        call.answered(asked, reply)
        if reply is not None:
            last = asked.said == b"" or asked.said.startswith(b"end")
            ends = not reply.more if last else not _goes_on(reply)
            made = prepare(reply, stream.opening)
            recorded = _converses(reply) or not asked.said
            self.sender.queue(stream, made, ends=ends, told=call.told if recorded else 0)
            if recorded and isinstance(made.reply.body, bytes):
                upto = made.reply.upto
                call.told = max(call.told, len(made.reply.body) if upto < 0 else upto)
        elif call.over:
            self.sender.queue(stream, prepare(status_reply(codes.OK, ""), stream.opening))
        # sent before the next part is asked for, whose answer may come at once
        self._pump(stream, outs)
        if stream.id not in self.streams:
            return
        try:
            self._ask_part(stream, call, outs)
        except GrpcError as error:
            self._end_with(stream, error.code, error.why, outs)
        if stream.id in self.streams and not stream.asked:
            outs += self._watch(stream)
            if call.stalled is asked and not stream.ended:
                outs.append(Wake(STALL, (STALLED, stream.id)))

    def waiting(self, stream: Stream, after: float) -> Outs:
        """An answer is delayed."""
        timeout = stream.opening.timeout
        if timeout is None or stream.timed:
            return ()
        if timeout <= stream.waited + after:
            return self._watch(stream)
        stream.waited += after
        return ()

    def _watch(self, stream: Stream) -> Outs:
        """End the call at its deadline, from now on."""
        timeout = stream.opening.timeout
        if timeout is None or stream.timed:
            return ()
        stream.timed = True
        return (Wake(timeout - stream.waited, (DEADLINE, stream.id)),)

    def woke(self, what: str, stream: Stream, outs: list[Out]) -> None:
        """A gap in a reply is over, or the client's deadline passed."""
        if what == GAP:
            stream.paused = False
            self._pump(stream, outs)
        elif what == STALLED:
            self._insist(stream, outs)
        elif what == DEADLINE:
            why = "the deadline passed before the reply was complete"
            self._end_with(stream, codes.DEADLINE_EXCEEDED, why, outs)

    def _insist(self, stream: Stream, outs: list[Out]) -> None:
        """The client waits for an answer to what no recording has: it is to learn that there is none."""
        request = None if stream.call is None or stream.ended or stream.asked else stream.call.stalled
        if request is not None and isinstance(request.body, bytes):
            self.ask(stream, Ask(stream.id, request, len(request.block) + len(request.body)), outs)

    def _pump(self, stream: Stream, outs: list[Out]) -> None:
        """Send what may be sent now of a reply that was just queued, or whose gap is over."""
        self.sender.pump(stream, outs)
        if stream.paused:
            outs += self._watch(stream)

    def _done(self, stream: Stream, outs: list[Out]) -> None:
        """All of the reply was sent."""
        if not stream.ended:
            self._numbers.reset(stream.id)
            outs.append(Send(frames.rst_stream(stream.id, frames.NO_ERROR)))
        self.forget(stream)

    def forget(self, stream: Stream) -> None:
        self.streams.pop(stream.id, None)
        self.sender.forget(stream)

    # --- replies of our own ---

    def refuse(self, stream: Stream, status: int, why: str, outs: list[Out]) -> None:
        """Answer a request that cannot be served; its stream ends."""
        if stream.opening.grpc:
            code = codes.RESOURCE_EXHAUSTED if status == 413 else codes.from_http(status)
            self._end_with(stream, code, why, outs)
        else:
            self._say(stream, refused(status, why), outs)

    def _end_with(self, stream: Stream, code: int, why: str, outs: list[Out]) -> None:
        """End a gRPC call with a status of our own, whatever was still to be sent."""
        self.sender.forget(stream)
        stream.paused = False
        self._say(stream, status_reply(code, why), outs)

    def _say(self, stream: Stream, reply: Reply, outs: list[Out]) -> None:
        stream.asked = False
        stream.give_up_body()
        self.sender.queue(stream, prepare(reply, stream.opening))
        self._pump(stream, outs)


def _path(request: Request) -> str:
    return request.target.decode("latin-1")


def _own(request: Request) -> bool:
    """Whether a call is answered here where no route does."""
    if _path(request) not in BUILTIN:
        return False
    said = kind(request.block)
    return said is not None and not said.web and not said.codec


def _converses(reply: Reply) -> bool:
    """Whether a reply is part of a conversation; any other answers messages, not a beginning or an end."""
    return reply.more or reply.ends_on >= 0


def _goes_on(reply: Reply) -> bool:
    """Whether a call goes on after this answer to a part of it."""
    return reply.more or (not _converses(reply) and status_of(reply) in (None, codes.OK))
