"""The h2 library as client, which gets exactly the replies; and as server, which says what is an error.

Whatever h2 calls an error of the connection is one here, with the same code, but for what DIFFERENCES lists.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock.protocol import Close, Send
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.session import Http2Session
from svcmock_protocols.http.messages import Chunk, Interim, Reply
from svcmock_protocols.http.session import HttpSession
from tests.protocols.conformance import check_session_survives, serve, splits
from tests.protocols.http.h2.sessions import (
    Client,
    Reader,
    block,
    context,
    data,
    fields,
    hi,
    make,
    ping,
    post,
    raw,
    request,
)

# --- h2 as the client ---------------------------------------------------------------------------------

REPLIES = [
    Reply(200, b"OK", b"A: b\r\n", b"hi"),
    Reply(204),
    Reply(200, b"OK", b"", bytes(range(256)) * 300),
    Reply(200, b"OK", b"", b"", "chunked", trailers=b"T: 1\r\n"),
    Reply(200, b"OK", b"", b"abc" * 20_000, "chunked", (Chunk(5), Chunk(50_000, 0.5)), b"T: 1\r\n"),
    Reply(404, b"", b"a: b\r\n", b"no", version=b"2", interim=(Interim(103, b"", b"link: x\r\n"),)),
]
Got = tuple[list[tuple[bytes, bytes]], bytes, list[tuple[bytes, bytes]]]


def wanted(reply: Reply) -> tuple[bytes, bytes, bytes]:
    """Status, body and trailers of a reply."""
    assert isinstance(reply.body, bytes)
    return b"%d" % reply.status, reply.body, reply.trailers.lower()


class Talk:
    """One connection between h2's client and a session, and what has come of each stream."""

    def __init__(self, window: int) -> None:
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.client = Client(make(), answer=None, start=b"")
        self.h2.receive_data(self.client.got)
        self.taken = len(self.client.got)
        self.to_send: dict[int, bytes] = {}
        self.bodies: dict[int, bytes] = {}
        self.replies: dict[int, Reply] = {}
        self.got: dict[int, list[Any]] = {}
        self.ended: set[int] = set()
        self.gone: set[int] = set()
        self.pause: dict[int, int] = {}
        self.exchange()

    def exchange(self) -> None:
        """Carry bytes both ways until nothing is left."""
        while sent := self.h2.data_to_send():
            self.client.send(sent)
            self.receive()

    def receive(self) -> None:
        received = self.client.got[self.taken :]
        self.taken = len(self.client.got)
        for event in self.h2.receive_data(received):
            self._on(event)

    def _on(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self.got[event.stream_id] = [dict(event.headers)[b":status"], b"", b""]
            case h2.events.DataReceived():
                self.got[event.stream_id][1] += event.data
                self.pause[event.stream_id] = self.pause.get(event.stream_id, 0) + event.flow_controlled_length
            case h2.events.TrailersReceived():
                self.got[event.stream_id][2] = b"".join(b"%b: %b\r\n" % field for field in event.headers)
            case h2.events.StreamEnded():
                self.ended.add(event.stream_id)
            case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                raise AssertionError(event)

    def ask(self, body: bytes, reply: Reply) -> None:
        stream = self.h2.get_next_available_stream_id()
        self.replies[stream] = reply
        self.bodies[stream] = body
        self.h2.send_headers(stream, list(fields(b"POST", b"/")), end_stream=not body)
        if body:
            self.to_send[stream] = body

    def upload(self, stream: int, most: int) -> None:
        size = min(most, self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
        piece, rest = self.to_send[stream][:size], self.to_send[stream][size:]
        self.h2.send_data(stream, piece, end_stream=not rest)
        if rest:
            self.to_send[stream] = rest
        else:
            del self.to_send[stream]

    def read(self, stream: int) -> None:
        """Let the session send on, as h2's user has dealt with what came."""
        self.h2.acknowledge_received_data(self.pause.pop(stream), stream)

    def reset(self, stream: int) -> None:
        self.gone.add(stream)
        self.to_send.pop(stream, None)
        self.h2.reset_stream(stream, 8)

    def answer(self, number: int) -> None:
        ask = self.client.asks[number]
        assert ask.request.body == self.bodies[ask.id]
        self.client.reply(self.replies[ask.id], number)
        self.receive()

    def wake(self, number: int) -> None:
        self.client.wake(number)
        self.receive()

    def live(self) -> list[int]:
        return [stream for stream in self.replies if stream not in self.ended and stream not in self.gone]

    def finish(self) -> None:
        for _ in range(2000):
            for stream in tuple(self.to_send):
                self.upload(stream, 1 << 14)
            self.exchange()
            while self.client.asks:
                if self.client.asks[0].id in self.gone:
                    assert self.client.reply(self.replies[self.client.asks[0].id]) == []
                else:
                    self.answer(0)
            while self.client.wakes:
                self.wake(0)
            for stream in tuple(self.pause):
                self.read(stream)
            self.exchange()
            if not self.live() and not self.to_send:
                return
        raise AssertionError(f"these streams did not end: {self.live()}")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from([0, 1, 100, 65535, 1 << 20]))
def test_a_client_gets_exactly_the_replies_however_it_behaves(seed: int, window: int) -> None:
    dice = random.Random(seed)
    talk = Talk(window)
    for _ in range(dice.randint(1, 40)):
        match dice.randrange(9):
            case 0 | 1 | 2:
                talk.ask(bytes(dice.choice([0, 0, 3, 20_000, 200_000])), dice.choice(REPLIES))
            case 3 if talk.to_send:
                talk.upload(dice.choice([*talk.to_send]), dice.randint(1, 1 << 14))
            case 4 if talk.client.asks:
                number = dice.randrange(len(talk.client.asks))
                if talk.client.asks[number].id not in talk.gone:
                    talk.answer(number)
            case 5 if talk.client.wakes:
                talk.wake(dice.randrange(len(talk.client.wakes)))
            case 6 if talk.pause:
                talk.read(dice.choice([*talk.pause]))
            case 7 if talk.live():
                talk.reset(dice.choice(talk.live()))
            case 8:
                window = dice.choice([0, 1, 1000, 65535, 100_000])
                talk.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        if dice.randrange(3):
            talk.exchange()
    talk.exchange()
    talk.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
    talk.finish()
    for stream in talk.ended - talk.gone:
        assert tuple(talk.got[stream]) == wanted(talk.replies[stream])
    session = talk.client.session
    assert isinstance(session, Http2Session)
    assert not session._streams
    assert session.idle


# --- h2 as the server ---------------------------------------------------------------------------------

GOOD = block(*fields())
BLOCKS = [
    GOOD, GOOD, GOOD, block(*fields(b"POST")), block((b"a", b"b")), block(*fields(b"GET", b"/", (b"A", b"b"))),
    block(*fields()[1:]), block(*fields(), (b":path", b"/")),
    block(*fields(b"GET", b"/", (b"connection", b"x"))),
    block(*fields(b"POST", b"/", (b"content-length", b"3"))), GOOD + b"\x40\x01a\x01b", GOOD + b"\xbe", b"\x80",
    GOOD[:20], b"\x3f\xe1\x1f" + GOOD, b"\x20" + GOOD, GOOD + b"\x20", b"", block(*fields(b"GET", b"")),
    block(*fields(b"CONNECT")), block(*fields(b"GET", b"/", (b"te", b"gzip"))),
]  # fmt: skip
U32S = [bytes(4), (1).to_bytes(4), (5).to_bytes(4), (1 << 31).to_bytes(4), ((1 << 31) - 1).to_bytes(4)]
PAYLOADS: dict[int, list[bytes]] = {
    frames.DATA: [b"", b"abc", b"\1ab", b"\0abc", b"\5ab", bytes(16385)],
    frames.HEADERS: BLOCKS,
    frames.PRIORITY: [bytes(5), b"\0\0\0\1\5", b"\x80\0\0\3\5", bytes(4), bytes(6)],
    frames.RST_STREAM: [*U32S, bytes(3), bytes(5)],
    frames.SETTINGS: [
        b"", b"", b"\0\4" + bytes(4), b"\0\4\x7f\xff\xff\xff", b"\0\4\x80\0\0\0", b"\0\5\0\0\x40\0",
        b"\0\5\0\0\0\1", b"\0\2\0\0\0\1", b"\0\2\0\0\0\2", b"\0\1\0\0\0\0", b"\0\x63\0\0\0\1",
        bytes(5), bytes(7),
    ],
    frames.PUSH_PROMISE: [bytes(4) + GOOD, (2).to_bytes(4) + GOOD],
    frames.PING: [bytes(8), bytes(7), bytes(9)],
    frames.GOAWAY: [bytes(8), bytes(8) + b"bye", bytes(7)],
    frames.WINDOW_UPDATE: [*U32S, bytes(3), bytes(5)],
    frames.CONTINUATION: [b"", GOOD, GOOD[:9]],
    99: [b"", b"x"],
}  # fmt: skip
FLAGS = [0x0, 0x1, 0x4, 0x5, 0x5, 0x8, 0xD, 0x25]


@st.composite
def sequences(draw: st.DrawFn) -> list[bytes]:
    made = []
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from([0, 0, 1, 1, 1, *PAYLOADS]))
        stream = draw(st.sampled_from([0, 0, 1, 1, 1, 2, 3, 3, 5]))
        if kind == frames.HEADERS and draw(st.booleans()):
            made.append(raw(kind, draw(st.sampled_from([0x4, 0x5])), stream or 1, GOOD))
        elif kind in (frames.SETTINGS, frames.PING, frames.GOAWAY) and draw(st.booleans()):
            made.append(raw(kind, 0, 0, draw(st.sampled_from(PAYLOADS[kind]))))
        else:
            made.append(raw(kind, draw(st.sampled_from(FLAGS)), stream, draw(st.sampled_from(PAYLOADS[kind]))))
    return made


