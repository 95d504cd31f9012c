"""What becomes of a stream: asked for, refused, ended by a deadline, or forgotten."""

from typing import Any

import pytest

from svcmock.protocol import Ask, Out, Send, Wake
from svcmock_protocols.http.h2.answering import DEADLINE, Answering
from svcmock_protocols.http.h2.heads import Malformed, opening
from svcmock_protocols.http.h2.numbers import Numbers
from svcmock_protocols.http.h2.sender import GAP
from svcmock_protocols.http.h2.stream import Stream
from svcmock_protocols.http.messages import Chunk, Options, Reply, Request
from tests.protocols.http.h2.sessions import Field, context, fields, words

GRPC = (b"content-type", b"application/grpc")
CALL = b"content-type: application/grpc\r\n"
ONE = b"\0\0\0\0\1x"
CHECK = b"/grpc.health.v1.Health/Check"


class Answered:
    """An Answering with one open stream, and what it does."""

    def __init__(self, *more: Field, method: bytes = b"POST", path: bytes = b"/a", **options: Any) -> None:
        self.numbers = Numbers()
        self.answering = Answering(context(None, 1.0, **options), Options(**options), self.numbers)
        self.stream = Stream(1, opening(fields(method, path, *more)), 65535, 65535)
        self.answering.streams[1] = self.stream
        self.outs: list[Out] = []

    def open(self, *, ends: bool = False) -> "Answered":
        self.stream.ended = ends
        self.answering.opened(self.stream, self.stream.opening, self.outs)
        return self

    def body(self, payload: bytes, *, ends: bool = False) -> "Answered":
        self.answering.body(self.stream, payload, self.outs, ends=ends)
        return self

    def reply(self, ask: Ask, reply: Reply | None) -> "Answered":
        self.answering.answered(self.stream, ask, reply, self.outs)
        return self

    def taken(self) -> list[Out]:
        outs, self.outs = self.outs, []
        return outs

    def asked(self) -> Ask:
        (ask,) = self.taken()
        assert isinstance(ask, Ask)
        return ask

    def told(self) -> list[str]:
        return words(b"".join([out.data for out in self.taken() if isinstance(out, Send)]))

    @property
    def over(self) -> bool:
        return 1 not in self.answering.streams


# --- the request --------------------------------------------------------------------------------------


def test_a_request_is_asked_for_when_all_of_it_is_there() -> None:
    one = Answered().open().body(b"ab")
    assert one.taken() == []
    assert one.body(b"c", ends=True).asked() == Ask(
        1, Request(b"POST", b"/a", b"2", b"host: shop\r\n", b"abc"), len(b"host: shop\r\n") + 3
    )
    assert one.stream.asked


def test_trailers_end_a_request() -> None:
    one = Answered().open().body(b"ab")
    one.answering.trailers(one.stream, ((b"x", b"y"),), one.outs)
    assert one.asked().request.trailers == b"x: y\r\n"


def test_a_request_shorter_than_it_says_is_malformed() -> None:
    one = Answered((b"content-length", b"3")).open().body(b"ab")
    with pytest.raises(Malformed):
        one.answering.trailers(one.stream, (), one.outs)
    assert one.outs == []


def test_who_waits_is_told_to_go_on_unless_all_is_said() -> None:
    expecting = (b"expect", b"100-continue")
    assert Answered(expecting).open().told() == ["headers 1 [:status 100]"]
    assert isinstance(Answered(expecting).open(ends=True).asked(), Ask)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (fields(b"POST", b"/a", (b"expect", b"magic")), 417),
        (((b":method", b"CONNECT"), (b":authority", b"shop")), 501),
    ],
)
def test_a_head_that_is_refused(head: tuple[Field, ...], status: int) -> None:
    one = Answered()
    one.answering.opened(one.stream, opening(head), one.outs)
    told = one.told()
    assert told[0].startswith(f"headers 1 [:status {status}, ")
    assert told[-1] == "rst_stream 1 NO_ERROR"  # the client has not said all
    assert one.over
    one.numbers.enter(1)
    one.numbers.gone(1, "DATA")  # what it still sends is ignored


@pytest.mark.parametrize(("size", "refused"), [(4, False), (5, True)])
def test_a_body_may_be_as_large_as_it_may(size: int, refused: bool) -> None:
    one = Answered(max_body=4).open().body(bytes(size))
    assert one.over is refused
    told = one.told()
    assert [word.split(",")[0] for word in told[:1]] == ["headers 1 [:status 413"] * refused


def test_the_body_of_what_was_refused_is_not_looked_at() -> None:
    one = Answered(max_body=4).open()
    one.answering.sender.window = 0
    one.body(b"12345").taken()
    assert not one.over  # the refusal waits
    one.body(bytes(1000), ends=True)
    assert (one.outs, one.stream.ended, one.stream.got) == ([], True, 5)
    one.answering.sender.open_window(1000)
    one.answering.sender.pump_all(one.outs)
    assert one.told()[-1].startswith("data 1 end ")
    assert one.over


# --- calls --------------------------------------------------------------------------------------------


