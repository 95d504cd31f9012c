"""Temporary files of large messages: grown, handed over, removed, and a disk that takes no more."""

import errno
import os
from pathlib import Path

import pytest

from svcmock.net.spool import Spools, sweep
from svcmock.protocol import Spooled


def spooled(token: int) -> Spooled:
    return Spooled(token, 0, "")


def test_each_token_has_a_file_of_its_own(tmp_path: Path) -> None:
    spools = Spools(tmp_path / "deep" / "spool")
    spools.append(1, b"one")
    spools.append(2, b"two")
    spools.append(1, b" more")
    assert Path(spools.path(spooled(1))).read_bytes() == b"one more"
    assert Path(spools.path(spooled(2))).read_bytes() == b"two"
    assert (tmp_path / "deep" / "spool").stat().st_mode & 0o77 == 0
    spools.close()
    assert list((tmp_path / "deep" / "spool").iterdir()) == []


def test_what_is_taken_belongs_to_the_taker(tmp_path: Path) -> None:
    spools = Spools(tmp_path)
    spools.append("t", b"data")
    path = Path(spools.take(Spooled("t", 4, "")))
    spools.close()
    assert path.read_bytes() == b"data"
    with pytest.raises(OSError, match="no spooled bytes are known as 't'"):
        spools.take(Spooled("t", 4, ""))


def test_what_is_dropped_can_be_begun_again(tmp_path: Path) -> None:
    spools = Spools(tmp_path)
    spools.append(1, b"old")
    spools.drop(1)
    spools.drop(99)
    spools.append(1, b"new")
    assert Path(spools.path(spooled(1))).read_bytes() == b"new"
    spools.close()


def test_a_full_disk_is_told_when_the_file_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spools = Spools(tmp_path)
    spools.append(1, b"fits")

    def full(_file: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        spools.append(1, b"does not")
    spools.append(1, b"comes after")
    assert list(tmp_path.iterdir()) == []
    for use in (spools.path, spools.take):
        with pytest.raises(OSError, match="No space left"):
            use(spooled(1))
    spools.drop(1)
    spools.append(1, b"again")
    assert Path(spools.path(spooled(1))).read_bytes() == b"again"
    spools.close()


def test_a_folder_that_cannot_be_made_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    spools = Spools(tmp_path / "file" / "spool")
    spools.append(1, b"x")
    with pytest.raises(OSError, match="Not a directory"):
        spools.path(spooled(1))


def test_sweeping_removes_what_a_crash_left(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("left")
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
    sweep(tmp_path / "none")


def test_what_a_living_process_spools_is_not_swept(tmp_path: Path) -> None:
    for name in (f"{os.getppid()}-abc", f"{os.getpid()}-abc", "99999999999999999999-abc", "abc"):
        (tmp_path / name).write_bytes(b"x")
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"{os.getppid()}-abc"]
