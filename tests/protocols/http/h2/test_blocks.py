"""Header blocks: put together from their frames, and remembered while the table is as it was."""

import pytest

from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.h2.blocks import MAX_CONTINUATIONS, MAX_OPENINGS, Block, Blocks
from svcmock_protocols.http.h2.frames import ConnectionFault
from svcmock_protocols.http.h2.heads import Malformed
from svcmock_protocols.http.h2.hpack import ListTooLarge

HEAD = 1 << 16
GET = b"\x82\x84\x86"
"""A GET of / by indexes into the static table alone."""
ADDING = b"\x40\x01a\x01b"
"""A field that goes into the table."""


def coming(piece: bytes = b"", max_head: int = HEAD) -> Blocks:
    blocks = Blocks(max_head)
    blocks.coming = Block(1, piece, ends=True)
    return blocks


def literal(size: int, value: bytes = b"x") -> bytes:
    """A field `a` of so many bytes that goes into no table."""
    assert 127 <= size < 127 + 128 * 128
    return b"\x00\x01a\x7f" + bytes(((size - 127) & 127 | 128, (size - 127) >> 7)) + value * size


# --- frames of a block --------------------------------------------------------------------------------


def test_a_block_is_whole_after_its_last_piece() -> None:
    blocks = coming(b"ab")
    assert blocks.add(b"c", last=False) is None
    assert blocks.add(b"", last=False) is None
    assert blocks.coming is not None
    assert blocks.add(b"de", last=True) == b"abcde"
    assert blocks.coming is None


def test_a_continuation_of_nothing() -> None:
    blocks = coming()
    blocks.add(b"", last=True)
    with pytest.raises(ConnectionFault) as caught:
        blocks.add(b"", last=True)
    assert caught.value.code == frames.PROTOCOL_ERROR


@pytest.mark.parametrize("full", [0, 3])
def test_as_many_continuations_as_a_block_needs_and_some_more(full: int) -> None:
    blocks = coming(b"x")
    for piece in [bytes(frames.MAX_FRAME)] * full + [b""] * MAX_CONTINUATIONS:
        assert blocks.add(piece, last=False) is None
    with pytest.raises(ConnectionFault) as caught:
        blocks.add(b"", last=True)
    assert caught.value.code == frames.ENHANCE_YOUR_CALM


def test_a_block_may_be_twice_as_large_as_a_head() -> None:
    assert coming(bytes(1000), 1024).add(bytes(1048), last=True) == bytes(2048)
    with pytest.raises(ConnectionFault) as caught:
        coming(bytes(1000), 1024).add(bytes(1049), last=False)
    assert caught.value.code == frames.ENHANCE_YOUR_CALM


# --- what blocks mean ---------------------------------------------------------------------------------


def test_a_block_is_read_once() -> None:
    blocks = Blocks(HEAD)
    assert blocks.opening(GET) is None
    made = blocks.read_opening(GET)
    assert (made.head.request.method, made.head.request.target) == (b"GET", b"/")
    assert blocks.opening(GET) is made


def test_a_block_that_changes_the_table_is_not_remembered() -> None:
    blocks = Blocks(HEAD)
    assert blocks.read_opening(GET + ADDING).head.request.block == b"a: b\r\n"
    assert blocks.opening(GET + ADDING) is None


def test_what_blocks_meant_is_forgotten_when_the_table_changes() -> None:
    blocks = Blocks(HEAD)
    blocks.decode(ADDING)
    assert blocks.read_opening(GET + b"\xbe").head.request.block == b"a: b\r\n"
    blocks.decode(b"\x40\x01c\x01d")
    assert blocks.opening(GET + b"\xbe") is None
    assert blocks.read_opening(GET + b"\xbe").head.request.block == b"c: d\r\n"
    blocks.decode(b"\x20")  # the table's size
    assert blocks.opening(GET + b"\xbe") is None


def test_large_blocks_are_not_remembered() -> None:
    blocks = Blocks(HEAD)
    fits = 2048 - len(GET) - len(literal(127)) + 127
    for size, kept in ((fits, True), (fits + 1, False)):
        block = GET + literal(size)
        made = blocks.read_opening(block)
        assert blocks.opening(block) is (made if kept else None)


def test_what_is_remembered_is_bounded() -> None:
    blocks = Blocks(HEAD)
    sent = [GET + b"\x00\x01a\x03%03d" % number for number in range(MAX_OPENINGS + 1)]
    for block in sent[:-1]:
        blocks.read_opening(block)
    assert all(blocks.opening(block) for block in sent[:-1])
    blocks.read_opening(sent[-1])
    assert [block for block in sent if blocks.opening(block)] == sent[-1:]


def test_a_block_that_breaks_hpack_ends_the_connection() -> None:
    with pytest.raises(ConnectionFault) as caught:
        Blocks(HEAD).decode(b"\xbe")
    assert caught.value.code == frames.COMPRESSION_ERROR


def test_a_block_that_breaks_off_changes_the_table_all_the_same() -> None:
    blocks = Blocks(HEAD)
    blocks.read_opening(GET)
    with pytest.raises(ConnectionFault):
        blocks.decode(ADDING + b"\xff")
    assert blocks.opening(GET) is None


def test_a_head_that_is_malformed_or_too_large_changes_the_table() -> None:
    blocks = Blocks(1024)
    with pytest.raises(Malformed):
        blocks.read_opening(ADDING)
    with pytest.raises(ListTooLarge):
        blocks.read_opening(GET + b"\x40\x01c\x01d" + literal(1024))
    assert blocks.decode(b"\xbe\xbf") == ((b"c", b"d"), (b"a", b"b"))
