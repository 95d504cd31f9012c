"""What a recorder sees of an HTTP/2 connection: literal frames in, values out."""

import hashlib
import random

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock.protocol import Began, Exchange, Lost, Opaque, Seen, Shut, Side, Spool, Spooled, Timing
from svcmock_protocols.http.exchanges import MAX_PENDING
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.tap import MAX_CONTINUATIONS
from svcmock_protocols.http.messages import Chunk, Interim, Options, Reply, Request
from tests.protocols.conformance import check_tap_splits
from tests.protocols.http.h2.taps import (
    CALL,
    CALL_OK,
    GET,
    HELLO,
    KNOWN,
    OK,
    ONE,
    POST,
    STATUS_OK,
    TWO,
    WELCOME,
    C,
    Heard,
    Pairs,
    Relayed,
    S,
    Speaker,
    data,
    exchange,
    exchanges,
    lost,
    make,
    met,
    others,
    passed,
    play,
    timed,
    token,
    unsettled,
)

SECRET = b"hunter2-hunter2"


def asked_and_told(asked: Pairs = GET, told: Pairs = OK, tap: Relayed | None = None) -> list[Seen]:
    tap, client, server = met(tap)
    return play(tap, (C, client.head(1, asked, ends=True)), (S, server.head(1, told, ends=True)))


# --- passing on and pairing ---------------------------------------------------------------------------


def test_an_exchange_as_the_relay_sees_it() -> None:
    tap, client, server = met()
    seen = play(
        tap,
        (C, client.head(1, (*GET, (b"accept", b"*/*")), ends=True)),
        (S, server.head(1, (*OK, (b"x-a", b"1"))) + data(1, b"hi", ends=True)),
        (C, None),
        (S, None),
    )
    assert others(seen) == [
        Began(1),
        Exchange(
            1,
            Request(b"GET", b"/a", b"2", b"host: me:8081\r\naccept: */*\r\n"),
            Reply(200, b"", b"x-a: 1\r\n", b"hi", framing="chunked", version=b"2"),
            Timing(1.0, 0.0),
        ),
        Shut(S),
        Shut(C),
    ]
    assert Heard(passed(seen, C)).heads == [(1, [*OK, (b"x-a", b"1")])]


@pytest.mark.parametrize(
    ("method", "status", "more", "framing"),
    [
        (b"GET", b"204", (), "none"),
        (b"GET", b"304", ((b"content-length", b"9"),), "none"),
        (b"HEAD", b"200", ((b"content-length", b"9"),), "none"),
        (b"GET", b"200", ((b"content-length", b"0"),), "length"),
        (b"GET", b"200", (), "chunked"),
    ],
)
def test_the_framing_is_what_it_would_be_in_http_1(
    method: bytes, status: bytes, more: Pairs, framing: str
) -> None:
    asked = ((b":method", method), *GET[1:])
    reply = exchange(asked_and_told(asked, ((b":status", status), *more))).reply
    assert (reply.status, reply.framing, reply.body) == (int(status), framing, b"")


def test_streams_are_paired_by_their_number() -> None:
    tap, client, server = met()
    seen = play(
        tap,
        (C, client.head(1, POST) + client.head(3, GET, ends=True) + data(1, b"one", ends=True)),
        (S, server.head(3, OK) + server.head(1, OK) + data(1, b"1") + data(3, b"3", ends=True)),
        (S, data(1, b"!", ends=True)),
    )
    pairs = [(one.id, one.request.body, one.reply.body) for one in exchanges(seen)]
    assert pairs == [(2, b"", b"3"), (1, b"one", b"1!")]