Verdict = tuple[str, str]
"""`ok`, `stream` or `connection`, and the error code."""


def ours(sent: list[bytes]) -> Iterator[Verdict]:
    client = Client(make(), lambda _: REPLIES[1])
    for frame in sent:
        told = client.send(frame)
        wrong = [word.split() for word in told if word.startswith("goaway")]
        resets = [word.split()[2] for word in told if word.startswith("rst_stream") and "NO_ERROR" not in word]
        if wrong:
            yield "connection", wrong[0][2]
            return
        yield ("stream", resets[0]) if resets else ("ok", "")


def theirs(sent: list[bytes]) -> Iterator[Verdict]:
    config = h2.config.H2Configuration(client_side=False, header_encoding=None)
    server = h2.connection.H2Connection(config)
    server.initiate_connection()
    server.receive_data(frames.PREFACE + frames.settings({}))
    server.data_to_send()
    for frame in sent:
        try:
            events = server.receive_data(frame)
        except h2.exceptions.ProtocolError as error:
            yield "connection", frames.error_name(error.error_code)
            return
        resets = [
            event for event in events if isinstance(event, h2.events.StreamReset) and not event.remote_reset
        ]
        for event in events:
            if isinstance(event, h2.events.StreamEnded):
                server.send_headers(event.stream_id, [(":status", "200")], end_stream=True)
        yield ("stream", frames.error_name(resets[0].error_code)) if resets else ("ok", "")


