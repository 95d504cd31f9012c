"""Serving HTTP/1: bytes in, outs out. Each case is delivered whole, byte by byte and cut at random places."""

import gzip
import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import convert

from svcmock.noise import Noise
from svcmock.protocol import (
    Ask,
    Blob,
    Close,
    Context,
    Out,
    Send,
    SendFile,
    Session,
    Spool,
    Spooled,
    Wake,
)
from svcmock_protocols.http.codec import with_head
from svcmock_protocols.http.messages import Chunk, Interim, Options, Reply, Request
from svcmock_protocols.http.session import HttpSession
from tests.protocols.conformance import check_session_splits, check_session_survives, serve

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
ASK = Ask(1, Request(b"GET", b"/a", b"1.1", b"Host: shop\r\n"), len(GET))
HI = with_head(Reply(200, b"OK", b"X-a: 1\r\n", b"hi"))
HI_BYTES = b"HTTP/1.1 200 OK\r\nX-a: 1\r\nContent-Length: 2\r\n\r\nhi"
CLOSE = Close("flush")


def token(credential: bytes) -> bytes:
    return b"svcmock-" + b"a" * 24 if credential == b"swordfish" else credential


def make(pace: float = 1.0, **options: int) -> HttpSession:
    return HttpSession(Context(options=convert(options, Options), ignore=Noise(), token=token, pace=pace))


def hi(_: Request) -> Reply:
    return HI


def always(reply: Reply) -> Callable[[Request], Reply]:
    return lambda _: reply


def sent(data: bytes, reply: Reply, **options: int) -> bytes:
    """What a client gets that sends `data` and is answered with `reply`, with and without a ready head."""
    outs = check_session_splits(lambda: make(**options), data, always(reply))
    assert serve(make(**options), [data], always(with_head(reply)), ending=True) == outs
    return b"".join(out.data for out in outs if isinstance(out, Send))


# --- requests -----------------------------------------------------------------------------------------


def test_a_get_is_asked_and_answered() -> None:
    assert check_session_splits(make, GET, hi) == [ASK, Send(HI_BYTES), CLOSE]


def test_pipelined_requests_are_asked_one_at_a_time() -> None:
    session = make()
    assert session.received(GET + GET) == (ASK,)
    assert session.received(GET) == ()
    assert session.answered(ASK, HI) == (Send(HI_BYTES), ASK)
    assert session.answered(ASK, HI) == (Send(HI_BYTES), ASK)
    assert session.answered(ASK, HI) == (Send(HI_BYTES),)
    assert session.at_rest == make().at_rest
    assert session.answered(ASK, HI) == ()


def test_requests_of_every_kind_on_one_connection() -> None:
    data = (
        b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        b"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\na\r\n2;x\r\nbc\r\n0\r\nT: 1\r\n\r\n"
        b"PUT http://other/3 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"
        b"GET /5 HTTP/1.0\r\n\r\n"
    )
    outs = check_session_splits(make, data, hi)
    seen = [
        (out.request.target, out.request.body, out.request.trailers) for out in outs if isinstance(out, Ask)
    ]
    assert seen == [
        (b"/1", b"abc", b""), (b"/2", b"abc", b"T: 1\r\n"), (b"http://other/3", b"", b""), (b"*", b"", b""),
        (b"/5", b"", b""),
    ]  # fmt: skip
    assert sum(out.size for out in outs if isinstance(out, Ask)) == len(data)


