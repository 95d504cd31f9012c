"""What was compiled is given back whole or not at all."""

import errno
from pathlib import Path

import pytest

from svcmock.cache import Cache
from svcmock.compile import Compiled, CompiledFile

COMPILED = CompiledFile([Compiled(1, b"doc", b"/a\0GET\0", ("headers.accept",), (b"*/*",))], [], tokens=True)


def stored(root: Path, compiled: CompiledFile = COMPILED) -> Path:
    Cache(root).write("place", compiled)
    return root / ".svcmock" / "cache" / "place"


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = stored(tmp_path)
    assert Cache(tmp_path).read("place") == COMPILED
    assert Cache(tmp_path).read("elsewhere") is None
    assert file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("at", [0, 15, 16, 40, -1])
def test_a_flipped_bit_is_seen(tmp_path: Path, at: int) -> None:
    file = stored(tmp_path)
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    assert Cache(tmp_path).read("place") is None


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 16, b"x" * 100])
def test_what_is_no_cache_is_not_there(tmp_path: Path, data: bytes) -> None:
    stored(tmp_path).write_bytes(data)
    assert Cache(tmp_path).read("place") is None


def test_a_file_that_was_referred_to_must_be_as_it_was(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"12345")
    stored(tmp_path, CompiledFile([], [(str(body), 5)], tokens=False))
    assert Cache(tmp_path).read("place") is not None
    body.write_bytes(b"1234")
    assert Cache(tmp_path).read("place") is None
    body.unlink()
    assert Cache(tmp_path).read("place") is None


def test_what_was_not_used_is_swept(tmp_path: Path) -> None:
    stored(tmp_path)
    cache = Cache(tmp_path)
    cache.write("other", COMPILED)
    cache.read("place")
    cache.sweep()
    assert [path.name for path in (tmp_path / ".svcmock" / "cache").iterdir()] == ["place"]


def test_where_files_cannot_be_locked_there_is_a_cache_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlockable(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", unlockable)
    before = len(list(Path("/dev/fd").iterdir()))
    stored(tmp_path)
    cache = Cache(tmp_path)
    assert cache.read("place") == COMPILED
    cache.sweep()
    assert [path.name for path in (tmp_path / ".svcmock" / "cache").iterdir()] == ["place"]
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / ".svcmock").write_text("a file where the folder should be")
    cache = Cache(tmp_path)
    cache.write("place", COMPILED)
    cache.sweep()
    assert cache.read("place") is None
