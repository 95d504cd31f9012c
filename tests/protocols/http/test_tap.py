"""What a recorder sees of an HTTP/1 connection: bytes in, values out."""

import base64
import gzip
import hashlib
import random
import re
import zlib
from collections.abc import Mapping, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from svcmock.documents import read
from svcmock.noise import Noise
from svcmock.protocol import (
    Began,
    Blob,
    Context,
    Exchange,
    Forward,
    Lost,
    Opaque,
    Seen,
    Shut,
    Side,
    Spool,
    Spooled,
    Tap,
    Timing,
    Upstream,
)
from svcmock.yamlout import emit
from svcmock_protocols.http import plugin
from svcmock_protocols.http.codec import parse_request_head, with_head
from svcmock_protocols.http.exchanges import MAX_PENDING
from svcmock_protocols.http.messages import Chunk, Interim, Options, Reply, Request
from svcmock_protocols.http.redact import redact_request
from svcmock_protocols.http.tap import HttpTap

C, S = Side.CLIENT, Side.SERVER


def token(secret: bytes) -> bytes:
    if re.fullmatch(rb"svcmock-[a-z2-7]{24}", secret):
        return secret
    return b"svcmock-" + base64.b32encode(hashlib.sha256(secret).digest()[:15]).lower()


def make(url: str = "http://up:8000", options: Options | None = None, *, preserve_host: bool = False) -> Tap:
    upstream = Upstream(url, url.partition("://")[2], tls=url.startswith("https"), preserve_host=preserve_host)
    return HttpTap(Context(options=options or Options(), ignore=Noise(), token=token), upstream)


def play(tap: Tap, *steps: tuple[Side, bytes | None], at: float = 1.0, cut: int = 0) -> list[Seen]:
    """Feed what each side says in turn; None: it will say no more. `cut`: in pieces of so many bytes."""
    seen: list[Seen] = []
    for side, data in steps:
        if data is None:
            seen += tap.eof(side, at)
            continue
        feed = tap.from_client if side is C else tap.from_server
        for i in range(0, len(data), cut or len(data) or 1):
            seen += feed(data[i : i + (cut or len(data))], at)
    return seen


def passed(seen: Sequence[Seen], to: Side) -> bytes:
    return b"".join(one.data for one in seen if isinstance(one, Forward) and one.to is to)


def others(seen: Sequence[Seen]) -> list[Seen]:
    return [one for one in seen if not isinstance(one, Forward)]


def exchange(seen: Sequence[Seen]) -> Exchange:
    (found,) = [one for one in seen if isinstance(one, Exchange)]
    return found


GET = b"GET /a HTTP/1.1\r\nHost: me:8081\r\n\r\n"
GET_OUT = b"GET /a HTTP/1.1\r\nHost: up:8000\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
POST = b"POST /p HTTP/1.1\r\nHost: me:8081\r\nContent-Length: 4\r\n\r\nbody"


# --- passing on and pairing ---------------------------------------------------------------------------


def test_an_exchange_as_the_relay_sees_it() -> None:
    assert play(make(), (C, GET), (S, OK), (C, None), (S, None)) == [
        Began(1),
        Forward(GET_OUT, S),
        Forward(OK[:-2], C),
        Forward(b"hi", C),
        Exchange(
            1,
            Request(b"GET", b"/a", block=b"Host: me:8081\r\n"),
            Reply(200, b"OK", b"Content-Length: 2\r\n", b"hi"),
            Timing(1.0, 0.0),
        ),
        Shut(S),
        Shut(C),
    ]


def test_the_host_is_rewritten_in_place_and_nothing_else() -> None:
    head = b"GET / HTTP/1.1\r\nX-a: Host: b\r\nhOsT:  me \r\nx-HOST: me\r\n\r\n"
    assert passed(play(make(), (C, head)), S) == head.replace(b"hOsT:  me ", b"hOsT:  up:8000")
    assert passed(play(make(preserve_host=True), (C, head)), S) == head


