"""Which messages are gRPC, and what they hold."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.http.grpc import view
from svcmock_protocols.http.grpc.framing import GrpcError, Message
from svcmock_protocols.http.grpc.view import Body, Kind
from svcmock_protocols.http.messages import Options, Reply, Request


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"application/grpc", Kind()),
        (b"application/grpc+proto", Kind()),
        (b"application/grpc;charset=utf-8", Kind()),
        (b"application/grpc+json", Kind(codec=b"json")),
        (b"application/grpc-web", Kind(web=True)),
        (b"application/grpc-web+proto", Kind(web=True)),
        (b"application/grpc-web-text", Kind(web=True, text=True)),
        (b"application/grpc-web-text+proto ; a=b", Kind(web=True, text=True)),
        (b"application/grpcs", None),
        (b"application/grpc-", None),
        (b"application/grpc+", None),
        (b"application/json", None),
        (b"", None),
    ],
)
def test_content_types(value, kind):
    assert view.kind_of(value) == kind
    for block in (b"content-type: %b\r\n", b"a: b\r\nContent-Type: %b\r\nc: d\r\n", b"CONTENT-TYPE:%b\r\n"):
        assert view.kind(block % value) == kind
        head = view.head(block % value)
        assert (head and head.kind) == kind
    assert view.kind(b"accept: %b\r\n" % value) is None
    assert view.kind(b"accept: application/grpc\r\ncontent-type: %b\r\n" % value) == kind


def test_two_content_types_are_none():
    assert view.kind(b"content-type:application/grpc\r\ncontent-type: a/b\r\n") is None


def test_encodings_and_limits():
    assert view.encoding(b"grpc-encoding: gzip\r\n") == b"gzip"
    assert view.encoding(b"x: y\r\n") == b""
    assert view.max_message(Options(max_message=7)) == 7
    assert view.max_message(None) == 4 << 20
    long = b"content-type: application/grpc\r\nx: %b\r\n" % bytes(3000)
    assert view.head(long) == view.Head(Kind(), b"")


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (b"/a.B/C", "a.B/C"),
        (b"/a/b/C", "a/b/C"),
        (b"/C", None),
        (b"/a.B/C?x", None),
        (b"//C", None),
        (b"/a/", None),
        (b"*", None),
        (b"http://h/a/b", None),
    ],
)
def test_names_of_methods(target, name):
    assert view.name_of(target) == name


def test_only_a_post_is_a_call():
    block = b"content-type: application/grpc\r\n"
    assert view.is_call(Request(b"POST", b"/a/b", block=block))
    assert not view.is_call(Request(b"GET", b"/a/b", block=block))


@given(
    st.lists(st.builds(Message, st.binary(max_size=9), st.booleans()), max_size=3).map(tuple),
    st.sampled_from([Kind(), Kind(web=True), Kind(web=True, text=True)]),
    st.booleans(),
)
def test_bodies_are_written_and_read(messages, kind, ends):
    held = Body(messages, b"grpc-status: 0\r\nx: \r\n" if ends and kind.web else b"")
    assert view.body(view.write(held, kind), kind) == held


@given(st.binary(max_size=40), st.sampled_from([Kind(), Kind(web=True), Kind(web=True, text=True)]))
def test_any_bytes(data, kind):
    with contextlib.suppress(GrpcError):
        view.body(data, kind)
    view.status_of(Reply(200, block=b"content-type: application/grpc-web\r\n", body=data))
