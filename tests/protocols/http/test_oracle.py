"""h11 as the oracle: what we accept, h11 accepts and reads alike; what we alone refuse is on the list."""

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock_protocols.http.body import body_reader
from svcmock_protocols.http.codec import STRICTER_THAN_H11, MessageError, fields, parse_request_head
from tests.protocols.conformance import mutate
from tests.protocols.http.test_codec import REFUSED_HEADS

Headers = list[tuple[bytes, bytes]]
Read = tuple[bytes, bytes, bytes, Headers, bytes, Headers]
"""Method, target, version, headers, body, trailers."""


def ours(data: bytes) -> Read | str | None:
    """The first request in `data`, or the fault it is refused for, or None where it is incomplete."""
    try:
        parsed = parse_request_head(data)
        if parsed is None:
            return None
        head, end = parsed
        reader = body_reader(head.framing, head.length)
        _, pieces = reader.feed(data, end)
    except MessageError as error:
        return error.fault
    if not reader.done:
        return None
    sent = head.request
    body = b"".join(piece for piece, _ in pieces)
    return sent.method, sent.target, sent.version, lowered(sent.block), body, lowered(reader.trailers)


def lowered(block: bytes) -> Headers:
    pairs = [(name.lower(), value) for name, value in fields(block)]
    return [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in pairs]


def theirs(data: bytes) -> Read | str | None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    request: h11.Request | None = None
    body = b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            return str(error)
        if isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert request is not None
            headers, trailers = list(request.headers), list(event.headers)
            return request.method, request.target, request.http_version, headers, body, trailers
        else:
            return None


def check(data: bytes) -> None:
    mine, h11s = ours(data), theirs(data)
    if isinstance(mine, tuple):
        assert h11s == mine, f"we read {data!r} otherwise than h11"
    elif isinstance(mine, str):
        assert not isinstance(h11s, tuple) or mine in STRICTER_THAN_H11, f"h11 takes {data!r}, we say {mine}"
    else:
        assert not isinstance(h11s, tuple), f"h11 has all of {data!r}, we wait for more"


token = st.text("abcXYZ019-_!#$%&'*+.^`|~", min_size=1, max_size=8).map(str.encode)
value = st.binary(max_size=12).map(
    lambda data: bytes(byte for byte in data if byte in (9, 32) or 33 <= byte <= 126 or byte >= 128)
)
space = st.sampled_from([b"", b" ", b"\t ", b"  "])
field = st.tuples(token, st.just(b":"), space, value, space, st.just(b"\r\n")).map(b"".join)
host = st.sampled_from([b"Host: a\r\n", b"HOST:a.b:80 \r\n", b"host: [::1]:8080\r\n", b"Host:\r\n"])
chunk = st.binary(min_size=1, max_size=20)
extension = st.sampled_from([b"", b";a", b';a="b c"', b";\x80"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A valid request that says its body's length in one of the possible ways."""
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"DELETE", b"get", b"M-SEARCH"]) | token)
    target = draw(st.sampled_from([b"/", b"/a?b=c&d=%20", b'/{x}|"<>', b"http://h/p?q", b"/" + b"a" * 300]))
    if draw(st.booleans()):
        method, target = b"OPTIONS", b"*"
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.0"]))
    lines = draw(st.lists(field, max_size=4))
    lines.insert(draw(st.integers(0, len(lines))), draw(host))
    match draw(st.sampled_from(["none", "length", "chunked"])):
        case "length":
            body = draw(st.binary(max_size=40))
            lines.append(b"Content-Length: %d\r\n" % len(body))
        case "chunked" if version == b"1.1":
            pieces = draw(st.lists(st.tuples(chunk, extension), max_size=4))
            body = b"".join(b"%X%b\r\n%b\r\n" % (len(data), ext, data) for data, ext in pieces)
            body += b"0\r\n" + b"".join(draw(st.lists(field, max_size=2))) + b"\r\n"
            lines.append(b"transfer-encoding: Chunked\r\n")
        case _:
            body = b""
    return b"%b %b HTTP/%b\r\n%b\r\n%b" % (method, target, version, b"".join(lines), body)


