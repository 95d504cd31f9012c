"""gRPC calls on HTTP/2: whole ones, conversations, deadlines, and clients that break the rules."""

import gzip
from typing import Any, ClassVar

import pytest

from svcmock.protocol import Ask, Send, Spooled, Wake
from svcmock_protocols.http.grpc import codes
from svcmock_protocols.http.grpc.answers import status_reply
from svcmock_protocols.http.grpc.parts import part, parts
from svcmock_protocols.http.grpc.schema import Method
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.credit import STREAM_CREDIT
from svcmock_protocols.http.messages import Chunk, Reply, Request
from tests.protocols.conformance import check_session_splits
from tests.protocols.http.h2.sessions import Client, Field, block, context, data, make, ping, post, words

GRPC = (b"content-type", b"application/grpc")
START = frames.PREFACE + frames.settings({})
UNARY, CHAT, UNKNOWN = b"/shop.Catalog/Get", b"/shop.Catalog/Chat", b"/shop.Catalog/New"


class Schema:
    """Stands for one: two methods, whose messages mean their bytes."""

    digest = b"x"
    services = ("shop.Catalog",)
    methods: ClassVar = {
        "/shop.Catalog/Get": Method("/shop.Catalog/Get", "A", "B"),
        "/shop.Catalog/List": Method("/shop.Catalog/List", "A", "B", server_streaming=True),
        "/shop.Catalog/Chat": Method(
            "/shop.Catalog/Chat", "A", "B", client_streaming=True, server_streaming=True
        ),
    }

    def canonical(self, _name: str | None, message: bytes) -> str:
        return message.hex()


SCHEMA = Schema()


def message(text: bytes, flag: int = 0) -> bytes:
    return bytes((flag,)) + len(text).to_bytes(4) + text


def call(stream: int, path: bytes = UNARY, *more: Field) -> bytes:
    return post(stream, GRPC, (b"te", b"trailers"), *more, path=path)


OK = Reply(
    200, block=b"content-type: application/grpc\r\n", body=message(b"hi"), framing="chunked",
    trailers=b"grpc-status: 0\r\n", version=b"2",
)  # fmt: skip
HEAD = "headers 1 [:status 200, content-type application/grpc]"
OK_WORDS = [HEAD, "data 1 '\\x00\\x00\\x00\\x00\\x02hi'", "headers 1 end [grpc-status 0]"]


def nothing(_: Request) -> Reply | None:
    return None


def asked(client: Client) -> list[tuple[bytes, bytes, bool]]:
    return [(ask.request.said.partition(b" ")[0], ask.request.body, ask.optional) for ask in client.asks]


def status(word: str) -> str:
    """The number of a Trailers-Only reply."""
    assert word.startswith("headers 1 end [:status 200, content-type application/grpc, grpc-status ")
    return word.split("grpc-status ")[1].split(",", maxsplit=1)[0].rstrip("]")


# --- calls that are asked for as a whole --------------------------------------------------------------


@pytest.mark.parametrize("path", [UNARY, b"/shop.Catalog/List"])
def test_a_method_of_the_schema_that_is_no_conversation_is_asked_for_as_a_whole(path: bytes) -> None:
    sent = START + call(1, path) + data(1, message(b"ab")[:3]) + data(1, message(b"ab")[3:], ends=True)
    outs = check_session_splits(lambda: make(SCHEMA), sent, lambda _: OK)
    (ask,) = [out for out in outs if isinstance(out, Ask)]
    assert ask == Ask(
        1,
        Request(
            b"POST",
            path,
            b"2",
            b"host: shop\r\ncontent-type: application/grpc\r\nte: trailers\r\n",
            message(b"ab"),
        ),
        ask.size,
    )
    told = words(b"".join([out.data for out in outs if isinstance(out, Send)]))
    assert told[-3:] == OK_WORDS


