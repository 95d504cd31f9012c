"""Serving tapes: bytes in, bytes out, with the engine's part played by a dictionary of recorded runs."""

from collections.abc import Callable, Sequence

import pytest

from svcmock.protocol import Ask, Close, Out, Send, Wake
from svcmock_protocols.tcp.tape import TapeReply, TapeRequest
from svcmock_protocols.tcp.tape_library import Library, Step
from svcmock_protocols.tcp.tape_session import TapeSession
from tests.protocols.conformance import check_session_splits, check_session_survives, serve
from tests.protocols.tcp.tape_cases import Said, answers, context, step, steps, token

MISS = TapeReply(b"", "close", lost=True)

TALK: list[Said] = [
    (b"", b"220 hi\r\n"),
    (b"USER ann\r\n", b"331\r\n"),
    (b"QUIT\r\n", b"221\r\n", {"then": "close"}),
]


class Served:
    """A service: makes sessions, answers requests, and remembers the requests."""

    def __init__(
        self, recorded: Sequence[Step], miss: TapeReply = MISS, pace: float = 1.0, **options: object
    ) -> None:
        library = Library(recorded, b"", options.get("mask", ()), options.get("resume", "idle"))  # type: ignore[arg-type]
        self.context = context(library, pace, **options)
        self.replies = answers(recorded, library)
        self.library = library
        self.asked: list[TapeRequest] = []
        self._miss = miss

    def session(self) -> TapeSession:
        return TapeSession(self.context)

    def answer(self, request: TapeRequest) -> TapeReply:
        self.asked.append(request)
        return self.replies.get(self.library.key(request, token), self._miss)

    def talk(self, *reads: bytes, ending: bool = False) -> list[Out]:
        return [
            out for out in serve(self.session(), reads, self.answer, ending=ending) if not isinstance(out, Ask)
        ]


def test_a_conversation_is_had_again_however_it_is_cut() -> None:
    served = Served(steps(ftp=TALK))
    whole = check_session_splits(served.session, b"USER ann\r\nQUIT\r\n", served.answer)
    assert [out for out in whole if not isinstance(out, Ask)] == [
        Send(b"220 hi\r\n"),
        Send(b"331\r\n"),
        Send(b"221\r\n"),
        Close("flush"),
    ]
    assert [(ask.request.run, ask.size) for ask in whole if isinstance(ask, Ask)] == [(1, 0), (2, 10), (3, 6)]


def test_what_is_on_no_tape_ends_the_connection() -> None:
    served = Served(steps(ftp=TALK))
    whole = check_session_splits(served.session, b"USER bob\r\nQUIT\r\n", served.answer)
    assert whole[-1] == Close("flush")
    assert served.asked[-1] == TapeRequest("ftp", 2, b"USER b", cut=True)


@pytest.mark.parametrize("at", range(10))
def test_a_client_that_diverges_at_a_byte_is_told_up_to_it(at: int) -> None:
    said = b"USER ann\r\n"
    for reads in ([said[:at] + b"\xff" + said[at:]], [said[:at], b"\xff", said[at:]]):
        served = Served(steps(ftp=TALK, other=[TALK[0], (b"USER anna\r\n", b"332\r\n")]))
        assert served.talk(*reads) == [Send(b"220 hi\r\n"), Close("flush")]
        assert served.asked[-1].said == said[:at] + b"\xff"
        assert served.asked[-1].cut


def test_tapes_with_the_same_beginning_are_one_up_to_where_they_differ() -> None:
    alike: list[Said] = [(b"GET a", b"1"), (b"GET b", b"2")]
    served = Served(steps(one=[*alike, (b"GET c", b"3")], two=[*alike, (b"GET cc", b"4")], three=alike))
    for last, told in ((b"GET c", b"3"), (b"GET cd", b"3")):
        outs = serve(served.session(), [b"GET aGET b", last], served.answer)
        assert [out.data for out in outs if isinstance(out, Send)][-1] == told


