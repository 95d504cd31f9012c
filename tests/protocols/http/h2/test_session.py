"""Serving HTTP/2: literal frames in, frames out. What RFC 9113 demands of every frame is in test_rfc9113."""

import base64
import gzip
from itertools import pairwise
from typing import Any

import pytest

from svcmock.protocol import Ask, Become, Blob, Close, Send, SendFile, Spooled, Wake
from svcmock_protocols.http.codec import with_head
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.calm import CALM, RESTED, SECONDS
from svcmock_protocols.http.h2.credit import CREDIT, STREAM_CREDIT
from svcmock_protocols.http.h2.sender import PIECE, TURN
from svcmock_protocols.http.h2.session import Http2Session
from svcmock_protocols.http.messages import Chunk, Interim, Reply, Request
from svcmock_protocols.http.session import HttpSession
from tests.protocols.conformance import check_session_splits, serve
from tests.protocols.http.h2.sessions import (
    HI,
    HI_WORDS,
    Answer,
    Client,
    block,
    body_of,
    context,
    data,
    fields,
    hi,
    make,
    ping,
    post,
    raw,
    request,
    setting,
    words,
)

START = frames.PREFACE + frames.settings({})
LARGE = frames.settings({4: (1 << 31) - 1}) + frames.window_update(0, (1 << 31) - 1 - 65535)
"""Windows that never close."""


def always(reply: Reply) -> Answer:
    return lambda _: reply


def head_words(stream: int, *listed: str, ends: bool = False) -> str:
    return f"headers {stream}{' end' if ends else ''} [{', '.join(listed)}]"


# --- requests -----------------------------------------------------------------------------------------


def test_a_get_is_asked_and_answered() -> None:
    sent = START + request(1, b"GET", b"/a?b", (b"accept", b"*/*"))
    outs = check_session_splits(make, sent, hi)
    asked = Request(b"GET", b"/a?b", b"2", b"host: shop\r\naccept: */*\r\n")
    size = len(block(*fields(b"GET", b"/a?b", (b"accept", b"*/*"))))
    first, ask, answered, closed = outs
    assert (ask, closed) == (Ask(1, asked, size), Close("flush"))
    assert isinstance(first, Send)
    assert words(first.data)[-1] == "settings ack"
    assert isinstance(answered, Send)
    assert words(answered.data) == HI_WORDS


def test_requests_of_every_kind_on_one_connection() -> None:
    sent = (
        START
        + post(1) + data(1, b"ab") + data(1, b"c", ends=True)
        + post(3, (b"content-length", b"3")) + data(3, b"abc", ends=True)
        + post(5) + data(5, b"ab") + frames.header_block(5, block((b"t", b"1")), ends=True)
        + request(7, b"HEAD") + request(9, b"OPTIONS", b"*")
        + post(11) + data(11, ends=True)
        + post(13) + raw(frames.DATA, frames.PADDED, 13, b"\2ab\0\0") + data(13, ends=True)
    )  # fmt: skip
    outs = check_session_splits(make, sent, hi)
    seen = [
        (out.id, out.request.method, out.request.body, out.request.trailers)
        for out in outs
        if isinstance(out, Ask)
    ]
    assert seen == [
        (1, b"POST", b"abc", b""), (3, b"POST", b"abc", b""), (5, b"POST", b"ab", b"t: 1\r\n"),
        (7, b"HEAD", b"", b""), (9, b"OPTIONS", b"", b""), (11, b"POST", b"", b""), (13, b"POST", b"ab", b""),
    ]  # fmt: skip


def test_bodies_of_many_streams_may_be_interleaved_and_answered_in_any_order() -> None:
    client = Client(answer=None)
    client.send(post(1), post(3), data(3, b"three"), data(1, b"one"), request(5), data(3, ends=True))
    client.send(data(1, ends=True))
    assert [(ask.id, ask.request.body) for ask in client.asks] == [(5, b""), (3, b"three"), (1, b"one")]
    assert client.reply(HI, 2) == HI_WORDS
    assert client.reply(HI, 0)[1] == "data 5 end 'hi'"
    assert client.reply(HI, 0)[1] == "data 3 end 'hi'"


