"""What a client is told that there is no upstream for, as bytes."""

import pytest

from svcmock_protocols.http.exchanges import Asked
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.absent import Absent
from svcmock_protocols.http.h2.frames import ConnectionFault, Frame
from svcmock_protocols.http.messages import Options, Request
from svcmock_protocols.http.watched import request_body
from tests.protocols.http.h2.taps import Heard

TEXT = "svcmock: up:8000 cannot be reached: refused\n"
SIZE = len(TEXT)
PLAIN = (b"content-type", b"text/plain; charset=utf-8")
END_STREAM, RST_STREAM = b"\0\0\0\1", b"\0\0\4\3\0"


def asked(method: bytes = b"GET", *, grpc: bool = False, whole: bool = True) -> Asked:
    request = Request(method, b"/a", b"2")
    made = Asked(1, request, 1.0, b"me", request_body(1, request, Options(), bytes), grpc=grpc)
    made.asked = whole
    return made


def refused(absent: Absent, one: Asked | None = None) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The fields of an answer, and its body."""
    heard = Heard(absent.refuse(1, one or asked()))
    ((stream, fields),) = heard.heads
    assert stream == 1
    assert [one.stream_id for one in heard.frames] == [1] * len(heard.frames)
    assert ["END_STREAM" in one.flags for one in heard.frames] == [False] * (len(heard.frames) - 1) + [True]
    return fields, b"".join(one.data for one in heard.frames[1:])


def window(more: int, stream: int = 0) -> Frame:
    return Frame(frames.WINDOW_UPDATE, 0, stream, more.to_bytes(4))


def each(size: int) -> Frame:
    return Frame(frames.SETTINGS, 0, 0, b"\0\4" + size.to_bytes(4))


# --- the connection -----------------------------------------------------------------------------------


def test_its_settings_come_first_and_say_nothing_special() -> None:
    assert Absent(TEXT).opened() == b"\0\0\0\x04\0\0\0\0\0"


@pytest.mark.parametrize(
    ("got", "said"),
    [
        (Frame(frames.SETTINGS, 0, 0, b""), b"\0\0\0\x04\1\0\0\0\0"),
        (Frame(frames.SETTINGS, 0, 0, b"\0\3\0\0\0\1"), b"\0\0\0\x04\1\0\0\0\0"),
        (Frame(frames.SETTINGS, frames.ACK, 0, b""), b""),
        (Frame(frames.PING, 0, 0, b"12345678"), b"\0\0\x08\x06\1\0\0\0\0" + b"12345678"),
        (Frame(frames.PING, frames.ACK, 0, b"12345678"), b""),
        (Frame(frames.DATA, 0, 3, b"abc"), b"\0\0\4\x08\0\0\0\0\0" + b"\0\0\0\3"),
        (Frame(frames.DATA, frames.PADDED, 3, b"\2abc\0\0"), b"\0\0\4\x08\0\0\0\0\0" + b"\0\0\0\6"),
        (Frame(frames.DATA, frames.END_STREAM, 3, b""), b""),
        (window(5), b""),
        (Frame(frames.GOAWAY, 0, 0, bytes(8)), b""),
        (Frame(frames.RST_STREAM, 0, 1, bytes(4)), b""),
        (Frame(0xEE, 0xFF, 0, b"whatever"), b""),
    ],
)
def test_the_answer_to_each_frame(got: Frame, said: bytes) -> None:
    assert Absent(TEXT).received(got) == said


@pytest.mark.parametrize("payload", [b"12345", b"\0\4\x80\0\0\0"])
def test_settings_that_are_none(payload: bytes) -> None:
    with pytest.raises(ConnectionFault):
        Absent(TEXT).received(Frame(frames.SETTINGS, 0, 0, payload))


def test_the_goodbye() -> None:
    absent = Absent(TEXT)
    assert not absent.gone
    (gone,) = Heard(absent.goodbye(5)).frames
    assert absent.gone
    assert (gone.last_stream_id, gone.error_code, gone.additional_data) == (5, 0, TEXT.strip().encode())


# --- requests -----------------------------------------------------------------------------------------


def test_a_request_gets_a_502_with_the_text() -> None:
    fields, body = refused(Absent(TEXT))
    assert fields == [(b":status", b"502"), PLAIN, (b"content-length", b"%d" % SIZE)]
    assert body == TEXT.encode()


def test_a_head_request_gets_the_same_head_alone() -> None:
    absent = Absent(TEXT)
    absent.received(each(0))
    fields, body = refused(absent, asked(b"HEAD"))
    assert (fields, body) == ([(b":status", b"502"), PLAIN, (b"content-length", b"%d" % SIZE)], b"")


def test_a_call_gets_a_status_in_its_head() -> None:
    absent = Absent("50% é\n")
    absent.received(each(0))
    fields, body = refused(absent, asked(b"POST", grpc=True))
    assert body == b""
    assert fields == [
        (b":status", b"200"),
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"14"),
        (b"grpc-message", b"50%25 %C3%A9"),
    ]


@pytest.mark.parametrize("grpc", [True, False])
def test_a_request_that_is_not_complete_is_told_to_stop(grpc: bool) -> None:
    made = Absent(TEXT).refuse(7, asked(b"POST", grpc=grpc, whole=False))
    assert made.endswith(b"\0\0\4\3\0\0\0\0\7" + bytes(4))
    assert Absent(TEXT).refuse(7, asked(b"POST", grpc=grpc)) == made[:-13]


# --- room ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "is_told"), [(SIZE, True), (SIZE - 1, False), (0, False)])
def test_the_text_is_left_out_where_a_stream_has_no_room_for_it(size: int, is_told: bool) -> None:
    absent = Absent(TEXT)
    absent.received(each(size))
    fields, body = refused(absent)
    assert body == (TEXT.encode() if is_told else b"")
    assert is_told or fields == [(b":status", b"502"), (b"content-length", b"0")]


def test_all_requests_of_a_connection_share_its_room() -> None:
    absent = Absent("x" * 16_000)
    absent.received(each(1 << 20))
    assert [len(refused(absent)[1]) for _ in range(5)] == [16_000] * 4 + [0]
    absent.received(window(14_464))  # with the 1535 that are left, one byte too few
    absent.received(window(1 << 20, stream=1))
    assert refused(absent)[1] == b""
    absent.received(window(1))
    assert [len(refused(absent)[1]) for _ in range(2)] == [16_000, 0]


def test_an_answer_without_a_body_takes_no_room() -> None:
    absent = Absent("x" * 16_000)
    for one in (asked(b"HEAD"), asked(b"POST", grpc=True)):
        assert refused(absent, one)[1] == b""
    assert [len(refused(absent)[1]) for _ in range(5)] == [16_000] * 4 + [0]
