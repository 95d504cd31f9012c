"""Recording tapes: what is forwarded, what becomes a run, and what is lost."""

import pytest

from svcmock.protocol import Began, Exchange, Forward, Lost, Seen, Shut, Side, Upstream
from svcmock_protocols.tcp.tape import MAX_RUN, TapeReply, TapeRequest
from svcmock_protocols.tcp.tape_tap import TapeTap
from tests.protocols.conformance import watch
from tests.protocols.tcp.tape_cases import context, token

UPSTREAM = Upstream("tcp://h:1", "h:1")


def tap(**options: object) -> TapeTap:
    return TapeTap(context(**options), UPSTREAM)


class Heard:
    """A tap and all that it saw; each step says at which time."""

    def __init__(self, **options: object) -> None:
        self.tap = tap(**options)
        self.seen: list[Seen] = []

    def client(self, data: bytes, at: float) -> "Heard":
        self.seen += self.tap.from_client(data, at)
        return self

    def server(self, data: bytes, at: float) -> "Heard":
        self.seen += self.tap.from_server(data, at)
        return self

    def end(self, side: Side, at: float) -> "Heard":
        self.seen += self.tap.eof(side, at)
        return self

    def hang_up(self, at: float) -> "Heard":
        """The server ends, and so does the client then."""
        return self.end(Side.SERVER, at).end(Side.CLIENT, at)

    @property
    def runs(self) -> list[tuple[TapeRequest, TapeReply]]:
        """Without their tape's name, which is the same for all."""
        found = [one for one in self.seen if isinstance(one, Exchange)]
        assert len({one.request.tape for one in found}) <= 1
        return [(_nameless(one.request), one.reply) for one in found]

    def forwarded(self, to: Side) -> bytes:
        return b"".join(one.data for one in self.seen if isinstance(one, Forward) and one.to is to)

    def settled(self) -> bool:
        began = [one.id for one in self.seen if isinstance(one, Began)]
        done = [one.id for one in self.seen if isinstance(one, Exchange | Lost)]
        return sorted(began) == sorted(done)


def _nameless(request: TapeRequest) -> TapeRequest:
    assert len(request.tape) == 12
    return TapeRequest("", request.run, request.said, request.ends, request.after)


def run(number: int, said: bytes, ends: bool = False, after: float = 0.0) -> TapeRequest:
    return TapeRequest("", number, said, ends, after)


def test_a_connection_becomes_runs() -> None:
    heard = Heard().client(b"LOG", 1.0).client(b"IN\n", 1.01).server(b"O", 1.02).server(b"K\n", 1.03)
    assert heard.runs == []
    heard.client(b"QUIT\n", 1.04)
    assert heard.runs == [(run(1, b"LOGIN\n"), TapeReply(b"OK\n"))]
    heard.server(b"BYE\n", 1.05).end(Side.SERVER, 1.06).end(Side.CLIENT, 1.07)
    assert heard.runs[1:] == [(run(2, b"QUIT\n"), TapeReply(b"BYE\n", "close"))]
    assert heard.settled()
    assert heard.forwarded(Side.SERVER) == b"LOGIN\nQUIT\n"
    assert heard.forwarded(Side.CLIENT) == b"OK\nBYE\n"
    timing = next(one.timing for one in heard.seen if isinstance(one, Exchange))
    assert (timing.at, round(timing.took, 3)) == (1.0, 0.02)


def test_a_run_does_not_depend_on_cuts() -> None:
    whole = [one for one in watch(tap(), [(Side.CLIENT, b"GET a\n"), (Side.SERVER, b"1234\n")]) if _kept(one)]
    cut = [(Side.CLIENT, b"GE"), (Side.CLIENT, b"T a\n"), *((Side.SERVER, bytes([byte])) for byte in b"1234\n")]
    made = [one for one in watch(tap(), cut) if _kept(one)]
    assert [one.reply for one in made if isinstance(one, Exchange)] == [
        one.reply for one in whole if isinstance(one, Exchange)
    ]
    assert [one.request.said for one in made if isinstance(one, Exchange)] == [b"GET a\n"]