def test_an_answer_to_nothing_is_not_sent() -> None:
    client = Client(answer=None)
    client.send(request(1))
    assert not client.session.answered(Ask(3, client.asks[0].request), HI)
    ask = client.asks[0]
    client.reply(HI)
    assert not client.session.answered(ask, HI)
    assert not client.session.waiting(ask, 1.0)
    assert not client.session.woke(("gap", 1))
    assert not client.session.woke("other")


def test_a_body_that_is_too_large_to_hold_is_known_by_its_digest() -> None:
    client = Client(make(max_body_memory=10), answer=None)
    client.send(post(1), data(1, b"x" * 8), data(1, b"x" * 8, ends=True))
    client.send(post(3), data(3, b"x" * 16, ends=True))
    client.send(post(5), data(5, b"x" * 8), data(5, b"x" * 2, ends=True))
    bodies = [ask.request.body for ask in client.asks]
    assert isinstance(bodies[0], Spooled)
    assert isinstance(bodies[1], Spooled)
    assert bodies[0].sha256 == bodies[1].sha256
    assert bodies[2] == b"x" * 10
    assert client.asks[0].size == len(client.asks[0].request.block) + 16


def test_a_waiting_client_is_told_to_go_on() -> None:
    client = Client()
    assert client.send(post(1, (b"expect", b"100-Continue"))) == ["headers 1 [:status 100]"]
    assert client.send(data(1, b"a", ends=True)) == HI_WORDS
    assert client.send(request(3, b"POST", b"/", (b"expect", b"100-continue")))[1] == "data 3 end 'hi'"


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status", "why"),
    [
        (request(1, b"POST", b"/", (b"expect", b"magic")), 417, "100-continue"),
        (
            frames.header_block(1, block((b":method", b"CONNECT"), (b":authority", b"a:1")), ends=True),
            501,
            "proxy",
        ),
        (request(1, b"GET", b"/", (b"a", b"x" * 8000), (b"b", b"x" * 8000)), 431, "head"),
        (request(1, b"GET", b"/", *[(b"a", b"b")] * 300), 431, "head"),
        (post(1) + data(1, b"x" * 101, ends=True), 413, "body"),
        (post(1) + frames.header_block(1, block(*[(b"a", b"b")] * 300), ends=True), 431, "trailers"),
    ],
)
def test_a_refused_request_is_told_why_and_the_connection_goes_on(sent: bytes, status: int, why: str) -> None:
    client = Client(make(max_head=10_000, max_body=100))
    head, text = client.send(sent)
    assert head.startswith(
        f"headers 1 [:status {status}, content-type text/plain; charset=utf-8, content-length "
    )
    assert text.startswith("data 1 end ")
    assert why in client.got.decode("latin-1")
    assert client.send(request(3))[1] == "data 3 end 'hi'"


def test_a_client_that_still_sends_a_refused_body_is_asked_to_stop() -> None:
    client = Client(make(max_body=10), answer=None)
    told = client.send(post(1), data(1, b"x" * 11))
    assert told[-1] == "rst_stream 1 NO_ERROR"
    assert client.send(data(1, b"x" * 11), data(1, ends=True), ping()) == ["ping ack 12345678"]


def test_a_refusal_that_waits_for_a_window_is_said_once() -> None:
    client = Client(make(max_body=10), settings={4: 0})
    told = client.send(post(1), data(1, b"x" * 11), data(1, b"x" * 11))
    told += client.send(data(1, ends=True), frames.window_update(1, 1000))
    assert [word.split()[0] for word in told] == ["headers", "data"]
    client = Client(make(max_body=10), settings={4: 0})
    client.send(post(1), data(1, b"x" * 11))
    client.send(frames.header_block(1, block((b"a", b"b")), ends=True))
    assert len(client.send(frames.window_update(1, 1000))) == 1


def test_too_many_streams_are_refused_without_losing_the_table() -> None:
    client = Client(answer=None)
    client.session._streams.update(dict.fromkeys(range(10_001, 12_001), None))  # type: ignore[attr-defined]
    indexed = frames.header_block(1, block(*fields()) + b"\x40\x01a\x01b", ends=True)
    assert client.send(indexed) == ["rst_stream 1 REFUSED_STREAM"]
    client.session._streams.clear()  # type: ignore[attr-defined]
    client.send(frames.header_block(3, block(*fields()) + b"\xbe", ends=True))
    assert client.asks[0].request.block == b"host: shop\r\na: b\r\n"


