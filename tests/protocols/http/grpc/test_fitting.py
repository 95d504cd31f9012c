"""gRPC replies for clients of gRPC and gRPC-Web, over both versions of HTTP."""

import base64
import gzip

import pytest
from msgspec.structs import replace

from svcmock.protocol import Blob, Send
from svcmock_protocols.http.grpc.fitting import fitted
from svcmock_protocols.http.messages import Chunk, Reply, Request
from svcmock_protocols.http.session import HttpSession
from tests.protocols.conformance import serve
from tests.protocols.http.h2.sessions import Client, block, context, data, fields, frames, make, words

GRPC, WEB, TEXT = b"application/grpc", b"application/grpc-web+proto", b"application/grpc-web-text"


def message(text: bytes, flag: int = 0) -> bytes:
    return bytes((flag,)) + len(text).to_bytes(4) + text


TRAILERS = message(b"grpc-status: 0\r\nx: Y\r\n", 0x80)
NATIVE = Reply(
    200, block=b"content-type: application/grpc\r\na: b\r\n", body=message(b"one") + message(b"two"),
    framing="chunked", trailers=b"grpc-status: 0\r\nX: Y\r\n", version=b"2",
)  # fmt: skip


def asked(kind: bytes, accept: bytes = b"") -> Request:
    return Request(
        b"POST", b"/s.S/M", block=b"content-type: %b\r\ngrpc-accept-encoding: %b\r\n" % (kind, accept)
    )


def web(body: bytes, kind: bytes = WEB) -> Reply:
    return Reply(200, b"OK", b"content-type: %b\r\na: b\r\n" % kind, body)


WEB_BODY = message(b"one") + message(b"two") + TRAILERS
TEXT_BODY = base64.b64encode(message(b"one") + message(b"two")) + base64.b64encode(TRAILERS)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (NATIVE, GRPC), (NATIVE, b"application/grpc+proto"), (NATIVE, b"text/html"), (web(WEB_BODY), WEB),
        (web(TEXT_BODY, TEXT), TEXT), (Reply(200, block=b"content-type: text/html\r\n", body=b"x"), GRPC),
        (replace(NATIVE, body=Blob("x", 5)), WEB), (web(b"no message"), GRPC), (web(b"!", TEXT), GRPC),
    ],
)  # fmt: skip
def test_a_reply_that_fits_or_cannot_be_read_stays(reply: Reply, kind: bytes) -> None:
    assert fitted(reply, asked(kind)) is reply


@pytest.mark.parametrize("reply", [NATIVE, web(WEB_BODY), web(TEXT_BODY, TEXT)])
@pytest.mark.parametrize("kind", [GRPC, WEB, TEXT])
def test_every_client_gets_every_reply(reply: Reply, kind: bytes) -> None:
    made = fitted(reply, asked(kind))
    assert made.block == (reply.block if made is reply else b"content-type: %b\r\na: b\r\n" % kind)
    body = made.body
    assert isinstance(body, bytes)
    if kind == GRPC:
        assert body == NATIVE.body
        assert made.trailers.lower() == b"grpc-status: 0\r\nx: y\r\n"
    else:
        plain = (
            body
            if kind == WEB
            else b"".join(base64.b64decode(part + b"==") for part in body.split(b"=") if part)
        )
        assert plain.startswith(
            message(b"one") + message(b"two") + message(b"grpc-status: 0\r\nx: Y\r\n", 0x80)
        )
        assert made.trailers == b""
    assert made.head == b""


def test_gaps_are_kept() -> None:
    timed = replace(NATIVE, chunks=(Chunk(8), Chunk(8, 0.5)))
    made = fitted(timed, asked(WEB))
    assert made.chunks == (Chunk(8), Chunk(8, 0.5), Chunk(len(TRAILERS)))
    text = fitted(timed, asked(TEXT))
    assert text.chunks == (Chunk(12), Chunk(12, 0.5), Chunk(len(base64.b64encode(TRAILERS))))
    assert fitted(text, asked(GRPC)).chunks == timed.chunks
    assert fitted(made, asked(TEXT)).chunks == text.chunks


def test_chunks_that_do_not_cover_the_body() -> None:
    made = fitted(replace(NATIVE, chunks=(Chunk(8, 0.5), Chunk(0))), asked(WEB))
    assert made.body == WEB_BODY
    assert made.chunks == (Chunk(8, 0.5), Chunk(8), Chunk(len(TRAILERS)))
    assert fitted(replace(NATIVE, chunks=(Chunk(99),)), asked(WEB)).body == WEB_BODY


def test_a_status_alone_stays_in_the_head() -> None:
    only = Reply(
        200, block=b"content-type: application/grpc\r\ngrpc-status: 5\r\n", framing="chunked", version=b"2"
    )
    made = fitted(only, asked(WEB))
    assert made.block == b"content-type: %b\r\ngrpc-status: 5\r\n" % WEB
    assert made.body == b""


