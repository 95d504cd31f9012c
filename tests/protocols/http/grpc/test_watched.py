"""How messages are counted in a stream of bytes, and how a call's reply is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.http.grpc import watched
from svcmock_protocols.http.grpc.framing import Message, Reader, frame
from svcmock_protocols.http.grpc.watched import Lengths, WatchedCall
from svcmock_protocols.http.messages import Chunk


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(1, 30), min_size=1), st.binary(max_size=30))
def test_messages_are_counted_as_the_reader_cuts_them(
    messages: list[bytes], cuts: list[int], rest: bytes
) -> None:
    said = b"".join(frame(Message(one)) for one in messages)
    lengths, reader = Lengths(1000), Reader(1000)
    counted, read = [], []
    at = i = 0
    while at < len(said):
        piece = said[at : at + cuts[i % len(cuts)]]
        at, i = at + len(piece), i + 1
        counted += lengths.feed(piece)
        read += [len(one.data) + 5 for one in reader.feed(piece)]
        assert lengths.pending == reader.pending
    assert counted == read == [len(one) + 5 for one in messages]
    lengths.feed(rest)
    if not lengths.broken:
        reader.feed(rest)
        assert lengths.pending == reader.pending


@pytest.mark.parametrize("head", [b"\x02\0\0\0\1", b"\0\0\0\0\x0b", b"\1\xff\xff\xff\xff"])
def test_what_is_no_message_ends_the_count(head: bytes) -> None:
    lengths = Lengths(10)
    assert lengths.feed(frame(Message(b"x" * 10)) + head + b"x" * 100) == [15]
    assert lengths.broken
    assert lengths.feed(frame(Message(b""))) == []


def test_a_call_of_very_many_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "MAX_MESSAGES", 3)
    call = WatchedCall(1.0, 100)
    call.asked(1.0)
    call.answers(1.0)
    call.tells(frame(Message(b"x")) * 5, 1.0)
    call.told()
    assert (call.chunks, call.why) == ((Chunk(6), Chunk(6), Chunk(18)), "")
    call.tells(frame(Message(b"x")), 2.0)
    assert call.why == "a call of more than 3 messages with time between them"