@pytest.mark.parametrize(
    ("data", "status", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request", b"without Host"),
        (b"GET / HTTP/1.1\nHost: a\n\n", b"400 Bad Request", b"LF without CR"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n",
            b"400 Bad Request",
            b"chunk",
        ),
        (b"GET /" + b"a" * 17_000, b"414 URI Too Long", b"longer than"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000, b"431 Request Header Fields Too Large", b"head"),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\n", b"413 Content Too Large", b"body"),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", b"417 Expectation Failed", b"100-continue"),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", b"501 Not Implemented", b"chunked"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", b"501 Not Implemented", b"not a proxy"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", b"505 HTTP Version Not Supported", b"HTTP/1.1"),
    ],
)
def test_a_refused_request_is_told_why_and_closed(data: bytes, status: bytes, why: bytes) -> None:
    cuts = check_session_splits if len(data) < 5000 else _whole
    said, closed = cuts(make, data, hi)
    assert isinstance(said, Send)
    head, _, body = said.data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert head.endswith(b"\r\nConnection: close")
    assert b"Content-Length: %d\r\n" % len(body) in head
    assert why in body
    assert closed == CLOSE


def _whole(make_session: Callable[[], Session], data: bytes, answer: Callable[[Request], Reply]) -> list[Out]:
    return serve(make_session(), [data], answer, ending=True)


def test_nothing_is_read_after_a_refusal() -> None:
    session = make()
    assert session.received(b"BAD\n" + GET)[-1] == CLOSE
    assert session.received(GET) == ()
    assert session.eof() == ()
    assert session.timed_out() == ()
    assert session.at_rest is None


def test_a_waiting_client_is_told_to_go_on() -> None:
    head = b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    session = make()
    assert session.received(head) == (Send(b"HTTP/1.1 100 Continue\r\n\r\n"),)
    (ask,) = session.received(b"hi")
    assert isinstance(ask, Ask)
    assert ask.request.body == b"hi"


def test_a_client_that_does_not_wait_is_not() -> None:
    head = b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    assert all(isinstance(out, Ask) for out in make().received(head + b"hi"))
    assert make().received(head + b"h") == []
    empty = head.replace(b"Content-Length: 2", b"Content-Length: 0")
    assert all(isinstance(out, Ask) for out in make().received(empty))


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize(
    ("coding", "body", "plain"),
    [
        (b"", b"x" * 50, b"x" * 50),
        (b"gzip", gzip.compress(bytes(range(100)), mtime=0), bytes(range(100))),
        (b"", b'{"password": "swordfish"}', b'{"password": "%b"}' % token(b"swordfish")),
    ],
)
def test_a_large_body_goes_to_disk_while_it_arrives(
    coding: bytes, body: bytes, plain: bytes, chunked: bool
) -> None:
    head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Encoding: " + coding + b"\r\n"
    if chunked:
        data = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        data = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    outs = check_session_splits(lambda: make(max_body_memory=10), data + GET, hi)
    spool, ask, _, following, *_ = outs
    assert spool == Spool(1, plain)
    assert isinstance(ask, Ask)
    assert ask.request.body == Spooled(1, len(plain), hashlib.sha256(plain).hexdigest())
    assert following == ASK


def test_a_large_body_that_is_not_what_its_coding_says_is_known_as_it_came() -> None:
    body = b"no gzip at all, but long"
    data = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    ask, *_ = check_session_splits(lambda: make(max_body_memory=10), data, hi)
    assert isinstance(ask, Ask)
    assert ask.request.body == Spooled(1, len(body), hashlib.sha256(body).hexdigest())


def test_a_body_is_refused_where_it_grows_too_large() -> None:
    data = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n"
    outs = check_session_splits(lambda: make(max_body=5), data, hi)
    assert isinstance(outs[0], Send)
    assert outs[0].data.startswith(b"HTTP/1.1 413 ")