def test_a_method_that_no_schema_knows_is_asked_for_on_trial_first() -> None:
    seen: list[Request] = []

    def answer(request: Request) -> Reply | None:
        seen.append(request)
        return None if request.said else OK

    sent = START + call(1, UNKNOWN) + data(1, message(b"a") + message(b"b")) + data(1, ends=True)
    outs = check_session_splits(make, sent, answer)
    asks = [
        (out.request.said.partition(b" ")[0], out.request.body, out.optional)
        for out in outs
        if isinstance(out, Ask)
    ]
    assert asks == [
        (b"open", b"", True), (b"1", message(b"a"), True), (b"2", message(b"b"), True),
        (b"", message(b"a") + message(b"b"), False),
    ]  # fmt: skip


def test_a_large_call_that_no_schema_knows_is_known_by_its_digest() -> None:
    seen: list[Request] = []

    def answer(request: Request) -> Reply | None:
        seen.append(request)
        return None if request.said else OK

    client = Client(make(max_body_memory=10), answer)
    client.send(call(1, UNKNOWN), data(1, message(b"12345678")), data(1, message(b"12345678"), ends=True))
    assert isinstance(seen[-1].body, Spooled)
    assert seen[-1].body.size == 26


def test_a_client_of_http_gets_the_call_s_reply_as_it_was() -> None:
    client = Client(make(SCHEMA), lambda _: OK)
    assert client.send(post(1), data(1, ends=True)) == OK_WORDS


def test_what_is_no_call_by_its_method_or_type() -> None:
    client = Client(make(), answer=None)
    client.send(
        frames.header_block(
            1, block((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), GRPC), ends=True
        )
    )
    client.send(post(3, (b"content-type", b"application/grpcx")), data(3, ends=True))
    assert [ask.request.said for ask in client.asks] == [b"", b""]
    assert not any(ask.optional for ask in client.asks)


# --- conversations ------------------------------------------------------------------------------------

TALK = Reply(
    200,
    block=b"content-type: application/grpc\r\n",
    body=message(b"0") + message(b"1a") + message(b"1b") + message(b"end"),
    framing="chunked",
    chunks=(Chunk(6, on=0), Chunk(7, on=1), Chunk(7, 0.5, on=1), Chunk(8, on=3)),
    trailers=b"grpc-status: 0\r\n",
    version=b"2",
    ends_on=3,
)
"""Greets, says two things about the first message and nothing about the second, and something at the end."""
TALKED = Request(b"POST", CHAT, b"2", b"content-type: application/grpc\r\n", message(b"a") + message(b"b"))


def book(schema: Any) -> Any:
    made = context(schema)
    known = {one.said: part(TALKED, TALK, number) for number, one in enumerate(parts(TALKED, TALK, made))}
    assert len(known) == 4
    return lambda request: known.get(request.said)


@pytest.mark.parametrize("schema", [None, SCHEMA])
def test_a_conversation_goes_part_by_part(schema: Any) -> None:
    client = Client(make(schema), book(schema))
    assert client.send(call(1, CHAT)) == [HEAD, "data 1 '\\x00\\x00\\x00\\x00\\x010'"]
    assert client.send(data(1, message(b"a")[:4])) == []
    assert client.session.idle is False
    assert client.send(data(1, message(b"a")[4:])) == ["data 1 '\\x00\\x00\\x00\\x00\\x021a'"]
    assert client.session.idle
    assert client.wake() == ["data 1 '\\x00\\x00\\x00\\x00\\x021b'"]
    assert client.send(data(1, message(b"b"))) == []
    assert client.session.idle
    assert client.send(data(1, ends=True)) == [
        "data 1 '\\x00\\x00\\x00\\x00\\x03end'", "headers 1 end [grpc-status 0]",
    ]  # fmt: skip
    assert client.send(ping()) == ["ping ack 12345678"]


