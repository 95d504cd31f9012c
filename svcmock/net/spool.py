"""Bytes of large messages, kept in temporary files while a connection needs them.

The files live in a folder of the project, so that a recorder can move a finished body to its place with a
rename. A connection's files are removed with the connection; what a crash left behind, at the next start.
"""

import os
from collections.abc import Hashable
from pathlib import Path
from tempfile import mkstemp

from svcmock.protocol import Spooled


class Spools:
    """The temporary files of one connection, by the token its protocol module gave them."""

    __slots__ = ("_failed", "_files", "_folder")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Hashable, tuple[int, str]] = {}
        self._failed: dict[Hashable, str] = {}

    def append(self, token: Hashable, data: bytes) -> None:
        """Append to the file of `token`. A full disk is remembered and told by `path`, never raised here."""
        if token in self._failed:
            return
        try:
            if token not in self._files:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._files[token] = mkstemp(prefix=f"{os.getpid()}-", dir=self._folder)
            view = memoryview(data)
            while view:
                view = view[os.write(self._files[token][0], view) :]
        except OSError as error:
            self.drop(token)
            self._failed[token] = error.strerror or str(error)

    def path(self, spooled: Spooled) -> str:
        """The file that holds these bytes. Raises OSError if they could not all be written."""
        failure = self._failed.get(spooled.token)
        if failure is not None:
            raise OSError(failure)
        known = self._files.get(spooled.token)
        if known is None:
            raise OSError(f"no spooled bytes are known as {spooled.token!r}")
        return known[1]

    def take(self, spooled: Spooled) -> str:
        """The file's path; it belongs to the caller from here on. Raises OSError like `path`."""
        path = self.path(spooled)
        os.close(self._files.pop(spooled.token)[0])
        return path

    def drop(self, token: Hashable) -> None:
        """Forget a file and remove it."""
        known = self._files.pop(token, None)
        self._failed.pop(token, None)
        if known is not None:
            os.close(known[0])
            Path(known[1]).unlink(missing_ok=True)

    def close(self) -> None:
        for token in list(self._files):
            self.drop(token)
        self._failed.clear()


def sweep(folder: Path) -> None:
    """Remove what earlier runs left behind. A recorder and a daemon of one project may run side by side."""
    if folder.is_dir():
        for left in folder.iterdir():
            if not _in_use(left.name):
                left.unlink(missing_ok=True)


def _in_use(name: str) -> bool:
    """Whether another process that lives made the file of this name."""
    pid = name.partition("-")[0]
    if not (pid.isascii() and pid.isdigit()) or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