# --- the connection -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "reply", "stays"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", HI, True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", HI, False),
        (b"GET / HTTP/1.0\r\n\r\n", HI, False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", HI, True),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Reply(200, b"", b"", b"a", "chunked"), False),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Reply(200, b"", b"Connection: Close\r\n", b"a"), False),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Reply(200, b"", b"", b"a", version=b"1.0"), False),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
         Reply(200, b"", b"Connection: keep-alive\r\n", b"a", version=b"1.0"), True),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Reply(200, b"", b"", b"a", "close"), False),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", Reply(200, b"", b"", b"a", "close"), True),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Reply(200, b"", b"", b"", "none"), False),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Reply(200, b"", b"Content-Length: 9\r\n", b"a"), False),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Reply(304, b"", b"Content-Length: 9\r\n", b"", "none"), True),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Reply(204), True),
    ],
)  # fmt: skip
def test_who_keeps_the_connection(request_: bytes, reply: Reply, stays: bool) -> None:
    for one in (reply, with_head(reply)):
        session = make()
        outs = serve(session, [request_], always(one))
        assert (outs[-1] != CLOSE) is stays
        assert (session.at_rest is not None) is stays


def test_an_old_client_that_asks_is_told_the_connection_stays() -> None:
    got = sent(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", HI)
    assert got == b"HTTP/1.1 200 OK\r\nX-a: 1\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi"


def test_at_rest_means_between_messages() -> None:
    session = make()
    rest = session.at_rest
    assert rest is not None
    session.received(GET[:5])
    assert session.at_rest is None
    session.received(GET[5:])
    assert session.at_rest is None
    session.answered(ASK, HI)
    assert session.at_rest == rest


def test_the_end_of_a_client_that_is_owed_an_answer() -> None:
    session = make()
    session.received(GET + GET + b"GET /half")
    assert session.eof() == ()
    assert session.answered(ASK, HI) == (Send(HI_BYTES), ASK)
    assert session.answered(ASK, HI) == (Send(HI_BYTES), CLOSE)


def test_the_end_of_a_client_inside_a_message() -> None:
    for data in (b"", b"GET /", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"):
        session = make()
        session.received(data)
        assert session.eof() == (CLOSE,)


def test_time_out() -> None:
    idle = make()
    assert idle.timed_out() == (CLOSE,)
    for data in (b"GET /", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"):
        session = make()
        session.received(data)
        said, closed = session.timed_out()
        assert isinstance(said, Send)
        assert said.data.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert closed == CLOSE
    owed = make()
    owed.received(GET)
    assert owed.timed_out() == ()
    assert owed.answered(ASK, HI) == (Send(HI_BYTES),)


def test_draining() -> None:
    assert make().draining() == (CLOSE,)
    session = make()
    session.received(GET + GET)
    assert session.draining() == ()
    assert session.answered(ASK, HI) == [
        Send(b"HTTP/1.1 200 OK\r\nX-a: 1\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"),
        CLOSE,
    ]
    half = make()
    half.received(GET[:9])
    assert half.draining() == ()
    assert half.received(GET[9:]) == (ASK,)
    assert half.answered(ASK, HI)[-1] == CLOSE


# --- replies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "wire"),
    [
        (Reply(200, b"Fine", b"b: 1\r\nA:2\r\nb: 3\r\n", b"hi"),
         b"HTTP/1.1 200 Fine\r\nb: 1\r\nA:2\r\nb: 3\r\nContent-Length: 2\r\n\r\nhi"),
        (Reply(200, b"OK", b"TRANSFER-encoding: chunked\r\n", b"hello", "chunked", (Chunk(2), Chunk(3)),
               b"T: 1\r\n"),
         b"HTTP/1.1 200 OK\r\nTRANSFER-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nT: 1\r\n\r\n"),
        (Reply(200, b"OK", b"", b"hello", "chunked"),
         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        (Reply(200, b"OK", b"", b"", "chunked"),
         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (Reply(200, b"OK", b"", b"hello", "chunked", (Chunk(0), Chunk(4), Chunk(9))),
         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n1\r\no\r\n0\r\n\r\n"),
        (Reply(200, b"OK", b"", b"hello", "close", version=b"1.0"), b"HTTP/1.0 200 OK\r\n\r\nhello"),
        (Reply(204, b"No Content"), b"HTTP/1.1 204 No Content\r\n\r\n"),
        (Reply(200, b"OK", b"", b"hi", interim=(Interim(103, b"Early Hints", b"Link: </a>\r\n"),)),
         b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    ],
)  # fmt: skip
def test_a_reply_leaves_as_it_was(reply: Reply, wire: bytes) -> None:
    assert sent(GET, reply) == wire


def test_a_head_request_gets_the_head_only() -> None:
    head = GET.replace(b"GET", b"HEAD")
    assert sent(head, HI) == HI_BYTES.removesuffix(b"hi")
    assert sent(head, Reply(200, b"OK", b"Content-Length: 7\r\n", b"", "none")) == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"
    )
    chunked = Reply(200, b"OK", b"Transfer-Encoding: chunked\r\n", b"hi", "chunked")
    assert sent(head, chunked) == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_an_old_client_gets_no_chunks_and_no_interim_replies() -> None:
    block = b"Transfer-Encoding: chunked\r\nTrailer: T\r\nA: b\r\nConnection: keep-alive\r\n"
    reply = Reply(200, b"OK", block, b"hello", "chunked", (Chunk(2),), b"T: 1\r\n", (Interim(103, b"Hints"),))
    wire = b"HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\nhello"
    assert sent(b"GET / HTTP/1.0\r\n\r\n", reply) == wire


STREAM = Reply(200, b"OK", b"", b"abcde", "chunked", (Chunk(1), Chunk(2, 0.5), Chunk(1), Chunk(1, 0.25)))


def test_a_streamed_reply_keeps_its_gaps() -> None:
    session = make(pace=2)
    session.received(GET + GET)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert session.answered(ASK, STREAM) == [Send(head + b"1\r\na\r\n"), Wake(1.0, "gap")]
    assert session.answered(ASK, STREAM) == ()
    assert session.woke("other") == ()
    assert session.at_rest is None
    assert session.woke("gap") == [Send(b"2\r\nbc\r\n1\r\nd\r\n"), Wake(0.5, "gap")]
    assert session.woke("gap") == [Send(b"1\r\ne\r\n0\r\n\r\n"), ASK]


def test_without_pace_there_are_no_gaps() -> None:
    session = make(pace=0)
    session.received(GET)
    assert [type(out) for out in session.answered(ASK, STREAM)] == [Send]


def test_a_reply_of_a_length_may_be_streamed_too() -> None:
    session = make()
    session.received(GET)
    reply = Reply(200, b"OK", b"", b"abc", chunks=(Chunk(1, 0.5), Chunk(1)))
    assert session.answered(ASK, reply) == [
        Send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"),
        Wake(0.5, "gap"),
    ]
    assert session.woke("gap") == [Send(b"abc")]


def test_a_body_in_a_file_is_sent_from_there() -> None:
    blob = Blob("bodies/x", 5, offset=100, sha256="0" * 64)
    session = make()
    session.received(GET)
    assert session.answered(ASK, Reply(200, b"OK", b"", blob)) == [
        Send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        SendFile(blob),
    ]
    session.received(GET)
    assert session.answered(ASK, Reply(200, b"OK", b"", blob, "chunked", (Chunk(2),))) == [
        Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n"),
        SendFile(Blob("bodies/x", 2, offset=100)),
        Send(b"\r\n3\r\n"),
        SendFile(Blob("bodies/x", 3, offset=102)),
        Send(b"\r\n0\r\n\r\n"),
    ]


def test_a_body_that_is_still_being_recorded_is_an_error_and_no_exception() -> None:
    session = make()
    session.received(GET)
    said, closed = session.answered(ASK, Reply(200, b"OK", b"", Spooled(1, 5, "")))
    assert isinstance(said, Send)
    assert said.data.startswith(b"HTTP/1.1 500 ")
    assert closed == CLOSE


CODED = Reply(
    200, b"OK", b"Content-Encoding: gzip\r\nA: b\r\nContent-Length: 22\r\n", gzip.compress(b"hi", mtime=0)
)


@pytest.mark.parametrize(
    ("accept", "decoded"),
    [
        (b"", True),
        (b"Accept-Encoding: gzip, br\r\n", False),
        (b"Accept-Encoding: gzip;q=0, *\r\n", True),
        (b"Accept-Encoding: identity\r\n", True),
        (b"Accept-Encoding: *\r\n", False),
    ],
)
def test_a_client_gets_a_coding_that_it_takes(accept: bytes, decoded: bool) -> None:
    request = b"GET /a HTTP/1.1\r\nHost: shop\r\n" + accept + b"\r\n"
    plain = b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\nhi"
    coded = b"HTTP/1.1 200 OK\r\n" + CODED.block + b"\r\n" + bytes(CODED.body)  # type: ignore[arg-type]
    assert sent(request, CODED) == (plain if decoded else coded)


def test_a_coding_that_was_not_negotiated_or_does_not_come_off_stays() -> None:
    forced = Reply(CODED.status, CODED.reason, CODED.block, CODED.body, negotiated=False)
    assert b"Content-Encoding: gzip" in sent(GET, forced)
    broken = Reply(200, b"OK", b"Content-Encoding: gzip\r\n", b"hi")
    assert sent(GET, broken) == b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi"
    unknown = Reply(200, b"OK", b"Content-Encoding: compress\r\n", b"hi")
    assert b"Content-Encoding: compress" in sent(GET, unknown)


@pytest.mark.parametrize(
    ("recorded", "live"),
    [
        (b"Location: http://old:1/x\r\n", b"Location: http://shop/x\r\n"),
        (b"A: http://old:1/\r\nlocation:http://OLD:1\r\n", b"A: http://old:1/\r\nlocation:http://shop\r\n"),
        (b"Location: //old:1?x\r\n", b"Location: //shop?x\r\n"),
        (b"Location: http://old:12/x\r\n", b"Location: http://old:12/x\r\n"),
        (b"Location: http://other/?http://old:1/\r\n", b"Location: http://other/?http://old:1/\r\n"),
        (b"Location: /x\r\n", b"Location: /x\r\n"),
    ],
)
def test_a_redirect_to_the_service_leads_to_where_this_client_reached_it(recorded: bytes, live: bytes) -> None:
    reply = Reply(302, b"Found", recorded, b"", self_authority=b"old:1")
    assert sent(GET, reply) == b"HTTP/1.1 302 Found\r\n" + live + b"Content-Length: 0\r\n\r\n"
    same = GET.replace(b"shop", b"old:1")
    assert sent(same, reply) == b"HTTP/1.1 302 Found\r\n" + recorded + b"Content-Length: 0\r\n\r\n"


# --- hostile input ------------------------------------------------------------------------------------

SEEDS = [
    GET + GET,
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + GET,
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: 1\r\n\r\n" + GET,
    b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + GET,
]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(SEEDS), st.integers(0, 1 << 30), st.sampled_from([2, 1 << 20]))
def test_no_bytes_make_a_session_raise(data: bytes, seed: int, memory: int) -> None:
    for at in range(seed, seed + 3):
        check_session_survives(lambda: make(max_body_memory=memory), data, hi, at)


def test_a_head_that_comes_byte_by_byte_costs_linear_time() -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 60_000 + b"\r\n\r\n"
    session = make()
    for at in range(len(data)):
        outs = session.received(data[at : at + 1])
    assert isinstance(outs[0], Ask)


def test_a_client_that_is_always_ahead_costs_bounded_memory() -> None:
    session = make()
    burst = GET * 4000
    session.received(burst + burst)
    for _ in range(20):
        for _ in range(4000):
            session.answered(ASK, HI)
        session.received(burst)
    assert len(session._buffer) < 8 * len(burst)


def test_forty_thousand_pipelined_requests_cost_linear_time() -> None:
    session = make()
    outs = serve(session, [GET * 40_000], hi)
    assert sum(isinstance(out, Ask) for out in outs) == 40_000
