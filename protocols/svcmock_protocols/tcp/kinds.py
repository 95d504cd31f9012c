"""The kinds of framing: where the frame that begins at a place ends, and a frame of a payload.

Each is a value with two functions: `cut` finds an end, and `wrap` makes a frame. A frame whose bytes `wrap`
would not make again is kept with its bytes by whoever records it. Every length is checked before anything of
that length is waited for. `framing` makes these of `framing:` in the options.
"""

import re
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from svcmock_protocols.tcp.lengths import FrameError

MAX_HEADER = 1024
"""Bytes in which a regular expression must have found its header, and that tell which kind of a list fits."""

Buffer: TypeAlias = bytes | bytearray


class Cut(Struct, frozen=True, gc=False):
    """A frame that ends before `end`. `payload` is None where it is all of the frame."""

    end: int
    payload: bytes | None = None


class Framing(Protocol):
    """A kind of framing. `idle`: seconds of silence that end a frame; 0: silence means nothing."""

    @property
    def idle(self) -> float: ...

    def fits(self, buffer: Buffer, at: int) -> bool | None:
        """Whether a frame at this place could be one of these; None: more must be seen."""

    def cut(self, buffer: Buffer, at: int, *, scanned: int = 0, ended: bool = False) -> Cut | None:
        """The frame at this place; None: more must come. Raises FrameError.

        Up to `scanned` nothing was found before. `ended`: nothing more will come.
        """

    def wrap(self, payload: bytes) -> bytes:
        """A frame with this payload. Raises FrameError for one that cannot be framed so."""


class _Kind(Struct, frozen=True):
    """What all kinds have: the largest frame, and the bytes that it must begin with."""

    limit: int
    starts: bytes = b""

    @property
    def idle(self) -> float:
        return 0.0

    def fits(self, buffer: Buffer, at: int) -> bool | None:
        return _begins(buffer, at, self.starts)

    def check(self, size: int) -> None:
        """Raises FrameError for a frame that is too large, as soon as that is known."""
        if size > self.limit:
            raise FrameError(f"a frame of {size} bytes or more; `max_frame` is {self.limit}")


def _begins(buffer: Buffer, at: int, start: bytes) -> bool | None:
    if buffer.startswith(start, at):
        return True
    return None if start.startswith(bytes(buffer[at : at + len(start)])) else False


class Delimited(_Kind, frozen=True, kw_only=True):
    """Frames that end with a delimiter."""

    end: bytes
    keep: bool = False
    escape: bytes = b""
    line: bytes = b""
    """The line break, where lines that begin with a dot have another one before it."""

    def cut(self, buffer: Buffer, at: int, *, scanned: int = 0, ended: bool = False) -> Cut | None:  # noqa: ARG002
        found = buffer.find(self.end, max(at, scanned - len(self.end) + 1))
        while found >= 0 and self.escape and self._escaped(buffer, at, found):
            found = buffer.find(self.end, found + 1)
        if found < 0:
            self.check(len(buffer) - at)
            return None
        stop = found + len(self.end)
        self.check(stop - at)
        if self.keep:
            return Cut(stop)
        return Cut(stop, self._plain(bytes(buffer[at:found])))

    def wrap(self, payload: bytes) -> bytes:
        if self.keep:
            return payload
        if self.escape:
            payload = payload.replace(self.escape, self.escape * 2).replace(self.end, self.escape + self.end)
        elif self.line:
            payload = payload.replace(self.line + b".", self.line + b"..")
            payload = b"." + payload if payload.startswith(b".") else payload
        elif (payload + self.end).find(self.end) != len(payload):
            raise FrameError("the text holds the delimiter that ends it")
        return payload + self.end

    def _escaped(self, buffer: Buffer, at: int, found: int) -> bool:
        """Whether an odd number of escapes stands before the delimiter."""
        count = 0
        while found - count - 1 >= at and buffer[found - count - 1] == self.escape[0]:
            count += 1
        return count % 2 == 1

    def _plain(self, data: bytes) -> bytes:
        if self.escape:
            sign = re.escape(self.escape)
            return re.sub(sign + b"(" + sign + b"|" + re.escape(self.end) + b")", rb"\1", data)
        if self.line:
            data = data.replace(self.line + b"..", self.line + b".")
            return data[1:] if data.startswith(b"..") else data
        return data


class Fixed(_Kind, frozen=True, kw_only=True):
    """Frames of one size."""

    size: int

    def cut(self, buffer: Buffer, at: int, *, scanned: int = 0, ended: bool = False) -> Cut | None:  # noqa: ARG002
        return Cut(at + self.size) if len(buffer) - at >= self.size else None

    def wrap(self, payload: bytes) -> bytes:
        if len(payload) != self.size:
            raise FrameError(f"a frame has {self.size} bytes, this has {len(payload)}")
        return payload


