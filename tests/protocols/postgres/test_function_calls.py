"""Calls of functions by their oid, served and recorded, with the bytes of both sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Ask, Began, Exchange, Forward, Lost, Opaque, Shut, Side, Upstream
from svcmock_protocols.postgres import watched
from svcmock_protocols.postgres.calls import replied
from svcmock_protocols.postgres.handshake import HandshakeSession
from svcmock_protocols.postgres.messages import Column, Descriptor, Raw, Reply, Request, Result, failed, said
from svcmock_protocols.postgres.session import PostgresSession
from svcmock_protocols.postgres.standing import Standing
from svcmock_protocols.postgres.tap import PostgresTap
from tests.protocols.conformance import (
    check_session_splits,
    check_session_survives,
    check_tap_splits,
    mutate,
    serve,
    watch,
)
from tests.protocols.postgres import wire

MISS = failed("58000", "no route")
NO_LARGE = failed("42704", "large object 9 does not exist")
ABORTED = wire.error("25P02", "current transaction is aborted, commands ignored until end of transaction block")


def call(oid: int, *values: int | bytes | None, formats: tuple[int, ...] = (1,), wanted: int = 1) -> bytes:
    shown = [wire.value(wire.i32(one) if isinstance(one, int) else one) for one in values]
    counted = wire.i16(len(formats), *formats), wire.i16(len(values))
    return wire.message(b"F", wire.i32(oid), *counted, *shown, wire.i16(wanted))


def gave(data: bytes | int | None) -> bytes:
    return wire.message(b"V", wire.value(wire.i32(data) if isinstance(data, int) else data))


OPEN, READ, CLOSE = call(952, 7, 262144), call(954, 0, 2), call(953, 0)
BEGIN = wire.query("BEGIN")
BEGUN = wire.complete("BEGIN") + wire.ready("T")
LARGE = {7: b"seven", 8: b"eight"}


def answer(request: Request) -> Reply | None:
    """As routes of two large objects would, each of which has the descriptor 0."""
    if request.op != "call":
        return None if request.sql in ("BEGIN", "COMMIT", "ROLLBACK") else MISS
    at = request.descriptor
    match request.sql:
        case "lo_open" if request.params[0] == "9":
            return NO_LARGE
        case "lo_open":
            return replied("0")
        case "loread" if at is not None:
            size = request.params[0]
            text = LARGE.get(at.object, b"")[at.at :][: int(size) if isinstance(size, str) else 0]
            return replied(f"\\x{text.hex()}")
        case "lo_close" if at is not None:
            return replied("0")
        case "17000":
            return replied(Raw(b"\1"))
        case "17001":
            return Reply(replied(None).results, notices=(said("00000", "well", "NOTICE"),), status="T")
    return MISS


def session() -> PostgresSession:
    return PostgresSession(wire.ANYBODY, Standing({}), (7, b"abcd"))


def told(data: bytes) -> bytes:
    return wire.sent(check_session_splits(session, data, answer))


# --- serving ---


def test_two_large_objects_by_turns():
    data = BEGIN + OPEN + call(952, 8, 262144) + READ + call(954, 1, 2) + READ + call(954, 1, 9) + CLOSE
    turns = [gave(0), gave(1), gave(b"se"), gave(b"ei"), gave(b"ve"), gave(b"ght"), gave(0)]
    assert told(data) == BEGUN + b"".join(turn + wire.ready("T") for turn in turns)


def test_what_is_asked_for_says_what_is_read():
    outs = serve(session(), [BEGIN + OPEN + READ + READ], answer)
    asked = [out.request for out in outs if isinstance(out, Ask)][1:]
    assert asked == [
        Request("lo_open", ("7", "262144"), (26, 23), op="call"),
        Request("loread", ("2",), (23,), op="call", descriptor=Descriptor(7, 262144, 0)),
        Request("loread", ("2",), (23,), op="call", descriptor=Descriptor(7, 262144, 2)),
    ]


def test_a_descriptor_ends_with_its_transaction():
    refused = wire.error("58000", "no route") + wire.ready()
    assert told(OPEN + READ) == gave(0) + wire.ready() + refused
    assert told(BEGIN + OPEN + wire.query("COMMIT") + READ).endswith(refused)


@pytest.mark.parametrize(
    ("data", "answered"),
    [
        (call(954, 0, 2), wire.error("58000", "no route")),
        (call(952, 9, 262144), wire.error("42704", "large object 9 does not exist")),
        (call(952, b"7", b"262144", formats=(), wanted=0), gave(b"0")),
        (call(17000), gave(b"\1")),
        (call(17001), wire.error("00000", "well", "NOTICE", b"N") + gave(None)),
        (
            call(954, 0),
            wire.error("08P01", "function call message contains 1 arguments but function requires 2"),
        ),
        (wire.message(b"F"), wire.error("08P01", "a message ends too soon")),
        (wire.message(b"F", wire.i32(954), b"\x7f\xff"), None),
        (call(17000, wanted=0), None),
    ],
)
def test_calls(data, answered):
    """Whatever is wrong with one: the next message is looked at, without a Sync."""
    made = told(data + wire.query(""))
    assert made.endswith(wire.ready("T" if b"well" in made else "I") + wire.EMPTY + made[-6:])
    if answered is not None:
        assert made.startswith(answered)
    else:
        assert wire.kinds(made) == "EZIZ"


def test_a_result_that_is_not_to_be_had_in_the_format_that_is_wanted():
    assert b"C0A000\0" in told(call(17000, wanted=0))


@pytest.mark.parametrize("data", [READ, wire.message(b"F")])
def test_in_a_failed_transaction(data):
    made = told(BEGIN + call(954, 3, 2) + data)
    assert made == BEGUN + wire.error("58000", "no route") + wire.ready("E") + ABORTED + wire.ready("E")


def test_what_failed_before_is_skipped_up_to_sync():
    made = told(wire.execute("none") + OPEN + wire.SYNC)
    assert wire.kinds(made) == "EZ"


@pytest.mark.parametrize("seed", range(60))
def test_damaged_calls_survive(seed):
    data = wire.startup() + BEGIN + OPEN + READ + READ + CLOSE + wire.query("ROLLBACK")
    check_session_survives(lambda: HandshakeSession(wire.context()), data, answer, seed)


STEPS = st.lists(
    st.sampled_from(
        [BEGIN, wire.query("COMMIT"), OPEN, call(952, 8, 262144), call(952, 9, 1), READ, call(954, 1, 3), CLOSE]
    ),
    max_size=12,
)


@given(STEPS)
def test_each_is_answered_and_ready_again(steps):
    made = wire.kinds(wire.sent(serve(session(), [b"".join(steps)], answer)))
    assert made.count("Z") == len(steps)


@given(STEPS)
def test_what_is_served_is_recorded_as_it_was_asked(steps):
    """A recorder before the mock sees the same requests and replies, but for numbers of descriptors."""
    mock, tap = session(), logged_in()
    asked, seen = [], []
    for step in steps:
        seen += tap.from_client(step, 1.0)
        outs = serve(mock, [step], answer)
        asked += [out.request for out in outs if isinstance(out, Ask) and out.request.op == "call"]
        seen += tap.from_server(wire.sent(outs), 2.0)
    recorded = [out for out in seen if isinstance(out, Exchange) and out.request.op == "call"]
    assert [one.request for one in recorded] == [one for one in asked if one is not None]
    for one in recorded:
        if one.request.sql != "lo_open":
            assert one.reply == answer(one.request)


# --- recording ---


def logged_in() -> PostgresTap:
    tap = PostgresTap(wire.context(), Upstream("postgres://db.example", "db.example"))
    tap.from_client(wire.startup(), 0.0)
    tap.from_server(wire.HELLO, 0.0)
    return tap


def seen(*turns: tuple[bytes, bytes]) -> list:
    tap, found = logged_in(), []
    for client, server in turns:
        found += [*tap.from_client(client, 1.0), *tap.from_server(server, 3.0)]
    found += [*tap.eof(Side.CLIENT, 4.0), *tap.eof(Side.SERVER, 4.0)]
    return [out for out in found if not isinstance(out, Forward | Shut | Began)]


def exchanges(*turns: tuple[bytes, bytes]) -> list[tuple[Request, Reply]]:
    found = seen(*turns)
    assert not [out for out in found if not isinstance(out, Exchange)], found
    return [(out.request, out.reply) for out in found]


TURNS = [
    (BEGIN, BEGUN),
    (OPEN, gave(0) + wire.ready("T")),
    (READ, gave(b"se") + wire.ready("T")),
    (READ, gave(b"ve") + wire.ready("T")),
    (CLOSE, gave(0) + wire.ready("T")),
]


def test_pieces_of_a_large_object():
    at = [Descriptor(7, 262144, place) for place in (0, 2, 4)]
    assert exchanges(*TURNS) == [
        (Request("lo_open", ("7", "262144"), (26, 23), op="call"), replied("0")),
        (Request("loread", ("2",), (23,), op="call", descriptor=at[0]), replied("\\x7365")),
        (Request("loread", ("2",), (23,), op="call", descriptor=at[1]), replied("\\x7665")),
        (Request("lo_close", (), (), op="call", descriptor=at[2]), replied("0")),
    ]


def test_calls_that_are_sent_together():
    client, server = (b"".join(side) for side in zip(*TURNS, strict=True))
    assert exchanges((client, server)) == exchanges(*TURNS)


def test_a_call_that_fails():
    failure = wire.error("42704", "large object 9 does not exist")
    found = exchanges(
        (BEGIN, BEGUN),
        (call(952, 9, 262144), failure + wire.ready("E")),
        (wire.query("ROLLBACK"), wire.complete("ROLLBACK") + wire.ready()),
    )
    assert found == [(Request("lo_open", ("9", "262144"), (26, 23), op="call"), NO_LARGE)]


def test_what_a_failed_transaction_refuses_is_left_out():
    failure = wire.error("42704", "no") + wire.ready("E")
    found = seen((BEGIN, BEGUN), (call(952, 9, 1), failure), (READ, ABORTED + wire.ready("E")))
    assert [type(out) for out in found] == [Exchange, Lost]
    assert found[1].kind == "skipped"


@pytest.mark.parametrize(
    "answered",
    [wire.row(b"1"), wire.complete("x"), gave(None) * 2, wire.message(b"V"), gave(b"x") + wire.PARSED],
)
def test_what_is_no_answer_to_a_call(answered):
    found = seen((OPEN, answered + wire.ready()))
    assert [type(out) for out in found] == [Lost, Opaque]


def test_a_call_that_the_server_will_not_understand():
    found = exchanges(
        (wire.message(b"F", b"x"), wire.error("08P01", "insufficient data") + wire.ready()),
        (wire.query("b"), wire.complete("B") + wire.ready()),
    )
    assert found == [(Request("b"), Reply((Result(tag="B"),)))]


def test_more_than_is_held_is_passed_on_and_said(monkeypatch):
    monkeypatch.setattr(watched, "MAX_HELD", 100)
    found = seen((call(17000), gave(b"x" * 100) + wire.ready()), (call(17000), gave(b"x") + wire.ready()))
    assert [type(out) for out in found] == [Lost, Exchange]
    assert found[0].kind == "skipped"
    assert found[0].why == "more than 100 bytes"


def test_notices_and_types():
    notice = wire.error("00000", "well", "NOTICE", b"N")
    found = exchanges((call(17000, b"\1", None), notice + gave(b"\2") + wire.ready()))
    request, reply = found[0]
    assert request == Request("17000", (Raw(b"\1"), None), op="call")
    assert reply == Reply(replied(Raw(b"\2")).results, notices=(said("00000", "well", "NOTICE"),))


def test_reads_do_not_matter():
    client = wire.startup() + b"".join(one for one, _ in TURNS)
    found = check_tap_splits(
        lambda: PostgresTap(wire.context(), Upstream("postgres://h", "h")),
        client,
        wire.HELLO + b"".join(one for _, one in TURNS),
    )
    assert sum(isinstance(out, Exchange) for out in found) == 4


@pytest.mark.parametrize("seed", range(60))
def test_damaged_bytes_survive(seed):
    """Nothing raises, and every call that began comes to one end."""
    client = mutate(b"".join(one for one, _ in TURNS), seed)
    server = mutate(b"".join(one for _, one in TURNS), seed + 1)
    found = watch(logged_in(), [(Side.CLIENT, client), (Side.SERVER, server)])
    began = [out.id for out in found if isinstance(out, Began)]
    assert sorted(began) == sorted(out.id for out in found if isinstance(out, Exchange | Lost))


def test_a_statement_after_a_call_is_a_statement():
    ids = wire.columns(("id", 23), size=4) + wire.row(b"1") + wire.complete("SELECT 1") + wire.ready()
    one = Reply((Result((Column("id", 23),), (("1",),), "SELECT 1"),))
    assert exchanges((OPEN, gave(0) + wire.ready()), (wire.query("x"), ids))[1] == (Request("x"), one)