def test_everything_but_heads_and_settings_passes_as_it_came() -> None:
    tap, client, server = met()
    padded = frames.frame(frames.DATA, frames.PADDED, 1, b"\x03body\0\0\0")
    frames_of_the_client = [
        frames.frame(frames.PING, 0, 0, b"12345678"),
        frames.window_update(0, 1000),
        frames.frame(frames.PRIORITY, 0, 1, b"\x80\0\0\0\x07"),
        padded,
        frames.window_update(1, 5),
        frames.frame(0xFA, 0x55, 1, b"an extension"),
        frames.frame(0x10, 0, 0, b"\0\0\0\x01u=1"),
        data(1, ends=True),
    ]
    seen = play(tap, (C, client.head(1, POST)))
    seen += play(tap, (C, b"".join(frames_of_the_client)), cut=7)
    assert passed(seen, S).endswith(b"".join(frames_of_the_client))
    seen = play(tap, (S, server.head(1, OK) + padded + frames.goaway(1, 0, "bye") + data(1, ends=True)))
    assert passed(seen, C).endswith(padded + frames.goaway(1, 0, "bye") + data(1, ends=True))
    made = exchange(seen)
    assert (made.request.body, made.reply.body) == (b"body", b"body")


def test_a_padded_head_with_priority_in_many_frames() -> None:
    tap, client, _ = met()
    block = client.block((*GET, (b"x-long", bytes(random.Random(1).choices(b"abcdefgh", k=60000)))))
    first = b"\x05" + b"\0\0\0\0\x10" + block[:10] + bytes(5)
    said = frames.frame(frames.HEADERS, frames.PADDED | frames.PRIORITIZED | frames.END_STREAM, 1, first)
    said += b"".join(
        frames.frame(frames.CONTINUATION, frames.END_HEADERS if at + 999 >= len(block) else 0, 1, piece)
        for at in range(10, len(block), 999)
        for piece in [block[at : at + 999]]
    )
    seen = play(tap, (C, said[:-1]))
    assert not seen
    heard = Heard(passed(play(tap, (C, said[-1:])), S))
    assert all(frame.body_len <= frames.MAX_FRAME for frame in heard.frames)
    ((stream, fields),) = heard.heads
    assert (stream, dict(fields)[b":authority"], len(dict(fields)[b"x-long"])) == (1, b"up:8000", 60000)


def test_a_head_is_written_for_the_upstream() -> None:
    asked = (*GET, (b"host", b"me:8081"))
    for url, authority in (("http://up:8000", b"up:8000"), ("https://up", b"up")):
        tap, client, _ = met(make(url))
        ((_, fields),) = Heard(passed(play(tap, (C, client.head(1, asked))), S)).heads
        scheme = url.partition(":")[0].encode()
        assert fields == [
            GET[0],
            (b":scheme", scheme),
            (b":authority", authority),
            GET[3],
            (b"host", authority),
        ]
    tap, client, _ = met(make("https://up", preserve_host=True))
    ((_, fields),) = Heard(passed(play(tap, (C, client.head(1, asked))), S)).heads
    assert fields == [GET[0], (b":scheme", b"https"), *GET[2:], (b"host", b"me:8081")]


@pytest.mark.parametrize(
    ("url", "location", "turned"),
    [
        ("http://up:8000", b"http://up:8000/x", b"http://me:8081/x"),
        ("https://up", b"https://up/x?y", b"//me:8081/x?y"),
        ("http://up:8000", b"http://other/x", b"http://other/x"),
    ],
)
def test_redirects_to_the_upstream_lead_back_to_the_recorder(url: str, location: bytes, turned: bytes) -> None:
    told = ((b":status", b"302"), (b"location", location), (b"content-location", location))
    seen = asked_and_told(GET, told, make(url))
    ((_, fields),) = Heard(passed(seen, C)).heads
    assert fields == [told[0], (b"location", turned), (b"content-location", turned)]
    reply = exchange(seen).reply
    assert reply.block == b"location: %b\r\ncontent-location: %b\r\n" % (turned, turned)
    assert reply.self_authority == (b"me:8081" if b"me" in turned else b"")


