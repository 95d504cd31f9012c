"""A body that passes by a recorder: kept, or spooled without its credentials, and how it was cut in time.

Decides what is held: up to a limit the body itself, beyond it nothing but what a search across two pieces
needs. A large body goes to disk piece by piece with the credentials known by then already replaced. Of a
request with a content coding the decoded bytes are spooled, as they decide a match; of a reply the coded ones,
as they are served again, and if a credential shows up inside them the exchange is not recorded.
"""

import hashlib
from collections.abc import Callable, Hashable, Iterator
from typing import Final

from svcmock.protocol import Spool, Spooled
from svcmock_protocols.http.coding import CodingError, Unfold, codings, known, unfold
from svcmock_protocols.http.messages import Chunk
from svcmock_protocols.http.redact import Echo, TooManyError

MIN_GAP: Final = 0.002
"""Seconds between two pieces below which they came together: networks and schedulers do that."""
MAX_CHUNKS: Final = 4096
"""Pieces of a reply that are told apart; more of them are joined to their neighbours."""


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


class Body:
    """One body as it passes. When it has ended, `why` says why it cannot be recorded, if it cannot."""

    __slots__ = (
        "_carry",
        "_decoded",
        "_echo",
        "_hash",
        "_held",
        "_layers",
        "_limit",
        "_most",
        "_secrets",
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
        secrets: Callable[[bytes], Echo],
        *,
        unfolds: bool,
    ) -> None:
        """Watch a body whose spooled bytes are known by `token`.

        `sizes`: what is held at most, and what a body may unfold into. `secrets` gives, from the start of
        an uncoded body, what must not be spooled. `unfolds`: spool the body without its coding.
        """
        self._token = token
        self._limit, self._most = sizes
        self._secrets = secrets
        self._unfolds = unfolds
        self._held = bytearray()
        self._layers = [unfold(name) for name in reversed(codings(coding))] if known(coding) else []
        self._echo: Echo | None = None
        self._hash = hashlib.sha256()
        self._spooled = 0
        self._decoded = 0
        self._carry = b""
        self.why = ""

    @property
    def unfolded(self) -> bool:
        """Whether what was spooled has no content coding any more."""
        return self._echo is not None and self._unfolds and bool(self._layers)

    def add(self, piece: bytes) -> list[Spool]:
        """The next bytes, transfer-decoded."""
        if self.why:
            return []
        if self._echo is None:
            self._held += piece
            if len(self._held) <= self._limit:
                return []
            piece, self._held = bytes(self._held), bytearray()
            try:
                self._echo = self._secrets(b"" if self._layers else piece)
            except TooManyError:
                return self._give_up("more credentials than can be looked for")
        return self._spool(self._echo, piece, ending=False)

    def end(self) -> tuple[bytes | Spooled, list[Spool]]:
        """The body is complete."""
        if self._echo is None:
            return bytes(self._held), []
        spools = [] if self.why else self._spool(self._echo, b"", ending=True)
        return Spooled(self._token, self._spooled, self._hash.hexdigest()), spools

    def _spool(self, echo: Echo, piece: bytes, *, ending: bool) -> list[Spool]:
        try:
            if not self._layers:
                made = echo.feed(piece)
            elif self._unfolds:
                made = b"".join(echo.feed(plain) for plain in self._unfold(piece, ending=ending))
            elif any(self._shows(echo, plain) for plain in self._unfold(piece, ending=ending)):
                return self._give_up("a credential comes back inside a large compressed body")
            else:
                made = piece
        except CodingError as error:
            return self._give_up(f"a large body is not what its Content-Encoding says: {error}")
        made += echo.flush() if ending else b""
        self._hash.update(made)
        self._spooled += len(made)
        return [Spool(self._token, made)] if made else []

    def _unfold(self, piece: bytes, *, ending: bool) -> Iterator[bytes]:
        pieces = iter((piece,))
        for layer in self._layers:
            pieces = _through(layer, pieces, ending=ending)
        for plain in pieces:
            self._decoded += len(plain)
            if self._decoded > self._most:
                raise CodingError("it unfolds into too much")
            yield plain

    def _shows(self, echo: Echo, plain: bytes) -> bool:
        window = self._carry + plain
        self._carry = window[-echo.longest :]
        return echo.occurs(window)

    def _give_up(self, why: str) -> list[Spool]:
        self.why = why
        self._held.clear()
        return []


def _through(layer: Unfold, pieces: Iterator[bytes], *, ending: bool) -> Iterator[bytes]:
    for piece in pieces:
        yield from layer.feed(piece)
    if ending:
        yield from layer.end()
