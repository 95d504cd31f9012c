"""Which requests are alike: equal but for header lines that decide nothing. For speed alone.

Clients put a new id, date or trace into every request, so its bytes never come twice, and yet it is the same
request. Its essence is its bytes without every well-formed field line (RFC 9112 section 5) whose name is none
of these: what frames the message or keeps the connection, what says how to read a body, what a reply is
fitted to, what may hold a credential (it may be echoed in target and body, where its token replaces it), and
what some route looks at. A line that is not well formed is never left out, nor is the first line, so whatever
is refused has an essence that is refused.
"""

from collections.abc import Hashable
from typing import Final

from svcmock.protocol import Context
from svcmock_protocols.http import canonical
from svcmock_protocols.http.codec import MAX_FIELDS, MAX_HEAD, is_field_line
from svcmock_protocols.http.credentials import Names
from svcmock_protocols.http.messages import Options, Request

DECIDING: Final = frozenset(
    b"""host content-length transfer-encoding connection expect upgrade http2-settings
    content-type content-encoding accept-encoding cookie grpc-encoding grpc-accept-encoding""".split()
)
"""Fields that this protocol's own code reads from a request, beside those that may hold credentials.

What it makes fields of (`host`, `cookies`, `json`, ...) is among them: a predicate may look at it by that name.
"""
_REMEMBERED: Final = 1024
"""Lines whose verdict is remembered; each is part of a request that the daemon takes for small."""
_TEXT: Final = bytes([9, *range(32, 127), *range(128, 256)])
"""What a field's value may hold."""
_ALL: Final = frozenset({"headers", "metadata"})
"""Fields that are made of all lines."""
_SAME_MAX: Final = 4096
"""Bytes of a body up to which requests are told apart by it."""


class Likeness:
    """A `svcmock.protocol.Likeness` for routes that look at these fields; `headers` is all of them."""

    def __init__(self, names: frozenset[str], context: Context) -> None:
        options = context.options
        self._max_head = options.max_head if isinstance(options, Options) else MAX_HEAD
        self._all = not names.isdisjoint(_ALL)
        demanded = {
            name.partition(".")[2].encode() for name in names if name.startswith(("headers.", "metadata."))
        }
        self._verdicts = _Verdicts(DECIDING | demanded, canonical.redaction(context).looked_into)
        self._stays = self._verdicts.__getitem__
        self._blocks: dict[bytes, tuple[bytes, ...]] = {}
        """The lines that stay, of blocks that came lately: a client of HTTP/2 sends the very same again."""

    def essence(self, data: bytes) -> bytes | None:
        if self._all:
            return None
        lines = data.split(b"\r\n")
        rest: list[bytes] = []
        head_end = lines.index(b"") if b"" in lines else 0
        if not 0 < head_end < len(lines) - 1:
            return None
        if head_end != len(lines) - 2 or lines[-1]:
            lines, rest = lines[:head_end], lines[head_end:]
        kept = list(filter(self._stays, lines))
        if len(kept) == len(lines) or kept[0] is not lines[0] or len(lines) > MAX_FIELDS:
            return None
        if len(data) > self._max_head and data.find(b"\r\n\r\n", 0, self._max_head) < 0:
            return None
        return b"\r\n".join(kept + rest if rest else kept)

    @staticmethod
    def request(alike: Request, data: bytes) -> Request:
        block = data[data.index(b"\r\n") + 2 : data.index(b"\r\n\r\n") + 2]
        return Request(alike.method, alike.target, alike.version, block, alike.body, alike.trailers)

    def idle(self, name: bytes) -> bool:
        """Whether fields of this name, given in lower case, decide nothing, whatever their values."""
        return not self._all and not self._verdicts.decides(name)

    def same(self, request: Request) -> Hashable | None:
        """All of a request but the lines that decide nothing; None where that is much, or they all decide."""
        body = request.body
        if self._all or body.__class__ is not bytes or len(body) > _SAME_MAX:
            return None
        block = request.block
        lines = self._blocks.get(block)
        if lines is None:
            lines = tuple(filter(self._stays, block.split(b"\r\n")))
            if len(block) <= _SAME_MAX:
                if len(self._blocks) >= _REMEMBERED:
                    self._blocks.clear()
                self._blocks[block] = lines
        return request.method, request.target, request.version, body, request.said, request.trailers, lines


class _Verdicts(dict[bytes, bool]):
    """Whether a line must stay. Remembered: nearly all lines of a request were in the one before it."""

    def __init__(self, names: frozenset[bytes], credentials: Names) -> None:
        super().__init__({b"": True})
        self._names = names
        self._credentials = credentials
        self._idle: set[bytes] = set()
        """Names as sent of lines that need not stay."""

    def __missing__(self, line: bytes) -> bool:
        name, colon, value = line.partition(b":")
        # the expression is asked once a name; from then on only the value can be wrong
        known = colon and name in self._idle
        stays = value.translate(None, _TEXT) != b"" if known else self._judge(name, line)
        if len(self) >= _REMEMBERED:
            self.clear()
            self[b""] = True
        self[line] = stays
        return stays

    def decides(self, lower: bytes) -> bool:
        return lower in self._names or lower in self._credentials

    def _judge(self, name: bytes, line: bytes) -> bool:
        if self.decides(name.lower()) or not is_field_line(line + b"\r\n"):
            return True
        if len(self._idle) < _REMEMBERED:
            self._idle.add(name)
        return False