def test_interim_replies_and_trailers() -> None:
    tap, client, server = met()
    seen = play(
        tap,
        (C, client.head(1, (*POST, (b"expect", b"100-continue")))),
        (
            S,
            server.head(1, ((b":status", b"100"),))
            + server.head(1, ((b":status", b"103"), (b"link", b"</a>"))),
        ),
        (C, data(1, b"body") + client.head(1, ((b"a", b"1"),), ends=True)),
        (S, server.head(1, OK) + data(1, b"x") + server.head(1, ((b"b", b"2"),), ends=True)),
    )
    made = exchange(seen)
    assert (made.request.body, made.request.trailers) == (b"body", b"a: 1\r\n")
    assert (made.reply.body, made.reply.trailers) == (b"x", b"b: 2\r\n")
    assert made.reply.interim == (Interim(103, b"", b"link: </a>\r\n"),)
    assert [dict(fields).get(b":status") for _, fields in Heard(passed(seen, C)).heads] == [
        b"100",
        b"103",
        b"200",
        None,
    ]


# --- settings -----------------------------------------------------------------------------------------


def test_settings_are_passed_on_with_what_we_need() -> None:
    wanted = {frames.HEADER_TABLE_SIZE: 65536, frames.ENABLE_PUSH: 1, frames.INITIAL_WINDOW_SIZE: 9, 0x99: 7}
    seen = play(make(), (C, frames.PREFACE + frames.settings(wanted) + frames.settings({1: 100, 2: 1})))
    first = frames.settings(wanted | {frames.HEADER_TABLE_SIZE: 4096, frames.ENABLE_PUSH: 0})
    assert passed(seen, S) == frames.PREFACE + first + frames.settings({1: 100, 2: 0})


def test_a_client_that_says_nothing_about_pushes_refuses_them() -> None:
    seen = play(make(), (C, HELLO + frames.settings({4: 9}) + frames.SETTINGS_ACK))
    expected = frames.settings({frames.ENABLE_PUSH: 0}) + frames.settings({4: 9}) + frames.SETTINGS_ACK
    assert passed(seen, S) == frames.PREFACE + expected


def test_a_servers_settings_may_come_before_the_clients() -> None:
    tap = make()
    said = frames.settings({1: 65536, 3: 100})
    assert play(tap, (S, said), cut=1) == []
    seen = play(tap, (C, HELLO))
    assert passed(seen, C) == frames.settings({1: 4096, 3: 100})
    assert passed(seen, S) == frames.PREFACE + frames.settings({2: 0})


@pytest.mark.parametrize("size", [0, 100])
def test_a_peer_with_a_small_table_gets_what_it_can_read(size: int) -> None:
    tap = make()
    play(tap, (C, HELLO + frames.SETTINGS_ACK), (S, frames.settings({frames.HEADER_TABLE_SIZE: size})))
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = size
    client = Speaker()
    for stream in (1, 3):
        said = passed(play(tap, (C, client.head(stream, GET, ends=True))), S)
        assert dict(decoder.decode(said[9:], raw=True))[b":path"] == b"/a"


def test_frames_may_be_as_large_as_was_agreed() -> None:
    tap = make()
    play(tap, (C, frames.PREFACE + frames.settings({frames.MAX_FRAME_SIZE: 100_000})), (S, WELCOME))
    client, server = Speaker(), Speaker()
    large = data(1, bytes(100_000), ends=True)
    seen = play(tap, (C, client.head(1, GET, ends=True)), (S, server.head(1, OK) + large), cut=5000)
    assert passed(seen, C).endswith(large)
    assert exchange(seen).reply.body == bytes(100_000)
    seen = play(tap, (C, client.head(3, POST) + data(3, bytes(100_000))))
    assert lost(seen)[0].why.endswith("a frame of 100000 bytes, at most 16384 are taken")


# --- time ---------------------------------------------------------------------------------------------


def test_timing_is_from_the_first_byte_to_the_first_byte() -> None:
    tap, client, server = met()
    ask, tell = client.head(1, GET, ends=True), server.head(1, OK, ends=True)
    seen = timed(tap, (1.0, C, ask[:5]), (2.0, C, ask[5:]), (5.0, S, tell[:12]), (7.0, S, tell[12:]))
    assert exchange(seen).timing == Timing(1.0, 4.0)


