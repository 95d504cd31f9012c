"""All tapes of a service as one tree: where they say the same, they are one.

    (root) ──"LOGIN ann"──▶ Edge ──"OK"──▶ (node) ──"GET a"──▶ Edge ──"1"──▶ (node) the tape ends
                                                   ──"GET b"──▶ Edge ──"2"──▶ (node)

A node is a history: what both sides have said so far. Its edges are what a client may say next, or nothing,
where the server speaks on. An edge has an outcome for each thing that servers were recorded to answer there;
which of them a client gets is the engine's to say, since all of them are routes with one key: that of the edge.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Final, Literal

from msgspec import Struct

from svcmock_protocols.tcp.tape import TapeReply, TapeRequest, Then
from svcmock_protocols.tcp.tape_pattern import Pattern, Token, fits, pattern_of

ADDRESS: Final = b"tape"
MAX_STEPS: Final = 500_000
"""Runs of one service's tapes; further ones are not looked at."""
MAX_AHEAD: Final = 256
"""Runs of a server that speaks on which a client may be ahead of."""
MAX_BRANCHES: Final = 64
"""Histories of one tape, where several answers to one run take turns."""


class Step(Struct, frozen=True, gc=False):
    """One recorded run and its answer. `source`: the file; a tape's runs stand in one file."""

    source: str
    request: TapeRequest
    reply: TapeReply


class Node:
    """A history. `final`: some tape ends here. `push`: what the server says next unless the client does."""

    __slots__ = ("_behind", "_crowd", "digest", "edges", "final", "push")

    def __init__(self, digest: bytes) -> None:
        self.digest = digest
        self.edges: dict[bytes, Edge] = {}
        self.final = False
        self.push: Edge | None = None
        self._crowd: Crowd | None = None
        self._behind: Crowd | None = None

    @property
    def crowd(self) -> "Crowd":
        """What a client may say next. Asked for when all edges are here."""
        if self._crowd is None:
            self._crowd = Crowd(edge for edge in self.edges.values() if edge is not self.push)
        return self._crowd

    @property
    def behind(self) -> "Crowd":
        """What a client may say when the server has said what it says next, unasked."""
        if self._behind is None:
            self._behind = Crowd(_behind(self))
        return self._behind


class Edge:
    """What a client may say at a node. `request`: the first that was recorded of those that are alike."""

    __slots__ = ("after", "head", "key", "outcomes", "pattern", "request")

    def __init__(self, node: Node, shape: bytes, step: Step, pattern: Pattern) -> None:
        self.request = step.request
        self.pattern = pattern
        first = pattern.segments[0] if pattern.segments else b""
        self.head = first if isinstance(first, bytes) else b""
        """What it begins with in any case."""
        self.after = step.reply.after
        """Seconds after which the server speaks on unasked."""
        self.key = _key(node.digest, shape)
        self.outcomes: dict[tuple[bytes, Then], Node] = {}

    def outcome(self, reply: TapeReply) -> Node:
        """Where a reply leads; one that is on no tape, as a template gives, leads where the first does."""
        return self.outcomes.get((reply.said, reply.then)) or next(iter(self.outcomes.values()))


