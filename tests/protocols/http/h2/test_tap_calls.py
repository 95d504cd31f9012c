"""What a recorder sees of gRPC calls: which messages came when, and when what they mean must be known."""

import pytest

from svcmock.protocol import Began, Exchange, Inquire, Lost, Seen, Shut, Side
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.messages import Chunk, Options
from tests.protocols.http.h2.taps import (
    CALL,
    CALL_OK,
    GET,
    KNOWN,
    OK,
    ONE,
    POST,
    STATUS_OK,
    TWO,
    C,
    Pairs,
    Relayed,
    S,
    Speaker,
    context,
    data,
    exchange,
    exchanges,
    lost,
    make,
    message,
    met,
    others,
    play,
    timed,
)

SECRET = b"hunter2-hunter2"


def asked_and_told(asked: Pairs = GET, told: Pairs = OK, tap: Relayed | None = None) -> list[Seen]:
    tap, client, server = met(tap)
    return play(tap, (C, client.head(1, asked, ends=True)), (S, server.head(1, told, ends=True)))


# --- gRPC ---------------------------------------------------------------------------------------------


def call(*steps: tuple[float, Side, bytes | str | None], asked: Pairs = CALL) -> list[Seen]:
    """A call of a known method. Bytes are DATA, None ends the client's side, a str is a header block."""
    tap, client, server = met(make(schema=KNOWN))
    seen = timed(tap, (1.0, C, client.head(1, asked)))
    for at, side, said in steps:
        if side is C:
            frame = data(1, ends=True) if said is None else data(1, said)  # type: ignore[arg-type]
            seen += tap.from_client(frame, at)
        elif isinstance(said, str):
            pairs = CALL_OK if said == "head" else STATUS_OK
            seen += tap.from_server(server.head(1, pairs, ends=said != "head"), at)
        else:
            assert said is not None
            seen += tap.from_server(data(1, said), at)
    return seen


def told(seen: list[Seen]) -> tuple[tuple[Chunk, ...], int]:
    reply = exchange(seen).reply
    assert reply.trailers == b"grpc-status: 0\r\n"
    return reply.chunks, reply.ends_on


def test_a_unary_call() -> None:
    seen = call((1, C, ONE), (1, C, None), (1.05, S, "head"), (1.06, S, TWO), (1.2, S, "status"))
    assert told(seen) == ((), -1)
    made = exchange(seen)
    assert (made.request.body, made.reply.body, made.reply.framing) == (ONE, TWO, "chunked")
    seen = call((1, C, ONE), (1, C, None), (1, S, "head"), (1.25, S, TWO), (1.3, S, "status"))
    assert told(seen) == ((Chunk(11, 0.25),), -1)


def test_a_server_that_streams_is_told_by_messages() -> None:
    seen = call(
        (1, C, ONE),
        (1, C, None),
        (2, S, "head"),
        (2, S, ONE + TWO + ONE[:6]),
        (2.001, S, ONE[6:7]),
        (2.5, S, ONE[7:] + TWO),
        (2.5, S, "status"),
    )
    assert told(seen) == ((Chunk(8), Chunk(11), Chunk(8, 0.5), Chunk(11)), -1)


def test_a_client_that_streams() -> None:
    seen = call((1, C, ONE), (2, C, TWO), (3, C, None), (3.5, S, "head"), (3.5, S, ONE), (3.5, S, "status"))
    assert told(seen) == ((), -1)
    assert exchange(seen).request.body == ONE + TWO


def test_a_conversation() -> None:
    seen = call(
        (1.25, S, "head"),
        (1.25, S, ONE),
        (2, C, ONE[:4]),
        (2.25, C, ONE[4:]),
        (2.5, S, TWO),
        (2.501, S, ONE),
        (3, C, ONE + TWO),
        (3, S, ONE),
        (3.25, S, ONE),
        (4, C, None),
        (4.5, S, TWO),
        (5, S, "status"),
    )
    chunks = (
        Chunk(8, 0.25, 0),
        Chunk(11, 0.25, 1),
        Chunk(8, 0.0, 1),
        Chunk(8, 0.0, 3),
        Chunk(8, 0.25, 3),
        Chunk(11, 0.5, 4),
    )
    assert told(seen) == (chunks, 4)


def test_a_conversation_that_the_server_ends() -> None:
    tap, client, server = met(make(schema=KNOWN))
    seen = timed(
        tap,
        (1, C, client.head(1, CALL) + data(1, ONE)),
        (2, S, server.head(1, CALL_OK) + data(1, TWO)),
        (3, C, data(1, TWO + ONE[:3])),
        (3, S, server.head(1, STATUS_OK, ends=True)),
    )
    assert others(seen) == [Began(1)]
    made = exchange(timed(tap, (3, S, frames.rst_stream(1, frames.NO_ERROR))))
    assert made.request.body == ONE + TWO
    assert (made.reply.chunks, made.reply.ends_on) == ((Chunk(11, 1.0, 1),), 2)


