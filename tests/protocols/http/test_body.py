"""Bodies of HTTP/1 messages, however they are cut."""

import pytest

from svcmock_protocols.http.body import (
    MAX_CHUNK_LINE,
    MAX_TRAILERS,
    BodyReader,
    ChunkedBody,
    CloseBody,
    LengthBody,
    body_reader,
)
from svcmock_protocols.http.codec import MAX_FIELDS, MessageError
from tests.protocols.conformance import splits


def read(reader: BodyReader, reads: list[bytes]) -> tuple[bytes, bytes]:
    """The body, and what follows it."""
    body, rest = b"", b""
    for data in reads:
        if reader.done:
            rest += data
            continue
        at, pieces = reader.feed(data)
        body += b"".join(piece for piece, _ in pieces)
        rest += data[at:]
    return body, rest


CHUNKED = [
    (b"0\r\n\r\n", b"", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello", b""),
    (b'5\r\nhello\r\n006;x="y"\r\n world\r\n000\r\nA: b\r\nC:d \r\n\r\n', b"hello world", b"A: b\r\nC:d \r\n"),
    (b"A;a\r\n0123456789\r\n0;last\r\n\r\n", b"0123456789", b""),
]


@pytest.mark.parametrize(("wire", "body", "trailers"), CHUNKED)
def test_a_chunked_body_reads_alike_however_it_is_cut(wire: bytes, body: bytes, trailers: bytes) -> None:
    for reads in splits(wire + b"NEXT"):
        reader = ChunkedBody()
        assert read(reader, reads) == (body, b"NEXT")
        assert (reader.done, reader.trailers, reader.size) == (True, trailers, len(body))
        reader.end()


def test_chunk_boundaries_are_told() -> None:
    reader = ChunkedBody()
    assert reader.feed(b"5\r\nhel") == (6, [(b"hel", False)])
    assert reader.feed(b"lo\r\n2\r\nab\r\n") == (11, [(b"lo", True), (b"ab", True)])


@pytest.mark.parametrize(
    ("wire", "fault"),
    [
        (b"0x5\r\nhello\r\n0\r\n\r\n", "chunk-line"),
        (b"+5\r\nhello\r\n0\r\n\r\n", "chunk-line"),
        (b"-5\r\nhello\r\n0\r\n\r\n", "chunk-line"),
        (b"1_0\r\nhello\r\n0\r\n\r\n", "chunk-line"),
        (b" 5\r\nhello\r\n0\r\n\r\n", "chunk-line"),
        (b"5 \r\nhello\r\n0\r\n\r\n", "chunk-line"),
        (b"5 ;a\r\nhello\r\n0\r\n\r\n", "chunk-line"),
        (b"\r\nhello\r\n0\r\n\r\n", "chunk-line"),
        (b";a\r\n0\r\n\r\n", "chunk-line"),
        (b"5\nhello\r\n0\r\n\r\n", "chunk-line"),
        (b"5;a\rb\r\nhello\r\n0\r\n\r\n", "chunk-line"),
        (b"5;\x00\r\nhello\r\n0\r\n\r\n", "chunk-line"),
        (b"00000000000000005\r\nhello\r\n0\r\n\r\n", "chunk-line"),
        (b"ffffffffffffffff\r\n", "body-too-large"),
        (b"5\r\nhelloX\n0\r\n\r\n", "chunk-end"),
        (b"5\r\nhello\n0\r\n\r\n", "chunk-end"),
        (b"5\r\nhello0\r\n\r\n", "chunk-end"),
        (b"5;" + b"a" * MAX_CHUNK_LINE + b"\r\n", "chunk-line-too-long"),
        (b"0\r\nA\r\n\r\n", "trailer"),
        (b"0\r\nA : b\r\n\r\n", "trailer"),
        (b"0\r\nA: b\n\r\n", "bare-lf"),
        (b"0\r\n\n", "bare-lf"),
        (b"0\r\nA: b\r\n c\r\n\r\n", "obs-fold"),
        (b"0\r\nA: \x01\r\n\r\n", "control-byte"),
        (b"0\r\nContent-Length: 5\r\n\r\n", "trailer-framing"),
        (b"0\r\nA: " + b"b" * MAX_TRAILERS + b"\r\n\r\n", "trailers-too-large"),
        (b"0\r\n" + b"A: b\r\n" * (MAX_FIELDS + 1) + b"\r\n", "trailers-too-large"),
    ],
)
def test_a_wrong_chunked_body_is_refused_by_name(wire: bytes, fault: str) -> None:
    for reads in splits(wire):
        with pytest.raises(MessageError) as refused:
            read(ChunkedBody(), reads)
        assert refused.value.fault == fault


def test_a_line_may_be_as_long_as_its_limit() -> None:
    size_line = b"5;" + b"a" * (MAX_CHUNK_LINE - 4) + b"\r\n"
    trailer = b"A:" + b"b" * (MAX_TRAILERS - 6) + b"\r\n"
    for reads in splits(size_line + b"hello\r\n0\r\n" + trailer + b"\r\nNEXT"):
        assert read(ChunkedBody(), reads) == (b"hello", b"NEXT")
    for reads in splits(size_line.replace(b";a", b";aa") + b"hello\r\n"):
        with pytest.raises(MessageError, match="too long"):
            read(ChunkedBody(), reads)


def test_padding_after_a_chunk_size_is_taken_from_servers() -> None:
    assert read(ChunkedBody(padded=True), [b"5  \r\nhello\r\n0 \r\n\r\n"]) == (b"hello", b"")


def test_a_body_of_a_length() -> None:
    for reads in splits(b"helloNEXT"):
        reader = LengthBody(5)
        assert read(reader, reads) == (b"hello", b"NEXT")
    short = LengthBody(5)
    short.feed(b"hell")
    with pytest.raises(MessageError, match="ended inside"):
        short.end()


def test_a_body_until_the_end() -> None:
    reader = CloseBody(10)
    assert read(reader, [b"hel", b"lo"]) == (b"hello", b"")
    reader.end()
    assert reader.done
    with pytest.raises(MessageError, match="larger"):
        CloseBody(4).feed(b"hello")


def test_a_body_too_large_is_refused_at_its_head() -> None:
    with pytest.raises(MessageError, match="larger"):
        body_reader("length", 11, 10)
    with pytest.raises(MessageError, match="larger"):
        body_reader("chunked", 0, 10).feed(b"6\r\nabcdef\r\n5\r\n")


def test_many_small_chunks_byte_by_byte_cost_linear_time() -> None:
    reader = ChunkedBody()
    wire = b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n"
    for at in range(len(wire)):
        reader.feed(wire[at : at + 1])
    assert reader.done
