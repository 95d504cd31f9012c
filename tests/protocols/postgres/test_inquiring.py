"""A recorder that asks the server between its client's requests, with literal bytes."""

import random

import pytest
from msgspec.structs import replace

from svcmock.protocol import Began, Exchange, Fact, Forward, Lost, Opaque, Side, Upstream
from svcmock_protocols.postgres import inquiry, plugin
from svcmock_protocols.postgres.messages import Options, Request
from svcmock_protocols.postgres.types.declared import Declared
from tests.protocols.conformance import mutate
from tests.protocols.postgres import wire

MOOD = Declared(16400, "mood", "enum")
ROW = wire.row(b"16400", b"public", b"mood", b"e", None, None, None)
Z, T = wire.ready(), wire.ready("T")
RUN = wire.parse("SELECT $1") + wire.bind((b"12.50",)) + wire.describe() + wire.execute() + wire.SYNC
RAN = wire.PARSED + wire.BOUND + wire.columns(("n", 1700)) + wire.row(b"12.50") + wire.complete("SELECT 1")
DESCRIBE = inquiry.describing("SELECT $1", (0,))
DESCRIBED = wire.PARSED + wire.types(1700) + wire.columns(("n", 1700)) + wire.CLOSED + Z
LOOK_UP = inquiry.looking_up([16400])
LOOKED_UP = wire.PARSED + wire.BOUND + ROW + wire.complete("SELECT 1") + wire.CLOSED + Z
ENUM = wire.columns(("m", 16400)) + wire.row(b"happy") + wire.complete("SELECT 1")


class Talk:
    """A recorded connection whose client has logged in."""

    def __init__(self, context=None) -> None:
        self.tap = plugin.tap(context or wire.context(), Upstream("postgres://db", "db:5432"))
        self.client(wire.startup())
        self.server(wire.HELLO)

    def client(self, data: bytes):
        return list(self.tap.from_client(data, 1.0))

    def server(self, data: bytes):
        return list(self.tap.from_server(data, 2.0))


def exchanges(outs):
    return [out for out in outs if isinstance(out, Exchange)]


def told(outs) -> bytes:
    return b"".join(out.data for out in outs if isinstance(out, Forward) and out.to is Side.CLIENT)


def asked(outs) -> bytes:
    return b"".join(out.data for out in outs if isinstance(out, Forward) and out.to is Side.SERVER)


def test_the_types_of_parameters_are_asked_for_once():
    talk = Talk()
    assert asked(talk.client(RUN)) == RUN
    outs = talk.server(RAN + Z)
    assert (told(outs), asked(outs), exchanges(outs)) == (RAN + Z, DESCRIBE, [])
    outs = talk.server(DESCRIBED)
    assert told(outs) == asked(outs) == b""
    (one,) = exchanges(outs)
    assert one.request == Request("SELECT $1", ("12.50",), (1700,))
    talk.client(RUN)
    outs = talk.server(RAN + Z)
    assert asked(outs) == b""
    assert exchanges(outs)[0].request.types == (1700,)


def test_types_of_the_database_become_facts():
    talk = Talk()
    talk.client(wire.query("SELECT m"))
    outs = talk.server(ENUM + Z)
    assert (told(outs), asked(outs), exchanges(outs)) == (ENUM + Z, LOOK_UP, [])
    outs = talk.server(LOOKED_UP)
    assert outs[0] == Fact("type 16400", {"oid": 16400, "name": "mood", "kind": "enum", "schema": "public"})
    assert told(outs) == b""
    assert len(exchanges(outs)) == 1


def test_what_types_are_made_of_is_asked_too_and_binary_values_become_text():
    talk = Talk()
    batch = wire.parse("SELECT m") + wire.bind(wanted=(1,)) + wire.describe() + wire.execute() + wire.SYNC
    talk.client(batch)
    array = wire.i32(1, 0, 16400, 1, 1) + wire.value(b"happy")
    outs = talk.server(
        wire.PARSED
        + wire.BOUND
        + wire.columns(("m", 16399), form=1)
        + wire.row(array)
        + wire.complete("SELECT 1")
        + Z
    )
    assert asked(outs) == inquiry.looking_up([16399])
    row = wire.row(b"16399", b"public", b"_mood", b"b", b"16400", None, None)
    outs = talk.server(row + Z)
    assert asked(outs) == LOOK_UP
    assert exchanges(outs) == []
    (one,) = exchanges(talk.server(LOOKED_UP))
    assert one.reply.results[0].rows == (("{happy}",),)


def test_not_in_a_transaction_and_not_between_a_clients_messages():
    talk = Talk()
    talk.client(RUN)
    assert asked(talk.server(RAN + T)) == b""
    talk.client(wire.query("COMMIT"))
    outs = talk.client(wire.query("SELECT 1")[:3])  # the rest of it is still to come
    assert asked(outs) == wire.query("SELECT 1")[:3]
    assert asked(talk.server(wire.complete("COMMIT") + Z)) == b""
    talk.client(wire.query("SELECT 1")[3:])
    outs = talk.server(wire.columns(("n", 23)) + wire.row(b"1") + wire.complete("SELECT 1") + Z)
    assert asked(outs) == DESCRIBE
    outs = exchanges(talk.server(DESCRIBED))
    assert [one.request.sql for one in outs] == ["SELECT $1", "COMMIT", "SELECT 1"]
    assert outs[0].request.types == (1700,)