# --- flow control: what we send -----------------------------------------------------------------------

BODY = bytes(range(256)) * 400  # 102 400 bytes
PLAIN = Reply(200, b"OK", b"", BODY)
FILED = Reply(200, b"OK", b"", Blob("bodies/x", len(BODY) - 100, offset=100))


@pytest.mark.parametrize(("reply", "wanted"), [(PLAIN, BODY), (FILED, BODY[100:])])
def test_a_body_is_sent_as_the_windows_open(reply: Reply, wanted: bytes) -> None:
    client = Client(answer=always(reply), settings={4: 1000}, files={"bodies/x": BODY})
    assert client.send(request(1))[1:] == ["data 1 1000 bytes"]
    assert client.send(frames.window_update(1, 1)) == [f"data 1 {_short(wanted[1000:1001])}"]
    assert client.send(setting(4, 20)) == ["settings ack"]  # the stream's window is 980 below nothing
    assert client.send(frames.window_update(1, 981)) == [f"data 1 {_short(wanted[1001:1002])}"]
    told = client.send(frames.window_update(1, 200_000))
    assert told == ["data 1 16384 bytes"] * 3 + [f"data 1 {65535 - 1002 - 3 * 16384} bytes"]
    told = client.send(frames.window_update(0, 20_000))
    assert told == ["data 1 16384 bytes", "data 1 3616 bytes"]
    told = client.send(frames.window_update(0, 200_000))
    assert body_of(told) == len(wanted) - 85_535
    assert "end" in told[-1]
    assert not client.session._sender.blocked  # type: ignore[attr-defined]


def _short(sent: bytes) -> str:
    return repr(sent.decode("latin-1"))


def test_frames_are_as_large_as_the_client_takes() -> None:
    client = Client(answer=always(PLAIN), start=START + LARGE + setting(5, 50_000))
    assert [word.split(" ", 2)[2] for word in client.send(request(1))[1:]] == [
        "50000 bytes", "50000 bytes", "end 2400 bytes"
    ]  # fmt: skip
    client.send(setting(5, (1 << 24) - 1))
    client.answer = always(Reply(200, b"OK", b"", bytes(PIECE + 1)))
    assert client.send(request(3))[1:] == [f"data 3 {PIECE} bytes", "data 3 end '\\x00'"]


def test_a_file_is_sent_in_pieces_between_frame_headers() -> None:
    session = make()
    session.opened()
    session.received(START + LARGE + request(1))
    outs = session.answered(Ask(1, Request(b"GET", b"/")), FILED)
    assert outs[1:3] == [Send(frames.head(0, 0, 1, 16384)), SendFile(Blob("bodies/x", 16384, 100))]
    assert outs[-2:] == [
        Send(frames.head(0, frames.END_STREAM, 1, 102_300 - 6 * 16384)),
        SendFile(Blob("bodies/x", 102_300 - 6 * 16384, 100 + 6 * 16384)),
    ]


def test_a_reply_that_fits_overtakes_one_that_waits() -> None:
    client = Client(answer=lambda asked: PLAIN if asked.target == b"/large" else HI, settings={4: 100})
    client.send(request(1, b"GET", b"/large"))
    assert client.send(request(3))[1] == "data 3 end 'hi'"


def test_streams_that_wait_take_turns() -> None:
    body = bytes(3 * TURN)
    client = Client(answer=always(Reply(200, b"OK", b"", body)), start=START + setting(4, (1 << 31) - 1))
    client.send(request(1), request(3), request(5))
    assert client.session._sender.window == 0  # type: ignore[attr-defined]
    told = client.send(frames.window_update(0, 1 << 30))
    order = [int(word.split()[1]) for word in told]
    changes = [first for first, then in pairwise([*order, 0]) if first != then]
    assert changes == [1, 3, 5, 1, 3, 5, 1, 3, 5, 3, 5][: len(changes)]
    assert len(changes) >= 8
    assert body_of(told) == 9 * TURN - 65535


