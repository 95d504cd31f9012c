"""Every rule of RFC 9113 that a server's client can break or rely on, and how the serving session takes it.

A case is named by its section. Where RFC 7540, which conformance suites still test by, numbers it otherwise,
that number follows in parentheses. Each is delivered whole and byte by byte. What remains of the connection is
tried afterwards: if it lives it serves another request, if it does not it says nothing more.

Where RFC 7540 and RFC 9113 differ, the reaction is one that both allow.
"""

from typing import NamedTuple

import pytest

from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.blocks import MAX_CONTINUATIONS
from svcmock_protocols.http.h2.credit import CREDIT, STREAM_CREDIT
from svcmock_protocols.http.h2.session import MAX_STREAMS
from svcmock_protocols.http.messages import Reply, Request
from tests.protocols.http.h2.sessions import (
    HI,
    HI_WORDS,
    Client,
    Field,
    block,
    data,
    fields,
    hi,
    make,
    ping,
    post,
    raw,
    request,
    setting,
)

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(
    10
)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20
PONG = "ping ack 12345678"
ACKED = "settings ack"
GET = block(*fields())


class Case(NamedTuple):
    """`sent`: frames, in steps; what one asks for is answered before the next, with 200 `hi` or not at all."""

    name: str
    sent: tuple[bytes, ...]
    reaction: list[str]
    answered: bool = True


def case(name: str, *sent: bytes, reaction: list[str], answered: bool = True) -> Case:
    return Case(name, sent, reaction, answered)


def open_(name: str, *sent: bytes, reaction: list[str]) -> Case:
    """Nothing is answered, so streams stay open."""
    return Case(name, sent, reaction, answered=False)


def goaway(code: str, last: int = 0) -> list[str]:
    return [f"goaway {last} {code}", "closed"]


def reset(code: str, stream: int = 1) -> list[str]:
    return [f"rst_stream {stream} {code}"]


def hi_on(stream: int) -> list[str]:
    return [word.replace(" 1 ", f" {stream} ", 1) for word in HI_WORDS]


def u32(number: int) -> bytes:
    return number.to_bytes(4)


def window_update(stream: int, more: int) -> bytes:
    return raw(WINDOW_UPDATE, 0, stream, u32(more))


def rst(stream: int, code: int = 8) -> bytes:
    return raw(RST_STREAM, 0, stream, u32(code))


def priority(stream: int, on: int = 0) -> bytes:
    return raw(PRIORITY, 0, stream, u32(on) + b"\xff")


def head(stream: int, fragment: bytes, flags: int = END_HEADERS | END_STREAM) -> bytes:
    return raw(HEADERS, flags, stream, fragment)


def more(stream: int, fragment: bytes, flags: int = END_HEADERS) -> bytes:
    return raw(CONTINUATION, flags, stream, fragment)