@pytest.mark.parametrize("schema", [None, SCHEMA])
def test_a_conversation_however_it_is_cut(schema: Any) -> None:
    sent = START + call(1, CHAT) + data(1, message(b"a")) + data(1, message(b"b")) + data(1, ends=True)
    outs = check_session_splits(lambda: make(schema, pace=0), sent, book(schema))
    told = words(b"".join([out.data for out in outs if isinstance(out, Send)]))
    assert [word.split()[0] for word in told[3:]] == ["headers", "data", "data", "data", "data", "headers"]


@pytest.mark.parametrize("schema", [None, SCHEMA])
def test_a_head_that_is_all_of_a_reply_comes_with_its_end(schema: Any) -> None:
    """Trailers-Only: before it, and in it, the client is told nothing but this one head."""
    failed = Reply(200, block=OK.block + b"grpc-status: 3\r\n", framing="chunked", version=b"2", ends_on=2)
    known = {
        one.said: part(TALKED, failed, number)
        for number, one in enumerate(parts(TALKED, failed, context(schema)))
    }
    client = Client(make(schema), lambda request: known.get(request.said))
    assert client.send(call(1, CHAT)) == []
    assert client.send(data(1, message(b"a"))) == []
    assert client.session.idle
    assert client.send(data(1, message(b"b"))) == [
        "headers 1 end [:status 200, content-type application/grpc, grpc-status 3]", "rst_stream 1 NO_ERROR",
    ]  # fmt: skip


def test_without_a_schema_what_no_recording_has_is_a_miss_once_the_client_waits_for_it() -> None:
    missed = status_reply(codes.NOT_FOUND, "no route")
    known = book(None)
    client = Client(make(), lambda request: known(request) if b"other" not in request.body else None)
    client.send(call(1, CHAT), data(1, message(b"a")))
    assert client.wake() == ["data 1 '\\x00\\x00\\x00\\x00\\x021b'"]
    assert client.send(data(1, message(b"other"))) == []
    client.answer = None
    assert client.wake() == []
    (ask,) = client.asks
    assert (ask.request.body, ask.optional) == (message(b"other"), False)
    assert client.reply(missed)[0] == "headers 1 end [grpc-status 5, grpc-message no route]"


def test_without_a_schema_a_whole_call_may_begin_like_a_conversation() -> None:
    whole = Reply(200, block=OK.block, body=TALK.body + message(b"!"), framing="chunked", trailers=OK.trailers)
    known = book(None)

    def answer(request: Any) -> Reply | None:
        if not request.said:
            return whole
        return None if b"other" in request.body or request.said.startswith(b"end") else known(request)

    client = Client(make(), answer)
    client.send(call(1, CHAT), data(1, message(b"a")))
    client.wake()
    assert client.send(data(1, message(b"other"), ends=True)) == [
        "data 1 '\\x00\\x00\\x00\\x00\\x03end\\x00\\x00\\x00\\x00\\x01!'", "headers 1 end [grpc-status 0]",
    ]  # fmt: skip


def test_messages_that_come_at_once_are_asked_for_one_after_the_other() -> None:
    client = Client(make(SCHEMA), answer=None)
    client.send(call(1, CHAT), data(1, message(b"a") + message(b"b"), ends=True))
    assert asked(client) == [(b"open", b"", True)]
    client.reply(None)
    assert asked(client) == [(b"1", message(b"a"), False)]
    more = Reply(200, block=OK.block, body=message(b"1"), framing="chunked", version=b"2", more=True)
    assert client.reply(more) == [HEAD, "data 1 '\\x00\\x00\\x00\\x00\\x011'"]
    assert asked(client) == [(b"2", message(b"b"), False)]
    client.reply(more)
    assert asked(client) == [(b"end", b"", False)]
    assert client.reply(OK)[-1] == "headers 1 end [grpc-status 0]"


