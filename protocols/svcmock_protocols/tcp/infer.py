"""From tapes to messages: which framing a recorded service could have, and its tapes told again by one.

A framing is proposed only if it consumes every byte that was recorded, both ways and in each connection, and
cuts it into frames of which most end where a run ends. Several may do; the list begins with the most telling
one. A person chooses: nothing here changes a recording.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from svcmock.capabilities import Folder, Inferred
from svcmock.protocol import Become, Exchange, Fact, Invalid, Seen, Side, Tap
from svcmock_protocols.tcp.framing import Splitter, compile_framing, compile_sides, split
from svcmock_protocols.tcp.infer_candidates import candidates
from svcmock_protocols.tcp.kinds import Framing
from svcmock_protocols.tcp.messages import FramingDoc, Options, ReplyRules
from svcmock_protocols.tcp.tape import TapeReply, TapeRequest
from svcmock_protocols.tcp.tape_files import steps

MAX_PROPOSALS: Final = 5
MAX_FRAME: Final = 1 << 26
MAX_TRIED: Final = 4 << 20
"""Bytes of each direction on which candidates are tried."""
LEAST_FRAMES: Final = 2
"""With fewer frames in a direction, nothing can be told."""

Speaker: TypeAlias = Literal["client", "server"]
Tape: TypeAlias = Sequence[tuple[TapeRequest, TapeReply]]


class Proposal(Struct, frozen=True):
    """`framing` as svcmock.yaml has it. `aligned`: the share of runs that end with a frame.

    `one_each`: what was said is one reply to each request, in their order.
    """

    framing: Any
    requests: int
    replies: int
    aligned: float
    one_each: bool = True


class _Fit(Struct, frozen=True):
    """A candidate for one direction that consumes all of it."""

    framing: Any
    frames: int
    aligned: float
    weight: float

    @property
    def rank(self) -> float:
        return 10 * self.aligned + self.weight


def tapes_of(exchanges: Iterable[tuple[TapeRequest, TapeReply]]) -> list[Tape]:
    """Exchanges of one service, as recorded, by their tapes; each in order."""
    by_name: dict[str, list[tuple[TapeRequest, TapeReply]]] = {}
    for request, reply in exchanges:
        by_name.setdefault(request.tape, []).append((request, reply))
    return [sorted(tape, key=lambda exchange: exchange[0].run) for tape in by_name.values()]


def propose(tapes: Sequence[Tape]) -> list[Proposal]:
    """Framings that consume what was recorded exactly, the most telling first; empty if none does."""
    client, server = _fits(tapes, "client"), _fits(tapes, "server")
    if not client or not server:
        return []
    made: list[tuple[float, Proposal]] = []
    for one in client.values():
        for other in server.values():
            same = one.framing == other.framing
            framing = one.framing if same else {"client": one.framing, "server": other.framing}
            proposal = Proposal(framing, one.frames, other.frames, round((one.aligned + other.aligned) / 2, 3))
            # one framing for both is what protocols have
            made.append((one.rank + other.rank + (20 if same else 0), proposal))
    made.sort(key=lambda ranked: -ranked[0])
    return [_paired(proposal, tapes) for _, proposal in made[:MAX_PROPOSALS]]


def _paired(proposal: Proposal, tapes: Sequence[Tape]) -> Proposal:
    typed = msgspec.convert(proposal.framing, FramingDoc | tuple[FramingDoc, ...])
    client, server = compile_sides(typed, MAX_FRAME)
    one_each = all(_one_each(tape, Splitter(client), Splitter(server)) for tape in tapes)
    return msgspec.structs.replace(proposal, one_each=one_each)


def _one_each(tape: Tape, client: Splitter, server: Splitter) -> bool:
    """Whether the server never says more than it was asked for, and leaves nothing out but at the end."""
    asked = answered = last = size = 0
    for request, reply in tape:
        size += len(request.said) + len(reply.said)
        if size > MAX_TRIED:
            break
        if request.said:
            last = _count(client, request.said)
            asked += last
        told = _count(server, reply.said)
        answered += told if request.said else 0  # a banner, or what comes unasked, answers nothing
        if answered > asked:
            return False
    return asked - answered <= last


def _count(splitter: Splitter, data: bytes) -> int:
    """The frames that end with these bytes, of a stream that consists of frames."""
    count = 0
    splitter.feed(data)
    while splitter.next() is not None:
        count += 1
    return count


def _fits(tapes: Sequence[Tape], speaker: Speaker) -> Mapping[str, _Fit]:
    """By their form, the best few."""
    streams = [runs for tape in tapes if (runs := _runs(tape, speaker))]
    found: dict[str, _Fit] = {}
    for doc, weight in candidates([run for runs in streams for run in runs]):
        name = msgspec.json.encode(doc).decode()
        if name not in found and (fit := _fit(doc, weight, streams)) is not None:
            found[name] = fit
    best = sorted(found.items(), key=lambda item: -item[1].rank)[: 2 * MAX_PROPOSALS]
    return dict(best)


def _runs(tape: Tape, speaker: Speaker) -> list[bytes]:
    """What one side said until the other did, without what is too much to try."""
    said = ((who, data) for asked, answer in tape for who, data in _said(asked, answer) if data)
    runs: list[bytes] = []
    size = 0
    for who, pieces in groupby(said, key=lambda one: one[0]):
        if who == speaker:
            run = b"".join(data for _, data in pieces)
            size += len(run)
            if runs and size > MAX_TRIED:
                break
            runs.append(run)
    return runs


def _said(request: TapeRequest, reply: TapeReply) -> tuple[tuple[Speaker, bytes], ...]:
    return ("client", request.said), ("server", reply.said)


def _fit(doc: Any, weight: float, streams: Sequence[Sequence[bytes]]) -> _Fit | None:
    try:
        typed = msgspec.convert(doc, FramingDoc | tuple[FramingDoc, ...])
        framing = compile_framing(typed, MAX_FRAME)
    except (Invalid, msgspec.ValidationError):
        return None
    frames, aligned, total = 0, 0, 0
    for runs in streams:
        ends = _ends(framing, b"".join(runs))
        if ends is None:
            return None
        frames += len(ends)
        at = 0
        for run in runs:
            at += len(run)
            aligned += at in ends
            total += 1
    if frames < LEAST_FRAMES:
        return None
    return _Fit(doc, frames, aligned / total, weight)


def _ends(framing: Framing, stream: bytes) -> set[int] | None:
    """Where the frames of a stream end; None if it does not consist of them."""
    cut = split(framing, stream)
    if cut is None or not all(frame.wire for frame in cut):
        return None
    at, ends = 0, set()
    for frame in cut:
        at += len(frame.wire)
        ends.add(at)
    return ends


def inferred(options: Options, folder: Folder) -> list[Inferred]:
    """Options with a framing for a service's tapes, the most telling first."""
    if options.framing is not None:
        return []
    tapes = tapes_of((step.request, step.reply) for step in steps(folder))
    return [Inferred(_options(one, options), _why(one)) for one in propose(tapes)]


