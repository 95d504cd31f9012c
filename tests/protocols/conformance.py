"""What every protocol module must keep to, whatever it speaks.

However a peer's bytes are cut into reads, the same happens; and no bytes make a session or a tap raise.
Used with literal bytes by the tests of each protocol.
"""

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec.structs import replace

from svcmock.capabilities import Dating
from svcmock.protocol import (
    Ask,
    Become,
    Close,
    Date,
    Forward,
    Out,
    ProtocolError,
    Reply,
    Request,
    Seen,
    Send,
    Session,
    Side,
    Spool,
    Tap,
    Wake,
)

Answer = Callable[[Request], Reply]


def splits(data: bytes, seed: int = 0, rounds: int = 3) -> Iterator[list[bytes]]:
    """`data` whole, byte by byte, in two at its middle, and cut at random places."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    yield [data[: len(data) // 2], data[len(data) // 2 :]]
    dice = random.Random(seed)
    for _ in range(rounds):
        cuts = sorted(dice.sample(range(len(data) + 1), min(len(data), dice.randint(1, 8))))
        yield [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]


def serve(
    session: Session, reads: Iterable[bytes], answer: Answer | None, *, ending: bool = False
) -> list[Out]:
    """All that a session does about these reads, every Ask answered and every Wake over at once.

    It is always the beginning of 1970.

    `answer`: None leaves all Asks open.
    """
    outs: list[Out] = []
    session = _settle(session, session.opened(), answer, outs)
    for data in reads:
        session = _settle(session, session.received(data), answer, outs)
    if ending:
        _settle(session, session.eof(), answer, outs)
    return joined(outs)


def _settle(session: Session, new: Sequence[Out], answer: Answer | None, outs: list[Out]) -> Session:
    """Carry these outs out, as the driver does; gives the session that has the connection then."""
    waiting = list(new)
    while waiting:
        out = waiting.pop(0)
        if isinstance(out, Become):
            session = out.to
            waiting[:0] = [*session.opened(), *session.received(out.rest)]
            out = Become(type(session).__name__)  # equal for all sessions, however much came with it
        outs.append(out)
        if isinstance(out, Ask) and answer is not None:
            waiting[:0] = session.answered(out, answer(out.request))  # at once, as the driver does
        elif isinstance(out, Wake):
            waiting.extend(session.woke(out.token))
        elif isinstance(out, Date) and isinstance(session, Dating):
            waiting[:0] = session.dated(out.token, 0.0)
    return session


def joined(outs: Iterable[Out]) -> list[Out]:
    """Outs with neighbouring Sends, and neighbouring Spools to one token, made one."""
    made: list[Out] = []
    for out in outs:
        last = made[-1] if made else None
        if isinstance(out, Send) and isinstance(last, Send):
            made[-1] = Send(last.data + out.data)
        elif isinstance(out, Spool) and isinstance(last, Spool) and out.token == last.token:
            made[-1] = replace(last, data=last.data + out.data)
        else:
            made.append(out)
    return made


def check_session_splits(make: Callable[[], Session], data: bytes, answer: Answer | None) -> list[Out]:
    """The outs for `data`, which must not depend on how it is cut."""
    whole = serve(make(), [data], answer, ending=True)
    for reads in splits(data):
        assert serve(make(), reads, answer, ending=True) == whole, f"differs for reads {reads!r}"
    return whole


def check_session_survives(
    make: Callable[[], Session],
    data: bytes,
    answer: Answer | None,
    seed: int,
    promised: Callable[[list[Out]], object] | None = None,
) -> None:
    """Mutated bytes, however cut: nothing raises, the cuts do not matter, and nothing follows a Close.

    `promised`: what of the outs must not depend on the cuts, where that is not all but Spools.
    """
    promised = promised or _kept
    damaged = mutate(data, seed)
    whole = serve(make(), [damaged], answer, ending=True)
    for reads in splits(damaged, seed, rounds=2):
        outs = serve(make(), reads, answer, ending=True)
        assert promised(outs) == promised(whole), f"differs for reads {reads!r}"
        assert not any(isinstance(out, Close) for out in outs[:-1])


def _kept(outs: list[Out]) -> list[Out]:
    """Without Spools: how much of a body that turns out wrong went to disk is not promised."""
    return joined(out for out in outs if not isinstance(out, Spool))


def mutate(data: bytes, seed: int) -> bytes:
    """`data` with a few bytes changed, cut out, doubled or put in, favouring those that grammars care about."""
    dice = random.Random(seed)
    bytes_ = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(bytes_) + 1)
        match dice.randrange(4):
            case 0:
                bytes_[at : at + 1] = bytes([dice.choice(_TELLING)])
            case 1:
                del bytes_[at : at + dice.randint(1, 6)]
            case 2:
                bytes_[at:at] = bytes_[at : at + dice.randint(1, 20)]
            case _:
                bytes_[at:at] = bytes(dice.choices(_TELLING, k=dice.randint(1, 3)))
    return bytes(bytes_)


_TELLING = b"\r\n\t :;,0123456789abcfx+-_\x00\x01\x0b\x7f\x80\xff"


def watch(tap: Tap, reads: Iterable[tuple[Side, bytes]], pause: float = 0.0) -> list[Seen]:
    """All that a tap sees in these reads of both directions, `pause` seconds apart, then in both ends."""
    seen: list[Seen] = []
    at = 0.0
    for side, data in reads:
        feed = tap.from_client if side is Side.CLIENT else tap.from_server
        tap = _follow(tap, feed(data, at), seen, at)
        at += pause
    seen.extend(tap.eof(Side.CLIENT, at))
    seen.extend(tap.eof(Side.SERVER, at))
    return seen


def _follow(tap: Tap, sight: Iterable[Seen], seen: list[Seen], at: float) -> Tap:
    """Note what was seen; gives the tap that has the connection then."""
    for one in sight:
        if isinstance(one, Become):
            tap = _follow(one.to, one.to.from_client(one.rest, at), seen, at)
        else:
            seen.append(one)
    return tap


def check_tap_splits(make: Callable[[], Tap], client: bytes, server: bytes) -> list[Seen]:
    """What a tap sees of a client's bytes and then a server's; but for Forwards it must not depend on the cuts.

    What is forwarded in each direction must not either, all of it taken together.
    """
    whole = watch(make(), [(Side.CLIENT, client), (Side.SERVER, server)])
    for to, back in zip(splits(client), splits(server), strict=True):
        reads = [(Side.CLIENT, data) for data in to] + [(Side.SERVER, data) for data in back]
        seen = watch(make(), reads)
        assert _told(seen) == _told(whole), f"differs for reads {reads!r}"
        for side in Side:
            assert _forwarded(seen, side) == _forwarded(whole, side), f"differs for reads {reads!r}"
    return whole


def _told(seen: Iterable[Seen]) -> list[Seen]:
    return [one for one in seen if not isinstance(one, Forward | Spool)]


def _forwarded(seen: Iterable[Seen], side: Side) -> bytes:
    return b"".join(one.data for one in seen if isinstance(one, Forward) and one.to is side)


def check_decoder(decode: Callable[[bytes], object], data: bytes, seeds: Iterable[int]) -> None:
    """A pure decoder raises nothing but ProtocolError, whatever it is given."""
    for seed in seeds:
        with contextlib.suppress(ProtocolError):
            decode(mutate(data, seed))
