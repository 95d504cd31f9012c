"""`framing:` as a person writes it: what is compiled, and what is told about what cannot be."""

import time
from typing import Any

import msgspec
import pytest

from svcmock.protocol import Invalid
from svcmock_protocols.tcp.framing import Frame, Splitter, compile_framing, compile_sides, literal, split
from svcmock_protocols.tcp.lengths import FrameError
from svcmock_protocols.tcp.messages import FramingDoc


def doc(value: Any) -> Any:
    return msgspec.convert(value, FramingDoc | tuple[FramingDoc, ...])


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ({}, "framing"),
        ([], "framing"),
        ({"fixed": 3, "delimiter": "\n"}, "framing"),
        ({"client": {"fixed": 3}}, "framing"),
        ({"client": {"fixed": 3}, "server": {"fixed": 3}, "fixed": 1}, "framing"),
        ({"client": {"fixed": 3}, "server": {}}, "framing.server"),
        ({"client": {"client": {"fixed": 3}, "fixed": 1}, "server": {"fixed": 1}}, "framing.client"),
        ([{"fixed": 3}, {"delimiter": ""}], "framing.1.delimiter"),
        ({"delimiter": {"hex": "xx"}}, "framing.delimiter.hex"),
        ({"delimiter": {"end": "x", "hex": "00"}}, "framing.delimiter.hex"),
        ({"delimiter": {"end": ""}}, "framing.delimiter.end"),
        ({"delimiter": {"end": "\n", "escape": "ab"}}, "framing.delimiter.escape"),
        ({"delimiter": {"end": "\n", "escape": "\n"}}, "framing.delimiter.escape"),
        ({"delimiter": {"end": "\n", "escape": "\\", "keep": True}}, "framing.delimiter.keep"),
        ({"delimiter": {"end": "\n", "dots": True}}, "framing.delimiter.dots"),
        ({"fixed": 2000}, "framing.fixed"),
        ({"length": {}}, "framing.length.width"),
        ({"length": {"width": 9}}, "framing.length.width"),
        ({"length": {"encoding": "varint", "width": 1}}, "framing.length.encoding"),
        ({"length": {"encoding": "varint", "counts": "frame"}}, "framing.length.encoding"),
        ({"length": {"offset": 1, "width": 1, "keep": False}}, "framing.length.keep"),
        ({"envelope": {"start": "", "end": "x"}}, "framing.envelope.start"),
        ({"envelope": {"start": "<", "end": ">"}, "starts": "<"}, "framing.starts"),
        ({"regex": {"header": "("}}, "framing.regex.header"),
        ({"regex": {"header": "abc"}}, "framing.regex.header"),
        ([{"regex": {"header": "(?P<len>1)"}}, {"fixed": 1}], "framing.0.regex"),
        ({"fixed": 1, "starts": "x" * 2000}, "framing.starts"),
        ({"envelope": {"start": "x" * 2000, "end": "x"}}, "framing.envelope.start"),
        ({"regex": {"header": "\u20ac(?P<len>1)"}}, "framing.regex.header"),
        ({"idle": "soon"}, "framing.idle"),
        ({"idle": 0}, "framing.idle"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(value: Any, at: str) -> None:
    with pytest.raises(Invalid) as told:
        compile_sides(doc(value), 1000)
    assert ".".join(map(str, told.value.at)) == at
    assert told.value.why


def test_one_framing_for_both_or_one_for_each() -> None:
    client, server = compile_sides(doc({"fixed": 3}), 1000)
    assert client is server
    client, server = compile_sides(doc({"client": {"fixed": 3}, "server": [{"delimiter": "\n"}]}), 1000)
    assert (client.wrap(b"abc"), server.wrap(b"abc")) == (b"abc", b"abc\n")


def test_literal_bytes() -> None:
    assert literal("\x0b") == literal({"hex": "0b"}) == b"\x0b"


def test_split_takes_all_or_nothing() -> None:
    lines = compile_framing(doc({"delimiter": "\n"}), 10)
    assert split(lines, b"a\nb\n") == [Frame(b"a", b"a\n"), Frame(b"b", b"b\n")]
    assert split(lines, b"") == []
    assert split(lines, b"a\nb") is None
    assert split(lines, b"x" * 11 + b"\n") is None


def test_a_splitter_copies_a_whole_read_no_further() -> None:
    splitter = Splitter(compile_framing(doc({"delimiter": {"end": "\n", "keep": True}}), 10))
    data = b"abc\n"
    splitter.feed(data)
    frame = splitter.next()
    assert frame is not None
    assert frame.wire is frame.payload is data


def test_a_splitter_can_forget() -> None:
    splitter = Splitter(compile_framing(doc({"delimiter": "\n"}), 10))
    splitter.feed(b"abc")
    assert (splitter.next(), splitter.pending, splitter.rest()) == (None, 3, b"abc")
    splitter.clear()
    assert (splitter.pending, splitter.rest()) == (0, b"")


def test_a_long_frame_in_small_pieces_takes_linear_time() -> None:
    def seconds(size: int) -> float:
        splitter = Splitter(compile_framing(doc({"delimiter": "\r\n"}), 1 << 26))
        begin = time.perf_counter()
        for _ in range(size // 64):
            splitter.feed(b"x" * 64)
            assert splitter.next() is None
        splitter.feed(b"\r\n")
        frame = splitter.next()
        assert frame is not None
        assert len(frame.payload) == size // 64 * 64
        return time.perf_counter() - begin

    assert seconds(1 << 21) < 40 * seconds(1 << 18) + 0.5


def test_many_frames_in_one_read_take_linear_time() -> None:
    splitter = Splitter(compile_framing(doc({"delimiter": "\n"}), 1000))
    splitter.feed(b"abc\n" * 100_000 + b"rest")
    begin = time.perf_counter()
    count = 0
    while splitter.next() is not None:
        count += 1
    assert count == 100_000
    assert splitter.pending == 4
    assert time.perf_counter() - begin < 5


def test_a_fault_stays_a_fault() -> None:
    splitter = Splitter(compile_framing(doc({"delimiter": "\n"}), 10))
    splitter.feed(b"x" * 11)
    for _ in range(2):
        with pytest.raises(FrameError):
            splitter.next()
