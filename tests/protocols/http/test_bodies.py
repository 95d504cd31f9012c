"""Bodies: which form is written, and which bytes are sent when forms disagree."""

import pytest

from svcmock.protocol import Blob, Invalid
from svcmock_protocols.http import coding
from svcmock_protocols.http.bodies import IN_MEMORY_MAX, Given, build, check_length, content_coding, show

GZIP = b"Content-Encoding: gzip\r\n"


class Folder:
    def __init__(self, **held):
        self.held = held

    def __call__(self, name):
        return Blob(name, len(self.held[name]))

    def read(self, blob):
        return self.held[blob.path]


def test_nothing_is_shown_of_an_empty_body():
    assert show(b"", GZIP, {}, request=False) == {}


def test_forms_are_shown_of_requests_only():
    block = b"Content-Type: application/x-www-form-urlencoded\r\n"
    assert show(b"a=1", block, {}, request=True) == {"form": {"a": "1"}}
    assert show(b"a=1", block, {}, request=False) == {"body": "a=1"}


def test_a_coded_empty_body_is_not_an_empty_body():
    packed = coding.encode(b"", b"gzip")
    shown = show(packed, GZIP, {}, request=False)
    assert shown == {"body": ""}
    assert build(Given(body=""), GZIP, Folder()).body == packed


def test_small_files_are_read_and_large_ones_stay():
    folder = Folder(small=b"x" * IN_MEMORY_MAX, large=b"x" * (IN_MEMORY_MAX + 1))
    assert build(Given(body={"file": "small"}), b"", folder).body == folder.held["small"]
    assert build(Given(body={"file": "large"}), b"", folder).body == Blob("large", IN_MEMORY_MAX + 1)


def test_a_wire_that_decodes_to_the_body_is_sent():
    odd = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x07" + coding.encode(b"hi", b"gzip")[10:]
    folder = Folder(wire=odd)
    assert build(Given(body="hi", wire={"file": "wire"}), GZIP, folder).body == odd
    edited = build(Given(body="ho", wire={"file": "wire"}), GZIP, folder)
    assert edited.recoded
    assert coding.decode(edited.body, b"gzip") == b"ho"


def test_identity_is_no_coding():
    assert content_coding(b"Content-Encoding: identity\r\n") == b""
    assert content_coding(GZIP) == b"gzip"


@pytest.mark.parametrize("said", [b"1", b"-2", b"+2", b"2, 2", b"0x2", b"9" * 5000])
def test_lengths_that_lie(said):
    check_length(b"ab", b"Content-Length: 2\r\nContent-Length: 02\r\n")
    with pytest.raises(Invalid):
        check_length(b"ab", b"Content-Length: " + said + b"\r\n")
