"""Essences: what is left out decides nothing, and everything that decides, or is wrong, stays."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from svcmock.noise import Noise
from svcmock.protocol import Ask, Context, Spooled
from svcmock_protocols.http import plugin
from svcmock_protocols.http.codec import MAX_FIELDS
from svcmock_protocols.http.messages import Options, Reply, Request
from svcmock_protocols.http.session import HttpSession

CONTEXT = Context(
    Options(max_head=1024, redact=("headers.x-signed",)), Noise(plugin.noise), lambda secret: b"svcmock-any"
)
NAMES = frozenset({"headers.accept", "headers.x-tenant"})
REPLY = Reply(status=200, body=b"x", self_authority=b"shop:80", block=b"Location: http://shop:80/a\r\n")


def essence(data: bytes) -> bytes | None:
    return plugin.likeness(NAMES, CONTEXT).essence(data)


def get(*lines: str, first: str = "GET /a HTTP/1.1", rest: str = "") -> bytes:
    return ("\r\n".join((first, *lines)) + "\r\n\r\n" + rest).encode()


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (get("Host: a", "X-Request-Id: 1"), get("Host: a")),
        (get("X-Request-Id: 1", "Host: a", "Date: now"), get("Host: a")),
        (get("Host: a", "accept: b", "User-Agent: c"), get("Host: a", "accept: b")),
        (get("Host: a", "X:", "Content-Length: 2", rest="hi"), get("Host: a", "Content-Length: 2", rest="hi")),
        (get("Host: a", "X: 1", rest="GET /\r\nX: 2\r\n"), get("Host: a", rest="GET /\r\nX: 2\r\n")),
    ],
)  # fmt: skip
def test_what_decides_nothing_is_left_out(data: bytes, left: bytes) -> None:
    assert essence(data) == left


@pytest.mark.parametrize(
    "line",
    [
        "HOST: a",
        "Content-Length: 0",
        "transfer-encoding: chunked",
        "Connection: close",
        "Expect: 100-continue",
        "Content-Type: text/plain",
        "content-encoding: gzip",
        "Accept-Encoding: br",
        "Accept: text/plain",
        "X-Tenant: a",
        "Authorization: Bearer x",
        "Cookie: a=b",
        "x-signed: 1",
        "Referer: /?token=x",
        " X: folded",
        "X : a",
        "X\x00: a",
        "X: a\x00",
        "X: a\nY: b",
        "X: a\rY: b",
        "no colon",
        "X",
        ": a",
        "",
    ],
)
def test_what_decides_or_is_wrong_stays(line: str) -> None:
    likeness = plugin.likeness(NAMES, CONTEXT)
    for _ in range(2):
        assert likeness.essence(get("X: 1", "X-Request-Id: 1", line)) == get(line)
        assert likeness.essence(get(line)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET /a HTTP/1.1\r\nX: 1\r\n",
        b"GET /a HTTP/1.1\r\nX: 1\r\n\r",
        b"\r\n" + get("X: 1"),
        get(),
        get("Host: a", first="X-First: line"),
        get("Host: a", first=""),
        get(f"X: {'x' * 1024}"),
        get(*["X: 1"] * MAX_FIELDS),
    ],
)
def test_nothing_is_left_out_of_what_is_no_whole_ordinary_head(data: bytes) -> None:
    assert essence(data) is None


def test_the_request_is_the_one_that_was_sent() -> None:
    alike = Request(b"POST", b"/a", b"1.1", b"Host: a\r\nX: 1\r\nContent-Length: 2\r\n", b"hi")
    data = get("Host: a", "X: 2", "Content-Length: 2", first="POST /a HTTP/1.1", rest="hi")
    made = plugin.likeness(NAMES, CONTEXT).request(alike, data)
    assert made == replace(alike, block=b"Host: a\r\nX: 2\r\nContent-Length: 2\r\n")


def test_verdicts_are_bounded() -> None:
    likeness: Any = plugin.likeness(NAMES, CONTEXT)
    for number in range(5000):
        assert likeness.essence(get("Host: a", f"X-Request-Id: {number}")) == get("Host: a")
    assert len(likeness._verdicts) <= 1024


# --- nobody can tell ----------------------------------------------------------------------------------

LINES = st.sampled_from(
    """Host: shop|Host: other|X-Request-Id: 1|X-Request-Id: secret12|Date: x|Content-Length: 2
    |Content-Length: 0|Transfer-Encoding: chunked|Connection: close|Expect: 100-continue|Expect: x|Accept: a
    |Accept: b|X-Tenant: t|Authorization: Bearer secret12|Content-Type: application/json|Accept-Encoding: gzip
    |X : y|X: \x01|\tfolded|Referer: http://a/?password=secret12|X: secret12|TE: trailers|Upgrade: h2c|no
    |Content-Encoding: gzip""".replace("\n    ", "").split("|")
)
FIRST = st.sampled_from(
    ["GET /a HTTP/1.1", "HEAD /secret12 HTTP/1.1", "POST /a?b=c HTTP/1.1", "GET /a HTTP/1.0", "X: y", "GET  /"]
)
REST = st.sampled_from(["", "hi", "{}", "2\r\n{}\r\n0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "0\r\n"])


@given(FIRST, st.lists(LINES, max_size=6).map(lambda lines: ["Host: shop", *lines]), REST)
def test_an_essence_is_answered_like_what_it_was_made_from(first: str, lines: list[str], rest: str) -> None:
    data = get(*lines, first=first, rest=rest)
    left = essence(data)
    if left is not None:
        assert essence(left) is None
        assert _outs(data) == _outs(left)


def _outs(data: bytes) -> list[Any]:
    """All that a session says to these bytes, each request as what the index is asked about it."""
    session = HttpSession(CONTEXT)
    waiting = list(session.received(data))
    seen: list[Any] = []
    while waiting:
        out = waiting.pop(0)
        if isinstance(out, Ask):
            seen.append(_decides(out.request))
            waiting = [*session.answered(out, REPLY), *waiting]
        else:
            seen.append(out)
    return [*seen, session.at_rest]


def _decides(request: Request) -> tuple[Any, ...]:
    masked = plugin.redact(request, CONTEXT)
    names = tuple(sorted(NAMES))
    return plugin.key(masked, CONTEXT), plugin.present(masked, names, CONTEXT), request.body, request.target


# --- messages that were taken apart -------------------------------------------------------------------

CALL = Request(
    b"POST", b"/a.B/C", b"2", b"host: a\r\nte: trailers\r\ncontent-type: application/grpc\r\n", b"\0\0\0\0\0"
)


def same(request: Request, names: frozenset[str] = NAMES) -> Any:
    return plugin.likeness(names, CONTEXT).same(request)


def test_lines_that_decide_nothing_tell_no_requests_apart() -> None:
    other = replace(CALL, block=CALL.block + b"grpc-timeout: 4999m\r\nx-request-id: 1\r\nuser-agent: x\r\n")
    assert same(other) == same(CALL)
    hash(same(CALL))


@pytest.mark.parametrize(
    "other",
    [
        replace(CALL, method=b"PUT"),
        replace(CALL, target=b"/a.B/D"),
        replace(CALL, version=b"1.1"),
        replace(CALL, body=b""),
        replace(CALL, said=b"open"),
        replace(CALL, trailers=b"a: b\r\n"),
        *(
            replace(CALL, block=CALL.block + line)
            for line in (
                b"grpc-encoding: gzip\r\n",
                b"grpc-accept-encoding: gzip\r\n",
                b"x-tenant: a\r\n",
                b"authorization: Bearer x\r\n",
                b"x-signed: 1\r\n",
                b"cookie: a=b\r\n",
            )
        ),
        replace(CALL, block=CALL.block.replace(b"host: a", b"host: b")),
        replace(CALL, block=CALL.block.replace(b"grpc\r", b"grpc-web\r")),
    ],
)
def test_what_decides_tells_them_apart(other: Request) -> None:
    assert same(other) != same(CALL)


def test_what_may_be_like_no_other() -> None:
    assert same(replace(CALL, body=bytes(4097))) is None
    assert same(replace(CALL, body=Spooled("t", 1, ""))) is None
    assert same(CALL, frozenset({"headers"})) is None
    assert same(CALL, frozenset({"metadata"})) is None
    assert same(replace(CALL, block=CALL.block + b"x-b: 1\r\n"), frozenset({"metadata.x-b"})) != same(CALL)


def test_blocks_that_are_remembered_are_bounded() -> None:
    likeness: Any = plugin.likeness(NAMES, CONTEXT)
    for number in range(3000):
        assert likeness.same(replace(CALL, block=CALL.block + b"x-request-id: %d\r\n" % number)) == same(CALL)
    assert len(likeness._blocks) <= 1024


FIELDS = st.sampled_from(
    [
        b"te: trailers",
        b"content-type: application/grpc",
        b"content-type: application/json",
        b"content-type: application/grpc-web",
        b"grpc-encoding: gzip",
        b"grpc-timeout: 1S",
        b"x-tenant: a",
        b"x-tenant: b",
        b"accept: a",
        b"x-request-id: secret12",
        b"authorization: Bearer secret12",
        b"cookie: a=secret12",
        b"x: secret12",
        b"host: a",
    ]
)
REQUESTS = st.builds(
    lambda method, target, lines, body: Request(method, target, b"2", b"\r\n".join([*lines, b""]), body),
    st.sampled_from([b"POST", b"GET"]),
    st.sampled_from([b"/a.B/C", b"/secret12?x=1"]),
    st.lists(FIELDS, max_size=4),
    st.sampled_from([b"", b"\0\0\0\0\0", b"\1\0\0\0\x01x", b"{}", b"secret12"]),
)


@given(REQUESTS, REQUESTS)
def test_requests_that_are_the_same_are_decided_alike(one: Request, two: Request) -> None:
    likeness = plugin.likeness(NAMES, CONTEXT)
    for other in (two, replace(two, method=one.method, target=one.target, body=one.body)):
        if likeness.same(one) == likeness.same(other):
            assert _decides(one) == _decides(other)
            assert plugin.summary(one) == plugin.summary(other)


@pytest.mark.parametrize(
    ("name", "idle"),
    [
        (b"x-request-id", True),
        (b"traceparent", True),
        (b"x-tenant", False),
        (b"authorization", False),
        (b"x-signed", False),
        (b"content-type", False),
    ],
)
def test_names_of_fields_that_decide_nothing(name: bytes, idle: bool) -> None:
    likeness: Any = plugin.likeness(NAMES, CONTEXT)
    assert likeness.idle(name) is idle
    assert likeness.same(replace(CALL, block=CALL.block + name + b": 1\r\n")) == same(CALL) or not idle
    everything: Any = plugin.likeness(frozenset({"headers"}), CONTEXT)
    assert not everything.idle(name)