def _options(one: Proposal, options: Options) -> dict[str, Any]:
    """What a person would write; rules for replies that are there already are kept."""
    if one.one_each or options.reply != ReplyRules():
        return {"framing": one.framing}
    return {"framing": one.framing, "reply": {"per_request": "any"}}


def _why(one: Proposal) -> str:
    ends = "every run ends" if one.aligned == 1 else f"{one.aligned:.0%} of the runs end"
    each = "" if one.one_each else "; not one reply to each request"
    return f"{one.requests} frames of clients, {one.replies} of the server; {ends} with a frame{each}"


# --- tapes told again ---------------------------------------------------------------------------------


def retold(tape: Tape, tap: Tap) -> list[Exchange | Fact]:
    """What a tap that knows the messages sees of a tape: exchanges and facts, as if it had been there.

    `tap` is fresh: that of a plugin whose options have the framing.
    """
    teller = _Teller(tap)
    for request, reply in tape:
        teller.tell(request, reply)
    return teller.end()


class _Teller:
    """Lets a tap see what was recorded, at the times at which it was said as far as they were kept."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._at = 0.0
        self._ended: set[Side] = set()
        self._kept: list[Exchange | Fact] = []

    def tell(self, request: TapeRequest, reply: TapeReply) -> None:
        self._at += request.after
        if request.said:
            self._see(self._tap.from_client(request.said, self._at))
        if request.ends:
            self._end(Side.CLIENT)
        self._at += reply.after
        if reply.said:
            self._see(self._tap.from_server(reply.said, self._at))
        if reply.then:
            self._end(Side.SERVER)
        if reply.then == "half_close":
            self._see(self._tap.from_client(b"", self._at))  # that it spoke on tells which end it was

    def end(self) -> list[Exchange | Fact]:
        self._end(Side.CLIENT)
        self._end(Side.SERVER)
        return self._kept

    def _end(self, side: Side) -> None:
        if side not in self._ended:
            self._ended.add(side)
            self._see(self._tap.eof(side, self._at))

    def _see(self, sight: Iterable[Seen]) -> None:
        for seen in self._followed(sight):
            if isinstance(seen, Exchange | Fact):
                self._kept.append(seen)

    def _followed(self, sight: Iterable[Seen]) -> Iterator[Seen]:
        for seen in sight:
            if isinstance(seen, Become):
                self._tap = seen.to
                yield from self._followed(self._tap.from_client(seen.rest, self._at))
            else:
                yield seen