@pytest.mark.parametrize(
    ("target", "out"),
    [
        (b"http://me:8081/x?y#z", b"/x?y#z"),
        (b"http://me:8081", b"/"),
        (b"http://me?y", b"/?y"),
        (b"/x?u=http://a", b"/x?u=http://a"),
    ],
)
def test_absolute_targets_become_origin_form(target: bytes, out: bytes) -> None:
    seen = play(make(), (C, b"GET %b HTTP/1.1\r\nHost: me\r\n\r\n" % target), (S, OK))
    assert passed(seen, S) == b"GET %b HTTP/1.1\r\nHost: up:8000\r\n\r\n" % out
    assert exchange(seen).request.target == target


def test_an_absolute_options_request_for_everything() -> None:
    seen = play(make(), (C, b"OPTIONS http://me HTTP/1.1\r\nHost: me\r\n\r\n"))
    assert passed(seen, S).startswith(b"OPTIONS * HTTP/1.1")


def test_pipelined_requests_are_paired_in_their_order() -> None:
    first = OK.replace(b"hi", b"11")
    seen = play(make(), (C, GET + POST + GET.replace(b"/a", b"/b")), (S, first + OK), (S, OK))
    pairs = [(one.id, one.request.target, one.reply.body) for one in seen if isinstance(one, Exchange)]
    assert pairs == [(1, b"/a", b"11"), (2, b"/p", b"hi"), (3, b"/b", b"hi")]


def test_a_streamed_reply_is_passed_on_as_it_comes() -> None:
    tap = make()
    play(tap, (C, GET))
    for piece in (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"5\r\nhel",
        b"lo\r",
        b"\n0\r\n\r\n",
    ):
        assert passed(tap.from_server(piece, 1.0), C) == piece


@pytest.mark.parametrize(
    ("reply", "status", "framing"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, "none"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, "none"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "length"),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "length"),
    ],
)
def test_replies_without_a_body_end_with_their_head(reply: bytes, status: int, framing: str) -> None:
    made = exchange(play(make(), (C, GET), (S, reply))).reply
    assert (made.status, made.framing, made.body) == (status, framing, b"")


def test_a_head_reply_has_no_body() -> None:
    seen = play(make(), (C, GET.replace(b"GET", b"HEAD") + GET), (S, OK[:-2] + OK))
    assert [one.reply.body for one in seen if isinstance(one, Exchange)] == [b"", b"hi"]


def test_a_close_delimited_reply_ends_with_the_connection() -> None:
    steps = ((C, GET), (S, b"HTTP/1.1 200 OK\r\n\r\nall "), (S, b"of it"))
    tap = make()
    assert not [one for one in play(tap, *steps) if isinstance(one, Exchange)]
    seen = play(tap, (S, None))
    assert exchange(seen).reply == Reply(200, b"OK", body=b"all of it", framing="close")
    assert seen[-1] == Shut(C)


def test_interim_replies_are_kept_and_100_is_only_passed_on() -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    seen = play(make(), (C, POST[:-4]), (S, early), (C, b"body"), (S, OK))
    assert passed(seen, C) == early + OK
    assert exchange(seen).reply.interim == (Interim(103, b"Early Hints", b"Link: </a>\r\n"),)


def test_trailers_of_both_messages_are_kept() -> None:
    asked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: 1\r\n\r\n"
    told = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\nB: 2\r\n\r\n"
    made = exchange(play(make(), (C, asked), (S, told)))
    assert (made.request.body, made.request.trailers) == (b"abc", b"A: 1\r\n")
    assert (made.reply.body, made.reply.trailers) == (b"abc", b"B: 2\r\n")
    assert made.reply.chunks == (Chunk(1), Chunk(2))


def test_an_early_final_reply_waits_for_the_rest_of_its_request() -> None:
    tap = make()
    assert others(play(tap, (C, POST[:-4]), (S, OK))) == [Began(1)]
    assert exchange(play(tap, (C, b"body"))).request.body == b"body"
    assert others(play(tap, (C, None), (S, None))) == [Shut(S), Shut(C)]


# --- time ---------------------------------------------------------------------------------------------