STREAMS = [
    # 4.1 Frame Format
    case("4.1 an unknown type is ignored", raw(22, 0, 0, bytes(8)), ping(), reaction=[PONG]),
    case("4.1 an unknown type on a stream is ignored", raw(255, 255, 7, b""), ping(), reaction=[PONG]),
    case("4.1 undefined flags are ignored", raw(PING, 0x16, 0, b"12345678"), reaction=[PONG]),
    case("4.1 the reserved bit of a stream is ignored", raw(PING, 0, 1 << 31, b"12345678"), reaction=[PONG]),
    case("4.1 the reserved bit in a head", head(1 | 1 << 31, GET), reaction=HI_WORDS),
    # 4.2 Frame Size
    case("4.2 DATA of 2^14 bytes", post(1) + data(1, bytes(16384), ends=True), reaction=HI_WORDS),
    open_("4.2 DATA of more", post(1), data(1, bytes(16385)), reaction=goaway("FRAME_SIZE_ERROR", 1)),
    case(
        "4.2 HEADERS of more", head(1, GET + block((b"a", bytes(16385)))), reaction=goaway("FRAME_SIZE_ERROR")
    ),
    case("4.2 SETTINGS of more", raw(SETTINGS, 0, 0, bytes(16386)), reaction=goaway("FRAME_SIZE_ERROR")),
    case("4.2 an unknown type of more", raw(22, 0, 0, bytes(16385)), reaction=goaway("FRAME_SIZE_ERROR")),
    case(
        "4.2 the header of such a frame is enough",
        raw(DATA, 0, 1, bytes(16385))[:9],
        reaction=goaway("FRAME_SIZE_ERROR"),
    ),
    # 4.3 Field Section Compression and Decompression
    case("4.3 a fragment that is no block", head(1, b"\x7f\xff"), reaction=goaway("COMPRESSION_ERROR", 1)),
    open_("4.3 trailers that are no block", post(1), head(1, b"\x80"), reaction=goaway("COMPRESSION_ERROR", 1)),
    case(
        "4.3 PRIORITY within a block", head(1, GET, END_STREAM) + priority(1), reaction=goaway("PROTOCOL_ERROR")
    ),
    case(
        "4.3 HEADERS of another stream within a block",
        head(1, GET, END_STREAM) + head(3, GET),
        reaction=goaway("PROTOCOL_ERROR"),
    ),
    case(
        "4.3 an unknown frame within a block (5.5)",
        head(1, GET, END_STREAM) + raw(22, 0, 0, bytes(8)),
        reaction=goaway("PROTOCOL_ERROR"),
    ),
    case(
        "4.3 the block of a stream that is reset changes the table",
        head(1, b"\x40\x01A\x01b" + GET) + head(3, GET + b"\x40\x01a\x01b") + head(5, GET + b"\xbe"),
        reaction=[*reset("PROTOCOL_ERROR"), *hi_on(3), *hi_on(5)],
    ),
    case(
        "4.3 so does that of one whose head is too large",
        head(1, GET + b"\x40\x01a\x01b" + b"\0\x01c\0" * 1000) + head(3, GET + b"\xbe"),
        reaction=["headers 1 [:status 431]", *hi_on(3)],
    ),
    case(
        "4.3.1 a table of more bytes than were announced (RFC 7541 6.3)",
        head(1, b"\x3f\xe2\x1f" + GET),
        reaction=goaway("COMPRESSION_ERROR", 1),
    ),
    # 5.1 Stream States
    case("5.1 idle: DATA", data(1, b"test", ends=True), reaction=goaway("PROTOCOL_ERROR")),
    case("5.1 idle: RST_STREAM", rst(1), reaction=goaway("PROTOCOL_ERROR")),
    case("5.1 idle: WINDOW_UPDATE", window_update(1, 100), reaction=goaway("PROTOCOL_ERROR")),
    case("5.1 idle: CONTINUATION", more(1, GET), reaction=goaway("PROTOCOL_ERROR")),
    case("5.1 idle: PRIORITY", priority(1) + ping(), reaction=[PONG]),
    case("5.1 idle: PRIORITY on a stream of ours", priority(2) + ping(), reaction=[PONG]),
    case(
        "5.1 idle: DATA on a stream of ours",
        request(5),
        data(2),
        reaction=[*hi_on(5), *goaway("PROTOCOL_ERROR", 5)],
    ),
    case(
        "5.1 idle: WINDOW_UPDATE on a stream of ours",
        request(5),
        window_update(2, 1),
        reaction=[*hi_on(5), *goaway("PROTOCOL_ERROR", 5)],
    ),
    case(
        "5.1 idle: RST_STREAM on a stream of ours",
        request(5),
        rst(2),
        reaction=[*hi_on(5), *goaway("PROTOCOL_ERROR", 5)],
    ),
    open_(
        "5.1 half-closed (remote): DATA",
        request(1),
        data(1, b"test", ends=True),
        reaction=reset("STREAM_CLOSED"),
    ),
    open_("5.1 half-closed (remote): HEADERS", request(1), request(1), reaction=reset("STREAM_CLOSED")),
    open_(
        "5.1 half-closed (remote): CONTINUATION", request(1), more(1, GET), reaction=goaway("PROTOCOL_ERROR", 1)
    ),
    open_(
        "5.1 half-closed (remote): WINDOW_UPDATE, PRIORITY and RST_STREAM",
        request(1),
        window_update(1, 1) + priority(1) + rst(1) + ping(),
        reaction=[PONG],
    ),
    open_(
        "5.1 closed by the client's reset: DATA",
        post(1),
        rst(1),
        data(1, b"test", ends=True),
        reaction=reset("STREAM_CLOSED"),
    ),
    open_(
        "5.1 closed by the client's reset: HEADERS",
        post(1),
        rst(1),
        request(1),
        reaction=reset("STREAM_CLOSED"),
    ),
    open_(
        "5.1 closed by the client's reset: CONTINUATION",
        post(1),
        rst(1),
        more(1, GET),
        reaction=goaway("PROTOCOL_ERROR", 1),
    ),
    open_(
        "5.1 closed by the client's reset: WINDOW_UPDATE, PRIORITY and RST_STREAM",
        post(1),
        rst(1),
        window_update(1, 1) + priority(1) + rst(1) + ping(),
        reaction=[PONG],
    ),
    case(
        "5.1 closed: DATA",
        request(1),
        data(1, b"test", ends=True),
        reaction=[*HI_WORDS, *goaway("STREAM_CLOSED", 1)],
    ),
    case("5.1 closed: HEADERS", request(1), request(1), reaction=[*HI_WORDS, *goaway("STREAM_CLOSED", 1)]),
    case(
        "5.1 closed: CONTINUATION", request(1), more(1, GET), reaction=[*HI_WORDS, *goaway("PROTOCOL_ERROR", 1)]
    ),
    case(
        "5.1 closed: WINDOW_UPDATE, PRIORITY and RST_STREAM",
        request(1),
        window_update(1, 1) + priority(1) + rst(1) + ping(),
        reaction=[*HI_WORDS, PONG],
    ),
    open_(
        "5.1 closed by our reset: what the client had sent before it knew is ignored",
        post(1, (b"content-length", b"1")),
        data(1, b"ab"),
        data(1, b"c") + request(1) + window_update(1, 1) + priority(1) + rst(1) + ping(),
        reaction=[*reset("PROTOCOL_ERROR"), PONG],
    ),
    # 5.1.1 Stream Identifiers
    case("5.1.1 an even number", request(2), reaction=goaway("PROTOCOL_ERROR")),
    case(
        "5.1.1 a number below the last",
        request(5),
        request(3),
        reaction=[*hi_on(5), *goaway("PROTOCOL_ERROR", 5)],
    ),
    case(
        "5.1.1 DATA on one that was passed over",
        request(5),
        data(3),
        reaction=[*hi_on(5), *goaway("PROTOCOL_ERROR", 5)],
    ),
    case("5.1.1 numbers may be passed over", request(7) + request(101), reaction=[*hi_on(7), *hi_on(101)]),
    case("5.1.1 the highest number of all", request((1 << 31) - 1), reaction=hi_on((1 << 31) - 1)),
    # 5.3 Prioritization: ignored, but RFC 7540 section 5.3.1 forbids this
    case(
        "5.3 (5.3.1) HEADERS of a stream that depends on itself",
        raw(HEADERS, END_HEADERS | END_STREAM | PRIORITIZED, 1, u32(1) + b"\xff" + GET),
        reaction=goaway("PROTOCOL_ERROR"),
    ),
    case(
        "5.3 (5.3.1) PRIORITY of a stream that depends on itself",
        priority(1, on=1),
        reaction=goaway("PROTOCOL_ERROR"),
    ),
    case("5.3 a stream that depends on one that does not exist", priority(1, on=77) + ping(), reaction=[PONG]),
    # 5.4 Error Handling
    case("5.4.1 an invalid PING", raw(PING, 0, 3, bytes(8)), reaction=goaway("PROTOCOL_ERROR")),
    open_(
        "5.4.1 GOAWAY names the last stream that came",
        post(1) + post(3) + raw(PING, 0, 3, bytes(8)),
        reaction=goaway("PROTOCOL_ERROR", 3),
    ),
    case(
        "5.4.2 other streams go on after a stream error",
        head(1, block((b"a", b"b"))) + request(3),
        reaction=[*reset("PROTOCOL_ERROR"), *hi_on(3)],
    ),
    case(
        "5.4.2 RST_STREAM is not answered with RST_STREAM", post(1) + rst(1) + rst(1) + ping(), reaction=[PONG]
    ),
]

