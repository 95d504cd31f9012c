"""Streams of a recorded connection, as header lists and bytes: when one is an exchange, and why it is not."""

import pytest

from svcmock.protocol import Began, Exchange, Lost, Seen, Timing, Upstream
from svcmock_protocols.http import exchanges
from svcmock_protocols.http.exchanges import Exchanges
from svcmock_protocols.http.h2.recorded import RecordedStreams, When
from svcmock_protocols.http.messages import Chunk, Options, Request
from tests.protocols.http.h2.taps import (
    CALL,
    CALL_OK,
    GET,
    KNOWN,
    OK,
    ONE,
    POST,
    STATUS_OK,
    TWO,
    C,
    Pairs,
    S,
    context,
)

Fields = tuple[tuple[bytes, bytes], ...]


class Streams:
    """Those of one connection, and what was seen of them. `at`: what the clock says."""

    def __init__(self, url: str = "http://up:8000", *, preserve_host: bool = False, **options: int) -> None:
        upstream = Upstream(url, url.partition("://")[2], url.startswith("https"), preserve_host)
        self.exchanges = Exchanges(context(Options(**options), KNOWN), upstream)
        self.streams = RecordedStreams(self.exchanges)
        self.out: list[Seen] = []
        self.at = 1.0

    @property
    def when(self) -> When:
        return When(self.at, self.at)

    def asks(self, number: int, fields: Pairs = GET, *, ends: bool = True) -> Fields:
        return self.streams.asks(number, tuple(fields), self.when, self.out, ends=ends)

    def asks_more(self, number: int, data: bytes = b"", *, ends: bool = False) -> None:
        self.streams.asks_more(number, data, self.when, self.out, ends=ends)

    def answers(self, number: int, fields: Pairs = OK, *, ends: bool = True) -> Fields:
        return self.streams.answers(number, tuple(fields), self.when, self.out, ends=ends)

    def answers_more(self, number: int, data: bytes = b"", *, ends: bool = False) -> None:
        self.streams.answers_more(number, data, self.when, self.out, ends=ends)

    def exchange(self) -> Exchange:
        (made,) = [one for one in self.out if isinstance(one, Exchange)]
        assert not self.streams.recorded
        return made

    def why(self) -> str:
        """Why the one request was lost."""
        (gone,) = [one for one in self.out if isinstance(one, Lost)]
        assert not self.streams.recorded
        assert not self.exchanges.open
        return gone.why


# --- heads on their way -------------------------------------------------------------------------------


def test_a_request_goes_to_the_upstream_by_its_own_name() -> None:
    asked = (
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"me"),
        (b":path", b"/"),
        (b"host", b"me"),
    )
    for url, scheme, authority in (("http://up:8000", b"http", b"up:8000"), ("https://up", b"https", b"up")):
        expected = (asked[0], (b":scheme", scheme), (b":authority", authority), asked[3], (b"host", authority))
        assert Streams(url).asks(1, asked) == expected
    kept = (asked[0], (b":scheme", b"https"), *asked[2:])
    assert Streams("https://up", preserve_host=True).asks(1, asked) == kept


def test_what_else_stands_in_a_head_is_passed_on_as_it_is() -> None:
    odd = (*GET, (b"x", b"a"), (b"x", b""), (b"Bad", b"\0"))
    streams = Streams()
    assert streams.asks(1, odd)[4:] == odd[4:]
    assert "a request that is none" in streams.why()


def test_a_tunnel_goes_where_its_client_said() -> None:
    tunnel = ((b":method", b"CONNECT"), (b":authority", b"db:5432"))
    streams = Streams()
    assert streams.asks(1, tunnel) == tunnel
    assert streams.out == [Began(1), Lost(1, "CONNECT", "skipped")]


