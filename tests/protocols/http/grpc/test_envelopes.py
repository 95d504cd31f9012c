"""Messages in route files, and their bytes."""

import gzip

from svcmock_protocols.http.grpc.framing import Message
from tests.protocols.http.grpc.roundtrip import ID, TEA, reply, survives
from tests.protocols.http.grpc.shop import TYPE, answer, body, call, encoded


def test_what_the_document_does_not_give_has_its_bytes_too():
    padded = b"\x08\xaa\x80\x00\x12\x03Tea"
    made = survives(call(ID), answer(padded))
    assert made.respond == {"messages": [{"message": {"id": 42, "name": "Tea"}, "wire": {"hex": padded.hex()}}]}
    edited = {"messages": [{"message": {"id": 43}, "wire": {"hex": padded.hex()}}]}
    assert reply(edited).body == body(encoded("Item", id=43))
    nothing = b"\xff\xff"
    assert survives(call(ID), answer(nothing)).respond == {"messages": [{"wire": {"hex": "ffff"}}]}


def test_large_messages_are_files():
    big = encoded("Item", picture=bytes(range(256)) * 300)
    made = survives(call(big), answer(big))
    (name,) = made.files
    assert made.respond == {"messages": [{"wire": {"file": name}}]}
    assert made.files[name] == big


def test_compressed_messages_are_readable():
    block = TYPE + b"grpc-encoding: gzip\r\n"
    ours = reply(
        {"metadata": [["grpc-encoding", "gzip"]], "messages": [{"message": {"id": 7}, "compressed": True}]}
    )
    assert survives(call(ID), ours).respond == {
        "metadata": [["grpc-encoding", "gzip"]],
        "messages": [{"message": {"id": 7}, "compressed": True}],
    }
    theirs = gzip.compress(TEA, 1, mtime=7)
    made = survives(call(ID), answer(Message(theirs, compressed=True), TEA, block=block))
    first = made.respond["messages"][0]
    assert first["message"] == {"id": 42, "name": "Tea"}
    assert first["wire"] == {"hex": theirs.hex()}
    broken = survives(call(ID), answer(Message(b"no gzip", compressed=True), block=block))
    assert broken.respond["messages"] == [{"wire": "no gzip", "compressed": True}]
