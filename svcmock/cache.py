"""What was compiled from route files, kept between starts in `.svcmock/cache/`.

A file is named by a hash of everything its compilation depended on, and tells by a hash of its own whether it
is whole: one that is missing, damaged or foreign is not there. Files get their name when they are complete, and
are never changed after that. What a killed writer left is told from what one is writing by a lock.
"""

import contextlib
import fcntl
import os
import tempfile
from hashlib import blake2b
from pathlib import Path

import msgspec

from svcmock.compile import CompiledFile
from svcmock.running import private_folder
from svcmock.stored import Stored, open_stored

SEAL = 16
"""Bytes of the hash that a file decoded whole begins with."""
DRAFT = ".draft-"
"""What the name of a file begins with that is being written."""


def _seal(data: bytes | memoryview) -> bytes:
    """What a file begins with that is decoded whole: a damaged one must not answer anything."""
    return blake2b(data, digest_size=SEAL).digest()


class Draft:
    """A file to write to; with a name where the folder can be written to, else for this process alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        try:
            self.file, path = tempfile.mkstemp(prefix=DRAFT, dir=folder)
        except OSError:
            with tempfile.TemporaryFile() as unnamed:
                self.file = os.dup(unnamed.fileno())
            return
        self._path = Path(path)
        with contextlib.suppress(OSError):  # where files cannot be locked, none is ever swept
            fcntl.flock(self.file, fcntl.LOCK_EX)

    def keep(self, place: str) -> Path | None:
        """Give it the name that it is found by; None where it gets none. The file stays open."""
        if self._path is None:
            return None
        try:
            return self._path.replace(self._folder / place)
        except OSError:
            return None

    def drop(self) -> None:
        """Leave no name behind. The file stays open."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


class Cache:
    """Compiled route files, by a hash of what they were compiled from."""

    def __init__(self, root: Path) -> None:
        self._folder = root / ".svcmock" / "cache"
        self._root = root
        self._used: set[str] = set()

    def read(self, place: str) -> CompiledFile | None:
        """A file that was written by `write`, decoded."""
        self._used.add(place)
        try:
            data = memoryview((self._folder / place).read_bytes())
            if _seal(data[SEAL:]) != data[:SEAL]:
                return None
            known = msgspec.msgpack.decode(data[SEAL:], type=CompiledFile)
        except (OSError, msgspec.MsgspecError):
            return None
        return known if as_they_were(known.files) else None

    def open(self, place: str) -> Stored | None:
        """A file that was written to a draft, to be read as it is needed."""
        self._used.add(place)
        path = self._folder / place
        try:
            known = open_stored(os.open(path, os.O_RDONLY | os.O_CLOEXEC), place, path)
        except OSError:
            return None
        return known if known is not None and as_they_were(known.about.files) else None

    def use(self, place: str) -> None:
        """What is open already is not to be swept."""
        self._used.add(place)

    def write(self, place: str, compiled: CompiledFile) -> None:
        """A cache that cannot be written is done without."""
        data = msgspec.msgpack.encode(compiled)
        try:
            draft = self.draft()
        except OSError:
            return
        try:
            with os.fdopen(draft.file, "wb") as file:
                file.write(_seal(data) + data)
        except OSError:
            draft.drop()
        else:
            draft.keep(place)

    def draft(self) -> Draft:
        """A new file. Raises OSError where there can be none at all."""
        with contextlib.suppress(OSError):
            private_folder(self._root)
            self._folder.mkdir(mode=0o700, exist_ok=True)
        return Draft(self._folder)

    def sweep(self) -> None:
        """Remove what no route file needs any more."""
        try:
            for known in self._folder.iterdir():
                if known.name not in self._used and not _being_written(known):
                    known.unlink(missing_ok=True)
        except OSError:
            return


def as_they_were(files: list[tuple[str, int]]) -> bool:
    """Whether files that routes refer to are there, at the size that they had."""
    try:
        return all(Path(path).stat().st_size == size for path, size in files)
    except OSError:
        return False


def _being_written(path: Path) -> bool:
    if not path.name.startswith(DRAFT):
        return False
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