PACKED = replace(
    NATIVE,
    block=b"content-type: application/grpc\r\ngrpc-encoding: gzip\r\n",
    body=message(gzip.compress(b"one", mtime=0), 1) + message(b"two"),
)


@pytest.mark.parametrize(
    ("accept", "plain"),
    [(b"", True), (b"identity, deflate", True), (b"identity, gzip", False), (b"gzip", False)],
)
def test_a_client_gets_an_encoding_that_it_takes(accept: bytes, plain: bool) -> None:
    made = fitted(PACKED, asked(GRPC, accept))
    if plain:
        assert made.block == b"content-type: application/grpc\r\n"
        assert made.body == NATIVE.body
        assert fitted(PACKED, asked(WEB, accept)).body == WEB_BODY
    else:
        assert made is PACKED


def test_an_encoding_that_does_not_come_off_stays() -> None:
    broken = replace(PACKED, body=message(b"no gzip", 1))
    assert fitted(broken, asked(GRPC)) is broken
    unknown = replace(PACKED, block=b"content-type: application/grpc\r\ngrpc-encoding: snappy\r\n")
    assert fitted(unknown, asked(GRPC)) is unknown


def test_unpacked_messages_keep_their_gaps_where_those_are_theirs() -> None:
    size = len(message(gzip.compress(b"one", mtime=0), 1))
    timed = replace(PACKED, chunks=(Chunk(size), Chunk(8, 0.5)))
    assert fitted(timed, asked(GRPC)).chunks == (Chunk(8), Chunk(8, 0.5))
    askew = replace(PACKED, chunks=(Chunk(size - 1), Chunk(9, 0.5)))
    assert fitted(askew, asked(GRPC)).chunks == ()
    assert fitted(askew, asked(GRPC)).body == NATIVE.body


# --- through the sessions -----------------------------------------------------------------------------


def over_http_1(kind: bytes, reply: Reply, body: bytes) -> bytes:
    sent = b"POST /s.S/M HTTP/1.1\r\nHost: shop\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
    outs = serve(HttpSession(context()), [sent % (kind, len(body), body)], lambda _: reply)
    return b"".join([out.data for out in outs if isinstance(out, Send)])


def over_http_2(kind: bytes, reply: Reply, body: bytes) -> list[str]:
    client = Client(make(), lambda request: None if request.said else reply)
    head = frames.header_block(1, block(*fields(b"POST", b"/s.S/M", (b"content-type", kind))), ends=False)
    return client.send(head, data(1, body, ends=True))


def test_grpc_web_over_http_1() -> None:
    got = over_http_1(WEB, NATIVE, message(b"a"))
    assert got.startswith(b"HTTP/1.1 200 ")
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"content-type: " + WEB in head
    assert b"Transfer-Encoding: chunked" in head
    assert body == b"%x\r\n%b\r\n0\r\n\r\n" % (len(WEB_BODY), WEB_BODY)


def test_grpc_web_text_over_http_1() -> None:
    _, _, body = over_http_1(TEXT, NATIVE, base64.b64encode(message(b"a"))).partition(b"\r\n\r\n")
    assert base64.b64encode(NATIVE.body) in body  # type: ignore[arg-type]
    assert body.endswith(b"%b\r\n0\r\n\r\n" % base64.b64encode(TRAILERS))


def test_grpc_web_over_http_2() -> None:
    head, body = over_http_2(WEB, NATIVE, message(b"a"))
    assert head == "headers 1 [:status 200, content-type application/grpc-web+proto, a b]"
    assert body.startswith("data 1 end ")
    assert over_http_2(TEXT, NATIVE, base64.b64encode(message(b"a")))[1].startswith("data 1 end ")


def test_a_web_recording_for_a_client_of_grpc() -> None:
    assert over_http_2(GRPC, web(WEB_BODY), message(b"a")) == [
        "headers 1 [:status 200, content-type application/grpc, a b]",
        "data 1 '\\x00\\x00\\x00\\x00\\x03one\\x00\\x00\\x00\\x00\\x03two'",
        "headers 1 end [grpc-status 0, x Y]",
    ]


def test_one_connection_may_carry_all_kinds() -> None:
    client = Client(make(), lambda request: None if request.said else NATIVE)
    got = []
    for stream, kind in ((1, GRPC), (3, WEB), (5, GRPC), (7, TEXT), (9, WEB)):
        head = frames.header_block(
            stream, block(*fields(b"POST", b"/s.S/M", (b"content-type", kind))), ends=False
        )
        got.append(client.send(head, data(stream, message(b"a"), ends=True)))
    assert [len(told) for told in got] == [3, 2, 3, 2, 2]
    assert "content-type application/grpc," in got[2][0]
    assert words(b"") == []
