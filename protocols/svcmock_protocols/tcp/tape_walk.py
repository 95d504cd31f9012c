"""Which tapes a connection is still on, by all that its client has said.

What a client says is one stream of bytes; how it was cut means nothing. It is compared with what may come next
at the node where the connection is. The first edge that is complete decides. Others that are under way stay as
long as what the server has said meanwhile is how their answer begins: recordings differ in how much of what a
client said had arrived before the server answered.

A client that speaks while the server was recorded to speak on after a pause is looked for behind that pause,
too: if it is there, what the server had to say first is said at once.
"""

from typing import Final

from msgspec import Struct

from svcmock_protocols.tcp.tape import MAX_RUN, TapeReply
from svcmock_protocols.tcp.tape_library import Crowd, Edge, Library, Node
from svcmock_protocols.tcp.tape_pattern import MAX_HOLE, MAX_HOLES, Filled, Progress, Token

FIRST: Final = 4096
"""Bytes at the beginning of a run by which it is looked for."""
MAX_TOLD: Final = MAX_RUN + MAX_HOLES * MAX_HOLE
"""Bytes of a run that are told of it: as many as one on a tape can have."""


class Turn(Struct, frozen=True):
    """The server's turn: its client has said what the edge asks for. `ahead`: what was answered already."""

    edge: Edge
    said: bytes = b""
    ahead: bytes = b""
    filled: tuple[Filled, ...] = ()


class Strayed(Struct, frozen=True):
    """The client has said what is on no tape. `edge`: where it was longest.

    `cut`: `said` ends with the first byte that fits nowhere; else with the last that was said.
    """

    edge: Edge | None
    said: bytes
    cut: bool = True


class _Place:
    """An edge under way. `early`: it is behind what the server has not said yet."""

    __slots__ = ("ahead", "begin", "early", "edge", "progress")

    def __init__(self, edge: Edge, begin: int, token: Token, *, early: bool) -> None:
        self.edge = edge
        self.begin = begin
        self.early = early
        self.ahead = b""
        self.progress = Progress(edge.pattern, token)

    def bears(self, said: bytes) -> bool:
        """Whether it is still on the way, and all of its answers begin with what the server says; notes it."""
        if self.progress.dead or self.early or (self.progress.complete and not self.edge.request.ends):
            return False
        self.ahead += said
        return all(reply.startswith(self.ahead) for reply, _ in self.edge.outcomes)


