"""google.rpc as it is built here, against the package that Google makes of it."""

import pytest
from google.rpc import error_details_pb2, status_pb2

from svcmock.protocol import Invalid
from svcmock_protocols.http.grpc import rpc

URL = "type.googleapis.com/google.rpc.ErrorInfo"


def test_our_types_of_details_are_googles():
    for name in rpc._TYPES:
        outer, _, inner = name.partition(".")
        theirs = error_details_pb2.DESCRIPTOR.message_types_by_name[outer]
        theirs = theirs.nested_types_by_name[inner] if inner else theirs
        ours = rpc.known()._pool.FindMessageTypeByName(f"google.rpc.{name}")
        by_number = theirs.fields_by_number
        for field in ours.fields:
            assert (field.name, field.type) == (by_number[field.number].name, by_number[field.number].type)
            assert field.is_repeated == by_number[field.number].is_repeated


def test_a_status_and_its_details():
    info = rpc.debug_info("why")
    made = status_pb2.Status.FromString(rpc.status(5, "gone", [info]))
    told = error_details_pb2.DebugInfo()
    assert made.details[0].Unpack(told)
    assert (made.code, made.message, told.detail) == (5, "gone", "why")
    assert rpc.status(0, "", []) == b""


def test_any_is_written_and_read():
    data = rpc.any_of({"@type": URL, "reason": "GONE"}, None, ())
    assert rpc.show_any(data, None) == {"@type": URL, "reason": "GONE"}
    other = rpc.any_of({"type_url": "x/y.Z", "value": {"hex": "ff"}}, None, ())
    assert rpc.show_any(other, None) == {"type_url": "x/y.Z", "value": {"hex": "ff"}}


@pytest.mark.parametrize(
    ("doc", "at"),
    [
        ({"@type": URL, "reazon": "x"}, ("reazon",)),
        ({"@type": "x/y.Z"}, ("@type",)),
        ({"type_url": 1}, ("type_url",)),
        ({"value": 1}, ("value",)),
        ({"value": {"file": "a"}}, ("value",)),
        ({"a": 1}, ()),
        ("x", ()),
    ],
)
def test_what_is_no_detail(doc, at):
    with pytest.raises(Invalid) as caught:
        rpc.any_of(doc, None, ())
    assert caught.value.at == at
