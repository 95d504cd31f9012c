"""Reads what a client sends: arrays of bulk strings, and inline commands for a person with a terminal.

Accepts what a Redis server accepts and refuses the rest in its words (networking.c, `processInlineBuffer` and
`processMultibulkBuffer`): after such an error nobody knows where the next command starts. Like a server it does
not look at the two bytes behind a bulk string.
"""

import re
from typing import Final

from svcmock.protocol import ProtocolError
from svcmock_protocols.redis.messages import Args

MAX_INLINE: Final = 64 * 1024
"""Bytes of an inline command, and of a line that holds a number."""
MAX_ARGS: Final = 1024 * 1024
"""Arguments of one command."""
SPLIT_MAX: Final = 16 * 1024
"""Bytes in which whole commands are looked for at once."""
_TRIM: Final = 1 << 16
"""Bytes dealt with that a buffer may carry along."""

_COUNT = re.compile(rb"-?[1-9]\d{0,18}|0")
_ESCAPES: Final = {ord("n"): b"\n", ord("r"): b"\r", ord("t"): b"\t", ord("b"): b"\b", ord("a"): b"\a"}
_COUNTS: Final = {b"*%d" % number: number for number in range(1, 100)}
_LENGTHS: Final = {b"$%d" % number: number for number in range(1000)}
_SPACE: Final = b" \t\n\r\0\v\f"


class Malformed(ProtocolError):
    """What a client sent is no command. The text is what a Redis server says of it."""