def test_timing_is_from_the_first_byte_to_the_first_byte() -> None:
    tap = make()
    seen: list[Seen] = []
    for feed, data, at in (
        (tap.from_client, GET[:5], 1.0),
        (tap.from_client, GET[5:], 2.0),
        (tap.from_server, OK[:5], 5.0),
        (tap.from_server, OK[5:], 7.0),
    ):
        seen += feed(data, at)
    assert exchange(seen).timing == Timing(at=1.0, took=4.0)


def timed(head: bytes, *pieces: tuple[float, bytes]) -> tuple[Chunk, ...]:
    tap = make()
    play(tap, (C, GET), (S, head), at=1.0)
    seen: list[Seen] = []
    for at, data in pieces:
        seen += tap.from_server(data, at)
    chunks = exchange(seen).reply.chunks
    assert isinstance(chunks, tuple)
    return chunks


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_gaps_between_chunks_are_kept_and_noise_is_not() -> None:
    pieces = ((1.5, b"1\r\na\r\n"), (1.501, b"1\r\nb\r\n"), (2.001, b"2\r\nc"), (2.002, b"d\r\n0\r\n\r\n"))
    assert timed(CHUNKED, *pieces) == (Chunk(1, 0.5), Chunk(1), Chunk(2, 0.5))


def test_a_body_of_known_length_that_drips_is_cut_where_time_passed() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
    assert timed(head, (1.0, b"a"), (1.0, b"b"), (2.0, b"cd"), (2.25, b"ef")) == (
        Chunk(2),
        Chunk(2, 1.0),
        Chunk(2, 0.25),
    )
    assert timed(head, (1.0, b"abc"), (1.001, b"def")) == ()


# --- addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "location", "turned"),
    [
        ("http://up:8000", b"http://up:8000/x", b"http://me:8081/x"),
        ("http://up:8000", b"HTTP://UP:8000?a", b"HTTP://me:8081?a"),
        ("http://up:8000", b"//up:8000/x", b"//me:8081/x"),
        ("http://up", b"http://up:80/x", b"http://me:8081/x"),
        ("https://up", b"https://up:443/x", b"//me:8081/x"),
        ("http://up:8000", b"https://up:8000/x", b"https://up:8000/x"),
        ("http://up:8000", b"http://up/x", b"http://up/x"),
        ("http://up:8000", b"http://up:8000.example/x", b"http://up:8000.example/x"),
        ("http://up:8000", b"http://other/?u=http://up:8000/", b"http://other/?u=http://up:8000/"),
        ("http://up:8000", b"/x", b"/x"),
    ],
)
def test_redirects_to_the_upstream_lead_back_to_the_recorder(url: str, location: bytes, turned: bytes) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Location: %b\r\nContent-Length: 0\r\n\r\n"
    seen = play(make(url), (C, GET), (S, head % (location, location)))
    assert passed(seen, C) == head % (turned, turned)
    reply = exchange(seen).reply
    assert reply.block == b"Location: %b\r\nContent-Location: %b\r\nContent-Length: 0\r\n" % (turned, turned)
    assert reply.self_authority == (b"me:8081" if b"//me:8081" in turned else b"")


def test_a_redirect_that_already_names_the_recorder_is_known_as_such() -> None:
    told = b"HTTP/1.1 302 Found\r\nLocation: http://me:8081/x\r\nContent-Length: 0\r\n\r\n"
    assert exchange(play(make(preserve_host=True), (C, GET), (S, told))).reply.self_authority == b"me:8081"


def test_a_coding_that_was_not_offered_is_noted() -> None:
    body = gzip.compress(b"x", mtime=0)
    told = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    offered = GET.replace(b"\r\n\r\n", b"\r\nAccept-Encoding: gzip\r\n\r\n")
    assert exchange(play(make(), (C, GET), (S, told))).reply.negotiated is False
    assert exchange(play(make(), (C, offered), (S, told))).reply.negotiated is True


