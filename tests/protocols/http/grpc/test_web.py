"""gRPC-Web: the trailer frame, and base64 in pieces."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.http.grpc import codes
from svcmock_protocols.http.grpc.framing import GrpcError, Message
from svcmock_protocols.http.grpc.web import (
    TextReader,
    encode_text_body,
    parse_trailers,
    split_web,
    trailer_frame,
)

HI = b"\x00\x00\x00\x00\x02hi"
END = b"\x80\x00\x00\x00\x10grpc-status: 0\r\n"


def test_a_body_with_its_trailers():
    assert trailer_frame([(b"Grpc-Status", b"0")]) == END
    assert split_web(HI + END) == ((Message(b"hi"),), ((b"grpc-status", b"0"),))
    assert split_web(END) == ((), ((b"grpc-status", b"0"),))
    assert split_web(HI) == ((Message(b"hi"),), None)
    assert split_web(b"") == ((), None)
    assert split_web(b"\x80\x00\x00\x00\x00") == ((), ())


@pytest.mark.parametrize(
    ("block", "fields"),
    [
        (b"", ()),
        (b"grpc-status:0", ((b"grpc-status", b"0"),)),
        (b"A: 1\r\nB:2\nc:\r\n", ((b"a", b"1"), (b"b", b"2"), (b"c", b""))),
        (b"x: a:b\r\n\r\n", ((b"x", b"a:b"),)),
    ],
)
def test_trailers(block, fields):
    assert parse_trailers(block) == fields


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (HI[:4], codes.INTERNAL),
        (HI + END[:3], codes.INTERNAL),
        (HI + END[:-1], codes.INTERNAL),
        (END + HI, codes.INTERNAL),
        (b"\x81" + END[1:], codes.INTERNAL),
        (b"\x82" + END[1:], codes.INTERNAL),
        (b"\x80\x00\x00\x00\x02ab", codes.INTERNAL),
        (b"\x80\x00\x00\x00\x02:a", codes.INTERNAL),
        (b"\x00\x00\x00\x10\x00" + bytes(4096), codes.RESOURCE_EXHAUSTED),
    ],
)
def test_a_body_that_is_none(body, code):
    with pytest.raises(GrpcError) as caught:
        split_web(body, 1024)
    assert caught.value.code == code


@given(st.binary(max_size=60))
def test_any_body_is_messages_or_a_grpc_error(body):
    try:
        split_web(body, 20)
    except GrpcError:
        return


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=6), st.integers(1, 7))
def test_base64_in_flushes_and_pieces(flushes, width):
    text = b"".join(map(encode_text_body, flushes))
    reader = TextReader()
    pieces = [reader.feed(text[at : at + width]) for at in range(0, len(text), width)]
    reader.end()
    assert b"".join(pieces) == b"".join(flushes)


@pytest.mark.parametrize("text", [b"AQ=", b"AQ", b"A"])
def test_base64_that_is_cut_short(text):
    reader = TextReader()
    assert reader.feed(text) == b""
    with pytest.raises(GrpcError, match="cut short"):
        reader.end()


@pytest.mark.parametrize(
    "text", [b"AQ=A", b"=AAA", b"A===", b"AA\r\n", b"A-_A", b"\xff\xff\xff\xff", b"AAAA===="]
)
def test_what_is_no_base64(text):
    with pytest.raises(GrpcError, match="not base64"):
        TextReader().feed(text)


def test_long_base64_is_read_in_one_go():
    data = bytes(range(256)) * 4096
    reader = TextReader()
    assert reader.feed(base64.b64encode(data)) == data
