"""Which requests are alike: equal but for header lines that decide nothing. For speed alone.

Clients put a new id, date or trace into every request, so its bytes never come twice, and yet it is the same
request. Its essence is its bytes without every well-formed field line (RFC 9112 section 5) whose name is none
of these: what frames the message or keeps the connection, what says how to read a body, what a reply is
fitted to, what may hold a credential (it may be echoed in target and body, where its token replaces it), and
what some route demands. A line that is not well formed is never left out, nor is the first line, so whatever
is refused has an essence that is refused.
"""

from typing import Final

from svcmock.protocol import Context
from svcmock_protocols.http import canonical
from svcmock_protocols.http.codec import MAX_FIELDS, MAX_HEAD, is_field_line
from svcmock_protocols.http.credentials import URL_HEADERS
from svcmock_protocols.http.messages import Options, Request

DECIDING: Final = frozenset(
    b"""host content-length transfer-encoding connection expect
    content-type content-encoding accept-encoding""".split()
)
"""Fields that this protocol's own code reads from a request, beside those that may hold credentials."""
_REMEMBERED: Final = 1024
"""Lines whose verdict is remembered; each is part of a request that the daemon takes for small."""


class Likeness:
    """A `svcmock.protocol.Likeness` for routes that demand these fields, `headers.<name>`."""

    def __init__(self, names: frozenset[str], context: Context) -> None:
        options = context.options
        self._max_head = options.max_head if isinstance(options, Options) else MAX_HEAD
        demanded = {name.removeprefix("headers.").encode() for name in names}
        self._stays = _Verdicts(DECIDING | URL_HEADERS | canonical.redaction(context).headers | demanded)

    def essence(self, data: bytes) -> bytes | None:
        head, end, rest = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        if not end or len(head) + 4 > self._max_head or len(lines) > MAX_FIELDS:
            return None
        stays = self._stays
        kept = [line for line in lines if stays[line]]
        if len(kept) == len(lines) or not kept or kept[0] is not lines[0]:
            return None
        kept += (b"", rest)
        return b"\r\n".join(kept)

    def request(self, alike: Request, data: bytes) -> Request:
        block = data[data.index(b"\r\n") + 2 : data.index(b"\r\n\r\n") + 2]
        return Request(alike.method, alike.target, alike.version, block, alike.body, alike.trailers)


class _Verdicts(dict[bytes, bool]):
    """Whether a line must stay. Remembered: nearly all lines of a request were in the one before it."""

    def __init__(self, names: frozenset[bytes]) -> None:
        super().__init__()
        self._names = names

    def __missing__(self, line: bytes) -> bool:
        name = line.partition(b":")[0].lower()
        stays = name in self._names or not is_field_line(line + b"\r\n")
        if len(self) >= _REMEMBERED:
            self.clear()
        self[line] = stays
        return stays
