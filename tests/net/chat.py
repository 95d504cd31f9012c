"""A protocol of lines, for what HTTP has not: TLS that starts later, and sessions that know of each other.

A client says `tls`, `date`, `beat`, `join TOPIC`, `leave TOPIC`, `say TOPIC TEXT`, or anything else, which is
echoed.
What more it is, is HTTP's.
"""

from collections.abc import Hashable
from typing import Any

from svcmock.engine import Responder
from svcmock.protocol import (
    Close,
    Context,
    Date,
    Fact,
    Forward,
    Out,
    Outs,
    Publish,
    Seen,
    Send,
    Side,
    Sight,
    StartTLS,
    Subscribe,
    Unsubscribe,
    Upstream,
    Wake,
)
from svcmock_protocols.http import plugin

Http: Any = type(plugin)


class ChatSession:
    at_rest: Hashable | None = None
    held = 0

    def __init__(self, context: Context) -> None:
        self.room: list[str] = context.state
        self.rest = b""

    @property
    def idle(self) -> bool:
        return not self.rest

    def opened(self) -> Outs:
        self.room.append("came")
        return (Send(b"hello\n"),)

    def received(self, data: bytes) -> Outs:
        self.rest += data
        *lines, self.rest = self.rest.split(b"\n")
        return [out for line in lines for out in self.line(*line.split(b" ", 2))]

    def line(self, word: bytes, topic: bytes = b"", text: bytes = b"") -> list[Out]:
        match word:
            case b"tls":
                return [Send(b"go on\n"), StartTLS()]
            case b"date":
                return [Send(b"it is\n"), Date(1), Send(b"indeed\n")]
            case b"beat":
                return [Send(b"beat\n"), Wake(0.001, 1)]
            case b"join":
                return [Subscribe(topic), Send(b"joined\n")]
            case b"leave":
                return [Unsubscribe(topic), Send(b"left\n")]
            case b"say":
                return [Publish(topic, text)]
        return [Send(b"%b?\n" % word)]

    def woke(self, token: Hashable) -> Outs:
        return self.line(b"beat")

    def timed_out(self) -> Outs:
        return (Send(b"too late\n"), Close())

    def dated(self, token: Hashable, now: float) -> Outs:
        return (Send(b"%d: %d\n" % (token, now)),)

    def published(self, topic: Hashable, message: Any) -> Outs:
        return (Send(b"%b: %b\n" % (topic, message)),)

    def heard(self, publish: Publish, times: int) -> Outs:
        return (Send(b"%d heard\n" % times),)

    def closed(self) -> None:
        self.room.append("gone")

    def eof(self) -> Outs:
        return ()

    draining = eof


class ChatTap:
    """Passes on; keeps what the server greets with, and follows both sides into TLS."""

    def from_client(self, data: bytes, at: float) -> Sight:
        return [Forward(data, Side.SERVER)]

    def from_server(self, data: bytes, at: float) -> Sight:
        seen: list[Seen] = [Forward(data, Side.CLIENT)]
        if data == b"hello\n":
            seen.append(Fact("greeting", data.decode()))
        if data == b"go on\n":
            seen += [StartTLS(Side.SERVER), StartTLS(Side.CLIENT)]
        return seen

    def eof(self, side: Side, at: float) -> Sight:
        return ()

    def unreachable(self, why: str, at: float) -> Sight:
        return [Forward(b"no: " + why.encode() + b"\n", Side.CLIENT)]


class ChatPlugin(Http):  # type: ignore[misc]
    alpn = ()
    server_first = True

    def session(self, context: Context) -> Any:
        return ChatSession(context)

    def tap(self, context: Context, upstream: Upstream) -> Any:
        return ChatTap()

    def state(self, options: Any) -> list[str]:
        return []


CHAT: Any = ChatPlugin()


def chatting(responder: Responder) -> Responder:
    """The same service, in this protocol."""
    responder.plugin = CHAT
    return responder
