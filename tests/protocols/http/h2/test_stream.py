"""One stream: its body as it comes in pieces, its Content-Length, and whose turn it is."""

import hashlib

import pytest

from svcmock.protocol import Spooled
from svcmock_protocols.http.codec import RequestHead
from svcmock_protocols.http.grpc.call import Call
from svcmock_protocols.http.grpc.framing import GrpcError
from svcmock_protocols.http.h2.heads import Malformed, Opening
from svcmock_protocols.http.h2.stream import BATCH, END, Stream
from svcmock_protocols.http.messages import Options, Request
from tests.protocols.http.h2.sessions import context

SENT = Request(b"POST", b"/a", b"2", b"host: shop\r\n")
CALLED = Request(b"POST", b"/a", b"2", b"content-type: application/grpc\r\n")
FEW = Options(max_body_memory=8, max_message=20)


def opened(length: int = -1, *, grpc: bool = False) -> Stream:
    return Stream(3, Opening(RequestHead(CALLED if grpc else SENT), length, grpc=grpc), 10, 20)


def given(stream: Stream, *pieces: bytes, options: Options = FEW) -> Stream:
    for piece in pieces:
        stream.got += len(piece)
        stream.take(piece, options, lambda secret: secret)
    return stream


# --- bodies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [(), (b"",), (b"ab",), (b"ab", b""), (b"", b"ab"), (b"a", b"b", b"cdefgh")])
def test_a_small_body_is_kept_however_it_is_cut(pieces: tuple[bytes, ...]) -> None:
    assert given(opened(), *pieces).whole() == b"".join(pieces)


@pytest.mark.parametrize(
    "pieces", [(b"abcdefghi",), (b"abcdefgh", b"i"), tuple(b"%c" % one for one in b"abcdefghi")]
)
def test_a_body_too_large_to_keep_is_known_by_its_digest(pieces: tuple[bytes, ...]) -> None:
    wanted = Spooled(3, 9, hashlib.sha256(b"abcdefghi").hexdigest())
    assert given(opened(), *pieces).whole() == wanted


@pytest.mark.parametrize("size", [BATCH - 1, BATCH, BATCH + 1, 3 * BATCH + 1])
def test_pieces_that_are_looked_at_together_are_all_there(size: int) -> None:
    body = bytes(range(251)) * (size // 251 + 1)
    pieces = [body[:size][at : at + 16384] for at in range(0, size, 16384)]
    assert given(opened(), *pieces, options=Options()).whole() == body[:size]
    spooled = given(opened(), *pieces).whole()
    assert spooled == Spooled(3, size, hashlib.sha256(body[:size]).hexdigest())


def test_a_body_that_nobody_will_ask_for() -> None:
    for pieces in ((b"ab",), (b"ab", b"cd")):
        stream = given(opened(), *pieces)
        stream.give_up_body()
        assert stream.whole() == b""


# --- requests -----------------------------------------------------------------------------------------


def test_a_request_that_is_nothing_but_its_head_is_that_head() -> None:
    assert opened().request() is SENT


def test_a_request_with_a_body_or_trailers() -> None:
    stream = given(opened(), b"ab", b"c")
    stream.trailers = b"x: y\r\n"
    assert stream.request() == Request(b"POST", b"/a", b"2", b"host: shop\r\n", b"abc", b"x: y\r\n")
    bare = opened()
    bare.trailers = b"x: y\r\n"
    assert bare.request().trailers == b"x: y\r\n"


@pytest.mark.parametrize(
    ("length", "got", "ended", "fine"),
    [
        (-1, 0, True, True),
        (-1, 9, True, True),
        (2, 1, False, True),
        (2, 2, False, True),
        (2, 3, False, False),
        (2, 1, True, False),
        (2, 2, True, True),
        (0, 0, True, True),
        (0, 1, False, False),
    ],
)
def test_the_length_of_a_body_is_as_its_head_says(length: int, got: int, ended: bool, fine: bool) -> None:
    stream = opened(length)
    stream.got, stream.ended = got, ended
    if fine:
        stream.check_length()
        assert stream.request() is SENT
        return
    with pytest.raises(Malformed):
        stream.check_length()
    with pytest.raises(Malformed):
        stream.request()


# --- calls --------------------------------------------------------------------------------------------


def test_messages_of_a_call_are_measured_while_they_come() -> None:
    fits = b"\0\0\0\0\x14" + bytes(20)
    stream = given(opened(grpc=True), fits, fits[:7])
    assert stream.gauge is not None
    with pytest.raises(GrpcError):
        stream.gauge.end()
    given(stream, fits[7:])
    stream.gauge.end()
    with pytest.raises(GrpcError):
        given(stream, b"\0\0\0\0\x15")


def test_a_message_that_is_too_large_is_known_by_the_first_of_many_pieces() -> None:
    stream = given(opened(grpc=True), b"\0\0\0\0")
    with pytest.raises(GrpcError):
        given(stream, b"\x15")


def test_bodies_of_others_are_no_messages() -> None:
    assert given(opened(), b"\xff" * 30, b"\xff").gauge is None


# --- whose turn it is ---------------------------------------------------------------------------------


def test_a_client_that_has_not_said_all_is_not_resting() -> None:
    stream = opened()
    assert not stream.resting
    stream.ended = True
    assert stream.resting
    stream.ended, stream.asked = False, True
    assert stream.resting


def test_a_client_that_does_not_take_its_reply_is_not_resting() -> None:
    stream = opened()
    stream.ended = True
    stream.outbox.append(END)
    assert not stream.resting
    stream.paused = True
    assert stream.resting


def test_a_client_may_take_its_time_between_two_messages() -> None:
    stream = opened(grpc=True)
    stream.call = Call(CALLED, context(), 100, known=True)
    assert stream.resting
    stream.call.feed(b"\0\0")
    assert not stream.resting
