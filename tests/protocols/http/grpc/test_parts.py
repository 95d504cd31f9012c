"""The parts of conversations: what is asked for in turn, and what answers it."""

from msgspec.structs import replace

from svcmock_protocols.http import plugin
from svcmock_protocols.http.grpc.parts import chain, said_at, said_end, said_open
from svcmock_protocols.http.messages import Chunk
from tests.protocols.http.grpc.shop import TYPE, answer, body, call, context, encoded

KNOWN, BLIND = context(), context(known=False)


def key(asked):
    return plugin.key(asked, KNOWN)


ONE, TWO = encoded("Id", id=1), encoded("Id", id=2)
SIZE = len(body(ONE))
TALK = answer(ONE, TWO, ONE, chunks=(Chunk(SIZE, 0.0, 1), Chunk(SIZE, 0.0, 2), Chunk(SIZE, 0.5, 2)), ends_on=3)


def test_the_parts_of_a_conversation():
    asked = call(ONE, TWO, rpc="Watch")
    made = list(plugin.parts(asked, TALK, KNOWN))
    after_one = chain(b"", body(ONE), asked, KNOWN)
    after_two = chain(after_one, body(TWO), asked, KNOWN)
    assert [part.said for part in made] == [said_at(1, b""), said_at(2, after_one), said_end(after_two)]
    assert [part.body for part in made] == [body(ONE), body(TWO), b""]
    assert len({key(part) for part in (*made, asked, *plugin.parts(call(TWO, TWO), TALK, KNOWN))}) == 7
    replies = [plugin.part(asked, TALK, number) for number in range(3)]
    assert [reply.body for reply in replies] == [TALK.body] * 3
    assert [reply.upto for reply in replies] == [SIZE, 3 * SIZE, 3 * SIZE]
    assert [reply.more for reply in replies] == [True, True, False]
    assert [reply.trailers for reply in replies] == [b"", b"", b"grpc-status: 0\r\n"]
    assert replies[1].chunks == (Chunk(SIZE), Chunk(SIZE), Chunk(SIZE, 0.5))


def test_a_conversation_may_open_with_an_answer_and_end_early():
    asked = call(ONE, TWO, rpc="Watch")
    early = answer(ONE, TWO, chunks=(Chunk(SIZE, 0.0, 0), Chunk(SIZE, 0.0, 1)), ends_on=1)
    made = list(plugin.parts(asked, early, KNOWN))
    assert [part.said for part in made] == [said_open(), said_at(1, b"")]
    assert [plugin.part(asked, early, number).upto for number in range(2)] == [SIZE, 2 * SIZE]
    assert not plugin.part(asked, early, 1).more
    refused = answer(block=TYPE + b"grpc-status: 7\r\n", trailers=b"", ends_on=0)
    assert [part.said for part in plugin.parts(asked, refused, KNOWN)] == [said_open()]
    assert plugin.part(asked, refused, 0).block == refused.block
    late = replace(refused, ends_on=3)
    assert [plugin.part(asked, late, number).block for number in range(3)] == [b"", b"", late.block]


def test_a_method_that_streams_both_ways_is_a_conversation_whatever_its_route_says():
    asked, whole = call(ONE, TWO, rpc="Watch"), answer(ONE, TWO)
    made = list(plugin.parts(asked, whole, KNOWN))
    assert [part.said.partition(b" ")[0] for part in made] == [b"1", b"2", b"end"]
    assert plugin.parts(asked, whole, BLIND) == ()
    replies = [plugin.part(asked, whole, number) for number in range(3)]
    assert [reply.upto for reply in replies] == [0, 2 * SIZE, 2 * SIZE]
    assert [reply.more for reply in replies] == [True, True, False]
    assert replies[2].trailers == whole.trailers
    silent = call(rpc="Watch")
    (end,) = plugin.parts(silent, whole, KNOWN)
    assert end.said.startswith(b"end")
    assert plugin.part(silent, whole, 0).upto == 2 * SIZE
    refused = answer(block=TYPE + b"grpc-status: 7\r\n", trailers=b"")
    assert len(plugin.parts(asked, refused, KNOWN)) == 2, "an error does not wait for the end"
    assert not plugin.part(asked, refused, 1).more


def test_what_is_no_conversation_has_no_parts():
    assert plugin.parts(call(ONE), answer(ONE), KNOWN) == ()
    assert plugin.parts(replace(call(), body=b"odd"), TALK, KNOWN) == ()


def test_a_chain_depends_on_what_was_meant():
    asked = call(rpc="Watch")
    padded = b"\x08\x81\x80\x00"
    assert chain(b"", body(padded), asked, KNOWN) == chain(b"", body(ONE), asked, KNOWN)
    explicit = ONE + b"\x12\0"
    assert chain(b"", body(explicit), asked, KNOWN) == chain(b"", body(ONE), asked, KNOWN)
    assert chain(b"", body(explicit), asked, BLIND) != chain(b"", body(ONE), asked, BLIND)
    assert chain(chain(b"", body(ONE), asked, KNOWN), body(ONE), asked, KNOWN) != chain(
        b"", body(ONE), asked, KNOWN
    )