def test_a_server_that_ended_only_its_side_reads_on() -> None:
    served = Served(steps(up=[(b"PUT", b"go", {"then": "half_close"})]))
    outs = served.talk(b"PUT", b"any", b"thing", ending=True)
    assert outs == [Send(b"go"), Close("half"), Close("flush")]
    assert len(served.asked) == 1


def test_who_speaks_before_an_unused_connection_is_given_up_goes_on() -> None:
    kept: list[Said] = [(b"GET a", b"1"), (b"", b"", {"after": 60.0, "then": "close"})]
    served = Served(steps(one=kept, two=[(b"GET b", b"2")]))
    outs = [out for out in served.talk(b"GET a") if isinstance(out, Wake)]
    assert [out.after for out in outs] == [60.0]
    session = served.session()
    for said, told in ((b"GET a", b"1"), (b"GET b", b"2"), (b"GET a", b"1")):
        (asked,) = session.received(said)
        assert isinstance(asked, Ask)
        assert session.answered(asked, served.answer(asked.request))[0] == Send(told)


def test_a_miss_may_say_something() -> None:
    served = Served(steps(ftp=TALK), TapeReply(b"500 what?\r\n", "close", lost=True))
    assert served.talk(b"NOOP\r\n") == [Send(b"220 hi\r\n"), Send(b"500 what?\r\n"), Close("flush")]
    reset = Served(steps(ftp=TALK), TapeReply(b"", "reset", lost=True))
    assert reset.talk(b"NOOP\r\n")[-1] == Close("abort")


def test_a_miss_may_say_nothing_and_hang() -> None:
    served = Served(steps(ftp=TALK), TapeReply(lost=True, hang=True))
    assert served.talk(b"NOOP\r\n", b"QUIT\r\n") == [Send(b"220 hi\r\n")]
    session = served.session()
    serve(session, [b"NOOP\r\n"], served.answer)
    assert session.idle
    assert session.eof() == (Close("flush"),)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_comes_nothing_raises(seed: int) -> None:
    served = Served(
        [
            *steps(ftp=TALK, two=[(b"", b"220 hi\r\n"), (b"USER eve\r\n", b"x")]),
            step("z", 1, b"all", b"z", {"ends": True}),
        ],
        mask=(r"USER (\w+)",),
    )
    check_session_survives(served.session, b"USER ann\r\nQUIT\r\n", served.answer, seed)


def test_a_server_that_speaks_on_does_so_after_its_pause() -> None:
    recorded = steps(t=[(b"SUB\n", b"+\n"), (b"", b"1\n", {"after": 0.5}), (b"", b"2\n", {"after": 0.25})])
    assert Served(recorded).talk(b"SUB\n") == [
        Send(b"+\n"),
        Wake(0.5, 1),
        Send(b"1\n"),
        Wake(0.25, 2),
        Send(b"2\n"),
    ]
    assert Served(recorded, pace=2.0).talk(b"SUB\n")[1] == Wake(1.0, 1)


def test_without_pauses_all_is_said_at_once() -> None:
    recorded = steps(t=[(b"SUB\n", b"+\n"), (b"", b"1\n", {"after": 0.5}), (b"", b"2\n", {"after": 0.25})])
    sent = [out.data for out in Served(recorded, pace=0.0).talk(b"SUB\n") if isinstance(out, Send)]
    assert b"".join(sent) == b"+\n1\n2\n"


def test_a_client_that_is_ahead_is_not_kept_waiting() -> None:
    served = Served(steps(t=[(b"SUB\n", b"+\n"), (b"", b"1\n", {"after": 9.0}), (b"END\n", b"-\n")]))
    session = served.session()
    outs = _settled(session, session.received(b"SUB\n"), served.answer)
    assert outs == [Send(b"+\n"), Wake(9.0, 1)]
    assert _settled(session, session.received(b"EN"), served.answer) == []
    assert not session.idle
    assert session.timed_out() == ()
    assert _settled(session, session.received(b"D\n"), served.answer) == [Send(b"1\n"), Send(b"-\n")]
    assert session.woke(1) == ()