def _kept(one: Seen) -> bool:
    return not isinstance(one, Forward)


def test_silence_tells_that_a_run_is_whole() -> None:
    heard = Heard(idle="2s").client(b"a", 0.0)
    assert heard.tap.rest > 2.0
    assert heard.tap.rested(3.0) == ()
    heard.server(b"1", 3.5)
    heard.seen += heard.tap.rested(6.0)
    assert heard.runs == [(run(1, b"a"), TapeReply(b"1"))]
    assert heard.tap.rested(9.0) == ()
    heard.hang_up(9.0)
    assert heard.runs[1:] == [(run(2, b""), TapeReply(b"", "close", 5.5))]


def test_a_server_may_speak_first() -> None:
    heard = Heard().server(b"220 hi\n", 5.0).client(b"QUIT\n", 5.2).end(Side.SERVER, 5.2).end(Side.CLIENT, 5.2)
    assert heard.runs == [
        (run(1, b""), TapeReply(b"220 hi\n")),
        (run(2, b"QUIT\n", after=0.2), TapeReply(b"", "close")),
    ]


def test_a_pause_of_the_server_begins_a_run_of_its_own() -> None:
    heard = Heard().client(b"SUB\n", 0.0).server(b"+", 0.01).server(b"\n", 0.05).server(b"1\n", 1.05)
    heard.server(b"2\n", 1.5).hang_up(3.0)
    assert heard.runs == [
        (run(1, b"SUB\n"), TapeReply(b"+\n")),
        (run(2, b""), TapeReply(b"1\n", after=1.0)),
        (run(3, b""), TapeReply(b"2\n", after=0.45)),
        (run(4, b""), TapeReply(b"", "close", after=1.5)),
    ]
    assert heard.settled()


def test_how_long_a_pause_is_can_be_said() -> None:
    heard = Heard(idle="2s").server(b"1", 0.0).server(b"2", 1.5).server(b"3", 4.0).hang_up(4.0)
    assert [reply.said for _, reply in heard.runs] == [b"12", b"3"]


def test_a_pause_of_the_client_is_no_end_of_its_run_but_is_kept_before_one() -> None:
    heard = Heard().client(b"GET", 0.0).client(b" a\n", 7.0).server(b"1\n", 7.0).client(b"b\n", 8.0)
    heard.server(b"2\n", 8.0).end(Side.CLIENT, 9.0)
    assert [request for request, _ in heard.runs] == [run(1, b"GET a\n"), run(2, b"b\n", after=1.0)]


def test_an_end_of_the_client_is_kept_where_it_is_answered() -> None:
    heard = Heard().client(b"all", 0.0).end(Side.CLIENT, 0.0).server(b"got", 0.0).server(b" it", 0.01)
    heard.end(Side.SERVER, 0.02)
    assert heard.runs == [(run(1, b"all", ends=True), TapeReply(b"got it"))]
    assert Shut(Side.SERVER) in heard.seen
    assert Shut(Side.CLIENT) in heard.seen


def test_what_follows_an_end_of_the_client_is_kept() -> None:
    heard = (
        Heard().client(b"a", 0.0).server(b"1", 0.0).end(Side.CLIENT, 0.0).server(b"2", 0.0).server(b"3", 9.0)
    )
    heard.end(Side.SERVER, 9.0)
    assert heard.runs == [
        (run(1, b"a"), TapeReply(b"1")),
        (run(2, b"", ends=True), TapeReply(b"2")),
        (run(3, b""), TapeReply(b"3", after=9.0)),
    ]


def test_an_end_that_nobody_answers_is_not_kept() -> None:
    heard = Heard().client(b"log this", 0.0).end(Side.CLIENT, 0.0).end(Side.SERVER, 0.0)
    assert heard.runs == [(run(1, b"log this"), TapeReply())]
    assert Heard().end(Side.CLIENT, 0.0).end(Side.SERVER, 0.0).runs == []


def test_a_reply_is_whole_when_its_client_goes() -> None:
    """A client that is gone may be all that is told: the server's end need not follow."""
    heard = Heard().client(b"a", 0.0).server(b"1", 0.0).end(Side.CLIENT, 0.1)
    assert heard.runs == [(run(1, b"a"), TapeReply(b"1"))]
    assert heard.settled()


