"""Framings that a stream of bytes could have: delimiters, envelopes, and lengths wherever one may be.

Each is written as `framing:` has it in svcmock.yaml, and tried as it would be used there. How long the header
is that a length does not count is not guessed: it is what is left over in the shortest run, taken for one
frame.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

OFFSETS: Final = range(9)
WIDTHS: Final = (4, 2, 3, 1)
DIGITS: Final = (4, 6, 5, 8, 3, 2)
MAX_HEADER: Final = 64
"""Bytes that a length may leave out, or count twice."""

_DELIMITERS: Final = ("\r\n.\r\n", "\r\n\r\n", "\r\n", "\n", "\0", "\r", ";", "\3")
_ENVELOPES: Final = (("0b", "1c0d"), ("02", "03"), ("7e", "7e"))
"""MLLP; STX and ETX; HDLC."""
_CONTROLS: Final = ("04", "05", "06", "15")
"""EOT, ENQ, ACK and NAK, each a frame, between messages of STX and ETX; payment terminals and laboratories."""
_CHECKS: Final = (0, 1, 2, 4)
"""Bytes of a checksum behind such a message."""


def candidates(runs: Sequence[bytes]) -> Iterator[tuple[Any, float]]:
    """What could frame these, with how telling it is: the more bytes a mark has, the less likely by chance."""
    runs = sorted((run for run in runs if run), key=len)
    if not runs:
        return
    for delimiter in _DELIMITERS:
        # not all: who speaks before the other has ended cuts a run short
        if 2 * sum(run.endswith(delimiter.encode()) for run in runs) >= len(runs):
            yield {"delimiter": delimiter}, 2.0 + len(delimiter)
    for start, end in _ENVELOPES:
        if all(run.startswith(bytes.fromhex(start)) and run.endswith(bytes.fromhex(end)) for run in runs):
            yield {"envelope": {"start": {"hex": start}, "end": {"hex": end}}}, 6.0 + len(end)
    yield from _controlled(runs)
    yield from _binary(runs)
    yield from _digits(runs)
    yield {"length": {"encoding": "varint"}}, 2.0


def _controlled(runs: Sequence[bytes]) -> Iterator[tuple[Any, float]]:
    """Messages and single bytes between them."""
    opening = {bytes.fromhex(start) for start in (*_CONTROLS, "02")}
    if not all(run[:1] in opening for run in runs):
        return
    singles = [{"fixed": 1, "starts": {"hex": start}} for start in _CONTROLS]
    for size in _CHECKS:
        envelope = {"start": {"hex": "02"}, "end": {"hex": "03"}, **({"trailer": size} if size else {})}
        yield [{"envelope": envelope}, *singles], 8.0


def _binary(runs: Sequence[bytes]) -> Iterator[tuple[Any, float]]:
    for offset in OFFSETS:
        for width in WIDTHS:
            orders = ("big", "little") if width > 1 else ("big",)
            for endian in orders:
                # a narrow length is part of a wider one; an early one is the usual one
                weight = 2.0 + width - offset / 4 + (endian == "big") / 8
                for rest in _left(runs, offset, width, endian):
                    yield {"length": _length(offset, width, rest, endian=endian)}, weight


def _left(runs: Sequence[bytes], offset: int, width: int, endian: Any) -> Iterator[int]:
    """What must be added to the length for the shortest runs to be one frame each."""
    found = []
    for run in runs[:2]:
        if len(run) < offset + width:
            return
        value = int.from_bytes(run[offset : offset + width], endian)
        found.append(len(run) - offset - width - value)
    yield from sorted({rest for rest in found if abs(rest) <= MAX_HEADER}, key=abs)


def _digits(runs: Sequence[bytes]) -> Iterator[tuple[Any, float]]:
    for encoding, base in (("ascii", 10), ("hex", 16)):
        for offset in OFFSETS:
            for width in DIGITS:
                digits = runs[0][offset : offset + width]
                if len(digits) < width or not digits.isalnum():
                    continue
                try:
                    value = int(digits, base)
                except ValueError:
                    continue
                rest = len(runs[0]) - offset - width - value
                if abs(rest) <= MAX_HEADER:
                    weight = 3.0 + width - offset / 4 + (base == 10) / 8
                    yield {"length": _length(offset, width, rest, encoding=encoding)}, weight


def _length(offset: int, width: int, rest: int, **more: str) -> dict[str, Any]:
    """`length:` with what is no default; one that counts all of its frame says so."""
    doc: dict[str, Any] = {"offset": offset, "width": width, **more}
    if rest == -(offset + width):
        doc["counts"] = "frame"
    elif rest:
        doc["adjust"] = rest
    if not offset:
        del doc["offset"]
    if doc.get("endian") == "big":
        del doc["endian"]
    return doc
