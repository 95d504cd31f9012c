"""Statuses: names and numbers, HTTP statuses, and what a person may write."""

import grpc
import pytest

from svcmock.protocol import Invalid
from svcmock_protocols.http.grpc import codes


def test_names_and_numbers_are_those_of_the_library():
    assert {status.name: status.value[0] for status in grpc.StatusCode} == dict(codes.NUMBERS)
    for name, number in codes.NUMBERS.items():
        assert getattr(codes, name) == number
        assert codes.show(number) == name


@pytest.mark.parametrize(
    ("doc", "code"),
    [
        ("NOT_FOUND", 5),
        ("not_found", 5),
        ("Not-Found", 5),
        ("deadline exceeded", 4),
        ("CANCELED", 1),
        ("Cancelled", 1),
        (0, 0),
        (16, 16),
        (99, 99),
        ("7", 7),
        (" 7 ", 7),
    ],
)
def test_parse(doc, code):
    assert codes.parse(doc) == code


@pytest.mark.parametrize(
    ("doc", "why"),
    [
        ("NOT_FUND", "did you mean NOT_FOUND"),
        ("nonsense", "one of OK, CANCELLED"),
        ("", "no gRPC status"),
        (-1, "from 0"),
        (2**31, "from 0"),
        ("99999999999", "no gRPC status"),
        (True, "got bool"),
        (None, "got NoneType"),
        (5.0, "got float"),
        ("x" * 10_000, "no gRPC status"),
    ],
)
def test_no_status(doc, why):
    with pytest.raises(Invalid, match=why) as caught:
        codes.parse(doc, "status", 0)
    assert caught.value.at == ("status", 0)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (200, "UNKNOWN"),
        (400, "INTERNAL"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "UNIMPLEMENTED"),
        (429, "UNAVAILABLE"),
        (500, "UNKNOWN"),
        (502, "UNAVAILABLE"),
        (503, "UNAVAILABLE"),
        (504, "UNAVAILABLE"),
    ],
)
def test_a_bare_http_status(status, name):
    assert codes.show(codes.from_http(status)) == name


def test_a_number_without_a_name_is_shown_as_it_is():
    assert codes.show(17) == 17
    assert codes.show(-1) == -1
