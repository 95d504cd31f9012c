"""Which HTTP a peer speaks, told by as few of its first bytes as there are."""

import pytest

from svcmock_protocols.http import openings

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"


@pytest.mark.parametrize(
    ("head", "alpn"),
    [
        (b"", None),
        *((PREFACE[:size], None) for size in (1, 3, 14, 18, 23)),
        (PREFACE, ("h2",)),
        (PREFACE + SETTINGS, ("h2",)),
        (b"G", ("http/1.1",)),
        (b"PUT / HTTP/1.1\r\n", ("http/1.1",)),
        (b"PRI * HTTP/1.1\r\n", ("http/1.1",)),
        (b"pri", ("http/1.1",)),
        (PREFACE[:-1] + b"\r", ("http/1.1",)),
        (b"\0" * 24, ("http/1.1",)),
    ],
)
def test_what_a_client_wants(head: bytes, alpn: tuple[str, ...] | None) -> None:
    assert openings.alpn_for(head) == alpn


def test_a_knock_is_what_a_client_of_http_2_says_first() -> None:
    assert openings.knock("h2") == PREFACE + SETTINGS
    assert openings.knock("http/1.1") == openings.knock("h3") == b""


@pytest.mark.parametrize(
    ("data", "is_http_2"),
    [
        *((SETTINGS[:size], None) for size in range(9)),
        (SETTINGS, True),
        (b"\0\0\x06\x04\0\0\0\0\0", True),  # its payload need not be here
        (b"\0\xff\xff\x04\0\0\0\0\0" + bytes(100), True),
        (b"\x01\0\0\x04", False),  # of 65536 bytes
        (b"\0\0\0\x04\x01", False),  # an acknowledgement
        (b"\0\0\0\x04\0\0\0\0\x01", False),  # on a stream
        (b"\0\0\0\x07", False),
        (b"H", False),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
        (b"\x15\x03\x01\0\x02\x02\x0a", False),  # an alert of TLS
    ],
)
def test_whether_a_server_answered_in_http_2(data: bytes, is_http_2: bool | None) -> None:
    assert openings.answered(data) is is_http_2
