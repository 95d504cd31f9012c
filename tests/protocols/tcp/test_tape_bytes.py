"""Bytes as text and back, and patterns over bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.payload import from_doc
from svcmock.protocol import Spooled
from svcmock_protocols.tcp.tape_bytes import as_text, shown, spans
from tests.protocols.tcp.tape_cases import Files


@pytest.mark.parametrize(
    ("data", "doc"),
    [
        (b"GET a\r\n", "GET a\r\n"),
        ("grün\n".encode(), "grün\n"),
        (b"8=FIX.4.4\x019=5\x01", "8=FIX.4.4\x019=5\x01"),
        (b"\x00\x01\x02abc", {"hex": "000102616263"}),
        (b"\xff\xfe", {"hex": "fffe"}),
        (b"\x80" * 65, {"base64": "gICA" * 21 + "gIA="}),
        (b"", ""),
    ],
)
def test_what_is_mostly_text_is_shown_as_text(data: bytes, doc: object) -> None:
    assert shown(data, {}) == doc


@given(st.binary(max_size=9000) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
def test_what_is_shown_is_read_back(data: bytes) -> None:
    files: dict[str, bytes | Spooled] = {}
    doc = shown(data, files)
    stored = {name: data for name, data in files.items() if isinstance(data, bytes)}
    held = Files(**{name.replace("/", "__"): data for name, data in stored.items()})
    back = from_doc(doc, held)
    assert (back if isinstance(back, bytes) else held.read(back)) == data


def test_text_is_what_encodes_to_the_same_bytes() -> None:
    assert as_text(b"\xc3\x28") is None
    assert as_text(b"a\x00" * 4) is None
    assert as_text(b"\t\r\n") == "\t\r\n"


def test_a_pattern_sees_bytes() -> None:
    assert spans(r"\xff.", b"a\xff\xfeb") == [(1, 3, b"", b"")]
    assert spans(r"id=(\d+);", b"id=12;id=3;") == [(3, 5, b"id=", b";"), (9, 10, b"id=", b";")]
    assert spans(r"x*", b"abc") == []
    assert spans(r"(a)|b", b"ab") == [(0, 1, b"", b"")]
