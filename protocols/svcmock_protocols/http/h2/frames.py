"""HTTP/2 frames: numbers, names and bytes (RFC 9113 sections 4 and 6). Sans I/O.

Decides how a frame is written and how its header is read. What a frame means, and which are errors where, is
decided by those who read them: the serving session and the recording tap.
"""

import struct
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from svcmock.protocol import ProtocolError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client's connection starts with (RFC 9113 section 3.4)."""
HEADER: Final = 9
"""Bytes of a frame's header."""
MAX_FRAME: Final = 16384
"""Payload that every peer takes, and the most that we take: SETTINGS_MAX_FRAME_SIZE as it is at first."""
MAX_WINDOW: Final = (1 << 31) - 1
FIRST_WINDOW: Final = 65535
"""Every flow-control window, until SETTINGS or WINDOW_UPDATE change it (section 6.9.2)."""

# frame types
DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

# flags
END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITIZED: Final = 0x20

# settings
HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6
GRPC_TRUE_BINARY: Final = 0xFE03
"""By which gRPC's core agrees with itself to send `-bin` values as they are, and not as base64."""

# error codes (section 7)
NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
INTERNAL_ERROR: Final = 2
FLOW_CONTROL_ERROR: Final = 3
SETTINGS_TIMEOUT: Final = 4
STREAM_CLOSED: Final = 5
FRAME_SIZE_ERROR: Final = 6
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
COMPRESSION_ERROR: Final = 9
CONNECT_ERROR: Final = 10
ENHANCE_YOUR_CALM: Final = 11
INADEQUATE_SECURITY: Final = 12
HTTP_1_1_REQUIRED: Final = 13

ERRORS: Final = (
    *("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT"),
    *("STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR"),
    *("CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"),
)
"""The registered error codes by number."""


def error_name(code: int) -> str:
    """An error code in words."""
    return ERRORS[code] if code < len(ERRORS) else f"error {code}"


_HEADER = struct.Struct(">HBBBI")
_SETTING = struct.Struct(">HI")
_U32 = struct.Struct(">I")


class ConnectionFault(ProtocolError):
    """A peer's fault that ends the connection (section 5.4.1). `code` is an error code, `why` for people."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class StreamFault(ProtocolError):
    """A peer's fault that ends one stream (section 5.4.2)."""

    def __init__(self, stream: int, code: int, why: str) -> None:
        super().__init__(why)
        self.stream = stream
        self.code = code
        self.why = why


class Frame(Struct, frozen=True):
    """A frame as it came. `payload` has its padding and priority still in it."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def read(data: bytes | bytearray, at: int, most: int = MAX_FRAME) -> tuple[Frame, int] | None:
    """The frame at `at`, and where the next one begins; None while it is incomplete.

    Raises ConnectionFault for one that is larger than `most`, as soon as its header is there.
    """
    if len(data) - at < HEADER:
        return None
    high, low, kind, flags, stream = _HEADER.unpack_from(data, at)
    size = high << 8 | low
    if size > most:
        raise ConnectionFault(FRAME_SIZE_ERROR, f"a frame of {size} bytes, at most {most} are taken")
    end = at + HEADER + size
    if len(data) < end:
        return None
    return Frame(kind, flags, stream & MAX_WINDOW, bytes(data[at + HEADER : end])), end


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame as bytes."""
    size = len(payload)
    return _HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def head(kind: int, flags: int, stream: int, size: int) -> bytes:
    """The header of a frame whose payload, of `size` bytes, is written apart."""
    return _HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream)


def header_block(stream: int, block: bytes, *, ends: bool, most: int = MAX_FRAME) -> bytes:
    """A HEADERS frame, and as many CONTINUATION frames as the block needs."""
    flags = END_STREAM if ends else 0
    if len(block) <= most:
        return frame(HEADERS, flags | END_HEADERS, stream, block)
    pieces = [block[at : at + most] for at in range(0, len(block), most)]
    made = [frame(HEADERS, flags, stream, pieces[0])]
    made += [frame(CONTINUATION, 0, stream, piece) for piece in pieces[1:-1]]
    made.append(frame(CONTINUATION, END_HEADERS, stream, pieces[-1]))
    return b"".join(made)


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, pack_settings(values.items()))


def pack_settings(pairs: Iterable[tuple[int, int]]) -> bytes:
    """The payload of a SETTINGS frame."""
    return b"".join([_SETTING.pack(name, value) for name, value in pairs])


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """The settings of a frame in their order. Raises ConnectionFault (section 6.5.2)."""
    if len(payload) % 6:
        raise ConnectionFault(FRAME_SIZE_ERROR, "SETTINGS whose size is no multiple of 6")
    found = list(_SETTING.iter_unpack(payload))
    for name, value in found:
        if name == ENABLE_PUSH and value > 1:
            raise ConnectionFault(PROTOCOL_ERROR, f"SETTINGS_ENABLE_PUSH is {value}")
        if name == INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise ConnectionFault(FLOW_CONTROL_ERROR, f"SETTINGS_INITIAL_WINDOW_SIZE is {value}")
        if name == MAX_FRAME_SIZE and not MAX_FRAME <= value < 1 << 24:
            raise ConnectionFault(PROTOCOL_ERROR, f"SETTINGS_MAX_FRAME_SIZE is {value}")
    return found


def may_be_settings(data: bytes | bytearray) -> bool:
    """Whether these bytes, however few, could be the beginning of what an HTTP/2 server says first.

    That is a SETTINGS frame, no acknowledgement, of less than 65536 bytes (section 3.4).
    """
    return data[:1] in (b"", b"\0") and _FIRST_SETTINGS.startswith(bytes(data[3:HEADER]))


_FIRST_SETTINGS: Final = b"\x04\x00\x00\x00\x00\x00"
"""Kind, flags and stream of a SETTINGS frame."""

SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0)


def rst_stream(stream: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream, _U32.pack(code))


def goaway(last: int, code: int, why: str = "") -> bytes:
    """A GOAWAY frame; `why` becomes its debug data."""
    return frame(GOAWAY, 0, 0, _U32.pack(last) + _U32.pack(code) + why.encode()[:256])


def window_update(stream: int, more: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, _U32.pack(more))


def unpadded(got: Frame) -> bytes:
    """The payload of DATA or HEADERS without its padding and priority. Raises ConnectionFault.

    A frame too short for what its flags promise is FRAME_SIZE_ERROR, padding as long as the rest
    PROTOCOL_ERROR (sections 6.1 and 6.2).
    """
    payload, flags = got.payload, got.flags
    start = 1 if flags & PADDED else 0
    start += 5 if got.kind == HEADERS and flags & PRIORITIZED else 0
    if len(payload) < start:
        raise ConnectionFault(FRAME_SIZE_ERROR, "a frame too short for its own flags")
    if not flags & PADDED:
        return payload[start:] if start else payload
    end = len(payload) - payload[0]
    if end < start:
        raise ConnectionFault(PROTOCOL_ERROR, "padding longer than its frame")
    return payload[start:end]
