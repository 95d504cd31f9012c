"""A message is whole when its protocol says so, however long it takes: no silence ends it.

Each byte comes an hour after the one before. What is recorded is what is recorded when all comes at once, but
for the times in it; and no session that is served asks to be woken, as it would to end something by the clock.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import h2.config
import h2.connection
import h2.events
import msgspec
import pytest

from svcmock.noise import Noise
from svcmock.protocol import Context, Exchange, Lost, Opaque, Plugin, Send, Side, Upstream, Wake
from svcmock_protocols.http import plugin as http
from svcmock_protocols.postgres import plugin as postgres
from svcmock_protocols.redis import plugin as redis
from svcmock_protocols.tcp import plugin as tcp
from tests.protocols.conformance import serve, watch
from tests.protocols.postgres import wire
from tests.protocols.redis.making import wire as commands

HOUR = 3600.0
MESSAGE = b"\0\0\0\0\2\x08\1"
HEADS = h2.events.ResponseReceived | h2.events.TrailersReceived
Conversation = Sequence[tuple[Side, bytes]]


def context(plugin: Plugin, options: dict[str, Any]) -> Context:
    def token(secret: bytes) -> bytes:
        return b"svcmock-" + sha256(secret).hexdigest()[:24].encode()

    made = Context(msgspec.convert(options, plugin.Options), Noise(plugin.noise), token)
    state = getattr(plugin, "state", None)
    return made if state is None else msgspec.structs.replace(made, state=state(made.options))


def asking(kind: str) -> h2.connection.H2Connection:
    """A client of HTTP/2 that has asked for something."""
    client = h2.connection.H2Connection()
    client.initiate_connection()
    head = [(":method", "POST"), (":scheme", "http"), (":path", "/a.B/C"), (":authority", "h")]
    client.send_headers(1, [*head, ("content-type", kind)])
    client.send_data(1, MESSAGE, end_stream=True)
    return client


def heard(sent: bytes) -> list[Any]:
    """What it is told by this: where frames are cut depends on when their bytes came."""
    events = asking("any").receive_data(sent)
    body = b"".join(one.data for one in events if isinstance(one, h2.events.DataReceived))
    return [
        body,
        *[one.headers for one in events if isinstance(one, HEADS)],
        h2.events.StreamEnded in map(type, events),
    ]


def over_http_2(kind: str) -> Conversation:
    """A request and its reply as the h2 library has them; the reply with trailers."""
    asked = asking(kind).data_to_send()
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    server.receive_data(asked)
    server.send_headers(1, [(":status", "200"), ("content-type", kind)])
    for at in range(len(MESSAGE)):
        server.send_data(1, MESSAGE[at : at + 1])
    server.send_headers(1, [("grpc-status", "0")], end_stream=True)
    return [(Side.CLIENT, asked), (Side.SERVER, server.data_to_send())]


C, S = Side.CLIENT, Side.SERVER
CASES: dict[str, tuple[Plugin, dict[str, Any], Conversation]] = {
    "http chunked": (
        http,
        {},
        [
            (C, b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
            (S, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"),
        ],
    ),
    "http sized": (
        http,
        {},
        [
            (C, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
            (S, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabcdefg"),
        ],
    ),
    "http/2": (http, {}, over_http_2("text/plain")),
    "grpc": (http, {}, over_http_2("application/grpc")),
    "redis": (
        redis,
        {},
        [(C, commands("GET a", "LRANGE l 0 -1")), (S, b"$5\r\nhello\r\n*2\r\n$1\r\na\r\n*1\r\n:1\r\n")],
    ),
    "postgres": (
        postgres,
        {},
        [
            (C, wire.startup()),
            (S, wire.HELLO),
            (C, wire.query("SELECT a FROM t")),
            (S, wire.columns(("a", 25)) + wire.row(b"one") + wire.row(b"two") + wire.complete("SELECT 2")),
            (S, wire.ready()),
        ],
    ),
    "tcp": (
        tcp,
        {"framing": {"length": {"width": 4}}},
        [(C, b"\0\0\0\5hello"), (S, b"\0\0\0\x09and so on")],
    ),
}


def recorded(plugin: Plugin, options: dict[str, Any], conversation: Conversation, pause: float) -> list[Any]:
    """The requests' keys, and what a client that asks all at once is sent for each reply, without pauses."""
    of = context(plugin, options)
    reads = [(side, bytes([byte])) for side, data in conversation for byte in data] if pause else conversation
    seen = watch(plugin.tap(of, Upstream(f"{plugin.name}://up", "up")), reads, pause)
    assert not [one for one in seen if isinstance(one, Lost | Opaque)]
    quick = msgspec.structs.replace(of, pace=0.0)
    asked = b"".join(data for side, data in conversation if side is C)
    found = []
    for one in seen:
        if isinstance(one, Exchange):
            outs = serve(plugin.session(quick), [asked], lambda _, reply=one.reply: reply)  # type: ignore[misc]
            sent = b"".join(out.data for out in outs if isinstance(out, Send))
            found.append((plugin.key(one.request, of), heard(sent) if asked.startswith(b"PRI") else sent))
    return found


@pytest.mark.parametrize("name", CASES)
def test_hours_between_bytes_change_nothing_in_a_recording(name: str) -> None:
    plugin, options, conversation = CASES[name]
    at_once = recorded(plugin, options, conversation, 0.0)
    assert at_once
    assert recorded(plugin, options, conversation, HOUR) == at_once


@pytest.mark.parametrize("name", CASES)
def test_no_session_ends_a_message_by_the_clock(name: str) -> None:
    plugin, options, conversation = CASES[name]
    session = plugin.session(context(plugin, options))
    outs = list(session.opened())
    for side, data in conversation:
        for at in range(len(data)):
            if side is C:
                outs += session.received(data[at : at + 1])
    assert not [one for one in outs if isinstance(one, Wake)]
