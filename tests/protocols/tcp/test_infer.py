"""Framings that recordings could have, and recordings told again by one."""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from svcmock.files import SchemaFolder
from svcmock.noise import Noise
from svcmock.protocol import Context, Exchange, Forward, Seen, Side, Sight, Timing, Upstream
from svcmock_protocols.tcp import plugin
from svcmock_protocols.tcp.infer import Tape, propose, retold, tapes_of
from svcmock_protocols.tcp.tape import TapeReply, TapeRequest
from tests.protocols.tcp.tape_cases import Said, steps, token

WORDS = [b"alpha", b"be", b"", b"delta-delta", b"epsilon" * 40]


def tapes(**runs: Sequence[Said]) -> list[Tape]:
    return tapes_of((one.request, one.reply) for one in steps(**runs))


def talk(frame: Callable[[bytes], bytes]) -> list[Tape]:
    """Two connections, one that pipelines, by this framing."""
    one = [(frame(word), frame(word[::-1] + b"!")) for word in WORDS]
    two = [(frame(b"x") + frame(b"yy"), frame(b"1") + frame(b"22") + frame(b"333"))]
    return tapes(one=one, two=two)


def u16(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def counted_whole(data: bytes) -> bytes:
    return struct.pack("<I", len(data) + 4) + data


def mbap(data: bytes) -> bytes:
    """Modbus/TCP: the length stands behind two other words."""
    return b"\0\7\0\0" + struct.pack(">H", len(data) + 1) + b"\1" + data


@pytest.mark.parametrize(
    ("frame", "framing"),
    [
        (u16, {"length": {"width": 2}}),
        (lambda data: struct.pack(">I", len(data)) + data, {"length": {"width": 4}}),
        (counted_whole, {"length": {"width": 4, "endian": "little", "counts": "frame"}}),
        # the two zero bytes before the length are taken for a part of it, which makes the same frames
        (mbap, {"length": {"offset": 2, "width": 4}}),
        (lambda data: b"%04d" % len(data) + data, {"length": {"width": 4, "encoding": "ascii"}}),
        (lambda data: data + b"\r\n", {"delimiter": "\r\n"}),
        (lambda data: data + b"\0", {"delimiter": "\0"}),
        (
            lambda data: b"\x0b" + data + b"\x1c\r",
            {"envelope": {"start": {"hex": "0b"}, "end": {"hex": "1c0d"}}},
        ),
    ],
)
def test_the_framing_that_was_used_comes_first(frame: Callable[[bytes], bytes], framing: object) -> None:
    best = propose(talk(frame))[0]
    assert best.framing == framing
    assert (best.requests, best.replies, best.aligned) == (7, 8, 1.0)


def test_messages_with_a_checksum_between_single_bytes() -> None:
    ask, tell = b"\x02SALE|%d\x03\x55", b"\x02RES|%d|00\x03\x66"
    talks: list[Said] = [
        (b"\x05", b"\x06"),
        (ask % 1, b"\x06" + tell % 1),
        (b"\x06" + ask % 22, b"\x15"),
        (b"\x06\x04", b""),
    ]
    best = propose(tapes(one=talks, two=talks[:2]))[0]
    envelope = {"start": {"hex": "02"}, "end": {"hex": "03"}, "trailer": 1}
    singles = [{"fixed": 1, "starts": {"hex": start}} for start in ("04", "05", "06", "15")]
    assert best.framing == [{"envelope": envelope}, *singles]
    assert (best.requests, best.replies, best.aligned, best.one_each) == (8, 7, 1.0, False)


@pytest.mark.parametrize(
    ("talks", "one_each"),
    [
        ([(b"a\n", b"1\n"), (b"b\nc\n", b"2\n3\n")], True),
        ([(b"a\nb\n", b"1\n"), (b"c\n", b"2\n3\n")], True),
        ([(b"", b"hi\n"), (b"a\n", b"1\n"), (b"", b"news\n"), (b"b\n", b"2\n")], True),
        ([(b"a\n", b"1\n"), (b"b\n", b"2\n"), (b"c\n", b"")], True),
        ([(b"a\n", b"1\n2\n"), (b"b\n", b"3\n")], False),
        ([(b"a\nb\nc\n", b"1\n"), (b"d\n", b"2\n")], False),
    ],
)
def test_whether_each_request_has_one_reply_is_told(talks: list[Said], one_each: bool) -> None:
    assert propose(tapes(one=talks))[0].one_each is one_each


def test_the_directions_may_differ() -> None:
    runs = [(word + b"\n", u16(word * 2)) for word in (b"one", b"three", b"seventeen")]
    assert propose(tapes(t=runs))[0].framing == {
        "client": {"delimiter": "\n"},
        "server": {"length": {"width": 2}},
    }


@pytest.mark.parametrize(
    "recorded",
    [
        tapes(),
        tapes(t=[(b"", b"220 hi\r\n")]),
        tapes(t=[(b"a\n", b"1\n")]),
        tapes(t=[(b"GET a\n", b"1"), (b"GET b", b"22")]),
        tapes(t=[(b"\x9f\x03\xaa", b"\x00"), (b"\xff" * 7, b"\x17\x99")]),
    ],
)
def test_where_nothing_fits_nothing_is_proposed(recorded: list[Tape]) -> None:
    assert propose(recorded) == []


def test_a_frame_may_end_where_no_run_does() -> None:
    """The client spoke in the middle of a frame of the server."""
    recorded = tapes(t=[(b"a\n", b"12"), (b"b\n", b"3\n4\n"), (b"c\n", b"5\n")])
    best = propose(recorded)[0]
    assert best.framing == {"delimiter": "\n"}
    assert best.aligned < 1.0


# --- told again ---------------------------------------------------------------------------------------


class Lines:
    """A tap that knows of lines: pairs each of the client's with one of the server's."""

    def __init__(self) -> None:
        self._said = b""
        self._answered = b""
        self._told = 0
        self.ends: list[Side] = []

    def from_client(self, data: bytes, at: float) -> Sight:
        self._said += data
        return [Forward(data, Side.SERVER), *self._pairs(at)]

    def from_server(self, data: bytes, at: float) -> Sight:
        self._answered += data
        return [Forward(data, Side.CLIENT), *self._pairs(at)]

    def eof(self, side: Side, at: float) -> Sight:
        self.ends.append(side)
        return []

    def unreachable(self, why: str, at: float) -> Sight:
        return []

    def informed(self, context: Any) -> Sight:
        return []

    def _pairs(self, at: float) -> list[Seen]:
        made: list[Seen] = []
        while b"\n" in self._said and b"\n" in self._answered:
            asked, _, self._said = self._said.partition(b"\n")
            answer, _, self._answered = self._answered.partition(b"\n")
            self._told += 1
            made.append(Exchange(self._told, asked, answer, Timing(at, 0.0)))
        return made


def test_a_tape_is_told_again_by_who_knows_its_messages() -> None:
    (tape,) = tapes(
        t=[
            (b"a\nb\n", b"1\n2"),
            (b"c\n", b"2\n", {"thought": 2.0}),
            (b"", b"3\n", {"after": 0.5, "then": "close"}),
        ]
    )
    tap = Lines()
    made = retold(tape, tap)
    assert [(one.request, one.reply, one.timing.at) for one in made if isinstance(one, Exchange)] == [
        (b"a", b"1", 0.0),
        (b"b", b"22", 2.0),
        (b"c", b"3", 2.5),
    ]
    assert tap.ends == [Side.SERVER, Side.CLIENT]


def test_a_tape_becomes_routes_of_frames(tmp_path: Path) -> None:
    """All the way: a framing is proposed, and the tape told again by the tap that it gives."""
    recorded = tapes(t=[(b"GET a\nGET bb\n", b"1\n2"), (b"QUIT\n", b"2\nbye\n", {"then": "close"})])
    options = msgspec.convert({"framing": propose(recorded)[0].framing}, plugin.Options)
    schema = plugin.schema(options, SchemaFolder(tmp_path, ()))  # type: ignore[attr-defined]
    known = Context(options, Noise(), token, schema=schema)
    tap = plugin.tap(known, Upstream("tcp://h:1", "h:1"))
    told = [
        plugin.dump(one.request, one.reply, known)
        for one in retold(recorded[0], tap)
        if isinstance(one, Exchange)
    ]
    assert [(one.request, one.respond) for one in told] == [
        ({"text": "GET a"}, {"text": "1"}),
        ({"text": "GET bb"}, {"text": "22"}),
        ({"text": "QUIT"}, {"text": "bye", "then": "close"}),
    ]


def test_an_end_is_told_where_it_was() -> None:
    (tape,) = tapes(t=[(b"a\n", b"1\n", {"ends": True})])
    tap = Lines()
    retold(tape, tap)
    assert tap.ends == [Side.CLIENT, Side.SERVER]


def test_exchanges_are_sorted_into_tapes() -> None:
    mixed = [
        (TapeRequest("b", 2), TapeReply(b"2")),
        (TapeRequest("a", 1), TapeReply(b"x")),
        (TapeRequest("b", 1), TapeReply(b"1")),
    ]
    assert [[reply.said for _, reply in tape] for tape in tapes_of(mixed)] == [[b"1", b"2"], [b"x"]]
