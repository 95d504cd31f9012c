"""Heads, bodies and content codings of HTTP/1, with literal bytes."""

import gzip
import hashlib
import time
import zlib

import brotli
import pytest
import zstandard

from svcmock.protocol import Blob
from svcmock_protocols.http.body import (
    MAX_CHUNK_LINE,
    MAX_TRAILERS,
    BodyReader,
    ChunkedBody,
    CloseBody,
    LengthBody,
    body_reader,
)
from svcmock_protocols.http.codec import (
    FAULTS,
    MAX_FIELDS,
    MAX_HEAD,
    MAX_LINE,
    STRICTER_THAN_H11,
    MessageError,
    fields,
    parse_reply_head,
    parse_request_head,
    reply_head,
    values,
    with_head,
    without,
)
from svcmock_protocols.http.coding import MAX_DECODED, BodyHash, accepted, decode, encode
from svcmock_protocols.http.messages import Chunk, Reply, Request
from tests.protocols.conformance import check_decoder, splits

HOST = b"Host: shop\r\n"


# --- request heads ------------------------------------------------------------------------------------


def test_a_request_head_keeps_its_fields_as_sent() -> None:
    data = b"GET /a?b=c HTTP/1.1\r\nHOST:shop\r\nX-Odd:  v \t\r\nx-odd:\r\n\r\nrest"
    parsed = parse_request_head(data)
    assert parsed is not None
    head, end = parsed
    assert data[end:] == b"rest"
    assert head.request == Request(b"GET", b"/a?b=c", b"1.1", b"HOST:shop\r\nX-Odd:  v \t\r\nx-odd:\r\n")
    assert fields(head.request.block) == ((b"HOST", b"shop"), (b"X-Odd", b"v"), (b"x-odd", b""))
    assert values(head.request.block, b"x-odd") == (b"v", b"")
    assert (head.framing, head.length, head.keep_alive, head.plain) == ("none", 0, True, True)


def test_a_head_may_start_anywhere() -> None:
    data = b"xxGET / HTTP/1.1\r\nHost: a\r\n\r\n"
    parsed = parse_request_head(bytearray(data), 2)
    assert parsed is not None
    assert parsed[0].request.target == b"/"
    assert parsed[1] == len(data)


@pytest.mark.parametrize(
    ("head", "framing", "length", "keep_alive", "expect"),
    [
        (b"POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 5 \r\n\r\n", "length", 5, True, b""),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\n\r\n", "length", 7, True, b""),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ChunKed\r\n\r\n", "chunked", 0, True, b""),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", "none", 0, False, b""),
        (b"GET / HTTP/1.0\r\n\r\n", "none", 0, False, b""),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "none", 0, True, b""),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "none", 0, False, b""),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n", "none", 0, True, b"100-continue"),
        (b"PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", "none", 0, False, b""),
        (b"GET http://other/x HTTP/1.1\r\nHost: a:80\r\n\r\n", "none", 0, True, b""),
        (b"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "none", 0, True, b""),
        (b"CONNECT a:443 HTTP/1.1\r\nHost:\r\n\r\n", "none", 0, True, b""),
    ],
)
def test_what_a_request_head_decides(
    head: bytes, framing: str, length: int, keep_alive: bool, expect: bytes
) -> None:
    parsed = parse_request_head(head)
    assert parsed is not None
    found = parsed[0]
    assert (found.framing, found.length, found.keep_alive, found.expect) == (
        framing,
        length,
        keep_alive,
        expect,
    )


