"""A body that passes by a recorder: kept, or spooled without its credentials, and how it was cut in time.

Decides what is held: up to a limit the body itself, beyond it nothing but what a search across two pieces
needs. A large body goes to disk piece by piece with its credentials already replaced (`sieve`). Of a
request with a content coding the decoded bytes are spooled, as they decide a match, and of a multipart one with
a boundary that is always the same; of a reply the coded ones, as they are served again, and if there is a
credential inside them the exchange is not recorded.
"""

import hashlib
import re
from collections.abc import Callable, Hashable, Iterator
from typing import Final

from svcmock.protocol import Spool, Spooled
from svcmock_protocols.http.codec import values
from svcmock_protocols.http.coding import MAX_DECODED, CodingError, Unfold, coding_of, codings, known, unfold
from svcmock_protocols.http.credentials import Found, Token, rules
from svcmock_protocols.http.messages import Chunk, Options, Request
from svcmock_protocols.http.multipart import COMMON, CommonBoundary, boundary_of
from svcmock_protocols.http.redact import TooManyError
from svcmock_protocols.http.sieve import Sieve, TooLongError, sieve_of

MIN_GAP: Final = 0.002
"""Seconds between two pieces below which they came together: networks and schedulers do that."""
MIN_WHOLE_GAP: Final = 0.1
"""The same between a head and a body that came whole: many servers flush them apart, and on a busy machine that
takes milliseconds that mean nothing. Told apart, a plain reply would read as a stream."""
MAX_CHUNKS: Final = 4096
"""Pieces of a reply that are told apart; more of them are joined to their neighbours."""

_BOUNDARY: Final = re.compile(
    rb'^(content-type:[^\r\n]*?;[ \t]*boundary=)(?:"[^"\r\n]*"|[^;\r\n]*)', re.I | re.M
)


class Cuts:
    """The pieces in which a reply came. `chunked`: pieces are chunks, else what came without a gap between."""

    __slots__ = ("_ended", "_gaps", "_joined", "_last", "_sizes", "chunked")

    def __init__(self, at: float, *, chunked: bool) -> None:
        self.chunked = chunked
        self._last = at
        self._ended = True
        self._joined = False
        self._sizes: list[int] = []
        self._gaps: list[float] = []

    def add(self, size: int, at: float, *, ends: bool) -> None:
        """A piece came at this time, and a chunk ends with it."""
        gap = at - self._last
        gap = gap if gap >= MIN_GAP else 0.0
        self._last = at
        if self._sizes and not (self._ended if self.chunked else gap):
            self._sizes[-1] += size
        else:
            self._sizes.append(size)
            self._gaps.append(gap)
            if len(self._sizes) > 2 * MAX_CHUNKS:
                self._join()
        self._ended = ends

    def chunks(self) -> tuple[Chunk, ...]:
        """Empty where the body came in one piece and at once."""
        if len(self._sizes) > MAX_CHUNKS:
            self._join()
        if len(self._sizes) == 1 and not self.chunked and self._gaps[0] < MIN_WHOLE_GAP:
            return ()
        if not any(self._gaps) and (self._joined or len(self._sizes) <= 1 or not self.chunked):
            return ()
        return tuple(Chunk(size, round(gap, 6)) for size, gap in zip(self._sizes, self._gaps, strict=True))

    def _join(self) -> None:
        """First what came without a gap, then pairs of neighbours."""
        self._joined = True
        sizes, gaps = self._sizes[:1], self._gaps[:1]
        for size, gap in zip(self._sizes[1:], self._gaps[1:], strict=True):
            if gap:
                sizes.append(size)
                gaps.append(gap)
            else:
                sizes[-1] += size
        while len(sizes) > MAX_CHUNKS:
            sizes = [sum(sizes[i : i + 2]) for i in range(0, len(sizes), 2)]
            gaps = [sum(gaps[i : i + 2]) for i in range(0, len(gaps), 2)]
        self._sizes, self._gaps = sizes, gaps


def request_body(ident: Hashable, request: Request, options: Options, token: Token) -> "Body":
    """The body of `request`, which has none yet: the same recorded and live, so that its digest is, too."""
    names = rules(options.redact, options.keep)
    boundary = _boundary_in(request.block)
    return Body(
        ident,
        (options.max_body_memory, MAX_DECODED),
        coding_of(request.block),
        lambda start: sieve_of(request, start, token, names),
        unfolds=True,
        boundary=boundary,
    )


def with_boundary(block: bytes) -> bytes:
    """The block of a request whose body was spooled, naming the boundary that the body now has."""
    if _boundary_in(block) is None:
        return block
    return _BOUNDARY.sub(lambda match: match[1] + COMMON, block)


def _boundary_in(block: bytes) -> bytes | None:
    return boundary_of(b", ".join(values(block, b"content-type")))