def test_a_call_that_may_be_a_conversation_is_asked_for_at_once() -> None:
    one = Answered(GRPC, path=b"/s.S/M").open()
    ask = one.asked()
    assert (ask.request.said, ask.optional) == (b"open", True)
    one.body(ONE)
    assert one.outs == []  # one part at a time
    second = one.reply(ask, None).asked()
    assert (second.request.said, second.request.body, second.optional) == (b"1 ", ONE, True)


def test_a_health_check_is_one_message_and_answered_here() -> None:
    one = Answered(GRPC, path=CHECK).open()
    assert one.outs == []
    ask = one.body(b"\0\0\0\0\0", ends=True).asked()
    assert (ask.request.said, ask.optional) == (b"", True)
    assert one.reply(ask, None).told()[-1] == "headers 1 end [grpc-status 0]"
    assert one.over


@pytest.mark.parametrize("content_type", [b"application/grpc+json", b"application/grpc-web"])
def test_a_health_check_in_another_codec_is_anybody_s(content_type: bytes) -> None:
    ask = Answered((b"content-type", content_type), path=CHECK).open().body(b"\0\0\0\0\0", ends=True).asked()
    assert not ask.optional


def test_a_call_whose_body_is_no_message_has_a_status() -> None:
    one = Answered(GRPC, path=b"/s.S/M").open()
    one.taken()
    (head, reset) = one.body(b"\2\0\0\0\0").told()
    assert "grpc-status 13" in head
    assert reset == "rst_stream 1 NO_ERROR"
    assert one.over


def test_a_call_that_is_too_large_has_a_status() -> None:
    one = Answered(GRPC, path=b"/s.S/M", max_body=4).open()
    one.taken()
    assert "grpc-status 8" in one.body(b"12345").told()[0]


def test_a_whole_call_that_nobody_answers_is_unimplemented() -> None:
    one = Answered(GRPC, path=CHECK).open()
    ask = one.body(b"\0\0\0\0\0", ends=True).asked()
    strange = Ask(ask.id, Request(b"POST", b"/s.S/M", b"2", CALL, ONE), 0, True)
    assert "grpc-status 12" in one.reply(strange, None).told()[0]


# --- deadlines ----------------------------------------------------------------------------------------


def waiting(timeout: bytes | None, *delays: float) -> list[Out]:
    more = () if timeout is None else ((b"grpc-timeout", timeout),)
    one = Answered(GRPC, *more, path=CHECK)
    return [out for delay in delays for out in one.answering.waiting(one.stream, delay)]


def test_a_deadline_is_watched_where_an_answer_will_not_meet_it() -> None:
    assert waiting(b"2S", 1.5) == []
    assert waiting(b"2S", 2.0) == [Wake(2.0, (DEADLINE, 1))]
    assert waiting(b"2S", 1.5, 1.0, 9.0) == [Wake(0.5, (DEADLINE, 1))]  # and once
    assert waiting(None, 1000.0) == []
    assert waiting(b"2 weeks", 1000.0) == []


def test_a_deadline_ends_a_reply_wherever_it_is() -> None:
    one = Answered(GRPC, (b"grpc-timeout", b"1S"), path=CHECK).open()
    ask = one.body(b"\0\0\0\0\0", ends=True).asked()
    slow = Reply(
        200, block=CALL, body=ONE + ONE, chunks=(Chunk(6), Chunk(6, 9.0)), trailers=b"grpc-status: 0\r\n"
    )
    outs = one.reply(ask, slow).taken()
    assert [out for out in outs if isinstance(out, Wake)] == [Wake(9.0, (GAP, 1)), Wake(1.0, (DEADLINE, 1))]
    one.answering.woke(DEADLINE, one.stream, one.outs)
    (trailers,) = one.told()
    assert trailers.startswith("headers 1 end [grpc-status 4, grpc-message ")
    assert one.over


def test_after_a_gap_a_reply_goes_on() -> None:
    one = Answered().open()
    ask = one.body(b"", ends=True).asked()
    one.reply(ask, Reply(200, body=b"ab", version=b"2", chunks=(Chunk(1), Chunk(1, 9.0))))
    assert one.told() == ["headers 1 [:status 200]", "data 1 'a'"]
    one.answering.woke("nobody's", one.stream, one.outs)
    assert one.outs == []
    one.answering.woke(GAP, one.stream, one.outs)
    assert one.told() == ["data 1 end 'b'"]
    assert one.over


# --- the end ------------------------------------------------------------------------------------------


def test_a_client_that_has_said_all_is_not_reset() -> None:
    one = Answered().open()
    one.reply(one.body(b"", ends=True).asked(), Reply(204))
    assert one.told() == ["headers 1 end [:status 204]"]
    assert one.over


def test_a_stream_that_is_forgotten_holds_nothing() -> None:
    one = Answered().open()
    one.answering.sender.window = 0
    one.reply(one.body(b"", ends=True).asked(), Reply(200, body=b"ab")).taken()
    one.answering.forget(one.stream)
    assert one.over
    assert (len(one.stream.outbox), one.answering.sender.blocked) == (0, {})
    one.answering.forget(one.stream)  # once more is as good


def test_a_refusal_of_our_own_has_the_status_that_fits_the_client() -> None:
    for more, wanted in ((), ":status 431"), ((GRPC,), "grpc-status 2"):
        one = Answered(*more)
        one.answering.refuse(one.stream, 431, "too large", one.outs)
        assert wanted in one.told()[0]