def test_a_location_that_names_the_upstream_leads_back() -> None:
    told = (
        *OK,
        (b"location", b"http://up:8000/a"),
        (b"content-location", b"//up:8000"),
        (b"link", b"//up:8000"),
    )
    streams = Streams()
    streams.asks(1)
    turned = ((b"location", b"http://me:8081/a"), (b"content-location", b"//me:8081"))
    assert streams.answers(1, told) == (*OK, *turned, told[3])
    made = streams.exchange()
    assert made.reply.self_authority == b"me:8081"
    assert b"location: http://me:8081/a\r\n" in made.reply.block
    assert streams.answers(3, told) == told  # of a stream that is not recorded


# --- from its beginning to its end --------------------------------------------------------------------


def test_a_stream_becomes_an_exchange() -> None:
    streams = Streams()
    streams.asks(1, POST, ends=False)
    streams.asks_more(1, b"que")
    streams.asks_more(1, b"ry")
    streams.asks(1, ((b"s", b"1"),))
    streams.at = 1.5
    streams.answers(1, ((b":status", b"100"),), ends=False)
    streams.answers(1, ((b":status", b"103"), (b"link", b"x")), ends=False)
    streams.answers(1, (*OK, (b"a", b"b")), ends=False)
    streams.answers_more(1, b"an")
    streams.at = 2.0
    streams.answers_more(1, b"swer")
    assert streams.out == [Began(1)]
    streams.answers(1, ((b"t", b"1"),))
    made = streams.exchange()
    assert made.timing == Timing(1.0, 0.5)
    assert made.request == Request(b"POST", b"/a", b"2", b"host: me:8081\r\n", b"query", b"s: 1\r\n")
    reply = made.reply
    assert (reply.status, reply.block, reply.body, reply.trailers) == (200, b"a: b\r\n", b"answer", b"t: 1\r\n")
    assert (reply.framing, reply.version, reply.chunks) == ("chunked", b"2", (Chunk(2), Chunk(4, 0.5)))
    assert [(one.status, one.block) for one in reply.interim] == [(103, b"link: x\r\n")]


@pytest.mark.parametrize(
    ("method", "told", "framing"),
    [
        (b"GET", OK, "chunked"),
        (b"GET", (*OK, (b"content-length", b"0")), "length"),
        (b"HEAD", (*OK, (b"content-length", b"5")), "none"),
        (b"GET", ((b":status", b"204"),), "none"),
        (b"GET", ((b":status", b"304"), (b"content-length", b"5")), "none"),
    ],
)
def test_replies_without_a_body(method: bytes, told: Pairs, framing: str) -> None:
    streams = Streams()
    streams.asks(1, ((b":method", method), *GET[1:]))
    streams.answers(1, told)
    assert streams.exchange().reply.framing == framing


def test_streams_do_not_mix() -> None:
    streams = Streams()
    streams.asks(1, POST, ends=False)
    streams.asks(5, POST, ends=False)
    assert streams.streams.last == 5
    streams.asks(3)  # which is closed by then
    for number in (5, 1):
        streams.asks_more(number, b"%d" % number, ends=True)
        streams.answers(number, ends=False)
    for number in (1, 5):
        streams.answers_more(number, b"%d" % number, ends=True)
    made = [one for one in streams.out if isinstance(one, Exchange)]
    assert [(one.request.body, one.reply.body) for one in made] == [(b"1", b"1"), (b"5", b"5")]
    assert streams.streams.recorded == {}


def test_what_comes_after_the_end_of_a_message_is_no_part_of_it() -> None:
    streams = Streams()
    streams.asks(1)
    streams.asks_more(1, b"more", ends=True)
    streams.asks(1, ((b"a", b"b"),))
    streams.answers(1)
    streams.answers_more(1, b"more", ends=True)
    streams.answers(1, ((b"a", b"b"),))
    streams.streams.reset(1, C, 8, streams.out)
    made = streams.exchange()
    assert (made.request.body, made.request.trailers, made.reply.body, made.reply.trailers) == (b"",) * 2 + (
        b"",
    ) * 2
    assert len(streams.out) == 2