def test_a_part_that_a_route_answers_by_itself_does_not_end_the_call() -> None:
    client = Client(make(SCHEMA), lambda request: OK if request.said.startswith((b"1", b"2")) else None)
    client.send(call(1, CHAT))
    assert client.send(data(1, message(b"a"))) == OK_WORDS[:2]
    assert client.send(data(1, message(b"b"))) == OK_WORDS[1:2]
    assert client.send(data(1, ends=True)) == ["headers 1 end [grpc-status 0]"]


def test_a_route_that_is_no_conversation_does_not_answer_what_is_asked_on_trial() -> None:
    client = Client(make(), lambda _: OK)
    assert client.send(call(1, UNKNOWN), data(1, message(b"a"), ends=True)) == OK_WORDS
    client = Client(make(SCHEMA), lambda _: OK)
    assert client.send(call(1, CHAT), data(1, message(b"a"), ends=True)) == OK_WORDS


def test_a_part_that_fails_ends_the_call_and_stops_the_client() -> None:
    missed = Reply(
        200, block=b"content-type: application/grpc\r\ngrpc-status: 12\r\n", framing="chunked", version=b"2"
    )
    client = Client(make(SCHEMA), lambda request: None if request.said == b"open" else missed)
    client.send(call(1, CHAT))
    told = client.send(data(1, message(b"a")))
    assert status(told[0]) == "12"
    assert told[1:] == ["rst_stream 1 NO_ERROR"]
    assert client.send(data(1, message(b"b"), ends=True), ping()) == ["ping ack 12345678"]


def test_a_part_that_fails_after_a_message_has_its_status_in_trailers() -> None:
    missed = Reply(
        200, block=b"content-type: application/grpc\r\ngrpc-status: 12\r\n", framing="chunked", version=b"2"
    )
    client = Client(make(SCHEMA), lambda request: missed if request.said[:1] == b"2" else OK)
    client.send(call(1, CHAT), data(1, message(b"a")))
    told = client.send(data(1, message(b"b"), ends=True))
    assert told == ["headers 1 end [grpc-status 12]"]


def test_a_conversation_whose_client_is_cut_off() -> None:
    client = Client(make(SCHEMA), book(SCHEMA))
    client.send(call(1, CHAT), data(1, message(b"a")))
    assert client.send(frames.rst_stream(1, 8)) == []
    assert client.wake() == []
    assert client.send(call(3, CHAT))[0].startswith("headers 3")
    assert client.eof() == ["closed"]


def test_what_waits_for_an_answer_is_bounded_by_the_stream_s_window() -> None:
    client = Client(make(SCHEMA), answer=None)
    client.send(call(1, CHAT))
    piece = data(1, message(b"x" * 16_000))
    sent = 0
    while sent + 16_005 <= STREAM_CREDIT:
        assert client.send(piece) == []
        sent += 16_005
    client.reply(None)
    told: list[str] = []
    while not told:
        told = client.reply(Reply(200, block=OK.block, body=b"", framing="chunked", version=b"2", more=True))[
            :1
        ]
    assert client.send(frames.rst_stream(1, 8)) == []


# --- deadlines ----------------------------------------------------------------------------------------

IN_TIME = (b"grpc-timeout", b"300m")


def test_a_deadline_that_an_answer_will_not_meet() -> None:
    client = Client(make(SCHEMA), answer=None)
    client.send(call(1, UNARY, IN_TIME), data(1, message(b"a"), ends=True))
    client.delay(0.5)
    assert client.wakes == [Wake(0.3, ("deadline", 1))]
    (told,) = client.wake()
    assert status(told) == "4"
    assert client.reply(OK) == []


def test_a_deadline_that_an_answer_meets() -> None:
    client = Client(make(SCHEMA), answer=None)
    client.send(call(1, UNARY, IN_TIME), data(1, message(b"a"), ends=True))
    client.delay(0.2)
    assert client.wakes == []
    assert client.reply(OK) == OK_WORDS


