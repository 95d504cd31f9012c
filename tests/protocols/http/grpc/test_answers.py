"""What a session says to a gRPC client by itself, and whether a body is whole messages, kept or not."""

import gzip

import pytest

from svcmock_protocols.http.grpc import codes
from svcmock_protocols.http.grpc.answers import Gauge, check, status_reply
from svcmock_protocols.http.grpc.framing import GrpcError
from svcmock_protocols.http.messages import Reply, Request
from tests.protocols.conformance import splits

HI = b"\0\0\0\0\2hi"
EMPTY = bytes(5)
INTERNAL, EXHAUSTED, UNIMPLEMENTED = codes.INTERNAL, codes.RESOURCE_EXHAUSTED, codes.UNIMPLEMENTED


def zipped(data):
    packed = gzip.compress(data, mtime=0)
    return b"\1" + len(packed).to_bytes(4) + packed


@pytest.mark.parametrize(
    ("code", "why", "block"),
    [
        (0, "", b"grpc-status: 0\r\n"),
        (14, "gone", b"grpc-status: 14\r\ngrpc-message: gone\r\n"),
        (3, "50% é\r\nx", b"grpc-status: 3\r\ngrpc-message: 50%25 %C3%A9%0D%0Ax\r\n"),
    ],
)
def test_a_status_alone(code, why, block):
    whole = b"content-type: application/grpc\r\n" + block
    assert status_reply(code, why) == Reply(200, block=whole, framing="chunked", version=b"2")


# --- a body that is here ------------------------------------------------------------------------------


def refused(call):
    with pytest.raises(GrpcError) as caught:
        call()
    return caught.value.code


def call(body, coding=b""):
    block = b"content-type: application/grpc\r\n" + (b"grpc-encoding: %b\r\n" % coding if coding else b"")
    return Request(b"POST", b"/a/b", b"2", block, body)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (b"", b""),
        (EMPTY, b""),
        (HI, b""),
        (HI, b"snappy"),  # nothing is compressed
        (HI * 3 + EMPTY, b""),
        (zipped(b"hi"), b"gzip"),
        (HI + zipped(b"hi") + HI, b"gzip"),
        (b"\0\0\0\0\x28" + b"x" * 40, b""),
        (zipped(b"x" * 40), b"gzip"),
    ],
)
def test_calls_that_are_well_formed(body, coding):
    check(call(body, coding), 40)


@pytest.mark.parametrize(
    ("body", "coding", "code"),
    [
        (b"\0", b"", INTERNAL),
        (HI[:-1], b"", INTERNAL),
        (HI + b"\0", b"", INTERNAL),
        (HI + HI[:4], b"", INTERNAL),
        (b"\2\0\0\0\0", b"", INTERNAL),
        (HI + b"\xff\0\0\0\0", b"", INTERNAL),
        (b"\0\0\0\0\x29" + b"x" * 41, b"", EXHAUSTED),
        (b"\0\0\0\0\x29", b"", EXHAUSTED),
        (HI + b"\0\xff\xff\xff\xff", b"", EXHAUSTED),
        (zipped(b"hi"), b"", INTERNAL),
        (zipped(b"hi"), b"identity", INTERNAL),
        (zipped(b"hi"), b"snappy", UNIMPLEMENTED),
        (zipped(b"hi"), b"deflate", INTERNAL),
        (HI + b"\1\0\0\0\2hi", b"gzip", INTERNAL),
        (zipped(b"x" * 41), b"gzip", EXHAUSTED),
    ],
)
def test_calls_that_are_not(body, coding, code):
    assert refused(lambda: check(call(body, coding), 40)) == code


# --- one that is not kept -----------------------------------------------------------------------------


def measured(pieces, limit=40):
    gauge = Gauge(limit)
    for piece in pieces:
        gauge.feed(piece)
    gauge.end()


@pytest.mark.parametrize("body", [b"", EMPTY, HI, HI + EMPTY * 2 + HI, b"\1\0\0\0\x28" + b"x" * 40 + HI])
def test_whole_messages_however_they_are_cut(body):
    for pieces in splits(body, 7):
        measured(pieces)


@pytest.mark.parametrize("body", [HI[:1], HI[:4], HI[:5], HI[:6], HI + HI[:3], EMPTY + HI[:6]])
def test_a_body_that_ends_inside_a_message(body):
    for pieces in splits(body, 7):
        assert refused(lambda pieces=pieces: measured(pieces)) == INTERNAL


@pytest.mark.parametrize(
    ("head", "code"),
    [(b"\2\0\0\0\1", INTERNAL), (b"\0\0\0\0\x29", EXHAUSTED), (b"\1\xff\xff\xff\xff", EXHAUSTED)],
)
@pytest.mark.parametrize("before", [b"", HI, EMPTY])
def test_a_head_that_is_none_is_refused_with_its_last_byte(before, head, code):
    gauge = Gauge(40)
    gauge.feed(before + head[:4])
    assert refused(lambda: gauge.feed(head[4:] + b"x" * 100)) == code


def test_the_largest_message_where_nothing_else_is_said():
    gauge = Gauge()
    gauge.feed(b"\0\0\x40\0\0" + bytes(4 << 20))
    gauge.end()
    assert refused(lambda: gauge.feed(b"\0\0\x40\0\1")) == EXHAUSTED
