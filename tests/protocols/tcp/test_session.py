"""Serving frames: bytes in, outs out. Each case is delivered whole, byte by byte and cut at random places."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from svcmock.protocol import Ask, Close, Date, Out, Send, StartTLS, Wake
from svcmock_protocols.tcp.forms import finished
from svcmock_protocols.tcp.messages import Piece, Reply, Request
from svcmock_protocols.tcp.session import (
    BANNER,
    MAX_OWED,
    MAX_PUSHING,
    MAX_UNREAD,
    PUSH,
    REQUEST,
    UNREAD,
    FramedSession,
)
from svcmock_protocols.tcp.stated import LEAST_EVERY
from tests.protocols.conformance import check_session_splits, check_session_survives, serve
from tests.protocols.tcp.framed import FIX, ISO, LINES, MODBUS, reply, service

CLOSE = Close("flush")
OPEN = Ask(BANNER, Request(kind="banner"), optional=True)


def make(options: dict[str, Any] = LINES, **more: Any) -> FramedSession:
    return FramedSession(service(options, **more))


def line(*texts: bytes, then: Any = "", after: float = 0.0) -> Reply:
    return finished(tuple(Piece(text, text + b"\n", after * (n > 0)) for n, text in enumerate(texts)), then)


def answers(**known: Reply) -> Callable[[Request], Any]:
    """By what is asked for, `banner` and `push_N` apart; what is not there is echoed, or not there."""

    def answer(request: Request) -> Reply | None:
        if request.kind == "banner":
            return known.get("banner")
        if request.kind == "push":
            return known.get(f"push_{request.number}_{request.payload.decode()}")
        return known.get(request.payload.decode("latin-1"), line(request.payload))

    return answer


def sent(outs: list[Out]) -> bytes:
    return b"".join(out.data for out in outs if isinstance(out, Send))


def ask(payload: bytes) -> Ask:
    return Ask(REQUEST, Request(payload), len(payload) + 1)


LEFT = "the client left in the middle of a frame"


def unread(payload: bytes, why: str = LEFT) -> Ask:
    return Ask(UNREAD, Request(payload, kind="unread", why=why), len(payload))


def promised(outs: list[Out]) -> list[Out]:
    """Without what is no frame: how much of it came before that was clear depends on how it is cut."""
    return [unread(b"", "") if isinstance(out, Ask) and out.id == UNREAD else out for out in outs]


NOTHING = Reply(then="close")


def test_frames_are_asked_for_and_answered_in_their_order() -> None:
    outs = check_session_splits(make, b"a\nb\n\nc", answers(b=line(b"1", b"2"), c=NOTHING))
    assert outs == [
        OPEN, ask(b"a"), Send(b"a\n"), ask(b"b"), Send(b"1\n2\n"), ask(b""), Send(b"\n"), unread(b"c"), CLOSE,
    ]  # fmt: skip


def test_a_banner_comes_first() -> None:
    assert check_session_splits(make, b"a\n", answers(banner=line(b"hi"))) == [
        OPEN, Send(b"hi\n"), ask(b"a"), Send(b"a\n"), CLOSE,
    ]  # fmt: skip


def test_a_client_that_speaks_before_its_banner_waits() -> None:
    session = make()
    (asked,) = session.opened()
    assert isinstance(asked, Ask)
    assert session.received(b"a\n") == ()
    assert (session.held, session.at_rest, session.idle) == (2, None, False)
    assert session.answered(asked, line(b"hi")) == (Send(b"hi\n"), ask(b"a"))


def test_a_reply_may_be_none_at_all() -> None:
    assert check_session_splits(make, b"log x\na\n", answers(**{"log x": Reply()})) == [
        OPEN, ask(b"log x"), ask(b"a"), Send(b"a\n"), CLOSE,
    ]  # fmt: skip


@pytest.mark.parametrize(("then", "how"), [("close", "flush"), ("reset", "abort")])
def test_a_reply_may_end_the_connection(then: str, how: Any) -> None:
    outs = check_session_splits(make, b"quit\na\n", answers(quit=line(b"bye", then=then)))
    assert outs == [OPEN, ask(b"quit"), Send(b"bye\n"), Close(how)]


def test_a_reply_may_end_our_side_alone() -> None:
    said = answers(quit=line(b"bye", then="half_close"), a=line(b"late"))
    outs = check_session_splits(make, b"quit\na\n", said)
    late = replace(ask(b"a"), optional=True)  # nothing can answer it: that no route does is no miss
    assert outs == [OPEN, ask(b"quit"), Send(b"bye\n"), Close("half"), late, CLOSE]


def test_what_comes_unasked_may_end_our_side_alone() -> None:
    said = answers(push_1_sub=line(b"gone", then="half_close"))
    outs = serve(make(pushes=True), [b"sub\n", b"a\n"], said, ending=True)
    assert [out for out in outs if isinstance(out, Close)] == [Close("half"), CLOSE]
    assert sent(outs).endswith(b"gone\n")


def test_gaps_are_waited_for_and_nothing_overtakes() -> None:
    session = make(pace=2.0)
    session.answered(*_pair(session.opened()[0], None))
    (asked,) = session.received(b"a\nb\n")
    first, wake = session.answered(*_pair(asked, line(b"1", b"2", after=0.5)))
    assert first == Send(b"1\n")
    assert isinstance(wake, Wake)
    assert wake.after == 1.0
    assert session.at_rest is None
    assert session.received(b"c\n") == ()
    assert session.woke("other") == session.woke(99) == ()
    assert session.woke(wake.token) == [Send(b"2\n"), ask(b"b")]
    assert session.woke(wake.token) == ()


def _pair(asked: object, answer: Reply | None) -> Any:
    return asked, answer


def test_without_pace_there_are_no_gaps() -> None:
    outs = check_session_splits(lambda: make(pace=0.0), b"a\n", answers(a=line(b"1", b"2", after=9)))
    assert sent(outs) == b"1\n2\n"
    assert not any(isinstance(out, Wake) for out in outs)


def test_at_rest_it_promises_the_same() -> None:
    session = make()
    assert session.at_rest is not None
    session.answered(*_pair(session.opened()[0], None))
    rest = session.at_rest
    assert rest is not None
    assert session.idle
    session.received(b"a")
    assert (session.at_rest, session.idle, session.held) == (None, False, 0)
    (asked,) = session.received(b"\n")
    assert (session.at_rest, session.idle) == (None, False)
    session.answered(*_pair(asked, line(b"x")))
    assert session.at_rest == rest


# --- ends ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("on_bad", "how"), [("close", "flush"), ("reset", "abort")])
def test_what_is_no_frame_ends_the_connection(on_bad: str, how: Any) -> None:
    data, known = b"a\n" + b"x" * 100, answers(**{"x" * count: NOTHING for count in (51, 100)})
    for reads in ([data], [data[at : at + 1] for at in range(len(data))]):
        outs = serve(make(LINES, max_frame=50, on_bad=on_bad), reads, known, ending=True)
        assert promised(outs) == [OPEN, ask(b"a"), Send(b"a\n"), unread(b"", ""), Close(how)]


def test_what_is_no_frame_is_told_with_its_beginning_and_may_be_answered() -> None:
    session = make(LINES, max_frame=5000)
    session.answered(*_pair(session.opened()[0], None))
    (asked,) = session.received(b"x" * 6000)
    why = "a frame of 6000 bytes or more; `max_frame` is 5000"
    assert asked == replace(unread(b"x" * MAX_UNREAD, why), size=6000)
    assert session.received(b"more") == session.draining() == ()
    assert list(session.answered(*_pair(asked, line(b"ERR")))) == [Send(b"ERR\n"), CLOSE]


def test_a_lie_about_a_length_ends_it_at_once() -> None:
    session = make({"framing": {"length": {"width": 4}}})
    session.answered(*_pair(session.opened()[0], None))
    (asked,) = session.received(b"\xff\xff\xff\xff")
    assert asked == unread(b"\xff" * 4, "a frame of 4294967299 bytes or more; `max_frame` is 1048576")
    assert session.answered(*_pair(asked, NOTHING)) == [CLOSE]
    assert session.received(b"more") == session.eof() == session.draining() == session.timed_out() == ()


def test_the_end_of_a_client_waits_for_what_is_owed() -> None:
    session = make()
    session.answered(*_pair(session.opened()[0], None))
    (asked,) = session.received(b"a\nhalf")
    assert not session.eof()
    assert session.answered(*_pair(asked, line(b"x"))) == (Send(b"x\n"), unread(b"half"))


def test_a_client_that_makes_no_progress_is_closed() -> None:
    session = make()
    (asked,) = session.opened()
    assert session.timed_out() == ()
    session.answered(*_pair(asked, None))
    session.received(b"half")
    assert session.timed_out() == (unread(b"half", "the client stopped in the middle of a frame"),)


def test_draining_finishes_what_is_owed() -> None:
    session = make()
    session.answered(*_pair(session.opened()[0], None))
    (asked,) = session.received(b"a\n")
    assert session.draining() == ()
    assert session.answered(*_pair(asked, line(b"x"))) == (Send(b"x\n"), CLOSE)
    session = make()
    session.answered(*_pair(session.opened()[0], None))
    assert session.draining() == (CLOSE,)


def test_frames_that_end_with_the_connection() -> None:
    session = make({"framing": {"until_close": True}})
    session.answered(*_pair(session.opened()[0], None))
    assert session.received(b"ab") == []
    (asked,) = session.eof()
    assert asked == Ask(REQUEST, Request(b"ab"), 2)
    assert session.answered(*_pair(asked, line(b"x"))) == (Send(b"x\n"), CLOSE)


def test_frames_that_end_with_silence() -> None:
    session = make({"framing": {"idle": "50ms"}})
    session.answered(*_pair(session.opened()[0], None))
    assert session.at_rest is None
    (first,) = session.received(b"a")
    (second,) = session.received(b"b")
    assert isinstance(first, Wake)
    assert isinstance(second, Wake)
    assert first.after == 0.05
    assert session.woke(first.token) == session.timed_out() == ()
    assert session.woke(second.token) == [Ask(REQUEST, Request(b"ab"), 2)]
    choice = [{"envelope": {"start": "<", "end": ">"}}, {"idle": "50ms"}]
    session = make({"framing": choice})
    session.answered(*_pair(session.opened()[0], None))
    (wake,) = session.received(b"<half")
    assert isinstance(wake, Wake)
    assert session.woke(wake.token) == []
    assert session.timed_out() == (unread(b"<half", "the client stopped in the middle of a frame"),)


# --- pushes -------------------------------------------------------------------------------------------


def test_what_came_unasked_follows_with_its_gaps() -> None:
    late = finished((Piece(b"1", b"1\n", 1.5),))
    known = answers(push_1_sub=late, push_2_sub=line(b"2"))
    session = make(LINES, pushes=True)
    session.answered(*_pair(session.opened()[0], None))
    (asked,) = session.received(b"sub\n")
    outs = session.answered(*_pair(asked, line(b"ok")))
    assert outs == [Send(b"ok\n"), Ask(PUSH, Request(b"sub", b"", "push", 1), optional=True)]
    (wake,) = session.answered(*_pair(outs[1], late))
    assert isinstance(wake, Wake)
    assert wake.after == 1.5
    assert (session.idle, session.at_rest) == (True, None)
    (other,) = session.received(b"a\n")
    assert session.answered(*_pair(other, line(b"x")))[0] == Send(b"x\n")
    assert session.woke(wake.token) == [Send(b"1\n"), Ask(PUSH, Request(b"sub", b"", "push", 2), optional=True)]
    outs = check_session_splits(lambda: make(LINES, pushed=True, pace=0.0), b"sub\n", known)
    assert sent(outs) == b"sub\n1\n2\n"
    assert outs[-1] == CLOSE


def test_pushes_after_the_banner() -> None:
    outs = check_session_splits(
        lambda: make(LINES, pushes=True), b"", answers(banner=line(b"hi"), push_1_=line(b"1"))
    )
    assert sent(outs) == b"hi\n1\n"


def test_what_pushes_may_be_awaited_is_bounded() -> None:
    session = make(LINES, pushes=True)
    session.answered(*_pair(session.opened()[0], None))
    late = finished((Piece(b"1", b"1\n", 9.0),))
    for _ in range(MAX_PUSHING + 5):
        (asked,) = session.received(b"sub\n")
        outs = session.answered(*_pair(asked, line(b"ok")))
        session.answered(*_pair(outs[1], late))
    assert len(session._sendings) == MAX_PUSHING


def test_without_pushes_nobody_asks_for_them() -> None:
    assert not any(out.id == PUSH for out in serve(make(), [b"a\n"], answers()) if isinstance(out, Ask))


# --- what is made for each request --------------------------------------------------------------------


def test_a_transaction_id_is_echoed() -> None:
    context = service(MODBUS)
    told = reply({"fields": {"txid": 1, "unit": 17, "fn": 3, "regs": [44609]}}, context)
    session = lambda: FramedSession(context)  # noqa: E731
    asked = bytes.fromhex("0203 0000 0006 11 03 006b 0003")
    outs = check_session_splits(session, asked * 2, lambda r: told if r.kind == "frame" else None)
    assert sent(outs) == bytes.fromhex("0203 0000 0005 11 03 02 ae41") * 2


def test_replies_are_numbered() -> None:
    context = service(FIX)
    told = reply({"fields": {"8": "F", "35": "0", "34": "9", "49": "B", "56": "A"}}, context)
    asked = reply({"fields": {"8": "F", "35": "1", "34": "1", "49": "X", "56": "Y"}}, context).wire
    outs = check_session_splits(
        lambda: FramedSession(context), asked * 2, lambda r: told if r.kind == "frame" else None
    )
    first, second = (
        reply({"fields": {"8": "F", "35": "0", "34": "1", "49": "Y", "56": "X"}}, context).wire,
        b"34=2",
    )
    assert sent(outs).startswith(first)
    assert second in sent(outs)[len(first) :]
    assert FramedSession(context).at_rest is None


def test_a_miss_in_the_protocols_own_words() -> None:
    context = service(MODBUS)
    doc = {
        "fields": {"txid": 0, "unit": 0, "fn": 128, "exception": 2},
        "set": {"fn": {"req": "fn", "add": 128}},
    }
    told = reply(doc, context)
    asked = bytes.fromhex("0203 0000 0006 11 03 006b 0003")
    outs = serve(FramedSession(context), [asked], lambda r: told if r.kind == "frame" else None)
    assert sent(outs) == bytes.fromhex("0203 0000 0003 00 83 02")


def test_a_reply_says_when_it_is_sent() -> None:
    context = service(LINES, reply={"set": {"at": {"now": "unix"}}})
    told = reply({"frames": [{"json": {}}, {"json": {}}, {"json": {}, "after": "5ms"}]}, context)
    session = FramedSession(context)
    session.answered(*_pair(session.opened()[0], None))
    (asked,) = session.received(b"a\n")
    (first,) = session.answered(*_pair(asked, told))
    assert isinstance(first, Date)
    *frames, wake = session.dated(first.token, 7.5)
    assert frames == [Send(b'{"at":7}\n'), Send(b'{"at":7}\n')]
    assert isinstance(wake, Wake)
    (second,) = session.woke(wake.token)
    assert isinstance(second, Date)
    assert session.dated("other", 8.0) == ()
    assert session.dated(second.token, 8.0) == [Send(b'{"at":8}\n')]


def test_one_reply_may_say_when_it_is_sent() -> None:
    context = service(LINES)
    told = reply({"json": {}, "set": {"at": {"now": "unix"}}}, context)
    session = FramedSession(context)
    session.answered(*_pair(session.opened()[0], None))
    (asked,) = session.received(b"a\n")
    (date,) = session.answered(*_pair(asked, told))
    assert isinstance(date, Date)
    assert session.dated(date.token, 8.0) == [Send(b'{"at":8}\n')]
    (asked,) = session.received(b"a\n")
    assert session.answered(*_pair(asked, line(b"x"))) == (Send(b"x\n"),)


def test_frames_are_numbered_as_they_leave() -> None:
    context = service(LINES, reply={"set": {"n": {"count": 1}}}, pushes=True)
    session = FramedSession(context)
    session.answered(*_pair(session.opened()[0], None))
    (asked,) = session.received(b"a\n")
    late = reply({"frames": [{"json": {}, "after": "1s"}]}, context)
    push = session.answered(*_pair(asked, reply({"json": {}}, context)))[-1]
    (wake,) = session.answered(*_pair(push, late))
    assert isinstance(wake, Wake)
    (asked,) = session.received(b"b\n")
    assert session.answered(*_pair(asked, reply({"json": {}}, context)))[0] == Send(b'{"n":2}\n')
    assert session.woke(wake.token)[0] == Send(b'{"n":3}\n')


# --- what keeps a connection alive --------------------------------------------------------------------

AUTO = [
    {"when": "^LOGON ", "reply": {"text": "WELCOME"}, "every": {"send": {"text": "BEAT"}, "after": "2s"}},
    {"when": "^PING$", "reply": {"text": "PONG"}},
    {"when": "^BEAT$"},
    {"when": "^BYE$", "reply": {"text": "BYE", "then": "close"}},
]


def test_what_keeps_it_alive_is_answered_without_a_route() -> None:
    data = b"PING\na\nBEAT\nBYE\nb\n"
    assert check_session_splits(lambda: make(auto=AUTO), data, answers()) == [
        OPEN, Send(b"PONG\n"), ask(b"a"), Send(b"a\nBYE\n"), CLOSE,
    ]  # fmt: skip


def test_any_number_of_them_may_come_at_once() -> None:
    outs = serve(make(auto=AUTO), [b"PING\n" * 5000 + b"BYE\n"], answers())
    assert outs == [OPEN, Send(b"PONG\n" * 5000 + b"BYE\n"), CLOSE]


def test_something_may_be_said_again_and_again() -> None:
    session = make(auto=AUTO)
    session.answered(*_pair(session.opened()[0], None))
    rest = session.at_rest
    welcome, first = session.received(b"LOGON a\n")
    assert welcome == Send(b"WELCOME\n")
    assert isinstance(first, Wake)
    assert (first.after, session.at_rest, session.idle) == (2.0, rest, True)
    beat, second = session.woke(first.token)
    assert beat == Send(b"BEAT\n")
    assert isinstance(second, Wake)
    assert session.woke(first.token) == ()
    *_, third = session.received(b"LOGON b\n")  # begins anew: there are no two rhythms
    assert isinstance(third, Wake)
    assert session.woke(second.token) == ()
    assert session.woke(third.token)[0] == Send(b"BEAT\n")
    assert list(session.eof()) == [CLOSE]
    assert session.woke(third.token) == ()


def test_a_client_says_how_often() -> None:
    auto = [{"when": {"type": "logon"}, "reply": {"json": {}}, "every": {"send": {"json": {}}, "req": "every"}}]
    session = make(auto=auto)
    session.answered(*_pair(session.opened()[0], None))
    for said, seconds in (("0", 0), ("0.001", LEAST_EVERY), ("30", 30)):
        *_, last = session.received(b'{"type":"logon","every":%b}\n' % said.encode())
        assert (last.after if isinstance(last, Wake) else 0) == seconds


def test_what_is_said_again_is_made_for_who_began_it() -> None:
    fields = {"8": "F", "35": "A", "49": "", "56": "", "34": "", "52": ""}
    rules = {"swap": [["49", "56"]], "set": {"34": {"count": 1}, "52": {"now": "%Y%m%d"}}}
    send = {"send": {"fields": {**fields, "35": "0"}}, "req": "108"}
    auto = [{"when": {"35": "A"}, "reply": {"fields": fields}, "every": send}]
    context = service(FIX, reply=rules, auto=auto)
    logon = reply(
        {"fields": {"8": "F", "35": "A", "34": "1", "49": "ME", "56": "YOU", "108": "5"}}, service(FIX)
    )
    session = FramedSession(context)
    session.answered(*_pair(session.opened()[0], None))
    (date,) = session.received(logon.wire)
    assert isinstance(date, Date)
    welcome, wake = session.dated(date.token, 0.0)
    assert isinstance(wake, Wake)
    (date,) = session.woke(wake.token)
    assert isinstance(date, Date)
    beat, _ = session.dated(date.token, 86400.0)
    for out, kind, number, day in ((welcome, b"A", b"1", b"19700101"), (beat, b"0", b"2", b"19700102")):
        assert isinstance(out, Send)
        body = b"\x0135=%b\x0149=YOU\x0156=ME\x0134=%b\x0152=%b\x01" % (kind, number, day)
        assert body in out.data


# --- answers that overtake each other -----------------------------------------------------------------


def modbus(txid: int) -> bytes:
    return struct.pack(">H", txid) + bytes.fromhex("0000 0006 11 03 006b 0003")


def test_a_late_answer_is_overtaken_where_ids_tell_them_apart() -> None:
    context = service(MODBUS)
    told = reply({"fields": {"txid": 1, "unit": 17, "fn": 3, "regs": [1]}}, context)
    wire = bytes.fromhex("0000 0005 11 03 02 0001")
    session = FramedSession(context)
    session.answered(*_pair(session.opened()[0], None))
    late, early = session.received(modbus(1) + modbus(2) + b"\x00")
    assert (session.idle, session.at_rest, session.held) == (False, None, 0)
    assert sent(list(session.answered(*_pair(early, told)))) == b"\x00\x02" + wire
    assert session.draining() == session.timed_out() == ()
    assert sent(list(session.answered(*_pair(late, told)))) == b"\x00\x01" + wire


def test_what_is_no_frame_ends_it_when_all_is_answered() -> None:
    context = service(MODBUS, max_frame=100)
    told = reply({"fields": {"txid": 1, "unit": 17, "fn": 3, "regs": [1]}}, context)
    session = FramedSession(context)
    session.answered(*_pair(session.opened()[0], None))
    first, second = session.received(modbus(1) + modbus(2) + b"\xff" * 6)
    assert session.received(modbus(3)) == ()
    assert not any(isinstance(out, Close) for out in session.answered(*_pair(second, told)))
    why = "a frame of 65541 bytes or more; `max_frame` is 100"
    assert session.answered(*_pair(first, told))[-1] == unread(b"\xff" * 6, why)


def test_how_many_are_answered_at_once_is_bounded() -> None:
    session = make(MODBUS)
    session.answered(*_pair(session.opened()[0], None))
    asks = session.received(modbus(1) * (MAX_OWED + 2))
    assert len(asks) == MAX_OWED
    assert session.held == 24
    assert len(session.answered(*_pair(asks[0], line(b"x")))) == 2
    assert session.held == 12


# --- TLS in the middle --------------------------------------------------------------------------------

STARTTLS = {"on": "STARTTLS", "reply": "220 go", "decline": "454 no"}


def test_tls_is_spoken_where_it_can_be() -> None:
    session = make(LINES, starttls=STARTTLS, tls=True)
    session.answered(*_pair(session.opened()[0], None))
    before = session.at_rest
    assert session.received(b"starttls\ninjected\n") == [Send(b"220 go\n"), StartTLS()]
    assert session.at_rest not in (None, before)
    assert session.received(b"STARTTLS\n") == [ask(b"STARTTLS")]


def test_tls_is_declined_where_it_cannot_be() -> None:
    outs = check_session_splits(lambda: make(LINES, starttls=STARTTLS), b"STARTTLS\na\n", answers())
    assert outs == [OPEN, Send(b"454 no\n"), ask(b"a"), Send(b"a\n"), CLOSE]
    plain = {"on": "STARTTLS", "reply": "220 go"}
    assert ask(b"STARTTLS") in serve(make(LINES, starttls=plain), [b"STARTTLS\n"], answers())


# --- anything -----------------------------------------------------------------------------------------

WORLDS = {
    "lines": (LINES, b"a\nbc\n\nPING 1\n"),
    "modbus": (MODBUS, bytes.fromhex("0001 0000 0006 11 03 006b 0003") * 3),
    "fix": (FIX, b"8=FIX.4.2\x019=5\x0135=0\x0110=161\x01" * 2),
    "iso": (ISO, b"\x00\x0c0800" + bytes.fromhex("0020000000000000")),
    "escaped": ({"framing": {"delimiter": {"end": ";", "escape": "\\"}}}, b"a\\;b;c\\\\;"),
    "alive": ({**LINES, "auto": AUTO[1:]}, b"PING\nBEAT\na\nBYE\n"),
}


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_a_client_that_leaves_at_any_byte_gets_what_was_whole(name: str) -> None:
    options, data = WORLDS[name]
    before = 0
    for at in range(len(data) + 1):
        outs = serve(make(options), [data[:at]], answers(), ending=True)
        asked = sum(isinstance(out, Ask) and out.id == REQUEST for out in outs)
        assert before <= asked <= before + 1
        assert outs[-1] == CLOSE
        before = asked


@settings(max_examples=60)
@given(st.sampled_from(sorted(WORLDS)), st.integers(0, 1 << 30))
def test_any_bytes_are_survived(name: str, seed: int) -> None:
    options, data = WORLDS[name]

    def answer(request: Request) -> Reply | None:
        known: Reply | None = NOTHING if request.kind == "unread" else answers()(request)
        return known

    check_session_survives(lambda: make(options), data, answer, seed, promised)