class CommandReader:
    """Cuts what a client sends into commands. `size`: bytes of the one that was read last."""

    __slots__ = (
        *("_at", "_buffer", "_count", "_line", "_lines", "_most", "_pending", "_scanned", "_start"),
        "size",
    )

    def __init__(self, most: int) -> None:
        """`most`: bytes of one command."""
        self._most = most
        self._buffer: bytes | bytearray = b""
        self._at = 0
        self._scanned = 0
        self._start = 0
        """Where the command begins that is being read."""
        self._count = 0
        """Of its arguments, those that have not come."""
        self._pending: list[bytes] = []
        self._lines: list[bytes] = []
        """What has come, cut at its line breaks, as long as it is made of short commands;"""
        self._line = 0
        """and the line where the next one begins."""
        self.size = 0

    @property
    def waiting(self) -> int:
        """Bytes that are here and belong to no command that was read."""
        return len(self._buffer) - self._start

    @property
    def empty(self) -> bool:
        return self._start >= len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take what has come, at a cost that does not depend on how much waits already."""
        waits = len(self._buffer) - self._start
        if not waits or (waits + len(data) <= SPLIT_MAX and not self._pending and not self._count):
            if waits:
                data = bytes(memoryview(self._buffer)[self._start :]) + data
            self._buffer, self._at, self._start, self._scanned = data, 0, 0, 0
            self._lines, self._line = data.split(b"\r\n") if len(data) <= SPLIT_MAX else [], 0
            return
        self._lines = []
        if isinstance(self._buffer, bytes) or self._start > _TRIM:
            self._buffer = bytearray(memoryview(self._buffer)[self._start :])
            self._at -= self._start
            self._scanned = max(0, self._scanned - self._start)
            self._start = 0
        self._buffer += data

    def next(self) -> Args | None:
        """The next whole command, its name in capitals; None until there is one. Raises Malformed."""
        if self._at >= len(self._buffer):
            return None
        if self._lines and (args := self._short(self._lines)) is not None:
            return args
        while self._at < len(self._buffer):
            if self._count == 0 and not self._pending:
                self._start = self._at
                if self._buffer[self._at] != 0x2A:  # *
                    inline = self._inline()
                    if inline is None:
                        return None
                    if inline:
                        return self._done(inline)
                    continue
                count = self._number(b"invalid multibulk length", b"too big mbulk count string")
                if count is None:
                    return None
                if count > MAX_ARGS:
                    raise Malformed("invalid multibulk length")
                self._count = max(count, 0)
                if not self._count:
                    self._start = self._at
                    continue
            if not self._arguments():
                return None
            args, self._pending = tuple(self._pending), []
            return self._done(args)
        return None

    def _short(self, lines: list[bytes]) -> Args | None:
        """The next command if it is one of few and short arguments and all here, which is nearly every one."""
        first = self._line
        count = _COUNTS.get(lines[first], 0)
        last = first + 2 * count + 1
        if count and last < len(lines):
            args = lines[first + 2 : last : 2]
            size = sum(map(len, lines[first:last])) + 2 * (last - first)
            said = list(map(_LENGTHS.get, lines[first + 1 : last : 2]))
            if said == list(map(len, args)) and size <= self._most:
                self._line = last
                self._start = self._at
                self._at = self._scanned = self._at + size
                return self._done(tuple(args))
        self._lines = []
        return None

    def rest(self) -> bytes:
        """What is here and belongs to no command that was read."""
        return bytes(memoryview(self._buffer)[self._start :])

    def clear(self) -> None:
        """Forget what is here."""
        self._buffer, self._at, self._start, self._scanned, self._count = b"", 0, 0, 0, 0
        self._pending, self._lines = [], []

    def _done(self, args: Args) -> Args:
        self.size = self._at - self._start
        self._start = self._at
        name = args[0]
        return args if name.isupper() else (name.upper(), *args[1:])

    def _arguments(self) -> bool:
        """Read what there is of the arguments; whether all of them are here."""
        while self._count:
            at = self._at
            if at >= len(self._buffer):
                return False
            if self._buffer[at] != 0x24:  # $
                seen = chr(self._buffer[at])
                raise Malformed(f"expected '$', got '{seen if seen.isprintable() else '?'}'")
            length = self._number(b"invalid bulk length", b"too big bulk count string")
            if length is None:
                return False
            if length < 0 or self._at - self._start + length > self._most:
                raise Malformed("invalid bulk length")
            end = self._at + length
            if end + 2 > len(self._buffer):
                self._scanned = self._at - 2
                self._at = at  # the length is read again, which costs a line
                return False
            self._pending.append(bytes(self._buffer[self._at : end]))
            self._at = self._scanned = end + 2
            self._count -= 1
        return True

    def _number(self, wrong: bytes, long: bytes) -> int | None:
        """The number in the line at hand, behind its first byte; None until the line is whole."""
        end = self._buffer.find(b"\r", max(self._at, self._scanned))
        if end < 0 or end + 1 >= len(self._buffer):
            if (len(self._buffer) if end < 0 else end) - self._at > MAX_INLINE:
                raise Malformed(long.decode())
            self._scanned = len(self._buffer) if end < 0 else end
            return None
        if end - self._at > MAX_INLINE:
            raise Malformed(long.decode())
        text = bytes(self._buffer[self._at + 1 : end])
        if _COUNT.fullmatch(text) is None:
            raise Malformed(wrong.decode())
        self._at = self._scanned = end + 2
        return int(text)

    def _inline(self) -> Args | None:
        """The command in the line at hand; None until the line is whole, empty for an empty line."""
        end = self._buffer.find(b"\n", max(self._at, self._scanned))
        if (len(self._buffer) if end < 0 else end) - self._at > MAX_INLINE:
            raise Malformed("too big inline request")
        if end < 0:
            self._scanned = len(self._buffer)
            return None
        line = bytes(self._buffer[self._at : end])
        self._at = self._scanned = end + 1
        args = split(line[:-1] if line.endswith(b"\r") else line)
        if args is None:
            raise Malformed("unbalanced quotes in request")
        if not args:
            self._start = self._at
        return args


def split(line: bytes) -> Args | None:
    """The words of an inline command, in quotes where they hold spaces; None for quotes that do not end.

    As `sdssplitargs` has it: in double quotes a backslash escapes, in single quotes only the quote.
    """
    words: list[bytes] = []
    at, end = 0, len(line)
    while True:
        while at < end and line[at] in _SPACE:
            at += 1
        if at == end:
            return tuple(words)
        word = bytearray()
        while at < end and line[at] not in _SPACE:
            if line[at] in b"\"'":
                found = _quoted(line, at, word)
                if found is None:
                    return None
                at = found
                break
            word.append(line[at])
            at += 1
        words.append(bytes(word))


def _quoted(line: bytes, at: int, word: bytearray) -> int | None:
    """Add what stands in the quotes that open at `at`; gives where they end, None where they do not."""
    quote = line[at]
    at += 1
    while at < len(line):
        byte = line[at]
        if byte == quote:
            at += 1
            return at if at == len(line) or line[at] in _SPACE else None
        if byte == 0x5C and quote == 0x22 and at + 1 < len(line):
            digits = line[at + 2 : at + 4]
            if line[at + 1] == 0x78 and re.fullmatch(rb"[0-9A-Fa-f]{2}", digits):
                word.append(int(digits, 16))
                at += 4
            else:
                word += _ESCAPES.get(line[at + 1], line[at + 1 : at + 2])
                at += 2
        elif byte == 0x5C and line[at + 1 : at + 2] == b"'":
            word += b"'"
            at += 2
        else:
            word.append(byte)
            at += 1
    return None


def encode(args: Args) -> bytes:
    """A command as client libraries send it."""
    return b"*%d\r\n" % len(args) + b"".join([b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args])