def test_a_pause_that_is_over_is_told_once() -> None:
    served = Served(steps(t=[(b"", b"1\n", {"after": 9.0})]))
    session = served.session()
    (wake,) = session.opened()
    assert isinstance(wake, Wake)
    assert session.received(b"") == ()
    assert session.woke("another") == ()
    assert _settled(session, session.woke(wake.token), served.answer) == [Send(b"1\n")]
    assert session.woke(wake.token) == ()


def _settled(
    session: TapeSession, outs: Sequence[Out], answer: Callable[[TapeRequest], TapeReply]
) -> list[Out]:
    done: list[Out] = []
    waiting = list(outs)
    while waiting:
        out = waiting.pop(0)
        if isinstance(out, Ask):
            waiting[:0] = session.answered(out, answer(out.request))
        else:
            done.append(out)
    return done


def test_an_end_that_is_waited_for() -> None:
    served = Served(steps(t=[(b"all of it", b"got it", {"ends": True})]))
    assert served.talk(b"all of it") == []
    assert served.talk(b"all of it", ending=True) == [Send(b"got it"), Close("flush")]
    assert served.asked[-1] == TapeRequest("t", 1, b"all of it", ends=True)


def test_a_client_that_goes_is_let_go() -> None:
    served = Served(steps(ftp=TALK))
    assert served.talk(b"USER ann\r\n", ending=True)[-1] == Close("flush")
    assert served.talk(ending=True) == [Send(b"220 hi\r\n"), Close("flush")]


def test_who_goes_in_the_middle_of_a_run_leaves_a_miss() -> None:
    served = Served(steps(ftp=TALK))
    assert served.talk(b"USER a", ending=True) == [Send(b"220 hi\r\n"), Close("flush")]
    assert served.asked[-1] == TapeRequest("ftp", 2, b"USER a", ends=True)


def test_who_stops_in_the_middle_of_a_run_leaves_a_miss() -> None:
    served = Served(steps(ftp=TALK), TapeReply(lost=True, hang=True))
    session = served.session()
    serve(session, [b"USER a"], served.answer)
    assert not session.idle
    assert _settled(session, session.timed_out(), served.answer) == [Close("flush")]
    assert served.asked[-1] == TapeRequest("ftp", 2, b"USER a")


def test_what_comes_while_an_answer_is_waited_for_is_kept() -> None:
    served = Served(steps(t=[(b"a", b"1"), (b"b", b"2")]))
    session = served.session()
    (ask,) = session.received(b"a")
    assert isinstance(ask, Ask)
    assert session.received(b"b") == ()
    assert session.held == 1
    assert not session.idle
    assert session.waiting(ask, 1.0) == ()
    assert session.woke(1) == ()
    assert _settled(session, session.answered(ask, TapeReply(b"1")), served.answer) == [Send(b"1"), Send(b"2")]
    assert session.held == 0
    assert session.idle


def test_a_stopping_daemon_gives_the_answer_that_it_owes() -> None:
    served = Served(steps(t=[(b"a", b"1"), (b"b", b"2")]))
    session = served.session()
    (ask,) = session.received(b"ab")
    assert isinstance(ask, Ask)
    assert session.draining() == ()
    assert session.answered(ask, TapeReply(b"1")) == [Send(b"1"), Close("flush")]
    assert served.session().draining() == (Close("flush"),)


def test_an_answer_that_comes_too_late_is_not_given() -> None:
    served = Served(steps(t=[(b"a", b"1")]))
    session = served.session()
    (ask,) = session.received(b"a")
    assert isinstance(ask, Ask)
    assert session.timed_out() == session.draining() == ()
    assert session.answered(ask, TapeReply(b"1")) == [Send(b"1"), Close("flush")]
    assert session.answered(ask, TapeReply(b"1")) == ()


