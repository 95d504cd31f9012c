"""The geometric types: float8 after float8, and the brackets that tell them apart.

point (x,y)   lseg [(x,y),(x,y)]   box (high),(low)   line {A,B,C}   circle <(x,y),r>
path ((x,y),...) closed or [(x,y),...] open   polygon ((x,y),...)
"""

import struct
from collections.abc import Callable, Sequence

from svcmock_protocols.postgres.types.codec import Codec, codec
from svcmock_protocols.postgres.types.floats import float8_text, number

_NO_BRACKETS = str.maketrans("", "", "()[]{}<> \t\n\r\v\f")
_COUNT = struct.Struct(">i")
_PATH_HEAD = struct.Struct(">Bi")
_POINT_SIZE = 16


def _numbers(text: str) -> list[float]:
    return [number(part) for part in text.translate(_NO_BRACKETS).split(",")]


def _points(values: Sequence[float]) -> str:
    shown = [float8_text(value) for value in values]
    return ",".join([f"({x},{y})" for x, y in zip(shown[::2], shown[1::2], strict=True)])


def _fixed(count: int, show: Callable[[Sequence[float]], str]) -> Codec:
    """A type of so many numbers."""
    form = struct.Struct(f">{count}d")

    def to_text(data: bytes) -> str:
        return show(form.unpack(data))

    def to_binary(text: str) -> bytes:
        return form.pack(*_numbers(text))

    return codec(to_text, to_binary)


def _segment(values: Sequence[float]) -> str:
    return f"[{_points(values)}]"


def _line(values: Sequence[float]) -> str:
    return f"{{{','.join(map(float8_text, values))}}}"


def _circle(values: Sequence[float]) -> str:
    x, y, radius = map(float8_text, values)
    return f"<({x},{y}),{radius}>"


_BOX = struct.Struct(">4d")


def _box_from(data: bytes) -> str:
    return _points(_BOX.unpack(data))


def _box_to(text: str) -> bytes:
    """Any two opposite corners will do: the upper right one is sent first."""
    x, y, other_x, other_y = _numbers(text)
    return _BOX.pack(max(x, other_x), max(y, other_y), min(x, other_x), min(y, other_y))


def _many(data: bytes, start: int, count: int) -> str:
    if count < 0 or len(data) != start + count * _POINT_SIZE:
        raise ValueError(f"{count} points are announced, {len(data) - start} bytes are here")
    return _points(struct.unpack_from(f">{2 * count}d", data, start))


def _packed(values: Sequence[float]) -> bytes:
    if len(values) % 2:
        raise ValueError("half a point")
    return struct.pack(f">{len(values)}d", *values)


def _path_from(data: bytes) -> str:
    closed, count = _PATH_HEAD.unpack_from(data)
    points = _many(data, _PATH_HEAD.size, count)
    return f"({points})" if closed else f"[{points}]"


def _path_to(text: str) -> bytes:
    values = _numbers(text)
    closed = not text.lstrip().startswith("[")
    return _PATH_HEAD.pack(closed, len(values) // 2) + _packed(values)


def _polygon_from(data: bytes) -> str:
    (count,) = _COUNT.unpack_from(data)
    return f"({_many(data, _COUNT.size, count)})"


def _polygon_to(text: str) -> bytes:
    values = _numbers(text)
    return _COUNT.pack(len(values) // 2) + _packed(values)


POINT: Codec = _fixed(2, _points)
LSEG: Codec = _fixed(4, _segment)
LINE: Codec = _fixed(3, _line)
CIRCLE: Codec = _fixed(3, _circle)
BOX: Codec = codec(_box_from, _box_to)
PATH: Codec = codec(_path_from, _path_to)
POLYGON: Codec = codec(_polygon_from, _polygon_to)
