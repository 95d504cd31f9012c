"""What a client is sent for a reply, as a table of requests, replies and bytes."""

import pytest

from svcmock.protocol import Blob, Send, SendFile, Spooled, Wake
from svcmock_protocols.http.codec import RequestHead, parse_request_head, with_head
from svcmock_protocols.http.coding import encode
from svcmock_protocols.http.messages import Chunk, Interim, Reply
from svcmock_protocols.http.sending import GAP, deliver, refusal

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
HELLO = Reply(200, b"OK", b"Content-Length: 5\r\n", b"hello")
CHUNKED = Reply(
    200,
    b"OK",
    b"Transfer-Encoding: chunked\r\n",
    b"hello",
    "chunked",
    (Chunk(2), Chunk(3)),
    b"X-Sum: 1\r\n",
)
CODED = Reply(200, b"OK", b"Content-Encoding: gzip\r\n", encode(b"hello", b"gzip") or b"")


def asked(data: bytes) -> RequestHead:
    found = parse_request_head(data)
    assert found is not None
    return found[0]


def sent(
    reply: Reply, data: bytes = GET, pace: float = 1.0, *, closing: bool = False
) -> tuple[bool, list[object]]:
    closes, outs = deliver(with_head(reply), asked(data), pace, closing=closing)
    return closes, list(outs)


@pytest.mark.parametrize(
    ("data", "reply", "closes", "wire"),
    [
        (GET, HELLO, False, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        (
            b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
            HELLO,
            False,
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        ),
        (
            GET,
            CHUNKED,
            False,
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 1\r\n\r\n"
            ),
        ),
        # a client of HTTP/1.0 knows no chunks: the connection's end is the body's
        (OLD, CHUNKED, True, b"HTTP/1.1 200 OK\r\n\r\nhello"),
        (
            b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            HELLO,
            False,
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
        ),
        (GET, Reply(204, b"No Content", framing="none"), False, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (GET, Reply(200, b"OK", b"", b"hello", "close"), True, b"HTTP/1.1 200 OK\r\n\r\nhello"),
        (
            GET,
            Reply(200, b"OK", b"Connection: close\r\nContent-Length: 5\r\n", b"hello"),
            True,
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        ),
        # a coding that the client does not take is taken off, and the length is that of what is sent
        (GET, CODED, False, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        # 1xx replies go before the final one, to those who know them
        (
            GET,
            Reply(
                200, b"OK", b"Content-Length: 0\r\n", interim=(Interim(103, b"Early Hints", b"Link: <a>\r\n"),)
            ),
            False,
            b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            OLD,
            Reply(200, b"OK", b"Content-Length: 0\r\n", interim=(Interim(103, b"Early Hints"),)),
            True,
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ),
        # a redirect to the service leads to where this client found it
        (
            b"GET / HTTP/1.1\r\nHost: localhost:99\r\n\r\n",
            Reply(302, b"Found", b"Location: http://a:1/x\r\nContent-Length: 0\r\n", self_authority=b"a:1"),
            False,
            b"HTTP/1.1 302 Found\r\nLocation: http://localhost:99/x\r\nContent-Length: 0\r\n\r\n",
        ),
    ],
)
def test_what_is_sent(data: bytes, reply: Reply, closes: bool, wire: bytes) -> None:
    closed, outs = sent(reply, data)
    assert (closed, outs) == (closes, [Send(wire)])


def test_a_daemon_that_stops_says_so_to_a_client_that_would_stay() -> None:
    closes, outs = sent(HELLO, closing=True)
    assert closes
    assert outs == [Send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")]


def test_a_coding_that_the_client_takes_stays_on() -> None:
    _, outs = sent(CODED, b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    assert isinstance(CODED.body, bytes)
    assert isinstance(outs[0], Send)
    assert outs[0].data.endswith(b"\r\n\r\n" + CODED.body)


@pytest.mark.parametrize(("pace", "gap"), [(1.0, 0.5), (2.0, 1.0), (0.1, 0.05)])
def test_gaps_are_waited_for_at_the_services_pace(pace: float, gap: float) -> None:
    reply = Reply(200, b"OK", b"Content-Length: 5\r\n", b"hello", chunks=(Chunk(2), Chunk(3, 0.5)))
    _, outs = sent(reply, pace=pace)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    assert outs == [Send(head + b"he"), Wake(gap, GAP), Send(b"llo")]


def test_no_gap_is_waited_for_at_no_pace() -> None:
    reply = Reply(200, b"OK", b"Content-Length: 5\r\n", b"hello", chunks=(Chunk(2), Chunk(3, 0.5)))
    assert sent(reply, pace=0.0)[1] == [Send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")]


def test_a_body_on_disk_is_sent_from_there_in_its_chunks() -> None:
    body = Blob("/b", 5, 10)
    reply = Reply(200, b"OK", b"Transfer-Encoding: chunked\r\n", body, "chunked", (Chunk(2),))
    _, outs = sent(reply)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert outs == [
        Send(head + b"2\r\n"),
        SendFile(Blob("/b", 2, 10)),
        Send(b"\r\n3\r\n"),
        SendFile(Blob("/b", 3, 12)),
        Send(b"\r\n0\r\n\r\n"),
    ]


def test_a_reply_that_is_still_recorded_is_an_error_not_half_a_body() -> None:
    closes, outs = deliver(Reply(200, body=Spooled(1, 5, "")), asked(GET), 1.0, closing=False)
    assert closes
    assert next(outs) == refusal(500, "this reply is still being recorded and cannot be served yet")


def test_a_refusal_is_a_whole_reply() -> None:
    assert refusal(413, "too large") == Send(
        b"HTTP/1.1 413 Content Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: 10\r\nConnection: close\r\n\r\ntoo large\n"
    )
