"""Credentials in gRPC calls: by name, and wherever else they occur."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from svcmock_protocols.http import plugin
from svcmock_protocols.http.canonical import redaction
from svcmock_protocols.http.grpc import web
from svcmock_protocols.http.grpc.framing import Message, split, unpacked
from svcmock_protocols.http.messages import Chunk, Reply
from svcmock_protocols.http.redact import redact_exchange, redact_request
from tests.protocols.http.grpc.shop import TYPE, USUAL, answer, body, call, context, encoded, kind, token

KNOWN, BLIND = context(), context(known=False)
SECRET = b"hunter2-hunter2-hunter2"
TOKEN = token(SECRET)
BEARER = USUAL + b"authorization: Bearer " + SECRET + b"\r\n"


def items(message):
    return [kind("Item").FromString(one.data) for one in split(message.body)]


def exchange(asked, answered, where=KNOWN):
    return redact_exchange(asked, answered, where.token, redaction(where), schema=where.schema)


def test_fields_are_credentials_by_their_names():
    asked = call(encoded("Item", id=7, name="Tea", api_key=SECRET.decode(), secret=SECRET + b"\xff"), rpc="Add")
    made = plugin.redact(asked, KNOWN)
    assert items(made) == [
        kind("Item")(id=7, name="Tea", api_key=TOKEN.decode(), secret=token(SECRET + b"\xff"))
    ]
    assert plugin.redact(made, KNOWN) == made
    assert plugin.redact(asked, BLIND) == asked


def test_options_say_which_fields_too():
    where = context(redact=("message.name",), keep=("message.api_key",))
    asked = call(encoded("Item", name=SECRET.decode(), api_key="open-open-open"), rpc="Add")
    assert items(plugin.redact(asked, where)) == [kind("Item")(name=TOKEN.decode(), api_key="open-open-open")]


def test_entries_of_maps_and_inner_messages():
    asked = call(encoded("Item", like=kind("Item")(api_key=SECRET.decode())), rpc="Add")
    assert items(plugin.redact(asked, KNOWN))[0].like.api_key == TOKEN.decode()


@pytest.mark.parametrize("where", [KNOWN, BLIND])
def test_credentials_of_metadata_are_found_in_messages(where):
    said = encoded(
        "Item",
        name="with " + SECRET.decode(),
        tags=[SECRET.decode(), "b"],
        like=kind("Item")(name=SECRET.decode()),
    )
    asked, answered = exchange(call(said, block=BEARER, rpc="Add"), answer(said, said), where)
    want = kind("Item")(
        name="with " + TOKEN.decode(), tags=[TOKEN.decode(), "b"], like=kind("Item")(name=TOKEN.decode())
    )
    assert items(asked) == [want]
    assert items(answered) == [want, want]
    assert SECRET not in asked.block
    live = redact_request(call(said, block=BEARER, rpc="Add"), where.token, redaction(where), where.schema)
    assert live == asked


def test_chunks_keep_their_messages():
    said = encoded("Item", name=SECRET.decode())
    size = len(body(said))
    chunks = (Chunk(size, 0.0, 0), Chunk(size, 0.5, 2))
    _, made = exchange(call(block=BEARER), answer(said, said, chunks=chunks, ends_on=2))
    new = len(body(encoded("Item", name=TOKEN.decode())))
    assert made.chunks == (Chunk(new, 0.0, 0), Chunk(new, 0.5, 2))


def test_compressed_messages_are_looked_into():
    packed = Message(gzip.compress(encoded("Item", api_key=SECRET.decode())), compressed=True)
    block = TYPE + b"grpc-encoding: gzip\r\n"
    _, made = exchange(call(b"", rpc="GetItem"), answer(packed, block=block))
    (message,) = split(made.body)
    assert message.compressed
    assert kind("Item").FromString(unpacked(message, b"gzip")).api_key == TOKEN.decode()


def test_grpc_web_and_its_trailers():
    framed = body(encoded("Item", api_key=SECRET.decode())) + web.trailer_frame(
        [(b"grpc-status", b"0"), (b"x-api-key", SECRET), (b"x-echo", b"is " + SECRET)]
    )
    asked = call(b"", block=b"content-type: application/grpc-web\r\n")
    for form, coded in ((b"", framed), (b"-text", web.encode_text_body(framed))):
        block = b"content-type: application/grpc-web%b\r\n" % form
        _, made = exchange(asked, Reply(200, block=block, body=coded))
        plain = web.TextReader().feed(made.body) if form else made.body
        messages, trailers = web.split_web(plain)
        assert kind("Item").FromString(messages[0].data).api_key == TOKEN.decode()
        assert trailers == ((b"grpc-status", b"0"), (b"x-api-key", TOKEN), (b"x-echo", b"is " + TOKEN))


def test_a_body_that_is_no_call_is_left():
    odd = replace(call(block=BEARER), body=b"\0\0\0\0\x63" + b"x")
    assert plugin.redact(odd, KNOWN).body == odd.body


def test_one_token_for_all_without_a_key():
    alike = context()
    alike = replace(alike, token=lambda secret: b"svcmock-any" if secret else b"")
    recorded = call(encoded("Item", name="is " + TOKEN.decode()), rpc="Add")
    for where in (alike, replace(alike, schema=None)):
        assert items(plugin.redact(recorded, where)) == [kind("Item")(name="is svcmock-any")]


SAFE = st.text(st.characters(codec="utf-8"), max_size=8)


@settings(max_examples=100, deadline=None)
@given(SAFE, SAFE, st.lists(SAFE, max_size=3), st.booleans())
def test_nothing_leaks_and_nothing_else_changes(before, after, tags, known):
    where = KNOWN if known else BLIND
    said = before + SECRET.decode() + after
    asked = call(encoded("Item", name=said, tags=[*tags, said]), rpc="Add", block=BEARER)
    made = plugin.redact(asked, where)
    assert SECRET not in made.body
    want = said.replace(SECRET.decode(), TOKEN.decode())
    assert items(made) == [kind("Item")(name=want, tags=[*tags, want])]
    assert plugin.redact(made, where) == made
