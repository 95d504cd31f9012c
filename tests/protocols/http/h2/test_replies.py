"""Replies as frames that lie ready, and which of them are made once."""

from typing import Any

import pytest

from svcmock.protocol import Blob
from svcmock_protocols.http.codec import RequestHead
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.heads import Opening
from svcmock_protocols.http.h2.hpack import Decoder
from svcmock_protocols.http.h2.replies import WHOLE_MAX, Prepared, prepare
from svcmock_protocols.http.messages import Chunk, Interim, Reply, Request
from tests.protocols.http.h2.sessions import words

BODY = b"0123456789"
GRPC = b"content-type: application/grpc\r\n"


def asked(method: bytes = b"GET", block: bytes = b"host: shop\r\n", *, grpc: bool = False) -> Opening:
    return Opening(RequestHead(Request(method, b"/", b"2", block), plain=method != b"HEAD"), grpc=grpc)


def made(method: bytes = b"GET", **more: Any) -> Prepared:
    return prepare(Reply(**{"status": 200, "version": b"2", "body": BODY, **more}), asked(method))


def sent(prepared: Prepared, stream: int = 0x01020305) -> list[str]:
    return words(stream.to_bytes(4).join(prepared.whole))


# --- whole replies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, ["headers N [:status 200]", "data N end '0123456789'"]),
        ({"body": b""}, ["headers N end [:status 200]"]),
        ({"status": 204}, ["headers N end [:status 204]"]),
        ({"framing": "none"}, ["headers N end [:status 200]"]),
        ({"method": b"HEAD", "trailers": b"a: b\r\n"}, ["headers N end [:status 200]"]),
        (
            {"trailers": b"A: b\r\n"},
            ["headers N [:status 200]", "data N '0123456789'", "headers N end [a b]"],
        ),
        ({"body": b"", "trailers": b"a: b\r\n"}, ["headers N [:status 200]", "headers N end [a b]"]),
        ({"chunks": (Chunk(5), Chunk(5))}, ["headers N [:status 200]", "data N end '0123456789'"]),
    ],
)
def test_a_whole_reply_lacks_nothing_but_its_stream(more: dict[str, Any], told: list[str]) -> None:
    prepared = made(**more)
    assert sent(prepared) == [word.replace("N", "16909061") for word in told]
    assert prepared.size == (10 if any("data" in word for word in told) else 0)


@pytest.mark.parametrize(
    "more",
    [
        {"body": bytes(WHOLE_MAX + 1)},
        {"body": Blob("f", 3)},
        {"chunks": (Chunk(10, 0.1),)},
        {"chunks": (Chunk(10, on=0),)},
        {"more": True},
        {"interim": (Interim(103, b""),)},
        {"block": b"a: %b\r\n" % (b"x" * 2 * frames.MAX_FRAME)},
        {"trailers": b"a: %b\r\n" % (b"x" * 2 * frames.MAX_FRAME)},
    ],
)
def test_a_reply_that_depends_on_more_is_not_whole(more: dict[str, Any]) -> None:
    assert made(**more).whole == ()


def test_the_largest_body_of_a_whole_reply() -> None:
    assert sent(made(body=bytes(WHOLE_MAX)))[1] == "data 16909061 end 16384 bytes"


def test_a_head_that_promises_a_switch_is_left_out() -> None:
    interim = (Interim(101, b""), Interim(103, b"", b"Link: x\r\n"))
    (one,) = made(interim=interim).interim
    assert Decoder().decode(one) == ((b":status", b"103"), (b"link", b"x"))
    assert made(interim=interim[:1]).whole


# --- bodies -------------------------------------------------------------------------------------------


def test_the_body_as_it_is_streamed() -> None:
    prepared = made(chunks=(Chunk(2, 1.0), Chunk(3, 2.0)))
    assert list(prepared.body(0.5)) == [(0.5, b"01"), (1.0, b"234"), (0.0, b"56789")]
    assert list(prepared.body(0.0, 2)) == [(0.0, b"234"), (0.0, b"56789")]
    assert list(prepared.body(1.0, 3)) == [(0.0, b"34"), (0.0, b"56789")]  # its gap was before its first byte
    assert list(prepared.body(1.0, 10)) == []
    assert list(made(upto=4).body(1.0, 1)) == [(0.0, b"123")]


def test_a_reply_without_a_body_has_no_pieces() -> None:
    for prepared in (made(b"HEAD"), made(status=304), made(framing="none")):
        assert prepared.bodiless
        assert list(prepared.body(1.0)) == []


def test_a_slice_of_a_file() -> None:
    assert list(made(body=Blob("f", 9, 5), chunks=(Chunk(4),)).body(1.0)) == [
        *((0.0, Blob("f", 4, 5)), (0.0, Blob("f", 5, 9)))
    ]


# --- made once ----------------------------------------------------------------------------------------


def test_a_reply_is_made_once_for_all_who_get_the_same() -> None:
    reply = Reply(200, body=BODY)
    first = prepare(reply, asked())
    assert prepare(reply, asked(b"POST", b"host: other\r\n")) is first
    assert prepare(Reply(200, body=BODY), asked()) is not first


def test_who_asks_with_head_gets_another() -> None:
    reply = Reply(200, body=BODY)
    assert prepare(reply, asked(b"HEAD")).bodiless
    assert not prepare(reply, asked()).bodiless
    assert prepare(reply, asked(b"HEAD")).bodiless


@pytest.mark.parametrize(
    "more",
    [
        {"body": bytes(64 * 1024 + 1)},
        {"body": Blob("f", 1)},
        {"self_authority": b"shop"},
        {"block": b"Content-Encoding: x-own\r\n"},
        {"block": GRPC + b"grpc-encoding: gzip\r\n"},
    ],
)
def test_a_reply_that_is_large_or_not_the_same_for_all_is_made_each_time(more: dict[str, Any]) -> None:
    reply = Reply(**{"status": 200, "body": BODY, **more})
    assert prepare(reply, asked(grpc=True)) is not prepare(reply, asked(grpc=True))


def test_a_call_s_reply_is_made_once_for_those_who_call() -> None:
    reply = Reply(200, block=GRPC, body=b"\0\0\0\0\0", trailers=b"grpc-status: 0\r\n", version=b"2")
    called = asked(b"POST", GRPC, grpc=True)
    first = prepare(reply, called)
    assert first.grpc
    assert prepare(reply, called) is first
    web = prepare(reply, asked(b"POST", b"content-type: application/grpc-web\r\n"))
    assert (web.trailers, web.reply.body) == (None, b"\0\0\0\0\0\x80\0\0\0\x10grpc-status: 0\r\n")


def test_what_is_remembered_is_bounded() -> None:
    first = Reply(200, body=b"first")
    known = prepare(first, asked())
    assert prepare(first, asked()) is known
    kept = [Reply(200, body=b"%d" % number) for number in range(1100)]
    for reply in kept:
        prepare(reply, asked())
    assert prepare(first, asked()) is not known