OK: Verdict = ("ok", "")
BLOCK_KINDS = {frames.HEADERS, frames.CONTINUATION}
SIZES = {
    frames.PRIORITY: {5}, frames.RST_STREAM: {4}, frames.PING: {8}, frames.WINDOW_UPDATE: {4},
    frames.SETTINGS: set(range(0, 16385, 6)), frames.GOAWAY: set(range(8, 16385)),
}  # fmt: skip


class Difference(NamedTuple):
    """Where we say another thing than h2 about frames of these kinds. `where`: in which sequences that is so.

    `ours`: None for anything.
    """

    why: str
    kinds: set[int]
    ours: Verdict | None
    h2s: Verdict
    where: Callable[[list[bytes]], bool] = lambda _: True


def connection(code: str) -> Verdict:
    return "connection", code


def stream(code: str) -> Verdict:
    return "stream", code


def after_goaway(sent: list[bytes]) -> bool:
    return any(frame[3] == frames.GOAWAY for frame in sent[:-1])


def in_block(sent: list[bytes]) -> bool:
    """Whether a header block has begun and not ended before the last frame."""
    last = [frame for frame in sent[:-1] if frame[3] in BLOCK_KINDS]
    return bool(last) and not last[-1][4] & frames.END_HEADERS


def wrong_size(sent: list[bytes]) -> bool:
    frame = sent[-1]
    size = len(frame) - 9
    acknowledges = frame[3] == frames.SETTINGS and frame[4] & frames.ACK
    return size > 16384 or size not in ({0} if acknowledges else SIZES.get(frame[3], {size}))