# --- ends ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (((C, GET), (S, None)), "the upstream left before it had answered"),
        (((C, GET), (S, OK[:-1]), (S, None)), "the upstream left in the middle of a reply"),
        (((C, GET), (S, OK[:20]), (S, None)), "the upstream left in the middle of a reply"),
        (((C, POST[:-1]), (C, None), (S, OK), (S, None)), "the client left in the middle of its request"),
        (((C, GET), (C, None), (S, None)), "the upstream left before it had answered"),
        (((C, POST[:-1]), (S, OK), (S, None), (C, None)), "the upstream left before it had answered"),
    ],
)
def test_an_exchange_that_does_not_end_is_lost(steps: tuple[tuple[Side, bytes | None], ...], why: str) -> None:
    seen = play(make(), *steps)
    assert [one for one in others(seen) if not isinstance(one, Shut)] == [Began(1), Lost(1, why)]
    assert passed(seen, C) == b"".join(data for side, data in steps if side is S and data)


def test_a_client_that_only_half_closes_still_gets_its_exchange() -> None:
    seen = play(make(), (C, GET), (C, None), (S, OK), (S, None))
    assert exchange(seen).reply.body == b"hi"


def test_what_is_no_exchange_is_skipped_and_passed_on() -> None:
    opening = b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"
    seen = play(make(), (C, opening), (S, b"\x00\xff"), (C, b"more"))
    assert others(seen) == [Began(1), Lost(1, "CONNECT", "skipped"), Opaque("CONNECT")]
    assert passed(seen, S) == opening + b"more"
    assert passed(seen, C) == b"\x00\xff"


def test_an_upgrade_takes_the_connection_over() -> None:
    told = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
    seen = play(make(), (C, GET), (S, told + b"\x00\x01"), (C, b"\xff"))
    why = "the connection went over to another protocol"
    assert others(seen) == [Began(1), Lost(1, why, "skipped"), Opaque(why)]
    assert passed(seen, C) == told + b"\x00\x01"
    assert passed(seen, S) == GET_OUT + b"\xff"


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (b"EHLO x\r\n\r\n", b""),
        (b"GET / HTTP/1.1\nHost: a\n\n", b""),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"",
        ),
        (b"", b"220 mail\r\n"),
        (b"", OK),
    ],
)
def test_what_cannot_be_decoded_is_passed_on_unread(client: bytes, server: bytes) -> None:
    seen = play(make(), (C, client), (S, server), (C, b"\x01"), (S, b"\x02"))
    assert len([one for one in seen if isinstance(one, Opaque)]) == 1
    assert passed(seen, S) == client + b"\x01"
    assert passed(seen, C) == server + b"\x02"


def test_a_reply_that_cannot_be_decoded_loses_its_request() -> None:
    seen = play(make(), (C, GET + GET), (S, b"SSH-2.0-x\r\n\r\n"))
    assert [type(one) for one in others(seen)] == [Began, Began, Lost, Lost, Opaque]
    assert passed(seen, C) == b"SSH-2.0-x\r\n\r\n"


def test_more_requests_under_way_than_are_followed() -> None:
    seen = play(make(), (C, GET * (MAX_PENDING + 1)))
    assert len([one for one in seen if isinstance(one, Lost)]) == MAX_PENDING
    assert others(seen)[-1] == Opaque("more than 1000 requests under way")
    assert passed(seen, S) == GET_OUT * MAX_PENDING + GET


def test_a_body_larger_than_the_service_takes_is_passed_on_unread() -> None:
    seen = play(make(options=Options(max_body=3)), (C, POST), (S, OK))
    assert [type(one) for one in others(seen)] == [Began, Lost, Opaque]
    assert passed(seen, S) == POST.replace(b"me:8081", b"up:8000")


@pytest.mark.parametrize("when", ["before", "after"])
def test_without_an_upstream_the_client_is_told_so(when: str) -> None:
    tap = make()
    seen = [*tap.unreachable("refused", 1.0)] if when == "before" else []
    seen += play(tap, (C, GET[:9]), (C, GET[9:]))
    seen += tap.unreachable("refused", 1.0) if when == "after" else []
    assert others(seen) == [Began(1), Lost(1, "the upstream cannot be reached: refused"), Shut(C)]
    said = b"svcmock: up:8000 cannot be reached: refused\n"
    head = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
    assert passed(seen, C) == head % len(said) + b"Connection: close\r\n\r\n" + said
    assert passed(seen, S) == (b"" if when == "before" else GET_OUT)
    assert play(tap, (C, GET), (C, None), (S, None)) == [Shut(C)]