def test_what_comes_after_the_end_of_a_reply_changes_nothing() -> None:
    streams = Streams()
    streams.asks(1, POST, ends=False)
    streams.answers(1, ((b":status", b"413"),))
    streams.answers_more(1, b"more")
    assert streams.answers(1, (*OK, (b"location", b"http://up:8000/"))) == (
        *OK,
        (b"location", b"http://up:8000/"),
    )
    streams.asks_more(1, ends=True)
    reply = streams.exchange().reply
    assert (reply.status, reply.body, reply.trailers) == (413, b"", b"")


def test_an_upgraded_request_is_the_first_stream() -> None:
    streams = Streams()
    asked = streams.exchanges.begin(Request(b"GET", b"/old", b"1.1"), 1.0, b"me", streams.out)
    streams.exchanges.heard(asked, b"", streams.out)
    streams.streams.upgraded(asked)
    assert streams.streams.last == 1
    streams.asks_more(1, b"nothing of it", ends=True)
    streams.answers(1, ends=False)
    streams.answers_more(1, b"hi", ends=True)
    made = streams.exchange()
    assert (made.request, made.reply.body) == (Request(b"GET", b"/old", b"1.1"), b"hi")


def test_a_call_is_told_by_messages() -> None:
    streams = Streams()
    streams.asks(1, CALL, ends=False)
    streams.answers(1, CALL_OK, ends=False)
    streams.asks_more(1, ONE)
    streams.at = 2.0
    streams.answers_more(1, TWO + ONE)
    streams.asks_more(1, ends=True)
    streams.answers(1, STATUS_OK)
    reply = streams.exchange().reply
    assert (reply.chunks, reply.ends_on) == ((Chunk(11, 1.0, 1), Chunk(8, 0.0, 1)), 2)


# --- what is not recorded -----------------------------------------------------------------------------

LENGTH = (b"content-length", b"3")


@pytest.mark.parametrize(
    ("size", "why"),
    [
        (2, "a request that is not as long as its Content-Length says"),
        (3, ""),
        (4, "a request that is not as long as its Content-Length says"),
    ],
)
def test_the_length_of_a_request(size: int, why: str) -> None:
    streams = Streams()
    streams.asks(1, (*POST, LENGTH), ends=False)
    streams.asks_more(1, b"x" * size, ends=True)
    streams.answers(1)
    assert streams.why() == why if why else streams.exchange().request.body == b"xxx"


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_the_length_of_a_reply(size: int, method: bytes) -> None:
    streams = Streams()
    streams.asks(1, ((b":method", method), *GET[1:]))
    streams.answers(1, (*OK, LENGTH), ends=False)
    streams.answers_more(1, b"x" * size, ends=True)
    if (size, method) == (3, b"GET"):
        assert streams.exchange().reply.framing == "length"
    else:
        assert streams.why() == "a reply that is not as long as its head says"


def test_a_request_body_of_the_limit_and_one_byte_more() -> None:
    streams = Streams(max_body=3)
    for number, size in ((1, 3), (3, 4)):
        streams.asks(number, POST, ends=False)
        streams.asks_more(number, b"x" * size)
        streams.asks_more(number, ends=True)
        streams.answers(number)
    assert streams.exchange().request.body == b"xxx"
    assert streams.why() == "the body is larger than this service takes"


def test_a_reply_of_the_limit_and_one_byte_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "MAX_BODY", 3)
    streams = Streams(max_body=2)
    for number, size in ((1, 3), (3, 4)):
        streams.asks(number)
        streams.answers(number, ends=False)
        streams.answers_more(number, b"x" * size)
        streams.answers_more(number, ends=True)
    assert streams.exchange().reply.body == b"xxx"
    assert streams.why() == "the reply is larger than is recorded"


