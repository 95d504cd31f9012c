"""What leaves of which reply, and when: windows, turns, gaps, and the bytes of the table's size."""

from typing import Any

import pytest

from svcmock.protocol import Blob, Out, Send, SendFile, Spooled, Wake
from svcmock_protocols.http.codec import RequestHead
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.frames import ConnectionFault
from svcmock_protocols.http.h2.heads import Opening
from svcmock_protocols.http.h2.hpack import encode
from svcmock_protocols.http.h2.replies import Prepared, prepare
from svcmock_protocols.http.h2.sender import GAP, PIECE, TURN, Sender
from svcmock_protocols.http.h2.stream import Stream
from svcmock_protocols.http.messages import Chunk, Reply, Request
from tests.protocols.http.h2.sessions import words

CALL = b"content-type: application/grpc\r\n"
HEAD = "headers 1 [:status 200]"


class Sent:
    """A sender, and what became of its streams."""

    def __init__(self, pace: float = 1.0, *, window: int = 65535) -> None:
        self.sender = Sender(pace, lambda stream, outs: self.done.append(stream.id))
        self.sender.window = window
        self.done: list[int] = []
        self.outs: list[Out] = []

    def told(self) -> list[str]:
        """In words, and forgotten. A file's bytes are dots."""
        outs, self.outs = self.outs, []
        parts: list[bytes] = []
        told: list[str] = []
        for out in outs:
            if isinstance(out, Send):
                parts.append(out.data)
            elif isinstance(out, SendFile):
                parts.append(b"." * out.blob.size)
                told.append(f"file {out.blob.offset}+{out.blob.size}")
            else:
                assert isinstance(out, Wake)
                told += [*words(b"".join(parts)), f"wake {out.after}"]
                parts = []
        return told + words(b"".join(parts))

    def give(self, stream: Stream, *, ends: bool = True, told: int = 0, **more: Any) -> list[str]:
        self.sender.queue(stream, made(**more), ends=ends, told=told)
        self.sender.pump(stream, self.outs)
        return self.told()


def made(**more: Any) -> Prepared:
    return prepare(Reply(**{"status": 200, "version": b"2", **more}), opened().opening)


def opened(ident: int = 1, window: int = 65535, *, grpc: bool = False) -> Stream:
    return Stream(ident, Opening(RequestHead(Request(b"POST", b"/", b"2")), grpc=grpc), window, 0)


# --- whole replies ------------------------------------------------------------------------------------


def test_a_reply_that_fits_leaves_at_once_and_counts() -> None:
    sender = Sent(window=10).sender
    at_once = sender.at_once(5, 7, made(body=b"1234567"))
    assert at_once is not None
    assert words(at_once) == ["headers 5 [:status 200]", "data 5 end '1234567'"]
    assert sender.window == 3


@pytest.mark.parametrize(("connection", "stream"), [(6, 7), (7, 6), (-1, 7)])
def test_a_reply_that_does_not_fit_does_not(connection: int, stream: int) -> None:
    sender = Sent(window=connection).sender
    assert sender.at_once(5, stream, made(body=b"1234567")) is None
    assert sender.window == connection


def test_a_reply_that_is_not_whole_does_not() -> None:
    assert Sent().sender.at_once(1, 65535, made(body=b"ab", chunks=(Chunk(1, 1.0),))) is None


# --- outboxes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, ["headers 1 end [:status 200]"]),
        ({"body": b"ab"}, [HEAD, "data 1 end 'ab'"]),
        ({"body": b"ab", "trailers": b"a: b\r\n"}, [HEAD, "data 1 'ab'", "headers 1 end [a b]"]),
        ({"trailers": b"a: b\r\n"}, [HEAD, "headers 1 end [a b]"]),
        ({"body": b"abc", "chunks": (Chunk(1), Chunk(2))}, [HEAD, "data 1 'a'", "data 1 end 'bc'"]),
    ],
)
def test_a_reply_is_sent_and_is_done(more: dict[str, Any], told: list[str]) -> None:
    sent, stream = Sent(), opened()
    assert sent.give(stream, **more) == told
    assert (sent.done, stream.replied, sent.sender.blocked) == ([1], True, {})
    assert sent.sender.window == stream.window == 65535 - len(more.get("body", b""))