FRAMES = [
    # 6.1 DATA
    case("6.1 DATA on stream 0", data(0, b"test"), reaction=goaway("PROTOCOL_ERROR")),
    case("6.1 padding", post(1) + raw(DATA, PADDED | END_STREAM, 1, b"\x03ab\0\0\0"), reaction=HI_WORDS),
    case(
        "6.1 nothing but padding", post(1) + raw(DATA, PADDED | END_STREAM, 1, b"\x03\0\0\0"), reaction=HI_WORDS
    ),
    open_(
        "6.1 padding as long as the frame",
        post(1),
        raw(DATA, PADDED | END_STREAM, 1, b"\x05abcd"),
        reaction=goaway("PROTOCOL_ERROR", 1),
    ),
    open_(
        "6.1 padding longer than the frame",
        post(1),
        raw(DATA, PADDED, 1, b"\xff"),
        reaction=goaway("PROTOCOL_ERROR", 1),
    ),
    open_(
        "6.1 no room for the length of padding (4.2)",
        post(1),
        raw(DATA, PADDED, 1, b""),
        reaction=goaway("FRAME_SIZE_ERROR", 1),
    ),
    # 6.2 HEADERS
    case("6.2 HEADERS on stream 0", request(0), reaction=goaway("PROTOCOL_ERROR")),
    case(
        "6.2 HEADERS on stream 0, as the first of a block", head(0, GET, 0), reaction=goaway("PROTOCOL_ERROR")
    ),
    case(
        "6.2 padding",
        raw(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\x02" + GET + b"\0\0"),
        reaction=HI_WORDS,
    ),
    case(
        "6.2 priority",
        raw(HEADERS, END_HEADERS | END_STREAM | PRIORITIZED, 1, u32(0) + b"\xff" + GET),
        reaction=HI_WORDS,
    ),
    case(
        "6.2 padding and priority",
        raw(
            HEADERS,
            END_HEADERS | END_STREAM | PADDED | PRIORITIZED,
            1,
            b"\x01" + u32(0) + b"\xff" + GET + b"\0",
        ),
        reaction=HI_WORDS,
    ),
    case(
        "6.2 padding as long as the frame",
        raw(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, bytes((len(GET) + 1,)) + GET),
        reaction=goaway("PROTOCOL_ERROR"),
    ),
    case(
        "6.2 no room for the priority (4.2)",
        raw(HEADERS, END_HEADERS | PRIORITIZED, 1, b"\0\0\0\0"),
        reaction=goaway("FRAME_SIZE_ERROR"),
    ),
    case(
        "6.2 DATA of another stream within a block",
        post(1) + head(3, GET, 0) + data(1, b"a"),
        reaction=goaway("PROTOCOL_ERROR", 1),
        answered=False,
    ),
    # 6.3 PRIORITY
    case("6.3 PRIORITY on stream 0", priority(0, on=1), reaction=goaway("PROTOCOL_ERROR")),
    open_(
        "6.3 PRIORITY of four bytes",
        post(1),
        raw(PRIORITY, 0, 1, b"\x80\0\0\1"),
        reaction=reset("FRAME_SIZE_ERROR"),
    ),
    case(
        "6.3 PRIORITY of four bytes, where no stream error is possible",
        raw(PRIORITY, 0, 1, b"\x80\0\0\1"),
        reaction=goaway("FRAME_SIZE_ERROR"),
    ),
    case(
        "6.3 PRIORITY of four bytes on a closed stream",
        request(1),
        raw(PRIORITY, 0, 1, b"\x80\0\0\1"),
        reaction=[*HI_WORDS, *reset("FRAME_SIZE_ERROR")],
    ),
    case(
        "6.3 PRIORITY of an idle stream, then HEADERS of a lower one",
        priority(3) + request(1),
        reaction=HI_WORDS,
    ),
    # 6.4 RST_STREAM
    case("6.4 RST_STREAM on stream 0", rst(0), reaction=goaway("PROTOCOL_ERROR")),
    open_(
        "6.4 RST_STREAM of three bytes",
        post(1),
        raw(RST_STREAM, 0, 1, bytes(3)),
        reaction=goaway("FRAME_SIZE_ERROR", 1),
    ),
    open_("6.4 a stream that its client resets is not answered", request(1), rst(1), ping(), reaction=[PONG]),
    open_("7 an unknown error code in RST_STREAM", post(1) + rst(1, 255) + ping(), reaction=[PONG]),
    # 6.5 SETTINGS
    case(
        "6.5 an acknowledgement with a payload",
        raw(SETTINGS, ACK, 0, b"\0"),
        reaction=goaway("FRAME_SIZE_ERROR"),
    ),
    case("6.5 SETTINGS on a stream", raw(SETTINGS, 0, 1, b"\0\3\0\0\0\x64"), reaction=goaway("PROTOCOL_ERROR")),
    case("6.5 SETTINGS ACK on a stream", raw(SETTINGS, ACK, 1), reaction=goaway("PROTOCOL_ERROR")),
    case("6.5 SETTINGS of three bytes", raw(SETTINGS, 0, 0, b"\0\3\0"), reaction=goaway("FRAME_SIZE_ERROR")),
    case("6.5 an empty SETTINGS", raw(SETTINGS, 0, 0), reaction=[ACKED]),
    case("6.5 an acknowledgement", raw(SETTINGS, ACK, 0) + ping(), reaction=[PONG]),
    case("6.5.2 SETTINGS_ENABLE_PUSH of 2", setting(2, 2), reaction=goaway("PROTOCOL_ERROR")),
    case("6.5.2 SETTINGS_ENABLE_PUSH of 0 and 1", setting(2, 0) + setting(2, 1), reaction=[ACKED, ACKED]),
    case(
        "6.5.2 SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1",
        setting(4, 1 << 31),
        reaction=goaway("FLOW_CONTROL_ERROR"),
    ),
    case("6.5.2 SETTINGS_MAX_FRAME_SIZE below 2^14", setting(5, 16383), reaction=goaway("PROTOCOL_ERROR")),
    case("6.5.2 SETTINGS_MAX_FRAME_SIZE above 2^24-1", setting(5, 1 << 24), reaction=goaway("PROTOCOL_ERROR")),
    case(
        "6.5.2 SETTINGS_MAX_FRAME_SIZE at both ends",
        setting(5, 1 << 14) + setting(5, (1 << 24) - 1),
        reaction=[ACKED, ACKED],
    ),
    case("6.5.2 an unknown setting (5.5)", setting(0xFF, 1) + ping(), reaction=[ACKED, PONG]),
    case(
        "6.5.3 values count in their order",
        raw(SETTINGS, 0, 0, b"\0\4\0\0\0\x64\0\4\0\0\0\1"),
        request(1),
        reaction=[ACKED, "headers 1 [:status 200, x-a 1, content-length 2]", "data 1 'h'"],
    ),
    # 6.6 PUSH_PROMISE
    open_(
        "6.6 PUSH_PROMISE (8.2)",
        post(1),
        raw(PUSH_PROMISE, END_HEADERS, 1, u32(2) + GET),
        reaction=goaway("PROTOCOL_ERROR", 1),
    ),
    # 6.7 PING
    case("6.7 PING", ping(b"h2spec\0\0"), reaction=["ping ack h2spec\0\0"]),
    case(
        "6.7 an acknowledgement is not acknowledged", raw(PING, ACK, 0, b"invalid\0") + ping(), reaction=[PONG]
    ),
    case("6.7 PING on a stream", raw(PING, 0, 1, bytes(8)), reaction=goaway("PROTOCOL_ERROR")),
    case("6.7 PING of six bytes", raw(PING, 0, 0, bytes(6)), reaction=goaway("FRAME_SIZE_ERROR")),
    # 6.8 GOAWAY
    case("6.8 GOAWAY on a stream", raw(GOAWAY, 0, 1, bytes(8)), reaction=goaway("PROTOCOL_ERROR")),
    case("6.8 GOAWAY of seven bytes (4.2)", raw(GOAWAY, 0, 0, bytes(7)), reaction=goaway("FRAME_SIZE_ERROR")),
    case("6.8 GOAWAY with debug data", raw(GOAWAY, 0, 0, bytes(8) + b"bye") + ping(), reaction=[PONG]),
    case("7 an unknown error code in GOAWAY", raw(GOAWAY, 0, 0, u32(0) + u32(255)) + ping(), reaction=[PONG]),
    # 6.9 WINDOW_UPDATE
    case("6.9 nothing for the connection", window_update(0, 0), reaction=goaway("PROTOCOL_ERROR")),
    open_("6.9 nothing for a stream", post(1), window_update(1, 0), reaction=reset("PROTOCOL_ERROR")),
    case(
        "6.9 WINDOW_UPDATE of three bytes",
        raw(WINDOW_UPDATE, 0, 0, bytes(3)),
        reaction=goaway("FRAME_SIZE_ERROR"),
    ),
    open_(
        "6.9 WINDOW_UPDATE of five bytes on a stream",
        post(1),
        raw(WINDOW_UPDATE, 0, 1, bytes(5)),
        reaction=goaway("FRAME_SIZE_ERROR", 1),
    ),
    case("6.9 the reserved bit is ignored", window_update(0, 1 << 31 | 1) + ping(), reaction=[PONG]),
    case(
        "6.9.1 a window of the connection above 2^31-1",
        window_update(0, (1 << 31) - 1) * 2,
        reaction=goaway("FLOW_CONTROL_ERROR"),
    ),
    open_(
        "6.9.1 a window of a stream above 2^31-1",
        post(1),
        window_update(1, (1 << 31) - 1) * 2,
        reaction=reset("FLOW_CONTROL_ERROR"),
    ),
    case(
        "6.9.1 a window of one byte",
        setting(4, 1),
        request(1),
        reaction=[ACKED, "headers 1 [:status 200, x-a 1, content-length 2]", "data 1 'h'"],
    ),
    case(
        "6.9.1 an empty DATA needs no window",
        setting(4, 0),
        request(1, b"HEAD"),
        reaction=[ACKED, "headers 1 end [:status 200, x-a 1, content-length 2]"],
    ),
    case(
        "6.9.2 a window that shrinks and grows while a reply waits",
        setting(4, 0),
        request(1),
        setting(4, 1),
        setting(4, 3),
        reaction=[
            ACKED,
            "headers 1 [:status 200, x-a 1, content-length 2]",
            ACKED,
            "data 1 'h'",
            ACKED,
            "data 1 end 'i'",
        ],
    ),
    case(
        "6.9.2 a window that becomes negative",
        setting(4, 1),
        request(1),
        setting(4, 0) + window_update(1, 1),
        window_update(1, 1),
        reaction=[
            ACKED,
            "headers 1 [:status 200, x-a 1, content-length 2]",
            "data 1 'h'",
            ACKED,
            "data 1 end 'i'",
        ],
    ),
    open_(
        "6.9.2 SETTINGS that take a stream's window above 2^31-1",
        post(1) + window_update(1, (1 << 31) - 1 - 65535),
        setting(4, 65536),
        reaction=goaway("FLOW_CONTROL_ERROR", 1),
    ),
    case(
        "6.9.2 SETTINGS do not change the connection's window",
        setting(4, (1 << 31) - 1) + window_update(0, (1 << 31) - 1 - 65535) + ping(),
        reaction=[ACKED, PONG],
    ),
    # 6.10 CONTINUATION
    case(
        "6.10 several",
        head(1, GET[:9], END_STREAM) + more(1, GET[9:20], 0) + more(1, GET[20:]),
        reaction=HI_WORDS,
    ),
    case("6.10 empty ones", head(1, b"", END_STREAM) + more(1, b"", 0) + more(1, GET), reaction=HI_WORDS),
    case(
        "6.10 DATA within a block",
        head(1, GET, 0) + more(1, b"", 0) + data(1, b"a"),
        reaction=goaway("PROTOCOL_ERROR"),
    ),
    case(
        "6.10 CONTINUATION on stream 0",
        head(1, GET, END_STREAM) + more(0, b""),
        reaction=goaway("PROTOCOL_ERROR"),
    ),
    case(
        "6.10 CONTINUATION of another stream",
        head(1, GET, END_STREAM) + more(3, b""),
        reaction=goaway("PROTOCOL_ERROR"),
    ),
    open_(
        "6.10 after HEADERS with END_HEADERS", request(1), more(1, b""), reaction=goaway("PROTOCOL_ERROR", 1)
    ),
    open_(
        "6.10 after CONTINUATION with END_HEADERS",
        head(1, GET, END_STREAM) + more(1, b"") + more(1, b""),
        reaction=goaway("PROTOCOL_ERROR", 1),
    ),
    open_("6.10 after DATA", post(1) + data(1, b"a") + more(1, b""), reaction=goaway("PROTOCOL_ERROR", 1)),
]

LENGTH_4 = (b"content-length", b"4")


def malformed(name: str, *made: Field, sent: bytes = b"") -> Case:
    """A head, or the frames `sent`, that make a request malformed."""
    return open_(name, sent or head(1, block(*made)), reaction=reset("PROTOCOL_ERROR"))


def without(*names: bytes) -> tuple[Field, ...]:
    return tuple(field for field in fields() if field[0] not in names)


MESSAGES = [
    # 8.1 HTTP Message Framing
    case("8.1 a body and trailers", post(1) + data(1, b"ab") + head(1, block((b"a", b"b"))), reaction=HI_WORDS),
    case("8.1 trailers alone", post(1) + head(1, block((b"a", b"b"))), reaction=HI_WORDS),
    case("8.1 an empty DATA at the end", post(1) + data(1, b"ab") + data(1, ends=True), reaction=HI_WORDS),
    malformed(
        "8.1 a second head that does not end the stream",
        sent=post(1) + data(1, b"test") + head(1, block((b"x-test", b"ok")), END_HEADERS),
    ),
    malformed("8.1 a pseudo-header in trailers (8.1.2.1)", sent=post(1) + head(1, block((b":method", b"GET")))),
    malformed("8.1 trailers of HTTP/1 (8.1.2.2)", sent=post(1) + head(1, block((b"connection", b"close")))),
    malformed("8.1 trailers in upper case (8.1.2)", sent=post(1) + head(1, block((b"A", b"b")))),
    # 8.1.1 Malformed Messages (8.1.2.6)
    malformed("8.1.1 more than Content-Length", sent=post(1, (b"content-length", b"1")) + data(1, b"test")),
    malformed("8.1.1 more than Content-Length, before the end", sent=post(1, LENGTH_4) + data(1, b"tests")),
    malformed("8.1.1 less than Content-Length", sent=post(1, LENGTH_4) + data(1, b"tes", ends=True)),
    malformed(
        "8.1.1 less than Content-Length in two DATA",
        sent=post(1, LENGTH_4) + data(1, b"te") + data(1, b"s", ends=True),
    ),
    malformed("8.1.1 a Content-Length and no body", *fields(b"POST", b"/", LENGTH_4)),
    malformed(
        "8.1.1 less than Content-Length before trailers",
        sent=post(1, LENGTH_4) + data(1, b"tes") + head(1, block((b"a", b"b"))),
    ),
    malformed("8.1.1 a Content-Length that is no number", *fields(b"POST", b"/", (b"content-length", b"x"))),
    malformed("8.1.1 a Content-Length with a sign", *fields(b"POST", b"/", (b"content-length", b"+0"))),
    malformed(
        "8.1.1 two Content-Lengths",
        sent=post(1, LENGTH_4, (b"content-length", b"5")) + data(1, b"test", ends=True),
    ),
    case(
        "8.1.1 as much as Content-Length",
        post(1, LENGTH_4) + data(1, b"te") + data(1, b"st", ends=True),
        reaction=HI_WORDS,
    ),
    case(
        "8.1.1 padding does not count for Content-Length",
        post(1, LENGTH_4) + raw(DATA, PADDED | END_STREAM, 1, b"\x01test\0"),
        reaction=HI_WORDS,
    ),
    case(
        "8.1.1 a Content-Length of 0 and no body",
        request(1, b"POST", b"/", (b"content-length", b"0")),
        reaction=HI_WORDS,
    ),
    # 8.2 HTTP Fields
    malformed("8.2.1 a name in upper case (8.1.2)", *fields(b"GET", b"/", (b"X-TEST", b"ok"))),
    malformed("8.2.1 an empty name", *fields(b"GET", b"/", (b"", b"ok"))),
    malformed("8.2.1 a space in a name", *fields(b"GET", b"/", (b"a b", b"ok"))),
    malformed("8.2.1 a byte above 0x7e in a name", *fields(b"GET", b"/", (b"a\x80", b"ok"))),
    malformed("8.2.1 a colon in a name", *fields(b"GET", b"/", (b"a:b", b"ok"))),
    malformed("8.2.1 NUL in a value", *fields(b"GET", b"/", (b"a", b"o\0k"))),
    malformed("8.2.1 CR in a value", *fields(b"GET", b"/", (b"a", b"o\rk"))),
    malformed("8.2.1 LF in a value", *fields(b"GET", b"/", (b"a", b"ok\nb: c"))),
    malformed("8.2.1 CRLF in a value", *fields(b"GET", b"/", (b"a", b"ok\r\nb: c"))),
    malformed("8.2.1 a space before a value", *fields(b"GET", b"/", (b"a", b" ok"))),
    malformed("8.2.1 a tab after a value", *fields(b"GET", b"/", (b"a", b"ok\t"))),
    *(
        malformed(f"8.2.2 {name.decode()} (8.1.2.2)", *fields(b"GET", b"/", (name, value)))
        for name, value in [
            (b"connection", b"keep-alive"),
            (b"keep-alive", b"timeout=1"),
            (b"upgrade", b"h2c"),
            (b"proxy-connection", b"keep-alive"),
            (b"transfer-encoding", b"chunked"),
        ]
    ),
    malformed(
        "8.2.2 TE of more than trailers (8.1.2.2)",
        *fields(b"GET", b"/", (b"trailers", b"test"), (b"te", b"trailers, deflate;q=0.5")),
    ),
    case("8.2.2 TE of trailers", request(1, b"GET", b"/", (b"te", b"trailers")), reaction=HI_WORDS),
    # 8.3 HTTP Control Data (8.1.2.1, 8.1.2.3)
    malformed("8.3 an unknown pseudo-header", *fields(), (b":test", b"ok")),
    malformed("8.3 an unknown pseudo-header before the others", (b":test", b"ok"), *fields()),
    malformed("8.3 a pseudo-header of replies", *fields(), (b":status", b"200")),
    malformed("8.3 a pseudo-header after other fields", *without(b":path"), (b"a", b"b"), (b":path", b"/")),
    malformed("8.3 an empty head", sent=head(1, b"")),
    malformed("8.3.1 an empty :path", *without(b":path"), (b":path", b"")),
    malformed("8.3.1 a :path that is none", *without(b":path"), (b":path", b"index.html")),
    malformed("8.3.1 a :path with a space", *without(b":path"), (b":path", b"/a b")),
    malformed("8.3.1 `*` for something other than OPTIONS", *without(b":path"), (b":path", b"*")),
    malformed("8.3.1 no :method", *without(b":method")),
    malformed("8.3.1 no :method and no :scheme", *without(b":method", b":scheme")),
    malformed("8.3.1 no :scheme", *without(b":scheme")),
    malformed("8.3.1 no :path", *without(b":path")),
    malformed("8.3.1 a :method that is no token", *without(b":method"), (b":method", b"GE T")),
    *(malformed(f"8.3.1 {name.decode()} twice", *fields(), (name, value)) for name, value in fields()),
    malformed("8.3.1 a Host that is not the :authority", *fields(), (b"host", b"other")),
    malformed("8.3.1 two Hosts", *without(b":authority"), (b"host", b"a"), (b"host", b"b")),
    malformed("8.3.1 a user in the :authority", *without(b":authority"), (b":authority", b"me@shop")),
    case(
        "8.3.1 a Host that is the :authority", request(1, b"GET", b"/", (b"host", b"SHOP")), reaction=HI_WORDS
    ),
    case("8.3.1 `*` for OPTIONS", request(1, b"OPTIONS", b"*"), reaction=HI_WORDS),
    case("8.3.1 another scheme", head(1, block((b":scheme", b"ftp"), *without(b":scheme"))), reaction=HI_WORDS),
    case("8.3.1 no authority at all", head(1, block(*without(b":authority"))), reaction=HI_WORDS),
    # 8.5 The CONNECT Method
    malformed("8.5 CONNECT with :scheme and :path", *fields(b"CONNECT")),
    malformed("8.5 CONNECT without :authority", (b":method", b"CONNECT")),
    case(
        "8.5 CONNECT is refused",
        head(1, block((b":method", b"CONNECT"), (b":authority", b"a:1"))),
        reaction=["headers 1 [:status 501]"],
    ),
]

COMPRESSION = "COMPRESSION_ERROR"
BROKEN_BLOCKS = [
    ("2.3.3 an index beyond both tables", GET + b"\xc6"),
    ("2.3.3 a name's index beyond both tables", GET + b"\x7f\x0d\x01a"),
    ("4.2 a new size of the table at the end", GET + b"\x21"),
    ("4.2 a third new size of the table", b"\x20\x20\x20" + GET),
    ("5.1 an integer that does not end", GET + b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    ("5.1 an integer cut short", GET + b"\xff\x80"),
    ("5.2 Huffman padding of more than 7 bits", GET + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"),
    ("5.2 Huffman padding of zeros", GET + b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"),
    ("5.2 EOS in a Huffman string", GET + b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f"),
    ("5.2 a string longer than its block", GET + b"\x00\x01a\x05ab"),
    ("6.1 index 0", GET + b"\x80"),
    ("6.3 a table larger than allowed", b"\x3f\xe2\x1f" + GET),
]
GOOD_BLOCKS = [
    ("6.1 indexed", b"\xba"),
    ("6.2.1 incremental, indexed name", b"\x7a\x01a"),
    ("6.2.1 incremental, indexed name, Huffman", b"\x7a\x84\x9c\x48\xac\xa4"),
    ("6.2.1 incremental, new name", b"\x40\x06x-test\x06h2spec"),
    ("6.2.1 incremental, new name, Huffman", b"\x40\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4"),
    ("6.2.2 without indexing, new name", b"\x00\x06x-test\x06h2spec"),
    ("6.2.2 without indexing, new name, Huffman", b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4"),
    ("6.2.2 without indexing, indexed name", b"\x0f\x2b\x06h2spec"),
    ("6.2.3 never indexed, new name", b"\x10\x06x-test\x06h2spec"),
    ("6.2.3 never indexed, new name, Huffman", b"\x10\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4"),
    ("6.2.3 never indexed, indexed name", b"\x1f\x2b\x06h2spec"),
]
HPACK = [
    *(case(f"RFC 7541 {name}", head(1, made), reaction=goaway(COMPRESSION, 1)) for name, made in BROKEN_BLOCKS),
    *(case(f"RFC 7541 {name}", head(1, GET + made), reaction=HI_WORDS) for name, made in GOOD_BLOCKS),
    case("RFC 7541 4.2 a new size of the table", head(1, b"\x20" + GET), reaction=HI_WORDS),
    case("RFC 7541 4.2 two new sizes", head(1, b"\x20\x3f\xe1\x1f" + GET), reaction=HI_WORDS),
    case(
        "RFC 7541 6.1 a field of the dynamic table",
        head(1, GET + b"\x40\x01a\x01b") + head(3, GET + b"\xbe"),
        reaction=[*HI_WORDS, *hi_on(3)],
    ),
    case(
        "RFC 7541 4.3 a field that was evicted",
        head(1, GET + b"\x40\x01a\x01b") + head(3, b"\x20\x3f\xe1\x1f" + GET + b"\xbe"),
        reaction=[*HI_WORDS, *goaway(COMPRESSION, 3)],
    ),
]

CASES = [*STREAMS, *FRAMES, *MESSAGES, *HPACK]


def run(one: Case, *, cut: bool) -> tuple[list[str], Client]:
    client = Client(answer=hi if one.answered else None)
    assert client.greeting[-1] == ACKED
    told: list[str] = []
    for step in one.sent:
        for piece in [step[at : at + 1] for at in range(len(step))] if cut else [step]:
            told += client.send(piece)
    return [_brief(word) for word in told], client


def _brief(word: str) -> str:
    """Of a refusal nothing but its status; its text has tests of its own."""
    if word.startswith(("headers 1 [:status 431", "headers 1 [:status 501")):
        return word.partition(",")[0] + "]"
    return "" if word.startswith("data 1 end") and " bytes" in word else word


@pytest.mark.parametrize("one", CASES, ids=[one.name for one in CASES])
def test_what_happens(one: Case) -> None:
    whole, client = run(one, cut=False)
    told = [word for word in whole if word]
    assert told == one.reaction
    cut, other = run(one, cut=True)
    assert cut == whole
    assert client.closed is other.closed is ("closed" in told)
    _tried_afterwards(client)


def _tried_afterwards(client: Client) -> None:
    if client.closed:
        assert not client.session.received(ping())
        assert not client.session.eof()
        return
    last = client.session._numbers.last  # type: ignore[attr-defined]
    client.answer = None
    assert client.send(ping()) == [PONG]
    following = last + 1 | 1
    if following < 1 << 31:
        assert client.send(request(following)) == []
        assert client.asks[-1].id == following


def test_names_are_unique() -> None:
    names = [one.name for one in CASES]
    assert len(set(names)) == len(names)


# --- 3.4 HTTP/2 Connection Preface (3.5) --------------------------------------------------------------


def test_3_4_the_server_begins_with_settings_and_acknowledges_those_of_the_client() -> None:
    client = Client()
    assert client.greeting == [
        f"settings {{3: {MAX_STREAMS}, 4: {STREAM_CREDIT}, 6: 65536}}",
        f"window_update 0 {CREDIT - 65535}",
        ACKED,
    ]


@pytest.mark.parametrize(
    "start",
    [
        b"INVALID CONNECTION PREFACE\r\n\r\n",
        frames.PREFACE[:-1] + b"x",
        frames.PREFACE + ping(),
        frames.PREFACE + request(1),
        frames.PREFACE + raw(SETTINGS, ACK, 0),
        frames.PREFACE + raw(22, 0, 0),
        raw(SETTINGS, 0, 0),
    ],
)
def test_3_4_an_invalid_preface_ends_the_connection(start: bytes) -> None:
    for pieces in ([start], [start[at : at + 1] for at in range(len(start))]):
        client = Client(start=b"")
        told = [word for piece in pieces for word in client.send(piece)]
        assert told == goaway("PROTOCOL_ERROR")


# --- 5.1.2 Stream Concurrency -------------------------------------------------------------------------


def test_5_1_2_more_streams_than_announced_are_refused() -> None:
    client = Client(settings={4: 0})
    allowed = b"".join([request(2 * number + 1) for number in range(MAX_STREAMS)])
    assert len(client.send(allowed)) == MAX_STREAMS
    beyond = 2 * MAX_STREAMS + 1
    assert client.send(request(beyond)) == reset("REFUSED_STREAM", beyond)
    assert client.send(window_update(1, 2)) == ["data 1 end 'hi'"]
    assert client.send(request(beyond + 2)) == hi_on(beyond + 2)[:1]


# --- 4.3.1 Compression State --------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [HI, Reply(204), Reply(200, b"OK", b"", b"x" * 20_000)])
def test_4_3_1_a_smaller_table_is_acknowledged_in_the_next_block(reply: Reply) -> None:
    client = Client(answer=lambda _: reply, settings={1: 100})
    client.got = b""
    client.send(request(1))
    assert client.got[9] == 0x20  # RFC 7541 section 6.3
    client.got = b""
    client.send(setting(1, 4096) + setting(1, 0) + request(3))
    assert client.got[9 + 9 + 9] != 0x20  # a table of no bytes cannot shrink
    client = Client(settings={1: 1 << 16})
    client.got = b""
    client.send(request(1))
    assert client.got[9] != 0x20


def test_4_3_1_an_interim_reply_may_be_the_next_block() -> None:
    client = Client(settings={1: 0})
    assert client.send(post(1, (b"expect", b"100-continue"))) == ["headers 1 [:status 100]"]
    assert client.send(data(1, ends=True)) == HI_WORDS


# --- 5.2, 6.9 Flow Control: what we receive -----------------------------------------------------------


def test_6_9_more_data_than_a_stream_s_window() -> None:
    client = Client(answer=None)
    client.send(post(1))
    client.session._streams[1].credit = 5  # type: ignore[attr-defined]
    assert client.send(data(1, b"123456")) == reset("FLOW_CONTROL_ERROR")
    assert client.send(data(1, b"123456") + ping()) == [PONG]


def test_6_9_more_data_than_the_connection_s_window() -> None:
    client = Client(answer=None)
    client.send(post(1))
    client.session._credit._left = 5  # type: ignore[attr-defined]
    assert client.send(data(1, b"123456")) == goaway("FLOW_CONTROL_ERROR", 1)


# --- 6.5.2 SETTINGS_MAX_HEADER_LIST_SIZE, 6.10 --------------------------------------------------------


def test_6_10_a_block_that_does_not_end() -> None:
    client = Client()
    client.send(head(1, GET, END_STREAM))
    told = client.send(more(1, b"", 0) * (MAX_CONTINUATIONS + 1))
    assert told == goaway("ENHANCE_YOUR_CALM")
    client = Client()
    client.send(head(1, GET, END_STREAM))
    assert client.send(more(1, bytes(16384), 0) * 9)[-2:] == goaway("ENHANCE_YOUR_CALM")


def test_6_10_a_block_as_large_as_a_service_allows() -> None:
    session = make(max_head=1 << 20)
    client = Client(session)
    large = GET + block(*[(b"a%d" % number, b"x" * 10_000) for number in range(100)])
    pieces = [large[at : at + 16384] for at in range(0, len(large), 16384)]
    sent = head(1, pieces[0], END_STREAM) + b"".join([more(1, piece, 0) for piece in pieces[1:]]) + more(1, b"")
    assert client.send(sent) == HI_WORDS


def test_8_2_3_cookies_in_crumbs_are_one() -> None:
    seen: list[Request] = []
    client = Client(answer=lambda asked: seen.append(asked) or HI)  # type: ignore[func-returns-value]
    client.send(request(1, b"GET", b"/", (b"cookie", b"a=b"), (b"x", b"y"), (b"cookie", b"c=d")))
    assert seen[0].block == b"host: shop\r\ncookie: a=b; c=d\r\nx: y\r\n"
