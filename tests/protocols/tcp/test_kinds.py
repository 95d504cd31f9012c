"""Kinds of framing: frames cut out of bytes, whole and byte by byte, and frames made of payloads."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.tcp.framing import Frame, Splitter, compile_framing
from svcmock_protocols.tcp.kinds import Choice, Cut
from svcmock_protocols.tcp.lengths import FrameError
from svcmock_protocols.tcp.messages import FramingDoc
from tests.protocols.conformance import mutate, splits

LIMIT = 1000


def framing(doc: Any, limit: int = LIMIT) -> Any:
    return compile_framing(msgspec.convert(doc, FramingDoc | tuple[FramingDoc, ...]), limit)


FIX = {"regex": {"header": "8=[^|]+[|]9=(?P<len>\\d+)[|]", "trailer": 3}}
BEANSTALK = [
    {"regex": {"header": "put [0-9 ]* (?P<len>[0-9]+)\r\n", "trailer": 2}, "starts": "put "},
    {"delimiter": "\r\n"},
]
CASES: list[tuple[Any, bytes, list[bytes]]] = [
    ({"delimiter": "\r\n"}, b"PING\r\n\r\na\rb\r\n", [b"PING", b"", b"a\rb"]),
    ({"delimiter": {"end": "\n", "keep": True}}, b"PING\n\n", [b"PING\n", b"\n"]),
    ({"delimiter": {"hex": "0003"}}, b"a\x00b\x00\x03\x00\x03", [b"a\x00b", b""]),
    ({"delimiter": {"end": ";", "escape": "\\"}}, b"a\\;b;c\\\\;", [b"a;b", b"c\\"]),
    ({"delimiter": {"end": "\r\n.\r\n", "dots": True}}, b"a\r\n..b\r\n.\r\n..\r\n.\r\n", [b"a\r\n.b", b"."]),
    ({"fixed": 3}, b"abcdef", [b"abc", b"def"]),
    ({"length": {"width": 2}}, b"\x00\x02hi\x00\x00", [b"hi", b""]),
    ({"length": {"width": 2, "counts": "frame"}}, b"\x00\x04hi\x00\x02", [b"hi", b""]),
    ({"length": {"width": 1, "adjust": -1}}, b"\x03hi\x01", [b"hi", b""]),
    ({"length": {"width": 4, "encoding": "ascii"}}, b"0002hi", [b"hi"]),
    ({"length": {"encoding": "varint"}}, b"\x02hi\xac\x02" + b"x" * 300, [b"hi", b"x" * 300]),
    ({"length": {"offset": 4, "width": 2}}, b"\x00\x01\x00\x00\x00\x02hi", [b"\x00\x01\x00\x00\x00\x02hi"]),
    ({"length": {"width": 2, "keep": True}}, b"\x00\x02hi", [b"\x00\x02hi"]),
    ({"envelope": {"start": "\x0b", "end": "\x1c\r"}}, b"\x0bMSH\r\x1c\r\x0b\x1c\r", [b"MSH\r", b""]),
    (
        {"envelope": {"start": "<", "end": ">", "trailer": 2}},
        b"<a>>><b>,.",
        [b"<a>>>", b"<b>,."],
    ),
    (FIX, b"8=F|9=3|abc.1|8=F|9=0|.2|", [b"8=F|9=3|abc.1|", b"8=F|9=0|.2|"]),
    (
        [{"envelope": {"start": "\x02", "end": "\x03"}}, {"delimiter": "\n"}],
        b"a\n\x02b\n\x03c\n",
        [b"a", b"b\n", b"c"],
    ),
    ([{"fixed": 2, "starts": "#"}, {"fixed": 3}], b"#aabc", [b"#a", b"abc"]),
    (
        [{"envelope": {"start": "\n#", "end": "."}}, {"delimiter": "\n"}],
        b"\na\n\n#b.c\n",
        [b"", b"a", b"b", b"c"],
    ),
    (
        BEANSTALK,
        b"put 0 60 2\r\nhi\r\nlist-tubes\r\nput 1 0 0\r\n\r\n",
        [
            b"put 0 60 2\r\nhi\r\n",
            b"list-tubes",
            b"put 1 0 0\r\n\r\n",
        ],
    ),
]


def cut(kind: Any, reads: list[bytes], *, ended: bool = False) -> list[Frame]:
    splitter = Splitter(kind)
    frames = []
    for data in reads:
        splitter.feed(data)
        while (frame := splitter.next()) is not None:
            frames.append(frame)
    if ended and (frame := splitter.next(ended=True)) is not None:
        frames.append(frame)
    assert splitter.pending == 0
    return frames


@pytest.mark.parametrize(("doc", "data", "payloads"), CASES, ids=[str(case[0]) for case in CASES])
def test_frames(doc: Any, data: bytes, payloads: list[bytes]) -> None:
    kind = framing(doc)
    for reads in splits(data):
        frames = cut(kind, reads)
        assert [frame.payload for frame in frames] == payloads, reads
        assert b"".join(frame.wire for frame in frames) == data
        if not isinstance(kind, Choice):
            assert [kind.wrap(frame.payload) for frame in frames] == [frame.wire for frame in frames]
        for payload in payloads:
            (frame,) = cut(kind, [kind.wrap(payload)])
            assert frame.payload == payload


@pytest.mark.parametrize(
    ("doc", "data"),
    [
        ({"delimiter": "\n"}, b"x" * (LIMIT + 1)),
        ({"delimiter": "\n"}, b"x" * LIMIT + b"\n"),
        ({"length": {"width": 4}}, b"\xff\xff\xff\xff"),
        ({"length": {"width": 2, "counts": "frame"}}, b"\x00\x01"),
        ({"length": {"width": 1, "adjust": -3}}, b"\x01"),
        ({"length": {"width": 2, "encoding": "ascii"}}, b"xx"),
        ({"envelope": {"start": "\x0b\x0b", "end": "\r"}}, b"\x0bM"),
        ({"envelope": {"start": "\x0b", "end": "\r"}}, b"\x0b" + b"x" * LIMIT),
        (FIX, b"x" * LIMIT),
        (FIX, b"8=F|9=99999|a"),
        (FIX, b"8=F|9=99999999999999|a"),
        ({"until_close": True}, b"x" * (LIMIT + 1)),
        ([{"fixed": 2, "starts": "#"}, {"fixed": 3, "starts": "%"}], b"ab"),
    ],
)
def test_what_is_no_frame(doc: Any, data: bytes) -> None:
    """A lie about a length is told at once: nothing of that length is waited for."""
    for reads in splits(data):
        with pytest.raises(FrameError):
            cut(framing(doc), reads)


@pytest.mark.parametrize(
    ("doc", "payload"),
    [
        ({"delimiter": "\n"}, b"a\nb"),
        ({"delimiter": "\r\n"}, b"a\r\nb"),
        ({"delimiter": "aa"}, b"xa"),
        ({"fixed": 3}, b"ab"),
        ({"length": {"width": 1}}, b"x" * 256),
        ({"envelope": {"start": "<", "end": ">"}}, b"a>b"),
        ([{"envelope": {"start": "<", "end": ">"}}, {"fixed": 2}], b"a>b"),
    ],
)
def test_what_cannot_be_framed(doc: Any, payload: bytes) -> None:
    with pytest.raises(FrameError):
        framing(doc).wrap(payload)


@pytest.mark.parametrize("doc", [{"until_close": True}, {"idle": "50ms"}])
def test_silence_or_the_end_ends_a_frame(doc: Any) -> None:
    assert cut(framing(doc), [b"ab", b"c"], ended=True) == [Frame(b"abc", b"abc")]
    assert framing(doc).idle == (0.05 if "idle" in doc else 0.0)
    assert framing(doc).wrap(b"abc") == b"abc"


def test_a_header_may_go_on_at_the_end_of_what_is_there() -> None:
    kind = framing({"regex": {"header": "(?P<len>\\d+)"}})
    assert kind.cut(b"0", 0) is None
    assert kind.cut(b"0", 0, ended=True) == Cut(1)
    assert kind.cut(b"3abc", 0) == Cut(4)
    assert kind.cut(b"12", 0) is None


def test_a_header_that_has_ended_is_not_waited_for() -> None:
    kind = framing({"regex": {"header": "Length: (?P<len>[0-9]+)\r\n\r\n"}})
    assert kind.cut(b"Length: 0\r\n\r\n", 0) == Cut(13)


def test_a_header_without_its_length_is_no_frame() -> None:
    kind = framing({"regex": {"header": "a|b(?P<len>[0-9]+)c"}})
    assert kind.cut(b"b1cx", 0) == Cut(4)
    with pytest.raises(FrameError, match="a length is a number"):
        kind.cut(b"a", 0)


LENGTHS: list[Any] = [
    {"width": 1},
    {"width": 2, "endian": "little"},
    {"width": 8},
    {"width": 3, "adjust": -3},
    {"width": 2, "adjust": 5},
    {"width": 2, "counts": "frame"},
    {"width": 2, "counts": "frame", "adjust": -40},
    {"width": 4, "offset": 3},
    {"width": 5, "encoding": "ascii"},
    {"width": 16, "encoding": "ascii"},
    {"width": 4, "encoding": "hex"},
    {"width": 3, "encoding": "bcd"},
    {"encoding": "varint"},
]
LIES = [b"\xff" * 16, b"\0" * 16, b"9" * 16, b"-1", b" 5", b"\x80\0"]


@given(length=st.sampled_from(LENGTHS), data=st.binary(max_size=24), lie=st.sampled_from(LIES))
def test_a_length_that_lies_is_a_fault_at_once_or_waits_for_no_more_than_a_frame(
    length: Any, data: bytes, lie: bytes
) -> None:
    kind = framing({"length": length}, 32)
    for said in (lie, lie + data, data + lie):
        try:
            found = kind.cut(said, 0)
            assert found is None or 0 < found.end <= min(len(said), 32)
            assert found is not None or kind.cut(said + bytes(48), 0) is not None
        except FrameError:
            continue


@given(st.integers(0, len(CASES) - 1), st.integers(0, 1 << 30))
def test_any_bytes_are_frames_or_a_fault_however_they_are_cut(case: int, seed: int) -> None:
    doc, data, _ = CASES[case]
    kind, damaged = framing(doc), mutate(data, seed)
    told = [_told(kind, reads) for reads in splits(damaged, seed)]
    assert all(one == told[0] for one in told)


def _told(kind: Any, reads: list[bytes]) -> tuple[list[Frame], bool]:
    splitter = Splitter(kind)
    frames: list[Frame] = []
    try:
        for data in reads:
            splitter.feed(data)
            while (frame := splitter.next()) is not None:
                frames.append(frame)
    except FrameError:
        return frames, True
    return frames, False


@given(st.binary(max_size=200), st.sampled_from(["binary", "ascii", "hex", "bcd", "varint"]))
def test_what_is_wrapped_is_cut_out_again(payload: bytes, encoding: str) -> None:
    kind = framing(
        {"length": {"encoding": encoding, **({} if encoding == "varint" else {"width": 4})}}, 1 << 20
    )
    wire = kind.wrap(payload)
    assert kind.cut(wire + b"more", 0) == Cut(len(wire), payload)


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(0, 1 << 30))
def test_escaped_payloads_come_back(payloads: list[bytes], seed: int) -> None:
    kind = framing({"delimiter": {"end": ";", "escape": "\\"}})
    data = b"".join(map(kind.wrap, payloads))
    dice = random.Random(seed)
    cuts = sorted(dice.sample(range(len(data) + 1), min(len(data), 5)))
    reads = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert [frame.payload for frame in cut(kind, reads)] == payloads