# --- credentials --------------------------------------------------------------------------------------

SECRET = b"hunter2-hunter2"


def test_credentials_pass_but_are_not_recorded() -> None:
    asked = b"GET /?token=%b HTTP/1.1\r\nHost: me:8081\r\nAuthorization: Bearer %b\r\n\r\n" % (SECRET, SECRET)
    told = b"HTTP/1.1 200 OK\r\nSet-Cookie: s=%b; Path=/\r\nContent-Length: 15\r\n\r\n%b" % (SECRET, SECRET)
    seen = play(make(), (C, asked), (S, told))
    assert passed(seen, S) == asked.replace(b"me:8081", b"up:8000")
    assert passed(seen, C) == told
    made = exchange(seen)
    assert made.request.block == b"Host: me:8081\r\nAuthorization: Bearer %b\r\n" % token(SECRET)
    assert made.reply == Reply(
        200, b"OK", b"Set-Cookie: s=%b; Path=/\r\nContent-Length: 32\r\n" % token(SECRET), token(SECRET)
    )
    assert SECRET not in repr(others(seen)).encode()


def test_an_exchange_with_too_many_credentials_is_skipped() -> None:
    cookies = b"; ".join(b"c%d=secret-%06d" % (i, i) for i in range(300))
    asked = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: %b\r\n\r\n" % cookies
    assert others(play(make(), (C, asked), (S, OK))) == [
        Began(1),
        Lost(1, "more credentials than can be looked for", "skipped"),
    ]


# --- large bodies -------------------------------------------------------------------------------------

SMALL = Options(max_body_memory=100)


def spooled(seen: Sequence[Seen], name: object) -> bytes:
    return b"".join(one.data for one in seen if isinstance(one, Spool) and one.token == name)


@pytest.mark.parametrize("cut", [0, 1, 7])
def test_large_bodies_are_spooled_without_credentials(cut: int) -> None:
    body = (b"x" * 60 + SECRET) * 10
    head = b"POST / HTTP/1.1\r\nHost: a\r\nX-Api-Key: %b\r\nContent-Length: %d\r\n\r\n" % (SECRET, len(body))
    told = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    seen = play(make(options=SMALL), (C, head + body), (S, told), cut=cut)
    clean = body.replace(SECRET, token(SECRET))
    made = exchange(seen)
    sha256 = hashlib.sha256(clean).hexdigest()
    assert made.request.body == Spooled((1, "request"), len(clean), sha256)
    assert made.reply.body == Spooled((1, "reply"), len(clean), sha256)
    assert made.reply.block == b"Content-Length: %d\r\n" % len(clean)
    assert spooled(seen, (1, "request")) == spooled(seen, (1, "reply")) == clean
    assert passed(seen, C) == told
    assert SECRET not in repr(others(seen)).encode()


@pytest.mark.parametrize("cut", [0, 1, 7])
def test_a_large_upload_is_passed_on_as_it_is_and_recorded_with_a_common_boundary(cut: int) -> None:
    body = b"--bdr\r\n\r\n" + b"x" * 200 + b"\r\n--bdr--\r\n"
    kind = b"Content-Type: multipart/form-data; boundary="
    head = b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\nContent-Length: %d\r\n\r\n" % (kind + b"bdr", len(body))
    told = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    seen = play(make(options=SMALL), (C, head + body), (S, told), cut=cut)
    common = body.replace(b"--bdr", b"--svcmock-boundary")
    made = exchange(seen).request
    assert made.body == Spooled((1, "request"), len(common), hashlib.sha256(common).hexdigest())
    assert made.block == b"Host: a\r\n%b\r\nContent-Length: %d\r\n" % (
        kind + b"svcmock-boundary",
        len(common),
    )
    assert spooled(seen, (1, "request")) == common
    assert passed(seen, S).endswith(b"\r\n\r\n" + body)