def test_a_stream_that_waits_does_not_hold_the_others() -> None:
    client = Client(answer=always(PLAIN), start=START + setting(4, 0) + frames.window_update(0, 1 << 20))
    client.send(request(1), request(3))
    assert body_of(client.send(frames.window_update(3, 1 << 20))) == len(BODY)
    assert body_of(client.send(frames.window_update(1, 1 << 20))) == len(BODY)


def test_a_client_that_resets_a_stream_that_waits() -> None:
    client = Client(answer=always(PLAIN), settings={4: 0})
    client.send(request(1))
    assert client.send(frames.rst_stream(1, 8)) == []
    assert client.send(frames.window_update(1, 100), setting(4, 1000)) == ["settings ack"]
    assert not client.session._sender.blocked  # type: ignore[attr-defined]


def test_a_reply_without_a_body_needs_no_window_however_negative() -> None:
    client = Client(answer=always(PLAIN), settings={4: 1000})
    client.send(request(1))
    client.send(setting(4, 0))
    client.answer = always(Reply(204))
    assert client.send(request(3)) == ["headers 3 end [:status 204]"]


def test_trailers_wait_for_the_body_and_need_no_window() -> None:
    client = Client(
        answer=always(Reply(200, b"OK", b"", b"abc", "chunked", trailers=b"T: 1\r\n")), settings={4: 2}
    )
    assert client.send(request(1)) == ["headers 1 [:status 200]", "data 1 'ab'"]
    assert client.send(frames.window_update(1, 1)) == ["data 1 'c'", "headers 1 end [t 1]"]


# --- flow control: what we receive --------------------------------------------------------------------


