"""What was compiled from route files, kept between starts in `.svcmock/cache/`.

A file is named by a hash of everything its compilation depended on, and begins with a hash of its own bytes:
one that is missing, damaged or foreign is not there.
"""

from hashlib import blake2b
from pathlib import Path

import msgspec

from svcmock.compile import CompiledFile
from svcmock.running import private_folder

SEAL = 16
"""Bytes of the hash that a cached file begins with."""


def _seal(data: bytes | memoryview) -> bytes:
    """What a whole cached file begins with: a damaged one must not answer anything."""
    return blake2b(data, digest_size=SEAL).digest()


class Cache:
    """Compiled route files, by a hash of what they were compiled from."""

    def __init__(self, root: Path) -> None:
        self._folder = root / ".svcmock" / "cache"
        self._root = root
        self._used: set[str] = set()

    def read(self, place: str) -> CompiledFile | None:
        self._used.add(place)
        try:
            data = memoryview((self._folder / place).read_bytes())
            if _seal(data[SEAL:]) != data[:SEAL]:
                return None
            known = msgspec.msgpack.decode(data[SEAL:], type=CompiledFile)
        except (OSError, msgspec.MsgspecError):
            return None
        for path, size in known.files:
            try:
                if Path(path).stat().st_size != size:
                    return None
            except OSError:
                return None
        return known

    def write(self, place: str, compiled: CompiledFile) -> None:
        """A cache that cannot be written is done without."""
        try:
            private_folder(self._root)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            draft = self._folder / f".{place}"
            data = msgspec.msgpack.encode(compiled)
            draft.write_bytes(_seal(data) + data)
            draft.replace(self._folder / place)
        except OSError:
            return

    def sweep(self) -> None:
        """Remove what no route file needs any more."""
        try:
            for known in self._folder.iterdir():
                if known.name not in self._used:
                    known.unlink(missing_ok=True)
        except OSError:
            return