def test_members_at_the_start_of_a_large_body_are_found_before_it_is_spooled() -> None:
    body = b'{"password": "%b", "more": "' % SECRET + b"x" * 200 + SECRET + b'"}'
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    seen = play(make(options=SMALL), (C, head + body), (S, OK))
    assert spooled(seen, (1, "request")) == body.replace(SECRET, token(SECRET))


@pytest.mark.parametrize("cut", [0, 1])
def test_a_large_coded_request_is_spooled_decoded(cut: int) -> None:
    plain = random.Random(1).randbytes(500) + SECRET
    body = zlib.compress(plain)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nX-Api-Key: %b\r\nContent-Encoding: deflate\r\n"
    head += b"Content-Length: %d\r\n\r\n"
    seen = play(make(options=SMALL), (C, head % (SECRET, len(body)) + body), (S, OK), cut=cut)
    clean = plain.replace(SECRET, token(SECRET))
    request = exchange(seen).request
    assert spooled(seen, (1, "request")) == clean
    assert request.body == Spooled((1, "request"), len(clean), hashlib.sha256(clean).hexdigest())
    assert request.block == b"Host: a\r\nX-Api-Key: %b\r\nContent-Length: %d\r\n" % (token(SECRET), len(clean))


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_a_large_request_with_a_credential_says_its_new_length(cut: int) -> None:
    body = b'{"pad": "%b", "password": "%b"}' % (b"x" * 400, SECRET)
    clean = body.replace(SECRET, token(SECRET))
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    seen = play(make(options=SMALL), (C, head % len(body) + body), (S, OK), cut=cut)
    assert spooled(seen, (1, "request")) == clean
    assert exchange(seen).request.block == b"Host: a\r\nContent-Length: %d\r\n" % len(clean)


def test_a_credential_of_a_large_request_is_not_in_its_reply() -> None:
    body = b'{"pad": "%b", "password": "%b"}' % (b"x" * 400, SECRET)
    asked = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    told = b"HTTP/1.1 200 OK\r\nX-You-Said: %b\r\nContent-Length: %d\r\n\r\n%b" % (SECRET, len(SECRET), SECRET)
    reply = exchange(play(make(options=SMALL), (C, asked), (S, told), cut=1000)).reply
    assert reply.body == token(SECRET)
    assert SECRET not in reply.block


def coded_reply(plain: bytes) -> list[Seen]:
    body = gzip.compress(plain, mtime=0)
    asked = GET.replace(b"\r\n\r\n", b"\r\nX-Api-Key: %b\r\n\r\n" % SECRET)
    told = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    return play(make(options=SMALL), (C, asked), (S, told), cut=13)


def test_a_large_coded_reply_is_spooled_as_it_is() -> None:
    plain = random.Random(1).randbytes(500)
    seen = coded_reply(plain)
    coded = gzip.compress(plain, mtime=0)
    assert spooled(seen, (1, "reply")) == coded
    assert exchange(seen).reply.body == Spooled((1, "reply"), len(coded), hashlib.sha256(coded).hexdigest())


def test_a_credential_inside_a_large_coded_reply_is_not_recorded() -> None:
    seen = coded_reply(random.Random(1).randbytes(500) + SECRET)
    assert others(seen)[-1] == Lost(1, "there is a credential inside a large compressed body", "skipped")


def test_a_large_body_that_is_not_what_its_coding_says_is_skipped() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 200\r\n\r\n"
    (lost,) = [
        one for one in play(make(options=SMALL), (C, head + b"x" * 200), (S, OK)) if isinstance(one, Lost)
    ]
    assert lost.kind == "skipped"
    assert "Content-Encoding" in lost.why


# --- whatever comes, however it is cut ----------------------------------------------------------------