def test_a_reply_is_cut_where_time_passed_and_not_at_frames() -> None:
    tap, client, server = met()
    seen = timed(
        tap,
        (1.0, C, client.head(1, GET, ends=True)),
        (1.0, S, server.head(1, OK) + data(1, b"a") + data(1, b"b")),
        (1.001, S, data(1, b"c")),
        (1.5, S, data(1, b"de")),
        (2.0, S, data(1, ends=True)),
    )
    reply = exchange(seen).reply
    assert (reply.body, reply.chunks) == (b"abcde", (Chunk(3), Chunk(2, 0.499)))
    tap, client, server = met()
    whole = (S, server.head(1, OK) + data(1, b"a") + data(1, b"b", ends=True))
    seen = play(tap, (C, client.head(1, GET, ends=True)), whole)
    assert exchange(seen).reply.chunks == ()


# --- ends ---------------------------------------------------------------------------------------------


def test_a_stream_that_was_given_up_is_lost() -> None:
    for steps, why in (
        (((C, frames.rst_stream(1, frames.CANCEL)),), "the client cancelled"),
        (((C, frames.rst_stream(1, 2)),), "the client reset the stream: INTERNAL_ERROR"),
        (((S, frames.rst_stream(1, 7)),), "the upstream reset the stream: REFUSED_STREAM"),
        (((S, frames.rst_stream(1, 99)),), "the upstream reset the stream: error 99"),
        (((S, frames.goaway(0, 0)),), "the upstream went away before it took the request"),
        (((S, None),), "the upstream left before it had answered"),
        (((S, Speaker().head(1, OK) + data(1, b"x")), (S, None)), "the upstream left in the middle of a reply"),
        (((C, None),), "the client left in the middle of its request"),
    ):
        tap, client, _ = met()
        seen = play(tap, (C, client.head(1, POST)), *steps)
        assert others(seen)[:2] == [Began(1), Lost(1, why)]
        assert not unsettled(seen)
        assert not exchanges(play(tap, (C, data(1, ends=True)), (S, data(1, ends=True))))


def test_goaway_lets_the_streams_below_it_end() -> None:
    tap, client, server = met()
    asked = client.head(1, GET, ends=True) + client.head(3, GET, ends=True)
    seen = play(tap, (C, asked), (S, frames.goaway(1, 0) + server.head(1, OK, ends=True)), (S, None))
    assert [type(one) for one in others(seen)] == [Began, Began, Lost, Exchange, Shut]


@pytest.mark.parametrize(
    "ends",
    [
        ((S, frames.rst_stream(1, frames.NO_ERROR)),),
        ((C, frames.rst_stream(1, frames.CANCEL)),),
        ((C, None), (S, None)),
        ((S, None),),
        ((C, data(1, ends=True)),),
    ],
)
def test_a_server_that_answers_early_is_recorded_with_what_the_client_had_said(
    ends: tuple[tuple[Side, bytes | None], ...],
) -> None:
    tap, client, server = met()
    early = server.head(1, ((b":status", b"413"),), ends=True)
    seen = play(tap, (C, client.head(1, POST) + data(1, b"half")), (S, early))
    assert others(seen) == [Began(1)]
    made = exchange(play(tap, *ends))
    assert (made.request.body, made.reply.status) == (b"half", 413)


def test_an_early_answer_to_a_client_that_breaks_off_is_lost() -> None:
    tap, client, server = met()
    seen = play(
        tap, (C, client.head(1, POST)), (S, server.head(1, OK, ends=True)), (C, frames.rst_stream(1, 1))
    )
    assert lost(seen) == [Lost(1, "the client reset the stream: PROTOCOL_ERROR")]


def test_a_client_that_only_half_closes_still_gets_its_exchange() -> None:
    tap, client, server = met()
    seen = play(tap, (C, client.head(1, GET, ends=True)), (C, None), (S, server.head(1, OK, ends=True)))
    assert exchange(seen).reply.status == 200


