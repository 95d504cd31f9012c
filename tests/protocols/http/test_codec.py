"""Heads of HTTP/1 messages, with literal bytes."""

from collections.abc import Iterable
from itertools import repeat

import pytest

from svcmock.protocol import Blob
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
from svcmock_protocols.http.messages import Chunk, Reply, Request
from tests.protocols.conformance import check_decoder

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
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
     "length-and-encoding"),
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
    with pytest.raises(MessageError) as refused:
        slowly(b"", (head[at : at + 1] for at in range(len(head))))
    assert refused.value.fault == fault


def slowly(first: bytes, reads: Iterable[bytes]) -> None:
    """Parse a head that goes on with `reads` and is not complete before it is refused."""
    buffer = bytearray(first)
    scanned = 0
    for data in reads:
        buffer += data
        assert parse_request_head(buffer, 0, MAX_HEAD, scanned) is None
        scanned = len(buffer)


@pytest.mark.parametrize(
    ("first", "fault", "by"),
    [(b"GET /", "line-too-long", MAX_LINE + 100), (b"GET / HTTP/1.1\r\nX: ", "head-too-large", MAX_HEAD + 100)],
)
def test_an_endless_head_is_refused_as_soon_as_its_limit_is_passed(first: bytes, fault: str, by: int) -> None:
    with pytest.raises(MessageError) as refused:
        slowly(first, repeat(b"a", by))
    assert refused.value.fault == fault


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"GET /\x01" + b"a" * MAX_LINE, "control-byte"),
        (b"GET /" + b"a" * MAX_LINE + b"\x01", "line-too-long"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_LINE + b"\x01", "control-byte"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD + b"\x01", "head-too-large"),
    ],
)
def test_the_first_fault_counts(data: bytes, fault: str) -> None:
    for tail in (b"", b"\r\n\r\n"):
        with pytest.raises(MessageError) as refused:
            parse_request_head(data + tail)
        assert refused.value.fault == fault


def test_what_stands_before_a_head_does_not_excuse_it() -> None:
    with pytest.raises(MessageError, match="LF without CR"):
        parse_request_head(b"body\r\nGET", 5)


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
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"GET", 304, b"Not Modified", "none",
         0, True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"GET", 103, b"Early Hints", "none", 0, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", b"GET", 200, b"OK", "length",
         5, True),
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