def too_short(sent: list[bytes]) -> bool:
    """Whether the flags of the last frame promise more than it has."""
    needs = (1 if sent[-1][4] & frames.PADDED else 0) + (5 if sent[-1][4] & frames.PRIORITIZED else 0)
    return len(sent[-1]) - 9 < needs


DIFFERENCES = [
    Difference("RFC 9113 4.3: what does not decode is COMPRESSION_ERROR; h2 has one code for all of that",
               BLOCK_KINDS, connection("COMPRESSION_ERROR"), connection("PROTOCOL_ERROR")),
    Difference("8.1.1: a malformed request is an error of its stream; h2 ends the connection",
               {*BLOCK_KINDS, frames.DATA}, stream("PROTOCOL_ERROR"), connection("PROTOCOL_ERROR")),
    Difference("8.1.1: a Content-Length and no body is malformed; h2 looks only where there is DATA",
               BLOCK_KINDS, stream("PROTOCOL_ERROR"), OK),
    Difference("6.6: a client does not push; h2 waits for the end of the block before it says so",
               {frames.PUSH_PROMISE}, connection("PROTOCOL_ERROR"), OK),
    Difference("5.1: DATA on a stream that was passed over; h2 resets it and tells nobody",
               {frames.DATA}, connection("PROTOCOL_ERROR"), OK),
    Difference("5.1: DATA on a stream that both sides have ended; h2 resets it and tells nobody",
               {frames.DATA}, connection("STREAM_CLOSED"), OK),
    Difference("5.1: RST_STREAM on an idle stream; h2 ignores it",
               {frames.RST_STREAM}, connection("PROTOCOL_ERROR"), OK),
    Difference("5.1: HEADERS below the last stream, which was never opened, and RFC 7540 5.1.1 wants this code",
               BLOCK_KINDS, connection("PROTOCOL_ERROR"), connection("STREAM_CLOSED")),
    Difference("5.1: after a client's reset; h2 resets once more and tells nobody",
               {frames.DATA, *BLOCK_KINDS}, stream("STREAM_CLOSED"), OK),
    Difference("6.3: PRIORITY of another size is an error of its stream; h2 ends the connection",
               {frames.PRIORITY}, stream("FRAME_SIZE_ERROR"), connection("FRAME_SIZE_ERROR")),
    Difference("6.9: WINDOW_UPDATE on a closed stream is ignored, even of nothing; h2 looks at that first",
               {frames.WINDOW_UPDATE}, OK, connection("PROTOCOL_ERROR")),
    Difference("6.9: WINDOW_UPDATE of nothing is an error of its stream; h2 ends the connection",
               {frames.WINDOW_UPDATE}, stream("PROTOCOL_ERROR"), connection("PROTOCOL_ERROR")),
    Difference("6.8: a client that says GOAWAY may go on; to h2 it is gone, and whatever it sends is an error",
               {*PAYLOADS}, None, connection("PROTOCOL_ERROR"), after_goaway),
    Difference("two faults in one frame: its size, and where it comes",
               {*PAYLOADS}, connection("FRAME_SIZE_ERROR"), connection("PROTOCOL_ERROR"), wrong_size),
    Difference("two faults in one frame, the other way round",
               {*PAYLOADS}, connection("PROTOCOL_ERROR"), connection("FRAME_SIZE_ERROR"),
               lambda sent: wrong_size(sent) or (in_block(sent) and too_short(sent))),
]  # fmt: skip


