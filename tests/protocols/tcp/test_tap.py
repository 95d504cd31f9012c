"""What a recorder sees of framed connections: bytes in, values out."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock.protocol import (
    Began,
    Exchange,
    Fact,
    Forward,
    Lost,
    Opaque,
    Seen,
    Shut,
    Side,
    StartTLS,
    Timing,
    Upstream,
)
from svcmock_protocols.tcp import tap as tap_module
from svcmock_protocols.tcp.forms import finished
from svcmock_protocols.tcp.messages import Piece, Reply, Request
from svcmock_protocols.tcp.tap import LATE, MAX_WAITING, FramedTap
from tests.protocols.conformance import check_tap_splits, mutate, splits, watch
from tests.protocols.tcp.framed import FIX, ISO, LINES, MODBUS, request, service

C, S = Side.CLIENT, Side.SERVER
UP = Upstream("tcp://up:1", "up:1")


def make(options: dict[str, Any] = LINES, **more: Any) -> FramedTap:
    return FramedTap(service(options, **more), UP)


def play(tap: FramedTap, *steps: tuple[Any, ...]) -> list[Seen]:
    """What each side says in turn, perhaps with the time of it; None: it will say no more."""
    seen: list[Seen] = []
    for side, data, *at in steps:
        time = at[0] if at else 1.0
        if data is None:
            seen += tap.eof(side, time)
        else:
            seen += tap.from_client(data, time) if side is C else tap.from_server(data, time)
    return seen


def told(seen: list[Seen]) -> list[Seen]:
    return [one for one in seen if not isinstance(one, Forward | Began | Shut)]


def exchanges(seen: list[Seen]) -> list[tuple[Request, Reply]]:
    return [(one.request, one.reply) for one in seen if isinstance(one, Exchange)]


def ask(text: bytes, kind: Any = "frame", number: int = 0) -> Request:
    return Request(text, text + b"\n" if text or kind == "frame" else b"", kind, number)


def line(*texts: Any, then: Any = "") -> Reply:
    """Frames; a text in a tuple comes after so many seconds."""
    pairs = [text if isinstance(text, tuple) else (text, 0.0) for text in texts]
    return finished(tuple(Piece(text, text + b"\n", after) for text, after in pairs), then)


def test_bytes_pass_at_once_and_frames_are_paired() -> None:
    seen = check_tap_splits(make, b"a\nb\nhalf", b"1\n2\n")
    assert exchanges(seen) == [(ask(b"a"), line(b"1")), (ask(b"b"), line(b"2"))]
    assert [one for one in seen if isinstance(one, Lost | Opaque)] == []
    tap = make()
    assert tap.from_client(b"ha", 1.0) == [Forward(b"ha", S)]
    assert tap.from_client(b"lf\n", 1.0) == [Forward(b"lf\n", S), Began(1)]
    assert tap.from_server(b"x", 1.0) == [Forward(b"x", C)]


def test_times_are_kept() -> None:
    seen = play(
        make(), (C, b"a\n", 5.0), (S, b"1\n", 5.25), (C, b"b\n", 6.0), (S, b"2\n", 6.5), (S, None), (C, None)
    )
    assert [one.timing for one in seen if isinstance(one, Exchange)] == [Timing(5.0, 0.25), Timing(6.0, 0.5)]


def test_an_end_after_an_answer_belongs_to_it() -> None:
    seen = play(make(), (C, b"a\n"), (S, b"1\n"), (C, b"quit\n"), (S, b"bye\n"), (S, None), (C, None))
    assert exchanges(seen) == [(ask(b"a"), line(b"1")), (ask(b"quit"), line(b"bye", then="close"))]
    seen = play(make(), (C, b"a\n"), (C, None), (S, b"1\n"), (S, None))
    assert exchanges(seen) == [(ask(b"a"), line(b"1"))]


def test_a_server_that_leaves_in_the_middle_of_a_frame_is_told_of() -> None:
    seen = play(make(), (C, b"a\n"), (S, b"12345"), (S, None), (C, None))
    (lost,) = told(seen)
    assert isinstance(lost, Lost)
    assert lost.why.endswith("in the middle of a frame that begins with 31 32 33 34 35 (5 bytes)")


def test_the_end_of_a_connection_that_nobody_used_is_no_part_of_an_answer() -> None:
    seen = play(make(), (C, b"a\n", 1.0), (S, b"1\n", 1.0), (S, None, 1.0 + LATE), (C, None, 5.0))
    assert exchanges(seen) == [(ask(b"a"), line(b"1", then="close"))]
    seen = play(make(), (C, b"a\n", 1.0), (S, b"1\n", 1.0), (S, None, 1.1 + LATE), (C, None, 5.0))
    assert exchanges(seen) == [(ask(b"a"), line(b"1"))]


def test_silence_tells_that_an_answer_is_whole() -> None:
    tap = make()
    play(tap, (C, b"a\n", 1.0), (S, b"1\n", 1.0))
    assert tap.rest == LATE
    assert exchanges(list(tap.rested(1.0 + LATE))) == [(ask(b"a"), line(b"1"))]
    assert tap.rested(9.0) == []
    assert exchanges(play(tap, (S, None, 9.0), (C, None, 9.0))) == []


def test_a_reset_after_an_answer_belongs_to_it() -> None:
    tap = make()
    seen = [*tap.from_client(b"quit\n", 1.0), *tap.from_server(b"bye\n", 1.0), *tap.broken(Side.SERVER, 1.0)]
    seen += tap.eof(Side.CLIENT, 2.0)
    assert exchanges(seen) == [(ask(b"quit"), line(b"bye", then="reset"))]


def test_a_client_that_speaks_on_tells_that_the_server_had_ended_only_its_side() -> None:
    seen = play(make(), (C, b"send\n"), (S, b"go\n"), (S, None), (C, b"data\n"), (C, None))
    assert exchanges(seen) == [(ask(b"send"), line(b"go", then="half_close"))]
    assert [(one.id, one.kind) for one in seen if isinstance(one, Lost)] == [(2, "skipped")]


ALIVE = {**LINES, "auto": [{"when": "^(PING|PONG|HELLO .*)$", "reply": {"text": "PONG"}}, {"when": "^BEAT$"}]}


def test_what_keeps_it_alive_is_left_out_in_both_directions() -> None:
    steps = [
        (C, b"HELLO me\n"),
        (S, b"you\n"),  # whatever it is, it answers that
        (C, b"a\n"),
        (S, b"BEAT\n"),
        (S, b"1\n"),
        (C, b"PING\nb\nBEAT\n"),
        (S, b"PONG\n2\nBEAT\n"),
        (S, b"news\n"),
    ]
    seen = play(make(ALIVE), *steps, (S, None), (C, None))
    assert exchanges(seen) == [
        (ask(b"a"), line(b"1")),
        (ask(b"b"), line(b"2")),
        (ask(b"b", "push", 1), line(b"news", then="close")),
    ]
    assert len([one for one in seen if isinstance(one, Began)]) == 3
    assert b"".join(one.data for one in seen if isinstance(one, Forward) and one.to is S) == b"".join(
        data for side, data in steps if side is C
    )


def test_where_replies_have_no_order_a_heartbeat_is_not_part_of_one() -> None:
    options = {**ALIVE, "reply": {"correlate": "none", "per_request": "any"}}
    steps = [(C, b"PING\n"), (S, b"PONG\n"), (C, b"a\n"), (S, b"1\n"), (S, b"BEAT\n"), (S, b"2\n")]
    assert exchanges(play(make(options), *steps, (C, None), (S, None)))[-1] == (ask(b"a"), line(b"1", b"2"))


def test_an_answer_is_found_at_once_among_thousands() -> None:
    tap, count = make(MODBUS), 1000
    for txid in range(count):
        tap.from_client(txid.to_bytes(2) + bytes.fromhex("0000 0006 11 03 006b 0003"), 1.0)
    seen = [
        one
        for txid in reversed(range(count))
        for one in tap.from_server(txid.to_bytes(2) + bytes.fromhex("0000 0005 11 03 02 ae41"), 1.0)
    ]
    seen += tap.eof(C, 1.0)
    assert len(exchanges(seen)) == count
    assert all(request.payload[:2] == reply.frames[0].payload[:2] for request, reply in exchanges(seen))


def test_the_banner_is_all_before_the_first_request() -> None:
    seen = play(make(), (S, b"hi\n", 1.0), (S, b"there\n", 1.5), (C, b"a\n"), (S, b"1\n"), (C, None), (S, None))
    assert exchanges(seen) == [(ask(b"", "banner"), line(b"hi", (b"there", 0.5))), (ask(b"a"), line(b"1"))]
    seen = play(make(), (S, b"go away\n"), (S, None), (C, None))
    assert exchanges(seen) == [(ask(b"", "banner"), line(b"go away", then="close"))]
    seen = play(make(), (S, b"hi\n"), (C, None), (S, None))
    assert exchanges(seen) == [(ask(b"", "banner"), line(b"hi"))]


def test_what_comes_unasked_is_an_exchange_of_its_own() -> None:
    steps = [
        (C, b"sub\n", 1.0),
        (S, b"ok\n", 1.0),
        (S, b"1\n", 2.5),
        (S, b"2\n", 2.75),
        (C, b"a\n", 3.0),
        (S, b"3\n", 3.0),
    ]
    seen = play(make(), *steps, (S, b"4\n", 4.0), (C, None, 4.0), (S, None, 4.0))
    assert exchanges(seen) == [
        (ask(b"sub"), line(b"ok")),
        (ask(b"sub", "push", 1), line((b"1", 1.5))),
        (ask(b"sub", "push", 2), line((b"2", 0.25))),
        (ask(b"a"), line(b"3")),
        (ask(b"a", "push", 1), line((b"4", 1.0))),
    ]
    assert [one for one in seen if isinstance(one, Fact)] == [Fact("pushes", value=True)]


def test_a_server_that_ends_it_after_a_push() -> None:
    seen = play(make(), (C, b"sub\n"), (S, b"ok\n"), (S, b"1\n", 2.0), (S, None, 2.0), (C, None, 2.0))
    assert exchanges(seen)[1] == (ask(b"sub", "push", 1), line((b"1", 1.0), then="close"))


@pytest.mark.parametrize("client_first", [True, False])
def test_who_never_gets_an_answer_is_lost(client_first: bool) -> None:
    ends = [(C, None), (S, None)] if client_first else [(S, None), (C, None)]
    seen = play(make(), (C, b"a\nb\n"), (S, b"1\n"), *ends)
    assert exchanges(seen)[0][0] == ask(b"a")
    assert [one for one in seen if isinstance(one, Lost)] == [
        Lost(2, "the upstream left before it had answered")
    ]


# --- how replies belong to requests -------------------------------------------------------------------


def test_any_number_of_frames() -> None:
    tap = make(LINES, reply={"per_request": "any"})
    seen = play(
        tap,
        (C, b"a\n", 1.0), (S, b"1\n", 1.0), (S, b"2\n", 1.5),
        (C, b"log\n", 2.0),
        (C, b"b\n", 2.0), (S, b"3\n", 2.0), (C, None), (S, None),
    )  # fmt: skip
    assert exchanges(seen) == [
        (ask(b"a"), line(b"1", (b"2", 0.5))), (ask(b"log"), Reply()), (ask(b"b"), line(b"3")),
    ]  # fmt: skip
    assert exchanges(
        play(make(LINES, reply={"per_request": "any"}), (C, b"a\n"), (C, None), (S, b"1\n"), (S, None))
    ) == [(ask(b"a"), line(b"1"))]


def test_frames_up_to_the_last_one() -> None:
    tap = make(LINES, reply={"until": "^[0-9]{3} "})
    data = b"250-a\n250-b\n250 c\n220 ok\n"
    seen = play(tap, (C, b"EHLO x\nNOOP\n"), (S, data), (C, None), (S, None))
    assert exchanges(seen) == [
        (ask(b"EHLO x"), line(b"250-a", b"250-b", b"250 c")), (ask(b"NOOP"), line(b"220 ok")),
    ]  # fmt: skip


def test_requests_that_get_no_reply() -> None:
    tap = make(LINES, reply={"one_way": "^log "})
    seen = play(tap, (C, b"log 1\na\n"), (S, b"1\n"), (C, None), (S, None))
    assert exchanges(seen) == [(ask(b"log 1"), Reply()), (ask(b"a"), line(b"1"))]


def test_answers_are_found_by_their_ids() -> None:
    first, second = (bytes.fromhex(f"000{n} 0000 0006 11 03 006b 0003") for n in (1, 2))
    answer = {n: bytes.fromhex(f"000{n} 0000 0005 11 03 02 ae4{n}") for n in (1, 2, 9)}
    seen = play(make(MODBUS), (C, first + second), (S, answer[2] + answer[1] + answer[9]), (C, None), (S, None))
    assert exchanges(seen) == [
        (Request(second, second), finished((Piece(answer[2], answer[2]),))),
        (Request(first, first), finished((Piece(answer[1], answer[1]),))),
        (Request(second, second, "push", 1), finished((Piece(answer[9], answer[9]),))),
    ]


def test_without_an_order_what_comes_belongs_to_the_last_request() -> None:
    tap = make(LINES, reply={"correlate": "none"})
    seen = play(tap, (C, b"order\n"), (C, b"heartbeat\n"), (S, b"1\n"), (S, b"2\n", 1.5), (C, None), (S, None))
    assert exchanges(seen) == [
        (ask(b"order"), Reply()),
        (ask(b"heartbeat"), line(b"1")),
        (ask(b"heartbeat", "push", 1), line((b"2", 0.5))),
    ]


# --- secrets ------------------------------------------------------------------------------------------


def test_secrets_are_never_in_an_exchange() -> None:
    context = service(ISO)
    asked = request({"fields": {"mti": "0200", "2": "4111111111111111", "11": "000001"}}, context)
    hid = request({"fields": {"mti": "0200", "2": "0000000000000000", "11": "000001"}}, context)
    wire = b"%c%c" % divmod(len(asked.payload), 256) + asked.payload
    seen = play(FramedTap(context, UP), (C, wire), (S, wire), (C, None), (S, None))
    ((one, reply),) = exchanges(seen)
    assert one == hid
    assert reply.frames[0].payload == hid.payload
    assert b"".join(out.data for out in seen if isinstance(out, Forward)) == wire * 2
    seen = play(FramedTap(context, UP), (C, b"\x00\x02??"), (S, wire), (C, None), (S, None))
    (lost,) = (one for one in seen if isinstance(one, Lost))
    assert "secrets" in lost.why


# --- what cannot be read ------------------------------------------------------------------------------


def test_what_is_no_frame_passes_unread() -> None:
    tap = make({"framing": {"length": {"width": 4}}})
    seen = play(
        tap, (C, b"\x00\x00\x00\x01a"), (C, b"\xff\xff\xff\xff"), (S, b"abc"), (C, b"d"), (S, None), (C, None)
    )
    assert told(seen) == [
        Lost(
            1, "the client's bytes are no frames: a frame of 4294967299 bytes or more; `max_frame` is 1048576"
        ),
        Opaque("the client's bytes are no frames: a frame of 4294967299 bytes or more; `max_frame` is 1048576"),
    ]
    assert (
        b"".join(one.data for one in seen if isinstance(one, Forward))
        == b"\x00\x00\x00\x01a\xff\xff\xff\xffabcd"
    )
    seen = play(make({"framing": {"length": {"width": 4}}}), (S, b"\xff\xff\xff\xff"))
    assert isinstance(seen[-1], Opaque)


def test_what_is_under_way_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = play(make(), (C, b"a\n" * (MAX_WAITING + 1)))
    assert sum(isinstance(one, Lost) for one in seen) == MAX_WAITING
    assert isinstance(seen[-1], Opaque)
    monkeypatch.setattr(tap_module, "MAX_REPLY", 10)
    seen = play(make(LINES, reply={"per_request": "any"}), (C, b"a\n"), (S, b"12345\n" * 3))
    assert isinstance(seen[-1], Opaque)


def test_without_an_upstream_the_client_is_told_so_by_an_end() -> None:
    tap = make()
    seen = [*play(tap, (C, b"a\n")), *tap.unreachable("refused", 1.0), *play(tap, (C, b"b\n"), (C, None))]
    assert told(seen) == [Lost(1, "the upstream cannot be reached: refused")]
    assert Shut(C) in seen


# --- ends and silence ---------------------------------------------------------------------------------


def test_a_reply_that_lasts_until_the_end() -> None:
    tap = make({"framing": {"client": {"delimiter": "\n"}, "server": {"until_close": True}}})
    seen = play(tap, (C, b"a\n"), (S, b"12"), (S, b"34"), (S, None), (C, None))
    assert exchanges(seen) == [(ask(b"a"), finished((Piece(b"1234", b"1234"),), "close"))]


def test_silence_is_noticed_by_what_follows() -> None:
    tap = make({"framing": {"idle": "50ms"}})
    steps = [
        (C, b"a", 1.0),
        (C, b"b", 1.01),
        (S, b"1", 1.2),
        (S, b"2", 1.21),
        (C, b"c", 2.0),
        (C, b"d", 3.0),
        (S, b"3", 3.1),
    ]
    seen = play(tap, *steps, (C, None, 4.0), (S, None, 4.0))
    assert [(asked.payload, [piece.payload for piece in reply.frames]) for asked, reply in exchanges(seen)] == [
        (b"ab", [b"12"]), (b"c", [b"3"]),
    ]  # fmt: skip


# --- TLS in the middle --------------------------------------------------------------------------------

STARTTLS = {"on": "STARTTLS", "reply": "220 go", "decline": "454 no"}


def test_tls_is_declined_where_the_client_cannot_be_given_it() -> None:
    tap = make(LINES, starttls=STARTTLS)
    assert play(tap, (C, b"star")) == []
    assert play(tap, (C, b"ttls\na\n")) == [Forward(b"454 no\n", C), Forward(b"a\n", S), Began(1)]
    assert play(tap, (C, b"half"), (C, None)) == [Forward(b"half", S), Shut(S)]


def test_both_sides_go_over_to_tls_when_the_server_agrees() -> None:
    tap = make(LINES, starttls=STARTTLS, tls=True)
    assert play(tap, (C, b"STARTTLS\n")) == [Forward(b"STARTTLS\n", S)]
    assert play(tap, (S, b"220 go\n")) == [Forward(b"220 go\n", C), StartTLS(S), StartTLS(C)]
    seen = play(tap, (C, b"a\n"), (S, b"1\n"), (C, None), (S, None))
    assert exchanges(seen) == [(ask(b"a"), line(b"1"))]
    tap = make(LINES, starttls=STARTTLS, tls=True)
    seen = play(tap, (C, b"STARTTLS\n"), (S, b"454 busy\n"), (C, b"a\n"), (S, b"1\n"), (C, None), (S, None))
    assert exchanges(seen) == [(ask(b"a"), line(b"1"))]


def test_what_follows_the_question_for_tls_waits_for_its_answer() -> None:
    """It may be the beginning of TLS, which the server must not see in the clear; or lines, if it declines."""
    hello = b"\x16\x03\x01\n\n"
    tap = make(LINES, starttls=STARTTLS, tls=True)
    assert play(tap, (C, b"STARTTLS\n" + hello), (C, hello)) == [Forward(b"STARTTLS\n", S)]
    assert play(tap, (S, b"220 go\n")) == [Forward(b"220 go\n", C), StartTLS(S), StartTLS(C)]
    tap = make(LINES, starttls=STARTTLS, tls=True)
    seen = play(tap, (C, b"STARTTLS\na\n"), (S, b"454 busy\n"), (S, b"1\n"), (C, None), (S, None))
    assert exchanges(seen) == [(ask(b"a"), line(b"1"))]
    tap = make(LINES, starttls=STARTTLS, tls=True)
    assert play(tap, (C, b"STARTTLS\n" + hello), (C, None)) == [Forward(b"STARTTLS\n", S), Shut(S)]
    tap = make({**LINES, "max_frame": 10}, starttls=STARTTLS, tls=True)
    *_, passed, opaque = play(tap, (C, b"STARTTLS\nxxxxxx"), (C, b"xxxxx"))
    assert passed == Forward(b"x" * 11, S)
    assert isinstance(opaque, Opaque)


# --- anything -----------------------------------------------------------------------------------------

WORLDS: dict[str, tuple[dict[str, Any], bytes, bytes]] = {
    "lines": (LINES, b"a\nb\nc\n", b"1\n2\n3\n4\n"),
    "any": ({**LINES, "reply": {"per_request": "any"}}, b"a\nb\nc\n", b"1\n2\n3\n4\n"),
    "secure": ({**LINES, "starttls": STARTTLS}, b"a\nSTARTTLS\nc\n", b"1\n2\n3\n4\n"),
    "modbus": (
        MODBUS,
        bytes.fromhex("0001 0000 0006 11 03 006b 0003"),
        bytes.fromhex("0001 0000 0005 11 03 02 ae41"),
    ),
    "fix": (FIX, b"8=FIX.4.2\x019=5\x0135=0\x0110=161\x01", b"8=FIX.4.2\x019=5\x0135=0\x0110=161\x01" * 2),
    "alive": (ALIVE, b"PING\na\nBEAT\nb\n", b"PONG\n1\nBEAT\n2\nnews\n"),
    "iso": (ISO, b"\x00\x0c0800" + bytes.fromhex("0020000000000000"), b"\x00\x0c0810" + bytes(8)),
}


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_whoever_leaves_at_any_byte_each_request_is_settled_once(name: str) -> None:
    options, client, server = WORLDS[name]
    cuts = [(at, len(server)) for at in range(len(client))] + [(len(client), at) for at in range(len(server))]
    for to, back in cuts:
        for ends in ([C, S], [S, C]):
            seen = play(make(options), (C, client[:to]), (S, server[:back]), *((side, None) for side in ends))
            began = [one.id for one in seen if isinstance(one, Began)]
            assert sorted(one.id for one in seen if isinstance(one, Exchange | Lost)) == began


@settings(max_examples=60)
@given(st.sampled_from(sorted(WORLDS)), st.integers(0, 1 << 30))
def test_any_bytes_pass_and_each_request_is_settled_once(name: str, seed: int) -> None:
    options, client, server = WORLDS[name]
    client, server = mutate(client, seed), mutate(server, seed + 1)
    whole = watch(make(options), [(C, client), (S, server)])
    for to, back in zip(splits(client, seed, 2), splits(server, seed, 2), strict=True):
        seen = watch(make(options), [(C, data) for data in to] + [(S, data) for data in back])
        assert told(seen) == told(whole)
        began = [one.id for one in seen if isinstance(one, Began)]
        assert sorted(one.id for one in seen if isinstance(one, Exchange | Lost)) == began
        if "starttls" not in options:
            assert b"".join(one.data for one in seen if isinstance(one, Forward) and one.to is S) == client
            assert b"".join(one.data for one in seen if isinstance(one, Forward) and one.to is C) == server


def test_secrets_are_looked_for_in_banners_and_pushes_too() -> None:
    context = service(LINES, redact=["pin"], reply={"until": "."})
    steps = [(S, b'{"hi":1}\n'), (C, b'{"pin":"12"}\n'), (S, b'{"pin":"34"}\n'), (S, b'{"news":1}\n', 2.0)]
    seen = play(FramedTap(context, UP), *steps, (C, None), (S, None))
    assert [asked.payload for asked, _ in exchanges(seen)] == [b"", b'{"pin":"00"}', b'{"pin":"00"}']
    assert [told.frames[0].payload for _, told in exchanges(seen)] == [
        b'{"hi":1}',
        b'{"pin":"00"}',
        b'{"news":1}',
    ]
