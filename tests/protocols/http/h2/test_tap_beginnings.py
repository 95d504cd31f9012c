"""How a recorded connection comes to be one of HTTP/2, and what its client is told without an upstream."""

import base64

import h2.events
import h2.settings
import pytest

from svcmock.protocol import Began, Lost, Opaque, Seen, Shut
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.messages import Reply, Request
from tests.protocols.http.h2.taps import (
    CALL,
    GET,
    HELLO,
    OK,
    ONE,
    WELCOME,
    C,
    Heard,
    Pairs,
    Relayed,
    S,
    Speaker,
    connection,
    data,
    exchange,
    exchanges,
    lost,
    make,
    met,
    others,
    passed,
    play,
    unsettled,
)

SECRET = b"hunter2-hunter2"


def asked_and_told(asked: Pairs = GET, told: Pairs = OK, tap: Relayed | None = None) -> list[Seen]:
    tap, client, server = met(tap)
    return play(tap, (C, client.head(1, asked, ends=True)), (S, server.head(1, told, ends=True)))


# --- how HTTP/2 begins --------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(1, len(HELLO)))
def test_prior_knowledge_however_it_is_cut(at: int) -> None:
    tap = make()
    seen = play(tap, (C, HELLO[:at]), (C, HELLO[at:]), (S, WELCOME))
    client, server = Speaker(), Speaker()
    seen += play(tap, (C, client.head(1, GET, ends=True)), (S, server.head(1, OK, ends=True)))
    assert passed(seen, S).startswith(frames.PREFACE + frames.settings({2: 0}))
    assert exchange(seen).request.target == b"/a"
    assert not [one for one in seen if isinstance(one, Opaque)]


H2C = (
    b"GET /a HTTP/1.1\r\nHost: me:8081\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: %b\r\nAccept: */*\r\n\r\n"
)
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


def h2c(values: dict[int, int]) -> bytes:
    payload = frames.pack_settings(values.items())
    return H2C % base64.urlsafe_b64encode(payload).rstrip(b"=")


@pytest.mark.parametrize("cut", [0, 1, 5])
def test_an_upgrade_to_http_2(cut: int) -> None:
    tap, server, client = make(), Speaker(), Speaker()
    answer = WELCOME + server.head(1, OK) + data(1, b"hi", ends=True)
    seen = play(tap, (C, h2c({1: 65536, 5: 100_000})), (S, SWITCHING + answer), (C, HELLO), cut=cut)
    seen += play(tap, (C, client.head(3, GET, ends=True)), (S, server.head(3, OK, ends=True)), cut=cut)
    toned = h2c({1: 4096, 5: 100_000, 2: 0}).replace(b"me:8081", b"up:8000")
    assert passed(seen, S).startswith(toned + frames.PREFACE + frames.settings({2: 0}))
    assert passed(seen, C).startswith(SWITCHING + WELCOME)
    first, second = exchanges(seen)
    assert first.request == Request(b"GET", b"/a", block=b"Host: me:8081\r\nAccept: */*\r\n")
    assert first.reply == Reply(200, b"", b"", b"hi", framing="chunked", version=b"2")
    assert (second.id, second.request.version) == (2, b"2")


def test_a_server_that_does_not_upgrade_is_recorded_as_http_1() -> None:
    told = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    made = exchange(play(make(), (C, h2c({3: 100})), (S, told)))
    assert (made.reply.version, made.reply.body) == (b"1.1", b"hi")
    assert b"h2c" in made.request.block


@pytest.mark.parametrize(
    "told",
    [
        SWITCHING.replace(b"h2c", b"websocket"),
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
def test_other_protocols_pass_unread(told: bytes) -> None:
    seen = play(make(), (C, h2c({3: 100})), (S, told + b"\0\1"))
    assert [type(one) for one in others(seen)] == [Began, Lost, Opaque]
    assert passed(seen, C) == told + b"\0\1"


def test_http_2_in_the_middle_of_a_connection_passes_unread() -> None:
    told = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    seen = play(make(), (C, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), (S, told), (C, HELLO))
    assert others(seen)[-1] == Opaque("HTTP/2 in the middle of an HTTP/1 connection")
    assert passed(seen, S).endswith(HELLO)


# --- without an upstream ------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_without_an_upstream_each_request_is_answered(when: str) -> None:
    tap, us = make(), connection(client=True)
    us.initiate_connection()
    us.ping(b"12345678")
    seen = list(tap.unreachable("refused", 1.0)) if when == "before" else []
    seen += play(tap, (C, us.data_to_send()))
    seen += tap.unreachable("refused", 1.0) if when == "between" else []
    us.send_headers(1, GET, end_stream=True)
    us.send_headers(3, CALL)
    us.send_data(3, ONE)
    us.send_headers(5, ((b":method", b"HEAD"), *GET[1:]), end_stream=True)
    seen += play(tap, (C, us.data_to_send()))
    seen += tap.unreachable("refused", 1.0) if when == "after" else []
    events = us.receive_data(passed(seen, C))
    said = {}
    for event in events:
        if isinstance(event, h2.events.ResponseReceived):
            said[event.stream_id] = dict(event.headers or ())
    text = b"svcmock: up:8000 cannot be reached: refused"
    assert said[1][b":status"] == said[5][b":status"] == b"502"
    assert (said[3][b":status"], said[3][b"grpc-status"], said[3][b"grpc-message"]) == (b"200", b"14", text)
    (body,) = [event.data for event in events if isinstance(event, h2.events.DataReceived)]
    assert body == text + b"\n"
    kinds = {type(event) for event in events}
    assert {h2.events.PingAckReceived, h2.events.SettingsAcknowledged, h2.events.ConnectionTerminated} <= kinds
    assert {one.why for one in lost(seen)} == {"the upstream cannot be reached: refused"}
    assert not unsettled(seen)
    assert not exchanges(seen)
    assert play(tap, (C, None)) == [Shut(S)]


def test_without_an_upstream_a_stream_that_is_no_exchange_is_reset() -> None:
    tap, client = make(), Speaker()
    tap.unreachable("refused", 1.0)
    tunnel = ((b":method", b"CONNECT"), (b":authority", b"db:5432"))
    seen = play(tap, (C, HELLO + client.head(1, tunnel) + data(1, b"x")), (C, b"\xff" * 9))
    names = [type(one).__name__ for one in Heard(passed(seen, C)).frames]
    assert names[:2] == ["SettingsFrame", "SettingsFrame"]
    assert "RstStreamFrame" in names
    assert passed(seen, S) == b""
    assert not unsettled(seen)


def test_without_an_upstream_a_client_with_no_room_gets_the_status_alone() -> None:
    tap, client = make(), Speaker()
    said = frames.PREFACE + frames.settings({frames.INITIAL_WINDOW_SIZE: 0})
    seen = play(tap, (C, said + client.head(1, GET, ends=True)))
    seen += tap.unreachable("refused", 1.0)
    heard = Heard(passed(seen, C))
    assert heard.heads == [(1, [(b":status", b"502"), (b"content-length", b"0")])]
