"""The files that a route file refers to: found inside the project, and nowhere else.

A template may make a name of what a client sent. So the daemon's own folder, where the project's keys lie,
counts as outside, whichever way a name leads there.
"""

import hashlib
import os
import re
from pathlib import Path

from svcmock.config import confined
from svcmock.protocol import Blob, Invalid
from svcmock.running import PRIVATE

_BODY = re.compile(r"bodies/[0-9a-f]{64}")


class ProjectFiles:
    """Resolves what the route file `file` refers to: relative to its folder, inside the project."""

    def __init__(self, root: Path, file: str) -> None:
        self._root = root
        self._folder = Path(file).parent

    def __call__(self, name: str) -> Blob:
        try:
            path = confined(self._root, str(self._folder / name))
        except UnicodeEncodeError:
            raise Invalid((), f"{name!r} cannot be the name of a file") from None
        if path.is_relative_to(Path(os.path.realpath(self._root), PRIVATE)):
            raise Invalid((), f"`{self._folder / name}` is the daemon's own, and outside of the project")
        try:
            if not path.is_file():
                raise Invalid((), f"there is no file `{self._folder / name}`")
            size = path.stat().st_size
            return Blob(str(path), size, 0, "" if _BODY.fullmatch(name) else _sha256(path))
        except OSError as error:
            raise Invalid((), f"`{self._folder / name}` cannot be read: {error.strerror}") from None

    def read(self, blob: Blob) -> bytes:
        try:
            with Path(blob.path).open("rb") as file:
                file.seek(blob.offset)
                data = file.read(blob.size)
        except OSError as error:
            raise Invalid((), f"`{blob.path}` cannot be read: {error.strerror}") from None
        if len(data) != blob.size:
            raise Invalid((), f"`{blob.path}` is shorter than it was")
        return data


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
