"""Credentials: no password and no hash of one stays in a request or a reply."""

import pytest

from svcmock_protocols.redis.credentials import redact, redact_reply, redact_request, tells
from svcmock_protocols.redis.messages import Array, Error, Map, Reply, Request
from tests.protocols.redis.making import token, words

TOKEN = token(b"").decode()
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
COMMANDS = {
    "AUTH s3cret": f"AUTH {TOKEN}",
    "AUTH ann s3cret": f"AUTH ann {TOKEN}",
    "HELLO 3 AUTH ann s3cret SETNAME x": f"HELLO 3 AUTH ann {TOKEN} SETNAME x",
    "HELLO 3 SETNAME x auth ann s3cret": f"HELLO 3 SETNAME x auth ann {TOKEN}",
    "MIGRATE h 1 k 0 10 AUTH s3cret KEYS a": f"MIGRATE h 1 k 0 10 AUTH {TOKEN} KEYS a",
    "MIGRATE h 1 k 0 10 AUTH2 ann s3cret": f"MIGRATE h 1 k 0 10 AUTH2 ann {TOKEN}",
    f"ACL SETUSER ann on >s3cret <s3cret #{HASH} ~*": f"ACL SETUSER ann on >{TOKEN} <{TOKEN} #{TOKEN} ~*",
    "acl setuser ann >s3cret": f"ACL setuser ann >{TOKEN}",
    "CONFIG SET requirepass s3cret": f"CONFIG SET requirepass {TOKEN}",
    "CONFIG SET maxmemory 1 MasterAuth s3cret": f"CONFIG SET maxmemory 1 MasterAuth {TOKEN}",
    "SENTINEL SET m auth-pass s3cret quorum 2": f"SENTINEL SET m auth-pass {TOKEN} quorum 2",
}


@pytest.mark.parametrize(("line", "expected"), COMMANDS.items())
def test_commands(line, expected):
    made = redact(words(line), token)
    assert made == words(expected)
    assert redact(made, token) == made
    assert tells(words(line))
    assert redact_request(Request(words(line), 1), token) == Request(words(expected), 1)


@pytest.mark.parametrize(
    "line", ["GET requirepass", "SET auth s3cret", "CONFIG GET requirepass", "ACL LIST", "AUTH", "PING"]
)
def test_what_holds_none_stays(line):
    request = Request(words(line))
    assert redact_request(request, token) is request or redact_request(request, token) == request


def test_transactions():
    request = Request((), 0, "transaction", (words("GET a"), words("CONFIG SET requirepass s3cret")))
    assert redact_request(request, token).commands == (words("GET a"), words(f"CONFIG SET requirepass {TOKEN}"))
    plain = Request((), 0, "transaction", (words("GET a"),))
    assert redact_request(plain, token) is plain


def told(line, value):
    return redact_reply(Request(words(line)), Reply(value), token).value


def test_replies():
    assert told("CONFIG GET *", Array((b"requirepass", b"s3cret", b"save", b"60"))) == Array(
        (b"requirepass", TOKEN.encode(), b"save", b"60")
    )
    assert told("CONFIG GET *", Map(((b"masterauth", b"s3cret"), (b"requirepass", b"")))) == Map(
        ((b"masterauth", TOKEN.encode()), (b"requirepass", b""))
    )
    assert told("ACL GENPASS", HASH.encode()) == TOKEN.encode()
    assert told("ACL LIST", Array((f"user ann on #{HASH} ~*".encode(),))) == Array(
        (f"user ann on #{TOKEN} ~*".encode(),)
    )
    assert told("ACL GETUSER ann", Map(((b"passwords", Array((HASH.encode(),))),))) == Map(
        ((b"passwords", Array((TOKEN.encode(),))),)
    )
    assert told("ACL GENPASS", Error(b"ERR")) == Error(b"ERR")
    reply = Reply(HASH.encode())
    assert redact_reply(Request(words("GET a")), reply, token) is reply


def test_replies_of_transactions():
    request = Request((), 0, "transaction", (words("GET a"), words("CONFIG GET requirepass")))
    reply = Reply(Array((b"1", Array((b"requirepass", b"s3cret")))))
    assert redact_reply(request, reply, token).value == Array((b"1", Array((b"requirepass", TOKEN.encode()))))
    other = Reply(Array((b"1",)))
    assert redact_reply(request, other, token) is other