def compare(sent: list[bytes]) -> tuple[int, Verdict, Verdict] | None:
    """The first frame about which we differ, and no entry of the list says why."""
    for number, (mine, h2s) in enumerate(zip(ours(sent), theirs(sent), strict=False)):
        if mine == h2s:
            continue
        if not explained(sent[: number + 1], mine, h2s):
            return number, mine, h2s
        return None  # from here on the two are in other states
    return None


def explained(sent: list[bytes], mine: Verdict, h2s: Verdict) -> list[str]:
    kind = sent[-1][3]
    return [
        one.why
        for one in DIFFERENCES
        if kind in one.kinds and one.ours in (None, mine) and one.h2s == h2s and one.where(sent)
    ]


@settings(max_examples=100, deadline=None)
@given(sequences())
def test_what_h2_calls_an_error_is_one(sent: list[bytes]) -> None:
    assert compare(sent) is None


def test_every_difference_on_the_list_is_shown() -> None:
    dice = random.Random(5)
    shown: set[str] = set()
    for _ in range(8000):
        sent = [_frame(dice) for _ in range(dice.randint(1, 10))]
        for number, (mine, h2s) in enumerate(zip(ours(sent), theirs(sent), strict=False)):
            if mine != h2s:
                why = explained(sent[: number + 1], mine, h2s)
                assert why, (sent, mine, h2s)
                shown.update(why)
                break
        if len(shown) == len(DIFFERENCES):
            break
    assert {one.why for one in DIFFERENCES} - shown == set()


def _frame(dice: random.Random) -> bytes:
    kind = dice.choice([0, 0, 1, 1, 1, *PAYLOADS])
    on = dice.choice([0, 0, 1, 1, 1, 2, 3, 3, 5])
    if kind == frames.HEADERS and dice.random() < 0.5:
        return raw(kind, dice.choice([0x4, 0x5]), on or 1, GOOD)
    if kind in (frames.SETTINGS, frames.PING, frames.GOAWAY) and dice.random() < 0.5:
        return raw(kind, 0, 0, dice.choice(PAYLOADS[kind]))
    return raw(kind, dice.choice(FLAGS), on, dice.choice(PAYLOADS[kind]))


# --- hostile bytes ------------------------------------------------------------------------------------

CALL = ((b"content-type", b"application/grpc"), (b"te", b"trailers"))
START = frames.PREFACE + frames.settings({4: 20})
SEEDS = [
    START + request(1) + ping() + request(3),
    START + post(1) + data(1, b"abc") + data(1, ends=True) + frames.window_update(1, 5) + request(3),
    START + post(1, *CALL, path=b"/a.B/C") + data(1, b"\0\0\0\0\1a") + data(1, b"\0\0\0\0\1b", ends=True),
    START
    + request(1, b"HEAD")
    + frames.header_block(3, block(*fields()), ends=True, most=10)
    + frames.rst_stream(1, 8),
    START
    + frames.settings({1: 0, 5: 20_000})
    + post(1)
    + frames.header_block(1, block((b"t", b"1")), ends=True),
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAQAAAAB\r\n\r\n" + START + request(3),
]


def front() -> HttpSession:
    return HttpSession(context(max_body_memory=2))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SEEDS), st.integers(0, 1 << 30))
def test_no_bytes_make_a_session_raise(sent: bytes, seed: int) -> None:
    check_session_survives(front, sent, None, seed)
    check_session_survives(front, sent, hi, seed, promised=lambda _: None)
    check_session_survives(front, sent, lambda _: REPLIES[4], seed, promised=lambda _: None)


@settings(max_examples=60, deadline=None)
@given(sequences(), st.integers(0, 1 << 30))
def test_frames_in_any_order_do_the_same_however_they_are_cut(sent: list[bytes], seed: int) -> None:
    whole = START + b"".join(sent)
    assert serve(make(), [whole], hi, ending=True)  # and does not raise
    expected = serve(make(), [whole], None, ending=True)
    for reads in splits(whole, seed):
        assert serve(make(), reads, None, ending=True) == expected
    told = Reader().words(b"".join([out.data for out in expected if isinstance(out, Send)]))
    assert not any(word.startswith("goaway") for word in told[:-1])
    assert not any(isinstance(out, Close) for out in expected[:-1])