REFUSED_HEADS = [
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "length-and-encoding"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "duplicate-length"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\n", "duplicate-length"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", "duplicate-length"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", "length"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "length"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\n", "length"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", "length"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n", "length"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \xb2\r\n\r\n", "length"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", "length"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 12345678901234567890\r\n\r\n", "length"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", "encoding"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", "encoding"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "encoding"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", "encoding"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", "encoding"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\x0b\r\n\r\n", "control-byte"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
     "duplicate-encoding"),
    (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "encoding-1.0"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", "obs-fold"),
    (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "obs-fold"),
    (b"GET / HTTP/1.1\nHost: a\n\n", "bare-lf"),
    (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "bare-lf"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\n", "bare-lf"),
    (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bare-lf"),
    (b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", "bare-cr"),
    (b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "bare-cr"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", "control-byte"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", "control-byte"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", "control-byte"),
    (b"\x16\x03\x01\x02\x00\x01\x00", "control-byte"),
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "space-before-colon"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX Y: a\r\n\r\n", "field-name"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n", "field-name"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX\xe9: a\r\n\r\n", "field-name"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n", "no-colon"),
    (b"GET / HTTP/1.1\r\n\r\n", "no-host"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", "duplicate-host"),
    (b"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", "duplicate-host"),
    (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "host"),
    (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "host"),
    (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "host"),
    (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "host"),
    (b"GET / HTTP/1.1\r\nHost: a, b:1:2\r\n\r\n", "host"),
    (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", "version"),
    (b"PRI * HTTP/2.0\r\n\r\n", "version"),
    (b"GET / HTTP/11\r\nHost: a\r\n\r\n", "request-line"),
    (b"GET / http/1.1\r\nHost: a\r\n\r\n", "request-line"),
    (b"GET /\r\nHost: a\r\n\r\n", "request-line"),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
    (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "request-line"),
    (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
    (b"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
    (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
    (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "method"),
    (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "method"),
    (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", "target-form"),
    (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", "target-form"),
    (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "empty-line"),
    (b"\r\n\r\n", "empty-line"),
    (b"GET /" + b"a" * MAX_LINE + b" HTTP/1.1\r\nHost: a\r\n\r\n", "line-too-long"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * MAX_FIELDS + b"\r\n", "too-many-fields"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * MAX_HEAD + b"\r\n\r\n", "head-too-large"),
]  # fmt: skip


@pytest.mark.parametrize(("head", "fault"), REFUSED_HEADS)
def test_a_wrong_request_head_is_refused_by_name(head: bytes, fault: str) -> None:
    with pytest.raises(MessageError) as refused:
        parse_request_head(head)
    assert refused.value.fault == fault
    assert (refused.value.status, refused.value.why) == FAULTS[fault]


@pytest.mark.parametrize(("head", "fault"), [(h, f) for h, f in REFUSED_HEADS if len(h) < 1000])
def test_a_head_that_comes_byte_by_byte_is_refused_alike(head: bytes, fault: str) -> None:
    buffer = bytearray()
    scanned = 0
    with pytest.raises(MessageError) as refused:
        for at in range(len(head)):
            buffer += head[at : at + 1]
            assert parse_request_head(buffer, 0, MAX_HEAD, scanned) is None
            scanned = len(buffer)
    assert refused.value.fault == fault


@pytest.mark.parametrize(
    ("first", "fault", "by"),
    [(b"GET /", "line-too-long", MAX_LINE + 100), (b"GET / HTTP/1.1\r\nX: ", "head-too-large", MAX_HEAD + 100)],
)
def test_an_endless_head_is_refused_as_soon_as_its_limit_is_passed(first: bytes, fault: str, by: int) -> None:
    buffer = bytearray(first)
    scanned = 0
    started = time.perf_counter()
    with pytest.raises(MessageError) as refused:
        while True:
            assert parse_request_head(buffer, 0, MAX_HEAD, scanned) is None
            scanned = len(buffer)
            buffer += b"a"
    assert refused.value.fault == fault
    assert len(buffer) < by
    assert time.perf_counter() - started < 2


def test_an_incomplete_head_is_waited_for() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    for end in range(len(head)):
        assert parse_request_head(head[:end]) is None


def test_the_list_of_differences_names_faults_only() -> None:
    assert STRICTER_THAN_H11.keys() <= FAULTS.keys()


def test_mutated_heads_raise_protocol_errors_only() -> None:
    head = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
    check_decoder(parse_request_head, head, range(400))
    check_decoder(
        lambda data: parse_reply_head(data, b"GET"), b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", range(400)
    )


# --- reply heads --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "method", "status", "reason", "framing", "length", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"GET", 200, b"OK", "length", 5, True),
        (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", b"GET", 200, b"", "length", 5, True),
        (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", b"GET", 200, b"", "length", 0, True),
        (b"HTTP/1.1 404 Gibt's nicht\r\nTransfer-Encoding: chunked\r\n\r\n", b"GET", 404, b"Gibt's nicht",
         "chunked", 0, True),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"GET", 200, b"OK", "close", 0, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", b"GET", 200, b"OK", "length", 1, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"HEAD", 200, b"OK", "none", 0, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"GET", 204, b"No Content", "none", 0, True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"GET", 304, b"Not Modified", "none", 0, True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"GET", 103, b"Early Hints", "none", 0, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", b"GET", 200, b"OK", "length", 5, True),
        (b"HTTP/1.1 200 Established\r\n\r\n", b"CONNECT", 200, b"Established", "none", 0, True),
    ],
)  # fmt: skip
def test_what_a_reply_head_decides(
    head: bytes, method: bytes, status: int, reason: bytes, framing: str, length: int, keep_alive: bool
) -> None:
    parsed = parse_reply_head(head, method)
    assert parsed is not None
    found, end = parsed
    assert end == len(head)
    assert (found.reply.status, found.reply.reason, found.reply.framing) == (status, reason, framing)
    assert (found.length, found.keep_alive) == (length, keep_alive)


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "length-and-encoding"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "duplicate-length"),
        (b"HTTP/1.1 200 OK\nContent-Length: 5\n\n", "bare-lf"),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "obs-fold"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "status-line"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "status-line"),
        (b"ICY 200 OK\r\n\r\n", "status-line"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "encoding"),
    ],
)
def test_a_wrong_reply_head_is_refused_by_name(head: bytes, fault: str) -> None:
    with pytest.raises(MessageError) as refused:
        parse_reply_head(head, b"GET")
    assert refused.value.fault == fault


# --- bodies -------------------------------------------------------------------------------------------


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
    wire = b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n"
    started = time.perf_counter()
    for at in range(len(wire)):
        reader.feed(wire[at : at + 1])
    assert reader.done
    assert time.perf_counter() - started < 3


# --- content codings ----------------------------------------------------------------------------------

TEXT = b"a readable text, a readable text, a readable text"
RAW = zlib.compressobj(wbits=-15)
CODED = [
    (b"gzip", gzip.compress(TEXT)),
    (b"x-gzip", gzip.compress(TEXT[:10]) + gzip.compress(TEXT[10:])),
    (b"deflate", zlib.compress(TEXT)),
    (b"deflate", RAW.compress(TEXT) + RAW.flush()),
    (b"br", brotli.compress(TEXT)),
    (b"zstd", zstandard.compress(TEXT)),
    (b"zstd", zstandard.compress(TEXT[:10]) + zstandard.compress(TEXT[10:])),
    (b"gzip , BR", brotli.compress(gzip.compress(TEXT))),
    (b"identity", TEXT),
]


@pytest.mark.parametrize(("coding", "body"), CODED)
def test_codings_come_off(coding: bytes, body: bytes) -> None:
    assert decode(body, coding) == TEXT
    for reads in splits(body):
        digest = BodyHash(coding)
        for data in reads:
            digest.update(data)
        assert digest.hexdigest() == hashlib.sha256(TEXT).hexdigest()


@pytest.mark.parametrize(("coding", "body"), [one for one in CODED if one[0] != b"identity"])
def test_a_body_that_is_not_whole_counts_as_undecodable(coding: bytes, body: bytes) -> None:
    for damaged in (body[:-1], body + b"x", b"x" + body):
        assert decode(damaged, coding) is None
        digest = BodyHash(coding)
        digest.update(damaged)
        assert digest.hexdigest() == hashlib.sha256(damaged).hexdigest()


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd", b"br, gzip", b"identity", b""])
def test_codings_go_on(coding: bytes) -> None:
    coded = encode(TEXT, coding)
    assert coded is not None
    assert coded == encode(TEXT, coding)
    assert decode(coded, coding) == TEXT


def test_gzip_holds_no_time() -> None:
    coded = encode(TEXT, b"gzip")
    assert coded is not None
    assert coded[4:8] == b"\0\0\0\0"


def test_unknown_codings_stay_on() -> None:
    assert decode(TEXT, b"compress") is None
    assert encode(TEXT, b"compress") is None
    assert decode(TEXT, b"gzip, gzip, gzip, gzip") is None


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip"])
def test_a_bomb_is_given_up(coding: bytes) -> None:
    bomb = encode(bytes(MAX_DECODED + 1), coding)
    assert bomb is not None
    assert decode(bomb, coding) is None
    digest = BodyHash(coding)
    digest.update(bomb)
    assert digest.hexdigest() == hashlib.sha256(bomb).hexdigest()


@pytest.mark.parametrize(
    ("block", "coding", "takes"),
    [
        (b"", b"gzip", False),
        (b"Accept-Encoding: gzip, deflate\r\n", b"gzip", True),
        (b"Accept-Encoding: gzip, deflate\r\n", b"x-gzip", True),
        (b"Accept-Encoding: gzip;q=0, deflate\r\n", b"gzip", False),
        (b"Accept-Encoding: gzip; Q=0.000\r\n", b"gzip", False),
        (b"Accept-Encoding: gzip;q=0.001\r\n", b"gzip", True),
        (b"Accept-Encoding: deflate\r\naccept-encoding: br\r\n", b"br", True),
        (b"Accept-Encoding: *\r\n", b"br", True),
        (b"Accept-Encoding: *, br;q=0\r\n", b"br", False),
        (b"Accept-Encoding: *;q=0\r\n", b"br", False),
        (b"Accept-Encoding: identity\r\n", b"gzip", False),
        (b"Accept-Encoding: gzip\r\n", b"gzip, br", False),
        (b"", b"identity", True),
    ],
)
def test_what_a_client_takes(block: bytes, coding: bytes, takes: bool) -> None:
    assert accepted(block, coding) is takes


# --- writing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "head"),
    [
        (Reply(200, b"OK", b"x-A: 1\r\nX-a:2\r\n", b"hi"),
         b"HTTP/1.1 200 OK\r\nx-A: 1\r\nX-a:2\r\nContent-Length: 2\r\n\r\n"),
        (Reply(200, b"OK", b"content-length: 2\r\n", b"hi"), b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"),
        (Reply(200, b"OK", b"", Blob("f", 9)), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
        (Reply(200, b"OK", b"", b"hi", "chunked"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (Reply(200, b"", b"", b"hi", "close", version=b"1.0"), b"HTTP/1.0 200 \r\n\r\n"),
        (Reply(204, b"No Content"), b"HTTP/1.1 204 No Content\r\n\r\n"),
        (Reply(304, b"Not Modified", b"ETag: \"a\"\r\n"), b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"),
        (Reply(200, b"OK", b"", b"", "none"), b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
)  # fmt: skip
def test_a_reply_head_is_written_as_it_was(reply: Reply, head: bytes) -> None:
    assert reply_head(reply) == head
    assert with_head(reply).head == head


@pytest.mark.parametrize(
    ("reply", "plain"),
    [
        (Reply(200, b"OK", b"Connection: Keep-Alive\r\n", b"hi"), True),
        (Reply(204), True),
        (Reply(200, b"OK", b"Connection: close\r\n", b"hi"), False),
        (Reply(200, b"OK", b"Content-Encoding: gzip\r\n", b"hi"), False),
        (Reply(200, b"OK", b"Content-Length: 3\r\n", b"hi"), False),
        (Reply(200, b"OK", b"", b"hi", version=b"1.0"), False),
        (Reply(200, b"OK", b"", b"hi", chunks=(Chunk(2),)), False),
        (Reply(200, b"OK", b"", b"hi", "chunked"), False),
        (Reply(200, b"OK", b"", Blob("f", 9)), False),
        (Reply(302, b"Found", b"", b"", self_authority=b"a"), False),
    ],
)
def test_which_replies_need_no_fitting(reply: Reply, plain: bool) -> None:
    assert with_head(reply).plain is plain


def test_lines_are_taken_out_of_a_block() -> None:
    assert without(b"A: 1\r\nb: 2\r\nB:3\r\nC: 4\r\n", b"b") == b"A: 1\r\nC: 4\r\n"
