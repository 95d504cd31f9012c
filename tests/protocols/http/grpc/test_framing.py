"""Length-prefixed messages, whole and in pieces, and their compression."""

import gzip
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.http.grpc import codes
from svcmock_protocols.http.grpc.framing import (
    ENCODINGS,
    GrpcError,
    Message,
    Reader,
    frame,
    join,
    packed,
    split,
    unpacked,
)
from tests.protocols.conformance import splits

HI = b"\x00\x00\x00\x00\x02hi"
EMPTY = b"\x00\x00\x00\x00\x00"
ZIPPED = b"\x01\x00\x00\x00\x03zip"

MESSAGES = st.lists(st.builds(Message, st.binary(max_size=40), st.booleans()), max_size=6)


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        (b"", ()),
        (EMPTY, (Message(b""),)),
        (HI, (Message(b"hi"),)),
        (ZIPPED, (Message(b"zip", compressed=True),)),
        (HI + EMPTY + ZIPPED, (Message(b"hi"), Message(b""), Message(b"zip", compressed=True))),
    ],
)
def test_split_and_join(body, messages):
    assert split(body, 100) == messages
    assert join(messages) == body


@given(MESSAGES, st.integers())
def test_messages_come_alike_however_they_are_cut(messages, seed):
    body = join(messages)
    for pieces in splits(body, seed):
        reader = Reader(40)
        assert [message for piece in pieces for message in reader.feed(piece)] == messages
        reader.end()
        assert reader.pending == 0


def test_pending_counts_the_bytes_of_an_unfinished_message():
    reader = Reader(100)
    assert reader.feed(HI + HI[:3]) == [Message(b"hi")]
    assert reader.pending == 3
    assert reader.feed(HI[3:6]) == []
    assert reader.pending == 6
    with pytest.raises(GrpcError, match="inside a message") as caught:
        reader.end()
    assert caught.value.code == codes.INTERNAL
    assert reader.feed(HI[6:]) == [Message(b"hi")]
    reader.end()


@pytest.mark.parametrize("before", [b"", HI, HI[:4]])
def test_a_length_above_the_limit_is_refused_at_its_head(before):
    reader = Reader(10)
    reader.feed(before)
    reader.feed(HI[len(before) % len(HI) :] if before == HI[:4] else b"")
    assert reader.feed(b"\x00\x00\x00\x00") == []
    with pytest.raises(GrpcError, match="11 bytes, with 10 allowed") as caught:
        reader.feed(b"\x0b")
    assert caught.value.code == codes.RESOURCE_EXHAUSTED


def test_a_message_at_the_limit_is_taken():
    assert split(b"\x00\x00\x00\x00\x0a" + b"x" * 10, 10) == (Message(b"x" * 10),)


@pytest.mark.parametrize("flag", [2, 0x80, 0xFF])
def test_a_flag_that_is_none(flag):
    with pytest.raises(GrpcError, match=f"flag {flag}") as caught:
        Reader(10).feed(bytes([flag]) + b"\x00\x00\x00\x00")
    assert caught.value.code == codes.INTERNAL


@given(st.binary(max_size=60))
def test_any_bytes_are_messages_or_a_grpc_error(data):
    try:
        made = split(data, 20)
    except GrpcError:
        return
    assert join(made) == data


def test_a_large_message_in_small_pieces_is_copied_once():
    """Quadratic work would take minutes here."""
    size = 8 * 1024 * 1024
    data = b"\x00" + size.to_bytes(4) + b"x" * size
    reader = Reader(size)
    made = [message for at in range(0, len(data), 256) for message in reader.feed(data[at : at + 256])]
    assert made == [Message(b"x" * size)]


# --- compression --------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_packed_and_unpacked(encoding):
    data = b"a message " * 100
    made = packed(data, encoding)
    assert made == packed(data, encoding)
    assert (len(made) < len(data)) == (encoding != b"identity")
    if encoding != b"identity":
        assert unpacked(Message(made, compressed=True), encoding, len(data)) == data


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (gzip.compress(b"hello", mtime=5), b"gzip"),
        (gzip.compress(b"hel", mtime=0) + gzip.compress(b"lo", mtime=0), b" GZIP "),
        (zlib.compress(b"hello"), b"deflate"),
        (zstandard.compress(b"hello"), b"zstd"),
    ],
)
def test_what_other_compressors_make(data, encoding):
    assert unpacked(Message(data, compressed=True), encoding, 5) == b"hello"


def test_an_uncompressed_message_is_as_it_is():
    assert unpacked(Message(b"hi"), b"gzip", 1) == b"hi"
    assert unpacked(Message(b"hi"), b"nonsense", 1) == b"hi"


@pytest.mark.parametrize(
    ("data", "encoding", "code"),
    [
        (b"hi", b"", codes.INTERNAL),
        (b"hi", b"identity", codes.INTERNAL),
        (b"hi", b"snappy", codes.UNIMPLEMENTED),
        (b"hi", b"br", codes.UNIMPLEMENTED),
        (b"hi", b"\xff\x00", codes.UNIMPLEMENTED),
        (b"hi", b"gzip", codes.INTERNAL),
        (gzip.compress(b"hello", mtime=0)[:-1], b"gzip", codes.INTERNAL),
        (gzip.compress(b"hello", mtime=0) + b"x", b"gzip", codes.INTERNAL),
        (zlib.compress(b"hello")[:-1], b"deflate", codes.INTERNAL),
        (zlib.compress(b"hello") + b"x", b"deflate", codes.INTERNAL),
        (gzip.compress(b"x" * 101, mtime=0), b"gzip", codes.RESOURCE_EXHAUSTED),
        (gzip.compress(b"x" * 60, mtime=0) * 2, b"gzip", codes.RESOURCE_EXHAUSTED),
        (zlib.compress(b"x" * 50_000_000), b"deflate", codes.RESOURCE_EXHAUSTED),
        (zstandard.compress(b"x" * 50_000_000), b"zstd", codes.RESOURCE_EXHAUSTED),
    ],
)
def test_what_cannot_be_unpacked(data, encoding, code):
    with pytest.raises(GrpcError) as caught:
        unpacked(Message(data, compressed=True), encoding, 100)
    assert caught.value.code == code
    assert caught.value.why == str(caught.value)


def test_an_encoding_that_cannot_be_put_on():
    with pytest.raises(GrpcError, match="snappy") as caught:
        packed(b"", b"snappy")
    assert caught.value.code == codes.UNIMPLEMENTED


def test_frame_is_one_of_join():
    assert frame(Message(b"zip", compressed=True)) == ZIPPED