def test_parts_of_a_reply_have_one_head() -> None:
    sent, stream = Sent(), opened()
    assert sent.give(stream, ends=False, body=b"ab", upto=1) == [HEAD, "data 1 'a'"]
    assert (sent.done, stream.replied) == ([], False)
    assert sent.give(stream, told=1, body=b"abc") == ["data 1 end 'bc'"]
    assert sent.done == [1]


def test_a_stream_that_has_only_its_end_left_ends_with_an_empty_frame() -> None:
    sent, stream = Sent(window=2), opened()
    sent.give(stream, ends=False, body=b"ab")
    assert sent.give(stream, told=2, body=b"ab") == ["data 1 end ''"]


def test_the_status_of_a_call_comes_in_trailers_once_its_head_was_sent() -> None:
    sent, stream = Sent(), opened(grpc=True)
    sent.give(stream, ends=False, block=CALL, body=b"ab")
    assert sent.give(stream, block=CALL + b"grpc-status: 5\r\n") == ["headers 1 end [grpc-status 5]"]


def test_a_body_that_is_still_being_recorded() -> None:
    sent = Sent()
    body = Spooled(1, 2, "0")
    head, data = sent.give(opened(), body=body)
    assert head.startswith("headers 1 [:status 500, ")
    assert data.startswith("data 1 end ")
    (status,) = sent.give(opened(grpc=True), body=body, block=CALL, trailers=b"grpc-status: 0\r\n")
    assert "grpc-status 13" in status


# --- gaps ---------------------------------------------------------------------------------------------


def test_a_gap_holds_what_comes_after_it() -> None:
    sent, stream = Sent(0.5), opened()
    assert sent.give(stream, body=b"abc", chunks=(Chunk(1), Chunk(2, 3.0))) == [HEAD, "data 1 'a'", "wake 1.5"]
    assert stream.paused
    sent.sender.pump(stream, sent.outs)
    assert sent.outs == []
    stream.paused = False
    sent.sender.pump(stream, sent.outs)
    assert sent.told() == ["data 1 end 'bc'"]


def test_the_token_of_a_gap_names_its_stream() -> None:
    sent, stream = Sent(), opened(7)
    sent.sender.queue(stream, made(body=b"a", chunks=(Chunk(1, 2.0),)))
    sent.sender.pump(stream, sent.outs)
    assert sent.outs[-1] == Wake(2.0, (GAP, 7))


# --- windows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("connection", "stream"), [(3, 9), (9, 3)])
def test_a_window_cuts_a_body(connection: int, stream: int) -> None:
    sent, one = Sent(window=connection), opened(1, stream)
    assert sent.give(one, body=b"abcdef") == [HEAD, "data 1 'abc'"]
    assert (sent.sender.blocked, sent.done) == ({1: one}, [])
    sent.sender.open_window(9)
    one.window += 9
    sent.sender.pump_all(sent.outs)
    assert sent.told() == ["data 1 end 'def'"]
    assert (sent.sender.blocked, sent.done) == ({}, [1])


def test_a_file_is_cut_where_the_window_ends() -> None:
    sent, one = Sent(window=4), opened()
    assert sent.give(one, body=Blob("f", 6, 10)) == ["file 10+4", HEAD, "data 1 '....'"]
    sent.sender.open_window(9)
    sent.sender.pump_all(sent.outs)
    assert sent.told() == ["file 14+2", "data 1 end '..'"]
    assert sent.sender.window == 7