# --- what is not recorded -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "why", "kind"),
    [
        ((*GET, (b"X-Upper", b"1")), "a request that is none", "failed"),
        ((*GET, (b"connection", b"close")), "a request that is none", "failed"),
        ((*GET, (b"a", b"1\r\nb: 2")), "a request that is none", "failed"),
        (GET[1:], "a request that is none", "failed"),
        (((b":method", b"CONNECT"), (b":authority", b"db:5432")), "CONNECT", "skipped"),
        (
            ((b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":authority", b"db:5432"), *GET[3:]),
            "CONNECT",
            "skipped",
        ),
    ],
)
def test_a_stream_that_is_no_exchange_passes_unrecorded(asked: Pairs, why: str, kind: str) -> None:
    tap, client, server = met()
    seen = play(tap, (C, client.head(1, asked) + data(1, b"x")), (S, server.head(1, OK) + data(1, b"y")))
    (gone,) = lost(seen)
    assert gone.why.startswith(why)
    assert gone.kind == kind
    ((_, fields),) = Heard(passed(seen, S)).heads
    assert [name for name, _ in fields] == [name for name, _ in asked]
    if why == "CONNECT":
        assert dict(fields)[b":authority"] == b"db:5432"
    assert passed(seen, S).endswith(data(1, b"x"))
    assert passed(seen, C).endswith(data(1, b"y"))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (((b":status", b"101"),), "status 101"),
        (((b"a", b"b"),), "there is no :status"),
        (((b":status", b"2000"),), "there is no :status"),
        (((b":status", b"200"), (b"content-length", b"x")), "the Content-Length is not a decimal number"),
    ],
)
def test_a_reply_that_is_none_loses_its_request(said: Pairs, why: str) -> None:
    tap, client, server = met()
    seen = play(tap, (C, client.head(1, GET, ends=True)), (S, server.head(1, said)))
    assert why in lost(seen)[0].why
    assert Heard(passed(seen, C)).heads == [(1, list(said))]


def test_bodies_that_are_not_as_long_as_was_said_are_lost() -> None:
    tap, client, server = met()
    length = ((b"content-length", b"5"),)
    seen = play(tap, (C, client.head(1, (*POST, *length)) + data(1, b"1234", ends=True)))
    assert lost(seen) == [Lost(1, "a request that is not as long as its Content-Length says")]
    seen = play(
        tap,
        (C, client.head(3, GET, ends=True)),
        (S, server.head(3, (*OK, *length)) + data(3, b"123456", ends=True)),
    )
    assert lost(seen) == [Lost(2, "a reply that is not as long as its head says")]


def test_bodies_and_heads_larger_than_the_service_takes() -> None:
    tap, client, server = met(make(options=Options(max_body=3, max_head=1024)))
    seen = play(tap, (C, client.head(1, POST) + data(1, b"1234", ends=True)))
    assert lost(seen) == [Lost(1, "the body is larger than this service takes")]
    large = client.head(3, (*GET, (b"a", b"x" * 2000)), ends=True)
    seen = play(tap, (C, large), (S, server.head(3, OK, ends=True)))
    assert lost(seen) == [Lost(2, "the head is larger than this service takes", "skipped")]


def test_more_streams_than_are_followed_pass_unrecorded() -> None:
    tap, client, _ = met()
    said = b"".join(client.head(2 * i + 1, GET, ends=True) for i in range(MAX_PENDING + 1))
    seen = play(tap, (C, said))
    assert lost(seen) == [Lost(MAX_PENDING + 1, "more than 1000 requests under way", "skipped")]
    assert len(Heard(passed(seen, S)).heads) == MAX_PENDING + 1
    assert len(lost(play(tap, (S, None), (C, None)))) == MAX_PENDING


# --- bytes that are no HTTP/2 -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\nmore",
        frames.PREFACE + b"\xff\xff\xff garbage that is no frame",
        HELLO + frames.frame(frames.HEADERS, frames.END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
        HELLO + frames.frame(frames.HEADERS, 0, 1, b"\x82") + frames.frame(frames.PING, 0, 0, bytes(8)),
        HELLO + frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, b"\x82"),
        HELLO + frames.frame(frames.DATA, frames.PADDED, 1, b"\x09123"),
        frames.PREFACE + frames.frame(frames.SETTINGS, 0, 0, b"12345"),
    ],
)
def test_what_cannot_be_read_is_passed_on_unread_at_first(said: bytes) -> None:
    for cut in (0, 1):
        tap = make()
        seen = play(tap, (C, said), (S, b"\x00\xff"), (C, b"more"), (C, None), (S, None), cut=cut)
        assert len([one for one in seen if isinstance(one, Opaque)]) == 1
        ours = HELLO, frames.PREFACE + frames.settings({2: 0})
        assert passed(seen, S) == (said + b"more").replace(*ours)
        assert passed(seen, C) == b"\x00\xff"
        assert not unsettled(seen)