def test_a_server_that_hangs_up_at_once_is_a_tape_too() -> None:
    assert Heard().hang_up(0.0).runs == [(run(1, b""), TapeReply(b"", "close"))]


def test_a_reset_is_kept() -> None:
    heard = Heard().client(b"a", 0.0).server(b"1", 0.0)
    heard.seen += heard.tap.broken(Side.SERVER, 0.0)
    heard.end(Side.CLIENT, 0.0)
    assert heard.runs == [(run(1, b"a"), TapeReply(b"1", "reset"))]
    later = Heard().client(b"a", 0.0).server(b"1", 0.0)
    later.seen += later.tap.broken(Side.SERVER, 1.0)
    assert later.runs[1] == (run(2, b""), TapeReply(b"", "reset", after=1.0))
    assert later.settled()
    assert list(later.tap.broken(Side.SERVER, 2.0)) == [Shut(Side.CLIENT)]


def test_a_client_that_breaks_off_has_ended() -> None:
    heard = Heard().client(b"a", 0.0).server(b"1", 0.0)
    heard.seen += heard.tap.broken(Side.CLIENT, 0.0)
    assert heard.runs == [(run(1, b"a"), TapeReply(b"1"))]


def test_a_client_that_speaks_on_tells_that_the_server_had_ended_only_its_side() -> None:
    heard = Heard().server(b"bye", 0.0).end(Side.SERVER, 0.0).client(b"wait!", 0.1).end(Side.CLIENT, 0.2)
    assert heard.runs == [(run(1, b""), TapeReply(b"bye", "half_close"))]
    assert heard.forwarded(Side.SERVER) == b"wait!"
    assert heard.settled()


@pytest.mark.parametrize("size", [MAX_RUN, MAX_RUN + 1, 3 * MAX_RUN + 5])
def test_what_is_long_becomes_several_runs(size: int) -> None:
    heard = Heard().client(b"c" * size, 0.0).server(b"s" * size, 0.0).hang_up(0.0)
    assert b"".join(request.said for request, _ in heard.runs) == b"c" * size
    assert b"".join(reply.said for _, reply in heard.runs) == b"s" * size
    assert max(len(request.said) for request, _ in heard.runs) <= MAX_RUN
    assert max(len(reply.said) for _, reply in heard.runs) <= MAX_RUN
    assert [request.run for request, _ in heard.runs] == list(range(1, len(heard.runs) + 1))
    assert heard.settled()


def test_tapes_have_names_of_their_own() -> None:
    names = set()
    for at, said in ((1.0, b"a"), (2.0, b"a"), (1.0, b"b")):
        heard = Heard().client(said, at).server(b"1", at).hang_up(at)
        names |= {one.request.tape for one in heard.seen if isinstance(one, Exchange)}
    assert len(names) == 3


def test_credentials_are_replaced_in_both_directions() -> None:
    heard = Heard(redact=(r"(?:PASS|key) (\w+)",)).client(b"PASS hunter2\n", 0.0).server(b"your key abc\n", 0.0)
    heard.hang_up(0.0)
    ((request, reply),) = heard.runs
    assert request.said == b"PASS " + token(b"hunter2") + b"\n"
    assert reply.said == b"your key " + token(b"abc") + b"\n"
    assert heard.forwarded(Side.SERVER) == b"PASS hunter2\n"


def test_without_an_upstream_the_client_is_let_go() -> None:
    heard = Heard().client(b"hello", 0.0)
    heard.seen += heard.tap.unreachable("refused", 0.1)
    heard.client(b"again", 0.2).end(Side.CLIENT, 0.3).end(Side.SERVER, 0.3)
    assert heard.runs == []
    assert heard.settled()
    assert [one for one in heard.seen if isinstance(one, Lost)] == [Lost(1, "refused")]
    assert Shut(Side.CLIENT) in heard.seen


def test_there_is_nothing_to_be_informed_of() -> None:
    assert tap().informed(context()) == ()