def test_a_deadline_inside_a_stream_counts_from_its_beginning() -> None:
    slow = Reply(
        200, block=OK.block, body=message(b"a") * 2, framing="chunked", chunks=(Chunk(6), Chunk(6, 1.0)),
        trailers=b"grpc-status: 0\r\n", version=b"2",
    )  # fmt: skip
    client = Client(make(SCHEMA), answer=None)
    client.send(call(1, UNARY, IN_TIME), data(1, message(b"a"), ends=True))
    client.delay(0.1)
    client.reply(slow)
    gap, deadline = client.wakes
    assert gap == Wake(1.0, ("gap", 1))
    assert deadline.token == ("deadline", 1)
    assert deadline.after == pytest.approx(0.2)
    (told,) = client.wake(1)
    assert told.startswith("headers 1 end [grpc-status 4")
    assert client.wake() == []


def test_a_deadline_of_a_conversation_runs_while_its_client_rests() -> None:
    client = Client(make(SCHEMA), book(SCHEMA))
    client.send(call(1, CHAT, IN_TIME))
    assert client.wakes == [Wake(0.3, ("deadline", 1))]
    client.send(data(1, message(b"a")))
    assert len(client.wakes) == 2
    told = client.wake()
    assert told[0].startswith("headers 1 end [grpc-status 4")
    assert told[1:] == ["rst_stream 1 NO_ERROR"]
    assert client.wake() == []


@pytest.mark.parametrize("value", [b"", b"1", b"m", b"-1m", b"123456789m", b"1x"])
def test_a_timeout_that_is_none(value: bytes) -> None:
    client = Client(make(SCHEMA), answer=None)
    client.send(call(1, UNARY, (b"grpc-timeout", value)), data(1, message(b"a"), ends=True))
    client.delay(1e9)
    assert client.wakes == []


def test_a_request_without_a_timeout_may_wait() -> None:
    client = Client(make(SCHEMA), answer=None)
    client.send(call(1), data(1, message(b"a"), ends=True))
    client.delay(1e9)
    assert client.wakes == []
    assert client.reply(OK) == OK_WORDS


# --- calls that are not in order ----------------------------------------------------------------------

INTERNAL, RESOURCE_EXHAUSTED, UNIMPLEMENTED = "13", "8", "12"
SIZED = message(b"x" * 21)


@pytest.mark.parametrize("path", [UNARY, CHAT, UNKNOWN])
@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        ([message(b"abc")[:-1]], INTERNAL),
        ([message(b"a"), message(b"abc")[:-1]], INTERNAL),
        ([message(b"a"), b"\0"], INTERNAL),
        ([message(b"abc", flag=2)], INTERNAL),
        ([message(b"a"), message(b"abc", flag=2)], INTERNAL),
        ([SIZED], RESOURCE_EXHAUSTED),
        ([SIZED[:5]], RESOURCE_EXHAUSTED),
        ([SIZED[:3], SIZED[3:]], RESOURCE_EXHAUSTED),
        ([message(b"a"), SIZED], RESOURCE_EXHAUSTED),
        ([message(b"a") * 2, SIZED[:6], SIZED[6:]], RESOURCE_EXHAUSTED),
    ],
)
@pytest.mark.parametrize("memory", [1 << 20, 8])
def test_a_body_that_is_not_whole_messages_is_a_status(
    path: bytes, pieces: list[bytes], code: str, memory: int
) -> None:
    client = Client(make(SCHEMA, max_message=20, max_body_memory=memory), nothing)
    told = client.send(call(1, path), *[data(1, piece) for piece in pieces])
    told += client.send(data(1, ends=True))
    assert status(told[0]) == code
    assert told[1:] in ([], ["rst_stream 1 NO_ERROR"])
    assert client.send(ping()) == ["ping ack 12345678"]


GZIPPED = message(gzip.compress(b"a" * 10, mtime=0), flag=1)


