"""What a gRPC client is told that no route answers, and the errors of gRPC by name."""

import pytest
from google.rpc import error_details_pb2, status_pb2

from svcmock.protocol import Explanation, Stage
from svcmock_protocols.http import plugin
from svcmock_protocols.http.codec import values
from svcmock_protocols.http.grpc import codes
from svcmock_protocols.http.grpc.metadata import decode_bin, decode_text
from svcmock_protocols.http.messages import Options
from tests.protocols.http.grpc.shop import call, context

ASKED = call(b"\x08\x2a")


def explanation(routes=1, request="gRPC shop.Catalog/GetItem", hints=()):
    return Explanation(
        "m-7", "shop", "http", request, (Stage("address", 9, routes),), hints=hints, see="svcmock why m-7"
    )


def told(reply):
    (status,), (message,) = values(reply.block, b"grpc-status"), values(reply.block, b"grpc-message")
    return int(status), decode_text(message)


def test_a_miss_is_a_status():
    made = plugin.miss(ASKED, explanation(), context())
    assert (made.status, made.version, made.body, made.trailers, made.framing) == (
        200,
        b"2",
        b"",
        b"",
        "chunked",
    )
    assert told(made) == (5, "svcmock: no route matches this call: gRPC shop.Catalog/GetItem (svcmock why m-7)")
    assert plugin.outcome(made) == "NOT_FOUND"
    details = status_pb2.Status.FromString(decode_bin(values(made.block, b"grpc-status-details-bin")[0])[0])
    assert (details.code, details.message) == told(made)
    info = error_details_pb2.DebugInfo()
    assert details.details[0].Unpack(info)
    assert '"miss": "m-7"' in info.detail


def test_a_method_that_no_route_has_is_not_implemented():
    assert told(plugin.miss(ASKED, explanation(0), context()))[0] == codes.UNIMPLEMENTED
    assert (
        told(plugin.miss(ASKED, Explanation("m-1", "s", "http", "gRPC a/b"), context()))[0] == codes.NOT_FOUND
    )


def test_headers_stay_small():
    hints = tuple("é" * 300 for _ in range(50))
    made = plugin.miss(ASKED, explanation(request="x" * 5000, hints=hints), context())
    assert len(made.block) < 8192 - 500
    status_pb2.Status.FromString(decode_bin(values(made.block, b"grpc-status-details-bin")[0])[0])


def test_a_browser_gets_it_in_the_head():
    web = call(b"", block=b"Content-Type: application/grpc-web+proto\r\n")
    from msgspec.structs import replace

    made = plugin.miss(replace(web, version=b"1.1"), explanation(), context())
    assert made.head.startswith(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc-web+proto\r\ngrpc-status: 5\r\n"
    )
    assert made.head.endswith(b"Content-Length: 0\r\n\r\n")


def test_other_requests_are_told_in_http():
    plain = call(b"", block=b"content-type: application/json\r\n")
    assert plugin.miss(plain, explanation(), context(miss_status=404)).status == 404
    assert Options().miss_status == 501


@pytest.mark.parametrize("name", codes.NAMES[1:])
def test_faults_of_grpc(name):
    fault = plugin.faults[f"grpc_{name.lower()}"]
    assert plugin.outcome(fault) == name
    assert fault.version == b"2"
    assert not fault.body
