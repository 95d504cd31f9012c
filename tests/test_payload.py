"""Bytes as readable data: which form they take, and that every form reads back."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.payload import HEX_MAX, INLINE_MAX, from_doc, named, quoted, readable, to_doc
from svcmock.protocol import Blob, Invalid, Spooled


class NoFiles:
    def __call__(self, name: str) -> Blob:
        return Blob(f"/p/{name}", 7)

    def read(self, blob: Blob) -> bytes:
        raise Invalid((), blob.path)


@pytest.mark.parametrize(
    ("data", "doc"),
    [
        (b"", ""),
        (b"plain\ttext\n", "plain\ttext\n"),
        ("Grüße €".encode(), "Grüße €"),
        (b"\x00\xff", {"hex": "00ff"}),
        (b"\xff" * HEX_MAX, {"hex": "ff" * HEX_MAX}),
        (b"\xff" * (HEX_MAX + 2), {"base64": "/" * 88}),
        (b"cr\r\n", {"hex": "63720d0a"}),
    ],
)
def test_each_kind_of_bytes_has_its_form(data: bytes, doc: Any) -> None:
    files: dict[str, bytes | Spooled] = {}
    assert to_doc(data, files) == doc
    assert files == {}
    assert from_doc(doc, NoFiles()) == data


@pytest.mark.parametrize("data", [b"x" * (INLINE_MAX + 1), b"\x00" * 10_000])
def test_what_is_long_goes_to_a_file_of_its_hash(data: bytes) -> None:
    files: dict[str, bytes | Spooled] = {}
    name = f"bodies/{hashlib.sha256(data).hexdigest()}"
    assert to_doc(data, files) == {"file": name}
    assert files == {name: data}
    assert to_doc(b"x" * INLINE_MAX, files) == "x" * INLINE_MAX


def test_what_is_on_disk_already_stays_there() -> None:
    files: dict[str, bytes | Spooled] = {}
    spooled = Spooled("t", 5, "ab" * 32)
    assert to_doc(spooled, files) == {"file": "bodies/" + "ab" * 32}
    assert files == {"bodies/" + "ab" * 32: spooled}
    assert from_doc({"file": "bodies/x"}, NoFiles()) == Blob("/p/bodies/x", 7)


@pytest.mark.parametrize(
    "data", [b"\x1b[0m", b"\xef\xbb\xbfbom", b"\xff", "\u2028".encode()[:2], b"\x7f", b"\xc2\x85"]
)
def test_nothing_that_a_terminal_or_an_editor_would_change_is_text(data: bytes) -> None:
    assert readable(data) is None


@pytest.mark.parametrize(
    ("doc", "at", "why"),
    [
        ({"hex": "0g"}, ("body", "hex"), "not hex"),
        ({"base64": "a"}, ("body", "base64"), "not base64"),
        ({"base64": "ab!="}, ("body", "base64"), "not base64"),
        ({"hex": 7}, ("body", "hex"), "expected a string, got int"),
        ({"hex": "00", "base64": ""}, ("body",), "expected a string, or one of"),
        ({"other": "x"}, ("body",), "expected a string, or one of"),
        ({}, ("body",), "expected a string, or one of"),
        (5, ("body",), "expected a string, or one of"),
        (None, ("body",), "expected a string, or one of"),
    ],
)
def test_anything_else_is_refused_with_its_place(doc: Any, at: tuple[str, ...], why: str) -> None:
    with pytest.raises(Invalid, match=why) as caught:
        from_doc(doc, NoFiles(), "body")
    assert caught.value.at == at


def test_white_space_inside_base64_is_for_the_reader() -> None:
    assert from_doc({"base64": "AAEC\n  AwQF\n"}, NoFiles()) == bytes(range(6))


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")))
def test_all_bytes_survive(data: bytes) -> None:
    assert from_doc(to_doc(data, {}), NoFiles()) == data


def test_a_lone_surrogate_is_invalid_and_never_another_error() -> None:
    with pytest.raises(Invalid, match="lone surrogate") as told:
        from_doc("a\ud800b", NoFiles(), "respond", "body")
    assert told.value.at == ("respond", "body")


def test_content_addressed_names_say_the_digest() -> None:
    digest = "0123456789abcdef" * 4
    assert named(Blob(f"a/bodies/{digest}", 1)).sha256 == digest
    assert named(Blob("a/bodies/x", 1)).sha256 == ""
    assert named(Blob(f"bodies/{digest}", 1, 0, "own")).sha256 == "own"


LONG = "SELECT " + "column, " * 100


@pytest.mark.parametrize(
    ("one", "other", "size", "shown"),
    [
        ("abc", "abd", 2, "ab..."),
        ("abc", "abd", 3, "abc"),
        (LONG, "", 10, "SELECT col..."),
        (LONG + "a", LONG + "b", 60, "..." + LONG[-20:] + "a"),
        (LONG + "a" + LONG, LONG + "b", 60, "..." + LONG[-20:] + "a" + LONG[:39] + "..."),
        (LONG[:50], LONG, 60, "..." + LONG[30:50]),
        ("x" + LONG, LONG, 60, "x" + LONG[:59] + "..."),
    ],
)
def test_what_is_quoted_shows_the_difference(one: str, other: str, size: int, shown: str) -> None:
    assert quoted(one, other, size) == shown


@given(st.text("ab", max_size=30), st.text("ab", max_size=30), st.text("ab", max_size=200), st.integers(3, 70))
def test_two_texts_that_differ_are_never_quoted_alike(one: str, other: str, head: str, size: int) -> None:
    shown, beside = quoted(head + one, head + other, size), quoted(head + other, head + one, size)
    assert (shown == beside) is (one == other)
    assert len(shown) <= size + 6
