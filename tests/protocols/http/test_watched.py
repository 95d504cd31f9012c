"""A body that passes is held up to its limit and spooled beyond; its pieces and gaps are bounded."""

import gzip
import hashlib
import tracemalloc

import pytest

from svcmock.protocol import Spool, Spooled
from svcmock_protocols.http.messages import Chunk, Options, Request
from svcmock_protocols.http.redact import TooManyError
from svcmock_protocols.http.sieve import REACH, WINDOW, Sieve
from svcmock_protocols.http.watched import MAX_CHUNKS, MIN_GAP, Body, Cuts, request_body, with_boundary


def clean(_start: bytes) -> Sieve:
    return Sieve({})


def body(limit: int = 10, most: int = 1000, coding: bytes = b"", *, unfolds: bool = False) -> Body:
    return Body("t", (limit, most), coding, clean, unfolds=unfolds)


def test_a_body_of_the_limit_is_held_and_one_byte_more_is_spooled() -> None:
    held = body()
    assert held.add(b"12345") == held.add(b"67890") == []
    assert held.end() == (b"1234567890", [])
    large = body()
    assert large.add(b"1234567890") == []
    assert large.add(b"+") == large.add(b"more") == []
    sha256 = hashlib.sha256(b"1234567890+more").hexdigest()
    assert large.end() == (Spooled("t", 15, sha256), [Spool("t", b"1234567890+more")])


def test_a_large_body_is_spooled_while_it_comes() -> None:
    large = body()
    assert large.add(b"x" * (WINDOW - 1)) == []
    assert [len(one.data) for one in large.add(b"x")] == [WINDOW - REACH]


def test_a_credential_across_two_pieces_is_not_spooled() -> None:
    watched = Body("t", (0, 100), b"", lambda _start: Sieve({b"abcdefgh": b"<1>"}), unfolds=False)
    seen = [*watched.add(b"..abcd"), *watched.add(b"efgh.."), *watched.end()[1]]
    assert b"".join(one.data for one in seen) == b"..<1>.."


def test_a_coded_body_may_be_spooled_without_its_coding() -> None:
    watched = body(0, coding=b"gzip", unfolds=True)
    coded = gzip.compress(b"plain text")
    seen = [*watched.add(coded[:15]), *watched.add(coded[15:]), *watched.end()[1]]
    assert b"".join(one.data for one in seen) == b"plain text"
    assert watched.unfolded
    assert not watched.why


@pytest.mark.parametrize("unfolds", [True, False])
def test_a_body_that_unfolds_into_too_much_is_given_up(unfolds: bool) -> None:
    watched = body(0, 1000, b"gzip", unfolds=unfolds)
    assert watched.add(gzip.compress(b"x" * 1_000_000)) == []
    assert "unfolds into too much" in watched.why
    assert watched.add(b"more") == []


def test_a_truncated_coded_body_is_given_up_at_its_end() -> None:
    watched = body(0, coding=b"gzip")
    watched.add(gzip.compress(b"plain text")[:-4])
    watched.end()
    assert "incomplete" in watched.why


def test_too_many_credentials_give_the_body_up() -> None:
    def too_many(_start: bytes) -> Sieve:
        raise TooManyError

    watched = Body("t", (0, 100), b"", too_many, unfolds=False)
    assert watched.add(b"x") == []
    assert watched.why


def test_a_spooled_body_costs_no_memory() -> None:
    watched = body(1 << 16)
    piece = bytes(1 << 16)
    tracemalloc.start()
    for _ in range(200):
        watched.add(piece)
    watched.end()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_gaps_below_the_smallest_are_none() -> None:
    cuts = Cuts(1.0, chunked=True)
    cuts.add(1, 1.0 + MIN_GAP / 2, ends=True)
    cuts.add(2, 1.5, ends=False)
    cuts.add(3, 2.5, ends=True)
    assert cuts.chunks() == (Chunk(1), Chunk(5, 0.499))


@pytest.mark.parametrize(
    ("chunked", "gap", "expected"),
    [
        (False, 0.05, ()),
        (False, 0.2, (Chunk(9, 0.2),)),
        (True, 0.05, (Chunk(9, 0.05),)),
    ],
)
def test_a_body_that_comes_whole_a_little_after_its_head_is_no_stream(
    chunked: bool, gap: float, expected: tuple[Chunk, ...]
) -> None:
    cuts = Cuts(10.0, chunked=chunked)
    cuts.add(9, 10.0 + gap, ends=True)
    assert cuts.chunks() == expected


def test_very_many_chunks_without_a_gap_are_one() -> None:
    for count, left in ((MAX_CHUNKS, MAX_CHUNKS), (MAX_CHUNKS + 1, 0), (5 * MAX_CHUNKS, 0)):
        cuts = Cuts(1.0, chunked=True)
        for _ in range(count):
            cuts.add(1, 1.0, ends=True)
        assert len(cuts.chunks()) == left


@pytest.mark.parametrize("chunked", [True, False])
def test_very_many_pieces_with_gaps_are_joined_and_keep_their_time(chunked: bool) -> None:
    count = 3 * MAX_CHUNKS
    cuts = Cuts(0.0, chunked=chunked)
    for i in range(count):
        cuts.add(1, i / 4, ends=True)
    chunks = cuts.chunks()
    assert len(chunks) <= MAX_CHUNKS
    assert sum(chunk.size for chunk in chunks) == count
    assert sum(chunk.after for chunk in chunks) == pytest.approx((count - 1) / 4)


def upload(boundary: bytes, size: int) -> tuple[bytes, Request]:
    data = b"--%b\r\n\r\n%b\r\n--%b--\r\n" % (boundary, b"0123456789" * 1000, boundary)
    block = b'Content-Type: multipart/form-data; boundary="%b"\r\nX-Kept: %b\r\n' % (boundary, boundary)
    watched = request_body("t", Request(b"POST", b"/", block=block), Options(max_body_memory=100), bytes)
    spools = [one for at in range(0, len(data), size) for one in watched.add(data[at : at + size])]
    whole, rest = watched.end()
    return b"".join(one.data for one in [*spools, *rest]), Request(b"POST", b"/", block=block, body=whole)


def test_a_large_upload_is_the_same_whatever_boundary_the_client_drew() -> None:
    seen, asked = upload(b"rAnDoM1", 10_000)
    again, other = upload(b"another-random-2", 777)
    assert seen == again
    assert seen.startswith(b"--svcmock-boundary\r\n")
    assert seen.endswith(b"\r\n--svcmock-boundary--\r\n")
    assert asked.body == other.body == Spooled("t", len(seen), hashlib.sha256(seen).hexdigest())
    assert with_boundary(asked.block) == (
        b"Content-Type: multipart/form-data; boundary=svcmock-boundary\r\nX-Kept: rAnDoM1\r\n"
    )


def test_only_a_multipart_has_its_boundary_renamed() -> None:
    block = b"Content-Type: text/plain; boundary=abc\r\n"
    assert with_boundary(block) == block
