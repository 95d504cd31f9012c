"""What tells gRPC calls apart, and what predicates see of them."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from svcmock.protocol import Spooled
from svcmock_protocols.http import plugin
from svcmock_protocols.http.grpc import web
from svcmock_protocols.http.grpc.framing import Message
from svcmock_protocols.http.messages import Reply
from tests.protocols.http.grpc.shop import TYPE, USUAL, answer, body, call, context, encoded, kind

KNOWN, BLIND = context(), context(known=False)
ID = encoded("Id", id=42)


def key(asked, where=KNOWN):
    return plugin.key(asked, where)


def matches(live, recorded, where=KNOWN):
    """Whether a route that was recorded from one answers the other."""
    wanted = plugin.conditions(recorded, where)
    return key(live, where) == key(recorded, where) and plugin.present(live, tuple(wanted), where) == tuple(
        wanted.values()
    )


# --- the key ------------------------------------------------------------------------------------------


def test_a_key_starts_with_the_address():
    assert key(call(ID)).startswith(b"/shop.Catalog/GetItem\0POST\0\0")
    assert key(call()) == b"/shop.Catalog/GetItem\0POST\0\0"


@pytest.mark.parametrize("where", [KNOWN, BLIND])
def test_other_calls_have_other_keys(where):
    others = [
        call(ID),
        call(encoded("Id", id=43)),
        call(ID, ID),
        call(),
        call(ID, rpc="List"),
        call(b"\xff"),
        call(b"\xfe"),
    ]
    assert len({key(other, where) for other in others}) == len(others)


def test_a_schema_knows_what_means_the_same():
    padded, zero = b"\x08\xaa\x80\x00", ID + b"\x12\0"
    assert key(call(padded)) == key(call(zero)) == key(call(ID))
    assert key(call(zero), BLIND) != key(call(ID), BLIND)
    one, two = b"\x12\x01a\x08\x2a", b"\x08\x2a\x12\x01a"
    assert key(call(one)) == key(call(two))
    assert key(call(one), BLIND) == key(call(two), BLIND)


def test_how_a_call_travels_does_not_matter():
    packed = Message(gzip.compress(ID), compressed=True)
    asked = [
        call(ID),
        call(packed, block=USUAL + b"grpc-encoding: gzip\r\ngrpc-timeout: 3S\r\n"),
        call(ID, block=b"content-type: application/grpc+proto\r\nuser-agent: x\r\n"),
        call(ID, block=b"content-type: application/grpc; charset=utf-8\r\n"),
        call(
            ID,
            block=b"Content-Type: application/grpc-web+proto\r\nX-Grpc-Web: 1\r\n"
            b"Accept: application/grpc-web+proto\r\n",
        ),
        replace(
            call(block=b"content-type: application/grpc-web-text\r\naccept: application/grpc-web-text\r\n"),
            body=web.encode_text_body(body(ID)),
            version=b"1.1",
        ),
    ]
    for where in (KNOWN, BLIND):
        for live in asked:
            assert all(matches(live, recorded, where) for recorded in asked)


def test_what_cannot_be_read_counts_as_its_bytes():
    broken = replace(call(), body=b"\0\0\0\0\x09abc")
    assert key(broken) == key(replace(broken, block=b"content-type: application/grpc+proto\r\n"))
    assert key(broken) != key(replace(broken, body=b"\0\0\0\0\x09abd"))
    json = b"content-type: application/grpc+json\r\n"
    assert key(call(b'{"a":1}', block=json)) != key(call(b'{"a": 1}', block=json))
    bomb = Message(gzip.compress(bytes(5 << 20)), compressed=True)
    block = USUAL + b"grpc-encoding: gzip\r\n"
    assert key(call(bomb, block=block)) != key(call(bomb, bomb, block=block))


def test_a_plain_request_is_no_call():
    plain = call(ID, block=b"content-type: application/octet-stream\r\n")
    assert not matches(plain, call(ID))
    assert not matches(replace(plain, block=b""), replace(call(), body=b""))
    assert "grpc" not in plugin.fields(plain, KNOWN)


def test_large_calls_are_compared_by_their_digest():
    small = context(max_body_memory=10)
    whole = call(encoded("Id", id=1, note="x" * 20))
    from hashlib import sha256

    spooled = replace(whole, body=Spooled("t", len(whole.body), sha256(whole.body).hexdigest()))
    assert key(whole, small) == key(spooled, small)
    assert "sha256" in plugin.decisive(spooled, small)["body"]


def test_noise_inside_messages():
    ignoring = context("message.note", "message.like.*")
    assert key(call(encoded("Id", id=1, note="a")), ignoring) == key(
        call(encoded("Id", id=1, note="b")), ignoring
    )
    assert key(call(encoded("Id", id=1, note="a")), KNOWN) != key(call(encoded("Id", id=1, note="b")), KNOWN)
    second = context("messages.1.note")
    one, two = encoded("Id", id=1, note="a"), encoded("Id", id=1, note="b")
    assert key(call(one, one, rpc="Watch"), second) == key(call(one, two, rpc="Watch"), second)
    assert key(call(one, one, rpc="Watch"), second) != key(call(two, one, rpc="Watch"), second)
    assert plugin.decisive(call(encoded("Id", id=1, note="a")), ignoring)["message"] == {"id": 1}


ITEMS = st.builds(
    lambda number, name, stock: {"id": number, "name": name, "stock": stock},
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=2), st.integers(0, 9), max_size=3),
)


@settings(max_examples=100, deadline=None)
@given(ITEMS, ITEMS)
def test_equal_messages_have_equal_keys(one, two):
    first, second = kind("Item")(**one), kind("Item")(**two)
    asked = (
        call(first.SerializeToString(), rpc="Add"),
        call(second.SerializeToString(deterministic=True), rpc="Add"),
    )
    assert (key(asked[0]) == key(asked[1])) == (first == second)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["", "+proto", "+json", "-web", "-web-text", "-web+proto", "x"]))
def test_no_body_is_too_odd(data, form):
    asked = replace(call(block=b"content-type: application/grpc" + form.encode() + b"\r\n"), body=data)
    for where in (KNOWN, BLIND):
        assert plugin.key(asked, where) == plugin.key(asked, where)
        dict(plugin.fields(asked, where))
        plugin.decisive(asked, where)
        plugin.redact(asked, where)


# --- conditions ---------------------------------------------------------------------------------------


def test_metadata_decides_and_what_the_transport_adds_does_not():
    asked = call(
        ID,
        block=b"host: h\r\n"
        + USUAL
        + b"user-agent: grpc-python/1\r\ngrpc-timeout: 1S\r\ngrpc-encoding: gzip\r\n"
        + b"grpc-accept-encoding: gzip\r\ngrpc-trace-bin: AA\r\ngrpc-previous-rpc-attempts: 1\r\n"
        + b"x-grpc-web: 1\r\nx-tenant: a\r\nx-blob-bin: AAE\r\n",
    )
    assert plugin.conditions(asked, KNOWN) == {
        "headers.content-type": b"application/grpc",
        "headers.x-tenant": b"a",
        "headers.x-blob-bin": b"AAE",
    }
    padded = replace(asked, block=asked.block.replace(b"AAE", b"AAE="))
    assert matches(padded, asked)
    assert not matches(replace(asked, block=asked.block.replace(b"AAE", b"AAI")), asked)


# --- fields -------------------------------------------------------------------------------------------


def test_fields_of_a_call():
    asked = call(ID, block=USUAL + b"x-id-bin: aGVsbG8\r\nx-raw-bin: /w\r\nx-a: b\r\nx-a: c\r\n")
    found = dict(plugin.fields(asked, KNOWN))
    assert "body" not in found
    assert (found["grpc"], found["service"], found["rpc"]) == (
        "shop.Catalog/GetItem",
        "shop.Catalog",
        "GetItem",
    )
    assert found["message"] == {"id": 42}
    assert found["messages"] == [{"id": 42}]
    assert found["http_version"] == "2"
    assert found["metadata"] == {
        "te": ["trailers"],
        "content-type": ["application/grpc"],
        "x-id-bin": ["hello"],
        "x-raw-bin": ["/w"],
        "x-a": ["b", "c"],
    }
    assert plugin.fields(asked, BLIND)["message"] == {"1": 42}
    assert plugin.decisive(asked, KNOWN) == {"grpc": "shop.Catalog/GetItem", "message": {"id": 42}}


def test_a_stream_of_requests_has_no_single_message():
    found = plugin.fields(call(ID, ID, rpc="Add"), KNOWN)
    assert "message" not in found
    assert found["messages"] == [{"id": 42}, {"id": 42}]
    assert plugin.decisive(call(ID, ID, rpc="Add"), KNOWN)["messages"] == [{"id": 42}, {"id": 42}]


def test_summaries_and_outcomes():
    assert plugin.summary(call(ID)) == "gRPC shop.Catalog/GetItem"
    assert plugin.summary(call(ID, said=b"2 abc")) == "gRPC shop.Catalog/GetItem, message 2"
    assert plugin.summary(call(said=b"end abc")) == "gRPC shop.Catalog/GetItem, end"
    assert plugin.outcome(answer(ID)) == "OK"
    assert plugin.outcome(answer(block=TYPE + b"grpc-status: 5\r\n", trailers=b"")) == "NOT_FOUND"
    assert plugin.outcome(answer(trailers=b"grpc-status: 99\r\n")) == "99"
    assert plugin.outcome(answer(trailers=b"grpc-status: x\r\n")) == "UNKNOWN"
    assert plugin.outcome(answer(trailers=b"")) == "200"
    framed = web.trailer_frame([(b"grpc-status", b"5")])
    assert (
        plugin.outcome(Reply(200, block=b"content-type: application/grpc-web\r\n", body=framed)) == "NOT_FOUND"
    )
    assert plugin.outcome(answer(ID, more=True)) == "more"