def test_a_transaction_id_is_given_back() -> None:
    recorded = steps(
        t=[(b"\0\1ping", b"\0\1pong", {"mask": ((0, 2),)}), (b"\0\2ping", b"\0\2pong", {"mask": ((0, 2),)})]
    )
    served = Served(recorded)
    sent = b"".join(out.data for out in served.talk(b"\xab\xcdping\xee\xffping") if isinstance(out, Send))
    assert sent == b"\xab\xcdpong\xee\xffpong"
    plain = Served(recorded, echo=False)
    assert b"".join(out.data for out in plain.talk(b"\xab\xcdping") if isinstance(out, Send)) == b"\0\1pong"


def test_a_name_is_remembered_for_later_answers() -> None:
    recorded = steps(t=[(b"I am alice\n", b"ok\n"), (b"who\n", b"you are alice\n")])
    served = Served(recorded, mask=(r"I am (\w+)",))
    sent = b"".join(out.data for out in served.talk(b"I am bartholomew\n", b"who\n") if isinstance(out, Send))
    assert sent == b"ok\nyou are bartholomew\n"


def test_only_the_rest_of_what_was_answered_is_sent() -> None:
    recorded = steps(slow=[(b"a", b"1")], fast=[(b"ab", b"12"), (b"c", b"3")])
    sent = b"".join(out.data for out in Served(recorded).talk(b"abc") if isinstance(out, Send))
    assert sent == b"123"


def test_a_run_may_have_no_answer() -> None:
    served = Served(steps(t=[(b"log this\n", b""), (b"and this\n", b"ok\n")]))
    whole = check_session_splits(served.session, b"log this\nand this\n", served.answer)
    assert [out for out in whole if not isinstance(out, Ask)] == [Send(b"ok\n"), Close("flush")]


def test_a_session_without_tapes_knows_nothing() -> None:
    session = TapeSession(context())
    assert session.opened() == ()
    (ask,) = session.received(b"hello")
    assert isinstance(ask, Ask)
    assert ask.request == TapeRequest("", 0, b"h", cut=True)


def test_where_a_connection_is_its_bytes_do_not_say() -> None:
    session = Served(steps(ftp=TALK)).session()
    assert session.at_rest is None
    assert session.idle


def test_all_ends_of_tapes_are_alike() -> None:
    """What a session promises by `at_rest`: there, equal bytes give equal outs, and leave it there."""
    served = Served(
        steps(
            a=[(b"one", b"1")],
            b=[(b"two", b"2"), (b"three", b"3")],
            c=[(b"x", b"y"), (b"", b"z", {"after": 1.0})],
        )
    )
    one, other = served.session(), served.session()
    assert one.at_rest is None
    serve(one, [b"one"], served.answer)
    serve(other, [b"twothree"], served.answer)
    assert one.at_rest == other.at_rest is not None
    for said in (b"one", b"oneone", b"one", b"?"):
        outs = [_settled(each, each.received(said), served.answer) for each in (one, other)]
        assert outs[0] == outs[1]
        assert one.at_rest == other.at_rest
    assert one.at_rest is None  # it is over


@pytest.mark.parametrize("said", [b"on", b"two", b"x", b"one\x00"])
def test_in_the_middle_there_is_no_rest(said: bytes) -> None:
    served = Served(
        steps(
            a=[(b"one", b"1")],
            b=[(b"two", b"2"), (b"three", b"3")],
            c=[(b"x", b"y"), (b"", b"z", {"after": 1.0})],
        )
    )
    session = served.session()
    _settled(session, session.received(said), served.answer)
    assert session.at_rest is None


def test_who_brought_bytes_of_its_own_is_not_like_others() -> None:
    served = Served(steps(t=[(b"I am alice\n", b"hi alice\n")]), mask=(r"I am (\w+)",))
    for name, rests in ((b"alice", True), (b"bert", False)):
        session = served.session()
        serve(session, [b"I am %b\n" % name], served.answer)
        assert (session.at_rest is not None) is rests
