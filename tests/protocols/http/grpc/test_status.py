"""Statuses in route files, and the lines that end a reply."""

import pytest

from svcmock.protocol import Invalid
from svcmock_protocols.http.grpc import status, web
from tests.protocols.http.grpc.roundtrip import BLIND, ID, KNOWN, survives
from tests.protocols.http.grpc.shop import TYPE, answer, call


@pytest.mark.parametrize(
    ("doc", "lines"),
    [
        ("NOT_FOUND", b"grpc-status: 5\r\n"),
        ("not-found", b"grpc-status: 5\r\n"),
        ("none", b""),
        ({}, b"grpc-status: 0\r\n"),
        ({"code": 77}, b"grpc-status: 77\r\n"),
        ({"code": "ABORTED", "message": "a\nb %"}, b"grpc-status: 10\r\ngrpc-message: a%0Ab %25\r\n"),
        ({"message": ""}, b"grpc-status: 0\r\ngrpc-message: \r\n"),
        ({"code": "ABORTED", "details": []}, b"grpc-status: 10\r\ngrpc-status-details-bin: CAo\r\n"),
    ],
)
def test_lines_of_a_status(doc, lines):
    assert b"".join(status.implied(status.read(doc, None)).values()) == lines


@pytest.mark.parametrize("doc", [5, True, None, "5", "NO", {"code": None}, {"message": []}, {"x": 1}])
def test_what_is_no_status(doc):
    with pytest.raises(Invalid):
        status.read(doc, None)


@pytest.mark.parametrize(
    ("block", "shown"),
    [
        (b"grpc-status: 5\r\n", {"code": "NOT_FOUND"}),
        (b"grpc-message: a%20b\r\ngrpc-status: 5\r\n", {"code": "NOT_FOUND"}),
        (b"grpc-message: a b\r\ngrpc-status: 5\r\n", {"code": "NOT_FOUND", "message": "a b"}),
        (b"grpc-status: 05\r\n", {}),
        (b"grpc-status: 5\r\ngrpc-status: 6\r\n", {}),
        (b"grpc-status: x\r\n", {}),
        (b"x: y\r\n", {}),
    ],
)
def test_what_a_block_says(block, shown):
    assert status.found(block, None)[0] == shown


def test_details_are_readable():
    from google.protobuf import any_pb2
    from google.rpc import code_pb2, error_details_pb2, status_pb2

    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason="GONE", domain="shop", metadata={"a": "b"}))
    wait = any_pb2.Any()
    wait.Pack(error_details_pb2.RetryInfo(retry_delay={"seconds": 2}))
    odd = any_pb2.Any(type_url="type.googleapis.com/no.Such", value=b"\xff")
    whole = status_pb2.Status(code=code_pb2.NOT_FOUND, message="gone", details=[info, wait, odd])
    value = web.encode_text_body(whole.SerializeToString(deterministic=True)).rstrip(b"=")
    block = TYPE + b"grpc-status: 5\r\ngrpc-message: gone\r\ngrpc-status-details-bin: " + value + b"\r\n"
    says = {
        "status": {
            "code": "NOT_FOUND",
            "message": "gone",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "GONE",
                    "domain": "shop",
                    "metadata": {"a": "b"},
                },
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retry_delay": "2s"},
                {"type_url": "type.googleapis.com/no.Such", "value": {"hex": "ff"}},
            ],
        }
    }
    for where in (KNOWN, BLIND):
        assert survives(call(ID), answer(block=block, trailers=b""), where).respond == says
    other = block.replace(b"gone\r\n", b"lost\r\n")
    made = survives(call(ID), answer(block=other, trailers=b"")).respond
    assert made["status"] == {"code": "NOT_FOUND", "message": "lost"}
    assert [line[0] for line in made["trailers"]] == ["grpc-status-details-bin"]
