"""Header lists as heads of requests and as replies, and what is malformed in them."""

from typing import Any

import pytest

from svcmock.protocol import Blob
from svcmock_protocols.http.h2.heads import (
    CONNECTION,
    Malformed,
    Opening,
    block_fields,
    field_block,
    opening,
    reply_fields,
    trailer_block,
)
from svcmock_protocols.http.messages import Framing, Reply, Request

Field = tuple[bytes, bytes]
BASE = {b":method": b"GET", b":scheme": b"http", b":path": b"/", b":authority": b"shop"}


def opened(*more: Field, **pseudo: bytes | None) -> Opening:
    """`pseudo`: control data other than usual; None: without it."""
    control = {**BASE, **{b":" + name.encode(): value for name, value in pseudo.items()}}
    return opening((*((name, value) for name, value in control.items() if value is not None), *more))


# --- requests -----------------------------------------------------------------------------------------


def test_a_head_as_http_1_would_have_it() -> None:
    made = opened((b"x-a", b"1"), (b"x-b", b""), (b"x-a", b"2"))
    block = b"host: shop\r\nx-a: 1\r\nx-b: \r\nx-a: 2\r\n"
    assert made.head.request == Request(b"GET", b"/", b"2", block)
    assert (made.length, made.grpc, made.timeout, made.plain, made.head.plain) == (-1, False, None, True, True)


@pytest.mark.parametrize(
    "pseudo",
    [
        {"method": None}, {"method": b""}, {"method": b"G T"},
        {"scheme": None}, {"scheme": b""},
        {"path": None}, {"path": b""}, {"path": b"shop"}, {"path": b"*"}, {"path": b"/a b"}, {"path": b"/\x80"},
        {"authority": b"user@shop"}, {"authority": b"a b"},
        {"status": b"200"},
        {"method": b"CONNECT"},
        {"method": b"CONNECT", "path": None},
        {"method": b"CONNECT", "path": None, "scheme": None, "authority": None},
        {"method": b"CONNECT", "path": None, "scheme": None, "authority": b""},
    ],
)  # fmt: skip
def test_control_data_that_cannot_be(pseudo: dict[str, bytes | None]) -> None:
    with pytest.raises(Malformed):
        opened(**pseudo)


def test_control_data_that_is_unusual() -> None:
    assert opened(method=b"OPTIONS", path=b"*").head.request.target == b"*"
    assert opened(method=b"m!", scheme=b"coap").head.request.method == b"m!"
    tunnel = opened(method=b"CONNECT", path=None, scheme=None, authority=b"shop:443")
    assert (tunnel.head.request.target, tunnel.plain) == (b"shop:443", False)
    assert not opened(method=b"HEAD").head.plain


def test_a_pseudo_header_comes_once_and_first() -> None:
    with pytest.raises(Malformed, match="':path' is unknown or twice there"):
        opened((b":path", b"/"))
    with pytest.raises(Malformed, match="after the others"):
        opened((b"a", b"b"), (b":path", b"/"))


@pytest.mark.parametrize(
    ("authority", "hosts", "block"),
    [
        (b"shop", [], b"host: shop\r\na: b\r\n"),
        (b"shop", [b"SHOP"], b"host: shop\r\na: b\r\n"),
        (None, [b"shop:80"], b"host: shop:80\r\na: b\r\n"),
        (None, [b"shop", b"shop"], b"host: shop\r\na: b\r\n"),
        (None, [], b"a: b\r\n"),
        (b"", [b""], b"a: b\r\n"),
    ],
)
def test_the_host_stands_first_and_once(authority: bytes | None, hosts: list[bytes], block: bytes) -> None:
    made = opened(*((b"host", host) for host in hosts), (b"a", b"b"), authority=authority)
    assert made.head.request.block == block


@pytest.mark.parametrize(
    "field",
    [
        *((name, b"x") for name in sorted(CONNECTION)),
        (b"te", b"gzip"), (b"te", b"trailers, gzip"), (b"host", b"other"),
        (b"content-length", b""), (b"content-length", b"+1"), (b"content-length", b"1, 1"),
        (b"content-length", b"9" * 40),
        (b"", b"x"), (b"A", b"x"), (b"a b", b"x"), (b"a:", b"x"), (b"\xe9", b"x"),
        (b"a", b" x"), (b"a", b"x\t"), (b"a", b" "), (b"a", b"x\ny: z"), (b"a", b"x\r\ny: z"), (b"a", b"\0"),
        (b"a\r\nb", b"x"), (b"a", b"\x7f"),
    ],
)  # fmt: skip
def test_fields_that_cannot_be(field: Field) -> None:
    with pytest.raises(Malformed):
        opened(field)