class Counted(_Kind, frozen=True, kw_only=True):
    """Frames that say their length."""

    offset: int
    width: int
    read: Callable[[bytes], tuple[int, int] | None]
    """The length that bytes begin with, and how many of them say it; None: more must come."""
    write: Callable[[int], bytes]
    whole: bool
    """The length is that of the frame, not of what follows it."""
    adjust: int
    keep: bool

    def cut(self, buffer: Buffer, at: int, *, scanned: int = 0, ended: bool = False) -> Cut | None:  # noqa: ARG002
        start = at + self.offset
        if len(buffer) < start + 1:
            return None
        told = self.read(bytes(buffer[start : start + self.width]))
        if told is None:
            return None
        length, width = told
        head = self.offset + width
        size = length + self.adjust + (0 if self.whole else head)
        if size < head:
            raise FrameError(f"a length of {length} is less than what a frame begins with")
        self.check(size)
        if len(buffer) - at < size:
            return None
        return Cut(at + size) if self.keep else Cut(at + size, bytes(buffer[at + head : at + size]))

    def wrap(self, payload: bytes) -> bytes:
        if self.keep:
            return payload
        return self.write(len(payload) - self.adjust + (self.width if self.whole else 0)) + payload


class Enveloped(_Kind, frozen=True, kw_only=True):
    """Frames between two marks, `starts` the first, and perhaps a `trailer`: a checksum over what is before."""

    end: bytes
    trailer: int = 0

    def cut(self, buffer: Buffer, at: int, *, scanned: int = 0, ended: bool = False) -> Cut | None:  # noqa: ARG002
        begins = _begins(buffer, at, self.starts)
        if begins is None:
            return None
        if not begins:
            raise FrameError(f"a frame begins with {self.starts.hex(' ')}")
        start = at + len(self.starts)
        found = buffer.find(self.end, max(start, scanned - len(self.end) - self.trailer + 1))
        stop = found + len(self.end) + self.trailer
        self.check((stop if found >= 0 else len(buffer)) - at)
        if found < 0 or stop > len(buffer):
            return None
        return Cut(stop) if self.trailer else Cut(stop, bytes(buffer[start:found]))

    def wrap(self, payload: bytes) -> bytes:
        if self.trailer:
            return payload
        if (payload + self.end).find(self.end) != len(payload):
            raise FrameError("the text holds the mark that ends it")
        return self.starts + payload + self.end


class Headed(_Kind, frozen=True, kw_only=True):
    """Frames whose header is found by a regular expression, which says the length of what follows."""

    header: Any
    trailer: int

    def fits(self, buffer: Buffer, at: int) -> bool | None:
        begins = _begins(buffer, at, self.starts)
        if not begins or self._match(buffer, at) is not None:
            return begins
        return None if len(buffer) - at < MAX_HEADER else False

    def cut(self, buffer: Buffer, at: int, *, scanned: int = 0, ended: bool = False) -> Cut | None:  # noqa: ARG002
        match = self._match(buffer, at)
        if match is None:
            if len(buffer) - at >= min(MAX_HEADER, self.limit):
                raise FrameError("no header in the first bytes of a frame")
            return None
        group = self.header.groupindex[b"len"]
        length = match.group(group) or b""
        if not length.isdigit() or len(length) > 10:
            raise FrameError(f"a length is a number: {length[:40]!r}")
        if match.end(group) == len(buffer) - at and not ended:
            return None  # it may have more digits
        size = match.end() + int(length) + self.trailer
        self.check(size)
        return None if len(buffer) - at < size else Cut(at + size)

    def wrap(self, payload: bytes) -> bytes:
        return payload

    def _match(self, buffer: Buffer, at: int) -> Any:
        return self.header.match(bytes(buffer[at : at + MAX_HEADER]))


class Silent(_Kind, frozen=True, kw_only=True):
    """Frames that end with the connection, or with `quiet` seconds of silence."""

    quiet: float = 0.0

    @property
    def idle(self) -> float:
        return self.quiet

    def cut(self, buffer: Buffer, at: int, *, scanned: int = 0, ended: bool = False) -> Cut | None:  # noqa: ARG002
        self.check(len(buffer) - at)
        return Cut(len(buffer)) if ended and len(buffer) > at else None

    def wrap(self, payload: bytes) -> bytes:
        return payload


class Choice(Struct, frozen=True):
    """The first of these that fits. A payload is framed by the first that cuts it out again."""

    kinds: tuple[Framing, ...]

    @property
    def idle(self) -> float:
        return max(kind.idle for kind in self.kinds)

    def fits(self, buffer: Buffer, at: int) -> bool | None:
        fitting = [kind.fits(buffer, at) for kind in self.kinds]
        return True if True in fitting else None if None in fitting else False

    def cut(self, buffer: Buffer, at: int, *, scanned: int = 0, ended: bool = False) -> Cut | None:
        if scanned - at < MAX_HEADER:
            scanned = at  # while it was not known which kind fits, nothing was looked for
        for kind in self.kinds:
            fits = kind.fits(buffer, at)
            if fits is None and not ended:
                return None
            if fits:
                return kind.cut(buffer, at, scanned=scanned, ended=ended)
        raise FrameError("no framing fits how a frame begins")

    def wrap(self, payload: bytes) -> bytes:
        why = FrameError("no framing takes this")
        for kind in self.kinds:
            try:
                wire = kind.wrap(payload)
                cut = self.cut(wire, 0, ended=True)
            except FrameError as error:
                why = error
                continue
            if cut == Cut(len(wire), None if cut is not None and cut.payload is None else payload):
                return wire
        raise why
