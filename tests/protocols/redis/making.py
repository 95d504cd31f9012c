"""What the tests of Redis share: contexts, an answering machine made of routes, commands as bytes."""

from collections.abc import Mapping

from svcmock.noise import Noise
from svcmock.protocol import Ask, Context, Out, Publish, Send, Session, Wake
from svcmock_protocols.redis import canonical
from svcmock_protocols.redis.codec import MAX_REPLY, ReplyReader
from svcmock_protocols.redis.commands import encode
from svcmock_protocols.redis.messages import Args, Error, Options, Reply, Request, Value
from svcmock_protocols.redis.shared import Shared


def token(secret: bytes) -> bytes:
    return secret if secret.startswith(b"svcmock-") else b"svcmock-" + b"x" * 24


def context(*ignore: str, **more) -> Context:
    options = Options(**more.pop("options", {}))
    return Context(options, Noise(ignore), token, state=more.pop("state", Shared()), **more)


def replies(*reads: bytes, most: int = MAX_REPLY) -> list[Value]:
    """What a server's bytes are, read as they come."""
    reader, found = ReplyReader(most), []
    for data in reads:
        reader.feed(data)
        while (value := reader.next()) is not None:
            found.append(value)
    return found


def words(line: str) -> Args:
    name, *rest = line.encode().split()
    return (name.upper(), *rest)


def asked(line: str, db: int = 0) -> Request:
    return Request(words(line), db)


def wire(*lines: str) -> bytes:
    """Commands as a client library sends them, each as one would type it."""
    return b"".join(encode(words(line)) for line in lines)


class Routes:
    """Answers by exact key, and notes what was asked for. Several answers take turns, the last one stays."""

    def __init__(self, answers: Mapping[str | Request, Value | Reply | list] = {}) -> None:
        self._answers = {}
        for request, value in answers.items():
            request = asked(request) if isinstance(request, str) else request
            values = value if isinstance(value, list) else [value]
            self._answers[canonical.key(request, context())] = [
                one if isinstance(one, Reply) else Reply(one) for one in values
            ]
        self.misses: list[Request] = []

    def __call__(self, ask: Ask) -> Reply | None:
        known = self._answers.get(canonical.key(ask.request, context()))
        if known is not None:
            return known.pop(0) if len(known) > 1 else known[0]
        if ask.optional:
            return None
        self.misses.append(ask.request)
        return Reply(Error(b"ERR svcmock: miss"))


def drive(session: Session, data: bytes, routes: Routes, *, wake: bool = True) -> list[Out]:
    """What a session does about these bytes, its Asks answered, its Wakes over and nobody else listening."""
    return follow(session, session.received(data), routes, wake=wake)


def follow(session: Session, outs, routes: Routes, *, wake: bool = True) -> list[Out]:
    done: list[Out] = []
    waiting = list(outs)
    while waiting:
        out = waiting.pop(0)
        done.append(out)
        if isinstance(out, Ask):
            waiting[:0] = session.answered(out, routes(out))
        elif isinstance(out, Wake) and wake:
            waiting.extend(session.woke(out.token))
        elif isinstance(out, Publish):
            waiting[:0] = session.heard(out, 0)
    return done


def sent(outs: list[Out]) -> bytes:
    return b"".join(out.data for out in outs if isinstance(out, Send))


def talk(session: Session, data: bytes, routes: Routes | None = None) -> bytes:
    """What the client gets."""
    return sent(drive(session, data, routes or Routes()))