def test_a_fault_after_heads_were_written_anew_ends_the_connection() -> None:
    tap, client, _ = met()
    play(tap, (C, client.head(1, GET, ends=True) + client.head(3, GET, ends=True)))
    bad = frames.frame(frames.HEADERS, frames.END_HEADERS, 5, b"\xff\xff\xff\xff\xff\xff\xff")
    seen = play(tap, (C, frames.window_update(0, 1) + bad + b"what comes after"))
    assert [type(one) for one in others(seen)] == [Lost, Lost, Shut, Shut]
    assert passed(seen, S).startswith(frames.window_update(0, 1))
    for side, last in ((S, 0), (C, 3)):
        gone = Heard(passed(seen, side)).frames[-1]
        assert (gone.last_stream_id, gone.error_code) == (last, frames.COMPRESSION_ERROR)
        assert b"svcmock: the client's bytes are no HTTP/2 that can be followed" in gone.additional_data
    assert play(tap, (S, b"any"), (C, b"thing"), (C, None), (S, None)) == [Shut(S), Shut(C)]


def test_a_fault_between_requests_is_counted() -> None:
    tap, client, server = met()
    play(tap, (C, client.head(1, GET, ends=True)), (S, server.head(1, OK, ends=True)))
    seen = play(tap, (S, frames.frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\x02\x82")))
    (gone,) = lost(seen)
    assert gone.why.endswith("a push, which the settings do not allow")
    assert not unsettled(seen)


def test_an_upstream_that_answers_in_http_1_is_told_as_such() -> None:
    tap, client = make(), Speaker()
    seen = play(tap, (C, HELLO + client.head(1, GET, ends=True)), (S, b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    gone = Heard(passed(seen, C)).frames[-1]
    assert gone.error_code == frames.HTTP_1_1_REQUIRED
    assert gone.additional_data == b"svcmock: the upstream answers in HTTP/1"
    assert lost(seen) == [Lost(1, "the upstream answers in HTTP/1")]


def test_header_blocks_without_end_are_refused() -> None:
    tap, client, _ = met()
    play(tap, (C, client.head(1, GET, ends=True)))
    opened = frames.frame(frames.HEADERS, 0, 3, b"\x82")
    seen = play(tap, (C, opened + frames.frame(frames.CONTINUATION, 0, 3, b"") * (MAX_CONTINUATIONS + 1)))
    assert Heard(passed(seen, C)).frames[-1].error_code == frames.ENHANCE_YOUR_CALM
    tap, client, _ = met()
    play(tap, (C, client.head(1, GET, ends=True)))
    full = frames.frame(frames.CONTINUATION, 0, 3, bytes(frames.MAX_FRAME))
    seen = play(tap, (C, opened + full * 140))
    assert Heard(passed(seen, C)).frames[-1].error_code == frames.ENHANCE_YOUR_CALM


# --- credentials and large bodies ---------------------------------------------------------------------


def test_credentials_pass_but_are_not_recorded() -> None:
    asked = (*GET, (b"authorization", b"Bearer " + SECRET), (b"cookie", b"a=1"), (b"cookie", b"s=" + SECRET))
    told = (*OK, (b"set-cookie", b"s=%b; Path=/" % SECRET), (b"x-echo", SECRET))
    seen = asked_and_told(asked, told)
    assert Heard(passed(seen, C)).heads == [(1, list(told))]
    ((_, fields),) = Heard(passed(seen, S)).heads
    assert fields[4:] == list(asked[4:])
    made = exchange(seen)
    assert b"authorization: Bearer %b\r\n" % token(SECRET) in made.request.block
    assert b"set-cookie: s=%b; Path=/\r\nx-echo: %b\r\n" % (token(SECRET), token(SECRET)) == made.reply.block
    assert SECRET not in repr(others(seen)).encode()


def test_large_bodies_are_spooled_without_credentials() -> None:
    body = (b"x" * 60 + SECRET) * 10
    clean = body.replace(SECRET, token(SECRET))
    tap, client, server = met(make(options=Options(max_body_memory=100)))
    seen = play(
        tap,
        (C, client.head(1, (*POST, (b"x-api-key", SECRET))) + data(1, body, ends=True)),
        (S, server.head(1, OK) + data(1, body[:300]) + data(1, body[300:], ends=True)),
        cut=33,
    )
    made = exchange(seen)
    sha256 = hashlib.sha256(clean).hexdigest()
    assert made.request.body == Spooled((1, "request"), len(clean), sha256)
    assert made.reply.body == Spooled((1, "reply"), len(clean), sha256)
    for name in ("request", "reply"):
        spooled = [one.data for one in seen if isinstance(one, Spool) and one.token == (1, name)]
        assert b"".join(spooled) == clean


# --- whatever comes, however it is cut ----------------------------------------------------------------


def dialogue() -> list[tuple[Side, bytes | None]]:
    client, server = Speaker(), Speaker()
    return [
        (C, HELLO + client.head(1, GET, ends=True) + client.head(3, POST) + data(3, b"abc")),
        (S, WELCOME + frames.SETTINGS_ACK + server.head(1, ((b":status", b"103"),)) + server.head(1, OK)),
        (C, client.head(5, CALL) + data(5, ONE + TWO) + data(3, b"d", ends=True)),
        (S, server.head(5, CALL_OK) + data(5, ONE) + data(1, b"hi", ends=True)),
        (C, client.head(7, GET, ends=True) + frames.rst_stream(7, frames.CANCEL) + data(5, ends=True)),
        (S, server.head(3, (*OK, (b"location", b"http://up:8000/x"))) + data(5, TWO)),
        (S, server.head(5, STATUS_OK, ends=True) + server.head(3, ((b"t", b"1"),), ends=True)),
        (C, None),
        (S, None),
    ]


@pytest.mark.parametrize("cut", [1, 2, 3, 17])
def test_the_same_is_seen_however_the_bytes_are_cut(cut: int) -> None:
    whole = play(make(schema=KNOWN), *dialogue())
    assert len(exchanges(whole)) == 3
    cutup = play(make(schema=KNOWN), *dialogue(), cut=cut)
    assert [passed(cutup, side) for side in Side] == [passed(whole, side) for side in Side]
    assert others(cutup) == others(whole)


def test_the_conformance_suite() -> None:
    client, server = Speaker(), Speaker()
    asked = (
        HELLO + client.head(1, GET, ends=True) + client.head(3, CALL) + data(3, ONE) + data(3, TWO, ends=True)
    )
    told = WELCOME + server.head(1, OK) + data(1, b"hi", ends=True) + server.head(3, CALL_OK) + data(3, ONE)
    told += server.head(3, STATUS_OK, ends=True) + frames.goaway(3, 0)
    seen = check_tap_splits(lambda: make(schema=KNOWN).tap, asked, told)
    assert len(exchanges(seen)) == 2


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_mutated_bytes_never_raise_and_leave_nothing_pending(seed: int) -> None:
    chance = random.Random(seed)
    tap = make(options=Options(max_body_memory=2))
    seen: list[Seen] = []
    for side, said in dialogue():
        if said is None:
            continue
        mutated = bytearray(said)
        for _ in range(chance.randint(0, 2)):
            at = chance.randrange(len(mutated))
            mutated[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        feed = tap.from_client if side is C else tap.from_server
        while mutated:
            size = chance.randint(1, 60)
            seen += feed(bytes(mutated[:size]), chance.random())
            del mutated[:size]
    ends = [C, S]
    chance.shuffle(ends)
    for side in ends:
        seen += tap.eof(side, 2.0)
    assert not unsettled(seen)
    assert len([one for one in seen if isinstance(one, Opaque)]) <= 1