def test_a_client_may_send_on_as_what_it_sent_is_dealt_with() -> None:
    client = Client(answer=None)
    client.send(post(1))
    frame = data(1, bytes(16384))
    told = [word for _ in range(STREAM_CREDIT // 2 // 16384 + 1) for word in client.send(frame)]
    assert told == [f"window_update 1 {STREAM_CREDIT // 2 + 16384}"]
    told = [word for _ in range(CREDIT // 2 // 16384) for word in client.send(frame)]
    assert [word for word in told if word.startswith("window_update 0")] == [
        f"window_update 0 {CREDIT // 2 + 16384}"
    ]


def test_bytes_that_nobody_wants_count_for_the_connection() -> None:
    client = Client(answer=None)
    client.send(post(1, (b"content-length", b"1")), data(1, b"ab"))
    told = [word for _ in range(CREDIT // 2 // 16384 + 1) for word in client.send(data(1, bytes(16384)))]
    assert [word.split()[:2] for word in told] == [["window_update", "0"]]


# --- replies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(200, b"Fine", b"B: 1\r\nA:2 \r\nb: 3\r\n", b"hi"),
         [head_words(1, ":status 200", "b 1", "a 2", "b 3", "content-length 2"), "data 1 end 'hi'"]),
        (Reply(200, b"OK", b"Transfer-Encoding: chunked\r\nConnection: x, Close\r\nKeep-Alive: 5\r\nX: y\r\n",
               b"hello", "chunked", (Chunk(2), Chunk(3)), b"T: 1\r\n"),
         [head_words(1, ":status 200"), "data 1 'hello'", head_words(1, "t 1", ends=True)]),
        (Reply(200, b"OK", b"", b"", "chunked"), [head_words(1, ":status 200", ends=True)]),
        (Reply(200, b"OK", b"", b""), [head_words(1, ":status 200", "content-length 0", ends=True)]),
        (Reply(200, b"OK", b"content-length: 9\r\n", b"hi"),
         [head_words(1, ":status 200", "content-length 9"), "data 1 end 'hi'"]),
        (Reply(200, b"OK", b"", b"hello", "close", version=b"1.0"),
         [head_words(1, ":status 200"), "data 1 end 'hello'"]),
        (Reply(204, b"No Content"), [head_words(1, ":status 204", ends=True)]),
        (Reply(304, b"", b"Content-Length: 9\r\nETag: x\r\n", b"", "none"),
         [head_words(1, ":status 304", "content-length 9", "etag x", ends=True)]),
        (Reply(200, b"OK", b"", b"hi", interim=(Interim(103, b"Hints", b"Link: </a>\r\n"), Interim(101, b""))),
         [head_words(1, ":status 103", "link </a>"), head_words(1, ":status 200", "content-length 2"),
          "data 1 end 'hi'"]),
        (Reply(200, b"", b"a: b\r\n", b"hi", "chunked", version=b"2"),
         [head_words(1, ":status 200", "a b"), "data 1 end 'hi'"]),
        (Reply(200, b"", b"a: b\r\n", b"hi", version=b"2"),
         [head_words(1, ":status 200", "a b"), "data 1 end 'hi'"]),
        (Reply(200, b"", b"", b"", "chunked", trailers=b"t: 1\r\n", version=b"2"),
         [head_words(1, ":status 200"), head_words(1, "t 1", ends=True)]),
    ],
)  # fmt: skip
def test_a_reply_as_http_2_has_it(reply: Reply, told: list[str]) -> None:
    for one in (reply, with_head(reply)):
        client = Client(answer=always(one))
        assert client.send(request(1)) == told
        again = [word.replace(" 1 ", " 3 ", 1) for word in told]
        assert client.send(request(3)) == again  # from memory


def test_a_head_request_gets_the_head_only() -> None:
    client = Client()
    assert client.send(request(1, b"HEAD")) == [
        head_words(1, ":status 200", "x-a 1", "content-length 2", ends=True)
    ]
    client.answer = always(Reply(200, b"OK", b"Content-Length: 7\r\n", b"", "none"))
    assert client.send(request(3, b"HEAD")) == [head_words(3, ":status 200", "content-length 7", ends=True)]
    client.answer = always(Reply(200, b"OK", b"A: b\r\n", b"", trailers=b"T: 1\r\n"))
    assert client.send(request(5, b"HEAD")) == [head_words(5, ":status 200", "a b", ends=True)]
    client.answer = hi
    assert client.send(request(7))[1] == "data 7 end 'hi'"


def test_a_block_larger_than_a_frame_is_continued() -> None:
    client = Client(
        answer=always(Reply(200, b"OK", b"A: %b\r\n" % (b"\xff" * 40_000), b"hi", trailers=b"T: 1\r\n"))
    )
    told = client.send(request(1))
    assert told[:2] == ["headers 1 begin"] * 2
    assert told[3:] == ["data 1 'hi'", head_words(1, "t 1", ends=True)]
    assert told[2].startswith("headers 1 [:status 200, a ")


STREAM = Reply(200, b"OK", b"", b"abcde", "chunked", (Chunk(1), Chunk(2, 0.5), Chunk(1), Chunk(1, 0.25)))


def test_streamed_replies_keep_their_gaps_independently() -> None:
    client = Client(make(pace=2), answer=always(STREAM))
    assert client.send(request(1)) == [head_words(1, ":status 200"), "data 1 'a'"]
    assert client.send(request(3)) == [head_words(3, ":status 200"), "data 3 'a'"]
    assert client.wakes == [Wake(1.0, ("gap", 1)), Wake(1.0, ("gap", 3))]
    assert client.wake(1) == ["data 3 'bc'", "data 3 'd'"]
    assert client.wakes[1:] == [Wake(0.5, ("gap", 3))]
    assert client.wake(1) == ["data 3 end 'e'"]
    assert client.wake() == ["data 1 'bc'", "data 1 'd'"]
    client.send(frames.rst_stream(1, 8))
    assert client.wake() == []


def test_without_pace_there_are_no_gaps() -> None:
    client = Client(make(pace=0), answer=always(STREAM))
    assert body_of(client.send(request(1))) == 5
    assert not client.wakes


def test_a_gap_before_a_window_opens() -> None:
    client = Client(answer=always(STREAM), settings={4: 2})
    client.send(request(1))
    assert client.send(frames.window_update(1, 1)) == []  # the gap is not over
    assert client.wake() == ["data 1 'bc'"]
    assert client.send(frames.window_update(1, 10)) == ["data 1 'd'"]
    assert client.wake() == ["data 1 end 'e'"]


def test_a_body_that_is_still_being_recorded_is_an_error_and_no_exception() -> None:
    client = Client(answer=always(Reply(200, b"OK", b"", Spooled(1, 5, ""))))
    assert client.send(request(1))[0].startswith("headers 1 [:status 500")


CODED = Reply(
    200, b"OK", b"Content-Encoding: gzip\r\nA: b\r\nContent-Length: 22\r\n", gzip.compress(b"hi", mtime=0)
)


@pytest.mark.parametrize(("accept", "size"), [(b"gzip, br", 22), (b"identity", 2), (b"", 2), (b"*", 22)])
def test_a_client_gets_a_coding_that_it_takes(accept: bytes, size: int) -> None:
    client = Client(answer=always(CODED))
    for stream in (1, 3):
        head, body = client.send(request(stream, b"GET", b"/", *[(b"accept-encoding", accept)] * bool(accept)))
        assert ("content-encoding gzip" in head) is (size == 22)
        assert f"content-length {size}" in head
        assert body_of([body]) == size


def test_a_redirect_to_the_service_leads_to_where_this_client_reached_it() -> None:
    reply = Reply(302, b"Found", b"Location: http://old:1/x\r\n", b"", self_authority=b"old:1")
    client = Client(answer=always(reply))
    assert client.send(request(1)) == [
        head_words(1, ":status 302", "location http://shop/x", "content-length 0", ends=True)
    ]


@pytest.mark.parametrize(
    ("reply", "wire"),
    [
        (Reply(200, b"", b"a: b\r\n", b"hi", "chunked", (Chunk(1), Chunk(1)), b"t: 1\r\n", version=b"2"),
         b"HTTP/1.1 200 \r\na: b\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\nt: 1\r\n\r\n"),
        (Reply(200, b"", b"content-length: 2\r\n", b"hi", version=b"2"),
         b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nhi"),
        (Reply(204, b"", b"", b"", "none", version=b"2"), b"HTTP/1.1 204 \r\n\r\n"),
    ],
)  # fmt: skip
def test_a_reply_of_http_2_as_http_1_has_it(reply: Reply, wire: bytes) -> None:
    outs = serve(HttpSession(context()), [b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"], always(reply))
    sent = b"".join([out.data for out in outs if isinstance(out, Send)])
    assert sent == wire


# --- how a connection begins --------------------------------------------------------------------------


def h1(**options: Any) -> HttpSession:
    return HttpSession(context(**options))


AFTER = frames.settings({4: 70_000}) + request(3, b"GET", b"/3") + ping()


def test_prior_knowledge_however_it_is_cut() -> None:
    sent = frames.PREFACE + AFTER
    whole = check_session_splits(h1, sent, hi)
    for at in range(len(sent) + 1):
        assert serve(h1(), [sent[:at], sent[at:]], hi, ending=True) == whole
    assert words(b"".join([out.data for out in whole if isinstance(out, Send)]))[2:] == [
        "settings ack", head_words(3, ":status 200", "x-a 1", "content-length 2"), "data 3 end 'hi'",
        "ping ack 12345678",
    ]  # fmt: skip


UPGRADE = (
    b"POST /1 HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: %b\r\n%b\r\n%b"
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


def settings_of(values: dict[int, int]) -> bytes:
    return base64.urlsafe_b64encode(frames.pack_settings(values.items())).rstrip(b"=")


@pytest.mark.parametrize(
    ("framing", "body", "asked"),
    [
        (b"Content-Length: 3\r\n", b"abc", b"abc"),
        (b"Transfer-Encoding: chunked\r\n", b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", b"abc"),
        (b"", b"", b""),
    ],
)
def test_an_upgrade_however_it_is_cut(framing: bytes, body: bytes, asked: bytes) -> None:
    sent = UPGRADE % (settings_of({4: 5}), framing, body) + frames.PREFACE + AFTER
    whole = check_session_splits(h1, sent, hi)
    for at in range(len(sent) + 1):
        assert serve(h1(), [sent[:at], sent[at:]], hi, ending=True) == whole
    asks = [out for out in whole if isinstance(out, Ask)]
    assert [(ask.id, ask.request.version, ask.request.body) for ask in asks] == [
        (1, b"1.1", asked),
        (3, b"2", b""),
    ]
    received = b"".join([out.data for out in whole if isinstance(out, Send)])
    assert received.startswith(SWITCHED)
    assert words(received.removeprefix(SWITCHED))[2:] == [
        *HI_WORDS, "settings ack", head_words(3, ":status 200", "x-a 1", "content-length 2"), "data 3 end 'hi'",
        "ping ack 12345678",
    ]  # fmt: skip


def test_the_settings_of_an_upgrade_count_from_its_first_stream_on() -> None:
    session = h1()
    sent = UPGRADE % (settings_of({4: 1, 1: 0}), b"", b"")
    switched, become = session.received(sent)
    assert switched == Send(SWITCHED)
    assert isinstance(become, Become)
    client = Client(become.to, start=b"")
    assert [word.partition(" ")[0] for word in client.greeting] == ["settings", "window_update"]
    told = client.send(frames.PREFACE, frames.settings({}))
    assert sorted(told) == sorted([HI_WORDS[0], "data 1 'h'", "settings ack"])
    assert client.send(frames.window_update(1, 1)) == ["data 1 end 'i'"]


def test_an_upgrade_with_settings_that_cannot_be() -> None:
    outs = serve(h1(), [UPGRADE % (settings_of({4: 1 << 31}), b"", b"")], hi)
    assert isinstance(outs[-2], Send)
    assert words(outs[-2].data)[-1] == "goaway 0 FLOW_CONTROL_ERROR"
    assert outs[-1] == Close("flush")


# --- how a connection ends ----------------------------------------------------------------------------


def test_draining() -> None:
    assert Client().drain() == ["goaway 0 NO_ERROR", "closed"]
    client = Client(answer=None)
    client.send(request(1), post(3))
    assert client.drain() == ["goaway 3 NO_ERROR"]
    assert client.drain() == []
    assert client.send(request(5), post(7), data(7, b"a"), ping()) == ["ping ack 12345678"]
    assert client.reply(HI) == HI_WORDS
    assert client.send(data(3, b"abc", ends=True)) == []
    assert client.reply(HI)[-2:] == ["data 3 end 'hi'", "closed"]


def test_draining_while_a_reply_waits_for_a_window() -> None:
    client = Client(settings={4: 1})
    client.send(request(1))
    assert client.drain() == ["goaway 1 NO_ERROR"]
    assert client.send(frames.window_update(1, 1)) == ["data 1 end 'i'", "closed"]


def test_a_goaway_never_names_a_later_stream_than_the_one_before() -> None:
    client = Client(answer=None)
    client.send(request(1))
    client.drain()
    assert client.send(request(3), raw(frames.PING, 0, 1, bytes(8))) == ["goaway 1 PROTOCOL_ERROR", "closed"]


def test_the_client_resets_the_last_stream_of_a_draining_connection() -> None:
    client = Client(answer=None)
    client.send(request(1))
    client.drain()
    assert client.send(frames.rst_stream(1, 8)) == ["closed"]


def test_the_end_of_a_client() -> None:
    assert Client().eof() == ["closed"]
    assert Client(start=b"").eof() == ["closed"]
    assert Client(start=frames.PREFACE[:9]).eof() == ["closed"]
    client = Client(answer=None)
    client.send(request(1), post(3), data(3, b"a"))
    assert client.eof() == []
    assert client.reply(HI) == [*HI_WORDS, "closed"]


def test_the_end_of_a_client_whose_windows_will_not_open() -> None:
    client = Client(answer=None, settings={4: 1})
    client.send(request(1), request(3))
    client.reply(HI)
    assert client.eof() == []
    assert client.reply(HI) == [
        head_words(3, ":status 200", "x-a 1", "content-length 2"),
        "data 3 'h'",
        "closed",
    ]


def test_the_end_of_a_client_that_is_sent_a_stream() -> None:
    client = Client(answer=always(STREAM))
    client.send(request(1))
    assert client.eof() == []
    assert client.wake() == ["data 1 'bc'", "data 1 'd'"]
    assert client.wake() == ["data 1 end 'e'", "closed"]


def test_time_out_and_what_it_is_measured_by() -> None:
    client = Client(start=b"")
    assert not client.session.idle
    assert client.time_out() == ["goaway 0 NO_ERROR", "closed"]
    assert not client.session.timed_out()
    client = Client(answer=None)
    idle = client.session
    assert idle.idle
    assert idle.at_rest is None
    client.send(request(1))
    assert idle.idle  # it is our turn
    client.send(post(3))
    assert not idle.idle
    client.send(data(3, ends=True))
    assert idle.idle
    client.send(ping()[:3])
    assert not idle.idle
    client.send(ping()[3:], frames.frame(frames.HEADERS, 0, 5, b""))
    assert not idle.idle


def test_a_client_that_opens_no_window_makes_no_progress() -> None:
    client = Client(settings={4: 1})
    client.send(request(1))
    assert not client.session.idle
    client = Client(answer=always(STREAM))
    client.send(request(1))
    assert client.session.idle  # a gap is ours


def test_what_was_asked_before_a_fault_is_answered() -> None:
    sent = START + request(1) + raw(frames.PING, 0, 1, bytes(8)) + request(3)
    outs = check_session_splits(make, sent, hi)
    assert [type(out) for out in outs] == [Send, Ask, Send, Close]
    assert isinstance(outs[2], Send)
    assert words(outs[2].data) == [*HI_WORDS, "goaway 1 PROTOCOL_ERROR"]


# --- clients that ask for too much --------------------------------------------------------------------


def rapid_reset(number: int) -> bytes:
    stream = 2 * number + 3
    return request(stream) + frames.rst_stream(stream, 8)


@pytest.mark.parametrize(
    ("name", "flood"),
    [
        ("rapid reset", rapid_reset),
        ("resets that we are made to send", lambda number: request(2 * number + 3, b"GET", b"bad")),
        ("SETTINGS", lambda _: frames.settings({})),
        ("SETTINGS ACK", lambda _: frames.SETTINGS_ACK),
        ("PING", lambda _: ping()),
        ("PING ACK", lambda _: frames.frame(frames.PING, frames.ACK, 0, bytes(8))),
        ("empty DATA", lambda _: data(1)),
        ("DATA of nothing but padding", lambda _: raw(frames.DATA, frames.PADDED, 1, b"\1\0")),
        ("PRIORITY", lambda _: raw(frames.PRIORITY, 0, 1, bytes(5))),
        ("GOAWAY", lambda _: raw(frames.GOAWAY, 0, 0, bytes(8))),
        ("frames of an unknown type", lambda _: raw(99, 0, 0)),
    ],
)
def test_a_flood_ends_the_connection(name: str, flood: Any) -> None:
    client = Client(answer=None)
    client.send(post(1))
    for start in range(0, CALM + 1, 100):
        told = client.send(b"".join([flood(number) for number in range(start, start + 100)]))
        if client.closed:
            break
    assert told[-1] == "closed"
    assert told[-2].endswith("ENHANCE_YOUR_CALM")
    assert client.wakes == [Wake(SECONDS, RESTED)], name


def test_a_client_that_calms_down_is_served_on() -> None:
    client = Client()
    for _ in range(2):
        assert len(client.send(ping() * (CALM - 10))) == CALM - 10
        assert client.wake() == []
    assert client.wakes == []


def test_pings_that_measure_what_is_sent_are_no_flood() -> None:
    session = make()
    session.opened()
    session.received(START + LARGE)
    for number in range(CALM + 10):
        session.received(request(2 * number + 1))
        session.answered(Ask(2 * number + 1, Request(b"GET", b"/")), HI)
        assert session.received(ping())[-1] == Send(frames.frame(frames.PING, frames.ACK, 0, b"12345678"))


def test_what_is_remembered_of_streams_is_bounded() -> None:
    client = Client(answer=None)
    for number in range(3000):
        client.send(rapid_reset(2 * number))  # passing numbers over, too
    numbers = client.session._numbers  # type: ignore[attr-defined]
    assert len(numbers._theirs) == 1000
    assert len(numbers._skipped) == 100
    assert not client.session._streams  # type: ignore[attr-defined]
    assert client.send(request(1)) == ["goaway 11999 STREAM_CLOSED", "closed"]


def test_a_connection_of_many_requests_costs_linear_time() -> None:
    session = make()
    sent = START + LARGE + b"".join([request(2 * number + 1) for number in range(500)])
    outs = serve(session, [sent], hi)
    assert sum(isinstance(out, Ask) for out in outs) == 500
    assert isinstance(session, Http2Session)
    assert not session._streams