DIALOGUE = (
    (
        C,
        GET
        + POST
        + b"POST /c HTTP/1.1\r\nHost: me\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n",
    ),
    (S, OK + b"HTTP/1.1 103 Early Hints\r\n\r\n" + CHUNKED + b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"),
    (S, b"HTTP/1.1 200 OK\r\nX: http://up:8000/\r\nLocation: http://up:8000/\r\n\r\nuntil the end"),
    (C, None),
    (S, None),
)


def settled(seen: Sequence[Seen]) -> tuple[bytes, bytes, list[Seen]]:
    return passed(seen, S), passed(seen, C), others(seen)


@pytest.mark.parametrize("cut", [1, 2, 3, 17])
def test_the_same_is_seen_however_the_bytes_are_cut(cut: int) -> None:
    whole = play(make(), *DIALOGUE)
    assert len([one for one in whole if isinstance(one, Exchange)]) == 3
    assert settled(play(make(), *DIALOGUE, cut=cut)) == settled(whole)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_mutated_bytes_never_raise_and_leave_nothing_pending(seed: int) -> None:
    chance = random.Random(seed)
    tap = make(options=SMALL)
    seen: list[Seen] = []
    for side, data in DIALOGUE:
        if data is None:
            continue
        mutated = bytearray(data * chance.randint(1, 2))
        for _ in range(chance.randint(0, 4)):
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
    began = [one.id for one in seen if isinstance(one, Began)]
    ended = [one.id for one in seen if isinstance(one, Exchange | Lost)]
    assert sorted(ended) == began
    assert len([one for one in seen if isinstance(one, Opaque)]) <= 1


# --- into a recording and back ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (GET, OK),
        (GET.replace(b"GET", b"HEAD"), OK[:-2]),
        (POST, CHUNKED + b"3\r\nabc\r\n0\r\nT: 1\r\n\r\n"),
        (GET, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 Fine\r\n\r\n\x00\xff"),
        (
            GET,
            b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"a": [1e16]}',
        ),
        (GET, b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"a": [1.5]}'),
        (GET, b"HTTP/1.0 302 Found\r\nLocation: http://up:8000/b\r\nContent-Length: 0\r\n\r\n"),
        (
            POST.replace(b"Host", b"Cookie: sid=hunter2-hunter2\r\nHost"),
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
            + gzip.compress(b"hunter2-hunter2", 1, mtime=0),
        ),
    ],
)
def test_what_was_seen_is_written_and_read_back_the_same(asked: bytes, told: bytes) -> None:
    made = exchange(play(make(), (C, asked), (S, told), (S, None)))
    context = Context(Options(), Noise(), bytes)
    written = plugin.dump(made.request, made.reply, context)
    (document,), problems = read(
        emit({"request": written.request, "respond": written.respond}).encode(), "a.yaml"
    )
    assert not problems
    files = Stored(written.files)
    request = plugin.request(msgspec.convert(document.value["request"], plugin.RequestDoc), files, context)
    reply = plugin.reply(msgspec.convert(document.value["respond"], plugin.ReplyDoc), files, context, request)
    assert request == made.request
    assert reply == with_head(made.reply)


class Stored:
    """Body files that are too small to have been made."""

    def __init__(self, files: Mapping[str, bytes | Spooled]) -> None:
        assert not files

    def __call__(self, name: str) -> Blob:
        raise AssertionError(name)

    def read(self, blob: Blob) -> bytes:
        raise AssertionError(blob)


def test_a_live_request_has_the_key_and_the_conditions_of_its_recording() -> None:
    asked = (
        b"POST /a?access_token=hunter2-hunter2 HTTP/1.1\r\nHost: me\r\nAuthorization: Bearer abc\r\n"
        b"Cookie: b=1; a=2\r\nContent-Type: application/json\r\nContent-Length: 23\r\n\r\n"
        b'{"password": "correct"}'
    )
    context = Context(options=Options(), ignore=Noise(plugin.noise), token=token)
    parsed = parse_request_head(asked)
    assert parsed is not None
    live = redact_request(replace(parsed[0].request, body=asked[parsed[1] :]), token)
    recorded = exchange(play(make(), (C, asked), (S, OK))).request
    assert plugin.key(live, context) == plugin.key(recorded, context)
    assert plugin.conditions(live, context) == plugin.conditions(recorded, context)