class Body:
    """One body as it passes. When it has ended, `why` says why it cannot be recorded, if it cannot."""

    __slots__ = (
        "_boundary",
        "_decoded",
        "_hash",
        "_held",
        "_layers",
        "_limit",
        "_most",
        "_raw",
        "_sieve",
        "_sieved",
        "_size",
        "_spooled",
        "_token",
        "_unfolds",
        "why",
    )

    def __init__(
        self,
        token: Hashable,
        sizes: tuple[int, int],
        coding: bytes,
        sieve: Callable[[bytes], Sieve],
        *,
        unfolds: bool,
        boundary: bytes | None = None,
    ) -> None:
        """Watch a body whose spooled bytes are known by `token`.

        `sizes`: what is held at most, and what a body may unfold into. `sieve` makes, from the start of
        an uncoded body, what keeps its credentials back. `unfolds`: spool the body without its coding.
        `boundary`: what is spooled has `multipart.COMMON` in its place.
        """
        self._token = token
        self._limit, self._most = sizes
        self._sieve = sieve
        self._unfolds = unfolds
        self._boundary = CommonBoundary(boundary) if boundary else None
        self._held = bytearray()
        self._layers = [unfold(name) for name in reversed(codings(coding))] if known(coding) else []
        self._sieved: Sieve | None = None
        self._hash = hashlib.sha256()
        self._raw = hashlib.sha256()
        self._size = 0
        self._spooled = 0
        self._decoded = 0
        self.why = ""

    @property
    def unfolded(self) -> bool:
        """Whether what was spooled has no content coding any more."""
        return self._sieved is not None and self._unfolds and bool(self._layers)

    @property
    def found(self) -> Found:
        """The credentials in what was spooled, by their tokens."""
        return {} if self._sieved is None else self._sieved.found

    def add(self, piece: bytes) -> list[Spool]:
        """The next bytes, transfer-decoded."""
        if self._unfolds:
            self._raw.update(piece)
            self._size += len(piece)
        if self.why:
            return []
        if self._sieved is None:
            self._held += piece
            if len(self._held) <= self._limit:
                return []
            piece, self._held = bytes(self._held), bytearray()
            try:
                self._sieved = self._sieve(b"" if self._layers else piece[: self._limit])
            except TooManyError:
                return self._give_up("more credentials than can be looked for")
        return self._spool(self._sieved, piece, ending=False)

    def end(self) -> tuple[bytes | Spooled, list[Spool]]:
        """The body is complete. Of a request's that was given up, nothing is said but the digest as it came."""
        if self._sieved is None and not self.why:
            return bytes(self._held), []
        spools = [] if self.why or self._sieved is None else self._spool(self._sieved, b"", ending=True)
        if self.why and self._unfolds:
            return Spooled(self._token, self._size, self._raw.hexdigest()), []
        return Spooled(self._token, self._spooled, self._hash.hexdigest()), spools

    def _spool(self, sieve: Sieve, piece: bytes, *, ending: bool) -> list[Spool]:
        try:
            made = self._sift(sieve, piece, ending=ending)
        except CodingError as error:
            return self._give_up(f"a large body is not what its Content-Encoding says: {error}")
        except TooManyError:
            return self._give_up("more credentials than can be looked for")
        except TooLongError:
            return self._give_up("a credential in a large body is too long to be looked for")
        if self._layers and not self._unfolds:
            if sieve.touched:
                return self._give_up("there is a credential inside a large compressed body")
            made = piece
        self._hash.update(made)
        self._spooled += len(made)
        return [Spool(self._token, made)] if made else []

    def _sift(self, sieve: Sieve, piece: bytes, *, ending: bool) -> bytes:
        """What may be known of the piece, without its coding. It is not all held where it is not wanted."""
        made = []
        for plain in self._unfold(piece, ending=ending) if self._layers else (piece,):
            clean = sieve.feed(plain if self._boundary is None else self._boundary.feed(plain))
            if self._unfolds or not self._layers:
                made.append(clean)
        if ending:
            if self._boundary is not None:
                made.append(sieve.feed(self._boundary.flush()))
            made.append(sieve.flush())
        return b"".join(made)

    def _unfold(self, piece: bytes, *, ending: bool) -> Iterator[bytes]:
        pieces = iter((piece,))
        for layer in self._layers:
            pieces = _through(layer, pieces, ending=ending)
        for plain in pieces:
            self._decoded += len(plain)
            if self._decoded > self._most:
                raise CodingError("it unfolds into too much")
            yield plain

    def _give_up(self, why: str) -> list[Spool]:
        self.why = why
        self._held.clear()
        return []


def _through(layer: Unfold, pieces: Iterator[bytes], *, ending: bool) -> Iterator[bytes]:
    for piece in pieces:
        yield from layer.feed(piece)
    if ending:
        yield from layer.end()