def test_a_status_in_the_head_before_the_client_has_said_anything() -> None:
    tap, client, server = met(make(schema=KNOWN))
    refused = (*CALL_OK, (b"grpc-status", b"16"))
    seen = play(
        tap, (C, client.head(1, CALL)), (S, server.head(1, refused, ends=True)), (C, data(1, ends=True))
    )
    reply = exchange(seen).reply
    assert (reply.ends_on, reply.chunks, reply.trailers) == (0, (), b"")
    assert reply.block == b"content-type: application/grpc\r\ngrpc-status: 16\r\n"


@pytest.mark.parametrize("body", [ONE + TWO[:4], b"\x02" + ONE[1:] * 2, b"\0\xff\xff\xff\xff" + bytes(20)])
def test_bodies_that_are_no_messages_are_recorded_as_bytes(body: bytes) -> None:
    seen = call((1, C, ONE), (1, C, None), (1, S, "head"), (1, S, body[:6]), (2, S, body[6:]), (2, S, "status"))
    assert told(seen) == ((Chunk(6), Chunk(len(body) - 6, 1.0)), -1)
    seen = call((1, C, body), (1, C, None), (1, S, "head"), (1, S, ONE), (2, S, TWO), (2, S, "status"))
    assert told(seen) == ((Chunk(8), Chunk(11, 1.0)), -1)
    assert exchange(seen).request.body == body


@pytest.mark.parametrize("kind", [b"application/grpc-web", b"application/grpc-web+proto", b"text/plain"])
def test_what_is_no_grpc_is_not_cut_by_messages(kind: bytes) -> None:
    asked = (*POST, (b"content-type", kind))
    seen = call((1, C, ONE), (1, C, None), (1, S, "head"), (1, S, ONE + TWO), (1, S, "status"), asked=asked)
    assert told(seen) == ((), -1)
    assert not [one for one in seen if isinstance(one, Inquire)]


def test_a_credential_inside_a_large_grpc_reply_is_not_recorded() -> None:
    tap, client, server = met(make(options=Options(max_body_memory=100), schema=KNOWN))
    large = message(b"x" * 200 + SECRET)
    seen = play(
        tap,
        (C, client.head(1, (*CALL, (b"authorization", b"Bearer " + SECRET))) + data(1, ONE, ends=True)),
        (S, server.head(1, CALL_OK) + data(1, large) + server.head(1, STATUS_OK, ends=True)),
    )
    assert lost(seen) == [Lost(1, "there is a credential inside a large gRPC reply", "skipped")]


# --- what messages mean -------------------------------------------------------------------------------


def unary(client: Speaker, server: Speaker, stream: int, path: bytes = b"/b") -> tuple[tuple[Side, bytes], ...]:
    asked = (*CALL[:3], (b":path", path), *CALL[4:])
    return (
        (C, client.head(stream, asked) + data(stream, ONE, ends=True)),
        (S, server.head(stream, CALL_OK) + data(stream, ONE) + server.head(stream, STATUS_OK, ends=True)),
    )


@pytest.mark.parametrize("schema", [None, KNOWN])
def test_calls_of_unknown_methods_wait_to_be_understood(schema: object) -> None:
    tap, client, server = met(make(schema=schema))
    seen = play(tap, *unary(client, server, 1), *unary(client, server, 3), (C, client.head(5, GET, ends=True)))
    assert others(seen) == [Began(1), Inquire(), Began(2), Began(3)]
    seen = play(tap, (S, server.head(5, OK, ends=True)))
    assert [one.id for one in exchanges(seen)] == [3]
    assert [one.id for one in exchanges(tap.informed(context()))] == [1, 2]
    assert [type(one) for one in others(play(tap, *unary(client, server, 7)))] == [Began, Exchange]


def test_calls_of_known_methods_do_not_wait() -> None:
    tap, client, server = met(make(schema=KNOWN))
    assert [type(one) for one in others(play(tap, *unary(client, server, 1, b"/a")))] == [Began, Exchange]


def test_nothing_waits_longer_than_its_connection() -> None:
    tap, client, server = met()
    play(tap, *unary(client, server, 1))
    assert others(play(tap, (S, None))) == [Shut(C)]
    assert [type(one) for one in others(play(tap, (C, None)))] == [Exchange, Shut]


def test_only_so_many_bytes_wait() -> None:
    tap, client, server = met(make(options=Options(max_body_memory=1 << 24)))
    large = message(bytes(6 << 20))
    for i in range(2):
        stream = 2 * i + 1
        said = b"".join(data(stream, large[at : at + 16384]) for at in range(0, len(large), 16384))
        seen = play(
            tap,
            (
                C,
                client.head(stream, (*CALL[:3], (b":path", b"/b"), *CALL[4:])) + said + data(stream, ends=True),
            ),
            (S, server.head(stream, CALL_OK) + said + server.head(stream, STATUS_OK, ends=True)),
        )
    assert [one.id for one in exchanges(seen)] == [1, 2]


def test_only_so_many_calls_wait() -> None:
    tap, client, server = met()
    for i in range(1000):
        seen = play(tap, *unary(client, server, 2 * i + 1))
    assert len(exchanges(seen)) == 1000
    assert len(exchanges(play(tap, *unary(client, server, 2001)))) == 1