def test_streams_take_turns_when_the_window_opens() -> None:
    sent = Sent(window=0)
    for ident in (1, 3):
        sent.give(opened(ident, 1 << 20), body=bytes(TURN + 5))
    sent.sender.window = 2 * TURN + 5
    sent.sender.settings([(frames.MAX_FRAME_SIZE, 1 << 20)], {})
    sent.sender.pump_all(sent.outs)
    assert sent.told() == ["data 1 65536 bytes", "data 3 65536 bytes", "data 1 end '\\x00\\x00\\x00\\x00\\x00'"]
    assert list(sent.sender.blocked) == [3]


def test_streams_that_wait_for_their_own_windows_hold_nobody() -> None:
    sent = Sent()
    for ident in (1, 3):
        sent.give(opened(ident, 0), body=b"ab")
    sent.sender.blocked[3].window = 2
    sent.sender.pump_all(sent.outs)
    assert sent.told() == ["data 3 end 'ab'"]
    assert list(sent.sender.blocked) == [1]


def test_a_stream_that_is_forgotten_sends_nothing() -> None:
    sent, stream = Sent(window=0), opened()
    sent.give(stream, body=b"ab")
    sent.sender.forget(stream)
    sent.sender.open_window(9)
    sent.sender.pump_all(sent.outs)
    sent.sender.pump(stream, sent.outs)
    assert (sent.outs, sent.done) == ([], [])


def test_a_window_has_31_bits() -> None:
    sender = Sent(window=-1).sender
    sender.open_window(2**31 - 1)
    sender.open_window(1)
    with pytest.raises(ConnectionFault) as caught:
        sender.open_window(1)
    assert caught.value.code == frames.FLOW_CONTROL_ERROR


# --- settings -----------------------------------------------------------------------------------------


def test_a_first_window_counts_for_streams_that_are_open() -> None:
    sender, stream = Sent().sender, opened(1, 100)
    sender.settings([(frames.INITIAL_WINDOW_SIZE, 65000), (frames.INITIAL_WINDOW_SIZE, 0)], {1: stream})
    assert (sender.first_window, stream.window, sender.window) == (0, 100 - 65535, 65535)


def test_a_first_window_that_makes_a_window_too_large() -> None:
    stream = opened(1, 65536)
    Sent().sender.settings([(frames.INITIAL_WINDOW_SIZE, 2**31 - 2)], {1: stream})
    assert stream.window == 2**31 - 1
    with pytest.raises(ConnectionFault) as caught:
        Sent().sender.settings([(frames.INITIAL_WINDOW_SIZE, 2**31 - 2)], {1: opened(1, 65537)})
    assert caught.value.code == frames.FLOW_CONTROL_ERROR


@pytest.mark.parametrize(("value", "largest"), [(16384, 16384), (20000, 20000), (2**24 - 1, PIECE)])
def test_frames_are_as_large_as_the_client_takes_and_we_make_them(value: int, largest: int) -> None:
    sent = Sent(window=1 << 22)
    sent.sender.settings([(frames.MAX_FRAME_SIZE, value)], {})
    told = sent.give(opened(1, 1 << 22), body=bytes(PIECE + 100))
    assert told[1] == f"data 1 {largest} bytes"


@pytest.mark.parametrize(
    ("sizes", "first"), [((4095,), b"\x20"), ((0, 4096), b"\x20"), ((4096,), b""), ((8192,), b"")]
)
def test_a_smaller_table_is_told_once_in_the_next_block(sizes: tuple[int, ...], first: bytes) -> None:
    sent, block = Sent(), encode([(b":status", b"200")])
    sent.sender.settings([(frames.HEADER_TABLE_SIZE, size) for size in sizes], {})
    small = made(body=b"ab")
    assert (sent.sender.at_once(1, 65535, small) is None) is bool(first)
    assert sent.sender.headers(opened(), block, ends=False).data[9:] == first + block
    sent.sender.settings([(frames.HEADER_TABLE_SIZE, 0)], {})
    again = b"" if first else b"\x20"
    assert sent.sender.headers(opened(), block, ends=False).data[9:] == again + block
    assert sent.sender.at_once(1, 65535, small) is not None
