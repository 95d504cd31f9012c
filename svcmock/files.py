"""The files that a route file refers to: found inside the project, and nowhere else.

A template may make a name of what a client sent. So the daemon's own folder, where the project's keys lie,
counts as outside, whichever way a name leads there.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from svcmock.capabilities import Folder, Schooled
from svcmock.config import confined, matches
from svcmock.protocol import Blob, Invalid, Plugin
from svcmock.running import PRIVATE

MAX_SCHEMA_FILES = 10_000
"""Files of one service's schema."""
MAX_SCHEMA = 64 << 20
"""Bytes of one of them."""

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


def schema_of(plugin: Plugin, options: Any, folder: Folder) -> Any:
    """What the messages of a service mean, where its protocol has files say so. Raises Invalid, Unreadable."""
    return plugin.schema(options, folder) if isinstance(plugin, Schooled) else None


class SchemaFolder:
    """A project's files as a protocol reads them for the schema of one service: `svcmock.protocol.Folder`."""

    def __init__(self, root: Path, routes: Iterable[str]) -> None:
        self._root = root
        self._routes = tuple(routes)

    def find(self, pattern: str) -> Sequence[str]:
        found = sorted(matches(self._root, pattern, ("",)))
        if not found:
            raise Invalid((), f"`{pattern}`: there is no such file")
        return found[:MAX_SCHEMA_FILES]

    def beside(self, suffix: str) -> Sequence[str]:
        found = set()
        for pattern in self._routes:
            folder = self._root / pattern
            while folder != self._root and not folder.is_dir():
                folder = folder.parent
            if folder != self._root:
                found |= {
                    str(path.relative_to(self._root)) for path in folder.glob(f"*{suffix}") if path.is_file()
                }
        return sorted(found)[:MAX_SCHEMA_FILES]

    def routes(self) -> Sequence[str]:
        found: set[str] = set()
        for pattern in self._routes:
            with contextlib.suppress(Invalid):  # told by whoever reads the graph
                found.update(matches(self._root, pattern))
        return sorted(found)

    def read(self, name: str) -> bytes:
        try:
            path = confined(self._root, name)
            with path.open("rb") as file:
                data = file.read(MAX_SCHEMA + 1)
        except OSError as error:
            raise Invalid((), f"`{name}` cannot be read: {error.strerror}") from None
        if len(data) > MAX_SCHEMA:
            raise Invalid((), f"`{name}` is larger than {MAX_SCHEMA} bytes")
        return data