@settings(max_examples=200, deadline=None)
@given(requests())
def test_valid_requests_are_accepted_and_read_as_h11_reads_them(data: bytes) -> None:
    assert isinstance(ours(data), tuple), ours(data)
    check(data)


@settings(max_examples=200, deadline=None)
@given(requests(), st.integers(0, 1 << 30))
def test_mutated_requests_are_read_no_laxer_than_by_h11(data: bytes, seed: int) -> None:
    for at in range(seed, seed + 5):
        check(mutate(data, at))


LINES = [
    b"Content-Length: 5\r\n", b"Content-Length: 6\r\n", b"Content-Length: +5\r\n", b"Content-Length: 5,5\r\n",
    b"Content-Length: 0x5\r\n", b"Content-Length: 5_0\r\n", b"Content-Length: \t5\t\r\n",
    b"Content-Length : 5\r\n",
    b"Content-Length:\x0b5\r\n", b"Content-Length: 00000000000000000005\r\n", b"content_length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: CHUNKED \r\n", b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n", b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding: \r\n",
    b"Transfer-Encoding:\x0bchunked\r\n", b"Transfer-Encoding: chunked\x0b\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding\r\n : chunked\r\n", b"X: y\r\n Transfer-Encoding: chunked\r\n",
    b"X: y\nContent-Length: 5\r\n",
    b"X: y\rContent-Length: 5\r\n", b"X: \x00\r\n", b"X: \x01\r\n", b"Host: b\r\n", b"nocolon\r\n", b": x\r\n",
    b"X\xe9: y\r\n", b"X y: z\r\n", b"", b"Transfer-Encoding: chunked;q=1\r\n", b"\r\n", b"\n", b"X: \xff\r\n",
]  # fmt: skip
BODIES = [
    b"", b"hello", b"hello!", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n",
    b"5;\n\r\nhello\r\n0\r\n\r\n",
    b"0\r\nX: y\n\r\n", b"0\r\nContent-Length: 1\r\n\r\n", b"0\r\nTransfer-Encoding: x\r\n\r\n",
    b"0\r\nHost: a\r\n\r\n",
    b"0\r\nX: y\r\n z\r\n\r\n", b"0\r\nX\r\n\r\n", b"000000000000000000005\r\nhello\r\n0\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("first", LINES)
def test_smuggling_shapes_are_read_no_laxer_than_by_h11(first: bytes, body: bytes) -> None:
    for second in LINES:
        for version in (b"1.1", b"1.0"):
            check(b"POST / HTTP/%b\r\nHost: a\r\n%b%b\r\n%b" % (version, first, second, body))


@pytest.mark.parametrize(("head", "fault"), REFUSED_HEADS)
def test_what_is_refused_is_refused_by_h11_or_on_the_list(head: bytes, fault: str) -> None:
    assert ours(head) == fault
    assert fault in STRICTER_THAN_H11 or not isinstance(theirs(head), tuple)


STRICTER = [
    (b"GET / HTTP/1.1\nHost: a\n\n", "bare-lf"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", "obs-fold"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", "control-byte"),
    (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", "target-form"),
    (b"GET / HTTP/3.7\r\nHost: a\r\n\r\n", "version"),
    (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "host"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n", "duplicate-length"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 00000000000000000000\r\n\r\n", "length"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "length-and-encoding"),
    (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "encoding-1.0"),
    (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", "line-too-long"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", "head-too-large"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", "too-many-fields"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0 \r\n\r\n", "chunk-line"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0;" + b"a" * 300 + b"\r\n\r\n",
     "chunk-line-too-long"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n", "trailer-framing"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
     "trailers-too-large"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "fault"), STRICTER)
def test_the_list_of_differences_holds(data: bytes, fault: str) -> None:
    assert ours(data) == fault
    assert isinstance(theirs(data), tuple)


def test_every_difference_on_the_list_is_shown() -> None:
    too_long_to_send = {"body-too-large"}
    assert {fault for _, fault in STRICTER} | too_long_to_send == set(STRICTER_THAN_H11)
