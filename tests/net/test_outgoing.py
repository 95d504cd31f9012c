"""Body files on their way to a client: whole, in slices, and those that are not what they were."""

import os
from pathlib import Path

import pytest

from svcmock.net.outgoing import FILE_PIECE, Outgoing, Unsendable
from svcmock.protocol import Blob


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("size", [0, 1, FILE_PIECE - 1, FILE_PIECE, FILE_PIECE + 1, 3 * FILE_PIECE])
@pytest.mark.parametrize("offset", [0, 7])
def test_a_file_comes_in_pieces_to_its_end(tmp_path: Path, size: int, offset: int) -> None:
    data = os.urandom(offset + size + 5)
    (tmp_path / "body").write_bytes(data)
    before, files, got = descriptors(), Outgoing(), b""
    files.begin(Blob(str(tmp_path / "body"), size, offset))
    assert files.active
    while piece := files.piece():
        assert len(piece) <= FILE_PIECE
        got += piece
    assert got == data[offset : offset + size]
    assert (files.active, files.piece(), descriptors()) == (False, b"", before)


def test_a_file_that_ends_before_its_time(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"12345")
    before, files = descriptors(), Outgoing()
    files.begin(Blob(str(tmp_path / "body"), 7))
    assert files.piece() == b"12345"
    with pytest.raises(Unsendable, match="shorter than its route says, by 2 bytes"):
        files.piece()
    assert (files.active, descriptors()) == (False, before)


def test_one_that_is_given_up_is_closed(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"12345")
    before, files = descriptors(), Outgoing()
    files.begin(Blob(str(tmp_path / "body"), 5))
    files.end()
    files.end()
    assert (files.active, files.piece(), descriptors()) == (False, b"", before)


def test_slices_of_one_file_open_it_once(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode() + b"123456789")
    before, files = descriptors(), Outgoing()
    one, two = str(tmp_path / "a"), str(tmp_path / "b")
    assert files.slice(Blob(one, 2, 0)) == b"a1"
    assert files.slice(Blob(one, 3, 2)) == b"234"
    assert descriptors() == before + 1
    assert files.slice(Blob(two, 1, 0)) == b"b"
    assert descriptors() == before + 1
    files.close_slices()
    files.close_slices()
    assert descriptors() == before


def test_files_that_are_not_there_or_too_short(tmp_path: Path) -> None:
    files, gone = Outgoing(), Blob(str(tmp_path / "gone"), 1)
    for act in (files.begin, files.slice):
        with pytest.raises(Unsendable, match="gone cannot be read: No such file"):
            act(gone)
    assert not files.active
    (tmp_path / "body").write_bytes(b"12345")
    with pytest.raises(Unsendable, match="by 3 bytes"):
        files.slice(Blob(str(tmp_path / "body"), 7, 1))
    files.close_slices()