@pytest.mark.parametrize("name", [b"content-length", b"host"])
def test_a_field_that_says_two_things(name: bytes) -> None:
    with pytest.raises(Malformed, match="says two things"):
        opened((name, b"1"), (name, b"2"), authority=None)


def test_a_length_may_be_said_twice() -> None:
    assert opened((b"content-length", b"007"), (b"content-length", b"007")).length == 7


def test_a_name_that_is_told_is_cut_and_in_ascii() -> None:
    with pytest.raises(Malformed) as caught:
        opened((b"\xe9" * 1000, b"x"))
    assert ("\\xe9" * 40) + "'" in caught.value.why
    assert len(caught.value.why) < 250


@pytest.mark.parametrize(
    ("method", "content_type", "grpc"),
    [
        (b"POST", b"application/grpc", True),
        (b"POST", b"application/grpc+json", True),
        (b"GET", b"application/grpc", False),
        (b"POST", b"application/grpc-web", False),
        (b"POST", b"application/grpcx", False),
    ],
)
def test_what_is_a_call(method: bytes, content_type: bytes, grpc: bool) -> None:
    made = opened((b"content-type", content_type), (b"grpc-timeout", b"100m"), method=method)
    assert (made.grpc, made.plain, made.timeout) == (grpc, not grpc, 0.1 if grpc else None)


def test_an_expectation_is_kept_in_lower_case() -> None:
    made = opened((b"expect", b"100-Continue"))
    assert (made.head.expect, made.plain) == (b"100-continue", False)


def test_te_may_say_trailers() -> None:
    assert opened((b"te", b"Trailers")).head.request.block == b"host: shop\r\nte: Trailers\r\n"


# --- blocks -------------------------------------------------------------------------------------------


def test_crumbs_are_one_cookie_where_the_first_was() -> None:
    crumbs = ((b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2"), (b"cookie", b"c=3"))
    assert field_block(crumbs) == b"cookie: a=1; b=2; c=3\r\nx: y\r\n"
    assert field_block(crumbs[:2]) == b"cookie: a=1\r\nx: y\r\n"
    assert field_block(()) == b""


def test_trailers() -> None:
    assert trailer_block(((b"a", b"1"), (b"a", b"\xff"))) == b"a: 1\r\na: \xff\r\n"
    for field in ((b":path", b"/"), (b"connection", b"x"), (b"A", b"x")):
        with pytest.raises(Malformed):
            trailer_block((field,))


# --- replies ------------------------------------------------------------------------------------------


def test_a_block_without_what_belongs_to_one_connection() -> None:
    block = (
        b"Content-Type: a:b\r\nConnection: close, X-Hop\r\nx-hop: 1\r\nKeep-Alive: 5\r\n"
        b"Transfer-Encoding: chunked\r\nSet-Cookie:\t a=b \r\nset-cookie: c=d\r\nX-Empty:\r\n"
    )
    assert block_fields(block) == [
        *((b"content-type", b"a:b"), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d"), (b"x-empty", b""))
    ]


@pytest.mark.parametrize(
    ("more", "method", "length"),
    [
        ({}, b"GET", b"2"),
        ({}, b"HEAD", b"2"),
        ({"body": b""}, b"GET", b"0"),
        ({"body": b""}, b"HEAD", None),
        ({"body": Blob("f", 7)}, b"GET", b"7"),
        ({"version": b"2"}, b"GET", None),
        ({"framing": "chunked"}, b"GET", None),
        ({"framing": "close"}, b"GET", None),
        ({"status": 204}, b"GET", None),
        ({"status": 304}, b"GET", None),
        ({"block": b"Content-Length: 9\r\n"}, b"HEAD", b"9"),
    ],
)
def test_a_length_where_http_1_would_have_one(
    more: dict[str, Any], method: bytes, length: bytes | None
) -> None:
    framing: Framing = "length"
    reply = Reply(**{"status": 200, "body": b"hi", "framing": framing, **more})
    wanted = [] if length is None else [(b"content-length", length)]
    assert reply_fields(reply, method) == [(b":status", b"%d" % reply.status), *wanted]
