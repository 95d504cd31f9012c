"""A streamed body as a person writes it: durations, chunk sizes, and pieces that show their data.

Two forms. `chunks` gives sizes only: `[1024, 8192 x 4, 13 after 20ms]` is six pieces, the last of them 20 ms
after the one before it (`on 2`: see `Chunk.on`). `stream` gives the data too: `["data: 1\\n\\n", {after: 20ms,
data: "data: 2\\n\\n"}]`. In `stream`, `json:` is compact JSON and a line feed, which makes JSON Lines.
"""

import math
import re
from typing import Any

from svcmock.payload import readable
from svcmock.protocol import Blob, Doc, Files, Invalid
from svcmock_protocols.http.jsontext import show, write
from svcmock_protocols.http.lines import file_bytes
from svcmock_protocols.http.messages import Chunk

MAX_CHUNKS = 1_000_000
"""Pieces of one body."""
MAX_SIZE = 1 << 40
"""Bytes of one piece."""
MAX_GAP = 24 * 3600.0
"""Seconds between two pieces."""
MAX_SHOWN = 64
"""A body in more pieces than this is not written as `stream`."""

_DURATION = re.compile(r"(\d{1,15}(?:\.\d{1,20})?(?:e-?\d{1,3})?)(us|ms|s|m|h)?")
_SCALE = {"us": "e-6", "ms": "e-3", "s": "", "": ""}
_RUN = re.compile(r"(\d{1,13})(?: x (\d{1,7}))?(?: after (\S{1,40}))?(?: on (\d{1,7}))?")


def duration(doc: Doc, *at: str | int) -> float:
    """Seconds, from `20ms`, `1.5s`, `2m` or a number of seconds. Raises Invalid."""
    if isinstance(doc, int | float) and not isinstance(doc, bool):
        value = float(doc) if abs(doc) <= MAX_GAP else math.inf
    else:
        match = _DURATION.fullmatch(doc) if isinstance(doc, str) else None
        if match is None:
            raise Invalid(at, f"expected a duration such as 20ms or 1.5s, got {doc!r}")
        value = _seconds(match[1], match[2] or "")
    if not 0 <= value <= MAX_GAP:
        raise Invalid(at, "expected a duration between 0 and 24h")
    return value


def _seconds(number: str, unit: str) -> float:
    if unit in {"m", "h"}:
        return float(number) * (60 if unit == "m" else 3600)
    if "e" in number:
        return float(number) * float("1" + _SCALE[unit])
    return float(number + _SCALE[unit])


def show_duration(seconds: float) -> str:
    """The shortest text that `duration` reads as exactly these seconds."""
    unit, scale = ("s", 1.0) if seconds >= 1 else ("ms", 1000.0)
    for digits in (0, 1, 2, 3):
        text = f"{seconds * scale:.{digits}f}"
        if float(text + _SCALE[unit]) == seconds:
            return text + unit
    return f"{seconds!r}s"


def show_chunks(chunks: tuple[Chunk, ...]) -> list[Doc]:
    """Sizes and gaps, three or more equal ones in a row taken together."""
    shown: list[Doc] = []
    at = 0
    while at < len(chunks):
        end = at + 1
        while end < len(chunks) and chunks[end] == chunks[at]:
            end += 1
        run = 1 if end - at < 3 else end - at
        shown.append(_show_run(chunks[at], run))
        at += run
    return shown


def _show_run(chunk: Chunk, count: int) -> Doc:
    if count == 1 and not chunk.after and chunk.on < 0:
        return chunk.size
    times = f" x {count}" if count > 1 else ""
    gap = f" after {show_duration(chunk.after)}" if chunk.after else ""
    part = f" on {chunk.on}" if chunk.on >= 0 else ""
    return f"{chunk.size}{times}{gap}{part}"


def chunks(doc: Doc, *at: str | int) -> tuple[Chunk, ...]:
    """The pieces that `chunks` describes. Raises Invalid."""
    if not isinstance(doc, list):
        raise Invalid(at, "expected a list of sizes, such as [1024, 8192 x 4, 13 after 20ms]")
    made: list[Chunk] = []
    for i, item in enumerate(doc):
        chunk, count = _run(item, (*at, i))
        if len(made) + count > MAX_CHUNKS:
            raise Invalid((*at, i), f"more than {MAX_CHUNKS} pieces")
        made.extend([chunk] * count)
    return tuple(made)


def _run(item: Doc, at: tuple[Any, ...]) -> tuple[Chunk, int]:
    match = _RUN.fullmatch(str(item)) if isinstance(item, int | str) and not isinstance(item, bool) else None
    if match is None:
        raise Invalid(at, f"expected a size such as 1024, `8192 x 4` or `13 after 20ms`, got {item!r}")
    size, count = int(match[1]), int(match[2] or 1)
    if not 0 < size <= MAX_SIZE or not count:
        raise Invalid(at, "expected a size and a count of at least 1")
    return Chunk(size, duration(match[3], *at) if match[3] else 0.0, int(match[4] or -1)), count


def show_stream(body: bytes, chunks: tuple[Chunk, ...], *, lines: bool) -> list[Doc] | None:
    """The pieces with their data; None unless each of them is printable text. `lines`: try JSON Lines."""
    if len(chunks) > MAX_SHOWN or sum(chunk.size for chunk in chunks) != len(body):
        return None
    shown: list[Doc] = []
    at = 0
    for chunk in chunks:
        piece = _show_piece(body[at : at + chunk.size], lines=lines)
        at += chunk.size
        if piece is None:
            return None
        if chunk.after:
            piece = {"after": show_duration(chunk.after), **piece}
        shown.append(piece["data"] if piece.keys() == {"data"} else piece)
    return shown


def _show_piece(data: bytes, *, lines: bool) -> dict[str, Doc] | None:
    if lines and data.endswith(b"\n") and (found := show(data[:-1])) and not found[1]:
        return {"json": found[0]}
    text = readable(data)
    return None if text is None else {"data": text}


def stream(doc: Doc, files: Files, *at: str | int) -> tuple[bytes, tuple[Chunk, ...]]:
    """The body and the pieces that `stream` describes. Raises Invalid."""
    if not isinstance(doc, list):
        raise Invalid(at, "expected a list of pieces, such as {after: 20ms, data: text}")
    if len(doc) > MAX_CHUNKS:
        raise Invalid(at, f"more than {MAX_CHUNKS} pieces")
    made: list[Chunk] = []
    bodies: list[bytes] = []
    for i, item in enumerate(doc):
        piece = dict(item) if isinstance(item, dict) else {"data": item}
        after = duration(piece.pop("after"), *at, i, "after") if "after" in piece else 0.0
        data = _piece(piece, files, (*at, i))
        if not data:
            raise Invalid((*at, i), "a piece of a stream cannot be empty")
        made.append(Chunk(len(data), after))
        bodies.append(data)
    return b"".join(bodies), tuple(made)


def _piece(piece: dict[str, Doc], files: Files, at: tuple[Any, ...]) -> bytes:
    if piece.keys() == {"json"}:
        return json_bytes(piece["json"], "newline", (*at, "json"))
    if piece.keys() == {"data"}:
        data = file_bytes(piece["data"], files, *at, "data")
    else:
        data = file_bytes(piece, files, *at)
    return files.read(data) if isinstance(data, Blob) else data


def json_bytes(value: Doc, layout: str, at: tuple[Any, ...]) -> bytes:
    """`value` as JSON text. Raises Invalid."""
    try:
        return write(value, layout)
    except (ValueError, TypeError, RecursionError) as error:
        raise Invalid(at, f"cannot be JSON: {error}") from None