@pytest.mark.parametrize(
    ("told", "ends", "why"),
    [
        ((), False, "there is no :status"),
        (((b"a", b"b"), *OK), False, "there is no :status"),
        (((b":status", b"099"),), False, "there is no :status"),
        (((b":status", b"20"),), False, "there is no :status"),
        (((b":status", b"2000"),), False, "there is no :status"),
        ((*OK, *OK), False, "a pseudo-header"),
        (((b":status", b"103"),), True, "status 103"),
        (((b":status", b"101"),), False, "status 101"),
        ((*OK, (b"content-length", b"-1")), False, "the Content-Length"),
        ((*OK, (b"content-length", b"")), False, "the Content-Length"),
        ((*OK, LENGTH, (b"content-length", b"4")), False, "the Content-Length"),
        ((*OK, (b"content-length", b"1" * 20)), False, "the Content-Length"),
        ((*OK, (b"A", b"b")), False, "the field name 'A'"),
        ((*OK, (b"a", b"b\r\nc: d")), False, "the value of 'a'"),
    ],
)
def test_a_reply_that_is_none_is_passed_on(told: Pairs, ends: bool, why: str) -> None:
    streams = Streams()
    streams.asks(1)
    assert streams.answers(1, told, ends=ends) == told
    assert streams.why().startswith(f"a reply that is none: {why}")


def test_the_same_length_twice_is_one() -> None:
    streams = Streams()
    streams.asks(1)
    streams.answers(1, (*OK, LENGTH, LENGTH), ends=False)
    streams.answers_more(1, b"abc", ends=True)
    assert streams.exchange().reply.body == b"abc"


def test_a_body_before_its_head() -> None:
    streams = Streams()
    streams.asks(1)
    streams.answers_more(1, b"x")
    assert streams.why() == "a reply that is none: a body before its head"


@pytest.mark.parametrize(
    ("trailers", "ends", "why"),
    [
        (((b"a", b"b"),), False, "trailers that do not end the request"),
        (
            ((b"connection", b"close"),),
            True,
            "trailers that are none: the field 'connection' belongs to HTTP/1",
        ),
        (GET, True, "trailers that are none: a pseudo-header after the others, or among trailers"),
    ],
)
def test_trailers_of_a_request_that_are_none(trailers: Pairs, ends: bool, why: str) -> None:
    streams = Streams()
    streams.asks(1, POST, ends=False)
    assert streams.asks(1, trailers, ends=ends) == trailers
    assert streams.why() == why


@pytest.mark.parametrize(
    ("trailers", "ends", "why"),
    [(((b"a", b"b"),), False, "trailers that do not end it"), (OK, True, "a pseudo-header after the others")],
)
def test_trailers_of_a_reply_that_are_none(trailers: Pairs, ends: bool, why: str) -> None:
    streams = Streams()
    streams.asks(1)
    streams.answers(1, ends=False)
    assert streams.answers(1, trailers, ends=ends) == trailers
    assert streams.why().startswith(f"a reply that is none: {why}")


def test_more_requests_than_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "MAX_PENDING", 2)
    streams = Streams()
    for number in (1, 3, 5):
        assert streams.asks(number)[2] == (b":authority", b"up:8000")
        assert streams.streams.last == number
    assert streams.out[-1] == Lost(3, "more than 1000 requests under way", "skipped")
    assert streams.streams.recorded.keys() == {1, 3}


# --- ends before the end ------------------------------------------------------------------------------


def half(*, answered: bool = False, ended: bool = False, call: bool = False) -> Streams:
    """One stream whose request has not come to its end; `answered`: nor its reply, or it has `ended`."""
    streams = Streams()
    streams.asks(1, CALL if call else POST, ends=False)
    streams.asks_more(1, ONE + TWO[:7])
    if answered or ended:
        streams.answers(1, CALL_OK, ends=ended)
    return streams