class Crowd:
    """Edges of which a client follows one, perhaps thousands: what it says first rules most of them out."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        self.edges = list(edges)
        places: dict[bytes, list[int]] = {}
        for place, edge in enumerate(self.edges):
            places.setdefault(edge.head, []).append(place)
        self._heads = sorted(places)
        self._places = [places[head] for head in self._heads]
        self._within: list[int] = []
        """For each head, the longest other one that it begins with; -1 for none."""
        around: list[int] = []
        for at, head in enumerate(self._heads):
            while around and not head.startswith(self._heads[around[-1]]):
                around.pop()
            self._within.append(around[-1] if around else -1)
            around.append(at)

    def fitting(self, first: bytes) -> list[Edge]:
        """Those that may begin so, in their order: what begins with all of it, and what it begins with."""
        at = bisect_left(self._heads, first)
        found = self._begun_by(first, at)
        # all that it begins with are begun by what stands before it, too
        at -= 1
        while at >= 0:
            if first.startswith(self._heads[at]):
                found += self._places[at]
            at = self._within[at]
        return [self.edges[place] for place in sorted(found)]

    def nearest(self, first: bytes) -> Edge | None:
        """The first of those that have most of it in common."""
        at = bisect_left(self._heads, first)
        common = max((_common(head, first) for head in self._heads[max(0, at - 1) : at + 1]), default=0)
        found = self._begun_by(first[:common], bisect_left(self._heads, first[:common]))
        return self.edges[min(found)] if found else None

    def _begun_by(self, first: bytes, at: int) -> list[int]:
        """The places of all that begins so, from the head at `at` on."""
        found: list[int] = []
        while at < len(self._heads) and self._heads[at].startswith(first):
            found += self._places[at]
            at += 1
        return found


def _common(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    differing = (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differing, min(len(one), len(other)))


def _key(node: bytes, said: bytes) -> bytes:
    """The key of what is said at a node."""
    return b"%b\0%b/%b" % (ADDRESS, node.hex().encode(), said.hex().encode())


def _leaves(step: Step) -> bool:
    """Whether the server ended a connection that nobody used: a client that does may go on instead."""
    unused = not (step.request.said or step.request.ends or step.reply.said)
    return unused and bool(step.reply.then) and step.reply.after > 0


def _behind(node: Node) -> Iterator[Edge]:
    waiting = deque([node])
    for _ in range(MAX_AHEAD):
        push = waiting.popleft().push if waiting else None
        for after in () if push is None else push.outcomes.values():
            yield from after.crowd.edges
            waiting.append(after)


class Library:
    """The tapes. `digest` tells one library from another."""

    def __init__(
        self,
        steps: Iterable[Step] = (),
        digest: bytes = b"",
        masks: Sequence[str] = (),
        resume: Literal["idle", "turns", "never"] = "idle",
    ) -> None:
        self.digest = digest
        self.root = Node(b"\0" * 8)
        self._entries: list[Edge] = []
        self.entries = Crowd(())
        """Where a client may go on that has come to the end of a tape."""
        self._places: dict[tuple[str, int], list[tuple[Node, Edge]]] = {}
        self._masks = tuple(masks)
        self._resume = resume
        self._entered: set[bytes] = set()
        for tape in _tapes(steps):
            self._add(tape)
        self.entries = Crowd(self._entries)

    def knows(self, tape: str, run: int) -> bool:
        return (tape, run) in self._places

    def key(self, request: TapeRequest, token: Token) -> bytes:
        """Equal for runs that are alike after histories that are the same."""
        places = self._places.get((request.tape, request.run), ())
        for _, edge in places:
            if edge.request.ends == request.ends and fits(edge.pattern, request.said, token):
                return edge.key
        # no route's key, but beside those of its place, so that an explanation finds them
        node = places[0][0].digest if places else blake2b(request.tape.encode(), digest_size=8).digest()
        said = blake2b(b"%d %d %b" % (request.run, request.ends, request.said), digest_size=16)
        return _key(node, b"!" + said.digest())

    def _add(self, tape: Sequence[list[Step]]) -> None:
        nodes, before = [self.root], 0
        for several in tape:
            first = several[0]
            run = first.request.run
            if run != before + 1:
                for node in nodes:
                    node.final = True
                # what was between is not there: only who has come to an end elsewhere can go on here
                digest = f"{first.source}\0{first.request.tape}\0{run}".encode()
                nodes = [Node(blake2b(digest, digest_size=8).digest())]
            if all(_leaves(step) for step in several):
                for node in nodes:
                    node.final = True
            after = [self._step(node, step) for node in nodes for step in several]
            nodes, before = list(dict.fromkeys(after))[:MAX_BRANCHES], run
        for node in nodes:
            node.final = True

    def _step(self, node: Node, step: Step) -> Node:
        request, reply = step.request, step.reply
        pattern = pattern_of(request.said, (*request.mask, *self._masks))
        shape = pattern.digest + (b"\1" if request.ends else b"\0")
        edge = node.edges.get(shape)
        if edge is None:
            edge = node.edges[shape] = Edge(node, shape, step, pattern)
            if not pattern.segments and not request.ends:
                node.push = edge
        places = self._places.setdefault((request.tape, request.run), [])
        if all(known is not edge for _, known in places):
            places.append((node, edge))
        outcome = edge.outcomes.get((reply.said, reply.then))
        if outcome is None:
            history = b"%b%b%d:%b%b" % (node.digest, shape, len(reply.said), reply.said, reply.then.encode())
            outcome = Node(blake2b(history, digest_size=8).digest())
            edge.outcomes[reply.said, reply.then] = outcome
        if self._enters(request) and shape not in self._entered:
            self._entered.add(shape)
            self._entries.append(edge)
        return outcome

    def _enters(self, request: TapeRequest) -> bool:
        if not request.said or self._resume == "never":
            return False
        return request.run == 1 or self._resume == "turns" or request.after > 0


def _tapes(steps: Iterable[Step]) -> Iterator[list[list[Step]]]:
    """The steps by their tapes, in the order in which tapes were first seen; each in order, run by run."""
    tapes: dict[tuple[str, str], dict[int, list[Step]]] = {}
    for count, step in enumerate(steps):
        if count >= MAX_STEPS:
            break
        runs = tapes.setdefault((step.source, step.request.tape), {})
        runs.setdefault(step.request.run, []).append(step)
    for runs in tapes.values():
        yield [runs[run] for run in sorted(runs)]
