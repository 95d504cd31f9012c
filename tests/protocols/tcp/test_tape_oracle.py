"""Whatever two sides say to each other: recorded, written, loaded and had again, byte for byte.

The oracle is the conversation itself. All parts are the real ones: the tap, the recording, the project's
loader, the engine and the session; only sockets are missing.
"""

import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock.engine import Responder
from svcmock.project import load
from svcmock.protocol import Ask, Close, Exchange, Send, Side, Upstream, Wake
from svcmock.recording import Recording
from svcmock_protocols.tcp import plugin
from svcmock_protocols.tcp.tape_session import TapeSession
from svcmock_protocols.tcp.tape_tap import TapeTap
from tests.protocols.tcp.tape_cases import context

Turns = Sequence[tuple[Side, bytes]]
"""What was said, in order; two of one side with a pause between them."""

GRAPH = """\
version: 1
services:
  raw: {listen: 0, protocol: tcp, routes: recordings/raw/, options: {tape: OPTIONS}}
"""


def recorded(root: Path, conversations: Sequence[Turns]) -> None:
    """Write a recording of these connections."""
    recording = Recording(root / "recordings" / "raw", "a.yaml", lambda spooled: Path())
    made_in = context()
    for number, turns in enumerate(conversations):
        tap = TapeTap(made_in, Upstream("tcp://h:1", "h:1"))
        at = 1000.0 * number
        for side, data in turns:
            at += 1.0
            seen = tap.from_client(data, at) if side is Side.CLIENT else tap.from_server(data, at)
            _keep(recording, seen)
        _keep(recording, tap.eof(Side.CLIENT, at))
        _keep(recording, tap.eof(Side.SERVER, at))
    recording.close()


def _keep(recording: Recording, seen: Sequence[object]) -> None:
    for one in seen:
        if isinstance(one, Exchange):
            documents = plugin.dump(one.request, one.reply, context())
            recording.append({"request": documents.request, "respond": documents.respond}, documents.files)


@contextmanager
def served(conversations: Sequence[Turns], options: str = "{}") -> Iterator[Responder]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "recordings" / "raw").mkdir(parents=True)
        (root / "svcmock.yaml").write_text(GRAPH.replace("OPTIONS", options))
        recorded(root, conversations)
        loaded = load(root, {"tcp": plugin})
        assert [str(problem) for problem in loaded.problems if problem.severity == "error"] == []
        yield loaded.responders["raw"]


def said(responder: Responder, turns: Turns, dice: random.Random) -> list[bytes]:
    """What a client of this conversation gets: what was sent before each time that it speaks, and at last.

    Its bytes are cut at random; pauses are over at once when nothing else happens.
    """
    session = TapeSession(responder.context)
    heard: list[bytes] = []
    got = _settle(session, responder, session.opened())
    for side, data in turns:
        if side is Side.SERVER:
            continue
        heard.append(got)
        got = b""
        at = 0
        while at < len(data):
            size = dice.randint(1, len(data) - at)
            got += _settle(session, responder, session.received(data[at : at + size]))
            at += size
    return [*heard, got]


def _settle(session: TapeSession, responder: Responder, outs: Sequence[object]) -> bytes:
    waiting, got = list(outs), b""
    while waiting:
        out = waiting.pop(0)
        match out:
            case Send(data):
                got += data
            case Ask():
                decision = responder.decide(out.request)
                assert decision is not None, out.request
                waiting[:0] = session.answered(out, decision.reply)
            case Wake(_, token):
                waiting += session.woke(token)
            case Close():
                pass
    return got


def expected(turns: Turns) -> list[bytes]:
    """What the server said before each run of the client, and at last."""
    heard = [b""]
    for side, data in turns:
        if side is Side.SERVER:
            heard[-1] += data
        else:
            heard.append(b"")
    return heard


_DATA = st.binary(min_size=1, max_size=12) | st.sampled_from(
    [b"GET a\r\n", b"OK\r\n", b"~", b"null", b"1e3", b"- x\n"]
)
_TURNS = st.lists(st.tuples(st.sampled_from(list(Side)), _DATA), min_size=1, max_size=8)


@settings(max_examples=40)
@given(_TURNS, st.integers())
def test_a_conversation_is_had_again(turns: Turns, seed: int) -> None:
    with served([turns]) as responder:
        got = said(responder, turns, random.Random(seed))
        assert b"".join(got) == b"".join(data for side, data in turns if side is Side.SERVER)
        assert got == expected(turns)


@settings(max_examples=25)
@given(st.lists(_TURNS, min_size=2, max_size=5), st.integers())
def test_each_of_several_conversations_is_had_again(conversations: Sequence[Turns], seed: int) -> None:
    """Where none begins as another one does, so that what a client says tells which it is."""
    mine: list[Turns] = [
        [(Side.CLIENT, b"<%d>" % number), *turns] for number, turns in enumerate(conversations)
    ]
    with served(mine) as responder:
        for turns in mine:
            assert said(responder, turns, random.Random(seed)) == expected(turns)


def test_what_differs_late_is_told_apart() -> None:
    login = [(Side.CLIENT, b"LOGIN\n"), (Side.SERVER, b"OK\n")]
    talks: Mapping[bytes, Turns] = {
        name: [*login, (Side.CLIENT, b"GET %b\n" % name), (Side.SERVER, b"it is %b\n" % name)]
        for name in (b"a", b"ab", b"b", b"\x00")
    }
    with served(list(talks.values())) as responder:
        for turns in talks.values():
            assert said(responder, turns, random.Random(1)) == expected(turns)


@pytest.mark.parametrize("policy", ["cycle", "sequence"])
def test_what_was_answered_differently_takes_turns(policy: str) -> None:
    talks = [[(Side.CLIENT, b"ROLL\n"), (Side.SERVER, b"%d\n" % number)] for number in (3, 5)]
    with served(talks, "{}}, policy: " + policy + ", limits: {idle: 9") as responder:
        got = [said(responder, talks[0], random.Random(1))[1] for _ in range(3)]
        assert got == [b"3\n", b"5\n", b"3\n" if policy == "cycle" else b"5\n"]
