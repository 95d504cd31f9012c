"""Frames as literal bytes: how they are written, how they are read, and where their limits are."""

import pytest

from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.frames import ConnectionFault, Frame

PING = b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"


# --- reading ------------------------------------------------------------------------------------------


def test_a_frame_is_read_where_it_begins() -> None:
    data = b"xx" + PING + b"\x00\x00\x00\x00\x01\x00\x00\x00\x03"
    assert frames.read(data, 2) == (Frame(frames.PING, 0, 0, b"12345678"), 19)
    assert frames.read(bytearray(data), 19) == (Frame(frames.DATA, frames.END_STREAM, 3, b""), 28)
    assert frames.read(data, 28) is None


def test_a_frame_is_read_when_it_is_whole() -> None:
    assert [size for size in range(len(PING) + 1) if frames.read(PING[:size], 0)] == [len(PING)]


def test_the_reserved_bit_of_a_stream_is_no_part_of_its_number() -> None:
    read = frames.read(b"\x00\x00\x00\x00\x00\xff\xff\xff\xff", 0)
    assert read is not None
    assert read[0].stream == 2**31 - 1


def test_a_frame_that_is_too_large_is_known_by_its_header() -> None:
    assert frames.read(b"\x00\x40\x00\x00\x00\x00\x00\x00\x01", 0) is None
    assert frames.read(b"\x00\x00\x05\x00\x00\x00\x00\x00\x01", 0, 5) is None
    with pytest.raises(ConnectionFault, match="16385 bytes, at most 16384") as caught:
        frames.read(b"\x00\x40\x01\x00\x00\x00\x00\x00\x01", 0)
    assert caught.value.code == frames.FRAME_SIZE_ERROR
    with pytest.raises(ConnectionFault):
        frames.read(b"\x00\x00\x06\x00\x00\x00\x00\x00\x01", 0, 5)
    with pytest.raises(ConnectionFault, match="a frame of 16777215 bytes"):
        frames.read(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", 0)


# --- writing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (frames.frame(frames.PING, 0, 0, b"12345678"), PING),
        (frames.frame(9, 4, 2**31 - 1), b"\x00\x00\x00\x09\x04\x7f\xff\xff\xff"),
        (frames.head(frames.DATA, 1, 5, 0x123456), b"\x12\x34\x56\x00\x01\x00\x00\x00\x05"),
        (frames.SETTINGS_ACK, b"\x00\x00\x00\x04\x01\x00\x00\x00\x00"),
        (frames.rst_stream(3, frames.CANCEL), b"\x00\x00\x04\x03\x00\x00\x00\x00\x03\x00\x00\x00\x08"),
        (frames.window_update(3, 0x10203), b"\x00\x00\x04\x08\x00\x00\x00\x00\x03\x00\x01\x02\x03"),
        (frames.goaway(7, 11, "no"), b"\x00\x00\x0a\x07\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x0bno"),
        (
            frames.settings({4: 65535, 0xFE03: 1}),
            b"\x00\x00\x0c\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\xff\xff\xfe\x03\x00\x00\x00\x01",
        ),
    ],
)
def test_frames_as_bytes(made: bytes, wanted: bytes) -> None:
    assert made == wanted


def test_what_a_goaway_says_is_cut() -> None:
    assert frames.goaway(1, 0, "é" * 200)[17:] == ("é" * 128).encode()


def test_a_block_is_cut_into_the_frames_that_it_needs() -> None:
    def cut(size: int, *, ends: bool = False) -> bytes:
        return frames.header_block(1, b"abcdefg"[:size], ends=ends, most=3)

    assert cut(0) == b"\0\0\0\1\4\0\0\0\1"
    assert cut(3, ends=True) == b"\0\0\3\1\5\0\0\0\1abc"
    assert cut(4, ends=True) == b"\0\0\3\1\1\0\0\0\1abc\0\0\1\x09\4\0\0\0\1d"
    assert cut(6) == b"\0\0\3\1\0\0\0\0\1abc\0\0\3\x09\4\0\0\0\1def"
    assert cut(7) == b"\0\0\3\1\0\0\0\0\1abc\0\0\3\x09\0\0\0\0\1def\0\0\1\x09\4\0\0\0\1g"
    assert len(frames.header_block(1, bytes(16384), ends=False)) == 9 + 16384
    assert len(frames.header_block(1, bytes(16385), ends=False)) == 2 * 9 + 16385


# --- settings -----------------------------------------------------------------------------------------


def test_settings_keep_their_order_and_what_nobody_knows() -> None:
    payload = b"\x00\x04\x00\x00\x00\x01\xab\xcd\xff\xff\xff\xff\x00\x04\x00\x00\x00\x02"
    assert frames.read_settings(payload) == [(4, 1), (0xABCD, 2**32 - 1), (4, 2)]
    assert frames.pack_settings([(4, 1), (0xABCD, 2**32 - 1), (4, 2)]) == payload
    assert frames.read_settings(b"") == []