def test_not_while_a_batch_has_no_sync():
    talk = Talk()
    talk.client(RUN + wire.parse("SELECT 2", "s") + wire.FLUSH)
    assert asked(talk.server(RAN + Z)) == b""
    assert asked(talk.server(wire.PARSED)) == b""
    assert asked(talk.client(wire.SYNC)) == wire.SYNC
    assert asked(talk.server(Z)) == DESCRIBE


@pytest.mark.parametrize("cut", range(1, len(DESCRIBED)))
def test_a_client_need_not_wait_for_the_answer(cut):
    talk = Talk()
    talk.client(RUN)
    talk.server(RAN + Z)
    assert asked(talk.client(wire.query("SELECT m"))) == wire.query("SELECT m")
    answers = DESCRIBED + wire.message(b"A", wire.i32(7), b"c\0x\0") + ENUM + Z
    outs = talk.server(answers[:cut]) + talk.server(answers[cut:])
    assert told(outs) == answers[len(DESCRIBED) :]
    assert asked(outs) == LOOK_UP
    assert [one.request.sql for one in exchanges(outs)] in ([], ["SELECT $1"])


def test_a_server_that_refuses_is_not_asked_again():
    talk = Talk()
    talk.client(RUN)
    talk.server(RAN + Z)
    (one,) = exchanges(talk.server(wire.error("42P18", "no") + Z))
    assert one.request.types == (0,)
    talk.client(RUN)
    assert asked(talk.server(RAN + Z)) == b""


def test_the_end_of_the_server_is_the_clients_to_hear():
    talk = Talk()
    talk.client(RUN)
    talk.server(RAN + Z)
    fatal = wire.error("57P01", "shutting down", "FATAL")
    assert told(talk.server(wire.PARSED + fatal)) == fatal
    (one,) = exchanges(talk.tap.eof(Side.SERVER, 3.0))
    assert one.request.types == (0,)


def test_a_client_that_leaves_meanwhile():
    talk = Talk()
    talk.client(RUN)
    talk.server(RAN + Z)
    assert exchanges([*talk.client(wire.TERMINATE), *talk.tap.eof(Side.CLIENT, 3.0)]) == []
    assert exchanges(talk.server(DESCRIBED))[0].request.types == (1700,)


def test_a_client_that_leaves_in_a_transaction():
    talk = Talk()
    talk.client(RUN)
    talk.server(RAN + T)
    (one,) = exchanges(talk.tap.eof(Side.CLIENT, 3.0))
    assert one.request.types == (0,)


def test_bytes_that_are_no_postgresql_end_it():
    talk = Talk()
    talk.client(RUN)
    talk.server(RAN + T)
    outs = talk.client(b"!\0\0\0\4")
    assert len(exchanges(outs)) == 1
    assert any(isinstance(out, Opaque) for out in outs)
    talk = Talk()
    talk.client(RUN)
    talk.server(RAN + Z)
    outs = talk.server(wire.PARSED + b"Z\xff\xff\xff\xff")
    assert len(exchanges(outs)) == 1
    assert told(outs) == b"Z\xff\xff\xff\xff"
    assert any(isinstance(out, Opaque) for out in outs)


def test_what_waits_has_an_end():
    talk = Talk()
    talk.client(RUN)
    talk.server(RAN + T)
    many = b"".join(wire.row(b"1") for _ in range(20_000))
    talk.client(wire.query("SELECT many"))
    outs = talk.server(wire.columns(("n", 23)) + many + wire.complete("SELECT 20000") + T)
    assert len(exchanges(outs)) == 2


def test_nothing_is_asked_where_that_is_not_wanted():
    talk = Talk(replace(wire.context(), options=Options(inquire=False)))
    talk.client(RUN)
    outs = talk.server(RAN + Z)
    assert asked(outs) == b""
    assert len(exchanges(outs)) == 1


WORK = [
    (RUN, RAN + Z),
    (wire.query("SELECT m"), ENUM + Z),
    (wire.query("BEGIN"), wire.complete("BEGIN") + T),
    (wire.query("COMMIT"), wire.complete("COMMIT") + Z),
]


@pytest.mark.parametrize("seed", range(100))
def test_damaged_answers_survive(seed):
    """Nothing raises, and every statement that began comes to one end."""
    dice, talk, found = random.Random(seed), Talk(), []
    for _ in range(8):
        client, server = dice.choice(WORK)
        found += talk.client(client)
        outs = talk.server(server)
        answers = b"".join([mutate(LOOKED_UP + DESCRIBED, seed) for _ in range(bool(asked(outs)))])
        cut = dice.randrange(len(answers) + 1)
        found += [*outs, *talk.server(answers[:cut]), *talk.server(answers[cut:])]
    found += [*talk.tap.eof(Side.CLIENT, 3.0), *talk.tap.eof(Side.SERVER, 3.0)]
    began = [out.id for out in found if isinstance(out, Began)]
    assert sorted(began) == sorted(out.id for out in found if isinstance(out, Exchange | Lost))
