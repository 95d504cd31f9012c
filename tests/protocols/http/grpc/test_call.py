"""What a call asks for, and when: as a conversation, on trial, or as a whole."""

import pytest

from svcmock_protocols.http.grpc import codes
from svcmock_protocols.http.grpc.call import Call
from svcmock_protocols.http.grpc.framing import GrpcError
from svcmock_protocols.http.grpc.parts import chain
from svcmock_protocols.http.messages import Reply, Request
from tests.protocols.http.grpc.shop import context

BLOCK = b"te: trailers\r\ncontent-type: application/grpc\r\n"
HEAD = Request(b"POST", b"/shop.Catalog/Watch", b"2", BLOCK)
CONTEXT = context()
ONE, TWO = b"\0\0\0\0\2\x08\x01", b"\0\0\0\0\2\x08\x02"
AFTER_ONE = chain(b"", ONE, HEAD, CONTEXT)
AFTER_TWO = chain(AFTER_ONE, TWO, HEAD, CONTEXT)
MORE, LAST = Reply(200, more=True), Reply(200)


def begun(*, known, limit=100, own=False):
    return Call(HEAD, CONTEXT, limit, known=known, own=own)


def part(said, body=b""):
    return Request(b"POST", b"/shop.Catalog/Watch", b"2", BLOCK, body, b"", said)


def test_a_conversation_is_asked_for_part_by_part():
    call = begun(known=True)
    assert not call.on_trial
    assert call.ask() == (part(b"open"), True)
    assert call.ask() is None
    call.feed(ONE + TWO[:6])
    assert call.pending
    assert call.ask() == (part(b"1 ", ONE), False)
    call.answered(HEAD, MORE)
    assert call.pending  # the beginning of a message
    assert call.ask() is None
    call.feed(TWO[6:])
    assert call.ask() == (part(b"2 " + AFTER_ONE, TWO), False)
    call.answered(HEAD, MORE)
    assert not call.pending
    assert call.ask() is None
    call.end()
    assert call.ask() == (part(b"end " + AFTER_TWO), False)
    assert call.ask() is None


def test_what_is_said_at_once_is_still_asked_for_in_turn():
    call = begun(known=True)
    call.feed(ONE + TWO)
    call.end()
    asked = []
    while (one := call.ask()) is not None:
        asked.append(one[0].said)
        call.answered(HEAD, MORE)
    assert asked == [b"open", b"1 ", b"2 " + AFTER_ONE, b"end " + AFTER_TWO]


@pytest.mark.parametrize(
    ("replies", "may_stay_unanswered"),
    [
        ([None], False),
        ([None, None], False),
        ([MORE, None], False),  # a recorded conversation that has not come to its end
        ([MORE, MORE], False),
        ([None, LAST], True),
        ([LAST, None], True),
        ([LAST, MORE], False),
        ([MORE, LAST], True),
    ],
)
def test_whether_an_answer_to_the_end_is_owed(replies, may_stay_unanswered):
    call = begun(known=True)
    call.feed(ONE * (len(replies) - 1))
    call.end()
    for reply in replies:
        call.ask()
        call.answered(HEAD, reply)
    asked, optional = call.ask()
    assert asked.said.startswith(b"end ")
    assert optional is may_stay_unanswered


def test_a_call_that_no_route_has_parts_of_is_asked_for_as_a_whole():
    call = begun(known=False)
    call.feed(ONE + TWO)
    call.end()
    for said in (b"open", b"1 ", b"2 " + AFTER_ONE):
        assert call.on_trial
        asked, optional = call.ask()
        assert (asked.said, optional) == (said, True)
        call.answered(HEAD, None)
    assert call.ask() == (None, False)
    assert call.ask() is None


@pytest.mark.parametrize("answered", [0, 1])
def test_a_call_of_which_a_part_was_answered_is_a_conversation(answered):
    call = begun(known=False)
    call.feed(ONE + TWO)
    call.end()
    for i in range(answered + 1):
        assert call.on_trial
        assert call.ask()[1]
        call.answered(HEAD, MORE if i == answered else None)
    assert not call.on_trial
    for said in (b"1 ", b"2 " + AFTER_ONE)[answered:]:
        asked, optional = call.ask()
        assert (asked.said, optional) == (said, True)
        call.answered(asked, None)
        assert call.stalled is asked
        call.answered(asked, MORE)
        assert call.stalled is None
    assert call.ask() == (part(b"end " + AFTER_TWO), True)
    call.answered(HEAD, None)
    assert not call.over
    assert call.ask() == (None, False), "it was recorded as a whole, beside a conversation that begins alike"
    assert call.over


def test_what_is_answered_here_is_never_owed():
    call = begun(known=False, own=True)
    call.feed(ONE + TWO)
    call.end()
    for reply in (None, MORE, MORE):
        assert call.ask()[1]
        assert not call.keeps_body
        call.answered(HEAD, reply)
    assert call.ask() == (part(b"end " + AFTER_TWO), True)
    call.answered(HEAD, None)
    assert call.ask() is None
    assert call.over


def test_a_client_that_says_nothing():
    for known, asked in ((True, (part(b"end "), False)), (False, (None, False))):
        call = begun(known=known)
        call.end()
        assert not call.pending
        assert call.ask() == (part(b"open"), True)
        call.answered(HEAD, None)
        assert call.ask() == asked
        assert call.ask() is None


def test_a_compressed_message_is_asked_for_as_it_came():
    call = begun(known=True)
    call.ask()
    call.feed(b"\1\0\0\0\3zip")
    assert call.ask() == (part(b"1 ", b"\1\0\0\0\3zip"), False)


@pytest.mark.parametrize(
    ("data", "code"), [(b"\2\0\0\0\0", codes.INTERNAL), (b"\0\0\0\0\x0b", codes.RESOURCE_EXHAUSTED)]
)
def test_what_is_no_message(data, code):
    call = begun(known=True, limit=10)
    call.feed(b"\0\0\0\0\x0a" + b"x" * 10)
    with pytest.raises(GrpcError) as caught:
        call.feed(data)
    assert caught.value.code == code


@pytest.mark.parametrize("at", [1, 5, 6])
def test_an_end_inside_a_message(at):
    call = begun(known=True)
    call.feed(ONE + TWO[:at])
    with pytest.raises(GrpcError, match="inside a message"):
        call.end()