class Walk:
    """One connection's way. `hear`, then `step` until it gives nothing; each turn is followed by `go`."""

    def __init__(self, library: Library, token: Token) -> None:
        self._library = library
        self._token = token
        self._stream = bytearray()
        self._base = 0
        self._at = 0
        """Bytes of the client's stream that all places have been told of."""
        self._begin = 0
        """Where the run begins that is under way."""
        self._places: list[_Place] = []
        self._coming: list[tuple[Crowd, bool]] = []
        """Edges of which some become places when the client speaks, and whether they are early."""
        self._best: _Place | None = None
        """Where the run that is under way went furthest."""
        self._resumed = False
        self._taken: _Place | None = None
        self.ended = False
        """The client will say no more."""
        self.node = library.root
        self._enter(library.root, [])

    @property
    def partial(self) -> bool:
        """Whether some of a run is here."""
        return self._base + len(self._stream) > self._begin

    @property
    def at_end(self) -> bool:
        """Whether a tape is at its end, and nothing is under way."""
        node = self.node
        return node.final and not (node.edges or self._places or self.partial or self.ended)

    @property
    def unread(self) -> int:
        """Bytes that were heard and not looked at yet."""
        return self._base + len(self._stream) - self._at

    @property
    def push(self) -> Turn | None:
        """What the server says next if the client does not speak first."""
        return None if self.node.push is None else Turn(self.node.push)

    def hear(self, data: bytes) -> None:
        self._stream += data

    def step(self) -> Turn | Strayed | None:
        """What has to be answered next; None: more must be heard."""
        while self.partial or self.ended:
            self._arrive()
            turn = self._turn()
            if turn is not None:
                return turn
            live = [place for place in self._places if not place.progress.dead]
            if live and self.unread:
                self._feed(live)
            elif not self.partial or (live and not self.ended):
                return None
            elif not self._resume():
                return self.stray()
        return None

    def stray(self) -> Strayed:
        """The client is on no tape, as far as what it has said tells."""
        live = (place for place in self._places if place.begin == self._begin and not place.progress.dead)
        best = next(live, self._best)
        if best is None:
            return Strayed(None, self._cut(self._begin, 1))
        return Strayed(best.edge, self._cut(best.begin, best.progress.size), best.progress.dead)

    def go(self, turn: Turn, node: Node, reply: TapeReply) -> None:
        """The server has answered a turn by this, so that the connection is at `node`."""
        place, self._taken = self._taken, None
        others: list[_Place] = []
        if place is not None and place.edge is turn.edge:
            said = reply.said[len(turn.ahead) :]
            others = [other for other in self._places if other is not place and other.bears(said)]
            self._begin = self._at
        else:
            # what the client has said meanwhile is looked for again, from where it began
            self._at = self._begin
        self._resumed = False
        self._best = None
        self._enter(node, others)
        keep = min([self._begin, *(other.begin for other in others)])
        del self._stream[: keep - self._base]
        self._base = keep

    def _turn(self) -> Turn | None:
        for place in self._places:
            ends = place.edge.request.ends
            if not place.progress.complete or (ends and not (self.ended and not self.unread)):
                continue
            if place.early and self.push is not None:
                return self.push
            self._taken = place
            said = self._cut(place.begin, place.progress.size)
            return Turn(place.edge, said, place.ahead, tuple(place.progress.filled))
        return None

    def _feed(self, live: list[_Place]) -> None:
        """So much that no place can be passed by, told to all of them."""
        waiting = [place.progress.least for place in live if not place.progress.complete]
        size = min([self.unread, *waiting])
        start = self._at - self._base
        piece = bytes(self._stream[start : start + size])
        for place in live:
            progress = place.progress
            if progress.complete:  # it waits for the client's end, and this is none
                progress.dead = True
                progress.size += 1
            else:
                progress.feed(piece)
            here = place.begin == self._begin
            if here and (self._best is None or progress.size > self._best.progress.size):
                self._best = place
        self._at += size
        self._places = [place for place in live if not place.progress.dead]

    def _resume(self) -> bool:
        """Look for the run that is under way wherever a client may go on: once a run, at the end of a tape."""
        if self._resumed or not self.node.final or not self._library.entries.edges:
            return False
        self._resumed = True
        self._at = self._begin
        self._coming = [(self._library.entries, False)]
        return True

    def _enter(self, node: Node, others: list[_Place]) -> None:
        self.node = node
        self._places = others
        self._coming = [(node.crowd, False)]
        if node.push is not None:
            self._coming.append((node.behind, True))

    def _arrive(self) -> None:
        """Make places of the edges that are worth to be followed, now that a run begins."""
        coming, self._coming = self._coming, []
        if not coming:
            return
        start = self._at - self._base
        first = bytes(self._stream[start : start + FIRST])
        found = [_Place(edge, self._begin, self._token, early=early) for edge, early in _worth(coming, first)]
        fresh = [place for place in found if not place.early]
        self._places = fresh + self._places + found[len(fresh) :]

    def _cut(self, begin: int, size: int) -> bytes:
        start = begin - self._base
        return bytes(self._stream[start : start + min(size, MAX_TOLD)])


def _worth(coming: list[tuple[Crowd, bool]], first: bytes) -> list[tuple[Edge, bool]]:
    """The edges that the first bytes of a run do not rule out; where all end early, what went furthest, too."""
    found: list[tuple[Edge, bool]] = []
    for crowd, early in coming:
        fitting = crowd.fitting(first)
        found += [(edge, early) for edge in fitting]
        if all(len(edge.head) < len(first) for edge in fitting):
            nearest = crowd.nearest(first)
            found += [(nearest, early)] if nearest is not None and nearest not in fitting else []
    return found