@pytest.mark.parametrize(
    ("name", "good", "bad", "code"),
    [
        (frames.ENABLE_PUSH, (0, 1), (2,), frames.PROTOCOL_ERROR),
        (frames.INITIAL_WINDOW_SIZE, (0, 2**31 - 1), (2**31,), frames.FLOW_CONTROL_ERROR),
        (frames.MAX_FRAME_SIZE, (16384, 2**24 - 1), (16383, 2**24), frames.PROTOCOL_ERROR),
    ],
)
def test_settings_have_limits(name: int, good: tuple[int, ...], bad: tuple[int, ...], code: int) -> None:
    for value in good:
        assert frames.read_settings(frames.pack_settings([(name, value)])) == [(name, value)]
    for value in bad:
        with pytest.raises(ConnectionFault, match=str(value)) as caught:
            frames.read_settings(frames.pack_settings([(name, value)]))
        assert caught.value.code == code


@pytest.mark.parametrize("size", [1, 5, 7])
def test_settings_have_six_bytes_each(size: int) -> None:
    with pytest.raises(ConnectionFault) as caught:
        frames.read_settings(bytes(size))
    assert caught.value.code == frames.FRAME_SIZE_ERROR


@pytest.mark.parametrize(
    "first", [frames.settings({}), frames.settings({3: 100, 4: 1}), b"\0\xff\xff\4" + bytes(5)]
)
def test_what_a_server_says_first_however_little_is_there(first: bytes) -> None:
    assert all(frames.may_be_settings(first[:size]) for size in range(len(first) + 1))
    assert frames.may_be_settings(bytearray(first))


@pytest.mark.parametrize(
    "other",
    [b"HTTP/1.1 200 OK", b"\1\0\0\4", frames.SETTINGS_ACK, PING, b"\0\0\0\4\0\0\0\0\1", b"\0\0\0\4\0\x80"],
)
def test_what_no_server_says_first(other: bytes) -> None:
    assert not frames.may_be_settings(other)


# --- padding ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "flags", "payload", "bare"),
    [
        (frames.DATA, 0, b"ab", b"ab"),
        (frames.DATA, frames.PADDED, b"\0ab", b"ab"),
        (frames.DATA, frames.PADDED, b"\2ab\0\0", b"ab"),
        (frames.DATA, frames.PADDED, b"\2\0\0", b""),
        (frames.DATA, frames.PRIORITIZED, b"abcdefg", b"abcdefg"),
        (frames.HEADERS, frames.PRIORITIZED, b"\0\0\0\3\x0fab", b"ab"),
        (frames.HEADERS, frames.PRIORITIZED | frames.PADDED, b"\1\0\0\0\3\x0fab\0", b"ab"),
        (frames.HEADERS, frames.PRIORITIZED, b"\0\0\0\3\x0f", b""),
    ],
)
def test_padding_and_priority_are_taken_off(kind: int, flags: int, payload: bytes, bare: bytes) -> None:
    assert frames.unpadded(Frame(kind, flags, 1, payload)) == bare


@pytest.mark.parametrize(
    ("kind", "flags", "payload", "code"),
    [
        (frames.DATA, frames.PADDED, b"", frames.FRAME_SIZE_ERROR),
        (frames.DATA, frames.PADDED, b"\1", frames.PROTOCOL_ERROR),
        (frames.DATA, frames.PADDED, b"\3ab", frames.PROTOCOL_ERROR),
        (frames.HEADERS, frames.PRIORITIZED, bytes(4), frames.FRAME_SIZE_ERROR),
        (frames.HEADERS, frames.PRIORITIZED | frames.PADDED, bytes(5), frames.FRAME_SIZE_ERROR),
        (frames.HEADERS, frames.PRIORITIZED | frames.PADDED, b"\1" + bytes(5), frames.PROTOCOL_ERROR),
    ],
)
def test_padding_that_cannot_be(kind: int, flags: int, payload: bytes, code: int) -> None:
    with pytest.raises(ConnectionFault) as caught:
        frames.unpadded(Frame(kind, flags, 1, payload))
    assert caught.value.code == code


# --- errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0, "NO_ERROR"),
        (7, "REFUSED_STREAM"),
        (13, "HTTP_1_1_REQUIRED"),
        (14, "error 14"),
        (2**32 - 1, "error 4294967295"),
    ],
)
def test_the_names_of_errors(code: int, name: str) -> None:
    assert frames.error_name(code) == name


def test_every_error_code_has_its_name() -> None:
    assert [getattr(frames, name) for name in frames.ERRORS] == list(range(14))