@pytest.mark.parametrize("path", [UNARY, UNKNOWN])
@pytest.mark.parametrize(
    ("encoding", "sent", "code"),
    [
        (None, message(b"a", flag=1), INTERNAL),
        (b"identity", message(b"a", flag=1), INTERNAL),
        (b"snappy", message(b"a", flag=1), UNIMPLEMENTED),
        (b"gzip", message(b"a", flag=1), INTERNAL),
        (b"gzip", message(gzip.compress(b"a" * 1000, mtime=0), flag=1), RESOURCE_EXHAUSTED),
        (b"gzip", GZIPPED, None),
        (b"gzip", message(b"a"), None),
        (b"snappy", message(b"a"), None),
    ],
)
def test_messages_that_are_not_compressed_as_they_say(
    path: bytes, encoding: bytes | None, sent: bytes, code: str | None
) -> None:
    client = Client(make(SCHEMA, max_message=500), lambda request: None if request.said else OK)
    more = [] if encoding is None else [(b"grpc-encoding", encoding)]
    told = client.send(call(1, path, *more), data(1, sent, ends=True))
    assert told == OK_WORDS if code is None else status(told[0]) == code


def test_a_call_larger_than_a_service_takes() -> None:
    client = Client(make(SCHEMA, max_body=10), answer=None)
    told = client.send(call(1), data(1, message(b"abcdefg")))
    assert status(told[0]) == RESOURCE_EXHAUSTED
    assert told[1] == "rst_stream 1 NO_ERROR"


def test_a_call_that_expects_magic() -> None:
    client = Client(make(SCHEMA))
    assert status(client.send(call(1, UNARY, (b"expect", b"magic")))[0]) == "2"


def test_a_reply_that_is_still_being_recorded() -> None:
    client = Client(make(SCHEMA), lambda _: Reply(200, b"OK", OK.block, Spooled(1, 5, "")))
    assert status(client.send(call(1), data(1, message(b"a"), ends=True))[0]) == INTERNAL


# --- what is answered by itself -----------------------------------------------------------------------


CHECK, WATCH = b"/grpc.health.v1.Health/Check", b"/grpc.health.v1.Health/Watch"
SERVING = "'\\x00\\x00\\x00\\x00\\x02\\x08\\x01'"


@pytest.mark.parametrize("schema", [None, SCHEMA])
def test_health_is_answered_where_no_route_does(schema: Any) -> None:
    client = Client(make(schema), nothing)
    told = client.send(call(1, CHECK), data(1, message(b""), ends=True))
    assert told == [HEAD, f"data 1 {SERVING}", "headers 1 end [grpc-status 0]"]
    told = client.send(call(3, WATCH), data(3, message(b""), ends=True))
    assert told[-1] == f"data 3 {SERVING}"
    assert client.session.idle
    assert client.send(frames.rst_stream(3, 8)) == []
    client.answer = lambda _: OK
    assert client.send(call(5, CHECK), data(5, message(b""), ends=True))[1].endswith("hi'")


def test_health_is_asked_for_as_a_whole_and_is_no_miss() -> None:
    client = Client(make(), answer=None)
    client.send(call(1, CHECK), data(1, message(b""), ends=True))
    assert asked(client) == [(b"", message(b""), True)]
    client.send(post(3, (b"content-type", b"application/grpc+json"), path=CHECK), data(3, ends=True))
    assert asked(client)[1] == (b"", b"", False)


def test_reflection_is_a_conversation() -> None:
    client = Client(make(), nothing)
    told = client.send(call(1, b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"))
    assert told == []
    listing = message(b"\x3a\x01*")
    for _ in range(2):
        told = client.send(data(1, listing))
        assert told[-1].startswith("data 1 ")
    assert client.send(data(1, ends=True)) == ["headers 1 end [grpc-status 0]"]


def test_a_call_that_nobody_answers_does_not_hang() -> None:
    client = Client(make(), answer=None)
    client.send(call(1, UNKNOWN), data(1, ends=True))
    client.reply(None)
    assert status(client.reply(None)[0]) == UNIMPLEMENTED