@pytest.mark.parametrize(
    ("side", "code", "why"),
    [
        (C, 8, "the client cancelled"),
        (C, 0, "the client reset the stream: NO_ERROR"),
        (C, 13, "the client reset the stream: HTTP_1_1_REQUIRED"),
        (S, 8, "the upstream reset the stream: CANCEL"),
        (S, 14, "the upstream reset the stream: error 14"),
        (S, 2**32 - 1, "the upstream reset the stream: error 4294967295"),
    ],
)
@pytest.mark.parametrize("answered", [False, True])
def test_a_stream_that_is_given_up(side: object, code: int, why: str, answered: bool) -> None:
    streams = half(answered=answered)
    streams.streams.reset(1, side, code, streams.out)  # type: ignore[arg-type]
    streams.streams.reset(1, side, code, streams.out)  # type: ignore[arg-type]
    assert streams.why() == why


@pytest.mark.parametrize("call", [False, True])
@pytest.mark.parametrize(
    "end",
    [
        lambda streams: streams.streams.reset(1, C, 8, streams.out),
        lambda streams: streams.streams.reset(1, S, 0, streams.out),
        lambda streams: streams.streams.client_left(streams.out),
        lambda streams: streams.streams.server_left(streams.out),
    ],
    ids=["cancelled", "enough", "client left", "server left"],
)
def test_a_reply_that_is_whole_is_recorded_with_what_had_been_said(end: object, call: bool) -> None:
    streams = half(ended=True, call=call)
    assert streams.out == [Began(1)]
    end(streams)  # type: ignore[operator]
    made = streams.exchange()
    assert made.request.body == (ONE if call else ONE + TWO[:7])  # of a call, whole messages
    assert made.reply.ends_on == (1 if call else -1)


@pytest.mark.parametrize(("side", "who"), [(C, "client"), (S, "upstream")])
def test_a_fault_loses_even_that(side: object, who: str) -> None:
    streams = half(ended=True)
    streams.streams.reset(1, side, 1, streams.out)  # type: ignore[arg-type]
    assert streams.why() == f"the {who} reset the stream: PROTOCOL_ERROR"


def test_a_client_that_has_said_all_may_leave() -> None:
    streams = Streams()
    streams.asks(1)
    streams.asks(3, POST, ends=False)
    streams.streams.client_left(streams.out)
    assert streams.out[-1] == Lost(2, "the client left in the middle of its request")
    streams.answers(1)
    assert streams.exchange().id == 1


def test_a_server_that_leaves() -> None:
    streams = Streams()
    streams.asks(1)
    streams.asks(3)
    streams.answers(3, ends=False)
    streams.streams.server_left(streams.out)
    assert streams.out[-2:] == [
        Lost(1, "the upstream left before it had answered"),
        Lost(2, "the upstream left in the middle of a reply"),
    ]
    assert streams.streams.recorded == {}


@pytest.mark.parametrize(("last", "lost"), [(0, [1, 2, 3]), (2, [2, 3]), (3, [3]), (5, []), (2**31 - 1, [])])
def test_streams_that_a_server_did_not_take(last: int, lost: list[int]) -> None:
    streams = Streams()
    for number in (1, 3, 5):
        streams.asks(number)
    streams.streams.refused(last, streams.out)
    gone = [one for one in streams.out if isinstance(one, Lost)]
    assert [one.id for one in gone] == lost
    assert {one.why for one in gone} <= {"the upstream went away before it took the request"}


def test_all_can_be_lost_at_once() -> None:
    streams = half(ended=True)
    streams.asks(3)
    streams.streams.lose_all("why", streams.out)
    assert streams.out[-2:] == [Lost(1, "why"), Lost(2, "why")]
    assert streams.streams.recorded == {}


def test_nothing_is_known_of_a_stream_that_was_never_opened() -> None:
    streams = Streams()
    streams.answers(2)
    streams.answers_more(4, b"x", ends=True)
    streams.asks_more(7, b"x", ends=True)
    streams.streams.reset(9, C, 8, streams.out)
    assert (streams.out, streams.streams.last) == ([], 0)
